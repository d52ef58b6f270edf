"""A mix of computing and waiting: what workers record, in the shape that threads, processes and coroutines give it."""

import itertools
import os
import sys
import threading
import time

import pytest
from held import interrupted_in

from course_lib.measure.mix import KINDS, MOST, LiveMix, Span, finding, lanes, live_mix, picture, run_mix, together, workers
from course_lib.proc import children

pytestmark = pytest.mark.usefixtures("nothing_is_left")

GIL = getattr(sys, "_is_gil_enabled", lambda: True)()


@pytest.fixture(autouse=True)
def time_enough(monkeypatch):
    """A busy machine starts a process late."""
    monkeypatch.setattr(workers, "LIMIT", 120.0)


def of(rows, what):
    return [row for row in rows if row.what == what]


@pytest.mark.parametrize("by", KINDS)
def test_each_worker_computes_and_waits_as_long_as_it_was_told(by):
    rows = run_mix(cpu=0.01, io=0.02, workers=3, by=by, turns=2)
    for worker in range(3):
        mine = [row for row in rows if row.worker == worker]
        waits = of(mine, "wait")
        assert len(waits) == 2 and all(row.end - row.start == pytest.approx(0.02, abs=0.005) for row in waits)
        assert sum(row.end - row.start for row in of(mine, "cpu")) >= 0.019  # CPU time is never more than the time that passes


def test_a_wait_that_begins_late_is_as_long_as_any():
    diary = workers._Diary(lambda: False)
    diary.begin(time.perf_counter())
    diary.compute(0.001)
    threading.Event().wait(0.05)  # it is kept from its processor
    for pause in diary.wait(0.01):
        time.sleep(pause)
    whats = [what for _, _, what in diary.spans]
    assert whats[whats.index("wait") - 1] == "turn"
    assert [end - start for start, end, what in diary.spans if what == "wait"] == [pytest.approx(0.01, abs=1e-5)]


@pytest.mark.parametrize("by", KINDS)
def test_the_spans_of_a_worker_follow_each_other(by):
    rows = run_mix(cpu=0.01, io=0.01, workers=2, by=by, turns=2)
    for worker in range(2):
        mine = [row for row in rows if row.worker == worker]
        assert {row.what for row in mine} <= {"cpu", "wait", "turn"}
        assert all(0 <= row.start <= row.end for row in mine)
        assert all(one.end <= after.start + 1e-6 for one, after in itertools.pairwise(mine))


@pytest.mark.parametrize(
    "by", ["coroutines", pytest.param("threads", marks=pytest.mark.skipif(not GIL, reason="a build without the GIL"))]
)
def test_in_one_interpreter_hardly_anything_is_computed_side_by_side(by):
    assert together(run_mix(cpu=0.03, io=0, workers=3, by=by), by) < 0.2


def test_coroutines_compute_one_after_the_other_and_the_others_write_down_that_they_waited():
    rows = run_mix(cpu=0.02, io=0, workers=3, by="coroutines", turns=1)
    assert together(rows, "coroutines") == 0
    assert {row.worker for row in of(rows, "turn")} >= {1, 2}


@pytest.mark.parametrize("by", KINDS)
def test_waits_lie_side_by_side(by):
    rows = of(run_mix(cpu=0, io=1.5, workers=4, by=by, turns=1), "wait")
    assert len(rows) == 4 and max(row.start for row in rows) < min(row.end for row in rows)


def test_together_is_the_part_that_overlaps():
    def spans(*times):
        return [Span("threads", number, *pair, "cpu") for number, pair in enumerate(times)]

    assert together(spans((0, 1), (1, 2)), "threads") == 0
    assert together(spans((0, 1), (0, 1)), "threads") == 1
    assert together(spans((0, 2), (1, 3)), "threads") == 0.5
    assert together([], "threads") == 0


@pytest.mark.parametrize("wrong", [
    {"workers": 0}, {"workers": MOST + 1}, {"workers": 1.5}, {"turns": 0}, {"turns": 9}, {"by": "fibres"}, {"cpu": -1}, {"io": -1},
    {"cpu": 1}, {"io": 9}, {"cpu": float("nan")}, {"io": float("inf")},
])  # fmt: skip
def test_a_mix_that_is_none_or_takes_too_long_is_one_sentence(wrong):
    with pytest.raises(ValueError, match="^[^\n]+$"):
        run_mix(**wrong)


@pytest.mark.parametrize("by", KINDS)
def test_an_interrupt_ends_it_and_leaves_nothing(by, monkeypatch):
    monkeypatch.setattr(workers, "_LONGEST", 1000)
    monkeypatch.setattr(workers, "LIMIT", 1000)
    began = time.monotonic()

    def under_way() -> bool:
        return any(t.name in ("mix", "measurement") for t in threading.enumerate()) and (
            by != "processes" or len(children(os.getpid())) == 8
        )

    with interrupted_in(run_mix, under_way), pytest.raises(KeyboardInterrupt):
        run_mix(cpu=0.01, io=900, workers=8, by=by, turns=1)
    assert time.monotonic() - began < 900  # it did not wait for its workers' waits


def test_the_lanes_are_drawn_from_the_rows_alone():
    rows = [Span("threads", 0, 0.0, 0.5, "cpu"), Span("threads", 1, 0.0, 0.5, "turn"), Span("threads", 1, 0.5, 1.0, "wait")]
    drawn = lanes(rows)
    assert drawn.count("<rect") == 3 + 3  # and the legend
    assert "1.00 s" in drawn and "threads" in drawn
    assert picture(rows).words == f"{finding(rows)}." == repr(picture(rows))
    html = picture(rows)._repr_mimebundle_()["text/html"]
    assert html.startswith('<img alt="threads: 1.00 s, nothing of the computing was side by side."')
    with pytest.raises(ValueError, match="no rows"):
        picture([])


def test_the_buttons_and_the_python_interface_are_the_same():
    live = live_mix(cpu=5, io=10, workers=2)
    assert "Run this cell" in live.picture()
    live.widget
    live._begin.click()
    assert live.wait(120)
    clicked = {(row.by, row.worker) for row in live.rows}
    live.run(cpu=5, io=10, workers=2)
    assert live.wait(120) and {(row.by, row.worker) for row in live.rows} == clicked == {
        (by, n) for by in KINDS for n in range(2)
    }
    assert live._chart.value == lanes(live.rows) and not live._begin.disabled and live._end.disabled
    assert "<img" in live.picture()
    live.close()


def test_stop_ends_it_and_keeps_what_was_there():
    live = LiveMix(cpu=40, io=200, workers=8)
    live.widget
    live.run()
    with pytest.raises(RuntimeError, match="under way"):
        live.run()
    live.stop()
    assert live.wait(120) and live.rows == [] and "Stopped" in live._status.value
    live.close()


def test_a_wrong_choice_is_one_sentence():
    with pytest.raises(ValueError, match="^[^\n]+$"):
        live_mix(cpu=7)
