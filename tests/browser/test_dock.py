"""The panel beside the notebook, in a real JupyterLab."""

import pytest
from panel_page import button
from places import at_last, boxes, expect_fits, expect_places
from playwright.sync_api import expect

WIDTHS = 1280, 900
AGAIN = "dock.wanted = True\n"
CELLS = (
    AGAIN + "server = BlockingServer().start()\nobserve(server)",
    AGAIN + "class Second(BlockingServer): pass\nobserve(Second().start())",
    "print(6 * 7)",
)


def beside(notebook):
    found = notebook.page.locator(".jupyterlab-sidecar .observatory")
    expect(found).to_have_count(1)  # the one before may not have gone yet
    expect(found).to_be_visible()
    return found


# Cells that name the server leave its panel where it is.
NARROW = (
    AGAIN + "from course_lib.lesson import side_by_side\nfrom course_lib.servers import EpollServer, PollServer\n"
    "from course_lib.servers import CoroutineServer\nserver = CoroutineServer().start()\nobserve(server)",
    "server and side_by_side(PollServer.serve, EpollServer.serve_levels)",
    "from course_lib.lesson import believe\nserver.address\n"
    "print('serve_forever is the reference here, until your own function passes its check ' * 3)\nbelieve('C28')",
    "from course_lib.widgets import film\nserver and film(EpollServer())",
    "from course_lib.lesson import source\nserver and source(EpollServer)",
)
# What is wider than its place in the notebook and the panel, and the smallest type in their pictures, in pixels.
TOO_WIDE = """() => [...document.querySelectorAll(".jp-Notebook .jp-OutputArea-output, .jp-Notebook .cm-scroller, .observatory")]
    .filter(shown => shown.scrollWidth > shown.clientWidth + 1).map(shown => shown.innerText.slice(0, 60))"""
# The names in code that are broken in two.
BROKEN = """shown => {
    const texts = document.createTreeWalker(shown, NodeFilter.SHOW_TEXT), found = [];
    const range = new Range();
    for (let text; (text = texts.nextNode()); ) for (const name of text.data.matchAll(/\\w+/g)) {
        range.setStart(text, name.index);
        range.setEnd(text, name.index + name[0].length);
        if (new Set([...range.getClientRects()].map(one => one.top)).size > 1) found.push(name[0]);
    }
    return found;
}"""
SMALLEST = """svg => Math.min(...[...svg.querySelectorAll("text")].map(text =>
    parseFloat(getComputedStyle(text).fontSize) * svg.getBoundingClientRect().width / svg.getAttribute("width")))"""


def expect_readable(picture, pixels):
    """Wait until the smallest type in a picture is larger than that."""
    at_last(picture.page, lambda: picture.evaluate(SMALLEST), lambda smallest: pixels < smallest < 100)


def test_at_900_pixels_both_can_be_read(open_cells):
    notebook = open_cells(*NARROW)
    notebook.page.set_viewport_size({"width": 900, "height": 900})
    notebook.run_cell(1)
    panel = beside(notebook)
    for number in range(2, len(NARROW) + 1):
        notebook.run_cell(number)
    # Two sources stand one under the other, and what is equal in both once.
    sides = notebook.output(2).locator(".course-sides")
    equal = sides.locator("tr:has(.course-joint)").first
    expect(equal.locator("td").first).to_be_hidden()
    expect(equal.locator("td").last).to_be_visible()
    expect_places(
        sides,
        lambda equal, other: equal[0].left == other[0].left,
        equal="tr:has(.course-joint) > td:last-child",
        other="tr:has(.course-new:first-child) > td",
    )
    at_last(notebook.page, lambda: sides.evaluate(BROKEN), lambda broken: broken == [])
    # What is printed is broken between words.
    printed = notebook.output(3).locator("pre").first
    expect(printed).to_have_css("word-break", "normal")
    # A line of a source that is broken goes on below its first word.
    expect_places(notebook.output(5), lambda rows: len({row.height for row in rows}) > 1, rows=".course-row")
    for theme in notebook.themes():
        at_last(notebook.page, lambda: notebook.page.evaluate(TOO_WIDE), lambda wide: wide == [])
        expect_fits(notebook.page.locator(":root"))
        for picture in panel.locator(".live svg"), notebook.output(4).locator(".stage svg"):
            expect_readable(picture, 8.5)
    assert notebook.errors == []


