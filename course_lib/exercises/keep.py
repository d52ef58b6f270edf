"""Put what passed into the learner's own library: one file a function or class, which can be imported on its own."""

import __future__

import ast
import builtins
import enum
import hashlib
import itertools
import linecache
import subprocess
import sys
import sysconfig
import textwrap
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from pathlib import Path
from types import FunctionType, ModuleType

from course_lib import folders, journal
from course_lib.sandbox.checked_process import environment
from course_lib.sandbox.files import memory_file
from course_lib.sandbox.stopwatch import Stopwatch
from course_lib.sandbox.talk import is_learners
from course_lib.sandbox.words import printable
from course_lib.solutions import file_of

from .exercise import Exercise
from .stubs import global_names

# A plain number such as SOL_SOCKET does not know where it was imported from.
_MODULES_OF_CONSTANTS: tuple[str, ...] = ("socket", "select", "errno", "os", "signal")

_WRITTEN_BY_PYTHON = ("<string>", sysconfig.get_path("stdlib"))  # into a class: what dataclass and enum add

_UNDER_A_MAGIC = "<timed exec>"  # what %%time calls the rest of its cell

_TRY_IT = (
    "import sys; file, name = sys.argv[1:]; names = {'__name__': name}; "
    "exec(compile(sys.stdin.buffer.read(), file, 'exec'), names); names[name]"
)
_TRY_IT_LIMIT = 5.0  # seconds in which nobody waits for a processor; it needs 0.1 s

_SECTION = "library"  # of the journal: what was stored last in each file


class CannotKeep(Exception):
    """Why the function cannot be stored: the second half of a sentence."""


def keep(learners: Collection[Callable], exercise: Exercise, exercises: Collection[str]) -> None:
    """Store the learner's code in ``mine/``, each function or class in its own file.

    `learners` stand in the order of `exercise.names`; `exercises` are the names in all exercises. A file that was
    changed by hand is kept beside the new one, and one sentence says so.
    Raises CannotKeep; each file is then the old one or the new one, whole.
    """
    texts = {name: as_module(learner, exercise.id, name, exercises) for name, learner in zip(exercise.names, learners)}
    for name, text in texts.items():
        _try_import(name, text)
    try:
        folders.mine().mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            path = folders.mine() / file_of(name)
            _keep_what_was_edited(path, text)
            journal.replace_file(path, text)
            journal.record(_SECTION, path.name, {"digest": _digest(path.read_bytes())})
    except OSError as error:
        raise CannotKeep(f"{folders.mine()} cannot be written: {error.strerror}") from None


def _keep_what_was_edited(path: Path, text: str) -> None:
    """Give a file that is neither what was stored last nor what will be stored now another name. Raises OSError."""
    if not path.is_file():
        return
    stored = journal.read().get(_SECTION, {}).get(path.name, {}).get("digest")
    if _digest(path.read_bytes()) in (stored, _digest(text.encode("utf-8", "backslashreplace"))):
        return
    number = 1
    while (aside := path.with_name(f"{path.stem}.edited-{number}.py")).exists():
        number += 1
    path.rename(aside)
    print(f"mine/{path.name} was changed by hand. It is kept as mine/{aside.name}.")


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def as_module(learner: Callable, id: str, name: str, exercises: Collection[str]) -> str:
    """The learner's `name` with all it needs from the notebook: imports, constants, helpers. Raises CannotKeep."""
    module = _Module(set(exercises) - {name})
    try:
        module.define_as(name, learner)
        blocks = [module.future, sorted(module.imports), sorted(module.mine), module.constants]
        head = [f'"""{id} {name}: my own version."""', *("\n".join(block) for block in blocks if block)]
        text = "\n\n".join(head) + "\n\n\n" + "\n\n".join(module.definitions).rstrip() + "\n"
        ast.parse(text)
    except (CannotKeep, KeyboardInterrupt):
        raise
    except Exception as error:  # whatever stands in a cell: the pass counts
        raise CannotKeep(f"its source cannot be taken apart ({type(error).__name__}: {printable(str(error))})") from None
    return text


