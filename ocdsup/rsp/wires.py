"""The two connections of a proxy: framing, acknowledgements and retransmission, each on its own leg."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from .framing import ACK, NACK, Frame, Framer, Kind, Side, encode
from .outputs import Output, ToBackend, ToClient
from .packets import Point, Row, name


@dataclass(slots=True, eq=False)
class Ask:
    """One request on its way: GDB's own, or one of ours (`ours` is then the dialogue it belongs to)."""

    row: Row
    body: bytes
    raw: bytes
    since: float  # seconds, when it came in
    ours: object | None = None
    abandoned: bool = False  # GDB has been given an error: the late reply is dropped
    again: bool = False  # a backend was lost while it was to answer this
    held: float = 0.0  # seconds that GDB was asked to wait for it
    void: bool = False  # its answer may be of yesterday when it comes: it is not kept
    text: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Before:
    """Tag of a read of ours that GDB's `request` waits for: of the RAM under `point`, or only to be sure of the past."""

    request: Ask
    point: Point | None = None


@dataclass(slots=True, eq=False)
class Turn:
    """What the short way waits for (`shortcut`), settled when it was asked."""

    owed: bool  # a reply
    row: Row | None = None  # of a request whose reply changes what is believed
    point: Point | None = None  # that is set, or cleared, when this is acknowledged
    sets: bool = False


GDBS = Turn(owed=False)  # nothing is awaited: GDB may ask
STOP = Turn(owed=False)  # the target runs
REPLY = Turn(owed=True)  # to a request that changes nothing
NOBODYS = Turn(owed=False)  # until it was looked anew: something may wait that did not take the short way


class _Wire:
    """One connection that may still use acknowledgements."""

    __slots__ = ("_framer", "_last", "_write")

    def __init__(self, framer: Framer, write: Callable[[bytes], Output]) -> None:
        self._framer = framer
        self._write = write
        self._last = b""

    @property
    def acks(self) -> bool:
        """Tell whether this leg acknowledges packets."""
        return self._framer.verify

    @acks.setter
    def acks(self, on: bool) -> None:
        self._framer.verify = on

    @property
    def idle(self) -> bool:
        """Tell whether this leg neither acknowledges packets nor is in the middle of one."""
        return self._framer.between and not self._framer.verify

    def take(self, data: bytes, out: list[Output]) -> list[Frame]:
        """Return the frames that matter above; acknowledgements are given and obeyed here, at once."""
        frames = self._framer.feed(data)
        if not self._framer.verify and len(frames) == 1 and frames[0].kind is Kind.PACKET:
            return frames
        return [frame for frame in frames if self._pass(frame, out)]

    def _pass(self, frame: Frame, out: list[Output]) -> bool:
        match frame.kind:
            case Kind.PACKET | Kind.OVERSIZE:
                if self.acks:
                    out.append(self._write(ACK))
                return True
            case Kind.NACK:
                if self._last and self.acks:
                    out.append(self._write(encode(self._last[1:-3])))  # a damaged checksum is repaired on the way
                return True
            case Kind.DAMAGED:
                out.append(self._write(NACK))
                return False
            case _:
                return True

    def send(self, raw: bytes, out: list[Output]) -> None:
        """Write one whole frame."""
        if self._framer.verify:
            self._last = raw
        out.append(self._write(raw))


class ClientWire(_Wire):
    """The connection to GDB."""

    __slots__ = ()

    def __init__(self, limit: int) -> None:
        """Start with acknowledgements, as every GDB does; `limit` in bytes."""
        super().__init__(Framer(Side.CLIENT, limit=limit), ToClient)


class BackendWire(_Wire):
    """The connection to one backend, with the requests that wait for its replies, in order.

    `fresh` is one that took the short way (a whole frame, asked at `since`): most are answered before anybody looks at them.
    `older` are the others. `turn`: whose turn it is on the short way.
    """

    __slots__ = ("fresh", "older", "since", "turn")

    def __init__(self, limit: int, *, acks: bool) -> None:
        """Start with nothing asked; `limit` in bytes."""
        super().__init__(Framer(Side.SERVER, limit=limit, verify=acks), ToBackend)
        self.older: deque[Ask] = deque()
        self.fresh = b""
        self.since = 0.0
        self.turn = NOBODYS

    @property
    def waiting(self) -> deque[Ask]:
        """Return all that wait; a fresh one is fresh no more, and its reply takes the long way."""
        if self.fresh:
            raw, self.fresh, self.turn = self.fresh, b"", NOBODYS
            self.older.append(Ask(name(raw[1:-3]), raw[1:-3], raw, self.since))
        return self.older

    @property
    def of_gdb(self) -> list[Ask]:
        """Return the requests whose reply GDB waits for and will get from this connection."""
        asks = [ask.ours.request if isinstance(ask.ours, Before) else ask for ask in self.waiting]
        return [ask for ask in asks if ask.ours is None and not ask.abandoned]
