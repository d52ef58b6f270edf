"""The references of notebook 08 beyond their checks: on both loops, closed early, with results that cannot travel, when all is slow."""

import gc
import os
import socket
import threading
import time
from unittest.mock import Mock

import pytest

from course_lib.checks import cpu_io
from course_lib.kernel import open_numbers
from course_lib.sandbox.outcome import Wrong
from course_lib.servers.scheduler import Loop as SchedulerLoop
from course_lib.solutions.coroutines import Loop
from course_lib.solutions.cpu_io import classify, longest_gap, offload


@pytest.fixture(autouse=True)
def no_child_and_no_descriptor_is_left():
    gc.collect()  # what an earlier test has left to it would go meanwhile
    before = sorted(open_numbers())
    yield
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)
    assert sorted(open_numbers()) == before


@pytest.mark.parametrize("loop", [Loop, SchedulerLoop])
def test_offload_runs_on_both_loops(loop):
    results = {}

    def task(name, *work):
        results[name] = yield from offload(*work)

    running = loop()
    running.spawn(task("big", bytes, 300_000))
    running.spawn(task("small", pow, 2, 10))
    running.run()
    assert results == {"big": bytes(300_000), "small": 1024}


def test_computing_in_the_loop_is_a_gap_and_offloading_it_a_smaller_one():
    def compute():
        until = time.thread_time() + 0.5
        while time.thread_time() < until:
            pass

    def here():
        compute()
        yield "sleep", 0

    def share(task):
        began = time.monotonic()
        return longest_gap(task) / (time.monotonic() - began)

    assert longest_gap(here()) >= 0.5
    assert min(share(offload(compute)) for _ in range(3)) < 0.5


def test_a_task_that_is_closed_early_ends_its_child():
    task = offload(time.sleep, 60)
    next(task)
    task.close()


def test_a_result_that_cannot_be_pickled_is_an_exception():
    task = offload(lambda: lambda: None)
    with pytest.raises(Exception, match="pickle"):
        while True:
            next(task)


def test_a_client_that_is_let_go_meanwhile_notices_at_once():
    client, connection = socket.socketpair()
    client.settimeout(5)
    task = offload(time.sleep, 60)
    next(task)
    connection.close()
    assert client.recv(1) == b""
    client.close()
    task.close()


@pytest.mark.parametrize("slow", ["__init__", "start"])
def test_a_thread_that_is_slow_to_start_makes_no_fault_of_a_right_answer(monkeypatch, slow):
    times = [True] * 4
    soon = getattr(threading.Thread, slow)

    def late(thread, *args, **more):
        if not isinstance(thread, threading.Timer) and times and times.pop():
            cpu_io._compute()  # as long as the other thread will: `mixed` is right
        soon(thread, *args, **more)

    monkeypatch.setattr(threading.Thread, slow, late)
    cpu_io._use_classify(Mock(), classify)
    assert not times


@pytest.mark.parametrize("gaps", [[0.05], [0.034, 0.05, 0.05, 0.05], [0.02, 0.06, 0.02, 0.05, 0.05, 0.05]])
def test_gaps_that_other_programs_made_longer_are_no_mean(gaps):
    gaps = gaps.copy()

    def beats_beside(task):
        loop = Loop()
        loop.spawn(task)
        loop.run()
        return gaps.pop() if gaps else 0.012

    with pytest.raises(Wrong, match="The heartbeat has to be a task of the SAME loop"):
        cpu_io._use_longest_gap(Mock(), beats_beside)


def test_two_answers_that_an_interrupt_has_changed_are_no_fault_and_three_are(monkeypatch):
    short = []

    def disturbed(fn):
        answer = classify(fn)
        beside = fn.__closure__[1].cell_contents.__name__ == "wait_beside_a_busy_thread"
        return "mixed" if beside and len(short) < times and not short.append(answer) else answer

    times = 2
    cpu_io._use_classify(Mock(), disturbed)
    short.clear()
    times = 200
    with pytest.raises(Wrong, match="while ANOTHER thread computes"):
        cpu_io._use_classify(Mock(), disturbed)


@pytest.mark.parametrize(
    "shares, computes",
    [
        ([0.02], False),
        ([1.0, 0.02] + 6 * [1.0], True),  # it stood still once, in a page fault
        ([0.5, 0.02, 0.02], False),  # other programs were in its way
    ],
)
def test_one_that_stood_still_once_has_not_slept(monkeypatch, shares, computes):
    gap, left = cpu_io._Gap(Mock(), longest_gap), iter(shares)

    def of(what, *steps):
        gap.cpu = next(left)
        return 0.01

    monkeypatch.setattr(gap, "of", of)
    assert gap.less(0.2, "waits", 0.3) and (gap.cpu > cpu_io._BEATS) == computes
    assert not list(left)
