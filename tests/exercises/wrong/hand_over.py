"""Typical wrong solutions of 9.3, each with words of the message that names its cause."""

from exercises.case import case, changed, right

IMPORTS = """
import array, json, os, pickle, select, socket, struct, time
"""

BOTH = changed(right("9.3"), {
    "_, notes, _, _ = unix_sock.recvmsg(1, socket.CMSG_LEN(4), socket.MSG_CMSG_CLOEXEC)\nif not notes:":
        "data, numbers, flags, address = socket.recv_fds(unix_sock, 1, 1)\nif not numbers:",
    "number = int.from_bytes(notes[0][2], sys.byteorder)\nlistener = socket.socket(fileno=number)":
        "listener = socket.socket(fileno=numbers[0])",
    "listener.setblocking(False)": "listener.setblocking(False)\nlistener.set_inheritable(False)",
})  # fmt: skip

# The address goes, and not the descriptor.
ADDRESS = """
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
"""

CASES = {
    "9.3": [
        # close first
        case("the address, bound anew", "The listener need not be bound anew", ADDRESS),
        case("closes first, then the new one starts",
             "100 of 100 clients that came in the middle of the change were refused",
             ADDRESS, {"if not unix_sock.recv(1):\n    raise ConnectionError\nlistener.close()\nunix_sock.sendall(b\"go\")": "listener.close()",
             'unix_sock.sendall(b"L")\nunix_sock.recv(2)': ""}),
        case("bound anew while the old one listens", "bound anew",
             BOTH, {"listener = socket.socket(fileno=numbers[0])": """
                 name = socket.socket(fileno=numbers[0]).getsockname()
                 listener = socket.socket()
                 listener.bind(name)
                 listener.listen()
             """}),
        case("closed before it is sent", "A number means a descriptor in its own process only",
             BOTH, {"def hand_over(listener, unix_sock):": "def hand_over(listener, unix_sock):\n    listener.close()"}),
        # the number
        case("sends the number", "A number means a descriptor in its own process only",
             BOTH, {'socket.send_fds(unix_sock, [b"L"], [listener.fileno()])': "unix_sock.sendall(str(listener.fileno()).encode())",
             "data, numbers, flags, address = socket.recv_fds(unix_sock, 1, 1)\nif not numbers:": "numbers = [int(unix_sock.recv(10) or -1)]\nif numbers[0] < 0:"}),
        case("sends a pickle", "A socket is no data",
             BOTH, {'socket.send_fds(unix_sock, [b"L"], [listener.fileno()])': "unix_sock.sendall(pickle.dumps(listener))"}),
        case("sends no byte", "a descriptor goes with at least one byte, or not at all", BOTH, {'[b"L"]': '[b""]'}),
        case("sends the socket", "a list of bytes, and a list of numbers", BOTH, {".fileno()": ""}),
        case("no list", "a list of bytes, and a list of numbers", BOTH, {"[listener.fileno()]": "listener.fileno()"}),
        # who has it
        case("does not wait for the word", "the new process had not taken it yet",
             BOTH, {'if not unix_sock.recv(1):\n    raise ConnectionError("the new process has gone: the listener stays here")': ""}),
        case("ignores that nobody took it", "raise ConnectionError then, before you close",
             BOTH, {'if not unix_sock.recv(1):\n    raise ConnectionError("the new process has gone: the listener stays here")': "unix_sock.recv(1)"}),
        case("returns when nobody took it", "the listener is still open",
             BOTH, {'raise ConnectionError("the new process has gone: the listener stays here")': "return"}),
        case("closes in any case", "it has closed the listener",
             BOTH, {'socket.send_fds(unix_sock, [b"L"], [listener.fileno()])\n...\nlistener.close()': """
                 with listener:
                     socket.send_fds(unix_sock, [b"L"], [listener.fileno()])
                     if not unix_sock.recv(1):
                         raise ConnectionError
             """}),
        case("ready comes first", "the new process had not taken it yet",
             BOTH, {'socket.send_fds(unix_sock, [b"L"], [listener.fileno()])': "",
             "listener.close()": 'socket.send_fds(unix_sock, [b"L"], [listener.fileno()])\nlistener.close()',
             "def take_over(unix_sock):": 'def take_over(unix_sock):\n    unix_sock.sendall(b"R")',
             "try:\n...\n    pass": ""}),
        case("never says that it has it", "What it waits for, take_over must send", BOTH, {"try:\n...\n    pass": ""}),
        case("does not close", "the old process still has the listener", BOTH, {"listener.close()": ""}),
        case("detaches", "the old process still has the listener", BOTH, {"listener.close()": "listener.detach()"}),
        case("shuts it down, then closes", "close() gives up the own copy only",
             BOTH, {"listener.close()": "listener.shutdown(socket.SHUT_RDWR)\nlistener.close()"}),
        case("shuts it down first", "close() gives up the own copy only",
             BOTH, {"(listener, unix_sock):": "(listener, unix_sock):\n    listener.shutdown(socket.SHUT_RDWR)"}),
        case("shuts it down when it is taken", "close() gives up the own copy only",
             BOTH, {"listener.close()": "listener.shutdown(socket.SHUT_RD)\nlistener.close()"}),
        # the new process
        case("nothing came", "look whether a descriptor has come",
             BOTH, {'if not numbers:\n    raise ConnectionError("the old process has gone, and no listener came")': ""}),
        case("nothing came, and returns None", "take_over returned None: raise ConnectionError",
             BOTH, {'raise ConnectionError("the old process has gone, and no listener came")': "return None"}),
        case("unpacks one", "look whether a descriptor has come",
             BOTH, {"""
                 if not numbers:
                     raise ConnectionError("the old process has gone, and no listener came")
                 listener = socket.socket(fileno=numbers[0])
             """: "[number] = numbers\nlistener = socket.socket(fileno=number)"}),
        case("reads bytes only", "A number means a descriptor in its own process only",
             BOTH, {"data, numbers, flags, address = socket.recv_fds(unix_sock, 1, 1)": "numbers = list(unix_sock.recv(1))"}),
        case("no room for a descriptor", "makes room for maxfds descriptors, 1 at least",
             BOTH, {"(unix_sock, 1, 1)": "(unix_sock, 1, 0)"}),
        case("returns the number", "take_over returned a number: return a socket",
             BOTH, {"return listener": "return listener.detach()"}),
        case("no return", "take_over returned None", BOTH, {"return listener": ""}),
        case("in a with", "a socket that is closed", BOTH, {"return listener": "with listener:\n    return listener"}),
        case("fromfd", "makes another copy",
             BOTH, {"socket.socket(fileno=numbers[0])": "socket.fromfd(numbers[0], socket.AF_INET, socket.SOCK_STREAM)"}),
        case("blocking", "This flag belongs to the socket itself", BOTH, {".setblocking(False)": ".setblocking(True)"}),
        case("a timeout", "the Python object does not know it", BOTH, {"listener.setblocking(False)": "listener.settimeout(1)"}),
        case("does not tell the object", "the Python object does not know it", BOTH, {"listener.setblocking(False)": ""}),
        case("an answer that nobody hears", "take_over raised BrokenPipeError: the listener has come; return it",
             BOTH, {'try:\n    unix_sock.sendall(b"L")\nexcept ConnectionError:\n    pass': 'unix_sock.sendall(b"L")'}),
        case("a socket of another family", "take_over made an AF_UNIX socket of the number, and it is AF_INET",
             BOTH, {"socket.socket(fileno=numbers[0])": "socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, fileno=numbers[0])"}),
    ],
}

RIGHT = {
    "9.3": [
        case("programs may inherit it", "may inherit the listener", BOTH, {"listener.set_inheritable(False)": ""}),
        case("by hand", "", """
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
        """),
    ],
}
