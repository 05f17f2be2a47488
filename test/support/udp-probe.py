"""UDP packets as no socket of Node can send them, and what arrives on a device.

    udp-probe.py send FROM PORT TO PORT PAYLOAD(hex)[,PAYLOAD…] [ttl=N] [tos=N] [nochecksum] [options] [bytes=N]
    udp-probe.py watch DEVICE     a line of JSON for each UDP and ICMP packet
"""
import json
import socket
import struct
import sys

SO_NO_CHECK = 11  # linux/socket.h
ETH_P_ALL = 3
PACKET_OUTGOING = 4


def send(source, sport, target, dport, payload, *settings):
    v6 = ":" in target
    udp = socket.socket(socket.AF_INET6 if v6 else socket.AF_INET, socket.SOCK_DGRAM)
    for setting in settings:
        name, _, value = setting.partition("=")
        if name == "ttl":
            option = (socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS) if v6 else (socket.IPPROTO_IP, socket.IP_TTL)
            udp.setsockopt(*option, int(value))
        elif name == "tos":
            option = (socket.IPPROTO_IPV6, socket.IPV6_TCLASS) if v6 else (socket.IPPROTO_IP, socket.IP_TOS)
            udp.setsockopt(*option, int(value))
        elif name == "nochecksum":
            udp.setsockopt(socket.SOL_SOCKET, SO_NO_CHECK, 1)
        elif name == "options":  # four times "no operation" (RFC 791 section 3.1)
            udp.setsockopt(socket.IPPROTO_IP, socket.IP_OPTIONS, b"\x01\x01\x01\x01")
    udp.bind((source, int(sport)))
    for one in payload.split(","):
        data = bytes.fromhex(one)
        for setting in settings:
            if setting.startswith("bytes="):
                data = data.ljust(int(setting[6:]), b"\x55")
        udp.sendto(data, (target, int(dport)))


def fold(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def describe(frame):
    """None for what is neither UDP nor ICMP."""
    kind = struct.unpack("!H", frame[12:14])[0]
    if kind == 0x0800:
        ip = frame[14:]
        length = struct.unpack("!H", ip[2:4])[0]
        head = (ip[0] & 15) * 4
        tos, ttl, protocol = ip[1], ip[8], ip[9]
        addresses, family = ip[12:20], socket.AF_INET
        header_ok = fold(ip[:head]) == 0xFFFF
    elif kind == 0x86DD:
        ip = frame[14:]
        length = 40 + struct.unpack("!H", ip[4:6])[0]
        head = 40
        tos = struct.unpack("!H", ip[0:2])[0] >> 4 & 0xFF
        protocol, ttl = ip[6], ip[7]
        addresses, family = ip[8:40], socket.AF_INET6
        header_ok = True
    else:
        return None
    half = len(addresses) // 2
    source = socket.inet_ntop(family, addresses[:half])
    target = socket.inet_ntop(family, addresses[half:])
    body = ip[head:length]
    if protocol in (1, 58):
        return {"icmp": body[0], "from": source, "to": target}
    if protocol != 17:
        return None
    sport, dport, size, checksum = struct.unpack("!4H", body[:8])
    pseudo = addresses + struct.pack("!HH", 17, size)
    good = header_ok and (fold(pseudo + body) == 0xFFFF)
    return {
        "from": "%s %d" % (source, sport),
        "to": "%s %d" % (target, dport),
        "tos": tos,
        "ttl": ttl,
        "checksum": "none" if checksum == 0 else "good" if good else "bad",
        "payload": body[8:].hex(),
    }


def watch(device):
    tap = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    tap.bind((device, 0))
    print("ready", flush=True)
    while True:
        frame, address = tap.recvfrom(65536)
        if address[2] == PACKET_OUTGOING:
            continue
        found = describe(frame)
        if found is not None:
            print(json.dumps(found), flush=True)


{"send": send, "watch": watch}[sys.argv[1]](*sys.argv[2:])
