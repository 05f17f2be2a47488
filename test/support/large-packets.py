"""Relays packets of several sizes between two phones and prints how each came, one line of JSON.

Arguments: the daemon's program, --port-mode, the address of everything. To be run in a network
namespace of its own.
"""
import json
import os
import re
import socket
import subprocess
import sys
import time

PROGRAM, MODE, ADDRESS = sys.argv[1:]
IPV6 = ":" in ADDRESS
FAMILY = socket.AF_INET6 if IPV6 else socket.AF_INET
NG = ("127.0.0.1", 2223)
TRIES = 100


def phone():
    made = socket.socket(FAMILY, socket.SOCK_DGRAM)
    made.bind((ADDRESS, 0))
    made.settimeout(10)
    if IPV6:
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVTCLASS, 1)
    else:
        made.setsockopt(socket.IPPROTO_IP, 13, 1)  # IP_RECVTOS
    return made


def ask(control, keys):
    keys = sorted(keys.items())
    body = "".join(f"{len(key)}:{key}{len(value)}:{value}" for key, value in keys)
    for _ in range(TRIES):
        control.sendto(f"c{len(body)} d{body}e".encode(), NG)
        try:
            return control.recv(65000).decode()
        except OSError:
            time.sleep(0.1)
    raise SystemExit("no reply")


def sdp(of):
    origin = f"IN {'IP6' if IPV6 else 'IP4'} {ADDRESS}"
    port = of.getsockname()[1]
    return f"v=0\r\no=- 1 1 {origin}\r\ns=-\r\nc={origin}\r\nt=0 0\r\nm=audio {port} RTP/AVP 8\r\n"


def port_of(reply):
    return int(re.search(r"m=audio (\d+)", reply)[1])


def relay(control):
    caller, callee = phone(), phone()
    call = {"call-id": "one", "from-tag": "a"}
    back = port_of(ask(control, {"command": "offer", "sdp": sdp(caller), **call}))
    to = port_of(ask(control, {"command": "answer", "to-tag": "b", "sdp": sdp(callee), **call}))
    for size in (172, 1472, 1473, 3000, 8900):
        packet = bytes([0x80, 8, 0, 9]) + os.urandom(size - 4)
        caller.sendto(packet, (ADDRESS, to))
        got, marks, _, source = callee.recvmsg(9300, 200)
        yield {
            "size": size,
            "same": got == packet,
            "from": source[1] == back,
            "tos": [int.from_bytes(value, "little") for _, _, value in marks],
        }


def main():
    words = ["--config-file=none", "-f", "-E", f"--interface={ADDRESS}", "--listen-ng=127.0.0.1:2223"]
    words += ["--port-min=30000", "--port-max=30100", "--tos=184", f"--port-mode={MODE}"]
    daemon = subprocess.Popen([os.environ.get("NODE", "node"), PROGRAM, *words], stderr=subprocess.DEVNULL)
    control = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    control.settimeout(1)
    try:
        print(json.dumps(list(relay(control))))
    finally:
        daemon.terminate()
        daemon.wait(20)


main()
