"""The course's own scheduler: who runs when, who waits for what, and that nothing is lost or left."""

import errno
import os
import select
import socket
import threading
import time
import types

import pytest
from held import interrupted_in

from course_lib.kernel import descriptors, doing, open_numbers, wait_until
from course_lib.servers import scheduler
from course_lib.servers.scheduler import Loop, accept, recv, send_all, sleep


@pytest.fixture(autouse=True)
def no_descriptor_is_left():
    before = open_numbers()
    yield
    assert wait_until(lambda: open_numbers() == before)


def new_pair() -> tuple[socket.socket, socket.socket]:
    """Two ends that do not block."""
    left, right = socket.socketpair()
    left.setblocking(False), right.setblocking(False)
    return left, right


@pytest.fixture
def pair():
    left, right = new_pair()
    with left, right:
        yield left, right


def waits_a_minute(ended: list):
    """It says when it has been ended."""
    try:
        yield "sleep", 60
    finally:
        ended.append(True)


def raises_what_failed(task):
    """As `on_error`: the loop ends."""
    raise task.error


def error_of(task):
    """The number of the error by which it ends."""
    with pytest.raises(OSError) as told:
        yield from task
    return told.value.errno


def says_after(seconds: float, sock: socket.socket):
    yield from sleep(seconds)
    sock.send(b"x")


def run(*tasks) -> list:
    """Run tasks to their ends and return what they returned."""
    loop = Loop()
    spawned = [loop.spawn(task) for task in tasks]
    loop.run()
    assert not (loop.ready or loop.readers or loop.writers or loop.sleepers)
    return [task.result for task in spawned]


class TestTurns:
    def test_round_robin_in_one_thread(self):
        seen = []

        def worker(name, times):
            for i in range(times):
                seen.append((name, i, threading.get_ident()))
                yield
            return name

        assert run(worker("a", 3), worker("b", 1), worker("c", 2)) == ["a", "b", "c"]
        assert [entry[:2] for entry in seen] == [("a", 0), ("b", 0), ("c", 0), ("a", 1), ("c", 1), ("a", 2)]
        assert {entry[2] for entry in seen} == {threading.get_ident()}

    def test_an_exception_ends_one_task_and_is_told_at_the_end(self):
        done = []

        def good():
            yield from sleep(0.01)
            done.append(True)

        def bad():
            yield
            raise KeyError("mine")

        loop = Loop()
        loop.spawn(bad()), loop.spawn(good())
        with pytest.raises(ExceptionGroup) as told:
            loop.run()
        assert done and [repr(error) for error in told.value.exceptions] == ["KeyError('mine')"]
        assert [task.name for task in loop.failed] == ["bad"]
        loop.spawn(good())
        loop.run()
        assert loop.failed == []

    def test_on_error_is_called_and_may_end_the_loop(self):
        told, ended = [], []

        def bad():
            raise KeyError("mine")
            yield

        loop = Loop(on_error=told.append)
        loop.spawn(bad(), "bad")
        loop.run()
        assert [(task.name, repr(task.error)) for task in told] == [("bad", "KeyError('mine')")]

        loop = Loop(on_error=raises_what_failed)
        loop.spawn(waits_a_minute(ended)), loop.spawn(bad())
        with pytest.raises(KeyError):
            loop.run()
        assert ended and not loop.sleepers

    def test_an_interrupt_closes_what_is_left_and_the_loop_can_run_again(self):
        ended, loop = [], Loop()
        loop.spawn(waits_a_minute(ended))
        with interrupted_in(Loop.run, lambda: bool(loop.sleepers)), pytest.raises(KeyboardInterrupt):
            loop.run()
        assert ended == [True]
        loop.spawn(sleep(0))
        loop.run()

    @pytest.mark.parametrize("thing", [5, "x", lambda: None, [1]])
    def test_what_is_no_task_is_one_sentence(self, thing):
        with pytest.raises(TypeError, match="a task is what a generator function returns"):
            Loop().spawn(thing)

    @pytest.mark.parametrize("wait", [5, "read", ("read",), ("lend", 3), ("sleep", "long"), ("read", object()), ("write", "x")])
    def test_a_wait_that_is_none_is_raised_where_it_was_yielded(self, wait):
        def task():
            with pytest.raises((TypeError, AttributeError)):
                yield wait
            yield
            return "goes on"

        assert run(task()) == ["goes on"]


