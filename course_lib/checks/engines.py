"""One check for the engines on select(), poll() and epoll: the learner's engine runs in a process of its own."""

import fcntl
import gc
import select
import socket
import time
import weakref
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING

from course_lib.sandbox import Attempt, Raised, Talk, Wrong, explained

from .ends import accepted, empty, fill, readable, reset
from .engine_trial import CALLS, EARLY, OF_THE_CLASS, TAKE_OUT, EngineTrial, causes
from .epoll_list import EVENTS, copy_lives_on, costs_the_same, count_epoll_ctl, kernel_keeps, many_events, room
from .probe import raise_first

if TYPE_CHECKING:
    from course_lib.sandbox.checked_process import CheckedProcess

_SYSTEM_CALL = {"poll": "poll", "select": "select", "epoll": "epoll_wait"}
_HIGH = 1500  # a descriptor number that select() refuses
_PASSING = 30  # sockets that are watched and unwatched, one after the other


def check_engine(attempt: Attempt, kind: str) -> None:
    """Test an engine on "poll", "select" or "epoll". Raises Wrong with the cause."""
    listener = attempt.listen()
    address = listener.getsockname()
    try:
        process = attempt.start(partial(_use_engine, kind), listener)
    except Wrong as wrong:
        if "'select." in wrong.cause:  # it stands in the body of the class
            raise Wrong(
                f"A poll or epoll object outside of the methods of {attempt.name} belongs to all engines: make it in __init__."
            ) from None
        raise
    try:
        process.hear(f"{attempt.name} did not answer within 1 s")
        _waits_without_limit(process, kind)
        attempt.connect(address)
        process.hear("wait(None): a client has connected, the listener is watched, and wait did not return within 1 s")
        attempt.good("None is no limit: it sleeps until a client connects")
        told = process.hear(f"{attempt.name} did not answer within 1 s")
    except Raised as error:
        raise explained(error, causes(kind)) from None
    process.alone()
    if 0 < told["events"] < EVENTS:
        attempt.note(
            f"{EVENTS} sockets were ready, and wait() told of {told['events']}; the others come with the next call. Python's "
            "epoll.poll(timeout, maxevents) hands over at most FD_SETSIZE-1 = 1023 events by default."
        )
    if told["copied"]:
        attempt.note(
            "a socket was closed before unwatch(), and a copy of its descriptor lived on, as in a forked process: "
            f"{told['copied']}. Its entry stays in the list, under a number that you do not know (epoll(7)); only a new "
            "list is rid of it. With unwatch() before close() it never comes so far."
        )


def _waits_without_limit(process: "CheckedProcess", kind: str) -> None:
    if process.until(lambda: process.asleep_in() == _SYSTEM_CALL[kind] and process.sleeps_for_ever(), 0.1):
        return
    process.watch(0.1)  # nobody comes, so it must go on waiting
    process.until(process.asleep_in, 0.5)
    call = process.asleep_in()
    if call and call != _SYSTEM_CALL[kind]:
        how = "by the clock" if call == "sleep" else f"in {call}()"
        raise Wrong(
            f"wait(None) sleeps {how}{process.where()}. Asked is {CALLS[kind]}: it sleeps until one of the sockets is ready."
        )
    if process.wakes_within(0.15) > 2:
        raise Wrong(
            f"wait(None) wakes up again and again{process.where()}, and nobody comes: one call of {CALLS[kind]}, with None."
        )


def _use_engine(kind: str, talk: Talk, learner: Callable, listener: socket.socket) -> None:
    counted = count_epoll_ctl(learner) if kind == "epoll" else []
    parts: list[Callable] = [_nothing_ready, _waits_for_ever, _ready, _changes, _unwatches, _hangs_up]
    if kind != "select":
        parts.append(_high_number)
    if kind == "epoll":
        parts += [partial(kernel_keeps, counted), costs_the_same, many_events, copy_lives_on]
    told = {}
    for part in parts:
        with ExitStack() as stack:
            told[part] = part(EngineTrial(kind, talk, learner, listener, stack))
    talk.tell(events=told.get(many_events, 0), copied=told.get(copy_lives_on, ""))


