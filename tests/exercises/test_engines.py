"""5.x and 6.x: right solutions of other kinds pass, with a note where one is due; the four servers have one bug each."""

import inspect

import pytest
from exercises.case import changed
from exercises.test_many_clients import TEN
from exercises.wrong import epolling as wrong_epolling
from exercises.wrong import polling as wrong_polling
from exercises.wrong.epolling import DRAIN, EPOLL, PROVOKE, STOPPER
from exercises.wrong.polling import POLL, SELECT, SERVER

from course_lib.checks import bugs
from course_lib.checks.many_clients import check_server
from course_lib.exercises import check
from course_lib.sandbox.attempt import Attempt

_TELL = """
if sock in self.numbers:
    self.epoll.modify(sock, mask)
else:
    self.epoll.register(sock, mask)
"""
_OUT = "if sock.fileno() != -1:\n    self.epoll.unregister(number)"
_READY = "ready = self.epoll.poll(seconds)"
_FOUND = "found.append((self.data[number], readable, writable, hup))"

_ENDS = (
    "and your server ended in line 7, `if sock := try_accept(listener):`, with all its clients. PollServer lets the client wait"
)
_ACCEPTS = "if sock := try_accept(listener):"
_NO_ROOM = """
try:
    sock = try_accept(listener)
except OSError:
    {}
    continue
if sock:
"""

SEARCHES = """
class PollEngine:
    def __init__(self):
        self.watched = []

    def watch(self, sock, read, write, data):
        self.watched = [entry for entry in self.watched if entry[0] is not sock]
        self.watched.append((sock, (read and select.POLLIN) | (write and select.POLLOUT), data))

    def unwatch(self, sock):
        self.watched = [entry for entry in self.watched if entry[0] is not sock]

    def wait(self, seconds):
        poll = select.poll()
        by_number = {}
        for sock, mask, data in self.watched:
            poll.register(sock, mask)
            by_number[sock.fileno()] = data
        found = []
        for number, bits in poll.poll(-1 if seconds is None else seconds * 1000):
            hup = bits & ~(select.POLLIN | select.POLLOUT) != 0
            found.append((by_number[number], bits & select.POLLIN != 0, bits & select.POLLOUT != 0, hup))
        return found
"""
TRIES = """        try:
            self.epoll.register(sock, mask)
        except FileExistsError:
            self.epoll.modify(sock, mask)
"""
FORGIVES = """        try:
            self.epoll.unregister(number)
        except OSError:
            pass
"""
KEEPS_SETS = """
class SelectEngine:
    def __init__(self):
        self.readers, self.writers, self.data = set(), set(), {}

    def watch(self, sock, read, write, data):
        (self.readers.add if read else self.readers.discard)(sock)
        (self.writers.add if write else self.writers.discard)(sock)
        self.data[sock] = data

    def unwatch(self, sock):
        self.readers.discard(sock)
        self.writers.discard(sock)
        self.data.pop(sock, None)

    def wait(self, seconds):
        readable, writable, _ = select.select(self.readers, self.writers, [], seconds)
        both = [(self.data[sock], True, sock in writable, False) for sock in readable]
        return both + [(self.data[sock], False, True, False) for sock in writable if sock not in readable]
"""
SHORT_READS = """
def drain(sock):
    data = b""
    while select.select([sock], [], [], 0)[0]:
        piece = try_recv(sock, 10_000)
        if piece == b"":
            return data, True
        data += piece or b""
    return data, False
"""
EVENTFD = """
class Stopper:
    def __init__(self, engine):
        self.engine, self.file = engine, open(os.eventfd(0), "r+b", buffering=0)
        engine.watch(self.file, True, False, self)

    def stop(self):
        os.eventfd_write(self.file.fileno(), 1)

    def close(self):
        self.engine.unwatch(self.file)
        self.file.close()
"""
ONCE = """
class Stopper:
    def __init__(self, engine):
        self.engine, self.stopped = engine, False
        self.number, self.end = os.pipe()
        engine.watch(self, True, False, self)

    def fileno(self):
        return self.number

    def stop(self):
        if not self.stopped:
            self.stopped = True
            os.write(self.end, b"x")

    def close(self):
        self.engine.unwatch(self)
        os.close(self.number)
        os.close(self.end)
"""
COPIED = "a socket was closed before unwatch(), and a copy"
AT_MOST_1023 = "1100 sockets were ready, and wait() told of 1023; the others come with the next call."


def notes(id: str, cell, source: str, *names: str) -> list[str]:
    """The notes of a check that must pass."""
    imports = wrong_polling.IMPORTS if id.startswith("5") else wrong_epolling.IMPORTS
    learner = cell(source, cell(imports))
    result = check(id, *(learner[name] for name in names))
    assert result.passed, result.findings
    return [finding.words for finding in result.findings if finding.kind == "note"]


@pytest.mark.parametrize("source", [POLL, SEARCHES])
def test_other_kinds_of_poll_engine(source, cell, as_before):
    assert notes("5.1", cell, source, "PollEngine") == []


