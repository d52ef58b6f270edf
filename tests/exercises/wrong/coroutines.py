"""Typical wrong solutions of 7.x, each with words of the message that names its cause."""

from exercises.case import case, changed, right

IMPORTS = """
import heapq, itertools, select, selectors, socket, threading, time, traceback
from collections import deque
from course_lib.solutions.coroutines import Wait, accept, recv, send_all, sleep
from course_lib.solutions.epolling import EpollEngine
from course_lib.solutions.nonblocking import try_accept, try_recv
from course_lib.solutions.polling import PollEngine
"""

RUN = right("7.1")

WAITS = changed(right("7.2"), {
    "left = memoryview(data)": "",
    "while left:\n    try:\n        left = left[sock.send(left) :]": "while data:\n    try:\n        data = data[sock.send(data):]",
})  # fmt: skip

LOOP = changed(right("7.3"), {"try:\n    match task.send(None):\n...\nexcept StopIteration:": """
    try:
        event = task.send(None)
        if event is None:
            self.ready.append(task)
        elif event[0] == "sleep":
            heapq.heappush(self.sleepers, (time.monotonic() + event[1], next(self._count), task))
        else:
            self._wait_for(event[1], task, {"read": self.readers, "write": self.writers}[event[0]])
    except StopIteration:
"""})  # fmt: skip

# An engine that never calls modify().
REGISTERS = """
class Registers:
    def __init__(self):
        self.selector = selectors.DefaultSelector()

    def watch(self, sock, readable, writable, number):
        self.selector.register(sock, readable | 2 * writable, number)

    def unwatch(self, sock):
        self.selector.unregister(sock)

    def wait(self, seconds):
        return [(key.data, events & 1, events & 2, 0) for key, events in self.selector.select(seconds)]
"""

HTTP = r"""
def http(conn, page):
    unread = b""
    try:
        while True:
            while b"\r\n\r\n" not in unread:
                data = yield from recv(conn, 4096)
                if not data or len(unread) > 65536:
                    return
                unread += data
            head, _, unread = unread.partition(b"\r\n\r\n")
            head = head.decode("latin-1")
            method, path, version = head.split("\r\n")[0].split()
            body = yield from page(path)
            status = "200 OK"
            if body is None:
                status, body = "404 Not Found", b"no such page"
            answer = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
            yield from send_all(conn, answer)
            options = head.lower().partition("\r\nconnection:")[2].split("\r\n")[0]
            if "close" in options or version == "HTTP/1.0":
                return
            yield
    finally:
        conn.close()
"""

ASYNC = changed(right("7.5"), {
    "left = memoryview(data)": "",
    "while left:\n    try:\n        left = left[self.sock.send(left) :]": "while data:\n    try:\n        data = data[self.sock.send(data):]",
})  # fmt: skip

RIGHT = {
    "7.1": [
        case("a dict, copied in each round", "", """
            def run(tasks):
                results = dict.fromkeys(tasks)
                left = dict(tasks)
                while left:
                    for name, task in list(left.items()):
                        try:
                            task.send(None)
                        except Exception as end:
                            results[name] = end.value if isinstance(end, StopIteration) else end
                            del left[name]
                return results
        """),
        case("results in a dict that it was given", "", RUN, {"results = {}": "results = {name: None for name in tasks}"}),
    ],
    "7.2": [
        case("send_all yields first too", "",
             WAITS, {'while data:\n...\n        yield "write", sock': """
                 while data:
                     yield "write", sock
                     try:
                         data = data[sock.send(data):]
                     except BlockingIOError:
                         pass
             """, 'if (data := try_recv(sock, n)) is not None:\n    return data': """
                 try:
                     return sock.recv(n)
                 except BlockingIOError:
                     pass
                 except ConnectionError:
                     return b""
             """}),
        case("with a helper", "",
             WAITS, {"def recv(sock, n):": "def wait(event, sock):\n    yield event, sock\n\ndef recv(sock, n):",
             'yield "read", sock': 'yield from wait("read", sock)', 'yield "write", sock': 'yield from wait("write", sock)'}),
    ],
    "7.3": [
        case("wakes both", "", LOOP, {"readable or hup, writable or hup": "True, True"}),
        case("a heap of dataclasses", "",
             "import dataclasses\n\n@dataclasses.dataclass(order=True)\nclass Sleeper:\n    when: float\n    turn: int\n"
             "    task: object = dataclasses.field(compare=False)\n\n" + LOOP.strip(),
             {"(time.monotonic() + event[1], next(self._count), task)": "Sleeper(time.monotonic() + event[1], next(self._count), task)",
              "max(0, self.sleepers[0][0] - time": "max(0, self.sleepers[0].when - time",
              "self.sleepers and self.sleepers[0][0] <=": "self.sleepers and self.sleepers[0].when <=",
              "heapq.heappop(self.sleepers)[2]": "heapq.heappop(self.sleepers).task"}),
        case("keeps each task in a list", "", """
            class Loop:
                def __init__(self):
                    self.now, self.count, self.timers = [], 0, []
                    self.at, self.socks, self.engine = {}, {}, EpollEngine()

                def spawn(self, task, name=None):
                    self.now.append(task)

                def run(self):
                    while self.now or self.at or self.timers:
                        batch, self.now = self.now, []
                        for task in batch:
                            try:
                                self.enter(task, task.send(None))
                            except StopIteration:
                                pass
                            except Exception:
                                print(traceback.format_exc())
                        first = min(self.timers)[0] - time.time() if self.timers else None
                        if not (self.now or self.at or self.timers):
                            break
                        for sock, r, w, hup in self.engine.wait(0 if self.now else None if first is None else max(first, 0)):
                            waiting = self.at.pop(sock)
                            for event, task in waiting.items():
                                if hup or (event == "read" and r) or (event == "write" and w):
                                    self.now.append(task)
                            left = {event: task for event, task in waiting.items() if task not in self.now}
                            if left:
                                self.at[sock] = left
                                self.engine.watch(sock, "read" in left, "write" in left, sock)
                            else:
                                self.engine.unwatch(sock)
                                self.socks = {n: s for n, s in self.socks.items() if s is not sock} if sock.fileno() == -1 else self.socks
                                self.socks.pop(sock.fileno(), None)
                        for timer in sorted(self.timers):
                            if timer[0] <= time.time():
                                self.timers.remove(timer)
                                self.now.append(timer[2])

                def enter(self, task, event):
                    if event is None:
                        self.now.append(task)
                        return
                    kind, about = event
                    if kind == "sleep":
                        self.count += 1
                        self.timers.append((time.time() + about, self.count, task))
                        return
                    assert kind in ("read", "write"), kind
                    old = self.socks.get(about.fileno(), about)
                    if old is not about:
                        self.now += self.at.pop(old).values()
                        self.engine.unwatch(old)
                    waiting = self.at.get(about, {}) | {kind: task}
                    self.engine.watch(about, "read" in waiting, "write" in waiting, about)
                    self.at[about] = waiting
                    self.socks[about.fileno()] = about
        """),
        case("throws into the task", "",
             LOOP, {'self._wait_for(event[1], task, {"read": self.readers, "write": self.writers}[event[0]])': """
                 try:
                     self._wait_for(event[1], task, {"read": self.readers, "write": self.writers}[event[0]])
                 except Exception as error:
                     task.throw(error)
             """}),
    ],
    "7.4": [
        case("head and body one after the other", "",
             HTTP, {".encode() + body": ".encode()", "send_all(conn, answer)": "send_all(conn, answer)\nyield from send_all(conn, body)",
             "finally:\n    conn.close()": "except Exception:\n    pass\nfinally:\n    conn.close()"}),
        case("a bytearray, one byte at a time", "",
             HTTP, {'unread = b""': "unread = bytearray()", "recv(conn, 4096)": "recv(conn, 1)",
             r'head, _, unread = unread.partition(b"\r\n\r\n")': "head, unread = bytes(unread[:-4]), bytearray()"}),
    ],
}

