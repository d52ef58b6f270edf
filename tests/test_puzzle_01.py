"""The puzzle of notebook 01: solved it redirects, and every wrong order gets words that are true of it."""

import subprocess
import sys
import textwrap

import pytest
from puzzle import Puzzle

PUZZLE = Puzzle("redirect")
RIGHT = PUZZLE.right
WRITES = "os.write(1, b'one\\n'); subprocess.run(['echo', 'two'])"


def run(blocks, work=WRITES, folder=None):
    """A plain program made of these blocks, and what it says of its numbers at the end."""
    program = "\n".join(
        [
            "import os, subprocess, sys",
            f"def work(): {work}",
            "def table(): return os.readlink('/proc/self/fd/1'), len(os.listdir('/proc/self/fd'))",
            "before = table()",
            "try:",
            textwrap.indent(PUZZLE.lines(blocks), "    "),
            "except ZeroDivisionError: pass",
            "print(before == table(), file=sys.stderr)",
        ]
    )
    return subprocess.run([sys.executable, "-u", "-c", program], cwd=folder, capture_output=True, text=True, timeout=30)


@pytest.mark.parametrize(
    ("work", "written"), [(WRITES, "one\ntwo\n"), ("os.write(1, b'one\\n'); 1 / 0", "one\n")], ids=["it ends", "it raises"]
)
def test_the_right_program_redirects_and_leaves_all_as_it_was(work, written, tmp_path):
    done = run(RIGHT, work, tmp_path)
    assert (done.stdout, done.stderr) == ("", "True\n")
    assert (tmp_path / "list.txt").read_text() == written


def test_the_bug_of_turning_the_object_is_real(tmp_path):
    done = run(PUZZLE.swapped("turn-object"), folder=tmp_path)
    assert done.stdout == "one\ntwo\n" and (tmp_path / "list.txt").read_text() == ""


def test_the_bug_of_keeping_a_number_is_real(tmp_path):
    done = run(PUZZLE.swapped("keep-number"), folder=tmp_path)
    assert done.returncode != 0 and "FileNotFoundError" in done.stderr  # 1 is closed: the program has no standard output left


def test_letting_go_before_turning_back_is_what_the_words_say(tmp_path):
    done = run([*RIGHT[:-2], "let-go", "turn-back"], folder=tmp_path)
    assert "Bad file descriptor" in done.stderr


@pytest.mark.parametrize(
    ("blocks", "words"),
    [
        (["open", "keep-number"], "Line 2: This keeps a number, not the thing"),
        (["open", "turn"], "Line 2: Row 1 is turned to the file once, after keeping"),
        (["open", "keep", "turn-object"], "Line 3: This changes Python's object only"),
        (
            ["keep", "open", "turn", "try", "work", "finally", "turn-back", "let-go"],
            "Line 1: Keeping comes once, directly under `with`",
        ),
        (["open", "keep", "turn", "work"], "Line 4: `work()` runs under `try:`"),
        (["open", "keep", "turn", "try", "work", "turn-back"], "Line 6: Turning back belongs under `finally:`"),
        (
            ["open", "keep", "turn", "try", "work", "finally", "let-go", "turn-back"],
            "Line 7: `saved` is closed before it was used",
        ),
        (
            ["open", "keep", "turn", "try", "work", "finally", "turn-back"],
            "After line 7 something is missing. `saved` stays open",
        ),
        ([*RIGHT, "turn-object"], "Line 9: This changes Python's object only"),
    ],
)
def test_the_words_of_typical_orders(blocks, words):
    assert PUZZLE.words(blocks).startswith(words)
