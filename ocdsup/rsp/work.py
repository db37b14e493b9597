"""What GDB has a server do that may take long and must not be cut off."""

from collections.abc import Iterable

from .packets import Group, monitor_line
from .shadow import Flash, Shadow
from .wires import Ask

LOAD = "flash write_image for the load of a GDB"
"""Stands for a load among console lines, from its first erase to its end; between its packets the server is idle."""


PAUSE_S = 60.0  # between two requests of a load, over the slowest line; a load that was broken off by Ctrl-C says nothing


def under_way(asked: Iterable[Ask], shadow: Shadow, quiet_s: float) -> list[str]:
    """Return the console lines among what is `asked`, and LOAD while a flash transaction is open.

    GDB has said nothing for `quiet_s` seconds.
    """
    asks = list(asked)
    loads = any(ask.row.group is Group.FLASH for ask in asks) or (shadow.flash is Flash.OPEN and quiet_s < PAUSE_S)
    return [monitor_line(ask.body) or "" for ask in asks if ask.row.group is Group.MONITOR] + [LOAD] * loads
