#!/usr/bin/env bash
# baresip 1.0.0 (Debian 12: baresip-core 1.0.0-4+b3, libre0 1.1.0-1+b2) as phone, PCMA, 20 ms, digits as telephone-event (RFC 4733), told
# by its module ctrl_tcp (CALL_DTMF_START).
#
# Guessed: the timestamp says which event a packet is of (RFC 4733 section 2.3.1), so a digit whose three ends are lost is over when the next
#          timestamp comes (section 2.5.1.4), the same digit or another; and an end that comes alone is a digit, too.
# Seen:    timestamp and marker are not looked at. The same digit again is taken for the former one that has not ended, be it five
#          seconds later: `55` is `5`. With another digit all is right. Ends that come alone are no digit.
# So a loss of 60 ms at the wrong moment (a relay taken over, a handover of a radio cell) takes a digit out of a number with two alike in
# a row, and none out of others: `1233` fails where `1234` works. Whoever bridges such a hole sends the ends on, late rather than never.
#
# Output seen (what was pressed: what was told):
#   5, 9: 59
#   5, its ends lost, 9: 59
#   5, its ends alone, 9: 9
#   5, 5 after 1 s, 9: 559
#   5, ends lost, 5 after 0.1 s, 9: 59
#   5, ends lost, 5 after 1 s, 9: 59
#   5, ends lost, 5 after 5 s, 9: 59
#   5, ends lost, 6 after 1 s, 9: 569
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
    phone = free_ports(3)
    folder = f"/phone-{phone}"
    os.mkdir(root + folder)
    with open(f"{root}{folder}/config", "w") as file:
        file.write(f"sip_listen {ME}:{phone}\nctrl_tcp_listen {ME}:{phone + 2}\naudio_player aubridge,x\naudio_source aubridge,x\naudio_alert aubridge,y\n"
                   "jitter_buffer_delay 5-10\nmodule_path /usr/lib/baresip/modules\nmodule g711.so\nmodule aubridge.so\nmodule_app account.so\n"
                   "module_app menu.so\nmodule_app ctrl_tcp.so\n")
    with open(f"{root}{folder}/accounts", "w") as file:
        file.write(f"<sip:b@{ME}:{phone}>;answermode=auto;regint=0;audio_codecs=PCMA\n")
    process = subprocess.Popen(["chroot", root, "/usr/bin/baresip", "-4", "-f", folder], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL, env={**os.environ, "HOME": "/root"})
    try:
        for _ in range(100):
            try:
                control = socket.create_connection((ME, phone + 2))
                break
            except OSError:
                time.sleep(0.2)
        dial(Stream(phone), steps)
        control.settimeout(1)
        told = ""
        try:
            while chunk := control.recv(65536):
                told += chunk.decode(errors="replace")
        except TimeoutError:
            pass
        control.close()
        return "".join(re.findall(r'CALL_DTMF_START[^{}]*?"param":"(.)"', told))
    finally:
        process.kill()
        process.wait()

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

def pair(second, gap, ends):
    def steps(stream):
        stream.press(5, ends=ends)
        stream.audio(gap)
        stream.press(second)
    return steps

cases = {"5": lambda stream: stream.press(5), "5, its ends lost": lambda stream: stream.press(5, ends=False),
         "5, its ends alone": lambda stream: stream.press(5, body=False), "5, 5 after 1 s": pair(5, 50, True),
         "5, ends lost, 5 after 0.1 s": pair(5, 5, False), "5, ends lost, 5 after 1 s": pair(5, 50, False),
         "5, ends lost, 5 after 5 s": pair(5, 250, False), "5, ends lost, 6 after 1 s": pair(6, 50, False)}

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
sys.exit(0 if list(results[name] for name in cases) == ["59", "59", "9", "559", "59", "59", "59", "569"] else 1)
PY
timeout 100 python3 "$work/try.py" "$work/root"
