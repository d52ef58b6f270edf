"""What nbval cannot see of notebook 08: a learner's server may still be at work when the next experiment begins."""

import socket

from outputs import NOTEBOOKS, code, read, tags

from course_lib.kernel import wait_until
from course_lib.servers import EpollServer


def test_who_can_be_stopped_does_not_depend_on_a_server_that_is_at_work():
    cells = code(read(NOTEBOOKS / "08_cpu_bound_and_io_bound.ipynb"))
    names: dict = {}
    for first in "import asyncio", "def greedy_answer", "def in_python", "def we_can_stop":
        exec(next(cell.source for cell in cells if cell.source.startswith(first)), names)
    begun = []

    def answer(request):
        begun.append(request)
        return names["greedy_answer"](request, seconds=60)

    with EpollServer(answer) as server, socket.create_connection(server.address) as client:
        client.sendall(b"work")
        assert wait_until(lambda: begun, 20)
        exec(next(cell.source for cell in cells if "claim-C66" in tags(cell)), names)
        assert names["stoppable"] == ["in_c"]
        assert not server.running
