"""Exercise 7.4: HTTP on one connection, and the check that asks it as its clients do."""

import itertools
import re
import shutil
import socket
import subprocess
from collections.abc import Callable, Generator
from functools import partial
from types import coroutine
from typing import Any

from course_lib.sandbox import Attempt, Talk, Wrong, a
from course_lib.sandbox.words import printable
from course_lib.solutions.coroutines import accept

from .ends import half_close, reset
from .protocol_trial import AFTER_END, IN_A_TASK, ProtocolTrial, part, serve_each
from .server_trial import SMALL

REQUEST = b"GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: check\r\n\r\n"
_BIG = b"".join(b"%07d " % number for number in range(75_000))  # a page of 600,000 bytes, no two parts of it the same
_BINARY = bytes(range(256)) + b"\r\n\r\n" + "中文".encode()
_PAGES = {"/": b"hello\n", "/other": b"another page\n", "/empty": b"", "/binary": _BINARY, "/big": _BIG}
_TOGETHER = 5  # slow pages at once
_REQUESTS = 40  # of one client, at once
_TOO_LONG = 100_000  # bytes of a head


def check_web(attempt: Attempt, inside: Callable, name: str) -> None:
    requests = _answers, _keeps_alive, _pieces, _pipeline, _shares, _half_closed, _closes
    _Web(attempt, inside, name).go_through(*requests, _slow_reader, _slow_pages, _nonsense, _gone, _curl, _Web.leaves_nothing)


_LIKELY = {
    "UnicodeDecodeError": "Not all bytes are UTF-8. Of the head, decode('latin-1') takes them all (RFC 9110, 5.5); a body stays bytes.",
    "ValueError: too many values.*expected 2": "More than one request may have come, so there is more than one empty line: "
    "partition(), or split(..., 1).",
    "ValueError IndexError: unpack|out of range": "Is it the first line of a request, in three words? A request ends at its empty "
    "line, not before; and it may be nonsense.",
    "TypeError: NoneType": "page gives None when there is no such page: then the answer is 404 Not Found, with a body of your own.",
    "TypeError: bytes-like|'bytes'|to bytes|to str": "A socket carries bytes: head.decode('latin-1') makes a str of them, "
    "text.encode() bytes of a str.",
}


class _Web(ProtocolTrial):
    """The learner's http and its clients."""

    complete = "the empty line has come"
    size = "It is len(body), in bytes; and send_all sends them all."
    lines = "Each line ends in \\r\\n, and an empty line ends the head."
    end = "the head of an answer ends with an empty line."
    causes, likely = IN_A_TASK, _LIKELY
    gone = {**ProtocolTrial.gone, "PageFailed": "a page raised an exception"}

    def ask(self, client: socket.socket, path: str, what: str, why: str = "") -> None:
        self.send(client, REQUEST % path.encode())
        self.expect(client, path, what, why)

    def expect(self, client: socket.socket, path: str, what: str, why: str = "") -> None:
        """The answer to GET path must come next."""
        status, body = self.answer(client, f"{what}, GET {path}", why)
        right = 200 if path in _PAGES else 404
        if status != right:
            hint = " `if not body` takes an empty page for none: ask `if body is None`." if path == "/empty" else ""
            raise Wrong(f"{what}, GET {path}: the status of the answer is {status}, not {right}.{hint}")
        if right == 200 and body != _PAGES[path]:
            raise Wrong(f"{what}, GET {path}: the body is {part(body)}, not {part(_PAGES[path])}.")

    def answer(self, client: socket.socket, what: str, why: str = "") -> tuple[int, bytes]:
        """Status and body of the next answer."""
        came = self.came[client]
        while b"\r\n\r\n" not in came:
            self.more(client, what, why)
        head, _, rest = bytes(came).partition(b"\r\n\r\n")
        if head.startswith(b"HTTP/1.0"):
            raise Wrong(
                f"{what}: the answer begins with HTTP/1.0, after which the connection ends (RFC 9112, 9.3): say HTTP/1.1."
            )
        if not (first := re.match(rb"HTTP/1\.[01] (\d{3})( [^\r\n]*)?(\r\n|$)", head)):
            raise Wrong(
                f"{what}: the answer begins with {head[:60]!r}; its first line is `HTTP/1.1 200 OK`, its end \\r\\n (RFC 9112, 4)."
            )
        fields = dict(re.findall(rb"\r\n([^:\r\n]+):[ \t]*([^\r\n]*?)[ \t]*(?=\r\n|$)", head))
        length = next((value for name, value in fields.items() if name.lower() == b"content-length"), None)
        if length is None:
            raise Wrong(
                f"{what}: the answer has no field Content-Length. Then its body ends where the connection ends (RFC 9112, 6.3), "
                "and the client waits for that."
            )
        if not length.isdigit():
            raise Wrong(f"{what}: Content-Length is {length!r}; it is the number of bytes of the body.")
        size = len(head) + 4 + int(length)
        while len(came) < size:
            self.more(client, what, why, f"Content-Length says {int(length)}, and {len(came) - len(head) - 4} bytes came")
        body = bytes(came[len(head) + 4 : size])
        del came[:size]
        return int(first[1]), body


