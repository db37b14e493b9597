"""`ocdsup status` against a running daemon, as a whole process, beside `python -c pass`."""

from __future__ import annotations

import subprocess
import sys
from time import perf_counter

from ocdsup.demo.stage import Stage
from tests.perf.common import Row, interleaved, median

ROUNDS = 25


def _timed(argv: list[str]) -> float:
    began = perf_counter()
    subprocess.run(argv, stdout=subprocess.DEVNULL, check=True)
    return perf_counter() - began


def run() -> list[Row]:
    """Pairs of both commands."""
    with Stage(0, 0) as stage:
        stage.start_sim()
        stage.start_daemon()
        stage.await_bench("be ready", lambda bench: bench["phase"] == "ready")
        status = [sys.executable, "-m", "ocdsup", "--socket", str(stage.control), "status"]
        ours, bare = interleaved(ROUNDS, lambda: _timed(status), lambda: _timed([sys.executable, "-c", "pass"]))
    detail = f"{median(ours) * 1000:.0f} ms / {median(bare) * 1000:.0f} ms"
    return [Row("ocdsup status / python -c pass", median(ours) / median(bare), 3.0, detail)]
