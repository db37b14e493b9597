"""The short way through a proxy for the packets of which a debugger sends most: reads, writes, points, resumes, stops.

What takes it has the same effect as on the long way (`Proxy.client_bytes`, `Proxy.backend_bytes`), in a fifth of the steps: the
target waits meanwhile, and so does a person who steps. It is open only while one whole packet at a time goes to and fro.
"""

import re
from typing import Self

from .guard import Limits, refusal
from .outputs import HALTED, RUNNING, Notice
from .packets import Row, name, point_of
from .session import UNTOLD_STOPS, Session
from .threads import EMPTY_LIST
from .wires import GDBS, NOBODYS, REPLY, STOP, BackendWire, Turn

_LETTERS = frozenset(b"mgpMXGPzZ")
_WORDS = (b"$qXfer:threads:read::0,", b"$vCont;c", b"$vCont;s")  # OpenOCD refuses resumes that begin with another action
_READ, _RESUME, _QUERY = b"mvq"
# What is believed when they are answered. Only OpenOCD acknowledges writes that it has yet to make (`Shadow.unsettled`) and
# needs to be told what was under a breakpoint (`Shadow.under`): in front of others a write of 18 KB is not copied for that. Nor
# do others lose their lists of threads.
_ANYWHERE = {letter: Turn(owed=True, row=name(bytes((letter,)))) for letter in b"gGPzZ"}
_OF_OPENOCD = _ANYWHERE | {start[0]: Turn(owed=True, row=name(start)) for start in (b"M", b"X", b"qXfer")}
_SET, _CLEAR = b"Zz"
_SAFE_READ = re.compile(rb"m[0-9a-fA-F]{1,16},[0-9a-fA-F]{1,4}")  # nothing that `guard` would look at twice
_STOPS = frozenset(b"TS")  # `W` and `X` end a program: the long way
_REPEATED = frozenset(b"mgqvzZ")  # the same ones at every step, or every few
_LONGEST_KNOWN, _MOST_KNOWN = 64, 256  # bytes; requests
_SHORT = 512  # bytes: up to here a copy of the body costs less than two searches
_OK = b"$OK#9a"
_HASH, _DOLLAR = b"#$"
_LONG_WAY = b"Om"  # console output; a list of threads that goes on: how far it was read is noted on the long way

Taken = tuple[Notice, ...]
_QUIETLY: Taken = ()
_RUNS: Taken = (RUNNING,)
_HALTS: Taken = (HALTED,)