def test_who_closes_it_finds_it_in_the_cell_and_a_button_in_the_toolbar_brings_it_or_the_newest(open_cells):
    notebook = open_cells(*CELLS[:1], CELLS[1].removeprefix(AGAIN))
    handle = notebook.page.get_by_role("button", name="The server, live")
    notebook.run_cell(1)
    expect(notebook.output(1)).to_contain_text("The panel is beside the notebook.")
    expect(handle).to_have_count(0)
    close = notebook.page.locator(".lm-TabBar-tab", has_text="The server, live").locator(".lm-TabBar-tabCloseIcon")
    close.click()
    expect(notebook.output(1).locator(".asks")).to_be_visible()
    expect(notebook.page.locator(".jupyterlab-sidecar")).to_have_count(0)
    notebook.output(1).locator("summary", has_text="more").click()
    button(notebook.output(1), "Show it beside the notebook").click()
    button(beside(notebook), "Connect a client").click()
    expect(beside(notebook).locator(".asks")).to_contain_text("alice")
    expect(notebook.output(1)).to_contain_text("The panel is beside the notebook.")
    close.click()
    expect(notebook.output(1).locator(".asks")).to_be_visible()
    for theme in notebook.themes():
        for width in WIDTHS:
            notebook.page.set_viewport_size({"width": width, "height": 900})
            expect(handle).to_be_in_viewport()
    handle.click()
    expect(beside(notebook)).to_contain_text("BlockingServer")
    expect(notebook.output(1)).to_contain_text("The panel is beside the notebook.")
    expect(handle).to_have_count(0)
    close.click()
    expect(handle).to_have_attribute("title", "show BlockingServer beside the notebook")
    notebook.run_cell(2)
    expect(notebook.output(2).locator(".asks")).to_be_visible()
    expect(handle).to_have_attribute("title", "show Second beside the notebook")
    handle.click()
    expect(beside(notebook)).to_contain_text("Second")
    expect(notebook.output(2)).to_contain_text("The panel is beside the notebook.")
    expect(notebook.output(1).locator(".asks")).to_be_visible()
    close.click()
    expect(handle).to_be_in_viewport()
    notebook.restart()
    expect(handle).to_have_count(0)
    assert notebook.errors == []


def heights(panel) -> list[int]:
    """How high the modes are at each width."""
    found = []
    for width in WIDTHS:
        panel.page.set_viewport_size({"width": width, "height": 900})
        [modes] = boxes(panel, modes=".modes")["modes"]
        found.append(modes.height)
    return found


def test_the_table_fits_and_no_mode_moves_what_is_below(open_cells):
    notebook = open_cells(AGAIN + "from course_lib.servers import EpollServer\nobserve(EpollServer().start())")
    notebook.run_cell(1)
    panel = beside(notebook)
    before = heights(panel)
    button(panel, "Connect a client").click()
    expect(panel.get_by_role("button", name="connections: non-blocking")).to_have_attribute("aria-pressed", "true")
    assert heights(panel) == before
    panel.locator("summary", has_text="more").click()
    button(panel, "Record").click()
    for count in 5, 10:  # the wait that slept when recording began is not recorded
        button(panel, "Send text").click()
        expect(panel.locator(".clients")).to_contain_text(f"{count} bytes came back")
    for column in "asleep here", "interest list", "came back":
        expect(panel.get_by_role("columnheader", name=column)).to_be_visible()
    for width in WIDTHS:
        notebook.page.set_viewport_size({"width": width, "height": 900})
        expect_fits(panel.locator(".scroll", has=panel.page.get_by_label("descriptors", exact=True)))
        expect_places(
            panel,
            lambda state, head: {one.left for one in state} == {one.left for one in head} and len(state) > 2,
            state="tbody .state",
            head="thead .state",
        )
    assert notebook.errors == []


