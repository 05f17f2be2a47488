#!/usr/bin/env bash
# Asterisk 22.10.1 (Debian 14, 1:22.10.1+dfsg+~cs6.17.60671434-1), chan_pjsip, Echo(), defaults of rtp.conf, rtp_symmetric=yes.
#
# Guessed: when its peer's media comes from a new port, with all numbers going on (a NAT that lost its state, a relay that was
#          taken over), it is heard again after a few packets and gets Asterisk's own there; with ICE (RFC 8445) an authenticated
#          check with USE-CANDIDATE and a high PRIORITY from there does it at once; in any case the next re-INVITE does.
# Seen:    so in the first five seconds of a stream. Later nothing from the new port is heard for good and everything goes to the
#          old one, also where the old one is silent, and where each check from the new one gets a success response. A
#          re-INVITE that names the former port (a session timer, a change of codec) does not help either; one that
#          names the new port does at once.
# So a trial with calls of a few seconds shows a takeover on another port to work, and calls of customers are dead in both directions
# with it. A relay keeps its address and port towards Asterisk, or the proxy sends a re-INVITE.
#
# Output seen (packets of 300 sent from the new port that came back, to it and to the old one):
#   after 3 s: 296 0
#   after 8 s: 0 0
#   after 8 s, ICE and checks: 0 0, checks answered True
#   after 8 s, re-INVITE with the old port: 0 0
#   after 8 s, re-INVITE with the new port: 300 0
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
printf '[general]\nicesupport=yes\n' >"$etc/rtp.conf"
printf '[in]\nexten => _X.,1,Answer()\nsame => n,Echo()\n' >"$etc/extensions.conf"
cat >"$etc/pjsip.conf" <<'CONF'
[global]
type=global
endpoint_identifier_order=username
[udp]
type=transport
protocol=udp
bind=10.0.0.1:5060
[plain]
type=endpoint
context=in
disallow=all
allow=alaw
direct_media=no
rtp_symmetric=yes
[ice]
type=endpoint
context=in
disallow=all
allow=alaw
direct_media=no
rtp_symmetric=yes
ice_support=yes
rtcp_mux=yes
CONF

cat >"$work/try.py" <<'PYTHON'
import binascii, hashlib, hmac, os, re, select, socket, struct, subprocess, sys, threading, time

root, HOST, ME = sys.argv[1], "10.0.0.1", "10.0.0.2"
SIP = (HOST, 5060)


def sip_socket():
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.bind((ME, 0))
    return made


class Dialog:
    def __init__(self, user):
        self.socket, self.user, self.tag, self.id = sip_socket(), user, os.urandom(4).hex(), os.urandom(8).hex()
        self.to, self.uri, self.sequence = f"<sip:1000@{HOST}>", f"sip:1000@{HOST}:5060", 0

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

    def invite(self, body):
        self.sequence += 1
        self.send("INVITE", body)
        text = self.final()
        if not text.startswith("SIP/2.0 200"):
            raise RuntimeError(text.split("\r\n")[0])
        self.to = re.search(r"^To: *(.*?)\r$", text, re.M)[1]
        self.uri = re.search(r"^Contact: *<([^>]+)>", text, re.M)[1]
        self.send("ACK")
        return text.split("\r\n\r\n", 1)[1]

    def bye(self):
        self.sequence += 1
        self.send("BYE")


def attribute(kind, value):
    return struct.pack(">HH", kind, len(value)) + value + bytes(-len(value) % 4)


def stun(kind, transaction, body, key):
    def head(length):
        return struct.pack(">HHI", kind, length, 0x2112A442) + transaction

    body += attribute(0x0008, hmac.new(key, head(len(body) + 24) + body, hashlib.sha1).digest())
    return head(len(body) + 8) + body + attribute(0x8028, struct.pack(">I", binascii.crc32(head(len(body) + 8) + body) ^ 0x5354554E))


