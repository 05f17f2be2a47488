#!/usr/bin/env bash
# Linphone 5.1.65 (Debian 12: linphone-cli 5.1.65-4, `linphonec`) as phone, PCMA, 20 ms, digits as telephone-event (RFC 4733).
#
# Guessed: a digit is told at its first packet, so lost ends cost none; and packets that come a
#          second time are dropped by their sequence numbers, as late audio is, or by their timestamp.
# Seen:    it is told at the first end and at no other moment: a digit whose three ends are lost is lost whole, also when it was
#          pressed again. And packets that come a second time are one more digit, if they are all of it (`5` is `55`), or if another
#          digit was in between, then its ends are enough (`56` is `565`). A part of it straight after is none.
# So a hole of 60 ms costs a digit, and a relay or network that sends copies of what it is not sure to have sent puts digits
# into a PIN that nobody pressed. Copies of a telephone-event before the present one are better left out.
#
# Output seen (what was pressed: what was told):
#   5, 9: 59
#   5, its ends lost, 9: 9
#   5, its ends alone, 9: 59
#   5 twice, all ends lost, 9: 9
#   5, 6, 9: 569
#   5, all of it again, 9: 559
#   5, its ends again, 9: 59
#   5, one packet of it and one end again, 9: 59
#   5, 6, all of the 5 again, 9: 5659
#   5, 6, the ends of the 5 again, 9: 5659
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
  install linphone-cli=5.1.65-4) >"$work/apt.log" 2>&1 || { tail -n 3 "$work/apt.log"; exit 2; }
