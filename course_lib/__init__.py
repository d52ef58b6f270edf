"""One process, many sockets: real servers, the kernel's view of them, and the lessons built on both."""
