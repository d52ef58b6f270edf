"""Typical wrong solutions of 4.x, each with words of the message that names its cause."""

IMPORTS = """
import fcntl, os, resource, select, socket, threading, time
from select import select as wait
from course_lib.solutions.blocking import Lines, serve_one
from course_lib.solutions.nonblocking import Conn, busy_server, try_accept, try_recv
from course_lib.solutions.selecting import ready
"""

READY = {
    "all three lists": (
        "def ready(readers, writers, timeout): return select.select(readers, writers, [], timeout)",
        "returned all three lists of select(): return the first two",
    ),
    "lists in a list": (
        "def ready(readers, writers, timeout): return list(select.select(readers, writers, [], timeout)[:2])",
        "returned a value of type list: return a tuple of two lists",
    ),
    "one list": (
        "def ready(readers, writers, timeout): return select.select(readers, writers, [], timeout)[0]",
        "returned a value of type list: return a tuple of two lists",
    ),
    "nothing": ("def ready(readers, writers, timeout): select.select(readers, writers, [], timeout)", "returned None"),
    "forgets the third list": (
        "def ready(readers, writers, timeout): return select.select(readers, writers, timeout)[:2]",
        "ready raised TypeError: ",
    ),
    "no timeout": (
        "def ready(readers, writers, timeout): return select.select(readers, writers, [])[:2]",
        "ready([one, other], [], 0) did not return within 1 s: 0 is to look once and not to wait: it sleeps in line 1",
    ),
    "a falsy timeout is none": (
        "def ready(readers, writers, timeout): return select.select(readers, writers, [], timeout or None)[:2]",
        "ready([one, other], [], 0) did not return within 1 s",
    ),
    "milliseconds": (
        "def ready(readers, writers, timeout): return select.select(readers, writers, [], timeout and timeout * 1000)[:2]",
        "did not return within 1.3 s: `timeout` counts seconds: it sleeps",
    ),
    "never waits": (
        "def ready(readers, writers, timeout): return select.select(readers, writers, [], 0)[:2]",
        "nothing had come, and it did not wait 0.3 s",
    ),
    "looks again and again": (
        """
        def ready(readers, writers, timeout):
            begin = time.monotonic()
            while True:
                readable, writable, _ = select.select(readers, writers, [], 0)
                if readable or writable or timeout is not None and time.monotonic() - begin > timeout:
                    return readable, writable
        """,
        "used the processor while it waited",
    ),
    "the wrong way round": (
        "def ready(readers, writers, timeout): return select.select(writers, readers, [], timeout)[:2]",
        "nothing has come. The second list is [one, other], not []",
    ),
    "numbers for sockets": (
        """
        def ready(readers, writers, timeout):
            readable, writable, _ = select.select([sock.fileno() for sock in readers], writers, [], timeout)
            return readable, writable
        """,
        "returned a list with a value of type int in it: return the sockets",
    ),
    "reads too": (
        """
        def ready(readers, writers, timeout):
            readable, writable, _ = select.select(readers, writers, [], timeout)
            for sock in readable:
                sock.recv(100)
            return readable, writable
        """,
        "the bytes were gone: it only looks",
    ),
    "takes the end for nothing": (
        """
        def ready(readers, writers, timeout):
            readable, writable, _ = select.select(readers, writers, [], timeout)
            return [sock for sock in readable if sock.recv(1, socket.MSG_PEEK)], writable
        """,
        "the end counts as readable (select(2)). The first list is [], not [other]",
    ),
    "empties the caller's list": (
        """
        def ready(readers, writers, timeout):
            readable, writable, _ = select.select(readers, writers, [], timeout)
            for sock in readable:
                readers.remove(sock)
            return readable, writable
        """,
        "changed a list that it was given",
    ),
    "sets non-blocking": (
        """
        def ready(readers, writers, timeout):
            for sock in readers + writers:
                sock.setblocking(False)
            return select.select(readers, writers, [], timeout)[:2]
        """,
        "changed whether it is blocking",
    ),
    "leaves closed sockets to select": (
        "def ready(readers, writers, timeout): return select.select(readers, writers, [], timeout)[:2]",
        "raised ValueError: file descriptor cannot be a negative integer (-1) in line 1",
    ),
    "drops closed sockets": (
        """
        def ready(readers, writers, timeout):
            readers, writers = ([sock for sock in socks if sock.fileno() != -1] for socks in (readers, writers))
            return select.select(readers, writers, [], timeout)[:2]
        """,
        "passed over the closed socket in silence",
    ),
    "looks at the readers only": (
        """
        def ready(readers, writers, timeout):
            for position, sock in enumerate(readers):
                if sock.fileno() == -1:
                    raise ValueError(f"readers[{position}] is closed")
            return select.select(readers, writers, [], timeout)[:2]
        """,
        "Raise a ValueError with writers[0] in its text",
    ),
    "every ValueError means closed": (
        """
        def ready(readers, writers, timeout):
            try:
                return select.select(readers, writers, [], timeout)[:2]
            except ValueError:
                for name, socks in ("readers", readers), ("writers", writers):
                    for position, sock in enumerate(socks):
                        if sock.fileno() == -1 or sock.fileno() > 1000:
                            raise ValueError(f"{name}[{position}] is closed")
        """,
        "select() raises ValueError for numbers from 1024 on too",
    ),
    "None is 10 ms": (
        """
        def ready(readers, writers, timeout):
            for name, socks in ("readers", readers), ("writers", writers):
                for position, sock in enumerate(socks):
                    if sock.fileno() == -1:
                        raise ValueError(f"{name}[{position}] is closed")
            return select.select(readers, writers, [], 0.01 if timeout is None else timeout)[:2]
        """,
        "ready([listener], [], None) returned and nobody had connected",
    ),
}

