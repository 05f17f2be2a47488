#!/usr/bin/env bash
# Linux 6.18, BPF sk_lookup programs on a network namespace: what SK_DROP does to a datagram, and how many programs fit.
#
# Guessed: SK_DROP drops: the sender hears nothing, as with XDP_DROP, TC_ACT_SHOT or nft's drop. And a program is a link
#          among links: as many as there are processes that steer ports.
# Seen:    the datagram is not delivered, and the sender gets ICMP port unreachable (ECONNREFUSED), as for a port that
#          nobody has. One drop among programs that pass is enough. The 65th program of a namespace is refused with E2BIG.
# So sk_lookup cannot make ports silent, and a phone whose media stack ends a call at the first port unreachable ends it
# there; what is to be silent is dropped before (nft, TC). And programs that killed processes left pinned count: after 64 of
# them nothing can be steered any more in that namespace until they are removed.
#
# Output seen:
#   no program: delivered, the sender hears nothing
#   SK_PASS: delivered, the sender hears nothing
#   SK_DROP: not delivered, the sender hears ECONNREFUSED
#   SK_DROP and then SK_PASS: not delivered, the sender hears ECONNREFUSED
#   programs that fit: 64, then E2BIG
# Exits 0 when it is still so, 1 when the behaviour has changed, 2 when it cannot be tried. Needs root (a network namespace
# of its own), ip, python3 and an x86-64 kernel with sk_lookup.
set -u
[ "$(id -u)" -eq 0 ] || { echo "needs root"; exit 2; }
command -v ip >/dev/null && command -v python3 >/dev/null || { echo "needs ip and python3"; exit 2; }
[ "$(uname -m)" = x86_64 ] || { echo "needs x86-64 (number of the bpf system call)"; exit 2; }
name="lookup-$$"
ip netns add "$name" || exit 2
cleanup() { ip netns del "$name"; }
trap cleanup EXIT
ip -n "$name" link set dev lo up || exit 2
ip netns exec "$name" python3 - <<'PY'
import ctypes, errno, os, select, socket, struct, sys

libc = ctypes.CDLL(None, use_errno=True)
SK_LOOKUP_PROGRAM, SK_LOOKUP_ATTACH = 30, 36
DROP, PASS = 0, 1

def bpf(command, attributes):
    buffer = ctypes.create_string_buffer(attributes.ljust(128, b"\0"), 128)
    result = libc.syscall(321, command, buffer, 128)
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result

def program(verdict):
    # r0 = verdict; exit
    code = ctypes.create_string_buffer(struct.pack("<BBhiBBhi", 0xB7, 0, 0, verdict, 0x95, 0, 0, 0), 16)
    licence = ctypes.create_string_buffer(b"GPL")
    return bpf(5, struct.pack("<IIQQIIQII16sII", SK_LOOKUP_PROGRAM, 2, ctypes.addressof(code), ctypes.addressof(licence),
                              0, 0, 0, 0, 0, b"", 0, SK_LOOKUP_ATTACH))

namespace = os.open("/proc/self/ns/net", os.O_RDONLY)
def attach(verdict):
    return bpf(28, struct.pack("<IIII", program(verdict), namespace, SK_LOOKUP_ATTACH, 0))

def tried(name):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as at, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        at.bind(("127.0.0.1", 5004))
        sender.connect(("127.0.0.1", 5004))
        sender.settimeout(1)
        sender.send(b"packet")
        try:
            sender.recv(64)
            heard = "something"
        except socket.timeout:
            heard = "nothing"
        except OSError as error:
            heard = errno.errorcode[error.errno]
        delivered = "delivered" if select.select([at], [], [], 0)[0] else "not delivered"
    print(f"{name}: {delivered}, the sender hears {heard}", flush=True)
    return f"{delivered}, {heard}"

try:
    seen = [tried("no program")]
    passing = attach(PASS)
    seen.append(tried("SK_PASS"))
    os.close(passing)
    dropping = attach(DROP)
    seen.append(tried("SK_DROP"))
    attach(PASS)
    seen.append(tried("SK_DROP and then SK_PASS"))
except OSError as error:
    print(error)
    sys.exit(2)
fit, refusal = 2, "none"
while fit < 256:
    try:
        attach(PASS)
        fit += 1
    except OSError as error:
        refusal = errno.errorcode[error.errno]
        break
print(f"programs that fit: {fit}, then {refusal}")
sys.exit(seen != ["delivered, nothing"] * 2 + ["not delivered, ECONNREFUSED"] * 2 or (fit, refusal) != (64, "E2BIG"))
PY
