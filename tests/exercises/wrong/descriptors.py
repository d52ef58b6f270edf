"""Typical wrong solutions of 1.x, each with words of the message that names its cause."""

from exercises.case import case, changed, right

IMPORTS = """
import contextlib, io, os, socket, subprocess, sys, tempfile, threading, time
from course_lib.mine import fd_table
"""

PIPE = """
def capture(fn):
    r, w = os.pipe()
    saved = os.dup(1)
    os.dup2(w, 1)
    os.close(w)
    try:
        fn()
    finally:
        os.dup2(saved, 1)
        os.close(saved)
    with open(r, "rb") as end:
        return end.read()
"""

# One that looks once.
LEAKS = changed(right("1.3"), {
    "once = fd_table()": "", "once.get(number) == target != before.get(number)": "before.get(number) != target",
})  # fmt: skip

CASES = {
    "1.1": [
        case("reads the link of its own listing", "os.readlink found no such entry in line 2", """
            def fd_table(pid="self"):
                return {int(name): os.readlink(f"/proc/{pid}/fd/{name}") for name in os.listdir(f"/proc/{pid}/fd")}
        """),
        case("lists its own listing", "that is the number of your own listing", """
            def fd_table(pid="self"):
                with os.scandir(f"/proc/{pid}/fd") as entries:
                    return {int(entry.name): os.readlink(entry.path) for entry in entries}
        """),
        case("leaves its listing open", "fd_table left 1 more open than before", """
            kept = []
            def fd_table(pid="self"):
                kept.append(os.open(f"/proc/{pid}/fd", os.O_RDONLY))
                found = {}
                for name in os.listdir(kept[-1]):
                    try:
                        target = os.readlink(f"/proc/{pid}/fd/{name}")
                    except FileNotFoundError:
                        continue
                    if int(name) != kept[-1]:
                        found[int(name)] = target
                return found
        """),
        case("keys are text", "int(name) makes numbers of them", right("1.1"), {"int(name)": "name"}),
        case("counts up to a limit", "Do not count up to a limit, list the folder /proc/self/fd.",
             right("1.1"), {"os.listdir(folder)": "range(256)"}),
        case("this process, whatever the pid", "gave the table of this process", right("1.1"), {"proc/{pid}/fd": "proc/self/fd"}),
        case("realpath", "realpath and abspath make a path of it that does not exist", """
            def fd_table(pid="self"):
                found = {}
                for name in os.listdir(f"/proc/{pid}/fd"):
                    path = f"/proc/{pid}/fd/{name}"
                    if os.path.lexists(path):
                        found[int(name)] = os.path.realpath(path)
                return found
        """),
        case("what exists in the file system", "has no path, and is open all the same",
             right("1.1"), {"table[int(name)] = os.readlink": "target = os.readlink", "except FileNotFoundError:\n    pass": """
                 except FileNotFoundError:
                     continue
                 if os.path.exists(target):
                     table[int(name)] = target
             """}),
        case("asks another program", "/proc/self is the process that reads it", """
            def fd_table(pid="self"):
                lines = subprocess.run(["ls", "-l", f"/proc/{pid}/fd"], capture_output=True, text=True).stdout.splitlines()
                parts = [line.partition(" -> ") for line in lines if " -> " in line]
                return {int(left.split()[-1]): target for left, _, target in parts}
        """),
        case("without the standard streams", "0, 1 and 2 are rows like all the others",
             right("1.1"), {"table[int(name)]": "if int(name) > 2:\n    table[int(name)]"}),
        case("one dict for all calls", "make a new dict in each call",
             right("1.1"), {"def fd_table(pid='self'):\n    table = {}": "def fd_table(pid='self', table={}):"}),
        case("values are inodes", "the value is the text that os.readlink gives", """
            def fd_table(pid="self"):
                return {int(n): os.stat(f"/proc/{pid}/fd/{n}").st_ino for n in os.listdir(f"/proc/{pid}/fd") if os.path.exists(f"/proc/{pid}/fd/{n}")}
        """),
        case("a list of pairs", "return a dict", "def fd_table(pid='self'): return []"),
        case("an empty dict", "is open and missing", "def fd_table(pid='self'): return {}"),
        case("the numbers of its own process",
             "Number 80 is open and missing; it names '/'. The other process has it, and this one has not: list the folder /proc/<pid>/fd, not your own.",
             right("1.1"), {"listdir(folder)": 'listdir("/proc/self/fd")'}),
    ],
    "1.2": [
        case("replaces sys.stdout", "redirect the descriptor, with os.dup2", """
            def capture(fn):
                with contextlib.redirect_stdout(io.StringIO()) as text:
                    fn()
                return text.getvalue().encode()
        """),
        case("forgets to restore", "Descriptor 1 still points to your file afterwards: saved = os.dup(1) before",
             right("1.2"), {"saved = os.dup(1)": "", "try:\n...\n    os.close(saved)": "fn()"}),
        case("forgets to restore a pipe", "Descriptor 1 still points to your pipe afterwards", """
            def capture(fn):
                r, w = os.pipe()
                os.dup2(w, 1)
                fn()
                return os.read(r, 1000)
        """),
        case("closes 1 instead", "Descriptor 1 is closed afterwards",
             right("1.2"), {"saved = os.dup(1)": "", "os.dup2(saved, 1)\nos.close(saved)": "os.close(1)"}),
        case("a pipe that nobody reads",
             "Deadlock when fn writes 200 kB: it sleeps in line 7, `fn()`. A pipe holds 64 kB", PIPE),
        case("a pipe whose end for writing stays open",
             "every number that names the end for writing is closed, yours too", PIPE, {"os.close(w)": ""}),
        case("only closes 1", "While fn ran, descriptor 1 was closed", "def capture(fn):\n    os.close(1)\n    fn()"),
        case("keeps it under a number of its own choice", "and you closed or overwrote it: take the number that os.dup gives",
             right("1.2"), {"with tempfile.TemporaryFile(buffering=0) as file:\n    saved = os.dup(1)": "with tempfile.TemporaryFile() as file:\n    os.dup2(1, 0)",
             "os.dup2(saved, 1)\nos.close(saved)": "os.dup2(0, 1)"}),
        case("no finally", "Descriptor 1 still points to your file after fn raised: put it back in finally:",
             right("1.2"), {"try:\n    fn()\nfinally:\n...\n    os.close(saved)": "fn()\nos.dup2(saved, 1)\nos.close(saved)"}),
        case("hides the exception", "fn raised an exception, and capture hid it",
             right("1.2"), {"buffering=0": "",
             "finally:\n    os.dup2(saved, 1)\n    os.close(saved)": "except Exception:\n    pass\nos.dup2(saved, 1)\nos.close(saved)"}),
        case("leaves the copy open", "capture left 1 more open afterwards than before",
             right("1.2"), {"buffering=0": "", "os.close(saved)": ""}),
        case("leaves the copy open when fn raises", "capture left 1 more open after fn raised than before",
             right("1.2"), {"buffering=0": "",
             "finally:\n    os.dup2(saved, 1)\n    os.close(saved)": "finally:\n    os.dup2(saved, 1)\nos.close(saved)"}),
        case("no seek", "the offset belongs to the open file description", right("1.2"), {"buffering=0": "", "file.seek(0)": ""}),
        case("close-on-exec", "1 was close-on-exec, so echo had no 1",
             right("1.2"), {"buffering=0": "", "os.dup2(file.fileno(), 1)": "os.dup2(file.fileno(), 1, inheritable=False)"}),
        case("puts it back close-on-exec", "1 is close-on-exec now",
             right("1.2"), {"buffering=0": "", "os.dup2(saved, 1)": "os.dup2(saved, 1, inheritable=False)"}),
        case("opens the old file anew", "through a new open file description",
             right("1.2"), {"with tempfile.TemporaryFile(buffering=0) as file:\n    saved = os.dup(1)": """
                 path = os.readlink("/proc/self/fd/1")
                 old = os.open("/proc/self/fd/1", os.O_WRONLY)
                 with tempfile.TemporaryFile() as file:
             """, "os.dup2(saved, 1)\nos.close(saved)": "os.dup2(old, 1)\nos.close(old)"}),
        case("runs fn in a copy of the process", "You ran fn in another process", """
            def capture(fn):
                r, w = os.pipe()
                pid = os.fork()
                if pid == 0:
                    os.dup2(w, 1)
                    fn()
                    os._exit(0)
                os.close(w)
                os.waitpid(pid, 0)
                with open(r, "rb") as end:
                    return end.read()
        """),
        case("one file for all calls", "capture left 1 more open afterwards than before (file)",
             PIPE, {"def capture(fn):": """
                 file = tempfile.TemporaryFile
                 kept = []
                 def capture(fn):
             """,
             "r, w = os.pipe()": """
                 if not kept:
                     kept.append(os.memfd_create("kept"))
                     os.dup2(kept[0], 500)
                     os.close(kept[0])
                     kept[0] = 500
             """,
             "os.dup2(w, 1)\nos.close(w)": "os.dup2(500, 1)",
             'with open(r, "rb") as end:\n    return end.read()': "return os.pread(500, 10_000, 0)"}),
        case("text", "capture returned text", right("1.2"), {"buffering=0": '"w+"'}),
        case("calls it twice", "capture called fn 2 times", "def capture(fn):\n    fn()\n    return fn()"),
        case("calls nothing", "capture did not call fn", "def capture(fn): return b'one'"),
        case("returns nothing", "capture returned None: return the bytes",
             right("1.2"), {"buffering=0": "", "file.seek(0)\nreturn file.read()": ""}),
        case("a number of its own", "Keep what 1 named under a number that the kernel chooses", right("1.2"), {
             "saved = os.dup(1)": "os.dup2(1, 63)", "os.dup2(saved, 1)": "os.dup2(63, 1)", "os.close(saved)": "os.close(63)"}),
    ],
    "1.3": [
        case("numbers only", "a number may name something else now",
             LEAKS, {"before.get(number) != target": "number not in before"}),
        case("targets only", "one thing may be open under two numbers",
             LEAKS, {"return [target for number, target in twice.items() if before.get(number) != target]": "return [target for target in twice.values() if target not in before.values()]"}),
        case("looks once", "look again 0.1 s later", LEAKS, {"time.sleep(0.1)": ""}),
        case("looks before the pause only", "look again 0.1 s later",
             LEAKS, {"twice = fd_table()": "", "fn()": "fn()\ntwice = fd_table()"}),
        case("looks after the pause only", "look again 0.1 s later", LEAKS),
        case("counts what was closed", "fn leaves a file open, under a number that named another thing before, and leaks returned",
             LEAKS, {"twice.items() if before.get(number) != target]": "set(before.items()) ^ set(twice.items())]"}),
        case("the whole table", "fn closes the file that it opens, and leaks returned",
             "def leaks(fn):\n    fn()\n    return list(fd_table().values())"),
        case("returns the numbers", "a list with a value of type int in it", LEAKS, {"[target for": "[number for"}),
        case("lists the folder itself", "Use fd_table, which knows this", """
            def leaks(fn):
                before = set(os.listdir("/proc/self/fd"))
                fn()
                return [os.readlink(f"/proc/self/fd/{n}") for n in set(os.listdir("/proc/self/fd")) - before]
        """),
        case("returns a set", "leaks returned a value of type set", "def leaks(fn):\n    fn()\n    return set()"),
        case("finds nothing", "fn leaves a file and a socket open, and leaks returned [], not [",
             "def leaks(fn):\n    fn()\n    return []"),
        case("calls fn twice", "leaks called fn 2 times", """
            def leaks(fn):
                fn()
                fn()
                return []
        """),
        case("leaks itself", "leaks itself left 1 more open than before", """
            kept = []
            def leaks(fn):
                kept.append(socket.socket())
                fn()
                return []
        """),
    ],
}
