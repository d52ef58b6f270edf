"""What a moment says in words: what the call asks of the kernel, what came back, and what the kernel holds."""

from collections.abc import Iterable, Sized
from typing import TYPE_CHECKING

from course_lib.kernel import Call, Descriptor, Pending, TaskView, Watcher
from course_lib.kernel.recorder import WAITS

if TYPE_CHECKING:
    from .film import ClientView, Moment

_RATES = ((1e5, "hundreds of thousands"), (1e4, "tens of thousands"), (1e3, "thousands"), (1e2, "hundreds"))
_A_READ = 4096  # bytes that a server of the course takes at a time
_CHANGES = {
    "ADD": "puts {who} into the interest list, which stays in the kernel{events}",
    "DEL": "takes {who} out of the interest list",
    "MOD": "changes what {who} is watched for{events}",
}
_CHANGED = {
    "ADD": "is in the interest list now",
    "DEL": "is out of the interest list",
    "MOD": "is watched for something else now",
}


def asks(m: "Moment") -> str:
    """What the call in front of which the server is held asks of the kernel; or where it sleeps."""
    call = m.call
    if call is None:
        return "The server makes no more calls." if not m.threads else "The server is under way."
    if len(m.threads) > 1 and all(thread.asleep for thread in m.threads):
        return f"All threads sleep: {_list(f'{t.name} in {t.call.name}()' for t in m.threads if t.call)}."
    if m.asleep:
        return f"The server sleeps in {call.name}(): {_until(m, call)}{_left_alone(m, call)}."
    name, row, who = f"{call.name}()", m.row(call.descriptor), m.who(call.descriptor)
    if call.name == "accept":
        if m.waiting:
            return f"{name} takes {m.waiting[0]} out of the accept queue."
        return f"{name} asks for a client. The accept queue is empty: {_of_nothing(row)}."
    if call.name.startswith("recv"):
        if row and row.receive_queue:
            return f"{name} takes what waits in {who}'s receive queue: {_queued(row.receive_queue)}."
        if row and row.hangup:
            return f"{name} asks what {who} sent. There will be no more: {who} has finished."
        return f"{name} asks what {who} sent. The receive queue is empty: {_of_nothing(row)}."
    if call.name.startswith("send"):
        if row and not row.writable:
            return f"{name} has an answer for {who}. The send queue is full: {_of_nothing(row)}."
        return f"{name} copies the answer into {who}'s send queue."
    if call.name == "close":
        return f"{name} gives the number of {who} back, and ends the conversation."
    if call.name == "shutdown":
        return f"{name} tells {who} that no more will come."
    if call.name in ("select", "poll"):
        count = "a list" if m.handed_in is None else f"a list of {len(m.handed_in)}"
        return f"{name} carries {count} into the kernel, and asks who of them is ready."
    if call.name == "epoll_wait":
        ready = _list(m.who(row.number) for row in m.descriptors if row.number in m.ready)
        if not ready and m.zombies and row and row.readable:  # an epoll is, while somebody is in its ready list (epoll(7))
            return f"{name} asks for the ready list. In it: {_list(m.who(number) for number, _, _ in m.zombies)}."
        if not ready:
            return f"{name} asks for the ready list, which is empty."
        return f"{name} asks for the ready list. {ready[0].upper()}{ready[1:]} {_is(m.ready)} in it."
    if call.name == "epoll_ctl":
        operation, number, events = _change(call.asked)
        return f"{name} {_CHANGES.get(operation, 'changes the interest list').format(who=m.who(number), events=events)}."
    return f"{name} is called on {who}." if call.descriptor is not None else f"{name} is called."


def came(m: "Moment", before: "Moment | None") -> str:
    """What the calls since the moment before brought."""
    if before is None:
        return "The server is held before each of its calls."
    return " ".join(_came(call, m, before) for call in m.came)


def _came(call: Call, m: "Moment", before: "Moment") -> str:
    name = f"{call.name}()"
    who = (before if call.descriptor in before.names else m).who(call.descriptor)
    if call.error in ("EAGAIN", "EWOULDBLOCK"):
        if call.name.startswith("send"):
            return f"{name} found no room for {who}, and did not wait: EAGAIN."
        return f"{name} found nothing{'' if call.name == 'accept' else f' of {who}'}, and did not wait: EAGAIN."
    if call.error:
        return f"{name} failed on {who}: {call.error}."
    if call.name == "accept" and isinstance(call.result, int):
        return f"{name} gave a number for {m.who(call.result)}."
    if call.name.startswith("recv"):
        return f"{name} brought {_data(call)} of {who}." if call.result else f"{name} brought b'': {who} has finished sending."
    if call.name.startswith("send"):
        return f"{name} took {_data(call)} for {who}."
    if call.name == "close":
        return f"{name} gave the number of {who} back."
    if call.name in WAITS:
        ready = _list(
            f"{before.who(number)} ({events.replace('EPOLL', '').replace('POLL', '')})"
            for number, events in (m.came_back or {}).items()
        )
        return f"{name} told who is ready: {ready}." if ready else f"{name} found nobody ready."
    if call.name == "epoll_ctl":
        operation, number, _ = _change(call.asked)
        told = before.who(number) if number in before.names else m.who(number)
        return f"{told[0].upper()}{told[1:]} {_CHANGED.get(operation, 'was changed in the interest list')}."
    return f"{name} came back."


def again_and_again(calls: Iterable[str], rate: float = 0.0, in_vain: bool = False) -> str:
    """What a server does that never sleeps: the calls that it makes, if any, so many a second; 0: that is not known."""
    names = _list(f"{name}()" for name in sorted(calls))
    if not names:
        return "The server does not sleep: it computes."
    often = next((f", {words} of times a second" for least, words in _RATES if rate >= least), "")
    return f"The server does not sleep: it calls {names} again and again{often}{', and finds nothing' * in_vain}."


