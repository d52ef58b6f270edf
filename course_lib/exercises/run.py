"""The learner's code in a process of its own, seen from outside: what it says, its CPU time, its descriptors."""

import inspect
import io
import json
import linecache
import os
import re
import select
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections import ChainMap
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from types import CodeType
from typing import BinaryIO, Callable, Iterator

import cloudpickle

from course_lib import journal
from course_lib.observe import wait_until
from course_lib.observe.threads import CALLS

from .exercise import Wrong
from .talk import MARK, is_learners

START_LIMIT = 5.0  # seconds for the fresh interpreter, which needs 0.1 s when the machine is quiet
BUSY = 1.5  # seconds that a check may have waited for a processor before a time limit is nobody's fault
MORE = 40.0  # seconds that a check may take beyond its time limit, if it has waited for a processor as long
TOO_BUSY = "The machine was too busy to check this in time; run the check again."


class Open(Exception):
    """A function is not written yet; `frame` is where it raised NotImplementedError: a file and a line, or None."""

    def __init__(self, frame: tuple[str, int] | None = None) -> None:
        super().__init__()
        self.frame = frame


class NotChecked(Exception):
    """The check could not run, and not by the learner's fault. The text is one sentence."""


class Raised(Wrong):
    """The learner's code raised an exception: `type` is its name, `text` its message, `errno` a number or None."""

    def __init__(self, name: str, about: dict) -> None:
        self.type, self.text, self.errno = printable(about["type"]), printable(about["text"]), about["errno"]
        self.line = where(about["frame"])
        if self.type == "SystemExit":
            sentence = f"{name} called sys.exit(){self.line}. That ends the whole program; use return"
        elif self.type == "EOFError":
            sentence = f"{name} waits for the keyboard{self.line}. Nobody types during a check"
        elif self.type == "MemoryError":
            sentence = f"{name} used more than 2 GB of memory{self.line}"
        elif self.type in ("ConnectionResetError", "BrokenPipeError"):
            sentence = f"{self.type} ended your server{self.line}: clients disappear every day. Catch it, then close"
        elif self.errno == 27:  # EFBIG
            sentence = f"{name} prints without end{self.line}: more than 16 MB of output"
        else:
            sentence = f"{name} raised {self.type}{self.text and ': '}{self.text}{self.line}"
        super().__init__(sentence + ".")


class Stuck(Wrong):
    """Nothing came in time.

    `asleep`: it used less than a tenth of a core meanwhile; `call`: the system call in which it slept then, or "";
    `data`: what a client got before.
    """

    data = b""

    def __init__(self, what: str, cpu: float, asleep: bool, line: str, call: str = "") -> None:
        self.asleep, self.call = asleep, call
        self.doing = f"it {'sleeps' if asleep else f'runs all the time (CPU {cpu:.0%})'}{line}"
        super().__init__(f"{what}: {self.doing}.")


class TimeLimit:
    """So many seconds for one check in all, and more if it, or one of its processes, has waited for a processor."""

    def __init__(self, seconds: float) -> None:
        self._end, self._own, self.processes = time.monotonic() + seconds, Stopwatch(), []

    def end(self) -> float:
        """When it is over, as things stand now (``time.monotonic()``)."""
        return self._end + min(self.lost(), MORE)

    def lost(self) -> float:
        """Seconds of waiting for a processor: of this thread since the check began, of its processes in their whole life."""
        return self._own.lost() + sum(map(waited_for_a_processor, self.processes))


