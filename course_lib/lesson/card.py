"""The card: what a lesson function returns, as plain text, as a static picture and, when it asks something, live."""

import html
import json
import re
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast

import ipywidgets
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer
from pygments.token import STANDARD_TYPES

from course_lib import journal
from course_lib.widgets.dress import Dress
from course_lib.widgets.routing import while_busy
from course_lib.widgets.view import close, view_of

# How one is doing: a sign, a word and a colour (in style.css) each.
STATES = {
    "open": "○ open",
    "kept": "● kept",
    "right": "✓ as you said",
    "surprise": "≠ a surprise",
    "undecided": "… undecided",
    "solved": "✓ solved",
    "passed": "✓ passed",
    "done": "✓ done",
    "not yet": "≠ not yet",
}


class Card:
    """A static card. `text` and `body` (HTML, already escaped) must not depend on time or addresses."""

    def __init__(self, kind: str, text: str, body: str, state: str = ""):
        self._text = text
        self._html = f"{style('style.css')}<div class='course{_look(state)}'>{label(kind, state)}{unbroken(body)}</div>"

    def __repr__(self) -> str:
        return self._text

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict:
        return {"text/plain": self._text, "text/html": self._html}


class _Dress(Dress):
    _css = Path(__file__).with_name("controls.css")  # in the page for good: the card itself may be scrolled out of it


_Kind = TypeVar("_Kind", bound="LiveCard")
_live: dict[tuple[type, str], "LiveCard"] = {}  # the live cards of this kernel, by their class and key


def live(kind: type[_Kind], key: str) -> _Kind | None:
    """The card that a cell has made for this question, if one has in this kernel."""
    return cast(_Kind | None, _live.get((kind, key)))


class LiveCard(Card):
    """A card with controls. The static picture stays beside them, for a notebook opened without a kernel.

    A new card for the same question closes the controls of the old one: running a cell twice leaves nothing.
    """

    def __init__(self, kind: str, key: str, text: str, body: str):
        super().__init__(kind, text, f"{body}<p class='course-quiet'>Stored: run this cell to answer.</p>")
        self._kind = kind
        self._state = "open"
        self._widget = None
        if old := live(type(self), key):
            old.close()
        _live[type(self), key] = self

    def controls(self) -> list[ipywidgets.Widget]:
        """The parts of the live card, from top to bottom. Called once, when the card is first shown."""
        raise NotImplementedError

    @property
    def widget(self) -> ipywidgets.Widget:
        if self._widget is None:
            self._head = note()
            self._widget = box([self._head, *self.controls(), _Dress(name=self._kind)], "course-card")
            self.look(self._state)
            while_busy(self._widget)
        return self._widget

    def look(self, state: str) -> None:
        """Show this one of `STATES` in the head and the colour of the card."""
        if self._widget is not None:
            self._head.value = f"{style('style.css')}<div class='course'>{label(self._kind, state)}</div>"
            self._widget.remove_class(_look(self._state).strip())
            self._widget.add_class(_look(state).strip())
        self._state = state

    def close(self) -> None:
        if self._widget is not None:
            close(self._widget)

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict:
        return super()._repr_mimebundle_(include, exclude) | view_of(lambda: self.widget)


def kept(section: str, key: str) -> dict:
    """The journal's entry, or `{}`."""
    return journal.read().get(section, {}).get(key, {})


def not_on_disk() -> str:
    """What a card adds to "kept" while the journal cannot be written (a callback's print is seen nowhere), as HTML."""
    why = journal.trouble()
    return f" <b>{html.escape(why)}</b>" if why else ""


# ── text as HTML ──

_FORMATTER = HtmlFormatter(nowrap=True, classprefix="course-")
_INDENT, _APART = re.compile(r"^((?:<[^>]+>)*)( +)"), r"\1<span class='course-indent'>\2</span>"  # a line is not broken behind it


def inline(text: str) -> str:
    """Escape `text`; `code` in backticks becomes code, and lines are joined by a break."""
    escaped = html.escape(text, quote=True)
    return re.sub(r"`([^`\n]+)`", r"<code>\1</code>", escaped).replace("\n", "<br>")


_UNIT = re.compile(r"(?<=\d) (?=(?:%|[mµ]?s|[kMG]?B|bytes|minutes|seconds|of \d+)(?!\w))|(?<=\d of) (?=\d)")
_NOT_WORDS = re.compile(r"(<pre.*?</pre>|<code.*?</code>|<[^>]*>)", re.DOTALL)


def unbroken(markup: str) -> str:
    """HTML in which no line ends between a number and its unit, or inside of “1 of 3”. Code stays as it is."""
    parts = _NOT_WORDS.split(markup)
    return "".join(part if number % 2 else _UNIT.sub("\N{NO-BREAK SPACE}", part) for number, part in enumerate(parts))


