"""Every Parsons puzzle: its lines, its two bugs beside their twins, and words for every wrong program."""

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
