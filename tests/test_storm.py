"""Many clients that behave at random: no byte of an answer is lost, nothing leaks, and the server stops at once."""

import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from every_server import SERVE_ALL, serving
from held import a_port, python

from course_lib.kernel import open_numbers, wait_until
from course_lib.servers import Server

pytestmark = pytest.mark.usefixtures("servers_stop")

STORM = Path(__file__).with_name("storm.py")
CLIENTS, SECONDS = 300, 4
EACH = pytest.mark.parametrize("model", SERVE_ALL.values(), ids=SERVE_ALL)


def storm(server: Server, clients: int = CLIENTS, seconds: float = SECONDS, patience: float = 300) -> subprocess.CompletedProcess:
    words = map(str, (*server.address, clients, seconds, 1, patience))
    return subprocess.run([sys.executable, STORM, *words], capture_output=True, text=True, timeout=900)


@EACH
@pytest.mark.parametrize("recorded", [False, True], ids=["quiet", "recorded"])
def test_every_answer_is_whole_and_nothing_is_left(model, recorded):
    before = open_numbers()
    server = model().start()
    server.record(recorded)
    weather = storm(server, seconds=SECONDS / 2 if recorded else SECONDS)
    assert weather.returncode == 0, weather.stdout + weather.stderr
    assert all(f" {fate}" in weather.stdout for fate in ("half-close", "reset", "vanish", "come and go"))
    assert server.error is None
    assert wait_until(lambda: len(server.numbers()) == 1, 60), "connections of clients that left"
    server.stop()
    assert not server.running and wait_until(lambda: open_numbers() == before)


@EACH
def test_it_stops_in_the_middle(model):
    answered = []

    def answer(request: bytes) -> bytes:
        answered.append(len(request))
        return request

    def many_have_come() -> bool:  # how many are there at once is the machine's to say
        return len(server.numbers()) > CLIENTS / 2 or len(answered) > 20 * CLIENTS

    with a_port() as port:  # as long as clients come: else they might visit another program's server
        server = model(answer=answer, port=port).start()
        words = [sys.executable, STORM, *map(str, server.address), str(CLIENTS), "600"]
        weather = subprocess.Popen(words, stdout=subprocess.DEVNULL)
        try:
            assert wait_until(many_have_come, 120)
            server.stop()
            assert not server.running and server.error is None and not server.descriptors()
        finally:
            weather.kill()
            weather.wait()


def forgets(listener):
    """It sends what fits, and forgets the rest."""
    connections = []
    listener.setblocking(False)
    while True:
        with suppress(BlockingIOError):
            connections.append(listener.accept()[0])
            connections[-1].setblocking(False)
            connections[-1].setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        for connection in connections[:]:
            with suppress(BlockingIOError):
                with suppress(ConnectionResetError, BrokenPipeError):
                    if data := connection.recv(65536):
                        connection.send(data)
                        continue
                connections.remove(connection)
                connection.close()


def test_the_storm_finds_a_server_that_loses_bytes():
    with serving(forgets) as server:
        weather = storm(server, clients=50, seconds=2, patience=5)
    assert weather.returncode == 1 and ("are missing" in weather.stdout or "did not send" in weather.stdout)


class TestWithoutDescriptors:
    """A server in a process that has almost none left: who is in the queue waits, and is served when one is free."""

    CHILD = """
import resource, socket, sys
from course_lib.kernel import open_numbers, wait_until
from every_server import SERVE_ALL
server = SERVE_ALL[sys.argv[1]]().start()
address = server.address
# What a server opens for itself, such as an epoll, is open once it waits for clients.
wait_until(lambda: server.doing().call in ("accept", "select", "poll", "epoll_wait") or server.cpu_seconds() > 0.5, 30)
free = max(open_numbers()) + 1
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (free + 2, hard))
print(*address, flush=True)
sys.stdin.readline()
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))  # to look takes a descriptor too
print(server.error, server.doing().ended, server.doing().cpu < 0.5, flush=True)
sys.stdin.readline()
server.stop()
print(server.running, flush=True)
"""

    @pytest.mark.parametrize("name", SERVE_ALL)
    def test_emfile_is_survived(self, name):
        with python(self.CHILD, name, stdin=subprocess.PIPE) as child:
            host, port = child.stdout.readline().split()
            clients = [socket.create_connection((host, int(port)), timeout=120) for _ in range(6)]
            for client in clients:
                client.sendall(b"hello")
            # Some have a descriptor, the others wait in the queue until one of those has left.
            for client in clients:
                assert client.recv(100) == b"hello"
                client.close()
            child.stdin.write("\n")
            child.stdin.flush()
            error, ended, idle = child.stdout.readline().split()
            assert (error, ended) == ("None", "None")
            assert idle == "True" or name == "nonblocking"
            child.communicate("\n")
        assert child.returncode == 0
