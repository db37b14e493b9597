"""One simulated board: core, memories, flash, power and the NRST pin."""

from __future__ import annotations

from importlib import resources

from ocdsup.sim.boards import BoardSpec
from ocdsup.sim.bus import Bus, BusError, Device, Mapped, Memory, Registers
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


class Board:
    """The state of a board; every method that depends on time gets `now` in monotonic seconds."""

    def __init__(self, spec: BoardSpec, image: bytes | None = None) -> None:
        self.spec = spec
        self.boots = 0
        self.nrst_low = False
        self._bus = Bus()
        cells = bytearray(b"\xff" * spec.flash_size)
        start = demo_image(spec) if image is None else image
        cells[: len(start)] = start
        self.flash_memory = Memory("flash", spec.flash, cells)
        self._bus.memories = self._memories(cells)
        self._add_devices()
        sram = spec.ram[0]
        self.core = Core(self._bus, spec.model, spec.clock_hz, (sram[1], sram[1] + sram[2]))
        self.core.on_reset_request = self.reset
        constants = _FPU if spec.model == "m4" else ()
        self.private = PrivateBus(self.core, Identity(spec.cpuid, spec.idcode, constants))
        self._ppb.device = self.private
        self.power_cycle()

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
        self._bus.devices = [
            Mapped("peripherals", _PERIPHERALS, _PERIPHERALS_SIZE, self._blocks),
            Mapped("ahb2", _AHB2, _AHB2_SIZE, self._ahb2),
            Mapped("bit-band sram", 0x22000000, BitBand.SIZE, BitBand(self._bus, 0x20000000)),
            Mapped("bit-band peripherals", 0x42000000, BitBand.SIZE, BitBand(self._bus, _PERIPHERALS)),
            self._ppb,
        ]

    def _controller(self) -> FlashF4 | FlashF1:
        if self.spec.controller == "f4":
            return FlashF4(self.spec.flash_sectors, self.flash_memory, self._touched)
        rom = self._bus.memories[-1]
        flash = FlashF1(self.spec.flash_sectors[0], self.flash_memory, rom, self._touched)
        rom.data[0x800:0x810] = FlashF1.OPTIONS
        flash.reset()
        rom.programmer = flash
        return flash

    def _touched(self) -> None:
        self.core.cpu.touched()

    # ---- power and reset ----

    def power_cycle(self) -> None:
        """Take the supply away and back: memories in RAM and all debug state are gone."""
        for name, base, size in self.spec.ram:
            memory = self._bus.memory_at(base)
            assert memory is not None, name
            memory.data[:] = bytes(size)
        self.private.power_on()
        self.core.power_on()
        self._reset_peripherals()
        self._boot()

    def reset(self) -> None:
        """A system reset of the chip (SYSRESETREQ); nothing happens while NRST holds it anyway."""
        if not self.nrst_low:
            self.core.hold()
            self._reset_peripherals()
            self._boot()

    def drive_nrst(self, low: bool) -> None:
        """Pull NRST low or let it go; the core boots when it rises."""
        was, self.nrst_low = self.nrst_low, low
        if low:
            self.core.hold()
            self._reset_peripherals()
        elif was:
            self._boot()

    def _boot(self) -> None:
        if not self.nrst_low:
            self.boots += 1
            self._touched()
            self.core.boot()

    def _reset_peripherals(self) -> None:
        self._blocks.reset()
        self._ahb2.reset()
        self.flash.reset()

    # ---- the debug port's view: AHB-AP 0 ----

    def read(self, address: int, size: int, now: float) -> int:
        """Read 1, 2 or 4 bytes over the AHB-AP; raises BusError where nothing answers."""
        self._reachable(address, False)
        self.private.at(now)
        return self._bus.read(address, size)

    def read_block(self, address: int, length: int, now: float) -> bytes:
        """Read many bytes at once where they lie in one memory; raises BusError otherwise."""
        self._reachable(address, False)
        return self._bus.read_block(address, length)

    def write(self, address: int, size: int, value: int, now: float) -> None:
        """Write 1, 2 or 4 bytes over the AHB-AP; raises BusError where nothing answers."""
        self._reachable(address, True)
        self.private.at(now)
        self._bus.write(address, size, value)
        if address < PPB:
            self._touched()

    def _reachable(self, address: int, write: bool) -> None:
        """While NRST is low the bus matrix is in reset: only the private peripherals answer."""
        if self.nrst_low and not PPB <= address < PPB + PPB_SIZE:
            raise BusError(address, write)


def demo_image(spec: BoardSpec) -> bytes:
    """Return the bytes of the firmware a board is delivered with."""
    return resources.files("ocdsup.sim").joinpath("firmware", f"{spec.firmware}.bin").read_bytes()
