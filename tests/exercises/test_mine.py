"""The learner's own library: what is stored, that it stands on its own, and what an import gives."""

import errno
import os
import socket
import subprocess
import sys
import textwrap
import threading
from contextlib import suppress

import pytest
from exercises.sockets import listening

from course_lib import journal, mine, own_server
from course_lib.exercises import all_exercises, check
from course_lib.exercises.keep import CannotKeep, as_module, keep, source
from course_lib.servers.connection import GONE, NO_ROOM
from course_lib.solutions.blocking import Lines

NAMES = [name for exercise in all_exercises() for name in exercise.names]
LINES, SERVE_ONE, TRY = (exercise for exercise in all_exercises() if exercise.id in ("2.2", "2.3", "3.1"))
SPARE = "Lines is the reference here, until your own passes 2.2.\n"

OWN_LINES = """
class Lines:
    mine = True
    def __init__(self): self.rest = b""
    def feed(self, chunk):
        *lines, self.rest = (self.rest + chunk).split(b"\\n")
        if max(map(len, [*lines, self.rest])) > 65536: raise ValueError("too long a line")
        return lines
"""


def test_the_reference_is_a_spare_and_one_line_says_so(capsys):
    assert mine.Lines is Lines and capsys.readouterr().out == SPARE
    from course_lib.mine import Lines as imported

    assert imported is Lines and capsys.readouterr().out == SPARE


def test_what_passed_is_what_an_import_gives(cell, capsys, home):
    assert check("2.2", cell(OWN_LINES)["Lines"]).passed
    assert (home / "lines.py").read_text() == '"""2.2 Lines: my own version."""\n\n\n' + OWN_LINES.lstrip()
    capsys.readouterr()
    from course_lib.mine import Lines as own

    assert own.mine and own().feed(b"a\nb") == [b"a"]
    assert capsys.readouterr().out == ""
    assert check("2.2", cell(OWN_LINES.replace("mine = True", "mine = 2"))["Lines"]).passed
    assert mine.Lines.mine == 2


def test_a_file_that_was_changed_by_hand_is_kept_beside_the_new_one(cell, capsys, home):
    own = cell(OWN_LINES)["Lines"]
    keep([own], LINES, NAMES)
    keep([own], LINES, NAMES)
    better = (home / "lines.py").read_text() + "# and better\n"
    (home / "lines.edited-1.py").write_text("an older one")
    (home / "lines.py").write_text(better)
    assert capsys.readouterr().out == ""
    keep([own], LINES, NAMES)
    assert capsys.readouterr().out == "mine/lines.py was changed by hand. It is kept as mine/lines.edited-2.py.\n"
    assert (home / "lines.edited-2.py").read_text() == better
    assert (home / "lines.edited-1.py").read_text() == "an older one"
    assert mine.Lines.mine
    keep([cell(OWN_LINES + "    other = 1\n")["Lines"]], LINES, NAMES)
    assert capsys.readouterr().out == "" and mine.Lines.other == 1


def test_later_exercises_build_on_it(cell, capsys, home):
    assert check("2.2", cell(OWN_LINES)["Lines"]).passed
    names = cell("from course_lib.mine import Lines\n" + SERVE_ONE.reference)
    assert check("2.3", names["serve_one"]).passed
    assert "\nfrom course_lib.mine import Lines\n" in (home / "serve_one.py").read_text()
    names = cell("from course_lib.mine import serve_one\nfor_all = serve_one")
    cell("def serve_forever(listener):\n    while True: for_all(listener.accept()[0])", names)
    assert check("2.4", names["serve_forever"]).passed
    assert "from course_lib.mine import serve_one as for_all" in (home / "serve_forever.py").read_text()
    assert mine.serve_forever.__globals__["for_all"].__globals__["Lines"].mine
    assert capsys.readouterr().out.count("passed") == 3


@pytest.mark.parametrize("content", ["class Lines(", "raise ValueError('x')", "", "import nothing_of_this_name"])
def test_a_file_that_was_spoilt_by_hand(content, home, capsys):
    home.mkdir()
    (home / "lines.py").write_text(content)
    assert mine.Lines is Lines
    said = capsys.readouterr().out
    assert said.startswith("Lines is the reference here: your ") and "does not work" in said and said.count("\n") == 1


def test_an_unknown_name():
    with pytest.raises(AttributeError, match=f"no exercise is called 'Nothing'; there are {', '.join(NAMES)}"):
        mine.Nothing
    with pytest.raises(ImportError):
        from course_lib.mine import Nothing  # noqa: F401
    assert not hasattr(mine, "__path__")


