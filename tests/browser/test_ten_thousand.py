"""Thousands of connections from a cell, in a real page: the panel stays live, the counter runs, an interrupt cleans up."""

import re
import resource

import pytest
from panel_page import button, panel_of
from playwright.sync_api import expect

NUMBER = 2500
SERVER = """from course_lib.measure import ten_thousand
from course_lib.kernel import wait_until
from course_lib.servers import EpollServer
server = EpollServer().start()
observe(server)"""
RUN = "result = ten_thousand(server, {}, seconds={})\nresult"
# A busy page may show something for less time than it takes to ask for it, so the page itself keeps what it has shown.
# Of the panel: what is said of the descriptors that are left out of the table, and how often it changed meanwhile.
SAID = """panel => {
    window.said = new Set();
    window.changes = 0;
    new MutationObserver(() => {
        const text = panel.querySelector(".hidden-rows").textContent;
        if (text) said.add(text).add(panel.querySelector(".legend").textContent);
        if (text) changes++;
    }).observe(panel, { subtree: true, childList: true, characterData: true });
}"""
# Of a cell: its words, and each field of dots: its label, is it as wide as there is room, and what makes a new dot light up.
DRAWN = """cell => {
    window.told = new Set();
    window.drawn = [];
    new MutationObserver(() => {
        told.add(cell.textContent);
        const field = cell.querySelector("svg.course-dots"), dot = field?.querySelector(".new");
        if (!field?.checkVisibility()) return;
        const { width } = field.getBoundingClientRect();
        const fits = 300 < width && width <= cell.querySelector(".jp-Cell-outputArea").getBoundingClientRect().width;
        drawn.push([field.getAttribute("aria-label"), fits, dot && getComputedStyle(dot).animationName]);
    }).observe(cell, { subtree: true, childList: true, characterData: true });
}"""
CONNECTED = r"2,500 connected, [\d,]+ answers, [\d,]+ requests/s"


pytestmark = pytest.mark.skipif(
    resource.getrlimit(resource.RLIMIT_NOFILE)[1] < NUMBER + 400, reason="the hard limit of descriptors is too low (ulimit -Hn)"
)


def expect_lit(notebook, glow):
    """Each field of dots was as wide as there is room, and its new dots had this animation. Returns the fields."""
    drawn = notebook.page.evaluate("() => drawn")
    assert all(fits for _, fits, _ in drawn) and {animation for *_, animation in drawn} - {None} == {glow}, drawn
    return drawn


def expect_answered(panel, client):
    button(panel, "Connect a client").click()
    expect(panel.get_by_label("client", exact=True)).to_have_value(client)  # who comes is chosen
    button(panel, "Send text").click()
    expect(panel).to_contain_text(re.compile(f"{client}: .*5 bytes came back: 'hello'"))


def test_the_panel_stays_live_each_connection_lights_up_as_it_is_answered_and_an_interrupt_cleans_up(open_cells):
    notebook = open_cells(
        SERVER,
        RUN.format(NUMBER, 10),
        "print(result.all_answered, result.left_behind == 0)",
        RUN.format(200, 2),
        RUN.format(NUMBER, 60),
        "import subprocess, os\nprint(wait_until(lambda: len(server.numbers()) == 2, 120), "
        "subprocess.run(['pgrep', '-P', str(os.getpid()), '-f', 'ten_thousand'], capture_output=True).stdout)",
    )
    notebook.page.set_viewport_size({"width": 900, "height": 900})
    notebook.page.emulate_media(reduced_motion="no-preference")
    panel = panel_of(notebook.run_cell(1))
    expect(panel.get_by_role("row").filter(has_text="listener")).to_have_count(1)
    panel.evaluate(SAID)
    notebook.cell(2).evaluate(DRAWN)
    output = notebook.run_cell(2)
    assert any(re.search(CONNECTED, text) for text in notebook.page.evaluate("() => [...told]"))
    table = output.get_by_role("table")
    expect(table).to_contain_text("2,500 at the same time, 20 of them talk")
    expect(table.get_by_role("row").filter(has_text="left behind")).to_contain_text("nothing")
    said = notebook.page.evaluate("() => [...said]")
    assert "2,441 more descriptors are not shown; the active ones come first" in said
    assert notebook.page.evaluate("() => changes") > 1  # it went on looking while they were there
    assert any("data came since the look before" in text for text in said)
    expect(panel.get_by_role("row")).to_have_count(3)
    expect(panel).not_to_contain_text("are not shown")
    expect(output.locator("svg.course-dots")).to_be_hidden()
    expect(output.get_by_role("img", name=re.compile("2,500 dots, .* 2,500 answered, 20 go on asking"))).to_be_visible()
    drawn = expect_lit(notebook, "course-glow")
    for number in "20", "2,500":
        assert any(label.startswith(f"{number} of 2,500 connected") for label, *_ in drawn), drawn
    expect(notebook.run_cell(3)).to_contain_text("True True")
    expect_answered(panel, "alice")

    notebook.page.emulate_media(reduced_motion="reduce")
    notebook.cell(4).evaluate(DRAWN)
    expect(notebook.run_cell(4).locator("svg.course-dots")).to_be_hidden()
    expect_lit(notebook, "none")

    output = notebook.run_cell(5, wait=False)
    expect(output).to_contain_text(re.compile(CONNECTED))
    notebook.interrupt()
    expect(output).to_contain_text("KeyboardInterrupt")
    expect(notebook.run_cell(6)).to_contain_text("True b''")
    expect_answered(panel, "bob")
    assert notebook.errors == []
