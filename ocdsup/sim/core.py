"""A Cortex-M core under a debugger: runs, halts, steps, sleeps, takes exceptions and resets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ocdsup.sim import exceptions, nvic
from ocdsup.sim.bus import Bus, BusError
from ocdsup.sim.comparators import Dwt, Fpb
from ocdsup.sim.cpu import Cpu, Stop, Why
from ocdsup.sim.systick import SysTick

PACE = 200_000  # instructions a second out of flash: enough for demo firmware, cheap for the host
FAST = 20_000_000  # with the PC in SRAM: a flash loader or CRC check of the debugger runs
LONGEST = 0.1  # seconds of simulated time one call of `advance` makes up for
_EVENT = 1e-4  # seconds of simulated time an early stop of the emulator counts as
_SHORT = 40  # instructions at a time while an exception waits for its mask to be lifted
HALTED, BKPT, DWTTRAP, VCATCH = 1, 2, 4, 8  # DFSR
VC_CORERESET, VC_HARDERR = 1, 1 << 10  # DEMCR
_VC_FAULT = {nvic.MEMMANAGE: 1 << 4, nvic.USAGEFAULT: 7 << 5, nvic.BUSFAULT: 1 << 8, nvic.HARDFAULT: VC_HARDERR}
_USAGE = {Why.UNDEFINED: 1 << 16, Why.STATE: 1 << 17, Why.NOCP: 1 << 19}
_DEAD = 0xFFFFFFFE  # the PC of a core in lockup (ARMv7-M ARM B1.5.15)


@dataclass(slots=True)
class Debug:
    """The debug control block: survives a system reset, not a power cycle."""

    enabled: bool = False  # C_DEBUGEN
    mask_interrupts: bool = False
    step: bool = False
    demcr: int = 0
    dcrdr: int = 0
    dfsr: int = 0
    reset_seen: bool = True  # S_RESET_ST: sticky until read
    retired: bool = False  # S_RETIRE_ST: sticky until read


@dataclass(slots=True)
class SystemControl:
    """System control registers that a reset clears."""

    vtor: int = 0
    scr: int = 0
    ccr: int = 0x200
    cfsr: int = 0
    hfsr: int = 0
    mmfar: int = 0
    bfar: int = 0
    cpacr: int = 0


class Core:
    """One core; `now` is monotonic seconds, always passed in."""

    def __init__(self, bus: Bus, model: str, clock_hz: int, sram: tuple[int, int]) -> None:
        self.bus = bus
        self.cpu = Cpu(bus, model)
        self.nvic = nvic.Nvic()
        self.systick = SysTick(clock_hz)
        self.fpb, self.dwt = Fpb(), Dwt()
        self.debug, self.system = Debug(), SystemControl()
        self.halted = self.sleeping = self.lockup = False
        self.held = True  # NRST low or no power: until the first `boot`
        self.ran = 0.0  # seconds run since the last reset
        self.on_reset_request: Callable[[], None] = self.reset
        self._sram = range(*sram)
        self._last = 0.0
        self._inside = False  # the emulator is running: a register write comes from the firmware
        self._reset_wanted = False

    # ---- reset ----

    def reset(self) -> None:
        """A system reset: everything but the debug units starts anew and the core boots."""
        self.hold()
        self.boot()

    def hold(self) -> None:
        """Go into reset and stay there, as while NRST is low."""
        self.nvic.reset()
        self.systick.reset()
        self.system = SystemControl()
        self.halted = self.sleeping = self.lockup = False
        self.debug.reset_seen = True
        self.held = True

    def power_on(self) -> None:
        """Lose everything, debug units included."""
        self.fpb.reset()
        self.dwt.reset()
        self.debug = Debug()
        self.arm()
        self.hold()

    def boot(self) -> None:
        """Leave reset: load SP and PC from the vector table; halt there when vector catch is armed."""
        self.held, self.ran = False, 0.0
        try:
            stack, entry = self.bus.read(0, 4), self.bus.read(4, 4)
        except BusError:
            stack, entry = 0, 0
        self.cpu.reset(stack, entry)
        if self.debug.demcr & VC_CORERESET and self.debug.enabled:
            self.halt(VCATCH)
        elif not entry & 1 and entry in (0, 0xFFFFFFFE):
            self._lock_up()

    # ---- what the debug port does ----

    @property
    def running(self) -> bool:
        """Whether instructions would be executed now."""
        return not (self.halted or self.held or self.lockup)

    def halt(self, reason: int) -> None:
        """Enter debug state for a DFSR reason."""
        self.halted, self.lockup, self.sleeping = True, False, False
        self.debug.dfsr |= reason

    def resume(self, now: float) -> None:
        """Leave debug state."""
        self.halted = False
        self._last = now

    def step(self) -> None:
        """Execute one instruction, or enter a pending exception, and halt again."""
        self.halted = False
        if not self._dispatch():
            self._handle(self._inside_of(self.cpu.step))
            self.dwt.count(1)
        self.debug.retired, self.sleeping = True, False
        self._reset_if_wanted()
        if not self.halted:
            self.halt(HALTED)

    def arm(self) -> None:
        """Bring the comparators into force; they act only while halting debug is enabled."""
        on = self.debug.enabled
        self.cpu.break_at(self.fpb.addresses() | self.dwt.addresses() if on else ())
        self.cpu.watch(self.dwt.watches() if on else ())

    # ---- time ----

    def uptime(self, now: float) -> float:
        """Return the seconds the core has run since its last reset."""
        return self.ran + (max(now - self._last, 0.0) if self.running else 0.0)

    def advance(self, now: float) -> None:
        """Let the core run up to `now`."""
        passed, self._last = max(now - self._last, 0.0), now
        if not self.running:
            return
        self.ran += passed
        left = min(passed, LONGEST)
        pace = FAST if self.cpu.pc in self._sram else PACE
        while left > 0 and self.running:
            left -= self._portion(left, pace)

    def wake_in(self) -> float | None:
        """Return after how many seconds `advance` has something to do; None while the core stands."""
        if not self.running:
            return None
        if self.sleeping:
            return self.systick.until_zero()
        return 0.001 if self.cpu.pc in self._sram else 0.01

    def _portion(self, left: float, pace: int) -> float:
        """Run until something changes, at most `left` seconds; return the seconds it took."""
        self._dispatch()
        due = self.systick.until_zero()
        span = left if due is None else min(left, due)
        if not self.sleeping and self.running:
            span = min(span, self._burst(span, pace))
        if self.systick.elapse(span):
            self.nvic.pending.add(nvic.SYSTICK)
        return span

    def _burst(self, span: float, pace: int) -> float:
        """Execute instructions for about `span` seconds; return what they count as.

        The emulator does not say how many instructions ran before an early stop; that counts as
        `_EVENT` seconds, so that a storm of events cannot occupy the host.
        """
        count = max(int(span * pace), 1)
        if self.nvic.pending:
            count = min(count, _SHORT)
        stop = self._inside_of(lambda: self.cpu.run(count))
        self.dwt.count(count)
        self.debug.retired = True
        self._handle(stop)
        self._reset_if_wanted()
        return max(count / pace, 1e-6) if stop.why is Why.DONE else _EVENT

    def _inside_of(self, call: Callable[[], Stop]) -> Stop:
        self._inside = True
        try:
            return call()
        finally:
            self._inside = False

    # ---- events of the running core ----

    def _handle(self, stop: Stop) -> None:
        match stop.why:
            case Why.DONE | Why.STOPPED:
                pass
            case Why.BREAKPOINT:
                self.halt(BKPT)
            case Why.WATCHPOINT:
                self.dwt.hit(stop.address)
                self.halt(DWTTRAP)
            case Why.BKPT if self.debug.enabled:
                self.halt(BKPT)
            case Why.BKPT:
                self.system.hfsr |= 1 << 31
                self._fault(nvic.HARDFAULT, 0)
            case Why.WFI:
                self.sleeping = not self._wakes()
            case Why.SVC:
                self.nvic.pending.add(nvic.SVCALL)
                if not self._dispatch():
                    self.nvic.pending.discard(nvic.SVCALL)
                    self._fault(nvic.HARDFAULT, 0)
            case Why.EXC_RETURN:
                self._return(stop.address | 1)
            case _:
                self._instruction_fault(stop)

    def _instruction_fault(self, stop: Stop) -> None:
        match stop.why:
            case Why.FETCH:
                self._fault(nvic.BUSFAULT, 1 << 8)
            case Why.DATA:
                self.system.bfar = stop.address
                self._fault(nvic.BUSFAULT, 1 << 9 | 1 << 15)
            case _:
                self._fault(nvic.USAGEFAULT, _USAGE[stop.why])

    def _dispatch(self) -> bool:
        """Enter the most urgent pending exception, if its priority allows; return whether one was entered."""
        if not self.nvic.pending:
            return False
        if self.sleeping and self._wakes():
            self.sleeping = False
        number = self.nvic.next(self.nvic.execution_priority(self.cpu.read(20)))
        masked = self.debug.enabled and self.debug.mask_interrupts
        if number is None or (masked and number >= nvic.PENDSV):
            return False
        self._enter(number)
        return True

    def _wakes(self) -> bool:
        """WFI ends by any exception that PRIMASK alone holds back (ARMv7-M ARM B1.5.19)."""
        level = self.nvic.execution_priority(self.cpu.read(20) & ~1)
        return self.nvic.next(level) is not None

    def _enter(self, number: int) -> None:
        try:
            handler = self.bus.read(self.system.vtor + 4 * number, 4)
            exceptions.enter(self.cpu, number, handler, lambda at, word: self.bus.write(at, 4, word))
        except BusError:
            self.nvic.pending.discard(number)
            if number == nvic.HARDFAULT:
                self._lock_up()
            else:
                self._fault(nvic.BUSFAULT, 1 << 12)
            return
        self.nvic.enter(number)
        if self.debug.enabled and self.debug.demcr & _VC_FAULT.get(number, 0):
            self.halt(VCATCH)

    def _fault(self, number: int, flags: int) -> None:
        self.system.cfsr |= flags
        level = self.nvic.execution_priority(self.cpu.read(20))
        if not self.nvic.enabled(number) or self.nvic.group_priority(number) >= level:
            number = nvic.HARDFAULT
            self.system.hfsr |= 1 << 30
        if self.nvic.group_priority(number) >= level:
            self._lock_up()
        else:
            self._enter(number)

    def _lock_up(self) -> None:
        self.lockup = True
        self.cpu.write(15, _DEAD)

    def _return(self, value: int) -> None:
        number = self.cpu.xpsr & 0x1FF
        if not number or not self._unstack(value):
            self.cpu.write(15, value)
            self._fault(nvic.USAGEFAULT, 1 << 18)
            return
        self.nvic.leave(number)
        if number != nvic.NMI:
            self.cpu.write(20, self.cpu.read(20) & ~(1 << 16))  # FAULTMASK ends with the handler
        self.sleeping = bool(self.system.scr & 2 and value & 8 and not self.nvic.pending)

    def _unstack(self, value: int) -> bool:
        try:
            return exceptions.leave(self.cpu, value, lambda at: self.bus.read(at, 4))
        except BusError:
            return False

    # ---- requests by register writes (`scs`) ----

    def changed(self) -> None:
        """Say that pending exceptions or masks changed: a running core looks at once."""
        if self._inside:
            self.cpu.stop()

    def request_reset(self) -> None:
        """SYSRESETREQ: from the debugger at once, from the firmware behind the running instruction."""
        if self._inside:
            self._reset_wanted = True
            self.cpu.stop()
        else:
            self.on_reset_request()

    def _reset_if_wanted(self) -> None:
        if self._reset_wanted:
            self._reset_wanted = False
            self.on_reset_request()
