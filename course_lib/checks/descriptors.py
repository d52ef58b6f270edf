"""Checks of notebook 01: descriptors, what a number names, who left one open."""

import fcntl
import os
import resource
import socket
import stat
import subprocess
import tempfile
from collections.abc import Callable
from contextlib import ExitStack

from course_lib.kernel import open_files
from course_lib.proc import links, open_numbers
from course_lib.sandbox import Attempt, Stuck, Talk, Wrong, a

_HIGH = 900  # a number that nobody reaches who counts up to some limit
_ELSEWHERE = 80  # a number that the other process has, and this one lacks
_MUCH = 200_000  # bytes: more than a pipe holds (pipe(7): 65,536)


def check_fd_table(attempt: Attempt) -> None:
    attempt.ask(_use_fd_table, causes=_OF_FD_TABLE)


_OF_FD_TABLE = {
    "FileNotFoundError": "os.readlink found no such entry{line}: listing a folder needs a number too, which is in the list and closed "
    "again before you read its link. Catch FileNotFoundError there (proc(5)).",
}


def _use_fd_table(talk: Talk, learner: Callable) -> None:
    talk.step("fd_table() did not return within 1 s")
    with ExitStack() as opened:
        read, write = os.pipe()
        folder = os.open("/", os.O_RDONLY)
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        high = fcntl.fcntl(read, fcntl.F_DUPFD_CLOEXEC, min(_HIGH, limit - 10))
        numbers = {read, write, folder, high}
        for number in numbers:
            opened.callback(os.close, number)
        numbers.add(opened.enter_context(socket.socket()).fileno())
        numbers.add(opened.enter_context(tempfile.TemporaryFile()).fileno())
        truth = _table("self")
        got = learner()
        _has_the_form(got)
        if left := _more_open(truth):
            raise Wrong(f"fd_table left {left} more open than before: with os.scandir(...) as entries: closes its own number.")
        _agrees(got, truth, numbers, high)
    talk.good("file, folder, pipe, socket, and a number far above the others")

    got = learner()
    _has_the_form(got)
    if again := sorted(numbers & got.keys() - _table("self").keys()):
        raise Wrong(f"Number {again[0]} was closed and is still in the table of the second call: make a new dict in each call.")
    talk.good("what was closed is gone from the next table")
    _of_another_process(talk, learner)
    talk.good("the table of another process, by its pid")


def _of_another_process(talk: Talk, learner: Callable) -> None:
    talk.step("fd_table(pid) of another process did not return within 1 s")
    folder = os.open("/", os.O_RDONLY)
    theirs = fcntl.fcntl(folder, fcntl.F_DUPFD, _ELSEWHERE)
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, pass_fds=[theirs]) as other:
        os.close(folder)
        os.close(theirs)
        assert other.stdin and other.stdout  # pipes
        try:
            other.stdin.write(b"ready\n")
            other.stdin.flush()
            other.stdout.readline()  # it has loaded its libraries and sleeps in read
            truth, own = _table(other.pid), _table("self")
            got = learner(other.pid)
            _has_the_form(got)
            if got != truth and got == own:
                raise Wrong("fd_table(pid) gave the table of this process: the folder of another one is /proc/<pid>/fd.")
            if theirs in truth.keys() - got.keys() and got.keys() <= own.keys():
                raise Wrong(
                    f"The other process has a number {theirs}, and it is missing: list the folder /proc/<pid>/fd, not your own."
                )
            _agrees(got, truth, set(), -1)
        finally:
            other.kill()


def _table(process: int | str) -> dict[int, str]:
    """What `fd_table` should give; the handle that lists the folder is not in it."""
    return links(process)


def _more_open(before: dict[int, str] | set[int]) -> int:
    """How many descriptors are open whose numbers were not."""
    return len(open_numbers() - set(before))


