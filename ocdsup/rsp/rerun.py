"""Any GDB server but OpenOCD that went away and came back: its program is another run, or another program altogether.

Seen with GDB 13.1 on gdbserver 13.1, qemu-arm and qemu-system-arm 7.2:
- QEMU answers `g` with other registers until the target description was read over this connection;
- where the run has the same process number (QEMU: always 1) or none at all, GDB goes on, with new threads if need be; whether
  it is the very process (`gdbserver --attach`) or board (J-Link), which ran on meanwhile, no server tells; the stop
  that tells it names no thread, because GDB fails an assertion of its own when an unknown one stops while it steps another;
- a process that GDB does not know becomes its "inferior 2", without a program and with the wrong registers, and gdbserver ends
  the connection when it is asked to resume one that it does not know: there the session ends as it does for a program that was
  killed, and GDB's user reads why;
- a program that ends while GDB steps it over a breakpoint leaves GDB in the middle of that for ever: it fails an assertion in
  the next program, or does not set the breakpoint there (infrun.c: nothing but a stop clears `step_over_info`). An error in
  reply to a resume is no way out: GDB takes it for a stop, cannot read the registers, and GDB/MI goes on to say "running". So
  the step is first ended by a signal of which GDB tells nobody (`finish_step_over`), and the resume that follows by the end.
"""

import re

from .learned import DESCRIPTION
from .outputs import News, Notice
from .packets import OK, Answer, Group, Row, error_text, is_error, steps
from .reception import Here
from .replay import RESET_STOP, Asking, Dialogue, Outcome, Part, insert, told
from .shadow import Shadow, stepping

SERVER_TEXT = "ocdsup: the debug server went away and came back; its program is a new run, or went on meanwhile\n"
GONE_TEXT = "ocdsup: the debug server went away and its program with it; the server that is there now debugs {}\n"
_GONE = error_text("the debug server went away and its program with it")

_SILENT = b"24"  # SIGWAITING: no stop, no word of it (infrun.c signal_stop); no target of today has it, so nobody changes that
_EXPEDITED = re.compile(rb"(?:^|(?<=;))[0-9a-fA-F]{2,4}:[^;]+;")  # values may be run-length encoded
_STEPPED = re.compile(rb";(?:[sS][0-9a-fA-F]*|r[0-9a-fA-F,]+):(p[0-9a-f]+\.[0-9a-f]+|[0-9a-f]+)(?=;|$)")
_THREAD = re.compile(rb"thread:(?:p([0-9a-f]+)\.)?(-?[0-9a-f]+)")
_CHOSEN = re.compile(rb"H.((?:p([1-9a-f][0-9a-f]*)\.)?[1-9a-f][0-9a-f]*)$")
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
    known = _process(shadow)
    if not same or found[:1] not in (b"S", b"T") or (process is not None and known not in (None, process)):
        return _gone(shadow, GONE_TEXT.format("another one" if found[:1] in (b"S", b"T") else "none"))
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


def _gone(shadow: Shadow, why: str) -> Outcome:
    if not shadow.running:
        shadow.gone, shadow.untold = True, why
        return Outcome()
    shadow.gone = stepping(shadow)
    return Outcome(stop=silent(shadow.resume or b"", shadow) if shadow.gone else _killed(shadow), console=why)


def _process(shadow: Shadow) -> int | None:
    """Return the number of GDB's process: of the last stop, or, after one of ours that names no thread, of the last `H`."""
    stop = thread_of(shadow.last_stop)[1]
    chosen = (found[2] for body in shadow.threads.values() if (found := _CHOSEN.match(body)))
    return stop if stop is not None else next((int(number, 16) for number in chosen if number), None)


def _killed(shadow: Shadow) -> bytes:
    process = _process(shadow)
    return _KILLED + (b";process:%x" % process if process is not None else b"")


def silent(resume: bytes, shadow: Shadow) -> bytes:
    """Return a stop that no user of GDB sees, of the thread that the request resumes, with what the last stop told of it."""
    last = thread_of(shadow.last_stop)[0]
    stepped = _STEPPED.search(resume)
    thread = stepped[1] if stepped else last
    told = b"".join(_EXPEDITED.findall(shadow.last_stop[3:])) if thread == last else b""
    return b"T" + _SILENT + told + (b"thread:%b;" % thread if thread else b"")


def answer_here(row: Row, body: bytes, shadow: Shadow) -> Here | None:
    """Return our own answer to a request of a GDB that does not know of the new run yet; None when the server is asked."""
    if not (row.group is Group.RESUME and row.answer is Answer.STOP):
        return _programless(row, body, shadow) if shadow.gone else None
    text, shadow.untold, shadow.stale = shadow.untold, "", False
    end = silent(body, shadow) if text and steps(body) else _killed(shadow)
    reply = end if shadow.gone else RESET_STOP
    notice = Notice(News.RESET_TOLD, text.strip()) if text else None
    return Here((*told(text), reply), notice, stop=True)


def _programless(row: Row, body: bytes, shadow: Shadow) -> Here | None:
    """Keep a GDB whose program is gone away from the one that is there now; its next resume is told."""
    if row.name == "k":
        shadow.detached()
        return Here(())
    if row.name in ("D", "vKill"):
        return Here((OK,), believed=True)
    if row.group is Group.POINT or row.name in ("H", "T"):
        return Here((OK,))  # only the resume, which comes after it, shows GDB's user why
    if row.name in ("qfThreadInfo", "qsThreadInfo") or body.startswith(b"qXfer:threads:read:"):
        return Here((_listed(row, body, shadow),))
    if row.group in (Group.READ, Group.MEMORY, Group.REGISTER) or row.name in ("qC", "qThreadExtraInfo"):
        # GDB 13 shows the text of an error only in reply to `g`; after the silent stop it needs the registers, to go on.
        registers = _GONE if shadow.untold or shadow.seen is None else shadow.seen
        return Here((registers if row.name == "g" else _NO,))
    return None


def _listed(row: Row, body: bytes, shadow: Shadow) -> bytes:
    """Return the threads that GDB has to do with; it takes an error for an empty list, and then has none to resume."""
    if row.name == "qsThreadInfo" or (row.name == "qXfer" and b"::0," not in body):
        return b"l"
    chosen = (found[1] for kept in shadow.threads.values() if (found := _CHOSEN.match(kept)))
    threads = [thread for thread in dict.fromkeys((thread_of(shadow.last_stop)[0], *chosen)) if thread]
    if row.name == "qfThreadInfo":
        return b"m" + b",".join(threads) if threads else b"l"
    return b"l<threads>" + b"".join(b'<thread id="%b"/>' % thread for thread in threads) + b"</threads>"
