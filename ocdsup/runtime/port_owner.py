"""Who listens on a port of this PC, for the error text of a port that is taken."""

from __future__ import annotations


def find(port: int) -> str:
    """`PID 812 openocd (user bench)`, as far as it can be seen; an empty text when nobody is found."""
    import psutil  # some 20 ms and 1 MB, for an error that most daemons never meet

    for connection in psutil.net_connections("tcp"):
        if connection.status != psutil.CONN_LISTEN or not connection.laddr or connection.laddr.port != port:
            continue
        if connection.pid is None:
            return "a process that this user may not see"
        try:
            process = psutil.Process(connection.pid)
            return f"PID {process.pid} {process.name()} (user {process.username()})"
        except psutil.Error:
            return f"PID {connection.pid}"
    return ""
