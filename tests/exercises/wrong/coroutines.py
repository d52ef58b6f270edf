"""Typical wrong solutions of 7.x, each with words of the message that names its cause."""

IMPORTS = """
import heapq, itertools, select, socket, threading, time, traceback
from collections import deque
from course_lib.solutions.coroutines import Wait, accept, recv, send_all, sleep
from course_lib.solutions.epolling import EpollEngine
from course_lib.solutions.nonblocking import try_accept, try_recv
from course_lib.solutions.polling import PollEngine
"""

RUN = """
def run(tasks):
    results = {}
    ready = deque(tasks.items())
    while ready:
        name, task = ready.popleft()
        try:
            next(task)
        except StopIteration as end:
            results[name] = end.value
        except Exception as error:
            results[name] = error
        else:
            ready.append((name, task))
    return results
"""

WAITS = """
def recv(sock, n):
    while (data := try_recv(sock, n)) is None:
        yield "read", sock
    return data

def send_all(sock, data):
    while data:
        try:
            data = data[sock.send(data):]
        except BlockingIOError:
            yield "write", sock

def accept(listener):
    while (conn := try_accept(listener)) is None:
        yield "read", listener
    return conn

def sleep(seconds):
    yield "sleep", seconds
"""

LOOP = """
class Loop:
    def __init__(self):
        self.ready = deque()
        self.readers, self.writers, self.socks = {}, {}, {}
        self.sleepers = []
        self.count = itertools.count()
        self.engine = EpollEngine()

    def spawn(self, task, name=None):
        self.ready.append(task)

    def run(self):
        while self.ready or self.socks or self.sleepers:
            for _ in range(len(self.ready)):
                self.step(self.ready.popleft())
            self.wait()

    def step(self, task):
        try:
            event = task.send(None)
            if event is None:
                self.ready.append(task)
            elif event[0] == "sleep":
                heapq.heappush(self.sleepers, (time.monotonic() + event[1], next(self.count), task))
            else:
                self.wait_for(event[1], {"read": self.readers, "write": self.writers}[event[0]], task)
        except StopIteration:
            pass
        except Exception as error:
            traceback.print_exception(error)

    def wait_for(self, sock, waiting, task):
        number = sock.fileno()
        if number in self.socks and self.socks[number] is not sock:
            self.wake(number, True, True)
        self.socks[number] = sock
        waiting[number] = task
        try:
            self.watch(number)
        except Exception:
            del self.socks[number], waiting[number]
            raise

    def watch(self, number):
        sock = self.socks[number]
        if number in self.readers or number in self.writers:
            self.engine.watch(sock, number in self.readers, number in self.writers, number)
        else:
            self.engine.unwatch(sock)
            del self.socks[number]

    def wake(self, number, readable, writable):
        for waiting, is_ready in (self.readers, readable), (self.writers, writable):
            if is_ready and number in waiting:
                self.ready.append(waiting.pop(number))
        self.watch(number)

    def wait(self):
        seconds = None
        if self.ready:
            seconds = 0
        elif self.sleepers:
            seconds = max(0, self.sleepers[0][0] - time.monotonic())
        elif not self.socks:
            return
        for number, readable, writable, hup in self.engine.wait(seconds):
            self.wake(number, readable or hup, writable or hup)
        while self.sleepers and self.sleepers[0][0] <= time.monotonic():
            self.ready.append(heapq.heappop(self.sleepers)[2])
"""

HTTP = """
def http(conn, page):
    unread = b""
    try:
        while True:
            while b"\\r\\n\\r\\n" not in unread:
                data = yield from recv(conn, 4096)
                if not data:
                    return
                unread += data
            head, _, unread = unread.partition(b"\\r\\n\\r\\n")
            head = head.decode("latin-1")
            method, path, version = head.split("\\r\\n")[0].split()
            body = yield from page(path)
            status = "200 OK"
            if body is None:
                status, body = "404 Not Found", b"no such page"
            yield from send_all(conn, f"HTTP/1.1 {status}\\r\\nContent-Length: {len(body)}\\r\\n\\r\\n".encode() + body)
            if "connection: close" in head.lower():
                return
    finally:
        conn.close()
"""

ASYNC = """
class Wait:
    def __init__(self, event, about):
        self.event, self.about = event, about

    def __await__(self):
        yield self.event, self.about

class AsyncSocket:
    def __init__(self, sock):
        self.sock = sock

    async def recv(self, n):
        while (data := try_recv(self.sock, n)) is None:
            await Wait("read", self.sock)
        return data

    async def send_all(self, data):
        while data:
            try:
                data = data[self.sock.send(data):]
            except BlockingIOError:
                await Wait("write", self.sock)

    async def accept(self):
        while (conn := try_accept(self.sock)) is None:
            await Wait("read", self.sock)
        return AsyncSocket(conn)

    def close(self):
        self.sock.close()
"""


def changed(source: str, *changes: tuple[str, str]) -> str:
    """The source with each old text replaced by a new one; each must be there."""
    for old, new in changes:
        assert old in source, old
        source = source.replace(old, new)
    return source


