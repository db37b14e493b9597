"""The states of several cores, asked for when one of them has changed.

OpenOCD's notifications say `type target_state state halted` without a name, and only when that differs from what was said
last of any target (0.12 tcl_server.c): with two cores the second one that halts is passed over in silence. So every
notification is taken for a hint that something changed, and many of them for one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from ocdsup.runtime.tasks import Tasks

PAUSE_S = 0.05  # between two questions; a debugger that steps makes hundreds of changes a second


class CoreStates:
    """Decides when to ask: `ask()` returns whether OpenOCD took the question."""

    def __init__(self, ask: Callable[[], Awaitable[bool]], tasks: Tasks) -> None:
        self._ask = ask
        self._tasks = tasks
        self._asking = self._again = False

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
