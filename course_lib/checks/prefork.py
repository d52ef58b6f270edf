"""Exercise 9.2: one worker process a listener, all at one port, and the check that counts who answers."""

import gc
import json
import mmap
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

from course_lib.sandbox.attempt import Attempt
from course_lib.sandbox.outcome import NotChecked, Raised, Stuck, Wrong
from course_lib.sandbox.proc import inodes, is_queued, listening
from course_lib.sandbox.stopwatch import Stopwatch
from course_lib.sandbox.talk import Talk
from course_lib.sandbox.words import a, printable
from course_lib.solutions.coroutines import Loop, accept, http

from .ends import reset

_WORKERS = 3
_PATIENCE = 2.5  # seconds for what takes milliseconds: the workers may have to wait for a processor
_MANY = 300  # clients; that one of three workers gets none of them has the probability 3 * (2/3) ** 300
_REPORT = 2048  # bytes, padded
_WINDOW = 0.3  # seconds over which nobody talks
_ANSWER = re.compile(rb"(?is)\r\nContent-Length: *(\d+)(?=\r\n).*?\r\n\r\n(.*)")
_ENDS = {"/raise": "raised an exception", "/return": "returned"}  # path -> what serve does then
_REQUEST = b"GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: check\r\n\r\n"


def check_prefork(attempt: Attempt) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as reports, (crew := _Crew(attempt, reports)).explained():
        for point in (
            _opens,
            _all_answer,
            _idle,
            _one_stands_still,
            _one_dies,
            _two_die,
            _serve_ends,
            _odd_clients,
            _wrk,
            _stops,
        ):
            point(crew)
            if crew.ready:  # before, the first ones may report at any moment
                crew.look()


_SECOND_PARENT = (
    "Has the child gone on as a second parent, and ended the others? In the child: `try: serve(listener) … finally: os._exit(1)`."
)


