"""Measurements that give numbers and figures: what a wait costs, and what a server costs a request.

    rows = waiting_cost()           # select, poll and epoll; one of many descriptors is ready
    plot_waiting(rows)              # the figure; finding(rows) is what it shows, in one sentence
    plot_ladder(ladder([PollServer, EpollServer]))

Everything is measured in processes of its own: the notebook's process is neither disturbed nor changed.
"""

from .findings import finding
from .ladder import Rung, ladder
from .waiting import PUBLISHED, SOURCE, Cost, ready_cost, waiting_cost

__all__ = [
    "PUBLISHED", "SOURCE", "Cost", "LiveLadder", "Rung", "finding", "ladder", "live_ladder", "plot_ladder", "plot_ready",
    "plot_waiting", "ready_cost", "waiting_cost",
]


def __getattr__(name: str):
    # matplotlib and ipywidgets take long to import, and the processes that are measured need neither.
    if name in ("plot_ladder", "plot_ready", "plot_waiting"):
        from . import figures

        return getattr(figures, name)
    if name in ("LiveLadder", "live_ladder"):
        from . import live

        return getattr(live, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
