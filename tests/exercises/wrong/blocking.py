"""Typical wrong solutions of 2.1 to 2.4, each with words of the message that names its cause."""

from exercises.case import case, changed, right

IMPORTS = """
import errno, os, select, socket, threading, time
from socket import SOL_SOCKET, SO_REUSEADDR
from course_lib.mine import Lines, serve_one
"""

MAKE = """
def make_listener(port=0, backlog=16):
    s = socket.socket()
    s.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)
    s.bind(("127.0.0.1", port))
    s.listen(backlog)
    return s
"""

CREATE = """
def make_listener(port=0, backlog=16):
    s = socket.create_server(("127.0.0.1", port), backlog=backlog)
    return s
"""

# The right one, but for a limit.
LINES = r"""
class Lines:
    def __init__(self):
        self.rest = b""

    def feed(self, chunk):
        *lines, self.rest = (self.rest + chunk).split(b"\n")
        return lines
"""

SERVE_ONE = changed(right("2.3"), {"except OSError as error:\n    if error.errno == errno.EBADF:\n        raise": "except OSError:\n    pass"})

# One that meets no error.
TRUSTING = r"""
def serve_one(conn):
    lines = Lines()
    with conn:
        while chunk := conn.recv(4096):
            for line in lines.feed(chunk):
                conn.sendall(line.upper() + b"\n")
"""

# One that knows of no error of accept().
SERVE = changed(right("2.4"), {"try:\n    conn, _ = listener.accept()\n...\n    continue": "conn, _ = listener.accept()"})

RIGHT = {
    "2.2": [
        case("a helper under cache", "", r"""
            import functools

            @functools.cache
            def separator(name):
                return {"unix": b"\n"}[name]

            class Lines:
                def __init__(self):
                    self.pieces = []
                def feed(self, chunk):
                    first, *others = chunk.split(separator("unix"))
                    self.pieces.append(first)
                    lines = []
                    for other in others:
                        lines.append(b"".join(self.pieces))
                        self.pieces = [other]
                    if max(map(len, [*lines, b"".join(self.pieces)])) > 65536:
                        raise ValueError("too long")
                    return lines
        """),
    ],
    "2.3": [
        case("descriptors", "", r"""
            from contextlib import closing, suppress

            def serve_one(conn):
                with closing(conn), suppress(OSError, ValueError):
                    lines = Lines()
                    for chunk in iter(lambda: os.read(conn.fileno(), 16384), b""):
                        answer = memoryview(b"".join(line.upper() + b"\n" for line in lines.feed(chunk)))
                        while answer:
                            answer = answer[os.write(conn.fileno(), answer):]
        """),
        case("byte by byte", "", SERVE_ONE, {"4096": "1"}),
    ],
    "2.4": [
        case("does more than asked", "more than was asked", """
            def serve_forever(listener):
                watched = {listener}
                while True:
                    for sock in select.select(watched, [], [])[0]:
                        if sock is listener:
                            watched.add(listener.accept()[0])
                            continue
                        try:
                            chunk = sock.recv(4096)
                            sock.sendall(chunk.upper())
                        except ConnectionError:
                            chunk = b""
                        if not chunk:
                            watched.discard(sock)
                            sock.close()
        """),
    ],
}

