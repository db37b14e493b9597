"""The peripherals a debugger or start-up code touches: clock control, bit-banding, and plain registers."""

from __future__ import annotations

from ocdsup.sim.bus import Bus, BusError, Device, Registers, narrow

_READY = {0: 1, 16: 17, 24: 25, 26: 27}  # RCC_CR: oscillator on -> ready


class Rcc(Registers):
    """Reset and clock control whose oscillators are ready at once (RM0090 7.3, RM0008 7.3)."""

    def __init__(self, cfgr: int, reset: dict[int, int]) -> None:
        super().__init__(reset)
        self._cfgr = cfgr

    def read(self, offset: int, size: int) -> int:
        """Read a register; ready and switch-status bits follow their requests."""
        word = self.words.get(offset & ~3, 0)
        if offset & ~3 == 0:
            for on, ready in _READY.items():
                word = word & ~(1 << ready) | (word >> on & 1) << ready
        elif offset & ~3 == self._cfgr:
            word = word & ~0xC | (word & 3) << 2
        return narrow(word, offset, size)


class Blocks:
    """A peripheral region in blocks of 1 KiB; a block without a device of its own holds plain registers."""

    def __init__(self, devices: dict[int, Device]) -> None:
        self._devices = devices
        self._plain = Registers()

    def reset(self) -> None:
        """Put the plain registers and the clock control back; the flash controller resets itself."""
        self._plain.reset()
        for device in self._devices.values():
            if isinstance(device, Registers):
                device.reset()

    def read(self, offset: int, size: int) -> int:
        """Read from the block of `offset`."""
        device = self._devices.get(offset >> 10)
        return self._plain.read(offset, size) if device is None else device.read(offset & 0x3FF, size)

    def write(self, offset: int, size: int, value: int) -> None:
        """Write into the block of `offset`."""
        device = self._devices.get(offset >> 10)
        if device is None:
            self._plain.write(offset, size, value)
        else:
            device.write(offset & 0x3FF, size, value)


class BitBand:
    """The alias in which every word is one bit of a 1 MiB region (ARMv7-M: 0x22000000, 0x42000000)."""

    SIZE = 0x2000000

    def __init__(self, bus: Bus, region: int) -> None:
        self._bus, self._region = bus, region

    def read(self, offset: int, size: int) -> int:
        """Read a bit; raises BusError where the region has nothing."""
        return self._bus.read(self._region + (offset >> 5), 1) >> (offset >> 2 & 7) & 1

    def write(self, offset: int, size: int, value: int) -> None:
        """Write a bit by reading and writing the byte that holds it."""
        at, bit = self._region + (offset >> 5), 1 << (offset >> 2 & 7)
        old = self._bus.read(at, 1)
        self._bus.write(at, 1, old | bit if value & 1 else old & ~bit)


class Nothing:
    """A programmer for memory that cannot be written, such as system ROM."""

    def program(self, address: int, size: int, value: int) -> bool:
        """Refuse the write with a bus fault."""
        raise BusError(address, True)
