"""A field of dots: each connection has its place, and looks as what has happened to it."""

import re

import pytest

from course_lib.measure.dots import dots, words


def layers(drawing: str) -> list[set[tuple[float, float]]]:
    """The places of the dots of each path, as (column, row)."""
    found = []
    for path in re.findall(r"<path d='([^']+)'", drawing):
        spots = set()
        for x, y, length in re.findall(r"M([\d.]+) ([\d.]+)h([\d.]+)", path):
            spots |= {(float(x) // 5 + n, float(y) // 5) for n in range(int(float(length) / 5) + 1)}
        found.append(spots)
    return found


def place(number: int) -> tuple[float, float]:
    return (number % 125, number // 125)


@pytest.mark.parametrize("count", [1, 124, 125, 126, 10_000])
def test_each_connection_is_one_dot(count):
    (only,) = layers(dots(count, count, count))
    assert only == {place(number) for number in range(count)}


def test_what_has_happened_to_each_is_seen():
    closed, open_, answered, talking, wrong, new = layers(dots(1000, 700, 600, (3, 130), 20, (500, 600)))
    assert closed == {place(n) for n in range(700, 1000)} and open_ == {place(n) for n in range(600, 700)}
    assert talking == {place(n) for n in range(20)} and answered | talking == {place(n) for n in range(600)}
    assert wrong == {place(3), place(130)} and new == {place(n) for n in range(500, 600)}


def test_the_picture_is_small_whatever_it_shows_and_says_it_in_words():
    drawing = dots(10_000, 10_000, 9_000, (), 20, (8_000, 9_000))
    assert len(drawing) < 8_000
    assert words(10_000, 10_000, 9_000, (7,), 20) == (
        "10,000 dots, one for each connection: 10,000 connected, 9,000 answered, 1 of them wrong, 20 go on asking."
    )
    assert f"aria-label='{words(10_000, 10_000, 9_000, (), 20)}'" in drawing
    assert "aria-label='now'" in dots(1, 1, 1, label="now")
