"""Exercise 9.1: RESP, the protocol of Redis, on one connection, and the check that asks it as its clients do."""

import socket
from collections.abc import Callable, Generator
from typing import Any

from course_lib.sandbox import Attempt, Talk, Wrong, a
from course_lib.solutions.coroutines import accept

from .ends import reset
from .protocol_trial import AFTER_END, part, serve_each
from .redis_clients import BINARY, HELLO_3, Redis, bulk, encoded, shown
from .redis_programs import redis_benchmark, redis_package
from .server_trial import SMALL

_BIG = b"".join(b"%07d " % number for number in range(25_000))  # a value of 200,000 bytes, no two parts of it the same
_GREEDY = 24 << 20  # bytes by which a server grows whose client reads nothing: far more than one answer and its copies
_MANY = 200  # answers of 200,000 bytes that are asked for at once, and not read


def check_resp(attempt: Attempt) -> None:
    commands = _answers, _stores, _any_bytes, _inline, _pieces, _pipeline, _refuses, _hello
    clients = _half_closed, _nonsense, _slow_reader, _gone, redis_benchmark, redis_package
    Redis(attempt, _serve, "resp").go_through(*commands, *clients, Redis.leaves_nothing)


class _Store(dict):
    """What the learner's code gets as `store`: it tells at once when something else than bytes is put in."""

    def __init__(self, talk: Talk, known: dict[bytes, bytes]) -> None:
        super().__init__(known)
        self._talk = talk

    def __setitem__(self, key: object, value: object) -> None:
        for name, thing in ("key", key), ("value", value):
            if not isinstance(thing, bytes):
                self._talk.send({"wrong": f"The {name} that you put into store is {a(thing)}: keys and values are bytes."})
        super().__setitem__(key, value)


class _Counting(socket.socket):
    """A connection that counts the sends of all."""

    sends = 0

    def send(self, *arguments: Any) -> int:
        _Counting.sends += 1
        return super().send(*arguments)


def _serve(talk: Talk, resp: Callable, listener: socket.socket) -> None:
    store = _Store(talk, {b"greeting": b"hello"})

    def counted(listener: socket.socket) -> Generator[object, None, socket.socket]:
        conn = _Counting(fileno=(yield from accept(listener)).detach())
        conn.setblocking(False)
        return conn

    serve_each(talk, listener, counted, lambda conn: resp(conn, store), lambda: {"sends": _Counting.sends})


def _answers(redis: Redis) -> None:
    redis.begin((b"PING",), b"+PONG\r\n", "A client sent a command in one packet")
    redis.ask(redis.first, (b"PING",), b"+PONG\r\n", "A second command on the same connection")
    redis.attempt.good("PING is answered: +PONG")


def _stores(redis: Redis) -> None:
    first, other = redis.first, redis.connect()
    why = "After each word comes \\r\\n, which is taken too; and that a key is not there is no error."
    redis.ask(first, (b"GET", b"nothing"), b"$-1\r\n", "A client asked for a key that is not there", why)
    what = "In store is the key b'greeting', and a client asked for it"
    why = "Take the values from `store`; its keys are bytes, and are taken as they are."
    redis.ask(first, (b"GET", b"greeting"), b"$5\r\nhello\r\n", what, why)
    redis.ask(first, (b"SET", b"city", b"Oslo"), b"+OK\r\n", "A client stored a value")
    redis.ask(first, (b"GET", b"city"), bulk(b"Oslo"), "A client stored a value and asked for it")
    why = "All connections share `store`."
    redis.ask(other, (b"GET", b"city"), bulk(b"Oslo"), "One client stored a value, and another one asked for it", why)
    redis.ask(other, (b"SET", b"city", b"Rome"), b"+OK\r\n", "A client stored another value under the same key")
    redis.ask(first, (b"GET", b"city"), bulk(b"Rome"), "A client stored another value under the same key", why)
    redis.ask(first, (b"SET", b"empty", b""), b"+OK\r\n", "A client stored an empty value")
    redis.ask(first, (b"GET", b"empty"), bulk(b""), "A client stored an empty value and asked for it")
    why = "The names of commands are the same in capitals and small letters; keys are not."
    redis.ask(first, (b"get", b"city"), bulk(b"Rome"), "A client sent a command in small letters", why)
    redis.ask(first, (b"Get", b"City"), b"$-1\r\n", "A client asked for a key with a capital letter, which is not there", why)
    other.close()
    redis.trial.calm("A client has gone and nobody talks", AFTER_END)
    redis.attempt.good("SET and GET: one store for all connections; $-1 for a key that is not there")


