"""The learner's code runs here: a fresh interpreter, started for one check and killed by it."""

import fcntl
import os
import pickle
import resource
import signal
import socket
import sys
import traceback
from itertools import islice
from types import FrameType
from typing import NoReturn

from .outcome import Wrong
from .talk import Talk, describe

MEMORY = 2 << 30  # bytes of address space
OUTPUT = 16 << 20  # bytes a file may have; standard output is a file here
LIFETIME = 180  # seconds; only matters if the kernel dies and cannot kill this process


def limit(which: int, value: int) -> None:
    hard = resource.getrlimit(which)[1]
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(which, (value, hard))


def lowest(number: int) -> int:
    """The same open file under the lowest free number, so that the learner's code finds the same numbers each time."""
    low = fcntl.fcntl(number, fcntl.F_DUPFD, 3)
    os.close(max(low, number))
    return min(low, number)


def tell_lines(trace: int, frame: FrameType | None) -> None:
    """Write the lines that run now, the innermost first, as faulthandler does; a sleeping call goes on (PEP 475).

    faulthandler itself will not do: its handler loses errno, and a busy server then gets "[Errno 0]" for EAGAIN.
    """
    lines = (
        f'  File "{f.f_code.co_filename}", line {number} in {f.f_code.co_name}\n' for f, number in traceback.walk_stack(frame)
    )
    os.write(trace, ("".join(islice(lines, 100)) + "runpy\n").encode(errors="backslashreplace"))


def main() -> NoReturn:
    control, trace, *numbers = map(lowest, map(int, sys.argv[1:]))
    limit(resource.RLIMIT_AS, MEMORY)
    limit(resource.RLIMIT_FSIZE, OUTPUT)
    limit(resource.RLIMIT_CORE, 0)
    signal.alarm(LIFETIME)
    signal.signal(signal.SIGUSR1, lambda number, frame: tell_lines(trace, frame))
    talk = Talk(socket.socket(fileno=control))
    talk.send({"started": True})  # the course's library is here; what ends this process from now on is the learner's
    try:
        # Standard input is a file: the learner's code finds it at its end.
        inside, learner = pickle.load(sys.stdin.buffer)
    except BaseException as error:
        talk.send({"unloadable": describe(error)})
    else:
        sockets = [socket.socket(fileno=number) for number in numbers]  # open until the check has seen all
        talk.send({"ready": True})
        try:
            inside(talk, learner, *sockets)
            talk.tell(done=True)
        except Wrong as wrong:
            talk.send({"wrong": str(wrong)})
        except BaseException as error:
            talk.send({"raised": describe(error)})
    while True:
        talk.hear()


if __name__ == "__main__":
    main()
