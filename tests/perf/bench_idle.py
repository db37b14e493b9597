"""An idle daemon with one bench, beside supervisord with the same OpenOCD as its child."""

from __future__ import annotations

import subprocess
import sys
import threading
from importlib.util import find_spec
from pathlib import Path

from ocdsup.demo.stage import Stage, until
from tests.perf.common import Row, cpu_s, uss_kib, wakeups

SETTLE_S, WATCH_S = 12.0, 30.0
SUPERVISORD = """\
[supervisord]
nodaemon=true
logfile={folder}/supervisord-main.log
pidfile={folder}/supervisord.pid
[program:openocd]
command=/bin/sleep 3600
"""


def _pause(seconds: float) -> None:
    threading.Event().wait(seconds)


def run() -> list[Row]:
    """Both daemons side by side over the same seconds. supervisord comes from its Debian or PyPI package."""
    if find_spec("supervisor") is None:
        subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "supervisor", "setuptools<81"], check=True)
    with Stage(0, 0) as stage:
        stage.start_sim()
        stage.start_daemon()
        stage.await_bench("be ready", lambda bench: bench["phase"] == "ready")
        config = Path(stage.folder, "supervisord.conf")
        config.write_text(SUPERVISORD.format(folder=stage.folder))
        peer = stage.start("supervisord", [sys.executable, "-m", "supervisor.supervisord", "-c", str(config)])
        until("see supervisord up", lambda: Path(stage.folder, "supervisord.pid").exists(), 20)
        ours = stage.daemon.pid
        _pause(SETTLE_S)
        before = cpu_s(ours), cpu_s(peer.pid), wakeups(ours)
        _pause(WATCH_S)
        cpu, peer_cpu, woke = cpu_s(ours) - before[0], cpu_s(peer.pid) - before[1], wakeups(ours) - before[2]
        memory, peer_memory = uss_kib(ours), uss_kib(peer.pid)
    tick = 0.01  # a clock tick: below that /proc does not tell
    return [
        Row("idle wake-ups per second", woke / WATCH_S, 2.0, f"{woke} in {WATCH_S:g} s"),
        Row("idle CPU / supervisord", max(cpu, tick) / max(peer_cpu, tick), 1.3, f"{cpu:.2f} s / {peer_cpu:.2f} s"),
        Row("idle USS / supervisord", memory / peer_memory, 1.3, f"{memory} KiB / {peer_memory} KiB"),
    ]
