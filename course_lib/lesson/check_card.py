"""What a page offers below a check: whether it passed at a glance, the next hint, and the solution when it opens."""

import html

import ipywidgets
from IPython.display import display

from course_lib import exercises
from course_lib.exercises import Exercise, Result
from course_lib.widgets.view import view_of

from .card import LiveCard, box, button, code, inline, note, status


class CheckCard(LiveCard):
    """The card of one exercise. What the check found is printed above it; this only shows how it ended, and helps on."""

    def __init__(self, exercise: Exercise, state: str):
        super().__init__(f"exercise {exercise.id}", exercise.id, f"{exercise.id}: {state}", "")
        self._exercise, self._state = exercise, state

    def controls(self) -> list[ipywidgets.Widget]:
        self._hint, self._solution = button("Hint", self.hint), button("Solution", self.solution)
        self._said, self._shown = note(), note()
        self._count()
        return [box([self._hint, self._solution], "course-controls"), self._said, self._shown]

    def hint(self) -> None:
        """Show the hints that were given so far, and one more."""
        exercises.next_hint(self._exercise)
        given = self._exercise.hints[: exercises.hints_given(self._exercise)]
        listed = "".join(f"<li>{inline(one)}</li>" for one in given)
        self._said.value = status(f"<ol>{listed}</ol>")
        self._count()

    def solution(self) -> None:
        """Show the reference and why it is so, or when it opens."""
        if closed := exercises.closed(self._exercise):
            self._shown.value = status(html.escape(closed))
        else:
            why = inline(self._exercise.explanation)
            self._shown.value = status(f"{code(self._exercise.reference)}<p><b>Why:</b> {why}</p>")

    def _count(self) -> None:
        given, count = exercises.hints_given(self._exercise), len(self._exercise.hints)
        self._hint.description = f"Hint {given + 1} of {count}" if given < count else f"All {count} hints given"
        self._hint.disabled = given >= count

    def _ipython_display_(self) -> None:
        # no text/plain and no picture: what the check printed says it all where there is no page
        if view := view_of(lambda: self.widget):
            display(view, raw=True)


def show(result: Result) -> None:
    """Put the card of this result below what the check printed."""
    if result.exercise:
        display(CheckCard(result.exercise, "passed" if result.passed else "open" if result.open else "not yet"))


exercises.on_result = show
