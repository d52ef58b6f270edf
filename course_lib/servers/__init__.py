"""The servers of the course: one module a model, each on plain sockets, each run by the same base.

    with BlockingServer() as server:        # a background thread on 127.0.0.1, a free port
        server.address                      # ("127.0.0.1", 40213)
"""

from .base import PortInUse, Server, echo
from .blocking_server import BlockingServer
from .epoll_server import EpollServer
from .nonblocking_server import NonBlockingServer
from .poll_server import PollServer
from .registry import live_servers, stop_all
from .select_server import SelectServer

MODELS: dict[str, type[Server]] = {
    "blocking": BlockingServer,
    "nonblocking": NonBlockingServer,
    "select": SelectServer,
    "poll": PollServer,
    "epoll": EpollServer,
}

__all__ = [
    "MODELS", "BlockingServer", "EpollServer", "NonBlockingServer", "PollServer", "PortInUse", "SelectServer", "Server", "echo",
    "live_servers", "stop_all",
]
