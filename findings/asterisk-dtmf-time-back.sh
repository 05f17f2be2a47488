#!/usr/bin/env bash
# Asterisk 22.10.1 (Debian 14, 1:22.10.1+dfsg+~cs6.17.60671434-1), chan_pjsip, dtmf_mode=rfc4733, defaults, PCMA, 20 ms; digits as
# telephone-event (RFC 4733), each with a new timestamp, marker and three ends, taken by the application Read().
#
# Guessed: an event with another timestamp is another digit (RFC 4733 section 2.3.1), whichever way the timestamps have stepped; what
#          costs digits, if anything, is sequence numbers that step back.
# Seen:    timestamps that step back while the SSRC stays take all digits for as long as the step, without a word in the log, and not
#          a packet of the audio: 4 s back, and what is typed in these 4 s is lost; 100 s back, and no menu works for 100 s. It needs
#          one digit before the step. Steps forward, of the numbers alone, or with another SSRC cost none.
# So a relay or gateway that goes on after a restart or takeover with a timestamp that was stored some seconds ago leaves a call in which
# all is heard and no menu, no PIN works for that long; it has to add a margin, or change the SSRC.
#
# Output seen (digits taken of a 5 and, after the step, 1234567890, one each 560 ms; audio packets of 300 echoed after the step):
#   none: 51234567890, 300
#   timestamps 1 s back: 5234567890, 300
#   timestamps 4 s back: 5890, 300
#   all 4 s back: 5890, 300
#   timestamps 100 s back: 5, 300
#   timestamps 4 s back, no digit before: 1234567890, 300
#   timestamps 4 s on: 51234567890, 300
#   numbers 200 back: 51234567890, 300
#   all 4 s back, another SSRC: 51234567890, 300
# Exits 0 when it is still so, 1 when the behaviour has changed, 2 when it cannot be tried. Needs root (chroot into a folder and a
# network namespace of its own), python3, and a Debian mirror that apt is configured with.
set -u
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
[ "$(id -u)" -eq 0 ] || { echo "needs root"; exit 2; }
mirror=$(apt-get indextargets --format '$(ORIGIN)|$(COMPONENT)|$(REPO_URI)' 'Created-By: Packages' | sed -n 's/^Debian|main|//p' |
  grep -v security | head -n 1)
keys=/usr/share/keyrings/debian-archive-keyring.gpg
[ -n "$mirror" ] && [ -e "$keys" ] || { echo "no Debian mirror"; exit 2; }

