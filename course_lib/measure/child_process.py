"""Processes in which something is measured, or serves, or makes load. They speak in lines of JSON."""

import ctypes
import io
import json
import os
import resource
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from typing import IO, NoReturn

MOST = 1 << 20  # descriptors that a process asks for, if it cannot say how many it needs
_PR_SET_PDEATHSIG = 1  # prctl(2)


class ChildProcess:
    """A fresh Python process that runs ``main()`` of a module.

    module      the name of a module of this package, or a full name; `arguments` reach it as JSON (`arguments()`)
    keep        descriptors that it inherits under the same numbers
    payload     bytes that its standard input holds; without them standard input is what `say` writes
    errors      where its standard error goes, if somebody reads it
    """

    def __init__(
        self,
        module: str,
        *arguments: object,
        keep: tuple[int, ...] = (),
        payload: bytes | None = None,
        errors: IO | int = subprocess.DEVNULL,
    ) -> None:
        self._lock = threading.Lock()
        self._buffer = b""
        module = module if "." in module else f"{__package__}.{module}"
        with ExitStack() as files:
            given: int | io.FileIO = subprocess.PIPE
            if payload is not None:
                # A file in memory: a pipe could fill up while the process is not reading yet.
                given = memory = files.enter_context(open(os.memfd_create("payload"), "w+b", buffering=0))
                memory.write(payload)
                memory.seek(0)
            self._process = subprocess.Popen(
                [sys.executable, "-c", f"from {module} import main; main()", json.dumps([os.getpid(), *arguments])],
                stdin=given,
                stdout=subprocess.PIPE,
                stderr=errors,
                pass_fds=keep,
                start_new_session=True,  # a process group to kill, and no Ctrl-C that was meant for the notebook
                env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            )
        self.pid = self._process.pid

    def say(self, **message: object) -> None:
        """Send it a line, unless it has gone."""
        assert self._process.stdin, "its standard input holds the payload"
        with suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(message).encode() + b"\n")
            self._process.stdin.flush()

    def hear(self, seconds: float) -> dict | None:
        """Its next message; {} when it has gone, None when nothing came in time."""
        assert self._process.stdout  # a pipe
        until, answers = time.monotonic() + seconds, self._process.stdout.fileno()
        poll = select.poll()
        poll.register(answers, select.POLLIN)
        while b"\n" not in self._buffer:
            if not poll.poll(max(0.0, until - time.monotonic()) * 1000):
                return None
            chunk = os.read(answers, 1 << 16)
            if not chunk:
                return {}
            self._buffer += chunk
        line, _, self._buffer = self._buffer.partition(b"\n")
        return json.loads(line)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to it and to all that it started, unless it has gone."""
        with self._lock:
            if self._process.returncode is None:  # else its number may belong to another process by now
                with suppress(ProcessLookupError):
                    os.killpg(self.pid, number)

    def kill(self) -> None:
        """Kill it, from any thread; `end` does the rest."""
        self.signal(signal.SIGKILL)

    def end(self, patience: float = 0.0) -> int:
        """Kill it, wait for it, close what belongs to it, and return its status as subprocess does.

        With patience it is first asked to end (SIGTERM), and has so many seconds for it.
        """
        if patience:
            self._process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(patience)
        self.kill()
        with self._lock:
            status = self._process.wait()
        for file in (self._process.stdin, self._process.stdout):
            if file:
                with suppress(BrokenPipeError):
                    file.close()
        return status


# What the processes themselves need


_answers = 1  # where `tell` writes


def arguments(signal_at_its_end: signal.Signals = signal.SIGKILL) -> list:
    """What the process was given. From now on it dies with the process that started it, and what it prints goes nowhere."""
    global _answers
    parent, *given = json.loads(sys.argv[1])
    _answers = os.dup(1)
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 1)
    die_with(parent, signal_at_its_end)
    return given


def die_with(parent: int, signal_at_its_end: signal.Signals = signal.SIGKILL) -> None:
    """From now on this process gets a signal when its parent ends (prctl(2)). fork does not pass this on to a child."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal_at_its_end)
    if os.getppid() != parent:  # it has ended already
        os._exit(0)


def tell(**message: object) -> None:
    """Send the parent a message."""
    os.write(_answers, json.dumps(message).encode() + b"\n")


def orders() -> Iterator[dict]:
    """What the parent says, until it has gone."""
    return map(json.loads, sys.stdin)


def become(program: str, *arguments: object) -> NoReturn:
    """Run another program in place of this one (execve(2)). The lines of JSON that it prints are its messages."""
    os.dup2(_answers, 1)
    os.execv(program, [program, *map(str, arguments)])


def cpu_clock(pid: int) -> int:
    """The clock of a process's CPU time, all its threads, to the nanosecond: for time.clock_gettime (clock_getcpuclockid(3))."""
    return (~pid << 3) | 2


def ended_with(who: str, error: BaseException) -> str:
    """One line on what somebody's code raised, control characters and lone surrogates written as escapes."""
    text = f"{who} ended with {type(error).__name__}: {' '.join(str(error).split())[:200]}"
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def hard_limit() -> int:
    """How many descriptors a process may have at the most."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return MOST if hard == resource.RLIM_INFINITY else hard


def no_room(needed: int) -> str:
    """Why a process cannot have so many descriptors, or ""."""
    return too_few(needed, hard_limit()) if hard_limit() < needed else ""


def too_few(needed: int | str, limit: int) -> str:
    """The sentence for a limit of descriptors that is too low."""
    return f"needs {needed} descriptors in one process, and the limit is {limit} (RLIMIT_NOFILE, ulimit -Hn)"
