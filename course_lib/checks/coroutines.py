"""Checks of notebook 07: tasks that take turns, waits that are yielded, a loop on epoll, HTTP on it, the same with async."""

import inspect
import socket
import threading
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from functools import partial
from types import GeneratorType
from typing import Any

from course_lib.sandbox import Attempt, Talk, Wrong, shown

from .ends import connection
from .probe import Answer, Instead, Probe
from .server_trial import SMALL
from .waits import OF_WAITS, Driven, is_unrun, use_accept, use_recv, use_send_all
from .web import check_web, serve

_RECURSION = "Each call of run from inside of run takes room on the stack: go round in a loop"
_OF_RUN = {
    "ValueError KeyError IndexError LookupError: of task B": "Task B raised {type}, and it took everybody with it{line}: an exception "
    "of a task comes out of next(task). Catch it there, keep it as the result of B, and go on with the others.",
    "StopIteration": "next() raises StopIteration when a task returns: catch it around each next(); the value of the return is in it.",
    "RecursionError": f"{_RECURSION}.",
    "RuntimeError: changed size": "A task has ended, and it was taken out of a dict while a loop goes over it: loop over a copy, "
    "list(...), or keep the tasks in a deque.",
    "ValueError: already executing": "A generator cannot be resumed while it runs: is there a second thread?",
    "AttributeError: 'dict'": "`tasks` is a dict: name → generator; tasks.items() gives the pairs.",
    "TypeError: 'str'": "`tasks` is a dict: name → generator; tasks.items() gives the pairs.",
}


def _use_run(talk: Talk, learner: Callable) -> None:
    probe = Probe(talk, learner, "run(tasks)")
    _takes_turns(talk, probe)
    _keeps_the_order_of_the_dict(probe)
    values = {"text": "done", "zero": 0, "nothing": None, "false": False, "empty": [], "an error": ValueError("not raised")}
    tasks = {name: _steps(number % 3, value, "a yielded value") for number, (name, value) in enumerate(values.items())}
    _gives(probe.when("Six tasks return different values", tasks), values)
    talk.good("what each task returned, None too, and also from one that never yields")
    _survives_errors(talk, probe)
    probe.raises(
        KeyboardInterrupt,
        "KeyboardInterrupt came while a task ran",
        {"A": _steps(2), "B": _fails(1, KeyboardInterrupt())},
        otherwise="run kept it, and nobody could end the program. `except Exception`, not BaseException and not a bare except",
    )
    _gives(probe.when("tasks is empty", {}, call="run({})"), {})
    lengths = {"long": 5000, **{f"short {number}": 10 for number in range(500)}}
    tasks = {name: _steps(length, length) for name, length in lengths.items()}
    _gives(probe.when("There are a task of 5000 steps and 500 of 10 steps", tasks, seconds=2.0), lengths)
    talk.good("long tasks, many tasks, no task")


def _steps(number: int, value: object = None, yielded: object = None) -> Generator[object, object, object]:
    for _ in range(number):
        yield yielded
    return value


def _fails(steps: int, error: BaseException) -> Generator:
    yield from _steps(steps)
    raise error


def _takes_turns(talk: Talk, probe: Probe) -> None:
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
    answer = probe.when(
        "Five tasks of one to four steps each return a number", {name: task(name, steps) for name, steps in lengths.items()}
    )
    if is_unrun(answer.value):
        raise answer.wrong("{}: return a dict")
    if not log:
        raise answer.wrong("{} before any task has made a step: next(task) makes one")
    if wrong := _out_of_turn(log, lengths):
        raise Wrong(f"The steps were {_in_words(log)}{wrong}.")
    if threads != {threading.get_ident()}:
        raise Wrong("The tasks ran in more than one thread: next(task) runs a task in your own, and one is enough.")
    if any(value is not None for value in sent):
        raise Wrong("Something was sent into a task: next(task), or task.send(None).")
    talk.good("one step of each task in turn, until all have ended, in one thread")
    _gives(answer, {name: steps * 10 for name, steps in lengths.items()})


def _in_words(log: list[tuple[str, int]]) -> str:
    return ", ".join(f"{name}{step}" for name, step in log)


def _out_of_turn(log: list[tuple[str, int]], lengths: dict[str, int]) -> str:
    """What is wrong with the order of the steps that were made; `lengths` is how many each task has."""
    right = [(name, step) for step in range(max(lengths.values())) for name in lengths if step < lengths[name]]
    if log == right:
        return ""
    if log == right[: len(lengths)]:
        return ", and then run returned: go round again and again, until all tasks have ended"
    if log[:3] == [("A", 0), ("A", 1), ("A", 2)]:
        return ": A ran to its end before B began. One next() for A, then one for B, and so on"
    counts = Counter(name for name, _ in log)
    if short := [name for name in lengths if counts[name] < lengths[name]]:
        return (
            f", and then run returned: {' and '.join(short)} had not ended. Go round until no task is left, also when some have "
            "ended"
        )
    at = next(number for number, (did, should) in enumerate(zip(log, right)) if did != should)
    if at and log[at][0] == log[at - 1][0]:
        return f": {log[at][0]} made two steps in its turn, and one next() makes one"
    ended = [name for name in lengths if at and lengths[name] <= log[at - 1][1] + 1]
    skipped = ended and sorted(log) == sorted(right)
    why = "to take it out of a list while a loop goes over it skips the next one. Loop over a copy, or use a deque"
    return f"; in turn would be {_in_words(right)}" + (f". {ended[0]} had ended then: {why}" if skipped else "")


