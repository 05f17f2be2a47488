"""Changes addresses and links of one network namespace at once, and tells when: CLOCK_MONOTONIC, microseconds.

    agent.py DEVICE VIRTUAL-ADDRESS [VIRTUAL-IPV6-ADDRESS]

Orders come as lines on stdin:
    add          the virtual address to the device, then gratuitous ARP (again after 20 and 100 ms);
                 the IPv6 address before it, with unsolicited neighbour advertisements
    announce     gratuitous ARP alone (and advertisements)
    del          the virtual addresses
    down LINK    takes a link down
    up LINK      and up again
What happens is told on stdout as `WHAT MICROSECONDS`: `added`, `deleted` (also when another process
changed the address), `media` for the first UDP packet that came for the address after it had been
added, `announced`, `down`, `up`; `failed ORDER REASON`; `ready` in the beginning.
"""

import ctypes
import fcntl
import os
import select
import socket
import struct
import sys
import time

RTM_NEWADDR, RTM_DELADDR = 20, 21
REQUEST_ACK, CREATE_REPLACE = 0x0005, 0x0500
IFA_ADDRESS, IFA_LOCAL = 1, 2
RTMGRP_IPV4_IFADDR = 0x10
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 0x1
IFA_F_NODAD = 2
ADVERTISEMENT, OVERRIDE, TARGET_LINK_ADDRESS = 136, 0x20000000, 2
ETH_P_IP, ETH_P_ARP = 0x0800, 0x0806
PACKET_HOST, SKF_AD_PKTTYPE = 0, 0xFFFFF004
SO_ATTACH_FILTER, SO_TIMESTAMPNS = 26, 35
REPEATS = (0.02, 0.1)
# The event of the address may be read later than the first packet.
SLACK = 20_000


def now():
    return time.monotonic_ns() // 1000


def say(what, at=None):
    print(what, now() if at is None else at, flush=True)


def attribute(kind, value):
    return struct.pack("=HH", 4 + len(value), kind) + value


def media_socket(device, address):
    """UDP packets for the address. Open from the start: opening one takes milliseconds.

    Sent to this machine, that is: a bridge floods those of a machine whose link has gone.
    """
    media = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0)
    code = [
        (0x30, 0, 0, SKF_AD_PKTTYPE),
        (0x15, 0, 5, PACKET_HOST),
        (0x30, 0, 0, 9),  # ldb [9], the protocol
        (0x15, 0, 3, socket.IPPROTO_UDP),
        (0x20, 0, 0, 16),  # ld [16], the destination
        (0x15, 0, 1, struct.unpack("!I", address)[0]),
        (0x06, 0, 0, 64),
        (0x06, 0, 0, 0),
    ]
    program = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *line) for line in code))
    pointer = struct.pack("@HL", len(code), ctypes.addressof(program))
    media.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, pointer)
    media.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    # What nobody waits for is dropped here.
    media.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
    media.bind((device, ETH_P_IP))
    media.setblocking(False)
    return media