def test_a_child_is_not_told_about_the_spare(cell, capsys):
    names = cell("def make_listener(port=0, backlog=16):\n    from course_lib.mine import Lines\n    print(Lines.__name__)")
    check("2.1", names["make_listener"])
    assert capsys.readouterr().out.endswith("printed:\n    | Lines\n")


EVERYTHING = '''
import concurrent.futures
import os.path
import socket as s
import struct
from collections import deque as queue
from functools import wraps
from socket import AF_INET, SOL_SOCKET, socket
from course_lib.mine import Lines
from time import monotonic

LIMIT = 4096
NAMES = {"a": [1, 2.5, None, b"x"]}
MODE = AF_INET
conn = object()
os_names = "local only"

def decorated(function):
    @wraps(function)
    def wrapper(*arguments):
        return function(*arguments)
    return wrapper

class Base:
    """A class."""
    kind = LIMIT

def helper(number: int = LIMIT) -> "Base":
    return other_helper(number)

def other_helper(number):
    return helper if number < 0 else struct.pack("I", number)

class Special(Base):
    @property
    def name(self): return NAMES["a"]
    @decorated
    def call(self): return super()

def serve_one(conn: socket, mode=AF_INET) -> None:
    """Uses all of it."""
    os_names = [conn for conn in queue()]
    lines: Lines = Lines()
    with conn:
        print(SOL_SOCKET, s.SHUT_WR, monotonic(), os.path, concurrent.futures.Future, MODE)
        return Special, helper, lambda: not_there
'''


def test_imports_constants_and_helpers_come_along(cell, home):
    names = cell(EVERYTHING)
    keep([names["serve_one"]], SERVE_ONE, NAMES)
    text = (home / "serve_one.py").read_text()
    head = text.partition("\n\n\n")[0].splitlines()
    assert head == [
        '"""2.3 serve_one: my own version."""',
        "",
        "from collections import deque as queue",
        "from functools import wraps",
        "from socket import AF_INET",
        "from socket import AF_INET as MODE",
        "from socket import SOL_SOCKET",
        "from socket import socket",
        "from time import monotonic",
        "import concurrent",
        "import concurrent.futures",
        "import os",
        "import socket as s",
        "import struct",
        "",
        "from course_lib.mine import Lines",
        "",
        "LIMIT = 4096",
        "NAMES = {'a': [1, 2.5, None, b'x']}",
    ]
    assert "conn = " not in text and text.count("def helper") == text.count("class Base") == 1
    code = "import sys; sys.path.insert(0, sys.argv[1]); import serve_one; print(serve_one.helper(7), serve_one.Special().name)"
    run = subprocess.run([sys.executable, "-c", code, str(home)], capture_output=True, text=True)
    assert run.stdout.endswith("b'\\x07\\x00\\x00\\x00' [1, 2.5, None, b'x']\n"), run.stderr


def test_another_name_of_the_function_is_turned_into_the_right_one(cell, home):
    names = cell(OWN_LINES.replace("class Lines", "class MyLines"))
    assert check("2.2", names["MyLines"]).passed
    assert (home / "lines.py").read_text().endswith("\n\nLines = MyLines\n")
    assert mine.Lines.mine


