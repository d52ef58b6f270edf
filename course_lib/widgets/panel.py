"""The panel that `observe()` shows: a server or sockets, live, with switches and clients."""

import json
import queue
import socket
import time
from collections.abc import Callable, Generator, Iterable
from pathlib import Path
from typing import Any, Literal

import traitlets

from course_lib.clients import NAMES, Address, Client, address_of
from course_lib.film import Film, film
from course_lib.film.actors import Actor
from course_lib.film.page import data
from course_lib.kernel import Descriptor, Doing, TaskView, descriptors
from course_lib.kernel.busiest import Busiest, Seldom
from course_lib.kernel.descriptors import attribute
from course_lib.kernel.tasks import MOST
from course_lib.kernel.threads import CpuShare

from . import words
from .dock import dock
from .history import Changes
from .live_panel import LivePanel
from .live_picture import LivePicture
from .page import script, style
from .picture import COLUMNS, picture_html
from .subject import LISTENERS, Process, Things, connections_of, server_of, sleepers, subject_of, why_no_client

_PERIOD = 1 / 30  # seconds between two looks at the kernel
_QUIET, _CALM = 2.0, 1 / 5  # seconds without any change, after which so many lie between two looks
_SHORTEST = 0.02  # seconds between them after a click
_DRAWN = 100  # calls that one look adds to the lanes; of more, the newest
_LISTED = 8  # calls in the listing
_APPEARS = 3.0  # seconds in which a view appears beside the notebook, or the place is not there any more
_SHOWN = 200  # descriptors that are all shown
_OF_MANY = 60  # rows when there are more: the active ones come first
_PART = 0.1  # of a core, at the most, that looking at more than are shown may take
_TASKS = 60  # tasks shown; the ready ones come first
_CROWD = 20  # clients that one click connects
_BLOCK = 8 << 20  # bytes of a big block: more than both kernels' buffers take
_LONGEST_TEXT = 1000  # characters a client sends at a time
# What is shown of a subject that cannot be read.
_NOTHING: dict[str, Any] = {
    **dict.fromkeys(("server", "picture", "tasks")),
    **dict.fromkeys(("process", "listener", "connections", "why_not", "note", "first"), ""),
    **{"can_connect": False, "clients": [], "rows": [], "hidden": 0},
}
PARTS = ("picture", "controls", "clients", "table", "tasks", "lanes", "calls")
_PLAYER = Path(__file__).parents[1] / "film"
_opened = False  # "more", as the learner has left it: a new panel opens so


def observe(
    thing: Any = None, parts: Iterable[str] | None = None, *, pid: int | None = None, **clients: socket.socket
) -> "Panel":
    """Show a server, or whatever has descriptors, live: each as the kernel sees it, with switches and clients.

    thing    a server of the course; a socket, file, pipe, epoll or selector; a descriptor's number; a server of another kind that
             has fileno(), `.sockets` or `.socket` (socketserver, asyncio …); or a list of these, or a dict with these as keys or
             values. It is looked at and never read.
    pid      instead of a thing: the number of a process that you started, such as redis-server; a Popen can be the thing itself
    parts    None: the picture, the modes and three buttons for clients, and all the rest behind "more". Else the parts to show, of
             PARTS: `observe(server, parts=["lanes"])` has the time lanes alone
    clients  names for client sockets of your own, as `observe(server, first=a, second=b)`
    Raises TypeError for another thing, ValueError for a part that is none or a process that does not live, PermissionError for
    one that may not be looked at.
    """
    return Panel(thing if pid is None else Process(pid), parts, **clients)


