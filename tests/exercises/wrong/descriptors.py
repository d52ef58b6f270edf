"""Typical wrong solutions of 1.x, each with words of the message that names its cause."""

IMPORTS = """
import contextlib, io, os, socket, subprocess, sys, tempfile, threading, time
from course_lib.mine import fd_table
"""

FD_TABLE = {
    "reads the link of its own listing": (
        """
        def fd_table(pid="self"):
            return {int(name): os.readlink(f"/proc/{pid}/fd/{name}") for name in os.listdir(f"/proc/{pid}/fd")}
        """,
        "os.readlink found no such entry in line 2",
    ),
    "lists its own listing": (
        """
        def fd_table(pid="self"):
            with os.scandir(f"/proc/{pid}/fd") as entries:
                return {int(entry.name): os.readlink(entry.path) for entry in entries}
        """,
        "that is the number of your own listing",
    ),
    "leaves its listing open": (
        """
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
        """,
        "fd_table left 1 more open than before",
    ),
    "keys are text": (
        """
        def fd_table(pid="self"):
            found = {}
            for name in os.listdir(f"/proc/{pid}/fd"):
                try:
                    found[name] = os.readlink(f"/proc/{pid}/fd/{name}")
                except FileNotFoundError:
                    pass
            return found
        """,
        "int(name) makes numbers of them",
    ),
    "counts up to a limit": (
        """
        def fd_table(pid="self"):
            found = {}
            for number in range(256):
                try:
                    found[number] = os.readlink(f"/proc/{pid}/fd/{number}")
                except FileNotFoundError:
                    pass
            return found
        """,
        "do not count up to a limit",
    ),
    "this process, whatever the pid": (
        """
        def fd_table(pid="self"):
            found = {}
            for name in os.listdir("/proc/self/fd"):
                try:
                    found[int(name)] = os.readlink(f"/proc/self/fd/{name}")
                except FileNotFoundError:
                    pass
            return found
        """,
        "gave the table of this process",
    ),
    "realpath": (
        """
        def fd_table(pid="self"):
            found = {}
            for name in os.listdir(f"/proc/{pid}/fd"):
                path = f"/proc/{pid}/fd/{name}"
                if os.path.lexists(path):
                    found[int(name)] = os.path.realpath(path)
            return found
        """,
        "realpath and abspath make a path of it that does not exist",
    ),
    "what exists in the file system": (
        """
        def fd_table(pid="self"):
            found = {}
            for name in os.listdir(f"/proc/{pid}/fd"):
                try:
                    target = os.readlink(f"/proc/{pid}/fd/{name}")
                except FileNotFoundError:
                    continue
                if os.path.exists(target):
                    found[int(name)] = target
            return found
        """,
        "has no path, and is open all the same",
    ),
    "asks another program": (
        """
        def fd_table(pid="self"):
            lines = subprocess.run(["ls", "-l", f"/proc/{pid}/fd"], capture_output=True, text=True).stdout.splitlines()
            parts = [line.partition(" -> ") for line in lines if " -> " in line]
            return {int(left.split()[-1]): target for left, _, target in parts}
        """,
        "/proc/self is the process that reads it",
    ),
    "without the standard streams": (
        """
        def fd_table(pid="self"):
            found = {}
            for name in os.listdir(f"/proc/{pid}/fd"):
                try:
                    if int(name) > 2:
                        found[int(name)] = os.readlink(f"/proc/{pid}/fd/{name}")
                except FileNotFoundError:
                    pass
            return found
        """,
        "0, 1 and 2 are rows like all the others",
    ),
    "one dict for all calls": (
        """
        def fd_table(pid="self", found={}):
            for name in os.listdir(f"/proc/{pid}/fd"):
                try:
                    found[int(name)] = os.readlink(f"/proc/{pid}/fd/{name}")
                except FileNotFoundError:
                    pass
            return found
        """,
        "make a new dict in each call",
    ),
    "values are inodes": (
        """
        def fd_table(pid="self"):
            return {int(n): os.stat(f"/proc/{pid}/fd/{n}").st_ino for n in os.listdir(f"/proc/{pid}/fd") if os.path.exists(f"/proc/{pid}/fd/{n}")}
        """,
        "the value is the text that os.readlink gives",
    ),
    "a list of pairs": ("def fd_table(pid='self'): return []", "return a dict"),
    "an empty dict": ("def fd_table(pid='self'): return {}", "is open and missing"),
}

