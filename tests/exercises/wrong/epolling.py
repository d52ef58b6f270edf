"""Typical wrong solutions of 6.x, each with words of the message that names its cause."""

from exercises.case import case, changed, right
from exercises.wrong.polling import POLL, SELECT

IMPORTS = """
import os, select, signal, socket, threading, time
from course_lib.solutions.nonblocking import Conn, try_accept, try_recv
from course_lib.solutions.epolling import EpollEngine
from course_lib.solutions.suspects import RunningServer
"""

# Lines of EPOLL, for which several wrong ones have others
WATCHES = """
if sock in self._numbers:
    self._epoll.modify(sock, mask)
else:
    self._epoll.register(sock, mask)
"""

EPOLL = changed(right("6.1"), {
    "tell = self._epoll.modify if sock in self._numbers else self._epoll.register": "",
    "tell(sock, mask)": WATCHES,
    "sock.fileno() == number": "sock.fileno() != -1",
    "ready = self._epoll.poll(seconds, max(1, len(self._entries)))\n...\n    if number in self._entries\n]": """
        ready = self._epoll.poll(seconds)
        found = []
        for number, bits in ready:
            readable, writable = bool(bits & select.EPOLLIN), bool(bits & select.EPOLLOUT)
            hup = bool(bits & (select.EPOLLHUP | select.EPOLLERR))
            found.append((self._entries[number][1], readable, writable, hup))
        return found
    """,
})  # fmt: skip

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

# What is wrong with it is how it finds out that the peer has finished.
PIECES = """
def drain(sock):
    data = b""
    while piece := try_recv(sock, 65536):
        data += piece
    return data, finished
"""

PROVOKE = changed(right("6.3"), {
    "for _ in range(13):\n    server.connect()": "clients = [server.connect() for _ in range(12)]",
    "clients = server.connect(), server.connect()\nfor client in clients:":
        "one, other = server.connect(), server.connect()\nfor client in one, other:",
    "for client in clients:\n    client.close()": 'one.close()\nother.sendall(b"hello\\n")',
})  # fmt: skip

STOPPER = right("6.4")

EVENTFD = """
class Stopper:
    def __init__(self, engine):
        self.engine, self.file = engine, open(os.eventfd(0), "r+b", buffering=0)
        engine.watch(self.file, True, False, self)

    def stop(self):
        os.eventfd_write(self.file.fileno(), 1)

    def close(self):
        self.engine.unwatch(self.file)
        self.file.close()
"""

COPIED = "a socket was closed before unwatch(), and a copy of its descriptor lived on, as in a forked process: {}."
RAISES, PASSED_OVER = COPIED.format("wait() raised KeyError"), COPIED.format("no wait sleeps any more")
AT_MOST_1023 = "1100 sockets were ready, and wait() told of 1023; the others come with the next call."
FOUND = "found.append((self._entries[number][1], readable, writable, hup))"

