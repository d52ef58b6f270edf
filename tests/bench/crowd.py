"""Ten thousand live connections: opened, each served, and closed."""

from dataclasses import asdict

from course_lib.measure import ten_thousand
from course_lib.servers import EpollServer

NUMBER = 10_000


def measure(report: dict) -> None:
    """Set report["crowd"]: the plain values of `ten_thousand` for an EpollServer in this process."""
    with EpollServer() as server:
        report["crowd"] = asdict(ten_thousand(server, NUMBER))