CAPTURE = {
    "replaces sys.stdout": (
        """
        def capture(fn):
            with contextlib.redirect_stdout(io.StringIO()) as text:
                fn()
            return text.getvalue().encode()
        """,
        "redirect the descriptor, with os.dup2",
    ),
    "forgets to restore": (
        """
        def capture(fn):
            file = tempfile.TemporaryFile()
            os.dup2(file.fileno(), 1)
            fn()
            file.seek(0)
            return file.read()
        """,
        "Descriptor 1 still points to your file afterwards: saved = os.dup(1) before",
    ),
    "forgets to restore a pipe": (
        """
        def capture(fn):
            r, w = os.pipe()
            os.dup2(w, 1)
            fn()
            return os.read(r, 1000)
        """,
        "Descriptor 1 still points to your pipe afterwards",
    ),
    "closes 1 instead": (
        """
        def capture(fn):
            file = tempfile.TemporaryFile()
            os.dup2(file.fileno(), 1)
            fn()
            os.close(1)
            file.seek(0)
            return file.read()
        """,
        "Descriptor 1 is closed afterwards",
    ),
    "a pipe that nobody reads": (
        """
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
        """,
        "Deadlock when fn writes 200 kB: it sleeps in line 7, `fn()`. A pipe holds 64 kB",
    ),
    "a pipe whose end for writing stays open": (
        """
        def capture(fn):
            r, w = os.pipe()
            saved = os.dup(1)
            os.dup2(w, 1)
            try:
                fn()
            finally:
                os.dup2(saved, 1)
                os.close(saved)
            with open(r, "rb") as end:
                return end.read()
        """,
        "every number that names the end for writing is closed, yours too",
    ),
    "only closes 1": ("def capture(fn):\n    os.close(1)\n    fn()", "While fn ran, descriptor 1 was closed"),
    "keeps it under a number of its own choice": (
        """
        def capture(fn):
            with tempfile.TemporaryFile() as file:
                os.dup2(1, 0)
                os.dup2(file.fileno(), 1)
                try:
                    fn()
                finally:
                    os.dup2(0, 1)
                file.seek(0)
                return file.read()
        """,
        "and you closed or overwrote it: take the number that os.dup gives",
    ),
    "no finally": (
        """
        def capture(fn):
            with tempfile.TemporaryFile() as file:
                saved = os.dup(1)
                os.dup2(file.fileno(), 1)
                fn()
                os.dup2(saved, 1)
                os.close(saved)
                file.seek(0)
                return file.read()
        """,
        "Descriptor 1 still points to your file after fn raised: put it back in finally:",
    ),
    "hides the exception": (
        """
        def capture(fn):
            with tempfile.TemporaryFile() as file:
                saved = os.dup(1)
                os.dup2(file.fileno(), 1)
                try:
                    fn()
                except Exception:
                    pass
                os.dup2(saved, 1)
                os.close(saved)
                file.seek(0)
                return file.read()
        """,
        "fn raised an exception, and capture hid it",
    ),
    "leaves the copy open": (
        """
        def capture(fn):
            with tempfile.TemporaryFile() as file:
                saved = os.dup(1)
                os.dup2(file.fileno(), 1)
                try:
                    fn()
                finally:
                    os.dup2(saved, 1)
                file.seek(0)
                return file.read()
        """,
        "capture left 1 more open afterwards than before",
    ),
    "leaves the copy open when fn raises": (
        """
        def capture(fn):
            with tempfile.TemporaryFile() as file:
                saved = os.dup(1)
                os.dup2(file.fileno(), 1)
                try:
                    fn()
                finally:
                    os.dup2(saved, 1)
                os.close(saved)
                file.seek(0)
                return file.read()
        """,
        "capture left 1 more open after fn raised than before",
    ),
    "no seek": (
        """
        def capture(fn):
            with tempfile.TemporaryFile() as file:
                saved = os.dup(1)
                os.dup2(file.fileno(), 1)
                try:
                    fn()
                finally:
                    os.dup2(saved, 1)
                    os.close(saved)
                return file.read()
        """,
        "the offset belongs to the open file description",
    ),
    "close-on-exec": (
        """
        def capture(fn):
            with tempfile.TemporaryFile() as file:
                saved = os.dup(1)
                os.dup2(file.fileno(), 1, inheritable=False)
                try:
                    fn()
                finally:
                    os.dup2(saved, 1)
                    os.close(saved)
                file.seek(0)
                return file.read()
        """,
        "1 was close-on-exec, so echo had no 1",
    ),
    "puts it back close-on-exec": (
        """
        def capture(fn):
            with tempfile.TemporaryFile() as file:
                saved = os.dup(1)
                os.dup2(file.fileno(), 1)
                try:
                    fn()
                finally:
                    os.dup2(saved, 1, inheritable=False)
                    os.close(saved)
                file.seek(0)
                return file.read()
        """,
        "1 is close-on-exec now",
    ),
    "opens the old file anew": (
        """
        def capture(fn):
            path = os.readlink("/proc/self/fd/1")
            old = os.open("/proc/self/fd/1", os.O_WRONLY)
            with tempfile.TemporaryFile() as file:
                os.dup2(file.fileno(), 1)
                try:
                    fn()
                finally:
                    os.dup2(old, 1)
                    os.close(old)
                file.seek(0)
                return file.read()
        """,
        "through a new open file description",
    ),
    "runs fn in a copy of the process": (
        """
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
        """,
        "You ran fn in another process",
    ),
    "one file for all calls": (
        """
        file = tempfile.TemporaryFile
        kept = []
        def capture(fn):
            if not kept:
                kept.append(os.memfd_create("kept"))
                os.dup2(kept[0], 500)
                os.close(kept[0])
                kept[0] = 500
            saved = os.dup(1)
            os.dup2(500, 1)
            try:
                fn()
            finally:
                os.dup2(saved, 1)
                os.close(saved)
            return os.pread(500, 10_000, 0)
        """,
        "capture left 1 more open afterwards than before (file)",
    ),
    "text": (
        """
        def capture(fn):
            with tempfile.TemporaryFile("w+") as file:
                saved = os.dup(1)
                os.dup2(file.fileno(), 1)
                try:
                    fn()
                finally:
                    os.dup2(saved, 1)
                    os.close(saved)
                file.seek(0)
                return file.read()
        """,
        "capture returned text",
    ),
    "calls it twice": (
        """
        def capture(fn):
            fn()
            return fn()
        """,
        "capture called fn 2 times",
    ),
    "calls nothing": ("def capture(fn): return b'one'", "capture did not call fn"),
    "returns nothing": (
        """
        def capture(fn):
            with tempfile.TemporaryFile() as file:
                saved = os.dup(1)
                os.dup2(file.fileno(), 1)
                try:
                    fn()
                finally:
                    os.dup2(saved, 1)
                    os.close(saved)
        """,
        "capture returned None: return the bytes",
    ),
}

