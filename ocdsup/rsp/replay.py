"""What to say to a backend so that what GDB believes is true, as dialogues: generators that yield a request and get its reply.

The recipes come from runs with OpenOCD 0.12 and HEAD:
- a new process has no break- or watchpoints, and examination zeroes the comparators, but BKPT opcodes stay in RAM: the original
  bytes are written back first, else the new process takes the opcode for the original;
- a running core takes type 1 points and a resume (which arms the stop reply) without harm; all other points need a halted core;
- `?` says S05 when the core stood at a breakpoint or after a step, S02 when attaching has halted it, S00 when it runs or nobody
  knows; OpenOCD sends no stop reply for an interrupt while it does not owe one, so the halt is a `monitor halt`.
"""

from collections.abc import Generator, Iterable
from dataclasses import dataclass
from enum import Enum

from .packets import OK, Point, is_error, monitor_request, text_packet
from .policy import BackendUp, OnDetach, Policy
from .settings import in_order, is_adapter_speed, unrepeated_text
from .shadow import Shadow, stepping
from .standing import INTERRUPTED, reason, true_stop
from .threads import choose, chooser, current, learn, read, step_there, with_thread
from .traps import heal_ram

MOVED_TEXT = "ocdsup: the core does not stand where it was left while OpenOCD was away; the board may have been reset\n"
RAN_TEXT = "ocdsup: the core ran while OpenOCD was away and was halted again\n"
CANNOT_HALT = "ocdsup: the target cannot be halted now\n"
STRAYED_TEXT = "ocdsup: the core has run behind GDB's back (the board was reset, or somebody resumed it) and is halted again\n"
RESET_TEXT = "ocdsup: board was reset while OpenOCD was away; the program starts again from its reset vector\n"
# After a reset behind GDB's back. Not T05: GDB takes that for the end of a step of its own (each `continue` from a breakpoint
# begins with one) and lets the program run on before its user sees anything (seen with GDB 13.1).
RESET_STOP = INTERRUPTED


