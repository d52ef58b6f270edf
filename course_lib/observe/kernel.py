"""Short questions to the kernel that are answered without letting go of Python's lock (the GIL).

Python lets it go around each system call, and beside a busy thread waits up to 5 ms to have it back: a look at two
hundred sockets would take seconds. None of these calls sleeps, so they keep it (ctypes.PyDLL).

A descriptor is only borrowed here: a `socket.socket` made for its number would close it when it dies, and a duplicate
would take the lowest free number away from the program that is being observed.
"""

import ctypes
import os
import socket
import struct
from array import array

Address = tuple[str, int] | str

_libc = ctypes.PyDLL(None, use_errno=True)
_libc.opendir.restype = _libc.readdir.restype = ctypes.c_void_p
_libc.readdir.argtypes = _libc.closedir.argtypes = [ctypes.c_void_p]
_NAME = 19  # offset of d_name in struct dirent on 64-bit Linux
_LONGEST_ADDRESS = 128  # sizeof(struct sockaddr_storage)
_PAGE = 1 << 16


def read(path: str) -> str:
    """The beginning (64 KB) of a small file, such as those in /proc. Raises OSError as open(2) and read(2) do."""
    number = _checked(_libc.open(path.encode(), os.O_RDONLY | os.O_CLOEXEC))
    page = ctypes.create_string_buffer(_PAGE)
    size = _libc.read(number, page, _PAGE)
    error = ctypes.get_errno()
    _libc.close(number)
    if size < 0:
        raise OSError(error, os.strerror(error), path)
    return ctypes.string_at(page, size).decode(errors="replace")


def readlink(path: str) -> str:
    """Where a symbolic link points. Raises OSError as readlink(2) does."""
    target = ctypes.create_string_buffer(4096)
    size = _checked(_libc.readlink(path.encode(), target, 4096))
    return os.fsdecode(target.raw[:size])


def names(folder: str) -> list[str]:
    """The names in a folder, without those that begin with a dot. Raises OSError as opendir(3) does."""
    handle = _libc.opendir(folder.encode())
    if not handle:
        _checked(-1)
    found = []
    while entry := _libc.readdir(handle):
        found.append(os.fsdecode(ctypes.string_at(entry + _NAME)))
    _libc.closedir(handle)
    return [name for name in found if not name.startswith(".")]


def ioctl(number: int, request: int) -> int | None:
    """The integer that an ioctl(2) gives; None where the descriptor has no such thing."""
    value = ctypes.c_int()
    return None if _libc.ioctl(number, ctypes.c_ulong(request), ctypes.byref(value)) < 0 else value.value


def option(number: int, level: int, name: int) -> int:
    """The value of an integer socket option. Raises OSError as getsockopt(2) does."""
    return struct.unpack("i", option_bytes(number, level, name, 4))[0]


def option_bytes(number: int, level: int, name: int, size: int) -> bytes:
    """The first `size` bytes of a socket option. Raises OSError as getsockopt(2) does."""
    value, length = ctypes.create_string_buffer(size), ctypes.c_uint(size)
    _checked(_libc.getsockopt(number, level, name, value, ctypes.byref(length)))
    return value.raw


def poll(numbers: list[int], events: int) -> dict[int, int]:
    """What poll(2) finds now, without waiting: {number: event bits} of those that have any. `events` is asked of each."""
    asked = array("I", [0]) * (2 * len(numbers))  # struct pollfd: int fd; short events; short revents
    asked[::2], asked[1::2] = array("I", numbers), array("I", [events]) * len(numbers)
    _checked(_libc.poll(ctypes.c_void_p(asked.buffer_info()[0]), ctypes.c_ulong(len(numbers)), 0))
    return {number: answer >> 16 for number, answer in zip(numbers, asked[1::2]) if answer >> 16}


def local_address(number: int) -> Address | None:
    """The address the socket is bound to, or None. Raises OSError as getsockname(2) does."""
    return _address(_libc.getsockname, number)


def peer_address(number: int) -> Address | None:
    """The address of the other end, or None where there is no other end (getpeername(2): ENOTCONN)."""
    try:
        return _address(_libc.getpeername, number)
    except OSError:
        return None


def _address(ask, number: int) -> Address | None:
    raw, length = ctypes.create_string_buffer(_LONGEST_ADDRESS), ctypes.c_uint(_LONGEST_ADDRESS)
    _checked(ask(number, raw, ctypes.byref(length)))
    found = raw.raw[: length.value]
    family = struct.unpack_from("H", found)[0]
    if family == socket.AF_INET:
        return socket.inet_ntop(family, found[4:8]), struct.unpack_from("!H", found, 2)[0]
    if family == socket.AF_INET6:
        return socket.inet_ntop(family, found[8:24]), struct.unpack_from("!H", found, 2)[0]
    if family == socket.AF_UNIX:
        path = found[2:]
        # An abstract name begins with a zero byte and is written with an @ (unix(7)).
        shown = b"@" + path[1:] if path[:1] == b"\0" else path.split(b"\0")[0]
        return os.fsdecode(shown) or None
    return None


def _checked(result: int) -> int:
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return result
