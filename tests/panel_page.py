"""The words in which browser tests speak of the panel."""

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