@dataclass(frozen=True, slots=True)
class Heard:
    """The reply to a request of ours: its body, and the console text that came with it."""

    body: bytes
    text: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a dialogue ended: what GDB, who may wait for a stop, is to be told, and what is to be sent after all."""

    stop: bytes | None = None  # a stop reply for GDB
    resume: bytes | None = None  # the resume request to send again
    console: str = ""  # text for GDB's console
    lost: tuple[Point, ...] = ()  # points that could not be set
    restored: bool = False
    unsent: bytes = b""  # a true stop that OpenOCD has not sent; an interrupt makes it send one


Dialogue = Generator[bytes, Heard, Outcome]
Part = Generator[bytes, Heard, None]
_Reading = Generator[bytes, Heard, bytes]
Asking = Generator[bytes, Heard, bool]
_Setting = Generator[bytes, Heard, tuple[Point, ...]]


class Purpose(Enum):
    """Why a dialogue of ours is held with the backend."""

    RESTORE = "restore"
    REEXAMINED = "reexamined"
    RECHECK = "recheck"
    LOOK = "look"
    CATCH = "catch"
    INTERRUPT = "interrupt"
    DETACH = "detach"
    KILL = "kill"
    FAREWELL = "farewell"


@dataclass(slots=True, eq=False)
class Talk:
    """A dialogue that is going on; it is given up at `deadline` (seconds)."""

    purpose: Purpose
    dialogue: Dialogue
    deadline: float
    stop: bytes | None = None  # the frame of a stop reply that came in between


def greet(shadow: Shadow, up: BackendUp, policy: Policy) -> Part:
    """Bring a new connection into the modes of the old one."""
    yield b"QStartNoAckMode"
    if shadow.extended:
        yield b"!"
    if not shadow.unsaid:
        return
    for key, line in in_order(shadow.settings):
        if up.adapter_kept or not is_adapter_speed(key):
            yield monitor_request(line)


def restore(shadow: Shadow, up: BackendUp, policy: Policy, *, interrupted: bool = False) -> Dialogue:
    """Make a new backend fit the belief; the board is left running or halted as GDB's user left it.

    The backend may die in the middle: what it came with is owed until the dialogue with one of its successors is at its end.
    """
    shadow.unsaid = shadow.unsaid or not up.same
    if up.reset and shadow.attached:
        shadow.owes(up.told or RESET_TEXT)
    outcome = yield from _restore(shadow, up, policy, interrupted)
    if shadow.unsaid:
        shadow.untold += unrepeated_text(shadow.unrepeated.values())
        shadow.unrepeated.clear()
    shadow.history, shadow.unsaid, shadow.paused = "", False, False
    return outcome


def _restore(shadow: Shadow, up: BackendUp, policy: Policy, interrupted: bool) -> Dialogue:
    yield from greet(shadow, up, policy)
    if not shadow.attached:
        if shadow.farewell:
            yield from _late_farewell(shadow, OnDetach.RESUME if shadow.halted_early else policy.on_detach)
        elif policy.halt_on_attach and not shadow.left and not (yield from _is_halted()):
            shadow.halted_early = True
            yield monitor_request("halt")
        yield from choose(shadow)
        return Outcome(restored=True)
    halted = up.halted if up.halted is not None else (yield from _is_halted())
    if shadow.running:
        return (yield from _restore_running(shadow, policy, halted, interrupted))
    yield b"?"
    return (yield from _restore_halted(shadow, policy, halted))


def _say_all(bodies: Iterable[bytes]) -> Part:
    """Say one request after the other, whatever the replies."""
    for body in bodies:  # noqa: UP028 - `yield from` a plain iterator cannot take the replies that `send` brings
        yield body


def _restore_halted(shadow: Shadow, policy: Policy, halted: bool) -> Dialogue:
    if (shadow.freed or not policy.halt_on_attach) and not halted:
        lost = yield from insert(point for point in shadow.points if point.type == 1)
        yield from _threads(shadow, halted=False)
        if shadow.freed:
            shadow.untold = shadow.history or shadow.untold
        return Outcome(lost=lost, restored=True)
    if not halted:
        if not shadow.history:
            shadow.owes(RAN_TEXT)
        yield monitor_request("halt")
    registers = yield from _read_registers()
    if halted and registers == shadow.seen:
        shadow.freed = shadow.strayed = False  # it stands where it was left, whatever was seen meanwhile
    if shadow.moved(registers) and not shadow.history:
        shadow.owes(MOVED_TEXT)
    yield from heal_ram(shadow)
    yield from _unsettled(shadow)
    lost = yield from insert(shadow.points)
    yield from _threads(shadow, halted=True)
    if shadow.history:
        shadow.thread = yield from current()
        shadow.seen, shadow.stale = registers, True
        if shadow.history not in shadow.untold:
            shadow.untold = shadow.history + shadow.untold
    else:
        yield from _pending_writes(shadow)
    return Outcome(lost=lost, restored=True)


def _restore_running(shadow: Shadow, policy: Policy, halted: bool, interrupted: bool) -> Dialogue:
    console = shadow.history
    said = (yield b"?").body
    registers = (yield from _read_registers()) if halted else b""
    # The request was lost with the backend: a stop would be taken for another hit of the breakpoint at this address.
    unmoved = halted and not shadow.history and registers == shadow.seen
    stop = None
    if shadow.history:
        stop = RESET_STOP if policy.stop_after_reset else None
    elif (halted or stepping(shadow)) and not unmoved:
        stop = yield from reason(shadow, said, interrupted=interrupted)
    # Only what a running core cannot take halts it: points of other types, or a stop that GDB is owed anyway.
    must_halt = stop is not None or any(point.type != 1 for point in shadow.points)
    if must_halt and not halted:
        shadow.paused = stop is None
        yield monitor_request("halt")
        yield from _read_registers()
    if must_halt or halted:
        yield from heal_ram(shadow)
    lost = yield from insert(shadow.points)
    yield from _threads(shadow, halted=must_halt or halted)
    if unmoved:
        yield from _pending_writes(shadow)
    if stop is not None:
        return Outcome(stop=with_thread(stop, (yield from current())), console=console, lost=lost, restored=True)
    return Outcome(resume=shadow.resume, console=console, lost=lost, restored=True)


def _read_registers() -> _Reading:
    """Fill OpenOCD's register cache: a step or resume takes the PC from it, valid or not, and would go on at address 0.

    Seen with 0.12 dap-direct, attached to a core that stood halted (cortex_m.c uses `arm.pc->value` unread); a GDB that
    attaches itself always asks for the registers first.
    """
    return (yield b"g").body


def _threads(shadow: Shadow, *, halted: bool) -> Part:
    """Let OpenOCD find the threads, and choose GDB's. After the registers were read: those of the core, not of a thread."""
    yield from learn(shadow)
    if halted:
        yield from read(shadow)
    yield from choose(shadow)


