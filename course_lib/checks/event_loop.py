"""Exercise 7.3: an event loop, and the check that runs tasks in it."""

from __future__ import annotations

import gc
import io
import os
import re
import select
import socket
import sys
import threading
import time
import weakref
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from course_lib.sandbox.attempt import Attempt
from course_lib.sandbox.outcome import Raised, Stuck, Wrong
from course_lib.sandbox.stopwatch import Stopwatch, waited_for_a_processor
from course_lib.sandbox.talk import Talk, is_learners
from course_lib.solutions.coroutines import recv, send_all, sleep

from .ends import empty, fill, reset
from .engines import room
from .waits import shown

if TYPE_CHECKING:
    from course_lib.sandbox.run import Run


class _Printed(io.StringIO):
    """Standard output, or standard error, which is not shown: a message quotes it. `blame` is called after a traceback."""

    blame, quiet = None, False

    def __init__(self, shown: io.TextIOBase | None) -> None:
        super().__init__()
        self._shown = shown

    def write(self, text: str) -> int:
        size = super().write(text)
        if self._shown and not self.quiet:
            self._shown.write(text)
        printed = self.getvalue()
        if self.blame and "Traceback" in printed and not printed.splitlines()[-1].startswith((" ", "Traceback")):
            self.blame()
        return size

    def flush(self) -> None:
        if self._shown:
            self._shown.flush()


_LIMIT = "engine.wait() gets 0 when somebody is ready, else the seconds until the first timer, else None"


class _LoopTrial:
    """The learner's Loop with tasks of ours in it, and what it printed."""

    def __init__(self, talk: Talk, learner: Callable) -> None:
        self.talk, self._learner = talk, learner
        self.printed = sys.stdout, sys.stderr = _Printed(sys.stdout), _Printed(None)
        self.loop, self.what = None, "Tasks ran"
        self.tells_mistakes(False)

    def new(self) -> object:
        self.talk.step("Loop() did not return within 1 s")
        self.loop = self._learner()
        for method in "spawn", "run":
            if not callable(getattr(self.loop, method, None)):
                raise Wrong(f"Loop has no method {method}().")
        for stream in self.printed:
            stream.seek(0)
            stream.truncate()
        return self.loop

    def run(self, what: str, tasks: dict[str, Generator], seconds: float = 1.0, why: str = _LIMIT, again: bool = False) -> None:
        """Run these tasks to their end. `what` begins each message; `why` ends the one that says they got stuck."""
        loop = self.loop if again else self.new()
        ended = set()

        def tracked(name: str, task: Generator) -> Generator:
            yield from task
            ended.add(name)
            if len(ended) == len(tasks):
                self.step(
                    f"{what}: all tasks have ended, and run() did not return within 1 s: look whether anybody is left before you "
                    "wait, and forget who has ended"
                )

        self.what = what
        for name, task in tasks.items():
            loop.spawn(tracked(name, task))
        self.step(f"{what}, and not all tasks have ended within {seconds:g} s ({why})", seconds)
        loop.run()
        if missing := [name for name in tasks if name not in ended]:
            raise Wrong(
                f"{what}; run() returned, and {missing[0]} had not "
                f"ended.{self.cause(' Run until nobody is ready, waits or sleeps.')}"
            )

    def step(self, what: str, seconds: float = 1.0) -> None:
        self.talk.step(what, seconds)

    def fail(self, text: str) -> None:
        """For tasks: an exception would be the Loop's."""
        self.talk.send({"wrong": text + self.cause()})

    def text(self) -> str:
        return "".join(stream.getvalue() for stream in self.printed)

    def tells_mistakes(self, expected: bool) -> None:
        """Is a traceback expected now? If not, the first one is the Loop's own mistake."""
        for stream in self.printed:
            stream.blame, stream.quiet = (None, True) if expected else (self._blame, False)

    def _blame(self) -> None:
        text = self.text()
        if "StopIteration" in text:
            why = "a task returned, and StopIteration was printed as if it were a mistake: it comes out of send() when a task ends (PEP 255)."
        elif "RecursionError" in text:
            why = "RecursionError was printed: each step comes from the loop in run(), not from inside of another step."
        else:
            kind, _, said = text.rstrip().rpartition("\n")[2].partition(": ")
            why = f"no task made a mistake, and a traceback was printed.{self.cause()} {_why(kind, said)}".rstrip()
        self.talk.send({"wrong": f"{self.what}; {why}"})

    def cause(self, otherwise: str = "") -> str:
        """The last line that the Loop printed, and where it came from."""
        lines = [line.strip() for line in self.text().splitlines() if line.strip()]
        if not lines:
            return otherwise
        frames = [number for file, number in re.findall(r'File "(.*)", line (\d+)', self.text()) if is_learners(file)]
        where = f", from line {frames[-1]}" if frames else ""
        return f" Printed was{where}: {lines[-1][:200].rstrip('.')}."


