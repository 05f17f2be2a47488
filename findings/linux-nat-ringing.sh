#!/usr/bin/env bash
# Linux 6.18 as NAT router (nf_conntrack, masquerade, default timeouts: nf_conntrack_udp_timeout 30,
# nf_conntrack_udp_timeout_stream 120), and the UDP flow of a phone behind it.
#
# Guessed: a flow that has been answered is a stream, and its port lives for 120 s: a phone's INVITE that rings for half a
#          minute gets its 200 OK.
# Seen:    answered is not enough, there has to be a packet two seconds after the first one or later. INVITE, 100 and 180
#          within the first second are a flow of 30 s: a 200 OK that comes after 33 s does not reach the phone. The same
#          flow with one more 180 after three seconds lives on.
# So a call over UDP from behind such a router that rings for more than 30 s is answered for the callee alone. A proxy that
# repeats its 180 after some seconds (RFC 3261 section 13.3.1.1 wants one a minute, which is too late), or phones that
# send keep-alives more often than that, avoid it.
#
# Output seen (does the packet after 33 s of silence reach the phone?):
#   answered within a second: False
#   one more packet after 3 s: True
# Exits 0 when it is still so, 1 when the behaviour has changed, 2 when it cannot be tried. Needs root (network namespaces
# of its own), nft, ip and python3. Takes 40 s.
set -u
[ "$(id -u)" -eq 0 ] || { echo "needs root"; exit 2; }
command -v nft >/dev/null && command -v ip >/dev/null || { echo "needs nft and ip"; exit 2; }
id=$$
names=("ring-phone-$id" "ring-router-$id" "ring-proxy-$id")
made=()
cleanup() { for name in "${made[@]}"; do ip netns del "$name"; done; }
trap cleanup EXIT
for name in "${names[@]}"; do ip netns add "$name" || exit 2; made+=("$name"); ip -n "$name" link set dev lo up; done
phone=${names[0]} router=${names[1]} proxy=${names[2]}
ip -n "$router" link add name inside type veth peer name eth0 netns "$phone" &&
  ip -n "$router" link add name outside type veth peer name eth0 netns "$proxy" &&
  ip -n "$phone" addr add 192.0.2.2/24 dev eth0 && ip -n "$router" addr add 192.0.2.1/24 dev inside &&
  ip -n "$proxy" addr add 198.51.100.2/24 dev eth0 && ip -n "$router" addr add 198.51.100.1/24 dev outside &&
  ip -n "$phone" link set dev eth0 up && ip -n "$proxy" link set dev eth0 up &&
  ip -n "$router" link set dev inside up && ip -n "$router" link set dev outside up &&
  ip -n "$phone" route add default via 192.0.2.1 &&
  ip netns exec "$router" sysctl -qw net.ipv4.ip_forward=1 net.netfilter.nf_conntrack_udp_timeout=30 \
    net.netfilter.nf_conntrack_udp_timeout_stream=120 &&
  ip netns exec "$router" nft 'table ip nat { chain out { type nat hook postrouting priority 100; oifname "outside" masquerade; }; }' ||
  exit 2
ip netns exec "$proxy" python3 - "$phone" <<'PY'
import ctypes, os, select, socket, sys, time

proxy = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2)]
for each in proxy:
    each.bind(("198.51.100.2", 0))
namespace = os.open(f"/run/netns/{sys.argv[1]}", os.O_RDONLY)
if ctypes.CDLL(None).setns(namespace, 0x40000000):
    sys.exit(2)
phones = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2)]

def arrives(at):
    if not select.select([at], [], [], 2)[0]:
        return False
    return bool(at.recv(2048))

mapped = []
for phone, server in zip(phones, proxy):
    phone.sendto(b"INVITE", server.getsockname())
    if not select.select([server], [], [], 5)[0]:
        sys.exit(2)
    mapped.append(server.recvfrom(2048)[1])
    for answer in (b"100", b"180"):
        server.sendto(answer, mapped[-1])
        if not arrives(phone):
            sys.exit(2)
time.sleep(3)
proxy[1].sendto(b"180", mapped[1])
if not arrives(phones[1]):
    sys.exit(2)
time.sleep(33)
late = []
for phone, server, port in zip(phones, proxy, mapped):
    server.sendto(b"200", port)
    late.append(arrives(phone))
print("answered within a second:", late[0])
print("one more packet after 3 s:", late[1])
sys.exit(0 if late == [False, True] else 1)
PY
