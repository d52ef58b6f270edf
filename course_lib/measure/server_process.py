"""The process in which a server is measured."""

import os
import pickle
import socket
import sys

from course_lib.proc import raise_limit
from course_lib.servers import Server

from .child_process import MOST, arguments, ended_with, tell


def main() -> None:
    (number,) = arguments()
    raise_limit(MOST)
    listener = socket.socket(fileno=number)
    try:
        serve = pickle.load(sys.stdin.buffer)
        if isinstance(serve, type) and issubclass(serve, Server):
            serve = serve().serve
        serve(listener)
        ended = "it returned"
    except BaseException as error:  # also what somebody's server raises to end its process
        ended = ended_with("it", error)
    tell(ended=ended)
    os._exit(0)  # its listener and connections close now, whoever still refers to them
