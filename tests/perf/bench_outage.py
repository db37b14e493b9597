"""OpenOCD killed under the stable GDB port: attaches that wait, and sessions that live on. Real OpenOCD, simulated board."""

from __future__ import annotations

import os
import random
import re
import select
import signal
import threading
from pathlib import Path
from time import perf_counter

from ocdsup.demo.stage import Stage
from tests.perf.common import Row, configured, free_port, median, pause, plain_openocd
from tests.perf.rsp_client import RspClient

ATTACHES, KILLS, LONGEST_S = 20, 50, 0.25
LISTENERS = 3  # of OpenOCD: GDB, telnet, Tcl
PATIENCE_S = 30.0  # only a broken run gets there
FAREWELL_S = 0.2  # for the debugger of before, whose core is left as it should be before anybody else is served
SEED = 20260101
# Kills come faster than any real fault: neither back-off nor the limit on restarts is what is measured.
PATIENT = """\
    recovery: {{backoff: {{first: 1ms, limit: 1ms}}, intensity: {{restarts: 1000, period: 1m}}}}
"""
CPUID = (b"mE000ED00,4", b"41c20f41")  # Cortex-M4 r0p1, as the target sends it: little endian


def _listening() -> frozenset[int]:
    found = re.findall(r"^ *\d+: \w+:(\w+) \S+ 0A ", Path("/proc/net/tcp").read_text(), re.MULTILINE)
    return frozenset(int(port, 16) for port in found)


def _announced(stage: Stage) -> list[int]:
    """The private ports of the OpenOCD of the moment."""
    lines = "\n".join(str(line["text"]) for line in stage.ask("logs", lines=100)["lines"])
    return [int(port) for port in re.findall(r"Listening on port (\d+) for", lines)[-LISTENERS:]]


class Watch:
    """Notes when listeners appear, of whomever."""

    def __init__(self) -> None:
        self._seen: dict[int, float] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, args=(_listening(),))
        self._thread.start()

    def _look(self, known: frozenset[int]) -> None:
        while not self._over.wait(0.001):
            for port in _listening() - known:
                self._seen.setdefault(port, perf_counter())

    def wait(self, ports: list[int]) -> None:
        """Until all of these have appeared; the thread may see them later than a client does. Raises TimeoutError."""
        end = perf_counter() + PATIENCE_S
        while missing := set(ports) - self._seen.keys():
            if perf_counter() > end:
                self._over.set()
                raise TimeoutError(f"nobody has begun to listen on {sorted(missing)}; new were {sorted(self._seen)}")
            pause(0.0005)

    def stop(self, ports: list[int]) -> float:
        """Return when the last of these appeared."""
        self.wait(ports)
        self._over.set()
        self._thread.join()
        return max(self._seen[port] for port in ports)


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
    pause(FAREWELL_S)
    kill(pid)
    watch = Watch()
    try:
        client = RspClient(port)
        answered = client.ask(CPUID[0]) == CPUID[1]
        at = perf_counter()
        client.close()
    except OSError:
        answered, at = False, perf_counter()
    return answered, at - watch.stop(_announced(stage))


def _straight(stage: Stage, number: int) -> float:
    """Start a plain OpenOCD and attach to it without ocdsup; seconds after its last listener appeared."""
    ports = [free_port() for _ in range(LISTENERS)]
    words = [f"{name}_port {port}" for name, port in zip(("gdb", "telnet", "tcl"), ports, strict=True)]
    watch = Watch()
    program = stage.start(f"straight-{number}", plain_openocd(stage.sim_port, *words))
    watch.wait(ports)
    client = RspClient(ports[0])
    client.ask(CPUID[0])
    at = perf_counter()
    client.close()
    seconds = at - watch.stop(ports)
    program.end()
    return seconds


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


def _worst(seconds: list[float]) -> str:
    return f"best {1000 * min(seconds):.1f}, worst {1000 * max(seconds):.1f}"


def run() -> list[Row]:
    """Attaches in outages first, then one session over many kills."""
    chance = random.Random(SEED)
    with Stage(0, 0) as stage:
        stage.start_sim()
        with configured(PATIENT):
            stage.start_daemon()
        with Stage(0, 0) as bare:
            bare.start_sim()
            both = [(_attach(stage), _straight(bare, number)) for number in range(ATTACHES)]
        attaches, straight = [one for one, _ in both], [one for _, one in both]
        port, _ = _ready(stage)
        client = RspClient(port)
        kept = [_survives(stage, client, chance) for _ in range(KILLS)]
        client.close()
    after = [seconds * 1000 for answered, seconds in attaches if answered]
    spread = _worst([ms / 1000 for ms in after]) if after else ""
    return [
        Row("attach in an outage: answered, %", 100 * len(after) / ATTACHES, 100, at_least=True),
        Row("attach in an outage: answered after OpenOCD listens, ms", median(after or [1e9]), 10, spread),
        Row("without ocdsup: answered after OpenOCD listens, ms", 1000 * median(straight), None, _worst(straight)),
        Row("live sessions kept over random kills, %", 100 * sum(kept) / KILLS, 100, f"{KILLS} kills", at_least=True),
    ]
