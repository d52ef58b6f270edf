"""Checks of notebook 08: is it computing or waiting, who keeps the loop, and how to compute beside it."""

import io
import mmap
import os
import select
import signal
import socket
import threading
import time
from contextlib import redirect_stderr
from pathlib import Path
from typing import Callable, Generator

from course_lib.sandbox.attempt import Attempt
from course_lib.sandbox.outcome import Raised, Wrong
from course_lib.sandbox.proc import open_numbers
from course_lib.sandbox.stopwatch import Stopwatch, wait_until
from course_lib.sandbox.talk import Talk
from course_lib.sandbox.words import a

# 8.1

_ANSWERS = ("cpu", "io", "mixed")
_BURST = 0.002  # seconds of computing: short, so that one of many is not disturbed by other programs


def check_classify(attempt: Attempt) -> None:
    run = attempt.run(_use_classify)
    run.hear("classify did not return within 2 s")


def _compute(seconds: float = _BURST) -> None:
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass


def _use_classify(talk: Talk, learner: Callable) -> None:
    ours, theirs = socket.socketpair()
    classified = _Classified(talk, learner)

    def wait_for_a_peer() -> None:
        threading.Timer(0.02, theirs.send, [b"x"]).start()
        ours.recv(1)

    def ten_nested_loops() -> None:
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

    share = 0.0  # of a processor, that our own function got when it was called last: other programs take it away

    def wait_beside_a_busy_thread() -> None:
        nonlocal share
        busy, began, used = threading.Thread(target=_compute), time.perf_counter(), time.process_time()
        busy.start()
        busy.join()
        share = (time.process_time() - used) / (time.perf_counter() - began)

    def half() -> None:
        nonlocal share
        began, used = time.perf_counter(), time.thread_time()
        _compute()
        time.sleep(_BURST / 2)
        share = (time.thread_time() - used) / (time.perf_counter() - began)

    def fails() -> None:
        raise KeyError("no such page")

    order = "CPU time divided by wall time, in this order: time.thread_time() and time.perf_counter()"
    classified.says("cpu", lambda: sum(range(10_000)), "a function that adds up numbers, and never waits,", (
        f"Its share of CPU is near 1: {order}. How long it takes says nothing."))  # fmt: skip
    talk.good("a sum: cpu")
    slept = f"Its thread slept, so the share of CPU is near 0: {order}. The wall clock goes on during a sleep, thread_time() does not."
    classified.says("io", lambda: time.sleep(0.02), "a function that calls time.sleep(0.02)", slept)
    classified.says("io", wait_for_a_peer, "a function that waits in recv() for a slow peer", slept)
    talk.good("a sleep, and a slow peer: io")
    classified.says("io", ten_nested_loops, "ten nested loops of length 1 around one short sleep", (
        "Nested loops say nothing of how much is computed: measure it, and do not read the source."))  # fmt: skip
    talk.good("ten nested loops that do nothing but wait: io")
    classified.says("io", wait_beside_a_busy_thread, "a function that waits, while ANOTHER thread computes,", (
        "The other thread's work was counted: time.process_time() is that of all threads, time.thread_time() is yours (clock_gettime(2))."
    ), lambda: share > 0.5)  # fmt: skip
    talk.good("waiting beside a thread that computes: io")
    classified.says("mixed", half, "a function that computes and waits in turns", "A share between 20 % and 80 % is mixed.", lambda: 0.25 < share < 0.75)
    talk.good("computing and waiting in turns: mixed")
    talk.step("fn raised KeyError, and classify did not return within 1 s")
    try:
        got = learner(fails)
    except KeyError:
        talk.good("an exception of the function comes through")
        return
    raise Wrong(
        f"fn() raised KeyError, and classify returned {got!r}: let its exceptions through, or its caller takes the failure for "
        "a measurement."
    )


