"""One simulated probe: identity, ST-LINK, board, faults, and who has it open."""

from __future__ import annotations

from ocdsup.sim.board import Board
from ocdsup.sim.boards import BoardSpec
from ocdsup.sim.core import Core
from ocdsup.sim.faults import FAULTS, FaultError, Faults
from ocdsup.sim.journal import Journal
from ocdsup.sim.stlink import StLink

VID, PID = 0x0483, 0x374B
DEFAULT_SERIAL = "0CD50B5100000000000000A1"
_IDLE = 0.5  # seconds between slices of the core while nobody has the probe open


class Probe:
    """A probe with its board; `now` is monotonic seconds."""

    def __init__(self, serial: str, spec: BoardSpec, now: float, image: bytes | None = None, pid: int = PID) -> None:
        self.serial, self.vid, self.pid = serial, VID, pid
        self.board = Board(spec, image)
        self.faults = Faults()
        self.journal = Journal(now)
        self.stlink = StLink(pid, self.board, self.faults, self.journal)
        self.handle: int | None = None  # connect id of the client that has it open

    @property
    def present(self) -> bool:
        """Whether the probe is on the USB."""
        return "unplugged" not in self.faults

    @property
    def hung(self) -> bool:
        """Whether requests stay unanswered."""
        return "hang" in self.faults

    def open(self, handle: int, now: float) -> bool:
        """Open the probe for one client; return False while another one has it."""
        if self.handle is not None or not self.present:
            return False
        self.handle = handle
        self.journal.note(now, "open")
        return True

    def close(self, now: float) -> None:
        """Free the probe. NRST stays as it was driven: a real ST-LINK keeps it low too."""
        if self.handle is not None:
            self.handle = None
            self.journal.note(now, "close")

    def transfer(self, command: bytes, data: bytes, size: int, now: float) -> bytes | None:
        """Carry out one USB transfer; None is a USB error, whose status `usb_status` gives."""
        if "usb-error" in self.faults:
            self.journal.count("usb-error")
            return None
        return self.stlink.execute(command, data, size, now)

    @property
    def usb_status(self) -> int:
        """The stlink-server status of a failing transfer."""
        return int(self.faults.option("usb-error", "status") or 0)

    # ---- faults and buttons ----

    def break_(self, name: str, options: dict[str, object], now: float) -> dict[str, float | None]:
        """Put a fault into force; raises FaultError."""
        chosen = self.faults.begin(name, options, self.board)
        self.journal.note(now, f"fault {name}")
        if name == "unplugged":
            self.handle = None
            self.stlink.reset()
            self.board.drive_nrst(False)
        if name == "nrst-unwired":
            self.board.drive_nrst(False)
        return chosen

    def heal(self, name: str | None, now: float) -> list[str]:
        """End one fault or all; raises FaultError."""
        ended = self.faults.heal(name, self.board)
        for each in ended:
            self.journal.note(now, f"heal {each}")
        return ended

    def press_reset(self, now: float) -> None:
        """Press and release the board's reset button."""
        self.journal.note(now, "button reset")
        low = self.board.nrst_low
        self.board.drive_nrst(True)
        self.board.drive_nrst(low)

    def power_cycle(self, now: float) -> None:
        """Take the board's supply away and back."""
        self.journal.note(now, "power cycle")
        self.board.power_cycle()

    # ---- time ----

    def advance(self, now: float) -> None:
        """Let the board live up to `now`."""
        for core in self.board.cores:
            core.advance(now)

    def wake_in(self) -> float | None:
        """Return after how many seconds `advance` should be called; None while nothing moves."""
        delays = [delay for core in self.board.cores if (delay := core.wake_in()) is not None]
        if not delays:
            return None
        delay = min(delays)
        return delay if self.handle is not None else max(delay, _IDLE)

    def status(self, now: float) -> dict[str, object]:
        """Return the state of probe and board for the control socket."""
        core = self.board.core
        return {
            "serial": self.serial,
            "vid_pid": f"{self.vid:04x}:{self.pid:04x}",
            "board": self.board.spec.name,
            "present": self.present,
            "open": self.handle is not None,
            "nrst": "low" if self.board.nrst_low else "high",
            "core": _state(core),
            "cores": [_state(each) for each in self.board.cores],
            "pc": f"0x{core.cpu.pc:08x}",
            "boots": self.board.boots,
            "uptime_s": round(core.uptime(now), 3),
            "faults": {name: fault.options for name, fault in self.faults.active.items()},
        }


def _state(core: Core) -> str:
    if core.running and core.sleeping:
        return "sleeping"
    return "reset" if core.held else "halted" if core.halted else "lockup" if core.lockup else "running"


__all__ = ["DEFAULT_SERIAL", "FAULTS", "PID", "VID", "FaultError", "Probe"]
