"""The ledger: each sentence of the lecture notes, and what the kernel says of it."""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

VERDICTS = ("true", "true with a catch", "wrong", "outdated", "left open")


@dataclass(frozen=True)
class Claim:
    """One sentence of the notes with its verdict.

    `chinese` is the sentence as it stands in the notes, mistakes included; for a claim that is implied, or often
    believed, it is the line that it hangs on. `english` and `correction` may hold `code` in backticks.
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
    often_believed: bool = False  # no line of the notes says it; many who learn from such notes believe it
    catches: tuple[str, ...] = ()  # three to choose from; of a claim that is true with a catch the first is the right one

    @property
    def choices(self) -> tuple[str, ...]:
        """What somebody may believe of the sentence. Catches are in alphabetical order, so their place tells nothing."""
        return ("true", *(_but(one) for one in sorted(self.catches, key=str.lower)), "wrong") if self.catches else VERDICTS[:3]

    @property
    def right(self) -> str:
        """The choice that the tests bear out: of `choices`, or "outdated" or "left open"."""
        return _but(self.catches[0]) if self.catches and self.verdict == "true with a catch" else self.verdict

    def agrees(self, belief: str) -> bool:
        """Whether the tests bear this belief out; who doubts an outdated sentence is right to."""
        return belief in (self.right, self.verdict) or self.verdict == "outdated" and belief != "true"


def _but(catch: str) -> str:
    return f"true, but {catch}"


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
            **entry | {"catches": tuple(entry.get("catches", ()))},
        )
        for entry in data["claims"]
    )
    return {one.id: one for one in claims}
