"""Recording, holding and stepping the servers that have many tasks or many threads."""

import socket
import threading
import time
import warnings

import pytest
from every_server import EVERY, ask, asleep, connect, visit

from course_lib.kernel import doing, wait_until
from course_lib.servers import Server, ThreadedServer

pytestmark = pytest.mark.usefixtures("nothing_is_left", "servers_stop")

MODELS = ("coroutine", "async def", "asyncio", "threads")
SENDS = {"send", "sendall"}


@pytest.fixture(params=MODELS)
def model(request):
    return EVERY[request.param]


def names(server: Server) -> list[str]:
    return [call.name for call in server.calls() if not call.error]


def test_the_calls_of_a_visit_are_seen_while_recording_is_on(model):
    with model() as server:
        visit(server)
        assert server.calls() == []
        server.record()
        visit(server)
        # A call is entered when it has come back: a thread may have closed its socket and not have said so.
        assert wait_until(lambda: "close" in names(server))
        seen = ["send" if name in SENDS else name for name in names(server)]
        assert [seen.count(name) for name in ("accept", "recv", "send", "close")] == [1, 2, 1, 1]
        assert asleep(server, "accept", "epoll_wait")
        server.record(False)
        before = len(server.calls())
        visit(server)
        # The call in flight when recording ended may still be entered.
        assert [call.name for call in server.calls()[before:]] in ([], ["epoll_wait"])


def test_switched_on_in_the_middle_of_a_conversation(model):
    with model() as server, connect(server) as client:
        for piece in (b"one", b"two", b"three"):
            assert ask(client, piece) == piece
            server.record()
        # The recv that a thread slept in when recording began was a plain one.
        sent = lambda: [call.data for call in server.calls() if call.name in SENDS]  # noqa: E731
        assert wait_until(lambda: sent() == [b"two", b"three"])


def test_held_it_makes_no_call_and_stepped_one_by_one(model):
    with model() as server, connect(server) as client:
        assert ask(client) == b"hello"
        assert asleep(server, "accept", "epoll_wait")
        server.hold()
        client.sendall(b"held")
        assert wait_until(lambda: server.pending is not None)
        client.settimeout(0.1)
        seen = []
        while not SENDS & set(seen):
            with pytest.raises(TimeoutError):
                client.recv(100)
            seen.append(server.step(60).name)
            assert len(seen) < 10
        client.settimeout(60)
        assert client.recv(100) == b"held"
        server.run_on()
        assert ask(client, b"free") == b"free"


def test_stop_wins_over_hold(model):
    for number in range(40):
        server = model()
        if number % 2:
            server.hold()
        server.start()
        with connect(server) as client, warnings.catch_warnings():
            warnings.simplefilter("error", RuntimeWarning)
            client.sendall(b"x")
            if number % 3 == 0:
                wait_until(lambda: server.pending is not None, 0.05)
            server.hold()
            server.stop()
            assert not server.running and server.error is None


def talk(server: Server, count: int) -> list[socket.socket]:
    """So many clients that have been answered once; the thread of each sleeps in recv, and the first one in accept."""
    clients = [connect(server) for _ in range(count)]
    for client in clients:
        assert ask(client, b"x") == b"x"
    asleep_in = ["accept"] + ["recv"] * count
    assert wait_until(lambda: [doing(thread).call for thread in server.threads] == asleep_in), list(map(doing, server.threads))
    return clients


def leave(server: Server, clients: list[socket.socket]) -> None:
    server.run_on()
    for client in clients:
        client.close()


class TestManyThreads:
    def test_they_stand_in_the_order_in_which_they_came_and_go_one_by_one(self):
        with ThreadedServer() as server:
            clients = talk(server, 3)
            server.hold()
            for i, client in enumerate(clients):
                client.sendall(b"%d" % i)
                # Its recv was in flight; it is the sendall before which it stands.
                assert wait_until(lambda: len(server._recorder._standing) == i + 1)
            for i, client in enumerate(clients):
                call = server.step(60)  # afterwards it stands before recv
                assert call.name == "sendall" and client.recv(10) == b"%d" % i == call.data
            leave(server, clients)

    def test_the_last_call_of_a_thread_is_told_without_waiting_for_another(self):
        with ThreadedServer() as server:
            (client,) = talk(server, 1)
            server.hold()
            client.close()
            assert wait_until(lambda: str(server.pending).startswith("close("))
            began = time.monotonic()
            call = server.step(600)
            assert call.name == "close" and time.monotonic() - began < 600

    @pytest.fixture
    def two(self):
        """A server that is held, and two clients; the threads of both stand before a call."""
        with ThreadedServer() as server:
            clients = talk(server, 2)
            server.hold()
            for client in clients:
                client.sendall(b"y")
            assert wait_until(lambda: len(server.standing) == 2)
            yield server, clients
            leave(server, clients)

    def test_two_steps_at_once_let_two_go(self, two):
        server, clients = two
        server.step(0), server.step(0)
        for client in clients:
            assert client.recv(1) == b"y"

    def test_one_of_them_is_chosen(self, two):
        server, clients = two
        first, second = server.standing
        assert server.pending == first and {first.thread, second.thread} <= set(server.threads[1:])
        server.step(0, of=second.thread)
        assert wait_until(lambda: first in server.standing and second not in server.standing)
        server.run_on()
        for client in clients:
            assert client.recv(1) == b"y"

    def test_every_thread_ends_with_the_server_also_one_that_computes(self):
        started = threading.Event()

        def spins(request):
            started.set()
            while True:
                pass

        before = set(threading.enumerate())
        server = ThreadedServer(answer=spins).start()
        with connect(server) as silent, connect(server) as busy, warnings.catch_warnings():
            warnings.simplefilter("error", RuntimeWarning)
            busy.sendall(b"x")
            assert started.wait(60)
            assert wait_until(lambda: len(server.descriptors()) == 3)
            server.stop()
            assert not server.running and set(threading.enumerate()) <= before
            assert silent.recv(1) == b""
