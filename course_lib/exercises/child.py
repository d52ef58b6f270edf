"""The learner's code runs here: a fresh interpreter, started for one check and killed by it."""

import faulthandler
import pickle
import resource
import signal
import socket
import sys
from typing import NoReturn

from .exercise import Wrong
from .talk import Talk, describe

MEMORY = 2 << 30  # bytes of address space
OUTPUT = 16 << 20  # bytes a file may have; standard output is a file here
LIFETIME = 15  # seconds; only matters if the kernel dies and cannot kill this process


def limit(which: int, value: int) -> None:
    hard = resource.getrlimit(which)[1]
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(which, (value, hard))


def main() -> NoReturn:
    control, trace, *numbers = map(int, sys.argv[1:])
    limit(resource.RLIMIT_AS, MEMORY)
    limit(resource.RLIMIT_FSIZE, OUTPUT)
    limit(resource.RLIMIT_CORE, 0)
    signal.alarm(LIFETIME)
    faulthandler.register(signal.SIGUSR1, file=trace, all_threads=False)
    talk = Talk(socket.socket(fileno=control))
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
