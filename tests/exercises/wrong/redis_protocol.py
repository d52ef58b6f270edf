"""Typical wrong solutions of 9.1, each with words of the message that names its cause."""

from exercises.case import case, changed

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
        if unread[size:size + 2] != b"\r\n":
            raise ValueError("end")
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
PACKET = changed(SPLIT, {r'words = data.split(b"\r\n")[2::2] if data.startswith(b"*") else data.split()': r"""
    if not data.startswith(b"*"):
        words = data.split()
    else:
        first, _, rest = data.partition(b"\r\n")
        words = []
        for _ in range(int(first[1:])):
            line, _, rest = rest.partition(b"\r\n")
            words.append(rest[:int(line[1:])])
            rest = rest[int(line[1:]) + 2:]
""", "except ConnectionError:\n    pass": ""})

SENDS = "16 commands came together, and their answers left in 16 sends"
RIGHT = {
    "9.1": [
        case("one answer at a time", SENDS, RESP),
        case("begins anew with each packet", SENDS, r"""
            class Incomplete(Exception):
                pass

            def parse(data):
                end = data.find(b"\r\n")
                if end < 0:
                    if len(data) > 70_000:
                        raise ValueError("line")
                    raise Incomplete
                if data[:1] != b"*":
                    return data[:end].split(), end + 2
                count, at, words, total = int(data[1:end]), end + 2, [], 0
                if not 0 <= count <= 1024:
                    raise ValueError("words")
                for _ in range(count):
                    end = data.find(b"\r\n", at, at + 100)
                    if end < 0:
                        if len(data) > at + 100:
                            raise ValueError("line")
                        raise Incomplete
                    if data[at] != ord("$"):
                        raise ValueError("no $")
                    size = int(data[at + 1 : end])
                    total += size
                    if size < 0 or total > 1 << 20:
                        raise ValueError("length")
                    if len(data) < end + 2 + size + 2:
                        raise Incomplete
                    if data[end + 2 + size : end + 4 + size] != b"\r\n":
                        raise ValueError("no line end")
                    words.append(data[end + 2 : end + 2 + size])
                    at = end + 2 + size + 2
                return words, at

            def resp(conn, store):
                data, null = b"", b"$-1\r\n"
                try:
                    while True:
                        try:
                            words, used = parse(data)
                        except Incomplete:
                            more = yield from recv(conn, 65536)
                            if not more:
                                break
                            data += more
                            continue
                        except ValueError as error:
                            yield from send_all(conn, b"-ERR Protocol error: invalid\r\n")
                            break
                        data = data[used:]
                        match [word.lower() if not number else word for number, word in enumerate(words)]:
                            case []:
                                reply = b""
                            case [b"ping", *text]:
                                reply = b"+PONG\r\n" if not text else b"$%d\r\n%s\r\n" % (len(text[0]), text[0])
                            case [b"hello", version]:
                                null = b"_\r\n"
                                reply = b"%1\r\n$5\r\nproto\r\n:3\r\n"
                            case [b"get", key]:
                                reply = b"$%d\r\n%s\r\n" % (len(store[key]), store[key]) if key in store else null
                            case [b"set", key, value]:
                                store.update({key: value})
                                reply = b"+OK\r\n"
                            case [b"get" | b"set" as name, *_]:
                                reply = b"-ERR wrong number of arguments for '%s' command\r\n" % name
                            case [name, *_]:
                                reply = "-ERR unknown command {!r}\r\n".format(name).encode()
                        yield from send_all(conn, reply)
                except OSError:
                    pass
                conn.close()
        """),
    ],
}

