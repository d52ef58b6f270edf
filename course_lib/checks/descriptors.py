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
from course_lib.proc import links
from course_lib.sandbox import Attempt, Stuck, Talk, Wrong, a, shown

from .probe import Answer, Probe, first, raise_first

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
    probe = Probe(talk, learner, "fd_table()")
    with ExitStack() as opened:
        read, write = os.pipe()
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        high = fcntl.fcntl(read, fcntl.F_DUPFD_CLOEXEC, min(_HIGH, limit - 10))
        numbers = {read, write, os.open("/", os.O_RDONLY), high}
        for number in numbers:
            opened.callback(os.close, number)
        numbers.add(opened.enter_context(socket.socket()).fileno())
        numbers.add(opened.enter_context(tempfile.TemporaryFile()).fileno())
        truth = links()
        with probe.opens(0, "before: with os.scandir(...) as entries: closes its own number"):
            got = _table(probe.when(""))
        if got and not any(got.get(number) == truth[number] for number in numbers):
            raise Wrong(
                "Nothing that is open in this process is in your table. /proc/self is the process that reads it: a program that "
                "you start, such as ls, reads its own table (proc(5))."
            )
        _agrees(got, truth, high, "Do not count up to a limit, list the folder /proc/self/fd.")
    talk.good("file, folder, pipe, socket, and a number far above the others")

    if again := sorted(numbers & _table(probe.when("")).keys() - links().keys()):
        raise Wrong(f"Number {again[0]} was closed and is still in the table of the second call: make a new dict in each call.")
    talk.good("what was closed is gone from the next table")
    _of_another_process(probe)
    talk.good("the table of another process, by its pid")


def _of_another_process(probe: Probe) -> None:
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
            truth, own = links(other.pid), links()
            got = _table(probe.when("", other.pid, call="fd_table(pid) of another process"))
            if got != truth and got == own:
                raise Wrong("fd_table(pid) gave the table of this process: the folder of another one is /proc/<pid>/fd.")
            why = "The other process has it, and this one has not: list the folder /proc/<pid>/fd, not your own."
            _agrees(got, truth, theirs, why)
        finally:
            other.kill()


def _table(answer: Answer) -> dict[int, str]:
    """Raises Wrong unless it has the form of a table."""
    table: dict[int, str] = answer.is_a(dict, "return a dict, {number: what it names}")
    for number, target in table.items():
        if not isinstance(number, int):
            raise Wrong(
                f"A key of your table is {shown(number)}: the keys are the numbers. The names in the folder are text, and int(name) "
                "makes numbers of them."
            )
        if not isinstance(target, str):
            raise Wrong(f"Number {number} has {a(target)} beside it: the value is the text that os.readlink gives.")
    return table


def _agrees(got: dict[int, str], truth: dict[int, str], far: int, why_far: str) -> None:
    """The table must be this one; `why_far` is the cause when nothing but the number `far` is missing."""
    if missing := sorted(truth.keys() - got.keys()):
        has_path = (truth[number].startswith("/") and "(deleted)" not in truth[number] for number in missing)
        causes = {
            why_far: missing == [far],
            "0, 1 and 2 are rows like all the others.": missing[-1] <= 2,
            "A pipe, a socket or a deleted file has no path, and is open all the same.": not any(has_path),
        }
        raise Wrong(f"Number {missing[0]} is open and missing; it names {truth[missing[0]]!r}.", first(causes))
    for number in sorted(got.keys() - truth.keys()):
        if got[number].rpartition("/")[2] == "fd":
            raise Wrong(
                f"Number {number} names {got[number]!r}: that is the number of your own listing, closed when you return. First list "
                "the folder (os.listdir), then read the links, and catch FileNotFoundError."
            )
        raise Wrong(f"Number {number} is in your table and is not open.")
    for number, target in truth.items():
        if got[number] != target:
            path = got[number].endswith(f"/{target}") or got[number] == f"/proc/self/fd/{number}"
            why = ", realpath and abspath make a path of it that does not exist" if path else ""
            raise Wrong(f"Number {number} names {target!r}, and you say {got[number]!r}: os.readlink gives what it names{why}.")


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
        if not pipe or not stuck.asleep:
            raise
        deadlock = (
            f"Deadlock when fn writes 200 kB: {stuck.does()}. A pipe holds 64 kB (pipe(7)); then the writer sleeps until somebody "
            "reads, and nobody reads on while fn runs. Use a temporary file."
        )
        end = (
            f"fn has written to your pipe, and capture does not return: {stuck.does()}. Who reads a pipe sees its end only when "
            "every number that names the end for writing is closed, yours too (pipe(7)). Or use a temporary file."
        )
        raise Wrong(deadlock if much else end) from None
    process.alone()


