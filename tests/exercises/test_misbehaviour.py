"""Whatever the learner's code does: one sentence that names the cause, and the kernel is as before."""

import os
import re
import select
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from held import marked

from course_lib.exercises import check
from course_lib.sandbox.attempt import TIME_LIMIT
from course_lib.sandbox.stopwatch import MORE

IMPORTS = "import os, signal, socket, sys, threading, time\n"


def made(cell, body: str, names: dict | None = None):
    """make_listener with this body, in a cell after the one that made these names."""
    names = cell(IMPORTS) if names is None else names
    return cell(f"def make_listener(port=0, backlog=16):\n    {body}\n", names)["make_listener"]


CASES = {  # what make_listener does, and words of the message, in their order
    "loops for ever": (
        "while True: pass",
        "did not return within 1 s: it runs all the time (CPU …) in line 2, `while True: pass`.",
    ),
    "sleeps for ever": ("time.sleep(1000)", "it sleeps in line 2, `time.sleep(1000)`."),
    "sleeps in accept": ("socket.create_server(('127.0.0.1', 0)).accept()", "it sleeps in line 2…accept()`."),
    "waits for a lock": ("lock = threading.Lock(); lock.acquire(); lock.acquire()", "it sleeps in line 2"),
    "swallows every exception": (
        "while True:\n        try:\n            while True: pass\n        except BaseException:\n            pass",
        "it runs all the time (CPU …while True: pass`.",
    ),
    "ignores signals": (
        "[signal.signal(n, signal.SIG_IGN) for n in (signal.SIGTERM, signal.SIGINT, signal.SIGALRM)]; time.sleep(1000)",
        "it sleeps…time.sleep(1000)`.",
    ),
    "os._exit": ("os._exit(3)", "ended its whole process with status 3 (os._exit?); use return."),
    "os._exit(0)": ("os._exit(0)", "ended its whole process with status 0"),
    "sys.exit": ("sys.exit(3)", "called sys.exit() in line 2, `sys.exit(3)`. That ends the whole program; use return."),
    "returns the wrong type": ("return 5", "make_listener returned 5: return the listening socket."),
    "closes all descriptors": ("os.closerange(0, 1000); time.sleep(1000)", "closed descriptors that it did not open"),
    "writes where it should not": (
        "[os.write(n, b'rubbish\\n') for n in range(3, 50) if os.path.exists(f'/proc/self/fd/{n}')]; time.sleep(1)",
        "wrote to a descriptor that it did not open",
    ),
    "starts a thread": (
        'threading.Thread(target=time.sleep, args=(1000,)).start()\n    return socket.create_server(("127.0.0.1", port), backlog=backlog)',
        "started a thread that still runs",
    ),
    "forks, and both go on": (
        'os.fork()\n    return socket.create_server(("127.0.0.1", port), backlog=backlog)',
        "started another process (fork?)",
    ),
    "forks, and the other one takes the port first": (
        "child = os.fork() if port else 1\n    if port and child: os.waitpid(child, os.WUNTRACED); os.kill(child, signal.SIGCONT)\n"
        '    listener = socket.create_server(("127.0.0.1", port), backlog=backlog)\n'
        "    if not child: os.kill(os.getpid(), signal.SIGSTOP); time.sleep(0.1)\n    return listener",
        "started another process (fork?), and that one came out of it, too",
    ),
    "forks, and both loop": ("os.fork()\n    while True: pass", "it runs all the time (CPU "),
    "goes into another session": ("if not os.fork(): os.setsid(); time.sleep(1000)\n    time.sleep(1000)", "it sleeps"),
    "orphans a process": (
        "if not os.fork(): os.setsid(); time.sleep(1000)\n    os._exit(4)",
        "ended its whole process with status 4",
    ),
    "kills itself": ("os.kill(os.getpid(), signal.SIGKILL)", "was killed by the signal SIGKILL."),
    "segmentation fault": ("__import__('ctypes').string_at(0)", "was killed by the signal SIGSEGV."),
    "stops itself": ("os.kill(os.getpid(), signal.SIGSTOP)", "did not return within 1 s"),
    "reads the keyboard": (
        "input('port? ')",
        "waits for the keyboard in line 2, `input('port? ')`. Nobody types during a check.",
    ),
    "raises KeyboardInterrupt": ("raise KeyboardInterrupt", "raised KeyboardInterrupt in line 2"),
    "raises GeneratorExit": ("raise GeneratorExit('x')", "raised GeneratorExit: x in line 2"),
    "raises an exception that cannot be printed": (
        "class Odd(Exception):\n        def __str__(self):\n            raise SystemExit\n    raise Odd",
        "raised Odd: (its __str__ raised SystemExit) in line …`raise Odd`.",
    ),
    "raises an exception whose text is no text": (
        "class Odd(Exception):\n        def __str__(self):\n            return 5\n    raise Odd",
        "raised Odd: (its __str__ raised TypeError)",
    ),
    "raises an exception whose text never ends": (
        "class Odd(Exception):\n        def __str__(self):\n            while True: pass\n    raise Odd",
        "did not return within 1 s…`while True: pass`.",
    ),
    "raises a long and ugly text": (
        "raise ValueError('\\x1b[2J\\n<b>' + 'x' * 10**6)",
        "raised ValueError: \\x1b[2J\\n<b>xxx…line 2",
    ),
    "raises with a lone surrogate": ("raise ValueError('\\ud800')", "raised ValueError: \\ud800 in line 2"),
    "prints for ever": ("while True: print('y' * 10000)", "prints without end in line 2…more than 16 MB of output."),
    "takes all memory": ("x = b'x' * (4 << 30)", "used more than 2 GB of memory in line 2"),
    "recurses for ever": ("return make_listener(port)", "raised RecursionError: maximum recursion depth"),
    "changes the directory and the path": ("os.chdir('/'); sys.path.clear(); sys.modules.clear()", "returned None"),
    "closes its output": ("sys.stdout.close(); os.close(2); raise ValueError('still heard')", "raised ValueError: still heard"),
}