class Agent:
    def __init__(self, device, address, address6=None):
        self.device = device
        self.index = socket.if_nametoindex(device)
        self.address = socket.inet_aton(address)
        self.address6 = None if address6 is None else socket.inet_pton(socket.AF_INET6, address6)
        self.route = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
        self.route.bind((0, 0))
        self.events = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
        self.events.bind((0, RTMGRP_IPV4_IFADDR))
        self.arp = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0))
        self.arp.bind((device, 0))
        self.control = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.media = media_socket(device, self.address)
        self.wanted_since = None
        self.repeats = []

    def change_address(self, kind):
        if self.address6 is not None:
            self.change(kind, socket.AF_INET6, 128, self.address6)
        self.change(kind, socket.AF_INET, 32, self.address)

    def change(self, kind, family, length, address):
        """One netlink message and the kernel's answer to it."""
        flags = IFA_F_NODAD if family == socket.AF_INET6 else 0
        body = struct.pack("=BBBBI", family, length, flags, 0, self.index)
        body += attribute(IFA_LOCAL, address) + attribute(IFA_ADDRESS, address)
        flags = REQUEST_ACK | (CREATE_REPLACE if kind == RTM_NEWADDR else 0)
        self.route.send(struct.pack("=IHHII", 16 + len(body), kind, flags, 1, 0) + body)
        error = struct.unpack_from("=i", self.route.recv(4096), 16)[0]
        if error != 0:
            raise OSError(-error, os.strerror(-error))

    def announce(self):
        with open(f"/sys/class/net/{self.device}/address", encoding="ascii") as file:
            own = bytes.fromhex(file.read().strip().replace(":", ""))
        everyone = b"\xff" * 6
        frame = everyone + own + struct.pack("!H", ETH_P_ARP)
        frame += struct.pack("!HHBBH", 1, ETH_P_IP, 6, 4, 1) + own + self.address
        frame += everyone + self.address
        self.arp.send(frame)
        if self.address6 is not None:
            self.advertise(own)

    def advertise(self, own):
        """RFC 4861 section 7.2.6; the kernel fills in the checksum."""
        text = socket.inet_ntop(socket.AF_INET6, self.address6)
        with socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6) as raw:
            raw.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
            raw.bind((text, 0, 0, self.index))
            body = struct.pack("!BBHI", ADVERTISEMENT, 0, 0, OVERRIDE) + self.address6
            body += struct.pack("!BB", TARGET_LINK_ADDRESS, 1) + own
            raw.sendto(body, ("ff02::1", 0, 0, self.index))

    def link(self, name, up):
        request = struct.pack("16sH22x", name.encode(), 0)
        flags = struct.unpack_from("=H", fcntl.ioctl(self.control, SIOCGIFFLAGS, request), 16)[0]
        flags = flags | IFF_UP if up else flags & ~IFF_UP
        fcntl.ioctl(self.control, SIOCSIFFLAGS, struct.pack("16sH22x", name.encode(), flags))

    def obey(self, words):
        if words[0] == "add":
            self.change_address(RTM_NEWADDR)
            self.announce()
            self.repeats = [time.monotonic() + after for after in REPEATS]
        elif words[0] == "announce":
            at = now()
            self.announce()
            say("announced", at)
            self.watch(at)
        elif words[0] == "del":
            self.repeats = []
            self.change_address(RTM_DELADDR)
        elif words[0] in ("up", "down"):
            at = now()
            self.link(words[1], words[0] == "up")
            say(words[0], at)

    def address_changed(self):
        at = now()
        kind = struct.unpack_from("=H", self.events.recv(4096), 4)[0]
        # The message itself is not read further: the device has two addresses, one of them virtual.
        if kind == RTM_NEWADDR:
            say("added", at)
            self.watch(at - SLACK)
        elif kind == RTM_DELADDR:
            say("deleted", at)

    def watch(self, since):
        self.wanted_since = since

    def look(self):
        """Old packets are passed over."""
        while self.wanted_since is not None:
            try:
                _, ancillary, _, _ = self.media.recvmsg(64, 64)
            except BlockingIOError:
                return
            seconds, nanoseconds = struct.unpack("@ll", ancillary[0][2][:16])
            age = (time.time_ns() - seconds * 1_000_000_000 - nanoseconds) // 1000
            at = now() - age
            if at >= self.wanted_since:
                self.wanted_since = None
                say("media", at)

    def run(self):
        say("ready")
        pending = b""
        while True:
            sources = [sys.stdin.fileno(), self.events]
            if self.wanted_since is not None:
                sources.append(self.media)
            wait = max(0, self.repeats[0] - time.monotonic()) if self.repeats else None
            ready, _, _ = select.select(sources, [], [], wait)
            if self.repeats and time.monotonic() >= self.repeats[0]:
                self.repeats.pop(0)
                self.announce()
            if self.events in ready:
                self.address_changed()
            if self.media in ready:
                self.look()
            if sys.stdin.fileno() in ready:
                data = os.read(sys.stdin.fileno(), 4096)
                if data == b"":
                    return
                *lines, pending = (pending + data).split(b"\n")
                for line in lines:
                    words = line.decode().split()
                    try:
                        self.obey(words)
                    except OSError as error:
                        print("failed", line.decode(), error, flush=True)


Agent(*sys.argv[1:]).run()
