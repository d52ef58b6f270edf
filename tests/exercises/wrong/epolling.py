"""Typical wrong solutions of 6.x, each with words of the message that names its cause."""

from exercises.wrong.polling import POLL, SELECT, changed

IMPORTS = """
import os, select, signal, socket, threading, time
from course_lib.solutions.nonblocking import Conn, try_accept, try_recv
from course_lib.solutions.epolling import EpollEngine
from course_lib.solutions.suspects import RunningServer
"""

EPOLL = """
class EpollEngine:
    def __init__(self):
        self.epoll = select.epoll()
        self.numbers = {}
        self.data = {}

    def watch(self, sock, read, write, data):
        mask = select.EPOLLIN * read | select.EPOLLOUT * write
        if sock in self.numbers:
            self.epoll.modify(sock, mask)
        else:
            self.epoll.register(sock, mask)
        self.numbers[sock] = sock.fileno()
        self.data[sock.fileno()] = data

    def unwatch(self, sock):
        number = self.numbers.pop(sock)
        del self.data[number]
        if sock.fileno() != -1:
            self.epoll.unregister(number)

    def wait(self, seconds):
        ready = self.epoll.poll(seconds)
        found = []
        for number, bits in ready:
            readable, writable = bool(bits & select.EPOLLIN), bool(bits & select.EPOLLOUT)
            hup = bool(bits & (select.EPOLLHUP | select.EPOLLERR))
            found.append((self.data[number], readable, writable, hup))
        return found
"""

_MASK = "mask = select.EPOLLIN * read | select.EPOLLOUT * write"
_TELL = """        if sock in self.numbers:
            self.epoll.modify(sock, mask)
        else:
            self.epoll.register(sock, mask)
"""
_OUT = "        if sock.fileno() != -1:\n            self.epoll.unregister(number)\n"
_READY = "ready = self.epoll.poll(seconds)"
_HUP = "bool(bits & (select.EPOLLHUP | select.EPOLLERR))"
_FOUND = "found.append((self.data[number], readable, writable, hup))"
# Nothing is registered before a wait, and all of it in each.
_AT_EACH_WAIT = (
    ("        self.data = {}\n", "        self.data = {}\n        self.masks = {}\n"),
    (_TELL, "        self.masks[sock] = mask\n"),
    (_OUT, "        del self.masks[sock]\n"),
)

