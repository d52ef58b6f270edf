"""The learner's code as bytes for a fresh process."""

import ctypes
import functools
import inspect
import io
import itertools
import struct
import sys
import typing
from collections import ChainMap
from collections.abc import Callable, Iterator
from types import CodeType, FunctionType
from typing import Any, NewType, TypedDict
from weakref import WeakKeyDictionary, WeakValueDictionary

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


def _weak(things: Any) -> tuple[Any, ...]:
    """A weak dictionary; functools.singledispatch has one."""
    return type(things), (dict(things),)


_REDUCERS: dict[type, Callable[[Any], tuple[Any, ...]]] = {
    CodeType: _code_of_cell,
    type(functools.cache(len)): _cached,
    # without its lock (Python 3.11)
    functools.cached_property: lambda one: (functools.cached_property, (one.func,), {"attrname": one.attrname}),
    itertools.count: lambda numbers: (eval, (repr(numbers), {"count": itertools.count})),  # for Python 3.14
    struct.Struct: lambda layout: (struct.Struct, (layout.format,)),
    NewType: lambda name: (NewType, (name.__name__, name.__supertype__)),  # of a cell: pickle looks for its name in a module
    WeakKeyDictionary: _weak,
    WeakValueDictionary: _weak,
}
if sys.version_info >= (3, 12):  # `type Fd = int | None`
    _REDUCERS[typing.TypeAliasType] = lambda alias: (_make_alias, (alias.__name__, alias.__value__, alias.__type_params__))

    def _make_alias(name: str, value: Any, parameters: tuple[Any, ...]) -> typing.TypeAliasType:
        return typing.TypeAliasType(name, value, type_params=parameters)


class _Pickler(cloudpickle.Pickler):
    """Keeps the name of the cell that code comes from: without it no line of it can be shown."""

    dispatch_table = ChainMap(_REDUCERS, cloudpickle.Pickler.dispatch_table)

    def reducer_override(self, value: Any) -> Any:
        if isinstance(value, ctypes.CDLL):
            raise TypeError("a library of C goes out, and does not come in")
        if typing.is_typeddict(value) and value.__module__ == "__main__" and not hasattr(value, "__orig_bases__"):
            make: Any = TypedDict  # made by a call (Python 3.11)
            return functools.partial(make, total=value.__total__), (value.__name__, value.__annotations__)
        return super().reducer_override(value)


def _dumped(value: object) -> bytes:
    payload = io.BytesIO()
    _Pickler(payload).dump(value)
    return payload.getvalue()


def pickled(inside: Callable[..., None], learner: object, name: str) -> bytes:
    try:
        return _dumped((inside, learner))
    except Exception as error:
        label, value = _unpicklable(learner, set()) or (None, None)
        if label is None:
            raise Wrong(
                f"{name} cannot go into another process, where a check runs it: {printable(str(error))}.", cause=str(error)
            ) from None
        if label == "get_ipython":
            raise Wrong(
                f"{name} has a magic in it, a line with % or !, of which IPython makes get_ipython(). A check runs your code in a fresh "
                "process without IPython: take this line out."
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
                _dumped(value)
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
