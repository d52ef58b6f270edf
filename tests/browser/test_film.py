"""A film in the page: each moment shows what the film says, forward and back, in a notebook and without a kernel."""

import inspect
from collections.abc import Callable

import nbformat
import pytest
from axe import needs_axe, violations
from nbconvert import HTMLExporter
from outputs import new_notebook
from places import Box, at_last, boxes, expect_fits, expect_places
from playwright.sync_api import Locator, Page, expect
from real_lab import new_context

from course_lib.film import film
from course_lib.film.film import Film, Pair
from course_lib.film.page import data
from course_lib.lab import served_by
from course_lib.servers import MODELS, BlockingServer, CoroutineServer, EpollServer, SelectServer
from course_lib.solutions.blocking import serve_forever


def five(connect):
    clients = [connect() for _ in range(5)]
    yield
    for client in (clients[1], clients[3]):
        client.send(b"hello from " + client.name.encode())
    yield
    clients[1].close()
    yield


NAMES = [model.__name__ for model in MODELS.values()]
CELLS = [
    f"from course_lib.servers import *\nfrom course_lib.widgets import film\n{inspect.getsource(five)}",
    *(f"filmed = film({name}(), five, calls=12)\nprint(*(m.call for m in filmed), sep='\\n')\nfilmed" for name in NAMES),
]
# What it says at each moment, by the right arrow key to the end, then by the left one to the beginning.
THERE_AND_BACK = """player => ["ArrowRight", "ArrowLeft"].map(key => {
    const slider = player.querySelector("[role=slider]"), texts = [];
    for (let left = Number(slider.getAttribute("aria-valuemax")); left > 0; left -= 1) {
        texts.push([player.querySelector("output").textContent, player.querySelector(".asks").textContent,
                    Boolean(player.querySelector(".asks.sleeps"))]);
        if (left > 1) slider.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
    }
    return texts;
})"""


@pytest.fixture
def page(browser):
    with new_context(browser, offline=True) as context:
        yield context.new_page()


@pytest.fixture
def opened(page, tmp_path) -> Callable[[Film | Pair], Locator]:
    """Save a film, or a pair, and open the file: opened(film) is its player."""

    def saved_and_opened(filmed: Film | Pair) -> Locator:
        page.goto(filmed.save(tmp_path / "film.html").as_uri())
        return player(page)

    return saved_and_opened


def player(place: Page | Locator, nth: int = 0) -> Locator:
    found = place.locator(".player").nth(nth)
    expect(found).to_be_visible()
    found.get_by_role("slider").first.focus()
    return found


@pytest.mark.parametrize("model", [BlockingServer, SelectServer, EpollServer, CoroutineServer])
def test_a_file_opened_from_disk_plays_offline(page, opened, model):
    errors = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    filmed = film(model(), five)
    shown = opened(filmed)
    for number, m in enumerate(filmed):
        expect(shown.locator("output")).to_have_text(f"{number + 1} of {len(filmed)}")
        expect(shown.locator(".asks")).to_contain_text(filmed.asks(number))
        expect(shown.locator(".came")).to_contain_text(filmed.came(number))
        expect(shown.get_by_role("img")).to_have_attribute("aria-label", filmed.state(number))
        expect(shown.locator(".code.now")).to_have_text(m.position.own.text)
        numbers = shown.get_by_role("img").locator("text.mono").all_text_contents()
        assert {str(row.number) for row in m.descriptors} <= set(numbers)
        page.keyboard.press("ArrowRight")
    page.keyboard.press("Home")
    expect(shown.locator("output")).to_have_text(f"1 of {len(filmed)}")
    page.keyboard.press("End")
    expect(shown.locator(".asks")).to_contain_text(filmed.ending)
    page.keyboard.press("ArrowLeft")
    expect(shown.get_by_role("img")).to_have_attribute("aria-label", filmed.state(len(filmed) - 2))
    assert errors == []


def test_a_line_of_the_source_leads_to_the_next_moment_there(opened):
    filmed = film(EpollServer(), five)
    shown = opened(filmed)
    spot = next(m for m in filmed if m.label == "read").position.own
    there = [number for number, m in enumerate(filmed) if m.position.own == spot]
    line = shown.locator(".code.reached", has_text=spot.text)
    for number in [*there, there[0]]:
        line.click()
        expect(shown.locator("output")).to_have_text(f"{number + 1} of {len(filmed)}")


