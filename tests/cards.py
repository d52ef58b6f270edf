"""What a card shows, read without a page."""

from html.parser import HTMLParser


def picture(card) -> str:
    """The HTML of a card where no kernel runs."""
    return card._repr_mimebundle_()["text/html"]


def parts(card, kind):
    """The controls of this kind on a live card, from top to bottom."""

    def walk(widget):
        if isinstance(widget, kind):
            yield widget
        for child in getattr(widget, "children", ()):
            yield from walk(child)

    return list(walk(card.widget))


def text_of(html: str) -> str:
    """All words of some HTML."""
    return " ".join(" ".join(Page(html).all).split())


class Page(HTMLParser):
    """What HTML shows: its words, its links, and what stands behind a click. Each of its tags is closed in its turn."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.all, self.words, self.hidden, self.links, self.tags, self._open = [], [], [], [], set(), []
        self.feed(html)
        assert self._open == []

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        if tag not in ("br", "wbr"):
            self._open.append(tag)
        self.links += [value for name, value in attrs if tag == "a" and name == "href"]

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        self.all.append(data)
        if "style" not in self._open:
            hidden = "details" in self._open and "summary" not in self._open
            (self.hidden if hidden else self.words).append(data.replace("\N{NO-BREAK SPACE}", " "))

    @property
    def text(self) -> str:
        return " ".join(self.words)
