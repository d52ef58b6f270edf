"""What a thread is doing: running, or asleep in which system call, on which descriptor, since when."""

import ctypes
import math
import os
import platform
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache

from . import libc

# Python's name of a call: its numbers on x86-64 (arch/x86/entry/syscalls/syscall_64.tbl), and on aarch64 and riscv64
# (include/uapi/asm-generic/unistd.h).
_NUMBERS: dict[str, tuple[list[int], list[int]]] = {
    "read": ([0], [63]),
    "write": ([1], [64]),
    "poll": ([7, 271], [73]),
    "readv": ([19], [65]),
    "writev": ([20], [66]),
    "select": ([23, 270], [72]),
    "pause": ([34], []),
    "sleep": ([35, 230], [101, 115]),
    "connect": ([42], [203]),
    "accept": ([43, 288], [202, 242]),
    "send": ([44], [206]),
    "recv": ([45], [207]),
    "sendmsg": ([46], [211]),
    "recvmsg": ([47], [212]),
    "wait": ([61, 247], [95, 260]),
    "flock": ([73], [32]),
    "sigwait": ([128], [137]),
    "sigsuspend": ([130], [133]),
    "futex": ([202], [98]),
    "epoll_wait": ([232, 281, 441], [22, 441]),
}
_X86_64, _GENERIC = ({number: call for call, both in _NUMBERS.items() for number in both[i]} for i in (0, 1))
CALLS = {"x86_64": _X86_64, "aarch64": _GENERIC, "riscv64": _GENERIC}.get(platform.machine(), {})
# select, pselect6, ppoll and epoll_pwait2 take their time limit by a pointer, the others as a number of milliseconds.
TAKE_A_POINTER = {23, 270, 271, 441} if CALLS is _X86_64 else {72, 73, 441}

_ON_A_DESCRIPTOR = set("read write readv writev connect accept send recv sendmsg recvmsg flock epoll_wait".split())
_WAIT_CHANNELS = {
    "inet_csk_accept": "accept",
    "wait_woken": "recv",
    "sk_stream_wait_memory": "send",
    "sock_alloc_send_pskb": "send",
    "poll_schedule_timeout": "poll",
    "do_epoll_wait": "epoll_wait",
    "ep_poll": "epoll_wait",
    "hrtimer_nanosleep": "sleep",
    "futex_do_wait": "futex",
    "futex_wait_queue": "futex",
    "futex_wait_queue_me": "futex",
    "pipe_read": "read",
}
_WINDOW = 1.0  # seconds over which the CPU share is taken
_LASTING = 0.05  # seconds after which a futex of which nothing more is known counts as a sleep
_TICK = 1 / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Doing:
    """What a thread is doing at one moment.

    asleep      True while the kernel has taken it off the processor inside a system call
    call        the name of that call as Python knows it ("accept", "recv", "epoll_wait", "sleep", …); None when running
    descriptor  the descriptor that call waits on; None when it waits on none, or on a list
    seconds     how long it has slept; 0.0 when running
    cpu         its share of one core, 0.0 to 1.0, over about the last second
    ended       when the thread is over (or was never started): how, in a sentence; else None
    unknown     True where no /proc tells: then nothing else is said of a thread that lives
    stopped     True while a signal has stopped its process (SIGSTOP, until SIGCONT: signal(7)); then it is not asleep
    """

    asleep: bool
    call: str | None = None
    descriptor: int | None = None
    seconds: float = 0.0
    cpu: float = 0.0
    ended: str | None = None
    unknown: bool = False
    stopped: bool = False

    def __str__(self) -> str:
        if self.unknown:
            return "not known: this system has no /proc"
        if self.ended:
            return self.ended
        if self.stopped:
            return "stopped by a signal"
        if not self.asleep:
            return f"running, CPU {self.cpu:.0%}"
        where = f" on descriptor {self.descriptor}" if self.descriptor is not None else ""
        return f"asleep in {self.call or 'the kernel'}{where} for {self.seconds:.1f} s, CPU {self.cpu:.0%}"