# root SUITE FOLDER PACKAGE...: unpacked, with all they depend on.
root() {
  local suite=$1 folder=$work/$2
  shift 2
  mkdir -p "$folder/archives/partial" "$folder/lists/partial" "$folder/root"
  : >"$folder/status"
  echo "deb [signed-by=$keys] $mirror $suite main" >"$folder/sources.list"
  local apt=(apt-get -q -y -o Dir::Etc::SourceList="$folder/sources.list" -o Dir::Etc::SourceParts=/dev/null
    -o Dir::State::Lists="$folder/lists" -o Dir::State::status="$folder/status" -o Dir::Cache="$folder"
    -o Dir::Cache::archives="$folder/archives" -o Debug::NoLocking=1 -o APT::Sandbox::User=root)
  ("${apt[@]}" update && "${apt[@]}" --no-install-recommends --download-only install "$@") >"$folder/apt.log" 2>&1 ||
    { tail -n 3 "$folder/apt.log"; exit 2; }
  # From Debian 13 on /bin and its like are links into /usr, which no package holds.
  for name in bin sbin lib lib64; do mkdir -p "$folder/root/usr/$name" && ln -s "usr/$name" "$folder/root/$name" || exit 2; done
  for package in "$folder"/archives/*.deb; do
    dpkg-deb --fsys-tarfile "$package" | tar -x --keep-directory-symlink -C "$folder/root" || exit 2
  done
  mkdir -p "$folder/root/tmp" "$folder/root/dev"
  mknod -m 666 "$folder/root/dev/null" c 1 3
  mknod -m 666 "$folder/root/dev/zero" c 1 5
  mknod -m 666 "$folder/root/dev/random" c 1 8
  mknod -m 666 "$folder/root/dev/urandom" c 1 9
}
root forky asterisk 'asterisk=1:22.10.1+dfsg+~cs6.17.60671434-1'
etc=$work/asterisk/root/opt/etc
mkdir -p "$etc" "$work"/asterisk/root/opt/{db,lib,spool,run,log}
cat >"$etc/asterisk.conf" <<'CONF'
[directories]
astetcdir => /opt/etc
astmoddir => /usr/lib/x86_64-linux-gnu/asterisk/modules
astvarlibdir => /opt/lib
astdbdir => /opt/db
astkeydir => /opt/lib
astdatadir => /usr/share/asterisk
astspooldir => /opt/spool
astrundir => /opt/run
astlogdir => /opt/log
CONF
printf '[modules]\nautoload=yes\n' >"$etc/modules.conf"
printf '[general]\n[logfiles]\nmessages => verbose\n' >"$etc/logger.conf"
cat >"$etc/extensions.conf" <<'CONF'
[in]
exten => 1000,1,Answer()
same => n,Echo()
exten => 2000,1,Answer()
same => n,Read(digits,,20,,,30)
exten => h,1,NoOp(${CALLERID(num)} =${digits}=)
CONF
cat >"$etc/pjsip.conf" <<'CONF'
[global]
type=global
endpoint_identifier_order=anonymous
[udp]
type=transport
protocol=udp
bind=10.0.0.1:5060
[anonymous]
type=endpoint
context=in
disallow=all
allow=alaw
direct_media=no
dtmf_mode=rfc4733
CONF

cat >"$work/try.py" <<'PYTHON'
import os, re, socket, struct, subprocess, sys, threading, time

root, HOST, ME = sys.argv[1], "10.0.0.1", "10.0.0.2"
SIP = (HOST, 5060)


def sip_socket():
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.bind((ME, 0))
    return made


class Dialog:
    def __init__(self, user, number):
        self.socket, self.user, self.tag, self.id = sip_socket(), user, os.urandom(4).hex(), os.urandom(8).hex()
        self.to, self.uri, self.sequence = f"<sip:{number}@{HOST}>", f"sip:{number}@{HOST}:5060", 1

    def send(self, method, body=""):
        port = self.socket.getsockname()[1]
        head = [f"{method} {self.uri} SIP/2.0", f"Via: SIP/2.0/UDP {ME}:{port};branch=z9hG4bK{os.urandom(6).hex()};rport", "Max-Forwards: 70",
                f"From: <sip:{self.user}@{ME}>;tag={self.tag}", f"To: {self.to}", f"Call-ID: {self.id}", f"CSeq: {self.sequence} {method}",
                f"Contact: <sip:{self.user}@{ME}:{port}>", *(["Content-Type: application/sdp"] if body else []), f"Content-Length: {len(body)}"]
        self.socket.sendto(("\r\n".join(head) + "\r\n\r\n" + body).encode(), SIP)

    def final(self):
        self.socket.settimeout(10)
        while True:
            text = self.socket.recv(65535).decode()
            if re.match(r"SIP/2.0 [2-6]", text):
                return text

    def invite(self, port):
        """Returns the port that media goes to."""
        self.send("INVITE", "\r\n".join(["v=0", f"o=- 1 1 IN IP4 {ME}", "s=-", f"c=IN IP4 {ME}", "t=0 0", f"m=audio {port} RTP/AVP 8 101",
                                         "a=rtpmap:101 telephone-event/8000", ""]))
        text = self.final()
        if not text.startswith("SIP/2.0 200"):
            raise RuntimeError(text.split("\r\n")[0])
        self.to = re.search(r"^To: *(.*?)\r$", text, re.M)[1]
        self.send("ACK")
        self.sequence = 2
        return int(re.search(r"^m=audio (\d+)", text, re.M)[1])


class Stream:
    """One call to the extension; the user's name comes back in Asterisk's log."""

    def __init__(self, user, extension):
        self.media, self.dialog = sip_socket(), Dialog(user, extension)
        self.number, self.time, self.ssrc, self.echoed = 1000, 1000000, 77, 0
        self.target = (HOST, self.dialog.invite(self.media.getsockname()[1]))
        self.media.setblocking(False)
        self.next = time.monotonic()

    def send(self, payload, kind, at):
        self.media.sendto(struct.pack(">BBHII", 0x80, kind, self.number, at, self.ssrc) + payload, self.target)
        self.number += 1

    def tick(self):
        self.time += 160
        self.next += 0.02
        time.sleep(max(0, self.next - time.monotonic()))
        try:
            while packet := self.media.recv(2048):
                self.echoed += packet[1] & 0x7F == 8
        except BlockingIOError:
            pass

    def audio(self, count):
        for _ in range(count):
            self.send(b"\x2a" * 160, 8, self.time)
            self.tick()

    def press(self, digits):
        for digit in map(int, digits):
            begin = self.time
            for index in range(8):
                self.send(struct.pack(">BBH", digit, 10, 160 * (index + 1)), 101 | (index == 0) << 7, begin)
                self.tick()
            for _ in range(3):
                self.send(struct.pack(">BBH", digit, 0x8A, 1280), 101, begin)
            self.audio(20)

    def step(self, time_step=0, number_step=0, ssrc=77):
        self.time, self.number, self.ssrc = self.time + time_step, self.number + number_step, ssrc

    def end(self):
        self.dialog.send("BYE")
        self.media.close()
        self.dialog.socket.close()


def one(number, first, change):
    menu = Stream(f"case{number}", "2000")
    menu.audio(100)
    menu.press(first)
    menu.step(**change)
    menu.press("1234567890")
    menu.end()


def listen(number, first, change):
    echo = Stream(f"echo{number}", "1000")
    echo.audio(150)
    before = echo.echoed
    echo.step(**change)
    echo.audio(300)
    heard[number] = before, echo.echoed - before
    echo.end()


asterisk = subprocess.Popen(["chroot", root, "/usr/sbin/asterisk", "-f", "-vvv", "-C", "/opt/etc/asterisk.conf"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
heard = {}
second = 8000
cases = {
    "none": ("5", {}),
    "timestamps 1 s back": ("5", {"time_step": -second}),
    "timestamps 4 s back": ("5", {"time_step": -4 * second}),
    "all 4 s back": ("5", {"time_step": -4 * second, "number_step": -200}),
    "timestamps 100 s back": ("5", {"time_step": -100 * second}),
    "timestamps 4 s back, no digit before": ("", {"time_step": -4 * second}),
    "timestamps 4 s on": ("5", {"time_step": 4 * second}),
    "numbers 200 back": ("5", {"number_step": -200}),
    "all 4 s back, another SSRC": ("5", {"time_step": -4 * second, "number_step": -200, "ssrc": 78}),
}
try:
    probe = Dialog("probe", "1000")
    probe.socket.settimeout(1)
    for _ in range(60):
        probe.send("OPTIONS")
        try:
            probe.socket.recv(65535)
            break
        except OSError:
            time.sleep(0.5)
    time.sleep(5)
    threads = [threading.Thread(target=run, args=(number, *case)) for run in (one, listen) for number, case in enumerate(cases.values())]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    time.sleep(2)
finally:
    asterisk.kill()
    asterisk.wait()
with open(f"{root}/opt/log/messages") as file:
    taken = dict(re.findall(r'NoOp\(.*"case(\d+) =(\d*)="', file.read()))
results = {name: (taken.get(str(number), ""), *heard.get(number, (0, 0))) for number, name in enumerate(cases)}
for name, (digits, _, echoed) in results.items():
    print(f"  {name}: {digits}, {echoed}")
if results["none"][0] != "51234567890" or any(before < 100 or echoed < 250 for _, before, echoed in results.values()):
    sys.exit(2)
lost = {name: len(first) + 10 - len(results[name][0]) for name, (first, _) in cases.items()}
silent = {"timestamps 1 s back", "timestamps 4 s back", "all 4 s back", "timestamps 100 s back"}
sys.exit(0 if all((count > 0) == (name in silent) for name, count in lost.items()) and lost["timestamps 4 s back"] >= 5 else 1)
PYTHON
timeout 150 unshare -n sh -c 'ip link set lo up && ip link add media0 type veth peer name media1 && ip address add 10.0.0.1/24 dev media0 &&
  ip address add 10.0.0.2/24 dev media0 && ip link set media0 up && ip link set media1 up && exec python3 "$0/try.py" "$0/asterisk/root"' "$work"
