"""What GDB's user has set by `monitor` lines: what a new OpenOCD is told again, and what its user is told that it was not.

A line is read as Tcl reads it, as far as its words are constants: quotes and braces around a word are part of its spelling,
everything that is substituted (`$`, `[`, a backslash) makes it none of ours to repeat. Commands as of OpenOCD 0.11 and 0.12.
"""

import re
from collections.abc import Iterable
from typing import NamedTuple


class Command(NamedTuple):
    """One command of a line: its words, and how it was written."""

    words: tuple[str, ...]
    text: str


_BLANK = re.compile(r"[ \t]*")
_WORD = re.compile(r'(?:"([^"\\$\[\]]*)"|\{([^{}\\]*)\}|([^\s"{}\[\]$\\;#][^\s"{}\[\]$\\;]*))(?=[ \t;\r\n]|$)')
_ENDS = ";\r\n"

_N = r"(?:0[xX][0-9a-fA-F]+|[0-9]+)"
_OF = r"(?:[\w\-]+\.[\w.\-]+ )?"  # the name of a target; no command has a dot in its name
# What identifies the setting, in a group: the last value counts.
_SETTING = re.compile(
    rf"({_OF}arm semihosting(?:_fileio|_resexit)?) (?:enable|disable)"
    rf"|({_OF}arm semihosting_(?:cmdline|basedir|redirect)) .+"
    rf"|({_OF}cortex_m (?:vector_catch|maskisr|reset_config)) \w[\w ]*"
    rf"|({_OF}riscv set_\w+) .+"
    r"|(adapter speed|adapter_khz) \d+"
    r"|(poll) (?:on|off)"
    r"|(gdb[_ ]breakpoint_override) (?:hard|soft|disable)"
    r"|(gdb[_ ]report_(?:data_abort|register_access_error)) (?:enable|disable)"
    rf"|(itm ports?(?: {_N})?) (?:on|off|0|1)"
    r"|(CD(?:SWOConfigure|RTOSConfigure|LiveWatchSetup))(?: .*)?"
    rf"|(rtt setup) {_N} {_N}(?: .+)?"
    rf"|(rtt polling_interval) {_N}"
    r"|(rtt) (?:start|stop)"
    rf"|(rtt server) start {_N} .+"
)
_SERVER = re.compile(rf"rtt server (?:start|stop) ({_N})(?: .*)?")
_AFTER_THE_OTHERS = {"rtt polling_interval": 1, "rtt": 2, "rtt server": 3}  # OpenOCD starts what was set up
_SPEED = frozenset({"adapter speed", "adapter_khz"})

# What lasts as long as the process too, and is not for us to repeat: code, files, what depends on the moment.
_LASTING = re.compile(
    rf"(bp {_N}) .+|(wp {_N}) .+"
    r"|(\S+ configure -event \S+) .+|(\S+ configure -\w+) .+"
    r"|(set \S+) .+|(proc \S+) .+|(alias \S+) .+|(rename \S+) .+|(after \w+) .+"
    r"|(source|script|add_script_search_dir) .+"
    r"|(reset_config|debug_level|log_output|poll_period) .+"
    r"|(gdb[_ ](?:memory_map|flash_program|target_description|save_tdesc)) .+"
    r"|(tpiu config|\S+\.(?:tpiu|swo) (?:configure|enable|disable))\b.*"
    r"|(flash bank \S+) .+"
    rf"|({_OF}arm semihosting\w*|{_OF}cortex_m \w+|{_OF}riscv set_\w+|rtt setup|itm ports?|adapter speed) .+"
)
_REMOVED = re.compile(rf"r([bw]p) (all|{_N})")
_MOST = 32  # settings of each kind; no IDE makes half as many
_SHOWN, _LONGEST = 4, 60  # lines, characters of one


def commands(line: str) -> list[Command] | None:
    """Return the commands of a line whose words are all constants; None when there is anything else in it."""
    found: list[Command] = []
    words: list[str] = []
    at = begin = 0
    while at < len(line):
        at = _BLANK.match(line, at).end()  # type: ignore[union-attr]  # it matches nothing, too
        if at == len(line) or line[at] in _ENDS:
            found.append(Command(tuple(words), line[begin:at].strip()))
            words, at = [], at + 1
            begin = at
            continue
        word = _WORD.match(line, at)
        if word is None:
            return None
        words.append(next(part for part in word.groups() if part is not None))
        at = word.end()
    found.append(Command(tuple(words), line[begin:].strip()))
    return [command for command in found if command.words]


def setting(command: Command) -> str | None:
    """Return the name of the setting that a command makes; None when it makes none."""
    found = _SETTING.fullmatch(" ".join(command.words))
    if found is None:
        return None
    server = _SERVER.fullmatch(" ".join(command.words))
    return f"rtt server {server[1]}" if server else found[found.lastindex or 0]


def is_adapter_speed(key: str) -> bool:
    """Tell whether a setting is the adapter's clock."""
    return key in _SPEED


def note(line: str, settings: dict[str, str], unrepeated: dict[str, str]) -> None:
    """Note what a line, which OpenOCD has carried out, has set: what is to be said again, and what is not."""
    parts = commands(line)
    for command in parts if parts is not None else [Command(tuple(line.split()), line)]:
        key = setting(command) if parts is not None else None
        if key is not None:
            _put(settings, key, command.text)
        else:
            _note_lasting(command, settings, unrepeated)


def _note_lasting(command: Command, settings: dict[str, str], unrepeated: dict[str, str]) -> None:
    text = " ".join(command.words)
    if stopped := _SERVER.fullmatch(text):
        settings.pop(f"rtt server {stopped[1]}", None)
    elif removed := _REMOVED.fullmatch(text):
        for key in [key for key in unrepeated if key == f"{removed[1]} {removed[2]}" or removed[2] == "all"]:
            if key.startswith(removed[1]):
                del unrepeated[key]
    elif found := _LASTING.fullmatch(text):
        _put(unrepeated, found[found.lastindex or 0], command.text)


def _put(kept: dict[str, str], key: str, text: str) -> None:
    """As the last one, because a setting may need those before it."""
    kept.pop(key, None)
    if len(kept) < _MOST:
        kept[key] = text


def in_order(settings: dict[str, str]) -> list[tuple[str, str]]:
    """Return names and lines in an order in which OpenOCD can carry them out."""
    return sorted(settings.items(), key=lambda pair: _rank(pair[0]))


def _rank(key: str) -> int:
    return _AFTER_THE_OTHERS["rtt server"] if key.startswith("rtt server") else _AFTER_THE_OTHERS.get(key, 0)


def unrepeated_text(lines: Iterable[str]) -> str:
    """Return the console line about what a new OpenOCD was not told again; nothing when there is nothing."""
    shown = ["".join(c if c.isprintable() else " " for c in line[:_LONGEST]) for line in lines]
    if not shown:
        return ""
    more = f"; and {len(shown) - _SHOWN} more" if len(shown) > _SHOWN else ""
    return f"ocdsup: not told to the new OpenOCD again, and perhaps no longer in force: {'; '.join(shown[:_SHOWN])}{more}\n"
