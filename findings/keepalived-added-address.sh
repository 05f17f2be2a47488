#!/usr/bin/env bash
# keepalived 2.2.7 (Debian 12: 1:2.2.7-1+b2), VRRPv3, two nodes; an address is added on one after the other.
#
# Guessed: a further virtual_ipaddress on the master, and a reload: it takes the address as well and stays master, the
#          other stays backup, for what decides are the router id and the priority. The other's reload follows.
# Seen:    the backup throws the master's advertisements away from then on, for they carry another number of addresses
#          than its own configuration, and is master itself after three intervals: both hold the address that the calls
#          are on, until the second node is reloaded, too. A reload without such a change does nothing of the kind.
# So a maintenance that is done one node at a time, the careful way, splits the pair: packets of running calls go to
# whichever node was heard last. Both nodes get the new file first, and then the reload at once; or the address goes
# into virtual_ipaddress_excluded, which is not advertised.
#
# Output seen (who holds the first address):
#   reload without a change: first
#   added and reloaded on the first: first second
#   on the second, too: first
#   excluded, added on the first: first
# Exits 0 when it is still so, 1 when the behaviour has changed, 2 when it cannot be tried. Needs root (network namespaces
# of its own), ip, and Debian 12's package lists.
set -u
[ "$(id -u)" -eq 0 ] || { echo "needs root"; exit 2; }
work=$(mktemp -d) || exit 2
pids=()
made=()
cleanup() {
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null; done
  for pid in "${pids[@]}"; do wait "$pid" 2>/dev/null; done
  for name in "${made[@]}"; do ip netns del "$name"; done
  rm -rf "$work"
}
trap cleanup EXIT
mkdir -p "$work/archives/partial" "$work/root"
: >"$work/status"
(cd "$work" && apt-get -q -y --no-install-recommends --download-only \
  -o Dir::State::status="$work/status" -o Dir::Cache::archives="$work/archives" -o Debug::NoLocking=1 \
  install keepalived=1:2.2.7-1+b2) >"$work/apt.log" 2>&1 || { tail -n 3 "$work/apt.log"; exit 2; }
for package in "$work"/archives/*.deb; do dpkg -x "$package" "$work/root" || exit 2; done

id=$$
for name in first second; do ip netns add "$name-$id" || exit 2; made+=("$name-$id"); done
ip -n "first-$id" link add name eth0 type veth peer name eth0 netns "second-$id" || exit 2
host=1
for name in first second; do
  ip -n "$name-$id" addr add "192.0.2.$host/24" dev eth0 && ip -n "$name-$id" link set dev eth0 up || exit 2
  host=2
done

configure() { # NAME PRIORITY ADDRESSES [EXCLUDED]
  { printf '%s\n' "vrrp_instance media {" "  state BACKUP" "  interface eth0" "  virtual_router_id 7" "  priority $2" \
    "  advert_int 0.2" "  version 3" "  virtual_ipaddress {"
    printf '    %s/24\n' $3
    printf '%s\n' "  }"
    [ -z "${4:-}" ] || printf '%s\n' "  virtual_ipaddress_excluded {" "    $4/24" "  }"
    printf '%s\n' "}"; } >"$work/$1.conf"
}
start() { # NAME
  LD_LIBRARY_PATH="$work/root/usr/lib/x86_64-linux-gnu:$work/root/lib/x86_64-linux-gnu" ip netns exec "$1-$id" \
    "$work/root/usr/sbin/keepalived" -n -P -l -f "$work/$1.conf" -p "$work/$1.pid" -r "$work/$1-vrrp.pid" >"$work/$1.log" 2>&1 &
  pids+=($!)
}
holders() {
  local found=()
  for name in first second; do
    ip -n "$name-$id" -o addr show dev eth0 | grep -q ' 192.0.2.100/' && found+=("$name")
  done
  echo "${found[*]}"
}
reload() { # NAME
  kill -HUP "$(cat "$work/$1.pid")"
  sleep 5
}
configure first 150 192.0.2.100
configure second 100 192.0.2.100
start first
start second
for _ in $(seq 60); do sleep 0.25; [ "$(holders)" = first ] && break; done
sleep 2
[ "$(holders)" = first ] || { tail -n 5 "$work/first.log"; exit 2; }

results=()
reload first
results+=("$(holders)")
configure first 150 "192.0.2.100 192.0.2.101"
reload first
results+=("$(holders)")
configure second 100 "192.0.2.100 192.0.2.101"
reload second
results+=("$(holders)")
configure first 150 "192.0.2.100 192.0.2.101" 192.0.2.102
reload first
results+=("$(holders)")
echo "reload without a change: ${results[0]}"
echo "added and reloaded on the first: ${results[1]}"
echo "on the second, too: ${results[2]}"
echo "excluded, added on the first: ${results[3]}"
[ "${results[0]}" = first ] || exit 2
[ "${results[*]}" = "first first second first first" ]
