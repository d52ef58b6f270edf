"""What tasks wait for, read from outside: the course's loop, a learner's own, and what the panel makes of it."""

import asyncio
import json
import queue
import re
import socket
import sys
import threading
import weakref
from collections import UserDict, deque
from dataclasses import dataclass, field
from types import MappingProxyType, SimpleNamespace

import pytest
from every_server import asleep, serving
from panel_state import Page

from course_lib.clients import crowd
from course_lib.kernel import TaskView, tasks, wait_until
from course_lib.kernel.tasks import MOST
from course_lib.servers import AsyncioServer, BlockingServer, CoroutineServer, ThreadedServer
from course_lib.servers.scheduler import Loop, accept, sleep
from course_lib.widgets import observe
from course_lib.widgets import panel as panel_module

pytestmark = pytest.mark.usefixtures("servers_stop")


@pytest.fixture
def clock(monkeypatch) -> float:
    """The time at which all looks are taken."""
    monkeypatch.setattr(sys.modules[TaskView.__module__], "time", SimpleNamespace(monotonic=lambda: 100.0, time=lambda: 1e9))
    return 100.0


def task():
    yield


def own_loop(**lists) -> SimpleNamespace:
    """A loop of a learner's own; the lists that are not given are empty."""
    return SimpleNamespace(**{"ready": [], "readers": {}, "writers": {}, "sleepers": [], "names": {}} | lists)


def waits(loop) -> list[str]:
    return [f"{task.name}: {task.waits}" for task in tasks(loop)]