class _Crew:
    """The parent and its workers, what they report, and their clients."""

    def __init__(self, attempt: Attempt, reports: socket.socket) -> None:
        self.attempt, self._reports = attempt, reports
        name = f"\0{uuid.uuid4().hex}"  # abstract: it is in no file system, and gone with its socket (unix(7))
        reports.bind(name)
        self.run = attempt.run(_use_prefork)
        self.run.say(reports=name)
        self.parent, self.address, self.listeners = 0, ("127.0.0.1", 0), []  # inodes
        self.workers: dict[int, int] = {}  # number of the process -> inode of its listener
        self.ready = False  # have all workers been seen?
        self.happened = ""
        self.stopping = False
        self.sockets: dict[int, int] = {}  # of each worker when it has no client

    @contextmanager
    def explained(self) -> Iterator[None]:
        try:
            try:
                yield
            except ConnectionRefusedError:
                self.look()
                raise Wrong(
                    "A client was refused: nobody listens at the port any more. The listeners stay open in the parent: so a "
                    "worker that is started anew gets the old one's."
                ) from None
            except OSError as error:
                raise self.attempt.cause(error) from None
        except Wrong as wrong:
            ended = isinstance(wrong, Raised) or "killed by the signal" in str(wrong)
            if self.happened and ended:
                raise Wrong(f"{self.happened}, and {str(wrong).replace('Your code', 'your code')} {_SECOND_PARENT}") from None
            raise _explained_prefork(wrong) if isinstance(wrong, Raised) else wrong from None

    def report(self, what: str) -> dict:
        """The next report; `what` begins the message if none comes."""
        try:
            data = self.run.read(self._reports, _REPORT, what, _PATIENCE)
        except Stuck as stuck:
            raise Wrong(f"{what}: {stuck.doing.replace('it ', 'the parent ', 1)}.") from None
        report = json.loads(data)
        match report["what"]:
            case "parent serves":
                raise Wrong(
                    "serve was called in the parent itself. Who then notices that a worker has died? Fork one child for each "
                    "listener; the parent only waits."
                )
            case "escaped":
                raise Wrong(
                    f"serve {report['how']} in a worker, and this child came out of prefork{report['error']}: there it goes on "
                    "as a second parent. In the child: `try: serve(listener) … finally: os._exit(1)`."
                )
            case "not a listener":
                raise Wrong(
                    f"serve was called with {report['got']}: it takes the listener of this worker, open. The listeners stay "
                    "open in the parent, and a child closes those of the others."
                )
            case "failed":
                raise Wrong(f"{printable(report['error'])}: the listener, or what fork has copied, is not as it was.")
            case "told" if not self.stopping:
                raise Wrong(f"{self.happened or 'All workers are at work'}, and another worker got SIGTERM. {_SECOND_PARENT}")
            case "returned" if self.happened and not self.stopping:
                raise Wrong(f"{self.happened}, and prefork returned in the parent. {_SECOND_PARENT}")
            case "returned" if not self.workers and not _children(self.parent):  # a child may report later than its parent
                raise Wrong("prefork returned, and no worker was started: os.fork() for each listener.")
            case "returned" if not self.stopping:
                raise Wrong(
                    "prefork returned while its workers are at work. It is the parent's main loop: wait for workers that die, "
                    "and return when SIGTERM has come."
                )
            case "started" if self.stopping:
                raise Wrong(
                    "SIGTERM has come, and prefork started another worker: first say that no more are started, then end them."
                )
        return report

    def look(self) -> None:
        """Nothing has been reported that should not."""
        self.run.watch(0)
        while _readable(self._reports):
            started = self.report("")["what"] == "started"
            if started and self.happened:
                raise Wrong(f"{self.happened}, and workers of other listeners were started anew. {_SECOND_PARENT}")
            if started and not self.ready:
                raise Wrong("prefork has started more workers than there are listeners: one for each.")
            if started:
                raise Wrong(
                    "No worker had ended, and prefork started another one: SIGCHLD comes also when a child was stopped, or "
                    "goes on (sigaction(2), SA_NOCLDSTOP). os.waitpid(-1, os.WNOHANG) says who has ended."
                )

    def started(self, what: str) -> int:
        """Wait for one new worker."""
        report = self.report(what)
        pid, listener = report["pid"], report["listener"]
        if listener not in self.listeners and self.ready:
            raise Wrong(
                "A worker that was started anew got another listener than the one that has died: clients that stood in the "
                "queue of the old one were cut off. Keep the listeners open in the parent."
            )
        if listener not in self.listeners:
            raise Wrong(
                "A worker got another listener than those that were handed to prefork. The parent still holds them: the kernel "
                "puts clients into their queues too, and nobody takes them out."
            )
        if listener in self.workers.values() and self.happened:
            raise Wrong(f"{self.happened}, and workers of other listeners were started anew. {_SECOND_PARENT}")
        if listener in self.workers.values():
            raise Wrong(
                "Two workers have the same listener, and from another one nobody accepts: the clients that the kernel puts "
                "into its queue wait for ever. A worker that is started anew gets the listener of the one that has died."
            )
        if report["held"] > 1:
            raise Wrong(
                "A worker holds the listeners of the others too: fork copies all descriptors (fork(2)). A listener lives until "
                "its last copy is closed: when the others have gone, clients would still be put into its queue, and wait for "
                "ever. Close them in the child."
            )
        self.workers[pid], self.sockets[pid] = listener, report["sockets"]
        return pid

    def ended(self, pid: int, what: str) -> None:
        """Wait until this worker has gone, and is no zombie."""
        self.workers.pop(pid)
        if not self.run.until(lambda: not _state(pid), _PATIENCE):
            raise Wrong(
                f"{what}, and it is a zombie: it has ended, and nobody took its exit status. os.waitpid() does, and says who "
                "it was (wait(2))."
                if _state(pid) == "Z"
                else f"{what}, and it is still alive."
            )

    def connect(self) -> socket.socket:
        return self.attempt.connect(self.address)

    def answer(self, client: socket.socket, path: bytes, what: str) -> bytes:
        """Ask for a page: its body."""
        client.sendall(_REQUEST % path)
        return self.body(client, what)

    def who(self, client: socket.socket, what: str) -> int:
        """Ask a worker for its number."""
        if not (number := self.answer(client, b"/", what)).isdigit():
            raise Wrong(f"A client asked for a page and got {number[:60]!r}.")
        return int(number)

    def body(self, client: socket.socket, what: str) -> bytes:
        """The body of the next answer."""
        came = b""
        while not (found := _ANSWER.search(came)) or len(found[2]) < int(found[1]):
            try:
                piece = self.run.read(client, 1, what, _PATIENCE)
            except Stuck:
                self.look()
                raise self.unanswered(client, what) from None
            if not piece:
                self.look()
                raise Wrong(f"{what}, but the end of its connection.")
            came += piece
            try:
                came += client.recv(65_536, socket.MSG_DONTWAIT)
            except (BlockingIOError, ConnectionResetError):
                pass
        return found[2][: int(found[1])]

    def unanswered(self, client: socket.socket, what: str) -> Wrong:
        """Where does this client wait?"""
        for pid in self.workers:
            if _state(pid) in ("Z", ""):
                return Wrong(f"{what}: a worker has ended, and it was not started anew.")
        if is_queued(client):
            return Wrong(f"{what}: it stands in the accept queue of a listener from which nobody accepts.")
        return Wrong(f"{what}: a worker has accepted it, and does not answer.")

    def reach(self, pids: set[int], what: str) -> dict[int, socket.socket]:
        """A client of each of these workers: connect until the kernel has chosen each of them."""
        found: dict[int, socket.socket] = {}
        for _ in range(_MANY):
            client = self.connect()
            pid = self.who(client, f"{what}, and a client got no answer")
            if pid in pids and pid not in found:
                found[pid] = client
            else:
                client.close()
            if len(found) == len(pids):
                return found
        raise Wrong(f"{what}, {_MANY} clients came, and {_count(len(pids) - len(found))} answered none of them.")

    def connections(self) -> int:
        """How many clients' connections the workers hold."""
        return sum(len(inodes(pid)) - self.sockets[pid] for pid in self.workers)

    def calm(self) -> None:
        """Wait until all have nothing more to do."""
        self.run.until(lambda: all(_state(pid) == "S" for pid in (self.parent, *self.workers)), 0.5)

    def cpu(self) -> dict[int, float]:
        return {pid: _cpu(pid) for pid in (self.parent, *self.workers)}