class CpuShare:
    """The share of one core over about the last second, from looks at the CPU time that was used so far."""

    def __init__(self) -> None:
        self.looks: deque[tuple[float, float]] = deque()  # (seconds since boot, CPU seconds used)

    def of(self, used: float) -> float:
        """The share now, when so many seconds have been used; 0.0 at the first look."""
        now = _uptime()
        while len(self.looks) > 1 and self.looks[1][0] < now - _WINDOW:
            self.looks.popleft()
        if not self.looks or now - self.looks[-1][0] > _WINDOW / 20:
            self.looks.append((now, used))
        then, had = self.looks[0]
        return max(0.0, used - had) / (now - then) if now > then else 0.0


class ThreadView:
    """Looks at one thread of this process from outside; remembers a second of looks for its CPU share."""

    def __init__(self, thread: threading.Thread) -> None:
        self._thread = weakref.ref(thread)  # who looks at it does not keep it
        self._share = CpuShare()
        self._lock = threading.Lock()

    def doing(self) -> Doing:
        """What the thread is doing now. Never waits longer than a few milliseconds."""
        if not libc.HAS_PROC:
            thread = self._thread()
            return Doing(False, unknown=True) if thread and thread.is_alive() else Doing(False, ended="ended")
        try:
            with self._lock:
                return self._look()
        except (FileNotFoundError, ProcessLookupError):  # it ended while we looked
            return Doing(asleep=False, ended="ended")

    def _look(self) -> Doing:
        call, descriptor = self._system_call()
        if call is None:
            return Doing(asleep=False, cpu=self._cpu_share())
        return Doing(True, call or None, descriptor, self._asleep_for(), self._cpu_share())

    def _system_call(self) -> tuple[str | None, int | None]:
        """(call, descriptor); call is None when running, "" when it sleeps in a call we have no name for."""
        try:
            words = self._read("syscall").split()
        except PermissionError:
            words = []
        if words and words[0] == "running":
            return None, None
        if words and int(words[0]) in CALLS:
            call = CALLS[int(words[0])]
            if call == "futex" and int(words[1], 16) in _runtime():
                return None, None  # it wants Python's own lock (the GIL): a busy thread, not a sleeper
            return call, int(words[1], 16) if call in _ON_A_DESCRIPTOR else None
        if self._stat()[0] == "R":
            return None, None
        call = _WAIT_CHANNELS.get(self._read("wchan"), "")
        if call == "futex" and self._asleep_for() < _LASTING:  # one that wants the GIL asks anew every 5 ms
            return None, None
        return call, None

    def _asleep_for(self) -> float:
        """Seconds since the thread last had a processor, by the clock of this processor."""
        seen = self._unchanged_for()
        try:
            processor = int(self._stat()[36])  # field 39 of stat: where it ran last
            return max(seen, _clock_of(processor) - _last_ran(self._read("sched")))
        except (OSError, ValueError):
            return seen

    def _unchanged_for(self) -> float:
        """The same from our own looks: at least so long."""
        used = self._cpu_seconds()
        since = next((when for when, then in self._share.looks if then == used), None)
        return 0.0 if since is None else _uptime() - since

    def _cpu_share(self) -> float:
        if not self._share.looks:
            self._share.looks.append((float(self._stat()[19]) * _TICK, 0.0))  # field 22: start time, in ticks since boot
        return min(1.0, self._share.of(self._cpu_seconds()))

    def _cpu_seconds(self) -> float:
        try:
            return int(self._read("schedstat").split()[0]) / 1e9
        except (FileNotFoundError, IndexError):  # a kernel without scheduler statistics
            fields = self._stat()
            return (int(fields[11]) + int(fields[12])) * _TICK

    def _stat(self) -> list[str]:
        """The fields of stat from the third, the state, on; the second, the name, may contain spaces (proc(5))."""
        return self._read("stat").rpartition(")")[2].split()

    def _read(self, name: str) -> str:
        if not (thread := self._thread()):
            raise ProcessLookupError
        return libc.read(f"/proc/self/task/{thread.native_id}/{name}")


