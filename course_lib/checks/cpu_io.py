"""Checks of notebook 08: is it computing or waiting, who keeps the loop, and how to compute beside it."""

import io
import socket
import threading
import time
from collections.abc import Callable, Generator
from contextlib import redirect_stderr
from functools import partial

from course_lib.sandbox import Attempt, Stopwatch, Talk, Wrong, a, shown

from .probe import Probe, raise_first

# 8.1

_ANSWERS = ("cpu", "io", "mixed")
_BURST = 0.002  # seconds of computing: short, so that one of many is not disturbed by other programs


def check_classify(attempt: Attempt) -> None:
    process = attempt.start(_use_classify)
    process.hear("classify did not return within 2 s")


def _compute(seconds: float = _BURST) -> None:
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass


_ORDER = "CPU time divided by wall time, in this order: time.thread_time() and time.perf_counter()"
_COMPUTED = f"Its share of CPU is near 1: {_ORDER}. How long it takes says nothing."
_SLEPT = (
    f"Its thread slept, so the share of CPU is near 0: {_ORDER}. The wall clock goes on during a sleep, thread_time() does not."
)
_NESTED = "Nested loops say nothing of how much is computed: measure it, and do not read the source."
_OTHERS = "The other thread's work was counted: time.process_time() is that of all threads, time.thread_time() is yours (clock_gettime(2))."


def _use_classify(talk: Talk, learner: Callable) -> None:
    work, classified = _Work(), _Classified(talk, learner)
    classified.says_cpu("a function that adds up numbers, and never waits,", _COMPUTED)
    talk.good("a sum: cpu")
    try:
        classified.says("io", lambda: time.sleep(0.02), "a function that calls time.sleep(0.02)", _SLEPT)
    except Wrong as wrong:
        raise Wrong(f"{wrong}{classified._always('cpu')}") from None
    classified.says("io", work.wait_for_a_peer, "a function that waits in recv() for a slow peer", _SLEPT)
    talk.good("a sleep, and a slow peer: io")
    classified.says("io", _ten_nested_loops, "ten nested loops of length 1 around one short sleep", _NESTED)
    talk.good("ten nested loops that do nothing but wait: io")
    waits, both = "a function that waits, while ANOTHER thread computes,", "a function that computes and waits in turns"
    classified.says("io", work.wait_beside_a_busy_thread, waits, _OTHERS, lambda: work.share > 0.5 and classified.own < 0.1)
    talk.good("waiting beside a thread that computes: io")
    mixed = "A share between 20 % and 80 % is mixed."
    classified.says("mixed", work.compute_and_wait, both, mixed, lambda: 0.25 < work.share < 0.75)
    talk.good("computing and waiting in turns: mixed")
    let = "let its exceptions through, or its caller takes the failure for a measurement"
    Probe(talk, learner, "classify(fn)").raises(KeyError, "fn() raised KeyError", _fails, otherwise=let)
    talk.good("an exception of the function comes through")


class _Work:
    """Functions to be classified. `share` of a processor is what the last one got: other programs take it away."""

    share = 0.0

    def __init__(self) -> None:
        self._ours, self._theirs = socket.socketpair()

    def wait_for_a_peer(self) -> None:
        threading.Timer(0.02, self._theirs.send, [b"x"]).start()
        self._ours.recv(1)

    def wait_beside_a_busy_thread(self) -> None:
        busy, began, used = threading.Thread(target=_compute), time.perf_counter(), time.process_time()
        busy.start()
        busy.join()
        self.share = (time.process_time() - used) / (time.perf_counter() - began)

    def compute_and_wait(self) -> None:
        began, used = time.perf_counter(), time.thread_time()
        _compute()
        time.sleep(_BURST / 2)
        self.share = (time.thread_time() - used) / (time.perf_counter() - began)


def _ten_nested_loops() -> None:
    for _ in "a":
        for _ in "b":
            for _ in "c":
                for _ in "d":
                    for _ in "e":
                        for _ in "f":
                            for _ in "g":
                                for _ in "h":
                                    for _ in "i":
                                        for _ in "j":
                                            time.sleep(0.01)


def _fails() -> None:
    raise KeyError("no such page")


