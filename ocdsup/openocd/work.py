"""Which commands keep OpenOCD's only thread busy for long: while one runs, its silence says nothing.

OpenOCD answers nobody while a command runs that moves much data or waits (0.10 … master: one thread, blocking drivers). Words
are found anywhere in a line, so that `reset halt; flash …` and `if {1} {program …}` count. To take one too many for long costs
patience with an OpenOCD that hangs in it; to take one too few costs a flash memory that is half written.

Source: OpenOCD User's Guide 0.12, "Flash Commands", "NAND Flash Commands", "Image loading commands", "Boundary Scan Commands";
`program` and its kin are procedures of OpenOCD's own scripts: cpld/jtagspi.cfg, cpld/xilinx-xc7.cfg, target/nrf52.cfg,
tools/firmware-recovery.tcl, board/openrd.cfg, board/sheevaplug.cfg. What a user's own procedure does is measured instead
(`runtime/diligence.py`); `source` and `script` read a file that may do anything.
"""

from __future__ import annotations

import re
from collections.abc import Iterable


def _any_of(*forms: str) -> re.Pattern[str]:
    return re.compile(rf"(?<!\bhelp )(?<!\becho )(?<![\w.])(?:{'|'.join(forms)})(?![\w.])")


# Words that a name of the user's own follows, not a subcommand: `set lock 1` sets a variable, `help lock` explains.
_NAMING = r"set|unset|incr|append|lappend|global|variable|upvar|info|exists|array|dict|proc|return|puts|echo|help|usage"
_WRITES = _any_of(
    r"flash\s+(?:write_\w+|erase_(?:sector|address)|fill[bhwd]|protect)",
    r"nand\s+(?:write|erase)\w*",
    r"program\w*|jtagspi_program|nrf\w*_recover",
    r"flash_(?:part|boot|config|uboot)|erase_part|\w*reflash\w*|flashUBOOT",
    rf"(?<!\bset )(?!(?:{_NAMING})\s)"
    r"\w+\s+(?:mass_erase|chip[_-]erase|lock|unlock|\w*options?_\w*(?:write|load)\w*)(?:\s+\w+)?",
)
_LONG = _any_of(
    r"(?:load|dump|verify|test|fast_load)_image\w*|fast_load|verify_image_checksum",
    r"flash\s+(?:read_\w+|verify_\w+|erase_check)",
    r"nand\s+(?:dump|verify|probe|check_bad_blocks)",
    r"x?svf|pld\s+load|xc\w*_program|zynqpl_program",
    r"source|script",
    r"sleep|wait_halt|profile",
)


def writes_flash(line: str) -> bool:
    """Tell whether a command writes or erases flash memory: it must not be cut off in the middle."""
    return _WRITES.search(line) is not None


def takes_long(lines: Iterable[str]) -> bool:
    """Tell whether OpenOCD may be silent for as long as these commands run."""
    return any(writes_flash(line) or _LONG.search(line) for line in lines)
