"""The ten points for a server: what passes passes always, what is wrong is caught, and a slow machine is nobody's fault."""

import os
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager

import pytest
from exercises.case import wrong as case_of
from exercises.wrong.selecting import CASES, IMPORTS

from course_lib.checks.many_clients import check_server
from course_lib.checks.server_trial import tell_closed_sockets
from course_lib.exercises import all_exercises
from course_lib.sandbox.attempt import Attempt
from course_lib.sandbox.checked_process import CheckedProcess
from course_lib.sandbox.outcome import NotChecked, Wrong
from course_lib.solutions import blocking, nonblocking, selecting

TEN = [
    "ok: a client is answered",
    "ok: a second client is answered while the first one is silent",
    "ok: more messages on the same connection",
    "ok: a line in pieces, two lines in one packet: each client has a buffer of its own",
    "ok: nobody talks: it sleeps",
    "ok: 20 clients at once, and none of them is forgotten",
    "ok: clients that leave, and clients that half-close: first all answers, then the end",
    "ok: a slow reader gets all of its 600000 bytes, and nobody waits for it",
    "ok: clients that are reset, or gone before accept(), do not end it",
    "ok: when all have gone, no descriptor is left, and it sleeps",
]
NINE = [line.replace(", and it sleeps", "") for line in TEN if line != "ok: nobody talks: it sleeps"]

# The servers of the course answer whatever arrives; with this kind of socket whole lines arrive.
WHOLE_LINES = """
import socket
from course_lib.servers import {server}


class LineSocket(socket.socket):
    rest = b""

    def accept(self):
        connection, peer = super().accept()
        return LineSocket(fileno=connection.detach()), peer

    def recv(self, size):
        data = super().recv(size)
        whole, end, self.rest = (self.rest + data).rpartition(b"\\n")
        if data and not end:
            raise BlockingIOError
        return whole + end


def server(listener):
    {server}(bytes.upper).serve(LineSocket(fileno=listener.detach()))
"""


def ten_points(server, **how):
    """What the check found, and the text of what was wrong (None: it passed)."""
    with Attempt(server, server.__name__) as attempt:
        try:
            check_server(attempt, **how)
        except Wrong as wrong:
            return [*map(str, attempt.findings)], str(wrong)
    return [*map(str, attempt.findings)], None


@contextmanager
def spinning(programs: int):
    """So many programs that want a processor all the time."""
    program = [sys.executable, "-c", "print(flush=True)\nwhile True: pass"]
    with ExitStack() as running:
        for _ in range(programs):
            process = running.enter_context(subprocess.Popen(program, stdout=subprocess.PIPE))
            running.callback(process.kill)
            process.stdout.readline()
        yield


