"""Typical wrong solutions of 9.1, each with words of the message that names its cause."""

from .coroutines import changed

IMPORTS = """
import socket, threading, time
from course_lib.solutions.coroutines import recv, send_all
"""

RESP = r"""
def resp(conn, store):
    unread = b""
    null = b"$-1\r\n"

    def more():
        nonlocal unread
        data = yield from recv(conn, 65536)
        if not data:
            raise ConnectionError
        unread += data

    def line():
        nonlocal unread
        while b"\r\n" not in unread:
            if len(unread) > 65536:
                raise ValueError("line")
            yield from more()
        first, _, unread = unread.partition(b"\r\n")
        return first

    def take(size):
        nonlocal unread
        while len(unread) < size + 2:
            yield from more()
        word, unread = unread[:size], unread[size + 2:]
        return word

    def length(text, sign, most):
        if not text.startswith(sign) or not text[1:].isdigit():
            raise ValueError("length")
        if int(text[1:]) > most:
            raise ValueError("limit")
        return int(text[1:])

    def command():
        first = yield from line()
        if not first.startswith(b"*"):
            return first.split()
        words = []
        left = 1 << 20
        for _ in range(length(first, b"*", 1024)):
            size = length((yield from line()), b"$", left)
            left -= size
            words.append((yield from take(size)))
        return words

    def answer(words):
        nonlocal null
        name = words[0].upper()
        if name == b"PING" and len(words) == 1:
            return b"+PONG\r\n"
        if name == b"SET" and len(words) == 3:
            store[words[1]] = words[2]
            return b"+OK\r\n"
        if name == b"GET" and len(words) == 2:
            value = store.get(words[1])
            if value is None:
                return null
            return b"$%d\r\n%b\r\n" % (len(value), value)
        if name == b"HELLO" and words[1:] == [b"3"]:
            null = b"_\r\n"
            return b"%1\r\n$5\r\nproto\r\n:3\r\n"
        return b"-ERR unknown command\r\n"

    try:
        while True:
            try:
                words = yield from command()
            except ValueError as error:
                yield from send_all(conn, b"-ERR Protocol error: " + str(error).encode() + b"\r\n")
                return
            if words:
                reply = answer(words)
                yield from send_all(conn, reply)
    except ConnectionError:
        pass
    finally:
        conn.close()
"""

# What one finds first when one looks for a Redis in a few lines: it takes a packet for a command.
SPLIT = r"""
def resp(conn, store):
    try:
        while data := (yield from recv(conn, 65536)):
            words = data.split(b"\r\n")[2::2] if data.startswith(b"*") else data.split()
            match [words[0].upper(), *words[1:]]:
                case [b"PING"]:
                    reply = b"+PONG\r\n"
                case [b"SET", key, value]:
                    store[key] = value
                    reply = b"+OK\r\n"
                case [b"GET", key]:
                    value = store.get(key)
                    reply = b"$-1\r\n" if value is None else b"$%d\r\n%b\r\n" % (len(value), value)
                case _:
                    reply = b"-ERR unknown command\r\n"
            yield from send_all(conn, reply)
    except ConnectionError:
        pass
    finally:
        conn.close()
"""

# Reads the lengths, and still takes a packet for a command.
PACKET = r"""
def resp(conn, store):
    try:
        while data := (yield from recv(conn, 65536)):
            if not data.startswith(b"*"):
                words = data.split()
            else:
                first, _, rest = data.partition(b"\r\n")
                words = []
                for _ in range(int(first[1:])):
                    line, _, rest = rest.partition(b"\r\n")
                    words.append(rest[:int(line[1:])])
                    rest = rest[int(line[1:]) + 2:]
            match [words[0].upper(), *words[1:]]:
                case [b"PING"]:
                    reply = b"+PONG\r\n"
                case [b"SET", key, value]:
                    store[key] = value
                    reply = b"+OK\r\n"
                case [b"GET", key]:
                    value = store.get(key)
                    reply = b"$-1\r\n" if value is None else b"$%d\r\n%b\r\n" % (len(value), value)
                case _:
                    reply = b"-ERR unknown command\r\n"
            yield from send_all(conn, reply)
    finally:
        conn.close()
"""

_ANSWERS = "                yield from send_all(conn, reply)\n"

