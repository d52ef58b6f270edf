"""The helpers of the notebooks' experiments do what their names say."""

import math
import os
import resource
import select
import shutil
import socket
import sys
import threading
import time

import pytest

from course_lib import folders, journal, lab
from course_lib.film import film
from course_lib.kernel import doing, wait_until
from course_lib.kernel.process_view import ProcessView
from course_lib.lab import (
    LoopServer,
    answered_backwards,
    ask,
    attempt,
    bits,
    cpu_of_an_answer,
    cpu_seconds,
    fill,
    first_answered,
    five_clients,
    from_a_terminal,
    in_a_child,
    in_its_own_process,
    in_thread,
    limit_of,
    line,
    names_in,
    pair,
    raw,
    readable,
    real,
    recv_says,
    reset,
    room_for,
    served,
    served_by,
    silent_clients,
    span,
    started,
    switch_interval,
    taken_below,
    two_clients,
    watched,
)
from course_lib.servers import BlockingServer, EpollServer, PollServer, SelectServer
from course_lib.solutions.blocking import serve_forever
from course_lib.solutions.coroutines import Loop, http, recv, send_all


def test_a_pair_is_one_connection():
    with pair() as (client, connection):
        client.sendall(b"hello")
        assert connection.getblocking() and readable(connection) and recv_says(connection) == "b'hello'"
    with pair(blocking=False) as (client, connection):
        assert recv_says(connection) == "BlockingIOError" and not readable(connection, 0)


def test_a_reset_is_an_error_at_the_other_end():
    with pair() as (client, connection):
        reset(client)
        assert readable(connection) and attempt(connection.recv, 10) == "ConnectionResetError ECONNRESET"
        assert attempt(connection.getsockname) == "ok"


def test_in_thread_goes_on_when_the_call_sleeps_or_has_ended():
    with pair() as (client, connection):
        thread = in_thread(connection.recv, 10)
        assert doing(thread).call == "recv"
        client.sendall(b"x")
        thread.join(10)
    assert not in_thread(lambda: None).is_alive()


def test_cpu_seconds_are_of_this_thread():
    assert cpu_seconds(time.sleep, 0.05) < cpu_seconds(sum, range(3_000_000))


def test_descriptors_and_their_limit_are_given_back():
    limits, numbers = resource.getrlimit(resource.RLIMIT_NOFILE), os.listdir("/proc/self/fd")
    with room_for(300), taken_below(200):
        with socket.socket() as sock:
            assert sock.fileno() >= 200
    assert (resource.getrlimit(resource.RLIMIT_NOFILE), os.listdir("/proc/self/fd")) == (limits, numbers)


def uses_up(limit):
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    try:
        return len([os.dup(1) for _ in range(limit)])
    except OSError as error:
        return error.errno, limit


def test_a_child_may_use_up_what_it_has():
    assert in_a_child(uses_up, 20) == (24, 20)


def test_a_call_is_told_with_names():
    for kind in (SelectServer, PollServer):
        with kind() as server, socket.create_connection(server.address) as alice:
            server.record()
            alice.sendall(b"hello")
            assert alice.recv(10) == b"hello"
            names = names_in(server, alice=alice)
            told = [line(call, names) for call in server.calls() if call.descriptor in names or call.name in ("select", "poll")]
        assert "recv(alice)  ->  5 b'hello'" in told
        assert "listener" in names.values()


def test_a_function_of_ones_own_serves_and_is_filmed():
    def shouting(listener):
        while True:
            with listener.accept()[0] as connection:
                connection.sendall(connection.recv(100).upper())

    with served_by(shouting) as server, socket.create_connection(server.address, timeout=60) as client:
        client.sendall(b"hello")
        assert client.recv(100) == b"HELLO"
    filmed = film(served_by(shouting), five_clients)
    assert filmed.name == "shouting"
    assert filmed[-1].asleep and filmed[-1].call.name == "recv"  # for alice, who was the first to come
    assert "def shouting(listener):" in filmed.listing.lines
    assert film(served_by(serve_forever), five_clients).listing.lines == ()  # a reference


def test_two_clients_come_and_the_second_is_answered_when_the_first_has_left():
    served = [[client.received for client in moment.clients] for moment in film(BlockingServer(), two_clients)]
    assert [0, 0] in served and served[-1] == [0, len(b"hello\n")]


def test_silent_clients_are_all_accepted_and_leave():
    with SelectServer() as server:
        with silent_clients(server, 60):
            assert len(server.descriptors()) == 61
        assert wait_until(lambda: len(server.descriptors()) == 1, 60)


def test_five_clients_come_and_only_those_who_talk_are_answered():
    last = film(EpollServer(), five_clients)[-1]
    assert {client.name: client.last for client in last.clients} == {
        "alice": b"hello\n",
        "bob": b"",
        "carol": b"hi\n",
        "dave": b"",
        "erin": b"hey\n",
    }
    assert [client.state for client in last.clients].count("closed") == 1


