"""Gap from `kill -9` of OpenOCD to a GDB port that answers, beside a bare OpenOCD start on the same simulated probe."""

from __future__ import annotations

import subprocess
from contextlib import suppress
from time import perf_counter

from ocdsup.demo.stage import Stage, StageError
from tests.perf.bench_outage import CPUID, kill
from tests.perf.common import Row, free_port, median, noise, pause, plain_openocd
from tests.perf.rsp_client import RspClient

ROUNDS = 9


def _usable(port: int, process: subprocess.Popen[bytes] | None = None) -> None:
    """Return when a debugger that attaches here has read the core's CPUID, which nobody but OpenOCD can know."""
    while process is None or process.poll() is None:
        with suppress(OSError):
            client = RspClient(port)
            read = client.ask(CPUID[0])
            client.close()
            if read == CPUID[1]:
                return
        pause(0.001)
    raise StageError("start a bare OpenOCD", f"it ended with {process.returncode}")


def _bare(stage: Stage, *, under_reset: bool) -> float:
    """Seconds from the start of a plain OpenOCD to an answer of its GDB port."""
    reset = "reset_config srst_only srst_nogate connect_assert_srst"
    port = free_port()
    words = [f"gdb_port {port}", "tcl_port disabled", "telnet_port disabled"]
    after = [reset, "init", "reset run"] if under_reset else ["init"]
    argv = plain_openocd(stage.sim_port, *words, *after)
    began = perf_counter()
    process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _usable(port, process)
        return perf_counter() - began
    finally:
        process.terminate()
        process.wait()


def _gap(stage: Stage, *, early: bool) -> float:
    """Seconds from SIGKILL to an answer on the stable port."""
    bench = stage.await_bench("be ready", lambda b: b["phase"] == "ready" and (early or b["backend"]["uptime_s"] > 1.5), 60)
    port, pid = bench["ports"]["gdb"][0], bench["backend"]["pid"]
    began = perf_counter()
    kill(pid)
    _usable(port)
    return perf_counter() - began


def _recovery(stage: Stage) -> float:
    """Seconds from the verdict (third failed examination) to a verified core, as the daemon recorded it."""
    before = len(stage.await_bench("be ready", lambda b: b["phase"] == "ready", 60)["recoveries"])
    stage.tell_sim({"break": "silent"})
    stage.await_bench("see the verdict", lambda b: b["phase"] not in {"ready", "degraded"}, 30)
    stage.tell_sim({"heal": None})
    bench = stage.await_bench("recover", lambda b: b["phase"] == "ready" and len(b["recoveries"]) > before, 60)
    took: float = bench["recoveries"][-1]["took_s"]
    return took


def run() -> list[Row]:
    """Both kinds of gap, each beside its bare start, in turn."""
    gaps, early, bares, resets, recoveries = [], [], [], [], []
    for _ in range(ROUNDS):
        with Stage(0, 0) as stage:
            stage.start_sim()
            bares.append(_bare(stage, under_reset=False))
            resets.append(_bare(stage, under_reset=True))
            stage.start_daemon()
            gaps.append(_gap(stage, early=False))
            early.append(_gap(stage, early=True))
        with Stage(0, 0) as stage:
            stage.start_sim()
            stage.start_daemon()
            recoveries.append(_recovery(stage))
    bare, reset = median(bares), median(resets)
    return [
        Row(
            "gap after kill -9 / bare start", median(gaps) / bare, 1.25, f"{median(gaps):.3f} s / {bare:.3f} s, {noise(bares)}"
        ),
        Row("gap, child just up / bare start", median(early) / bare, 1.25, f"{median(early):.3f} s / {bare:.3f} s"),
        Row("verdict to verified core / bare start under reset", median(recoveries) / reset, 2.0, f"/ {reset:.3f} s"),
    ]