def _has_the_form(got: object) -> None:
    if not isinstance(got, dict):
        raise Wrong(f"fd_table returned {a(got)}: return a dict, {{number: what it names}}.")
    for number, target in got.items():
        if isinstance(number, str):
            raise Wrong(
                f"A key of your table is the text {number!r}: the names in the folder are text, and "
                "int(name) makes numbers of them."
            )
        if not isinstance(number, int):
            raise Wrong(f"A key of your table is {a(number)}: the keys are the numbers.")
        if not isinstance(target, str):
            raise Wrong(f"Number {number} has {a(target)} beside it: the value is the text that os.readlink gives.")


def _agrees(got: dict[int, str], truth: dict[int, str], numbers: set[int], high: int) -> None:
    missing, more = sorted(truth.keys() - got.keys()), sorted(got.keys() - truth.keys())
    if missing == [high]:
        raise Wrong(f"Number {high} is open too, and it is missing: do not count up to a limit, list the folder /proc/self/fd.")
    if numbers and got and not any(got.get(number) == truth[number] for number in numbers):
        raise Wrong(
            "Nothing that is open in this process is in your table. /proc/self is the process that reads it: a program that you "
            "start, such as ls, reads its own table (proc(5))."
        )
    if missing and all(number <= 2 for number in missing):
        raise Wrong(f"Number {missing[0]} is missing: 0, 1 and 2 are rows like all the others.")
    if missing and all(not truth[number].startswith("/") or "(deleted)" in truth[number] for number in missing):
        raise Wrong(
            f"Number {missing[0]} is missing, {truth[missing[0]]!r}: a pipe, a socket or a deleted file has no path, "
            "and is open all the same."
        )
    if missing:
        raise Wrong(f"Number {missing[0]} is open and missing; it names {truth[missing[0]]!r}.")
    if more and got[more[0]].rpartition("/")[2] == "fd":
        raise Wrong(
            f"Number {more[0]} names {got[more[0]]!r}: that is the number of your own listing, closed when you return. First list "
            "the folder (os.listdir), then read the links, and catch FileNotFoundError."
        )
    if more:
        raise Wrong(f"Number {more[0]} is in your table and is not open.")
    for number, target in truth.items():
        if got[number] != target:
            if got[number].endswith("/" + target) or got[number] == f"/proc/self/fd/{number}":
                raise Wrong(
                    f"Number {number} names {target!r}, and you say {got[number]!r}: os.readlink gives the link itself, "
                    "realpath and abspath make a path of it that does not exist."
                )
            raise Wrong(f"Number {number} names {target!r}, and you say {got[number]!r}: os.readlink gives what it names.")


class Oops(Exception):
    """What the check's fn raises."""


def check_capture(attempt: Attempt) -> None:
    process = attempt.start(_use_capture)
    told, pipe, much = {}, False, False
    try:
        while "done" not in told:
            told = process.hear("capture(fn) did not return within 1 s")
            pipe, much = told.get("pipe", pipe), told.get("much", much)
    except Stuck as stuck:
        if pipe and stuck.asleep and not much:
            raise Wrong(
                f"fn has written to your pipe, and capture does not return: {stuck.does()}. Who reads a pipe sees its end only when "
                "every number that names the end for writing is closed, yours too (pipe(7)). Or use a temporary file."
            ) from None
        if pipe and stuck.asleep:
            raise Wrong(
                f"Deadlock when fn writes 200 kB: {stuck.does()}. A pipe holds 64 kB (pipe(7)); then the writer sleeps until "
                "somebody reads, and nobody reads on while fn runs. Use a temporary file."
            ) from None
        raise
    process.alone()


_TEXTS = b"one\n", b"two\n", b"again\n", b"before the error\n"  # what fn writes


def _use_capture(talk: Talk, learner: Callable) -> None:
    # What goes past capture is kept apart: of what this process prints, a learner is to see their own only.
    shown, aside = os.dup(1), os.memfd_create("aside")
    os.dup2(aside, 1)
    try:
        _try_capture(talk, learner)
    finally:
        os.dup2(shown, 1)
        printed = os.pread(aside, 1 << 16, 0)
        for text in _TEXTS:
            printed = printed.replace(text, b"")
        os.write(1, printed.strip(b"x"))