class _Classified:
    def __init__(self, talk: Talk, learner: Callable) -> None:
        self._talk, self._learner = talk, learner

    def says(self, right: str, fn: Callable, what: str, why: str, counts: Callable[[], bool] = lambda: True) -> None:
        """Other programs can take the processor away: that makes no wait a computation, but a computation a wait.

        So for a wait each answer must be right; for a computation, which is short, most of them; for a mixture, one.
        `counts()`: was the last call what it should be, or did other programs make something else of it?
        """
        tries, rounds, needed = {"io": (200, 1, 5), "cpu": (9, 4, 5), "mixed": (200, 1, 1)}[right]
        for _ in range(rounds):
            said: list[str] = []
            counted = 0
            while len(said) < tries and (counted if right == "io" else said.count(right)) < needed:
                said.append(self._answer(fn, what))
                counted += counts()
                if right == "io" and said[-1] != right:
                    break
            wrong = next((word for word in reversed(said) if word != right), None)
            if right != "io" and said.count(right) >= needed:
                return
            if not counted and not (right == "io" and wrong):
                self._talk.too_busy()
            if not wrong:
                return
        raise Wrong(f"{what[0].upper()}{what[1:]} is {right!r}, and classify says {wrong!r}. {why}")

    def _answer(self, fn: Callable, what: str) -> str:
        self._talk.step(f"classify({what}) did not return within 2 s", 2.0)
        called = []

        def counted() -> object:
            called.append(1)
            return fn()

        got = self._learner(counted)
        if not called:
            raise Wrong("classify did not call fn: nothing was measured.")
        if len(called) > 1:
            raise Wrong("classify called fn more than once: what it does, such as sending a mail, would be done twice. Call it once.")
        if isinstance(got, (int, float)) and not isinstance(got, bool):
            raise Wrong('classify returned a number: return one of the words "cpu", "io" and "mixed".')
        if got not in _ANSWERS:
            raise Wrong(f'classify returned {got!r:.40}: return one of the words "cpu", "io" and "mixed".')
        return got


# 8.2

_BLOCK = 0.2  # seconds


def check_longest_gap(attempt: Attempt) -> None:
    run = attempt.run(_use_longest_gap)
    try:
        run.hear("longest_gap did not return within 2 s")
    except Raised as error:
        if error.type == "AttributeError" and "value of" not in error.text and "'NoneType'" in error.text:
            raise Wrong(f"{error.type}: {error.text}{error.line}. Loop.run() returns None: keep the longest gap in a variable of your own.") from None
        raise


def _use_longest_gap(talk: Talk, learner: Callable) -> None:
    gap = _Gap(talk, learner)
    heart = "The heartbeat has to be a task of the SAME loop, so that it stands still when the loop does"
    middle = gap.of("blocks for 0.2 s with time.sleep() between two waits", 0.01, -_BLOCK, 0.01)
    if middle < _BLOCK:
        raise Wrong(
            f"The task blocked the loop for 0.2 s, and longest_gap returned {_less(middle)}. {heart}, and the gap is the time "
            "between two beats."
        )
    if middle > gap.whole:
        raise Wrong("longest_gap returned more than the whole run took: return seconds, and the longest of the gaps.")
    talk.good("a task that blocks the loop for 0.2 s is found out")
    for what, waits in (
        ("before its first yield", (-_BLOCK, 0.03)),
        ("after its last wait", (0.03, -_BLOCK)),
    ):
        if gap.of(f"blocks for 0.2 s {what}", *waits) < _BLOCK:
            cure = (
                "Spawn the heartbeat first, and let it take the time of its first beat before it waits"
                if what.startswith("before")
                else "The heartbeat must beat once more after the task has ended, and count that gap too"
            )
            raise Wrong(f"The task blocked the loop for 0.2 s {what}, and longest_gap did not notice. {cure}.")
    talk.good("also before its first yield, and after its last")
    if gap.least("waits for 0.3 s, and blocks nobody", 0.3) >= 0.2:
        raise Wrong(
            "The task WAITED for 0.3 s, in the loop, and longest_gap took that for a gap. A waiting task harms nobody: "
            "measure the time between two beats of another task, not the time of this one, and take the longest, not the sum."
        )
    if gap.cpu > 0.16:
        raise Wrong(
            "The task waited for 0.3 s, and the heartbeat used the processor all the time: let it sleep, about 0.01 s, "
            "between two beats."
        )
    talk.good("a task that waits is no gap; the heartbeat sleeps between its beats")
    if gap.least("blocks for 0.01 s, five times", *(0.01, -0.01) * 5) >= 0.1:
        raise Wrong(
            "The task blocked for 0.01 s, five times with waits between, and longest_gap returned over 0.1 s: the LONGEST "
            "gap, not their sum."
        )
    if gap.least("blocks for 0.15 s, twice", -0.15, 0.05, -0.15, 0.05) >= 0.28:
        raise Wrong(
            "The task blocked for 0.15 s, twice with a wait between, and longest_gap returned over 0.28 s: the LONGEST gap, "
            "not their sum."
        )
    talk.good("short steps are no gap; of several gaps it is the longest")
    gap.of("raises an exception", 0.02, ValueError("on purpose, by the check"))
    talk.good("a task that raises: it returns all the same")


