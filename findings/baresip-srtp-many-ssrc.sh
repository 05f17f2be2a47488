#!/usr/bin/env bash
# baresip 1.0.0 (Debian 12: baresip-core 1.0.0-4+b3, libre0 1.1.0-1+b2) as phone, PCMA, 20 ms, SRTP by SDES; its own loop of
# loudspeaker to microphone (aubridge) sends back what it hears. 1.1.0 of Debian 13 (libre1 2.0.1-3) does the same.
#
# Guessed: each SSRC that is new in a call is heard, as in a plain one, and what the phone keeps of those that have ended goes at
#          some time.
# Seen:    eight of a call are heard, the ninth and all after it are not, for good: "failed to decrypt" for each packet, though
#          the former eight have long been silent. A re-INVITE does not help.
# So a call in which announcements, transfers, or a server with an SSRC for each prompt lie behind a relay that passes SSRCs on
# goes mute at the eighth change, and only where it is secured. Whoever ends the SRTP in between can hold one SSRC towards the phone.
#
# Output seen (SSRCs of 50 packets each that were heard, and whether the last one was after a re-INVITE):
#   plain: 12 of 12 heard
#   SRTP: 8 of 12 heard
#   SRTP, re-INVITE: 8 of 12 heard, afterwards False
#   SRTP, one SSRC, re-INVITE: 1 of 1 heard, afterwards True
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
import base64, ctypes, hashlib, hmac, os, random, socket, struct, subprocess, sys, threading, time

root, log = sys.argv[1:]
TONE = (b"\x2a" * 4 + b"\xaa" * 4) * 20  # 1 kHz, loud, PCMA

crypto = ctypes.CDLL("libcrypto.so.3")
for function in (crypto.EVP_CIPHER_CTX_new, crypto.EVP_aes_128_ctr):
    function.restype = ctypes.c_void_p
crypto.EVP_EncryptInit_ex.argtypes = [ctypes.c_void_p] * 3 + [ctypes.c_char_p] * 2
crypto.EVP_EncryptUpdate.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.POINTER(ctypes.c_int), ctypes.c_char_p, ctypes.c_int]
crypto.EVP_CIPHER_CTX_free.argtypes = [ctypes.c_void_p]

def counter_mode(key, start, data):
    context, out, length = crypto.EVP_CIPHER_CTX_new(), ctypes.create_string_buffer(len(data) + 16), ctypes.c_int()
    crypto.EVP_EncryptInit_ex(context, crypto.EVP_aes_128_ctr(), None, key, start)
    crypto.EVP_EncryptUpdate(context, out, length, data, len(data))
    crypto.EVP_CIPHER_CTX_free(context)
    return out.raw[: len(data)]

class Srtp:
    """AES_CM_128_HMAC_SHA1_80 (RFC 3711), rollover counter 0."""
    def __init__(self, master):
        key, salt = master[:16], int.from_bytes(master[16:30], "big")
        self.key, self.tag_key, made = (counter_mode(key, (salt ^ label << 48).to_bytes(14, "big") + b"\0\0", bytes(size))
                                        for label, size in ((0, 16), (1, 20), (2, 14)))
        self.salt = int.from_bytes(made, "big")

    def payload(self, packet):
        ssrc, sequence = int.from_bytes(packet[8:12], "big"), int.from_bytes(packet[2:4], "big")
        return counter_mode(self.key, (self.salt << 16 ^ ssrc << 64 ^ sequence << 16).to_bytes(16, "big"), packet[12:])

    def tag(self, packet):
        return hmac.new(self.tag_key, packet + bytes(4), hashlib.sha1).digest()[:10]

    def protect(self, packet):
        packet = packet[:12] + self.payload(packet)
        return packet + self.tag(packet)

    def open(self, packet):
        """The audio, empty if the packet is not authentic."""
        return self.payload(packet[:-10]) if self.tag(packet[:-10]) == packet[-10:] else b""

class Plain:
    def protect(self, packet):
        return packet

    def open(self, packet):
        return packet[12:]

def udp():
    each = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    each.bind(("127.0.0.1", 0))
    return each