class Shortcut:
    """The short way between GDB and one backend; `Proxy.shortcut` tells when it is open, anew after whatever went the long way.

    Both directions return None for bytes that have to go the long way, of which nothing was noted then. Otherwise the caller
    sends them on as they are, and then carries out the notices that were returned.
    """

    __slots__ = (
        *("_changing", "_known", "_longest_reply", "_longest_request"),
        *("_session", "_shadow", "_short", "_transparent", "_wire"),
    )

    def __init__(self, session: Session, wire: BackendWire) -> None:
        """Lead past the session to this connection."""
        self._session = session
        self._shadow = session.shadow
        self._wire = wire
        self._transparent = session.transparent
        self._changing = _ANYWHERE if session.transparent else _OF_OPENOCD
        self._known: dict[bytes, Turn] = {}  # what may pass whatever else changes, and what it leads to
        self._longest_request = session.policy.request_limit + 1  # where a checksum may begin
        self._longest_reply = session.policy.reply_limit + 1
        self._short = min(_SHORT, self._longest_reply)

    def opened(self) -> Self | None:
        """Return itself, after whatever went the long way; None while something of that is not over."""
        wire = self._wire
        running = self._shadow.resume is not None
        if wire.older or (running and wire.fresh):
            wire.turn = NOBODYS
            return None
        if not wire.fresh:
            wire.turn = STOP if running else GDBS
        return self

    @property
    def reading(self) -> bool:
        """Tell whether all that is awaited is the answer to a memory read, which changes nothing that is believed."""
        return self._wire.fresh[1:2] == b"m"

    def request(self, data: bytes, now: float) -> Taken | None:
        """Take bytes of GDB, read at `now` (seconds)."""
        wire = self._wire
        if wire.turn is not GDBS:
            return None
        turn = self._known.get(data) if len(data) <= _LONGEST_KNOWN else None
        if turn is None:
            turn = self._admitted(data)
            if turn is None:
                return None
        if turn is STOP:
            return self._resume(data[1:-3])
        wire.fresh, wire.since, wire.turn = data, now, turn
        return _QUIETLY

    def _admitted(self, data: bytes) -> Turn | None:
        """Return what a request leads to, None when it may not go this way; what comes at every step is known from then on."""
        # One packet and nothing else: its only `$` at the beginning, its first `#` before the checksum.
        end = len(data) - 3
        if not 0 < end <= self._longest_request or data.find(b"#") != end or data.rfind(b"$") != 0:
            return None
        if data[1] not in _LETTERS and not data.startswith(_WORDS):
            return None
        if data[1] == _QUERY and self._shadow.listed_before and self._shadow.lists:
            return None  # answered by us until the next stop
        if not (self._transparent or self._harmless(data[1:-3])):
            return None
        turn = STOP if data[1] == _RESUME else self._changing.get(data[1], REPLY)
        if data[1] in _REPEATED and len(data) <= _LONGEST_KNOWN and (self._transparent or not data.startswith(b"$Z0")):
            turn = self._learnt(data, turn)  # but whether OpenOCD has to be asked for the RAM there changes
        return turn

    def _learnt(self, data: bytes, turn: Turn) -> Turn:
        if data[1] in (_SET, _CLEAR):
            turn = Turn(owed=True, row=turn.row, point=point_of(data[1:-3]), sets=data[1] == _SET)
        if len(self._known) == _MOST_KNOWN:
            self._known.clear()  # those of every step are soon learnt again
        self._known[data] = turn
        return turn

    def _resume(self, body: bytes) -> Taken | None:
        shadow = self._shadow
        if shadow.unsettled is not None:
            return None
        shadow.resumes(body)
        self._wire.turn = STOP
        return _RUNS

    def _harmless(self, body: bytes) -> bool:
        """Tell whether OpenOCD may have it as it is, and nothing has to be asked before."""
        if body[0] == _READ and _SAFE_READ.fullmatch(body) is not None:
            return True
        if body[:2] == b"Z0" and point_of(body) not in self._shadow.under:
            return False
        limits = Limits(self._shadow.learned, self._session.policy.request_limit)
        return refusal(body, limits) is None

    def reply(self, data: bytes) -> Taken | None:
        """Take bytes of the backend."""
        wire = self._wire
        turn = wire.turn
        if data == _OK:
            if turn.point is not None:
                if turn.sets:
                    self._shadow.points[turn.point] = None
                else:
                    self._shadow.has_no_point(turn.point)
            elif turn.row is not None:
                return self._believed(turn.row, data)
            elif not turn.owed:
                return None
        elif not self._whole(data):
            return None
        elif turn is STOP:
            return self._stop(data)
        elif not turn.owed or data[1] in _LONG_WAY:
            return None
        elif turn.row is not None:
            return self._believed(turn.row, data)
        wire.fresh, wire.turn = b"", GDBS
        self._shadow.unsettled = None  # as `proved`
        return _QUIETLY

    def _whole(self, data: bytes) -> bool:
        """Tell whether it is one packet and nothing else, as `_admitted` does."""
        if len(data) <= self._short:
            body = data[1:-3]
            return _HASH not in body and _DOLLAR not in body and data[:1] == b"$" and data[-3:-2] == b"#"
        end = len(data) - 3
        return end <= self._longest_reply and data.find(b"#") == end and data.rfind(b"$") == 0

    def _believed(self, row: Row, data: bytes) -> Taken:
        wire, shadow = self._wire, self._shadow
        body = wire.fresh[1:-3]
        wire.fresh, wire.turn = b"", GDBS
        shadow.unsettled = None  # as `proved`
        if row.name != "qXfer":
            shadow.answered(row, body, data[1:-3])
        elif len(data) > EMPTY_LIST:
            shadow.note_list(body, data[1:-3])
        return _QUIETLY

    def _stop(self, data: bytes) -> Taken | None:
        if data[1] not in _STOPS:
            return None
        if not self._transparent and (data[1:4] in UNTOLD_STOPS or self._session.doubtful_until):
            return None
        self._shadow.stands(data[1:-3])  # nothing more of `Session.noted_stop` is left to do, see `Link.short`
        self._wire.turn = GDBS
        return _HALTS
