"""What a switch costs: from one generator to the next, and from one asyncio task to the next."""

import asyncio
import random
import time
from collections import deque

from course_lib.measure.child_process import arguments, tell
from course_lib.measure.comparison.spread import cost, quotient
from course_lib.measure.work import Work, carry_out

TASKS = 100


def generators(switches: int) -> float:
    """Seconds of CPU time for so many switches between generators that take turns in a deque."""

    def task():
        while True:
            yield

    ready = deque(task() for _ in range(TASKS))
    begin = time.process_time()
    for _ in range(switches):
        next = ready.popleft()
        next.send(None)
        ready.append(next)
    return time.process_time() - begin


def asyncio_tasks(switches: int) -> float:
    """The same for asyncio tasks that await asyncio.sleep(0)."""

    async def task() -> None:
        for _ in range(switches // TASKS):
            await asyncio.sleep(0)

    async def all_of_them() -> float:
        begin = time.process_time()
        await asyncio.gather(*(task() for _ in range(TASKS)))
        return time.process_time() - begin

    return asyncio.run(all_of_them())


def main() -> None:
    (rounds,) = arguments()
    kinds = {"generators": (generators, 500_000), "asyncio": (asyncio_tasks, 20_000)}
    for _ in range(rounds):
        found = {}
        for name in random.sample(list(kinds), len(kinds)):
            measure_it, switches = kinds[name]
            found[name] = 1e6 * measure_it(switches) / switches
        tell(**found)


def measure(report: dict, rounds: int) -> None:
    """Set report["switching"]: microseconds of a switch, and how many times as long asyncio's takes, in the same round."""
    found: list[dict[str, float]] = []

    def do(work: Work) -> list:
        work.total = rounds
        process = work.process(__name__, rounds)
        while answer := process.hear(60):
            found.append(answer)
            work.done += 1
        work.check()
        return []

    try:
        carry_out(do)
    finally:
        if found:
            report["switching"] = {
                **{name: cost(row[name] for row in found).plain() for name in ("generators", "asyncio")},
                "times": quotient((row["asyncio"] for row in found), (row["generators"] for row in found)).plain(),
            }
