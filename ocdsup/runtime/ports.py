"""The stable ports of one bench: open before the first OpenOCD starts, and open until the daemon ends."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ocdsup.config.model import Bench as BenchConfig
from ocdsup.config.model import MonitorPolicy
from ocdsup.core import events as ev
from ocdsup.core.effects import RESETS
from ocdsup.core.state import Backend
from ocdsup.openocd import command, servers
from ocdsup.openocd.dialect import Version, names
from ocdsup.rsp import monitor
from ocdsup.runtime import port_owner
from ocdsup.runtime.backend import Private
from ocdsup.runtime.door import behind_doors
from ocdsup.runtime.fd_store import LISTENER, Kept, KeptTelnet, Store
from ocdsup.runtime.gdb_port import GdbPort, Served
from ocdsup.runtime.listeners import bind_all
from ocdsup.runtime.settings import gdb_policy_of
from ocdsup.runtime.tasks import Tasks
from ocdsup.runtime.telnet_port import Answer, TelnetPort
from ocdsup.telnet import words
from ocdsup.telnet.effects import Away

if TYPE_CHECKING:
    from ocdsup.runtime.tcl_port import TclPort

RETRY_S = 5.0
MOST_CORES = 16  # further ports that a kept session may have come to
HOST = "127.0.0.1"
HALF_RESET = "ocdsup: a start of OpenOCD that resets the board was not finished; the board may have been reset\n"
_NONE: Mapping[str, str] = {}


class StablePorts:
    """Opens, exposes OpenOCD behind them, hides it again, closes."""

    def __init__(
        self,
        config: BenchConfig,
        post: Callable[[ev.Event], None],
        away: Callable[[], Away],
        tasks: Tasks,
        answer: Answer,
        log: Any,
        store: Store,
    ) -> None:
        self._store = store
        self._config = config
        self._post = post
        self._away = away
        self._tasks = tasks
        self._answer = answer
        self._log = log
        self._gdb: list[GdbPort] = []
        self._telnet: TelnetPort | None = None
        self._tcl: TclPort | None = None
        self._retry: asyncio.TimerHandle | None = None
        self._asking: asyncio.Task[None] | None = None
        self._further: asyncio.TimerHandle | None = None
        self.exposed = False
        self._resets = 0
        self._resetting = False  # a start that resets the board came to an end before it was exposed
        self._recovering = False
        self._borrower: str | None = None
        self._targets: tuple[str, ...] = ()
        self._served: dict[int, Served] = {}  # by place, while OpenOCD is exposed
        self._silent: dict[int, str] = {}  # places whose target does not answer, and how debuggers are told
        self.places: dict[str, int] = {}
        """Which of the GDB ports each target is reached by, counted from 0."""
        self.left_work: Callable[[Sequence[str]], None] = lambda _lines: None
        """Told of commands whose people have gone before OpenOCD has answered."""

    @property
    def gdb_numbers(self) -> tuple[int, ...]:
        """The GDB ports, first target first; those of the configuration while they are not open."""
        configured = tuple(self._wanted(place) for place in range(self._config.ports.targets))
        return tuple(port.port for port in self._gdb) + configured[len(self._gdb) :]

    @property
    def names(self) -> list[str]:
        """The targets that the GDB ports are named after, in their order: of a group it is the first."""
        return list({place: name for name, place in reversed(self.places.items())}.values())[::-1]

    @property
    def tcl_number(self) -> int | None:
        """The Tcl port; None when there is to be none."""
        return self._tcl.port if self._tcl is not None else self._config.ports.tcl

    @property
    def telnet_number(self) -> int:
        """The telnet port."""
        return self._telnet.port if self._telnet is not None else self._config.ports.telnet

    def work(self) -> list[str]:
        """The commands of people at these ports that OpenOCD has not answered, and a GDB's load that is not finished."""
        ports = [*self._gdb, *(port for port in (self._telnet, self._tcl) if port is not None)]
        return [line for port in ports for line in port.work]

    def lively(self) -> bool:
        """Whether a debugger has said something a moment ago, and will soon say more."""
        return any(port.lively for port in self._gdb)

    def open(self) -> None:
        """Open the listeners, or say who has them and try again every RETRY_S seconds."""
        if errors := self._try():
            self._post(ev.PortTaken(port_owner.why(errors)))

    def _try(self) -> list[OSError]:
        self._stop_retry()
        self._retry = asyncio.get_running_loop().call_later(
            RETRY_S, self._again
        )  # first: a try that breaks off is not the last
        errors: list[OSError] = []
        # Each for itself: the words of the telnet port help most when something is wrong.
        for opening in (self._open_gdb, self._open_telnet, self._open_tcl):
            try:
                opening()
            except OSError as error:
                errors.append(error)
        if not errors:
            self._stop_retry()
            self._log.info("ports_open", gdb=self.gdb_numbers[0], telnet=self.telnet_number)
            self._post(ev.PortsOpened())
        return errors

    def _again(self) -> None:
        errors = self._try()
        if errors and (self._asking is None or self._asking.done()):
            self._asking = self._tasks.spawn("port-owner", self._ask_again(errors))

    async def _ask_again(self, errors: list[OSError]) -> None:
        """Another may have the port by now. Who has it takes a walk through /proc, and the sessions of other benches go on."""
        text = await asyncio.to_thread(port_owner.why, errors)
        if self._retry is not None:  # else they have been opened meanwhile
            self._post(ev.PortTaken(text))

    def _stop_retry(self) -> None:
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None

    def _open_gdb(self) -> None:
        while len(self._gdb) < self._config.ports.targets:
            self._gdb.append(self._gdb_port(self._bind(self._wanted(len(self._gdb)))))

    def _open_telnet(self) -> None:
        if self._telnet is None:
            sockets = self._bind(self._config.ports.telnet)
            self._telnet = TelnetPort(
                sockets, self._answer, self._away, self._tasks, self._log, self._denied, self.outside_change
            )
            self._telnet.store = self._store
            self._telnet.left_work = self._left_work

    def _open_tcl(self) -> None:
        wanted = self._config.ports.tcl
        if self._tcl is None and wanted is not None:
            from ocdsup.runtime.tcl_port import TclPort  # few benches have one: not in the memory of those that have not

            sockets, spoke = self._bind(wanted), self.outside_change
            self._tcl = TclPort(sockets, self._away, self._tasks, self._log, self._denied, spoke)
            self._tcl.left_work = self._left_work

    def _bind(self, port: int) -> list[socket.socket]:
        sockets = bind_all(self._config.bind, port, self._store.listener)
        self._store.keep(f"{LISTENER}{sockets[0].getsockname()[1]}", [sock.fileno() for sock in sockets])
        return behind_doors(sockets, self._config.allow, self._turned_away)

    def _turned_away(self, address: str) -> None:
        self._log.warning("turned_away", address=address, hint="`allow` does not name its network")

    def _gdb_port(self, sockets: list[socket.socket]) -> GdbPort:
        policy = gdb_policy_of(self._config)
        port = GdbPort(sockets, policy, self._answer_monitor, self._sessions_changed, self._tasks, self._log, self._store)
        port.left_work = self._left_work
        return port

    def reconfigure(self, config: BenchConfig, *, relaunch: bool) -> None:
        """Take a configuration with the same ports; `relaunch`: OpenOCD is started again by it, perhaps for another chip."""
        self._config = config
        for port in self._gdb:
            port.choose(gdb_policy_of(config), forget=relaunch)

    def _left_work(self, lines: Sequence[str]) -> None:
        self.left_work(lines)

    def _denied(self, line: str) -> str:
        """Whoever types at OpenOCD's console has a shell as its user: `monitor:` holds there as it does in GDB."""
        policy = self._config.monitor
        if policy is MonitorPolicy.FULL or (policy is MonitorPolicy.SAFE and monitor.is_safe(line)):
            return ""
        return f"`monitor: {policy.value}` of the configuration does not let this line pass"

    async def _answer_monitor(self, text: str) -> str:
        """`monitor ocdsup …` means what the same line means on the telnet port."""
        request = words.parse(tuple(text.split()))
        if request == words.HELP:
            return words.MONITOR_HELP
        return request if isinstance(request, str) else await self._answer(request.verb, request.args)

    def _open_for_targets(self, count: int, *, again: bool = False) -> None:
        """Further targets of a multi-core chip: the ports that follow the first. One that is taken is tried again."""
        self._stop_further()
        while self._gdb and len(self._gdb) < count:
            wanted = self._wanted(len(self._gdb))
            try:
                sockets = self._bind(wanted)
            except OSError as error:
                self._further = asyncio.get_running_loop().call_later(RETRY_S, self._open_further, count)
                if not again:
                    self._tasks.spawn("port-owner", self._tell_taken(wanted, error))
                return
            self._gdb.append(self._gdb_port(sockets))

    async def _tell_taken(self, port: int, error: OSError) -> None:
        owner = await asyncio.to_thread(port_owner.find, port)
        self._log.warning("target_port_taken", port=port, error=error.strerror, owner=owner)

    def _open_further(self, count: int) -> None:
        before = len(self._gdb)
        self._open_for_targets(count, again=True)
        for place in range(before, len(self._gdb)):
            if place in self._silent:
                self._gdb[place].target_silent(self._silent[place])
            self._serve(place)

    def _stop_further(self) -> None:
        if self._further is not None:
            self._further.cancel()
            self._further = None

    def _wanted(self, place: int) -> int:
        return self._config.ports.gdb + place if self._config.ports.gdb else 0

    def private(self, version: Version) -> command.Ports:
        """The ports to start OpenOCD with: any free ones, or chosen by us for versions that do not announce theirs."""
        if names(version).announces_ports:
            return command.Ports()
        with socket.socket() as gdb, socket.socket() as telnet, socket.socket() as tcl:
            for sock in (gdb, telnet, tcl):
                sock.bind((HOST, 0))
            return command.Ports(*(sock.getsockname()[1] for sock in (gdb, telnet, tcl)))

    def half_reset(self) -> None:
        """A start that resets the board came to the probe, and to its end before anybody was served."""
        self._resetting = True

    def expose(self, private: Private, backend: Backend, targets: tuple[str, ...], dead: Mapping[str, str] = _NONE) -> None:
        """OpenOCD can be used: let clients reach it, but for those of the `dead` targets (see `silent`).

        A start that reset the board is counted, so that debuggers learn of it.
        """
        self.exposed = True
        told = f"ocdsup: {self._borrower} had the probe; the board may have been reset or flashed\n" if self._borrower else ""
        if backend.profile.after not in RESETS and self._resetting:
            told = told or HALF_RESET
        self._resets += backend.profile.after in RESETS or bool(told)
        self._borrower, self._resetting = None, False
        found = private.of(targets)
        self._place(found, targets)
        self._open_for_targets(max(self.places.values(), default=0) + 1)
        slow = backend.profile.speed_khz is not None
        self._served = {
            self.places[target]: Served(HOST, number, self._resets, backend.run, told, slow) for target, number in found.items()
        }
        self.silent(dead)
        for place in range(len(self._gdb)):
            self._serve(place)
        if self._telnet is not None and private.telnet is not None:
            self._telnet.backend_up((HOST, private.telnet), backend.version or "")
        if self._tcl is not None and private.tcl is not None:
            self._tcl.serve((HOST, private.tcl))

    def _serve(self, place: int) -> None:
        if place in self._served and place not in self._silent:
            self._gdb[place].backend_up(self._served[place])

    def silent(self, dead: Mapping[str, str]) -> None:
        """These targets do not answer, for the reasons given, while OpenOCD does: their debuggers wait, the others go on.

        A group of cores (`target smp`) has one port, which is served while one of them answers.
        """
        if not (dead or self._silent):
            return
        targets: dict[int, set[str]] = {}
        for name, place in self.places.items():
            targets.setdefault(place, set()).add(name)
        silent = {place: dead[min(names)] for place, names in targets.items() if names <= dead.keys()}
        before, self._silent = self._silent, silent
        for place, port in enumerate(self._gdb):
            if place in silent and place not in before:
                port.target_silent(silent[place])
            elif place in before and place not in silent:
                port.target_silent("")
                self._serve(place)

    def _place(self, found: dict[str, int], targets: tuple[str, ...]) -> None:
        """Give every target its port. The same targets keep theirs, also when OpenOCD could not serve one of them this time."""
        if targets == self._targets and found.keys() <= self.places.keys():
            return
        self._targets = targets
        self.places = servers.places(found)
        if any(port.sessions for port in self._gdb):
            self._sessions_changed()  # only now is it known whose they are

    def lent(self, borrower: str) -> None:
        """Somebody else gets the probe: debug sessions are told, and told again what that may mean when OpenOCD is back."""
        self._borrower = borrower
        for port in self._gdb:
            port.tell(f"ocdsup: the probe is lent to {borrower}; this session waits for it\n")

    def recovering(self, active: bool) -> None:
        """A recovery has begun or ended: a stop without a reason is held meanwhile."""
        if active != self._recovering:
            self._recovering = active
            for port in self._gdb:
                port.recovering(active)

    def target_seen(self, target: str, *, halted: bool) -> None:
        """OpenOCD's poll has found a core in this state. Of a group the first one counts: the others stop and go with it."""
        place = self.places.get(target, len(self._gdb))
        first = next((name for name, at in self.places.items() if at == place), None)
        if target == first and place < len(self._gdb):
            self._gdb[place].target_seen(halted=halted)

    def outside_change(self) -> None:
        """Somebody other than GDB may have changed a target: answers that are kept for GDB (`cache`) are void."""
        for port in self._gdb:
            port.outside_change()

    def reexamined(self, target: str | None) -> None:
        """OpenOCD examined a target anew, which clears its break- and watchpoints; of a name we do not know, any."""
        place = self.places.get(target or "")
        for at, port in enumerate(self._gdb):
            if place in {None, at}:
                port.reexamined()

    def hide(self, reason: str) -> None:
        """OpenOCD is going or gone: telnet clients are told, debug sessions wait; again when there is another `reason`."""
        was, self.exposed, self._served = self.exposed, False, {}
        for port in self._gdb:
            if was:
                port.backend_down(reason)
            port.away(reason)
        if not was:
            return
        if self._telnet is not None:
            self._telnet.backend_down()
        if self._tcl is not None:
            self._tcl.backend_down()

    def _sessions_changed(self) -> None:
        counts = tuple(port.sessions for port in self._gdb)
        halted = {place for place, port in enumerate(self._gdb) if port.halted}
        cores = tuple(target for target, place in self.places.items() if place in halted)
        debugged = tuple(target for target, place in self.places.items() if any(counts[place : place + 1]))
        self._post(ev.SessionsChanged(counts, halted=bool(halted), cores=cores, debugged=debugged))

    def adopt(self, kept: Kept) -> bool:
        """Go on with a debug session of the previous daemon; False when it came to no port of this bench."""
        if self._gdb and self._config.ports.gdb and 0 < kept.port - self._config.ports.gdb < MOST_CORES:
            self._open_for_targets(kept.port - self._config.ports.gdb + 1)
        port = next((port for port in self._gdb if port.port == kept.port), None)
        if port is not None:
            port.adopt(kept)
        return port is not None

    def adopt_telnet(self, kept: KeptTelnet) -> bool:
        """Go on with a console connection of the previous daemon; False when it came to another port."""
        if self._telnet is None or self._telnet.port != kept.port:
            return False
        self._telnet.adopt(kept)
        return True

    def close(self, *, park: bool = False) -> None:
        """Close the listeners and every session; `park`: leave those that can be kept to the next daemon."""
        self._stop_retry()
        self._stop_further()
        for port in self._gdb:
            if park:
                port.park()
            else:
                self._store.drop(f"{LISTENER}{port.port}")
            port.close()
        if self._telnet is not None and park:
            self._telnet.park()
        elif self._telnet is not None:
            self._store.drop(f"{LISTENER}{self._telnet.port}")
            self._telnet.close()
        if self._tcl is not None:
            if not park:
                self._store.drop(f"{LISTENER}{self._tcl.port}")
            self._tcl.close()
