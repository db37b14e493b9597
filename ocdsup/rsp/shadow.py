"""What GDB believes about the target: everything a new backend has to be told, or GDB has to be told otherwise.

Facts behind each field: OpenOCD 0.12 loses break- and watchpoints, register writes that wait for the next resume, the last `X`
(acknowledged before it is written), connection modes and process settings when it restarts; the core keeps its run state, and
a software breakpoint's opcode stays in RAM.
"""

from dataclasses import dataclass, field
from enum import Enum

from . import monitor
from .learned import Learned as Learned
from .packets import OK, Group, Point, Row, is_error, monitor_line, piece_of, point_of, span_of, steps
from .settings import note as note_settings
from .threads import MOST_LISTS, MOST_SYMBOLS, is_listed, named, symbol, written_to


class Flash(Enum):
    """How far a flash transaction of GDB is."""

    IDLE = "idle"
    OPEN = "open"  # an erase or a write was acknowledged, the final `vFlashDone` was not
    BROKEN = "broken"  # the backend that held the image is gone: the rest must fail


@dataclass(slots=True)
class Shadow:
    """The belief of one GDB session; changed by what was acknowledged, never by what was only asked."""

    learned: Learned = field(default_factory=Learned)
    supported: bytes | None = None  # GDB's own `qSupported` request
    no_ack: bool = False
    non_stop: bool = False
    extended: bool = False
    attached: bool = False  # GDB has seen a stop reply and believes in a stopped or running target
    ended: bool = False  # detached, killed or exited: a lost backend is no loss any more
    left: bool = False  # GDB was attached and has left the target: its core is nobody's to halt any more
    farewell: bool = False  # … and no backend has heard of it yet: the next one leaves the core as the policy says
    threads: dict[bytes, bytes] = field(default_factory=dict)  # b"Hg" -> b"Hg0"
    chosen: bytes | None = None  # the `Hg…` since the last stop, which chooses the thread that it names
    symbols: dict[bytes, bytes] = field(default_factory=dict)  # what GDB has answered to `qSymbol`: name in hex -> address
    learning: bool = False  # OpenOCD has asked for one more
    lists: dict[bytes, bytes] | None = None  # of threads, since the last stop: request body -> reply body
    listed_before: bool = False  # … by a backend that is gone
    elsewhere: bool = False  # a new backend takes another core of a group for the one that has stopped
    stepped: bytes = b""  # the thread that was stepped for a request of GDB that is still to be answered
    thread: bytes = b""  # the one that stands there after a reset that GDB does not know of yet
    points: dict[Point, None] = field(default_factory=dict)  # in the order in which they were set
    under: dict[Point, bytes] = field(default_factory=dict)  # RAM before a software breakpoint was (perhaps) put there
    registers: dict[bytes, bytes] = field(default_factory=dict)  # written, to be flushed by the next resume: where -> `P` body
    all_registers: bytes | None = None  # the `G` body that came before them
    seen: bytes | None = None  # the registers of this stop, before anything was written: how a core looks that did not resume
    unsettled: bytes | None = None  # the last acknowledged `X`: OpenOCD may not have written it yet
    settings: dict[str, str] = field(default_factory=dict)  # name -> monitor line
    unrepeated: dict[str, str] = field(default_factory=dict)  # likewise what is not said to a new backend
    resume: bytes | None = None  # the resume request that waits for a stop
    paused: bool = False  # the core was halted for a moment although GDB believes that it runs
    halted_early: bool = False  # the core was halted for a GDB that has yet to ask for its state
    freed: bool = False  # the core was let run behind GDB's back (`monitor resume`, telnet, the reset button)
    strayed: bool = False  # … and not by GDB's user, who is still to learn that the registers are history
    flash: Flash = Flash.IDLE
    image: bool = False  # this very backend has taken a `vFlashWrite`
    listed: int = 0  # how far its list of threads was read, in bytes, when there is more of it
    last_stop: bytes = b""  # the stop reply that GDB has seen last
    gone: bool = False  # the program is no more, the server has another one, and GDB does not know
    stale: bool = False  # the board was reset: GDB's idea of the registers is history
    untold: str = ""  # what GDB's console has still to be told
    history: str = ""  # the same, of a reset that a new backend came with: until a dialogue that restores has come to its end
    unsaid: bool = False  # likewise: a new process has yet to hear the settings

    @property
    def running(self) -> bool:
        """Tell whether GDB believes that the target runs."""
        return self.resume is not None

    def asked(self, row: Row, body: bytes) -> None:
        """Note a request at the moment it is sent to the backend."""
        if row.group is Group.RESUME and row.name != "vCont?" and not self.non_stop:
            self.elsewhere = False
            self.resumes(body)

    def resumes(self, body: bytes) -> None:
        """Note a resume of an all-stop target at the moment it is sent."""
        self.resume, self.unsettled = body, None
        self._flash_over()

    def refused(self) -> None:
        """Note that the backend has refused the resume: the target stands as before, with all that was written."""
        self.resume = None

    def answered(self, row: Row, body: bytes, reply: bytes) -> None:
        """Note the reply to a request, be it the backend's or ours."""
        if row.group is Group.READ and row.name != "?":
            # A full read after the reset: GDB asks only when it holds no registers, so it now holds the new ones.
            if row.name == "g" and not is_error(reply):
                self.stale = self.stale and bool(self.thread)  # threads are told by a stop only
                self.learned.registers = len(reply)
                if self.seen is None and not (self.running or self.registers or self.all_registers):
                    self.seen = reply
            elif row.name == "qCRC":
                self.seen = None  # as with flash: OpenOCD runs a program on the core, and restores registers at the next resume
            return
        change = _CHANGES.get(row.name)
        if change is not None:
            change(self, body, reply)
        if row.group is Group.QUERY:
            self.learned.note(row, body, reply)
            if body.startswith(b"qXfer:threads:"):
                piece = piece_of(body)
                self.listed = piece[1] + len(reply) - 1 if piece is not None and reply[:1] == b"m" else 0
            if is_listed(body, reply):
                self.note_list(body, reply)

    def proved(self) -> None:
        """Note that the backend has replied to something: what it acknowledged before is done by now."""
        self.unsettled = None

    def stopped(self, reply: bytes) -> None:
        """Note a stop reply."""
        self.stands(reply)
        if reply[:1] in b"WX":
            self.attached = self.gone = False
            self.points.clear()
            self.under.clear()

    def stands(self, reply: bytes) -> None:
        """Note a stop reply of a program that is still there."""
        if self.resume is not None:
            self.resume = self.seen = self.all_registers = self.unsettled = None  # as `forget_writes`, at every step
            self.chosen = self.lists = None
            if self.registers:
                self.registers.clear()
        self.freed, self.attached, self.left = False, True, False
        self.last_stop = reply

    def note_list(self, body: bytes, reply: bytes) -> None:
        """Note a list of threads, or a part of one, that GDB was given."""
        if self.lists is None:
            self.lists, self.listed_before = {}, False
        if len(self.lists) < MOST_LISTS:
            self.lists[body] = reply

    def lost(self) -> None:
        """Note that the backend is gone, with all it held."""
        self.image, self.listed = False, 0
        self.listed_before = True
        if self.flash is Flash.OPEN:
            self.flash = Flash.BROKEN

    def planting(self, point: Point, code: bytes) -> None:
        """Note the RAM under a software breakpoint that is about to be set; an earlier note is nearer to the original."""
        self.under.setdefault(point, code)

    def has_point(self, point: Point | None) -> None:
        """Note that the backend has set a break- or watchpoint (None: one that was malformed)."""
        if point is not None:
            self.points[point] = None

    def has_no_point(self, point: Point | None) -> None:
        """Note that the backend has cleared one."""
        if point is not None:
            self.points.pop(point, None)
            self.under.pop(point, None)

    def forget_writes(self) -> None:
        """Forget register and memory writes that waited: they have been flushed, or are void after a reset."""
        self.forget_registers()
        self.unsettled = None

    def forget_registers(self) -> None:
        """Forget what was read from or is to be written to registers that are no more; memory outlives a reset."""
        self.seen = self.all_registers = None
        self.registers.clear()

    def owes(self, text: str) -> None:
        """Note that the registers that GDB has seen are history, and why: a line for its console, with its end."""
        self.forget_registers()
        if text not in self.history:
            self.history += text

    def moved(self, registers: bytes) -> bool:
        """Tell whether a halted core is certainly not where GDB's user left it, by its registers (a `g` reply).

        Those of threads are not compared: the first that GDB has read need not be those of the core that a new backend reads.
        """
        if self.seen is None or named(self.last_stop) or is_error(registers):
            return False
        return len(registers) == len(self.seen) and registers != self.seen

    def strays(self) -> None:
        """Note that the core runs although GDB believes that it is halted."""
        if self.attached and not self.running and not self.freed:
            self.freed = self.strayed = True

    def caught(self, registers: bytes, text: str) -> None:
        """Note that such a core was halted again: GDB reads `text` and the new registers at its first resume."""
        self.forget_writes()
        self.freed = self.strayed = False
        self.seen, self.stale, self.untold = registers, True, text

    def detached(self) -> None:
        """Forget the target; the connection may go on (extended mode)."""
        self.attached, self.resume, self.stale, self.freed, self.strayed = False, None, False, False, False
        self.untold = self.history = ""
        self.points.clear()
        self.under.clear()
        self.forget_writes()
        self.chosen, self.lists, self.thread, self.elsewhere, self.stepped = None, None, b"", False, b""
        self.flash, self.left, self.halted_early, self.gone = Flash.IDLE, True, False, False

    def parted(self) -> None:
        """Note that GDB has left the target and that no backend could be told: what that one must know is kept."""
        running, under, early = self.running or self.freed, dict(self.under), self.halted_early and not self.attached
        self.detached()
        self.farewell, self.freed, self.under, self.halted_early = True, running, under, early

    # One function per request that changes the belief: (body, reply).

    def _supported(self, body: bytes, reply: bytes) -> None:
        self.supported = body

    def _no_ack(self, body: bytes, reply: bytes) -> None:
        self.no_ack = self.no_ack or reply == OK

    def _non_stop(self, body: bytes, reply: bytes) -> None:
        if reply == OK:
            self.non_stop = body.endswith(b"1")

    def _extended(self, body: bytes, reply: bytes) -> None:
        self.extended = self.extended or reply == OK

    def _thread(self, body: bytes, reply: bytes) -> None:
        if reply == OK:
            self.threads[body[:2]] = body
            if body[1:2] == b"g":
                self.chosen = body

    def _symbol(self, body: bytes, reply: bytes) -> None:
        told = symbol(body)
        self.learning = reply.startswith(b"qSymbol:")
        if told is not None and len(self.symbols) < MOST_SYMBOLS and (self.learning or reply == OK):
            self.symbols[told[0]] = told[1]
            self.lists = None

    def _why(self, body: bytes, reply: bytes) -> None:
        if reply[:1] in (b"S", b"T"):
            self.attached, self.left, self.last_stop = True, False, reply

    def _point_set(self, body: bytes, reply: bytes) -> None:
        point = point_of(body)
        if reply == OK:
            self.has_point(point)
        elif point is not None and point not in self.points:
            self.under.pop(point, None)

    def _point_cleared(self, body: bytes, reply: bytes) -> None:
        if reply == OK:
            self.has_no_point(point_of(body))

    def _register(self, body: bytes, reply: bytes) -> None:
        if reply == OK:
            where = written_to(self, body)
            self.registers.pop(where, None)
            self.registers[where] = body

    def _all_registers(self, body: bytes, reply: bytes) -> None:
        if reply == OK:
            self.all_registers = body
            self.registers.clear()

    def _written(self, body: bytes, reply: bytes) -> None:
        span = span_of(body)
        if reply != OK or span is None:
            return
        if body[:1] == b"X" and span[1]:
            self.unsettled = body
        for point, code in list(self.under.items()):
            if span[0] < point.address + len(code) and point.address < span[0] + span[1]:
                del self.under[point]  # GDB wrote over it: nobody knows what is to be restored

    def _flash(self, body: bytes, reply: bytes) -> None:
        self.seen = None
        if reply != OK:
            self._flash_over()
            return
        self.image = self.image or body.startswith(b"vFlashWrite")
        self.flash = Flash.OPEN

    def _flash_over(self) -> None:
        """GDB has given its load up, without a word (remote.c: it throws at the error)."""
        if self.flash is Flash.OPEN:
            self.flash = Flash.IDLE

    def _flash_done(self, body: bytes, reply: bytes) -> None:
        self.flash, self.image, self.seen = Flash.IDLE, False, None

    def _detached(self, body: bytes, reply: bytes) -> None:
        if reply == OK:
            self.detached()
            self.ended = not self.extended

    def _monitor(self, body: bytes, reply: bytes) -> None:
        line = monitor_line(body) or ""
        self.seen = None
        if is_error(reply):
            return
        note_settings(line, self.settings, self.unrepeated)
        running = monitor.leaves_running(line)
        if running is not None:
            self.freed, self.strayed = running and not self.running, False
        if monitor.resets(line):
            self.forget_writes()
            self._flash_over()
            self.stale, self.untold = False, ""  # the user knows of this reset; GDB's view is theirs to refresh

    def _run(self, body: bytes, reply: bytes) -> None:
        self.forget_writes()
        self.stale = False
        if reply[:1] in (b"S", b"T"):
            self.attached, self.left, self.gone, self.last_stop = True, False, False, reply


_CHANGES = {
    "qSupported": Shadow._supported,
    "QStartNoAckMode": Shadow._no_ack,
    "QNonStop": Shadow._non_stop,
    "!": Shadow._extended,
    "H": Shadow._thread,
    "qSymbol": Shadow._symbol,
    "?": Shadow._why,
    "Z": Shadow._point_set,
    "z": Shadow._point_cleared,
    "P": Shadow._register,
    "G": Shadow._all_registers,
    "M": Shadow._written,
    "X": Shadow._written,
    "vFlashErase": Shadow._flash,
    "vFlashWrite": Shadow._flash,
    "vFlashDone": Shadow._flash_done,
    "D": Shadow._detached,
    "vKill": Shadow._detached,
    "qRcmd": Shadow._monitor,
    "vRun": Shadow._run,
    "vAttach": Shadow._run,
}


def stepping(shadow: Shadow) -> bool:
    """Tell whether the resume that waits for a stop is a step."""
    return shadow.resume is not None and steps(shadow.resume)