_JOINT = re.compile(r"<[^>]*>|&[^;]*;|(\.(?!\d))|([(\[](?![)\]]))")


def breakable(markup: str) -> str:
    """Code as HTML in which a line that is too long ends before a dot or behind a bracket, and not inside of a name."""
    return _JOINT.sub(lambda found: f"<wbr>{found[1]}" if found[1] else f"{found[2]}<wbr>" if found[2] else found[0], markup)


def label(text: str, state: str = "") -> str:
    told = f" <b class='course-state'>{STATES[state]}</b>" if state else ""
    return f"<div class='course-label'>{html.escape(text)}{told}</div>"


def _look(state: str) -> str:
    """The class of this state's colour, with a space before it."""
    return f" course-{state.replace(' ', '-')}" if state else ""


def mark(right: bool) -> str:
    """A sign in front of "right" or "not so", as HTML, so that they differ by shape and colour, not by words alone."""
    return (
        f"<b aria-hidden='true' class='course-mark {'course-right' if right else 'course-surprise'}'>{'✓' if right else '≠'}</b> "
    )


def code(source: str) -> str:
    """Python in the colours of JupyterLab's editor. Where a line is broken, the rest stands below its first word."""
    lines = source.strip("\n").split("\n")
    rows = (
        f"<span class='course-row' style='--indent: {len(line) - len(line.lstrip())}ch'>{breakable(_INDENT.sub(_APART, row))}\n</span>"
        for line, row in zip(lines, highlight(source, PythonLexer(), _FORMATTER).split("\n"))
    )
    return f"<pre class='course-code'>{''.join(rows)}</pre>"


def code_line(source: str) -> list[tuple[str, str]]:
    """The words of one line, without its indentation: (the class that colours it, or "", the text)."""
    words = [(STANDARD_TYPES.get(kind, ""), text.rstrip("\n")) for kind, text in PythonLexer().get_tokens(source.strip())]
    return [(name and f"course-{name}", text) for name, text in words if text]


def pair(left: str, right: str, rows: Iterable[tuple[str, str]]) -> str:
    """A table of two columns, from HTML."""
    body = "".join(f"<tr><td>{one}</td><td>{other}</td></tr>" for one, other in rows)
    heads = f"<th scope='col'>{left}</th><th scope='col'>{right}</th>"
    return f"<table class='course-pair'><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>"


def shorten(text: str, length: int = 200) -> str:
    text = " ".join(text.split())
    return text if len(text) <= length else text[: length - 1] + "…"


@cache
def json_files(folder: str) -> dict[str, Any]:
    """What the files of a folder beside this one hold, by their names: ``{"00": …}``."""
    files = sorted(Path(__file__).with_name(folder).glob("*.json"))
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in files}


@cache
def style(file: str) -> str:
    """A style sheet of this folder as an element, without its comments and line breaks."""
    css = re.sub(r"/[*].*?[*]/", "", Path(__file__).with_name(file).read_text(encoding="utf-8"), flags=re.DOTALL)
    return f"<style>{' '.join(css.split())}</style>"


# ── controls in the course's dress ──


def note(value: str = "") -> ipywidgets.HTML:
    """A line of HTML, already escaped."""
    widget = ipywidgets.HTML(unbroken(value))
    widget.add_class("course-note")
    return widget


def status(text: str) -> str:
    """Words that a screen reader says aloud when they appear."""
    return f"<div class='course course-status' role='status'>{unbroken(text)}</div>"


def choice(options: list[tuple[str, Any]], chosen: object = None, **more: Any) -> ipywidgets.RadioButtons:
    """Radio buttons: (what one reads, its value). None of them is chosen where nobody has chosen one of these."""
    values = [value for _, value in options]
    widget = ipywidgets.RadioButtons(options=options, value=chosen if chosen in values else None, **more)
    widget.add_class("course-choice")
    return widget


def box(children: list[ipywidgets.Widget], name: str) -> ipywidgets.Box:
    widget = ipywidgets.Box(children)
    widget.add_class(name)
    return widget


def button(text: str, action: Callable[[], object], primary: bool = False) -> ipywidgets.Button:
    """`primary`: it is what the card is for."""
    widget = ipywidgets.Button(description=text, button_style="primary" if primary else "")
    widget.add_class("course-button")
    widget.on_click(lambda _: action())
    return widget


def sure(chance: int, said: object = None) -> ipywidgets.RadioButtons:
    """How sure, in per cent, from mere chance upwards. Without a default: what nobody chose would say nothing."""
    levels = [(f"{level}\N{NO-BREAK SPACE}%", level) for level in sorted({chance, 50, 70, 90, 100})]
    widget = choice(levels, said, description="how sure", orientation="horizontal")
    widget.add_class("course-sure")
    return widget