EPOLL_CASES = {
    "milliseconds": (
        changed(EPOLL, (_READY, "ready = self.epoll.poll(None if seconds is None else seconds * 1000)")),
        "wait(0.2) did not return within 1.2 s: epoll.poll() counts seconds, other than poll()",
    ),
    "whole seconds": (changed(EPOLL, (_READY, "ready = self.epoll.poll(seconds and int(seconds))")), "Hand `seconds` on to epoll.poll() as it is."),
    "0 is falsy": (changed(EPOLL, (_READY, "ready = self.epoll.poll(seconds or -1)")), "wait(0) did not return within 1 s: 0 is to look once"),
    "no time limit": (changed(EPOLL, (_READY, "ready = self.epoll.poll()")), "wait(0) did not return within 1 s"),
    "None is 0": (changed(EPOLL, (_READY, "ready = self.epoll.poll(seconds or 0)")), "wait(None) returned and nobody had connected"),
    "asks again and again": (
        changed(EPOLL, (_READY, "begin = time.monotonic()\n        while not (ready := self.epoll.poll(0)) and (seconds is None or time.monotonic() - begin < seconds):\n            pass")),
        "used the processor instead of sleeping. One call of epoll.poll() sleeps",
    ),
    "registers twice": (
        changed(EPOLL, (_TELL, "        self.epoll.register(sock, mask)\n")),
        "EEXIST, epoll_ctl(2)): register() the first time, modify() from then on.",
    ),
    "modifies what is not there": (
        changed(EPOLL, (_TELL, "        self.epoll.modify(sock, mask)\n")),
        "The number is not in epoll's interest list (ENOENT, epoll_ctl(2)). modify() is for those that are in it",
    ),
    "remembers by number": (
        changed(EPOLL, ("if sock in self.numbers:", "self.seen = getattr(self, 'seen', set())\n        if sock.fileno() in self.seen:"), ("self.epoll.register(sock, mask)", "self.epoll.register(sock, mask)\n            self.seen.add(sock.fileno())")),
        "ENOENT",
    ),
    "unregisters a closed one": (
        changed(EPOLL, (_OUT, "        self.epoll.unregister(number)\n")),
        "EBADF): close() has taken the socket out of epoll's list already (epoll(7)).",
    ),
    "asks the closed sock": (
        changed(EPOLL, (_OUT, "        self.epoll.unregister(sock)\n")),
        "A closed socket's fileno() is -1: unwatch() works after close() too",
    ),
    "number of a closed sock": (
        changed(EPOLL, ("number = self.numbers.pop(sock)", "number = sock.fileno()\n        self.numbers = {s: n for s, n in self.numbers.items() if s is not sock}")),
        "A closed socket's fileno() is -1: unwatch() works after close() too, so remember the number",
    ),
    "forgets half": (changed(EPOLL, ("self.numbers.pop(sock)", "self.numbers[sock]")), "modify() is for those that are in it, register() for new ones"),
    "never unregisters": (
        changed(EPOLL, (_OUT, ""), ("for number, bits in ready:", "for number, bits in ready:\n            if number not in self.data: continue")),
        "The kernel still waits for `one`: unregister() takes a number out of the interest list.",
    ),
    "registers at each wait": (
        changed(EPOLL, *_AT_EACH_WAIT, (_READY, "for sock in self.masks: self.epoll.register(sock, self.masks[sock])\n        " + _READY)),
        "EEXIST",
    ),
    "registers and unregisters at each wait": (
        changed(EPOLL, *_AT_EACH_WAIT, (_READY, f"for sock in self.masks: self.epoll.register(sock, self.masks[sock])\n        {_READY}\n        for sock in self.masks: self.epoll.unregister(sock)")),
        "watch() was called for 20 sockets, and the kernel's interest list holds 0",
    ),
    "a new epoll for each wait": (
        changed(EPOLL, *_AT_EACH_WAIT, ("        self.epoll = select.epoll()\n", ""), (_READY, f"self.epoll = select.epoll()\n        for sock in self.masks: self.epoll.register(sock, self.masks[sock])\n        {_READY}\n        self.epoll.close()")),
        "no epoll descriptor is open: make one select.epoll() in __init__ and keep it",
    ),
    "modifies all at each wait": (
        changed(EPOLL, _AT_EACH_WAIT[0], (_TELL, _TELL + "        self.masks[sock] = mask\n"), (_OUT, _OUT + "        del self.masks[sock]\n"), (_READY, "for sock in self.masks: self.epoll.modify(sock, self.masks[sock])\n        " + _READY)),
        "epoll_ctl() was called 2000 times for 100 waits with 20 idle sockets (modify): the interest list stays in the kernel",
    ),
    "one event at a time": (changed(EPOLL, (_READY, "ready = self.epoll.poll(seconds, 1)")), "with `maxevents` fewer come at once"),
    "edge-triggered": (
        changed(EPOLL, (_MASK, _MASK + " | select.EPOLLET")),
        "a state is told as long as it lasts, which is level-triggered, without EPOLLET and EPOLLONESHOT (epoll(7)): it sleeps",
    ),
    "one shot": (changed(EPOLL, (_MASK, _MASK + " | select.EPOLLONESHOT")), "which is level-triggered, without EPOLLET and EPOLLONESHOT (epoll(7))"),
    "no mask": (
        changed(EPOLL, ("self.epoll.modify(sock, mask)", "self.epoll.modify(sock, mask)"), ("self.epoll.register(sock, mask)", "self.epoll.register(sock)")),
        "It was not asked for writable.",
    ),
    "a mask is never taken back": (
        changed(EPOLL, (_MASK, _MASK + "\n        self.masks = getattr(self, 'masks', {})\n        mask = self.masks[sock] = self.masks.get(sock, 0) | mask")),
        "a new mask takes the place of the old one",
    ),
    "half-close is a hang-up": (
        changed(EPOLL, (_MASK, _MASK + " | select.EPOLLRDHUP"), (_HUP, "bool(bits & (select.EPOLLHUP | select.EPOLLERR | select.EPOLLRDHUP))")),
        "This is no hang-up: the peer has finished sending and still reads (shutdown(2))",
    ),
    "ignores EPOLLHUP": (changed(EPOLL, (_HUP, "False")), "hup must be True, or it comes back for ever and nobody closes"),
    "ignores EPOLLERR": (changed(EPOLL, (_HUP, "bool(bits & select.EPOLLHUP)")), "An error waits in `one`, and the kernel reports POLLERR"),
    "passes over who hung up": (
        changed(EPOLL, (_FOUND, "if readable or writable:\n                " + _FOUND)),
        "told nothing of it: so nobody closes",
    ),
    "takes out who hung up": (
        changed(EPOLL, (_FOUND, _FOUND + "\n            if hup:\n                self.epoll.unregister(number)")),
        "To take a socket out is for the caller, with unwatch().",
    ),
    "returns numbers": (changed(EPOLL, ("self.data[number], readable", "number, readable")), "the `data` that watch() was given, the object itself"),
    "keeps the sockets": (
        changed(EPOLL, ("self.numbers.pop(sock)", "self.numbers.pop(sock)\n        self.ever = getattr(self, 'ever', []) + [sock]")),
        "the engine still holds most of them",
    ),
    "select": (SELECT.replace("SelectEngine", "EpollEngine"), "wait(None) sleeps in select()"),
    "poll": (POLL.replace("PollEngine", "EpollEngine"), "wait(None) sleeps in poll()"),
    "one for all engines": (
        changed(EPOLL, ("    def __init__(self):\n        self.epoll = select.epoll()\n        self.numbers = {}\n        self.data = {}\n", "    numbers, data = {}, {}\n\n    def __init__(self):\n        global THE\n        self.epoll = THE = globals().get('THE') or select.epoll()\n")),
        "Make the dicts in __init__: those in the body of the class belong to all engines.",
    ),
    "a list of its own beside it": (
        changed(EPOLL, ("self.numbers[sock] = sock.fileno()", "self.numbers[sock] = sock.fileno()\n        self.ever = getattr(self, 'ever', [])\n        self.ever.append((sock, data))")),
        "the engine still holds the data of most of them",
    ),
}  # fmt: skip

