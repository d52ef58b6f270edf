"""Short questions to the kernel that are answered without letting go of Python's lock (the GIL).

Python lets it go around each system call, and beside a busy thread waits up to 5 ms to have it back: a look at two
hundred sockets would take seconds. None of these calls sleeps, so they keep it (ctypes.PyDLL).

A descriptor is only borrowed here: a `socket.socket` made for its number would close it when it dies, and a duplicate
would take the lowest free number away from the program that is being observed.
"""

import ctypes
import os
import re
import resource
import socket
import struct
from array import array
from collections.abc import Iterator
from typing import Any

Address = tuple[str, int] | str

POLLIN, POLLOUT, POLLERR, POLLHUP, POLLNVAL = 0x1, 0x4, 0x8, 0x10, 0x20  # poll.h; some Pythons have a select without poll
HAS_PROC = os.path.exists("/proc/self/fd")  # macOS has no /proc, and some containers hide it

_libc = ctypes.PyDLL(None, use_errno=True)
_libc.opendir.restype = _libc.readdir.restype = ctypes.c_void_p
_libc.readdir.argtypes = _libc.closedir.argtypes = [ctypes.c_void_p]
_NAME = 19  # offset of d_name in struct dirent on 64-bit Linux
_LONGEST_ADDRESS = 128  # sizeof(struct sockaddr_storage)
_PAGE = 1 << 14
_LONGEST_TARGET = 4096
_STATX_MODE = 28
_STATX_TYPE_AND_INODE = 0x1 | 0x100
_AT_EMPTY_PATH = 0x1000
_PIDFD_GETFD = 438  # on every machine (asm-generic/unistd.h)


def read(path: str) -> str:
    """A file of /proc, whole. Raises OSError as open(2) and read(2) do."""
    return b"".join(pieces(path)).decode(errors="replace")


def pieces(path: str) -> Iterator[bytes]:
    """The same in pieces of whole lines: the interest list of an epoll has some 80 bytes for each entry."""
    number = _checked(_libc.open(path.encode(), os.O_RDONLY | os.O_CLOEXEC))
    try:
        page, size, rest = (ctypes.c_char * _PAGE)(), _PAGE, b""
        while size == _PAGE:  # one that is not full was the last
            size = _checked(_libc.read(number, page, _PAGE))
            piece = rest + ctypes.string_at(page, size)
            end = piece.rfind(b"\n") + 1 if size == _PAGE else len(piece)
            rest = piece[end:]
            yield piece[:end]
    finally:
        _libc.close(number)


def readlink(path: str) -> str:
    """Where a symbolic link points. Raises OSError as readlink(2) does."""
    for room in (128, _LONGEST_TARGET):
        target = ctypes.create_string_buffer(room)
        size = _checked(_libc.readlink(path.encode(), target, room))
        if size < room:
            break
    return os.fsdecode(target.raw[:size])


def mode_and_inode(number: int) -> tuple[int, int]:
    """What kind of thing a descriptor names (st_mode), and its inode. Raises OSError as fstat(2) does."""
    if not hasattr(_libc, "statx"):  # a C library from before 2018
        status = os.fstat(number)
        return status.st_mode, status.st_ino
    found = _Statx()
    _checked(_libc.statx(number, b"", _AT_EMPTY_PATH, _STATX_TYPE_AND_INODE, found))
    return _MODE_AND_INODE.unpack_from(found, _STATX_MODE)


_Statx = ctypes.c_char * 256  # struct statx (statx(2)), the same on every machine
_MODE_AND_INODE = struct.Struct("=H2xQ")


def names(folder: str) -> list[str]:
    """The names in a folder, without those that begin with a dot. Raises OSError as opendir(3) does."""
    handle = _libc.opendir(folder.encode())
    if not handle:
        _checked(-1)
    found, read_one, text = [], _libc.readdir, ctypes.string_at
    while entry := read_one(handle):
        found.append(text(entry + _NAME))
    _libc.closedir(handle)
    return [os.fsdecode(name) for name in found if name[0] != 46]  # "."


def numbers(folder: str) -> list[int]:
    """What a folder fd or task of /proc lists, lowest first. Raises OSError as opendir(3) does."""
    return sorted(map(int, names(folder)))


def duplicate(process: int, number: int) -> int:
    """A duplicate of a descriptor of another process, which a pidfd names. Raises OSError as pidfd_getfd(2) does."""
    return _checked(_libc.syscall(_PIDFD_GETFD, process, number, 0))


def ioctl(number: int, request: int) -> int | None:
    """The integer that an ioctl(2) gives; None where the descriptor has no such thing."""
    value = ctypes.c_int()
    return None if _libc.ioctl(number, ctypes.c_ulong(request), ctypes.byref(value)) < 0 else value.value


def option(number: int, level: int, name: int) -> int:
    """The value of an integer socket option. Raises OSError as getsockopt(2) does."""
    return int(struct.unpack("i", option_bytes(number, level, name, 4))[0])


def option_bytes(number: int, level: int, name: int, size: int) -> bytes:
    """The first `size` bytes of a socket option. Raises OSError as getsockopt(2) does."""
    value, length = (ctypes.c_char * size)(), ctypes.c_uint(size)
    _checked(_libc.getsockopt(number, level, name, value, ctypes.byref(length)))
    return value.raw


def poll(numbers: list[int], events: int) -> dict[int, int]:
    """What poll(2) finds now, without waiting: {number: event bits} of those that have any. `events` is asked of each."""
    answers = _poll(numbers, events)[1::2]
    return {number: answer >> 16 for number, answer in zip(numbers, answers) if answer >> 16}


def poll_unlike(numbers: list[int], events: int, usual: int) -> dict[int, int]:
    """The same, of those whose answer is not `usual` (one byte, not 0): for many of whom few have something to say."""
    found = _poll(numbers, events).tobytes()
    low, high = found[6::8], found[7::8]  # the two bytes of each revents
    # Other bytes are searched for in C: a line of Python for each number would take longer than poll itself.
    places = {match.start() for match in re.finditer(b"[^%s]" % re.escape(bytes([usual])), low, re.DOTALL)}
    places.update(match.start() for match in re.finditer(rb"[^\0]", high, re.DOTALL))
    return {numbers[place]: low[place] | high[place] << 8 for place in places}


def _poll(numbers: list[int], events: int) -> array:
    asked = array("I", [0]) * (2 * len(numbers))  # struct pollfd: int fd; short events; short revents
    asked[::2], asked[1::2] = array("I", numbers), array("I", [events]) * len(numbers)
    begin, most = asked.buffer_info()[0], resource.getrlimit(resource.RLIMIT_NOFILE)[0]  # poll(2) takes no more at a time
    most = most if most > 0 else len(numbers) or 1  # no limit
    for first in range(0, len(numbers), most):
        _checked(_libc.poll(ctypes.c_void_p(begin + 8 * first), ctypes.c_ulong(min(most, len(numbers) - first)), 0))
    return asked


def local_address(number: int) -> Address | None:
    """The address the socket is bound to, or None. Raises OSError as getsockname(2) does."""
    return _address(_libc.getsockname, number)


def peer_address(number: int) -> Address | None:
    """The address of the other end, or None where there is no other end (getpeername(2): ENOTCONN)."""
    try:
        return _address(_libc.getpeername, number)
    except OSError:
        return None


def _address(ask: Any, number: int) -> Address | None:
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
