"""A whole class on one machine: JupyterHub, and learners who all work through the notebooks at the same time.

    python tests/classroom.py [--learners 10] [--last 06] [--together 4]

Needs, beside the course in the same environment, jupyterhub (PyPI, conda-forge), and configurable-http-proxy (npm) on the
PATH. Each learner has a server of their own behind the hub and a copy of the notebooks in their own home; it was made when
the server was spawned. The exercises hold the reference solutions. Every cell goes through the proxy, as a browser's would.
The last lines say who has passed what, and how much memory a learner takes: PSS, where a page that several processes share
counts for each with its part (proc(5)). The exit status is 1 if a learner does not reach the end of the last
notebook with all checks passed.
"""

import argparse
import asyncio
import contextlib
import json
import os
import secrets
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import nbformat
from held import marked
from jupyter_client.jsonutil import json_default
from jupyter_client.session import Session
from tornado.httpclient import AsyncHTTPClient, HTTPRequest
from tornado.websocket import websocket_connect

from course_lib import folders
from course_lib.exercises import all_exercises

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
CELL = 180  # seconds for one cell, on a machine where all work at the same time
TRIES = 3  # of a check: a busy machine may spoil one
MAY_RAISE = {"raises-exception", "nbval-raises-exception"}

# As a hub for a class has it; only the names of the learners need no password here.
CONFIG = """
import shutil
from pathlib import Path

c.JupyterHub.bind_url = "http://127.0.0.1:{public}"
c.JupyterHub.hub_bind_url = "http://127.0.0.1:{hub}"
c.ConfigurableHTTPProxy.api_url = "http://127.0.0.1:{proxy}"
c.ConfigurableHTTPProxy.pid_file = "{folder}/proxy.pid"
c.JupyterHub.cookie_secret_file = "{folder}/cookie_secret"
c.JupyterHub.db_url = "sqlite:///{folder}/hub.sqlite"
c.JupyterHub.authenticator_class = "dummy"
c.Authenticator.allow_all = True
c.JupyterHub.spawner_class = "simple"
c.SimpleLocalProcessSpawner.home_dir_template = "{folder}/homes/{{username}}"
c.Spawner.cmd = ["{python}", "-m", "jupyterhub.singleuser"]
c.Spawner.args = [{root}]
c.Spawner.default_url = "/lab/tree/notebooks/00_start_here.ipynb"
c.Spawner.start_timeout = c.Spawner.http_timeout = 300
c.JupyterHub.services = [{{"name": "class", "api_token": "{token}"}}]
c.JupyterHub.load_roles = [{{"name": "class", "services": ["class"],
                            "scopes": ["admin:users", "admin:servers", "access:servers"]}}]


def copy_notebooks(spawner):
    there = Path("{folder}/homes", spawner.user.name, "notebooks")
    if not there.exists():
        shutil.copytree("{notebooks}", there, ignore=shutil.ignore_patterns("mine", ".*"))


c.Spawner.pre_spawn_hook = copy_notebooks
"""


class Trouble(Exception):
    """What keeps a learner, or the whole class, from going on."""


@dataclass
class Learner:
    """One learner: what they have passed, what it took, and what went wrong."""

    name: str
    home: Path
    cells: int = 0
    again: list[str] = field(default_factory=list)  # the last line of each check that had to be run again
    wrong: list[str] = field(default_factory=list)
    alone: int = 0  # bytes of the server without a notebook
    most: int = 0  # bytes at the most, the server, a notebook's process and what that started

    def passed(self) -> set[str]:
        """The numbers of the exercises that their own journal names as passed."""
        try:
            entries = json.loads((self.home / "notebooks/mine/progress.json").read_text())["exercises"]
        except (OSError, KeyError):
            return set()
        return {number for number, entry in entries.items() if entry.get("passed")}


