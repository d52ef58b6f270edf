"""Typical wrong solutions of 5.x, each with words of the message that names its cause."""

IMPORTS = """
import select, socket, threading, time
from course_lib.solutions.nonblocking import Conn, busy_server, try_accept
from course_lib.solutions.polling import PollEngine, SelectEngine
from course_lib.solutions.selecting import select_server
"""

POLL = """
class PollEngine:
    def __init__(self):
        self.poll = select.poll()
        self.numbers = {}
        self.data = {}

    def watch(self, sock, read, write, data):
        self.poll.register(sock, select.POLLIN * read | select.POLLOUT * write)
        self.numbers[sock] = sock.fileno()
        self.data[sock.fileno()] = data

    def unwatch(self, sock):
        number = self.numbers.pop(sock)
        del self.data[number]
        self.poll.unregister(number)

    def wait(self, seconds):
        ready = self.poll.poll(None if seconds is None else seconds * 1000)
        found = []
        for number, bits in ready:
            readable, writable = bool(bits & select.POLLIN), bool(bits & select.POLLOUT)
            hup = bool(bits & (select.POLLHUP | select.POLLERR | select.POLLNVAL))
            found.append((self.data[number], readable, writable, hup))
        return found
"""

SELECT = """
class SelectEngine:
    def __init__(self):
        self.entries = {}

    def watch(self, sock, read, write, data):
        self.entries[sock] = read, write, data

    def unwatch(self, sock):
        del self.entries[sock]

    def wait(self, seconds):
        readers = [sock for sock in self.entries if self.entries[sock][0]]
        writers = [sock for sock in self.entries if self.entries[sock][1]]
        readable, writable, _ = select.select(readers, writers, [], seconds)
        found = []
        for sock in set(readable) | set(writable):
            found.append((self.entries[sock][2], sock in readable, sock in writable, False))
        return found
"""

SERVER = """
def server(engine, listener):
    listener.setblocking(False)
    engine.watch(listener, True, False, None)
    while True:
        for conn, readable, writable, hup in engine.wait(None):
            if conn is None:
                if sock := try_accept(listener):
                    engine.watch(sock, True, False, Conn(sock))
                continue
            if conn.want_read and (readable or hup):
                conn.on_readable()
            if conn.want_write and (writable or hup):
                conn.on_writable()
            if conn.over:
                engine.unwatch(conn.sock)
                conn.sock.close()
            else:
                engine.watch(conn.sock, conn.want_read, conn.want_write, conn)
"""


def changed(source: str, *changes: tuple[str, str]) -> str:
    """The right solution with other parts in it."""
    for old, new in changes:
        assert source.count(old) == 1, old
        source = source.replace(old, new)
    return source


_READY = "ready = self.poll.poll(None if seconds is None else seconds * 1000)"
_HUP = "bool(bits & (select.POLLHUP | select.POLLERR | select.POLLNVAL))"
_REGISTER = "self.poll.register(sock, select.POLLIN * read | select.POLLOUT * write)"
_FOUND = "found.append((self.data[number], readable, writable, hup))"

