"""The kit of a notebook: small helpers of its experiments, each shown where it teaches and imported afterwards."""

import ast
import atexit
import errno
import inspect
import multiprocessing
import os
import re
import resource
import select
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager, suppress
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

from course_lib import folders, journal
from course_lib.kernel import Call, doing, wait_until
from course_lib.proc import descriptor_limit
from course_lib.servers import Server
from course_lib.servers.scheduler import accept
from course_lib.solutions import file_of

PATIENCE = 10  # seconds until a helper no longer waits for what has to happen


@contextmanager
def pair(blocking: bool = True) -> Iterator[tuple[socket.socket, socket.socket]]:
    """The two ends of one TCP connection on loopback: (client, connection). `blocking` is of the second one."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        with socket.create_connection(listener.getsockname()) as client, listener.accept()[0] as connection:
            connection.setblocking(blocking)
            yield client, connection


def reset(sock: socket.socket) -> None:
    """Close with a reset: SO_LINGER with zero seconds (socket(7))."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def readable(thing: Any, seconds: float = 2) -> bool:
    """True as soon as a call that reads from this descriptor would not sleep; False when it still would after so long."""
    return bool(select.select([thing], [], [], seconds)[0])


def attempt(call: Callable[..., object], *arguments: object) -> str:
    """What came of a call: ``"ok"``, or the name of its error: ``"ConnectionResetError ECONNRESET"``."""
    try:
        call(*arguments)
    except OSError as error:
        return f"{type(error).__name__} {errno.errorcode.get(error.errno or 0, '')}".strip()
    return "ok"


def recv_says(connection: socket.socket) -> str:
    """What recv() brings: the bytes as Python writes them, or the name of its error."""
    try:
        return repr(connection.recv(100))
    except OSError as error:
        return type(error).__name__


def in_thread(call: Callable[..., object], *arguments: object) -> threading.Thread:
    """Make a call in a thread, and go on when the thread sleeps in the kernel, or has ended. A wait for a lock is no such sleep."""
    thread = threading.Thread(target=call, args=arguments, daemon=True)
    thread.start()
    wait_until(lambda: doing(thread).call not in (None, "futex") or not thread.is_alive(), PATIENCE)
    return thread


def cpu_seconds(call: Callable[..., object], *arguments: object) -> float:
    """How long this thread was on a processor during a call."""
    used = time.thread_time()
    call(*arguments)
    return time.thread_time() - used


@contextmanager
def room_for(number: int) -> Iterator[None]:
    """Let this process have descriptors up to this number, for a while (RLIMIT_NOFILE, getrlimit(2))."""
    with descriptor_limit(max(resource.getrlimit(resource.RLIMIT_NOFILE)[0], number + 1)):
        yield


@contextmanager
def taken_below(number: int) -> Iterator[None]:
    """Take every free descriptor below this number, for a while."""
    taken = [os.open(os.devnull, os.O_RDONLY)]
    while taken[-1] < number:
        taken.append(os.dup(taken[0]))
    os.close(taken.pop())
    try:
        yield
    finally:
        for each in taken:
            os.close(each)


def in_a_child(function: Callable[..., Any], *arguments: object) -> Any:
    """What a function returns in a Python process of its own, where it may use up descriptors or memory.

    It sees its arguments and the modules named here; arguments and result are what `repr` writes and Python reads again.
    Raises CalledProcessError when it fails there.
    """
    program = (
        "import errno, os, resource, select, socket, threading, time\n"
        f"{inspect.getsource(function)}\nprint(repr({function.__name__}(*{arguments!r})))"
    )
    done = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, check=True)
    return ast.literal_eval(done.stdout)


def _waits_elsewhere(thread: threading.Thread, sock: socket.socket) -> bool:
    now = doing(thread)
    return bool(now.ended) or now.call in ("recv", "read") and now.descriptor != sock.fileno()


