"""Check of exercise 2.1: a listener, and its options in the right order."""

import errno
import gc
import socket
import struct
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from course_lib.ports import at_port
from course_lib.proc import open_numbers
from course_lib.sandbox import Attempt, Talk, Wrong, wait_until
from course_lib.sandbox.talk import own_frame
from course_lib.sandbox.words import where

from .ends import is_closed
from .probe import Probe


def check_make_listener(attempt: Attempt) -> None:
    attempt.ask(_use_make_listener, causes=_CAUSES)


_CAUSES = {
    # with (): it was called on a socket
    r": setsockopt(?!\(\))": "setsockopt is not called on your socket{line}. It is a method of the socket that you made: "
    "listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1). The notes have it wrong: their "
    "`socket.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)` calls it on the module.",
    r"TypeError: bind\(\)": "The address is ONE pair: bind((host, port)).",
}


def _use_make_listener(talk: Talk, learner: Callable) -> None:
    probe = Probe(talk, learner, "make_listener()")
    listener = _first_listener(probe)
    reuse = bool(listener.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR))
    client = _connected(listener)
    talk.good("a client connects")
    again = _same_port_again(probe, _kept_port(talk, probe, listener, client), reuse)
    talk.good("after the server closed first, the same port works again at once")
    other = _free_port_and_backlog(talk, learner)  # while `again` still listens
    talk.good("port 0 gives a free port, and the backlog reaches the kernel")
    again.close()
    _port_in_use(probe, other.getsockname()[1])
    talk.good("a port that is taken: the error comes through, and no socket stays open")


def _first_listener(probe: Probe) -> socket.socket:
    try:
        with probe.opens(1, "the socket it returns"):
            listener = _listener(probe)
            if (listener.family, listener.type) != (socket.AF_INET, socket.SOCK_STREAM):
                raise Wrong(f"The socket is {listener.family.name}, {listener.type.name}: TCP on IPv4 is AF_INET, SOCK_STREAM.")
            if not listener.getblocking():
                raise Wrong("The listener is non-blocking: leave that for the next notebook.")
    except OSError as error:
        if error.errno == errno.EINVAL and any(map(_listens_unbound, variables(error))):
            raise Wrong(
                "listen() without bind() has already chosen an address, all interfaces and a free port (ip(7)), so bind() "
                f"fails with EINVAL{where(own_frame(error.__traceback__))}: bind first, then listen."
            ) from None
        raise
    host, port = listener.getsockname()
    if not _listens(listener) and not port:
        raise Wrong("The socket is neither bound nor listening: bind() and listen() are missing.")
    if host != "127.0.0.1":
        raise Wrong(f'It is bound to {host}, which the whole network can reach: bind(("127.0.0.1", port)).')
    return listener


def _listener(probe: Probe, situation: str = "", *arguments: int, call: str = "") -> socket.socket:
    answer = probe.when(situation, *arguments, call=call)
    closed = {is_closed: "a closed socket: the caller needs it open"}
    return answer.is_a(socket.socket, "return the listening socket", closed)


def _connected(listener: socket.socket) -> socket.socket:
    try:
        return socket.create_connection(listener.getsockname())
    except ConnectionRefusedError:
        raise Wrong(
            "The client was refused: the socket is bound, but no listen(). bind() alone opens no door (listen(2))."
        ) from None


def _kept_port(talk: Talk, probe: Probe, listener: socket.socket, client: socket.socket) -> int:
    """A port that TIME_WAIT keeps: the server accepts the client and closes first."""
    for _ in range(3):
        port: int = listener.getsockname()[1]
        talk.step("accept() on your listener did not return within 1 s")
        listener.accept()[0].close()
        listener.close()
        client.close()
        if wait_until(lambda: _time_wait(port), 0.5):
            break
        # The kernel kept nothing: on a busy machine another program's connection may have taken its place.
        listener = _listener(probe)
        client = _connected(listener)
    return port


def _same_port_again(probe: Probe, port: int, reuse: bool) -> socket.socket:
    late = (
        "The restart failed with EADDRINUSE: bind() had already decided when the option was set. setsockopt must come before "
        'bind() (socket(7)). The notes have it wrong: they say "set after bind".'
    )
    none = (
        f"It works today and fails on restart: TIME_WAIT on port {port}, for the server closed first. "
        f"Set SO_REUSEADDR before bind() (socket(7)).{_time_wait(port)}"
    )
    with _address_in_use(late if reuse else none):
        again = _listener(probe, f"TIME_WAIT keeps port {port}", port, call=f"make_listener({port})")
    if again.getsockname()[1] != port:
        raise Wrong(f"make_listener({port}) listens on port {again.getsockname()[1]}: hand `port` on to bind().")
    if not reuse:
        raise Wrong("getsockopt says SO_REUSEADDR is off. Another option let it restart, but it does other things too.")
    return again


def _free_port_and_backlog(talk: Talk, learner: Callable) -> socket.socket:
    probe = Probe(talk, partial(learner, backlog=7), "make_listener(0, backlog=7)")
    with _address_in_use("A second listener with port 0 got EADDRINUSE: hand `port` on to bind(), not a number of your own."):
        other = _listener(probe, "", 0)
    # tcpi_sacked of a listener is its backlog (net/ipv4/tcp.c, tcp_get_info)
    (backlog,) = struct.unpack_from("I", other.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104), 28)
    if backlog != 7:
        raise Wrong(f"make_listener(backlog=7) gave a queue of {backlog}: hand `backlog` on to listen().")
    return other


def _port_in_use(probe: Probe, port: int) -> None:
    before = open_numbers()
    error = probe.raises(OSError, "The port was taken by another listener", port, otherwise="let bind()'s error through")
    if error.errno != errno.EADDRINUSE:
        raise error
    del error  # and with it the variables of make_listener
    gc.collect()
    if open_numbers() - before:
        raise Wrong(
            "The port was taken, bind() failed, and the socket that you had made stays open: nobody else can close it. Keep it "
            "in no list or global; or close it when bind() fails."
        )


@contextmanager
def _address_in_use(words: str) -> Iterator[None]:
    """What EADDRINUSE says, inside."""
    try:
        yield
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        raise Wrong(words) from None


def _listens(sock: socket.socket) -> bool:
    return bool(sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))


def _listens_unbound(value: object) -> bool:
    """Is it a socket whose address the kernel chose when listen() came first?"""
    if not isinstance(value, socket.socket) or is_closed(value):
        return False
    return _listens(value) and value.getsockname()[0] == "0.0.0.0"


def _time_wait(port: int) -> str:
    """What the kernel tells of the connection that keeps the port."""
    kept = (each for each in at_port(port) if each.state == "TIME_WAIT")
    return next((" ss -tan: TIME-WAIT {}:{} {}:{}.".format(*each.local, *each.peer) for each in kept), "")


def variables(error: BaseException) -> list[object]:
    """What the local variables held when `error` was raised, the innermost function first."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    return [value for frame in reversed(frames) for value in frame.f_locals.values()]


CHECKS = {"2.1": check_make_listener}
