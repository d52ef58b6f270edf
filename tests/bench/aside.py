"""A child process that starts kernels or a browser, and puts them away itself when it is asked to end."""

import ctypes
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

PATIENCE = 30  # seconds until it has put everything away
_PR_SET_PDEATHSIG = 1  # prctl(2)


@contextmanager
def aside(module: str, *arguments: object) -> Iterator[Iterator[dict]]:
    """Run ``main()`` of a module of this package; an iterator of its messages. It has ended when the block is left.

    After its last message the iterator raises RuntimeError when it failed.
    """
    said = tempfile.TemporaryFile()
    process = subprocess.Popen(
        [sys.executable, "-c", f"from {__package__}.{module} import main; main()", json.dumps([os.getpid(), *arguments])],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=said,
        text=True,
        start_new_session=True,  # a Ctrl-C is for the one who measures, who ends it
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    try:
        yield _messages(process, module, said)
    finally:
        process.terminate()
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        if process.stdout:
            process.stdout.close()
        said.close()


def _messages(process: subprocess.Popen, module: str, said: BinaryIO) -> Iterator[dict]:
    yield from map(json.loads, process.stdout or ())
    if process.wait(PATIENCE):
        said.seek(0)
        lines = said.read().decode(errors="replace").strip().splitlines()
        error = next((line for line in reversed(lines) if "Error" in line), f"status {process.returncode}")
        raise RuntimeError(f"{module}: {error[:200]}")


# What the child itself needs


def arguments() -> list:
    """What the process was given. From now on it is asked to end when the one that started it has gone."""
    parent, *given = json.loads(sys.argv[1])
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that all blocks are left in order
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        sys.exit()
    return given


def tell(**message: object) -> None:
    print(json.dumps(message), flush=True)
