"""Exercises of notebook 07: tasks that take turns, waits that are yielded, a loop on epoll, HTTP on it, the same with async."""

import socket
import threading
from collections import Counter, deque
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from types import GeneratorType

from .attempt import Attempt
from .event_loop import Loop, check_loop
from .exercise import Exercise, Wrong
from .harness import SMALL
from .nonblocking import try_accept, try_recv
from .run import Raised
from .talk import Talk, a
from .waits import (
    Driven,
    accept,
    check_waits,
    connection,
    explained_waits,
    recv,
    send_all,
    shown,
    sleep,
    use_accept,
    use_recv,
    use_send_all,
)
from .web import check_http, check_web, http, serve


def run(tasks: dict[str, Generator]) -> dict[str, object]:
    """Run the tasks in turn, one step each, until all have ended. Return for each name what its task returned or raised."""
    results = {}
    ready = deque(tasks.items())
    while ready:
        name, task = ready.popleft()
        try:
            next(task)
        except StopIteration as end:
            results[name] = end.value
        except Exception as error:  # it ends this task, and no other
            results[name] = error
        else:
            ready.append((name, task))
    return results


class Wait:
    """Something to await: the task stops here, and the loop gets (event, about), as from a yield in a generator."""

    def __init__(self, event: str, about: socket.socket | float) -> None:
        self.event, self.about = event, about

    def __await__(self) -> Generator:
        yield self.event, self.about


class AsyncSocket:
    """A non-blocking socket whose calls are awaited: `data = await conn.recv(4096)`."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock

    async def recv(self, n: int) -> bytes:
        """Return at most n bytes as soon as there are some; b"" when the peer has finished or sent a reset."""
        while (data := try_recv(self.sock, n)) is None:
            await Wait("read", self.sock)
        return data

    async def send_all(self, data: bytes) -> None:
        """Send all of data. An error of send(), such as ConnectionResetError, comes through."""
        left = memoryview(data)
        while left:
            try:
                left = left[self.sock.send(left) :]
            except BlockingIOError:
                await Wait("write", self.sock)

    async def accept(self) -> "AsyncSocket":
        """Return the next client's connection."""
        while (conn := try_accept(self.sock)) is None:
            await Wait("read", self.sock)
        return AsyncSocket(conn)

    def close(self) -> None:
        self.sock.close()


def check_run(attempt: Attempt) -> None:
    run = attempt.run(_use_run)
    try:
        run.hear("run(tasks) did not return within 1 s")
    except Raised as error:
        raise _explained_run(error) from None
    run.alone()


def _explained_run(error: Raised) -> Exception:
    why = ""
    if error.type in ("ValueError", "KeyError", "IndexError", "LookupError") and "of task B" in error.text:
        return Wrong(
            f"Task B raised {error.type}, and it took everybody with it{error.line}: an exception of a task comes out of "
            "next(task). "
            "Catch it there, keep it as the result of B, and go on with the others."
        )
    if error.type == "StopIteration":
        why = "next() raises StopIteration when a task returns: catch it around each next(); the value of the return is in it."
    elif error.type == "RecursionError":
        why = "Each call of run from inside of run takes room on the stack: go round in a loop."
    elif error.type == "RuntimeError" and "changed size" in error.text:
        why = (
            "A task has ended, and it was taken out of a dict while a loop goes over it: loop over a copy, list(...), or keep "
            "the tasks in a deque."
        )
    elif error.type == "ValueError" and "already executing" in error.text:
        why = "A generator cannot be resumed while it runs: is there a second thread?"
    elif error.type == "AttributeError" and "'dict'" in error.text or error.type == "TypeError" and "'str'" in error.text:
        why = "`tasks` is a dict: name → generator; tasks.items() gives the pairs."
    return Wrong(f"{error} {why}") if why else error


