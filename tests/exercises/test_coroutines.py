"""7.x: what is kept is what was meant, and loop, waits and HTTP of the reference hold in hard cases."""

import contextlib
import errno
import io
import os
import socket
import time

import pytest
from exercises.sockets import ENDS, in_a_loop, pair, told_in_a_loop
from hypothesis import given, settings
from hypothesis import strategies as st

from course_lib.exercises.keep import as_module
from course_lib.solutions.capstone import resp
from course_lib.solutions.coroutines import AsyncSocket, Loop, accept, http, recv, run, send_all, sleep
from course_lib.solutions.epolling import EpollEngine


def test_the_sleep_of_another_module_is_kept_as_that(cell):
    names = cell("from time import sleep\n\ndef nap():\n    sleep(1)\n")
    assert "\nfrom time import sleep\n" in as_module(names["nap"], "9.9", "nap", ["sleep"])


@settings(deadline=None, derandomize=True, database=None)
@given(st.lists(st.integers(0, 6), max_size=8))
def test_tasks_take_turns_whatever_their_lengths(lengths):
    log = []

    def task(name, steps):
        for step in range(steps):
            log.append((step, name))
            yield
        return steps

    assert run({name: task(name, steps) for name, steps in enumerate(lengths)}) == dict(enumerate(lengths))
    assert log == sorted(log) and len(log) == sum(lengths)


@settings(deadline=None, derandomize=True, database=None, max_examples=30)
@given(st.lists(st.binary(max_size=300), max_size=6), st.integers(1, 64))
def test_what_is_sent_is_received_however_it_is_cut(parts, size):
    got = []

    def sender(one):
        for part in parts:
            yield from send_all(one, part)
            yield
        one.close()

    def receiver(peer):
        while data := (yield from recv(peer, size)):
            assert len(data) <= size
            got.append(data)

    with pair() as (one, peer):
        in_a_loop(receiver(peer), sender(one))
    assert b"".join(got) == b"".join(parts)


def test_a_sleep_longer_than_an_epoll_counts_keeps_nobody_else():
    def reader(sock):
        yield from recv(sock, 1)
        raise KeyboardInterrupt  # ends run(): nothing else does here

    with pair() as (one, peer), pytest.raises(KeyboardInterrupt):
        peer.send(b"x")
        in_a_loop(sleep(float("inf")), reader(one))


def test_the_loop_ends_when_all_that_is_waited_for_is_closed():
    def closer(sock):
        yield
        sock.close()

    loop = Loop()
    with pair() as (one, _), contextlib.redirect_stderr(io.StringIO()) as told:
        loop.spawn(recv(one, 1), "bob")
        loop.spawn(closer(one))
        loop.run()
    assert "Bad file descriptor" in told.getvalue() and "the task bob" in told.getvalue()
    assert not (loop.ready or loop.readers or loop.writers or loop.sleepers or loop.names)


def reader(sock, got):
    got.append((yield from recv(sock, 1)))


def test_a_second_reader_of_a_socket_is_told():
    got = []

    def writer(sock):
        yield
        yield from send_all(sock, b"x")

    with pair() as (one, peer):
        told = told_in_a_loop(reader(one, got), reader(one, got), writer(peer))
    assert got == [b"x"] and "another task waits for this already" in told


def test_a_sleeper_wakes_neither_early_nor_because_of_others():
    woke = []

    def sleeper(begin):
        yield from sleep(0.05)
        woke.append(time.monotonic() - begin)

    def chatter(one, peer):
        for _ in range(20):
            yield from send_all(peer, b"x")
            yield from recv(one, 1)
            yield from sleep(0)

    with pair() as ends:
        in_a_loop(sleeper(time.monotonic()), chatter(*ends))
    assert woke[0] >= 0.05


@settings(deadline=None, derandomize=True, database=None, max_examples=40)
@given(st.lists(st.sampled_from(["/", "/nothing", "/long"]), min_size=1, max_size=5), st.lists(st.integers(1, 400), max_size=8))
def test_requests_may_be_cut_anywhere(paths, cuts):
    pages = {"/": b"hello", "/long": b"x" * 1000}

    def page(path):
        yield
        return pages.get(path)

    whole = b"".join(b"GET %s HTTP/1.1\r\nHost: here\r\n\r\n" % path.encode() for path in paths)
    answers = bytearray()

    def sends(client):
        left = whole
        for cut in cuts:
            yield from send_all(client, left[:cut])
            left = left[cut:]
            yield
        yield from send_all(client, left)
        client.shutdown(socket.SHUT_WR)
        while data := (yield from recv(client, 100)):
            answers.extend(data)

    with pair() as (conn, client):
        in_a_loop(http(conn, page), sends(client))
        assert conn.fileno() == -1
    for path in paths:
        head, _, rest = bytes(answers).partition(b"\r\n\r\n")
        body = pages.get(path, b"There is no such page.\n")
        assert head.startswith(b"HTTP/1.1 " + (b"200" if path in pages else b"404")) and rest.startswith(body)
        answers = bytearray(rest[len(body) :])
    assert not answers


def hello(path):
    """A page that is there at once."""
    return b"hello"
    yield