class TestOfALoop:
    def test_ready_ones_stand_in_the_order_of_their_turns(self):
        loop = Loop()
        for name in ("a", "b", "c"):
            loop.spawn(sleep(0), name)
        assert waits(loop) == ["a: ready: 1st in the queue", "b: ready: 2nd in the queue", "c: ready: 3rd in the queue"]

    @pytest.mark.parametrize("place, words", [(2, "2nd"), (11, "11th"), (12, "12th"), (13, "13th"), (21, "21st"), (112, "112th")])
    def test_ordinals(self, place, words):
        assert TaskView("a", "ready", place=place).waits == f"ready: {words} in the queue"

    def test_who_runs_looks_at_itself(self):
        loop, seen = Loop(), []

        def looks():
            yield
            seen.extend(waits(loop))

        async def looks_natively():
            await sleep(0)
            seen.extend(waits(loop))

        loop.spawn(looks()), loop.spawn(sleep(60), "sleeper"), loop.spawn(sleep(0), "next")
        loop.on_error = lambda task: None
        loop.spawn(ends_it(loop, seen))
        with pytest.raises(InterruptedError):
            loop.run()
        assert seen[0] == "looks: running" and any(re.fullmatch(r"sleeper: sleeping [56]\d\.\d s", line) for line in seen)
        seen.clear()
        loop.spawn(looks_natively())
        loop.run()
        assert seen == ["looks_natively: running"]

    def test_a_loop_of_ones_own_with_the_same_lists(self, clock):
        one, two, three, four = task(), task(), task(), task()
        loop = SimpleNamespace(
            ready=deque([one]),
            readers={71: two},
            writers={71: three},
            sleepers=[(clock + 5, 0, four)],
            names={one: "first", four: "last"},
        )
        assert waits(loop) == ["first: ready: 1st in the queue", "task: read 71", "task: write 71", "last: sleeping 5.0 s"]
        assert [task.number for task in tasks(loop)] == [None, 71, 71, None]

    def test_a_queue_is_read_and_what_is_of_another_kind_is_named(self, clock):
        class Sorted:
            def __len__(self):
                raise ZeroDivisionError

        ready, sleepers = queue.SimpleQueue(), queue.PriorityQueue()
        sleepers.put((clock + 5, 1, task()))
        loop = own_loop(ready=ready, writers=(), sleepers=sleepers)
        assert waits(loop) == ["task: sleeping 5.0 s", "ready: not read: a SimpleQueue"]
        loop.ready, loop.sleepers = deque(), Sorted()
        assert waits(loop) == ["sleepers: not read: a Sorted"]

    def test_asyncio_tells_the_names_of_its_tasks(self):
        async def main():
            other = asyncio.create_task(asyncio.sleep(60), name="other")
            asyncio.current_task().set_name("this one")
            found = await asyncio.gather(asyncio.to_thread(waits, asyncio.get_running_loop()))
            other.cancel()
            return waits(asyncio.get_running_loop()), found

        here, elsewhere = asyncio.run(main())
        assert {"this one: running", "other: waiting"} <= {*here} and {"this one: waiting", "other: waiting"} <= {*elsewhere[0]}

    def test_who_waits_may_change_during_a_look(self, clock, monkeypatch):
        both = deque([task(), task()])
        loop = own_loop(readers={7: both})

        def meanwhile(entry):
            both.append(both.popleft())  # as the loop's thread may
            return 0.0, entry

        monkeypatch.setattr(sys.modules["course_lib.kernel.tasks"], "_in", meanwhile)
        assert len(tasks(loop)) == 2

    def test_shapes_of_other_loops_are_read_as_far_as_they_go(self, clock, ends):
        @dataclass(order=True)
        class Sleeper:
            when: float
            count: int
            task: object = field(compare=False)

        class Slotted:
            __slots__ = ("task", "deadline")

        class Unhashable:
            __hash__ = None
            throw = None

        slotted, late = Slotted(), clock + 5
        slotted.task, slotted.deadline = task(), late + 4
        low, high = sorted(ends, key=socket.socket.fileno)
        loop = own_loop(
            ready=[(task(), "sent"), Unhashable()],
            readers={high: [task(), task()], low: (task(), None), "key": task()},
            writers=None,
            sleepers=[Sleeper(late, 1, task()), slotted, object(), (late + 8, 2, task())],
        )
        assert waits(loop) == [
            "task: ready: 1st in the queue",
            "Unhashable: ready: 2nd in the queue",
            f"task: read {low.fileno()}",
            *[f"task: read {high.fileno()}"] * 2,
            "task: read ?",
            "task: sleeping 5.0 s",
            "task: sleeping 9.0 s",
            "task: sleeping 13.0 s",
            "object: sleeping",
        ]
        del loop.ready
        assert len(tasks(loop)) == 8
        low.close(), high.close()
        assert waits(loop)[:4] == ["task: read ?"] * 4, "closed sockets"

    def test_a_sleeper_by_the_clock_of_the_day(self, clock):
        sleepers = [(1e9 + 5, 0, task()), (clock + 5, 1, task()), (float("nan"), 2, task()), (float("inf"), 3, task())]
        loop = SimpleNamespace(readers={}, sleepers=sleepers)
        assert sorted(waits(loop)) == ["task: sleeping"] * 2 + ["task: sleeping 5.0 s"] * 2

    def test_a_socket_beside_a_task_is_no_task(self, ends):
        class Waiter:
            __slots__ = "task"  # one name, as it may be written

        waiter = Waiter()
        waiter.task = task()
        left, right = ends
        loop = SimpleNamespace(readers={left: (task(), right)}, ready=[waiter, (task(), left)])
        assert [task.name for task in tasks(loop)] == ["task"] * 3

    def test_the_reference_of_the_exercise(self):
        coroutines = pytest.importorskip("course_lib.solutions.coroutines")
        loop = coroutines.Loop()
        loop.spawn(coroutines.sleep(0.01), "short")
        assert waits(loop) == ["short: ready: 1st in the queue"]

    @pytest.mark.parametrize("thing", [None, 5, object(), SimpleNamespace(ready=[])])
    def test_what_has_no_such_lists_has_no_tasks(self, thing):
        assert tasks(thing) == []

    def test_a_loop_that_refuses_to_tell_is_read_as_far_as_it_goes(self):
        class Shy:
            def __getattr__(self, name):
                raise RuntimeError(name)

        assert tasks(Shy()) == []
        shy = Shy()
        shy.readers = {71: task()}
        assert waits(shy) == ["task: read 71"]

    def test_what_a_task_or_an_entry_does_not_tell(self, clock):
        class Shy:
            name = code = gi_running = property(lambda self: 1 / 0)
            throw = None

        class Odd:
            __slots__ = ("task", "__weakref__")

            def __getattr__(self, name):
                raise ZeroDivisionError

        class Named:
            throw, name = len, type("Name", (), {"__str__": lambda self: 1 / 0})()

        gone = weakref.proxy(Odd())
        loop = SimpleNamespace(
            readers={1: Shy(), 2: Named(), 3: gone}, ready=[Odd(), gone], sleepers=[(10**400, task())], names=gone
        )
        assert waits(loop) == [
            "Odd: ready: 1st in the queue",
            f"{type(gone).__name__}: ready: 2nd in the queue",
            "Shy: read 1",
            "Named: read 2",
            "task: sleeping",
        ]
        assert tasks(gone) == []
        assert waits(SimpleNamespace(readers={}, ready=gone)) == [f"ready: not read: a {type(gone).__name__}"]

    def test_waiters_in_another_kind_of_mapping(self, ends):
        class Changes(UserDict):
            def __iter__(self):
                raise RuntimeError("dictionary changed size during iteration")

        (left, right), mine = ends, task()
        loop = SimpleNamespace(
            readers=weakref.WeakKeyDictionary({left: mine}),
            writers=MappingProxyType({right: task()}),
            names=weakref.WeakKeyDictionary({mine: "mine"}),
        )
        assert sorted(waits(loop)) == [f"mine: read {left.fileno()}", f"task: write {right.fileno()}"]
        assert waits(SimpleNamespace(readers=Changes(), ready=[task()])) == ["task: ready: 1st in the queue"]

    def test_of_thousands_the_first_ones_in_a_short_time(self):
        tasks_of = SimpleNamespace(ready=deque(), readers={number: object() for number in range(20_000, 0, -1)})
        assert [task.number for task in tasks(tasks_of)] == list(range(1, MOST + 1))

    def test_looks_while_tasks_run_by_thousands_do_not_fail(self):
        loop, over = Loop(), threading.Event()

        def busy(i):
            while not over.is_set():
                yield
                yield "sleep", 0.0001 * (i % 3)

        for i in range(200):
            loop.spawn(busy(i))
        thread = threading.Thread(target=loop.run)
        thread.start()
        looks = [tasks(loop) for _ in range(300)]
        over.set()
        thread.join()
        assert any(task.state == "ready" for look in looks for task in look)
        assert all(len(look) <= 200 for look in looks)