def check_loop(attempt: Attempt) -> None:
    try:
        run = attempt.run(_use_loop)
        run.hear("Loop did not answer within 1 s")
        run.alone()
        attempt.begin_anew()
        _idle(attempt)
    except Raised as error:
        raise _explained_loop(error) from None


def _explained_loop(error: Raised) -> Exception:
    if "of task B" in error.text:
        return Wrong(
            f"A task raised {error.type}, and it took everybody with it: it came out of run(){error.line}. Catch it around "
            "send(), and go on with the others."
        )
    why = _why(error.type, error.text)
    return Wrong(f"{error} {why}") if why else error


def _why(kind: str, text: str) -> str:
    """What an exception of this type and text says about a loop."""
    if kind == "TypeError" and "'<' not supported" in text:
        why = (
            "Two timers had the same moment, and the heap compared what stands behind it. Put a number between them that is "
            "different each time, itertools.count(): (moment, count, task)."
        )
    elif kind == "StopIteration":
        why = "A task that returns raises it out of send(): catch it there."
    elif "is not an iterator" in text:
        why = "next() is for generators; a coroutine of async def has only send(): task.send(None) does for both."
    elif kind == "TypeError" and "NoneType" in text:
        why = "Is it a bare `yield`, which gives None? It only lets the others have their turn."
    elif kind == "FileExistsError":
        why = "The number is in the interest list already (EEXIST, epoll_ctl(2)): two tasks may wait for one socket, which has one entry."
    elif kind == "FileNotFoundError":
        why = "The number is not in the interest list (ENOENT, epoll_ctl(2)): a socket that was closed has left it by itself."
    elif kind == "ValueError" and re.search(r"\(-1\)|negative", text):
        why = "A closed socket has the number -1: keep the number that it had, and unwatch it before its number has a new owner."
    elif kind == "KeyError":
        why = (
            "Is it a socket for which nobody waits any more, or whose number has a new owner? What you keep and what the engine "
            "watches must agree."
        )
    elif kind == "RuntimeError" and "changed size" in text:
        why = "Tasks come and go while you go over them: loop over a copy, list(...)."
    elif kind == "IndexError":
        why = "Nothing is left in it: look first whether it is empty."
    elif kind == "OSError" and "Bad file descriptor" in text:
        why = "A task had closed this socket. The kernel has forgotten it by itself."
    else:
        why = ""
    return why


def _use_loop(talk: Talk, learner: Callable) -> None:
    trial = _LoopTrial(talk, learner)
    parts = _ready_queue, _two_loops, _ping_pong, _timers, _mistakes, _interrupted, _reader_and_writer
    for part in *parts, _nobody_waits, _fairness, _forgets, _costs_the_same:
        part(trial)
    trial.what = "A task closes sockets for which others wait"
    _closed(talk, learner)


def _pair() -> tuple[socket.socket, socket.socket]:
    """Two connected sockets, non-blocking."""
    pair = socket.socketpair()
    for sock in pair:
        sock.setblocking(False)
    return pair


def _is(sock: socket.socket, event: int) -> bool:
    """Is it ready for select.POLLIN or POLLOUT now?"""
    poll = select.poll()
    poll.register(sock, event)
    return bool(poll.poll(0))


def _turns(number: int) -> Generator:
    for _ in range(number):
        yield


