"""Check of exercise 9.2, its half inside: the parent, and what a worker does."""

import gc
import json
import mmap
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Generator
from contextlib import suppress

from course_lib.ports import inodes
from course_lib.proc import open_numbers
from course_lib.sandbox import Talk, Wrong, a
from course_lib.solutions.coroutines import Loop, accept, http

from .probe import Probe, raise_first

WORKERS = 3
REPORT = 2048  # bytes, padded
ENDS = {"/raise": "raised an exception", "/return": "returned"}  # path -> what serve does then


def use_prefork(talk: Talk, learner: tuple[Callable, Callable]) -> None:
    open_listeners, prefork = learner
    reports = talk.hear()["reports"]
    before = open_numbers()
    talk.step(f"open_listeners({WORKERS}) did not return within 1 s")
    listeners = open_listeners(WORKERS)
    port = _right_listeners(listeners)
    _port_in_use(Probe(talk, open_listeners, "open_listeners"))
    known = [os.fstat(listener.fileno()).st_ino for listener in listeners]
    talk.tell(pid=os.getpid(), port=port, listeners=known)
    _call(prefork, listeners, _Workers(reports, known))
    still = sum(listener.fileno() >= 0 for listener in listeners)
    gc.collect()
    talk.tell(open=still, more=len(open_numbers() - before))
    talk.hear()
    talk.step("open_listeners at the same port again did not return within 1 s")
    for listener in open_listeners(WORKERS, port):
        if listener.getsockname()[1] != port:
            raise Wrong(f"open_listeners({WORKERS}, port) has opened another port than the one it was told.")
        listener.close()
    talk.tell()


class _Workers:
    """What the parent and its workers know of each other, and what they report to the check."""

    def __init__(self, reports: str, known: list[int]) -> None:
        self._reports, self._known = reports, known
        self.parent = os.getpid()
        self.orders = mmap.mmap(-1, 1)  # memory that all of them share: fork does not copy it (mmap(2), MAP_SHARED)
        self.how = "returned"  # what serve did, in this process

    def report(self, **facts: object) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:  # opened here: a worker may have closed all it inherited
            with suppress(ConnectionRefusedError):  # the check knows enough, and has gone
                sock.sendto(json.dumps(facts).encode()[:REPORT].ljust(REPORT), self._reports)

    def serve(self, listener: socket.socket) -> None:
        if os.getpid() == self.parent:
            self.report(what="parent serves")
            time.sleep(60)
        if not isinstance(listener, socket.socket) or listener.fileno() < 0:
            self.report(what="not a listener", got="a closed listener" if isinstance(listener, socket.socket) else a(listener))
            time.sleep(60)
        order, self.orders[0] = self.orders[0], 0  # before it reports: the next order is for the next one
        own, sockets = os.fstat(listener.fileno()).st_ino, inodes(os.getpid())
        if own == self._known[0]:  # this one wants to know that it is told to end; the others let SIGTERM do what it does
            signal.signal(signal.SIGTERM, self._told)
        held = len(sockets & set(self._known))
        self.report(what="started", pid=os.getpid(), listener=own, held=held, sockets=len(sockets))
        if order:
            # what is printed about it, nobody needs
            self.how, sys.stderr = list(ENDS.values())[order - 1], open(os.devnull, "w")
            if order == 1:
                raise RuntimeError("serve has failed")
            return
        try:
            _serve(listener, self.orders)
        except Exception as error:
            self.report(what="failed", error=f"A worker's server raised {type(error).__name__}: {str(error)[:200]}")
            time.sleep(60)

    def _told(self, *_: object) -> None:
        self.report(what="told")
        os._exit(0)


def _call(prefork: Callable, listeners: list[socket.socket], workers: _Workers) -> None:
    """Comes back in the parent alone."""

    def serve(listener: socket.socket) -> None:  # a function, as a learner's own server is
        workers.serve(listener)

    error = ""
    try:
        prefork(listeners, serve)
    except SystemExit as end:
        error = f" (SystemExit: {end})"
        if os.getpid() == workers.parent and end.code not in (None, 0):
            raise
    except BaseException as other:
        if os.getpid() == workers.parent:
            raise
        error = f" ({type(other).__name__})"
    if os.getpid() != workers.parent:
        workers.report(what="escaped", how=workers.how, error=error[:100])
        os._exit(3)
    workers.report(what="returned")


def _right_listeners(listeners: object) -> int:
    """Check what open_listeners returned; its port."""
    if not isinstance(listeners, list | tuple) or not all(isinstance(listener, socket.socket) for listener in listeners):
        what = f"a list with {a(listeners[0])}" if isinstance(listeners, list | tuple) and listeners else a(listeners)
        raise Wrong(f"open_listeners({WORKERS}) returned {what}: return a list of {WORKERS} sockets.")
    if len(listeners) != WORKERS:
        raise Wrong(f"open_listeners({WORKERS}) returned {len(listeners)} sockets.")
    if any(listener.fileno() < 0 for listener in listeners):
        raise Wrong("open_listeners returned a socket that is closed.")
    names = [listener.getsockname() for listener in listeners]
    different = {os.fstat(listener.fileno()).st_ino for listener in listeners}

    def all_have(option: int) -> bool:
        return all(listener.getsockopt(socket.SOL_SOCKET, option) for listener in listeners)

    causes = {
        "open_listeners returned the same listener several times (or copies, dup). Workers can share one: then they have "
        "one accept queue, several of them may be woken for a client, and who comes first takes it. Asked are listeners of "
        "their own, with SO_REUSEPORT: each worker has its queue, and the kernel chooses.": len(different) < WORKERS,
        "open_listeners returned a socket that does not listen yet: a client would be refused. listen() before you "
        "return.": not all_have(socket.SO_ACCEPTCONN),
        f"open_listeners bound to {names[0][0]}: everybody in the network can connect there. Bind to 127.0.0.1.": any(
            name[0] != "127.0.0.1" for name in names
        ),
        "The listeners have different ports: with port 0 the kernel chooses a new one at each bind. Ask the first for its "
        "port, getsockname()[1], and bind the others to that.": len({name[1] for name in names}) > 1,
        "A listener has no SO_REUSEPORT: set it on each of them, before bind (socket(7)).": not all_have(socket.SO_REUSEPORT),
    }
    raise_first(causes)
    return int(names[0][1])


def _port_in_use(probe: Probe) -> None:
    """Somebody else's port: the error comes through, and nothing is left open."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        before = open_numbers()
        what, through = "Another program listens at the port (without SO_REUSEPORT)", "all the same: let the error through"
        probe.raises(OSError, what, 2, other.getsockname()[1], otherwise=through, instead={object: through})
        gc.collect()
        if more := len(open_numbers() - before):
            raise Wrong(f"{what}, open_listeners raised OSError, and it left {more} of its sockets open.")


def _serve(listener: socket.socket, orders: mmap.mmap) -> None:
    """What runs in a worker: a Loop with http; its page says who answers."""

    def page(path: str) -> Generator[tuple[str, float], None, bytes | None]:
        yield "sleep", 0
        if path in ENDS:
            orders[0] = list(ENDS).index(path) + 1  # the next worker does it: out of here it would go through the Loop
            os.kill(os.getpid(), signal.SIGKILL)
        return b"%d" % os.getpid() if path == "/" else None

    def door() -> Generator:
        while True:
            loop.spawn(http((yield from accept(listener)), page))

    listener.setblocking(False)
    loop = Loop()
    loop.spawn(door())
    loop.run()
    raise RuntimeError("Loop.run() returned")
