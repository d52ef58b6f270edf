"""A pytest plugin that runs beside nbval and writes one line of JSON for each cell that begins and each that ends."""

import queue
import re
import time
from collections.abc import Iterator

import pytest
from nbval.kernel import RunningKernel
from nbval.plugin import IPyNbCell, NbCellError

from .in_kernel import note
from .validation import EVENTS

_LOOK = 0.5  # seconds between two looks at a silent kernel
_SHOWN = 60  # characters of a line of output

_get_message, _interrupt = RunningKernel.get_message, RunningKernel.interrupt


def _message_of_a_living_kernel(kernel: RunningKernel, stream: str, timeout: float | None = None) -> dict:
    """nbval waits for a message until the cell's time is up, also of a kernel that has gone."""
    until = time.monotonic() + (timeout or 3600)
    while True:
        left = until - time.monotonic()
        try:
            return _get_message(kernel, stream, max(0.0, min(_LOOK, left)))
        except queue.Empty:
            if left <= _LOOK or not kernel.is_alive():
                raise


def _interrupt_if_alive(kernel: RunningKernel) -> None:
    kernel.died = not kernel.is_alive()
    if not kernel.died:
        _interrupt(kernel)


RunningKernel.get_message, RunningKernel.interrupt = _message_of_a_living_kernel, _interrupt_if_alive


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    if isinstance(item, IPyNbCell):
        note(EVENTS, begins=item.cell_num)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo) -> None:
    if isinstance(item, IPyNbCell) and (call.when == "call" or call.excinfo):
        outcome, text = _outcome(item, call.excinfo.value) if call.excinfo else ("ok", "")
        note(EVENTS, ends=item.cell_num, outcome=outcome, text=text)


def _outcome(item: IPyNbCell, error: BaseException) -> tuple[str, str]:
    """ "differs", "raises", "hangs", "died" or "skipped", and the rest of the sentence."""
    message = str(error)
    if isinstance(error, pytest.skip.Exception):
        return "skipped", ""
    if message.startswith("Timeout"):
        return ("died" if getattr(item.parent.kernel, "died", False) else "hangs"), ""
    if "Kernel dead" in message:
        return "not run", ""
    if isinstance(error, NbCellError) and message == "Cell outputs differ":
        return "differs", _difference(item)
    errors = [output for output in item.test_outputs or [] if output.get("output_type") == "error"]
    if errors:
        # IPython's name for the cell's file means nothing to anybody
        text = re.sub(r"\(\d+\.py, (?=line \d)", "(", errors[-1]["evalue"])
        return "raises", errors[-1]["ename"] + (text and f": {text}")
    return "raises", f"{type(error).__name__}: {message}"


def _difference(item: IPyNbCell) -> str:
    reference, own = ([*_lines(item.cell.outputs)], [*_lines(item.test_outputs)])
    for ours, theirs in zip(reference + [None] * len(own), own + [None] * len(reference)):
        if ours != theirs:
            return f"prints {_quoted(theirs)}, and the course's {_quoted(ours)}"
    return "shows another picture or table than the course's"


def _lines(outputs: list[dict]) -> Iterator[str]:
    for output in outputs:
        yield from (output.get("text") or output.get("data", {}).get("text/plain") or "").splitlines()


def _quoted(line: str | None) -> str:
    return "nothing more" if line is None else repr(line[:_SHOWN] + "…" * (len(line) > _SHOWN))
