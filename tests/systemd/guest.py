"""Runs in the machine, as root, with the installed package: what an administrator does and what must then be true.

Every check prints one line for the host, `ocdsup-check {"name": …, "ok": …, "detail": …}`; a failed one does not end the rest.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import ocdsup
from ocdsup.demo.gdb import Gdb

PATIENCE = 240.0  # seconds: an emulated processor is slow
PAUSE_S = 0.2  # between two looks, most of which start a program: without it the looks would slow down what they wait for
ELF = Path(ocdsup.__file__).parent / "sim/firmware/blink-f4.elf"
CONFIG = Path("/etc/ocdsup/ocdsup.yaml")
SIM = """\
[Service]
ExecStart=/opt/ocdsup/bin/ocdsup sim --control /run/board.sock
[Install]
WantedBy=multi-user.target
"""
# Any forbidden system call ends the process that made it, instead of an EPERM that somebody may swallow.
STRICT = "[Service]\nSystemCallErrorNumber=kill\n"
# Runs in the place of the daemon, in a unit that is the shipped one in all else: a real device on a real bus, with real libusb.
USB_CALLS = """
import select, subprocess
from ocdsup.probes.selector import Found, ProbeSelector
from ocdsup.runtime import usb, usb_reset
watch = usb.watch()
def until(there):
    while True:
        found = usb.find(ProbeSelector(vid_pid="0403:6001", serial="QEMU0001"))
        if isinstance(found, Found) and not found.probe.denied if there else not isinstance(found, Found):
            return found
        select.select([watch.fileno()], [], [], 1)  # udev gives rights a moment after the kernel tells
        watch.changed()
until(True)
print("it is there", type(watch).__name__, flush=True)
until(False)
print("it is gone", flush=True)
probe = until(True).probe
print(usb_reset.reset(probe).text, flush=True)
print(usb_reset.reauthorise(probe).text, flush=True)
ftdi = "adapter driver ftdi; ftdi vid_pid 0x0403 0x6001; adapter serial QEMU0001; ftdi layout_init 0 0; transport select jtag"
subprocess.run(["openocd", "-c", ftdi + "; adapter speed 100; init; shutdown"], stdin=subprocess.DEVNULL)
"""
CHECKS: list[Callable[[Bench], str | None]] = []


class Bench:
    """What the checks share: one debugger, which stays over all of them."""

    def __init__(self) -> None:
        self.gdb: Gdb | None = None
        self.hits = 0

    def debugger(self) -> Gdb:
        """The debugger that stays."""
        assert self.gdb is not None, "an earlier check did not get as far as a session"
        return self.gdb

    def attach(self) -> None:
        """Attach at the stable port and stop at the breakpoint."""
        self.gdb = Gdb(ELF)
        self.gdb.command("-gdb-set remotetimeout 120", PATIENCE)
        self.gdb.command("-gdb-set tcp connect-timeout 240", PATIENCE)
        self.gdb.command("-target-select extended-remote 127.0.0.1:3333", PATIENCE)
        self.gdb.command("-break-insert -h blink", PATIENCE)
        self.hit()
        self.hits = self.blinks()

    def hit(self) -> None:
        """On to the next stop at the breakpoint."""
        self.debugger().command("-exec-continue", PATIENCE)
        stop = self.debugger().wait_stop(PATIENCE)
        assert 'reason="breakpoint-hit"' in stop, stop

    def blinks(self) -> int:
        """How often the firmware has called `blink`."""
        found = re.search(r"(\d+)", self.debugger().command('-data-evaluate-expression "blinks"', PATIENCE))
        assert found is not None
        return int(found[1])

    def goes_on(self) -> None:
        """The same debugger hits its breakpoint exactly once more."""
        self.hit()
        self.hits += 1
        assert self.blinks() == self.hits, f"{self.blinks()} calls, {self.hits} stops"


def check(function: Callable[[Bench], str | None]) -> Callable[[Bench], str | None]:
    """Make a function one of the checks; in the order of the file."""
    CHECKS.append(function)
    return function


def sh(line: str, code: int | None = 0, limit_s: float = PATIENCE) -> str:
    """What a shell line prints; its exit code must be `code` unless that is None."""
    done = subprocess.run(
        line, shell=True, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=limit_s, check=False
    )
    said = done.stdout + done.stderr
    assert code is None or done.returncode == code, f"{line}: exit code {done.returncode}\n{said}"
    return said.strip()


def show(*names: str, unit: str = "ocdsup.service") -> dict[str, str]:
    """Properties of a unit."""
    lines = sh(f"systemctl show {unit} -p {','.join(names)}").splitlines()
    return dict(line.split("=", 1) for line in lines)


def main_pid() -> int:
    """The daemon's."""
    return int(show("MainPID")["MainPID"])


