"""Makes pinned maps those of another layout: set-layout.py META-FILE LAYOUT (bpf(2))."""
import ctypes
import platform
import struct
import sys

MAP_LOOKUP, MAP_UPDATE, OBJ_GET = 1, 2, 7
NUMBER = {"x86_64": 321, "aarch64": 280}[platform.machine()]
libc = ctypes.CDLL(None, use_errno=True)


def bpf(command, attributes):
    room = ctypes.create_string_buffer(attributes, 128)
    result = libc.syscall(NUMBER, command, room, 128)
    if result < 0:
        raise OSError(ctypes.get_errno(), "bpf")
    return result


path = ctypes.create_string_buffer(sys.argv[1].encode())
fd = bpf(OBJ_GET, struct.pack("QII", ctypes.addressof(path), 0, 0))
key = ctypes.create_string_buffer(struct.pack("I", 0), 4)
value = ctypes.create_string_buffer(256)
place = (fd, ctypes.addressof(key), ctypes.addressof(value), 0)
bpf(MAP_LOOKUP, struct.pack("IxxxxQQQ", *place))
# The layout is the first number of flow_meta.
struct.pack_into("I", value, 0, int(sys.argv[2]))
bpf(MAP_UPDATE, struct.pack("IxxxxQQQ", *place))
