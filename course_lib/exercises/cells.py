"""What the cells say, in the order in which they were run: the source of a function, and the statements that make a value."""

import ast
import linecache
import sys
import textwrap
from collections.abc import Iterator
from functools import lru_cache
from types import FunctionType

from course_lib.sandbox.talk import is_learners

_UNDER_A_MAGIC = "<timed exec>"  # what %%time calls the rest of its cell

_AROUND = "__func__", "fget", "__wrapped__"

_FUNCTION = ast.FunctionDef | ast.AsyncFunctionDef


class CannotKeep(Exception):
    """Why something cannot be stored: the second half of a sentence."""


def source(learner: object) -> str:
    """The source of a function or class, also one defined in a cell. Raises CannotKeep."""
    function = function_in(learner)
    file = function.__code__.co_filename if function else ""
    first = function.__code__.co_firstlineno if file != _UNDER_A_MAGIC and function else None
    name = getattr(learner, "__name__", "")
    # A class without functions, and what a magic compiled, do not say where they stand: look into the cells, the latest first.
    for text in ["".join(linecache.getlines(file))] if first else reversed(_ran()):
        for node in ast.walk(parsed(text)):
            if isinstance(node, _FUNCTION | ast.ClassDef) and node.name == name:
                start = _first_line(node)
                if start == first or not first or isinstance(learner, type) and start <= first <= (node.end_lineno or start):
                    return _text_of(node, text)
    raise CannotKeep(f"the source of {name or 'it'} is not known (it is not a plain def or class)")


def function_in(learner: object) -> FunctionType | None:
    """The function itself, or one that stands in the source of the class."""
    if not isinstance(learner, type):
        return learner if isinstance(learner, FunctionType) else None
    for value in vars(learner).values():
        for _ in range(9):  # a method of the class, a property, what is decorated, each of them around another one
            value = next((inner for each in _AROUND if (inner := getattr(value, each, None))), value)
        if isinstance(value, FunctionType) and value.__code__.co_qualname.startswith(f"{learner.__qualname__}."):
            return value
    return None


def made_by(name: str, value: object) -> list[tuple[ast.stmt, str]]:
    """The statement that gave this name its value, and those that changed the value since: each with its text. [] if none did."""
    ran = _statements()
    begin = len(ran)
    while begin == len(ran) or _reads(ran[begin][0], name):  # table = table | {…}
        begin = next((number for number in reversed(range(begin)) if _gives(ran[number][0], name, value)), -1)
        if begin < 0:
            return []
    return [
        (node, _text_of(node, text)) for node, text in ran[begin:] if _gives(node, name, value) or _changes(node, name, value)
    ]


def changes_since(name: str, value: object, source: str) -> list[str]:
    """The statements that changed this function or class since its source was run."""
    ran = _statements()
    made = (at for at, (node, cell) in enumerate(ran) if getattr(node, "name", "") == name and _text_of(node, cell) == source)
    return [_text_of(node, cell) for node, cell in ran[max(made, default=len(ran)) + 1 :] if _changes(node, name, value)]


def _statements() -> list[tuple[ast.stmt, str]]:
    """What was run, statement by statement, each with the text that it stands in."""
    return [(node, text) for text in _ran() for node in parsed(text).body]


@lru_cache(1000)
def parsed(text: str) -> ast.Module:
    """Its tree; without statements if it cannot be read."""
    try:
        return ast.parse(text)
    except SyntaxError:
        return ast.Module([], [])


def _ran() -> list[str]:
    """What was run, the latest last. Of a cell that is run again linecache keeps the first place, but IPython knows."""
    history = vars(sys.modules["__main__"]).get("_ih")
    known = ["".join(linecache.getlines(file)) for file in list(linecache.cache) if is_learners(file)]
    for cell in history if type(history) is list else ():
        known += [cell] if type(cell) is str else []
    return [part for text in known for part in (*_under_magics(text), text)]