def answered_backwards(read_all: Callable[[list[socket.socket], list[int]], object]) -> list[int]:
    """Three readers wait, and their peers answer in the order 2, 1, 0: in which order are the readers through?

    `read_all(socks, done)` is called in a thread; reader n reads one byte from `socks[n]`, and appends n to `done`. Each
    peer answers as soon as the answer before has been read, or when the thread sleeps in recv() of another one.
    """
    pairs = [socket.socketpair() for _ in range(3)]
    done: list[int] = []
    thread = threading.Thread(target=read_all, args=([ours for ours, _ in pairs], done))
    thread.start()
    try:
        for count, number in enumerate((2, 1, 0), 1):
            pairs[number][1].send(b"x")
            wait_until(lambda: len(done) == count or _waits_elsewhere(thread, pairs[number][0]), PATIENCE)
    finally:
        for _, theirs in pairs:
            theirs.close()  # wakes whoever still reads
        thread.join()
        for ours, _ in pairs:
            ours.close()
    return done


@contextmanager
def switch_interval(seconds: float) -> Iterator[None]:
    """For a while a thread that has the GIL is asked for it only after so many seconds (sys.setswitchinterval)."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(seconds)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


class LoopServer(Server):
    """A Loop of exercise 7.3 in a server's thread. `client(connection)` makes the task that serves one client."""

    def __init__(self, loop: Callable[[], Any], client: Callable[[socket.socket], Generator]) -> None:
        super().__init__()
        self.new_loop, self.client = loop, client

    def serve(self, listener: socket.socket) -> None:
        listener.setblocking(False)
        self.loop = self.new_loop()
        self.loop.spawn(self.clients(listener))
        try:
            self.loop.run()
        finally:
            del self.loop  # nobody else has its epoll: now the kernel closes it

    def clients(self, listener: socket.socket) -> Generator:
        """The task that accepts, until its listener is shut down: `accept` raises no other error."""
        with suppress(OSError):
            while True:
                connection, peer = yield from accept(listener)
                self.loop.spawn(self.client(connection))


# Clients from outside

PACKAGES = {
    "curl": "curl",
    "nginx": "nginx",
    "redis-benchmark": "redis-tools",
    "redis-cli": "redis-tools",
    "redis-server": "redis-server",
    "ss": "iproute2",
    "tcpdump": "tcpdump",
    "wrk": "wrk",
}


def installed(program: str) -> bool:
    """Is this program on the machine? If not, prints the line that installs it."""
    if shutil.which(program):
        return True
    print(f"{program} is not on this machine. Debian, Ubuntu: sudo apt install {PACKAGES[program]}")
    return False


def real(program: str, *arguments: object, seconds: float = 20) -> str:
    """Run a program that nobody here has written: what it says, at most for so many seconds; "" where it is not installed."""
    if not installed(program):
        return ""
    try:
        done = subprocess.run([program, *map(str, arguments)], capture_output=True, text=True, timeout=seconds)
    except subprocess.TimeoutExpired:
        return f"{program} has not ended within {seconds:g} s."
    return done.stdout + done.stderr


def ask(address: tuple[str, int], path: str, seconds: float = 2) -> bytes | str:
    """What Python's own web client makes of the answer to GET path: the page, or the name of its error. It waits so long."""
    client = HTTPConnection(*address, timeout=seconds)
    try:
        client.request("GET", path)
        return client.getresponse().read()
    except (HTTPException, OSError) as error:
        return type(error).__name__
    finally:
        client.close()


def raw(address: tuple[str, int], request: bytes) -> bytes:
    """Send these bytes, and nothing more: all that comes back until the server closes."""
    with socket.create_connection(address) as client:
        client.sendall(request)
        client.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: client.recv(65536), b""))