class Run:
    """One process in which ``inside(talk, learner, *sockets)`` runs; `inside` is a function of an exercise module.

    It reports what went well through `good`, and takes no time after the end of `limit`. In all its time limits only
    that time counts in which neither it nor the check waited for a processor.
    """

    def __init__(self, name: str, good: Callable[[str], None], limit: TimeLimit) -> None:
        self._name, self._good, self._limit = name, good, limit
        self._mark = uuid.uuid4().hex
        self._buffer, self._told = b"", []
        self._process: subprocess.Popen | None = None
        self._started = False  # may code of the learner's have run?
        self._files = ExitStack()
        self.output = b""

    def start(self, inside: Callable, learner: Callable, sockets: tuple[socket.socket, ...]) -> None:
        """Start it. Raises Wrong if the learner's function cannot go into another process."""
        payload = self._files.enter_context(memory_file("payload"))
        payload.write(_pickled(inside, learner, self._name))
        payload.seek(0)
        self._output = self._files.enter_context(memory_file("output"))
        control, theirs = socket.socketpair()
        self._control = self._files.enter_context(control)
        trace, their_trace = os.pipe()
        self._trace = self._files.enter_context(open(trace, "rb", buffering=0))
        with theirs, open(their_trace, "wb", buffering=0):
            numbers = [theirs.fileno(), their_trace, *(sock.fileno() for sock in sockets)]
            self._process = subprocess.Popen(
                [sys.executable, "-u", "-m", f"{__package__}.child", *map(str, numbers)],
                stdin=payload,
                stdout=self._output,
                stderr=self._output,
                pass_fds=numbers,
                start_new_session=True,  # a process group to kill, and no Ctrl-C that was meant for the kernel
                cwd=self._files.enter_context(TemporaryDirectory(prefix="check-", ignore_cleanup_errors=True)),
                env=environment(self._mark),
            )
            self._end = self._files.enter_context(open(os.pidfd_open(self._process.pid), "rb", buffering=0))
        self._limit.processes.append(str(self._process.pid))
        try:
            self._wait("started", "", START_LIMIT)
            self._started = True
            self._wait("ready", "", START_LIMIT)
        except Stuck:
            raise NotChecked(f"A fresh Python process did not start within {START_LIMIT:g} s; run the check again.") from None

    def say(self, **data: object) -> None:
        """What the next ``talk.hear()`` returns in the child."""
        self._control.sendall(json.dumps(data).encode() + b"\n")

    def hear(self, what: str, seconds: float = 1.0) -> dict:
        """The next ``talk.tell(...)`` of the child; ``{"done": True}`` when `inside` has returned.

        Raises Wrong with the cause if something else happens; if nothing happens within `seconds`, `what` begins
        the sentence: "serve_one did not return within 1 s".
        """
        return self._told.pop(0) if self._told else self._wait("tell", what, seconds)

    def watch(self, seconds: float) -> None:
        """Let it go on for `seconds`. Raises as `hear` does if it ends or fails meanwhile, but not because time is over."""
        self._wait("", "", seconds, patient=True)

    def stopwatch(self) -> "Stopwatch":
        """It runs from now on, and stands still while this process or the check waits for a processor."""
        return Stopwatch(self._process.pid)

    def until(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Wait for something that nobody announces; False if it has not come true in this time."""
        return self.stopwatch().until(condition, seconds)

    def read(self, client: socket.socket, size: int, what: str, seconds: float = 1.0) -> bytes:
        """`size` bytes that come to the client, or less if the stream ends before. Raises as `hear` does.

        When it is stuck, the exception's `data` is what came until then.
        """
        data = b""
        try:
            while len(data) < size:
                self._wait("", what, seconds, client)
                chunk = client.recv(size - len(data))
                if not chunk:
                    break
                data += chunk
        except ConnectionResetError:
            pass  # an end too: the server closed while bytes of ours were unread
        except Stuck as stuck:
            stuck.data = data
            raise
        return data

    def cpu(self) -> float:
        """Seconds of CPU time used so far, all threads."""
        fields = self._stat()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK") if fields else 0.0

    def state(self) -> str:
        """The letter of proc_pid_stat(5): R runs or waits for a processor, S sleeps, T stopped; "" when it has gone."""
        return "".join(self._stat()[:1])

    def asleep_in(self) -> str:
        """The system call in which its first thread sleeps ("select", "recv", "sleep"); "" when it runs or nobody knows."""
        try:
            number = Path(f"/proc/{self._process.pid}/syscall").read_text().split()[0]
        except OSError:  # it has gone, or this kernel does not say
            return ""
        return CALLS.get(int(number), "") if number.isdecimal() else ""

    def wakes(self) -> int:
        """How often its first thread has gone to sleep so far."""
        return self._status("voluntary_ctxt_switches")

    def memory(self) -> int:
        """Bytes of memory that it holds now (VmRSS of proc_pid_status(5))."""
        return self._status("VmRSS") * 1024

    def interrupt(self, number: signal.Signals) -> bool:
        """Send a signal, if it has a handler for it; False if it has none (the signal would end it)."""
        try:
            caught = re.search(r"^SigCgt:\s+(\w+)", Path(f"/proc/{self._process.pid}/status").read_text(), re.MULTILINE)
        except OSError:
            return False
        if not int(caught.group(1), 16) >> (number - 1) & 1:
            return False
        os.kill(self._process.pid, number)
        return True

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Inside, it stands still: all that clients do meanwhile it finds at once afterwards."""
        os.kill(self._process.pid, signal.SIGSTOP)
        try:
            wait_until(lambda: self.state() not in ("R", "S", "D"), 1.0)
            yield
        finally:
            os.kill(self._process.pid, signal.SIGCONT)

    def sockets(self) -> int:
        """How many descriptors of sockets it holds, those of the check not counted."""
        count, folder = 0, f"/proc/{self._process.pid}/fd"
        try:
            numbers = os.listdir(folder)
        except OSError:  # it has gone
            numbers = []
        for number in numbers:
            try:
                count += os.readlink(f"{folder}/{number}").startswith("socket:")
            except OSError:  # closed while we looked
                pass
        return max(0, count - 1)

    def alone(self) -> None:
        """Raise Wrong if it runs a second thread or has a child process."""
        folder = Path(f"/proc/{self._process.pid}/task")
        # join() returns when a thread has said its last word; its task is gone a moment later.
        if not self.until(lambda: len(list(folder.iterdir())) == 1, 1.0):
            raise Wrong(f"{self._name} started a thread that still runs; one thread is enough here.")
        if any(path.read_text().strip() for task in folder.iterdir() if (path := task / "children").exists()):
            raise Wrong(f"{self._name} started another process (fork?); one process is enough here.")

    def explain_end(self) -> None:
        """A client saw the end of its connection too early: raise the learner's exception if there was one."""
        try:
            self.hear("", 0.3)
        except Stuck:
            pass

    def kill(self) -> None:
        """End it, and all that it started, whatever they do. Harmless when repeated."""
        if self._process:
            _kill_group(self._process.pid)
            self._process.wait()  # only now: once reaped, its number may belong to another process
            self._process = None
            kill_marked(self._mark)
            self.output = self._printed()
        self._files.close()

    def _wait(self, kind: str, what: str, seconds: float, client: socket.socket | None = None, patient: bool = False) -> dict:
        """The next message of this kind, or {} when the client can read, or the time is over and we are `patient`."""
        watch, used, message = self.stopwatch(), self.cpu(), None
        until = time.monotonic() + seconds
        while True:
            message = message or self._receive(min(until, self._limit.end()), client)
            now = time.monotonic()
            match message:
                case None if patient and now < self._limit.end():
                    return {}
                case None:
                    late = now >= self._limit.end()
                    spent, runs, call = self.cpu() - used, self._runs(), self.asleep_in()
                    left = seconds / 2 - spent if runs else seconds - watch.passed()
                    if left > 0 and not late:  # other programs had the processor: that time does not count
                        until = now + left
                        continue
                    if message := self._receive(now, client):
                        continue  # it came while we looked: so it slept, or ran, after its work
                    cpu = min(1.0, spent / max(watch.passed(), 0.01))
                    if late and self._limit.lost() > BUSY:
                        raise NotChecked(TOO_BUSY)
                    stuck = Stuck(what, cpu, cpu < 0.1 and not runs, self.where(), call)
                    raise Wrong(f"The check was not through when its time was up; {stuck.doing}.") if late else stuck
                case {"client": _}:
                    return {}
                case {"good": text}:
                    self._good(text)
                case {"step": what, "seconds": seconds} if not patient:
                    watch, used, until = self.stopwatch(), self.cpu(), now + seconds
                case {"too busy": _}:
                    raise NotChecked(TOO_BUSY)
                case {"wrong": text}:
                    raise Wrong(printable(text))
                case {"raised": {"unwritten": True} as about}:
                    raise Open(about["frame"])
                case {"raised": about}:
                    raise Raised(self._name, about)
                case {"unloadable": {"type": type_, "text": text}}:
                    raise Wrong(
                        f"{self._name} cannot be brought into a fresh Python process, where a check runs it: "
                        f"{printable(type_)}: {printable(text)}."
                    )
                case {"tell": data} if kind != "tell":
                    self._told.append(data)  # it comes while a client is waiting: somebody will ask
                case _ if kind in message:
                    return message[kind]
            message = None

    def _receive(self, until: float, client: socket.socket | None) -> dict | None:
        """The next message; None when the time is over. Raises Wrong if the child has gone or talks nonsense."""
        while b"\n" not in self._buffer:
            ready = _readable(until - time.monotonic(), self._control, self._end, *([client] if client else []))
            if not ready:
                return None
            if self._control not in ready and client in ready:
                return {"client": True}
            chunk = self._control.recv(1 << 16) if self._control in ready else b""
            if not chunk:
                raise Wrong(self._gone()) if self._started else NotChecked(self._not_started())
            self._buffer += chunk
        line, _, self._buffer = self._buffer.partition(b"\n")
        try:
            return json.loads(line)
        except ValueError:
            raise Wrong(f"{self._name} wrote to a descriptor that it did not open.") from None

    def _gone(self) -> str:
        """Why nobody answers any more."""
        if not _readable(0.5, self._end):
            return f"{self._name} closed descriptors that it did not open (os.close, os.closerange?)."
        end = os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOWAIT)  # leaves it to kill()
        if end.si_code == os.CLD_EXITED:
            return f"{self._name} ended its whole process with status {end.si_status} (os._exit?); use return."
        return f"{self._name} was killed by the signal {signal.Signals(end.si_status).name}."

    def _not_started(self) -> str:
        """The sentence for a process that ended before it had imported this package: half a file, a full disk, no memory."""
        printed = self._printed().decode(errors="replace")
        *_, said = "", *map(str.strip, printed.splitlines())
        if places := re.findall(r'^ *File "(.*)", line (\d+)', printed, re.MULTILINE):
            file, line = places[-1]
            said += f", {Path(file).name}, line {line}"
        if not said and _readable(0.5, self._end):
            end = os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOWAIT)  # leaves it to kill()
            said = f"status {end.si_status}" if end.si_code == os.CLD_EXITED else signal.Signals(end.si_status).name
        said = printable(said)[:300] or "it said nothing"
        return f"The check could not start: a fresh Python process ended while it imported the course's library ({said})."

    def _printed(self) -> bytes:
        """The last 64 kB of what it has printed."""
        size = os.fstat(self._output.fileno()).st_size
        return os.pread(self._output.fileno(), 1 << 16, max(0, size - (1 << 16)))

    def where(self) -> str:
        """The line of the learner's code that runs now, " in line 3, `...`", or ""; a signal handler in the child tells it."""
        while _readable(0, self._trace) and os.read(self._trace.fileno(), 1 << 16):
            pass  # an answer that came too late, to a question before
        os.kill(self._process.pid, signal.SIGUSR1)
        dump, watch = b"", self.stopwatch()
        while b"runpy" not in dump and watch.passed() < 0.3:  # the outermost frame comes last
            if not _readable(0.05, self._trace):
                continue
            if not (chunk := os.read(self._trace.fileno(), 1 << 16)):
                break  # it closed its end
            dump += chunk
        for file, line in re.findall(r'File "(.*)", line (\d+) in', dump.decode(errors="replace")):
            if is_learners(file):
                return where((file, int(line)))
        return ""

    def _runs(self) -> bool:
        """Does one of its threads run, or wait for a processor or a disk?"""
        for task in Path(f"/proc/{self._process.pid}/task").glob("[0-9]*/stat"):
            try:
                if task.read_text().rpartition(")")[2].split()[0] in "RD":
                    return True
            except OSError:  # it has ended
                pass
        return False

    def _status(self, field: str) -> int:
        """A number of proc_pid_status(5); 0 when it has gone."""
        try:
            text = Path(f"/proc/{self._process.pid}/status").read_text()
        except OSError:
            return 0
        found = re.search(rf"^{field}:\s+(\d+)", text, re.MULTILINE)
        return int(found.group(1)) if found else 0

    def _stat(self) -> list[str]:
        """The fields of proc_pid_stat(5), from the third (the state) on; [] when it has gone."""
        try:
            return Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            return []


