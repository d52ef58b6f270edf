"""Typical wrong solutions of 2.1 to 2.4, each with words of the message that names its cause."""

IMPORTS = """
import os, select, socket, threading, time
from socket import SOL_SOCKET, SO_REUSEADDR
from course_lib.mine import Lines, serve_one
"""

LISTENER = {
    "a backlog of its own": (
        """
        def make_listener(port=0, backlog=16):
            s = socket.socket()
            s.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)
            s.bind(("127.0.0.1", port))
            s.listen(5)
            return s
        """,
        "make_listener(backlog=7) gave a queue of 5: hand `backlog` on to listen()",
    ),
    "option after bind": (
        """
        def make_listener(port=0, backlog=16):
            s = socket.socket()
            s.bind(("127.0.0.1", port))
            s.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)
            s.listen(backlog)
            return s
        """,
        'setsockopt must come before bind() (socket(7)). The notes have it wrong: they say "set after bind".',
    ),
    "no option": (
        """
        def make_listener(port=0, backlog=16):
            s = socket.socket()
            s.bind(("127.0.0.1", port))
            s.listen(backlog)
            return s
        """,
        "works today and fails on restart: TIME_WAIT on port",
    ),
    "bind without listen": (
        """
        def make_listener(port=0, backlog=16):
            s = socket.socket()
            s.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)
            s.bind(("127.0.0.1", port))
            return s
        """,
        "client was refused: the socket is bound, but no listen()",
    ),
    "setsockopt of the module": (
        """
        def make_listener(port=0, backlog=16):
            s = socket.socket()
            socket.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)
            s.bind(("127.0.0.1", port))
            s.listen(backlog)
            return s
        """,
        "setsockopt is not called on your socket in line 3, `socket.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)`. It is a method of the",
    ),
    "setsockopt of the class": (
        """
        def make_listener(port=0, backlog=16):
            s = socket.socket()
            socket.socket.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)
        """,
        "The notes have it wrong: their `socket.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)` calls it on the module.",
    ),
    "setsockopt without a level": (
        """
        def make_listener(port=0, backlog=16):
            s = socket.socket()
            s.setsockopt(SO_REUSEADDR, 1)
        """,
        "TypeError: setsockopt() takes exactly 3 arguments (2 given) in line 3",
    ),
    "listen before bind": (
        """
        def make_listener(port=0, backlog=16):
            s = socket.socket()
            s.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)
            s.listen(backlog)
            s.bind(("127.0.0.1", port))
            return s
        """,
        "listen() without bind() has already chosen an address, all interfaces and a free port (ip(7)), "
        "so bind() fails with EINVAL in line 5: bind first, then listen.",
    ),
    "bind twice": (
        """
        def make_listener(port=0, backlog=16):
            s = socket.socket()
            s.bind(("127.0.0.1", port))
            s.listen(backlog)
            s.bind(("127.0.0.1", port))
        """,
        "make_listener raised OSError: [Errno 22] Invalid argument in line 5",
    ),
    "bind with two arguments": (
        """
        def make_listener(port=0, backlog=16):
            s = socket.socket()
            s.bind("127.0.0.1", port)
        """,
        "(2 given) in line 3, `s.bind(\"127.0.0.1\", port)`. The address is ONE pair: bind((host, port)).",
    ),
    "bind with the port alone": (
        """
        def make_listener(port=0, backlog=16):
            s = socket.socket()
            s.bind(port)
        """,
        "must be tuple, not int in line 3, `s.bind(port)`. The address is ONE pair: bind((host, port)).",
    ),
    "nothing but a socket": ("def make_listener(port=0, backlog=16): return socket.socket()", "bind() and listen() are missing"),
    "no bind": (
        """
        def make_listener(port=0, backlog=16):
            s = socket.socket()
            s.listen()
            return s
        """,
        "bound to 0.0.0.0",
    ),
    "returns nothing": (
        """
        def make_listener(port=0, backlog=16):
            s = socket.create_server(("127.0.0.1", port), backlog=backlog)
        """,
        "returned None: return the listening socket",
    ),
    "returns the address": ("def make_listener(port=0, backlog=16): return ('127.0.0.1', port)", "a value of type tuple"),
    "accepts already": (
        """
        def make_listener(port=0, backlog=16):
            s = socket.create_server(("127.0.0.1", port), backlog=backlog)
            connection, _ = s.accept()
            return connection
        """,
        "did not return within 1 s: it sleeps in line 3, `connection, _ = s.accept()`",
    ),
    "closed": (
        """
        def make_listener(port=0, backlog=16):
            with socket.create_server(("127.0.0.1", port), backlog=backlog) as s:
                return s
        """,
        "returned a closed socket",
    ),
    "another port": (
        """
        def make_listener(port=0, backlog=16):
            return socket.create_server(("127.0.0.1", 0), backlog=backlog)
        """,
        "hand `port` on to bind()",
    ),
    "backlog forgotten": (
        """
        def make_listener(port=0, backlog=16):
            return socket.create_server(("127.0.0.1", port), backlog=16)
        """,
        "gave a queue of 16: hand `backlog` on to listen()",
    ),
    "no parameters": ("def make_listener(): return socket.create_server(('127.0.0.1', 0))", "TypeError: make_listener() takes 0"),
    "non-blocking": (
        """
        def make_listener(port=0, backlog=16):
            s = socket.create_server(("127.0.0.1", port), backlog=backlog)
            s.setblocking(False)
            return s
        """,
        "leave that for the next notebook",
    ),
    "UDP": ("def make_listener(port=0, backlog=16): return socket.socket(type=socket.SOCK_DGRAM)", "SOCK_DGRAM"),
    "two sockets": (
        """
        kept = []
        def make_listener(port=0, backlog=16):
            kept.append(socket.socket())
            return socket.create_server(("127.0.0.1", port), backlog=backlog)
        """,
        "left 1 more open",
    ),
    "SO_REUSEPORT": (
        """
        def make_listener(port=0, backlog=16):
            s = socket.socket()
            s.setsockopt(SOL_SOCKET, socket.SO_REUSEPORT, 1)
            s.bind(("127.0.0.1", port))
            s.listen(backlog)
            return s
        """,
        "SO_REUSEADDR is off",
    ),
}

