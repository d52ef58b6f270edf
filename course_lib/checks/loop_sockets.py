"""Tasks that wait for sockets: parts of the check of 7.3 on who is woken, who starves, what is left, what it costs."""

import gc
import socket
import time
import weakref
from collections import Counter
from collections.abc import Generator
from contextlib import suppress

from course_lib.sandbox import Stopwatch, Wrong
from course_lib.solutions.coroutines import recv, send_all

from .ends import accepted, empty, fill, readable, reset, writable
from .epoll_list import grows, interest_lists, room
from .loop_trial import LoopTrial, Task, pair, pairs, turns
from .probe import raise_first


def ping_pong(trial: LoopTrial) -> None:
    def ping(sock: socket.socket) -> Generator:
        for number in range(20):
            yield from send_all(sock, b"%05d" % number)
            if (got := (yield from recv(sock, 5))) != b"%05d" % number:
                trial.fail(
                    f"Tasks play ping-pong over a socket pair, and one of them got {got!r}: recv was resumed with something else "
                    "than None?"
                )

    def pong(sock: socket.socket) -> Generator:
        for _ in range(20):
            yield from send_all(sock, (yield from recv(sock, 5)))

    tasks: dict[str, Task] = {}
    with pairs(30) as ends:
        for number, (one, peer) in enumerate(ends):
            tasks |= {f"ping {number}": ping(one), f"pong {number}": pong(peer)}
        trial.run("30 pairs of tasks play ping-pong over sockets", tasks, 2.0)
    trial.talk.good("30 pairs play ping-pong over sockets")


def reader_and_writer(trial: LoopTrial) -> None:
    for order in ("read", "write"), ("write", "read"):
        for spawned in ("read", "write"), ("write", "read"):
            with pairs(1) as [(one, peer)]:
                _reads_and_writes(trial, one, peer, order, spawned)
    listener = socket.create_server(("127.0.0.1", 0))
    with listener, socket.create_connection(listener.getsockname()) as client, accepted(listener, client) as conn:
        conn.setblocking(False)
        fill(conn)

        def waits(event: str) -> Generator:
            yield event, conn

        def resets() -> Generator:
            yield from turns(2)
            reset(client)

        what = "One task waits to read a socket, another one to write it, and the peer sends a reset"
        trial.run(what, {"the reader": waits("read"), "the writer": waits("write"), "a third task": resets()})
    trial.talk.good("two tasks on one socket, one reads and one writes: each is woken by what it waits for")


_ABLE = {"read": "readable", "write": "writable"}


def _reads_and_writes(trial: LoopTrial, one: socket.socket, peer: socket.socket, order: tuple, spawned: tuple) -> None:
    fill(one)
    done, resumed = list[str](), Counter[str]()

    def waits(event: str) -> Generator:
        while not (readable if event == "read" else writable)(one):
            resumed[event] += 1
            if resumed[event] > 20:
                other = "write" if event == "read" else "read"
                trial.fail(
                    f"A task waits to {event} a socket, and was resumed again and again, though it is not ready for that. It was "
                    f"{_ABLE[other]}, which another task had waited for: watch for what is still waited for, with a new engine.watch()."
                )
            yield event, one
        done.append(event)

    def third() -> Generator:
        yield from turns(3)
        for number, event in enumerate(order):
            if event == "read":
                peer.send(b"x")
            else:
                empty(peer)
            first = "; the other one has gone on already" if number else ""
            trial.step(
                f"One task waits to read a socket, another one to write it; it became {_ABLE[event]}{first}, and the task that waits "
                f"to {event} did not go on within 1 s (was one of the two forgotten? Both have the same number, and a watch() takes "
                "the place of the one before)"
            )
            while event not in done:
                yield "sleep", 0.001
            yield "sleep", 0.001

    trial.run(
        "One task waits to read a socket, another one to write it",
        {f"the task that waits to {event}": waits(event) for event in spawned} | {"a third task": third()},
    )


