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
# Counts the changes of the table that a person can see while descriptors are left out of it, and keeps what is said of these.
WATCH = """panel => {
    window.changes = 0;
    window.said = new Set();
    new MutationObserver(() => {
        const text = panel.querySelector(".hidden-rows").textContent;
        if (text) {
            window.changes++;
            window.said.add(text);
            window.said.add(panel.querySelector(".legend").textContent);
        }
    }).observe(panel, { subtree: true, childList: true, characterData: true });
}"""
# Keeps what is said of each field of dots that is drawn in a cell.
DRAWN = """cell => {
    window.drawn = new Set();
    new MutationObserver(() => {
        for (const field of cell.querySelectorAll("svg.course-dots")) window.drawn.add(field.getAttribute("aria-label"));
    }).observe(cell, { subtree: true, childList: true });
}"""

pytestmark = pytest.mark.skipif(
    resource.getrlimit(resource.RLIMIT_NOFILE)[1] < NUMBER + 400, reason="the hard limit of descriptors is too low (ulimit -Hn)"
)


def test_the_panel_stays_live(open_cells):
    notebook = open_cells(SERVER, RUN.format(NUMBER, 5), "print(result.all_answered, result.left_behind == 0)")
    panel = panel_of(notebook.run_cell(1))
    expect(panel.get_by_role("row").filter(has_text="listener")).to_have_count(1)
    panel.evaluate(WATCH)
    output = notebook.run_cell(2, wait=False)
    expect(output).to_contain_text(re.compile(r"2,500 connected, [\d,]+ answers, [\d,]+ requests/s"))
    notebook.wait_idle()
    table = output.get_by_role("table")
    expect(table).to_contain_text("2,500 at the same time, 20 of them talk")
    expect(table.get_by_role("row").filter(has_text="left behind")).to_contain_text("nothing")
    assert notebook.page.evaluate("() => window.changes") > 20
    said = notebook.page.evaluate("() => [...window.said]")
    assert "2,441 more descriptors are not shown; the active ones come first" in said
    assert any("data came since the look before" in text for text in said)
    expect(panel.get_by_role("row")).to_have_count(3)
    expect(panel).not_to_contain_text("are not shown")
    expect(notebook.run_cell(3)).to_contain_text("True True")
    button(panel, "Connect a client").click()
    button(panel, "Send text").click()
    expect(panel).to_contain_text(re.compile("alice: .*5 bytes came back: 'hello'"))
    assert notebook.errors == []


def test_each_connection_lights_up_as_it_is_answered(open_cells):
    notebook = open_cells(SERVER.replace("\nobserve(server)", ""), "None", RUN.format(NUMBER, 5))
    notebook.page.set_viewport_size({"width": 900, "height": 900})
    notebook.run_cell(1)
    notebook.cell(3).evaluate(DRAWN)
    output = notebook.run_cell(3, wait=False)
    live = output.locator("svg.course-dots")
    expect(live).to_be_visible()
    room, wide = output.evaluate(
        "cell => [cell, cell.querySelector('svg.course-dots')].map(e => e.getBoundingClientRect().width)"
    )
    assert 300 < wide <= room
    expect(live.locator(".new")).to_have_css("animation-name", "course-glow")
    notebook.page.emulate_media(reduced_motion="reduce")
    expect(live.locator(".new")).to_have_css("animation-name", "none")
    notebook.wait_idle()
    expect(live).to_be_hidden()
    expect(output.get_by_role("img", name=re.compile("2,500 dots, .* 2,500 answered, 20 go on asking"))).to_be_visible()
    drawn = notebook.page.evaluate("() => [...window.drawn]")
    assert any(text.startswith("20 of 2,500 connected") for text in drawn), drawn
    assert any(text.startswith("2,500 of 2,500 connected") for text in drawn), drawn
    assert notebook.errors == []


def test_an_interrupt_cleans_up(open_cells):
    notebook = open_cells(
        SERVER,
        RUN.format(NUMBER, 60),
        "import subprocess, os\nprint(wait_until(lambda: len(server.numbers()) == 1), "
        "subprocess.run(['pgrep', '-P', str(os.getpid()), '-f', 'ten_thousand'], capture_output=True).stdout)",
    )
    panel = panel_of(notebook.run_cell(1))
    output = notebook.run_cell(2, wait=False)
    expect(output).to_contain_text(re.compile("2,500 connected, .* requests/s"))
    notebook.interrupt()
    notebook.wait_idle()
    expect(output).to_contain_text("KeyboardInterrupt")
    expect(notebook.run_cell(3)).to_contain_text("True b''")
    button(panel, "Connect a client").click()
    button(panel, "Send text").click()
    expect(panel).to_contain_text(re.compile("alice: .*5 bytes came back: 'hello'"))
