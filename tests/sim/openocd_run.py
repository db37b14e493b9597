"""One real OpenOCD on a simulated probe, as the tests use it."""

from __future__ import annotations

import asyncio
import signal
from contextlib import suppress
from typing import Self

PATIENCE = 20.0  # seconds: only a broken run gets there


class OpenOcd:
    """One real OpenOCD on a simulated probe; collects its log lines."""

    def __init__(self, port: int, mode: str, *commands: str, target: str = "stm32f4x") -> None:
        self.lines: list[str] = []
        self._argv = ["openocd", *_interface(port, mode), "-f", target if target.endswith(".cfg") else f"target/{target}.cfg"]
        for command in ("gdb_port 0", "telnet_port 0", "tcl_port 0", *commands):
            self._argv += ["-c", command]
        self._news = asyncio.Event()

    async def __aenter__(self) -> Self:
        self.process = await asyncio.create_subprocess_exec(
            *self._argv, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE, stdin=asyncio.subprocess.DEVNULL
        )
        self._drain = asyncio.create_task(self._read())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()
        await self._drain

    async def _read(self) -> None:
        assert self.process.stderr is not None
        async for raw in self.process.stderr:
            self.lines.append(raw.decode(errors="replace").rstrip("\n"))
            self._news.set()
        self._news.set()

    async def line(self, text: str, after: int = 0) -> int:
        """Wait for a line that contains `text`; return the number of lines up to and with it."""
        async with asyncio.timeout(PATIENCE):
            while not (found := [number for number, line in enumerate(self.lines, 1) if number > after and text in line]):
                assert not self._drain.done(), f"{text!r} never came; OpenOCD said:\n" + "\n".join(self.lines)
                self._news.clear()
                await self._news.wait()
        return found[0]

    async def exit(self) -> int:
        """Wait until OpenOCD has ended by itself; return its exit code."""
        async with asyncio.timeout(PATIENCE):
            await asyncio.shield(self._drain)
            return await self.process.wait()

    async def terminate(self) -> int:
        """End it with SIGTERM; return its exit code."""
        with suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGTERM)
        return await self.exit()

    def said(self, text: str) -> bool:
        """Return whether a line contains `text`."""
        return any(text in line for line in self.lines)

    async def tcl(self, command: str) -> str:
        """Carry out a command over the Tcl port and return its result."""
        at = await self.line("for tcl connections")
        port = int(self.lines[at - 1].split("port ")[1].split()[0])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(command.encode() + b"\x1a")
            async with asyncio.timeout(PATIENCE):
                return (await reader.readuntil(b"\x1a"))[:-1].decode()
        finally:
            writer.close()
            await writer.wait_closed()


def _interface(port: int, mode: str) -> list[str]:
    if mode == "hla":
        return ["-f", "interface/stlink.cfg", "-c", f"hla_stlink_backend tcp {port}"]
    return ["-f", "interface/stlink-dap.cfg", "-c", f"st-link backend tcp {port}", "-c", "transport select dapdirect_swd"]
