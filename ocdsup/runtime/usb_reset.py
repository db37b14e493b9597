"""The USB rungs of recovery: reset the probe's device, take it off the bus and back, cycle the power of its hub port.

A wedged ioctl sits in D state and cannot be interrupted, so each rung runs in a child process with a deadline, and the
daemon only waits for so long. Each touches this probe alone. Blocking, for a thread.
"""

import asyncio
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from ocdsup.core.effects import UsbCure
from ocdsup.probes.probe import Probe
from ocdsup.probes.selector import Found, pin
from ocdsup.runtime import usb

RESET_CODE = "import fcntl, os, sys; fcntl.ioctl(os.open(sys.argv[1], os.O_WRONLY), 0x5514)"
"""USBDEVFS_RESET is _IO('U', 20) (include/uapi/linux/usbdevice_fs.h)."""
REAUTHORISE_CODE = (
    "import sys, time; path = sys.argv[1]\n"
    "for value in '01':\n"
    "    with open(path, 'w') as file: file.write(value)\n"
    "    time.sleep(0.2)\n"
)
"""Deauthorised, a device keeps its power but loses its configuration (Documentation/usb/authorization.rst)."""
QUIET_S = 0.2
BACK_S = 5.0
"""Seconds that a probe gets to be on the bus again: enumeration takes a fraction of a second, udev's rules another."""
LOOK_S = 0.1
_NODE = "write access to the device node (group plugdev)"

_stuck: dict[str, subprocess.Popen[str]] = {}
"""By identity of the probe: a child that outlived SIGKILL, in D state, to be reaped when the kernel lets it go."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a rung came to. `wedged`: the child is stuck in the kernel, only a replug helps; do not retry."""

    ok: bool
    text: str
    wedged: bool = False


def carry_out(cure: UsbCure, probe: Probe, sys_root: Path = usb.SYS, dev: Path = usb.DEV) -> tuple[Outcome, str]:
    """Do one of the cures and wait until the probe is back; returns how it came out, and the probe's identity then.

    The identity is empty when the probe is not back. While an earlier cure of this very device sits in the kernel, nothing
    is done: the next one would sit down beside it.
    """
    if still_stuck(probe.identity):
        return Outcome(False, "an earlier USB reset is still stuck in the kernel: replug the probe", wedged=True), ""
    outcome = _CURES[cure](probe, sys_root=sys_root, dev=dev)
    return outcome, _back(probe, sys_root, dev) if outcome.ok else ""


def _back(probe: Probe, sys_root: Path, dev: Path) -> str:
    end, pause = monotonic() + BACK_S, threading.Event()
    while not isinstance(seen := usb.find(pin(probe), sys_root, dev), Found) or seen.probe.denied:
        if monotonic() > end:
            return ""
        pause.wait(LOOK_S)
    return seen.probe.identity


def still_stuck(identity: str) -> bool:
    """Tell whether a cure of this device still sits in the kernel."""
    child = _stuck.get(identity)
    if child is not None and child.poll() is not None:
        del _stuck[identity]
    return identity in _stuck


async def until_free(identity: str) -> None:
    """Wait until the kernel has let go of the cure of this device, if one is stuck."""
    if not still_stuck(identity):
        return
    gone, loop, pidfd = asyncio.Event(), asyncio.get_running_loop(), os.pidfd_open(_stuck[identity].pid)
    loop.add_reader(pidfd, gone.set)
    try:
        await gone.wait()
    finally:
        loop.remove_reader(pidfd)
        os.close(pidfd)
    still_stuck(identity)


def reset(probe: Probe, deadline_s: float = 5.0, sys_root: Path = usb.SYS, dev: Path = usb.DEV) -> Outcome:
    """Reset the probe's USB device; it keeps its number. Needs write permission on its node."""
    node = next((node.path for node in probe.nodes if node.kind == "usb"), None)
    if node is None or not _still_there(probe, sys_root, dev):
        return _moved(probe)
    return _run(probe, "USB reset", [sys.executable, "-I", "-S", "-c", RESET_CODE, node], deadline_s)


def reauthorise(probe: Probe, deadline_s: float = 5.0, sys_root: Path = usb.SYS, dev: Path = usb.DEV) -> Outcome:
    """Take the probe off the bus and back by software. Needs root (sysfs `authorized`)."""
    if probe.location is None or not _still_there(probe, sys_root, dev):
        return _moved(probe)
    path = sys_root / usb.DEVICES / probe.location / "authorized"
    argv = [sys.executable, "-I", "-S", "-c", REAUTHORISE_CODE, str(path)]
    return _run(probe, "USB re-authorisation", argv, deadline_s, needs="root, which the daemon is not")


def cycle_power(probe: Probe, deadline_s: float = 10.0, sys_root: Path = usb.SYS, dev: Path = usb.DEV) -> Outcome:
    """Switch the power of the probe's hub port off and on with uhubctl, where the hub can switch single ports."""
    if probe.location is None or not _still_there(probe, sys_root, dev):
        return _moved(probe)
    uhubctl = shutil.which("uhubctl")
    if uhubctl is None:
        return Outcome(False, "uhubctl is not installed; install it, or replug the probe")
    hub, port = hub_port(probe.location)
    return _run(probe, "port power", [uhubctl, "-l", hub, "-p", str(port), "-a", "cycle", "-d", "2"], deadline_s)


_CURES = {UsbCure.RESET: reset, UsbCure.REAUTHORISE: reauthorise, UsbCure.CYCLE_POWER: cycle_power}


def hub_port(location: str) -> tuple[str, int]:
    """Return the hub and the port on it, as uhubctl's -l and -p take them: `1-2.3` is port 3 of `1-2`, `1-2` port 2 of `1`."""
    cut = max(location.rfind("."), location.rfind("-"))
    return location[:cut], int(location[cut + 1 :])


def _still_there(probe: Probe, sys_root: Path, dev: Path) -> bool:
    """Only this probe: the device with its number must still be the one that was judged."""
    seen = usb.find(pin(probe), sys_root, dev)
    return isinstance(seen, Found) and seen.probe.identity == probe.identity


def _moved(probe: Probe) -> Outcome:
    return Outcome(False, f"{probe} is not on the bus as it was; look again")


def _run(probe: Probe, what: str, argv: Sequence[str], deadline_s: float, needs: str = _NODE) -> Outcome:
    child = subprocess.Popen(
        argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, errors="replace"
    )
    try:
        _, errors = child.communicate(timeout=deadline_s)
    except subprocess.TimeoutExpired:
        return _give_up(probe, what, child, deadline_s)
    if child.returncode == 0:
        return Outcome(True, f"{what} done")
    last = (errors.strip().splitlines() or [f"exit status {child.returncode}"])[-1]
    return Outcome(False, f"{what} failed: {last[:200]}{_rights(last, needs)}")


def _give_up(probe: Probe, what: str, child: subprocess.Popen[str], deadline_s: float) -> Outcome:
    child.kill()
    try:
        child.communicate(timeout=QUIET_S)
    except subprocess.TimeoutExpired:
        _stuck[probe.identity] = child
        return Outcome(False, f"{what} is stuck in the kernel since {deadline_s:g} s: replug the probe", wedged=True)
    return Outcome(False, f"{what} did not finish within {deadline_s:g} s")


def _rights(error: str, needs: str) -> str:
    """What is missing; for a service with ProtectKernelTunables= sysfs is a read-only file system."""
    refused = "PermissionError" in error or "Read-only file system" in error
    return f"; needs {needs}" if refused and os.geteuid() else ""
