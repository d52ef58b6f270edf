"""Ten points for a server of many clients: the learner's code runs in a process of its own, and clients talk to it.

A server takes a listening socket, serves without end, and answers each line in capitals.
"""

import gc
import re
import select
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from course_lib.sandbox.attempt import Attempt
from course_lib.sandbox.outcome import Raised, Stuck, Wrong
from course_lib.sandbox.proc import at_port, is_at, listening
from course_lib.sandbox.talk import Talk

from .ends import LONG_LINES, reset

MANY = 20  # clients at once
SMALL = 16_384  # bytes of a send and of a receive buffer: with the default sizes a long answer fits in at once
LONG = 600_000  # bytes of lines whose answers do not fit into the buffers
WINDOW = 0.5  # seconds over which the CPU time of an idle server is taken
IDLE = 0.1  # of a core; a server that spins gets from 0.3 to 1.0, one that sleeps 0.0
HAD_TIME = 0.05  # seconds of CPU time in which a server that reads at all would have read
GREEDY = 2 << 20  # bytes; far more than the buffers of a connection hold while the server does not read
KEPT = 20  # closed sockets; about 12 may still stand in a variable of the last round, and 26 have come and gone
OFTEN = 25  # times in one window to wake up for nothing
_SINGLE = ("accept", "recv", "read", "send", "write", "connect")
_MANY = ("select", "poll", "epoll_wait")


def use_server(talk: Talk, learner: Callable, listener: socket.socket) -> None:
    """Call the learner's server: what runs in the child if `check_server` is told nothing else."""
    tell_closed_sockets(talk)
    learner(listener)
    raise Wrong(f"{learner.__name__} returned; it should serve without end: while True.")


def tell_closed_sockets(talk: Talk) -> None:
    """From now on SIGUSR2 makes this process tell how many closed sockets its lists and variables still hold, and how long a bytearray."""

    def tell(*_: object) -> None:
        gc.collect()  # what nobody keeps any more does not count
        things = gc.get_objects()
        closed = sum(issubclass(type(thing), socket.socket) and thing.fileno() == -1 for thing in things)
        parts = [part for thing in things for part in gc.get_referents(thing) if type(part) is bytearray]
        unread = {id(part) for thing in things if type(thing).__name__ == "Lines" for part in vars(thing).values()}
        talk.tell(closed=closed, unsent=max((len(part) for part in parts if id(part) not in unread), default=0))

    signal.signal(signal.SIGUSR2, tell)


def check_server(attempt: Attempt, *, sleeps: bool = True, inside: Callable = use_server) -> None:
    """Test the learner's server from outside, as its clients see it, up to the first point that it fails.

    `inside(talk, learner, listener)` runs in the child. With `sleeps` the server has to sleep while nobody talks.
    Raises Wrong; its text names the cause and the line.
    """
    trial = Trial(attempt, sleeps, inside)
    with trial.explained():
        for point in (
            _answers,
            _second_client,
            _more_messages,
            _pieces,
            _idle,
            _many,
            _ends,
            _slow_reader,
            _resets,
            _greedy,
            _all_gone,
        ):
            point(trial)


