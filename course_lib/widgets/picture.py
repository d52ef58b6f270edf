"""A panel's state as static HTML: what a stored notebook shows where there is no kernel."""

from html import escape

from .still import still, table

COLUMNS = (
    ("number", "fd", "the descriptor's number", True),
    ("kind", "what", "what the number names", True),
    ("peer", "peer", "the other end", True),
    ("asleep", "asleep here", "the threads that sleep in a call on this descriptor", False),
    ("blocking", "mode", "is O_NONBLOCK set on it?", True),
    ("readable", "readable", "a read, recv or accept would not sleep now", True),
    ("writable", "writable", "a send would not sleep now", True),
    ("hangup", "hang-up", "the peer has finished sending, or the connection is over", True),
    ("receive", "receive queue", "bytes that arrived and nobody has read; for the listener, clients not accepted yet", True),
    ("send", "send queue", "bytes sent that the other side has not acknowledged", True),
    ("state", "TCP state", "the kernel's state of the connection", True),
    ("watched", "interest list", "the epoll that has it in its interest list, and the events it is watched for", False),
    ("asked", "handed in", "the lists of the server's select() or poll() that it stands in", False),
    ("found", "came back", "what the last select(), poll() or epoll_wait() gave back for it", False),
)  # of the table of descriptors: key, title, meaning, and is it always shown, or only when a row has something in it
_TASK_COLUMNS = (("name", "task"), ("client", "for"), ("waits", "waits for"))


def picture_html(state: dict, lanes: bytes | None = None, described: str = "") -> str:
    """The server line, or that of a process, the note, the table, the tasks, and the lanes as an image (PNG). All text is escaped."""
    parts = []
    if server := state["server"]:
        parts.append(f"<div><b>{escape(server['name'])}</b> · {escape(server['doing'])}</div>")
    parts += [f"<div>{escape(said)}</div>" for said in (state["process"], state["note"]) if said]
    shown = [(key, title) for key, title, _, always in COLUMNS if always or any(row[key] for row in state["rows"])]
    rows = ([cell_text(key, row[key]) for key, _ in shown] for row in state["rows"])
    parts.append(table([title for _, title in shown], rows))
    if state["hidden"]:
        parts.append(f"<div>{state['hidden']:,} more descriptors are not shown</div>")
    if state["tasks"]:
        parts.append(_tasks_html(state["tasks"]))
    if lanes:
        parts.append(still(lanes, "png", described))
    return "".join(parts)


def _tasks_html(tasks: dict) -> str:
    queue = [task for task in tasks["shown"] if task["state"] in ("running", "ready")]
    words = ", ".join(" ".join(filter(None, (task["name"], task["client"]))) for task in queue)
    more = f", and {tasks['ready'] - len(queue)} more" if tasks["ready"] > len(queue) else ""
    rows = ([task[key] for key, _ in _TASK_COLUMNS] for task in tasks["shown"])
    hidden = f"<div>{tasks['hidden']} are not shown</div>" if tasks["hidden"] else ""
    return f"<div>ready queue: {escape(words or 'empty')}{more}</div>{table([title for _, title in _TASK_COLUMNS], rows)}{hidden}"


def cell_text(key: str, value: object) -> str:
    """A value as the table shows it: words for yes and no, nothing for None."""
    if key == "blocking":
        return "blocking" if value else "non-blocking"
    return {"True": "yes", "False": "no", "None": ""}.get(str(value), str(value))