@pytest.mark.parametrize(
    "cell_source, says",
    [
        (
            "globals()['things'] = [object()]\ndef serve_one(conn): return things",
            "it uses things of the notebook, a value of type list, and no cell says `things = …`",
        ),
        (
            "def outer():\n    n = 1\n    def serve_one(conn): return n\n    return serve_one\nglobals()['serve_one'] = outer()",
            "it uses n of the function around it",
        ),
        (
            "def serve_one(conn=missing_later): pass",
            "it cannot be imported on its own: NameError: name 'missing_later' is not defined",
        ),
    ],
)
def test_what_cannot_be_stored_is_one_sentence(cell_source, says, cell, home, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")  # as ipykernel does
    names = {"__name__": "__main__", "missing_later": 1}
    cell(cell_source, names)
    del names["missing_later"]
    with pytest.raises(CannotKeep) as reason:
        keep([names["serve_one"]], SERVE_ONE, NAMES)
    assert says in str(reason.value)
    assert not home.exists()


def test_a_pass_counts_although_it_cannot_be_stored(capsys, home):
    names = {"__name__": "__main__"}
    exec(compile(OWN_LINES, "<nowhere>", "exec"), names)
    assert check("2.2", names["Lines"]).passed
    said = capsys.readouterr().out
    assert said.endswith(
        "2.2 passed. It is not stored in mine/, for the source of Lines is not known (it is not a plain def or class).\n"
    )
    assert journal.read()["exercises"]["2.2"]["passed"]


def test_a_failed_store_leaves_the_old_file(cell, home, monkeypatch):
    keep([cell(OWN_LINES)["Lines"]], LINES, NAMES)
    old = (home / "lines.py").read_bytes()

    def full(number):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(CannotKeep, match="cannot be written: No space left on device"):
        keep([cell(OWN_LINES + "    more = 1\n")["Lines"]], LINES, NAMES)
    assert (home / "lines.py").read_bytes() == old


def test_source_of_things_in_a_cell(cell):
    names = cell(
        """
        if True:
            class Nested:
                class Lines:
                    pass
                @staticmethod
                def name(): return 1

            def same(): return 1

        def same(): return 2
        """
    )
    assert source(names["same"]) == "def same(): return 2\n"
    assert source(names["Nested"]).splitlines()[0] == "class Nested:"
    assert source(names["Nested"].Lines) == "class Lines:\n    pass\n"
    cell("class Empty(Exception): old = 1", names)
    cell("class Empty(Exception): new = 1", names)
    assert source(names["Empty"]) == "class Empty(Exception): new = 1\n"


def test_the_stored_reference_is_the_reference():
    for exercise in all_exercises():
        for name, solution in zip(exercise.names, exercise.solutions):
            text = as_module(solution, exercise.id, name, NAMES)
            assert text.startswith(f'"""{exercise.id} {name}: my own version."""\n') and text.endswith("\n\n" + source(solution))


def test_several_functions_can_be_imported_each_by_its_name(cell, capsys):
    names = cell(
        """
        LIMIT = 7
        def try_accept(listener): return LIMIT
        def try_recv(sock, size): return try_accept(sock)
        """
    )
    keep([names["try_accept"], names["try_recv"]], TRY, NAMES)
    from course_lib.mine import try_accept, try_recv

    assert try_accept(None) == try_recv(None, 1) == 7
    assert capsys.readouterr().out == ""


def test_several_functions_are_stored_all_or_none(cell, home):
    names = cell("def try_accept(listener): pass\nglobals()['thing'] = object()\ndef try_recv(sock, size): return thing")
    with pytest.raises(CannotKeep, match="it uses thing of the notebook"):
        keep([names["try_accept"], names["try_recv"]], TRY, NAMES)
    assert not home.exists()


@pytest.mark.parametrize("number", sorted(NO_ROOM | GONE))
def test_its_server_outlives_what_accept_meets(number, monkeypatch):
    monkeypatch.setattr("course_lib.servers.connection.PAUSE", 0.001)

    class Listener(socket.socket):
        """Raises the error twice, then accepts one client, and then has been closed."""

        left = [errno.EBADF, None, number, number]

        def accept(self):
            if refused := self.left.pop():
                raise OSError(refused, os.strerror(refused))
            return super().accept()

    def client(conn):
        with conn:
            yield from mine.send_all(conn, (yield from mine.recv(conn, 10)).upper())

    def run():
        with suppress(ExceptionGroup, OSError):
            own_server._run(listener, lambda loop: client)

    with listening(Listener, 1) as (listener, [alice]):
        alice.sendall(b"hello")
        thread = threading.Thread(target=run)
        thread.start()
        assert alice.recv(10) == b"HELLO"
        with socket.create_connection(listener.getsockname(), timeout=10):
            thread.join(10)
        assert not thread.is_alive()


KEPT = {
    "a global that is None": "current = None\ndef serve_one(conn):\n    global current\n    current = conn",
    "a dataclass without methods": """
        from dataclasses import dataclass, field

        @dataclass(order=True)
        class Sleeper:
            when: float
            task: object = field(compare=False, default=None)

        def serve_one(conn): return Sleeper(1.0)
    """,
    "an Enum": "import enum\nclass State(enum.Enum):\n    IDLE = 1\ndef serve_one(conn): return State.IDLE",
    "a compiled pattern": "import re\nEND = re.compile(rb'\\n')\ndef serve_one(conn): return END.split(b'a')",
    "a logger": "import logging\nlog = logging.getLogger('mine')\ndef serve_one(conn): log.info('x')",
    "a Path": "from pathlib import Path\nWHERE = Path('a') / 'b'\ndef serve_one(conn): return WHERE",
    "a named tuple": """
        from collections import namedtuple
        Point = namedtuple("Point", "x y")
        ORIGIN = Point(0, 0)
        def serve_one(conn): return ORIGIN
    """,
    "a lambda": "shout = lambda line: line.upper()\ndef serve_one(conn): return shout(b'x')",
    "a lambda itself": "end = b'x'\nserve_one = lambda conn: end",
    "a partial": """
        from functools import partial
        def split(sep, data): return data.split(sep)
        at_ends = partial(split, b"x")
        def serve_one(conn): return at_ends(b"axb")
    """,
    "a cached helper": "import functools\n@functools.cache\ndef end(name): return b'x'\ndef serve_one(conn): return end('a')",
    "annotations that are not evaluated": """
        from __future__ import annotations
        def helper(x: Unknown) -> Unknown: return x
        def serve_one(conn: Nothing): return helper(conn)
    """,
    "a Struct": "import struct\nHEAD = struct.Struct('!I')\ndef serve_one(conn): return HEAD.pack(1)",
    "a type of another name": "from typing import NewType\nFd = NewType('Fd', int)\ndef serve_one(conn): return Fd(1)",
    "lines at the margin in a block": 'if True:\n    def serve_one(conn):\n        return """one\ntwo"""',
    "two names of one statement": "low, high = object(), object()\ndef serve_one(conn): return low, high",
}


@pytest.mark.parametrize(
    "before, used",
    [
        ("import struct\nHEAD = struct.Struct('!I')", "HEAD.pack(1)"),
        ("from typing import NewType\nFd = NewType('Fd', int)", "Fd(1)"),
        ("import numpy", "numpy.zeros(1)"),
        ("from typing import TypedDict\nLine = TypedDict('Line', {'a': int})", "Line(a=1)"),
        (
            "import functools\nclass Limit:\n    @functools.cached_property\n    def bytes(self): return 1",
            "assert Limit().bytes == 1",
        ),
    ],
    ids=["a Struct", "a type of another name", "an import that starts threads elsewhere", "a TypedDict", "a cached property"],
)
def test_a_solution_with_it_passes_and_is_kept(before, used, cell, checked, home):
    assert checked("2.2", cell(before + OWN_LINES.replace("(self, chunk):", f"(self, chunk):\n        {used}"))["Lines"]).passed
    assert mine.Lines().feed(b"a\nb") == [b"a"]


@pytest.mark.parametrize("source_of_cell", KEPT.values(), ids=KEPT)
def test_what_passes_is_kept(source_of_cell, cell, home):
    names = cell(source_of_cell)
    keep([names["serve_one"]], SERVE_ONE, NAMES)
    stored = {}
    exec((home / "serve_one.py").read_text(), stored)
    stored["serve_one"](None)


DECORATOR = """
    import functools
    def twice(function):
        @functools.wraps(function)
        def inner(*arguments): return function(*arguments) * 2
        return inner
"""
BARE = DECORATOR.replace("@functools.wraps(function)", "")

# What these give shows whether all that made it what it is has come along. A cell ends where # -- stands.
MADE_IN_STEPS = {
    "a method by a decorator": """
        def add_to_class(Class):
            def wrapper(obj): setattr(Class, obj.__name__, obj)
            return wrapper
        class Base:
            def name(self): return "old"
        def serve_one(conn): return Base().name()
        # --
        @add_to_class(Base)
        def name(self): return "new"
    """,
    "a method by an assignment": """
        class Base: pass
        def name(self): return "new"
        Base.name = name
        def serve_one(conn): return Base().name(), Base.limit
        # --
        setattr(Base, "limit", 5)
    """,
    "an attribute of a function": "def serve_one(conn): return serve_one.n\nserve_one.n = 5",
    "a class grown over cells": """
        class Base:
            def one(self): return 1
        # --
        class Base(Base):
            def two(self): return 2
        # --
        class Base(Base):
            def three(self): return self.one() + self.two()
        # --
        def serve_one(conn): return Base().three()
    """,
    "a class that became another": """
        from typing import NamedTuple
        class Pair(NamedTuple): a: int
        # --
        from collections import namedtuple
        Pair = namedtuple("Pair", "a b")
        def serve_one(conn): return Pair(1, 2).b
    """,
    "a table by a decorator": """
        TABLE = {}
        def command(name):
            def register(function):
                TABLE[name] = function
                return function
            return register
        @command(b"PING")
        def ping(): return b"PONG"
        @command(b"QUIT")
        def quit_(): return b"OK"
        def serve_one(conn): return sorted((name, function()) for name, function in TABLE.items())
    """,
    "a table by items": "TABLE = {}\ndef get(): return 1\nTABLE['GET'] = get\ndef serve_one(conn): return TABLE['GET']()",
    "a table by a loop": "import re\nT = {}\nfor w in (b'a', b'b'):\n    T[w] = re.compile(w)\ndef serve_one(conn): return T[b'b'].pattern",
    "a table by a call": """
        TABLE = {}
        def add(name, function): TABLE[name] = function
        def get(): return 1
        add("GET", get)
        def serve_one(conn): return TABLE["GET"]()
    """,
    "a table by a union": "def get(): return 1\nT = {}\nT = T | {'GET': get}\ndef serve_one(conn): return T['GET']()",
    "a counter that grew": "from collections import Counter\nc = Counter()\nc += Counter('a')\ndef serve_one(conn): return c['a']",
    "a namespace": """
        from types import SimpleNamespace
        config = SimpleNamespace()
        config.limit = 5
        def serve_one(conn): return config.limit
    """,
    "a helper under a decorator": DECORATOR + "    @twice\n    def n(): return 1\n    def serve_one(conn): return n()",
    "a helper under one without wraps": BARE + "    @twice\n    def n(): return 1\n    def serve_one(conn): return n()",
    "itself under a decorator": DECORATOR + "    @twice\n    def serve_one(conn): return 1",
    "itself under one without wraps": BARE + "    @twice\n    def serve_one(conn): return 1",
    "itself by a call": DECORATOR + "    def one(conn): return 1\n    serve_one = twice(one)",
    "a method under a decorator": DECORATOR
    + """
    class Base:
        @twice
        def first(self): return 1
        def second(self): return self.first()
    def serve_one(conn): return Base().second()
    """,
    "a method of the same name outside": """
        def name(self): return "outside"
        class Base:
            name = name
        def serve_one(conn): return Base().name()
    """,
    "a function for each type": """
        from functools import singledispatch
        @singledispatch
        def name(thing): return "thing"
        @name.register
        def _(thing: int): return "int"
        @name.register
        def _(thing: str): return "str"
        def serve_one(conn): return name(1), name("a"), name(None)
    """,
    "a context manager": """
        from contextlib import contextmanager
        @contextmanager
        def five(): yield 5
        def serve_one(conn):
            with five() as number: return number
    """,
    "a function within": "def outer():\n    n = 1\n    def serve_one(conn): return n\n    return serve_one\nserve_one = outer()",
    "values that are imported": """
        from math import inf, tau as turn
        from sys import *
        from os import environ
        from random import random
        def serve_one(conn): return inf, turn, maxsize, environ is not None, random() < 1
    """,
    "a name that a comprehension has, too": """
        import re
        word = re.compile("a")
        # --
        zeros = [0 for word in "abc"]
        def serve_one(conn): return word.pattern
    """,
    "a value in a condition": "if (pair := (1, {})): pass\ndef serve_one(conn): return pair[0]",
}
if sys.version_info >= (3, 12):
    MADE_IN_STEPS["a type"] = "type Fd = int | None\ndef serve_one(conn: Fd) -> Fd: return Fd.__name__"


@pytest.mark.parametrize("cells", MADE_IN_STEPS.values(), ids=MADE_IN_STEPS)
def test_all_that_made_it_what_it_is_is_kept(cells, cell, home):
    names = {"__name__": "__main__"}
    for each in textwrap.dedent(cells).split("# --\n"):
        cell(each, names)
    keep([names["serve_one"]], SERVE_ONE, NAMES)
    stored = {}
    exec((home / "serve_one.py").read_text(), stored)
    assert stored["serve_one"](None) == names["serve_one"](None)


def test_what_has_the_same_decorator_does_not_come_along(cell, home):
    names = cell(MADE_IN_STEPS["itself under a decorator"])
    cell("@twice\ndef other(): return 1", names)
    keep([names["serve_one"]], SERVE_ONE, NAMES)
    assert "other" not in (home / "serve_one.py").read_text()


def test_what_stands_under_a_magic_is_kept(cell, home):
    body = "def serve_one(conn): return 'timed'"
    names = cell(
        f"def get_ipython(): return type('Shell', (), dict(run_cell_magic=lambda *_: None))()\n"
        f"get_ipython().run_cell_magic('time', '', {body!r})"
    )
    exec(compile(body, "<timed exec>", "exec"), names)
    keep([names["serve_one"]], SERVE_ONE, NAMES)
    assert body in (home / "serve_one.py").read_text()


def test_the_open_of_a_notebook_is_pythons(cell, home):
    from IPython.core.interactiveshell import _modified_open

    names = cell("def serve_one(conn): return open('/dev/null').read()", {"__name__": "__main__", "open": _modified_open})
    keep([names["serve_one"]], SERVE_ONE, NAMES)
    assert "IPython" not in (home / "serve_one.py").read_text()
