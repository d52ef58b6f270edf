"""The live descriptor table without a browser: what its buttons do is a method, what it shows is a value."""

import json
import os
import socket

import pytest
from panel_state import Page

from course_lib.kernel import open_numbers
from course_lib.widgets import process_table


@pytest.fixture
def table():
    table = process_table()
    yield table
    table.close()


class TablePage(Page):
    def hear(self, message):  # all of it each time
        self.state = message


@pytest.fixture
def page(table):
    page = TablePage(table)
    yield page
    page.leave()


def of_each(table, name, *numbers) -> list:
    """What the table says of these numbers in the column of this name."""
    rows = {row["number"]: row for row in table.state()["rows"]}
    return [rows[number][name] for number in numbers]


def test_each_thing_gets_the_lowest_free_number(table):
    free = table.free()
    assert table.open_file() == free[0] and table.pipe() == (free[1], free[2]) and table.socket() == free[3]
    table.close_number(free[1])
    assert table.free()[0] == free[1] == table.dup(free[0])


def test_dup_shares_the_description_and_a_second_open_does_not(table):
    first = table.open_file()
    copy, second = table.dup(first), table.open_file()
    assert table.read(first) == b'"""' and table.read(copy, 3) == b"The"
    assert of_each(table, "offset", first, copy, second) == [6, 6, 0]
    if table.state()["compared"]:  # kcmp(2) is allowed
        assert of_each(table, "description", copy, second) == [f"shared by {first} and {copy}", "own"]
    table.set_blocking(copy, False)
    assert of_each(table, "nonblock", first, copy, second) == [True, True, False]


def test_a_pipe_is_not_read_for_it_could_wait(table):
    end, _ = table.pipe()
    assert table.read(end) == b"" and "could wait" in table.state()["said"]


def test_only_its_own_numbers_can_be_closed(table):
    with socket.socket() as other:
        for act in (table.close_number, table.dup, table.read):
            with pytest.raises(ValueError, match="was not opened here"):
                act(other.fileno())
        assert other.fileno() in table.state()["others"]


def test_a_number_that_a_cell_closed_and_another_took_is_left_alone(table):
    number = table.socket()
    os.close(number)
    with socket.socket() as other:
        assert other.fileno() == number
        with pytest.raises(ValueError, match="was closed elsewhere"):
            table.close_number(number)
        assert other.getsockopt(socket.SOL_SOCKET, socket.SO_TYPE) == socket.SOCK_STREAM
        assert number not in table.numbers() and table.state()["rows"] == []


def test_a_new_table_closes_what_the_last_one_left(table):
    before = open_numbers()
    for _ in range(3):
        latest = process_table()
        latest.open_file(), latest.pipe(), latest.socket()
    assert len(open_numbers()) == len(before) + 4
    latest.close()
    latest.close()
    assert open_numbers() == before


def test_it_holds_a_bounded_number_of_things(table):
    with pytest.raises(ValueError, match="close some first"):
        for _ in range(50):
            table.pipe()
    assert len(table.numbers()) == 40


def test_the_buttons_do_what_the_methods_do(table, page):
    page.click("open")
    assert page.shows(lambda s: len(s["rows"]) == 1)
    number = table.numbers()[0]
    page.click("dup", number=number)
    page.click("read", number=number)
    assert page.shows(lambda s: [row["offset"] for row in s["rows"]] == [3, 3])
    page.click("nonblock", number=number)
    assert page.shows(lambda s: all(row["nonblock"] for row in s["rows"]))
    page.click("close", number=number)
    assert page.shows(lambda s: len(s["rows"]) == 1 and s["free"][0] == number)
    page.click("pipe")
    page.click("socket")
    assert page.shows(lambda s: len(s["rows"]) == 4)
    page.click("close_all")
    assert page.shows(lambda s: s["rows"] == [])


def test_it_follows_what_cells_open(table, page):
    with socket.socket() as other:
        assert page.shows(lambda s: other.fileno() in s["others"])


@pytest.mark.parametrize(
    "message", [{}, {"type": "close"}, {"type": "close", "number": "5"}, {"type": "dup", "number": 2}, {"type": "__init__"}]
)
def test_an_odd_message_harms_nothing(table, page, message):
    table._hear(table, {"view": "page", **message}, [])
    page.click("open")
    assert page.shows(lambda s: len(s["rows"]) == 1)


def test_nothing_is_sent_without_a_page(table):
    sent = []
    table.send = sent.append
    table.open_file()
    assert sent == [] and table._pump is None


def test_a_stored_table_has_a_picture_and_a_name_without_a_number(table):
    table.open_file()
    json.dumps(table.state())
    data, _ = table._repr_mimebundle_()
    assert data["text/plain"] == "process_table()"
    assert "<table" in data["text/html"] and "file" in data["text/html"]