RESP_CASES = {
    "a packet split at its line ends": (SPLIT, "whatever they are: take so many"),
    "a packet is a command": (PACKET, "A command may come in pieces"),
    "the value is a line": (
        changed(RESP, ("words.append((yield from take(size)))", "words.append((yield from line()))")),
        "whatever they are: take so many",
    ),
    "the value is read up to a line end": (
        changed(
            RESP,
            (
                "        word, unread = unread[:size], unread[size + 2:]\n",
                '        word, _, rest = unread[:size].partition(b"\\r\\n")\n        unread = unread[size + 2:]\n',
            ),
        ),
        "it may have line ends in it",
    ),
    "the value is stripped": (changed(RESP, ("        return word\n", "        return word.strip()\n")), "it may have line ends in it"),
    "the line end stays": (
        changed(RESP, ("unread[:size], unread[size + 2:]", "unread[:size + 2], unread[size + 2:]")),
        "not b'+PONG\\r\\n'",
    ),
    "the line end is not taken": (
        changed(RESP, ("unread[:size], unread[size + 2:]", "unread[:size], unread[size:]")),
        "After each word comes \\r\\n, which is taken too",
    ),
    "the rest of a packet is lost": (
        changed(RESP, (_ANSWERS, _ANSWERS + '                unread = b""\n')),
        "what stands behind the first is the beginning",
    ),
    "a line once": (
        changed(RESP, ('        while b"\\r\\n" not in unread:\n', '        if b"\\r\\n" not in unread:\n')),
        "A command may come in pieces",
    ),
    "a value once": (changed(RESP, ("while len(unread) < size + 2", "if len(unread) < size + 2")), "A command may come in pieces"),
    "waits for the value, not for its line end": (
        changed(RESP, ("while len(unread) < size + 2", "while len(unread) < size")),
        "A command may come in pieces",
    ),
    "one buffer for all": (
        changed(
            RESP,
            ('    unread = b""\n', ""),
            ("nonlocal unread", "global unread"),
            ("def resp(conn", 'unread = b""\n\ndef resp(conn'),
        ),
        "Each connection needs a buffer of its own",
    ),
    "CONFIG is not answered": (
        changed(RESP, ('        return b"-ERR unknown command\\r\\n"', '        return b""')),
        "redis-benchmark asks this first",
    ),
    "closes on an unknown command": (
        changed(RESP, ('        return b"-ERR unknown command\\r\\n"', "        raise ConnectionError")),
        "the connection was closed too early",
    ),
    "an unknown command is a protocol error": (
        changed(RESP, ('        return b"-ERR unknown command\\r\\n"', '        raise ValueError("unknown")')),
        "resp raised ValueError: unknown",
    ),
    "answers and closes": (
        changed(RESP, (_ANSWERS, _ANSWERS + "                if reply[:1] == b'-':\n                    return\n")),
        "and the connection stays",
    ),
    "closes after one command": (changed(RESP, (_ANSWERS, _ANSWERS + "                return\n")), "closed too early"),
    "an unknown command raises": (
        changed(RESP, ('        return b"-ERR unknown command\\r\\n"', "")),
        "redis-benchmark asks this first",
    ),
    "answers OK to all": (changed(RESP, ("-ERR unknown command", "+OK")), "not an error, a line that begins with -"),
    "capitals only": (changed(RESP, ("words[0].upper()", "words[0]")), "the same in capitals and small letters"),
    "all in capitals": (
        changed(RESP, ("        name = words[0].upper()", "        words = [word.upper() for word in words]\n        name = words[0]")),
        "are taken as they are",
    ),
    "SET with options": (changed(RESP, ("len(words) == 3", "len(words) >= 3")), "to answer +OK would be a lie"),
    "arguments too many": (changed(RESP, ("len(words) == 2", "len(words) >= 2")), "The number of arguments is wrong"),
    "does not count arguments": (
        changed(RESP, (" and len(words) == 2", "")),
        "The number of arguments is wrong: an error, and the connection stays",
    ),
    "unpacks the arguments": (
        changed(RESP, ("        if name == b\"GET\" and len(words) == 2:\n", "        if name == b\"GET\":\n            name, key = words\n")),
        "not enough values to unpack (expected 2, got 1)",
    ),
    "the name in the error": (
        changed(RESP, ('b"-ERR unknown command\\r\\n"', 'b"-ERR unknown command " + words[0] + b"\\r\\n"')),
        "An error is one line",
    ),
    "a store of its own": (changed(RESP, ("    unread = b\"\"\n", "    unread = b\"\"\n    store = {}\n")), "Take the values from `store`"),
    "a copy of the store": (
        changed(RESP, ("    unread = b\"\"\n", "    unread = b\"\"\n    store = dict(store)\n")),
        "All connections share `store`",
    ),
    "the store as it was": (
        changed(RESP, ("            value = store.get(words[1])", "            value = known.get(words[1])"), ("    unread = b\"\"\n", "    unread = b\"\"\n    known = dict(store)\n")),
        "A client stored a value and asked for it",
    ),
    "keys are text": (
        changed(RESP, ("store.get(words[1])", "store.get(words[1].decode())"), ("store[words[1]]", "store[words[1].decode()]")),
        "its keys are bytes",
    ),
    "values are text": (
        changed(RESP, ("store[words[1]] = words[2]", "store[words[1]] = words[2].decode()")),
        "The value that you put into store is a value of type str",
    ),
    "keys are decoded for a while": (
        changed(RESP, ("words[1]]", "words[1].decode().encode()]")),
        "A key or a value may hold any bytes",
    ),
    "keys are bytearrays": (changed(RESP, ('    unread = b""\n', "    unread = bytearray()\n")), "bytes(key)"),
    "no such key": (changed(RESP, ("store.get(words[1])", "store[words[1]]")), "`store.get(key)` gives None"),
    "an empty value is none": (changed(RESP, ("if value is None:", "if not value:")), "ask `if value is None`"),
    "none is empty": (changed(RESP, ('null = b"$-1\\r\\n"', 'null = b"$0\\r\\n\\r\\n"')), "$0 is an empty one"),
    "none is an error": (changed(RESP, ('null = b"$-1\\r\\n"', 'null = b"-ERR no such key\\r\\n"')), "not b'$-1\\r\\n'"),
    "an empty line too many": (changed(RESP, ('null = b"$-1\\r\\n"', 'null = b"$-1\\r\\n\\r\\n"')), "An empty line too many"),
    "a value is a simple string": (
        changed(RESP, ('b"$%d\\r\\n%b\\r\\n" % (len(value), value)', 'b"+%b\\r\\n" % value')),
        "the answer is b'+hello\\r\\n', not b'$5",
    ),
    "the length counts the line end": (changed(RESP, ("(len(value), value)", "(len(value) + 2, value)")), "only 7 bytes of it came"),
    "no line end after the value": (changed(RESP, ("%b\\r\\n", "%b")), "\\r\\n follows the value"),
    "the length is too short": (changed(RESP, ("(len(value), value)", "(len(value) - 1, value)")), "counts the bytes of the value"),
    "the value in a text": (
        changed(RESP, ('b"$%d\\r\\n%b\\r\\n" % (len(value), value)', 'f"${len(value)}\\r\\n{value}\\r\\n".encode()')),
        "that is how Python writes bytes",
    ),
    "text and bytes": (
        changed(RESP, ('b"$%d\\r\\n%b\\r\\n" % (len(value), value)', 'f"${len(value)}\\r\\n" + value + b"\\r\\n"')),
        "text.encode() makes bytes of a str",
    ),
    "line feeds alone": (changed(RESP, ('b"+PONG\\r\\n"', 'b"+PONG\\n"')), "Each line ends in \\r\\n"),
    "no sign": (changed(RESP, ('b"+PONG\\r\\n"', 'b"PONG\\r\\n"')), "Its first byte says what it is"),
    "PONG as a value": (changed(RESP, ('b"+PONG\\r\\n"', 'b"$4\\r\\nPONG\\r\\n"')), "not b'+PONG\\r\\n'"),
    "no inline commands": (
        changed(RESP, ("            return first.split()", '            raise ValueError("no array")')),
        "A line that does not begin with * is a whole command",
    ),
    "inline in one word": (changed(RESP, ("first.split()", "[first]")), "its words have spaces between them"),
    "no HELLO": (changed(RESP, ('name == b"HELLO"', 'name == b"OLLEH"')), "This map of one entry"),
    "another map": (changed(RESP, ("$5\\r\\nproto\\r\\n", "+proto\\r\\n")), "the map is b'%1"),
    "HELLO and the old null": (changed(RESP, ('            null = b"_\\r\\n"\n', "")), "how a missing value is written"),
    "HELLO for all": (
        changed(
            RESP,
            ('    null = b"$-1\\r\\n"\n', ""),
            ("nonlocal null", "global null"),
            ("def resp(conn", 'null = b"$-1\\r\\n"\n\ndef resp(conn'),
        ),
        "It changes this one connection",
    ),
    "answers only when nothing is left": (
        changed(
            RESP,
            ('    null = b"$', '    ready = b""\n    null = b"$'),
            (_ANSWERS, '                ready += reply\n                if not unread:\n                    yield from send_all(conn, ready)\n                    ready = b""\n'),
        ),
        "Send the answer before you wait for more",
    ),
    "answers pile up": (
        changed(
            RESP,
            ('    null = b"$', '    ready = b""\n    null = b"$'),
            ("        data = yield from recv", '        nonlocal ready\n        yield from send_all(conn, ready)\n        ready = b""\n        data = yield from recv'),
            (_ANSWERS, "                ready += reply\n"),
        ),
        "send answers before they are many",
    ),
    "forgets its answers at the end": (
        changed(
            RESP,
            ('    null = b"$', '    ready = b""\n    null = b"$'),
            ("        unread += data\n", '        nonlocal ready\n        unread += data\n        yield from send_all(conn, ready)\n        ready = b""\n'),
            (_ANSWERS, '                ready += reply\n                if len(unread) < 4:\n                    yield from send_all(conn, ready[:len(ready) * 0])\n'),
        ),
        "no answer within 1 s",
    ),
    "a length below 0": (
        changed(RESP, ("        if not text.startswith(sign) or not text[1:].isdigit():", "        if not text.startswith(sign):")),
        "a length below 0",
    ),
    "does not look at the sign": (changed(RESP, ("not text.startswith(sign) or ", "")), "an array in an array is no command"),
    "believes any length": (changed(RESP, ("int(text[1:]) > most", "False")), "Refuse it at once, when it is announced"),
    "no limit for all words together": (changed(RESP, ("            left -= size\n", "")), "Give up when it is over the limit"),
    "no limit for a line": (changed(RESP, ("            if len(unread) > 65536:\n", "            if False:\n")), "a line of 2 MB without an end"),
    "nonsense is ignored": (
        changed(
            RESP,
            ('                yield from send_all(conn, b"-ERR Protocol error: " + str(error).encode() + b"\\r\\n")\n                return', "                continue"),
        ),
        "answer `-ERR Protocol error: …`, then close",
    ),
    "nonsense is answered, and it goes on": (
        changed(RESP, ('+ b"\\r\\n")\n                return', '+ b"\\r\\n")\n                continue')),
        "and the connection stays open",
    ),
    "nonsense ends it without a word": (
        changed(RESP, ('                yield from send_all(conn, b"-ERR Protocol error: " + str(error).encode() + b"\\r\\n")\n', "")),
        "it got no answer, only the end",
    ),
    "nonsense raises": (changed(RESP, ("except ValueError as error", "except EOFError as error")), "it got no answer, only the end: resp raised ValueError"),
    "no close": (
        changed(RESP, ("    finally:\n        conn.close()", "    finally:\n        pass")),
        "resp has returned, and its connection is still open",
    ),
    "closes only when all goes well": (
        changed(RESP, ("    except ConnectionError:\n        pass\n    finally:\n        conn.close()", "    except EOFError:\n        pass\n    conn.close()")),
        "When the client has gone (ConnectionError)",
    ),
    "does not see the end": (
        changed(RESP, ("        if not data:\n            raise ConnectionError\n", "")),
        "recv gives b'' again and again",
    ),
    "no yield from for recv": (changed(RESP, ("yield from recv", "recv")), "`yield from` gives its value"),
    "no yield from for a generator of its own": (changed(RESP, ("            yield from more()", "            more()")), "no answer within 1 s"),
    "no yield from for send_all": (changed(RESP, (_ANSWERS, "                send_all(conn, reply)\n")), "which runs nothing"),
    "yields the generator": (changed(RESP, ("data = yield from recv", "data = yield recv")), "go through it with `yield from`"),
    "the socket's own recv": (changed(RESP, ("yield from recv(conn, 65536)", "conn.recv(65536)\n        yield")), "yield from recv(conn, n)"),
    "the socket's own sendall": (changed(RESP, ("yield from send_all(conn, reply)", "conn.sendall(reply)")), "yield from recv(conn, n)"),
    "a blocking socket": (changed(RESP, ('    unread = b""\n', '    unread = b""\n    conn.setblocking(True)\n')), "in recv(), for one client"),
    "calls itself for the next command": (
        changed(RESP, (_ANSWERS, _ANSWERS + "                yield from resp(conn, store)\n                return\n")),
        "what stands behind the first is the beginning",
    ),
    "a call inside of a call for each command": (
        changed(
            RESP,
            ("        while True:\n            try:\n                words", "        def next_one():\n            try:\n                words"),
            (_ANSWERS, _ANSWERS + "            yield from next_one()\n\n        yield from next_one()\n"),
        ),
        "go round in a loop",
    ),
    "a thread for each": (
        changed(RESP, ('    unread = b""\n', '    unread = b""\n    threading.Thread(target=time.sleep, args=(3,), daemon=True).start()\n')),
        "started a thread",
    ),
}  # fmt: skip

CASES = {"9.1": RESP_CASES}
