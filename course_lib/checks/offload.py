"""Check of exercise 8.3: a function that runs in a child process while the loop goes on."""

import mmap
import os
import signal
import socket
from collections.abc import Callable, Generator
from typing import Any

from course_lib.proc import children, open_numbers, state
from course_lib.sandbox import Attempt, Raised, Stopwatch, Talk, Wrong, a, explained, shown, wait_until
from course_lib.sandbox.words import REFUSED_BY_PICKLE

from .ends import readable
from .probe import Answer, first, raise_first

_BIG = 300_000  # bytes
_CUT = "UnpicklingError", "EOFError", "ValueError"  # what half a pickle raises


def check_offload(attempt: Attempt) -> None:
    process = attempt.start(_use_offload)
    try:
        told = process.hear("offload did not end within 2 s")
    except Raised as error:
        raise explained(error, _CAUSES) from None
    if told.get("copies"):
        attempt.note(
            "the child keeps copies of all the server's sockets: a client that is let go meanwhile does not notice until the child has ended; "
            "os.closerange() in the child"
        )


_CAUSES = {
    f"PicklingError AttributeError TypeError: {REFUSED_BY_PICKLE}": "The function was pickled, and only functions of a module can be: "
    "spawn and pools do that. os.fork() copies the whole process, fn included; only the result has to go through the pipe.",
}


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
    offloaded.works_elsewhere()
    talk.good("the function runs in another process; the loop has its thread back meanwhile")
    offloaded.gives(7, pow, 7, 5, 100)
    for value in (None, 0, b"", {"a": [1, 2.5]}):
        offloaded.gives(value, lambda value: value, value)
    talk.good("its arguments reach it, and its result comes back, None too")
    offloaded.gives_much()
    offloaded.comes_in_parts()
    talk.good("a result of 300 kB comes back whole; the loop does not wait for its parts")
    offloaded.fails()
    talk.good("an exception comes back as one")
    offloaded.three_at_once()
    talk.good("three at once, and whoever is through first comes back first")
    offloaded.dies()
    talk.good("a child that is killed is an exception, and no endless wait")
    offloaded.leaves_others_alone()
    offloaded.leaves_nothing()
    talk.good("no zombie and no descriptor is left")
    offloaded.copies()


