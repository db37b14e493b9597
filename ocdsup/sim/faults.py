"""What can be broken on a simulated probe and board, and what each fault means, as data.

The table is the documentation: `ocdsup sim break --help` and the README print it.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from enum import Enum

TYPE_CHECKING = False  # as typing.TYPE_CHECKING: the command line reads this table without starting the emulator
if TYPE_CHECKING:
    from ocdsup.sim.board import Board


class FaultError(ValueError):
    """A fault or an option that does not exist; the text says what does."""


@dataclass(frozen=True, slots=True)
class Option:
    """One number that shapes a fault; `None` as default means "not limited" or "never"."""

    name: str
    default: float | None
    low: float
    high: float
    text: str


@dataclass(frozen=True, slots=True)
class FaultSpec:
    """One fault: its name, what it does, and its options."""

    name: str
    text: str
    options: tuple[Option, ...] = ()


FAULTS = {
    spec.name: spec
    for spec in (
        FaultSpec(
            "silent",
            "The target does not answer: no ACK to any SWD access. Reset does not help; only healing does.",
            (
                Option(
                    "core",
                    None,
                    0,
                    255,
                    "only the access port of this core of several: it answers FAULT, as with its power domain off; default all",
                ),
            ),
        ),
        FaultSpec(
            "sleeping",
            "The debug port answers WAIT to everything, as in deep sleep. A low level on NRST (or a power cycle) wakes it.",
            (
                Option("again-ms", None, 0, 1e9, "sleeps again when the core has run so many ms after a boot; default never"),
                Option("core", None, 0, 255, "only the access port of this core of several answers WAIT; default all"),
            ),
        ),
        FaultSpec(
            "locked",
            "The firmware takes the SWD pins for itself: at once, and again `after-ms` of running after each of the next "
            "`boots` boots. While NRST is low the pins are free, and a core halted by vector catch never takes them: only "
            "connect-under-reset gets in. boots=0: only the firmware that runs now is locked, the next boot is a good one.",
            (
                Option("after-ms", 300, 0, 1e9, "ms of running after a boot until the pins are taken"),
                Option("boots", None, 0, 1e9, "how many further boots take the pins; default all"),
            ),
        ),
        FaultSpec(
            "usb-error",
            "Every transfer to the probe fails; the server reports `status`.",
            (Option("status", 0x1003, 2, 0xFFFFFFFF, "stlink-server status code"),),
        ),
        FaultSpec("hang", "The probe never answers. When healed it answers late, everything in order."),
        FaultSpec(
            "unplugged",
            "The probe is gone from the USB: not listed, open handles dead. Healing plugs it in again; old handles stay dead.",
        ),
        FaultSpec(
            "flaky",
            "A part of the SWD commands fails as if the cable were bad.",
            (
                Option("percent", 20, 0, 100, "how many commands of a hundred fail"),
                Option("seed", 1, 0, 2**31, "makes the sequence repeatable"),
            ),
        ),
        FaultSpec(
            "low-voltage",
            "The probe measures too low a target voltage; everything still works.",
            (Option("volts", 0.9, 0, 5.5, "target voltage"),),
        ),
        FaultSpec(
            "nrst-unwired", "The NRST wire is missing: the board does not see the probe's reset. Combines with the others."
        ),
        FaultSpec(
            "flash-error",
            "Every program operation ends in a write protection error, and every erase too.",
            (Option("erase", 1, 0, 1, "0: erasing works, only programming fails"),),
        ),
    )
}


class Link(Enum):
    """What an SWD access gets."""

    ANSWERS = "ok"
    WAIT = "wait"
    FAULT = "fault"  # the debug port answers, what is behind the access port does not
    DEAD = "no answer"


@dataclass(slots=True)
class _Active:
    options: dict[str, float | None]
    boots: int  # the board's boot count when the fault began


@dataclass(slots=True)
class Faults:
    """The faults in force on one probe and its board."""

    active: dict[str, _Active] = field(default_factory=dict)
    _dice: random.Random = field(default_factory=lambda: random.Random(1))

    def __contains__(self, name: str) -> bool:
        return name in self.active

    def begin(self, name: str, options: dict[str, object], board: Board) -> dict[str, float | None]:
        """Put a fault into force (again, when it already is); return its options. Raises FaultError."""
        if name not in FAULTS:
            raise FaultError(f"there is no fault {name!r}; choose one of: {', '.join(FAULTS)}")
        chosen = _options(FAULTS[name], options)
        self.active[name] = _Active(chosen, board.boots)
        if name == "flaky":
            self._dice = random.Random(int(chosen["seed"] or 0))
        self._set_flash(board)
        return chosen

    def heal(self, name: str | None, board: Board) -> list[str]:
        """End one fault, or all for None; return the names ended. Raises FaultError for an unknown name."""
        if name is not None and name not in FAULTS:
            raise FaultError(f"there is no fault {name!r}; choose one of: {', '.join(FAULTS)}")
        ended = [n for n in self.active if name in (None, n)]
        for each in ended:
            del self.active[each]
        self._set_flash(board)
        return ended

    def _set_flash(self, board: Board) -> None:
        board.flash.fail_program = "flash-error" in self.active
        board.flash.fail_erase = board.flash.fail_program and bool(self.option("flash-error", "erase"))

    def option(self, name: str, option: str) -> float | None:
        """Return an option of a fault in force."""
        return self.active[name].options[option]

    def link(self, board: Board, now: float, port: int | None = None) -> Link:
        """Return what an SWD access gets right now: one to the debug port, or to the access port `port`."""
        if self._silent(None) or self._locked(board, now):
            return Link.DEAD
        if port is not None and self._silent(port):
            return Link.FAULT
        if self._asleep(board, now, port):
            return Link.WAIT
        if "flaky" in self.active and self._dice.random() * 100 < (self.option("flaky", "percent") or 0):
            return Link.DEAD
        return Link.ANSWERS

    def _silent(self, port: int | None) -> bool:
        """Return whether all of the target is silent, or what is behind one access port."""
        fault = self.active.get("silent")
        return fault is not None and fault.options["core"] == port

    def _locked(self, board: Board, now: float) -> bool:
        fault = self.active.get("locked")
        if fault is None or board.nrst_low:
            return False
        boots, limit = board.boots - fault.boots, fault.options["boots"]
        if boots == 0:
            return True
        return (limit is None or boots <= limit) and _ran(board, now, fault.options["after-ms"] or 0)

    def _asleep(self, board: Board, now: float, port: int | None) -> bool:
        fault = self.active.get("sleeping")
        if fault is None or board.nrst_low or fault.options["core"] not in (None, port):
            return False
        if board.boots == fault.boots:
            return True
        again = fault.options["again-ms"]
        return again is not None and _ran(board, now, again)


def _ran(board: Board, now: float, ms: float) -> bool:
    """Return whether the firmware has run for `ms` since its boot; one that never ran has not, even for 0."""
    ran = board.core.uptime(now) * 1000
    return ran > 0 and ran >= ms


def _options(spec: FaultSpec, given: dict[str, object]) -> dict[str, float | None]:
    known = {option.name: option for option in spec.options}
    for name in given:
        if name not in known:
            has = ", ".join(known) or "none"
            raise FaultError(f"fault {spec.name!r} has no option {name!r}; it has: {has}")
    return {name: _number(spec, option, given.get(name, option.default)) for name, option in known.items()}


def _number(spec: FaultSpec, option: Option, value: object) -> float | None:
    if value is None:
        return option.default
    if isinstance(value, bool) or not isinstance(value, int | float) or not option.low <= value <= option.high:
        raise FaultError(f"option {option.name!r} of fault {spec.name!r} must be {option.low:g} to {option.high:g}")
    return value
