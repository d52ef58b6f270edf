"""Making a film: hold, look, let go, and let clients act when the server can do no more."""

import inspect
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from dataclasses import replace
from threading import Thread as SystemThread
from threading import enumerate as all_threads
from typing import TYPE_CHECKING

from course_lib.clients import clients_of
from course_lib.kernel import Call, Descriptor, Pending, descriptors, doing
from course_lib.kernel.descriptors import zombies
from course_lib.kernel.observed import cpu_seconds
from course_lib.kernel.recorder import WAITS

from .actors import Actor, Cast
from .film import ClientView, Film, Moment, Thread, place_of
from .queue import in_accept_queue
from .ready import ReadyLists
from .source import Position, label_of, listing, position
from .words import watched

if TYPE_CHECKING:
    from course_lib.servers import Server

Script = Callable[[Callable[..., Actor]], Generator[None, None, None]]

MOST = 400  # calls
_BUSY = 2.0  # seconds of CPU time that a server may compute between two calls
_LASTING = 0.3  # seconds after which a sleep that is no wait for a socket, such as time.sleep(), counts as one
_UNDER_WAY = 0.3  # seconds that are given to what was sent: a busy kernel hands a packet over a little later
_A_LOOK = 0.005  # seconds for which one look counts at the most: while a busy machine lets nobody look, nothing is waited for
_AT_ONCE = 1 << 16  # bytes that surely arrive; of a bigger block, so much as there is room for
_SLEEPS = WAITS | {"accept", "recv", "send"}
_LABELS = {
    **dict.fromkeys(WAITS, "wait"),
    "accept": "accept",
    **dict.fromkeys(("recv", "recv_into", "recvfrom", "recvmsg"), "read"),
    **dict.fromkeys(("send", "sendall", "sendmsg"), "answer"),
    **dict.fromkeys(("close", "shutdown"), "let go"),
}


def film(server: "Server", script: Script | None = None, calls: int = 40) -> Film:
    """Film a server: a moment before each of its next calls, and whenever it sleeps.

    server  a Server, of the course or of one's own; one that does not run is started for the film and stopped after it
    script  a generator function of clients. It is called with `connect`: `alice = connect()` connects a client, which has
            send(bytes), half_close(), close(), reset() and slow = True. After each `yield` the server has come as far as it
            can: it sleeps, or asks again and again in vain.
    calls   at most so many calls, 1 to 400. The film ends before, when the server sleeps and the script is over.

    Raises TypeError and ValueError for what cannot be filmed, and what the script raises.
    """
    if not (hasattr(server, "standing") and hasattr(server, "descriptors")):
        raise TypeError(
            f"film() takes a server of course_lib.servers, or one of your own that is a Server, not {type(server).__name__}"
        )
    if isinstance(server, type):
        raise TypeError(f"film() takes a server, not its class: film({server.__name__}(), …)")
    if script is not None and not inspect.isgeneratorfunction(script):
        raise TypeError(
            "script is a generator function: def script(connect): alice = connect(); yield; alice.send(b'hello'); yield"
        )
    if type(calls) is not int or not 1 <= calls <= MOST:
        raise ValueError(f"calls is a number from 1 to {MOST}, not {calls!r}")
    return _Camera(server, script, calls).film()


def _title(server: "Server") -> str:
    """Its class, with what it was made with besides the usual: "EpollServer(edge_triggered=True)"."""
    told = []
    for name, parameter in inspect.signature(type(server)).parameters.items():
        value = getattr(server, name, None)
        if name != "port" and isinstance(value, (bool, int, float, str)) and value != parameter.default:
            told.append(f"{name}={value!r}")
    return type(server).__name__ + (f"({', '.join(told)})" if told else "")