def _keeps_the_order_of_the_dict(probe: Probe) -> None:
    log = []

    def task(name: str) -> Generator:
        for _ in range(2):
            log.append(name)
            yield

    probe.when("The dict has two tasks of two steps", {name: task(name) for name in ("second", "first")})
    if log[:2] == ["first", "second"]:
        raise Wrong(f"The dict has the tasks second, first; the steps were {', '.join(log)}: keep to the order of the dict.")


_A_DICT = "return a dict, name → what the task returned"
_NO_ERROR: Instead = {
    str: "a text: the exception itself is asked for, `except Exception as error`",
    inspect.isclass: "the class of the exception: the exception itself is asked for, `except Exception as error`",
}


def _survives_errors(talk: Talk, probe: Probe) -> None:
    for steps in 1, 0, 3:
        for error in ValueError("of task B"), KeyError("of task B"), IndexError("of task B"), LookupError("of task B"):
            tasks = {"A": _steps(2, "A ended"), "B": _fails(steps, error), "C": _steps(4, "C ended")}
            answer = probe.when(f"Task B raised {error!r}", tasks)
            results = answer.is_a(dict, _A_DICT)
            if "B" in results:
                _result(answer, "B").is_(error, "the exception itself is asked for, `except Exception as error`", _NO_ERROR)
                if {"A", "C"} - results.keys():
                    raise Wrong("Task B raised an exception, and the other tasks were not run to their end: go on with them.")
            _gives(answer, {"A": "A ended", "B": error, "C": "C ended"})
    talk.good("a task that raises: the exception is its result, and the others go on")


_END = "`except StopIteration as end`, then end.value (PEP 380)"


def _was_yielded(got: object) -> bool:
    return isinstance(got, str) and "yielded" in got


_NO_RESULT: Instead = {
    StopIteration: "{}, which carries it: take its `value`",
    RecursionError: f"{{}}. {_RECURSION}",  # from Python 3.12 on, it can come out of a task's next()
    _was_yielded: f"{{}}, which it yielded. What it returned is in the StopIteration: {_END}",
}


def _gives(answer: Answer, right: dict) -> None:
    """The dict has these results, and no others."""
    got = answer.is_a(dict, _A_DICT)
    if missing := [name for name in right if name not in got]:
        raise Wrong(
            f"{answer.situation}, and the dict has no {missing[0]!r}: it has {shown(sorted(map(str, got)))}. Keep the result in the "
            "moment when a task ends."
        )
    if more := [name for name in got if name not in right]:
        raise Wrong(f"{answer.situation}, and the dict has a key {shown(more[0])}: the keys are the names of the tasks.")
    for name, value in right.items():
        _result(answer, name).is_(value, f"not {shown(value)}", {**_NO_RESULT, **_no_result(value)})


def _result(answer: Answer, name: str) -> Answer:
    return Answer(answer.situation, f"for {name!r} run", answer.value[name])


def _no_result(right: object) -> Instead:
    why = f"It is in the StopIteration: {_END}" if right else "What is false is a result too: end.value as it is, without `or`"
    return {
        lambda got: got is None and right is not None: f"None, not {shown(right)}. {why}",
        lambda got: isinstance(got, list | tuple) and right in got: f"{{}}, not the {shown(right)} in it alone",
    }


def check_async(attempt: Attempt) -> None:
    attempt.ask(_use_async, attempt.listen(SMALL), late="Wait and AsyncSocket did not answer within 1 s", causes=_OF_ASYNC)
    with attempt.as_one("HTTP with them, async def on the unchanged Loop: all that 7.4 asks for", "HTTP on your AsyncSocket"):
        check_web(attempt, _serve_async, "a server on your AsyncSocket")


_OF_ASYNC = {
    "TypeError: __await__.*(coroutine|async_generator)": "__await__ is a plain def: with async in front it gives something else, and "
    "await wants an iterator (PEP 492).",
    "TypeError: __await__": "__await__ must give an iterator: with `yield` in its body it is a generator function, and gives one "
    "(PEP 492).",
    **OF_WAITS,
}


def _use_async(talk: Talk, learner: tuple[type, type], listener: socket.socket) -> None:
    wait, async_socket = learner
    with socket.socket() as sock:
        _use_wait(talk, wait, sock)

    def method(name: str) -> Callable:
        def begin(sock: socket.socket, *arguments: object) -> Any:
            talk.step("AsyncSocket(sock) did not return within 1 s")
            made = async_socket(sock)
            if getattr(made, "sock", None) is not sock:
                raise Wrong("AsyncSocket(sock) keeps its socket in the attribute `sock`, as in the stub.")
            answer = Answer("AsyncSocket(sock) was made", f"its {name}", getattr(made, name)(*arguments))
            return answer.is_(Coroutine, f"not a coroutine: `async def {name}`", _NO_COROUTINE)

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
        driven = Driven(talk, waits(event, about), f'await Wait("{event}", {name})', event, about, name)
        driven.waits("It was begun")
        driven.is_over("What it waits for has come")
    talk.good("await Wait(event, about) hands the loop the tuple, once")


_NO_COROUTINE: Instead = {
    AsyncGenerator: "an async generator: with `yield` in an async def it becomes one. `await Wait(event, about)` instead",
    GeneratorType: "a generator, which cannot stand behind await (PEP 492): `async def`, and `await` in place of `yield`",
}


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

    serve(talk, http, async_socket(listener), accept)


CHECKS = {"7.1": partial(Attempt.ask, inside=_use_run, causes=_OF_RUN), "7.5": check_async}