@pytest.mark.parametrize("source", [SELECT, KEEPS_SETS])
def test_other_kinds_of_select_engine(source, cell, as_before):
    assert notes("5.2", cell, source, "SelectEngine") == []


@pytest.mark.parametrize(
    ("changes", "note"),
    [
        ([], _ENDS),
        ([("engine.wait(None)", "engine.wait(None)[:1]")], _ENDS),
        ([("if conn.want_read and (readable or hup)", "if readable or hup"), ("if conn.want_write and (writable or hup)", "if conn.want_write")], _ENDS),
        ([(_ACCEPTS, _NO_ROOM.format("time.sleep(0.01)"))], ""),
        ([(_ACCEPTS, _NO_ROOM.format("engine.unwatch(listener)"))], "then there was room, and this client got no answer within 1 s"),
    ],
    ids=["the reference in other words", "one for each round", "tries at once", "pauses", "forgets who waits"],
)  # fmt: skip
def test_other_kinds_of_server(changes, note, cell, as_before):
    found = notes("5.3", cell, changed(SERVER, dict(changes)), "server")
    assert all(note in each for each in found) and bool(found) == bool(note)


@pytest.mark.parametrize(
    ("changes", "note"),
    [
        ([], AT_MOST_1023),
        ([(_READY, "ready = self.epoll.poll(seconds, 2000)")], ""),
        ([(_READY, "ready = self.epoll.poll(seconds, 100)")], "1100 sockets were ready, and wait() told of 100;"),
        ([(_TELL, TRIES), (_OUT, FORGIVES)], AT_MOST_1023),
    ],
    ids=["the reference in other words", "room for all", "a hundred at a time", "tries and forgives"],
)
def test_other_kinds_of_epoll_engine(changes, note, cell, as_before):
    found = [each for each in notes("6.1", cell, changed(EPOLL, dict(changes)), "EpollEngine") if COPIED not in each]
    assert all(note in each for each in found) and bool(found) == bool(note)


@pytest.mark.parametrize(
    ("changes", "does"),
    [
        ({}, "wait() raised KeyError"),
        ({_FOUND: f"if number in self.data: {_FOUND}"}, "no wait sleeps any more"),
        (
            {
                _FOUND: f"if number in self.data:\n    {_FOUND}\nelse:\n    self.anew()",
                "def wait(self, seconds):": """
            def anew(self):
                self.epoll.close()
                self.epoll = select.epoll()
                for sock in self.numbers:
                    self.epoll.register(sock, select.EPOLLIN)

            def wait(self, seconds):
        """,
            },
            "",
        ),
    ],
    ids=["a dict without it", "passed over", "a new list"],
)
def test_the_entry_of_a_copied_socket_gets_a_note(changes, does, cell, as_before):
    found = [each for each in notes("6.1", cell, changed(EPOLL, changes), "EpollEngine") if COPIED in each]
    assert len(found) == bool(does) and all(
        f"{COPIED} of its descriptor lived on, as in a forked process: {does}." in each for each in found
    )


@pytest.mark.parametrize("source", [DRAIN, SHORT_READS, DRAIN.replace("65536", "100")])
def test_other_kinds_of_drain(source, cell, as_before):
    assert notes("6.2", cell, source, "drain") == []


@pytest.mark.parametrize(
    "change", [[], [("    client.close()\n", "    client.shutdown(socket.SHUT_WR)\n")], [("range(12)", "range(100)")]]
)
def test_other_experiments(change, cell, as_before):
    for _ in range(3):
        assert notes("6.3", cell, changed(PROVOKE, dict(change)), *(f"provoke_{letter}" for letter in "abcd")) == []


@pytest.mark.parametrize("source", [STOPPER, EVENTFD, ONCE, changed(STOPPER, {'try:\n    self.other.send(b"x")\nexcept BlockingIOError:\n    pass': "self.other.send(b'x') if not hasattr(self, 'n') else None\nself.n = 1"})])  # fmt: skip
def test_other_kinds_of_stopper(source, cell, as_before):
    assert notes("6.4", cell, source, "Stopper") == []


def test_each_repair_is_in_its_server_once():
    for suspect, repairs in bugs.REPAIRS.items():
        for old, _ in repairs:
            assert inspect.getsource(suspect).count(old) == 1, (suspect.__name__, old)


@pytest.mark.parametrize("suspect", [bugs.server_a, bugs.server_d])
def test_without_its_bug_it_is_a_good_server(suspect, as_before):
    """b has too few descriptors for twenty clients, and c lets all of them go on purpose."""
    with Attempt(suspect, suspect.__name__) as attempt:
        check_server(attempt, inside=serve_repaired)
    assert [finding for finding in map(str, attempt.findings) if finding in TEN] == TEN


def serve_repaired(talk, learner, listener):
    from course_lib.checks import bugs
    from course_lib.checks.server_trial import tell_closed_sockets

    tell_closed_sockets(talk)
    listener.setblocking(False)
    bugs.repair(getattr(bugs, learner.__name__))(listener)
