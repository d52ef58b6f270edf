"""Run notebooks as a restless learner does: in any order, some cells twice, interrupted at any moment, with a restart.

    python tests/chaos.py --seed 1 --rounds 10 [--notebook 04] [--steps 40] [--all]

A round has a notebook, a kernel of its own and a learner's folder of its own; all that is left to chance follows from the
seed. Cells may fail, since what they need may be missing. But a cell that is interrupted ends, and after the first cell
of the notebook nothing is left of the servers, their threads, their descriptors and their processes; the progress and
the learner's library are whole. With --all, each round ends with a Run All in the same kernel, which has to succeed.
The exit status is 1 if a round found a fault. A cell that waits is interrupted after a while and listed: in another order
it may rightly wait, for an answer of a server that another client keeps busy.
"""

import argparse
import ast
import json
import os
import queue
import random
import re
import signal
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from held import listening, marked
from jupyter_client.manager import KernelManager
from outputs import MAY_RAISE, NOTEBOOKS, code, environment, notebooks, read, tags

from course_lib import ports, proc
from course_lib.exercises import all_exercises
from course_lib.grading.local_kernels import local_sockets
from course_lib.kernel import wait_until

# What leaves plain numbers of descriptors open when it stops halfway; Popen, interrupted, is such a thing too.
MAKES_NUMBERS = re.compile(r"\bos\.(pipe|openpty|open|dup|eventfd|pidfd_open)\(|\bsubprocess\.|\b(own_process|plain)\(")
STARTS_PROCESSES = re.compile(r"\b(check|ladder|waiting_cost|ready_cost|run_mix|ten_thousand|own_process|plain)\(")
NUMBERS = {"pipe:[]", "/dev/ptmx", "/dev/pts/", "/dev/null", "anon_inode:[eventfd]", "anon_inode:[pidfd]"}
ENDS = 5.0  # seconds within which an interrupted cell has ended; what it waited for a processor is not counted
LINGERS = 20.0  # seconds within which the processes of an ended kernel are gone
SETTLES = 10.0  # seconds within which threads that were told to end have ended
WAITS = 30.0  # seconds after which a cell that does not end is interrupted
KEPT = {"guesses": {"kept": {"answer": "one", "sure": 50}}, "exercises": {"2.2": {"passed": True}}}  # from an earlier day
CLICKS = [
    {"type": "connect"},
    {"type": "connect", "many": True},
    {"type": "send", "client": "alice", "text": "hello"},
    {"type": "send_block", "client": "bob"},
    {"type": "slow", "client": "alice"},
    {"type": "close", "client": "alice"},
    {"type": "half_close", "client": "bob"},
    {"type": "reset", "client": "carol"},
    {"type": "record", "on": True},
    {"type": "record", "on": False},
    {"type": "hold"},
    {"type": "step"},
    {"type": "run_on"},
    {"type": "stop"},
    {"type": "start"},
    {"type": "blocking", "of": "connections", "blocking": False},
    {"type": "blocking", "of": "listener", "blocking": True},
]

# Forgets what the cells defined, and what Python and IPython keep of the last error: so what is left was lost. A cell that
# stopped halfway may have left plain numbers of descriptors in its variables: those are closed.
FORGET = """
def forget(others):
    import os, sys
    shell = get_ipython()
    values = [value for name, value in shell.user_ns.items() if not name.startswith("_")]
    for number in {n for value in values for n in (value if isinstance(value, (list, tuple)) else [value]) if type(n) is int}:
        if number >= 0 and number not in others and os.path.exists(f"/proc/self/fd/{number}"):
            os.close(number)
    for name in ("last_exc", "last_type", "last_value", "last_traceback"):
        vars(sys).pop(name, None)
    shell.InteractiveTB.tb = shell._last_traceback = None
    shell.reset(new_session=False)
    shell.user_ns["__spec__"] = None  # multiprocessing asks the main module for it
forget(%s)
"""

# A first long output makes a thread and an epoll of pyzmq's own, which stay until the kernel ends.
LONG = """
from IPython.display import display
display({"text/plain": "-" * 1_000_000}, raw=True)
"""

