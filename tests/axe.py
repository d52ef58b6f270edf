"""What axe-core says of a page."""

import importlib.util
from pathlib import Path

import pytest
from playwright.sync_api import Page

_CARRIER = importlib.util.find_spec("axe_playwright_python")
needs_axe = pytest.mark.skipif(not _CARRIER, reason="axe-playwright-python is not installed: it carries axe-core")


def violations(page: Page, run: str, asked: object = None) -> list[dict]:
    """What it complains of. `run` is the JavaScript that calls axe.run with what is asked."""
    page.evaluate("script => { window.axe || (0, eval)(script); }", (Path(_CARRIER.origin).parent / "axe.min.js").read_text())
    return page.evaluate(run, asked)["violations"]