POLL_CASES = {
    "seconds for milliseconds": (
        changed(POLL, (_READY, "ready = self.poll.poll(seconds)")),
        "with nothing. poll() counts milliseconds: hand it seconds * 1000",
    ),
    "cut to whole seconds": (
        changed(POLL, (_READY, "ready = self.poll.poll(None if seconds is None else int(seconds) * 1000)")),
        "do not cut 0.2 to 0 before",
    ),
    "a thousand times too long": (
        changed(POLL, ("seconds * 1000", "seconds * 1_000_000")),
        "wait(0.2) did not return within 1.2 s: poll() counts milliseconds, so it is seconds * 1000: it sleeps in line",
    ),
    "no time limit": (changed(POLL, (_READY, "ready = self.poll.poll()")), "wait(0) did not return within 1 s: 0 is to look once"),
    "0 is falsy": (
        changed(POLL, (_READY, "ready = self.poll.poll(seconds * 1000 if seconds else None)")),
        "wait(0) did not return within 1 s: 0 is to look once",
    ),
    "None is no number": (changed(POLL, (_READY, "ready = self.poll.poll(seconds * 1000)")), "None is no number to count with"),
    "None is 0": (changed(POLL, (_READY, "ready = self.poll.poll((seconds or 0) * 1000)")), "wait(None) returned and nobody had connected"),
    "None is a second at a time": (
        changed(POLL, (_READY, "ready = self.poll.poll(50 if seconds is None else seconds * 1000)")),
        "wait(None) returned and nobody had connected",
    ),
    "asks again and again": (
        changed(
            POLL,
            (
                _READY,
                """begin = time.monotonic()
        while not (ready := self.poll.poll(0)) and (seconds is None or time.monotonic() - begin < seconds):
            pass""",
            ),
        ),
        "used the processor",
    ),
    "naps": (
        changed(
            POLL,
            (
                _READY,
                """begin = time.monotonic()
        while not (ready := self.poll.poll(0)) and (seconds is None or time.monotonic() - begin < seconds):
            time.sleep(0.05)""",
            ),
        ),
        "wait(None) sleeps by the clock in line",
    ),
    "no mask": (
        changed(POLL, (_REGISTER, "self.poll.register(sock)")),
        "It was not asked for writable. register() without a mask asks for POLLIN | POLLPRI | POLLOUT",
    ),
    "asks for all and filters": (
        changed(
            POLL,
            (_REGISTER, "self.poll.register(sock)\n        self.masks = getattr(self, 'masks', {}) | {sock.fileno(): (read, write)}"),
            (_FOUND, "read, write = self.masks[number]\n            if readable and read or writable and write or hup:\n                found.append((self.data[number], readable and read, writable and write, hup))"),
        ),
        "with nothing. `one` is writable, which nobody asked for",
    ),
    "a mask is never taken back": (
        changed(
            POLL,
            (_REGISTER, "self.masks = getattr(self, 'masks', {})\n        mask = self.masks[sock] = self.masks.get(sock, 0) | select.POLLIN * read | select.POLLOUT * write\n        self.poll.register(sock, mask)"),
        ),
        "`one` was watched for writing, then for reading: wait(0) returned [(data of one, changed, False, True, False)], not []. "
        "It was not asked for writable.",
    ),
    "the first data stays": (
        changed(POLL, ("self.data[sock.fileno()] = data", "self.data.setdefault(sock.fileno(), data)")),
        "watch() was called again for this socket: from then on its data, and what it waits for, are the new ones.",
    ),
    "no change": (
        changed(POLL, (_REGISTER, "if sock in self.numbers: return\n        " + _REGISTER)),
        "watch() was called again for this socket",
    ),
    "returns numbers": (
        changed(POLL, (_FOUND, "found.append((number, readable, writable, hup))")),
        "The first part of each entry is the `data` that watch() was given, the object itself.",
    ),
    "returns sockets": (
        changed(POLL, ("self.data[sock.fileno()] = data", "self.data[sock.fileno()] = sock")),
        "The first part of each entry is the `data` that watch() was given, the object itself.",
    ),
    "data is a key": (
        changed(POLL, ("self.numbers[sock] = sock.fileno()", "self.numbers[sock] = sock.fileno()\n        self.sock_of = {data: sock}")),
        "`data` is any object, also one that cannot be a key",
    ),
    "only data that is true": (
        changed(POLL, (_FOUND, "if self.data[number]:\n                " + _FOUND)),
        "`one` was watched with 0 as data: any object will do",
    ),
    "returns bits": (
        changed(POLL, (_FOUND, "found.append((self.data[number], bits & select.POLLIN, bits & select.POLLOUT, bits & select.POLLHUP))")),
        "readable, writable and hup are True or False; bool(bits & mask) makes one of a mask",
    ),
    "three parts": (
        changed(POLL, (_FOUND, "found.append((self.data[number], readable, writable))")),
        "each entry is a tuple (data, readable, writable, hup)",
    ),
    "yields": (changed(POLL, (_FOUND, "yield self.data[number], readable, writable, hup"), ("        return found\n", "")), "returned a value of type generator: return a list"),
    "returns None for nobody": (changed(POLL, ("return found", "return found or None")), "wait(0) returned None: return a list, [] if nobody is ready."),
    "a tuple for each bit": (
        changed(POLL, (_FOUND, "if readable:\n                found.append((self.data[number], True, False, hup))\n            if writable:\n                found.append((self.data[number], False, True, hup))")),
        "Each socket has ONE entry, also if it is readable and writable.",
    ),
    "compares the bits": (
        changed(POLL, ("bool(bits & select.POLLIN), bool(bits & select.POLLOUT)", "bits == select.POLLIN, bits == select.POLLOUT")),
        "Both bits come at once: ask with bits & mask, not with ==",
    ),
    "elif": (
        changed(POLL, ("readable, writable = bool(bits & select.POLLIN), bool(bits & select.POLLOUT)", "readable = bool(bits & select.POLLIN)\n            writable = not readable and bool(bits & select.POLLOUT)")),
        "Both bits come at once",
    ),
    "the wrong way round": (
        changed(POLL, ("select.POLLIN * read | select.POLLOUT * write", "select.POLLIN * write | select.POLLOUT * read")),
        "wait(0) returned [(data of one, False, True, False)], not []. It was not asked for writable.",
    ),
    "reads too": (
        changed(POLL, (_FOUND, _FOUND + "\n            [s for s in self.numbers if s.fileno() == number and readable and s.family == socket.AF_UNIX and s.recv(100)]")),
        "After wait() the bytes were gone: it only looks",
    ),
    "sets non-blocking": (
        changed(POLL, (_REGISTER, "sock.setblocking(False)\n        " + _REGISTER)),
        "changed whether it is blocking: it only looks",
    ),
    "half-close is a hang-up": (
        changed(
            POLL,
            (_REGISTER, "self.poll.register(sock, select.POLLIN * read | select.POLLOUT * write | select.POLLRDHUP)"),
            (_HUP, "bool(bits & (select.POLLHUP | select.POLLERR | select.POLLRDHUP))"),
        ),
        "This is no hang-up: the peer has finished sending and still reads (shutdown(2))",
    ),
    "ignores POLLHUP": (
        changed(POLL, (_HUP, "False")),
        "The peer of `one` sent a reset, `one` is watched for reading, and the kernel reports POLLHUP, which it does unasked (poll(2))",
    ),
    "ignores POLLERR": (changed(POLL, (_HUP, "bool(bits & select.POLLHUP)")), "An error waits in `one`, and the kernel reports POLLERR"),
    "passes over who hung up": (
        changed(POLL, (_FOUND, "if readable or writable:\n                " + _FOUND)),
        "wait(0.2) told nothing of it: so nobody closes, and no wait sleeps any more.",
    ),
    "takes out who hung up": (
        changed(POLL, (_FOUND, _FOUND + "\n            if hup:\n                self.poll.unregister(number)")),
        "the first wait(0.2) told of it, and the second did not. To take a socket out is for the caller",
    ),
    "raises for who hung up": (
        changed(POLL, (_FOUND, "if hup:\n                raise ConnectionResetError('gone')\n            " + _FOUND)),
        "ConnectionResetError",
    ),
    "asks the closed sock": (
        changed(POLL, ("number = self.numbers.pop(sock)", "number = sock.fileno()")),
        "PollEngine raised KeyError: -1 in line",
    ),
    "hands the closed sock on": (
        changed(POLL, ("self.poll.unregister(number)", "self.poll.unregister(sock)")),
        "A closed socket's fileno() is -1: unwatch() works after close() too",
    ),
    "stays in the poll object": (
        changed(POLL, ("        self.poll.unregister(number)\n", ""), ("for number, bits in ready:", "for number, bits in ready:\n            if number not in self.data: continue")),
        "with nothing. The kernel still waits for `one`: unregister() takes a number out of the poll object.",
    ),
    "stays in the poll object, and in the dict": (
        changed(POLL, ("        del self.data[number]\n        self.poll.unregister(number)\n", "")),
        "`one` and `other` have bytes, and `one` was unwatched: wait(60) returned",
    ),
    "unwatch does nothing": (
        changed(POLL, ("        number = self.numbers.pop(sock)\n        del self.data[number]\n        self.poll.unregister(number)\n", "        pass\n")),
        "`one` and `other` have bytes, and `one` was unwatched",
    ),
    "unwatch closes": (changed(POLL, ("        self.poll.unregister(number)\n", "        self.poll.unregister(number)\n        sock.close()\n")), "unwatch() closed the socket"),
    "unwatch takes all out": (
        changed(POLL, ("        self.poll.unregister(number)\n", "        self.poll = select.poll()\n")),
        "`one` and `other` have bytes, `one` was unwatched, and wait(60) did not return within 1 s",
    ),
    "keeps the data": (
        changed(POLL, ("self.numbers[sock] = sock.fileno()", "self.numbers[sock] = sock.fileno()\n        self.all = getattr(self, 'all', []) + [data]")),
        "the engine still holds the data of most of them",
    ),
    "keeps the sockets": (
        changed(POLL, ("self.numbers.pop(sock)", "self.numbers[sock]")),
        "the engine still holds most of them: it grows with every client",
    ),
    "one for all engines": (
        changed(POLL, ("    def __init__(self):\n        self.poll = select.poll()\n        self.numbers = {}\n        self.data = {}\n", "    poll, numbers, data = select.poll(), {}, {}\n")),
        "A poll or epoll object outside of the methods of PollEngine belongs to all engines: make it in __init__.",
    ),
    "one dict for all engines": (
        changed(POLL, ("    def __init__(self):\n        self.poll = select.poll()\n        self.numbers = {}\n        self.data = {}\n", "    numbers, data = {}, {}\n\n    def __init__(self):\n        global THE\n        self.poll = THE = globals().get('THE') or select.poll()\n")),
        "Make the dicts in __init__: those in the body of the class belong to all engines.",
    ),
    "select": (SELECT.replace("SelectEngine", "PollEngine"), "wait(None) sleeps in select()"),
    "no unwatch": (changed(POLL, ("def unwatch", "def forget")), "PollEngine has no method unwatch()."),
    "a parameter too few": (changed(POLL, ("def wait(self, seconds)", "def wait(self)"), (_READY, "ready = self.poll.poll(0)")), "TypeError"),
    "a thread": (
        changed(POLL, ("self.numbers = {}", "self.numbers = {}\n        threading.Thread(target=time.sleep, args=[9], daemon=True).start()")),
        "started a thread that still runs",
    ),
}

