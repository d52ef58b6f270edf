"""The clients of exercise 9.1: what they send, what they get, and the cause when that is wrong."""

import re
import socket

from course_lib.sandbox import Wrong

from .protocol_trial import GONE, IN_A_TASK, ProtocolTrial, part

BINARY = bytes(range(256)) + b"\r\n$3\r\n*1\r\n" + "中文".encode() + b"\r\n"
HELLO_3 = b"%1\r\n$5\r\nproto\r\n:3\r\n"


_CAUSES = {
    **IN_A_TASK,
    "UnicodeDecodeError": "A key or a value may hold any bytes, not only UTF-8: leave them bytes.",
    "TypeError: unhashable": "A key of a dict never changes, and a bytearray may: bytes(key).",
    "KeyError": "No such key is no error: `store.get(key)` gives None for it, and the answer is $-1\\r\\n.",
    "MemoryError OverflowError": "A length is only announced: take memory for what has come, and refuse what is over the limit.",
    "RecursionError": "Each call from inside of itself takes room on the stack: go round in a loop.",
    "TypeError: ^(?!.*NoneType).*(bytes-like|'bytes'|to bytes|to str|%b|str, not)": "A socket carries bytes: b'...' and bytes go "
    "together, text.encode() makes bytes of a str.",
}
# Where nothing better is known of the command.
_LIKELY = {
    "ValueError: invalid literal": "Is it the number in a line of its own, without its sign? After a value comes \\r\\n, then the next "
    "line. And what is no number is a protocol error: answer `-ERR Protocol error: …`, then close.",
    "ValueError IndexError: unpack|out of range": "Has all of the command come? Its words may come one by one. And a command may have "
    "too few of them, or too many: that is an error of the client, so answer it.",
    "TypeError: NoneType": "Each command gets an answer; a function that ends without return gives None.",
}


class Redis(ProtocolTrial):
    """The learner's resp and its clients."""

    complete = "the command is complete"
    size = "The number is len(value), in bytes; \\r\\n follows the value, and send_all sends it all."
    lines, end = "Each line ends in \\r\\n.", "each line ends in \\r\\n."
    causes, likely = _CAUSES, _LIKELY
    gone = {**ProtocolTrial.gone, "ConnectionError": GONE, "EOFError": GONE}  # so may a reader of its own say that recv gave b""
    stays_open = "And the connection stays open then: `try: … finally: conn.close()`."

    def ask(self, client: socket.socket, words: tuple[bytes, ...], right: bytes, what: str, why: str = "") -> None:
        self.send(client, encoded(*words))
        self.expect(client, right, f"{what}, {shown(words)}", why)

    def expect(self, client: socket.socket, right: bytes, what: str, why: str = "") -> None:
        """This answer must come next; `-` stands for any error."""
        got = self.answer(client, what, why)
        if got == right or right == b"-" == got[:1]:
            return
        said, wanted = part(got), "an error, a line that begins with -" if right == b"-" else part(right)
        if right[:1] == b"$" and got[:1] == b"$" and right != b"$-1\r\n" and got != b"$-1\r\n":
            value, whole = _value(got), _value(right)
            if whole.startswith(value) and b"\r\n" in whole:
                why = "A value ends where its length says, not at a line end: it may have line ends in it."
            elif value == str(whole).encode():
                why = "That is how Python writes bytes; bytes stay bytes: b'...%b' % value, or +."
            elif value[:-2] == whole and value.endswith(b"\r\n"):
                why = "The \\r\\n after a value does not belong to it, and does not count in its length."
        elif got[:1] == b"+" and right[:1] == b"$":
            why = "A value goes out with its length: what begins with + is one line, and a value may have line ends in it."
        elif got == b"$0\r\n\r\n" and right == b"$-1\r\n":
            why = "A key that is not there is answered by $-1\\r\\n, which is no value; $0 is an empty one."
        elif got == b"$-1\r\n" and right == b"$0\r\n\r\n":
            why = "`if not value` takes an empty value for none: ask `if value is None`."
        raise Wrong(f"{what}: the answer is {said}, not {wanted}.{why and ' '}{why}")

    def answer(self, client: socket.socket, what: str, why: str = "") -> bytes:
        """The next answer, whole."""
        came = self.came[client]
        while b"\r\n" not in came:
            self.more(client, what, why)
        line = bytes(came[: came.index(b"\r\n") + 2])
        if line == b"\r\n":
            raise Wrong(
                f"{what}: the answer begins with {part(bytes(came))}. An empty line too many: behind $-1\\r\\n comes nothing."
            )
        if line[:1] not in (b"+", b"-", b":", b"$", b"*", b"%", b"_"):
            raise Wrong(
                f"{what}: the answer begins with {part(line)}. Its first byte says what it is: + a short text, - an error, $ a "
                "value with its length."
            )
        size = len(line)
        if line[:1] == b"$" and line != b"$-1\r\n":
            if not line[1:-2].isdigit():
                raise Wrong(f"{what}: the answer begins with {part(line)}; after $ comes the number of bytes of the value.")
            size += int(line[1:-2]) + 2
        elif line == HELLO_3[: len(line)]:
            size = len(HELLO_3)
        while len(came) < size:
            begun = f"the answer says {line!r}, and only {len(came) - len(line)} bytes of it came"
            self.more(client, what, why, begun)
        got = bytes(came[:size])
        if not got.endswith(b"\r\n"):
            after = bytes(came[len(line) :])
            why = "the number counts the bytes of the value, and \\r\\n follows it."
            if after[:2] in (b"b'", b'b"'):
                why = "that is how Python writes bytes in a text. b'...%b' % value, or +, leaves them bytes."
            raise Wrong(f"{what}: the answer says {line!r}, and then came {part(after)}: {why}")
        del came[:size]
        return got

    def unfinished(self, came: bytes, begun: str, does: str) -> str:
        if begun and does and came[:1] == b"%":
            return f"{part(came)} came, and then nothing within 1 s; the map is {HELLO_3!r}."
        return super().unfinished(came, begun, does)

    def runs_on(self, client: socket.socket) -> str:
        unread = self.trial.way(client)[1]
        self.process.watch(0.1)
        if unread and self.trial.way(client)[1] < unread:
            return "It reads, but slowly: how many bytes does each recv() take, and how often is each byte copied?"
        return super().runs_on(client)


def encoded(*words: bytes) -> bytes:
    """A command as clients send it: an array of strings, each with its length."""
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in words)


def bulk(value: bytes) -> bytes:
    return b"$%d\r\n%b\r\n" % (len(value), value)


def _value(answer: bytes) -> bytes:
    """The value in an answer that begins with $."""
    return answer.partition(b"\r\n")[2][:-2]


def shown(words: tuple[bytes, ...]) -> str:
    """A command for a message: SET key value."""
    return " ".join(word.decode() if re.fullmatch(rb"[!-~]+", word) else part(word) for word in words)