class Hub:
    """A JupyterHub with its proxy, on ports of its own, that forgets all when it ends."""

    def __init__(self, folder: Path) -> None:
        self.folder, self._token = folder, secrets.token_hex(16)
        self._client = AsyncHTTPClient(max_clients=200)
        with contextlib.ExitStack() as taken:
            ports = [taken.enter_context(socket.create_server(("127.0.0.1", 0))).getsockname()[1] for _ in range(3)]
        self.url = f"http://127.0.0.1:{ports[0]}"
        config = folder / "jupyterhub_config.py"
        config.write_text(
            CONFIG.format(
                public=ports[0],
                hub=ports[1],
                proxy=ports[2],
                folder=folder,
                python=sys.executable,
                token=self._token,
                notebooks=NOTEBOOKS,
                root='"--allow-root"' if os.geteuid() == 0 else "",
            )
        )
        self._log = (folder / "hub.log").open("wb")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "jupyterhub", "--config", str(config)],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env={name: value for name, value in os.environ.items() if not name.startswith(("COURSE_", "JUPYTER"))}
            | {"CLASS": str(folder)},
        )

    async def ask(self, method: str, path: str, what: object = None) -> object:
        """A request to the hub, or through its proxy to a learner's server; the answer as Python values."""
        body = json.dumps(what) if what is not None else "" if method == "POST" else None
        answer = await self._client.fetch(
            HTTPRequest(
                self.url + path, method, {"Authorization": f"token {self._token}"}, body, request_timeout=300, connect_timeout=60
            )
        )
        return json.loads(answer.body) if answer.body else None

    async def up(self) -> None:
        """Wait until it answers through its proxy."""
        for _ in range(600):
            if self._process.poll() is not None:
                raise Trouble(f"the hub ended:\n{(self.folder / 'hub.log').read_text()[-3000:]}")
            with contextlib.suppress(Exception):
                await self.ask("GET", "/hub/api/")
                return
            await asyncio.sleep(0.1)
        raise Trouble("the hub does not answer")

    async def spawn(self, name: str) -> Learner:
        """A learner's server; returns when it is ready."""
        await self.ask("POST", f"/hub/api/users/{name}/server")
        for _ in range(3000):
            found = (await self.ask("GET", f"/hub/api/users/{name}"))["servers"].get("", {})
            if found.get("ready"):
                return Learner(name, self.folder / "homes" / name)
            await asyncio.sleep(0.1)
        raise Trouble(f"the server of {name} does not start")

    def socket(self, path: str):
        """A websocket to a learner's server."""
        url = self.url.replace("http", "ws", 1) + path
        request = HTTPRequest(url, headers={"Authorization": f"token {self._token}"})
        return websocket_connect(request, ping_interval=20, max_message_size=1 << 28)

    def end(self) -> None:
        """Stop the hub, its proxy and all servers that it started."""
        os.kill(self._process.pid, signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(60)
        for pid in marked(str(self.folder)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._log.close()


def pss(home: Path) -> int:
    """Bytes of all processes of one learner."""
    total = 0
    for pid in marked(f"HOME={home}\0"):
        with contextlib.suppress(OSError):  # it has gone
            rows = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
            total += 1024 * sum(int(row.split()[1]) for row in rows if row.startswith("Pss:"))
    return total


async def work_through(hub: Hub, learner: Learner, path: Path) -> None:
    """A learner opens a notebook, runs all its cells with the solutions in, and shuts its kernel down."""
    notebook = nbformat.read(path, as_version=4)
    server = f"/user/{learner.name}/api"
    session = await hub.ask(
        "POST",
        f"{server}/sessions",
        {"path": f"notebooks/{path.name}", "name": path.name, "type": "notebook", "kernel": {"name": "python3"}},
    )
    kernel = session["kernel"]["id"]
    channel = await hub.socket(f"{server}/kernels/{kernel}/channels")
    solutions = {f"exercise-{exercise.id}": exercise.reference for exercise in all_exercises()}
    try:
        for number, cell in enumerate(cell for cell in notebook.cells if cell.cell_type == "code" and cell.source.strip()):
            tags = set(cell.metadata.get("tags", []))
            source = next((solutions[tag] for tag in tags if tag in solutions), cell.source)
            checks = any(tag.startswith("check-") for tag in tags)
            for _ in range(TRIES):
                how, text = await asyncio.wait_for(run(channel, source), CELL)
                learner.cells += 1
                if not checks or "passed." in text:
                    break
                learner.again.append(f"{path.stem[:2]}: {text.strip().splitlines()[-1]}")
            if how != "ok" and not MAY_RAISE & tags or checks and "passed." not in text:
                raise Trouble(f"{path.stem}, cell {number + 1}: {text[-300:]}")
            learner.most = max(learner.most, await asyncio.to_thread(pss, learner.home)) if number % 10 == 9 else learner.most
        learner.most = max(learner.most, await asyncio.to_thread(pss, learner.home))
    finally:
        channel.close()
        await hub.ask("DELETE", f"{server}/sessions/{session['id']}")


async def run(channel, source: str) -> tuple[str, str]:
    """Run a cell by the page's own messages. Returns ("ok" or the name of an exception, what was printed)."""
    asks = {"code": source, "silent": False, "store_history": True, "user_expressions": {}, "allow_stdin": False}
    request = Session().msg("execute_request", asks) | {"channel": "shell", "buffers": []}
    await channel.write_message(json.dumps(request, default=json_default))
    how, text, told, idle = "", "", False, False
    while not (told and idle):
        message = await channel.read_message()
        if message is None:
            raise Trouble("the connection to the kernel was closed")
        if isinstance(message, bytes):
            continue  # of a widget
        heard = json.loads(message)
        if heard["parent_header"].get("msg_id") != request["msg_id"]:
            continue
        match heard["msg_type"], heard["content"]:
            case "stream", {"text": more}:
                text += more
            case "error", {"ename": name, "evalue": value}:
                text += f"{name}: {value}"
            case "execute_reply", {"status": status, **content}:
                told, how = True, content.get("ename", status)
            case "status", {"execution_state": "idle"}:
                idle = True
    return how, text


async def teach(hub: Hub, names: list[str], paths: list[Path], together: int) -> list[Learner]:
    """All learners work through all notebooks, `together` of them at the same time in a notebook."""
    await hub.up()
    begin = time.monotonic()
    await hub.ask("POST", "/hub/api/users", {"usernames": names})
    learners = []
    for first in range(0, len(names), together):
        learners += await asyncio.gather(*map(hub.spawn, names[first : first + together]))
    print(f"{len(learners)} servers ready after {time.monotonic() - begin:.0f} s", flush=True)
    for learner in learners:
        learner.alone = pss(learner.home)
    places = asyncio.Semaphore(together)

    async def study(learner: Learner) -> None:
        try:
            for path in paths:
                async with places:
                    await work_through(hub, learner, path)
                print(f"{time.monotonic() - begin:5.0f} s  {learner.name} has finished {path.stem}", flush=True)
        except Exception as error:
            learner.wrong.append(f"{type(error).__name__}: {error}")
            print(f"{learner.name}: {learner.wrong[-1]}", flush=True)

    await asyncio.gather(*map(study, learners))
    return learners


def report(learners: list[Learner], wanted: set[str], seconds: float) -> int:
    """Print what came of it; 1 if somebody did not reach the end."""
    for learner in learners:
        missing = sorted(wanted - learner.passed())
        state = "all checks passed" if not missing else f"not passed: {', '.join(missing)}"
        print(
            f"{learner.name}: {learner.cells} cells, {state}; {learner.alone >> 20} MB, at the most {learner.most >> 20} MB",
            *learner.wrong,
            *(f"  run again, {line}" for line in learner.again),
            sep="\n",
        )
    there = [learner for learner in learners if not learner.wrong and wanted <= learner.passed()]
    print(
        f"{len(there)} of {len(learners)} learners passed all {len(wanted)} exercises in {seconds / 60:.1f} minutes, "
        f"on {os.cpu_count()} cores"
    )
    alone, most = (statistics.median(sizes) / 2**20 for sizes in zip(*((learner.alone, learner.most) for learner in learners)))
    print(f"memory of a learner (PSS, median): {alone:.0f} MB with JupyterLab alone, {most:.0f} MB at the most while cells run")
    return 0 if len(there) == len(learners) else 1


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--learners", type=int, default=10)
    parser.add_argument("--last", default="06", help="the last notebook that they work through")
    parser.add_argument("--together", type=int, default=4, help="how many of them run cells at the same time")
    options = parser.parse_args(arguments)
    paths = [path for path in (NOTEBOOKS / name for name in folders.names(NOTEBOOKS)) if path.stem[:2] <= options.last]
    tags = {tag for path in paths for cell in nbformat.read(path, as_version=4).cells for tag in cell.metadata.get("tags", [])}
    wanted = {exercise.id for exercise in all_exercises() if f"check-{exercise.id}" in tags}
    begin = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="class-") as folder:
        hub = Hub(Path(folder).resolve())
        try:
            names = [f"learner-{number}" for number in range(1, options.learners + 1)]
            return report(asyncio.run(teach(hub, names, paths, options.together)), wanted, time.monotonic() - begin)
        except Trouble as trouble:
            print(trouble, file=sys.stderr)
            return 1
        finally:
            hub.end()


if __name__ == "__main__":
    sys.exit(main())
