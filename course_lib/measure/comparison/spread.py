"""What rounds have in common.

CPU time: whatever else runs on the machine can only add to it (cold caches, above all), never take away. So the best fifth
of the rounds is what is told, as timeit tells the best of its repetitions; with up to nine rounds, that is the best one.
Requests a second and latencies are what they are on this machine now: the median is told.
"""

import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from operator import sub, truediv

from .pair import Turn

Rounds = Sequence[Turn | None]


@dataclass(frozen=True, slots=True)
class Spread:
    """A value, and how far the rounds lie apart: between `low` and `high` lies the middle half of them, and the value."""

    value: float
    low: float
    high: float


def best(values: Iterable[float]) -> float:
    """The mean of the lowest fifth, of at least one. Raises StatisticsError when there are none."""
    values = sorted(values)
    return statistics.mean(values[: max(1, len(values) // 5)])


def cost(values: Iterable[float]) -> Spread:
    """Of CPU times: the best fifth. Raises StatisticsError when there are none."""
    values = list(values)
    return _spread(best(values), values)


def typical(values: Iterable[float]) -> Spread:
    """Of all else: the median. Raises StatisticsError when there are no values."""
    values = list(values)
    return _spread(statistics.median(values), values)


def quotient(ones: Iterable[float], others: Iterable[float]) -> Spread:
    """How many times the others the ones are: costs of the same rounds, in the same order. Raises StatisticsError for none."""
    ones, others = list(ones), list(others)
    return _spread(best(ones) / best(others), [one / other for one, other in zip(ones, others)])


def cpu(rounds: Rounds) -> Spread | None:
    """Microseconds of CPU time for one request."""
    return _compared(lambda own: own, rounds)


def added(rounds: Rounds, base: Rounds) -> Spread | None:
    """Microseconds a request that a server costs more than the base."""
    return _compared(sub, rounds, base)


def ratio(rounds: Rounds, others: Rounds) -> Spread | None:
    """CPU time a request as a multiple of the other's."""
    return _compared(truediv, rounds, others)


def separated(rounds: Rounds, others: Rounds) -> bool:
    """Do the rounds show that the others cost more? Three or four rounds must all do, of more rounds three quarters.

    They are compared one by one: what else ran on the machine was much the same for both.
    """
    more = ratio(others, rounds)
    return sum(bool(one and other) for one, other in zip(rounds, others)) > 2 and more is not None and more.low > 1


def ratio_of_added(rounds: Rounds, others: Rounds, base: Rounds) -> Spread | None:
    """What a server adds to the base, as a multiple of what another one adds."""
    return _compared(lambda one, other, own: (one - own) / (other - own) if other > own else None, rounds, others, base)


def _compared(compute: Callable[..., float | None], *each: Rounds) -> Spread | None:
    """What is computed of the CPU times that all of them had in the same round: of their best fifths, and in each round."""
    costs = [[turn.cpu for turn in turns if turn] for turns in zip(*each) if all(turns)]
    value = compute(*map(best, zip(*costs))) if costs else None
    return None if value is None else _spread(value, [one for own in costs if (one := compute(*own)) is not None])


def _spread(value: float, values: list[float]) -> Spread:
    values = sorted(values) or [value]
    low, high = values[0], values[-1]
    if len(values) > 4:
        low, _, high = statistics.quantiles(values, n=4)
    return Spread(value, min(low, value), max(high, value))
