"""What the kernel says of descriptors and threads, held against what was done to them."""

import gc
import itertools
import os
import resource
import select
import socket
import struct
import threading
import time
import weakref
from contextlib import ExitStack
from types import SimpleNamespace

import pytest

from course_lib.kernel import asleep_on, busiest, descriptors, doing, libc, open_numbers, threads, wait_until
from course_lib.kernel.busiest import Busiest
from course_lib.lab import switch_interval
from course_lib.widgets import observe


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
        assert (one(listener).kind, one(listener).state, one(listener).accept_queue, one(listener).readable) == (
            "listener",
            "LISTEN",
            0,
            False,
        )
        with socket.create_connection(listener.getsockname()), socket.create_connection(listener.getsockname()):
            assert wait_until(lambda: one(listener).accept_queue == 2)
            assert one(listener).readable and one(listener).receive_queue is None
        assert one(listener).local == listener.getsockname() and one(listener).peer is None

    def test_a_connection_and_the_bytes_that_wait_in_it(self, pair):
        _, client, connection = pair
        client.sendall(b"hello")
        assert wait_until(lambda: one(connection).receive_queue == 5)
        seen = one(connection)
        assert (seen.kind, seen.state, seen.readable, seen.writable, seen.hangup) == (
            "connection",
            "ESTABLISHED",
            True,
            True,
            False,
        )
        assert (seen.local, seen.peer) == (connection.getsockname(), client.getsockname())
        connection.recv(3)
        assert one(connection).receive_queue == 2

    def test_bytes_that_nobody_reads_stay_in_the_send_queue(self, pair):
        _, client, connection = pair
        client.setblocking(False)

        def full() -> bool:  # what is on the way makes room when it has arrived
            with pytest.raises(BlockingIOError):
                while True:
                    client.send(bytes(65536))
            return one(client).send_queue > 0 and not one(client).writable

        assert wait_until(full)

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
        with (
            socket.socket() as new,
            socket.socket(type=socket.SOCK_DGRAM) as datagram,
            open(os.devnull) as device,
            open(__file__) as file,
            socket.socket(socket.AF_UNIX) as named,
            socket.socket(socket.AF_INET6) as six,
        ):
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
            keeps_it_alive = os.dup(old.fileno())
            with socket.socket() as new:
                os.dup2(new.fileno(), old.fileno())  # closes the number and gives it to another in one step
            assert one(old.fileno()).watched_by == ()
            old.close()
            os.close(keeps_it_alive)

    def test_of_one_of_several_and_of_the_whole_process(self, pair):
        listener, client, connection = pair
        assert [d.number for d in descriptors([connection, listener, listener])] == sorted(
            {connection.fileno(), listener.fileno()}
        )
        assert one(listener.fileno()) == one(listener)
        assert {s.fileno() for s in pair} < {d.number for d in descriptors()}
        assert wait_until(lambda: {d.number for d in descriptors()} == set(open_numbers()))  # other threads open some, too

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

    def test_more_numbers_than_the_limit_of_descriptors(self, pair):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        sock = pair[0].dup()
        with sock, pair[0].dup() as other:
            limit = max(open_numbers()) + 32  # some for the looks themselves
            try:
                resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
                found = {row.number: row for row in descriptors(range(3 * limit))}
                shown = {row["number"] for row in observe(range(3 * limit)).state()["rows"]}
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            assert {sock.fileno(), other.fileno()} <= found.keys() <= set(range(limit)) and shown

    @pytest.mark.skipif(not hasattr(os, "O_PATH"), reason="only Linux has O_PATH")
    def test_a_mere_place_is_open_though_poll_does_not_take_it(self, tmp_path):
        with socket.socket(socket.AF_UNIX) as door, ExitStack() as opened:
            door.bind(str(tmp_path / "door"))
            (tmp_path / "link").symlink_to("door")
            for path, kind in (tmp_path, "directory"), (tmp_path / "door", "file"), (tmp_path / "link", "file"):
                number = os.open(path, os.O_PATH | os.O_NOFOLLOW)
                opened.callback(os.close, number)
                row = one(number)
                assert (row.kind, row.local, row.readable, row.hangup) == (kind, str(path), False, False)
                assert number in open_numbers() and number in {row.number for row in descriptors()}

    def test_looking_takes_no_number_and_changes_nothing(self, pair):
        before = open_numbers()
        for _ in range(50):
            descriptors()
        assert wait_until(lambda: open_numbers() == before)

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

    def test_an_interest_list_longer_than_a_page(self):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if hard < 1700:
            pytest.skip("the hard limit of descriptors is too low")
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 1700), hard))
        first = os.eventfd(0)
        numbers = [first]
        try:
            with select.epoll() as epoll:
                while len(numbers) < 1500:
                    numbers.append(os.dup(first))
                for number in numbers:
                    epoll.register(number, select.EPOLLIN if number % 2 else select.EPOLLOUT)
                rows = descriptors(numbers)
                assert [row.number for row in rows] == sorted(numbers)
                own = epoll.fileno()
                assert all(str(row.watched_by[0]) == f"epoll {own}: EPOLL{'IN' if row.number % 2 else 'OUT'}" for row in rows)
        finally:
            for number in numbers:
                os.close(number)
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture
def many():
    """(listener, clients, connections): 40 of them, silent for longer than a second already."""
    with ExitStack() as sockets:
        listener = sockets.enter_context(socket.create_server(("127.0.0.1", 0)))
        clients = [sockets.enter_context(socket.create_connection(listener.getsockname())) for _ in range(40)]
        connections = [sockets.enter_context(listener.accept()[0]) for _ in clients]
        # A new connection counts as heard when it was made.
        assert wait_until(lambda: min(map(silent_for, connections)) > 1000 * busiest.RECENT, 10)
        yield listener, clients, connections


