"""Typical wrong solutions of 9.3, each with words of the message that names its cause."""

from exercises.wrong.polling import changed

IMPORTS = """
import array, json, os, pickle, select, socket, struct, time
"""

HAND_OVER = """
def hand_over(listener, unix_sock):
    socket.send_fds(unix_sock, [b"L"], [listener.fileno()])
    if not unix_sock.recv(1):
        raise ConnectionError("the new process has gone")
    listener.close()
"""

TAKE_OVER = """
def take_over(unix_sock):
    data, numbers, flags, address = socket.recv_fds(unix_sock, 1, 1)
    if not numbers:
        raise ConnectionError("the old process has gone")
    listener = socket.socket(fileno=numbers[0])
    listener.setblocking(False)
    listener.set_inheritable(False)
    try:
        unix_sock.sendall(b"L")
    except ConnectionError:
        pass
    return listener
"""

_SEND = '    socket.send_fds(unix_sock, [b"L"], [listener.fileno()])\n'
_WORD = '    if not unix_sock.recv(1):\n        raise ConnectionError("the new process has gone")\n'
_RECV = "    data, numbers, flags, address = socket.recv_fds(unix_sock, 1, 1)\n"
_NONE = '    if not numbers:\n        raise ConnectionError("the old process has gone")\n'
_MAKE = "    listener = socket.socket(fileno=numbers[0])\n"
_SAY = '    try:\n        unix_sock.sendall(b"L")\n    except ConnectionError:\n        pass\n'
_NON_BLOCKING = "    listener.setblocking(False)\n"

_NUMBER = "A number means a descriptor in its own process only"
_LEFT_OPEN = "raise ConnectionError then, before you close"


def hands(*changes: tuple[str, str]) -> str:
    return changed(HAND_OVER, *changes) + TAKE_OVER


def takes(*changes: tuple[str, str]) -> str:
    return HAND_OVER + changed(TAKE_OVER, *changes)


def both(hand: list[tuple[str, str]], take: list[tuple[str, str]]) -> str:
    return changed(HAND_OVER, *hand) + changed(TAKE_OVER, *take)


