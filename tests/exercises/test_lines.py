"""The reference of 2.2 against the plain definition, for any bytes and any cut."""

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