def _opens(crew: _Crew) -> None:
    facts = crew.run.hear("open_listeners did not return within 1 s")
    crew.parent, crew.address, crew.listeners = facts["pid"], ("127.0.0.1", facts["port"]), facts["listeners"]
    crew.attempt.good(f"{_WORKERS} listeners at one port, with SO_REUSEPORT on each of them")


def _all_answer(crew: _Crew) -> None:
    for number in range(_WORKERS):
        crew.started(f"prefork got {_WORKERS} listeners, and {_count(number)} started")
    crew.run.watch(0.02)
    crew.look()
    if listening(crew.address[1]) - set(crew.listeners):
        raise Wrong(
            "There is one listener more at the port than there are workers: the kernel puts clients into its queue, and nobody "
            "takes them out."
        )
    clients = crew.reach(set(crew.workers), f"{_WORKERS} workers were started")
    for pid, client in clients.items():
        if crew.who(client, "A client asked again and got no answer") != pid:
            raise Wrong("One connection was answered by two workers.")
        client.close()
    crew.ready = True
    crew.attempt.good(f"clients are answered by {_WORKERS} processes: the kernel spreads them over the listeners")


def _idle(crew: _Crew) -> None:
    """Nobody talks: nobody runs. Two windows must agree before anybody is blamed."""
    for _ in range(2):
        crew.calm()
        used, woke = crew.cpu(), crew.run.wakes()
        watches = {pid: Stopwatch(pid) for pid in used}
        crew.run.watch(_WINDOW)
        busy = {pid: (cpu - used[pid]) / watches[pid].passed() for pid, cpu in crew.cpu().items()}
        if max(busy.values()) < 0.1:
            break
    else:
        if busy[crew.parent] >= 0.1:
            raise Wrong(
                f"Nobody talks, and the parent runs all the time (CPU {min(1, busy[crew.parent]):.0%}){crew.run.where()}: let "
                "it sleep until a worker ends, in os.wait() or signal.sigwait()."
            )
        raise Wrong(f"Nobody talks, and a worker runs all the time (CPU {min(1, max(busy.values())):.0%}).")
    if crew.run.wakes() - woke > 1:
        crew.attempt.note(
            "the parent wakes up again and again to look whether a worker has ended. os.wait() and signal.sigwait() sleep "
            "until then."
        )
    crew.attempt.good("nobody talks: parent and workers sleep, CPU 0 %")


