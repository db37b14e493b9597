"""PlatformIO, CLion, GDB, Zephyr: read as those tools read them; GDB reads its own for real."""

import configparser
import shlex
import subprocess
import xml.etree.ElementTree as Xml
from pathlib import Path

import pytest

from ocdsup.ide import others
from ocdsup.ide.place import Place

# platformio/project/options.py, ConfigEnvOption of the groups debug and upload.
PLATFORMIO = set(
    """
    debug_tool debug_build_flags debug_init_break debug_init_cmds debug_extra_cmds debug_load_cmds debug_load_mode
    debug_server debug_port debug_speed debug_svd_path debug_server_ready_pattern debug_test
    upload_port upload_protocol upload_speed upload_flags upload_resetmethod upload_command
    """.split()  # noqa: SIM905  # a paragraph of names reads better than a column of them
)


def test_platformio_reads_every_option(place: Place) -> None:
    """As its project file is parsed: ConfigParser with `;` and ` ;` for comments (platformio/project/config.py)."""
    parser = configparser.ConfigParser(inline_comment_prefixes=("#", ";"), strict=False, interpolation=None)
    parser.read_string(f"[env:nucleo]\nplatform = ststm32\n{others.platformio(place)}")
    ours = {key: value for key, value in parser["env:nucleo"].items() if key != "platform"}
    assert set(ours) <= PLATFORMIO
    assert ours["debug_tool"] == "custom"
    assert ours["debug_server"] == ""  # nothing is started
    assert ours["debug_port"] == "localhost:3393"
    assert ours["debug_load_mode"] in {"always", "modified", "manual"}
    assert ours["upload_protocol"] == "custom"
    assert ours["upload_command"] == 'ocdsup-openocd -c "program {$SOURCE} verify reset exit"'


def test_platformio_uploads_to_this_very_bench() -> None:
    """By the files and the serial of its probe: the drop-in does not guess between two boards."""
    place = Place("nucleo-7", 3393, 4494, files=("interface/stlink.cfg", "my board.cfg"), serial="066B")
    (line,) = (line for line in others.platformio(place).splitlines() if line.startswith("upload_command"))
    words = shlex.split(line.partition(" = ")[2])
    assert words[:5] == ["ocdsup-openocd", "-f", "interface/stlink.cfg", "-f", "my board.cfg"]
    assert words[5:] == ["-c", "adapter serial 066B", "-c", "program {$SOURCE} verify reset exit"]


@pytest.mark.parametrize("gdb", ["gdb-multiarch", "/opt/x & y/xtensa-gdb"])
def test_clion_reads_a_remote_debug_configuration(gdb: str) -> None:
    """The attributes are those of the files that CLion writes for this type."""
    tree = Xml.fromstring(others.clion(Place("nucleo-7", 3393, 4494, gdb=gdb)))
    assert tree.get("name") == "ProjectRunConfigurationManager"
    (one,) = tree
    assert set(one.keys()) == {"default", "name", "type", "version", "remoteCommand", "symbolFile", "sysroot"}
    assert (one.get("type"), one.get("remoteCommand")) == ("CLion_Remote", "localhost:3393")
    debugger = one.find("debugger")
    assert debugger is not None
    assert debugger.get("kind") == "GDB"
    assert debugger.get("isBundled") == "true" if gdb == "gdb-multiarch" else debugger.text == gdb


def gdb_says(*words: str) -> str:
    command = ["gdb-multiarch", "-nx", "-batch", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL, check=False).stderr


def test_gdb_reads_its_file_up_to_the_port_where_nobody_listens(tmp_path: Path) -> None:
    """Port 1: the connection is refused and nothing else is wrong."""
    file = tmp_path / "ocdsup.gdb"
    text = others.gdb(Place("nucleo-7", 1, 2))
    file.write_text(text, encoding="utf-8")
    said = gdb_says("-ex", "set tcp auto-retry off", "-x", str(file))
    assert "localhost:1: Connection refused" in said
    file.write_text(text.replace("target extended-remote", "# target"), encoding="utf-8")
    assert gdb_says("-x", str(file), "-ex", "help reflash", "-ex", "help why") == ""


def test_gdb_is_told_the_program(place: Place) -> None:
    assert "\nfile build/a.elf\n" in others.gdb(Place("a", 1, 2, elf="build/a.elf"))
    assert "\nfile " not in others.gdb(place)


def test_the_shell_reads_the_script_of_zephyr(place: Place, tmp_path: Path) -> None:
    """With stand-ins for west and GDB: what they are called with."""
    script, record = tmp_path / "debug.sh", tmp_path / "calls"
    script.write_text(others.zephyr(place), encoding="utf-8")
    for name in ("west", "gdb"):
        stand_in = tmp_path / name
        stand_in.write_text(f'#!/bin/sh\necho "{name}|$*" >> {record}\n', encoding="utf-8")
        stand_in.chmod(0o755)
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "GDB": str(tmp_path / "gdb")}
    subprocess.run(["sh", script, "nucleo_f411re", "my app"], env=environment, check=True)
    assert record.read_text(encoding="utf-8").splitlines() == [
        "west|build --board nucleo_f411re my app",
        "west|flash --runner openocd --openocd ocdsup-openocd",
        "gdb|-ex target extended-remote localhost:3393 -ex monitor reset halt build/zephyr/zephyr.elf",
    ]