def _ready_queue(trial: _LoopTrial) -> None:
    log = []

    def task(name: str, steps: int) -> Generator:
        for step in range(steps):
            log.append(f"{name}{step}")
            yield

    def parent() -> Generator:
        yield
        trial.loop.spawn(task("child", 2))
        log.append("spawned")
        yield

    class Turn:
        def __await__(self) -> Generator:
            log.append("before")
            yield
            log.append("after")

    async def coroutine() -> None:
        await Turn()

    trial.new()
    trial.step("Nothing was spawned, and run() did not return within 1 s")
    trial.loop.run()
    trial.run(
        "Three tasks were spawned that yield nothing but their turn", {"A": task("A", 3), "B": task("B", 1), "C": task("C", 2)}
    )
    if log != ["A0", "B0", "C0", "A1", "C1", "A2"]:
        why = (
            " One step of each in turn: who yields goes to the end of the queue."
            if sorted(log) == ["A0", "A1", "A2", "B0", "C0", "C1"]
            else ""
        )
        raise Wrong(f"A yields three times, B once, C twice; the steps were {', '.join(log)}, not A0, B0, C0, A1, C1, A2.{why}")
    log.clear()
    trial.run("run() had returned, a new task was spawned, and run() was called again", {"D": task("D", 2)}, again=True)
    if log != ["D0", "D1"]:
        raise Wrong(f"run() had returned, and a new task D of two steps was spawned; then run() made the steps {', '.join(log)}.")
    log.clear()
    trial.run("A task spawned another one", {"the task": parent()})
    if log[:2] == ["child0", "spawned"]:
        raise Wrong(
            "A task spawned another one, and spawn() made a step of it at once: it only adds the task, whose turn comes in the "
            "next round."
        )
    if log != ["spawned", "child0", "child1"]:
        raise Wrong(f"A task spawned another one of two steps, and {len(log) - 1} of them ran before run() returned.")
    log.clear()
    loop = trial.new()
    trial.what = "A coroutine of async def was spawned"
    trial.step("A coroutine of async def was spawned, and run() did not return within 1 s")
    coro = coroutine()
    loop.spawn(coro)
    loop.run()
    coro.close()
    if log != ["before", "after"]:
        raise Wrong(f"A coroutine of async def was spawned, and it did not run to its end.{trial.cause()}")
    trial.step("spawn(task, 'bob') did not return within 1 s")
    trial.loop.spawn(_turns(1), "bob")
    trial.loop.run()
    trial.talk.good("one step of each in turn; tasks that spawn tasks; generators and coroutines")


def _two_loops(trial: _LoopTrial) -> None:
    one, other, log = trial.new(), trial.new(), []

    def task() -> Generator:
        log.append("step")
        yield

    one.spawn(task())
    trial.step("A task was spawned in one Loop, and run() of another one did not return within 1 s")
    other.run()
    if log:
        raise Wrong(
            "A task was spawned in one Loop, and another Loop ran it: make the queue and the dicts in __init__, for those in the body "
            "of the class belong to all loops."
        )
    one.run()


def _interrupted(trial: _LoopTrial) -> None:
    for error in KeyboardInterrupt, SystemExit:
        loop = trial.new()
        trial.tells_mistakes(True)

        def ends() -> Generator:
            yield
            raise error

        loop.spawn(ends())
        trial.step(f"{error.__name__} came while a task ran, and run() did not return within 1 s")
        try:
            loop.run()
        except error:
            continue
        finally:
            trial.tells_mistakes(False)
        raise Wrong(
            f"{error.__name__} came while a task ran, and run() kept it: this is no mistake of a task, and nobody could end the "
            "program. `except Exception`, not BaseException and not a bare except."
        )


