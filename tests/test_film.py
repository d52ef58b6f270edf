"""A film of a server: each moment is what the kernel held, and two films of one script are equal."""

import gc
import itertools
import linecache
import os
import select
import shutil
import socket
import subprocess
import threading
from pathlib import Path

import pytest
from every_server import SERVE_ALL, OwnThreadsServer
from held import nothing_more

from course_lib import ports
from course_lib.clients import Client
from course_lib.film import film, filming
from course_lib.film.actors import Actor
from course_lib.ports import TCP_STATES
from course_lib.servers import (
    AsyncioServer,
    BlockingServer,
    CoroutineServer,
    EpollServer,
    NonBlockingServer,
    PollServer,
    SelectServer,
    Server,
    ThreadedServer,
)
from course_lib.solutions.coroutines import Loop, accept, recv, send_all


class OwnLoopServer(Server):
    """A learner's Loop behind the same base."""

    def serve(self, listener):
        listener.setblocking(False)
        self.loop = Loop()
        self.loop.spawn(self.clients(listener))
        self.loop.run()

    def clients(self, listener):
        while True:
            self.loop.spawn(self.echo((yield from accept(listener))))

    def echo(self, conn):
        while data := (yield from recv(conn, 4096)):
            yield from send_all(conn, data)
        conn.close()


MODELS = {"blocking": BlockingServer, **SERVE_ALL, "own loop": OwnLoopServer, "own threads": OwnThreadsServer}
THREADED = {ThreadedServer, OwnThreadsServer}
# What Python, or the Loop, calls them.
METHODS = {"epoll_wait": ["poll("], "epoll_ctl": ["register(", "modify(", "unregister(", "tell("]}


def visit(connect):
    alice, bob = connect(), connect()
    yield
    bob.send(b"hi")
    yield
    alice.send(b"hello")
    yield
    alice.close()
    yield
    bob.close()


def silent_first(connect):
    connect()
    yield
    connect().send(b"hi")
    yield


def alice_sends(*pieces):
    """A script: she connects and sends these, a moment after one another."""

    def script(connect):
        alice = connect()
        yield
        for piece in pieces:
            alice.send(piece)
            yield

    return script


@pytest.fixture(autouse=True)
def nothing_is_left():
    with nothing_more():
        yield
        gc.collect()  # a learner's Loop leaves its epoll to the collector


@pytest.fixture(params=MODELS.values(), ids=MODELS)
def model(request):
    return request.param


def test_two_films_of_one_script_are_equal_whatever_the_numbers(model):
    first = film(model(), visit, calls=60)
    # As many as leave a server's own sets of numbers in their order.
    others = [os.open(os.devnull, os.O_RDONLY) for _ in range(64)]
    second = film(model(), visit, calls=60)
    for number in others:
        os.close(number)
    assert first == second and hash(first) == hash(second) and str(first) == str(second)
    assert {d.number for m in first for d in m.descriptors} != {d.number for m in second for d in m.descriptors}
    assert first != film(model(), silent_first, calls=60)


@pytest.mark.parametrize("model", [BlockingServer, SelectServer])
def test_what_arrives_late_arrives_in_the_same_moment(model, monkeypatch):
    """A busy kernel hands a packet over a little later: here a client sees nothing twice out of three times."""
    prompt, looks = film(model(), visit), itertools.count()
    monkeypatch.setattr(Actor, "look", lambda actor: next(looks) % 3 or Client.look(actor))
    assert film(model(), visit) == prompt


def test_every_client_is_answered_in_the_film(model):
    last = film(model(), visit, calls=80)[-1]
    assert [(client.name, client.last) for client in last.clients] == [("alice", b"hello"), ("bob", b"hi")]


def test_the_moments_are_the_calls_that_the_recorder_saw(model):
    server = model()
    filmed = film(server, visit, calls=60)
    held = [(m.call.name, m.call.descriptor) for m in filmed if m.call and not m.asleep]
    came = [call for m in filmed for call in m.came]
    calls = server.calls()
    assert calls[: len(came)] == came
    if model not in THREADED:  # whose calls come back in another order than they began
        assert [(call.name, call.descriptor) for call in calls][: len(held)] == held[: len(calls)]


def test_the_source_line_makes_the_call(model):
    for m in film(model(), visit, calls=60):
        if m.call and not m.asleep:
            line = (m.position.inner or m.position.own).text
            words = METHODS.get(m.call.name, [m.call.name + "("])
            assert any(word in line for word in words), (m.call, line)