class PageFailed(Exception):
    """What one of the pages raises."""


def serve(talk: Talk, http: Callable, listener: Any, accept: Callable = accept) -> None:
    """Serve `http` in the course's Loop: both are generator functions, or both functions of async def."""
    slow, turns = [], itertools.count(1)

    def wrong(words: str) -> None:
        talk.send({"wrong": f"page(path) was called with {words}"})

    @coroutine  # so it may stand behind await too
    def page(path: str) -> Generator[tuple[str, float], None, bytes | None]:
        if not isinstance(path, str):
            wrong(f"{a(path)}: the path is a str, such as '/'. head.decode('latin-1') makes one.")
        elif path.strip() != path or not path.startswith("/"):
            wrong(f"{path[:60]!r}: the path is the second word of the first line, such as '/'.")
        if path == "/slow":
            slow.append(path)
            for _ in range(100):
                if len(slow) >= _TOGETHER:
                    break
                yield "sleep", 0.005
            return b"%d at once" % len(slow)
        if path == "/turn":
            return b"%d" % next(turns)
        if path == "/wait":
            yield "sleep", 0.02
            return b"waited"
        if path == "/broken":
            raise PageFailed("this page is broken")
        yield "sleep", 0
        return _PAGES.get(path)

    serve_each(talk, listener, accept, lambda conn: http(conn, page))


def _answers(web: _Web) -> None:
    web.begin("/", "A client sent a request in one packet")
    web.attempt.good("a request is answered: 200 OK, Content-Length, the page")


def _keeps_alive(web: _Web) -> None:
    which = "A second"
    for path in "/", "/other", "/nothing", "/", "/empty", "/", "/binary", "/?q=1", "/":
        web.ask(web.first, path, f"{which} request on the same connection")
        which = "One more"
    client = web.connect()
    web.ask(client, "/", "The first client is silent, and a second one asked")
    client.close()
    web.trial.calm("A client has gone and nobody talks", AFTER_END)
    web.attempt.good("more requests on the same connection; 404 for a page that is not there")