def source(learner: object) -> str:
    """The source of a function or class, also one defined in a cell. Raises CannotKeep."""
    function = _a_function_of(learner)
    file = function.__code__.co_filename if function else ""
    first = function.__code__.co_firstlineno if file != _UNDER_A_MAGIC and function else None
    name = getattr(learner, "__name__", "")
    # A class without functions, and what a magic compiled, do not say where they stand: look into the cells.
    for text in ["".join(linecache.getlines(file))] if first else _under_magics() if function else _cells():
        lines = text.splitlines(keepends=True)
        for node in ast.walk(_parsed(text)):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)) and node.name == name:
                start = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
                if start == first or not first or isinstance(learner, type) and start <= first <= (node.end_lineno or start):
                    return _at_the_margin("".join(lines[start - 1 : node.end_lineno]).rstrip() + "\n")
    raise CannotKeep(f"the source of {name or 'it'} is not known (it is not a plain def or class)")


def _at_the_margin(text: str) -> str:
    """Without its indentation; where a string of several lines stands in the way, in a block of its own."""
    bare = textwrap.dedent(text)
    return bare if bare[:1].strip() else f"if True:\n{text}"


def _cells() -> Iterator[str]:
    """The cells that were run, the latest first."""
    for file in filter(is_learners, reversed(list(linecache.cache))):
        yield "".join(linecache.getlines(file))


def _under_magics() -> Iterator[str]:
    """What stands under a magic in these cells: the second line and those that follow it."""
    for text in _cells():
        for node in ast.walk(_parsed(text)):
            match node:  # what IPython makes of %%time
                case ast.Call(func=ast.Attribute(attr="run_cell_magic"), args=[_, _, ast.Constant(value=str(body))]):
                    yield body


def _statement_of(name: str) -> ast.Assign | ast.AnnAssign | None:
    """The latest statement of a cell that gave this name its value."""
    for text in itertools.chain(_cells(), _under_magics()):
        for node in reversed(_parsed(text).body):
            if isinstance(node, ast.Assign):
                targets = [part for target in node.targets for part in ast.walk(target)]
            elif isinstance(node, ast.AnnAssign) and node.value:
                targets = [node.target]
            else:
                continue
            if any(isinstance(part, ast.Name) and part.id == name for part in targets):
                return node
    return None


def _try_import(name: str, text: str) -> None:
    with (
        subprocess.Popen(
            [sys.executable, "-c", _TRY_IT, str(folders.mine() / file_of(name)), name],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=(said := memory_file("said")),
            env=environment(),
        ) as process,
        said,
    ):
        assert process.stdin  # a pipe
        watch = Stopwatch(process.pid)
        with suppress(BrokenPipeError):  # it has ended before it read
            process.stdin.write(text.encode("utf-8", "backslashreplace"))
            process.stdin.close()
        if not watch.until(lambda: process.poll() is not None, _TRY_IT_LIMIT):
            process.kill()
            raise CannotKeep(f"importing it takes over {_TRY_IT_LIMIT:g} s")
        if process.returncode:
            said.seek(0)
            last = said.read().decode(errors="replace").strip().rpartition("\n")[2]
            raise CannotKeep(f"it cannot be imported on its own: {printable(last)}")


