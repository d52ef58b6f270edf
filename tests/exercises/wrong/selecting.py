"""Typical wrong solutions of 4.x, each with words of the message that names its cause."""

from exercises.case import case, changed, right

IMPORTS = """
import errno, fcntl, os, resource, select, selectors, socket, threading, time
from select import select as wait
from course_lib.solutions.blocking import Lines, serve_one
from course_lib.solutions.nonblocking import Conn, accept_or_pause, busy_server, try_accept, try_recv
from course_lib.solutions.selecting import ready
"""

READY = """
def ready(readers, writers, timeout):
    readable, writable, _ = select.select(readers, writers, [], timeout)
    return readable, writable
"""

# Parts that work on a Conn, and below on bare sockets; they know of no error of accept().
PLAIN = changed(right("4.2"), {
    "conns: dict[socket.socket, Conn] =": "conns =",
    "pause = 0.0\nwhile True:": "while True:",
    "listening = [] if pause else [listener]": "",
    "readable, writable = ready([*listening, *readers], writers, pause or None)\npause = 0.0":
        "readable, writable = ready([listener, *readers], writers, None)",
    "sock, pause = accept_or_pause(listener)\nif sock:": "if sock := try_accept(listener):",
})  # fmt: skip

BARE = r"""
def select_server(listener):
    listener.setblocking(False)
    conns, gone = {}, set()
    while True:
        readable, writable, _ = select.select([listener, *(conns.keys() - gone)], [sock for sock in conns if conns[sock][1]], [])
        if listener in readable:
            readable.remove(listener)
            sock, _ = listener.accept()
            sock.setblocking(False)
            conns[sock] = [Lines(), bytearray()]
        for sock in readable:
            try:
                data = sock.recv(65536)
            except ConnectionError:
                data = b""
            for line in conns[sock][0].feed(data):
                conns[sock][1] += line.upper() + b"\n"
            if not data:
                gone.add(sock)
        for sock in writable:
            try:
                sent = sock.send(conns[sock][1])
                del conns[sock][1][:sent]
            except ConnectionError:
                gone.add(sock)
                conns[sock][1].clear()
        for sock in [sock for sock in gone if not conns[sock][1]]:
            gone.remove(sock)
            del conns[sock]
            sock.close()
"""

# Asks for numbers that are not open.
COUNTS = """
def fd_limit():
    number = 900
    while True:
        try:
            select.select([number], [], [], 0)
        except ValueError:
            return number
        number += 1
"""

LIMIT = "gone | {sock for sock in outbuf if len(outbuf[sock]) > 64 * 1024}"

ON_EPOLL = r"""
def select_server(listener):
    listener.setblocking(False)
    engine, conns = select.epoll(), {}
    engine.register(listener, select.EPOLLIN)
    while True:
        for number, _ in engine.poll():
            if number == listener.fileno():
                if sock := try_accept(listener):
                    conns[sock.fileno()] = Conn(sock)
                    engine.register(sock, select.EPOLLIN)
                continue
            conn = conns[number]
            if conn.want_read:
                conn.on_readable()
            if conn.want_write:
                conn.on_writable()
            if conn.over:
                engine.unregister(number)
                del conns[number]
                conn.sock.close()
"""

# Keeps numbers only, and makes a socket object of one for a moment.
NUMBERS = r"""
def select_server(listener):
    listener.setblocking(False)
    engine = select.epoll()
    lines = {}
    engine.register(listener, select.EPOLLIN)
    while True:
        for number, _ in engine.poll():
            if number == listener.fileno():
                number = listener.accept()[0].detach()
                lines[number] = Lines()
                engine.register(number, select.EPOLLIN)
                continue
            conn = socket.socket(fileno=number)
            data = conn.recv(65536)
            for line in lines[number].feed(data):
                conn.sendall(line.upper() + b"\n")
            if not data:
                del lines[number]
                conn.close()
"""

# Watches each one for what its Conn asks for.
RIGHT_EPOLL = changed(ON_EPOLL, {"if conn.over:": """
    if not conn.over:
        engine.modify(number, select.EPOLLIN * conn.want_read | select.EPOLLOUT * conn.want_write)
    else:
"""})  # fmt: skip

RIGHT_POLL = RIGHT_EPOLL.replace("epoll", "poll").replace("EPOLL", "POLL")

SELECTOR = r"""
def select_server(listener):
    listener.setblocking(False)
    selector = selectors.DefaultSelector()
    selector.register(listener, selectors.EVENT_READ)
    while True:
        for key, _ in selector.select():
            conn = key.data
            if not conn:
                if sock := try_accept(listener):
                    selector.register(sock, selectors.EVENT_READ, Conn(sock))
                continue
            if conn.want_read:
                conn.on_readable()
            if conn.want_write:
                conn.on_writable()
            if conn.over:
                selector.unregister(conn.sock)
                conn.sock.close()
            else:
                wanted = selectors.EVENT_READ * conn.want_read | selectors.EVENT_WRITE * conn.want_write
                selector.modify(conn.sock, wanted, conn)
"""

