"""What the child says to the check and back: lines of JSON, so nothing of the learner's is unpickled in the kernel."""

import json
import os
import socket
from traceback import walk_stack
from types import TracebackType
from typing import Any, NoReturn

_OTHERS = os.path.dirname(os.path.dirname(__file__)), os.path.dirname(os.__file__), "<frozen"


class Talk:
    """The child's end of the conversation with the check."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._lines = control.makefile("rb")
        self._pid = os.getpid()

    def tell(self, **data: object) -> None:
        """Send facts: what `CheckedProcess.hear` returns."""
        self.send({"tell": data})

    def good(self, text: str) -> None:
        self.send({"good": text})

    def step(self, text: str, seconds: float = 1.0) -> None:
        """What begins now; if it takes longer than `seconds`, `text` begins the message."""
        self.send({"step": text, "seconds": seconds})

    def too_busy(self) -> NoReturn:
        """Other programs have kept the processor, so nobody can tell right from wrong. Ends this process."""
        self.send({"too busy": True})
        self.hear()
        os._exit(0)

    def hear(self) -> dict[str, Any]:
        """Wait for the check to say something. Ends this process when the check has gone."""
        self._end_copies()
        line = self._lines.readline()
        if not line:
            os._exit(0)
        message: dict[str, Any] = json.loads(line)
        return message

    def send(self, message: dict[str, Any]) -> None:
        self._end_copies()
        self._control.sendall(json.dumps(message).encode() + b"\n")

    def _end_copies(self) -> None:
        """A copy that the learner's code forked must not speak or hear in our name. One that came out of that code says so; it ends."""
        if os.getpid() == self._pid:
            return
        if not any(is_learners(frame.f_code.co_filename) for frame, _ in walk_stack(None)):
            self._control.sendall(b'{"copy": true}\n')
        os._exit(0)


def own_frame(traceback: TracebackType | None) -> tuple[str, int] | None:
    """File and line of the innermost frame that is the learner's own code."""
    found = None
    while traceback:
        file = traceback.tb_frame.f_code.co_filename
        if is_learners(file):
            found = file, traceback.tb_lineno
        traceback = traceback.tb_next
    return found


def is_learners(file: str) -> bool:
    """Is this neither the course's nor Python's own, nor of an installed package?"""
    return not (file.startswith(_OTHERS) or "/site-packages/" in file or "/dist-packages/" in file)


def describe(error: BaseException) -> dict[str, Any]:
    """An exception as plain data. Its own code (``__str__``) runs, so it may do anything but raise."""
    try:
        text = str(error)
        text = str.__str__(text)[:300]
    except BaseException as second:
        text = f"(its __str__ raised {type(second).__name__})"
    number = error.errno if isinstance(error, OSError) and isinstance(error.errno, int) else None
    return {
        "type": str(type(error).__name__),
        "text": text,
        "errno": number,
        "frame": own_frame(error.__traceback__),
        "unwritten": isinstance(error, NotImplementedError),
    }
