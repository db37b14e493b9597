"""Draws the phase table and the ladder into this room's README: `python -m ocdsup.core.diagram` rewrites it.

What stands between the marks is generated, so it cannot say anything else than the code does.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from ocdsup.core import events as ev
from ocdsup.core.backend import ROWS
from ocdsup.core.faults import FAULTS, Whose
from ocdsup.core.ladder import LAST
from ocdsup.core.ladder import ROWS as LADDER
from ocdsup.core.state import Phase

README = Path(__file__).with_name("README.md")
_SHOWN_PER_ARROW = 3  # more names than that make an arrow unreadable; the table below has all of them
_CURES = {
    Whose.TARGET: "tried for ever, at the pace of the back-off and within the intensity",
    Whose.PROBE: "rests `blocked` and looks, which costs no restart",
    Whose.BACKEND: "rests `failed` when the intensity is spent, with one try every ten minutes",
    Whose.CONFIG: "rests `failed` at once",
}


# They lead away from nearly everywhere, and would bury what the machine does by itself.
_ONLY_IN_TABLE = frozenset({ev.StopAsked, ev.RestartAsked, ev.LendAsked, ev.PolicyChanged})


def arrows() -> dict[tuple[Phase, Phase], list[str]]:
    """The names of the events that may lead from one phase to another, in the order of the table; people's verbs apart."""
    found: dict[tuple[Phase, Phase], list[str]] = defaultdict(list)
    for row in ROWS:
        for to in Phase:
            if to in row.to and to is not row.phase and row.event not in _ONLY_IN_TABLE:
                found[row.phase, to].append(row.event.__name__)
    return found


def mermaid() -> str:
    """The phases and what leads from one to the next, as a Mermaid state diagram."""
    lines = ["```mermaid", "stateDiagram-v2", f"    [*] --> {Phase.STOPPED.value}"]
    for (start, end), names in arrows().items():
        more = f" +{len(names) - _SHOWN_PER_ARROW}" if len(names) > _SHOWN_PER_ARROW else ""
        lines.append(f"    {start.value} --> {end.value}: {', '.join(names[:_SHOWN_PER_ARROW])}{more}")
    return "\n".join([*lines, "```"])


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    return "\n".join("| " + " | ".join(row) + " |" for row in (head, ("---",) * len(head), *rows))


def phases() -> str:
    """One line per event and action: in which phases it counts, and where it may lead."""
    merged: dict[tuple[str, str, frozenset[Phase]], list[Phase]] = defaultdict(list)
    for row in ROWS:
        merged[row.event.__name__, row.action.__name__, row.to].append(row.phase)
    rows = [
        (event, _names(begin) if len(begin) < len(Phase) else "every", f"`{action}`", _names(sorted_phases(to)) or "stays")
        for (event, action, to), begin in merged.items()
    ]
    return _table(("event", "in", "does", "may lead to"), rows)


def sorted_phases(phases: frozenset[Phase]) -> list[Phase]:
    """Phases in the order of their definition."""
    return [phase for phase in Phase if phase in phases]


def _names(phases: list[Phase]) -> str:
    return " ".join(phase.value for phase in phases)


def ladder() -> str:
    """One line per rung of the ladder."""
    rows = [
        (
            row.fault,
            row.rung.value,
            str(row.attempts),
            "ends stale holders first" if row.looks else "",
            ", ".join(sorted(need.value for need in row.needs)),
        )
        for row in LADDER
    ]
    rows += [(fault, rung.value, "for ever", "ends stale holders first", "") for fault, rung in LAST.items()]
    return _table(("fault", "rung", "times", "before it", "needs"), rows)


def faults() -> str:
    """One line per fault code: what it means and what becomes of the bench."""
    return _table(
        ("fault", "means", "without a cure the bench"),
        [(code, known.text, _CURES[known.whose]) for code, known in FAULTS.items()],
    )


GENERATED = {"diagram": mermaid, "phases": phases, "faults": faults, "ladder": ladder}


def rewritten(text: str) -> str:
    """`text` with every generated part brought up to date. Raises ValueError when a part has no place in it."""
    for name, generate in GENERATED.items():
        part = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
        body = generate()
        text, found = part.subn(lambda m, body=body: f"{m[1]}{body}\n{m[2]}", text)  # type: ignore[misc]  # a default argument
        if found != 1:
            raise ValueError(f"{name}: expected one place for it, found {found}")
    return text


if __name__ == "__main__":
    README.write_text(rewritten(README.read_text(encoding="utf-8")), encoding="utf-8")
