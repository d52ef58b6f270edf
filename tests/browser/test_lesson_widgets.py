"""The cards of a lesson as a learner meets them: by mouse, by keyboard alone, in the dark, beside a blocked cell."""

import json
import re

import nbformat
import outputs
import pytest
from outputs import new_notebook
from places import expect_contrast, expect_places
from playwright.sync_api import expect

SETUP = "import socket\nfrom course_lib.lesson import *"
GUESS = 'guess("nobody-connects", "Nobody connects. What does accept() do?", "sleep in the kernel", "spin", "raise an error")'
COMPARE = 'compare("nobody-connects", "sleep in the kernel")'
RIGHT = ["while True:", "listener.accept()", "try:", "while data :=", "sendall", "except", "connection.close()"]


@pytest.fixture
def lesson(lab):
    """Open a notebook with these cells after a set-up cell, and run them all: `notebook = lesson(GUESS, COMPARE)`."""

    def opened(*sources):
        notebook = lab.open_new(new_notebook(SETUP, *sources))
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


def click(notebook, asked, name, nth=0):
    """Click a button of a card when the kernel knows what was chosen before."""
    notebook.wait_answered()
    asked.get_by_role("button", name=name).nth(nth).click()


def press(notebook, *keys):
    """Press these keys, and wait until the kernel knows what they changed."""
    for key in keys:
        notebook.page.keyboard.press(key)
    notebook.wait_answered()


def test_a_guess_by_mouse_then_the_outcome_beside_it_and_on_a_narrow_page_figures_have_room(lesson):
    notebook = lesson(GUESS, COMPARE)
    expect(notebook.output(2)).to_contain_text("No guess was kept")
    asked = card(notebook, 1)
    asked.get_by_label("spin").check()
    asked.get_by_label("because").fill("a loop must run")
    click(notebook, asked, "Save")
    expect(asked.get_by_role("status")).to_have_text("Say how sure you are, too.")
    say_how_sure(asked, 50)
    click(notebook, asked, "Save")
    expect(asked.get_by_role("status")).to_have_text("Kept: spin, 50 % sure. You can change it until the experiment has run.")
    assert lesson.kept()["guesses"]["nobody-connects"]["reason"] == "a loop must run"

    outcome = notebook.run_cell(2)
    expect(outcome.locator("td").nth(0)).to_have_text("spin, 50 % surebecause a loop must run")
    expect(outcome.locator("td").nth(1)).to_have_text("sleep in the kernel")
    expect_places(outcome, lambda parts: parts[0].top == parts[1].top and parts[0].right <= parts[1].left + 1, parts="td")
    asked = card(notebook, 1)
    notebook.page.set_viewport_size({"width": 700, "height": 900})  # both are as wide as their cell
    expect_places(
        notebook.page.locator(".jp-Notebook:visible"),
        lambda cards, outcomes: cards[0].width == pytest.approx(outcomes[0].width, abs=6) and cards[0].width < 600,
        cards='[data-windowed-list-index="1"] .course-card[role=group]',
        outcomes='[data-windowed-list-index="2"] div.course',
    )
    expect(asked.get_by_role("button", name="Save again")).to_be_disabled()
    expect(asked.get_by_label("raise an error")).to_be_disabled()

    files = notebook.page.locator("#jp-left-stack")
    expect(files).to_be_visible()
    notebook.page.set_viewport_size({"width": 900, "height": 900})
    notebook.run_cell(1)
    expect(files).to_be_hidden()
    notebook.page.wait_for_function("() => Boolean(document.activeElement?.closest('.jp-Notebook'))")
    notebook.page.locator(".jp-SideBar.jp-mod-left .lm-TabBar-tab").first.click()
    expect(files).to_be_visible()
    notebook.run_cell(1)  # it is folded once, and not again
    card(notebook, 1)
    expect(files).to_be_visible()


def test_stored_results_are_folded_until_their_cell_has_run(lab):
    def cell(source, *shown):
        return nbformat.v4.new_code_cell(source, execution_count=1, outputs=list(shown))

    tells = cell("print('it sleeps')", nbformat.v4.new_output("stream", text="it sleeps\n"))
    book = new_notebook(cell(SETUP), cell(GUESS), tells, cell(COMPARE))
    outputs.fold(book)
    notebook = lab.open_new(book)
    notebook.run_cell(0)
    notebook.run_cell(1)
    fold = notebook.cell(2).locator(".jp-OutputPlaceholder .jp-PlaceholderText")
    expect(fold).to_have_css("font-size", "0px")  # its first line is there, and not seen
    assert "run the cell" in fold.evaluate("element => getComputedStyle(element, '::after').content")
    expect(notebook.cell(2).locator(".jp-OutputArea-output")).to_have_count(0)
    expect(notebook.run_cell(2)).to_have_text("it sleeps\n")


def test_a_guess_by_keyboard_alone_and_while_another_cell_blocks(lesson):
    notebook = lesson(GUESS, 'listener = socket.create_server(("127.0.0.1", 0))', "None")
    asked = card(notebook, 1)
    cells = notebook.cells()
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
    assert notebook.cells() == cells
    press(notebook, "Shift+Enter")  # a key that runs a cell still does
    expect(notebook.cell(1).locator(".jp-InputPrompt")).to_have_text("[5]:")

    notebook.write(3, "print('it blocks')\nlistener.accept()")
    expect(notebook.run_cell(3, wait=False)).to_contain_text("it blocks")
    asked = card(notebook, 1)
    asked.get_by_label("raise an error").check()
    say_how_sure(asked, 90)
    click(notebook, asked, "Save")
    expect(asked.get_by_role("status")).to_contain_text("Kept: raise an error")
    expect(notebook.cell(3).locator(".jp-InputPrompt")).to_have_text("[*]:")
    notebook.interrupt()
    notebook.run_cell(2)