def _mistakes(trial: _LoopTrial) -> None:
    closed, alive = socket.socket(), socket.socket()
    closed.close()

    def fails(error: Exception) -> Generator:
        yield
        raise error

    def yields(what: object) -> Generator:
        yield what
        trial.fail(
            f"A task yielded {shown(what)}, and was resumed as if that had come: nobody can wait for it, so the task has to "
            "end, with a traceback."
        )

    def answered(sock: socket.socket) -> Generator:
        yield from _turns(3)
        yield from recv(sock, 1)

    wrong = [
        (f"A task raised {error!r}", error, fails(error))
        for error in (
            ValueError("of task B"),
            KeyError("of task B"),
            BlockingIOError(11, "of task B"),
            OSError(9, "of task B"),
            IndexError("of task B"),
        )
    ]
    for what, name in (
        ("nonsense", "'nonsense'"), (7, "7"), ((), "()"), (("raed", alive), "('raed', sock)"), (("read", None), "('read', None)"),
        (("read",), "('read',)"), (("sleep", "soon"), "('sleep', 'soon')"),
        (("read", closed), "('read', sock) for a closed socket"), (("write", closed), "('write', sock) for a closed socket"),
    ):  # fmt: skip
        wrong.append((f"A task yielded {name}", None, yields(what)))
    for what, error, task in wrong:
        one, peer = _pair()
        with one, peer:
            peer.send(b"x")
            loop = trial.new()
            trial.tells_mistakes(True)
            ended = set()

            def good(name: str, steps: Generator) -> Generator:
                yield from steps
                ended.add(name)

            for name, steps in ("A", _turns(3)), ("C", sleep(0.002)), ("D", answered(one)):
                loop.spawn(good(name, steps))
                if name == "A":
                    loop.spawn(task, "B")
            trial.step(f"{what}, and run() did not return within 1 s, with three other tasks in it")
            try:
                loop.run()
            except Exception as raised:
                if ended == {"A", "C", "D"}:
                    continue  # told when all had ended: another good way
                if error is None:
                    raise Wrong(
                        f"{what}, and {type(raised).__name__} came out of run() and took everybody with it: a mistake of one "
                        f"task ends this task alone. Its text was: {raised}"
                    ) from None
                raise
            finally:
                trial.tells_mistakes(False)
            if ended != {"A", "C", "D"}:
                raise Wrong(f"{what}, and another task did not run to its end: the others go on.{trial.cause()}")
            if not trial.text().strip():
                raise Wrong(f"{what}; the others went on, and nobody is told of the mistake: traceback.print_exception(error).")
            if error and "of task B" not in trial.text():
                raise Wrong(f"{what}, and what was printed does not tell it: traceback.print_exception(error).{trial.cause()}")
            trial.new()
    alive.close()
    trial.talk.good("a task that raises, or yields nonsense: it is told, and the others go on")


def _ping_pong(trial: _LoopTrial) -> None:
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

    pairs = [_pair() for _ in range(30)]
    tasks = {}
    for number, (one, peer) in enumerate(pairs):
        tasks |= {f"ping {number}": ping(one), f"pong {number}": pong(peer)}
    trial.run("30 pairs of tasks play ping-pong over sockets", tasks, 2.0)
    for one, peer in pairs:
        one.close()
        peer.close()
    trial.talk.good("30 pairs play ping-pong over sockets")


def _reader_and_writer(trial: _LoopTrial) -> None:
    for order in ("read", "write"), ("write", "read"):
        for spawned in ("read", "write"), ("write", "read"):
            one, peer = _pair()
            with one, peer:
                _reads_and_writes(trial, one, peer, order, spawned)
    listener = socket.create_server(("127.0.0.1", 0))
    with listener, socket.create_connection(listener.getsockname()) as client, listener.accept()[0] as conn:
        conn.setblocking(False)
        fill(conn)

        def waits(event: str) -> Generator:
            yield event, conn

        def resets() -> Generator:
            yield from _turns(2)
            reset(client)

        what = "One task waits to read a socket, another one to write it, and the peer sends a reset"
        trial.run(what, {"the reader": waits("read"), "the writer": waits("write"), "a third task": resets()})
    trial.talk.good("two tasks on one socket, one reads and one writes: each is woken by what it waits for")


def _reads_and_writes(trial: _LoopTrial, one: socket.socket, peer: socket.socket, order: tuple, spawned: tuple) -> None:
    fill(one)
    done, resumed = [], Counter()
    bits = {"read": select.POLLIN, "write": select.POLLOUT}

    def waits(event: str) -> Generator:
        while not _is(one, bits[event]):
            resumed[event] += 1
            if resumed[event] > 20:
                other = "writable" if event == "read" else "readable"
                trial.fail(
                    f"A task waits to {event} a socket, and was resumed again and again, though it is not ready for that. It was "
                    f"{other}, which "
                    "another task had waited for: watch for what is still waited for, with a new engine.watch()."
                )
            yield event, one
        done.append(event)

    def third() -> Generator:
        yield from _turns(3)
        for number, event in enumerate(order):
            if event == "read":
                peer.send(b"x")
            else:
                empty(peer)
            first = "" if number == 0 else "; the other one has gone on already"
            trial.step(
                "One task waits to read a socket, another one to write it; it became "
                f"{event[:-1] if event == 'write' else event}able{first}, and the task "
                f"that waits to {event} did not go on within 1 s: was one of the two forgotten, because both stand under the "
                "same number?"
            )
            while event not in done:
                yield "sleep", 0.001
            yield "sleep", 0.001

    trial.run(
        "One task waits to read a socket, another one to write it",
        {f"the task that waits to {event}": waits(event) for event in spawned} | {"a third task": third()},
    )


