"""What is the learner's own, in a terminal: ``python -m course_lib.mine`` lists it, and ``… http --port 8080`` serves with it."""

import argparse
import errno
import html
import os
import signal
import socket
import sys
from collections.abc import Callable, Generator
from typing import Any

from course_lib import folders, mine
from course_lib.ports import why_in_use
from course_lib.servers.connection import pause_after
from course_lib.solutions import file_of, references

_BACKLOG = 1024
_LIMIT = 60  # seconds for a request, as nginx has it for the head of one (client_header_timeout)

Clients = Callable[[Any], Callable[[socket.socket], Generator]]  # a Loop -> connection -> the task of its client


class _Mistake(Exception):
    """Something the person at the terminal can put right; the text says how."""


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m course_lib.mine",
        description="Without a protocol: list what is yours. With one: serve it with your own code.",
    )
    parser.add_argument("protocol", nargs="?", help=f"{' or '.join(_SERVES)}: your own loop serves it on 127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0, the default, takes any free port")
    parser.add_argument("--processes", type=int, default=1, help="how many processes share the port (default: 1)")
    options = parser.parse_args(arguments)
    try:
        if not os.environ.get("COURSE_HOME") and not folders.notebooks().is_dir():
            raise _Mistake(folders.NOT_HERE)
        return _serve(options.protocol, options.port, options.processes) if options.protocol else _list()
    except _Mistake as mistake:
        print(mistake, file=sys.stderr)
        return 2


def _list() -> int:
    own, missing = _owned()
    print(f"Yours, in {folders.mine()}:" if own else f"Nothing is yours yet: what passes its check goes to {folders.mine()}.")
    width = max((len(name) for _, name in own), default=0)
    for id, name in own:
        print(f"  {id}  {name:{width}}  {file_of(name)}")
    if missing:
        print("The course's own stands in for:", ", ".join(f"{name} ({id})" for id, name in missing))
    print(
        "It serves, with your own loop:",
        *(f"  python -m course_lib.mine {name} --port {port}" for name, (port, _) in _SERVES.items()),
        "  … --processes 2",
        sep="\n",
    )
    return 0


def _owned() -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """(exercise, name) of what is stored in the learner's folder, and of what is not."""
    both: tuple[list[tuple[str, str]], list[tuple[str, str]]] = [], []
    for exercise, asked in references().items():
        for name in (reference.__name__ for reference in asked):
            both[not _is_own(name)].append((exercise, name))
    return both


def _is_own(name: str) -> bool:
    return os.path.exists(folders.mine() / file_of(name))


def _serve(protocol: str, port: int, processes: int) -> int:
    """Serve until Ctrl-C or a terminate signal."""
    if protocol not in _SERVES:
        raise _Mistake(f"your code does not serve {protocol!r}; choose {' or '.join(_SERVES)}")
    if not 0 <= port <= 65535:
        raise _Mistake(f"a port is a number from 0 (any free one) to 65535, not {port}")
    if not 1 <= processes <= 64:
        raise _Mistake(f"the number of processes is from 1 to 64, not {processes}")
    clients = _SERVES[protocol][1]()
    try:
        if processes > 1:
            return _serve_in_workers(protocol, clients, port, processes)
        return _serve_here(protocol, clients, port)
    except OSError as error:
        raise _explained(error, port) from None


def _serve_here(protocol: str, clients: Clients, port: int) -> int:
    for name in (signal.SIGINT, signal.SIGTERM):  # a shell starts a background job with Ctrl-C ignored
        signal.signal(name, signal.default_int_handler)
    try:
        with mine.make_listener(port, _BACKLOG) as listener:
            _tell(protocol, listener)
            _run(listener, clients)
    except KeyboardInterrupt:
        return 0
    print("the loop has ended: it has no task left", file=sys.stderr)
    return 1


def _serve_in_workers(protocol: str, clients: Clients, port: int, number: int) -> int:
    def serve(listener: socket.socket) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to all processes of a terminal; the parent ends its workers
        _run(listener, clients)

    prefork, listeners = mine.prefork, mine.open_listeners(number, port)
    signal.signal(signal.SIGINT, lambda *_: os.kill(os.getpid(), signal.SIGTERM))  # it is asked to end at SIGTERM
    _tell(protocol, listeners[0], number)
    prefork(listeners, serve)
    return 0


def _tell(protocol: str, listener: socket.socket, processes: int = 1) -> None:
    host, port = listener.getsockname()
    print(f"serving {protocol} on {host}:{port}" + f" in {processes} processes" * (processes > 1), flush=True)
    if protocol == "resp" and processes > 1:
        print("each process has a store of its own: what one client sets, another one may not find", flush=True)


def _explained(error: OSError, port: int) -> Exception:
    if error.errno == errno.EADDRINUSE:
        return _Mistake(why_in_use(port))
    if error.errno == errno.EACCES:
        return _Mistake("ports below 1024 need more rights; choose a higher one")
    return error


def _run(listener: socket.socket, clients: Clients) -> None:
    """One task accepts, and each client has a task of its own; all in the learner's Loop."""
    accept, sleep, loop = mine.accept, mine.sleep, mine.Loop()
    client = clients(loop)

    def accepts() -> Generator:
        while True:
            try:
                conn = yield from accept(listener)
            except OSError as error:
                yield from sleep(pause_after(error))  # no room: the client stays in the queue, and the listener readable
            else:
                loop.spawn(client(conn))

    listener.setblocking(False)
    loop.spawn(accepts())
    loop.run()


def _http() -> Clients:
    """With the learner's limit for each request, where they have one; the course's would not serve with their http."""
    limit, http = mine.RequestTimeout if _is_own("RequestTimeout") else None, mine.http
    body = _page().encode()

    def page(path: str) -> Generator[object, None, bytes | None]:
        return body if path == "/" else None
        yield

    def clients(loop: Any) -> Callable[[socket.socket], Generator]:
        serve = limit(loop, _LIMIT).serve if limit else http
        return lambda conn: serve(conn, page)

    return clients


def _resp() -> Clients:
    resp, store = mine.resp, dict[bytes, bytes]()
    return lambda loop: lambda conn: resp(conn, store)


def _page() -> str:
    own, missing = _owned()
    rows = "".join(f"<tr><td>{id}<td><code>{html.escape(name)}</code>" for id, name in own)
    rest = ", ".join(f"<code>{html.escape(name)}</code>" for _, name in missing)
    return (
        "<!doctype html><html lang=en><meta charset=utf-8><title>Served by your own loop</title>"
        "<style>body { font: 1rem/1.5 sans-serif; margin: 2rem auto; max-width: 40rem; padding: 0 1rem; color-scheme: light dark }"
        "</style><h1>Served by your own loop</h1><p>One process, one thread, and <code>epoll</code>. No web server and no "
        f"framework is in between.</p>{f'<h2>Yours</h2><table>{rows}</table>' if rows else ''}"
        f"{f'<p>The course stands in for: {rest}.</p>' if rest else ''}</html>\n"
    )


# protocol -> the port of the examples, and what makes the task of a client
_SERVES = {"http": (8080, _http), "resp": (6380, _resp)}
