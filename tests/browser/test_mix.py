"""The mix in a real page: three sliders, two buttons, and lanes of what was measured, also while a cell is blocked."""

import pytest
from playwright.sync_api import Locator, expect

CELL = """from course_lib.measure.mix import live_mix
mix = live_mix(cpu=5, io=10, workers=2)
mix"""
LONG = CELL.replace("cpu=5, io=10, workers=2", "cpu=40, io=200, workers=8")


def button(output: Locator, name: str) -> Locator:
    return output.get_by_role("button", name=name, exact=True)


def measure(output: Locator) -> None:
    """Press the button, and wait until the lanes are there."""
    button(output, "Run").click()
    expect(output.locator("svg[role=img]")).to_be_visible(timeout=60_000)
    expect(button(output, "Run")).to_be_enabled(timeout=60_000)


def test_the_button_runs_all_three_kinds_and_the_sliders_say_how(open_cells):
    notebook = open_cells(CELL, "print(len({(row.by, row.worker) for row in mix.rows}))")
    output = notebook.run_cell(1)
    expect(output.get_by_role("status")).to_contain_text("press Run")
    measure(output)
    for kind in ("threads", "processes", "coroutines"):
        expect(output.locator("svg[role=img]")).to_contain_text(kind)
        expect(output.get_by_role("status")).to_contain_text(f"{kind}: ")
    expect(notebook.run_cell(2)).to_contain_text("6")
    output.get_by_role("slider").nth(2).focus()
    notebook.page.keyboard.press("ArrowRight")
    button(output, "Run").click()
    expect(button(output, "Stop")).to_be_enabled()
    expect(button(output, "Run")).to_be_enabled(timeout=60_000)
    expect(notebook.run_cell(2)).to_contain_text("9")
    assert notebook.errors == []


def test_it_measures_and_stops_while_a_cell_is_blocked(open_cells):
    notebook = open_cells(LONG, "import socket\nlistener = socket.create_server(('127.0.0.1', 0))\nlistener.accept()", "mix.rows")
    output = notebook.run_cell(1)
    notebook.run_cell(2, wait=False)
    button(output, "Run").click()
    expect(output.get_by_role("status")).to_contain_text("Three times")
    expect(button(output, "Run")).to_be_disabled()
    button(output, "Stop").click()
    expect(output.get_by_role("status")).to_contain_text("Stopped. Nothing of it is kept.")
    expect(button(output, "Run")).to_be_enabled()
    expect(notebook.output(2)).to_be_empty()  # the cell is still blocked
    notebook.interrupt()
    notebook.wait_idle()
    expect(notebook.run_cell(3)).to_contain_text("[]")


def test_a_cell_run_again_stops_the_measurement_of_the_old_one(open_cells):
    notebook = open_cells(LONG, "import threading\nprint([t.name for t in threading.enumerate() if t.name in ('measurement', 'live mix', 'mix')])")
    output = notebook.run_cell(1)
    button(output, "Run").click()
    expect(output.get_by_role("status")).to_contain_text("Three times")
    output = notebook.run_cell(1)
    expect(button(output, "Run")).to_be_enabled()
    notebook.page.wait_for_timeout(500)
    expect(notebook.run_cell(2)).to_contain_text("[]")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_lanes_are_readable_in_both_themes(open_cells, theme, tmp_path):
    notebook = open_cells(CELL)
    output = notebook.run_cell(1)
    notebook.theme(theme)
    measure(output)
    light = output.locator("svg[role=img] text").first.evaluate(
        "text => { const [r, g, b] = getComputedStyle(text).fill.match(/[\\d.]+/g).map(Number); return (r + g + b) / 3; }")
    assert (light < 90) if theme == "light" else (light > 165)
    notebook.screenshot(tmp_path / f"{theme}.png")
