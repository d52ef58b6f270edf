"""Put what passed into the learner's own library: one file a function or class, which can be imported on its own."""

import __future__

import ast
import builtins
import enum
import hashlib
import subprocess
import sys
from collections.abc import Callable, Collection
from contextlib import suppress
from pathlib import Path
from types import FunctionType, ModuleType

from course_lib import folders, journal
from course_lib.sandbox.checked_process import environment
from course_lib.sandbox.files import memory_file
from course_lib.sandbox.stopwatch import Stopwatch
from course_lib.sandbox.words import printable
from course_lib.solutions import file_of

from .cells import CannotKeep, changes_since, function_in, imported, made_by, source
from .exercise import Exercise
from .stubs import global_names

# A plain number such as SOL_SOCKET does not know where it was imported from.
_MODULES_OF_CONSTANTS: tuple[str, ...] = ("socket", "select", "errno", "os", "signal")

_TRY_IT = (
    "import sys; file, name = sys.argv[1:]; names = {'__name__': name}; "
    "exec(compile(sys.stdin.buffer.read(), file, 'exec'), names); names[name]"
)
_TRY_IT_LIMIT = 5.0  # seconds in which nobody waits for a processor; it needs 0.1 s

_SECTION = "library"  # of the journal: what was stored last in each file


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
    aside = journal.first_free(lambda number: path.with_name(f"{path.stem}.edited-{number}.py"))
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
        self._texts: set[str] = set()

    def define_as(self, name: str, learner: Callable) -> None:
        """Add what was checked, under the name of its exercise."""
        names = _namespace_of(learner)
        if _is_plain(learner):
            own_name = learner.__name__
            self.define(learner, names)
        else:  # name = lambda …, name = partial(…), or a def under a decorator
            own_name = name if names.get(name) is learner else next((own for own, one in names.items() if one is learner), name)
            self._seen.add(own_name)
            self._copy(own_name, learner, names)
        if own_name != name:
            self.definitions.append(f"{name} = {own_name}\n")

    def define(self, learner: Callable, names: dict) -> None:
        """Add a function or class, and before it what it uses; `names` is the notebook's namespace."""
        self._seen.add(learner.__name__)
        text, function = source(learner), function_in(learner)
        names = getattr(function, "__globals__", names)
        if function and function.__code__.co_flags & __future__.annotations.compiler_flag:
            self.future = ["from __future__ import annotations"]
        for base in getattr(learner, "__bases__", ()):
            if base.__name__ == learner.__name__:  # class Lines(Lines)
                self.define(base, names)
        self._add(text + "\n", names)
        for change in changes_since(learner.__name__, learner, text):
            self._add(change, names)

    def _add(self, text: str, names: dict) -> None:
        """Add this text once, and before it what it uses."""
        if text not in self._texts:
            self._texts.add(text)
            for name in sorted(global_names(text) & names.keys() - self._seen):
                if name not in self._seen:  # it may have come along with another one meanwhile
                    self._seen.add(name)
                    self._need(name, names, text)
            self.definitions.append(text)

    def _copy(self, name: str, value: object, names: dict) -> None:
        """Add the statements that made the value of this name, and before each what it uses."""
        if not (statements := made_by(name, value)):
            if isinstance(value, FunctionType) and value.__code__.co_freevars:
                raise CannotKeep(f"it uses {value.__code__.co_freevars[0]} of the function around it")
            raise CannotKeep(
                f"it uses {name} of the notebook, a value of type {type(value).__name__}, and no cell says `{name} = …`"
            )
        for node, text in statements:
            if isinstance(node, ast.ImportFrom):
                own_name = imported(node, name)
                self.imports.add(f"from {node.module} import {own_name}" + _as(own_name, name))
            elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                self._seen.add(node.name)
                self._add(text + "\n", names)
            else:
                self._add(text, names)
        for key, part in value.items() if isinstance(value, dict) else ():  # a call may have put it there
            own_name = getattr(part, "__name__", "")
            if names.get(own_name) is part and _is_plain(part) and own_name not in self._seen:
                self._add(f"{name}[{key!r}] = {own_name}", names)

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
        elif origin == "__main__" and _is_plain(value) and _has_source(value):
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
            self._copy(name, value, names)


def _namespace_of(learner: object) -> dict:
    """The names beside it: those of the notebook."""
    parts = vars(learner).values() if isinstance(learner, type) else (learner, getattr(learner, "func", None))
    functions = (getattr(part, "__wrapped__", part) for part in parts)
    return next((part.__globals__ for part in functions if isinstance(part, FunctionType)), vars(sys.modules["__main__"]))


def _is_plain(value: object) -> bool:
    """Is it what its own def or class made: no decorator's function around it, no lambda, no namedtuple?"""
    if isinstance(value, type):
        return bool(function_in(value))
    return isinstance(value, FunctionType) and not (
        hasattr(value, "__wrapped__") or value.__name__ == "<lambda>" or "<locals>" in value.__qualname__
    )


def _has_source(value: object) -> bool:
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
