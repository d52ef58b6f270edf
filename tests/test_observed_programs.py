"""The panel on other people's programs: what it may not look at, what it may not touch, and one look that agrees with itself."""

import contextlib
import fcntl
import os
import shutil
import signal
import socket
import socketserver
import ssl
import subprocess
import sys

import pytest

from course_lib.kernel import libc, wait_until
from course_lib.kernel.process_view import ProcessView
from course_lib.widgets import observe

LISTENS = """
import signal, socket
listener = socket.create_server(("127.0.0.1", 0))
print("ready", flush=True)
{then}
"""


@contextlib.contextmanager
def running(then: str, **more):
    command = [sys.executable, "-c", LISTENS.format(then=then)]
    with subprocess.Popen(command, **{"stdout": subprocess.PIPE, "stdin": subprocess.DEVNULL} | more) as child:
        if child.stdout:
            child.stdout.readline()
        try:
            yield child
        finally:
            child.kill()


def test_one_whose_descriptors_may_not_be_listed_is_one_sentence(monkeypatch):
    with running("signal.pause()") as child:
        listed = libc.names

        def names(folder):
            if folder == f"/proc/{child.pid}/fd":
                raise PermissionError(13, "Permission denied")
            return listed(folder)

        monkeypatch.setattr(libc, "names", names)
        with pytest.raises(
            PermissionError, match=rf"process {child.pid} \(.*\) may not be looked at: Permission denied. Start it"
        ):
            observe(pid=child.pid)


def test_the_switch_for_connections_leaves_what_it_shares_with_this_process():
    read, write = os.pipe()
    one, other = socket.socketpair()
    with open(read), open(write, "w"), one, other:
        with running("connection, _ = listener.accept(); signal.pause()", stderr=write, stdin=one) as child:
            panel = observe(child)
            assert panel.state()["connections"] == ""
            panel._act({"type": "connect"})
            assert wait_until(lambda: panel.state()["connections"] == "blocking")
            panel._act({"type": "blocking", "of": "connections", "blocking": False})
            assert panel.state()["connections"] == "non-blocking"
            assert not any(fcntl.fcntl(number, fcntl.F_GETFL) & os.O_NONBLOCK for number in (write, one.fileno()))
            panel.clients.close()


def test_two_panels_on_one_process_know_the_same_clients():
    with running("connection, _ = listener.accept(); signal.pause()") as child:
        first, second = observe(child), observe(pid=child.pid)
        first._act({"type": "connect"})
        assert wait_until(lambda: all("alice" in [row["peer"] for row in panel.state()["rows"]] for panel in (first, second)))
        first.clients.close()


def test_a_cell_with_its_popen_has_to_do_with_the_panel():
    with running("signal.pause()") as child, running("signal.pause()") as another:
        panel = observe(pid=child.pid)
        assert panel.is_its(child) and not panel.is_its(another) and not panel.is_its(None)


def test_one_look_says_the_same_in_each_place(monkeypatch):
    with running("signal.pause()") as child:
        panel, looks = observe(child), []
        threads = ProcessView.threads
        monkeypatch.setattr(ProcessView, "threads", lambda view: looks.append(1) or threads(view))
        panel.state()
        assert looks == [1]


@pytest.mark.skipif(not shutil.which("strace"), reason="strace is not installed")
def test_a_thread_that_a_tracer_has_stopped_at_a_call_is_not_asleep_in_it(tmp_path):
    with running(
        "listener.setblocking(False)\nwhile True:\n    try: listener.accept()\n    except BlockingIOError: pass"
    ) as child:
        view = ProcessView(child.pid)
        tracer = subprocess.Popen(["strace", "-qq", "-o", os.devnull, "-p", str(child.pid)], stderr=subprocess.DEVNULL)
        traced = lambda: "\nTracerPid:\t0\n" not in libc.read(f"/proc/{child.pid}/status")  # noqa: E731
        try:
            if not wait_until(lambda: tracer.poll() is not None or traced()) or tracer.poll() is not None:
                pytest.skip("strace may not trace here")
            os.kill(tracer.pid, signal.SIGSTOP)  # so the next stop lasts
            assert wait_until(lambda: libc.read(f"/proc/{child.pid}/stat").rpartition(")")[2].split()[0] == "t")
            (_, doing), *_ = view.threads()
            assert not doing.asleep and doing.call is None
        finally:
            tracer.kill()
            tracer.wait()


def test_one_that_a_signal_has_stopped_is_not_asleep_in_the_call_that_it_was_in():
    with running("listener.accept()") as child:
        view = ProcessView(child.pid)
        assert wait_until(lambda: view.threads()[0][1].call == "accept")
        child.send_signal(signal.SIGSTOP)
        assert wait_until(lambda: str(view.threads()[0][1]) == "stopped by a signal")
        panel = observe(pid=child.pid)
        assert wait_until(lambda: "stopped by a signal" in panel.shown["process"]), panel.shown["process"]
        child.send_signal(signal.SIGCONT)
        assert wait_until(lambda: view.threads()[0][1].call == "accept")


def test_a_server_whose_listener_speaks_tls_says_why_no_client_of_the_panel_can_come():
    with socketserver.TCPServer(("127.0.0.1", 0), socketserver.BaseRequestHandler) as server:
        server.socket = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).wrap_socket(server.socket, server_side=True)
        state = observe(server).state()
        assert not state["can_connect"] and state["why_not"].startswith("This listener speaks TLS")


@pytest.mark.parametrize("waits, call", [("signal.pause()", "pause"), ("signal.sigwait({signal.SIGUSR1})", "sigwait")])
def test_a_program_that_waits_for_a_signal_is_asleep_in_that_call(waits, call):
    with running(waits) as child:
        assert wait_until(lambda: ProcessView(child.pid).threads()[0][1].call == call)


def test_of_more_descriptors_than_are_shown_the_lowest_are():
    with running("import os\nfor _ in range(300): os.dup(0)\nprint('ready', flush=True)\nsignal.pause()") as child:
        child.stdout.readline()
        state = observe(child).state()
        assert state["hidden"] >= 100 and state["first"] == "the lowest numbers"
        assert max(row["number"] for row in state["rows"]) < 210
