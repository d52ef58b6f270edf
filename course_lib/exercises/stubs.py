"""What a learner starts from, made of the references: their imports, their signatures, and nothing in the bodies."""

import ast
import inspect
import symtable
import sys
from collections.abc import Callable
from types import FunctionType, ModuleType

from course_lib.solutions import names as exercises


def stub_of(references: tuple[Callable, ...]) -> str:
    """The cell that asks for these functions and classes."""
    return _imports_of(references) + "\n\n".join(map(_without_bodies, references))


def solution_of(references: tuple[Callable, ...]) -> str:
    """The cell that answers: their source, and that of the functions which help them."""
    parts = _helpers_of(references) + references
    return _imports_of(parts) + "\n\n".join(map(inspect.getsource, parts))


def _helpers_of(references: tuple[Callable, ...]) -> tuple[Callable, ...]:
    """The functions beside them that they call and no exercise asks for, each behind those that it calls itself."""
    found: dict[Callable, None] = {}
    for reference in references:
        module = sys.modules[reference.__module__]
        for name in sorted(global_names(inspect.getsource(reference)) - {reference.__name__, *exercises()}):
            helper = getattr(module, name, None)
            if isinstance(helper, FunctionType) and helper.__module__.startswith(module.__package__ or ""):
                found |= dict.fromkeys((*_helpers_of((helper,)), helper))
    return tuple(found)


def _imports_of(references: tuple[Callable, ...]) -> str:
    """The imports that their code needs, and two empty lines; what other exercises ask for comes from ``course_lib.mine``."""
    modules: set[str] = set()
    names: dict[str, set[str]] = {}
    ours = {one.__name__ for one in (*references, *_helpers_of(references))}
    for reference in references:
        module = sys.modules[reference.__module__]
        imported = _imports(module)
        for name in global_names(inspect.getsource(reference)) - ours:
            if name in exercises() and hasattr(module, name):
                names.setdefault("course_lib.mine", set()).add(name)
            elif origin := imported.get(name):
                names.setdefault(origin, set()).add(name)
            elif name in imported:
                modules.add(f"import {name}")
    lines = {origin: f"from {origin} import {', '.join(sorted(names[origin]))}\n" for origin in sorted(names)}
    course = [line for origin, line in lines.items() if origin.startswith("course_lib")]
    others = [f"{line}\n" for line in sorted(modules)] + [line for line in lines.values() if line not in course]
    return "\n".join("".join(block) for block in (others, course) if block) + "\n\n" * bool(lines or modules)


def _imports(module: ModuleType) -> dict[str, str | None]:
    """Each name that the module imports -> the module that it is taken from; None: it is a module itself."""
    found: dict[str, str | None] = {}
    for node in ast.parse(inspect.getsource(module)).body:
        if isinstance(node, ast.Import):
            found |= {alias.name: None for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            origin = f"{module.__package__}.{node.module}" if node.level else node.module
            found |= {alias.name: origin for alias in node.names}
    return found


def _without_bodies(reference: Callable) -> str:
    source = inspect.getsource(reference)
    lines = source.splitlines(keepends=True)
    functions = [node for node in ast.walk(ast.parse(source)) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]
    for function in sorted(functions, key=lambda node: node.lineno, reverse=True):
        first = function.body[0]
        docstring = ast.get_docstring(function) is not None
        begin = first.end_lineno if docstring else first.lineno - 1
        indent = " " * first.col_offset
        lines[begin : function.end_lineno] = [f"{indent}raise NotImplementedError\n"]
    if inspect.isgeneratorfunction(reference):  # without a yield the stub would be none
        lines.append(f"    {_first_yield(functions[0], source)}\n")
    return "".join(lines)


def _first_yield(function: ast.FunctionDef | ast.AsyncFunctionDef, source: str) -> str:
    """The first one of the reference if it names nothing but the arguments; a bare one else, and beside ``yield from``."""
    arguments = {argument.arg for argument in function.args.args}
    nodes = [] if any(isinstance(node, ast.YieldFrom) for node in ast.walk(function)) else ast.walk(function)
    for node in nodes:
        if isinstance(node, ast.Yield) and {part.id for part in ast.walk(node) if isinstance(part, ast.Name)} <= arguments:
            return ast.get_source_segment(source, node) or "yield"
    return "yield"


def global_names(text: str) -> set[str]:
    """The names that this source takes from its module, annotations and decorators included."""

    def walk(table: symtable.SymbolTable) -> set[str]:
        outside = table.get_type() in ("module", "class")  # there a name may be read before it is given a value
        found = {
            symbol.get_name() for symbol in table.get_symbols() if symbol.is_global() or (outside and symbol.is_referenced())
        }
        return found.union(*map(walk, table.get_children()))

    return walk(symtable.symtable(text, "<source>", "exec"))