def _waits_for_ever(engine: EngineTrial) -> None:
    data = engine.watch(engine.listener, "the listener", True, False)
    engine.talk.tell()
    used = time.process_time()
    got = engine.wait(None)
    used = time.process_time() - used
    if not readable(engine.listener):
        raise Wrong("wait(None) returned and nobody had connected: None is for ever, and 0 is to look once.")
    if used > 0.04:
        raise Wrong(
            f"wait(None) used the processor while it waited. One call of {CALLS[engine.kind]} sleeps for ever, with None."
        )
    when = "The listener is watched for reading and a client has connected"
    engine.compare(when, "wait(None)", got, (data, True, False, False))
    engine.listener.accept()[0].close()
    engine.talk.tell()


def _nothing_ready(first: EngineTrial) -> None:
    (one, its_peer), second, engine = first.pair(), first.another(), first.another()
    of_the_class = [value for value in vars(first.learner).values() if isinstance(value, (dict, list, set))]
    before = list(map(len, of_the_class))
    first.watch(one, "one", False, True)
    if list(map(len, of_the_class)) != before:
        raise Wrong(OF_THE_CLASS)
    first.talk.step("Nothing has come, and wait(0) did not return within 1 s: 0 is to look once")
    if got := second.wait(0):
        told = f"Two engines: a socket was watched by the first one, and the second one told {first.shown(got)}."
        raise Wrong(f"{told} {OF_THE_CLASS}")
    first.unwatch(one)
    fill(one)
    engine.watch(one, "one", True, False)
    engine.expect("`one` is watched for reading and nothing has come")
    engine.sleeps("Nothing has come", EARLY[engine.kind])
    engine.waits_a_short_time()
    second.sleeps("Nobody is watched", "A loop whose tasks all sleep waits so for its next timer: hand `seconds` on in any case.")
    empty(its_peer)  # from now on `one` is writable
    engine.expect("`one` is watched for reading and nothing has come")
    engine.sleeps(
        "Nothing has come and `one` is watched for reading",
        "`one` is writable, which nobody asked for: what the kernel waits for must be what watch() was told.",
    )
    engine.talk.good("nothing is ready: an empty list when the time is over, and until then it sleeps")


def _ready(engine: EngineTrial) -> None:
    (one, its_peer), (other, others_peer) = engine.pair(), engine.pair()
    first, second = engine.watch(one, "one", True, False), engine.watch(other, "other", True, False)
    its_peer.send(b"hello")
    engine.expect("Bytes have come for `one`", (first, True, False, False))
    if not readable(one) or one.recv(100, socket.MSG_PEEK) != b"hello":
        raise Wrong("After wait() the bytes were gone: it only looks, and reading is for the caller.")
    how = ", which is level-triggered, without EPOLLET and EPOLLONESHOT (epoll(7))" if engine.kind == "epoll" else ""
    late = f": a state is told as long as it lasts{how}"
    engine.expect("The bytes of `one` are still unread", (first, True, False, False), late=late)
    one.recv(100)
    engine.expect("`one` was read until nothing was left")
    third = _both_ways(engine, other, others_peer, second)
    if any(sock.fileno() == -1 or not sock.getblocking() for sock in (one, other, third)):
        raise Wrong("The engine closed a socket, or changed whether it is blocking: it only looks.")
    engine.talk.good("readable, writable or both, as asked, and as long as it lasts; each socket once")


