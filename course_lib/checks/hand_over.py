"""Exercise 9.3: a listener goes to another process, and the check that lets clients come in the middle of it."""

import gc
import os
import selectors
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import cast

from course_lib.ports import inodes, is_queued, listening
from course_lib.proc import sockets, state
from course_lib.sandbox import Attempt, Stuck, Talk, Wrong, wait_until

from .ends import is_closed, readable, send
from .probe import Answer, Probe, explaining, raise_first

_BEFORE, _MIDDLE, _AFTER = 50, 100, 50  # clients; those in the middle all fit into the accept queue
_PATIENCE = 2.0  # seconds for what takes milliseconds


def check_hand_over(attempt: Attempt) -> None:
    with explaining(_CAUSES):
        change = _Change(attempt)
        try:
            for point in _new_one_waits, _hands_over, _goes_on, _old_one_ends:
                point(change)
        except OSError as error:
            raise attempt.cause(error) from None
        attempt.begin_anew()
        _ends_of_a_pair(attempt)


_CAUSES = {
    "EBADF ENOTSOCK": "A number means a descriptor in its own process only: it is a place in that process's table. socket.send_fds() "
    "makes the kernel put the listener into the other one's table, where it has another number (unix(7), SCM_RIGHTS). And send it "
    "before you close it.",
    "EADDRINUSE": "The listener need not be bound anew: the descriptor itself can go, socket.send_fds() and recv_fds().",
    ": pickle": "A socket is no data: it is a descriptor. socket.send_fds() passes it.",
    "IndexError ValueError": "recv_fds(sock, bytes, maxfds) returns (data, list of numbers, flags, address); maxfds is 1 at least.",
    "TypeError: integer|fileno|not iterable": "send_fds(sock, buffers, fds): a list of bytes, and a list of numbers, "
    "[listener.fileno()].",
    "ConnectionError": "Both processes are there, and the listener was sent. recv_fds(sock, bytes, maxfds) makes room for maxfds "
    "descriptors, 1 at least; for what finds no room the flag MSG_CTRUNC is all that comes (recvmsg(2)).",
    "BlockingIOError": "unix_sock is blocking; leave it so.",
}


class _Change:
    """An old and a new process, and the clients that come meanwhile."""

    half: socket.socket  # a client in the middle of a line
    boss: socket.socket  # one that gives the order to hand over

    def __init__(self, attempt: Attempt) -> None:
        self.attempt = attempt
        listener = attempt.listen()
        self.address = listener.getsockname()
        self.inode = os.fstat(listener.fileno()).st_ino
        listener.setblocking(False)
        ours, theirs = socket.socketpair()
        self.old = attempt.start(_use_hand_over, listener, ours)
        self.new = attempt.start(_use_take_over, theirs)
        self.pid = self.old.hear("The old process did not start")["pid"]
        self.clients: list[socket.socket] = []  # they have sent a line
        self.refused = 0

    def come(self, number: int) -> None:
        """So many clients connect and send a line each; who is refused is counted."""
        for _ in range(number):
            try:
                client = self.attempt.connect(self.address)
            except ConnectionRefusedError:
                self.refused += 1
                continue
            send(client, b"hello\n")
            self.clients.append(client)

    def answered(self, what: str) -> None:
        """All that have come must be answered."""
        lost = 0
        for client in self.clients:
            try:
                lost += self.new.read(client, 6, what, _PATIENCE) != b"HELLO\n"
            except Stuck as stuck:
                why = "It stands in the accept queue." if is_queued(client) else "It was accepted, and nobody answers."
                raise Wrong(f"{what}: {stuck.does('the new process')}. {why}") from None
            client.close()
        if lost:
            self.old.explain_end()
            self.new.explain_end()
            raise Wrong(f"{what}, but the end of its connection: {lost} of {len(self.clients)} clients were cut off.")
        self.clients.clear()


