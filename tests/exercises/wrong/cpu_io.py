"""Typical wrong solutions of 8.x, each with words of the message that names its cause."""

from exercises.wrong.polling import changed

IMPORTS = """
import concurrent.futures, inspect, multiprocessing, os, pickle, queue, select, signal, socket, subprocess, sys, threading, time
from course_lib.solutions.coroutines import Loop, sleep
"""

CLASSIFY = """
def classify(fn):
    began, used = time.perf_counter(), time.thread_time()
    fn()
    used, whole = time.thread_time() - used, time.perf_counter() - began
    share = used / whole
    return "cpu" if share > 0.8 else "io" if share < 0.2 else "mixed"
"""

_SLEPT = "Its thread slept, so the share of CPU is near 0"

CLASSIFY_CASES = {
    "counts loops": (
        """
        def classify(fn):
            return "cpu" if inspect.getsource(fn).count("for ") else "io"
        """,
        "classify did not call fn: nothing was measured.",
    ),
    "counts loops and calls": (
        """
        def classify(fn):
            began, used = time.perf_counter(), time.thread_time()
            fn()
            share = (time.thread_time() - used) / (time.perf_counter() - began)
            inner = fn.__closure__[1].cell_contents
            if len(inner.__code__.co_consts) > 9:
                return "cpu"
            return "cpu" if share > 0.8 else "io" if share < 0.2 else "mixed"
        """,
        "Nested loops say nothing of how much is computed",
    ),
    "all threads": (CLASSIFY.replace("thread_time", "process_time"), "time.process_time() is that of all threads"),
    "wall clock twice": (CLASSIFY.replace("thread_time", "perf_counter"), _SLEPT),
    "CPU clock twice": (CLASSIFY.replace("perf_counter", "thread_time"), _SLEPT),
    "upside down": (changed(CLASSIFY, ("used / whole", "whole / used")), _SLEPT),
    "words swapped": (CLASSIFY.replace('"cpu" if', '"tmp" if').replace('"io" if', '"cpu" if').replace('"tmp" if', '"io" if'), "never waits, is 'cpu', and classify says"),
    "how long it takes": (
        changed(CLASSIFY, ("share = used / whole", "share = 1 if used > 1 else 0")),
        "Its share of CPU is near 1: CPU time divided by wall time, in this order",
    ),
    "the wall only": (changed(CLASSIFY, ("share = used / whole", "share = 1 if whole > 0.01 else 0")), "CPU time divided by wall time, in this order"),
    "no mixed": (changed(CLASSIFY, ('"io" if share < 0.2 else "mixed"', '"io"')), "computes and waits in turns is 'mixed', and classify says 'io'"),
    "returns the share": (changed(CLASSIFY, ('"cpu" if share > 0.8 else "io" if share < 0.2 else "mixed"', "share")), "classify returned a number"),
    "capital letters": (changed(CLASSIFY, ('"cpu"', '"CPU"')), "classify returned 'CPU'"),
    "no return": (changed(CLASSIFY, ('return "cpu"', 'word = "cpu"')), "classify returned None: return one of the words"),
    "calls it twice": (changed(CLASSIFY, ("    fn()\n", "    fn()\n    fn()\n")), "classify called fn more than once"),
    "forgets to call": (changed(CLASSIFY, ("    fn()\n", "    fn\n")), "classify did not call fn"),
    "clocks after the call": (
        changed(CLASSIFY, ("    began, used = time.perf_counter(), time.thread_time()\n    fn()\n", "    fn()\n    began, used = time.perf_counter(), time.thread_time()\n")),
        "and classify says",
    ),
    "in another thread": (
        changed(CLASSIFY, ("    fn()\n", "    thread = threading.Thread(target=fn)\n    thread.start()\n    thread.join()\n")),
        "never waits, is 'cpu', and classify says",
    ),
    "swallows": (
        changed(CLASSIFY, ("    fn()\n", "    try:\n        fn()\n    except Exception:\n        pass\n")),
        "fn() raised KeyError, and classify returned",
    ),
}

