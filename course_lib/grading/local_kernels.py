"""Kernels that talk by local sockets; as a pytest plugin, nbval's kernel does so.

jupyter_client chooses five free TCP ports, lets them go, and the kernel binds them a second later. Another program, or another
kernel that begins in that second, may have one by then: "Kernel died before replying to kernel_info", and the learner's
notebook had no part in it. A local socket's name (unix(7)) is nobody else's.
"""

import importlib
import os
import tempfile
import uuid
from pathlib import Path
from typing import Any

_LONGEST = 100  # bytes, so that "-ipc-5" for ".json" fits into the 107 of sun_path (unix(7))


def local_sockets() -> dict[str, str]:
    """The settings of one KernelManager. Its sockets are named after its connection file; without one they would have the
    same names for all kernels, in whichever folder each one runs. Where TMPDIR is too long for a socket's path: ports."""
    file = Path(tempfile.gettempdir(), f"kernel-{uuid.uuid4().hex[:12]}.json")
    return {"transport": "ipc", "connection_file": str(file)} if len(os.fsencode(file)) <= _LONGEST else {}


def pytest_configure() -> None:
    kernel: Any = importlib.import_module("nbval.kernel")
    manager = kernel.KernelManager
    kernel.KernelManager = lambda **settings: manager(**local_sockets(), **settings)