class Trial:
    """The server under test, and what its clients do to it."""

    def __init__(self, attempt: Attempt, sleeps: bool = True, inside: Callable = use_server, send_buffer: int = SMALL) -> None:
        self.sleeps, self.attempt, self.happened = sleeps, attempt, ""
        listener = attempt.listen(send_buffer)
        self.address = listener.getsockname()
        self.run = attempt.run(inside, listener)
        self.own = 0  # sockets that the server holds when it has no client
        self.first = self.second = None  # two clients that stay until the end
        self.clients: list[socket.socket] = []  # those of the many that are still there

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Turn an exception of the learner's code, or of a client, into the sentence that names its cause."""
        try:
            try:
                yield
            except ConnectionRefusedError:
                self.run.explain_end()
                raise Wrong("A new client was refused: nobody listens any more. Do you close the listener?") from None
            except OSError as error:
                raise self.attempt.cause(error) from None
        except Raised as error:
            why = _why(error)
            if error.type in ("ValueError", "OSError") and not self.listens():
                # `with listener:` closes it after the error; then a client's socket may be what was closed too early
                why = ("Is it the listener that was closed? It must stay open for the next clients. " + why).rstrip()
            raise Wrong(f"{self.happened}{error}", why, "no socket" if "fileno" in error.text else "", error) from None

    def connect(self, receive_buffer: int | None = None) -> socket.socket:
        return self.attempt.connect(self.address, receive_buffer)

    def send(self, client: socket.socket, data: bytes) -> None:
        """Like sendall(), and each part may take its time. A connection that the server has cut shows when we read."""
        try:
            while data:
                used = self.run.cpu()
                try:
                    data = data[client.send(data) :]
                except TimeoutError:
                    if not _writable(client) and (self.run.state() != "R" or self.run.cpu() - used > 0.5):
                        raise
                    self.run.watch(0)  # other programs have the processor
        except ConnectionError:
            pass

    def receive(self, client: socket.socket, size: int, seconds: float = 1.0) -> tuple[bytes, Stuck | None]:
        """What comes within `seconds`, at most `size` bytes; and, if that is not all and not the end, what the server does."""
        try:
            return self.run.read(client, size, "", seconds), None
        except Stuck as stuck:
            return stuck.data, stuck

    def ask(self, client: socket.socket, line: bytes, what: str) -> None:
        """Send a line; its answer must come."""
        self.send(client, line)
        self.expect(client, line, what)

    def expect(self, client: socket.socket, sent: bytes, what: str) -> None:
        """These lines were sent; their answers must come, and nothing else before them."""
        answer = sent.upper()
        got, stuck = self.receive(client, len(answer))
        if got == answer:
            return
        if stuck and not got:
            raise self.unanswered(client, what, stuck)
        if not stuck:
            self.run.explain_end()
        if not got:
            raise Wrong(f"{what}: it got b'', the end. The server closed this connection too early.")
        if got.lower() == sent:
            raise Wrong(f"A client sent {sent!r} and got {got!r}: answer in capitals.")
        if got + b"\n" == answer:
            raise Wrong(f"A client sent {sent!r} and got {got!r}: the answer has no b'\\n' at its end.")
        end = "nothing more within 1 s" if stuck else "then the end" if len(got) < len(answer) else ""
        raise Wrong(f"A client sent {sent!r} and got {got!r}{end and ', '}{end}, not {answer!r}.")

    def unanswered(self, client: socket.socket, what: str, stuck: Stuck, private: bool = True) -> Wrong:
        """No answer came: why not? The kernel knows how far the client's bytes have come.

        `private`: nobody else may get this answer.
        """
        accepted, unread = self.way(client)
        call = stuck.call if stuck.asleep else ""
        others = (self.first, self.second, *self.clients)
        astray = next((other for other in others if other not in (None, client) and _readable(other)), None)
        if private and astray and (data := astray.recv(100, socket.MSG_PEEK)):
            why = f"Another client got {data!r}: each connection needs its own buffer for answers."
        elif not stuck.asleep:
            self.run.watch(0)
            why = "It does not come to this client." if unread else ""
            if accepted is False:
                why = "The client waits in the accept queue."
            elif self.run.until(lambda: self.way(client)[1] < unread, 0.1):
                why = "It reads, but slowly: how many bytes does each recv() take, and how often is each byte copied?"
        elif call == "sleep":
            why = "No client can wake it there: sleep in the call that waits for the sockets."
        elif call in _SINGLE:
            why = f"{call}() waits for ONE socket ({call}(2)), and meanwhile nobody looks after the others."
        elif call and call not in _MANY:
            why = ""
        elif accepted is False:
            why = "The client waits in the accept queue: is the listener among those you wait for, in every round?"
            if call == "epoll_wait":
                why += " With EPOLLET, accept until BlockingIOError (epoll(7))."
        elif unread:
            why = (
                "The client's bytes have arrived, nobody reads them: is its connection among those you wait for, in every round?"
            )
            if call == "epoll_wait":
                why += " With EPOLLET, read until BlockingIOError (epoll(7))."
        else:
            why = (
                "The client's bytes were read, and the answer was not sent: is a connection with unsent bytes among those "
                "that you wait for to be writable?"
            )
        return Wrong(f"{what}: {your_server(stuck)}. {why}".rstrip())

    def listens(self) -> bool:
        """Is the listener still open?"""
        return bool(listening(self.address[1]))

    def way(self, client: socket.socket) -> tuple[bool | None, int]:
        """Is the client's connection accepted (None: there is none), and how many of its bytes has nobody read?"""
        port = client.getsockname()[1]
        for fields in at_port(self.address[1]):
            if is_at(fields[2], port):
                return fields[9] != "0", int(fields[4].partition(":")[2], 16)  # a queued connection has no inode yet
        return None, 0

    def read_all(self, client: socket.socket) -> None:
        """Wait until the server has read what this client sent; if it does not, the missing answer will tell."""
        self.run.until(lambda: self.way(client) == (True, 0), 0.5)

    def holds(self, clients: int) -> Stuck | None:
        """Wait until the server holds this many connections; if it does not within 1 s, what it does instead."""
        watch = self.run.stopwatch()
        while self.run.sockets() != self.own + clients:
            try:
                if watch.passed() < 1.0:
                    self.run.watch(0.005)
                else:
                    self.run.hear("", 0.2)
            except Stuck as stuck:
                return stuck if self.run.sockets() != self.own + clients else None
        return None

    def keeps(self, what: str) -> int:
        """How many closed sockets ("closed") it still keeps, or bytes in its longest bytearray outside of Lines ("unsent")."""
        if not self.run.interrupt(signal.SIGUSR2):
            return 0
        return self.run.hear("The server did not come back from a call within 1 s")[what]

    def settle(self) -> None:
        """Let it do what it can do now, until it sleeps; one that never sleeps gets a tenth of a second."""
        self.run.watch(0.01)
        self.run.until(lambda: self.run.state() != "R", 0.1)

    def idle(self, when: str, why: str = "") -> None:
        """Nobody talks: it must sleep, where a client can wake it. Two windows must agree before it is blamed."""
        if not self.sleeps:
            return
        for window in range(2):
            cpu, runs, naps, wakes = self._window()
            if cpu < IDLE and runs < 0.5 and naps < 0.5:
                if wakes <= OFTEN:
                    return
        line = self.run.where()
        if cpu < IDLE and runs < 0.5 and naps < 0.5:
            raise Wrong(
                f"{when}, and your server woke up {wakes} times in {WINDOW:g} s{line}: a time limit makes it look for nothing, again "
                "and again. Sleep until a socket is ready."
            )
        if naps >= 0.5:
            raise Wrong(
                f"{when}, and your server sleeps{line}, where no client can wake it: whoever comes waits until the time is "
                "over. Sleep in the call that waits for the sockets."
            )
        raise Wrong(f"{when}, yet your server runs all the time (CPU {cpu:.0%}){line}.{why and ' '}{why}")

    def calm(self, when: str, why: str = "") -> None:
        """The short form of `idle`: seen asleep again and again, it is believed."""
        if self.sleeps and not self.run.until(self._sleeps_five_times, 0.3):
            self.idle(when, why)

    def _sleeps_five_times(self) -> bool:
        for _ in range(5):
            if self.run.state() != "S":
                return False
            self.run.watch(0.004)
        return True

    def naps_long(self) -> str:
        """The line in which it sleeps by the clock, for a tenth of a second or longer; else ""."""
        woke = self.run.wakes()
        if all(self.naps() for _ in range(40)) and self.run.wakes() - woke <= 2:  # 40 looks take 0.2 s
            return self.run.where()
        return ""

    def naps(self) -> bool:
        """Does it sleep by the clock, where no socket can wake it?"""
        self.run.watch(0.005)
        return self.run.asleep_in() == "sleep"

    def _window(self) -> tuple[float, float, float, int]:
        """Over half a second: share of a core, share of looks at which it runs, or sleeps by the clock; times it woke up."""
        begin, used, woke = time.monotonic(), self.run.cpu(), self.run.wakes()
        looks, runs, naps = 0, 0, 0
        while (passed := time.monotonic() - begin) < WINDOW:
            self.run.watch(0.02)
            looks += 1
            runs += self.run.state() == "R"
            naps += self.naps()
        return min(1.0, (self.run.cpu() - used) / passed), runs / looks, naps / looks, self.run.wakes() - woke