# A right server, but for what stands in place of these parts.
_PLAIN = """
def select_server(listener):
    listener.setblocking(False)
    conns = {{}}
    while True:
        {wait}
        {accept}
        for sock in readable:
            {read}
        for sock in writable:
            {answer}
        {let_go}
"""
_PARTS = {
    "wait": """
readers = [sock for sock, conn in conns.items() if conn.want_read]
writers = [sock for sock, conn in conns.items() if conn.want_write]
readable, writable = ready([listener, *readers], writers, None)""",
    "accept": """
if listener in readable:
    readable.remove(listener)
    if sock := try_accept(listener):
        conns[sock] = Conn(sock)""",
    "read": "conns[sock].on_readable()",
    "answer": "conns[sock].on_writable()",
    "let_go": """
for sock, conn in list(conns.items()):
    if conn.over:
        del conns[sock]
        sock.close()""",
}


def _with(before: str = "", **other: str) -> str:
    """The source of the right server with other parts in it, and with what stands in front."""
    source = _PLAIN
    for name, part in (_PARTS | other).items():
        line = next(line for line in source.splitlines() if f"{{{name}}}" in line)
        margin = line[: line.index("{")]
        source = source.replace(line, "\n".join(margin + each for each in part.strip("\n").splitlines()))
    return before + source.replace("{{}}", "{}")


# Parts that work on bare sockets, without a Conn.
_BARE = {
    "wait": "readable, writable, _ = select.select([listener, *conns], [sock for sock in conns if conns[sock][1]], [])",
    "accept": """
if listener in readable:
    readable.remove(listener)
    sock, _ = listener.accept()
    sock.setblocking(False)
    conns[sock] = [Lines(), bytearray()]""",
    "read": """
try:
    data = sock.recv(65536)
except ConnectionError:
    data = b""
for line in conns[sock][0].feed(data):
    conns[sock][1] += line.upper() + b"\\n"
if not data:
    gone.add(sock)""",
    "answer": """
try:
    sent = sock.send(conns[sock][1])
    del conns[sock][1][:sent]
except ConnectionError:
    gone.add(sock)
    conns[sock][1].clear()""",
    "let_go": """
for sock in [sock for sock in gone if not conns[sock][1]]:
    gone.remove(sock)
    del conns[sock]
    sock.close()""",
}