class _Module:
    """What the file will hold; each thing in the order in which it is found to be needed."""

    def __init__(self, exercises: set[str]) -> None:
        self.future: list[str] = []
        self.imports: set[str] = set()
        self.mine: set[str] = set()
        self.constants: list[str] = []
        self.definitions: list[str] = []
        self._exercises = exercises
        self._seen: set[str] = set()

    def define_as(self, name: str, learner: Callable) -> None:
        """Add what was checked, under the name of its exercise."""
        if isinstance(learner, type) or isinstance(learner, FunctionType) and learner.__name__ != "<lambda>":
            self.define(learner)
            if learner.__name__ != name:
                self.definitions.append(f"{name} = {learner.__name__}\n")
        else:  # name = lambda …, name = partial(…)
            self._seen.add(name)
            names = getattr(getattr(learner, "func", learner), "__globals__", vars(sys.modules["__main__"]))
            self._copy(name, names, self.definitions)

    def define(self, learner: Callable, names: dict | None = None) -> None:
        """Add a function or class, and before it what it uses; `names` is the notebook's namespace."""
        self._seen.add(learner.__name__)
        text, function = source(learner), _a_function_of(learner)
        names = getattr(function, "__globals__", names or vars(sys.modules["__main__"]))
        if function and function.__code__.co_flags & __future__.annotations.compiler_flag:
            self.future = ["from __future__ import annotations"]
        if isinstance(learner, FunctionType) and learner.__code__.co_freevars:
            raise CannotKeep(f"it uses {learner.__code__.co_freevars[0]} of the function around it")
        self._need_all(text, names)
        self.definitions.append(text + "\n")

    def _need_all(self, text: str, names: dict) -> None:
        for name in sorted(global_names(text) & names.keys() - self._seen):
            if name not in self._seen:  # it may have come along with another one meanwhile
                self._seen.add(name)
                self._need(name, names, text)

    def _copy(self, name: str, names: dict, into: list[str]) -> None:
        """Add the statement that gave this name its value, and before it what it uses."""
        if not (statement := _statement_of(name)):
            value = names.get(name)
            raise CannotKeep(
                f"it uses {name} of the notebook, a value of type {type(value).__name__}, and no cell says `{name} = …`"
            )
        text = ast.unparse(statement)
        self._need_all(text, {own: value for own, value in names.items() if own != name})
        into.append(text)

    def _need(self, name: str, names: dict, text: str) -> None:
        value = names[name]
        if hasattr(builtins, name) and _is_of_ipython(value):  # its `open` stands for Python's in a notebook
            return
        if value is None:
            self.constants.append(f"{name} = None")
            return
        own_name, origin = getattr(value, "__name__", ""), getattr(value, "__module__", None) or ""
        if isinstance(value, ModuleType):
            self.imports.add(f"import {own_name}" + _as(own_name, name))
            self.imports |= {f"import {module}" for module in _submodules(name, value, text)}
        elif name in self._exercises and origin.partition(".")[0] in ("__main__", "course_lib"):  # not time.sleep
            self.mine.add(f"from course_lib.mine import {name}")
        elif own_name in self._exercises and origin.startswith("course_lib."):
            self.mine.add(f"from course_lib.mine import {own_name} as {name}")
        elif origin == "__main__" and _has_source(value):
            self.define(value, names)
            if own_name != name:
                self.definitions.append(f"{name} = {own_name}\n\n")
        elif origin != "__main__" and getattr(sys.modules.get(origin), own_name or " ", None) is value:
            self.imports.add(f"from {origin} import {own_name}" + _as(own_name, name))
        elif found := _import_of(name, value):
            self.imports.add(found)
        elif _is_literal(value):
            self.constants.append(f"{name} = {value!r}")
        else:
            self._copy(name, names, self.definitions)


def _parsed(text: str) -> ast.Module:
    try:
        return ast.parse(text)
    except SyntaxError:
        return ast.Module([], [])


def _a_function_of(learner: object) -> FunctionType | None:
    """The function itself, or one that stands in the source of the class."""
    values = vars(learner).values() if isinstance(learner, type) else [learner]
    for value in values:
        value = getattr(value, "__func__", None) or getattr(value, "fget", None) or value  # methods of a class, properties
        if isinstance(value, FunctionType) and not value.__code__.co_filename.startswith(_WRITTEN_BY_PYTHON):
            return value
    return None


def _has_source(value: object) -> bool:
    """Is it made by a def or class, decorated or not? A namedtuple and a lambda are made by another statement."""
    if not isinstance(value, (FunctionType, type)) and not hasattr(value, "__wrapped__"):
        return False
    try:
        return bool(source(value))
    except CannotKeep:
        return False


def _is_of_ipython(value: object) -> bool:
    return getattr(value, "__globals__", {}).get("__name__", "").partition(".")[0] in ("IPython", "ipykernel")


def _submodules(name: str, package: ModuleType, text: str) -> set[str]:
    """``concurrent.futures`` is bound by the name ``concurrent``: find what is used behind the dot."""
    used = {
        f"{package.__name__}.{node.attr}"
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == name
    }
    return {module for module in used if hasattr(package, "__path__") and module in sys.modules}


def _import_of(name: str, value: object) -> str | None:
    """The import that gives a number or a member of an enum this name."""
    own_name, modules = name, _MODULES_OF_CONSTANTS
    if isinstance(value, enum.Enum):
        own_name, modules = value.name, (type(value).__module__,)
    for module in modules:
        found = getattr(sys.modules.get(module), own_name, None)
        if isinstance(found, (int, enum.Enum)) and type(found) is type(value) and found == value:
            return f"from {module} import {own_name}" + _as(own_name, name)
    return None


def _as(own_name: str, name: str) -> str:
    return "" if own_name == name else f" as {name}"


def _is_literal(value: object) -> bool:
    try:
        return len(text := repr(value)) < 2000 and ast.literal_eval(text) == value
    except (ValueError, SyntaxError, RecursionError):
        return False
