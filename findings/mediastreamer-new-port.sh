#!/usr/bin/env bash
# mediastreamer2 5.1.64 with oRTP 5.1.64 (Debian 12: libmediastreamer-tools 1:5.1.64+dfsg-3+b3, libortp16 1:5.1.64-2), the
# media engine of Linphone: its own tool `mediastream`, PCMA, 20 ms, defaults (symmetric RTP, RFC 4961).
#
# Guessed: when the other side's packets come from a new port, its own go there (or stay for good, if it keeps to the
#          SDP), and it is the source address that decides, as in other phones with symmetric RTP.
# Seen:    the SSRC decides. The same SSRC from a new port is heard at once, but its own media goes on to the old one for
#          good, also after a pause of five seconds. Another SSRC from there, and from the first packet on all goes to
#          the new port.
# So a relay that moves to a new address and wants such a phone's audio without a re-INVITE has to begin a new SSRC with
# the move: the call is one-way otherwise, and the phone that hears all does not know it.
#
# Output seen (of its packets in 8 s after the move, how many came to the new port, and whether what came from there was
# heard):
#   same SSRC: 0 of 406, heard True
#   same SSRC after 5 s: 0 of 407, heard True
#   other SSRC: 406 of 407, heard True
# Exits 0 when it is still so, 1 when the behaviour has changed, 2 when it cannot be tried. Needs root (chroot into
# a folder of its own), python3, and Debian 12's package lists.
set -u
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
[ "$(id -u)" -eq 0 ] || { echo "needs root"; exit 2; }
mkdir -p "$work/archives/partial" "$work/root"
: >"$work/status"
(cd "$work" && apt-get -q -y --no-install-recommends --download-only \
  -o Dir::State::status="$work/status" -o Dir::Cache::archives="$work/archives" -o Debug::NoLocking=1 \
  install libmediastreamer-tools=1:5.1.64+dfsg-3+b3 libortp16=1:5.1.64-2) >"$work/apt.log" 2>&1 ||
  { tail -n 3 "$work/apt.log"; exit 2; }
for package in "$work"/archives/*.deb; do dpkg -x "$package" "$work/root" || exit 2; done
mkdir -p "$work/root/dev" "$work/root/root" "$work/root/sound"
mknod -m 666 "$work/root/dev/null" c 1 3
mknod -m 666 "$work/root/dev/urandom" c 1 9

cat >"$work/try.py" <<'PY'
import os, signal, socket, struct, subprocess, sys, threading, time, wave

root, log = sys.argv[1:]
with wave.open(f"{root}/sound/spoken.wav", "wb") as file:
    file.setparams((1, 2, 8000, 0, "NONE", ""))
    file.writeframes(bytes(2 * 8000 * 60))
TONE = (b"\x2a" * 4 + b"\xaa" * 4) * 20  # 1 kHz, loud, PCMA

def udp():
    each = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    each.bind(("127.0.0.1", 0))
    return each

def move(name, ssrc, pause):
    """How many of its packets come to the new port in 8 s, of how many, and whether it heard what came from there."""
    with udp() as probe:
        port = probe.getsockname()[1] & ~1
    heard = f"/sound/heard {name}.wav"
    count = {}
    with udp() as old, udp() as new, open(log, "a") as output:
        process = subprocess.Popen(
            ["chroot", root, "/usr/bin/mediastream", "--local", str(port), "--remote", f"127.0.0.1:{old.getsockname()[1]}",
             "--payload", "8", "--infile", "/sound/spoken.wav", "--outfile", heard],
            stdin=subprocess.DEVNULL, stdout=output, stderr=output, env={**os.environ, "HOME": "/root"})
        old.settimeout(10)
        try:
            old.recv(2048)
            for number in range(600):
                moved = number >= 200
                if number == 200:
                    time.sleep(pause)
                    for each in old, new:
                        each.setblocking(False)
                        drain(each)
                    count = {old: 0, new: 0}
                shift = 50 * pause if moved else 0
                (new if moved else old).sendto(
                    struct.pack(">BBHII", 0x80, 8, number + shift, 160 * (number + shift), ssrc if moved else 1) + TONE,
                    ("127.0.0.1", port))
                time.sleep(0.02)
                for each in count:
                    count[each] += drain(each)
        except OSError:
            pass
        process.send_signal(signal.SIGINT)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if not count or sum(count.values()) < 200:
            return None
        with open(root + heard, "rb") as file:
            samples = memoryview(file.read()[44:])
        samples = samples[: len(samples) // 800 * 800].cast("h")  # blocks of 50 ms
        loud = [max(samples[n : n + 400]) > 2000 for n in range(0, len(samples), 400)]
        return count[new], sum(count.values()), sum(loud) > 180

def drain(each):
    count = 0
    try:
        while each.recv(2048):
            count += 1
    except BlockingIOError:
        return count

cases = {"same SSRC": (1, 0), "same SSRC after 5 s": (1, 5), "other SSRC": (2, 0)}
results = {}
threads = [threading.Thread(target=lambda name=name, case=case: results.update({name: move(name, *case)})) for name, case in cases.items()]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
for name in cases:
    print(f"{name}:", "{} of {}, heard {}".format(*results[name]) if results.get(name) else "not tried")
if len(results) < 3 or None in results.values():
    sys.exit(2)
same = all(results[name][0] < 20 and results[name][2] for name in ("same SSRC", "same SSRC after 5 s"))
new, all_of_it, heard = results["other SSRC"]
sys.exit(0 if same and heard and new > all_of_it - 20 else 1)
PY
timeout 90 python3 "$work/try.py" "$work/root" "$work/mediastream.log"