class _Task:
    """One offload(), driven by hand, as a loop does it."""

    _escaped = mmap.mmap(-1, 1)  # shared memory: has a child come out of offload?

    def __init__(self, talk: Talk, generator: Generator) -> None:
        self._talk, self._generator, self._pid = talk, generator, os.getpid()
        self.waits_for: Any = None
        self.ended, self.turns = False, 0
        self.result: Any = None
        self.error: BaseException | None = None

    def step(self) -> None:
        """Run it until it waits, or ends."""
        try:
            got = self._generator.send(None)
        except StopIteration as end:
            self.ended, self.result = True, end.value
        except BaseException as error:
            self.ended, self.error = True, error
        if os.getpid() != self._pid:  # the child came out of offload
            self._escaped[0] = 1
            os._exit(0)
        if not self.ended:
            self.waits_for = _waited_for(got)

    def readable(self, seconds: float) -> bool:
        return readable(self.waits_for, seconds)

    def finish(self, what: str) -> None:
        """Let it go on each time that what it waits for is readable, until it ends."""
        while not self.ended:
            self._talk.step(f"The function {what} had ended, and offload did not come back within 3 s", 3.0)
            if not _in_time(lambda: self.readable(0)):
                self._not_escaped()
                raise Wrong(
                    "The result has come, and offload waits for more, for ever: the end, b'', comes when the LAST copy of the child's end is "
                    "closed, and this process holds one. Close it right after fork (pipe(7))."
                    if self.turns
                    else "The function has ended, and what offload waits for does not become readable: the child must write its "
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

    def value(self) -> Any:
        """What it returned, or the exception that it raised."""
        if self.error is not None:
            raise self.error
        return self.result

    def pair(self, what: str) -> tuple:
        self.finish(f"was {what}")
        got = self.value()
        if not isinstance(got, tuple) or len(got) != 2:
            raise Wrong(
                f"The function returned a tuple, and offload returned {a(got)}. What fn returned goes through the pipe "
                "whole: pickle.dumps and pickle.loads."
            )
        return got

    def _not_escaped(self) -> None:
        if self._escaped[0]:
            raise Wrong(
                "The child process came out of offload: a second copy of the whole server would run on, with all its sockets. "
                "The child must end inside of offload, in every case: os._exit(0) (in `finally`)."
            )


class _Offloaded:
    """offload(), called with functions of the check."""

    def __init__(self, talk: Talk, learner: Callable) -> None:
        self._talk, self._learner = talk, learner

    def begin(self, what: str, fn: Callable, *args: object) -> _Task:
        self._talk.step(
            f"offload did not yield although its function ({what}) was not through: it calls fn here, or it waits for the child itself "
            "(waitpid, join, result, recv)", 1.0)  # fmt: skip
        task = _Task(self._talk, self._learner(fn, *args))
        task.step()
        task._not_escaped()
        return task

    def start(self, what: str, fn: Callable, *args: object) -> _Task:
        """For a function that cannot end before its gate opens: only then must offload yield."""
        task = self.begin(what, fn, *args)
        if task.ended:
            task.value()
            raise Wrong("offload returned without one yield: yield ('read', …) and let the loop wait for the child's result.")
        return task

    def run(self, what: str, fn: Callable, *args: object) -> _Task:
        """A short function may be through before offload looks."""
        task = self.begin(what, fn, *args)
        task.finish(what)
        return task

    def works_elsewhere(self) -> None:
        gate = _Gate()
        task = self.start("a function that is still at work", lambda: gate.pass_through("pages"))
        self._talk.step("The function that offload was to call did not begin within 2 s", 3.0)
        if not _in_time(lambda: gate.reached):
            gate.open()  # it may be called in this process, now
            if task.readable(0):  # an error may have come in place of the result
                task.step()
            task.value()
            raise Wrong("offload waits, and nobody called fn(*args): in the child (os.fork() returned 0) call it.")
        if task.readable(0.05):
            raise Wrong(
                "The function has not ended, and what offload waits for is readable already: the loop would spin. Wait for the "
                "end that the child writes to."
            )
        gate.open()
        pid, got = task.pair("at work")
        if pid == os.getpid():
            raise Wrong(
                "The function ran in the process of the loop, in a thread: beside it the loop gets the GIL only in turns, "
                "at every switch interval (sys.getswitchinterval). Use another process."
            )
        Answer("The function returned 'pages'", "offload", got).is_("pages")

    def gives(self, right: object, fn: Callable, *args: object) -> None:
        got = self.run("of a short call", fn, *args).value()
        Answer(f"The function returned {right!r}", "offload", got).is_(right)

    def gives_much(self) -> None:
        task = self.run("with a result of 300 kB", lambda size: bytes(size), _BIG)
        if type(task.error).__name__ in _CUT:
            raise Wrong(
                f"{type(task.error).__name__}: the result of 300 kB was cut. One read gives what is there, at most what a pipe holds; "
                "read until b'', with ('read', …) before each."
            )
        got = task.value()
        if type(got) is not bytes or got != bytes(_BIG):
            what = f"{len(got)} bytes" if type(got) is bytes else shown(got)
            raise Wrong(f"The function returned {_BIG} bytes, and offload returned {what}.")

    def comes_in_parts(self) -> None:
        """The child stands still when a part of its result has come: offload must take that part, and wait in the loop."""
        gate = _Gate()
        task = self.start("a function with a result of 4 MB", gate.pass_through, bytes(4_000_000))
        gate.open()
        if not _in_time(lambda: task.readable(0)):
            raise Wrong("A result of 4 MB does not come: the child must send it, all of it (sendall), while this process reads.")
        its_children = children(os.getpid())
        for child in its_children:
            os.kill(child, signal.SIGSTOP)
            wait_until(lambda: state(child) not in "RSD", 1)
        self._talk.step(
            "The child had sent a part of its result, and stood still, and offload did not return to the loop within 1 s: it waits for all of "
            "it. Take what one recv() gives, and yield ('read', …) before the next", 1.0)  # fmt: skip
        while not task.ended and task.readable(0):
            task.step()
        for child in its_children:
            os.kill(child, signal.SIGCONT)
        if task.ended:
            raise Wrong(
                "A part of a result of 4 MB had come, and offload took it for the whole: the end is where recv() gives b'', and nowhere else."
            )
        task.finish("with a result of 4 MB")
        if not isinstance(task.value(), tuple) or task.result[1:] != (bytes(4_000_000),):
            raise Wrong("A result of 4 MB did not come back as it was.")

    def fails(self) -> None:
        def fails() -> None:
            raise ValueError("no such page")

        task = self.run("that raises ValueError", fails)
        error = task.error
        causes = {
            f"The function raised ValueError, and offload returned {shown(task.result)}: send the exception through the "
            "pipe, too, and raise it here.": error is None,
            f"The function raised ValueError('no such page'), and offload raised {type(error).__name__}: catch it in the child, "
            "send it through the pipe, and raise it here.": type(error) is not ValueError or error.args != ("no such page",),
        }
        raise_first(causes)

    def three_at_once(self) -> None:
        gates = [_Gate() for _ in range(3)]
        tasks = [
            self.start("the second of two functions at once", gate.pass_through, number) for number, gate in enumerate(gates)
        ]
        for number in 2, 0, 1:
            gates[number].open()
            if tasks[number].pair("one of three functions at once, the others still at work")[1] != number:
                raise Wrong(
                    "Three functions were offloaded at once, and their results got mixed up: each call needs a pipe of its own."
                )

    def dies(self) -> None:
        task = self.run("whose process was killed", lambda: os.kill(os.getpid(), signal.SIGKILL))
        if task.error is None:
            raise Wrong(
                f"The child was killed in the middle of its work, and offload returned {shown(task.result)} as if that were its "
                "result: raise an exception when b'' comes and nothing was sent."
            )

    def leaves_others_alone(self) -> None:
        """A child of somebody else has ended meanwhile: its exit status is for those who started it."""
        other = os.fork()
        if not other:
            os._exit(7)
        os.waitid(os.P_PID, other, os.WEXITED | os.WNOWAIT)
        self.run("of a short call", abs, -1)
        try:
            os.waitpid(other, 0)
        except ChildProcessError:
            raise Wrong(
                "Another child of this process had ended, and offload took its exit status: os.waitpid(-1, …) takes that of any child. "
                "Ask for your own, by the number that os.fork() gave (waitpid(2))."
            ) from None

    def leaves_nothing(self) -> None:
        try:
            left: object = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            left = False
        causes = {
            "A child process of offload is still alive after its result has come: os._exit(0) when it has sent the "
            "result, or it stays for ever.": left is None,
            "Children of offload are zombies: they have ended, and nobody took their exit status. Call os.waitpid(pid, 0) "
            "(or join()) when the result is there (wait(2)).": left,
        }
        raise_first(causes)
        self._talk.step("offload did not return within 2 s", 2.0)
        before = open_numbers()
        for _ in range(3):
            self.run("of a short call", abs, -1)
        if more := len(open_numbers() - before):
            raise Wrong(
                f"After 3 more calls of offload {more} more descriptors are open: close both ends of the pipe, the child's "
                "right after fork, ours at the end."
            )

    def copies(self) -> None:
        """A note: a client whose connection is closed meanwhile notices only if the child has closed its copy."""
        client, connection = socket.socketpair()
        gate = _Gate()
        task = self.start("a function at work while a client is let go", gate.pass_through, 1)
        _in_time(lambda: gate.reached)
        connection.close()
        noticed = readable(client, 0.1)
        gate.open()
        task.finish("was at work")
        client.close()
        self._talk.tell(copies=not noticed)


def _in_time(condition: Callable[[], object]) -> bool:
    """Wait for what a child has to do; False if it has not within 2 s."""
    return Stopwatch(os.getpid()).until(condition, 2.0)


def _waited_for(got: object) -> Any:
    """What a task waits for, as it yielded it: something with fileno()."""
    if not isinstance(got, tuple) or len(got) != 2:
        raise Wrong(f"offload yielded {got!r:.60}: yield ('read', …), which is what the loop understands.")
    what, about = got
    causes = {
        "('sleep', …): it asks again and again whether the child is through. Wait with ('read', …): the loop wakes you when its answer "
        "comes.": what == "sleep",
        f"({shown(what)}, …): wait with ('read', …) for the child's answer.": what != "read",
        "('read', number): a Loop asks what it waits for for its fileno(), and a number has none. Use socket.socketpair(), or "
        "open(number, 'rb', buffering=0).": isinstance(about, int),
    }
    if wrong := first(causes):
        raise Wrong(f"offload yielded {wrong}")
    try:
        number = about.fileno()
    except (AttributeError, ValueError, OSError):
        raise Wrong(f"offload yielded ('read', {a(about)}): a Loop needs something with fileno(), such as a socket.") from None
    if number < 0:
        raise Wrong("offload yielded ('read', …) with a socket that is closed already.")
    return about


CHECKS = {"8.3": check_offload}
