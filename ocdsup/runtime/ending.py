"""Ends a holder without ever hitting another process, or a user who has started to use it meanwhile.

A pidfd comes first. Then, right before every step, start time, executable, command line, the held device and the clients are
read again, and only then is the process signalled, through the pidfd: a reused PID, an exec in between, a probe let go or a GDB
that has attached since the verdict is noticed, and nothing is ended by its name.
"""

import asyncio
import os
import signal
import socket
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Event
from time import monotonic

from ocdsup.probes import tools
from ocdsup.probes.eviction import SEEING, Action, Done, Ending, How, Patience, Seen, Shutdown, Signals, advance, begin
from ocdsup.probes.holders import Holder
from ocdsup.probes.respawn import echo
from ocdsup.runtime import procfs
from ocdsup.runtime.procs import TCL_END, Wanted, look_again, still_holds, works

CONNECT_S = 1.0
Objection = Callable[[Holder], str]
"""Says why a holder, as it is now, is to be left alone after all; empty if nothing speaks against ending it."""


@dataclass(frozen=True, slots=True)
class EvictionResult:
    """How ending one holder came out."""

    pid: int
    how: How
    took_s: float
    text: str

    @property
    def ended(self) -> bool:
        """Whether this process no longer stands between us and the probe."""
        return self.how not in {How.REFUSED, How.LEFT}


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a process must not be signalled (any more), and what that means for the eviction."""

    seen: Seen
    text: str


@dataclass(frozen=True, slots=True)
class Case:
    """One holder as it was judged, and what must still be true of it before each step.

    `called_off` is set when nobody wants its end any more (its bench was taken away): a thread that still looks takes no step.
    """

    holder: Holder
    what: Wanted
    objection: Objection
    farewell: str
    proc: Path
    called_off: Event = field(default_factory=Event)


def check(holder: Holder, what: Wanted, proc: Path = procfs.PROC) -> Refusal | None:
    """Return why this process must not be signalled, None if it still is the holder that was judged. Blocks shortly.

    To be called with a pidfd open: what is read here then belongs to the process behind the pidfd, or to nobody.
    """
    status = procfs.read_stat(holder.pid, proc)
    if status is None or status.state == "Z":
        return Refusal(Seen.EXITED, "it is gone already")
    if status.start_ticks != holder.start_ticks:
        return Refusal(Seen.EXITED, f"PID {holder.pid} belongs to another process now; the holder is gone")
    exe = procfs.read_exe(holder.pid, proc)
    if exe is None or exe != holder.exe:
        return Refusal(Seen.REFUSED, f"it runs {exe or 'something unreadable'} now, not {holder.exe}; look again")
    if procfs.read_cmdline(holder.pid, proc) != holder.cmdline:
        return Refusal(Seen.REFUSED, "its command line is another one now; look again")
    match still_holds(holder.pid, what, proc):
        case True:
            return None
        case False:
            return Refusal(Seen.RELEASED, "it has let go of the probe")
        case None:
            return Refusal(Seen.REFUSED, f"whether it still holds the probe cannot be seen; needs {SEEING}")


def _hindrance(case: Case, our_port: int | None = None, *, last: bool = False) -> Refusal | None:
    """What speaks against the next step, at this moment. `our_port` is where our own connection to its Tcl port comes from.

    Before the last step, SIGKILL, its work is measured again: one that heeds SIGTERM only when its flash write is done is left
    until then.
    """
    measured = works(case.holder.pid) if last and case.holder.kind == tools.OPENOCD.kind else None
    if refusal := check(case.holder, case.what, case.proc):
        return refusal
    now = look_again(case.holder, case.proc, our_port)
    why = case.objection(replace(now, works=measured)) if now is not None else ""
    if case.called_off.is_set():
        return Refusal(Seen.REFUSED, "nobody wants its end any more")
    return Refusal(Seen.IN_USE, why) if why else None


def send(pidfd: int, names: Iterable[str]) -> str:
    """Send signals (names without SIG) through a pidfd; return why that was refused, empty if it was not.

    A process that is gone already takes no signal and needs none.
    """
    try:
        for name in names:
            signal.pidfd_send_signal(pidfd, signal.Signals[f"SIG{name}"])
    except ProcessLookupError:
        return ""
    except PermissionError:
        return "no right to end it; needs CAP_KILL (or the same user)"
    return ""


def _no_objection(_holder: Holder) -> str:
    return ""


async def evict(
    holder: Holder,
    what: Wanted,
    patience: Patience | None = None,
    proc: Path = procfs.PROC,
    *,
    objection: Objection = _no_objection,
    farewell: str = "",
) -> EvictionResult:
    """End one holder by the steps of `eviction.begin`, politely first, and wait until it is gone.

    Before every step it is made sure that this still is the process that was judged, still holds the probe, and that nothing
    new speaks for it. Whether it may be ended at all is decided by `eviction.judge`, not here. `farewell` is left in the log of
    an OpenOCD that takes commands.
    """
    began = monotonic()
    try:
        pidfd = os.pidfd_open(holder.pid)
    except ProcessLookupError:
        return EvictionResult(holder.pid, How.GONE, 0.0, "it is gone already")
    except OSError as error:
        return EvictionResult(holder.pid, How.REFUSED, 0.0, f"no pidfd: {error.strerror}")
    try:
        done = await _walk(pidfd, Case(holder, what, objection, farewell, proc), patience or Patience())
    finally:
        os.close(pidfd)
    return EvictionResult(holder.pid, done.how, monotonic() - began, done.text)


async def _walk(pidfd: int, case: Case, patience: Patience) -> Done:
    gone, loop = asyncio.Event(), asyncio.get_running_loop()
    loop.add_reader(pidfd, gone.set)
    ending = begin(case.holder, patience, monotonic())
    taken = replace(ending, current=How.GONE)  # the last step that was carried out: none yet
    try:
        while not isinstance(ending.action, Done):
            refusal = await _in_thread(pidfd, case, ending.action)
            if refusal is not None and refusal.seen is not Seen.FAILED:
                ending = advance(taken, refusal.seen, monotonic(), refusal.text)
            elif refusal is not None:
                ending = advance(ending, Seen.FAILED, monotonic())
            else:
                taken, ending = ending, advance(ending, await _outcome(gone, ending), monotonic())
    finally:
        loop.remove_reader(pidfd)
    return ending.action


async def _in_thread(pidfd: int, case: Case, action: Action) -> Refusal | None:
    """Take a step in a thread, and end only when the thread has: a descriptor that is closed under it may become another's."""
    step = asyncio.get_running_loop().run_in_executor(None, _act, pidfd, case, action)
    try:
        return await asyncio.shield(step)
    except asyncio.CancelledError:
        case.called_off.set()
        while not step.done():  # two seconds at most: a connection, a measurement
            with suppress(asyncio.CancelledError):
                await asyncio.wait({step})
        raise