RUN_CASES = {
    "the first task runs to its end": (
        """
            def run(tasks):
                results = {}
                for name, task in tasks.items():
                    try:
                        while True:
                            next(task)
                    except StopIteration as end:
                        results[name] = end.value
                return results
            """,
        "A ran to its end before B began",
    ),
    "list(task)": (
        """
        def run(tasks):
            return {name: list(task) for name, task in tasks.items()}
        """,
        "A ran to its end before B began",
    ),
    "catches StopIteration only": (
        changed(
            RUN,
            (
                """        except Exception as error:
            results[name] = error
""",
                "",
            ),
        ),
        "Task B raised ValueError, and it took everybody with it",
    ),
    "one round only": (
        """
            def run(tasks):
                results = {}
                for name, task in tasks.items():
                    try:
                        results[name] = next(task)
                    except StopIteration as end:
                        results[name] = end.value
                return results
            """,
        "go round again and again",
    ),
    "stops when one has ended": (
        """
            def run(tasks):
                results = {}
                while True:
                    for name, task in tasks.items():
                        try:
                            next(task)
                        except StopIteration as end:
                            results[name] = end.value
                            return results
            """,
        "A and C and D and E had not ended",
    ),
    "removes from the list while it goes over it": (
        """
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
            """,
        "to take it out of a list while a loop goes over it skips the next one",
    ),
    "deletes from the dict while it goes over it": (
        """
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
            """,
        "loop over a copy, list(...), or keep the tasks in a deque",
    ),
    "a stack": (changed(RUN, ("ready.popleft()", "ready.pop()")), "in turn would be A0, B0, C0"),
    "the last yielded value": (
        changed(
            RUN,
            (
                """            next(task)
""",
                """            last = next(task)
""",
            ),
            ("= end.value", "= last"),
        ),
        "which it yielded. What it returned is in the StopIteration",
    ),
    "the StopIteration itself": (changed(RUN, ("= end.value", "= end")), "take its `value`"),
    "no values": (changed(RUN, ("= end.value", "= None")), "It is in the StopIteration"),
    "only true values": (
        changed(
            RUN,
            (
                "results[name] = end.value",
                """if end.value:
                results[name] = end.value""",
            ),
        ),
        "the dict has no 'zero'",
    ),
    "the text of the exception": (
        changed(RUN, ("results[name] = error", "results[name] = str(error)")),
        "its result is a text",
    ),
    "the class of the exception": (
        changed(RUN, ("results[name] = error", "results[name] = type(error)")),
        "its result is the class of the exception",
    ),
    "swallows the exception": (changed(RUN, ("results[name] = error", "pass")), "the dict has no 'B'"),
    "stops at an exception": (
        changed(
            RUN,
            (
                """            results[name] = error
""",
                """            results[name] = error
            return results
""",
            ),
        ),
        "the other tasks were not run to their end",
    ),
    "catches ValueError only": (
        changed(RUN, ("except Exception", "except ValueError")),
        "Task B raised KeyError, and it took everybody",
    ),
    "an error is taken for the end": (
        changed(
            RUN,
            (
                """except StopIteration as end:
            results[name] = end.value
        except Exception as error:""",
                "except Exception as error:",
            ),
        ),
        "take its `value`",
    ),
    "next with a default": (
        """
            def run(tasks):
                results, left = {}, dict(tasks)
                while left:
                    for name, task in list(left.items()):
                        if next(task, None) is None:
                            results[name] = None
                            del left[name]
                return results
            """,
        "It is in the StopIteration",
    ),
    "a bare yield is taken for the end": (
        """
            def run(tasks):
                results, ready = {}, deque(tasks.items())
                while ready:
                    name, task = ready.popleft()
                    try:
                        if next(task) is not None:
                            ready.append((name, task))
                    except StopIteration as end:
                        results[name] = end.value
                    except Exception as error:
                        results[name] = error
                return results
            """,
        "the dict has no",
    ),
    "a thread for each": (
        """
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
            """,
        "A ran to its end before B began",
    ),
    "a thread for each step": (
        changed(
            RUN,
            (
                """            next(task)
""",
                """            error = [None]
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
""",
            ),
        ),
        "more than one thread",
    ),
    "recursion": (
        """
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
            """,
        "go round in a loop",
    ),
    "a pause in each round": (
        changed(
            RUN,
            (
                "        name, task",
                """        time.sleep(0.001)
        name, task""",
            ),
        ),
        "took over 2 s",
    ),
    "never ends": (
        changed(
            RUN,
            ("while ready:", "while True:"),
            (
                "name, task = ready.popleft()",
                """if not ready:
            continue
        name, task = ready.popleft()""",
            ),
        ),
        "did not return within 1 s",
    ),
    "no return": (
        changed(
            RUN,
            (
                """    return results
""",
                "",
            ),
        ),
        "run returned None",
    ),
    "a list of pairs": (changed(RUN, ("return results", "return list(results.items())")), "return a dict"),
    "goes over the names": (
        changed(
            RUN,
            ("deque(tasks.items())", "deque(tasks)"),
            ("name, task = ready.popleft()", "task = ready.popleft()"),
            ("results[name]", "results[task]"),
            ("(name, task)", "task"),
        ),
        "is not an iterator",
    ),
    "sends something": (
        changed(
            RUN,
            (
                """            next(task)
""",
                """            task.send(None if name not in seen else 1)
            seen.add(name)
""",
            ),
            ("results = {}", "results, seen = {}, set()"),
        ),
        "Something was sent into a task",
    ),
    "calls the tasks": (changed(RUN, ("next(task)", "task()")), "not callable"),
}