DRAIN = """
def drain(sock):
    data = bytearray()
    while True:
        try:
            piece = sock.recv(65536)
        except BlockingIOError:
            return bytes(data), False
        except ConnectionError:
            return bytes(data), True
        if not piece:
            return bytes(data), True
        data += piece
"""

DRAIN_CASES = {
    "one recv": (
        """
        def drain(sock):
            data = try_recv(sock, 4096)
            return data or b"", data == b""
        """,
        "of them, and no further event came in 0.5 s; ",
    ),
    "one recv, and large": (
        """
        def drain(sock):
            data = try_recv(sock, 1 << 22)
            return data or b"", data == b""
        """,
        "A short read says that the buffer is empty, not that the end has not come",
    ),
    "until a short read": (
        """
        def drain(sock):
            data = bytearray()
            while True:
                piece = try_recv(sock, 4096)
                data += piece or b""
                if not piece or len(piece) < 4096:
                    return bytes(data), piece == b""
        """,
        "The peer sent b'bye' and finished, and both came as ONE edge. drain returned (b'bye', False), and no further event came in 0.5 s",
    ),
    "two reads": (
        """
        def drain(sock):
            data = (try_recv(sock, 65536) or b"") + (try_recv(sock, 65536) or b"")
            return data, False
        """,
        "bytes are waiting. EPOLLET tells a change once: read until BlockingIOError (epoll(7)).",
    ),
    "no except": (
        """
        def drain(sock):
            data = b""
            while piece := sock.recv(65536):
                data += piece
            return data, True
        """,
        "EAGAIN says that nothing is left to read. This is what drain waits for: catch it, and return.",
    ),
    "no except for a reset": (
        changed(DRAIN, ("        except ConnectionError:\n            return bytes(data), True\n", "")),
        "the peer has sent a reset. It counts as finished",
    ),
    "every error is not yet": (
        changed(DRAIN, ("        except BlockingIOError:\n            return bytes(data), False\n        except ConnectionError:\n            return bytes(data), True\n", "        except OSError:\n            return bytes(data), False\n")),
        "The peer sent a reset. drain returned (b'', False)",
    ),
    "every error is the end": (
        changed(DRAIN, ("return bytes(data), False", "return bytes(data), True")),
        "Nothing has come, and drain returned (b'', True): the peer has not finished.",
    ),
    "not yet is the end": (
        """
        def drain(sock):
            data = b""
            while piece := try_recv(sock, 65536):
                data += piece
            return data, not piece
        """,
        "None says that nothing is left, b'' that nothing more will come",
    ),
    "the end only without bytes": (
        """
        def drain(sock):
            data = b""
            while piece := try_recv(sock, 65536):
                data += piece
            return data, data == b"" and piece == b""
        """,
        "The peer sent b'bye' and finished, and both came as ONE edge. drain returned (b'bye', False)",
    ),
    "drops what came before the end": (
        changed(DRAIN, ("        if not piece:\n            return bytes(data), True", "        if not piece:\n            return b'', True")),
        "the rest was read and is lost. Collect ALL pieces",
    ),
    "drops what came before the reset": (
        changed(DRAIN, ("        except ConnectionError:\n            return bytes(data), True", "        except ConnectionError:\n            return b'', True")),
        "The peer sent b'last words', then a reset, and drain returned (b'', True): the rest was read and is lost.",
    ),
    "the last piece only": (changed(DRAIN, ("data += piece", "data = piece")), "is lost. Collect ALL pieces"),
    "does not look at b''": (
        changed(DRAIN, ("        if not piece:\n            return bytes(data), True\n", "")),
        "has finished, so recv() gives b'' again and again, and drain(sock) did not return within 2 s: it runs all the time",
    ),
    "blocks": (
        """
        def drain(sock):
            sock.setblocking(True)
            data = b""
            while piece := sock.recv(65536):
                data += piece
            return data, True
        """,
        "Nothing has come, and drain(sock) did not return within 2 s: it sleeps in line",
    ),
    "a time limit": (
        changed(DRAIN, ("    data = bytearray()\n", "    data = bytearray()\n    sock.settimeout(0.1)\n"), ("except BlockingIOError", "except TimeoutError")),
        "drain left the socket blocking: it was non-blocking",
    ),
    "waits for the first byte": (
        changed(DRAIN, ("    data = bytearray()\n", "    data = bytearray()\n    select.select([sock], [], [])\n")),
        "Nothing has come, and drain(sock) did not return within 2 s: it sleeps in line",
    ),
    "only looks": (
        """
        def drain(sock):
            try:
                data = sock.recv(1 << 22, socket.MSG_PEEK)
            except BlockingIOError:
                return b"", False
            return data, not data
        """,
        "bytes of an earlier call came back",
    ),
    "one bytearray for all calls": (
        changed(DRAIN, ("def drain(sock):\n    data = bytearray()", "def drain(sock, data=bytearray()):")),
        "bytes of an earlier call came back. Begin each call with an empty bytearray.",
    ),
    "closes at the end": (
        changed(DRAIN, ("        if not piece:\n", "        if not piece:\n            sock.close()\n")),
        "drain closed the socket",
    ),
    "returns the bytearray": (DRAIN.replace("bytes(data)", "data"), "is a value of type bytearray: bytes are asked for"),
    "the wrong way round": (DRAIN.replace("bytes(data), False", "False, bytes(data)").replace("bytes(data), True", "True, bytes(data)"), "first the bytes, then whether the peer has finished"),
    "bytes only": (DRAIN.replace("bytes(data), False", "bytes(data)").replace("bytes(data), True", "bytes(data)"), "drain returned a value of type bytes: return a tuple (bytes, finished)."),
    "None for nothing": (DRAIN.replace("bytes(data),", "bytes(data) or None,"), "the first part of what drain returned is None"),
    "the last piece as answer": (
        """
        def drain(sock):
            data = b""
            while piece := try_recv(sock, 65536):
                data += piece
            return data, piece
        """,
        "the second part of what drain returned is None: True or False.",
    ),
    "adds None": (
        """
        def drain(sock):
            data = b""
            while True:
                piece = try_recv(sock, 65536)
                data += piece
                if not piece:
                    return data, piece == b""
        """,
        "try_recv gives None when nothing is left: then drain is through.",
    ),
    "a thread": (changed(DRAIN, ("    data = bytearray()\n", "    data = bytearray()\n    threading.Thread(target=time.sleep, args=[9], daemon=True).start()\n")), "started a thread that still runs"),
}  # fmt: skip