def _answers(trial: Trial) -> None:
    trial.settle()  # a server that does not wait for its first client shows it now
    trial.first = trial.connect()
    trial.ask(trial.first, b"hello\n", "A client sent a line and got no answer within 1 s")
    trial.own = trial.run.sockets() - 1
    trial.attempt.good("a client is answered")


def _second_client(trial: Trial) -> None:
    trial.second = trial.connect()
    trial.ask(trial.second, b"hello\n", "The first client is silent, and a second one got no answer within 1 s")
    trial.run.alone()
    if trial.sleeps and all(trial.naps() for _ in range(5)):
        trial.idle("Nobody talks")  # it sleeps by the clock, and everything would be late
    if not trial.sleeps and (line := trial.naps_long()):
        raise Wrong(
            f"Nobody talks, and your server sleeps{line}. No client can wake it there: each of them waits until the nap is over. "
            "Leave it out, or make it a few milliseconds."
        )
    trial.attempt.good("a second client is answered while the first one is silent")


def _more_messages(trial: Trial) -> None:
    for line in b"again\n", b"and again\n":
        trial.send(trial.first, line)
        got, stuck = trial.receive(trial.first, len(line))
        if not got and not stuck:
            trial.run.explain_end()
            raise Wrong(
                "A second message on the same connection: the client got b'', the end. Do you close after the first answer? "
                "Close when recv() gives b''."
            )
        if not got:
            raise trial.unanswered(trial.first, "A second message on the same connection got no answer within 1 s", stuck)
        if got != line.upper():
            raise Wrong(f"A client sent {line!r} after other messages and got {got!r}, not {line.upper()!r}.")
    trial.attempt.good("more messages on the same connection")


