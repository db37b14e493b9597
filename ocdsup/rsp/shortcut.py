"""The short way through a proxy for the packets of which a debugger sends most: reads, writes, points, resumes, stops.

What takes it has the same effect as on the long way (`Proxy.client_bytes`, `Proxy.backend_bytes`), in a fifth of the steps: the
target waits meanwhile, and so does a person who steps. It is open only while one whole packet at a time goes to and fro.
"""

import re

from .guard import Limits, refusal
from .outputs import HALTED, RUNNING, Notice
from .packets import Row, name, point_of
from .session import UNTOLD_STOPS, Session
from .shadow import Shadow
from .wires import BackendWire

_LETTERS = frozenset(b"mgpMXGPzZ")
_READ = 0x6D
_CHANGING: dict[int, Row] = {letter: name(bytes((letter,))) for letter in b"gMXGPzZ"}  # what their replies say is believed
_POINTS = {0x5A: Shadow.has_point, 0x7A: Shadow.has_no_point}
_SAFE_READ = re.compile(rb"m[0-9a-fA-F]{1,16},[0-9a-fA-F]{1,4}")  # nothing that `guard` would look at twice
_STOPS = frozenset(b"TS")  # `W` and `X` end a program: the long way
_ACTIONS = frozenset(b"cs")  # the first of a resume; OpenOCD refuses all others
_REPEATED = b"gqzZ"  # the same ones at every step
_MOST_KNOWN = 256
_OK = b"$OK#9a"
_CONSOLE = 0x4F

Taken = tuple[Notice, ...]
_QUIETLY: Taken = ()
_RUNS: Taken = (RUNNING,)
_HALTS: Taken = (HALTED,)


class Shortcut:
    """The short way between GDB and one backend; `Proxy.shortcut` tells when it is open, anew after whatever went the long way.

    Both directions return None for bytes that have to go the long way, of which nothing was noted then. Otherwise the caller
    sends them on as they are, and then carries out the notices that were returned.
    """

    __slots__ = ("_known", "_longest", "_session", "_shadow", "_transparent", "_wire")

    def __init__(self, session: Session, wire: BackendWire) -> None:
        """Lead past the session to this connection."""
        self._session = session
        self._shadow = session.shadow
        self._wire = wire
        self._known: set[bytes] = set()  # requests that are harmless whatever else changes
        self._transparent = session.transparent
        self._longest = session.policy.request_limit + 1, session.policy.reply_limit + 1  # where a checksum may begin

    @property
    def reading(self) -> bool:
        """Tell whether all that is awaited is the answer to a memory read, which changes nothing that is believed."""
        return self._wire.fresh[1:2] == b"m"

    def request(self, data: bytes, now: float) -> Taken | None:
        """Take bytes of GDB, read at `now` (seconds)."""
        # One packet and nothing else: its only `$` at the beginning, its first `#` before the checksum.
        end = len(data) - 3
        if end < 1 or end > self._longest[0] or data.find(b"#") != end or data.rfind(b"$") != 0:
            return None
        wire = self._wire
        if wire.fresh or wire.older or self._shadow.resume is not None:
            return None
        if data[1] not in _LETTERS:
            if data.startswith(b"$vCont;") and data[7] in _ACTIONS:
                return self._resume(data[1:-3])
            if not data.startswith(b"$qXfer:threads:"):
                return None
        if not (self._transparent or self._harmless(data[1:-3])):
            return None
        wire.fresh, wire.since = data, now
        return _QUIETLY

    def _resume(self, body: bytes) -> Taken | None:
        shadow = self._shadow
        if shadow.stale or shadow.untold or shadow.unsettled is not None or self._session.interrupted:
            return None
        shadow.resumes(body)
        return _RUNS

    def _harmless(self, body: bytes) -> bool:
        """Tell whether OpenOCD may have it as it is, and nothing has to be asked before."""
        if body[0] == _READ and _SAFE_READ.fullmatch(body) is not None:
            return True
        if body[:2] == b"Z0" and point_of(body) not in self._shadow.under:
            return False
        if body in self._known:
            return True
        limits = Limits(self._shadow.learned.highest_register, self._session.policy.request_limit, self._shadow.image)
        harmless = refusal(body, limits) is None
        if harmless and body[0] in _REPEATED and len(self._known) < _MOST_KNOWN:
            self._known.add(body)
        return harmless

    def reply(self, data: bytes, now: float) -> Taken | None:
        """Take bytes of the backend, read at `now` (seconds)."""
        end = len(data) - 3
        if end < 1 or end > self._longest[1] or data.find(b"#") != end or data.rfind(b"$") != 0:
            return None
        shadow, wire = self._shadow, self._wire
        if shadow.resume is not None:
            return self._stop(data, now)
        fresh = wire.fresh
        if not fresh or (data[1] == _CONSOLE and data != _OK):
            return None
        wire.fresh = b""
        shadow.unsettled = None  # as `proved`
        row = _CHANGING.get(fresh[1])
        if row is None:
            return _QUIETLY
        change = _POINTS.get(fresh[1])
        if change is not None and data == _OK:
            change(shadow, point_of(fresh[1:-3]))
        else:
            shadow.answered(row, fresh[1:-3], data[1:-3])
        return _QUIETLY

    def _stop(self, data: bytes, now: float) -> Taken | None:
        session, wire = self._session, self._wire
        if data[1] not in _STOPS or wire.fresh or wire.older or session.held is not None or session.unsent:
            return None
        if not self._transparent and (data[1:4] in UNTOLD_STOPS or now < session.doubtful_until):
            return None
        session.noted_stop(data[1:-3])
        return _HALTS
