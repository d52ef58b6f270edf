"""The cards of a lesson as a learner meets them: by mouse, by keyboard alone, in the dark, beside a blocked cell."""

import json
import re

import nbformat
import outputs
import pytest
from playwright.sync_api import expect

SETUP = """\
import os, socket
os.environ["COURSE_HOME"] = {home!r}
from course_lib.lesson import *"""
GUESS = 'guess("nobody-connects", "Nobody connects. What does accept() do?", "sleep in the kernel", "spin", "raise an error")'
COMPARE = 'compare("nobody-connects", "sleep in the kernel")'
PYTHON = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
# What the kernel has not answered yet. A page sends the changes of a control one by one, each after the answer
# to the last, while a click goes at once: only a robot is quick enough to see the difference.
WATCH = """() => {
    window.unanswered = new Set();
    jupyterapp.shell.currentWidget.sessionContext.session.kernel.anyMessage.connect((_, {msg, direction}) => {
        if (direction === "send" && msg.header.msg_type === "comm_msg") unanswered.add(msg.header.msg_id);
        else if (msg.header.msg_type === "status" && msg.content.execution_state === "idle") unanswered.delete(msg.parent_header.msg_id);
    });
}"""
RIGHT = ["while True:", "listener.accept()", "try:", "while data :=", "sendall", "except", "connection.close()"]


@pytest.fixture
def lesson(lab):
    """Open a notebook with these cells after a set-up cell, and run them all: `notebook = lesson(GUESS, COMPARE)`."""

    def opened(*sources):
        setup = SETUP.format(home=str(lab.folder / "mine"))
        cells = [nbformat.v4.new_code_cell(source) for source in (setup, *sources)]
        book = nbformat.v4.new_notebook(cells=cells, metadata=PYTHON)
        nbformat.write(book, lab.folder / "lesson.ipynb")
        notebook = lab.open("lesson.ipynb")
        notebook.page.evaluate(WATCH)
        notebook.run_all()
        return notebook

    opened.kept = lambda: json.loads((lab.folder / "mine" / "progress.json").read_text())
    return opened


def card(notebook, cell):
    """The live card of a cell, once the page has given it its name and its keys."""
    found = notebook.output(cell).locator(".course-card[role=group]")
    expect(found).to_be_visible()
    return found


def say_how_sure(asked, level):
    asked.get_by_role("radiogroup", name="how sure").get_by_label(f"{level} %").check()


def press(notebook, *keys):
    """Press these keys, and wait until the kernel knows what they changed."""
    for key in keys:
        notebook.page.keyboard.press(key)
    notebook.page.wait_for_function("() => unanswered.size === 0")


def test_a_guess_by_mouse_then_the_outcome_beside_it(lesson):
    notebook = lesson(GUESS, COMPARE)
    expect(notebook.output(2)).to_contain_text("No guess was kept")
    asked = card(notebook, 1)
    asked.get_by_label("spin").check()
    asked.get_by_label("because").fill("a loop must run")
    asked.get_by_role("button", name="Save").click()
    expect(asked.get_by_role("status")).to_have_text("Say how sure you are, too.")
    say_how_sure(asked, 50)
    asked.get_by_role("button", name="Save").click()
    expect(asked.get_by_role("status")).to_have_text("Kept: spin, 50 % sure. You can change it until the experiment has run.")
    assert lesson.kept()["guesses"]["nobody-connects"]["reason"] == "a loop must run"

    outcome = notebook.run_cell(2)
    expect(outcome.locator("td").nth(0)).to_have_text("spin, 50 % surebecause a loop must run")
    expect(outcome.locator("td").nth(1)).to_have_text("sleep in the kernel")
    left, right = (outcome.locator("td").nth(n).bounding_box() for n in (0, 1))
    assert left["y"] == right["y"] and left["x"] + left["width"] <= right["x"] + 1
    asked = card(notebook, 1)
    notebook.page.set_viewport_size({"width": 700, "height": 900})  # both are as wide as their cell
    widths = [box.bounding_box()["width"] for box in (asked, outcome.locator("div.course").first)]
    assert widths[0] == pytest.approx(widths[1], abs=6) and widths[0] < 600
    expect(asked.get_by_role("button", name="Save again")).to_be_disabled()
    expect(asked.get_by_label("raise an error")).to_be_disabled()