def test_readers_that_wait_side_by_side_are_through_in_the_order_of_the_answers():
    def read(number, sock, done):
        sock.recv(1)
        done.append(number)

    def in_turn(socks, done):
        for each in enumerate(socks):
            read(*each, done)

    def in_threads(socks, done):
        threads = [threading.Thread(target=read, args=(*each, done)) for each in enumerate(socks)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert answered_backwards(in_turn) == [0, 1, 2] and answered_backwards(in_threads) == [2, 1, 0]


def test_the_switch_interval_is_given_back():
    before = sys.getswitchinterval()
    with switch_interval(30):
        assert sys.getswitchinterval() == 30
    assert sys.getswitchinterval() == before


def echo(connection):
    while data := (yield from recv(connection, 100)):
        yield from send_all(connection, data)
    connection.close()


def test_a_loop_serves_goes_on_after_a_moment_without_a_free_number_and_stops():
    server = LoopServer(Loop, echo)
    with server, socket.create_connection(server.address) as alice, socket.socket() as bob:
        alice.sendall(b"hello")
        assert alice.recv(10) == b"hello"  # so its loop has its descriptors
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        server.record()
        resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
        try:
            bob.connect(server.address)
            refused = wait_until(lambda: any(call.error == "EMFILE" for call in server.calls()), 60)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert refused
        for client in alice, bob:
            client.sendall(b"hello")
            assert client.recv(10) == b"hello"
    assert not server.running and not hasattr(server, "loop")


def page(path):
    return b"a page" if path == "/" else None
    yield


def site():
    return LoopServer(Loop, lambda connection: http(connection, page))


def test_a_page_is_asked_for_as_the_web_does_or_byte_by_byte():
    with site() as server:
        assert ask(server.address, "/", 60) == b"a page"
        assert raw(server.address, b"GET / HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 200")
    with EpollServer(answer=bytes.upper) as server:
        assert ask(server.address, "/") == "BadStatusLine"


def test_a_server_in_its_own_process_has_its_own_limit_and_ends():
    with in_its_own_process(site()) as (pid, address):
        assert ask(address, "/", 60) == b"a page"
        before = limit_of(pid, 0)
        assert before == resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        assert (ask(address, "/"), limit_of(pid, before)) == ("TimeoutError", 0)
    assert not os.path.exists(f"/proc/{pid}")


def test_what_the_learner_owns_serves_from_a_terminal():
    with from_a_terminal("http") as address:
        assert b"Served by your own loop" in ask(address, "/", 60)


def test_a_program_says_what_it_says_or_how_to_install_it(monkeypatch, capsys):
    monkeypatch.setitem(lab.PACKAGES, "no-such-program", "no-such-package")
    assert real("no-such-program") == "" and "sudo apt install no-such-package" in capsys.readouterr().out
    assert real("sh", "-c", "echo out; echo err >&2") == "out\nerr\n"
    assert real("sleep", 60, seconds=0.1) == "sleep has not ended within 0.1 s."


def test_what_was_served_is_kept_where_the_loop_is_the_learners(tmp_path, monkeypatch):
    monkeypatch.setattr(folders, "mine", lambda: tmp_path)
    served("wrk", 5)
    assert journal.read() == {}
    (tmp_path / "loop.py").write_text("class Loop: ...")
    served("wrk", 5), served("wrk", 6), served("curl", 0)
    assert journal.read() == {"served": {"wrk": {"requests": 11}}}


@pytest.mark.parametrize("program", ["redis-server", "nginx"])
def test_a_server_of_other_people_is_started_and_ended(program):
    if not shutil.which(program):
        pytest.skip(f"{program} is not here")
    process, port = started(program)
    with socket.create_connection(("127.0.0.1", port)):
        assert wait_until(
            lambda: any(row.watched_by for row in ProcessView(process.pid).descriptors() if row.kind == "connection"), 10
        )
    another, _ = started(program)
    assert process.poll() is not None and another.poll() is None
    another.terminate()
    another.wait()


def test_no_other_program_is_started():
    with pytest.raises(ValueError, match="^redis-server or nginx can be started, not 'sh'$"):
        started("sh")


def test_a_number_is_in_the_first_span_with_a_bound_above_it():
    names = {2: "less than twice", 10: "up to ten times", math.inf: "more"}
    assert [span(value, names) for value in (0.5, 2, 9.9, 10, None)] == [
        "less than twice",
        "up to ten times",
        "up to ten times",
        "more",
        None,
    ]


def test_who_is_answered_first():
    def answer(request):
        return str(sum(range(3_000_000))).encode() if request == b"work" else request

    assert first_answered(EpollServer(answer), b"work", b"hello") == "alice"
    assert first_answered(EpollServer(answer), b"", b"hello") == "bob"  # alice asks for nothing


def test_the_cpu_time_of_an_answer_is_that_of_the_servers_thread():
    def answer(request: bytes) -> bytes:
        until = time.thread_time() + 0.002
        while time.thread_time() < until:
            pass
        return request

    with EpollServer(answer) as server, socket.create_connection(server.address, 60) as client:
        assert cpu_of_an_answer(server, client, times=10) > 2000


def test_a_client_that_reads_nothing_is_filled_until_nobody_takes_more():
    with SelectServer() as server, socket.create_connection(server.address) as client:
        assert 0 < fill(client, server) < 100_000_000
        assert server.doing().asleep and not [d for d in server.descriptors() if d.kind == "connection"][0].writable
        assert fill(client, server) == 0
    with PollServer() as server, socket.create_connection(server.address) as client:
        assert 20_000 <= fill(client, server, most=20_000) < 20_000 + 65536


def test_what_poll_says_of_one_thing_has_names():
    with pair() as (client, connection):
        assert [bits(events) for _, events in watched(connection).poll(0)] == ["POLLOUT"]
        assert watched(connection, select.POLLIN).poll(0) == []
        reset(client)
        assert [bits(events) for _, events in watched(connection, 0).poll(5000)] == ["POLLERR | POLLHUP"]
