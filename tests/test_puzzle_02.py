"""The puzzle of notebook 02: the steps of BlockingServer, in its order, and what its words say of a missing last line."""

import inspect
import select
import socket
import struct
from types import SimpleNamespace

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
    """A client that has had its answers and has finished sending."""
    client = socket.create_connection(address, timeout=20)
    for word in (b"hello", b"again"):
        client.sendall(word)
        assert client.recv(100) == word
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


def test_closing_inside_the_loop_is_a_real_bug():
    with server([*PUZZLE.right[:5], "close-early", "reset"])() as built:
        with socket.create_connection(built.address, timeout=20) as client:
            client.sendall(b"hello")
            assert client.recv(100) == b"hello" and client.recv(100) == b""


def test_reading_for_ever_is_a_real_bug():
    class StillReading(Exception):
        pass

    class Left:
        """A connection whose peer has finished sending."""

        reads = 0

        def recv(self, size):
            self.reads += 1
            if self.reads == 1000:
                raise StillReading
            return b""

        def sendall(self, data):
            pass

    with pytest.raises(StillReading):
        server(PUZZLE.swapped("read-for-ever")).serve(Server(), SimpleNamespace(accept=lambda: (Left(), None)))