class _Classified:
    """`own` is the share of a processor that the last call had in its own thread: to start another one may take a while."""

    own = 0.0

    def __init__(self, talk: Talk, learner: Callable) -> None:
        self._talk, self._learner = talk, learner

    def says_cpu(self, what: str, why: str) -> None:
        """Of a short computation most answers must be right: other programs disturb some."""
        said: list[str] = []
        while len(said) < 36 and said[-9:].count("cpu") < 5:
            said.append(self._answer(lambda: sum(range(10_000)), what))
        if said[-9:].count("cpu") < 5:
            wrong = max({*said} - {"cpu"}, key=said.count)
            raise Wrong(f"{what[0].upper()}{what[1:]} is 'cpu', and classify says {wrong!r}. {why}{self._always(wrong)}")

    def _always(self, wrong: str) -> str:
        """What this wrong answer for a computation, or for a sleep, and that for the other say together."""
        sleeps = self._answer(lambda: time.sleep(0.02), "a function that calls time.sleep(0.02)")
        if (wrong, sleeps) == ("io", "cpu"):
            return " Your two words are swapped: a computation is 'cpu'."
        if wrong != sleeps:
            clock = " Does the clock go on all the time? That of getrusage(2) may move on only every few milliseconds."
            return clock if wrong == "io" else ""
        return (
            f" It says {wrong!r} of a computation and of a sleep alike. Does fn() run in the thread whose clock you read? Do both clocks "
            "count the same unit (those with _ns count nanoseconds)? Is the share a fraction, not cut to a whole number? Are they two clocks?"
        )

    def says(self, right: str, fn: Callable, what: str, why: str, counts: Callable[[], bool] | None = None) -> None:
        """Other programs can take the processor away: that makes no wait a computation, but a computation a wait.

        So for a wait each answer must be right, for a mixture one.
        `counts()`: was the last call what it should be, or did other programs make something else of it? Such a call is so short
        that one interrupt more changes its share: two answers may be wrong.
        """
        counted = wrong = 0
        for _ in range(200):
            word = self._answer(fn, what)
            counted += (counting := not counts or counts())
            wrong += counting and word != right
            if word == right and (right == "mixed" or counted - wrong == 5):
                return
            if right == "io" and wrong > (2 if counts else 0):
                break
        else:
            if not counted:
                self._talk.too_busy()
            if word == right:
                return
        raise Wrong(f"{what[0].upper()}{what[1:]} is {right!r}, and classify says {word!r}. {why}")

    def _answer(self, fn: Callable, what: str) -> str:
        self._talk.step(f"classify({what}) did not return within 2 s", 2.0)
        called = []

        def counted() -> object:
            called.append(1)
            began, used = time.perf_counter(), time.thread_time()
            try:
                return fn()
            finally:
                self.own = (time.thread_time() - used) / (time.perf_counter() - began)

        got = self._learner(counted)
        if not called:
            raise Wrong("classify did not call fn: nothing was measured.")
        if len(called) > 1:
            raise Wrong(
                "classify called fn more than once: what it does, such as sending a mail, would be done twice. Call it once."
            )
        if not isinstance(got, str) or got not in _ANSWERS:
            what = "a number" if isinstance(got, float) else shown(got)
            raise Wrong(f'classify returned {what}: return one of the words "cpu", "io" and "mixed".')
        return str(got)


# 8.2

_BLOCK = 0.2  # seconds
_blocks = partial(time.sleep, _BLOCK)
_BEATS = 0.16  # of a core, for a heartbeat every 0.01 s: far more than it needs


_OF_LONGEST_GAP = {
    r"AttributeError: ^(?!.*value of).*'NoneType'": "{type}: {text}{line}. Loop.run() returns None: keep the longest gap in a variable "
    "of your own.",
}


def _use_longest_gap(talk: Talk, learner: Callable) -> None:
    gap = _Gap(talk, learner)
    _finds_what_blocks(gap)
    talk.good("also before its first yield, and after its last")
    _tells_waiting_from_blocking(gap)
    talk.good("a task that waits is no gap; the heartbeat sleeps between its beats")
    _takes_the_longest(gap)
    talk.good("short steps are no gap; of several gaps it is the longest")
    _returns_all_the_same(gap)
    talk.good("a task that raises: it returns all the same")


def _finds_what_blocks(gap: "_Gap") -> None:
    middle = gap.of("blocks for 0.2 s with time.sleep() between two waits", 0.01, _blocks, 0.01)
    if middle < _BLOCK:
        less = "less than half of that" if middle < _BLOCK / 2 else "less than that"
        raise Wrong(f"The task blocked the loop for 0.2 s, and longest_gap returned {less}. {gap.why_less(middle)}")
    if middle > gap.whole:
        raise Wrong("longest_gap returned more than the whole run took: return seconds, and the longest of the gaps.")
    gap.talk.good("a task that blocks the loop for 0.2 s is found out")
    first = "Spawn the heartbeat first, and let it take the time of its first beat before it waits"
    last = "The heartbeat must beat once more after the task has ended, and count that gap too"
    for when, cure, waits in (
        ("before its first yield", first, (_blocks, 0.03)),
        ("after its last wait", last, (0.03, _blocks)),
    ):
        if gap.of(f"blocks for 0.2 s {when}", *waits) < _BLOCK:
            raise Wrong(f"The task blocked the loop for 0.2 s {when}, and longest_gap did not notice. {cure}.")