RIGHT = {
    "6.1": [
        case("the reference in other words", f"{AT_MOST_1023}\n{RAISES}", EPOLL),
        case("room for all", RAISES, EPOLL, {"self._epoll.poll(seconds)": "self._epoll.poll(seconds, 2000)"}),
        case("a hundred at a time", f"1100 sockets were ready, and wait() told of 100;\n{RAISES}",
             EPOLL, {"self._epoll.poll(seconds)": "self._epoll.poll(seconds, 100)"}),
        case("tries and forgives", f"{AT_MOST_1023}\n{RAISES}",
             EPOLL, {"if sock in self._numbers:\n    self._epoll.modify(sock, mask)\nelse:\n    self._epoll.register(sock, mask)": """
                 try:
                     self._epoll.register(sock, mask)
                 except FileExistsError:
                     self._epoll.modify(sock, mask)
             """, "if sock.fileno() != -1:\n    self._epoll.unregister(number)": """
                 try:
                     self._epoll.unregister(number)
                 except OSError:
                     pass
             """}),
        case("who is not in the dict is passed over", f"{AT_MOST_1023}\n{PASSED_OVER}", EPOLL, {FOUND: f"if number in self._entries: {FOUND}"}),
        case("a new list when one is not in the dict", AT_MOST_1023,
             EPOLL, {FOUND: f"if number in self._entries:\n    {FOUND}\nelse:\n    self.anew()", "def wait(self, seconds):": """
                 def anew(self):
                     self._epoll.close()
                     self._epoll = select.epoll()
                     for sock in self._numbers:
                         self._epoll.register(sock, select.EPOLLIN)

                 def wait(self, seconds):
             """}),
    ],
    "6.2": [
        case("the reference in other words", "", DRAIN),
        case("short reads", "", """
            def drain(sock):
                data = b""
                while select.select([sock], [], [], 0)[0]:
                    piece = try_recv(sock, 10_000)
                    if piece == b"":
                        return data, True
                    data += piece or b""
                return data, False
        """),
        case("a hundred bytes at a time", "", DRAIN, {"65536": "100"}),
    ],
    "6.3": [
        case("the reference in other words", "", PROVOKE),
        case("half-closes", "", PROVOKE, {"client.close()": "client.shutdown(socket.SHUT_WR)"}),
        case("a hundred clients", "", PROVOKE, {"range(12)": "range(100)"}),
    ],
    "6.4": [
        case("the reference in other words", "", STOPPER.replace("self._", "self.")),
        case("an eventfd", "", EVENTFD),
        case("sends once", "", """
            class Stopper:
                def __init__(self, engine):
                    self.engine, self.stopped = engine, False
                    self.number, self.end = os.pipe()
                    engine.watch(self, True, False, self)

                def fileno(self):
                    return self.number

                def stop(self):
                    if not self.stopped:
                        self.stopped = True
                        os.write(self.end, b"x")

                def close(self):
                    self.engine.unwatch(self)
                    os.close(self.number)
                    os.close(self.end)
        """),
        case("sends once, over its pair", "",
             STOPPER, {"try:\n...\n    pass": 'if not hasattr(self, "sent"):\n    self._other_end.send(b"x")\nself.sent = True'}),
    ],
}

# Keeps the masks, and leaves it to wait() to hand them to the kernel.
MASKS = changed(EPOLL, {
    "self._entries = {}": "self._entries = {}\nself.masks = {}",
    WATCHES: "self.masks[sock] = mask",
    "if sock.fileno() != -1:\n    self._epoll.unregister(number)": "del self.masks[sock]",
})  # fmt: skip

