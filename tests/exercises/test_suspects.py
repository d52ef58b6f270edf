"""6.3: the four servers have one bug each."""

import inspect

import pytest
from exercises.test_many_clients import TEN

from course_lib.checks import bugs
from course_lib.checks.many_clients import check_server
from course_lib.sandbox.attempt import Attempt


def test_each_repair_is_in_its_server_once():
    for suspect, repairs in bugs.REPAIRS.items():
        for old in repairs:
            assert inspect.getsource(suspect).count(old) == 1, (suspect.__name__, old)


@pytest.mark.parametrize("suspect", [bugs.server_a, bugs.server_d])
def test_without_its_bug_it_is_a_good_server(suspect, as_before):
    """b has too few descriptors for twenty clients, and c lets all of them go on purpose."""
    with Attempt(suspect, suspect.__name__) as attempt:
        check_server(attempt, inside=serve_repaired)
    assert [finding for finding in map(str, attempt.findings) if finding in TEN] == TEN


def serve_repaired(talk, learner, listener):
    from course_lib.checks import bugs
    from course_lib.checks.server_trial import tell_closed_sockets

    tell_closed_sockets(talk)
    listener.setblocking(False)
    bugs.repair(getattr(bugs, learner.__name__))(listener)