def _nobody_waits(trial: _LoopTrial) -> None:
    one, peer = _pair()
    other, others_peer = _pair()

    def reader() -> Generator:
        yield from recv(one, 1)
        yield from recv(other, 1)

    def third() -> Generator:
        yield from _turns(2)
        peer.send(b"xy")  # one byte of it stays unread
        trial.step(
            "A task reads a byte of a socket, where more has come, and then waits for another socket; a task that sleeps 0.15 s "
            "did not go on within 1 s"
        )
        yield "sleep", 0.001
        watch, used = Stopwatch(), time.process_time()
        yield "sleep", 0.15
        if time.process_time() - used > watch.passed() / 8:
            if one.fileno() not in _watched():
                trial.fail(
                    "Tasks wait, nobody is ready, and your Loop runs all the time: engine.wait() gets 0 only when somebody is "
                    "ready, else the seconds until the first timer."
                )
            trial.fail(
                "A task has read from a socket and waits for another one; in the first there is more, for which nobody waits, "
                "and your Loop runs all "
                "the time. epoll is level-triggered: watch a socket only while a task waits for it, then engine.unwatch()."
            )
        others_peer.send(b"x")

    trial.run("Bytes have come for which nobody waits", {"the reader": reader(), "another task": third()})
    for sock in one, peer, other, others_peer:
        sock.close()
    trial.talk.good("a socket is watched only while a task waits for it")


def _timers(trial: _LoopTrial) -> None:
    log = []

    def sleeper(seconds: float, name: object = None) -> Generator:
        begin = time.monotonic()
        yield "sleep", seconds
        if threading.active_count() > 1:
            trial.fail(
                "Tasks sleep, and your Loop has started a thread: one heap and the timeout of engine.wait() do for all timers."
            )
        if (passed := time.monotonic() - begin) < seconds - 0.002:
            trial.fail(f"A task yielded ('sleep', {seconds}), and went on after {passed:.3f} s.")
        log.append(name or seconds)

    _late(trial)
    trial.run(
        "Four tasks sleep 0.03, 0.01, 0.02 and 0 s",
        {f"the one of {seconds} s": sleeper(seconds) for seconds in (0.03, 0.01, 0.02, 0)},
    )
    if log != [0, 0.01, 0.02, 0.03]:
        raise Wrong(
            f"Four tasks sleep 0.03, 0.01, 0.02 and 0 s, and the order in which they went on is {log}: the first timer is the "
            "one that is due first."
        )
    log.clear()
    with _coarse_clock():
        trial.run(
            "1000 tasks sleep 0.1 s each", {f"task {number}": sleeper(0.1, number) for number in range(1000)}, 2.5,
            "one wait for all of them: keep when each is due",
        )  # fmt: skip

    def works() -> Generator:
        yield
        end = time.monotonic() + 0.03
        while time.monotonic() < end:
            pass
        yield "sleep", 0.01

    trial.run(
        "One task sleeps 0.005 s, and another one works for 0.03 s meanwhile",
        {"the sleeper": sleeper(0.005), "the worker": works()},
        why="a timer that is due already gives a negative timeout, which is for ever, epoll_wait(2): max(0, ...)",
    )  # fmt: skip
    trial.talk.good("1000 sleepers end together, and all timers in their order")


_REALTIME_COARSE, _MONOTONIC_COARSE = 5, 6  # clock_gettime(2); Python has no names for them


@contextmanager
def _coarse_clock() -> Iterator[None]:
    """A clock that ticks every few milliseconds, as on other systems: so many moments are the same (clock_gettime(2))."""
    clocks = {"monotonic": _MONOTONIC_COARSE, "perf_counter": _MONOTONIC_COARSE, "time": _REALTIME_COARSE}
    fine = {name: getattr(time, name) for name in clocks}
    for name, clock in clocks.items():
        setattr(time, name, partial(time.clock_gettime, clock))
    try:
        yield
    finally:
        for name, function in fine.items():
            setattr(time, name, function)


