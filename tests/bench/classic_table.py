"""The classic table: what one wait costs with few and with many descriptors."""

from dataclasses import asdict

from course_lib.measure import waiting_cost

FEW, MANY = 10, 10_000


def measure(report: dict, rounds: int, seconds: float) -> None:
    """Set report["waiting"]: the rows of `waiting_cost`."""
    report["waiting"] = [asdict(row) for row in waiting_cost(("poll", "epoll"), (FEW, MANY), rounds, seconds)]


def growth(rows: list[dict]) -> tuple[float | None, float | None]:
    """(epoll with MANY descriptors as a multiple of epoll with FEW, poll as one of epoll with MANY); None: not measured."""
    cost = {(row["kind"], row["watched"]): row["microseconds"] for row in rows}
    few, many, poll = cost.get(("epoll", FEW)), cost.get(("epoll", MANY)), cost.get(("poll", MANY))
    return many and few and many / few, many and poll and poll / many
