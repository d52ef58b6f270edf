"""The classic table: what one wait costs with few and with many descriptors."""

from collections.abc import Sequence

from course_lib.measure import Cost, waiting_cost

FEW, MANY = 10, 10_000


def measure(rounds: int, seconds: float) -> list[Cost]:
    """The rows of `waiting_cost` for poll and epoll."""
    return waiting_cost(("poll", "epoll"), (FEW, MANY), rounds, seconds)


def growth(rows: Sequence[Cost]) -> tuple[float | None, float | None]:
    """(epoll with MANY descriptors as a multiple of epoll with FEW, poll as one of epoll with MANY); None: not measured."""
    cost = {(row.kind, row.watched): row.microseconds for row in rows}
    few, many, poll = cost.get(("epoll", FEW)), cost.get(("epoll", MANY)), cost.get(("poll", MANY))
    return many and few and many / few, many and poll and poll / many