def test_a_gone_kernel_is_said_takes_no_more_input_and_what_was_kept_is_there_again(lesson):
    notebook = lesson(GUESS)
    asked = card(notebook, 1)
    asked.get_by_label("spin").check()
    say_how_sure(asked, 33)
    click(notebook, asked, "Save")
    expect(asked.get_by_role("status")).to_contain_text("Kept")
    notebook.restart()
    expect(asked.get_by_role("status").first).to_contain_text("Run the cells again from the first one.")
    assert asked.get_by_label("spin").evaluate("input => Boolean(input.closest('[inert]'))")
    icons = "card => [card, ...card.querySelectorAll('*')].filter(e => getComputedStyle(e, '::before').content.length > 6).length"
    assert asked.evaluate(icons) == 0  # no broken link
    notebook.run_all()
    again = card(notebook, 1)
    expect(again.locator(".lost-words")).to_have_count(0)
    expect(again.get_by_label("spin")).to_be_checked()
    expect(again.get_by_label("33 %")).to_be_checked()
    expect(again.get_by_role("status")).to_contain_text("Kept: spin, 33 % sure.")


def test_recall_gives_its_reason_after_the_answer_and_a_check_its_hints_one_by_one(lesson):
    notebook = lesson(
        'recall("02")', "from course_lib.exercises import check", 'def fd_table(pid):\n    return {}\ncheck("1.1", fd_table)'
    )
    asked = card(notebook, 1)
    reason = "The lowest free number"
    expect(asked).not_to_contain_text(reason)
    group = asked.get_by_role("radiogroup", name="2. Descriptors 0 to 9 are open.")
    click(notebook, asked, "Answer", 1)
    expect(asked).to_contain_text("Choose one of the answers first.")
    expect(asked).not_to_contain_text(reason)
    group.get_by_label("7").check()
    expect(asked).not_to_contain_text(reason)
    click(notebook, asked, "Answer", 1)
    expect(asked.get_by_role("status")).to_contain_text(f"Not so. It is: “4” {reason}")
    expect(group.get_by_label("10")).to_be_disabled()

    below = card(notebook, 3)
    expect(below).to_contain_text("≠ not yet")
    below.get_by_role("button", name="Hint 1").click()
    expect(below.get_by_role("listitem")).to_have_count(1)
    below.get_by_role("button", name="Solution").click()
    expect(below).to_contain_text("opens when you have passed")
    assert lesson.kept()["exercises"]["1.1"]["hints"] == 1


def line(where, words, last=False):
    """A line of the puzzle; `last`: of two twins the second one."""
    found = where.get_by_role("button", name=words)
    return found.last if last else found.first


def the_puzzle(notebook):
    """The card of a puzzle, its lines, the program so far, the button that checks it, and what is said."""
    puzzle = card(notebook, 1)
    lines, program = puzzle.get_by_role("list", name="lines"), puzzle.get_by_role("list", name="your program")
    return puzzle, lines, program, puzzle.get_by_role("button", name="Check"), puzzle.get_by_role("status")


def test_the_puzzle_by_mouse_and_by_keyboard_alone(lesson):
    notebook = lesson('parsons("blocking-server")')
    puzzle, lines, program, check, status = the_puzzle(notebook)
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
    notebook.wait_answered()
    check.click()
    expect(status).to_contain_text("Line 2: ")
    assert notebook.cells() == 2

    notebook.run_cell(1)
    puzzle, lines, program, check, status = the_puzzle(notebook)
    expect(program.get_by_role("listitem")).to_have_count(0)

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


def test_the_ledger_appears_beside_the_learners_sentence_and_markup_is_shown_as_text(lesson):
    payload = "<img src=x onerror=\"document.title='hit'\"><script>document.title='hit'</script>"
    notebook = lesson(GUESS, COMPARE, 'rewrite("C16")')
    asked = card(notebook, 1)
    asked.get_by_label("spin").check()
    asked.get_by_label("because").fill(payload)
    say_how_sure(asked, 100)
    click(notebook, asked, "Save")
    expect(asked.get_by_role("status")).to_contain_text("Kept")
    outcome = notebook.run_cell(2)
    expect(outcome).to_contain_text(payload)
    anew = card(notebook, 3)
    expect(anew).not_to_contain_text("Two independent choices.")
    anew.get_by_label("your sentence").fill(payload)
    click(notebook, anew, "Save")
    expect(anew.locator("td").first).to_have_text(payload)
    expect(anew).to_contain_text("Two independent choices.")
    say_how_sure(anew, 50)
    click(notebook, anew, "Keep")
    expect(anew.get_by_role("status")).to_contain_text("50 % sure of your sentence now")
    expect(notebook.page.locator(".jp-OutputArea img")).to_have_count(0)
    assert "hit" not in notebook.page.title()


def test_text_stands_out_from_its_ground(lesson):
    """Contrast of at least 4.5 to 1 (WCAG 2.1, success criterion 1.4.3)."""
    notebook = lesson(GUESS, COMPARE, 'verdict("C06")', 'parsons("blocking-server")')
    shown = {
        1: [".course-question", ".widget-radio-box label", ".widget-label", ".course-label"],
        2: ["summary", ".course-quiet"],
        3: ["code", ".course-verdict", ".course-quiet"],
        4: [".course-line", ".course-twin", ".course-k", ".course-question", ".mod-primary", ".course-state"],
    }
    for theme in notebook.themes():
        for cell, selectors in shown.items():
            output = notebook.output(cell)
            for selector in selectors:
                expect_contrast(output.locator(selector).locator("visible=true").first, 4.5)
