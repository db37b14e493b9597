"""The Tcl behind `-c`: split into statements, and what each of them is to a supervised bench.

Nothing is evaluated here. A statement whose meaning depends on a substitution is left to OpenOCD.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum, auto


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
    END = auto()  # the end of OpenOCD


@dataclass(frozen=True, slots=True)
class Statement:
    """One Tcl command as written, its words, and what it is. `value` is the port, the text, the serial or the file."""

    text: str
    words: tuple[str, ...]
    what: What
    key: str = ""
    value: str = ""


_OPEN = {"{": "}", "[": "]"}


def split(script: str) -> list[str]:
    """Return the statements of a script: parts between `;` and line ends outside of braces, brackets and quotes."""
    parts, start, at = list[str](), 0, 0
    closers = list[str]()
    while at < len(script):
        char = script[at]
        if char == "\\":
            at += 2
            continue
        if closers and char == closers[-1]:
            closers.pop()
        elif char == '"' and (not closers or closers[-1] == "]"):
            closers.append('"')
        elif char in _OPEN and not (closers and closers[-1] == "}" and char != "{"):
            closers.append(_OPEN[char])
        elif char in ";\n" and not closers:
            parts.append(script[start:at])
            start = at + 1
        at += 1
    return [part.strip() for part in (*parts, script[start:]) if part.strip()]


_WORD = re.compile(r'\{((?:[^{}]|\{[^{}]*\})*)\}|"((?:[^"\\]|\\.)*)"|((?:\\.|\[[^\]]*\]|\S)+)', re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)


def words(statement: str) -> tuple[str, ...]:
    """Return the words of a statement without their braces and quotes; substitutions stay as they are written."""
    found = []
    for match in _WORD.finditer(statement):
        braced, quoted, bare = match.groups()
        found.append(braced if braced is not None else _ESCAPED.sub(r"\1", quoted if quoted is not None else bare))
    return tuple(found)


# Spellings of OpenOCD 0.8 … master: openocd-facts, names per version.
_PORT = re.compile(r"(gdb|telnet|tcl)[_ ]port (\S+)")
_SERIAL = re.compile(
    r"(?:adapter serial|(?:hla|ftdi|cmsis_dap|jlink|st-link|xds110|kitprog|ulink|ft232r)[_ ]serial"
    r"|set _ZEPHYR_BOARD_SERIAL) (\S+)"
)
_LOCATION = re.compile(r"(?:adapter usb location|ftdi_location|ftdi location) (\S+)")
_SOURCE = re.compile(r"(?:source|script) (?:\[find ([^\]\s]+)\]|([^\s\[\]$]+))")
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


def statement(text: str) -> Statement:
    """Return what one statement is."""
    parts = words(text)
    plain = " ".join(parts)
    substitutes = any(mark in text for mark in "$[")
    if parts[:1] in {("echo",), ("puts",)} and not substitutes:
        return Statement(text, parts, What.ECHO, parts[0], parts[-1] if len(parts) > 1 else "")
    for what, key, pattern in ((What.PORT, "", _PORT), (What.PROBE, "serial", _SERIAL), (What.PROBE, "location", _LOCATION)):
        if found := pattern.fullmatch(plain):
            return Statement(text, parts, what, key or found[1], found[found.re.groups])
    if found := _SOURCE.fullmatch(plain):
        return Statement(text, parts, What.FILE, "", found[1] or found[2])
    return Statement(text, parts, _kind(plain))


def _kind(plain: str) -> What:
    if plain == "init":
        return What.INIT
    for what, pattern in ((What.CONFIG, _CONFIG), (What.FILE_WORK, _FILE_WORK), (What.END, _END)):
        if pattern.fullmatch(plain):
            return what
    return What.WORK


def statements(script: str) -> list[Statement]:
    """Return the statements of one `-c`."""
    return [statement(text) for text in split(script)]


_DEFINES = re.compile(r"proc \S+ .*|(?:set|global) [^\[$]*", re.DOTALL)
_COMMENT = re.compile(r"^\s*#.*$", re.MULTILINE)


def only_defines(file: str) -> bool:
    """Whether a file does nothing but define commands and variables of its own, as Cortex-Debug's openocd-helpers.tcl."""
    return all(_DEFINES.fullmatch(text) for text in split(_COMMENT.sub("", file)))


def ends(one: Statement) -> bool:
    """Whether OpenOCD ends behind this statement: `exit`, `shutdown`, or `program … exit`."""
    return one.what is What.END or (one.words[:1] == ("program",) and "exit" in one.words[2:])
