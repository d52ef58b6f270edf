"""What a page looks like, read so that it may draw itself anew at any time.

Boxes are compared only if they are of one moment, and what `expect` has no word for is asked again until it holds.
"""

import contextlib
import time
from collections.abc import Callable
from typing import TypeVar

from playwright.sync_api import Locator, Page
from real_lab import PATIENCE

Asked = TypeVar("Asked")

# The boxes of all that is drawn of each part, once a frame has changed nothing and no part is on its way to another place.
_BOXES = """async (root, parts) => {
    const read = () => Object.fromEntries(Object.entries(parts).map(([name, selector]) => [name, [...root.querySelectorAll(selector)]
        .map(part => ({ ...part.getBoundingClientRect().toJSON(), text: part.textContent })).filter(box => box.width && box.height)]));
    for (let before = null; ; ) {
        await new Promise(requestAnimationFrame);
        const moves = root.getAnimations({ subtree: true }).filter(one => !(one instanceof CSSAnimation));
        await Promise.allSettled(moves.map(one => one.finished));
        const now = JSON.stringify(read());
        if (!moves.length && now === before) return JSON.parse(now);
        before = now;
    }
}"""

# Of the text to what is behind it (WCAG 2.1, contrast ratio).
_CONTRAST = """element => {
    const canvas = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
    const rgba = color => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1);
                            return [...canvas.getImageData(0, 0, 1, 1).data]; };
    const light = ([r, g, b]) => [r, g, b].map(v => v / 255).map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
        .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
    const grounds = [];
    for (let e = element; e; e = e.parentElement) grounds.push(rgba(getComputedStyle(e).backgroundColor));
    const over = ([r, g, b, a], under) => [r, g, b].map((v, i) => (v * a + under[i] * (255 - a)) / 255);
    const ground = grounds.reduceRight((under, top) => over(top, under), [255, 255, 255]);
    const [a, b] = [light(over(rgba(getComputedStyle(element).color), ground)), light(ground)].sort((x, y) => y - x);
    return (a + 0.05) / (b + 0.05);
}"""


class Box:
    """Where a part is drawn, in pixels of the window, and its text."""

    def __init__(self, x: float, y: float, width: float, height: float, text: str, **edges: float) -> None:
        self.left, self.top, self.width, self.height, self.text = x, y, width, height, text
        self.right, self.bottom = x + width, y + height
        self.middle = x + width / 2, y + height / 2

    def __repr__(self) -> str:
        return f"{self.text[:20]!r} at {self.left:.0f}, {self.top:.0f}, {self.width:.0f} by {self.height:.0f}"


def boxes(root: Locator, **parts: str) -> dict[str, list[Box]]:
    """The boxes of the parts of `root` (CSS selectors), all of one moment at which nothing moves."""
    return {name: [Box(**box) for box in found] for name, found in root.evaluate(_BOXES, parts).items()}


def expect_places(root: Locator, holds: Callable[..., bool], **parts: str) -> None:
    """Wait until `holds` is true of the boxes of the parts, a list of them for each name. There may be fewer than it unpacks."""

    def placed(found: dict[str, list[Box]]) -> bool:
        with contextlib.suppress(ValueError):
            return holds(**found)
        return False

    at_last(root.page, lambda: boxes(root, **parts), placed)


def expect_fits(part: Locator) -> None:
    """Wait until nothing in it is wider than it is."""
    at_last(part.page, lambda: part.evaluate("part => part.scrollWidth - part.clientWidth"), lambda more: more <= 0)


def expect_contrast(part: Locator, least: float) -> None:
    """Wait until its text stands out from its ground so much: 4.5 to 1 is asked for (WCAG 2.1, 1.4.3)."""
    at_last(part.page, lambda: part.evaluate(_CONTRAST), lambda ratio: ratio >= least)


def at_last(page: Page, ask: Callable[[], Asked], holds: Callable[[Asked], object]) -> Asked:
    """Ask anew at each frame of the page until `holds` is true of the answer; returns that one."""
    end = time.monotonic() + PATIENCE / 1000
    while not holds(answer := ask()):
        assert time.monotonic() < end, f"it is still {answer}"
        page.evaluate("() => new Promise(frame => requestAnimationFrame(() => frame()))")
    return answer
