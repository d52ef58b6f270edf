"""Measurements in a real page: the live ladder, the live mix, and a progress bar. They go on while a cell is blocked."""

import re

import pytest
from panel_page import button
from places import at_last
from playwright.sync_api import Locator, expect
from real_lab import Notebook

IMPORTS = """import socket, threading
from course_lib.measure import live_ladder
from course_lib.measure.mix import live_mix
from course_lib.kernel import wait_until
from course_lib.servers import EpollServer, PollServer
"""
LADDER, MIX = "live_ladder([PollServer, EpollServer], ", "live_mix("
# What goes on for long, and what the page says while it is under way
LONG = [("Measure", f"{LADDER}rounds=1000, seconds=200)", "round"), ("Run", f"{MIX}cpu=40, io=200, workers=8)", "Three times")]


def measure(notebook: Notebook, output: Locator, verb: str) -> None:
    """Press the button when the kernel knows where the sliders stand, and wait until it is measured."""
    notebook.wait_answered()
    before = output.get_by_role("status").inner_text()
    button(output, verb).click()
    expect(output.get_by_role("status")).not_to_have_text(before)  # now the button is disabled, or enabled again
    expect(button(output, verb)).to_be_enabled()


def expect_readable_in_both_themes(notebook: Notebook, output: Locator) -> None:
    light = (
        "text => { const [r, g, b] = getComputedStyle(text).fill.match(/[\\d.]+/g)?.map(Number) ?? []; return (r + g + b) / 3; }"
    )
    words = output.locator("svg[role=img] text").first
    for theme, stands_out in {"light": lambda grey: grey < 90, "dark": lambda grey: grey > 165}.items():
        notebook.theme(theme)
        at_last(notebook.page, lambda: words.evaluate(light), stands_out)


def test_each_press_adds_a_point_to_chart_and_table_readable_in_both_themes(open_cells):
    notebook = open_cells(
        f"{IMPORTS}live = {LADDER}numbers=(0, 50, 100), active=2, rounds=1)\nlive",
        "print([(row.server, row.idle) for row in live.rows])",
    )
    output = notebook.run_cell(1)
    expect(output.get_by_role("status")).to_contain_text("press Measure")
    measure(notebook, output, "Measure")
    expect(output.get_by_role("status")).to_contain_text("With 0 idle clients a request costs")
    expect(output.locator("svg[role=img] circle")).to_have_count(2)
    output.get_by_role("slider").focus()
    notebook.page.keyboard.press("ArrowRight")
    expect(output).to_contain_text("50")
    measure(notebook, output, "Measure")
    expect(output.get_by_role("status")).to_contain_text("With 50 idle clients a request costs")
    expect(output.locator("svg[role=img] circle")).to_have_count(4)
    expect(output.get_by_role("rowheader")).to_have_text(["0", "50"])
    expect(output.get_by_role("img")).to_have_attribute("aria-label", re.compile("^From 0 to 50 idle clients a request costs"))
    expect(notebook.run_cell(2)).to_contain_text(
        "[('PollServer', 0), ('EpollServer', 0), ('PollServer', 50), ('EpollServer', 50)]"
    )
    expect_readable_in_both_themes(notebook, output)
    assert notebook.errors == []


def test_the_button_runs_all_three_kinds_in_a_readable_chart_and_the_sliders_say_how(open_cells):
    notebook = open_cells(
        f"{IMPORTS}mix = {MIX}cpu=5, io=10, workers=2)\nmix",
        "print(len({(row.by, row.worker) for row in mix.rows}))",
        "wait_until(lambda: len({(row.by, row.worker) for row in mix.rows}) == 9, 240)",
    )
    output = notebook.run_cell(1)
    expect(output.get_by_role("status")).to_contain_text("press Run")
    measure(notebook, output, "Run")
    for kind in ("threads", "processes", "coroutines"):
        expect(output.locator("svg[role=img]")).to_contain_text(kind)
        expect(output.get_by_role("status")).to_contain_text(f"{kind}: ")
    expect(notebook.run_cell(2)).to_contain_text("6")
    expect_readable_in_both_themes(notebook, output)
    output.get_by_role("slider").nth(2).focus()
    notebook.page.keyboard.press("ArrowRight")
    notebook.wait_answered()
    button(output, "Run").click()
    expect(notebook.run_cell(3)).to_contain_text("True")
    assert notebook.errors == []


@pytest.mark.parametrize("verb, live, under_way", LONG)
def test_a_cell_run_again_stops_the_measurement_of_the_old_one_and_it_measures_while_a_cell_is_blocked(
    open_cells, verb, live, under_way
):
    notebook = open_cells(
        f"{IMPORTS}live = {live}\nlive",
        "listener = socket.create_server(('127.0.0.1', 0))\nprint('it blocks')\nlistener.accept()",
        "live.rows",
        "own = lambda: {t.name for t in threading.enumerate()} & {'measurement', 'live ladder', 'live mix', 'mix'}\n"
        "wait_until(lambda: not own(), 120)\nprint(own())",
    )
    output = notebook.run_cell(1)
    button(output, verb).click()
    expect(output.get_by_role("status")).to_contain_text(under_way)
    output = notebook.run_cell(1)
    expect(button(output, verb)).to_be_enabled()
    expect(notebook.run_cell(4)).to_contain_text("set()")

    expect(notebook.run_cell(2, wait=False)).to_contain_text("it blocks")
    button(output, verb).click()
    expect(output.get_by_role("status")).to_contain_text(under_way)
    expect(button(output, verb)).to_be_disabled()
    button(output, "Stop").click()
    expect(output.get_by_role("status")).to_contain_text("Stopped. Nothing of this measurement is kept.")
    expect(button(output, verb)).to_be_enabled()
    expect(notebook.cell(2).locator(".jp-InputPrompt")).to_have_text("[*]:")  # the cell is still blocked
    notebook.interrupt()
    expect(notebook.run_cell(3)).to_contain_text("[]")


def test_a_measurement_shows_its_progress_until_its_end_and_an_interrupt_leaves_the_kernel_as_it_was(open_cells):
    notebook = open_cells(
        "from course_lib.measure import waiting_cost\n"
        "rows = waiting_cost(numbers=(10, 100), rounds=20, seconds=1)\nprint(len(rows))",
        "from course_lib.measure import ladder\nfrom course_lib.servers import EpollServer\n"
        "ladder([EpollServer], rounds=1000, seconds=100)",
        "import psutil, threading\nprint([t.name for t in threading.enumerate() if t.name == 'measurement'])\n"
        "print(psutil.Process().children())",
    )
    # It may be over before anybody looks: the page keeps what it has drawn.
    notebook.cell(1).evaluate(
        """cell => {
            window.drawn = false;
            new MutationObserver(() => { drawn ||= Boolean(cell.querySelector(".progress-bar")?.checkVisibility()); })
                .observe(cell, { subtree: true, childList: true, attributes: true });
        }"""
    )
    expect(notebook.run_cell(1)).to_contain_text("6")
    notebook.page.wait_for_function("() => drawn")
    expect(notebook.output(1).locator(".progress-bar")).to_be_hidden()

    notebook.run_cell(2, wait=False)
    expect(notebook.output(2).locator(".progress-bar")).to_be_visible()
    notebook.interrupt()
    expect(notebook.output(2)).to_contain_text("KeyboardInterrupt")
    expect(notebook.run_cell(3)).to_have_text(re.compile(r"^\s*\[\]\s+\[\]\s*$"))
