"""What a classifier finds, and what it remembers of one backend to explain its end."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from ocdsup.openocd.rule import Role

LAST_LINES = 8  # lines remembered as evidence
_QUIET = frozenset({Role.PROGRESS, Role.NOISE})


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that OpenOCD said or that follows from it. `fields` are the named parts of the line, `text` its words."""

    rule_id: str
    fault: str | None
    role: Role
    target: str | None
    text: str
    fields: Mapping[str, str] = field(default_factory=dict)

    @property
    def counts(self) -> bool:
        """Whether it is worth telling the core and counting: the normal course and noise are not."""
        return self.role not in _QUIET


@dataclass(slots=True)
class Traces:
    """What is remembered of one backend's output; bounded however long it runs."""

    firsts: dict[str, Finding] = field(default_factory=dict)  # the first finding of each kind, in the order they came
    last_blamed: Finding | None = None  # the newest finding with a fault
    lines: deque[str] = field(default_factory=lambda: deque(maxlen=LAST_LINES))
    blanks: int = 0  # blank lines at the very end
    last: str = ""  # the last line that was not blank
    last_error: str = ""

    def remember(self, finding: Finding) -> None:
        """Keep what may explain the end."""
        self.firsts.setdefault(finding.rule_id, finding)
        if finding.fault:
            self.last_blamed = finding
