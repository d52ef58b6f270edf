"""What a machine allows: how many TCP connections one process may serve at a time, and which limit says so."""

import resource
import socket
import struct
from dataclasses import dataclass
from pathlib import Path

from course_lib.kernel import libc, open_numbers

SPARE = 64  # descriptors that the process goes on needing for other things
ADDRESSES = 254  # 127.0.0.1 to 127.0.0.254: all of 127.0.0.0/8 is this machine (RFC 6890)
_PART = 0.75  # of an address's ports: finding the last free ones takes connect() long
_BYTES = 16_384  # of memory for one connection, both ends: more than any server of the course needs
_TCP_INFO_SACKED = 28  # of a listener: its backlog (linux/tcp.h, tcp_get_info)


@dataclass(frozen=True)
class Limits:
    """The limits that one meets on the way to many connections, as the kernel states them; None where it states none."""

    soft: int  # RLIMIT_NOFILE of this process
    hard: int
    nr_open: int
    files_free: int  # open files that the whole machine may still have
    open_now: int  # descriptors of this process
    low: int  # local ports that connect() chooses from: the first and the last
    high: int
    addresses: int  # of clients
    somaxconn: int
    backlog: int  # of the server's listener
    watches: int | None
    memory: int  # bytes that are available
    flows_free: int | None  # connections that the packet filter may still follow


@dataclass(frozen=True)
class Plan:
    """What will be done: so many connections, `each` from one client address, in groups of `group`."""

    connections: int
    soft: int
    each: int
    group: int
    why_not: str
    notes: tuple[str, ...]