_TEXTS = b"one\n", b"two\n", b"again\n", b"before the error\n"  # what fn writes


def _use_capture(talk: Talk, learner: Callable) -> None:
    # What goes past capture is kept apart: of what this process prints, a learner is to see their own only.
    old, aside = os.dup(1), os.memfd_create("aside")
    os.dup2(aside, 1)
    try:
        _try_capture(talk, learner)
    finally:
        os.dup2(old, 1)
        printed = os.pread(aside, 1 << 16, 0)
        for text in _TEXTS:
            printed = printed.replace(text, b"")
        os.write(1, printed.strip(b"x"))


def _try_capture(talk: Talk, learner: Callable) -> None:
    capture = _Capture(talk, learner)
    capture.gives(b"one\ntwo\n", "writes eight bytes", _two_lines)
    talk.good("os.write(1, ...) and a child process; afterwards 1 is what it was, and nothing is left open")
    capture.gives(b"again\n", "writes a line more", lambda: os.write(1, b"again\n"))
    talk.good("a second call gives its own text only")
    capture.gives(b"x" * _MUCH, "writes 200 kB", _much)
    talk.good("200 kB")
    if not isinstance(capture.of("raises", _fails), Oops):
        raise Wrong(
            "fn raised an exception, and capture hid it: the caller has to know. Put things back in finally:, without except."
        )
    talk.good("when fn raises, 1 is put back too, and the exception goes on")
    _captures_inside(talk, learner)
    talk.good("a capture inside of a capture: each has its own text")


def _two_lines() -> None:
    os.write(1, b"one\n")
    subprocess.run(["echo", "two"], stderr=subprocess.DEVNULL)


def _much() -> None:
    left = memoryview(b"x" * _MUCH)
    while left:
        left = left[os.write(1, left) :]


def _fails() -> None:
    os.write(1, b"before the error\n")
    raise Oops("on purpose")


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
            said = f"the outer one returned {shown(got)}, not both of its lines, and the inner one {', '.join(map(shown, inner))}"
    except OSError as error:
        said = f"it raised {type(error).__name__}: {error}"
    if said:
        raise Wrong(
            f"fn wrote a line, called capture itself, and wrote another one: {said}. Keep what 1 named under a number that the kernel "
            "chooses (os.dup), and in a variable of the function: a number of your own may be in use."
        )


