"""Every live server of this process, so that none is forgotten when a notebook cell is run again."""

import sys
import threading
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .base import Server

Run = tuple[str, int]  # a notebook cell, and which run of the kernel's counter

_live: dict["Server", Run | None] = {}
_lock = threading.Lock()


def live_servers() -> list["Server"]:
    """The servers that are running now, oldest first."""
    with _lock:
        return list(_live)


def stop_all() -> None:
    """Stop every live server of this process. The first cell of each notebook calls it."""
    for server in live_servers():
        server.stop()


def add(server: "Server", run: Run | None) -> None:
    """Enter a server that is about to run."""
    with _lock:
        _live[server] = run


def stop_left(run: Run | None, by: "Server") -> None:
    """Stop the servers that an earlier run of this cell left; `by` is started again itself."""
    with _lock:
        left = [s for s, its in _live.items() if run and its and its[0] == run[0] and its[1] != run[1] and s is not by]
    for old in left:
        old.stop()


def remove(server: "Server") -> None:
    with _lock:
        _live.pop(server, None)


def current_run() -> Run | None:
    """The notebook cell that is being run in this thread; None outside a notebook."""
    ipython = sys.modules.get("IPython")
    shell = ipython and ipython.get_ipython()
    if not shell or threading.current_thread() is not threading.main_thread():
        return None
    # What JupyterLab and others call the cell; else the file name that IPython makes from its text.
    frame: FrameType | None = sys._getframe()
    cell = None
    while frame:
        if frame.f_globals is shell.user_ns:
            cell = frame.f_code.co_filename
        frame = frame.f_back
    request = shell.get_parent() if hasattr(shell, "get_parent") else {}
    return (request.get("metadata", {}).get("cellId") or cell, shell.execution_count) if cell else None
