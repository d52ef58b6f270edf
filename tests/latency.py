"""Prints how long it takes from "readable in the kernel" to "visible in the page", in a real JupyterLab and Chromium.

    python tests/latency.py [samples]

A thread of the kernel process notes the time and sends one byte to a random observed socket, again and again. In the page
an observer of the table notes the animation frame on which the number of that socket's receive queue has changed.
"""

import contextlib
import json
import random
import re
import statistics
import sys
import tempfile
import time
from pathlib import Path

import nbformat
from playwright.sync_api import expect, sync_playwright

sys.path.insert(0, str(Path(__file__).parent / "browser"))
import conftest

SETUP = """import json, random, socket, threading, time
from course_lib.widgets import observe
pairs = [socket.socketpair() for _ in range({descriptors} // 2)]
listener = socket.create_server(("127.0.0.1", 0))

def send():
    sent, counts = [], {{}}
    for _ in range({samples}):
        time.sleep(random.uniform(.1, .3))
        here, there = random.choice(pairs)
        number = there.fileno()
        counts[number] = counts.get(number, 0) + 1
        sent.append((number, counts[number], time.time()))
        here.send(b"x")
    time.sleep(1)
    with open("sent.part", "w") as file:
        json.dump(sent, file)
    __import__("os").rename("sent.part", "sent.json")

observe([end for pair in pairs for end in pair])"""
BEGIN = "threading.Thread(target=send, daemon=True).start()"
BESIDE = {"idle": "pass", "a cell runs Python": "while True: sum(range(1000))", "a cell is in accept()": "listener.accept()"}
WATCH = """table => {
    window.seen = [];
    new MutationObserver(changes => {
        const cells = new Set(changes.map(change => change.target.closest ? change.target.closest(".receive") : null).filter(Boolean));
        requestAnimationFrame(() => {
            for (const cell of cells) window.seen.push([cell.parentElement.firstChild.textContent, cell.textContent, Date.now() / 1000]);
        });
    }).observe(table, { subtree: true, childList: true, characterData: true });
}"""


def measure(lab: conftest.Lab, descriptors: int, beside: str, samples: int) -> list[float]:
    """The latencies of one case, in ms, smallest first."""
    cells = [SETUP.format(descriptors=descriptors, samples=samples), BEGIN, beside]
    nbformat.write(nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(cell) for cell in cells],
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}}), lab.folder / "latency.ipynb")
    notebook = lab.open("latency.ipynb")
    table = notebook.run_cell(0).locator(".observatory table")
    expect(table.locator("tbody tr")).to_have_count(descriptors)
    table.evaluate(WATCH)
    notebook.run_cell(1)
    notebook.run_cell(2, wait=False)
    result = lab.folder / "sent.json"
    while not result.exists():
        time.sleep(0.5)
    seen = {(int(number), re.sub(r"\D", "", text)): when for number, text, when in notebook.page.evaluate("() => window.seen")}
    notebook.interrupt()
    late = [(seen[number, str(count)] - when) * 1000 for number, count, when in json.loads(result.read_text()) if (number, str(count)) in seen]
    if len(late) < samples:
        print(f"    {samples - len(late)} of {samples} were not seen by themselves (two changes in one message)")
    return sorted(late)


def main(samples: int = 80) -> None:
    program = next(filter(None, map(conftest.shutil.which, ["chromium", "chromium-browser", "google-chrome"])))
    print(f"{'descriptors':>11}  {'meanwhile':24}{'p50':>6}{'p95':>6}{'max':>6}  ms, {samples} samples each")
    with contextlib.ExitStack() as stack:
        server = conftest.Server(Path(stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True))))
        stack.callback(server.stop)
        chromium = stack.enter_context(sync_playwright()).chromium.launch(executable_path=program, args=conftest.FLAGS)
        stack.callback(chromium.close)
        cases = [(descriptors, name) for descriptors in (20, 200) for name in BESIDE]
        for descriptors, name in random.sample(cases, len(cases)):
            lab = conftest.Lab(server, chromium)
            try:
                late = measure(lab, descriptors, BESIDE[name], samples)
            finally:
                lab.close()
            if len(late) < 2:
                print(f"{descriptors:>11}  {name:24}nothing was seen in the page")
                continue
            p95 = statistics.quantiles(late, n=20)[-1]
            print(f"{descriptors:>11}  {name:24}{statistics.median(late):6.0f}{p95:6.0f}{late[-1]:6.0f}", flush=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
