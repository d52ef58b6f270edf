"""What a check concludes from time: only what a busy machine cannot feign."""

import os
import platform
import select
import socket
import time
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
from exercises.case import wrong
from exercises.wrong import polling as polling_wrong
from exercises.wrong import redis_protocol as redis_protocol_wrong
from exercises.wrong import selecting as selecting_wrong

from course_lib import proc
from course_lib.checks import chat, epoll_list, event_loop
from course_lib.checks.server_trial import ServerTrial
from course_lib.exercises import check
from course_lib.sandbox import stopwatch
from course_lib.sandbox.attempt import Attempt
from course_lib.sandbox.checked_process import CheckedProcess
from course_lib.sandbox.outcome import NotChecked, Stuck, Wrong
from course_lib.sandbox.stopwatch import Stopwatch


def started(names, *sockets):
    """An attempt, and a process of it that runs ``inside(talk, learner, *sockets)``, which is among these names."""
    attempt = Attempt(lambda: None, "learner")
    return attempt, attempt.start(names["inside"], *sockets)


@contextmanager
def trial(names):
    """The trial of a server that is ``inside(talk, learner, listener)``."""
    with Attempt(lambda: None, "learner") as attempt:
        yield ServerTrial(attempt, inside=names["inside"])


def gets_its_message(module, id, exercise, name, cell):
    """The wrong solution of this name is told its cause."""
    _, says, source = wrong(module.CASES[id], name)
    result = check(id, cell(source, cell(module.IMPORTS))[exercise])
    assert says in result.findings[-1].words


def test_time_spent_waiting_for_a_processor_does_not_count(monkeypatch):
    waited = [0.0]
    monkeypatch.setattr(stopwatch, "waited_for_a_processor", lambda process: waited[0])
    watch, looks = Stopwatch(), []

    def condition() -> bool:
        looks.append(1)
        waited[0] += 0.01  # more than a look takes
        return len(looks) == 20

    assert watch.until(condition, 0.05)
    assert watch.passed() < 0.05 < watch.lost()


def test_a_stopwatch_does_not_stand_still_for_ever(monkeypatch):
    waited = [0.0]
    monkeypatch.setattr(stopwatch, "waited_for_a_processor", lambda process: waited[0])
    watch = Stopwatch()

    def never() -> bool:
        waited[0] += 1.0
        return False

    assert not watch.until(never, 0.01)


def test_what_waits_and_has_had_no_processor_yet_is_not_taken_for_idle(monkeypatch):
    counted, letter = (10**6, 2 * 10**6, 1), "R"
    monkeypatch.setattr(stopwatch, "schedstat", lambda process: counted)
    monkeypatch.setattr(stopwatch, "state", lambda process: letter)
    watch, end = Stopwatch(4711, alone=True), time.monotonic() + 0.05
    assert (
        watch.until(lambda: time.monotonic() > end, 0.01) and watch.lost() > 0.04
    )  # so long it waits, and ten times as long at most
    counted = (2 * 10**6, 5 * 10**6, 2)  # now it has had one
    assert watch.lost() == pytest.approx(0.003)
    letter, end = "S", time.monotonic() + 0.02
    assert watch.until(lambda: time.monotonic() > end, 1) and watch.lost() == pytest.approx(0.003)


@pytest.mark.parametrize(
    "words, for_ever",
    [("232 0x3 0x7f 0x1 0xffffffff 0x0", True), ("232 0x3 0x7f 0x1 0x0 0x0", False), ("7 0x7f 0x1 0x0 0x0", False),
     ("7 0x7f 0x1 0xffffffffffffffff 0x0", True), ("271 0x7f 0x1 0x0 0x0", True), ("23 0x4 0x7f 0x0 0x0 0x0", True), ("running", False)],
)  # fmt: skip
@pytest.mark.skipif(platform.machine() != "x86_64", reason="the numbers are those of x86-64")
def test_a_call_that_does_not_wait_at_all_does_not_sleep_for_ever(words, for_ever, monkeypatch, cell):
    attempt, process = started(cell("def inside(talk, learner): talk.hear()"))
    monkeypatch.setattr(proc, "syscall", lambda pid: words.split())
    with attempt:
        assert process.sleeps_for_ever() is for_ever


