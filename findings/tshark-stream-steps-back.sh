#!/usr/bin/env bash
# tshark 4.0.17 (Debian 12, 4.0.17-0+deb12u3): the loss figures of `-z rtp,streams`.
#
# Guessed: one SSRC whose sequence number steps back (its sender was restarted, or a relay that had lost the last
#          numbers went on with earlier ones) is what RFC 3550 appendix A.1 makes of it, a new start, or at worst a
#          negative loss; no packet is missing in the capture.
# Seen:    a step back behind the first number of the stream is taken for a wrap-around: 65536 minus the step are
#          counted as lost. Two hundred packets without a gap that step back by a thousand once are "64536 lost
#          (99.7%)", though nobody missed a packet. (A step back by fifty, to a number that the stream has had, is
#          minus fifty lost; a change of the SSRC makes two rows without loss.)
# Whoever judges a takeover by this figure wants the packets counted instead.
#
# Output seen:
#   goes on: 200 0 (0.0%)
#   back by 1000: 200 64536 (99.7%)
#   starts again at 0: 200 35436 (99.4%)
#   back by 50: 200 -50 (-33.3%)
# Exits 0 when it is still so, 1 when the behaviour has changed, 2 when it cannot be tried. Needs root (chroot into
# a folder of its own), python3, and Debian 12's package lists.
set -u
version=4.0.17-0+deb12u3
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
[ "$(id -u)" -eq 0 ] || { echo "needs root"; exit 2; }
mkdir -p "$work/archives/partial" "$work/root"
: >"$work/status"
(cd "$work" && apt-get -q -y --no-install-recommends --download-only \
  -o Dir::State::status="$work/status" -o Dir::Cache::archives="$work/archives" -o Debug::NoLocking=1 \
  install "tshark=$version") >"$work/apt.log" 2>&1 || { tail -n 3 "$work/apt.log"; exit 2; }
for package in "$work"/archives/*.deb; do dpkg -x "$package" "$work/root" || exit 2; done
mkdir -p "$work/root/tmp" "$work/root/dev" "$work/root/root"
mknod -m 666 "$work/root/dev/null" c 1 3
mknod -m 666 "$work/root/dev/urandom" c 1 9

cat >"$work/capture.py" <<'PY'
import struct, sys

def packet(index, sequence):
    rtp = struct.pack(">BBHII", 0x80, 8, sequence & 0xFFFF, 160 * index, 7) + b"\xd5" * 160
    udp = struct.pack(">HHHH", 4000, 5004, 8 + len(rtp), 0) + rtp
    ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0, bytes([192, 0, 2, 1]), bytes([192, 0, 2, 2])) + udp
    return struct.pack("<IIII", index // 50, index % 50 * 20000, len(ip), len(ip)) + ip

for name, first, second in [("on", 5000, 5100), ("thousand", 5000, 4100), ("zero", 30000, 0), ("fifty", 5000, 5050)]:
    with open(f"{sys.argv[1]}/{name}.pcap", "wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 101))
        for index in range(200):
            file.write(packet(index, first + index if index < 100 else second + index - 100))
PY
python3 "$work/capture.py" "$work/root/tmp" || exit 2
streams() { # NAME: packets and loss, as reported
  HOME=/root chroot "$work/root" /usr/bin/tshark -r "/tmp/$1.pcap" -d udp.port==5004,rtp -q -z rtp,streams 2>"$work/tshark.log" |
    sed -nE 's/.*0x00000007 +[^ ]+ +([0-9]+ +-?[0-9]+ \([-0-9.]+%\)).*/\1/p' | tr -s ' '
}
on=$(streams on) thousand=$(streams thousand) zero=$(streams zero) fifty=$(streams fifty)
echo "goes on: $on"
echo "back by 1000: $thousand"
echo "starts again at 0: $zero"
echo "back by 50: $fifty"
[ "$on" = "200 0 (0.0%)" ] || { cat "$work/tshark.log"; exit 2; }
[ "$thousand" = "200 64536 (99.7%)" ] && [ "$zero" = "200 35436 (99.4%)" ] && [ "$fifty" = "200 -50 (-33.3%)" ]