def _less(seconds: float) -> str:
    return "less than half of that" if seconds < _BLOCK / 2 else "less than that"


class _Gap:
    """longest_gap(), called with tasks of the check."""

    whole = cpu = 0.0  # seconds; share of the processor that it could have had

    def __init__(self, talk: Talk, learner: Callable) -> None:
        self._talk, self._learner = talk, learner

    def of(self, what: str, *waits: float | Exception) -> float:
        """The gap of a task that waits (seconds), blocks (negative seconds) or raises."""
        ended = []

        def task() -> Generator:
            try:
                for seconds in waits:
                    if isinstance(seconds, Exception):
                        raise seconds
                    if seconds < 0:
                        time.sleep(-seconds)
                    else:
                        yield "sleep", seconds
            finally:
                ended.append(True)

        why = ""
        if isinstance(waits[-1], Exception):
            why = ": does its heartbeat notice that the task has ended (try … finally)?"
        self._talk.step(f"The task {what}, and longest_gap did not return within 1.5 s{why}", 1.5)
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

    def least(self, what: str, *waits: float) -> float:
        """The least of up to four gaps: other programs can only make them longer."""
        gaps = []
        for _ in range(4):
            gaps.append((self.of(what, *waits), self.cpu))
            if gaps[-1][0] < 0.1 and gaps[-1][1] < 0.16:
                break
        self.cpu = min(cpu for _, cpu in gaps)
        return min(seconds for seconds, _ in gaps)


def _last_line(said: io.StringIO) -> str:
    errors = [line.strip(" |") for line in said.getvalue().splitlines() if "Error: " in line]
    return f" The loop said: {errors[-1]:.140}" if errors else ""


# 8.3

_BIG = 300_000  # bytes
_NOT_HANDED_OVER = ("PicklingError", "AttributeError", "TypeError")


def check_offload(attempt: Attempt) -> None:
    run = attempt.run(_use_offload)
    if run.hear("offload did not end within 2 s").get("copies"):
        attempt.note(
            "the child keeps copies of all the server's sockets: a client that is let go meanwhile does not notice until the child has ended; "
            "os.closerange() in the child"
        )


class _Gate:
    """Shared memory that a function at work looks into: it returns when the check says so. No descriptor is needed for it."""

    def __init__(self) -> None:
        self._page = mmap.mmap(-1, 2)

    def open(self) -> None:
        self._page[0] = 1

    def pass_through(self, result: object) -> tuple[int, object]:
        self._page[1] = 1
        wait_until(lambda: self._page[0], 5)
        return os.getpid(), result

    @property
    def reached(self) -> bool:
        return bool(self._page[1])


