"""2.1 to 2.4: what their checks do beside the typical wrong solutions."""

from contextlib import nullcontext
from unittest.mock import Mock

import pytest
from exercises.case import wrong
from exercises.wrong.blocking import CASES, IMPORTS

from course_lib.checks import make_listener
from course_lib.exercises import all_exercises, check
from course_lib.sandbox import Talk, Wrong

EXERCISES = {exercise.id: exercise for exercise in all_exercises()}


@pytest.mark.parametrize("name", ["forgets that accept gives a pair", "accept outside the loop"])
def test_the_line_is_of_the_cell_also_when_serve_one_is_the_learners_own(name, cell, capsys):
    for id in ("2.2", "2.3"):
        assert check(id, cell(EXERCISES[id].reference)[EXERCISES[id].name]).passed
    _, says, source = wrong(CASES["2.4"], name)
    result = check("2.4", cell(source, cell(IMPORTS))["serve_forever"])
    assert says in result.findings[-1].words


@pytest.mark.parametrize("name, passes", [("option after bind", False), (None, True)])
def test_2_1_plays_the_restart_again_when_the_kernel_kept_nothing(name, passes, cell, monkeypatch):
    real, looks = make_listener._time_wait, []
    # Half a second of looks finds nothing, as if another connection had taken the place of the old one.
    monkeypatch.setattr(make_listener, "_time_wait", lambda port: looks.append(port) or real(port) * (port != looks[0]))
    source = wrong(CASES["2.1"], name).source if name else EXERCISES["2.1"].reference
    with nullcontext() if passes else pytest.raises(Wrong, match="The restart failed with EADDRINUSE"):
        make_listener._use_make_listener(Mock(spec=Talk), cell(source, cell(IMPORTS))["make_listener"])
    assert len(set(looks)) == 2
