"""What `observe` says, held against what was done to the sockets."""

import os
import select
import socket
import struct
import threading
import time

import pytest

from course_lib.observe import asleep_on, descriptors, doing, open_numbers, threads, wait_until


@pytest.fixture
def pair():
    """(listener, client, connection) on loopback."""
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_connection(listener.getsockname()) as client:
        connection, _ = listener.accept()
        with connection:
            yield listener, client, connection


def one(thing):
    [found] = descriptors(thing)
    return found


class TestDescriptors:
    def test_a_listener_and_its_accept_queue(self, pair):
        listener = pair[0]
        assert (one(listener).kind, one(listener).state, one(listener).accept_queue, one(listener).readable) == \
            ("listener", "LISTEN", 0, False)
        with socket.create_connection(listener.getsockname()), socket.create_connection(listener.getsockname()):
            assert wait_until(lambda: one(listener).accept_queue == 2)
            assert one(listener).readable and one(listener).receive_queue is None
        assert one(listener).local == listener.getsockname() and one(listener).peer is None

    def test_a_connection_and_the_bytes_that_wait_in_it(self, pair):
        _, client, connection = pair
        client.sendall(b"hello")
        assert wait_until(lambda: one(connection).receive_queue == 5)
        seen = one(connection)
        assert (seen.kind, seen.state, seen.readable, seen.writable, seen.hangup) == ("connection", "ESTABLISHED", True, True, False)
        assert (seen.local, seen.peer) == (connection.getsockname(), client.getsockname())
        connection.recv(3)
        assert one(connection).receive_queue == 2

    def test_bytes_that_nobody_reads_stay_in_the_send_queue(self, pair):
        _, client, connection = pair
        client.setblocking(False)
        with pytest.raises(BlockingIOError):
            while True:
                client.send(bytes(65536))
        assert one(client).send_queue > 0 and not one(client).writable

    def test_the_blocking_flag_is_the_kernels(self, pair):
        connection = pair[2]
        assert one(connection).blocking
        connection.settimeout(3)  # Python says blocking; the kernel has O_NONBLOCK
        assert not one(connection).blocking

    def test_a_peer_that_has_finished_sending(self, pair):
        _, client, connection = pair
        client.shutdown(socket.SHUT_WR)
        assert wait_until(lambda: one(connection).hangup)
        assert (one(connection).state, one(connection).readable, one(connection).receive_queue) == ("CLOSE_WAIT", True, 0)

    def test_a_reset_connection_is_still_a_connection_with_a_peer(self, pair):
        _, client, connection = pair
        peer = one(connection).peer
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
        assert wait_until(lambda: one(connection).state == "CLOSE")
        assert (one(connection).kind, one(connection).hangup, one(connection).peer) == ("connection", True, peer)

    def test_other_kinds(self, tmp_path):
        inside, outside = os.pipe()
        epoll, left_right = select.epoll(), socket.socketpair()
        path = str(tmp_path / "unix")
        with socket.socket() as new, socket.socket(type=socket.SOCK_DGRAM) as datagram, open(os.devnull) as device, \
                open(__file__) as file, socket.socket(socket.AF_UNIX) as named, socket.socket(socket.AF_INET6) as six:
            named.bind(path)
            named.listen()
            things = [inside, epoll, left_right[0], new, datagram, device, file, named, six]
            kinds = [one(thing).kind for thing in things]
            assert kinds == ["pipe", "epoll", "unix socket", "socket", "datagram", "device", "file", "unix listener", "socket"]
            assert one(file).local == __file__ and one(named).local == path
            os.write(outside, b"abc")
            assert one(inside).receive_queue == 3
        for number in (inside, outside):
            os.close(number)
        epoll.close()
        for side in left_right:
            side.close()

    def test_ipv6_addresses(self):
        try:
            listener = socket.create_server(("::1", 0), family=socket.AF_INET6)
        except OSError:
            pytest.skip("no IPv6 loopback here")
        with listener:
            assert one(listener).local == listener.getsockname()[:2]

    def test_who_watches_it_and_for_what(self, pair):
        connection = pair[2]
        with select.epoll() as epoll:
            epoll.register(connection, select.EPOLLIN | select.EPOLLET)
            [watcher] = one(connection).watched_by
            assert watcher.epoll == epoll.fileno() and str(watcher) == f"epoll {epoll.fileno()}: EPOLLIN | EPOLLET"
            epoll.modify(connection, 0)
            assert str(one(connection).watched_by[0]).endswith("nothing now")
        assert one(connection).watched_by == ()

    def test_an_interest_that_a_closed_number_left_is_not_taken_for_the_new_one(self):
        old, other = socket.socketpair()
        with select.epoll() as epoll, other:
            epoll.register(old, select.EPOLLIN)
            keeps_it_alive, number = os.dup(old.fileno()), old.fileno()
            old.close()
            new = socket.socket()
            assert new.fileno() == number
            assert one(new).watched_by == ()
            new.close()
            os.close(keeps_it_alive)

    def test_of_one_of_several_and_of_the_whole_process(self, pair):
        listener, client, connection = pair
        assert [d.number for d in descriptors([connection, listener, listener])] == sorted({connection.fileno(), listener.fileno()})
        assert one(listener.fileno()) == one(listener)
        whole = {d.number for d in descriptors()}
        assert {s.fileno() for s in pair} < whole and whole == set(open_numbers())

    def test_what_is_closed_is_left_out(self, pair):
        listener = pair[0]
        gone = socket.socket()
        number = gone.fileno()
        gone.close()
        assert descriptors(gone) == descriptors(number) == descriptors([]) == []
        assert len(descriptors([gone, listener])) == 1

    @pytest.mark.parametrize("thing", [3.5, object(), [object()]])
    def test_what_has_no_descriptor_is_one_sentence(self, thing):
        with pytest.raises(TypeError, match="descriptor"):
            descriptors(thing)

    def test_looking_takes_no_number_and_changes_nothing(self, pair):
        before = open_numbers()
        for _ in range(50):
            descriptors()
        assert open_numbers() == before

    def test_sockets_that_come_and_go_meanwhile(self):
        finished = threading.Event()

        def churn():
            while not finished.is_set():
                for side in socket.socketpair():
                    side.close()
                os.close(os.open(os.devnull, os.O_RDONLY))

        thread = threading.Thread(target=churn)
        thread.start()
        try:
            for _ in range(300):
                descriptors()
        finally:
            finished.set()
            thread.join()


