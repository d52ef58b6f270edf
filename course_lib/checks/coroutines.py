"""Checks of notebook 07: tasks that take turns, waits that are yielded, a loop on epoll, HTTP on it, the same with async."""

import socket
import threading
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from types import GeneratorType
from typing import Any

from course_lib.sandbox import Attempt, Talk, Wrong, a, shown

from .ends import connection
from .server_trial import SMALL
from .waits import OF_WAITS, Driven, use_accept, use_recv, use_send_all
from .web import check_web, serve


def check_run(attempt: Attempt) -> None:
    attempt.ask(_use_run, causes=_OF_RUN)


_RECURSION = "Each call of run from inside of run takes room on the stack: go round in a loop."
_OF_RUN = {
    "ValueError KeyError IndexError LookupError: of task B": "Task B raised {type}, and it took everybody with it{line}: an exception "
    "of a task comes out of next(task). Catch it there, keep it as the result of B, and go on with the others.",
    "StopIteration": "next() raises StopIteration when a task returns: catch it around each next(); the value of the return is in it.",
    "RecursionError": _RECURSION,
    "RuntimeError: changed size": "A task has ended, and it was taken out of a dict while a loop goes over it: loop over a copy, "
    "list(...), or keep the tasks in a deque.",
    "ValueError: already executing": "A generator cannot be resumed while it runs: is there a second thread?",
    "AttributeError: 'dict'": "`tasks` is a dict: name → generator; tasks.items() gives the pairs.",
    "TypeError: 'str'": "`tasks` is a dict: name → generator; tasks.items() gives the pairs.",
}


def _use_run(talk: Talk, learner: Callable) -> None:
    _takes_turns(talk, learner)
    _in_the_order_of_the_dict(talk, learner)
    _keeps_results(talk, learner)
    _survives_errors(talk, learner)
    _is_interrupted(talk, learner)
    talk.step("tasks is empty, and run({}) did not return within 1 s")
    if (got := learner({})) != {}:
        raise Wrong(f"There was no task, and run({{}}) returned {shown(got)}, not {{}}.")
    talk.step("A task of 5000 steps and 500 of 10 steps took over 2 s", 2.0)
    names = [f"short {number}" for number in range(500)]
    got = learner({"long": _steps(5000), **{name: _steps(10) for name in names}})
    if got != {"long": 5000, **{name: 10 for name in names}}:
        # From Python 3.12 on, the error can come out of a task's next(), and is kept as the result of that task.
        recursion = isinstance(got, dict) and any(isinstance(result, RecursionError) for result in got.values())
        raise Wrong(
            f"501 tasks ran, and some of the results are {f'RecursionError. {_RECURSION}' if recursion else 'missing or wrong.'}"
        )
    talk.good("long tasks, many tasks, no task")


def _steps(number: int) -> Generator[None, None, int]:
    for _ in range(number):
        yield
    return number


def _takes_turns(talk: Talk, learner: Callable) -> None:
    log: list[tuple[str, int]] = []
    threads: set[int] = set()
    sent: list[object] = []

    def task(name: str, steps: int) -> Generator[str, object, int]:
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
    _is_in_turn(log, right, lengths)
    if threads != {threading.get_ident()}:
        raise Wrong("The tasks ran in more than one thread: next(task) runs a task in your own, and one is enough.")
    if any(value is not None for value in sent):
        raise Wrong("Something was sent into a task: next(task), or task.send(None).")
    talk.good("one step of each task in turn, until all have ended, in one thread")
    _is_result(got, {name: steps * 10 for name, steps in lengths.items()}, "Each task returned a number")