OF_SS = {"ESTAB": "ESTABLISHED", "CLOSE-WAIT": "CLOSE_WAIT", "LAST-ACK": "LAST_ACK", "LISTEN": "LISTEN", "UNCONN": "CLOSE"}


def told_by_proc() -> dict:
    """(local, peer) -> (state, bytes in the send queue, bytes or clients in the receive queue), as proc(5) has them."""
    found = {}
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, peer, state, queues, *_ = line.split()
        sent, received = (int(word, 16) for word in queues.split(":"))
        ends = ports._address(socket.AF_INET, local), None if state == "0A" else ports._address(socket.AF_INET, peer)
        found[ends] = TCP_STATES[int(state, 16)], sent, received
    return found


def told_by_ss() -> dict:
    """The same by ss(8), which asks the kernel in another way (sock_diag(7))."""
    found = {}
    for line in subprocess.run(["ss", "-tanH4"], capture_output=True, text=True, check=True).stdout.splitlines():
        state, received, sent, *ends = line.split()[:5]
        local, peer = ((host, port if port == "*" else int(port)) for host, _, port in (end.rpartition(":") for end in ends))
        found[local, None if state == "LISTEN" else peer] = OF_SS.get(state, state), int(sent), int(received)
    return found


def interest(epoll: int) -> dict[int, int]:
    """{number: events} of an interest list (proc(5))."""
    lines = [line.split() for line in Path(f"/proc/self/fdinfo/{epoll}").read_text().splitlines() if line.startswith("tfd:")]
    return {int(words[1]): int(words[3], 16) for words in lines}


NEEDS_SS = pytest.mark.skipif(not shutil.which("ss"), reason="ss is not installed (iproute2)")


@pytest.mark.parametrize("table", [told_by_proc, pytest.param(told_by_ss, marks=NEEDS_SS)])
def test_each_moment_is_what_the_kernel_says_elsewhere_at_the_same_hold(model, table, monkeypatch):
    """The film asks with socket options, ioctl and poll. What others say is compared when the film is made."""
    seen, take = [], filming._Camera._moment

    def moment(camera, call):
        made = take(camera, call)
        seen.append((made, table(), {row.number: interest(row.number) for row in made.descriptors if row.kind == "epoll"}))
        return made

    monkeypatch.setattr(filming._Camera, "_moment", moment)
    filmed = film(model(), visit, calls=60)
    assert len(seen) == len(filmed) > 10
    for m, sockets, interests in seen:
        for row in m.descriptors:
            if row.kind == "epoll":
                told = {d.number: w.events for d in m.descriptors for w in d.watched_by if w.epoll == row.number}
                assert interests[row.number].items() >= told.items()
                assert model is AsyncioServer or len(interests[row.number]) == len(told)  # asyncio has a pair of its own in it
                continue
            state, sent, received = sockets[row.local, row.peer]
            assert state == row.state
            if row.kind == "listener":
                assert state == "LISTEN" and received == row.accept_queue == len(m.waiting)
            else:
                # What was sent leaves the queue when it is acknowledged: that can be between the two.
                assert sent <= row.send_queue, str(m.call)
                # A peer's end counts as one there until it is read (tcp_diag.c), and not with FIONREAD (tcp(7)).
                assert 0 <= received - row.receive_queue <= (state == "CLOSE_WAIT"), str(m.call)


def test_a_silent_client_is_waited_for_alone_while_another_stands_in_the_queue():
    blocking, epoll = film(BlockingServer(), silent_first), film(EpollServer(), silent_first)
    still = blocking[blocking.decisive]
    assert still.asleep and still.call.name == "recv" and still.waiting == ("bob",)
    assert "waits for alice alone" in blocking.asks(blocking.decisive) and "bob stands in the accept queue" in blocking.asks(
        blocking.decisive
    )
    assert not any(m.asleep and m.waiting for m in epoll)
    assert [client.last for client in epoll[-1].clients] == [b"", b"hi"]


@pytest.mark.parametrize(("model", "call", "word"), [(SelectServer, "select", "read"), (PollServer, "poll", "POLLIN")])
def test_what_is_carried_into_a_wait_and_what_comes_back(model, call, word):
    filmed = film(model(), visit)
    for m in filmed:
        assert (m.handed_in is not None) == (m.call.name == call)
        if m.handed_in is not None:
            assert m.handed_in == {d.number: word for d in m.descriptors}
    reads = [m for m in filmed if m.label == "read"]
    assert reads and all(m.came_back == {m.call.descriptor: word} for m in reads)


