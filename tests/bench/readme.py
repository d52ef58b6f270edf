"""The part of the README that holds measured figures: a table, and the picture beside it."""

import textwrap
from pathlib import Path

from course_lib.journal import replace_file
from course_lib.measure.comparison.peers import PEERS, C

from .report import Report

ROOT = Path(__file__).resolve().parents[2]
README, PICTURE = ROOT / "README.md", ROOT / "notebooks" / "images" / "bench.png"
BEGIN, END = "<!-- bench: begin -->", "<!-- bench: end -->"
NAMES = (
    "c",
    "epoll",
    "poll",
    "select",
    "uvloop protocol",
    "coroutine",
    "coroutine, async def",
    "asyncio protocol, 4 kB",
    "threads",
    "uvloop streams",
    "asyncio streams, 4 kB",
    "asyncio streams",
    "nonblocking",
)


_AS_THEY_COME = (
    "asyncio asks for 256 kB at a time. In a small process each such read maps memory and gives it back, which is what *as they "
    "come* shows; in a process whose heap has 256 kB to spare it costs what a read of 4 kB does."
)


def why_not() -> str:
    """Why there is nothing to write to, or ""."""
    text = README.read_text(encoding="utf-8") if README.exists() else ""
    return "" if text.count(BEGIN) == text.count(END) == 1 else f"there is no README.md with the lines {BEGIN} and {END}"


def write(report: Report) -> None:
    """Replace what stands between the two lines, and the picture."""
    from . import figures

    head, _, rest = README.read_text(encoding="utf-8").partition(BEGIN)
    tail = rest.partition(END)[2]
    figure = figures.plot_report(report)
    figures.write(figure, PICTURE)
    replace_file(README, f"{head}{BEGIN}\n{text(report, figure.words.splitlines()[0])}\n{END}{tail}")


def text(report: Report, finding: str) -> str:
    """The table in Markdown, the picture (`finding` is its alternative text), and what it was measured on."""
    table, machine = report.of_50, report.machine
    rows = {row.name: ratio for row, ratio in report.ranked()}
    base = next((row.base for row, _ in report.ranked()), "")
    memory = {row.name: row.memory for row in sorted(report.idle, key=lambda row: row.idle) if row.memory is not None}
    lines = [
        f"| server | CPU time of a request, times `{base}` | added to `{base}`, times uvloop's Protocol | "
        "memory for an idle connection |",
        "| --- | ---: | ---: | ---: |",
    ]
    for name in (name for name in rows if name in NAMES):
        ratio = table.ratios.get(f"{name} / uvloop protocol")
        added = ratio.value if ratio else {C: 0.0, "uvloop protocol": 1.0}.get(name)
        own = f"**{PEERS[name].what}**" if PEERS[name].course else PEERS[name].what
        lines.append(
            f"| {own} | {_times(rows[name].value)} | {'–' if added is None else _times(added)} | {_bytes(memory.get(name))} |"
        )
    uvloop = f", uvloop {machine.uvloop}" if machine.uvloop else ""
    tied = [", ".join(PEERS[name].what for name in names if name in NAMES) for names in table.tied]
    untold = "; ".join(names for names in tied if ", " in names)
    paragraphs = [
        f"64 bytes are echoed to 50 clients; in bold, the course's own. Measured on {report.date}: {machine}{uvloop}. "
        "`make bench` measures your machine.",
        *([f"Too close to tell which of them is cheaper: {untold}."] if untold else []),
        *([_AS_THEY_COME] if "asyncio streams" in rows else []),
    ]
    wrapped = [line for text in paragraphs for line in (*textwrap.wrap(text, 118, break_on_hyphens=False), "")]
    return "\n".join(["", *lines, "", *wrapped, f"![{finding}]({PICTURE.relative_to(ROOT)})", ""])


def _times(value: float) -> str:
    return f"{value:.2f}" if value < 9.95 else f"{value:.0f}"


def _bytes(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{max(0.0, value):.0f} B" if value < 1000 else f"{value / 1000:.1f} kB"
