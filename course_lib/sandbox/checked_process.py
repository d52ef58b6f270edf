"""The learner's code in a process of its own, seen from outside: what it says, its CPU time, its descriptors."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from course_lib import folders, proc
from course_lib.kernel import wait_until
from course_lib.kernel.threads import CALLS, TAKE_A_POINTER

from . import MARK
from .files import memory_file, readable
from .outcome import TOO_BUSY, NotChecked, Open, Raised, Stuck, Wrong
from .sending import pickled
from .stopwatch import Stopwatch, TimeLimit
from .talk import is_learners
from .words import printable, where

START_LIMIT = 5.0  # seconds for the fresh interpreter, which needs 0.1 s when the machine is quiet
_COPY = 0.3  # seconds in which a second process of the learner's says that it is one
BUSY = 1.5  # seconds that a check may have waited for a processor before a time limit is nobody's fault


class CheckedProcess:
    """One process in which ``inside(talk, learner, *sockets)`` runs; `inside` is a function of a check.

    It reports what went well through `good`, and takes no time after the end of `limit`. In all its time limits only
    that time counts in which neither it nor the check waited for a processor.
    """

    def __init__(self, name: str, good: Callable[[str], None], limit: TimeLimit) -> None:
        self._name, self._good, self._limit = name, good, limit
        self._mark = uuid.uuid4().hex
        self._buffer = b""
        self._told: list[dict[str, Any]] = []
        self._process: subprocess.Popen[bytes] | None = None
        self._started = False  # may code of the learner's have run?
        self._files = ExitStack()
        self.output = b""

    def start(self, inside: Callable[..., None], learner: object, sockets: tuple[socket.socket, ...]) -> None:
        """Start it. Raises Wrong if the learner's function cannot go into another process."""
        payload = self._files.enter_context(memory_file("payload"))
        payload.write(pickled(inside, learner, self._name))
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
        self._limit.processes.append(self._process.pid)
        try:
            self._wait("started", "", START_LIMIT)
            self._started = True
            self._wait("ready", "", START_LIMIT)
        except Stuck:
            raise NotChecked(f"A fresh Python process did not start within {START_LIMIT:g} s; run the check again.") from None

    @property
    def _pid(self) -> int:
        assert self._process, "not started, or killed"
        return self._process.pid

    def say(self, **data: object) -> None:
        """What the next ``talk.hear()`` returns in the child."""
        self._control.sendall(json.dumps(data).encode() + b"\n")

    def hear(self, what: str, seconds: float = 1.0) -> dict[str, Any]:
        """The next ``talk.tell(...)`` of the child; ``{"done": True}`` when `inside` has returned.

        Raises Wrong with the cause if something else happens; if nothing happens within `seconds`, `what` begins
        the sentence: "serve_one did not return within 1 s".
        """
        return self._told.pop(0) if self._told else self._wait("tell", what, seconds)

    def watch(self, seconds: float) -> None:
        """Let it go on for `seconds`. Raises as `hear` does if it ends or fails meanwhile, but not because time is over."""
        self._wait("", "", seconds, patient=True)

    def stopwatch(self) -> "Stopwatch":
        """It runs from now on, and stands still while this process, a child of it or the check waits for a processor."""
        return Stopwatch(self._pid)

    def own_time(self, seconds: float) -> Iterator[float]:
        """Let it go on for so many seconds in which it does not wait for a processor; gives what has passed of them, now and then.

        So what it does in this time does not depend on other programs.
        """
        watch = Stopwatch(self._pid, alone=True)
        while watch.passed() < seconds:
            self.watch(min(0.02, seconds / 5))
            yield watch.passed()

    def until(self, condition: Callable[[], object], seconds: float) -> bool:
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
        return proc.cpu_seconds(self._pid)

    def state(self) -> str:
        """The letter of proc(5): R runs or waits for a processor, S sleeps, T stopped; "" when it has gone."""
        return proc.state(self._pid)

    def asleep_in(self) -> str:
        """The system call in which its first thread sleeps ("select", "recv", "sleep"); "" when it runs or nobody knows."""
        return self._system_call()[0]

    def sleeps_for_ever(self) -> bool:
        """Does it sleep in select, poll or epoll_wait, without a time limit? So nothing but a socket wakes it. False if nobody knows."""
        call, number, arguments = self._system_call()
        place = {"select": 4, "poll": 2, "epoll_wait": 3}.get(call)
        if place is None or len(arguments) <= place:
            return False
        limit = int(arguments[place], 16)  # none is a pointer of 0, or an int below 0: select(2), poll(2), epoll_wait(2)
        return 1 << 31 <= limit < 1 << 32 or limit >= 1 << 63 or limit == 0 and number in TAKE_A_POINTER

    def _system_call(self) -> tuple[str, int, list[str]]:
        """The name, number and arguments of the call in which its first thread sleeps; ("", -1, []) where nobody knows."""
        number, *arguments = proc.syscall(self._pid) or [""]  # this kernel may not say
        return (CALLS.get(int(number), ""), int(number), arguments) if number.isdecimal() else ("", -1, [])

    def wakes(self) -> int:
        """How often its first thread has gone to sleep so far."""
        return int(proc.status(self._pid, "voluntary_ctxt_switches") or 0)

    def wakes_within(self, seconds: float) -> int:
        """How often it goes to sleep in `own_time`."""
        woke = self.wakes()
        for _ in self.own_time(seconds):
            pass
        return self.wakes() - woke

    def memory(self) -> int:
        """Bytes of memory that it holds now (VmRSS of proc(5))."""
        return int(proc.status(self._pid, "VmRSS") or 0) * 1024

    def interrupt(self, number: signal.Signals) -> bool:
        """Send a signal, if it has a handler for it; False if it has none (the signal would end it)."""
        if not int(proc.status(self._pid, "SigCgt") or "0", 16) >> (number - 1) & 1:
            return False
        os.kill(self._pid, number)
        return True

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Inside, it stands still: all that clients do meanwhile it finds at once afterwards."""
        os.kill(self._pid, signal.SIGSTOP)
        try:
            wait_until(lambda: self.state() not in ("R", "S", "D"), 1.0)
            yield
        finally:
            os.kill(self._pid, signal.SIGCONT)

    @contextmanager
    def no_room(self) -> Iterator[None]:
        """Inside, it gets no descriptor more: all numbers below its limit are in use (getrlimit(2))."""
        used = proc.links(self._pid)
        with proc.descriptor_limit(next(number for number in count() if number not in used), self._pid):
            yield

    def sockets(self) -> int:
        """How many descriptors of sockets it holds, those of the check not counted."""
        return max(0, len(proc.sockets(self._pid)) - 1)

    def alone(self) -> None:
        """Raise Wrong if it runs a second thread or has a child process."""
        # join() returns when a thread has said its last word; its task is gone a moment later.
        if not self.until(lambda: len(proc.threads(self._pid)) <= 1, 1.0):
            raise Wrong(f"{self._name} started a thread that still runs; one thread is enough here.")
        if proc.children(self._pid):
            raise Wrong(f"{self._name} started another process (fork?); one process is enough here.", cause="another process")

    def settle(self) -> None:
        """Let it do what it can do now, until it sleeps; one that never sleeps gets a tenth of a second. Raises as `hear` does."""
        self.watch(0.01)
        self.until(lambda: self.state() != "R", 0.1)
        self.watch(0)

    def explain_end(self) -> None:
        """A client saw the end of its connection too early: raise the learner's exception if there was one."""
        with suppress(Stuck):
            self.hear("", 0.3)

    def kill(self) -> None:
        """End it, and all that it started, whatever they do. Harmless when repeated."""
        if self._process:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()  # only now: once reaped, its number may belong to another process
            self._process = None
            kill_marked(self._mark)
            self.output = self._printed()
        self._files.close()

    def _wait(
        self, kind: str, what: str, seconds: float, client: socket.socket | None = None, patient: bool = False
    ) -> dict[str, Any]:
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
                    spent, runs = self.cpu() - used, self._runs()
                    looks = (self.asleep_in() for _ in range(1 if runs else 20))  # it may be awake for a moment
                    call = next(filter(None, looks), "")
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
                    raise Wrong(f"The check was not through when its time was up; {stuck.does()}.") if late else stuck
                case {"client": _}:
                    return {}
                case {"good": text}:
                    self._good(text)
                case {"step": what, "seconds": seconds} if not patient:
                    watch, used, until = self.stopwatch(), self.cpu(), now + seconds
                case {"too busy": _}:
                    raise NotChecked(TOO_BUSY)
                case {"copy": _}:
                    raise self._copied()
                case {"wrong": _} | {"raised": _} if self._has_a_copy():
                    raise self._copied()
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
                    facts: dict[str, Any] = message[kind]
                    return facts
            message = None

    def _receive(self, until: float, client: socket.socket | None = None) -> dict[str, Any] | None:
        """The next message; None when the time is over. Raises Wrong if the child has gone or talks nonsense."""
        while b"\n" not in self._buffer:
            ready = readable(until - time.monotonic(), self._control, self._end, *([client] if client else []))
            if not ready:
                return None
            if self._control not in ready and client in ready:
                return {"client": True}
            chunk = self._control.recv(1 << 16) if self._control in ready else b""
            if not chunk:
                raise self._gone() if self._started else NotChecked(self._not_started())
            self._buffer += chunk
        line, _, self._buffer = self._buffer.partition(b"\n")
        try:
            message: dict[str, Any] = json.loads(line)
        except ValueError:
            raise Wrong(f"{self._name} wrote to a descriptor that it did not open.") from None
        return message

    def _has_a_copy(self) -> bool:
        """Do two processes go on through the check? Then what went wrong in one may be the other's work. Each has a moment to say it."""
        watch = self.stopwatch()
        while True:
            late = watch.passed() > _COPY or all(proc.state(child) in ("", "Z") for child in proc.children(self._pid))
            message = self._receive(time.monotonic() + (0 if late else 0.01))
            if late or message and "copy" in message:
                return bool(message and "copy" in message)

    def _copied(self) -> Wrong:
        return Wrong(
            f"{self._name} started another process (fork?), and that one came out of it, too: from there on two do the same. "
            "One is enough here; where a child is needed, it ends by os._exit().",
            cause="another process",
        )

    def _gone(self) -> Wrong:
        """Why nobody answers any more."""
        if not self.until(lambda: readable(0, self._end), 0.5):
            return Wrong(f"{self._name} closed descriptors that it did not open (os.close, os.closerange?).")
        end = self._ended()
        if end.si_code == os.CLD_EXITED:
            return Wrong(f"{self._name} ended its whole process with status {end.si_status} (os._exit?); use return.")
        name = signal.Signals(end.si_status).name
        return Wrong(f"{self._name} was killed by the signal {name}.", cause=name)

    def _ended(self) -> os.waitid_result:
        end = os.waitid(os.P_PID, self._pid, os.WEXITED | os.WNOWAIT)  # leaves it to kill()
        assert end, "it waits"
        return end

    def _not_started(self) -> str:
        """The sentence for a process that ended before it had imported this package: half a file, a full disk, no memory."""
        printed = self._printed().decode(errors="replace")
        *_, said = "", *map(str.strip, printed.splitlines())
        if places := re.findall(r'^ *File "(.*)", line (\d+)', printed, re.MULTILINE):
            file, line = places[-1]
            said += f", {Path(file).name}, line {line}"
        if not said and readable(0.5, self._end):
            end = self._ended()
            said = f"status {end.si_status}" if end.si_code == os.CLD_EXITED else signal.Signals(end.si_status).name
        said = printable(said)[:300] or "it said nothing"
        return f"The check could not start: a fresh Python process ended while it imported the course's library ({said})."

    def _printed(self) -> bytes:
        """The last 64 kB of what it has printed."""
        size = os.fstat(self._output.fileno()).st_size
        return os.pread(self._output.fileno(), 1 << 16, max(0, size - (1 << 16)))

    def where(self) -> str:
        """The line of the learner's code that runs now, " in line 3, `...`", or ""; a signal handler in the child tells it."""
        while readable(0, self._trace) and os.read(self._trace.fileno(), 1 << 16):
            pass  # an answer that came too late, to a question before
        os.kill(self._pid, signal.SIGUSR1)
        dump, watch = b"", self.stopwatch()
        while b"runpy" not in dump and watch.passed() < 0.3:  # the outermost frame comes last
            if not readable(0.05, self._trace):
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
        return any("".join(proc.stat(self._pid, thread)[:1]) in ("R", "D") for thread in proc.threads(self._pid))