def _use_run(talk: Talk, learner: Callable) -> None:
    _takes_turns(talk, learner)
    _keeps_results(talk, learner)
    _survives_errors(talk, learner)
    talk.step("tasks is empty, and run({}) did not return within 1 s")
    if (got := learner({})) != {}:
        raise Wrong(f"There was no task, and run({{}}) returned {shown(got)}, not {{}}.")
    talk.step("A task of 5000 steps and 500 of 10 steps took over 2 s", 2.0)
    names = [f"short {number}" for number in range(500)]
    got = learner({"long": _steps(5000), **{name: _steps(10) for name in names}})
    if got != {"long": 5000, **{name: 10 for name in names}}:
        raise Wrong("501 tasks ran, and some of the results are missing or wrong.")
    talk.good("long tasks, many tasks, no task")


def _steps(number: int) -> Generator:
    for _ in range(number):
        yield
    return number


def _takes_turns(talk: Talk, learner: Callable) -> None:
    log, threads, sent = [], set(), []

    def task(name: str, steps: int) -> Generator:
        for step in range(steps):
            log.append((name, step))
            threads.add(threading.get_ident())
            sent.append((yield f"yielded by {name}"))
        return steps * 10

    lengths = {"A": 3, "B": 1, "C": 4, "D": 2, "E": 2}
    right = [(name, step) for step in range(4) for name in lengths if step < lengths[name]]
    tasks = {name: task(name, steps) for name, steps in lengths.items()}
    talk.step("Five tasks of one to four steps, and run(tasks) did not return within 1 s")
    got = learner(tasks)
    if isinstance(got, GeneratorType | Coroutine):
        raise Wrong(f"run returned {a(got)}: return a dict.")
    if not log:
        raise Wrong(f"run(tasks) returned {shown(got)}, and no task has made a step: next(task) makes one.")
    order = ", ".join(f"{name}{step}" for name, step in log)
    counts = Counter(name for name, _ in log)
    short = [name for name in lengths if counts[name] < lengths[name]]
    if short and log == [(name, 0) for name in lengths]:
        raise Wrong(f"The steps were {order}, and then run returned: go round again and again, until all tasks have ended.")
    if log != right:
        if log[:3] == [("A", 0), ("A", 1), ("A", 2)]:
            raise Wrong(f"The steps were {order}: A ran to its end before B began. One next() for A, then one for B, and so on.")
        if short:
            raise Wrong(
                f"The steps were {order}, and then run returned: {' and '.join(short)} had not ended. Go round until no task is "
                "left, also "
                "when some have ended."
            )
        at = next(number for number, (did, should) in enumerate(zip(log, right)) if did != should)
        ended = [name for name in lengths if at and lengths[name] <= log[at - 1][1] + 1]
        why = ""
        if sorted(log) == sorted(right) and ended:
            why = (
                f" {ended[0]} had ended then: to take it out of a list while a loop goes over it skips the next one. Loop over "
                "a copy, or use a deque."
            )
        raise Wrong(f"The steps were {order}; in turn would be {', '.join(f'{name}{step}' for name, step in right)}.{why}")
    if threads != {threading.get_ident()}:
        raise Wrong("The tasks ran in more than one thread: next(task) runs a task in your own, and one is enough.")
    if any(value is not None for value in sent):
        raise Wrong("Something was sent into a task: next(task), or task.send(None).")
    talk.good("one step of each task in turn, until all have ended, in one thread")
    _is_result(got, {name: steps * 10 for name, steps in lengths.items()}, "Each task returned a number")


def _keeps_results(talk: Talk, learner: Callable) -> None:
    def task(steps: int, value: object) -> Generator:
        for _ in range(steps):
            yield "a yielded value"
        return value

    values = {
        "text": "done",
        "zero": 0,
        "nothing": None,
        "false": False,
        "empty": [],
        "an error": ValueError("returned, not raised"),
    }
    talk.step("Six tasks return different values, and run(tasks) did not return within 1 s")
    _is_result(
        learner({name: task(number % 3, value) for number, (name, value) in enumerate(values.items())}),
        values,
        "Each task returned a value",
    )
    talk.good("what each task returned, None too, and also from one that never yields")


