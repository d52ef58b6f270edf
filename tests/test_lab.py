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
from course_lib.servers import BlockingServer, EpollServer, PollServer, SelectServer
from course_lib.solutions.blocking import serve_forever
from course_lib.solutions.coroutines import Loop, http, recv, send_all


def test_a_pair_is_one_connection():
    with lab.pair() as (client, connection):
        client.sendall(b"hello")
        assert connection.getblocking() and lab.readable(connection) and lab.recv_says(connection) == "b'hello'"
    with lab.pair(blocking=False) as (client, connection):
        assert lab.recv_says(connection) == "BlockingIOError" and not lab.readable(connection, 0)


def test_a_reset_is_an_error_at_the_other_end():
    with lab.pair() as (client, connection):
        lab.reset(client)
        assert lab.readable(connection) and lab.attempt(connection.recv, 10) == "ConnectionResetError ECONNRESET"
        assert lab.attempt(connection.getsockname) == "ok"


def test_in_thread_goes_on_when_the_call_sleeps_or_has_ended():
    with lab.pair() as (client, connection):
        thread = lab.in_thread(connection.recv, 10)
        assert doing(thread).call == "recv"
        client.sendall(b"x")
        thread.join(10)
    assert not lab.in_thread(lambda: None).is_alive()


def test_cpu_seconds_are_of_this_thread():
    assert lab.cpu_seconds(time.sleep, 0.05) < lab.cpu_seconds(sum, range(3_000_000))


def test_descriptors_and_their_limit_are_given_back():
    limits, numbers = resource.getrlimit(resource.RLIMIT_NOFILE), os.listdir("/proc/self/fd")
    with lab.room_for(300), lab.taken_below(200):
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
    assert lab.in_a_child(uses_up, 20) == (24, 20)


def test_a_call_is_told_with_names():
    for kind in (SelectServer, PollServer):
        with kind() as server, socket.create_connection(server.address) as alice:
            server.record()
            alice.sendall(b"hello")
            assert alice.recv(10) == b"hello"
            names = lab.names_in(server, alice=alice)
            told = [
                lab.line(call, names) for call in server.calls() if call.descriptor in names or call.name in ("select", "poll")
            ]
        assert "recv(alice)  ->  5 b'hello'" in told
        assert "listener" in names.values()


def test_a_function_of_ones_own_serves_and_is_filmed():
    def shouting(listener):
        while True:
            with listener.accept()[0] as connection:
                connection.sendall(connection.recv(100).upper())

    with lab.served_by(shouting) as server, socket.create_connection(server.address, timeout=60) as client:
        client.sendall(b"hello")
        assert client.recv(100) == b"HELLO"
    filmed = film(lab.served_by(shouting), lab.five_clients)
    assert filmed.name == "shouting"
    assert filmed[-1].asleep and filmed[-1].call.name == "recv"  # for alice, who was the first to come
    assert "def shouting(listener):" in filmed.listing.lines
    assert film(lab.served_by(serve_forever), lab.five_clients).listing.lines == ()  # a reference


def test_two_clients_come_and_the_second_is_answered_when_the_first_has_left():
    served = [[client.received for client in moment.clients] for moment in film(BlockingServer(), lab.two_clients)]
    assert [0, 0] in served and served[-1] == [0, len(b"hello\n")]


def test_silent_clients_are_all_accepted_and_leave():
    with SelectServer() as server:
        with lab.silent_clients(server, 60):
            assert len(server.descriptors()) == 61
        assert wait_until(lambda: len(server.descriptors()) == 1, 60)


def test_five_clients_come_and_only_those_who_talk_are_answered():
    last = film(EpollServer(), lab.five_clients)[-1]
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

    assert lab.answered_backwards(in_turn) == [0, 1, 2] and lab.answered_backwards(in_threads) == [2, 1, 0]


def test_the_switch_interval_is_given_back():
    before = sys.getswitchinterval()
    with lab.switch_interval(30):
        assert sys.getswitchinterval() == 30
    assert sys.getswitchinterval() == before


def echo(connection):
    while data := (yield from recv(connection, 100)):
        yield from send_all(connection, data)
    connection.close()


def test_a_loop_serves_goes_on_after_a_moment_without_a_free_number_and_stops():
    server = lab.LoopServer(Loop, echo)
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
    return lab.LoopServer(Loop, lambda connection: http(connection, page))


