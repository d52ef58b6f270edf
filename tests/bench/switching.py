"""What a switch costs: from one generator to the next, and from one asyncio task to the next."""

import asyncio
import random
import time
from collections import deque
from collections.abc import Generator
from dataclasses import dataclass

from course_lib.measure.child_process import arguments, tell
from course_lib.measure.comparison.spread import Spread, cost, quotient
from course_lib.measure.work import Work, carry_out

TASKS = 100


@dataclass(frozen=True, slots=True)
class Switching:
    """Microseconds of a switch, and how many times as long asyncio's takes, in the same round."""

    generators: Spread
    asyncio: Spread
    times: Spread


def generators(switches: int) -> float:
    """Seconds of CPU time for so many switches between generators that take turns in a deque."""

    def task() -> Generator[None, None, None]:
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


def measure(rounds: int) -> Switching:
    """In one process, taking turns."""

    def do(work: Work) -> list[dict[str, float]]:
        work.total = rounds
        process = work.process(__name__, rounds)
        found = []
        while answer := work.hear(process, 60):
            found.append(answer)
            work.done += 1
        return found

    generators, tasks = zip(*((row["generators"], row["asyncio"]) for row in carry_out(do)))
    return Switching(cost(generators), cost(tasks), quotient(tasks, generators))
