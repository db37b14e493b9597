"""The private peripheral bus as registers: SCS, FPB, DWT, DBGMCU and the ROM table.

Addresses and bits: ARMv7-M Architecture Reference Manual B3.2 and C1.6; DBGMCU: RM0090 38.16.
"""

from __future__ import annotations

from dataclasses import dataclass

from ocdsup.sim.bus import narrow, widen
from ocdsup.sim.core import Core

BASE, SIZE = 0xE0000000, 0x100000
DHCSR, DCRSR, DCRDR, DEMCR, AIRCR = 0xE000EDF0, 0xE000EDF4, 0xE000EDF8, 0xE000EDFC, 0xE000ED0C
_SYSTEM = {0xD08: "vtor", 0xD10: "scr", 0xD14: "ccr", 0xD34: "mmfar", 0xD38: "bfar", 0xD88: "cpacr"}
_STICKY = {0xD28: "cfsr", 0xD2C: "hfsr"}  # writing 1 clears
_SET_CLEAR = {0x100: ("enabled", True), 0x180: ("enabled", False), 0x200: ("pending", True), 0x280: ("pending", False)}


@dataclass(frozen=True, slots=True)
class Identity:
    """The constants by which debuggers recognise the part."""

    cpuid: int
    idcode: int  # DBGMCU_IDCODE
    constants: tuple[tuple[int, int], ...] = ()  # further read-only words: (address, value)


