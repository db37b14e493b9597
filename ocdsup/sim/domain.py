"""What one access port of a chip leads to: a core with its memories, flash and peripherals."""

from __future__ import annotations

from collections.abc import Callable

from ocdsup.sim.boards import BoardSpec
from ocdsup.sim.bus import Bus, Device, Mapped, Memory, Registers
from ocdsup.sim.core import Core
from ocdsup.sim.flash import FlashF1, FlashF4
from ocdsup.sim.peripherals import BitBand, Blocks, Nothing, Rcc
from ocdsup.sim.scs import BASE as PPB
from ocdsup.sim.scs import SIZE as PPB_SIZE
from ocdsup.sim.scs import Identity, PrivateBus

_PERIPHERALS, _PERIPHERALS_SIZE = 0x40000000, 0x100000
_AHB2, _AHB2_SIZE = 0x50000000, 0x61000
_FPU = ((0xE000EF40, 0x10110021), (0xE000EF44, 0x11000011))  # MVFR0, MVFR1 of the Cortex-M4F
_RCC_RESET = {"f4": {0: 0x83, 4: 0x24003010}, "f1": {0: 0x83}}


class Domain:
    """One core of a chip and everything on its own bus."""

    def __init__(self, spec: BoardSpec, image: bytes, on_reset_request: Callable[[], None]) -> None:
        self.spec = spec
        self.bus = Bus()
        cells = bytearray(b"\xff" * spec.flash_size)
        cells[: len(image)] = image
        self.flash_memory = Memory("flash", spec.flash, cells)
        self.bus.memories = self._memories(cells)
        self._add_devices()
        sram = spec.ram[0]
        self.core = Core(self.bus, spec.model, spec.clock_hz, (sram[1], sram[1] + sram[2]))
        self.core.on_reset_request = on_reset_request
        constants = _FPU if spec.model == "m4" else ()
        self.private = PrivateBus(self.core, Identity(spec.cpuid, spec.idcode, constants))
        self._ppb.device = self.private

    # ---- building ----

    def _memories(self, cells: bytearray) -> list[Memory]:
        spec = self.spec
        boot = Memory("boot", 0, cells, Nothing())  # BOOT0 = 0: flash appears at address 0
        rom = Memory("system", spec.system_rom[0], self._signature(), Nothing())
        ram = [Memory(name, base, bytearray(size)) for name, base, size in spec.ram]
        return [*ram, self.flash_memory, boot, rom]

    def _signature(self) -> bytearray:
        spec = self.spec
        rom = bytearray(b"\xff" * spec.system_rom[1])
        size_at, uid_at = spec.flash_size_at - spec.system_rom[0], spec.unique_id_at - spec.system_rom[0]
        rom[size_at : size_at + 2] = (spec.flash_size // 1024).to_bytes(2, "little")
        rom[uid_at : uid_at + 12] = b"ocdsup-sim\x00\x01"
        return rom

    def _add_devices(self) -> None:
        spec = self.spec
        self.flash = self._controller()
        self.flash_memory.programmer = self.flash
        blocks: dict[int, Device] = {
            (spec.flash_registers - _PERIPHERALS) >> 10: self.flash,
            (spec.rcc - _PERIPHERALS) >> 10: Rcc(spec.rcc_cfgr, _RCC_RESET[spec.controller]),
        }
        self._blocks, self._ahb2 = Blocks(blocks), Blocks({})
        self._ppb = Mapped("private", PPB, PPB_SIZE, Registers())
        self.bus.devices = [
            Mapped("peripherals", _PERIPHERALS, _PERIPHERALS_SIZE, self._blocks),
            Mapped("ahb2", _AHB2, _AHB2_SIZE, self._ahb2),
            Mapped("bit-band sram", 0x22000000, BitBand.SIZE, BitBand(self.bus, 0x20000000)),
            Mapped("bit-band peripherals", 0x42000000, BitBand.SIZE, BitBand(self.bus, _PERIPHERALS)),
            self._ppb,
        ]

    def _controller(self) -> FlashF4 | FlashF1:
        if self.spec.controller == "f4":
            return FlashF4(self.spec.flash_sectors, self.flash_memory, self.touched)
        rom = self.bus.memories[-1]
        flash = FlashF1(self.spec.flash_sectors[0], self.flash_memory, rom, self.touched)
        rom.data[0x800:0x810] = FlashF1.OPTIONS
        flash.reset()
        rom.programmer = flash
        return flash

    # ---- life ----

    def touched(self) -> None:
        """Say that memory was changed from outside the core."""
        self.core.cpu.touched()

    def power_on(self) -> None:
        """Begin with empty RAM and without any debug state, in reset."""
        for _, base, size in self.spec.ram:
            memory = self.bus.memory_at(base)
            assert memory is not None
            memory.data[:] = bytes(size)
        self.private.power_on()
        self.core.power_on()
        self.reset_peripherals()

    def hold(self) -> None:
        """Go into reset and stay there."""
        self.core.hold()
        self.reset_peripherals()

    def boot(self) -> None:
        """Leave reset."""
        self.touched()
        self.core.boot()

    def reset_peripherals(self) -> None:
        """Put all peripherals back."""
        self._blocks.reset()
        self._ahb2.reset()
        self.flash.reset()