def until(what: str, look: Callable[[], object]) -> None:
    """Look again and again until something is true; nobody announces it, so there is no event to wait for."""
    end = time.monotonic() + PATIENCE
    while not look():
        assert time.monotonic() < end, f"did not {what}"
        time.sleep(PAUSE_S)


def ready() -> None:
    """Wait until the board can be debugged."""
    sh("ocdsup wait simulated --timeout 200s")


def another(than: int) -> None:
    """Wait for the daemon after the one with this PID."""
    until("see another daemon", lambda: main_pid() not in (0, than) and show("ActiveState")["ActiveState"] == "active")


@check
def systemd_is_pid_1(_bench: Bench) -> str:
    """Not a stand-in: the manager that Debian boots."""
    assert Path("/proc/1/comm").read_text() == "systemd\n"
    return sh("systemctl --version").splitlines()[0] + ", " + sh("uname -r")


@check
def install_writes_the_service(_bench: Bench) -> str:
    """Files, user, directory, rule; systemd has not a word to say about the unit."""
    said = sh("ocdsup install --system")
    assert "exit code" not in said, said
    assert "ExecStart=/usr/local/bin/ocdsup run" in Path("/etc/systemd/system/ocdsup.service").read_text()
    sh("ocdsup init --simulated --force /etc/ocdsup/ocdsup.yaml && ocdsup check -q -c /etc/ocdsup/ocdsup.yaml")
    Path("/etc/systemd/system/board.service").write_text(SIM)
    sh("systemctl daemon-reload && systemctl enable --now board.service")
    until("listen as a probe", lambda: Path("/run/board.sock").is_socket())
    return sh("id ocdsup")


@check
def whoever_connects_starts_the_daemon(bench: Bench) -> None:
    """Only the sockets are started; GDB connects, waits, and is served."""
    sh("systemctl enable --now ocdsup.socket")
    assert show("ActiveState")["ActiveState"] == "inactive"
    bench.attach()
    assert show("ActiveState")["ActiveState"] == "active"


@check
def a_start_that_returns_means_ready(bench: Bench) -> str:
    """Type=notify: READY came, the status line is there."""
    sh("systemctl enable ocdsup && systemctl start ocdsup")
    state = show("ActiveState", "SubState", "StatusText", "NFileDescriptorStore")
    assert (state["ActiveState"], state["SubState"]) == ("active", "running")
    until("tell how it is", lambda: "ready on :3333" in show("StatusText")["StatusText"])
    assert int(state["NFileDescriptorStore"]) >= 2, state
    return show("StatusText")["StatusText"]


@check
def openocd_has_no_capabilities_and_the_daemon_three(bench: Bench) -> str:
    """And both are under a system call filter, as another user than root."""

    def status(pid: str) -> dict[str, str]:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}

    daemon, child = status(str(main_pid())), status(sh("pgrep -x openocd"))
    three = 1 << 2 | 1 << 19 | 1 << 5  # linux/capability.h: DAC_READ_SEARCH, SYS_PTRACE, KILL
    assert int(daemon["CapEff"], 16) == three, daemon["CapEff"]
    assert int(child["CapEff"], 16) == int(child["CapAmb"], 16) == 0, child["CapEff"]
    assert daemon["Seccomp"] == child["Seccomp"] == "2"
    assert "0" not in (daemon["Uid"].split()[0], child["Uid"].split()[0])
    return f"CapEff {daemon['CapEff']} and {child['CapEff']}"


@check
def a_session_goes_on_over_a_restart(bench: Bench) -> None:
    """`systemctl restart`, as an upgrade does it."""
    before = main_pid()
    sh("systemctl restart ocdsup")
    assert main_pid() not in (0, before)
    ready()
    bench.goes_on()


