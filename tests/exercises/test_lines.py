"""The reference of 2.2 against the plain definition, for any bytes and any cut."""

import time

from hypothesis import given, settings
from hypothesis import strategies as st

from course_lib.solutions.blocking import Lines

chunks = st.lists(st.binary(max_size=30) | st.sampled_from([b"", b"\n", b"\r\n", b"a\n", "中\n".encode()]), max_size=30)


@settings(deadline=None, derandomize=True, database=None)
@given(chunks)
def test_the_cuts_do_not_matter(chunks):
    lines = Lines()
    found = [line for chunk in chunks for line in lines.feed(chunk)]
    assert found == b"".join(chunks).split(b"\n")[:-1]


@settings(deadline=None, derandomize=True, database=None)
@given(chunks)
def test_a_line_comes_as_soon_as_it_is_complete(chunks):
    lines, fed, found = Lines(), b"", 0
    for chunk in chunks:
        fed += chunk
        found += len(lines.feed(chunk))
        assert found == fed.count(b"\n")


@settings(deadline=None, derandomize=True, database=None)
@given(st.integers(65_530, 65_545), st.lists(st.integers(1, 65_545), max_size=6), st.booleans())
def test_a_line_has_a_limit_however_it_is_cut(length, cuts, ended):
    line, lines = b"x" * length, Lines()
    stream = b"before\n" + line + b"\n" * ended
    places = [0, *sorted(set(cuts)), len(stream)]
    try:
        found = [line for begin, end in zip(places, places[1:]) for line in lines.feed(stream[begin:end])]
    except ValueError:
        assert length > 65_536
    else:
        assert length <= 65_536 and found == [b"before", line][: 1 + ended]


def test_each_byte_of_a_line_is_touched_a_few_times():
    def cpu(size):
        begin, lines = time.thread_time(), Lines()
        for _ in range(size):
            lines.feed(b"x")
        assert lines.feed(b"\n") == [b"x" * size]
        return time.thread_time() - begin

    short, long = (min(cpu(size) for _ in range(5)) for size in (8_000, 64_000))
    assert long < 24 * short  # 8 times when it grows with the size, 64 with its square
