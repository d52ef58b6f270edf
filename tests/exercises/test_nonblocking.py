"""3.1 to 3.3: right solutions of other kinds pass, with a note where they cost something."""

import pytest
from exercises.case import changed
from exercises.wrong.nonblocking import ACCEPT, BUSY, IMPORTS, LIMITED, RECV

from course_lib.exercises import check


def found(id: str, cell, source: str, *names: str) -> list[str]:
    learner = cell(source, cell(IMPORTS))
    result = check(id, *(learner[name] for name in names))
    assert result.passed, result.findings
    return [finding.words for finding in result.findings if finding.kind == "note"]


ASKS_FIRST = """
def try_accept(listener):
    if not select.select([listener], [], [], 0)[0]:
        return None
    connection, _ = listener.accept()
    os.set_blocking(connection.fileno(), False)
    return connection
"""
LOOKS_AT_ERRNO = """
def try_recv(sock, size):
    try:
        return sock.recv(size, socket.MSG_DONTWAIT)
    except OSError as error:
        if error.errno == errno.EAGAIN:
            return None
        if error.errno in (errno.EBADF, errno.ENOTSOCK):
            raise
        return b""
"""
HIDES = """
def try_recv(sock, size):
    try:
        return sock.recv(size)
    except BlockingIOError:
        return None
    except OSError:
        return b""
"""


@pytest.mark.parametrize(
    ("source", "note"),
    [
        (
            ASKS_FIRST
            + RECV.replace(
                "except OSError:", "except OSError as error:\n        if error.errno == errno.EBADF:\n            raise"
            ),
            "",
        ),
        (ACCEPT + LOOKS_AT_ERRNO, ""),
        (ACCEPT + HIDES, "it hides a bug of your own (EBADF)"),
    ],
)
def test_other_ways_to_try(source, note, cell, as_before):
    notes = found("3.1", cell, source, "try_accept", "try_recv")
    assert note in notes[0] if note else not notes


@pytest.mark.parametrize(
    ("changes", "note"),
    [
        ([], ""),
        ([("del self.outbuf[:sent]", "self.outbuf = self.outbuf[sent:]")], "copies all the rest each time"),
        ([("for line in self.lines(data):\n    self.outbuf += line.upper() + b\"\\n\"", "for line in self.lines(data):\n    self.outbuf += line.upper() + b\"\\n\"\nself.on_writable()")], ""),
        ([("        data = try_recv(self.sock, 4096)\n        if data is None:\n            return\n", "        data = b\"\"\n        while chunk := try_recv(self.sock, 4096):\n            data += chunk\n        if not data and chunk is None:\n            return\n")], ""),
        ([("try_recv(self.sock, 4096)", "try_recv(self.sock, 512)")], ""),
    ],
    ids=["the reference in other words", "copies", "sends at once", "reads all there is", "small reads"],
)  # fmt: skip
def test_other_kinds_of_conn(changes, note, cell, as_before):
    notes = found("3.2", cell, changed(LIMITED, dict(changes)), "Conn")
    assert note in notes[0] if note else not notes


SELECTS = [("    while True:\n", "    while True:\n        select.select([listener, *(conn.sock for conn in conns if conn.want_read)], [conn.sock for conn in conns if conn.want_write], [])\n")]  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "note"),
    [
        ([], "with 0, 100 and 400 silent clients it takes all of a core that it can get: it never sleeps"),
        ([("    while True:\n", "    while True:\n        time.sleep(0.005)\n")], "it naps between the rounds"),
        (SELECTS, "it sleeps: this is more than was asked"),
    ],
    ids=["spins", "naps", "selects"],
)
def test_other_kinds_of_busy_server(changes, note, cell, as_before):
    assert note in found("3.3", cell, changed(BUSY, dict(changes)), "busy_server")[-1]
