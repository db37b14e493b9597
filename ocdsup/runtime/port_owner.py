"""Who listens on a port of this PC, for the error text of a port that is taken."""

from __future__ import annotations

from ocdsup.runtime import procfs

BUDGET_S = 0.3


def find(port: int) -> str:
    """`PID 812 openocd`, as far as it can be seen, else an empty text. Blocks up to BUDGET_S."""
    inodes = {sock.inode for sock in procfs.read_sockets() if sock.state == "LISTEN" and sock.local.port == port}
    if not inodes:
        return ""
    found = procfs.scan(procfs.Targets(sockets=frozenset(inodes)), budget_s=BUDGET_S)
    for pid in sorted(found.sockets):
        status = procfs.read_stat(pid)
        return f"PID {pid} {status.comm if status is not None else ''}".strip()
    return "a process that this user may not see"
