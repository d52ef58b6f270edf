"""Who holds a port: the sentence of PortInUse, of `serve` and of `mine` names the true cause."""

import os
import re
import socket
import subprocess

import pytest
from held import a_port, python

from course_lib import own_server
from course_lib.__main__ import main
from course_lib.kernel import wait_until
from course_lib.ports import at_port, inodes, is_queued, listening, why_in_use
from course_lib.servers import BlockingServer, PortInUse


@pytest.fixture(autouse=True, params=["sock_diag", "/proc/net/tcp"])
def source(request, monkeypatch):
    """Where the kernel tells it."""
    if request.param != "sock_diag":
        monkeypatch.setattr("course_lib.ports._SOCK_DIAG", 99)  # no such protocol of netlink(7)


def in_use(port: int) -> str:
    with pytest.raises(PortInUse) as caught:
        BlockingServer(port=port).start()
    return str(caught.value)


def left_in_time_wait() -> int:
    """A port at which nobody listens any more, and a connection of a listener without SO_REUSEADDR is in TIME_WAIT."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        client = socket.create_connection(("127.0.0.1", port))
        connection, _ = listener.accept()
    connection.close()
    assert client.recv(1) == b""
    client.close()
    assert wait_until(lambda: "TIME_WAIT" in why_in_use(port))  # when the client's end has come
    return port


@pytest.mark.parametrize("family, host", [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")])
def test_a_listener_of_this_program(family, host):
    with socket.create_server((host, 0), family=family, dualstack_ipv6=family == socket.AF_INET6) as listener:
        port = listener.getsockname()[1]
        assert in_use(port) == (
            f"port {port} is in use: this very program (process {os.getpid()}) listens there. "
            "Stop it, or choose another port (0 means any free one)"
        )


def test_a_listener_of_another_program_is_named():
    program = (
        "import socket, sys; s = socket.create_server(('127.0.0.1', 0)); print(s.getsockname()[1], flush=True); sys.stdin.read()"
    )
    with python(program, stdin=subprocess.PIPE) as other:
        port = int(other.stdout.readline())
        assert re.match(rf"port {port} is in use: python[\d.]* \(process {other.pid}\) listens there\. Stop it, or", in_use(port))
        other.stdin.close()


def test_a_connection_in_time_wait_and_how_long_it_lasts():
    port = left_in_time_wait()
    found = re.fullmatch(
        rf"port {port} is in use: nobody listens there, but a connection of an earlier server without SO_REUSEADDR is "
        r"in TIME_WAIT, for (\d+) s more \(60 s in all\)\. Wait, or choose another port \(0 means any free one\)",
        in_use(port),
    )
    assert 0 < int(found[1]) <= 60


def test_the_commands_say_so(capsys):
    port = left_in_time_wait()
    for command in (
        lambda: main(["serve", "blocking", "--port", str(port)]),
        lambda: own_server.main(["http", "--port", str(port)]),
    ):
        assert command() == 2
        said = capsys.readouterr().err
        assert said.count("\n") == 1 and "TIME_WAIT" in said and "listens there." not in said


def test_a_connection_that_lives(listener):
    with socket.socket() as client:
        client.bind(("127.0.0.1", 0))
        client.connect(listener.getsockname())
        port = client.getsockname()[1]
        assert in_use(port).startswith(
            f"port {port} is in use: nobody listens there, but a connection of this very program "
            f"(process {os.getpid()}) has it and is in ESTABLISHED. End that, or"
        )


def test_a_socket_that_only_has_the_port():
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
        assert in_use(port).startswith(f"port {port} is in use: nobody listens there, but a socket is bound to it")


def test_an_address_that_is_not_in_the_way_is_not_named():
    with a_port() as port, socket.create_server(("127.0.0.2", port)):
        assert "nobody listens there" in why_in_use(port)


def test_where_the_kernel_does_not_tell(monkeypatch):
    monkeypatch.setattr("course_lib.ports._TCP", "/nowhere")
    assert "a program listens there, or a connection of an earlier one is in TIME_WAIT (60 s)" in why_in_use(80)


def test_what_is_told_of_a_connection(listener):
    with socket.create_connection(listener.getsockname()) as client:
        here, there = listener.getsockname(), client.getsockname()
        client.sendall(b"hello")
        assert is_queued(client)
        listens, waits = sorted(at_port(here[1]), key=lambda each: each.state == "ESTABLISHED")
        assert (listens.local, listens.state, listens.unread) == (here, "LISTEN", 1) and listening(here[1]) == {listens.inode}
        assert (waits.local, waits.peer, waits.state, waits.unread, waits.queued) == (here, there, "ESTABLISHED", 5, True)
        with listener.accept()[0] as connection:
            assert not is_queued(client)
            assert listens.inode in inodes(os.getpid()) and listens.user == os.getuid()
            assert os.fstat(connection.fileno()).st_ino in {each.inode for each in at_port(here[1])}
