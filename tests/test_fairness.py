"""Who sends without end and reads, or does not, delays the others by a few answers: counted in system calls, not in seconds."""

import socket
from contextlib import suppress

import pytest
from every_server import EVERY, ask, connect

from course_lib.checks.ends import fill
from course_lib.kernel import descriptors, wait_until

# A blocking server serves one client at a time, and threads have their turns from the kernel: nothing is promised there.
SERVERS = {name: model for name, model in EVERY.items() if name not in ("blocking", "threads")}
A_FEW = 8


@pytest.mark.parametrize("model", SERVERS.values(), ids=SERVERS)
def test_a_client_that_floods_delays_another_by_a_few_answers(model):
    with model() as server, connect(server) as alice, connect(server) as bob:
        for client in (alice, bob):
            assert ask(client) == b"hello"
        alice.setblocking(False)
        server.record()
        server.hold()
        fill(alice)  # as much as the buffers take: hundreds of pieces of 4 kB
        assert wait_until(lambda: server.pending)
        bob.sendall(b"me too")
        assert wait_until(lambda: descriptors(bob)[0].send_queue == 0)
        hers, his = (number_of(server, client) for client in (alice, bob))
        server.run_on()
        assert bob.recv(10) == b"me too"
        assert wait_until(lambda: [data for _, data in sent(server) if data == b"me too"])  # recorded when send() has returned
        before = sent(server)[: sent(server).index((his, b"me too"))]
        assert sum(number == hers for number, _ in before) <= A_FEW


def sent(server) -> list[tuple[int, bytes]]:
    """What has been sent, in order: to which descriptor, and the first bytes."""
    return [(call.descriptor, call.data) for call in server.calls() if call.name == "send" and call.error is None]


def number_of(server, client: socket.socket) -> int:
    """The server's descriptor for this client."""
    name = client.getsockname()
    return next(sock.fileno() for sock in server._open_sockets() if sock.fileno() >= 0 and peer(sock) == name)


def peer(sock: socket.socket):
    with suppress(OSError):
        return sock.getpeername()
