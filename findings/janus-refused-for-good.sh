#!/usr/bin/env bash
# Janus 1.1.2 (Debian 12: janus 1.1.2-1), AudioBridge with plain RTP participants (PCMA, 20 ms), defaults.
#
# Guessed: media over UDP outlives its peer's port. Where nothing listens for a few seconds (a relay or gateway that is
#          started again) the other side's packets are refused by ICMP, it sends on, and both are heard again once the
#          port is open.
# Seen:    so after half a second. After four seconds of refusals ("Too many errors polling" in its log) the participant is
#          taken out of the room, as if it had hung up (event "leaving"): nothing is sent to it any more and nothing of it
#          is heard, however well its packets arrive.
# So a relay in front of it never leaves a port of a living call closed: a socket that is kept open over the restart, a
# port that drops silently, or an address that is gone altogether (no ICMP) cost a gap, a closed port the call.
#
# Output seen (10 s after the port is open again; the tone of another participant all the while):
#   closed for 0.5 s: hears the tone, is heard
#   closed for 4 s: hears nothing, is not heard, has left the room
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
  install janus=1.1.2-1) >"$work/apt.log" 2>&1 || { tail -n 3 "$work/apt.log"; exit 2; }
for package in "$work"/archives/*.deb; do dpkg -x "$package" "$work/root" || exit 2; done
mkdir -p "$work/root/dev" "$work/root/tmp" "$work/root/conf"
mknod -m 666 "$work/root/dev/null" c 1 3
mknod -m 666 "$work/root/dev/urandom" c 1 9

cat >"$work/try.py" <<'PY'
import json, socket, struct, subprocess, sys, time, urllib.request

root, log = sys.argv[1:]
library = "/usr/lib/x86_64-linux-gnu/janus"
with socket.socket() as probe:
    probe.bind(("127.0.0.1", 0))
    api = probe.getsockname()[1]
with open(f"{root}/conf/janus.jcfg", "w") as file:
    others = ["sip", "lua", "duktape", "voicemail", "textroom", "recordplay", "videoroom", "videocall", "echotest", "streaming", "nosip"]
    transports = ["mqtt", "nanomsg", "pfunix", "rabbitmq", "websockets"]
    disable = lambda names: '{ disable = "' + ",".join(f"libjanus_{name}.so" for name in names) + '" }'
    file.write('general: { configs_folder = "/conf"\n' + "".join(f'{each}_folder = "{library}/{each}"\n' for each in ("plugins", "transports", "events", "loggers")))
    file.write(f'interface = "127.0.0.1" }}\nplugins: {disable(others)}\ntransports: {disable(transports)}\n')
with open(f"{root}/conf/janus.transport.http.jcfg", "w") as file:
    file.write(f'general: {{ json = "compact"\nbase_path = "/janus"\nhttp = true\nip = "127.0.0.1"\nport = {api}\nhttps = false }}\nadmin: {{ admin_http = false }}\n')
with open(f"{root}/conf/janus.plugin.audiobridge.jcfg", "w") as file:
    file.write('general: { local_ip = "127.0.0.1" }\n')

TONE = (b"\x2a" * 4 + b"\xaa" * 4) * 20  # 1 kHz, loud, PCMA
QUIET = b"\xd5" * 160
is_tone = lambda packet: sum(each in (0x2A, 0xAA) for each in packet[12:]) > 80

def udp(port=0):
    each = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    each.bind(("127.0.0.1", port))
    each.setblocking(False)
    return each

def received(each):
    while True:
        try:
            yield each.recv(2048)
        except OSError:
            return

def ask(path, **body):
    request = urllib.request.Request(f"http://127.0.0.1:{api}/janus{path}", json.dumps({**body, "transaction": "1"}).encode(), {"Content-Type": "application/json"})
    return json.load(urllib.request.urlopen(request, timeout=10))

def attach(session):
    return ask(f"/{session}", janus="attach", plugin="janus.plugin.audiobridge")["data"]["id"]

def say(session, handle, **body):
    return ask(f"/{session}/{handle}", janus="message", body=body)

def join(session, room, port):
    """The port of the bridge for this participant."""
    handle = attach(session)
    say(session, handle, request="join", room=room, codec="pcma", rtp={"ip": "127.0.0.1", "port": port, "payload_type": 8})
    for _ in range(20):
        event = json.load(urllib.request.urlopen(f"http://127.0.0.1:{api}/janus/{session}?maxev=1", timeout=40))
        if event.get("janus") == "event" and event.get("sender") == handle:
            return event["plugindata"]["data"]["rtp"]["port"]
    raise OSError("no answer to the join")

def closed(session, room, seconds):
    """(hears the tone, is heard, participants listed) 10 s after its port was closed for some seconds; None: not before either"""
    owner = attach(session)
    say(session, owner, request="create", room=room, sampling_rate=8000, allow_rtp_participants=True)
    a, b = udp(), udp()
    port = a.getsockname()[1]
    to_a, to_b = join(session, room, port), join(session, room, b.getsockname()[1])
    at = time.monotonic()
    hears = heard = 0
    gone = range(100, 100 + int(seconds * 50))
    for number in range(gone.stop + 500):
        if number == gone.start:
            if not hears or not heard:
                return None
            a.close()
        if number == gone.stop:
            a = udp(port)
        if number == gone.stop + 400:
            hears = heard = 0
        # Both sound in turns: what a hears is b's tone, what b hears is a's.
        first = number // 25 % 2 == 0
        header = lambda ssrc: struct.pack(">BBHII", 0x80, 8, number, 160 * number, ssrc)
        if number not in gone:
            a.sendto(header(1) + (TONE if first else QUIET), ("127.0.0.1", to_a))
            hears += sum(map(is_tone, received(a)))
        b.sendto(header(2) + (QUIET if first else TONE), ("127.0.0.1", to_b))
        heard += sum(map(is_tone, received(b)))
        at += 0.02
        time.sleep(max(0, at - time.monotonic()))
    listed = say(session, owner, request="listparticipants", room=room)["plugindata"]["data"]["participants"]
    a.close()
    b.close()
    return hears > 10, heard > 10, len(listed)

with open(log, "w") as output:
    process = subprocess.Popen(["chroot", root, "/usr/bin/janus", "-F", "/conf", "-o"], stdin=subprocess.DEVNULL, stdout=output, stderr=output)
try:
    for _ in range(100):
        try:
            session = ask("", janus="create")["data"]["id"]
            break
        except OSError:
            time.sleep(0.2)
    else:
        sys.exit(2)
    seen = {seconds: closed(session, 1000 + number, seconds) for number, seconds in enumerate((0.5, 4))}
finally:
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
for seconds, result in seen.items():
    if result is None:
        print("not heard before")
        sys.exit(2)
    hears, heard, listed = result
    print(f"  closed for {seconds} s: hears {'the tone' if hears else 'nothing'}, is {'' if heard else 'not '}heard{', has left the room' if listed == 1 else ''}")
sys.exit(0 if seen == {0.5: (True, True, 2), 4: (False, False, 1)} else 1)
PY
timeout 120 python3 "$work/try.py" "$work/root" "$work/janus.log"