def _pieces(trial: Trial) -> None:
    for one, other in zip(b"hello\n", b"WORLD\n"):
        for client, byte in (trial.first, one), (trial.second, other):
            trial.send(client, bytes([byte]))
            trial.read_all(client)
        if one == ord("h"):
            trial.settle()
            if _readable(trial.first) and (data := trial.first.recv(100)):
                raise Wrong(
                    f"A client sent b'h', the first byte of a line, and got {data!r}: a piece without b'\\n' is not a line "
                    "yet. Keep it until the rest has come (Lines)."
                )
    got, stuck = trial.receive(trial.first, 6)
    if got != b"HELLO\n":
        what = "A client sent b'hello\\n' one byte at a time, while another one sent b'WORLD\\n'"
        if not got and stuck:
            raise trial.unanswered(trial.first, f"{what}: it got no answer within 1 s", stuck)
        if not stuck:
            trial.run.explain_end()
        if set(got) & set(b"WRD"):
            why = "The two share one buffer: each connection needs its own."
        elif got.startswith(b"HELLO"):
            why = "Only b'\\n' ends a line, and the answer ends with one too."
        elif got.startswith(b"H"):
            why = "A piece without b'\\n' is not a line yet: keep it until the rest has come."
        else:
            why = "Its first bytes were lost: keep the unfinished part of a line until the rest has come."
        raise Wrong(f"{what}, and got {got!r}. {why} TCP keeps no borders between messages (tcp(7)).")
    what = "Two clients sent a line each, one byte at a time; the second one got no answer within 1 s"
    trial.expect(trial.second, b"WORLD\n", what)
    trial.send(trial.first, b"one\ntwo\n")
    got, stuck = trial.receive(trial.first, 8)
    if got == b"ONE\n":
        raise Wrong("Two lines arrived together, only the first was answered: TCP keeps no borders between messages (tcp(7)).")
    if got != b"ONE\nTWO\n":
        if not got and stuck:
            raise trial.unanswered(trial.first, "Two lines arrived together and got no answer within 1 s", stuck)
        trial.run.explain_end()
        raise Wrong(f"A client sent b'one\\ntwo\\n' and got {got!r}, not b'ONE\\nTWO\\n'.")
    trial.attempt.good("a line in pieces, two lines in one packet: each client has a buffer of its own")


