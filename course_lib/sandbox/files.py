"""Files without a name, and waiting for them."""

import os
import select
import socket
from typing import BinaryIO


def memory_file(name: str) -> BinaryIO:
    """A file in memory, gone when closed: a pipe could fill up, a file cannot."""
    return open(os.memfd_create(name), "w+b", buffering=0)


def readable(seconds: float, *files: socket.socket | BinaryIO) -> list[socket.socket | BinaryIO]:
    """Those that can be read, or are at their end, now or within `seconds`. Any descriptor number will do."""
    poll = select.poll()
    by_number = {file.fileno(): file for file in files}
    for number in by_number:
        poll.register(number, select.POLLIN)
    return [by_number[number] for number, _ in poll.poll(max(0.0, seconds) * 1000)]
