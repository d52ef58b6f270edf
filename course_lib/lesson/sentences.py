"""A sentence of the notes: believed or doubted, tested, judged, and written anew."""

import html

import ipywidgets

from course_lib import journal
from course_lib.claims import Claim, claim

from .card import Card, LiveCard, box, button, inline, kept, live, mark, not_on_disk, note, pair, status, sure, unbroken
from .places import Place, places
from .poll import Poll

SECTION = "sentences"
_WRITE = "<p class='course-question'>Write this sentence anew, so that it is true.</p>"


class Belief(Poll):
    _section, _field, _settled = SECTION, "belief", "tested"
    _until = "You can change it until the sentence has been tested."
    _after = "The sentence has been tested, so your first answer stays."

    def __init__(self, one: Claim):
        self._claim = one
        kind = "often believed" if one.often_believed else "the notes say"
        super().__init__(kind, one.id, f"{one.id}: {_plain(one)}", _sentence(one), one.choices)

    def verdict(self, entry: dict) -> str:
        return "right" if self._claim.agrees(entry["belief"]) else "surprise"


def believe(id: str) -> Belief:
    """Ask whether the notes' sentence is true, before it is tested; of some sentences, with which catch.

    Raises ValueError for an unknown id.
    """
    return Belief(claim(id))


def verdict(*ids: str) -> Card:
    """What the tests say of these claims, beside the notes' sentences. Raises ValueError for an unknown id."""
    claims = [claim(id) for id in ids]
    if not claims:
        raise ValueError('verdict() needs at least one claim, such as verdict("C06").')
    for one in claims:
        _settle(one)
    text = "\n".join(f"{one.id}: {one.right}. {_plain(one)}" for one in claims)
    return Card("verdict", text, "".join(_judged(one) for one in claims))


def _settle(one: Claim) -> None:
    """The verdict is about to be shown: from now on the first belief stays."""
    entry = kept(SECTION, one.id)
    if "belief" in entry and "tested" not in entry:
        journal.update(SECTION, one.id, lambda now: now | {"tested": True})
        if shown := live(Belief, one.id):
            shown.settle()


class Rewrite(LiveCard):
    def __init__(self, one: Claim):
        self._claim = one
        text = f"Write {one.id} anew so that it is true. {_plain(one)}"
        super().__init__("write it anew", one.id, text, _sentence(one) + _WRITE)

    def controls(self) -> list[ipywidgets.Widget]:
        entry = kept(SECTION, self._claim.id)
        self._own = ipywidgets.Textarea(
            value=entry.get("rewritten", ""),
            description="your sentence",
            placeholder="Write it so that it is true.",
            rows=3,
            continuous_update=False,
        )
        self._own.add_class("course-text")
        self._save = button("Save", self._keep, primary=True)
        self._ledger = note()
        self._sure = sure(50, entry.get("sure_after"))
        self._done = button("Keep", self._keep_sure, primary=True)
        self._after = box(
            [note("<div class='course'>And now: is your sentence true?</div>"), self._sure, self._done], "course-controls"
        )
        self._note = note()
        self._show(entry)
        return [
            note(f"<div class='course'>{_sentence(self._claim)}{_belief(entry)}{_WRITE}</div>"),
            self._own,
            box([self._save], "course-controls"),
            self._ledger,
            self._after,
            self._note,
        ]

    def _keep(self) -> None:
        text = self._own.value.strip()
        if not text:
            self._note.value = status("Write a sentence first.")
            return
        _settle(self._claim)
        journal.update(SECTION, self._claim.id, lambda entry: entry | {"rewritten": text})
        self._show(kept(SECTION, self._claim.id))

    def _keep_sure(self) -> None:
        if self._sure.value is None:
            self._note.value = status("Say how sure you are first.")
            return
        journal.update(SECTION, self._claim.id, lambda entry: entry | {"sure_after": self._sure.value})
        self._show(kept(SECTION, self._claim.id))

    def _show(self, entry: dict) -> None:
        """The ledger's wording appears only beside a sentence of the learner's own."""
        written = entry.get("rewritten")
        self._after.layout.display = None if written else "none"
        if not written:
            return
        self._save.description, self._save.button_style = "Save again", ""
        beside = f"<div class='course-long'>{html.escape(written)}</div>", _tested(self._claim, "<br>")
        table = pair("Your sentence", "What the tests say of the notes' sentence", [beside])
        self._ledger.value = unbroken(f"<div class='course'>{table}</div>")
        words = f"Your sentence is saved.{not_on_disk()}"
        if "sure_after" in entry:
            self.look("kept")
            words = f"<b>Kept.</b>{not_on_disk()} You are {html.escape(str(entry['sure_after']))} % sure of your sentence now."
            if "belief" in entry:
                words += f" At the start: “{html.escape(str(entry['belief']))}”, {html.escape(str(entry.get('sure')))} % sure."
        self._note.value = status(words)


