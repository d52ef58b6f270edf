"""Every Parsons puzzle: its lines, its two bugs beside their twins, and words for every wrong program."""

import ast
import itertools

import pytest

from course_lib.lesson.parsons import first_bug, parsons, puzzles

PUZZLES = puzzles()


@pytest.fixture(params=PUZZLES)
def puzzle(request):
    return PUZZLES[request.param]


def test_six_to_nine_lines_and_two_bugs_beside_their_twins(puzzle):
    pool, right = puzzle["pool"], puzzle["solution"]
    bugs = set(pool) - set(right)
    assert sorted(pool) == sorted(puzzle["blocks"]) and 6 <= len(right) <= 9 and len(bugs) == 2 == len(puzzle["pairs"])
    for twin, bug in puzzle["pairs"]:
        assert twin in right and bug in bugs and abs(pool.index(twin) - pool.index(bug)) == 1


def test_every_block_is_one_line_of_the_list(puzzle):
    assert all("\n" not in block["code"] and len(block["code"]) <= 90 for block in puzzle["blocks"].values())


@pytest.mark.parametrize("key", PUZZLES)
def test_the_right_program_is_solved(key):
    card = parsons(key)
    for order in [PUZZLES[key]["solution"], *PUZZLES[key].get("also", [])]:
        card.program = order
        card.check()
        assert "Solved." in card._note.value
    card.close()


def test_another_right_order_is_one_of_the_same_lines(puzzle):
    for order in puzzle.get("also", []):
        assert order != puzzle["solution"] and sorted(order) == sorted(puzzle["solution"])


def test_a_bug_is_found_in_each_right_order(puzzle):
    for order in [puzzle["solution"], *puzzle.get("also", [])]:
        for twin, bug in puzzle["pairs"]:
            program = [bug if block == twin else block for block in order]
            assert first_bug(puzzle, program).startswith(f"Line {order.index(twin) + 1}: ")


def test_every_first_wrong_line_gets_words(puzzle):
    right = puzzle["solution"]
    for place in range(len(right) + 1):
        also = {order[place] for order in puzzle.get("also", []) if order[:place] == right[:place]}
        for found in set(puzzle["blocks"]) - set(right[: place + 1]) - also:
            rest = [block for block in right[place:] if block != found]
            for program in ([*right[:place], found], [*right[:place], found, *rest]):
                words = first_bug(puzzle, program)
                assert words.startswith(f"Line {place + 1}: ") and len(words) > 30


def test_every_unfinished_program_is_told_what_comes_next(puzzle):
    right = puzzle["solution"]
    assert first_bug(puzzle, []) == "Your program is empty."
    for length in range(1, len(right)):
        assert puzzle["blocks"][right[length]]["missing"] in first_bug(puzzle, right[:length])


# A block of these says when it is missing "nobody yet", "must be read first": true of a late one too.
SPEAK_OF_ORDER = {"redirect": set(), "blocking-server": {"accept", "read"}, "nonblocking-server": {"read"}}


@pytest.mark.parametrize("key", SPEAK_OF_ORDER)
def test_a_block_that_is_there_is_not_called_missing(key):
    puzzle = PUZZLES[key]
    missing = [puzzle["blocks"][block]["missing"] for block in set(puzzle["solution"]) - SPEAK_OF_ORDER[key]]
    for found in itertools.permutations(puzzle["solution"]):
        bug = first_bug(puzzle, list(found))
        assert bug is None or not any(words in bug for words in missing)


def program(key, blocks):
    return "\n".join(PUZZLES[key]["blocks"][block]["code"] for block in blocks)


@pytest.mark.parametrize(
    ("key", "least"),
    [("select-server", 4), ("poll-server", 5), ("epoll-server", 6), ("coroutine-server", 1), ("threaded-server", 3)],
)
def test_where_the_words_name_an_error_of_python_python_says_it(key, least):
    right, named = PUZZLES[key]["solution"], 0
    for place in range(len(right) + 1):
        for found in set(PUZZLES[key]["blocks"]) - set(right[: place + 1]):
            blocks = [*right[:place], found, *right[place + 1 :]]
            for error in "unexpected indent", "expected an indented block", "invalid syntax":
                if error in first_bug(PUZZLES[key], blocks):
                    named += 1
                    with pytest.raises(SyntaxError, match=error):
                        compile(program(key, blocks), "puzzle", "exec")
    assert named >= least


@pytest.mark.parametrize(
    ("key", "after", "blocks", "error"),
    [
        ("blocking-server", 6, ["close-early"], "unexpected indent"),
        ("blocking-server", 7, ["close-early"], "unexpected indent"),
        ("blocking-server", 5, ["close", "reset"], "expected 'except' or 'finally' block"),
        ("nonblocking-server", 7, ["done", "not-yet"], "expected 'except' or 'finally' block"),
        ("nonblocking-server", 4, ["not-yet", "keep", "send", "rest", "done"], "unexpected indent"),
    ],
)
def test_python_refuses_what_the_words_say_it_refuses(key, after, blocks, error):
    with pytest.raises(SyntaxError, match=error):
        ast.parse(program(key, [*PUZZLES[key]["solution"][:after], *blocks]))