@contextmanager
def crowded():
    """One processor for the check, the learner's code and three programs that never sleep."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        with spinning(3):
            yield
    finally:
        os.sched_setaffinity(0, before)


@pytest.mark.parametrize("programs", [0, 1])
def test_the_reference_gets_the_same_ten_lines_each_time_also_beside_a_busy_program(programs, as_before):
    with spinning(programs):
        for _ in range(3):
            assert ten_points(selecting.select_server) == (TEN, None)


def test_a_crowded_machine_is_not_blamed_on_the_learner(as_before):
    with crowded():
        for _ in range(3):
            try:
                assert ten_points(selecting.select_server) == (TEN, None)
            except NotChecked as reason:
                assert "too busy" in str(reason)


@pytest.mark.parametrize(
    "wrong",
    ["serves one after the other", "one Lines for all", "never waits", "never closes", "closes, and stays in the list of select"],
)
def test_a_wrong_server_is_caught_on_a_crowded_machine(wrong, cell, as_before):
    _, says, source = case_of(CASES["4.2"], wrong)
    server = cell(source, cell(IMPORTS))["select_server"]
    with crowded():
        try:
            found, said = ten_points(server)
        except NotChecked as reason:
            assert "too busy" in str(reason)
        else:
            assert said and says in said


@pytest.mark.parametrize("server, sleeps", [("SelectServer", True), ("NonBlockingServer", False)])
def test_the_servers_of_the_course_pass(server, sleeps, cell, as_before):
    found, said = ten_points(cell(WHOLE_LINES.format(server=server))["server"], sleeps=sleeps)
    assert said is None
    assert [line for line in found if line.startswith("ok: ")] == (TEN if sleeps else NINE)


def test_a_server_that_spins_passes_only_where_it_may(as_before):
    assert ten_points(nonblocking.busy_server, sleeps=False) == (NINE, None)
    found, said = ten_points(nonblocking.busy_server)
    assert found == TEN[:4]
    assert said.startswith("Nobody talks, yet your server runs all the time (CPU ")


def test_a_blocking_server_is_stopped_at_the_second_client(as_before):
    for how in {}, {"sleeps": False}:
        found, said = ten_points(blocking.serve_forever, **how)
        assert found == TEN[:1]
        assert said.startswith("The first client is silent, and a second one got no answer within 1 s: your server sleeps")
        assert "recv() waits for ONE socket (recv(2))" in said


def test_output_without_end_is_stopped(cell, as_before):
    server = cell("def server(listener):\n    while True:\n        print('waiting for a client' * 1000)")["server"]
    found, said = ten_points(server)
    assert said.startswith("server prints without end in line 3, ")


def test_late_by_the_learner_or_by_the_machine(cell, monkeypatch, as_before):
    server = cell("def server(listener):\n    import time; time.sleep(60)")["server"]
    start = CheckedProcess.start

    def with_little_time_left(process, *given):
        start(process, *given)
        process._limit._end = time.monotonic() + 0.3 - process._limit.lost()  # less than a client waits for its answer

    monkeypatch.setattr(CheckedProcess, "start", with_little_time_left)
    monkeypatch.setattr("course_lib.sandbox.checked_process.BUSY", 1000)  # as if nobody else had wanted the processor
    assert ten_points(server)[1].startswith("The check was not through when its time was up; it sleeps in line 2")
    monkeypatch.setattr("course_lib.sandbox.checked_process.BUSY", -1)  # as if other programs had kept the processor
    with pytest.raises(NotChecked, match="The machine was too busy"):
        ten_points(server)


def test_what_runs_in_the_child_can_be_chosen(cell, as_before):
    names = cell("""
    from course_lib.checks.server_trial import tell_closed_sockets

    def inside(talk, learner, listener):
        tell_closed_sockets(talk)
        learner("an argument more", listener)

    def server(first, listener):
        from course_lib.solutions.selecting import select_server
        assert first == "an argument more"
        select_server(listener)
    """)
    assert ten_points(names["server"], inside=names["inside"]) == (TEN, None)


def test_a_server_without_the_signal_handler_is_not_killed_by_it(cell, as_before):
    inside = cell("def inside(talk, learner, listener): learner(listener)")["inside"]
    assert ten_points(selecting.select_server, inside=inside) == (TEN, None)
    assert tell_closed_sockets.__doc__


def changed_server(cell, *changes):
    """The reference of 4.2 as a cell, with other parts in it."""
    source = next(exercise.reference for exercise in all_exercises() if exercise.id == "4.2")
    for old, new in changes:
        source = source.replace(old, new)
    return cell(source)["select_server"]


def test_waking_up_for_nothing_is_named(cell, as_before):
    found, said = ten_points(changed_server(cell, ("None)", "0.002)")))
    assert found == TEN[:4] and "a time limit makes it look for nothing, again and again" in said


def test_memory_for_a_client_that_never_reads_is_named(cell, as_before):
    found, said = ten_points(changed_server(cell, ("if conn.want_read", "if not conn.finished")))
    assert found == TEN[:9]
    assert said.startswith("A client sends and never reads: your server took 2 MB from it and keeps all the answers in memory.")


@pytest.mark.parametrize("seconds", [None, 30, 0.5])
def test_a_time_limit_on_the_wait_is_allowed(seconds, cell, as_before):
    assert ten_points(changed_server(cell, ("None)", f"{seconds})"))) == (TEN, None)


def test_one_client_for_each_round_is_allowed(cell, as_before):
    one_each = ("for sock in readable:", "for sock in readable[:1]:"), ("in writable:", "in writable[-1:]:")
    assert ten_points(changed_server(cell, *one_each)) == (TEN, None)