def limits_of(numbers: list[int]) -> Limits:
    """Read them; among `numbers`, a server's descriptors, is its listener. Raises as `of_listener`."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    nr_open = _number("/proc/sys/fs/nr_open", 1 << 20)
    low, high = map(int, file_text("/proc/sys/net/ipv4/ip_local_port_range", "32768 60999").split())
    used, _, most = map(int, file_text("/proc/sys/fs/file-nr", "0 0 9223372036854775807").split())
    flows = _number("/proc/sys/net/netfilter/nf_conntrack_max", 0)
    return Limits(
        soft=nr_open if soft == resource.RLIM_INFINITY else soft,
        hard=nr_open if hard == resource.RLIM_INFINITY else hard,
        nr_open=nr_open,
        files_free=most - used,
        open_now=len(open_numbers()),
        low=low,
        high=high,
        addresses=ADDRESSES,
        somaxconn=_number("/proc/sys/net/core/somaxconn", 4096),
        backlog=of_listener(numbers, _TCP_INFO_SACKED),
        watches=_number("/proc/sys/fs/epoll/max_user_watches", 0) or None,
        memory=_memory(),
        flows_free=flows - _number("/proc/sys/net/netfilter/nf_conntrack_count", 0) if flows else None,
    )


def plan(limits: Limits, wanted: int) -> Plan:
    """How many of `wanted` connections there can be, and a sentence on each limit that was met on the way."""
    each = max(1, int(_PART * (limits.high - limits.low + 1)))
    room = {
        "RLIMIT_NOFILE": limits.hard - limits.open_now - SPARE,
        "fs.file-max": limits.files_free // 2 - SPARE,
        "ip_local_port_range": each * limits.addresses,
        "max_user_watches": limits.watches or wanted,
        "memory": limits.memory // 2 // _BYTES,
        "nf_conntrack_max": wanted if limits.flows_free is None else limits.flows_free - SPARE,
    }
    least = min(room, key=room.__getitem__)
    count = max(0, min(wanted, room[least]))
    why = "" if count == wanted else f"{least} leaves room for {count:,}"
    result = dict.fromkeys(room, "")
    if why:
        result[least] = f", so there are {count:,} connections instead of {wanted:,}"
    need = count + limits.open_now + SPARE
    soft = max(limits.soft, min(limits.hard, need))
    group = max(1, min(64, limits.backlog // 2))
    raised = (
        f"its soft limit was raised from {limits.soft:,} to {soft:,} and put back afterwards"
        if soft > limits.soft
        else f"its soft limit of {limits.soft:,} stayed as it is"
    )
    used = -(-count // each)
    addresses = (
        "one client address is enough" if used < 2 else f"the clients come from {used} addresses, 127.0.0.1 to 127.0.0.{used}"
    )
    notes = [
        f"RLIMIT_NOFILE: each connection takes a descriptor of the server's process, {need:,} with those that it has "
        f"anyway; {raised}; the hard limit is {limits.hard:,} (getrlimit(2), ulimit -Hn){result['RLIMIT_NOFILE']}.",
        f"fs.nr_open: no hard limit can be set above {limits.nr_open:,} (/proc/sys/fs/nr_open, proc(5)).",
        f"fs.file-max: both ends of a connection are open files, and the machine has room for {limits.files_free:,} more "
        f"(/proc/sys/fs/file-nr, proc(5)){result['fs.file-max']}.",
        "ip_local_port_range: towards one server address and port, each client address has the "
        f"{limits.high - limits.low + 1:,} ports from {limits.low} to {limits.high}, and {addresses} (ip(7))"
        f"{result['ip_local_port_range']}.",
        f"backlog: listen() was called for a queue of {limits.backlog:,} connections that nobody has accepted, "
        f"net.core.somaxconn allows {limits.somaxconn:,} at the most; the clients come in groups of {group}, each answered "
        "before the next (listen(2)).",
        ""
        if limits.watches is None
        else f"max_user_watches: all epolls of one user may have {limits.watches:,} entries in their interest lists "
        f"(/proc/sys/fs/epoll/max_user_watches, epoll(7)){result['max_user_watches']}.",
        f"memory: {limits.memory / 1e6:,.0f} MB are available; half of that, at {_BYTES // 1024} kB for each connection, "
        f"is enough for {limits.memory // 2 // _BYTES:,} (/proc/meminfo, the cgroup's memory.max){result['memory']}.",
        ""
        if limits.flows_free is None
        else f"nf_conntrack_max: the packet filter follows each connection, and has room for {limits.flows_free:,} more "
        f"(/proc/sys/net/netfilter/nf_conntrack_max){result['nf_conntrack_max']}.",
    ]
    return Plan(count, soft, each, group, why, tuple(filter(None, notes)))


def of_listener(numbers: list[int], place: int) -> int:
    """The number that stands at this place in TCP_INFO of the one among these descriptors that listens (tcp(7)).

    Raises RuntimeError when there is none, OSError when one is closed.
    """
    for number in numbers:
        if libc.option(number, socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            return struct.unpack_from("I", libc.option_bytes(number, socket.IPPROTO_TCP, socket.TCP_INFO, place + 4), place)[0]
    raise RuntimeError("the server has no listening socket any more")


def _memory() -> int:
    """Bytes that can still be had: of the machine, and of the control group that this process is in (cgroups(7))."""
    free = [memory_line("MemAvailable") or 1 << 40]
    group = next((line.partition("::")[2] for line in file_text("/proc/self/cgroup").splitlines() if line.startswith("0::")), "/")
    for folder in (f"/sys/fs/cgroup{group}", "/sys/fs/cgroup"):
        most, used = _number(f"{folder}/memory.max", 0), _number(f"{folder}/memory.current", 0)
        if most:
            free.append(max(0, most - used))
    return min(free)


def memory_line(name: str, path: str = "/proc/meminfo") -> int | None:
    """The bytes that a line such as `Slab:  123 kB` states, or None when there is none."""
    for line in file_text(path).splitlines():
        if line.startswith(name + ":"):
            return 1024 * int(line.split()[1])
    return None


def file_text(path: str, spare: str = "") -> str:
    """What stands in a file of /proc or /sys, or `spare` where it cannot be read."""
    try:
        return Path(path).read_text()
    except OSError:
        return spare


def _number(path: str, spare: int) -> int:
    text = file_text(path).strip()
    return int(text) if text.isdigit() else spare