def _survives_errors(talk: Talk, learner: Callable) -> None:
    def fails(steps: int, error: Exception) -> Generator:
        yield from _steps(steps)
        raise error

    for steps in 1, 0, 3:
        for error in ValueError("of task B"), KeyError("of task B"), IndexError("of task B"), LookupError("of task B"):
            talk.step(f"Task B raised {type(error).__name__}, and run(tasks) did not return within 1 s")
            got = learner({"A": _steps(2), "B": fails(steps, error), "C": _steps(4)})
            if isinstance(got, dict) and "B" in got and got["B"] is not error:
                kind = (
                    "the class of the exception"
                    if got["B"] is type(error)
                    else "a text"
                    if isinstance(got["B"], str)
                    else shown(got["B"])
                )
                raise Wrong(
                    f"Task B raised {error!r}, and its result is {kind}: the exception itself is asked for, `except Exception as "
                    "error`."
                )
            if isinstance(got, dict) and got.get("B") is error and {"A", "C"} - got.keys():
                raise Wrong("Task B raised an exception, and the other tasks were not run to their end: go on with them.")
            _is_result(got, {"A": 2, "B": error, "C": 4}, f"Task B raised {type(error).__name__}, A and C returned a number")
    talk.good("a task that raises: the exception is its result, and the others go on")


def _is_result(got: object, right: dict, what: str) -> None:
    if not isinstance(got, dict):
        raise Wrong(f"run returned {a(got)}: return a dict, name → what the task returned.")
    if missing := [name for name in right if name not in got]:
        raise Wrong(
            f"{what}, and the dict has no {missing[0]!r}: it has {shown(sorted(map(str, got)))}. Keep the result in the moment "
            "when a task ends."
        )
    if more := [name for name in got if name not in right]:
        raise Wrong(f"{what}, and the dict has a key {shown(more[0])}: the keys are the names of the tasks.")
    for name, value in right.items():
        if got[name] is value or type(got[name]) is type(value) and got[name] == value:
            continue
        why = f"not {shown(value)}"
        if isinstance(got[name], StopIteration):
            why = "which carries it: take its `value`"
        elif isinstance(got[name], str) and "yielded" in got[name]:
            why = (
                "which it yielded. What it returned is in the StopIteration: `except StopIteration as end`, then end.value "
                "(PEP 380)"
            )
        elif got[name] is None:
            why = f"not {shown(value)}. It is in the StopIteration: `except StopIteration as end`, then end.value (PEP 380)"
        elif isinstance(got[name], list | tuple) and value in got[name]:
            why = f"not the {shown(value)} in it alone"
        raise Wrong(f"{what}; the result of {name!r} is {shown(got[name])}, {why}.")


def check_async(attempt: Attempt) -> None:
    run = attempt.run(_use_async, attempt.listen(SMALL))
    try:
        run.hear("Wait and AsyncSocket did not answer within 1 s")
    except Raised as error:
        raise explained_waits(error) from None
    run.alone()
    attempt.begin_anew()
    found = len(attempt.findings)
    try:
        check_web(attempt, _serve_async, "a server on your AsyncSocket")
    except Wrong as wrong:
        raise Wrong(f"HTTP on your AsyncSocket: {wrong}") from None
    del attempt.findings[found:]
    attempt.good("HTTP with them, async def on the unchanged Loop: all that 7.4 asks for")


def _use_async(talk: Talk, learner: tuple[type, type], listener: socket.socket) -> None:
    wait, async_socket = learner
    with socket.socket() as sock:
        _use_wait(talk, wait, sock)

    def method(name: str) -> Callable:
        def begin(sock: socket.socket, *arguments: object) -> Coroutine:
            talk.step("AsyncSocket(sock) did not return within 1 s")
            made = async_socket(sock)
            if getattr(made, "sock", None) is not sock:
                raise Wrong("AsyncSocket(sock) keeps its socket in the attribute `sock`, as in the stub.")
            return _is_coroutine(getattr(made, name)(*arguments), name)

        return begin

    late = []
    use_recv(talk, method("recv"), listener, late)
    use_send_all(talk, method("send_all"), listener, late)
    use_accept(talk, method("accept"), listener, late, async_socket)
    with connection(listener) as (_, sock):
        async_socket(sock).close()
        if sock.fileno() != -1:
            raise Wrong("close() left the socket open.")
    talk.tell()


