"""A server of many clients under test: the learner's code runs in a process of its own, and clients talk to it."""

import gc
import itertools
import re
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from course_lib.ports import at_port, listening
from course_lib.sandbox import Attempt, NotChecked, Raised, Stuck, Talk, Wrong, why

from .ends import CLOSED, readable, writable
from .probe import first, raise_first

SMALL = 16_384  # bytes of a send and of a receive buffer: with the default sizes a long answer fits in at once
WINDOW = 0.5  # seconds over which the CPU time of an idle server is taken
IDLE = 0.1  # of a core; a server that spins gets from 0.3 to 1.0, one that sleeps 0.0
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


class Server:
    """The learner's server in its process, and its clients."""

    def __init__(self, attempt: Attempt, inside: Callable = use_server, send_buffer: int | None = None) -> None:
        self.attempt, self.good, listener = attempt, attempt.good, attempt.listen(send_buffer)
        self.address = listener.getsockname()
        self.process = attempt.start(inside, listener)

    def connect(self, receive_buffer: int | None = None) -> socket.socket:
        return self.attempt.connect(self.address, receive_buffer)

    def receive(self, client: socket.socket, size: int, seconds: float = 1.0) -> tuple[bytes, Stuck | None]:
        """What comes within `seconds`, at most `size` bytes; and, if that is not all and not the end, what the server does."""
        try:
            return self.process.read(client, size, "", seconds), None
        except Stuck as stuck:
            return stuck.data, stuck


