"""The table of descriptors: what each number is, and what the kernel says of it now."""

import errno
import os
import re
import select
import socket
import stat
import struct
import termios
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from inspect import isroutine
from io import UnsupportedOperation
from operator import index
from typing import Any

from course_lib.ports import TCP_STATES

from . import elsewhere, libc
from .libc import Address

_TCP_INFO_SIZE = 32  # as far as tcpi_sacked (linux/tcp.h)
_TCP_INFO_UNACKED = 24
_SIOCOUTQ = 0x5411
_TELLS = hasattr(socket, "TCP_INFO") and hasattr(socket, "SO_DOMAIN")  # Linux tells a socket's family and TCP's state
_RDHUP = getattr(select, "POLLRDHUP", 0)  # only Linux has it
_ASKED = libc.POLLIN | libc.POLLOUT | _RDHUP
_GONE = libc.POLLHUP | _RDHUP | libc.POLLERR

_OF_SOCKETS = ("peer", "state", "accept_queue", "send_queue")  # what other things have not, or not all of them

_EVENTS = ("IN", "PRI", "OUT", "ERR", "HUP", "NVAL", "RDHUP", "EXCLUSIVE", "ONESHOT", "ET")


def event_names(events: int, of: str) -> str:
    """The names of the event bits, as poll(2) or epoll_ctl(2) writes them; `of` is "POLL" or "EPOLL"."""
    bits = ((of + event, getattr(select, of + event, 0)) for event in _EVENTS)
    return " | ".join(name for name, bit in bits if events & bit)


@dataclass(frozen=True, slots=True)
class Watcher:
    """One entry of an epoll's interest list: which epoll, and for which events (epoll_ctl(2))."""

    epoll: int
    events: int

    @property
    def asked(self) -> str:
        """What the program asked for, in words: the kernel adds ERR and HUP to every interest."""
        return event_names(self.events & ~(select.EPOLLERR | select.EPOLLHUP), "EPOLL") or "nothing now"

    def __str__(self) -> str:
        return f"epoll {self.epoll}: {self.asked}"


@dataclass(frozen=True, slots=True)
class Descriptor:
    """One open descriptor as the kernel sees it at one moment.

    number          the descriptor, a non-negative integer
    kind            "listener", "connection", "socket" (TCP, neither yet), "datagram", "unix listener", "unix socket",
                    "pipe", "epoll", "eventfd", "file", "directory", "terminal", "device", …
    local, peer     (address, port); a path for what has a name in the file system; None where there is none
    blocking        False when O_NONBLOCK is set on its open file description (open(2))
    readable        a read, recv or accept would not sleep now (poll(2): POLLIN)
    writable        a write or send would not sleep now (POLLOUT)
    hangup          the peer has finished sending, or the connection is over (POLLRDHUP, POLLHUP, POLLERR)
    receive_queue   bytes that arrived and nobody has read (ioctl FIONREAD; ss counts a FIN as one more), or None
    send_queue      bytes sent that the peer's kernel has not acknowledged (ioctl SIOCOUTQ), or None
    accept_queue    of a listener: finished connections that nobody has accepted (tcp(7): TCP_INFO), else None
    state           TCP state ("LISTEN", "ESTABLISHED", "CLOSE_WAIT", …), or None
    watched_by      the epolls of this process that have it in their interest list (proc(5): fdinfo)
    """

    number: int
    kind: str
    local: Address | None
    peer: Address | None
    blocking: bool
    readable: bool
    writable: bool
    hangup: bool
    receive_queue: int | None
    send_queue: int | None
    accept_queue: int | None
    state: str | None
    watched_by: tuple[Watcher, ...]


def descriptors(of: Any = None) -> list[Descriptor]:
    """What the kernel says now of a socket (or anything with `fileno()`, or a number), of several, or of the whole process.

    of      None: every open descriptor of this process. One thing, or an iterable of things. A thing may also be a server with
            `.sockets` or a `.socket` (asyncio's and others), or a selector. Of a dict its keys are meant where they are sockets
            and the like, else its values.
    Returns one Descriptor for each that is open, in the order of their numbers; what is closed is left out.
    Raises TypeError for what has no descriptor.
    """
    looks = _looks(numbers_in(of))
    return _described(looks, Interests(epolls(but={number for number, (mode, _) in looks.items() if stat.S_ISSOCK(mode)})))


