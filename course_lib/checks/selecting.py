"""Checks of notebook 04: one wait for all, a server on it, and where it ends."""

import errno
import fcntl
import os
import resource
import select
import socket
import time
from collections.abc import Callable
from types import FunctionType

from course_lib.sandbox.attempt import Attempt
from course_lib.sandbox.outcome import NotChecked, Raised, Stuck, Wrong
from course_lib.sandbox.proc import open_numbers
from course_lib.sandbox.stopwatch import Stopwatch
from course_lib.sandbox.talk import Talk, own_frame
from course_lib.sandbox.words import a, where
from course_lib.solutions.selecting import fd_limit

from .ends import TOO_LONG, reset
from .harness import SMALL, Trial, check_server, still_open, your_server

_LONG = 1.2  # seconds without a client: longer than the time limit that somebody puts into the wait
_OFTEN = 15  # times to wake up for nothing
_ONE_WAIT = "One call of select() sleeps until something is ready: hand it the whole `timeout`."


def check_ready(attempt: Attempt) -> None:
    listener = attempt.listen()
    address = listener.getsockname()
    run = attempt.run(_use_ready, listener)
    told = run.hear("ready did not answer within 1 s")
    woke = run.wakes()
    run.watch(_LONG)  # nobody comes, so it must go on waiting
    if (times := run.wakes() - woke) > _OFTEN:
        raise Wrong(f"ready([listener], [], None) woke up {times} times in {_LONG:g} s, and nobody had come. {_ONE_WAIT}")
    attempt.connect(address)
    run.hear("ready([listener], [], None): a client has connected, and ready did not return within 1 s")
    attempt.good("None is no limit: it waits until a client connects")
    if told["high"]:
        attempt.note("it takes descriptor 1024, so it is not select() that you call. What was asked it does.")
    run.alone()


def _use_ready(talk: Talk, learner: Callable, listener: socket.socket) -> None:
    (one, its_peer), (other, others_peer) = socket.socketpair(), socket.socketpair()
    names = {one: "one", other: "other", listener: "listener"}

    def gives(readers: list, writers: list, timeout: float | None, expected: tuple[list, list], when: str) -> None:
        lists = list(readers), list(writers)
        call = f"ready({_named(readers, names)}, {_named(writers, names)}, {timeout})"
        if timeout == 60:
            talk.step(f"{call}: {when}, and it did not return within 1 s")
        got = learner(*lists, timeout)
        _is_pair_of_lists(got, call)
        for which, found, right in zip(("first", "second"), got, expected):
            if set(found) != set(right) or len(found) != len(right):
                raise Wrong(f"{call}: {when}. The {which} list is {_named(found, names)}, not {_named(right, names)}.")
        if lists != (readers, writers):
            raise Wrong(f"{call} changed a list that it was given: the caller still needs it.")

    talk.step("ready([one, other], [], 0) did not return within 1 s: 0 is to look once and not to wait")
    gives([one, other], [], 0, ([], []), "nothing has come")
    talk.step("ready([one, other], [], 0.3) did not return within 1.3 s: `timeout` counts seconds", 1.3)
    watch, begin, used, woke = Stopwatch(), time.monotonic(), time.process_time(), _wakes()
    gives([one, other], [], 0.3, ([], []), "nothing has come")
    if time.monotonic() - begin < 0.25:
        raise Wrong("ready([one, other], [], 0.3): nothing had come, and it did not wait 0.3 s. Hand `timeout` on to select().")
    if time.process_time() - used > watch.passed() / 5:
        raise Wrong("ready([one, other], [], 0.3) used the processor while it waited: select() sleeps, if you hand it `timeout`.")
    if (times := _wakes() - woke) > _OFTEN:
        raise Wrong(f"ready([one, other], [], 0.3) woke up {times} times, and nothing had come. {_ONE_WAIT}")
    gives([], [], 0, ([], []), "there is nothing to wait for")
    talk.good("nothing is ready: two empty lists, when the time is over")

    talk.step("Something is ready, and ready() did not return within 1 s")
    its_peer.send(b"hello")
    gives([one, other], [], 60, ([one], []), "bytes have come for `one`")
    one.setblocking(False)
    try:
        left = one.recv(100)
    except BlockingIOError:
        left = b""
    if left != b"hello":
        raise Wrong("After ready() the bytes were gone: it only looks, and reading is for the caller.")
    gives([], [one, other], 60, ([], [one, other]), "both send buffers have room")
    others_peer.close()
    gives([one, other], [], 60, ([other], []), "the peer of `other` has finished, and the end counts as readable (select(2))")
    its_peer.send(b"hello")
    gives([other, one], [one], 60, ([other, one], [one]), "`one` has bytes to read and room to write")
    try:
        while True:
            one.send(bytes(65536))
    except BlockingIOError:
        pass  # now its send buffer is full
    gives([], [one], 0, ([], []), "its send buffer is full")
    for sock, blocking in (one, False), (other, True):
        if sock.fileno() == -1 or sock.getblocking() != blocking:
            raise Wrong("ready() closed a socket, or changed whether it is blocking: it only looks.")
    talk.good("bytes, the end of a stream, room to write: each in its list")

    talk.step("A socket is closed, and ready() did not return within 1 s")
    gone, _ = socket.socketpair()
    gone.close()
    names[gone] = "closed"
    for readers, writers, place in ([one, gone], [], "readers[1]"), ([one], [gone, other], "writers[0]"):
        call = f"ready({_named(readers, names)}, {_named(writers, names)}, 0)"
        given = list(readers), list(writers)
        try:
            learner(*given, 0)
        except ValueError as error:
            if place not in str(error):
                raise Wrong(
                    f"{call} raised ValueError: {error}{where(own_frame(error.__traceback__))}. In a server with a hundred "
                    f"clients, which one? Raise a ValueError with {place} in its text. A closed socket has the number -1."
                ) from None
        except OSError as error:
            raise Wrong(f"{call} raised {type(error).__name__}: {error}. Raise a ValueError, with {place} in its text.") from None
        else:
            raise Wrong(f"{call} passed over the closed socket in silence: raise ValueError, with {place} in its text.")
        if given != (readers, writers):
            raise Wrong(f"{call} raised ValueError, and it changed a list that it was given: the caller still needs it.")
    high = _takes_high_number(learner, one)
    talk.good("a closed socket: a ValueError that says which one it is")

    talk.tell(high=high)
    got = learner([listener], [], None)
    if not select.select([listener], [], [], 0)[0]:
        raise Wrong("ready([listener], [], None) returned and nobody had connected: None is no limit. Hand it on to select().")
    _is_pair_of_lists(got, "ready([listener], [], None)")
    if got[0] != [listener] or got[1]:
        raise Wrong("ready([listener], [], None): a client had connected, and the listener is not in the first list.")
    talk.tell()


