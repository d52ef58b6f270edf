"""9.3: the reference, seen from beside it."""

import os
import socket
import threading

from course_lib.solutions.capstone import hand_over, take_over


def test_the_reference_gives_the_listener_to_no_program_at_any_moment():
    ours, theirs = socket.socketpair()
    with ours, theirs, socket.create_server(("127.0.0.1", 0)) as listener:
        giver = threading.Thread(target=hand_over, args=(listener, ours))
        giver.start()
        with take_over(theirs) as taken:
            assert not os.get_inheritable(taken.fileno())
        giver.join()