class ServerTrial(Server):
    """A server of many clients under test, and what its clients do to it."""

    def __init__(self, attempt: Attempt, sleeps: bool = True, inside: Callable = use_server, send_buffer: int = SMALL) -> None:
        super().__init__(attempt, inside, send_buffer)
        self.sleeps, self.happened = sleeps, ""
        self.own = 0  # sockets that the server holds when it has no client
        self.stay: list[socket.socket] = []  # clients that stay until the end, in the order in which they came
        self.clients: list[socket.socket] = []  # those of the many that are still there

    first = property(lambda self: self.stay[0])
    second = property(lambda self: self.stay[1])

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Turn an exception of the learner's code, or of a client, into the sentence that names its cause."""
        try:
            try:
                yield
            except ConnectionRefusedError:
                self.process.explain_end()
                raise Wrong("A new client was refused: nobody listens any more. Do you close the listener?") from None
            except OSError as error:
                raise self.attempt.cause(error) from None
        except Raised as error:
            cause = why(_CAUSES, error.type, error.text, error.errno, error.line)
            if error.type in ("ValueError", "OSError") and not self.listens():
                # `with listener:` closes it after the error; then a client's socket may be what was closed too early
                cause = f"Is it the listener that was closed? It must stay open for the next clients. {cause}".rstrip()
            raise Wrong(f"{self.happened}{error}", cause, "no socket" if "fileno" in error.text else "", error) from None
        except Wrong:
            if self.strangers():
                raise NotChecked("Another program has connected to the port of this check; run the check again.") from None
            raise

    def send(self, client: socket.socket, data: bytes) -> None:
        """Like sendall(), and each part may take its time. A connection that the server has cut shows when we read."""
        try:
            while data:
                used = self.process.cpu()
                try:
                    data = data[client.send(data) :]
                except TimeoutError:
                    if not writable(client) and (self.process.state() != "R" or self.process.cpu() - used > 0.5):
                        raise
                    self.process.watch(0)  # other programs have the processor
        except ConnectionError:
            pass

    def answer(self, client: socket.socket, right: bytes, what: str) -> tuple[bytes, Stuck | None]:
        """What comes instead of the right answer, as `receive` tells it; something must come.

        An exception of the learner's that cut it short is raised.
        """
        got, stuck = self.receive(client, len(right))
        if stuck and not got:
            raise self.unanswered(client, what, stuck)
        if got != right and not stuck:
            self.process.explain_end()
        return got, stuck

    def ask(self, client: socket.socket, line: bytes, what: str) -> None:
        """Send a line; its answer must come."""
        self.send(client, line)
        self.expect(client, line, what)

    def expect(self, client: socket.socket, sent: bytes, what: str) -> None:
        """These lines were sent; their answers must come, and nothing else before them."""
        answer = sent.upper()
        got, stuck = self.answer(client, answer, what)
        if got == answer:
            return
        if not got:
            raise Wrong(f"{what}: it got b'', the end. The server closed this connection too early.")
        if got.lower() == sent:
            raise Wrong(f"A client sent {sent!r} and got {got!r}: answer in capitals.")
        if got + b"\n" == answer:
            raise Wrong(f"A client sent {sent!r} and got {got!r}: the answer has no b'\\n' at its end.")
        end = "nothing more within 1 s" if stuck else "then the end" if len(got) < len(answer) else ""
        raise Wrong(f"A client sent {sent!r} and got {got!r}{end and ', '}{end}, not {answer!r}.")

    def unanswered(self, client: socket.socket, what: str, stuck: Stuck, private: bool = True) -> Wrong:
        """Why no answer came: the kernel knows how far the client's bytes are. `private`: nobody else may get this answer."""
        accepted, unread = self.way(client)
        call = stuck.call if stuck.asleep else ""
        others = [other for other in (*self.stay, *self.clients) if other is not client and other.fileno() != -1]
        astray = next(filter(readable, others), None) if private else None
        if astray and (data := astray.recv(100, socket.MSG_PEEK)):
            why = f"Another client got {data!r}: each connection needs its own buffer for answers."
        elif not stuck.asleep:
            self.process.watch(0)
            if accepted is False:
                why = "The client waits in the accept queue."
            elif self.process.until(lambda: self.way(client)[1] < unread, 0.1):
                why = "It reads, but slowly: how many bytes does each recv() take, and how often is each byte copied?"
            else:
                why = self._unread(stuck.line) if unread else ""
        else:
            why = self._unwoken(call, accepted is False, unread)
        return Wrong(f"{what}: {stuck.does('your server')}.", why)

    def _unwoken(self, call: str, queued: bool, unread: int) -> str:
        """Why it sleeps in this call: is the client in the accept queue, or are bytes of it unread?"""
        at_edges = call == "epoll_wait"
        blocking = " The listener is blocking." * (call == "accept")  # with O_NONBLOCK it never sleeps
        accepts = " With EPOLLET, accept until BlockingIOError (epoll(7))." * at_edges
        reads = " With EPOLLET, read until BlockingIOError; with EPOLLONESHOT, modify() it each time (epoll(7))." * at_edges
        causes = {
            "No client can wake it there: sleep in the call that waits for the sockets.": call == "sleep",
            f"{call}() waits for ONE socket ({call}(2)), and meanwhile nobody looks after the others.{blocking}": call in _SINGLE,
            "": call and call not in _MANY,
            f"The client waits in the accept queue: is the listener among those you wait for, in every round?{accepts}": queued,
            "The client's bytes have arrived, nobody reads them: is its connection among those you wait for, in every "
            f"round?{reads}": unread,
            "The client's bytes were read, and the answer was not sent: is a connection with unsent bytes among those "
            "that you wait for to be writable?": True,
        }
        return first(causes)

    def _unread(self, line: str) -> str:
        """Why it runs in this line and reads nothing of a client: a few looks tell whether it waits for sockets again and again."""
        lines = itertools.chain([line], (self.process.where() for _ in range(5)))
        if self.sleeps and any(re.search(r"(select|poll|wait|ready)\(", each) for each in lines):
            return "This client's socket is readable, and nobody calls recv() on it, so each wait for it returns at once."
        return "It does not come to this client."

    def listens(self) -> bool:
        """Is the listener still open?"""
        return bool(listening(self.address[1]))

    def strangers(self) -> bool:
        """Is somebody connected to the server who is none of our clients? He had business with the last owner of this port."""
        connected = (each.peer[1] for each in at_port(self.address[1]) if each.state == "ESTABLISHED")
        return any(port not in self.attempt.ports for port in connected)

    def way(self, client: socket.socket) -> tuple[bool | None, int]:
        """Has the server the client's connection, accepted and not closed (None: there is none)? How many bytes has nobody read?"""
        ours = client.getsockname()
        return next(((each.inode != 0, each.unread) for each in at_port(self.address[1]) if each.peer == ours), (None, 0))

    def read_all(self, client: socket.socket) -> None:
        """Wait until the server has read what this client sent; if it does not, the missing answer will tell."""
        self.process.until(lambda: self.way(client) == (True, 0), 0.5)

    def holds(self, clients: int) -> Stuck | None:
        """Wait until the server holds this many connections; if it does not within 1 s, what it does instead."""
        watch = self.process.stopwatch()
        while self.process.sockets() != self.own + clients:
            try:
                if watch.passed() < 1.0:
                    self.process.watch(0.005)
                else:
                    self.process.hear("", 0.2)
            except Stuck as stuck:
                return stuck if self.process.sockets() != self.own + clients else None
        return None

    def lets_go(self, left: str, why: str, of: int) -> None:
        """Clients have `left`; it must come to hold no more than this many connections."""
        if stuck := self.holds(of):
            number = self.process.sockets() - self.own - of
            if number < 0 and not of:
                raise Wrong(f"{left}, and your server has closed a socket of its own: the listener?")
            raise Wrong(f"{left}, and {still_open(number)}: {stuck.does('your server')}.", why)

    def keeps(self, what: str) -> int:
        """How many closed sockets ("closed") it still keeps, or bytes in its longest bytearray outside of Lines ("unsent")."""
        if not self.process.interrupt(signal.SIGUSR2):
            return 0
        return int(self.process.hear("The server did not come back from a call within 1 s")[what])

    def happens(self, what: str) -> None:
        """`what` begins the message if it dies from now on; what it dies of now came before."""
        self.process.settle()
        self.happened = what

    def idle(self, when: str, why: str = "") -> None:
        """Nobody talks: it must sleep, where a client can wake it. Two windows must agree before it is blamed.

        A window in which it could have run and mostly had no processor tells nothing: then there is another one.
        """
        if not self.sleeps or self.process.until(self.process.sleeps_for_ever, 0.1):
            return
        windows = 0
        while windows < 2:
            cpu, naps, wakes, runs = self._window()
            if cpu < IDLE and runs > 0.5:
                continue
            if cpu < IDLE and naps < 0.5 and wakes <= OFTEN:
                return
            windows += 1
        line = self.process.where()
        causes = {
            f"{when}, and your server woke up {wakes} times in {WINDOW:g} s{line}: a time limit makes it look for nothing, again "
            "and again. Sleep until a socket is ready.": cpu < IDLE and naps < 0.5,
            f"{when}, and your server sleeps{line}, where no client can wake it: whoever comes waits until the time is "
            "over. Sleep in the call that waits for the sockets.": naps >= 0.5,
            f"{when}, yet your server runs all the time (CPU {cpu:.0%}){line}.{why and ' '}{why}": True,
        }
        raise_first(causes)

    def calm(self, when: str, why: str = "") -> None:
        """The short form of `idle`: seen asleep again and again, it is believed."""
        if self.sleeps and not self.process.until(self._sleeps_five_times, 0.3):
            self.idle(when, why)

    def _sleeps_five_times(self) -> bool:
        for _ in range(5):
            if self.process.state() != "S":
                return False
            self.process.watch(0.004)
        return True

    def naps_long(self) -> str:
        """The line in which it sleeps by the clock, for a tenth of a second or longer; else ""."""
        sleeps = (self.process.asleep_in() == "sleep" for _ in self.process.own_time(0.1))
        if any(sleeps) and self.process.wakes_within(0.2) <= 2:
            return self.process.where()
        return ""

    def naps(self) -> bool:
        """Does it sleep by the clock, where no socket can wake it?"""
        self.process.watch(0.005)
        return self.process.asleep_in() == "sleep"

    def _window(self) -> tuple[float, float, int, float]:
        """Over half a second of its own: share of a core, of looks at which it sleeps by the clock; times it woke up.

        And the share of looks at which it runs, or waits for a processor.
        """
        used, woke, looks, states = self.process.cpu(), self.process.wakes(), [""], ""
        for passed in self.process.own_time(WINDOW):
            looks += filter(None, [self.process.asleep_in()])
            states += self.process.state()
        share = min(1.0, (self.process.cpu() - used) / passed)
        return share, looks.count("sleep") / len(looks), self.process.wakes() - woke, states.count("R") / max(1, len(states))


