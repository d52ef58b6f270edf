"""Who stands in the accept queue of a listener. The kernel tells how many; who they are stands in its table of connections."""

from course_lib.kernel import Descriptor
from course_lib.ports import at_port


def in_accept_queue(listener: Descriptor) -> set[tuple[str, int]]:
    """The addresses of clients that wait at a TCP listener, of IPv4: connections that no descriptor names (proc(5): inode 0)."""
    if not isinstance(listener.local, tuple) or ":" in listener.local[0]:
        return set()
    return {each.peer for each in at_port(listener.local[1]) if each.queued}
