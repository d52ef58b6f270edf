"""9.3 beyond its typical wrong solutions: another right one, and notes."""

from exercises.case import changed
from exercises.wrong.hand_over import BOTH, IMPORTS


def found(cell, checked, source):
    names = cell(source, cell(IMPORTS))
    result = checked("9.3", names["hand_over"], names["take_over"])
    assert result.passed, result.findings
    return result.findings


def test_a_listener_that_programs_inherit_gets_a_note(cell, as_before, checked):
    findings = found(cell, checked, changed(BOTH, {"listener.set_inheritable(False)": ""}))
    assert any("may inherit the listener" in finding for finding in findings)