PROVOKE = """
def provoke_a(server):
    client = server.connect()
    client.sendall(b"job\\n")
    client.recv(4)
    client.close()
    return "zombie"


def provoke_b(server):
    clients = [server.connect() for _ in range(12)]
    return "no descriptor"


def provoke_c(server):
    one, other = server.connect(), server.connect()
    for client in one, other:
        client.sendall(b"hello\\n")
        client.recv(6)
    with server.paused():
        one.close()
        other.sendall(b"hello\\n")
    return "stale"


def provoke_d(server):
    client = server.connect()
    client.sendall(b"x" * 600_000 + b"\\n")
    client.makefile("rb").readline()
    return "writable"
"""

_C = "    with server.paused():\n        one.close()\n        other.sendall(b\"hello\\n\")\n"

BUG_CASES = {
    "the names alone": (
        """
        def provoke_a(server): return "zombie"
        def provoke_b(server): return "no descriptor"
        def provoke_c(server): return "stale"
        def provoke_d(server): return "writable"
        """,
        "server_a did not fail: after provoke_a it lives, and it sleeps. All your clients had left again by then.",
    ),
    "no job": (changed(PROVOKE, ('b"job\\n"', 'b"jobs"')), "In provoke_a a client waited over 1 s in line"),
    "the job, and stays": (changed(PROVOKE, ("    client.close()\n", "")), "server_a did not fail: after provoke_a it lives, and it sleeps. Which"),
    "leaves without a job": (changed(PROVOKE, ('    client.sendall(b"job\\n")\n    client.recv(4)\n', "")), "server_a did not fail"),
    "another name": (changed(PROVOKE, ('"zombie"', '"stale"')), "server_a runs all the time while nobody talks, as it should, but 'stale' is not its bug."),
    "too few clients": (changed(PROVOKE, ("range(12)", "range(5)")), "server_b did not fail: after provoke_b it lives, and it sleeps. Which"),
    "clients that leave again": (
        changed(PROVOKE, ("    clients = [server.connect() for _ in range(12)]\n", "    for _ in range(12):\n        server.connect().close()\n")),
        "server_b did not fail: after provoke_b it lives, and it sleeps. All your clients had left again by then.",
    ),
    "too many clients, late": (
        changed(PROVOKE, ("    clients = [server.connect() for _ in range(12)]", "    import time\n    time.sleep(1.5)\n    clients = [server.connect() for _ in range(500)]")),
        "the accept queue is full (listen(2)). Fewer clients are enough.",
    ),
    "too many clients": (changed(PROVOKE, ("range(12)", "range(500)")), "the accept queue is full (listen(2)). Fewer clients are enough."),
    "a name for b": (changed(PROVOKE, ('"no descriptor"', '"writable"')), "but 'writable' is not its bug. What did the kernel report"),
    "one after the other": (
        changed(PROVOKE, (_C, "    one.close()\n    other.recv(6)\n    other.close()\n")),
        "server_c did not fail",
    ),
    "one client": (
        changed(PROVOKE, ("    one, other = server.connect(), server.connect()\n    for client in one, other:\n", "    one = server.connect()\n    for client in [one]:\n"), (_C, "    one.close()\n")),
        "server_c did not fail",
    ),
    "a name for c": (changed(PROVOKE, ('"stale"', '"zombie"')), "server_c dies (KeyError in `conn = conns[number]`), as it should, but 'zombie' is not its bug."),
    "asks the dead server": (
        changed(PROVOKE, (_C, _C + "    import time\n    time.sleep(0.2)\n    server.connect().sendall(b\"hello\\n\")\n")),
        "the server has died by then. So you have what you want: return the name of its bug before.",
    ),
    "waits for the dead server": (
        changed(PROVOKE, (_C, _C + "    other.recv(6)\n")),
        "In provoke_c a client got ConnectionResetError in line",
    ),
    "short line": (changed(PROVOKE, ("600_000", "600")), "server_d did not fail"),
    "does not read": (changed(PROVOKE, ('    client.makefile("rb").readline()\n', "")), "server_d did not fail"),
    "reads and leaves": (changed(PROVOKE, ('readline()\n    return "writable"', 'readline()\n    client.close()\n    return "writable"')), "server_d did not fail: after provoke_d it lives, and it sleeps. All your clients had left"),
    "a name for d": (changed(PROVOKE, ('"writable"', '"stale"')), "but 'stale' is not its bug"),
    "no name": (changed(PROVOKE, ('    return "zombie"\n', "")), "provoke_a returned None: return the name of the bug, one of 'zombie'"),
    "a name of its own": (changed(PROVOKE, ('"zombie"', '"EPOLLHUP"')), "provoke_a returned 'EPOLLHUP': return the name of the bug, one of 'zombie', 'stale', 'writable', 'no descriptor'."),
    "kills the server": (
        changed(PROVOKE, ('    client.sendall(b"job\\n")\n    client.recv(4)\n', "    os.kill(server.pid, signal.SIGKILL)\n")),
        "server_a dies (killed); but with the same clients it dies without its bug too",
    ),
    "stops the server": (
        changed(PROVOKE, ('    client.sendall(b"job\\n")\n    client.recv(4)\n', "    os.kill(server.pid, signal.SIGSTOP)\n")),
        "After your experiment the server stands still",
    ),
    "talks without end": (
        changed(PROVOKE, ("    client.close()\n", '    while True:\n        client.sendall(b"hello\\n")\n        client.recv(6)\n')),
        "provoke_a(server) did not return within 2 s",
    ),
    "a thread that talks": (
        changed(PROVOKE, ('    client.close()\n', '    def talk():\n        while True:\n            client.sendall(b"hello\\n")\n            client.recv(6)\n    threading.Thread(target=talk, daemon=True).start()\n')),
        "Your code started a thread that still runs",
    ),
    "waits for an answer that does not come": (changed(PROVOKE, ("client.recv(4)", "client.recv(4, socket.MSG_WAITALL) + client.recv(1)")), "In provoke_a a client waited over 1 s in line"),
    "an error": (changed(PROVOKE, ("client.recv(4)", "client.receive(4)")), "In provoke_a: Your code raised AttributeError"),
    "not all written": (changed(PROVOKE, ('    return "writable"\n', "    raise NotImplementedError\n")), "provoke_d is not written yet."),
    "two not written": (changed(PROVOKE, ('    return "writable"\n', "    raise NotImplementedError\n"), ('    return "zombie"\n', "    raise NotImplementedError\n")), "provoke_a, provoke_d are not written yet."),
}  # fmt: skip