def numbers_in(of: Any) -> list[int]:
    """The open descriptors of what `descriptors()` takes, lowest first. Raises TypeError as that does."""
    return open_numbers() if of is None else sorted({n for thing in _several(of) for n in numbers_of(thing)})


def described(numbers: Iterable[int], watchers: "Interests") -> list[Descriptor]:
    """The same of open numbers, and of the epolls that watch them, with interest lists that were read before; in order."""
    rows = _described(_looks(numbers), watchers)
    watching = {watcher.epoll for row in rows for watcher in row.watched_by}
    epolls = [row for row in _described(_looks(watching), watchers) if row.kind == "epoll"]
    return sorted(rows + epolls, key=lambda row: row.number)


def _looks(numbers: Iterable[int]) -> dict[int, tuple[int, int]]:
    """(mode, inode) of those that are open."""
    return {number: look for number in numbers if (look := _nature_of(number))}


def _described(looks: dict[int, tuple[int, int]], watchers: "Interests") -> list[Descriptor]:
    bits = libc.poll(list(looks), _ASKED)
    found = (_describe(number, *look, bits.get(number, 0), watchers) for number, look in looks.items())
    return [row for row in found if row is not None]


def open_numbers() -> list[int]:
    """The numbers of this process's open descriptors, lowest first."""
    if not libc.HAS_PROC:
        return sorted(_looks(elsewhere.candidates()))
    numbers = libc.numbers("/proc/self/fd")
    bits = libc.poll(numbers, 0)
    # What poll does not take is closed, such as the descriptor of the folder that lists them, or a mere place (open(2): O_PATH).
    return [number for number in numbers if not bits.get(number, 0) & libc.POLLNVAL or _nature_of(number)]


def _several(of: Any) -> Iterable:
    try:
        return numbers_of(of)
    except TypeError as error:
        if not is_a(of, Iterable) or is_a(of, (str, bytes, bytearray, memoryview)):
            raise TypeError(f"observe a socket, a file, a descriptor's number or a list of these: {error}") from None
    return things_in(of)


# Where things hold their sockets: servers (asyncio, gevent, trio, tornado, uvicorn, aiohttp, multiprocessing …), streams, clients,
# an asyncio loop its epoll, a selector's key its descriptor. What is a connection has a server as well, which comes later.
_HOLD = (
    *"sockets socket _sockets servers sites transport connection server".split(),
    *"_server _listener _socket sock _sock _transport _selector fd".split(),
)
_DEEP = 4  # things in things: a runner's site has a server with a socket


def numbers_of(thing: Any, deep: int = _DEEP) -> list[int]:
    """The open descriptors of one thing now: of a number, of what has a fileno(), of what holds such things.

    A server tells them by `.sockets`, `.socket` or another name of `_HOLD`, a selector without a descriptor of its own by
    `get_map()`, a transport or stream by `get_extra_info()`, a server of the course by `numbers()`. Raises TypeError for anything
    else.
    """
    with suppress(Exception):  # of what it holds, or of somebody else's making: the sentence names what was passed
        if attribute(thing, "doing") and attribute(thing, "numbers"):
            return list(thing.numbers())
        if attribute(thing, "fileno") or attribute(thing, "__index__") and not is_a(thing, bool):
            number = number_of(thing)
            return [number] if number >= 0 else []
        if deep and (held := _held_by(thing, deep)) is not None:
            return [number for each in held for number in numbers_of(each, deep - 1)]
    raise _none(thing)


def things_in(many: Iterable, deep: int = _DEEP) -> Iterable:
    """The things in a list; of a mapping its keys where they have descriptors, else its values. A bare number is the last choice."""
    if not isinstance(many, Mapping):
        return many
    keys, values = list(many), list(many.values())
    for side in keys, values:
        if any(not attribute(each, "__index__") and _has_descriptors(each, deep) for each in side):
            return side
    return keys if any(attribute(key, "__index__") for key in keys) else values


def _has_descriptors(thing: Any, deep: int) -> bool:
    try:
        numbers_of(thing, deep)
        return True
    except TypeError:
        return False