def _use_offload(talk: Talk, learner: Callable) -> None:
    offloaded = _Offloaded(talk, learner)
    gate = _Gate()
    task = offloaded.start("a function that is still at work", lambda: gate.pass_through("pages"))
    talk.step("The function that offload was to call did not begin within 2 s", 3.0)
    if not wait_until(lambda: gate.reached, 2):
        raise Wrong("offload waits, and nobody called fn(*args): in the child (os.fork() returned 0) call it.")
    if task.readable(0.05):
        raise Wrong(
            "The function has not ended, and what offload waits for is readable already: the loop would spin. Wait for the "
            "end that the child writes to."
        )
    gate.open()
    pid, got = task.pair("a function")
    if pid == os.getpid():
        raise Wrong(
            "The function ran in the process of the loop, in a thread: beside it the loop gets the GIL only in turns, "
            "at every switch interval (sys.getswitchinterval). Use another process."
        )
    if got != "pages":
        raise Wrong(f"The function returned 'pages', and offload returned {got!r:.60}.")
    talk.good("the function runs in another process; the loop has its thread back meanwhile")
    offloaded.gives(pow, (7, 5, 100), 7)
    for value in (None, 0, b"", {"a": [1, 2.5]}):
        offloaded.gives(lambda value: value, (value,), value)
    talk.good("its arguments reach it, and its result comes back, None too")
    offloaded.gives(lambda size: bytes(size), (_BIG,), bytes(_BIG))
    offloaded.comes_in_parts()
    talk.good("a result of 300 kB comes back whole; the loop does not wait for its parts")
    offloaded.fails()
    talk.good("an exception comes back as one")
    gates = [_Gate() for _ in range(3)]
    tasks = [offloaded.start("the second of two functions at once", gate.pass_through, number) for number, gate in enumerate(gates)]
    for number in 2, 0, 1:
        gates[number].open()
        if tasks[number].pair("one of three functions at once, the others still at work")[1] != number:
            raise Wrong(
                "Three functions were offloaded at once, and their results got mixed up: each call needs a pipe of its own."
            )
    talk.good("three at once, and whoever is through first comes back first")
    offloaded.dies()
    talk.good("a child that is killed is an exception, and no endless wait")
    offloaded.leaves_nothing()
    talk.good("no zombie and no descriptor is left")
    offloaded.copies()


class _Task:
    """One offload(), driven by hand, as a loop does it."""

    def __init__(self, talk: Talk, generator: Generator, escaped: socket.socket) -> None:
        self._talk, self._generator, self._escaped = talk, generator, escaped
        self._pid = os.getpid()
        self.waits_for: object = None
        self.ended, self.result, self.error, self.turns = False, None, None, 0

    def step(self) -> None:
        """Run it until it waits, or ends."""
        try:
            got = self._generator.send(None)
        except StopIteration as end:
            self.ended, self.result = True, end.value
        except BaseException as error:
            self.ended, self.error = True, error
        if os.getpid() != self._pid:  # the child came out of offload
            self._escaped.send(b"x")
            os._exit(0)
        if not self.ended:
            self.waits_for = _waited_for(got)

    def readable(self, seconds: float) -> bool:
        poll = select.poll()
        poll.register(self.waits_for, select.POLLIN)
        return bool(poll.poll(seconds * 1000))

    def finish(self, what: str) -> None:
        """Let it go on each time that what it waits for is readable, until it ends."""
        while not self.ended:
            self._talk.step(f"The function {what} had ended, and offload did not come back within 3 s", 3.0)
            if not self.readable(2):
                self._not_escaped()
                if self.turns:
                    raise Wrong(
                        "The result has come, and offload waits for more, for ever: the end, b'', comes when the LAST copy of the child's end is "
                        "closed, and this process holds one. Close it right after fork (pipe(7))."
                    )
                raise Wrong(
                    "The function has ended, and what offload waits for does not become readable: the child must write its "
                    "result, and this process must wait for the other end."
                )
            self.turns += 1
            if self.turns > 2000:
                raise Wrong(
                    "offload yields again and again without reading what is there: the loop spins. After each ('read', …) "
                    "take bytes, and stop at b''."
                )
            self._talk.step(
                f"The function {what}, and offload did not return to the loop within 1 s after it could read. Is there a deadlock? A pipe holds 64 kB "
                "(pipe(7)): the child sleeps in write() until you have read, so read until b'' first and call waitpid() after it", 1.0)  # fmt: skip
            self.step()
        self._not_escaped()

    def pair(self, what: str) -> tuple:
        self.finish(f"was {what}" if not what.startswith("a ") else "was at work")
        if self.error is not None:
            raise _blame(self.error)
        if not isinstance(self.result, tuple) or len(self.result) != 2:
            raise Wrong(
                f"The function returned a tuple, and offload returned {a(self.result)}. What fn returned goes through the pipe "
                "whole: pickle.dumps and pickle.loads."
            )
        return self.result

    def _not_escaped(self) -> None:
        poll = select.poll()
        poll.register(self._peer, select.POLLIN)
        if poll.poll(0):
            raise Wrong(
                "The child process came out of offload: a second copy of the whole server would run on, with all its sockets. "
                "The child must end inside of offload, in every case: os._exit(0) (in `finally`)."
            )


