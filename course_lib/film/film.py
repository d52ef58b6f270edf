"""What a film is made of: moments, each read from the kernel while the server stood still."""

from dataclasses import dataclass, field
from pathlib import Path

from course_lib.kernel import Call, Descriptor, Pending, TaskView

from . import words
from .source import Listing, Position


def place_of(row: Descriptor) -> int:
    """Where a descriptor stands in the picture: listeners first, epolls last."""
    return {"listener": 0, "epoll": 2}.get(row.kind, 1)


@dataclass(frozen=True, slots=True)
class Thread:
    """One thread of the server at one moment: in front of a call, asleep in it, or (call is None) under way."""

    name: str
    call: Pending | None
    asleep: bool
    next: bool = False  # the one whose call is made next


@dataclass(frozen=True, slots=True)
class ClientView:
    """What a client of the script has at one moment."""

    name: str
    state: str
    sent: int
    received: int
    last: bytes  # the end of what came back


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """The server at one moment: held before a call, or asleep in one.

    acts         what clients did since the moment before, in words
    came         the calls that came back since then
    threads      its threads; the one that matters is the first
    label        "wait", "accept", "read", "answer" or "let go": what the call is for
    position     where its thread stands in the source; None where there is no source
    descriptors  what the kernel says of its sockets and epolls
    names        who is who: {number: "alice"}
    waiting      who stands in the accept queue, first come first
    ready        the numbers in an epoll's ready list
    handed_in    what a select or poll is called with: {number: "read"}; None for other calls
    came_back    what the last wait gave back; None when none was seen
    tasks        of a server with a loop: its tasks, else None
    clients      what each client of the script has
    zombies      interests that have outlived their number: (the number, whose it was, for which events)
    """

    acts: tuple[str, ...] = ()
    came: tuple[Call, ...] = ()
    threads: tuple[Thread, ...]
    label: str = ""
    position: Position | None = None
    descriptors: tuple[Descriptor, ...]
    names: dict[int, str]
    waiting: tuple[str, ...]
    ready: frozenset[int]
    handed_in: dict[int, str] | None
    came_back: dict[int, str] | None
    tasks: tuple[TaskView, ...] | None
    clients: tuple[ClientView, ...] = ()
    zombies: tuple[tuple[int, str, str], ...] = ()

    @property
    def call(self) -> Pending | None:
        """The call in front of which the server is held, or in which it sleeps; None when it has ended."""
        return self.threads[0].call if self.threads else None

    @property
    def asleep(self) -> bool:
        """True while it sleeps in the call."""
        return bool(self.threads) and self.threads[0].asleep

    def row(self, number: int | None) -> Descriptor | None:
        """What the kernel says of one of its descriptors."""
        return next((row for row in self.descriptors if row.number == number), None)

    def name(self, number: int | None) -> str | None:
        """The name in `names`; None for a number that is not there."""
        return None if number is None else self.names.get(number)

    def who(self, number: int | None) -> str:
        """Whose a descriptor is: "alice", "the listener", "the epoll"."""
        closed = next((f"{who}, who was closed" for old, who, _ in self.zombies if old == number), "another descriptor")
        name = self.name(number) or closed
        return f"the {name}" if name in ("listener", "epoll") else name


class _Shown:
    """One film, or two side by side, as a page. Its `films` are these."""

    @property
    def films(self) -> tuple["Film", ...]:
        raise NotImplementedError

    def save(self, path: str | Path) -> Path:
        """Write it with its player to one file, which plays in any browser, without a network and without a server."""
        from .page import page

        path = Path(path)
        path.write_text(page(*self.films), encoding="utf-8")
        return path

    def _repr_html_(self) -> str:
        from .page import fragment

        return fragment(*self.films)


@dataclass(frozen=True, eq=False)
class Film(_Shown):
    """The moments of a server, one before each of its calls. Two films are equal when all is the same but times and numbers.

    name      the server's class, and what it was made with besides the usual
    moments   in order
    listing   the functions of its source that it went through
    ending    why the film ends, in a sentence
    """

    name: str
    moments: tuple[Moment, ...]
    listing: Listing = field(repr=False)
    ending: str

    def __len__(self) -> int:
        return len(self.moments)

    def __getitem__(self, number: int) -> Moment:
        return self.moments[number]

    def asks(self, number: int) -> str:
        """One sentence: what the call of this moment asks of the kernel."""
        return words.asks(self.moments[number])

    def came(self, number: int) -> str:
        """One sentence, or a few: what came back since the moment before."""
        return words.came(self.moments[number], self.moments[number - 1] if number else None)

    def state(self, number: int) -> str:
        """What the kernel holds at this moment, in words: the picture for those who do not see it."""
        return words.state(self.moments[number])

    @property
    def decisive(self) -> int:
        """The moment that a still shows: the last one at which the server sleeps while somebody waits for it; else the one
        before which the most came back at once."""

        def weight(number: int) -> tuple:
            moment = self.moments[number]
            left_alone = len(moment.waiting) + sum(bool(row.receive_queue) for row in moment.descriptors)
            return (moment.asleep and left_alone > 0, len(moment.came_back or ()), left_alone)

        return max(range(len(self)), key=weight, default=0)

    # As a value

    def normal(self) -> tuple:
        """All of it but times and numbers: what two films of the same script have in common."""
        return (self.name, self.listing.lines, self.ending, *map(self._normal, range(len(self))))

    def _normal(self, number: int) -> tuple:
        m = self.moments[number]
        at = m.position and (self.listing.at(m.position.own), m.position.inner and m.position.inner.text)
        return (
            m.acts,
            self.came(number),
            m.label,
            self.asks(number),
            self.state(number),
            at,
            m.asleep,
            tuple((thread.name, thread.call and thread.call.name, thread.asleep) for thread in m.threads),
        )

    def __eq__(self, other: object) -> bool:
        return self.normal() == other.normal() if isinstance(other, Film) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.normal())

    def __str__(self) -> str:
        """A line for each moment: the label and what the call asks; between them what clients did, and what came back."""
        lines = []
        for number, moment in enumerate(self.moments):
            acts = [f"        → {act}" for act in moment.acts]
            came = [f"        {self.came(number)}"] if moment.came else []
            lines += acts + came if number and self.moments[number - 1].asleep else came + acts
            lines.append(f"{moment.label:7} {self.asks(number)}")
        return "\n".join([*lines, self.ending])

    def __repr__(self) -> str:
        return f"<Film of {self.name}: {len(self)} moments>"

    # As a page

    @property
    def films(self) -> tuple["Film", ...]:
        return (self,)

    def beside(self, other: "Film") -> "Pair":
        """Two films of the same script side by side, stepped together: what one server does while the other sleeps."""
        if not isinstance(other, Film):
            raise TypeError(f"a film stands beside another film, not {type(other).__name__}")
        return Pair(self, other)


@dataclass(frozen=True)
class Pair(_Shown):
    """Two films of the same script, side by side."""

    left: Film
    right: Film

    def __repr__(self) -> str:
        return f"{self.left!r} beside {self.right!r}"

    @property
    def films(self) -> tuple[Film, ...]:
        return self.left, self.right
