"""What a suspended task of the course's loop takes in memory, with no connection: its generators, its Task, what it yielded."""

import socket
import tracemalloc

from course_lib.servers import CoroutineServer

NUMBER = 2000


def bytes_of_a_task() -> float:
    """Bytes of one task that waits for a client's next request."""
    server, (here, there) = CoroutineServer(), socket.socketpair()
    with here, there:
        tracemalloc.start()
        try:
            before, _ = tracemalloc.get_traced_memory()
            waits = []
            for _ in range(NUMBER):
                code = server.serve_client(here)
                waits.append(code.send(None))
                server.loop.spawn(code)
            after, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        return (after - before) / NUMBER