def _both_ways(engine: EngineTrial, other: socket.socket, others_peer: socket.socket, second: object) -> socket.socket:
    """`other` is watched for reading, with the data `second`. Returns a third socket."""
    third, its_own = engine.pair()
    data = engine.watch(third, "third", False, True)
    engine.expect("`third` is watched for writing and its send buffer has room", (data, False, True, False))
    its_own.send(b"hello")
    engine.expect("`third` is watched for writing; it could be read too, but nobody asked", (data, None, True, False))
    data = engine.watch(third, "third", True, True)
    others_peer.send(b"hello")
    when = "`third` is watched for both, and readable and writable; `other` has bytes"
    engine.expect(when, (second, True, False, False), (data, True, True, False))
    fill(third)
    when = "The send buffer of `third` is full; `third` and `other` have bytes"
    engine.expect(when, (second, True, False, False), (data, True, False, False))
    others_peer.shutdown(socket.SHUT_WR)
    other.recv(100)
    engine.expect("The peer of `other` has half-closed", (second, True, False, False), (data, True, False, False))
    return third


def _changes(engine: EngineTrial) -> None:
    one, its_peer = engine.pair()
    old = engine.watch(one, "one", False, True)
    engine.expect("`one` is watched for writing", (old, False, True, False))
    new = engine.watch(one, "one, changed", True, False)
    engine.expect("`one` was watched for writing, then for reading")
    its_peer.send(b"hello")
    engine.expect("`one` was watched for reading with new data, and bytes have come", (new, True, False, False))
    engine.watch(one, "one, for nothing", False, False)
    engine.expect("`one` is watched for neither reading nor writing, and has bytes")
    engine.sleeps(
        "`one` has bytes, room to send, and is watched for neither",
        "The kernel still waits for something that watch() took back: a new mask takes the place of the old one.",
    )
    anything: tuple[object, ...] = 0, ("a", "tuple"), socket.socket, {}
    for data in anything:
        engine.watch(one, repr(data), True, False, data)
        engine.expect(f"`one` was watched with {data!r} as data: any object will do", (data, True, False, False))
    engine.engine.watch(one, True, False, None)
    engine.engine.watch(its_peer, False, True, None)
    engine.names[id(None)] = "None"
    when = "Two sockets were watched with None as data: any object will do"
    engine.expect(when, (None, True, False, False), (None, False, True, False))
    engine.talk.good("watch() again changes what is waited for, and data; any object is data")


class _Data:
    """Data that one can see disappear."""


def _unwatches(engine: EngineTrial) -> None:
    (one, its_peer), (other, others_peer) = engine.pair(), engine.pair()
    engine.watch(one, "one", True, False)
    data = engine.watch(other, "other", True, False)
    its_peer.send(b"hello")
    others_peer.send(b"hello")
    engine.unwatch(one)
    engine.expect("`one` and `other` have bytes, `one` was unwatched", (data, True, False, False))
    other.recv(100)
    take_out = f"The kernel still waits for `one`: {TAKE_OUT[engine.kind]}."
    engine.sleeps("`one` has bytes and was unwatched, `other` has none", take_out)
    data = engine.watch(one, "one", True, False)
    engine.expect("`one` was unwatched and is watched again", (data, True, False, False))
    one.close()
    engine.unwatch(one)
    engine.expect("`one` was closed and then unwatched")
    _forgets(engine)
    engine.talk.good("unwatch(), also of a closed socket: it is forgotten")


def _forgets(engine: EngineTrial) -> None:
    kept_data, kept_sockets = weakref.WeakSet[_Data](), weakref.WeakSet[socket.socket]()
    for number in range(_PASSING):
        (sock, peer), thing = engine.pair(), _Data()
        kept_data.add(thing)
        kept_sockets.add(sock)
        peer.send(b"hello")
        engine.engine.watch(sock, True, False, thing)
        engine.names[id(thing)] = "data of the new one"
        if number % 2:
            engine.expect("A new socket, with the number of a closed one, is watched and has bytes", (thing, True, False, False))
            engine.unwatch(sock)
            sock.close()
        else:
            sock.close()
            engine.unwatch(sock)
        peer.close()
        del engine.names[id(thing)]
    engine.stack.pop_all().close()
    del thing, sock, peer
    gc.collect()
    for most, kept in ("the data of most of them", len(kept_data)), ("most of them", len(kept_sockets)):
        if kept > _PASSING / 5:
            raise Wrong(
                f"{_PASSING} sockets were watched and unwatched, and the engine still holds {most}: it grows with every client that ever "
                "came. Take the entry out of each dict and list."
            )


