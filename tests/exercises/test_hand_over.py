"""9.3 beyond its typical wrong solutions: another right one, and notes."""

import os
import socket
import threading

from exercises.case import changed
from exercises.wrong.hand_over import BOTH, IMPORTS

from course_lib.solutions.capstone import hand_over, take_over


def found(cell, checked, source):
    names = cell(source, cell(IMPORTS))
    result = checked("9.3", names["hand_over"], names["take_over"])
    assert result.passed, result.findings
    return [finding.words for finding in result.findings]


def test_a_listener_that_programs_inherit_gets_a_note(cell, as_before, checked):
    findings = found(cell, checked, changed(BOTH, {"listener.set_inheritable(False)": ""}))
    assert any("may inherit the listener" in finding for finding in findings)


def test_the_reference_gives_the_listener_to_no_program_at_any_moment():
    ours, theirs = socket.socketpair()
    with ours, theirs, socket.create_server(("127.0.0.1", 0)) as listener:
        giver = threading.Thread(target=hand_over, args=(listener, ours))
        giver.start()
        with take_over(theirs) as taken:
            assert not os.get_inheritable(taken.fileno())
        giver.join()