def test_a_loop_that_could_run_and_gets_no_processor_does_not_sleep():
    unlucky = SimpleNamespace(
        until=lambda *_: False,
        cpu=lambda: 0.0,
        wakes=lambda: 0,
        own_time=lambda seconds: [seconds],
        where=lambda: "",
        state=lambda: "R",
    )
    with pytest.raises(Wrong, match="your Loop runs all the time"):
        event_loop._sleeps(unlucky, os.getpid(), "Tasks wait for sockets, none sleeps", None)


def test_what_a_child_of_the_process_waits_for_a_processor_does_not_count(monkeypatch):
    waited = {4711: 0.0, 4712: 0.0}
    alive = [4712]
    monkeypatch.setattr(stopwatch, "children", lambda process: alive)
    monkeypatch.setattr(stopwatch, "waited_for_a_processor", lambda process: waited.get(process, 0.0))
    watch, alone = Stopwatch(4711), Stopwatch(4711, alone=True)
    waited[4712] = 5.0
    assert (watch.lost(), alone.lost()) == (5.0, 0.0)
    alive.clear()
    assert watch.lost() == 5.0


def test_a_look_at_the_process_lasts_until_it_has_had_its_time(cell, monkeypatch):
    attempt, process = started(cell("def inside(talk, learner): talk.hear()"))
    began = time.monotonic()
    monkeypatch.setattr(stopwatch, "waited_for_a_processor", lambda process: 0.8 * (time.monotonic() - began))
    with attempt:
        *_, passed = process.own_time(0.05)
    assert passed >= 0.05 and time.monotonic() - began >= 0.25


def test_what_disturbs_a_measurement_is_not_taken_for_growth():
    costs = {10: [1, 1, 1, 1], 1000: [90, 70, 2, 1]}
    assert epoll_list.grows(lambda number: costs[number].pop(0), 10, 1000, 5) == 2


def test_a_server_dies_of_what_came_before_though_it_tells_so_later(cell):
    names = cell("""
    def inside(talk, learner, listener):
        conn, _ = listener.accept()
        conn.send(b"x")
        raise RuntimeError("of the first")
    """)
    with trial(names) as its:
        its.happened = "A client came, and your server died: "
        with pytest.raises(Wrong, match="^A client came, and your server died: learner raised RuntimeError"), its.explained():
            its.receive(its.connect(), 1)
            its.happens("Another one came, and your server died: ")


@pytest.mark.parametrize("stranger, said", [(False, Wrong), (True, NotChecked)])
def test_a_server_is_not_blamed_while_a_stranger_talks_to_it(stranger, said, cell):
    names = cell("def inside(talk, learner, listener):\n    kept = [listener.accept() for _ in range(2)]\n    talk.hear()")
    with trial(names) as its:
        ours = its.connect()
        other = socket.create_connection(its.address) if stranger else its.connect()
        with ours, other, pytest.raises(said), its.explained():
            raise Wrong("Something is wrong.")


def test_what_comes_while_the_check_looks_at_a_sleeping_process_counts(cell, monkeypatch):
    attempt, process = started(cell("def inside(talk, learner): talk.hear(); talk.tell(came=True); talk.hear()"))
    look = CheckedProcess.asleep_in

    def late(self) -> str:
        self.say()
        assert select.select([self._control], [], [], 5)[0]
        return look(self)

    monkeypatch.setattr(CheckedProcess, "asleep_in", late)
    with attempt:
        assert process.hear("it did not tell within 0.05 s", 0.05) == {"came": True}


@pytest.fixture
def looked(monkeypatch) -> list:
    """A look at its line wakes the process: it runs for a moment, and on a busy machine for a longer one. An item a look."""
    looked = []
    line, look = CheckedProcess.where, CheckedProcess.asleep_in
    monkeypatch.setattr(CheckedProcess, "where", lambda self: (line(self), looked.append(1))[0])
    monkeypatch.setattr(CheckedProcess, "asleep_in", lambda self: "" if looked else look(self))
    return looked


