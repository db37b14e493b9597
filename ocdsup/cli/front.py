"""`ocdsup front HOST:PORT`: a stable GDB port in front of a GDB server that somebody else starts."""

from __future__ import annotations

import sys

TYPE_CHECKING = False  # as typing.TYPE_CHECKING, without importing typing
if TYPE_CHECKING:
    import argparse

EPILOG = """\
Works with any GDB server: gdbserver, QEMU, pyOCD, the J-Link GDB server. What GDB and the server say passes as it is. When the
server goes away and comes back, a session in which a program was being debugged goes on with it: its breakpoints are set
again, and GDB is told where the program stands now. A debugger that waits for its program waits for the server for --wait
seconds, and for 4 s once it wants to interrupt the program; then it reads that its connection was closed.
"""

WAIT = "how long a debugger waits for a server that went away (0: its session ends with the server); default 60"


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb."""
    verb = verbs.add_parser("front", description="A stable GDB port in front of another GDB server.", epilog=EPILOG)
    verb.add_argument("server", metavar="HOST:PORT", help="where the GDB server listens; :PORT means this PC")
    verb.add_argument("--listen", type=port, default=0, metavar="PORT", help="the stable port; default any free one")
    verb.add_argument("--wait", type=seconds, default=60.0, metavar="SECONDS", help=WAIT)
    verb.set_defaults(run=run)


def port(text: str) -> int:
    """A TCP port number. Raises ValueError, which argparse words."""
    number = int(text)
    if not 0 <= number <= 65535:
        raise ValueError(text)
    return number


def seconds(text: str) -> float:
    """A time that is not negative. Raises ValueError, which argparse words."""
    number = float(text)
    if not 0 <= number < 1e9:
        raise ValueError(text)
    return number


def run(options: argparse.Namespace) -> int:
    """Serve until SIGTERM or Ctrl-C."""
    from ocdsup.runtime.front import serve

    host, _, number = options.server.rpartition(":")
    try:
        server = (host.strip("[]") or "127.0.0.1", port(number))
    except ValueError:
        server = ("", 0)
    if not server[1]:
        print(f"ocdsup: {options.server!r} is not HOST:PORT, for example localhost:2331", file=sys.stderr)
        return 2
    serve(server, options.listen, options.wait)
    return 0
