"""What a panel looks at: a server, or plain sockets that offer the same few questions and switches."""

import socket
from collections.abc import Iterable

from course_lib.clients import Bench, bench_of
from course_lib.observe import Descriptor, asleep_on, descriptors


class Sockets:
    """Plain sockets under observation. It holds no thread: the learner's own code uses them."""

    def __init__(self, sockets: list[socket.socket]) -> None:
        self.sockets = sockets

    def numbers(self) -> list[int]:
        return [sock.fileno() for sock in self.sockets if sock.fileno() >= 0]

    def descriptors(self) -> list[Descriptor]:
        return descriptors(self.sockets)

    def set_blocking(self, blocking: bool, of: str) -> None:
        listening = {d.number for d in self.descriptors() if d.kind == "listener"}
        for sock in self.sockets:
            if sock.fileno() >= 0 and (sock.fileno() in listening) == (of == "listener"):
                sock.setblocking(blocking)


def subject_of(thing) -> tuple[object, Bench]:
    """(subject, its bench) for what a learner hands to observe(). Raises TypeError in one sentence."""
    if hasattr(thing, "descriptors") and hasattr(thing, "doing"):
        return thing, bench_of(thing)
    if isinstance(thing, socket.socket):
        return Sockets([thing]), bench_of(thing)
    if isinstance(thing, Iterable) and not isinstance(thing, (str, bytes, dict)):
        sockets = list(thing)
        if sockets and all(isinstance(s, socket.socket) for s in sockets):
            return Sockets(sockets), bench_of(sockets[0])
    raise TypeError(f"observe() takes a server, a socket or a list of sockets, not {type(thing).__name__}")


def sleepers(rows: list[Descriptor]) -> dict[int, str]:
    """Who sleeps on which descriptor, in words: {71: "BlockingServer in recv"}."""
    found = asleep_on({row.number for row in rows})
    return {number: ", ".join(f"{_whose(thread)} in {call}" for thread, call in who) for number, who in found.items()}


def _whose(thread: str) -> str:
    """A server's thread is named for its class and port; cells run in the main thread."""
    return "a notebook cell" if thread == "MainThread" else thread.partition(":")[0]
