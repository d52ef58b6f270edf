"""What clients may send: anything. http and resp on the course's two loops answer it, or end it, and go on; nothing piles up."""

import re
import select
import socket
import struct
from contextlib import ExitStack

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from loop_server import HTTP, PATIENCE, RESP, Server

from course_lib.servers import scheduler
from course_lib.solutions import coroutines
from course_lib.solutions.capstone import resp
from course_lib.solutions.coroutines import recv, send_all

MB = 1 << 20
OVER = object()  # stands for what a task that has ended would yield; None is a bare yield
ROOM = 32 * MB  # bytes by which a server may grow at any moment: far less than what is announced, or asked for


@pytest.fixture(scope="module", params=["exercise", "scheduler"])
def server(request, tmp_path_factory):
    server = Server(request.param, tmp_path_factory.mktemp("fuzz") / "errors")
    yield server
    server.close()


def talk(client: socket.socket, pieces: list[bytes], ending: str) -> bytes:
    """Send the pieces, and read what comes meanwhile; end as told, and return what came."""
    came = bytearray()
    client.setblocking(False)
    poll = select.poll()
    poll.register(client, select.POLLIN | select.POLLOUT)
    left = [memoryview(piece) for piece in pieces if piece]
    try:
        while left:
            events = dict(poll.poll(PATIENCE * 1000))
            assert events, "the server neither reads nor answers"
            if events[client.fileno()] & select.POLLIN:
                if not (data := client.recv(65_536)):
                    break
                came += data
                continue
            left[0] = left[0][client.send(left[0]) :]
            if not left[0]:
                del left[0]
        if ending == "half-close":
            client.shutdown(socket.SHUT_WR)
            poll.modify(client, select.POLLIN)
            while True:
                assert poll.poll(PATIENCE * 1000), "the end does not come"
                if not (data := client.recv(65_536)):
                    break
                came += data
    except OSError as error:
        assert isinstance(error, ConnectionError) or error.errno == 107  # ENOTCONN: it was cut before
    if ending == "reset":
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
    return bytes(came)


def array(words: list[bytes]) -> bytes:
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in words)


