"""A mirrored port that tags: sends every UDP datagram of IPv4 that leaves by the first device on by the second,
in a VLAN.

    tagged-mirror.py FROM TO ID
"""

import socket
import struct
import sys

ETH_P_ALL = 3
PACKET_OUTGOING = 4
SO_RCVBUFFORCE = 33
VLAN = 0x8100
IPV4 = b"\x08\x00"
UDP = 17
BUFFER = 16 * 1024 * 1024


def open_device(name: str) -> socket.socket:
    opened = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    opened.bind((name, 0))
    # It is a switch that does not wait for a processor.
    opened.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER)
    return opened


def main() -> None:
    source, target = open_device(sys.argv[1]), open_device(sys.argv[2])
    tag = struct.pack("!HH", VLAN, int(sys.argv[3]))
    print("mirrors", flush=True)
    while True:
        frame, address = source.recvfrom(65536)
        if address[2] == PACKET_OUTGOING and frame[12:14] == IPV4 and frame[23] == UDP:
            target.send(frame[:12] + tag + frame[12:])


main()
