"""The short way through a proxy for the packets of which a debugger sends most: reads, writes, points, resumes, stops.

What takes it has the same effect as on the long way (`Proxy.client_bytes`, `Proxy.backend_bytes`), in a fifth of the steps: the
target waits meanwhile, and so does a person who steps. It is open only while one whole packet at a time goes to and fro.
"""

import re

from .guard import Limits, refusal
from .outputs import HALTED, RUNNING, Notice
from .packets import Point, Row, name, point_of
from .session import UNTOLD_STOPS, Session
from .shadow import Shadow
from .threads import EMPTY_LIST
from .wires import BackendWire

_LETTERS = frozenset(b"mgpMXGPzZ")
_WORDS = (b"$qXfer:threads:read::0,", b"$vCont;c", b"$vCont;s")  # OpenOCD refuses resumes that begin with another action
_READ, _RESUME, _QUERY = 0x6D, 0x76, 0x71
# What is believed when they are answered. Only OpenOCD acknowledges writes that it has yet to make (`Shadow.unsettled`) and
# needs to be told what was under a breakpoint (`Shadow.under`): in front of others a write of 18 KB is not copied for that.
_CHANGING: dict[int, Row] = {letter: name(bytes((letter,))) for letter in b"gMXGPzZ"}
_CHANGING_ANYWHERE = {letter: row for letter, row in _CHANGING.items() if letter not in b"MX"}
_POINTS = {0x5A: Shadow.has_point, 0x7A: Shadow.has_no_point}
_SAFE_READ = re.compile(rb"m[0-9a-fA-F]{1,16},[0-9a-fA-F]{1,4}")  # nothing that `guard` would look at twice
_STOPS = frozenset(b"TS")  # `W` and `X` end a program: the long way
_REPEATED = frozenset(b"mgqvzZ")  # the same ones at every step, or every few
_LONGEST_KNOWN, _MOST_KNOWN = 64, 256  # bytes; requests
_OK = b"$OK#9a"
_CONSOLE = 0x4F
_MORE = 0x6D  # a list of threads that goes on: how far it was read is noted on the long way

Taken = tuple[Notice, ...]
_QUIETLY: Taken = ()
_RUNS: Taken = (RUNNING,)
_HALTS: Taken = (HALTED,)


class Shortcut:
    """The short way between GDB and one backend; `Proxy.shortcut` tells when it is open, anew after whatever went the long way.

    Both directions return None for bytes that have to go the long way, of which nothing was noted then. Otherwise the caller
    sends them on as they are, and then carries out the notices that were returned.
    """

    __slots__ = ("_changing", "_known", "_longest_reply", "_longest_request", "_session", "_shadow", "_transparent", "_wire")

    def __init__(self, session: Session, wire: BackendWire) -> None:
        """Lead past the session to this connection."""
        self._session = session
        self._shadow = session.shadow
        self._wire = wire
        self._transparent = session.transparent
        self._changing = _CHANGING_ANYWHERE if session.transparent else _CHANGING
        self._known: dict[bytes, Point | None] = {}  # what may pass whatever else changes, and the point it is about
        self._longest_request = session.policy.request_limit + 1  # where a checksum may begin
        self._longest_reply = session.policy.reply_limit + 1

    @property
    def reading(self) -> bool:
        """Tell whether all that is awaited is the answer to a memory read, which changes nothing that is believed."""
        return self._wire.fresh[1:2] == b"m"

    def request(self, data: bytes, now: float) -> Taken | None:
        """Take bytes of GDB, read at `now` (seconds)."""
        wire = self._wire
        if wire.fresh or wire.older or self._shadow.resume is not None:
            return None
        if (len(data) > _LONGEST_KNOWN or data not in self._known) and not self._admits(data):
            return None
        if data[1] == _RESUME:
            return self._resume(data[1:-3])
        wire.fresh, wire.since = data, now
        return _QUIETLY

    def _admits(self, data: bytes) -> bool:
        """Tell whether a request may go this way; what comes again at every step is known by heart from then on."""
        # One packet and nothing else: its only `$` at the beginning, its first `#` before the checksum.
        end = len(data) - 3
        if not 0 < end <= self._longest_request or data.find(b"#") != end or data.rfind(b"$") != 0:
            return False
        if data[1] not in _LETTERS and not data.startswith(_WORDS):
            return False
        if data[1] == _QUERY and self._shadow.listed_before and self._shadow.lists:
            return False  # answered by us until the next stop
        if not (self._transparent or self._harmless(data[1:-3])):
            return False
        if data[1] in _REPEATED and len(data) <= _LONGEST_KNOWN:
            self._learn(data)
        return True

    def _learn(self, data: bytes) -> None:
        if data.startswith(b"$Z0") and not self._transparent:
            return  # whether OpenOCD has to be asked for the RAM there changes
        if len(self._known) == _MOST_KNOWN:
            self._known.clear()  # those of every step are soon learnt again
        self._known[data] = point_of(data[1:-3]) if data[1] in _POINTS else None

    def _resume(self, body: bytes) -> Taken | None:
        shadow = self._shadow
        if shadow.unsettled is not None:
            return None
        shadow.resumes(body)
        return _RUNS

    def _harmless(self, body: bytes) -> bool:
        """Tell whether OpenOCD may have it as it is, and nothing has to be asked before."""
        if body[0] == _READ and _SAFE_READ.fullmatch(body) is not None:
            return True
        if body[:2] == b"Z0" and point_of(body) not in self._shadow.under:
            return False
        limits = Limits(self._shadow.learned, self._session.policy.request_limit)
        return refusal(body, limits) is None

    def reply(self, data: bytes, now: float) -> Taken | None:
        """Take bytes of the backend, read at `now` (seconds)."""
        ok = data == _OK
        if not ok:
            end = len(data) - 3
            if not 0 < end <= self._longest_reply or data.find(b"#") != end or data.rfind(b"$") != 0:
                return None
        shadow, wire = self._shadow, self._wire
        if shadow.resume is not None:
            return self._stop(data, now)
        fresh = wire.fresh
        if not fresh or (data[1] == _CONSOLE and not ok) or data[1] == _MORE:
            return None
        wire.fresh = b""
        shadow.unsettled = None  # as `proved`
        row = self._changing.get(fresh[1])
        if row is None:
            if fresh[1] == _QUERY and len(data) > EMPTY_LIST and not self._transparent:
                shadow.note_list(fresh[1:-3], data[1:-3])
            return _QUIETLY
        change = _POINTS.get(fresh[1])
        if ok and change is not None:
            change(shadow, self._known.get(fresh) or point_of(fresh[1:-3]))
        else:
            shadow.answered(row, fresh[1:-3], data[1:-3])
        return _QUIETLY

    def _stop(self, data: bytes, now: float) -> Taken | None:
        wire = self._wire
        if data[1] not in _STOPS or wire.fresh or wire.older:
            return None
        if not self._transparent and (data[1:4] in UNTOLD_STOPS or now < self._session.doubtful_until):
            return None
        self._shadow.stands(data[1:-3])  # nothing more of `Session.noted_stop` is left to do, see `Link.short`
        return _HALTS
