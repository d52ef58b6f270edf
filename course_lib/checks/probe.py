"""One call of the learner's, told once: the situation, the right answer, and the cause of each typical wrong one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import FunctionType
from typing import Any, TypeVar

from course_lib.proc import open_numbers
from course_lib.sandbox import Causes, Raised, Talk, Wrong, a, explained, shown

_CALLS = 2000  # a few milliseconds of work, unless something in the call waits

# A wrong answer -> what a message says of it, behind "… returned". The key is a value, a type, or a function that knows it.
# In the words, {} is the answer in words: "None", "b'tw'", "a value of type int".
Instead = Mapping[Any, str]

T = TypeVar("T")


class Probe:
    """The learner's function, and a call of it as messages show it: "try_recv(sock, 100)"."""

    def __init__(self, talk: Talk, function: Callable[..., Any], call: str) -> None:
        self.function, self.name = function, call.partition("(")[0]
        self._talk, self._call = talk, call

    def when(self, situation: str, *arguments: object, call: str = "", seconds: float = 1.0) -> Answer:
        """Call it in this situation, whose words begin each message, also that of a call that takes over `seconds`."""
        self._talk.step(f"{situation}{situation and ', and '}{call or self._call} did not return within {seconds:g} s", seconds)
        return Answer(situation, call or self.name, self.function(*arguments))

    def raises(
        self, error: type[BaseException], situation: str, *arguments: object, otherwise: str, instead: Instead | None = None
    ) -> Any:
        """The exception that this call must raise. What is said of a call that returns is as in `Answer.is_`."""
        try:
            answer = self.when(situation, *arguments)
        except error as raised:
            return raised
        return answer.is_a(error, otherwise, instead)

    def never_waits(self, situation: str, *arguments: object) -> None:
        """Call it so often that a wait in it shows: all calls together have a second."""
        self._talk.step(f"{_CALLS} calls of {self.name} {situation} took over 1 s: something in it waits")
        for _ in range(_CALLS):
            self.function(*arguments)

    @contextmanager
    def opens(self, number: int, what: str) -> Iterator[None]:
        """Inside, it opens so many descriptors and no more; `what` they are, in words."""
        before = open_numbers()
        yield
        if (left := len(open_numbers() - before) - number) > 0:
            raise Wrong(f"{self.name} left {left} more open than {what}.")


class Answer:
    """What came back from a call in a situation; or to a client: `does` is "got"."""

    def __init__(self, situation: str, call: str, value: Any, does: str = "returned") -> None:
        self.situation, self.value = situation, value
        self._returned = f"{situation}{situation and ', and '}{call} {does}"

    def is_(self, right: object, otherwise: str = "", instead: Instead | None = None) -> Any:
        """It is this value. A wrong answer has its words in `instead`, any other one those of `otherwise`."""
        return self._checked(_fits(self.value, right), otherwise or f"not {right!r}", instead or {})

    def is_a(self, kind: type[T], otherwise: str, instead: Instead | None = None) -> T:
        """It is of this type."""
        value: T = self._checked(isinstance(self.value, kind), otherwise, instead or {})
        return value

    def is_list_of(self, kind: type[T], otherwise: str, inside: str) -> list[T]:
        """It is a list of these; `inside` is said of one with something else in it."""
        value: list[T] = self.is_a(list, otherwise)
        for odd in (each for each in value if not isinstance(each, kind)):
            raise self.wrong(f"a list with {a(odd)} in it: {inside}")
        return value

    def wrong(self, words: str) -> Wrong:
        """The message that ends with `words`."""
        return Wrong(f"{self._returned} {words.replace('{}', shown(self.value))}.")

    def _checked(self, right: bool, otherwise: str, instead: Instead) -> Any:
        for sign, words in instead.items():
            if _fits(self.value, sign):
                raise self.wrong(words)
        if not right:
            comma = "," if otherwise.startswith("not ") else ":"
            raise Wrong(f"{self._returned} {shown(self.value)}{comma} {otherwise}.")
        return self.value


def _fits(value: object, sign: Any) -> bool:
    if isinstance(sign, type):
        return isinstance(value, sign)
    return bool(sign(value)) if callable(sign) else type(value) is type(sign) and value == sign


def first(causes: Mapping[str, object]) -> str:
    """The first cause that is true of this case; "" if none is."""
    return next((cause for cause, fits in causes.items() if fits), "")


def raise_first(causes: Mapping[str, object]) -> None:
    """Raise Wrong with the first cause that is true of this case."""
    if cause := first(causes):
        raise Wrong(cause)


@contextmanager
def explaining(causes: Causes) -> Iterator[None]:
    """An exception of the learner's becomes the sentence of its cause, inside."""
    try:
        yield
    except Raised as error:
        raise explained(error, causes) from None


def put_instead(learner: object, fakes: Mapping[Any, Any]) -> None:
    """Put each fake in the place of the real thing under all names that the learner's cells have for it: `from select import select`."""
    for function in (learner, *vars(learner).values()):
        if isinstance(function, FunctionType):  # all cells have one dict of names
            found = list(function.__globals__.items())
            function.__globals__.update((name, fake) for name, value in found for real, fake in fakes.items() if value is real)
