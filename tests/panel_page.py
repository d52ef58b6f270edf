"""The words in which browser tests speak of the panel."""

import re

from places import at_last
from playwright.sync_api import Locator, expect

SETUP = """import socket, threading
from course_lib.servers import BlockingServer, stop_all
from course_lib.widgets import observe
from course_lib.widgets.dock import dock
dock.wanted = False  # each panel stays in its cell
stop_all()"""


def panel_of(output: Locator, more: bool = True) -> Locator:
    """The panel in the output of a cell, once it is visible; with what is behind "more" open, if there is such a thing."""
    panel = output.locator(".observatory")
    expect(panel).to_be_visible()
    if more and panel.locator("details.more:not([open])").count():  # it is drawn with the panel
        panel.locator("summary", has_text="more").click()
    return panel


def button(panel: Locator, name: str) -> Locator:
    return panel.get_by_role("button", name=name, exact=True)


def row(panel: Locator, text: str) -> Locator:
    """The rows of the table that contain a text."""
    return panel.get_by_role("row").filter(has_text=text)


def choose(panel: Locator, client: str) -> None:
    """Choose the client that the buttons act on."""
    panel.get_by_label("client", exact=True).select_option(client)


class Lanes:
    """The time lanes of a panel, read as a person at the keyboard does: by the text under the cursor."""

    def __init__(self, panel: Locator) -> None:
        self.canvas = panel.locator(".lanes canvas")
        self.text = panel.locator(".lanes .under")
        self.canvas.focus()

    def keys(self, *keys: str) -> str:
        """Put the cursor to now in the first lane, press these keys; returns what is said there."""
        self.canvas.blur()
        self.canvas.focus()
        for key in keys:
            self.canvas.press(key)
        self.painted()
        return self.text.inner_text()

    def at(self, lane: int, steps_back: int = 1) -> str:
        """What is said of a lane, so many steps (4 pixels each) back from now."""
        return self.keys(*["ArrowDown"] * lane, *["ArrowLeft"] * steps_back)

    def left(self) -> str:
        """Move the cursor one step further back; returns what is said there."""
        self.canvas.press("ArrowLeft")
        self.painted()
        return self.text.inner_text()

    def expect(self, lane: int, said: str, steps_back: int = 1) -> str:
        """Wait until something that matches is said there: lanes come, and JupyterLab may take the keyboard. Returns all of it."""
        return at_last(self.canvas.page, lambda: self.at(lane, steps_back), lambda text: re.search(said, text))

    def painted(self) -> None:
        """Wait until the page has drawn what was asked for: the text changes with the picture, frame by frame."""
        self.canvas.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")

    def pixels(self, lane: int) -> list[int]:
        """How many pixels of a lane's last third are painted, and a sum over their colours."""
        return self.canvas.evaluate(
            """(canvas, lane) => {
                const ratio = canvas.height / canvas.clientHeight, left = Math.round(canvas.width * .67), height = Math.round(22 * ratio);
                const { data } = canvas.getContext("2d").getImageData(left, lane * height, canvas.width - left, height - Math.ceil(2 * ratio));
                let painted = 0, colours = 0;
                for (let i = 0; i < data.length; i += 4) if (data[i + 3]) { painted++; colours += data[i] + 2 * data[i + 1] + 3 * data[i + 2]; }
                return [painted, colours];
            }""",
            lane,
        )
