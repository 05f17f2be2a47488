"""Many datagrams to a port of this machine, at a steady rate, from some sockets in turn.

    datagram-flood.py PORT PER_SECOND SECONDS SOCKETS PAYLOAD(hex) [PAYLOAD(hex)...]

`%d` in a payload is replaced by a number that counts. Prints how many were sent.
"""
import socket
import sys
import time

port, rate, seconds, count = (int(word) for word in sys.argv[1:5])
payloads = [bytes.fromhex(word) for word in sys.argv[5:]]
sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(count)]
for each in sockets:
    each.connect(("127.0.0.1", port))
started = time.monotonic()
sent = 0
while (passed := time.monotonic() - started) < seconds:
    # A sender that was held up does not make up for it.
    due = min(int(passed * rate) - sent, rate // 20)
    for _ in range(due):
        payload = payloads[sent % len(payloads)].replace(b"%d", b"%d" % sent)
        try:
            sockets[sent % count].send(payload)
        except OSError:
            pass
        sent += 1
    sent = max(sent, int(passed * rate) - rate // 20)
    time.sleep(0.002)
print(sent)
