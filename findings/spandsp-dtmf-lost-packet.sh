#!/usr/bin/env bash
# libspandsp2 0.0.6+dfsg-2+b1 (Debian 12): its receiver for DTMF in the audio, with the defaults. Media servers use
# it, Debian's rtpengine-daemon depends on it.
#
# Guessed: a detector bridges a short hole, the more so as packets do get lost: one 20 ms packet that is missing in
#          a tone of 100 or 200 ms and played as silence leaves one digit; so do two.
# Seen:    the digit is reported twice in most cases: a tone of 200 ms that lacks one packet is two digits at 212 of
#          288 positions of the hole, one of 100 ms at 56 of 128. A longer hole does it less often, not more.
#          Concealment that repeats the packet before helps short tones, long ones less: 54 of 288, for the phase
#          jumps.
# So a relay that loses a single packet while somebody types an account number by tones in the audio adds a digit to
# it. What keeps calls up in a takeover does not keep them right: it takes RFC 4733 events, or packets that come
# late instead of never.
#
# Output seen (tone, what stands for the lost packets: digits and how often, over 32 places in a
# packet where the tone begins and all packets of it):
#   100 ms, none lost: 5 32
#   100 ms, 1 silent: 5 72, 55 56
#   200 ms, none lost: 5 32
#   200 ms, 1 silent: 5 76, 55 212
#   200 ms, 1 repeated: 5 234, 55 54
#   200 ms, 2 silent: 5 108, 55 180
#   200 ms, 5 silent: 5 204, 55 84
# Exits 0 when it is still so, 1 when the behaviour has changed, 2 when it cannot be tried. Needs root (chroot into
# a folder of its own) and Debian 12's package lists.
set -u
version=0.0.6+dfsg-2+b1
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
[ "$(id -u)" -eq 0 ] || { echo "needs root"; exit 2; }
mkdir -p "$work/archives/partial" "$work/root"
: >"$work/status"
(cd "$work" && apt-get -q -y --no-install-recommends --download-only \
  -o Dir::State::status="$work/status" -o Dir::Cache::archives="$work/archives" -o Debug::NoLocking=1 \
  install "libspandsp2=$version" python3) >"$work/apt.log" 2>&1 || { tail -n 3 "$work/apt.log"; exit 2; }
for package in "$work"/archives/*.deb; do dpkg -x "$package" "$work/root" || exit 2; done
mkdir -p "$work/root/tmp" "$work/root/dev"
mknod -m 666 "$work/root/dev/null" c 1 3
mknod -m 666 "$work/root/dev/urandom" c 1 9

cat >"$work/root/try.py" <<'PY'
import collections, ctypes, math, sys

spandsp = ctypes.CDLL("libspandsp.so.2")
spandsp.dtmf_rx_init.restype = ctypes.c_void_p
spandsp.dtmf_rx_init.argtypes = [ctypes.c_void_p] * 3
spandsp.dtmf_rx.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int]
spandsp.dtmf_rx_get.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int]
spandsp.dtmf_rx_free.argtypes = [ctypes.c_void_p]

PACKET = 160  # samples in 20 ms at 8 kHz

def digits(samples):
    receiver = spandsp.dtmf_rx_init(None, None, None)
    spandsp.dtmf_rx(receiver, (ctypes.c_int16 * len(samples))(*samples), len(samples))
    found = ctypes.create_string_buffer(129)
    spandsp.dtmf_rx_get(receiver, found, 128)
    spandsp.dtmf_rx_free(receiver)
    return found.value.decode()

def tone(milliseconds):  # digit 5, two sines of -16 dBm0
    return [int(5000 * (math.sin(math.tau * 770 * n / 8000) + math.sin(math.tau * 1336 * n / 8000))) for n in range(milliseconds * 8)]

def heard(milliseconds, lost, fill):
    count = collections.Counter()
    for shift in range(0, PACKET, 5):
        begin = 480 + shift
        audio = [0] * begin + tone(milliseconds) + [0] * 960
        first = begin // PACKET + 1  # the first packet that is all tone, or would be
        for hole in range(first, first + (milliseconds // 20 - 1 if lost else 1)):
            received = list(audio)
            for packet in range(hole, hole + lost):
                if (packet + 1) * PACKET <= begin + milliseconds * 8:
                    before = audio[(hole - 1) * PACKET : hole * PACKET]
                    received[packet * PACKET : (packet + 1) * PACKET] = before if fill == "repeated" else [0] * PACKET
            count[digits(received)] += 1
    return dict(sorted(count.items()))

def say(name, count):
    print(name + ":", ", ".join(f"{found or 'none'} {times}" for found, times in count.items()))
    return count

clean = [say(f"{each} ms, none lost", heard(each, 0, "")) for each in (100, 200)]
short = say("100 ms, 1 silent", heard(100, 1, "silent"))
long = say("200 ms, 1 silent", heard(200, 1, "silent"))
repeated = say("200 ms, 1 repeated", heard(200, 1, "repeated"))
two = say("200 ms, 2 silent", heard(200, 2, "silent"))
say("200 ms, 5 silent", heard(200, 5, "silent"))
if clean != [{"5": 32}, {"5": 32}]:
    sys.exit(2)
same = short.get("55", 0) > 20 and long.get("55", 0) > 100 and repeated.get("55", 0) > 20 and two.get("55", 0) > 100
sys.exit(0 if same else 1)
PY
timeout 60 chroot "$work/root" /usr/bin/python3 /try.py
