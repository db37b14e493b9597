"""Every shipped configuration loads, and the real OpenOCD understands its command line up to the probe that is missing."""

from __future__ import annotations

import re
import subprocess
from itertools import pairwise
from pathlib import Path

import pytest

from ocdsup.config.__main__ import read
from ocdsup.config.model import Bench
from ocdsup.core.policy import UnderReset
from ocdsup.openocd import command
from ocdsup.openocd.dialect import parse_version
from ocdsup.runtime.settings import spec_of

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "configs").glob("*.yaml"))
# What 0.12.0 says when nothing is wrong but that no probe is plugged in, per driver (tests/golden has the transcripts).
NO_PROBE = (
    "open failed",  # hla, ST-LINK
    "cannot connect to stlink server, errno: Connection refused",
    "unable to find a matching CMSIS-DAP device",
    "no device found",  # ftdi, followed by
    r"unable to open ftdi device with vid [0-9a-f]{4}, pid [0-9a-f]{4}, description '.*', serial '.*' at bus location '\*'",
    "esp_usb_jtag: could not find or open device!",
)
PROFILES = {"plain": command.LaunchProfile(), "under reset": command.LaunchProfile(under_reset=True, after="halt")}


def benches() -> list[tuple[str, Bench]]:
    """Every bench of every file."""
    return [(file.stem, bench) for file in FILES for bench in read(str(file)).config.benches]


def named(pair: object) -> str:
    """The name of a case."""
    return pair if isinstance(pair, str) else getattr(pair, "name", "")


@pytest.fixture(scope="module")
def openocd() -> str:
    """What the installed OpenOCD says of itself."""
    said = subprocess.run(["openocd", "--version"], capture_output=True, text=True, check=True)
    return said.stderr + said.stdout


def lines_of_openocd(bench: Bench, version: str, profile: command.LaunchProfile) -> list[str]:
    """Run OpenOCD on a bench as the daemon would; it ends by itself because there is no probe."""
    argv = command.argv(spec_of(bench), parse_version(version), profile, command.Ports(), "never-printed")
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=30, stdin=subprocess.DEVNULL, check=False)
    assert done.returncode == 1, done.stderr
    return done.stderr.splitlines()


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
@pytest.mark.parametrize(("file", "bench"), benches(), ids=named)
def test_openocd_reads_the_whole_command_line_and_misses_only_the_probe(
    file: str, bench: Bench, profile: command.LaunchProfile, openocd: str
) -> None:
    """A wrong word in a file or command ends with another error, or with usage, before the adapter is opened."""
    lines = lines_of_openocd(bench, openocd, profile)
    errors = [line.removeprefix("Error: ") for line in lines if line.startswith("Error: ")]
    assert errors, lines
    assert [line for line in errors if not any(re.fullmatch(known, line) for known in NO_PROBE)] == []
    assert [line for line in lines if "invalid command" in line or "wrong # args" in line or "DEPRECATED" in line] == []


def test_the_id_of_a_clone_is_taken_when_its_file_comes_first() -> None:
    """The two lines that the blue pill's comment has for it, as they stand there."""
    text = (ROOT / "configs/bluepill-stlink-clone.yaml").read_text(encoding="utf-8")
    (names,) = re.findall(r"^ +# config: \[(.*)\]$", text, flags=re.MULTILINE)
    files = [word for name in names.split(", ") for word in ("-f", name)]
    told = ["-c", "echo $_CPUTAPID", "-c", "shutdown"]
    done = subprocess.run(["openocd", *files, *told], cwd=ROOT / "configs", capture_output=True, text=True, check=False)
    assert "0x2ba01477" in done.stderr.splitlines()


def test_a_misspelt_command_would_have_been_noticed(openocd: str) -> None:
    """The check above can fail."""
    bench = next(bench for file, bench in benches() if file == "nucleo-f411re")
    argv = command.argv(spec_of(bench), parse_version(openocd), PROFILES["plain"], command.Ports(), "never-printed")
    argv[argv.index("target/stm32f4x.cfg")] = "target/stm32f4y.cfg"
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)
    assert "open failed" not in done.stderr


def test_the_table_in_the_readme_names_every_file() -> None:
    text = (ROOT / "configs/README.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `(\S+\.yaml)`", text, flags=re.MULTILINE)) == {file.name for file in FILES}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_editors_find_the_schema(file: Path) -> None:
    """The first line is what a YAML language server reads; the file it names lies beside."""
    first = file.read_text(encoding="utf-8").splitlines()[0]
    assert first == "# yaml-language-server: $schema=ocdsup.schema.json"
    assert (file.parent / "ocdsup.schema.json").is_file()


def test_families_that_must_not_be_started_under_reset_never_are() -> None:
    """H7 does not answer while NRST is low; RP2040 and the built-in JTAG have no such wire; a clone has three."""
    never = {bench.name for _, bench in benches() if bench.recovery.under_reset is UnderReset.NEVER}
    assert {"nucleo-h7", "pico", "pico-1", "pico-2", "esp32s3", "bluepill", "nrf52"} <= never
    assert not never & {"nucleo-f411re", "discovery", "custom-f407"}


def test_eight_probes_share_no_port_with_a_second_core() -> None:
    """The GDB ports of a chip's further cores follow its first."""
    ports = [bench.ports.gdb for file, bench in benches() if file == "eight-probes"]
    assert len(ports) == 8
    assert min(b - a for a, b in pairwise(ports)) >= 4
