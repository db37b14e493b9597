"""The states of the cores, asked for when one of them has changed, or may have without a word.

OpenOCD's notifications say `type target_state state halted` without a name, and only when that differs from what was said
last of any target (0.12 tcl_server.c): with two cores the second one that halts is passed over in silence. So every
notification is taken for a hint that something changed, and many of them for one. And of a halted core that runs again after
the reset button was pressed OpenOCD's polling says nothing at all (cortex_m.c and hla_target.c call no event): one that is not
known to run is asked about with every heartbeat.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from contextlib import suppress

from ocdsup.errors import ProtocolError
from ocdsup.openocd import command
from ocdsup.runtime.tasks import Tasks

PAUSE_S = 0.05  # between two questions; a debugger that steps makes hundreds of changes a second


class CoreStates:
    """Decides when to ask: `ask()` returns whether OpenOCD took the question."""

    def __init__(self, ask: Callable[[], Awaitable[bool]], tasks: Tasks) -> None:
        self._ask = ask
        self._tasks = tasks
        self._asking = self._again = False
        self._state = ""

    def seen(self, state: str) -> None:
        """This is how a core is."""
        self._state = state

    def beat(self, targets: int) -> None:
        """A heartbeat goes to an OpenOCD of so many targets; of several each may start to run, or be examined late, unsaid."""
        if targets > 1 or (targets and self._state != "running"):
            self.hint()

    def hint(self) -> None:
        """Something may have changed: ask now, or again when the question under way is answered."""
        self._again = True
        if not self._asking:
            self._asking = True
            self._tasks.spawn("core-states", self._look())

    async def _look(self) -> None:
        try:
            while self._again:
                self._again = False
                if not await self._ask():
                    return
                await asyncio.sleep(PAUSE_S)
        finally:
            self._asking = False


class Printed:
    """An answer that OpenOCD prints: what it gives on its Tcl port it also logs, and its log goes to each GDB that waits."""

    def __init__(self, name: str) -> None:
        self.token = f"ocdsup-{name}-{os.urandom(8).hex()}"  # a firmware's semihosting must not pass for it
        self._awaited: asyncio.Future[tuple[command.Core, ...]] | None = None

    def heard(self, line: str) -> tuple[command.Core, ...] | None:
        """The cores that a line of OpenOCD's tells of; None when it is another line, nothing when it cannot be read."""
        if not line.startswith(self.token):
            return None  # nearly all lines
        cores: tuple[command.Core, ...] | None = ()
        with suppress(ProtocolError):
            cores = command.parse_states(line, self.token)
        if cores is not None and self._awaited is not None and not self._awaited.done():
            self._awaited.set_result(cores)
        return cores

    async def answer(self, ask: Callable[[], Awaitable[object]]) -> tuple[command.Core, ...]:
        """Ask, and wait for the line, which may come behind the end of the question."""
        self._awaited = asyncio.get_running_loop().create_future()
        await ask()
        return await self._awaited