def _late(trial: _LoopTrial) -> None:
    """A timer must be served when it is due, whatever else is waited for. Two late ones of two are blamed."""
    late = []

    def sleeper(begin: float, waited: float) -> Generator:
        yield "sleep", 0.02
        late.append(time.monotonic() - begin - 0.02 - (waited_for_a_processor() - waited))

    def sender(peer: socket.socket) -> Generator:
        yield "sleep", 0.03
        peer.send(b"x")

    for _ in range(2):
        one, peer = _pair()
        with one, peer:
            trial.run(
                "One task sleeps 0.02 s, another one 0.03 s, and a third waits for a socket",
                {"the sleeper": sleeper(time.monotonic(), waited_for_a_processor()), "the other sleeper": sender(peer), "the one at the socket": recv(one, 1)},
                1.5,
            )  # fmt: skip
        if late[-1] < 0.1:
            return
    raise Wrong(
        f"A task slept 0.02 s, and went on {min(late):.2f} s too late, twice: the engine waits until the first timer is due, no "
        "longer."
    )


def _fairness(trial: _LoopTrial) -> None:
    for kind in "spawns", "yields", "sleeps 0 s", "reads":
        one, peer = _pair()
        busy, busy_peer = _pair()
        busy_peer.send(b"x")
        with one, peer, busy, busy_peer:
            done = []

            def without_end() -> Generator:
                if kind == "spawns":
                    if len(done) < 2:
                        trial.loop.spawn(without_end())
                    return
                while len(done) < 2:
                    yield {"yields": None, "sleeps 0 s": ("sleep", 0), "reads": ("read", busy)}[kind]

            def reader() -> Generator:
                yield from recv(one, 1)
                done.append("reader")

            def sleeper() -> Generator:
                yield "sleep", 0.005
                peer.send(b"x")
                done.append("sleeper")

            name = {
                "spawns": "spawns another one",
                "yields": "yields its turn",
                "sleeps 0 s": "sleeps 0 s",
                "reads": "reads from a socket that is ready",
            }[kind]
            trial.run(
                f"A task {name}, again and again, while another one waits for a socket, and a third one for a timer",
                {"the reader": reader(), "the busy task": without_end(), "the sleeper": sleeper()},
                why="a round runs those who were ready when it began, then it looks after sockets and timers, with a wait of 0 s",
            )
    trial.talk.good("a task that is always ready, or spawns without end, starves nobody")


def _forgets(trial: _LoopTrial) -> None:
    pairs = [_pair() for _ in range(50)]
    kept, ended, found = [], [], {}

    def reads_twice(sock: socket.socket) -> Generator:
        yield from recv(sock, 1)
        yield from recv(sock, 1)
        yield "sleep", 0.001
        ended.append(sock.fileno())

    def last() -> Generator:
        for _ in range(2):
            yield from _turns(2)
            for _, peer in pairs:
                peer.send(b"x")
            yield "sleep", 0.002
        for _ in range(50):
            yield "sleep", 0.002
            if len(ended) == len(pairs):
                break
        gc.collect()
        numbers = {one.fileno() for one, _ in pairs}
        found["entries"] = sum(number in numbers for number in _watched())
        found["tasks"] = sum(task() is not None for task in kept)

    loop = trial.new()
    trial.what = "50 tasks read from sockets"
    for one, _ in pairs:
        task = reads_twice(one)
        kept.append(weakref.ref(task))
        loop.spawn(task)
        del task
    loop.spawn(last())
    trial.step("50 tasks read two bytes each from a socket of their own, and run() did not return within 2 s", 2.0)
    loop.run()
    if "entries" not in found:
        raise Wrong(f"50 tasks read from sockets; run() returned, and another task had not ended.{trial.cause()}")
    if found["entries"]:
        raise Wrong(
            f"50 tasks have read from sockets and ended, and {found['entries']} of the sockets are still in epoll's interest "
            "list (tfd lines in "
            "/proc/self/fdinfo, proc(5)): engine.unwatch() when nobody waits for a socket any more."
        )
    if found["tasks"] > 3:
        raise Wrong(
            f"50 tasks have ended, and your Loop still keeps {found['tasks']} of them: it grows with every task that ever ran. "
            "Forget each one when it ends."
        )
    sockets = [weakref.ref(one) for one, _ in pairs]
    while pairs:
        for sock in pairs.pop():
            sock.close()
    gc.collect()
    if (left := sum(sock() is not None for sock in sockets)) > 3:
        raise Wrong(
            f"50 sockets were waited for once and are closed, and your Loop still keeps {left} of them: it grows with every "
            "connection that ever came. Forget each one when nobody waits for it."
        )
    trial.talk.good("when a task has ended, nothing of it is left")