CASES = {
    "7.1": [
        case("by the alphabet", "the steps were first, second, first, second: keep to the order of the dict",
             RUN, {"deque(tasks.items())": "deque(sorted(tasks.items()))"}),
        case("keeps KeyboardInterrupt", "KeyboardInterrupt came while a task ran, and run returned {'B': KeyboardInterrupt(), 'A': None}: run kept it",
             RUN, {"except Exception as error:": "except BaseException as error:"}),
        case("two steps in a turn", "A made two steps in its turn, and one next() makes one",
             RUN, {"next(task)": "next(task)\nnext(task)"}),
        case("what is false is nothing", "What is false is a result too: end.value as it is, without `or`",
             RUN, {"end.value": "end.value or None"}),
        case("the first task runs to its end", "A ran to its end before B began", """
            def run(tasks):
                results = {}
                for name, task in tasks.items():
                    try:
                        while True:
                            next(task)
                    except StopIteration as end:
                        results[name] = end.value
                return results
        """),
        case("list(task)", "A ran to its end before B began", """
            def run(tasks):
                return {name: list(task) for name, task in tasks.items()}
        """),
        case("catches StopIteration only", "Task B raised ValueError, and it took everybody with it",
             RUN, {"except Exception as error:\n    results[name] = error": ""}),
        case("one round only", "go round again and again",
             RUN, {"next(task)": "results[name] = next(task)", "else:\n    ready.append((name, task))": ""}),
        case("stops when one has ended", "A and C and D and E had not ended", """
            def run(tasks):
                results = {}
                while True:
                    for name, task in tasks.items():
                        try:
                            next(task)
                        except StopIteration as end:
                            results[name] = end.value
                            return results
        """),
        case("removes from the list while it goes over it",
             "to take it out of a list while a loop goes over it skips the next one", """
            def run(tasks):
                results, left = {}, list(tasks.items())
                while left:
                    for pair in left:
                        try:
                            next(pair[1])
                        except StopIteration as end:
                            results[pair[0]] = end.value
                            left.remove(pair)
                return results
        """),
        case("deletes from the dict while it goes over it",
             "loop over a copy, list(...), or keep the tasks in a deque", """
            def run(tasks):
                results = {}
                while tasks:
                    for name, task in tasks.items():
                        try:
                            next(task)
                        except StopIteration as end:
                            results[name] = end.value
                            del tasks[name]
                return results
        """),
        case("a stack", "in turn would be A0, B0, C0", RUN, {"name, task = ready.popleft()": "name, task = ready.pop()"}),
        case("the last yielded value", "which it yielded. What it returned is in the StopIteration",
             RUN, {"next(task)": "last = next(task)", "results[name] = end.value": "results[name] = last"}),
        case("the StopIteration itself", "take its `value`", RUN, {"results[name] = end.value": "results[name] = end"}),
        case("no values", "It is in the StopIteration", RUN, {"results[name] = end.value": "results[name] = None"}),
        case("only true values", "the dict has no 'zero'",
             RUN, {"results[name] = end.value": "if end.value:\n    results[name] = end.value"}),
        case("the text of the exception", "for 'B' run returned a text: the exception itself is asked for", RUN, {"results[name] = error": "results[name] = str(error)"}),
        case("the class of the exception", "for 'B' run returned the class of the exception",
             RUN, {"results[name] = error": "results[name] = type(error)"}),
        case("swallows the exception", "the dict has no 'B'", RUN, {"results[name] = error": "pass"}),
        case("stops at an exception", "the other tasks were not run to their end",
             RUN, {"results[name] = error": "results[name] = error\nreturn results"}),
        case("catches ValueError only", "Task B raised KeyError, and it took everybody", RUN, {"Exception as": "ValueError as"}),
        case("an error is taken for the end", "take its `value`",
             RUN, {"except StopIteration as end:\n    results[name] = end.value": ""}),
        case("next with a default", "It is in the StopIteration", """
            def run(tasks):
                results, left = {}, dict(tasks)
                while left:
                    for name, task in list(left.items()):
                        if next(task, None) is None:
                            results[name] = None
                            del left[name]
                return results
        """),
        case("a bare yield is taken for the end", "the dict has no",
             RUN, {"results = {}\nready = deque(tasks.items())": "results, ready = {}, deque(tasks.items())",
             "next(task)": "if next(task) is not None:\n    ready.append((name, task))",
             "else:\n    ready.append((name, task))": ""}),
        case("a thread for each", "A ran to its end before B began", """
            def run(tasks):
                results = {}
                def work(name, task):
                    try:
                        while True:
                            next(task)
                    except StopIteration as end:
                        results[name] = end.value
                threads = [threading.Thread(target=work, args=pair) for pair in tasks.items()]
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join()
                return results
        """),
        case("a thread for each step", "more than one thread",
             RUN, {"next(task)": """
                 error = [None]
                 def step():
                     try:
                         next(task)
                     except BaseException as e:
                         error[0] = e
                 thread = threading.Thread(target=step)
                 thread.start()
                 thread.join()
                 if error[0]:
                     raise error[0]
             """}),
        case("recursion", "go round in a loop", """
            def run(tasks, results=None):
                results = {} if results is None else results
                left = {}
                for name, task in tasks.items():
                    try:
                        next(task)
                        left[name] = task
                    except StopIteration as end:
                        results[name] = end.value
                    except Exception as error:
                        results[name] = error
                return run(left, results) if left else results
        """),
        case("a pause in each round", "did not return within 2 s", RUN, {"while ready:": "while ready:\n    time.sleep(0.001)"}),
        case("never ends", "did not return within 1 s",
             RUN, {"while ready:": "while True:\n    if not ready:\n        continue"}),
        case("no return", "run returned None", RUN, {"return results": ""}),
        case("a list of pairs", "return a dict", RUN, {"return results": "return list(results.items())"}),
        case("goes over the names", "is not an iterator",
             RUN, {"ready = deque(tasks.items())": "ready = deque(tasks)",
             "name, task = ready.popleft()": "task = ready.popleft()",
             "results[name] = end.value": "results[task] = end.value", "results[name] = error": "results[task] = error",
             "ready.append((name, task))": "ready.append(task)"}),
        case("sends something", "Something was sent into a task",
             RUN, {"results = {}": "results, seen = {}, set()",
             "next(task)": "task.send(None if name not in seen else 1)\nseen.add(name)"}),
        case("calls the tasks", "not callable", RUN, {"next(task)": "task()"}),
    ],
    "7.2": [
        case("recv keeps GeneratorExit", "waits, its task is closed, and it goes on: GeneratorExit has to come through",
             WAITS, {'yield "read", sock': 'try:\n    yield "read", sock\nexcept BaseException:\n    pass'}),
        case("send_all keeps GeneratorExit", "send_all(sock, data) waits, its task is closed, and it goes on",
             WAITS, {'yield "write", sock': 'try:\n    yield "write", sock\nexcept:\n    pass'}),
        case("recv tries first", "b'there' had come before the call, and recv(sock, 100) returned at once. Yield first, then try",
             WAITS, {"while True:\n...\n        return data": 'while (data := try_recv(sock, n)) is None:\n    yield "read", sock\nreturn data'}),
        case("accept tries first", "A client was waiting before the call, and accept(listener) returned at once. Yield first, then try",
             WAITS, {'while True:\n    yield "read", listener\n...\n        return conn': 'while (conn := try_accept(listener)) is None:\n    yield "read", listener\nreturn conn'}),
        case("recv waits for all n bytes", "recv(sock, 100) took it, and waits for more. Return what has come; n is the most.",
             WAITS, {"return data": """
                 while data and len(data) < n:
                     yield "read", sock
                     data += try_recv(sock, n - len(data)) or b""
                 return data
             """}),
        case("plain call of a helper", "recv(sock, 100) returned a value of type generator",
             WAITS, {"def recv(sock, n):": "def read(sock, n):",
             "def send_all(sock, data):": """
                 def recv(sock, n):
                     data = read(sock, n)
                     return data
                     yield

                 def send_all(sock, data):
             """}),
        case("yields a helper", "go through it with `yield from`",
             WAITS, {'"read", sock': "waits(sock)", "def send_all": 'def waits(sock):\n    yield "read", sock\n\ndef send_all'}),
        case("yield from a tuple", "recv(sock, 100) yielded 'read', not", WAITS, {'"read", sock': 'from ("read", sock)'}),
        case("time.sleep", "the loop stands still", WAITS, {"sleep(seconds):": "sleep(seconds):\n    time.sleep(seconds)"}),
        case("time.sleep after the yield", "the loop stands still",
             WAITS, {'yield "sleep", seconds': 'yield "sleep", seconds\ntime.sleep(seconds)'}),
        case("sleeps without a yield", "0 is a turn for the others", WAITS, {'yield "sleep"': 'if seconds:\n    yield "sleep"'}),
        case("sleeps until a moment", 'not ("sleep", 30)', WAITS, {'"sleep", seconds': '"sleep", time.monotonic() + seconds'}),
        case("sleeps again and again", "yielded a second time",
             WAITS, {'yield "sleep",': 'end = time.monotonic() + seconds\nwhile time.monotonic() < end:\n    yield "sleep",'}),
        case("does not try again", "ready is a hint",
             WAITS, {"if (data := try_recv(sock, n)) is not None:\n    return data": "return try_recv(sock, n)"}),
        case("b'' is taken for nothing", "`if not data` takes it for None",
             WAITS, {"if (data := try_recv(sock, n)) is not None:": "if data := try_recv(sock, n):"}),
        case("recv by hand, no except", "BlockingIOError in line",
             WAITS, {"if (data := try_recv(sock, n)) is not None:\n    return data": "return sock.recv(n)"}),
        case("a reset comes through", "recv gives b'' for it",
             WAITS, {"if (data := try_recv(sock, n)) is not None:\n    return data": "try:\n    return sock.recv(n)\nexcept BlockingIOError:\n    pass"}),
        case("recv waits by itself", "neither yielded nor returned within 1 s: it sleeps",
             WAITS, {'yield "read", sock': 'yield "read", sock\nselect.select([sock], [], [])'}),
        case("recv spins", "it runs all the time", WAITS,
             {"if (data := try_recv(sock, n)) is not None:": "while (data := try_recv(sock, n)) is None: pass\nif True:"}),
        case("yields the number", "with the socket itself", WAITS, {'yield "read", sock': 'yield "read", sock.fileno()'}),
        case("yields nothing", 'yielded None, not ("read", sock)', WAITS, {'yield "read", sock': "yield"}),
        case("yields a list", 'not ("read", sock)', WAITS, {'yield "read", sock': 'yield ["read", sock]'}),
        case("waits for the wrong thing", 'not ("write", sock)', WAITS, {'yield "write", sock': 'yield "read", sock'}),
        case("yields the data", "yielded b'hello', not", WAITS, {"return data": "yield data"}),
        case("forgets the return", "`return data`", WAITS, {"return data": "break"}),
        case("raises StopIteration", "PEP 479", WAITS, {"return data": "raise StopIteration(data)"}),
        case("n is forgotten", "hand n on", WAITS, {"try_recv(sock, n)": "try_recv(sock, 4096)"}),
        case("makes it blocking", "nothing had come: ready is a hint: recv(sock, 100) returned b''",
             WAITS, {"def recv(sock, n):": "def recv(sock, n):\n    sock.settimeout(0.01)"}),
        case("send once", "send() takes what fits",
             WAITS, {'while data:\n...\n        yield "write", sock': 'try:\n    sock.send(data)\nexcept BlockingIOError:\n    yield "write", sock'}),
        case("sendall", "nobody knows how much went out",
             WAITS, {'while data:\n...\n        yield "write", sock': 'yield "write", sock\nsock.sendall(data)'}),
        case("sendall again", "some of them twice", WAITS, {"data = data[sock.send(data):]": "sock.sendall(data)\nreturn"}),
        case("sends all again", "Go on with the rest",
             WAITS, {"while data:": "sent = 0\nwhile sent < len(data):",
             "data = data[sock.send(data):]": "sent += sock.send(data)"}),
        case("send without except", "ready is a hint",
             WAITS, {'try:\n...\n    yield "write", sock': 'yield "write", sock\ndata = data[sock.send(data):]'}),
        case("send hides errors", "let ConnectionError through", WAITS, {"except BlockingIOError:": "except OSError:"}),
        case("send takes a reset for the end", "as if all had been sent",
             WAITS, {'except BlockingIOError:\n    yield "write", sock': 'except BlockingIOError:\n    yield "write", sock\nexcept ConnectionError:\n    return'}),
        case("send gives up", "send() takes what fits", WAITS, {'yield "write", sock': 'yield "write", sock\nreturn'}),
        case("accept by hand", "The accepted connection is blocking",
             WAITS, {"if conn := try_accept(listener):\n    return conn": "try:\n    return listener.accept()[0]\nexcept BlockingIOError:\n    pass"}),
        case("accept returns the pair", "return the connection alone", WAITS, {"return conn": "return conn, conn.getpeername()"}),
        case("accept does not try again", "it may have gone",
             WAITS, {"if conn := try_accept(listener):\n    return conn": "return try_accept(listener)"}),
        case("accept closes the listener", "accept", WAITS, {"return conn": "listener.close()\nreturn conn"}),
        case("the wrong names", 'not ("read", listener)', WAITS, {'yield "read", listener': 'yield "accept", listener'}),
    ],
    "7.3": [
        case("one queue for all loops", "another Loop ran it: make the queue and the dicts in __init__",
             LOOP, {"self.ready = deque()": "", "self.names = {}": "", "class Loop:": "class Loop:\n    ready, names = deque(), {}"}),
        case("keeps KeyboardInterrupt", "this is no mistake of a task, and nobody could end the program",
             LOOP, {"except Exception as error:": "except BaseException as error:"}),
        case("goes over all who wait", "each round goes over all who wait",
             LOOP, {"number = sock.fileno()": """
                 number = sock.fileno()
                 for old in list(self._socks):
                     if self._socks[old].fileno() == -1:
                         self._wake(old, True, True)
             """}),
        case("catches StopIteration only", "A task raised ValueError, and it took everybody with it",
             LOOP, {"except Exception as error:\n...\n    traceback.print_exception(error)": ""}),
        case("tells nobody", "nobody is told of the mistake", LOOP, {"traceback.print_exception(error)": "pass"}),
        case("prints that something happened", "what was printed does not tell it",
             LOOP, {"traceback.print_exception(error)": "print('an error')"}),
        case("next()", "a coroutine of async def has only send()", LOOP, {"event = task.send(None)": "event = next(task)"}),
        case("unknown events are turns", "was resumed as if that had come",
             LOOP, {"if event is None:": "if event is None or event[0] not in ('read', 'write', 'sleep'):"}),
        case("runs a task to its end", "One step of each in turn",
             LOOP, {"event = task.send(None)": "event = task.send(None)\nwhile event is None:\n    event = task.send(None)",
             "if event is None:\n    self.ready.append(task)": "if event is None:\n    pass"}),
        case("a stack", "the steps were", LOOP, {"self._step(self.ready.popleft())": "self._step(self.ready.pop())"}),
        case("no bare yield", "'NoneType' object is not subscriptable",
             LOOP, {'if event is None:\n    self.ready.append(task)\nelif event[0] == "sleep":': 'if event[0] == "sleep":'}),
        case("poll(0)", "your Loop runs all the time",
             LOOP, {"seconds = None": "seconds = 0", "max(0, self.sleepers[0][0] - time.monotonic())": "0"}),
        case("poll(0) without timers", "your Loop runs all the time", LOOP, {"seconds = None": "seconds = 0"}),
        case("poll(0) with timers", "your Loop runs all the time", LOOP, {"max(0, self.sleepers[0][0] - time.monotonic())": "0"}),
        case("a hundredth of a second at a time", "wakes up again and again",
             LOOP, {"seconds = None": "seconds = 0.01",
             "self.sleepers[0][0] - time.monotonic()": "min(0.01, self.sleepers[0][0] - time.monotonic())"}),
        case("a second at a time", "ms at most in line", LOOP, {"seconds = None": "seconds = 1"}),
        case("a second with timers", "ms at most in line",
             LOOP, {"self.sleepers[0][0] - time.monotonic()": "min(1, self.sleepers[0][0] - time.monotonic())"}),
        case("until the last timer", "until the next timer, not more and not less",
             LOOP, {"0, self.sleepers[0][0]": "0, max(self.sleepers)[0]"}),
        case("no limit though there are timers", "else the seconds until the first timer, else None",
             LOOP, {"max(0, self.sleepers[0][0] - time.monotonic())": "None"}),
        case("a fixed second", "the engine waits until the first timer is due, no longer",
             LOOP, {"max(0, self.sleepers[0][0] - time.monotonic())": "0.9"}),
        case("a negative timeout", "max(0, ...)",
             LOOP, {"max(0, self.sleepers[0][0] - time.monotonic())": "self.sleepers[0][0] - time.monotonic()"}),
        case("time.sleep until the timer", "no socket can wake it there, and asked is engine.wait()",
             LOOP, {"seconds = max(0, self.sleepers[0][0] - time.monotonic())": "time.sleep(max(0, self.sleepers[0][0] - time.monotonic()))\nseconds = 0"}),
        case("time.sleep in place of a timer", "the order in which they went on",
             LOOP, {"heapq.heappush(self.sleepers, (time.monotonic() + event[1], next(self._count), task))": "time.sleep(event[1])\nself.ready.append(task)"}),
        case("whole seconds", "and went on after", LOOP, {"+ event[1],": "+ int(event[1]),"}),
        case("milliseconds", "not all tasks have ended within 1.5 s",
             LOOP, {"(0, self.sleepers[0][0] - time.monotonic())": "(0, self.sleepers[0][0] - time.monotonic()) * 1000"}),
        case("tasks in the heap", "itertools.count()", LOOP, {"event[1], next(self._count), task": "event[1], task", "2": "1"}),
        case("a list that is not sorted", "the order in which they went on",
             LOOP, {"heapq.heappush(self.sleepers, (time.monotonic() + event[1], next(self._count), task))": "self.sleepers.append((time.monotonic() + event[1], next(self._count), task))",
             "heapq.heappop(self.sleepers)": "self.sleepers.pop(0)"}),
        case("sleepers wake at once", "and went on after",
             LOOP, {"sleepers and self.sleepers[0][0] <= time.monotonic()": "sleepers"}),
        case("one timer a round, and late", "again and again",
             LOOP, {"while self.sleepers and self.sleepers[0][0] <= time.monotonic()": "if self.sleepers and self.sleepers[0][0] <= time.monotonic() and not self.ready"}),
        case("ready until nobody is", "a round runs those who were ready when it began",
             LOOP, {"for _ in range(len(self.ready)):": "while self.ready:"}),
        case("sockets only when nobody is ready", "a round runs those who were ready when it began",
             LOOP, {"seconds = 0": "return"}),
        case("waits although somebody is ready", "engine.wait() gets 0 when somebody is ready",
             LOOP, {"if self.ready:\n    seconds = 0\nelif self.sleepers:": "if self.sleepers:"}),
        case("one place for a socket", "was one of the two forgotten",
             LOOP, {"if number in waiting:": "self.readers.pop(number, None)\nself.writers.pop(number, None)\nif number in waiting:"}),
        case("the mask of the last one", "was one of the two forgotten", LOOP, {"waiting is self.readers or number in self.readers, waiting is self.writers or number in self.writers": "waiting is self.readers, waiting is self.writers"}),
        case("always both", "Loop", LOOP, {"sock, reads, writes": "sock, True, True", "number in self.readers, number in self.writers": "True, True"}),
        case("the other one is dropped", "was one of the two forgotten",
             LOOP, {"if readable and number in self.readers:\n...\n    self.ready.append(self.writers.pop(number))": """
                 for waiting, is_ready in (self.readers, readable), (self.writers, writable):
                     if is_ready and number in waiting:
                         self.ready.append(waiting[number])
                     waiting.pop(number, None)
             """}),
        case("registers for each task", "share one registration: modify() it with both events", REGISTERS + LOOP, {"EpollEngine()": "Registers()"}),
        case("registers a number for each task", "share one registration: modify() it with both events",
             REGISTERS + LOOP, {"EpollEngine()": "Registers()", "selectors.DefaultSelector()": "select.epoll()",
             "self.selector.register(sock, readable | 2 * writable, number)": "self.selector.register(sock, readable | 4 * writable)",
             "return [(key.data, events & 1, events & 2, 0) for key, events in self.selector.select(seconds)]":
                 "return [(number, events & 1, events & 4, events & 24) for number, events in self.selector.poll(seconds)]"}),
        case("never unwatches", "watch a socket only while a task waits for it",
             LOOP, {"self._engine.unwatch(self._socks.pop(number))": "del self._socks[number]",
             "self._wake(number, readable or hup, writable or hup)": "if number in self._socks:\n    self._wake(number, readable or hup, writable or hup)"}),
        case("never unwatches, and is surprised", "What you keep and what the engine watches must agree",
             LOOP, {"self._engine.unwatch(self._socks.pop(number))": "del self._socks[number]"}),
        case("watches for nothing", "tfd lines",
             LOOP, {"_engine.unwatch(self._socks.pop(number))": "_engine.watch(self._socks.pop(number), False, False, number)"}),
        case("keeps all sockets", "still keeps 50 of them: it grows with every connection",
             LOOP, {"sleepers = []": "sleepers, self.all = [], []", "[number] = sock": "[number] = sock\nself.all.append(sock)"}),
        case("keeps all tasks", "still keeps 50 of them",
             LOOP, {"self.names[task] = name": "self.all = getattr(self, 'all', []) + [task]\nself.names[task] = name"}),
        case("never returns", "run() did not return within 1 s",
             LOOP, {"self.ready or self._socks or self.sleepers": "True", "elif all(sock.fileno() == -1 for sock in self._socks.values()):\n...\n    return": ""}),
        case("spawn runs the first step", "spawn() made a step of it at once",
             LOOP, {'self.names[task] = name or getattr(task, "__name__", "task")\nself.ready.append(task)': 'self.names[task] = name\nself._step(task)'}),
        case("spawn without a name", "spawn()",
             LOOP, {"spawn(self, task, name=None)": "spawn(self, task)", 'name or getattr(task, "__name__", "task")': "'task'"}),
        case("a closed socket is not noticed", "keep the number that it had",
             LOOP, {'if self._socks.get(number, sock) is not sock:\n...\n    raise RuntimeError("another task waits for this already")': "sock = self._socks.get(number, sock)"}),
        case("a loop on poll()", "each round goes over all who wait, in your code or in the engine",
             LOOP, {"self._engine = EpollEngine()": "self._engine = PollEngine()"}),
        case("a thread for timers", "your Loop has started a thread",
             LOOP, {"heapq.heappush(self.sleepers, (time.monotonic() + event[1], next(self._count), task))": """
                 self.timer = threading.Timer(event[1], self.ready.append, [task])
                 self.timer.start()
                 self.sleepers.append((time.monotonic() + event[1] + 0.005, 0, None))
             """, ".ready.append(heapq.heappop(self.sleepers)[2])": ".sleepers.pop(0)"}),
        case("does not take the waiter out", "forget who has ended",
             LOOP, {"self.readers.pop(number)": "self.readers[number]", "self.writers.pop(number)": "self.writers[number]",
             'if number in waiting:\n    raise RuntimeError("another task waits for this already")': ""}),
        case("a dict of timers", "had not ended",
             LOOP, {"self.sleepers = []": "self.moments = {}",
             "def _step(self, task):": """
                 @property
                 def sleepers(self):
                     return sorted(self.moments.items(), key=lambda pair: pair[0])

                 def _step(self, task):
             """,
             "heapq.heappush(self.sleepers, (time.monotonic() + event[1], next(self._count), task))": "self.moments[time.monotonic() + event[1]] = task",
             "self.ready.append(heapq.heappop(self.sleepers)[2])": "self.ready.append(self.moments.pop(self.sleepers[0][0]))"}),
        case("one reader at a time", "30 pairs of tasks play ping-pong",
             LOOP, {"waiting[number] = task": "waiting.clear()\nwaiting[number] = task"}),
        case("sends something in", "can't send non-None value to a just-started generator", LOOP, {".send(None)": ".send(self)"}),
        case("one timer in each round", "not all tasks have ended within 1.5 s",
             LOOP, {"while self.sleepers and self.sleepers[0][0] <= time.monotonic():": "for _ in range(bool(self.sleepers) and self.sleepers[0][0] <= time.monotonic() and not self.readers):"}),
        case("a task that raises is tried again", "was resumed as if that had come",
             LOOP, {".pop(task)": "[task]", ".print_exception(error)": ".print_exception(error)\nself.ready.append(task)"}),
        case("the error of a wait kills the waiting sockets", "for a closed socket, with three other tasks in the Loop, and run() did not return",
             LOOP, {"self._engine.watch(sock, reads, writes, number)": "",
             "self._socks[number] = sock": "self._socks[number] = sock\nself._engine.watch(sock, reads, writes, number)",
             "all(sock.fileno() == -1 for sock in self._socks.values())": "not self._socks"}),
        case("stops when a task raises", "sys.exit()",
             LOOP, {"traceback.print_exception(error)": "traceback.print_exception(error)\nraise SystemExit(1)"}),
        case("asyncio", "0 of them ran before run() returned", """
            class Loop:
                def __init__(self):
                    self.tasks = []

                def spawn(self, task, name=None):
                    self.tasks.append(task)

                def run(self):
                    import asyncio

                    async def drive(task):
                        while True:
                            try:
                                event = task.send(None)
                            except StopIteration:
                                return
                            await asyncio.sleep(0 if event is None else event[1] if event[0] == "sleep" else 0)

                    async def main():
                        await asyncio.gather(*map(drive, self.tasks))

                    asyncio.run(main())
                    self.tasks = []
        """),
        case("a class without run", "has no method run()", "class Loop:\n    def spawn(self, task, name=None):\n        pass"),
        case("StopIteration is printed", "it comes out of send() when a task ends",
             LOOP, {"except StopIteration:\n    del self.names[task]": ""}),
        case("leaves at the first error", "another task did not run to its end",
             LOOP, {"traceback.print_exception(error)": "traceback.print_exception(error)\nself.sleepers.clear()"}),
    ],
    "7.4": [
        case("a head without end", "A client sent 100000 bytes of a head without an end, and its connection stays open",
             HTTP, {"if not data or len(unread) > 65536:": "if not data:"}),
        case("answers nonsense, and goes on", "which is no request, and its connection stays open",
             HTTP, {r'method, path, version = head.split("\r\n")[0].split()': r"""
                 if len(head.split("\r\n")[0].split()) != 3:
                     yield from send_all(conn, b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
                     continue
                 method, path, version = head.split("\r\n")[0].split()
             """}),
        case("answers with HTTP/1.0", "the answer begins with HTTP/1.0, after which the connection ends",
             HTTP, {'f"HTTP/1.1': 'f"HTTP/1.0'}),
        case("recv once", "A request may come in pieces",
             HTTP, {'while b"\\r\\n\\r\\n" not in unread:\n...\n    unread += data': "unread = yield from recv(conn, 4096)\nif not unread:\n    return"}),
        case("waits for one line", "A request ends at its empty line, not before",
             HTTP, {r'while b"\r\n\r\n" not in unread:': r'while b"\r\n" not in unread:', r'(b"\r\n\r\n")': r'(b"\r\n")'}),
        case("no Content-Length", "has no field Content-Length", HTTP, {"nContent-Length: {len(body)}\\r\\": ""}),
        case("the second request is lost", "came in one packet, and number 2 of them",
             HTTP, {r'_, unread = unread.partition(b"\r\n\r\n")': '_, unread = unread.partition(b"\\r\\n\\r\\n")\nunread = b""'}),
        case("closes after one answer", "the connection was closed too early",
             HTTP, {'if "close" in options or version == "HTTP/1.0":': "if True:"}),
        case("never closes on request", "Close after this answer",
             HTTP, {'if "close" in options or version == "HTTP/1.0":': "if False:"}),
        case("field names in capitals", "The names of fields are the same in capitals and small letters",
             HTTP, {r'head.lower().partition("\r\nconnection:")': r'head.partition("\r\nConnection:")'}),
        case("the word in small letters", "The words of this field are the same in capitals and small letters",
             HTTP, {'"close" in options': '("Connection: close" in head or "connection: close" in head)'}),
        case("one word alone", "The field is a list of words", HTTP, {'"close" in options': 'options.strip() == "close"'}),
        case("HTTP/1.0 stays open", "It waits for the end: close after the answer", HTTP, {' or version == "HTTP/1.0"': ""}),
        case("no turn for the others", "let the others have their turn, with a bare `yield`",
             HTTP, {'if "close" in options or version == "HTTP/1.0":\n    return\nyield': 'if "close" in options or version == "HTTP/1.0":\n    return'}),
        case("an empty page is none", "ask `if body is None`", HTTP, {"if body is None:": "if not body:"}),
        case("no 404", "page gives None", HTTP, {'if body is None:\n    status, body = "404 Not Found", b"no such page"': ""}),
        case("404 closes", "GET /nothing", HTTP, {'status, body = "404 Not Found", b"no such page"': "return"}),
        case("404 with status 200", "the status of the answer is 200, not 404",
             HTTP, {'status, body = "404 Not Found",': "body ="}),
        case("404 without a body", "has no field Content-Length",
             HTTP, {'status, body = "404 Not Found", b"no such page"': 'yield from send_all(conn, b"HTTP/1.1 404 Not Found\\r\\n\\r\\n")\ncontinue'}),
        case("line feeds alone", r"Each line ends in \r\n",
             HTTP, {r"r\nContent-Length: {len(body)}\r\n\r": r"nContent-Length: {len(body)}\n"}),
        case("no empty line", "an empty line ends the head", HTTP, {r"{len(body)}\r\n\r\n": r"{len(body)}\r\n"}),
        case("the length is wrong", "Content-Length says 8, and 6 bytes came", HTTP, {r"{len(body)}\r": r"{len(body) + 2}\r"}),
        case("the length counts the head", "Content-Length says 25, and 6 bytes came", HTTP, {"{len(body)}": "{len(body) + 19}"}),
        case("the length is too short", "the body is b'hello'", HTTP, {r"{len(body)}\r": r"{len(body) - 1}\r"}),
        case("the body as text", "the body is", HTTP, {r'\r\n\r\n".encode() + body': r'\r\n\r\n{body}".encode()'}),
        case("the body is decoded", "UnicodeDecodeError",
             HTTP, {"answer = ": "body = body.decode()\nanswer = ", ".encode() + body": ".encode() + body.encode()"}),
        case("no yield from for the page", "`yield from` gives its value", HTTP, {"body = yield from page": "body = page"}),
        case("no yield from for recv", "`yield from` gives its value", HTTP, {"yield from recv(conn, 4096)": "recv(conn, 4096)"}),
        case("no yield from for send_all", "no answer within 1 s", HTTP, {"yield from send_all": "send_all"}),
        case("yields the generator", "A task yielded a generator: go through it with `yield from`",
             HTTP, {"data = yield from recv(conn, 4096)": "data = yield recv(conn, 4096)"}),
        case("the socket's own recv", "yield from recv(conn, n)", HTTP, {"yield from recv(conn, 4096)": "conn.recv(4096)"}),
        case("the socket's own recv for the rest of a request", "The connection is non-blocking: `yield from recv(conn, n)`",
             HTTP, {"data = yield from recv(conn, 4096)": "data = conn.recv(4096) if unread else (yield from recv(conn, 4096))"}),
        case("the socket's own sendall", "yield from recv(conn, n)",
             HTTP, {"yield from send_all(conn, answer)": "conn.sendall(answer)"}),
        case("a blocking socket", ", for one client, and all others wait. Leave the connection non-blocking", HTTP, {'unread = b""': 'unread = b""\nconn.setblocking(True)'}),
        case("drives the page by itself", "served one after the other",
             HTTP, {"body = yield from page(path)": """
                 task = page(path)
                 while True:
                     try:
                         next(task)
                     except StopIteration as end:
                         body = end.value
                         break
             """}),
        case("UTF-8 fields", "decode('latin-1') takes them all", HTTP, {'head = head.decode("latin-1")': "head = head.decode()"}),
        case("bytes paths", "page(path) was called with a value of type bytes", HTTP, {"page(path)": "page(path.encode())"}),
        case("the whole first line", "the second word of the first line", HTTP, {"page(path)": r'page(head.split("\r\n")[0])'}),
        case("no close", "http has returned, and its connection is still open", HTTP, {"conn.close()": "pass"}),
        case("close only at the end", "the connection stays open",
             HTTP, {"conn.close()": "pass",
             'if "close" in options or version == "HTTP/1.0":': 'if "close" in options or version == "HTTP/1.0":\n    conn.close()',
             "if not data or len(unread) > 65536:": "if not data or len(unread) > 65536:\n    conn.close()"}),
        case("b'' is not noticed", "recv gives b'' again and again when a client has finished",
             HTTP, {"if not data or len(unread) > 65536:\n    return": ""}),
        case("half-closed without answers", "first answer all that has come",
             HTTP, {"if not data or len(unread) > 65536:": "if not data:",
             r'head, _, unread = unread.partition(b"\r\n\r\n")': r"""
                 poll = select.poll()
                 poll.register(conn, select.POLLRDHUP)
                 if poll.poll(0):
                     return
                 head, _, unread = unread.partition(b"\r\n\r\n")
             """}),
        case("reads 100 bytes at most", "GET /", HTTP, {"(conn, 4096)": "(conn, 4096)\nif len(unread) > 4096:\n    return"}),
        case("send once", "send_all sends them all", HTTP, {"yield from send_all(conn, answer)": "conn.send(answer)"}),
        case("one byte less", "Two requests may come in one recv()",
             HTTP, {"_, unread = unread.partition": "unread = unread.split"}),
        case("one buffer for all", "Each connection needs a buffer of its own",
             HTTP, {'unread = b""': "", "def http(conn, page):": 'unread = b""\n\ndef http(conn, page):\n    global unread'}),
        case("404 promises a body", "Content-Length says 10, and 0 bytes came",
             HTTP, {'status, body = "404 Not Found", b"no such page"': r"""
                 yield from send_all(conn, b"HTTP/1.1 404 Not Found\r\nContent-Length: 10\r\n\r\n")
                 continue
             """}),
        case("the page in a loop of its own", "served one after the other",
             HTTP, {"body = yield from page(path)": """
                 from course_lib.solutions.coroutines import Loop
                 found = []

                 def task():
                     found.append((yield from page(path)))

                 loop = Loop()
                 loop.spawn(task())
                 loop.run()
                 body = found[0]
             """}),
        case("a process for each page", "started another process",
             HTTP, {"body = yield from page(path)": """
                 body = yield from page(path)
                 import subprocess
                 globals().setdefault("child", subprocess.Popen(["sleep", "5"]))
             """}),
        case("HTTP/1.1 is forgotten", "the answer begins with b'200 OK", HTTP, {"HTTP/1.1 {status}": "{status}"}),
        case("the address of the body", "Content-Length says", HTTP, {"len(body)": "id(body)"}),
        case("a space in the length", "it is the number of bytes of the body",
             HTTP, {r"{len(body)}\r\n": r"{len(body)} bytes\r\n"}),
        case("reads and answers nothing", "no answer within 1 s", """
            def http(conn, page):
                while (yield from recv(conn, 4096)):
                    pass
                conn.close()
        """),
        case("closes at once", "no answer came, but the end", """
            def http(conn, page):
                conn.close()
                return
                yield
        """),
        case("shutdown in place of close", "its connection is still open", HTTP, {"conn.close()": "conn.shutdown(2)"}),
        case("time.sleep", "only when it yields", HTTP, {r'("\r\n")[0].split()': '("\\r\\n")[0].split()\ntime.sleep(3)'}),
        case("answers the first client only", "The first client is silent, and a second one asked",
             HTTP, {'unread = b""': """
                 unread = b""
                 global first
                 first = globals().get("first", conn)
                 if first is not conn:
                     while True:
                         yield "sleep", 60
             """}),
    ],
    "7.5": [
        case("an async __await__", "__await__ is a plain def", ASYNC, {"def __await__(self):": "async def __await__(self):"}),
        case("__await__ returns the tuple", "__await__ must give an iterator", ASYNC, {"yield self.event": "return self.event"}),
        case("__await__ returns an iterator of two", 'not ("read", sock)',
             ASYNC, {"yield self.event, self.about": "return iter((self.event, self.about))"}),
        case("__await__ yields itself", 'not ("read", sock)', ASYNC, {"yield self.event, self.about": "yield self"}),
        case("__await__ yields twice", "a second time",
             ASYNC, {"def __await__(self):": "def __await__(self):\n    yield self.event, self.about"}),
        case("__iter__", "an object whose class has __await__", ASYNC, {"def __await__(self):": "def __iter__(self):"}),
        case("yields from an await", 'not ("read", sock)',
             ASYNC, {"yield self.event, self.about": "yield from (self.event, self.about)"}),
        case("swapped", 'not ("read", sock)', ASYNC, {"yield self.event, self.about": "yield self.about, self.event"}),
        case("generators", "cannot stand behind await",
             ASYNC, {"async def recv(self, n):": "def recv(self, n):",
             'await Wait("read", self.sock)\nif (data := try_recv(self.sock, n)) is not None:': 'yield "read", self.sock\nif (data := try_recv(self.sock, n)) is not None:'}),
        case("awaits a generator", "Behind await stands a coroutine",
             ASYNC, {"while True:\n...\n        return data": "return await recv(self.sock, n)"}),
        case("yields in an async def", "async generator", ASYNC, {'await Wait("write", self.sock)': 'yield "write", self.sock'}),
        case("forgets await", "neither yielded nor returned within 1 s",
             ASYNC, {'await Wait("read", self.sock)\nif (data := try_recv(self.sock, n)) is not None:': 'Wait("read", self.sock)\nif (data := try_recv(self.sock, n)) is not None:'}),
        case("a plain def", "not a coroutine",
             ASYNC, {"async def recv(self, n):\n...\n            return data": "def recv(self, n):\n    return try_recv(self.sock, n)"}),
        case("blocks", "it sleeps",
             ASYNC, {'await Wait("read", self.sock)\nif (data := try_recv(self.sock, n)) is not None:': "select.select([self.sock], [], [])\nif (data := try_recv(self.sock, n)) is not None:"}),
        case("recv tries first", "Yield first, then try",
             ASYNC, {"async def recv(self, n):\n...\n            return data": """
                 async def recv(self, n):
                     while (data := try_recv(self.sock, n)) is None:
                         await Wait("read", self.sock)
                     return data
             """}),
        case("does not try again", "ready is a hint",
             ASYNC, {"if (data := try_recv(self.sock, n)) is not None:\n    return data": "return try_recv(self.sock, n)"}),
        case("accept gives a plain socket", "as an AsyncSocket", ASYNC, {"return AsyncSocket(conn)": "return conn"}),
        case("asyncio", "yielded None",
             ASYNC, {'await Wait("read", self.sock)\nif (data := try_recv(self.sock, n)) is not None:': "await __import__('asyncio').sleep(0)\nif (data := try_recv(self.sock, n)) is not None:"}),
        case("asyncio for real", "asyncio's own loop",
             ASYNC, {'await Wait("read", self.sock)\nif (data := try_recv(self.sock, n)) is not None:': "await __import__('asyncio').sleep(0.01)\nif (data := try_recv(self.sock, n)) is not None:"}),
        case("another attribute", "in the attribute `sock`",
             ASYNC, {"self.sock = sock": "self.socket = sock",
             'await Wait("read", self.sock)\nif (data := try_recv(self.sock, n)) is not None:': 'await Wait("read", self.socket)\nif (data := try_recv(self.socket, n)) is not None:',
             "data = data[self.sock.send(data):]": "data = data[self.socket.send(data):]",
             'await Wait("write", self.sock)': 'await Wait("write", self.socket)',
             'await Wait("read", self.sock)\nif conn := try_accept(self.sock):': 'await Wait("read", self.socket)\nif conn := try_accept(self.socket):',
             "self.sock.close()": "self.socket.close()"}),
        case("send once", "send() takes what fits", ASYNC, {"while data:": "if data:"}),
        case("loop.sock_recv", "asyncio's own loop",
             ASYNC, {'while True:\n    await Wait("read", self.sock)\n    if (data := try_recv(self.sock, n)) is not None:\n        return data': "import asyncio\nreturn await asyncio.get_running_loop().sock_recv(self.sock, n)"}),
        case("close does nothing", "close() left the socket open", ASYNC, {"self.sock.close()": "pass"}),
        case("Wait without await", "Behind await stands", ASYNC, {"def __await__(self):\n    yield self.event, self.about": ""}),
    ],
}