CASES = {
    "6.1": [
        case("milliseconds", "wait(0.2) did not return within 1.2 s: epoll.poll() counts seconds, other than poll()",
             EPOLL, {"ready = self._epoll.poll(seconds)": "ready = self._epoll.poll(None if seconds is None else seconds * 1000)"}),
        case("whole seconds", "Hand `seconds` on to epoll.poll() as it is.",
             EPOLL, {"ready = self._epoll.poll(seconds)": "ready = self._epoll.poll(seconds and int(seconds))"}),
        case("0 is falsy", "wait(0) did not return within 1 s: 0 is to look once",
             EPOLL, {"ready = self._epoll.poll(seconds)": "ready = self._epoll.poll(seconds or -1)"}),
        case("no time limit", "wait(0) did not return within 1 s", EPOLL, {"self._epoll.poll(seconds)": "self._epoll.poll()"}),
        case("None is 0", "wait(None) returned and nobody had connected", EPOLL, {".poll(seconds)": ".poll(seconds or 0)"}),
        case("asks again and again", "used the processor instead of sleeping. One call of epoll.poll() sleeps",
             EPOLL, {"ready = self._epoll.poll(seconds)": """
                 begin = time.monotonic()
                 while not (ready := self._epoll.poll(0)) and (seconds is None or time.monotonic() - begin < seconds):
                     pass
             """}),
        case("registers twice", "EEXIST, epoll_ctl(2)): register() the first time, modify() from then on.",
             EPOLL, {WATCHES: "self._epoll.register(sock, mask)"}),
        case("modifies what is not there",
             "The number is not in epoll's interest list (ENOENT, epoll_ctl(2)). modify() is for those that are in it",
             EPOLL, {WATCHES: "self._epoll.modify(sock, mask)"}),
        case("remembers by number", "ENOENT",
             EPOLL, {"if sock in self._numbers:": "self.seen = getattr(self, 'seen', set())\nif sock.fileno() in self.seen:",
             "self._epoll.register(sock, mask)": "self._epoll.register(sock, mask)\nself.seen.add(sock.fileno())"}),
        case("unregisters a closed one", "EBADF): close() has taken the socket out of epoll's list already (epoll(7)).",
             EPOLL, {"if sock.fileno() != -1:\n    self._epoll.unregister(number)": "self._epoll.unregister(number)"}),
        case("asks the closed sock", "A closed socket's fileno() is -1: unwatch() works after close() too",
             EPOLL, {"if sock.fileno() != -1:\n    self._epoll.unregister(number)": "self._epoll.unregister(sock)"}),
        case("number of a closed sock",
             "A closed socket's fileno() is -1: unwatch() works after close() too, so remember the number",
             EPOLL, {"number = self._numbers.pop(sock)": "number = sock.fileno()\nself._numbers = {s: n for s, n in self._numbers.items() if s is not sock}"}),
        case("forgets half", "modify() is for those that are in it, register() for new ones", EPOLL, {".pop(sock)": "[sock]"}),
        case("never unregisters", "The kernel still waits for `one`: unregister() takes a number out of the interest list.",
             EPOLL, {"if sock.fileno() != -1:\n    self._epoll.unregister(number)": "",
             "for number, bits in ready:": "for number, bits in ready:\n    if number not in self._entries: continue"}),
        case("never unregisters, and does not know the number any more",
             "and your dict has it no more: unwatch() takes it out of both, with unregister().",
             EPOLL, {"if sock.fileno() != -1:\n    self._epoll.unregister(number)": ""}),
        case("registers at each wait", "EEXIST",
             MASKS, {"def wait(self, seconds):": "def wait(self, seconds):\n    for sock in self.masks: self._epoll.register(sock, self.masks[sock])"}),
        case("registers and unregisters at each wait",
             "watch() was called for 20 sockets, and the kernel's interest list holds 0",
             MASKS, {"def wait(self, seconds):": "def wait(self, seconds):\n    for sock in self.masks: self._epoll.register(sock, self.masks[sock])",
             "ready = self._epoll.poll(seconds)": "ready = self._epoll.poll(seconds)\nfor sock in self.masks: self._epoll.unregister(sock)"}),
        case("a new epoll for each wait", "no epoll descriptor is open: make one select.epoll() in __init__ and keep it",
             MASKS, {"self._epoll = select.epoll()": "",
             "ready = self._epoll.poll(seconds)": """
                 self._epoll = select.epoll()
                 for sock in self.masks: self._epoll.register(sock, self.masks[sock])
                 ready = self._epoll.poll(seconds)
                 self._epoll.close()
             """}),
        case("modifies all at each wait",
             "epoll_ctl() was called 2000 times for 100 waits with 20 idle sockets (modify): the interest list stays in the "
             "kernel",
             EPOLL, {"self._entries = {}": "self._entries = {}\nself.masks = {}",
             "else:\n    self._epoll.register(sock, mask)": "else:\n    self._epoll.register(sock, mask)\nself.masks[sock] = mask",
             "if sock.fileno() != -1:\n    self._epoll.unregister(number)": "if sock.fileno() != -1:\n    self._epoll.unregister(number)\ndel self.masks[sock]",
             "def wait(self, seconds):": "def wait(self, seconds):\n    for sock in self.masks: self._epoll.modify(sock, self.masks[sock])"}),
        case("one event at a time", "with `maxevents` fewer come at once", EPOLL, {".poll(seconds)": ".poll(seconds, 1)"}),
        case("edge-triggered",
             "a state is told as long as it lasts, which is level-triggered, without EPOLLET and EPOLLONESHOT (epoll(7)): it "
             "sleeps",
             EPOLL, {"* write": "* write | select.EPOLLET"}),
        case("one shot", "which is level-triggered, without EPOLLET and EPOLLONESHOT (epoll(7))",
             EPOLL, {"* write": "* write | select.EPOLLONESHOT"}),
        case("no mask", "It was not asked for writable.", EPOLL, {"register(sock, mask)": "register(sock)"}),
        case("a mask is never taken back", "a new mask takes the place of the old one",
             EPOLL, {"mask = select.EPOLLIN * read | select.EPOLLOUT * write": """
                 mask = select.EPOLLIN * read | select.EPOLLOUT * write
                 self.masks = getattr(self, 'masks', {})
                 mask = self.masks[sock] = self.masks.get(sock, 0) | mask
             """}),
        case("half-close is a hang-up", "This is no hang-up: the peer has finished sending and still reads (shutdown(2))",
             EPOLL, {"* write": "* write | select.EPOLLRDHUP", "EPOLLERR": "EPOLLERR | select.EPOLLRDHUP"}),
        case("ignores EPOLLHUP", "hup must be True, or it comes back for ever and nobody closes",
             EPOLL, {"bool(bits & (select.EPOLLHUP | select.EPOLLERR))": "False"}),
        case("ignores EPOLLERR", "An error waits in `one`, and the kernel reports POLLERR",
             EPOLL, {"(select.EPOLLHUP | select.EPOLLERR)": "select.EPOLLHUP"}),
        case("passes over who hung up", "told nothing of it: so nobody closes",
             EPOLL, {"found.append": "if readable or writable:\n    found.append"}),
        case("takes out who hung up", "To take a socket out is for the caller, with unwatch().",
             EPOLL, {"found.append((self._entries[number][1], readable, writable, hup))": """
                 found.append((self._entries[number][1], readable, writable, hup))
                 if hup:
                     self._epoll.unregister(number)
             """}),
        case("returns numbers", "the `data` that watch() was given, the object itself", EPOLL, {"self._entries[number][1],": "number,"}),
        case("keeps the sockets", "the engine still holds most of them",
             EPOLL, {"self._numbers.pop(sock)": "self._numbers.pop(sock)\nself.ever = getattr(self, 'ever', []) + [sock]"}),
        case("select", "wait(None) sleeps in select()", SELECT, {"class SelectEngine:": "class EpollEngine:"}),
        case("poll", "wait(None) sleeps in poll()", POLL, {"class PollEngine:": "class EpollEngine:"}),
        case("one for all engines", "Make the dicts in __init__: those in the body of the class belong to all engines.",
             EPOLL, {"def __init__(self):\n    self._epoll = select.epoll()\n    self._numbers = {}\n    self._entries = {}": """
                 _numbers, _entries = {}, {}

                 def __init__(self):
                     global THE
                     self._epoll = THE = globals().get('THE') or select.epoll()
             """}),
        case("goes over all that are watched", "wait() goes over all that are watched. The kernel gives the ready ones alone",
             EPOLL, {"ready = self._epoll.poll(seconds)": "ready = dict(self._epoll.poll(seconds, 2000))",
             "for number, bits in ready:": "for number in self._entries:\n    if not (bits := ready.get(number)):\n        continue"}),
        case("unwatch() goes over all that are watched", "unwatch() goes over all that are watched",
             EPOLL, {"self._numbers.pop(sock)": "next(n for s, n in self._numbers.items() if s is sock)\ndel self._numbers[sock]"}),
        case("unwatch() copies all that are watched", "unwatch() goes over all that are watched",
             EPOLL, {"del self._entries[number]": "self._entries = {n: entry for n, entry in self._entries.items() if n != number}"}),
        case("watch() goes over all that are watched", "watch() for one that is watched goes over all that are watched",
             EPOLL, {"if sock in self._numbers:": "if any(sock is other for other in self._numbers):"}),
        case("the first watch() goes over all that are watched", "watch() for one more goes over all that are watched",
             EPOLL, {"self._epoll.register": "if sock.fileno() not in list(self._numbers.values()):\n    self._epoll.register"}),
        case("a change goes over all that are watched", "watch() for one that is watched goes over all that are watched",
             EPOLL, {"self._epoll.modify(sock, mask)": "number = next(n for s, n in self._numbers.items() if s is sock)\nself._epoll.modify(number, mask)"}),
        case("dicts of the class", "Make the dicts in __init__: those in the body of the class belong to all engines",
             EPOLL, {"self._numbers = {}\nself._entries = {}": "", "def __init__": "_numbers, _entries = {}, {}\n\ndef __init__"}),
        case("a list of its own beside it", "the engine still holds the data of most of them",
             EPOLL, {"self._numbers[sock] = sock.fileno()": """
                 self._numbers[sock] = sock.fileno()
                 self.ever = getattr(self, 'ever', [])
                 self.ever.append((sock, data))
             """}),
    ],
    "6.2": [
        case("one recv", "of them, and no further event came in 0.5 s; ", """
            def drain(sock):
                data = try_recv(sock, 4096)
                return data or b"", data == b""
        """),
        case("one recv, and large", "A short read says that the buffer is empty, not that the end has not come", """
            def drain(sock):
                data = try_recv(sock, 1 << 22)
                return data or b"", data == b""
        """),
        case("until a short read",
             "The peer sent b'bye' and finished (ONE edge; then recv() gives b'' again and again), and drain returned (b'bye', "
             "False), and no further event came in 0.5 s", """
            def drain(sock):
                data = bytearray()
                while True:
                    piece = try_recv(sock, 4096)
                    data += piece or b""
                    if not piece or len(piece) < 4096:
                        return bytes(data), piece == b""
        """),
        case("two reads", "bytes are waiting. EPOLLET tells a change once: read until BlockingIOError (epoll(7)).", """
            def drain(sock):
                data = (try_recv(sock, 65536) or b"") + (try_recv(sock, 65536) or b"")
                return data, False
        """),
        case("no except", "EAGAIN says that nothing is left to read. This is what drain waits for: catch it, and return.",
             PIECES, {"try_recv(sock, 65536)": "sock.recv(65536)", "finished": "True"}),
        case("no except for a reset", "the peer has sent a reset. It counts as finished",
             DRAIN, {"except ConnectionError:\n    return bytes(data), True": ""}),
        case("every error is not yet", "The peer sent a reset, and drain returned (b'', False)",
             DRAIN, {"except BlockingIOError:": "except OSError:", "except ConnectionError:\n    return bytes(data), True": ""}),
        case("every error is the end", "Nothing has come, and drain returned (b'', True): the peer has not finished.",
             DRAIN, {"return bytes(data), False": "return bytes(data), True"}),
        case("not yet is the end", "None says that nothing is left, b'' that nothing more will come",
             PIECES, {"finished": "not piece"}),
        case("the end only without bytes",
             "The peer sent b'bye' and finished (ONE edge; then recv() gives b'' again and again), and drain returned (b'bye', False)",
             PIECES, {"finished": 'data == b"" and piece == b""'}),
        case("drops what came before the end", "the rest was read and is lost. Collect ALL pieces",
             DRAIN, {"if not piece:\n    return bytes(data), True": "if not piece:\n    return b'', True"}),
        case("drops what came before the reset",
             "The peer sent b'last words', then a reset, and drain returned (b'', True): the rest was read and is lost.",
             DRAIN, {"except ConnectionError:\n    return bytes(data), True": "except ConnectionError:\n    return b'', True"}),
        case("the last piece only", "is lost. Collect ALL pieces", DRAIN, {"data += piece": "data = piece"}),
        case("does not look at b''",
             "finished (ONE edge; then recv() gives b'' again and again), and drain(sock) did not return within 2 s: it runs all the "
             "time",
             DRAIN, {"if not piece:\n    return bytes(data), True": ""}),
        case("blocks", "Nothing has come, and drain(sock) did not return within 2 s: it sleeps in line",
             PIECES, {'data = b""': 'sock.setblocking(True)\ndata = b""', "try_recv(sock, 65536)": "sock.recv(65536)", "finished": "True"}),
        case("a time limit", "drain left the socket with a time limit: then Python waits in poll() for you",
             DRAIN, {"data = bytearray()": "data = bytearray()\nsock.settimeout(0.1)", "BlockingIOError:": "TimeoutError:"}),
        case("waits for the first byte", "Nothing has come, and drain(sock) did not return within 2 s: it sleeps in line",
             DRAIN, {"data = bytearray()": "data = bytearray()\nselect.select([sock], [], [])"}),
        case("only looks", "bytes of an earlier call came back", """
            def drain(sock):
                try:
                    data = sock.recv(1 << 22, socket.MSG_PEEK)
                except BlockingIOError:
                    return b"", False
                return data, not data
        """),
        case("one bytearray for all calls", "bytes of an earlier call came back. Begin each call with an empty bytearray.",
             DRAIN, {"def drain(sock):\n    data = bytearray()": "def drain(sock, data=bytearray()):"}),
        case("closes at the end", "drain closed the socket", DRAIN, {"if not piece:": "if not piece:\n    sock.close()"}),
        case("returns the bytearray",
             "drain returned (bytearray(b''), False): the first part has to be bytes, b'' if nothing had come.",
             DRAIN.replace("bytes(data)", "data")),
        case("the wrong way round", "first the bytes, then whether the peer has finished",
             DRAIN.replace("bytes(data), False", "False, bytes(data)").replace("bytes(data), True", "True, bytes(data)")),
        case("bytes only", "drain returned b'': return a tuple (bytes, finished).",
             DRAIN.replace(", False", "").replace(", True", "")),
        case("None for nothing", "drain returned (None, False): the first part has to be bytes",
             DRAIN.replace("bytes(data)", "bytes(data) or None")),
        case("the last piece as answer", "drain returned (b'', None): the second part has to be True or False.",
             PIECES, {"finished": "piece"}),
        case("adds None", "try_recv gives None when nothing is left: then drain is through.",
             PIECES, {"while piece := try_recv(sock, 65536):": "while True:\n    piece = try_recv(sock, 65536)",
             "data += piece": 'data += piece\nif not piece:\n    return data, piece == b""', "return data, finished": ""}),
        case("a thread", "started a thread that still runs",
             DRAIN, {"bytearray()": "bytearray()\nthreading.Thread(target=threading.Event().wait, daemon=True).start()"}),
    ],
    "6.3": [
        case("the names alone",
             "server_a did not fail: after provoke_a it lives, and it sleeps. provoke_a connected no client.", """
            def provoke_a(server): return "zombie"
            def provoke_b(server): return "no descriptor"
            def provoke_c(server): return "stale"
            def provoke_d(server): return "writable"
        """),
        case("no job", "In provoke_a a client waited over 1 s in line", PROVOKE, {r'.sendall(b"job\n")': '.sendall(b"jobs")'}),
        case("the job, and stays", "server_a did not fail: after provoke_a it lives, and it sleeps. Which",
             PROVOKE, {"client.close()": ""}),
        case("leaves without a job", "server_a did not fail", PROVOKE, {'client.sendall(b"job\\n")\nclient.recv(4)': ""}),
        case("another name", "server_a runs all the time while nobody talks, as it should, but 'stale' is not its bug.",
             PROVOKE, {'return "zombie"': 'return "stale"'}),
        case("too few clients", "server_b did not fail: after provoke_b it lives, and it sleeps. Which", PROVOKE, {"12": "5"}),
        case("clients that leave again",
             "server_b did not fail: after provoke_b it lives, and it sleeps. All your clients had left again by then.",
             PROVOKE, {"clients = [server.connect() for _ in range(12)]": "for _ in range(12):\n    server.connect().close()"}),
        case("too many clients, late", "the accept queue is full (listen(2)). Fewer clients are enough.",
             PROVOKE, {"clients = [server.connect() for _ in range(12)]": "import time\ntime.sleep(1.5)\nclients = [server.connect() for _ in range(500)]"}),
        case("too many clients", "the accept queue is full (listen(2)). Fewer clients are enough.", PROVOKE, {"12": "500"}),
        case("a name for b", "but 'writable' is not its bug. What did the kernel report", PROVOKE, {"no descriptor": "writable"}),
        case("one after the other", "server_c did not fail",
             PROVOKE, {'with server.paused():\n    one.close()\n    other.sendall(b"hello\\n")': "one.close()\nother.recv(6)\nother.close()"}),
        case("one client", "server_c did not fail",
             PROVOKE, {"one, other = server.connect(), server.connect()\nfor client in one, other:": "one = server.connect()\nfor client in [one]:",
             'with server.paused():\n    one.close()\n    other.sendall(b"hello\\n")': "one.close()"}),
        case("a name for c", "server_c dies (KeyError in `conn = conns[number]`), as it should, but 'zombie' is not its bug.",
             PROVOKE, {'return "stale"': 'return "zombie"'}),
        case("asks the dead server",
             "the server has died by then. So you have what you want: return the name of its bug before.",
             PROVOKE, {'with server.paused():\n    one.close()\n    other.sendall(b"hello\\n")': r"""
                 with server.paused():
                     one.close()
                     other.sendall(b"hello\n")
                 import time
                 time.sleep(0.2)
                 server.connect().sendall(b"hello\n")
             """}),
        case("waits for the dead server", "In provoke_c a client got ConnectionResetError in line",
             PROVOKE, {'with server.paused():\n    one.close()\n    other.sendall(b"hello\\n")': 'with server.paused():\n    one.close()\n    other.sendall(b"hello\\n")\nother.recv(6)'}),
        case("short line", "server_d did not fail", PROVOKE, {"60_000": "60"}),
        case("does not read", "server_d did not fail", PROVOKE, {'client.makefile("rb").read(len(lines))': ""}),
        case("reads and leaves", "server_d did not fail: after provoke_d it lives, and it sleeps. All your clients had left",
             PROVOKE, {'client.makefile("rb").read(len(lines))': 'client.makefile("rb").read(len(lines))\nclient.close()'}),
        case("a name for d", "but 'stale' is not its bug", PROVOKE, {'return "writable"': 'return "stale"'}),
        case("no name", "provoke_a returned None: return the name of the bug, one of 'zombie'", PROVOKE, {'return "zombie"': ""}),
        case("a name of its own",
             "provoke_a returned 'EPOLLHUP': return the name of the bug, one of 'zombie', 'stale', 'writable', 'no descriptor'.",
             PROVOKE, {'return "zombie"': 'return "EPOLLHUP"'}),
        case("kills the server", "server_a dies (killed); but with the same clients it dies without its bug too",
             PROVOKE, {'client.sendall(b"job\\n")\nclient.recv(4)': "os.kill(server.pid, signal.SIGKILL)"}),
        case("stops the server", "After your experiment the server stands still",
             PROVOKE, {'client.sendall(b"job\\n")\nclient.recv(4)': "os.kill(server.pid, signal.SIGSTOP)"}),
        case("talks without end", "provoke_a(server) did not return within 2 s",
             PROVOKE, {"client.close()": 'while True:\n    client.sendall(b"hello\\n")\n    client.recv(6)'}),
        case("a thread that talks", "Your code started a thread that still runs",
             PROVOKE, {"client.close()": r"""
                 def talk():
                     while True:
                         client.sendall(b"hello\n")
                         client.recv(6)
                 threading.Thread(target=talk, daemon=True).start()
             """}),
        case("waits for an answer that does not come", "In provoke_a a client waited over 1 s in line",
             PROVOKE, {"client.recv(4)": "client.recv(4, socket.MSG_WAITALL) + client.recv(1)"}),
        case("an error", "In provoke_a: Your code raised AttributeError", PROVOKE, {"client.recv(4)": "client.receive(4)"}),
        case("not all written", "provoke_d is not written yet.", PROVOKE, {'return "writable"': "raise NotImplementedError"}),
        case("two not written", "provoke_a, provoke_d are not written yet.",
             PROVOKE, {'return "zombie"': "raise NotImplementedError", 'return "writable"': "raise NotImplementedError"}),
    ],
    "6.4": [
        case("in its own thread only", "On PollEngine: stop() was called, and the waiting thread did not notice",
             STOPPER, {"self._engine = engine": "self._engine, self.thread = engine, threading.get_ident()",
             "def stop(self):": "def stop(self):\n    if threading.get_ident() != self.thread:\n        return"}),
        case("the other end is let go", "the other end is closed already. Keep it in self",
             STOPPER, {"self._end, self._other_end = socket.socketpair()": "self._end, other = socket.socketpair()", "self._other_end.setblocking(False)": "",
             "self._other_end.close()": ""}),
        case("closes the epoll descriptor",
             "stop() was called, and the waiting thread did not notice: 1 s later it still sleeps in wait().",
             STOPPER, {'try:\n    self._other_end.send(b"x")\nexcept BlockingIOError:\n    pass': "if hasattr(self._engine, '_epoll'): self._engine._epoll.close()"}),
        case("a flag", "the waiting thread did not notice", STOPPER, {"try:\n...\n    pass": "self.stopped = True"}),
        case("closes the watched end", "the waiting thread did not notice",
             STOPPER, {'try:\n    self._other_end.send(b"x")\nexcept BlockingIOError:\n    pass': "self._end.close()"}),
        case("unwatches", "the waiting thread did not notice",
             STOPPER, {"try:\n...\n    pass": "self._engine.unwatch(self._end)"}),
        case("sends at the wrong end", "the waiting thread did not notice", STOPPER, {"self._other_end.send": "self._end.send"}),
        case("a signal", "the waiting thread did not notice",
             STOPPER, {"self._other_end.setblocking(False)": "self._other_end.setblocking(False)\nsignal.signal(signal.SIGUSR2, lambda *_: None)",
             'try:\n    self._other_end.send(b"x")\nexcept BlockingIOError:\n    pass': "os.kill(os.getpid(), signal.SIGUSR2)"}),
        case("watches only in stop", "Stopper(engine) was made, and the engine watches nothing more than before",
             STOPPER, {"engine.watch(self._end, True, False, self)": "",
             "def stop(self):": "def stop(self):\n    self._engine.watch(self._end, True, False, self)"}),
        case("changes the list in stop", "On PollEngine: stop() was called, and the waiting thread did not notice",
             STOPPER, {"engine.watch(self._end, True, False, self)": "engine.watch(self._end, False, False, self)",
             'try:\n    self._other_end.send(b"x")\nexcept BlockingIOError:\n    pass': "self._engine.watch(self._end, False, True, self)"}),
        case("watches nothing", "the engine watches nothing more than before",
             STOPPER, {"engine.watch(self._end, True, False, self)": ""}),
        case("waits to write", "Nobody has called stop(), and wait(0) returned something",
             STOPPER, {"engine.watch(self._end, True, False, self)": "engine.watch(self._end, False, True, self)"}),
        case("reads and writes", "the descriptor must not be ready before", STOPPER, {"._end, True, False": "._end, True, True"}),
        case("an eventfd that is ready", "Nobody has called stop(), and wait(0) returned something", EVENTFD, {"eventfd(0)": "eventfd(1)"}),
        case("a bare eventfd", "os.eventfd() gives a bare number",
             EVENTFD, {'self.file = engine, open(os.eventfd(0), "r+b", buffering=0)': "self.number = engine, os.eventfd(0)",
             "engine.watch(self.file, ": "engine.watch(self.number, ", "self.file.fileno()": "self.number", "self.engine.unwatch(self.file)\nself.file.close()":
             "self.engine.unwatch(self.number)\nos.close(self.number)"}),
        case("other data", "wait() returned None as data, not the Stopper", STOPPER, {"True, False, self": "True, False, None"}),
        case("the socket as data", "wait() returned a value of type socket as data, not the Stopper",
             STOPPER, {"engine.watch(self._end, True, False, self)": "engine.watch(self._end, True, False, self._end)"}),
        case("a blocking pair",
             "stop() was called 2000 times, and did not return within 2 s: a blocking send() sleeps when the buffer is full: it "
             "sleeps in line",
             STOPPER, {"self._other_end.setblocking(False)": ""}),
        case("a full pair", "the buffer of your pair is full: this is no error",
             STOPPER, {'try:\n    self._other_end.send(b"x")\nexcept BlockingIOError:\n    pass': 'self._other_end.send(b"x")'}),
        case("waits for the loop", "stop() did not return within 1 s: it sleeps in line",
             STOPPER, {"except BlockingIOError:\n    pass": "except BlockingIOError:\n    pass\nimport select\nselect.select([], [], [])"}),
        case("takes its byte back",
             "On EpollEngine: stop() was called before the loop waited, and the next wait() told nothing of it",
             STOPPER, {"except BlockingIOError:\n    pass": """
                 except BlockingIOError:
                     pass
                 if not hasattr(self, 'first'):
                     self.first = time.sleep(0.2)
                     self._end.recv(100)
             """}),
        case("leaves both ends open", "close() left 2 more open than there were before Stopper(engine)",
             STOPPER, {"self._end.close()\nself._other_end.close()": ""}),
        case("leaves one end open", "close() left 1 more open", STOPPER, {"self._other_end.close()": ""}),
        case("close does nothing", "close() left",
             STOPPER, {"self._engine.unwatch(self._end)\nself._end.close()\nself._other_end.close()": "pass"}),
        case("leaves the entry", "close() left an entry in the engine: engine.unwatch() takes it out.",
             STOPPER, {"self._engine.unwatch(self._end)": ""}),
        case("unwatches the other end", "It takes the same object as engine.watch() before.",
             STOPPER, {"self._engine.unwatch(self._end)": "self._engine.unwatch(self._other_end)"}),
        case("closes itself in stop", "stop() was called",
             STOPPER, {"except BlockingIOError:\n    pass": "except BlockingIOError:\n    pass\nself.close()"}),
        case("a thread", "started a thread that still runs",
             STOPPER, {"self._other_end.setblocking(False)": "self._other_end.setblocking(False)\nthreading.Thread(target=threading.Event().wait, daemon=True).start()"}),
    ],
}
