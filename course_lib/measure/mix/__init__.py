"""A mix of computing and waiting, done by threads, by processes or by coroutines: who did what, and when.

rows = run_mix(cpu=0.03, io=0.05, workers=3, by="threads")
picture(rows)                    # a lane for each worker, drawn from what it has recorded
live_mix()                       # sliders, a button, and the lanes of all three kinds below each other
"""

from .lanes import Lanes, lanes, picture
from .workers import KINDS, MOST, Span, finding, run_mix, seconds_of, together

__all__ = [
    "KINDS",
    "MOST",
    "Lanes",
    "LiveMix",
    "Span",
    "finding",
    "lanes",
    "live_mix",
    "picture",
    "run_mix",
    "seconds_of",
    "together",
]


def __getattr__(name: str) -> object:
    # ipywidgets takes long to import, and the processes that are measured do not need it.
    if name in ("LiveMix", "live_mix"):
        from . import mix_live

        return getattr(mix_live, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
