"""The panel on another process: its descriptors, its epoll's list and what its threads do, without a word in its source.

What it may not look at is said, what it may not touch is left alone, and one look agrees with itself.
"""

import asyncio
import contextlib
import fcntl
import gc
import os
import re
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from held import python

from course_lib import proc
from course_lib.kernel import libc, open_numbers, wait_until
from course_lib.kernel.process_view import ProcessView, _ItsThread
from course_lib.kernel.threads import CALLS
from course_lib.lab import started
from course_lib.widgets import observe

LISTENS = """
import os, select, signal, socket
listener = socket.create_server(("127.0.0.1", 0))
print(listener.fileno(), flush=True)
{then}
"""
ACCEPTS = "connection, _ = listener.accept(); signal.pause()"
SPINS = "listener.setblocking(False)\nwhile True:\n    try: listener.accept()\n    except BlockingIOError: pass"
FORKS = """
for _ in range(2):
    if not os.fork():
        listener.accept()
        os._exit(0)
print("ready", flush=True)
signal.pause()
"""
ECHOES = """
listener.setblocking(False)
epoll, connections = select.epoll(), {}
epoll.register(listener, select.EPOLLIN)
print(epoll.fileno(), flush=True)
while True:
    for number, _ in epoll.poll():
        if number == listener.fileno():
            connection, _ = listener.accept()
            connections[connection.fileno()] = connection
            epoll.register(connection, select.EPOLLIN)
        elif data := connections[number].recv(100):
            connections[number].sendall(data.upper())
        else:
            connections.pop(number).close()
"""


@contextlib.contextmanager
def running(then: str, **more):
    """A process that listens and then runs this; the number of its listener is known."""
    with python(LISTENS.replace("{then}", then), **{"stdin": subprocess.DEVNULL} | more) as child:
        child.listener = int(child.stdout.readline())
        try:
            yield child
        finally:
            child.kill()


@contextlib.contextmanager
def strace(pid: int, trace: Path | str):
    """A tracer of this process."""
    tracer = subprocess.Popen(["strace", "-qq", "-o", trace, "-p", str(pid)], stderr=subprocess.DEVNULL)
    try:
        yield tracer
    finally:
        tracer.kill()
        tracer.wait()


def sees(tracer: subprocess.Popen, condition: Callable[[], bool]) -> None:
    """Wait until it has traced what is needed; the test is skipped where it may not trace."""
    assert wait_until(lambda: tracer.poll() is not None or condition(), 120)
    if tracer.poll() is not None:
        pytest.skip("strace may not trace here")


@pytest.fixture
def child():
    gc.collect()  # what an earlier test has left would go meanwhile
    before = open_numbers()
    with running(ECHOES) as child:
        child.epoll = int(child.stdout.readline())
        yield child
    assert before == [number for number in open_numbers() if number in before]


def test_between_two_looks_nothing_of_it_is_held(child):
    before = open_numbers()
    view, panel = ProcessView(child.pid), observe(child)
    assert view.descriptors() and view.threads() and open_numbers() == before
    for _ in range(20):
        panel.state()
    assert open_numbers() == before
    child.kill()
    child.wait()
    assert not view.running and view.descriptors() == [] == view.threads() and open_numbers() == before


def by_number(panel) -> dict[int, dict]:
    return {row["number"]: row for row in panel.state()["rows"]}


def test_its_descriptors_its_interest_list_and_who_sleeps_where(child):
    panel = observe(pid=child.pid)
    assert wait_until(lambda: by_number(panel)[child.epoll]["asleep"].endswith("in epoll_wait"))
    rows = by_number(panel)
    assert rows[child.listener]["kind"] == "listener" and rows[child.listener]["watched"] == f"{child.epoll}: IN"
    assert rows[child.listener]["blocking"] is False and rows[child.epoll]["kind"] == "epoll"
    assert rows[0]["kind"] == "device" and rows[1]["kind"] == "pipe"
    doing = rf"python[\d.]* asleep in epoll_wait\(\) on descriptor {child.epoll}, CPU \d+\s%\."
    assert re.fullmatch(rf"python[\d.]* \(process {child.pid}\): {doing}", panel.state()["process"])
    assert panel.state()["server"] is None and "epoll_wait" in panel.picture()


def test_a_click_connects_and_its_connection_is_seen_to_the_end(child):
    panel = observe(child)  # a Popen
    panel._act({"type": "connect"})
    alice = panel.clients.by_name["alice"]
    assert wait_until(lambda: "alice" in [row["peer"] for row in panel.state()["rows"]])
    panel._act({"type": "send", "client": "alice", "text": "hello"})
    assert wait_until(lambda: alice.look() or alice.last == b"HELLO")
    (connection,) = [row for row in panel.state()["rows"] if row["peer"] == "alice"]
    assert connection["state"] == "ESTABLISHED" and connection["watched"] == f"{child.epoll}: IN"
    alice.close()  # no duplicate keeps the other end open: the child closes it, and it is gone
    assert wait_until(lambda: connection["number"] not in by_number(panel))