def _bare(before: str = "", **other: str) -> str:
    parts = _BARE | other
    parts["wait"] = parts["wait"].replace("*conns]", "*(conns.keys() - gone)]")
    return _with(before, **parts).replace("conns = {}", "conns, gone = {}, set()")


SERVER = {
    "serves one after the other": (
        """
        def select_server(listener):
            while True:
                conn, _ = listener.accept()
                while data := conn.recv(4096):
                    conn.sendall(data.upper())
        """,
        "The first client is silent, and a second one got no answer within 1 s: your server sleeps in line 4, "
        "`while data := conn.recv(4096):`. recv() waits for ONE socket (recv(2))",
    ),
    "waits in accept": (
        """
        def select_server(listener):
            conns = []
            while True:
                sock, _ = listener.accept()
                conns.append(sock)
                for sock in ready(conns, [], 0)[0]:
                    sock.sendall(sock.recv(4096).upper())
        """,
        "sleeps in line 4, `sock, _ = listener.accept()`. accept() waits for ONE socket (accept(2))",
    ),
    "accepts once": (
        _with(
            before="",
            wait="""
first = not conns
readers = [sock for sock, conn in conns.items() if conn.want_read]
writers = [sock for sock, conn in conns.items() if conn.want_write]
readable, writable = ready([listener] * first + readers, writers, None)""",
        ),
        "The client waits in the accept queue: is the listener among those you wait for, in every round?",
    ),
    "returns": ("def select_server(listener): listener.setblocking(False)", "returned; it should serve without end: while True."),
    "returns after the first client": (
        """
        def select_server(listener):
            serve_one(listener.accept()[0])
        """,
        "The first client is silent, and a second one got no answer within 1 s: your server sleeps",
    ),
    "accepts before anybody is there": (
        """
        def select_server(listener):
            listener.setblocking(False)
            sock, _ = listener.accept()
        """,
        "[Errno 11] Resource temporarily unavailable in line 3, `sock, _ = listener.accept()`. Ready is a hint",
    ),
    "takes the pair for the connection": (
        _bare(accept=_BARE["accept"].replace("sock, _ = listener", "sock = listener")),
        "'tuple' object has no attribute 'setblocking' in line ",
    ),
    "hands Conn objects to select": (
        _with(wait="""
readable, writable, _ = select.select([listener, *conns.values()], [], [])"""),
        "select() takes sockets or their numbers, or whatever has a method fileno()",
    ),
    "closes the listener": (
        _with(accept=_PARTS["accept"] + "\n    listener.close()"),
        "Is it the listener that was closed? It must stay open for the next clients.",
    ),
    "closes after one answer": (
        _bare(answer=_BARE["answer"] + "\ngone.add(sock)"),
        "the client got b'', the end. Do you close after the first answer? Close when recv() gives b''.",
    ),
    "no capitals": (
        _bare(read=_BARE["read"].replace("line.upper()", "line")),
        "A client sent b'hello\\n' and got b'hello\\n': answer in capitals.",
    ),
    "no line end": (_bare(read=_BARE["read"].replace(' + b"\\n"', "")), "the answer has no b'\\n' at its end"),
    "greets": (
        _with(accept=_PARTS["accept"] + '\n        sock.send(b"welcome\\n")'),
        "A client sent b'hello\\n' and got b'welcom', not b'HELLO\\n'.",
    ),
    "never answers": (
        _bare(read=_BARE["read"].replace('conns[sock][1] += line.upper() + b"\\n"', "line.upper()")),
        "The client's bytes were read, and the answer was not sent",
    ),
    "works on pieces": (
        """
        def select_server(listener):
            conns = []
            while True:
                for sock in ready([listener, *conns], [], None)[0]:
                    if sock is listener:
                        conns.append(sock.accept()[0])
                    else:
                        sock.sendall(sock.recv(4096).upper())
        """,
        "got b'H': a piece without b'\\n' is not a line yet",
    ),
    "splits each piece": (
        _bare(read=_BARE["read"].replace("conns[sock][0].feed(data)", "Lines().feed(data)")),
        "Its first bytes were lost: keep the unfinished part of a line until the rest has come.",
    ),
    "one Lines for all": (
        _bare("shared = Lines()\n").replace("Lines(), bytearray()]", "shared, bytearray()]"),
        "The two share one buffer: each connection needs its own.",
    ),
    "one outbuf for all": (
        _bare("shared = bytearray()\n").replace("Lines(), bytearray()]", "Lines(), shared]"),
        "Another client got b'HELLO\\n': each connection needs its own buffer for answers.",
    ),
    "answers the last client": (
        _bare(read=_BARE["read"].replace('conns[sock][1] += line', 'list(conns.values())[-1][1] += line')),
        "Another client got b'AGAIN\\n': each connection needs its own buffer for answers.",
    ),
    "all answers of a round to the last client": (
        """
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
                        answers += b"".join(line.upper() + b"\\n" for line in lines[sock].feed(sock.recv(4096)))
                if answers:
                    sock.sendall(answers)
        """,
        "ach connection needs its own buffer for answers.",
    ),
    "reads one byte at a time": (
        _bare(read=_BARE["read"].replace("65536", "1")),
        "your server runs all the time",
    ),
    "one line for each recv": (
        _bare(read=_BARE["read"].replace("conns[sock][0].feed(data):", "conns[sock][0].feed(data)[:1]:")),
        "Two lines arrived together, only the first was answered",
    ),
    "never waits": (
        _with(wait=_PARTS["wait"].replace("None)", "0)")),
        "Nobody talks, yet your server runs all the time (CPU ",
    ),
    "asks everybody": (
        "def select_server(listener): busy_server(listener)",
        "Nobody talks, yet your server runs all the time (CPU ",
    ),
    "everybody is a writer": (
        _with(wait=_PARTS["wait"].replace(" if conn.want_write", "")),
        "a socket with nothing to send is writable nearly always",
    ),
    "stays a writer": (
        _bare(
            read=_BARE["read"] + "\nwriters.add(sock)",
            wait="readable, writable, _ = select.select([listener, *conns], writers, [])",
            let_go=_BARE["let_go"] + "\n    writers.discard(sock)",
        ).replace("gone = {}, set()", "gone, writers = {}, set(), set()"),
        "Nobody talks, yet your server runs all the time (CPU ",
    ),
    "looks, then sleeps": (
        _with(wait=_PARTS["wait"].replace("None)", "0)") + "\ntime.sleep(0.2)"),
        "Nobody talks, and your server sleeps in line 8, `time.sleep(0.2)`, where no client can wake it",
    ),
    "looks, then sleeps for long": (
        _with(wait=_PARTS["wait"].replace("None)", "0)") + "\ntime.sleep(2)"),
        "`time.sleep(2)`. No client can wake it there",
    ),
    "a thread for each client": (
        """
        def select_server(listener):
            while True:
                conn, _ = listener.accept()
                threading.Thread(target=serve_one, args=(conn,)).start()
        """,
        "started a thread",
    ),
    "a process for each client": (
        """
        def select_server(listener):
            while True:
                conn, _ = listener.accept()
                if not os.fork():
                    serve_one(conn)
                    os._exit(0)
        """,
        "started another process (fork?)",
    ),
    "does not look at b''": (
        _bare(read=_BARE["read"].replace("if not data:\n    gone.add(sock)", "")),
        "stay open: your server runs all the time (CPU ",
    ),
    "never closes": (
        _bare(let_go=""),
        "half-closed and got all their answers, and the connections of clients 1, 2, 3, 4 and 5 stay open: your server sleeps",
    ),
    "forgets, and does not close": (
        _with("kept = []\n", let_go=_PARTS["let_go"].replace("sock.close()", "kept.append(sock)")),
        "When recv() has given b'' and all answers are sent, close the socket",
    ),
    "closes, and does not forget": (
        _with(let_go=_PARTS["let_go"].replace("del conns[sock]\n        ", "")),
        "Your server has closed its connections, and still keeps 26 of them in a list, a dict or a set",
    ),
    "closes, and stays in the list of ready": (
        _with(
            wait=_PARTS["wait"].replace(" if conn.want_read", ""),
            let_go=_PARTS["let_go"].replace("del conns[sock]\n        ", ""),
        ),
        "A client finished sending and your server died: select_server raised ValueError: readers[",
    ),
    "closes, and stays in the list of select": (
        _bare(let_go=_BARE["let_go"].replace("    del conns[sock]\n", "")),
        "A client finished sending and your server died: select_server raised ValueError: file descriptor cannot be ",
    ),
    "closes on b'', with answers unsent": (
        _bare(read=_BARE["read"].replace("if not data:", "if not data:\n    conns[sock][1].clear()")),
        "half-closed, and got 0 of 3 answers, then the end: b'' says that it sends no more, but it still reads",
    ),
    "closes on b'', with a long answer unsent": (
        _bare(read=_BARE["read"] + """
    try:
        sock.send(conns[sock][1])
    except OSError:
        pass
    conns[sock][1].clear()"""),
        "and half-closed, read slowly, and got ",
    ),
    "removes from the list it loops over": (
        _with(
            accept=_PARTS["accept"] + "\n        order.append(conns[sock])",
            let_go="""
for conn in order:
    if conn.over:
        order.remove(conn)
        del conns[conn.sock]
        conn.sock.close()""",
        ).replace("conns = {}", "conns, order = {}, []"),
        "and the connections of clients 2 and 4 stay open",
    ),
    "deletes from the dict it loops over": (
        _with(let_go=_PARTS["let_go"].replace("list(conns.items())", "conns.items()")),
        "Do not add or remove while a loop goes over it: loop over a copy, list(...).",
    ),
    "deletes by index": (
        _with(
            accept=_PARTS["accept"] + "\n        order.append(conns[sock])",
            let_go="""
for i in range(len(order)):
    if order[i].over:
        conn = order.pop(i)
        del conns[conn.sock]
        conn.sock.close()""",
        ).replace("conns = {}", "conns, order = {}, []"),
        "IndexError: list index out of range in line ",
    ),
    "forgets it twice": (
        _bare(read=_BARE["read"].replace("gone.add(sock)", "del conns[sock]\n    sock.close()")),
        "This connection was forgotten before: one socket can be readable and writable in the same round.",
    ),
    "removes it twice": (
        """
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
                        unsent[sock] += b"".join(line.upper() + b"\\n" for line in lines[sock].feed(data))
                    else:
                        conns.remove(sock)
                for sock in writable:
                    unsent[sock] = unsent[sock][sock.send(unsent[sock]):]
                    if sock not in conns or not unsent[sock] and not lines[sock]:
                        conns.remove(sock)
        """,
        "It was taken out before: one socket can be readable and writable in the same round.",
    ),
    "uses it after close": (
        _bare(
            read=_BARE["read"].replace("    gone.add(sock)", "    gone.add(sock)\n    sock.close()"),
        ),
        "You used a socket after you had closed it: forget it in the same moment.",
    ),
    "no except for a reset": (
        _bare(read="data = sock.recv(65536)" + _BARE["read"].partition('data = b""')[2]),
        "A client crashed (its connection was reset) and your server died: ConnectionResetError ended your server in line ",
    ),
    "no except for a reset while sending": (
        _bare(answer="del conns[sock][1][:sock.send(conns[sock][1])]"),
        "ended your server in line ",
    ),
    "asks for the peer's name": (
        _with(accept=_PARTS["accept"] + "\n        sock.getpeername()"),
        "Its client has gone already, perhaps before accept() came to it.",
    ),
    "hides every error": (
        _bare(
            read="""
try:
    data = sock.recv(65536)
    for line in conns[sock][0].feed(data):
        conns[sock][1] += line.upper() + b"\\n"
    if not data:
        gone.add(sock)
except:
    pass""",
            answer="""
try:
    sent = sock.send(conns[sock][1])
    del conns[sock][1][:sent]
except:
    pass""",
        ),
        "runs all the time (CPU ",
    ),
    "sendall on blocking sockets": (
        _bare(
            accept=_BARE["accept"].replace("    sock.setblocking(False)\n", ""),
            answer="sock.sendall(conns[sock][1])\nconns[sock][1].clear()",
        ),
        "ended your server in line ",
    ),
    "sendall on blocking sockets, with except": (
        _bare(
            accept=_BARE["accept"].replace("    sock.setblocking(False)\n", ""),
            answer="try:\n    sock.sendall(conns[sock][1])\nexcept ConnectionError:\n    pass\nconns[sock][1].clear()",
        ),
        "does not read its long answer, and meanwhile another one got no answer within 1 s: your server sleeps in line ",
    ),
    "sendall on non-blocking sockets": (
        _bare(answer="try:\n    sock.sendall(conns[sock][1])\nexcept ConnectionError:\n    pass\nconns[sock][1].clear()"),
        "When sendall() fails, nobody knows how much went out",
    ),
    "sends until all is out": (
        _bare(answer="""
while conns[sock][1]:
    try:
        del conns[sock][1][:sock.send(conns[sock][1])]
    except BlockingIOError:
        pass
    except ConnectionError:
        conns[sock][1].clear()
        gone.add(sock)"""),
        "meanwhile another one got no answer within 1 s: your server runs all the time (CPU ",
    ),
    "ignores what send returns": (
        _bare(answer="try:\n    sock.send(conns[sock][1])\nexcept ConnectionError:\n    gone.add(sock)\nconns[sock][1].clear()"),
        "came back: send() takes what fits and returns how much (send(2))",
    ),
    "sends all again": (
        _bare(answer="""
try:
    sent = sock.send(conns[sock][1])
    if sent == len(conns[sock][1]):
        conns[sock][1].clear()
except ConnectionError:
    conns[sock][1].clear()
    gone.add(sock)"""),
        "other bytes came back, or the same ones twice",
    ),
    "asks for readable after the end": (
        _bare(wait=_BARE["wait"].replace("[listener, *conns]", "[listener] + list(conns)")),
        "after b'' do not ask for readable any more",
    ),
}

