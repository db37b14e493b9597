"""OpenOCD killed under the stable GDB port: attaches that wait, and sessions that live on. Real OpenOCD, simulated board."""

from __future__ import annotations

import os
import random
import select
import signal
import threading
from pathlib import Path
from time import perf_counter

from ocdsup.demo import stage as stages
from ocdsup.demo.stage import Stage
from tests.perf.common import Row, median
from tests.perf.rsp_client import RspClient

ATTACHES, KILLS, LONGEST_S = 12, 50, 0.25
SEED = 20260101
# Kills come faster than any real fault: neither back-off nor the limit on restarts is what is measured.
PATIENT = """\
    recovery: {{backoff: {{first: 1ms, limit: 1ms}}, intensity: {{restarts: 1000, period: 1m}}}}
"""
CPUID = (b"mE000ED00,4", b"41c20f41")  # Cortex-M4 r0p1, as the target sends it: little endian


def _listening() -> frozenset[str]:
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    return frozenset(fields[1] for fields in map(str.split, lines) if fields[3] == "0A")


class Watch:
    """Notes when the last of OpenOCD's new listeners appeared."""

    def __init__(self) -> None:
        self.at = 0.0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, args=(_listening(),))
        self._thread.start()

    def _look(self, known: frozenset[str]) -> None:
        while not self._over.wait(0.0005):
            now = _listening()
            if now - known:
                self.at = perf_counter()
            known |= now

    def stop(self) -> float:
        """Return when that was."""
        self._over.set()
        self._thread.join()
        return self.at


def kill(pid: int) -> None:
    """SIGKILL, and wait for the end."""
    pidfd = os.pidfd_open(pid)
    os.kill(pid, signal.SIGKILL)
    select.select([pidfd], [], [], 5)
    os.close(pidfd)


def _ready(stage: Stage) -> tuple[int, int]:
    """The stable port and OpenOCD's PID, once the bench is ready."""
    bench = stage.await_bench("be ready", lambda seen: seen["phase"] == "ready", 60)
    return bench["ports"]["gdb"][0], bench["backend"]["pid"]


def _attach(stage: Stage) -> tuple[bool, float]:
    """Kill OpenOCD, attach at once; whether it was answered, and seconds after OpenOCD's last listener appeared."""
    port, pid = _ready(stage)
    kill(pid)
    watch = Watch()
    try:
        client = RspClient(port)
        answered = client.ask(CPUID[0]) == CPUID[1]
        at = perf_counter()
        client.close()
    except OSError:
        answered, at = False, perf_counter()
    return answered, at - watch.stop()


def _survives(stage: Stage, client: RspClient, chance: random.Random) -> bool:
    """Kill OpenOCD at a random moment of a reading, stepping session; whether every answer before and after was right."""
    _, pid = _ready(stage)
    killer = threading.Timer(chance.uniform(0, LONGEST_S), kill, (pid,))
    killer.start()
    fine = True
    while killer.is_alive():
        fine &= _round(client)
    killer.join()
    return fine and _round(client)


def _round(client: RspClient) -> bool:
    """A read, a step and a register read, as a person who steps makes GDB do."""
    try:
        read = client.ask(CPUID[0])
        stop = client.ask(b"vCont;s")
        registers = client.ask(b"g")
    except OSError:
        return False
    return read == CPUID[1] and stop[:1] in (b"T", b"S") and len(registers) > 100


def run() -> list[Row]:
    """Attaches in outages first, then one session over many kills."""
    chance = random.Random(SEED)
    plain, stages.CONFIG = stages.CONFIG, stages.CONFIG + PATIENT
    try:
        with Stage(0, 0) as stage:
            stage.start_sim()
            stage.start_daemon()
            attaches = [_attach(stage) for _ in range(ATTACHES)]
            port, _ = _ready(stage)
            client = RspClient(port)
            kept = [_survives(stage, client, chance) for _ in range(KILLS)]
            client.close()
    finally:
        stages.CONFIG = plain
    after = [seconds * 1000 for answered, seconds in attaches if answered]
    spread = f"ms, worst {max(after):.1f}" if after else ""
    return [
        Row("attach in an outage: answered, %", 100 * len(after) / ATTACHES, 100, at_least=True),
        Row("attach in an outage: answered after OpenOCD listens, ms", median(after or [1e9]), 10, spread),
        Row("live sessions kept over random kills, %", 100 * sum(kept) / KILLS, 100, f"{KILLS} kills", at_least=True),
    ]
