"""The measurements: what they say when they cannot measure, what they leave behind, and the shapes that are certain."""

import json
import os
import pty
import re
import signal
import subprocess
import sys
import threading

import pytest
from held import alive, python

from course_lib.kernel import wait_until
from course_lib.measure import (
    PUBLISHED,
    SOURCE,
    Cost,
    Rung,
    finding,
    growth,
    ladder,
    live_ladder,
    plot_ladder,
    plot_ready,
    plot_waiting,
    ready_cost,
    waiting_cost,
)
from course_lib.proc import children
from course_lib.servers import BlockingServer, EpollServer, PollServer, SelectServer

pytestmark = pytest.mark.usefixtures("nothing_is_left")

ladder_module = sys.modules["course_lib.measure.ladder"]  # the function has the same name

QUICK = {"rounds": 1, "seconds": 0.05}
BRIEF = {"active": 2, "rounds": 1, "seconds": 600.0}  # at most: one round is short, and processes start late on a busy machine


@pytest.fixture(autouse=True)
def time_enough(monkeypatch):
    """A server is not given up because the machine is busy."""
    monkeypatch.setattr(ladder_module, "_PATIENCE", 60.0)
    monkeypatch.setattr(ladder_module, "_ENTRANCE", 300.0)


def by_point(rows):
    return {(row.kind, row.watched): row for row in rows}


# What a wait costs


@pytest.mark.parametrize("measure", [waiting_cost, ready_cost])
def test_each_point_has_a_row_and_select_refuses_what_poll_and_epoll_take(measure):
    rows = measure(numbers=(10, 1100), **QUICK)
    assert [(row.kind, row.watched) for row in rows] == [
        (kind, number) for number in (10, 1100) for kind in ("select", "poll", "epoll")
    ]
    refused = by_point(rows)["select", 1100]
    assert refused.microseconds is None and "ValueError: filedescriptor out of range in select()" in refused.why_not
    for row in rows:
        assert row.ready == (1 if measure is waiting_cost else row.watched)
        if row is not refused:
            assert row.why_not == "" and row.waits > 0
            assert row.low <= row.microseconds <= row.high
            assert (row.wake > 0) if measure is waiting_cost else row.wake is None


def test_select_is_refused_for_the_number_not_for_the_count():
    rows = by_point(waiting_cost(kinds=["select"], numbers=(1000, 1024), **QUICK))
    assert rows["select", 1000].microseconds is not None
    assert rows["select", 1024].microseconds is None


def test_poll_grows_with_the_watched_and_epoll_grows_less():
    rows = by_point(waiting_cost(kinds=("poll", "epoll"), numbers=(10, 5000), rounds=3, seconds=0.5))
    assert rows["poll", 5000].microseconds > 10 * rows["poll", 10].microseconds  # some 500 times
    growth = {kind: rows[kind, 5000].microseconds / rows[kind, 10].microseconds for kind in ("poll", "epoll")}
    assert growth["epoll"] < growth["poll"] / 5


def test_every_kind_grows_when_all_are_ready():
    rows = by_point(ready_cost(numbers=(10, 900), rounds=3, seconds=0.3))
    for kind in ("select", "poll", "epoll"):
        assert rows[kind, 900].microseconds > 5 * rows[kind, 10].microseconds  # some 50 to 90 times


@pytest.mark.parametrize(
    "wrong, words",
    [
        ({"kinds": ["kqueue"]}, "one of select, poll, epoll"),
        ({"numbers": [0]}, "1 or more"),
        ({"numbers": ["10"]}, "1 or more"),
        ({"rounds": 0}, "rounds is 1 or more"),
        ({"seconds": 0}, "seconds more than 0"),
    ],
)
def test_a_wrong_argument_is_said_before_anything_runs(wrong, words):
    with pytest.raises(ValueError, match=words):
        waiting_cost(**wrong)


# What a server costs a request


