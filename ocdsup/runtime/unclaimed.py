"""Listening sockets that were passed to us and that no bench uses: whoever connects there must not wait for ever.

What only the previous daemon had left in the store is closed. What a socket unit names stays open in systemd whatever we do,
and the kernel goes on taking connections into its queue: so they are accepted and closed. (`shutdown` would end it for systemd
too, whose copy then reports POLLHUP and cannot be accepted from: the socket unit would fail, control socket and all.)
"""

from __future__ import annotations

import socket
from contextlib import suppress
from typing import Any

from ocdsup.runtime.fd_store import Store
from ocdsup.runtime.inherited import Inherited, Passed
from ocdsup.runtime.listeners import Listener

HINT = "make the socket unit and the configuration agree, then stop both units and start them"
_SAID = b"ocdsup: no bench has this port any more: the socket unit names it, the configuration does not\r\n"


class Unclaimed:
    """Looks after them; `settle` whenever it is known which ports the benches have."""

    def __init__(self, inherited: Inherited, store: Store, log: Any) -> None:
        self._inherited = inherited
        self._store = store
        self._log = log
        self._turning_away: dict[str, Listener] = {}

    @property
    def notes(self) -> list[str]:
        """One line for a person per socket that people are turned away from."""
        return [f"{address}: the socket unit names it and no bench has it; {HINT}" for address in self._turning_away]

    def settle(self) -> None:
        """Close what nobody uses, or turn away who comes to it; go on with what is used again."""
        for one in self._inherited.all():
            if one.stored and not one.used:
                self._forget(one)
        for one in self._inherited.all():
            used = one.used
            if not one.unit:
                self._inherited.let_go(one)
                if not used:
                    self._log.info("listener_closed", socket=one.address, why="no bench has this port any more")
            elif used and one.address in self._turning_away:
                self._turning_away.pop(one.address).close()
            elif not used and one.address not in self._turning_away:
                self._turning_away[one.address] = Listener([one.sock.dup()], _turn_away)
                self._log.warning("socket_nobody_uses", socket=one.address, hint=f"who comes is turned away; {HINT}")

    def _forget(self, one: Passed) -> None:
        """Take it out of the store; the other address family of its port has the same name there and may be in use."""
        self._store.drop(one.stored)
        for other in self._inherited.all():
            if other is not one and other.stored == one.stored and other.used:
                self._store.keep(one.stored, other.used[:1])
        one.stored = ""

    def close(self) -> None:
        """Turn nobody away any more."""
        for listener in self._turning_away.values():
            listener.close()
        self._turning_away.clear()


def _turn_away(sock: socket.socket) -> None:
    if sock.family != socket.AF_UNIX:  # a client of a control socket expects JSON
        with suppress(OSError):
            sock.send(_SAID, socket.MSG_DONTWAIT)
    sock.close()
