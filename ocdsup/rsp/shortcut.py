"""The short way through a proxy for the packets of which a debugger sends most: reads, writes, points, resumes, stops.

What takes it has the same effect as on the long way (`Proxy.client_bytes`, `Proxy.backend_bytes`), in a fifth of the steps: the
target waits meanwhile, and so does a person who steps. It is open only while one whole packet at a time goes to and fro.
"""

import re

from .guard import Limits, refusal
from .outputs import HALTED, RUNNING, Notice
from .packets import OK, Row, name, point_of
from .session import UNTOLD_STOPS, Session
from .wires import Ask, BackendWire

_MEMORY, _THREADS = name(b"m0,1"), name(b"qXfer:threads:read::0,1")
_ROWS: dict[int, Row] = {letter: name(bytes((letter,))) for letter in b"mgpMXGPzZ"}
_SAFE_READ = re.compile(rb"m[0-9a-fA-F]{1,16},[0-9a-fA-F]{1,4}")  # nothing that `guard` would look at twice
_STOPS = frozenset(b"TS")  # `W` and `X` end a program: the long way

Taken = tuple[Notice, ...]
_QUIETLY: Taken = ()
_RUNS: Taken = (RUNNING,)
_HALTS: Taken = (HALTED,)


class Shortcut:
    """The short way between GDB and one backend; `Proxy.shortcut` tells when it is open, anew after whatever went the long way.

    Both directions return None for bytes that have to go the long way, of which nothing was noted then. Otherwise the caller
    sends them on as they are, and then carries out the notices that were returned.
    """

    __slots__ = ("_ask", "_limits", "_session", "_shadow", "_transparent", "_waiting")

    def __init__(self, session: Session, wire: BackendWire) -> None:
        """Lead past the session to this connection."""
        self._session = session
        self._shadow = session.shadow
        self._waiting = wire.waiting
        self._transparent = session.transparent
        self._limits = session.policy.request_limit + 1, session.policy.reply_limit + 1  # where a checksum may begin
        self._ask = Ask(_MEMORY, b"", b"", 0.0)  # the one on its way, filled anew for each

    @property
    def reading(self) -> bool:
        """Tell whether all that is awaited is the answer to a memory read, which changes nothing that is believed."""
        return len(self._waiting) == 1 and self._waiting[0] is self._ask and self._ask.row is _MEMORY

    def request(self, data: bytes, now: float) -> Taken | None:
        """Take bytes of GDB, read at `now` (seconds)."""
        # One packet and nothing else: its only `$` at the beginning, its first `#` before the checksum.
        end = len(data) - 3
        if end < 1 or end > self._limits[0] or data.find(b"#") != end or data.rfind(b"$") != 0:
            return None
        if self._waiting or self._shadow.resume is not None:
            return None
        row = _ROWS.get(data[1])
        body = data[1:-3]
        if row is None:
            if body.startswith(b"vCont;"):
                return self._resume(body)
            if not body.startswith(b"qXfer:threads:"):
                return None
            row = _THREADS
        if not (self._transparent or self._harmless(row, body)):
            return None
        ask = self._ask
        if ask.abandoned:  # the long way has ended it
            ask = self._ask = Ask(row, body, data, now)
        ask.row, ask.body, ask.raw, ask.since = row, body, data, now
        self._waiting.append(ask)
        return _QUIETLY

    def _resume(self, body: bytes) -> Taken | None:
        shadow = self._shadow
        if shadow.stale or shadow.untold or shadow.unsettled is not None or self._session.interrupted:
            return None
        shadow.resumes(body)
        return _RUNS

    def _harmless(self, row: Row, body: bytes) -> bool:
        """Tell whether OpenOCD may have it as it is, and nothing has to be asked before."""
        if row.name == "m" and _SAFE_READ.fullmatch(body) is not None:
            return True
        if body[:2] == b"Z0" and point_of(body) not in self._shadow.under:
            return False
        limits = Limits(self._shadow.learned.highest_register, self._session.policy.request_limit, self._shadow.image)
        return refusal(body, limits) is None

    def reply(self, data: bytes, now: float) -> Taken | None:
        """Take bytes of the backend, read at `now` (seconds)."""
        end = len(data) - 3
        if end < 1 or end > self._limits[1] or data.find(b"#") != end or data.rfind(b"$") != 0:
            return None
        shadow, waiting, ask = self._shadow, self._waiting, self._ask
        if shadow.resume is not None:
            return self._stop(data, now)
        if len(waiting) != 1 or waiting[0] is not ask or ask.abandoned or (data[1] == 0x4F and data[1:-3] != OK):
            return None
        waiting.clear()
        shadow.unsettled = None  # as `proved`
        if ask.row is not _MEMORY and ask.row is not _THREADS:  # neither changes what is believed
            shadow.answered(ask.row, ask.body, data[1:-3])
        return _QUIETLY

    def _stop(self, data: bytes, now: float) -> Taken | None:
        session = self._session
        if data[1] not in _STOPS or self._waiting or session.held is not None or session.unsent:
            return None
        if not self._transparent and (data[1:4] in UNTOLD_STOPS or now < session.doubtful_until):
            return None
        session.noted_stop(data[1:-3])
        return _HALTS