def test_each_server_has_a_row_for_each_number_of_idle_clients():
    rows = ladder([PollServer, EpollServer], idle=(50, 0), **BRIEF)
    assert [(row.server, row.idle) for row in rows] == [
        ("PollServer", 0),
        ("EpollServer", 0),
        ("PollServer", 50),
        ("EpollServer", 50),
    ]
    for row in rows:
        assert row.why_not == "" and row.active == 2 and row.requests > 0
        assert 0 < row.low <= row.cpu <= row.high and row.requests_per_second > 0


def test_idle_clients_cost_poll_more_than_epoll():
    rows = {
        (row.server, row.idle): row for row in ladder([PollServer, EpollServer], idle=(0, 1500), active=4, rounds=3, seconds=600)
    }
    assert not any(row.why_not for row in rows.values())
    growth = {server: rows[server, 1500].cpu / rows[server, 0].cpu for server in ("PollServer", "EpollServer")}
    assert growth["PollServer"] > 2  # some 30 times
    assert growth["EpollServer"] < growth["PollServer"] / 2


def test_select_ends_at_descriptor_1024_and_is_not_tried_with_more():
    died, skipped = ladder([SelectServer], idle=(1100, 1200), **BRIEF)
    assert "ValueError: filedescriptor out of range in select()" in died.why_not
    assert re.match(r"\d+ of 1100 idle clients were let in", died.why_not)
    assert skipped.why_not == "not tried: it failed with 1100 idle clients"


def test_a_server_that_serves_one_client_at_a_time_says_whom_it_served(monkeypatch):
    monkeypatch.setattr(ladder_module, "_PATIENCE", 6.0)
    (row,) = ladder([BlockingServer], idle=(0,), **BRIEF)
    assert row.why_not == "1 of 2 active clients were answered within 6 s"


def test_servers_of_the_learner_go_along_with_what_they_use():
    factor = 1  # a variable of the enclosing function, and a class that no module holds

    class Own(EpollServer):
        def __init__(self):
            super().__init__(answer=lambda request: request.upper() * factor)

    def chatty(listener):
        while True:
            print("listening " * 1000)  # standard output is not where the measurement is told
            connection, _ = listener.accept()
            while data := connection.recv(4096):
                connection.sendall(data)

    rows = ladder(
        [Own, ("chatty", chatty), ("edges", lambda listener: EpollServer(edge_triggered=True).serve(listener))],
        idle=(0,),
        **BRIEF | {"active": 1},
    )
    assert {row.server: row.why_not for row in rows} == {"Own": "", "chatty": "", "edges": ""}


def broken(name):
    def raises(listener):
        listener.accept()
        raise KeyError("number\n7")  # its text is printed with an escape

    def colours(listener):
        listener.accept()
        raise ValueError("one\ntwo \x1b[31m\x00")

    def returns(listener):
        listener.accept()

    def vanishes(listener):
        listener.accept()
        os._exit(3)

    def cuts(listener):
        while True:
            listener.accept()[0].close()

    def too_long(listener):
        connection, _ = listener.accept()
        while data := connection.recv(4096):
            connection.sendall(2 * data)

    def unwritten(listener):
        raise NotImplementedError

    return locals()[name]


@pytest.mark.parametrize(
    "name, words",
    [
        ("raises", "0 of 1 active clients were answered: it ended with KeyError: 'number\\n7'"),
        ("colours", "it ended with ValueError: one two \\x1b[31m\\x00"),
        ("returns", "0 of 1 active clients were answered: it returned"),
        ("vanishes", "0 of 1 active clients were answered: its process has gone"),
        ("cuts", "0 of 1 active clients were answered: it cut a connection, and runs on"),
        ("too_long", "an answer is longer than its request of 64 bytes"),
        ("unwritten", "it ended with NotImplementedError"),
    ],
)
def test_a_server_that_fails_has_the_reason_in_its_row(name, words):
    good, bad = ladder([EpollServer, (name, broken(name))], idle=(0,), active=1, rounds=1, seconds=600)
    assert good.why_not == "" and good.cpu > 0
    assert bad.cpu is None and words in bad.why_not


def test_what_cannot_go_into_another_process_has_the_reason_in_its_row():
    lock = threading.Lock()
    (row,) = ladder([("locked", lambda listener: lock.acquire())], idle=(0,), **BRIEF)
    assert row.why_not.startswith("locked cannot go into another process: TypeError: cannot pickle")