def _one_stands_still(crew: _Crew) -> None:
    clients = crew.reach(set(crew.workers), "All workers are at work")
    still, *others = clients
    os.kill(still, signal.SIGSTOP)
    try:
        crew.run.until(lambda: _state(still) == "T", 1.0)
        for pid in others:
            crew.answer(clients[pid], b"/", "One worker stands still (SIGSTOP), and a client of another one got no answer")
        late = [crew.connect() for _ in range(20)]
        for client in late:
            client.sendall(_REQUEST % b"/")
        crew.run.watch(0.02)
    finally:
        os.kill(still, signal.SIGCONT)
    for client in (clients[still], *late):
        if client in late:
            crew.body(client, "A worker stood still for a moment, and a client that came meanwhile got no answer")
        client.close()
    for pid in others:
        clients[pid].close()
    crew.calm()
    crew.attempt.good("one worker stands still: the clients of the others are answered, its own wait in its queue")


def _one_dies(crew: _Crew) -> None:
    what = "A worker was killed"
    for victim, listener in sorted(crew.workers.items()):
        os.kill(victim, signal.SIGKILL)
        crew.run.until(lambda: _state(victim) in ("Z", ""), 1.0)
        clients = [crew.connect() for _ in range(10)]
        for client in clients:
            client.sendall(_REQUEST % b"/")
        crew.ended(victim, what)
        if crew.workers[crew.started(f"{what}, and no other one was started")] != listener:
            raise Wrong(f"{what}, and the new one has not its listener.")
        for client in clients:
            crew.body(client, f"{what} and started anew, and a client that came meanwhile got no answer")
            client.close()
    crew.attempt.good("a worker that is killed is started anew, it is no zombie, and no client was refused")


def _two_die(crew: _Crew) -> None:
    what = "Two workers were killed at the same moment"
    victims = list(crew.workers)[:2]
    with crew.run.paused():
        for pid in victims:
            os.kill(pid, signal.SIGKILL)
        crew.run.until(lambda: all(_state(pid) in ("Z", "") for pid in victims), 1.0)
    for pid in victims:
        crew.workers.pop(pid)
    for number in range(2):
        crew.started(
            f"{what}, and {_count(number)} started anew (one SIGCHLD may stand for several children, signal(7): os.waitpid(-1, "
            "os.WNOHANG) until it gives 0)"
        )
    if not crew.run.until(lambda: not any(map(_state, victims)), _PATIENCE):
        raise Wrong(f"{what}, and one of them is a zombie: nobody took its exit status (wait(2)).")
    for client in crew.reach(set(crew.workers), f"{what} and started anew").values():
        client.close()
    crew.attempt.good("two that die at the same moment, too")


def _serve_ends(crew: _Crew) -> None:
    for path, how in _ENDS.items():
        what = f"serve {how} in a worker"
        first = next(iter(crew.workers))
        with crew.reach({first}, "All workers are at work")[first] as client:
            client.sendall(_REQUEST % path.encode())
            crew.ended(first, "A worker was killed")
            crew.happened = what
            second = crew.started("A worker was killed, and no other one was started")
            crew.workers.pop(second)
            crew.started(f"{what}, and no other one was started")
            if not crew.run.until(lambda: not _state(second), _PATIENCE):
                raise Wrong(
                    f"{what}, it was started anew, and the old process is "
                    f"{'a zombie' if _state(second) == 'Z' else 'still alive'}."
                )
    crew.look()
    crew.happened = ""
    crew.attempt.good("serve raises, or returns, in a worker: this process ends, and is started anew")