def _watched() -> list[int]:
    """The numbers in the interest lists of this process (proc_pid_fdinfo(5))."""
    texts = []
    for number in os.listdir("/proc/self/fdinfo"):
        try:
            texts.append(Path(f"/proc/self/fdinfo/{number}").read_text())
        except OSError:  # the number of the listing itself
            pass
    return list(map(int, re.findall(r"^tfd:\s*(\d+)", "".join(texts), re.MULTILINE)))


_FEW, _LOTS, _TURNS, _GROWS = 10, 2000, 200, 3  # tasks that wait, steps of two that talk, and how much more these may cost


def _costs_the_same(trial: _LoopTrial) -> None:
    """CPU time of two tasks that talk must not grow with the number of those who wait for other sockets."""

    if not room(_LOTS + 200):
        return

    def cost(waiting: int) -> float:
        (one, peer), (idle, its_peer), used = _pair(), _pair(), []
        copies = [idle.dup() for _ in range(waiting)]

        def talks(sock: socket.socket, begins: bool) -> Generator:
            begin = time.thread_time()
            for _ in range(_TURNS):
                if begins:
                    yield from send_all(sock, b"x")
                yield from recv(sock, 1)
                if not begins:
                    yield from send_all(sock, b"x")
            if begins:
                used.append(time.thread_time() - begin)
                its_peer.send(bytes(waiting))  # one for each

        tasks = {f"waiter {number}": recv(sock, 1) for number, sock in enumerate(copies)}
        tasks |= {"one that talks": talks(one, True), "another one that talks": talks(peer, False)}
        trial.run(f"{waiting} tasks wait for sockets, and two others talk", tasks, 3.0)
        for sock in one, peer, idle, its_peer, *copies:
            sock.close()
        return used[0]

    few, many = (min(cost(waiting) for _ in range(2)) for waiting in (_FEW, _LOTS))
    if many > _GROWS * few:
        raise Wrong(
            f"Two tasks talk; with {_LOTS} others that wait it costs {many / few:.0f} times the CPU time that it costs with {_FEW}: "
            "each round goes over all who wait, in your code or in the engine. epoll gives the ready ones: look up just these."
        )
    trial.talk.good(f"with {_LOTS} tasks that wait, a round costs what it costs with {_FEW}")


def _closed(talk: Talk, learner: Callable) -> None:
    loop = learner()
    sockets, got = [], []

    def waits(event: str, sock: socket.socket) -> Generator:
        yield event, sock  # whether this comes is the Loop's business
        try:
            sock.send(b"x")
        except OSError:
            pass

    def reader(sock: socket.socket) -> Generator:
        got.append((yield from recv(sock, 100)))

    def writer(sock: socket.socket) -> Generator:
        yield "write", sock
        got.append(b"hello")

    def driver() -> Generator:
        for old in ("read",), ("write",), ("read", "write"):
            for new in "read", "write":
                one, peer = _pair()
                fill(one)
                for event in old:
                    loop.spawn(waits(event, one))
                yield from _turns(3)
                number = one.fileno()
                one.close()
                owner, its_peer = _pair()
                if owner.fileno() != number:
                    owner, its_peer = its_peer, owner
                sockets.extend((peer, owner, its_peer))
                waited = " and ".join(f"to {event}" for event in old)
                talk.step(
                    f"A task waits {waited} a socket, another one closes it, and a new socket gets its number; a task waits to "
                    f"{new} the new one, "
                    "and did not go on within 1 s"
                )
                if new == "write":
                    fill(owner)
                loop.spawn(reader(owner) if new == "read" else writer(owner))
                yield from _turns(2)
                if new == "write":
                    empty(its_peer)
                else:
                    its_peer.send(b"hello")
                while not got:
                    yield "sleep", 0.001
                if got.pop() != b"hello" or got:
                    talk.send(
                        {"wrong": "A socket was closed, and a new one got its number: a task of the new one was resumed twice."}
                    )
        talk.good("a socket is closed while a task waits for it: its number can be used again")
        talk.tell()

    loop.spawn(driver())
    talk.step("A task closes sockets for which others wait, and it did not go on within 1 s")
    loop.run()
    raise Wrong("A task closes sockets for which others wait; run() returned, and this task had not ended.")


