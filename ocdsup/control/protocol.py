"""Requests, replies and events of the control socket ↔ bytes: one JSON object per line, strict in what is accepted.

→ {"id": 1, "verb": "status", "bench": "nucleo", "args": {}}        bench and args may be left out
← {"id": 1, "ok": true, "result": {…}}
← {"id": 1, "ok": false, "error": {"code": "unknown-bench", "text": "…", "hint": "…"}}
← {"id": 2, "event": {…}}                                           any number, then the reply that ends the stream
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn, TypeAlias

from ocdsup.control import verbs
from ocdsup.control.verbs import Value, Verb
from ocdsup.errors import ControlError

LINE_LIMIT = 65536  # bytes of a request with its line end
ID_LIMIT = 64  # characters of an id that is text
KEYS = frozenset({"id", "verb", "bench", "args"})

Id: TypeAlias = int | str


@dataclass(frozen=True, slots=True)
class Request:
    """A request that fits the verb table."""

    id: Id
    verb: str
    bench: str | None = None
    args: Mapping[str, Value] = field(default_factory=dict)
    peer: tuple[int, int] | None = None
    """PID and user id of who asks; known to the socket, never read from the wire. None on the telnet bridge."""

    @property
    def row(self) -> Verb:
        """The verb's row of the table."""
        return verbs.VERBS[self.verb]


@dataclass(frozen=True, slots=True)
class Refused:
    """A line that is no request; `id` is the line's id if it had one, for the error reply."""

    id: Id | None
    error: ControlError


@dataclass(frozen=True, slots=True)
class Reply:
    """The end of a request: a result, or an error. `id` is None when the request's id could not be read."""

    id: Id | None
    result: Any = None
    error: ControlError | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """One part of a stream."""

    id: Id
    event: Any


class Requests:
    """The daemon's side of one connection: bytes in any chunking → requests, and refusals of what is none."""

    def __init__(self) -> None:
        self._rest = bytearray()
        self._skipping = False

    def feed(self, data: bytes) -> list[Request | Refused]:
        """Return what `data` completes."""
        found: list[Request | Refused] = []
        for line in _lines(data):
            self._rest += line
            whole = line.endswith(b"\n")
            if len(self._rest) > LINE_LIMIT and not self._skipping:
                self._skipping = True
                found.append(Refused(None, _bad(f"the line has more than {LINE_LIMIT} bytes")))
            if whole and not self._skipping and self._rest.strip():
                found.append(parse(bytes(self._rest)))
            if whole or self._skipping:
                self._rest.clear()
                self._skipping = self._skipping and not whole
        return found


def _lines(data: bytes) -> Iterable[bytes]:
    """Split after LF only; `bytes.splitlines` would split at a lone CR as well."""
    *whole, rest = data.split(b"\n")
    return (*(line + b"\n" for line in whole), *((rest,) if rest else ()))


def parse(line: bytes) -> Request | Refused:
    """Return the request in one line, or its refusal; never raises for anything a peer can send."""
    try:
        tree = json.loads(line.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return Refused(None, _bad("the line is not a JSON object"))
    if not isinstance(tree, dict):
        return Refused(None, _bad("the line is not a JSON object"))
    name = tree.get("id")
    if isinstance(name, bool) or not isinstance(name, int | str) or len(str(name)) > ID_LIMIT:
        return Refused(None, _bad(f"`id` is neither a number nor a text of at most {ID_LIMIT} characters"))
    verb, bench, args = tree.get("verb"), tree.get("bench"), tree.get("args", {})
    if tree.keys() - KEYS:
        return Refused(name, _bad(f"the key {sorted(tree.keys() - KEYS)[0][:40]!r} is unknown"))
    if not isinstance(verb, str) or not isinstance(bench, str | None) or not isinstance(args, dict):
        return Refused(name, _bad("`verb` must be text, `bench` text or null, `args` an object"))
    try:
        verbs.check(verb, bench, args)
    except ControlError as error:
        return Refused(name, error)
    return Request(name, verb, bench, args)


def encode_request(request: Request) -> bytes:
    """Return the line of a request."""
    return _line({"id": request.id, "verb": request.verb, "bench": request.bench, "args": dict(request.args)})


def encode(answer: Reply | Event | Refused) -> bytes:
    """Return the line of a reply or an event; line ends inside texts are escaped by JSON, so one answer is one line."""
    match answer:
        case Event(id=name, event=event):
            return _line({"id": name, "event": event})
        case Reply(id=name, result=result, error=None):
            return _line({"id": name, "ok": True, "result": result})
        case Reply(id=name, error=ControlError() as error) | Refused(id=name, error=error):
            return _line({"id": name, "ok": False, "error": _error(error)})
        case _:
            raise AssertionError(answer)


def decode(line: bytes) -> Reply | Event:
    """Return what a daemon answered.

    Raises:
        ControlError: `bad-request` when the line is no answer.
    """
    try:
        tree = json.loads(line)
        if "event" in tree:
            return Event(tree["id"], tree["event"])
        if tree["ok"] is True:
            return Reply(tree["id"], tree["result"])
        error = tree["error"]
        return Reply(tree["id"], error=ControlError(str(error["code"]), str(error["text"]), hint=str(error["hint"])))
    except (ValueError, LookupError, TypeError, RecursionError):
        raise _bad("the daemon's answer is no answer") from None


def _error(error: ControlError) -> dict[str, str]:
    text = str(ControlError(error.code, error.what, error.why))
    return {"code": error.code, "text": text, "hint": error.hint}


def _bad(why: str) -> ControlError:
    return ControlError("bad-request", "read the request", why, 'send {"id": 1, "verb": "status"} and a line end')


def _line(tree: dict[str, Any]) -> bytes:
    return json.dumps(tree, separators=(",", ":")).encode() + b"\n"


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    tree = dict(pairs)
    if len(tree) != len(pairs):
        raise ValueError("duplicate key")
    return tree


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
