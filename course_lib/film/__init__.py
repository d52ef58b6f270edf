"""A server on film: at each of its system calls the line of its source, the call, and what the kernel holds.

`film(server, script)` holds the server before its next call, reads the kernel, lets it go, and so on. The Film is a value: it
is printed, compared, saved as a page that plays without a server, and shown in a notebook.
"""

from .film import Film, Moment
from .filming import film

__all__ = ["Film", "Moment", "film"]
