"""Put what passed into the learner's own library: one file a function or class, which can be imported on its own."""

import ast
import enum
import hashlib
import linecache
import subprocess
import sys
import textwrap
from contextlib import suppress
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Callable, Collection

from course_lib import journal
from course_lib.sandbox.files import memory_file
from course_lib.sandbox.run import environment
from course_lib.sandbox.stopwatch import Stopwatch
from course_lib.sandbox.talk import is_learners
from course_lib.sandbox.words import printable
from course_lib.solutions import file_of

from .exercise import Exercise
from .stubs import global_names

# A plain number such as SOL_SOCKET does not know where it was imported from.
_MODULES_OF_CONSTANTS = ("socket", "select", "errno", "os", "signal")

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
        journal.home().mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            path = journal.home() / file_of(name)
            _keep_what_was_edited(path, text)
            journal.replace_file(path, text)
            journal.record(_SECTION, path.name, {"digest": _digest(path.read_bytes())})
    except OSError as error:
        raise CannotKeep(f"{journal.home()} cannot be written: {error.strerror}") from None


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
    module.define(learner)
    if learner.__name__ != name:
        module.definitions.append(f"{name} = {learner.__name__}\n")
    blocks = [sorted(module.imports), sorted(module.mine), module.constants]
    head = [f'"""{id} {name}: my own version."""', *("\n".join(block) for block in blocks if block)]
    return "\n\n".join(head) + "\n\n\n" + "\n\n".join(module.definitions).rstrip() + "\n"


def source(learner: Callable) -> str:
    """The source of a function or class, also one defined in a cell. Raises CannotKeep."""
    function = _a_function_of(learner)
    first = function.__code__.co_firstlineno if function else None
    # A class without functions does not say where it stands: look into the cells, the latest first.
    files = [function.__code__.co_filename] if function else filter(is_learners, reversed(linecache.cache))
    for file in files:
        text = linecache.getlines(file)
        for node in ast.walk(_parsed("".join(text))):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)) and node.name == learner.__name__:
                start = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
                if start == first or isinstance(learner, type) and (not first or start <= first <= node.end_lineno):
                    return textwrap.dedent("".join(text[start - 1 : node.end_lineno])).rstrip() + "\n"
    raise CannotKeep("its source is not known (it is not a plain def or class)")


def _try_import(name: str, text: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _TRY_IT, str(journal.home() / file_of(name)), name],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=(said := memory_file("said")),
        env=environment(),
    ) as process, said:
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
        self.imports: set[str] = set()
        self.mine: set[str] = set()
        self.constants: list[str] = []
        self.definitions: list[str] = []
        self._exercises = exercises
        self._seen: set[str] = set()

    def define(self, learner: Callable, names: dict | None = None) -> None:
        """Add a function or class, and before it what it uses; `names` is the notebook's namespace."""
        self._seen.add(learner.__name__)
        text = source(learner)
        names = getattr(_a_function_of(learner), "__globals__", names or vars(sys.modules["__main__"]))
        if isinstance(learner, FunctionType) and learner.__code__.co_freevars:
            raise CannotKeep(f"it uses {learner.__code__.co_freevars[0]} of the function around it")
        for name in sorted(global_names(text) & names.keys() - self._seen):
            if name not in self._seen:  # it may have come along with another one meanwhile
                self._seen.add(name)
                self._need(name, names, text)
        self.definitions.append(text + "\n")

    def _need(self, name: str, names: dict, text: str) -> None:
        value = names[name]
        own_name, origin = getattr(value, "__name__", ""), getattr(value, "__module__", None) or ""
        if isinstance(value, ModuleType):
            self.imports.add(f"import {own_name}" + _as(own_name, name))
            self.imports |= {f"import {module}" for module in _submodules(name, value, text)}
        elif name in self._exercises and origin.partition(".")[0] in ("__main__", "course_lib"):  # not time.sleep
            self.mine.add(f"from course_lib.mine import {name}")
        elif own_name in self._exercises and origin.startswith("course_lib."):
            self.mine.add(f"from course_lib.mine import {own_name} as {name}")
        elif isinstance(value, (FunctionType, type)) and origin == "__main__":
            self.define(value, names)
            if own_name != name:
                self.definitions.append(f"{name} = {own_name}\n\n")
        elif getattr(sys.modules.get(origin), own_name or " ", None) is value:
            self.imports.add(f"from {origin} import {own_name}" + _as(own_name, name))
        elif found := _import_of(name, value):
            self.imports.add(found)
        elif _is_literal(value):
            self.constants.append(f"{name} = {value!r}")
        else:
            raise CannotKeep(f"it uses {name} of the notebook, a value of type {type(value).__name__}")


def _parsed(text: str) -> ast.AST:
    try:
        return ast.parse(text)
    except SyntaxError:
        return ast.Module([], [])


def _a_function_of(learner: Callable) -> FunctionType | None:
    """The function itself, or one that stands in the source of the class."""
    values = vars(learner).values() if isinstance(learner, type) else [learner]
    for value in values:
        value = getattr(value, "__func__", None) or getattr(value, "fget", None) or value  # methods of a class, properties
        if isinstance(value, FunctionType) and value.__code__.co_filename != "<string>":  # which dataclass writes
            return value
    return None


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
    if isinstance(value, enum.Enum):
        own_name, modules = value.name, [type(value).__module__]
    else:
        own_name, modules = name, _MODULES_OF_CONSTANTS
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
