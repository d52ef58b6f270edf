"""The course's servers beside others: the CPU time of a request, measured on this machine.

rows = compare_servers()    # the loop in C, EpollServer, coroutines, asyncio, …: taking turns, under 20 s
plot_servers(rows)          # the figure
"""

from .comparing import Row, compare_servers
from .peers import PEERS

__all__ = ["PEERS", "Row", "compare_servers"]