def _hangs_up(engine: EngineTrial) -> None:
    client = engine.stack.enter_context(socket.create_connection(engine.listener.getsockname()))
    sock = engine.stack.enter_context(accepted(engine.listener, client))
    data = engine.watch(sock, "one", True, False)
    client.send(b"!", socket.MSG_OOB)
    if readable(sock, 0.3, select.POLLPRI):
        engine.expect("An urgent byte has come for `one`, which recv() does not give (tcp(7)), and it is watched for reading")
    reset(client)
    what = "The peer of `one` sent a reset"
    if engine.kind == "select":
        engine.expect(f"{what}; `one` is watched for reading", (data, True, None, None))
        engine.talk.good("a peer that hung up: the socket is readable")
        return
    for read, write, how in (True, False, "reading"), (False, True, "writing"), (False, False, "neither reading nor writing"):
        data = engine.watch(sock, "one", read, write)
        _told_as_hup(engine, data, f"{what}, `one` is watched for {how}", "POLLHUP", read, write)
    engine.unwatch(sock)
    engine.expect("`one` had hung up and was unwatched")
    one, its_peer = engine.pair()
    its_peer.close()
    data = engine.watch(one, "one", False, False)
    _told_as_hup(engine, data, "The peer of `one`, a local socket, has closed, and no error waits", "POLLHUP")
    engine.unwatch(one)
    _waiting_error(engine)
    engine.talk.good("hup: the peer hung up, or an error waits; also where neither reading nor writing was asked for")


def _told_as_hup(engine: EngineTrial, data: object, what: str, bit: str, read: bool = False, write: bool = False) -> None:
    """The kernel reports this bit, unasked, as long as it lasts, and so must wait(). `read`, `write`: what was asked for."""
    reports = f"{what}, and the kernel reports {bit}, which it does unasked (poll(2))"
    for before in False, True:
        got, _ = engine.timed(what)
        _, readable, writable, hup = got[0] if got else (None, False, False, False)
        returned = f"wait(0.2) returned {engine.shown(got)}"
        causes = {
            f"{reports}: the first wait(0.2) told of it, and the second did not. To take a socket out is for the caller, with "
            "unwatch().": not got and before,
            f"{reports}. wait(0.2) told nothing of it: so nobody closes, and no wait sleeps any more.": not got,
            f"{reports}. {returned}, not one entry with the data of `one`.": len(got) != 1 or got[0][0] is not data,
            f"{reports}. {returned}: hup must be True, or it comes back for ever and nobody closes.": not hup,
            f"{what}. {returned}: nobody asked for readable; only hup comes unasked.": readable > read,
            f"{what}. {returned}: nobody asked for writable; only hup comes unasked.": writable > write,
        }
        raise_first(causes)


def _waiting_error(engine: EngineTrial) -> None:
    """POLLERR without POLLHUP: a UDP socket whose datagram nobody took (ICMP port unreachable)."""
    gone, udp = (engine.stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) for _ in range(2))
    gone.bind(("127.0.0.1", 0))
    udp.connect(gone.getsockname())
    gone.close()
    udp.send(b"x")
    if not readable(udp, 0.3, event=0):
        return  # this machine's loopback does not say so
    data = engine.watch(udp, "one", False, False)
    _told_as_hup(engine, data, "An error waits in `one`", "POLLERR")
    engine.unwatch(udp)


def _high_number(engine: EngineTrial) -> None:
    if not room(_HIGH + 1):
        return
    one, its_peer = engine.pair()
    high = engine.stack.enter_context(socket.socket(fileno=fcntl.fcntl(one, fcntl.F_DUPFD_CLOEXEC, _HIGH)))
    data = engine.watch(high, "one", True, False)
    its_peer.send(b"hello")
    engine.expect(f"The socket with the number {high.fileno()} has bytes", (data, True, False, False))
    engine.unwatch(high)
    engine.talk.good(f"descriptor {_HIGH}, far above the wall of select()")
