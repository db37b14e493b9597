"""A real boot: systemd as PID 1 of a whole Debian, the installed wheel, the real OpenOCD and GDB, a simulated board."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.docker.image import wheels
from tests.systemd import machine

# One boot for all: without KVM it takes some minutes.
pytestmark = [pytest.mark.system, pytest.mark.timeout(3600)]
ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
CHECKS = re.findall(r"^@check\ndef (\w+)\(", (HERE / "guest.py").read_text(encoding="utf-8"), flags=re.MULTILINE)


def readme_lines() -> list[str]:
    """The lines of the README's install section, as they stand there."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    return text.partition("## On a bench PC")[2].partition("```\n")[2].partition("```")[0].splitlines()


@pytest.fixture(scope="module")
def payload(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the machine gets: the wheel, what it depends on, a clone of the sources, and the checks."""
    folder = tmp_path_factory.mktemp("payload")
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-d", str(folder)], cwd=ROOT, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    (sources,) = folder.glob("*.tar.gz")
    subprocess.run(["tar", "-xzf", sources, "-C", folder], check=True)
    clone = folder / sources.name.removesuffix(".tar.gz")
    (folder / "wheels").mkdir()
    wheels(folder / "wheels")
    tools = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder / "wheels")]
    subprocess.run([*tools, "pip", "setuptools", "wheel", "packaging"], check=True)
    script = folder / "readme.sh"
    script.write_text("\n".join([*readme_lines(), ""]), encoding="utf-8")
    disk = folder / "payload.tar"
    start = HERE / "guest.sh"
    files = {"start.sh": start, "guest.py": HERE / "guest.py", "readme.sh": script, "wheels": folder / "wheels"}
    machine.archive(disk, {**files, wheel.name: wheel, "clone": clone})
    return disk


@pytest.fixture(scope="module")
def report(payload: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """What the machine found, by the name of the check."""
    booted = machine.Machine(tmp_path_factory.mktemp("machine"), payload)
    rows = booted.run(limit_s=3000)
    assert rows, booted.tail()
    return {row["name"]: row for row in rows}


@pytest.mark.parametrize("name", CHECKS)
def test_in_the_machine(name: str, report: dict[str, dict[str, Any]]) -> None:
    """What each check claims stands in `guest.py`, under its name."""
    assert name in report, f"the machine did not get there; it told {sorted(report)}"
    assert report[name]["ok"], report[name]["detail"]
