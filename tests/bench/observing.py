"""What observing costs a server: CPU time a request of a plain epoll loop, unobserved and observed."""

import random
from dataclasses import dataclass

from course_lib.measure.child_process import ChildProcess
from course_lib.measure.comparison.compiling import Programs
from course_lib.measure.comparison.pair import BUSY
from course_lib.measure.comparison.spread import Spread, cost, quotient, typical
from course_lib.measure.comparison.turns import two_cores
from course_lib.measure.server_and_clients import pin
from course_lib.measure.work import Work, carry_out

CONNECTIONS = 50
VARIANTS = {
    "unobserved": "the loop alone",
    "ready": "as every server of the course runs: the recorder is off",
    "panel": "the recorder is off, a panel is open",
    "recording": "the recorder is on",
    "recording, panel": "the recorder is on, a panel is open",
    "timed": "no recorder: recv and send are Python functions that look at the clock twice",
}


@dataclass(frozen=True, slots=True)
class Observed:
    """One of VARIANTS.

    cpu                  microseconds of the server's thread for one request
    speed                1.00 is the loop alone, of the same round
    messages_per_second  to the page
    """

    name: str
    cpu: Spread
    speed: Spread
    messages_per_second: float


class _Variant:
    def __init__(self, work: Work, name: str, program: str | None, core: int) -> None:
        self._work = work
        self._server = work.process(f"{__package__}.observed", name, core)
        port = self._hear(self._server)["port"]
        self._load = work.process("course_lib.measure.comparison.clients", program, port, CONNECTIONS, self._server.pid)
        self._hear(self._load)
        pin(self._load.pid, core)

    def turn(self, seconds: float) -> tuple[float, float]:
        """(µs of CPU time of the server's thread for one request, messages to the page a second)."""
        self._ask(self._server, watch=True)
        self._ask(self._load, seconds=seconds / 4, most=BUSY * seconds / 4)  # warm
        before = self._ask(self._server, watch=True)
        talked = self._ask(self._load, seconds=seconds, most=BUSY * seconds)
        after = self._ask(self._server, watch=False)
        return (
            (after["thread"] - before["thread"]) / 1000 / talked["requests"],
            (after["messages"] - before["messages"]) / talked["seconds"],
        )

    def _ask(self, process: ChildProcess, **what: object) -> dict:
        process.say(**what)
        return self._hear(process)

    def _hear(self, process: ChildProcess) -> dict:
        answer = self._work.hear(process, 30)
        if not answer or "why" in answer:
            raise RuntimeError("a process of the measurement of the observer failed")
        return answer


def measure(rows: list[Observed], programs: Programs, rounds: int, seconds: float) -> None:
    """Add a row for each variant."""
    found: list[dict[str, tuple[float, float]]] = []

    def do(work: Work) -> None:
        work.total = (rounds + 1) * len(VARIANTS)
        core, variants = two_cores()[0], {}
        for name in VARIANTS:
            work.now = f"{name}: starts"
            variants[name] = _Variant(work, name, programs.load, core)
            work.done += 1
        for number in range(rounds):
            turns = {}
            for name in random.sample(list(variants), len(variants)):
                work.now = f"{name}: round {number + 1} of {rounds}"
                turns[name] = variants[name].turn(seconds)
                work.done += 1
            found.append(turns)

    try:
        carry_out(do)
    finally:
        if found:
            rows += [
                Observed(
                    name,
                    cost(turns[name][0] for turns in found),
                    quotient((turns["unobserved"][0] for turns in found), (turns[name][0] for turns in found)),
                    typical(turns[name][1] for turns in found).value,
                )
                for name in VARIANTS
            ]