def _pieces(web: _Web) -> None:
    why = "A request may come in pieces: until the empty line has come, `yield from recv(conn, 4096)` again, and add."
    client = web.connect()
    for number, byte in enumerate(REQUEST % b"/other"):
        if number == 20:
            what = "One client has sent half of a request, and another one asked"
            web.ask(web.first, "/", what, "Each connection needs a buffer of its own.")
        web.piece(client, bytes([byte]))
    web.expect(client, "/other", "A client sent a request one byte at a time", why)
    request = (REQUEST % b"/")[:-2] + b"".join(b"X-Field-%d: %s\r\n" % (number, b"x" * 400) for number in range(25)) + b"\r\n"
    web.send(client, request)
    web.expect(client, "/", f"A client sent a request of {len(request)} bytes", why)
    web.send(client, b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Name: caf\xe9\r\n\r\n")
    web.expect(client, "/", "A header field holds a byte that is not UTF-8")
    client.close()
    web.attempt.good("a request that comes one byte at a time, and a long one")


def _pipeline(web: _Web) -> None:
    why = "Two requests may come in one recv(): what stands behind the empty line is the beginning of the next one. Keep it."
    client = web.connect()
    paths = ["/", "/other", "/nothing", "/binary", "/"]
    web.send(client, b"".join(REQUEST % path.encode() for path in paths) + (REQUEST % b"/other")[:20])
    for number, path in enumerate(paths, 1):
        web.expect(client, path, f"{len(paths)} requests came in one packet, and number {number} of them was", why)
    web.send(client, (REQUEST % b"/other")[20:])
    web.expect(client, "/other", "A request came in two parts, the first of them in one packet with another request", why)
    client.close()
    web.attempt.good("several requests in one packet")


def _shares(web: _Web) -> None:
    """A client that sends many requests at once must not have all its answers before anybody else gets one."""
    greedy, other = web.connect(), web.connect()
    with web.process.paused():
        web.send(greedy, REQUEST % b"/turn" * _REQUESTS)
        web.send(other, REQUEST % b"/turn")
    what = f"One client sent {_REQUESTS} requests at once, and another one sent one"
    _, turn = web.answer(other, what)
    if int(turn) > _REQUESTS // 2:
        raise Wrong(
            f"{what}: it was answered as number {int(turn)}. After each answer let the others have their turn, with a bare `yield`."
        )
    for _ in range(_REQUESTS):
        web.answer(greedy, what)
    greedy.close()
    other.close()
    web.attempt.good("a client that sends many requests at once keeps nobody waiting")


def _half_closed(web: _Web) -> None:
    with web.process.paused():
        client = web.connect(sends=REQUEST % b"/other" + REQUEST % b"/", last=True)
    what = "A client sent two requests and half-closed"
    why = "b'' says that it sends no more, but it still reads (shutdown(2)): first answer all that has come."
    web.expect(client, "/other", what, why)
    web.expect(client, "/", what, why)
    web.ends(client, f"{what}, and has its answers", "When recv gives b'', close the connection.")
    for sent, what in (b"", "nothing"), (b"GET / HT", "half of a request"):
        web.ends(web.connect(sends=sent, last=True), f"A client sent {what} and half-closed", AFTER_END)
    web.attempt.good("a client that half-closes gets all its answers, then the end")


def _closes(web: _Web) -> None:
    after = "Close after this answer (RFC 9112, 9.6)."
    for field, why in (
        (b"Connection: close", ""),
        (b"connection: close", " The names of fields are the same in capitals and small letters."),
        (b"Connection: Close", " The words of this field are the same in capitals and small letters."),
        (b"Connection: keep-alive, close", " The field is a list of words (RFC 9110, 7.6.1)."),
    ):
        client = web.connect(sends=(REQUEST % b"/other")[:-2] + field + b"\r\n\r\n")
        web.expect(client, "/other", f"A client sent `{field.decode()}`")
        web.ends(client, f"A client asked for `{field.decode()}` and has its answer", after + why)
    client = web.connect(sends=b"GET /other HTTP/1.0\r\n\r\n")
    web.expect(client, "/other", "A client spoke HTTP/1.0")
    why = "It waits for the end: close after the answer (RFC 9112, 9.3)."
    web.ends(client, "A client spoke HTTP/1.0 and has its answer", why)
    web.ask(web.first, "/", "Another client had asked for `Connection: close`")
    web.attempt.good("Connection: close, in any case and in a list; HTTP/1.0")


def _slow_reader(web: _Web) -> None:
    slow = web.connect(SMALL, REQUEST % b"/big")
    web.process.watch(0.02)
    web.ask(web.first, "/", "One client does not read its long answer, and another one asked")
    web.expect(slow, "/big", "A client reads a page of 600000 bytes slowly")
    web.ask(slow, "/", "A client has read a page of 600000 bytes and asked for another one")
    slow.close()
    web.attempt.good("a page of 600000 bytes for a slow reader, and nobody waits for it")


def _slow_pages(web: _Web) -> None:
    with web.process.paused():
        clients = [web.connect(sends=REQUEST % b"/slow") for _ in range(_TOGETHER)]
    what = f"{_TOGETHER} clients asked for a slow page at the same moment"
    why = "A page waits by what it yields: `body = yield from page(path)` hands that on to the loop."
    answers = [web.answer(each, f"{what}, GET /slow", f"Are they served one after the other? {why}") for each in clients]
    for status, body in answers:
        if status != 200 or body != b"%d at once" % _TOGETHER:
            raise Wrong(f"{what}, and they were served one after the other: {part(body)}. {why}")
    for client in clients:
        client.close()
    web.attempt.good(f"{_TOGETHER} slow pages at the same time")


def _nonsense(web: _Web) -> None:
    client = web.connect()
    web.ask(client, "/", "A client asked for a page")
    web.send(client, REQUEST % b"/broken")
    web.read(client, 1, "A page raised an exception", *_ANSWER_OR_END)
    web.left_open()
    for request in b"hello\r\n\r\n", b"\x00\xff\x80\r\n\r\n", b"\r\n\r\n":
        client = web.connect(sends=request)
        what = f"A client sent {request!r}, which is no request"
        if request == b"\r\n\r\n":  # an empty line before a request may be passed over (RFC 9112, 2.2)
            half_close(client)
            web.read(client, 1, what, *_ANSWER_OR_END)
        else:
            why = "Close it, for nobody knows where its next request begins."
            web.read(client, 10_000, what, "its connection stays open", why)
        web.left_open()
    client = web.connect(sends=b"GET / HTTP/1.1\r\nX-Long: " + b"x" * _TOO_LONG)
    web.process.until(lambda: not web.trial.way(client)[1], 4.0)  # one that reads byte by byte may take its time
    what = f"A client sent {_TOO_LONG} bytes of a head without an end"
    why = "Close it, for it would fill the memory: 64 kB are enough."
    web.read(client, 10_000, what, "its connection stays open", why)
    web.ask(web.first, "/", "Other clients had sent nonsense")
    web.attempt.good("what goes wrong for one client, nonsense or a broken page, ends its connection alone")


_ANSWER_OR_END = "neither an answer nor the end came within 1 s", "When anything goes wrong, close the connection."


def _gone(web: _Web) -> None:
    clients = [web.connect(sends=(REQUEST % b"/")[:25]) for _ in range(20)]
    reading = [web.connect(SMALL, REQUEST % b"/big") for _ in range(5)]
    for client in reading:
        web.process.read(client, 1, "A client asked for a page of 600000 bytes and got nothing within 1 s")
    waiting = [web.connect(sends=REQUEST % b"/wait") for _ in range(5)]
    with web.process.paused():
        for client in clients[:10]:
            client.close()
        for client in (*clients[10:], *waiting, *reading):
            reset(client)
    what = "30 clients have gone, in the middle of a request or of an answer"
    web.ask(web.first, "/", what)
    web.have_gone(what)
    web.attempt.good("30 clients that go in the middle of a request or of an answer")


def _curl(web: _Web) -> None:
    if not (curl := shutil.which("curl")):
        web.attempt.note("curl is not installed, so it did not ask: sudo apt-get install curl")
        return
    host, port = web.trial.address
    urls = [f"http://{host}:{port}{path}" for path in ("/", "/nothing")]
    asked = subprocess.run(
        [curl, "-q", "--noproxy", "*", "-sS", "-m", "5", "-w", "%{http_code} %{num_connects}\n", *urls],
        capture_output=True,
        stdin=subprocess.DEVNULL,
    )
    lines = asked.stdout.splitlines()
    if asked.returncode or lines[:1] != [b"hello"] or lines[1:2] != [b"200 1"] or not lines[-1].endswith(b"404 0"):
        web.raised("curl asked for / and for /nothing")
        said = printable((asked.stderr or asked.stdout).decode(errors="replace").strip()[-200:])
        raise Wrong(f"curl asked for / and, on the same connection, for /nothing, and was not content: {said}")
    web.attempt.good("curl: 200 and 404 on one connection")


CHECKS = {"7.4": partial(check_web, inside=serve, name="http")}
