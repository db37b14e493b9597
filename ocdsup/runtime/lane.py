"""The short way of a debug session from socket to socket: what `rsp.shortcut` takes is sent on at once, all else is looked at.

A debugger that steps comes through here fourteen times a step and finds the caches of the CPU cold: what counts is how little
is touched on the way, not only how little is done.
"""

from __future__ import annotations

from math import inf
from time import monotonic
from typing import TYPE_CHECKING

from ocdsup.rsp.outputs import HALTED

if TYPE_CHECKING:
    from ocdsup.rsp.shortcut import Shortcut
    from ocdsup.runtime.gdb_session import GdbSession
    from ocdsup.runtime.wire import Wire

SLOW = 1024 * 1024  # bytes: a reader this far behind pauses the other side


class Lane:
    """Takes what the sockets of a session have read; `lead` says where to, anew after whatever the session did.

    `heard`: when the debugger last said something. `early`: what it says before would be due before the session's timer.
    Both in seconds of the monotonic clock.
    """

    __slots__ = ("_client", "_kept", "_session", "_short", "_up", "early", "heard")
    _client: Wire
    _up: Wire

    def __init__(self, session: GdbSession) -> None:
        """Lead nowhere."""
        self._session = session
        self._short: Shortcut | None = None
        self._kept = False
        self.early = -inf
        self.heard = monotonic()  # as if now: who knows when one that was taken up has spoken to the daemon before us

    def lead(self, short: Shortcut | None, client: Wire | None, up: Wire | None, *, kept: bool) -> None:
        """Lead from here to there where `short` allows it.

        While the session is `kept`, its record must be true before anything else than a plain read is passed on.
        """
        self._short = None
        if short is not None and client is not None and up is not None:
            self._short, self._client, self._up, self._kept = short, client, up, kept

    def from_client(self, data: bytes) -> None:
        """Take bytes of GDB."""
        now = self.heard = monotonic()
        short, kept = self._short, self._kept
        if short is None or (kept and data[1:2] != b"m") or (taken := short.request(data, now)) is None:
            self._session.asked(data, now)
            return
        if kept:
            self._session.took(len(data))
        self._up.send(data)
        if taken:
            self._session.runs(halted=taken[0] is HALTED)
        if now < self.early:
            self._session.rearm()

    def from_backend(self, data: bytes) -> None:
        """Take bytes of the backend."""
        short, kept = self._short, self._kept
        if short is None or (kept and not short.reading) or (taken := short.reply(data, monotonic())) is None:
            self._session.answered(data)
            return
        if self._client.send(data) > SLOW:  # the other way nothing piles up: OpenOCD has one request at a time
            self._up.pause()
        if kept:
            self._session.passed(len(data))
        if taken:
            self._session.runs(halted=taken[0] is HALTED)