STOPPER = """
class Stopper:
    def __init__(self, engine):
        self.engine = engine
        self.one, self.other = socket.socketpair()
        self.other.setblocking(False)
        engine.watch(self.one, True, False, self)

    def stop(self):
        try:
            self.other.send(b"x")
        except BlockingIOError:
            pass

    def close(self):
        self.engine.unwatch(self.one)
        self.one.close()
        self.other.close()
"""

_SEND = "        try:\n            self.other.send(b\"x\")\n        except BlockingIOError:\n            pass\n"
_PAIR = "        self.one, self.other = socket.socketpair()\n        self.other.setblocking(False)\n"

STOPPER_CASES = {
    "closes the epoll descriptor": (
        changed(STOPPER, (_SEND, "        if hasattr(self.engine, '_epoll'): self.engine._epoll.close()\n")),
        "stop() was called, and the waiting thread did not notice: 1 s later it still sleeps in wait().",
    ),
    "a flag": (changed(STOPPER, (_SEND, "        self.stopped = True\n")), "the waiting thread did not notice"),
    "closes the watched end": (changed(STOPPER, (_SEND, "        self.one.close()\n")), "the waiting thread did not notice"),
    "unwatches": (changed(STOPPER, (_SEND, "        self.engine.unwatch(self.one)\n")), "the waiting thread did not notice"),
    "sends at the wrong end": (changed(STOPPER, ("self.other.send", "self.one.send")), "the waiting thread did not notice"),
    "a signal": (
        changed(STOPPER, (_SEND, "        os.kill(os.getpid(), signal.SIGUSR2)\n"), (_PAIR, _PAIR + "        signal.signal(signal.SIGUSR2, lambda *_: None)\n")),
        "the waiting thread did not notice",
    ),
    "watches only in stop": (
        changed(STOPPER, ("        engine.watch(self.one, True, False, self)\n", ""), (_SEND, "        self.engine.watch(self.one, True, False, self)\n" + _SEND)),
        "Stopper(engine) was made, and the engine watches nothing more than before",
    ),
    "changes the list in stop": (
        changed(STOPPER, ("engine.watch(self.one, True, False, self)", "engine.watch(self.one, False, False, self)"), (_SEND, "        self.engine.watch(self.one, False, True, self)\n")),
        "On PollEngine: stop() was called, and the waiting thread did not notice",
    ),
    "watches nothing": (changed(STOPPER, ("        engine.watch(self.one, True, False, self)\n", "")), "the engine watches nothing more than before"),
    "waits to write": (changed(STOPPER, ("True, False, self", "False, True, self")), "Nobody has called stop(), and wait(0) returned something"),
    "reads and writes": (changed(STOPPER, ("True, False, self", "True, True, self")), "the descriptor must not be ready before"),
    "an eventfd that is ready": (
        """
        class Stopper:
            def __init__(self, engine):
                self.engine, self.file = engine, open(os.eventfd(1), "r+b", buffering=0)
                engine.watch(self.file, True, False, self)

            def stop(self):
                os.eventfd_write(self.file.fileno(), 1)

            def close(self):
                self.engine.unwatch(self.file)
                self.file.close()
        """,
        "Nobody has called stop(), and wait(0) returned something",
    ),
    "a bare eventfd": (
        """
        class Stopper:
            def __init__(self, engine):
                self.engine, self.number = engine, os.eventfd(0)
                engine.watch(self.number, True, False, self)

            def stop(self):
                os.eventfd_write(self.number, 1)

            def close(self):
                self.engine.unwatch(self.number)
                os.close(self.number)
        """,
        "os.eventfd() gives a bare number",
    ),
    "other data": (changed(STOPPER, ("True, False, self", "True, False, None")), "wait() returned None as data, not the Stopper"),
    "the socket as data": (changed(STOPPER, ("True, False, self", "True, False, self.one")), "wait() returned a value of type socket as data, not the Stopper"),
    "a blocking pair": (
        changed(STOPPER, ("        self.other.setblocking(False)\n", "")),
        "stop() was called 2000 times, and did not return within 2 s: a blocking send() sleeps when the buffer is full: it sleeps in line",
    ),
    "a full pair": (changed(STOPPER, (_SEND, "        self.other.send(b\"x\")\n")), "the buffer of your pair is full: this is no error"),
    "waits for the loop": (
        changed(STOPPER, (_SEND, _SEND + "        import select\n        select.select([], [], [])\n")),
        "stop() did not return within 1 s: it sleeps in line",
    ),
    "takes its byte back": (
        changed(STOPPER, (_SEND, _SEND + "        if not hasattr(self, 'first'):\n            self.first = time.sleep(0.2)\n            self.one.recv(100)\n")),
        "On EpollEngine: stop() was called before the loop waited, and the next wait() told nothing of it",
    ),
    "leaves both ends open": (changed(STOPPER, ("        self.one.close()\n        self.other.close()\n", "")), "close() left 2 more open than there were before Stopper(engine)"),
    "leaves one end open": (changed(STOPPER, ("        self.other.close()\n", "")), "close() left 1 more open"),
    "close does nothing": (changed(STOPPER, ("        self.engine.unwatch(self.one)\n        self.one.close()\n        self.other.close()\n", "        pass\n")), "close() left"),
    "leaves the entry": (changed(STOPPER, ("        self.engine.unwatch(self.one)\n", "")), "close() left an entry in the engine: engine.unwatch() takes it out."),
    "unwatches the other end": (
        changed(STOPPER, ("unwatch(self.one)", "unwatch(self.other)")),
        "It takes the same object as engine.watch() before.",
    ),
    "closes itself in stop": (
        changed(STOPPER, (_SEND, _SEND + "        self.close()\n")),
        "stop() was called",
    ),
    "a thread": (changed(STOPPER, (_PAIR, _PAIR + "        threading.Thread(target=time.sleep, args=[9], daemon=True).start()\n")), "started a thread that still runs"),
}  # fmt: skip

CASES = {"6.1": EPOLL_CASES, "6.2": DRAIN_CASES, "6.3": BUG_CASES, "6.4": STOPPER_CASES}
