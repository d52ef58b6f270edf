"""What /proc says of a process, also of one that has gone; limits are put back."""

import os
import resource
import socket
import subprocess

import pytest
from held import python

from course_lib import proc
from course_lib.kernel import wait_until


def limit() -> int:
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def test_a_process_that_sleeps_and_one_that_has_gone():
    with python("sum(range(10**7)); input()", stdin=subprocess.PIPE) as child:
        assert wait_until(lambda: proc.state(child.pid) == "S" and proc.cpu_seconds(child.pid) > 0, 30)
        assert proc.threads(child.pid) == [child.pid] and proc.stat(child.pid, child.pid)[0] == "S"
        assert child.pid in proc.children(os.getpid())
        assert int(proc.status(child.pid, "VmRSS")) > 1000 and proc.status(child.pid, "NoSuchLine") == ""
        assert proc.syscall(child.pid)[:2] and proc.links(child.pid)[0].startswith("pipe:")
        child.kill()
        assert wait_until(lambda: proc.state(child.pid) == "Z", 30) and child.pid in proc.children(os.getpid())
    gone = child.pid
    assert (proc.stat(gone), proc.state(gone), proc.cpu_seconds(gone), proc.status(gone, "Name")) == ([], "", 0, "")
    assert (proc.threads(gone), proc.children(gone), proc.links(gone), proc.syscall(gone)) == ([], [], {}, [])


def test_the_sockets_among_the_descriptors():
    with socket.socket() as sock:
        assert proc.sockets()[sock.fileno()] == os.fstat(sock.fileno()).st_ino
        assert sock.fileno() in proc.open_numbers() and not {0, 1, 2} & proc.sockets().keys()
        number = sock.fileno()
    assert number not in proc.sockets()


def test_a_limit_holds_for_a_while_and_one_that_is_raised_stays():
    before, lowest_free = limit(), os.dup(0)
    os.close(lowest_free)
    with proc.descriptor_limit(lowest_free), pytest.raises(OSError, match="Too many open files"):
        os.dup(0)
    assert limit() == before and proc.raise_limit(5) == before
    with proc.descriptor_limit(100):
        assert proc.raise_limit(200) == limit() == 200
    assert limit() == before
