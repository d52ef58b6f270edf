"""The course's servers beside others, measured on this machine: what a request costs, and what watching costs.

    rows = compare()            # the loop in C, EpollServer, coroutines, asyncio, …: taking turns, under 20 s
    plot_compare(rows)          # the figure

`python -m course_lib bench` measures all of it, and prints a report.
"""

from .comparing import Row, compare
from .peers import PEERS

__all__ = ["PEERS", "Row", "compare", "plot_compare"]


def __getattr__(name: str):
    # matplotlib takes long to import, and the processes that are measured do not need it.
    if name == "plot_compare":
        from . import figures

        return figures.plot_compare
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