LIMIT = {
    "a number from the notes": ("def fd_limit(): return 1024", "select.select() was not called once: find it by trying"),
    "a number from the notes, and one call": (
        """
        def fd_limit():
            select.select([], [], [], 0)
            return 1024
        """,
        "fd_limit returned 1024, and select() refused nothing that you gave it: go on with higher numbers.",
    ),
    "looks at one number only": (
        """
        def fd_limit():
            with socket.socket() as sock:
                number = fcntl.fcntl(sock, fcntl.F_DUPFD, 1024)
                try:
                    wait([number], [], [], 0)
                except ValueError:
                    return number
                finally:
                    os.close(number)
        """,
        "the highest number that select() took from you was None, the lowest that it refused 1024. These two must be neighbours.",
    ),
    "doubles": (
        """
        def fd_limit():
            number = 8
            with socket.socket() as sock:
                while True:
                    number = fcntl.fcntl(sock, fcntl.F_DUPFD, number * 2)
                    try:
                        select.select([number], [], [], 0)
                    except ValueError:
                        return number
                    finally:
                        os.close(number)
        """,
        "the highest number that select() took from you was ",
    ),
    "opens 1024 sockets": (
        """
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
        """,
        "You found 1024 by counting: ",
    ),
    "watches 1024 sockets": (
        """
        def fd_limit():
            socks = []
            while True:
                socks.append(socket.socket())
                try:
                    select.select(socks, [], [], 0)
                except ValueError:
                    return len(socks)
        """,
        " entries in one call. Is it their count or a number that it refuses? Find it with ONE socket: fcntl.fcntl(sock, ",
    ),
    "one socket many times in the list": (
        """
        def fd_limit():
            with socket.socket() as sock:
                for count in range(5000):
                    try:
                        select.select([sock] * count, [], [], 0)
                    except ValueError:
                        return count
        """,
        "You found 1025 by counting: you gave select() 1025 entries in one call.",
    ),
    "the last that is taken": (
        """
        def fd_limit():
            with socket.socket() as sock:
                number = 10
                while True:
                    copy = fcntl.fcntl(sock, fcntl.F_DUPFD, number)
                    try:
                        select.select([copy], [], [], 0)
                    except ValueError:
                        return number - 1
                    finally:
                        os.close(copy)
                    number = copy + 1
        """,
        "1023 is the last number that select() takes: asked is the first that it refuses.",
    ),
    "the limit of the process": (
        """
        def fd_limit():
            select.select([], [], [], 0)
            return resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        """,
        "3000 is how many descriptors this process may open (RLIMIT_NOFILE, getrlimit(2)), and select() refused none.",
    ),
    "opens until the kernel refuses": (
        """
        def fd_limit():
            socks = []
            while True:
                socks.append(socket.socket())
        """,
        "The kernel refused, not select(): OSError: [Errno 24] Too many open files in line 4",
    ),
    "asks poll": (
        """
        def fd_limit():
            with socket.socket() as sock:
                poll = select.poll()
                poll.register(fcntl.fcntl(sock, fcntl.F_DUPFD, 1500))
                poll.poll(0)
                return 1500
        """,
        "select.select() was not called once",
    ),
    "leaves the copies open": (
        """
        def fd_limit():
            with socket.socket() as sock:
                for number in range(1000, 2000):
                    copy = fcntl.fcntl(sock, fcntl.F_DUPFD, number)
                    try:
                        select.select([copy], [], [], 0)
                    except ValueError:
                        return copy
        """,
        "fd_limit left 25 descriptors open: close each copy (os.close) before the next.",
    ),
    "the error comes through": (
        """
        def fd_limit():
            with socket.socket() as sock:
                for number in range(10, 2000):
                    copy = fcntl.fcntl(sock, fcntl.F_DUPFD, number)
                    select.select([copy], [], [], 0)
                    os.close(copy)
        """,
        "fd_limit raised ValueError: filedescriptor out of range in select() in line 5, `select.select([copy], [], [], 0)`. "
        "That is the refusal: catch it, and return the number.",
    ),
    "forgets to return it": (
        """
        def fd_limit():
            with socket.socket() as sock:
                for number in range(10, 2000):
                    copy = fcntl.fcntl(sock, fcntl.F_DUPFD, number)
                    try:
                        select.select([copy], [], [], 0)
                    except ValueError:
                        break
                    finally:
                        os.close(copy)
        """,
        "fd_limit returned None: return the number, an int.",
    ),
    "never ends": (
        """
        def fd_limit():
            number = 0
            while True:
                try:
                    select.select([number], [], [], 0)
                except ValueError:
                    pass
                number += 0
        """,
        "fd_limit() did not return within 2 s: it runs all the time",
    ),
    "a number that is not open": (
        """
        def fd_limit():
            number = 900
            while True:
                try:
                    select.select([number], [], [], 0)
                except ValueError:
                    return number
                number += 1
        """,
        "No descriptor has this number: give one to a socket first, fcntl.fcntl(sock, fcntl.F_DUPFD, number).",
    ),
    "every error is a refusal": (
        """
        def fd_limit():
            number = 5
            while True:
                try:
                    select.select([number], [], [], 0)
                except Exception:
                    return number
                number += 1
        """,
        "fd_limit returned ",
    ),
}