def environment(mark: str = "1") -> dict[str, str]:
    """The environment of a child: in any folder the same modules and `mine/`; it prints UTF-8 without colours, and carries the mark."""
    return os.environ | {
        "PYTHONPATH": os.pathsep.join(_whole(entry) for entry in sys.path if isinstance(entry, str)),
        "COURSE_HOME": str(folders.mine()),
        "PYTHONIOENCODING": "utf-8:backslashreplace",
        "OPENBLAS_NUM_THREADS": "1",  # an import of numpy starts no threads, which a check would count as the learner's
        "PYTHON_COLORS": "0",  # a kernel's FORCE_COLOR would colour tracebacks (Python 3.13 and later)
        MARK: mark,
    }


def _whole(entry: str) -> str:
    """The whole path; in a kernel "" is the notebook's folder, as long as that is there."""
    try:
        return os.path.abspath(entry)
    except FileNotFoundError:
        return entry


def kill_marked(mark: str) -> None:
    """Kill what is left, also outside the process group (setsid), and see it end.

    The mark is in the environment that a process was born with.
    """
    for path in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):  # gone, or somebody else's
            if mark.encode() in path.read_bytes():
                with open(os.pidfd_open(int(path.parent.name)), "rb", buffering=0) as end:
                    signal.pidfd_send_signal(end.fileno(), signal.SIGKILL)
                    readable(5.0, end)