class Nibbles(Server):
    """Reads four bytes of what came, and waits again."""

    edges = 0

    def serve(self, listener):
        with select.epoll() as epoll:
            connection, _ = listener.accept()
            epoll.register(connection, select.EPOLLIN | self.edges)
            while events := epoll.poll():
                if not connection.recv(4) or events[0][1] & select.EPOLLHUP:  # stopped: on edges nothing else will be told
                    break
            connection.close()


class NibblesOnEdges(Nibbles):
    edges = select.EPOLLET


def test_the_ready_list_is_of_levels_or_of_edges():
    ten_bytes = alice_sends(b"0123456789", b"x")
    levels = [m for m in film(Nibbles(), ten_bytes, calls=6) if m.call.name == "epoll_wait" and not m.asleep]
    assert [left(m) for m in levels] == [(0, 0), (6, 1), (2, 1)]  # ready each time, until nothing is left
    edges = film(NibblesOnEdges(), ten_bytes)
    asleep = [left(m) for m in edges if m.asleep and m.call.name == "epoll_wait"]
    assert asleep == [(0, 0), (6, 0), (3, 0)]  # it sleeps although bytes are left: nothing new has come


def left(m) -> tuple[int, int]:
    """How many bytes alice has sent that are not read, and how many are in the ready list."""
    return next(row.receive_queue for row in m.descriptors if m.who(row.number) == "alice"), len(m.ready)


def test_the_tasks_of_a_loop_are_in_each_moment():
    for server in (CoroutineServer(), OwnLoopServer()):
        filmed = film(server, visit)
        assert all(m.tasks is not None for m in filmed)
        asleep = [task for m in filmed if m.asleep for task in m.tasks]
        assert {task.state for task in asleep} == {"read"} and {m.who(task.number) for m in filmed for task in m.tasks} >= {
            "alice",
            "bob",
        }
    filmed = film(CoroutineServer(), visit)
    reads = [filmed.state(number) for number, m in enumerate(filmed) if m.label == "read"]
    assert "Ready queue: serve_client of bob (running)." in reads[0]


def test_a_server_that_a_learner_wrote_in_a_notebook_has_its_source():
    cell = "def my_server(listener):\n    while True:\n        connection, peer = listener.accept()\n        connection.close()\n"
    name = "/tmp/ipykernel_1/1234.py"
    linecache.cache[name] = len(cell), None, cell.splitlines(True), name
    space = {}
    exec(compile(cell, name, "exec"), space)

    class Mine(Server):
        def serve(self, listener):
            space["my_server"](listener)

    filmed = film(Mine(), silent_first)
    assert "connection, peer = listener.accept()" in "\n".join(filmed.listing.lines)
    assert {m.position.own.function for m in filmed} == {"my_server"}
    assert filmed[0].position.callers[0].text == 'space["my_server"](listener)'


def test_a_reference_solution_is_not_shown():
    """It stands in for what a learner has not written yet."""
    shown = "\n".join(film(OwnLoopServer(), visit).listing.lines)
    assert "yield from send_all(conn, data)" in shown and "def _step" not in shown and "def send_all" not in shown


def test_the_names_on_the_line_have_their_values():
    answers = [m for m in film(EpollServer(), visit) if m.label == "answer"]
    assert any("b'hello'" in value for m in answers for _, value in m.position.names)


def test_a_title_tells_what_a_server_was_made_with():
    class Sized(EpollServer):
        def __init__(self, size, answer=bytes.upper):
            super().__init__(answer)
            self.size = size

    servers = EpollServer(), EpollServer(edge_triggered=True), CoroutineServer(native=True), Sized(3)
    assert [film(server, calls=1).name for server in servers] == [
        "EpollServer",
        "EpollServer(edge_triggered=True)",
        "CoroutineServer(native=True)",
        "Sized(size=3)",
    ]


def test_it_ends_by_itself_or_at_the_limit():
    assert len(film(NonBlockingServer(), calls=5)) == 6
    assert film(NonBlockingServer(), calls=5).ending == "The film was to be of 5 calls."
    assert film(EpollServer()).ending == "The server sleeps, and no client does anything more."
    broken = film(EpollServer(answer=lambda data: 1 / 0), visit)
    assert "ended by ZeroDivisionError" in broken.ending and broken[-1].call is None


