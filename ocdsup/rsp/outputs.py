"""What a proxy asks its caller to do, and what it tells it: plain values, in the order in which they must be carried out."""

from dataclasses import dataclass
from enum import Enum


@dataclass(frozen=True, slots=True)
class ToClient:
    """Write these bytes to GDB."""

    data: bytes


@dataclass(frozen=True, slots=True)
class ToBackend:
    """Write these bytes to the backend: always whole packets, never a part of one."""

    data: bytes


@dataclass(frozen=True, slots=True)
class CloseClient:
    """End the connection to GDB after everything before has been written."""

    reason: str


@dataclass(frozen=True, slots=True)
class CloseBackend:
    """End the connection to the backend after everything before has been written."""

    reason: str


class News(Enum):
    """What a `Notice` is about."""

    SESSION = "session"  # GDB has spoken: a backend connection is wanted now, not earlier
    ENDED = "ended"  # GDB has detached or gone
    RUNNING = "running"
    HALTED = "halted"
    RESTORED = "restored"  # a new backend fits what GDB believes
    LOST_POINTS = "lost-points"  # some break- or watchpoints could not be set again; `text` names them
    RESET_TOLD = "reset-told"  # GDB has been told that the board was reset
    EXPIRED = "expired"  # a request was answered with an error because no answer came in time
    REFUSED = "refused"  # a request was answered here because it would have harmed the backend or the policy forbids it
    FLASH_BROKEN = "flash-broken"  # a flash transaction was failed
    JUNK = "junk"  # bytes that are no protocol
    ASKED = "asked"  # `monitor ocdsup …`: answer with `own_answer(id, …)`; `text` is what follows the word
    HELD_STOP = "held-stop"  # a stop without a reason was held back until the truth is known


@dataclass(frozen=True, slots=True)
class Notice:
    """Tell the owner of the bench; nothing has to be done, except for `News.ASKED`."""

    news: News
    text: str = ""
    id: int = 0


Output = ToClient | ToBackend | CloseClient | CloseBackend | Notice

RUNNING = Notice(News.RUNNING)  # made once: two of these per `stepi`
HALTED = Notice(News.HALTED)
