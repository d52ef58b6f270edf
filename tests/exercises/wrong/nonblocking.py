"""Typical wrong solutions of 3.1 to 3.3, each with words of the message that names its cause."""

import textwrap

IMPORTS = """
import errno, os, select, socket, threading, time
from course_lib.mine import Conn, Lines, try_accept, try_recv
"""

ACCEPT = """
def try_accept(listener):
    try:
        connection, _ = listener.accept()
    except BlockingIOError:
        return None
    connection.setblocking(False)
    return connection
"""

RECV = """
def try_recv(sock, size):
    try:
        return sock.recv(size)
    except BlockingIOError:
        return None
    except ConnectionError:
        return b""
"""


def _accept(source: str, says: str) -> tuple[str, str]:
    return textwrap.dedent(source) + RECV, says


def _recv(source: str, says: str) -> tuple[str, str]:
    return ACCEPT + textwrap.dedent(source), says


TRY = {
    "accepted socket left blocking": _accept(
        """
        def try_accept(listener):
            try:
                return listener.accept()[0]
            except BlockingIOError:
                return None
        """,
        "The accepted socket is blocking: on Linux it does not inherit O_NONBLOCK from the listener (accept(2))",
    ),
    "a timeout instead of non-blocking": _accept(
        """
        def try_accept(listener):
            try:
                connection, _ = listener.accept()
            except BlockingIOError:
                return None
            connection.settimeout(0.5)
            return connection
        """,
        "left the connection with a time limit: then Python waits in poll() for you. It is setblocking(False).",
    ),
    "any OSError is nobody there": _accept(
        """
        def try_accept(listener):
            try:
                connection, _ = listener.accept()
            except OSError:
                return None
            connection.setblocking(False)
            return connection
        """,
        'accept() raised EMFILE, and try_accept returned None, which says "nobody there". Catch BlockingIOError only',
    ),
    "a bare except": _accept(
        """
        def try_accept(listener):
            try:
                connection, _ = listener.accept()
                connection.setblocking(False)
                return connection
            except:
                pass
        """,
        "which says \"nobody there\"",
    ),
    "lets EAGAIN through": _accept(
        """
        def try_accept(listener):
            connection, _ = listener.accept()
            connection.setblocking(False)
            return connection
        """,
        "BlockingIOError in line 2, `connection, _ = listener.accept()`: EAGAIN is the kernel's way to say that no client is waiting",
    ),
    "returns the pair": _accept(
        """
        def try_accept(listener):
            try:
                return listener.accept()
            except BlockingIOError:
                return None
        """,
        "returned the pair (connection, address) that accept() gives",
    ),
    "returns False": _accept(
        """
        def try_accept(listener):
            try:
                connection, _ = listener.accept()
            except BlockingIOError:
                return False
            connection.setblocking(False)
            return connection
        """,
        "No client is waiting, and try_accept returned a value of type bool: return None",
    ),
    "never asks": _accept("def try_accept(listener): return None", "A client was waiting, and try_accept returned None."),
    "forgets to return": _accept(
        """
        def try_accept(listener):
            try:
                connection, _ = listener.accept()
                connection.setblocking(False)
            except BlockingIOError:
                return None
        """,
        "A client was waiting, and try_accept returned None.",
    ),
    "asks until somebody comes": _accept(
        """
        def try_accept(listener):
            while True:
                try:
                    connection, _ = listener.accept()
                    connection.setblocking(False)
                    return connection
                except BlockingIOError:
                    pass
        """,
        "No client is waiting, and try_accept(listener) did not return within 1 s: it runs all the time",
    ),
    "sleeps in select": _accept(
        """
        def try_accept(listener):
            select.select([listener], [], [])
            connection, _ = listener.accept()
            connection.setblocking(False)
            return connection
        """,
        "did not return within 1 s: it sleeps in line 2, `select.select([listener], [], [])`",
    ),
    "makes the listener blocking": _accept(
        """
        def try_accept(listener):
            listener.setblocking(True)
            connection, _ = listener.accept()
            connection.setblocking(False)
            return connection
        """,
        "did not return within 1 s: it sleeps in line 3",
    ),
    "waits a little with a timeout": _accept(
        """
        def try_accept(listener):
            listener.settimeout(0.01)
            try:
                connection, _ = listener.accept()
            except TimeoutError:
                return None
            connection.setblocking(False)
            return connection
        """,
        "try_accept left the socket that it was given with a time limit: then Python waits in poll() for you",
    ),
    "naps when nobody is there": _accept(
        """
        def try_accept(listener):
            try:
                connection, _ = listener.accept()
            except BlockingIOError:
                time.sleep(0.01)
                return None
            connection.setblocking(False)
            return connection
        """,
        "2000 calls of try_accept with no client waiting took over 1 s: something in it waits: it sleeps in line 5",
    ),
    "takes all, returns the last": _accept(
        """
        def try_accept(listener):
            found = None
            while True:
                try:
                    found, _ = listener.accept()
                    found.setblocking(False)
                except BlockingIOError:
                    return found
        """,
        "A client was waiting, and try_accept returned None.",
    ),
    "returns the listener": _accept(
        """
        def try_accept(listener):
            try:
                listener.accept()[0].setblocking(False)
                return listener
            except BlockingIOError:
                return None
        """,
        "returned a socket that is not connected: return the one that accept() gives",
    ),
    "closes what it accepted": _accept(
        """
        def try_accept(listener):
            try:
                with listener.accept()[0] as connection:
                    connection.setblocking(False)
                    return connection
            except BlockingIOError:
                return None
        """,
        "returned a closed socket",
    ),
    "closes the listener": _accept(
        """
        def try_accept(listener):
            with listener:
                try:
                    return listener.accept()[0]
                except BlockingIOError:
                    return None
        """,
        "try_accept closed the socket that it was given",
    ),
    "an idle client has left": _recv(
        """
        def try_recv(sock, size):
            try:
                return sock.recv(size)
            except OSError:
                return b""
        """,
        "try_recv returned b'': so an idle client is taken for one that left",
    ),
    "a reset is nothing yet": _recv(
        """
        def try_recv(sock, size):
            try:
                return sock.recv(size)
            except OSError:
                return None
        """,
        "The client has sent a reset, and try_recv returned None: nothing more will ever come",
    ),
    "not data, for both": _recv(
        """
        def try_recv(sock, size):
            try:
                data = sock.recv(size)
            except BlockingIOError:
                data = b""
            except ConnectionError:
                return b""
            if not data:
                return None
            return data
        """,
        "The client has finished, and try_recv returned None, not b''",
    ),
    "lets the reset through": _recv(
        """
        def try_recv(sock, size):
            try:
                return sock.recv(size)
            except BlockingIOError:
                return None
        """,
        "ConnectionResetError in line 11, `return sock.recv(size)`: the client has sent a reset. Nothing more will come, so return b''",
    ),
    "lets EAGAIN through in recv": _recv(
        "def try_recv(sock, size): return sock.recv(size)",
        "BlockingIOError in line 8, `def try_recv(sock, size): return sock.recv(size)`: EAGAIN is the kernel's way to say",
    ),
    "ignores size": _recv(
        """
        def try_recv(sock, size):
            try:
                return sock.recv(4096)
            except BlockingIOError:
                return None
            except ConnectionError:
                return b""
        """,
        "try_recv(sock, 2) returned 5 bytes: hand `size` on to recv()",
    ),
    "reads on until nothing is left": _recv(
        """
        def try_recv(sock, size):
            data = b""
            while True:
                try:
                    chunk = sock.recv(size)
                except BlockingIOError:
                    return data or None
                data += chunk
                if not chunk:
                    return data
        """,
        "try_recv(sock, 2) returned 5 bytes",
    ),
    "returns text": _recv(
        """
        def try_recv(sock, size):
            try:
                return sock.recv(size).decode()
            except BlockingIOError:
                return None
        """,
        "Bytes had come, and try_recv returned a value of type str: return what recv() gave",
    ),
    "peeks": _recv(
        """
        def try_recv(sock, size):
            try:
                return sock.recv(size, socket.MSG_PEEK)
            except BlockingIOError:
                return None
        """,
        "try_recv(sock, 100) returned b'hello', not b'llo'",
    ),
    "closes at the end": _recv(
        """
        def try_recv(sock, size):
            try:
                data = sock.recv(size) if sock.fileno() >= 0 else b""
            except BlockingIOError:
                return None
            if not data:
                sock.close()
            return data
        """,
        "try_recv closed the socket: the client still reads. Only return b''.",
    ),
    "waits until something comes": _recv(
        """
        def try_recv(sock, size):
            sock.setblocking(True)
            return sock.recv(size)
        """,
        "Nothing has come yet, and try_recv(sock, 100) did not return within 1 s: it sleeps in line",
    ),
    "switches the mode to and fro": _recv(
        """
        def try_recv(sock, size):
            sock.setblocking(False)
            try:
                return sock.recv(size)
            except BlockingIOError:
                return None
            except ConnectionError:
                return b""
            finally:
                sock.setblocking(True)
        """,
        "try_recv left the socket that it was given blocking: the next call on it may sleep",
    ),
}