def _idle(trial: Trial) -> None:
    trial.idle(
        "Nobody talks",
        "Either it does not wait (a time limit of 0?), or it asks for something that is always so: a socket with nothing "
        "to send is writable nearly always, so ask for writable only while there is something to send (select(2)).",
    )
    if trial.sleeps:
        trial.attempt.good("nobody talks: it sleeps")


def _many(trial: Trial) -> None:
    clients = []
    for word in b"hello", b"again":
        lines = [b"%s from %02d\n" % (word, number) for number in range(1, MANY + 1)]
        with trial.run.paused():
            clients = clients or [trial.connect() for _ in lines]
            for client, line in zip(clients, lines):
                trial.send(client, line)
        answers, last = [], None
        for client, line in zip(clients, lines):
            got, stuck = trial.receive(client, len(line), 0.05 if last else 1.0)  # one has had its second
            answers.append(got)
            last = stuck or last
        _right_answers(trial, clients, lines, answers, last)
    trial.clients = clients
    trial.attempt.good(f"{MANY} clients at once, and none of them is forgotten")


def _right_answers(trial: Trial, clients: list, lines: list[bytes], answers: list[bytes], stuck: Stuck | None) -> None:
    expected = [line.upper() for line in lines]
    for number, (got, answer) in enumerate(zip(answers, expected), 1):
        if got and got != answer:
            trial.run.explain_end()
            if any(other in got for other in expected if other != answer):
                raise Wrong(
                    f"{MANY} clients at once: client {number} sent {lines[number - 1]!r} and got {got!r}, the answer to "
                    "another one. Each connection needs its own buffer for answers."
                )
            raise Wrong(f"{MANY} clients at once: client {number} sent {lines[number - 1]!r} and got {got!r}, not {answer!r}.")
    missing = [number for number, got in enumerate(answers, 1) if not got]
    if not missing:
        return
    if not stuck:
        trial.run.explain_end()
        raise Wrong(f"{MANY} clients at once: client {missing[0]} got b'', the end. The server closed its connection too early.")
    what = f"{MANY} clients sent a line at the same moment, and {_those(missing)} got no answer within 1 s"
    raise trial.unanswered(clients[missing[0] - 1], what, stuck)


def _ends(trial: Trial) -> None:
    leaving, closing = trial.clients[:5], trial.clients[5:10]
    trial.clients = trial.clients[10:]
    trial.happened = "A client finished sending and your server died: "
    with trial.run.paused():
        for client in leaving:
            trial.send(client, b"one\ntwo\nthree\n")
            client.shutdown(socket.SHUT_WR)
    open_yet, last = [], None
    for number, client in enumerate(leaving, 1):
        got, stuck = trial.receive(client, 14 + 1, 0.05 if last else 1.0)
        last = stuck or last
        if got != b"ONE\nTWO\nTHREE\n":
            what = "A client sent three lines, half-closed, and got"
            if not stuck:
                trial.run.explain_end()
            if not b"ONE\nTWO\nTHREE\n".startswith(got):
                raise Wrong(f"{what} {got!r}, not b'ONE\\nTWO\\nTHREE\\n'.")
            if not stuck:
                raise Wrong(
                    f"{what} {got.count(10)} of 3 answers, then the end: b'' says that it sends no more, but it still reads "
                    "(shutdown(2)). First answer all you have, then close."
                )
            raise trial.unanswered(client, f"{what} {got.count(10)} of 3 answers within 1 s", stuck)
        if stuck:
            open_yet.append(number)
    if open_yet:
        raise _still_open(trial, open_yet, last, "half-closed and got all their answers")
    left = MANY - 5
    trial.happened = "A client left and your server died: "
    with trial.run.paused():
        for client in closing:
            client.close()
        for client in trial.clients[:3]:
            trial.send(client, b"still here\n")
    for client in trial.clients[:3]:
        trial.expect(client, b"still here\n", "Some clients left, and another one got no answer within 1 s")
    left -= 5
    if stuck := trial.holds(2 + left):
        number = trial.run.sockets() - trial.own - 2 - left
        if number <= 0:
            raise Wrong("Five clients left, and your server closed connections of clients that are still there.")
        raise _still_open(trial, list(range(number)), stuck, "left", count=True)
    why = "recv() gives b'' again and again when the client has gone (recv(2)): close, and forget it."
    trial.calm("A client left and nobody talks", why)
    trial.attempt.good("clients that leave, and clients that half-close: first all answers, then the end")


