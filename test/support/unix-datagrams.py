"""A Unix datagram socket that is read only when told to: a system log that hangs.

    unix-datagrams.py PATH    on stdin `read`: all messages so far, as a JSON list on a line
"""
import json
import socket
import sys

sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
sock.bind(sys.argv[1])
sock.settimeout(0.02)
print("ready", flush=True)
for line in sys.stdin:
    messages = []
    while True:
        try:
            messages.append(sock.recv(65536).decode("latin1"))
        except TimeoutError:
            break
    print(json.dumps(messages), flush=True)