def nobody_waits(trial: LoopTrial) -> None:
    def reader() -> Generator:
        yield from recv(one, 1)
        yield from recv(other, 1)

    def third() -> Generator:
        yield from turns(2)
        peer.send(b"xy")  # one byte of it stays unread
        trial.step(
            "A task reads a byte of a socket, where more has come, and then waits for another socket; a task that sleeps 0.15 s "
            "did not go on within 1 s"
        )
        yield "sleep", 0.001
        watch, used = Stopwatch(), time.process_time()
        yield "sleep", 0.15
        if time.process_time() - used > watch.passed() / 8:
            if not any(one.fileno() in inside for inside in interest_lists().values()):
                trial.fail(
                    "Tasks wait, nobody is ready, and your Loop runs all the time: engine.wait() gets 0 only when somebody is "
                    "ready, else the seconds until the first timer."
                )
            trial.fail(
                "A task has read from a socket and waits for another one; in the first there is more, for which nobody waits, "
                "and your Loop runs all the time. epoll is level-triggered: watch a socket only while a task waits for it, then "
                "engine.unwatch()."
            )
        others_peer.send(b"x")

    with pairs(2) as ((one, peer), (other, others_peer)):
        trial.run("Bytes have come for which nobody waits", {"the reader": reader(), "another task": third()})
    trial.talk.good("a socket is watched only while a task waits for it")


def fairness(trial: LoopTrial) -> None:
    done: list[str] = []

    def spawns() -> Generator:
        if len(done) < 2:
            trial.loop.spawn(spawns())
        yield from ()

    def yields(what: object) -> Generator:
        while len(done) < 2:
            yield what

    def reader() -> Generator:
        yield from recv(one, 1)
        done.append("reader")

    def sleeper() -> Generator:
        yield "sleep", 0.005
        peer.send(b"x")
        done.append("sleeper")

    with pairs(2) as ((one, peer), (busy, busy_peer)):
        busy_peer.send(b"x")
        for does, task in (
            ("spawns another one", spawns()), ("yields its turn", yields(None)), ("sleeps 0 s", yields(("sleep", 0))),
            ("reads from a socket that is ready", yields(("read", busy))),
        ):  # fmt: skip
            done.clear()
            trial.run(
                f"A task {does}, again and again, while another one waits for a socket, and a third one for a timer",
                {"the reader": reader(), "the busy task": task, "the sleeper": sleeper()},
                why="a round runs those who were ready when it began, then it looks after sockets and timers, with a wait of 0 s",
            )
    trial.talk.good("a task that is always ready, or spawns without end, starves nobody")


def forgets(trial: LoopTrial) -> None:
    ends = [pair() for _ in range(50)]
    kept = weakref.WeakSet[Generator]()
    ended: list[int] = []
    found: dict[str, int] = {}

    def reads_twice(sock: socket.socket) -> Generator:
        yield from recv(sock, 1)
        yield from recv(sock, 1)
        yield "sleep", 0.001
        ended.append(sock.fileno())

    def last() -> Generator:
        for _ in range(2):
            yield from turns(2)
            for _, peer in ends:
                peer.send(b"x")
            yield "sleep", 0.002
        for _ in range(50):
            yield "sleep", 0.002
            if len(ended) == len(ends):
                break
        gc.collect()
        numbers = {one.fileno() for one, _ in ends}
        found["entries"] = sum(number in numbers for inside in interest_lists().values() for number in inside)
        found["tasks"] = len(kept)

    loop = trial.new()
    for one, _ in ends:
        task = reads_twice(one)
        kept.add(task)
        loop.spawn(task)
        del task
    trial.go("50 tasks read two bytes each from a socket of their own", last(), seconds=2.0)
    _has_forgotten_tasks(trial, found)
    _forgets_sockets(ends)
    trial.talk.good("when a task has ended, nothing of it is left")


def _has_forgotten_tasks(trial: LoopTrial, found: dict[str, int]) -> None:
    entries, tasks = found.get("entries", 0), found.get("tasks", 0)
    causes = {
        f"50 tasks read from sockets; run() returned, and another task had not ended.{trial.cause()}": not found,
        f"50 tasks have read from sockets and ended, and {entries} of the sockets are still in epoll's interest "
        "list (tfd lines in /proc/self/fdinfo, proc(5)): engine.unwatch() when nobody waits for a socket any more.": entries,
        f"50 tasks have ended, and your Loop still keeps {tasks} of them: it grows with every task that ever ran. "
        "Forget each one when it ends.": tasks > 3,
    }
    raise_first(causes)


def _forgets_sockets(ends: list[tuple[socket.socket, socket.socket]]) -> None:
    sockets = weakref.WeakSet(one for one, _ in ends)
    while ends:
        for sock in ends.pop():
            sock.close()
    gc.collect()
    if (left := len(sockets)) > 3:
        raise Wrong(
            f"50 sockets were waited for once and are closed, and your Loop still keeps {left} of them: it grows with every "
            "connection that ever came. Forget each one when nobody waits for it."
        )


