"""The daemon: configuration in, everything wired, nothing decided."""

from __future__ import annotations

import asyncio
import os
import signal
import traceback
from dataclasses import replace
from typing import Any

import ocdsup
from ocdsup.config.exchange import Checked
from ocdsup.config.model import Bench as BenchConfig
from ocdsup.config.model import Config
from ocdsup.config.paths import control_path
from ocdsup.core.state import Phase
from ocdsup.core.status import whole
from ocdsup.errors import ConfigError, ControlError
from ocdsup.runtime import adoption, catalogue_file, config_file
from ocdsup.runtime.bench import LiveBench, Shared
from ocdsup.runtime.control_port import ControlPort
from ocdsup.runtime.fd_store import Given, Store, from_manager
from ocdsup.runtime.hotplug import HotPlug
from ocdsup.runtime.privileges import keep_to_ourselves
from ocdsup.runtime.service import START_S, Service, Vital, settled
from ocdsup.runtime.systemd import Notify
from ocdsup.runtime.tasks import Tasks
from ocdsup.runtime.telnet_port import Answer
from ocdsup.runtime.unclaimed import Unclaimed
from ocdsup.runtime.unfinished import spare_flash
from ocdsup.runtime.verbs import Verbs
from ocdsup.runtime.versions import Versions