@pytest.mark.parametrize("call", ["accept", "recv", "select"])
def test_the_call_in_which_it_slept_is_known_after_a_look_at_its_line(call, cell, looked):
    names = cell("""
    import select, socket
    CALLS = {
        "accept": lambda listener: listener.accept(),
        "recv": lambda listener: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).recv(1),
        "select": lambda listener: select.select([listener], [], []),
    }
    """)
    cell(f"def inside(talk, learner, listener): CALLS[{call!r}](listener)", names)
    attempt, process = started(names, socket.create_server(("127.0.0.1", 0)))
    with attempt, pytest.raises(Stuck) as stuck:
        process.hear("it did not tell within 0.2 s", 0.2)
    assert looked and stuck.value.asleep and stuck.value.call == call


def test_a_server_that_sleeps_in_accept_is_told_so_while_it_is_awake_for_a_moment(cell, looked):
    gets_its_message(polling_wrong, "5.3", "server", "a blocking listener", cell)


def test_the_learners_code_finds_the_same_numbers_free_whatever_is_open_here(cell):
    names = cell("""
    def inside(talk, learner, listener):
        import socket
        talk.tell(numbers=[listener.fileno(), socket.socket().fileno()])
    """)
    found = []
    for more in 0, 20:
        held = [os.open(os.devnull, os.O_RDONLY) for _ in range(more)]
        attempt, process = started(names, socket.create_server(("127.0.0.1", 0)))
        with attempt:
            found.append(process.hear("it did not tell within 1 s")["numbers"])
        for number in held:
            os.close(number)
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("got", "whole"),
    [
        (b"I am Ann\nI am Ben\n", True),
        (b"I am Ben\nI am Ann\n", True),  # sent at the same time: each order is right
        (b"I am Ann\nI am Ann\n", False),
        (b"II  aamm  ABnenn\n\n", False),
        (b"I am Ann\nI am Ben", False),
        (b"", False),
    ],
)
def test_lines_that_were_sent_at_the_same_time_may_come_in_each_order(got, whole):
    assert chat._are_lines(got, b"I am Ann\n", b"I am Ben\n") is whole


@pytest.mark.parametrize("name", ["no limit", "drops what is over the limit"])
def test_what_is_kept_for_a_client_shows_also_where_the_kernel_counts_too_little(name, cell, monkeypatch):
    """The kernel takes pages back when memory is short, and memory that was free before does not count as more."""
    monkeypatch.setattr(CheckedProcess, "memory", lambda self: 10 << 20)
    gets_its_message(selecting_wrong, "4.4", "chat", name, cell)


def test_memory_that_shrinks_between_two_copies_counts(cell, monkeypatch):
    """A server whose answers pile up holds the old and the new copy of them, then only the new one, and so on."""
    looks, memory = [], CheckedProcess.memory

    def wavering(self) -> int:
        looks.append(memory(self))
        return min(looks) if len(looks) % 2 else looks[-1]

    monkeypatch.setattr(CheckedProcess, "memory", wavering)
    gets_its_message(redis_protocol_wrong, "9.1", "resp", "answers pile up", cell)


def test_half_a_second_without_a_processor_is_not_taken_for_sleep(monkeypatch):
    starved, runs = (0.0, 0.0, 0, 1.0), (1.0, 0.0, 0, 1.0)  # share of a core, naps, times it woke up, looks at which it runs
    windows = iter([starved, runs, starved, runs])
    trial = ServerTrial.__new__(ServerTrial)
    trial.sleeps, trial.process = True, SimpleNamespace(until=lambda condition, seconds: False, where=str, sleeps_for_ever=None)
    monkeypatch.setattr(trial, "_window", lambda: next(windows))
    with pytest.raises(Wrong, match="runs all the time"):
        trial.idle("Nobody talks")
    assert not list(windows)
