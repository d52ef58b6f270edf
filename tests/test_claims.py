"""The ledger of claims is complete, and every claim has its place in the course."""

import dataclasses
import json
import re
from collections import Counter
from pathlib import Path

import pytest
from outputs import notebooks

import course_lib
from course_lib.claims import VERDICTS, all_claims, claim
from course_lib.lesson.places import places

# Which notebook tests which claims: each claim exactly once.
MAP = {
    "01_file_descriptors": [*range(23, 26), 36, *range(43, 52)],
    "02_blocking_server": [*range(1, 18)],
    "03_nonblocking_server": [18, 19],
    "04_select": [20, 21, 22, 28, 29],
    "05_poll": [26, 27, 30, 31, 32],
    "06_epoll": [33, 34, 35, *range(37, 43)],
    "07_coroutines": [*range(52, 63)],
    "08_cpu_bound_and_io_bound": [*range(63, 72)],
}


def test_seventy_one_claims_without_a_gap():
    assert [one.id for one in all_claims()] == [f"C{n:02}" for n in range(1, 72)]


def test_verdicts():
    counts = Counter(one.verdict for one in all_claims())
    assert counts == {"true with a catch": 56, "wrong": 7, "true": 6, "outdated": 1, "left open": 1}
    assert set(counts) <= set(VERDICTS)


@pytest.mark.parametrize("one", all_claims(), ids=lambda one: one.id)
def test_every_field_says_something(one):
    for field in dataclasses.fields(one):
        if field.name not in ("implied", "often_believed", "catches"):
            assert getattr(one, field.name), field.name


def test_each_claim_is_tested_in_the_notebook_of_the_map():
    found = {}
    for one in all_claims():
        found.setdefault(one.notebook, []).append(int(one.id[1:]))
    assert found == MAP


def test_sections_and_lines_follow_the_notes():
    sections = [one.section for one in all_claims()]
    assert sections == sorted(sections) and set(sections) == set(range(1, 9))
    assert all(1 <= one.line <= 78 for one in all_claims())


@pytest.mark.parametrize("one", all_claims(), ids=lambda one: one.id)
def test_learners_see_no_name_of_an_internal_experiment_and_of_no_other_claim_the_number(one):
    text = " ".join((one.english, one.correction, one.source))
    assert not re.search(r"\b[eq]\d\d", text)
    assert text.count("`") % 2 == 0
    assert re.findall(r"\bC\d\d\b", " ".join([one.correction, one.source, *one.catches])) == []


def test_the_notes_stand_as_they_were_written():
    assert claim("C09").chinese == "由客户端不会报错"
    assert claim("C48").chinese == "sys.stdin.fileno()\n习惯上，标准输入（standard input）的文件描述符是 0"
    assert claim("C15").implied and not claim("C14").implied


def test_what_the_notes_do_not_say_is_not_laid_to_them():
    assert [one.id for one in all_claims() if one.often_believed] == ["C19", "C41", "C42", "C70"]
    assert not any(one.implied and one.often_believed for one in all_claims())


def asked():
    return [claim(id) for asks, id in places() if asks == "believe"]


def test_a_belief_says_which_catch():
    for one in asked():
        assert len(set(one.catches)) == 3 and len(one.choices) == 5
        assert one.right in one.choices
        assert all(len(catch) <= 60 and "`" not in catch for catch in one.catches)
    assert {one.verdict for one in asked()} == {"true with a catch", "wrong"}  # so that catches do not give the verdict away
    assert claim("C06").choices == ("true", "true with a catch", "wrong")


def test_neither_place_nor_length_gives_the_right_catch_away():
    with_catch = [one for one in asked() if one.verdict == "true with a catch"]
    longest = sum(one.catches[0] == max(one.catches, key=len) for one in with_catch)
    assert longest <= len(with_catch) / 2
    assert len({one.choices.index(one.right) for one in with_catch}) == 3


@pytest.mark.parametrize("unknown", ["C99", "c06", "", None, 6, []])
def test_an_unknown_id_gets_one_sentence(unknown):
    with pytest.raises(ValueError, match=r"^There is no claim .*: the claims are C01 to C71\.$"):
        claim(unknown)


def texts():
    """(file, text) of the package and of the notebooks' cells."""
    root = Path(course_lib.__file__).parent
    yield from (
        (path.name, path.read_text(encoding="utf-8")) for path in root.rglob("*") if path.suffix in (".py", ".md", ".json")
    )
    for path in notebooks():
        yield path.name, "\n".join("".join(cell["source"]) for cell in json.loads(path.read_text(encoding="utf-8"))["cells"])


def test_sources_name_pages_that_every_supported_system_has():
    """man-pages after 6.03, that of Debian 12, split proc(5) into proc_pid_fd(5) and others: where such a page is named, so is proc(5)."""
    lines = [(file, line) for file, text in texts() for line in text.splitlines()]
    assert [(file, line) for file, line in lines if re.search(r"\bproc_\w+\(5\)", line) and "proc(5)" not in line] == []
