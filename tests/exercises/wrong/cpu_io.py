"""Typical wrong solutions of 8.x, each with words of the message that names its cause."""

from exercises.case import case, changed, right

IMPORTS = """
import concurrent.futures, inspect, multiprocessing, os, pickle, queue, resource, select, signal, socket, subprocess, sys, threading, time
from course_lib.solutions.coroutines import Loop, recv, sleep
"""

CLASSIFY = changed(right("8.1"), {"used = time.thread_time() - used\nshare = used / (time.perf_counter() - began)":
    "used, whole = time.thread_time() - used, time.perf_counter() - began\nshare = used / whole"})  # fmt: skip

GAP = changed(right("8.2"), {
    "last, before = time.monotonic(), last\nlongest = max(longest, last - before)":
        "now = time.monotonic()\nlongest = max(longest, now - last)\nlast = now",
})  # fmt: skip

OFFLOAD = changed(right("8.3"), {
    "os.closerange(3, theirs.fileno())\nos.closerange(theirs.fileno() + 1, 1 << 20)": "ours.close()",
    "got = bytearray()\n...\nif not got:": """
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
    """,
    "pickle.loads(got)": "pickle.loads(answer)",
})  # fmt: skip

CASES = {
    "8.1": [
        case("counts loops", "classify did not call fn: nothing was measured.", """
            def classify(fn):
                return "cpu" if inspect.getsource(fn).count("for ") else "io"
        """),
        case("counts loops and calls", "Nested loops say nothing of how much is computed",
             right("8.1"), {"used = time.thread_time() - used\nshare = used / (time.perf_counter() - began)": """
                 share = (time.thread_time() - used) / (time.perf_counter() - began)
                 inner = fn.__closure__[1].cell_contents
                 if len(inner.__code__.co_consts) > 9:
                     return "cpu"
             """}),
        case("all threads", "time.process_time() is that of all threads",
             CLASSIFY, {", time.thread_time()": ", time.process_time()",
             "used, whole = time.thread_time() - used, time.perf_counter() - began": "used, whole = time.process_time() - used, time.perf_counter() - began"}),
        case("wall clock twice", "Its thread slept, so the share of CPU is near 0",
             CLASSIFY, {", time.thread_time()": ", time.perf_counter()",
             "used, whole = time.thread_time() - used, time.perf_counter() - began": "used, whole = time.perf_counter() - used, time.perf_counter() - began"}),
        case("CPU clock twice", "Its thread slept, so the share of CPU is near 0",
             CLASSIFY, {"= time.perf_counter()": "= time.thread_time()", ", time.perf_counter()": ", time.thread_time()"}),
        case("upside down", "Its thread slept, so the share of CPU is near 0", CLASSIFY, {"used / whole": "whole / used"}),
        case("words swapped", "Your two words are swapped: a computation is 'cpu'.",
             CLASSIFY, {'cpu" if share > 0.8 else "io': 'io" if share > 0.8 else "cpu'}),
        case("words swapped, and the last computation disturbed", "Your two words are swapped: a computation is 'cpu'.",
             CLASSIFY, {"share = used / whole": """
                 classify.calls = getattr(classify, "calls", 0) + 1
                 share = 0.5 if classify.calls == 36 else used / whole
             """, 'cpu" if share > 0.8 else "io': 'io" if share > 0.8 else "cpu'}),
        case("how long it takes", "Its share of CPU is near 1: CPU time divided by wall time, in this order",
             CLASSIFY, {"share = used / whole": "share = 1 if used > 1 else 0"}),
        case("the wall only", "CPU time divided by wall time, in this order",
             CLASSIFY, {"share = used / whole": "share = 1 if whole > 0.01 else 0"}),
        case("no mixed", "computes and waits in turns is 'mixed', and classify says 'io'",
             CLASSIFY, {'"io" if share < 0.2 else "mixed"': '"io"'}),
        case("returns the share", "classify returned a number",
             CLASSIFY, {'"cpu" if share > 0.8 else "io" if share < 0.2 else "mixed"': "share"}),
        case("capital letters", "classify returned 'CPU'", CLASSIFY, {"cpu": "CPU"}),
        case("no return", "classify returned None: return one of the words", CLASSIFY, {"return": "word ="}),
        case("calls it twice", "classify called fn more than once",
             CLASSIFY, {"time.perf_counter(), time.thread_time()": "time.perf_counter(), time.thread_time()\nfn()"}),
        case("forgets to call", "classify did not call fn", CLASSIFY, {"fn()": "fn"}),
        case("clocks after the call", "and classify says", CLASSIFY, {"fn()": "", "classify(fn):": "classify(fn):\n    fn()"}),
        case("in another thread", "never waits, is 'cpu', and classify says",
             CLASSIFY, {"fn()": "thread = threading.Thread(target=fn)\nthread.start()\nthread.join()"}),
        case("swallows", "fn() raised KeyError, and classify returned",
             CLASSIFY, {"fn()": "try:\n    fn()\nexcept Exception:\n    pass"}),
        case("cut to a whole number", "Is the share a fraction, not cut to a whole number?",
             CLASSIFY, {"share = used / whole": "share = used // whole"}),
        case("nanoseconds by seconds", "Do both clocks count the same unit",
             CLASSIFY, {", time.thread_time()": ", time.thread_time_ns()", ".thread_time() - used": ".thread_time_ns() - used"}),
    ],
    "8.2": [
        case("a thread beats", "The heartbeat has to be a task of the SAME loop", """
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
        """),
        case("the whole time", "The task WAITED for 0.3 s, in the loop, and longest_gap took that for a gap.", """
            def longest_gap(task):
                loop = Loop()
                loop.spawn(task)
                began = time.monotonic()
                loop.run()
                return time.monotonic() - began
        """),
        case("the task's own steps", "The task WAITED for 0.3 s, in the loop", """
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
        """),
        case("no finally", "does its heartbeat notice that the task has ended (try … finally)?",
             GAP, {"try:\n    yield from task\nfinally:\n    over = True": "yield from task\nover = True"}),
        case("beats for ever", "longest_gap did not return within 1.5 s", GAP, {"while not over:": "while True:"}),
        case("spawned second",
             "blocked the loop for 0.2 s before its first yield, and longest_gap did not notice. Spawn the heartbeat first",
             GAP, {"loop.spawn(watched())": "",
             "loop = Loop()": "loop = Loop()\nloop.spawn(watched())"}),
        case("ends without a last beat", "after its last wait, and longest_gap did not notice. The heartbeat must beat once more",
             GAP, {"yield from sleep(0.01)": "yield from sleep(0.01)\nif over:\n    break"}),
        case("the sum", "and take the longest, not the sum",
             GAP, {"longest = max(longest, now - last)": "longest += now - last"}),
        case("the last one", "and longest_gap returned less than", GAP, {"max(longest, now - last)": "now - last"}),
        case("spins", "the heartbeat used the processor all the time", GAP, {"yield from sleep(0.01)": "yield from sleep(0)"}),
        case("beats too seldom", "The task WAITED for 0.3 s", GAP, {"yield from sleep(0.01)": "yield from sleep(0.3)"}),
        case("milliseconds", "longest_gap returned more than the whole run took: return seconds",
             GAP, {"return longest": "return longest * 1000"}),
        case("nothing", "longest_gap returned None: return a float, in seconds.", GAP, {"return longest": "longest"}),
        case("does not run it", "it was not at its end when longest_gap returned",
             GAP, {"yield from task": "yield 'sleep', 0.03\ntime.sleep(0.2)"}),
        case("forgets yield from", "it was not at its end when longest_gap returned", GAP, {"yield from task": "yield task"}),
        case("the loop's result", "longest_gap returned None", GAP, {"loop.run()\nreturn longest": "return loop.run()"}),
        case("the mean", "is it the mean? Return the longest of the gaps",
             GAP, {"over, longest = False, 0.0": "over, longest, count = False, 0.0, 0", "nonlocal longest": "nonlocal longest, count",
             "longest = max(longest, now - last)": "longest, count = longest + now - last, count + 1", "return longest": "return longest / count"}),
        case("CPU time", "Your clock stands still while the task sleeps: it counts CPU time",
             GAP, {"last = time.monotonic()": "last = time.process_time()", "now = time.monotonic": "now = time.process_time"}),
        case("the exception comes out", "The task raised ValueError, and it came out of longest_gap", GAP, {
             "nonlocal over": "nonlocal over, failed", "over, longest = False, 0.0": "over, longest, failed = False, 0.0, None",
             "try:\n    yield from task": "try:\n    yield from task\nexcept Exception as error:\n    failed = error",
             "return longest": "if failed:\n    raise failed\nreturn longest"}),
        case("walks the task itself", "nobody waited for it. Spawn it in a Loop", """
            def longest_gap(task):
                last, longest = time.monotonic(), 0.0
                try:
                    for _ in task:
                        now = time.monotonic()
                        longest, last = max(longest, now - last), now
                except Exception:
                    pass
                return max(longest, time.monotonic() - last)
        """),
    ],
    "8.3": [
        case("calls it here", "offload did not yield although its function",
             "def offload(fn, *args):\n    return fn(*args)\n    yield"),
        case("yields and calls it here", "offload waits, and nobody called fn(*args)", """
            def offload(fn, *args):
                ours, theirs = socket.socketpair()
                theirs.send(b"x")
                yield "read", ours
                return fn(*args)
        """),
        case("a thread", "in a thread: beside it the loop gets the GIL only in turns", """
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
        """),
        case("reads once", "the result of 300 kB was cut",
             OFFLOAD, {"while True:\n...\n    answer += piece": 'yield "read", ours\nanswer = ours.recv(65536)'}),
        case("no waitpid", "Children of offload are zombies", OFFLOAD, {"os.waitpid(pid, 0)": ""}),
        case("waitpid first", "or it waits for the child itself (waitpid, join, result, recv)",
             OFFLOAD, {'answer = b""': 'answer = b""\nos.waitpid(pid, 0)'}),
        case("waitpid before it reads", "A pipe holds 64 kB",
             OFFLOAD, {"os.waitpid(pid, 0)": "",
             "while True:\n...\n        break": """
                 yield "read", ours
                 os.waitpid(pid, 0)
                 while piece := ours.recv(65536):
             """}),
        case("keeps the child's end", "this process holds one. Close it right after fork", OFFLOAD, {"theirs.close()": ""}),
        case("closes the child's end too late", "this process holds one. Close it right after fork",
             OFFLOAD, {"theirs.close()": "", "os.waitpid(pid, 0)": "os.waitpid(pid, 0)\ntheirs.close()"}),
        case("child comes out", "The child process came out of offload", OFFLOAD, {"os._exit(0)": "pass"}),
        case("child returns", "The child process came out of offload", OFFLOAD, {"os._exit(0)": "return"}),
        case("sys.exit", "The child process came out of offload", OFFLOAD, {"os._exit(0)": "sys.exit(0)"}),
        case("exit only when all went well", "The child process came out of offload",
             OFFLOAD, {"try:\n...\n    os._exit(0)": """
                 try:
                     ours.close()
                     answer = pickle.dumps((fn(*args), None))
                     theirs.sendall(answer)
                     os._exit(0)
                 except ZeroDivisionError:
                     pass
             """}),
        case("exception is lost", "The function raised ValueError('no such page'), and offload raised ChildProcessError",
             OFFLOAD, {"try:\n...\n    answer = pickle.dumps((None, error))": "answer = pickle.dumps((fn(*args), None))"}),
        case("exception is returned", "The function raised ValueError, and offload returned ValueError",
             OFFLOAD, {"raise failed": "return failed"}),
        case("exception is text", "and offload raised RuntimeError", OFFLOAD, {"None, error": "None, RuntimeError(str(error))"}),
        case("None is nothing", "offload raised ChildProcessError",
             OFFLOAD, {"pickle.loads(answer)": "pickle.loads(answer)\nif not result:\n    raise failed or ChildProcessError()"}),
        case("text instead of pickle", "offload returned a value of type str. What fn returned goes through the pipe whole",
             OFFLOAD, {"answer = pickle.dumps((fn(*args), None))": "answer = str(fn(*args)).encode()",
             "result, failed = pickle.loads(answer)": "result, failed = answer.decode(), None"}),
        case("arguments forgotten", "TypeError", OFFLOAD, {"pickle.dumps((fn(*args), None))": "pickle.dumps((fn(), None))"}),
        case("arguments as one", "TypeError", OFFLOAD, {"dumps((fn(*args), None))": "dumps((fn(args) if args else fn(), None))"}),
        case("number instead of socket", "offload yielded ('read', number)", OFFLOAD, {'"read", ours': '"read", ours.fileno()'}),
        case("waits for the child's end", "does not become readable",
             OFFLOAD, {"theirs.close()": "", 'yield "read", ours': 'yield "read", theirs'}),
        case("asks again and again", "offload yielded ('sleep', …)",
             OFFLOAD, {'yield "read", ours': 'yield "sleep", 0.01\nif not select.select([ours], [], [], 0)[0]: continue'}),
        case("waits for writing", "offload yielded ('write', …)", OFFLOAD, {'yield "read", ours': 'yield "write", ours'}),
        case("yields only a word", "offload yielded 'read'", OFFLOAD, {'yield "read", ours': 'yield "read"'}),
        case("descriptor left", "more descriptors are open",
             OFFLOAD, {"def offload": "keep = []\ndef offload", "with ours:": "keep.append(ours)\nif True:"}),
        case("a dead child is None", "as if that were its result",
             OFFLOAD, {'raise ChildProcessError("the child process ended without an answer")': "return None"}),
        case("blocking read", "or it waits for the child itself (waitpid, join, result, recv)",
             OFFLOAD, {"while True:\n...\n    answer += piece": "while piece := ours.recv(65536):\n    answer += piece\nyield None"}),
        case("reads all at once",
             "The child had sent a part of its result, and stood still, and offload did not return to the loop",
             OFFLOAD, {"while True:\n...\n    answer += piece": 'yield "read", ours\nanswer = ours.makefile("rb").read()'}),
        case("a short piece is the last", "not yet: ",
             OFFLOAD, {"answer += piece": "", "if not piece:": "answer += piece\nif len(piece) < 65536:"}),
        case("a connection", "it waits for all of it. Take what one recv() gives", """
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
        """),
        case("a pool", "The function was pickled", """
            def offload(fn, *args):
                ours, theirs = socket.socketpair()
                with concurrent.futures.ProcessPoolExecutor(1, multiprocessing.get_context('fork')) as pool:
                    future = pool.submit(fn, *args)
                    future.add_done_callback(lambda _: theirs.send(b"x"))
                    yield "read", ours
                    return future.result()
        """),
        case("spawn", "os.fork() copies the whole process", """
            def offload(fn, *args):
                ours, theirs = multiprocessing.Pipe()
                process = multiprocessing.get_context("spawn").Process(target=lambda: theirs.send(fn(*args)))
                process.start()
                yield "read", ours
                return ours.recv()
        """),
        case("takes anybody's exit status", "Another child of this process had ended, and offload took its exit status",
             OFFLOAD, {"os.waitpid(pid, 0)": "os.waitpid(-1, 0)"}),
    ],
}

RIGHT = {
    "8.3": [
        case("tries before it waits", "",
             OFFLOAD, {'yield "read", ours\npiece = ours.recv(65536)': "piece = yield from recv(ours, 65536)",
             "ours.close()": "os.closerange(3, theirs.fileno())\nos.closerange(theirs.fileno() + 1, 1 << 20)", "theirs.close()": "theirs.close()\nours.setblocking(False)"}),
    ],
}
