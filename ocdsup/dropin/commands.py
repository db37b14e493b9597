"""The Tcl behind `-c`: split into statements, and what each of them is to a supervised bench.

Nothing is evaluated here. A statement whose meaning depends on a substitution is left to OpenOCD.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum, auto

from ocdsup.dropin import tcl_text


class What(Enum):
    """What a statement is."""

    PORT = auto()  # a port for its clients
    ECHO = auto()  # a line that somebody waits for
    PROBE = auto()  # which probe: part of the search for the bench
    FILE = auto()  # a configuration file by name: `source [find …]`
    CONFIG = auto()  # how OpenOCD is set up, which is the bench's own affair
    INIT = auto()  # the bench is past it
    WORK = auto()  # something to be done on the target
    FILE_WORK = auto()  # the same, with a file of the caller: his rights, his folder
    PARTING = auto()  # the end of OpenOCD when GDB goes, and what is done before it
    DOUBT = auto()  # it may end OpenOCD, or work on files, out of sight: in a branch, a loop, a procedure
    END = auto()  # the end of OpenOCD


@dataclass(frozen=True, slots=True)
class Statement:
    """One Tcl command as written, its words, and what it is. `value` is the port, the text, the serial or the file.

    `origin` is the file that it stands in, empty for a `-c`.
    """

    text: str
    words: tuple[str, ...]
    what: What
    key: str = ""
    value: str = ""
    origin: str = ""


def split(script: str) -> list[str]:
    """Return the commands of a script as they are written; one that is not closed is one command."""
    try:
        return [command.text for command in tcl_text.commands(script)]
    except tcl_text.OpenGroupError:
        return [script.strip()]


def words(statement: str) -> tuple[str, ...]:
    """Return the words of a statement without their braces and quotes; substitutions stay as they are written."""
    return tuple(word.text for word in _read(statement))


def _read(statement: str) -> tuple[tcl_text.Word, ...]:
    try:
        return tuple(word for command in tcl_text.commands(statement) for word in command.words)
    except tcl_text.OpenGroupError:
        return tuple(tcl_text.Word(part, literal=False) for part in statement.split())


# Spellings of OpenOCD 0.8 … master: openocd-facts, names per version.
_PORT = re.compile(r"(gdb|telnet|tcl)[_ ]port (\S+)")
_SERIAL = re.compile(
    r"(?:adapter serial|(?:hla|ftdi|cmsis_dap|jlink|st-link|xds110|kitprog|ulink|ft232r)[_ ]serial"
    r"|set _ZEPHYR_BOARD_SERIAL) (\S+)"
)
_LOCATION = re.compile(r"(?:adapter usb location|ftdi_location|ftdi location) (\S+)")
_SOURCES = ("source", "script")
_FIND = re.compile(r"""\[find\s+["{]?([^]"}$[]+?)["}]?\s*\]""")
_CONFIG = re.compile(
    r"(?:transport select|adapter (?:speed|driver|srst|usb vid_pid)|adapter_khz|adapter_nsrst\w*|jtag_khz|interface"
    r"|(?:hla|ftdi|cmsis_dap|st-link|jlink)[_ ](?:vid_pid|device_desc|layout\w*|device|backend|stlink_backend)"
    r"|set|global|bindto|log_output|debug_level|reset_config|noinit|tcl_notifications|tcl_trace|poll_period"
    r"|add_script_search_dir"
    r"|gdb_(?:memory_map|flash_program|breakpoint_override|target_description|save_tdesc|report_data_abort"
    r"|report_register_access_error|sync)|gdb (?:memory_map|flash_program|target_description|report_data_abort))(?: .*|$)",
    re.DOTALL,
)
_FILE_WORK = re.compile(
    r"(?:program|program_esp(?:32\w*)?|program_esp_bins|flash (?:write_image|write_bank|verify_image|verify_bank|read_bank)"
    r"|(?:load|fast_load|verify|test|dump)_image\w*|bootstrap|svf|xsvf|stm32\S* \S+load|trace\S*) .*",
    re.DOTALL,
)
_END = re.compile(r"(?:exit|shutdown)(?: .*)?")


def statement(text: str, origin: str = "") -> Statement:
    """Return what one statement is."""
    read = _read(text)
    parts, literal = tuple(word.text for word in read), all(word.literal for word in read)
    plain = " ".join(parts)
    if parts[:1] in {("echo",), ("puts",)} and literal:
        return Statement(text, parts, What.ECHO, parts[0], parts[-1] if len(parts) > 1 else "", origin)
    for what, key, pattern in ((What.PORT, "", _PORT), (What.PROBE, "serial", _SERIAL), (What.PROBE, "location", _LOCATION)):
        if found := pattern.fullmatch(plain):
            return Statement(text, parts, what, key or found[1], found[found.re.groups], origin)
    if (body := _parting(parts)) is not None:
        return Statement(text, parts, What.PARTING, "", body, origin)
    if parts[:1] and parts[0] in _SOURCES and (file := _sourced(read)):
        return Statement(text, parts, What.FILE, "", file, origin)
    computed = "[" in plain and not literal  # `set x [reset halt]` is work, whatever it is assigned to
    return Statement(text, parts, What.WORK if computed and parts[0] == "set" else _kind(plain), origin=origin)


def _parting(parts: tuple[str, ...]) -> str | None:
    """What `$_TARGETNAME configure -event gdb-detach {resume; shutdown}` does before the end; None for anything else."""
    if parts[1:3] != ("configure", "-event") or len(parts) != 5 or parts[3] not in {"gdb-detach", "gdb-end"}:
        return None
    *before, last = split(parts[4]) or [""]
    return "; ".join(before) if last == "shutdown" else None


def _sourced(read: tuple[tcl_text.Word, ...]) -> str:
    """The file that `source` reads, empty if its name is computed."""
    if len(read) != 2:
        return ""
    found = _FIND.fullmatch(read[1].text)
    return found[1].strip() if found else read[1].text if read[1].literal else ""


def _kind(plain: str) -> What:
    if plain == "init":
        return What.INIT
    for what, pattern in ((What.CONFIG, _CONFIG), (What.FILE_WORK, _FILE_WORK), (What.END, _END)):
        if pattern.fullmatch(plain):
            return what
    return What.WORK


def statements(script: str, origin: str = "") -> list[Statement]:
    """Return the statements of one `-c`, or of a file."""
    return [statement(text, origin) for text in split(script)]


_DEFINES = re.compile(r"proc \S+ .*|(?:set|global) [^\[$]*", re.DOTALL)


def only_defines(file: str) -> bool:
    """Whether a file does nothing but define commands and variables of its own, as Cortex-Debug's openocd-helpers.tcl."""
    return all(_DEFINES.fullmatch(text) for text in split(file))


def defines(file: str) -> list[str]:
    """Return the commands that a file defines."""
    return [one.words[1] for one in statements(file) if one.words[:1] == ("proc",) and len(one.words) > 1]


def ends(one: Statement) -> bool:
    """Whether OpenOCD ends behind this statement: `exit`, `shutdown`, or `program … exit`."""
    return one.what is What.END or (one.words[:1] == ("program",) and "exit" in one.words[2:])