def state(m: "Moment") -> str:
    """What the kernel holds, one sentence a descriptor; then the tasks, and what each client has."""
    said = [_row(m, row) for row in m.descriptors]
    said += [
        f"The number of {who} was closed, and is watched for {events} all the same: a duplicate keeps the connection open."
        for _, who, events in m.zombies
    ]
    if m.handed_in is not None:
        said.append(f"In the list: {_list(f'{m.who(number)} ({events})' for number, events in m.handed_in.items()) or 'nobody'}.")
    if m.tasks is not None:
        said.append(_tasks(m, m.tasks))
    said += [f"{client.name} is {client.state}{_has(client)}." for client in m.clients]
    return " ".join(said)


def _row(m: "Moment", row: Descriptor) -> str:
    if row.kind == "epoll":
        return f"The epoll watches {sum(bool(one.watched_by) for one in m.descriptors)}."
    who = m.who(row.number)
    return f"{who[0].upper()}{who[1:]}: {', '.join(facts(m, row)) or 'nothing to read'}."


def watched(watcher: Watcher) -> str:
    """For which events: "IN | OUT"."""
    return watcher.asked.replace("EPOLL", "")


def facts(m: "Moment", row: Descriptor) -> list[str]:
    """What the kernel holds for one descriptor, in a few words each."""
    found = [] if row.blocking else ["non-blocking"]
    if row.accept_queue is not None:
        found.append(f"{_list(m.waiting) or 'nobody'} in the accept queue")
    if row.state not in (None, "LISTEN", "ESTABLISHED"):
        found.append(row.state)
    if row.receive_queue:
        found.append(f"{_queued(row.receive_queue)} to read")
    if row.send_queue and not row.writable:
        found.append("the send queue is full")
    if row.watched_by:
        found.append("watched for " + ", ".join(map(watched, row.watched_by)))
    if row.number in m.ready:
        found.append("in the ready list")
    return found


def _tasks(m: "Moment", tasks: tuple[TaskView, ...]) -> str:
    queue = [task for task in tasks if task.state in ("running", "ready")]
    waiting = [
        f"{task_name(m, task)} to {task.state}" if task.number is not None else f"{task.name} ({task.state})"
        for task in tasks
        if task not in queue
    ]
    return (
        f"Ready queue: {_list(task_name(m, task) + ' (running)' * (task.state == 'running') for task in queue) or 'empty'}."
        + (f" Waiting: {_list(waiting)}." if waiting else "")
    )


def task_name(m: "Moment", task: TaskView) -> str:
    """A task, and whose descriptor it has to do with."""
    return f"{task.name} of {m.who(task.number)}" if task.number in m.names else task.name


def _has(client: "ClientView") -> str:
    if not client.received:
        return ", and has no answer yet" if client.sent else ""
    shown = repr(client.last[-24:]) if client.received <= 24 else f"{client.received:,} bytes"
    return f", and has got {shown}"


def _until(m: "Moment", call: Pending) -> str:
    if call.name == "accept":
        return "it waits for a client"
    if call.name.startswith("recv"):
        return f"it waits for {m.who(call.descriptor)} alone"
    if call.name.startswith("send"):
        return f"it waits until {m.who(call.descriptor)} has read"
    if call.name in WAITS:
        return "it waits for all in its list at once"
    return "it waits for something that is no socket"


def _left_alone(m: "Moment", call: Pending) -> str:
    """Who waits for a server that waits for somebody else."""
    said = [f"{_list(m.waiting)} {'stands' if len(m.waiting) == 1 else 'stand'} in the accept queue"] if m.waiting else []
    if call.name not in WAITS:
        at = {thread.call.descriptor for thread in m.threads if thread.call}
        alone = [m.who(row.number) for row in m.descriptors if row.receive_queue and row.number not in at]
        said += [f"{_list(alone)} {'waits' if len(alone) == 1 else 'wait'} for an answer"] if alone else []
    return f". Meanwhile {_list(said)}" if said else ""


def _of_nothing(row: Descriptor | None) -> str:
    return "it will sleep" if row is None or row.blocking else "it will not wait"


def _change(asked: str | None) -> tuple[str, int | None, str]:
    """(operation, number, for which events) of an epoll_ctl, from its words: "ADD, 7, EPOLLIN"."""
    operation, number, events = ((asked or "").split(", ") + ["", ""])[:3]
    kinds = [word for name, word in (("EPOLLIN", "reading"), ("EPOLLOUT", "writing")) if name in events.split(" | ")]
    edges = ", each change once" if "EPOLLET" in events else ""
    return operation, int(number) if number.lstrip("-").isdigit() else None, f", for {_list(kinds)}{edges}" if kinds else ""


def _data(call: Call) -> str:
    count = call.result if isinstance(call.result, int) else 0
    return f"{_bytes(count)}, {call.data!r}," if 0 < count <= len(call.data) else _bytes(count)


def _queued(count: int) -> str:
    """What waits in a queue. How much of a big block is there already is chance, and no part of the story."""
    return _bytes(count) if count <= _A_READ else f"more than {_bytes(_A_READ)}"


def _bytes(count: int) -> str:
    return f"{count:,} byte{'s' * (count != 1)}"


def _list(words: Iterable[str]) -> str:
    words = list(words)
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1]))) if words else ""


def _is(things: Sized) -> str:
    return "is" if len(things) == 1 else "are"