_WAIT = "readable, writable, _ = select.select(readers, writers, [], seconds)"
_EACH = "found.append((self.entries[sock][2], sock in readable, sock in writable, False))"

SELECT_CASES = {
    "milliseconds": (
        changed(SELECT, (_WAIT, "readable, writable, _ = select.select(readers, writers, [], seconds and seconds * 1000)")),
        "wait(0.2) did not return within 1.2 s: select() counts seconds",
    ),
    "never waits": (changed(SELECT, (_WAIT, "readable, writable, _ = select.select(readers, writers, [], 0)")), "with nothing. Hand `seconds` on to select() as it is."),
    "0 is falsy": (changed(SELECT, (_WAIT, "readable, writable, _ = select.select(readers, writers, [], seconds or None)")), "wait(0) did not return within 1 s"),
    "no time limit": (changed(SELECT, (_WAIT, "readable, writable, _ = select.select(readers, writers, [])")), "wait(0) did not return within 1 s"),
    "two tuples": (
        changed(SELECT, ("for sock in set(readable) | set(writable):", "for sock in readable + writable:")),
        "Each socket has ONE entry, also if it is readable and writable.",
    ),
    "a tuple for each list": (
        changed(SELECT, (f"        for sock in set(readable) | set(writable):\n            {_EACH}\n", "        found += [(self.entries[sock][2], True, False, False) for sock in readable]\n        found += [(self.entries[sock][2], False, True, False) for sock in writable]\n")),
        "Each socket has ONE entry",
    ),
    "the readers only": (
        changed(SELECT, ("for sock in set(readable) | set(writable):", "for sock in readable:")),
        "`third` is watched for writing and its send buffer has room: wait(60) returned [], not",
    ),
    "lists that grow": (
        """
        class SelectEngine:
            def __init__(self):
                self.readers, self.writers, self.data = [], [], {}

            def watch(self, sock, read, write, data):
                if read:
                    self.readers.append(sock)
                if write:
                    self.writers.append(sock)
                self.data[sock] = data

            def unwatch(self, sock):
                if sock in self.readers:
                    self.readers.remove(sock)
                if sock in self.writers:
                    self.writers.remove(sock)
                del self.data[sock]

            def wait(self, seconds):
                readable, writable, _ = select.select(self.readers, self.writers, [], seconds)
                return [(self.data[sock], sock in readable, sock in writable, False) for sock in set(readable + writable)]
        """,
        "`one` was watched for writing, then for reading: wait(0) returned",
    ),
    "everybody is a reader": (
        changed(SELECT, ("[sock for sock in self.entries if self.entries[sock][0]]", "list(self.entries)"), (_EACH, "read, write, data = self.entries[sock]\n            if read and sock in readable or write and sock in writable:\n                found.append((data, read and sock in readable, write and sock in writable, False))")),
        "`one` has bytes, room to send, and is watched for neither, and wait(0.2) came back after",
    ),
    "everybody is a writer": (
        changed(SELECT, ("[sock for sock in self.entries if self.entries[sock][1]]", "list(self.entries)")),
        "It was not asked for writable.",
    ),
    "numbers as keys": (
        changed(SELECT, ("self.entries[sock] = read, write, data", "self.entries[sock.fileno()] = read, write, data"), ("del self.entries[sock]", "del self.entries[sock.fileno()]")),
        "A closed socket's fileno() is -1: unwatch() works after close() too, so remember the number",
    ),
    "unwatch does nothing": (
        changed(SELECT, ("del self.entries[sock]", "pass")),
        "`one` and `other` have bytes, and `one` was unwatched",
    ),
    "unwatch skips closed ones": (
        changed(SELECT, ("del self.entries[sock]", "if sock.fileno() != -1: del self.entries[sock]")),
        "A closed socket's fileno() is -1",
    ),
    "passes over closed ones": (
        changed(SELECT, ("del self.entries[sock]", "if sock.fileno() != -1: del self.entries[sock]"), ("in self.entries if self.entries[sock][0]", "in self.entries if self.entries[sock][0] and sock.fileno() != -1")),
        "the engine still holds the data of most of them",
    ),
    "reads to see the end": (
        changed(SELECT, (_EACH, "if sock in readable and sock.family == socket.AF_UNIX and not sock.recv(1, socket.MSG_PEEK): continue\n            " + _EACH)),
        "The peer of `other` has half-closed: wait(60) returned",
    ),
    "the end is a hang-up": (
        changed(SELECT, (_EACH, "gone = sock in readable and sock.family == socket.AF_UNIX and not sock.recv(1, socket.MSG_PEEK)\n            found.append((self.entries[sock][2], sock in readable, sock in writable, gone))")),
        "This is no hang-up: the peer has finished sending and still reads",
    ),
    "returns sockets": (changed(SELECT, ("self.entries[sock][2], sock in", "sock, sock in")), "the `data` that watch() was given"),
    "one for all engines": (
        changed(SELECT, ("    def __init__(self):\n        self.entries = {}\n", "    entries = {}\n")),
        "those in the body of the class belong to all",
    ),
    "poll": (POLL.replace("PollEngine", "SelectEngine"), "wait(None) sleeps in poll()"),
    "the lists of the first time": (
        changed(SELECT, ("        readers = [", "        if not hasattr(self, 'r'): self.r = [sock for sock in self.entries if self.entries[sock][0]]\n        readers = self.r or ["), ),
        "wait(60) returned",
    ),
    "hup is the third list": (
        changed(SELECT, (_WAIT, "readable, writable, hups = select.select(readers, writers, self.entries, seconds)"), ("sock in writable, False", "sock in writable, hups")),
        "readable, writable and hup are True or False",
    ),
}

