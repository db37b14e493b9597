"""A debug session as bytes, so that it can outlive the process that serves it: what GDB believes, and what it waits for.

A record is of one version and one set of fields. Whatever does not fit to the letter (another version, a field more or less, a
type that is not right, a checksum) is no record: then the session ends cleanly, because a wrong belief is worse than none.

Two slots that are written in turn (`slots`): a process may be killed in the middle of writing one.
"""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass, fields
from enum import Enum
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints

from .learned import Learned
from .outputs import News, Notice, Output
from .packets import OK, Answer, Point, name
from .proxy import Proxy
from .reception import expired
from .shadow import Flash, Shadow
from .wires import Ask

VERSION = 1
SLOT = 1 << 20  # bytes; a record that does not fit is not kept
_MAGIC = b"ocdsup-session "
_HEAD = len(_MAGIC) + 36  # version, generation, length and checksum: four numbers of 8 digits, blanks, a newline


class RecordError(ValueError):
    """What was found is not a record of this version."""


@dataclass(frozen=True, slots=True)
class Parked:
    """One session without its socket. `asks` are requests without a reply, oldest first; `partial` is the rest of a read.

    `taken` and `given` count the bytes of the connection up to this state; the last of them may be `unsent`.
    """

    shadow: Shadow
    asks: tuple[bytes, ...] = ()
    partial: bytes = b""
    interrupted: bool = False
    owed: bool = False  # a `monitor ocdsup …` waits for its text
    taken: int = 0
    given: int = 0
    unsent: bytes = b""


# ---- proxy <-> parked ----


def park(proxy: Proxy, taken: int = 0, given: int = 0, unsent: bytes = b"") -> Parked:
    """The session as it stands now; the proxy goes on unharmed."""
    session, link = proxy._session, proxy._link
    waiting = [ask for ask in link.waiting if not ask.abandoned]
    return Parked(
        shadow=proxy.shadow,
        asks=tuple(ask.raw for ask in (*waiting, *proxy._backlog)),
        partial=bytes(session.client._framer._buffer),
        interrupted=session.interrupted,
        owed=proxy._own.since is not None,
        taken=taken,
        given=given,
        unsent=unsent,
    )


def resume(proxy: Proxy, parked: Parked, now: float) -> list[Output]:
    """Make of a fresh proxy the one that was parked: GDB is there, its backend is away. Returns outputs, as inputs do."""
    out: list[Output] = [Notice(News.SESSION)]
    proxy._greeting.meet()
    for field in fields(Shadow):
        if field.name != "learned":
            setattr(proxy.shadow, field.name, getattr(parked.shadow, field.name))
    _learn(proxy.shadow.learned, parked.shadow.learned)
    session = proxy._session
    session.client.acks = not proxy.shadow.no_ack
    session.interrupted = parked.interrupted
    proxy.shadow.lost()
    if proxy.shadow.attached:
        out.append(Notice(News.RUNNING if proxy.shadow.running else News.HALTED))
    if parked.owed:
        session.console("ocdsup: the supervisor was restarted; ask again\n", out)
        session.reply(OK, out)
    for raw in parked.asks:
        _ask_again(proxy, raw, now, out)
    return out + proxy.client_bytes(parked.partial, now)


def _ask_again(proxy: Proxy, raw: bytes, now: float, out: list[Output]) -> None:
    """As after the loss of a backend: what may be asked twice waits for the next one, the rest is answered with an error."""
    body = raw[1:-3]
    ask = Ask(name(body), body, raw, now)
    if ask.row.again or ask.row.answer is Answer.STOP:
        proxy._backlog.append(ask)
    else:
        proxy._session.give(ask, expired(ask.row, "the supervisor was restarted"), out)


def _learn(mine: Learned, theirs: Learned) -> None:
    for key, reply in theirs.replies.items():
        mine.replies.setdefault(key, reply)
    for subject, end in theirs.ends.items():
        mine.ends.setdefault(subject, end)
    mine.registers = mine.registers or theirs.registers
    if not mine.description:
        mine.description.update(theirs.description)
        mine.sizes = theirs.sizes


# ---- parked <-> bytes ----


class Recorder:
    """Makes the records of one session: each for the slot that holds the older one.

    A step brings a dozen records, and GDB waits for each. Most of one is what the one before was: the text of every field is
    kept, and that of the description of the target, which is large and grows a few times only.
    """

    def __init__(self, generation: int = 0) -> None:
        self.generation = generation
        self._sizes = (-1, -1)
        self._learned = ""
        self._texts: dict[str, tuple[Any, str]] = {}  # field -> its value in the record before, and the text of that

    def record(self, proxy: Proxy, taken: int = 0, given: int = 0, unsent: bytes = b"") -> tuple[int, bytes]:
        """The slot (0 or 1) and what to write into it. Raises RecordError when it does not fit."""
        learned = proxy.shadow.learned
        sizes = (len(learned.replies) + len(learned.description), sum(map(len, learned.replies.values())))
        if sizes != self._sizes:
            self._sizes, self._learned = sizes, _json(_plain(learned))
        self.generation = (self.generation + 1) % 10**8
        text = f'{self._object(park(proxy, taken, given, unsent))[:-1]},"learned":{self._learned}}}'
        return self.generation % 2, _record(text, self.generation)

    def _object(self, value: Parked | Shadow) -> str:
        return "{" + ",".join(f'"{name}":{self._text(name, getattr(value, name))}' for name in _FIELDS[type(value)]) + "}"

    def _text(self, name: str, value: Any) -> str:
        if isinstance(value, Shadow):
            return self._object(value)
        before = self._texts.get(name)
        now = tuple(value.items()) if isinstance(value, dict) else value
        if before is None or before[0] != now:
            before = self._texts[name] = now, _json(_plain(value))
        return before[1]


