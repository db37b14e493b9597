"""VS Code: Cortex-Debug with an external server, and Microsoft's C/C++ extension for those who have only that.

Names and types: Cortex-Debug 1.13, package.json and src/external.ts (`servertype: external` sends `target-select
extended-remote GDBTARGET`, then `monitor reset halt`, load, `monitor reset halt`); MIEngine, src/MICore/LaunchOptions
(`miDebuggerServerAddress` sends `-target-select`, and no server is started without `debugServerPath`).
"""

from __future__ import annotations

import json
from typing import Any

from ocdsup.ide.place import MULTIARCH, Place

_ELF = "${workspaceFolder}/build/firmware.elf"


def launch_json(place: Place) -> str:
    """A whole `.vscode/launch.json`."""
    return (
        json.dumps({"version": "0.2.0", "configurations": [_launch(place), _attach(place), _cpptools(place)]}, indent=2) + "\n"
    )


def _cortex(place: Place, request: str) -> dict[str, Any]:
    return {
        "name": f"{place.bench}: {request} (Cortex-Debug)",
        "type": "cortex-debug",
        "request": request,
        "servertype": "external",
        "gdbTarget": place.address,
        "executable": place.elf or _ELF,
        "cwd": "${workspaceFolder}",
        "gdbPath": place.gdb,
        # else the extension derives it from gdbPath, and there is no objdump-multiarch
        "objdumpPath": "arm-none-eabi-objdump" if place.gdb == MULTIARCH else place.gdb.removesuffix("gdb") + "objdump",
    }


def _launch(place: Place) -> dict[str, Any]:
    return _cortex(place, "launch") | {"runToEntryPoint": "main"}


def _attach(place: Place) -> dict[str, Any]:
    return _cortex(place, "attach")


def _cpptools(place: Place) -> dict[str, Any]:
    return {
        "name": f"{place.bench}: launch (C/C++)",
        "type": "cppdbg",
        "request": "launch",
        "MIMode": "gdb",
        "miDebuggerPath": place.gdb,
        "miDebuggerServerAddress": place.address,
        "useExtendedRemote": True,
        "program": place.elf or _ELF,
        "cwd": "${workspaceFolder}",
        "stopAtConnect": True,
        "postRemoteConnectCommands": [{"text": text} for text in ("monitor reset halt", "load", "monitor reset halt")],
    }
