"""The live ladder in a real page: a slider, two buttons, and a chart that grows, also while a cell is blocked."""

import pytest
from playwright.sync_api import Locator, expect

CELL = """from course_lib.measure import live_ladder
from course_lib.servers import EpollServer, PollServer
live = live_ladder([PollServer, EpollServer], numbers=(0, 50, 100), active=2, rounds=1)
live"""
LONG = CELL.replace("rounds=1", "rounds=1000, seconds=200")


def button(output: Locator, name: str) -> Locator:
    return output.get_by_role("button", name=name, exact=True)


def measure(output: Locator) -> None:
    """Press the button, and wait until the point is there."""
    button(output, "Measure").click()
    expect(button(output, "Stop")).to_be_enabled()
    expect(button(output, "Measure")).to_be_enabled(timeout=60_000)


def test_each_press_adds_a_point_to_chart_and_table(open_cells):
    notebook = open_cells(CELL, "print([(row.server, row.idle) for row in live.rows])")
    output = notebook.run_cell(1)
    expect(output.get_by_role("status")).to_contain_text("press Measure")
    measure(output)
    expect(output.get_by_role("status")).to_contain_text("With 0 idle clients a request costs")
    expect(output.locator("svg[role=img] circle")).to_have_count(2)
    output.get_by_role("slider").focus()
    notebook.page.keyboard.press("ArrowRight")
    expect(output).to_contain_text("50")
    measure(output)
    expect(output.get_by_role("status")).to_contain_text("With 50 idle clients a request costs")
    expect(output.locator("svg[role=img] circle")).to_have_count(4)
    expect(output.get_by_role("rowheader")).to_have_text(["0", "50"])
    assert output.get_by_role("img").get_attribute("aria-label").startswith("From 0 to 50 idle clients a request costs")
    expect(notebook.run_cell(2)).to_contain_text(
        "[('PollServer', 0), ('EpollServer', 0), ('PollServer', 50), ('EpollServer', 50)]")
    assert notebook.errors == []


def test_it_measures_and_stops_while_a_cell_is_blocked(open_cells):
    notebook = open_cells(LONG, "listener = socket.create_server(('127.0.0.1', 0))\nlistener.accept()", "live.rows")
    output = notebook.run_cell(1)
    notebook.run_cell(2, wait=False)
    button(output, "Measure").click()
    expect(output.get_by_role("status")).to_contain_text("round")
    expect(button(output, "Measure")).to_be_disabled()
    button(output, "Stop").click()
    expect(output.get_by_role("status")).to_contain_text("Stopped. Nothing of this point is kept.")
    expect(button(output, "Measure")).to_be_enabled()
    expect(notebook.output(2)).to_be_empty()  # the cell is still blocked
    notebook.interrupt()
    notebook.wait_idle()
    expect(notebook.run_cell(3)).to_contain_text("[]")


def test_a_cell_run_again_stops_the_measurement_of_the_old_one(open_cells):
    notebook = open_cells(
        LONG, "import threading\nfrom course_lib.observe import wait_until\n"
        "own = lambda: [t.name for t in threading.enumerate() if t.name in ('measurement', 'live ladder')]\n"
        "wait_until(lambda: not own())\nprint(own())")
    output = notebook.run_cell(1)
    button(output, "Measure").click()
    expect(output.get_by_role("status")).to_contain_text("round")
    output = notebook.run_cell(1)
    expect(button(output, "Measure")).to_be_enabled()
    expect(notebook.run_cell(2)).to_contain_text("[]")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_chart_is_readable_in_both_themes(open_cells, theme, tmp_path):
    notebook = open_cells(CELL)
    output = notebook.run_cell(1)
    notebook.theme(theme)
    measure(output)
    expect(output.get_by_role("img")).to_be_visible()
    light = output.locator("svg[role=img] text").first.evaluate(
        "text => { const [r, g, b] = getComputedStyle(text).fill.match(/[\\d.]+/g).map(Number); return (r + g + b) / 3; }")
    assert (light < 90) if theme == "light" else (light > 165)
    notebook.screenshot(tmp_path / f"{theme}.png")


def test_a_measurement_shows_its_progress_until_its_end(open_cells):
    notebook = open_cells(
        "from course_lib.measure import waiting_cost\n"
        "rows = waiting_cost(numbers=(10, 100), rounds=20, seconds=1)\nprint(len(rows))")
    notebook.run_cell(1, wait=False)
    expect(notebook.output(1).locator(".progress-bar")).to_be_visible()
    notebook.wait_idle()
    expect(notebook.output(1)).to_contain_text("6")
    expect(notebook.output(1).locator(".progress-bar")).to_be_hidden()


def test_a_measurement_that_is_interrupted_leaves_the_kernel_as_it_was(open_cells):
    notebook = open_cells(
        "from course_lib.measure import ladder\nfrom course_lib.servers import EpollServer\n"
        "ladder([EpollServer], rounds=1000, seconds=100)",
        "import os, threading\nprint([t.name for t in threading.enumerate() if t.name == 'measurement'])\n"
        "print([open(f'/proc/self/task/{task}/children').read() for task in os.listdir('/proc/self/task')].count(''))\n"
        "print(len(os.listdir('/proc/self/task')))")
    notebook.run_cell(1, wait=False)
    expect(notebook.output(1).locator(".progress-bar")).to_be_visible()
    notebook.interrupt()
    expect(notebook.output(1)).to_contain_text("KeyboardInterrupt")
    notebook.wait_idle()
    names, without, tasks = notebook.run_cell(2).inner_text().strip().split("\n")
    assert names == "[]" and without == tasks  # no thread has a child process