def test_after_a_restart_one_place_is_left_and_after_a_reload_it_comes_back(open_cells):
    notebook = open_cells(*CELLS)
    notebook.run_cell(1)
    beside(notebook)
    expect(notebook.output(1)).to_contain_text("The panel is beside the notebook.")
    notebook.restart()
    expect(notebook.output(1).get_by_role("status").filter(has_text="is gone")).to_be_visible()
    said = notebook.output(1).locator(".observatory")
    at_last(notebook.page, said.inner_text, lambda text: "\n" not in text)  # one sentence, in little room
    expect(notebook.page.locator(".jupyterlab-sidecar")).to_have_count(0)
    notebook.run_cell(0)
    notebook.run_cell(1)
    button(beside(notebook), "Connect a client").click()
    expect(beside(notebook).locator(".asks")).to_contain_text("alice")

    notebook.save()
    notebook.reload()
    expect(beside(notebook)).to_contain_text("BlockingServer")
    notebook.run_cell(2)
    expect(beside(notebook)).to_contain_text("Second")  # until then it is the first one, which has come back
    button(beside(notebook), "Connect a client").click()
    expect(beside(notebook).locator(".asks")).to_contain_text("alice")


PAIR = """from course_lib.film import film
from course_lib.servers import EpollServer, PollServer
def five(connect):
    clients = [connect() for _ in range(5)]
    yield
    clients[3].send(b"hello")
    yield
film(PollServer(), five).beside(film(EpollServer(), five))"""


def test_it_opens_beside_the_notebook_follows_the_cell_that_runs_and_gives_its_place_back_before_another_one(open_cells):
    notebook = open_cells(*CELLS, "other = 3", "server.address", "server.stop()")
    handle = notebook.page.get_by_role("button", name="The server, live")
    notebook.run_cell(1)
    panel = beside(notebook)
    expect(notebook.page.locator("#jp-left-stack")).to_be_hidden()  # a narrow page gives the file browser's width to both
    expect(notebook.output(1)).to_contain_text("The panel is beside the notebook.")
    expect(notebook.output(1).locator(".asks")).to_be_hidden()
    notebook.page.wait_for_function("() => Boolean(document.activeElement?.closest('.jp-Notebook'))")
    button(panel, "Connect a client").click()
    expect(panel.locator(".asks")).to_contain_text("it waits for alice alone")
    for theme in notebook.themes():
        expect_fits(panel)
    notebook.run_cell(2)
    expect(notebook.output(1)).to_contain_text("Another panel is beside the notebook now.")
    expect(notebook.output(2)).to_contain_text("The panel is beside the notebook.")
    expect(beside(notebook).locator(".asks")).to_contain_text("it waits for a client")

    notebook.run_cell(1)
    expect(beside(notebook)).to_contain_text("BlockingServer")
    for cell in (3, 5):  # one asks, the other one names the server
        notebook.run_cell(cell)
        beside(notebook)
        expect(handle).to_have_count(0)
    notebook.run_cell(4)
    expect(notebook.page.locator(".jupyterlab-sidecar")).to_have_count(0)
    expect(notebook.output(1)).to_contain_text("The panel has given its place back.")
    handle.click()
    button(beside(notebook), "Connect a client").click()
    expect(beside(notebook).locator(".asks")).to_contain_text("alice")
    expect(handle).to_have_count(0)
    notebook.run_cell(6)
    expect(notebook.page.locator(".jupyterlab-sidecar")).to_have_count(0)
    expect(handle).to_be_visible()
    notebook.run_cell(2)
    expect(beside(notebook)).to_contain_text("Second")
    expect(handle).to_have_count(0)
    assert notebook.errors == []


@pytest.mark.parametrize("at_once", [False, True])
def test_two_films_have_the_width_of_the_page_and_stand_beside_each_other(open_cells, at_once):
    notebook = open_cells("# a long way down" + 200 * "\n", CELLS[0], PAIR)
    if at_once:
        notebook.run_all()
        panel = notebook.output(2).locator(".observatory")  # the page shows it only now, and not beside the notebook
        button(panel, "Connect a client").click()
        expect(panel.locator(".asks")).to_contain_text("alice")
    else:
        notebook.run_cell(2)
        beside(notebook)
        notebook.run_cell(3)
    pair = notebook.output(3).locator(".player")
    expect(notebook.page.locator(".jupyterlab-sidecar")).to_have_count(0)

    def stand(pictures):
        left, right = pictures
        return left.top == right.top and left.right < right.left

    expect_places(pair, stand, pictures=".stage svg")
    for number in 0, 1:
        expect_readable(pair.locator(".stage svg").nth(number), 10)
    assert notebook.errors == []
