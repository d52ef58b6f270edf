"""One process, many sockets: real servers, the kernel's view of them, and the lessons built on both."""

import os as _os
import select as _select
import sys as _sys

if _sys.platform == "win32":
    raise ImportError(
        "Windows itself has no epoll, no poll and no fork, so the course does not run on it. It runs in WSL2, "
        "in a container and in a virtual machine with Linux: see the README."
    )

_here = {"epoll": hasattr(_select, "epoll"), "/proc": _os.path.exists("/proc/self/fd")}
if _missing := [what for what, there in _here.items() if not there]:
    print(
        f"This system has no {' and no '.join(_missing)}. Guesses and recall work, and so do the servers and panels, as far as "
        "they need neither; panels show less. The checks of the exercises, the measurements and the notebooks from 05 on "
        "need Linux: a container or a virtual machine will do (see the README).",
        file=_sys.stderr,
    )
