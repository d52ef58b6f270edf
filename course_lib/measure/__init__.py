"""Measurements that give numbers and figures: what a wait costs, and what a server costs a request.

    rows = waiting_cost()           # select, poll and epoll; one of many descriptors is ready
    plot_waiting(rows)              # the figure; finding(rows) is what it shows, in one sentence
    plot_ladder(ladder([PollServer, EpollServer]))
    plot_servers(compare_servers())             # what a request costs the course's servers, others, and a loop in C
    processes(open_listeners, prefork, serve)   # the same server in one process, and in one for each core
    print(ten_thousand(server))     # ten thousand connections to a server of this process: opened, served, closed

All but ten_thousand measure in processes of their own: the notebook's process is neither disturbed nor changed.
"""

from importlib import import_module

from .comparison import PEERS, compare_servers
from .cores import Crew, computing_page, processes
from .findings import finding
from .ladder import Rung, growth, ladder
from .ten_thousand import TenThousand, ten_thousand
from .waiting import PUBLISHED, SOURCE, Cost, ready_cost, waiting_cost

__all__ = [
    "PEERS",
    "PUBLISHED",
    "SOURCE",
    "Cost",
    "Crew",
    "LiveLadder",
    "Rung",
    "TenThousand",
    "compare_servers",
    "computing_page",
    "finding",
    "growth",
    "ladder",
    "live_ladder",
    "plot_ladder",
    "plot_ready",
    "plot_servers",
    "plot_waiting",
    "processes",
    "ready_cost",
    "ten_thousand",
    "waiting_cost",
]

_LATER = {
    ".figures": ("plot_ladder", "plot_ready", "plot_waiting"),
    ".comparison.figure": ("plot_servers",),
    ".ladder_live": ("LiveLadder", "live_ladder"),
}


def __getattr__(name: str) -> object:
    # matplotlib and ipywidgets take long to import, and the processes that are measured need neither.
    for module, names in _LATER.items():
        if name in names:
            return getattr(import_module(module, __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