GAP = """
def longest_gap(task):
    over, longest = False, 0.0
    def watched():
        nonlocal over
        try:
            yield from task
        finally:
            over = True
    def heartbeat():
        nonlocal longest
        last = time.monotonic()
        while not over:
            yield from sleep(0.01)
            now = time.monotonic()
            longest = max(longest, now - last)
            last = now
    loop = Loop()
    loop.spawn(heartbeat())
    loop.spawn(watched())
    loop.run()
    return longest
"""

_BEAT = "            yield from sleep(0.01)\n"

GAP_CASES = {
    "a thread beats": (
        """
        def longest_gap(task):
            over, gaps = threading.Event(), [0.0]
            def beat():
                last = time.monotonic()
                while not over.is_set():
                    time.sleep(0.01)
                    now = time.monotonic()
                    gaps.append(now - last)
                    last = now
            thread = threading.Thread(target=beat, daemon=True)
            thread.start()
            loop = Loop()
            loop.spawn(task)
            loop.run()
            over.set()
            thread.join()
            return max(gaps)
        """,
        "The heartbeat has to be a task of the SAME loop",
    ),
    "the whole time": (
        """
        def longest_gap(task):
            loop = Loop()
            loop.spawn(task)
            began = time.monotonic()
            loop.run()
            return time.monotonic() - began
        """,
        "The task WAITED for 0.3 s, in the loop, and longest_gap took that for a gap.",
    ),
    "the task's own steps": (
        """
        def longest_gap(task):
            longest = 0.0
            def watched():
                nonlocal longest
                last = time.monotonic()
                for wait in task:
                    yield wait
                    longest = max(longest, time.monotonic() - last)
                    last = time.monotonic()
                longest = max(longest, time.monotonic() - last)
            loop = Loop()
            loop.spawn(watched())
            loop.run()
            return longest
        """,
        "The task WAITED for 0.3 s, in the loop",
    ),
    "no finally": (changed(GAP, ("        try:\n            yield from task\n        finally:\n            over = True\n", "        yield from task\n        over = True\n")), "does its heartbeat notice that the task has ended (try … finally)?"),
    "beats for ever": (changed(GAP, ("while not over:", "while True:")), "longest_gap did not return within 1.5 s"),
    "spawned second": (
        changed(GAP, ("    loop.spawn(heartbeat())\n    loop.spawn(watched())\n", "    loop.spawn(watched())\n    loop.spawn(heartbeat())\n")),
        "blocked the loop for 0.2 s before its first yield, and longest_gap did not notice. Spawn the heartbeat first",
    ),
    "ends without a last beat": (
        changed(GAP, (_BEAT, _BEAT + "            if over:\n                break\n")),
        "after its last wait, and longest_gap did not notice. The heartbeat must beat once more",
    ),
    "the sum": (changed(GAP, ("longest = max(longest, now - last)", "longest += now - last")), "and take the longest, not the sum"),
    "the last one": (changed(GAP, ("longest = max(longest, now - last)", "longest = now - last")), "and longest_gap returned less than"),
    "spins": (changed(GAP, ("sleep(0.01)", "sleep(0)")), "the heartbeat used the processor all the time"),
    "beats too seldom": (changed(GAP, ("sleep(0.01)", "sleep(0.3)")), "The task WAITED for 0.3 s"),
    "milliseconds": (changed(GAP, ("return longest", "return longest * 1000")), "longest_gap returned more than the whole run took: return seconds"),
    "nothing": (changed(GAP, ("    return longest", "    longest")), "longest_gap returned None: return a float, in seconds."),
    "does not run it": (changed(GAP, ("            yield from task\n", "            yield 'sleep', 0.03\n            time.sleep(0.2)\n")), "it was not at its end when longest_gap returned"),
    "forgets yield from": (changed(GAP, ("            yield from task\n", "            yield task\n")), "it was not at its end when longest_gap returned"),
    "the loop's result": (changed(GAP, ("    loop.run()\n    return longest", "    return loop.run()")), "longest_gap returned None"),
}

