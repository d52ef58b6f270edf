"""Ten thousand connections from a cell: what is opened, answered and closed, every limit on the way, and what is left."""

import errno
import json
import resource
import signal
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from every_server import answers
from held import alive, python
from panel_state import Page

from course_lib.kernel import wait_until
from course_lib.measure import machine_limits, ten_thousand
from course_lib.measure.machine_limits import Limits, plan
from course_lib.measure.ten_thousand_clients import Clients
from course_lib.proc import children
from course_lib.servers import BlockingServer, CoroutineServer, EpollServer, PollServer, SelectServer
from course_lib.widgets import observe

pytestmark = pytest.mark.usefixtures("nothing_is_left")

module = sys.modules["course_lib.measure.ten_thousand"]
BRIEF = {"active": 5, "seconds": 1.0}


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(module, "_ALONE", 0.1)
    monkeypatch.setattr(module, "_REST", 0.1)


class Upper(EpollServer):
    def __init__(self):
        super().__init__(bytes.upper)


@pytest.mark.parametrize("make", [EpollServer, Upper, PollServer, CoroutineServer])
def test_all_are_opened_answered_and_closed(make):
    with make() as server:
        result = ten_thousand(server, 300, **BRIEF)
        assert (result.server, result.wanted, result.opened, result.active) == (type(server).__name__, 300, 300, 5)
        assert result.all_answered and result.answered == 300 and result.wrong == 0 and result.why_not == ""
        assert result.requests > 300 + 2 * 5
        assert result.left_behind == 0 and len(server.numbers()) == 1
        assert result.cpu > 0 and result.cpu_alone > 0 and 0 <= result.cpu_silent < 0.5
        assert 0 < result.seconds_to_open < result.seconds and 0 < result.seconds_to_close < result.seconds
        assert answers(server)


def test_the_table_as_text_and_as_html():
    with EpollServer() as server:
        result = ten_thousand(server, 70, **BRIEF)
    lines = dict(line.split(": ", 1) for line in str(result).splitlines())
    assert lines["server"].strip() == "EpollServer"
    assert lines["connections"].strip() == "70 at the same time, 5 of them talk"
    assert lines["left behind"].strip() == "nothing" and lines["answers"].endswith("all right")
    page = result._repr_html_()
    assert "<table>" in page and "70 at the same time" in page
    assert "70 dots, one for each connection: 70 connected, 70 answered, 5 go on asking." in page
    assert result._repr_mimebundle_() == {"text/plain": str(result), "text/html": page}
    odd = replace(result, opened=60, why_not="<b>")
    assert "&lt;b&gt;" in odd._repr_html_() and "not 70: " in str(odd)


def test_wrong_answers_are_counted():
    calls = iter(range(1 << 30))

    def answer(request: bytes) -> bytes:
        number = next(calls)
        return request if number < 97 or number % 7 else bytes(len(request))  # the first 97 are asked for what is right

    with EpollServer(answer) as server:
        result = ten_thousand(server, 100, **BRIEF)
    assert result.opened == 100 and result.wrong > 100 // 7 and not result.all_answered
    assert f"{result.wrong:,} of them wrong" in str(result)
    assert len(result.wrong_at) == 100 - result.answered > 0 and result.wrong_at[-1] < 100
    assert f"100 answered, {len(result.wrong_at)} of them wrong" in result.picture


def test_a_server_that_answers_nothing_cannot_be_asked():
    with EpollServer(lambda request: b"") as server, pytest.raises(ValueError, match="only a server that answers each line"):
        ten_thousand(server, 100, **BRIEF)


def test_a_server_that_ends_says_why():
    if resource.getrlimit(resource.RLIMIT_NOFILE)[1] < 1300:
        pytest.skip("the hard limit of descriptors is below what select() refuses")
    with SelectServer() as server:
        result = ten_thousand(server, 1100, **BRIEF)
    assert result.opened < 1100 and not result.all_answered and result.left_behind == 0
    assert "the server ended by ValueError: filedescriptor out of range in select()" in result.why_not
    assert "not 1,100:" in str(result)


