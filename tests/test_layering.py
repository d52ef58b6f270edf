"""Imports point one way: what a learner reads and what watches it stand on the standard library alone."""

import ast
import json
import subprocess
import sys
from importlib import import_module
from importlib.util import resolve_name
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "course_lib"

# each part of course_lib, and the parts it may import
MAY_IMPORT = {
    "proc": set(),
    "ports": {"proc"},
    "folders": set(),
    "kernel": {"ports", "proc"},
    "servers": {"kernel", "ports", "proc"},
    "clients": set(),
    "journal": {"folders"},
    "shipped": {"journal", "folders"},
    "jupyter_extension": {"shipped", "journal", "folders"},
    "claims": set(),
    "solutions": set(),
    "sandbox": {"kernel", "proc", "journal", "folders"},
    "checks": {"solutions", "sandbox", "kernel", "ports", "proc"},
    "exercises": {"checks", "solutions", "sandbox", "journal", "folders"},
    "grading": {"shipped", "exercises", "sandbox", "journal", "folders"},
    "mine": {"solutions", "sandbox", "folders", "proc"},
    "own_server": {"mine", "servers", "kernel", "solutions", "sandbox", "ports", "proc", "folders"},
    "film": {"servers", "kernel", "clients", "ports", "proc"},
    "widgets": {"servers", "kernel", "clients", "film"},
    "lab": {"kernel", "proc", "servers", "solutions", "journal", "folders"},
    "measure": {"servers", "kernel", "widgets", "proc"},
    "lesson": {"claims", "exercises", "solutions", "journal", "widgets", "folders"},
}
STANDARD_LIBRARY_ONLY = "proc ports folders kernel servers clients film journal shipped claims solutions mine own_server".split()


def imports(source: Path) -> set[str]:
    """Full names of the modules (and of what is taken from them) that one source file imports anywhere."""
    package = ".".join(source.relative_to(PACKAGE.parent).parent.parts)
    names = set()
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            module = resolve_name("." * node.level + (node.module or ""), package)
            names |= {f"{module}.{alias.name}" for alias in node.names}
    return names


def sources(part: str) -> list[Path]:
    folder = PACKAGE / part
    return sorted(folder.rglob("*.py")) if folder.is_dir() else [folder.with_suffix(".py")]


def imported(part: str) -> set[tuple[str, str]]:
    """Each import of a part, (file, module)."""
    return {(source.name, name) for source in sources(part) for name in imports(source)}


def loaded_by(modules: str) -> set[str]:
    """What a fresh Python has loaded once it has imported these."""
    program = f"import json, sys\nbefore = set(sys.modules)\nimport {modules}\nprint(json.dumps([*set(sys.modules) - before]))"
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True, cwd=PACKAGE.parent)
    return set(json.loads(done.stdout))


@pytest.mark.parametrize("part", MAY_IMPORT)
def test_imports_point_one_way(part):
    ours = {(file, name) for file, name in imported(part) if name.split(".")[0] == "course_lib"}
    assert {(file, name) for file, name in ours if name.split(".")[1] not in MAY_IMPORT[part] | {part}} == set()


@pytest.mark.parametrize("part", STANDARD_LIBRARY_ONLY)
def test_source_imports_the_standard_library_only(part):
    known = sys.stdlib_module_names | {"course_lib"}
    assert {(file, name) for file, name in imported(part) if name.split(".")[0] not in known} == set()


@pytest.mark.parametrize("part", STANDARD_LIBRARY_ONLY)
def test_importing_loads_the_standard_library_only(part):
    loaded = loaded_by(f"course_lib.{part}")
    assert {name for name in loaded if name.split(".")[0] not in sys.stdlib_module_names | {"course_lib"}} == set()
    parts = {name.split(".")[1] for name in loaded if name.startswith("course_lib.")}
    assert parts <= MAY_IMPORT[part] | {part}


@pytest.mark.parametrize("module", [path.stem for path in sources("checks") if path.stem != "__init__"])
def test_a_checked_process_loads_only_what_its_check_needs(module):
    """It is started for each check, and each import costs the learner's time."""
    loaded = loaded_by(f"course_lib.sandbox.child, course_lib.sandbox.sending, course_lib.checks.{module}")
    parts = {name.split(".")[1] for name in loaded if name.startswith("course_lib.")}
    assert parts <= {"checks", "sandbox", "solutions", "journal", "ports", "proc", "folders"} | (
        {"kernel"} if module in ("descriptors", "leaks") else set()
    )
    assert "course_lib.sandbox.checked_process" not in loaded


def test_a_check_is_read_at_a_glance():
    """One situation, one function; one exercise or two, one module."""
    long = {}
    for source in sources("checks"):
        text = source.read_text(encoding="utf-8")
        functions = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef)]
        if (lines := len(text.splitlines())) > 500:
            long[source.name] = lines
        long |= {
            f"{source.name}: {function.name}": lines
            for function in functions
            if (lines := function.end_lineno - function.lineno + 1) > 40
        }
    assert long == {}


def test_every_part_has_its_place():
    parts = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert parts - {"__init__", "__main__"} == set(MAY_IMPORT)


@pytest.mark.parametrize(
    "module, words",
    [("course_lib.__main__", ("matplotlib", "measure")), ("course_lib.measure", ("matplotlib", "ipywidgets"))],
)
def test_what_takes_long_to_load_is_loaded_when_it_is_needed(module, words):
    """No command loads what one of them needs, and no cell that imports a measurement what draws it."""
    assert [name for name in loaded_by(module) if any(word in name for word in words)] == []


# What notebooks, teachers and other people's code rely on (CONTRIBUTING.md): a name that goes is told in CHANGELOG.md.
PUBLIC = {
    "servers": "MODELS BlockingServer NonBlockingServer SelectServer PollServer EpollServer CoroutineServer ThreadedServer "
    "AsyncioServer Server NotHere PortInUse echo live_servers stop_all",
    "kernel": "Call Descriptor Doing Pending Recorder TaskView ThreadView descriptors doing tasks wait_until",
    "widgets": "observe film",
    "film": "Film Moment film",
    "exercises": "Exercise Result all_exercises check hint progress solution",
    "lesson": "believe compare guess parsons recall rewrite summary",
    "mine": "Lines Conn PollEngine EpollEngine Loop recv send_all accept sleep http resp prefork",
    "lab": "pair reset readable attempt in_thread cpu_seconds room_for in_a_child served_by",
}


@pytest.mark.parametrize("part", PUBLIC)
def test_public_names_are_there(part):
    module = import_module(f"course_lib.{part}")
    assert [name for name in PUBLIC[part].split() if not hasattr(module, name)] == []
