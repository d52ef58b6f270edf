"""References of notebook 08: is it computing or waiting, who keeps the loop, and how to hand work over."""

import os
import pickle
import signal
import socket
import time
from collections.abc import Callable, Generator

from .coroutines import Loop, sleep


def classify(fn: Callable[[], object]) -> str:
    """Call fn() and say what it did: "cpu" (over 80 % computing), "io" (under 20 %: it waited) or "mixed"."""
    began, used = time.perf_counter(), time.thread_time()
    fn()
    used = time.thread_time() - used  # of this thread alone; the others' does not count
    share = used / (time.perf_counter() - began)
    return "cpu" if share > 0.8 else "io" if share < 0.2 else "mixed"


def longest_gap(task: Generator) -> float:
    """Run the task in a Loop beside a heartbeat. Return the longest time between two beats, in seconds."""
    over, longest = False, 0.0

    def watched() -> Generator:
        nonlocal over
        try:
            yield from task
        finally:  # also when it raises
            over = True

    def heartbeat() -> Generator:
        nonlocal longest
        last = time.monotonic()
        while not over:
            yield from sleep(0.01)
            last, before = time.monotonic(), last
            longest = max(longest, last - before)

    loop = Loop()
    loop.spawn(heartbeat())  # first: so it sees also what the task does before its first yield
    loop.spawn(watched())
    loop.run()
    return longest


def offload(fn: Callable, *args: object) -> Generator[tuple, None, object]:
    """Call fn(*args) in a child process; meanwhile other tasks run. Return what it returns, raise what it raises."""
    ours, theirs = socket.socketpair()
    pid = os.fork()
    if pid == 0:  # the child: it has a copy of everything, fn included
        try:
            os.closerange(3, theirs.fileno())  # copies of the server's sockets: they would keep its clients connected
            os.closerange(theirs.fileno() + 1, 1 << 20)
            try:
                answer = pickle.dumps((fn(*args), None))
            except BaseException as error:
                answer = pickle.dumps((None, error))
            theirs.sendall(answer)
        finally:
            os._exit(0)  # whatever happened: the child must not go on as a second server
    theirs.close()  # or the end of the data would never come: we would hold its other end ourselves
    got = bytearray()
    try:
        with ours:
            while True:
                yield "read", ours
                if not (piece := ours.recv(65536)):
                    break
                got += piece
    finally:
        os.kill(pid, signal.SIGKILL)  # it has ended, unless this task was closed before
        os.waitpid(pid, 0)  # takes its exit status, or it stays a zombie
    if not got:
        raise ChildProcessError("the child process ended without an answer")
    result, failed = pickle.loads(got)
    if failed is not None:
        raise failed
    return result


EXERCISES = {
    "8.1": (classify,),
    "8.2": (longest_gap,),
    "8.3": (offload,),
}
