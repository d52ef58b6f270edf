"""The ledger: each sentence of the lecture notes, and what the kernel says of it."""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

VERDICTS = ("true", "true with a catch", "wrong", "outdated")


@dataclass(frozen=True)
class Claim:
    """One sentence of the notes with its verdict.

    `chinese` is the sentence as it stands in the notes, mistakes included; for an implied claim it is
    the line that it hangs on. `english` and `correction` may hold `code` in backticks.
    """

    id: str  # "C01" … "C71"
    section: int  # section of the notes, 1 … 8
    section_chinese: str
    section_english: str
    line: int  # first line in the Chinese notes
    chinese: str
    english: str
    implied: bool
    verdict: str  # one of VERDICTS
    correction: str
    source: str  # man page, PEP, RFC or documentation that settles it
    notebook: str  # the one notebook that tests it


def claim(id: str) -> Claim:
    """The claim with this id, such as "C06". Raises ValueError, with one sentence, if there is none."""
    try:
        return _ledger()[id]
    except (KeyError, TypeError):
        first, *_, last = _ledger()
        raise ValueError(f"There is no claim {id!r}: the claims are {first} to {last}.") from None


def all_claims() -> list[Claim]:
    """All claims in the order of the notes' sections."""
    return list(_ledger().values())


@cache
def _ledger() -> dict[str, Claim]:
    data = json.loads(Path(__file__).with_name("ledger.json").read_text(encoding="utf-8"))
    titles = {section["number"]: section for section in data["sections"]}
    claims = (
        Claim(
            section_chinese=titles[entry["section"]]["chinese"],
            section_english=titles[entry["section"]]["english"],
            **entry,
        )
        for entry in data["claims"]
    )
    return {one.id: one for one in claims}