for package in "$work"/archives/*.deb; do dpkg -x "$package" "$work/root" || exit 2; done
mkdir -p "$work/root/dev" "$work/root/tmp"
mknod -m 666 "$work/root/dev/null" c 1 3
mknod -m 666 "$work/root/dev/urandom" c 1 9

cat >"$work/try.py" <<'PY'
import os, re, socket, struct, subprocess, sys, threading, time

root, ME = sys.argv[1], "127.0.0.1"

def sip_socket():
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.bind((ME, 0))
    return made

def free_ports(count):
    """The first of so many neighbouring ports, even."""
    while True:
        with sip_socket() as probe:
            first = probe.getsockname()[1] & ~1
        try:
            held = []
            for port in range(first, first + count):
                for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
                    held.append(socket.socket(socket.AF_INET, kind))
                    held[-1].bind((ME, port))
            return first
        except OSError:
            pass
        finally:
            for each in held:
                each.close()

class Stream:
    """One call, PCMA and telephone-event, 20 ms."""
    def __init__(self, phone):
        self.media, self.sip, self.phone = sip_socket(), sip_socket(), phone
        self.number, self.time, self.to = 1000, 1000000, f"To: <sip:b@{ME}:{phone}>"
        sdp = "\r\n".join(["v=0", f"o=- 1 1 IN IP4 {ME}", "s=-", f"c=IN IP4 {ME}", "t=0 0", f"m=audio {self.media.getsockname()[1]} RTP/AVP 8 101",
                           "a=rtpmap:8 PCMA/8000", "a=rtpmap:101 telephone-event/8000", "a=fmtp:101 0-15", ""])
        self.sip.settimeout(1)
        invite = self.request("INVITE", 1, sdp)
        for _ in range(30):
            self.sip.sendto(invite, (ME, phone))
            try:
                while not (answer := self.sip.recv(65536).decode()).startswith("SIP/2.0 200"):
                    pass
                break
            except OSError:
                continue
        else:
            raise RuntimeError("no answer")
        self.to = next(line for line in answer.split("\r\n") if line.lower().startswith("to:"))
        self.sip.sendto(self.request("ACK", 1), (ME, phone))
        self.target = (ME, int(re.search(r"^m=audio (\d+)", answer, re.M)[1]))
        self.next = time.monotonic()

    def request(self, method, sequence, body=""):
        own = self.sip.getsockname()[1]
        return (f"{method} sip:b@{ME}:{self.phone} SIP/2.0\r\nVia: SIP/2.0/UDP {ME}:{own};branch=z9hG4bK{os.urandom(6).hex()}\r\n"
                f"From: <sip:a@{ME}>;tag=1\r\n{self.to}\r\nCall-ID: {self.phone}\r\nCSeq: {sequence} {method}\r\n"
                f"Contact: <sip:a@{ME}:{own}>\r\nMax-Forwards: 70\r\n" + ("Content-Type: application/sdp\r\n" if body else "")
                + f"Content-Length: {len(body)}\r\n\r\n{body}").encode()

    def tick(self):
        self.time += 160
        self.next += 0.02
        time.sleep(max(0, self.next - time.monotonic()))

    def audio(self, count):
        for _ in range(count):
            self.media.sendto(struct.pack(">BBHII", 0x80, 8, self.number, self.time, 77) + b"\xd5" * 160, self.target)
            self.number += 1
            self.tick()

    def press(self, digit, body=True, ends=True):
        """200 ms of a digit, its end three times; lost: what is not sent. Returns all packets."""
        packets = []
        for index in range(13):
            last = index >= 10
            event = struct.pack(">BBH", digit, 0x8A if last else 10, 160 * min(index + 1, 10))
            packets.append(struct.pack(">BBHII", 0x80, 101 | (index == 0) << 7, self.number, self.time - 160 * min(index, 10), 77) + event)
            self.number += 1
            if ends if last else body:
                self.media.sendto(packets[-1], self.target)
            if not last:
                self.tick()
        return packets

    def again(self, packets):
        for packet in packets:
            self.media.sendto(packet, self.target)

    def end(self):
        self.sip.sendto(self.request("BYE", 2), (ME, self.phone))
        time.sleep(1)
        self.media.close()
        self.sip.close()

def play(steps):
    """The digits that the phone tells of."""
    phone = free_ports(4)
    home = f"/phone-{phone}"
    os.makedirs(f"{root}{home}/.local/share/linphone")
    with open(f"{root}{home}/rc", "w") as file:
        file.write(f"[sip]\nsip_port={phone}\nsip_tcp_port=0\nsip_tls_port=0\nguess_hostname=0\n[rtp]\naudio_rtp_port={phone + 2}\n")
    with open(f"{root}{home}/told", "w") as output:
        process = subprocess.Popen(["chroot", root, "/usr/bin/linphonec", "-c", f"{home}/rc", "-a"], stdin=subprocess.PIPE, stdout=output,
                                   stderr=output, env={**os.environ, "HOME": home})
    try:
        process.stdin.write(b"soundcard use files\n")
        process.stdin.flush()
        dial(Stream(phone), steps)
    finally:
        process.kill()
        process.wait()
    with open(f"{root}{home}/told") as file:
        return "".join(re.findall(r"tone (.) from", file.read()))

def one(name, steps):
    try:
        taken = play(steps)
        results[name] = taken
    except (OSError, RuntimeError):
        pass

def dial(stream, steps):
    stream.audio(100)
    steps(stream)
    stream.audio(50)
    stream.press(9)
    stream.audio(30)
    stream.end()

def two(stream):
    stream.press(5)
    stream.audio(10)
    stream.press(6)

def held(stream):
    for _ in range(2):
        stream.press(5, ends=False)

def late(which):
    def steps(stream):
        packets = stream.press(5)
        stream.audio(10)
        stream.press(6)
        stream.audio(10)
        stream.again(packets[which])
    return steps

def copied(which):
    def steps(stream):
        packets = stream.press(5)
        stream.audio(10)
        stream.again(packets[which])
    return steps

cases = {"5": lambda stream: stream.press(5), "5, its ends lost": lambda stream: stream.press(5, ends=False),
         "5, its ends alone": lambda stream: stream.press(5, body=False), "5 twice, all ends lost": held, "5, 6": two,
         "5, all of it again": copied(slice(None)), "5, its ends again": copied(slice(10, None)),
         "5, one packet of it and one end again": copied(slice(9, 11)), "5, 6, all of the 5 again": late(slice(None)), "5, 6, the ends of the 5 again": late(slice(10, None))}

results = {}
threads = [threading.Thread(target=one, args=each) for each in cases.items()]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
if len(results) < len(cases) or results["5"] != "59":
    sys.exit(2)
for name in cases:
    print(f"  {name}, 9: {results[name]}")
sys.exit(0 if list(results[name] for name in cases) == ["59", "9", "59", "9", "569", "559", "59", "59", "5659", "5659"] else 1)
PY
timeout 100 python3 "$work/try.py" "$work/root"