LEAKS = {
    "numbers only": (
        """
        def leaks(fn):
            before = fd_table()
            fn()
            time.sleep(0.1)
            after = fd_table()
            return [target for number, target in after.items() if number not in before]
        """,
        "a number may name something else now",
    ),
    "targets only": (
        """
        def leaks(fn):
            before = fd_table()
            fn()
            time.sleep(0.1)
            after = fd_table()
            return [target for target in after.values() if target not in before.values()]
        """,
        "one thing may be open under two numbers",
    ),
    "looks once": (
        """
        def leaks(fn):
            before = fd_table()
            fn()
            after = fd_table()
            return [target for number, target in after.items() if before.get(number) != target]
        """,
        "look again 0.1 s later",
    ),
    "looks before the pause only": (
        """
        def leaks(fn):
            before = fd_table()
            fn()
            after = fd_table()
            time.sleep(0.1)
            return [target for number, target in after.items() if before.get(number) != target]
        """,
        "look again 0.1 s later",
    ),
    "looks after the pause only": (
        """
        def leaks(fn):
            before = fd_table()
            fn()
            time.sleep(0.1)
            after = fd_table()
            return [target for number, target in after.items() if before.get(number) != target]
        """,
        "look again 0.1 s later",
    ),
    "counts what was closed": (
        """
        def leaks(fn):
            before = fd_table()
            fn()
            time.sleep(0.1)
            return [target for number, target in set(before.items()) ^ set(fd_table().items())]
        """,
        "left a file, under a number that named another thing before, and leaks found",
    ),
    "the whole table": (
        """
        def leaks(fn):
            fn()
            return list(fd_table().values())
        """,
        "fn closed the file that it opened, and leaks found",
    ),
    "returns the numbers": (
        """
        def leaks(fn):
            before = fd_table()
            fn()
            time.sleep(0.1)
            return [number for number, target in fd_table().items() if before.get(number) != target]
        """,
        "a list with a value of type int in it",
    ),
    "lists the folder itself": (
        """
        def leaks(fn):
            before = set(os.listdir("/proc/self/fd"))
            fn()
            return [os.readlink(f"/proc/self/fd/{n}") for n in set(os.listdir("/proc/self/fd")) - before]
        """,
        "Use fd_table, which knows this",
    ),
    "returns a set": ("def leaks(fn):\n    fn()\n    return set()", "leaks returned a value of type set"),
    "finds nothing": ("def leaks(fn):\n    fn()\n    return []", "fn left a file and a socket open"),
    "calls fn twice": ("def leaks(fn):\n    fn()\n    fn()\n    return []", "leaks called fn 2 times"),
    "leaks itself": (
        """
        kept = []
        def leaks(fn):
            kept.append(socket.socket())
            fn()
            return []
        """,
        "leaks itself left 1 more open than before",
    ),
}

CASES = {"1.1": FD_TABLE, "1.2": CAPTURE, "1.3": LEAKS}