def _any_bytes(redis: Redis) -> None:
    for key, value, kind in (
        (b"text", b"two\r\nlines\r\n", "a value with line ends in it"),
        (b"command", encoded(b"PING"), "a value that looks like a command"),
        (b"binary", BINARY, "a value of all 256 bytes"),
        (b"a key\r\nof two lines", b"*", "a key with a space and a line end in it"),
        (b"\xff\x00", b"$", "a key of bytes that are no UTF-8"),
    ):
        size = max(len(key), len(value))
        why = f"The line ${size} announces {size} bytes, whatever they are: take so many, and the \\r\\n after them."
        redis.ask(redis.first, (b"SET", key, value), b"+OK\r\n", f"A client stored {kind}", why)
        redis.ask(redis.first, (b"GET", key), bulk(value), f"A client stored {kind} and asked for it", why)
    redis.attempt.good("keys and values of any bytes, line ends too")


def _inline(redis: Redis) -> None:
    why = "A line that does not begin with * is a whole command: its words have spaces between them."
    commands = {b"PING\r\n": b"+PONG\r\n", b"SET inline yes\r\n": b"+OK\r\n", b"get inline\r\n": b"$3\r\nyes\r\n"}
    for line, right in commands.items():
        redis.send(redis.first, line)
        redis.expect(redis.first, right, f"A client sent {line!r}, an inline command", why)
    redis.attempt.good("inline commands, a line of words as a person types it")


def _pieces(redis: Redis) -> None:
    why = "A command may come in pieces, cut anywhere: while it is not complete, `yield from recv(conn, n)` again, and add."
    client = redis.connect()
    commands = encoded(b"SET", b"k", b"\r\n12") + b"PING\r\n" + encoded(b"GET", b"k")
    for number, byte in enumerate(commands):
        if number == 10:
            own, what = (
                "Each connection needs a buffer of its own.",
                "One client has sent half of a command, and another one sent",
            )
            redis.ask(redis.first, (b"GET", b"city"), bulk(b"Rome"), what, own)
        redis.piece(client, bytes([byte]))
    for right, name in (b"+OK\r\n", "SET"), (b"+PONG\r\n", "PING"), (bulk(b"\r\n12"), "GET"):
        redis.expect(client, right, f"A client sent SET, an inline PING and GET one byte at a time, {name}", why)
    command = encoded(b"SET", b"cut", b"12345\r\n789")
    for cut in range(1, len(command)):
        redis.piece(client, command[:cut])
        redis.send(client, command[cut:])
        redis.expect(client, b"+OK\r\n", f"A command came in two parts, {command[:cut]!r} and the rest", why)
    redis.send(client, encoded(b"PING") + command[:25])
    why = "Send the answer before you wait for more: the client may wait for it before it goes on."
    redis.expect(client, b"+PONG\r\n", "A client sent a command and the first half of another one, PING", why)
    redis.send(client, command[25:])
    redis.expect(client, b"+OK\r\n", "A client sent a command and half of another one, then the rest, SET", _BEHIND)
    client.close()
    redis.attempt.good("commands in pieces, cut anywhere")


_BEHIND = "Several commands may come in one recv(): what stands behind the first is the beginning of the next one. Keep it."