def encode(parked: Parked, generation: int) -> bytes:
    """The record. Raises RecordError when it does not fit a slot."""
    return _record(f'{_json(_plain(parked))[:-1]},"learned":{_json(_plain(parked.shadow.learned))}}}', generation)


def _record(json_text: str, generation: int) -> bytes:
    text = json_text.encode("ascii")
    head = _MAGIC + b"%08d %08d %08d %08x" % (VERSION, generation, len(text), zlib.crc32(text))
    record = head[: _HEAD - 1] + b"\n" + text
    if len(record) > SLOT:
        raise RecordError(f"{len(record)} bytes, a slot has {SLOT}")
    return record


def decode(data: bytes) -> tuple[Parked, int]:
    """The session and its generation from a slot, behind which anything may follow. Raises RecordError."""
    head = data[:_HEAD]
    words = head[len(_MAGIC) :].split()
    if not head.startswith(_MAGIC) or len(head) != _HEAD or len(words) != 4:
        raise RecordError("no record")
    try:
        version, generation, length, checksum = (*map(int, words[:3]), int(words[3], 16))
    except ValueError:
        raise RecordError("no record") from None
    if version != VERSION:
        raise RecordError(f"version {version}, this is {VERSION}")
    text = data[_HEAD : _HEAD + length]
    if len(text) != length or zlib.crc32(text) != checksum:
        raise RecordError("the checksum does not fit")
    try:
        tree = json.loads(text)
        learned = _built(Learned, tree.pop("learned"))
        parked: Parked = _built(Parked, tree)
    except (TypeError, ValueError, KeyError, RecursionError) as error:
        raise RecordError(f"not a session of this version: {error}") from None
    parked.shadow.learned = learned
    return parked, generation


def newest(slots: list[bytes]) -> tuple[Parked, int]:
    """The session and the generation of the younger of the slots that hold one. Raises RecordError when none does."""
    found: list[tuple[Parked, int]] = []
    why = RecordError("no slot")
    for slot in slots:
        try:
            found.append(decode(slot))
        except RecordError as error:
            why = error
    if not found:
        raise why
    return max(found, key=lambda pair: pair[1])


def _json(tree: Any) -> str:
    return json.dumps(tree, separators=(",", ":"))


# The fields that are written with a value of each kind; what was learned stands beside the session.
_FIELDS: dict[type, tuple[str, ...]] = {
    Parked: tuple(field.name for field in fields(Parked)),
    Shadow: tuple(field.name for field in fields(Shadow) if field.name != "learned"),
    Learned: tuple(field.name for field in fields(Learned)),
    Point: Point._fields,
}


def _plain(value: Any) -> Any:
    """As JSON: bytes as Latin-1, mappings as pairs because their keys are no text, dataclasses as objects."""
    match value:
        case bytes():
            return value.decode("latin-1")
        case Enum():
            return value.value
        case dict():
            return [[_plain(key), _plain(part)] for key, part in value.items()]
        case Parked() | Shadow() | Learned() | Point():  # a Point is also a tuple
            return {name: _plain(getattr(value, name)) for name in _FIELDS[type(value)]}
        case tuple() | list():
            return [_plain(part) for part in value]
        case _:
            return value


_HINTS: dict[type, dict[str, Any]] = {}


def _built(kind: Any, value: Any) -> Any:
    """`value`, as JSON gave it, as an instance of the annotation `kind`. Raises TypeError or ValueError for anything else."""
    origin, parts = get_origin(kind), get_args(kind)
    if kind in (Parked, Shadow, Learned, Point):
        hints = _HINTS.setdefault(kind, get_type_hints(kind))
        if not isinstance(value, dict) or value.keys() != set(_FIELDS[kind]):
            raise TypeError(f"the fields of {kind.__name__} differ")
        return kind(**{name: _built(hints[name], part) for name, part in value.items()})
    if origin is UnionType:
        (other,) = (part for part in parts if part is not NoneType)
        return None if value is None else _built(other, value)
    if origin is dict:
        return {_built(parts[0], key): _built(parts[1], part) for key, part in value}
    if origin is tuple:
        return tuple(_built(parts[0], part) for part in value)
    return _leaf(kind, value)


def _leaf(kind: Any, value: Any) -> Any:
    if kind in (None, NoneType) and value is None:
        return None
    if kind is bytes and isinstance(value, str):
        return value.encode("latin-1")
    if kind is Flash:
        return Flash(value)
    if kind in (bool, int, str) and type(value) is kind:
        return value
    raise TypeError(f"{value!r:.40} is no {getattr(kind, '__name__', kind)}")