def _use_wait(talk: Talk, wait: type, sock: socket.socket) -> None:
    async def waits(event: str, about: object) -> object:
        return await wait(event, about)

    for event, about, name in ("read", sock, "sock"), ("write", sock, "sock"), ("sleep", 0.5, "0.5"):
        call = f'await Wait("{event}", {name})'
        driven = Driven(talk, waits(event, about), call)
        try:
            driven.waits("It was begun", event, about, name)
        except TypeError as error:
            if "__await__" in str(error) and ("coroutine" in str(error) or "async_generator" in str(error)):
                raise Wrong(
                    f"TypeError: {error}. __await__ is a plain def: with async in front it gives something else, and await wants "
                    "an iterator (PEP 492)."
                ) from None
            if "__await__" in str(error):
                raise Wrong(
                    f"TypeError: {error}. __await__ must give an iterator: with `yield` in its body it is a generator function, "
                    "and gives one (PEP 492)."
                ) from None
            raise
        driven.resume("What it waits for has come")
        if not driven.over:
            raise Wrong(f"{call} yielded a second time: one tuple, and when it is resumed it has come.")
    talk.good("await Wait(event, about) hands the loop the tuple, once")


def _is_coroutine(got: object, name: str) -> Coroutine:
    if isinstance(got, Coroutine):
        return got
    if isinstance(got, AsyncGenerator):
        raise Wrong(
            f"AsyncSocket.{name} gives an async generator: with `yield` in an async def it becomes one. `await Wait(event, "
            "about)` instead."
        )
    if isinstance(got, GeneratorType):
        raise Wrong(
            f"AsyncSocket.{name} gives a generator, which cannot stand behind await (PEP 492): `async def {name}`, and `await` "
            "in place of `yield`."
        )
    raise Wrong(f"AsyncSocket.{name} gives {a(got)}, not a coroutine: `async def {name}`.")


def _serve_async(talk: Talk, learner: tuple[type, type], listener: socket.socket) -> None:
    wait, async_socket = learner

    async def accept(listener: object) -> object:
        return await listener.accept()

    async def http(conn: object, page: Callable) -> None:
        """http of 7.4, word for word, with await."""
        try:
            unread = b""
            while True:
                while b"\r\n\r\n" not in unread:
                    if not (data := await conn.recv(4096)):
                        return
                    unread += data
                head, _, unread = unread.partition(b"\r\n\r\n")
                request, *lines = head.decode("latin-1").split("\r\n")
                method, path, version = request.split(" ")
                await wait("sleep", 0)
                body = await page(path)
                status = "404 Not Found" if body is None else "200 OK"
                await conn.send_all(f"HTTP/1.1 {status}\r\nContent-Length: {len(body or b'')}\r\n\r\n".encode() + (body or b""))
                if "connection: close" in map(str.lower, lines):
                    return
        finally:
            conn.close()

    serve(talk, async_socket(listener), accept, http)