def _pipeline(redis: Redis) -> None:
    client = redis.connect()
    for size in 16, 1000:
        commands, answers = [], []
        for number in range(size // 2):
            commands += [(b"SET", b"key %d" % number, b"%d" % (number * number)), (b"GET", b"key %d" % number)]
            answers += [b"+OK\r\n", bulk(b"%d" % (number * number))]
        before = redis.told().get("sends", 0)
        redis.send(client, b"".join(encoded(*words) for words in commands))
        for number, (words, right) in enumerate(zip(commands, answers), 1):
            redis.expect(client, right, f"{size} commands came together, and number {number} of them was {shown(words)}", _BEHIND)
        if size == 16 and (sends := redis.told().get("sends", 0) - before) >= size:
            redis.attempt.note(
                f"{size} commands came together, and their answers left in {sends} sends, a system call and a packet each. Collect "
                "them, and send what is ready before you wait for more: redis-benchmark -P 16 shows what that brings."
            )
    redis.send(client, b"PING\r\n" + encoded(b"PING") + b"GET greeting\r\n")
    for right in b"+PONG\r\n", b"+PONG\r\n", b"$5\r\nhello\r\n":
        redis.expect(client, right, "Inline commands and others came in one packet", _BEHIND)
    if came := bytes(redis.came[client]):
        raise Wrong(f"Commands came together, and {part(came)} came besides its answers. Each gets one answer.")
    client.close()
    redis.attempt.good("16 and 1000 commands at once, each with its answer, in their order")


# Commands that are answered by an error, and why.
_REFUSED: dict[str, list[tuple[bytes, ...]]] = {
    "redis-benchmark asks this first, and waits for the answer: any error will do, and the connection stays.": [
        (b"CONFIG", b"GET", b"save")
    ],
    "Any error will do, such as -ERR unknown command, and the connection stays.": [
        (b"FLUSHALL",), (b"COMMAND", b"DOCS"), (b"CLIENT", b"SETINFO", b"LIB-NAME", b"redis-py"),
        (b"",), (b"GET\r\n+OK",), (b"\xff\xfe", b"x"),
    ],
    "The number of arguments is wrong: an error, and the connection stays.": [
        (b"GET",), (b"GET", b"a", b"b"), (b"SET", b"city"), (b"SET",)
    ],
    "Its options are not known here: to answer +OK would be a lie, since the value would not expire.": [
        (b"SET", b"city", b"Bonn", b"EX", b"10"), (b"SET", b"city", b"Bonn", b"NX")
    ],
}  # fmt: skip


def _refuses(redis: Redis) -> None:
    client = redis.first
    for why, words in ((why, words) for why, commands in _REFUSED.items() for words in commands):
        what = f"A client sent {shown(words)}"
        redis.send(client, encoded(*words))
        redis.expect(client, b"-", what, why)
        if b"\r\n" in words[0]:
            why = "An error is one line: the name of the command goes into it without its line ends, as %a or repr() writes it."
        redis.ask(client, (b"PING",), b"+PONG\r\n", f"{what}, got an error, and then sent", why)
    what, why = "A client sent SET with wrong arguments, got an error, and then", "What is answered by an error changes nothing."
    redis.ask(client, (b"GET", b"city"), bulk(b"Rome"), what, why)
    redis.send(client, b"".join(encoded(*words) for words in ((b"PING",), (b"NONE", b"x"), (b"GET", b"a", b"b"), (b"PING",))))
    for number, right in enumerate((b"+PONG\r\n", b"-", b"-", b"+PONG\r\n"), 1):
        what = f"4 commands came together, two of them wrong, and number {number}"
        redis.expect(client, right, what, "An error is the answer to one command.")
    what = "A command of 1024 words, which is as many as it may have,"
    redis.send(client, encoded(b"GET", *[b"x"] * 1023))
    redis.expect(client, b"-", what, "Refuse it as any command with wrong arguments: the connection stays.")
    why = "The limit is 1024 words: 1025 are too many."
    redis.ask(client, (b"PING",), b"+PONG\r\n", f"{what} got an error, and then a client sent", why)
    redis.send(client, b"good morning\r\n")
    redis.expect(client, b"-", "A client sent b'good morning\\r\\n', an inline command that nobody knows")
    redis.attempt.good("what it does not know, or with wrong arguments: an error, and the connection stays")


def _hello(redis: Redis) -> None:
    client = redis.connect(sends=encoded(b"HELLO", b"3"))
    why = "This map of one entry says that you speak RESP3."
    redis.expect(client, HELLO_3, "A client sent HELLO 3, as the redis package does", why)
    why = "In RESP3 this is how a missing value is written."
    redis.ask(client, (b"GET", b"nothing"), b"_\r\n", "A client sent HELLO 3, and then asked for a key that is not there", why)
    redis.ask(client, (b"GET", b"city"), bulk(b"Rome"), "A client sent HELLO 3, and then")
    what = "One client sent HELLO 3, and another one, which did not, asked for a key that is not there"
    redis.ask(redis.first, (b"GET", b"nothing"), b"$-1\r\n", what, "It changes this one connection.")
    client.close()
    redis.attempt.good("HELLO 3, RESP3 for this one connection")


def _half_closed(redis: Redis) -> None:
    with redis.process.paused():
        client = redis.connect(sends=encoded(b"GET", b"city") + encoded(b"PING"), last=True)
    what = "A client sent two commands and half-closed"
    why = "b'' says that it sends no more, but it still reads (shutdown(2)): first answer all that has come."
    redis.expect(client, bulk(b"Rome"), f"{what}, GET", why)
    redis.expect(client, b"+PONG\r\n", f"{what}, PING", why)
    redis.ends(client, f"{what}, and has its answers", "When recv gives b'', close the connection.")
    whole = encoded(b"SET", b"city", b"Bonn")
    for sent, what in (
        (b"", "A client sent nothing and half-closed"),
        (b"PIN", "A client sent half of an inline command and half-closed"),
        (whole[:18], "A client sent half of a command and half-closed"),
        (whole[:-4], "A client half-closed in the middle of a value"),
    ):
        redis.ends(redis.connect(sends=sent, last=True), what, AFTER_END)
    what, why = (
        "A client went in the middle of a SET, and another one asked",
        "A command that has not come as a whole is not done.",
    )
    redis.ask(redis.first, (b"GET", b"city"), bulk(b"Rome"), what, why)
    redis.attempt.good("a client that half-closes gets all its answers, then the end")


_NONSENSE = (
    (b"*x\r\n", "what follows * is no number"),
    (b"*2\r\nGET\r\n", "the line of the length has no $"),
    (b"*1\r\n+4\r\nPING\r\n", "the line of the length has + in place of $"),
    (b"*1\r\n*1\r\n$4\r\nPING\r\n", "an array in an array is no command"),
    (b"*2\r\n$3\r\nGET\r\n$2\r\ncity\r\n", "behind the 2 bytes that $2 announces comes no \\r\\n"),
    (b"*1\r\n$x\r\n", "what follows $ is no number"),
    (b"*1\r\n$-1\r\n", "a length below 0"),
    (b"*1\r\n$\r\n", "no length at all"),
    (b"*2\r\n$3\r\nGET\r\n$1073741824\r\n", "a word of 1 GB is announced"),
    (b"*2\r\n$3\r\nGET\r\n$" + b"9" * 5000 + b"\r\n", "a word of a length with 5000 digits is announced"),
    (b"*1073741824\r\n", "a command of 1073741824 words is announced"),
    (b"*1025\r\n", "a command of 1025 words is announced"),
    (b"*3\r\n$3\r\nSET\r\n$6\r\n%b\r\n$%d\r\n" % (b"twoMB1", 2 << 20), "a value of 2 MB is announced"),
)


def _nonsense(redis: Redis) -> None:
    held = redis.process.memory()
    for sent, what in _NONSENSE:
        _refused(redis, redis.connect(sends=sent), f"A client sent {part(sent)}: {what}")
    too_long = {
        "a line of 2 MB without an end": b"x" * (2 << 20),
        "a number of 2 MB without an end": b"*" + b"1" * (2 << 20),
        "two words of 1.1 MB together in one command": encoded(b"SET", b"k" * 100_000, b"v" * 1_000_000),
    }
    for what, sent in too_long.items():
        _refused(redis, redis.connect(sends=sent), f"A client sent {what}", answered=False)
    client = redis.connect(sends=b"*2\r\n$3\r\nGET\r\n$2\r\ncity\r\n" + b"x" * 100_000 + b"\r\n", last=True)
    _over(redis, client, "A client sent `$2` and then 4 bytes")
    for sent in b"\r\n", b"*0\r\n", b"*-1\r\n", b"\x00\xff\x80\r\n", b"+OK\r\n", b"  \r\n":
        _over(redis, redis.connect(sends=sent, last=True), f"A client sent {sent!r}, which is no command")
    redis.ask(redis.first, (b"GET", b"city"), bulk(b"Rome"), "Other clients had sent nonsense, and one sent")
    if redis.process.memory() - held > _GREEDY:
        raise Wrong(
            f"Clients have announced 1 GB and sent little, and your server holds over {_GREEDY >> 20} MB more: take memory for "
            "what has come, not for what is announced."
        )
    redis.attempt.good("lengths that lie, 1 GB announced, lines without end: an error, then the end, and no memory")


def _refused(redis: Redis, client: socket.socket, what: str, answered: bool = True) -> None:
    """An error reply must come, and then the end. A reset may have swallowed the reply if we sent more than was read."""
    why = "Nobody knows where the next command begins: answer `-ERR Protocol error: …`, then close."
    came, stuck = redis.trial.receive(client, 10_000)
    if stuck:
        redis.left_open()
        does = stuck.does("your server")
        if came[:1] == b"-":
            raise Wrong(f"{what}. The answer is {part(came)}, and the connection stays open: {does}. {why}")
        said = f"{part(came)} came, and then nothing" if came else "no answer came"
        if "announced" in what:
            why = "Refuse it at once, when it is announced: answer `-ERR Protocol error: …`, then close."
        elif not stuck.asleep:
            why = "Does it look through all that has come again, for each piece that comes? Look for a line end in what is new."
        elif not answered:
            why = "Give up when it is over the limit: answer `-ERR Protocol error: …`, then close."
        raise Wrong(f"{what}; {said} within 1 s: {does}. {why}")
    if not came and answered:
        redis.raised(f"{what}; it got no answer, only the end", why, client)
        raise Wrong(f"{what}; it got no answer, only the end. {why}")
    if came and (came[:1] != b"-" or not came.endswith(b"\r\n") or came.count(b"\r\n") != 1):
        raise Wrong(f"{what}; the answer is {part(came)}, and then the end. {why}")


def _over(redis: Redis, client: socket.socket, what: str) -> None:
    """The client has half-closed: whatever it gets, it must come to the end."""
    late = "half-closed, and the end did not come within 1 s"
    while redis.read(client, 1 << 16, what, late, "When anything goes wrong, close the connection."):
        pass
    redis.left_open()


def _slow_reader(redis: Redis) -> None:
    why = "It comes in many pieces: add them up until so many bytes are there as its length says."
    redis.ask(redis.first, (b"SET", b"big", _BIG), b"+OK\r\n", f"A client stored a value of {len(_BIG)} bytes", why)
    redis.ask(redis.first, (b"GET", b"big"), bulk(_BIG), f"A client stored a value of {len(_BIG)} bytes and asked for it")
    slow = redis.connect(receive_buffer=SMALL, sends=encoded(b"GET", b"big") * 3)
    redis.process.watch(0.02)
    redis.ask(redis.first, (b"PING",), b"+PONG\r\n", "One client does not read its long answer, and another one sent")
    for number in range(3):
        redis.expect(slow, bulk(_BIG), "A client reads an answer of 200000 bytes slowly, GET big")
    slow.close()
    held = redis.process.memory()
    greedy = redis.connect(receive_buffer=SMALL, sends=encoded(b"GET", b"big") * _MANY)
    what = f"A client asked {_MANY} times for a value of 200000 bytes and reads nothing"
    most = 0

    def piled_up() -> bool:
        nonlocal most
        most = max(most, redis.process.memory() - held)  # between two copies it holds less for a moment
        return most > _GREEDY

    redis.trial.read_all(greedy)
    redis.process.until(lambda: piled_up() or redis.process.state() == "S", 2.0)
    try:
        if not piled_up():
            redis.ask(redis.first, (b"PING",), b"+PONG\r\n", f"{what}, and another one sent")
    except Wrong:
        if not piled_up():
            raise
    if piled_up():
        raise Wrong(
            f"{what}, and your server holds over {_GREEDY >> 20} MB more: send answers before they are many; then send_all makes "
            "this client wait."
        )
    reset(greedy)
    redis.ask(redis.first, (b"PING",), b"+PONG\r\n", f"{what}, then it goes, and another one sent")
    redis.attempt.good("long answers for a slow reader: nobody waits for it, and they do not pile up")


def _gone(redis: Redis) -> None:
    command = encoded(b"SET", b"gone", b"some value")
    clients = [redis.connect(sends=command[: 2 * number]) for number in range(20)]
    reading = [redis.connect(receive_buffer=SMALL, sends=encoded(b"GET", b"big")) for _ in range(5)]
    for client in reading:
        redis.process.read(client, 1, "A client asked for a value of 200000 bytes and got nothing within 1 s")
    with redis.process.paused():
        for client in clients[:10]:
            client.close()
        for client in (*clients[10:], *reading):
            reset(client)
    what = "25 clients have gone, in the middle of a command or of an answer"
    redis.ask(redis.first, (b"PING",), b"+PONG\r\n", f"{what}, and another one sent")
    redis.have_gone(what)
    redis.attempt.good("25 clients that go in the middle of a command or of an answer")


CHECKS = {"9.1": check_resp}
