"""The stable GDB port of one target: open before OpenOCD is, and still open when it is gone.

A client reaches OpenOCD only after it said something: a bare connect costs OpenOCD 0.95 s of standstill and clears every
breakpoint (0.12 and master, seen), so port probes of IDEs must end here.
"""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ocdsup.rsp.learned import Learned
from ocdsup.rsp.policy import Policy, SecondClient
from ocdsup.runtime.fd_store import Kept, Store
from ocdsup.runtime.gdb_session import GdbSession
from ocdsup.runtime.lane import SLOW
from ocdsup.runtime.listeners import Listener
from ocdsup.runtime.tasks import Tasks

__all__ = ["MAX_CLIENTS", "SLOW", "Answer", "GdbPort", "Served"]

MAX_CLIENTS = 8

_WHY = {
    SecondClient.REFUSE: "(second_client is refuse for this bench)",
    SecondClient.TAKEOVER: "and not idle (second_client is takeover: halted and silent for takeover_after)",
}
# Answers `monitor ocdsup …`, given the words behind `ocdsup`; never raises.
Answer = Callable[[str], Awaitable[str]]


@dataclass(frozen=True, slots=True)
class Served:
    """Where OpenOCD serves this target, and how often the board was reset by starts of ours so far."""

    host: str
    port: int
    resets: int
    run: int
    told: str = ""  # what debuggers are told instead of "the board was reset"
    slow: bool = False  # recovery runs the adapter slower than its user, whose own speed is not set again meanwhile