def _is_in_turn(log: list[tuple[str, int]], right: list[tuple[str, int]], lengths: dict[str, int]) -> None:
    """The steps that were made, as they should be, and how many each task has."""
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
                "left, also when some have ended."
            )
        at = next(number for number, (did, should) in enumerate(zip(log, right)) if did != should)
        if at and log[at][0] == log[at - 1][0]:
            raise Wrong(f"The steps were {order}: {log[at][0]} made two steps in its turn, and one next() makes one.")
        ended = [name for name in lengths if at and lengths[name] <= log[at - 1][1] + 1]
        why = ""
        if sorted(log) == sorted(right) and ended:
            why = (
                f" {ended[0]} had ended then: to take it out of a list while a loop goes over it skips the next one. Loop over "
                "a copy, or use a deque."
            )
        raise Wrong(f"The steps were {order}; in turn would be {', '.join(f'{name}{step}' for name, step in right)}.{why}")


def _in_the_order_of_the_dict(talk: Talk, learner: Callable) -> None:
    log = []

    def task(name: str) -> Generator:
        for _ in range(2):
            log.append(name)
            yield

    talk.step("Two tasks of two steps, and run(tasks) did not return within 1 s")
    learner({name: task(name) for name in ("second", "first")})
    if log[:2] == ["first", "second"]:
        raise Wrong(f"The dict has the tasks second, first; the steps were {', '.join(log)}: keep to the order of the dict.")


def _is_interrupted(talk: Talk, learner: Callable) -> None:
    def interrupt() -> Generator:
        yield
        raise KeyboardInterrupt

    talk.step("KeyboardInterrupt came while a task ran, and run(tasks) did not return within 1 s")
    try:
        learner({"A": _steps(2), "B": interrupt()})
    except KeyboardInterrupt:
        return
    raise Wrong(
        "KeyboardInterrupt came while a task ran, and run kept it: nobody could end the program. `except Exception`, not "
        "BaseException and not a bare except."
    )


def _keeps_results(talk: Talk, learner: Callable) -> None:
    def task(steps: int, value: object) -> Generator[str, None, object]:
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
        elif got[name] is None and not value:
            why = f"not {shown(value)}. What is false is a result too: end.value as it is, without `or`"
        elif got[name] is None:
            why = f"not {shown(value)}. It is in the StopIteration: `except StopIteration as end`, then end.value (PEP 380)"
        elif isinstance(got[name], list | tuple) and value in got[name]:
            why = f"not the {shown(value)} in it alone"
        raise Wrong(f"{what}; the result of {name!r} is {shown(got[name])}, {why}.")


def check_async(attempt: Attempt) -> None:
    attempt.ask(_use_async, attempt.listen(SMALL), late="Wait and AsyncSocket did not answer within 1 s", causes=OF_WAITS)
    with attempt.as_one("HTTP with them, async def on the unchanged Loop: all that 7.4 asks for", "HTTP on your AsyncSocket"):
        check_web(attempt, _serve_async, "a server on your AsyncSocket")


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

    use_recv(talk, method("recv"), listener)
    use_send_all(talk, method("send_all"), listener)
    use_accept(talk, method("accept"), listener, async_socket)
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

    async def accept(listener: Any) -> object:
        return await listener.accept()

    async def http(conn: Any, page: Callable) -> None:
        """http of 7.4, word for word, with await."""
        try:
            unread = b""
            while True:
                while b"\r\n\r\n" not in unread:
                    if len(unread) > 65_536 or not (data := await conn.recv(4096)):
                        return
                    unread += data
                head, _, unread = unread.partition(b"\r\n\r\n")
                request, *lines = head.decode("latin-1").split("\r\n")
                method, path, version = request.split(" ")
                await wait("sleep", 0)
                body = await page(path)
                status = "404 Not Found" if body is None else "200 OK"
                await conn.send_all(f"HTTP/1.1 {status}\r\nContent-Length: {len(body or b'')}\r\n\r\n".encode() + (body or b""))
                options = next((line.partition(":")[2] for line in lines if line.lower().startswith("connection:")), "")
                if "close" in options.lower() or version == "HTTP/1.0":
                    return
        finally:
            conn.close()

    serve(talk, async_socket(listener), accept, http)


CHECKS = {"7.1": check_run, "7.5": check_async}