def _odd_clients(crew: _Crew) -> None:
    for number in range(30):
        client = crew.connect()
        client.sendall((_REQUEST % b"/")[: (0, 1, 30, -1)[number % 4]])
        if number % 3 == 0:
            reset(client)
        elif number % 3 == 1:
            client.close()
        else:
            client.shutdown(socket.SHUT_WR)
    whole = crew.connect()
    whole.sendall(_REQUEST % b"/" + _REQUEST % b"/nothing" + _REQUEST % b"/")
    whole.shutdown(socket.SHUT_WR)
    crew.run.read(whole, 100_000, "A client sent three requests in one packet and half-closed, and got no end", _PATIENCE)
    if not crew.run.until(lambda: crew.connections() == 0, _PATIENCE):
        raise Wrong(
            f"30 odd clients have come and gone, and the workers hold {crew.connections()} of their connections still."
        )
    crew.attempt.good("30 odd clients leave nothing behind in the workers")


def _wrk(crew: _Crew) -> None:
    if not (wrk := shutil.which("wrk")):
        crew.attempt.note("wrk is not installed, so it did not ask: sudo apt-get install wrk")
        return
    url = "http://%s:%d/" % crew.address
    command = [wrk, "-t", "1", "-c", "30", "-d", "1s", "--timeout", "5s", url]
    try:
        asked = subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL, text=True, timeout=10)
    except subprocess.TimeoutExpired:
        raise NotChecked("wrk did not end within 10 s; run the check again.") from None
    crew.look()
    errors = re.findall(r"Socket errors: .*|Non-2xx .*", asked.stdout)
    if asked.returncode or errors:
        raise Wrong(f"wrk with 30 connections was not content: {printable((errors or [asked.stderr.strip()[-200:]])[0])}")
    crew.attempt.good("wrk: 30 connections, no socket error")


def _stops(crew: _Crew) -> None:
    clients = crew.reach(set(crew.workers), "All workers are at work")
    what = "SIGTERM came to the parent"
    for number in signal.SIGSTOP, signal.SIGCONT:  # each one makes a SIGCHLD, and nobody has ended
        os.kill(next(iter(clients)), number)
        crew.run.until(lambda: (_state(next(iter(clients))) == "T") == (number == signal.SIGSTOP), 0.5)
    crew.calm()
    crew.stopping = True
    os.kill(crew.parent, signal.SIGTERM)
    try:
        reports = [crew.report(f"{what}, and prefork did not return within {_PATIENCE:g} s")["what"]]
        while reports[-1] != "returned":
            reports.append(crew.report(f"{what}, and prefork did not return within {_PATIENCE:g} s")["what"])
    except Wrong as wrong:
        raise _not_stopped(crew, what, wrong) from None
    facts = crew.run.hear("prefork has returned")
    alive = [pid for pid in crew.workers if _state(pid) not in ("", "Z")]
    zombies = [pid for pid in crew.workers if _state(pid) == "Z"]
    if alive:
        raise Wrong(
            f"{what}, prefork returned, and {_count(len(alive))} still alive: send each one SIGTERM, and wait for it "
            "(os.waitpid)."
        )
    if zombies:
        raise Wrong(f"{what}, prefork returned, and {len(zombies)} of its workers are zombies: os.waitpid(pid, 0) for each one.")
    if "told" not in reports:
        raise Wrong(
            f"{what}, and it has killed its workers without a word: send them SIGTERM, which they can take, and finish what "
            "they have begun."
        )
    if facts["open"]:
        raise Wrong(f"{what}, prefork returned, and {facts['open']} of the listeners are still open: close them.")
    if facts["more"] > 0:
        raise Wrong(f"{what}, prefork returned, and {facts['more']} more descriptors are open in the parent than before.")
    if listening(crew.address[1]):
        raise Wrong(f"{what}, prefork returned, and somebody still listens at the port.")
    for client in clients.values():
        client.close()
    crew.run.say(again=True)
    crew.run.hear(f"{what}, and open_listeners at the same port again did not return within 1 s")
    crew.attempt.good("SIGTERM: all workers end, none is a zombie, no descriptor is left, the port is free")