def _try_capture(talk: Talk, learner: Callable) -> None:
    one = _One(os.dup(1))
    _captures_a_little(talk, learner, one)
    talk.good("os.write(1, ...) and a child process; afterwards 1 is what it was, and nothing is left open")
    _captures_twice(learner, one)
    talk.good("a second call gives its own text only")
    _captures_much(talk, learner, one)
    talk.good("200 kB")
    _lets_errors_through(talk, learner, one)
    talk.good("when fn raises, 1 is put back too, and the exception goes on")
    _captures_inside(talk, learner)
    talk.good("a capture inside of a capture: each has its own text")


def _captures_a_little(talk: Talk, learner: Callable, one: "_One") -> None:
    talk.step("capture(fn), where fn writes eight bytes, did not return within 1 s")

    def few() -> None:
        one.called()
        talk.tell(pipe=one.is_a_pipe(), much=False)
        os.write(1, b"one\n")
        subprocess.run(["echo", "two"], stderr=subprocess.DEVNULL)
        one.wrote()

    before = _table("self")
    got = learner(few)
    one.was_redirected()
    one.is_back(before)
    one.gave(got, b"one\ntwo\n")


def _captures_twice(learner: Callable, one: "_One") -> None:
    def other() -> None:
        one.called()
        os.write(1, b"again\n")
        one.wrote()

    got = learner(other)
    if isinstance(got, bytes) and got.startswith(b"one"):
        raise Wrong("The second call gave the text of the first one too: begin with an empty file each time.")
    one.gave(got, b"again\n")


def _captures_much(talk: Talk, learner: Callable, one: "_One") -> None:
    def much() -> None:
        one.called()
        talk.tell(pipe=one.is_a_pipe(), much=True)
        talk.step("capture(fn), where fn writes 200 kB, did not return within 1 s")
        left = memoryview(b"x" * _MUCH)
        while left:
            left = left[os.write(1, left) :]
        one.wrote()

    before = _table("self")
    got = learner(much)
    one.is_back(before)
    if isinstance(got, bytes) and 0 < len(got) < _MUCH:
        raise Wrong(f"fn wrote {_MUCH} bytes, and you returned {len(got)}: read until there is no more.")
    one.gave(got, b"x" * _MUCH)


def _lets_errors_through(talk: Talk, learner: Callable, one: "_One") -> None:
    talk.step("capture(fn), where fn raises, did not return within 1 s")

    def raises() -> None:
        one.called()
        talk.tell(pipe=one.is_a_pipe(), much=False)
        os.write(1, b"before the error\n")
        raise Oops("on purpose")

    before = _table("self")
    try:
        learner(raises)
    except Oops:
        pass
    else:
        raise Wrong(
            "fn raised an exception, and capture hid it: the caller has to know. Put things back in finally:, without except."
        )
    one.is_back(before, "after fn raised")


def _captures_inside(talk: Talk, learner: Callable) -> None:
    talk.step("capture(fn), where fn calls capture itself, did not return within 1 s")
    inner = []

    def outer() -> None:
        os.write(1, b"one\n")
        inner.append(learner(lambda: os.write(1, b"two\n")))
        os.write(1, b"again\n")

    said = ""
    try:
        got = learner(outer)
        if (got, inner) != (b"one\nagain\n", [b"two\n"]):
            said = f"the outer one returned {_short(got)}, not both of its lines, and the inner one {_short(inner[0])}"
    except OSError as error:
        said = f"it raised {type(error).__name__}: {error}"
    if said:
        raise Wrong(
            f"fn wrote a line, called capture itself, and wrote another one: {said}. Keep what 1 named under a number that the kernel "
            "chooses (os.dup), and in a variable of the function: a number of your own may be in use."
        )


