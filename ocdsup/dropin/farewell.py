"""What a client of the drop-in's ports sends to end OpenOCD: it ends the drop-in, which is all the client knows of OpenOCD."""

from __future__ import annotations

import re

from ocdsup.dropin.ending import tells_end

_MONITOR = re.compile(rb"\$qRcmd,([0-9a-fA-F]*)#")
_TELNET = re.compile(rb"\xff[\xfb-\xfe].|\xff.|[^\x20-\x7e]", re.DOTALL)
# What is kept of a command that has not ended yet; a longer one is no `shutdown`. GDB sends no more than a packet of 16 KiB.
_LONGEST = 32768
_TCL_END, _LINE_END = b"\x1a", b"\n"


class Farewell:
    """Watches one connection, in the direction from the client; `service` is `gdb`, `telnet` or `tcl`."""

    def __init__(self, service: str) -> None:
        self._service = service
        self._rest = b""

    def hears(self, data: bytes) -> bool:
        """Take what comes next; return whether it completes a command that ends OpenOCD, and so must not be passed on."""
        match self._service:
            case "gdb":
                return self._monitor(data)
            case "telnet":
                return any(_first_word(line) == "shutdown" for line in self._complete(data, _LINE_END))
            case _:
                return any(tells_end(command.decode("utf-8", "replace")) for command in self._complete(data, _TCL_END))

    def _complete(self, data: bytes, end: bytes) -> list[bytes]:
        *whole, rest = (self._rest + data).split(end)
        self._rest = rest[:_LONGEST]
        return whole

    def _monitor(self, data: bytes) -> bool:
        """`monitor` lines; a `$` or `#` inside of a packet is escaped (GDB manual, Overview of the remote protocol)."""
        seen = self._rest + data
        start = seen.rfind(b"$")
        self._rest = seen[start:][:_LONGEST] if start >= 0 and b"#" not in seen[start:] else b""
        return any(tells_end(_unhexed(found[1])) for found in _MONITOR.finditer(seen))


def _unhexed(text: bytes) -> str:
    return bytes.fromhex(text[: len(text) // 2 * 2].decode()).decode("utf-8", "replace")


def _first_word(line: bytes) -> str:
    return next(iter(_TELNET.sub(b"", line).decode().split()), "").rstrip(";")