class Daemon:
    """All benches, the control socket, and the signals."""

    def __init__(self, file: str, checked: Checked, log: Any, given: Given) -> None:
        self._file = file
        self._config = checked.config
        self._log = log
        self._loop = asyncio.get_running_loop()
        self._began = self._loop.time()
        self._ended = asyncio.Event()
        self._hurry = asyncio.Event()
        self._given = given
        self._inherited = given.listeners
        notify = Notify()
        self._store = Store(notify, given.listeners)
        self._unclaimed = Unclaimed(given.listeners, self._store, log)
        self._service = Service(notify, self._vitals, log)
        self._tasks = Tasks(self._failed)
        self._catalogue = catalogue_file.load()
        self._versions = Versions()
        self._benches: list[LiveBench] = []
        self._verbs = Verbs(lambda: self._benches, self.snapshot, self.reload)
        self._control: ControlPort | None = None
        self._reloading = asyncio.Lock()
        self._applying = asyncio.Lock()
        self._hotplug = HotPlug(lambda: self._benches, self._tasks)
        self._warn(checked)

    def _failed(self, task: str, error: BaseException) -> None:
        self._log.error("task_failed", task=task, error=repr(error)[:500])

    def _fault(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """A mistake of ours in a callback: asyncio's own report would go past the log."""
        error = context.get("exception")
        frames = traceback.extract_tb(error.__traceback__) if error is not None else []
        place = f"{frames[-1].filename}:{frames[-1].lineno}" if frames else ""
        self._log.error("callback_failed", text=str(context["message"]), error=repr(error)[:500], place=place)

    def snapshot(self) -> dict[str, Any]:
        """The status object of the contract."""
        uptime = self._loop.time() - self._began
        benches = [bench.snapshot() for bench in self._benches]
        return whole(benches, ocdsup.__version__, os.getpid(), uptime, self._unclaimed.notes)

    async def run(self) -> None:
        """Serve until SIGTERM or SIGINT. Raises ControlError when the control socket is another daemon's."""
        self._loop.set_exception_handler(self._fault)
        path = self._config.control or control_path(os.geteuid(), os.environ.get("XDG_RUNTIME_DIR"))
        given = self._inherited.unix(path)
        self._control = ControlPort(path, self._verbs.carry_out, self._tasks, self._failed, self._log, given)
        for number in (signal.SIGTERM, signal.SIGINT):
            self._loop.add_signal_handler(number, self._asked_to_end)
        self._loop.add_signal_handler(signal.SIGHUP, self._hup)
        self._log.info("daemon_started", version=ocdsup.__version__, config=self._file, control=path, pid=os.getpid())
        for config in self._config.benches:
            self._add(config)
        self._take_up()
        self._hotplug.begin()
        self._service.start()
        self._settle_sockets()
        await self._ended.wait()
        await self._end()

    def _take_up(self) -> None:
        """Go on with the debug sessions of the previous daemon; what cannot be gone on with leaves the store, and ends."""
        for kept in self._given.sessions:
            if any(bench.ports.adopt(kept) for bench in self._benches):
                self._log.info("session_taken_up", name=kept.name, port=kept.port)
            else:
                self._log.warning("session_given_up", name=kept.name, error=f"no bench has port {kept.port}")
                self._store.drop(kept.name)
                kept.close()
        for telnet in self._given.telnets:
            if not any(bench.ports.adopt_telnet(telnet) for bench in self._benches):
                self._store.drop(telnet.name)
                telnet.sock.close()
        for bench, orphan in self._given.orphans.items():
            self._log.warning("openocd_given_up", bench=bench, pid=orphan.record.pid, error="no bench has this name")
            orphan.end()
            self._store.drop(adoption.NAME + bench)
        for name, why in self._given.broken:
            self._log.warning("session_given_up", name=name, error=why)
            self._store.drop(name)

    def _settle_sockets(self) -> None:
        """Once each bench has its verdict, and so its ports: nobody waits for ever at one that no bench has."""
        if self._service.ready and not self._reloading.locked():
            self._unclaimed.settle()
            self._service.noted(self._unclaimed.notes)

    def _asked_to_end(self) -> None:
        """The first signal ends in order, a second one without waiting for a write to flash memory."""
        if self._ended.is_set():
            self._hurry.set()
        self._ended.set()

    def _vitals(self) -> list[Vital]:
        return [
            Vital(
                bench.name,
                bench.snapshot()["summary"],
                settled(bench.driver.state),
                bench.driver.late_s(),
                bench.flashing,
                bench.config.recovery.start_timeout + bench.config.recovery.grace + START_S,
                bench.end_s,
            )
            for bench in self._benches
        ]

    def _add(self, config: BenchConfig) -> None:
        bench = LiveBench(config, self._shared(config.name))
        self._benches.append(bench)
        bench.start()

    def _shared(self, name: str) -> Shared:
        return Shared(
            catalogue=self._catalogue,
            versions=self._versions,
            tasks=self._tasks,
            log=self._log,
            own_pids=self._own_pids,
            answer=self._telnet_answer(name),
            changed=self._changed,
            store=self._store,
            orphans=self._given.orphans,
        )

    def _own_pids(self) -> frozenset[int]:
        """Ourselves too: a look asks the ST-LINK server over a connection of ours, which is one to the probe."""
        return frozenset({os.getpid(), *(bench.backend_pid for bench in self._benches if bench.backend_pid is not None)})

    def _telnet_answer(self, name: str) -> Answer:
        async def answer(verb: str, args: dict[str, Any]) -> str:
            return await self._verbs.telnet(self._verbs.bench(name), verb, args)

        return answer

    def _changed(self) -> None:
        self._service.changed()
        self._settle_sockets()
        self._verbs.changed()

    def _hup(self) -> None:
        self._tasks.spawn("reload", self._reload_and_log())

    async def _reload_and_log(self) -> None:
        try:
            await self.reload()
        except ControlError as error:
            self._log.error("reload_refused", text=str(error))

    async def reload(self) -> str:
        """Read the configuration again; with any problem in it the old one stays. Raises ControlError."""
        async with self._reloading:
            with self._service.reloading():
                done = await self._read_and_apply()
        self._settle_sockets()
        return done

    async def _read_and_apply(self) -> str:
        try:
            checked = await config_file.read_again(self._file)
        except ConfigError as error:
            raise ControlError("bad-config", f"use {self._file}", str(error), "the running configuration stays") from error
        async with self._applying:
            if self._ended.is_set():
                raise ControlError("refused", f"use {self._file}", "the daemon is about to end")
            done = await self._apply(checked.config)
        return "; ".join([done, *self._warn(checked)])

    def _warn(self, checked: Checked) -> list[str]:
        """Say what its owner should know of a configuration that is in force nevertheless; returns the words."""
        told = [str(warning) for warning in checked.warnings]
        if checked.config.control != self._config.control:
            told.append("`control` has changed: the socket stays where it is until the daemon is restarted")
        for text in told:
            self._log.warning("config_warning", text=text)
        return told

    async def _apply(self, new: Config) -> str:
        """Benches that are gone end; new ones start; changed and failed ones try again; the others notice nothing.

        A failed bench has the advice to mend what may lie outside our file (OpenOCD itself, a board file), then to reload.
        """
        old = {bench.name: bench for bench in self._benches}
        wanted = {config.name: config for config in new.benches}
        gone = [bench for name, bench in old.items() if name not in wanted or _moved(bench.config, wanted[name])]
        changed = [bench for bench in self._benches if bench not in gone and bench.config != wanted[bench.name]]
        for bench in (*gone, *changed):
            spare_flash(bench, "use the new configuration", hint="or `ocdsup stop --force`; the running configuration stays")
        for bench in gone:
            self._benches.remove(bench)
            await self._part_with(bench)
        if gone:
            await self._store.written()  # the manager lets go of their ports
        failed = [bench for bench in self._benches if bench not in changed and bench.driver.state.phase is Phase.FAILED]
        for bench in (*changed, *failed):
            bench.reconfigure(wanted[bench.name])
        fresh = [config for config in new.benches if config.name not in {bench.name for bench in self._benches}]
        for config in fresh:
            self._add(config)
        self._benches.sort(key=lambda bench: list(wanted).index(bench.name))  # a person looks for them where the file has them
        self._hotplug.begin()
        self._config = replace(new, control=self._config.control)
        again = f", {len(failed)} tried again" if failed else ""
        text = f"{len(changed)} changed, {len(fresh)} started, {len(gone)} ended{again}, others untouched"
        self._log.info("reloaded", text=text)
        self._changed()
        return text

    async def _end(self) -> None:
        self._log.info("daemon_stopping")
        await self._service.stopping(self._hurry)
        async with self._applying:  # no bench is between two lists, and none is started any more
            self._hotplug.close()
            await asyncio.gather(*(self._part_with(bench, park=self._store.there) for bench in self._benches))
        if self._control is not None:
            self._control.close()
        await self._tasks.cancel()
        self._service.close()
        self._unclaimed.close()
        self._inherited.close()
        self._log.info("daemon_stopped")

    async def _part_with(self, bench: LiveBench, *, park: bool = False) -> None:
        """End a bench. A mistake about one keeps neither the others nor the daemon from their end."""
        try:
            await bench.end(park=park)
        except Exception as error:  # noqa: BLE001  # whatever it was, it is logged
            self._failed(f"end of {bench.name}", error)


def _moved(old: BenchConfig, new: BenchConfig) -> bool:
    """Whether the stable ports themselves change, or who may use them and for what, or the way to the probe (USB, a server).

    No session can survive that.
    """
    usb = (old.probe.server is None, new.probe.server is None)
    return usb[0] != usb[1] or (old.ports, old.bind, old.allow, old.monitor) != (new.ports, new.bind, new.allow, new.monitor)


async def serve(file: str, checked: Checked, log: Any) -> None:
    """Run the daemon on a configuration that was found good."""
    keep_to_ourselves()
    await Daemon(file, checked, log, from_manager()).run()
