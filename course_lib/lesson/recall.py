"""Three questions on earlier notebooks, before anything new is shown."""

import ipywidgets

from course_lib import journal

from .card import Card, LiveCard, box, button, choice, inline, json_files, mark, not_on_disk, note, status


class Recall(LiveCard):
    def __init__(self, notebook: str, questions: list[dict]):
        self._notebook, self._questions = notebook, questions
        count = len(questions)
        text = "\n".join(
            [f"Recall: {count} questions on earlier notebooks", *(f"{n}. {q['question']}" for n, q in enumerate(questions, 1))]
        )
        items = "".join(
            f"<li>{inline(q['question'])}<ul>{''.join(f'<li>{inline(o)}</li>' for o in q['options'])}</ul></li>"
            for q in questions
        )
        super().__init__("recall", notebook, text, f"<p class='course-quiet'>{_INVITATION}</p><ol>{items}</ol>")

    def controls(self) -> list[ipywidgets.Widget]:
        parts = [note(f"<div class='course course-quiet'>{_INVITATION}</div>")]
        self._open = len(self._questions)
        for number, question in enumerate(self._questions, 1):
            parts += self._ask(number, question)
        return parts

    def _ask(self, number: int, question: dict) -> list[ipywidgets.Widget]:
        options = choice([(o.replace("`", ""), n) for n, o in enumerate(question["options"])])
        result = note()

        def answer() -> None:
            if options.value is None:
                result.value = status("Choose one of the answers first.")
                return
            chosen = options.value
            right = chosen == question["answer"]
            done.button_style = ""
            options.options = [(f"{_sign(n, question['answer'], chosen)}{label}", n) for label, n in options.options]
            options.value = chosen
            options.disabled = done.disabled = True
            self._open -= 1
            if not self._open:
                self.look("kept")
            first = "Yes." if right else f"Not so. It is: “{inline(question['options'][question['answer']])}”"
            key = f"{self._notebook}.{number}"
            given = {"answer": question["options"][chosen], "right": right}
            journal.update("recall", key, lambda entry: given | {"times": entry.get("times", 0) + 1})
            result.value = status(f"{mark(right)}<b>{first}</b> {inline(question['reason'])}{not_on_disk()}")

        done = button("Answer", answer, primary=True)
        asked = note(f"<div class='course course-ask course-question'>{number}. {inline(question['question'])}</div>")
        return [asked, options, box([done], "course-controls"), result]


def _sign(option: int, right: int, chosen: int) -> str:
    return "✓ " if option == right else "≠ " if option == chosen else ""


_INVITATION = "Answer from memory, before you look anything up. The reason appears after your answer."


def recall(notebook: str) -> Card:
    """The retrieval questions at the start of a notebook, such as "02"; the answers are kept in the journal.

    Raises ValueError, with one sentence, if there are no questions for this notebook.
    """
    asked = questions().get(notebook) if isinstance(notebook, str) else None
    if asked is None:
        raise ValueError(f"There are no recall questions for notebook {notebook!r}, only for: {', '.join(questions())}.")
    if not asked:
        text = "Nothing to recall here: the course begins."
        return Card("recall", text, f"<p>{text}</p>")
    return Recall(notebook, asked)


def questions() -> dict[str, list[dict]]:
    """The questions of every notebook, by its number: a file each in `questions/`."""
    return json_files("questions")
