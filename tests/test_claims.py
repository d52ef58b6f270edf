"""The ledger of claims is complete, and every claim has its place in the course."""

import dataclasses
import re
from collections import Counter

import pytest

from course_lib.claims import VERDICTS, all_claims, claim

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
    assert counts == {"true with a catch": 54, "wrong": 9, "true": 7, "outdated": 1}
    assert set(counts) <= set(VERDICTS)


@pytest.mark.parametrize("one", all_claims(), ids=lambda one: one.id)
def test_every_field_says_something(one):
    for field in dataclasses.fields(one):
        if field.name != "implied":
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
def test_learners_see_no_name_of_an_internal_experiment(one):
    text = " ".join((one.english, one.correction, one.source))
    assert not re.search(r"\b[eq]\d\d", text)
    assert text.count("`") % 2 == 0


def test_the_notes_stand_as_they_were_written():
    assert claim("C09").chinese == "由客户端不会报错"
    assert claim("C48").chinese == "sys.stdin.fileno()\n习惯上，标准输入（standard input）的文件描述符是 0"
    assert claim("C15").implied and not claim("C14").implied


@pytest.mark.parametrize("unknown", ["C99", "c06", "", None, 6, []])
def test_an_unknown_id_gets_one_sentence(unknown):
    with pytest.raises(ValueError, match=r"^There is no claim .*: the claims are C01 to C71\.$"):
        claim(unknown)