_FEW, _LOTS, _TURNS, _GROWS = 10, 2000, 200, 3  # tasks that wait, steps of two that talk, and how much more these may cost


def costs_the_same(trial: LoopTrial) -> None:
    """CPU time of two tasks that talk must not grow with the number of those who wait for other sockets."""

    if not room(_LOTS + 200):
        return

    def cost(waiting: int) -> float:
        (one, peer), (idle, its_peer) = pair(), pair()
        used: list[float] = []
        copies = [idle.dup() for _ in range(waiting)]

        def talks(sock: socket.socket, begins: bool) -> Generator:
            begin = time.thread_time()
            if begins:
                yield from send_all(sock, b"x")
            for _ in range(_TURNS):
                yield from recv(sock, 1)
                yield from send_all(sock, b"x")
            if begins:
                used.append(time.thread_time() - begin)
                its_peer.send(bytes(waiting))  # one for each

        tasks: dict[str, Task] = {f"waiter {number}": recv(sock, 1) for number, sock in enumerate(copies)}
        tasks |= {"one that talks": talks(one, True), "another one that talks": talks(peer, False)}
        trial.run(f"{waiting} tasks wait for sockets, and two others talk", tasks, 3.0)
        for sock in one, peer, idle, its_peer, *copies:
            sock.close()
        return used[0]

    if (times := grows(cost, _FEW, _LOTS, _GROWS)) > _GROWS:
        raise Wrong(
            f"Two tasks talk; with {_LOTS} others that wait it costs {times:.0f} times the CPU time that it costs with {_FEW}: "
            "each round goes over all who wait, in your code or in the engine. epoll gives the ready ones: look up just these."
        )
    trial.talk.good(f"with {_LOTS} tasks that wait, a round costs what it costs with {_FEW}")


def _waits(event: str, sock: socket.socket) -> Generator:
    yield event, sock  # whether this comes is the Loop's business
    with suppress(OSError):
        sock.send(b"x")


def _new_owner(trial: LoopTrial, old: tuple[str, ...], new: str, kept: list[socket.socket]) -> Generator:
    """Close a socket for which tasks wait, and let a task wait for a new one with its number; `kept` keeps what stays open."""
    got: list[bytes] = []

    def reader(sock: socket.socket) -> Generator:
        got.append((yield from recv(sock, 100)))

    def writer(sock: socket.socket) -> Generator:
        yield "write", sock
        got.append(b"hello")

    one, peer = pair()
    fill(one)
    for event in old:
        trial.loop.spawn(_waits(event, one))
    yield from turns(3)
    number = one.fileno()
    one.close()
    owner, its_peer = pair()
    if owner.fileno() != number:
        owner, its_peer = its_peer, owner
    kept.extend((peer, owner, its_peer))
    waited = " and ".join(f"to {event}" for event in old)
    trial.step(
        f"A task waits {waited} a socket, another one closes it, and a new socket gets its number; a task waits to "
        f"{new} the new one, and did not go on within 1 s"
    )
    if new == "write":
        fill(owner)
    trial.loop.spawn(reader(owner) if new == "read" else writer(owner))
    yield from turns(2)
    if new == "write":
        empty(its_peer)
    else:
        its_peer.send(b"hello")
    while not got:
        yield "sleep", 0.001
    if got.pop() != b"hello" or got:
        trial.fail("A socket was closed, and a new one got its number: a task of the new one was resumed twice.")


def closes(trial: LoopTrial) -> None:
    """The last part: those who wait for a closed socket may do so for ever, and run() need not return."""
    loop, kept = trial.new(), list[socket.socket]()

    def driver() -> Generator:
        for old in ("read",), ("write",), ("read", "write"):
            for new in "read", "write":
                yield from _new_owner(trial, old, new, kept)
        trial.talk.good("a socket is closed while a task waits for it: its number can be used again")
        trial.talk.tell()

    trial.what = "A task closes sockets for which others wait"
    loop.spawn(driver())
    trial.step("A task closes sockets for which others wait, and it did not go on within 1 s")
    loop.run()
    raise Wrong("A task closes sockets for which others wait; run() returned, and this task had not ended.")
