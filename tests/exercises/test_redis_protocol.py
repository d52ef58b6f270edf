"""9.1: a missing tool is told, and the reference answers byte by byte as it should."""

import socket

import pytest
from exercises.sockets import in_a_loop, pair
from exercises.wrong.redis_protocol import IMPORTS, RESP, SENDS

from course_lib.checks import redis_programs
from course_lib.solutions.capstone import resp
from course_lib.solutions.coroutines import recv, send_all


def test_a_tool_that_is_missing_is_named_with_the_line_that_installs_it(cell, monkeypatch, checked):
    monkeypatch.setattr(redis_programs.shutil, "which", lambda name: None)
    monkeypatch.setattr(redis_programs.importlib.util, "find_spec", lambda name: None)
    result = checked("9.1", cell(RESP, cell(IMPORTS))["resp"])
    assert result.passed
    notes = [finding.words for finding in result.findings if finding.kind == "note"]
    assert SENDS in notes.pop(0)
    assert [note.rpartition(": ")[2] for note in notes] == ["sudo apt-get install redis-tools", "pip install redis"]


def answers(sent: bytes) -> bytes:
    """All that the reference answers to a client which sends this and half-closes."""
    got = bytearray()

    def asks(client):
        try:
            yield from send_all(client, sent)
            client.shutdown(socket.SHUT_WR)
        except ConnectionError:
            pass  # it was told enough
        while data := (yield from recv(client, 65_536)):
            got.extend(data)

    with pair() as (conn, client):
        in_a_loop(resp(conn, {}), asks(client))
        assert conn.fileno() == -1
    return bytes(got)


def array(*words: bytes) -> bytes:
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in words)


@pytest.mark.parametrize("sent, right", [
    (array(b"PING"), b"+PONG\r\n"),
    (array(b"pInG"), b"+PONG\r\n"),
    (b"PING\r\n", b"+PONG\r\n"),
    (b"ping\n", b"+PONG\r\n"),
    (b"  PING  \r\n", b"+PONG\r\n"),
    (b"\r\n\r\nPING\r\n", b"+PONG\r\n"),
    (b"*0\r\nPING\r\n", b"+PONG\r\n"),
    (array(b"SET", b"a", b"1") + array(b"GET", b"a"), b"+OK\r\n$1\r\n1\r\n"),
    (array(b"SET", b"", b"") + array(b"GET", b""), b"+OK\r\n$0\r\n\r\n"),
    (array(b"GET", b"a"), b"$-1\r\n"),
    (array(b"HELLO", b"3") + array(b"GET", b"a"), b"%1\r\n$5\r\nproto\r\n:3\r\n_\r\n"),
    (array(b"HELLO", b"4") + array(b"GET", b"a"), b"-ERR unknown command 'HELLO'\r\n$-1\r\n"),
    (array(b"GET"), b"-ERR wrong number of arguments\r\n"),
    (array(b"SET", b"a", b"1", b"EX", b"9") + array(b"GET", b"a"), b"-ERR wrong number of arguments\r\n$-1\r\n"),
    (array(b"\r\n'\xff"), b"-ERR unknown command \"\\r\\n'\\xff\"\r\n"),
    (array(b""), b"-ERR unknown command ''\r\n"),
    (array(*[b"x"] * 1024) + b"PING\r\n", b"-ERR unknown command 'x'\r\n+PONG\r\n"),
    (b"", b""),
    (b"*2\r\n$3\r\nGET\r\n$1\r\na", b""),
    (b"PING\r\n*2\r\n$3", b"+PONG\r\n"),
])  # fmt: skip
def test_a_command_and_its_answer(sent, right):
    assert answers(sent) == right


@pytest.mark.parametrize("sent, said", [
    (b"*x\r\n", "expected '*' and a number up to 1024"),
    (b"*-1\r\n", "expected '*' and a number up to 1024"),
    (b"*1025\r\n", "expected '*' and a number up to 1024"),
    (b"*" + b"9" * 5000 + b"\r\n", "expected '*' and a number up to 1024"),
    (b"*1\r\nPING\r\n", "expected '$' and a number up to 1048576"),
    (b"*1\r\n$+4\r\nPING\r\n", "expected '$' and a number up to 1048576"),
    (b"*1\r\n$1_0\r\nPINGPINGPI\r\n", "expected '$' and a number up to 1048576"),
    (b"*1\r\n$ 4\r\nPING\r\n", "expected '$' and a number up to 1048576"),
    (b"*1\r\n$\xb2\r\n12\r\n", "expected '$' and a number up to 1048576"),
    (b"*1\r\n$1048577\r\n", "expected '$' and a number up to 1048576"),
    (b"*2\r\n$3\r\nGET\r\n$1048574\r\n", "expected '$' and a number up to 1048573"),
    (b"*1\r\n$2\r\nPING\r\n", "expected a line end after a word"),
    (b"x" * 100_000, "too long a line"),
    (b"*" + b"1" * 100_000, "too long a line"),
])  # fmt: skip
def test_what_is_no_resp_is_answered_and_ends_the_connection(sent, said):
    got = answers(b"PING\r\n" + sent + (b"" if len(sent) > 90_000 else b"\r\nPING\r\n"))
    assert got == b"+PONG\r\n-ERR Protocol error: " + said.encode() + b"\r\n"


def test_a_command_of_1_mb_is_taken():
    value = b"v" * ((1 << 20) - 4)
    assert answers(array(b"SET", b"k", value) + array(b"GET", b"k")) == b"+OK\r\n$%d\r\n%b\r\n" % (len(value), value)


def test_answers_of_one_packet_leave_together():
    class Counting(socket.socket):
        sends = 0

        def send(self, *arguments):
            Counting.sends += 1
            return super().send(*arguments)

    with pair() as (theirs, client):
        conn = Counting(fileno=theirs.detach())
        conn.setblocking(False)
        client.sendall(array(b"PING") * 100)
        client.shutdown(socket.SHUT_WR)
        in_a_loop(resp(conn, {}))
        assert client.recv(10_000) == b"+PONG\r\n" * 100 and Counting.sends == 1