@check
def a_session_goes_on_over_a_crash(bench: Bench) -> None:
    """`kill -9` while the program runs: systemd starts the next daemon, the stop is one that really happened."""
    before = main_pid()
    bench.debugger().command("-exec-continue", PATIENCE)
    os.kill(before, signal.SIGKILL)
    another(before)
    stop = bench.debugger().wait_stop(PATIENCE)
    assert 'reason="breakpoint-hit"' in stop, stop
    ready()
    bench.hits += 1
    assert bench.blinks() == bench.hits
    bench.goes_on()


@check
def a_daemon_that_is_stuck_is_replaced(bench: Bench) -> str:
    """Stopped by a signal it feeds no watchdog: systemd ends and restarts it, and the session goes on."""
    before, restarts = main_pid(), int(show("NRestarts")["NRestarts"])
    os.kill(before, signal.SIGSTOP)
    another(before)
    assert int(show("NRestarts")["NRestarts"]) == restarts + 1
    said = sh("journalctl -u ocdsup -b --no-pager | grep -i watchdog")
    ready()
    bench.goes_on()
    return said.splitlines()[-1]


@check
def a_reload_with_a_mistake_says_the_line(bench: Bench) -> str:
    """It fails, names file and line, and the old configuration stays."""
    good = CONFIG.read_text()
    CONFIG.write_text(good.replace("3333", "many"))
    said = sh("systemctl reload ocdsup", None)
    journal = sh("journalctl -u ocdsup -b --no-pager -o cat | grep ocdsup.yaml: | tail -3")
    CONFIG.write_text(good)
    assert said, "the reload succeeded"
    assert re.search(r"/etc/ocdsup/ocdsup\.yaml:\d+:\d+", journal), journal
    assert show("ActiveState")["ActiveState"] == "active"
    bench.goes_on()
    sh("systemctl reload ocdsup")
    bench.goes_on()
    return journal.splitlines()[-1]


@check
def the_journal_can_be_read_by_programs(_bench: Bench) -> str:
    """Every line of the daemon: identifier, unit, priority by its level, and a message that is one JSON object."""
    rows = [json.loads(line) for line in sh("journalctl -u ocdsup -b -o json --no-pager").splitlines()]
    ours = [row for row in rows if row.get("SYSLOG_IDENTIFIER") == "ocdsup" and row.get("_TRANSPORT") == "stdout"]
    # what `ocdsup reload` says to a person is there as well: ExecReload= runs in the unit
    records = [(row, json.loads(row["MESSAGE"])) for row in ours if str(row["MESSAGE"]).startswith("{")]
    assert records
    for row, record in records:
        wanted = {"info": "6", "warning": "4", "error": "3"}[record["level"]]
        assert row["PRIORITY"] == wanted, (row["PRIORITY"], record)
        assert row["_SYSTEMD_UNIT"] == "ocdsup.service"
        assert "event" in record
    events = {record["event"] for _, record in records}
    assert {"daemon_started", "ready", "session_taken_up", "backend_ready"} <= events, events
    return f"{len(records)} records, {len(events)} kinds"


@check
def nothing_is_done_that_the_filter_forbids(bench: Bench) -> str:
    """With `SystemCallErrorNumber=kill`: start, session, a silent board, a stale holder, a write to flash, telnet, end."""
    folder = Path("/etc/systemd/system/ocdsup.service.d")
    folder.mkdir(exist_ok=True)
    (folder / "strict.conf").write_text(STRICT)
    sh("systemctl daemon-reload && systemctl restart ocdsup")
    ready()
    bench.goes_on()
    _recovery("ocdsup sim --control /run/board.sock break locked --boots 0")
    bench.debugger().command("-target-download", PATIENCE)  # through OpenOCD in the unit
    _evicts()
    ready()
    files = "-f interface/stlink.cfg -f target/stm32f4x.cfg"
    sh(f'/opt/ocdsup/bin/ocdsup-openocd {files} -c "program {{{ELF}}} verify reset exit"')
    ready()
    assert "halted" in (said := sh("printf 'ocdsup status\\ntargets\\nexit\\n' | nc -q 60 localhost 4444")) or "running" in said
    sh("ocdsup restart simulated --under-reset")
    ready()
    sh("ocdsup probes --json && ocdsup why && ocdsup logs simulated")
    sh("systemctl reload ocdsup")
    sh("systemctl restart ocdsup")
    ready()
    killed = sh("journalctl -b --no-pager | grep -E 'status=31/SYS|SIGSYS|type=1326'", None)
    assert not killed, killed
    assert int(show("NRestarts")["NRestarts"]) == 0, show("NRestarts")
    (folder / "strict.conf").unlink()
    sh("systemctl daemon-reload && systemctl restart ocdsup")
    return "no process was ended by the filter"


