"""One process is one core: what the measurement returns, why it could not be done, and that nothing stays behind."""

import os
import threading
import uuid

import pytest
from held import interrupted_in, marked

from course_lib.kernel import wait_until
from course_lib.measure import computing_page, cores, processes
from course_lib.measure.cores import HEAD
from course_lib.proc import children
from course_lib.solutions.capstone import open_listeners, prefork
from course_lib.solutions.coroutines import Loop, accept, http


def serve(listener, page=computing_page):
    def accepts():
        while True:
            loop.spawn(http((yield from accept(listener)), page))

    listener.setblocking(False)
    loop = Loop()
    loop.spawn(accepts())
    loop.run()


@pytest.fixture(autouse=True)
def nothing_left(monkeypatch):
    """No process of ours, or of theirs."""
    mark = uuid.uuid4().hex
    monkeypatch.setenv("COURSE_TEST", mark)
    monkeypatch.setattr(cores, "_PATIENCE", 120.0)  # a busy machine starts a process late
    yield
    assert wait_until(lambda: not marked(mark), 30), marked(mark)


def test_a_row_for_each_number_of_processes(capsys):
    rows = processes(open_listeners, prefork, serve, counts=(1, 2), seconds=1.0)
    assert [(row.processes, row.why_not) for row in rows] == [(1, ""), (2, "")]
    for row in rows:
        assert row.requests_per_second > 0 and row.cores > 0
        assert len(row.per_worker) == row.processes and sum(row.per_worker) == pytest.approx(row.cores)
    assert rows[1].per_worker == tuple(sorted(rows[1].per_worker, reverse=True)) and all(rows[1].per_worker)
    assert capsys.readouterr().out.splitlines() == [HEAD, *map(str, rows)]


def refused(number):
    raise OSError("no port is free")


def fails(listener):
    raise RuntimeError("no such page")


def no_page(listener):
    serve(listener, lambda path: iter(()))


def no_parent(listeners, serve):
    return None


@pytest.mark.parametrize(
    "functions, why",
    [
        ((refused, prefork, serve), "the server ended with OSError: no port is free"),
        ((open_listeners, no_parent, serve), "prefork returned"),
        ((open_listeners, prefork, fails), "serve ended with RuntimeError: no such page"),
        ((open_listeners, prefork, no_page), "the answer has the status 404, not 200"),
    ],
)
def test_a_row_says_why_there_is_no_measurement(functions, why):
    [row] = processes(*functions, counts=(1,), seconds=0.1)
    assert row.why_not == why and row.requests_per_second == 0 and str(row).endswith(why)


def test_what_cannot_go_into_another_process_is_refused():
    with pytest.raises(ValueError, match="cannot go into another process"):
        processes(open_listeners, prefork, lambda listener, lock=threading.Lock(): None)  # noqa: B008


def test_an_interrupt_leaves_nothing():
    with interrupted_in(processes, lambda: len(children(os.getpid())) >= 2), pytest.raises(KeyboardInterrupt):
        processes(open_listeners, prefork, serve, seconds=30)