class _One:
    """Descriptor 1 under observation: what it was before, what it is while fn runs, what it is afterwards."""

    def __init__(self, original: int) -> None:
        self._original = original
        self._calls = 0
        self._redirected = self._inherited = self._stored = False
        self._elsewhere, self._mark = os.pipe()  # says also from a copy of this process that fn was called
        os.set_blocking(self._elsewhere, False)

    def called(self) -> None:
        self._calls += 1
        os.write(self._mark, b"x")
        if not _is_open(1):
            raise Wrong(
                "While fn ran, descriptor 1 was closed, so it could write nothing: os.dup2(number, 1) closes it and "
                "points it elsewhere in one step."
            )
        self._redirected = not self._is_original()
        self._inherited = os.get_inheritable(1)

    def is_a_pipe(self) -> bool:
        return stat.S_ISFIFO(os.fstat(1).st_mode)

    def wrote(self) -> None:
        status = os.fstat(1)
        self._stored = stat.S_ISREG(status.st_mode) and status.st_size > 0

    def was_redirected(self) -> None:
        if not self._calls:
            try:
                os.read(self._elsewhere, 10)
            except BlockingIOError:
                raise Wrong("capture did not call fn.") from None
            raise Wrong(
                "You ran fn in another process (fork?): what it changes in this one is lost there. dup2 redirects 1 here."
            )
        if self._calls > 1:
            raise Wrong(f"capture called fn {self._calls} times: once is enough.")
        if not self._redirected:
            raise Wrong(
                "While fn ran, 1 named what it always names. A child process and os.write write to descriptor 1, past Python's "
                "object sys.stdout: redirect the descriptor, with os.dup2 (dup(2))."
            )

    def is_back(self, before: dict[int, str], when: str = "afterwards") -> None:
        """Raise Wrong unless 1 is what it was, and all else as in the table `before`."""
        how = "put it back in finally:" if when != "afterwards" else "saved = os.dup(1) before, os.dup2(saved, 1) after (dup(2))"
        if not _is_open(1):
            raise Wrong(f"Descriptor 1 is closed {when}: {how}.")
        if not self._is_original():
            if os.path.samestat(os.fstat(1), os.fstat(self._original)):
                raise Wrong(
                    "1 names the old file again, but through a new open file description, with an offset of its own: "
                    "do not open it anew, keep the old one with os.dup(1) and os.dup2(saved, 1)."
                )
            raise Wrong(f"Descriptor 1 still points to your {open_files(1).descriptions[0].kind} {when}: {how}.")
        if not os.get_inheritable(1):
            raise Wrong(
                "1 is close-on-exec now, so programs that are started later have no standard output: "
                "os.dup2(saved, 1) clears the flag."
            )
        after = _table("self")
        if changed := [number for number in before if after.get(number) != before[number]]:
            raise Wrong(
                f"Number {changed[0]} named {before[changed[0]]!r} before, and you closed or overwrote it: take the number "
                "that os.dup gives, do not choose one."
            )
        if new := after.keys() - before.keys():
            kinds = " and ".join(sorted({description.kind for description in open_files(new).descriptions}))
            raise Wrong(
                f"capture left {len(new)} more open {when} than before ({kinds}): close the saved copy, and the file or pipe, "
                "in finally:."
            )

    def gave(self, got: object, expected: bytes) -> None:
        if isinstance(got, str):
            raise Wrong("capture returned text: descriptor 1 takes bytes, return bytes.")
        if not isinstance(got, bytes):
            raise Wrong(f"capture returned {a(got)}: return the bytes.")
        if got == expected:
            return
        if not self._inherited and b"two" in expected and b"two" not in got:
            raise Wrong(
                "What the child process wrote is missing: 1 was close-on-exec, so echo had no 1. Python opens everything so "
                "(PEP 446); os.dup2(number, 1) makes a row that children inherit."
            )
        if not got and self._stored:
            raise Wrong(
                "You got b'' although the bytes are in your file: the offset belongs to the open file description, which both "
                "numbers share, so it stands behind the last byte (lseek(2)). seek(0) first."
            )
        raise Wrong(f"fn wrote {_short(expected)}, and you returned {_short(got)}.")

    def _is_original(self) -> bool:
        found = open_files([1, self._original])
        if len(found.rows) < 2:
            return False
        one, two = (found.descriptions[row.description] for row in found.rows)
        return found.rows[0].description == found.rows[1].description or not found.compared and one.thing == two.thing


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


def _short(data: bytes) -> str:
    return repr(data) if len(data) <= 60 else f"{data[:20]!r}… ({len(data)} bytes)"


CHECKS = {"1.1": check_fd_table, "1.2": check_capture}
