"""What the tests of single puzzles share: a puzzle's programs as Python, and the server's statements beside them."""

import ast
import inspect
import select
import socket
import textwrap
import threading
from collections.abc import Callable
from types import SimpleNamespace

from course_lib.lesson.parsons import first_bug, puzzles
from course_lib.servers.connection import Connection

LONG = 4_000_000  # bytes of an answer that no send buffer takes at once


class Puzzle:
    """One puzzle by its key; `right` are the blocks of its solution."""

    def __init__(self, key: str) -> None:
        self.its = puzzles()[key]
        self.right: list[str] = self.its["solution"]

    def lines(self, blocks: list[str] | None = None) -> str:
        """These blocks as a program; without any, the solution."""
        return "\n".join(self.its["blocks"][block]["code"] for block in (self.right if blocks is None else blocks))

    def swapped(self, bug: str) -> list[str]:
        """The solution with this bug in the place of its twin."""
        twin = next(twin for twin, its in self.its["pairs"] if its == bug)
        return [bug if block == twin else block for block in self.right]

    def without(self, block: str) -> list[str]:
        return [one for one in self.right if one != block]

    def words(self, program: list[str]) -> str:
        return first_bug(self.its, program)


def statements(function: Callable, within: type[ast.stmt]) -> list[ast.stmt]:
    """The statements of the first loop (or other block) of this kind in a function."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    return next(node for node in ast.walk(tree) if isinstance(node, within)).body


def code(body: list[ast.stmt]) -> str:
    """Statements as Python writes them: without comments."""
    return ast.unparse(ast.Module(body, []))


def long(request: bytes) -> bytes:
    return bytes(LONG)


class Rounds:
    """The loop round the lines of a puzzle, with one connection in the list of `poll`, which may be an epoll; waits never last."""

    def __init__(self, puzzle: Puzzle, poll, client: socket.socket, sock: socket.socket) -> None:
        self.puzzle, self.poll, self.client, self.sock, self.number = puzzle, poll, client, sock, sock.fileno()
        self.connections = {self.number: Connection(sock)}
        self.poll.register(sock, select.POLLIN)

    def names(self, ready: list[tuple[int, int]]) -> list[dict]:
        """What the lines know, for each time they run in a round."""
        raise NotImplementedError

    def run(self, blocks: list[str], answer: Callable = bytes.upper, waits: int = 50) -> int:
        """How often somebody was ready, of so many times."""
        program, came_back = compile(self.puzzle.lines(blocks), "puzzle", "exec"), 0
        known = {"select": select, "self": SimpleNamespace(answer=answer), "connections": self.connections}
        for _ in range(waits):
            ready = self.poll.poll(0)
            came_back += bool(ready)
            for names in self.names(ready):
                exec(program, known | names)
        return came_back

    def take(self, blocks: list[str], answer: Callable = bytes.upper) -> None:
        """Let the client read all of a long answer, and the server send on."""
        got = 0
        while got < LONG:
            got += len(self.client.recv(1 << 20))
            self.run(blocks, answer, waits=1)

    @property
    def unsent(self) -> bytes:
        return self.connections[self.number].unsent


class InThread:
    """A program of a puzzle in a thread, with a listener; what it raises is in `errors`. `stop` says how it ends."""

    def __init__(self, program: str, **names) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.errors: list[BaseException] = []
        names |= {"listener": self.listener}
        self.thread = threading.Thread(target=self.guarded, args=(exec, compile(program, "puzzle", "exec"), names), daemon=True)

    def guarded(self, function: Callable, *args) -> None:
        try:
            function(*args)
        except (OSError, SystemExit) as error:
            self.errors.append(error)

    def connect(self) -> socket.socket:
        return socket.create_connection(self.listener.getsockname(), timeout=30)

    def stop(self) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> "InThread":
        self.thread.start()
        return self

    def __exit__(self, *_) -> None:
        self.stop()
        self.thread.join(30)
        assert not self.thread.is_alive()
        self.listener.close()
