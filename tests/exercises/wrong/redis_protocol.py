"""Typical wrong solutions of 9.1, each with words of the message that names its cause."""

from exercises.case import case, changed, right

IMPORTS = """
import socket, threading, time
from course_lib.solutions.coroutines import recv, send_all
"""

RESP = changed(right("9.1"), {
    r'b"-ERR unknown command %a\r\n" % name[:60].decode("latin-1")': r'b"-ERR unknown command\r\n"',
    "try:\n    for turn in itertools.count(1):\n...\nexcept ValueError as error:\n...\n    yield from flush()": r"""
        while True:
            try:
                words = yield from command()
            except ValueError as error:
                yield from send_all(conn, b"-ERR Protocol error: " + str(error).encode() + b"\r\n")
                return
            if words:
                reply = answer(*words)
                yield from send_all(conn, reply)
    """,
    "except OSError as error:\n    if error.errno == errno.EBADF:\n        raise": "except ConnectionError:\n    pass",
})  # fmt: skip

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
             RESP, {"word = yield from take(size + 2)\n...\nwords.append(word[:-2])": "words.append((yield from line()))"}),
        case("the value is read up to a line end", "it may have line ends in it",
             RESP, {"word[:-2])": r'word[:-2].partition(b"\r\n")[0])'}),
        case("the value is stripped", "it may have line ends in it", RESP, {"word[:-2])": "word[:-2].strip())"}),
        case("the line end stays", r"not b'+PONG\r\n'", RESP, {"word[:-2])": "word)"}),
        case("the line end is not taken", r"After each word comes \r\n, which is taken too",
             RESP, {"word = yield from take(size + 2)\n...\nwords.append(word[:-2])": "words.append((yield from take(size)))"}),
        case("the line end is not looked at", r"$2 announces comes no \r\n; b'$-1\r\n' came",
             RESP, {'if word[-2:] != b"\\r\\n":\n    raise ValueError("expected a line end after a word")': ""}),
        case("the rest of a packet is lost", "what stands behind the first is the beginning",
             RESP, {"send_all(conn, reply)": "send_all(conn, reply)\nunread.clear()"}),
        case("a line once", "A command may come in pieces",
             RESP, {"while not (size": "if not (size",
             "(yield from take(size))": r'(yield from take(unread.find(b"\n") + 1 or len(unread)))'}),
        case("a value once", "A command may come in pieces", RESP, {"while len(unread) < size": "if len(unread) < size"}),
        case("waits for the value, not for its line end", "A command may come in pieces",
             RESP, {"while len(unread) < size": "while len(unread) < size - 2"}),
        case("one buffer for all", "Each connection needs a buffer of its own",
             RESP, {"unread, answers, missing = bytearray(), ": "answers, missing = ",
             "def resp": "unread = bytearray()\n\ndef resp"}),
        case("CONFIG is not answered", "redis-benchmark asks this first", RESP, {r'b"-ERR unknown command\r\n"': 'b""'}),
        case("closes on an unknown command", "the connection was closed too early",
             RESP, {r'return b"-ERR unknown command\r\n"': "raise ConnectionError"}),
        case("an unknown command is a protocol error", "resp raised ValueError: unknown",
             RESP, {r'return b"-ERR unknown command\r\n"': 'raise ValueError("unknown")'}),
        case("answers and closes", "and the connection stays",
             RESP, {"yield from send_all(conn, reply)": "yield from send_all(conn, reply)\nif reply[:1] == b'-':\n    return"}),
        case("closes after one command", "closed too early", RESP, {"send_all(conn, reply)": "send_all(conn, reply)\nreturn"}),
        case("an unknown command raises", "redis-benchmark asks this first", RESP, {r'return b"-ERR unknown command\r\n"': ""}),
        case("answers OK to all", "not an error, a line that begins with -", RESP, {r'"-ERR unknown command\r\n"': r'"+OK\r\n"'}),
        case("capitals only", "the same in capitals and small letters", RESP, {"match name.upper()": "match name"}),
        case("all in capitals", "are taken as they are",
             RESP, {"match name.upper(), *arguments:": "match [word.upper() for word in (name, *arguments)]:"}),
        case("SET with options", "to answer +OK would be a lie", RESP, {"key, value]": "key, value, *_]"}),
        case("arguments too many", "The number of arguments is wrong", RESP, {'b"GET", key]': 'b"GET", key, *_]'}),
        case("does not count arguments", "The number of arguments is wrong: an error, and the connection stays",
             RESP, {'b"GET", key]': 'b"GET", *keys]', "store.get(key)": "store.get(keys[0])"}),
        case("unpacks the arguments", "not enough values to unpack (expected 2, got 1)",
             RESP, {'b"GET", key]:': 'b"GET", *_]:\n    name, key = name, *arguments'}),
        case("the name in the error", "An error is one line", RESP, {r'command\r\n"': r'command %b\r\n" % name'}),
        case("a store of its own", "Take the values from `store`", RESP, {"def flush": "store = {}\n\ndef flush"}),
        case("a copy of the store", "All connections share `store`", RESP, {"def flush": "store = dict(store)\n\ndef flush"}),
        case("the store as it was", "A client stored a value and asked for it",
             RESP, {"def flush": "known = dict(store)\n\ndef flush", "store.get(key)": "known.get(key)"}),
        case("keys are text", "its keys are bytes",
             RESP, {"store[key]": "store[key.decode()]", "store.get(key)": "store.get(key.decode())"}),
        case("values are text", "The value that you put into store is a value of type str",
             RESP, {"store[key] = value": "store[key] = value.decode()"}),
        case("keys are decoded for a while", "A key or a value may hold any bytes",
             RESP, {"store[key]": "store[key.decode().encode()]"}),
        case("keys are bytearrays", "bytes(key)", RESP, {"bytes(unread[:size])": "unread[:size]"}),
        case("no such key", "`store.get(key)` gives None", RESP, {"store.get(key)": "store[key]"}),
        case("an empty value is none", "ask `if value is None`", RESP, {"if held is None": "if not held"}),
        case("none is empty", "$0 is an empty one", RESP, {r'b"$-1\r\n"': r'b"$0\r\n\r\n"'}),
        case("none is an error", r"not b'$-1\r\n'", RESP, {r'b"$-1\r\n"': r'b"-ERR no such key\r\n"'}),
        case("an empty line too many", "An empty line too many", RESP, {r'b"$-1\r\n"': r'b"$-1\r\n\r\n"'}),
        case("a value is a simple string", r"the answer is b'+hello\r\n', not b'$5",
             RESP, {r'b"$%d\r\n%b\r\n" % (len(held), held)': r'b"+%b\r\n" % held'}),
        case("the length counts the line end", "only 7 bytes of it came", RESP, {"(len(held), held)": "(len(held) + 2, held)"}),
        case("no line end after the value", r"\r\n follows the value", RESP, {r"%b\r\n": "%b"}),
        case("the length is too short", "counts the bytes of the value", RESP, {"(len(held), held)": "(len(held) - 1, held)"}),
        case("the value in a text", "that is how Python writes bytes",
             RESP, {r'b"$%d\r\n%b\r\n" % (len(held), held)': r'f"${len(held)}\r\n{held}\r\n".encode()'}),
        case("text and bytes", "text.encode() makes bytes of a str",
             RESP, {r'b"$%d\r\n%b\r\n" % (len(held), held)': r'f"${len(held)}\r\n" + held + b"\r\n"'}),
        case("line feeds alone", r"Each line ends in \r\n", RESP, {r'return b"+PONG\r\n"': r'return b"+PONG\n"'}),
        case("no sign", "Its first byte says what it is", RESP, {r'return b"+PONG\r\n"': r'return b"PONG\r\n"'}),
        case("PONG as a value", r"not b'+PONG\r\n'", RESP, {r'return b"+PONG\r\n"': r'return b"$4\r\nPONG\r\n"'}),
        case("no inline commands", "A line that does not begin with * is a whole command",
             RESP, {"return first.split()": 'raise ValueError("no array")'}),
        case("inline in one word", "its words have spaces between them", RESP, {"return first.split()": "return [first]"}),
        case("no HELLO", "This map of one entry", RESP, {"HELLO": "OLLEH"}),
        case("another map", "the map is b'%1", RESP, {r'b"%1\r\n$5\r\nproto\r\n:3\r\n"': r'b"%1\r\n+proto\r\n:3\r\n"'}),
        case("HELLO and the old null", "how a missing value is written", RESP, {r'missing = b"_\r\n"': ""}),
        case("HELLO for all", "It changes this one connection",
             RESP, {"nonlocal": "global", r', missing = bytearray(), bytearray(), b"$-1\r\n"': " = bytearray(), bytearray()",
             "def resp": 'missing = b"$-1\\r\\n"\n\ndef resp'}),
        case("answers only when nothing is left", "Send the answer before you wait for more",
             RESP, {"def more():\n    yield from flush()": "def more():",
             "yield from send_all(conn, reply)": "answers.extend(reply)\nif not unread:\n    yield from flush()"}),
        case("answers pile up", "send answers before they are many",
             RESP, {"yield from send_all(conn, reply)": "answers.extend(reply)"}),
        case("forgets its answers at the end", "no answer within 1 s",
             RESP, {"def more():\n    yield from flush()": "def more():",
             "unread.extend(data)": "unread.extend(data)\nyield from flush()",
             "yield from send_all(conn, reply)": "answers.extend(reply)"}),
        case("a length below 0", "a length below 0", RESP, {" or not text[1:].isdigit() or len(text) > 9": ""}),
        case("does not look at the sign", "the line of the length has + in place of $", RESP, {"text[:1] != sign or ": ""}),
        case("believes any length", "Refuse it at once, when it is announced",
             RESP, {" or len(text) > 9 or int(text[1:]) > most": ""}),
        case("no limit for all words together", "Give up when it is over the limit", RESP, {"left -= size": ""}),
        case("no limit for a line", "a line of 2 MB without an end", RESP, {"if len(unread) > 65_536:": "if False:"}),
        case("nonsense is ignored", "answer `-ERR Protocol error: …`, then close",
             RESP, {'yield from send_all(conn, b"-ERR Protocol error: " + str(error).encode() + b"\\r\\n")\nreturn': "continue"}),
        case("nonsense is answered, and it goes on", "and the connection stays open",
             RESP, {'yield from send_all(conn, b"-ERR Protocol error: " + str(error).encode() + b"\\r\\n")\nreturn': 'yield from send_all(conn, b"-ERR Protocol error: " + str(error).encode() + b"\\r\\n")\ncontinue'}),
        case("nonsense ends it without a word", "it got no answer, only the end",
             RESP, {r'yield from send_all(conn, b"-ERR Protocol error: " + str(error).encode() + b"\r\n")': ""}),
        case("nonsense raises", "it got no answer, only the end: resp raised ValueError", RESP, {"ValueError as": "EOFError as"}),
        case("no close", "resp has returned, and its connection is still open", RESP, {"conn.close()": "pass"}),
        case("closes only when all goes well", "When the client has gone (ConnectionError)",
             RESP, {"except ConnectionError:\n    pass\nfinally:\n    conn.close()": "except EOFError:\n    pass\nconn.close()"}),
        case("does not see the end", "recv gives b'' again and again",
             RESP, {"if not (data := (yield from recv(conn, 16_384))):\n...\nunread.extend(data)":
             "unread.extend((yield from recv(conn, 16_384)))"}),
        case("no yield from for recv", "`yield from` gives its value",
             RESP, {"(yield from recv(conn, 16_384))": "recv(conn, 16_384)", "unread.extend(data)": "unread[:] += data"}),
        case("no yield from for a generator of its own", "no answer within 1 s",
             RESP, {"if len(unread) > 65_536:\n...\nyield from more()": "more()",
             "while len(unread) < size:\n    yield from more()": "while len(unread) < size:\n    more()"}),
        case("no yield from for send_all", "which runs nothing",
             RESP, {"yield from send_all(conn, reply)": "send_all(conn, reply)"}),
        case("yields the generator", "go through it with `yield from`", RESP, {"yield from recv": "yield recv"}),
        case("the socket's own recv", "yield from recv(conn, n)", RESP, {"(yield from recv(conn, 16_384))": "conn.recv(16_384)"}),
        case("the socket's own sendall", "yield from recv(conn, n)",
             RESP, {"yield from send_all(conn, reply)": "conn.sendall(reply)"}),
        case("a blocking socket", "in send(), for one client", RESP, {"def flush": "conn.setblocking(True)\n\ndef flush"}),
        case("calls itself for the next command", "what stands behind the first is the beginning",
             RESP, {"send_all(conn, reply)": "send_all(conn, reply)\nyield from resp(conn, store)\nreturn"}),
        case("a call inside of a call for each command", "go round in a loop",
             RESP, {"while True:": "def next_one():", "except ConnectionError:": """
                         yield from next_one()

                     yield from next_one()
                 except ConnectionError:
             """}),
        case("a thread for each", "started a thread",
             RESP, {"def flush": "threading.Thread(target=threading.Event().wait, daemon=True).start()\n\ndef flush"}),
        case("1024 words are too many", "A command of 1024 words, which is as many as it may have,", RESP, {"1024": "1023"}),
    ],
}
