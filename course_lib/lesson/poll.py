"""One question with options and "how sure", and what guess and belief have in common: they come before the facts."""

import ipywidgets

from course_lib import journal

from .card import LiveCard, box, button, choice, inline, kept, not_on_disk, note, shorten, status, sure


class Poll(LiveCard):
    """Asks for one of `options`, and how sure; keeps it in the journal.

    The entry may be changed until its `_settled` field is set: from then on the facts are known.
    """

    _section: str  # of the journal
    _field: str  # of the entry: the answer
    _settled: str
    _until: str  # in words: how long it may be changed
    _after: str  # why it stays

    def __init__(self, kind: str, key: str, text: str, body: str, options: tuple[str, ...]):
        listed = "".join(f"<li>{inline(option)}</li>" for option in options)
        super().__init__(kind, key, "\n".join([text, *(f"- {o}" for o in options)]), f"{body}<ul>{listed}</ul>")
        self.options = options
        self._body, self._key = body, key

    def controls(self) -> list[ipywidgets.Widget]:
        entry = kept(self._section, self._key)
        answer = entry.get(self._field)
        self._choice = choice([(option.replace("`", ""), option) for option in self.options], answer)
        self._sure = sure(round(100 / len(self.options)), entry.get("sure"))
        self._more = self.more(entry)
        self._save = button("Save", self._keep, primary=True)
        self._note = note()
        self._show(entry)
        return [
            note(f"<div class='course'>{self._body}</div>"),
            self._choice,
            self._sure,
            box([*self._more, self._save], "course-controls"),
            self._note,
        ]

    def more(self, entry: dict) -> list[ipywidgets.Widget]:
        """Controls beside the answer."""
        return []

    def more_kept(self) -> dict:
        """What else the entry keeps."""
        return {}

    def verdict(self, entry: dict) -> str:
        """The state of the card once the facts are known."""
        raise NotImplementedError

    def settle(self) -> None:
        """The facts are known: show the journal's entry as it stands, and let it be."""
        if self._widget is not None:
            self._show(kept(self._section, self._key))

    def _keep(self) -> None:
        entry = kept(self._section, self._key)
        if self._is_settled(entry):
            return self._show(entry)  # the facts came between the learner's thought and the click
        if self._choice.value is None:
            self._note.value = status("Choose one of the answers first.")
            return
        if self._sure.value is None:
            self._note.value = status("Say how sure you are, too.")
            return
        answer = {self._field: self._choice.value, "sure": self._sure.value} | self.more_kept()
        journal.update(self._section, self._key, lambda now: {k: v for k, v in now.items() if k != self._settled} | answer)
        self._show(kept(self._section, self._key))

    def _is_settled(self, entry: dict) -> bool:
        """Whether this question, as it stands now, was answered and then tested."""
        return self._settled in entry and entry.get(self._field) in self.options

    def _show(self, entry: dict) -> None:
        answer = entry.get(self._field)
        if answer is None:
            return
        if answer not in self.options:
            self._note.value = status(
                f"You once answered “{inline(shorten(answer))}”. The question has changed since: answer it anew."
            )
            return
        settled = self._is_settled(entry)
        end = self._after if settled else self._until
        self._note.value = status(f"<b>Kept:</b> {inline(answer)}, {entry.get('sure')} % sure. {end}{not_on_disk()}")
        self._save.description, self._save.button_style = "Save again", ""
        self.look(self.verdict(entry) if settled else "kept")
        if settled:
            self._choice.value = answer
        for control in (self._choice, *self._more, self._sure, self._save):
            control.disabled = settled