def _tells_waiting_from_blocking(gap: "_Gap") -> None:
    less = gap.less(0.2, "waits for 0.3 s, and blocks nobody", 0.3)
    causes = {
        "The task WAITED for 0.3 s, in the loop, and longest_gap took that for a gap. A waiting task harms nobody: "
        "measure the time between two beats of another task, not the time of this one, and take the longest, not the "
        "sum.": not less,
        "The task was to wait for 0.3 s, and longest_gap was through before: nobody waited for it. Spawn it in a Loop; what it yields is "
        "for the loop.": gap.whole < 0.25,
        "The task waited for 0.3 s, and the heartbeat used the processor all the time: let it sleep, about 0.01 s, "
        "between two beats.": gap.cpu > _BEATS,
    }
    raise_first(causes)


def _takes_the_longest(gap: "_Gap") -> None:
    for most, what, waits in (
        (0.1, "for 0.01 s, five times", (0.01, partial(time.sleep, 0.01)) * 5),
        (0.28, "for 0.15 s, twice", (partial(time.sleep, 0.15), 0.05) * 2),
    ):
        if not gap.less(most, f"blocks {what}", *waits):
            raise Wrong(
                f"The task blocked {what} with waits between, and longest_gap returned over {most:g} s: the LONGEST gap, not "
                "their sum."
            )


def _returns_all_the_same(gap: "_Gap") -> None:
    mistake = ValueError("on purpose, by the check")

    def fails() -> None:
        raise mistake

    try:
        why = ": does its heartbeat notice that the task has ended (try … finally)?"
        gap.of("raises an exception", 0.02, fails, late=why)
    except ValueError as error:
        if error is not mistake:
            raise
        raise Wrong(
            "The task raised ValueError, and it came out of longest_gap: return the longest gap all the same. A Loop prints what a task raised, "
            "and goes on."
        ) from None


class _Gap:
    """longest_gap(), called with tasks of the check."""

    whole = cpu = 0.0  # seconds; share of the processor that it could have had

    def __init__(self, talk: Talk, learner: Callable) -> None:
        self.talk, self._learner = talk, learner

    def of(self, what: str, *steps: float | Callable[[], None], late: str = "") -> float:
        """The gap of a task that waits (seconds), or does something else than to yield; `late` ends the message if it takes too long."""
        ended = []

        def task() -> Generator:
            try:
                for step in steps:
                    if callable(step):
                        step()
                    else:
                        yield "sleep", step
            finally:
                ended.append(True)

        self.talk.step(f"The task {what}, and longest_gap did not return within 1.5 s{late}", 1.5)
        said = io.StringIO()
        watch, began, used = Stopwatch(), time.monotonic(), time.thread_time()
        with redirect_stderr(said):  # a Loop prints what a task raised
            got = self._learner(task())
        self.whole, self.cpu = time.monotonic() - began, (time.thread_time() - used) / watch.passed()
        if not isinstance(got, (int, float)) or isinstance(got, bool):
            raise Wrong(f"longest_gap returned {a(got)}: return a float, in seconds.")
        if not ended:
            raise Wrong(
                f"The task {what}; it was not at its end when longest_gap returned: spawn it, and run the loop until it has "
                f"ended.{_last_line(said)}"
            )
        return got

    def why_less(self, middle: float) -> str:
        """What kind of measure gave so little for a task that blocked: looked for with other tasks."""
        blocks, computes = (0.01, _blocks, 0.01), (0.01, partial(_compute, _BLOCK), 0.01)
        if middle > 0.03:  # other programs can only make a gap longer: so each of three has to be long
            middle = min(middle, *(self.of("blocks for 0.2 s between two waits", *blocks) for _ in range(2)))
        if middle < 0.03 and all(self.of("computes for 0.2 s between two waits", *computes) >= _BLOCK for _ in range(3)):
            return "Your clock stands still while the task sleeps: it counts CPU time. Take time.monotonic()."
        longer = "blocks for 0.2 s between two waits, the second long", 0.01, _blocks, 0.6
        if middle > 0.03 and all(self.of(*longer) < middle / 2 for _ in range(3)):
            return "The more beats, the less it is: is it the mean? Return the longest of the gaps."
        heart = "The heartbeat has to be a task of the SAME loop, so that it stands still when the loop does"
        return f"{heart}, and the gap is the time between two beats."

    def less(self, most: float, what: str, *steps: float | Callable[[], None]) -> bool:
        """Is the gap below `most`? Other programs can only make it longer: so one of up to eight has to be.

        `cpu` is then the share of the first one; or, of more, the second smallest, for what computes may have stood still once.
        """
        gaps: list[float] = []
        shares: list[float] = []
        for _ in range(8):
            gaps.append(self.of(what, *steps))
            shares.append(self.cpu)
            self.cpu = sorted(shares)[:2][-1]
            if min(gaps) < most and self.cpu < _BEATS:
                break
        return min(gaps) < most


def _last_line(said: io.StringIO) -> str:
    errors = [line.strip(" |") for line in said.getvalue().splitlines() if "Error: " in line]
    return f" The loop said: {errors[-1]:.140}" if errors else ""


CHECKS = {"8.1": check_classify, "8.2": partial(Attempt.ask, inside=_use_longest_gap, causes=_OF_LONGEST_GAP)}
