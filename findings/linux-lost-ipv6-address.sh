#!/usr/bin/env bash
# Linux 6.18: a UDP socket bound to an address that is then taken off the machine, as a floating address is that moves to
# the other node of a pair.
#
# Guessed: nothing can be sent from an address the machine no longer has: both families fail, with an error that says so
#          (EADDRNOTAVAIL).
# Seen:    IPv4 fails with ENETUNREACH, as if a route were missing. IPv6 does not fail: the datagrams go out with the lost
#          address as their source, a second later as well, and reach the peer.
# So after an IPv6 address has moved, the node that had it goes on sending in its name for as long as a process there has
# something to send (RTCP reports, keep-alives, ICE checks, the other leg's media): the peer hears two nodes as one. The
# send call does not tell the process that it has lost its address; it has to watch the machine's addresses (netlink).
#
# Output seen:
#   IPv4 with its address: sent, arrives
#   IPv4 without it: ENETUNREACH, nothing arrives
#   IPv6 with its address: sent, arrives
#   IPv6 without it: sent, arrives
# Exits 0 when it is still so, 1 when the behaviour has changed, 2 when it cannot be tried. Needs root (network namespaces
# of its own), ip and python3.
set -u
[ "$(id -u)" -eq 0 ] || { echo "needs root"; exit 2; }
command -v ip >/dev/null && command -v python3 >/dev/null || { echo "needs ip and python3"; exit 2; }
id=$$
node="lost-node-$id" peer="lost-peer-$id"
made=()
cleanup() { for name in "${made[@]}"; do ip netns del "$name"; done; }
trap cleanup EXIT
for name in "$node" "$peer"; do ip netns add "$name" || exit 2; made+=("$name"); ip -n "$name" link set dev lo up; done
ip -n "$node" link add name media type veth peer name phone netns "$peer" &&
  ip -n "$node" link set dev media up && ip -n "$peer" link set dev phone up &&
  ip -n "$node" addr add 192.0.2.1/24 dev media && ip -n "$node" addr add 192.0.2.100/32 dev media &&
  ip -n "$peer" addr add 192.0.2.2/24 dev phone &&
  ip -n "$node" addr add 2001:db8::1/64 dev media nodad && ip -n "$node" addr add 2001:db8::100/128 dev media nodad &&
  ip -n "$peer" addr add 2001:db8::2/64 dev phone nodad || exit 2
ip netns exec "$peer" python3 - "$node" <<'PY'
import ctypes, errno, os, select, socket, subprocess, sys, time

families = {
    "IPv4": (socket.AF_INET, "192.0.2.2", "192.0.2.100", "192.0.2.100/32"),
    "IPv6": (socket.AF_INET6, "2001:db8::2", "2001:db8::100", "2001:db8::100/128"),
}
peers = {}
for name, (family, at, _, _) in families.items():
    peers[name] = socket.socket(family, socket.SOCK_DGRAM)
    peers[name].bind((at, 5004))
if ctypes.CDLL(None).setns(os.open(f"/run/netns/{sys.argv[1]}", os.O_RDONLY), 0x40000000):
    sys.exit(2)
nodes = {}
for name, (family, _, held, _) in families.items():
    nodes[name] = socket.socket(family, socket.SOCK_DGRAM)
    nodes[name].bind((held, 4000))

def tried(name):
    family, at, held, _ = families[name]
    try:
        nodes[name].sendto(b"report", (at, 5004))
        said = "sent"
    except OSError as error:
        said = errno.errorcode[error.errno]
    if not select.select([peers[name]], [], [], 2)[0]:
        return f"{said}, nothing arrives"
    source = peers[name].recvfrom(2048)[1][0]
    return f"{said}, arrives" if source == held else f"{said}, arrives from {source}"

seen = []
for name, (_, _, _, held) in families.items():
    for way in ("with its address", "without it"):
        if way == "without it":
            if subprocess.call(["ip", "addr", "del", held, "dev", "media"]):
                sys.exit(2)
            time.sleep(1)
        seen.append(tried(name))
        print(f"{name} {way}: {seen[-1]}", flush=True)
sys.exit(seen != ["sent, arrives", "ENETUNREACH, nothing arrives", "sent, arrives", "sent, arrives"])
PY
