"""Typical wrong solutions of 9.2, each with words of the message that names its cause."""

from exercises.wrong.polling import changed

IMPORTS = """
import multiprocessing, os, select, signal, socket, subprocess, sys, threading, time, traceback
"""

LISTENERS = """
def open_listeners(number, port=0):
    listeners = []
    for _ in range(number):
        listener = socket.socket()
        listeners.append(listener)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen()
        port = listener.getsockname()[1]
    return listeners
"""

# A parent with os.wait() and a handler that raises: the other way to write it.
PREFORK = """
class Stop(BaseException):
    pass

def prefork(listeners, serve):
    workers = {}
    def stop(*_):
        raise Stop
    def start(listener):
        pid = os.fork()
        if pid == 0:
            try:
                signal.signal(signal.SIGTERM, signal.SIG_DFL)
                for other in listeners:
                    if other is not listener:
                        other.close()
                serve(listener)
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(1)
        workers[pid] = listener
    signal.signal(signal.SIGTERM, stop)
    try:
        for listener in listeners:
            start(listener)
        while True:
            pid, _ = os.wait()
            start(workers.pop(pid))
    except Stop:
        pass
    finally:
        for pid in workers:
            os.kill(pid, signal.SIGTERM)
        for pid in workers:
            os.waitpid(pid, 0)
        for listener in listeners:
            listener.close()
"""

# As the reference does it: signals are blocked, and taken by sigwait().
SIGWAIT = """
def prefork(listeners, serve):
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD, signal.SIGTERM})
    workers = {}
    def start(listener):
        pid = os.fork()
        if pid == 0:
            try:
                signal.pthread_sigmask(signal.SIG_SETMASK, mask)
                for other in listeners:
                    if other is not listener:
                        other.close()
                serve(listener)
            finally:
                os._exit(1)
        workers[pid] = listener
    for listener in listeners:
        start(listener)
    while signal.sigwait({signal.SIGCHLD, signal.SIGTERM}) == signal.SIGCHLD:
        while pid := os.waitpid(-1, os.WNOHANG)[0]:
            start(workers.pop(pid))
    for pid in workers:
        os.kill(pid, signal.SIGTERM)
    for pid in workers:
        os.waitpid(pid, 0)
    for listener in listeners:
        listener.close()
"""

PROCESSES = """
def prefork(listeners, serve):
    def work(listener):
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        for other in listeners:
            if other is not listener:
                other.close()
        serve(listener)
    def start(listener):
        worker = multiprocessing.Process(target=work, args=(listener,))
        worker.start()
        return worker
    over = False
    def stop(*_):
        nonlocal over
        over = True
        raise KeyboardInterrupt
    signal.signal(signal.SIGTERM, stop)
    workers = {listener: start(listener) for listener in listeners}
    try:
        while True:
            multiprocessing.connection.wait([worker.sentinel for worker in workers.values()])
            for listener, worker in list(workers.items()):
                if not worker.is_alive():
                    worker.join()
                    worker.close()
                    workers[listener] = start(listener)
    except KeyboardInterrupt:
        for worker in workers.values():
            worker.terminate()
        for worker in workers.values():
            worker.join()
            worker.close()
        for listener in listeners:
            listener.close()
"""

_CHILD = "                serve(listener)\n"
_DEFAULT = "                signal.signal(signal.SIGTERM, signal.SIG_DFL)\n"
_CLOSES = """\
                for other in listeners:
                    if other is not listener:
                        other.close()
"""
_LOOP = """\
        while True:
            pid, _ = os.wait()
            start(workers.pop(pid))
"""
_WAITS = """\
        for pid in workers:
            os.waitpid(pid, 0)
"""
_KILLS = """\
        for pid in workers:
            os.kill(pid, signal.SIGTERM)
"""
_LET_GO = """\
        for listener in listeners:
            listener.close()
"""

_REUSEPORT = "SO_REUSEPORT on each of them, also on the first, and before bind"
_SET = "        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)\n"
_BIND = '        listener.bind(("127.0.0.1", port))\n'