class PrivateBus:
    """The device at 0xE0000000 of a Cortex-M part."""

    def __init__(self, core: Core, identity: Identity) -> None:
        self._core = core
        self._fixed = {0xD00: identity.cpuid, 0x004: 2, 0xD40: 0x30, 0xD44: 0x200}
        self._constants = dict(identity.constants) | {0xE0042000: identity.idcode} | _rom_table()
        self.dbgmcu: dict[int, int] = {}
        self._now = 0.0

    def at(self, now: float) -> None:
        """Note the time of the accesses that follow; a resume starts the core's clock there."""
        self._now = now

    def power_on(self) -> None:
        """Clear what only loses power: the DBGMCU registers."""
        self.dbgmcu.clear()

    def read(self, offset: int, size: int) -> int:
        """Read 1, 2 or 4 bytes of a register."""
        return narrow(self._word(offset & ~3), offset, size)

    def write(self, offset: int, size: int, value: int) -> None:
        """Write 1, 2 or 4 bytes of a register."""
        word = offset & ~3
        if size < 4:
            value = widen(self._word(word), offset, size, value)
        match word >> 12:
            case 0x1:
                self._core.dwt.write(word & 0xFFF, value)
                self._rearm()
            case 0x2:
                self._core.fpb.write(word & 0xFFF, value)
                self._rearm()
            case 0xE:
                self._write_scs(word & 0xFFF, value)
            case 0x42 if word & 0xFFF:
                self.dbgmcu[word & 0xFFF] = value

    def _rearm(self) -> None:
        self._core.arm()
        self._core.changed()

    def _word(self, offset: int) -> int:
        if BASE + offset in self._constants:
            return self._constants[BASE + offset]
        match offset >> 12:
            case 0x1:
                return self._core.dwt.read(offset & 0xFFF)
            case 0x2:
                return self._core.fpb.read(offset & 0xFFF)
            case 0xE:
                return self._read_scs(offset & 0xFFF)
            case 0x42:
                return self.dbgmcu.get(offset & 0xFFF, 0)
        return 0

    # ---- system control space ----

    def _read_scs(self, at: int) -> int:
        core = self._core
        if at in self._fixed:
            return self._fixed[at]
        if at in _SYSTEM or at in _STICKY:
            return int(getattr(core.system, (_SYSTEM | _STICKY)[at]))
        match at:
            case 0xD04:
                return core.nvic.icsr(core.cpu.xpsr & 0x1FF)
            case 0xD0C:
                return 0xFA050000 | core.nvic.group << 8
            case 0xD24:
                return core.nvic.shcsr()
            case 0xD30:
                return core.debug.dfsr
            case 0xDF0:
                return self._dhcsr()
            case 0xDF8:
                return core.debug.dcrdr
            case 0xDFC:
                return core.debug.demcr
        return self._read_nvic(at)

    def _read_nvic(self, at: int) -> int:
        core = self._core
        if 0x010 <= at < 0x020:
            return core.systick.read(at - 0x010)
        for first in (0x100, 0x180, 0x200, 0x280):
            if first <= at < first + 12:
                return core.nvic.bits("enabled" if first < 0x200 else "pending", (at - first) // 4)
        if 0x300 <= at < 0x30C:
            return core.nvic.bits("active", (at - 0x300) // 4)
        if 0x400 <= at < 0x460:
            return core.nvic.priorities(16 + at - 0x400)
        if 0xD18 <= at < 0xD24:
            return core.nvic.priorities(4 + at - 0xD18)
        return 0

    def _write_scs(self, at: int, value: int) -> None:
        core = self._core
        if at in _SYSTEM:
            setattr(core.system, _SYSTEM[at], value & ~0x7F if at == 0xD08 else value)
        elif at in _STICKY:
            setattr(core.system, _STICKY[at], getattr(core.system, _STICKY[at]) & ~value)
        elif at in _DEBUG_WRITES:
            _DEBUG_WRITES[at](self, value)
        else:
            self._write_nvic(at, value)
            core.changed()

    def _write_nvic(self, at: int, value: int) -> None:
        core = self._core
        if 0x010 <= at < 0x020:
            core.systick.write(at - 0x010, value)
        elif 0x400 <= at < 0x460:
            core.nvic.set_priorities(16 + at - 0x400, value)
        elif 0xD18 <= at < 0xD24:
            core.nvic.set_priorities(4 + at - 0xD18, value)
        elif at == 0xD04:
            core.nvic.set_icsr(value)
        elif at == 0xD24:
            core.nvic.set_shcsr(value)
        elif at == 0xF00:
            core.nvic.set_bits("pending", (value & 0x1FF) // 32, 1 << (value & 31), True)
        for first, (which, on) in _SET_CLEAR.items():
            if first <= at < first + 12:
                core.nvic.set_bits(which, (at - first) // 4, value, on)

    def _write_aircr(self, value: int) -> None:
        if value >> 16 != 0x05FA:
            return
        self._core.nvic.group = value >> 8 & 7
        if value & 4:
            self._core.request_reset()
        elif value & 1 and self._core.halted:
            self._core.reset()  # VECTRESET: the core alone, only from debug state

    # ---- debug control block ----

    def _dhcsr(self) -> int:
        core, debug = self._core, self._core.debug
        value = debug.enabled | core.halted << 1 | debug.step << 2 | debug.mask_interrupts << 3 | 1 << 16
        value |= core.halted << 17 | core.sleeping << 18 | core.lockup << 19
        value |= (debug.retired or (core.running and not core.sleeping)) << 24 | (debug.reset_seen or core.held) << 25
        debug.retired = debug.reset_seen = False
        return value

    def _write_dhcsr(self, value: int) -> None:
        if value >> 16 != 0xA05F:
            return
        core, debug = self._core, self._core.debug
        debug.enabled, wants_halt = bool(value & 1), bool(value & 2 and value & 1)
        debug.step, debug.mask_interrupts = bool(value & 4), bool(value & 8)
        core.arm()
        if core.held:
            return
        if wants_halt and not core.halted:
            core.halt(1)
        elif core.halted and not wants_halt:
            if debug.enabled and debug.step:
                core.step()
            else:
                core.resume(self._now)

    def _write_dcrsr(self, value: int) -> None:
        core, number = self._core, value & 0x7F
        if value & 1 << 16:
            core.cpu.write(number, core.debug.dcrdr)
        else:
            core.debug.dcrdr = core.cpu.read(number)

    def _write_dcrdr(self, value: int) -> None:
        self._core.debug.dcrdr = value

    def _write_demcr(self, value: int) -> None:
        self._core.debug.demcr = value

    def _write_dfsr(self, value: int) -> None:
        self._core.debug.dfsr &= ~value


_DEBUG_WRITES = {
    0xD0C: PrivateBus._write_aircr,
    0xD30: PrivateBus._write_dfsr,
    0xDF0: PrivateBus._write_dhcsr,
    0xDF4: PrivateBus._write_dcrsr,
    0xDF8: PrivateBus._write_dcrdr,
    0xDFC: PrivateBus._write_demcr,
}


def _rom_table() -> dict[int, int]:
    """Return the CoreSight ROM table of a Cortex-M3/M4 part and the component IDs it leads to."""
    table = 0xE00FF000
    entries = (0xFFF0F003, 0xFFF02003, 0xFFF03003, 0xFFF01003, 0xFFF41003, 0xFFF42002, 0)
    words = {table + 4 * n: word for n, word in enumerate(entries)}
    words[table + 0xFCC] = 1
    words |= _component(table, 0x000A0411, 0x10)  # ST, part of the chip
    for base, part in ((0xE000E000, 0x0C), (0xE0001000, 0x02), (0xE0002000, 0x03), (0xE0000000, 0x01)):
        words |= _component(base, 0x000BB000 | part, 0xE0)
    return words


def _component(base: int, peripheral: int, kind: int) -> dict[int, int]:
    """Return the PIDR and CIDR words of a CoreSight component (ARM IHI 0029)."""
    pid = {base + 0xFE0 + 4 * n: peripheral >> 8 * n & 0xFF for n in range(4)}
    cid = {base + 0xFF0 + 4 * n: word for n, word in enumerate((0x0D, kind, 0x05, 0xB1))}
    return pid | {base + 0xFD0: 0x04} | cid
