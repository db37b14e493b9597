"""The flash controllers: sectors of an STM32F4 (RM0090 chapter 3) and pages of an STM32F1 (PM0075).

Operations finish at once; the BSY bit is never seen.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from itertools import accumulate

from ocdsup.sim.bus import BusError, Memory, narrow, widen

_KEYS = (0x45670123, 0xCDEF89AB)
_OPTION_KEYS = (0x08192A3B, 0x4C5D6E7F)


class Lock:
    """A two-key lock: a wrong key keeps it shut until the next reset."""

    def __init__(self, keys: tuple[int, int]) -> None:
        self._keys = keys
        self.reset()

    def reset(self) -> None:
        """Shut the lock and forgive wrong keys."""
        self.shut, self._stage, self._dead = True, 0, False

    def key(self, value: int) -> None:
        """Try a key."""
        if self._dead or not self.shut or value != self._keys[self._stage]:
            self._dead = self._dead or self.shut
            return
        self._stage += 1
        if self._stage == 2:
            self.shut, self._stage = False, 0

    def close(self) -> None:
        """Shut the lock by its own bit; the keys open it again."""
        self.shut, self._stage = True, 0


class Registers(ABC):
    """What both controllers have at the same places: wait states, two key registers, and errors cleared by writing ones."""

    def __init__(self, keys: tuple[int, int], option_keys: tuple[int, int], changed: Callable[[], None]) -> None:
        self._changed = changed
        self.fail_erase = self.fail_program = False  # fault: ends in a write protection error
        self._lock, self._option_lock = Lock(keys), Lock(option_keys)
        self._acr = self._sr = 0

    def read(self, offset: int, size: int) -> int:
        """Read a register."""
        return narrow(self._word(offset & ~3), offset, size)

    def write(self, offset: int, size: int, value: int) -> None:
        """Write a register."""
        at = offset & ~3
        word = value if size == 4 else widen(self._word(at), offset, size, value)
        match at:
            case 0x00:
                self._acr = word
            case 0x04:
                self._lock.key(word)
            case 0x08:
                self._option_lock.key(word)
            case 0x0C:
                self._sr &= ~word
            case _:
                self._set(at, word)

    @abstractmethod
    def _word(self, at: int) -> int:
        """Return the word at a multiple of four."""

    @abstractmethod
    def _set(self, at: int, word: int) -> None:
        """Write a register that is the controller's own."""


class FlashF4(Registers):
    """Registers at 0x40023C00; erases sectors, programs bytes to words as PSIZE says."""

    OPTCR = 0x0FFFAAED  # factory state: nothing protected, RDP level 0
    _WRPERR, _PGPERR, _PGSERR = 1 << 4, 1 << 6, 1 << 7

    def __init__(self, sectors: tuple[int, ...], cells: Memory, changed: Callable[[], None]) -> None:
        self._sectors = tuple(zip(accumulate(sectors, initial=0), sectors, strict=False))
        self._cells = cells
        self.options = self.OPTCR & ~3
        super().__init__(_KEYS, _OPTION_KEYS, changed)
        self.reset()

    def reset(self) -> None:
        """A system reset: locked, no errors; the option bytes keep their values."""
        self._lock.reset()
        self._option_lock.reset()
        self._acr = self._sr = self._cr = 0
        self._optcr = self.options

    def _word(self, at: int) -> int:
        match at:
            case 0x00:
                return self._acr
            case 0x0C:
                return self._sr
            case 0x10:
                return self._cr | self._lock.shut << 31
            case 0x14:
                return self._optcr | self._option_lock.shut
        return 0

    def _set(self, at: int, word: int) -> None:
        match at:
            case 0x10 if not self._lock.shut:
                self._control(word)
            case 0x14 if not self._option_lock.shut:
                self._options(word)

    def _control(self, word: int) -> None:
        self._cr = word & 0x0300007F | word & 0x300
        if word >> 31:
            self._lock.close()
        if word >> 16 & 1:
            self._erase(word)

    def _erase(self, word: int) -> None:
        if word & 4:
            chosen = range(len(self._sectors))
        elif word & 2:
            chosen = range(word >> 3 & 15, (word >> 3 & 15) + 1)
        else:
            self._sr |= self._PGSERR
            return
        if self.fail_erase or any(n >= len(self._sectors) or self._protected(n) for n in chosen):
            self._sr |= self._WRPERR
            return
        for n in chosen:
            start, size = self._sectors[n]
            self._cells.data[start : start + size] = b"\xff" * size
        self._changed()

    def _options(self, word: int) -> None:
        self._optcr = word & 0x0FFFFFEC
        if word & 2:
            self.options = self._optcr
        if word & 1:
            self._option_lock.close()

    def _protected(self, sector: int) -> bool:
        return not self.options >> 16 + sector & 1

    def program(self, address: int, size: int, value: int) -> bool:
        """Return whether the store is a legal programming operation; sets the error flags if not."""
        offset = address - self._cells.base
        sector = next(n for n, (start, length) in enumerate(self._sectors) if start <= offset < start + length)
        if self._lock.shut or not self._cr & 1:
            self._sr |= self._PGSERR
        elif self.fail_program or self._protected(sector):
            self._sr |= self._WRPERR
        elif size != 1 << min(self._cr >> 8 & 3, 2):
            self._sr |= self._PGPERR
        else:
            self._changed()
            return True
        return False