def test_stored_results_are_folded_until_their_cell_has_run(lab):
    def cell(source, *shown):
        return nbformat.v4.new_code_cell(source, execution_count=1, outputs=list(shown))

    tells = cell("print('it sleeps')", nbformat.v4.new_output("stream", text="it sleeps\n"))
    book = nbformat.v4.new_notebook(
        cells=[cell(SETUP.format(home=str(lab.folder / "mine"))), cell(GUESS), tells, cell(COMPARE)], metadata=PYTHON
    )
    outputs.fold(book)
    nbformat.write(book, lab.folder / "lesson.ipynb")
    notebook = lab.open("lesson.ipynb")
    notebook.run_cell(0)
    notebook.run_cell(1)
    fold = notebook.cell(2).locator(".jp-OutputPlaceholder .jp-PlaceholderText")
    expect(fold).to_have_css("font-size", "0px")  # its first line is there, and not seen
    assert "run the cell" in fold.evaluate("element => getComputedStyle(element, '::after').content")
    expect(notebook.cell(2).locator(".jp-OutputArea-output")).to_have_count(0)
    expect(notebook.run_cell(2)).to_have_text("it sleeps\n")


def test_a_guess_by_keyboard_alone(lesson):
    notebook = lesson(GUESS, COMPARE)
    asked = card(notebook, 1)
    cells = notebook.page.locator(".jp-Cell").count()
    asked.get_by_role("radio").first.focus()
    press(notebook, "ArrowDown", "Tab")  # the arrow chooses; the whole group is one stop of Tab
    expect(asked.get_by_label("spin")).to_be_checked()
    press(notebook, "ArrowRight", "ArrowRight", "Tab")  # 50 %, 70 %
    expect(asked.get_by_label("because")).to_be_focused()
    notebook.page.keyboard.type("d d x a b: words, and no command of the notebook")
    press(notebook, "Tab")
    expect(asked.get_by_role("button", name="Save")).to_be_focused()
    press(notebook, "d", "d", "x", "a", "Enter")
    expect(asked.get_by_role("status")).to_contain_text("Kept: spin, 70 % sure.")
    assert notebook.page.locator(".jp-Cell").count() == cells
    press(notebook, "Shift+Enter")  # a key that runs a cell still does
    expect(notebook.cell(1).locator(".jp-InputPrompt")).to_have_text("[4]:")


def test_a_kept_guess_is_there_when_the_notebook_is_opened_again(lesson):
    notebook = lesson(GUESS)
    asked = card(notebook, 1)
    asked.get_by_label("spin").check()
    say_how_sure(asked, 33)
    asked.get_by_role("button", name="Save").click()
    expect(asked.get_by_role("status")).to_contain_text("Kept")
    notebook.restart()
    notebook.run_all()
    again = card(notebook, 1)
    expect(again.get_by_label("spin")).to_be_checked()
    expect(again.get_by_label("33 %")).to_be_checked()
    expect(again.get_by_role("status")).to_contain_text("Kept: spin, 33 % sure.")


def test_a_guess_is_kept_while_another_cell_blocks(lesson):
    listener = 'listener = socket.create_server(("127.0.0.1", 0))'
    notebook = lesson(GUESS, listener, "None")
    notebook.write(3, "listener.accept()")
    notebook.run_cell(3, wait=False)
    expect(notebook.cell(3).locator(".jp-InputPrompt")).to_have_text("[*]:")
    asked = card(notebook, 1)
    asked.get_by_label("raise an error").check()
    say_how_sure(asked, 90)
    asked.get_by_role("button", name="Save").click()
    expect(asked.get_by_role("status")).to_contain_text("Kept: raise an error")
    expect(notebook.cell(3).locator(".jp-InputPrompt")).to_have_text("[*]:")
    notebook.interrupt()
    notebook.wait_idle()
    notebook.run_cell(2)


