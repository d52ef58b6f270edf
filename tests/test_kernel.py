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
from contextlib import ExitStack, contextmanager
from types import SimpleNamespace

import pytest
from held import meanwhile

from course_lib import proc
from course_lib.checks.ends import fill
from course_lib.kernel import asleep_on, busiest, descriptors, doing, libc, open_numbers, threads, wait_until
from course_lib.kernel.busiest import Busiest
from course_lib.lab import reset, room_for, switch_interval
from course_lib.widgets import observe


@pytest.fixture
def client(listener, kept):
    return kept(socket.create_connection(listener.getsockname()))


@pytest.fixture
def connection(listener, client, kept):
    """The other end of `client`."""
    return kept(listener.accept()[0])


def one(thing):
    [found] = descriptors(thing)
    return found


class TestDescriptors:
    def test_a_listener_and_its_accept_queue(self, listener):
        seen = one(listener)
        assert (seen.kind, seen.state, seen.accept_queue, seen.readable) == ("listener", "LISTEN", 0, False)
        with socket.create_connection(listener.getsockname()), socket.create_connection(listener.getsockname()):
            assert wait_until(lambda: one(listener).accept_queue == 2)
            assert one(listener).readable and one(listener).receive_queue is None
        assert one(listener).local == listener.getsockname() and one(listener).peer is None

    def test_a_connection_and_the_bytes_that_wait_in_it(self, client, connection):
        client.sendall(b"hello")
        assert wait_until(lambda: one(connection).receive_queue == 5)
        seen = one(connection)
        assert (seen.kind, seen.state) == ("connection", "ESTABLISHED")
        assert (seen.readable, seen.writable, seen.hangup) == (True, True, False)
        assert (seen.local, seen.peer) == (connection.getsockname(), client.getsockname())
        connection.recv(3)
        assert one(connection).receive_queue == 2

    def test_bytes_that_nobody_reads_stay_in_the_send_queue(self, client, connection):
        def full() -> bool:  # what is on the way makes room when it has arrived
            fill(client)
            return one(client).send_queue > 0 and not one(client).writable

        assert wait_until(full)

    def test_the_blocking_flag_is_the_kernels(self, connection):
        assert one(connection).blocking
        connection.settimeout(3)  # Python says blocking; the kernel has O_NONBLOCK
        assert not one(connection).blocking

    def test_a_peer_that_has_finished_sending(self, client, connection):
        client.shutdown(socket.SHUT_WR)
        assert wait_until(lambda: one(connection).hangup)
        assert (one(connection).state, one(connection).readable, one(connection).receive_queue) == ("CLOSE_WAIT", True, 0)

    def test_a_reset_connection_is_still_a_connection_with_a_peer(self, client, connection):
        peer = one(connection).peer
        reset(client)
        assert wait_until(lambda: one(connection).state == "CLOSE")
        assert (one(connection).kind, one(connection).hangup, one(connection).peer) == ("connection", True, peer)

    def test_other_kinds(self, kept, tmp_path):
        inside, outside = (kept(open(number, mode)).fileno() for number, mode in zip(os.pipe(), "rw"))
        left, _ = map(kept, socket.socketpair())
        file, named = kept(open(__file__)), kept(socket.socket(socket.AF_UNIX))
        named.bind(path := str(tmp_path / "unix"))
        named.listen()
        kinds = {
            inside: "pipe",
            kept(select.epoll()): "epoll",
            left: "unix socket",
            kept(socket.socket()): "socket",
            kept(socket.socket(type=socket.SOCK_DGRAM)): "datagram",
            kept(open(os.devnull)): "device",
            file: "file",
            named: "unix listener",
            kept(socket.socket(socket.AF_INET6)): "socket",
        }
        assert {thing: one(thing).kind for thing in kinds} == kinds
        assert one(file).local == __file__ and one(named).local == path
        os.write(outside, b"abc")
        assert one(inside).receive_queue == 3

    def test_ipv6_addresses(self, kept):
        try:
            listener = kept(socket.create_server(("::1", 0), family=socket.AF_INET6))
        except OSError:
            pytest.skip("no IPv6 loopback here")
        assert one(listener).local == listener.getsockname()[:2]

    def test_who_watches_it_and_for_what(self, connection):
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

    def test_of_one_of_several_and_of_the_whole_process(self, listener, client, connection):
        both = sorted([connection.fileno(), listener.fileno()])
        assert [d.number for d in descriptors([connection, listener, listener])] == both
        assert one(listener.fileno()) == one(listener)
        assert {*both, client.fileno()} < {d.number for d in descriptors()}
        assert wait_until(lambda: {d.number for d in descriptors()} == set(open_numbers()))  # other threads open some, too

    def test_what_is_closed_is_left_out(self, listener):
        gone = socket.socket()
        number = gone.fileno()
        gone.close()
        assert descriptors(gone) == descriptors(number) == descriptors([]) == []
        assert len(descriptors([gone, listener])) == 1

    @pytest.mark.parametrize("thing", [3.5, object(), [object()]])
    def test_what_has_no_descriptor_is_one_sentence(self, thing):
        with pytest.raises(TypeError, match="descriptor"):
            descriptors(thing)

    def test_more_numbers_than_the_limit_of_descriptors(self, listener):
        with listener.dup() as sock, listener.dup() as other:
            limit = max(open_numbers()) + 32  # some for the looks themselves
            with proc.descriptor_limit(limit):
                found = {row.number for row in descriptors(range(3 * limit))}
                shown = {row["number"] for row in observe(range(3 * limit)).state()["rows"]}
            assert {sock.fileno(), other.fileno()} <= found <= set(range(limit)) and shown

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

    def test_looking_takes_no_number_and_changes_nothing(self, connection):
        before = open_numbers()
        for _ in range(50):
            descriptors()
        assert wait_until(lambda: open_numbers() == before)

    def test_sockets_that_come_and_go_meanwhile(self):
        def churn():
            for side in socket.socketpair():
                side.close()
            os.close(os.open(os.devnull, os.O_RDONLY))

        with meanwhile(churn):
            for _ in range(300):
                descriptors()

    def test_an_interest_list_longer_than_a_page(self):
        if resource.getrlimit(resource.RLIMIT_NOFILE)[1] < 1700:
            pytest.skip("the hard limit of descriptors is too low")
        with room_for(1699), ExitStack() as opened, select.epoll() as epoll:
            numbers = [os.eventfd(0)]
            while len(numbers) < 1500:
                numbers.append(os.dup(numbers[0]))
            for number in numbers:
                opened.callback(os.close, number)
                epoll.register(number, select.EPOLLIN if number % 2 else select.EPOLLOUT)
            rows = descriptors(numbers)
            assert [row.number for row in rows] == sorted(numbers)
            own = epoll.fileno()
            assert all(str(row.watched_by[0]) == f"epoll {own}: EPOLL{'IN' if row.number % 2 else 'OUT'}" for row in rows)


