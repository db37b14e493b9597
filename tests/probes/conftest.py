"""A holder to vary: an OpenOCD of a living IDE that nobody uses."""

from collections.abc import Callable
from typing import Any

import pytest

from ocdsup.probes.holders import Endpoint, Holder, Parent, ServerPorts


@pytest.fixture
def holder() -> Callable[..., Holder]:
    """Return a factory of holders; keyword arguments replace fields."""

    def make(**fields: Any) -> Holder:
        usual: dict[str, Any] = {
            "pid": 812,
            "start_ticks": 5000,
            "started_at": 1_767_261_600.0,
            "age_s": 60.0,
            "exe": "/usr/bin/openocd",
            "cmdline": ("openocd", "-f", "board.cfg"),
            "uid": 1000,
            "user": "alice",
            "state": "S",
            "kind": "openocd",
            "title": "OpenOCD",
            "nodes": ("/dev/bus/usb/001/004",),
            "parent": Parent(700, "code", ("/usr/share/code/code",)),
            "orphaned": False,
            "ports": ServerPorts(gdb=(3333,), telnet=Endpoint("127.0.0.1", 4444), tcl=Endpoint("127.0.0.1", 6666)),
            "gdb_connected": False,
        }
        return Holder(**{**usual, **fields})

    return make
