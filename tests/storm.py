"""Clients that behave at random: they connect, talk, read slowly, half-close, reset and vanish.

    python tests/storm.py HOST PORT [clients] [seconds] [seed] [patience]

Each client of an echo server knows every byte that it must get back. The last line of the output counts what happened;
the exit status is 1 if a byte was lost or changed, or a client that waited in good order was left without its end.
"""

import collections
import contextlib
import errno
import random
import selectors
import socket
import struct
import sys
import time

RESET = struct.pack("ii", 1, 0)
LONGEST = 30_000  # bytes of a message


class Client:
    """One connection with a fate of its own. `wrong` says what the server did to it that it must not."""

    def __init__(self, address: tuple[str, int], chance: random.Random) -> None:
        self.chance = chance
        self.fate = chance.choice(["half-close", "half-close", "half-close", "reset", "vanish", "come and go"])
        self.messages = chance.randrange(1, 12)
        self.slow = chance.random() < 0.1
        self.unsent, self.expected = bytearray(), collections.deque()
        self.finished, self.over, self.wrong = False, False, ""
        self.sock = socket.socket()
        self.sock.setblocking(False)
        if self.slow:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.sock.connect_ex(address)

    @property
    def events(self) -> int:
        wants_to_write = self.unsent or (self.messages and not self.expected)
        return selectors.EVENT_READ | (selectors.EVENT_WRITE if wants_to_write else 0)

    def act(self, events: int) -> None:
        """Do one thing that can be done now."""
        try:
            if events & selectors.EVENT_READ:
                self.read()
            elif events & selectors.EVENT_WRITE:
                self.write()
        except BlockingIOError:
            pass
        except OSError as error:
            if error.errno == errno.ECONNREFUSED:
                self.wrong = "refused"
            elif self.fate == "half-close":
                self.wrong = f"lost its connection: {error.strerror}"
            self.leave()

    def write(self) -> None:
        if self.fate == "come and go":
            return self.leave()
        if not self.unsent:
            self.messages -= 1
            message = self.chance.randbytes(self.chance.randrange(1, LONGEST if self.chance.random() < 0.2 else 100))
            self.unsent += message
            self.expected.extend(message)
        count = self.sock.send(self.unsent)
        del self.unsent[:count]
        self.go_on()

    def read(self) -> None:
        data = self.sock.recv(100 if self.slow else 65536)
        if any(byte != (self.expected.popleft() if self.expected else None) for byte in data):
            self.wrong = "got a byte that it did not send"
        if not data and not self.finished:
            self.wrong = "got the end before it had finished"
        if not data and self.finished and self.expected:
            self.wrong = f"got the end, and {len(self.expected)} bytes are missing"
        if not data or self.wrong:
            return self.leave()
        self.go_on()

    def go_on(self) -> None:
        """After each step: is its fate due?"""
        due = not self.messages and not self.unsent
        if due and self.fate == "half-close" and not self.finished:
            self.sock.shutdown(socket.SHUT_WR)
            self.finished = True
        elif self.fate in ("reset", "vanish") and (due or self.chance.random() < 0.05):
            self.leave()

    def leave(self) -> None:
        if self.fate == "reset":
            with contextlib.suppress(OSError):
                self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self.over = True


def storm(
    address: tuple[str, int], clients: int, seconds: float, seed: int, patience: float
) -> tuple[collections.Counter, list[str]]:
    """Keep `clients` of them going for so long. Returns (how many ended in which way, what went wrong).

    patience  seconds after the storm for those who wait for the end of their answers
    """
    chance, ended, wrong = random.Random(seed), collections.Counter(), []
    end = time.monotonic() + seconds
    with selectors.DefaultSelector() as selector:
        while time.monotonic() < end or selector.get_map():
            while time.monotonic() < end and len(selector.get_map()) < clients:
                client = Client(address, chance)
                selector.register(client.sock, client.events, client)
            if time.monotonic() > end + patience:
                wrong += [
                    f"{key.data.fate}: waits in vain, {len(key.data.expected)} bytes are missing"
                    for key in selector.get_map().values()
                ]
                break
            for key, events in selector.select(0.1):
                client = key.data
                client.act(events)
                if client.over:
                    selector.unregister(client.sock)
                    client.sock.close()
                    ended[client.fate] += 1
                    wrong += [f"{client.fate}: {client.wrong}"] if client.wrong else []
                elif client.events != key.events:
                    selector.modify(client.sock, client.events, client)
    return ended, wrong


def main(host: str, port: str, clients: int = 300, seconds: float = 20, seed: int = 1, patience: float = 20) -> int:
    ended, wrong = storm((host, int(port)), int(clients), float(seconds), int(seed), float(patience))
    for sentence, count in collections.Counter(wrong).most_common(20):
        print(f"{count} × {sentence}")
    print(", ".join(f"{count} {fate}" for fate, count in sorted(ended.items())))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