def _new_one_waits(change: _Change) -> None:
    """The old process serves, one of its clients is in the middle of a line, and the new one is ready."""
    change.boss, change.half = change.attempt.connect(change.address), change.attempt.connect(change.address)
    change.half.sendall(b"hel")
    change.come(_BEFORE)
    for client in change.clients:
        change.old.read(client, 6, "Nobody had called hand_over yet, and a client got no answer", _PATIENCE)
        client.close()
    change.clients.clear()
    change.new.until(lambda: change.new.asleep_in() != "", 1.0)  # in take_over


def _hands_over(change: _Change) -> None:
    """While the new process stands still, nobody takes clients; they must find the listener all the same."""
    with change.new.paused():
        change.boss.sendall(b"change\n")
        # It waits for the new one, or has closed the listener already.
        change.old.until(lambda: change.old.asleep_in() not in ("poll", "") or change.inode not in inodes(change.pid), 1.0)
        early = change.inode not in inodes(change.pid)
        change.come(_MIDDLE)
    change.old.settle()
    if change.refused:
        try:
            same = change.new.hear("take_over did not return within 2 s", _PATIENCE)["inode"] == change.inode
        except Wrong:
            same = False
        raise Wrong(
            _SHUT_DOWN if same else
            f"{change.refused} of {_MIDDLE} clients that came in the middle of the change were refused: nobody listened. Close "
            "the listener when the new process has it, not before."
        )  # fmt: skip
    if early:
        raise Wrong(
            "hand_over has closed the listener, and the new process had not taken it yet: if it ended now, nobody would have "
            "it. Let take_over send a byte when it has it, and wait for that."
        )


_SHUT_DOWN = (
    "The listener was ended for both processes: shutdown() works on the socket itself, which both descriptors mean "
    "(shutdown(2)), and the new process cannot accept any more. close() gives up the own copy only."
)


def _goes_on(change: _Change) -> None:
    try:
        facts = change.new.hear("take_over did not return within 2 s", _PATIENCE)
    except Stuck as stuck:
        change.old.watch(0)  # has hand_over raised an exception?
        why = " Nothing has come to it: on a stream, a descriptor goes with at least one byte, or not at all (unix(7))."
        raise Wrong(f"{stuck}{why * stuck.asleep}") from None
    try:
        told = change.old.hear("take_over has returned, and hand_over did not within 2 s", _PATIENCE)
    except Stuck as stuck:
        raise Wrong(f"{stuck} What it waits for, take_over must send.") from None
    _one_copy_lives(change, told, facts)
    change.new.say(serve=True)
    change.come(_AFTER)
    change.answered("A client came while the listener was handed over, and it got no answer")
    if change.refused:
        raise Wrong(f"{change.refused} clients that came after the change were refused.")
    change.attempt.good(f"{_BEFORE + _MIDDLE + _AFTER} clients came before, during and after the change: 0 refused, all answered")
    if facts["inherited"]:
        change.attempt.note(
            "a program that the new process starts (exec) may inherit the listener: listener.set_inheritable(False) (PEP 446)."
        )


def _one_copy_lives(change: _Change, told: dict, facts: dict) -> None:
    """The new process has the listener, the old one has it no more, and nothing else has come of it."""
    causes = {
        "take_over returned another socket than the listener that was handed over. A number means a descriptor in its own "
        "process only; and a listener that is bound anew has not the clients that stand in the old one's queue. "
        "socket.send_fds() and recv_fds() pass the descriptor.": facts["inode"] != change.inode,
        _SHUT_DOWN: not listening(change.address[1]),
        "hand_over returned, and the old process still has the listener. It lives until its last copy is closed: when the "
        "new process has closed its own, clients would go on coming into a queue that nobody empties. Close it.": told["open"],
        f"hand_over returned, and in the old process {told['more']} more descriptors are open than before.": told["more"],
        f"take_over has left {facts['more']} descriptors open besides the listener. socket.fromfd() makes another copy "
        "(dup); socket.socket(fileno=number) takes this one.": facts["more"],
        "The listener that take_over returned is blocking. This flag belongs to the socket itself, not to the descriptor "
        "(O_NONBLOCK, open(2)): the old process, which may still be in its loop, would fall asleep in accept().": facts[
            "blocking"
        ],
        "The listener came non-blocking, and the Python object does not know it: gettimeout() is not 0.0. "
        "setblocking(False) in take_over.": facts["timeout"] != 0,
    }
    raise_first(causes)