WAITS_CASES = {
    "plain call of a helper": (
        changed(
            WAITS,
            (
                """def recv(sock, n):
    while (data := try_recv(sock, n)) is None:
        yield "read", sock
    return data""",
                """def read(sock, n):
    while (data := try_recv(sock, n)) is None:
        yield "read", sock
    return data

def recv(sock, n):
    data = read(sock, n)
    return data
    yield""",
            ),
        ),
        "recv(sock, 100) returned a value of type generator",
    ),
    "yields a helper": (
        changed(
            WAITS,
            (
                """        yield "read", sock
    return data""",
                """        yield waits(sock)
    return data

def waits(sock):
    yield "read", sock""",
            ),
        ),
        "go through it with `yield from`",
    ),
    "yield from a tuple": (
        changed(WAITS, ('yield "read", sock', 'yield from ("read", sock)')),
        "recv(sock, 100) yielded 'read', not",
    ),
    "time.sleep": (
        changed(
            WAITS,
            (
                'yield "sleep", seconds',
                """time.sleep(seconds)
    yield "sleep", seconds""",
            ),
        ),
        "the loop stands still",
    ),
    "time.sleep after the yield": (
        changed(
            WAITS,
            (
                'yield "sleep", seconds',
                """yield "sleep", seconds
    time.sleep(seconds)""",
            ),
        ),
        "the loop stands still",
    ),
    "sleeps without a yield": (
        changed(
            WAITS,
            (
                'yield "sleep", seconds',
                """if seconds:
        yield "sleep", seconds""",
            ),
        ),
        "0 is a turn for the others",
    ),
    "sleeps until a moment": (
        changed(WAITS, ('yield "sleep", seconds', 'yield "sleep", time.monotonic() + seconds')),
        'not ("sleep", 30)',
    ),
    "sleeps again and again": (
        changed(
            WAITS,
            (
                'yield "sleep", seconds',
                """end = time.monotonic() + seconds
    while time.monotonic() < end:
        yield "sleep", seconds""",
            ),
        ),
        "yielded a second time",
    ),
    "does not try again": (
        changed(
            WAITS,
            (
                """    while (data := try_recv(sock, n)) is None:
        yield "read", sock
    return data""",
                """    data = try_recv(sock, n)
    if data is None:
        yield "read", sock
        data = try_recv(sock, n)
    return data""",
            ),
        ),
        "ready is a hint",
    ),
    "b'' is taken for nothing": (
        changed(WAITS, ("while (data := try_recv(sock, n)) is None:", "while not (data := try_recv(sock, n)):")),
        "`if not data` takes it for None",
    ),
    "recv by hand, no except": (
        changed(
            WAITS,
            (
                """    while (data := try_recv(sock, n)) is None:
        yield "read", sock
    return data""",
                """    yield "read", sock
    return sock.recv(n)""",
            ),
        ),
        "BlockingIOError in line",
    ),
    "a reset comes through": (
        changed(
            WAITS,
            (
                """    while (data := try_recv(sock, n)) is None:
        yield "read", sock
    return data""",
                """    while True:
        try:
            return sock.recv(n)
        except BlockingIOError:
            yield "read", sock""",
            ),
        ),
        "recv gives b'' for it",
    ),
    "recv waits by itself": (
        changed(
            WAITS,
            (
                """        yield "read", sock
    return data""",
                """        select.select([sock], [], [])
    return data
    yield""",
            ),
        ),
        "neither yielded nor returned within 1 s: it sleeps",
    ),
    "recv spins": (
        changed(
            WAITS,
            (
                """        yield "read", sock
    return data""",
                """        pass
    return data
    yield""",
            ),
        ),
        "it runs all the time",
    ),
    "yields the number": (
        changed(
            WAITS,
            (
                """yield "read", sock
""",
                """yield "read", sock.fileno()
""",
            ),
        ),
        "with the socket itself",
    ),
    "yields nothing": (
        changed(
            WAITS,
            (
                """yield "read", sock
""",
                """yield
""",
            ),
        ),
        'yielded None, not ("read", sock)',
    ),
    "yields a list": (
        changed(
            WAITS,
            (
                """yield "read", sock
""",
                """yield ["read", sock]
""",
            ),
        ),
        'not ("read", sock)',
    ),
    "waits for the wrong thing": (changed(WAITS, ('yield "write", sock', 'yield "read", sock')), 'not ("write", sock)'),
    "yields the data": (changed(WAITS, ("    return data", "    yield data")), "yielded b'hello', not"),
    "forgets the return": (changed(WAITS, ("    return data", "    data")), "`return data`"),
    "raises StopIteration": (changed(WAITS, ("    return data", "    raise StopIteration(data)")), "PEP 479"),
    "n is forgotten": (changed(WAITS, ("try_recv(sock, n)", "try_recv(sock, 4096)")), "hand n on"),
    "makes it blocking": (
        changed(
            WAITS,
            (
                """def recv(sock, n):
""",
                """def recv(sock, n):
    sock.settimeout(0.01)
""",
            ),
        ),
        "TimeoutError",
    ),
    "send once": (
        changed(
            WAITS,
            (
                """    while data:
        try:
            data = data[sock.send(data):]
        except BlockingIOError:
            yield "write", sock""",
                """    try:
        sock.send(data)
    except BlockingIOError:
        yield "write", sock""",
            ),
        ),
        "send() takes what fits",
    ),
    "sendall": (
        changed(
            WAITS,
            (
                """    while data:
        try:
            data = data[sock.send(data):]
        except BlockingIOError:
            yield "write", sock""",
                """    yield "write", sock
    sock.sendall(data)""",
            ),
        ),
        "nobody knows how much went out",
    ),
    "sendall again": (
        changed(
            WAITS,
            (
                "data = data[sock.send(data):]",
                """sock.sendall(data)
            return""",
            ),
        ),
        "some of them twice",
    ),
    "sends all again": (
        changed(
            WAITS,
            (
                """    while data:
        try:
            data = data[sock.send(data):]""",
                """    sent = 0
    while sent < len(data):
        try:
            sent += sock.send(data)""",
            ),
        ),
        "Go on with the rest",
    ),
    "send without except": (
        changed(
            WAITS,
            (
                """        try:
            data = data[sock.send(data):]
        except BlockingIOError:
            yield "write", sock""",
                """        yield "write", sock
        data = data[sock.send(data):]""",
            ),
        ),
        "ready is a hint",
    ),
    "send hides errors": (changed(WAITS, ("except BlockingIOError", "except OSError")), "let ConnectionError through"),
    "send takes a reset for the end": (
        changed(
            WAITS,
            (
                '            yield "write", sock',
                """            yield "write", sock
        except ConnectionError:
            return""",
            ),
        ),
        "as if all had been sent",
    ),
    "send gives up": (
        changed(
            WAITS,
            (
                '            yield "write", sock',
                """            yield "write", sock
            return""",
            ),
        ),
        "send() takes what fits",
    ),
    "accept by hand": (
        changed(
            WAITS,
            (
                """    while (conn := try_accept(listener)) is None:
        yield "read", listener
    return conn""",
                """    while True:
        try:
            return listener.accept()[0]
        except BlockingIOError:
            yield "read", listener""",
            ),
        ),
        "The accepted connection is blocking",
    ),
    "accept returns the pair": (
        changed(
            WAITS,
            (
                """    return conn
""",
                """    return conn, conn.getpeername()
""",
            ),
        ),
        "return the connection alone",
    ),
    "accept does not try again": (
        changed(
            WAITS,
            (
                """    while (conn := try_accept(listener)) is None:
        yield "read", listener
""",
                """    yield "read", listener
    conn = try_accept(listener)
""",
            ),
        ),
        "it may have gone",
    ),
    "accept closes the listener": (
        changed(
            WAITS,
            (
                """    return conn
""",
                """    listener.close()
    return conn
""",
            ),
        ),
        "accept",
    ),
    "the wrong names": (changed(WAITS, ('yield "read", listener', 'yield "accept", listener')), 'not ("read", listener)'),
}

