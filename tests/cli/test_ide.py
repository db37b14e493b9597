"""`ide` prints a snippet for a bench: as the daemon has it, else as the configuration does."""

import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ocdsup.cli.main import main

Start = Callable[[Callable[[dict[str, Any]], list[dict[str, Any] | bytes]]], Any]
TWO = (
    "version: 1\nbenches:\n  a: {openocd: {config: [x]}, probe: {serial: s}}\n  b: {openocd: {config: [esp32s3.cfg]}, PORTS}\n"
)


def config(folder: Path, ports: str = "ports: {gdb: 3393, telnet: 4494}") -> str:
    file = folder / "a.yaml"
    file.write_text(TWO.replace("PORTS", f"{ports}, probe: {{serial: t}}"))
    file.chmod(0o600)
    return str(file)


def ide(*words: str, folder: Path) -> int:
    return main(["ide", *words, "--socket", str(folder / "nobody")])


def test_without_a_daemon_the_configuration_is_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ide("vscode", "b", "-c", config(tmp_path), folder=tmp_path) == 0
    said = capsys.readouterr()
    one = json.loads(said.out)["configurations"][0]
    assert (one["gdbTarget"], one["gdbPath"]) == ("localhost:3393", "xtensa-esp32s3-elf-gdb")
    assert ".vscode/launch.json" in said.err


def running(**more: Any) -> dict[str, Any]:
    """A bench as the daemon describes it."""
    return {
        "name": "two",
        "phase": "stopped",
        "pin": {"vid_pid": "0483:374b", "serial": "066B", "location": None, "server": None},
        "config": ["interface/stlink.cfg", "target/esp32s3.cfg"],
        "search": ["/my configs"],
        "commands": ["reset_config none"],
        "adapter_speed_khz": 480,
        "ports": {"gdb": [40123, 40124], "telnet": 40125},
    } | more


def test_a_running_daemon_knows_the_ports_better(daemon: Start, capsys: pytest.CaptureFixture[str]) -> None:
    server = daemon(lambda request: [{"ok": True, "result": {"benches": [running()]}}])
    assert main(["ide", "gdb", "--socket", str(server.path)]) == 0
    out = capsys.readouterr().out
    assert "target extended-remote localhost:40123\n" in out
    assert "xtensa-esp32s3-elf-gdb" in out


def test_a_bench_without_an_openocd_of_the_moment_has_its_files_all_the_same(
    daemon: Start, capsys: pytest.CaptureFixture[str]
) -> None:
    """Stopped, lent, blocked: one sets an IDE up just then."""
    server = daemon(lambda request: [{"ok": True, "result": {"benches": [running(name="one"), running()]}}])
    assert main(["ide", "platformio", "two", "--socket", str(server.path)]) == 0
    (line,) = (line for line in capsys.readouterr().out.splitlines() if line.startswith("upload_command"))
    assert shlex.split(line.partition(" = ")[2])[1:-2] == [
        *("-s", "/my configs", "-f", "interface/stlink.cfg", "-f", "target/esp32s3.cfg"),
        *("-c", "adapter serial 066B", "-c", "reset_config none", "-c", "adapter speed 480"),
    ]


def test_the_configuration_alone_tells_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "b.yaml"
    openocd = {"config": ["a.cfg"], "search": ["/my configs"], "commands": ["x"], "adapter_speed_khz": 480}
    benches = {"two": {"openocd": openocd, "probe": {"serial": "06 6B", "location": "1-2"}}}
    file.write_text(json.dumps({"version": 1, "benches": benches}))
    file.chmod(0o600)
    assert ide("platformio", "-c", str(file), folder=tmp_path) == 0
    (line,) = (line for line in capsys.readouterr().out.splitlines() if line.startswith("upload_command"))
    assert shlex.split(line.partition(" = ")[2])[1:-2] == [
        *("-s", "/my configs", "-f", "a.cfg"),
        *("-c", 'adapter serial "06 6B"', "-c", "adapter usb location 1-2", "-c", "x", "-c", "adapter speed 480"),
    ]


@pytest.mark.parametrize("words", [(), ("c",)])
def test_several_benches_want_a_name_that_is_one_of_them(
    words: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ide("gdb", *words, "-c", config(tmp_path), folder=tmp_path) == 2
    assert "there are a, b" in capsys.readouterr().err


def test_a_port_that_only_a_daemon_could_tell_is_not_made_up(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ide("gdb", "b", "-c", config(tmp_path, "ports: {gdb: 0, telnet: 0}"), folder=tmp_path) == 3
    assert "start the daemon" in capsys.readouterr().err


def test_an_unknown_tool_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as caught:
        ide("emacs", folder=tmp_path)
    assert caught.value.code == 2


def test_program_and_gdb_can_be_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ide("gdb", "a", "--elf", "x.elf", "--gdb", "my-gdb", "-c", config(tmp_path), folder=tmp_path) == 0
    out = capsys.readouterr().out
    assert "file x.elf" in out
    assert "my-gdb -x" in out
