"""Exercise 9.2: one worker process a listener, all at one port, and the check that counts who answers."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from course_lib.ports import inodes, is_queued, listening
from course_lib.proc import children, cpu_seconds, state
from course_lib.sandbox import Attempt, NotChecked, Raised, Stopwatch, Stuck, Wrong, explained
from course_lib.sandbox.words import printable

from .ends import half_close, readable, reset
from .prefork_causes import CAUSES, not_stopped
from .prefork_inside import ENDS, REPORT, WORKERS, use_prefork
from .probe import raise_first
from .web import REQUEST

_PATIENCE = 2.5  # seconds for what takes milliseconds: the workers may have to wait for a processor
_MANY = 300  # clients; that one of three workers gets none of them has the probability 3 * (2/3) ** 300
_WINDOW = 0.3  # seconds over which nobody talks
_ANSWER = re.compile(rb"(?is)\r\nContent-Length: *(\d+)(?=\r\n).*?\r\n\r\n(.*)")


def check_prefork(attempt: Attempt) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as reports, (crew := Crew(attempt, reports)).explained():
        points = _opens, _all_answer, _idle, _one_stands_still, _one_dies, _two_die, _serve_ends, _odd_clients, _wrk, _stops
        for point in points:
            point(crew)
            if crew.ready:  # before, the first ones may report at any moment
                crew.look()


_SECOND_PARENT = (
    "Has the child gone on as a second parent, and ended the others? In the child: `try: serve(listener) … finally: os._exit(1)`."
)


# What no worker should report, and what it means.
_REPORTED = {
    "parent serves": "serve was called in the parent itself. Who then notices that a worker has died? Fork one child for each "
    "listener; the parent only waits.",
    "escaped": "serve {how} in a worker, and this child came out of prefork{error}: there it goes on as a second parent. In the "
    "child: `try: serve(listener) … finally: os._exit(1)`.",
    "not a listener": "serve was called with {got}: it takes the listener of this worker, open. The listeners stay open in the "
    "parent, and a child closes those of the others.",
    "failed": "{error}: the listener, or what fork has copied, is not as it was.",
}


class Crew:
    """The parent and its workers, what they report, and their clients."""

    def __init__(self, attempt: Attempt, reports: socket.socket) -> None:
        self.attempt, self._reports = attempt, reports
        name = f"\0{uuid.uuid4().hex}"  # abstract: it is in no file system, and gone with its socket (unix(7))
        reports.bind(name)
        self.process = attempt.start(use_prefork)
        self.process.say(reports=name)
        self.parent, self.address = 0, ("127.0.0.1", 0)
        self.listeners: list[int] = []  # inodes
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
                self.explain_end()
                raise Wrong(
                    "A client was refused: nobody listens at the port any more. The listeners stay open in the parent: so a "
                    "worker that is started anew gets the old one's."
                ) from None
            except OSError as error:
                raise self.attempt.cause(error) from None
        except Wrong as wrong:
            ended = isinstance(wrong, Raised) or wrong.cause.startswith("SIG")
            if self.happened and ended:
                raise Wrong(f"{self.happened}, and {wrong.inside()} {_SECOND_PARENT}") from None
            raise explained(wrong, CAUSES) if isinstance(wrong, Raised) else wrong from None

    def report(self, what: str) -> dict:
        """The next report; `what` begins the message if none comes."""
        try:
            data = self.process.read(self._reports, REPORT, what, _PATIENCE)
        except Stuck as stuck:
            raise Wrong(f"{what}: {stuck.does('the parent')}.") from None
        report: dict = json.loads(data)
        if wrong := _REPORTED.get(report["what"]):
            raise Wrong(printable(wrong.format(**report)))
        match report["what"]:
            case "told" if not self.stopping:
                raise Wrong(f"{self.happened or 'All workers are at work'}, and another worker got SIGTERM. {_SECOND_PARENT}")
            case "returned" if not self.stopping:
                none = not self.workers and not children(self.parent)  # a child may report later than its parent
                causes = {
                    f"{self.happened}, and prefork returned in the parent. {_SECOND_PARENT}": self.happened,
                    "prefork returned, and no worker was started: os.fork() for each listener.": none,
                    "prefork returned while its workers are at work. It is the parent's main loop: wait for workers that die, "
                    "and return when SIGTERM has come.": True,
                }
                raise_first(causes)
            case "started" if self.stopping:
                raise Wrong(
                    "SIGTERM has come, and prefork started another worker: first say that no more are started, then end them.",
                    cause="started another",
                )
        return report

    def look(self) -> None:
        """Nothing has been reported that should not."""
        self.process.watch(0)
        while readable(self._reports):
            started = self.report("")["what"] == "started"
            if started and self.happened:
                raise Wrong(f"{self.happened}, and workers of other listeners were started anew. {_SECOND_PARENT}")
            if started and not self.ready:
                raise Wrong("prefork has started more workers than there are listeners: one for each.")
            if started:
                raise Wrong(
                    "No worker had ended, and prefork started another one: SIGCHLD comes also when a child was stopped, or "
                    "goes on (sigaction(2), SA_NOCLDSTOP). os.waitpid(-1, os.WNOHANG) says who has ended.",
                    cause="started another",
                )

    def explain_end(self) -> None:
        """A client was cut off, or refused: raise why, if somebody tells in the next moment."""
        self.process.until(lambda: readable(self._reports), 0.3)
        self.look()
        self.process.explain_end()

    def started(self, what: str) -> int:
        """Wait for one new worker."""
        report = self.report(what)
        pid, listener = int(report["pid"]), report["listener"]
        unknown, taken = listener not in self.listeners, listener in self.workers.values()
        causes = {
            "A worker that was started anew got another listener than the one that has died: clients that stood in the "
            "queue of the old one were cut off. Keep the listeners open in the parent.": unknown and self.ready,
            "A worker got another listener than those that were handed to prefork. The parent still holds them: the kernel "
            "puts clients into their queues too, and nobody takes them out.": unknown,
            f"{self.happened}, and workers of other listeners were started anew. {_SECOND_PARENT}": taken and self.happened,
            "Two workers have the same listener, and from another one nobody accepts: the clients that the kernel puts "
            "into its queue wait for ever. A worker that is started anew gets the listener of the one that has died.": taken,
            "A worker holds the listeners of the others too: fork copies all descriptors (fork(2)). A listener lives until "
            "its last copy is closed: when the others have gone, clients would still be put into its queue, and wait for "
            "ever. Close them in the child.": report["held"] > 1,
        }
        raise_first(causes)
        self.workers[pid], self.sockets[pid] = listener, report["sockets"]
        return pid

    def ended(self, pid: int, what: str, it: str = "it") -> None:
        """Wait until this worker has gone, and is no zombie."""
        self.workers.pop(pid, None)
        if not self.process.until(lambda: not state(pid), _PATIENCE):
            raise Wrong(
                f"{what}, and {it} is a zombie: it has ended, and nobody took its exit status. os.waitpid() does, and says who "
                "it was (wait(2))."
                if state(pid) == "Z"
                else f"{what}, and {it} is still alive."
            )

    def connect(self, sends: bytes = b"") -> socket.socket:
        client = self.attempt.connect(self.address)
        client.sendall(sends)
        return client

    def who(self, client: socket.socket, what: str) -> int:
        """Ask a worker for its number."""
        client.sendall(REQUEST % b"/")
        if not (number := self.body(client, what)).isdigit():
            raise Wrong(f"A client asked for a page and got {number[:60]!r}.")
        return int(number)

    def body(self, client: socket.socket, what: str) -> bytes:
        """The body of the next answer."""
        came = b""
        while not (found := _ANSWER.search(came)) or len(found[2]) < int(found[1]):
            try:
                piece = self.process.read(client, 1, what, _PATIENCE)
            except Stuck:
                self.look()
                raise self.unanswered(client, what) from None
            if not piece:
                self.explain_end()
                raise Wrong(f"{what}, but the end of its connection.")
            came += piece
            with suppress(BlockingIOError, ConnectionResetError):
                came += client.recv(65_536, socket.MSG_DONTWAIT)
        return found[2][: int(found[1])]

    def unanswered(self, client: socket.socket, what: str) -> Wrong:
        """Where does this client wait?"""
        if any(state(pid) in ("Z", "") for pid in self.workers):
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
        self.process.until(lambda: all(state(pid) == "S" for pid in (self.parent, *self.workers)), 0.5)


def _opens(crew: Crew) -> None:
    facts = crew.process.hear("open_listeners did not return within 1 s")
    crew.parent, crew.address, crew.listeners = facts["pid"], ("127.0.0.1", facts["port"]), facts["listeners"]
    crew.attempt.good(f"{WORKERS} listeners at one port, with SO_REUSEPORT on each of them")


def _all_answer(crew: Crew) -> None:
    for number in range(WORKERS):
        crew.started(f"prefork got {WORKERS} listeners, and {_count(number)} started")
    crew.process.watch(0.02)
    crew.look()
    if listening(crew.address[1]) - set(crew.listeners):
        raise Wrong(
            "There is one listener more at the port than there are workers: the kernel puts clients into its queue, and nobody "
            "takes them out."
        )
    clients = crew.reach(set(crew.workers), f"{WORKERS} workers were started")
    for pid, client in clients.items():
        if crew.who(client, "A client asked again and got no answer") != pid:
            raise Wrong("One connection was answered by two workers.")
        client.close()
    crew.ready = True
    crew.attempt.good(f"clients are answered by {WORKERS} processes: the kernel spreads them over the listeners")


def _idle(crew: Crew) -> None:
    """Nobody talks: nobody runs. Two windows must agree before anybody is blamed."""
    for _ in range(2):
        crew.calm()
        woke = crew.process.wakes()
        before = [(pid, cpu_seconds(pid), Stopwatch(pid, alone=True)) for pid in (crew.parent, *crew.workers)]
        crew.process.watch(_WINDOW)
        busy = {pid: (cpu_seconds(pid) - used) / watch.passed() for pid, used, watch in before}
        if max(busy.values()) < 0.1:
            break
    else:
        if busy[crew.parent] >= 0.1:
            raise Wrong(
                f"Nobody talks, and the parent runs all the time (CPU {min(1, busy[crew.parent]):.0%}){crew.process.where()}: let "
                "it sleep until a worker ends, in os.wait() or signal.sigwait()."
            )
        raise Wrong(f"Nobody talks, and a worker runs all the time (CPU {min(1, max(busy.values())):.0%}).")
    if crew.process.wakes() - woke > 1:
        crew.attempt.note(
            "the parent wakes up again and again to look whether a worker has ended. os.wait() and signal.sigwait() sleep "
            "until then."
        )
    crew.attempt.good("nobody talks: parent and workers sleep, CPU 0 %")


def _one_stands_still(crew: Crew) -> None:
    clients = crew.reach(set(crew.workers), "All workers are at work")
    still, *others = clients
    os.kill(still, signal.SIGSTOP)
    try:
        crew.process.until(lambda: state(still) == "T", 1.0)
        for pid in others:
            crew.who(clients[pid], "One worker stands still (SIGSTOP), and a client of another one got no answer")
        late = [crew.connect(REQUEST % b"/") for _ in range(20)]
        crew.process.watch(0.02)
    finally:
        os.kill(still, signal.SIGCONT)
    for client in late:
        crew.body(client, "A worker stood still for a moment, and a client that came meanwhile got no answer")
    for client in (*late, *clients.values()):
        client.close()
    crew.calm()
    crew.attempt.good("one worker stands still: the clients of the others are answered, its own wait in its queue")


def _one_dies(crew: Crew) -> None:
    what = "A worker was killed"
    for victim, listener in sorted(crew.workers.items()):
        os.kill(victim, signal.SIGKILL)
        crew.process.until(lambda: state(victim) in ("Z", ""), 1.0)
        clients = [crew.connect(REQUEST % b"/") for _ in range(10)]
        crew.ended(victim, what)
        if crew.workers[crew.started(f"{what}, and no other one was started")] != listener:
            raise Wrong(f"{what}, and the new one has not its listener.")
        for client in clients:
            crew.body(client, f"{what} and started anew, and a client that came meanwhile got no answer")
            client.close()
    crew.attempt.good("a worker that is killed is started anew, it is no zombie, and no client was refused")


def _two_die(crew: Crew) -> None:
    what = "Two workers were killed at the same moment"
    victims = list(crew.workers)[:2]
    with crew.process.paused():
        for pid in victims:
            os.kill(pid, signal.SIGKILL)
        crew.process.until(lambda: all(state(pid) in ("Z", "") for pid in victims), 1.0)
    for pid in victims:
        crew.workers.pop(pid)
    for number in range(2):
        crew.started(
            f"{what}, and {_count(number)} started anew (one SIGCHLD may stand for several children, signal(7): os.waitpid(-1, "
            "os.WNOHANG) until it gives 0)"
        )
    for pid in victims:
        crew.ended(pid, what, "one of them")
    for client in crew.reach(set(crew.workers), f"{what} and started anew").values():
        client.close()
    crew.attempt.good("two that die at the same moment, too")


def _serve_ends(crew: Crew) -> None:
    for path, how in ENDS.items():
        what = f"serve {how} in a worker"
        first = next(iter(crew.workers))
        with crew.reach({first}, "All workers are at work")[first] as client:
            client.sendall(REQUEST % path.encode())
            crew.ended(first, "A worker was killed")
            crew.happened = what
            second = crew.started("A worker was killed, and no other one was started")
            crew.workers.pop(second)
            try:
                crew.started(f"{what}, and no other one was started")
            except Wrong as wrong:
                if state(second) in ("Z", "") or _SECOND_PARENT in str(wrong):
                    raise
                raise Wrong(f"{wrong} The child is still alive. {_SECOND_PARENT}") from None
            crew.ended(second, f"{what}, it was started anew", "the old process")
    crew.look()
    crew.happened = ""
    crew.attempt.good("serve raises, or returns, in a worker: this process ends, and is started anew")


def _odd_clients(crew: Crew) -> None:
    goes = reset, socket.socket.close, half_close
    for number in range(30):
        client = crew.connect((REQUEST % b"/")[: (0, 1, 30, -1)[number % 4]])
        goes[number % 3](client)
    whole = crew.connect(REQUEST % b"/" + REQUEST % b"/nothing" + REQUEST % b"/")
    half_close(whole)
    crew.process.read(whole, 100_000, "A client sent three requests in one packet and half-closed, and got no end", _PATIENCE)
    if not crew.process.until(lambda: crew.connections() == 0, _PATIENCE):
        raise Wrong(f"30 odd clients have come and gone, and the workers hold {crew.connections()} of their connections still.")
    crew.attempt.good("30 odd clients leave nothing behind in the workers")


def _wrk(crew: Crew) -> None:
    if not (wrk := shutil.which("wrk")):
        crew.attempt.note("wrk is not installed, so it did not ask: sudo apt-get install wrk")
        return
    url = "http://{}:{}/".format(*crew.address)
    command = [wrk, "-t", "1", "-c", "30", "-d", "1s", "--timeout", "30s", url]  # it counts what fails, and not who is slow
    try:
        asked = subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL, text=True, timeout=10)
    except subprocess.TimeoutExpired:
        raise NotChecked("wrk did not end within 10 s; run the check again.") from None
    crew.look()
    errors = re.findall(r"Socket errors: .*|Non-2xx .*", asked.stdout)
    if asked.returncode or errors:
        raise Wrong(f"wrk with 30 connections was not content: {printable((errors or [asked.stderr.strip()[-200:]])[0])}")
    crew.attempt.good("wrk: 30 connections, no socket error")


def _stops(crew: Crew) -> None:
    clients = crew.reach(set(crew.workers), "All workers are at work")
    what = "SIGTERM came to the parent"
    for number in signal.SIGSTOP, signal.SIGCONT:  # each one makes a SIGCHLD, and nobody has ended
        os.kill(next(iter(clients)), number)
        crew.process.until(lambda: (state(next(iter(clients))) == "T") == (number == signal.SIGSTOP), 0.5)
    crew.calm()
    crew.stopping = True
    os.kill(crew.parent, signal.SIGTERM)
    late = f"{what}, and prefork did not return within {_PATIENCE:g} s"
    try:
        reports = list(iter(lambda: crew.report(late)["what"], "returned"))
    except Wrong as wrong:
        raise not_stopped(crew, what, wrong) from None
    _nothing_is_left(crew, what, reports)
    for client in clients.values():
        client.close()
    crew.process.say(again=True)
    crew.process.hear(f"{what}, and open_listeners at the same port again did not return within 1 s")
    crew.attempt.good("SIGTERM: all workers end, none is a zombie, no descriptor is left, the port is free")


def _nothing_is_left(crew: Crew, what: str, reports: list[str]) -> None:
    facts = crew.process.hear("prefork has returned")
    alive = sum(state(pid) not in ("", "Z") for pid in crew.workers)
    zombies = sum(state(pid) == "Z" for pid in crew.workers)
    returned = f"{what}, prefork returned, and"
    causes = {
        f"{returned} {_count(alive)} still alive: send each one SIGTERM, and wait for it (os.waitpid).": alive,
        f"{returned} {zombies} of its workers are zombies: os.waitpid(pid, 0) for each one.": zombies,
        f"{returned} it has killed its workers without a word: send them SIGTERM, which they can take, and finish what they have "
        "begun.": "told" not in reports,
        f"{returned} {facts['open']} of the listeners are still open: close them.": facts["open"],
        f"{returned} {facts['more']} more descriptors are open in the parent than before.": facts["more"] > 0,
        f"{returned} somebody still listens at the port.": listening(crew.address[1]),
    }
    raise_first(causes)


def _count(number: int) -> str:
    """ "no worker was", "1 worker was", "2 workers were"."""
    return f"{number or 'no'} worker{'s' * (number > 1)} {'were' if number > 1 else 'was'}"


CHECKS = {"9.2": check_prefork}
