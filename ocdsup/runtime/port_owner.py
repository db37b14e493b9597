"""Who listens on a port of this PC, for the error text of a port that is taken."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence

from ocdsup.runtime.listeners import PortTakenError


def find(port: int) -> str:
    """`PID 812 openocd (user bench)`, as far as it can be seen; an empty text when nobody is found."""
    import psutil  # some 20 ms and 1 MB, for an error that most daemons never meet

    try:
        connections = psutil.net_connections("tcp")
    except (psutil.Error, OSError):  # no descriptor for it, or a process that went in the middle of it
        return ""
    found = [
        connection
        for connection in connections
        if connection.status == psutil.CONN_LISTEN and connection.laddr and connection.laddr.port == port
    ]
    own = next((connection for connection in found if connection.pid == os.getpid()), None)
    if own is not None and own.laddr:
        where = f"[{own.laddr.ip}]:{port}" if ":" in own.laddr.ip else f"{own.laddr.ip}:{port}"
        return f"this daemon itself, at {where}: another bench's, or a socket unit's, which must name the addresses of `bind`"
    for connection in found:
        if connection.pid is None:
            return "a process that this user may not see"
        try:
            process = psutil.Process(connection.pid)
            return f"PID {process.pid} {process.name()} (user {process.username()})"
        except psutil.Error:
            return f"PID {connection.pid}"
    return ""


def why(errors: Sequence[OSError]) -> str:
    """Why ports cannot be opened, each with its owner where one is in the way. Walks through /proc."""
    return "; ".join(map(_why, errors))


def _why(error: OSError) -> str:
    if not isinstance(error, PortTakenError):
        return f"cannot open a port: {error.strerror or error}"
    text = f"cannot bind {error.address} port {error.port}: {error.strerror}"
    if error.errno == errno.EADDRINUSE and (owner := find(error.port)):
        return f"{text}; it belongs to {owner}"
    return text
