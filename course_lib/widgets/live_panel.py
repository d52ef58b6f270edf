"""What the live panels share: a page that looks at them, a thread that looks at the kernel meanwhile, and a still for elsewhere."""

import queue
import threading
import time
from abc import abstractmethod
from typing import Any

import traitlets

from .routing import while_busy
from .view import PageWidget

UNSEEN = 30.0  # seconds without a sign of life from the page, after which nothing is looked at or sent


class LivePanel(PageWidget):
    """A widget whose thread runs while a page shows it. `state()` is what it shows, as a plain value."""

    shown = traitlets.Dict().tag(sync=True)  # the state at the time of making: what a page shows before the first message
    _thread = "panel"  # the name of its thread
    columns: traitlets.List[list] = traitlets.List().tag(sync=True)  # of its table: (key, title, meaning, is it always shown)

    def __init__(self, **traits: Any) -> None:
        self._events: queue.SimpleQueue = queue.SimpleQueue()
        self._pump: threading.Thread | None = None
        self._starting = threading.Lock()  # around the birth and the end of the pump
        self._views: set[str] = set()
        super().__init__(shown=self.state(), **traits)
        self.on_msg(self._hear)
        while_busy(self)

    @abstractmethod
    def state(self) -> dict:
        """All that it shows, as JSON-ready values."""

    @abstractmethod
    def picture(self) -> str:
        """The same as static HTML."""

    @abstractmethod
    def _run(self) -> None:
        """Do what the page asks, look at the kernel, send what changed; end, with `_pump` None, when no page looks on."""

    @abstractmethod
    def _click(self, kind: str, message: dict) -> None:
        """Do what somebody has clicked."""

    @abstractmethod
    def _fail(self, error: Exception) -> None:
        """Show the person who clicked what came of it."""

    def _act(self, message: dict) -> None:
        """Do what a message of the page says."""
        kind, view = str(message.get("type")), str(message.get("view"))
        if kind in ("ready", "alive"):
            self._views.add(view)
        elif kind == "gone":
            self._views.discard(view)
        else:
            try:
                self._click(kind, message)
            except Exception as error:  # the pump goes on
                self._fail(error)

    def _is_over(self, heard: float) -> bool:
        """Has the pump ended? It does when no page looks on, or all are silent; `heard`: when one said something (monotonic())."""
        if time.monotonic() - heard > UNSEEN:
            self._views.clear()
        with self._starting:
            if self._views or not self._events.empty():
                return False
            self._pump = None
            return True

    def _hear(self, _widget: object, message: dict, _buffers: object) -> None:
        """Take a message of the page. It is only queued: all widgets share one thread for callbacks."""
        self._events.put(message)
        with self._starting:
            if self._pump is None or not self._pump.is_alive():
                self._pump = threading.Thread(target=self._run, name=self._thread, daemon=True)
                self._pump.start()

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict, dict]:
        still = {"text/plain": repr(self), "text/html": self.picture()}
        if self.comm is None:
            return still, {}
        bundle = super()._repr_mimebundle_(**kwargs)
        data, metadata = bundle if isinstance(bundle, tuple) else (bundle, {})
        return {**(data or {}), **still}, metadata
