"""The stable port in front of a GDB server of somebody else: no OpenOCD, no probe, no configuration.

Started hundreds of times in a row by test suites: it imports nothing that it does not need (no logging library, no YAML).
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from dataclasses import replace
from typing import Any

from ocdsup.errors import OcdsupError
from ocdsup.rsp.policy import Dialect, OnDetach, Policy, SecondClient
from ocdsup.runtime.gdb_port import GdbPort, Served
from ocdsup.runtime.listeners import PortTakenError, bind_all
from ocdsup.runtime.loop import StreamLoop
from ocdsup.runtime.tasks import Tasks

LOOPBACK = ("127.0.0.1", "::1")
# Packets pass as they are, the largest that a server announces included; a core is left as the server leaves it.
POLICY = Policy(dialect=Dialect.ANY, request_limit=1 << 22, on_detach=OnDetach.LEAVE, second_client=SecondClient.SHARE)
QUIET = frozenset({"gdb_notice"})


class Stderr:
    """Log lines for the person who started it: what happened, on stderr, in one line each."""

    def __getattr__(self, level: str) -> Any:
        """`info`, `warning` and so on, as the logger of the daemon has them."""

        def write(event: str, **fields: object) -> None:
            if event not in QUIET and os.environ.get("OCDSUP_DEBUG"):
                told = " ".join(f"{name}={value}" for name, value in fields.items())
                sys.stderr.write(f"ocdsup: {event} {told}\n")

        return write


async def _answer(_words: str) -> str:
    return "ocdsup: this port only fronts another GDB server; there is no bench to report on\n"


async def _serve(server: tuple[str, int], listen: int, policy: Policy) -> None:
    loop = asyncio.get_running_loop()
    over = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, over.set)
    log = Stderr()
    tasks = Tasks(lambda task, error: log.error("task_failed", task=task, error=repr(error)))
    port = GdbPort(bind_all(LOOPBACK, listen), policy, _answer, lambda: None, tasks, log)
    port.backend_up(Served(*server, resets=0, run=1))
    sys.stdout.write(f"Listening on port {port.port} for gdb connections\n")
    sys.stdout.flush()
    await over.wait()
    port.close()
    await tasks.cancel()


def serve(server: tuple[str, int], listen: int, wait: float = POLICY.wait_for) -> None:
    """Listen until SIGTERM or SIGINT. Raises OcdsupError when the port belongs to somebody else.

    A session whose debugger waits for its program waits for a server that went away for `wait` seconds; 0: it ends with it.
    """
    try:
        with asyncio.Runner(loop_factory=StreamLoop) as runner:
            runner.run(_serve(server, listen, replace(POLICY, wait_for=wait, keep_session=wait > 0)))
    except PortTakenError as error:
        hint = "choose another --listen, or none for any free port"
        raise OcdsupError(f"bind {error.address} port {error.port}", str(error.strerror), hint) from error
