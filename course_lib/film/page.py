"""A film as HTML: a still for where no scripts run, and the player with all moments for where they do."""

import json
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from course_lib.kernel import Descriptor, Pending

from .words import asks, facts, state, watched

if TYPE_CHECKING:
    from .film import Film, Moment

MOST_ROWS = 20  # descriptors in the picture; of more, those that have to do with a call
_PAGE = (
    '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
    '<meta name="color-scheme" content="light dark"><title>{title}</title></head>\n'
    '<body style="margin: 16px"><main><h1 style="font: 600 18px system-ui, sans-serif">{title}</h1>{body}</main></body></html>\n'
)


def page(*films: "Film") -> str:
    """One file that plays by itself."""
    return _PAGE.format(title=escape(_title(films)), body=fragment(*films))


def fragment(*films: "Film") -> str:
    """The still, and the player that takes its place where scripts run."""
    program = Path(__file__).with_name("player.js").read_text(encoding="utf-8")
    style = Path(__file__).with_name("player.css").read_text(encoding="utf-8")
    call = f"filmPlayer(document.currentScript.parentNode, {_script([data(film) for film in films])}, {_script(style)})"
    return f'<div class="film">{"".join(map(still, films))}<script>(() => {{\n{program}\n{call};\n}})()</script></div>'


def still(film: "Film") -> str:
    """The decisive moment, in words and as a table."""
    if not len(film):
        return f"<p><b>{escape(film.name)}</b>: {escape(film.ending)}</p>"
    at = film.decisive
    moment = film[at]
    told = [f"<b>{escape(film.name)}</b>, moment {at + 1} of {len(film)}. {escape(film.asks(at))}"]
    if moment.acts:
        told.append(escape("Before that: " + ", ".join(moment.acts) + "."))
    if moment.position:
        told.append(f"<code>{escape(moment.position.own.text)}</code>")
    rows = [
        (row.number, moment.names[row.number], ", ".join(facts(moment, row)) or "nothing to read")
        for row in _shown(moment, _active(film))
    ]
    body = "".join("<tr>" + "".join(f"<td>{escape(str(word))}</td>" for word in row) + "</tr>" for row in rows)
    return (
        "".join(f"<p>{text}</p>" for text in told)
        + f"<table><thead><tr><th>number</th><th>whose</th><th>what the kernel holds</th></tr></thead><tbody>{body}</tbody></table>"
    )


def data(film: "Film") -> dict:
    """What the player draws, as JSON-ready values. What many moments have in common stands there once."""
    rows, tasks, clients = _Table(), _Table(), _Table()
    active = _active(film)
    return {
        "name": film.name,
        "ending": film.ending,
        "lines": list(film.listing.lines),
        "moments": [_moment(film, number, active, rows, tasks, clients) for number in range(len(film))],
        "rows": rows.entries,
        "tasks": tasks.entries,
        "clients": clients.entries,
    }


def drawn(m: "Moment", shown: list[Descriptor]) -> dict:
    """What the picture of a moment shows, of these descriptors, as JSON-ready values."""
    return {
        "call": str(m.call or ""),
        "asleep": m.asleep,
        "asks": asks(m),
        "state": state(m),
        "rows": [_row(m, row) for row in shown],
        "hidden": len(m.descriptors) - len(shown),
        "waiting": m.waiting,
        "ready": sorted(m.ready),
        "in": m.handed_in,
        "back": m.came_back,
        **({"zombies": m.zombies} if m.zombies else {}),
        "threads": [[thread.call and thread.call.name, _target(thread.call), thread.asleep, thread.next] for thread in m.threads],
        "tasks": None if m.tasks is None else [[task.name, task.state, task.number] for task in m.tasks],
    }


def _moment(film: "Film", number: int, active: set, rows: "_Table", tasks: "_Table", clients: "_Table") -> dict:
    m = film[number]
    picture = drawn(m, _shown(m, active))
    place = m.position and {
        "at": film.listing.at(m.position.own),
        "callers": [film.listing.at(spot) for spot in m.position.callers],
        "inner": m.position.inner and [m.position.inner.function, m.position.inner.text],
        "names": m.position.names,
    }
    return picture | {
        "label": m.label,
        "place": place,
        "acts": m.acts,
        "came": film.came(number),
        "rows": [rows.index(row) for row in picture["rows"]],
        "tasks": None if m.tasks is None else tasks.index(picture["tasks"]),
        "clients": clients.index(
            [[c.name, c.state, c.sent, c.received, c.last.decode("ascii", "backslashreplace")[-24:]] for c in m.clients]
        ),
    }


def _row(m: "Moment", row: Descriptor) -> dict:
    return {
        "number": row.number,
        "kind": row.kind,
        "who": m.names[row.number],
        "state": row.state,
        "blocking": row.blocking,
        "hangup": row.hangup,
        "writable": row.writable,
        "receive": row.receive_queue,
        "send": row.send_queue,
        "watched": ", ".join(map(watched, row.watched_by)),
        "epoll": row.watched_by[0].epoll if row.watched_by else None,
    }


def _target(call: Pending | None) -> int | None:
    """The number at which a thread's token stands: an epoll_ctl is about the socket, not the epoll."""
    if call is None:
        return None
    if call.name == "epoll_ctl":
        number = (call.asked or "").split(", ")[1:2]
        return int(number[0]) if number and number[0].isdigit() else call.descriptor
    return call.descriptor


def _shown(moment: "Moment", active: set[str | None]) -> list[Descriptor]:
    """Its descriptors, at most MOST_ROWS: the listener, epolls, and those that calls of the film were made on."""
    if len(moment.descriptors) <= MOST_ROWS:
        return list(moment.descriptors)

    def rank(row: Descriptor) -> tuple[bool, bool]:
        return row.kind not in ("listener", "epoll"), moment.names[row.number] not in active

    kept = {row.number for row in sorted(moment.descriptors, key=rank)[:MOST_ROWS]}
    return [row for row in moment.descriptors if row.number in kept]


def _active(film: "Film") -> set[str | None]:
    return {m.name(thread.call.descriptor) for m in film.moments for thread in m.threads if thread.call}


class _Table:
    """Values that are told once, and then by their place."""

    def __init__(self) -> None:
        self.entries: list = []
        self._places: dict[str, int] = {}

    def index(self, entry: object) -> int:
        key = json.dumps(entry)
        if key not in self._places:
            self._places[key] = len(self.entries)
            self.entries.append(entry)
        return self._places[key]


def _title(films: tuple["Film", ...]) -> str:
    return " beside ".join(film.name for film in films) + " on film"


def _script(value: object) -> str:
    """A value as JavaScript inside of a script element: no text of the network ends it."""
    return (
        json.dumps(value, separators=(",", ":")).replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
    )
