"""What the kernel keeps for an engine on epoll: the interest list, many events, what a wait costs."""

import math
import re
import select
import socket
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from course_lib.proc import links, raise_limit
from course_lib.sandbox import Wrong

from .engine_trial import EngineTrial
from .probe import put_instead

EVENTS = 1100  # more than Python's epoll.poll() hands over in one call by default
_IDLE, _WAITS = 20, 100  # idle sockets, and waits, while the calls of epoll_ctl() are counted
_FEW, _LOTS, _GROWS = 10, 1000, 5  # idle sockets, and by how much a call with the many may cost more CPU time
_CHANGES = "watch() for one that is watched", "unwatch()", "watch() for one more"  # in the order in which they are called
_ROUNDS, _SOME = 20, 5  # of them for each number of idle sockets


def room(number: int) -> bool:
    """Allow this process as many descriptors; False if the machine does not (getrlimit(2))."""
    return raise_limit(number) >= number


def kernel_keeps(counted: list[str], trial: EngineTrial) -> None:
    """The interest list is what the engine was told, from one wait to the next. `counted`: see `count_epoll_ctl`."""
    before, engine = interest_lists(), trial.another()
    socks = [sock for _ in range(_IDLE // 2) for sock in engine.pair()]
    for number, sock in enumerate(socks):
        engine.watch(sock, f"number {number}", True, False)
    engine.talk.step("Some idle sockets are watched, and wait(0) did not return within 1 s")
    made = [inside for number, inside in interest_lists().items() if number not in before]
    if not made:
        raise Wrong("A socket is watched, and no epoll descriptor is open: make one select.epoll() in __init__ and keep it.")
    if not _in_the_list(socks):
        raise Wrong(
            f"watch() was called for {_IDLE} sockets, and the kernel's interest list holds {len(made[0])}: watch() and unwatch() call "
            "epoll_ctl() at once, and wait() has nothing to hand over (epoll(7)). /proc/self/fdinfo shows the list."
        )
    counted.clear()
    for _ in range(_WAITS):
        engine.wait(0)
    if counted:
        raise Wrong(
            f"epoll_ctl() was called {len(counted)} times for {_WAITS} waits with {_IDLE} idle sockets ({counted[0]}): the "
            "interest list stays in the kernel from one wait to the next (epoll(7)). Only watch() and unwatch() change it."
        )
    if not _in_the_list(socks):
        raise Wrong("After some waits the kernel's interest list is not what it was: only watch() and unwatch() change it.")
    for sock in socks[::2]:
        engine.unwatch(sock)
    if not _in_the_list(socks[1::2]):
        raise Wrong(
            f"{_IDLE // 2} of {_IDLE} sockets were unwatched, and the kernel's interest list does not hold the other "
            f"{_IDLE // 2}: unregister() takes one out (epoll_ctl(2))."
        )
    engine.talk.good("the interest list stays in the kernel: no epoll_ctl() while it waits")


def _in_the_list(socks: list[socket.socket]) -> bool:
    return any(set(inside) == {sock.fileno() for sock in socks} for inside in interest_lists().values())


def interest_lists() -> dict[int, list[int]]:
    """Each epoll descriptor of this process, and the numbers in its interest list (proc(5))."""
    lists = [number for number, link in links().items() if "eventpoll" in link]
    infos = {number: Path(f"/proc/self/fdinfo/{number}").read_text() for number in lists}
    return {number: [int(found) for found in re.findall(r"^tfd:\s+(\d+)", text, re.MULTILINE)] for number, text in infos.items()}


def copy_lives_on(trial: EngineTrial) -> str:
    """What an engine does with the entry of a socket that was closed before unwatch(), while a copy of it lives; "" if all is well."""
    (one, its_peer), engine = trial.pair(), trial.engine
    engine.watch(one, True, False, "one")
    trial.stack.enter_context(one.dup())
    one.close()
    engine.unwatch(one)
    its_peer.send(b"hello")
    trial.talk.step("A socket was closed before unwatch(), and a copy of its descriptor lives: wait(0) did not return within 1 s")
    try:
        told = [engine.wait(0), engine.wait(0)]
        begin = time.monotonic()
        told.append(engine.wait(0.05))
    except Exception as error:
        return f"wait() raised {type(error).__name__}"
    if any(told):
        return "wait() still told of it"
    return "no wait sleeps any more" if time.monotonic() - begin < 0.03 else ""


def costs_the_same(trial: EngineTrial) -> None:
    """CPU time of one wait must not grow with the number of idle sockets."""
    if not room(_LOTS + 200):
        return

    def cost(idle: int) -> float:
        with ExitStack() as stack:
            (one, _), (busy, its_peer), engine = trial.pair(), trial.pair(), trial.learner()
            its_peer.send(b"hello")
            engine.watch(busy, True, False, "busy")
            for number in range(idle):
                engine.watch(stack.enter_context(one.dup()), True, False, number)
            used = time.thread_time()
            for _ in range(_WAITS):
                engine.wait(0)
            return time.thread_time() - used

    trial.talk.step(f"{_LOTS} idle sockets are watched, and {_WAITS} waits did not return within 2 s", 2.0)
    if (times := grows(cost, _FEW, _LOTS, _GROWS)) > _GROWS:
        raise Wrong(
            f"A wait with {_LOTS} idle sockets costs {times:.0f} times the CPU time of one with {_FEW}: wait() goes over all "
            "that are watched. The kernel gives the ready ones alone (epoll(7)): look up just these."
        )
    _changes_cost_the_same(trial)
    trial.talk.good(f"a wait costs the same with {_LOTS} idle sockets as with {_FEW}")


def _changes_cost_the_same(trial: EngineTrial) -> None:
    """Nor may that of watch() and unwatch() for one socket; it is measured in the middle of those that are watched."""

    def cost(what: str, idle: int) -> float:
        used = dict.fromkeys(_CHANGES, 0.0)
        with ExitStack() as stack:
            (one, _), engine = trial.pair(), trial.learner()
            socks = [stack.enter_context(one.dup()) for _ in range(idle)]
            for sock in socks:
                engine.watch(sock, True, False, sock)
            calls = (
                lambda sock: engine.watch(sock, False, False, sock),
                engine.unwatch,
                lambda sock: engine.watch(sock, True, False, sock),
            )
            for _ in range(_ROUNDS):
                some = socks[idle // 2 : idle // 2 + _SOME]
                for name, call in zip(_CHANGES, calls):
                    begin = time.thread_time()
                    for sock in some:
                        call(sock)
                    used[name] += time.thread_time() - begin
                del socks[idle // 2 : idle // 2 + _SOME]
                socks += some  # the order in which a dict has them now
        return used[what]

    many = 2 * _LOTS if room(2 * _LOTS + 200) else _LOTS
    for name in _CHANGES:
        trial.talk.step(f"{many} idle sockets are watched, and some calls of {name} did not return within 3 s", 3.0)
        if (times := grows(partial(cost, name), _FEW, many, _GROWS)) > _GROWS:
            raise Wrong(
                f"With {many} idle sockets {name} costs {times:.0f} times the CPU time that it costs with {_FEW}: {name} goes "
                "over all that are watched. Look this one up: a dict from the sock to its number, and one from the number to its data."
            )


def grows(cost: Callable[[int], float], few: int, many: int, most: float) -> float:
    """How many times the CPU time for `few` is that for `many`. What disturbs a measurement adds to it: so the least of each counts.

    Over `most`, it is measured again before it is believed.
    """
    least = {few: math.inf, many: math.inf}
    for rounds in range(4):
        for number in least:
            least[number] = min(least[number], cost(number))
        if rounds and least[many] <= most * least[few]:
            break
    return least[many] / least[few]


def many_events(trial: EngineTrial) -> int:
    """How many of 1100 ready sockets one wait tells of; 0 if this machine gives no room for them."""
    if not room(EVENTS + 200):
        return 0
    one, its_peer = trial.pair()
    its_peer.send(b"hello")
    trial.talk.step(f"{EVENTS} sockets are ready, and wait(0) did not return within 1 s")
    for number in range(EVENTS):
        trial.engine.watch(trial.stack.enter_context(one.dup()), True, False, number)
    told = [trial.wait(0)]
    seen = {data for data, *_ in told[0]}
    while len(seen) < EVENTS and told[-1] and len(told) < EVENTS:
        told.append(trial.wait(0))
        seen.update(data for data, *_ in told[-1])
    if len(seen) < EVENTS:
        raise Wrong(f"{EVENTS} sockets were ready, and wait() told of {len(seen)} of them, however often it was called.")
    return len(told[0])


class _Counted:
    """An epoll object that remembers each change of its interest list."""

    def __init__(self, raw: select.epoll, calls: list[str]) -> None:
        self._raw, self._calls = raw, calls

    def __getattr__(self, name: str) -> object:
        found = getattr(self._raw, name)
        if name in ("register", "modify", "unregister"):
            self._calls.append(name)
        return found

    def __enter__(self) -> "_Counted":
        return self

    def __exit__(self, *exception: object) -> None:
        self._raw.close()


def count_epoll_ctl(learner: Callable) -> list[str]:
    """From now on the list that is returned grows with each register(), modify() and unregister() of the learner's code."""
    calls: list[str] = []
    raw = select.epoll

    def epoll(*arguments: int, **named: int) -> "_Counted":
        return _Counted(raw(*arguments, **named), calls)

    select.epoll = epoll  # type: ignore[misc, assignment]  # in the place of the class, for whoever calls it
    put_instead(learner, {raw: epoll})
    return calls
