"""The page that tests lend one another comes back as it was loaded, or not at all: else a test could rest on one before it."""

from playwright.sync_api import expect
from real_lab import PUT_BACK

STATE = """() => [
    document.querySelectorAll(".jp-Notebook").length, document.querySelectorAll(".jupyterlab-sidecar").length,
    document.querySelector("#jp-left-stack").checkVisibility(), document.body.dataset.jpThemeLight, [innerWidth, innerHeight],
    localStorage.getItem("a guess"), matchMedia("(prefers-reduced-motion: reduce)").matches,
]"""


def test_what_a_test_has_changed_is_put_back(open_cells, window):
    page = window.borrow()
    expect(page.locator("#jp-left-stack")).to_be_visible()
    before = page.evaluate(STATE)
    window.give_back(page)
    notebook = open_cells("dock.wanted = True\nobserve(BlockingServer().start())")
    assert notebook.page is page
    notebook.run_cell(1)
    page.locator(".jupyterlab-sidecar .observatory").wait_for()
    notebook.theme("dark")
    page.set_viewport_size({"width": 700, "height": 500})
    page.emulate_media(reduced_motion="reduce")
    page.evaluate("() => localStorage.setItem('a guess', 'kept')")
    changed = page.evaluate(STATE)
    assert all(one != other for one, other in zip(before, changed)), changed
    window.give_back(page)
    assert window.borrow() is page and page.evaluate(STATE) == before
    window.give_back(page)


def test_a_page_that_cannot_be_put_back_is_closed(window):
    page = window.borrow()
    page.evaluate("window.limit = AbortSignal.timeout, AbortSignal.timeout = null")
    assert not page.evaluate(PUT_BACK)  # it is slow
    page.evaluate("AbortSignal.timeout = limit")
    assert page.evaluate(PUT_BACK)
    page.clock.install()
    assert not page.evaluate(PUT_BACK)  # its time is a test's
    page.reload()
    window.give_back(page)
    assert page.is_closed()