def _unsettled(shadow: Shadow) -> Part:
    """Repeat the write that OpenOCD acknowledged and may have taken to its grave; memory outlives a reset."""
    if shadow.unsettled is None:
        return
    yield shadow.unsettled
    yield settling(shadow.unsettled)
    shadow.unsettled = None


def settling(write: bytes) -> bytes:
    """Return a request whose reply says that an acknowledged `X` has been written: OpenOCD does one thing after the other."""
    return b"m" + write[1:].partition(b",")[0] + b",1"


def _pending_writes(shadow: Shadow) -> Part:
    if shadow.all_registers is not None:
        yield shadow.all_registers
    for where, body in list(shadow.registers.items()):
        if thread := chooser(where):
            yield thread  # each core of a group has its own
        yield body
    if shadow.registers:
        yield from choose(shadow)


def _is_halted() -> Asking:
    return (yield from _state()) == "halted"


def _state() -> Generator[bytes, Heard, str]:
    """The core's state: the last word, behind what OpenOCD logs meanwhile ("… GDB will be halted. Polling again in 300ms")."""
    heard = yield monitor_request("[target current] curstate")
    return (heard.text.split() or [""])[-1]


def insert(points: Iterable[Point]) -> _Setting:
    """Set break- and watchpoints; returns those that the backend has refused."""
    lost = []
    for point in list(points):
        heard = yield b"Z" + point.body
        if heard.body != OK:
            lost.append(point)
    return tuple(lost)


def reexamined(shadow: Shadow, removed: list[bytes], *, soft: bool = False) -> Dialogue:
    """Set hardware points again after OpenOCD has examined the target anew, which zeroed them while its own list keeps them.

    `soft`: those in RAM too. A running core is halted for what it cannot take while it runs: all but type 1.
    `removed` are `z` bodies that GDB was already told were done.
    """
    yield from _say_all(removed)
    points = [point for point in shadow.points if soft or point.type != 0]
    must_halt = shadow.running and any(point.type != 1 for point in points)
    if must_halt:
        shadow.paused = True
        yield monitor_request("halt")
        yield from _read_registers()
    if soft and (must_halt or not shadow.running):
        yield from heal_ram(shadow)
    for point in points:
        yield b"z" + point.body
    lost = yield from insert(points)
    shadow.paused = False
    return Outcome(resume=shadow.resume if must_halt else None, lost=lost, restored=True)


def look(shadow: Shadow) -> Dialogue:
    """Find out whether a core that was seen to run does: what was seen may be older than the stop that GDB knows of."""
    if (yield from _state()) == "running":  # not one that runs a loader of OpenOCD's (debug-running), or cannot be seen
        shadow.strays()
    return Outcome()