def _old_one_ends(change: _Change) -> None:
    change.half.sendall(b"lo\n")
    what = "A client was in the middle of a line in the old process, and after the change it got no answer"
    if change.old.read(change.half, 6, what, _PATIENCE) != b"HELLO\n":
        change.old.explain_end()
        raise Wrong(f"{what}, but the end of its connection.")
    change.half.close()
    change.boss.close()
    change.old.hear("The old process did not end", _PATIENCE)
    change.attempt.good("the old process finishes with its clients, takes no new ones, and ends")


# In the children


def _serve(listener: socket.socket, change: Callable[[], None] = lambda: None) -> None:
    """Answer lines in capitals. On the line "change" the listener is handed over, by `change`; then it ends with its last client."""
    selector = selectors.PollSelector()
    selector.register(listener, selectors.EVENT_READ)
    accepts = True
    while selector.get_map():
        for key, _ in selector.select():
            if key.data is not None:
                if _answer(selector, key) and accepts:
                    selector.unregister(listener)
                    change()
                    accepts = False
            elif accepts:
                with suppress(BlockingIOError):  # the other process was faster
                    selector.register(listener.accept()[0], selectors.EVENT_READ, bytearray())


def _answer(selector: selectors.BaseSelector, key: selectors.SelectorKey) -> bool:
    """Read once what a client has sent; the key's data is the line so far. Is it "change"?"""
    conn, line, data = cast(socket.socket, key.fileobj), key.data, b""
    with suppress(ConnectionError):
        data = conn.recv(4096)
        line += data
        if line.endswith(b"\n") and line != b"change\n":
            conn.sendall(line.upper())
            line.clear()
    if not data:
        selector.unregister(conn)
        conn.close()
    return bool(line == b"change\n")


def _use_hand_over(talk: Talk, learner: tuple[Callable, Callable], listener: socket.socket, unix_sock: socket.socket) -> None:
    hand_over, _ = learner
    talk.tell(pid=os.getpid())
    inode = os.fstat(listener.fileno()).st_ino

    def change() -> None:
        before = set(sockets())
        hand_over(listener, unix_sock)
        talk.tell(open=inode in inodes(os.getpid()), more=len(set(sockets()) - before))

    _serve(listener, change)
    talk.tell()


def _use_take_over(talk: Talk, learner: tuple[Callable, Callable], unix_sock: socket.socket) -> None:
    _, take_over = learner
    before = set(sockets())
    listener = _listener(take_over(unix_sock))
    number = listener.fileno()
    talk.tell(
        inode=os.fstat(number).st_ino,
        blocking=os.get_blocking(number),
        timeout=listener.gettimeout(),
        inherited=os.get_inheritable(number),
        more=len(set(sockets()) - before - {number}),
    )
    talk.hear()
    _serve(listener)


def _listener(got: object) -> socket.socket:
    asked = "return a socket; socket.socket(fileno=number) makes one of a descriptor"
    answer = Answer("The listener was handed over", "take_over", got)
    listener = answer.is_a(socket.socket, asked, {is_closed: "a socket that is closed", int: f"a number: {asked}"})
    really = listener.getsockopt(socket.SOL_SOCKET, socket.SO_DOMAIN)
    if listener.family != really:
        raise Wrong(
            f"take_over made an {listener.family.name} socket of the number, and it is {socket.AddressFamily(really).name}: "
            "socket.socket(fileno=number) alone asks the kernel what it is."
        )
    return listener


def _ends_of_a_pair(attempt: Attempt) -> None:
    """The other process has gone, at each moment at which it can go."""
    facts = attempt.ask(_use_pairs, attempt.listen(), late="take_over and hand_over did not return within 1 s")
    if facts["lost"]:
        raise Wrong(
            f"The old process ended right after it had sent the listener, and take_over raised {facts['lost']}: the listener "
            "has come; return it."
        )
    attempt.good("when the other process has gone, hand_over and take_over raise ConnectionError, and the listener stays open")