def test_a_server_that_serves_one_at_a_time_says_where_it_sleeps(monkeypatch):
    monkeypatch.setattr(module, "PATIENCE", 3.0)
    with BlockingServer() as server:
        result = ten_thousand(server, 100, **BRIEF)
        assert result.answered == 1 and "no answer came" in result.why_not and "the server is asleep in recv" in result.why_not
        assert result.left_behind == 0 and answers(server)


def test_a_server_that_is_stopped_meanwhile():
    def answer(request: bytes) -> bytes:
        if len(server.numbers()) > 300:  # all are there
            threading.Thread(target=server.stop).start()
        return request

    with EpollServer(answer) as server:
        result = ten_thousand(server, 300, active=5, seconds=50)
    assert "the server was stopped" in result.why_not and result.left_behind == 0 and result.opened == 300
    assert "ended early: " in str(result)


NO_PORTS = """
import fcntl, json, pathlib, socket, struct
with socket.socket() as any_socket:  # a network of its own: bring lo up
    fcntl.ioctl(any_socket, 0x8914, struct.pack("16sH14x", b"lo", 1))
pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range").write_text("40000 40099")
from course_lib.measure import machine_limits, ten_thousand
import sys
sys.modules["course_lib.measure.ten_thousand"].ADDRESSES = 3
machine_limits._PART = 100  # the plan takes no notice: the kernel has to refuse
from course_lib.servers import EpollServer
with EpollServer() as server:
    result = ten_thousand(server, 1000, active=5, seconds=0.2)
    print(json.dumps([result.opened, result.all_answered, result.left_behind, result.why_not]))
"""


def test_the_kernel_has_no_port_left():
    if subprocess.run(["unshare", "-n", "true"], capture_output=True).returncode:
        pytest.skip("a network of one's own (unshare -n) is not allowed here")
    said, _ = python(NO_PORTS, behind=("unshare", "-n")).communicate(timeout=600)
    opened, all_answered, left, why_not = json.loads(said)
    assert 290 <= opened <= 300 and all_answered and left == 0  # the server has one of the hundred ports
    assert why_not == "no port was free for another one, of 3 client addresses (EADDRNOTAVAIL, connect(2))"


def test_what_cannot_be_meant_is_refused():
    server = EpollServer()
    with pytest.raises(TypeError, match="a server of the course is needed, not int"):
        ten_thousand(8000)
    with pytest.raises(RuntimeError, match="does not run: call start"):
        ten_thousand(server)
    with server:
        for wrong in ({"connections": 0}, {"connections": 1e4}, {"active": 0}, {"connections": 5, "active": 6}, {"seconds": 0}):
            with pytest.raises(ValueError):
                ten_thousand(server, **wrong)
        server.hold()
        with pytest.raises(RuntimeError, match="held before its next call"):
            ten_thousand(server)
        server.run_on()


LIMITS = Limits(
    soft=1024, hard=1 << 20, nr_open=1 << 20, files_free=1 << 40, open_now=60, low=32768, high=60999, addresses=254,
    somaxconn=4096, backlog=128, watches=1 << 22, memory=1 << 34, flows_free=None,
)  # fmt: skip
NAMES = ("RLIMIT_NOFILE", "fs.nr_open", "fs.file-max", "ip_local_port_range", "backlog", "max_user_watches", "memory")


def test_each_limit_is_named_in_one_sentence_with_its_source():
    chosen = plan(LIMITS, 10_000)
    assert (chosen.connections, chosen.why_not) == (10_000, "")
    assert tuple(note.partition(":")[0] for note in chosen.notes) == NAMES
    for note in chosen.notes:
        assert note.endswith(").") and ". " not in note and ("(/proc/" in note or "(2)" in note or "(7)" in note)
    assert "raised from 1,024 to 10,124 and put back afterwards" in chosen.notes[0]