LINES = {
    "takes the last of splitlines for unfinished": (
        """
        class Lines:
            def __init__(self):
                self.rest = b""
            def feed(self, chunk):
                *lines, self.rest = (self.rest + chunk).splitlines()
                return lines
        """,
        'splitlines() does not tell whether the last line is complete',
    ),
    "splits each chunk": (
        """
        class Lines:
            def feed(self, chunk):
                return chunk.split(b"\\n")
        """,
        'cut inside "two" gave b"tw" and b"o": keep the unfinished part until the next feed',
    ),
    "splits each chunk, drops empty parts": (
        """
        class Lines:
            def feed(self, chunk):
                return [line for line in chunk.splitlines() if line]
        """,
        'cut inside "two" gave b"tw" and b"o"',
    ),
    "decodes each chunk": (
        """
        class Lines:
            def __init__(self):
                self.rest = ""
            def feed(self, chunk):
                *lines, self.rest = (self.rest + chunk.decode()).split("\\n")
                return [line.encode() for line in lines]
        """,
        "ended in the middle of a character: UnicodeDecodeError",
    ),
    "returns str": (
        """
        class Lines:
            rest = b""
            def feed(self, chunk):
                *lines, self.rest = (self.rest + chunk).split(b"\\n")
                return [line.decode() for line in lines]
        """,
        "a list with a value of type str in it",
    ),
    "one line per feed": (
        """
        class Lines:
            def __init__(self):
                self.rest = b""
            def feed(self, chunk):
                line, end, rest = (self.rest + chunk).partition(b"\\n")
                if not end:
                    self.rest = line
                    return []
                self.rest = rest
                return [line]
        """,
        "Two lines arrived together, you returned one",
    ),
    "drops empty lines": (
        """
        class Lines:
            def __init__(self):
                self.rest = b""
            def feed(self, chunk):
                *lines, self.rest = (self.rest + chunk).split(b"\\n")
                return [line for line in lines if line]
        """,
        "An empty line is a line too",
    ),
    "splitlines": (
        """
        class Lines:
            def __init__(self):
                self.rest = b""
            def feed(self, chunk):
                lines = (self.rest + chunk).splitlines(keepends=True)
                self.rest = b"" if not lines or lines[-1].endswith(b"\\n") else lines.pop()
                return [line.rstrip(b"\\n") for line in lines]
        """,
        "Only b'\\n' ends a line",
    ),
    "one rest for all": (
        """
        class Lines:
            rest = bytearray()
            def feed(self, chunk):
                self.rest.extend(chunk)
                *lines, last = self.rest.split(b"\\n")
                self.rest[:] = last
                return [bytes(line) for line in lines]
        """,
        "share one rest",
    ),
    "copies the rest for each line": (
        """
        class Lines:
            def __init__(self):
                self.rest = b""
            def feed(self, chunk):
                self.rest += chunk
                lines = []
                while b"\\n" in self.rest:
                    end = self.rest.index(b"\\n")
                    lines.append(self.rest[:end])
                    self.rest = self.rest[end + 1:]
                return lines
        """,
        "each line seems to copy all the rest: it runs all the time (CPU ",
    ),
    "returns nothing": ("class Lines:\n    def feed(self, chunk): pass", "feed returned None: return a list of bytes"),
    "is a generator": ("class Lines:\n    def feed(self, chunk): yield chunk", "feed returned a value of type generator"),
    "has no feed": ("class Lines: pass", "AttributeError: 'Lines' object has no attribute 'feed'"),
    "waits for input": ("class Lines:\n    def feed(self, chunk): return [input().encode()]", "waits for the keyboard"),
}