@check
def a_probe_on_a_real_bus_can_be_watched_reset_and_opened(_bench: Bench) -> str:
    """In the unit's own sandbox, as its user: netlink, USBDEVFS_RESET, and libusb as far as this FT232, which has no JTAG."""
    shipped = Path("/etc/systemd/system/ocdsup.service").read_text()
    ours = "Type|Exec\\w+|Restart\\w*|TimeoutStart\\w+|Watchdog\\w+|Runtime\\w+|File\\w+|SystemCallErrorNumber"
    unit = re.sub(rf"(?m)^({ours})=.*\n", "", shipped)
    command = "[Service]\nType=oneshot\nTimeoutStartSec=240\nSystemCallErrorNumber=kill\n"
    command += "ExecStart=/opt/ocdsup/bin/python /etc/ocdsup/usb_calls.py\n"
    Path("/etc/systemd/system/usb-calls.service").write_text(unit.replace("[Service]\n", command))
    Path("/etc/ocdsup/usb_calls.py").write_text(USB_CALLS)
    (device,) = [
        path.parent.resolve() for path in Path("/sys/bus/usb/devices").glob("*/serial") if "QEMU0001" in path.read_text()
    ]
    sh("systemctl daemon-reload && systemctl start --no-block usb-calls")
    until("watch the bus", lambda: "it is there" in _journal("usb-calls"))
    (device.parents[1] / "remove").write_text("1")  # its whole USB controller
    until("miss it", lambda: "it is gone" in _journal("usb-calls"))
    Path("/sys/bus/pci/rescan").write_text("1")
    until("end", lambda: show("ActiveState", unit="usb-calls")["ActiveState"] in ("inactive", "failed"))
    said = _journal("usb-calls")
    assert show("Result", unit="usb-calls")["Result"] == "success", said
    assert "USB reset done" in said, said
    assert "Read-only file system: '/sys/bus/usb" in said, said  # ProtectKernelTunables: only root could do it anyhow
    assert "; needs root" in said, said
    assert "unsupported FTDI chip type" in said, said
    return said


def _journal(unit: str) -> str:
    return sh(f"journalctl -u {unit} -b -o cat --no-pager")


def _recovery(cause: str) -> None:
    """Cause an outage, and wait until it was cured."""

    def recoveries() -> int:
        return int(json.loads(sh("ocdsup status --json"))["benches"][0]["counters"]["recoveries"])

    before = recoveries()
    sh(cause)
    until("recover", lambda: recoveries() > before)
    ready()


def _evicts() -> None:
    """Our OpenOCD is killed, and another user's, whose IDE has died, takes the probe: it is ended, and ours comes back."""
    sh("ocdsup stop simulated")
    words = (
        "-f interface/stlink.cfg -c 'gdb_port 0; telnet_port 0; tcl_port 0; hla_stlink_backend tcp 7184' -f target/stm32f4x.cfg"
    )
    sh(f'runuser -u newcomer -- sh -c "setsid openocd {words} >/tmp/stale.log 2>&1 &"')
    until("hold the probe", lambda: "for gdb connections" in Path("/tmp/stale.log").read_text())
    sh("ocdsup start simulated")
    until("evict it", lambda: sh("pgrep -u newcomer -x openocd", None) == "")


@check
def a_stop_leaves_nothing(bench: Bench) -> None:
    """No process, no descriptor in the store, no listener, no socket; GDB sees the end."""
    sh("systemctl stop ocdsup.socket ocdsup")
    assert sh("pgrep -x openocd", None) == ""
    assert sh("pgrep -u ocdsup", None) == ""
    assert show("NFileDescriptorStore")["NFileDescriptorStore"] == "0"
    assert not Path("/run/ocdsup/control.sock").exists()
    for port in (3333, 4444):
        with socket.socket() as sock:
            assert sock.connect_ex(("127.0.0.1", port)) != 0
    bench.debugger().close()