HAND_OVER_CASES = {
    # close first
    "the address, bound anew": (
        """
        def hand_over(listener, unix_sock):
            host, port = listener.getsockname()
            unix_sock.sendall(json.dumps([host, port]).encode())
            if not unix_sock.recv(1):
                raise ConnectionError
            listener.close()
            unix_sock.sendall(b"go")
        def take_over(unix_sock):
            data = unix_sock.recv(100)
            if not data:
                raise ConnectionError
            unix_sock.sendall(b"L")
            unix_sock.recv(2)
            listener = socket.socket()
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(tuple(json.loads(data)))
            listener.listen()
            listener.setblocking(False)
            return listener
        """,
        "The listener need not be bound anew",
    ),
    "closes first, then the new one starts": (
        """
        def hand_over(listener, unix_sock):
            host, port = listener.getsockname()
            unix_sock.sendall(json.dumps([host, port]).encode())
            listener.close()
        def take_over(unix_sock):
            data = unix_sock.recv(100)
            if not data:
                raise ConnectionError
            listener = socket.socket()
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(tuple(json.loads(data)))
            listener.listen()
            listener.setblocking(False)
            return listener
        """,
        "100 of 100 clients that came in the middle of the change were refused",
    ),
    "bound anew while the old one listens": (
        takes(
            (
                _MAKE,
                "    name = socket.socket(fileno=numbers[0]).getsockname()\n"
                "    listener = socket.socket()\n"
                "    listener.bind(name)\n"
                "    listener.listen()\n",
            )
        ),
        "bound anew",
    ),
    "closed before it is sent": (hands((_SEND, "    listener.close()\n" + _SEND)), _NUMBER),
    # the number
    "sends the number": (
        both(
            [(_SEND, "    unix_sock.sendall(str(listener.fileno()).encode())\n")],
            [(_RECV, "    numbers = [int(unix_sock.recv(10) or -1)]\n"), ("not numbers", "numbers[0] < 0")],
        ),
        _NUMBER,
    ),
    "sends a pickle": (both([(_SEND, "    unix_sock.sendall(pickle.dumps(listener))\n")], []), "A socket is no data"),
    "sends no byte": (hands(('[b"L"]', '[b""]')), "a descriptor goes with at least one byte, or not at all"),
    "sends the socket": (hands(("[listener.fileno()]", "[listener]")), "a list of bytes, and a list of numbers"),
    "no list": (hands(("[listener.fileno()]", "listener.fileno()")), "a list of bytes, and a list of numbers"),
    # who has it
    "does not wait for the word": (hands((_WORD, "")), "the new process had not taken it yet"),
    "ignores that nobody took it": (hands((_WORD, "    unix_sock.recv(1)\n")), _LEFT_OPEN),
    "returns when nobody took it": (
        hands(('raise ConnectionError("the new process has gone")', "return")),
        "the listener is still open",
    ),
    "closes in any case": (
        """
        def hand_over(listener, unix_sock):
            with listener:
                socket.send_fds(unix_sock, [b"L"], [listener.fileno()])
                if not unix_sock.recv(1):
                    raise ConnectionError
        """.replace("\n        ", "\n")
        + TAKE_OVER,
        "it has closed the listener",
    ),
    "ready comes first": (
        both(
            [(_SEND, ""), (_WORD, _WORD + _SEND)],
            [(_RECV, '    unix_sock.sendall(b"R")\n' + _RECV), (_SAY, "")],
        ),
        "the new process had not taken it yet",
    ),
    "never says that it has it": (takes((_SAY, "")), "What it waits for, take_over must send"),
    "does not close": (hands(("    listener.close()\n", "")), "the old process still has the listener"),
    "detaches": (hands(("listener.close()", "listener.detach()")), "the old process still has the listener"),
    "shuts it down, then closes": (
        hands(("    listener.close()", "    listener.shutdown(socket.SHUT_RDWR)\n    listener.close()")),
        "close() gives up the own copy only",
    ),
    "shuts it down first": (
        hands((_SEND, "    listener.shutdown(socket.SHUT_RDWR)\n" + _SEND)),
        "close() gives up the own copy only",
    ),
    "shuts it down when it is taken": (
        hands((_WORD, _WORD + "    listener.shutdown(socket.SHUT_RD)\n")),
        "close() gives up the own copy only",
    ),
    # the new process
    "nothing came": (takes((_NONE, "")), "look whether a descriptor has come"),
    "nothing came, and returns None": (
        takes(('raise ConnectionError("the old process has gone")', "return None")),
        "take_over returned None: raise ConnectionError",
    ),
    "unpacks one": (
        takes((_NONE, ""), (_MAKE, "    [number] = numbers\n    listener = socket.socket(fileno=number)\n")),
        "look whether a descriptor has come",
    ),
    "reads bytes only": (takes((_RECV, "    numbers = list(unix_sock.recv(1))\n")), _NUMBER),
    "no room for a descriptor": (
        takes(("recv_fds(unix_sock, 1, 1)", "recv_fds(unix_sock, 1, 0)")),
        "makes room for maxfds descriptors, 1 at least",
    ),
    "returns the number": (takes(("return listener", "return listener.detach()")), "take_over returned a value of type int"),
    "no return": (takes(("    return listener\n", "")), "take_over returned None"),
    "in a with": (takes(("    return listener\n", "    with listener:\n        return listener\n")), "a socket that is closed"),
    "fromfd": (
        takes((_MAKE, "    listener = socket.fromfd(numbers[0], socket.AF_INET, socket.SOCK_STREAM)\n")),
        "makes another copy",
    ),
    "blocking": (takes(("setblocking(False)", "setblocking(True)")), "This flag belongs to the socket itself"),
    "a timeout": (takes(("setblocking(False)", "settimeout(1)")), "the Python object does not know it"),
    "does not tell the object": (takes((_NON_BLOCKING, "")), "the Python object does not know it"),
}

RIGHT = {
    "by hand": """
def hand_over(listener, unix_sock):
    unix_sock.sendmsg([b"take it"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [listener.fileno()]))])
    if unix_sock.recv(10) != b"thanks":
        raise ConnectionError
    listener.close()

def take_over(unix_sock):
    data, ancillary, flags, address = unix_sock.recvmsg(100, socket.CMSG_LEN(4), socket.MSG_CMSG_CLOEXEC)
    if not ancillary:
        raise ConnectionError
    [number] = struct.unpack("i", ancillary[0][2])
    listener = socket.socket(fileno=number)
    listener.settimeout(0)
    try:
        unix_sock.sendall(b"thanks")
    except BrokenPipeError:
        pass
    return listener
""",
}

CASES = {"9.3": HAND_OVER_CASES}