@pytest.mark.parametrize(
    "limit, connections, name",
    [
        ({"hard": 4096}, 3972, "RLIMIT_NOFILE"),
        ({"hard": 100}, 0, "RLIMIT_NOFILE"),
        ({"files_free": 1000}, 436, "fs.file-max"),
        ({"low": 40_000, "high": 40_099, "addresses": 2}, 150, "ip_local_port_range"),
        ({"watches": 700}, 700, "max_user_watches"),
        ({"memory": 64 << 20}, 2048, "memory"),
        ({"flows_free": 500}, 436, "nf_conntrack_max"),
    ],
)
def test_the_lowest_limit_decides_and_its_sentence_says_so(limit, connections, name):
    chosen = plan(replace(LIMITS, **limit), 10_000)
    assert chosen.connections == connections and chosen.why_not == f"{name} leaves room for {connections:,}"
    [note] = [note for note in chosen.notes if note.startswith(name)]
    assert f"so there are {connections:,} connections instead of 10,000" in note
    assert not any("instead of" in other for other in chosen.notes if other != note)


def test_a_group_fits_into_the_accept_queue():
    assert [plan(replace(LIMITS, backlog=backlog), 100).group for backlog in (0, 1, 2, 100, 128, 4096)] == [1, 1, 1, 50, 64, 64]


LITTLE_ROOM = """
import json, resource
resource.setrlimit(resource.RLIMIT_NOFILE, {limits})
from course_lib.measure import ten_thousand
from course_lib.servers import EpollServer
with EpollServer() as server:
    result = ten_thousand(server, 1000, active=5, seconds=0.2)
    print(json.dumps([result.opened, result.all_answered, result.left_behind, result.why_not, result.notes[0],
                      resource.getrlimit(resource.RLIMIT_NOFILE), len(server.numbers())]))
"""


def with_little_room(*limits: int) -> list:
    said, _ = python(LITTLE_ROOM.format(limits=limits)).communicate(timeout=600)
    return json.loads(said)


def test_a_low_hard_limit_scales_it_down():
    opened, all_answered, left, why_not, note, limits, numbers = with_little_room(400, 400)
    assert 250 < opened < 400 and all_answered and left == 0 and numbers == 1
    assert why_not == f"RLIMIT_NOFILE leaves room for {opened}" and "the hard limit is 400" in note
    assert limits == [400, 400]


def test_a_low_soft_limit_is_raised_and_put_back():
    opened, all_answered, left, why_not, note, limits, numbers = with_little_room(128, 2000)
    assert (opened, all_answered, left, why_not, limits, numbers) == (1000, True, 0, "", [128, 2000], 1)
    assert "soft limit was raised from 128 to 1,0" in note


def test_where_ports_run_out_the_clients_come_from_several_addresses(monkeypatch):
    real = machine_limits.limits_of
    monkeypatch.setattr(module, "limits_of", lambda numbers: replace(real(numbers), low=40_000, high=40_039))
    seen = set()

    def answer(request: bytes) -> bytes:
        if not seen and len(server.numbers()) > 99:
            seen.update(row.peer[0] for row in server.descriptors() if row.kind == "connection")
        return request

    with EpollServer(answer) as server:
        result = ten_thousand(server, 100, **BRIEF)
    assert result.all_answered and seen == {f"127.0.0.{number}" for number in range(1, 5)}  # 30 of each 40 ports are used
    [note] = [note for note in result.notes if note.startswith("ip_local_port_range")]
    assert "the 40 ports from 40000 to 40039, and the clients come from 4 addresses, 127.0.0.1 to 127.0.0.4" in note


def test_an_address_whose_ports_are_used_up_is_left_for_the_next(monkeypatch):
    used: dict[str, int] = {}

    class Socket(socket.socket):
        def connect(self, address):
            own = self.getsockname()[0]
            if used.get(own, 0) == 3:
                raise OSError(errno.EADDRNOTAVAIL, "")
            used[own] = used.get(own, 0) + 1
            super().connect(address)

    monkeypatch.setattr("course_lib.measure.ten_thousand_clients.socket.socket", Socket)
    with EpollServer() as server:
        clients = Clients(server.address, [(b"x", b"x")], patience=5, each=1000, addresses=3, group=2)
        try:
            clients.open(20, active=False)
            assert clients.too_few == "no port was free for another one, of 3 client addresses (EADDRNOTAVAIL, connect(2))"
            assert clients.connected == clients.answered == 9 and used == {"0.0.0.0": 3, "127.0.0.2": 3, "127.0.0.3": 3}
        finally:
            clients.close()
            clients.epoll.close()


