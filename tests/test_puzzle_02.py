"""The puzzle of notebook 02: the steps of BlockingServer, in its order, and what its words say of a missing last line."""

import inspect
import select
import socket
import struct

import pytest
from puzzle import Puzzle

from course_lib.servers import BlockingServer, Server

PUZZLE = Puzzle("blocking-server")


def server(blocks=None) -> type[Server]:
    """A server made of these blocks."""
    names = {}
    exec("def serve(self, listener):\n" + "\n".join("    " + line for line in PUZZLE.lines(blocks).splitlines()), names)
    return type("PuzzleServer", (Server,), names)


def talk(address) -> socket.socket:
    """A client that has had its answer and has finished sending."""
    client = socket.create_connection(address, timeout=20)
    client.sendall(b"hello")
    assert client.recv(100) == b"hello"
    client.shutdown(socket.SHUT_WR)
    return client


@pytest.mark.parametrize("block", ["accept", "read", "answer", "close"])
def test_its_lines_are_those_of_the_server(block):
    assert PUZZLE.its["blocks"][block]["code"].strip() in inspect.getsource(BlockingServer)


def test_it_serves_one_client_after_the_other_whatever_becomes_of_one():
    with server()() as built:
        with socket.create_connection(built.address) as resets:
            resets.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        for _ in range(2):
            with talk(built.address) as client:
                assert client.recv(100) == b""


def test_without_letting_go_a_client_gets_its_end_from_the_next_one():
    with server(PUZZLE.without("close"))() as built, talk(built.address) as first:
        assert select.select([first], [], [], 0.3)[0] == []
        with talk(built.address):
            assert first.recv(100) == b""
