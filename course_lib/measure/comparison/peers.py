"""The servers that are compared: each answers with what it was sent, and each is a process of its own."""

import importlib.util
from collections.abc import Iterable
from dataclasses import dataclass

from .compiling import Programs

C = "c"


@dataclass(frozen=True)
class Peer:
    """What is compared.

    name         as it is asked for
    what         in words, for a table
    course       True for a server class of the course
    connections  with more than so many at once it is not asked, and `why` says why
    idle         the same for clients that say nothing
    """

    name: str
    what: str
    course: bool = False
    connections: int = 1 << 20
    idle: int = 1 << 20
    why: str = ""


PEERS: dict[str, Peer] = {
    peer.name: peer
    for peer in (
        Peer(C, "a loop on epoll in C: the practical limit"),
        Peer("epoll", "EpollServer", True),
        Peer("epoll, edges", "EpollServer(edge_triggered=True)", True),
        Peer("poll", "PollServer", True),
        Peer("select", "SelectServer", True, 900, 0, "select takes no descriptor from 1024 on (select(2))"),
        Peer("coroutine", "CoroutineServer, generators", True),
        Peer("coroutine, async def", "CoroutineServer(native=True)", True),
        Peer("uvloop protocol", "uvloop, a Protocol"),
        Peer("uvloop streams", "uvloop, streams"),
        Peer("asyncio protocol", "asyncio, a Protocol, as it comes: reads of 256 kB"),
        Peer("asyncio protocol, 4 kB", "asyncio, a Protocol, reads of 4 kB"),
        Peer("asyncio streams", "asyncio, streams, as they come: reads of 256 kB"),
        Peer("asyncio streams, 4 kB", "asyncio, streams, reads of 4 kB"),
        Peer("asyncio in a thread", "AsyncioServer: streams, reads of 256 kB", True),
        Peer("asyncio in a thread, 4 kB", "AsyncioServer(read_size=4096)", True),
        Peer("threads", "ThreadedServer", True, 1000, 1000, "a thread for each client: not tried with thousands"),
        Peer("nonblocking", "NonBlockingServer, which never sleeps", True, 500, 0, "it asks every idle client, without end"),
        Peer("blocking", "BlockingServer", True, 1, 0, "it serves one client at a time"),
        # What nobody would run, or maintain: the least that the model alone costs in Python. In the bare ones no answer is kept,
        # and no error met.
        Peer("epoll, inlined", "EpollServer's loop with its Connection written out: what the structure costs"),
        Peer("bare epoll loop", "a few lines of Python on epoll, nothing handled"),
        Peer("bare generators", "the same, a generator for each client"),
        Peer("bare generators, nested", "the same, which read and send in generators of their own: recv and send_all"),
        Peer("bare async def", "the same with async def, and an object to await"),
    )
}
BARE = ("epoll, inlined", "bare epoll loop", "bare generators", "bare generators, nested", "bare async def")


def missing(name: str, programs: Programs) -> str:
    """Why this one cannot run on this machine, or ""."""
    if name == C:
        return programs.why_not
    if name.startswith("uvloop") and importlib.util.find_spec("uvloop") is None:
        return "uvloop is not installed (pip install uvloop)"
    return ""


def chosen(names: Iterable[str]) -> list[Peer]:
    """The peers of these names, each once. Raises ValueError for a name that nobody has."""
    names = list(dict.fromkeys(names))
    if unknown := [name for name in names if name not in PEERS]:
        raise ValueError(f"there is no server {unknown[0]!r}; choose among: {'; '.join(PEERS)}")
    return [PEERS[name] for name in names]