CASES = {
    "9.1": [
        case("a packet split at its line ends", "whatever they are: take so many", SPLIT, {}),
        case("a packet is a command", "A command may come in pieces", PACKET, {}),
        case("the value is a line", "whatever they are: take so many",
             RESP, {"words.append((yield from take(size)))": "words.append((yield from line()))"}),
        case("the value is read up to a line end", "it may have line ends in it",
             RESP, {"word, unread = unread[:size], unread[size + 2:]": 'word, _, rest = unread[:size].partition(b"\\r\\n")\nunread = unread[size + 2:]'}),
        case("the value is stripped", "it may have line ends in it",
             RESP, {"word, unread = unread[:size], unread[size + 2:]\nreturn word": "word, unread = unread[:size], unread[size + 2:]\nreturn word.strip()"}),
        case("the line end stays", r"not b'+PONG\r\n'", RESP, {"[:size]": "[:size + 2]"}),
        case("the line end is not taken", r"After each word comes \r\n, which is taken too",
             RESP, {", unread[size + 2:]": ", unread[size:]"}),
        case("the line end is not looked at", r"$2 announces comes no \r\n; b'$-1\r\n' came",
             RESP, {'if unread[size:size + 2] != b"\\r\\n":\n    raise ValueError("end")': ""}),
        case("the rest of a packet is lost", "what stands behind the first is the beginning",
             RESP, {"yield from send_all(conn, reply)": 'yield from send_all(conn, reply)\nunread = b""'}),
        case("a line once", "A command may come in pieces",
             RESP, {r'while b"\r\n" not in unread:': r'if b"\r\n" not in unread:'}),
        case("a value once", "A command may come in pieces",
             RESP, {"while len(unread) < size + 2:": "if len(unread) < size + 2:"}),
        case("waits for the value, not for its line end", "A command may come in pieces",
             RESP, {"while len(unread) < size + 2:": "while len(unread) < size:"}),
        case("one buffer for all", "Each connection needs a buffer of its own",
             RESP, {"def take(size):\n    nonlocal unread": "def take(size):\n    global unread",
             "def line():\n    nonlocal unread": "def line():\n    global unread",
             "def more():\n    nonlocal unread": "def more():\n    global unread",
             'unread = b""': "",
             "def resp(conn, store):": """
                 unread = b""

                 def resp(conn, store):
             """}),
        case("CONFIG is not answered", "redis-benchmark asks this first",
             RESP, {r'return b"-ERR unknown command\r\n"': 'return b""'}),
        case("closes on an unknown command", "the connection was closed too early",
             RESP, {r'return b"-ERR unknown command\r\n"': "raise ConnectionError"}),
        case("an unknown command is a protocol error", "resp raised ValueError: unknown",
             RESP, {r'return b"-ERR unknown command\r\n"': 'raise ValueError("unknown")'}),
        case("answers and closes", "and the connection stays",
             RESP, {"yield from send_all(conn, reply)": "yield from send_all(conn, reply)\nif reply[:1] == b'-':\n    return"}),
        case("closes after one command", "closed too early",
             RESP, {"yield from send_all(conn, reply)": "yield from send_all(conn, reply)\nreturn"}),
        case("an unknown command raises", "redis-benchmark asks this first", RESP, {r'return b"-ERR unknown command\r\n"': ""}),
        case("answers OK to all", "not an error, a line that begins with -",
             RESP, {r'return b"-ERR unknown command\r\n"': r'return b"+OK\r\n"'}),
        case("capitals only", "the same in capitals and small letters", RESP, {"name = words[0].upper()": "name = words[0]"}),
        case("all in capitals", "are taken as they are",
             RESP, {"name = words[0].upper()": "words = [word.upper() for word in words]\nname = words[0]"}),
        case("SET with options", "to answer +OK would be a lie",
             RESP, {'if name == b"SET" and len(words) == 3:': 'if name == b"SET" and len(words) >= 3:'}),
        case("arguments too many", "The number of arguments is wrong",
             RESP, {'if name == b"GET" and len(words) == 2:': 'if name == b"GET" and len(words) >= 2:'}),
        case("does not count arguments", "The number of arguments is wrong: an error, and the connection stays",
             RESP, {'if name == b"GET" and len(words) == 2:': 'if name == b"GET":'}),
        case("unpacks the arguments", "not enough values to unpack (expected 2, got 1)",
             RESP, {'if name == b"GET" and len(words) == 2:': 'if name == b"GET":\n    name, key = words'}),
        case("the name in the error", "An error is one line",
             RESP, {r'return b"-ERR unknown command\r\n"': r'return b"-ERR unknown command " + words[0] + b"\r\n"'}),
        case("a store of its own", "Take the values from `store`", RESP, {'unread = b""': 'unread = b""\nstore = {}'}),
        case("a copy of the store", "All connections share `store`",
             RESP, {'unread = b""': 'unread = b""\nstore = dict(store)'}),
        case("the store as it was", "A client stored a value and asked for it",
             RESP, {'unread = b""': 'unread = b""\nknown = dict(store)',
             "value = store.get(words[1])": "value = known.get(words[1])"}),
        case("keys are text", "its keys are bytes",
             RESP, {"store[words[1]] = words[2]": "store[words[1].decode()] = words[2]",
             "value = store.get(words[1])": "value = store.get(words[1].decode())"}),
        case("values are text", "The value that you put into store is a value of type str",
             RESP, {"store[words[1]] = words[2]": "store[words[1]] = words[2].decode()"}),
        case("keys are decoded for a while", "A key or a value may hold any bytes",
             RESP, {"store[words[1]] = words[2]": "store[words[1].decode().encode()] = words[2]"}),
        case("keys are bytearrays", "bytes(key)", RESP, {'unread = b""': "unread = bytearray()"}),
        case("no such key", "`store.get(key)` gives None", RESP, {"value = store.get(words[1])": "value = store[words[1]]"}),
        case("an empty value is none", "ask `if value is None`", RESP, {"if value is None:": "if not value:"}),
        case("none is empty", "$0 is an empty one", RESP, {r'null = b"$-1\r\n"': r'null = b"$0\r\n\r\n"'}),
        case("none is an error", r"not b'$-1\r\n'", RESP, {r'null = b"$-1\r\n"': r'null = b"-ERR no such key\r\n"'}),
        case("an empty line too many", "An empty line too many", RESP, {r'null = b"$-1\r\n"': r'null = b"$-1\r\n\r\n"'}),
        case("a value is a simple string", r"the answer is b'+hello\r\n', not b'$5",
             RESP, {r'"$%d\r\n%b\r\n" % (len(value), value)': r'"+%b\r\n" % value'}),
        case("the length counts the line end", "only 7 bytes of it came",
             RESP, {r'return b"$%d\r\n%b\r\n" % (len(value), value)': r'return b"$%d\r\n%b\r\n" % (len(value) + 2, value)'}),
        case("no line end after the value", r"\r\n follows the value", RESP, {r"b\r\n": "b"}),
        case("the length is too short", "counts the bytes of the value",
             RESP, {r'return b"$%d\r\n%b\r\n" % (len(value), value)': r'return b"$%d\r\n%b\r\n" % (len(value) - 1, value)'}),
        case("the value in a text", "that is how Python writes bytes",
             RESP, {r'b"$%d\r\n%b\r\n" % (len(value), value)': r'f"${len(value)}\r\n{value}\r\n".encode()'}),
        case("text and bytes", "text.encode() makes bytes of a str",
             RESP, {r'b"$%d\r\n%b\r\n" % (len(value), value)': r'f"${len(value)}\r\n" + value + b"\r\n"'}),
        case("line feeds alone", r"Each line ends in \r\n", RESP, {r'return b"+PONG\r\n"': r'return b"+PONG\n"'}),
        case("no sign", "Its first byte says what it is", RESP, {r'return b"+PONG\r\n"': r'return b"PONG\r\n"'}),
        case("PONG as a value", r"not b'+PONG\r\n'", RESP, {r'return b"+PONG\r\n"': r'return b"$4\r\nPONG\r\n"'}),
        case("no inline commands", "A line that does not begin with * is a whole command",
             RESP, {"return first.split()": 'raise ValueError("no array")'}),
        case("inline in one word", "its words have spaces between them", RESP, {"return first.split()": "return [first]"}),
        case("no HELLO", "This map of one entry",
             RESP, {'if name == b"HELLO" and words[1:] == [b"3"]:': 'if name == b"OLLEH" and words[1:] == [b"3"]:'}),
        case("another map", "the map is b'%1",
             RESP, {r'return b"%1\r\n$5\r\nproto\r\n:3\r\n"': r'return b"%1\r\n+proto\r\n:3\r\n"'}),
        case("HELLO and the old null", "how a missing value is written", RESP, {r'null = b"_\r\n"': ""}),
        case("HELLO for all", "It changes this one connection",
             RESP, {"nonlocal null": "global null",
             r'null = b"$-1\r\n"': "",
             "def resp(conn, store):": r"""
                 null = b"$-1\r\n"

                 def resp(conn, store):
             """}),
        case("answers only when nothing is left", "Send the answer before you wait for more",
             RESP, {'unread = b""': 'unread = b""\nready = b""',
             "yield from send_all(conn, reply)": 'ready += reply\nif not unread:\n    yield from send_all(conn, ready)\n    ready = b""'}),
        case("answers pile up", "send answers before they are many",
             RESP, {'unread = b""': 'unread = b""\nready = b""',
             "def more():\n    nonlocal unread": """
                 def more():
                     nonlocal unread
                     nonlocal ready
                     yield from send_all(conn, ready)
                     ready = b""
             """, "yield from send_all(conn, reply)": "ready += reply"}),
        case("forgets its answers at the end", "no answer within 1 s",
             RESP, {'unread = b""': 'unread = b""\nready = b""',
             "if not data:\n    raise ConnectionError": "if not data:\n    raise ConnectionError\nnonlocal ready",
             "unread += data": 'unread += data\nyield from send_all(conn, ready)\nready = b""',
             "yield from send_all(conn, reply)": "ready += reply\nif len(unread) < 4:\n    yield from send_all(conn, ready[:len(ready) * 0])"}),
        case("a length below 0", "a length below 0", RESP, {"(sign) or not text[1:].isdigit():": "(sign):"}),
        case("does not look at the sign", "the line of the length has + in place of $", RESP, {".startswith(sign) or not text": ""}),
        case("believes any length", "Refuse it at once, when it is announced", RESP, {"if int(text[1:]) > most:": "if False:"}),
        case("no limit for all words together", "Give up when it is over the limit", RESP, {"left -= size": ""}),
        case("no limit for a line", "a line of 2 MB without an end", RESP, {"if len(unread) > 65536:": "if False:"}),
        case("nonsense is ignored", "answer `-ERR Protocol error: …`, then close",
             RESP, {'yield from send_all(conn, b"-ERR Protocol error: " + str(error).encode() + b"\\r\\n")\nreturn': "continue"}),
        case("nonsense is answered, and it goes on", "and the connection stays open",
             RESP, {'yield from send_all(conn, b"-ERR Protocol error: " + str(error).encode() + b"\\r\\n")\nreturn': 'yield from send_all(conn, b"-ERR Protocol error: " + str(error).encode() + b"\\r\\n")\ncontinue'}),
        case("nonsense ends it without a word", "it got no answer, only the end",
             RESP, {r'yield from send_all(conn, b"-ERR Protocol error: " + str(error).encode() + b"\r\n")': ""}),
        case("nonsense raises", "it got no answer, only the end: resp raised ValueError",
             RESP, {"except ValueError as error:": "except EOFError as error:"}),
        case("no close", "resp has returned, and its connection is still open", RESP, {"conn.close()": "pass"}),
        case("closes only when all goes well", "When the client has gone (ConnectionError)",
             RESP, {"except ConnectionError:\n    pass\nfinally:\n    conn.close()": "except EOFError:\n    pass\nconn.close()"}),
        case("does not see the end", "recv gives b'' again and again", RESP, {"if not data:\n    raise ConnectionError": ""}),
        case("no yield from for recv", "`yield from` gives its value",
             RESP, {"data = yield from recv(conn, 65536)": "data = recv(conn, 65536)"}),
        case("no yield from for a generator of its own", "no answer within 1 s",
             RESP, {'if len(unread) > 65536:\n    raise ValueError("line")\nyield from more()': 'if len(unread) > 65536:\n    raise ValueError("line")\nmore()',
             "while len(unread) < size + 2:\n    yield from more()": "while len(unread) < size + 2:\n    more()"}),
        case("no yield from for send_all", "which runs nothing",
             RESP, {"yield from send_all(conn, reply)": "send_all(conn, reply)"}),
        case("yields the generator", "go through it with `yield from`",
             RESP, {"data = yield from recv(conn, 65536)": "data = yield recv(conn, 65536)"}),
        case("the socket's own recv", "yield from recv(conn, n)",
             RESP, {"data = yield from recv(conn, 65536)": "data = conn.recv(65536)\nyield"}),
        case("the socket's own sendall", "yield from recv(conn, n)",
             RESP, {"yield from send_all(conn, reply)": "conn.sendall(reply)"}),
        case("a blocking socket", "in send(), for one client", RESP, {'unread = b""': 'unread = b""\nconn.setblocking(True)'}),
        case("calls itself for the next command", "what stands behind the first is the beginning",
             RESP, {"yield from send_all(conn, reply)": "yield from send_all(conn, reply)\nyield from resp(conn, store)\nreturn"}),
        case("a call inside of a call for each command", "go round in a loop",
             RESP, {"while True:": "def next_one():",
             "except ConnectionError:": """
                         yield from next_one()

                     yield from next_one()
                 except ConnectionError:
             """}),
        case("a thread for each", "started a thread",
             RESP, {'unread = b""': 'unread = b""\nthreading.Thread(target=threading.Event().wait, daemon=True).start()'}),
        case("1024 words are too many", "A command of 1024 words, which is as many as it may have,",
             RESP, {'length(first, b"*", 1024)': 'length(first, b"*", 1023)'}),
    ],
}
