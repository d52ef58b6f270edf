"""7.x: what is kept is what was meant, and loop, waits and HTTP of the reference hold in hard cases."""

import contextlib
import errno
import io
import os
import socket
import time

import pytest
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


def in_a_loop(*tasks):
    loop = Loop()
    for task in tasks:
        loop.spawn(task)
    loop.run()


def told_in_a_loop(*tasks):
    """What it prints on standard error."""
    with contextlib.redirect_stderr(io.StringIO()) as told:
        in_a_loop(*tasks)
    return told.getvalue()


def pair():
    one, peer = socket.socketpair()
    one.setblocking(False)
    peer.setblocking(False)
    return one, peer


@settings(deadline=None, derandomize=True, database=None, max_examples=30)
@given(st.lists(st.binary(max_size=300), max_size=6), st.integers(1, 64))
def test_what_is_sent_is_received_however_it_is_cut(parts, size):
    one, peer = pair()
    got = []

    def sender():
        for part in parts:
            yield from send_all(one, part)
            yield
        one.close()

    def receiver():
        while data := (yield from recv(peer, size)):
            assert len(data) <= size
            got.append(data)

    in_a_loop(receiver(), sender())
    peer.close()
    assert b"".join(got) == b"".join(parts)


def test_a_sleep_longer_than_an_epoll_counts_keeps_nobody_else():
    one, peer = pair()

    def sleeper():
        yield "sleep", float("inf")

    def reader():
        yield from recv(one, 1)
        raise KeyboardInterrupt  # ends run(): nothing else does here

    peer.send(b"x")
    with one, peer, pytest.raises(KeyboardInterrupt):
        in_a_loop(sleeper(), reader())


def test_the_loop_ends_when_all_that_is_waited_for_is_closed():
    one, peer = pair()

    def closer():
        yield
        one.close()

    loop, told = Loop(), io.StringIO()
    loop.spawn(recv(one, 1), "bob")
    loop.spawn(closer())
    with contextlib.redirect_stderr(told):
        loop.run()
    peer.close()
    assert "Bad file descriptor" in told.getvalue() and "the task bob" in told.getvalue()
    assert not (loop.ready or loop.readers or loop.writers or loop.sleepers or loop.names)


def test_a_second_reader_of_a_socket_is_told():
    one, peer = pair()
    got = []

    def reader():
        got.append((yield from recv(one, 1)))

    def writer():
        yield
        yield from send_all(peer, b"x")

    told = told_in_a_loop(reader(), reader(), writer())
    one.close()
    peer.close()
    assert got == [b"x"] and "another task waits for this already" in told


def test_a_sleeper_wakes_neither_early_nor_because_of_others():
    one, peer = pair()
    woke = []

    def sleeper(begin):
        yield from sleep(0.05)
        woke.append(time.monotonic() - begin)

    def chatter():
        for _ in range(20):
            yield from send_all(peer, b"x")
            yield from recv(one, 1)
            yield from sleep(0)

    in_a_loop(sleeper(time.monotonic()), chatter())
    one.close()
    peer.close()
    assert woke[0] >= 0.05


@settings(deadline=None, derandomize=True, database=None, max_examples=40)
@given(st.lists(st.sampled_from(["/", "/nothing", "/long"]), min_size=1, max_size=5), st.lists(st.integers(1, 400), max_size=8))
def test_requests_may_be_cut_anywhere(paths, cuts):
    pages = {"/": b"hello", "/long": b"x" * 1000}

    def page(path):
        yield
        return pages.get(path)

    conn, client = pair()
    whole = b"".join(b"GET %s HTTP/1.1\r\nHost: here\r\n\r\n" % path.encode() for path in paths)
    answers = bytearray()

    def sends():
        left = whole
        for cut in cuts:
            yield from send_all(client, left[:cut])
            left = left[cut:]
            yield
        yield from send_all(client, left)
        client.shutdown(socket.SHUT_WR)
        while data := (yield from recv(client, 100)):
            answers.extend(data)

    in_a_loop(http(conn, page), sends())
    client.close()
    assert conn.fileno() == -1
    for path in paths:
        head, _, rest = bytes(answers).partition(b"\r\n\r\n")
        body = pages.get(path, b"There is no such page.\n")
        assert head.startswith(b"HTTP/1.1 " + (b"200" if path in pages else b"404")) and rest.startswith(body)
        answers = bytearray(rest[len(body) :])
    assert not answers


