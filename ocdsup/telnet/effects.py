"""What a telnet session asks of the world, and what it is told about OpenOCD."""

import re
from dataclasses import dataclass
from typing import TypeAlias

CONSOLE_LIMIT = 2559  # characters OpenOCD takes in one line (telnet_server.h: TELNET_LINE_MAX_SIZE 2560, 0.11 and newer)
OLD_CONSOLE_LIMIT = 255  # 0.10 and older
_OLD = re.compile(r"0\.(?:[0-9]|10)(?!\d)")


def console_limit(version: str) -> int:
    """Return how many characters the console of a version takes in one line: it drops the others and runs the line without."""
    return OLD_CONSOLE_LIMIT if _OLD.match(version) else CONSOLE_LIMIT


@dataclass(frozen=True, slots=True)
class ToClient:
    """Send these bytes to the client."""

    data: bytes


@dataclass(frozen=True, slots=True)
class ToBackend:
    """Send these bytes to OpenOCD's telnet port."""

    data: bytes


@dataclass(frozen=True, slots=True)
class OwnCommand:
    """Ask the supervisor; the answer goes to `own_answer(id, text)`. `words` is the line, `verb` and `args` its meaning."""

    id: int
    words: tuple[str, ...]
    verb: str
    args: dict[str, bool | int | float]


@dataclass(frozen=True, slots=True)
class Close:
    """Close the client's connection after what was sent; `reason` is for the log, None is an ordinary end."""

    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Backend:
    """What the session knows of an OpenOCD that is up: its version for the notice, the longest line its console takes."""

    version: str = ""
    line_limit: int = CONSOLE_LIMIT


@dataclass(frozen=True, slots=True)
class Away:
    """Why OpenOCD is away, in the words of the status: phase, reason, seconds to the next try if one is planned."""

    phase: str
    reason: str = ""
    next_try_s: float | None = None

    def sentence(self) -> str:
        """Return the one line that answers for OpenOCD."""
        why = f", {self.reason}" if self.reason else ""
        when = "" if self.next_try_s is None else f"; next try in {max(self.next_try_s, 0.0):.1f} s"
        step = "; `ocdsup start` brings it back" if self.phase == "stopped" else "; `ocdsup why` tells more"
        return f"ocdsup: OpenOCD is away: {self.phase}{why}{when}{step}"


Effect: TypeAlias = ToClient | ToBackend | OwnCommand | Close
