"""Number, row, open file description, thing: the data as the kernel gives it, and the picture drawn from it."""

import base64
import os
import re
import select
import socket
import subprocess
import sys

import pytest

from course_lib.kernel import Description, OpenFiles, Row, Thing, open_files, wait_until
from course_lib.widgets import machine
from course_lib.widgets.machine_figure import draw, finding

tables = sys.modules[open_files.__module__]


def _compares() -> bool:
    with socket.socket() as one, socket.socket() as other:
        return tables._compare(os.getpid(), os.getpid(), one.fileno(), other.fileno()) is not None


compares = pytest.mark.skipif(not _compares(), reason="kcmp(2) is not allowed here, or not built into this kernel")


@pytest.fixture
def numbers(tmp_path):
    """a, its dup b, and c: the same file opened a second time; 3 bytes are read through a."""
    path = tmp_path / "notes.txt"
    path.write_text("abcdefgh")
    a = os.open(path, os.O_RDONLY)
    b, c = os.dup(a), os.open(path, os.O_RDONLY)
    os.read(a, 3)
    yield a, b, c
    for number in (a, b, c):
        os.close(number)


@pytest.fixture
def child(numbers):
    """A child process that has a, as its only number of the three."""
    with subprocess.Popen(["sleep", "60"], pass_fds=[numbers[0]]) as process:
        yield process.pid
        process.kill()


@compares
def test_dup_shares_the_description_and_a_second_open_does_not(numbers):
    found = open_files(numbers)
    assert [row.description for row in found.rows] == [0, 0, 1] and found.compared
    assert [(d.kind, d.access, d.offset, d.blocking, d.thing) for d in found.descriptions] == [
        ("file", "read", 3, True, 0),
        ("file", "read", 0, True, 0),
    ]
    assert len(found.things) == 1 and found.things[0].name.endswith("/notes.txt")
    assert [[row.number for row in group] for group in found.sharing()] == [list(numbers[:2])]


@compares
def test_the_flag_that_lives_in_the_row_and_the_one_that_lives_in_the_description(numbers):
    a, b, _ = numbers
    os.set_inheritable(b, True)
    os.set_blocking(b, False)
    found = open_files([a, b])
    assert [row.close_on_exec for row in found.rows] == [True, False]
    assert [d.blocking for d in found.descriptions] == [False]


@compares
def test_a_child_shares_the_description_of_the_row_it_inherited(numbers, child):
    found = open_files(numbers, [child])
    (inherited,) = [row for row in found.rows if row.process == child]
    assert (inherited.number, inherited.description, inherited.close_on_exec) == (numbers[0], 0, False)


def test_a_pipe_is_one_thing_with_two_descriptions_and_epolls_are_things_of_their_own():
    read, write = os.pipe()
    with open(read), open(write, "w"), select.epoll() as one, select.epoll() as two:
        found = open_files([read, write, one, two])
        assert [d.access for d in found.descriptions] == ["read", "write", "", ""]
        assert [d.thing for d in found.descriptions] == [0, 0, 1, 2]


def test_details_for_the_notebooks_to_come():
    with socket.create_server(("127.0.0.1", 0)) as listener, select.epoll() as epoll:
        epoll.register(listener, select.EPOLLIN)
        with socket.create_connection(listener.getsockname()):
            # connect() may return before the kernel has put the connection into the queue.
            assert wait_until(lambda: open_files(listener).things[0].details == ("accept queue: 1 client",))
            found = open_files([listener, epoll])
    assert found.things[1].details[0].endswith("for EPOLLIN")


def test_closed_numbers_are_left_out_and_all_means_all():
    with socket.socket() as sock:
        number = sock.fileno()
        assert number in {row.number for row in open_files().rows}
    assert open_files(number).rows == ()
    with pytest.raises(TypeError, match="object has no descriptor"):
        open_files([object()])


def test_where_the_kernel_does_not_compare_only_sockets_are_put_together(numbers, monkeypatch):
    monkeypatch.setattr(tables, "_compare", lambda *_: None)
    found = open_files(numbers)
    assert [row.description for row in found.rows] == [0, 1, 2] and not found.compared
    assert finding(found).endswith("this kernel does not say which rows share a description")
    with socket.socket() as sock, sock.dup() as copy:
        found = open_files([sock, copy])
        assert [row.description for row in found.rows] == [0, 0] and found.compared


@compares
def test_the_picture_says_the_same_in_words(numbers, child):
    a, b, c = numbers
    figure = machine(a=a, b=b, c=c, processes={"the child": child})
    about = "(file, opened to read, offset 3, O_NONBLOCK off) → file notes.txt; close-on-exec"
    assert repr(figure).splitlines() == [
        "4 rows, 2 open file descriptions, 1 file: 3 of the rows share a description.",
        f"the notebook's process: a → description 1 {about} yes",
        f"the notebook's process: b → description 1 {about} yes",
        f"the notebook's process: c → description 2 {about.replace('3', '0')} yes",
        f"the child: a → description 1 {about} no",
    ]
    bundle = figure._repr_mimebundle_()
    assert bundle["text/plain"] == repr(figure)
    png = base64.b64decode(re.search('base64,([^"]*)"', bundle["text/html"])[1])
    assert png.startswith(b"\x89PNG") and 'alt="4 rows, 2 open file' in bundle["text/html"]
    assert "the child: a → description 1" in bundle["text/html"]


def test_a_name_of_a_file_is_escaped():
    thing = Thing("file", '/x/<script>"')
    found = OpenFiles((Row(1, 3, True, 0),), (Description("file", "read", 0, True, 0),), (thing,), True)
    html = draw(found, {}, {1: "it"})._repr_mimebundle_()["text/html"]
    assert "<script" not in html and "&lt;script&gt;&quot;" in html


def test_no_text_leaves_its_box_and_no_box_covers_another(numbers, child, tmp_path):
    path = tmp_path / ("measurements-of-march" * 3)
    with path.open("w+") as wide, socket.create_server(("127.0.0.1", 0)) as listener:
        figure = machine(*numbers, listener, a_very_long_name_of_a_number=wide, processes={"the child": child}, details=True)
        figure._repr_mimebundle_()
    axes = figure.axes[0]
    boxes = [box for box in (patch.get_window_extent() for patch in axes.patches) if box.width > 0]
    assert len(boxes) >= 6 * 2 + 4 + 3
    assert [(one, two) for i, one in enumerate(boxes) for two in boxes[i + 1 :] if _overlap(one, two) > 4] == []
    texts = [text for text in axes.texts if text.get_text()]
    for text in texts:
        extent = text.get_window_extent()
        around = [box for box in boxes if box.x0 < extent.x0 < box.x1 and box.y0 < (extent.y0 + extent.y1) / 2 < box.y1]
        assert all(extent.x1 < box.x1 for box in around), text.get_text()


def _overlap(one, two) -> float:
    """The smaller side, in pixels, of the area that two boxes share."""
    return min(min(one.x1, two.x1) - max(one.x0, two.x0), min(one.y1, two.y1) - max(one.y0, two.y0))


def test_nothing_to_draw_is_one_sentence():
    with pytest.raises(ValueError, match="none of these numbers is open"):
        machine(100_000)
    with pytest.raises(TypeError, match="str has no descriptor"):
        machine("x")