class _Offloaded:
    """offload(), called with functions of the check."""

    def __init__(self, talk: Talk, learner: Callable) -> None:
        self._talk, self._learner = talk, learner
        self._escaped, _Task._peer = socket.socketpair()

    def start(self, what: str, fn: Callable, *args: object) -> _Task:
        self._talk.step(
            f"offload did not yield although its function ({what}) was not through: it calls fn here, or it waits for the child itself "
            "(waitpid, join, result, recv)", 1.0)  # fmt: skip
        generator = self._learner(fn, *args)
        task = _Task(self._talk, generator, self._escaped)
        task.step()
        task._not_escaped()
        if task.ended and task.error is not None:
            raise _blame(task.error)
        if task.ended:
            raise Wrong("offload returned without one yield: yield ('read', …) and let the loop wait for the child's result.")
        return task

    def run(self, what: str, fn: Callable, *args: object) -> _Task:
        task = self.start(what, fn, *args)
        task.finish(what)
        return task

    def gives(self, fn: Callable, args: tuple, right: object) -> None:
        task = self.run("of a short call" if right != bytes(_BIG) else "with a result of 300 kB", fn, *args)
        if task.error is not None:
            if right == bytes(_BIG) and type(task.error).__name__ in ("UnpicklingError", "EOFError", "ValueError"):
                raise Wrong(
                    f"{type(task.error).__name__}: the result of 300 kB was cut. One read gives what is there, at most what a pipe holds; "
                    "read until b'', with ('read', …) before each."
                )
            raise _blame(task.error)
        got = task.result
        if type(got) is not type(right) or got != right:
            shown = f"{len(got)} bytes" if isinstance(got, bytes) and isinstance(right, bytes) else f"{got!r:.60}"
            raise Wrong(
                f"The function returned {f'{_BIG} bytes' if right == bytes(_BIG) else repr(right)}, and offload returned "
                f"{shown}."
            )

    def comes_in_parts(self) -> None:
        """The child stands still when a part of its result has come: offload must take that part, and wait in the loop."""
        task = self.start("a function with a result of 4 MB", lambda: bytes(4_000_000))
        if not task.readable(2):
            raise Wrong("A result of 4 MB does not come: the child must send it, all of it (sendall), while this process reads.")
        children = _children()
        for child in children:
            os.kill(child, signal.SIGSTOP)
            wait_until(lambda: _state(child) not in "RSD", 1)
        self._talk.step(
            "The child had sent a part of its result, and stood still, and offload did not return to the loop within 1 s: it waits for all of "
            "it. Take what one recv() gives, and yield ('read', …) before the next", 1.0)  # fmt: skip
        while not task.ended and task.readable(0):
            task.step()
        for child in children:
            os.kill(child, signal.SIGCONT)
        if task.ended:
            raise Wrong("A part of a result of 4 MB had come, and offload took it for the whole: the end is where recv() gives b'', and nowhere else.")
        task.finish("with a result of 4 MB")
        if task.error is not None:
            raise _blame(task.error)
        if task.result != bytes(4_000_000):
            raise Wrong("A result of 4 MB did not come back as it was.")

    def fails(self) -> None:
        def fails() -> None:
            raise ValueError("no such page")

        task = self.run("that raises ValueError", fails)
        if task.error is None:
            raise Wrong(
                f"The function raised ValueError, and offload returned {task.result!r:.60}: send the exception through the "
                "pipe, too, and raise it here."
            )
        if type(task.error) is not ValueError or task.error.args != ("no such page",):
            raise Wrong(
                f"The function raised ValueError('no such page'), and offload raised {type(task.error).__name__}: catch it in the child, "
                "send it through the pipe, and raise it here."
            )

    def dies(self) -> None:
        task = self.run("whose process was killed", lambda: os.kill(os.getpid(), signal.SIGKILL))
        if task.error is None:
            raise Wrong(
                f"The child was killed in the middle of its work, and offload returned {task.result!r:.60} as if that were its "
                "result: raise an exception when b'' comes and nothing was sent."
            )

    def leaves_nothing(self) -> None:
        try:
            left = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            left = False
        if left is None:
            raise Wrong(
                "A child process of offload is still alive after its result has come: os._exit(0) when it has sent the "
                "result, or it stays for ever."
            )
        if left:
            raise Wrong(
                "Children of offload are zombies: they have ended, and nobody took their exit status. Call os.waitpid(pid, 0) "
                "(or join()) when the result is there (wait(2))."
            )
        self._talk.step("offload did not return within 2 s", 2.0)
        before = open_numbers()
        for _ in range(3):
            self.run("of a short call", abs, -1)
        more = len(open_numbers() - before)
        if more:
            raise Wrong(
                f"After 3 more calls of offload {more} more descriptors are open: close both ends of the pipe, the child's "
                "right after fork, ours at the end."
            )

    def copies(self) -> None:
        """A note: a client whose connection is closed meanwhile notices only if the child has closed its copy."""
        client, connection = socket.socketpair()
        gate = _Gate()
        task = self.start("a function at work while a client is let go", gate.pass_through, 1)
        wait_until(lambda: gate.reached, 2)
        connection.close()
        poll = select.poll()
        poll.register(client, select.POLLIN)
        noticed = bool(poll.poll(100))
        gate.open()
        task.finish("was at work")
        client.close()
        self._talk.tell(copies=not noticed)


