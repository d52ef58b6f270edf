"""Connections that a server forgets without closing them: in which of its lists and dicts the open ones still stand."""

import gc
import re
import select
import signal
import socket
from collections import deque
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

from course_lib.proc import links
from course_lib.sandbox import Stuck, Talk, Wrong
from course_lib.sandbox.talk import own_frame
from course_lib.sandbox.words import where

from .server_trial import ServerTrial

_POLL = type(select.poll())


def places(trial: ServerTrial, over: set[int]) -> tuple[str, bool]:
    """The connections of these ports are over and open: what are they gone from ("list", "dict"; "" if not, or nobody knows)?

    And may some of them still stand in a list, beside those that go on?
    """
    try:
        if not trial.process.interrupt(signal.SIGRTMIN):
            return "", True
        told = trial.process.hear("The server did not come back from a call within 1 s")
    except Stuck:
        return "", True
    over = over & set(told["open"])
    held = [(kind, set(ports)) for kind, ports in told["places"] if len(set(ports) - over) > 1]
    with_both = [kind for kind, ports in held if ports & over]
    if over and held and not with_both:
        return max(held, key=lambda one: len(one[1]))[0], False
    return "", not over or "list" in with_both


def tells_places(inside: Callable, talk: Talk, learner: Callable, listener: socket.socket) -> None:
    """In the child: SIGRTMIN makes it tell what stands in which list; and what epoll tells of a forgotten connection is explained."""
    signal.signal(signal.SIGRTMIN, lambda *_: talk.tell(**_open_places()))
    try:
        inside(talk, learner, listener)
    except KeyError as error:
        number = error.args[0] if error.args else None
        if type(number) is int and _is_watched_at_its_end(number):
            raise Wrong(
                f"A client has finished, and {learner.__name__} raised KeyError: {number}{where(own_frame(error.__traceback__))}. It was "
                "forgotten before. The kernel still waits for this connection: unregister() it, then close() it, when you forget it."
            ) from None
        raise


def _open_places() -> dict[str, Any]:
    """The ports of all clients whose connections are open, and the lists, dicts and sets in which these stand, alone or in an object."""
    ports: dict[int, set[int]] = {}  # id of a thing -> those of the connections in it
    gc.collect()
    things = gc.get_objects()
    for sock in (thing for thing in things if issubclass(type(thing), socket.socket)):
        if sock.fileno() != -1 and sock.family == socket.AF_INET and (port := _peer(sock)):
            ports[id(sock)] = {port}
    found, places = set().union(*ports.values()), []
    for _ in range(3):  # a socket in a dict in an object in a list
        inner = {number: inside for number, inside in ports.items() if len(inside) == 1}
        for thing in things:
            if isinstance(thing, FrameType) or id(thing) in ports or thing is things:
                continue
            if inside := set().union(*(inner.get(id(part), ()) for part in gc.get_referents(thing))):
                ports[id(thing)] = inside
                if type(thing) in (list, set, deque) or type(thing) is dict and not all(type(key) is str for key in thing):
                    places.append((type(thing).__name__, sorted(inside)))
    return {"open": sorted(found), "places": places}


def _peer(sock: socket.socket) -> int:
    try:
        return int(sock.getpeername()[1])
    except OSError:  # a listener, or the client was reset
        return 0


def _is_watched_at_its_end(number: int) -> bool:
    """Is it an open connection that an epoll or a poll object still waits for, and has its client finished?"""
    if not (_in_an_interest_list(number) or _in_a_poll_object(number)):
        return False
    try:
        with socket.fromfd(number, socket.AF_INET, socket.SOCK_STREAM) as copy:
            return not copy.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return False
    except OSError:
        return True


def _in_an_interest_list(number: int) -> bool:
    """proc(5), /proc/pid/fdinfo"""
    lists = [epoll for epoll, link in links().items() if "eventpoll" in link]
    return any(re.search(rf"^tfd:\s+{number} ", Path(f"/proc/self/fdinfo/{epoll}").read_text(), re.MULTILINE) for epoll in lists)


def _in_a_poll_object(number: int) -> bool:
    """Its list stands in no file; but the end of a connection is told in each round."""
    held = (part for thing in gc.get_objects() for part in gc.get_referents(thing))
    return any(number in dict(each.poll(0)) for each in held if type(each) is _POLL)
