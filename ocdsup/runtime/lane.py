"""The short way of a debug session from socket to socket: what `rsp.shortcut` takes is sent on at once, all else is looked at.

A debugger that steps comes through here fourteen times a step and finds the caches of the CPU cold: what counts is how little
is touched on the way, not only how little is done.
"""

from __future__ import annotations

from math import inf
from os import read, write
from time import monotonic
from typing import TYPE_CHECKING

from ocdsup.rsp.outputs import HALTED
from ocdsup.runtime.wire import READ

if TYPE_CHECKING:
    from collections.abc import Callable

    from ocdsup.rsp.shortcut import Shortcut
    from ocdsup.runtime.gdb_session import GdbSession
    from ocdsup.runtime.wire import Wire

SLOW = 1024 * 1024  # bytes: a reader this far behind pauses the other side


class Lane:
    """Reads the sockets of a session; `lead` says where what they said may go, anew after whatever the session did.

    `heard`: when the debugger last said something. `early`: what it says before would be due before the session's timer.
    Both in seconds of the monotonic clock.
    """

    __slots__ = ("_client", "_kept", "_session", "_short", "_up", "early", "heard")

    def __init__(self, session: GdbSession) -> None:
        """Lead nowhere."""
        self._session = session
        self._client: Wire | None = None
        self._up: Wire | None = None
        self._short: Shortcut | None = None  # straight from socket to socket
        self._kept: Shortcut | None = None  # beside the session's record: only plain reads
        self.early = -inf
        self.heard = monotonic()  # as if now: who knows when one that was taken up has spoken to the previous daemon

    def lead(self, short: Shortcut | None, client: Wire | None, up: Wire | None, *, kept: bool) -> None:
        """Lead from here to there where `short` allows it.

        While the session is `kept`, its record must be true before anything else than a plain read is passed on.
        """
        if client is None or up is None:
            short = None
        self._kept = short if kept else None
        wanted = None if kept else short
        if wanted is self._short and client is self._client and up is self._up:
            return
        for old in (self._client, self._up):
            if old is not None:
                old.read_fast(None)
        self._short, self._client, self._up = wanted, client, up
        if wanted is not None and client is not None and up is not None:
            client.read_fast(self._client_reader(wanted, client, up))
            up.read_fast(self._up_reader(wanted, client, up))

    # Readers of a straight lane: functions with their values at hand, and system calls past the sockets. Where the caches are
    # cold, every step of the interpreter counts.

    def _client_reader(self, short: Shortcut, client: Wire, up: Wire) -> Callable[[], None]:
        here, there, lane, session, request = client.number, up.number, self, self._session, short.request

        def ready() -> None:
            try:
                data = read(here, READ)
            except OSError as error:
                client.unreadable(error)
                return
            try:
                lane.heard = now = monotonic()
                taken = request(data, now) if data else None
                if taken is None:
                    client.take(data)
                    return
                try:
                    sent = write(there, data) if up.clear else 0
                except OSError:  # also "try again": told apart where it matters
                    sent = 0
                if sent != len(data):
                    up.send(data[sent:])
                if taken:
                    session.runs(halted=taken[0] is HALTED)
                if now < lane.early:
                    session.rearm()
            except Exception as error:  # noqa: BLE001  # a mistake of ours about these bytes
                client.spoilt(error)

        return ready

    def _up_reader(self, short: Shortcut, client: Wire, up: Wire) -> Callable[[], None]:
        here, there, session, reply = up.number, client.number, self._session, short.reply

        def ready() -> None:
            try:
                data = read(here, READ)
            except OSError as error:
                up.unreadable(error)
                return
            try:
                taken = reply(data) if data else None
                if taken is None:
                    up.take(data)
                    return
                try:
                    sent = write(there, data) if client.clear else 0
                except OSError:
                    sent = 0
                if sent != len(data) and client.send(data[sent:]) > SLOW:
                    up.pause()  # the other way nothing piles up: OpenOCD has one request at a time
                if taken:
                    session.runs(halted=taken[0] is HALTED)
            except Exception as error:  # noqa: BLE001  # a mistake of ours about these bytes
                up.spoilt(error)

        return ready

    # What the wires have read themselves.

    def from_client(self, data: bytes) -> None:
        """Take bytes of GDB."""
        now = self.heard = monotonic()
        short = self._kept
        if short is None or self._up is None or data[1:2] != b"m" or short.request(data, now) is None:
            self._session.asked(data, now)
            return
        self._session.took(len(data))
        self._up.send(data)
        if now < self.early:
            self._session.rearm()

    def from_backend(self, data: bytes) -> None:
        """Take bytes of the backend."""
        short = self._kept
        if short is None or self._client is None or self._up is None or not short.reading or short.reply(data) is None:
            self._session.answered(data)
            return
        if self._client.send(data) > SLOW:
            self._up.pause()
        self._session.passed(len(data))