@pytest.fixture
def many(listener, kept):
    """(clients, connections): 40 of them, silent for longer than a second already."""
    clients = [kept(socket.create_connection(listener.getsockname())) for _ in range(40)]
    connections = [kept(listener.accept()[0]) for _ in clients]
    # A new connection counts as heard when it was made.
    assert wait_until(lambda: min(map(silent_for, connections)) > 1000 * busiest.RECENT, 10)
    return clients, connections


def silent_for(connection) -> int:
    return struct.unpack_from("I", connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 56), 52)[0]


class TestBusiest:
    def test_a_closed_number_does_not_talk(self, many):
        _, connections = many
        closed = [10_000 + number for number in range(10)]
        rows, _ = Busiest(lambda: [*closed, *(sock.fileno() for sock in connections)], 5).look()
        assert len(rows) == 5

    def numbers(self, rows):
        return {row.number for row in rows}

    def test_a_look_describes_a_few_and_says_how_many_are_left_out(self, listener, many):
        _, connections = many
        everyone = [listener.fileno(), *(c.fileno() for c in connections)]
        look = Busiest(lambda: everyone, most=10)
        rows, hidden = look.look()
        assert len(rows) == 10 and hidden == 31 and rows == descriptors(self.numbers(rows))
        assert look.look() == (rows, hidden)  # the same ones, while nothing changes

    def test_the_listener_and_those_with_something_to_say_come_first(self, listener, many):
        clients, connections = many
        everyone = [*(c.fileno() for c in connections), listener.fileno()]
        look = Busiest(lambda: everyone, most=5)
        look.look()
        clients[30].sendall(b"hello")
        clients[31].shutdown(socket.SHUT_WR)
        wanted = {listener.fileno(), connections[30].fileno(), connections[31].fileno()}
        assert wait_until(lambda: wanted <= self.numbers(look.look()[0]))
        assert next(row for row in look.look()[0] if row.number == connections[30].fileno()).receive_queue == 5

    def test_a_request_that_was_answered_between_two_looks_is_heard_too(self, many):
        clients, connections = many
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
        clients, connections = many
        look = Busiest(lambda: [c.fileno() for c in connections], most=5)
        clients[39].sendall(b"hello")
        assert wait_until(lambda: one(connections[39]).readable)
        looks = []
        assert wait_until(lambda: looks.append(1) or connections[39].fileno() in self.numbers(look.look()[0]))
        assert len(looks) == 6  # 5 times 7 others first

    def test_who_fell_silent_makes_room(self, many, monkeypatch):
        monkeypatch.setattr(busiest, "RECENT", 0.05)
        clients, connections = many
        look = Busiest(lambda: [c.fileno() for c in connections], most=3)

        def say(talker: int) -> bool:
            clients[talker].sendall(b"hello")
            connections[talker].recv(5)
            return connections[talker].fileno() in self.numbers(look.look()[0])

        for talker in (10, 11, 12, 20):  # the fourth needs the place of another
            assert wait_until(lambda: say(talker))

    def test_what_is_closed_is_left_out(self, many):
        clients, connections = many
        look = Busiest(lambda: [c.fileno() for c in connections if c.fileno() >= 0], most=5)
        rows, _ = look.look()
        for connection in connections[:35]:
            connection.close()
        assert wait_until(lambda: look.look() == (descriptors(connections[35:]), 0))

    def test_epolls_that_watch_them_and_those_with_a_name(self, many):
        clients, connections = many
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
        open_now = []

        def churn():
            ends = [end for _ in range(20) for end in socket.socketpair()]
            open_now[:] = [end.fileno() for end in ends]
            for end in ends:
                end.close()

        with meanwhile(churn):
            look = Busiest(lambda: list(open_now), most=10)
            for _ in range(300):
                look.look()


