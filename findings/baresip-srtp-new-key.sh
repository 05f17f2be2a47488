#!/usr/bin/env bash
# baresip 1.0.0 (Debian 12: baresip-core 1.0.0-4+b3, libre0 1.1.0-1+b2) as phone, PCMA, 20 ms, SRTP by SDES; its own loop of
# loudspeaker to microphone (aubridge) sends back what it hears. 1.1.0 of Debian 13 (libre1 2.0.1-3) does the same.
#
# Guessed: a re-INVITE whose a=crypto has another key (RFC 4568 section 7.1: an attended transfer, a relay or server behind it that was
#          replaced by one without the old keys) is answered with 200, and from then on the new key is what is heard.
# Seen:    it is answered with 200, and the key is not taken: what comes under the new one is not heard, for good ("failed to
#          decrypt" for each packet), and what goes on under the old one is, though nobody has offered that any more. A new tag, a
#          new SSRC, changes nothing. Its own key stays as well.
# So towards such a phone there is one key per call: whoever takes over without it has lost the call in one direction, no
# signalling brings it back, and a transfer that passes keys through is one-way. A relay keeps its own key through all offers.
#
# Output seen (what was heard in the 3 s after the re-INVITE):
#   same key: heard
#   new key: silence
#   new key and tag: silence
#   new key and SSRC: silence
#   new key offered, old one used: heard
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

def udp():
    each = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    each.bind(("127.0.0.1", 0))
    return each

class Call:
    def __init__(self, sip, media, phone):
        self.sip, self.media, self.phone, self.tag = sip, media, phone, 1
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
               f"RTP/SAVP 8\r\na=rtpmap:8 PCMA/8000\r\n"
               f"a=crypto:{self.tag} AES_CM_128_HMAC_SHA1_80 inline:{base64.b64encode(self.key).decode()}\r\n")
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
            theirs = base64.b64decode(answer.split("inline:")[1].split()[0].split("|")[0])
            return port, Srtp(self.key), Srtp(theirs)
        return None

def heard(name, new, tag=1, ssrc=1, use_old=False):
    """Whether the tone comes back in the first 3 s, and in the 3 s after the re-INVITE."""
    with udp() as probe:
        phone = probe.getsockname()[1]
    folder = f"/phone-{phone}"
    os.mkdir(root + folder)
    with open(f"{root}{folder}/config", "w") as file:
        file.write(f"sip_listen 127.0.0.1:{phone}\naudio_player aubridge,x\naudio_source aubridge,x\naudio_alert aubridge,y\n"
                   "jitter_buffer_delay 5-10\nmodule_path /usr/lib/baresip/modules\nmodule g711.so\nmodule srtp.so\nmodule aubridge.so\n"
                   "module_app account.so\nmodule_app menu.so\n")
    with open(f"{root}{folder}/accounts", "w") as file:
        file.write(f"<sip:b@127.0.0.1:{phone}>;answermode=auto;regint=0;audio_codecs=PCMA;mediaenc=srtp-mand\n")
    with udp() as sip, udp() as media, open(log, "a") as output:
        process = subprocess.Popen(["chroot", root, "/usr/bin/baresip", "-4", "-f", folder], stdin=subprocess.PIPE, stdout=output,
                                   stderr=output, env={**os.environ, "HOME": "/root"})
        try:
            call = Call(sip, media, phone)
            state = call.invite()
            if state is None:
                return
            back = [0, 0]
            for number in range(300):
                late = number >= 150
                if number == 150:
                    if new:
                        call.key = os.urandom(30)
                    call.tag = tag
                    before, state = state, call.invite()
                    if state is None:
                        return
                    if use_old:
                        state = (state[0], before[1], state[2])
                if number % 150 == 0:
                    media.setblocking(False)
                    at = time.monotonic()
                port, to_phone, from_phone = state
                packet = struct.pack(">BBHII", 0x80, 8, 1000 + number, 160 * number, ssrc if late else 1) + TONE
                media.sendto(to_phone.protect(packet), ("127.0.0.1", port))
                at += 0.02
                time.sleep(max(0, at - time.monotonic()))
                try:
                    while packet := media.recv(2048):
                        back[late] += sum((byte ^ 0x55) & 0x7F > 0x40 for byte in from_phone.open(packet)) > 40
                except BlockingIOError:
                    pass
        finally:
            process.kill()
            process.wait()
    results[name] = (back[0] > 75, back[1] > 75)

results = {}
cases = {"same key": (False,), "new key": (True,), "new key and tag": (True, 2), "new key and SSRC": (True, 1, 2),
         "new key offered, old one used": (True, 1, 1, True)}
threads = [threading.Thread(target=heard, args=(name, *case)) for name, case in cases.items()]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
if len(results) < len(cases) or not all(first for first, _ in results.values()) or not results["same key"][1]:
    sys.exit(2)
for name in cases:
    print(f"  {name}: {'heard' if results[name][1] else 'silence'}")
sys.exit(0 if [after for _, after in results.values()] == [name in ("same key", "new key offered, old one used") for name in results] else 1)
PY
timeout 100 python3 "$work/try.py" "$work/root" "$work/baresip.log"
