"""Typical wrong solutions of 9.4, each with words of the message that names its cause."""

from exercises.case import case, right

IMPORTS = """
import heapq, itertools, socket, threading, time, weakref
from contextlib import suppress
from time import monotonic
from course_lib.solutions.coroutines import http, recv, send_all
"""

ONE_EACH = """
class RequestTimeout:
    def __init__(self, loop, seconds):
        self.loop, self.seconds = loop, seconds

    def serve(self, conn, page):
        state = [0]

        def asked(path):
            state[0] += 1
            return (yield from page(path))

        def watch(number):
            yield "sleep", self.seconds
            if state[0] == number:
                with suppress(OSError):
                    conn.shutdown(socket.SHUT_RDWR)

        self.loop.spawn(watch(0))
        watched = 0
        for wait in http(conn, asked):
            if wait == ("read", conn) and watched != state[0]:
                watched = state[0]
                self.loop.spawn(watch(watched))
            yield wait
"""

CASES = {
    "9.4": [
        case("a limit for each read", "The limit is one for the whole request",
             right("9.4"), {'if wait == ("read", conn) and conn not in self._until:': 'if wait == ("read", conn):'}),
        case("never called off", "A request that is whole ends its limit",
             right("9.4"), {"self._until.pop(conn, None)\nreturn (yield from page(path))": "return (yield from page(path))"}),
        case("a sleeper for each limit", "one for each that sleeps outlives its client, since nobody can wake it", ONE_EACH),
        case("from the first byte", "not from the first byte",
             right("9.4"), {"try:\n    self._begin(conn)": "try:\n    first = next(task)\n    yield first"}),
        case("closes the connection", "it waits for a socket that is closed", right("9.4"), {"conn.shutdown(socket.SHUT_RDWR)": "conn.close()"}),
        case("closes the task of http", "its task is left behind",
             right("9.4"), {"self._until[conn] = time.monotonic() + self.seconds": "self._until[conn] = time.monotonic() + self.seconds\nself.tasks = getattr(self, 'tasks', {})",
             "self._begin(conn)\nfor wait in task:": "self._begin(conn)\nself.tasks[conn] = task\nfor wait in task:",
             "conn.shutdown(socket.SHUT_RDWR)": "self.tasks.pop(conn).close()"}),
        case("time.sleep", "time.sleep() stops the whole Loop", right("9.4"), {'yield "sleep", left': "time.sleep(left)\nyield"}),
        case("asks again and again", "a task is resumed again and again", right("9.4"), {'yield "sleep", left': "yield"}),
        case("the clock of the day", "Take time.monotonic(): the clock of the day is put forward and back",
             right("9.4"), {"= time.monotonic()": "= time.time()", "moment - time.monotonic()": "moment - time.time()"}),
        case("while the page takes its time", "When the request is whole, its limit is called off",
             right("9.4"), {"self._until.pop(conn, None)\nreturn (yield from page(path))": "body = yield from page(path)\nself._until.pop(conn, None)\nreturn body"}),
        case("while the answer is read", "the next one begins when the answer is out",
             right("9.4"), {"return (yield from page(path))": "body = yield from page(path)\nself._begin(conn)\nreturn body"}),
        case("the first request only", "Each request has a limit, not the first one only",
             right("9.4"), {'if wait == ("read", conn) and conn not in self._until:\n    self._begin(conn)': ""}),
        case("half of the time", "Is it the whole limit that you count?", right("9.4"), {"+ self.seconds": "+ self.seconds / 2"}),
        case("its number is kept", "A number is given to the next client",
             right("9.4"), {"self._until[conn] = time.monotonic() + self.seconds": "self._until.setdefault(conn.fileno(), [conn, time.monotonic() + self.seconds])[0] = conn",
             "self._until.pop(conn, None)\nreturn (yield from page(path))": "self._until.pop(conn.fileno(), None)\nreturn (yield from page(path))",
             "conn not in self._until": "conn.fileno() not in self._until",
             "finally:\n    self._until.pop(conn, None)\n    task.close()": "finally:\n    task.close()",
             "conn, moment = next(iter(self._until.items()))": "number, (conn, moment) = next(iter(self._until.items()))",
             "del self._until[conn]": "del self._until[number]"}),
        case("is not called off when its client has gone", "Is it the connection of a client who has gone?",
             right("9.4"), {"finally:\n    self._until.pop(conn, None)\n    task.close()": "finally:\n    task.close()",
             "with suppress(OSError):\n    conn.shutdown(socket.SHUT_RDWR)": "conn.shutdown(socket.SHUT_RDWR)"}),
        case("keeps who has gone", "of their closed connections: when serve ends, forget its connection",
             right("9.4"), {"finally:\n    self._until.pop(conn, None)\n    task.close()": "finally:\n    task.close()"}),
        case("a reset in the same moment", "The client has sent a reset in the moment when its time was up",
             right("9.4"), {"with suppress(OSError):\n    conn.shutdown(socket.SHUT_RDWR)": "conn.shutdown(socket.SHUT_RDWR)"}),
        case("looks without end", "where no limit runs, nobody need look",
             right("9.4"), {"while self._until:": 'while True:\n    if not self._until:\n        yield "sleep", self.seconds / 20\n        continue'}),
        case("looks too seldom", "its connection is still there", right("9.4"), {'"sleep", left': '"sleep", self.seconds'}),
        case("looks once", "No task sleeps until then: is the one that looks after the limits begun", right("9.4"), {"def _watch(self):\n    while self._until:": "def _watch(self):\n    if True:"}),
        case("nobody looks", "No task sleeps until then", right("9.4"), {"self.loop.spawn(self._watch())": "pass"}),
        case("spawns the function", "takes a task: watch(), and not watch", right("9.4"), {"self._watch())": "self._watch)"}),
        case("one dict for all", "What belongs to one RequestTimeout is made in __init__",
             right("9.4"), {"self._until = {}": "", "class RequestTimeout:": "class RequestTimeout:\n    _until = {}"}),
        case("goes over all of them", "Clients come and go while you go over them",
             right("9.4"), {"conn, moment = next(iter(self._until.items()))": "for conn, moment in self._until.items():",
             "if (left := moment - time.monotonic()) > 0:": "    if (left := moment - time.monotonic()) > 0:",
             'yield "sleep", left': '    yield "sleep", left', "else:\n    del self._until[conn]\n    with suppress(OSError):\n        conn.shutdown(socket.SHUT_RDWR)":
             "    else:\n        del self._until[conn]\n        with suppress(OSError):\n            conn.shutdown(socket.SHUT_RDWR)"}),
        case("half closes", "it got the end, but its connection is still open here", right("9.4"), {"SHUT_RDWR": "SHUT_WR"}),
        case("a thread", "You have started a thread",
             ONE_EACH, {"state = [0]\n...\n    yield wait": """
                 timer = threading.Timer(self.seconds, conn.shutdown, [socket.SHUT_RDWR])
                 timer.daemon = True
                 timer.start()
                 return http(conn, page)
             """}),
        case("settimeout", "it sleeps in line",
             ONE_EACH, {"state = [0]\n...\n    yield wait": """
                 conn.settimeout(self.seconds)
                 while data := conn.recv(4096):
                     yield
                 conn.close()
             """}),
        case("no task", "serve(conn, page) gave None",
             ONE_EACH, {"state = [0]\n...\n    yield wait": "self.loop.spawn(http(conn, page))"}),
    ],
}