@pytest.mark.parametrize("request_, status", [
    (b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", b"501"), (b"hello\r\n\r\n", b"400"), (b"\r\n\r\n", b"400"),
    (b"GET / HTTP/1.1\r\nConnection: close\r\n\r\nGET / HTTP/1.1\r\n\r\n", b"200"),
    (b"GET / HTTP/1.1\r\nconnection: x, CLOSE\r\nConnection: TE\r\n\r\nGET / HTTP/1.1\r\n\r\n", b"200"),
])  # fmt: skip
def test_what_ends_a_connection_after_one_answer(request_, status):
    got = []

    def asks(client):
        yield from send_all(client, request_)
        while data := (yield from recv(client, 1000)):
            got.append(data)

    with pair() as (conn, client):
        in_a_loop(http(conn, hello), asks(client))
    answer = b"".join(got)
    assert answer.count(b"HTTP/1.1") == 1 and answer.startswith(b"HTTP/1.1 " + status) and b"\r\nConnection: close\r\n" in answer


def test_a_client_is_accepted_when_it_comes():
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setblocking(False)
    accepted = []

    def accepts():
        accepted.append((yield from accept(listener)))

    def client():
        yield from sleep(0.01)
        accepted.append(socket.create_connection(listener.getsockname()))

    in_a_loop(accepts(), client())
    with listener, accepted[0] as one, accepted[1] as other:
        assert {one.getpeername(), other.getpeername()} == {other.getsockname(), one.getsockname()}


class Logged(dict):
    """A store that remembers in which order it was asked."""

    def __init__(self, **values):
        super().__init__(values)
        self.asked = []

    def get(self, key):
        self.asked.append(key)
        return super().get(key)


@pytest.mark.parametrize("protocol", ["http", "resp", "echo", "async echo"])
def test_a_client_that_sends_without_end_delays_another_by_a_few_answers(protocol):
    store, served = Logged(), []

    def page(path):
        served.append(path)
        return b"hello"
        yield

    def echo(conn):
        while data := (yield from recv(conn, 100)):
            served.append(data[:1])
            yield from send_all(conn, data)

    async def async_echo(conn):
        conn = AsyncSocket(conn)
        while data := await conn.recv(100):
            served.append(data[:1])
            await conn.send_all(data)

    serve, request, many = {
        "http": (lambda conn: http(conn, page), b"GET /%b HTTP/1.1\r\n\r\n", 150),
        "resp": (lambda conn: resp(conn, store), b"GET %b\r\n", 1000),
        "echo": (echo, b"%b" * 50, 50),
        "async echo": (async_echo, b"%b" * 50, 50),
    }[protocol]
    with pair() as (greedy, its_peer), pair() as (other, others_peer):
        its_peer.send(request.replace(b"%b", b"g") * many)
        others_peer.send(request.replace(b"%b", b"o"))
        for end in its_peer, others_peer:
            end.shutdown(socket.SHUT_WR)
        in_a_loop(serve(greedy), serve(other))
    order = [str(each) for each in served or store.asked]
    first = next(place for place, each in enumerate(order) if "o" in each)
    assert first <= 16 and len(order) > 20


class Fails:
    """A connection on which every send fails."""

    def __init__(self, sock, number):
        self.sock, self.number = sock, number

    def send(self, data):
        raise OSError(self.number, os.strerror(self.number))

    def __getattr__(self, name):
        return getattr(self.sock, name)


PROTOCOLS = {
    "http": (lambda conn: http(conn, hello), b"GET / HTTP/1.1\r\n\r\n", b"hello"),
    "resp": (lambda conn: resp(conn, {}), b"PING\r\n", b"+PONG\r\n"),
}


def asks(peer, request):
    peer.send(request)
    peer.shutdown(socket.SHUT_WR)


@pytest.mark.parametrize("name", ENDS)
@pytest.mark.parametrize("serve, request_, answer", PROTOCOLS.values(), ids=PROTOCOLS)
def test_an_error_of_a_connection_ends_this_connection_alone(serve, request_, answer, name):
    with pair() as (bad, its_peer), pair() as (good, goods_peer):
        asks(its_peer, request_)
        asks(goods_peer, request_)
        told = told_in_a_loop(serve(Fails(bad, getattr(errno, name))), serve(good))
        assert goods_peer.recv(1000).endswith(answer) and bad.fileno() == good.fileno() == -1 and told == ""


@pytest.mark.parametrize("serve, request_, answer", PROTOCOLS.values(), ids=PROTOCOLS)
def test_a_mistake_of_ours_is_told(serve, request_, answer):
    with pair() as (conn, peer):
        asks(peer, request_)
        told = told_in_a_loop(serve(Fails(conn, errno.EBADF)))
        assert "Bad file descriptor" in told and conn.fileno() == -1


def test_a_socket_that_was_closed_while_a_copy_lives_ends_neither_the_engine_nor_the_loop():
    got, copies = [], []

    def closes(sock):
        yield
        copies.append(sock.dup())
        sock.close()
        its_peer.send(b"x")
        yield "sleep", 0.01
        others_peer.send(b"y")

    with pair() as (one, peer), pair() as (other, others_peer), pair() as (first, its_peer):
        engine = EpollEngine()
        engine.watch(one, True, False, "one")
        engine.watch(other, True, False, "other")
        with one.dup():
            one.close()
            engine.unwatch(one)
            peer.send(b"x")
            others_peer.send(b"x")
            engine.wait(1)  # the kernel tells of the closed one too
            assert engine.wait(1) == [("other", True, False, False)]
            other.recv(1)
            assert engine.wait(0) == []  # it is rid of it
        told_in_a_loop(reader(first, got), reader(other, got), closes(first))
        copies.pop().close()
    assert got == [b"y"]
