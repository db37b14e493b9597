"""PlatformIO, CLion, GDB, Zephyr: read as those tools read them; GDB reads its own for real."""

import configparser
import re
import shlex
import subprocess
import xml.etree.ElementTree as Xml
from dataclasses import replace
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
    assert uploads(ours["upload_command"]) == [
        "ocdsup-openocd",
        "-c",
        "program {/p/.pio/build/nucleo/firmware.elf} verify reset exit",
    ]


# What SCons puts for each at the upload, by platformio/builder/main.py and platform-ststm32's builder/main.py (April 2026).
SCONS = {
    "SOURCE": "/p/.pio/build/nucleo/firmware.bin",  # upload_source = target_firm: the image without addresses
    "BUILD_DIR": "/p/.pio/build/nucleo",
    "PROGNAME": "firmware",
    "$": "$",
}


def uploads(command: str) -> list[str]:
    """The words that the shell makes of `upload_command`, behind the project file's variables and those of SCons.

    `${section.option}` is the project file's own, `${NAME}` is left to SCons (platformio/project/config.py, VARTPL_RE). SCons
    4.4 was seen to replace between single and double quotes alike, and to make `$` of `$$`.
    """
    assert not re.search(r"\$\{[^.}()]+\.", command)
    found = re.compile(r"\$(?:\{(\w+)\}|([A-Za-z_][\w.]*)|(\$))")
    return shlex.split(found.sub(lambda one: SCONS[one[1] or one[2] or one[3]], command))


def command_of(place: Place) -> str:
    """`upload_command` as PlatformIO reads it out of the project file."""
    parser = configparser.ConfigParser(inline_comment_prefixes=("#", ";"), strict=False, interpolation=None)
    parser.read_string(f"[env:a]\n{others.platformio(place)}")
    return parser["env:a"]["upload_command"]


def test_platformio_uploads_an_image_that_knows_its_address() -> None:
    """With the .bin OpenOCD would write to address 0: seen to fail to verify, or to write nothing and say it is verified."""
    words = uploads(command_of(Place("a", 1, 2)))
    assert words[-1] == "program {/p/.pio/build/nucleo/firmware.elf} verify reset exit"


def test_platformio_uploads_to_this_very_bench() -> None:
    """By the files and the probe: the drop-in does not guess between two boards; and as the bench itself would reach it."""
    files, commands = ("interface/stlink.cfg", "my board.cfg"), ("$_TARGETNAME configure -rtos FreeRTOS", 'puts {it\'s "me"}')
    place = Place(
        "nucleo-7", 3393, 4494, files=files, serial="066B", location="1-2", search=("/my configs",), commands=commands
    )
    assert uploads(command_of(replace(place, speed_khz=480))) == [
        *("ocdsup-openocd", "-s", "/my configs", "-f", "interface/stlink.cfg", "-f", "my board.cfg"),
        *("-c", "adapter serial 066B", "-c", "adapter usb location 1-2"),
        *("-c", commands[0], "-c", commands[1], "-c", "adapter speed 480"),
        *("-c", "program {/p/.pio/build/nucleo/firmware.elf} verify reset exit"),
    ]


@pytest.mark.parametrize("command", ["set a 1 ;# why", "a\nb", "set x ${a.b}"])
def test_what_a_project_file_cannot_carry_is_said_in_it(command: str) -> None:
    text = others.platformio(Place("a", 1, 2, commands=(command,)))
    assert f"; this file cannot carry {command!a}" in text
    assert uploads(command_of(Place("a", 1, 2, commands=(command,))))[:3] == ["ocdsup-openocd", "-c", "list"]


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


@pytest.mark.parametrize(
    ("place", "words"),
    [
        (Place("two", 1, 2, serial="066B"), ["--cmd-pre-init", "adapter serial 066B"]),
        (Place("two", 1, 2, location="1-2.3"), ["--cmd-pre-init", "adapter usb location 1-2.3"]),
        (Place("two", 1, 2, serial='"a b"'), ["--cmd-pre-init", 'adapter serial "a b"']),
    ],
)
def test_zephyr_flashes_this_very_bench(place: Place, words: list[str]) -> None:
    """Of two boards alike: runners/openocd.py puts `--cmd-pre-init` behind the board's file as a `-c`."""
    (line,) = (line for line in others.zephyr(place).splitlines() if line.startswith("west flash"))
    assert shlex.split(line) == ["west", "flash", "--runner", "openocd", "--openocd", "ocdsup-openocd", *words]