RIGHT = {
    "9.4": [
        case("a heap", "", """
            class RequestTimeout:
                def __init__(self, loop, seconds):
                    self.loop, self.seconds, self.heap, self.count, self.running = loop, seconds, [], itertools.count(), {}

                def begin(self, conn):
                    if not self.heap:
                        self.loop.spawn(self.watch())
                    self.running[conn] = entry = next(self.count)
                    heapq.heappush(self.heap, (monotonic() + self.seconds, entry, weakref.ref(conn)))

                def watch(self):
                    while self.heap:
                        yield "sleep", max(0, self.heap[0][0] - monotonic())
                        if self.heap[0][0] <= monotonic():
                            moment, entry, ref = heapq.heappop(self.heap)
                            if (conn := ref()) and self.running.get(conn) == entry:
                                try:
                                    conn.shutdown(socket.SHUT_RD)
                                except OSError:
                                    pass
                            del conn

                def serve(self, conn, page):
                    def noted(path):
                        self.running.pop(conn)
                        return (yield from page(path))

                    try:
                        for wait in http(conn, noted):
                            if wait == ("read", conn) and conn not in self.running:
                                self.begin(conn)
                            yield wait
                    finally:
                        self.running.pop(conn, None)
        """),
        case("one each, which looks ten times in its time", "", """
            class RequestTimeout:
                def __init__(self, loop, seconds):
                    self.loop, self.seconds = loop, seconds

                def serve(self, conn, page):
                    since = [monotonic()]

                    def noted(path):
                        since[0] = None
                        return (yield from page(path))

                    def watch():
                        while conn.fileno() != -1:
                            if since[0] and monotonic() >= since[0] + self.seconds:
                                with suppress(OSError):
                                    conn.shutdown(socket.SHUT_RDWR)
                                return
                            yield "sleep", self.seconds / 10

                    self.loop.spawn(watch())
                    for wait in http(conn, noted):
                        if wait == ("read", conn):
                            since[0] = since[0] or monotonic()
                        yield wait
        """),
        case("says why", "",
             right("9.4"), {"conn.shutdown(socket.SHUT_RDWR)": 'conn.send(b"HTTP/1.1 408 Request Timeout\\r\\nContent-Length: 0\\r\\nConnection: close\\r\\n\\r\\n")\nconn.shutdown(socket.SHUT_RDWR)'}),
    ],
}
