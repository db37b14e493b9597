"""What GDB has a server do that may take long and must not be cut off."""

from collections.abc import Iterable

from .packets import Group, monitor_line
from .shadow import Flash, Shadow
from .wires import Ask

LOAD = "flash write_image for the load of a GDB"
"""Stands for a load among console lines, from its first erase to its end; between its packets the server is idle."""


def under_way(asked: Iterable[Ask], shadow: Shadow) -> list[str]:
    """Return the console lines among what is `asked`, and LOAD while a flash transaction is open."""
    asks = list(asked)
    loads = shadow.flash is Flash.OPEN or any(ask.row.group is Group.FLASH for ask in asks)
    return [monitor_line(ask.body) or "" for ask in asks if ask.row.group is Group.MONITOR] + [LOAD] * loads
