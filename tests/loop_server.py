"""A process that serves HTTP and RESP on one of the course's two loops, for tests that look at it from outside."""

import socket
import time
from contextlib import suppress
from pathlib import Path

from held import python

from course_lib import proc
from course_lib.kernel import wait_until

PATIENCE = 100  # seconds after which a server is taken for frozen
HTTP, RESP = "http", "resp"
ASKED = {  # what a client sends, and what comes back
    HTTP: (b"GET / HTTP/1.1\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"),
    RESP: (b"*1\r\n$4\r\nPING\r\n", b"+PONG\r\n"),
}

# Prints its ports, and a line for each task that raises.
SERVER = """
import socket, sys
from course_lib.solutions import coroutines
from course_lib.solutions.coroutines import accept, http
from course_lib.solutions.capstone import resp
from course_lib.servers import scheduler

def page(path):
    yield
    return {"/": b"hello", "/big": b"x" * 200_000}.get(path.partition("?")[0])

def accepts(listener, begin):
    listener.setblocking(False)
    while True:
        loop.spawn(begin((yield from accept(listener))))

if sys.argv[1] == "scheduler":
    loop = scheduler.Loop(on_error=lambda task: print("raised", repr(task.error), file=sys.stderr))
else:
    loop = coroutines.Loop()
store = {b"big": b"x" * 200_000}
listeners = [socket.create_server(("127.0.0.1", 0), backlog=1024) for _ in range(2)]
loop.spawn(accepts(listeners[0], lambda conn: http(conn, page)))
loop.spawn(accepts(listeners[1], lambda conn: resp(conn, store)))
print(*(listener.getsockname()[1] for listener in listeners), flush=True)
loop.run()
"""


def answered(client: socket.socket, protocol: str) -> None:
    """The answer must come to the request of this protocol that was sent."""
    _, answer = ASKED[protocol]
    got = b""
    while len(got) < len(answer):
        got += client.recv(len(answer) - len(got)) or b"the end"
    assert got == answer


class Server:
    """A process that serves both protocols, seen from outside. It has one client of each that stays."""

    def __init__(self, loop: str, errors: Path) -> None:
        self.errors = errors
        with errors.open("wb") as stderr:
            self.process = python(SERVER, loop, stderr=stderr)
        self.ports = dict(zip((HTTP, RESP), map(int, self.process.stdout.readline().split())))
        self.witnesses = {protocol: self.connect(protocol) for protocol in self.ports}
        self.ask()
        self.own = self.descriptors()

    def connect(self, protocol: str) -> socket.socket:
        client = socket.create_connection(("127.0.0.1", self.ports[protocol]), timeout=PATIENCE)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return client

    def ask(self) -> None:
        """Both protocols must still be served."""
        for protocol, (request, _) in ASKED.items():
            self.witnesses[protocol].sendall(request)
            answered(self.witnesses[protocol], protocol)

    def descriptors(self) -> int:
        return len(proc.links(self.process.pid))

    def memory(self, field: str = "VmRSS") -> int:
        """Bytes of memory that it holds now, or (VmHWM) that it has held at most (proc(5))."""
        return int(proc.status(self.process.pid, field)) * 1024

    def peak_from_here(self) -> int:
        """Bytes that it holds now; from now on VmHWM counts anew, if the kernel allows it (proc(5))."""
        with suppress(OSError):
            Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")
        return self.memory("VmHWM")

    def cpu(self) -> float:
        """Seconds of CPU time used so far; the clock of another process has no ticks (clock_getcpuclockid(3))."""
        return time.clock_gettime(~self.process.pid << 3 | 2)

    def left_nothing(self) -> None:
        """All clients have gone: so have their descriptors, no task has raised, and it sleeps."""
        assert wait_until(lambda: self.descriptors() == self.own, PATIENCE), (self.descriptors(), self.own)
        assert self.errors.read_text() == ""
        begin, used = time.monotonic(), self.cpu()
        time.sleep(0.2)
        assert self.cpu() - used < (time.monotonic() - begin) / 2

    def close(self) -> None:
        for witness in self.witnesses.values():
            witness.close()
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
