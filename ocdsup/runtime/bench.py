"""One bench, alive: its driver, its stable ports, and the OpenOCD of the moment. Performs what the core asks for."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from ocdsup.config.model import Bench as BenchConfig
from ocdsup.core import effects as ef
from ocdsup.core import events as ev
from ocdsup.core.casualties import dead_reasons
from ocdsup.core.state import UP, Phase, State
from ocdsup.core.status import Facts, public_phase, shown_fault, snapshot
from ocdsup.errors import BackendError
from ocdsup.openocd import command
from ocdsup.openocd.catalogue import Catalogue
from ocdsup.openocd.dialect import Version
from ocdsup.openocd.work import writes_flash
from ocdsup.probes import eviction
from ocdsup.probes.selector import Absent, Ambiguous, Found, ProbeSelector
from ocdsup.runtime import clock
from ocdsup.runtime.adoption import Adoption, Orphan
from ocdsup.runtime.backend import LiveBackend, Order
from ocdsup.runtime.driver import Driver
from ocdsup.runtime.evictions import Evictions
from ocdsup.runtime.fd_store import Store
from ocdsup.runtime.lending import Lending
from ocdsup.runtime.log_ring import Journal, LogRing
from ocdsup.runtime.looks import Home, Looks, present
from ocdsup.runtime.ports import StablePorts
from ocdsup.runtime.settings import pinned, policy_of, spec_of, uids_of
from ocdsup.runtime.tasks import Tasks
from ocdsup.runtime.telnet_port import Answer
from ocdsup.runtime.versions import Versions
from ocdsup.telnet.effects import Away

# Of an OpenOCD that ends by one of these, and never read the supply, the board has noticed nothing.
_NEVER_OPENED = frozenset({"probe-absent", "probe-held", "probe-denied", "probe-wedged"})


@dataclass(frozen=True, slots=True)
class Shared:
    """What all benches of a daemon have in common."""

    catalogue: Catalogue
    versions: Versions
    tasks: Tasks
    log: Any
    own_pids: Callable[[], frozenset[int]]
    answer: Answer
    changed: Callable[[], None]
    store: Store
    orphans: dict[str, Orphan] = field(default_factory=dict)  # OpenOCD of the previous daemon, by bench; taken out by it


class LiveBench:
    """A bench of the running daemon."""

    def __init__(self, config: BenchConfig, shared: Shared) -> None:
        self.config = config
        self.name = config.name
        self.ring = LogRing(config.name)
        self._shared = shared
        self._log = Journal(shared.log.bind(bench=config.name), self.ring)
        self._tasks = Tasks(self._failed)
        self._backend: LiveBackend | None = None
        self._launching: asyncio.Task[None] | None = None
        self._waiters: list[asyncio.Future[None]] = []
        self._looks = self._new_looks()
        state = State(policy=policy_of(config), has_usb=self.has_usb, since=asyncio.get_running_loop().time())
        self.driver = Driver(state, self._perform, self._changed, self._log)
        self._adoption = Adoption(config.name, shared.store, shared.orphans.pop(config.name, None))
        self._outlives = False  # the OpenOCD of the moment was started so that the end of the daemon does not end it
        self._resets = self._reached = False  # it is to reset the board and is not exposed yet; it has opened the probe
        self._start: list[str] = []  # how the OpenOCD of the moment would be started without a recovery
        self._evictions = Evictions(self.driver.post, self._log)
        self.lending = Lending(self.driver.post, self._log)
        self.ports = StablePorts(config, self.driver.post, self._away, self._tasks, shared.answer, self._log, shared.store)

    def _new_looks(self) -> Looks:
        return Looks(
            self.selector,
            eviction.Policy(self.config.holders.value),
            eviction.IDLE_S,
            self._shared.own_pids,
            lambda: self.flashing,
            uids_of(self.config),
            home=Home(self.name, lambda: f"localhost:{self.ports.gdb_numbers[0]}", lambda: self.lending.current is not None),
        )

    @property
    def selector(self) -> ProbeSelector:
        """Which probe it means."""
        probe = self.config.probe
        return ProbeSelector(probe.vid_pid, probe.serial, probe.location, probe.server)

    @property
    def has_usb(self) -> bool:
        """Whether its probe is on USB, and not behind an ST-LINK server."""
        return self.config.probe.server is None

    def bus_changed(self) -> None:
        """Something came or went on USB: is our probe still there, or there again?"""
        self._look("look-for-probe", self._looks.after_change)

    @property
    def flashing(self) -> bool:
        """Whether a flash operation is known to run in our OpenOCD."""
        return self._backend is not None and (self._backend.flashing or any(map(writes_flash, self._work())))

    def _work(self) -> list[str]:
        """What people have our OpenOCD do."""
        return [*self.ports.work(), *(self._backend.work if self._backend is not None else ())]

    @property
    def backend(self) -> LiveBackend | None:
        """The OpenOCD of the moment."""
        return self._backend

    async def pin(self) -> command.BackendSpec:
        """Exactly this bench's probe, for an OpenOCD of somebody else: 0.11 or newer, which takes any serial as digits."""
        return pinned(spec_of(self.config), await self._looks.find(), Version(0, 12, 0))

    def _failed(self, task: str, error: BaseException) -> None:
        self._log.error("task_failed", task=task, error=repr(error)[:500])

    @property
    def backend_pid(self) -> int | None:
        """The PID of the OpenOCD of the moment."""
        return self._backend.pid if self._backend is not None else None

    def asked(self, verb: str, args: Mapping[str, object]) -> None:
        """Somebody at one of its consoles wants something done."""
        self._log.info("asked", verb=verb, args=dict(args), by="a telnet or GDB console")

    # What is known of it

    def snapshot(self) -> dict[str, Any]:
        """This bench's part of the status."""
        return {**snapshot(self.driver.state, self._facts(), clock.read()), "loan": self.lending.shown()}

    def _facts(self) -> Facts:
        probe = self.config.probe
        return Facts(
            name=self.name,
            vid_pid=probe.vid_pid,
            serial=probe.serial,
            location=probe.location,
            gdb_ports=self.ports.gdb_numbers,
            places=self.ports.places,
            telnet_port=self.ports.telnet_number,
            tcl_port=self.ports.tcl_number,
        )

    def _away(self) -> Away:
        state = self.driver.state
        fault = shown_fault(state)
        next_try = self.snapshot()["next_try_s"]
        reason = f"{fault.code}: {fault.text}" if fault is not None else f"to {state.borrower}" if state.borrower else ""
        return Away(public_phase(state), reason, next_try)

    # Its life

    def start(self) -> None:
        """Open the stable ports, then want the bench up."""
        self.ports.open()
        self.driver.post(ev.StartAsked())

    def reconfigure(self, config: BenchConfig) -> None:
        """Take a new configuration that keeps the ports; restart OpenOCD only if it would be started differently."""
        old, self.config = self.config, config
        relaunch = (spec_of(old), old.probe) != (spec_of(config), config.probe)
        if self._looks.selector != self.selector:
            self._looks = self._new_looks()
        self._looks.policy, self._looks.uids = eviction.Policy(config.holders.value), uids_of(config)
        if self._adopts and self._backend is not None and not self._outlives and not relaunch:
            self._log.info("adopt_from_the_next_start", pid=self._backend.pid)
        self.ports.reconfigure(config, relaunch=relaunch)
        self.driver.post(ev.PolicyChanged(policy_of(config), relaunch))

    async def end(self, *, park: bool = False) -> None:
        """Stop OpenOCD in order and in any case, then close the ports; `park` leaves debug sessions to the next daemon."""
        parked = self._backend if park and self._adopts and self._outlives and self.driver.state.phase in UP else None
        if parked is not None:
            parked.leave()
            self._log.info("openocd_parked", pid=parked.pid)
        else:
            self._adoption.refuse()
            self.driver.post(ev.StopAsked())
        self.lending.close("the daemon no longer manages this bench")
        if parked is None:
            await self._stopped()
        self.driver.close()
        self.ports.close(park=park)
        await self._tasks.cancel()

    @property
    def end_s(self) -> float:
        """Seconds that its OpenOCD is given to end: until SIGTERM is too long ago, until SIGKILL is, and a moment more."""
        return 2 * self.config.recovery.grace + 1.0

    async def _stopped(self) -> None:
        try:
            async with asyncio.timeout(self.end_s):
                await self.until(lambda state: state.phase is Phase.STOPPED)
        except TimeoutError:
            self._log.error("backend_left_behind", pid=self._backend.pid if self._backend else None)

    async def until(self, true: Callable[[State], bool]) -> State:
        """Wait until the state satisfies `true`; returns that state. The caller sets the limit."""
        while not true(self.driver.state):
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            try:
                await waiter
            finally:
                with suppress(ValueError):  # a change has taken them all out
                    self._waiters.remove(waiter)
        return self.driver.state

    def _changed(self, before: State, after: State) -> None:
        usable = after.phase in UP
        if after.borrower is not None and after.borrower != before.borrower:
            self.ports.lent(after.borrower)
        dead = dead_reasons(after)
        self.ports.recovering(after.phase is not Phase.READY and not (dead and not after.lost))
        if usable and self._backend is not None and after.backend is not None and not self.ports.exposed:
            self.ports.expose(self._backend.ports, after.backend, tuple(target.name for target in after.targets), dead)
            self._resets = False  # counted
        elif not usable:
            fault = shown_fault(after)
            self.ports.hide(public_phase(after) + (f", {fault.text}" if fault is not None else ""))
        self.ports.silent(dead)
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)
        if before.phase is not after.phase or before.fault != after.fault:
            self._shared.changed()

    # What the core asks for

    def _perform(self, effect: ef.Effect) -> None:
        match effect:
            case ef.Launch(run, profile):
                self._launch(run, profile)
            case ef.Terminate():
                self._terminate()
            case ef.Kill():
                self._kill()
            case ef.Beat() | ef.VerifyCore() | ef.Examine() | ef.RestoreResetConfig():
                self._ask_backend(effect)
            case ef.LookForProbe():
                self._look("look-for-probe", self._looks.probe)
            case ef.LookForHolders(force):
                self._look("look-for-holders", lambda: self._looks.holders(force=force))
            case ef.EndHolder(pid, start):
                self._look("end-holder", lambda: self._looks.end(pid, start))
            case ef.ResetUsb(how):
                self._look(how.value, lambda: self._looks.reset_usb(how))
            case ef.Note():
                raise AssertionError("the driver writes notes itself")

    def _look(self, name: str, look: Callable[[], Any]) -> None:
        looks = self._looks

        async def report() -> None:
            seen = await look()
            if seen is None or (looks is not self._looks and not isinstance(seen, ev.HolderEnded)):
                return  # the other probe, of before a reload
            self.driver.post(seen)
            self._evictions.heard(seen)
            if isinstance(seen, ev.UsbWasReset) and seen.wedged:
                self.driver.post(await self._looks.usb_free())

        self._tasks.spawn(name, report())

    async def evict(self, *, force: bool, limit_s: float, by: str = "") -> tuple[tuple[ev.HolderSeen, ...], frozenset[int]]:
        """End the holders that may be ended (`Evictions.ask`)."""
        return await self._evictions.ask(force=force, limit_s=limit_s, by=by)

    def _ask_backend(self, effect: ef.Beat | ef.VerifyCore | ef.Examine | ef.RestoreResetConfig) -> None:
        if self._backend is None:
            return
        match effect:
            case ef.Beat():
                self._backend.beat()
                self._backend.note_work(self._work())
            case ef.VerifyCore(_, names):
                self._backend.verify(names)
            case ef.Examine():
                self._backend.examine()
            case ef.RestoreResetConfig():
                self._backend.restore_reset_config()

    def _launch(self, run: int, profile: ef.Profile) -> None:
        version = self._shared.versions.known(self.config.openocd.binary)
        if version is not None and not self._must_look:
            self._start_backend(run, profile, version, spec_of(self.config))
        else:
            self._launching = self._tasks.spawn("launch", self._ask_and_launch(run, profile))
            self._launching.add_done_callback(partial(self._launch_over, run))

    def _launch_over(self, run: int, task: asyncio.Task[None]) -> None:
        """A launch that came to nothing has to be told, also when its task never began (then nothing inside it runs)."""
        if task.cancelled():
            self._launch_broke(run, "the launch was given up")
        elif (error := task.exception()) is not None:
            self._launch_broke(run, f"OpenOCD could not be started: {error!r}")

    def _launch_broke(self, run: int, why: str) -> None:
        """No fault of the configuration: it may go better the next time."""
        self._launching = None
        self.driver.post(ev.LaunchFailed(run, "backend-exited", why[:200]))

    async def _ask_and_launch(self, run: int, profile: ef.Profile) -> None:
        try:
            version = await self._shared.versions.ask(self.config.openocd.binary)
        except BackendError as error:
            self._launching = None
            self.driver.post(ev.LaunchFailed(run, "backend-missing", str(error)))
            return
        found = await self._looks.opening() if self._must_look else Absent("")
        self._launching = None
        if isinstance(found, Ambiguous) or (isinstance(found, Absent) and self._looks.known):
            self.driver.post(ev.LaunchFailed(run, "probe-absent", found.text))
            return
        if isinstance(found, Found):
            self.driver.post(present(found.probe))
        self._start_backend(run, profile, version, pinned(spec_of(self.config), found, version))

    @property
    def _adopts(self) -> bool:
        return self.config.adopt and self._shared.store.there

    @property
    def _must_look(self) -> bool:
        """Whether OpenOCD might take another probe, or a replug is to be noticed."""
        return self.has_usb or self.config.probe.serial is None

    def _start_backend(self, run: int, profile: ef.Profile, version: Version, spec: command.BackendSpec) -> None:
        token = f"ocdsup-ready-{os.urandom(8).hex()}"
        launch = command.LaunchProfile(profile.under_reset, profile.speed_khz, profile.after, profile.held)
        try:
            ports = self.ports.private(version)
            argv = command.argv(spec, version, launch, ports, token)
            self._start = command.argv(spec, version, command.LaunchProfile(), ports, "")
            orphan = self._adoption.take(self._start if self._adopts else ())
            if orphan is not None:
                self._log.info("openocd_taken_up", pid=orphan.record.pid)
            self._outlives = self._adopts
            order = Order(run, argv, token, version, ports, self._shared.catalogue, self._outlives, orphan)
            lively = self.ports.lively
            self._backend = LiveBackend(order, self._from_backend, self.ring, self._tasks, self._log, lively)
            self._resets, self._reached = profile.after in ef.RESETS, False
            self.ports.left_work = self._backend.outlive
        except (BackendError, ValueError) as error:
            self.driver.post(ev.LaunchFailed(run, "backend-missing", str(error)))
        except Exception as error:  # noqa: BLE001  # whatever it was (no descriptor, no thread): the core waits for an answer
            self._failed("launch", error)
            self._launch_broke(run, f"OpenOCD could not be started: {error!r}")

    def _from_backend(self, event: ev.Event) -> None:
        if isinstance(event, ev.BackendExited):
            if self._resets and (self._reached or event.fault not in _NEVER_OPENED):
                self.ports.half_reset()
            self.ports.hide(f"OpenOCD ended: {event.status}")
            self._backend = None
            self._adoption.drop()
            self._looks.closed()
        elif isinstance(event, ev.BackendReady) and self._adopts and self._outlives and self._backend is not None:
            self._adoption.keep(self._backend.held, self._backend.record(self._start))
        elif isinstance(event, ev.VoltageSeen):
            self._reached = True
        elif isinstance(event, ev.TargetSeen):
            self.ports.target_seen(event.target, halted=event.state == "halted")
        self.driver.post(event)
        if isinstance(event, ev.LineFound) and event.finding == "target-recovered":
            self.ports.reexamined(event.target)

    def _terminate(self) -> None:
        borrower = self.driver.state.borrower
        self.ports.hide("OpenOCD is being stopped" if borrower is None else f"the probe is lent to {borrower}")
        if self._backend is not None:
            self._backend.terminate()
        elif self._launching is not None:
            self._launching.cancel()

    def _kill(self) -> None:
        self.ports.hide("OpenOCD does not react")
        if self._backend is not None:
            self._backend.kill()
        elif self._launching is not None:
            self._launching.cancel()
