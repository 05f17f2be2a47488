#!/usr/bin/env bash
# A full synchronisation leaves no trace on the replica that one would look for.
#
# Version: redis-server 5:7.0.15-1~deb12u10 (Debian 12). A replica in sync is detached (REPLICAOF NO ONE), one key
# is deleted and one is set on the master, and the replica is attached again; it synchronises fully. A client of
# the replica that stayed connected all the time, subscribed to all keyspace events, and looks at INFO before and
# after, sees: no event for either key; role, master_link_status, master_replid, master_replid2 and run_id as
# before; sync_full, sync_partial_ok and sync_partial_err of INFO stats still 0, for those count what a master
# serves. What differs is repl_backlog_first_byte_offset alone, besides offsets that any write moves: the
# backlog begins anew. Expected: a new replication id (it was promoted in between), or a counter, or an event.
#
# Output seen:
#   events of the keys that the synchronisation changed: 0
#   as before: role master_link_status master_replid master_replid2 run_id sync_full sync_partial_ok sync_partial_err
#   repl_backlog_first_byte_offset: 1 -> N
# Exits non-zero when that changes.
set -euo pipefail
version=5:7.0.15-1~deb12u10
folder=$(mktemp -d)
pids=()
trap 'for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done; rm -rf "$folder"' EXIT
chmod 755 "$folder"
(cd "$folder" && apt-get download -q "redis-server=$version" "redis-tools=$version" liblzf1 libjemalloc2 libatomic1 >/dev/null 2>&1)
for package in "$folder"/*.deb; do dpkg -x "$package" "$folder/root"; done
export LD_LIBRARY_PATH="$folder/root/usr/lib/x86_64-linux-gnu"
server=$folder/root/usr/bin/redis-server
cli() { "$folder/root/usr/bin/redis-cli" -s "$folder/$1.socket" "${@:2}"; }

ports=($(python3 -c 'import socket
sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
print(*[each.getsockname()[1] for each in sockets])'))
start() { # NAME PORT
  "$server" --port "$2" --bind 127.0.0.1 --unixsocket "$folder/$1.socket" --save '' --dir "$folder" \
    --dbfilename "$1.rdb" --notify-keyspace-events KA --repl-diskless-sync-delay 0 >/dev/null &
  pids+=($!)
  for _ in $(seq 100); do [ "$(cli "$1" ping 2>/dev/null)" = PONG ] && return; sleep 0.1; done
  echo "no answer of $1"; exit 1
}
until_holds() { # KEY
  for _ in $(seq 100); do [ "$(cli replica exists "$1")" = 1 ] && return; sleep 0.1; done
  echo "the replica does not have $1"; exit 1
}
facts() { # NAMES...
  for name in "$@"; do cli replica info everything | tr -d '\r' | grep "^$name:" || true; done
}

start master "${ports[0]}"
start replica "${ports[1]}"
cli replica replicaof 127.0.0.1 "${ports[0]}" >/dev/null
cli master set old 1 >/dev/null
until_holds old
stdbuf -oL "$folder/root/usr/bin/redis-cli" -s "$folder/replica.socket" psubscribe '__keyspace@*' >"$folder/events" &
pids+=($!)
for _ in $(seq 50); do grep -q psubscribe "$folder/events" && break; sleep 0.1; done
cli master set heard 1 >/dev/null
until_holds heard
same=(role master_link_status master_replid master_replid2 run_id sync_full sync_partial_ok sync_partial_err)
before=$(facts "${same[@]}")
backlog=$(facts repl_backlog_first_byte_offset)

cli replica replicaof no one >/dev/null
cli master del old >/dev/null
cli master set new 1 >/dev/null
cli replica replicaof 127.0.0.1 "${ports[0]}" >/dev/null
until_holds new
[ "$(cli replica exists old)" = 0 ] || { echo 'the old key is still there'; exit 1; }

after=$(facts "${same[@]}")
sleep 0.3
grep -q ':heard$' "$folder/events" || { echo 'no event at all was heard'; exit 1; }
events=$(grep -cE ':(old|new)$' "$folder/events" || true)
echo "events of the keys that the synchronisation changed: $events"
if [ "$before" = "$after" ]; then echo "as before: ${same[*]}"; else diff <(echo "$before") <(echo "$after") || true; fi
changed=$(facts repl_backlog_first_byte_offset)
echo "repl_backlog_first_byte_offset: ${backlog#*:} -> ${changed#*:}"
[ "$events" = 0 ] && [ "$before" = "$after" ] && [ "$backlog" != "$changed" ]
