"""What the kernel says of this process: its descriptors, and what its threads are doing.

Everything is read from outside the thing observed: from `/proc`, with `poll(0)` and with socket options.
An ordinary user may read all of it about a process of their own.
"""

from .descriptors import Descriptor, Watcher, descriptors, open_numbers
from .open_files import Description, OpenFiles, Row, Thing, open_files
from .recorder import Call, Pending, Recorder
from .tasks import TaskView, tasks
from .threads import Doing, ThreadView, asleep_on, doing, wait_until

__all__ = [
    "Call",
    "Description",
    "Descriptor",
    "Doing",
    "OpenFiles",
    "Pending",
    "Recorder",
    "Row",
    "TaskView",
    "Thing",
    "ThreadView",
    "Watcher",
    "asleep_on",
    "descriptors",
    "doing",
    "open_files",
    "open_numbers",
    "tasks",
    "wait_until",
]