SERVE_ONE = {
    "no end on b''": (
        """
        def serve_one(conn):
            lines = Lines()
            while True:
                for line in lines.feed(conn.recv(4096)):
                    conn.sendall(line.upper() + b"\\n")
        """,
        "did not return 1 s after the client finished: it runs all the time (CPU ",
    ),
    "closes on b'' before the last answer": (
        """
        def serve_one(conn):
            lines = Lines()
            with conn:
                chunk = conn.recv(4096)
                while following := conn.recv(4096):
                    for line in lines.feed(chunk):
                        conn.sendall(line.upper() + b"\\n")
                    chunk = following
        """,
        "half-closed and got 2 of 3 answers",
    ),
    "send instead of sendall": (
        """
        def serve_one(conn):
            lines = Lines()
            with conn:
                try:
                    while chunk := conn.recv(4096):
                        for line in lines.feed(chunk):
                            conn.send(line.upper() + b"\\n")
                except ConnectionError:
                    pass
        """,
        " of 200 000 bytes arrived: in this test the check, not you, gave the connection a time limit (settimeout).",
    ),
    "no except for reset": (
        """
        def serve_one(conn):
            lines = Lines()
            with conn:
                while chunk := conn.recv(4096):
                    for line in lines.feed(chunk):
                        conn.sendall(line.upper() + b"\\n")
        """,
        "ConnectionResetError ended your server in line 4, `while chunk := conn.recv(4096):`",
    ),
    "no except for reset while sending": (
        """
        def serve_one(conn):
            lines = Lines()
            with conn:
                while True:
                    try:
                        chunk = conn.recv(4096)
                    except ConnectionResetError:
                        return
                    if not chunk:
                        return
                    for line in lines.feed(chunk):
                        conn.sendall(line.upper() + b"\\n")
        """,
        "ended your server in line 12, `conn.sendall(",
    ),
    "closes after one answer": (
        """
        def serve_one(conn):
            with conn:
                conn.sendall(conn.recv(4096).upper())
        """,
        "After 1 answer the client got b'', the end: do you close after the first answer?",
    ),
    "does not close": (
        """
        def serve_one(conn):
            lines = Lines()
            while chunk := conn.recv(4096):
                for line in lines.feed(chunk):
                    conn.sendall(line.upper() + b"\\n")
        """,
        "left the connection open",
    ),
    "answers only at the end": (
        """
        def serve_one(conn):
            with conn:
                everything = b""
                while chunk := conn.recv(4096):
                    everything += chunk
                conn.sendall(everything.upper())
        """,
        "came only after the client had finished",
    ),
    "returns the answers": (
        """
        def serve_one(conn):
            with conn:
                lines, answers = Lines(), []
                while chunk := conn.recv(4096):
                    answers += lines.feed(chunk.upper())
                return answers
        """,
        "returned a value of type list and sent 0 answers",
    ),
    "no line end": (
        """
        def serve_one(conn):
            with conn:
                while chunk := conn.recv(4096):
                    for line in chunk.splitlines():
                        conn.sendall(line.upper())
        """,
        "no b'\\n' at their end",
    ),
    "no capitals": (
        """
        def serve_one(conn):
            with conn:
                while chunk := conn.recv(4096):
                    conn.sendall(chunk)
        """,
        "answer in capitals",
    ),
    "no lines": (
        """
        def serve_one(conn):
            with conn:
                while chunk := conn.recv(4096):
                    conn.sendall(chunk.upper())
        """,
        "without b'\\n' and got b'HALF'",
    ),
    "leaves another socket open": (
        """
        kept = []
        def serve_one(conn):
            kept.append(socket.socket())
            lines = Lines()
            with conn:
                while chunk := conn.recv(4096):
                    for line in lines.feed(chunk):
                        conn.sendall(line.upper() + b"\\n")
        """,
        "left 1 more open than before",
    ),
    "closes the number, not the socket": (
        """
        def serve_one(conn):
            os.close(conn.fileno())
        """,
        "After 0 answers the client got b''",
    ),
}

