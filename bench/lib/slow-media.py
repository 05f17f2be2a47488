"""Media of many calls, slowly: slow-media.py ADDRESS PORT SECONDS FILE, which has the relay's ports, ADDRESS:PORT a line.

Each gets an RTP packet every SECONDS, and every fourth time a receiver report with losses and jitter of its own (RFC 5761).
One socket sends all of it and takes what the relay sends back, unread. Says `ready` after the first round; runs until it is ended."""
import random, socket, struct, sys, time

here, seconds = (sys.argv[1], int(sys.argv[2])), float(sys.argv[3])
relay = [(host, int(port)) for host, port in (line.rsplit(":", 1) for line in open(sys.argv[4]).read().split())]
sending = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sending.bind(here)
chance = random.Random(1)
payload = bytes(160)
start, turn = time.monotonic(), 0
while True:
    for at, (host, port) in enumerate(relay):
        rtp = struct.pack(">BBHII", 0x80, 8, turn & 0xFFFF, turn * 160 & 0xFFFFFFFF, at + 1) + payload
        sending.sendto(rtp, (host, port))
        if turn % 4 == 3:
            lost = int(min(1.0, chance.expovariate(100)) * 255)
            # RFC 3550 section 6.4.2: of the other side's SSRC.
            report = struct.pack(">BBHIIB3xIIII", 0x81, 201, 7, at + 1, (at ^ 1) + 1, lost, turn, chance.randrange(400), 0, 0)
            sending.sendto(report, (host, port))
        if at % 50 == 49:
            time.sleep(max(0, start + (turn + (at + 1) / len(relay)) * seconds - time.monotonic()))
    if turn == 0:
        print("ready", flush=True)
    turn += 1
