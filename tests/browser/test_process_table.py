"""The live descriptor table in a real page: what a learner clicks, and what it then shows."""

import re

from panel_page import button, row
from places import expect_contrast, expect_fits
from playwright.sync_api import Locator, expect

OPEN = "from course_lib.widgets import process_table\nearlier = globals().get('table')\ntable = process_table()\ntable"


def table_of(output: Locator) -> Locator:
    """The table in the output of a cell, once it is visible."""
    table = output.locator(".process-table")
    expect(table).to_be_visible()
    return table


def numbers(table: Locator) -> list[str]:
    return table.locator("tbody th").all_inner_texts()


def test_lowest_free_number_dup_and_close_by_mouse_and_by_keyboard_readable_in_both_themes(open_cells):
    notebook = open_cells(OPEN)
    table = table_of(notebook.run_cell(1))
    status = table.get_by_role("status")
    button(table, "Open a file").click()
    expect(status).to_have_text(re.compile(r"open gave \d+"))
    first = numbers(table)[0]
    button(table, "Close").click()
    expect(table.locator(".strip .next")).to_have_text(f"→ {first}")
    button(table, "Open a file").click()
    expect(status).to_have_text(f"open gave {first}")
    button(table, "Dup").click()
    expect(row(table, "shared by")).to_have_count(2)
    button(table, "Read 3 bytes").click()
    expect(row(table, "shared by").nth(0).locator(".offset")).to_have_text("3")
    expect(row(table, "shared by").nth(1).locator(".offset")).to_have_text("3")
    button(table, "Turn O_NONBLOCK").click()
    expect(table.locator("td.nonblock", has_text="yes")).to_have_count(2)
    table.get_by_label("number", exact=True).select_option(first)
    button(table, "Close").click()
    expect(table.locator("tbody th")).to_have_count(1)
    expect(table.locator(".strip .next")).to_have_text(f"→ {first}")
    button(table, "Pipe").click()
    expect(row(table, "pipe, to read")).to_have_count(1)
    assert first in numbers(table)
    button(table, "Socket").click()
    expect(row(table, "socket")).to_be_visible()
    button(table, "Close all").click()
    expect(table.locator("tbody th")).to_have_count(0)
    expect(button(table, "Close")).to_be_disabled()

    button(table, "Open a file").focus()
    for key in ("Enter", "Tab", "Tab", "Space"):  # opens a file, goes on to Pipe and Socket, makes a socket
        notebook.page.keyboard.press(key)
    expect(table.locator("tbody th")).to_have_count(2)
    notebook.page.keyboard.press("Tab")
    expect(table.get_by_label("number", exact=True)).to_be_focused()

    expect(table.locator(".strip .own")).to_have_count(2)
    for theme in notebook.themes():
        expect_fits(table)
        for part in (".said", ".strip .own", ".strip .other", ".strip .free", ".legend", "tbody td"):
            expect_contrast(table.locator(part).first, 4.5)
    names = table.get_by_role("button").all_inner_texts()
    assert all(names) and len(names) == len(set(names))
    assert notebook.errors == []


def test_it_lives_while_a_cell_is_blocked_holds_nothing_of_an_earlier_run_and_says_when_its_kernel_is_gone(open_cells):
    notebook = open_cells(
        OPEN,
        "listener = socket.create_server(('127.0.0.1', 0))\nprint(listener.fileno())\nlistener.accept()",
        "from course_lib.kernel import wait_until\npumps = lambda: [t for t in threading.enumerate() if t.name == 'process table']\n"
        "wait_until(lambda: len(pumps()) == 1, 120)\nprint('the earlier one holds', earlier.numbers(), 'and there is', len(pumps()), 'pump')",
    )
    table = table_of(notebook.run_cell(1))
    notebook.run_cell(2, wait=False)
    expect(notebook.output(2)).to_contain_text(re.compile(r"\d+"))
    number = notebook.printed(2)
    expect(table.locator(".strip .other").filter(has_text=re.compile(f"^{number}$"))).to_be_visible()
    button(table, "Socket").click()
    expect(row(table, "socket")).to_be_visible()
    notebook.interrupt()

    for _ in range(3):
        table = table_of(notebook.run_cell(1))
        button(table, "Pipe").click()
        expect(table.locator("tbody th")).to_have_count(2)
    table = table_of(notebook.run_cell(1))
    expect(notebook.run_cell(3)).to_contain_text("the earlier one holds [] and there is 1 pump")

    notebook.restart()
    expect(table.get_by_role("status")).to_contain_text("The notebook's process that this table showed is gone")
    expect(button(table, "Pipe")).to_be_disabled()
