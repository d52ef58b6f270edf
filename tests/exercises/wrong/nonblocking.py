"""Typical wrong solutions of 3.1 to 3.3, each with words of the message that names its cause."""

from exercises.case import case, changed, right

IMPORTS = """
import errno, os, select, socket, threading, time
from course_lib.mine import Conn, Lines, try_accept, try_recv
"""

# The right ones, but that they do not tell one error from another.
TRY = changed(right("3.1"), {
    "except OSError as error:\n    if pause_after(error):\n        raise\n    return None": "",
    "except OSError as error:\n    if error.errno == errno.EBADF:\n        raise": "except OSError:",
})  # fmt: skip

ACCEPT, RECV = (f"\n{function}\n" for function in TRY.split("\n\n"))

CONN = r"""
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
            self.outbuf += line.upper() + b"\n"
    def on_writable(self):
        try:
            sent = self.sock.send(self.outbuf)
        except BlockingIOError:
            return
        except OSError:
            self.finished = True
            sent = len(self.outbuf)
        del self.outbuf[:sent]
"""

# The right one, also with too long a line.
LIMITED = changed(CONN, {"for line in self.inbuf.feed(data):": "for line in self.lines(data):", "def on_writable(self):": """\
def lines(self, data):
    try:
        return self.inbuf.feed(data)
    except ValueError:
        self.finished = True
        return []
def on_writable(self):"""})

# One that knows of no error of accept().
BUSY = changed(right("3.3"), {"sock, _ = accept_or_pause(listener)\nif sock:": "if sock := try_accept(listener):"})

RIGHT = {
    "3.1": [
        case("asks first, and looks at the number", "",
             TRY, {"try:\n    connection, _ = listener.accept()\nexcept BlockingIOError:\n    return None\nconnection.setblocking(False)": """
                 if not select.select([listener], [], [], 0)[0]:
                     return None
                 connection, _ = listener.accept()
                 os.set_blocking(connection.fileno(), False)
             """, "except OSError:": "except OSError as error:\n    if error.errno == errno.EBADF:\n        raise"}),
        case("one except", "",
             TRY, {"return sock.recv(size)": "return sock.recv(size, socket.MSG_DONTWAIT)",
             'except BlockingIOError:\n    return None\nexcept OSError:\n    return b""': """
                 except OSError as error:
                     if error.errno == errno.EAGAIN:
                         return None
                     if error.errno in (errno.EBADF, errno.ENOTSOCK):
                         raise
                     return b""
             """}),
        case("any OSError is the end", "it hides a bug of your own (EBADF)", TRY),
    ],
    "3.2": [
        case("the reference in other words", "", LIMITED),
        case("copies", "copies all the rest each time", LIMITED, {"del self.outbuf[:sent]": "self.outbuf = self.outbuf[sent:]"}),
        case("sends at once", "", LIMITED, {r'line.upper() + b"\n"': 'line.upper() + b"\\n"\nself.on_writable()'}),
        case("reads all there is", "",
             LIMITED, {"data = try_recv(self.sock, 4096)\nif data is None:\n    return": """
                 data = b""
                 while chunk := try_recv(self.sock, 4096):
                     data += chunk
                 if not data and chunk is None:
                     return
             """}),
        case("small reads", "", LIMITED, {"try_recv(self.sock, 4096)": "try_recv(self.sock, 512)"}),
    ],
    "3.3": [
        case("spins", "with 0, 100 and 400 silent clients it takes all of a core that it can get: it never sleeps", BUSY),
        case("naps", "it naps between the rounds", BUSY, {"while True:": "while True:\n    time.sleep(0.005)"}),
        case("selects", "it sleeps: this is more than was asked",
             BUSY, {"while True:": """
                 while True:
                     wanted = [conn.sock for conn in conns if conn.want_read], [conn.sock for conn in conns if conn.want_write]
                     select.select([listener, *wanted[0]], wanted[1], [])
             """}),
    ],
}

