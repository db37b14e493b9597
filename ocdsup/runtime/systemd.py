"""What systemd is told: sd_notify(3) over its datagram socket. Without NOTIFY_SOCKET every call does nothing."""

from __future__ import annotations

import contextlib
import os
import socket
from array import array
from collections.abc import Sequence

PATIENCE_S = 0.1  # the manager's queue may be full; a manager that hangs must not hold the daemon up
LONGEST = 500  # characters of a value; systemd drops datagrams of more than 4096 bytes


class Notify:
    """The notification socket of the service manager, if there is one."""

    def __init__(self, address: str | None = None) -> None:
        address = address if address is not None else os.environ.get("NOTIFY_SOCKET")
        self._address = "\0" + address[1:] if address and address.startswith("@") else address
        self._last_status = ""

    @property
    def heard(self) -> bool:
        """Whether there is a manager to speak to."""
        return bool(self._address)

    def send(self, *assignments: str, descriptors: Sequence[int] = ()) -> bool:
        """Send assignments such as READY=1, perhaps with descriptors. A manager that does not listen must not harm us.

        Returns False when there is a manager and it did not take them: its queue was full all the time.
        """
        if not self._address:
            return True
        message = "\n".join(map(_one_line, assignments)).encode("utf-8", "replace")
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
            sock.settimeout(PATIENCE_S)
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", descriptors))] if descriptors else []
            sock.sendmsg([message], rights, 0, self._address)
            return True
        return False

    def status(self, text: str) -> None:
        """The one-line state that `systemctl status` shows, when it changed."""
        if text != self._last_status:
            self._last_status = text
            self.send(f"STATUS={text}")


def _one_line(assignment: str) -> str:
    """A newline in a value would be an assignment of its own, and a NUL makes systemd drop all of them."""
    return "".join(c if c.isprintable() else " " for c in assignment[:LONGEST])