@cache
def _runtime() -> range:
    """The addresses of the interpreter's own state, where the GIL is (_PyRuntime, pycore_runtime.h); other locks are elsewhere."""
    with suppress(OSError, ValueError):  # a Python that does not show it
        own = ctypes.addressof(ctypes.c_char.in_dll(ctypes.pythonapi, "_PyRuntime"))
        with open("/proc/self/maps") as maps:
            for line in maps:
                first, last = (int(end, 16) for end in line.split()[0].split("-"))
                if first <= own < last:
                    return range(own, last)
    return range(0)


def _uptime() -> float:
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


def _last_ran(sched: str) -> float:
    """When the scheduler last counted this thread's time (seconds), by the clock of the processor it was on."""
    for line in sched.splitlines():
        if line.startswith("se.exec_start"):
            return float(line.rpartition(":")[2]) / 1000
    raise ValueError("this kernel does not show se.exec_start")


# Each processor has a scheduler's clock of its own: the time that interrupts take, or a hypervisor, is not in it, so they run
# apart (update_rq_clock_task() in kernel/sched/core.c), after hours by half a second.
_clocks: dict[int, tuple[float, float]] = {}  # processor -> what its clock shows above monotonic(), and when that was read
_GOOD_FOR = 10.0  # seconds


def _clock_of(processor: int) -> float:
    """What the scheduler's clock of this processor shows now, in seconds: that of a thread which runs on it."""
    ahead, read_at = _clocks.get(processor, (0.0, -math.inf))
    if time.monotonic() - read_at > _GOOD_FOR:
        allowed = os.sched_getaffinity(0)  # of this thread alone
        os.sched_setaffinity(0, {processor})
        try:
            ahead = _last_ran(libc.read("/proc/thread-self/sched")) - time.monotonic()
        finally:
            os.sched_setaffinity(0, allowed)
        _clocks[processor] = ahead, time.monotonic()
    return ahead + time.monotonic()


def asleep_on(numbers: set[int], known: Mapping[threading.Thread, Doing] = {}) -> dict[int, list[tuple[str, str]]]:
    """The threads of this process that sleep in a call on one of these descriptors: {number: [(thread, call)]}.

    A thread that waits on a list of descriptors (select, poll) is not found: the kernel keeps that list to itself.
    known: what was read of some threads already; they are not asked again, for they may do something else by now.
    """
    found: dict[int, list[tuple[str, str]]] = {}
    for thread in threading.enumerate():
        try:
            seen = known.get(thread)
            call, number = (seen.call, seen.descriptor) if seen else _views.setdefault(thread, ThreadView(thread))._system_call()
        except OSError:
            continue
        if call and number in numbers:
            found.setdefault(number, []).append((thread.name, call))
    return found


_views: weakref.WeakKeyDictionary[threading.Thread, ThreadView] = weakref.WeakKeyDictionary()


def doing(thread: threading.Thread) -> Doing:
    """What a thread of this process is doing now: see Doing. Raises TypeError for anything else."""
    if not isinstance(thread, threading.Thread):
        raise TypeError(f"doing() looks at a threading.Thread, not {type(thread).__name__}")
    if thread.native_id is None:
        return Doing(asleep=False, ended="not started")
    if not thread.is_alive():
        return Doing(asleep=False, ended="ended")
    return _views.setdefault(thread, ThreadView(thread)).doing()


def runnable(thread: threading.Thread) -> bool:
    """True while a thread of this process runs or waits for a processor; False while it sleeps, and where no /proc tells."""
    try:
        return ThreadView(thread)._stat()[0] == "R"
    except OSError:
        return False


def wait_until(condition: Callable[[], bool], seconds: float = 10.0) -> bool:
    """Wait for something that the kernel does not announce, such as "that thread is asleep in accept".

    Returns True as soon as `condition()` is true, False when it is not within `seconds`.
    """
    deadline = time.monotonic() + seconds
    while True:
        used = time.thread_time()
        if condition():
            return True
        if time.monotonic() > deadline:
            return False
        # As long as the look took: a dear one, again and again, would keep Python's lock from those that it waits for.
        time.sleep(max(0.001, time.thread_time() - used))