class TestSleepers:
    def test_a_thousand_sleep_at_once_and_wake_in_order(self, monkeypatch):
        woken, begun, began = [], [], time.monotonic()
        # The clock stands still until all of them sleep, so that their ends are what they asked for.
        clock = types.SimpleNamespace(monotonic=lambda: time.monotonic() if begun else began)
        monkeypatch.setattr(scheduler, "time", clock)

        def sleeper(i):
            yield from sleep(0.1 + (i % 7) * 0.01)
            woken.append((i % 7, i))

        def starts_the_clock():
            begun.append(True)
            yield

        run(*map(sleeper, range(1000)), starts_the_clock())
        assert woken == sorted(woken)

    def test_it_does_not_return_early_and_uses_no_processor_meanwhile(self):
        began, used = time.monotonic(), time.thread_time()
        run(sleep(0.3), sleep(0.2))
        assert time.monotonic() - began >= 0.3
        assert time.thread_time() - used < 0.1

    def test_an_equal_sleep_again_is_a_new_one(self):
        def task():
            for _ in range(3):
                yield "sleep", 0.02

        began = time.monotonic()
        run(task())
        assert time.monotonic() - began >= 0.06

    def test_nobody_ready_is_asleep_in_epoll_wait(self, pair):
        loop = Loop()
        loop.spawn(recv(pair[0], 10))
        thread = threading.Thread(target=loop.run)
        thread.start()
        assert wait_until(lambda: doing(thread).call == "epoll_wait")
        pair[1].send(b"x")
        thread.join()

    def test_longer_than_epoll_can_wait(self):
        loop = Loop(on_error=raises_what_failed)

        def breaks():
            yield from sleep(0.02)
            raise InterruptedError

        loop.spawn(sleep(float("inf"))), loop.spawn(sleep(1e9)), loop.spawn(breaks())
        with pytest.raises(InterruptedError):
            loop.run()


class TestSockets:
    def test_ping_pong(self, pair):
        def player(sock, first):
            if first:
                yield from send_all(sock, b"0")
            while (count := int((yield from recv(sock, 10)))) < 100:
                yield from send_all(sock, str(count + 1).encode())
            yield from send_all(sock, b"100")
            return count

        run(player(pair[0], True), player(pair[1], False))

    def test_a_reader_and_a_writer_on_one_socket(self, pair):
        data = os.urandom(3_000_000)

        def read(sock):
            received = bytearray()
            while len(received) < len(data):
                received += yield from recv(sock, 65536)
            return bytes(received)

        results = run(send_all(pair[0], data), read(pair[0]), send_all(pair[1], data), read(pair[1]))
        assert results == [None, data, None, data]

    def test_the_interest_list_stays_while_a_task_waits_for_the_same_again(self, pair, monkeypatch):
        changes = []

        class Counting:
            def __init__(self):
                self.raw = raw()
                self.poll = self.raw.poll

            def __enter__(self):
                return self

            def __exit__(self, *error):
                self.raw.close()

            def __getattr__(self, name):
                return lambda *arguments: changes.append(name) or getattr(self.raw, name)(*arguments)

        raw = select.epoll
        monkeypatch.setattr("course_lib.servers.interest.select.epoll", Counting)

        def ping():
            for _ in range(50):
                yield from send_all(pair[0], b"x")
                yield from recv(pair[0], 1)

        def pong():
            for _ in range(50):
                yield from recv(pair[1], 1)
                yield from send_all(pair[1], b"x")

        run(ping(), pong())
        assert sorted(change for change in changes if change != "close") == ["register"] * 2 + ["unregister"] * 2

    def test_a_number_that_comes_again_is_another_socket(self):
        def visits():
            seen = set()
            for i in range(20):
                left, right = new_pair()
                seen.add(left.fileno())
                right.send(b"%d" % i)
                assert (yield from recv(left, 10)) == b"%d" % i
                left.close(), right.close()
            return len(seen)

        assert run(visits()) == [1]

    def test_a_plain_number_that_comes_again_is_another_pipe(self):
        def visits():
            for i in range(20):
                read, write = os.pipe()
                os.write(write, b"x")
                yield "read", read
                assert os.read(read, 10) == b"x"
                os.close(read), os.close(write)
            return "done"

        assert run(visits()) == ["done"]

    def test_a_new_task_gets_the_number_of_a_socket_closed_under_another(self):
        first = socket.socketpair()
        first[0].setblocking(False)

        def closes():
            yield
            number = first[0].fileno()
            first[0].close()
            left, right = socket.socketpair()
            if left.fileno() != number:  # another thread has opened something meanwhile
                left = socket.socket(fileno=os.dup2(left.detach(), number))
            left.setblocking(False)
            right.send(b"x")
            data = yield from recv(left, 10)
            left.close(), right.close()
            return data

        assert run(error_of(recv(first[0], 10)), closes()) == [errno.EBADF, b"x"]
        first[1].close()

    def test_the_other_task_on_a_socket_that_is_closed_wakes(self, pair):
        def reads_and_closes():
            yield from recv(pair[0], 1)
            pair[0].close()

        fills = error_of(send_all(pair[0], bytes(10_000_000)))
        assert run(fills, reads_and_closes(), says_after(0.02, pair[1]))[0] == errno.EBADF

    def test_to_wait_for_a_closed_socket_is_raised_at_once(self, pair):
        def task():
            yield "read", pair[0]
            pair[0].close()
            with pytest.raises(OSError, match="closed"):
                yield "read", pair[0]
            return "told"

        pair[1].send(b"x")
        assert run(task()) == ["told"]

    def test_two_readers_of_one_socket_are_told(self, pair):
        def second():
            with pytest.raises(RuntimeError, match="two tasks wait to read on one descriptor; the first is 'recv'"):
                yield from recv(pair[0], 1)
            pair[1].send(b"x")

        run(recv(pair[0], 1), second())

    def test_a_peer_that_hangs_up_wakes_reader_and_writer(self, pair):
        def fills():
            with pytest.raises(ConnectionError):
                yield from send_all(pair[0], bytes(10_000_000))

        def reads():
            with pytest.raises(ConnectionError):
                while (yield from recv(pair[0], 10)):
                    pass
                raise ConnectionError

        def leaves():
            yield from sleep(0.02)
            pair[1].close()

        run(fills(), reads(), leaves())

    def test_a_task_that_spawns_for_ever_does_not_starve_sockets_and_sleepers(self, pair):
        loop, over = Loop(), []

        def spawns():
            if not over:
                loop.spawn(spawns())
            return
            yield

        def busy():
            while len(over) < 2:
                yield

        def served(what):
            yield from what
            over.append(True)

        for task in (spawns(), busy(), served(recv(pair[0], 1)), served(sleep(0.02)), says_after(0.01, pair[1])):
            loop.spawn(task)
        loop.run()
        assert len(over) == 2

    def test_accept_pauses_when_no_number_is_free(self, monkeypatch):
        class Listener(socket.socket):
            refusals = [errno.EMFILE, errno.ENFILE]

            def accept(self):
                if self.refusals:
                    raise OSError(self.refusals.pop(), "")
                return super().accept()

        monkeypatch.setattr("course_lib.servers.connection.PAUSE", 0.01)
        with Listener() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen()
            listener.setblocking(False)
            with socket.create_connection(listener.getsockname()) as client:
                ((connection, peer),) = run(accept(listener))
                with connection:
                    assert peer == client.getsockname() and not connection.getblocking() and not Listener.refusals

    def test_nothing_of_a_task_that_ended_stays_in_the_interest_list(self, pair):
        loop, seen = Loop(), []

        def looks():
            yield from sleep(0.05)
            seen.extend(descriptors(pair[0])[0].watched_by)

        pair[1].send(b"x")
        loop.spawn(recv(pair[0], 1)), loop.spawn(looks())
        loop.run()
        assert seen == []