def test_the_workers_of_a_prefork_server_are_named_and_can_be_looked_at():
    with running(FORKS) as parent:
        parent.stdout.readline()
        workers = ProcessView(parent.pid).children()
        try:
            panel = observe(parent)
            said = f" Its child processes: {workers[0]}, {workers[1]}; observe(pid=…) shows each."
            assert len(workers) == 2 and panel.state()["process"].endswith(said)
            assert wait_until(lambda: "accept" in observe(pid=workers[0]).state()["process"])
        finally:
            for pid in (parent.pid, *workers):
                os.kill(pid, signal.SIGKILL)
    assert wait_until(lambda: panel.state()["note"].endswith("has ended."))


def test_a_mode_is_set_in_the_open_file_description_that_both_share(child):
    panel = observe(child)
    panel._act({"type": "blocking", "of": "listener", "blocking": True})
    assert by_number(panel)[child.listener]["blocking"] and panel.state()["listener"] == "blocking"


def test_many_descriptors_show_the_first_and_say_how_many_are_not_shown(child, monkeypatch):
    monkeypatch.setattr("course_lib.widgets.panel._SHOWN", 2)
    state = observe(child).state()
    assert [row["number"] for row in state["rows"]] == [0, 1] and state["hidden"] == len(ProcessView(child.pid).numbers()) - 2


def test_one_that_ends_is_said(child):
    panel = observe(child)
    child.kill()
    assert wait_until(lambda: panel.state()["note"].endswith(f"(process {child.pid}) has ended.")) and not panel.state()["rows"]
    child.wait()
    with pytest.raises(ValueError, match=f"no process has the number {child.pid}"):
        observe(pid=child.pid)


def test_an_object_of_a_process_that_has_ended_is_one_sentence(child):
    view = ProcessView(child.pid)
    child.kill()
    assert wait_until(lambda: not view.running)
    for _ in range(2):  # before and after its status is taken
        with pytest.raises(ValueError, match=rf"^this Popen has ended \(it was process {child.pid}\)$"):
            observe(child)
        child.wait()

    async def look():
        process = await asyncio.create_subprocess_exec("true")
        await process.wait()
        with pytest.raises(ValueError, match=r"^this Process has ended \(it was process \d+\)$"):
            observe(process)

    asyncio.run(look())


@pytest.mark.parametrize("pid", [0, -1, "4711", True, 1.5])
def test_a_number_that_is_none_is_one_sentence(pid):
    with pytest.raises(ValueError, match="a process has a number from 1 on, not"):
        observe(pid=pid)


@pytest.mark.parametrize(
    "states, call", [("SS", "recv"), ("RR", None), ("tt", None), ("Rt", None), ("tR", None), ("tS", None), ("St", None)]
)
def test_a_call_at_which_a_tracer_stops_it_is_no_sleep(child, monkeypatch, states, call):
    thread, left = _ItsThread(f"/proc/{child.pid}/task/{child.pid}"), list(states)
    number = next(number for number, name in CALLS.items() if name == "recv")
    read = {"stat": lambda: f"1 (x) {left.pop(0)} 1", "syscall": lambda: f"{number} 0x5 0x0"}
    monkeypatch.setattr(thread, "_read", lambda name: read[name]())
    assert thread._system_call()[0] == call


@pytest.mark.parametrize(
    "name, error",
    [("duplicate", PermissionError(1, "Operation not permitted")), ("names", PermissionError(13, "Permission denied"))],
    ids=["its descriptors", "their list"],
)
def test_one_that_may_not_be_looked_at_is_one_sentence(monkeypatch, name, error):
    raw = getattr(libc, name)

    def refuses(asked, *more):
        if name == "duplicate" or asked == f"/proc/{child.pid}/fd":
            raise error
        return raw(asked, *more)

    with running("signal.pause()") as child:
        monkeypatch.setattr(libc, name, refuses)
        said = rf"process {child.pid} \(python[\d.]*\) may not be looked at: {error.strerror}. Start it"
        with pytest.raises(PermissionError, match=said):
            observe(pid=child.pid)


def test_the_switch_for_connections_leaves_what_it_shares_with_this_process(kept):
    read, write = os.pipe()
    kept(open(read)), kept(open(write, "w"))
    one, _ = map(kept, socket.socketpair())
    with running(ACCEPTS, stderr=write, stdin=one) as child:
        panel = observe(child)
        assert panel.state()["connections"] == ""
        panel._act({"type": "connect"})
        assert wait_until(lambda: panel.state()["connections"] == "blocking")
        panel._act({"type": "blocking", "of": "connections", "blocking": False})
        assert panel.state()["connections"] == "non-blocking"
        assert not any(fcntl.fcntl(number, fcntl.F_GETFL) & os.O_NONBLOCK for number in (write, one.fileno()))
        panel.clients.close()