@pytest.mark.parametrize("request_, status", [
    (b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", b"501"), (b"hello\r\n\r\n", b"400"), (b"\r\n\r\n", b"400"),
    (b"GET / HTTP/1.1\r\nConnection: close\r\n\r\nGET / HTTP/1.1\r\n\r\n", b"200"),
    (b"GET / HTTP/1.1\r\nconnection: x, CLOSE\r\nConnection: TE\r\n\r\nGET / HTTP/1.1\r\n\r\n", b"200"),
])  # fmt: skip
def test_what_ends_a_connection_after_one_answer(request_, status):
    def page(path):
        yield
        return b"hello"

    conn, client = pair()
    got = []

    def asks():
        yield from send_all(client, request_)
        while data := (yield from recv(client, 1000)):
            got.append(data)

    in_a_loop(http(conn, page), asks())
    client.close()
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
    (greedy, its_peer), (other, others_peer) = pair(), pair()
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
    its_peer.send(request.replace(b"%b", b"g") * many)
    others_peer.send(request.replace(b"%b", b"o"))
    for end in its_peer, others_peer:
        end.shutdown(socket.SHUT_WR)
    in_a_loop(serve(greedy), serve(other))
    for end in greedy, its_peer, other, others_peer:
        end.close()
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


GONE = "ECONNRESET", "EPIPE", "ETIMEDOUT", "EHOSTUNREACH", "ENETUNREACH", "ENETDOWN"


@pytest.mark.parametrize("name", GONE)
@pytest.mark.parametrize("protocol", ["http", "resp"])
def test_an_error_of_a_connection_ends_this_connection_alone(protocol, name):
    (bad, its_peer), (good, goods_peer) = pair(), pair()

    def page(path):
        return b"hello"
        yield

    serve, request = (
        (lambda conn: http(conn, page), b"GET / HTTP/1.1\r\n\r\n")
        if protocol == "http"
        else (lambda conn: resp(conn, {}), b"PING\r\n")
    )
    for peer in its_peer, goods_peer:
        peer.send(request)
        peer.shutdown(socket.SHUT_WR)
    told = told_in_a_loop(serve(Fails(bad, getattr(errno, name))), serve(good))
    answer = goods_peer.recv(1000)
    assert answer.endswith((b"hello", b"+PONG\r\n")) and bad.fileno() == good.fileno() == -1 and told == ""
    its_peer.close()
    goods_peer.close()


@pytest.mark.parametrize("protocol", ["http", "resp"])
def test_a_mistake_of_ours_is_told(protocol):
    conn, peer = pair()

    def page(path):
        return b"hello"
        yield

    peer.send(b"GET / HTTP/1.1\r\n\r\n" if protocol == "http" else b"PING\r\n")
    peer.shutdown(socket.SHUT_WR)
    bad = Fails(conn, errno.EBADF)
    told = told_in_a_loop(http(bad, page) if protocol == "http" else resp(bad, {}))
    peer.close()
    assert "Bad file descriptor" in told and conn.fileno() == -1


def test_a_socket_that_was_closed_while_a_copy_lives_ends_neither_the_engine_nor_the_loop():
    (one, peer), (other, others_peer) = pair(), pair()
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
    got = []

    def reader(sock):
        got.append((yield from recv(sock, 1)))

    def closes(sock, copies):
        yield
        copies.append(sock.dup())
        sock.close()
        its_peer.send(b"x")
        yield "sleep", 0.01
        others_peer.send(b"y")

    (first, its_peer), copies = pair(), []
    told_in_a_loop(reader(first), reader(other), closes(first, copies))
    assert got == [b"y"]
    for sock in peer, other, others_peer, its_peer, *copies:
        sock.close()