async def _outcome(gone: asyncio.Event, ending: Ending) -> Seen:
    try:
        async with asyncio.timeout(max(0.0, ending.deadline - monotonic())):
            await gone.wait()
    except TimeoutError:
        return Seen.TIME_UP
    return Seen.EXITED


def _act(pidfd: int, case: Case, action: Action) -> Refusal | None:
    """Carry out a step unless something speaks against it. Blocks, so that no turn of the loop is between the look and it."""
    match action:
        case Signals(names):
            if refusal := _hindrance(case, last="KILL" in names):
                return refusal
            return Refusal(Seen.REFUSED, why) if (why := send(pidfd, names)) else None
        case Shutdown():
            return _ask_to_shut_down(case, action)
        case Done():
            raise AssertionError("an eviction that is done has no further step")


def _ask_to_shut_down(case: Case, action: Shutdown) -> Refusal | None:
    """Send `shutdown`, provided that the port still is this process's: somebody else's OpenOCD may have it by now."""
    try:
        with socket.create_connection((action.tcl.host, action.tcl.port), CONNECT_S) as link:
            our_port = int(link.getsockname()[1])
            if refusal := _hindrance(case, our_port):
                return refusal
            now = look_again(case.holder, case.proc, our_port)
            if now is None or now.ports.tcl != action.tcl:
                return Refusal(Seen.FAILED, "its Tcl port is another's")
            link.sendall(echo(case.farewell) + b"; shutdown" + TCL_END)
    except OSError:  # TimeoutError is one
        return Refusal(Seen.FAILED, "its Tcl port takes no commands")
    return None