class Stopwatch:
    """Seconds since it was made, without those in which this thread, or `other`, waited for a processor.

    `other` is the name of a process, or of one of its threads, in /proc: 4711, "self/task/4712"; None: nobody else.
    """

    def __init__(self, other: int | str | None = None) -> None:
        self._processes = ["thread-self", *([str(other)] if other else [])]
        self._begin, self._waited = time.monotonic(), self._waits()

    def passed(self) -> float:
        """At least a tenth of what a clock shows, so that each time limit is over some time."""
        passed = time.monotonic() - self._begin
        return max(passed - self.lost(), passed / 10)

    def lost(self) -> float:
        """What does not count."""
        return max(0.0, self._waits() - self._waited)

    def until(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Wait for something that nobody announces; False if it has not come true when `seconds` have passed."""
        while not condition():
            if self.passed() > seconds:
                return condition()
            time.sleep(0.001)
        return True

    def _waits(self) -> float:
        return sum(map(waited_for_a_processor, self._processes))


def waited_for_a_processor(process: str = "thread-self") -> float:
    """Seconds for which its first thread, or this one, could have run and no processor was free (schedstat, sched-stats.rst)."""
    try:
        return int(Path(f"/proc/{process}/schedstat").read_text().split()[1]) / 1e9
    except (OSError, IndexError):
        return 0.0


def memory_file(name: str) -> BinaryIO:
    """A file in memory, gone when closed: a pipe could fill up, a file cannot."""
    return open(os.memfd_create(name), "w+b", buffering=0)


def where(frame: tuple[str, int] | None) -> str:
    if not frame:
        return ""
    file, text = Path(frame[0]), linecache.getline(*frame).strip()
    of = f" of mine/{printable(file.name)}" if file.parent == journal.home() else ""  # not of the cell under check
    return f" in line {frame[1]}{of}" + (f", `{printable(text)}`" if text else "")


def printable(text: str) -> str:
    """Control characters and lone surrogates written as escapes, line ends too."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def environment(mark: str = "1") -> dict[str, str]:
    """The environment of a child: in any folder it finds the same modules and `mine/`; it prints in UTF-8 and carries the mark."""
    return os.environ | {
        "PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path)),  # in a kernel "" is the notebook's folder
        "COURSE_HOME": str(journal.home()),
        "PYTHONIOENCODING": "utf-8:backslashreplace",
        MARK: mark,
    }


def _make_code(file: str, make: Callable, parts: tuple) -> CodeType:
    return make(*parts).replace(co_filename=file)


def _code_of_cell(code: CodeType) -> tuple:
    make, parts = cloudpickle.Pickler.dispatch_table[CodeType](code)
    return _make_code, (code.co_filename, make, parts)


class _Pickler(cloudpickle.Pickler):
    """Keeps the name of the cell that code comes from: without it no line of it can be shown."""

    dispatch_table = ChainMap({CodeType: _code_of_cell}, cloudpickle.Pickler.dispatch_table)


def _pickled(inside: Callable, learner: Callable, name: str) -> bytes:
    try:
        payload = io.BytesIO()
        _Pickler(payload).dump((inside, learner))
        return payload.getvalue()
    except Exception as error:
        label, value = _unpicklable(learner, set()) or (None, None)
        if label is None:
            raise Wrong(f"{name} cannot go into another process, where a check runs it: {printable(str(error))}.") from None
        raise Wrong(
            f"{name} uses {label}, a {type(value).__name__} of this notebook. A check runs your code in a fresh process, "
            f"and {label} cannot go there: make it inside your own code, or pass it as an argument."
        ) from None


def _unpicklable(learner: Callable, seen: set[int]) -> tuple[str, object] | None:
    """Name and value of what the learner's code uses and cannot be pickled."""
    several = learner if isinstance(learner, tuple) else [learner]
    functions = [part for one in several for part in (vars(one).values() if inspect.isclass(one) else [one])]
    for function in filter(inspect.isfunction, functions):
        if id(function) in seen:
            continue
        seen.add(id(function))
        used = inspect.getclosurevars(function)
        for label, value in (used.nonlocals | used.globals).items():
            try:
                cloudpickle.dumps(value)
            except Exception:
                deeper = _unpicklable(value, seen) if inspect.isroutine(value) or inspect.isclass(value) else None
                return deeper or (label, value)
    return None


def _readable(seconds: float, *files: socket.socket | BinaryIO) -> list:
    """Those that can be read, or are at their end, now or within `seconds`. Any descriptor number will do."""
    poll = select.poll()
    by_number = {file.fileno(): file for file in files}
    for number in by_number:
        poll.register(number, select.POLLIN)
    return [by_number[number] for number, _ in poll.poll(max(0.0, seconds) * 1000)]


def _kill_group(group: int) -> None:
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        pass


def kill_marked(mark: str) -> None:
    """Kill what is left, also outside the process group (setsid), and see it end.

    The mark is in the environment that a process was born with.
    """
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if mark.encode() in path.read_bytes():
                with open(os.pidfd_open(int(path.parent.name)), "rb", buffering=0) as end:
                    signal.pidfd_send_signal(end.fileno(), signal.SIGKILL)
                    _readable(0.5, end)
        except OSError:  # gone, or somebody else's
            pass
