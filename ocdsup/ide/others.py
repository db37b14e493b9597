"""PlatformIO, CLion, Zephyr and plain GDB.

PlatformIO: platformio/project/options.py, platformio/debug/config/{base,generic}.py (an empty `debug_server` with `debug_port`
set starts nothing; `upload_protocol = custom` runs `upload_command`). CLion: the file it writes for a "Remote Debug"
configuration. Zephyr: scripts/west_commands/runners/openocd.py has no mode for a server that runs already, so GDB is called
directly, and flashing goes through the drop-in `openocd`.
"""

from __future__ import annotations

import re
import shlex
from xml.sax.saxutils import escape, quoteattr

from ocdsup.ide.place import MULTIARCH, Place


def platformio(place: Place) -> str:
    """Lines for the `[env:…]` section of `platformio.ini`."""
    words = [_word(word) for word in ("ocdsup-openocd", *place.openocd)]
    unfit = [text for text in place.openocd if _UNFIT.search(text)]
    # Not $SOURCE: that is firmware.bin, without an address (platform-ststm32, builder/main.py: `upload_source = target_firm`).
    program = '"program {$BUILD_DIR/${PROGNAME}.elf} verify reset exit"'
    return (
        f"; bench {place.bench} of ocdsup: into the [env:...] section of platformio.ini\n"
        + "".join(f"; this file cannot carry {text!a}: put it into a file of OpenOCD's\n" for text in unfit)
        + "debug_tool = custom\n"
        "debug_server =\n"
        f"debug_port = {place.address}\n"
        "debug_load_mode = modified\n"
        "upload_protocol = custom\n"
        f"upload_command = {' '.join(words)} -c {program}\n"
    )


# A line ends there (configparser, `inline_comment_prefixes`), or the project's own variables begin (config.py, VARTPL_RE).
_UNFIT = re.compile(r"[\r\n]|\s[;#]|\$\{")


def _word(text: str) -> str:
    """One word for the shell, behind SCons, which replaces `$NAME` and reads `$$` as `$`, between quotes as elsewhere."""
    return shlex.quote("list" if _UNFIT.search(text) else text).replace("$", "$$")


def clion(place: Place) -> str:
    """A run configuration "Remote Debug": a file in `.run/` or `.idea/runConfigurations/`."""
    debugger = f'<debugger kind="GDB">{escape(place.gdb)}</debugger>'
    if place.gdb == MULTIARCH:
        debugger = '<debugger kind="GDB" isBundled="true" />'  # CLion's own GDB knows Arm
    elf = quoteattr(place.elf or "$PROJECT_DIR$/build/firmware.elf")
    return (
        '<component name="ProjectRunConfigurationManager">\n'
        f'  <configuration default="false" name={quoteattr(f"{place.bench} (ocdsup)")} type="CLion_Remote" version="1"'
        f' remoteCommand="{place.address}" symbolFile={elf} sysroot="">\n'
        f"    {debugger}\n"
        '    <method v="2" />\n'
        "  </configuration>\n"
        "</component>\n"
    )


def gdb(place: Place) -> str:
    """A file for `gdb -x`, or lines for `.gdbinit`."""
    elf = f"file {place.elf}\n" if place.elf else ""
    return (
        f"# bench {place.bench} of ocdsup: {place.gdb} -x FILE firmware.elf\n"
        f"{elf}"
        "set mem inaccessible-by-default off\n"
        f"target extended-remote {place.address}\n"
        "define reflash\n"
        "  monitor reset halt\n"
        "  load\n"
        "  monitor reset halt\n"
        "end\n"
        "document reflash\n"
        "Write the program to the board and halt at its first instruction.\n"
        "end\n"
        "define why\n"
        "  monitor ocdsup why\n"
        "end\n"
        "document why\n"
        "What is the matter with the bench, in plain words.\n"
        "end\n"
    )


def zephyr(place: Place) -> str:
    """A shell script: build, flash through the drop-in, debug on the bench that runs already."""
    gdb_program = "arm-zephyr-eabi-gdb" if place.gdb == MULTIARCH else place.gdb
    probe = "".join(f" --cmd-pre-init {shlex.quote(tcl)}" for tcl in place.probe)  # runners/openocd.py: `-c` behind the files
    return (
        "#!/bin/sh -e\n"
        f"# bench {place.bench} of ocdsup: sh debug.sh BOARD [APPLICATION]\n"
        "# Thread awareness: `commands: [$_TARGETNAME configure -rtos Zephyr]` in the bench's configuration.\n"
        'west build --board "$1" ${2:+"$2"}\n'
        f"west flash --runner openocd --openocd ocdsup-openocd{probe}\n"
        f'"${{GDB:-{gdb_program}}}" -ex "target extended-remote {place.address}" -ex "monitor reset halt" '
        f'"{place.elf or "build/zephyr/zephyr.elf"}"\n'
    )
