"""The servers of the course: one module a model, each on plain sockets, each run by the same base.

with BlockingServer() as server:        # a background thread on 127.0.0.1, a free port
    server.address                      # ("127.0.0.1", 40213)
"""

from .asyncio_server import AsyncioServer
from .base import NotHere, PortInUse, Server, echo
from .blocking_server import BlockingServer
from .coroutine_server import CoroutineServer
from .epoll_server import EpollServer
from .nonblocking_server import NonBlockingServer
from .poll_server import PollServer
from .registry import live_servers, stop_all
from .select_server import SelectServer
from .threaded_server import ThreadedServer

MODELS: dict[str, type[Server]] = {
    "blocking": BlockingServer,
    "nonblocking": NonBlockingServer,
    "select": SelectServer,
    "poll": PollServer,
    "epoll": EpollServer,
    "coroutine": CoroutineServer,
    "asyncio": AsyncioServer,
    "threads": ThreadedServer,
}

__all__ = [
    "MODELS",
    "AsyncioServer",
    "BlockingServer",
    "CoroutineServer",
    "EpollServer",
    "NonBlockingServer",
    "NotHere",
    "PollServer",
    "PortInUse",
    "SelectServer",
    "Server",
    "ThreadedServer",
    "echo",
    "live_servers",
    "stop_all",
]
