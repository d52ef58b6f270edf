"""9.2 beyond its typical wrong solutions: the reference as a program of its own."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from course_lib.kernel import wait_until
from course_lib.proc import state

PROGRAM = """
{before}
import os, socket, sys, time
from course_lib.solutions.capstone import open_listeners, prefork

def serve(listener):
    os.write(1, b"at work %d %d\\n" % (os.getpid(), time.monotonic_ns()))  # in one piece: the other one writes too
    {serve}

prefork(open_listeners({number}), serve)
print("returned", flush=True)
"""


@pytest.fixture
def program():
    """Start a program in which the reference runs; at the end it and its workers are killed."""
    started = []

    def start(number: int, serve: str = "time.sleep(60)", before: str = "") -> subprocess.Popen:
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM.format(number=number, serve=serve, before=before)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True, cwd=Path(__file__).parents[2],
        )  # fmt: skip
        started.append(process)
        return process

    yield start
    for process in started:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.communicate()


def began(process: subprocess.Popen) -> tuple[int, float]:
    """The number of the next worker that says that it is at work, and when it began (seconds, monotonic)."""
    pid, moment = re.fullmatch(r"at work (\d+) (\d+)\n", process.stdout.readline()).groups()
    return int(pid), int(moment) / 1e9


def worker(process: subprocess.Popen) -> int:
    return began(process)[0]


def test_ctrl_c_ends_parent_and_workers_without_a_word(program):
    process = program(2)
    workers = [worker(process), worker(process)]
    os.killpg(process.pid, signal.SIGINT)  # what a terminal does
    assert process.communicate(timeout=20) == ("returned\n", "")
    assert process.returncode == 0
    assert [state(pid) for pid in workers] == ["", ""]


def test_a_worker_may_die_in_the_moment_in_which_all_are_told_to_end(program):
    process = program(2)
    workers = [worker(process), worker(process)]
    os.kill(process.pid, signal.SIGSTOP)
    assert wait_until(lambda: state(process.pid) == "T", 10)
    os.kill(workers[0], signal.SIGKILL)
    assert wait_until(lambda: state(workers[0]) == "Z", 10)
    os.kill(process.pid, signal.SIGTERM)
    os.kill(process.pid, signal.SIGCONT)
    assert process.communicate(timeout=20)[0].endswith("returned\n")
    assert [state(pid) for pid in workers] == ["", ""]


def test_workers_that_fail_at_once_are_not_started_without_a_pause(program):
    process = program(1, serve="raise RuntimeError('no such page')")
    moments = [began(process)[1] for _ in range(5)]
    assert all(later - earlier > 0.04 for earlier, later in zip(moments, moments[1:]))
    process.send_signal(signal.SIGTERM)
    _, printed = process.communicate(timeout=20)
    assert "RuntimeError: no such page" in printed
    assert process.returncode == 0


@pytest.mark.parametrize(
    "of_its_own", ["signal(signal.SIGTERM, lambda *_: None)", "pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})"]
)
def test_the_reference_ends_in_a_program_that_handles_or_blocks_sigterm_itself(program, of_its_own):
    process = program(2, "time.sleep(60)", f"import signal; signal.{of_its_own}")
    for _ in range(2):
        worker(process)
    process.terminate()
    assert process.communicate(timeout=60)[0].endswith("returned\n") and process.returncode == 0


def test_the_reference_replaces_a_worker_in_a_program_that_ignores_sigchld(program):
    process = program(1, before="import signal; signal.signal(signal.SIGCHLD, signal.SIG_IGN)")
    os.kill(worker(process), signal.SIGKILL)
    worker(process)  # another one
    process.terminate()
    assert process.communicate(timeout=60)[0].endswith("returned\n") and process.returncode == 0
