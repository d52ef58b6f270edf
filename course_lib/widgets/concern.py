"""Does a cell have to do with something, by the names that it uses?"""

import ast
from collections.abc import Callable, Mapping
from types import FunctionType


def concerns(code: str, names: Mapping[str, object], its: Callable[[object], bool]) -> bool:
    """Does this cell use a name of what `its` says yes to, itself or in a function that it uses?

    Also True for a cell that only asks, such as `guess("key", "What?", "a", "b")`: it is about what is seen already; and for one
    that is no Python.
    """
    try:
        cell = ast.parse(code)
    except SyntaxError:
        return True
    if all(map(_only_asks, cell.body)):
        return True
    found = [node for node in ast.walk(cell) if isinstance(node, ast.Name)]
    made = {node.id for node in found if isinstance(node.ctx, ast.Store)}  # a new thing under a name, which may be an old one
    used = [names[node.id] for node in found if node.id in names and node.id not in made]
    inside = [thing.__globals__.get(name) for thing in used if type(thing) is FunctionType for name in thing.__code__.co_names]
    return any(map(its, [*used, *inside]))


def _only_asks(statement: ast.stmt) -> bool:
    """Is it a call of a function with nothing but constants?"""
    match statement:
        case ast.Expr(ast.Call(ast.Name(), arguments, keywords)):
            return not any(isinstance(node, ast.Name) for part in (*arguments, *keywords) for node in ast.walk(part))
    return False