def test_no_line_of_the_source_is_cut(page, opened):
    filmed = film(SelectServer(), five)
    shown = opened(filmed)
    lines = shown.locator(".lines")
    assert lines.evaluate("lines => [...lines.children].map(line => line.textContent.trimEnd())") == data(filmed)["lines"]
    for width in 600, 1280:
        page.set_viewport_size({"width": width, "height": 900})
        expect_places(
            shown, lambda pane, rows: max(row.right for row in rows) <= pane[0].right, pane=".lines", rows=".code, .code *"
        )
        expect_fits(lines)
        arrows = "lines => [...lines.querySelectorAll('.whole')].every(arrow => arrow.getClientRects().length === 1)"
        at_last(page, lambda: lines.evaluate(arrows), bool)


def test_where_no_source_is_shown_no_place_is_kept_for_it(opened):
    shown = opened(film(served_by(serve_forever), five))
    expect(shown.get_by_role("img")).to_be_visible()
    expect(shown.locator(".source")).to_have_count(0)


def test_it_plays_by_itself_to_the_end_and_stops_when_touched(page, opened):
    filmed = film(BlockingServer(), five)
    page.clock.install(time=0)
    shown = opened(filmed)
    page.clock.pause_at(3600)  # from here on time is the test's
    play, count, last = shown.get_by_role("button", name="play", exact=True), shown.locator("output"), len(filmed)
    play.click()
    page.clock.run_for(300)
    expect(count).to_have_text(f"2 of {last}")
    page.clock.run_for(6000 * last)  # no moment stays longer
    expect(count).to_have_text(f"{last} of {last}")
    play.click()  # from the beginning
    expect(count).to_have_text(f"1 of {last}")
    page.clock.run_for(300)
    expect(count).to_have_text(f"2 of {last}")
    page.keyboard.press("ArrowRight")
    expect(play).to_be_visible()
    page.clock.run_for(6000 * last)
    expect(count).to_have_text(f"3 of {last}")


def test_the_strip_is_clicked_and_dragged(page, opened):
    filmed = film(BlockingServer(), five)
    shown = opened(filmed)
    middles = [mark.middle for mark in boxes(shown, marks=".score .mark")["marks"]]
    page.mouse.click(*middles[2])
    expect(shown.locator("output")).to_have_text(f"3 of {len(filmed)}")
    page.mouse.move(*middles[1])
    page.mouse.down()
    for number in (1, 3, 4):
        page.mouse.move(*middles[number])
        expect(shown.locator("output")).to_have_text(f"{number + 1} of {len(filmed)}")
    page.mouse.move(middles[4][0] + 5000, middles[4][1] + 200)  # out of the strip, with the button held
    expect(shown.locator("output")).to_have_text(f"{len(filmed)} of {len(filmed)}")
    page.mouse.up()
    page.mouse.move(*middles[0])
    expect(shown.locator("output")).to_have_text(f"{len(filmed)} of {len(filmed)}")


def test_two_films_of_one_script_go_together(page, opened):
    left, right = film(BlockingServer(), five), film(EpollServer(), five)
    shown = opened(left.beside(right))
    for _ in range(60):
        page.keyboard.press("ArrowRight")
    pictures = shown.get_by_role("img")
    expect(pictures.nth(0)).to_have_attribute("aria-label", left.state(len(left) - 1))
    expect(pictures.nth(1)).to_have_attribute("aria-label", right.state(len(right) - 1))
    expect(shown.locator(".asks").nth(0)).to_contain_text("bob, carol, dave and erin stand in the accept queue")


def test_two_films_stand_beside_each_other_where_their_pictures_can_be_read(page, opened):
    shown = opened(film(SelectServer(), five).beside(film(EpollServer(), five)))

    def stand(pictures: list[Box]) -> bool:
        left, right = pictures
        return (left.top == right.top) == (left.right < right.left) == beside

    for width, beside in {1280: True, 900: True, 600: False}.items():
        page.set_viewport_size({"width": width, "height": 900})
        expect_places(shown, stand, pictures=".stage svg")