LOOP_CASES = {
    "catches StopIteration only": (
        changed(
            LOOP,
            (
                """        except Exception as error:
            traceback.print_exception(error)
""",
                "",
            ),
        ),
        "A task raised ValueError, and it took everybody with it",
    ),
    "tells nobody": (
        changed(LOOP, ("            traceback.print_exception(error)", "            pass")),
        "nobody is told of the mistake",
    ),
    "prints that something happened": (
        changed(LOOP, ("            traceback.print_exception(error)", "            print('an error')")),
        "what was printed does not tell it",
    ),
    "next()": (changed(LOOP, ("task.send(None)", "next(task)")), "a coroutine of async def has only send()"),
    "unknown events are turns": (
        changed(
            LOOP,
            ("            if event is None:", "            if event is None or event[0] not in ('read', 'write', 'sleep'):"),
        ),
        "was resumed as if that had come",
    ),
    "runs a task to its end": (
        changed(
            LOOP,
            (
                """            if event is None:
                self.ready.append(task)""",
                """            while event is None:
                event = task.send(None)
            if event is None:
                pass""",
            ),
        ),
        "One step of each in turn",
    ),
    "a stack": (changed(LOOP, ("self.ready.popleft()", "self.ready.pop()")), "the steps were"),
    "no bare yield": (
        changed(
            LOOP,
            (
                """            if event is None:
                self.ready.append(task)
            elif""",
                "            if",
            ),
        ),
        "'NoneType' object is not subscriptable",
    ),
    "poll(0)": (
        changed(
            LOOP,
            (
                """        seconds = None
""",
                """        seconds = 0
""",
            ),
            ("            seconds = max(0, self.sleepers[0][0] - time.monotonic())", "            seconds = 0"),
        ),
        "your Loop runs all the time",
    ),
    "poll(0) without timers": (
        changed(
            LOOP,
            (
                """        seconds = None
""",
                """        seconds = 0
""",
            ),
        ),
        "your Loop runs all the time",
    ),
    "poll(0) with timers": (
        changed(LOOP, ("seconds = max(0, self.sleepers[0][0] - time.monotonic())", "seconds = 0")),
        "your Loop runs all the time",
    ),
    "a hundredth of a second at a time": (
        changed(
            LOOP,
            (
                """        seconds = None
""",
                """        seconds = 0.01
""",
            ),
            ("max(0, self.sleepers[0][0] - time.monotonic())", "max(0, min(0.01, self.sleepers[0][0] - time.monotonic()))"),
        ),
        "wakes up again and again",
    ),
    "a second at a time": (
        changed(
            LOOP,
            (
                """        seconds = None
""",
                """        seconds = 1
""",
            ),
        ),
        "ms at most in line",
    ),
    "a second with timers": (
        changed(
            LOOP,
            ("max(0, self.sleepers[0][0] - time.monotonic())", "max(0, min(1, self.sleepers[0][0] - time.monotonic()))"),
        ),
        "ms at most in line",
    ),
    "until the last timer": (
        changed(LOOP, ("max(0, self.sleepers[0][0] - time.monotonic())", "max(0, max(self.sleepers)[0] - time.monotonic())")),
        "until the next timer, not more and not less",
    ),
    "no limit though there are timers": (
        changed(LOOP, ("seconds = max(0, self.sleepers[0][0] - time.monotonic())", "seconds = None")),
        "else the seconds until the first timer, else None",
    ),
    "a fixed second": (
        changed(LOOP, ("seconds = max(0, self.sleepers[0][0] - time.monotonic())", "seconds = 0.9")),
        "the engine waits until the first timer is due, no longer",
    ),
    "a negative timeout": (
        changed(LOOP, ("max(0, self.sleepers[0][0] - time.monotonic())", "self.sleepers[0][0] - time.monotonic()")),
        "max(0, ...)",
    ),
    "time.sleep until the timer": (
        changed(
            LOOP,
            (
                "            seconds = max(0, self.sleepers[0][0] - time.monotonic())",
                """            time.sleep(max(0, self.sleepers[0][0] - time.monotonic()))
            seconds = 0""",
            ),
        ),
        "No socket can wake it there",
    ),
    "time.sleep in place of a timer": (
        changed(
            LOOP,
            (
                "heapq.heappush(self.sleepers, (time.monotonic() + event[1], next(self.count), task))",
                """time.sleep(event[1])
                self.ready.append(task)""",
            ),
        ),
        "the order in which they went on",
    ),
    "whole seconds": (
        changed(LOOP, ("(time.monotonic() + event[1], next", "(time.monotonic() + int(event[1]), next")),
        "and went on after",
    ),
    "milliseconds": (
        changed(
            LOOP,
            ("max(0, self.sleepers[0][0] - time.monotonic())", "max(0, self.sleepers[0][0] - time.monotonic()) * 1000"),
        ),
        "not all tasks have ended within 1.5 s",
    ),
    "tasks in the heap": (
        changed(LOOP, ("next(self.count), task))", "task))"), ("heappop(self.sleepers)[2]", "heappop(self.sleepers)[1]")),
        "itertools.count()",
    ),
    "a list that is not sorted": (
        changed(
            LOOP,
            (
                "heapq.heappush(self.sleepers, (time.monotonic() + event[1], next(self.count), task))",
                "self.sleepers.append((time.monotonic() + event[1], next(self.count), task))",
            ),
            ("heapq.heappop(self.sleepers)[2]", "self.sleepers.pop(0)[2]"),
        ),
        "the order in which they went on",
    ),
    "sleepers wake at once": (
        changed(LOOP, ("while self.sleepers and self.sleepers[0][0] <= time.monotonic():", "while self.sleepers:")),
        "and went on after",
    ),
    "one timer a round, and late": (
        changed(
            LOOP,
            (
                "        while self.sleepers and self.sleepers[0][0] <= time.monotonic():",
                "        if self.sleepers and self.sleepers[0][0] <= time.monotonic() and not self.ready:",
            ),
        ),
        "again and again",
    ),
    "ready until nobody is": (
        changed(
            LOOP,
            (
                """            for _ in range(len(self.ready)):
""",
                """            while self.ready:
""",
            ),
        ),
        "a round runs those who were ready when it began",
    ),
    "sockets only when nobody is ready": (
        changed(
            LOOP,
            (
                """        if self.ready:
            seconds = 0
""",
                """        if self.ready:
            return
""",
            ),
        ),
        "a round runs those who were ready when it began",
    ),
    "waits although somebody is ready": (
        changed(
            LOOP,
            (
                """        if self.ready:
            seconds = 0
        elif""",
                "        if",
            ),
        ),
        "engine.wait() gets 0 when somebody is ready",
    ),
    "one place for a socket": (
        changed(
            LOOP,
            (
                """        self.socks[number] = sock
        waiting[number] = task
""",
                """        self.socks[number] = sock
        self.readers.pop(number, None)
        self.writers.pop(number, None)
        waiting[number] = task
""",
            ),
        ),
        "was one of the two forgotten",
    ),
    "the mask of the last one": (
        changed(
            LOOP,
            (
                "self.engine.watch(sock, number in self.readers, number in self.writers, number)",
                "self.engine.watch(sock, number in self.readers, number not in self.readers, number)",
            ),
        ),
        "was one of the two forgotten",
    ),
    "always both": (
        changed(
            LOOP,
            (
                "self.engine.watch(sock, number in self.readers, number in self.writers, number)",
                "self.engine.watch(sock, True, True, number)",
            ),
        ),
        "Loop",
    ),
    "the other one is dropped": (
        changed(
            LOOP,
            (
                """                self.ready.append(waiting.pop(number))
        self.watch(number)""",
                """                self.ready.append(waiting.pop(number))
        self.readers.pop(number, None)
        self.writers.pop(number, None)
        self.watch(number)""",
            ),
        ),
        "was one of the two forgotten",
    ),
    "never unwatches": (
        changed(
            LOOP,
            (
                """            self.engine.unwatch(sock)
            del self.socks[number]""",
                "            del self.socks[number]",
            ),
            (
                "            self.wake(number, readable or hup",
                """            if number in self.socks:
                self.wake(number, readable or hup""",
            ),
        ),
        "watch a socket only while a task waits for it",
    ),
    "never unwatches, and is surprised": (
        changed(
            LOOP,
            (
                """            self.engine.unwatch(sock)
            del self.socks[number]""",
                "            del self.socks[number]",
            ),
        ),
        "What you keep and what the engine watches must agree",
    ),
    "watches for nothing": (
        changed(
            LOOP,
            (
                """            self.engine.unwatch(sock)
""",
                """            self.engine.watch(sock, False, False, number)
""",
            ),
        ),
        "tfd lines",
    ),
    "keeps all sockets": (
        changed(
            LOOP,
            ("        self.socks[number] = sock\n", "        self.socks[number] = sock\n        self.all.append(sock)\n"),
            ("        self.sleepers = []\n", "        self.sleepers, self.all = [], []\n"),
        ),
        "still keeps 50 of them: it grows with every connection",
    ),
    "keeps all tasks": (
        changed(
            LOOP,
            (
                """        self.ready.append(task)

    def run""",
                """        self.ready.append(task)
        self.all = getattr(self, 'all', []) + [task]

    def run""",
            ),
        ),
        "still keeps 50 of them",
    ),
    "never returns": (
        changed(
            LOOP,
            ("while self.ready or self.socks or self.sleepers:", "while True:"),
            (
                """        elif not self.socks:
            return
""",
                "",
            ),
        ),
        "run() did not return within 1 s",
    ),
    "spawn runs the first step": (
        changed(
            LOOP,
            (
                """        self.ready.append(task)

    def run""",
                """        self.step(task)

    def run""",
            ),
        ),
        "spawn() made a step of it at once",
    ),
    "spawn without a name": (changed(LOOP, ("def spawn(self, task, name=None)", "def spawn(self, task)")), "spawn()"),
    "a closed socket is not noticed": (
        changed(
            LOOP,
            (
                """        if number in self.socks and self.socks[number] is not sock:
            self.wake(number, True, True)
""",
                "",
            ),
            (
                """        self.socks[number] = sock
""",
                """        sock = self.socks.setdefault(number, sock)
""",
            ),
        ),
        "keep the number that it had",
    ),
    "a loop on poll()": (
        changed(LOOP, ("EpollEngine()", "PollEngine()")),
        "A closed socket has the number -1",
    ),
    "a thread for timers": (
        changed(
            LOOP,
            (
                "heapq.heappush(self.sleepers, (time.monotonic() + event[1], next(self.count), task))",
                """self.timer = threading.Timer(event[1], self.ready.append, [task])
                self.timer.start()
                self.sleepers.append((time.monotonic() + event[1] + 0.005, 0, None))""",
            ),
            ("self.ready.append(heapq.heappop(self.sleepers)[2])", "self.sleepers.pop(0)"),
        ),
        "your Loop has started a thread",
    ),
    "does not take the waiter out": (
        changed(LOOP, ("self.ready.append(waiting.pop(number))", "self.ready.append(waiting[number])")),
        "forget who has ended",
    ),
    "a dict of timers": (
        changed(
            LOOP,
            (
                "heapq.heappush(self.sleepers, (time.monotonic() + event[1], next(self.count), task))",
                "self.moments[time.monotonic() + event[1]] = task",
            ),
            (
                """        self.sleepers = []
""",
                """        self.moments = {}
""",
            ),
            ("self.ready.append(heapq.heappop(self.sleepers)[2])", "self.ready.append(self.moments.pop(self.sleepers[0][0]))"),
            (
                "    def step(self",
                """    @property
    def sleepers(self):
        return sorted(self.moments.items(), key=lambda pair: pair[0])

    def step(self""",
            ),
        ),
        "had not ended",
    ),
    "one reader at a time": (
        changed(
            LOOP,
            (
                """        waiting[number] = task
""",
                """        waiting.clear()
        waiting[number] = task
""",
            ),
        ),
        "30 pairs of tasks play ping-pong",
    ),
    "sends something in": (
        changed(LOOP, ("task.send(None)", "task.send(self)")),
        "can't send non-None value to a just-started generator",
    ),
    "one timer in each round": (
        changed(
            LOOP,
            (
                "        while self.sleepers and self.sleepers[0][0] <= time.monotonic():",
                "        for _ in range(bool(self.sleepers) and self.sleepers[0][0] <= time.monotonic() and not self.readers):",
            ),
        ),
        "not all tasks have ended within 1.5 s",
    ),
    "a task that raises is tried again": (
        changed(
            LOOP,
            (
                "            traceback.print_exception(error)",
                """            traceback.print_exception(error)
            self.ready.append(task)""",
            ),
        ),
        "was resumed as if that had come",
    ),
    "the error of a wait kills the waiting sockets": (
        changed(
            LOOP,
            (
                """            del self.socks[number], waiting[number]
            raise
""",
                """            raise
""",
            ),
        ),
        "for a closed socket, and run() did not return",
    ),
    "stops when a task raises": (
        changed(
            LOOP,
            (
                "            traceback.print_exception(error)",
                """            traceback.print_exception(error)
            raise SystemExit(1)""",
            ),
        ),
        "sys.exit()",
    ),
    "asyncio": (
        """
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
            """,
        "0 of them ran before run() returned",
    ),
    "a class without run": (
        """
        class Loop:
            def spawn(self, task, name=None):
                pass
        """,
        "has no method run()",
    ),
    "StopIteration is printed": (
        changed(
            LOOP,
            (
                """        except StopIteration:
            pass
""",
                "",
            ),
        ),
        "it comes out of send() when a task ends",
    ),
    "leaves at the first error": (
        changed(
            LOOP,
            (
                "            traceback.print_exception(error)",
                """            traceback.print_exception(error)
            self.sleepers.clear()""",
            ),
        ),
        "another task did not run to its end",
    ),
}