def _not_stopped(crew: _Crew, what: str, wrong: Wrong) -> Wrong:
    """Why has prefork not returned?"""
    alive = [pid for pid in crew.workers if _state(pid) not in ("", "Z")]
    if _state(crew.parent) in ("", "Z") and "SIGTERM" not in str(wrong):
        return Wrong(f"{what}, and {str(wrong).replace('Your code', 'your code')}")
    if _state(crew.parent) in ("", "Z"):
        if not alive:
            return Wrong(f"{what} and ended it at once (its default action); prefork should return.")
        return Wrong(
            f"{what} and ended it at once (its default action, signal(7)); its workers are still alive, and nobody ends them. "
            "Take the signal, with a handler or with signal.sigwait()."
        )
    if isinstance(wrong, Raised):
        error = str(_explained_prefork(wrong)).replace("Your code", "your code")
        return Wrong(f"{what}, and {error} Catch what your handler raises, end the workers, and return.")
    if "started another" in str(wrong):
        return wrong
    not_told = any(crew.workers[pid] == crew.listeners[0] for pid in alive)  # it ends as soon as SIGTERM comes to it
    if _pending(crew.parent, signal.SIGTERM):
        return Wrong(
            f"{wrong} SIGTERM is blocked, and waits until it is taken. Does the parent sleep in os.wait() for a worker that "
            "has not ended? SIGCHLD comes also when a child was stopped, or goes on (SA_NOCLDSTOP, sigaction(2)): "
            "os.waitpid(-1, os.WNOHANG)."
        )
    for pid in alive:
        if _pending(pid, signal.SIGTERM):
            return Wrong(
                f"{what}, and a worker does not end: SIGTERM is blocked in it. The signal mask is copied by fork (signal(7)): "
                "unblock it in the child, before serve."
            )
        if _status_bits(pid, "SigCgt") >> (signal.SIGTERM - 1) & 1 and not not_told:
            return Wrong(
                f"{what}, and its workers do not end: they have inherited the parent's handler of SIGTERM, which does not end "
                "them (fork(2)). In the child: signal.signal(signal.SIGTERM, signal.SIG_DFL)."
            )
    if alive:
        return Wrong(
            f"{wrong} The workers have not got SIGTERM: send it to each of them before you wait for them. Does a handler only "
            "set a flag? When it has returned, Python goes on with os.wait() (PEP 475): let it raise an exception, or take "
            "the signal with signal.sigwait()."
        )
    return wrong


def _explained_prefork(error: Raised) -> Wrong:
    text, why = error.text, ""
    if error.errno == 98:  # EADDRINUSE
        why = (
            "Several listeners at one port need SO_REUSEPORT on each of them, also on the first, and before bind (socket(7)). "
            "SO_REUSEADDR is not enough for two that listen."
        )
    elif error.errno == 10:  # ECHILD
        why = "There is no child to wait for any more: end this loop, or did another call take its status already?"
    elif error.errno == 3:  # ESRCH
        why = "This process has ended already, and its status was taken."
    elif error.errno == 9 or "negative" in text:  # EBADF
        why = "A listener was closed in the parent. It stays open there: a worker that is started anew needs it."
    elif error.type in ("PicklingError", "AttributeError", "TypeError") and "pickle" in text:
        why = "The start methods spawn and forkserver pickle the function; os.fork() copies the whole process."
    return Wrong(f"{error}{why and ' '}{why}")


# In the child


