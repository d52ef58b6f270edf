"""`python -m course_lib.mine`: what is the learner's own is listed, and serves real clients until it is told to end."""

import contextlib
import os
import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from http.client import HTTPConnection

import pytest
from every_server import ask
from held import course

from course_lib import own_server, proc
from course_lib.exercises import all_exercises
from course_lib.kernel import wait_until
from course_lib.solutions import file_of

OWN_HTTP = '''
from course_lib.mine import recv, send_all

def http(conn, page):
    """A short one, which can be told from the course's own."""
    with conn:
        while data := (yield from recv(conn, 4096)):
            body = b"my own: " + (yield from page(data.split()[1].decode()))
            yield from send_all(conn, b"HTTP/1.1 200 OK\\r\\nContent-Length: %d\\r\\n\\r\\n%b" % (len(body), body))
'''

OWN_LIMIT = '''
from course_lib.mine import http

class RequestTimeout:
    """One that tells its limit."""

    def __init__(self, loop, seconds):
        self.page = b"a limit of %d s" % seconds

    def serve(self, conn, page):
        def told(path):
            return self.page
            yield

        return http(conn, told)
'''


@contextlib.contextmanager
def running(*arguments: str) -> Iterator[tuple[subprocess.Popen, tuple[str, int], list[str]]]:
    """The program in a process: itself, its address, and the lines that it has printed so far."""
    process = course("course_lib.mine", *arguments, start_new_session=True)
    try:
        said = []
        for line in process.stdout:
            said.append(line.rstrip())
            if found := re.fullmatch(r"serving \w+ on (127\.0\.0\.1):(\d+)(?: in \d processes)?", said[-1]):
                break
        else:
            pytest.fail(process.stderr.read())
        yield process, (found[1], int(found[2])), said
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def fetch(address: tuple[str, int], path: str) -> tuple[int, bytes]:
    with contextlib.closing(HTTPConnection(*address, timeout=60)) as client:
        client.request("GET", path)
        answer = client.getresponse()
        return answer.status, answer.read()


def redis(address: tuple[str, int], line: bytes) -> bytes:
    with socket.create_connection(address, timeout=60) as client:
        return ask(client, line)


def test_a_new_learner_owns_nothing_and_is_told_what_serves(capsys):
    assert own_server.main([]) == 0
    said = capsys.readouterr().out
    assert said.startswith("Nothing is yours yet: what passes its check goes to ") and "  http.py" not in said
    for exercise in all_exercises():
        for name in exercise.names:
            assert f"{name} ({exercise.id})" in said
    assert "  python -m course_lib.mine http --port 8080\n  python -m course_lib.mine resp --port 6380\n" in said


def test_what_is_stored_is_listed_with_its_file(capsys, learner_folder):
    learner_folder.mkdir()
    for name in ("Loop", "send_all"):
        (learner_folder / file_of(name)).write_text("")
    assert own_server.main([]) == 0
    said = capsys.readouterr().out
    assert said.startswith(f"Yours, in {learner_folder}:\n  7.2  send_all  send_all.py\n  7.3  Loop      loop.py\n")
    assert "Loop (7.3)" not in said and "http (7.4)" in said


@pytest.mark.parametrize(
    "arguments, says",
    [
        (["ftp"], "your code does not serve 'ftp'; choose http or resp"),
        (["http", "--port", "70000"], "a port is a number from 0 (any free one) to 65535, not 70000"),
        (["http", "--port", "-1"], "a port is a number from 0 (any free one) to 65535, not -1"),
        (["resp", "--processes", "0"], "the number of processes is from 1 to 64, not 0"),
    ],
)
def test_a_mistake_is_one_sentence_and_status_2(arguments, says, capsys):
    assert own_server.main(arguments) == 2
    assert capsys.readouterr().err == says + "\n"


@pytest.mark.parametrize("processes", ["1", "2"])
def test_a_port_in_use_is_one_sentence_and_status_2(processes, listener, capsys):
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    port = listener.getsockname()[1]
    try:
        assert own_server.main(["http", "--port", str(port), "--processes", processes]) == 2
    finally:
        signal.signal(signal.SIGINT, before[0])
        signal.signal(signal.SIGTERM, before[1])
    assert capsys.readouterr().err == (
        f"port {port} is in use: this very program (process {os.getpid()}) listens there. "
        "Stop it, or choose another port (0 means any free one)\n"
    )


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_its_page_and_ends_at_a_signal(sent):
    with running("http") as (process, address, said):
        assert "http is the reference here, until your own passes 7.4." in said
        status, body = fetch(address, "/")
        assert status == 200 and body.startswith(b"<!doctype html>") and b"Served by your own loop" in body
        assert fetch(address, "/nothing")[0] == 404
        process.send_signal(sent)
        assert process.wait(120) == 0 and process.stderr.read() == ""


def test_it_serves_with_the_learners_own_code(learner_folder):
    learner_folder.mkdir()
    (learner_folder / "http.py").write_text(OWN_HTTP)
    with running("http") as (process, address, said):
        assert not any(line.startswith("http is") for line in said)
        status, body = fetch(address, "/")
        assert status == 200 and body.startswith(b"my own: <!doctype html>") and b"<code>http</code>" in body
    (learner_folder / "request_timeout.py").write_text(OWN_LIMIT)
    with running("http") as (process, address, said):
        assert fetch(address, "/") == (200, b"my own: a limit of 60 s")


def test_several_processes_serve_at_one_port_and_all_end_at_a_signal():
    with running("resp", "--processes", "2") as (process, address, said):
        assert said[-1].endswith("in 2 processes")
        assert process.stdout.readline().startswith("each process has a store of its own")
        assert wait_until(lambda: len(proc.children(process.pid)) == 2, 60)
        its = proc.children(process.pid)
        assert redis(address, b"SET city Oslo\r\n") == b"+OK\r\n"
        assert {redis(address, b"GET city\r\n") for _ in range(40)} == {b"$4\r\nOslo\r\n", b"$-1\r\n"}
        os.killpg(process.pid, signal.SIGINT)  # Ctrl-C in a terminal goes to all of them
        assert process.wait(120) == 0 and process.stderr.read() == ""
        assert not any(os.path.exists(f"/proc/{pid}") for pid in its)