class _Capture:
    """Calls of the learner's, and descriptor 1 under observation: what it was before, what it is while fn runs, and afterwards."""

    def __init__(self, talk: Talk, learner: Callable) -> None:
        self._talk, self._learner, self._original = talk, learner, os.dup(1)
        self._redirected = self._inherited = self._stored = False
        self._elsewhere, self._mark = os.pipe()  # says also from a copy of this process that fn was called
        os.set_blocking(self._elsewhere, False)

    def of(self, what: str, write: Callable[[], object], much: bool = False) -> object:
        """What it returns, or the Oops that it raises, for an fn that does this. Raises Wrong unless all is afterwards as it was."""
        late = f"capture(fn), where fn {what}, did not return within 1 s"
        calls, before = [], links()

        def fn() -> None:
            calls.append(fn)
            self._called()
            self._talk.tell(pipe=stat.S_ISFIFO(os.fstat(1).st_mode), much=much)
            self._talk.step(late)
            write()
            status = os.fstat(1)
            self._stored = stat.S_ISREG(status.st_mode) and status.st_size > 0

        self._talk.step(late)
        try:
            got, when = self._learner(fn), "afterwards"
        except Oops as oops:
            got, when = oops, "after fn raised"
        self._was_redirected(len(calls))
        self._is_back(before, when)
        return got

    def gives(self, wrote: bytes, what: str, write: Callable[[], object]) -> None:
        """It returns what fn `wrote`."""
        wrong = Answer(f"fn wrote {_short(wrote)}", "capture", self.of(what, write, len(wrote) == _MUCH))
        got = wrong.is_a(bytes, "return the bytes", {str: "text: descriptor 1 takes bytes, return bytes"})
        if got == wrote:
            return
        twice, lost = b"one" in got and b"one" not in wrote, b"two" in wrote and b"two" not in got
        causes = {
            "The text of the call before is in it too: begin with an empty file each time.": twice,
            "What the child process wrote is missing: 1 was close-on-exec, so echo had no 1. Python opens everything so (PEP 446); "
            "os.dup2(number, 1) makes a row that children inherit.": lost and not self._inherited,
            "The bytes are in your file: the offset belongs to the open file description, which both numbers share, so it stands "
            "behind the last byte (lseek(2)). seek(0) first.": not got and self._stored,
            "Read until there is no more.": len(got) < len(wrote),
        }
        raise Wrong(f"fn wrote {_short(wrote)}, and capture returned {_short(got)}.", first(causes))

    def _called(self) -> None:
        os.write(self._mark, b"x")
        if 1 not in links():
            raise Wrong(
                "While fn ran, descriptor 1 was closed, so it could write nothing: os.dup2(number, 1) closes it and "
                "points it elsewhere in one step."
            )
        self._redirected = not self._is_original()
        self._inherited = os.get_inheritable(1)

    def _was_redirected(self, calls: int) -> None:
        try:
            os.read(self._elsewhere, 10)
        except BlockingIOError:
            raise Wrong("capture did not call fn.") from None
        causes = {
            "You ran fn in another process (fork?): what it changes in this one is lost there. dup2 redirects 1 here.": not calls,
            f"capture called fn {calls} times: once is enough.": calls > 1,
            "While fn ran, 1 named what it always names. A child process and os.write write to descriptor 1, past Python's "
            "object sys.stdout: redirect the descriptor, with os.dup2 (dup(2)).": not self._redirected,
        }
        raise_first(causes)

    def _is_back(self, before: dict[int, str], when: str) -> None:
        """Raise Wrong unless 1 is what it was, and all else as in the table `before`."""
        how = "put it back in finally:" if when != "afterwards" else "saved = os.dup(1) before, os.dup2(saved, 1) after (dup(2))"
        after = links()
        if 1 not in after:
            raise Wrong(f"Descriptor 1 is closed {when}: {how}.")
        other = not self._is_original()
        anew = other and os.path.samestat(os.fstat(1), os.fstat(self._original))
        causes = {
            "1 names the old file again, but through a new open file description, with an offset of its own: do not open it anew, "
            "keep the old one with os.dup(1) and os.dup2(saved, 1).": anew,
            f"Descriptor 1 still points to your {open_files(1).descriptions[0].kind} {when}: {how}.": other,
            "1 is close-on-exec now, so programs that are started later have no standard output: os.dup2(saved, 1) clears the "
            "flag.": not os.get_inheritable(1),
        }
        raise_first(causes)
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

    def _is_original(self) -> bool:
        found = open_files([1, self._original])
        if len(found.rows) < 2:
            return False
        one, two = (found.descriptions[row.description] for row in found.rows)
        return found.rows[0].description == found.rows[1].description or not found.compared and one.thing == two.thing


def _short(data: bytes) -> str:
    return repr(data) if len(data) <= 60 else f"{data[:20]!r}… ({len(data)} bytes)"


CHECKS = {"1.1": check_fd_table, "1.2": check_capture}