def rewrite(id: str) -> Rewrite:
    """Ask for the notes' sentence anew, so that it is true; then show the ledger's wording beside it.

    Raises ValueError for an unknown id.
    """
    return Rewrite(claim(id))


def rewritten() -> Card:
    """The sentences of the notes that the course asks to write anew, each beside the learner's own.

    Those that are not written yet are listed too, with a link to their place; the tests' wording stands only beside
    a sentence of the learner's own.
    """
    where, own = places(), {id: entry for id, entry in journal.read().get(SECTION, {}).items() if entry.get("rewritten")}
    asked = [key for asks, key in where if asks == "rewrite"]
    claims = [claim(id) for id in dict.fromkeys([*asked, *sorted(own)])]
    written = [one for one in claims if one.id in own]
    head = f"{len(written)} of {len(claims)} sentences are written anew."
    lines = [head]
    for one in claims:
        lines += [
            f"{one.id}: {_plain(one)}",
            f"  you: {own[one.id]['rewritten']}" if one.id in own else f"  not yet: {one.notebook}",
        ]
    table = pair("The notes", "You", [(_sentence(one), _own(one, own.get(one.id), where)) for one in claims])
    return Card("the notes, and you", "\n".join(lines), f"<p>{head}</p>{table}")


def _own(one: Claim, entry: dict | None, where: dict[tuple[str, str], Place]) -> str:
    place = where.get(("rewrite", one.id))
    if entry is None:
        name = html.escape(one.notebook)
        link = f"<a href='{html.escape(place.notebook, quote=True)}'>{name}</a>, {inline(place.part)}" if place else name
        return f"<span class='course-quiet'>Not written yet: {link}</span>"
    before, after = entry.get("sure"), entry.get("sure_after")
    words = f"You believed “{html.escape(str(entry['belief']))}”, {html.escape(str(before))} % sure" if "belief" in entry else ""
    if after is not None:
        words += f"{'; of your own you are' if words else 'You are'} {html.escape(str(after))} % sure" + " of it" * (not words)
    return (
        f"<div class='course-long'>{html.escape(entry['rewritten'])}</div>"
        + f"<p class='course-quiet'>{words}.</p>" * bool(words)
        + f"<details><summary>what the tests say</summary>{_tested(one)}</details>"
    )


def _tested(one: Claim, between: str = " ") -> str:
    """What the tests say, and where that stands."""
    source = f"<span class='course-quiet'>{inline(one.source)}</span>"
    return f"<b>{inline(one.right)}.</b>{between}{inline(one.correction)}<br>{source}"


def _plain(one: Claim) -> str:
    english = one.english.replace("`", "")
    if one.often_believed:
        return f"{english} (often believed)"
    return f"{one.chinese.replace(chr(10), ' ')} · {english}{' (implied)' * one.implied}"


def _sentence(one: Claim) -> str:
    if one.often_believed:
        said = " <span class='course-quiet'>(often believed; the notes do not say it)</span>"
    else:
        said = (
            f" <span lang='zh'>{inline(one.chinese)}</span>"
            + " <span class='course-quiet'>(implied by this line)</span>" * one.implied
        )
    return (
        f"<blockquote class='course-notes'><span class='course-quiet'>{one.id}</span>{said}<br>{inline(one.english)}</blockquote>"
    )


def _belief(entry: dict) -> str:
    if "belief" not in entry:
        return ""
    return (
        f"<p class='course-quiet'>At the start you said: “{html.escape(str(entry['belief']))}”, "
        f"{html.escape(str(entry.get('sure')))} % sure.</p>"
    )


def _judged(one: Claim) -> str:
    belief = kept(SECTION, one.id).get("belief")
    believed = f"<p>{mark(one.agrees(belief))}You said: {inline(belief)}.</p>" if belief else ""
    return (
        f"<div class='course-judged'>{_sentence(one)}{believed}"
        f"<p><b class='course-verdict'>{inline(one.right)}.</b> {inline(one.correction)}</p>"
        f"<p class='course-quiet'>Source: {inline(one.source)}</p></div>"
    )