class TestCoroutines:
    def test_async_def_with_an_awaitable_of_ones_own(self, pair):
        class Waits:
            def __init__(self, *wait):
                self.wait = wait

            def __await__(self):
                yield self.wait

        async def reads():
            await Waits("sleep", 0.01)
            await Waits("read", pair[0])
            return pair[0].recv(10)

        task = reads()
        assert isinstance(task, types.CoroutineType)
        pair[1].send(b"x")
        assert run(task) == [b"x"]

    def test_the_four_functions_can_be_awaited_and_yielded_from(self, pair):
        async def natively(sock):
            await send_all(sock, b"one")
            await sleep(0)
            return await recv(sock, 10)

        def with_yield_from(sock):
            yield from send_all(sock, b"two")
            yield from sleep(0)
            return (yield from recv(sock, 10))

        assert run(natively(pair[0]), with_yield_from(pair[1])) == [b"two", b"one"]


def test_a_closed_socket_whose_copy_lives_on_does_not_keep_the_loop_awake(pair, kept):
    left, right = pair
    other, far = map(kept, new_pair())
    kept(left.dup())

    def reads_and_closes():
        yield from recv(left, 100)
        left.close()

    loop = Loop()
    loop.spawn(reads_and_closes())
    waiting = loop.spawn(recv(other, 100))
    thread = threading.Thread(target=loop.run)
    thread.start()
    right.send(b"x")
    assert wait_until(lambda: left.fileno() < 0)
    right.send(b"more, which nobody reads: the copy stays readable")
    # Awake for ever, it would never be seen asleep for so long.
    assert wait_until(lambda: doing(thread).call == "epoll_wait" and doing(thread).seconds > 0.2, 30)
    far.send(b"y")
    thread.join(60)
    assert waiting.result == b"y"