_CONN = """
class Conn:
    def __init__(self, sock):
        self.sock = sock
        self.inbuf = Lines()
        self.outbuf = bytearray()
        self.finished = False
    @property
    def want_read(self): return not self.finished and not self.outbuf
    @property
    def want_write(self): return bool(self.outbuf)
    @property
    def over(self): return self.finished and not self.outbuf
    def on_readable(self):
        data = try_recv(self.sock, 4096)
        if data is None:
            return
        if data == b"":
            self.finished = True
        for line in self.inbuf.feed(data):
            self.outbuf += line.upper() + b"\\n"
    def on_writable(self):
        try:
            sent = self.sock.send(self.outbuf)
        except BlockingIOError:
            return
        except ConnectionError:
            self.finished = True
            sent = len(self.outbuf)
        del self.outbuf[:sent]
"""


def _conn(says: str, *changes: tuple[str, str]) -> tuple[str, str]:
    """The right Conn with these pieces changed."""
    source = _CONN
    for old, new in changes:
        assert source.count(old) == 1, old
        source = source.replace(old, new)
    return source, says


CONN = {
    "sendall": _conn(
        "BlockingIOError in line 22, `self.sock.sendall(self.outbuf)`: sendall() gave up on the way, and how much "
        "went out is unknown (Python docs, socket.sendall). Use send()",
        (
            """        try:
            sent = self.sock.send(self.outbuf)
        except BlockingIOError:
            return
        except ConnectionError:
            self.finished = True
            sent = len(self.outbuf)
        del self.outbuf[:sent]
""",
            "        self.sock.sendall(self.outbuf)\n        self.outbuf.clear()\n",
        ),
    ),
    "sendall, its error swallowed": _conn(
        "Bytes were sent twice",
        ("sent = self.sock.send(self.outbuf)", "self.sock.sendall(self.outbuf); sent = len(self.outbuf)"),
    ),
    "sendall at once, in on_readable": _conn(
        "BlockingIOError in line 20, `self.sock.sendall(line.upper() + b\"\\n\")`: sendall() gave up",
        ('self.outbuf += line.upper() + b"\\n"', 'self.sock.sendall(line.upper() + b"\\n")'),
    ),
    "ignores the result of send": _conn(
        "600001 bytes were to be sent, and ",
        ("sent = self.sock.send(self.outbuf)", "self.sock.send(self.outbuf); sent = len(self.outbuf)"),
    ),
    "takes nothing away": _conn("outbuf still holds bytes: take away what send() took", ("        del self.outbuf[:sent]\n", "")),
    "takes away too little": _conn("outbuf still holds bytes: take away what send() took", ("del self.outbuf[:sent]", "del self.outbuf[: sent - 1]")),
    "no except for a full buffer": _conn(
        "BlockingIOError in line 23, `sent = self.sock.send(self.outbuf)`: EAGAIN is an answer",
        ("        except BlockingIOError:\n            return\n", ""),
    ),
    "sends until all is out": _conn(
        "Conn did not return within 2 s: it runs all the time",
        ("        try:\n            sent", "        while self.outbuf:\n          try:\n            sent"),
        ("        except BlockingIOError:\n            return", "          except BlockingIOError:\n            continue"),
        ("        except ConnectionError", "          except ConnectionError"),
        ("        del self", "          del self"),
    ),
    "waits for room": _conn(
        "Conn did not return within 2 s: it sleeps in line 22, `select.select([], [self.sock], [])`",
        ("        try:\n            sent", "        select.select([], [self.sock], [])\n        try:\n            sent"),
    ),
    "makes the socket blocking": _conn(
        "Conn left its socket blocking: the next call on it may sleep",
        ("        self.sock = sock\n", "        self.sock = sock\n        sock.setblocking(True)\n"),
    ),
    "always wants to write": _conn(
        "outbuf is empty, but want_write is true: a socket is writable nearly all the time",
        ("return bool(self.outbuf)", "return True"),
    ),
    "never wants to write": _conn("An answer waits in outbuf and want_write is false", ("return bool(self.outbuf)", "return False")),
    "want_write is never taken back": _conn(
        "outbuf is empty, but want_write is true",
        ("return bool(self.outbuf)", "return getattr(self, 'wanted', False)"),
        ("        data = try_recv", "        self.wanted = True\n        data = try_recv"),
    ),
    "want_write is a flag of on_readable": _conn(
        "The server put bytes into outbuf, and want_write stayed false. Let it follow outbuf",
        ("return bool(self.outbuf)", "return getattr(self, 'wanted', False)"),
        ('self.outbuf += line.upper() + b"\\n"', 'self.outbuf += line.upper() + b"\\n"; self.wanted = True'),
        ("del self.outbuf[:sent]", "del self.outbuf[:sent]; self.wanted = bool(self.outbuf)"),
    ),
    "want_write is a method": _conn(
        "want_write is a method here, and the server reads it as a value: write @property above it",
        ("    @property\n    def want_write", "    def want_write"),
    ),
    "no want_read": _conn("Conn has no want_read", ("def want_read", "def wants_read")),
    "another name for the socket": _conn("conn.sock is not the socket that Conn was given", ("self.sock = sock", "self.socket = sock")),
    "not yet is the end": _conn(
        "Nothing had come, and Conn took it for the end: None means not yet",
        ("        if data is None:\n            return\n", ""),
        ('        if data == b"":\n', "        if not data:\n"),
        ("in self.inbuf.feed(data)", 'in self.inbuf.feed(data or b"")'),
    ),
    "goes on with None": _conn(
        "in line 17, `for line in self.inbuf.feed(data):`. Nothing had come, so try_recv gave None: that means not yet",
        ("        if data is None:\n            return\n", ""),
    ),
    "recv without except": _conn(
        "BlockingIOError in line 14, `data = self.sock.recv(4096)`: EAGAIN is an answer",
        ("try_recv(self.sock, 4096)", "self.sock.recv(4096)"),
    ),
    "reads to the end": _conn(
        "did not return within 1 s: it runs all the time",
        ("        data = try_recv(self.sock, 4096)", "        data = b''\n        while not (data := try_recv(self.sock, 4096)): pass"),
    ),
    "forgets the end": _conn("The client has finished, and want_read is still true", ("            self.finished = True\n        for", "            pass\n        for")),
    "over at the end, answers or not": _conn(
        "of 3 answers: b'' says that the client sends no more, but it still reads (shutdown(2)). It is over when outbuf is empty too",
        ("return self.finished and not self.outbuf", "return self.finished"),
        ("return not self.finished and not self.outbuf", "return not self.finished"),
        ("        data = try_recv(self.sock, 4096)\n", "        data = try_recv(self.sock, 4096)\n        if data and b\"half\" in data: self.finished = True\n"),
    ),
    "drops the answers at the end": _conn(
        "The client half-closed and got ",
        ('        if data == b"":\n            self.finished = True\n', ""),
        ('        for line in self.inbuf.feed(data):\n', '        self.finished = data == b"" or b"half" in data\n        if self.finished: return\n        for line in self.inbuf.feed(data):\n'),
    ),
    "over is a flag set too early to be true": _conn(
        "The client has finished and has all its answers, but over stays false",
        ("return self.finished and not self.outbuf", "return False"),
    ),
    "over when nothing is to be sent": _conn("over is true for a new Conn", ("return self.finished and not self.outbuf", "return not self.outbuf")),
    "over after the answer": _conn(
        "The client has its answer and is still there, but over is true",
        ("return self.finished and not self.outbuf", "return getattr(self, 'sent', False)"),
        ("del self.outbuf[:sent]", "del self.outbuf[:sent]; self.sent = bool(sent)"),
    ),
    "no except for a reset in on_writable": _conn(
        "the client has sent a reset. Catch ConnectionError",
        ("        except ConnectionError:\n            self.finished = True\n            sent = len(self.outbuf)\n", ""),
    ),
    "no except for a reset in on_readable": _conn(
        "ConnectionResetError in line 15, `data = self.sock.recv(4096)`: the client has sent a reset",
        ("        data = try_recv(self.sock, 4096)\n", "        try:\n            data = self.sock.recv(4096)\n        except BlockingIOError:\n            data = None\n"),
    ),
    "keeps outbuf after a reset": _conn(
        "bytes wait in outbuf for nobody, and over stays false",
        ("            sent = len(self.outbuf)\n        del", "            return\n        del"),
    ),
    "closes the socket": _conn(
        "Conn closed its socket. Leave that to the server",
        ("            self.finished = True\n        for", "            self.finished = True\n            self.sock.close()\n        for"),
    ),
    "one outbuf for all": _conn(
        "Another Conn",
        ("        self.inbuf = Lines()\n", ""),
        ("class Conn:\n", "class Conn:\n    inbuf = Lines()\n"),
    ),
    "no capitals": _conn("answer in capitals", ("line.upper()", "line")),
    "no line end": _conn("The answer has no b'\\n' at its end", ('line.upper() + b"\\n"', "line.upper()")),
    "no Lines": _conn(
        "and got b'OF THE FIRST': without b'\\n' it is no line yet. Use Lines",
        ('        for line in self.inbuf.feed(data):\n            self.outbuf += line.upper() + b"\\n"\n', "        self.outbuf += data.upper()\n"),
    ),
    "drops empty lines": _conn("and got b'FOUR\\n', not b'FOUR\\n\\n'", ("in self.inbuf.feed(data):", "in filter(None, self.inbuf.feed(data)):")),
    "answers the half line at the end": _conn(
        "in the middle of a line, b'half', and got an answer to it",
        ('            self.finished = True\n        for', '            self.finished = True\n            self.outbuf += self.inbuf.rest.upper() + b"\\n"\n        for'),
    ),
    "bytes behind outbuf copied back": _conn("outbuf still holds bytes", ("del self.outbuf[:sent]", "self.outbuf = self.outbuf[:sent]")),
    "a thread that sends": _conn(
        "started a thread",
        ("        self.finished = False\n", "        self.finished = False\n        threading.Thread(target=time.sleep, args=(10,), daemon=True).start()\n"),
    ),
}