RIGHT = {
    "4.2": [
        case("on epoll", "", RIGHT_EPOLL),
        case("on poll", "", RIGHT_POLL),
        case("on a selector", "", SELECTOR),
    ],
}

CASES = {
    "4.1": [
        case("all three lists", "returned all three lists of select(): return the first two",
             "def ready(readers, writers, timeout): return select.select(readers, writers, [], timeout)"),
        case("lists in a list", "returned [[], []]: return a tuple of two lists",
             "def ready(readers, writers, timeout): return list(select.select(readers, writers, [], timeout)[:2])"),
        case("one list", "returned []: return a tuple of two lists",
             "def ready(readers, writers, timeout): return select.select(readers, writers, [], timeout)[0]"),
        case("nothing", "returned None", "def ready(readers, writers, timeout): select.select(readers, writers, [], timeout)"),
        case("forgets the third list", "ready raised TypeError: ",
             "def ready(readers, writers, timeout): return select.select(readers, writers, timeout)[:2]"),
        case("no timeout",
             "Nothing has come, and ready([one, other], [], 0) did not return within 1 s: 0 is to look once and not to wait: it "
             "sleeps in line 1",
             "def ready(readers, writers, timeout): return select.select(readers, writers, [])[:2]"),
        case("a falsy timeout is none", "ready([one, other], [], 0) did not return within 1 s",
             "def ready(readers, writers, timeout): return select.select(readers, writers, [], timeout or None)[:2]"),
        case("milliseconds", "did not return within 1.3 s: `timeout` counts seconds: it sleeps",
             READY, {"[], timeout": "[], timeout and timeout * 1000"}),
        case("never waits", "Nothing has come, and ready([one, other], [], 0.3) did not wait 0.3 s",
             "def ready(readers, writers, timeout): return select.select(readers, writers, [], 0)[:2]"),
        case("looks again and again", "used the processor while it waited", """
            def ready(readers, writers, timeout):
                begin = time.monotonic()
                while True:
                    readable, writable, _ = select.select(readers, writers, [], 0)
                    if readable or writable or timeout is not None and time.monotonic() - begin > timeout:
                        return readable, writable
        """),
        case("the wrong way round", "Nothing has come, and ready([one, other], [], 0) returned ([], [one, other]), not ([], [])",
             "def ready(readers, writers, timeout): return select.select(writers, readers, [], timeout)[:2]"),
        case("numbers for sockets", "], []): return the sockets that you were given",
             READY, {"(readers, writers, []": "([sock.fileno() for sock in readers], writers, []"}),
        case("reads too", "the bytes were gone: it only looks",
             READY, {"return readable": "for sock in readable:\n    sock.recv(100)\nreturn readable"}),
        case("takes the end for nothing",
             "which counts as readable (select(2)), and ready([one, other], [], 60) returned ([], []), not ([other], [])",
             READY, {"return readable,": "return [sock for sock in readable if sock.recv(1, socket.MSG_PEEK)],"}),
        case("empties the caller's list", "changed a list that it was given",
             READY, {"return readable": "for sock in readable:\n    readers.remove(sock)\nreturn readable"}),
        case("sets non-blocking", "changed whether it is blocking",
             READY, {"readable, writable,": "for sock in readers + writers:\n    sock.setblocking(False)\nreadable, writable,"}),
        case("leaves closed sockets to select", "raised ValueError: file descriptor cannot be a negative integer (-1) in line 1",
             "def ready(readers, writers, timeout): return select.select(readers, writers, [], timeout)[:2]"),
        case("drops closed sockets", "passed over the closed socket in silence",
             READY, {"readable, writable, _":
             "readers, writers = ([sock for sock in socks if sock.fileno() != -1] for socks in (readers, writers))\nreadable, writable, _"}),
        case("looks at the readers only", "Raise a ValueError with writers[0] in its text",
             right("4.1"), {'("readers", readers), ("writers", writers)': '[("readers", readers)]'}),
        case("another exception",
             "Raise a ValueError with readers[1] in its text: in a server with a hundred clients, which one is closed?",
             right("4.1"), {"raise ValueError": "raise OSError"}),
        case("takes the closed one out", "and it changed a list that it was given: the caller still needs it.",
             right("4.1"), {"raise ValueError": "del socks[position]\nraise ValueError"}),
        case("asks every millisecond", "times. One call of select() sleeps until something is ready: hand it the whole `timeout`.", """
            def ready(readers, writers, timeout):
                end = None if timeout is None else time.monotonic() + timeout
                while True:
                    readable, writable, _ = select.select(readers, writers, [], 0.001)
                    if readable or writable or end is not None and time.monotonic() >= end:
                        return readable, writable
        """),
        case("half a second at most", "ready([listener], [], None) returned and nobody had connected: None is no limit.",
             right("4.1"), {"[], timeout)": "[], 0.5 if timeout is None else min(timeout, 0.5))"}),
        case("forgets the writers", "Both send buffers have room, and ready([], [one, other], 60) did not return within 1 s",
             right("4.1"), {"select.select(readers, writers, [], timeout)": "select.select(readers, [], [], timeout)"}),
        case("every ValueError means closed", "select() raises ValueError for numbers from 1024 on too", """
            def ready(readers, writers, timeout):
                try:
                    return select.select(readers, writers, [], timeout)[:2]
                except ValueError:
                    for name, socks in ("readers", readers), ("writers", writers):
                        for position, sock in enumerate(socks):
                            if sock.fileno() == -1 or sock.fileno() > 1000:
                                raise ValueError(f"{name}[{position}] is closed")
        """),
        case("None is 10 ms", "ready([listener], [], None) returned and nobody had connected",
             right("4.1"), {"[], timeout)": "[], 0.01 if timeout is None else timeout)"}),
    ],
    "4.2": [
        case("serves one after the other",
             "The first client is silent, and a second one got no answer within 1 s: your server sleeps in line 4, `while data "
             ":= conn.recv(4096):`. recv() waits for ONE socket (recv(2))", """
            def select_server(listener):
                while True:
                    conn, _ = listener.accept()
                    while data := conn.recv(4096):
                        conn.sendall(data.upper())
        """),
        case("waits in accept",
             "sleeps in line 4, `sock, _ = listener.accept()`. accept() waits for ONE socket (accept(2))", """
            def select_server(listener):
                conns = []
                while True:
                    sock, _ = listener.accept()
                    conns.append(sock)
                    for sock in ready(conns, [], 0)[0]:
                        sock.sendall(sock.recv(4096).upper())
        """),
        case("accepts once",
             "The client waits in the accept queue: is the listener among those you wait for, in every round?",
             PLAIN, {"while True:": "while True:\n    first = not conns",
             "[listener, *readers],": "[listener] * first + readers,"}),
        case("listens no more when all have left",
             "All clients have left, and a new one got no answer within 1 s: your server sleeps in line 8, `readable, writable = "
             "ready([listener] * listens + readers, writers, None)`. The client waits in the accept queue",
             PLAIN, {"while True:": "listens = True\nwhile True:", "[listener, *readers],": "[listener] * listens + readers,",
             "sock.close()": "sock.close()\nlistens = bool(conns)"}),
        case("returns", "returned; it should serve without end: while True.",
             "def select_server(listener): listener.setblocking(False)"),
        case("returns after the first client",
             "The first client is silent, and a second one got no answer within 1 s: your server sleeps", """
            def select_server(listener):
                serve_one(listener.accept()[0])
        """),
        case("accepts before anybody is there",
             "[Errno 11] Resource temporarily unavailable in line 3, `sock, _ = listener.accept()`. Ready is a hint", """
            def select_server(listener):
                listener.setblocking(False)
                sock, _ = listener.accept()
        """),
        case("takes the pair for the connection", "'tuple' object has no attribute 'setblocking' in line ",
             BARE, {"sock, _ = listener.accept()": "sock = listener.accept()"}),
        case("hands Conn objects to select", "select() takes sockets or their numbers, or whatever has a method fileno()",
             PLAIN, {"""
                 readers = [sock for sock, conn in conns.items() if conn.want_read]
                 writers = [sock for sock, conn in conns.items() if conn.want_write]
                 readable, writable = ready([listener, *readers], writers, None)
             """: "readable, writable, _ = select.select([listener, *conns.values()], [], [])"}),
        case("closes the listener", "Is it the listener that was closed? It must stay open for the next clients.",
             PLAIN, {"if sock := try_accept(listener):\n    conns[sock] = Conn(sock)": "if sock := try_accept(listener):\n    conns[sock] = Conn(sock)\nlistener.close()"}),
        case("closes after one answer",
             "the client got b'', the end. Do you close after the first answer? Close when recv() gives b''.",
             BARE, {"except ConnectionError:\n    gone.add(sock)\n    conns[sock][1].clear()": "except ConnectionError:\n    gone.add(sock)\n    conns[sock][1].clear()\ngone.add(sock)"}),
        case("a socket object for each round", "A socket object that nobody keeps closes its number, too", NUMBERS),
        case("a socket object for each round of select()", "A socket object that nobody keeps closes its number, too",
             NUMBERS, {"engine = select.epoll()": "",
             "engine.register(listener, select.EPOLLIN)": "", "for number, _ in engine.poll():": "for number in select.select([listener.fileno(), *lines], [], [])[0]:",
             "engine.register(number, select.EPOLLIN)": ""}),
        case("two owners of a number", "It was closed before. Has this number two owners",
             BARE, {"sock.close()": 'os.fdopen(sock.fileno(), "rb").close()\nsock.close()'}),
        case("never calls recv()", "This client's socket is readable, and nobody calls recv() on it, so each wait for it returns at once.", """
            def select_server(listener):
                listener.setblocking(False)
                engine, conns = select.epoll(), {}
                engine.register(listener, select.EPOLLIN)
                while True:
                    for number, _ in engine.poll(1):
                        if number == listener.fileno():
                            conn, _ = listener.accept()
                            conns[conn.fileno()] = conn
                            engine.register(conn, select.EPOLLIN)
        """),
        case("no capitals", r"A client sent b'hello\n' and got b'hello\n': answer in capitals.",
             BARE, {r'conns[sock][1] += line.upper() + b"\n"': r'conns[sock][1] += line + b"\n"'}),
        case("no line end", r"the answer has no b'\n' at its end", BARE, {r'[1] += line.upper() + b"\n"': "[1] += line.upper()"}),
        case("greets", r"A client sent b'hello\n' and got b'welcom', not b'HELLO\n'.",
             PLAIN, {"conns[sock] = Conn(sock)": 'conns[sock] = Conn(sock)\nsock.send(b"welcome\\n")'}),
        case("never answers", "The client's bytes were read, and the answer was not sent",
             BARE, {r'conns[sock][1] += line.upper() + b"\n"': "line.upper()"}),
        case("works on pieces", r"got b'H': a piece without b'\n' is not a line yet", """
            def select_server(listener):
                conns = []
                while True:
                    for sock in ready([listener, *conns], [], None)[0]:
                        if sock is listener:
                            conns.append(sock.accept()[0])
                        else:
                            sock.sendall(sock.recv(4096).upper())
        """),
        case("splits each piece", "Its first bytes were lost: keep the unfinished part of a line until the rest has come.",
             BARE, {"for line in conns[sock][0].feed(data):": "for line in Lines().feed(data):"}),
        case("one Lines for all", "The two share one buffer: each connection needs its own.",
             BARE, {"def select_server": "shared = Lines()\n\ndef select_server", "Lines(), bytearray()": "shared, bytearray()"}),
        case("one outbuf for all", r"Another client got b'HELLO\n': each connection needs its own buffer for answers.",
             BARE, {"def select_server": "shared = bytearray()\n\ndef select_server", "Lines(), bytearray()": "Lines(), shared"}),
        case("answers the last client", r"Another client got b'AGAIN\n': each connection needs its own buffer for answers.",
             BARE, {r'conns[sock][1] += line.upper() + b"\n"': r'list(conns.values())[-1][1] += line.upper() + b"\n"'}),
        case("all answers of a round to the last client", "ach connection needs its own buffer for answers.", r"""
            def select_server(listener):
                lines, unsent = {}, {}
                while True:
                    readable, _, _ = select.select([listener, *lines], [], [])
                    answers = b""
                    for sock in readable:
                        if sock is listener:
                            connection, _ = listener.accept()
                            lines[connection] = Lines()
                        else:
                            answers += b"".join(line.upper() + b"\n" for line in lines[sock].feed(sock.recv(4096)))
                    if answers:
                        sock.sendall(answers)
        """),
        case("reads one byte at a time", "your server runs all the time", BARE, {"sock.recv(65536)": "sock.recv(1)"}),
        case("one line for each recv", "Two lines arrived together, only the first was answered",
             BARE, {"for line in conns[sock][0].feed(data):": "for line in conns[sock][0].feed(data)[:1]:"}),
        case("never waits", "Nobody talks, yet your server runs all the time (CPU ", PLAIN, {"None": "0"}),
        case("asks everybody", "Nobody talks, yet your server runs all the time (CPU ",
             "def select_server(listener): busy_server(listener)"),
        case("everybody is a writer", "a socket with nothing to send is writable nearly always",
             PLAIN, {"() if conn.want_write": "()"}),
        case("stays a writer", "Nobody talks, yet your server runs all the time (CPU ",
             BARE, {"conns, gone = {}, set()": "conns, gone, writers = {}, set(), set()",
             "[sock for sock in conns if conns[sock][1]]": "writers",
             "if not data:\n    gone.add(sock)": "if not data:\n    gone.add(sock)\nwriters.add(sock)",
             "sock.close()": "sock.close()\nwriters.discard(sock)"}),
        case("a tiny time limit", "a time limit makes it look for nothing, again and again. Sleep until a socket is ready.",
             PLAIN, {"writers, None)": "writers, 0.001)"}),
        case("reads while answers wait", "A client sends and never reads: your server took 2 MB from it",
             PLAIN, {"if conn.want_read]": "if not conn.finished]"}),
        case("waits for no writer", "more wait in a bytearray of yours, and nobody sends them: your server sleeps in line ",
             PLAIN, {"""
                 writers = [sock for sock, conn in conns.items() if conn.want_write]
                 readable, writable = ready([listener, *readers], writers, None)
             """: "readable, _ = ready([listener, *readers], [], None)",
             "for sock in writable:\n    conns[sock].on_writable()": """
                 for conn in conns.values():
                     if conn.want_write:
                         conn.on_writable()
             """}),
        case("edge-triggered, one accept", "With EPOLLET, accept until BlockingIOError (epoll(7)).",
             ON_EPOLL, {"engine.register(listener, select.EPOLLIN)": "engine.register(listener, select.EPOLLIN | select.EPOLLET)",
             "if conn.over:": """
                 engine.modify(number, select.EPOLLOUT if conn.want_write else select.EPOLLIN)
                 if conn.over:
             """}),
        case("edge-triggered, one recv", "the end may come with the last bytes, and is told once (epoll(7)).",
             ON_EPOLL, {"register(sock, select.EPOLLIN)": "register(sock, select.EPOLLIN | select.EPOLLET)"}),
        case("one shot, never armed again", "with EPOLLONESHOT, modify() it each time (epoll(7)).",
             ON_EPOLL, {"register(sock, select.EPOLLIN)": "register(sock, select.EPOLLIN | select.EPOLLONESHOT)"}),
        case("leaves close to the garbage collector",
             "taken off your dict and never closed: close() each of them",
             ON_EPOLL, {"if conn.over:": """
                 engine.modify(number, select.EPOLLOUT if conn.want_write else select.EPOLLIN)
                 if conn.over:
             """,
             "conn.sock.close()": ""}),
        case("forgets, and neither unregisters nor closes", "The kernel still waits for this connection: unregister() it, then close() it",
             RIGHT_EPOLL, {"engine.unregister(number)": "", "conn.sock.close()": ""}),
        case("on poll: forgets, and neither unregisters nor closes", "The kernel still waits for this connection: unregister() it, then close() it",
             RIGHT_POLL, {"engine.unregister(number)": "", "conn.sock.close()": ""}),
        case("closes before it unregisters", "A closed socket has the number -1: unregister() it before close().",
             RIGHT_EPOLL, {"engine.unregister(number)\ndel conns[number]\nconn.sock.close()": "del conns[number]\nconn.sock.close()\nengine.unregister(conn.sock)"}),
        case("looks, then sleeps",
             "Nobody talks, and your server sleeps in line 8, `time.sleep(0.2)`, where no client can wake it",
             PLAIN, {"readable, writable = ready([listener, *readers], writers, None)": "readable, writable = ready([listener, *readers], writers, 0)\ntime.sleep(0.2)"}),
        case("looks, then sleeps for long", "`time.sleep(2)`. No client can wake it there",
             PLAIN, {"ready([listener, *readers], writers, None)": "ready([listener, *readers], writers, 0)\ntime.sleep(2)"}),
        case("a thread for each client", "started a thread", """
            def select_server(listener):
                while True:
                    conn, _ = listener.accept()
                    threading.Thread(target=serve_one, args=(conn,)).start()
        """),
        case("a process for each client", "started another process (fork?)", """
            def select_server(listener):
                while True:
                    conn, _ = listener.accept()
                    if not os.fork():
                        serve_one(conn)
                        os._exit(0)
        """),
        case("does not look at b''", "stay open: your server runs all the time (CPU ",
             BARE, {"if not data:\n    gone.add(sock)": ""}),
        case("never closes",
             "half-closed and got all their answers, and the connections of clients 1, 2, 3, 4 and 5 stay open: your server "
             "sleeps",
             BARE, {"for sock in [sock for sock in gone if not conns[sock][1]]:\n...\n    sock.close()": ""}),
        case("forgets, and does not close", "taken off your dict and never closed: close() each of them",
             PLAIN, {"def select_server": "kept = []\n\ndef select_server", "sock.close()": "kept.append(sock)"}),
        case("closes, and does not forget",
             "Your server has closed its connections, and still keeps 26 of them in a list, a dict or a set",
             PLAIN, {"del conns[sock]": ""}),
        case("closes, and stays in the list of ready",
             "A client finished sending and your server died: select_server raised ValueError: readers[",
             PLAIN, {"[sock for sock, conn in conns.items() if conn.want_read]": "[sock for sock, conn in conns.items()]",
             "del conns[sock]": ""}),
        case("closes, and stays in the list of select",
             "A client finished sending and your server died: select_server raised ValueError: file descriptor cannot be ",
             BARE, {"gone.remove(sock)\ndel conns[sock]": "gone.remove(sock)"}),
        case("closes on b'', with answers unsent",
             "half-closed, and got 0 of 3 answers, then the end: b'' says that it sends no more, but it still reads",
             BARE, {"if not data:": "if not data:\n    conns[sock][1].clear()"}),
        case("closes on b'', with a long answer unsent", "and half-closed, read slowly, and got ",
             BARE, {"if not data:\n    gone.add(sock)": """
                 if not data:
                     gone.add(sock)
                     try:
                         sock.send(conns[sock][1])
                     except OSError:
                         pass
                     conns[sock][1].clear()
             """}),
        case("removes from the list it loops over", "and the connections of clients 2 and 4 stay open",
             PLAIN, {"conns = {}": "conns, order = {}, []",
             "conns[sock] = Conn(sock)": "conns[sock] = Conn(sock)\norder.append(conns[sock])",
             "for sock, conn in list(conns.items()):": "for conn in order:",
             "del conns[sock]\nsock.close()": """
                 order.remove(conn)
                 del conns[conn.sock]
                 conn.sock.close()
             """}),
        case("deletes from the dict it loops over",
             "Do not add or remove while a loop goes over it: loop over a copy, list(...).",
             PLAIN, {"for sock, conn in list(conns.items()):": "for sock, conn in conns.items():"}),
        case("deletes by index", "IndexError: list index out of range in line ",
             PLAIN, {"conns = {}": "conns, order = {}, []",
             "conns[sock] = Conn(sock)": "conns[sock] = Conn(sock)\norder.append(conns[sock])",
             "for sock, conn in list(conns.items()):\n...\n        sock.close()": """
                 for i in range(len(order)):
                     if order[i].over:
                         conn = order.pop(i)
                         del conns[conn.sock]
                         conn.sock.close()
             """}),
        case("forgets it twice",
             "This connection was forgotten before: one socket can be readable and writable in the same round.",
             BARE, {"if not data:\n    gone.add(sock)": "if not data:\n    del conns[sock]\n    sock.close()"}),
        case("removes it twice",
             "It was taken out before: one socket can be readable and writable in the same round.", r"""
            def select_server(listener):
                conns, lines, unsent = [], {}, {}
                while True:
                    readable, writable, _ = select.select([listener, *conns], [sock for sock in conns if unsent[sock]], [])
                    for sock in readable:
                        if sock is listener:
                            conn = try_accept(listener)
                            conns.append(conn)
                            lines[conn], unsent[conn] = Lines(), b""
                        elif data := try_recv(sock, 4096):
                            unsent[sock] += b"".join(line.upper() + b"\n" for line in lines[sock].feed(data))
                        else:
                            conns.remove(sock)
                    for sock in writable:
                        unsent[sock] = unsent[sock][sock.send(unsent[sock]):]
                        if sock not in conns or not unsent[sock] and not lines[sock]:
                            conns.remove(sock)
        """),
        case("uses it after close", "You used a socket after you had closed it: forget it in the same moment.",
             BARE, {"if not data:\n    gone.add(sock)": "if not data:\n    gone.add(sock)\n    sock.close()"}),
        case("no except for a reset",
             "A client crashed (its connection was reset) and your server died: ConnectionResetError ended your server in line ",
             BARE, {'try:\n    data = sock.recv(65536)\nexcept ConnectionError:\n    data = b""': "data = sock.recv(65536)"}),
        case("no except for a reset while sending", "ended your server in line ",
             BARE, {"try:\n    sent = sock.send(conns[sock][1])\n...\n    conns[sock][1].clear()": "del conns[sock][1][:sock.send(conns[sock][1])]"}),
        case("asks for the peer's name", "Its client has gone already, perhaps before accept() came to it.",
             PLAIN, {"conns[sock] = Conn(sock)": "conns[sock] = Conn(sock)\nsock.getpeername()"}),
        case("hides every error", "runs all the time (CPU ",
             BARE, {'except ConnectionError:\n    data = b""\n...\n    gone.add(sock)': r"""
                     for line in conns[sock][0].feed(data):
                         conns[sock][1] += line.upper() + b"\n"
                     if not data:
                         gone.add(sock)
                 except:
                     pass
             """, "except ConnectionError:\n    gone.add(sock)\n    conns[sock][1].clear()": "except:\n    pass"}),
        case("sendall on blocking sockets",
             "does not read its long answer, and meanwhile another one got no answer within 1 s: your server sleeps in line ",
             BARE, {"sock.setblocking(False)": "",
             "try:\n    sent = sock.send(conns[sock][1])\n...\n    conns[sock][1].clear()": "sock.sendall(conns[sock][1])\nconns[sock][1].clear()"}),
        case("sendall on blocking sockets, with except",
             "does not read its long answer, and meanwhile another one got no answer within 1 s: your server sleeps in line ",
             BARE, {"sock.setblocking(False)": "",
             "try:\n    sent = sock.send(conns[sock][1])\n...\n    conns[sock][1].clear()": "try:\n    sock.sendall(conns[sock][1])\nexcept ConnectionError:\n    pass\nconns[sock][1].clear()"}),
        case("sendall on non-blocking sockets", "When sendall() fails, nobody knows how much went out",
             BARE, {"try:\n    sent = sock.send(conns[sock][1])\n...\n    conns[sock][1].clear()": "try:\n    sock.sendall(conns[sock][1])\nexcept ConnectionError:\n    pass\nconns[sock][1].clear()"}),
        case("sends until all is out", "meanwhile another one got no answer within 1 s: your server runs all the time (CPU ",
             BARE, {"try:\n    sent = sock.send(conns[sock][1])\n...\n    conns[sock][1].clear()": """
                 while conns[sock][1]:
                     try:
                         del conns[sock][1][:sock.send(conns[sock][1])]
                     except BlockingIOError:
                         pass
                     except ConnectionError:
                         conns[sock][1].clear()
                         gone.add(sock)
             """}),
        case("ignores what send returns", "came back: send() takes what fits and returns how much (send(2))",
             BARE, {"sent = sock.send(conns[sock][1])\ndel conns[sock][1][:sent]": "sock.send(conns[sock][1])",
             "except ConnectionError:\n    gone.add(sock)\n    conns[sock][1].clear()": "except ConnectionError:\n    gone.add(sock)\nconns[sock][1].clear()"}),
        case("sends all again", "other bytes came back, or the same ones twice",
             BARE, {"del conns[sock][1][:sent]": "if sent == len(conns[sock][1]):\n    conns[sock][1].clear()"}),
        case("asks for readable after the end", "after b'' do not ask for readable any more",
             BARE, {"[listener, *(conns.keys() - gone)],": "[listener] + list(conns),"}),
    ],
    "4.3": [
        case("a number from the notes", "select.select() was not called once: find it by trying", "def fd_limit(): return 1024"),
        case("a number from the notes, and one call",
             "fd_limit returned 1024, and select() refused nothing that you gave it: go on with higher numbers.", """
            def fd_limit():
                select.select([], [], [], 0)
                return 1024
        """),
        case("looks at one number only",
             "the highest number that select() took from you was None, the lowest that it refused 1024. These two must be "
             "neighbours.", """
            def fd_limit():
                with socket.socket() as sock:
                    number = fcntl.fcntl(sock, fcntl.F_DUPFD, 1024)
                    try:
                        wait([number], [], [], 0)
                    except ValueError:
                        return number
                    finally:
                        os.close(number)
        """),
        case("doubles", "the highest number that select() took from you was ",
             right("4.3"), {"""
                 soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
                 resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 4096)), hard))
             """: "number = 8",
             "number = sock.fileno()": "",
             "number = fcntl.fcntl(sock, fcntl.F_DUPFD, number + 1)": "number = fcntl.fcntl(sock, fcntl.F_DUPFD, number * 2)"}),
        case("opens 1024 sockets", "You found 1024 by counting: ", """
            def fd_limit():
                socks = []
                while True:
                    socks.append(socket.socket())
                    try:
                        select.select(socks[-1:], [], [], 0)
                    except ValueError:
                        number = socks[-1].fileno()
                        for sock in socks:
                            sock.close()
                        return number
        """),
        case("watches 1024 sockets",
             " entries in one call. Is it their count or a number that it refuses? Find it with ONE socket: fcntl.fcntl(sock, ", """
            def fd_limit():
                socks = []
                while True:
                    socks.append(socket.socket())
                    try:
                        select.select(socks, [], [], 0)
                    except ValueError:
                        return len(socks)
        """),
        case("one socket many times in the list",
             "You found 1025 by counting: you gave select() 1025 entries in one call.", """
            def fd_limit():
                with socket.socket() as sock:
                    for count in range(5000):
                        try:
                            select.select([sock] * count, [], [], 0)
                        except ValueError:
                            return count
        """),
        case("the last that is taken", "1023 is the last number that select() takes: asked is the first that it refuses.",
             right("4.3"), {"return number": "return number - 1"}),
        case("the limit of the process",
             "3000 is how many descriptors this process may open (RLIMIT_NOFILE, getrlimit(2)), and select() refused none.", """
            def fd_limit():
                select.select([], [], [], 0)
                return resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        """),
        case("opens until the kernel refuses",
             "The kernel refused, not select(): OSError: [Errno 24] Too many open files in line 4", """
            def fd_limit():
                socks = []
                while True:
                    socks.append(socket.socket())
        """),
        case("asks poll", "select.select() was not called once", """
            def fd_limit():
                with socket.socket() as sock:
                    poll = select.poll()
                    poll.register(fcntl.fcntl(sock, fcntl.F_DUPFD, 1500))
                    poll.poll(0)
                    return 1500
        """),
        case("leaves the copies open", "fd_limit left 25 descriptors open: close each copy (os.close) before the next.",
             right("4.3"), {"number = sock.fileno()": "number = 999", "finally:\n    os.close(number)": ""}),
        case("the error comes through",
             "fd_limit raised ValueError: filedescriptor out of range in select() in line 8, `select.select([number], [], [], 0)`."
             " That is the refusal: catch it, and return the number.",
             right("4.3"), {"try:\n...\n    os.close(number)": "select.select([number], [], [], 0)\nos.close(number)"}),
        case("forgets to return it", "fd_limit returned None: return the number, an int.", right("4.3"), {"return number": "break"}),
        case("closes the number that it asked for", ", which is not yours: close the number that F_DUPFD gave",
             right("4.3"), {"number = sock.fileno()": "number = 2",
             "number = fcntl.fcntl(sock, fcntl.F_DUPFD, number + 1)": "number += 1\ncopy = fcntl.fcntl(sock, fcntl.F_DUPFD, number)",
             "[number]": "[copy]"}),
        case("never ends", "fd_limit() did not return within 2 s: it runs all the time",
             COUNTS, {"number = 900": "number = 0", "return number": "pass", "number += 1": "number += 0"}),
        case("a number that is not open",
             "No descriptor has this number: give one to a socket first, fcntl.fcntl(sock, fcntl.F_DUPFD, number).", COUNTS),
        case("every error is a refusal", "fd_limit returned ", COUNTS, {"number = 900": "number = 5", "ValueError": "Exception"}),
    ],
    "4.4": [
        case("too long a line ends the server", "Lines raises it for too long a line: let go of this client.",
             right("4.4"), {"except ValueError:": "except KeyError:"}),
        case("too long a line, and stays", r"bytes without b'\n', and its connection stays open",
             right("4.4"), {"except ValueError:\n    gone.add(sock)": "except ValueError:\n    pass"}),
        case("lets go at b'', whatever waits", "b'' says that it sends no more, and it still reads (shutdown(2))",
             right("4.4"), {"del inbuf[sock]": "gone.add(sock)"}),
        case("no limit", "Eve never reads, and after 4 MB the memory of your server grew by ", right("4.4"), {LIMIT: "gone"}),
        case("waits for no writer",
             "The rest waits in your server: wait for its socket to be writable while something is to be sent.",
             right("4.4"), {"[sock for sock in outbuf if outbuf[sock]], pause": "[], pause", "in writable:": "in outbuf:"}),
        case("lets go of the sender", "your server let go of Ann, who sent the lines",
             right("4.4"), {LIMIT: "gone",
             r'outbuf[other] += line + b"\n"': 'outbuf[other] += line + b"\\n"\nif len(outbuf[other]) > 65536:\n    gone.add(sock)'}),
        case("always asks for writable", "a socket with nothing to send is writable nearly always.",
             right("4.4"), {"[sock for sock in outbuf if outbuf[sock]]": "list(outbuf)"}),
        case("drops what is over the limit",
             "Eve never reads, and after 4 MB she is still there: what she should have got is lost.",
             right("4.4"), {f"for sock in {LIMIT}:": "for buffer in outbuf.values():\n    del buffer[65536:]\nfor sock in gone:"}),
        case("waits for the slow one", " bytes, nothing more within 1 s: your server sleeps in line ",
             right("4.4"), {LIMIT: "gone",
             "listening = [] if pause": "full = any(len(buffer) > 65536 for buffer in outbuf.values())\nlistening = [] if full",
             "*inbuf]": "*([] if full else inbuf)]"}),
        case("sendall", "send() waits for ONE socket (send(2)), and meanwhile nobody looks after the others.",
             right("4.4"), {"= Lines(), bytearray()": "= Lines(), bytearray()\nsock.setblocking(True)",
             r'outbuf[other] += line + b"\n"': 'try: other.sendall(line + b"\\n")\nexcept ConnectionError: gone.add(other)'}),
        case("back to the sender too", "a line goes to all OTHERS.", right("4.4"), {"inbuf.keys() - {sock}": "inbuf"}),
        case("to the sender only", r"Ann sent a line and got b'Ann is here\n' back: a line goes to all OTHERS.",
             right("4.4"), {"inbuf.keys() - {sock}": "[sock]"}),
        case("capitals", "got it in capitals: hand the line on as it is.", right("4.4"), {"+= line +": "+= line.upper() +"}),
        case("no line end", r"got it without b'\n' at its end", right("4.4"), {r'line + b"\n"': "line"}),
        case("pieces", "hand on whole lines only, and keep one buffer for each client (Lines).",
             right("4.4"), {'inbuf[sock].feed(data or b"")': '[data or b""]', r'line + b"\n"': "line"}),
        case("one Lines for all", "keep one buffer for each client (Lines).",
             right("4.4"), {"def chat": "shared = Lines()\n\ndef chat", "= Lines(), bytearray()": "= shared, bytearray()"}),
        case("one outbuf for all", "do all clients share one buffer? Each one needs its own.",
             right("4.4"), {"def chat": "shared = bytearray()\n\ndef chat", "= Lines(), bytearray()": "= Lines(), shared"}),
        case("never waits", "Five clients are there and nobody talks, yet your server runs all the time",
             right("4.4"), {"pause or None": "0"}),
        case("lets go while it loops", "A client left and your server died: ",
             right("4.4"), {"del inbuf[sock]": "del inbuf[sock], outbuf[sock]\nsock.close()"}),
        case("never lets go", "Two clients left, and ", right("4.4"), {"del inbuf[sock]": "pass"}),
        case("a reset ends it", "ended your server in line ", right("4.4"), {"try_recv(sock, 4096)": "sock.recv(4096)"}),
        case("a reset while a line waits for it ends it",
             "a send after the client's reset, and clients disappear every day. Catch OSError, then close.",
             right("4.4"), {"except OSError as error:\n...\n    gone.add(sock)": ""}),
        case("returns", "chat returned; it should serve without end", "def chat(listener): pass"),
        case("answers like select_server", r"Ann sent a line and got b'ANN IS HERE\n' back",
             "def chat(listener): busy_server(listener)"),
    ],
}
