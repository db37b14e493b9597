"""One OpenOCD run as its bench sees it: the process, what its lines mean, and our own Tcl connections to it."""

from __future__ import annotations

import asyncio
import os
import re
import signal
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from ocdsup.core import events as ev
from ocdsup.errors import ProtocolError
from ocdsup.openocd import command, servers
from ocdsup.openocd.catalogue import Catalogue
from ocdsup.openocd.classify import Classifier
from ocdsup.openocd.dialect import Version, names
from ocdsup.openocd.findings import Finding
from ocdsup.openocd.lines import Level, Line, LineSplitter
from ocdsup.openocd.rule import Role
from ocdsup.openocd.tcl import parse_list, parse_notification, parse_reply, wrap
from ocdsup.openocd.work import takes_long, writes_flash
from ocdsup.runtime.adoption import Held, Orphan, Record
from ocdsup.runtime.core_states import CoreStates, Printed
from ocdsup.runtime.diligence import Diligence
from ocdsup.runtime.launcher import Process
from ocdsup.runtime.log_ring import LogRing
from ocdsup.runtime.tasks import Tasks
from ocdsup.runtime.tcl_link import TclEvents, TclLink

ALIVE_S = 1.0  # lines count as a sign of life this often at most
UNKNOWN = "unknown-line"  # counts warnings and errors that the catalogue does not know
SILENT = "unknown"  # the state of a target that does not answer, whatever OpenOCD remembers of it
ASK_S = 4.0  # an answer to one of our questions that took longer is none
_PREFIX = {Level.ERROR: "Error: ", Level.WARN: "Warn : ", Level.INFO: "Info : ", Level.DEBUG: "Debug: ", Level.USER: ""}
_TOLD = frozenset({Role.CAUSE, Role.SYMPTOM, Role.RECOVERY})  # what a bench counts; progress and noise stay in the log
_ECHO = re.compile(r"[01] (\{.*\}|\S+)")  # OpenOCD prints the answers to our own questions (`tcl.wrap`) into its log
_FLASH_BEGINS = frozenset({"gdb-flash-erase-start", "gdb-flash-write-start"})
_FLASH_ENDS = frozenset({"gdb-flash-erase-end", "gdb-flash-write-end"})


@dataclass(frozen=True, slots=True)
class Order:
    """Everything that one run needs to be started."""

    run: int
    argv: Sequence[str]
    token: str
    version: Version
    ports: command.Ports
    catalogue: Catalogue
    adopt: bool = False  # it outlives the daemon
    orphan: Orphan | None = None  # it runs already: that of the previous daemon


@dataclass(slots=True)
class Private:
    """OpenOCD's own ports on loopback, as it announced them."""

    gdb: list[int] = field(default_factory=list)
    telnet: int | None = None
    tcl: int | None = None
    names: dict[int, str] = field(default_factory=dict)  # which target each GDB port was opened for
    without: frozenset[str] = frozenset()  # targets that are meant to have none

    def of(self, targets: Sequence[str]) -> dict[str, int]:
        """The GDB port of every target that has one."""
        return servers.served(targets, self.gdb, self.names, self.without)

    @classmethod
    def given(cls, ports: command.Ports) -> Private:
        """Start with the fixed ports of an OpenOCD that does not announce its own (0.10)."""
        return cls([ports.gdb] if ports.gdb else [], ports.telnet or None, ports.tcl or None)


def environment() -> dict[str, str]:
    """Our own environment without what systemd meant for the daemon alone: OpenOCD must not speak in its name."""
    ours = ("NOTIFY_SOCKET", "JOURNAL_STREAM", "INVOCATION_ID", "WATCHDOG_", "LISTEN_", "SYSTEMD_EXEC_PID")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return inherited | {"OCDSUP_BACKEND": "1"}  # if the drop-in is `openocd` in our PATH, it must not come back to us


