"""Processes in which something is measured, or serves, or makes load. They speak in lines of JSON."""

import ctypes
import io
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from typing import NoReturn

MOST = 1 << 20  # descriptors that a process asks for, if it cannot say how many it needs
_PR_SET_PDEATHSIG = 1  # prctl(2)
_IP_BIND_ADDRESS_NO_PORT = 24  # ip(7): the port is chosen by connect(), which may use one again towards another address


class ChildProcess:
    """A fresh Python process that runs ``main()`` of a module.

    module      the name of a module of this package, or a full name; `arguments` reach it as JSON (`arguments()`)
    keep        descriptors that it inherits under the same numbers
    payload     bytes that its standard input holds; without them standard input is what `say` writes
    """

    def __init__(self, module: str, *arguments: object, keep: tuple[int, ...] = (), payload: bytes | None = None) -> None:
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
                stderr=subprocess.DEVNULL,
                pass_fds=keep,
                start_new_session=True,  # a process group to kill, and no Ctrl-C that was meant for the notebook
                env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            )
        self.pid = self._process.pid

    def say(self, **message: object) -> None:
        """Send it a line, unless it has gone."""
        assert self._process.stdin, "its standard input holds the payload"
        try:
            self._process.stdin.write(json.dumps(message).encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass

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
                try:
                    os.killpg(self.pid, number)
                except ProcessLookupError:
                    pass

    def kill(self) -> None:
        """Kill it, from any thread; `end` does the rest."""
        self.signal(signal.SIGKILL)

    def end(self) -> int:
        """Kill it, wait for it, close what belongs to it, and return its status as subprocess does."""
        self.kill()
        with self._lock:
            status = self._process.wait()
        for file in (self._process.stdin, self._process.stdout):
            if file and not file.closed:
                try:
                    file.close()
                except BrokenPipeError:
                    pass
        return status


# What the processes themselves need


_answers = 1  # where `tell` writes


def arguments() -> list:
    """What the process was given. From now on it dies with the process that started it, and what it prints goes nowhere."""
    global _answers
    parent, *given = json.loads(sys.argv[1])
    _answers = os.dup(1)
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 1)
    die_with(parent)
    return given


def die_with(parent: int) -> None:
    """From now on this process is killed when its parent ends (prctl(2)). fork does not pass this on to a child."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it has ended already
        os._exit(0)


def tell(**message: object) -> None:
    """Send the parent a message."""
    os.write(_answers, json.dumps(message).encode() + b"\n")


def become(program: str, *arguments: object) -> NoReturn:
    """Run another program in place of this one (execve(2)). The lines of JSON that it prints are its messages."""
    os.dup2(_answers, 1)
    os.execv(program, [program, *map(str, arguments)])


def bind_address(client: socket.socket, number: int) -> None:
    """Let a client come from 127.0.0.`number`. One address has some 28,000 ports, and connect() chooses among them."""
    client.setsockopt(socket.IPPROTO_IP, _IP_BIND_ADDRESS_NO_PORT, 1)
    client.bind((f"127.0.0.{number}", 0))


def cpu_clock(pid: int) -> int:
    """The clock of a process's CPU time, all its threads, to the nanosecond: for time.clock_gettime (clock_getcpuclockid(3))."""
    return (~pid << 3) | 2


def ended_with(who: str, error: BaseException) -> str:
    """One line on what somebody's code raised, control characters and lone surrogates written as escapes."""
    text = f"{who} ended with {type(error).__name__}: {' '.join(str(error).split())[:200]}"
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def too_few(needed: int | str, limit: int) -> str:
    """The sentence for a limit of descriptors that is too low."""
    return f"needs {needed} descriptors in one process, and the limit is {limit} (RLIMIT_NOFILE, ulimit -Hn)"
