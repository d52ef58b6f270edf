"""The puzzle of notebook 07: CoroutineServer as two generator functions, and two ways to lose it: a plain call, and no task."""

import ast
import inspect
import select
import socket
import textwrap

import pytest
from puzzle import Puzzle

from course_lib.kernel import wait_until
from course_lib.servers import CoroutineServer, Server
from course_lib.servers.scheduler import Loop, accept, recv, send_all

PUZZLE = Puzzle("coroutine-server")


class Plain(ast.NodeTransformer):
    """A method as a plain function: without `self` and types; of a `try`, what it guards and what it does in any case."""

    def visit_Attribute(self, node):
        self.generic_visit(node)
        return ast.Name(node.attr) if isinstance(node.value, ast.Name) and node.value.id == "self" else node

    def visit_Try(self, node):
        self.generic_visit(node)
        return node.body + node.finalbody

    def visit_arg(self, node):
        return ast.arg(node.arg)

    def visit_FunctionDef(self, node):
        node.args.args.pop(0)
        node.returns = None
        self.generic_visit(node)
        return node


def test_its_statements_are_those_of_the_server_in_the_same_order():
    methods = CoroutineServer.accept_clients, CoroutineServer.serve_client
    server = [Plain().visit(ast.parse(textwrap.dedent(inspect.getsource(method)))) for method in methods]
    assert [ast.unparse(ast.fix_missing_locations(one)) for one in server] == [
        ast.unparse(function) for function in ast.parse(PUZZLE.lines()).body
    ]


# What the words say of a program, seen in that program


class Puzzled(Server):
    """The server that these lines are."""

    def __init__(self, blocks) -> None:
        super().__init__(bytes.upper)
        self.program = PUZZLE.lines(blocks)
        self.loop = Loop(on_error=self.fail)

    def serve(self, listener):
        listener.setblocking(False)
        names = {"loop": self.loop, "accept": accept, "recv": recv, "send_all": send_all, "answer": self.answer}
        exec(compile(self.program, "puzzle", "exec"), names)
        self.loop.spawn(names["accept_clients"](listener))
        self.loop.run()

    def fail(self, task):
        raise task.error

    def waiting(self) -> list[str]:
        return [task.name for task in list(self.loop.readers.values())]


def answered(client, data: bytes, seconds: float = 30) -> bytes | None:
    client.sendall(data)
    return client.recv(100) if select.select([client], [], [], seconds)[0] else None


def test_the_right_program_serves_a_second_client_beside_a_silent_one_and_lets_both_go():
    with Puzzled(PUZZLE.right) as server:
        with socket.create_connection(server.address), socket.create_connection(server.address) as bob:
            assert answered(bob, b"hello") == b"HELLO" and answered(bob, b"again") == b"AGAIN"
            tasks = ["accept_clients", "serve_client", "serve_client"]
            assert wait_until(lambda: sorted(server.waiting()) == tasks)  # who has just answered waits a moment later
        assert wait_until(lambda: server.waiting() == ["accept_clients"] and len(server.descriptors()) == 2)


def test_a_plain_call_sends_nothing_and_raises_nothing():
    program = PUZZLE.swapped("send-plain")
    assert "not one byte is sent, no error is raised" in PUZZLE.words(program)
    with Puzzled(program) as server, socket.create_connection(server.address) as alice:
        wait_until(lambda: len(server.waiting()) == 2)
        server.record()
        assert answered(alice, b"hello", 0.2) is None
        assert wait_until(lambda: [call.name for call in server.calls()].count("recv") == 1)
        assert server.running and "send" not in {call.name for call in server.calls()}


def test_serving_in_the_task_that_accepts_is_the_blocking_server_again():
    program = PUZZLE.swapped("serve-here")
    assert "nobody is accepted" in PUZZLE.words(program)
    with Puzzled(program) as server, socket.create_connection(server.address) as silent:
        wait_until(lambda: len(server.descriptors()) == 3)
        with socket.create_connection(server.address) as bob:
            assert answered(bob, b"hello", 0.2) is None and len(server.descriptors()) == 3
            silent.close()
            assert bob.recv(100) == b"HELLO"


def test_a_client_that_is_served_twice_ends_the_server_that_says_two_tasks_wait():
    program = [*PUZZLE.right[:4], "serve-here", *PUZZLE.right[4:]]
    assert "two tasks wait to read one socket" in PUZZLE.words(program)
    with Puzzled(program) as server, socket.create_connection(server.address):
        assert wait_until(lambda: server.error is not None)
        assert "two tasks wait to read" in str(server.error)


def test_without_close_the_last_client_gets_its_end_when_another_one_comes():
    assert "no end until another one comes" in PUZZLE.its["blocks"]["close"]["missing"]
    with Puzzled(PUZZLE.without("close")) as server, socket.create_connection(server.address) as alice:
        assert answered(alice, b"hello") == b"HELLO"
        alice.shutdown(socket.SHUT_WR)
        assert wait_until(lambda: server.waiting() == ["accept_clients"])  # her task has ended
        assert select.select([alice], [], [], 0.2)[0] == []
        with socket.create_connection(server.address):
            assert alice.recv(100) == b""


def test_accepting_once_leaves_the_second_client_in_the_queue():
    program = PUZZLE.without("forever")
    text = (
        PUZZLE.lines(program)
        .replace("        connection, peer", "    connection, peer")
        .replace("        loop.spawn", "    loop.spawn")
    )
    server = Puzzled(PUZZLE.right)
    server.program = text
    with server, socket.create_connection(server.address) as alice, socket.create_connection(server.address) as bob:
        assert answered(alice, b"hello") == b"HELLO" and answered(bob, b"hello", 0.2) is None


def test_without_accepting_the_loop_in_it_has_no_pause():
    assert "never gives the thread back" in PUZZLE.its["blocks"]["accept"]["missing"]
    names = {}
    exec(compile(PUZZLE.lines(["def-accept", "forever", "spawn"]), "puzzle", "exec"), names)
    assert not inspect.isgeneratorfunction(names["accept_clients"])


def test_a_client_task_that_serves_itself_ends_in_a_recursion_error():
    assert "RecursionError" in PUZZLE.its["blocks"]["serve-here"]["after"]["def-client"]
    names = {"connection": None}
    exec("def serve_client(connection):\n" + PUZZLE.lines(["serve-here"]), names)
    with pytest.raises(RecursionError):
        next(names["serve_client"](None))