class LiveBackend:
    """A running OpenOCD. Facts about it are posted as events; raises BackendError when it cannot be started."""

    def __init__(
        self,
        order: Order,
        post: Callable[[ev.Event], None],
        ring: LogRing,
        tasks: Tasks,
        log: Any,
        lively: Callable[[], bool] = lambda: False,
    ) -> None:
        self.run = order.run
        self.ports = Private.given(order.ports)
        self.version = order.version
        self._order = order
        self._post = post
        self._ring = ring
        self._tasks = tasks
        self._log = log
        self._loop = asyncio.get_running_loop()
        self._classifier = Classifier(order.catalogue, order.version)
        self._splitter = LineSplitter(order.catalogue.needles)
        self._silence: asyncio.TimerHandle | None = None
        self._targets: tuple[str, ...] | None = None
        self._greeted = False
        self._told_to_end = False
        self._alive_at = 0.0
        self.flashing = False  # GDB has it write flash: its target says so
        self.work: list[str] = []  # Tcl of people that it carries out
        self._tcl = TclLink()
        self._news = TclEvents(self._news_frame)
        self._states = CoreStates(self._ask_states, tasks)
        self._states_said, self._look_said = Printed("states"), Printed("look")
        self._starting = ""  # the target whose GDB server opens its port next
        orphan = order.orphan
        held = orphan.held if orphan is not None else None
        self._process = Process(order.argv, environment(), self._output, self._exited, lively, outlives=order.adopt, held=held)
        self.pid = self._process.pid
        self._asked: asyncio.Future[bytes] | None = None  # the last heartbeat
        self._diligence = Diligence(self.pid)
        self._works = False  # it answers nobody, and is at work all the same
        post(ev.Launched(self.run, self.pid, self._argv(), str(order.version)))
        if orphan is not None:
            record = orphan.record
            named = {port: name for port, name in zip(record.gdb, record.named, strict=False) if name}
            self._targets, self.ports = record.targets, Private(list(record.gdb), record.telnet, record.tcl, named)
            self._greet()

    @property
    def held(self) -> Held:
        """Its PID and descriptors."""
        return self._process.held

    def leave(self) -> None:
        """Let it run on without us: the next daemon takes it up."""
        self._process.leave()
        self._hang_up()

    def record(self, start: Sequence[str]) -> Record:
        """What the next daemon has to know of it; `start` is how it would be started."""
        ports = self.ports
        named = tuple(ports.names.get(port, "") for port in ports.gdb)
        servers = (tuple(ports.gdb), named, ports.telnet, ports.tcl or 0)
        return Record(self.pid, tuple(start), self._argv(), self._targets or (), *servers)

    def _argv(self) -> tuple[str, ...]:
        """The command line it was started with, be it by us or by the previous daemon."""
        return tuple(self._order.argv) if self._order.orphan is None else self._order.orphan.record.argv

    def _hang_up(self) -> None:
        self._tcl.close()
        self._news.close()
        if self._silence is not None:
            self._silence.cancel()

    # What it prints

    def _output(self, data: bytes) -> None:
        now = self._loop.time()
        if now - self._alive_at >= ALIVE_S:
            self._alive_at = now
            self._post(ev.Alive(self.run))
        for line in self._splitter.feed(data):
            self._line(line)

    def _line(self, line: Line) -> None:
        if self._targets is None and line.level is Level.USER:
            self._targets = command.parse_ready(line.text, self._order.token)
            if self._targets is not None:
                self._greet()
                return
        if line.level is Level.USER and (self._states_seen(line.text) or (self._told_to_end and line.text in command.REFUSED)):
            return  # OpenOCD runs `shutdown` on our signal, too
        if line.level is not Level.USER or _ECHO.fullmatch(line.text) is None:
            self._ring.add("openocd", _PREFIX[line.level] + line.text)
        findings = self._classifier.feed(line, self._loop.time())
        for finding in findings:
            self._found(finding)
        if not findings and line.level in {Level.ERROR, Level.WARN}:
            self._post(ev.LineFound(self.run, UNKNOWN, None, line.text[:200]))
        self._await_silence()

    def _states_seen(self, text: str) -> bool:
        """Whether a line was the answer to one of our questions for the states of the cores."""
        cores = self._states_said.heard(text)
        for core in cores or ():
            self._states.seen(core.state)
            self._post(ev.TargetSeen(self.run, core.target, core.state))
        return cores is not None or self._look_said.heard(text) is not None

    def _await_silence(self) -> None:
        """A failed poll that nothing follows was survived (HLA): only time tells."""
        due = self._classifier.deadline
        if due is not None and self._silence is None:
            self._silence = self._loop.call_at(due, self._silent)

    def _silent(self) -> None:
        self._silence = None
        for finding in self._classifier.settle(self._loop.time()):
            self._found(finding)
        self._await_silence()

    def _found(self, finding: Finding) -> None:
        match finding.rule_id:
            case "gdb-server-starting":
                self._starting = finding.target or ""
            case "listening":
                self._listening(finding.fields["service"], int(finding.fields["port"]))
            case "target-voltage" | "jlink-voltage":
                self._post(ev.VoltageSeen(self.run, float(finding.fields["volts"])))
            case "external-reset":
                self._states.hint()
        if finding.fault is not None or finding.role in _TOLD:
            self._post(ev.LineFound(self.run, finding.rule_id, finding.fault, finding.text, finding.target))

    def _listening(self, service: str, port: int) -> None:
        match service:
            case "gdb" if self._targets is None:
                self.ports.gdb.append(port)
                if self._starting:
                    self.ports.names[port] = self._starting
                self._starting = ""
            case "telnet" if self.ports.telnet is None:
                self.ports.telnet = port
            case "tcl" if self.ports.tcl is None:
                self.ports.tcl = port
            case _:
                return  # also a firmware that prints such a line by semihosting: debuggers are not led to ports of its choice
        self._greet()

    def _greet(self) -> None:
        """Ready: the token was echoed and both console ports are known, announced behind all -c commands (0.11 … master).

        The telnet port comes last, and the Tcl port may have answered before its line is read from the pty.
        """
        if self._greeted or self._targets is None or self.ports.tcl is None or self.ports.telnet is None:
            return
        self._greeted = True
        self._tasks.spawn("tcl-open", self._open(self.ports.tcl, self._targets))

    async def _open(self, port: int, targets: tuple[str, ...]) -> None:
        try:
            await self._tcl.open(port)
            await self._news.open(port)
        except OSError as error:
            self._log.warning("tcl_refused", run=self.run, error=error.strerror)
            return  # the exit or the start's deadline decides
        if len(targets) > 1:
            await self._look_at_servers(targets)
        self._post(ev.BackendReady(self.run, targets))

    async def _look_at_servers(self, targets: tuple[str, ...]) -> None:
        """Learn which targets have no GDB server by intention; 0.10 gives the others one port after the other, unsaid."""
        ports = self.ports
        if len(targets) == len(ports.gdb):
            return
        with suppress(ProtocolError):
            ports.without = frozenset(parse_list(await self._ask(command.without_gdb()) or ""))
        if ports.gdb and not names(self.version).announces_ports:
            ports.gdb = [ports.gdb[0] + number for number in range(len(targets) - len(ports.without))]

    # What we ask it

    def beat(self) -> None:
        """Ask for a sign of life; the answer comes as `Alive`, a hung OpenOCD stays silent."""
        silent = self._asked is not None and not self._asked.done()
        self._works = self._diligence.beat(self._loop.time(), silent=silent)
        self._asked = self._tcl.ask()
        self._asked.add_done_callback(self._beaten)
        self._states.beat(len(self._targets or ()))

    def note_work(self, lines: list[str]) -> None:
        """Say whether people have it do what may keep it silent for long; looked at with every beat, so five times in time.

        A command that does not look it (a procedure, say) counts while OpenOCD is seen at work in silence.
        """
        flashing = self.flashing or any(map(writes_flash, lines))
        self._post(ev.FlashBusy(self.run, busy=flashing or takes_long(lines) or (self._works and bool(lines)), flash=flashing))

    def _beaten(self, answer: asyncio.Future[bytes]) -> None:
        if not answer.cancelled() and answer.exception() is None:
            self._post(ev.Alive(self.run))

    def verify(self, examine: Sequence[str] = ()) -> None:
        """Poll every target now, those named after an examination; answered by `CoreVerified`."""
        self._tasks.spawn("verify-core", self._verify(examine))

    async def _verify(self, examine: Sequence[str]) -> None:
        cores = await self._look(examine) if examine else command.parse_cores(await self._ask(command.verify_cores()) or "")
        states = tuple((core.target, core.state if core.answers else SILENT) for core in cores)
        answers = bool(cores) and all(core.answers for core in cores)
        coreless = tuple(core.target for core in cores if not core.core)
        self._post(ev.CoreVerified(self.run, states, answers or not self._targets, coreless))

    async def _look(self, examine: Sequence[str]) -> tuple[command.Core, ...]:
        script = command.look_at_cores(examine, self._look_said.token).encode()
        with suppress(TimeoutError, ConnectionError):
            async with asyncio.timeout(ASK_S):
                return await self._look_said.answer(lambda: self._tcl.ask(script))
        return ()

    def examine(self) -> None:
        """Examine every target again; answered by `Examined`."""
        self._tasks.spawn("examine", self._examine())

    async def _examine(self) -> None:
        self._post(ev.Examined(self.run, await self._ask(command.examine()) is not None))

    def restore_reset_config(self) -> None:
        """Put the board's own reset_config back."""
        self._tasks.spawn("restore-reset-config", self._ask(command.restore_reset_config()))

    async def _ask(self, script: str) -> str | None:
        """Result of one Tcl command, None when it failed or was not answered in time."""
        try:
            async with asyncio.timeout(ASK_S):
                reply = parse_reply(await self._tcl.ask(wrap(script).removesuffix(b"\x1a")))
        except (TimeoutError, ConnectionError, ProtocolError) as error:
            self._log.info("tcl_unanswered", run=self.run, error=str(error)[:200])
            return None
        if not reply.ok:
            self._ring.add("openocd", reply.text[:500])
        return reply.text if reply.ok else None

    async def _ask_states(self) -> bool:
        with suppress(TimeoutError, ConnectionError):
            async with asyncio.timeout(ASK_S):
                await self._tcl.ask(command.core_states(self._states_said.token).encode())
                return True
        return False

    async def evaluate(self, script: str) -> tuple[bool, str]:
        """Run a user's Tcl on a connection of its own, however long it takes; whether it went well, and its result.

        Raises OSError or ProtocolError when OpenOCD goes away meanwhile.
        """
        link = TclLink()
        self.work.append(script)
        try:
            await link.open(self.ports.tcl or 0)
            reply = parse_reply(await link.ask(wrap(script).removesuffix(b"\x1a")))
        except asyncio.CancelledError:
            self.outlive([script])
            raise
        finally:
            self.work.remove(script)
            link.close()
        return reply.ok, reply.text

    def outlive(self, lines: Iterable[str]) -> None:
        """Somebody has gone whose commands it may still carry out: it does so to the end all the same."""
        for line in lines:
            self.work.append(line)
            self._tasks.spawn("left-work", self._until_done(line))

    async def _until_done(self, line: str) -> None:
        """It does one thing after the other. Of two that come in at once either may be first, so the second answer counts."""
        with suppress(ConnectionError):
            for _ in range(2):
                await self._tcl.ask()
        self.work.remove(line)

    def _news_frame(self, frame: bytes) -> None:
        news = parse_notification(frame)
        if news is None or not self._targets:
            return
        if len(self._targets) > 1 and news.kind in {"target_state", "target_event"}:
            self._states.hint()
        if news.kind == "target_state" and len(self._targets) == 1:
            self._states.seen(news.value)
            self._post(ev.TargetSeen(self.run, self._targets[0], news.value))
        elif news.kind == "target_event" and news.value in _FLASH_BEGINS | _FLASH_ENDS:
            self.flashing = news.value in _FLASH_BEGINS
            self._post(ev.FlashBusy(self.run, busy=self.flashing))

    # Its end

    def terminate(self) -> None:
        """SIGTERM; the callers have closed their connections before."""
        self._tcl.close()
        self._news.close()
        self._told_to_end = True
        self._process.signal(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL."""
        self._process.signal(signal.SIGKILL)

    def _exited(self, status: str) -> None:
        for line in self._splitter.flush():
            self._line(line)
        self._hang_up()
        verdict = self._classifier.explain_exit(status, ready=self._greeted)
        self._ring.add("ocdsup", f"OpenOCD (PID {self.pid}) ended: {status}")
        self._post(ev.BackendExited(self.run, status, verdict.fault, verdict.text, verdict.evidence))