def _idle(attempt: Attempt) -> None:
    listener = attempt.listen()
    address = listener.getsockname()
    run = attempt.run(_use_idle, listener)
    client = attempt.connect(address)
    pid = run.hear("Loop() did not return within 1 s")["pid"]
    _talks(run, client, b"hello\n", "A task waits for a socket, and a client's line got no answer within 1 s")
    _sleeps(run, pid, "Tasks wait for sockets, none sleeps", None)
    _talks(run, client, b"sleep\n", "A task waits for a socket, and a client's line got no answer within 1 s")
    _sleeps(run, pid, "One task waits for a socket, others sleep 60 s and more", 60)
    _talks(
        run,
        client,
        b"again\n",
        "One task waits for a socket, others sleep 60 s and more, and a client's line got no answer within 1 s",
    )
    run.alone()
    attempt.good("with nothing to do it sleeps in epoll_wait(), until the next timer at most; CPU 0 %")


def _use_idle(talk: Talk, learner: Callable, listener: socket.socket) -> None:
    conn, _ = listener.accept()
    conn.setblocking(False)
    loop = learner()

    def serve() -> Generator:
        while data := (yield from recv(conn, 100)):
            if data == b"sleep\n":
                for seconds in 90, 60, 75:
                    loop.spawn(sleep(seconds))
            yield from send_all(conn, data.upper())

    loop.spawn(serve())
    talk.tell(pid=os.getpid())
    loop.run()
    raise Wrong("A task waits for a socket, and run() returned.")


def _talks(run: Run, client: socket.socket, line: bytes, what: str) -> None:
    client.sendall(line)
    try:
        got = run.read(client, len(line), what)
    except Stuck as stuck:
        if stuck.asleep and stuck.call == "sleep":
            raise Wrong(
                f"{what}: {stuck.doing}. It sleeps by the clock, where no socket can wake it: let engine.wait() have the seconds "
                "until the next timer."
            ) from None
        raise
    if got != line.upper():
        run.explain_end()
        raise Wrong(f"{what}: it got {got!r}.")


def _sleeps(run: Run, pid: int, what: str, seconds: int | None) -> None:
    """It must sleep in epoll_wait(), with the timeout that the next timer gives."""
    for _ in range(2):
        watch, used, woke = run.stopwatch(), run.cpu(), run.wakes()
        run.watch(0.25)
        cpu, wakes = (run.cpu() - used) / watch.passed(), run.wakes() - woke
        if cpu < 0.1 and wakes <= 2:
            break
    else:
        if cpu < 0.1:
            raise Wrong(
                f"{what}, nothing comes, and your Loop wakes up again and again{run.where()}: wait until the next timer, and "
                "without one for ever (None)."
            )
        raise Wrong(
            f"{what}, nothing comes, and your Loop runs all the time (CPU {min(cpu, 1):.0%}){run.where()}: wait until the next "
            "timer, and without one for ever (None)."
        )
    run.until(run.asleep_in, 0.5)
    call = run.asleep_in()
    if call and call != "epoll_wait":
        raise Wrong(
            f"{what}, and your Loop sleeps {'by the clock' if call == 'sleep' else f'in {call}()'}{run.where()}. "
            f"{'No socket can wake it there. ' * (call == 'sleep')}Asked is engine.wait() of your EpollEngine."
        )
    try:
        words = Path(f"/proc/{pid}/syscall").read_text().split()
    except OSError:
        return
    if call != "epoll_wait" or len(words) < 5:  # this kernel does not say
        return
    limit = int(words[4], 16) & 0xFFFF_FFFF  # milliseconds, an int: the fourth argument of epoll_wait(2)
    limit = None if limit >= 1 << 31 else limit
    if seconds is None and limit is not None and limit < 10_000:
        raise Wrong(
            f"{what}, and your Loop sleeps {limit} ms at most{run.where()}: it wakes up for nothing. Without a timer it is "
            "engine.wait(None)."
        )
    if seconds is not None and limit is None:
        raise Wrong(
            f"{what}, and your Loop sleeps without a limit{run.where()}: the timer will be late. engine.wait() gets the seconds "
            "until the next timer."
        )
    if seconds is not None and not seconds * 500 < limit <= seconds * 1000:
        raise Wrong(
            f"{what}, and your Loop sleeps {limit} ms at most{run.where()}: engine.wait() gets the seconds until the next timer, "
            "not more and not less."
        )


CHECKS = {"7.3": check_loop}
