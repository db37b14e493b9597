"""Live benches on a simulated probe, with programs that pass for OpenOCD or the real one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from ocdsup.config.model import Backoff, Bench, OpenOcd, Ports, Probe, Recovery
from ocdsup.core import events as ev
from ocdsup.core.state import Phase
from ocdsup.openocd.catalogue import load_builtin
from ocdsup.runtime.bench import LiveBench, Shared
from ocdsup.runtime.fd_store import Store
from ocdsup.runtime.inherited import Inherited
from ocdsup.runtime.systemd import Notify
from ocdsup.runtime.tasks import Tasks
from ocdsup.runtime.versions import Versions
from ocdsup.sim.server import SimServer
from tests.runtime import fake_openocd
from tests.runtime.kept_log import KeptLog

PATIENCE_S = 30.0
QUICK = Recovery(start_timeout=20.0, hang_timeout=20.0, grace=2.0, backoff=Backoff(0.05, 2.0, 0.1))


class Rig:
    """Makes benches that share what benches of one daemon share."""

    def __init__(self, folder: Path, sim: SimServer) -> None:
        self.folder = folder
        self.sim = sim
        self.log = KeptLog()
        self.tasks = Tasks(self.log.failed)
        self.benches: list[LiveBench] = []
        self.changes = 0
        self.shared = Shared(
            catalogue=load_builtin(),
            versions=Versions(),
            tasks=self.tasks,
            log=self.log,
            own_pids=lambda: frozenset(b.backend_pid for b in self.benches if b.backend_pid is not None),
            answer=self._answer,
            changed=self._changed,
            store=Store(Notify(""), Inherited()),
        )

    async def _answer(self, verb: str, _args: dict[str, Any]) -> str:
        return f"answer to {verb}"

    def _changed(self) -> None:
        self.changes += 1

    def config(self, body: str = fake_openocd.WELL, name: str = "nucleo", **changes: Any) -> Bench:
        """A bench on the first simulated probe whose OpenOCD is a program of the test."""
        binary = fake_openocd.write(self.folder / f"openocd-{name}", body)
        probe = self.sim.probes[0]
        return replace(
            Bench(
                name,
                OpenOcd(("interface/stlink.cfg", "target/stm32f4x.cfg"), binary),
                Probe("0483:374b", probe.serial, server=f"127.0.0.1:{self.sim.port}"),
                Ports(0, 0),
                bind=("127.0.0.1",),
                recovery=QUICK,
            ),
            **changes,
        )

    def real(self, name: str = "nucleo", **changes: Any) -> Bench:
        """The same with the installed OpenOCD."""
        usual = self.config(name=name)
        return replace(usual, openocd=replace(usual.openocd, binary="openocd"), **changes)

    def bench(self, config: Bench | None = None) -> LiveBench:
        """A bench that was not started yet."""
        self.benches.append(LiveBench(config or self.config(), self.shared))
        return self.benches[-1]

    async def up(self, config: Bench | None = None) -> LiveBench:
        """A bench that is ready."""
        bench = self.bench(config)
        bench.start()
        await phase(bench, Phase.READY)
        return bench

    async def end(self) -> None:
        await asyncio.gather(*(bench.end() for bench in self.benches))
        await self.tasks.cancel()
        wrong = [line for line in self.log.lines if line[1] in {"task_failed", "bench.step_failed", "backend_left_behind"}]
        assert wrong == []


async def phase(bench: LiveBench, *phases: Phase) -> None:
    """Wait until the bench is in one of the phases."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            await bench.until(lambda state: state.phase in phases)
    except TimeoutError:
        lines = "\n".join(str(line["text"]) for line in bench.ring.last(30))
        raise AssertionError(f"not {phases} but {bench.driver.state.phase}:\n{lines}") from None


def posted(bench: LiveBench, monkey: Any) -> list[ev.Event]:
    """Record what the bench decides about, from now on."""
    events: list[ev.Event] = []
    post: Callable[[ev.Event], None] = bench.driver.post

    def record(event: ev.Event) -> None:
        events.append(event)
        post(event)

    monkey.setattr(bench.driver, "post", record)
    return events
