"""Still pictures: all have a size and an ink that can be read, in a light theme and in a dark one."""

import os
from types import SimpleNamespace

import numpy
import pytest
from bench.figures import plot_report
from bench.report import Report
from bench.side_by_side import Comparison, Served
from matplotlib.colors import to_rgb
from matplotlib.text import Text

from course_lib.kernel import Call
from course_lib.measure.comparison import Row
from course_lib.measure.comparison.figure import plot_servers
from course_lib.measure.comparison.spread import Spread
from course_lib.measure.figures import plot_ladder, plot_ready, plot_waiting
from course_lib.measure.ladder import Rung
from course_lib.measure.mix import Span, picture
from course_lib.measure.palette import ON_WHITE
from course_lib.measure.waiting import Cost
from course_lib.widgets import machine, timeline
from course_lib.widgets.picture import picture_html
from course_lib.widgets.still import LEAST, TURNED

CELL = 700  # pixels: a picture in an output of JupyterLab in a page of 900, its side bar closed
DARK = (0x11 / 255,) * 3  # the ground of JupyterLab's dark theme
HUE_TURNED = numpy.array([[-0.574, 1.43, 0.144], [0.426, 0.43, 0.144], [0.426, 1.43, -0.856]])  # by 180°: filter-effects-1, 8.3


def _timeline():
    calls = [Call("accept", 5, 0.0, 2.0, 6, None), Call("recv", 6, 2.0, 0.0, 5, None)]
    return timeline(SimpleNamespace(calls=lambda: calls))


def _machine():
    read, write = os.pipe()
    with open(read), open(write, "w"):
        return machine(r=read, w=write)


def _report():
    rows = [
        Row(name, name, cost, cost, cost, "c", 1)
        for name, cost in (("epoll", Spread(2.0, 1.9, 2.1)), ("poll", Spread(3.0, 3, 3)))
    ]
    return plot_report(Report(servers=[Comparison(50, [Served(row, 1) for row in rows])]))


FIGURES = {
    "timeline": _timeline,
    "machine": _machine,
    "report": _report,
    "waiting": lambda: plot_waiting([Cost("poll", 10, 1, 1.0, 0.9, 1.1), Cost("poll", 100, 1, why_not="refused")]),
    "ready": lambda: plot_ready([Cost("poll", 10, 10, 1.0, 0.9, 1.1)]),
    "ladder": lambda: plot_ladder([Rung("PollServer", 0, 20, 3.0, 2.9, 3.1, 1.0), Rung("PollServer", 9, 20, why_not="ended")]),
    "compare": lambda: plot_servers([Row("c", "C", Spread(2.0, 1.9, 2.1), base="c"), Row("uvloop", "uvloop", note="missing")]),
}


def turned(colour) -> numpy.ndarray:
    """What the filter of a dark theme makes of a colour, as the CSS standard has it."""
    rgb = numpy.array(to_rgb(colour))
    return numpy.clip(HUE_TURNED @ (TURNED * (1 - rgb) + (1 - TURNED) * rgb), 0, 1)


def contrast(one, other) -> float:
    """Of two colours, as WCAG 2 has it."""

    def light(colour) -> float:
        rgb = numpy.array(to_rgb(colour))
        return 0.05 + numpy.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4) @ (0.2126, 0.7152, 0.0722)

    return max(light(one), light(other)) / min(light(one), light(other))


@pytest.mark.parametrize("make", FIGURES.values(), ids=FIGURES)
def test_a_figure_stands_on_white_and_its_type_is_ten_pixels_high_where_it_is_narrowest(make):
    figure = make()
    assert figure.get_facecolor() == (1, 1, 1, 1)
    wide = figure.get_figwidth() * figure.dpi
    assert figure.least < wide < 1.02 * CELL  # in a page of 900 pixels it is as good as never made smaller
    texts = [text for text in figure.findobj(Text) if text.get_text() and text.get_visible()]
    assert texts
    for text in texts:
        assert text.get_fontsize() / 72 * figure.dpi * figure.least / wide >= 10, text
        assert contrast(text.get_color(), "white") >= 4.5 and contrast(turned(text.get_color()), DARK) >= 4.5, text


@pytest.mark.parametrize("name", ["waiting", "ready", "ladder"])
def test_a_measured_figure_is_seen_whole_beside_the_panel(name):
    figure = FIGURES[name]()
    assert f"min-width: {figure.least}px" in figure._repr_mimebundle_()["text/html"]
    assert figure.least < figure.get_figwidth() * figure.dpi <= 490  # what a cell has then, in a page of 1280


def test_in_a_dark_theme_white_is_the_page_and_every_ink_stands_out():
    assert contrast(turned("white"), DARK) < 1.02
    for ink in ON_WHITE:
        assert contrast(ink, "white") >= 4.5 and contrast(turned(ink), DARK) >= 4.5


def test_every_still_picture_follows_the_theme_without_javascript():
    state = {"server": None, "process": "", "note": "", "rows": [], "hidden": 0, "tasks": None}
    spans = picture([Span("threads", 0, 0.0, 0.5, "cpu")])
    for html, least in (
        (_timeline()._repr_mimebundle_()["text/html"], LEAST),
        (spans._repr_mimebundle_()["text/html"], 445),  # 490 pixels wide, its smallest type has 11
        (picture_html(state, b"a picture", "words"), LEAST),
    ):
        assert html.count('class="course-figure"') == html.count("<img") == 1 and "<script" not in html
        assert f"min-width: {least}px" in html and "max-width: 100%" in html
        rule = html[html.index("<style>") : html.index("</style>")]
        assert '[data-jp-theme-light="false"]' in rule and f"invert({TURNED}) hue-rotate(180deg)" in rule