CASES = {
    "3.1": [
        case("accepted socket left blocking",
             "The accepted socket is blocking: on Linux it does not inherit O_NONBLOCK from the listener (accept(2))",
             TRY, {"connection, _ = listener.accept()": "return listener.accept()[0]",
             "connection.setblocking(False)\nreturn connection": ""}),
        case("a timeout instead of non-blocking",
             "left the connection with a time limit: then Python waits in poll() for you. It is setblocking(False).",
             TRY, {"connection.setblocking(False)": "connection.settimeout(0.5)"}),
        case("any OSError is nobody there",
             'accept() raised EMFILE, and try_accept returned None, which says "nobody there". Catch BlockingIOError only',
             TRY, {"try:\n    connection, _ = listener.accept()\nexcept BlockingIOError:": "try:\n    connection, _ = listener.accept()\nexcept OSError:"}),
        case("a bare except", 'which says "nobody there"',
             TRY, {"except BlockingIOError:\n    return None\nconnection.setblocking(False)\nreturn connection": "    connection.setblocking(False)\n    return connection\nexcept:\n    pass"}),
        case("lets EAGAIN through",
             "BlockingIOError in line 2, `connection, _ = listener.accept()`: EAGAIN is the kernel's way to say that no client "
             "is waiting",
             TRY, {"try:\n    connection, _ = listener.accept()\nexcept BlockingIOError:\n    return None": "connection, _ = listener.accept()"}),
        case("returns the pair", "returned the pair (connection, address) that accept() gives",
             TRY, {"connection, _ = listener.": "return listener.", "connection.setblocking(False)\nreturn connection": ""}),
        case("returns False", "No client is waiting, and try_accept returned False: return None",
             TRY, {"try:\n    connection, _ = listener.accept()\nexcept BlockingIOError:\n    return None": "try:\n    connection, _ = listener.accept()\nexcept BlockingIOError:\n    return False"}),
        case("never asks", "A client was waiting, and try_accept returned None: return the connection.",
             RECV, {"def try_recv(sock, size):": "def try_accept(listener): return None\ndef try_recv(sock, size):"}),
        case("forgets to return", "A client was waiting, and try_accept returned None: return the connection.",
             TRY, {"connection, _ = listener.accept()": "connection, _ = listener.accept()\nconnection.setblocking(False)",
             "connection.setblocking(False)\nreturn connection": ""}),
        case("asks until somebody comes",
             "No client is waiting, and try_accept(listener) did not return within 1 s: it runs all the time",
             TRY, {"try:\n    connection, _ = listener.accept()\nexcept BlockingIOError:\n    return None": """
                 connection = None
                 while not connection:
                     try:
                         connection, _ = listener.accept()
                     except BlockingIOError:
                         pass
             """}),
        case("sleeps in select", "did not return within 1 s: it sleeps in line 2, `select.select([listener], [], [])`",
             TRY, {"try:\n    connection, _ = listener.accept()\nexcept BlockingIOError:\n    return None": "select.select([listener], [], [])\nconnection, _ = listener.accept()"}),
        case("makes the listener blocking", "did not return within 1 s: it sleeps in line 3",
             TRY, {"try:\n    connection, _ = listener.accept()\nexcept BlockingIOError:\n    return None": "listener.setblocking(True)\nconnection, _ = listener.accept()"}),
        case("waits a little with a timeout",
             "try_accept left the socket that it was given with a time limit: then Python waits in poll() for you",
             TRY, {"def try_accept(listener):": "def try_accept(listener):\n    listener.settimeout(0.01)",
             "try:\n    connection, _ = listener.accept()\nexcept BlockingIOError:": "try:\n    connection, _ = listener.accept()\nexcept TimeoutError:"}),
        case("naps when nobody is there",
             "2000 calls of try_accept with no client waiting took over 1 s: something in it waits: it sleeps in line 5",
             TRY, {"try:\n    connection, _ = listener.accept()\nexcept BlockingIOError:": "try:\n    connection, _ = listener.accept()\nexcept BlockingIOError:\n    time.sleep(0.01)"}),
        case("takes all, returns the last", "A client was waiting, and try_accept returned None: return the connection.",
             TRY, {"try:\n    connection, _ = listener.accept()": "connection = None\ntry:\n    while True:\n        connection, _ = listener.accept()\n        connection.setblocking(False)",
             "except BlockingIOError:\n    return None\nconnection.setblocking(False)\nreturn connection": "except BlockingIOError:\n    return connection"}),
        case("returns the listener", "returned a socket that is not connected: return the one that accept() gives",
             TRY, {"connection, _ = listener.accept()": "listener.accept()[0].setblocking(False)\nreturn listener",
             "connection.setblocking(False)\nreturn connection": ""}),
        case("closes what it accepted", "returned a closed socket",
             TRY, {"connection.setblocking(False)\nreturn connection": "",
             "connection, _ = listener.accept()": """
                 with listener.accept()[0] as connection:
                     connection.setblocking(False)
                     return connection
             """}),
        case("closes the listener", "try_accept closed the socket that it was given",
             TRY, {"connection, _ = listener.accept()": "with listener:\n    connection, _ = listener.accept()"}),
        case("an idle client has left", "try_recv returned b'': so an idle client is taken for one that left",
             TRY, {"except BlockingIOError:\n    return None\nexcept OSError:": "except OSError:"}),
        case("a reset is nothing yet", "The client has sent a reset, and try_recv returned None: nothing more will ever come",
             TRY, {'except BlockingIOError:\n    return None\nexcept OSError:\n    return b""': "except OSError:\n    return None"}),
        case("not data, for both", "The client has finished, and try_recv returned None, not b''",
             TRY, {"return sock.recv(size)": "data = sock.recv(size)",
             "except BlockingIOError:\n    return None\nexcept OSError:": 'except BlockingIOError:\n    data = b""\nexcept OSError:',
             'except OSError:\n    return b""': 'except OSError:\n    return b""\nif not data:\n    return None\nreturn data'}),
        case("lets the reset through",
             "ConnectionResetError in line 11, `return sock.recv(size)`: the client has sent a reset. Nothing more will come, so"
             " return b''",
             TRY, {'except OSError:\n    return b""': ""}),
        case("lets EAGAIN through in recv",
             "BlockingIOError in line 8, `def try_recv(sock, size): return sock.recv(size)`: EAGAIN is the kernel's way to say",
             ACCEPT + "def try_recv(sock, size): return sock.recv(size)"),
        case("knows ConnectionResetError only", "TimeoutError in line 11, `return sock.recv(size)`: the client answers no more.",
             TRY, {"except OSError:": "except ConnectionResetError:"}),
        case("knows ConnectionError only", "The error has many names: catch BlockingIOError first, then OSError.",
             TRY, {"except OSError:": "except ConnectionError:"}),
        case("waits for exactly size",
             "b'hello' had come and its first two bytes were read, and try_recv(sock, 100) returned b'', not b'llo'.",
             TRY, {"return sock.recv(size)": "data = sock.recv(size)\nreturn data if len(data) == size else b''"}),
        case("ignores size", "try_recv(sock, 2) returned 5 bytes: hand `size` on to recv()", TRY, {".recv(size)": ".recv(4096)"}),
        case("reads on until nothing is left", "try_recv(sock, 2) returned all that had come: make one recv() for each call",
             TRY, {'try:\n    return sock.recv(size)\n...\n    return b""': """
                 data = b""
                 while True:
                     try:
                         chunk = sock.recv(size)
                     except BlockingIOError:
                         return data or None
                     data += chunk
                     if not chunk:
                         return data
             """}),
        case("reads on with recv_into", "try_recv(sock, 2) returned all that had come: make one recv() for each call",
             TRY, {'try:\n    return sock.recv(size)\n...\n    return b""': """
                 data, part = bytearray(), bytearray(size)
                 try:
                     while count := sock.recv_into(part):
                         data += part[:count]
                 except BlockingIOError:
                     return bytes(data) or None
                 return bytes(data)
             """}),
        case("reads on with os.read", "try_recv(sock, 2) returned all that had come: make one recv() for each call",
             TRY, {'try:\n    return sock.recv(size)\n...\n    return b""': """
                 data = b""
                 try:
                     while chunk := os.read(sock.fileno(), size):
                         data += chunk
                 except BlockingIOError:
                     return data or None
                 return data
             """}),
        case("returns text", "b'hello' had come, and try_recv(sock, 2) returned 'he': return what recv() gave",
             TRY, {"return sock.recv(size)": "return sock.recv(size).decode()", 'except OSError:\n    return b""': ""}),
        case("peeks", "its first two bytes were read, and try_recv(sock, 100) returned them again: no MSG_PEEK.",
             TRY, {"return sock.recv(size)": "return sock.recv(size, socket.MSG_PEEK)", 'except OSError:\n    return b""': ""}),
        case("closes at the end", "try_recv closed the socket: the client still reads. Only return b''.",
             TRY, {"return sock.recv(size)": 'data = sock.recv(size) if sock.fileno() >= 0 else b""',
             'except OSError:\n    return b""': "if not data:\n    sock.close()\nreturn data"}),
        case("waits until something comes",
             "Nothing has come yet, and try_recv(sock, 100) did not return within 1 s: it sleeps in line",
             TRY, {'try:\n    return sock.recv(size)\n...\n    return b""': "sock.setblocking(True)\nreturn sock.recv(size)"}),
        case("switches the mode to and fro",
             "try_recv left the socket that it was given blocking: the next call on it may sleep",
             TRY, {"def try_recv(sock, size):": "def try_recv(sock, size):\n    sock.setblocking(False)",
             'except OSError:\n    return b""': 'except OSError:\n    return b""\nfinally:\n    sock.setblocking(True)'}),
    ],
    "3.2": [
        case("too long a line ends the server",
             "Lines raises it for too long a line: then this client has finished, and the others go on", CONN),
        case("too long a line, and reads on", "over stays false. Lines raises ValueError for too long a line",
             CONN, {'for line in self.inbuf.feed(data):\n    self.outbuf += line.upper() + b"\\n"': r"""
                 try:
                     for line in self.inbuf.feed(data):
                         self.outbuf += line.upper() + b"\n"
                 except ValueError:
                     pass
             """}),
        case("sendall",
             "BlockingIOError in line 22, `self.sock.sendall(self.outbuf)`: sendall() gave up on the way, and how much went out "
             "is unknown (Python docs, socket.sendall). Use send()",
             CONN, {"try:\n...\ndel self.outbuf[:sent]": "self.sock.sendall(self.outbuf)\nself.outbuf.clear()"}),
        case("sendall, its error swallowed", "Bytes were sent twice",
             CONN, {"sent = self.sock.send(self.outbuf)": "self.sock.sendall(self.outbuf); sent = len(self.outbuf)"}),
        case("sendall at once, in on_readable",
             r'BlockingIOError in line 20, `self.sock.sendall(line.upper() + b"\n")`: sendall() gave up',
             CONN, {r'self.outbuf += line.upper() + b"\n"': r'self.sock.sendall(line.upper() + b"\n")'}),
        case("ignores the result of send", "60001 bytes were to be sent, and ",
             CONN, {"sent = self.sock.send(self.outbuf)": "self.sock.send(self.outbuf); sent = len(self.outbuf)"}),
        case("takes nothing away", "outbuf still holds bytes: take away what send() took", CONN, {"del self.outbuf[:sent]": ""}),
        case("takes away too little", "outbuf still holds bytes: take away what send() took",
             CONN, {"del self.outbuf[:sent]": "del self.outbuf[: sent - 1]"}),
        case("no except for a full buffer",
             "BlockingIOError in line 23, `sent = self.sock.send(self.outbuf)`: EAGAIN is an answer",
             CONN, {"except BlockingIOError:\n    return": "", "except OSError:": "except ConnectionError:"}),
        case("sends until all is out", "Conn did not return within 2 s: it runs all the time",
             CONN, {"def on_writable(self):": """
                 def on_writable(self):
                     while self.outbuf:
                         try:
                             del self.outbuf[:self.sock.send(self.outbuf)]
                         except BlockingIOError:
                             pass
                         except OSError:
                             self.finished = True
                             self.outbuf.clear()
             """}),
        case("waits for room", "Conn did not return within 2 s: it sleeps in line 22, `select.select([], [self.sock], [])`",
             CONN, {"def on_writable(self):": "def on_writable(self):\n    select.select([], [self.sock], [])"}),
        case("makes the socket blocking", "Conn left its socket blocking: the next call on it may sleep",
             CONN, {"self.sock = sock": "self.sock = sock\nsock.setblocking(True)"}),
        case("always wants to write", "outbuf is empty, but want_write is true: a socket is writable nearly all the time",
             CONN, {"bool(self.outbuf)": "True"}),
        case("never wants to write", "An answer waits in outbuf and want_write is false", CONN, {"bool(self.outbuf)": "False"}),
        case("want_write is never taken back", "outbuf is empty, but want_write is true",
             CONN, {"return bool(self.outbuf)": "return getattr(self, 'wanted', False)",
             "def on_readable(self):": "def on_readable(self):\n    self.wanted = True"}),
        case("want_write is a flag of on_readable",
             "The server put bytes into outbuf, and want_write stayed false. Let it follow outbuf",
             CONN, {"return bool(self.outbuf)": "return getattr(self, 'wanted', False)",
             r'self.outbuf += line.upper() + b"\n"': r'self.outbuf += line.upper() + b"\n"; self.wanted = True',
             "del self.outbuf[:sent]": "del self.outbuf[:sent]; self.wanted = bool(self.outbuf)"}),
        case("want_write is a method",
             "want_write is a method here, and the server reads it as a value: write @property above it",
             CONN, {"def want_read(self): return not self.finished and not self.outbuf\n@property": "def want_read(self): return not self.finished and not self.outbuf"}),
        case("no want_read", "Conn has no want_read", CONN, {"want_read": "wants_read"}),
        case("another name for the socket", "conn.sock is not the socket that Conn was given",
             CONN, {"self.sock = sock": "self.socket = sock"}),
        case("not yet is the end", "Nothing had come, and Conn took it for the end: None means not yet",
             CONN, {"if data is None:\n...\nfor line in self.inbuf.feed(data):": 'if not data:\n    self.finished = True\nfor line in self.inbuf.feed(data or b""):'}),
        case("goes on with None",
             "in line 17, `for line in self.inbuf.feed(data):`. Nothing had come, so try_recv gave None: that means not yet",
             CONN, {"if data is None:\n    return": ""}),
        case("recv without except", "BlockingIOError in line 14, `data = self.sock.recv(4096)`: EAGAIN is an answer",
             CONN, {"data = try_recv(self.sock, 4096)": "data = self.sock.recv(4096)"}),
        case("reads to the end", "did not return within 1 s: it runs all the time",
             CONN, {"data = try_recv(self.sock, 4096)": "data = b''\nwhile not (data := try_recv(self.sock, 4096)): pass"}),
        case("forgets the end", "The client has finished, and want_read is still true",
             CONN, {'if data == b"":\n    self.finished = True': 'if data == b"":\n    pass'}),
        case("over at the end, answers or not",
             "of 3 answers: b'' says that the client sends no more, but it still reads (shutdown(2)). It is over when outbuf is "
             "empty too",
             CONN, {"not self.finished and not self.outbuf": "not self.finished",
             "return self.finished and not self.outbuf": "return self.finished",
             "data = try_recv(self.sock, 4096)": 'data = try_recv(self.sock, 4096)\nif data and b"half" in data: self.finished = True'}),
        case("drops the answers at the end", "The client half-closed and got ",
             CONN, {'if data == b"":\n    self.finished = True': 'self.finished = data == b"" or b"half" in data\nif self.finished: return'}),
        case("over is a flag set too early to be true", "The client has finished and has all its answers, but over stays false",
             CONN, {"return self.finished and not self.outbuf": "return False"}),
        case("over when nothing is to be sent", "over is true for a new Conn",
             CONN, {"def over(self): return self.finished and not self.outbuf": "def over(self): return not self.outbuf"}),
        case("over after the answer", "The client has its answer and is still there, but over is true",
             CONN, {"return self.finished and not self.outbuf": "return getattr(self, 'sent', False)",
             "del self.outbuf[:sent]": "del self.outbuf[:sent]; self.sent = bool(sent)"}),
        case("no except for a reset in on_writable", "the client has sent a reset. The error has many names: catch BlockingIOError first, then OSError",
             CONN, {"except OSError:\n    self.finished = True\n    sent = len(self.outbuf)": ""}),
        case("no except for a reset in on_readable",
             "ConnectionResetError in line 15, `data = self.sock.recv(4096)`: the client has sent a reset",
             CONN, {"data = try_recv(self.sock, 4096)": "try:\n    data = self.sock.recv(4096)\nexcept BlockingIOError:\n    data = None"}),
        case("knows ConnectionResetError only",
             "BrokenPipeError in line 23, `sent = self.sock.send(self.outbuf)`: the client sent a reset before this send.",
             CONN, {"except OSError:": "except ConnectionResetError:"}),
        case("knows ConnectionError only",
             "TimeoutError in line 29, `sent = self.sock.send(self.outbuf)`: the client answers no more. The error has many names",
             LIMITED, {"except OSError:": "except ConnectionError:"}),
        case("a full buffer is the end", "outbuf was emptied when the send buffer was full. BlockingIOError is an OSError too",
             CONN, {"except BlockingIOError:\n    return": ""}),
        case("reads while answers wait", "A client that sends and never reads made outbuf grow without end: your memory fills.",
             CONN, {"not self.finished and not self.outbuf": "not self.finished"}),
        case("outbuf is a deque", "outbuf is a value of type deque: leave it a bytearray",
             CONN, {"self.outbuf = bytearray()": "from collections import deque; self.outbuf = deque()",
             r'self.outbuf += line.upper() + b"\n"': r'self.outbuf.append(line.upper() + b"\n")',
             "sent = self.sock.send(self.outbuf)": "sent = 0\nwhile self.outbuf: self.sock.send(self.outbuf.popleft())",
             "sent = len(self.outbuf)": "self.outbuf.clear()", "del self.outbuf[:sent]": ""}),
        case("keeps outbuf after a reset", "bytes wait in outbuf for nobody, and over stays false",
             CONN, {"sent = len(self.outbuf)": "return"}),
        case("closes the socket", "Conn closed its socket. Leave that to the server",
             CONN, {'if data == b"":\n    self.finished = True': 'if data == b"":\n    self.finished = True\n    self.sock.close()'}),
        case("one outbuf for all", "Another Conn",
             CONN, {"class Conn:": "class Conn:\n    inbuf = Lines()", "self.inbuf = Lines()": ""}),
        case("no capitals", "answer in capitals", CONN, {r'self.outbuf += line.upper() + b"\n"': r'self.outbuf += line + b"\n"'}),
        case("no line end", r"The answer has no b'\n' at its end", CONN, {r'line.upper() + b"\n"': "line.upper()"}),
        case("no Lines", r"and got b'OF THE FIRST': without b'\n' it is no line yet. Use Lines",
             CONN, {'for line in self.inbuf.feed(data):\n    self.outbuf += line.upper() + b"\\n"': "self.outbuf += data.upper()"}),
        case("drops empty lines", r"and got b'FOUR\n', not b'FOUR\n\n'",
             CONN, {"for line in self.inbuf.feed(data):": "for line in filter(None, self.inbuf.feed(data)):"}),
        case("answers the half line at the end", "in the middle of a line, b'half', and got an answer to it",
             CONN, {'if data == b"":\n    self.finished = True': 'if data == b"":\n    self.finished = True\n    self.outbuf += self.inbuf.rest.upper() + b"\\n"'}),
        case("bytes behind outbuf copied back", "outbuf still holds bytes",
             CONN, {"del self.outbuf[:sent]": "self.outbuf = self.outbuf[:sent]"}),
        case("a thread that sends", "started a thread",
             LIMITED, {"self.finished = False": "self.finished = False\nthreading.Thread(target=threading.Event().wait, daemon=True).start()"}),
    ],
    "3.3": [
        case("a blocking listener", "meanwhile nobody looks after the others. The listener is blocking.",
             BUSY, {"listener.setblocking(False)": "listener.setblocking(True)"}),
        case("keeps numbers only", "A socket object that nobody keeps closes its number, too", """
            def busy_server(listener):
                listener.setblocking(False)
                numbers = []
                while True:
                    if sock := try_accept(listener):
                        numbers.append(sock.fileno())
                        sock = None
                    for number in numbers:
                        try:
                            os.write(number, os.read(number, 4096).upper())
                        except BlockingIOError:
                            pass
        """),
        case("one client after the other", "The first client is silent, and a second one got no answer within 1 s", """
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
        """),
        case("the loop over clients without accept", "The client waits in the accept queue", """
            def busy_server(listener):
                conns = []
                while not conns:
                    if sock := try_accept(listener):
                        conns.append(Conn(sock))
                while True:
                    for conn in conns:
                        conn.on_readable()
                        conn.on_writable()
        """),
        case("never lets go", "stay open", BUSY, {"if conn.over:\n    conns.remove(conn)\n    conn.sock.close()": ""}),
        case("forgets without closing", "taken off your list and never closed: close()",
             BUSY, {"conns = []": "conns = []; kept = []",
             "conns.remove(conn)\nconn.sock.close()": "kept.append(conn); conns.remove(conn)"}),
        case("forgets without closing, and the last three live on", "taken off your list and never closed: close()",
             BUSY, {"conns = []": "conns = []; kept = []",
             "conns.remove(conn)\nconn.sock.close()": "kept = [*kept[-2:], conn]; conns.remove(conn)"}),
        case("forgets without closing, and the last one lives on in a variable", "taken off your list and never closed: close()",
             BUSY, {"conns = []": "conns = []; last = None",
             "conns.remove(conn)\nconn.sock.close()": "last = conn.sock; conns.remove(conn)"}),
        case("forgets without closing, and has no list", "Is close() called for each of them? A socket that is only forgotten stays open",
             """
                 def busy_server(listener):
                     listener.setblocking(False)
                     class Node: conn = None; after = None
                     newest, kept = None, None
                     while True:
                         if sock := try_accept(listener):
                             node = Node()
                             node.conn, node.after, newest = Conn(sock), newest, node
                         node, before = newest, None
                         while node:
                             if node.conn.want_read:
                                 node.conn.on_readable()
                             if node.conn.want_write:
                                 node.conn.on_writable()
                             if node.conn.over:
                                 older = kept
                                 kept = Node()
                                 kept.conn = node.conn
                                 if older and not older.after:
                                     kept.after = older
                                 if before:
                                     before.after = node.after
                                 else:
                                     newest = node.after
                             else:
                                 before = node
                             node = node.after
             """),
        case("sendall, its error swallowed", "sendall() on a socket that does not wait gives up in the middle.",
             LIMITED + BUSY, {"try:\n    sent = self.sock.send(self.outbuf)\n...\ndel self.outbuf[:sent]": """
                 try:
                     self.sock.sendall(self.outbuf)
                 except Exception:
                     pass
                 self.outbuf.clear()
             """}),
        case("closes and keeps it", "Forget each one when you close it", BUSY, {"conns.remove(conn)": ""}),
        case("reads while answers wait", "A client sends and never reads: your server took 2 MB from it",
             BUSY, {"conn.want_read": "not conn.finished"}),
        case("writes once only", "more wait in a bytearray of yours, and nobody sends them: your server runs all the time",
             BUSY, {"conns.append(Conn(sock))": "conns.append(Conn(sock)); conns[-1].tried = False",
             "conn.on_readable()": "conn.on_readable(); conn.tried = False",
             "if conn.want_write:": "if conn.want_write and not conn.tried:\n    conn.tried = True"}),
        case("never writes", "got no answer within 1 s", BUSY, {"if conn.want_write:\n    conn.on_writable()": ""}),
        case("returns when nobody is there", "returned; it should serve without end",
             BUSY, {"while True:": "while True:\n    if not conns and not select.select([listener], [], [], 0.01)[0]: return"}),
        case("a thread for each client", "started a thread that still runs; one thread is enough here", """
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
        """),
        case("a nap of half a second",
             "your server sleeps in line 5, `time.sleep(0.5)`. No client can wake it there: each of them waits until the nap is over.",
             BUSY, {"while True:": "while True:\n    time.sleep(0.5)"}),
        case("a nap of a second", "No client can wake it there", BUSY, {"while True:": "while True:\n    time.sleep(1.5)"}),
    ],
}