@pytest.mark.parametrize("body, says", CASES.values(), ids=CASES)
def test_it_gets_a_sentence_and_the_kernel_is_as_before(body, says, cell, as_before):
    make_listener = made(cell, body)
    before = set(sys.modules)
    begin = time.monotonic()
    result = check("2.1", make_listener)
    assert time.monotonic() - begin < TIME_LIMIT + MORE + 10  # it always comes back
    assert not result.passed and not result.open
    last = str(result.findings[-1])
    assert re.search(".*".join(map(re.escape, says.split("…"))), last), last
    assert last.startswith("not yet: ") and "\n" not in last and len(last) < 600
    assert not [name for name in set(sys.modules) - before if not name.startswith(("cloudpickle", "course_lib"))]
    assert not of_checks()


def of_checks() -> set[int]:
    """Processes on this machine that a check of ours started."""
    return marked("COURSE_CHECK=", f"COURSE_HOME={os.environ['COURSE_HOME']}")


LOCK = "lock = threading.Lock()"

NOT_PICKLABLE = {  # what a cell makes, what make_listener does with it, and what it is called
    "a lock": (LOCK, "with lock: return socket.socket()", "lock, a lock"),
    "a socket": ("kept = socket.socket()", "return kept", "kept, a socket"),
    "an open file": ("log = open('/dev/null', 'w')", "log.write('x')", "log, a TextIOWrapper"),
    "through a helper": (f"{LOCK}\ndef helper():\n    with lock: pass", "helper()", "lock, a lock"),
    "in a function of the function's": (LOCK, "return (lambda: [0 for _ in lock])()", "lock, a lock"),
    "a weak reference": (
        "import weakref\nclass Thing: pass\nthing = Thing()\nof_it = weakref.ref(thing)",
        "return of_it()",
        "of_it, a ReferenceType",
    ),
    "a library of C": ("import ctypes\nlibc = ctypes.CDLL(None)", "libc.getpid()", "libc, a CDLL"),
    "beside what can go there": (
        f"import functools\n{LOCK}\n@functools.cache\ndef helper(): return 1",
        "with lock: helper()",
        "lock, a lock",
    ),
    "a server": (
        "class Server:\n    def __init__(self): self.lock = threading.Lock()\nserver = Server()",
        "return server",
        "server, a Server",
    ),
    "what a magic becomes": ("get_ipython = threading.Lock()", "get_ipython().run_line_magic('time', 'pass')", ""),
}


@pytest.mark.parametrize("before, body, says", NOT_PICKLABLE.values(), ids=NOT_PICKLABLE)
def test_what_cannot_go_into_another_process_is_named(before, body, says, cell, as_before):
    names = cell(IMPORTS + before)
    (finding,) = check("2.1", made(cell, body, names)).findings
    said = f"uses {says} of this notebook." if says else "has a magic in it, a line with % or !"
    assert f"make_listener {said}" in finding.words
    for value in names.values():
        if hasattr(type(value), "fileno"):  # C has functions of such names
            value.close()


CAN_GO = {
    "a cached property": (
        "import functools\nclass Cached:\n    @functools.cached_property\n    def one(self): return 1",
        "Cached().one == 1",
    ),
    "singledispatch": (
        "import functools\n@functools.singledispatch\ndef kind(thing): return 0\n@kind.register\ndef _(thing: int): return 1\nkind('')",
        "(kind(1), kind('')) == (1, 0)",
    ),
    "a weak dictionary": ("import weakref\nweak = weakref.WeakValueDictionary()", "len(weak) == 0"),
    "a TypedDict made by a call": (
        "from typing import TypedDict\nPair = TypedDict('Pair', {'a': int}, total=False)",
        "Pair(a=1) == {'a': 1} and not Pair.__total__",
    ),
    "a counter": ("import itertools\nnumbers = itertools.count(3, 2)\nnext(numbers)", "next(numbers) == 5"),
}
if sys.version_info >= (3, 12):
    CAN_GO["a type"] = (
        "type Fd = int | None\ndef helper(fd: Fd) -> Fd: return fd",
        "helper(1) == 1 and Fd.__value__ == int | None",
    )
    CAN_GO["a generic type"] = "type Of[T] = list[T]", "Of.__name__ == 'Of' and Of[int]"


