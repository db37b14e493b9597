"""One simulated board: the cores of its chip with what belongs to each, power and the NRST pin."""

from __future__ import annotations

from importlib import resources

from ocdsup.sim.boards import BoardSpec
from ocdsup.sim.bus import BusError
from ocdsup.sim.core import Core
from ocdsup.sim.domain import Domain
from ocdsup.sim.scs import BASE as PPB
from ocdsup.sim.scs import SIZE as PPB_SIZE


class Board:
    """The state of a board; every method that depends on time gets `now` in monotonic seconds.

    `domains` is what its access ports lead to, one for each core; `core`, `flash` and so on are those of the first.
    """

    def __init__(self, spec: BoardSpec, image: bytes | None = None) -> None:
        self.spec = spec
        self.boots = 0
        self.nrst_low = False
        start = demo_image(spec) if image is None else image
        self.domains = tuple(Domain(spec, start, self.reset) for _ in range(spec.cores))
        first = self.domains[0]
        self.core, self.private = first.core, first.private
        self.flash, self.flash_memory = first.flash, first.flash_memory
        self.power_cycle()

    @property
    def cores(self) -> tuple[Core, ...]:
        """Every core, in the order of the access ports."""
        return tuple(domain.core for domain in self.domains)

    # ---- power and reset ----

    def power_cycle(self) -> None:
        """Take the supply away and back: memories in RAM and all debug state are gone."""
        for domain in self.domains:
            domain.power_on()
        self._boot()

    def reset(self) -> None:
        """A system reset of the chip (SYSRESETREQ of any core); nothing happens while NRST holds it anyway."""
        if not self.nrst_low:
            self._hold()
            self._boot()

    def drive_nrst(self, low: bool) -> None:
        """Pull NRST low or let it go; the cores boot when it rises."""
        was, self.nrst_low = self.nrst_low, low
        if low:
            self._hold()
        elif was:
            self._boot()

    def _hold(self) -> None:
        for domain in self.domains:
            domain.hold()

    def _boot(self) -> None:
        if not self.nrst_low:
            self.boots += 1
            for domain in self.domains:
                domain.boot()

    # ---- the debug port's view: one AHB-AP for each core ----

    def read(self, address: int, size: int, now: float, port: int = 0) -> int:
        """Read 1, 2 or 4 bytes over an AHB-AP; raises BusError where nothing answers."""
        self._reachable(address, False)
        domain = self.domains[port]
        domain.private.at(now)
        return domain.bus.read(address, size)

    def read_block(self, address: int, length: int, now: float, port: int = 0) -> bytes:
        """Read many bytes at once where they lie in one memory; raises BusError otherwise."""
        self._reachable(address, False)
        return self.domains[port].bus.read_block(address, length)

    def write(self, address: int, size: int, value: int, now: float, port: int = 0) -> None:
        """Write 1, 2 or 4 bytes over an AHB-AP; raises BusError where nothing answers."""
        self._reachable(address, True)
        domain = self.domains[port]
        domain.private.at(now)
        domain.bus.write(address, size, value)
        if address < PPB:
            domain.touched()

    def _reachable(self, address: int, write: bool) -> None:
        """While NRST is low the bus matrix is in reset: only the private peripherals answer."""
        if self.nrst_low and not PPB <= address < PPB + PPB_SIZE:
            raise BusError(address, write)


def demo_image(spec: BoardSpec) -> bytes:
    """Return the bytes of the firmware a board is delivered with."""
    return resources.files("ocdsup.sim").joinpath("firmware", f"{spec.firmware}.bin").read_bytes()


def target_file(spec: BoardSpec) -> str:
    """What to give OpenOCD as the target file of a board: a name it finds by itself, or a path into this package."""
    own = resources.files("ocdsup.sim").joinpath(spec.openocd_target)
    return str(own) if own.is_file() else spec.openocd_target
