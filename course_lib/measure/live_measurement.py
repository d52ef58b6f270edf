"""A measurement with controls: sliders, a button that begins it, a button Stop, a line that says how far it is, a chart."""

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from html import escape

import ipywidgets

from course_lib.servers.registry import current_run
from course_lib.widgets.dress import Dress
from course_lib.widgets.routing import while_busy
from course_lib.widgets.view import close, view_of

from .work import Work

_LOOK = 0.25  # seconds between two looks at how far the measurement is

_shown: dict[tuple[type, str], "LiveMeasurement"] = {}  # by its class, and by the notebook cell that made it


class LiveMeasurement(ABC):
    """One measurement at a time, beside whatever the notebook does. A cell that is run again closes what it made before.

    A kind of it has a `_name`, for its thread and for a screen reader, a `_verb` on its button, an `_invitation` as its
    first line, and what is abstract here.
    """

    _name: str
    _verb: str
    _invitation: str

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._finished = threading.Event()
        self._finished.set()
        self._work: Work | None = None
        self._widget: ipywidgets.Widget | None = None
        self.error: Exception | None = None
        if run := current_run():
            place = type(self), run[0]
            if old := _shown.get(place):
                old.close()
            _shown[place] = self

    @abstractmethod
    def _sliders(self) -> Sequence[ipywidgets.Widget]:
        """The choices: widgets with a value."""

    @abstractmethod
    def _press(self, *values: int) -> None:
        """What the button does: begin to measure with what the sliders say."""

    @abstractmethod
    def _keep(self, rows: list) -> str:
        """Keep what was measured, and say in one sentence what it shows."""

    @abstractmethod
    def _drawn(self) -> str:
        """What has been measured so far, as HTML in the page's own colours; "" when there is nothing."""

    @abstractmethod
    def picture(self) -> str:
        """What a stored notebook shows, as HTML: what has been measured, or a sentence."""

    @property
    def busy(self) -> bool:
        """True while it is being measured."""
        return not self._finished.is_set()

    def stop(self) -> None:
        """Stop the measurement that is under way, if there is one; nothing of it is kept."""
        if self._work is not None:
            self._work.stop()

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until it is measured, at most `seconds`; False when it is not. Raises what the measurement raised."""
        finished = self._finished.wait(seconds)
        if finished and self.error:
            raise self.error
        return finished

    def close(self) -> None:
        """Stop, and take the controls out of the page."""
        self.stop()
        widget, self._widget = self._widget, None  # what is still under way finds no page to tell
        if widget is not None:
            close(widget)

    def _start(self, do: Callable[[Work], list], text: str) -> None:
        """Begin `do(work)`, show the text, and return at once. Where `work.now` says how far it is, the page says so.

        Raises RuntimeError while a measurement is under way.
        """
        with self._lock:
            if self.busy:
                raise RuntimeError("a measurement is under way: wait() for it, or stop() it")
            self.error, self._work = None, Work(do)
            self._finished.clear()
            threading.Thread(target=self._follow, args=(self._work, text), name=self._name, daemon=True).start()

    def _follow(self, work: Work, text: str) -> None:
        """The only thread that touches the controls while something is measured."""
        try:
            self._show(True, text)
            work.start()
            shown = ""
            while not work.finished.wait(_LOOK):
                if work.now != shown:
                    shown = work.now
                    self._show(True, f"{work.done / work.total:.0%}: {shown}")
            work.join()
            if work.error:
                self.error = work.error
                text = f"{type(work.error).__name__}: {work.error}"
            elif work.stopped or not work.result:
                text = "Stopped. Nothing of this measurement is kept."
            else:
                text = self._keep(work.result)
            self._show(False, text)
        finally:
            self._finished.set()

    @property
    def widget(self) -> ipywidgets.Widget:
        """The controls, the line that says how far it is, and the chart."""
        if self._widget is None:
            sliders = self._sliders()

            def click(_: object) -> None:
                try:
                    self._press(*(slider.value for slider in sliders))
                except RuntimeError:
                    pass  # a second click before the button was disabled

            self._begin = ipywidgets.Button(description=self._verb)
            self._end = ipywidgets.Button(description="Stop", disabled=True)
            self._begin.on_click(click)
            self._end.on_click(lambda _: self.stop())
            self._status, self._chart = ipywidgets.HTML(), ipywidgets.HTML()
            row = ipywidgets.HBox([*sliders, self._begin, self._end], layout={"flex_flow": "row wrap"})
            self._widget = ipywidgets.VBox([row, self._status, self._chart, Dress(name=self._name)])
            while_busy(self._widget)
            self._show(self.busy, self._invitation)
        return self._widget

    def _show(self, busy: bool, text: str) -> None:
        if self._widget is None:
            return
        self._begin.disabled, self._end.disabled = busy, not busy
        self._status.value = f"<div role='status'>{escape(text)}</div>"
        self._chart.value = self._drawn()

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict:
        return {"text/plain": repr(self), "text/html": self.picture(), **view_of(lambda: self.widget)}


def slider(numbers: Sequence[int], value: int, words: str, width: str, shown: Callable[[int], str]) -> ipywidgets.SelectionSlider:
    """A slider of some numbers; `shown` says how each is written."""
    return ipywidgets.SelectionSlider(
        options=[(shown(number), number) for number in numbers],
        value=value,
        description=words,
        style={"description_width": "initial"},
        layout={"width": width},
    )