# What the kernel's process holds: names of threads, kinds of descriptors, running servers. Fonts and the history stay open, its folder for moments,
# and so do the threads that the kernel's asyncio loop keeps for to_thread.
HELD = r"""
def held():
    import gc, json, re, sys, threading
    from course_lib.proc import links
    gc.collect()
    held = links()
    kinds = [re.sub(r"\d+", "", link) for link in held.values() if not link.endswith(".ttf") and "/profile_default" not in link]
    registry = sys.modules.get("course_lib.servers.registry")
    threads = [thread.name for thread in threading.enumerate() if not thread.name.startswith("asyncio_")]
    print(json.dumps({
        "threads": [re.sub(r"\d+", "", name) for name in threads],
        "descriptors": kinds, "numbers": list(held),
        "servers": [repr(server) for server in registry.live_servers()] if registry else []}))
held()
del held
"""


@dataclass
class Ended:
    """How a cell ended: "ok", an exception's name, "stuck" (no interrupt helped) or "dead" (its kernel is gone)."""

    how: str
    text: str = ""
    interrupted: bool = False
    waited: bool = False
    seconds: float = 0.0  # from the interrupt to the end, waiting for a processor not counted


class Kernel:
    """One kernel and what a page would know of it."""

    def __init__(self, home: Path) -> None:
        self._manager = KernelManager(kernel_name="python3", **local_sockets())
        self._log = home.with_name("kernel.txt").open("w+b")  # a restart writes there too
        self._manager.start_kernel(env=environment(home), cwd=str(NOTEBOOKS), stdout=self._log, stderr=self._log)
        self.panels: list[str] = []
        self._listen()

    @property
    def pid(self) -> int:
        return self._manager.provisioner.pid

    def _listen(self) -> None:
        self._client = self._manager.blocking_client()
        self._client.start_channels()
        self._client.wait_for_ready(timeout=120)

    def restart(self) -> None:
        """As the menu does it, also while a cell runs."""
        self._client.stop_channels()
        self._manager.restart_kernel()
        self.panels.clear()
        self._listen()

    def end(self) -> None:
        self._client.stop_channels()
        self._manager.shutdown_kernel()
        self._log.close()

    def begin(self, source: str) -> str:
        """Hand a cell in, and wait until it has begun."""
        message = self._client.execute(source, allow_stdin=False, stop_on_error=False)
        until = time.monotonic() + 60
        while (heard := self._hear(until, message)) and heard["content"].get("execution_state") != "busy":
            pass
        return message

    def run(self, source: str, moment: str | float | None = None) -> Ended:
        """Run a cell; interrupt it at once, at its "first output", or so many seconds after it began."""
        message = self.begin(source)
        ended = Ended("ok")
        begun = time.monotonic()
        due = begun + (moment if isinstance(moment, float) else 0 if moment == "at once" else WAITS)
        patience, started = None, 0.0
        while True:
            heard = self._hear(due if patience is None else patience, message)
            if heard is None and not self._manager.is_alive():
                return Ended("dead", Path(self._log.name).read_text(errors="replace"))
            now = time.monotonic()
            first = moment == "first output" and heard and heard["msg_type"] in ("stream", "display_data", "execute_result")
            if patience is None and (heard is None or first):
                ended.waited = heard is None and now - begun >= WAITS
                ended.interrupted = True
                started, delayed = now, self._delay()
                patience = now + ENDS
                self._manager.interrupt_kernel()
            elif heard is None:
                # Others may have had the processor: that is nobody's fault.
                if self._delay() - delayed > 0.2 * ENDS and now - started < 12 * ENDS:
                    patience, delayed = now + ENDS, self._delay()
                    continue
                ended.how = "stuck"
                return ended
            if heard is None:
                continue
            content = heard["content"]
            if heard["msg_type"] == "error":
                ended.how, ended.text = content["ename"], ended.text + content["evalue"]
            elif heard["msg_type"] == "stream":
                ended.text += content["text"]
            elif heard["msg_type"] == "status" and content["execution_state"] == "idle":
                ended.seconds = now - started if ended.interrupted else 0.0
                self._take_reply(message)
                return ended

    def click(self, panel: str, message: dict) -> None:
        """What the page sends when somebody clicks in a panel."""
        data = {"method": "custom", "content": message}
        self._client.shell_channel.send(self._client.session.msg("comm_msg", {"comm_id": panel, "data": data}))

    def _take_reply(self, message: str) -> None:
        try:
            while self._client.get_shell_msg(timeout=10)["parent_header"].get("msg_id") != message:
                pass
        except queue.Empty:
            pass

    def _hear(self, until: float, about: str) -> dict | None:
        """The next message about a cell until then; panels that are opened are remembered."""
        while (left := until - time.monotonic()) > -1:
            try:
                heard = self._client.get_iopub_msg(timeout=max(0.0, left))
            except queue.Empty:
                return None
            if heard["msg_type"] == "comm_open" and "parts" in heard["content"]["data"].get("state", {}):
                self.panels.append(heard["content"]["comm_id"])
            if heard["parent_header"].get("msg_id") == about:
                return heard
        return None

    def _delay(self) -> float:
        """Seconds for which the kernel's first thread waited for a processor (proc_pid_schedstat, sched-stats)."""
        try:
            return int(Path(f"/proc/{self.pid}/schedstat").read_text().split()[1]) / 1e9
        except OSError:
            return 0.0