@contextmanager
def sleeper(call, wake):
    """A thread that runs one call; `wake` lets it return."""
    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    try:
        yield thread
    finally:
        wake()
        thread.join(60)


def visit(listener: socket.socket) -> None:
    socket.create_connection(listener.getsockname()).close()


def nothing() -> None:
    pass


class TestDoing:
    def test_asleep_in_accept_recv_and_send_on_which_descriptor(self, listener, client, connection):
        cases = [
            ("accept", listener, listener.accept, lambda: visit(listener)),
            ("recv", connection, lambda: connection.recv(1), lambda: client.sendall(b"x")),
        ]
        for call, sock, sleep, wake in cases:
            with sleeper(sleep, wake) as thread:
                assert wait_until(lambda: doing(thread).call == call), call
                assert doing(thread).asleep and doing(thread).descriptor == sock.fileno()
                assert asleep_on({sock.fileno()}) == {sock.fileno(): [(thread.name, call)]}

        def send_until_cut():
            with pytest.raises(OSError):
                client.sendall(bytes(20_000_000))

        with sleeper(send_until_cut, lambda: client.shutdown(socket.SHUT_RDWR)) as thread:
            assert wait_until(lambda: doing(thread).call == "send")

    def test_asleep_in_select_poll_epoll_a_lock_and_a_nap(self, client, connection):
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
            with sleeper(sleep, wake) as thread:
                assert wait_until(lambda: doing(thread).call == call), call
                assert doing(thread).descriptor == (epoll.fileno() if call == "epoll_wait" else None)
            connection.recv(1)
        epoll.close()
        with meanwhile(lambda: time.sleep(0.1)) as thread:
            assert wait_until(lambda: doing(thread).call == "sleep")

    def test_a_spinning_thread_runs_and_its_share_is_what_it_used(self):
        begun = time.monotonic()
        with meanwhile(nothing) as thread:

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

        read, release = libc.read, threading.Event()
        monkeypatch.setattr(libc, "read", without_calls)
        with sleeper(release.wait, release.set) as thread, meanwhile(nothing) as busy:
            assert wait_until(lambda: doing(thread).call == "futex")
            assert not any(doing(busy).asleep for _ in range(20))

    def test_the_seconds_of_a_sleep_grow_and_begin_anew(self, client, connection):
        def read_on():
            while connection.recv(10):
                pass

        with sleeper(read_on, lambda: client.shutdown(socket.SHUT_WR)) as thread:
            assert wait_until(lambda: doing(thread).seconds > 0.3)
            assert wait_until(lambda: client.send(b"x") and doing(thread).seconds < 0.3)

    @pytest.mark.parametrize("known", [True, False])
    def test_the_seconds_are_right_on_whatever_processors_both_threads_ran(self, listener, monkeypatch, known):
        allowed, beginning = os.sched_getaffinity(0), time.monotonic()
        first, last = min(allowed), max(allowed)
        monkeypatch.setattr(threads, "_clocks", {})
        for here, there in itertools.product((first, last), repeat=2):

            def accept():
                os.sched_setaffinity(0, {there})
                listener.accept()

            if not known:
                threads._clocks.clear()
            try:
                os.sched_setaffinity(0, {here})
                begun = time.monotonic()
                with sleeper(accept, lambda: visit(listener)) as thread:
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

    def test_an_unknown_machine_falls_back_to_the_wait_channel(self, monkeypatch, listener):
        monkeypatch.setattr(threads, "CALLS", {})
        with sleeper(listener.accept, lambda: visit(listener)) as thread:
            assert wait_until(lambda: doing(thread).call == "accept")
            assert doing(thread).descriptor is None

    def test_without_the_schedulers_figures_the_seconds_come_from_our_own_looks(self, monkeypatch, listener):
        def not_shown(sched):
            raise ValueError

        monkeypatch.setattr(threads, "_last_ran", not_shown)
        with sleeper(listener.accept, lambda: visit(listener)) as thread:
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
