"""Every verb of the control socket as data: what it needs, what it changes, what its arguments are, how it answers.

Nothing outside this table can be asked for: no name from the wire reaches `getattr`, `eval` or an import (CVE-2017-11610 is
what happens otherwise).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import TypeAlias

from ocdsup.errors import ControlError

Value: TypeAlias = bool | int | float | str


class Needs(Enum):
    """Whether a request names a bench."""

    NOTHING = auto()
    MAYBE = auto()  # one bench, or all of them
    BENCH = auto()


class Kind(Enum):
    """The type of an argument; COUNT is a whole number, SECONDS any positive number, TEXT one line."""

    FLAG = auto()
    COUNT = auto()
    SECONDS = auto()
    TEXT = auto()


@dataclass(frozen=True, slots=True)
class Arg:
    """One argument: COUNT from 0 and SECONDS above 0 up to `limit`, TEXT up to `limit` characters."""

    kind: Kind
    limit: int = 1
    required: bool = False


@dataclass(frozen=True, slots=True)
class Verb:
    """One row: `acts` changes something (else it only reads), `streams` may send events before its reply."""

    text: str
    needs: Needs
    result: str
    acts: bool = False
    streams: bool = False
    args: Mapping[str, Arg] | None = None


FLAG = Arg(Kind.FLAG)
DAY = 86_400

VERBS: Mapping[str, Verb] = {
    "status": Verb("the snapshot", Needs.MAYBE, "the object of /status.json, only the bench asked for"),
    "why": Verb("the diagnosis in plain words", Needs.MAYBE, '{"text"}'),
    "logs": Verb(
        "recent lines of OpenOCD and decisions of the supervisor",
        Needs.MAYBE,
        '{"lines": [{"at", "bench", "source", "text"}]}; with follow each further line is an event',
        streams=True,
        args={"lines": Arg(Kind.COUNT, 10_000), "follow": FLAG},
    ),
    "watch": Verb("the snapshot again at every change", Needs.MAYBE, "each event is a snapshot", streams=True),
    "restart": Verb(
        "end OpenOCD and start it again", Needs.BENCH, '{"text"}', acts=True, args={"under_reset": FLAG, "force": FLAG}
    ),
    "stop": Verb("end OpenOCD and keep it down", Needs.BENCH, '{"text"}', acts=True, args={"force": FLAG}),
    "start": Verb("bring OpenOCD back", Needs.BENCH, '{"text"}', acts=True),
    "reload": Verb("read the configuration again", Needs.NOTHING, '{"text"}', acts=True),
    "wait": Verb(
        "answer when the GDB port is usable, or `not-usable` in the end",
        Needs.BENCH,
        '{"text", "gdb": [ports]}',
        args={"timeout": Arg(Kind.SECONDS, DAY)},
    ),
    "probes": Verb("every debug probe of the PC", Needs.NOTHING, '{"probes": […]}'),
    "benches": Verb(
        "what tells the benches apart, for the drop-in `openocd`",
        Needs.NOTHING,
        '{"benches": [{"name", "probe", "config", …}]}',
    ),
    "tcl": Verb(
        "one Tcl command in the bench's OpenOCD, as `monitor:` allows; from other users what `safe` allows",
        Needs.BENCH,
        '{"ok", "text", "log", "ended": EXIT_CODE | null}',
        acts=True,
        args={"script": Arg(Kind.TEXT, 4096, required=True)},
    ),
    "evict": Verb(
        "end who holds the bench's probe", Needs.BENCH, '{"text", "ended": […]}', acts=True, args={"force": FLAG}
    ),
    "lend": Verb(
        "free the probe for another tool; with hold for as long as the connection lives, else for so many seconds",
        Needs.BENCH,
        '{"text"}; with hold events {"step": "waiting" | "granted" | "over" | "let-go", …}',
        acts=True,
        streams=True,
        args={"seconds": Arg(Kind.SECONDS, DAY), "hold": FLAG, "force": FLAG, "by": Arg(Kind.TEXT, 200)},
    ),
    "resume": Verb("take a lent probe back", Needs.BENCH, '{"text"}', acts=True),
    "flash": Verb(
        "write, verify, reset",
        Needs.BENCH,
        '{"text"}; events {"done", "total", "step"}',
        acts=True,
        streams=True,
        args={"file": Arg(Kind.TEXT, 4096, required=True), "address": Arg(Kind.COUNT, 2**64 - 1), "verify": FLAG},
    ),
    "help": Verb("this table", Needs.NOTHING, '{"verbs": {name: text}}'),
}  # fmt: skip


def check(name: str, bench: str | None, args: Mapping[str, object]) -> Verb:
    """Return the verb of a request that fits its row.

    Raises:
        ControlError: `unknown-verb`, `unknown-bench` (missing or not wanted) or `bad-argument`.
    """
    verb, what = VERBS.get(name), f"do {name[:40]!r}"
    if verb is None:
        raise ControlError("unknown-verb", what, "there is no such verb", "`ocdsup --help` lists them")
    if verb.needs is Needs.BENCH and bench is None:
        raise ControlError("unknown-bench", what, "it needs a bench", "`ocdsup status` lists them")
    if verb.needs is Needs.NOTHING and bench is not None:
        raise ControlError("unknown-bench", what, "it takes no bench", "leave the bench out")
    known = verb.args or {}
    for key, value in args.items():
        if key not in known:
            raise ControlError("bad-argument", what, f"it has no argument {key[:40]!r}", f"it takes {_listed(known)}")
        if not _fits(known[key], value):
            raise ControlError("bad-argument", what, f"{key} is not {_range(known[key])}", "correct the value")
    for key, arg in known.items():
        if arg.required and key not in args:
            raise ControlError("bad-argument", what, f"{key} is missing", f"give {_range(arg)}")
    return verb


def _listed(known: Mapping[str, Arg]) -> str:
    return ", ".join(known) or "none"


def _fits(arg: Arg, value: object) -> bool:
    match arg.kind:
        case Kind.FLAG:
            return isinstance(value, bool)
        case Kind.COUNT:
            return type(value) is int and 0 <= value <= arg.limit
        case Kind.SECONDS:
            return type(value) in {int, float} and isinstance(value, int | float) and 0 < value <= arg.limit
        case Kind.TEXT:
            return isinstance(value, str) and 0 < len(value) <= arg.limit and value.isprintable()


def _range(arg: Arg) -> str:
    match arg.kind:
        case Kind.FLAG:
            return "true or false"
        case Kind.COUNT:
            return f"a whole number from 0 to {arg.limit}"
        case Kind.SECONDS:
            return f"a number of seconds above 0, at most {arg.limit}"
        case Kind.TEXT:
            return f"one line of at most {arg.limit} characters"