@dataclass
class Round:
    """One round: what was done, and the faults that were found."""

    name: str
    seed: int
    ran: int = 0
    passed: int = 0  # exercises that the journal names as passed
    interrupted: list[int] = field(default_factory=list)  # numbers of cells
    slowest: float = 0.0
    halfway: int = 0  # cells that stopped while they may have held plain numbers of descriptors
    errors: Counter = field(default_factory=Counter)
    waited: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        head = (
            f"seed {self.seed}, {self.name}: {self.ran} cells, {len(self.interrupted)} interrupted, the slowest ended after "
            f"{self.slowest:.1f} s, {self.passed} exercises passed, errors {dict(self.errors)}"
        )
        if self.faults:
            head += f"; interrupted were the cells {self.interrupted}"
        waited, faults = (f"    waited: {line}" for line in self.waited), (f"    FAULT: {line}" for line in self.faults)
        return "\n".join([head, *waited, *faults])


def steps(count: int, length: int, chance: random.Random) -> list[int]:
    """The order of the cells: at random in a third of the rounds; else forward, with cells repeated and jumps."""
    if chance.random() < 1 / 3:
        order = list(range(count)) + chance.choices(range(count), k=count // 5)
        chance.shuffle(order)
        return order[:length]
    at, order = chance.choice([0, chance.randrange(count)]), []
    while len(order) < length:
        order.append(at)
        turn = chance.random()
        if turn < 0.1:
            continue  # the same cell once more
        back, anywhere = max(0, at - chance.randrange(1, 10)), chance.randrange(count)
        at = back if turn < 0.2 else anywhere if turn < 0.28 else (at + 1) % count
    return order


def moment(source: str, chance: random.Random) -> str | float | None:
    """When a cell is interrupted, if it is: checks and measurements, which start processes, in half of the cases."""
    if chance.random() < (0.5 if STARTS_PROCESSES.search(source) else 0.8):
        return None
    return chance.choice(["at once", "first output", chance.uniform(0, 0.05), chance.uniform(0, 0.5), chance.uniform(0, 2)])


def play(path: Path, seed: int, length: int | None = None, run_all: bool = False) -> Round:
    """One round with one notebook."""
    result, chance = Round(path.stem, seed), random.Random(f"{seed} {path.stem}")
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder:
        home = Path(folder) / "mine"
        home.mkdir()
        (home / "progress.json").write_text(json.dumps(KEPT))
        lines = next(exercise for exercise in all_exercises() if exercise.names == ("Lines",))
        (home / "lines.py").write_text(lines.reference, encoding="utf-8")
        kernel = Kernel(home)
        try:
            _round(kernel, path, home, chance, result, length, run_all)
        finally:
            kernel.end()
        if not wait_until(lambda: not processes_of(home), LINGERS):
            result.faults.append(f"processes outlive the kernel: {processes_of(home)}")
            for pid in processes_of(home):
                os.kill(pid, signal.SIGKILL)
        library(home, result, set(), {"lines.py"})
    return result


def _round(
    kernel: Kernel, path: Path, home: Path, chance: random.Random, result: Round, length: int | None, run_all: bool
) -> None:
    cells = code(read(path))
    sources = [cell.source for cell in cells]
    for exercise in all_exercises():
        for index, cell in enumerate(cells):
            if f"exercise-{exercise.id}" in tags(cell) and chance.random() < 0.7:
                sources[index] = exercise.reference
    order = steps(len(cells), length or len(cells), chance)
    middle, clicks = len(order) // 2, chance.random() < 1 / 3
    before = start(kernel, sources[0], result)
    entries, files = library(home, result, set(), {"lines.py"})
    for turn, index in enumerate(order):
        if turn == middle:
            if chance.random() < 0.5:
                kernel.begin(sources[index])  # it is cut off
            kernel.restart()
            if others := processes_of(home) - {kernel.pid}:
                if not wait_until(lambda: not others & processes_of(home), LINGERS):
                    result.faults.append(f"processes outlive a restart: {others}")
            entries, files = library(home, result, entries, files)
            before = start(kernel, sources[0], result) if chance.random() < 0.8 else None
        if clicks and kernel.panels and chance.random() < 0.2:
            panel = kernel.panels[-1]
            kernel.click(panel, {"type": "ready", "view": panel})
            kernel.click(panel, chance.choice(CLICKS))
        ended = kernel.run(sources[index], moment(sources[index], chance))
        result.ran += 1
        result.halfway += ended.how != "ok" and bool(MAKES_NUMBERS.search(sources[index]))
        if not count(ended, index, cells[index], result):
            return
    for panel in kernel.panels:
        kernel.click(panel, {"type": "gone", "view": panel})
    if before is None:
        kernel.restart()
        before = start(kernel, sources[0], result)
    after(kernel, sources[0], before, result)
    library(home, result, entries, files)
    if run_all:
        for index, cell in enumerate(cells):
            ended = kernel.run(cell.source)
            if ended.waited or (ended.how != "ok" and not MAY_RAISE & tags(cell)):
                result.faults.append(f"Run All afterwards: cell {index + 1} {ended.how}: {ended.text[-200:]}: {head(cell)}")
                return


def start(kernel: Kernel, first: str, result: Round) -> dict | None:
    """Run the first cell of the notebook. Returns what the kernel's process holds then."""
    kernel.run(LONG)
    ended = kernel.run(first)
    if ended.how != "ok":
        result.faults.append(f"the first cell: {ended.how}: {ended.text[-300:]}")
    return held(kernel, result)


def held(kernel: Kernel, result: Round) -> dict | None:
    ended = kernel.run(HELD)
    try:
        # a warning of the collector's may stand beside it
        said = next(line for line in ended.text.splitlines() if line.startswith("{"))
        return json.loads(said) | {"listeners": listening(ports.inodes(kernel.pid))}
    except (ValueError, StopIteration):
        result.faults.append(f"the kernel does not say what it holds: {ended.how}: {ended.text[-300:]}")
        return None


def count(ended: Ended, index: int, cell, result: Round) -> bool:
    """Enter how a cell ended; False when the round cannot go on."""
    if ended.how not in ("ok", "NameError", "KeyboardInterrupt"):
        result.errors[f"{ended.how}: {ended.text[-100:]}" if ended.how not in ("stuck", "dead") else ended.how] += 1
    result.interrupted += [index + 1] * ended.interrupted
    if ended.waited:
        result.waited.append(f"cell {index + 1}: {head(cell)}")
    if ended.interrupted and ended.how != "stuck":
        result.slowest = max(result.slowest, ended.seconds)
    if ended.how in ("stuck", "dead"):
        what = "did not end when it was interrupted" if ended.how == "stuck" else "ended the kernel"
        result.faults.append(f"cell {index + 1} {what}: {head(cell)} {ended.text[-2000:] if ended.how == 'dead' else ''}")
    return ended.how not in ("stuck", "dead")


def after(kernel: Kernel, first: str, before: dict | None, result: Round) -> None:
    """The first cell is run: no server lives. What the cells defined is forgotten: nothing else is left either."""
    now = start(kernel, first, result)
    if not before or not now:
        return
    if others := [address for address, beyond in now["listeners"] if beyond]:
        result.faults.append(f"somebody listens beyond loopback: {others}")
    if now["servers"]:
        result.faults.append(f"servers run after the first cell: {now['servers']}")
    kernel.run(FORGET % before["numbers"])
    kernel.run(first)

    left: list[str] = []

    def clean() -> bool:
        nonlocal left
        last = held(kernel, result)
        if last is None:
            return True
        more = {what: Counter(last[what]) - Counter(before[what]) for what in ("threads", "descriptors", "listeners")}
        if more["descriptors"].keys() <= NUMBERS and more["descriptors"].total() <= 8 * result.halfway:
            # Nobody closes a plain number when its variable goes: a cell that stopped halfway and ran again has lost some.
            del more["descriptors"]
        left = [f"{what} left: {dict(found)}" for what, found in more.items() if found]
        left += [f"child processes left: {names}" for names in [children(kernel.pid)] if names]
        return not left

    if not wait_until(clean, SETTLES):
        result.faults += left


def children(pid: int) -> list[str]:
    """The command lines of a process's children; that of multiprocessing's tracker, which stays, is left out."""
    found = []
    for child in proc.children(pid):
        try:
            command = Path(f"/proc/{child}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if "resource_tracker" not in command:
            found.append(command[:100] or "ended, and nobody waited for it")
    return found


def processes_of(home: Path) -> set[int]:
    """All processes that were started, directly or not, by the kernel of this learner's folder."""
    return marked(f"COURSE_HOME={home}\0")


def library(home: Path, result: Round, entries: set, files: set) -> tuple[set, set]:
    """Progress and library are whole, and what was there is there. Returns the journal's keys and the files now."""
    try:
        journal = json.loads((home / "progress.json").read_text(encoding="utf-8"))
        now = {(section, key) for section, keys in journal.items() for key in keys}
        result.passed = sum(bool(entry.get("passed")) for entry in journal.get("exercises", {}).values())
        now |= {("passed", key) for key, entry in journal.get("exercises", {}).items() if entry.get("passed")}
    except (OSError, ValueError) as error:
        result.faults.append(f"the progress is damaged: {error}")
        return entries, files
    there = set()
    for path in home.glob("*.py"):
        try:
            ast.parse(path.read_bytes())
        except SyntaxError as error:
            result.faults.append(f"mine/{path.name} is damaged: {error}")
        there.add(path.name)
    if aside := list(home.glob("progress.damaged*")):
        result.faults.append(f"the progress was damaged: {aside}")
    if lost := (entries | {(section, key) for section, keys in KEPT.items() for key in keys}) - now:
        result.faults.append(f"progress was lost: {lost}")
    if lost := files - there:
        result.faults.append(f"files of mine/ were lost: {lost}")
    return now, there


def head(cell) -> str:
    return re.sub(r"\s+", " ", cell.source)[:90]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1, help="of the first round; the next one has the next number")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--notebook", default="", help="such as 04; without it the rounds take turns through all")
    parser.add_argument("--steps", type=int, help="cells in a round; as many as the notebook has, if not said")
    parser.add_argument("--all", action="store_true", help="Run All at the end of each round")
    options = parser.parse_args(arguments)
    paths = [path for path in notebooks() if path.stem.startswith(options.notebook)]
    if not paths:
        parser.error(f"there is no notebook {options.notebook!r}")
    bad = 0
    for number in range(options.rounds):
        seed = options.seed + number
        result = play(paths[seed % len(paths)], seed, options.steps, options.all)
        bad += bool(result.faults)
        print(result, flush=True)
    print(f"{options.rounds} rounds, {bad} with faults")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