def silent_for(connection) -> int:
    return struct.unpack_from("I", connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 56), 52)[0]


class TestBusiest:
    def test_a_closed_number_does_not_talk(self, many):
        connections = many[2]
        closed = [10_000 + number for number in range(10)]
        rows, _ = Busiest(lambda: [*closed, *(sock.fileno() for sock in connections)], 5).look()
        assert len(rows) == 5

    def numbers(self, rows):
        return {row.number for row in rows}

    def test_a_look_describes_a_few_and_says_how_many_are_left_out(self, many):
        listener, _, connections = many
        everyone = [listener.fileno(), *(c.fileno() for c in connections)]
        look = Busiest(lambda: everyone, most=10)
        rows, hidden = look.look()
        assert len(rows) == 10 and hidden == 31 and rows == descriptors(self.numbers(rows))
        assert look.look() == (rows, hidden)  # the same ones, while nothing changes

    def test_the_listener_and_those_with_something_to_say_come_first(self, many):
        listener, clients, connections = many
        everyone = [*(c.fileno() for c in connections), listener.fileno()]
        look = Busiest(lambda: everyone, most=5)
        look.look()
        clients[30].sendall(b"hello")
        clients[31].shutdown(socket.SHUT_WR)
        wanted = {listener.fileno(), connections[30].fileno(), connections[31].fileno()}
        assert wait_until(lambda: wanted <= self.numbers(look.look()[0]))
        assert next(row for row in look.look()[0] if row.number == connections[30].fileno()).receive_queue == 5

    def test_a_request_that_was_answered_between_two_looks_is_heard_too(self, many):
        _, clients, connections = many
        look = Busiest(lambda: [c.fileno() for c in connections], most=5)
        for talker in (35, 39):
            assert connections[talker].fileno() not in self.numbers(look.look()[0])

            def heard() -> bool:
                clients[talker].sendall(b"hello")
                connections[talker].recv(5)  # nothing is left to be seen by poll
                number = connections[talker].fileno()
                return number in self.numbers(look.look()[0]) and look.arrived == {number}

            assert wait_until(heard)
            assert wait_until(lambda: look.look() and not look.arrived)

    def test_each_has_its_turn_where_not_all_are_asked_at_once(self, many, monkeypatch):
        monkeypatch.setattr(busiest, "_PART", 7)
        _, clients, connections = many
        look = Busiest(lambda: [c.fileno() for c in connections], most=5)
        clients[39].sendall(b"hello")
        assert wait_until(lambda: one(connections[39]).readable)
        looks = []
        assert wait_until(lambda: looks.append(1) or connections[39].fileno() in self.numbers(look.look()[0]))
        assert len(looks) == 6  # 5 times 7 others first

    def test_who_fell_silent_makes_room(self, many, monkeypatch):
        monkeypatch.setattr(busiest, "RECENT", 0.05)
        _, clients, connections = many
        look = Busiest(lambda: [c.fileno() for c in connections], most=3)

        def say(talker: int) -> bool:
            clients[talker].sendall(b"hello")
            connections[talker].recv(5)
            return connections[talker].fileno() in self.numbers(look.look()[0])

        for talker in (10, 11, 12, 20):  # the fourth needs the place of another
            assert wait_until(lambda: say(talker))

    def test_what_is_closed_is_left_out(self, many):
        _, clients, connections = many
        look = Busiest(lambda: [c.fileno() for c in connections if c.fileno() >= 0], most=5)
        rows, _ = look.look()
        for connection in connections[:35]:
            connection.close()
        assert wait_until(lambda: look.look() == (descriptors(connections[35:]), 0))

    def test_epolls_that_watch_them_and_those_with_a_name(self, many):
        listener, clients, connections = many
        with select.epoll() as epoll:
            for connection in connections:
                epoll.register(connection, select.EPOLLIN)
            names = {clients[38].getsockname(): "alice"}
            look = Busiest(lambda: [c.fileno() for c in connections], most=6, labels=names)
            assert wait_until(lambda: connections[38].fileno() in self.numbers(look.look()[0]))
            assert connections[37].fileno() in self.numbers(look.look(also=[connections[37].fileno()])[0])
            rows, hidden = look.look()
            assert hidden == 34 and [row.kind for row in rows].count("epoll") == 1
            assert all(row.watched_by for row in rows if row.kind == "connection")

    def test_sockets_that_come_and_go_meanwhile(self):
        finished, open_now = threading.Event(), []

        def churn():
            while not finished.is_set():
                pairs = [socket.socketpair() for _ in range(20)]
                open_now[:] = [end.fileno() for pair in pairs for end in pair]
                for pair in pairs:
                    for end in pair:
                        end.close()

        thread = threading.Thread(target=churn)
        thread.start()
        try:
            look = Busiest(lambda: list(open_now), most=10)
            for _ in range(300):
                look.look()
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
        self.thread.join(60)


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
            "futex": release.wait,
            "select": lambda: select.select([connection], [], []),
            "poll": poll.poll,
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
        awake = threading.Event()

        def nap():
            while not awake.is_set():
                time.sleep(0.1)

        with Sleeper(nap, awake.set) as thread:
            assert wait_until(lambda: doing(thread).call == "sleep")

    def test_a_spinning_thread_runs_and_its_share_is_what_it_used(self):
        finished, begun = threading.Event(), time.monotonic()

        def spin():
            while not finished.is_set():
                pass

        with Sleeper(spin, finished.set) as thread:

            def used() -> float:
                return time.clock_gettime(time.pthread_getcpuclockid(thread.ident))

            started = time.monotonic()
            assert wait_until(lambda: used() > 0.2, 30)
            least, before = used(), time.monotonic()
            look = threads.ThreadView(thread).doing()  # the first look: of its whole life
            most, after = used(), time.monotonic()
            tick = 0.02  # seconds, to which its beginning is known
            assert least / (after - begun + tick) <= look.cpu <= min(1, most / (before - started - tick))
            assert not any(doing(thread).asleep for _ in range(20))

    def test_a_thread_that_wants_pythons_lock_is_no_sleeper(self):
        inward, outward = os.pipe()
        with switch_interval(30):  # seconds: nobody is let in before the looks are over
            thread = threading.Thread(target=os.read, args=(inward, 1))
            thread.start()
            assert wait_until(lambda: doing(thread).call == "read")
            libc._libc.write(outward, b"x", 1)  # keeps the lock
            while doing(thread).call == "read":
                pass
            looks = [doing(thread) for _ in range(100)]
        thread.join()
        os.close(inward)
        os.close(outward)
        assert not [look for look in looks if look.asleep or look.ended]

    def test_a_thread_that_was_looked_at_is_not_kept(self):
        release = threading.Event()
        thread = threading.Thread(target=release.wait)
        thread.start()
        assert wait_until(lambda: doing(threading.enumerate()[-1]).asleep)
        release.set()
        thread.join()
        gone = weakref.ref(thread)
        del thread
        gc.collect()
        assert gone() is None

    def test_where_no_system_call_is_shown_a_lock_is_a_sleep_when_it_lasts(self, monkeypatch):
        def without_calls(path):
            if path.endswith("/syscall"):
                raise PermissionError
            return read(path)

        read, release, stop = libc.read, threading.Event(), threading.Event()
        monkeypatch.setattr(libc, "read", without_calls)

        def spin():
            while not stop.is_set():
                pass

        with Sleeper(release.wait, release.set) as thread, Sleeper(spin, stop.set) as busy:
            assert wait_until(lambda: doing(thread).call == "futex")
            assert not any(doing(busy).asleep for _ in range(20))

    def test_the_seconds_of_a_sleep_grow_and_begin_anew(self, pair):
        _, client, connection = pair
        ended = threading.Event()

        def read_on():
            while connection.recv(10):
                pass
            ended.set()

        with Sleeper(read_on, lambda: client.shutdown(socket.SHUT_WR)) as thread:
            assert wait_until(lambda: doing(thread).seconds > 0.3)
            assert wait_until(lambda: client.send(b"x") and doing(thread).seconds < 0.3)

    @pytest.mark.parametrize("known", [True, False])
    def test_the_seconds_are_right_on_whatever_processors_both_threads_ran(self, pair, monkeypatch, known):
        allowed, beginning = os.sched_getaffinity(0), time.monotonic()
        first, last = min(allowed), max(allowed)
        monkeypatch.setattr(threads, "_clocks", {})
        for here, there in itertools.product((first, last), repeat=2):

            def accept():
                os.sched_setaffinity(0, {there})
                pair[0].accept()

            if not known:
                threads._clocks.clear()
            try:
                os.sched_setaffinity(0, {here})
                begun = time.monotonic()
                with Sleeper(accept, lambda: socket.create_connection(pair[0].getsockname()).close()) as thread:
                    assert wait_until(lambda: threads.ThreadView(thread).doing().call == "accept")
                    asleep = time.monotonic()
                    time.sleep(0.05)
                    least = time.monotonic() - asleep
                    seconds = threads.ThreadView(thread).doing().seconds  # one that has never looked before
                    most = time.monotonic() - begun
                # A tick of the scheduler is up to 0.01 s; and its clock stands still while a hypervisor takes the processor away.
                slack = 0.02 + (time.monotonic() - beginning) / 5
                assert least - slack < seconds < most + slack, (here, there)
                assert os.sched_getaffinity(0) == {here}
            finally:
                os.sched_setaffinity(0, allowed)

    def test_before_and_after_its_life(self):
        thread = threading.Thread(target=lambda: None)
        assert doing(thread).ended == "not started"
        thread.start()
        thread.join()
        assert doing(thread).ended == "ended" and not doing(thread).asleep

    def test_only_threads(self):
        with pytest.raises(TypeError, match="threading.Thread"):
            doing(7)

    @pytest.mark.parametrize(
        "line, call, number",
        [
            ("242 0x3 0x7f 0x7f 0x80000 0x0 0x0 0x7f 0x7f", "accept", 3),
            ("207 0x2a 0x7f 0x400 0x0 0x0 0x0 0x7f 0x7f", "recv", 42),
            ("22 0x5 0x7f 0x3ff 0x0 0x0 0x0 0x7f 0x7f", "epoll_wait", 5),
            ("73 0x7f 0x1 0x0 0x0 0x0 0x0 0x7f 0x7f", "poll", None),
            ("137 0x7f 0x7f 0x0 0x8 0x0 0x0 0x7f 0x7f", "sigwait", None),
            ("running", None, None),
        ],
    )
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
        def not_shown(sched):
            raise ValueError

        monkeypatch.setattr(threads, "_last_ran", not_shown)
        with Sleeper(pair[0].accept, lambda: socket.create_connection(pair[0].getsockname()).close()) as thread:
            assert wait_until(lambda: doing(thread).seconds > 0.2)


def test_wait_until_rests_as_long_as_a_look_takes(monkeypatch):
    rests = []
    monkeypatch.setattr(threads, "time", SimpleNamespace(**vars(time) | {"sleep": rests.append}))

    def dear() -> bool:
        until = time.thread_time() + 0.01
        while time.thread_time() < until:
            pass
        return len(rests) == 3

    assert wait_until(dear, 60) and min(rests) >= 0.01


def test_wait_until_gives_up():
    assert wait_until(lambda: False, 0.01) is False
    assert wait_until(lambda: True, 0) is True