@contextmanager
def from_a_terminal(*arguments: str) -> Iterator[tuple[str, int]]:
    """Run `python -m course_lib.mine …` in a process of its own; gives the address that it serves."""
    program = [sys.executable, "-u", "-m", "course_lib.mine", *arguments]
    with subprocess.Popen(program, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            where = next(line for line in process.stdout if line.startswith("serving"))
            yield "127.0.0.1", int(where.rpartition(":")[2].split()[0])
        finally:
            process.terminate()
            process.communicate()


@contextmanager
def in_its_own_process(server: Server) -> Iterator[tuple[int, tuple[str, int]]]:
    """Run `server.serve` in a child process: gives its pid and its address. What it prints is not shown; it is killed at the end."""
    listener, log = socket.create_server(("127.0.0.1", 0)), open(os.devnull, "w")

    def serve() -> None:
        sys.stdout = sys.stderr = log  # Jupyter's own would need a descriptor, and there may be none
        server.serve(listener)

    child = multiprocessing.get_context("fork").Process(target=serve, daemon=True)
    with no_fork_warning(), listener, log:  # closed here afterwards: the child has its own numbers for them
        child.start()
        address = listener.getsockname()
    try:
        yield child.pid or 0, address
    finally:
        child.kill()
        child.join()


def limit_of(pid: int, limit: int) -> int:
    """Let a process have so many descriptors and no more; gives what its soft limit was (prlimit(2))."""
    soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (limit, hard))
    return soft


_NGINX = """
pid nginx.pid;
events {{}}
http {{
    client_body_temp_path t; proxy_temp_path t; fastcgi_temp_path t; uwsgi_temp_path t; scgi_temp_path t;
    access_log off;
    server {{ listen 127.0.0.1:{}; }}
}}
"""
_started: dict[str, subprocess.Popen] = {}


