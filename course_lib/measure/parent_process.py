"""The process whose children are measured: the parent of some workers."""

import os
import pickle
import socket
import sys

from .child_process import arguments, die_with, ended_with, tell


def main() -> None:
    (count,) = arguments()
    parent = os.getpid()
    try:
        open_listeners, prefork, serve = pickle.load(sys.stdin.buffer)
        listeners = open_listeners(count)

        def served(listener: socket.socket) -> None:
            die_with(parent)  # also when that is killed
            try:
                serve(listener)
                tell(why="serve returned")
            except BaseException as error:
                tell(why=ended_with("serve", error))
                raise

        tell(port=listeners[0].getsockname()[1])
        prefork(listeners, served)
        why = "prefork returned"
    except BaseException as error:  # also what somebody's code raises to end its process
        why = ended_with("the server", error)
    if os.getpid() == parent:
        tell(why=why)
    os._exit(0)