SERVE_FOREVER = {
    "ends the process": (
        """
        def serve_forever(listener):
            conn, _ = listener.accept()
            serve_one(conn)
            os._exit(0)
        """,
        "ended its whole process with status 0",
    ),
    "one client only": (
        """
        def serve_forever(listener):
            conn, _ = listener.accept()
            serve_one(conn)
        """,
        "returned; it should serve without end",
    ),
    "a reset ends it": (
        """
        def serve_forever(listener):
            while True:
                conn, _ = listener.accept()
                with conn:
                    while chunk := conn.recv(4096):
                        conn.sendall(chunk.upper())
        """,
        "ConnectionResetError ended your server in line 5, `while chunk := conn.recv(4096):`",
    ),
    "forgets that accept gives a pair": (
        """
        def serve_forever(listener):
            while True:
                serve_one(listener.accept())
        """,
        "accept() returns the pair (connection, address); you handed on the pair in line 3.",
    ),
    "talks to the pair": (
        """
        def serve_forever(listener):
            while True:
                client = listener.accept()
                while chunk := client.recv(4096):
                    client.sendall(chunk.upper())
        """,
        "you handed on the pair in line 4.",
    ),
    "takes the address for the connection": (
        """
        def serve_forever(listener):
            while True:
                pair = listener.accept()
                serve_one(pair[1])
        """,
        "serve_forever raised TypeError: 'tuple' object",
    ),
    "accept outside the loop": (
        """
        def serve_forever(listener):
            conn, _ = listener.accept()
            while True:
                serve_one(conn)
        """,
        "accept() belongs inside the loop: you served a closed connection again in line 4.",
    ),
    "speaks after serve_one has closed": (
        """
        def serve_forever(listener):
            while True:
                conn, _ = listener.accept()
                serve_one(conn)
                conn.sendall(b"bye")
        """,
        "serve_forever raised OSError: [Errno 9] Bad file descriptor in line 5",
    ),
    "closes the listener": (
        """
        def serve_forever(listener):
            while True:
                conn, _ = listener.accept()
                serve_one(conn)
                listener.close()
        """,
        "Bad file descriptor in line 3",
    ),
    "spins": (
        """
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
        """,
        "Nobody talks, yet it runs all the time",
    ),
    "a thread for each client": (
        """
        def serve_forever(listener):
            while True:
                conn, _ = listener.accept()
                threading.Thread(target=serve_one, args=(conn,)).start()
        """,
        "started a thread",
    ),
    "does not close": (
        """
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
        """,
        "connections are still open: close each one",
    ),
}

CASES = {"2.1": LISTENER, "2.2": LINES, "2.3": SERVE_ONE, "2.4": SERVE_FOREVER}
