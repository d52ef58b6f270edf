"""9.3 beyond its typical wrong solutions: another right one, and notes."""

from exercises.case import changed
from exercises.wrong.hand_over import BOTH, IMPORTS

SAY = '    try:\n        unix_sock.sendall(b"L")\n    except ConnectionError:\n        pass\n'


def found(cell, checked, source):
    names = cell(source, cell(IMPORTS))
    result = checked("9.3", names["hand_over"], names["take_over"])
    assert result.passed, result.findings
    return result.findings


def test_a_listener_that_programs_inherit_gets_a_note(cell, as_before, checked):
    findings = found(cell, checked, changed(BOTH, {"listener.set_inheritable(False)": ""}))
    assert any("may inherit the listener" in finding for finding in findings)


def test_a_listener_that_is_lost_when_the_old_process_ends_gets_a_note(cell, as_before, checked):
    findings = found(cell, checked, changed(BOTH, {SAY: 'unix_sock.sendall(b"L")'}))
    assert any("take_over raised BrokenPipeError: the listener has come; return it" in finding for finding in findings)