def started(program: str) -> tuple[subprocess.Popen, int]:
    """Start redis-server, or nginx with one process, on a free port: the process, and the port. A former one is ended.

    It ends with this process at the latest. Raises ValueError for another program.
    """
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    folder = tempfile.mkdtemp()  # of what they write
    if program == "nginx":
        command = [program, "-p", folder, "-c", "conf", "-e", "stderr", "-g", "daemon off; master_process off;"]
        Path(folder, "conf").write_text(_NGINX.format(port))
    elif program == "redis-server":
        command = [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", folder]
    else:
        raise ValueError(f"redis-server or nginx can be started, not {program!r}")
    if former := _started.pop(program, None):
        former.terminate()
        former.wait()
    process = _started[program] = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    atexit.register(process.terminate)
    wait_until(lambda: process.poll() is not None or _listens(port), PATIENCE)
    return process, port


def _listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def served(client: str, number: int, at_once: bool = False) -> None:
    """Keep in the journal that so many requests of this client were answered, if the learner's own Loop has done it.

    They are added up; of what was there `at_once` the most is kept.
    """
    if number and (folders.mine() / file_of("Loop")).exists():
        together = max if at_once else int.__add__
        journal.update("served", client, lambda entry: {"requests": together(entry.get("requests", 0), number)})


@contextmanager
def no_fork_warning() -> Iterator[None]:
    """Python 3.12 and later warn when a process with threads forks."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        yield


def names_in(server: Server, **clients: socket.socket) -> dict[int, str]:
    """The name of each descriptor of a server: that of its client, or its kind, such as ``"listener"``."""
    names = {client.getsockname(): name for name, client in clients.items()}
    return {each.number: names.get(each.peer, each.kind) for each in server.descriptors()}


def line(call: Call, names: dict[int, str]) -> str:
    """A recorded call in one line, with names in place of numbers: ``recv(alice)  ->  5 b'hello'``."""

    def named(text: object) -> str:
        return re.sub(r"\b\d+\b", lambda number: names.get(int(number[0]), number[0]), str(text))

    if call.name in ("select", "poll"):
        return f"{call.name}({named(call.asked)})  ->  {named(call.result)}"
    result = named(call.result) if call.name == "accept" else call.outcome
    return f"{call.name}({named(call.descriptor)})  ->  {result}"


def watched(thing: Any, *mask: int) -> "select.poll":
    """A poll object with this one thing in its list, registered with this mask, or with none."""
    poll = select.poll()
    poll.register(thing, *mask)
    return poll


def bits(events: int) -> str:
    """The names of the bits that poll() has set: ``"POLLERR | POLLHUP"`` (poll(2))."""
    names = "POLLIN", "POLLOUT", "POLLERR", "POLLHUP", "POLLNVAL"
    return " | ".join(name for name in names if events & getattr(select, name))


def fill(client: socket.socket, server: Server, most: int = 100_000_000) -> int:
    """Send from a client that reads nothing, until nobody takes more: how many bytes were taken, `most` at most.

    Then the server sleeps, and has no room to answer this client. Its socket is non-blocking from now on.
    """
    client.setblocking(False)
    taken = 0

    def stuck() -> bool:
        nonlocal taken
        try:
            while taken < most:
                taken += client.send(bytes(65536))
        except BlockingIOError:
            full = [each.peer for each in server.descriptors() if not each.writable]
            return server.doing().asleep and client.getsockname() in full
        return True

    wait_until(stuck, PATIENCE)
    return taken


def served_by(function: Callable[[socket.socket], object]) -> Server:
    """A server of the course that does what a function of one's own does with a listening socket: to run, watch and film it."""
    # A lambda, and not the function itself: the film takes the file of `serve` for the server's own, and a reference is not to be shown.
    kind: type[Server] = type(function.__name__, (Server,), {"serve": lambda self, listener: function(listener)})
    return kind()


def span(value: float | None, names: dict[float, str]) -> str | None:
    """The name of the span that a number is in: of `{2: "less than twice", inf: "more"}` the first with a bound above it.

    None where nothing was measured.
    """
    return None if value is None else next(names[bound] for bound in sorted(names) if value < bound)


def first_answered(server: Server, alice: bytes, bob: bytes) -> str:
    """Start a server, let alice ask it and right after her bob: which of them is answered first, ``"alice"`` or ``"bob"``."""
    with server:
        first, second = (socket.create_connection(server.address, timeout=PATIENCE) for _ in range(2))
        with first, second:
            first.sendall(alice)
            second.sendall(bob)
            second.recv(100)
            who = "alice" if readable(first, 0) else "bob"
            if alice:
                first.recv(100)  # else the server would be stopped at work
            return who


def cpu_of_an_answer(server: Server, client: socket.socket, times: int = 100) -> float:
    """Microseconds of the processor time of a server's thread for one answer to this client."""
    used = server.cpu_seconds()
    for _ in range(times):
        client.sendall(b"hello")
        client.recv(100)
    return (server.cpu_seconds() - used) / times * 1e6


def two_clients(connect: Callable[..., Any]) -> Iterator[None]:
    """A script for `film`: the first client is silent, the second one sends a line; then the first one leaves."""
    alice = connect()
    yield
    bob = connect()
    bob.send(b"hello\n")
    yield
    alice.close()
    yield
    bob.close()


@contextmanager
def silent_clients(server: Server, count: int) -> Iterator[None]:
    """So many clients that connect, say nothing, and leave at the end. When it begins, the server has accepted all of them."""
    with ExitStack() as clients:
        there = len(server.descriptors())
        for number in range(1, count + 1):
            clients.enter_context(socket.create_connection(server.address))
            if number % 50 == 0 or number == count:  # the accept queue is short
                wait_until(lambda: len(server.descriptors()) == there + number, PATIENCE)
        yield


def five_clients(connect: Callable[..., Any]) -> Iterator[None]:
    """A script for `film`: five clients come, one talks, then two in the same moment, and one leaves. What they say are lines."""
    alice, bob, carol, dave, erin = (connect() for _ in range(5))
    yield
    alice.send(b"hello\n")
    yield
    carol.send(b"hi\n")
    erin.send(b"hey\n")
    yield
    alice.close()
    yield
