"""Typical wrong solutions of 5.x, each with words of the message that names its cause."""

from exercises.case import case, changed, right

IMPORTS = """
import select, socket, threading, time
from course_lib.solutions.nonblocking import Conn, accept_or_pause, busy_server, try_accept
from course_lib.solutions.polling import PollEngine, SelectEngine
from course_lib.solutions.selecting import select_server
"""

POLL = changed(right("5.1"), {"hup = select.POLLHUP | select.POLLERR | select.POLLNVAL\nreturn [\n...\n]": """
    found = []
    for number, bits in ready:
        readable, writable = bool(bits & select.POLLIN), bool(bits & select.POLLOUT)
        hup = bool(bits & (select.POLLHUP | select.POLLERR | select.POLLNVAL))
        found.append((self._data[number], readable, writable, hup))
    return found
"""})  # fmt: skip

SELECT = changed(right("5.2"), {"""
    readable, writable, _ = map(set, select.select(readers, writers, [], seconds))
    return [(self._entries[sock][2], sock in readable, sock in writable, False) for sock in readable | writable]
""": """
    readable, writable, _ = select.select(readers, writers, [], seconds)
    found = []
    for sock in set(readable) | set(writable):
        found.append((self._entries[sock][2], sock in readable, sock in writable, False))
    return found
"""})  # fmt: skip

# One that knows of no error of accept().
SERVER = changed(right("5.3"), {
    "pause = 0.0\nwhile True:": "while True:",
    "events = engine.wait(pause or None)\n...\nfor conn, readable, writable, hup in events:": "for conn, readable, writable, hup in engine.wait(None):",
    "sock, pause = accept_or_pause(listener)\nif sock:": "if sock := try_accept(listener):",
    "if pause:\n    engine.watch(listener, False, False, None)": "",
})  # fmt: skip

# What becomes of it when no descriptor is left.
ENDS = "and your server ended in line 7, `if sock := try_accept(listener):`, with all its clients. PollServer lets the client wait"
NO_ROOM = """
try:
    sock = try_accept(listener)
except OSError:
    {}
    continue
if sock:
"""

RIGHT = {
    "5.1": [
        case("the reference in other words", "", POLL),
        case("searches", "", """
            class PollEngine:
                def __init__(self):
                    self.watched = []

                def watch(self, sock, read, write, data):
                    self.watched = [entry for entry in self.watched if entry[0] is not sock]
                    self.watched.append((sock, (read and select.POLLIN) | (write and select.POLLOUT), data))

                def unwatch(self, sock):
                    self.watched = [entry for entry in self.watched if entry[0] is not sock]

                def wait(self, seconds):
                    poll = select.poll()
                    by_number = {}
                    for sock, mask, data in self.watched:
                        poll.register(sock, mask)
                        by_number[sock.fileno()] = data
                    found = []
                    for number, bits in poll.poll(-1 if seconds is None else seconds * 1000):
                        hup = bits & ~(select.POLLIN | select.POLLOUT) != 0
                        found.append((by_number[number], bits & select.POLLIN != 0, bits & select.POLLOUT != 0, hup))
                    return found
        """),
    ],
    "5.2": [
        case("the reference in other words", "", SELECT),
        case("keeps sets", "", """
            class SelectEngine:
                def __init__(self):
                    self.readers, self.writers, self.data = set(), set(), {}

                def watch(self, sock, read, write, data):
                    (self.readers.add if read else self.readers.discard)(sock)
                    (self.writers.add if write else self.writers.discard)(sock)
                    self.data[sock] = data

                def unwatch(self, sock):
                    self.readers.discard(sock)
                    self.writers.discard(sock)
                    self.data.pop(sock, None)

                def wait(self, seconds):
                    readable, writable, _ = select.select(self.readers, self.writers, [], seconds)
                    both = [(self.data[sock], True, sock in writable, False) for sock in readable]
                    return both + [(self.data[sock], False, True, False) for sock in writable if sock not in readable]
        """),
    ],
    "5.3": [
        case("the reference in other words", "", right("5.3")),
        case("knows of no error of accept()", ENDS, SERVER),
        case("one for each round", ENDS, SERVER, {"engine.wait(None)": "engine.wait(None)[:1]"}),
        case("tries at once", ENDS,
             SERVER, {"if conn.want_read and (readable or hup)": "if readable or hup", "if conn.want_write and (writable or hup)": "if conn.want_write"}),
        case("does without hup", ENDS, SERVER, {"(readable or hup)": "readable", "(writable or hup)": "writable"}),
        case("closes, then unwatches", ENDS,
             SERVER, {"engine.unwatch(conn.sock)\nconn.sock.close()": "conn.sock.close()\nengine.unwatch(conn.sock)"}),
        case("pauses while there is no room", "", SERVER, {"if sock := try_accept(listener):": NO_ROOM.format("time.sleep(0.01)")}),
        case("forgets the listener when there is no room", "then there was room, and this client got no answer within 1 s",
             SERVER, {"if sock := try_accept(listener):": NO_ROOM.format("engine.watch(listener, False, False, None)")}),
    ],
}

