"""Check of exercise 3.1: accept() and recv() that do not wait."""

import errno
import os
import socket
from collections.abc import Callable

from course_lib.sandbox import Attempt, Talk, Wrong

from .ends import answers_no_more, clients_of, is_closed, is_connected, left_as_it_was, no_free_descriptor, readable, reset
from .ends import connection as both_ends
from .probe import Instead, Probe


def check_try(attempt: Attempt) -> None:
    told = attempt.ask(_use_try, attempt.listen(), causes=_CAUSES)
    if told["hides"]:
        attempt.note(
            "on a socket that you have closed, try_recv raises no error: it hides a bug of your own (EBADF). Catch less."
        )


_LOST = (
    "Nothing more will come, so return b'', as for a client that has finished. The error has many names: catch BlockingIOError first, "
    "then OSError."
)
_CAUSES = {
    "BlockingIOError": "{type}{line}: EAGAIN is the kernel's way to say that no client is waiting, or that nothing has come yet. This "
    "is an answer: catch it and return None.",
    "ECONNRESET EPIPE": f"{{type}}{{line}}: the client has sent a reset. {_LOST}",
    "ETIMEDOUT": f"{{type}}{{line}}: the client answers no more. {_LOST}",
}


def _use_try(talk: Talk, learner: tuple[Callable, Callable], listener: socket.socket) -> None:
    try_accept, try_recv = learner
    listener.setblocking(False)
    _use_try_accept(talk, Probe(talk, try_accept, "try_accept(listener)"), listener)
    _use_try_recv(talk, Probe(talk, try_recv, "try_recv(sock, 100)"), listener)


_NO_CONNECTION: Instead = {
    tuple: "the pair (connection, address) that accept() gives: return the connection alone",
    is_closed: "a closed socket: the caller needs it open",
    lambda got: isinstance(got, socket.socket) and not is_connected(got): "a socket that is not connected: return the one that "
    "accept() gives",
}


def _use_try_accept(talk: Talk, probe: Probe, listener: socket.socket) -> None:
    probe.when("No client is waiting", listener).is_(None, "return None")
    left_as_it_was("try_accept", listener)
    probe.never_waits("with no client waiting", listener)
    talk.good("try_accept: None when no client is waiting, and it does not wait for one")

    with clients_of(listener, 2) as clients, probe.opens(2, "the sockets that it returned"):
        got = [_takes_a_client(probe, listener) for _ in clients]
        probe.when("Two clients were waiting and both were taken", listener).is_(None)
        if [connection.getpeername() for connection in got] != [client.getsockname() for client in clients]:
            raise Wrong("Two clients were waiting; two calls of try_accept must give a connection each, in the order they came.")
        if os.get_blocking(got[0].fileno()):
            raise Wrong(
                "The accepted socket is blocking: on Linux it does not inherit O_NONBLOCK from the listener (accept(2)). "
                "Set it: connection.setblocking(False)."
            )
        left_as_it_was("try_accept", got[0], "the connection")
    for connection in got:
        connection.close()
    talk.good("try_accept: a non-blocking connection for each client")

    let = "Catch BlockingIOError only, and let other errors through (accept(2))"
    with clients_of(listener, 1):
        with no_free_descriptor():
            error = probe.raises(
                OSError, "All descriptors were used up and a client was waiting: accept() raised EMFILE", listener,
                otherwise=let, instead={None: f'None, which says "nobody there". {let}'})  # fmt: skip
        if error.errno != errno.EMFILE:
            raise error
        _takes_a_client(probe, listener).close()
    talk.good("try_accept: out of descriptors is an error and comes through")


def _takes_a_client(probe: Probe, listener: socket.socket) -> socket.socket:
    answer = probe.when("A client was waiting", listener)
    return answer.is_a(socket.socket, "return the connection", _NO_CONNECTION)


_ALL = "all that had come: make one recv() for each call, of at most `size` bytes; whoever wants more calls again"


def _use_try_recv(talk: Talk, probe: Probe, listener: socket.socket) -> None:
    with both_ends(listener) as (client, sock):
        probe.when("Nothing has come yet", sock, 100).is_(None, "return None", {
            b"": "b'': so an idle client is taken for one that left. None and b'' are different answers"})  # fmt: skip
        left_as_it_was("try_recv", sock)
        probe.never_waits("with nothing to read", sock, 100)
        talk.good("try_recv: None when nothing has come yet, and it does not wait for it")

        client.sendall(b"hello")
        readable(sock, 1.0)
        for size, right, before in (2, b"he", ""), (100, b"llo", " and its first two bytes were read"):
            probe.when(f"b'hello' had come{before}", sock, size, call=f"try_recv(sock, {size})").is_(right, instead={
                lambda got, first=not before: first and got == b"hello" and _reads_on(probe): _ALL,
                b"hello": "them again: no MSG_PEEK" if before else "5 bytes: hand `size` on to recv()",
                lambda got: not isinstance(got, bytes | None): "{}: return what recv() gave"})  # fmt: skip
        probe.when("All bytes were read and the client is still there", sock, 100).is_(None, "that is None, not yet")
        talk.good("try_recv: what has come, at most `size` bytes")

        client.sendall(b"bye")
        client.shutdown(socket.SHUT_WR)
        readable(sock, 1.0)
        probe.when("The client sent b'bye' and finished", sock, 100).is_(b"bye")
        for _ in range(2):
            readable(sock, 1.0)  # the end counts as readable
            answer = probe.when("The client has finished", sock, 100)
            if is_closed(sock):
                raise Wrong(
                    "The client has finished sending, and try_recv closed the socket: the client still reads. Only return b''."
                )
            answer.is_(b"", "not b'': recv() gives b'' for this, again and again (recv(2)). None would say that more may come. "
                       "`if not data` cannot tell them apart")  # fmt: skip
        talk.good("try_recv: b'' when the client has finished")
    _is_lost(talk, probe, listener)
    talk.step("The socket is closed, and try_recv(sock, 100) did not return within 1 s")
    try:
        probe.function(sock, 100)
    except OSError:
        talk.tell(hides=False)
    else:
        talk.tell(hides=True)


def _reads_on(probe: Probe) -> bool:
    """Does it read again when bytes have come? One read gives one packet, however it is made (unix(7), SOCK_SEQPACKET)."""
    one, other = socket.socketpair(type=socket.SOCK_SEQPACKET)
    with one, other:
        one.setblocking(False)
        other.send(b"hel")
        other.send(b"lo")
        probe.when("b'hello' had come", one, 100, call="try_recv(sock, 100)")
        return not readable(one, 0)


def _is_lost(talk: Talk, probe: Probe, listener: socket.socket) -> None:
    with both_ends(listener) as (client, sock):
        reset(client)
        readable(sock, 1.0)
        probe.when("The client has sent a reset", sock, 100).is_(
            b"", "nothing more will ever come, so return b''. Catch BlockingIOError alone for None: `except OSError` takes in "
            "ConnectionResetError as well")  # fmt: skip
    with both_ends(listener) as (_, sock):
        talk.step("The client answers no more, and the kernel did not give it up within 4 s", 4.0)
        if answers_no_more(sock):
            probe.when("The client answers no more, so recv() raised TimeoutError (ETIMEDOUT, tcp(7))", sock, 100).is_(
                b"", "nothing more will ever come, so return b''"
            )
    talk.good("try_recv: a reset counts as finished, and so does a client that answers no more")


CHECKS = {"3.1": check_try}