@check
def with_adopt_the_same_openocd_goes_on(_bench: Bench) -> None:
    """Over a restart and a crash, with the shipped drop-in; a stop ends it all the same."""
    good = CONFIG.read_text()
    folder = Path("/etc/systemd/system/ocdsup.service.d")
    shutil.copy(Path(ocdsup.__file__).parent / "share/systemd/adopt.conf", folder)
    CONFIG.write_text(f"{good}    adopt: true\n")
    sh("systemctl daemon-reload && systemctl start ocdsup.socket ocdsup")
    ready()
    session = Bench()
    session.attach()
    child, daemon = sh("pgrep -x openocd"), main_pid()
    sh("systemctl restart ocdsup")
    ready()
    assert sh("pgrep -x openocd") == child
    session.goes_on()
    daemon = main_pid()
    os.kill(daemon, signal.SIGKILL)
    another(daemon)
    ready()
    assert sh("pgrep -x openocd") == child
    session.goes_on()
    sh("systemctl stop ocdsup.socket ocdsup")
    until("end OpenOCD", lambda: not sh("pgrep -x openocd", None))
    session.debugger().close()
    _ends_a_blocked_one()
    CONFIG.write_text(good)
    (folder / "adopt.conf").unlink()
    sh("systemctl daemon-reload && systemctl disable --now board.service")


def _ends_a_blocked_one() -> None:
    """A stop of the service while OpenOCD waits for a probe that does not answer: neither it nor its guard stays behind."""
    sh("systemctl start ocdsup")
    ready()
    child = sh("pgrep -x openocd")
    sh("ocdsup sim --control /run/board.sock break hang")
    sh("printf 'mdw 0x08000000\\n' | timeout 2 nc localhost 4444", None)
    sh("systemctl stop ocdsup.socket ocdsup")
    until("end OpenOCD", lambda: not Path(f"/proc/{child}").exists())
    until("end its guard", lambda: not sh("pgrep -u ocdsup", None))
    sh("ocdsup sim --control /run/board.sock heal")


@check
def the_readme_leads_a_new_user_to_a_session(_bench: Bench) -> str:
    """The lines of its install section, one after the other, as somebody who has just cloned it; then GDB on :3333."""
    (uid,) = re.findall(r"uid=(\d+)", sh("id newcomer"))
    sh("loginctl enable-linger newcomer")
    until("have a user manager", lambda: Path(f"/run/user/{uid}/systemd/private").exists())
    sh("cp -r /payload/clone /home/newcomer/ocdsup && chown -R newcomer: /home/newcomer/ocdsup")
    script = Path("/payload/readme.sh")
    environment = f"HOME=/home/newcomer XDG_RUNTIME_DIR=/run/user/{uid} PATH=/home/newcomer/.local/bin:/usr/bin:/bin"
    as_newcomer = f"cd /home/newcomer/ocdsup && runuser -u newcomer -- env {environment}"
    sh(f"{as_newcomer} sh -ex {script}", limit_s=900)
    sh(f"{as_newcomer} sh -c 'setsid ocdsup sim >/dev/null 2>&1 &'")
    sh(f"{as_newcomer} ocdsup wait simulated --timeout 200s")
    fresh = Bench()
    fresh.attach()
    fresh.goes_on()
    assert fresh.gdb is not None
    fresh.gdb.close()
    state = sh(f"{as_newcomer} systemctl --user show ocdsup -p ActiveState,StatusText")
    assert "ActiveState=active" in state, state
    return sh(f"{as_newcomer} ocdsup status")


def main() -> int:
    """Run every check, in order; those that follow a failed one are run all the same."""
    bench, failed = Bench(), 0
    for function in CHECKS:
        began = time.monotonic()
        try:
            detail, ok = function(bench) or "", True
        except BaseException:  # noqa: BLE001 - the host is told, and decides
            detail, ok = traceback.format_exc()[-3000:] + _evidence(), False
        failed += not ok
        row = {"name": function.__name__, "ok": ok, "detail": detail, "took_s": round(time.monotonic() - began, 1)}
        sys.stdout.write(f"\nocdsup-check {json.dumps(row)}\n")
        sys.stdout.flush()
    return failed


def _evidence() -> str:
    return "\n" + sh("journalctl -u ocdsup -b --no-pager -n 30 -o cat; systemctl status ocdsup --no-pager -n 0", None)[-5000:]


if __name__ == "__main__":
    sys.exit(main())