CASES = {
    "5.1": [
        case("seconds for milliseconds", "with nothing. poll() counts milliseconds: hand it seconds * 1000",
             POLL, {"None if seconds is None else seconds * 1000": "seconds"}),
        case("does not wait for nobody", "Nobody is watched, and wait(0.2) came back after 0.0",
             POLL, {"ready = self._poll": "if not self._data:\n    return []\nready = self._poll"}),
        case("cut to whole seconds", "do not cut 0.2 to 0 before",
             POLL, {"(None if seconds is None else seconds * 1000)": "(None if seconds is None else int(seconds) * 1000)"}),
        case("a thousand times too long",
             "wait(0.2) did not return within 1.2 s: poll() counts milliseconds, so it is seconds * 1000: it sleeps in line",
             POLL, {"1000": "1_000_000"}),
        case("no time limit", "wait(0) did not return within 1 s: 0 is to look once",
             POLL, {"None if seconds is None else seconds * 1000": ""}),
        case("0 is falsy", "wait(0) did not return within 1 s: 0 is to look once",
             POLL, {"None if seconds is None else seconds * 1000": "seconds * 1000 if seconds else None"}),
        case("None is no number", "None is no number to count with", POLL, {"None if seconds is None else seconds": "seconds"}),
        case("None is 0", "wait(None) returned and nobody had connected",
             POLL, {"None if seconds is None else seconds": "(seconds or 0)"}),
        case("None is a second at a time", "wait(None) returned and nobody had connected",
             POLL, {".poll(None if seconds is None else seconds * 1000)": ".poll(50 if seconds is None else seconds * 1000)"}),
        case("asks again and again", "used the processor",
             POLL, {"ready = self._poll.poll(None if seconds is None else seconds * 1000)": """
                 begin = time.monotonic()
                 while not (ready := self._poll.poll(0)) and (seconds is None or time.monotonic() - begin < seconds):
                     pass
             """}),
        case("naps", "wait(None) sleeps by the clock in line",
             POLL, {"ready = self._poll.poll(None if seconds is None else seconds * 1000)": """
                 begin = time.monotonic()
                 while not (ready := self._poll.poll(0)) and (seconds is None or time.monotonic() - begin < seconds):
                     time.sleep(0.05)
             """}),
        case("no mask", "It was not asked for writable. register() without a mask asks for POLLIN | POLLPRI | POLLOUT",
             POLL, {", select.POLLIN * read | select.POLLOUT * write": ""}),
        case("asks for all and filters", "with nothing. `one` is writable, which nobody asked for",
             POLL, {"self._poll.register(sock, select.POLLIN * read | select.POLLOUT * write)": """
                 self._poll.register(sock)
                 self.masks = getattr(self, 'masks', {}) | {sock.fileno(): (read, write)}
             """,
             "found.append((self._data[number], readable, writable, hup))": """
                 read, write = self.masks[number]
                 if readable and read or writable and write or hup:
                     found.append((self._data[number], readable and read, writable and write, hup))
             """}),
        case("a mask is never taken back",
             "`one` was watched for writing, then for reading: wait(0) returned [(data of one, changed, False, True, False)], "
             "not []. It was not asked for writable.",
             POLL, {"self._poll.register(sock, select.POLLIN * read | select.POLLOUT * write)": """
                 self.masks = getattr(self, 'masks', {})
                 mask = self.masks[sock] = self.masks.get(sock, 0) | select.POLLIN * read | select.POLLOUT * write
                 self._poll.register(sock, mask)
             """}),
        case("the first data stays",
             "watch() was called again for this socket: from then on its data, and what it waits for, are the new ones.",
             POLL, {"self._data[sock.fileno()] = data": "self._data.setdefault(sock.fileno(), data)"}),
        case("no change", "watch() was called again for this socket",
             POLL, {"def watch(self, sock, read, write, data):": "def watch(self, sock, read, write, data):\n    if sock in self._numbers: return"}),
        case("returns numbers", "The first part of each entry is the `data` that watch() was given, the object itself.",
             POLL, {"self._data[number],": "number,"}),
        case("returns sockets", "The first part of each entry is the `data` that watch() was given, the object itself.",
             POLL, {"self._data[sock.fileno()] = data": "self._data[sock.fileno()] = sock"}),
        case("data is a key", "`data` is any object, also one that cannot be a key",
             POLL, {"self._numbers[sock] = sock.fileno()": "self._numbers[sock] = sock.fileno()\nself.sock_of = {data: sock}"}),
        case("only data that is true", "`one` was watched with 0 as data: any object will do",
             POLL, {"found.append": "if self._data[number]:\n    found.append"}),
        case("returns bits", "readable, writable and hup are True or False; bool(bits & mask) makes one of a mask",
             POLL, {"readable, writable, hup": "bits & select.POLLIN, bits & select.POLLOUT, bits & select.POLLHUP"}),
        case("three parts", "each entry is a tuple (data, readable, writable, hup)", POLL, {", hup": ""}),
        case("yields", "returned a value of type generator: return a list",
             POLL, {"for number, bits in ready:\n...\nreturn found": """
                 for number, bits in ready:
                     readable, writable = bool(bits & select.POLLIN), bool(bits & select.POLLOUT)
                     hup = bool(bits & (select.POLLHUP | select.POLLERR | select.POLLNVAL))
                     yield self._data[number], readable, writable, hup
             """}),
        case("returns None for nobody", "wait(0) returned None: return a list, [] if nobody is ready.",
             POLL, {"return found": "return found or None"}),
        case("a tuple for each bit", "Each socket has ONE entry, also if it is readable and writable.",
             POLL, {"found.append((self._data[number], readable, writable, hup))": """
                 if readable:
                     found.append((self._data[number], True, False, hup))
                 if writable:
                     found.append((self._data[number], False, True, hup))
             """}),
        case("compares the bits", "Both bits come at once: ask with bits & mask, not with ==",
             POLL, {"bool(bits & select.POLLIN), bool(bits & select.POLLOUT)": "bits == select.POLLIN, bits == select.POLLOUT"}),
        case("elif", "Both bits come at once",
             POLL, {"readable, writable = bool(bits & select.POLLIN), bool(bits & select.POLLOUT)": "readable = bool(bits & select.POLLIN)\nwritable = not readable and bool(bits & select.POLLOUT)"}),
        case("the wrong way round",
             "wait(0) returned [(data of one, False, True, False)], not []. It was not asked for writable.",
             POLL, {"read | select.POLLOUT * write": "write | select.POLLOUT * read"}),
        case("reads too", "After wait() the bytes were gone: it only looks",
             POLL, {"found.append((self._data[number], readable, writable, hup))": """
                 found.append((self._data[number], readable, writable, hup))
                 [s for s in self._numbers if s.fileno() == number and readable and s.family == socket.AF_UNIX and s.recv(100)]
             """}),
        case("sets non-blocking", "changed whether it is blocking: it only looks",
             POLL, {"(self, sock, read, write, data):": "(self, sock, read, write, data):\n    sock.setblocking(False)"}),
        case("half-close is a hang-up", "This is no hang-up: the peer has finished sending and still reads (shutdown(2))",
             POLL, {"select.POLLOUT * write": "select.POLLOUT * write | select.POLLRDHUP", "POLLNVAL": "POLLRDHUP"}),
        case("ignores POLLHUP",
             "The peer of `one` sent a reset, `one` is watched for reading, and the kernel reports POLLHUP, which it does "
             "unasked (poll(2))",
             POLL, {"bool(bits & (select.POLLHUP | select.POLLERR | select.POLLNVAL))": "False"}),
        case("hup for an error alone",
             "The peer of `one`, a local socket, has closed, and no error waits, and the kernel reports POLLHUP",
             POLL, {"(select.POLLHUP | select.POLLERR | select.POLLNVAL)": "select.POLLERR"}),
        case("readable for who hung up", "nobody asked for readable; only hup comes unasked",
             POLL, {"bool(bits & select.POLLIN),": "bool(bits & (select.POLLIN | select.POLLHUP)),"}),
        case("writable for an error", "nobody asked for writable; only hup comes unasked",
             POLL, {"bool(bits & select.POLLOUT)": "bool(bits & (select.POLLOUT | select.POLLERR))"}),
        case("urgent bytes", "An urgent byte has come for `one`, which recv() does not give",
             POLL, {"select.POLLIN * read": "(select.POLLIN | select.POLLPRI) * read",
             "bool(bits & select.POLLIN),": "bool(bits & (select.POLLIN | select.POLLPRI)),"}),
        case("the first mask stays", "watch() was called again for this socket: from then on the new mask counts",
             POLL, {"self._poll.register(sock,": "if sock not in self._numbers: self._poll.register(sock,"}),
        case("whole milliseconds", "int() makes 0 of a part of a millisecond, and a loop that waits for a timer spins",
             POLL, {"seconds * 1000": "int(seconds * 1000)"}),
        case("looks again and again", "wait(None) wakes up again and again in line",
             POLL, {"ready = self._poll.poll(None if seconds is None else seconds * 1000)": "while not (ready := self._poll.poll(20 if seconds is None else seconds * 1000)) and seconds is None: pass"}),
        case("ignores POLLERR", "An error waits in `one`, and the kernel reports POLLERR",
             POLL, {"(select.POLLHUP | select.POLLERR | select.POLLNVAL)": "select.POLLHUP"}),
        case("passes over who hung up", "wait(0.2) told nothing of it: so nobody closes, and no wait sleeps any more.",
             POLL, {"found.append": "if readable or writable:\n    found.append"}),
        case("takes out who hung up",
             "the first wait(0.2) told of it, and the second did not. To take a socket out is for the caller",
             POLL, {"found.append((self._data[number], readable, writable, hup))": """
                 found.append((self._data[number], readable, writable, hup))
                 if hup:
                     self._poll.unregister(number)
             """}),
        case("raises for who hung up", "ConnectionResetError",
             POLL, {"hup = bool(bits & (select.POLLHUP | select.POLLERR | select.POLLNVAL))": """
                 hup = bool(bits & (select.POLLHUP | select.POLLERR | select.POLLNVAL))
                 if hup:
                     raise ConnectionResetError('gone')
             """}),
        case("asks the closed sock", "PollEngine raised KeyError: -1 in line",
             POLL, {"number = self._numbers.pop(sock)": "number = sock.fileno()"}),
        case("hands the closed sock on", "A closed socket's fileno() is -1: unwatch() works after close() too",
             POLL, {"self._poll.unregister(number)": "self._poll.unregister(sock)"}),
        case("stays in the poll object",
             "with nothing. The kernel still waits for `one`: unregister() takes a number out of the poll object.",
             POLL, {"self._poll.unregister(number)": "",
             "for number, bits in ready:": "for number, bits in ready:\n    if number not in self._data: continue"}),
        case("stays in the poll object, and in the dict", "`one` and `other` have bytes, `one` was unwatched: wait(60) returned",
             POLL, {"del self._data[number]\nself._poll.unregister(number)": ""}),
        case("unwatch does nothing", "`one` and `other` have bytes, `one` was unwatched: wait(60) returned",
             POLL, {"number = self._numbers.pop(sock)\ndel self._data[number]\nself._poll.unregister(number)": "pass"}),
        case("unwatch closes", "unwatch() closed the socket", POLL, {".unregister(number)": ".unregister(number)\nsock.close()"}),
        case("unwatch takes all out", "`one` and `other` have bytes, `one` was unwatched, and wait(60) did not return within 1 s",
             POLL, {"self._poll.unregister(number)": "self._poll = select.poll()"}),
        case("keeps the data", "the engine still holds the data of most of them",
             POLL, {"[sock] = sock.fileno()": "[sock] = sock.fileno()\nself.all = getattr(self, 'all', []) + [data]"}),
        case("keeps the sockets", "the engine still holds most of them: it grows with every client",
             POLL, {"number = self._numbers.pop(sock)": "number = self._numbers[sock]"}),
        case("one for all engines",
             "A poll or epoll object outside of the methods of PollEngine belongs to all engines: make it in __init__.",
             POLL, {"def __init__(self):\n    self._poll = select.poll()\n    self._numbers = {}\n    self._data = {}": "_poll, _numbers, _data = select.poll(), {}, {}"}),
        case("one dict for all engines", "Make the dicts in __init__: those in the body of the class belong to all engines.",
             POLL, {"def __init__(self):\n    self._poll = select.poll()\n    self._numbers = {}\n    self._data = {}": """
                 _numbers, _data = {}, {}

                 def __init__(self):
                     global THE
                     self._poll = THE = globals().get('THE') or select.poll()
             """}),
        case("select", "wait(None) sleeps in select()", SELECT, {"class SelectEngine:": "class PollEngine:"}),
        case("no unwatch", "PollEngine has no method unwatch().", POLL, {"def unwatch(self, sock):": "def forget(self, sock):"}),
        case("a parameter too few", "TypeError",
             POLL, {"def wait(self, seconds):\n    ready = self._poll.poll(None if seconds is None else seconds * 1000)": "def wait(self):\n    ready = self._poll.poll(0)"}),
        case("a thread", "started a thread that still runs",
             POLL, {"._numbers = {}": "._numbers = {}\nthreading.Thread(target=threading.Event().wait, daemon=True).start()"}),
    ],
    "5.2": [
        case("milliseconds", "wait(0.2) did not return within 1.2 s: select() counts seconds",
             SELECT, {"(readers, writers, [], seconds)": "(readers, writers, [], seconds and seconds * 1000)"}),
        case("never waits", "with nothing. Hand `seconds` on to select() as it is.", SELECT, {"[], seconds": "[], 0"}),
        case("0 is falsy", "wait(0) did not return within 1 s", SELECT, {"writers, [], seconds": "writers, [], seconds or None"}),
        case("no time limit", "wait(0) did not return within 1 s", SELECT, {"[], seconds": "[]"}),
        case("two tuples", "Each socket has ONE entry, also if it is readable and writable.",
             SELECT, {"for sock in set(readable) | set(writable):": "for sock in readable + writable:"}),
        case("a tuple for each list", "Each socket has ONE entry",
             SELECT, {"""
                 for sock in set(readable) | set(writable):
                     found.append((self._entries[sock][2], sock in readable, sock in writable, False))
             """: """
                 found += [(self._entries[sock][2], True, False, False) for sock in readable]
                 found += [(self._entries[sock][2], False, True, False) for sock in writable]
             """}),
        case("the readers only", "`third` is watched for writing and its send buffer has room: wait(60) returned [], not",
             SELECT, {"for sock in set(readable) | set(writable):": "for sock in readable:"}),
        case("lists that grow", "`one` was watched for writing, then for reading: wait(0) returned", """
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
        """),
        case("everybody is a reader",
             "`one` has bytes, room to send, and is watched for neither, and wait(0.2) came back after",
             SELECT, {"[sock for sock, (read, _, _) in self._entries.items() if read]": "list(self._entries)",
             "found.append((self._entries[sock][2], sock in readable, sock in writable, False))": """
                 read, write, data = self._entries[sock]
                 if read and sock in readable or write and sock in writable:
                     found.append((data, read and sock in readable, write and sock in writable, False))
             """}),
        case("everybody is a writer", "It was not asked for writable.",
             SELECT, {"[sock for sock, (_, write, _) in self._entries.items() if write]": "list(self._entries)"}),
        case("numbers as keys", "A closed socket's fileno() is -1: unwatch() works after close() too, so remember the number",
             SELECT, {"self._entries[sock] = read, write, data": "self._entries[sock.fileno()] = read, write, data",
             "del self._entries[sock]": "del self._entries[sock.fileno()]"}),
        case("unwatch does nothing", "`one` and `other` have bytes, `one` was unwatched: wait(60) returned",
             SELECT, {"del self._entries[sock]": "pass"}),
        case("unwatch skips closed ones", "A closed socket's fileno() is -1",
             SELECT, {"del self._entries[sock]": "if sock.fileno() != -1: del self._entries[sock]"}),
        case("passes over closed ones", "the engine still holds the data of most of them",
             SELECT, {"del self._entries[sock]": "if sock.fileno() != -1: del self._entries[sock]",
             "[sock for sock, (read, _, _) in self._entries.items() if read]": "[sock for sock, (read, _, _) in self._entries.items() if read and sock.fileno() != -1]"}),
        case("reads to see the end", "The peer of `other` has half-closed: wait(60) returned",
             SELECT, {"for sock in set(readable) | set(writable):": """
                 for sock in set(readable) | set(writable):
                     if sock in readable and sock.family == socket.AF_UNIX and not sock.recv(1, socket.MSG_PEEK): continue
             """}),
        case("the end is a hang-up", "hup is always False here: select() cannot tell, and who has finished sending still reads",
             SELECT, {"found.append((self._entries[sock][2], sock in readable, sock in writable, False))": """
                 gone = sock in readable and sock.family == socket.AF_UNIX and not sock.recv(1, socket.MSG_PEEK)
                 found.append((self._entries[sock][2], sock in readable, sock in writable, gone))
             """}),
        case("returns sockets", "the `data` that watch() was given", SELECT, {"self._entries[sock][2]": "sock"}),
        case("one for all engines", "those in the body of the class belong to all",
             SELECT, {"def __init__(self):\n    self._entries = {}": "_entries = {}"}),
        case("poll", "wait(None) sleeps in poll()", POLL, {"class PollEngine:": "class SelectEngine:"}),
        case("the lists of the first time", "wait(60) returned",
             SELECT, {"readers = [sock for sock, (read, _, _) in self._entries.items() if read]": """
                 if not hasattr(self, 'r'): self.r = [sock for sock, (read, _, _) in self._entries.items() if read]
                 readers = self.r or [sock for sock, (read, _, _) in self._entries.items() if read]
             """}),
        case("hup is the third list", "readable, writable and hup are True or False",
             SELECT, {"readable, writable, _ = select.select(readers, writers, [], seconds)": "readable, writable, hups = select.select(readers, writers, self._entries, seconds)",
             "False": "hups"}),
    ],
    "5.3": [
        case("returns", "On PollEngine: server returned; it should serve without end",
             "def server(engine, listener): engine.watch(listener, True, False, None)"),
        case("ignores the engine", "it has never called engine.wait(): so it does not run on the engine that it was given",
             "def server(engine, listener): select_server(listener)"),
        case("ignores the engine and spins", "Nobody talks, yet your server runs all the time",
             "def server(engine, listener): busy_server(listener)"),
        case("does not watch the listener",
             "The client waits in the accept queue: is the listener among those you wait for, in every round?",
             SERVER, {"engine.watch(listener, True, False, None)": ""}),
        case("unwatches the listener", "The client waits in the accept queue",
             SERVER, {"continue": "engine.unwatch(listener)\ncontinue"}),
        case("forgets to watch the client", "On PollEngine: A client sent a line and got no answer within 1 s",
             SERVER, {"engine.watch(sock, True, False, Conn(sock))": "Conn(sock)"}),
        case("keeps the first interest", "The client's bytes were read, and the answer was not sent",
             SERVER, {"engine.watch(conn.sock, conn.want_read, conn.want_write, conn)": "pass"}),
        case("always writable", "is writable nearly always, so ask for writable only while there is something to send",
             SERVER, {"conn.want_write,": "True,"}),
        case("never waits", "Nobody talks, yet your server runs all the time", SERVER, {"(None)": "(0)"}),
        case("one client at a time",
             "On PollEngine: The first client is silent, and a second one got no answer within 1 s: your server sleeps",
             SERVER, {"if sock := try_accept(listener):\n    engine.watch(sock, True, False, Conn(sock))": """
                 if not (sock := try_accept(listener)): continue
                 sock.setblocking(True)
                 while data := sock.recv(4096):
                     sock.sendall(data.upper())
                 sock.close()
             """}),
        case("sendall on a blocking socket",
             "One client does not read its long answer, and meanwhile another one got no answer within 1 s",
             SERVER, {"conn.on_writable()": """
                 conn.sock.setblocking(True)
                 try:
                     conn.sock.sendall(conn.outbuf)
                 except OSError:
                     conn.finished = True
                 conn.sock.setblocking(False)
                 conn.outbuf.clear()
             """}),
        case("takes the listener for a client", "The data of the listener is None: what waits there is a new client.",
             SERVER, {"continue": ""}),
        case("no client is a client", "When nobody is there after all (ready is a hint), try_accept returns None.",
             SERVER, {"if sock := try_accept(listener):\n    engine.watch(sock, True, False, Conn(sock))": "sock = try_accept(listener)\nengine.watch(sock, True, False, Conn(sock))"}),
        case("one Conn for all", "no answer within 1 s",
             SERVER, {"engine.watch(listener, True, False, None)": "engine.watch(listener, True, False, None)\nshared = {}",
             "engine.watch(sock, True, False, Conn(sock))": "engine.watch(sock, True, False, shared.setdefault(0, Conn(sock)))"}),
        case("never unwatches", "was closed and is still watched: engine.unwatch(conn.sock), then conn.sock.close()",
             SERVER, {"engine.unwatch(conn.sock)": ""}),
        case("never unwatches, on select alone", "was closed and is still watched: engine.unwatch(conn.sock), then conn.sock.close()",
             SERVER, {"engine.unwatch(conn.sock)": "if hasattr(engine, '_poll'): engine.unwatch(conn.sock)"}),
        case("unwatches in the next round", "was closed and is still watched: engine.unwatch(conn.sock), then conn.sock.close()",
             SERVER, {"while True:": "gone = []\nwhile True:", "engine.unwatch(conn.sock)": "gone.append(conn.sock)",
             "continue": "while gone: engine.unwatch(gone.pop())\ncontinue"}),
        case("never closes", "When a Conn is over: engine.unwatch(conn.sock), then conn.sock.close(), in the same round.",
             SERVER, {"conn.sock.close()": ""}),
        case("closes after an answer", "Do you close after the first answer? Close when recv() gives b''.",
             SERVER, {"if conn.over:": "if conn.over or writable and not conn.outbuf:"}),
        case("a blocking listener", "accept() waits for ONE socket (accept(2))",
             SERVER, {"listener.setblocking(False)": "listener.setblocking(True)"}),
        case("reads on after the end", "a client that sends and never reads fills the memory. engine.watch(conn.sock,",
             SERVER, {"if conn.want_read and (readable or hup):": "if readable or hup:", ", conn.want_read,": ", True,"}),
        case("reads on while answers wait", "a client that sends and never reads fills the memory. engine.watch(conn.sock,",
             SERVER, {"if conn.want_read and (readable or hup):": "if readable or hup:", "conn.want_read": "not conn.finished"}),
        case("closes the listener", "listener", SERVER, {"continue": "listener.close()\ncontinue"}),
        case("works with one engine", "On SelectEngine: ", SERVER, {"if conn.over": "if conn.over and hasattr(engine, '_poll')"}),
        case("closes twice", "This connection was forgotten before",
             SERVER, {"conn.sock.close()": "conn.sock.close()\nengine.unwatch(conn.sock)"}),
        case("keeps all it had", "of them in a list, a dict or a set",
             SERVER, {"engine.watch(listener, True, False, None)": "engine.watch(listener, True, False, None)\never = []",
             "continue": "ever.append(sock)\ncontinue"}),
    ],
}