def _still_open(trial: Trial, numbers: list[int], stuck: Stuck, did: str, count: bool = False) -> Wrong:
    """Some of five connections that are over stay open."""
    if not stuck.asleep and trial.sleeps:
        why = "recv() gives b'' again and again when the client has finished (recv(2)): leave the loop, or close and forget it."
    elif len(numbers) == 1:
        why = (
            "Is close() called for each of them? A socket that is only forgotten stays open as long as one variable holds it. And to "
            "remove from a list while a loop goes over it skips the next one."
        )
    elif len(numbers) < 5:
        why = (
            "Were they skipped? To remove from a list while a loop goes over it skips the next one: loop over a copy, list(...)."
        )
    else:
        why = "When recv() has given b'' and all answers are sent, close the socket and forget it."
    those = f"{len(numbers)} of their connections" if count else f"the connections of {_those(numbers)}"
    cause = "skipped" if stuck.asleep and len(numbers) < 5 else ""
    return Wrong(f"Five clients {did}, and {those} stay open: {your_server(stuck)}.", why, cause)


def _resets(trial: Trial) -> None:
    trial.happened = "A client crashed (its connection was reset) and your server died: "
    talking, gone, waiting, trial.clients = trial.clients[0], trial.clients[1], trial.clients[2], trial.clients[3:]
    trial.ask(talking, b"hello\n", "A client got no answer within 1 s")
    reset(talking)
    with trial.run.paused():
        trial.send(gone, b"hello\n")
        reset(gone)
        client = trial.connect()  # it stands in the accept queue, and there it stays when it has gone
        reset(client)
        client = trial.connect()
        trial.send(client, b"hello\n")
        client.close()
    trial.ask(trial.first, b"hello\n", "Some clients were reset, and another one got no answer within 1 s")
    trial.happened = "A client sent lines of 50 000 bytes, and your server died: "
    trial.send(waiting, LONG_LINES)
    got, stuck = trial.receive(waiting, 1)
    if not got:
        if stuck:
            raise trial.unanswered(waiting, "A client sent lines of 50 000 bytes and got no answer within 1 s", stuck)
        trial.run.explain_end()
        raise Wrong("A client sent lines of 50 000 bytes and got b'', the end.")
    trial.settle()
    trial.happened = "A client was reset in the middle of its answer, and your server died: "
    reset(waiting)  # in the middle of its answer
    trial.ask(trial.first, b"hello\n", "A client was reset in the middle of its answer, and another one got no answer within 1 s")
    if stuck := trial.holds(2 + len(trial.clients)):
        number = trial.run.sockets() - trial.own - 2 - len(trial.clients)
        raise Wrong(
            f"Five clients left, four of them with a reset, and {still_open(number)}: {your_server(stuck)}. "
            "After a reset nobody is left to answer: close the socket and forget it."
        )
    trial.calm("A client was reset and nobody talks", "After a reset nothing more will come: close the socket, and forget it.")
    trial.attempt.good("clients that are reset, or gone before accept(), do not end it")


