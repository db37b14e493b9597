"""systemd's own tools have nothing to say about the units, and rate their exposure as low as the job allows."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from ocdsup.cli.install import FOR_EVERYBODY

EXPOSURE = 2.3
PROGRAM = "/usr/bin/ocdsup"


def analyze(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run systemd-analyze, which needs no systemd to be running for this."""
    home = {"XDG_RUNTIME_DIR": "/tmp", "HOME": "/tmp", "PATH": os.environ["PATH"]}
    return subprocess.run(["systemd-analyze", *map(str, arguments)], env=home, capture_output=True, text=True, check=False)


def with_program(unit: Path, folder: Path) -> Path:
    """A copy whose program exists on this machine; everything else is as shipped."""
    text = unit.read_text(encoding="utf-8")
    copy = folder / unit.name
    copy.write_text(text.replace(PROGRAM, sys.executable), encoding="utf-8")
    return copy


def values(unit: Path, key: str) -> list[str]:
    """What a unit says for a key, in order."""
    return re.findall(rf"^{key}=(.*)$", unit.read_text(encoding="utf-8"), flags=re.MULTILINE)


@pytest.mark.parametrize("names", [["ocdsup.service", "ocdsup.socket"], ["user/ocdsup.service"]], ids=["system", "user"])
def test_verify_has_no_word_to_say(units: Path, tmp_path: Path, names: list[str]) -> None:
    """Unknown keys only warn with exit code 0 (systemd 252), so the test is that nothing is printed."""
    user = ["--user"] if names[0].startswith("user") else []
    said = analyze(*user, "verify", "--man=no", *(with_program(units / name, tmp_path) for name in names))
    assert (said.returncode, said.stdout, said.stderr) == (0, "", "")


def test_verify_would_have_spoken(units: Path, tmp_path: Path) -> None:
    """The same call finds a misspelt key."""
    copy = with_program(units / "ocdsup.service", tmp_path)
    copy.write_text(copy.read_text(encoding="utf-8").replace("WatchdogSec", "WatchDogSecs"), encoding="utf-8")
    assert "WatchDogSecs" in analyze("verify", "--man=no", copy).stderr


def exposure(*units: Path) -> float:
    """The overall exposure that systemd-analyze computes, 0 to 10."""
    said = analyze("security", "--offline=true", "--no-pager", *units)
    found = re.search(r"Overall exposure level for \S+: ([\d.]+)", said.stdout)
    assert found, said.stderr
    return float(found[1])


def test_the_exposure_is_as_low_as_the_job_allows(units: Path) -> None:
    assert exposure(units / "ocdsup.service") <= EXPOSURE


def test_without_the_capabilities_it_is_lower_still(units: Path, tmp_path: Path) -> None:
    """The third privilege mode: the drop-in's lines appended to the section they belong to."""
    unit = (units / "ocdsup.service").read_text(encoding="utf-8")
    drop_in = (units / "no-capabilities.conf").read_text(encoding="utf-8").replace("[Service]", "")
    merged = tmp_path / "ocdsup.service"
    merged.write_text(unit.replace("\n[Install]", f"\n{drop_in}\n[Install]"), encoding="utf-8")
    assert exposure(merged) < exposure(units / "ocdsup.service")


def test_the_daemon_gets_the_three_capabilities_and_no_more(units: Path) -> None:
    unit = units / "ocdsup.service"
    wanted = {"CAP_DAC_READ_SEARCH", "CAP_SYS_PTRACE", "CAP_KILL"}
    for key in ("AmbientCapabilities", "CapabilityBoundingSet"):
        (value,) = values(unit, key)
        assert set(value.split()) == wanted
    assert values(unit, "User") == ["ocdsup"]


@pytest.mark.parametrize("name", ["ocdsup.service", "user/ocdsup.service"])
def test_the_watchdog_and_the_store_are_on(units: Path, name: str) -> None:
    """The keys without which a daemon that hangs, or a session in the store, would be lost in silence."""
    unit = units / name
    assert values(unit, "Type") == ["notify"]
    assert values(unit, "Restart") == ["always"]
    assert int(values(unit, "WatchdogSec")[0]) > 0
    assert int(values(unit, "FileDescriptorStoreMax")[0]) >= 8 * (2 * 16 + 3 * 2 + 16)  # 8 benches full of clients
    assert values(unit, "OOMPolicy") == ["continue"]  # the default ends the daemon too when its OpenOCD is killed for memory
    assert values(unit, "RestartPreventExitStatus") == ["2"]


@pytest.mark.parametrize(
    ("name", "file"), [("ocdsup.service", "/etc/ocdsup/ocdsup.yaml"), ("user/ocdsup.service", "%E/ocdsup/ocdsup.yaml")]
)
def test_a_reload_is_told_the_configuration_that_the_daemon_was(units: Path, name: str, file: str) -> None:
    """`control:` may be in it; without its file `ocdsup reload` would try the usual socket only."""
    assert values(units / name, "ExecStart") == [f"{PROGRAM} run -c {file}"]
    assert values(units / name, "ExecReload") == [f"{PROGRAM} -c {file} reload"]


def environment(unit: Path) -> dict[str, str]:
    """What a unit sets for its program."""
    return dict(pair.split("=", 1) for line in values(unit, "Environment") for pair in line.split())