def test_recall_gives_its_reason_after_the_answer(lesson):
    notebook = lesson('recall("02")')
    asked = card(notebook, 1)
    reason = "The lowest free number"
    expect(asked).not_to_contain_text(reason)
    group = asked.get_by_role("radiogroup", name="2. Descriptors 0 to 9 are open.")
    asked.get_by_role("button", name="Answer").nth(1).click()
    expect(asked).to_contain_text("Choose one of the answers first.")
    expect(asked).not_to_contain_text(reason)
    group.get_by_label("7").check()
    expect(asked).not_to_contain_text(reason)
    asked.get_by_role("button", name="Answer").nth(1).click()
    expect(asked.get_by_role("status")).to_contain_text(f"Not so. It is: “4” {reason}")
    expect(group.get_by_label("10")).to_be_disabled()


def line(where, words, last=False):
    """A line of the puzzle; `last`: of two twins the second one."""
    found = where.get_by_role("button", name=words)
    return found.last if last else found.first


def test_the_puzzle_by_keyboard_alone(lesson):
    notebook = lesson('parsons("blocking-server")')
    puzzle = card(notebook, 1)
    lines, program = puzzle.get_by_role("list", name="lines"), puzzle.get_by_role("list", name="your program")
    check, status = puzzle.get_by_role("button", name="Check"), puzzle.get_by_role("status")

    def add(words, last=False):
        line(lines, words, last).focus()
        notebook.page.keyboard.press("Enter")
        expect(line(program, words)).to_be_visible()

    for words in RIGHT[:3]:
        add(words)
    add("while (data :=")
    check.focus()
    notebook.page.keyboard.press(" ")
    expect(status).to_contain_text("Line 4: This loop never ends: recv() returns b'' for ever")
    expect(program.locator(".course-surprise")).to_contain_text("while (data :=")

    line(program, "while (data :=").focus()
    notebook.page.keyboard.press("Delete")
    expect(program.get_by_role("listitem")).to_have_count(3)
    for words in [RIGHT[4], RIGHT[3], RIGHT[5]]:  # two of them in the wrong order
        add(words)
    add(RIGHT[6])
    line(program, RIGHT[3]).focus()
    notebook.page.keyboard.press("ArrowUp")
    expect(line(program, RIGHT[4])).to_be_focused()
    notebook.page.keyboard.press("Alt+ArrowDown")
    expect(program.get_by_role("listitem").nth(3)).to_contain_text("while data :=")
    expect(line(program, RIGHT[4])).to_be_focused()
    check.focus()
    notebook.page.keyboard.press("Enter")
    expect(status).to_contain_text("Solved.")
    expect(puzzle).to_have_class(re.compile("course-solved"))
    assert lesson.kept()["puzzles"]["blocking-server"] == {"solved": True, "tries": 2}


def test_the_puzzle_by_mouse(lesson):
    notebook = lesson('parsons("blocking-server")')
    puzzle = card(notebook, 1)
    lines, program = puzzle.get_by_role("list", name="lines"), puzzle.get_by_role("list", name="your program")
    for words in [RIGHT[1], RIGHT[2], RIGHT[3]]:
        line(lines, words).click()
    line(lines, RIGHT[0]).drag_to(line(program, RIGHT[1]), target_position={"x": 20, "y": 3})
    expect(program.get_by_role("listitem").nth(0)).to_contain_text(RIGHT[0])
    line(program, RIGHT[1]).drag_to(line(program, RIGHT[3]), target_position={"x": 20, "y": 18})  # down, to the end
    expect(program.get_by_role("listitem").nth(3)).to_contain_text(RIGHT[1])
    program.get_by_role("listitem").nth(3).get_by_role("button", name="up").click()
    expect(program.get_by_role("listitem").nth(2)).to_contain_text(RIGHT[1])
    line(program, RIGHT[1]).drag_to(lines)
    program.get_by_role("listitem").nth(1).get_by_role("button", name="take out").click()
    expect(program.get_by_role("listitem")).to_have_count(2)
    expect(lines.get_by_role("listitem")).to_have_count(7)
    notebook.page.wait_for_function("() => unanswered.size === 0")
    puzzle.get_by_role("button", name="Check").click()
    expect(puzzle.get_by_role("status")).to_contain_text("Line 2: ")
    assert notebook.page.locator(".jp-Cell").count() == 2


