"""What the panel says about a server's state, in plain words."""

import errno
from typing import TYPE_CHECKING

from course_lib.kernel import Descriptor, Doing
from course_lib.kernel.recorder import WAITS

if TYPE_CHECKING:
    from course_lib.servers import Server

_AGAIN = "BlockingIOError, errno 11 (EAGAIN)"


def doing(now: Doing) -> str:
    """What a thread does, without the seconds: "asleep in recv() on descriptor 7"; of one that ended, not yet the cause."""
    if now.stopped:
        return "stopped by a signal"
    if now.ended or not now.asleep:
        return (now.ended or ("not known" if now.unknown else "running")).partition(":")[0]
    where = f" on descriptor {now.descriptor}" if now.descriptor is not None else ""
    return f"asleep in {now.call}(){where}" if now.call else "asleep in the kernel"


def fate(server: "Server", rows: list[Descriptor], doing: Doing) -> str:
    """One or two sentences on how the server ended, or what will happen to it; "" when there is nothing to say."""
    if server.fate:
        new = "a new blocking listener" if isinstance(server.error, BlockingIOError) else "a new listener"
        return (
            f"{_how_it_ended(server)} Its thread is over and its descriptors are closed. "
            f"Start brings it back, with {new} on the same address."
        )
    if not server.running:
        return "It is stopped: its descriptors are closed, and a client is refused. Start serves again on the same address."
    if doing.unknown:
        return "What its thread does, and which epoll watches a descriptor, is not known here: this system has no /proc."
    if not doing.asleep:
        return ""
    if server.recording and doing.call in WAITS and server.came_back() is None and server.unseen:
        name = server.unseen[0]
        return (
            f"A wait through the name {name}, which `from select import` has bound, is neither recorded nor held. "
            f"Write `import select` and `select.{name}(…)`: that is."
        )
    if doing.call == "accept" and _is(rows, "listener", blocking=False):
        return (
            "The listener is non-blocking now. The server still sleeps in the accept() that it began before: the kernel "
            f"looks at the flag when a call begins. The next accept() with nobody waiting raises {_AGAIN}."
        )
    if doing.call in ("recv", "send") and _is(rows, "connection", False, doing.descriptor):
        return (
            f"This connection is non-blocking now. The server still sleeps in the {doing.call}() that it began before: "
            f"the kernel looks at the flag when a call begins. Its next recv() with nothing to read raises {_AGAIN}."
        )
    if server.own_modes.get("listener") is True and _is(rows, "listener", blocking=False):
        return (
            f"The listener is non-blocking now. Nothing happens while the server sleeps in {doing.call}(). When it "
            f"comes back to accept() and nobody waits there, accept() raises {_AGAIN}: let the clients leave, and see."
        )
    if server.own_modes.get("listener") is False and doing.call == "accept":
        return "The listener is blocking now, so the server sleeps in accept() until somebody comes. Meanwhile it serves nobody."
    if server.own_modes.get("connections") is False and doing.call in ("recv", "send"):
        return (
            f"This connection is blocking now, so the server sleeps in {doing.call}() until its client acts. "
            "Meanwhile it serves nobody else."
        )
    return ""


def _how_it_ended(server: "Server") -> str:
    fate = server.fate or ""
    if not isinstance(server.error, BlockingIOError) or server.error.errno != errno.EAGAIN:
        return f"The server {fate}."
    for call, found in (("accept", "nobody waiting"), ("recv", "nothing to read"), ("send", "no room in the send buffer")):
        if f"{call}(" in fate or f"{call}all(" in fate:
            return (
                f"{call}() found {found}. A non-blocking socket does not wait for it: it raised {_AGAIN}, "
                "and this server does not catch that."
            )
    return f"The server {fate}."


def _is(rows: list[Descriptor], kind: str, blocking: bool, number: int | None = None) -> bool:
    return any(row.kind == kind and row.blocking == blocking and number in (None, row.number) for row in rows)
