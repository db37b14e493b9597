"""Requests that are answered here, and never reach the backend: pure decisions on one request at a time."""

from dataclasses import dataclass

from . import monitor
from .answers import Answers
from .guard import FLASH_ERROR, Limits, refusal
from .outputs import News, Notice
from .packets import EMPTY, OK, Answer, Group, Row, error_text, monitor_line, text_packet
from .policy import Monitor, Policy
from .replay import RESET_STOP, told
from .shadow import Flash, Shadow
from .threads import known as known_threads
from .threads import with_thread

_FAILED = b"E01"


@dataclass(frozen=True, slots=True)
class Here:
    """An answer of our own: its packets in order, and whether GDB may take the last one for the target's."""

    replies: tuple[bytes, ...]
    notice: Notice | None = None
    believed: bool = False  # the shadow hears of the last reply as if the backend had given it
    stop: bool = False  # the last reply is a stop


_UNASKED = Here((), Notice(News.REFUSED, "F: the result of a file operation that was not asked for"))


def answer_here(row: Row, body: bytes, shadow: Shadow, answers: Answers, policy: Policy) -> Here | None:
    """Return our own answer to a request of GDB for OpenOCD; None when it must be asked."""
    known = known_threads(row, body, shadow) if shadow.listed_before else answers.known(row, body)
    if known is not None:
        return Here((known,))
    limits = Limits(shadow.learned, policy.request_limit, shadow.image, shadow.listed)
    refused = _flash_broken(row, shadow) or _refused(body, limits)
    if refused is not None:
        return refused
    if row.name == "F" and not shadow.running:
        return _UNASKED  # OpenOCD lets the core run after every one while semihosting is on (gdb_fileio_response_packet)
    if row.name == "QStartNoAckMode":
        return Here((OK,), believed=True)
    if row.name == "qRcmd":
        return _monitor(body, policy)
    if row.group is Group.RESUME and row.answer is Answer.STOP:
        if shadow.stale:
            return stale_resume(shadow)
        if shadow.stepped:
            return stepped(shadow)
    return Here((OK,), believed=True) if answers.put_off(row, body, shadow) else None


def answer_while_away(row: Row, body: bytes, shadow: Shadow) -> Here | None:
    """Return what can be answered truthfully while there is no backend; None when GDB has to wait."""
    learned = shadow.learned.reply(row, body)
    if learned is not None:
        return Here((learned,), believed=True)
    if row.name in ("vMustReplyEmpty", "qTStatus"):
        return Here((EMPTY,))
    if row.name in ("!", "H"):
        return Here((OK,), believed=True)  # modes of the connection: the replay sets them
    return None


def expired(row: Row, why: str) -> Here:
    """Return the answer to a request that has waited long enough."""
    if row.answer is Answer.NONE:
        return Here(())
    notice = Notice(News.EXPIRED, row.name)
    if row.group is Group.FLASH:
        return Here((FLASH_ERROR,), Notice(News.FLASH_BROKEN, row.name))
    if row.name == "qRcmd":
        return Here((*told(f"ocdsup: {why}\n"), _FAILED), notice)
    return Here((error_text(why) if row.name == "g" else _FAILED,), notice)  # of `g` alone GDB 13.1 shows the text


def refused(row: Row, body: bytes, shadow: Shadow, why: str) -> Here:
    """Return the answer to a client that cannot have the target: it gets as far as its attach, where GDB shows what is wrong.

    Not earlier: of an error in reply to `?`, `qXfer` or `H`, GDB 13.1 shows no text, whether the connection then ends or not.
    """
    if row.name == "g":  # the first question whose error GDB shows, and gives up on
        return Here((error_text(why),), Notice(News.REFUSED, why))
    if row.name == "?":
        return Here((b"S05",))
    if row.name == "QStartNoAckMode":
        return Here((OK,), believed=True)
    if body[:1] == b"Q":
        return Here((OK,))  # `qSupported` may have promised it: anything else ends the attach with a "Protocol error"
    known = answer_while_away(row, body, shadow)
    if known is not None:
        return known
    if row.name == "qXfer":
        return Here((b"E00",))  # `qSupported` may have promised it
    return Here(()) if row.answer is Answer.NONE else Here((EMPTY,))


def _flash_broken(row: Row, shadow: Shadow) -> Here | None:
    if shadow.flash is Flash.BROKEN and row.name in ("vFlashWrite", "vFlashDone"):
        return Here((FLASH_ERROR,), Notice(News.FLASH_BROKEN, row.name))
    return None


def _refused(body: bytes, limits: Limits) -> Here | None:
    reply = refusal(body, limits)
    if reply is None:
        return None
    return Here((reply,), Notice(News.REFUSED, body[:40].decode("ascii", "backslashreplace")))


def _monitor(body: bytes, policy: Policy) -> Here | None:
    line = monitor_line(body) or ""
    if policy.monitor is Monitor.FULL or (policy.monitor is Monitor.SAFE and monitor.is_safe(line)):
        return None
    why = (
        "monitor commands are switched off for this bench (monitor: off)"
        if policy.monitor is Monitor.OFF
        else "this monitor command is not on the safe list of this bench (monitor: safe)"
    )
    return Here((text_packet(f"ocdsup: {why}\n"), _FAILED), Notice(News.REFUSED, f"monitor {line[:80]}"))


def stepped(shadow: Shadow) -> Here:
    """Answer a step that was made in another way, see `threads.step_there`."""
    stop = with_thread(b"T05", shadow.stepped)
    shadow.stepped = b""
    shadow.chosen = shadow.lists = None
    return Here((stop,), stop=True)


def stale_resume(shadow: Shadow) -> Here:
    """Answer the first resume after a reset that GDB does not know of by a stop: it then reads the new registers."""
    text, stop = shadow.untold, with_thread(RESET_STOP, shadow.thread)
    shadow.stale, shadow.untold, shadow.thread = False, "", b""
    shadow.chosen = shadow.lists = None
    return Here((*told(text), stop), Notice(News.RESET_TOLD, text.strip()), stop=True)
