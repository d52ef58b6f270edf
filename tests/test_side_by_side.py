"""Two functions side by side: what is equal stands in one row, and what is new is marked by more than a colour."""

from course_lib.lesson import side_by_side


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
