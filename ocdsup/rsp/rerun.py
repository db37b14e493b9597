"""Any GDB server but OpenOCD that went away and came back: its program is another run, or another program altogether.

Seen with GDB 13.1 on gdbserver 13.1, qemu-arm and qemu-system-arm 7.2:
- QEMU answers `g` with other registers until the target description was read over this connection;
- where the run has the same process number (QEMU: always 1) or none at all, GDB goes on, with new threads if need be; the stop
  that tells it names no thread, because GDB fails an assertion of its own when an unknown one stops while it steps another;
- a process that GDB does not know becomes its "inferior 2", without a program and with the wrong registers, and gdbserver ends
  the connection when it is asked to resume one that it does not know: there the session ends as it does for a program that was
  killed, and GDB's user reads why.
"""

import re

from .outputs import News, Notice
from .packets import OK, Answer, Group, Row, error_text, is_error, steps
from .reception import Here
from .replay import RESET_STOP, Asking, Dialogue, Outcome, Part, insert, told
from .shadow import DESCRIPTION, Shadow

SERVER_TEXT = "ocdsup: the debug server went away and came back; its program is a new run\n"
GONE_TEXT = "ocdsup: the debug server went away and its program with it; the server that is there now debugs another one\n"
_GONE = error_text("the debug server went away and its program with it")

_THREAD = re.compile(rb"thread:(?:p([0-9a-f]+)\.)?(-?[0-9a-f]+)")
_KILLED = b"X09"  # a stop reply: the program was ended by SIGKILL
_NO = b"E01"


def thread_of(stop: bytes) -> tuple[bytes, int | None]:
    """Return the thread id that a stop reply names, as it stands there, and its process number; nothing where it names none."""
    found = _THREAD.search(stop) if stop[:1] == b"T" else None
    if found is None:
        return b"", None
    return found[0][len(b"thread:") :], int(found[1], 16) if found[1] else None


def rejoin(shadow: Shadow) -> Dialogue:
    """Begin with a server of which nothing is known: GDB must hear that its program is another run, or that it is gone."""
    yield from _greet(shadow)
    found = (yield b"?").body
    same = yield from _is_described_as_before(shadow)  # not earlier: gdbserver 13.1 aborts while it has no current thread
    thread, process = thread_of(found)
    known = thread_of(shadow.last_stop)[1]
    if not same or found[:1] not in (b"S", b"T") or (process is not None and known not in (None, process)):
        return _gone(shadow)
    for operation, body in shadow.threads.items():
        if is_error((yield body).body) and thread:
            yield operation + thread
    lost = yield from insert(shadow.points)
    shadow.last_stop = found
    if shadow.running:
        return Outcome(stop=RESET_STOP, console=SERVER_TEXT, lost=lost, restored=True)
    shadow.forget_writes()
    shadow.stale, shadow.untold = True, SERVER_TEXT
    return Outcome(lost=lost, restored=True)


def _greet(shadow: Shadow) -> Part:
    """Bring the connection into the modes of the old one."""
    if shadow.supported:
        yield shadow.supported
    if shadow.no_ack:
        yield b"QStartNoAckMode"
    if shadow.extended:
        yield b"!"


def _is_described_as_before(shadow: Shadow) -> Asking:
    """Read the beginning of the target description if it was read before; tell whether it is the same."""
    described = next((pair for pair in shadow.learned.replies.items() if pair[0].startswith(DESCRIPTION + b"0,")), None)
    return described is None or (yield described[0]).body == described[1]


def _gone(shadow: Shadow) -> Outcome:
    if shadow.running:
        return Outcome(stop=_killed(shadow), console=GONE_TEXT)
    shadow.gone, shadow.untold = True, GONE_TEXT
    return Outcome()


def _killed(shadow: Shadow) -> bytes:
    process = thread_of(shadow.last_stop)[1]
    return _KILLED + (b";process:%x" % process if process is not None else b"")


def answer_here(row: Row, body: bytes, shadow: Shadow) -> Here | None:
    """Return our own answer to a request of a GDB that does not know of the new run yet; None when the server is asked."""
    resumes = row.group is Group.RESUME and row.answer is Answer.STOP
    if resumes and shadow.gone and steps(body):
        # GDB shows the text and takes it for a stop. An end of the program would leave it in the middle of stepping over a
        # breakpoint: it then fails an assertion in the next program, or does not see the breakpoint there (13.1 infrun.c).
        return Here((_GONE,))
    if resumes and (shadow.gone or shadow.stale):
        reply = _killed(shadow) if shadow.gone else RESET_STOP
        text, shadow.untold, shadow.stale = shadow.untold, "", False
        return Here((*told(text), reply), Notice(News.RESET_TOLD, text.strip()), stop=True)
    return _programless(row, body, shadow) if shadow.gone else None


def _programless(row: Row, body: bytes, shadow: Shadow) -> Here | None:
    """Keep a GDB whose program is gone away from the one that is there now; its next resume is told."""
    if row.name == "k":
        shadow.detached()
        return Here(())
    if row.name in ("D", "vKill"):
        return Here((OK,), believed=True)
    if row.group is Group.POINT or row.name == "H":
        return Here((OK,))  # only the resume, which comes after it, shows GDB's user why
    if row.group in (Group.READ, Group.MEMORY, Group.REGISTER) or row.name in _THREADS or body.startswith(b"qXfer:threads:"):
        # GDB 13 reads the text of an error only in reply to `g`; where that fails after a stop, MI is told of no stop.
        return Here((shadow.seen or _GONE if row.name == "g" else _NO,))
    return None


_THREADS = frozenset({"qC", "qfThreadInfo", "qsThreadInfo", "qThreadExtraInfo"})