def _held_by(thing: Any, deep: int) -> list | None:
    """The things with descriptors that this one holds; None where it tells of none."""
    if attribute(thing, "get_map"):
        return list((thing.get_map() or {}).values())
    if attribute(thing, "get_extra_info"):
        return [thing.get_extra_info("socket") or thing.get_extra_info("pipe")]
    # A method of such a name makes a socket.
    found = next((held for name in _HOLD if (held := attribute(thing, name)) is not None and not isroutine(held)), None)
    if isinstance(found, Mapping):
        return list(things_in(found, deep - 1))
    return None if found is None else list(found) if isinstance(found, (list, tuple, set)) else [found]


def attribute(thing: Any, name: str) -> Any:
    """An attribute of anybody's object; None where it has none, or does not give it."""
    try:
        return getattr(thing, name, None)
    except Exception:  # a property of somebody else's
        return None


def is_a(thing: Any, kind: Any) -> bool:
    """isinstance() of anybody's object; False where it does not tell, as a weakref.proxy of what is gone."""
    try:
        return isinstance(thing, kind)
    except Exception:
        return False


def number_of(thing: Any) -> int:
    """The number itself, or that of something with a fileno(); -1 when it is closed. Raises TypeError for anything else."""
    try:
        number = index(thing if attribute(thing, "__index__") else thing.fileno())
    except UnsupportedOperation:
        raise _none(thing) from None
    except ValueError:  # a closed file object
        return -1
    except Exception as error:
        if getattr(error, "errno", None) == errno.EBADF:
            return -1
        raise _none(thing) from None
    return number if number < 1 << 31 else -1  # an int of C


def _none(thing: Any) -> TypeError:
    name = type(thing).__name__
    if attribute(thing, "__class__") is None:  # a proxy
        return TypeError(f"what this {name} stands for is gone")
    if attribute(thing, "run_until_complete"):  # as uvloop's
        return TypeError(f"this {name} has no selector to ask: pass its servers, streams or sockets")
    return TypeError(f"this {name} has no descriptor now")


def _nature_of(number: int) -> tuple[int, int] | None:
    """(mode, inode) of what it names; None when it is closed."""
    try:
        return libc.mode_and_inode(number)
    except OSError:
        return None


def _describe(number: int, mode: int, inode: int, bits: int, watchers: "Interests") -> Descriptor | None:
    """None when the descriptor was closed while we looked."""
    try:
        blocking = os.get_blocking(number)
        if stat.S_ISSOCK(mode) and not bits & libc.POLLNVAL:
            named = _socket(number, inode, bits) if _TELLS else elsewhere.socket_row(number, bool(bits & _GONE))
        else:
            named = _other(number, mode, libc.readlink(f"/proc/self/fd/{number}") if libc.HAS_PROC else "")
    except OSError:
        return None
    return Descriptor(
        number=number,
        blocking=blocking,
        readable=bool(bits & libc.POLLIN),
        writable=bool(bits & libc.POLLOUT),
        hangup=bool(bits & _GONE),
        watched_by=watchers.of(number, inode),
        **dict.fromkeys(_OF_SOCKETS) | named,
    )