_WATCH_AGAIN = "                engine.watch(conn.sock, conn.want_read, conn.want_write, conn)"
_ACCEPT = "                if sock := try_accept(listener):\n                    engine.watch(sock, True, False, Conn(sock))\n"

SERVER_CASES = {
    "returns": ("def server(engine, listener): engine.watch(listener, True, False, None)", "On PollEngine: server returned; it should serve without end"),
    "ignores the engine": (
        "def server(engine, listener): select_server(listener)",
        "it has never called engine.wait(): so it does not run on the engine that it was given",
    ),
    "ignores the engine and spins": ("def server(engine, listener): busy_server(listener)", "Nobody talks, yet your server runs all the time"),
    "does not watch the listener": (
        changed(SERVER, ("    engine.watch(listener, True, False, None)\n", "")),
        "The client waits in the accept queue: is the listener among those you wait for, in every round?",
    ),
    "unwatches the listener": (
        changed(SERVER, (_ACCEPT, _ACCEPT + "                engine.unwatch(listener)\n")),
        "The client waits in the accept queue",
    ),
    "forgets to watch the client": (
        changed(SERVER, ("engine.watch(sock, True, False, Conn(sock))", "Conn(sock)")),
        "On PollEngine: A client sent a line and got no answer within 1 s",
    ),
    "keeps the first interest": (
        changed(SERVER, (_WATCH_AGAIN, "                pass")),
        "The client's bytes were read, and the answer was not sent",
    ),
    "always writable": (
        changed(SERVER, ("conn.want_read, conn.want_write, conn)", "conn.want_read, True, conn)")),
        "is writable nearly always, so ask for writable only while there is something to send",
    ),
    "never waits": (changed(SERVER, ("engine.wait(None)", "engine.wait(0)")), "Nobody talks, yet your server runs all the time"),
    "one client at a time": (
        changed(SERVER, (_ACCEPT, "                if not (sock := try_accept(listener)): continue\n                sock.setblocking(True)\n                while data := sock.recv(4096):\n                    sock.sendall(data.upper())\n                sock.close()\n")),
        "On PollEngine: The first client is silent, and a second one got no answer within 1 s: your server sleeps",
    ),
    "sendall on a blocking socket": (
        changed(
            SERVER,
            ("                conn.on_writable()\n", "                conn.sock.setblocking(True)\n                try:\n                    conn.sock.sendall(conn.outbuf)\n                except OSError:\n                    conn.finished = True\n                conn.sock.setblocking(False)\n                conn.outbuf.clear()\n"),
        ),
        "One client does not read its long answer, and meanwhile another one got no answer within 1 s",
    ),
    "takes the listener for a client": (
        changed(SERVER, ("                continue\n", "")),
        "The data of the listener is None: what waits there is a new client.",
    ),
    "no client is a client": (
        changed(SERVER, (_ACCEPT, "                sock = try_accept(listener)\n                engine.watch(sock, True, False, Conn(sock))\n")),
        "When nobody is there after all (ready is a hint), try_accept returns None.",
    ),
    "one Conn for all": (
        changed(SERVER, ("    while True:\n", "    shared = {}\n    while True:\n"), ("Conn(sock))", "shared.setdefault(0, Conn(sock)))")),
        "no answer within 1 s",
    ),
    "never unwatches": (
        changed(SERVER, ("                engine.unwatch(conn.sock)\n", "")),
        "your server",
    ),
    "never closes": (
        changed(SERVER, ("                conn.sock.close()\n", "")),
        "When a Conn is over: engine.unwatch(conn.sock), then conn.sock.close(), in the same round.",
    ),
    "closes after an answer": (
        changed(SERVER, ("if conn.over:", "if conn.over or writable and not conn.outbuf:")),
        "Do you close after the first answer? Close when recv() gives b''.",
    ),
    "a blocking listener": (
        changed(SERVER, ("    listener.setblocking(False)\n", "    listener.setblocking(True)\n")),
        "accept() waits for ONE socket (accept(2))",
    ),
    "reads on after the end": (
        changed(SERVER, ("conn.want_read, conn.want_write, conn)", "True, conn.want_write, conn)"), ("if conn.want_read and (readable or hup)", "if readable or hup")),
        "A socket at its end is readable for ever: after b'' do not ask for readable any more.",
    ),
    "closes the listener": (
        changed(SERVER, ("                continue\n", "                listener.close()\n                continue\n")),
        "listener",
    ),
    "works with one engine": (
        changed(SERVER, ("            if conn.over:\n", "            if conn.over and hasattr(engine, '_poll'):\n")),
        "On SelectEngine: ",
    ),
    "closes twice": (
        changed(SERVER, ("                conn.sock.close()\n", "                conn.sock.close()\n                engine.unwatch(conn.sock)\n")),
        "This connection was forgotten before",
    ),
    "keeps all it had": (
        changed(SERVER, ("    while True:\n", "    ever = []\n    while True:\n"), ("                continue\n", "                ever.append(sock)\n                continue\n")),
        "of them in a list, a dict or a set",
    ),
}  # fmt: skip

CASES = {"5.1": POLL_CASES, "5.2": SELECT_CASES, "5.3": SERVER_CASES}
