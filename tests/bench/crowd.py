"""Ten thousand live connections: opened, each served, and closed."""

from course_lib.measure import TenThousand, ten_thousand
from course_lib.servers import EpollServer

NUMBER = 10_000


def measure() -> TenThousand:
    """With an EpollServer in this process."""
    with EpollServer() as server:
        return ten_thousand(server, NUMBER)
