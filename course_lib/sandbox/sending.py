"""The learner's code as bytes for a fresh process."""

import functools
import inspect
import io
import struct
from collections import ChainMap
from collections.abc import Callable, Iterator
from types import CodeType, FunctionType
from typing import Any, NewType

import cloudpickle

from .outcome import Wrong
from .talk import is_learners
from .words import printable


def _make_code(file: str, make: Callable[..., CodeType], parts: tuple[Any, ...]) -> CodeType:
    return make(*parts).replace(co_filename=file)


def _code_of_cell(code: CodeType) -> tuple[Callable[..., CodeType], tuple[Any, ...]]:
    make, parts = cloudpickle.Pickler.dispatch_table[CodeType](code)
    return _make_code, (code.co_filename, make, parts)


def _make_cached(parameters: dict[str, Any], function: Callable[..., object]) -> Callable[..., object]:
    cached: Callable[..., object] = functools.lru_cache(**parameters)(function)
    return cached


def _cached(wrapper: Any) -> tuple[Any, ...]:
    """A function under @cache goes without what it has stored; pickle would look for its name in a module."""
    return _make_cached, (wrapper.cache_parameters(), wrapper.__wrapped__)


def _struct(layout: struct.Struct) -> tuple[Any, ...]:
    return struct.Struct, (layout.format,)


def _new_type(name: Any) -> tuple[Any, ...]:
    """A typing.NewType of a cell, which pickle would look for by its name in a module."""
    return NewType, (name.__name__, name.__supertype__)


class _Pickler(cloudpickle.Pickler):
    """Keeps the name of the cell that code comes from: without it no line of it can be shown."""

    dispatch_table = ChainMap(
        {CodeType: _code_of_cell, type(functools.cache(len)): _cached, struct.Struct: _struct, NewType: _new_type},
        cloudpickle.Pickler.dispatch_table,
    )


def pickled(inside: Callable[..., None], learner: object, name: str) -> bytes:
    try:
        payload = io.BytesIO()
        _Pickler(payload).dump((inside, learner))
        return payload.getvalue()
    except Exception as error:
        label, value = _unpicklable(learner, set()) or (None, None)
        if label is None:
            raise Wrong(
                f"{name} cannot go into another process, where a check runs it: {printable(str(error))}.", cause=str(error)
            ) from None
        raise Wrong(
            f"{name} uses {label}, a {type(value).__name__} of this notebook. A check runs your code in a fresh process, "
            f"and {label} cannot go there: make it inside your own code, or pass it as an argument."
        ) from None


def _unpicklable(learner: object, seen: set[int]) -> tuple[str, object] | None:
    """Name and value of what the learner's code uses and cannot be pickled."""
    several = learner if isinstance(learner, tuple) else [learner]
    functions = [part for one in several for part in (vars(one).values() if inspect.isclass(one) else [one])]
    for function in filter(inspect.isfunction, functions):
        if id(function) in seen or not is_learners(function.__code__.co_filename):
            continue
        seen.add(id(function))
        for label, value in _used(function).items():
            try:
                cloudpickle.dumps(value)
            except Exception:
                deeper = _unpicklable(value, seen) if inspect.isroutine(value) or inspect.isclass(value) else None
                return deeper or (label, value)
    return None


def _used(function: FunctionType) -> dict[str, object]:
    """Name and value of what it finds outside of itself, and what the functions in it find there."""
    names = {name: function.__globals__[name] for name in _names(function.__code__) if name in function.__globals__}
    return {**inspect.getclosurevars(function).nonlocals, **names}


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            yield from _names(inner)
