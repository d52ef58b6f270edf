"""References of notebook 01: descriptors."""

import os
import tempfile
import time
from collections.abc import Callable


def fd_table(pid: int | str = "self") -> dict[int, str]:
    """Return what each open descriptor of a process names: {number: target}, as the kernel writes it."""
    table = {}
    folder = f"/proc/{pid}/fd"  # one entry for each row of the table, a link to what it names (proc(5))
    for name in os.listdir(folder):
        try:
            table[int(name)] = os.readlink(f"{folder}/{name}")
        except FileNotFoundError:
            pass  # closed meanwhile: the listing itself had a number, and is in its own list
    return table


def capture(fn: Callable[[], object]) -> bytes:
    """Return what fn() writes to descriptor 1, its child processes included; afterwards 1 is what it was."""
    with tempfile.TemporaryFile(buffering=0) as file:  # a file takes all; a pipe would fill up with nobody reading
        saved = os.dup(1)  # a second row for what 1 names now, or nobody could find it again
        os.dup2(file.fileno(), 1)  # row 1 points to the file's description; a child inherits the row
        try:
            fn()
        finally:
            os.dup2(saved, 1)
            os.close(saved)
        file.seek(0)  # both rows shared one offset: it stands where the writing stopped
        return file.read()


def leaks(fn: Callable[[], object]) -> list[str]:
    """Call fn() and return what it left open: the targets of the descriptors that are new."""
    before = fd_table()
    fn()
    once = fd_table()
    time.sleep(0.1)  # what another thread had open for a moment is gone now
    twice = fd_table()
    # number and target: a number may have been reused, and one thing may be open under two numbers
    return [target for number, target in twice.items() if once.get(number) == target != before.get(number)]


EXERCISES = {
    "1.1": (fd_table,),
    "1.2": (capture,),
    "1.3": (leaks,),
}
