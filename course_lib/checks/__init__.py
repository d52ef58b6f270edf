"""What an exercise asks for, tried out: one module a notebook or exercise, and the vocabulary that they share.

The first half of a check runs here, the second, beside the learner's code, in a process of its own. That process imports
this package too: so nothing is loaded before it is asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from course_lib.sandbox.attempt import Attempt

# notebook -> the modules that have its checks, each in its table CHECKS
_MODULES = {
    "1": ("descriptors", "leaks"),
    "2": ("make_listener", "lines", "blocking"),
    "3": ("try_calls", "conn", "busy_server"),
    "4": ("selecting", "chat"),
    "5": ("polling",),
    "6": ("epolling", "bugs"),
    "7": ("coroutines", "waits", "event_loop", "web"),
    "8": ("cpu_io", "offload"),
    "9": ("redis_protocol", "prefork", "hand_over", "time_limit"),
}


def check_of(id: str) -> Callable[[Attempt], None]:
    """The check of this exercise: it gets an `Attempt` and raises `Wrong` at the first failure that makes later ones meaningless.

    What it runs in the child gets the learner's version of what is asked: one function or class, or a tuple.
    """
    for module in _MODULES[id.partition(".")[0]]:
        checks: dict[str, Callable[[Attempt], None]] = import_module(f".{module}", __name__).CHECKS
        if id in checks:
            return checks[id]
    raise KeyError(id)
