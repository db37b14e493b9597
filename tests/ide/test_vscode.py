"""launch.json: only properties that the extensions read, with values of their types."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from ocdsup.ide.place import Place
from ocdsup.ide.vscode import launch_json

# Cortex-Debug 1.13.0-pre10, package.json, contributes.debuggers[0].configurationAttributes (launch; * = also attach).
CORTEX_DEBUG = {
    "servertype": str,
    "gdbTarget": str,
    "executable": str,
    "cwd": str,
    "gdbPath": str,
    "objdumpPath": str,
    "runToEntryPoint": str,
}
SERVER_TYPES = {"jlink", "openocd", "pyocd", "stutil", "stlink", "bmp", "pe", "qemu", "external"}
# vscode-cpptools, Extension/package.json (cppdbg) and MIEngine, src/MICore/LaunchOptions.xsd.
CPPDBG = {
    "MIMode": str,
    "miDebuggerPath": str,
    "miDebuggerServerAddress": str,
    "useExtendedRemote": bool,
    "program": str,
    "cwd": str,
    "stopAtConnect": bool,
    "postRemoteConnectCommands": list,
}
VSCODE = {"name": str, "type": str, "request": str}
SCHEMAS: dict[str, Mapping[str, type]] = {"cortex-debug": CORTEX_DEBUG | VSCODE, "cppdbg": CPPDBG | VSCODE}
# What would make an extension start a server of its own.
STARTS_A_SERVER = {"serverpath", "configFiles", "debugServerPath", "debugServerArgs", "serverArgs"}


@pytest.fixture
def configurations(place: Place) -> list[dict[str, Any]]:
    tree = json.loads(launch_json(place))
    assert tree["version"] == "0.2.0"
    found: list[dict[str, Any]] = tree["configurations"]
    return found


def test_every_property_is_one_that_the_extension_reads(configurations: list[dict[str, Any]]) -> None:
    for one in configurations:
        schema = SCHEMAS[one["type"]]
        assert {key for key, value in one.items() if type(value) is not schema.get(key)} == set()


def test_no_extension_starts_a_server(configurations: list[dict[str, Any]]) -> None:
    assert [key for one in configurations for key in one if key in STARTS_A_SERVER] == []


def test_cortex_debug_has_what_it_requires(configurations: list[dict[str, Any]]) -> None:
    """`executable` is required, and `gdbTarget` for external servers (src/frontend/configprovider.ts)."""
    ours = [one for one in configurations if one["type"] == "cortex-debug"]
    assert [one["request"] for one in ours] == ["launch", "attach"]
    for one in ours:
        assert one["servertype"] == "external"
        assert one["servertype"] in SERVER_TYPES
        assert one["gdbTarget"] == "localhost:3393"
        assert one["executable"].endswith(".elf")


def test_cpptools_connects_and_loads(configurations: list[dict[str, Any]]) -> None:
    (one,) = [one for one in configurations if one["type"] == "cppdbg"]
    assert one["miDebuggerServerAddress"] == "localhost:3393"
    assert [set(command) for command in one["postRemoteConnectCommands"]] == [{"text"}] * 3


def test_the_program_and_the_gdb_are_those_of_the_bench() -> None:
    tree = json.loads(launch_json(Place("s3", 1, 2, gdb="xtensa-esp32s3-elf-gdb", elf="${workspaceFolder}/a.elf")))
    assert {one.get("executable") or one["program"] for one in tree["configurations"]} == {"${workspaceFolder}/a.elf"}
    assert tree["configurations"][0]["objdumpPath"] == "xtensa-esp32s3-elf-objdump"


def test_a_strange_path_stays_json() -> None:
    elf = 'C:\\work "1"\\a.elf'
    assert json.loads(launch_json(Place("a", 1, 2, elf=elf)))["configurations"][0]["executable"] == elf