def test_when_the_time_is_over_the_rest_says_so():
    rows = ladder([PollServer, EpollServer], idle=(0, 10, 20), active=1, rounds=1, seconds=0.01)
    assert len(rows) == 6
    assert all(row.why_not == "not measured: the time for the whole ladder was over" for row in rows)


def test_when_the_time_is_over_a_large_number_is_still_a_row():
    # With so many clients the servers run one after the other, in the order of what they cost: nothing, so far.
    rows = ladder([EpollServer, PollServer], idle=[0, 5000], active=1, rounds=1, seconds=1e-6)
    assert [row.cpu for row in rows] == 4 * [None]


@pytest.mark.parametrize(
    "servers, error, words",
    [
        ([], ValueError, "at least one server"),
        ([PollServer, PollServer], ValueError, "a name of its own"),
        ([7], TypeError, "a server is a class"),
        (["poll"], TypeError, "a server is a class"),
        ([("poll", 3)], TypeError, "a server is a class"),
    ],
)
def test_what_is_no_server_is_refused(servers, error, words):
    for measure in (ladder, live_ladder):
        with pytest.raises(error, match=words):
            measure(servers)


@pytest.mark.parametrize("wrong", [{"idle": (-1,)}, {"active": 0}, {"rounds": 0}, {"seconds": 0}, {"idle": ("5",)}])
def test_numbers_that_cannot_be_meant_are_refused(wrong):
    with pytest.raises(ValueError):
        ladder([EpollServer], **{"idle": (0,)} | wrong)


# Little room, interrupts, and the end of the process


def test_with_256_descriptors_each_measurement_does_what_it_can_and_says_the_rest():
    program = """
import json, resource
resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
from course_lib.measure import ladder, ready_cost, waiting_cost
from course_lib.servers import EpollServer
rows = [*waiting_cost(numbers=(10, 1000), rounds=1, seconds=0.05), *ready_cost(numbers=(10, 1000), rounds=1, seconds=0.05)]
rungs = ladder([EpollServer], idle=(0, 1000), active=2, rounds=1)
print(json.dumps([[(r.watched, r.microseconds, r.why_not) for r in rows], [(r.idle, r.cpu, r.why_not) for r in rungs]]))
"""
    said, _ = python(program).communicate(timeout=600)
    rows, rungs = json.loads(said)
    assert len(rows) == 12
    for number, value, why_not in rows + rungs:
        if number == 1000:
            assert value is None
            assert re.match(r"needs 10\d\d descriptors in one process, and the limit is 256 \(RLIMIT_NOFILE", why_not)
        else:
            assert value is not None and why_not == ""


INTERRUPTED = """
import os, threading
from course_lib.measure import ladder, waiting_cost
from course_lib.kernel import open_numbers
from course_lib.servers import EpollServer, PollServer
before = set(open_numbers())
print("go", flush=True)
try:
    {call}
    print("was not interrupted")
except KeyboardInterrupt:
    print(len(set(open_numbers()) - before), threading.active_count(), flush=True)
input()
"""


@pytest.mark.parametrize(
    "call, processes",
    [
        ("waiting_cost(seconds=100)", 1),
        ("ladder([PollServer, EpollServer], seconds=100, rounds=100)", 1),
        ("ladder([PollServer, EpollServer], seconds=100, rounds=100)", 2),
        ("ladder([PollServer, EpollServer], seconds=100, rounds=100)", 4),
        ("ladder([PollServer], idle=(5000,), seconds=100, rounds=100)", 2),
    ],
)
def test_an_interrupt_leaves_no_process_no_descriptor_and_no_thread(call, processes):
    with python(INTERRUPTED.format(call=call), stdin=subprocess.PIPE) as process:
        assert process.stdout.readline() == "go\n"
        assert wait_until(lambda: len(children(process.pid)) >= processes, 120)
        started = children(process.pid)
        process.send_signal(signal.SIGINT)
        assert process.stdout.readline() == "0 1\n"
        assert children(process.pid) == []
        assert not any(alive(pid) for pid in started)
        process.stdin.close()