def _use_prefork(talk: Talk, learner: tuple[Callable, Callable]) -> None:
    open_listeners, prefork = learner
    reports = talk.hear()["reports"]
    before = _numbers()
    talk.step(f"open_listeners({_WORKERS}) did not return within 1 s")
    listeners = open_listeners(_WORKERS)
    port = _right_listeners(listeners)
    _port_in_use(talk, open_listeners)
    known = [os.fstat(listener.fileno()).st_ino for listener in listeners]
    parent = os.getpid()
    talk.tell(pid=parent, port=port, listeners=known)

    def report(**facts: object) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:  # opened here: a worker may have closed all it inherited
            try:
                sock.sendto(json.dumps(facts).encode()[:_REPORT].ljust(_REPORT), reports)
            except ConnectionRefusedError:
                pass  # the check knows enough, and has gone

    orders = mmap.mmap(-1, 1)  # memory that all of them share: fork does not copy it (mmap(2), MAP_SHARED)
    how = "returned"

    def serve(listener: socket.socket) -> None:
        nonlocal how
        if os.getpid() == parent:
            report(what="parent serves")
            time.sleep(60)
        if not isinstance(listener, socket.socket) or listener.fileno() < 0:
            report(what="not a listener", got="a closed listener" if isinstance(listener, socket.socket) else a(listener))
            time.sleep(60)
        order, orders[0] = orders[0], 0  # before it reports: the next order is for the next one
        own, sockets = os.fstat(listener.fileno()).st_ino, inodes(os.getpid())
        if own == known[0]:  # this one wants to know that it is told to end; the others let SIGTERM do what it does

            def told(*_: object) -> None:
                report(what="told")
                os._exit(0)

            signal.signal(signal.SIGTERM, told)
        report(what="started", pid=os.getpid(), listener=own, held=len(sockets & set(known)), sockets=len(sockets))
        if order:
            how, sys.stderr = list(_ENDS.values())[order - 1], open(os.devnull, "w")  # what is printed about it, nobody needs
            if order == 1:
                raise RuntimeError("serve has failed")
            return
        try:
            _serve(listener, orders)
        except Exception as error:
            report(what="failed", error=f"A worker's server raised {type(error).__name__}: {str(error)[:200]}")
            time.sleep(60)

    error = ""
    try:
        prefork(listeners, serve)
    except SystemExit as end:
        error = f" (SystemExit: {end})"
        if os.getpid() == parent and end.code not in (None, 0):
            raise
    except BaseException as other:
        if os.getpid() == parent:
            raise
        error = f" ({type(other).__name__})"
    if os.getpid() != parent:
        report(what="escaped", how=how, error=error[:100])
        os._exit(3)
    report(what="returned")
    still = sum(listener.fileno() >= 0 for listener in listeners)
    gc.collect()
    talk.tell(open=still, more=len(_numbers() - before))
    talk.hear()
    talk.step("open_listeners at the same port again did not return within 1 s")
    for listener in open_listeners(_WORKERS, port):
        if listener.getsockname()[1] != port:
            raise Wrong(f"open_listeners({_WORKERS}, port) has opened another port than the one it was told.")
        listener.close()
    talk.tell()