def _socket(number: int, inode: int, bits: int) -> dict:
    family, type_ = _nature(inode, number)
    internet, state, accept_queue = family in (socket.AF_INET, socket.AF_INET6), None, None
    if internet and type_ == socket.SOCK_STREAM:
        info = libc.option_bytes(number, socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_SIZE)
        state = TCP_STATES[info[0]] if info[0] < len(TCP_STATES) else str(info[0])
        if state == "LISTEN":
            kind, accept_queue = "listener", struct.unpack_from("I", info, _TCP_INFO_UNACKED)[0]
        else:
            # A connection that was reset is in state CLOSE like a new socket, but it has hung up.
            kind = "socket" if state == "CLOSE" and not bits & _RDHUP else "connection"
    elif internet or type_ == socket.SOCK_DGRAM:
        kind = "datagram"
    elif family == socket.AF_UNIX:
        listening = libc.option(number, socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
        kind = "unix listener" if listening else "unix socket"
    else:
        kind = "other socket"
    local, peer = _addresses(inode, number)
    listening = kind.endswith("listener")
    return dict(
        kind=kind,
        local=local,
        peer=peer,
        state=state,
        accept_queue=accept_queue,
        receive_queue=None if listening else libc.ioctl(number, termios.FIONREAD),
        send_queue=None if listening else libc.ioctl(number, _SIOCOUTQ),
    )


@lru_cache(maxsize=1 << 16)
def _nature(inode: int, number: int) -> tuple[int, int]:
    """(family, type): fixed for the life of a socket, which its inode names."""
    return (
        libc.option(number, socket.SOL_SOCKET, socket.SO_DOMAIN),
        libc.option(number, socket.SOL_SOCKET, socket.SO_TYPE),
    )


_connected: dict[int, tuple[Address | None, Address]] = {}  # inode -> (local, peer)


def _addresses(inode: int, number: int) -> tuple[Address | None, Address | None]:
    """Its addresses. Those of a connection never change, and are remembered: a reset one has forgotten its peer."""
    if inode in _connected:
        return _connected[inode]
    local, peer = libc.local_address(number), libc.peer_address(number)
    if peer is not None:
        if len(_connected) >= 1 << 16:
            _connected.clear()
        _connected[inode] = local, peer
    return local, peer


_KINDS = {
    stat.S_IFIFO: "pipe",
    stat.S_IFREG: "file",
    stat.S_IFLNK: "file",  # by O_PATH (open(2))
    stat.S_IFSOCK: "socket",
    stat.S_IFDIR: "directory",
}


def kind_of(target: str, mode: int) -> str | None:
    """The kind of what a number names, by what it is a link to in /proc; None for a terminal or another device."""
    if target.startswith("anon_inode:"):
        name = target.removeprefix("anon_inode:").strip("[]")
        return "epoll" if name == "eventpoll" else name
    return _KINDS.get(stat.S_IFMT(mode))


def _other(number: int, mode: int, target: str) -> dict:
    kind = kind_of(target, mode) or ("terminal" if os.isatty(number) else "device")
    if stat.S_ISSOCK(mode):  # opened by O_PATH (open(2)): a place in the file system
        kind = "file"
    queue = libc.ioctl(number, termios.FIONREAD) if kind in ("pipe", "terminal") else None
    return dict(kind=kind, local=target if target.startswith("/") else None, receive_queue=queue)


class Interests:
    """The interest lists of some epolls, as they were when they were read (proc(5)).

    They are kept small: a panel holds those of ten thousand sockets while the memory of a socket is being measured.
    """

    def __init__(self, epolls: Iterable[int], folder: str = "/proc/self/fdinfo") -> None:
        self._of: dict[Watcher, set[int]] = {}  # whom it watches: number and inode in one int
        for epoll in epolls:
            watched: dict[int, set[int]] = {}
            for number, events, inode in interests(epoll, folder):
                if events not in watched:
                    watched[events] = self._of[Watcher(epoll, events)] = set()
                watched[events].add(_name(number, inode))

    def of(self, number: int, inode: int) -> tuple[Watcher, ...]:
        """Who watches it. The inode tells it from an older one that had the same number and lives on in a duplicate."""
        name = _name(number, inode)
        return tuple(watcher for watcher, watched in self._of.items() if name in watched)


def _name(number: int, inode: int) -> int:
    return inode << 32 | number


def interests(epoll: int, folder: str = "/proc/self/fdinfo") -> Iterator[tuple[int, int, int]]:
    """The interest list of an epoll: (number, events, inode) of each entry, as far as the epoll is open."""
    with suppress(OSError):  # closed meanwhile
        for piece in libc.pieces(f"{folder}/{epoll}"):
            for number, events, inode in _ENTRY.findall(piece):
                yield int(number), int(events, 16), int(inode, 16)


def zombies(epoll: int) -> list[tuple[int, Watcher]]:
    """Entries of an interest list whose number was closed, and which fire on: the open file description lives on in a duplicate
    (epoll(7), questions and answers). Each with the number under which it was entered, which may name something else by now.
    """
    return [
        (number, Watcher(epoll, events))
        for number, events, inode in interests(epoll)
        if (look := _nature_of(number)) is None or look[1] != inode
    ]


def epolls(but: Collection[int] = ()) -> list[int]:
    """The numbers of this process's epolls; `but` are numbers that need not be asked."""
    return [number for number in open_numbers() if number not in but and is_epoll(number)]


_ENTRY = re.compile(rb"^tfd: *(\d+) events: *([0-9a-f]+) .*\bino: *([0-9a-f]+)", re.MULTILINE)


def is_epoll(number: int) -> bool:
    """True for the descriptor of an epoll of this process."""
    look = _nature_of(number)
    if look is None or stat.S_ISSOCK(look[0]):
        return False
    with suppress(OSError):
        return libc.readlink(f"/proc/self/fd/{number}") == "anon_inode:[eventpoll]"
    return False