def test_a_page_is_asked_for_as_the_web_does_or_byte_by_byte():
    with site() as server:
        assert lab.ask(server.address, "/", 60) == b"a page"
        assert lab.raw(server.address, b"GET / HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 200")
    with EpollServer(answer=bytes.upper) as server:
        assert lab.ask(server.address, "/") == "BadStatusLine"


def test_a_server_in_its_own_process_has_its_own_limit_and_ends():
    with lab.in_its_own_process(site()) as (pid, address):
        assert lab.ask(address, "/", 60) == b"a page"
        before = lab.limit_of(pid, 0)
        assert before == resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        assert (lab.ask(address, "/"), lab.limit_of(pid, before)) == ("TimeoutError", 0)
    assert not os.path.exists(f"/proc/{pid}")


def test_what_the_learner_owns_serves_from_a_terminal():
    with lab.from_a_terminal("http") as address:
        assert b"Served by your own loop" in lab.ask(address, "/", 60)


def test_a_program_says_what_it_says_or_how_to_install_it(monkeypatch, capsys):
    monkeypatch.setitem(lab.PACKAGES, "no-such-program", "no-such-package")
    assert lab.real("no-such-program") == "" and "sudo apt install no-such-package" in capsys.readouterr().out
    assert lab.real("sh", "-c", "echo out; echo err >&2") == "out\nerr\n"
    assert lab.real("sleep", 60, seconds=0.1) == "sleep has not ended within 0.1 s."


def test_what_was_served_is_kept_where_the_loop_is_the_learners(tmp_path, monkeypatch):
    monkeypatch.setattr(folders, "mine", lambda: tmp_path)
    lab.served("wrk", 5)
    assert journal.read() == {}
    (tmp_path / "loop.py").write_text("class Loop: ...")
    lab.served("wrk", 5), lab.served("wrk", 6), lab.served("curl", 0)
    assert journal.read() == {"served": {"wrk": {"requests": 11}}}


@pytest.mark.parametrize("program", ["redis-server", "nginx"])
def test_a_server_of_other_people_is_started_and_ended(program):
    if not shutil.which(program):
        pytest.skip(f"{program} is not here")
    process, port = lab.started(program)
    with socket.create_connection(("127.0.0.1", port)):
        assert wait_until(
            lambda: any(row.watched_by for row in ProcessView(process.pid).descriptors() if row.kind == "connection"), 10
        )
    another, _ = lab.started(program)
    assert process.poll() is not None and another.poll() is None
    another.terminate()
    another.wait()


def test_no_other_program_is_started():
    with pytest.raises(ValueError, match="^redis-server or nginx can be started, not 'sh'$"):
        lab.started("sh")


def test_a_number_is_in_the_first_span_with_a_bound_above_it():
    names = {2: "less than twice", 10: "up to ten times", math.inf: "more"}
    assert [lab.span(value, names) for value in (0.5, 2, 9.9, 10, None)] == [
        "less than twice",
        "up to ten times",
        "up to ten times",
        "more",
        None,
    ]


def test_who_is_answered_first():
    def answer(request):
        return str(sum(range(3_000_000))).encode() if request == b"work" else request

    assert lab.first_answered(EpollServer(answer), b"work", b"hello") == "alice"
    assert lab.first_answered(EpollServer(answer), b"", b"hello") == "bob"  # alice asks for nothing


def test_the_cpu_time_of_an_answer_is_that_of_the_servers_thread():
    def answer(request: bytes) -> bytes:
        until = time.thread_time() + 0.002
        while time.thread_time() < until:
            pass
        return request

    with EpollServer(answer) as server, socket.create_connection(server.address, 60) as client:
        assert lab.cpu_of_an_answer(server, client, times=10) > 2000


def test_a_client_that_reads_nothing_is_filled_until_nobody_takes_more():
    with SelectServer() as server, socket.create_connection(server.address) as client:
        assert 0 < lab.fill(client, server) < 100_000_000
        assert server.doing().asleep and not [d for d in server.descriptors() if d.kind == "connection"][0].writable
        assert lab.fill(client, server) == 0
    with PollServer() as server, socket.create_connection(server.address) as client:
        assert 20_000 <= lab.fill(client, server, most=20_000) < 20_000 + 65536


def test_what_poll_says_of_one_thing_has_names():
    with lab.pair() as (client, connection):
        assert [lab.bits(events) for _, events in lab.watched(connection).poll(0)] == ["POLLOUT"]
        assert lab.watched(connection, select.POLLIN).poll(0) == []
        lab.reset(client)
        assert [lab.bits(events) for _, events in lab.watched(connection, 0).poll(5000)] == ["POLLERR | POLLHUP"]