# A right chat, but for what stands in place of these parts.
_CHAT = {
    "wait": "readable, writable = ready([listener, *inbuf], [sock for sock in outbuf if outbuf[sock]], None)",
    "accept": """
if listener in readable:
    readable.remove(listener)
    if sock := try_accept(listener):
        inbuf[sock], outbuf[sock] = Lines(), bytearray()""",
    "read": """
data = try_recv(sock, 4096)
if data == b"":
    gone.add(sock)
for line in inbuf[sock].feed(data or b""):
    for other in outbuf:
        if other is not sock:
            outbuf[other] += line + b"\\n"
""",
    "answer": """
try:
    del outbuf[sock][:sock.send(outbuf[sock])]
except BlockingIOError:
    pass
except ConnectionError:
    gone.add(sock)""",
    "let_go": """
gone |= {sock for sock in outbuf if len(outbuf[sock]) > 65536}
for sock in gone:
    del inbuf[sock], outbuf[sock]
    sock.close()
gone = set()""",
}


def _chat(before: str = "", **other: str) -> str:
    source = _with(before, **(_CHAT | other))
    return source.replace("select_server", "chat").replace("conns = {}", "inbuf, outbuf, gone = {}, {}, set()")


CHAT = {
    "no limit": (
        _chat(let_go=_CHAT["let_go"].replace("gone |= {sock for sock in outbuf if len(outbuf[sock]) > 65536}", "")),
        "Eve never reads, and after 4 MB the memory of your server grew by ",
    ),
    "drops what is over the limit": (
        _chat(let_go=_CHAT["let_go"].replace(
            "gone |= {sock for sock in outbuf if len(outbuf[sock]) > 65536}",
            "for buffer in outbuf.values():\n    del buffer[65536:]",
        )),
        "Eve never reads, and after 4 MB she is still there: what she should have got is lost.",
    ),
    "waits for the slow one": (
        _chat(wait="""
full = any(len(buffer) > 65536 for buffer in outbuf.values())
readable, writable = ready([] if full else [listener, *inbuf], [sock for sock in outbuf if outbuf[sock]], None)""",
        let_go=_CHAT["let_go"].replace("gone |= {sock for sock in outbuf if len(outbuf[sock]) > 65536}", "")),
        " bytes, nothing more within 1 s: your server sleeps in line ",
    ),
    "sendall": (
        _chat(
            accept=_CHAT["accept"] + "\n        sock.setblocking(True)",
            read=_CHAT["read"].replace(
                'outbuf[other] += line + b"\\n"',
                'try: other.sendall(line + b"\\n")\n            except ConnectionError: gone.add(other)',
            ),
        ),
        "Eve does not read; Ann sent lines, and ",
    ),
    "back to the sender too": (
        _chat(read=_CHAT["read"].replace("other is not sock", "True")),
        "a line goes to all OTHERS.",
    ),
    "to the sender only": (
        _chat(read=_CHAT["read"].replace("other is not sock", "other is sock")),
        "Ann sent a line and got b'Ann is here\\n' back: a line goes to all OTHERS.",
    ),
    "capitals": (_chat(read=_CHAT["read"].replace("line +", "line.upper() +")), "got it in capitals: hand the line on as it is."),
    "no line end": (_chat(read=_CHAT["read"].replace('line + b"\\n"', "line")), "got it without b'\\n' at its end"),
    "pieces": (
        _chat(read=_CHAT["read"].replace('inbuf[sock].feed(data or b"")', "[data or b'']").replace('line + b"\\n"', "line")),
        "hand on whole lines only, and keep one buffer for each client (Lines).",
    ),
    "one Lines for all": (
        _chat("shared = Lines()\n", accept=_CHAT["accept"].replace("Lines()", "shared")),
        "keep one buffer for each client (Lines).",
    ),
    "one outbuf for all": (
        _chat("shared = bytearray()\n", accept=_CHAT["accept"].replace("bytearray()", "shared")),
        "do all clients share one buffer? Each one needs its own.",
    ),
    "never waits": (
        _chat(wait=_CHAT["wait"].replace("None)", "0)")),
        "Five clients are there and nobody talks, yet your server runs all the time",
    ),
    "lets go while it loops": (
        _chat(read=_CHAT["read"].replace("gone.add(sock)", "del inbuf[sock], outbuf[sock]\n    sock.close()\n    continue")),
        "A client left and your server died: ",
    ),
    "never lets go": (
        _chat(read=_CHAT["read"].replace("gone.add(sock)", "pass")),
        "Two clients left, and ",
    ),
    "a reset ends it": (
        _chat(read=_CHAT["read"].replace("try_recv(sock, 4096)", "sock.recv(4096)")),
        "ended your server in line ",
    ),
    "returns": ("def chat(listener): pass", "chat returned; it should serve without end"),
    "answers like select_server": ("def chat(listener): busy_server(listener)", "Ann sent a line and got b'ANN IS HERE\\n' back"),
}

CASES = {"4.1": READY, "4.2": SERVER, "4.3": LIMIT, "4.4": CHAT}