def _use_pairs(talk: Talk, learner: tuple[Callable, Callable], listener: socket.socket) -> None:
    pairs = _Pairs(talk, learner, listener)
    pairs.nothing_comes()
    pairs.nobody_is_there()
    pairs.took_it_and_ended()
    talk.tell(lost=pairs.sent_it_and_ended())


class _Pairs:
    """One end of the pair is the learner's, the other one is gone or goes."""

    def __init__(self, talk: Talk, learner: tuple[Callable, Callable], listener: socket.socket) -> None:
        self._talk, self._listener = talk, listener
        self._hand_over, self._take_over = Probe(talk, learner[0], "hand_over"), Probe(talk, learner[1], "take_over")
        self._own = set(sockets())

    @contextmanager
    def _pair(self, what: str) -> Iterator[tuple[socket.socket, socket.socket]]:
        """In the end nothing of it may be left open."""
        ours, theirs = socket.socketpair()
        with ours, theirs:
            yield ours, theirs
        gc.collect()
        if more := len(set(sockets()) - self._own):
            raise Wrong(f"{what}, and {more} more descriptors stay open.")

    def nothing_comes(self) -> None:
        what = "The old process has gone before it sent anything"
        with self._pair(what) as (ours, theirs):
            theirs.close()
            try:
                self._take_over.raises(ConnectionError, what, ours, otherwise="raise ConnectionError")
            except (NotImplementedError, Wrong):
                raise
            except Exception as error:
                raise Wrong(
                    f"{what}, and take_over raised {type(error).__name__}: {str(error)[:100]}. recv_fds gives (b'', [], 0, …) "
                    "then, as recv gives b'': look whether a descriptor has come, and raise ConnectionError if not."
                ) from None

    def nobody_is_there(self) -> None:
        what = "The new process has gone before hand_over was called"
        with self._pair(what) as (ours, theirs):
            theirs.close()
            self._must_raise(ours, what)

    def took_it_and_ended(self) -> None:
        def take_and_end() -> None:
            with theirs:
                if readable(theirs, _PATIENCE):
                    for number in socket.recv_fds(theirs, 4096, 10)[1]:
                        os.close(number)

        what = "The new process ended before it said that it has the listener"
        with self._pair(what) as (ours, theirs):
            other = threading.Thread(target=take_and_end)
            other.start()
            self._must_raise(ours, what)
            ours.close()
            other.join()

    def _must_raise(self, ours: socket.socket, what: str) -> None:
        try:
            self._hand_over.when(what, self._listener, ours, seconds=2 * _PATIENCE)
        except ConnectionError:
            pass
        except OSError as error:
            raise Wrong(
                f"{what}, and hand_over raised {type(error).__name__}: {str(error)[:100]}; asked is ConnectionError."
            ) from None
        else:
            does = "is closed: from now on each client is refused" if self._listener.fileno() < 0 else "is still open"
            raise Wrong(
                f"{what}; hand_over returned, and the listener {does}. recv gives b'' when the other end has gone: raise "
                "ConnectionError then, before you close."
            )
        if self._listener.fileno() < 0:
            raise Wrong(
                f"{what}; hand_over raised ConnectionError, and it has closed the listener: the old process has to go on with it."
            )
        if not self._listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            raise Wrong(f"{what}; hand_over raised ConnectionError, and the listener does not listen any more. {_SHUT_DOWN}")

    def sent_it_and_ended(self) -> str:
        """What take_over raised though the listener had come, or ""."""
        ours, theirs = socket.socketpair()
        self._talk.step("hand_over did not send anything within 4 s", 2 * _PATIENCE)
        pid = os.fork()
        if not pid:
            try:
                ours.close()
                self._hand_over.function(self._listener, theirs)
            finally:
                os._exit(0)
        theirs.close()
        sent = wait_until(lambda: readable(ours) and state(pid) in "SZ", _PATIENCE)  # all of it: what it waits for now is us
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        raised = ""
        with ours:
            self._talk.step("The old process ended after it had sent the listener, and take_over did not return within 1 s")
            try:
                self._take_over.function(ours).close()
            except Exception as error:
                raised = type(error).__name__
        return raised if sent else ""


CHECKS = {"9.3": check_hand_over}
