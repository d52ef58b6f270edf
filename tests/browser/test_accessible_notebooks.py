"""axe-core finds no serious barrier in the page: in each notebook as it is stored, and in one live widget of each kind.

Both are looked at in both themes, and at a width of 640 pixels, which is what 200 % zoom leaves of 1280 (WCAG 1.4.4).
"""

import functools

import nbformat
import pytest
from axe import needs_axe, violations
from nbconvert import HTMLExporter
from outputs import new_notebook, notebooks, read
from places import at_last
from playwright.sync_api import expect
from real_lab import new_context

pytestmark = needs_axe

SHOWN = ".jp-RenderedMarkdown, .jp-OutputArea-output"
ZOOMED = {"width": 640, "height": 450}

# What is wider than its place, and cannot be scrolled to.
CUT_OFF = """shown => [...document.querySelectorAll(shown)]
    .filter(shown => shown.scrollWidth > shown.clientWidth + 1 && getComputedStyle(shown).overflowX === "hidden")
    .map(shown => shown.textContent.slice(0, 80))"""

# One widget of each kind, as the notebooks show them.
WIDGETS = (
    "from course_lib.lesson import believe, guess, parsons, recall, rewrite\nrecall('05')",
    "guess('a-guess', 'Which one?', 'this one', 'that one')",
    "believe('C28')",
    "parsons('select-server')",
    "rewrite('C28')",
    "from course_lib.widgets import process_table\nprocess_table()",
    "from course_lib.measure import live_ladder\n"
    "from course_lib.servers import EpollServer, SelectServer\nlive_ladder([SelectServer, EpollServer])",
    "from course_lib.measure.mix import live_mix\nlive_mix()",
    "observe(SelectServer().start())",
)
SLIDERS = 1 + 3  # idle clients; computing, waiting and workers


# Gives a page the head of another one, with its theme.
WEAR = """html => {
    const other = new DOMParser().parseFromString(html, "text/html");
    document.querySelectorAll("head style").forEach(style => style.remove());
    document.head.append(...other.head.querySelectorAll("style"));
    for (const { name, value } of other.body.attributes) document.body.setAttribute(name, value);
}"""
BACKGROUND = "() => getComputedStyle(document.body).backgroundColor"
# Where nothing but colours has changed, words of the same colours and type, in parts of the same colours, stand out as much from
# their ground: it asks of the first ones of each kind.
RUN = """([shown, colours]) => {
    if (!colours) return axe.run({ include: [...document.querySelectorAll(shown)] }, { resultTypes: ["violations"] });
    const firsts = new Map();
    const visit = (element, within) => {
        const { color, backgroundColor, backgroundImage, opacity, filter, font, textDecoration } = getComputedStyle(element);
        const kind = [within, color, backgroundColor, backgroundImage, opacity, filter, font, textDecoration].join();
        const words = [...element.childNodes].some(node => node.nodeType === Node.TEXT_NODE && node.data.trim());
        if (words && !firsts.has(kind) && element.checkVisibility()) firsts.set(kind, element);
        for (const child of [...element.children, ...(element.shadowRoot?.children ?? [])]) visit(child, kind);
    };
    for (const one of document.querySelectorAll(shown)) visit(one, getComputedStyle(one.parentElement).backgroundColor);
    const runOnly = ["color-contrast", "link-in-text-block"];
    return axe.run({ include: [...firsts.values()] }, { resultTypes: ["violations"], runOnly });
}"""


def barriers(page, colours: bool = False) -> list[str]:
    """What axe-core calls serious or critical. colours: nothing else has changed since it was asked the last time."""
    return [
        f"{one['help']}: {[node['html'][:160] for node in one['nodes'][:3]]}"
        for one in violations(page, RUN, [SHOWN, colours])
        if one["impact"] in ("serious", "critical")
    ]


def expect_nothing_cut_off(page) -> None:
    at_last(page, lambda: page.evaluate(CUT_OFF, SHOWN), lambda cut: cut == [])


def as_page(notebook: nbformat.NotebookNode, theme: str) -> str:
    """Without the code of the cells: that is JupyterLab's."""
    return HTMLExporter(template_name="lab", theme=theme, exclude_input=True).from_notebook_node(notebook)[0]


@functools.cache
def dark_page() -> str:
    return as_page(new_notebook(), "dark")


@pytest.mark.parametrize("path", notebooks(), ids=lambda path: path.stem)
def test_a_stored_notebook_can_be_read_by_everybody(browser, path, tmp_path):
    (tmp_path / "page.html").write_text(as_page(read(path), "light"), encoding="utf-8")
    with new_context(browser, offline=True) as context:
        page = context.new_page()
        page.goto((tmp_path / "page.html").as_uri(), wait_until="domcontentloaded")
        assert page.locator(".jp-RenderedMarkdown").count() > 5
        assert barriers(page) == []
        light = page.evaluate(BACKGROUND)
        page.evaluate(WEAR, dark_page())
        assert page.evaluate(BACKGROUND) != light
        assert barriers(page, colours=True) == []
        page.set_viewport_size(ZOOMED)
        expect_nothing_cut_off(page)


def test_each_widget_can_be_used_by_everybody(open_cells):
    notebook = open_cells(*WIDGETS)
    notebook.page.set_viewport_size({"width": 1280, "height": 6000})  # JupyterLab keeps only what is near the window
    for number in range(1, len(WIDGETS) + 1):
        notebook.run_cell(number)
    expect(notebook.page.locator(".jp-Notebook .noUi-handle[aria-label]")).to_have_count(SLIDERS)
    expect(notebook.page.locator(".jp-Notebook .observatory")).to_be_visible()
    assert barriers(notebook.page) == []
    notebook.theme("dark")
    assert barriers(notebook.page, colours=True) == []
    notebook.page.set_viewport_size({**ZOOMED, "height": 6000})
    expect_nothing_cut_off(notebook.page)