def test_who_waits_stands_behind_or_below_the_words_accept_queue(page, opened):
    shown = opened(film(BlockingServer(), five))
    page.keyboard.press("End")

    def apart(words: list[Box], people: list[Box]) -> bool:
        [label] = [one for one in words if one.text in ("accept queue", "accept: 4")]
        [listener] = [one for one in words if one.text == "listener"]
        told = people or [one for one in words if one.text == "4 wait"]
        return (
            bool(told)
            and label.left > listener.right
            and all(one.left > label.right or one.top > label.top + label.height * 0.7 for one in people)
        )

    for width in 330, 400, 1280:
        page.set_viewport_size({"width": width, "height": 900})
        expect_places(shown, apart, words=".stage text", people=".stage .person")


def test_the_films_of_all_servers_play_in_a_notebook_and_after_a_restart(open_cells):
    notebook = open_cells(*CELLS)
    notebook.run_all()
    for number, name in enumerate(NAMES):
        output = notebook.output(number + 2)
        shown = player(output)
        calls = notebook.printed(number + 2).split("\n")
        there, back = shown.evaluate(THERE_AND_BACK)
        assert [count for count, *_ in there] == [f"{step + 1} of {len(calls)}" for step in range(len(calls))] and len(calls) > 4
        assert there == back[::-1], name
        assert all(asleep or asks.startswith(call) for call, (_, asks, asleep) in zip(calls, there)), name
    player(notebook.output(2))
    # Keys of the film are no commands of JupyterLab, which would delete the cell.
    before = notebook.cells()
    for key in ("d", "d", "x", "b"):
        notebook.page.keyboard.press(key)
    assert notebook.cells() == before
    notebook.save()
    notebook.restart()
    notebook.reload()
    shown = player(notebook.output(2))
    notebook.page.keyboard.press("ArrowRight")
    expect(shown.locator("output")).to_contain_text("2 of ")
    assert notebook.errors == []


def stored() -> nbformat.NotebookNode:
    """A notebook with the output of a cell that made a film."""
    filmed = film(BlockingServer(), five)
    shown = {"text/html": filmed._repr_html_(), "text/plain": repr(filmed)}
    output = nbformat.v4.new_output("execute_result", shown, execution_count=1)
    return new_notebook(nbformat.v4.new_code_cell("filmed", execution_count=1, outputs=[output]))


def test_an_html_export_of_a_notebook_plays_offline(page, tmp_path):
    saved = tmp_path / "export.html"
    saved.write_text(HTMLExporter().from_notebook_node(stored())[0])
    page.goto(saved.as_uri(), wait_until="domcontentloaded")
    shown = player(page)
    page.keyboard.press("End")
    expect(shown.locator(".asks")).to_contain_text("bob, carol, dave and erin stand in the accept queue.")


def test_a_notebook_of_somebody_else_shows_the_still(lab):
    notebook = lab.open_new(stored())
    expect(notebook.output(0)).to_contain_text(
        "it waits for alice alone. Meanwhile bob, carol, dave and erin stand in the accept queue."
    )
    expect(notebook.output(0).locator("table")).to_be_visible()
    expect(notebook.output(0).locator(".player")).to_have_count(0)


@needs_axe
def test_axe_finds_no_barrier(page, opened):
    page.emulate_media(reduced_motion="reduce")  # words on their way to another place have no ground of their own
    filmed = film(CoroutineServer(), five)
    for one in (filmed, film(SelectServer(), five).beside(filmed)):
        shown = opened(one)
        for _ in range(3):
            for _ in range(4):
                page.keyboard.press("ArrowRight")
            expect(shown).to_be_visible()
            for width in 900, 1280:
                page.set_viewport_size({"width": width, "height": 900})
                expect_fits(page.locator(":root"))
                # In the dark nothing but the colours is another.
                for scheme, asked in {"light": {}, "dark": {"runOnly": ["color-contrast", "link-in-text-block"]}}.items():
                    page.emulate_media(color_scheme=scheme)
                    expect(shown).to_have_attribute("data-theme", scheme)
                    found = violations(page, "asked => axe.run({ resultTypes: ['violations'], ...asked })", asked)
                    assert [(one["id"], one["nodes"][0]["html"]) for one in found] == [], (width, scheme)
