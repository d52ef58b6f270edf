"""What a page makes of the panel's messages, without a page."""

from collections.abc import Callable

from course_lib.kernel import wait_until


def shown_after(shown: dict, message: dict) -> dict:
    """The state that a page shows after an update, as panel.js does it. `shown` is the state before, {} at first."""
    if "state" not in message:
        return shown
    rows = {row["number"]: row for row in [*shown.get("rows", []), *message["rows"]]}
    return message["state"] | {"rows": [rows[number] for number in message["order"]]}


class Page:
    """What a browser does: says that it shows the panel, clicks, and keeps the last state it was sent."""

    def __init__(self, panel) -> None:
        self.panel, self.messages, self.state = panel, [], {}
        panel.send = self.hear
        self.click("ready")

    def hear(self, message: dict, buffers: list[bytes]) -> None:
        self.messages.append((message, buffers[0]))
        self.state = shown_after(self.state, message)

    def click(self, kind: str, **more) -> None:
        self.panel._hear(self.panel, {"type": kind, "view": "page", **more}, [])

    def leave(self) -> None:
        """It is closed, and so its panel's thread ends."""
        self.click("gone")
        pump = self.panel._pump
        assert wait_until(lambda: self.panel._pump is None and not (pump and pump.is_alive()))

    def shows(self, condition: Callable[[dict], object], seconds: float = 20) -> bool:
        return wait_until(lambda: bool(self.state) and bool(condition(self.state)), seconds)
