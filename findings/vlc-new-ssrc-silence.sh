#!/usr/bin/env bash
# VLC 3.0.24 (Debian 12: vlc-bin 3.0.24-0+deb12u1, libvlccore9) listening to RTP: rtp://@127.0.0.1:PORT, PCMA, 20 ms, the audio
# written to a file (afile), else defaults.
#
# Guessed: a second SSRC on the port is heard at once, since a player has nothing else to play; what costs it a moment is
#          sequence numbers or timestamps that step back, or another port.
# Seen:    these cost nothing. Another SSRC is not heard for 5 s, though the former one has ended; where it changes every
#          two seconds, one in three is heard for a second. --rtp-max-src=2 makes it worse: the second one is another track then,
#          which nobody has chosen, and is never heard.
# So a monitor, a recorder or a loudspeaker made of libVLC loses 5 s with each announcement, transfer or restart of a mixer that
# changes the SSRC, and most of a system whose prompts are short. What stands before it keeps one SSRC towards it.
#
# Output seen (seconds of silence in the 12 s after the event):
#   none: 0
#   sequence and timestamp -1000 packets: 0
#   another port: 0
#   another SSRC: 5
#   another SSRC every 2 s: 10
#   another SSRC, --rtp-max-src=2: 12
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
  install vlc-bin=3.0.24-0+deb12u1 libvlc-bin=3.0.24-0+deb12u1 libvlccore9=3.0.24-0+deb12u1) >"$work/apt.log" 2>&1 &&
  (cd "$work/archives" && apt-get -q download vlc-plugin-base=3.0.24-0+deb12u1) >>"$work/apt.log" 2>&1 || { tail -n 3 "$work/apt.log"; exit 2; }
for package in "$work"/archives/*.deb; do dpkg -x "$package" "$work/root" || exit 2; done
mkdir -p "$work/root/dev" "$work/root/tmp"
mknod -m 666 "$work/root/dev/null" c 1 3
mknod -m 666 "$work/root/dev/urandom" c 1 9
chmod 755 "$work"
chmod 1777 "$work/root/tmp"

cat >"$work/try.py" <<'PY'
import os, socket, struct, subprocess, sys, threading, time

root, log = sys.argv[1:]
TONE = (b"\x2a" * 4 + b"\xaa" * 4) * 20  # 1 kHz, loud, PCMA

def udp():
    each = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    each.bind(("127.0.0.1", 0))
    return each

rest = {}

def loud(pipe):
    """Seconds of the tone that have come since it was asked last."""
    content = rest.pop(pipe, b"")
    try:
        while chunk := os.read(pipe, 65536):
            content += chunk
    except BlockingIOError:
        pass
    whole = len(content) // 160 * 160
    rest[pipe] = content[whole:]
    samples = memoryview(content[:whole]).cast("h")
    return sum(max(samples[n : n + 80]) > 2000 for n in range(0, len(samples), 80)) / 100

def listen(name, ssrc=lambda number: 1, step=0, other_port=False, options=()):
    """Seconds of the tone before the event, and after it."""
    with udp() as probe:
        port = probe.getsockname()[1] & ~1
    heard = f"/tmp/heard-{port}"
    os.mkfifo(root + heard, 0o666)
    os.chmod(root + heard, 0o666)
    pipe = os.open(root + heard, os.O_RDWR | os.O_NONBLOCK)
    seconds = 0
    with open(log, "a") as output:
        process = subprocess.Popen(
            ["chroot", "--userspec=65534:65534", root, "/usr/bin/vlc", "-I", "dummy", "--aout=afile", f"--audiofile-file={heard}",
             "--audiofile-format=s16", "--no-audiofile-wav", *options, f"rtp://@127.0.0.1:{port}"],
            stdin=subprocess.DEVNULL, stdout=output, stderr=output, env={**os.environ, "HOME": "/tmp"})
    try:
        time.sleep(5)
        with udp() as first, udp() as second:
            at = time.monotonic()
            for number in range(850):
                late = number >= 250
                if number == 250:
                    before, seconds = seconds + loud(pipe), 0
                source = ssrc(number)
                shift = late * step
                if number % 10 == 5:
                    seconds += loud(pipe)
                packet = struct.pack(">BBHII", 0x80, 8, 30000 + number + shift - 2000 * (source - 1), 1000000 + 160 * (number + shift), source)
                (second if late and other_port else first).sendto(packet + TONE, ("127.0.0.1", port))
                at += 0.02
                time.sleep(max(0, at - time.monotonic()))
        time.sleep(2)
        results[name] = before, seconds + loud(pipe)
    except OSError:
        pass
    finally:
        process.kill()
        process.wait()

change = lambda number: 1 + (number >= 250)
changes = lambda number: 1 if number < 250 else 2 + (number - 250) // 100
results = {}
cases = {"none": {}, "sequence and timestamp -1000 packets": {"step": -1000}, "another port": {"other_port": True}, "another SSRC": {"ssrc": change},
         "another SSRC every 2 s": {"ssrc": changes}, "another SSRC, --rtp-max-src=2": {"ssrc": change, "options": ["--rtp-max-src=2"]}}
threads = [threading.Thread(target=listen, args=(name,), kwargs=case) for name, case in cases.items()]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
if len(results) < len(cases) or any(before < 3 for before, _ in results.values()) or results["none"][1] < 11:
    sys.exit(2)
silence = {name: results["none"][1] - results[name][1] for name in cases}
for name in cases:
    print(f"  {name}: {abs(silence[name]):.0f}")
_, step, port, change, changes, two = silence.values()
sys.exit(0 if step < 1 and port < 1 and 3.5 < change < 7 and changes > 7 and two > 10 else 1)
PY
LC_ALL=C timeout 120 python3 "$work/try.py" "$work/root" "$work/vlc.log"