class FlashF1(Registers):
    """Registers at 0x40022000; erases pages of 1 KiB, programs halfwords into erased cells."""

    _PGERR, _WRPRTERR, _EOP = 1 << 2, 1 << 4, 1 << 5
    _OPTIONS_AT = 0x800  # 0x1FFFF800 in the system memory that begins at 0x1FFFF000
    OPTIONS = bytes.fromhex("a55aff00ff00ff00ff00ff00ff00ff00")  # each byte beside its complement

    def __init__(self, page: int, cells: Memory, system: Memory, changed: Callable[[], None]) -> None:
        self._page, self._cells, self._system = page, cells, system
        super().__init__(_KEYS, _KEYS, changed)
        self.reset()

    def reset(self) -> None:
        """A system reset: locked, no errors, protection loaded from the option bytes."""
        self._lock.reset()
        self._option_lock.reset()
        self._acr, self._sr, self._cr, self._ar = 0x30, 0, 0, 0
        options = self._system.data[self._OPTIONS_AT : self._OPTIONS_AT + 16]
        self._wrpr = int.from_bytes(options[8:16:2], "little")
        secret = options[0]
        self._obr = 0x03FFFFFC | (secret != 0xA5) << 1

    def _word(self, at: int) -> int:
        control = self._cr | self._lock.shut << 7 | (not self._option_lock.shut) << 9
        values = {0: self._acr, 0xC: self._sr, 0x10: control, 0x14: self._ar, 0x1C: self._obr, 0x20: self._wrpr}
        return values.get(at, 0)

    def _set(self, at: int, word: int) -> None:
        match at:
            case 0x10 if not self._lock.shut:
                self._control(word)
            case 0x14:
                self._ar = word

    def _control(self, word: int) -> None:
        self._cr = word & 0x37
        if word & 0x80:
            self._lock.close()
        if not word & 0x200:
            self._option_lock.close()
        if word & 0x40:
            self._erase(word)

    def _erase(self, word: int) -> None:
        offset = self._ar - self._cells.base
        if self.fail_erase:
            self._sr |= self._WRPRTERR
            return
        if word & 0x20 and not self._option_lock.shut:
            self._system.data[self._OPTIONS_AT : self._OPTIONS_AT + 16] = b"\xff" * 16
        elif word & 4 and not self._protected(range(len(self._cells.data) // self._page)):
            self._cells.data[:] = b"\xff" * len(self._cells.data)
        elif word & 2 and 0 <= offset < len(self._cells.data) and not self._protected([offset // self._page]):
            start = offset // self._page * self._page
            self._cells.data[start : start + self._page] = b"\xff" * self._page
        else:
            self._sr |= self._WRPRTERR
            return
        self._sr |= self._EOP
        self._changed()

    def _protected(self, pages: list[int] | range) -> bool:
        return any(not self._wrpr >> min(page // 4, 31) & 1 for page in pages)

    def program(self, address: int, size: int, value: int) -> bool:
        """Return whether the store is a legal programming operation; sets the error flags if not."""
        if size != 2:
            raise BusError(address, True)  # PM0075 2.3.3: anything but a halfword is a bus error
        if not self._cells.base <= address < self._cells.end:
            return self._program_option(address)
        offset = address - self._cells.base
        old = int.from_bytes(self._cells.data[offset : offset + 2], "little")
        if self._lock.shut or not self._cr & 1:
            return False
        if self.fail_program or self._protected([offset // self._page]):
            self._sr |= self._WRPRTERR
        elif old != 0xFFFF and value:
            self._sr |= self._PGERR
        else:
            self._sr |= self._EOP
            self._changed()
            return True
        return False

    def _program_option(self, address: int) -> bool:
        if self._lock.shut or self._option_lock.shut or not self._cr & 0x10:
            return False
        at = address - self._system.base
        if not self._OPTIONS_AT <= at < self._OPTIONS_AT + 16:
            raise BusError(address, True)
        self._sr |= self._EOP
        return self._system.data[at : at + 2] == b"\xff\xff"