EXERCISES = (
    Exercise(
        id="7.1",
        minutes=8,
        task=(
            "Write `run(tasks)`, the smallest scheduler. `tasks` is a dict: name → generator. Go round: one step of each task, "
            "in the order "
            "of the dict, until it stops at its next `yield`; then the same again with those that have not ended. Return a "
            "dict: name → what "
            "the task returned. A task that raises an exception ends, and the exception is its result; the others go on. All in "
            "one thread."
        ),
        stub='''\
from collections import deque
from typing import Generator


def run(tasks: dict[str, Generator]) -> dict[str, object]:
    """Run the tasks in turn, one step each, until all have ended. Return for each name what its task returned or raised."""
    raise NotImplementedError
''',
        hints=(
            "next(task) runs a generator to its next yield. When it returns instead, next() raises StopIteration: what is in "
            "its `value`?",
            "A collections.deque of (name, task): take from the left, make one step, and put it back at the right if it has not "
            "ended.",
            "Two except clauses: StopIteration as end, whose result is end.value; and Exception as error, whose result is the "
            "error itself.",
        ),
        solution=run,
        explanation=(
            "A generator keeps its place and its variables when it yields (PEP 255), so whoever calls next() decides who runs: "
            "this is all "
            "that a scheduler does. The return value comes inside StopIteration (PEP 380), and any other exception comes out of "
            "next() as "
            "out of any call: caught there, it ends one task and not the scheduler. There is one thread and one stack; nobody is "
            "interrupted, and a task that does not yield keeps all the others waiting."
        ),
        check=check_run,
    ),
    Exercise(
        id="7.2",
        minutes=8,
        task=(
            "Write four generators that wait by `yield`. Each tries first; when the call would have to wait, it yields what it "
            "waits for, "
            "and when it is resumed it tries again. `sock` and `listener` are non-blocking.\n"
            '- `recv(sock, n)` yields `("read", sock)` and returns bytes, as `try_recv` does: `b""` at the end and after a reset;\n'
            '- `send_all(sock, data)` yields `("write", sock)` while the send buffer is full;\n'
            '- `accept(listener)` yields `("read", listener)` and returns a non-blocking connection;\n'
            '- `sleep(seconds)` yields `("sleep", seconds)`, once.\n\n'
            "Nothing here waits itself: whoever calls `send(None)` on the outermost generator gets the tuple and does the "
            "waiting. A caller "
            "gets the value by `data = yield from recv(sock, 100)`."
        ),
        stub='''\
import socket
from typing import Generator

from course_lib.mine import try_accept, try_recv


def recv(sock: socket.socket, n: int) -> Generator:
    """Return at most n bytes as soon as there are some; b"" when the peer has finished or sent a reset."""
    raise NotImplementedError
    yield "read", sock


def send_all(sock: socket.socket, data: bytes) -> Generator:
    """Send all of data. An error of send(), such as ConnectionResetError, comes through."""
    raise NotImplementedError
    yield "write", sock


def accept(listener: socket.socket) -> Generator:
    """Return the next client's connection, non-blocking."""
    raise NotImplementedError
    yield "read", listener


def sleep(seconds: float) -> Generator:
    """Let the others go on for so many seconds."""
    raise NotImplementedError
    yield "sleep", seconds
''',
        hints=(
            "Write recv as you would with a blocking socket, and put a yield where the kernel would have put the thread to "
            "sleep. When "
            "try_recv gives None, that is such a place.",
            "Resumed does not mean that bytes are there: ready is a hint. So it is a loop, `while (data := try_recv(sock, n)) "
            "is None:`, "
            "with the yield inside, and `return data` after it.",
            "send_all: send() takes a part and returns how much; the rest is data[sent:]. BlockingIOError says that the buffer "
            "is full: "
            "that is where it yields.",
        ),
        solution=(recv, send_all, accept, sleep),
        explanation=(
            "Compare with the blocking server: the code reads the same, only that a wait is a yield. The generator stops there, "
            "with its "
            "variables and its place, and hands a tuple up through all the `yield from`s to whoever resumed the outermost one "
            "(PEP 380). "
            "That one knows all the tuples of all tasks, and so it can wait for all of them with one call. To try before the "
            "yield costs "
            "nothing when the data has already come, and to try again after it is needed: ready is a hint (select(2), BUGS)."
        ),
        check=check_waits,
    ),
    Exercise(
        id="7.3",
        minutes=20,
        task=(
            "Write the class `Loop`: the event loop (事件循环) of your library. `spawn(task)` adds a task, `run()` runs until no "
            "task is "
            'left. A task yields `("read", sock)`, `("write", sock)` or `("sleep", seconds)`, and goes on when that has '
            "come. Build it in three "
            "stages:\n"
            "1. a ready queue, as in 7.1: one step of each in turn, with `task.send(None)`; a bare `yield` gives the others "
            "their turn;\n"
            "2. your `EpollEngine`: who waits for which socket. One task may wait to read a socket, and another one to write "
            "it;\n"
            "3. timers, in a heap (`heapq`): the engine waits until the next one at most, and sleeps while there is nothing to "
            "do.\n\n"
            "Tasks make mistakes. One that raises, or yields what nobody can wait for, ends; its traceback is printed "
            "(`traceback.print_exception`); the others go on. A task may close a socket for which another one waits: the kernel "
            "tells "
            "nobody, so the other one may wait for ever, but the number soon belongs to a new socket, and that one must work.\n\n"
            "The course's own Loop calls what it has `ready` (a deque of tasks), `readers` and `writers` (dicts: number of the "
            "descriptor → task) and "
            "`sleepers` (the heap); if yours does too, the same cells can look into both."
        ),
        stub='''\
import heapq
import itertools
import socket
import time
import traceback
from collections import deque
from typing import Generator

from course_lib.mine import EpollEngine


class Loop:
    """Runs tasks that yield what they wait for: ("read", sock), ("write", sock), ("sleep", seconds); None: just their next turn."""

    def __init__(self) -> None:
        raise NotImplementedError

    def spawn(self, task: Generator, name: str | None = None) -> None:
        """Add a task. Also from inside of a task that runs."""
        raise NotImplementedError

    def run(self) -> None:
        """Run until no task is left. A task that raises ends, its traceback is printed, and the others go on."""
        raise NotImplementedError
''',
        hints=(
            "Each task is in exactly one place: in `ready`, in `readers` or `writers`, or in `sleepers`. run() goes on while "
            "one of them "
            "is not empty: one step of each that was ready when the round began, then one engine.wait().",
            "How long may engine.wait() sleep? 0 if somebody is ready; else until the first timer; else None. For one socket a "
            "reader and a writer "
            "may wait: engine.watch() is told of both, again when one of them goes; when the last has gone, engine.unwatch().",
            "A heap compares its entries: (moment, count, task), where itertools.count() makes each count different, so that "
            "two tasks are "
            "never compared. Keep the sock beside its number: if a task comes with the same number and another sock, the old "
            "one was closed: unwatch it first.",
        ),
        solution=Loop,
        explanation=(
            "Three places, and in each round one call that sleeps: this is the whole of an event loop, asyncio's too. The "
            "timeout of "
            "epoll_wait() is the time to the next timer, so timers cost no thread and no signal; 0 when somebody is ready, so "
            "sockets are looked "
            "after in each round, however much the tasks have to do. A round takes those who were ready when it began: a task "
            "that spawns, or "
            "sleeps 0 s, without end cannot keep the others out. A socket is watched only while somebody waits for it, since "
            "epoll is "
            "level-triggered, and what nobody reads would wake the loop for ever."
        ),
        check=check_loop,
    ),
    Exercise(
        id="7.4",
        minutes=10,
        task=(
            "Write `http(conn, page)`: a task that serves HTTP/1.1 on one connection, with `recv` and `send_all` of 7.2. Your "
            "Loop runs one such "
            "task for each client.\n"
            "- A request is `GET PATH HTTP/1.1`, then header fields, then an empty line; lines end in `\\r\\n`. It comes in "
            "pieces, or several come at once.\n"
            "- `body = yield from page(path)` gives the page as bytes, or `None`: then the answer is `404 Not Found`, with a "
            "body of your own.\n"
            "- The answer is `HTTP/1.1 200 OK`, the field `Content-Length`, an empty line, the body. Then comes the next "
            "request on the same "
            "connection.\n"
            "- Close the connection when the client has finished and has all its answers, when it asked for `Connection: "
            "close`, and when "
            "anything goes wrong."
        ),
        stub='''\
import socket
from typing import Callable, Generator

from course_lib.mine import recv, send_all


def http(conn: socket.socket, page: Callable[[str], Generator]) -> Generator:
    """Serve HTTP/1.1 on this connection until the client has finished, then close it.

    `body = yield from page(path)` gives the body of a page as bytes, or None if there is no such page.
    """
    raise NotImplementedError
    yield
''',
        hints=(
            "Keep what has come and is not yet used in a variable `unread`. While it has no b'\\r\\n\\r\\n', add what `yield "
            "from recv(conn, 4096)` "
            "gives; b'' ends it all. What stands behind the empty line belongs to the next request.",
            "head, _, unread = unread.partition(b'\\r\\n\\r\\n'). Its first line in three words is method, path, version.",
            "One send_all for head and body: f'HTTP/1.1 {status}\\r\\nContent-Length: {len(body)}\\r\\n\\r\\n'.encode() + body. "
            "All of it in `try: … finally: conn.close()`.",
        ),
        solution=http,
        explanation=(
            "TCP is a stream, so a request ends where HTTP says it ends, at the empty line, and not where a recv() ends (RFC "
            "9112, 2.1 and 2.2); "
            "what is left over is the beginning of the next one. Content-Length tells the client where the answer ends, without "
            "the connection "
            "being closed; so it stays open for the next request (RFC 9112, 6.3 and 9.3). A client that has half-closed still "
            "reads. And a page that "
            "waits, waits by yield: it holds up this client alone. This is the blocking server's code, line for line, with "
            "`yield from` before "
            "each call that may wait."
        ),
        check=check_http,
    ),
    Exercise(
        id="7.5",
        minutes=5,
        task=(
            'Write the same with `async def`. `Wait(event, about)` is an awaitable (可等待对象): `await Wait("read", sock)` hands '
            "the loop the "
            'same tuple as `yield "read", sock`. `AsyncSocket(sock)` has `recv(n)`, `send_all(data)` and `accept()` as '
            "coroutines, and `close()`. "
            "Your Loop runs them unchanged: the check serves HTTP with them."
        ),
        stub='''\
import socket
from typing import Generator

from course_lib.mine import try_accept, try_recv


class Wait:
    """Something to await: the task stops here, and the loop gets (event, about), as from a yield in a generator."""

    def __init__(self, event: str, about: socket.socket | float) -> None:
        self.event, self.about = event, about

    def __await__(self) -> Generator:
        raise NotImplementedError


class AsyncSocket:
    """A non-blocking socket whose calls are awaited: `data = await conn.recv(4096)`."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock

    async def recv(self, n: int) -> bytes:
        """Return at most n bytes as soon as there are some; b"" when the peer has finished or sent a reset."""
        raise NotImplementedError

    async def send_all(self, data: bytes) -> None:
        """Send all of data. An error of send(), such as ConnectionResetError, comes through."""
        raise NotImplementedError

    async def accept(self) -> "AsyncSocket":
        """Return the next client's connection."""
        raise NotImplementedError

    def close(self) -> None:
        self.sock.close()
''',
        hints=(
            "await x calls x.__await__(), and goes through what it yields, as `yield from` does (PEP 492). So __await__ is a "
            "plain method with one "
            "yield in it.",
            'Take your recv, send_all and accept of 7.2: `def` becomes `async def`, and `yield "read", sock` becomes '
            '`await Wait("read", self.sock)`.',
            "accept() returns an AsyncSocket, made of the connection that try_accept gave.",
        ),
        solution=(Wait, AsyncSocket),
        explanation=(
            "A coroutine of async def is driven by send() and ends with StopIteration, as a generator does; `await` is `yield "
            "from` for things with "
            "__await__ (PEP 492). The only new rule is who may stand behind it. At the bottom of every await there is a yield "
            "in some __await__, "
            "and what it yields goes to the loop: asyncio's Future yields itself, yours yields a tuple. So a Loop that knows "
            "nothing of async "
            "runs both kinds of tasks side by side."
        ),
        check=check_async,
    ),
)
