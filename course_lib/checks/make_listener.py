"""Check of exercise 2.1: a listener, and its options in the right order."""

from __future__ import annotations

import errno
import gc
import socket
import struct
import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING

from course_lib.ports import at_port
from course_lib.proc import sockets
from course_lib.sandbox import Attempt, Raised, Talk, Wrong, a, explained, wait_until
from course_lib.sandbox.talk import own_frame
from course_lib.sandbox.words import where

if TYPE_CHECKING:
    from course_lib.sandbox.checked_process import CheckedProcess


def check_make_listener(attempt: Attempt) -> None:
    process = attempt.start(_use_make_listener)
    first = _made(process)
    client = _connected(attempt, first["address"])
    _same_port_again(attempt, process, _kept_port(attempt, process, client, first["address"]), first["reuse"])
    _free_port_and_backlog(attempt, process)
    _port_in_use(attempt, process)
    process.alone()


_CAUSES = {
    # with (): it was called on a socket
    r": setsockopt(?!\(\))": "setsockopt is not called on your socket{line}. It is a method of the socket that you made: "
    "listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1). The notes have it wrong: their "
    "`socket.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)` calls it on the module.",
    r"TypeError: bind\(\)": "The address is ONE pair: bind((host, port)).",
}


def _made(process: CheckedProcess) -> dict:
    """What the child tells of the first listener: its address, and whether it listens and has SO_REUSEADDR."""
    try:
        first = process.hear("make_listener() did not return within 1 s")
    except Raised as error:
        raise explained(error, _CAUSES) from None
    host, port = first["address"]
    if not first["listening"] and not port:
        raise Wrong("The socket is neither bound nor listening: bind() and listen() are missing.")
    if host != "127.0.0.1":
        raise Wrong(f'It is bound to {host}, which the whole network can reach: bind(("127.0.0.1", port)).')
    return first


def _connected(attempt: Attempt, address: tuple[str, int]) -> socket.socket:
    try:
        client = attempt.connect(address)
    except ConnectionRefusedError:
        raise Wrong(
            "The client was refused: the socket is bound, but no listen(). bind() alone opens no door (listen(2))."
        ) from None
    attempt.good("a client connects")
    return client


def _kept_port(attempt: Attempt, process: CheckedProcess, client: socket.socket, address: tuple[str, int]) -> int:
    """A port that TIME_WAIT keeps: the server accepts the client and closes first."""
    host, port = address
    for _ in range(3):
        process.say()
        process.hear("accept() on your listener did not return within 1 s")
        client.close()
        if wait_until(lambda: _time_wait(port), 0.5):
            break
        # The kernel kept nothing: on a busy machine another program's connection may have taken its place.
        process.say(another=True)
        port = process.hear("make_listener() did not return within 1 s")["port"]
        client = attempt.connect((host, port))
    process.say(another=False)
    return port


def _same_port_again(attempt: Attempt, process: CheckedProcess, port: int, reuse: bool) -> None:
    try:
        again = process.hear(f"make_listener({port}) did not return within 1 s")
    except Raised as error:
        if error.errno != errno.EADDRINUSE:
            raise
        if reuse:
            raise Wrong(
                "The restart failed with EADDRINUSE: bind() had already decided when the option was set. "
                'setsockopt must come before bind() (socket(7)). The notes have it wrong: they say "set after bind".'
            ) from None
        raise Wrong(
            f"It works today and fails on restart: TIME_WAIT on port {port}, for the server closed first. "
            f"Set SO_REUSEADDR before bind() (socket(7)).{_time_wait(port)}"
        ) from None
    if again["port"] != port:
        raise Wrong(f"make_listener({port}) listens on port {again['port']}: hand `port` on to bind().")
    if not reuse:
        raise Wrong("getsockopt says SO_REUSEADDR is off. Another option let it restart, but it does other things too.")
    attempt.good("after the server closed first, the same port works again at once")