@pytest.mark.parametrize("before, says", CAN_GO.values(), ids=CAN_GO)
def test_what_can_go_into_another_process(before, says, cell, checked):
    make_listener = made(cell, f"assert {says}\n    raise KeyError", cell(IMPORTS + before))
    assert "raised KeyError" in checked("2.1", make_listener).findings[-1].words


def test_a_module_that_only_the_kernel_has_is_named(cell, as_before):
    names = cell("import types, sys; module = sys.modules['only_here'] = types.ModuleType('only_here')\ndef f(): pass")
    exec("def helper(): pass", vars(names["module"]))
    names["helper"] = names["module"].helper
    names["helper"].__module__ = "only_here"
    try:
        (finding,) = check("2.1", made(cell, "helper()", names)).findings
        assert "cannot be brought into a fresh Python process" in finding.words and "only_here" in finding.words
    finally:
        del sys.modules["only_here"]


def test_output_is_shown_at_the_end_bounded_and_escaped(cell, capsys):
    body = """for i in range(30_000): print("line", i)
    os.write(1, b"\\x1b[31mraw\\xff\\n")
    os.system("echo from a child process")
    print("to stderr", file=sys.stderr)"""
    check("2.1", made(cell, body))
    head, _, shown = capsys.readouterr().out.partition("  make_listener printed, at the end:\n")
    assert head == "2.1 make_listener\n  not yet: make_listener returned None: return the listening\n      socket.\n"
    lines = shown.splitlines()
    assert len(lines) == 20 and lines[0] == "    | line 29983"
    assert lines[-3:] == ["    | \\x1b[31mraw\\xff", "    | from a child process", "    | to stderr"]


def test_one_long_line_of_output_is_cut(cell, capsys):
    check("2.1", made(cell, "print('x' * 1_000_000 + 'end')"))
    said = capsys.readouterr().out
    assert said.endswith("xend\n") and len(said) < 2300


def test_output_of_a_good_solution_stands_before_the_last_line(cell, capsys):
    body = 'print("listening")\n    return socket.create_server(("127.0.0.1", port), backlog=backlog)'
    assert check("2.1", made(cell, body)).passed
    said = capsys.readouterr().out
    assert re.search(r"\n  make_listener printed:(\n    \| listening)+\n2\.1 passed\.", said), said


INTERRUPTED = """
import os, signal, sys, threading
sys.path.insert(0, {tests!r})
from conftest import process_state, run_cell
from course_lib.exercises import check
from course_lib.sandbox.checked_process import CheckedProcess
import cloudpickle

names = run_cell('''
import time
def make_listener(port=0, backlog=16):
    time.sleep(1000)
''')
before = process_state()
hear = CheckedProcess.hear

def interrupted(process, *args):
    threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
    return hear(process, *args)

CheckedProcess.hear = interrupted
try:
    check("2.1", names["make_listener"])
except KeyboardInterrupt:
    for thread in threading.enumerate():
        if thread is not threading.main_thread():
            thread.join()
    print("interrupted, as before:", process_state() == before)
"""


def test_interrupt_cleans_up_and_is_no_try(home):
    code = INTERRUPTED.format(tests=str(Path(__file__).parent))
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)
    assert run.stdout == "interrupted, as before: True\n", run.stderr
    assert not home.exists()
    assert not of_checks()


def test_a_check_in_a_thread(cell, as_before):
    with ThreadPoolExecutor() as thread:
        result = thread.submit(check, "2.1", made(cell, "return 5")).result()
    assert "make_listener returned 5" in result.findings[0].words


def test_the_child_ends_when_the_kernel_dies(cell):
    """Nothing may stay behind if the process that checks is killed."""
    code = (
        INTERRUPTED.format(tests=str(Path(__file__).parent))
        .replace("signal.SIGINT)", "signal.SIGKILL)")
        .replace("time.sleep(1000)", "raise ValueError")
        .replace("return hear(process, *args)", "import time; time.sleep(1000)")
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=30)
    assert run.returncode == -signal.SIGKILL
    for pid in of_checks():
        poll = select.poll()
        with open(os.pidfd_open(pid), "rb", buffering=0) as end:
            poll.register(end, select.POLLIN)
            assert poll.poll(10_000), "the child outlived the kernel"