HTTP_CASES = {
    "recv once": (
        changed(
            HTTP,
            (
                """            while b"\\r\\n\\r\\n" not in unread:
                data = yield from recv(conn, 4096)
                if not data:
                    return
                unread += data
""",
                """            unread = yield from recv(conn, 4096)
            if not unread:
                return
""",
            ),
        ),
        "A request may come in pieces",
    ),
    "waits for one line": (
        changed(
            HTTP,
            ('while b"\\r\\n\\r\\n" not in unread', 'while b"\\r\\n" not in unread'),
            ('unread.partition(b"\\r\\n\\r\\n")', 'unread.partition(b"\\r\\n")'),
        ),
        "A request ends at its empty line, not before",
    ),
    "no Content-Length": (changed(HTTP, ("Content-Length: {len(body)}\\r\\n", "")), "has no field Content-Length"),
    "the second request is lost": (
        changed(
            HTTP,
            (
                "            head = head.decode",
                """            unread = b""
            head = head.decode""",
            ),
        ),
        "came in one packet, and number 2 of them",
    ),
    "closes after one answer": (
        changed(HTTP, ('if "connection: close" in head.lower():', "if True:")),
        "the connection was closed too early",
    ),
    "never closes on request": (
        changed(HTTP, ('if "connection: close" in head.lower():', "if False:")),
        "Close after this answer",
    ),
    "field names in capitals": (
        changed(HTTP, ("in head.lower()", "in head"), ('"connection: close"', '"Connection: close"')),
        "the same in capitals and small letters",
    ),
    "an empty page is none": (changed(HTTP, ("if body is None", "if not body")), "ask `if body is None`"),
    "no 404": (
        changed(
            HTTP,
            (
                """            if body is None:
                status, body = "404 Not Found", b"no such page"
""",
                "",
            ),
        ),
        "page gives None",
    ),
    "404 closes": (
        changed(
            HTTP,
            (
                """                status, body = "404 Not Found", b"no such page"
""",
                """                return
""",
            ),
        ),
        "GET /nothing",
    ),
    "404 with status 200": (
        changed(HTTP, ('status, body = "404 Not Found", b"no such page"', 'body = b"no such page"')),
        "the status of the answer is 200, not 404",
    ),
    "404 without a body": (
        changed(
            HTTP,
            (
                """                status, body = "404 Not Found", b"no such page"
""",
                """                yield from send_all(conn, b"HTTP/1.1 404 Not Found\\r\\n\\r\\n")
                continue
""",
            ),
        ),
        "has no field Content-Length",
    ),
    "line feeds alone": (
        changed(
            HTTP,
            (
                'f"HTTP/1.1 {status}\\r\\nContent-Length: {len(body)}\\r\\n\\r\\n"',
                'f"HTTP/1.1 {status}\\nContent-Length: {len(body)}\\n\\n"',
            ),
        ),
        "Each line ends in \\r\\n",
    ),
    "no empty line": (changed(HTTP, ("{len(body)}\\r\\n\\r\\n", "{len(body)}\\r\\n")), "an empty line ends the head"),
    "the length is wrong": (changed(HTTP, ("{len(body)}", "{len(body) + 2}")), "Content-Length says 8, and 6 bytes came"),
    "the length counts the head": (
        changed(
            HTTP,
            (
                "            yield from send_all",
                """            size = len(body) + 19
            yield from send_all""",
            ),
            ("{len(body)}", "{size}"),
        ),
        "Content-Length says 25, and 6 bytes came",
    ),
    "the length is too short": (changed(HTTP, ("{len(body)}", "{len(body) - 1}")), "the body is b'hello'"),
    "the body as text": (
        changed(HTTP, ('{len(body)}\\r\\n\\r\\n".encode() + body', '{len(body)}\\r\\n\\r\\n{body}".encode()')),
        "the body is",
    ),
    "the body is decoded": (
        changed(
            HTTP,
            (
                "            yield from send_all",
                """            body = body.decode()
            yield from send_all""",
            ),
            ('".encode() + body', '".encode() + body.encode()'),
        ),
        "UnicodeDecodeError",
    ),
    "no yield from for the page": (changed(HTTP, ("yield from page(path)", "page(path)")), "`yield from` gives its value"),
    "no yield from for recv": (changed(HTTP, ("yield from recv", "recv")), "`yield from` gives its value"),
    "no yield from for send_all": (
        changed(HTTP, ("            yield from send_all", "            send_all")),
        "no answer within 1 s",
    ),
    "yields the generator": (
        changed(HTTP, ("data = yield from recv", "data = yield recv")),
        "A task yielded a generator: go through it with `yield from`",
    ),
    "the socket's own recv": (changed(HTTP, ("yield from recv(conn, 4096)", "conn.recv(4096)")), "yield from recv(conn, n)"),
    "the socket's own recv for the rest of a request": (
        changed(HTTP, ("yield from recv(conn, 4096)", "conn.recv(4096) if unread else (yield from recv(conn, 4096))")),
        "The connection is non-blocking: `yield from recv(conn, n)`",
    ),
    "the socket's own sendall": (changed(HTTP, ("yield from send_all(conn, ", "conn.sendall(")), "yield from recv(conn, n)"),
    "a blocking socket": (
        changed(
            HTTP,
            (
                """    try:
        while True:
            while""",
                """    conn.setblocking(True)
    try:
        while True:
            while""",
            ),
        ),
        "in recv(), for one client",
    ),
    "drives the page by itself": (
        changed(
            HTTP,
            (
                """            body = yield from page(path)
""",
                """            task = page(path)
            while True:
                try:
                    next(task)
                except StopIteration as end:
                    body = end.value
                    break
""",
            ),
        ),
        "served one after the other",
    ),
    "UTF-8 fields": (changed(HTTP, ('decode("latin-1")', "decode()")), "decode('latin-1') takes them all"),
    "bytes paths": (changed(HTTP, ("page(path)", "page(path.encode())")), "page(path) was called with a value of type bytes"),
    "the whole first line": (
        changed(HTTP, ("page(path)", 'page(head.split("\\r\\n")[0])')),
        "the second word of the first line",
    ),
    "no close": (
        changed(
            HTTP,
            (
                """    finally:
        conn.close()
""",
                """    finally:
        pass
""",
            ),
        ),
        "http has returned, and its connection is still open",
    ),
    "close only at the end": (
        changed(
            HTTP,
            (
                """                if not data:
                    return
""",
                """                if not data:
                    conn.close()
                    return
""",
            ),
            (
                """                return
    finally:
        conn.close()
""",
                """                conn.close()
                return
    finally:
        pass
""",
            ),
        ),
        "the connection stays open",
    ),
    "b'' is not noticed": (
        changed(
            HTTP,
            (
                """                if not data:
                    return
""",
                "",
            ),
        ),
        "recv gives b'' again and again when a client has finished",
    ),
    "half-closed without answers": (
        changed(
            HTTP,
            (
                "            head, _, unread",
                """            poll = select.poll()
            poll.register(conn, select.POLLRDHUP)
            if poll.poll(0):
                return
            head, _, unread""",
            ),
        ),
        "first answer all that has come",
    ),
    "reads 100 bytes at most": (
        changed(
            HTTP,
            (
                """                data = yield from recv(conn, 4096)
""",
                """                data = yield from recv(conn, 4096)
                if len(unread) > 4096:
                    return
""",
            ),
        ),
        "GET /",
    ),
    "send once": (changed(HTTP, ("yield from send_all(conn, ", "conn.send(")), "send_all sends them all"),
    "one byte less": (
        changed(
            HTTP,
            (
                """            head, _, unread = unread.partition(b"\\r\\n\\r\\n")
""",
                """            head, unread = unread.split(b"\\r\\n\\r\\n")
""",
            ),
        ),
        "Two requests may come in one recv()",
    ),
    "one buffer for all": (
        changed(
            HTTP,
            (
                "def http",
                """unread = b""

def http""",
            ),
            (
                """    unread = b""
    try""",
                """    global unread
    try""",
            ),
        ),
        "Each connection needs a buffer of its own",
    ),
    "404 promises a body": (
        changed(
            HTTP,
            (
                'status, body = "404 Not Found", b"no such page"',
                """yield from send_all(conn, b"HTTP/1.1 404 Not Found\\r\\nContent-Length: 10\\r\\n\\r\\n")
                continue""",
            ),
        ),
        "Content-Length says 10, and 0 bytes came",
    ),
    "the page in a loop of its own": (
        changed(
            HTTP,
            (
                """            body = yield from page(path)
""",
                """            from course_lib.solutions.coroutines import Loop
            found = []

            def task():
                found.append((yield from page(path)))

            loop = Loop()
            loop.spawn(task())
            loop.run()
            body = found[0]
""",
            ),
        ),
        "served one after the other",
    ),
    "a process for each page": (
        changed(
            HTTP,
            (
                """            body = yield from page(path)
""",
                """            body = yield from page(path)
            import subprocess
            globals().setdefault("child", subprocess.Popen(["sleep", "5"]))
""",
            ),
        ),
        "started another process",
    ),
    "HTTP/1.1 is forgotten": (changed(HTTP, ("HTTP/1.1 {status}", "{status}")), "the answer begins with b'200 OK"),
    "the address of the body": (changed(HTTP, ("{len(body)}", "{id(body)}")), "Content-Length says"),
    "a space in the length": (changed(HTTP, ("{len(body)}", "{len(body)} bytes")), "it is the number of bytes of the body"),
    "reads and answers nothing": (
        """
        def http(conn, page):
            while (yield from recv(conn, 4096)):
                pass
            conn.close()
        """,
        "no answer within 1 s",
    ),
    "closes at once": (
        """
        def http(conn, page):
            conn.close()
            return
            yield
        """,
        "no answer came, but the end",
    ),
    "shutdown in place of close": (
        changed(HTTP, ("        conn.close()", "        conn.shutdown(2)")),
        "its connection is still open",
    ),
    "time.sleep": (
        changed(
            HTTP,
            (
                """            body = yield from page(path)
""",
                """            time.sleep(3)
            body = yield from page(path)
""",
            ),
        ),
        "only when it yields",
    ),
    "answers the first client only": (
        changed(
            HTTP,
            (
                """    unread = b""
""",
                """    unread = b""
    global first
    first = globals().get("first", conn)
    if first is not conn:
        while True:
            yield "sleep", 60
""",
            ),
        ),
        "The first client is silent, and a second one asked",
    ),
}

