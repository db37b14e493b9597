"""The drop-in as a server: the ports that were asked for, bridged to the stable ports of a bench that is usable.

It prints what IDEs wait for only then. It holds nothing: when it is killed, connections close and the bench goes on.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import sys
import threading
from functools import partial
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, Literal, TextIO

from ocdsup.cli.client import Client, default_socket
from ocdsup.cli.dropin_bridge import Listener, Pipe, bind, bridge
from ocdsup.dropin import lines
from ocdsup.dropin.commands import Statement, What, defines
from ocdsup.errors import ControlError, OcdsupError
from ocdsup.openocd.tcl import tcl_quote

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ocdsup.dropin.plan import Plan

WAIT_S = 60.0  # for a bench that is on its way: a recovery, a loan
HOPELESS = {"stopped", "failed", "blocked"}  # phases that do not end by waiting
USABLE = {"ready", "degraded"}
RETURN_S = 10.0  # for a daemon that is being restarted
PAUSE_S = 0.2


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
        self._log = _log(plan.log_file, "a" if plan.flashes or plan.doubt else "w")
        self._listeners: list[Listener] = []
        self._ports: dict[str, list[int]] = {"gdb": [], "telnet": [], "tcl": []}
        self._told: list[str] = []

    def run(self, unread: Sequence[tuple[str, str]] = ()) -> int:
        """Serve; returns the exit code. `unread` are files that were asked for and are not read, with the reasons."""
        name = self._bench["name"]
        if self._plan.port("gdb") != "pipe" or self._plan.steps:  # a GDB on the pipe is kept patient by the bench's own port
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
            skipped = [word for script in self._scripts for word in self._read(script)]
            announced = self._steps(frozenset(skipped))
        except _EndedError as ended:
            return ended.code
        if not (self._open("tcl") and self._open("telnet")):
            return 1
        if not announced:
            self._announce_gdb()
        self._flush()
        return asyncio.run(self._serve())

    def _wait_until_usable(self, name: str) -> None:
        if self._bench["phase"] in HOPELESS:
            raise OcdsupError(f"use {name}", str(self._client.request("why", name)["text"]).removeprefix(f"{name}: "))
        if self._bench["phase"] not in USABLE:
            self._say(lines.note(f"{name} is {self._bench['phase']}: waiting for it, at most {WAIT_S:g} s"))
        self._client.request("wait", name, {"timeout": WAIT_S})

    def _look(self) -> dict[str, Any]:
        with Client(self._path) as client:
            benches = client.request("benches")["benches"]
        name = self._bench["name"]
        found: dict[str, Any] | None = next((bench for bench in benches if bench["name"] == name), None)
        if found is None:
            raise ControlError("unknown-bench", f"serve {name}", "a reload has taken it out of the configuration")
        return found

    def _say(self, text: str) -> None:
        """A line, behind those that were held back."""
        self._tell(text)
        self._flush()

    def _tell(self, text: str) -> None:
        """A line for the next `_flush`: who waits for the last of several ports finds all of them announced."""
        self._told.append(text)

    def _flush(self) -> None:
        if self._told:
            print("\n".join(self._told), file=self._log, flush=True)
            self._told.clear()

    # What the command line does

    def _read(self, script: str) -> list[str]:
        """Have the bench's OpenOCD read a file that defines commands; returns those it may not have."""
        try:
            self._tcl(f"source {tcl_quote(script)}")
        except ControlError as error:
            if error.code != "denied":
                raise
            self._say(lines.note(f"{script} is not read, and its commands are left out: {error}"))
            return defines(Path(script).read_text(errors="replace"))
        return []

    def _steps(self, skipped: frozenset[str]) -> bool:
        """Carry out the statements in their order; returns whether the GDB port is announced: there, where `init` stands."""
        announced = False
        for step in self._plan.steps:
            match step.what:
                case What.INIT:
                    self._announce_gdb()
                    self._flush()
                    announced = True
                case What.ECHO:
                    self._echo(step)
                case What.FILE_WORK | What.DOUBT:  # done before the server began
                    self._say(lines.note(f"{step.text!r} was for the real OpenOCD, which has run"))
                case What.PARTING:
                    self._say(lines.note(f"{step.text!r} ends this when GDB goes, and not the bench's OpenOCD"))
                case _ if step.words[0] in skipped:
                    self._say(lines.note(f"{step.text!r} is left out"))
                case _ if step.words[0] == "puts" and len(step.words) == 2:  # OpenOCD's own stdout is the supervisor's
                    self._puts(self._tcl(f"set _ocdsup_puts {step.text.removeprefix('puts').strip()}", quiet=True))
                case _:
                    self._tcl(step.text)
        return announced

    def _echo(self, step: Statement) -> None:
        if step.key == "puts":
            self._puts(step.value)
        else:
            self._say(step.value)

    def _puts(self, text: str) -> None:
        """A line on stdout, unless GDB is there."""
        print(text, file=sys.stderr if self._plan.port("gdb") == "pipe" else sys.stdout, flush=True)

    def _tcl(self, script: str, *, quiet: bool = False) -> str:
        """Run a command in the bench's OpenOCD and say what it says: its log, then its result, which `quiet` holds back."""
        one_line = script if script.isprintable() else f"eval {tcl_quote(script)}"
        answer = self._client.request("tcl", self._bench["name"], {"script": one_line})
        said = [str(answer["log"]), "" if quiet and answer["ok"] else str(answer["text"])]
        for text in filter(None, (part.rstrip("\n") for part in said)):
            self._say(text)
        if answer["ended"] is not None:
            self._say(lines.shut_down())
            raise _EndedError(answer["ended"])
        if not answer["ok"]:
            raise OcdsupError(f"run {script!r}", "the bench's OpenOCD refused it")
        return str(answer["text"])

    # Ports

    def _open(self, service: str) -> bool:
        """Listen where a service was asked for; the bench's own stable port is served already. Returns whether that is done."""
        asked = self._plan.port(service)
        if asked == "disabled":
            self._tell(lines.disabled(service))
            return True
        if asked == "pipe":
            return True
        first = _number(service, asked)
        if service == "tcl" and self._bench["private_tcl"] is None:
            self._tell(lines.note("no Tcl port: `monitor:` of the configuration is not full"))
            return True
        for number, target in enumerate(self._targets(service)):
            wanted = first + number if first else 0
            if wanted == target():
                self._ports[service].append(wanted)
            elif not self._listen(service, wanted, target):
                return False
        return True

    def _targets(self, service: str) -> list[Callable[[], int | None]]:
        """How to find the ports of the bench, of which a restart of the daemon or of OpenOCD may make others."""
        match service:
            case "gdb":
                return [partial(self._gdb_port, number) for number in range(len(self._bench["ports"]["gdb"]))]
            case "telnet":
                return [lambda: int(self._bench["ports"]["telnet"])]
            case _:
                return [lambda: self._look()["private_tcl"]]

    def _gdb_port(self, number: int) -> int:
        return int(self._bench["ports"]["gdb"][number])

    def _listen(self, service: str, wanted: int, target: Callable[[], int | None]) -> bool:
        try:
            sockets = bind(wanted)
        except OSError as error:
            self._say(lines.taken(service, wanted, os.strerror(error.errno or errno.EADDRINUSE)))
            return service != "gdb" and service not in self._plan.ports  # a default that nobody asked for stops nothing
        self._listeners += [Listener(service, sock, target) for sock in sockets]
        self._ports[service].append(sockets[0].getsockname()[1])
        if service != "gdb":
            self._tell(lines.listening(self._ports[service][-1], service))
        return True

    def _announce_gdb(self) -> None:
        names = self._bench["targets"] or [self._bench["name"]]
        for port, name in zip(self._ports["gdb"], names, strict=False):
            self._tell(lines.starting(name, port))
            self._tell(lines.listening(port, "gdb"))

    # Serving

    async def _serve(self) -> int:
        loop = asyncio.get_running_loop()
        code: asyncio.Future[int] = loop.create_future()

        def end(text: str, number: int) -> None:
            if not code.done():
                self._say(text)
                code.set_result(number)

        def over() -> None:
            end(lines.shut_down(), 0)

        def parted() -> None:
            if self._plan.parting is not None:
                threading.Thread(target=self._part, args=(partial(loop.call_soon_threadsafe, over),), daemon=True).start()

        for listener in self._listeners:
            gone = parted if listener.service == "gdb" else bool
            await asyncio.start_server(partial(bridge, listener, over, gone), sock=listener.sock)
        if self._plan.port("gdb") == "pipe":
            return await asyncio.to_thread(self._pipe)
        away = partial(loop.call_soon_threadsafe, end, lines.error("the daemon has gone"), 1)
        threading.Thread(target=self._watch, args=(away,), daemon=True).start()  # not `to_thread`: Ctrl-C would wait for it
        if self._plan.parting is not None and not any(listener.service == "gdb" for listener in self._listeners):
            threading.Thread(target=self._look_for_gdb, args=(parted,), daemon=True).start()
        return await code

    def _part(self, over: Callable[[], object]) -> None:
        """GDB has gone, and with it OpenOCD would."""
        with contextlib.suppress(OcdsupError, _EndedError):
            self._client = Client(self._path)  # the other one has its hands full with `watch`
            if self._plan.parting:
                self._tcl(self._plan.parting)
        over()

    def _look_for_gdb(self, parted: Callable[[], object]) -> None:
        """Notice that a GDB on the bench's own port has come and gone."""
        came = False
        while True:
            with contextlib.suppress(ControlError), Client(self._path) as client:
                (bench,) = client.request("status", self._bench["name"])["benches"]
                here = any(target["gdb_sessions"] for target in bench["targets"])
                if came and not here:
                    parted()
                    return
                came = here
            threading.Event().wait(PAUSE_S)

    def _watch(self, gone: Callable[[], object]) -> None:
        """Notice the end of the daemon. One that is only restarted may have kept the connections (`adopt`)."""
        with contextlib.suppress(ControlError):
            for _event in self._client.stream("watch", self._bench["name"]):
                continue
        self._say(lines.note(f"the daemon has gone; waiting for it, at most {RETURN_S:g} s"))
        end = monotonic() + RETURN_S
        while monotonic() < end:
            with contextlib.suppress(ControlError, LookupError):
                self._client = Client(self._path, for_ever=True)
                self._bench = self._look()
                self._say(lines.note("the daemon is back"))
                return self._watch(gone)
            threading.Event().wait(PAUSE_S)
        with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
            gone()
        return None

    def _pipe(self) -> int:
        pipe = Pipe(self._bench["ports"]["gdb"][0])
        pipe.run()
        if pipe.told:
            self._say(lines.shut_down())
        if pipe.ended:
            return 0
        try:
            self._look()
        except ControlError:
            self._say(lines.error("the daemon has gone"))
            return 1
        return 0  # GDB's `kill` and the like


def _number(service: str, asked: str) -> int:
    """A port as OpenOCD reads it, by strtol with any base (server.c, add_service)."""
    try:
        number = int(asked, 0)
    except ValueError:
        number = -1
    if not 0 <= number <= 65535:
        raise OcdsupError(f"open the {service} port", f"{asked!r} is no port", "give a number up to 65535, or `disabled`")
    return number


def _log(name: str | None, mode: Literal["a", "w"]) -> TextIO:
    """Where lines go: `-l` and its word `default`, as log.c has it; a file that cannot be made stops nothing."""
    if name in {None, "default"}:
        return sys.stderr
    try:
        return open(str(name), mode, encoding="utf-8")  # until the end
    except OSError:
        print(f"Error: failed to open output log '{name}'", file=sys.stderr, flush=True)
        return sys.stderr