def opens(*changes: tuple[str, str]) -> str:
    return changed(LISTENERS, *changes) + PREFORK


def forks(*changes: tuple[str, str]) -> str:
    return LISTENERS + changed(PREFORK, *changes)


def takes(*changes: tuple[str, str]) -> str:
    return LISTENERS + changed(SIGWAIT, *changes)


PREFORK_CASES = {
    # the listeners
    "no SO_REUSEPORT": (opens((_SET, "")), _REUSEPORT),
    "after bind": (opens((_SET, ""), (_BIND, _BIND + _SET)), _REUSEPORT),
    "not on the first": (opens((_SET, _SET.replace("        ", "        if port: ", 1))), _REUSEPORT),
    "SO_REUSEADDR": (opens(("SO_REUSEPORT", "SO_REUSEADDR")), "SO_REUSEADDR is not enough for two that listen"),
    "one for all": (
        opens(("range(number)", "range(1)"), ("return listeners", "return listeners * number")),
        "one accept queue, several of them may be woken for a client",
    ),
    "copies of one": (
        opens(("range(number)", "range(1)"), ("return listeners", "return [listener.dup() for _ in range(number)]")),
        "one accept queue, several of them may be woken for a client",
    ),
    "port 0 each time": (opens(("        port = listener.getsockname()[1]\n", "")), "have different ports"),
    "never listens": (opens(("        listener.listen()\n", "")), "does not listen yet"),
    "everybody's address": (opens(("127.0.0.1", "")), "everybody in the network can connect there"),
    "numbers": (
        opens(("return listeners", "return [listener.detach() for listener in listeners]")),
        "returned a list with a value of type int",
    ),
    "one too few": (opens(("range(number)", "range(number - 1)")), "returned 2 sockets"),
    "no return": (opens(("return listeners", "pass")), "returned None"),
    "in a with": (
        opens(("    return listeners", "    with listeners[-1]:\n        return listeners")),
        "a socket that is closed",
    ),
    "any port will do": (
        opens(
            (
                _BIND,
                "        try:\n"
                '            listener.bind(("127.0.0.1", port))\n'
                "        except OSError:\n"
                '            listener.bind(("127.0.0.1", 0))\n',
            )
        ),
        "open_listeners raised nothing",
    ),
    "keeps what failed": (
        "KEPT = []\n"
        + opens(("    listeners.append(listener)\n", "    listeners.append(listener)\n        KEPT.append(listener)\n")),
        "it left 1 of its sockets open",
    ),
    # the workers
    "serves in the parent": (
        forks(("start(listener)\n        while", "serve(listener)\n        while")),
        "serve was called in the parent itself",
    ),
    "threads": (
        LISTENERS
        + """
def prefork(listeners, serve):
    threads = [threading.Thread(target=serve, args=(listener,), daemon=True) for listener in listeners]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
""",
        "serve was called in the parent itself",
    ),
    "the last one is the parent": (
        LISTENERS
        + """
def prefork(listeners, serve):
    for listener in listeners[1:]:
        if os.fork() == 0:
            for other in listeners:
                if other is not listener:
                    other.close()
            serve(listener)
            os._exit(1)
    serve(listeners[0])
""",
        "serve was called in the parent itself",
    ),
    "only the first": (
        forks(("start(listener)\n        while", "start(listener)\n            break\n        while")),
        "1 worker was started",
    ),
    "one listener for all workers": (
        forks((_CHILD, "                serve(listeners[0])\n"), ("if other is not listener", "if other is not listeners[0]")),
        "Two workers have the same listener",
    ),
    "hands over numbers": (
        forks((_CHILD, "                serve(listener.fileno())\n")),
        "serve was called with a value of type int",
    ),
    "closes its own": (forks(("if other is not listener", "if other is listener")), "serve was called with a closed listener"),
    "closes all": (
        forks(
            (
                "                    if other is not listener:\n                        other.close()",
                "                    other.close()",
            )
        ),
        "serve was called with a closed listener",
    ),
    "keeps the others'": (forks((_CLOSES, "")), "A worker holds the listeners of the others too"),
    "closes those before only": (
        forks(
            (
                _CLOSES,
                "                for other in listeners[: listeners.index(listener)]:\n                    other.close()\n",
            )
        ),
        "A worker holds the listeners of the others too",
    ),
    "a listener of its own": (
        forks((_CHILD, "                serve(open_listeners(1, listener.getsockname()[1])[0])\n")),
        "got another listener than those that were handed to prefork",
    ),
    "one listener more": (
        forks(
            (
                "    try:\n        for listener in listeners:",
                "    extra = open_listeners(1, listeners[0].getsockname()[1])\n    try:\n        for listener in listeners:",
            )
        ),
        "one listener more at the port than there are workers",
    ),
    "starts nobody": (LISTENERS + "def prefork(listeners, serve):\n    workers = {}\n", "no worker was started: os.fork()"),
    "does not wait": (
        LISTENERS
        + """
def prefork(listeners, serve):
    for listener in listeners:
        if os.fork() == 0:
            for other in listeners:
                if other is not listener:
                    other.close()
            serve(listener)
            os._exit(1)
""",
        "prefork returned while its workers are at work",
    ),
    "does not wait, and its workers begin late": (
        LISTENERS
        + """
def prefork(listeners, serve):
    for listener in listeners:
        if os.fork() == 0:
            for other in listeners:
                if other is not listener:
                    other.close()
            time.sleep(0.5)
            serve(listener)
            os._exit(1)
""",
        "prefork returned while its workers are at work",
    ),
    "looks all the time": (
        forks(
            (
                _LOOP,
                "        while True:\n"
                "            pid, _ = os.waitpid(-1, os.WNOHANG)\n"
                "            if pid:\n"
                "                start(workers.pop(pid))\n",
            )
        ),
        "the parent runs all the time",
    ),
    # death
    "nobody takes the status": (forks((_LOOP, "        while True:\n            signal.pause()\n")), "it is a zombie"),
    "waits, and starts none": (
        forks(("            start(workers.pop(pid))\n", "            workers.pop(pid)\n")),
        "and no other one was started",
    ),
    "the wrong listener": (
        forks(("start(workers.pop(pid))", "workers.pop(pid)\n            start(next(iter(workers.values())))")),
        "Two workers have the same listener",
    ),
    "waits for the first": (
        forks(
            (
                _LOOP,
                "        while True:\n"
                "            pid = list(workers)[-1]\n"
                "            os.waitpid(pid, 0)\n"
                "            start(workers.pop(pid))\n",
            )
        ),
        "A worker was killed, and it is a zombie",
    ),
    "closes the listeners in the parent": (
        forks(("        workers[pid] = listener", "        workers[pid] = listener\n        listener.close()")),
        "The listeners stay open in the parent",
    ),
    "opens it anew": (
        forks(
            ("        workers[pid] = listener", "        workers[pid] = listener.getsockname()[1]\n        listener.close()"),
            ("start(workers.pop(pid))", "start(open_listeners(1, workers.pop(pid))[0])"),
        ),
        "got another listener than the one that has died",
    ),
    "one at a time": (
        takes(
            (
                "        while pid := os.waitpid(-1, os.WNOHANG)[0]:\n            start(workers.pop(pid))\n",
                "        pid = os.waitpid(-1, os.WNOHANG)[0]\n        if pid:\n            start(workers.pop(pid))\n",
            )
        ),
        "one SIGCHLD may stand for several children",
    ),
    "SIGCHLD is a death": (
        takes(
            (
                "        while pid := os.waitpid(-1, os.WNOHANG)[0]:\n            start(workers.pop(pid))\n",
                "        pid, _ = os.wait()\n        start(workers.pop(pid))\n",
            )
        ),
        "SIGCHLD comes also when a child was stopped, or goes on",
    ),
    "SIGCHLD is ignored": (
        forks(
            (
                "    signal.signal(signal.SIGTERM, stop)\n",
                "    signal.signal(signal.SIGTERM, stop)\n    signal.signal(signal.SIGCHLD, signal.SIG_IGN)\n",
            )
        ),
        "A worker was killed",
    ),
    # serve ends
    "comes out of prefork": (
        forks(("            finally:\n                os._exit(1)\n", "            return\n")),
        "as a second parent",
    ),
    "goes on as a parent": (
        forks(("            finally:\n                os._exit(1)\n", "")),
        "as a second parent",
    ),
    "sys.exit": (forks(("                os._exit(1)\n", "                sys.exit(1)\n")), "as a second parent"),
    "exits only when serve returns": (
        forks(
            (
                "            except BaseException:\n"
                "                traceback.print_exc()\n"
                "            finally:\n"
                "                os._exit(1)\n",
                "                os._exit(0)\n            except ZeroDivisionError:\n                pass\n",
            )
        ),
        "as a second parent",
    ),
    # the end
    "SIGTERM is nobody's": (
        forks(("    signal.signal(signal.SIGTERM, stop)\n", "")),
        "its workers are still alive, and nobody ends them",
    ),
    "the handler sets a flag": (
        forks(
            ("        raise Stop", "        workers['over'] = True"),
            ("        while True:", "        while 'over' not in workers:"),
        ),
        "Does a handler only set a flag?",
    ),
    "the handler is inherited": (
        forks(
            (_DEFAULT, ""),
            ("        raise Stop", "        if os.getpid() == parent:\n            raise Stop"),
            ("    workers = {}\n", "    workers, parent = {}, os.getpid()\n"),
        ),
        "they have inherited the parent's handler of SIGTERM",
    ),
    "the mask is inherited": (
        takes(("                signal.pthread_sigmask(signal.SIG_SETMASK, mask)\n", "")),
        "SIGTERM is blocked in it",
    ),
    "tells nobody": (forks((_KILLS, "")), "The workers have not got SIGTERM"),
    "kills them": (
        forks(("os.kill(pid, signal.SIGTERM)", "os.kill(pid, signal.SIGKILL)")),
        "has killed its workers without a word",
    ),
    "lets the exception out": (
        forks(("    except Stop:\n        pass\n", "")),
        "Catch what your handler raises, end the workers, and return",
    ),
    "leaves them alone": (forks((_KILLS + _WAITS, "")), "3 workers were still alive"),
    "does not take the status": (forks((_WAITS, "        time.sleep(0.2)\n")), "3 of its workers are zombies"),
    "does not wait at the end": (forks((_WAITS, "")), "os.waitpid"),
    "keeps the listeners": (forks((_LET_GO, "")), "3 of the listeners are still open"),
    "ends the program": (
        forks(("        raise Stop", "        os._exit(0)")),
        "ended its whole process",
    ),
    "starts them anew when it stops": (
        takes(
            (
                "    while signal.sigwait({signal.SIGCHLD, signal.SIGTERM}) == signal.SIGCHLD:",
                "    while True:\n"
                "        if signal.sigwait({signal.SIGCHLD, signal.SIGTERM}) == signal.SIGTERM:\n"
                "            for pid in workers:\n"
                "                os.kill(pid, signal.SIGTERM)",
            ),
        ),
        "prefork started another worker",
    ),
}

RIGHT = {
    "os.wait() and a handler that raises": LISTENERS + PREFORK,
    "sigwait()": LISTENERS + SIGWAIT,
    "multiprocessing": "import multiprocessing.connection\n" + LISTENERS + PROCESSES,
    "sys.exit() in the handler": forks(("        raise Stop", "        sys.exit()")),
    "closes all but its own, as 8.3 does": forks(
        (
            _CLOSES,
            "                os.closerange(3, listener.fileno())\n"
            "                os.closerange(listener.fileno() + 1, 1 << 16)\n",
        )
    ),
}

CASES = {"9.2": PREFORK_CASES}