def test_the_processes_die_with_the_one_that_started_them():
    with python(INTERRUPTED.format(call="ladder([EpollServer], seconds=100, rounds=100)"), stdin=subprocess.PIPE) as process:
        assert wait_until(lambda: len(children(process.pid)) >= 2, 120)
        started = children(process.pid)
        process.kill()
        process.wait()
        assert wait_until(lambda: not any(alive(pid) for pid in started), 60)


MEASURED = "from course_lib.measure import waiting_cost; waiting_cost(numbers=(10, 100), rounds=30, seconds=0.5)"


def test_progress_is_a_line_on_a_terminal_and_nothing_elsewhere():
    assert python(MEASURED).communicate(timeout=600)[0] == ""
    ours, theirs = pty.openpty()
    with python(MEASURED, stdout=theirs):
        os.close(theirs)
        shown = b""
        try:
            while chunk := os.read(ours, 4096):
                shown += chunk
        except OSError:  # the other end of the terminal is closed
            pass
    os.close(ours)
    assert re.search(rb"\r *\d+%  (no wait, only the wake-up|select|poll|epoll): \d+ descriptors", shown)
    assert shown.endswith(b" \r")  # and then the line is empty again


# Findings and figures

WAITS = [
    Cost("poll", 10, 1, 2.0, 1.9, 2.1),
    Cost("poll", 1000, 1, 100.0, 99.0, 130.0),
    Cost("epoll", 10, 1, 1.0, 0.9, 1.1),
    Cost("epoll", 1000, 1, 1.2, 1.1, 1.3),
    Cost("select", 10, 1, 2.0, 2.0, 2.0),
    Cost("select", 1000, 1, why_not="<refused> $x$"),
]
RUNGS = [
    Rung("PollServer", 0, 20, 3.0, 2.9, 3.1, 100_000, 500),
    Rung("<b>$mine$", 0, 20, 3.0, 2.9, 3.1, 100_000, 500),
    Rung("PollServer", 5000, 20, 150.0, 140.0, 160.0, 6000, 50),
    Rung("<b>$mine$", 5000, 20, why_not="it ended with <i>"),
]


def test_a_finding_is_computed_from_the_rows():
    assert finding(WAITS) == "From 10 to 1,000 watched descriptors a wait takes 50 times as long with poll, 1.2 times with epoll"
    assert finding(RUNGS) == (
        "From 0 to 5,000 idle clients a request costs 50 times as much with PollServer; "
        "<b>$mine$ could not be measured with 5,000"
    )
    assert finding(RUNGS[:2]) == (
        "With 0 idle clients a request costs 3.0 µs of CPU time with PollServer; 1.0 times as much with <b>$mine$"
    )
    ready = [Cost("epoll", 100, 100, 10.0, 9.0, 11.0), Cost("poll", 100, 100, 5.0, 4.0, 6.0)]
    assert finding(ready) == "With all of 100 descriptors ready, poll is the cheapest; epoll takes 2.0 times as long"
    for rows, plot in ((WAITS, plot_waiting), (ready, plot_ready), (RUNGS, plot_ladder)):
        assert plot(rows).get_suptitle().replace("\n", " ") == finding(rows)


def test_a_finding_of_nothing_is_an_error_and_of_failures_only_says_so():
    with pytest.raises(ValueError, match="nothing was measured"):
        finding([])
    failed = [Cost("select", 2000, 1, why_not="refused")]
    assert finding(failed) and plot_waiting(failed).png().startswith(b"\x89PNG")
    failed = [Rung("SelectServer", 5000, 20, why_not="ended")]
    assert finding(failed) == "SelectServer could not be measured with 5,000"
    late = [*failed, Rung("PollServer", 5000, 20, why_not="not measured: the time for the whole ladder was over")]
    assert finding(late) == "There was no time for PollServer with 5,000; SelectServer could not be measured with 5,000"
    assert plot_ladder(failed).png().startswith(b"\x89PNG")