class Call:
    def __init__(self, sip, media, phone, secure):
        self.sip, self.media, self.phone, self.secure = sip, media, phone, secure
        self.to, self.number = f"To: <sip:b@127.0.0.1:{phone}>", 0
        self.key = os.urandom(30)

    def request(self, method, body=""):
        own = self.sip.getsockname()[1]
        return (f"{method} sip:b@127.0.0.1:{self.phone} SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:{own};branch=z9hG4bK{random.getrandbits(60):x}\r\n"
                f"From: <sip:a@127.0.0.1>;tag=1\r\n{self.to}\r\nCall-ID: {self.phone}\r\nCSeq: {self.number} {method}\r\n"
                f"Contact: <sip:a@127.0.0.1:{own}>\r\nMax-Forwards: 70\r\n" + ("Content-Type: application/sdp\r\n" if body else "")
                + f"Content-Length: {len(body)}\r\n\r\n{body}").encode()

    def invite(self):
        """(the phone's RTP port, what is sent to it, what comes from it); None if it does not answer."""
        self.number += 1
        sdp = (f"v=0\r\no=- 1 {self.number} IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio {self.media.getsockname()[1]} "
               f"RTP/{'SAVP' if self.secure else 'AVP'} 8\r\na=rtpmap:8 PCMA/8000\r\n")
        if self.secure:
            sdp += f"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{base64.b64encode(self.key).decode()}\r\n"
        self.sip.settimeout(1)
        invite = self.request("INVITE", sdp)
        for _ in range(20):
            self.sip.sendto(invite, ("127.0.0.1", self.phone))
            try:
                while not (answer := self.sip.recv(65536).decode()).startswith("SIP/2.0 200") or f"CSeq: {self.number} INVITE" not in answer:
                    pass
            except OSError:
                continue
            self.to = next(line for line in answer.split("\r\n") if line.lower().startswith("to:"))
            self.sip.sendto(self.request("ACK"), ("127.0.0.1", self.phone))
            port = int(answer.split("m=audio ")[1].split()[0])
            if not self.secure:
                return port, Plain(), Plain()
            theirs = base64.b64decode(answer.split("inline:")[1].split()[0].split("|")[0])
            return port, Srtp(self.key), Srtp(theirs)
        return None

def heard(name, secure, sources, again=False):
    """Which of the SSRCs come back, 50 packets each, and whether the last one does after a re-INVITE."""
    with udp() as probe:
        phone = probe.getsockname()[1]
    folder = f"/phone-{phone}"
    os.mkdir(root + folder)
    with open(f"{root}{folder}/config", "w") as file:
        file.write(f"sip_listen 127.0.0.1:{phone}\naudio_player aubridge,x\naudio_source aubridge,x\naudio_alert aubridge,y\n"
                   "jitter_buffer_delay 5-10\nmodule_path /usr/lib/baresip/modules\nmodule g711.so\nmodule srtp.so\nmodule aubridge.so\n"
                   "module_app account.so\nmodule_app menu.so\n")
    with open(f"{root}{folder}/accounts", "w") as file:
        file.write(f"<sip:b@127.0.0.1:{phone}>;answermode=auto;regint=0;audio_codecs=PCMA{';mediaenc=srtp-mand' if secure else ''}\n")
    with udp() as sip, udp() as media, open(log, "a") as output:
        process = subprocess.Popen(["chroot", root, "/usr/bin/baresip", "-4", "-f", folder], stdin=subprocess.PIPE, stdout=output,
                                   stderr=output, env={**os.environ, "HOME": "/root"})
        try:
            call = Call(sip, media, phone, secure)
            state = call.invite()
            if state is None:
                return
            media.setblocking(False)
            back = {}
            at = time.monotonic()
            for number in range(50 * (sources + (3 if again else 0))):
                if number == 50 * sources:
                    state = call.invite()
                    if state is None:
                        return
                    media.setblocking(False)
                    at = time.monotonic()
                port, to_phone, from_phone = state
                ssrc = min(number // 50 + 1, sources)
                packet = struct.pack(">BBHII", 0x80, 8, 1000 * ssrc + number, 160 * number, ssrc) + TONE
                media.sendto(to_phone.protect(packet), ("127.0.0.1", port))
                at += 0.02
                time.sleep(max(0, at - time.monotonic()))
                try:
                    while packet := media.recv(2048):
                        if sum((byte ^ 0x55) & 0x7F > 0x40 for byte in from_phone.open(packet)) > 40:
                            source = number // 50 + 1
                            back[source] = back.get(source, 0) + 1
                except BlockingIOError:
                    pass
        finally:
            process.kill()
            process.wait()
    results[name] = (sum(back.get(source, 0) > 25 for source in range(1, sources + 1)),
                     sum(back.get(source, 0) for source in range(sources + 1, sources + 4)) > 75)

results = {}
cases = {"plain": (False, 12), "SRTP": (True, 12), "SRTP, re-INVITE": (True, 12, True), "SRTP, one SSRC, re-INVITE": (True, 1, True)}
threads = [threading.Thread(target=heard, args=(name, *case)) for name, case in cases.items()]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
if len(results) < len(cases):
    sys.exit(2)
for name, case in cases.items():
    print(f"  {name}: {results[name][0]} of {case[1]} heard" + (f", afterwards {results[name][1]}" if len(case) > 2 else ""))
if results["plain"][0] < 12 or results["SRTP, one SSRC, re-INVITE"] != (1, True):
    sys.exit(2)
sys.exit(0 if results["SRTP"][0] == 8 and results["SRTP, re-INVITE"] == (8, False) else 1)
PY
timeout 100 python3 "$work/try.py" "$work/root" "$work/baresip.log"