class Panel(LivePanel):
    """The live panel. `state()` is what it shows, as a plain value."""

    _esm = script("../film/player.js", "lanes.js", "panel.js") + (
        f"\nconst PLAYER_STYLE = {json.dumps((_PLAYER / 'player.css').read_text(encoding='utf-8'))};\n"
    )
    _css = style("panel.css")
    parts: traitlets.List[str] = traitlets.List().tag(sync=True)
    folded = traitlets.Bool().tag(sync=True)  # is there a "more"
    more = traitlets.Bool().tag(sync=True)  # and is it open at first
    # Where the page shows it: "here", in its cell; "beside" the notebook; "away": another panel has taken that place; "folded": it
    # has given that place back; "offered": in its cell, for the learner has closed that place. A button brings the last two there.
    place = traitlets.Unicode("here").tag(sync=True)

    def __init__(self, thing: Any, parts: Iterable[str] | None = None, **clients: socket.socket) -> None:
        folded = parts is None
        chosen = PARTS if parts is None else [parts] if isinstance(parts, str) else list(parts)
        if unknown := [part for part in chosen if part not in PARTS]:
            raise ValueError(f"a panel has no part {unknown[0]!r}; its parts are {', '.join(PARTS)}")
        self.subject, self.clients = subject_of(thing)
        self._server = server_of(self.subject)
        self.label(**clients)
        self._note = ""
        self._last = _NOTHING
        self._changes, self._share = Changes(), CpuShare()
        self._live = LivePicture(self.subject, self.clients.name_of, self.clients.labels)
        self._busiest = Busiest(self.subject.numbers, min(_OF_MANY, _SHOWN), self.clients.labels)
        self._its_tasks, self._how_many = Seldom(), Seldom(10)
        self._period, self._cost = _PERIOD, 0.0  # seconds: between two looks, and CPU time of one
        self._recorded_until = 0.0
        self._beside: str | None = None  # the view that the page shows beside the notebook
        self._offered = False  # to the dock, or to the button that brings it there, once
        self._asked: float | None = None  # when it was put there, until a view reports
        self._old_closes = False  # a new place was opened: a view that is late in the old one leaves with it
        super().__init__(columns=COLUMNS, parts=list(chosen), folded=folded, more=_opened)
        dock.expect(self)

    def label(self, **clients: socket.socket) -> None:
        """Name client sockets, so that the table shows the names: `panel.label(first=a)`."""
        for name, sock in clients.items():
            try:
                self.clients.labels[address_of(sock)] = name
            except (AttributeError, OSError):
                raise TypeError(f"{name} is not an open socket: pass the client's socket") from None

    def is_its(self, value: object) -> bool:
        """Is this what it shows, a part of that, a client of it, or the panel itself?"""
        things = self.subject.things if isinstance(self.subject, Things) else []
        if any(value is its for its in (self, self.subject, *things)):
            return True
        if isinstance(self.subject, Process) and attribute(value, "pid") == self.subject.pid:  # its Popen
            return True
        try:
            return isinstance(value, socket.socket) and value.getpeername() in {row.local for row in self.subject.descriptors()}
        except Exception:  # no connection, or a proxy of what is gone
            return False

    @property
    def is_stopped(self) -> bool:
        """True when it shows a server that somebody has stopped; one that ended by itself has something to say."""
        return self._server is not None and not self._server.running and not self._server.fate

    # What it shows

    def state(self) -> dict:
        """Everything the panel shows but the lanes, as JSON-ready values.

        server, process, picture, listener, connections, note, clients, tasks, rows, hidden, first (which rows come first when some are hidden)
        """
        return self._seen()[1]

    def _seen(self) -> tuple[tuple[list[Descriptor], int, Doing | None] | None, dict]:
        """(a look, or None when it failed, and the state that shows it). What failed is said, and the next look comes."""
        try:
            look = self._look()
            self._last = self._state(*look)
            return look, self._last
        except Exception as error:
            return None, {**self._last, "note": f"This look failed: {type(error).__name__}: {error}"}

    def _look(self) -> tuple[list[Descriptor], int, Doing | None]:
        """(what the kernel says of the descriptors that are shown, how many are not shown, what the thread does)."""
        if isinstance(self.subject, Process):
            rows = self.subject.descriptors(_SHOWN)
            return rows, len(self.subject.numbers()) - len(rows), None
        doing = self._server.doing() if self._server is not None else None
        if self._how_many(lambda: len(self.subject.numbers())) <= _SHOWN:
            return self.subject.descriptors(), 0, doing
        return *self._busiest.look(also=[doing.descriptor] if doing and doing.descriptor is not None else ()), doing

    def _state(self, rows: list[Descriptor], hidden: int, doing: Doing | None) -> dict:
        its, told, process, note = self._server, None, "", self._note
        asked, found = (None, None) if its is None else (its.handed_in(), its.came_back())
        if its is not None and doing:
            told = {
                "name": type(its).__name__,
                "running": its.running,
                "address": _place(its.address) if its.running else "",
                "line": self._live.line(doing),
                "doing": f"held before {its.pending}" if its.pending else words.doing(doing),
                "asleep": doing.asleep and not its.pending,
                "seconds": round(doing.seconds, 1),
                "cpu": round(self._share.of(its.cpu_seconds()) * 100),  # of all its threads
                "recording": its.recording,
                "held": its.held,
                "pending": str(its.pending or ""),
                "calls": [str(call) for call in its.calls(_LISTED)],
            }
            note = " ".join(filter(None, (note, words.fate(its, rows, doing))))  # after it was asked whether it runs
        elif isinstance(self.subject, Process):
            said = self.subject.words()
            if self.subject.running:
                process = said
            else:
                note = " ".join(filter(None, (note, said)))
        elif isinstance(self.subject, Things) and not rows:
            note = self.subject.words()
        address, tasks = self._address(rows), self._tasks_now(hidden)
        known = dict(zip(its.threads[:1], [doing])) if its is not None and doing else {}
        here, tls = sleepers(self.subject, rows, known), self.subject.in_openssl() if isinstance(self.subject, Things) else {}
        return {
            "server": told,
            "process": process,
            "picture": self._live.show(rows, hidden, doing, tasks),
            "listener": _mode(rows, LISTENERS),
            "connections": _mode(rows, connections_of(self.subject)),
            "can_connect": address is not None,
            "why_not": "" if address else why_no_client(self.subject, rows),
            "note": note,
            "clients": self._client_states(rows, hidden),
            "tasks": self._task_rows(tasks, rows),
            "rows": [
                self._row(row, here, asked or {}, found or {}, tls)
                for row in sorted(rows, key=lambda row: (row.kind not in LISTENERS, row.number))
            ],
            "hidden": hidden,
            "first": "the lowest numbers" if isinstance(self.subject, Process) else "the active ones",
        }

    def _row(
        self, row: Descriptor, here: dict[int, str], asked: dict[int, str], found: dict[int, str], tls: dict[int, int]
    ) -> dict:
        return {
            "number": row.number,
            "kind": row.kind,
            "peer": self.clients.name_of(row.peer) or _place(row.peer),
            "blocking": row.blocking,
            "readable": row.readable,
            "writable": row.writable,
            "hangup": row.hangup,
            "receive": f"{row.accept_queue} waiting"
            if row.accept_queue is not None
            else _count(row.receive_queue) + (f" + {tls[row.number]:,} in OpenSSL" if tls.get(row.number) else ""),
            "send": _count(row.send_queue),
            "state": row.state or "",
            "asked": asked.get(row.number, ""),
            "found": _without_prefix(found.get(row.number, "")),
            "watched": _without_prefix(", ".join(map(str, row.watched_by))).replace("epoll ", ""),
            "asleep": here.get(row.number, ""),
        }

    def _tasks_now(self, hidden: int) -> list[TaskView] | None:
        ask = getattr(self.subject, "tasks", lambda: None)
        return self._its_tasks(ask) if hidden else ask()

    def _task_rows(self, tasks: list[TaskView] | None, rows: list[Descriptor]) -> dict | None:
        """The tasks of a server that has a loop, in order: {ready: how many can run, shown: a dict for each, hidden: how many more}."""
        if tasks is None:
            return None
        whose: dict[int | None, str] = {
            row.number: self.clients.name_of(row.peer) or _place(row.peer) or row.kind for row in rows
        }
        shown = [
            {"name": task.name, "client": whose.get(task.number, ""), "waits": task.waits, "state": task.state}
            for task in tasks[:_TASKS]
        ]
        left = len(tasks) - len(shown)
        hidden = "" if not left else f"over {left} more tasks" if len(tasks) >= MOST else f"{left} more tasks"
        return {"ready": sum(task.state in ("running", "ready") for task in tasks), "shown": shown, "hidden": hidden}

    def _client_states(self, rows: list[Descriptor], hidden: int) -> list[dict]:
        queued = not hidden and any(row.accept_queue for row in rows)
        accepted = {row.peer for row in (descriptors() if isinstance(self.subject, Things) else rows)} if queued else None
        return [
            {"name": c.name, "open": c.open, "slow": c.slow, "state": _client_words(c, accepted)}
            for c in self.clients.by_name.values()
        ]

    def _address(self, rows: list[Descriptor]) -> Address | None:
        """Where a client can connect: the server's address, or that of the first listener."""
        if self._server is not None:
            return self._server.address if self._server.running else None
        return None if why_no_client(self.subject, rows) else next((row.local for row in rows if row.kind in LISTENERS), None)

    # Messages of the page

    def _run(self) -> None:
        """Carry out what was clicked, look at the kernel, send what changed; end when no page shows the panel."""
        sent, asleep_since = None, 0.0
        heard = changed = time.monotonic()
        events = [] if self._events.empty() else [self._events.get()]
        while True:
            for message in events:
                heard = time.monotonic()
                if message.get("type") == "ready":
                    sent = None
                    self._changes.begin_again()
                self._act(message)
            if self._asked and time.monotonic() - self._asked > _APPEARS:
                self._asked = None
                if dock.shown is self and not dock.is_new:
                    self._dock(anew=True)
            if self._is_over(heard):
                return
            self.clients.look()
            looked, begin = time.monotonic(), time.thread_time()
            look, state = self._seen()
            since = time.monotonic() - state["server"]["seconds"] if state["server"] and state["server"]["asleep"] else 0.0
            same = {**state, "server": state["server"] and {**state["server"], "seconds": 0}}
            message, records = self._changes_since(look, state)
            # The page counts the seconds of a sleep itself; it hears of a sleep that began anew.
            if same != sent or abs(since - asleep_since) > 0.5:
                message |= _news(state, sent)
                sent, asleep_since = same, since
            if records or "state" in message:
                self.send(message, buffers=[records])
            if records or "state" in message or any(event.get("type") != "alive" for event in events):
                changed = time.monotonic()
            self._cost += (time.thread_time() - begin - self._cost) / 8  # a mean: some looks ask dear questions as well
            self._period = max(_PERIOD, self._cost / _PART) if state["hidden"] else _PERIOD
            if time.monotonic() - changed > _QUIET:
                self._period = max(self._period, _CALM)
            events = self._next_events(looked)

    def _changes_since(self, look: tuple[list[Descriptor], int, Doing | None] | None, state: dict) -> tuple[dict, bytes]:
        """What changed in the lanes since the last message: (message, its records)."""
        now, server = time.perf_counter(), state["server"]
        if look is None:
            return {"type": "update", "now": now, "texts": [], "lanes": []}, b""
        rows, hidden, _ = look
        names = {row["number"]: row["peer"] or row["kind"] for row in state["rows"]}
        self._changes.look(now, rows, server and server["doing"], self._busiest.arrived if hidden else (), names)
        if self._server is not None and server:
            calls = self._server.calls(last=_DRAWN, since=self._recorded_until)
            self._recorded_until = calls[-1].entered if calls else self._recorded_until
            self._changes.calls(calls)
        texts, lanes, records = self._changes.take()
        return {"type": "update", "now": now, "texts": texts, "lanes": lanes}, records

    def _next_events(self, looked: float) -> list[dict]:
        """What the page says until a period after the last look began, or after a click; 50 looks a second at the most."""
        events: list[dict] = []
        looked = max(looked, time.monotonic() - _PERIOD / 2)
        while (left := looked + (_SHORTEST if events else self._period) - time.monotonic()) > 0:
            try:
                events.append(self._events.get(timeout=left))
            except queue.Empty:
                break
        return events

    def _act(self, message: dict) -> None:
        super()._act(message)
        kind, view = message.get("type"), str(message.get("view"))
        if kind == "ready":
            self._shown_in(view, str(message.get("in")))
        elif kind == "gone" and view == self._beside:
            self._left_the_dock()

    def _fail(self, error: Exception) -> None:
        self._note = f"{type(error).__name__}: {error}"

    # Beside the notebook: only JupyterLab has that place, and whether the panel appeared there is what its view reports.

    def _shown_in(self, view: str, where: str) -> None:
        if where == "beside":
            self._beside, self._asked, self.place = view, None, "beside"
        elif where == "cell of JupyterLab" and self.folded and dock.awaits(self) and not self._offered:
            if dock.wanted:
                self._dock()
            else:
                self._offered = True
                dock.offer(self)

    def _dock(self, anew: bool = False) -> None:
        self._offered, self._asked, self._old_closes = True, time.monotonic(), anew
        dock.show(self, anew)

    def _left_the_dock(self) -> None:
        self._beside = None
        if dock.shown is self and not self._old_closes:
            dock.was_closed()
        else:
            self.place = "folded" if dock.at_hand is self else "here" if dock.shown in (self, None) else "away"
        self._old_closes = False

    def _click(self, kind: str, message: dict) -> None:
        if kind == "dock":
            if self.folded:
                self._dock()
            return
        if kind == "more":
            global _opened
            _opened = bool(message.get("on"))
            return
        server, self._note = self._server, ""
        if kind in ("start", "stop", "hold", "run_on") and server is not None:
            getattr(server, kind)()
        elif kind == "step" and server is not None:
            server.step(0)
        elif kind == "record" and server is not None:
            server.record(bool(message.get("on")))
        elif kind == "film" and server is not None:
            self.send({"type": "film", "film": data(self.film())})
        elif kind == "blocking" and message.get("of") in ("listener", "connections"):
            self._set_blocking(bool(message.get("blocking")), message["of"])
        elif kind == "connect":
            self._connect(_CROWD if message.get("many") else 1)
        elif client := self.clients.by_name.get(str(message.get("client"))):
            if kind == "send":
                text = str(message.get("text", ""))[:_LONGEST_TEXT].replace("\\r", "\r").replace("\\n", "\n")
                client.send(text.encode())
            elif kind == "send_block":
                client.send(bytes(_BLOCK))
            elif kind == "slow":
                client.slow = not client.slow
            elif kind in ("half_close", "close", "reset"):
                getattr(client, kind)()

    def film(self) -> Film:
        """The server on film, as it is now, while two more clients come, are answered and leave."""
        if self._server is None:
            raise TypeError(f"a film is of a server, and this panel shows {self.subject}")
        names = [name for name in (*NAMES, "one more", "another") if name not in self.clients.by_name]

        def two_clients(connect: Callable[..., Actor]) -> Generator[None, None, None]:
            first = connect(names[0])
            yield
            second = connect(names[1])
            yield
            second.send(b"hello")
            yield
            first.send(b"hello")
            yield
            first.close()
            second.close()
            yield

        return film(self._server, two_clients)

    def _connect(self, count: int) -> None:
        rows = self._look()[0]
        address = self._address(rows)
        if address is None:
            self._note = why_no_client(self.subject, rows)
            return
        for _ in range(count):
            self.clients.connect(address)

    def _set_blocking(self, blocking: bool, of: Literal["listener", "connections"]) -> None:
        self.subject.set_blocking(blocking, of=of)
        if self._server is not None and of == "listener" and not blocking and self._server.doing().call == "accept":
            visitor = Client(self._server.address, "visitor")
            visitor.close()
            self._note = (
                "The kernel looks at the flag when a call begins. So that the sleeping accept() returns and the "
                "next one begins, the panel connected one client and closed it again."
            )

    # What a notebook stores

    def picture(self) -> str:
        """The panel as static HTML, made from the same state; with time lanes when calls were recorded."""
        if self._server is None or not self._server.calls():
            return picture_html(self.state())
        from .calls_figure import timeline  # matplotlib takes long to import, and few pictures need it

        lanes = timeline(self._server)
        return picture_html(self.state(), lanes.png(), lanes.words)

    def __repr__(self) -> str:
        if self._server is not None:
            return f"observe({self.subject!r})"
        return f"observe({self.subject})"


