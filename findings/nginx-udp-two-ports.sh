#!/usr/bin/env bash
# nginx 1.22.1 (Debian 12: nginx 1.22.1-9+deb12u11 with libnginx-mod-stream) in front of a UDP service, two workers.
#
# Guessed: one client address is one session until proxy_timeout ends it: the service sees all packets of a phone
#          from one port of the proxy, and a reload leaves the sessions there are with the old workers, as it leaves
#          TCP connections.
# Seen:    with `listen ... udp` alone each worker has sessions of its own and either takes whatever datagram it
#          gets hold of: one RTP stream reaches the service from two ports in turns. `reuseport` holds a client to
#          one worker. But a reload (certificates renewed, another site added) gives every session, the running
#          ones too, a new port with either: the new workers know nothing of the old ones' sessions.
# So a relay that has learned where a phone's packets come from, and keeps to it, drops half of its audio behind the
# first, and all of it after a reload behind the second. Media does not belong behind such a proxy.
#
# Output seen (of 20 clients that send 100 packets, 20 ms apart, how many came from more than one port; how many had
# another port after a reload in their midst, with reuseport):
#   one socket: 20
#   reuseport: 0
#   reload: 20
# Exits 0 when it is still so, 1 when the behaviour has changed, 2 when it cannot be tried. Needs root (chroot into
# a folder of its own), python3, and Debian 12's package lists.
set -u
work=$(mktemp -d) || exit 2
pid=""
cleanup() { [ -z "$pid" ] || kill "$pid" 2>/dev/null; [ -z "$pid" ] || wait "$pid" 2>/dev/null; rm -rf "$work"; }
trap cleanup EXIT
[ "$(id -u)" -eq 0 ] || { echo "needs root"; exit 2; }
mkdir -p "$work/archives/partial" "$work/root"
: >"$work/status"
(cd "$work" && apt-get -q -y --no-install-recommends --download-only \
  -o Dir::State::status="$work/status" -o Dir::Cache::archives="$work/archives" -o Debug::NoLocking=1 \
  install nginx=1.22.1-9+deb12u11 libnginx-mod-stream=1.22.1-9+deb12u11) >"$work/apt.log" 2>&1 ||
  { tail -n 3 "$work/apt.log"; exit 2; }
for package in "$work"/archives/*.deb; do dpkg -x "$package" "$work/root" || exit 2; done
mkdir -p "$work/root/dev" "$work/root/var/lib/nginx" "$work/root/var/log/nginx"
mknod -m 666 "$work/root/dev/null" c 1 3; mknod -m 666 "$work/root/dev/urandom" c 1 9
echo 'root:x:0:0:root:/:/bin/false' >"$work/root/etc/passwd"
echo 'root:x:0:' >"$work/root/etc/group"

ports=($(python3 -c 'import socket
sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(3)]
for each in sockets: each.bind(("127.0.0.1", 0))
print(*[each.getsockname()[1] for each in sockets])'))
service=${ports[2]}
cat >"$work/root/nginx.conf" <<CONF
load_module /usr/lib/nginx/modules/ngx_stream_module.so;
daemon off;
user root;
worker_processes 2;
pid /nginx.pid;
error_log /error.log notice;
events { worker_connections 512; }
stream {
  proxy_timeout 60s;
  server { listen 127.0.0.1:${ports[0]} udp; proxy_pass 127.0.0.1:$service; }
  server { listen 127.0.0.1:${ports[1]} udp reuseport; proxy_pass 127.0.0.1:$service; }
}
CONF
chroot "$work/root" /usr/sbin/nginx -c /nginx.conf &
pid=$!
cat >"$work/try.py" <<'PY'
import os, select, signal, socket, sys, time
shared, reuseport, port, nginx = map(int, sys.argv[1:])
service = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
service.bind(("127.0.0.1", port))

def serve(seconds, seen):
    """Answers what comes within that time, and notes from which ports each client's packets come."""
    until = time.monotonic() + seconds
    while select.select([service], [], [], max(0, until - time.monotonic()))[0]:
        packet, source = service.recvfrom(2048)
        seen.setdefault(packet[0], []).append(source[1])
        service.sendto(packet, source)

def stream(clients, port):
    """A hundred packets of each client; by client, the ports that they came from."""
    seen = {}
    for _ in range(100):
        for number, client in enumerate(clients):
            client.sendto(bytes([number]) + b"\xd5" * 171, ("127.0.0.1", port))
        serve(0.02, seen)
    serve(0.5, seen)
    return seen

def clients():
    return [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(20)]

def several(seen):
    return sum(len(set(ports)) > 1 for ports in seen.values())

probe = clients()[0]
for _ in range(100):
    probe.sendto(b"\xff", ("127.0.0.1", reuseport))
    if select.select([service], [], [], 0.1)[0]:
        break
else:
    print("the proxy did not come up")
    sys.exit(2)
one = stream(clients(), shared)
kept = clients()
before = stream(kept, reuseport)
os.kill(nginx, signal.SIGHUP)
time.sleep(3)
after = stream(kept, reuseport)
if not all(len(each) >= 20 for each in (one, before, after)):
    sys.exit(2)
moved = sum(not set(before[number]) & set(after[number]) for number in range(20))
print("one socket:", several(one))
print("reuseport:", several(before))
print("reload:", moved)
sys.exit(0 if several(one) >= 5 and several(before) == 0 and moved == 20 else 1)
PY
timeout 60 python3 "$work/try.py" "${ports[@]}" "$pid"