def _slow_reader(trial: Trial) -> None:
    trial.happened = "A client does not read its long answer, and your server died: "
    lines = [
        b" ".join(b"%05d" % number for number in range(begin, begin + 10_000)) + b"\n" for begin in range(0, LONG // 6, 10_000)
    ]
    line = b"".join(lines)  # no two parts of it are the same
    slow = trial.connect(receive_buffer=SMALL)
    trial.send(slow, line)
    got, stuck = trial.receive(slow, 1)
    if not got and stuck:
        raise trial.unanswered(slow, f"A client sent lines of {LONG} bytes in all and got no answer within 1 s", stuck)
    trial.send(trial.first, b"hello\n")
    other, stuck = trial.receive(trial.first, 6)
    if stuck and not other:
        raise Wrong(
            "One client does not read its long answer, and meanwhile another one got no answer within 1 s: "
            f"{your_server(stuck)}. Send what fits, keep the rest, and go on with it when the socket is writable (send(2))."
        )
    trial.calm(
        "One client does not read its long answer, nobody else talks",
        "The send buffer is full: wait until the socket is writable, and do not try again before.",
    )
    _long_answer(trial, slow, line, got)
    trial.send(slow, line)
    slow.shutdown(socket.SHUT_WR)
    got, stuck = trial.receive(slow, 1)
    trial.calm("One client does not read its long answer and has half-closed, nobody else talks", _AFTER_END)
    _long_answer(trial, slow, line, got, " and half-closed")
    got, stuck = trial.receive(slow, 1)
    if stuck:
        raise Wrong(
            f"A client half-closed and got its long answer, and then no end: {your_server(stuck)}. "
            "When b'' has come and all answers are sent, close the socket."
        )
    trial.calm("A long answer was sent and nobody talks", "Ask for writable only while there is something to send (select(2)).")
    trial.attempt.good(f"a slow reader gets all of its {LONG} bytes, and nobody waits for it")


def _greedy(trial: Trial) -> None:
    """A client that sends and never reads. Whose memory does it fill, its own or the server's?"""
    trial.happened = "A client sent and never read, and your server died: "
    greedy = trial.connect(receive_buffer=SMALL)
    greedy.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SMALL)
    greedy.setblocking(False)
    sent, quiet, used = 0, 0, trial.run.cpu()
    while sent < GREEDY and quiet < 5 and trial.run.cpu() - used < HAD_TIME:
        try:
            sent += greedy.send(b"greedy client\n" * 1000)
            quiet, used = 0, trial.run.cpu()
        except BlockingIOError:
            trial.run.watch(0.004)
            quiet += trial.run.state() == "S" and not _writable(greedy)
        except ConnectionError:
            break  # the server has cut it off, which is another good answer
    if sent >= GREEDY:
        raise Wrong(
            f"A client sends and never reads: your server took {GREEDY >> 20} MB from it and keeps all the answers in memory. While "
            "answers wait, do not ask for readable (want_read)."
        )
    reset(greedy)


def _readable(client: socket.socket) -> bool:
    return bool(select.select([client], [], [], 0)[0])


def _writable(client: socket.socket) -> bool:
    return bool(select.select([], [client], [], 0)[1])


_AFTER_END = "A socket at its end is readable for ever: after b'' do not ask for readable any more."


