"""Typical wrong solutions of 9.2, each with words of the message that names its cause."""

from exercises.case import case, changed, right

IMPORTS = """
import multiprocessing, os, select, signal, socket, subprocess, sys, threading, time, traceback
"""

LISTENERS = right("9.2").partition("def prefork")[0]

# A process for each listener, and nobody waits for them.
EACH = """
def prefork(listeners, serve):
    for listener in listeners:
        if os.fork() == 0:
            for other in listeners:
                if other is not listener:
                    other.close()
            serve(listener)
            os._exit(1)
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
TAKEN = changed(right("9.2"), {"time.sleep(0.05)\nfor pid, listener in list(workers.items()):\n...\n        start(listener)": """
    while pid := os.waitpid(-1, os.WNOHANG)[0]:
        start(workers.pop(pid))
"""})  # fmt: skip

PROCESSES = """
import multiprocessing.connection

def prefork(listeners, serve):
    def work(listener):
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        for other in listeners:
            if other is not listener:
                other.close()
        serve(listener)
    def start(listener):
        worker = multiprocessing.get_context("fork").Process(target=work, args=(listener,))
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

WAIT = LISTENERS + PREFORK

CASES = {
    "9.2": [
        # the listeners
        case("no SO_REUSEPORT", "SO_REUSEPORT on each of them, also on the first, and before bind",
             WAIT, {"listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)": ""}),
        case("after bind", "SO_REUSEPORT on each of them, also on the first, and before bind",
             WAIT, {'listener.bind(("127.0.0.1", port))': "",
             "listener = socket.socket()": 'listener = socket.socket()\nlistener.bind(("127.0.0.1", port))'}),
        case("not on the first", "SO_REUSEPORT on each of them, also on the first, and before bind",
             WAIT, {"listener.setsockopt": "if port: listener.setsockopt"}),
        case("SO_REUSEADDR", "SO_REUSEADDR is not enough for two that listen", WAIT, {"SO_REUSEPORT": "SO_REUSEADDR"}),
        case("one for all", "one accept queue, several of them may be woken for a client",
             WAIT, {"for _ in range(number):": "for _ in range(1):", "return listeners": "return listeners * number"}),
        case("copies of one", "one accept queue, several of them may be woken for a client",
             WAIT, {"_ in range(number)": "_ in range(1)", "return listeners": "return [listener.dup() for _ in range(number)]"}),
        case("port 0 each time", "have different ports", WAIT, {"port = listener.getsockname()[1]": ""}),
        case("never listens", "does not listen yet", WAIT, {"listener.listen()": ""}),
        case("everybody's address", "everybody in the network can connect there", WAIT, {'("127.0.0.1", port)': '("", port)'}),
        case("numbers", "returned a list with a value of type int",
             WAIT, {"return listeners": "return [listener.detach() for listener in listeners]"}),
        case("one too few", "returned 2 sockets", WAIT, {"for _ in range(number):": "for _ in range(number - 1):"}),
        case("no return", "returned None", WAIT, {"return listeners": "pass"}),
        case("in a with", "a socket that is closed", WAIT, {"return listeners": "with listeners[-1]:\n    return listeners"}),
        case("any port will do", "open_listeners returned all the same: let the error through",
             WAIT, {'listener.bind(("127.0.0.1", port))': """
                 try:
                     listener.bind(("127.0.0.1", port))
                 except OSError:
                     listener.bind(("127.0.0.1", 0))
             """}),
        case("keeps what failed", "it left 1 of its sockets open",
             WAIT, {"def open_listeners(number, port=0):": "KEPT = []\n\ndef open_listeners(number, port=0):",
             "listener = socket.socket()": "listener = socket.socket()\nKEPT.append(listener)"}),
        # the workers
        case("serves in the parent", "serve was called in the parent itself",
             WAIT, {"for listener in listeners:\n    start(listener)": "for listener in listeners:\n    serve(listener)"}),
        case("threads", "serve was called in the parent itself",
             LISTENERS, {"def open_listeners(number, port=0):": """
                 def prefork(listeners, serve):
                     threads = [threading.Thread(target=serve, args=(listener,), daemon=True) for listener in listeners]
                     for thread in threads:
                         thread.start()
                     for thread in threads:
                         thread.join()

                 def open_listeners(number, port=0):
             """}),
        case("the last one is the parent", "serve was called in the parent itself",
             EACH + LISTENERS, {"if os.fork() == 0:": "if listener is listeners[-1] or os.fork() == 0:"}),
        case("only the first", "1 worker was started",
             WAIT, {"for listener in listeners:\n    start(listener)": "for listener in listeners:\n    start(listener)\n    break"}),
        case("one listener for all workers", "Two workers have the same listener",
             WAIT, {"if other is not listener:": "if other is not listeners[0]:", "serve(listener)": "serve(listeners[0])"}),
        case("hands over numbers", "serve was called with a value of type int",
             WAIT, {"serve(listener)": "serve(listener.fileno())"}),
        case("closes its own", "serve was called with a closed listener", WAIT, {"other is not listener:": "other is listener:"}),
        case("closes all", "serve was called with a closed listener",
             WAIT, {"if other is not listener:\n    other.close()": "other.close()"}),
        case("keeps the others'", "A worker holds the listeners of the others too",
             WAIT, {"for other in listeners:\n    if other is not listener:\n        other.close()": ""}),
        case("closes those before only", "A worker holds the listeners of the others too",
             WAIT, {"for other in listeners:\n    if other is not listener:\n        other.close()": "for other in listeners[: listeners.index(listener)]:\n    other.close()"}),
        case("a listener of its own", "got another listener than those that were handed to prefork",
             WAIT, {"serve(listener)": "serve(open_listeners(1, listener.getsockname()[1])[0])"}),
        case("one listener more", "one listener more at the port than there are workers",
             WAIT, {"signal.signal(signal.SIGTERM, stop)": "signal.signal(signal.SIGTERM, stop)\nextra = open_listeners(1, listeners[0].getsockname()[1])"}),
        case("starts nobody", "no worker was started: os.fork()", LISTENERS + "\ndef prefork(listeners, serve):\n    workers = {}"),
        case("does not wait", "prefork returned while its workers are at work", EACH + LISTENERS),
        case("does not wait, and its workers begin late", "prefork returned while its workers are at work",
             EACH + LISTENERS, {"serve(listener)": "time.sleep(0.5)\nserve(listener)"}),
        case("looks all the time", "the parent runs all the time",
             WAIT, {"pid, _ = os.wait()\nstart(workers.pop(pid))": "pid, _ = os.waitpid(-1, os.WNOHANG)\nif pid:\n    start(workers.pop(pid))"}),
        # death
        case("nobody takes the status", "it is a zombie",
             WAIT, {"pid, _ = os.wait()\nstart(workers.pop(pid))": "signal.pause()"}),
        case("waits, and starts none", "and no other one was started", WAIT, {"start(workers.pop(pid))": "workers.pop(pid)"}),
        case("the wrong listener", "Two workers have the same listener",
             WAIT, {"start(workers.pop(pid))": "workers.pop(pid)\nstart(next(iter(workers.values())))"}),
        case("waits for the first", "A worker was killed, and it is a zombie",
             WAIT, {"pid, _ = os.wait()": "pid = list(workers)[-1]\nos.waitpid(pid, 0)"}),
        case("closes the listeners in the parent", "The listeners stay open in the parent",
             WAIT, {"workers[pid] = listener": "workers[pid] = listener\nlistener.close()"}),
        case("opens it anew", "got another listener than the one that has died",
             WAIT, {"workers[pid] = listener": "workers[pid] = listener.getsockname()[1]\nlistener.close()",
             "start(workers.pop(pid))": "start(open_listeners(1, workers.pop(pid))[0])"}),
        case("one at a time", "one SIGCHLD may stand for several children",
             TAKEN, {"while pid := os.waitpid(-1, os.WNOHANG)[0]:": "pid = os.waitpid(-1, os.WNOHANG)[0]\nif pid:"}),
        case("SIGCHLD is a death", "SIGCHLD comes also when a child was stopped, or goes on",
             TAKEN, {"while pid := os.waitpid(-1, os.WNOHANG)[0]:\n    start(workers.pop(pid))": "pid, _ = os.wait()\nstart(workers.pop(pid))"}),
        case("SIGCHLD is ignored", "A worker was killed",
             WAIT, {"(signal.SIGTERM, stop)": "(signal.SIGTERM, stop)\nsignal.signal(signal.SIGCHLD, signal.SIG_IGN)"}),
        # serve ends
        case("comes out of prefork", "as a second parent", WAIT, {"finally:\n    os._exit(1)": "return"}),
        case("goes on as a parent", "as a second parent", WAIT, {"finally:\n    os._exit(1)": ""}),
        case("sys.exit", "as a second parent", WAIT, {"os._exit(1)": "sys.exit(1)"}),
        case("exits only when serve returns", "as a second parent",
             WAIT, {"except BaseException:\n...\n    os._exit(1)": "    os._exit(0)\nexcept ZeroDivisionError:\n    pass"}),
        # the end
        case("SIGTERM is nobody's", "its workers are still alive, and nobody ends them",
             WAIT, {"signal.signal(signal.SIGTERM, stop)": ""}),
        case("the handler sets a flag", "Does a handler only set a flag?",
             WAIT, {"raise Stop": "workers['over'] = True", "while True:": "while 'over' not in workers:"}),
        case("the handler is inherited", "they have inherited the parent's handler of SIGTERM",
             WAIT, {"workers = {}": "workers, parent = {}, os.getpid()",
             "raise Stop": "if os.getpid() == parent:\n    raise Stop", "signal.signal(signal.SIGTERM, signal.SIG_DFL)": ""}),
        case("the mask is inherited", "SIGTERM is blocked in it",
             TAKEN, {"signal.pthread_sigmask(signal.SIG_SETMASK, mask - {signal.SIGTERM})": ""}),
        case("tells nobody", "The workers have not got SIGTERM",
             WAIT, {"for pid in workers:\n    os.kill(pid, signal.SIGTERM)\nfor pid in workers:": "for pid in workers:"}),
        case("kills them", "has killed its workers without a word", WAIT, {"(pid, signal.SIGTERM)": "(pid, signal.SIGKILL)"}),
        case("lets the exception out", "Catch what your handler raises, end the workers, and return",
             WAIT, {"except Stop:\n    pass": ""}),
        case("leaves them alone", "3 workers were still alive",
             WAIT, {"for pid in workers:\n    os.kill(pid, signal.SIGTERM)\n...\n    os.waitpid(pid, 0)": ""}),
        case("does not take the status", "3 of its workers are zombies",
             WAIT, {"for pid in workers:\n    os.waitpid(pid, 0)": "time.sleep(0.2)"}),
        case("does not wait at the end", "os.waitpid", WAIT, {"for pid in workers:\n    os.waitpid(pid, 0)": ""}),
        case("keeps the listeners", "3 of the listeners are still open",
             WAIT, {"for listener in listeners:\n    listener.close()": ""}),
        case("ends the program", "ended its whole process", WAIT, {"raise Stop": "os._exit(0)"}),
        case("starts them anew when it stops", "prefork started another worker",
             TAKEN, {"while signal.sigwait(signals) == signal.SIGCHLD:": """
                 while True:
                     if signal.sigwait(signals) == signal.SIGTERM:
                         for pid in workers:
                             os.kill(pid, signal.SIGTERM)
             """}),
        case("starts a fresh Python", "pickle the function",
             LISTENERS + PROCESSES, {'get_context("fork")': 'get_context("forkserver")'}),
    ],
}

RIGHT = {
    "9.2": [
        case("looks again and again", "the parent wakes up again and again",
             WAIT, {"while True:\n    pid, _ = os.wait()\n    start(workers.pop(pid))": """
                 while True:
                     time.sleep(0.02)
                     pid, _ = os.waitpid(-1, os.WNOHANG)
                     if pid:
                         start(workers.pop(pid))
             """}),
        case("os.wait() and a handler that raises", "", WAIT),
        case("sigwait()", "", TAKEN),
        case("multiprocessing", "", LISTENERS + PROCESSES),
        case("sys.exit() in the handler", "", WAIT, {"raise Stop": "sys.exit()"}),
        case("closes all but its own, as 8.3 does", "",
             WAIT, {"for other in listeners:\n    if other is not listener:\n        other.close()":
                    "os.closerange(3, listener.fileno())\nos.closerange(listener.fileno() + 1, 1 << 16)"}),
    ],
}