LENGTHS = st.integers(-5, 50) | st.sampled_from(
    [-(2**63), -1, 0, 1, 2, 3, 4, 1023, 1024, 1025, MB - 1, MB, MB + 1, 2**30, 2**31, 2**63, 10**30]
)
JUNK = st.binary(max_size=40) | st.builds(
    lambda byte, times: byte * times, st.binary(min_size=1, max_size=3), st.sampled_from([100, 5_000, 70_000])
)
COMMANDS = st.sampled_from([
    b"PING\r\n", b"get big\r\n", array([b"PING"]), array([b"GET", b"big"]), array([b"SET", b"k", b"1\r\n2"]), array([b"GET", b"k"]),
    array([b"HELLO", b"3"]), array([b"CONFIG", b"GET", b"save"]), array([b"SET", b"k"]), array([b"x"] * 50),
])  # fmt: skip
LINE_ENDS = st.sampled_from([b"\r\n", b"\n", b"\r", b""])
LIES = (
    st.builds(lambda sign, length, end: b"%b%d%b" % (sign, length, end), st.sampled_from([b"*", b"$"]), LENGTHS, LINE_ENDS)
    | st.builds(lambda length, word: b"*1\r\n$%d\r\n%b\r\n" % (length, word), LENGTHS, st.binary(max_size=8))
    | st.sampled_from([b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1048000\r\n", b"*1\r\n*1\r\n", b"*1024\r\n", b"$-1\r\n", b"*\r\n"])
)
REQUESTS = st.sampled_from([
    b"GET / HTTP/1.1\r\n\r\n", b"GET /big HTTP/1.1\r\n\r\n", b"GET /none HTTP/1.1\r\nConnection: close\r\n\r\n",
    b"GET / HTTP/1.1\r\n", b"GET  / HTTP/1.1\r\n\r\n", b"GET\r\n\r\n", b"\r\n\r\n", b"\r\n", b":\r\n", b"\n\n",
    b"POST / HTTP/1.1\r\nContent-Length: 1000000000\r\n\r\n", b"Content-Length: -1\r\n",
    b"Transfer-Encoding: chunked\r\n", b"Host: \xff\xfe\r\n", b"GET /\x00 HTTP/9.9\r\n\r\n",
])  # fmt: skip
FIELDS = st.builds(
    lambda name, size: b"%b: %b\r\n" % (name, b"v" * size), st.binary(max_size=5), st.sampled_from([0, 10, 5_000, 70_000])
)
SPEECH = {
    RESP: st.lists(COMMANDS | LIES | JUNK, max_size=8).map(b"".join),
    HTTP: st.lists(REQUESTS | FIELDS | JUNK, max_size=8).map(b"".join),
}
ENDINGS = st.sampled_from(["half-close", "half-close", "close", "reset"])


def cut(data: bytes, places: list[int]) -> list[bytes]:
    """The data in pieces."""
    borders = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    return [data[begin:end] for begin, end in zip(borders, borders[1:])]


quickly = settings(deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow])


@pytest.mark.parametrize("protocol", [HTTP, RESP])
def test_whatever_is_sent_the_server_lives_and_keeps_nothing(server, protocol):
    held = server.peak_from_here()

    @settings(quickly, max_examples=120)
    @given(SPEECH[protocol], st.lists(st.integers(0, 10**6), max_size=6), ENDINGS)
    def clients(data, places, ending):
        talk(server.connect(protocol), cut(data, places), ending)

    clients()
    server.ask()
    assert server.memory("VmHWM") - held < ROOM
    server.left_nothing()


def test_clients_that_say_nonsense_and_stay_hold_up_nobody(server):
    held = server.memory()
    clients = ExitStack()
    for protocol, says in (
        (RESP, b"*1\r\n$1048576\r\n"), (RESP, b"*1024\r\n$1048\r\n"), (RESP, b"*1\r\n$9"), (RESP, b"x" * 1000), (RESP, b""),
        (HTTP, b"GET / HTTP/1.1\r\nX: " + b"y" * 1000), (HTTP, b"\r\n"), (HTTP, b""),
    ):  # fmt: skip
        for _ in range(20):
            clients.enter_context(server.connect(protocol)).sendall(says)
    with clients:
        server.ask()
        assert server.memory() - held < 8 * MB  # 20 MB are announced
    server.left_nothing()


@pytest.mark.parametrize("protocol, begin, more", [
    (RESP, b"*2\r\n$3\r\nGET\r\n$1073741824\r\n", b"x" * 65_536),
    (RESP, b"*1073741824\r\n", b"$1\r\nx\r\n" * 10_000),
    (RESP, b"*1024\r\n", array([b"x" * MB])[4:]),
    (RESP, b"", b"x" * 65_536),
    (RESP, b"*", b"1" * 65_536),
    (RESP, b"*1\r\n$", b"0" * 65_536),
    (HTTP, b"GET / HTTP/1.1\r\n", b"X-Field: value\r\n" * 4_000),
    (HTTP, b"GET /", b"a" * 65_536),
    (HTTP, b"POST / HTTP/1.1\r\nContent-Length: 1073741824\r\n\r\n", b"x" * 65_536),
])  # fmt: skip
def test_what_never_ends_is_ended(server, protocol, begin, more):
    held = server.peak_from_here()
    with server.connect(protocol) as client:
        client.sendall(begin)
        with pytest.raises(ConnectionError):
            for _ in range(32 * MB // len(more)):  # more than the buffers of the kernel hold
                client.sendall(more)
    server.ask()
    assert server.memory("VmHWM") - held < 8 * MB
    server.left_nothing()


@pytest.mark.parametrize(
    "protocol, asks", [(RESP, array([b"GET", b"big"])), (HTTP, b"GET /big HTTP/1.1\r\n\r\n")], ids=[RESP, HTTP]
)
def test_a_client_that_asks_and_never_reads_is_not_read_any_more(server, protocol, asks):
    held = server.peak_from_here()
    sent, asks = 0, asks * 1000
    with server.connect(protocol) as client:
        client.setblocking(False)
        while select.select([], [client], [], 0.3)[1]:  # the buffers of the kernel are full after some MB
            sent += client.send(asks)
            assert sent < 512 * MB
        server.ask()
        assert server.memory("VmHWM") - held < ROOM
    server.left_nothing()


class Model:
    """What Redis would say: the store, and for each client whether it speaks RESP3."""

    def __init__(self) -> None:
        self.store, self.resp3 = {}, set()

    def answer(self, client: object, words: list[bytes]) -> bytes:
        match [word.upper() for word in words[:1]] + words[1:]:
            case []:
                return b""
            case [b"PING"]:
                return b"+PONG\r\n"
            case [b"SET", key, value]:
                self.store[key] = value
                return b"+OK\r\n"
            case [b"GET", key] if key in self.store:
                return b"$%d\r\n%b\r\n" % (len(self.store[key]), self.store[key])
            case [b"GET", _]:
                return b"_\r\n" if client in self.resp3 else b"$-1\r\n"
            case [b"HELLO", b"3"]:
                self.resp3.add(client)
                return b"%1\r\n$5\r\nproto\r\n:3\r\n"
        return b"-"


KEYS = st.sampled_from([b"a", b"b", b"\r\n", b"", b"\xff$3\r\n"])
VALUES = (
    st.binary(max_size=30)
    | st.sampled_from([b"", b"\r\n", array([b"PING"]), b"*", b"$-1\r\n"])
    | st.sampled_from([5_000, 300_000]).map(lambda size: b"x" * size)
)
WORDS = (
    st.tuples(st.sampled_from([b"SET", b"set"]), KEYS, VALUES) | st.tuples(st.sampled_from([b"GET", b"gEt"]), KEYS)
    | st.sampled_from([(b"PING",), (b"HELLO", b"3"), (b"NONE", b"\r\n"), (b"GET",), (b"SET", b"a"), (b"SET", b"a", b"b", b"NX")])
    | st.just(())
).map(list)  # fmt: skip
PLAIN = st.lists(st.sampled_from([b"PING", b"GET", b"SET", b"a", b"b", b"\xff", b"get"]), max_size=4)
SENTENCES = WORDS.map(lambda words: (words, array(words))) | st.builds(
    lambda words, end: (words, b" ".join(words) + end), PLAIN, st.sampled_from([b"\r\n", b"\n", b"  \r\n"])
)


def without_error_texts(answers: bytes) -> bytes:
    """The text of an error is free. (No value of these tests has a line that begins like one.)"""
    return re.sub(rb"-ERR [^\r\n]*\r\n", b"-", answers)


class Pieces(RuleBasedStateMachine):
    """Three clients of one store, whose commands arrive in pieces, cut anywhere. resp is resumed by hand."""

    @initialize()
    def connect(self):
        self.model, self.clients = Model(), []
        store = {}
        for number in range(3):
            conn, client = socket.socketpair()
            conn.setblocking(False)
            client.setblocking(False)
            one = {"conn": conn, "client": client, "task": resp(conn, store), "unsent": b"", "ends": []}
            self.clients.append(one)
            self.resume(one)

    def resume(self, one):
        """Run the task until it waits for more; return what came to the client."""
        came = b""
        while True:
            wait = next(one["task"], OVER)
            try:
                while data := one["client"].recv(1 << 20):
                    came += data
            except BlockingIOError:
                pass
            if wait is OVER or wait and wait[0] == "read" and not select.select([one["conn"]], [], [], 0)[0]:
                return came

    @rule(number=st.integers(0, 2), sentences=st.lists(SENTENCES, min_size=1, max_size=5))
    def says(self, number, sentences):
        one = self.clients[number]
        for words, written in sentences:
            one["unsent"] += written
            one["ends"].append((len(written), words))

    @precondition(lambda self: any(one["unsent"] for one in self.clients))
    @rule(number=st.integers(0, 2), size=st.integers(1, 60) | st.sampled_from([1, 100_000]))
    def arrives(self, number, size):
        one = self.clients[number]
        size = one["client"].send(one["unsent"][:size]) if one["unsent"] else 0
        one["unsent"] = one["unsent"][size:]
        right = b""
        while one["ends"] and size >= one["ends"][0][0]:
            length, words = one["ends"].pop(0)
            size -= length
            right += self.model.answer(number, words)
        if one["ends"]:
            length, words = one["ends"][0]
            one["ends"][0] = length - size, words
        assert without_error_texts(self.resume(one)) == right

    def teardown(self):
        for one in self.clients:
            one["client"].close()
            assert self.resume_to_end(one) and one["conn"].fileno() == -1

    def resume_to_end(self, one):
        for _ in range(100):
            if next(one["task"], OVER) is OVER:
                return True


TestPieces = Pieces.TestCase
TestPieces.settings = settings(quickly, max_examples=30, stateful_step_count=40)


@pytest.mark.parametrize("loop", [coroutines.Loop, scheduler.Loop], ids=["exercise", "scheduler"])
@settings(quickly, max_examples=40)
@given(st.lists(SENTENCES, max_size=12), st.lists(st.integers(0, 10**6), max_size=12))
def test_answers_do_not_depend_on_where_the_commands_are_cut(loop, sentences, places):
    conn, client = socket.socketpair()
    conn.setblocking(False)
    client.setblocking(False)
    model, came = Model(), bytearray()

    def says():
        for piece in cut(b"".join(written for _, written in sentences), places):
            yield from send_all(client, piece)
            yield
        client.shutdown(socket.SHUT_WR)

    def reads():
        while data := (yield from recv(client, 65_536)):
            came.extend(data)

    tasks = loop()
    for task in resp(conn, {}), says(), reads():
        tasks.spawn(task)
    tasks.run()
    client.close()
    assert conn.fileno() == -1
    assert without_error_texts(bytes(came)) == b"".join(model.answer(1, words) for words, _ in sentences)
