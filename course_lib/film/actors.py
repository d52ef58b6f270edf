"""The clients of a film's script: those of `course_lib.clients`, and what they do is told."""

from collections.abc import Callable

from course_lib.clients import NAMES, Client

_LONGEST = 24  # bytes that are told as they are


class Actor(Client):
    """A client that tells what it does. No method waits for the server: what cannot be done now is done as the film goes on."""

    def __init__(self, address: tuple[str, int], name: str, after: Callable[[str], None]) -> None:
        self._after, self._slow = after, False
        super().__init__(address, name)
        after(f"{name} connects")

    @property
    def slow(self) -> bool:
        """True: it reads 1024 bytes at each moment, so that answers pile up."""
        return self._slow

    @slow.setter
    def slow(self, slow: bool) -> None:
        self._slow, before = slow, self._slow
        if slow != before:
            self._after(f"{self.name} reads {'slowly' if slow else 'fast'} from now on")

    def send(self, data: bytes) -> None:
        """Send `data`: now what the kernel takes, the rest as the film goes on (send(2))."""
        super().send(data)
        self._after(f"{self.name} sends {data!r}" if len(data) <= _LONGEST else f"{self.name} sends {len(data):,} bytes")

    def half_close(self) -> None:
        super().half_close()
        self._after(f"{self.name} finishes sending")

    def close(self) -> None:
        super().close()
        self._after(f"{self.name} closes")

    def reset(self) -> None:
        super().reset()
        self._after(f"{self.name} cuts the connection")


class Cast:
    """The clients of one film, in the order in which they connected, and what they did since it was last asked.

    settle  is called after each thing that they do: a server that it wakes comes to stand before its next call, so that what
            follows finds it there, whichever of the two is faster
    """

    def __init__(self, address: Callable[[], tuple[str, int]], settle: Callable[[], object]) -> None:
        self.actors: list[Actor] = []
        self._address, self._settle = address, settle
        self._acts: list[str] = []

    def connect(self, name: str | None = None) -> Actor:
        """Connect one more client; without a name it is alice, bob, carol, … Raises ValueError for a name that is taken."""
        taken = {actor.name for actor in self.actors}
        name = name or next((n for n in NAMES if n not in taken), f"client {len(taken) + 1}")
        if name in taken:
            raise ValueError(f"two clients of a film cannot both be called {name!r}")
        self.actors.append(Actor(self._address(), name, self._after))
        return self.actors[-1]

    def _after(self, act: str) -> None:
        self._acts.append(act)
        self._settle()

    @property
    def acted(self) -> bool:
        """Did one of them do something since acts() was last asked?"""
        return bool(self._acts)

    def acts(self) -> tuple[str, ...]:
        """What they did since the last time."""
        told, self._acts[:] = tuple(self._acts), []
        return told

    def look(self) -> None:
        """Let each of them take what has arrived, and send on."""
        for actor in self.actors:
            actor.look()

    def leave(self) -> None:
        """Close them all."""
        for actor in self.actors:
            actor.socket.close()
