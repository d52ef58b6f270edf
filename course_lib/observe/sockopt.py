"""Ask the kernel about a socket by its number, without owning it.

A `socket.socket` object made for a borrowed number would close it when it dies, and a duplicate would take
the lowest free number away from the program that is being observed. So these calls go to libc directly.
"""

import ctypes
import os
import socket
import struct

_libc = ctypes.CDLL(None, use_errno=True)
_LONGEST_ADDRESS = 128  # sizeof(struct sockaddr_storage)

Address = tuple[str, int] | str


def option(number: int, level: int, name: int) -> int:
    """The value of an integer socket option. Raises OSError as getsockopt(2) does."""
    return struct.unpack("i", option_bytes(number, level, name, 4))[0]


def option_bytes(number: int, level: int, name: int, size: int) -> bytes:
    """The first `size` bytes of a socket option. Raises OSError as getsockopt(2) does."""
    value, length = ctypes.create_string_buffer(size), ctypes.c_uint(size)
    _checked(_libc.getsockopt(number, level, name, value, ctypes.byref(length)))
    return value.raw


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


def _checked(result: int) -> None:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