CASES = {
    "2.1": [
        case("a backlog of its own", "make_listener(backlog=7) gave a queue of 5: hand `backlog` on to listen()",
             MAKE, {"s.listen(backlog)": "s.listen(5)"}),
        case("option after bind",
             'setsockopt must come before bind() (socket(7)). The notes have it wrong: they say "set after bind".',
             MAKE, {'s.bind(("127.0.0.1", port))': "",
             "s = socket.socket()": 's = socket.socket()\ns.bind(("127.0.0.1", port))'}),
        case("no option", "works today and fails on restart: TIME_WAIT on port",
             MAKE, {"s.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)": ""}),
        case("bind without listen", "client was refused: the socket is bound, but no listen()", MAKE, {"s.listen(backlog)": ""}),
        case("setsockopt of the module",
             "setsockopt is not called on your socket in line 3, `socket.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)`. It is a "
             "method of the",
             MAKE, {"s.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)": "socket.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)"}),
        case("setsockopt of the class",
             "The notes have it wrong: their `socket.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)` calls it on the module.",
             MAKE, {"s.setsockopt": "socket.socket.setsockopt"}),
        case("setsockopt without a level", "TypeError: setsockopt() takes exactly 3 arguments (2 given) in line 3",
             MAKE, {"SOL_SOCKET, ": ""}),
        case("listen before bind",
             "listen() without bind() has already chosen an address, all interfaces and a free port (ip(7)), so bind() fails "
             "with EINVAL in line 5: bind first, then listen.",
             MAKE, {"s.listen(backlog)": "",
             "s.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)": "s.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)\ns.listen(backlog)"}),
        case("bind twice", "make_listener raised OSError: [Errno 22] Invalid argument in line 5",
             MAKE, {"s.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)": "", "return s": 's.bind(("127.0.0.1", port))'}),
        case("bind with two arguments",
             '(2 given) in line 3, `s.bind("127.0.0.1", port)`. The address is ONE pair: bind((host, port)).',
             MAKE, {"s.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)": "", '(("127.0.0.1", port))': '("127.0.0.1", port)'}),
        case("bind with the port alone",
             "must be tuple, not int in line 3, `s.bind(port)`. The address is ONE pair: bind((host, port)).",
             MAKE, {"s.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)": "", '(("127.0.0.1", port))': "(port)"}),
        case("nothing but a socket", "bind() and listen() are missing",
             "def make_listener(port=0, backlog=16): return socket.socket()"),
        case("no bind", "bound to 0.0.0.0",
             MAKE, {'s.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)\ns.bind(("127.0.0.1", port))': "", "listen(backlog)": "listen()"}),
        case("all interfaces", "It is bound to 0.0.0.0, which the whole network can reach: bind", MAKE, {'"127.0.0.1",': '"",'}),
        case("returns nothing", "returned None: return the listening socket", CREATE, {"return s": ""}),
        case("returns the address", "make_listener returned ('127.0.0.1', 0): return the listening socket.", "def make_listener(port=0, backlog=16): return ('127.0.0.1', port)"),
        case("accepts already", "did not return within 1 s: it sleeps in line 3, `connection, _ = s.accept()`",
             CREATE, {"return s": "connection, _ = s.accept()\nreturn connection"}),
        case("closed", "returned a closed socket", CREATE, {"return s": "with s:\n    return s"}),
        case("another port", "hand `port` on to bind()", CREATE, {'"127.0.0.1", port': '"127.0.0.1", 0'}),
        case("backlog forgotten", "gave a queue of 16: hand `backlog` on to listen()", CREATE, {"backlog=backlog": "backlog=16"}),
        case("no parameters", "TypeError: make_listener() takes 0",
             "def make_listener(): return socket.create_server(('127.0.0.1', 0))"),
        case("non-blocking", "leave that for the next notebook", CREATE, {"return s": "s.setblocking(False)\nreturn s"}),
        case("UDP", "SOCK_DGRAM", "def make_listener(port=0, backlog=16): return socket.socket(type=socket.SOCK_DGRAM)"),
        case("two sockets", "left 1 more open",
             CREATE, {"def make_listener": "kept = []\ndef make_listener", "return s": "kept.append(socket.socket())\nreturn s"}),
        case("kept when bind fails", "bind() failed, and the socket that you had made stays open: nobody else can close it.",
             MAKE, {"def make_listener": "kept = []\ndef make_listener", "socket.socket()": "socket.socket()\nkept.append(s)"}),
        case("another port when it is taken", "and make_listener returned a value of type socket: let bind()'s error through.",
             right("2.1"), {'listener.bind(("127.0.0.1", port))': """
                 try:
                     listener.bind(("127.0.0.1", port))
                 except OSError:
                     listener.bind(("127.0.0.1", 0))
             """}),
        case("SO_REUSEPORT", "SO_REUSEADDR is off", MAKE, {"SO_REUSEADDR": "socket.SO_REUSEPORT"}),
    ],
    "2.2": [
        case("takes the last of splitlines for unfinished",
             "splitlines() does not tell whether the last line is complete", LINES, {r'split(b"\n")': "splitlines()"}),
        case("splits each chunk",
             "b'one', b'tw', b'o', b'']: a cut is no line end, so keep the unfinished part until the next feed", r"""
            class Lines:
                def feed(self, chunk):
                    return chunk.split(b"\n")
        """),
        case("splits each chunk, drops empty parts", "and it returned [b'one', b'tw', b'o']: a cut is no line end", """
            class Lines:
                def feed(self, chunk):
                    return [line for line in chunk.splitlines() if line]
        """),
        case("decodes each chunk", "ended in the middle of a character: UnicodeDecodeError",
             LINES, {'b""': '""', r'chunk).split(b"\n")': r'chunk.decode()).split("\n")', "return lines": "return [line.encode() for line in lines]"}),
        case("returns str", "a list with a value of type str in it",
             LINES, {"return lines": "return [line.decode() for line in lines]"}),
        case("one line per feed", r"Lines() was fed b'one\ntwo\n', and it returned [b'one']: two lines arrived together, and TCP keeps no borders", r"""
            class Lines:
                def __init__(self):
                    self.rest = b""
                def feed(self, chunk):
                    line, end, rest = (self.rest + chunk).partition(b"\n")
                    if not end:
                        self.rest = line
                        return []
                    self.rest = rest
                    return [line]
        """),
        case("drops empty lines", "an empty line is a line too",
             LINES, {"return lines": "return [line for line in lines if line]"}),
        case("splitlines", r"only b'\n' ends a line", r"""
            class Lines:
                def __init__(self):
                    self.rest = b""
                def feed(self, chunk):
                    lines = (self.rest + chunk).splitlines(keepends=True)
                    self.rest = b"" if not lines or lines[-1].endswith(b"\n") else lines.pop()
                    return [line.rstrip(b"\n") for line in lines]
        """),
        case("one rest for all", "share one rest", r"""
            class Lines:
                rest = bytearray()
                def feed(self, chunk):
                    self.rest.extend(chunk)
                    *lines, last = self.rest.split(b"\n")
                    self.rest[:] = last
                    return [bytes(line) for line in lines]
        """),
        case("copies the rest for each line", "each line seems to copy all the rest: it runs all the time (CPU ", r"""
            class Lines:
                def __init__(self):
                    self.rest = b""
                def feed(self, chunk):
                    self.rest += chunk
                    lines = []
                    while b"\n" in self.rest:
                        end = self.rest.index(b"\n")
                        lines.append(self.rest[:end])
                        self.rest = self.rest[end + 1:]
                    return lines
        """),
        case("no rest", r"Lines() was fed b'one\ntw' and b'o\n', and it returned [b'one', b'o'], not [b'one', b'two']: bytes were lost. Keep what has no end yet, self.rest + chunk, until its b'\n' comes.", r"""
            class Lines:
                def feed(self, chunk):
                    return chunk.split(b"\n")[:-1]
        """),
        case("two pieces and no third", "bytes were lost. Keep what has no end yet, self.rest + chunk, until its b'\\n' comes",
             LINES, {r'*lines, self.rest = (self.rest + chunk).split(b"\n")': r"""
                 if b"\n" not in chunk:
                     self.rest = chunk
                     return []
                 *lines, self.rest = (self.rest + chunk).split(b"\n")
             """}),
        case("the rest stays", "bytes came twice. When a line is given, nothing of it stays in the rest.",
             right("2.2"), {"self.rest.clear()": ""}),
        case("decodes with replace", "the chunk ended inside a character, and its bytes have changed. Work on bytes",
             LINES, {'b""': '""', r'chunk).split(b"\n")': r'chunk.decode(errors="replace")).split("\n")',
             "return lines": "return [line.encode() for line in lines]"}),
        case("no limit", r"A line has 65537 bytes and no end, and feed went on. A client that never sends b'\n' would fill the memory", LINES),
        case("cuts a long line", "A piece of a line is no line.",
             LINES, {"return lines": """
                 while len(self.rest) > 65536:
                     lines.append(self.rest[:65536])
                     self.rest = self.rest[65536:]
                 return lines
             """}),
        case("a limit for the rest alone", "A line has 65537 bytes and its end",
             LINES, {"return lines": 'if len(self.rest) > 65536: raise ValueError("too long")\nreturn lines'}),
        case("one byte too few", "As long as that it may be; only a longer one is refused",
             right("2.2"), {"> 65_536": ">= 65_536"}),
        case("returns nothing", "feed returned None: return a list of bytes", "class Lines:\n    def feed(self, chunk): pass"),
        case("is a generator", "feed returned a value of type generator", "class Lines:\n    def feed(self, chunk): yield chunk"),
        case("has no feed", "AttributeError: 'Lines' object has no attribute 'feed'", "class Lines: pass"),
        case("waits for input", "waits for the keyboard", "class Lines:\n    def feed(self, chunk): return [input().encode()]"),
    ],
    "2.3": [
        case("too long a line ends the server", "Lines raises it for too long a line: catch it, then close",
             right("2.3"), {"except ValueError:\n    pass": ""}),
        case("no end on b''", "did not return 1 s after the client finished: it runs all the time (CPU ",
             TRUSTING, {"while chunk := conn.recv(4096):": "while True:\n    chunk = conn.recv(4096)"}),
        case("closes on b'' before the last answer", "half-closed and got 2 of 3 answers",
             TRUSTING, {"while chunk := conn.recv(4096):": "chunk = conn.recv(4096)\nwhile following := conn.recv(4096):",
             'for line in lines.feed(chunk):\n    conn.sendall(line.upper() + b"\\n")': r"""
                 for line in lines.feed(chunk):
                     conn.sendall(line.upper() + b"\n")
                 chunk = following
             """}),
        case("send instead of sendall", "of 200,000 bytes arrived: the check sent a signal while your send() slept.",
             right("2.3"), {r'conn.sendall(line.upper() + b"\n")': r'conn.send(line.upper() + b"\n")'}),
        case("no except for reset",
             "ConnectionResetError ended your server in line 4, `while chunk := conn.recv(4096):`", TRUSTING),
        case("no except for reset while sending", "ended your server in line 12, `conn.sendall(",
             TRUSTING, {"while chunk := conn.recv(4096):": """
                 while True:
                     try:
                         chunk = conn.recv(4096)
                     except ConnectionResetError:
                         return
                     if not chunk:
                         return
             """}),
        case("knows ConnectionResetError only", "BrokenPipeError ended your server in line 7, `conn.sendall(",
             SERVE_ONE, {"except OSError:": "except ConnectionResetError:"}),
        case("knows ConnectionError only",
             "TimeoutError ended your server in line 7, `conn.sendall(line.upper() + b\"\\n\")`: the client answers no more, and the "
             "kernel gives up (tcp(7)). Catch OSError, then close.",
             SERVE_ONE, {"except OSError:": "except ConnectionError:"}),
        case("catches everything", "KeyboardInterrupt came, from the stop button of the notebook",
             SERVE_ONE, {"except OSError:": "except:"}),
        case("a new Lines for each chunk", r"The client sent b'he', and then b'llo\n', and it got b'LLO\n': the first piece is lost. One Lines() for the whole",
             SERVE_ONE, {"lines.feed(": "Lines().feed("}),
        case("one Lines for all", r"this one sent b'one\n', and it got b'HALF': make Lines() anew for each connection.",
             SERVE_ONE, {"def serve_one(conn):": "lines = Lines()\n\ndef serve_one(conn):", "    lines = Lines()": "    pass"}),
        case("answers the unfinished line", r"without b'\n', and it got b'HALF\n': that is not a line yet.",
             SERVE_ONE, {"except ValueError:": r"""
                     if lines.rest:
                         conn.sendall(lines.rest.upper() + b"\n")
                 except ValueError:
             """}),
        case("a time limit", "gave the connection a time limit of 30 s: nobody asked for it",
             SERVE_ONE, {"lines = Lines()": "lines = Lines()\nconn.settimeout(30)"}),
        case("closes the number alone", "os.close() has closed the number, and conn does not know",
             SERVE_ONE, {"with conn:": "if True:", "except OSError:\n    pass": "except OSError:\n    pass\nos.close(conn.fileno())"}),
        case("closes after one answer",
             "After 1 answer the client got b'', the end: do you close after the first answer?", """
            def serve_one(conn):
                with conn:
                    conn.sendall(conn.recv(4096).upper())
        """),
        case("does not close", "left the connection open", TRUSTING, {"with conn:": "if True:"}),
        case("answers only at the end", "came only after the client had finished", """
            def serve_one(conn):
                with conn:
                    everything = b""
                    while chunk := conn.recv(4096):
                        everything += chunk
                    conn.sendall(everything.upper())
        """),
        case("returns the answers", "returned a value of type list and sent 0 answers", """
            def serve_one(conn):
                with conn:
                    lines, answers = Lines(), []
                    while chunk := conn.recv(4096):
                        answers += lines.feed(chunk.upper())
                    return answers
        """),
        case("no line end", r"no b'\n' at their end",
             TRUSTING, {"lines = Lines()": "",
             'for line in lines.feed(chunk):\n    conn.sendall(line.upper() + b"\\n")': "for line in chunk.splitlines():\n    conn.sendall(line.upper())"}),
        case("no capitals", "answer in capitals",
             TRUSTING, {"lines = Lines()": "",
             'for line in lines.feed(chunk):\n    conn.sendall(line.upper() + b"\\n")': "conn.sendall(chunk)"}),
        case("no lines", r"without b'\n', and it got b'HALF'",
             TRUSTING, {"lines = Lines()": "",
             'for line in lines.feed(chunk):\n    conn.sendall(line.upper() + b"\\n")': "conn.sendall(chunk.upper())"}),
        case("leaves another socket open", "left 1 more open than before",
             TRUSTING, {"def serve_one(conn):": "kept = []\ndef serve_one(conn):\n    kept.append(socket.socket())"}),
        case("two owners of a number", "It was closed before. Has this number two owners",
             TRUSTING, {"with conn:\n...\n": """
                 with conn, os.fdopen(conn.fileno(), "rb") as f:
                     for line in f:
                         conn.sendall(line.upper())
             """, "lines = Lines()": ""}),
        case("closes the number, not the socket", "After 0 answers the client got b''",
             "def serve_one(conn):\n    os.close(conn.fileno())"),
    ],
    "2.4": [
        case("ends the process", "ended its whole process with status 0",
             SERVE, {"serve_one(conn)": "serve_one(conn)\nos._exit(0)"}),
        case("one client only", "returned; it should serve without end", SERVE, {"while True:": "if True:"}),
        case("a reset ends it", "ConnectionResetError ended your server in line 5, `while chunk := conn.recv(4096):`",
             SERVE, {"serve_one(conn)": "with conn:\n    while chunk := conn.recv(4096):\n        conn.sendall(chunk.upper())"}),
        case("forgets that accept gives a pair",
             "accept() returns the pair (connection, address); you handed on the pair in line 3.",
             SERVE, {"conn, _ = listener.accept()\nserve_one(conn)": "serve_one(listener.accept())"}),
        case("talks to the pair", "you handed on the pair in line 4.", SERVE, {"conn, _ = listener.accept()\nserve_one(conn)": """
                 client = listener.accept()
                 while chunk := client.recv(4096):
                     client.sendall(chunk.upper())
             """}),
        case("takes the address for the connection", "serve_forever raised TypeError: 'tuple' object",
             SERVE, {"conn, _ = listener.accept()\nserve_one(conn)": "pair = listener.accept()\nserve_one(pair[1])"}),
        case("accept outside the loop", "accept() belongs inside the loop: you served a closed connection again in line 4.",
             SERVE, {"conn, _ = listener.accept()": "", "(listener):": "(listener):\n    conn, _ = listener.accept()"}),
        case("accept outside the loop, and serve_one hides that it is closed", "yet it runs all the time",
             SERVE_ONE + "\n" + SERVE, {"conn, _ = listener.accept()": "",
             "def serve_forever(listener):": "def serve_forever(listener):\n    conn, _ = listener.accept()"}),
        case("speaks after serve_one has closed", "serve_forever raised OSError: [Errno 9] Bad file descriptor in line 5",
             SERVE, {"serve_one(conn)": 'serve_one(conn)\nconn.sendall(b"bye")'}),
        case("two owners of a number", "It was closed before. Has this number two owners",
             SERVE, {"serve_one(conn)": """
                 f = os.fdopen(conn.fileno(), "rb")
                 for line in f:
                     conn.sendall(line.upper())
                 f.close()
                 conn.close()
             """}),
        case("two owners in a with", "It was closed before. Has this number two owners",
             SERVE, {"serve_one(conn)": """
                 with conn, os.fdopen(conn.fileno(), "rb") as f:
                     for line in f:
                         conn.sendall(line.upper())
             """}),
        case("keeps the number only", "A socket object that nobody keeps closes its number, too",
             SERVE, {"conn, _ = listener.accept()\nserve_one(conn)": """
                 number = listener.accept()[0].fileno()
                 while data := os.read(number, 4096):
                     os.write(number, data.upper())
                 os.close(number)
             """}),
        case("closes the listener", "You used the listener after you had closed it in line 3: keep it open for the next clients.",
             SERVE, {"serve_one(conn)": "serve_one(conn)\nlistener.close()"}),
        case("spins", "Nobody comes, and your server looks for a client all the time in line ", """
            def serve_forever(listener):
                listener.setblocking(False)
                while True:
                    try:
                        conn, _ = listener.accept()
                    except BlockingIOError:
                        continue
                    conn.setblocking(False)
                    with conn:
                        while True:
                            try:
                                if not (chunk := conn.recv(4096)):
                                    break
                                conn.sendall(chunk.upper())
                            except BlockingIOError:
                                pass
                            except ConnectionError:
                                break
        """),
        case("naps", "times in 0.3 s",
             right("2.4"), {"while True:": "listener.setblocking(False)\nwhile True:", "except OSError as error:": "except BlockingIOError:",
             "time.sleep(pause_after(error))": "time.sleep(0.001)", "serve_one(conn)": "conn.setblocking(True)\nserve_one(conn)"}),
        case("fifty clients", "returned; it should serve without end", SERVE, {"while True:": "for _ in range(50):"}),
        case("calls itself", "serve_forever calls itself for the next client", """
            def serve_forever(listener):
                serve_one(listener.accept()[0])
                serve_forever(listener)
        """),
        case("catches everything", "KeyboardInterrupt came, from the stop button of the notebook, and serve_forever went on",
             SERVE, {"conn, _ = listener.accept()\nserve_one(conn)": """
                 try:
                     conn, _ = listener.accept()
                     serve_one(conn)
                 except:
                     pass
             """}),
        case("a thread for each client", "started a thread",
             SERVE, {"serve_one(conn)": "threading.Thread(target=serve_one, args=(conn,)).start()"}),
        case("does not close", "connections are still open: close each one", """
            kept = []
            def serve_forever(listener):
                while True:
                    conn, _ = listener.accept()
                    kept.append(conn)
                    try:
                        while chunk := conn.recv(4096):
                            conn.sendall(chunk.upper())
                    except ConnectionError:
                        pass
        """),
    ],
}