def raises_what_failed(task):
    """As `on_error`: the loop ends."""
    raise task.error


def ends_it(loop, seen):
    while not seen:
        yield
    loop.on_error = raises_what_failed
    raise InterruptedError


@pytest.mark.parametrize("native", [False, True], ids=["generators", "async def"])
class TestOfAServer:
    def test_one_task_for_the_listener_and_one_for_each_client(self, native):
        with CoroutineServer(native=native) as server:
            crowd(server, 3)
            assert wait_until(lambda: len(server.tasks()) == 4 and all(task.state == "read" for task in server.tasks()))
            numbers = [d.number for d in server.descriptors() if d.kind != "epoll"]
            assert [task.number for task in server.tasks()] == numbers
            assert [task.waits for task in server.tasks()] == [f"read {number}" for number in numbers]
        assert server.tasks() == []

    def test_a_slow_reader_makes_its_task_wait_to_write(self, native):
        with CoroutineServer(native=native) as server:
            (client,) = crowd(server, 1)
            client.slow = True
            client.send(bytes(20 << 20))

            def pushes():
                client._send_on()
                return any(task.state == "write" for task in server.tasks())

            assert wait_until(pushes, 30)

    def test_step_by_step_the_queue_gets_shorter(self, native):
        with CoroutineServer(native=native) as server:
            clients = crowd(server, 3)
            assert wait_until(lambda: [task.state for task in server.tasks()] == ["read"] * 4)
            assert asleep(server, "epoll_wait")
            server.hold()
            for client in clients:
                client.send(b"hello")
            seen = []
            # The epoll_wait in flight may have come back with the first one only; the others are in the next.
            assert wait_until(lambda: server.pending is not None)
            while server.pending.name != "epoll_wait" or sum(name != "epoll_wait" for name, _ in seen) < 6:
                seen.append((server.pending.name, [task.state for task in server.tasks()].count("running")))
                server.step(60)
            assert [call for call in seen if call[0] != "epoll_wait"] == [("recv", 1), ("send", 1)] * 3
            server.run_on()


@pytest.mark.parametrize("model", [BlockingServer, AsyncioServer, ThreadedServer])
def test_a_server_without_such_a_loop_has_no_tasks(model):
    with model() as server:
        assert server.tasks() is None and observe(server).state()["tasks"] is None
        assert "ready queue" not in observe(server).picture()


class TestInThePanel:
    def test_the_picture_has_the_queue_and_the_tasks_escaped(self):
        def serve(listener):
            listener.setblocking(False)
            server.loop = Loop(on_error=raises_what_failed)
            server.loop.spawn(accept(listener), "<b>door</b>")
            server.loop.run()

        server = serving(serve)
        with server:
            assert wait_until(lambda: server.tasks() and server.tasks()[0].state == "read")
            picture = observe(server).picture()
        assert "ready queue: empty" in picture and "&lt;b&gt;door&lt;/b&gt;" in picture and "<b>door" not in picture

    def test_a_look_that_fails_is_said_and_the_next_one_comes(self):
        class Sly(CoroutineServer):
            broken = True

            def tasks(self):
                return 1 / 0 if self.broken else super().tasks()

        with Sly() as server:
            panel = observe(server)
            assert panel.state()["note"] == "This look failed: ZeroDivisionError: division by zero" and panel.picture()
            page = Page(panel)
            assert page.shows(lambda s: "ZeroDivisionError" in s["note"], 60) and panel._pump.is_alive()
            server.broken = False
            assert page.shows(lambda s: s["note"] == "" and s["tasks"])
            page.leave()

    def test_many_tasks_show_the_first_and_say_how_many_are_not_shown(self, monkeypatch):
        monkeypatch.setattr(panel_module, "_TASKS", 2)
        with CoroutineServer() as server:
            crowd(server, 3)
            assert wait_until(lambda: len(server.tasks()) == 4)
            panel = observe(server)
            assert (len(panel.state()["tasks"]["shown"]), panel.state()["tasks"]["hidden"]) == (2, "2 more tasks")
            assert "2 more tasks are not shown" in panel.picture()
            json.dumps(panel.state())