def _under_magics(text: str) -> Iterator[str]:
    """What stands under a magic in this cell: the second line and those that follow it."""
    for node in ast.walk(parsed(text)) if "run_cell_magic" in text else ():
        match node:  # what IPython makes of %%time
            case ast.Call(func=ast.Attribute(attr="run_cell_magic"), args=[_, _, ast.Constant(value=str(body))]):
                yield body


def _text_of(node: ast.stmt, text: str) -> str:
    """Its lines, with decorators and comments; of a simple statement what it says."""
    if not hasattr(node, "body"):
        return ast.get_source_segment(text, node) or ast.unparse(node)
    lines = "".join(text.splitlines(keepends=True)[_first_line(node) - 1 : node.end_lineno]).rstrip() + "\n"
    bare = textwrap.dedent(lines)
    return bare if bare[:1].strip() else f"if True:\n{lines}"  # a string of several lines at the margin stands in the way


def _first_line(node: ast.stmt) -> int:
    return min([node.lineno, *(decorator.lineno for decorator in getattr(node, "decorator_list", ()))])


def _run_with(node: ast.AST) -> Iterator[ast.AST]:
    """The node, and all in it that runs when it runs."""
    yield node
    if not isinstance(node, _FUNCTION | ast.ClassDef | ast.Lambda):
        for child in ast.iter_child_nodes(node):
            yield from _run_with(child)


def _gives(statement: ast.stmt, name: str, value: object) -> bool:
    """Does it give this name a value?"""
    if isinstance(statement, ast.AugAssign) or isinstance(statement, ast.AnnAssign) and not statement.value:
        return False
    nodes = list(_run_with(statement))
    inner = [part for node in nodes if isinstance(node, ast.comprehension) for part in ast.walk(node.target)]
    for node in nodes:
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef() if node.name == name:
                return True
            case ast.Name(ctx=ast.Store()) if node.id == name and node not in inner:
                return True
            case ast.ImportFrom(module=str(module)) if imported(node, name):
                if getattr(sys.modules.get(module), imported(node, name), statement) is value:
                    return True
    return False


def _reads(statement: ast.stmt, name: str) -> bool:
    return any(isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Load) for node in _run_with(statement))


def imported(node: ast.ImportFrom, name: str) -> str:
    """What its module calls what is imported under this name; "" if nothing is."""
    names = {alias.asname or alias.name: alias.name for alias in node.names}
    return names.get(name) or (name if "*" in names else "")


def _changes(statement: ast.stmt, name: str, value: object) -> bool:
    """Does it change what has this name: by an item, an attribute, a method of a list or dict, or a decorator that is given it?"""
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple, set)) else ()
    inside = {getattr(part, "__name__", "") for part in parts}
    for node in _run_with(statement):
        match node:
            case ast.AugAssign(target=ast.Name(id=target)):
                found = target == name
            case ast.Attribute(ctx=ast.Store() | ast.Del()) | ast.Subscript(ctx=ast.Store() | ast.Del()):
                found = _root(node) == name
            case ast.Expr(value=ast.Call(func=ast.Attribute() as method)):
                found = _root(method) == name and isinstance(value, (list, dict, set))
            case ast.Expr(value=ast.Call(func=ast.Name(id="setattr"), args=[thing, *_])):
                found = _root(thing) == name
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                given = any(name in _given_to(decorator) for decorator in node.decorator_list) and node.name != name
                found = given or bool(node.decorator_list) and node.name in inside
            case _:
                found = False
        if found:
            return True
    return False


def _given_to(decorator: ast.expr) -> set[str]:
    """The names in it, but for that of the decorator itself: ``Lines`` in ``@add_to(Lines)``, ``f`` in ``@f.register``."""
    itself = decorator.func if isinstance(decorator, ast.Call) else decorator
    return {part.id for part in ast.walk(decorator) if isinstance(part, ast.Name) and part is not itself}


def _root(node: ast.AST) -> str:
    """The name at the front of ``a.b[0].c``."""
    while isinstance(node, ast.Attribute | ast.Subscript):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""