def one(name, seconds, ice=False, again=None):
    old, new, dialog = sip_socket(), sip_socket(), Dialog("ice" if ice else "plain")
    fragment, password = os.urandom(4).hex(), os.urandom(12).hex()
    came = {old: 0, new: 0}
    state = {"answered": 0, "number": 0}

    def body(here, version):
        port = here.getsockname()[1]
        lines = ["v=0", f"o=- 1 {version} IN IP4 {ME}", "s=-", f"c=IN IP4 {ME}", "t=0 0", f"m=audio {port} RTP/AVP 8"]
        if ice:
            lines += ["a=rtcp-mux", f"a=ice-ufrag:{fragment}", f"a=ice-pwd:{password}", f"a=candidate:1 1 UDP 2130706431 {ME} {port} typ host"]
        return "\r\n".join(lines) + "\r\n"

    answer = dialog.invite(body(old, 1))
    target = (HOST, int(re.search(r"^m=audio (\d+)", answer, re.M)[1]))
    remote = [re.search(rf"^a=ice-{word}:(\S+)", answer, re.M) for word in ("ufrag", "pwd")]

    def check(here, priority):
        fields = attribute(0x0006, f"{remote[0][1]}:{fragment}".encode()) + attribute(0x0024, struct.pack(">I", priority))
        fields += attribute(0x802A, b"\1" * 8) + attribute(0x0025, b"")
        here.sendto(stun(0x0001, os.urandom(12), fields, remote[1][1].encode()), target)

    def take(here):
        packet, source = here.recvfrom(2048)
        kind = struct.unpack(">H", packet[:2])[0]
        if kind == 0x0001:
            address = struct.pack(">BBHI", 0, 1, source[1] ^ 0x2112, struct.unpack(">I", socket.inet_aton(source[0]))[0] ^ 0x2112A442)
            here.sendto(stun(0x0101, packet[8:20], attribute(0x0020, address), password.encode()), source)
        elif kind == 0x0101:
            state["answered"] += here is new
        elif packet[1] & 0x7F == 8 and packet[12] == 0x55:
            came[here] += 1

    def send(here, count, mark, priority):
        for index in range(count):
            if ice and index % 10 == 0:
                check(here, priority)
            number = state["number"]
            here.sendto(struct.pack(">BBHII", 0x80, 8, number, number * 160, 77) + bytes([mark]) * 160, target)
            state["number"] += 1
            end = time.time() + 0.02
            while (left := end - time.time()) > 0:
                for ready in select.select([old, new], [], [], left)[0]:
                    take(ready)

    send(old, seconds * 50, 0x2A, 0x6E001EFF)
    if again is not None:
        send(new, 100, 0x2B, 0x7EFFFFFF)
        dialog.invite(body(new if again == "new" else old, 2))
    send(new, 300, 0x55, 0x7EFFFFFF)
    dialog.bye()
    results[name] = (came[new], came[old], state["answered"] > 20)


asterisk = subprocess.Popen(["chroot", root, "/usr/sbin/asterisk", "-f", "-C", "/opt/etc/asterisk.conf"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
results = {}
cases = {
    "after 3 s": (3,),
    "after 8 s": (8,),
    "after 8 s, ICE and checks": (8, True),
    "after 8 s, re-INVITE with the old port": (8, False, "old"),
    "after 8 s, re-INVITE with the new port": (8, False, "new"),
}
try:
    probe = Dialog("plain")
    probe.socket.settimeout(1)
    for _ in range(60):
        probe.sequence += 1
        probe.send("OPTIONS")
        try:
            probe.socket.recv(65535)
            break
        except OSError:
            time.sleep(0.5)
    time.sleep(5)
    threads = [threading.Thread(target=one, args=(name, *case)) for name, case in cases.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
finally:
    asterisk.kill()
    asterisk.wait()
if len(results) < len(cases):
    sys.exit(2)
for name, (to_new, to_old, answered) in results.items():
    print(f"  {name}: {to_new} {to_old}" + (f", checks answered {answered}" if "ICE" in name else ""))
to_new, to_old, answered = (dict(zip(results, column)) for column in zip(*results.values()))
silent = [name for name in cases if name.startswith("after 8") and "new" not in name]
same = all(to_new[name] + to_old[name] == 0 for name in silent) and answered["after 8 s, ICE and checks"]
sys.exit(0 if same and to_new["after 3 s"] > 200 and to_new["after 8 s, re-INVITE with the new port"] > 200 else 1)
PYTHON
timeout 150 unshare -n sh -c 'ip link set lo up && ip link add media0 type veth peer name media1 && ip address add 10.0.0.1/24 dev media0 &&
  ip address add 10.0.0.2/24 dev media0 && ip link set media0 up && ip link set media1 up && exec python3 "$0/try.py" "$0/asterisk/root"' "$work"