def catch(shadow: Shadow, removed: list[bytes]) -> Dialogue:
    """Halt a core that runs although GDB believes otherwise, for a request that takes a halted one for granted.

    GDB may wait for the end of a step already: OpenOCD 0.12 makes none of a running core, and sends no stop either.
    """
    steps_already = shadow.running
    yield monitor_request("halt")
    if not (yield from _is_halted()):
        shadow.strayed = False
        return Outcome(console=CANNOT_HALT if steps_already else "")
    registers = yield from _read_registers()
    yield from heal_ram(shadow)
    yield from _say_all((*removed, *(b"z" + point.body for point in shadow.points)))
    lost = yield from insert(shadow.points)
    shadow.thread = yield from current()
    if steps_already:
        shadow.strayed = False
        return Outcome(stop=with_thread(RESET_STOP, shadow.thread), console=STRAYED_TEXT, lost=lost)
    shadow.caught(registers, STRAYED_TEXT)
    return Outcome(lost=lost)


def step_core(shadow: Shadow) -> Dialogue:
    """Make a step that OpenOCD would only pretend to make, see `threads.step_there`."""
    yield from step_there(shadow)
    return Outcome()


def recheck(shadow: Shadow, held: bytes) -> Dialogue:
    """Find out whether a stop without a reason was true: the core may have been running all the time.

    Nothing is `held` when the core was seen halted and no stop came: OpenOCD 0.12 loses the stop that it finds while it refuses
    a resume, because it notes only afterwards that GDB waits for one (gdb_server.c gdb_handle_vcont_packet). It remembers the
    reason, and an interrupt makes it send a stop, after which both sides agree again.
    """
    halted = yield from _is_halted()
    if held:
        return Outcome(stop=(yield from true_stop(shadow, held))) if halted else Outcome(resume=shadow.resume)
    said = (yield b"?").body if halted else b""
    return Outcome(unsent=said if said[:1] in (b"S", b"T") else b"")


def halt_now() -> Dialogue:
    """Halt the core for an interrupt that OpenOCD itself would not answer any more."""
    heard = yield monitor_request("halt")
    if is_error(heard.body):
        return Outcome(console=CANNOT_HALT)
    return Outcome(stop=with_thread(INTERRUPTED, (yield from current())))


def farewell(shadow: Shadow, on_detach: OnDetach, removed: list[bytes], *, detach: bool) -> Dialogue:
    """Take out all points and leave the core as the policy says; `detach` also passes GDB's `D` on."""
    running = shadow.running or shadow.freed
    points = [b"z" + point.body for point in shadow.points]
    if running and any(not body.startswith(b"z1") for body in points):
        yield monitor_request("halt")
        halted_here = True
    else:
        halted_here = False
    yield from _say_all((*removed, *points))
    if detach:
        yield b"D"
    wanted = {OnDetach.RESUME: True, OnDetach.HALT: False, OnDetach.LEAVE: running}[on_detach]
    if wanted and (halted_here or not running):
        yield from _read_registers()  # a GDB that died while it attached may not have asked for them yet
        yield monitor_request("resume")
    if not wanted and running and not halted_here:
        yield monitor_request("halt")
    return Outcome()


def _late_farewell(shadow: Shadow, on_detach: OnDetach) -> Part:
    """Leave the core as the policy says, after GDB has left while there was no backend.

    There are no points to take out: a new process has none, and one that lives on clears them for each new connection.
    """
    halted = was_halted = yield from _is_halted()
    if not was_halted:
        shadow.freed = True  # should this backend die too, after it has halted the core
    if shadow.under and not halted:
        yield monitor_request("halt")
        halted = True
    if halted:
        yield from _read_registers()
        yield from heal_ram(shadow)
    wanted = {OnDetach.RESUME: True, OnDetach.HALT: False, OnDetach.LEAVE: shadow.freed or not was_halted}[on_detach]
    if wanted and halted:
        yield monitor_request("resume")
    if not wanted and not halted:
        yield monitor_request("halt")
    shadow.farewell = shadow.freed = shadow.halted_early = False


def lost_text(lost: tuple[Point, ...]) -> str:
    """Return the console line about points that could not be set."""
    named = ", ".join(f"0x{point.address:x}" for point in lost)
    return f"ocdsup: could not set these break- or watchpoints again: {named}\n"


def told(console: str) -> list[bytes]:
    """Return the console packets of a text, each small enough for any GDB."""
    return [text_packet(console[at : at + 200]) for at in range(0, len(console), 200)]