def _wakes() -> int:
    """How often this thread has gone to sleep so far."""
    return resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw


def _is_pair_of_lists(got: object, call: str) -> None:
    if isinstance(got, tuple) and len(got) == 3:
        raise Wrong(f"{call} returned all three lists of select(): return the first two, (readable, writable).")
    if not isinstance(got, tuple) or len(got) != 2 or not all(isinstance(part, list) for part in got):
        raise Wrong(f"{call} returned {a(got)}: return a tuple of two lists, (readable, writable).")
    for thing in got[0] + got[1]:
        if not isinstance(thing, socket.socket):
            raise Wrong(f"{call} returned a list with {a(thing)} in it: return the sockets that you were given.")


def _named(socks: list[socket.socket], names: dict[socket.socket, str]) -> str:
    return f"[{', '.join(names.get(sock, 'another') for sock in socks)}]"


def _takes_high_number(learner: Callable, sock: socket.socket) -> bool:
    """Does it take descriptor 1024? With select() it must raise, and must not say that the socket is closed."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 2048)), hard))
    try:
        number = fcntl.fcntl(sock, fcntl.F_DUPFD, 1024)
    except OSError:  # this machine does not give so many descriptors
        return False
    with socket.socket(fileno=number) as high:
        try:
            learner([high], [], 0)
        except ValueError as error:
            if "closed" in str(error) or "readers[0]" in str(error):
                raise Wrong(
                    f"A socket with the number {number} is open, and ready() said: {error}. select() raises ValueError for "
                    "numbers from 1024 on too. Ask the socket itself: fileno() is -1 when it is closed."
                ) from None
            return False
    return True


def check_fd_limit(attempt: Attempt) -> None:
    run = attempt.run(_use_fd_limit)
    try:
        told = run.hear("fd_limit() did not return within 2 s", 2.0)
    except Raised as error:
        if error.type == "ValueError" and "out of range" in error.text:
            raise Wrong(f"{error} That is the refusal: catch it, and return the number.") from None
        if error.errno == errno.EBADF:
            raise Wrong(
                f"{error} No descriptor has this number: give one to a socket first, fcntl.fcntl(sock, fcntl.F_DUPFD, number)."
            ) from None
        raise
    if told["hard"] <= told["limit"]:
        raise NotChecked(f"On this machine a process may have {told['hard']} descriptors, so select() never comes to its limit.")
    got, limit = told["got"], told["limit"]
    if told["type"] != "a value of type int":
        raise Wrong(f"fd_limit returned {told['type']}: return the number, an int.")
    if not told["calls"]:
        raise Wrong(
            f"fd_limit returned {got}, and select.select() was not called once: find it by trying. Somebody's number may be "
            "true for another machine."
        )
    if told["refused"] is None:
        if got == told["soft"]:
            raise Wrong(
                f"{got} is how many descriptors this process may open (RLIMIT_NOFILE, getrlimit(2)), and select() refused "
                "none. Its own limit is another one, and does not move when you raise this."
            )
        raise Wrong(f"fd_limit returned {got}, and select() refused nothing that you gave it: go on with higher numbers.")
    if told["watched"] > 1:
        raise Wrong(
            f"You found {got} by counting: you gave select() {told['watched']} entries in one call. Is it their count or a "
            "number that it refuses? Find it with ONE socket: fcntl.fcntl(sock, fcntl.F_DUPFD, number) gives it a high "
            "number (fcntl(2))."
        )
    if told["opened"] > 100:
        raise Wrong(
            f"You found {got} by counting: {told['opened']} descriptors were open when select() refused. Do it with ONE "
            "socket: fcntl.fcntl(sock, fcntl.F_DUPFD, number) gives it a high number (fcntl(2)); close that before the "
            "next."
        )
    if got != limit:
        if got == limit - 1:
            raise Wrong(f"{got} is the last number that select() takes: asked is the first that it refuses.")
        if got == told["soft"]:
            raise Wrong(f"{got} is how many descriptors this process may open (getrlimit(2)). select() refused before that.")
        raise Wrong(
            f"fd_limit returned {got}. select() refused {told['refused']}, and the first number that it refuses is {limit}."
        )
    if told["refused"] != limit or told["taken"] != limit - 1:
        raise Wrong(
            f"fd_limit returned {got}, and it has not shown it: the highest number that select() took from you was "
            f"{told['taken']}, the lowest that it refused {told['refused']}. These two must be neighbours."
        )
    attempt.good(f"select() takes descriptor {limit - 1} and refuses {limit}, with one socket in the list")
    if told["left"] > 0:
        raise Wrong(f"fd_limit left {told['left']} descriptors open: close each copy (os.close) before the next.")
    run.alone()
    attempt.good("no descriptor is left open")


def _use_fd_limit(talk: Talk, learner: Callable) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    soft = min(hard, 3000)  # a number of its own, so that it is not taken for the limit of select()
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    limit = 0 if soft < 2048 else fd_limit()
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if not limit:
        talk.tell(hard=hard, limit=hard)
        return
    asked = {"calls": 0, "taken": None, "refused": None, "watched": 0, "opened": 0}
    before = open_numbers()
    raw = select.select

    def watched(*arguments):
        lists = [list(part) for part in arguments[:3]]
        numbers = [thing if isinstance(thing, int) else thing.fileno() for part in lists for thing in part]
        asked["calls"] += 1
        try:
            found = raw(*lists, *arguments[3:])
        except ValueError:
            high = max(numbers, default=-1)
            if high >= 0 and (asked["refused"] is None or high < asked["refused"]):
                asked.update(refused=high, watched=len(numbers), opened=len(open_numbers() - before))
            raise
        asked["taken"] = max([asked["taken"] or 0, *numbers])
        return found

    close = os.close

    def closes(number: int) -> None:
        if number in before:
            raise Wrong(
                f"You closed descriptor {number}, which is not yours: close the number that F_DUPFD gave, for it may be a higher one."
            )
        close(number)

    select.select, os.close = watched, closes
    _replace(learner, raw, watched, set())
    _replace(learner, close, closes, set())
    talk.step("fd_limit() did not return within 2 s", 2.0)
    try:
        got = learner()
    except OSError as error:
        if error.errno in (errno.EMFILE, errno.EINVAL):
            raise Wrong(
                f"The kernel refused, not select(): {type(error).__name__}: {error}{where(own_frame(error.__traceback__))}. "
                f"This process may have {resource.getrlimit(resource.RLIMIT_NOFILE)[0]} descriptors (getrlimit(2)); "
                "select() comes to its limit before."
            ) from None
        raise
    finally:
        select.select, os.close = raw, close
    left = len(open_numbers() - before)
    talk.tell(got=got if isinstance(got, int) else None, type=a(got), limit=limit, hard=hard, soft=soft, left=left, **asked)


def _replace(function: Callable, raw: Callable, watched: Callable, seen: set[int]) -> None:
    """Put `watched` where ``from select import select`` has put the real one, also in functions that it calls."""
    if not isinstance(function, FunctionType) or id(function) in seen:
        return
    seen.add(id(function))
    for name, value in list(function.__globals__.items()):
        if value is raw:
            function.__globals__[name] = watched
        elif isinstance(value, FunctionType) and value.__module__ == function.__module__:
            _replace(value, raw, watched, seen)


def check_chat(attempt: Attempt) -> None:
    trial = Trial(attempt, send_buffer=1 << 16)  # smaller than what Eve shall not read, larger than what the others read at once
    with trial.explained():
        _one_to_all(trial)
        _whole_lines(trial)
        trial.idle(
            "Five clients are there and nobody talks",
            "Ask for writable only while there is something to send: a socket with nothing to send is writable nearly always.",
        )
        attempt.good("nobody talks: it sleeps")
        _leavers(trial)
        _slow(trial)
        _never_reads(trial)
        _too_long(trial)
        _half_closed(trial)
        _chat_ends(trial)


_NAMES = "Ann", "Ben", "Cleo", "Dan", "Eve"


def _one_to_all(trial: Trial) -> None:
    *trial.clients, last = [trial.connect(SMALL if name == "Eve" else None) for name in _NAMES]
    trial.clients.append(last)
    if not trial.run.until(lambda: all(trial.way(client)[0] for client in trial.clients), 1.0):
        trial.run.watch(0)
        client = next(client for client in trial.clients if not trial.way(client)[0])
        try:
            trial.run.hear("Five clients connected, and not all of them were accepted within 1 s")
        except Stuck as stuck:
            if not trial.way(client)[0]:
                raise trial.unanswered(client, "Five clients connected, and one was not accepted within 1 s", stuck) from None
    trial.own = trial.run.sockets() - 5
    for number, (name, client) in enumerate(zip(_NAMES, trial.clients)):
        line = f"{name} is here\n".encode()
        trial.send(client, line)
        for other, to in zip(trial.clients, _NAMES):
            if other is not client:
                _hears(trial, other, line, f"{name} sent a line", to, client)
        trial.settle()  # the sender may be the last one to get it
        _nothing_back(client, f"{name} sent a line")
    trial.run.alone()
    trial.attempt.good("five clients: each line goes to all others, and not back")


def _hears(trial: Trial, client: socket.socket, text: bytes, what: str, to: str, sender: socket.socket | None = None) -> None:
    got, stuck = trial.receive(client, len(text))
    if got == text:
        return
    if not stuck:
        trial.run.explain_end()
    if sender:
        _nothing_back(sender, what)
    if stuck and not got:
        # Where the line stopped, the sender's connection shows.
        raise trial.unanswered(sender or client, f"{what}, and {to} did not get it within 1 s", stuck, private=False)
    if len(got) > 100 and text.startswith(got):
        end = "then the end: let go of clients that do not read, and of no others"
        if stuck:
            end = f"nothing more within 1 s: {your_server(stuck)}"
        raise Wrong(f"{what}, and {to} got {len(got)} of {len(text)} bytes, {end}.")
    if not got:
        raise Wrong(f"{what}, and {to} got b'', the end: the server let go of a client that is still there.")
    if got == text.upper():
        raise Wrong(f"{what}, and {to} got it in capitals: hand the line on as it is.")
    if got + b"\n" == text:
        raise Wrong(f"{what}, and {to} got it without b'\\n' at its end.")
    raise Wrong(f"{what}, and {to} got {got[:60]!r}, not {text[:60]!r}.")


def _nothing_back(sender: socket.socket, what: str) -> None:
    if select.select([sender], [], [], 0)[0] and (got := sender.recv(100)):
        if got.count(got.partition(b"\n")[0]) > 1:
            raise Wrong(f"{what} and got {got!r} back: do all clients share one buffer? Each one needs its own.")
        raise Wrong(f"{what} and got {got!r} back: a line goes to all OTHERS.")


def _whole_lines(trial: Trial) -> None:
    ann, ben, cleo, *_ = trial.clients
    for one, other in zip(b"I am Ann\n", b"I am Ben\n"):
        for client, byte in (ann, one), (ben, other):
            trial.send(client, bytes([byte]))
            trial.read_all(client)
    got, stuck = trial.receive(cleo, 18)
    if not _are_lines(got, b"I am Ann\n", b"I am Ben\n"):
        what = "Ann and Ben sent a line each at the same time, one byte after the other, and Cleo got"
        if not stuck:
            trial.run.explain_end()
        raise Wrong(f"{what} {got!r}: hand on whole lines only, and keep one buffer for each client (Lines).")
    for client, to, text in (ann, "Ann", b"I am Ben\n"), (ben, "Ben", b"I am Ann\n"):
        _hears(trial, client, text, "A line came in pieces", to)
    for client in trial.clients[3:]:
        trial.receive(client, 18)
    trial.send(ann, b"one\ntwo\n")
    for client, to in zip(trial.clients[1:], _NAMES[1:]):
        _hears(trial, client, b"one\ntwo\n", "Ann sent two lines in one packet", to)
    trial.attempt.good("lines in pieces, two lines in one packet: all arrive whole")


def _are_lines(got: bytes, *lines: bytes) -> bool:
    """Are these the lines, each of them whole? Which comes first is free: they were sent at the same time."""
    return sorted(got.splitlines(keepends=True)) == sorted(lines)


def _leavers(trial: Trial) -> None:
    trial.happened = "A client left and your server died: "
    ann, ben, cleo, dan, eve = trial.clients
    with trial.run.paused():
        trial.send(dan, b"bye\n")
        dan.close()
        visitor = trial.connect()
        reset(visitor)
    for client, to in (ann, "Ann"), (ben, "Ben"), (cleo, "Cleo"), (eve, "Eve"):
        _hears(trial, client, b"bye\n", "Dan sent a line and left", to)
    trial.clients.remove(dan)
    if stuck := trial.holds(4):
        number = trial.run.sockets() - trial.own - 4
        raise Wrong(f"Two clients left, and {still_open(number)}: {your_server(stuck)}. After b'', close and forget.")
    dan = trial.connect()
    trial.clients.insert(3, dan)
    trial.send(dan, b"I am back\n")
    for client, to in (ann, "Ann"), (ben, "Ben"), (cleo, "Cleo"), (eve, "Eve"):
        _hears(trial, client, b"I am back\n", "Dan came again and sent a line", to)
    trial.attempt.good("clients come and leave, also with a reset")


def _slow(trial: Trial) -> None:
    """A client reads late, and another one is reset while lines wait for it: less than the limit."""
    slow, text = _with_unsent(trial)
    trial.happened = "A client reads late, and your server died: "
    got, stuck = trial.receive(slow, len(text))
    if got != text:
        what = f"A client read late and got {len(got)} of {len(text)} bytes"
        if text.startswith(got) and stuck:
            raise Wrong(
                f"{what}, nothing more within 1 s: {your_server(stuck)}. The rest waits in your server: wait for its socket to be "
                "writable while something is to be sent."
            )
        if not stuck:
            trial.run.explain_end()
        raise Wrong(
            f"{what}, then {'others' if stuck else 'the end'}: send() takes what fits; keep the rest and its order (send(2))."
        )
    trial.happened = "A client was reset while lines waited for it, and your server died: "
    reset(slow)
    lost, _ = _with_unsent(trial)
    reset(lost)
    _to_all(trial, b"still here\n", "A client was reset while lines waited for it; then Ann sent a line")
    if stuck := trial.holds(5):
        raise Wrong(
            f"A client was reset while lines waited for it, and its connection stays open: {your_server(stuck)}. Close it."
        )
    trial.attempt.good("a client that reads late gets all; one that is reset while lines wait for it ends alone")


def _with_unsent(trial: Trial, most: int = 12_000) -> tuple[socket.socket, bytes]:
    """A new client for which over `most` bytes wait in the server, less than the limit; and what it has to get."""
    slow, text = trial.connect(SMALL), b""
    trial.holds(len(trial.clients) + 1)
    for number in range((168_000 + most) // 4096):  # the kernel takes 158 kB
        line = b"%03d %s\n" % (number, b"." * 4091)
        _to_all(trial, line, "A client does not read; Ann sent lines of 4 kB")
        text += line
        if number > 15 and number % 2:
            trial.settle()  # in the middle of a round it may be about to send
            if trial.keeps("unsent") > most:
                break
    return slow, text


def _to_all(trial: Trial, line: bytes, what: str) -> None:
    """Ann sends; the others read."""
    ann, *others = trial.clients
    trial.send(ann, line)
    for client, to in zip(others, _NAMES[1:]):
        _hears(trial, client, line, what, to)


BATCH = b"".join(b"line %04d of a long talk, with nothing in it but words %s\n" % (number, b"." * 960) for number in range(32))
BATCHES = 128  # 4 MB in all
_KEPT = 2 << 20  # bytes; far more than the buffers of a connection hold


def _never_reads(trial: Trial) -> None:
    trial.happened = "One client does not read, and your server died: "
    ann, ben, cleo, dan, eve = trial.clients
    before = trial.run.memory()
    for _ in range(BATCHES):
        trial.send(ann, BATCH)
        for client, to in (ben, "Ben"), (cleo, "Cleo"), (dan, "Dan"):
            try:
                _hears(trial, client, BATCH, "Eve does not read; Ann sent lines", to)
            except Wrong:
                if trial.way(ann)[0] is None and trial.listens():
                    raise Wrong(
                        "Eve does not read, and your server let go of Ann, who sent the lines: let go of the client for which more "
                        "than 64 kB wait."
                    ) from None
                raise
    grown = trial.run.memory() - before
    if trial.way(eve)[0]:
        total = f"{len(BATCH) * BATCHES // 1_000_000} MB"
        # The kernel's number may be too small: it does not count pages that it took back, nor memory that was free before.
        grown = max(grown, len(trial.receive(eve, _KEPT)[0])) if grown < _KEPT else grown
        if grown >= _KEPT:
            raise Wrong(
                f"Eve never reads, and after {total} the memory of your server grew by {grown / 1e6:.0f} MB: everything "
                "that waits for her. Let go of a client for which more than 64 kB wait."
            )
        raise Wrong(
            f"Eve never reads, and after {total} she is still there: what she should have got is lost. "
            "Let go of a client for which more than 64 kB wait, so that she knows."
        )
    trial.clients.remove(eve)
    trial.attempt.good("a client that never reads is let go, and the others do not wait for it")


def _too_long(trial: Trial) -> None:
    trial.happened = "A client sent too long a line, and your server died: "
    visitor = trial.connect()
    trial.send(visitor, TOO_LONG)
    stuck = trial.receive(visitor, 1)[1]
    if stuck:
        raise Wrong(
            f"A client sent {len(TOO_LONG)} bytes without b'\\n', and its connection stays open: {your_server(stuck)}. Lines "
            "raises ValueError for too long a line: let go of this client."
        )
    ann, *others = trial.clients
    trial.send(ann, b"still here\n")
    for client, to in zip(others, _NAMES[1:]):
        _hears(trial, client, b"still here\n", "A client sent too long a line and was let go; then Ann sent a line", to)
    trial.attempt.good("too long a line ends its sender's connection alone")


def _half_closed(trial: Trial) -> None:
    trial.happened = "A client half-closed, and your server died: "
    slow, text = _with_unsent(trial, 40_000)  # more than the buffers take when it comes to the end
    with trial.run.paused():
        slow.shutdown(socket.SHUT_WR)
    trial.read_all(slow)
    got, stuck = trial.receive(slow, len(text))
    if got != text:
        raise Wrong(
            f"A client has finished sending while lines waited for it, and got {len(got)} of {len(text)} bytes: b'' says that it "
            "sends no more, and it still reads (shutdown(2)). First send what waits for it, then close."
        )
    if stuck := trial.holds(len(trial.clients)):
        raise Wrong(f"A client has finished, and got all that waited; its connection stays open: {your_server(stuck)}. Close it.")
    trial.attempt.good("a client that has finished sending still gets what waits for it")


def _chat_ends(trial: Trial) -> None:
    trial.happened = "All clients left and your server died: "
    with trial.run.paused():
        for client in trial.clients:
            client.close()
    if stuck := trial.holds(0):
        number = trial.run.sockets() - trial.own
        raise Wrong(f"All clients have left, and {still_open(number)}: {your_server(stuck)}.")
    trial.calm("All clients have left")
    trial.run.alone()
    trial.attempt.good("when all have gone, no descriptor is left, and it sleeps")


CHECKS = {"4.1": check_ready, "4.2": check_server, "4.3": check_fd_limit, "4.4": check_chat}