class Sleeper:
    """A thread that runs one call; `wake` lets it return."""

    def __init__(self, call, wake=lambda: None):
        self.thread, self.wake = threading.Thread(target=call, daemon=True), wake

    def __enter__(self):
        self.thread.start()
        return self.thread

    def __exit__(self, *_):
        self.wake()
        self.thread.join(5)


class TestDoing:
    def test_asleep_in_accept_recv_and_send_on_which_descriptor(self, pair):
        listener, client, connection = pair
        cases = [
            ("accept", listener, listener.accept, lambda: socket.create_connection(listener.getsockname()).close()),
            ("recv", connection, lambda: connection.recv(1), lambda: client.sendall(b"x")),
        ]
        for call, sock, sleep, wake in cases:
            with Sleeper(sleep, wake) as thread:
                assert wait_until(lambda: doing(thread).call == call), call
                assert doing(thread).asleep and doing(thread).descriptor == sock.fileno()
                assert asleep_on({sock.fileno()}) == {sock.fileno(): [(thread.name, call)]}

        def send_until_cut():
            with pytest.raises(OSError):
                client.sendall(bytes(20_000_000))

        with Sleeper(send_until_cut, lambda: client.shutdown(socket.SHUT_RDWR)) as thread:
            assert wait_until(lambda: doing(thread).call == "send")

    def test_asleep_in_select_poll_epoll_a_lock_and_a_nap(self, pair):
        _, client, connection = pair
        poll, epoll = select.poll(), select.epoll()
        poll.register(connection, select.POLLIN)
        epoll.register(connection, select.EPOLLIN)
        release = threading.Event()
        calls = {
            "futex": release.wait, "select": lambda: select.select([connection], [], []), "poll": poll.poll,
            "epoll_wait": epoll.poll,
        }

        def wake():
            client.sendall(b"x")
            release.set()

        for call, sleep in calls.items():
            with Sleeper(sleep, wake) as thread:
                assert wait_until(lambda: doing(thread).call == call), call
                assert doing(thread).descriptor == (epoll.fileno() if call == "epoll_wait" else None)
            connection.recv(1)
        epoll.close()
        with Sleeper(lambda: time.sleep(0.3)) as thread:
            assert wait_until(lambda: doing(thread).call == "sleep")

    def test_a_spinning_thread_runs_and_takes_a_core(self):
        finished = threading.Event()

        def spin():
            while not finished.is_set():
                pass

        with Sleeper(spin, finished.set) as thread:
            looks = []
            assert wait_until(lambda: looks.append(doing(thread)) or looks[-1].cpu > 0.2, 10)
            assert not any(look.asleep for look in looks[1:])

    def test_the_seconds_of_a_sleep_grow_and_begin_anew(self, pair):
        _, client, connection = pair
        ended = threading.Event()

        def read_on():
            while connection.recv(10):
                pass
            ended.set()

        with Sleeper(read_on, lambda: client.shutdown(socket.SHUT_WR)) as thread:
            assert wait_until(lambda: doing(thread).seconds > 0.3, 5)
            client.sendall(b"x")
            assert wait_until(lambda: doing(thread).seconds < 0.3)

    def test_before_and_after_its_life(self):
        thread = threading.Thread(target=lambda: None)
        assert doing(thread).ended == "not started"
        thread.start()
        thread.join()
        assert doing(thread).ended == "ended" and not doing(thread).asleep

    def test_only_threads(self):
        with pytest.raises(TypeError, match="threading.Thread"):
            doing(7)

    @pytest.mark.parametrize("line, call, number", [
        ("242 0x3 0x7f 0x7f 0x80000 0x0 0x0 0x7f 0x7f", "accept", 3),
        ("207 0x2a 0x7f 0x400 0x0 0x0 0x0 0x7f 0x7f", "recv", 42),
        ("22 0x5 0x7f 0x3ff 0x0 0x0 0x0 0x7f 0x7f", "epoll_wait", 5),
        ("73 0x7f 0x1 0x0 0x0 0x0 0x0 0x7f 0x7f", "poll", None),
        ("running", None, None),
    ])
    def test_the_call_numbers_of_aarch64(self, monkeypatch, line, call, number):
        monkeypatch.setattr(threads, "CALLS", threads._GENERIC)
        monkeypatch.setattr(threads.ThreadView, "_read", lambda self, name: line)
        assert threads.ThreadView(threading.current_thread())._system_call() == (call, number)

    def test_an_unknown_machine_falls_back_to_the_wait_channel(self, monkeypatch, pair):
        monkeypatch.setattr(threads, "CALLS", {})
        with Sleeper(pair[0].accept, lambda: socket.create_connection(pair[0].getsockname()).close()) as thread:
            assert wait_until(lambda: doing(thread).call == "accept")
            assert doing(thread).descriptor is None

    def test_without_the_schedulers_figures_the_seconds_come_from_our_own_looks(self, monkeypatch, pair):
        def no_such_file(path):
            raise FileNotFoundError(path)

        monkeypatch.setattr(threads, "_last_ran", no_such_file)
        with Sleeper(pair[0].accept, lambda: socket.create_connection(pair[0].getsockname()).close()) as thread:
            assert wait_until(lambda: doing(thread).seconds > 0.2, 5)


def test_wait_until_gives_up():
    assert wait_until(lambda: False, 0.01) is False
    assert wait_until(lambda: True, 0) is True
