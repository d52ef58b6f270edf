"""The cards that show source: the text as it is, each line a row of its own; side by side, what is new is marked.

It is marked by more than a colour, and what is equal stands in one row.
"""

import inspect
import re
import textwrap
from html import unescape

import pytest

from course_lib.lesson import side_by_side, source
from course_lib.servers import BlockingServer, SelectServer
from course_lib.servers.connection import Connection


def page_of(card) -> str:
    page = card._repr_mimebundle_()["text/html"]
    return page[page.index("<pre") :]


def test_it_is_the_source_to_the_letter_as_text_and_as_html():
    card = source(BlockingServer)
    assert repr(card) == inspect.getsource(BlockingServer).strip()
    assert unescape(re.sub("<[^>]+>", "", page_of(card))).strip() == repr(card)


def test_a_method_begins_at_the_left_and_several_things_stand_one_below_the_other():
    (one, other) = (textwrap.dedent(inspect.getsource(thing)).strip() for thing in (Connection.go_on, SelectServer))
    assert repr(source(Connection.go_on, SelectServer)) == f"{one}\n\n{other}"


def test_a_broken_line_keeps_its_indentation():
    rows = re.findall(r"--indent: (\d+)ch'>(.*)", page_of(source(Connection.go_on)))
    assert len(rows) == len(inspect.getsource(Connection.go_on).splitlines())
    for indent, row in rows:
        code = re.sub("<[^>]+>", "", row)
        assert len(code) - len(code.lstrip()) == int(indent)
        assert (f"<span class='course-indent'>{' ' * int(indent)}</span>" in row) == (indent != "0")


def test_a_long_line_is_broken_at_a_dot_or_a_bracket_and_not_inside_of_a_name_or_a_number():
    def pops(number, connections):
        connections.pop(number).sock.close("0.5", 0.5)  # <b> & "x"

    told = re.sub("<(?!wbr)[^>]+>", "", page_of(source(pops)))
    assert 'connections<wbr>.pop(<wbr>number)<wbr>.sock<wbr>.close(<wbr>"0.5", 0.5)' in unescape(told)


@pytest.mark.parametrize("thing", [len, 3, type("Made", (), {})])
def test_what_has_no_source_is_said_in_a_sentence(thing):
    with pytest.raises(TypeError, match="source.. shows a class or a function that is written in Python, not "):
        source(thing)


def first(listener):
    poll = listener.poll()  # a comment is no difference
    poll.register(listener)
    return poll


def second(listener):
    epoll = listener.epoll()
    epoll.register(listener)
    if epoll < 2:
        return epoll


def test_what_differs_is_marked_and_words_that_are_alike_and_indentation_are_no_difference():
    card = side_by_side(first, second, alike=("poll", "epoll"))
    assert repr(card).splitlines() == [
        "- first, + second",
        "  epoll = listener.epoll()",
        "  epoll.register(listener)",
        "+ if epoll < 2:",
        "      return epoll",
    ]
    page = card._repr_mimebundle_()["text/html"]
    page = page[page.index("<table") :]  # without the style
    assert ">epoll<wbr>.register(<wbr>listener)<" in page  # a line is broken there, and not inside of a name
    page = page.replace("<wbr>", "")
    assert page.count("<tr>") == 1 + 4 and page.count("course-joint") == 3 and page.count("course-new") == 1
    assert (
        ">&nbsp;&nbsp;&nbsp;&nbsp;return epoll<" in page
        and "<b>if epoll &lt; 2:</b>" in page
        and ">epoll.register(listener)<" in page
    )


def test_of_two_unlike_lines_only_the_words_that_differ_are_bold():
    page = side_by_side(first, second)._repr_mimebundle_()["text/html"].replace("<wbr>", "")
    assert ">poll = listener.<b>poll</b>()<".replace("poll =", "<b>poll</b> =") in page
    assert "<b>epoll</b> = listener.<b>epoll</b>()" in page
    assert (
        " style='--indent: 4ch'>&nbsp;&nbsp;&nbsp;&nbsp;<b>return epoll</b><" in page
    )  # a broken line goes on below its first word


def test_without_words_that_are_alike_every_other_line_differs():
    assert "  epoll.register(listener)" not in repr(side_by_side(first, second)).splitlines()
    assert "-" not in repr(side_by_side(first, first)).partition("\n")[2]