@pytest.mark.parametrize("name", ["ocdsup.service", "user/ocdsup.service"])
def test_nothing_that_lies_in_the_home_of_the_service_runs_in_the_daemon(units: Path, tmp_path: Path, name: str) -> None:
    """OpenOCD's shell may write there, and has no capabilities; a planted .pth would run with those of the next daemon."""
    python = getattr(sys, "_base_executable", sys.executable)  # in a virtual environment there is no user site anyway
    bare = {"HOME": str(tmp_path), "PATH": os.environ["PATH"]}
    where = [python, "-c", "import site; print(site.getusersitepackages())"]
    packages = Path(subprocess.run(where, env=bare, capture_output=True, text=True, check=True).stdout.strip())
    assert packages.is_relative_to(tmp_path)
    packages.mkdir(parents=True)
    (packages / "x.pth").write_text(f"import os; os.makedirs({str(tmp_path / 'owned')!r}, exist_ok=True)\n")
    (tmp_path / "json.py").write_text(f"import os; os.makedirs({str(tmp_path / 'owned')!r}, exist_ok=True)\n")
    command = [python, "-c", ""]
    for words in (command, [python, "-m", "json.tool", "--help"]):  # json.py of the working directory would be taken
        subprocess.run(words, env=bare | environment(units / name), cwd=tmp_path, capture_output=True, check=True)
    assert not (tmp_path / "owned").exists()
    subprocess.run(command, env=bare, cwd=tmp_path, capture_output=True, check=True)
    assert (tmp_path / "owned").is_dir(), "the trap works without the unit's environment"


def test_the_sockets_are_those_of_the_default_ports_on_both_loopback_families(units: Path) -> None:
    listened = set(values(units / "ocdsup.socket", "ListenStream"))
    ports = {f"{host}:{port}" for host in ("127.0.0.1", "[::1]") for port in (3333, 4444)}
    assert listened == ports | {"/run/ocdsup/control.sock"}


def test_an_address_that_is_not_there_yet_fails_no_other(units: Path) -> None:
    """systemd.socket(5): without FreeBind= one address that cannot be bound fails the unit, control socket included."""
    assert values(units / "ocdsup.socket", "FreeBind") == ["yes"]


def test_the_files_in_the_readme_are_those_in_the_folder(units: Path) -> None:
    told = set(re.findall(r"^\| `([^`]+)` \| `[/~]", (units / "README.md").read_text(encoding="utf-8"), flags=re.MULTILINE))
    there = {path.relative_to(units).as_posix() for path in units.rglob("*") if path.is_file()} - {"README.md"}
    assert told == there


def test_the_readme_and_the_refusal_name_the_same_line(units: Path) -> None:
    """The way to a program that the service can see and `sudo` finds."""
    assert f"```\n{FOR_EVERYBODY}\n```" in (units / "README.md").read_text(encoding="utf-8")


def test_sysusers_and_tmpfiles_do_what_they_say(units: Path, tmp_path: Path) -> None:
    """Run by the real programs on an empty root directory."""
    (tmp_path / "etc").mkdir()
    subprocess.run(["systemd-sysusers", f"--root={tmp_path}", units / "ocdsup.sysusers.conf"], check=True, capture_output=True)
    passwd = (tmp_path / "etc/passwd").read_text(encoding="utf-8")
    groups = dict(re.findall(r"^(\w+):[^:]*:\d+:(.*)$", (tmp_path / "etc/group").read_text(encoding="utf-8"), re.MULTILINE))
    assert re.search(r"^ocdsup:x:\d+:\d+:OpenOCD supervisor:/var/lib/ocdsup:/usr/sbin/nologin$", passwd, re.MULTILINE)
    assert (groups["plugdev"], groups["dialout"]) == ("ocdsup", "ocdsup")
    command = ["systemd-tmpfiles", "--create", f"--root={tmp_path}", str(units / "ocdsup.tmpfiles.conf")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    made = tmp_path / "run/ocdsup"
    assert made.is_dir(), done.stderr
    assert made.stat().st_mode & 0o777 == 0o750


def test_security_speaks_json_too(units: Path) -> None:
    """What is left open is on the list of what the job needs, key by key; a new hole shows here."""
    said = analyze("security", "--offline=true", "--json=short", units / "ocdsup.service")
    left = {row["json_field"] for row in json.loads(said.stdout) if row["exposure"] and float(row["exposure"]) > 0}
    needed = {
        "RootDirectoryOrRootImage", "SupplementaryGroups", "AmbientCapabilities", "PrivateDevices", "PrivateNetwork",
        "PrivateUsers", "ProtectProc", "ProcSubset", "DeviceAllow", "IPAddressDeny",
        "CapabilityBoundingSet_CAP_KILL", "CapabilityBoundingSet_CAP_SYS_PTRACE",
        "CapabilityBoundingSet_CAP_DAC_FOWNER_IPC_OWNER",
        "RestrictAddressFamilies_AF_NETLINK", "RestrictAddressFamilies_AF_UNIX", "RestrictAddressFamilies_AF_INET_INET6",
        "SystemCallFilter_privileged",  # capset alone: without it the daemon ends at its start (seen in a real boot)
    }  # fmt: skip  # a list of names
    assert left <= needed
