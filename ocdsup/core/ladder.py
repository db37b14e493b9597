"""Which cure comes next. Rows are data: a fault's rows are climbed from top to bottom, each `attempts` times.

A recovery that was stable for a while starts at the foot again; one that breaks down at once goes on where it was.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass, field
from enum import Enum


class Rung(Enum):
    """One cure, mildest first."""

    EVICT = "evict"
    EXAMINE = "examine"
    RESTART = "restart"
    UNDER_RESET = "restart-under-reset"
    SLOW_UNDER_RESET = "restart-under-reset-slow"
    HOLD_HALTED = "hold-halted"
    RESET_USB = "reset-usb"
    REAUTHORISE_USB = "reauthorise-usb"
    CYCLE_USB_POWER = "cycle-usb-power"


class Need(Enum):
    """What a rung needs to be possible on this bench, now."""

    BACKEND = "a running backend"
    UNDER_RESET = "leave to use NRST"
    USB = "a USB probe and leave to reset it"
    FREE_CORE = "no rule that the core must run"


@dataclass(frozen=True, slots=True)
class Row:
    """For `fault`, try `rung` up to `attempts` times, if all `needs` are met.

    `looks`: before it, find and end other holders of the probe (the rule for a target that stops answering).
    """

    fault: str
    rung: Rung
    attempts: int = 1
    needs: frozenset[Need] = field(default_factory=frozenset)
    looks: bool = False


_RESET = frozenset({Need.UNDER_RESET})
_HOLD = frozenset({Need.UNDER_RESET, Need.FREE_CORE})
_USB = frozenset({Need.USB})


def _usb(fault: str) -> tuple[Row, ...]:
    """What software can do instead of a replug. The last one takes the power from a board that the probe feeds."""
    return tuple(Row(fault, rung, 1, _USB) for rung in (Rung.RESET_USB, Rung.REAUTHORISE_USB, Rung.CYCLE_USB_POWER))


ROWS: tuple[Row, ...] = (
    # The rule this program was asked for: repeated polling failures → end stale holders → restart under reset.
    Row("target-poll-failing", Rung.UNDER_RESET, 2, _RESET, looks=True),
    Row("target-poll-failing", Rung.SLOW_UNDER_RESET, 1, _RESET, looks=True),
    # Firmware that takes the pins after every boot can only be held at its reset vector, where new code can be written.
    Row("target-poll-failing", Rung.HOLD_HALTED, 1, _HOLD),
    Row("target-poll-failing", Rung.RESTART, 1, looks=True),
    *_usb("target-poll-failing"),
    # A first examination that failed is never repeated by OpenOCD 0.12 itself; over Tcl it costs nothing.
    Row("target-not-answering", Rung.EXAMINE, 1, frozenset({Need.BACKEND})),
    Row("target-not-answering", Rung.UNDER_RESET, 2, _RESET, looks=True),
    Row("target-not-answering", Rung.SLOW_UNDER_RESET, 1, _RESET),
    Row("target-not-answering", Rung.HOLD_HALTED, 1, _HOLD),
    Row("target-not-answering", Rung.RESTART, 1, looks=True),
    *_usb("target-not-answering"),
    Row("target-held-in-reset", Rung.UNDER_RESET, 2, _RESET),
    Row("target-held-in-reset", Rung.RESTART, 1),
    Row("backend-exited", Rung.RESTART, 3),
    Row("backend-exited", Rung.RESTART, 2, looks=True),
    Row("backend-hung", Rung.RESTART, 2),
    *_usb("backend-hung"),
    Row("probe-held", Rung.EVICT, 3, looks=True),
    Row("probe-wedged", Rung.RESTART, 1, looks=True),
    *_usb("probe-wedged"),
)

# When every row was climbed: again and again, at the pace of the back-off, while the advice tells what hands can do.
LAST: dict[str, Rung] = {
    "target-poll-failing": Rung.UNDER_RESET,
    "target-not-answering": Rung.UNDER_RESET,
    "target-held-in-reset": Rung.UNDER_RESET,
}


@dataclass(frozen=True, slots=True)
class Choice:
    """The next rung; `exhausted` when the ladder has no new one left and only repeats."""

    rung: Rung
    looks: bool
    exhausted: bool


def next_rung(fault: str, tried: Sequence[tuple[str, Rung]], able: Set[Need]) -> Choice:
    """Choose the next cure for `fault`, given what this episode tried and what the bench is able to do.

    Attempts are counted per rung over the whole episode, whatever the fault was called: a target that is silent at one start
    and stops polling at the next is one trouble, and its ladder must still end.
    """
    spent: dict[Rung, int] = {}
    for _, rung in tried:
        spent[rung] = spent.get(rung, 0) + 1
    for row in ROWS:
        if row.fault != fault or not row.needs <= able:
            continue
        if spent.get(row.rung, 0) < row.attempts:
            return Choice(row.rung, row.looks, exhausted=False)
        spent[row.rung] -= row.attempts
    last = LAST.get(fault, Rung.RESTART)
    if last is Rung.UNDER_RESET and Need.UNDER_RESET not in able:
        last = Rung.RESTART
    return Choice(last, looks=True, exhausted=True)
