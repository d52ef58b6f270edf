"""What was measured, as values: each part of the bench fills in its own field, also when it is interrupted."""

import datetime
from dataclasses import dataclass, field
from typing import Any

from course_lib.measure import Cost, TenThousand
from course_lib.measure.comparison.comparing import Row
from course_lib.measure.comparison.spread import Spread

from .idle import Idle
from .importing import Import
from .machine import Machine, machine
from .observing import Observed
from .running import NotebookRun
from .side_by_side import Comparison, Served
from .switching import Switching
from .tests_run import Timed
from .visible import Visible


@dataclass
class Report:
    """A run of the bench. What was not measured is empty, and `skipped` has the reason by the name of the field."""

    mode: str = "whole"
    machine: Machine = field(default_factory=machine)
    date: str = field(default_factory=lambda: datetime.date.today().isoformat())
    seconds: float = 0.0
    interrupted: bool = False
    notes: list[str] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    servers: list[Comparison] = field(default_factory=list)
    idle: list[Idle] = field(default_factory=list)
    bytes_of_a_task: float | None = None
    observing: list[Observed] = field(default_factory=list)
    switching: list[Switching] = field(default_factory=list)
    waiting: list[Cost] = field(default_factory=list)
    crowd: list[TenThousand] = field(default_factory=list)
    imports: list[Import] = field(default_factory=list)
    visible: list[Visible] = field(default_factory=list)
    notebooks: list[NotebookRun] = field(default_factory=list)
    tests: list[Timed] = field(default_factory=list)

    @property
    def of_50(self) -> Comparison:
        """The servers with 50 clients: what goals, figure and README are about. Empty where that was not measured."""
        return next((table for table in self.servers if table.connections == 50), Comparison(50))

    def served(self, name: str) -> Served | None:
        """A server with 50 clients, or None."""
        return next((served for served in self.of_50.servers if served.row.name == name), None)

    def ranked(self) -> list[tuple[Row, Spread]]:
        """The servers that were measured with 50 clients, each with its CPU time as a multiple of the cheapest one's.

        The cheapest comes first; those that share a place come in the order of PEERS.
        """
        rows = sorted((served.row for served in self.of_50.servers), key=lambda row: row.place or 0)
        return [(row, row.times) for row in rows if row.times]

    def unmeasured(self, section: str) -> str:
        """Why a part has no values, or ""."""
        return "" if getattr(self, section) else self.skipped.get(section, "the run ended before")


def first(rows: list[Any], **which: object) -> Any:
    """The first row whose fields have these values, or None."""
    return next((row for row in rows if all(getattr(row, name) == value for name, value in which.items())), None)
