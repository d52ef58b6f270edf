"""Each way in which the course serves many clients, by a name: what a test of all servers runs."""

from functools import partial

from course_lib.servers import (
    AsyncioServer,
    CoroutineServer,
    EpollServer,
    NonBlockingServer,
    PollServer,
    SelectServer,
    ThreadedServer,
)

SERVE_ALL = {
    "nonblocking": NonBlockingServer,
    "select": SelectServer,
    "poll": PollServer,
    "epoll": EpollServer,
    "epoll on edges": partial(EpollServer, edge_triggered=True),
    "generators": CoroutineServer,
    "async def": partial(CoroutineServer, native=True),
    "asyncio": AsyncioServer,
    "threads": ThreadedServer,
}