def _right_listeners(listeners: object) -> int:
    """Check what open_listeners returned; its port."""
    if not isinstance(listeners, list | tuple) or not all(isinstance(listener, socket.socket) for listener in listeners):
        what = f"a list with {a(listeners[0])}" if isinstance(listeners, list | tuple) and listeners else a(listeners)
        raise Wrong(f"open_listeners({_WORKERS}) returned {what}: return a list of {_WORKERS} sockets.")
    if len(listeners) != _WORKERS:
        raise Wrong(f"open_listeners({_WORKERS}) returned {len(listeners)} sockets.")
    if any(listener.fileno() < 0 for listener in listeners):
        raise Wrong("open_listeners returned a socket that is closed.")
    if len({os.fstat(listener.fileno()).st_ino for listener in listeners}) < len(listeners):
        raise Wrong(
            "open_listeners returned the same listener several times (or copies, dup). Workers can share one: then they have "
            "one accept queue, several of them may be woken for a client, and who comes first takes it. Asked are listeners of "
            "their own, with SO_REUSEPORT: each worker has its queue, and the kernel chooses."
        )
    for listener in listeners:
        if not listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            raise Wrong(
                "open_listeners returned a socket that does not listen yet: a client would be refused. listen() before you "
                "return."
            )
    names = [listener.getsockname() for listener in listeners]
    if any(name[0] != "127.0.0.1" for name in names):
        raise Wrong(f"open_listeners bound to {names[0][0]}: everybody in the network can connect there. Bind to 127.0.0.1.")
    if len({name[1] for name in names}) > 1:
        raise Wrong(
            "The listeners have different ports: with port 0 the kernel chooses a new one at each bind. Ask the first for its "
            "port, getsockname()[1], and bind the others to that."
        )
    for listener in listeners:
        if not listener.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT):
            raise Wrong("A listener has no SO_REUSEPORT: set it on each of them, before bind (socket(7)).")
    return names[0][1]


def _port_in_use(talk: Talk, open_listeners: Callable) -> None:
    """Somebody else's port: the error comes through, and nothing is left open."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        before = _numbers()
        talk.step("Another program listens at the port, and open_listeners did not return within 1 s")
        try:
            open_listeners(2, other.getsockname()[1])
        except OSError:
            pass
        else:
            raise Wrong(
                "Another program listens at the port (without SO_REUSEPORT), and open_listeners raised nothing: let the error "
                "through."
            )
        gc.collect()
        if more := len(_numbers() - before):
            raise Wrong(
                f"Another program listens at the port, open_listeners raised OSError, and it left {more} of its sockets open."
            )


def _serve(listener: socket.socket, orders: mmap.mmap) -> None:
    """What runs in a worker: a Loop with http; its page says who answers."""

    def page(path: str) -> Generator:
        yield "sleep", 0
        if path in _ENDS:
            orders[0] = list(_ENDS).index(path) + 1  # the next worker does it: out of here it would go through the Loop
            os.kill(os.getpid(), signal.SIGKILL)
        return b"%d" % os.getpid() if path == "/" else None

    def door() -> Generator:
        while True:
            loop.spawn(http((yield from accept(listener)), page))

    listener.setblocking(False)
    loop = Loop()
    loop.spawn(door())
    loop.run()
    raise RuntimeError("Loop.run() returned")


# What /proc tells of them


def _stat(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _state(pid: int) -> str:
    """The letter of proc(5); "" when it has gone."""
    return "".join(_stat(pid)[:1])


def _children(pid: int) -> list[str]:
    """The numbers of its child processes, zombies too; [] where the kernel does not tell (CONFIG_PROC_CHILDREN)."""
    try:
        return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []


def _cpu(pid: int) -> float:
    fields = _stat(pid)
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK") if fields else 0.0


def _status_bits(pid: int, field: str) -> int:
    """A set of signals of proc(5)."""
    try:
        found = re.search(rf"^{field}:\s+(\w+)", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    except OSError:
        return 0
    return int(found[1], 16) if found else 0


def _pending(pid: int, number: signal.Signals) -> bool:
    """Was this signal sent to it, and it is blocked?"""
    sent = _status_bits(pid, "ShdPnd") | _status_bits(pid, "SigPnd")
    return bool((sent & _status_bits(pid, "SigBlk")) >> (number - 1) & 1)


def _numbers() -> set[int]:
    """The numbers of this process's open descriptors."""
    return {int(number) for number in os.listdir("/proc/self/fd") if os.path.lexists(f"/proc/self/fd/{number}")}


def _readable(sock: socket.socket) -> bool:
    return bool(select.select([sock], [], [], 0)[0])


def _count(number: int) -> str:
    """"no worker was", "1 worker was", "2 workers were"."""
    return f"{number or 'no'} worker{'s' * (number > 1)} {'were' if number > 1 else 'was'}"


CHECKS = {"9.2": check_prefork}