def test_a_figure_is_a_picture_with_a_text_for_those_who_do_not_see_it():
    ready = [Cost("poll", 5, 5, 1.0, 1.0, 1.0)]
    for figure, rows in ((plot_waiting(WAITS), WAITS), (plot_ladder(RUNGS), RUNGS), (plot_ready(ready), ready)):
        assert figure.png().startswith(b"\x89PNG")
        bundle = figure._repr_mimebundle_()
        assert finding(rows) in bundle["text/plain"]
        for row in rows:
            assert str(row) in bundle["text/plain"]
        assert "<b>" not in bundle["text/html"] and "<i>" not in bundle["text/html"]
        assert all(axes.get_xlabel() and axes.get_ylabel() for axes in figure.axes)


def test_the_book_s_table_is_what_is_quoted():
    assert len(PUBLISHED) == 12
    printed = {(row.kind, row.watched): round(row.microseconds / 10, 6) for row in PUBLISHED}  # seconds for 100,000 waits
    assert [printed["poll", n] for n in (10, 100, 1000, 10_000)] == [0.61, 2.9, 35, 990]
    assert [printed["select", n] for n in (10, 100, 1000, 10_000)] == [0.73, 3.0, 35, 930]
    assert [printed["epoll", n] for n in (10, 100, 1000, 10_000)] == [0.41, 0.42, 0.53, 0.66]
    assert "as quoted by" in SOURCE and SOURCE in plot_waiting(WAITS).words


def test_the_book_is_shown_for_the_kinds_that_were_measured_only():
    assert "epoll" not in plot_waiting(WAITS[:2]).words.replace(SOURCE, "")


# The live ladder, without a page


def test_the_live_ladder_measures_a_point_and_adds_it():
    live = live_ladder([PollServer, EpollServer], active=1, rounds=1)
    assert live.rows == [] and "Run this cell to use them" in live.picture()
    page = live.widget
    live.measure(10)
    assert live.wait(600) and not live.busy
    live.measure(0)
    assert live.wait(600)
    assert [(row.server, row.idle, row.why_not) for row in live.rows] == [
        ("PollServer", 0, ""),
        ("EpollServer", 0, ""),
        ("PollServer", 10, ""),
        ("EpollServer", 10, ""),
    ]
    assert "data:image/png" in live.picture() and finding(live.rows) in live._repr_mimebundle_()["text/plain"] + live.picture()
    slider, chart = page.children[0].children[0], page.children[2].value
    assert slider.description == "idle clients" and "<svg" in chart and "PollServer" in chart and "10</th>" in chart
    live.close()


def test_the_live_ladder_measures_one_point_at_a_time_and_stops():
    live = live_ladder([PollServer, EpollServer], rounds=1000, seconds=100)
    live.measure(0)
    with pytest.raises(RuntimeError, match="under way"):
        live.measure(0)
    assert wait_until(lambda: children(os.getpid()), 120)
    live.stop()
    assert live.wait(120)
    assert live.rows == [] and children(os.getpid()) == []
    live.stop()  # harmless
    live.measure(0)  # a stop that came too late does not stop the next one
    assert wait_until(lambda: children(os.getpid()), 120) and live.busy
    live.stop()
    assert live.wait(120)
    live.close()


def test_names_from_learners_are_text_in_the_live_ladder():
    def dies(listener):
        raise ValueError("<script>harm()</script>")

    live = live_ladder([("<b>own</b>", dies), EpollServer], active=1, rounds=1)
    shown = live.widget
    live.measure(0)
    assert live.wait(600)
    html = "".join(part.value for part in shown.children if hasattr(part, "value")) + live.picture()
    assert "&lt;b&gt;own" in html and "<b>own" not in html and "<script>" not in html
    live.close()


@pytest.mark.parametrize("idle", [-1, 1.5, "400", None])
def test_the_live_ladder_refuses_what_is_no_number(idle):
    with pytest.raises(ValueError, match="0 or more"):
        live_ladder([EpollServer]).measure(idle)


def test_growth_is_from_the_fewest_idle_clients_to_the_most_where_both_were_measured():
    rungs = [Rung("a", 800, 1, 30.0), Rung("a", 0, 1, 10.0), Rung("b", 0, 1, 10.0), Rung("b", 800, 1, None)]
    assert growth(rungs, "a") == 3 and growth(rungs, "b") is None and growth(rungs, "c") is None
