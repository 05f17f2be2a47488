#!/usr/bin/env bash
# baresip 1.0.0 (Debian 12: baresip-core 1.0.0-4+b3) as phone, PCMA, 20 ms, with the jitter buffer that its template
# configures (5-10 packets); its own loop of loudspeaker to microphone (aubridge) sends back what it hears.
#
# Guessed: a stream whose sequence numbers step back by more than a hundred is a new one, as RFC 3550 appendix A.1 takes
#          two packets in a row for a restart: a moment of silence, a second or two at most.
# Seen:    every packet is too late for it until the numbers are where they were: 2 s of silence for a step of 100, 20 s
#          for 1000, whatever the timestamps say, and after a step by half the range and more, ten minutes of it. There
#          is no other way out than another SSRC, which is heard at once. (Timestamps may step by any amount.)
# So a relay that goes on after a takeover from the last numbers it has stored, and they are some seconds old, silences
# such a phone for exactly these seconds; it has to add a margin, and less than 32768.
#
# Output seen (seconds of silence after the step, of 15):
#   none: 0
#   sequence -100: 2
#   sequence -1000: 15
#   sequence +40000: 15
#   timestamp -30 s: 0
#   other SSRC: 0
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
  install baresip-core=1.0.0-4+b3) >"$work/apt.log" 2>&1 || { tail -n 3 "$work/apt.log"; exit 2; }
for package in "$work"/archives/*.deb; do dpkg -x "$package" "$work/root" || exit 2; done
mkdir -p "$work/root/dev" "$work/root/root"
mknod -m 666 "$work/root/dev/null" c 1 3
mknod -m 666 "$work/root/dev/urandom" c 1 9

cat >"$work/try.py" <<'PY'
import os, random, socket, struct, subprocess, sys, threading, time

root, log = sys.argv[1:]
TONE = (b"\x2a" * 4 + b"\xaa" * 4) * 20  # 1 kHz, loud, PCMA

def udp():
    each = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    each.bind(("127.0.0.1", 0))
    return each

def request(method, own, phone, to, body=""):
    return (f"{method} sip:b@127.0.0.1:{phone} SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:{own};branch=z9hG4bK{random.getrandbits(60):x}\r\n"
            f"From: <sip:a@127.0.0.1>;tag=1\r\n{to}\r\nCall-ID: {phone}\r\nCSeq: 1 {method}\r\nContact: <sip:a@127.0.0.1:{own}>\r\n"
            "Max-Forwards: 70\r\n" + ("Content-Type: application/sdp\r\n" if body else "") + f"Content-Length: {len(body)}\r\n\r\n{body}").encode()

def call(sip, media, phone):
    """The phone's RTP port; None if it does not answer."""
    own = sip.getsockname()[1]
    sdp = (f"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio {media.getsockname()[1]} RTP/AVP 8\r\n"
           "a=rtpmap:8 PCMA/8000\r\n")
    sip.settimeout(1)
    invite = request("INVITE", own, phone, f"To: <sip:b@127.0.0.1:{phone}>", sdp)
    for _ in range(20):
        sip.sendto(invite, ("127.0.0.1", phone))
        try:
            while not (answer := sip.recv(65536).decode()).startswith("SIP/2.0 200"):
                pass
        except OSError:
            continue
        to = next(line for line in answer.split("\r\n") if line.lower().startswith("to:"))
        sip.sendto(request("ACK", own, phone, to), ("127.0.0.1", phone))
        return int(answer.split("m=audio ")[1].split()[0])
    return None

def silence(ssrc=1, sequence=0, timestamp=0):
    """Seconds without the tone in what comes back after the step; None if it was not heard before."""
    with udp() as probe:
        phone = probe.getsockname()[1]
    folder = f"/phone-{phone}"
    os.mkdir(root + folder)
    with open(f"{root}{folder}/config", "w") as file:
        file.write(f"sip_listen 127.0.0.1:{phone}\naudio_player aubridge,x\naudio_source aubridge,x\naudio_alert aubridge,y\n"
                   "jitter_buffer_delay 5-10\nmodule_path /usr/lib/baresip/modules\nmodule g711.so\nmodule aubridge.so\n"
                   "module_app account.so\nmodule_app menu.so\n")
    with open(f"{root}{folder}/accounts", "w") as file:
        file.write(f"<sip:b@127.0.0.1:{phone}>;answermode=auto;regint=0;audio_codecs=PCMA\n")
    with udp() as sip, udp() as media, open(log, "a") as output:
        process = subprocess.Popen(["chroot", root, "/usr/bin/baresip", "-4", "-f", folder], stdin=subprocess.PIPE, stdout=output,
                                   stderr=output, env={**os.environ, "HOME": "/root"})
        try:
            port = call(sip, media, phone)
            if port is None:
                return None
            media.setblocking(False)
            at = time.monotonic()
            back = []  # of each packet that came back: the number of the one sent last, whether it holds the tone
            for number in range(1000):
                late = number >= 250
                media.sendto(struct.pack(">BBHII", 0x80, 8, (20000 + number + late * sequence) & 0xFFFF, 1000000 + 160 * (number + late * timestamp),
                                         ssrc if late else 1) + TONE, ("127.0.0.1", port))
                at += 0.02
                time.sleep(max(0, at - time.monotonic()))
                try:
                    while packet := media.recv(2048):
                        back.append((number, sum((byte ^ 0x55) & 0x7F > 0x40 for byte in packet[12:]) > 40))
                except BlockingIOError:
                    pass
        finally:
            process.kill()
            process.wait()
    before = [tone for number, tone in back if 100 <= number < 250]
    after = [tone for number, tone in back if number >= 255]
    if len(after) < 500 or before.count(True) < 100:
        return None
    return round(0.02 * 745 / len(after) * after.count(False))

cases = {"none": {}, "sequence -100": {"sequence": -100}, "sequence -1000": {"sequence": -1000}, "sequence +40000": {"sequence": 40000},
         "timestamp -30 s": {"timestamp": -1500}, "other SSRC": {"ssrc": 2, "sequence": -19000, "timestamp": 5}}
results = {}
threads = [threading.Thread(target=lambda name=name, case=case: results.update({name: silence(**case)})) for name, case in cases.items()]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
for name in cases:
    print(f"{name}: {results.get(name)}")
if len(results) < len(cases) or None in results.values() or results["none"] > 2:
    sys.exit(2)
silent = results["sequence -1000"] >= 13 and results["sequence +40000"] >= 13
heard = all(results[name] <= 2 for name in ("timestamp -30 s", "other SSRC"))
sys.exit(0 if silent and heard else 1)
PY
timeout 100 python3 "$work/try.py" "$work/root" "$work/baresip.log"
