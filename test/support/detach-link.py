"""Detaches a pinned BPF link, as an operator would by `bpftool link detach pinned FILE`; with a second
argument removes everything that is pinned beside it, and the folder, so that nothing can be pinned there any more."""
import ctypes
import os
import platform
import struct
import sys

BPF_OBJ_GET, BPF_LINK_DETACH = 7, 34
NUMBER = {"x86_64": 321, "aarch64": 280}[platform.machine()]
libc = ctypes.CDLL(None, use_errno=True)


def bpf(command, attributes):
    buffer = ctypes.create_string_buffer(attributes.ljust(128, b"\0"), 128)
    result = libc.syscall(NUMBER, command, buffer, 128)
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


path = ctypes.create_string_buffer(sys.argv[1].encode())
link = bpf(BPF_OBJ_GET, struct.pack("=QII", ctypes.addressof(path), 0, 0))
bpf(BPF_LINK_DETACH, struct.pack("=I", link))
if len(sys.argv) > 2:
    folder = os.path.dirname(sys.argv[1])
    for name in os.listdir(folder):
        os.unlink(os.path.join(folder, name))
    os.rmdir(folder)
