"""The drop-in as a server: the ports that were asked for, bridged to the stable ports of a bench that is usable.

It prints what IDEs wait for only then. It holds nothing: when it is killed, connections close and the bench goes on.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
import sys
import threading
from functools import partial
from typing import TYPE_CHECKING, Any

from ocdsup.cli.client import Client, default_socket
from ocdsup.dropin import lines
from ocdsup.dropin.commands import Statement, What
from ocdsup.errors import ControlError, OcdsupError
from ocdsup.openocd.tcl import tcl_quote

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ocdsup.dropin.plan import Plan

WAIT_S = 60.0  # for a bench that is on its way: a recovery, a loan
HOPELESS = {"stopped", "failed", "blocked"}  # phases that do not end by waiting
CHUNK = 65536


class _EndedError(Exception):
    """A command ended OpenOCD, which here is the drop-in and not the bench's."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class Server:
    """Serves one command line until it is told to end."""

    def __init__(
        self, client: Client, socket_path: str | None, bench: dict[str, Any], plan: Plan, scripts: Sequence[str], why: str
    ) -> None:
        self._client = client
        self._path = socket_path or default_socket(os.environ, os.geteuid())
        self._bench = bench
        self._plan = plan
        self._scripts = scripts
        self._why = why
        self._log = open(plan.log_file, "a", encoding="utf-8") if plan.log_file else sys.stderr  # noqa: SIM115  # until the end
        self._listeners: list[tuple[socket.socket, Callable[[], int | None]]] = []

    def run(self, unread: Sequence[tuple[str, str]] = ()) -> int:
        """Serve; returns the exit code. `unread` are files that were asked for and are not read, with the reasons."""
        name = self._bench["name"]
        self._wait_until_usable(name)
        self._bench = self._look()
        print(lines.banner(self._bench["version"] or "0.12.0"), file=sys.stderr, flush=True)
        self._say(lines.note(f"the supervised bench {name} is used ({self._why})"))
        for text in self._plan.left_out:
            self._say(lines.note(f"{text!r} is left to the configuration of {name}"))
        for file, reason in unread:
            self._say(lines.note(f"{file} is not read: {reason}, which is left to the configuration of {name}"))
        if not self._open("gdb"):
            return 1
        try:
            for script in self._scripts:
                self._tcl(f"source {tcl_quote(script)}")
            self._steps()
        except _EndedError as ended:
            return ended.code
        if not (self._open("tcl") and self._open("telnet")):
            return 1
        return asyncio.run(self._serve())

    def _wait_until_usable(self, name: str) -> None:
        if self._bench["phase"] in HOPELESS:
            raise OcdsupError(f"use {name}", str(self._client.request("why", name)["text"]))
        self._client.request("wait", name, {"timeout": WAIT_S})

    def _look(self) -> dict[str, Any]:
        with Client(self._path) as client:
            benches = client.request("benches")["benches"]
        found: dict[str, Any] = next(bench for bench in benches if bench["name"] == self._bench["name"])
        return found

    def _say(self, text: str) -> None:
        print(text, file=self._log, flush=True)

    # What the command line does

    def _steps(self) -> None:
        """Carry out the statements in their order; the GDB port is announced where `init` stands, else behind them."""
        announced = False
        for step in self._plan.steps:
            match step.what:
                case What.INIT:
                    self._announce_gdb()
                    announced = True
                case What.ECHO:
                    self._echo(step)
                case What.FILE_WORK | What.DOUBT:
                    pass  # done before the server began, by the real OpenOCD
                case _ if step.words[0] == "echo":  # of something that only OpenOCD can tell; its own echo goes to its log
                    self._tcl(f"set _ocdsup_echo {step.text.removeprefix('echo').strip()}")
                case _:
                    self._tcl(step.text)
        if not announced:
            self._announce_gdb()

    def _echo(self, step: Statement) -> None:
        if step.key == "puts":
            print(step.value, flush=True)
        else:
            self._say(step.value)

    def _tcl(self, script: str) -> None:
        answer = self._client.request("tcl", self._bench["name"], {"script": " ".join(script.split("\n"))})
        if answer["text"]:
            self._say(str(answer["text"]).rstrip("\n"))
        if answer["ended"] is not None:
            self._say(lines.shut_down())
            raise _EndedError(answer["ended"])
        if not answer["ok"]:
            raise OcdsupError(f"run {script!r}", "the bench's OpenOCD refused it")

    # Ports

    def _open(self, service: str) -> bool:
        """Listen where a service was asked for; the bench's own stable port is served already. Returns whether that is done."""
        asked = self._plan.port(service)
        if asked == "disabled":
            self._say(lines.disabled(service))
            return True
        if asked == "pipe":
            return True
        if not asked.isdecimal() or int(asked) > 65535:
            raise OcdsupError(f"open the {service} port", f"{asked!r} is no port")
        if service == "tcl" and self._bench["private_tcl"] is None:
            self._say(lines.note("no Tcl port: `monitor:` of the configuration is not full"))
            return True
        for number, target in enumerate(self._targets(service)):
            wanted = int(asked) + number if int(asked) else 0
            if wanted != target() and not self._listen(service, wanted, target):
                return False
        return True

    def _targets(self, service: str) -> list[Callable[[], int | None]]:
        ports = self._bench["ports"]
        match service:
            case "gdb":
                return [partial(int, port) for port in ports["gdb"]]
            case "telnet":
                return [partial(int, ports["telnet"])]
            case _:
                return [lambda: self._look()["private_tcl"]]  # another one after every restart of OpenOCD

    def _listen(self, service: str, wanted: int, target: Callable[[], int | None]) -> bool:
        try:
            sockets = _bind(wanted)
        except OSError as error:
            self._say(lines.taken(service, wanted, os.strerror(error.errno or errno.EADDRINUSE)))
            return service != "gdb" and service not in self._plan.ports  # a default that nobody asked for stops nothing
        self._listeners += [(sock, target) for sock in sockets]
        if service != "gdb":
            self._say(lines.listening(sockets[0].getsockname()[1], service))
        return True

    def _announce_gdb(self) -> None:
        asked = self._plan.port("gdb")
        if asked in {"pipe", "disabled"}:
            return
        ours = [sock.getsockname()[1] for sock, _ in self._listeners if sock.family == socket.AF_INET]
        names = self._bench["targets"] or [self._bench["name"]]
        for port, name in zip(ours or self._bench["ports"]["gdb"], names, strict=False):
            self._say(lines.starting(name, port))
            self._say(lines.listening(port, "gdb"))

    # Bridges

    async def _serve(self) -> int:
        servers = [await asyncio.start_server(partial(self._bridge, target), sock=sock) for sock, target in self._listeners]
        if self._plan.port("gdb") == "pipe":
            await asyncio.to_thread(self._pipe)
            return 0
        gone, loop = asyncio.Event(), asyncio.get_running_loop()
        watch = partial(self._daemon_gone, partial(loop.call_soon_threadsafe, gone.set))
        threading.Thread(target=watch, daemon=True).start()  # not `to_thread`: Ctrl-C would wait for its end
        await gone.wait()
        for server in servers:
            server.close()
        self._say(lines.error("the daemon has gone"))
        return 1

    def _daemon_gone(self, tell: Callable[[], object]) -> None:
        with contextlib.suppress(ControlError):
            for _event in self._client.stream("watch", self._bench["name"]):
                continue
        tell()

    async def _bridge(
        self, target: Callable[[], int | None], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        port = await asyncio.to_thread(target)
        try:
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", port or 0)
        except OSError:
            writer.close()
            return
        upwards = asyncio.ensure_future(_pump(reader, up_writer))
        await _pump(up_reader, writer)
        upwards.cancel()
        for end in (writer, up_writer):
            end.close()

    def _pipe(self) -> None:
        """GDB is on stdin and stdout. Blocking, with a thread for each direction: both are one socket of GDB's, dup'ed, and an
        asyncio write pipe takes what GDB sends on it for the end of the pipe.
        """
        with socket.create_connection(("127.0.0.1", self._bench["ports"]["gdb"][0])) as up:
            up.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=_from_gdb, args=(up,), daemon=True).start()
            while data := up.recv(CHUNK):
                while data:
                    data = data[os.write(1, data) :]


def _from_gdb(up: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := os.read(0, CHUNK):
            up.sendall(data)
        up.shutdown(socket.SHUT_WR)


def _bind(port: int) -> list[socket.socket]:
    """Listen on both loopback families, as the stable ports do. Raises OSError when the number is taken on IPv4."""
    first = socket.create_server(("127.0.0.1", port))
    number = first.getsockname()[1]
    try:
        return [first, socket.create_server(("::1", number), family=socket.AF_INET6)]
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            first.close()
            raise
        return [first]  # a machine without IPv6


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Carry one direction; the end of what is sent is passed on as such, because the other side may still have answers."""
    writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with contextlib.suppress(OSError):
        while data := await reader.read(CHUNK):
            writer.write(data)
            await writer.drain()
        writer.write_eof()