def test_two_panels_on_one_process_know_the_same_clients():
    with running(ACCEPTS) as child:
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
def test_a_thread_that_a_tracer_has_stopped_at_a_call_is_not_asleep_in_it():
    with running(SPINS) as child, strace(child.pid, os.devnull) as tracer:
        sees(tracer, lambda: proc.status(child.pid, "TracerPid") != "0")
        os.kill(tracer.pid, signal.SIGSTOP)  # so the next stop lasts
        assert wait_until(lambda: proc.state(child.pid) == "t")
        (_, doing), *_ = ProcessView(child.pid).threads()
        assert not doing.asleep and doing.call is None


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


@pytest.mark.parametrize("waits, call", [("signal.pause()", "pause"), ("signal.sigwait({signal.SIGUSR1})", "sigwait")])
def test_a_program_that_waits_for_a_signal_is_asleep_in_that_call(waits, call):
    with running(waits) as child:
        assert wait_until(lambda: ProcessView(child.pid).threads()[0][1].call == call)


def test_of_more_descriptors_than_are_shown_the_lowest_are():
    with running("for _ in range(300): os.dup(0)\nprint('ready', flush=True)\nsignal.pause()") as child:
        child.stdout.readline()
        state = observe(child).state()
        assert state["hidden"] >= 100 and state["first"] == "the lowest numbers"
        assert max(row["number"] for row in state["rows"]) < 210


def in_ss(pid: int) -> dict:
    """{number: (state, local address, peer)} of its TCP sockets, as ss tells them."""
    seen = {}
    for line in subprocess.run(["ss", "-tanpH"], capture_output=True, text=True, check=True).stdout.splitlines():
        if found := re.search(rf"pid={pid},fd=(\d+)", line):
            state, _, _, local, peer, *_ = line.split()
            seen[int(found[1])] = ({"ESTAB": "ESTABLISHED"}.get(state, state), local, None if peer.endswith("*") else peer)
    return seen


def in_view(view: ProcessView) -> dict:
    return {
        row.number: (row.state, "{}:{}".format(*row.local), row.peer and "{}:{}".format(*row.peer))
        for row in view.descriptors()
        if row.state
    }


@pytest.mark.skipif(not shutil.which("ss"), reason="ss is not installed")
def test_it_agrees_with_ss(child, kept):
    view = ProcessView(child.pid)
    address = next(row.local for row in view.descriptors() if row.kind == "listener")
    for _ in range(3):
        kept(socket.create_connection(address))
    assert wait_until(lambda: sum(row.kind == "connection" for row in view.descriptors()) == 3)
    assert wait_until(lambda: len(seen := in_ss(child.pid)) == 4 and seen == in_view(view))


LOAD = {
    "redis-server": "redis-benchmark -p {port} -c 20 -n 100000000 -t get -q",
    "nginx": "wrk -t1 -c20 -d60s http://127.0.0.1:{port}/",
}
AS_PYTHON_KNOWS_IT = {"recvfrom": "recv", "sendto": "send", "accept4": "accept", "epoll_pwait": "epoll_wait"}


def traced(trace: Path) -> set[str]:
    names = re.findall(r"^(\w+)\(", trace.read_text(errors="replace"), re.MULTILINE) if trace.exists() else []
    return {AS_PYTHON_KNOWS_IT.get(name, name) for name in names}


@pytest.mark.parametrize("program", LOAD)
def test_servers_of_other_people_under_load_agree_with_ss_and_strace(program, tmp_path):
    if missing := [needed for needed in (program, LOAD[program].split()[0], "ss", "strace") if not shutil.which(needed)]:
        pytest.skip(f"{missing[0]} is not installed")
    process, port = started(program)
    load = subprocess.Popen(LOAD[program].format(port=port).split(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        view = ProcessView(process.pid)
        # nginx closes a connection after a thousand requests, and wrk makes a new one: two looks may differ by that.
        assert wait_until(lambda: len(seen := in_ss(process.pid)) == 21 and seen == in_view(view), 120)
        assert wait_until(lambda: sum(bool(row.watched_by) for row in view.descriptors() if row.state) == 21, 120)
        calls = set()
        assert wait_until(
            lambda: calls.update(doing.call for _ in range(300) for _, doing in view.threads()[:1] if doing.call) or calls, 120
        )
        trace = tmp_path / "trace"
        with strace(process.pid, trace) as tracer:
            sees(tracer, lambda: calls <= traced(trace))
    finally:
        for each in (load, process):
            each.kill()
            each.wait()