def _news(state: dict, before: dict | None) -> dict:
    """What a page that shows `before` must hear to show `state`: all but the rows, the rows that changed, and their order."""
    known = {row["number"]: row for row in before["rows"]} if before else {}
    return {
        "state": {name: value for name, value in state.items() if name != "rows"},
        "order": [row["number"] for row in state["rows"]],
        "rows": [row for row in state["rows"] if known.get(row["number"]) != row],
    }


def _client_words(client: Client, accepted: set | None) -> str:
    """What a client sees; `accepted` are the peers of the accepted connections, None when the accept queue is empty."""
    words = [client.state]
    if accepted is not None and client.state in ("connected", "half-closed") and client.address not in accepted:
        words.append("not accepted yet: it waits in the accept queue")
    if client.slow:
        words.append("reads slowly")
    if client.sent or client.unsent:
        whole = f" of {client.sent + len(client.unsent):,}" if client.unsent else ""
        words.append(f"sent {client.sent:,}{whole} bytes")
    if client.received:
        zeros = not client.last.strip(b"\0")
        last = "zero bytes" if zeros else repr(client.last.decode("utf-8", "backslashreplace")[-40:])
        words.append(f"{client.received:,} bytes came back: {last}")
    return ", ".join(words)


def _mode(rows: list[Descriptor], kinds: tuple[str, ...]) -> str:
    """ "blocking", "non-blocking", "mixed", or "" where there is none."""
    found = {row.blocking for row in rows if row.kind in kinds}
    return "" if not found else "mixed" if len(found) == 2 else "blocking" if found == {True} else "non-blocking"


def _without_prefix(events: str) -> str:
    """EPOLLIN and POLLIN as IN: a table is narrow."""
    return events.replace("EPOLL", "").replace("POLL", "")


def _place(address: Address | None) -> str:
    return f"{address[0]}:{address[1]}" if isinstance(address, tuple) else address or ""


def _count(number: int | None) -> str:
    return "" if number is None else f"{number:,}"
