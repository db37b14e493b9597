"""The seam to the CPU emulator: the only file that knows `unicorn` (Thumb-2, Cortex-M3/M4).

What had to be learned about unicorn 2.1.4, each with a test in tests/sim/test_cpu.py:
- only instruction counts end a run; a time-out once left the next counted run hanging for ever;
- one counted instruction swallows IT instructions and the skipped ones behind them, so `step`
  walks through IT blocks itself (`_step_it`);
- code changed from outside needs a flush of the translation cache (`touched`);
- `emu_stop` inside a memory callback leaves the instruction half done (the access happened, the
  write-back and the PC did not), so it is finished by a second run with the access suppressed;
- WFI just ends a run; a code hook on each known WFI tells it from an exhausted count.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum, auto
from importlib import import_module
from typing import Any

from ocdsup.sim.bus import Bus, BusError, nor
from ocdsup.sim.thumb import HINTS, WFI, advance, begins_it, holds, it_state, size, with_it

try:  # by name: the library's own type hints are partial
    uc: Any = import_module("unicorn")
    arm: Any = import_module("unicorn.arm_const")
except ImportError as missing:
    text = "the simulated board needs the CPU emulator unicorn: pip install 'ocdsup[sim]'"
    raise ImportError(text, name="unicorn") from missing

NEVER = 0xFFFFFFFE  # an address no run can reach: the top of the private peripheral bus is never code
_INTERRUPTS = {1: "UNDEFINED", 2: "SVC", 3: "FETCH", 4: "DATA", 7: "BKPT", 8: "EXC_RETURN", 17: "NOCP", 18: "STATE"}
_GENERAL = [getattr(arm, f"UC_ARM_REG_R{n}") for n in range(16)]
_SPECIAL = {16: arm.UC_ARM_REG_XPSR, 17: arm.UC_ARM_REG_MSP, 18: arm.UC_ARM_REG_PSP, 0x21: arm.UC_ARM_REG_FPSCR}


class Why(Enum):
    """Why a run ended."""

    DONE = auto()  # the count is used up
    STOPPED = auto()  # somebody asked for it (`stop`)
    BREAKPOINT = auto()  # a comparator matched; the instruction was not executed
    WATCHPOINT = auto()  # the instruction with the access was executed
    BKPT = auto()
    SVC = auto()
    WFI = auto()
    EXC_RETURN = auto()
    UNDEFINED = auto()
    FETCH = auto()
    DATA = auto()
    STATE = auto()
    NOCP = auto()


@dataclass(frozen=True, slots=True)
class Stop:
    """The end of a run: why, and the address that matters (data address or EXC_RETURN value)."""

    why: Why
    address: int = 0


@dataclass(frozen=True, slots=True)
class Watch:
    """An address range to watch: `begin` to `end`, both included."""

    begin: int
    end: int
    on_read: bool
    on_write: bool


class Cpu:
    """A Cortex-M core that executes instructions out of the memories of a bus."""

    def __init__(self, bus: Bus, model: str = "m4") -> None:
        self.bus = bus
        self._uc = uc.Uc(uc.UC_ARCH_ARM, uc.UC_MODE_THUMB | uc.UC_MODE_MCLASS)
        self._uc.ctl_set_cpu_model(arm.UC_CPU_ARM_CORTEX_M4 if model == "m4" else arm.UC_CPU_ARM_CORTEX_M3)
        self._keep: list[Any] = []  # unicorn maps these buffers by address: they must live as long as it does
        self._hooks: dict[object, int] = {}
        self._wfi_hooks: set[int] = set()
        self._stale = False
        self._stop: Stop | None = None
        self._again = False  # the instruction was cut short by emu_stop and has to be finished
        self._finishing = False
        self._waiting = False
        self._repair: list[tuple[int, bytes]] = []
        self._map()

    # ---- registers, numbered as DCRSR does (ARMv7-M ARM C1.6.3) ----

    @property
    def pc(self) -> int:
        """Address of the next instruction."""
        return int(self._uc.reg_read(arm.UC_ARM_REG_PC))

    @property
    def xpsr(self) -> int:
        """Program status: flags, IT state, T bit, exception number."""
        return int(self._uc.reg_read(arm.UC_ARM_REG_XPSR))

    def read(self, register: int) -> int:
        """Read a core register by its DCRSR number; unknown numbers read 0."""
        if register < 16:
            return int(self._uc.reg_read(_GENERAL[register]))
        if register in _SPECIAL:
            return int(self._uc.reg_read(_SPECIAL[register]))
        if register == 20:
            control, fault, base, prim = (int(self._uc.reg_read(r)) for r in _MASKS)
            return control << 24 | fault << 16 | base << 8 | prim
        if 0x40 <= register < 0x60:
            return int(self._uc.reg_read(arm.UC_ARM_REG_S0 + register - 0x40))
        return 0

    def write(self, register: int, value: int) -> None:
        """Write a core register by its DCRSR number; unknown numbers are ignored."""
        if register == 15:
            self._jump(value & ~1)
        elif register < 16:
            self._uc.reg_write(_GENERAL[register], value)
        elif register in _SPECIAL:
            self._uc.reg_write(_SPECIAL[register], value)
        elif register == 20:
            for number, shift in zip(_MASKS, (24, 16, 8, 0), strict=True):
                self._uc.reg_write(number, value >> shift & 0xFF)
        elif 0x40 <= register < 0x60:
            self._uc.reg_write(arm.UC_ARM_REG_S0 + register - 0x40, value)

    def reset(self, stack: int, entry: int) -> None:
        """Load the reset state: stack pointer, entry address (bit 0 becomes the T bit), no masks."""
        self.write(20, 0)
        self.write(16, (entry & 1) << 24)
        for register in range(13):
            self.write(register, 0)
        self.write(18, 0)
        self.write(17, stack & ~3)
        self.write(14, 0xFFFFFFFF)
        self._jump(entry & ~1)

    # ---- running ----

    def run(self, count: int) -> Stop:
        """Execute up to `count` instructions."""
        self._refresh()
        if not self.xpsr & 1 << 24:
            return Stop(Why.STATE, self.pc)
        return self._go(count, NEVER)

    def step(self) -> Stop:
        """Execute exactly one instruction, also inside an IT block."""
        self._refresh()
        pc, state = self.pc, self.xpsr
        if not state & 1 << 24:
            return Stop(Why.STATE, pc)
        code = self._fetch(pc)
        if code is None or pc in self._breakpoints():
            return self._go(1, NEVER)
        return self._step_known(pc, state, code)

    def stop(self) -> None:
        """End the current run behind the instruction whose access is being served right now."""
        self._end(Stop(Why.STOPPED), finish=True)

    def touched(self) -> None:
        """Say that memory was changed from outside: instructions are translated anew before the next run."""
        self._stale = True

    def break_at(self, addresses: Iterable[int]) -> None:
        """Replace the set of addresses in front of which a run stops."""
        wanted = set(addresses)
        for address in self._breakpoints() - wanted:
            self._unhook(("break", address))
        for address in wanted - self._breakpoints():
            self._hook(("break", address), uc.UC_HOOK_CODE, self._on_break, address, address)

    def watch(self, watches: Iterable[Watch]) -> None:
        """Replace the set of watched address ranges."""
        wanted = set(watches)
        for key in [k for k in self._hooks if isinstance(k, Watch) and k not in wanted]:
            self._unhook(key)
        for item in wanted - set(self._hooks):
            kind = item.on_read * uc.UC_HOOK_MEM_READ | item.on_write * uc.UC_HOOK_MEM_WRITE
            self._hook(item, kind, self._on_watch, item.begin, item.end)

    # ---- inside ----

    def _map(self) -> None:
        for memory in self.bus.memories:
            view = (ctypes.c_char * len(memory.data)).from_buffer(memory.data)
            self._keep.append(view)
            may = uc.UC_PROT_ALL if memory.programmer is None else uc.UC_PROT_READ | uc.UC_PROT_EXEC
            self._uc.mem_map_ptr(memory.base, len(memory.data), may, ctypes.addressof(view))
        for mapped in self.bus.devices:
            read = self._reader(mapped.base)
            write = self._writer(mapped.base)
            self._uc.mmio_map(mapped.base, mapped.size, read, None, write, None)
        self._uc.hook_add(uc.UC_HOOK_MEM_WRITE_PROT, self._on_flash_write)
        self._uc.hook_add(uc.UC_HOOK_INTR, self._on_interrupt)
        self._uc.hook_add(uc.UC_HOOK_MEM_UNMAPPED, self._on_unmapped)

    def _go(self, count: int, until: int) -> Stop:
        self._stop, self._again, self._waiting = None, False, False
        stop = self._emulate(count, until)
        if self._again:
            self._finishing, self._again = True, False
            again = self._emulate(1, NEVER)
            self._finishing = False
            stop = stop or again
        self._mend()
        return stop or self._slept() or Stop(Why.DONE)

    def _emulate(self, count: int, until: int) -> Stop | None:
        begin = self.pc
        try:
            self._uc.emu_start(begin | 1, until, count=count)
        except uc.UcError as error:
            if self._stop is None:
                self._stop = self._failure(error, begin)
        return self._stop

    def _failure(self, error: Any, begin: int) -> Stop:
        if not self.xpsr & 1 << 24:
            return Stop(Why.STATE, self.pc)
        if error.errno in (uc.UC_ERR_FETCH_UNMAPPED, uc.UC_ERR_FETCH_PROT):
            return Stop(Why.FETCH, self.pc)
        if self.pc != begin and self._fetch(self.pc - 2) in HINTS:
            return Stop(Why.STOPPED)
        return Stop(Why.UNDEFINED, self.pc)

    def _slept(self) -> Stop | None:
        """Tell a run that ended in WFI from one whose count ended just behind a WFI.

        The first time at a place nobody knows; then the run counts as done (WFI may be a NOP by the
        architecture) and a hook on that WFI knows it the next time.
        """
        before = self.pc - 2
        if self._fetch(before) != WFI:
            return None
        if before not in self._wfi_hooks:
            self._wfi_hooks.add(before)
            self._uc.hook_add(uc.UC_HOOK_CODE, self._on_wfi, begin=before, end=before)
            self._stale = True
            return None
        return Stop(Why.WFI) if self._waiting else None

    def _step_known(self, pc: int, state: int, code: bytes) -> Stop:
        """Step one instruction whose bytes are known: IT and WFI by hand, the rest by unicorn."""
        it = it_state(state)
        open_ = not it & 15 or holds(it >> 4, state)  # outside an IT block, or in it with its condition true
        if code == WFI and open_:
            self._place(pc + 2, state, advance(it))
            return Stop(Why.WFI)
        if not it & 15 and begins_it(code):
            self._place(pc + 2, state, code[0])
            return Stop(Why.DONE)
        if not open_ and code[1] != 0xBE:  # BKPT ignores the condition
            self._place(pc + size(code), state, advance(it))
            return Stop(Why.DONE)
        return self._go(1, pc + size(code))

    def _place(self, pc: int, state: int, it: int) -> None:
        self.write(16, with_it(state, it))
        self._jump(pc)

    def _jump(self, pc: int) -> None:
        """Set the PC and nothing else: unicorn takes bit 0 of a written PC for the T bit."""
        self._uc.reg_write(arm.UC_ARM_REG_PC, pc & ~1 | self.xpsr >> 24 & 1)

    def _fetch(self, address: int) -> bytes | None:
        memory = self.bus.memory_at(address)
        return None if memory is None else bytes(memory.data[address - memory.base : address - memory.base + 2])

    def _refresh(self) -> None:
        if self._stale:
            self._uc.ctl_flush_tb()
            self._stale = False

    def _mend(self) -> None:
        """Put flash cells right that took a plain store which programming would not have done."""
        for address, cells in self._repair:
            memory = self.bus.memory_at(address)
            if memory is not None:
                memory.data[address - memory.base : address - memory.base + len(cells)] = cells
        self._repair.clear()

    def _end(self, stop: Stop, finish: bool) -> None:
        if self._finishing:
            return
        self._stop, self._again = stop, finish
        self._uc.emu_stop()

    def _breakpoints(self) -> set[int]:
        return {key[1] for key in self._hooks if isinstance(key, tuple)}

    def _hook(self, key: object, kind: int, call: Callable[..., Any], begin: int, end: int) -> None:
        self._hooks[key] = self._uc.hook_add(kind, call, begin=begin, end=end)
        self._stale = True

    def _unhook(self, key: object) -> None:
        self._uc.hook_del(self._hooks.pop(key))
        self._stale = True

    # ---- callbacks of unicorn ----

    def _reader(self, base: int) -> Callable[[Any, int, int, Any], int]:
        def read(_uc: Any, offset: int, size: int, _data: Any) -> int:
            try:
                return self.bus.read(base + offset, size)
            except BusError as fault:
                self._end(Stop(Why.DATA, fault.address), finish=False)
                return 0

        return read

    def _writer(self, base: int) -> Callable[[Any, int, int, int, Any], None]:
        def write(_uc: Any, offset: int, size: int, value: int, _data: Any) -> None:
            if self._finishing:
                return  # this very store was done before emu_stop cut the instruction short
            try:
                self.bus.write(base + offset, size, value)
            except BusError as fault:
                self._end(Stop(Why.DATA, fault.address), finish=False)

        return write

    def _on_flash_write(self, _uc: Any, _access: int, address: int, size: int, value: int, _data: Any) -> bool:
        """Program flash. unicorn stores `value` when this returns; what that leaves wrong is mended behind it."""
        memory = self.bus.memory_at(address)
        if memory is None or memory.programmer is None or self._finishing:
            return memory is not None
        at = address - memory.base
        old, new = bytes(memory.data[at : at + size]), (value & (1 << 8 * size) - 1).to_bytes(size, "little")
        try:
            cells = nor(old, new) if memory.programmer.program(address, size, value) else old
        except BusError:
            self._repair.append((address, old))
            self._end(Stop(Why.DATA, address), finish=False)
            return True
        if cells != new:
            self._repair.append((address, cells))
            self.stop()
        return True

    def _on_interrupt(self, _uc: Any, number: int, _data: Any) -> None:
        self._end(Stop(Why[_INTERRUPTS.get(number, "UNDEFINED")], self.pc), finish=False)

    def _on_unmapped(self, _uc: Any, access: int, address: int, _size: int, _value: int, _data: Any) -> bool:
        if self._stop is None:
            self._stop = Stop(Why.FETCH if access == uc.UC_MEM_FETCH_UNMAPPED else Why.DATA, address)
        return False

    def _on_break(self, _uc: Any, address: int, _size: int, _data: Any) -> None:
        self._end(Stop(Why.BREAKPOINT, address), finish=False)

    def _on_watch(self, _uc: Any, _access: int, address: int, _size: int, _value: int, _data: Any) -> None:
        self._end(Stop(Why.WATCHPOINT, address), finish=True)

    def _on_wfi(self, _uc: Any, _address: int, _size: int, _data: Any) -> None:
        self._waiting = True


_MASKS = (arm.UC_ARM_REG_CONTROL, arm.UC_ARM_REG_FAULTMASK, arm.UC_ARM_REG_BASEPRI, arm.UC_ARM_REG_PRIMASK)
