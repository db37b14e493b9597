"""Every tool that has a snippet: where it goes, and what makes it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ocdsup.ide import eclipse, others, vscode
from ocdsup.ide.place import Place


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool: `place` says where its snippet goes, `make` writes it."""

    place: str
    make: Callable[[Place], str]


TOOLS: dict[str, Tool] = {
    "vscode": Tool(".vscode/launch.json (Cortex-Debug or C/C++; keep what you need)", vscode.launch_json),
    "eclipse": Tool("a .launch file in the project (Embedded CDT, `Run > Debug Configurations`)", eclipse.launch),
    "platformio": Tool("the [env:...] section of platformio.ini", others.platformio),
    "clion": Tool(".run/NAME.run.xml in the project", others.clion),
    "gdb": Tool("a file for `gdb -x`, or .gdbinit", others.gdb),
    "zephyr": Tool("a shell script beside the application", others.zephyr),
}