INTERRUPTED = """
import resource, socket, sys, threading
from course_lib.measure import ten_thousand
from course_lib.kernel import open_numbers
from course_lib.servers import EpollServer
resource.setrlimit(resource.RLIMIT_NOFILE, (200, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
server = EpollServer().start()
def answer(request):
    global answered
    answered += 1
    if answered == {when}:
        print("now", flush=True)
    return request
answered, server.answer = -97, answer
before = None
def asleep(): return server.doing().call == "epoll_wait"
from course_lib.kernel import wait_until
wait_until(asleep)
before = set(open_numbers())
try:
    ten_thousand(server, {connections}, seconds=50)
    print("was not interrupted", flush=True)
except KeyboardInterrupt:
    with socket.create_connection(server.address) as client:
        client.sendall(b"hello")
        served = client.recv(10)
    wait_until(lambda: len(server.numbers()) == 1)
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    print(len(set(open_numbers()) - before), threading.active_count(), soft, served, flush=True)
sys.stdin.read()
"""


@contextmanager
def at_work(when: int, connections: int):
    """(a process that is at so many answers, its children)."""
    with python(INTERRUPTED.format(when=when, connections=connections), stdin=subprocess.PIPE) as process:
        assert process.stdout.readline() == "now\n"
        yield process, children(process.pid)
        process.stdin.close()


@pytest.mark.parametrize("when, connections", [(10, 1500), (700, 1500), (5_000, 200)])
def test_an_interrupt_leaves_nothing_and_a_server_that_serves(when, connections):
    if resource.getrlimit(resource.RLIMIT_NOFILE)[1] < connections + 300:
        pytest.skip("the hard limit of descriptors is too low")
    with at_work(when, connections) as (process, started):
        assert len(started) == 1
        process.send_signal(signal.SIGINT)
        assert process.stdout.readline() == "0 2 200 b'hello'\n"
        assert children(process.pid) == [] and not any(Path(f"/proc/{pid}").exists() for pid in started)


def test_the_clients_die_with_the_process_that_started_them():
    with at_work(when=100, connections=300) as (process, started):
        process.kill()
        process.wait()
        assert started and wait_until(lambda: not any(map(alive, started)), 60)


class CountingPage(Page):
    """It keeps the most descriptors that were not shown, and the most rows beside them."""

    hidden = rows = 0

    def hear(self, message, buffers) -> None:
        super().hear(message, buffers)
        if self.state.get("hidden"):
            self.hidden, self.rows = max(self.hidden, self.state["hidden"]), max(self.rows, len(self.state["rows"]))


def test_ten_thousand_while_a_panel_is_live():
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard < 10_200 or machine_limits.plan(replace(LIMITS, hard=hard, memory=machine_limits._memory()), 10_000).why_not:
        pytest.skip(f"the hard limit of descriptors is {hard}, or memory is short")
    with EpollServer() as server:
        page = CountingPage(observe(server))
        result = ten_thousand(server, seconds=1.0)
        assert result.opened == result.answered == 10_000 and result.all_answered and result.left_behind == 0, result
        assert wait_until(lambda: len(page.state["rows"]) == 2, 60)  # the listener and the epoll
        page.leave()
        assert page.hidden > 1000 and page.rows <= 61  # it looked while they came, or were there
        assert result.kernel_memory is None or result.kernel_memory > 0
        assert result.cpu < 10 * result.cpu_alone  # a server that walks through all would need some hundred times as much
        # TIME_WAIT is on the clients' side: no socket in that state has the server's port as its own.
        port = f":{server.address[1]:04X}"
        lines = map(str.split, Path("/proc/net/tcp").read_text().splitlines()[1:])
        states = {words[3] for words in lines if words[1].endswith(port)}
        assert states == {"0A"}