class GdbPort:
    """The listener of one target and its sessions."""

    def __init__(
        self,
        sockets: Sequence[socket.socket],
        policy: Policy,
        answer: Answer,
        changed: Callable[[], None],
        tasks: Tasks,
        log: Any,
        store: Store | None = None,
    ) -> None:
        self.store = store
        self.policy = policy
        self.answer = answer
        self.changed = changed
        self.tasks = tasks
        self.log = log
        self.learned = Learned()  # what GDB was told about the target: serves those that attach while OpenOCD is away
        self.served: Served | None = None
        self._away = ""  # why there is no OpenOCD, as far as is known
        self.why = ""  # the target itself is away, although OpenOCD is there
        self.resets = 0
        self.left_work: Callable[[Sequence[str]], None] = lambda _lines: None  # a session has gone, its commands may go on
        self._halted = False
        self._sessions: list[GdbSession] = []
        self._listener = Listener(sockets, self._accept)
        self.port = self._listener.port

    @property
    def sessions(self) -> int:
        """Debug sessions: clients that spoke."""
        return sum(session.speaks for session in self._sessions)

    @property
    def halted(self) -> bool:
        """Whether a debug session has the core halted."""
        return any(session.halted and session.speaks for session in self._sessions)

    @property
    def owes(self) -> bool:
        """Whether a debugger that has gone is still to be said goodbye for."""
        return any(session.owes for session in self._sessions)

    @property
    def work(self) -> list[str]:
        """What its debuggers have OpenOCD do that may take long."""
        return [line for session in self._sessions for line in session.work]

    @property
    def lively(self) -> bool:
        """Whether a debugger has said something a moment ago, and will soon say more."""
        return any(session.lively for session in self._sessions)

    def run_state(self) -> None:
        """A session was halted or runs on; told further only when that changes the whole."""
        halted = self._sessions[0].halted if len(self._sessions) == 1 else self.halted
        if halted != self._halted:
            self._halted = halted
            self.changed()

    def _accept(self, sock: socket.socket) -> None:
        if len(self._sessions) >= MAX_CLIENTS and not self._make_room():
            self.log.warning("gdb_too_many_clients", port=self.port)
            sock.close()
            return
        self._sessions.append(GdbSession(sock, self))
        self._tell_away()

    def adopt(self, kept: Kept) -> None:
        """Go on with a session of the previous daemon."""
        self._sessions.append(GdbSession(kept.sock, self, kept))
        self._tell_away()
        self.changed()

    def park(self) -> None:
        """End the port; its sessions wait for the next daemon where that can be."""
        for session in tuple(self._sessions):
            session.park()
        self.close()

    def _make_room(self) -> bool:
        """Cut the oldest connect that never said anything: port probes must not keep a debugger out."""
        silent = next((session for session in self._sessions if session.silent), None)
        if silent is not None:
            silent.close()
        return silent is not None

    def choose(self, policy: Policy, *, forget: bool) -> None:
        """Take other choices, for the debuggers that are here too; `forget`: it may be another chip for those that come."""
        self.policy = policy
        if forget:
            self.learned = Learned()
        for session in tuple(self._sessions):
            session.hear(lambda proxy, now: proxy.choose(policy, now))

    def admit(self, session: GdbSession) -> str:
        """Find a place for a client that has begun to speak; returns why there is none, or nothing."""
        others = self._others(session)
        if not others:
            return ""
        match self.policy.second_client:
            case SecondClient.SHARE:
                session.join()
                return ""
            case SecondClient.TAKEOVER if all(other.idle for other in others):
                for other in others:
                    other.give_way()
                return ""
            case wish:
                self.log.info("gdb_refused", port=self.port, second_client=wish.value)
                return f"another debugger is attached to this target {_WHY[wish]}"

    def joined(self, session: GdbSession) -> None:
        """OpenOCD has taken a session's connection, and has cleared the points of all others for it."""
        for other in self._others(session):
            other.hear(lambda proxy, now: proxy.reexamined(now, soft=True))

    def _others(self, session: GdbSession) -> list[GdbSession]:
        return [other for other in self._sessions if other.speaks and other is not session]

    def forget(self, session: GdbSession) -> None:
        """A session is over."""
        if session in self._sessions:
            self._sessions.remove(session)
            self.changed()
            for other in tuple(self._sessions):
                other.backend_up()  # it may have waited for this one

    def backend_up(self, served: Served) -> None:
        """OpenOCD serves this target now."""
        self.served, self._away = served, ""
        self.resets = served.resets
        for session in tuple(self._sessions):
            session.backend_up()

    def backend_down(self, reason: str) -> None:
        """OpenOCD is gone or going."""
        self.served = None
        for session in tuple(self._sessions):
            session.backend_down(reason)

    def away(self, why: str) -> None:
        """There is no OpenOCD, for this reason; again whenever it changes."""
        self._away = why
        self._tell_away()

    def _tell_away(self) -> None:
        if why := self._away:
            for session in tuple(self._sessions):
                session.hear(lambda proxy, now: proxy.backend_lost(why, now))  # without one, this only tells the reason

    def target_silent(self, why: str) -> None:
        """The target does not answer although OpenOCD does, for this reason; it answers again when there is none."""
        self.why = why
        if why:
            self.backend_down(why)
            self._away = ""
        for session in tuple(self._sessions):
            session.hear(lambda proxy, now: proxy.target_silent(why, now))
        self._tell_away()

    def tell(self, text: str) -> None:
        """Show every user a line, where GDB takes one now."""
        for session in tuple(self._sessions):
            session.hear(lambda proxy, now: proxy.tell(text, now))

    def recovering(self, active: bool) -> None:
        """A recovery has begun or ended."""
        for session in tuple(self._sessions):
            session.hear(lambda proxy, now: proxy.recovering(active, now))

    def target_seen(self, *, halted: bool) -> None:
        """OpenOCD's poll has found the core in another state than before."""
        for session in tuple(self._sessions):
            session.hear(lambda proxy, now: proxy.target_seen(now, halted=halted))

    def outside_change(self) -> None:
        """Somebody other than GDB may have changed the target."""
        for session in tuple(self._sessions) if self.policy.cache else ():
            session.hear(lambda proxy, _now: proxy.outside_change())

    def reexamined(self) -> None:
        """OpenOCD examined the target anew."""
        for session in tuple(self._sessions):
            session.hear(lambda proxy, now: proxy.reexamined(now))

    def close(self) -> None:
        """End the port and its sessions."""
        self._listener.close()
        self.served = None  # nobody dials any more
        for session in tuple(self._sessions):
            session.close()