ASYNC_CASES = {
    "an async __await__": (changed(ASYNC, ("    def __await__", "    async def __await__")), "__await__ is a plain def"),
    "__await__ returns the tuple": (
        changed(ASYNC, ("        yield self.event, self.about", "        return self.event, self.about")),
        "__await__ must give an iterator",
    ),
    "__await__ returns an iterator of two": (
        changed(ASYNC, ("        yield self.event, self.about", "        return iter((self.event, self.about))")),
        'not ("read", sock)',
    ),
    "__await__ yields itself": (
        changed(ASYNC, ("        yield self.event, self.about", "        yield self")),
        'not ("read", sock)',
    ),
    "__await__ yields twice": (
        changed(
            ASYNC,
            (
                "        yield self.event, self.about",
                """        yield self.event, self.about
        yield self.event, self.about""",
            ),
        ),
        "a second time",
    ),
    "__iter__": (changed(ASYNC, ("def __await__", "def __iter__")), "an object whose class has __await__"),
    "yields from an await": (
        changed(ASYNC, ("        yield self.event, self.about", "        yield from (self.event, self.about)")),
        'not ("read", sock)',
    ),
    "swapped": (changed(ASYNC, ("yield self.event, self.about", "yield self.about, self.event")), 'not ("read", sock)'),
    "generators": (
        changed(
            ASYNC,
            (
                """    async def recv(self, n):
        while (data := try_recv(self.sock, n)) is None:
            await Wait("read", self.sock)""",
                """    def recv(self, n):
        while (data := try_recv(self.sock, n)) is None:
            yield "read", self.sock""",
            ),
        ),
        "cannot stand behind await",
    ),
    "awaits a generator": (
        changed(
            ASYNC,
            (
                """        while (data := try_recv(self.sock, n)) is None:
            await Wait("read", self.sock)
        return data""",
                "        return await recv(self.sock, n)",
            ),
        ),
        "Behind await stands a coroutine",
    ),
    "yields in an async def": (
        changed(
            ASYNC,
            (
                """            except BlockingIOError:
                await Wait("write", self.sock)""",
                """            except BlockingIOError:
                yield "write", self.sock""",
            ),
        ),
        "async generator",
    ),
    "forgets await": (
        changed(
            ASYNC,
            (
                """            await Wait("read", self.sock)
        return data""",
                """            Wait("read", self.sock)
        return data""",
            ),
        ),
        "neither yielded nor returned within 1 s",
    ),
    "a plain def": (
        changed(
            ASYNC,
            (
                """    async def recv(self, n):
        while (data := try_recv(self.sock, n)) is None:
            await Wait("read", self.sock)
        return data""",
                """    def recv(self, n):
        return try_recv(self.sock, n)""",
            ),
        ),
        "not a coroutine",
    ),
    "blocks": (
        changed(
            ASYNC,
            (
                """            await Wait("read", self.sock)
        return data""",
                """            select.select([self.sock], [], [])
        return data""",
            ),
        ),
        "it sleeps",
    ),
    "does not try again": (
        changed(
            ASYNC,
            (
                """        while (data := try_recv(self.sock, n)) is None:
            await Wait("read", self.sock)""",
                """        if (data := try_recv(self.sock, n)) is None:
            await Wait("read", self.sock)
            data = try_recv(self.sock, n)""",
            ),
        ),
        "ready is a hint",
    ),
    "accept gives a plain socket": (changed(ASYNC, ("return AsyncSocket(conn)", "return conn")), "as an AsyncSocket"),
    "asyncio": (
        changed(
            ASYNC,
            (
                """            await Wait("read", self.sock)
        return data""",
                """            await __import__('asyncio').sleep(0)
        return data""",
            ),
        ),
        "yielded None",
    ),
    "asyncio for real": (
        changed(
            ASYNC,
            (
                """            await Wait("read", self.sock)
        return data""",
                """            await __import__('asyncio').sleep(0.01)
        return data""",
            ),
        ),
        "asyncio's own loop",
    ),
    "another attribute": (
        changed(
            ASYNC,
            ("        self.sock = sock", "        self.socket = sock"),
            ("self.sock,", "self.socket,"),
            ("self.sock)", "self.socket)"),
            ("self.sock.", "self.socket."),
        ),
        "in the attribute `sock`",
    ),
    "send once": (
        changed(
            ASYNC,
            (
                """        while data:
            try:
                data = data[self.sock.send(data):]""",
                """        if data:
            try:
                data = data[self.sock.send(data):]""",
            ),
        ),
        "send() takes what fits",
    ),
    "loop.sock_recv": (
        changed(
            ASYNC,
            (
                """        while (data := try_recv(self.sock, n)) is None:
            await Wait("read", self.sock)
        return data""",
                """        import asyncio
        return await asyncio.get_running_loop().sock_recv(self.sock, n)""",
            ),
        ),
        "asyncio's own loop",
    ),
    "close does nothing": (changed(ASYNC, ("        self.sock.close()", "        pass")), "close() left the socket open"),
    "Wait without await": (
        changed(
            ASYNC,
            (
                """    def __await__(self):
        yield self.event, self.about
""",
                "",
            ),
        ),
        "Behind await stands",
    ),
}

CASES = {"7.1": RUN_CASES, "7.2": WAITS_CASES, "7.3": LOOP_CASES, "7.4": HTTP_CASES, "7.5": ASYNC_CASES}
