"""A daemon of a pair that has no calls: says what the parent asks of it, gives it a socket, and no more.

By SIGUSR1 the one that stands by tells of the end of the active process (argument: a file with its pid), behind so
many other messages that the parent learns of it as a child's end first.
"""

import os
import signal
import socket
import sys
import threading
import time

role, channel = os.environ["RTPRELAY_PAIR"].split()
notifications = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
notifications.connect("\0" + os.environ["NOTIFY_SOCKET"][1:])
parent = os.getppid()


def say(text):
    # In one piece: others write to the same pipe.
    os.write(1, f"{text} {os.getpid()}\n".encode())


def listen():
    orders = socket.socket(fileno=int(channel))
    while True:
        order = orders.recv(1)
        if order == b"":
            os._exit(1)
        if order == b"A":
            say("active")
            kept = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            socket.send_fds(notifications, [b"FDSTORE=1\nFDNAME=udp-%d" % os.getpid()], [kept.fileno()])
            notifications.send(b"READY=1\nSTATUS=active")
        if order == b"H":
            say("handed over")
            notifications.send(b"X_HANDED_OVER=1")
            os._exit(0)


def tell(*_):
    with open(sys.argv[1], encoding="ascii") as file:
        ended = file.read().strip()
    for _ in range(100):
        notifications.send(b"STATUS=standing by")
    notifications.send(f"X_ENDED={ended} 9".encode())
    say("told")


signal.signal(signal.SIGUSR1, tell)
signal.signal(signal.SIGHUP, signal.SIG_IGN)
threading.Thread(target=listen, daemon=True).start()
if role == "spare":
    notifications.send(b"READY=1")
    say("spare")
while os.getppid() == parent:
    time.sleep(0.1)
    notifications.send(b"WATCHDOG=1")
