#!/usr/bin/env bash
# FFmpeg 5.1.9 (Debian 12, 7:5.1.9-0+deb12u1) as receiver of SRTP (SDP with a=crypto, AES_CM_128_HMAC_SHA1_80), PCMA, 20 ms;
# -reorder_queue_size 0, with which it takes packets in any order.
#
# Guessed: each SSRC has a rollover counter of its own, which begins at 0 (RFC 3711 section 3.2.3), so a new SSRC is decrypted
#          whatever its sequence numbers and those of the former one are; and packets that were there before are refused (replay).
# Seen:    one counter for all. A new SSRC is refused, each packet of it without a word and for good, when the former one has
#          rolled over (the counter is 1, the sender's is 0), or when its numbers are below the former ones by more than half the
#          range. Numbers that step back by 100 are heard, there is no check for replay.
# So a secured recorder or announcer made of FFmpeg goes mute with a transfer or an announcement once a call has lasted long enough
# to roll over (22 minutes at most), and never in a short trial. What ends the SRTP before it holds one SSRC towards it.
#
# Output seen (packets decoded of 200 before the event, and of 200 after it):
#   none: 200 200
#   rollover: 200 200
#   sequence -100: 200 200
#   another SSRC, sequence -20000: 200 200
#   another SSRC, sequence -40000: 200 0
#   another SSRC after a rollover: 200 0
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
  install ffmpeg=7:5.1.9-0+deb12u1) >"$work/apt.log" 2>&1 || { tail -n 3 "$work/apt.log"; exit 2; }
for package in "$work"/archives/*.deb; do dpkg -x "$package" "$work/root" || exit 2; done
mkdir -p "$work/root/tmp" "$work/root/dev"
mknod -m 666 "$work/root/dev/null" c 1 3
mknod -m 666 "$work/root/dev/urandom" c 1 9

cat >"$work/try.py" <<'PY'
import base64, ctypes, hashlib, hmac, os, socket, struct, subprocess, sys, threading, time

root = sys.argv[1]
libraries = "/usr/lib/x86_64-linux-gnu"

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
    """AES_CM_128_HMAC_SHA1_80 (RFC 3711)."""
    def __init__(self, master):
        key, salt = master[:16], int.from_bytes(master[16:], "big")
        self.key, self.tag_key, made = (counter_mode(key, (salt ^ label << 48).to_bytes(14, "big") + b"\0\0", bytes(size))
                                        for label, size in ((0, 16), (1, 20), (2, 14)))
        self.salt = int.from_bytes(made, "big")

    def packet(self, ssrc, index, timestamp, audio):
        """@param index the sequence number, above it the rollover counter."""
        head = struct.pack(">BBHII", 0x80, 8, index & 0xFFFF, timestamp, ssrc)
        packet = head + counter_mode(self.key, (self.salt << 16 ^ ssrc << 64 ^ index << 16).to_bytes(16, "big"), audio)
        return packet + hmac.new(self.tag_key, packet + struct.pack(">I", index >> 16), hashlib.sha1).digest()[:10]

def one(name, begin, ssrc, then):
    """Packets decoded of 200 that begin with that index, and of 200 after them."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1] & ~1
    master = os.urandom(30)
    description = f"/tmp/{port}.sdp"
    with open(root + description, "w") as file:
        file.write(f"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio {port} RTP/SAVP 8\r\n"
                   f"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{base64.b64encode(master).decode()}\r\n")
    with open(f"{root}/tmp/{port}.log", "w") as log:
        receiver = subprocess.Popen(
            ["chroot", root, "/usr/bin/ffmpeg", "-nostdin", "-hide_banner", "-reorder_queue_size", "0", "-analyzeduration", "200000",
             "-probesize", "4000", "-protocol_whitelist", "file,udp,rtp,srtp,pipe", "-i", description, "-flush_packets", "1", "-f", "s16le", "pipe:1"],
            stdout=subprocess.PIPE, stderr=log,
            env={**os.environ, "LD_LIBRARY_PATH": f"{libraries}/blas:{libraries}/lapack:{libraries}/pulseaudio"})
    decoded = [0]
    def read():
        while chunk := os.read(receiver.stdout.fileno(), 65536):
            decoded[0] += len(chunk)
    thread = threading.Thread(target=read)
    thread.start()
    time.sleep(4)
    srtp = Srtp(master)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        def send(ssrc, index, timestamp):
            for number in range(200):
                sender.sendto(srtp.packet(ssrc, index + number, timestamp + 160 * number, b"\xd5" * 160), ("127.0.0.1", port))
                time.sleep(0.02)
            time.sleep(2)
        send(1, begin, 0)
        before = decoded[0]
        send(ssrc, then, 32000)
    results[name] = before // 320, (decoded[0] - before) // 320
    receiver.terminate()
    receiver.wait(20)
    thread.join(20)

results = {}
cases = {"none": (30000, 1, 30200), "rollover": (65400, 1, 65600), "sequence -100": (30000, 1, 30100),
         "another SSRC, sequence -20000": (50000, 2, 30000), "another SSRC, sequence -40000": (50000, 2, 10000),
         "another SSRC after a rollover": (65400, 2, 10000)}
threads = [threading.Thread(target=one, args=(name, *case)) for name, case in cases.items()]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join(60)
if len(results) < len(cases) or any(before < 180 for before, _ in results.values()):
    print("not heard", results)
    sys.exit(2)
for name in cases:
    print(f"  {name}:", *results[name])
after = [results[name][1] for name in cases]
sys.exit(0 if min(after[:4]) > 180 and after[4:] == [0, 0] else 1)
PY
timeout 120 python3 "$work/try.py" "$work/root"