OFFLOAD = """
def offload(fn, *args):
    ours, theirs = socket.socketpair()
    pid = os.fork()
    if pid == 0:
        try:
            ours.close()
            try:
                answer = pickle.dumps((fn(*args), None))
            except BaseException as error:
                answer = pickle.dumps((None, error))
            theirs.sendall(answer)
        finally:
            os._exit(0)
    theirs.close()
    answer = b""
    with ours:
        while True:
            yield "read", ours
            piece = ours.recv(65536)
            if not piece:
                break
            answer += piece
    os.waitpid(pid, 0)
    if not answer:
        raise ChildProcessError("the child has died")
    result, error = pickle.loads(answer)
    if error is not None:
        raise error
    return result
"""

_READ = """        while True:
            yield "read", ours
            piece = ours.recv(65536)
            if not piece:
                break
            answer += piece
"""
_CHILD_TRY = """            try:
                answer = pickle.dumps((fn(*args), None))
            except BaseException as error:
                answer = pickle.dumps((None, error))
"""

OFFLOAD_CASES = {
    "calls it here": (
        """
        def offload(fn, *args):
            return fn(*args)
            yield
        """,
        "offload did not yield although its function",
    ),
    "yields and calls it here": (
        """
        def offload(fn, *args):
            ours, theirs = socket.socketpair()
            theirs.send(b"x")
            yield "read", ours
            return fn(*args)
        """,
        "offload waits, and nobody called fn(*args)",
    ),
    "a thread": (
        """
        def offload(fn, *args):
            ours, theirs = socket.socketpair()
            results = []
            def work():
                try:
                    results.append((fn(*args), None))
                except BaseException as error:
                    results.append((None, error))
                theirs.send(b"x")
            threading.Thread(target=work).start()
            yield "read", ours
            ours.close()
            theirs.close()
            result, error = results[0]
            if error:
                raise error
            return result
        """,
        "in a thread: beside it the loop gets the GIL only in turns",
    ),
    "reads once": (changed(OFFLOAD, (_READ, '        yield "read", ours\n        answer = ours.recv(65536)\n')), "the result of 300 kB was cut"),
    "no waitpid": (changed(OFFLOAD, ("    os.waitpid(pid, 0)\n", "")), "Children of offload are zombies"),
    "waitpid first": (changed(OFFLOAD, ('    answer = b""\n', '    answer = b""\n    os.waitpid(pid, 0)\n')), "or it waits for the child itself (waitpid, join, result, recv)"),
    "waitpid before it reads": (
        changed(OFFLOAD, (_READ, '        yield "read", ours\n        os.waitpid(pid, 0)\n        while piece := ours.recv(65536):\n            answer += piece\n'), ("    os.waitpid(pid, 0)\n    if", "    if")),
        "A pipe holds 64 kB",
    ),
    "keeps the child's end": (changed(OFFLOAD, ("    theirs.close()\n", "")), "this process holds one. Close it right after fork"),
    "closes the child's end too late": (changed(OFFLOAD, ("    theirs.close()\n", ""), ("    os.waitpid(pid, 0)\n", "    os.waitpid(pid, 0)\n    theirs.close()\n")), "this process holds one. Close it right after fork"),
    "child comes out": (changed(OFFLOAD, ("            os._exit(0)\n", "            pass\n")), "The child process came out of offload"),
    "child returns": (changed(OFFLOAD, ("            os._exit(0)\n", "            return\n")), "The child process came out of offload"),
    "sys.exit": (changed(OFFLOAD, ("            os._exit(0)\n", "            sys.exit(0)\n")), "The child process came out of offload"),
    "exit only when all went well": (
        changed(OFFLOAD, (_CHILD_TRY, "            answer = pickle.dumps((fn(*args), None))\n"), ("        finally:\n            os._exit(0)\n", "            os._exit(0)\n        except ZeroDivisionError:\n            pass\n")),
        "The child process came out of offload",
    ),
    "exception is lost": (
        changed(OFFLOAD, (_CHILD_TRY, "            answer = pickle.dumps((fn(*args), None))\n")),
        "The function raised ValueError('no such page'), and offload raised ChildProcessError",
    ),
    "exception is returned": (changed(OFFLOAD, ("        raise error\n", "        return error\n")), "The function raised ValueError, and offload returned ValueError"),
    "exception is text": (changed(OFFLOAD, ("pickle.dumps((None, error))", "pickle.dumps((None, RuntimeError(str(error))))")), "and offload raised RuntimeError"),
    "None is nothing": (changed(OFFLOAD, ("    if error is not None:", "    if not result:\n        raise error or ChildProcessError()\n    if error is not None:")), "offload raised ChildProcessError"),
    "text instead of pickle": (
        changed(OFFLOAD, ("pickle.dumps((fn(*args), None))", "str(fn(*args)).encode()"), ("    result, error = pickle.loads(answer)\n", "    result, error = answer.decode(), None\n")),
        "offload returned a value of type str. What fn returned goes through the pipe whole",
    ),
    "arguments forgotten": (changed(OFFLOAD, ("fn(*args)", "fn()")), "TypeError"),
    "arguments as one": (changed(OFFLOAD, ("fn(*args)", "fn(args) if args else fn()")), "TypeError"),
    "number instead of socket": (changed(OFFLOAD, ('yield "read", ours', 'yield "read", ours.fileno()')), "offload yielded ('read', number)"),
    "waits for the child's end": (changed(OFFLOAD, ("    theirs.close()\n", ""), ('yield "read", ours', 'yield "read", theirs')), "does not become readable"),
    "asks again and again": (
        changed(OFFLOAD, ('            yield "read", ours\n', '            yield "sleep", 0.01\n            if not select.select([ours], [], [], 0)[0]: continue\n')),
        "offload yielded ('sleep', …)",
    ),
    "waits for writing": (changed(OFFLOAD, ('yield "read", ours', 'yield "write", ours')), "offload yielded ('write', …)"),
    "yields only a word": (changed(OFFLOAD, ('yield "read", ours', 'yield "read"')), "offload yielded 'read'"),
    "descriptor left": (changed(OFFLOAD, ("    with ours:\n", "    keep.append(ours)\n    if True:\n"), ("def offload(fn, *args):\n", "keep = []\ndef offload(fn, *args):\n")), "more descriptors are open"),
    "a dead child is None": (changed(OFFLOAD, ('        raise ChildProcessError("the child has died")\n', "        return None\n")), "as if that were its result"),
    "blocking read": (
        changed(OFFLOAD, (_READ, "        while piece := ours.recv(65536):\n            answer += piece\n        yield None\n")),
        "or it waits for the child itself (waitpid, join, result, recv)",
    ),
    "reads all at once": (
        changed(OFFLOAD, (_READ, '        yield "read", ours\n        answer = ours.makefile("rb").read()\n')),
        "The child had sent a part of its result, and stood still, and offload did not return to the loop",
    ),
    "a short piece is the last": (
        changed(OFFLOAD, ("            if not piece:\n                break\n            answer += piece\n", "            answer += piece\n            if len(piece) < 65536:\n                break\n")),
        "not yet: ",
    ),
    "a connection": (
        """
        def work(conn, fn, args):
            try:
                conn.send((fn(*args), None))
            except BaseException as error:
                conn.send((None, error))
        def offload(fn, *args):
            ours, theirs = multiprocessing.Pipe(False)
            process = multiprocessing.get_context("fork").Process(target=work, args=(theirs, fn, args))
            process.start()
            theirs.close()
            yield "read", ours
            with ours:
                result, error = ours.recv()
            process.join()
            process.close()
            if error:
                raise error
            return result
        """,
        "it waits for all of it. Take what one recv() gives",
    ),
    "a pool": (
        """
        def offload(fn, *args):
            ours, theirs = socket.socketpair()
            with concurrent.futures.ProcessPoolExecutor(1) as pool:
                future = pool.submit(fn, *args)
                future.add_done_callback(lambda _: theirs.send(b"x"))
                yield "read", ours
                return future.result()
        """,
        "nobody called fn(*args)",
    ),
    "spawn": (
        """
        def offload(fn, *args):
            ours, theirs = multiprocessing.Pipe()
            process = multiprocessing.get_context("spawn").Process(target=lambda: theirs.send(fn(*args)))
            process.start()
            yield "read", ours
            return ours.recv()
        """,
        "os.fork() copies the whole process",
    ),
}

CASES = {"8.1": CLASSIFY_CASES, "8.2": GAP_CASES, "8.3": OFFLOAD_CASES}