_BUSY = """
def busy_server(listener):
    listener.setblocking(False)
    conns = []
    while True:
        if sock := try_accept(listener):
            conns.append(Conn(sock))
        for conn in list(conns):
            if conn.want_read:
                conn.on_readable()
            if conn.want_write:
                conn.on_writable()
            if conn.over:
                conns.remove(conn)
                conn.sock.close()
"""


def _busy(says: str, *changes: tuple[str, str]) -> tuple[str, str]:
    source = _BUSY
    for old, new in changes:
        assert source.count(old) == 1, old
        source = source.replace(old, new)
    return source, says


BUSY = {
    "a blocking listener": _busy("accept() waits for ONE socket (accept(2)), and meanwhile nobody looks after the others", ("    listener.setblocking(False)\n", "    listener.setblocking(True)\n")),
    "one client after the other": (
        """
        def busy_server(listener):
            listener.setblocking(False)
            while True:
                if sock := try_accept(listener):
                    conn = Conn(sock)
                    while not conn.over:
                        if conn.want_read:
                            conn.on_readable()
                        if conn.want_write:
                            conn.on_writable()
                    sock.close()
        """,
        "The first client is silent, and a second one got no answer within 1 s",
    ),
    "the loop over clients without accept": (
        """
        def busy_server(listener):
            conns = []
            while not conns:
                if sock := try_accept(listener):
                    conns.append(Conn(sock))
            while True:
                for conn in conns:
                    conn.on_readable()
                    conn.on_writable()
        """,
        "The client waits in the accept queue",
    ),
    "never lets go": _busy("stay open", ("            if conn.over:\n                conns.remove(conn)\n                conn.sock.close()\n", "")),
    "forgets without closing": _busy("stay open", ("conns.remove(conn)\n                conn.sock.close()", "kept.append(conn); conns.remove(conn)"), ("    conns = []\n", "    conns = []; kept = []\n")),
    "closes and keeps it": _busy("Forget each one when you close it", ("                conns.remove(conn)\n", "")),
    "never writes": _busy("got no answer within 1 s", ("            if conn.want_write:\n                conn.on_writable()\n", "")),
    "returns when nobody is there": _busy(
        "returned; it should serve without end", ("        if sock := try_accept(listener):\n", "        if not conns and not select.select([listener], [], [], 0.01)[0]: return\n        if sock := try_accept(listener):\n")
    ),
    "a thread for each client": (
        """
        def busy_server(listener):
            listener.setblocking(False)
            def one(conn):
                while not conn.over:
                    conn.on_readable()
                    conn.on_writable()
                conn.sock.close()
            while True:
                if sock := try_accept(listener):
                    threading.Thread(target=one, args=(Conn(sock),), daemon=True).start()
        """,
        "started a thread that still runs; one thread is enough here",
    ),
    "a nap of a second": _busy("No client can wake it there", ("    while True:\n", "    while True:\n        time.sleep(1.5)\n")),
}

CASES = {"3.1": TRY, "3.2": CONN, "3.3": BUSY}