def test_a_gone_kernel_is_said_and_takes_no_more_input(lesson):
    notebook = lesson(GUESS)
    asked = card(notebook, 1)
    notebook.restart()
    expect(asked.get_by_role("status").first).to_contain_text("Run the cells again from the first one.")
    assert asked.get_by_label("spin").evaluate("input => Boolean(input.closest('[inert]'))")
    icons = "card => [card, ...card.querySelectorAll('*')].filter(e => getComputedStyle(e, '::before').content.length > 6).length"
    assert asked.evaluate(icons) == 0  # no broken link
    notebook.run_all()
    expect(card(notebook, 1).locator(".lost-words")).to_have_count(0)


def test_below_a_check_are_its_hints(lesson):
    notebook = lesson("from course_lib.exercises import check", 'def fd_table(pid):\n    return {}\ncheck("1.1", fd_table)')
    below = card(notebook, 2)
    expect(below).to_contain_text("≠ not yet")
    below.get_by_role("button", name="Hint 1").click()
    expect(below.get_by_role("listitem")).to_have_count(1)
    below.get_by_role("button", name="Solution").click()
    expect(below).to_contain_text("opens when you have passed")
    assert lesson.kept()["exercises"]["1.1"]["hints"] == 1


def test_the_ledger_appears_beside_the_learners_sentence(lesson):
    notebook = lesson('rewrite("C16")')
    asked = card(notebook, 1)
    expect(asked).not_to_contain_text("Two independent choices.")
    asked.get_by_label("your sentence").fill("One process can serve many.")
    asked.get_by_role("button", name="Save").click()
    expect(asked).to_contain_text("Two independent choices.")
    say_how_sure(asked, 50)
    asked.get_by_role("button", name="Keep").click()
    expect(asked.get_by_role("status")).to_contain_text("50 % sure of your sentence now")


def test_markup_is_shown_as_text(lesson):
    payload = "<img src=x onerror=\"document.title='hit'\"><script>document.title='hit'</script>"
    notebook = lesson(GUESS, COMPARE, 'rewrite("C16")')
    asked = card(notebook, 1)
    asked.get_by_label("spin").check()
    asked.get_by_label("because").fill(payload)
    say_how_sure(asked, 100)
    asked.get_by_role("button", name="Save").click()
    expect(asked.get_by_role("status")).to_contain_text("Kept")
    outcome = notebook.run_cell(2)
    expect(outcome).to_contain_text(payload)
    anew = card(notebook, 3)
    anew.get_by_label("your sentence").fill(payload)
    anew.get_by_role("button", name="Save").click()
    expect(anew.locator("td").first).to_have_text(payload)
    assert notebook.page.locator(".jp-OutputArea img").count() == 0 and "hit" not in notebook.page.title()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_stands_out_from_its_ground(lesson, theme):
    """Contrast of at least 4.5 to 1 (WCAG 2.1, success criterion 1.4.3)."""
    notebook = lesson(GUESS, COMPARE, 'verdict("C06")', 'parsons("blocking-server")')
    notebook.theme(theme)
    for cell, selectors in {
        1: [".course-question", ".widget-radio-box label", ".widget-label", ".course-label"],
        2: ["summary", ".course-quiet"],
        3: ["code", ".course-verdict", ".course-quiet"],
        4: [".course-line", ".course-twin", ".course-k", ".course-question", ".mod-primary", ".course-state"],
    }.items():
        output = notebook.output(cell)
        for selector in selectors:
            contrast = output.locator(selector).locator("visible=true").first.evaluate(CONTRAST)
            assert contrast >= 4.5, (theme, cell, selector, contrast)


CONTRAST = """element => {
    const canvas = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
    const rgba = color => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1);
                            return [...canvas.getImageData(0, 0, 1, 1).data]; };
    const light = ([r, g, b]) => [r, g, b].map(v => v / 255).map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
        .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
    const grounds = [];
    for (let e = element; e; e = e.parentElement) grounds.push(rgba(getComputedStyle(e).backgroundColor));
    const over = ([r, g, b, a], under) => [r, g, b].map((v, i) => (v * a + under[i] * (255 - a)) / 255);
    const ground = grounds.reduceRight((under, top) => over(top, under), [255, 255, 255]);
    const [a, b] = [light(over(rgba(getComputedStyle(element).color), ground)), light(ground)].sort((x, y) => y - x);
    return (a + 0.05) / (b + 0.05);
}"""
