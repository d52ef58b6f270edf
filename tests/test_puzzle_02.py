"""The puzzle of notebook 02: what its words say of a missing last line is what happens."""

import select
import socket

from course_lib.lesson.parsons import puzzles
from course_lib.servers import Server

PUZZLE = puzzles()["blocking-server"]


def server(blocks) -> type[Server]:
    """A server made of these blocks."""
    names = {}
    exec("def serve(self, listener):\n" + "\n".join("    " + PUZZLE["blocks"][block]["code"] for block in blocks), names)
    return type("PuzzleServer", (Server,), names)


def talk(address) -> socket.socket:
    """A client that has had its answer and has finished sending."""
    client = socket.create_connection(address, timeout=20)
    client.sendall(b"hello")
    assert client.recv(100) == b"hello"
    client.shutdown(socket.SHUT_WR)
    return client


def test_without_letting_go_a_client_gets_its_end_from_the_next_one():
    with server([block for block in PUZZLE["solution"] if block != "close"])() as built, talk(built.address) as first:
        assert select.select([first], [], [], 0.3)[0] == []
        with talk(built.address):
            assert first.recv(100) == b""