def _free_port_and_backlog(attempt: Attempt, process: CheckedProcess) -> None:
    process.say()
    try:
        other = process.hear("make_listener(0, backlog=7) did not return within 1 s")
    except Raised as error:
        if error.errno != errno.EADDRINUSE:
            raise
        raise Wrong("A second listener with port 0 got EADDRINUSE: hand `port` on to bind(), not a number of your own.") from None
    if other["backlog"] != 7:
        raise Wrong(f"make_listener(backlog=7) gave a queue of {other['backlog']}: hand `backlog` on to listen().")
    attempt.good("port 0 gives a free port, and the backlog reaches the kernel")


def _port_in_use(attempt: Attempt, process: CheckedProcess) -> None:
    process.say()
    taken = process.hear("make_listener(port), with a port that is taken, did not return within 1 s")
    if taken["returned"]:
        raise Wrong(
            f"The port was taken by another listener, and make_listener returned {taken['returned']}: let bind()'s error through."
        )
    if taken["left"]:
        raise Wrong(
            "The port was taken, bind() failed, and the socket that you had made stays open: nobody else can close it. Keep it "
            "in no list or global; or close it when bind() fails."
        )
    attempt.good("a port that is taken: the error comes through, and no socket stays open")


def _use_make_listener(talk: Talk, learner: Callable) -> None:
    listener = _first_listener(talk, learner)
    while True:
        port = listener.getsockname()[1]
        talk.hear()
        connection, _ = listener.accept()
        connection.close()
        listener.close()
        talk.tell()
        if not talk.hear()["another"]:
            break
        listener = learner()
        talk.tell(port=listener.getsockname()[1])
    again = learner(port)
    talk.tell(port=again.getsockname()[1])
    talk.hear()
    other = learner(0, backlog=7)  # while `again` still listens
    # tcpi_sacked of a listener is its backlog (net/ipv4/tcp.c, tcp_get_info)
    (backlog,) = struct.unpack_from("I", other.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104), 28)
    talk.tell(backlog=backlog)
    talk.hear()
    before, returned = set(sockets()), ""
    try:
        returned = a(learner(other.getsockname()[1]))
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
    gc.collect()
    talk.tell(returned=returned, left=len(set(sockets()) - before))


def _first_listener(talk: Talk, learner: Callable) -> socket.socket:
    before = set(sockets())
    try:
        listener = learner()
    except OSError as error:
        if error.errno == errno.EINVAL and any(map(_listens_unbound, variables(error))):
            raise Wrong(
                "listen() without bind() has already chosen an address, all interfaces and a free port (ip(7)), so bind() "
                f"fails with EINVAL{where(own_frame(error.__traceback__))}: bind first, then listen."
            ) from None
        raise
    if not isinstance(listener, socket.socket):
        raise Wrong(f"make_listener returned {a(listener)}: return the listening socket.")
    if listener.fileno() == -1:
        raise Wrong("make_listener returned a closed socket: the caller needs it open.")
    if (listener.family, listener.type) != (socket.AF_INET, socket.SOCK_STREAM):
        raise Wrong(f"The socket is {listener.family.name}, {listener.type.name}: TCP on IPv4 is AF_INET, SOCK_STREAM.")
    if not listener.getblocking():
        raise Wrong("The listener is non-blocking: leave that for the next notebook.")
    left = len(set(sockets()) - before) - 1
    if left > 0:
        raise Wrong(f"make_listener left {left} more open than the socket it returns.")
    talk.tell(
        address=listener.getsockname(),
        reuse=bool(listener.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR)),
        listening=bool(listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)),
    )
    return listener


def _listens_unbound(value: object) -> bool:
    """Is it a socket whose address the kernel chose when listen() came first?"""
    return (
        isinstance(value, socket.socket)
        and value.fileno() != -1
        and bool(value.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
        and value.getsockname()[0] == "0.0.0.0"
    )


def _time_wait(port: int) -> str:
    """What the kernel tells of the connection that keeps the port."""
    kept = (each for each in at_port(port) if each.state == "TIME_WAIT")
    return next((" ss -tan: TIME-WAIT {}:{} {}:{}.".format(*each.local, *each.peer) for each in kept), "")


def variables(error: BaseException) -> list[object]:
    """What the local variables held when `error` was raised, the innermost function first."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    return [value for frame in reversed(frames) for value in frame.f_locals.values()]


CHECKS = {"2.1": check_make_listener}