def _long_answer(trial: Trial, slow: socket.socket, line: bytes, got: bytes, and_: str = "") -> None:
    rest, stuck = trial.receive(slow, LONG - len(got))
    got += rest
    if got == line.upper():
        return
    if not stuck:
        trial.run.explain_end()
    what = f"A client sent lines of {LONG} bytes in all{and_}, read slowly, and"
    if line.upper().startswith(got) and and_ and not stuck:
        raise Wrong(
            f"{what} got {len(got)} of them, then the end: b'' says that it sends no more, but it still reads (shutdown(2)). "
            "Close when all answers are sent."
        )
    if len(got) < LONG:
        if line.upper().startswith(got) and stuck and (unsent := trial.keeps("unsent")):
            raise Wrong(
                f"{what} {len(got)} came back; {unsent} more wait in a bytearray of yours, and nobody sends them: {your_server(stuck)}. "
                "Wait for this socket to be writable, too, while something is to be sent (want_write)."
            )
        raise Wrong(
            f"{what} {len(got)} came back: send() takes what fits and returns how much (send(2)). Keep the rest, and send "
            "it when the socket is writable. sendall() on a socket that does not wait gives up in the middle."
        )
    raise Wrong(
        f"{what} other bytes came back, or the same ones twice: send() returns how many bytes it took (send(2)). "
        "Take away exactly these: del outbuf[:sent]."
    )


def _all_gone(trial: Trial) -> None:
    trial.happened = "All clients left and your server died: "
    with trial.run.paused():
        for client in trial.first, trial.second, *trial.clients:
            client.close()
    if stuck := trial.holds(0):
        number = trial.run.sockets() - trial.own
        if number < 0:
            raise Wrong("All clients have left, and your server has closed a socket of its own: the listener?")
        raise Wrong(
            f"All clients have left, and {still_open(number)}: {your_server(stuck)}. Close each one when "
            "recv() has given b'', and look at every client in every round."
        )
    trial.ask(trial.connect(), b"hello\n", "All clients have left, and a new one got no answer within 1 s")
    if (closed := trial.keeps("closed")) > KEPT:
        raise Wrong(
            f"Your server has closed its connections, and still keeps {closed} of them in a list, a dict or a set: it grows "
            "with every client that ever came. Forget each one when you close it."
        )
    trial.idle("Only one client is left and it is silent", "recv() gives b'' again and again when a client has gone (recv(2)).")
    trial.run.alone()
    trial.attempt.good("when all have gone, no descriptor is left" + (", and it sleeps" if trial.sleeps else ""))


def _why(error: Raised) -> str:
    """What the learner's exception says about a server."""
    text = error.text
    if error.type == "ValueError" and re.search(r"\(-1\)|is closed", text):
        why = "A closed socket has the number -1, which select() refuses: take it out of your lists before you close it."
    elif error.type == "ValueError" and "remove" in text:
        why = "It was taken out before: one socket can be readable and writable in the same round."
    elif error.type == "ValueError" and "line" in text:
        why = "Lines raises it for too long a line: let go of this client."
    elif error.type == "BlockingIOError":
        why = "Ready is a hint (select(2), BUGS), and a full send buffer is no error: catch it, keep what was not sent, go on."
        if "sendall" in error.line:
            why = "When sendall() fails, nobody knows how much went out (Python docs, socket.sendall): send(), and keep the rest."
    elif error.type in ("RuntimeError", "IndexError") and ("changed size" in text or "out of range" in text):
        why = "Do not add or remove while a loop goes over it: loop over a copy, list(...)."
    elif error.type == "KeyError":
        why = "This connection was forgotten before: one socket can be readable and writable in the same round."
    elif re.search(r"'tuple' object has no attribute|must be an int, or have a fileno", text):
        why = "accept() returns the pair (connection, address)."
        if "fileno" in text:
            why = "select() takes sockets or their numbers, or whatever has a method fileno()."
    elif error.errno == 9:  # EBADF
        why = "You used a socket after you had closed it: forget it in the same moment."
    elif error.errno == 107:  # ENOTCONN
        why = "Its client has gone already, perhaps before accept() came to it."
    else:
        why = ""
    return why


def _those(numbers: list[int]) -> str:
    """ "client 3", "clients 2 and 4", "clients 1, 2, 3 and 4"."""
    *most, last = map(str, numbers)
    return f"clients {', '.join(most)} and {last}" if most else f"client {last}"


def still_open(number: int) -> str:
    return "1 of their connections is still open" if number == 1 else f"{number} of their connections are still open"


def your_server(stuck: Stuck) -> str:
    """ "your server sleeps in line 3, `...`"."""
    return stuck.doing.replace("it ", "your server ", 1)
