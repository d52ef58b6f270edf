"""Which error ends what: of one connection, of the listener, of the server. Each error in each server, and a healthy client beside."""

import errno
import os
import shutil
import socket
import subprocess
from contextlib import suppress

import pytest
from every_server import EVERY, ask, connect
from held import a_port, python

from course_lib.checks.ends import fill
from course_lib.kernel import wait_until
from course_lib.servers import MODELS, AsyncioServer, BlockingServer, Server, ThreadedServer
from course_lib.servers.connection import GONE, NO_ROOM

OF_A_CONNECTION = "ECONNRESET", "EPIPE", "ETIMEDOUT", "EHOSTUNREACH", "ENETUNREACH", "ENETDOWN", "EPERM"
OURS = ("EBADF", "EINVAL", "ENOTSOCK")


def names(numbers) -> list[str]:
    return sorted(errno.errorcode[number] for number in numbers)


@pytest.fixture(params=EVERY.values(), ids=EVERY)
def model(request):
    return request.param


def fails(server: Server, call: str, number: int, when, times: int = 1) -> None:
    """From now on `call` of those sockets of the server for which `when` is true raises this error, so many times."""
    kind = server._classes.quiet
    raw, left = getattr(kind, call), [None] * times

    def method(sock, *arguments):
        if left and when(sock):
            left.pop()
            raise OSError(number, os.strerror(number))
        return raw(sock, *arguments)

    setattr(kind, call, method)


@pytest.mark.parametrize("error", OF_A_CONNECTION)
@pytest.mark.parametrize("call", ["recv", "send"])
def test_an_error_of_a_connection_ends_it_and_no_other(model, call, error):
    with model() as server, socket.socket() as alice:
        if isinstance(server, BlockingServer | ThreadedServer) and call == "send":
            call = "sendall"
        alice.settimeout(60)
        alice.bind(("127.0.0.1", 0))
        fails(server, call, getattr(errno, error), lambda sock: sock.getpeername() == alice.getsockname())
        alice.connect(server.address)
        with connect(server) as bob:
            if not isinstance(server, BlockingServer):  # there he waits until alice is gone
                assert ask(bob) == b"hello"
            try:
                assert ask(alice) == b""
            except ConnectionResetError:  # her bytes were not read: close() sends a reset then
                pass
            assert ask(bob) == b"hello" and server.running


def test_a_number_that_was_given_back_is_an_error_of_ours_and_ends_the_server(model):
    server = model()
    if isinstance(server, AsyncioServer):
        pytest.skip("asyncio closes that connection")
    fails(server, "recv", errno.EBADF, lambda sock: True)
    with server, connect(server) as alice:
        alice.sendall(b"hello")
        assert wait_until(lambda: not server.running)
        assert "ended by OSError: [Errno 9]" in server.fate


@pytest.mark.parametrize("error", names(NO_ROOM | GONE))
def test_an_error_of_accept_that_passes_harms_nobody(model, error):
    with model() as server, connect(server) as alice:
        one_at_a_time = isinstance(server, BlockingServer)
        assert ask(alice) == b"hello"
        fails(server, "accept", getattr(errno, error), lambda sock: True, times=2)
        with connect(server) as bob:
            assert ask(alice) == b"hello"
            if one_at_a_time:
                alice.close()
            assert ask(bob) == b"hello" and server.running


@pytest.mark.parametrize("error", OURS)
def test_any_other_error_of_accept_ends_the_server(model, error):
    with a_port() as port:  # whoever comes late must not visit another program's server
        server = model(port=port)
        fails(server, "accept", getattr(errno, error), lambda sock: True)
        with server:
            with suppress(ConnectionError):
                connect(server).close()  # a thread that sleeps in accept() is in the kernel's already
            assert wait_until(lambda: not server.running)
            assert "ended by OSError" in server.fate


def test_a_peer_that_does_not_answer_any_more_is_over_for_itself_alone(model):
    """The kernel gives a dead peer up by itself: ETIMEDOUT, without any time limit of ours (tcp(7), TCP_USER_TIMEOUT)."""
    with model() as server:
        server._open_sockets()[0].setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 300)  # ms; accepted ones inherit it
        with connect(server) as alice, connect(server) as bob:
            name = alice.getsockname()
            assert wait_until(lambda: name in [row.peer for row in server.descriptors()])
            alice.setblocking(False)

            def is_over() -> bool:
                with suppress(OSError):
                    fill(alice)  # she sends and never reads: what is on the way to her stays in the server's kernel
                return name not in [row.peer for row in server.descriptors()]

            assert wait_until(is_over, 60)
            assert ask(bob) == b"hello" and server.running


def test_an_os_error_of_the_answer_is_no_error_of_the_connection(model):
    def answer(request: bytes) -> bytes:
        raise ConnectionResetError("the database has gone")

    with model(answer=answer) as server, connect(server) as alice:
        alice.sendall(b"hello")
        assert wait_until(lambda: not server.running)
        assert "answer raised ConnectionResetError: the database has gone" in server.fate


PROGRAM = """
import sys, time
from course_lib.servers import MODELS
with MODELS[sys.argv[1]]() as server:
    print(server.address[1], flush=True)
    sys.stdin.read()
    print(server.fate, flush=True)
"""


@pytest.mark.skipif(not shutil.which("strace"), reason="strace injects the errors")
@pytest.mark.parametrize("error", ["ECONNABORTED", "ENOBUFS"])
@pytest.mark.parametrize("name", MODELS)
def test_the_kernel_itself_says_it(name, error):
    inject = f"inject=accept4:error={error}:when=2"
    strace = "strace", "-f", "-qq", "-o", os.devnull, "-e", "trace=accept4", "-e", inject
    with python(PROGRAM, name, behind=strace, stdin=subprocess.PIPE) as process:
        port = process.stdout.readline()
        if not port:
            pytest.skip("strace may not trace here")
        for _ in range(3):
            with socket.create_connection(("127.0.0.1", int(port)), timeout=60) as client:
                assert ask(client) == b"hello"
        fate, _ = process.communicate("")
    assert fate.strip() == "None"