class _Camera:
    def __init__(self, server: "Server", script: Script | None, calls: int) -> None:
        self.server, self.calls = server, calls
        self.cast = Cast(lambda: server.address, self._settle)
        self.script: Iterator | None = script(self.cast.connect) if script else None
        self.moments: list[Moment] = []
        self.inside: dict[SystemThread | None, Pending] = {}  # the call that a thread was let into
        self.seen: set[tuple] = set()  # calls that were heard of
        self.came: list[Call] = []  # those that the next moment tells
        self.vain: Counter[tuple] = Counter()  # calls since the last one that brought something
        self.turns: dict[SystemThread | None, int] = {}  # when a thread was last let go
        self.met: dict = {}  # peer -> name of each connection, in the order in which they were met
        self.moved: Counter[tuple[str | None, str | None]] = Counter()  # ("read" or "answer", a client's name) -> bytes
        self.ready = ReadyLists()
        self.strangers = {*all_threads()} - {*server.threads}
        self.owners: dict[int, str] = {}  # whose a number was at the last moment
        self.gone: dict[int, str] = {}  # whose a number was that stands in an interest list although it was closed

    def film(self) -> Film:
        server = self.server
        starts, held = not server.running, server.held
        self.seen = {_key(call) for call in server.calls(64)}
        server.hold()
        try:
            if starts:
                server.start()
            ending = self._roll()
        finally:
            self.cast.leave()
            self.ready.close()
            if starts:
                server.stop()
            if not held:
                server.run_on()
        spots = [spot for m in self.moments if m.position for spot in (*m.position.callers[::-1], m.position.own)]
        return Film(_title(server), tuple(self.moments), listing(spots), ending)

    def _roll(self) -> str:
        """Take the moments; returns why the film ends."""
        made = 0
        while True:
            state = self._settle()
            if state == "ended":
                self._hear()
                self.moments.append(self._moment(None))
                return f"The server has ended: it was {self.server.fate}." if self.server.fate else "The server has stopped."
            if state == "busy":
                return f"The server computes, and makes no call for {_BUSY:.0f} s of CPU time."
            self._hear()
            call = min(self.server.standing, key=self._turn, default=None)
            # A loop may look in passing who is ready, and then run a task: a wait is in vain when it is so again and again.
            if call and self.script and self.vain[call.name, call.descriptor] >= (3 if call.name in WAITS else 1):
                self._act()
                continue
            self.moments.append(self._moment(call))
            if not call:
                if not self._act():
                    return "The server sleeps, and no client does anything more."
                continue
            if made == self.calls:
                return f"The film was to be of {self.calls} calls."
            made += 1
            self._let_go(call, made)

    @property
    def threads(self) -> list[SystemThread]:
        """The server's threads, and those that came during the film or made one of its calls: its program has begun them."""
        its = self.server.threads
        self.strangers.difference_update(its)
        return its + [thread for thread in all_threads() if thread not in self.strangers and thread not in its]

    def _settle(self) -> str:
        """Wait until each thread stands before a call ("held"), sleeps, or the server has "ended" or is "busy" computing."""
        met, waited, looked, calm = dict[SystemThread, float](), 0.0, time.monotonic(), 0
        while True:
            self.cast.look()
            if not self.server.running:
                self._see_the_end()
                return "ended"
            before, looked = looked, time.monotonic()
            waited += min(looked - before, _A_LOOK)
            standing = {call.thread for call in self.server.standing}
            others = [thread for thread in self.threads if thread not in standing]
            calm = calm + 1 if all(self._sleeps(thread, waited) for thread in others) else 0
            there = standing or others  # else it has just ended
            if there and (calm > 2 or not others) and standing == {call.thread for call in self.server.standing}:
                self._hear()
                if self._arrived() or waited > _UNDER_WAY:
                    return "held" if standing else "asleep"
            used = {thread: cpu_seconds([thread]) for thread in self.threads}
            met = used | met  # what each had used when it was met
            if sum(used.values()) - sum(met[thread] for thread in used) > _BUSY:
                return "busy"
            time.sleep(0.0005)

    def _see_the_end(self) -> None:
        """Let the clients see what the server's end has done to them."""
        for _ in range(round(_UNDER_WAY / _A_LOOK)):
            self.cast.look()
            if not any(a.open and not a.slow and a.state in ("connecting", "connected", "half-closed") for a in self.cast.actors):
                break
            time.sleep(_A_LOOK)

    def _sleeps(self, thread: SystemThread, since: float) -> bool:
        """Is it asleep in the kernel, and will it be until somebody acts?"""
        now = doing(thread)
        if now.call in ("accept", "recv"):
            return now.asleep and not any(row.readable or row.hangup for row in descriptors(now.descriptor))
        return now.asleep and (now.call in _SLEEPS or since > _LASTING)

    def _arrived(self) -> bool:
        """Has all that was sent come to the other side's kernel?"""
        rows = {row.peer or row.kind: row for row in self.server.descriptors()}
        left = 0
        for actor in (actor for actor in self.cast.actors if hasattr(actor, "address")):
            row = rows.get(actor.address)
            if (
                actor.state == "connecting"
                or actor.open
                and not actor.slow
                and actor.received < min(self.moved["answer", actor.name], _AT_ONCE)
            ):
                return False
            if row is None:
                left += actor.address not in self.met
                if actor.open and actor.address in self.met and actor.state in ("connected", "half-closed"):
                    return False
            elif actor.state != "reset" and self.moved["read", actor.name] + (row.receive_queue or 0) < min(actor.sent, _AT_ONCE):
                return False
            elif actor.state in ("half-closed", "closed", "reset") and not row.hangup:
                return False
        return "listener" not in rows or rows["listener"].accept_queue is None or rows["listener"].accept_queue >= min(left, 100)

    def _act(self) -> bool:
        """Let the script's clients do their next step; False when there is none."""
        self.vain.clear()
        if self.script is None:
            return False
        try:
            next(self.script)
        except StopIteration:
            self.script = None
            return self.cast.acted  # after the last yield
        return True

    def _turn(self, call: Pending) -> tuple[int, int]:
        """Who goes first: the thread that has not gone for the longest time, of new ones the older."""
        threads = self.threads
        return self.turns.get(call.thread, 0), threads.index(call.thread) if call.thread in threads else len(threads)

    def _let_go(self, call: Pending, turn: int) -> None:
        self.vain[call.name, call.descriptor] += 1
        self.inside[call.thread], self.turns[call.thread] = call, turn
        self.server.step(0, of=call.thread)

    # A moment

    def _moment(self, call: Pending | None) -> Moment:
        server, rows = self.server, self._rows(call)
        came, self.came = tuple(self.came), []
        names = self._names(rows)
        threads = self._threads(call, names)
        now = threads[0].call if threads else None
        where = call.thread if call else self.threads[0] if threads else None
        spot = position(where, type(server)) if where else None
        loop = server.tasks()
        left = self._zombies(rows)
        self.owners |= names
        return Moment(
            acts=self.cast.acts(),
            came=came,
            threads=threads,
            label=self._label(now, spot),
            position=spot,
            descriptors=tuple(rows),
            names=names,
            waiting=self._waiting(rows),
            ready=self.ready.look(rows, came),
            handed_in=server.handed_in() if now and now.name in ("select", "poll") else None,
            came_back=server.came_back(),
            tasks=None if loop is None else tuple(replace(task, seconds=None) for task in loop),
            clients=tuple(ClientView(a.name, a.state, a.sent, a.received, a.last) for a in self.cast.actors),
            zombies=left,
        )

    def _zombies(self, rows: list[Descriptor]) -> tuple[tuple[int, str, str], ...]:
        found = {number: watcher for row in rows if row.kind == "epoll" for number, watcher in zombies(row.number)}
        self.gone = {number: self.gone.get(number) or self.owners.get(number, "somebody") for number in found}
        return tuple((number, self.gone[number], watched(watcher)) for number, watcher in found.items())

    def _hear(self) -> None:
        """Take note of the calls that came back."""
        for call in self.server.calls(64):
            if _key(call) not in self.seen:
                self.seen.add(_key(call))
                self.came.append(call)
                if _brought(call):
                    self.vain.clear()
                if isinstance(call.result, int) and self.moments:
                    self.moved[_LABELS.get(call.name), self.moments[-1].name(call.descriptor)] += call.result
                made = call.name, call.descriptor
                over = (thread for thread, its in self.inside.items() if (its.name, its.descriptor) == made)
                self.inside.pop(next(over, None), None)

    def _rows(self, call: Pending | None) -> list[Descriptor]:
        rows = self.ready.without_own(self.server.descriptors())
        if call and call.descriptor is not None and all(row.number != call.descriptor for row in rows):
            rows += descriptors(call.descriptor)  # an epoll that watches nothing yet
        order = list(self.met)
        return sorted(
            rows,
            key=lambda row: (
                place_of(row),
                order.index(row.peer) if row.peer in self.met else len(order),
                row.number,
            ),
        )

    def _names(self, rows: list[Descriptor]) -> dict[int, str]:
        known = clients_of(self.server).labels | {a.address: a.name for a in self.cast.actors if hasattr(a, "address")}
        for row in rows:
            if row.peer and row.peer not in self.met:
                self.met[row.peer] = known.get(row.peer) or f"client {len(self.met) + 1}"
        return {row.number: self.met[row.peer] if row.peer else row.kind for row in rows}

    def _threads(self, call: Pending | None, names: dict[int, str]) -> tuple[Thread, ...]:
        standing = {one.thread: one for one in self.server.standing}
        found = []
        for thread in self.threads:
            now = doing(thread)
            inside = standing.get(thread) or self.inside.get(thread) or (Pending(now.call, now.descriptor) if now.call else None)
            found.append((thread, Thread("", inside, thread not in standing, call is not None and thread is call.thread)))
        first = [thread.next for _, thread in found].index(True) if call else 0
        order = found[first : first + 1] + found[:first] + found[first + 1 :]

        def name(thread: SystemThread, call: Pending | None) -> str:
            if len(found) == 1:
                return "the thread"
            if thread is found[0][0]:
                return "the first thread"
            number = call.descriptor if call else None
            return f"the thread of {'a client' if number is None else names.get(number, 'a client')}"

        return tuple(replace(view, name=name(thread, view.call)) for thread, view in order)

    def _label(self, call: Pending | None, spot: Position | None) -> str:
        if call is None:
            return "let go"
        if call.name in _LABELS:
            return _LABELS[call.name]
        return spot and label_of(spot.own) or "wait"

    def _waiting(self, rows: list[Descriptor]) -> tuple[str, ...]:
        count = sum(row.accept_queue or 0 for row in rows)
        labels = dict(clients_of(self.server).labels) if count else {}
        there = {address for row in rows if row.accept_queue for address in in_accept_queue(row)} if labels else set()
        left = [name for address, name in labels.items() if address in there]  # they came before the film
        left += [a.name for a in self.cast.actors if getattr(a, "address", None) not in self.met]
        return tuple((left + ["a client"] * count)[:count])


def _key(call: Call) -> tuple:
    return call.entered, call.name, call.descriptor


def _brought(call: Call) -> bool:
    """Did a call change anything? One that found nothing did not."""
    if call.error in ("EAGAIN", "EWOULDBLOCK"):
        return False
    return call.name not in WAITS or call.result not in ("[]", "[], [], []")