def _children() -> list[int]:
    found = []
    for task in Path("/proc/self/task").iterdir():
        try:
            found += map(int, (task / "children").read_text().split())
        except OSError:  # this thread has ended
            pass
    return found


def _state(process: int) -> str:
    """The letter of proc(5); "X" when it has gone."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "X"


def _waited_for(got: object) -> object:
    """What a task waits for, as it yielded it: something with fileno()."""
    if not isinstance(got, tuple) or len(got) != 2:
        raise Wrong(f"offload yielded {got!r:.60}: yield ('read', …), which is what the loop understands.")
    what, about = got
    if what == "sleep":
        raise Wrong(
            "offload yielded ('sleep', …): it asks again and again whether the child is through. Wait with ('read', …): the "
            "loop wakes you when its answer comes."
        )
    if what != "read":
        raise Wrong(f"offload yielded ({what!r:.30}, …): wait with ('read', …) for the child's answer.")
    if isinstance(about, int):
        raise Wrong(
            "offload yielded ('read', number): a Loop asks what it waits for for its fileno(), and a number has none. Use socket.socketpair(), "
            "or open(number, 'rb', buffering=0)."
        )
    try:
        number = about.fileno()
    except (AttributeError, ValueError, OSError):
        raise Wrong(f"offload yielded ('read', {a(about)}): a Loop needs something with fileno(), such as a socket.") from None
    if number < 0:
        raise Wrong("offload yielded ('read', …) with a socket that is closed already.")
    return about


def _blame(error: BaseException) -> Exception:
    """What is to be said of an exception of the learner's code."""
    if isinstance(error, NotImplementedError):
        return error
    name, text = type(error).__name__, str(error)
    if name in _NOT_HANDED_OVER and "pickle" in text:
        return Wrong(
            f"{name}: {text:.100}. The function was pickled, and only functions of a module can be: spawn and pools do that. "
            "os.fork() copies the whole process, fn included; only the result has to go through the pipe."
        )
    return error


CHECKS = {"8.1": check_classify, "8.2": check_longest_gap, "8.3": check_offload}