@pytest.mark.parametrize("model", [BlockingServer, OwnThreadsServer])
def test_a_server_that_computes_for_ever_ends_its_film(model, monkeypatch):
    monkeypatch.setattr(filming, "_BUSY", 0.1)
    over = threading.Event()

    def spins(data):
        while not over.is_set():
            pass
        return data

    try:
        assert film(model(answer=spins), visit).ending.startswith("The server computes")
    finally:
        over.set()


def test_a_server_that_runs_is_left_as_it_was():
    with EpollServer() as server, socket.create_connection(server.address, timeout=60) as client:
        client.sendall(b"before")
        assert client.recv(10) == b"before"
        filmed = film(server, visit, calls=6)
        assert not server.held and not server.recording and len(filmed.moments) >= 6
        client.sendall(b"after")
        assert client.recv(10) == b"after"
        server.hold()
        film(server, calls=1)
        assert server.held


def test_a_script_that_raises_ends_the_film_and_its_server():
    def wrong(connect):
        connect("alice")
        yield
        connect("alice")

    server = EpollServer()
    with pytest.raises(ValueError, match="cannot both be called 'alice'"):
        film(server, wrong)
    assert not server.running and not server.held


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ((EpollServer,), "not its class"),
        ((socket,), "film\\(\\) takes a server"),
        ((EpollServer(), lambda connect: None), "generator function"),
        ((EpollServer(), None, 0), "from 1 to 400"),
        ((EpollServer(), None, "all"), "from 1 to 400"),
    ],
)
def test_bad_input_gets_one_clear_sentence(arguments, error):
    with pytest.raises((TypeError, ValueError), match=error):
        film(*arguments)


def test_an_interest_that_has_outlived_its_number_is_told_and_drawn():
    class Forgets(Server):
        """Closes alice's number while a duplicate keeps her connection, and does not unregister it."""

        def serve(self, listener):
            epoll = select.epoll()
            connection, _ = listener.accept()
            epoll.register(connection, select.EPOLLIN)
            kept = os.dup(connection.fileno())
            epoll.poll()
            connection.close()
            epoll.poll()
            os.close(kept)
            epoll.close()

    filmed = film(Forgets(), alice_sends(b"hello"))
    old = next(m for m in filmed if m.call and m.call.name == "epoll_ctl").call.asked.split(", ")[1]
    zombies = [m.zombies for m in filmed]
    assert zombies[0] == () and ((int(old), "alice", "IN"),) in zombies
    at = zombies.index(((int(old), "alice", "IN"),))
    assert "The number of alice was closed, and is watched for IN all the same" in filmed.state(at)
    assert "alice" in str(filmed[at].who(int(old))) and f'"zombies":[[{old},"alice","IN"]]' in filmed._repr_html_()
    assert filmed == film(Forgets(), alice_sends(b"hello"))


def test_a_film_that_finds_its_server_ended_shows_what_that_has_done_to_the_clients():
    class EndsAtTheQuestion(Server):
        """Ends at the moment when the film asks whether it runs: after its clients were looked at, and before anything else."""

        def __init__(self):
            super().__init__()
            self.has_read, self.may_end = threading.Event(), threading.Event()

        @property
        def running(self):
            if self.has_read.is_set():
                self.may_end.set()
                self._has_ended.wait()
            return super().running

        def serve(self, listener):
            connection, _ = listener.accept()
            connection.recv(10)
            self.has_read.set()
            self.may_end.wait()

    def one_byte(connect):
        connect().send(b"x")
        yield

    last = film(EndsAtTheQuestion(), one_byte)[-1]
    assert last.call is None and [(client.name, client.state) for client in last.clients] == [("alice", "finished by the server")]


def test_a_wait_is_not_said_to_find_an_empty_list_where_a_closed_number_is_ready():
    class Forgets(Server):
        def serve(self, listener):
            with select.epoll() as epoll:
                epoll.register(listener, select.EPOLLIN)
                epoll.poll()
                connection, _ = listener.accept()
                epoll.register(connection, select.EPOLLIN)
                kept = connection.dup()
                connection.close()
                while epoll.poll():
                    pass
                kept.close()

    filmed = film(Forgets(), alice_sends(b"x"), calls=8)
    asked = [filmed.asks(number) for number, m in enumerate(filmed) if m.call.name == "epoll_wait" and not m.asleep]
    assert asked[1].endswith("which is empty.") and asked[-1].endswith("In it: alice, who was closed.")
