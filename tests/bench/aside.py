"""A child process that starts kernels or a browser, and puts them away itself when it is asked to end."""

import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from course_lib.measure import child_process
from course_lib.measure.child_process import ChildProcess

PATIENCE = 30  # seconds until it has put everything away
_LONGEST = 3600  # seconds between two messages


@contextmanager
def aside(module: str, *arguments: object) -> Iterator[Iterator[dict]]:
    """Run ``main()`` of a module of this package; an iterator of its messages. It has ended when the block is left.

    After its last message the iterator raises RuntimeError when it failed.
    """
    with tempfile.TemporaryFile() as said:
        process = ChildProcess(f"{__package__}.{module}", *arguments, errors=said)
        try:
            yield _messages(process, module, said)
        finally:
            process.end(PATIENCE)


def _messages(process: ChildProcess, module: str, said: BinaryIO) -> Iterator[dict]:
    while message := process.hear(_LONGEST):
        yield message
    if status := process.end():
        said.seek(0)
        lines = said.read().decode(errors="replace").strip().splitlines()
        error = next((line for line in reversed(lines) if "Error" in line), f"status {status}")
        raise RuntimeError(f"{module}: {error[:200]}")


def arguments() -> list:
    """What the child was given. From now on it is asked to end when the one that started it has gone."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that all blocks are left in order
    return child_process.arguments(signal.SIGTERM)
