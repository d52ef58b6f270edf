"""Tasks that take turns, sleep, spawn others, make mistakes: parts of the check of 7.3."""

import socket
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from course_lib.sandbox import Wrong, shown
from course_lib.sandbox.stopwatch import waited_for_a_processor
from course_lib.solutions.coroutines import recv, sleep

from .loop_trial import LoopTrial, Task, pairs, turns


def _steps(log: list[str], name: str, steps: int) -> Generator:
    for step in range(steps):
        log.append(f"{name}{step}")
        yield


def ready_queue(trial: LoopTrial) -> None:
    log: list[str] = []
    task = partial(_steps, log)
    trial.new()
    trial.go("Nothing was spawned")
    trial.run(
        "Three tasks were spawned that yield nothing but their turn", {"A": task("A", 3), "B": task("B", 1), "C": task("C", 2)}
    )
    if log != ["A0", "B0", "C0", "A1", "C1", "A2"]:
        all_made = sorted(log) == ["A0", "A1", "A2", "B0", "C0", "C1"]
        why = " One step of each in turn: who yields goes to the end of the queue." * all_made
        raise Wrong(f"A yields three times, B once, C twice; the steps were {', '.join(log)}, not A0, B0, C0, A1, C1, A2.{why}")
    log.clear()
    trial.run("run() had returned, a new task was spawned, and run() was called again", {"D": task("D", 2)}, again=True)
    if log != ["D0", "D1"]:
        raise Wrong(f"run() had returned, and a new task D of two steps was spawned; then run() made the steps {', '.join(log)}.")
    _spawns(trial)
    _coroutine(trial)
    trial.step("spawn(task, 'bob') did not return within 1 s")
    trial.loop.spawn(turns(1), "bob")
    trial.loop.run()
    trial.talk.good("one step of each in turn; tasks that spawn tasks; generators and coroutines")


def _spawns(trial: LoopTrial) -> None:
    log: list[str] = []

    def parent() -> Generator:
        yield
        trial.loop.spawn(_steps(log, "child", 2))
        log.append("spawned")
        yield

    trial.run("A task spawned another one", {"the task": parent()})
    if log[:2] == ["child0", "spawned"]:
        raise Wrong(
            "A task spawned another one, and spawn() made a step of it at once: it only adds the task, whose turn comes in the "
            "next round."
        )
    if log != ["spawned", "child0", "child1"]:
        raise Wrong(f"A task spawned another one of two steps, and {len(log) - 1} of them ran before run() returned.")


def _coroutine(trial: LoopTrial) -> None:
    log: list[str] = []

    class Turn:
        def __await__(self) -> Generator:
            log.append("before")
            yield
            log.append("after")

    async def coroutine() -> None:
        await Turn()

    trial.new()
    coro: Any = coroutine()
    trial.go("A coroutine of async def was spawned", coro)
    coro.close()
    if log != ["before", "after"]:
        raise Wrong(f"A coroutine of async def was spawned, and it did not run to its end.{trial.cause()}")


def two_loops(trial: LoopTrial) -> None:
    one, other = trial.new(), trial.new()
    log: list[str] = []

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


def interrupted(trial: LoopTrial) -> None:
    for error in KeyboardInterrupt, SystemExit:
        trial.new()

        def ends() -> Generator:
            yield
            raise error

        try:
            with trial.of_mistakes():
                trial.go(f"{error.__name__} came while a task ran", ends())
        except error:
            continue
        raise Wrong(
            f"{error.__name__} came while a task ran, and run() kept it: this is no mistake of a task, and nobody could end the "
            "program. `except Exception`, not BaseException and not a bare except."
        )


def mistakes(trial: LoopTrial) -> None:
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

    text = "of task B"
    for error in ValueError(text), KeyError(text), BlockingIOError(11, text), OSError(9, text), IndexError(text):
        _others_go_on(trial, f"A task raised {error!r}", fails(error), error)
    for what, name in (
        ("nonsense", "'nonsense'"), (7, "7"), ((), "()"), (("raed", alive), "('raed', sock)"), (("read", None), "('read', None)"),
        (("read",), "('read',)"), (("sleep", "soon"), "('sleep', 'soon')"),
        (("read", closed), "('read', sock) for a closed socket"), (("write", closed), "('write', sock) for a closed socket"),
    ):  # fmt: skip
        _others_go_on(trial, f"A task yielded {name}", yields(what))
    alive.close()
    trial.talk.good("a task that raises, or yields nonsense: it is told, and the others go on")


def _others_go_on(trial: LoopTrial, what: str, task: Task, error: Exception | None = None) -> None:
    """Run the task, which raises `error` or yields nonsense, among three others; for one of these a byte has come."""
    loop, ended = trial.new(), set()

    def good(name: str, steps: Generator) -> Generator:
        yield from steps
        ended.add(name)

    def reads() -> Generator:
        yield from turns(3)
        yield from recv(one, 1)

    try:
        with pairs(1) as [(one, peer)], trial.of_mistakes():
            peer.send(b"x")
            loop.spawn(good("A", turns(3)))
            loop.spawn(task, "B")
            trial.go(f"{what}, with three other tasks in the Loop", good("C", sleep(0.002)), good("D", reads()))
    except Exception as raised:
        if ended == {"A", "C", "D"}:
            return  # told when all had ended: another good way
        if error is None:
            raise Wrong(
                f"{what}, and {type(raised).__name__} came out of run() and took everybody with it: a mistake of one "
                f"task ends this task alone. Its text was: {raised}"
            ) from None
        raise
    if ended != {"A", "C", "D"}:
        raise Wrong(f"{what}, and another task did not run to its end: the others go on.{trial.cause()}")
    if not trial.text().strip():
        raise Wrong(f"{what}; the others went on, and nobody is told of the mistake: traceback.print_exception(error).")
    if error and "of task B" not in trial.text():
        raise Wrong(f"{what}, and what was printed does not tell it: traceback.print_exception(error).{trial.cause()}")
    trial.new()


def _sleeper(trial: LoopTrial, log: list, seconds: float, name: object = None) -> Generator:
    begin = time.monotonic()
    yield "sleep", seconds
    if threading.active_count() > 1:
        trial.fail(
            "Tasks sleep, and your Loop has started a thread: one heap and the timeout of engine.wait() do for all timers."
        )
    if (passed := time.monotonic() - begin) < seconds - 0.002:
        trial.fail(f"A task yielded ('sleep', {seconds}), and went on after {passed:.3f} s.")
    log.append(name or seconds)


def timers(trial: LoopTrial) -> None:
    log: list[object] = []
    sleeper = partial(_sleeper, trial, log)
    _late(trial)
    for _ in range(3):  # that one began so late that it was due after another one is rare
        log.clear()
        trial.run(
            "Four tasks sleep 0.03, 0.01, 0.02 and 0 s",
            {f"the one of {seconds} s": sleeper(seconds) for seconds in (0.03, 0.01, 0.02, 0)},
        )
        if log == [0, 0.01, 0.02, 0.03]:
            break
    else:
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


def _late(trial: LoopTrial) -> None:
    """A timer must be served when it is due, whatever else is waited for. Two late ones of two are blamed."""
    late = []

    def sleeper(begin: float, waited: float) -> Generator:
        yield "sleep", 0.02
        late.append(time.monotonic() - begin - 0.02 - (waited_for_a_processor() - waited))

    def sender(peer: socket.socket) -> Generator:
        yield "sleep", 0.03
        peer.send(b"x")

    for _ in range(2):
        with pairs(1) as [(one, peer)]:
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