# What an exception says about a server.
_CAUSES = {
    r"ValueError: \(-1\)|is closed": "A closed socket has the number -1, which select() refuses: take it out of your lists before you "
    "close it.",
    "ValueError: remove": "It was taken out before: one socket can be readable and writable in the same round.",
    "ValueError: line": "Lines raises it for too long a line: let go of this client.",
    "BlockingIOError in sendall": "When sendall() fails, nobody knows how much went out (Python docs, socket.sendall): send(), and "
    "keep the rest.",
    "BlockingIOError": "Ready is a hint (select(2), BUGS), and a full send buffer is no error: catch it, keep what was not sent, go on.",
    "RuntimeError IndexError: changed size|out of range": "Do not add or remove while a loop goes over it: loop over a copy, list(...).",
    "KeyError": "This connection was forgotten before: one socket can be readable and writable in the same round.",
    ": must be an int, or have a fileno|'tuple' object has no attribute 'fileno'": "select() takes sockets or their numbers, or whatever has a method fileno().",
    ": 'tuple' object has no attribute": "accept() returns the pair (connection, address).",
    **CLOSED,
    "ENOTCONN": "Its client has gone already, perhaps before accept() came to it.",
}


def still_open(number: int) -> str:
    return "1 of their connections is still open" if number == 1 else f"{number} of their connections are still open"
