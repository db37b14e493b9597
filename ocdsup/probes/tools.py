"""The programs that open debug probes, as a table: how to recognise them and where their GDB server listens.

A name only says what a holder *is*; whether a process holds a probe is decided by its open devices, never by its name.
Default ports and options: the programs' own `--help` and manuals (OpenOCD 0.12 User's Guide 11.1; st-util(1);
UM2576 for ST-LINK_gdbserver; UM08001 for J-Link GDB Server; pyOCD and probe-rs `gdbserver --help` / `gdb --help`).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import pairwise
from os.path import basename


@dataclass(frozen=True, slots=True)
class Tool:
    """One program that is met as the holder of a probe.

    `guest` marks programs that hold the probe on behalf of something bigger (a virtual machine, a browser): ending them
    to get at a probe would hurt far more than a debug session.
    """

    kind: str
    title: str
    exe: tuple[str, ...] = ()
    script: tuple[str, ...] = ()
    gdb_port: int | None = None
    gdb_options: tuple[str, ...] = ()
    guest: bool = False


OPENOCD = Tool("openocd", "OpenOCD", ("openocd", "openocd-*", ".openocd-wrapped"), gdb_port=3333)
UNKNOWN = Tool("unknown", "unknown program")

TOOLS: tuple[Tool, ...] = (
    OPENOCD,
    Tool("st-util", "st-util", ("st-util",), gdb_port=4242, gdb_options=("-p", "--listen_port")),
    Tool("st-flash", "stlink tools", ("st-flash", "st-info", "st-trace", "stlink-gui")),
    Tool(
        "st-link-gdbserver",
        "ST-LINK GDB server",
        ("st-link_gdbserver*",),
        gdb_port=61234,
        gdb_options=("-p", "--port-number"),
    ),
    Tool("stm32cubeprogrammer", "STM32CubeProgrammer", ("stm32_programmer*", "stm32cubeprogrammer*")),
    Tool("stlink-server", "ST-LINK server", ("stlink-server*",)),
    Tool("probe-rs", "probe-rs", ("probe-rs", "probe-run", "cargo-flash", "cargo-embed"), gdb_port=1337),
    Tool("pyocd", "pyOCD", ("pyocd*",), ("pyocd", "pyocd-gdbserver"), gdb_port=3333, gdb_options=("-p", "--port")),
    Tool("jlink-gdbserver", "J-Link GDB server", ("jlinkgdbserver*",), gdb_port=2331, gdb_options=("-port",)),
    Tool("jlink", "J-Link software", ("jlink*", "jflash*")),
    Tool("blackmagic", "Black Magic Debug App", ("blackmagic*",), gdb_port=2000),
    Tool("edbg", "edbg", ("edbg",)),
    Tool("dfu", "firmware updater", ("dfu-util", "fwupd", "stlinkupgrade*")),
    Tool("gdb", "GDB", ("gdb", "gdb-multiarch", "*-gdb", "*-gdb-py*")),
    Tool(
        "terminal",
        "serial terminal",
        ("picocom", "minicom", "screen", "tio", "cu", "putty"),
        ("miniterm", "miniterm.py"),
    ),
    Tool("vm", "virtual machine", ("qemu-*", "virtualbox*", "vboxheadless", "vmware-vmx"), guest=True),
    Tool("usbip", "USB/IP", ("usbipd", "usbip"), guest=True),
    Tool("browser", "web browser", ("chrome", "chromium*", "msedge", "opera", "brave*", "firefox*"), guest=True),
)

_INTERPRETER = re.compile(r"^(python|pypy|java|node|perl|ruby|sh|bash|dash)[\d.]*$")
_PORT = re.compile(r"\b(gdb|tcl|telnet)[_ ]port\s+\"?([\w./-]+)")
_ONE_SHOT = re.compile(r"(?:^|[;{\[\s])(?:program(?:_esp)?|flash\s+(?:write|erase|fill)\w*|load_image|bootstrap)\s+\S")


def recognise(exe: str | None, cmdline: Sequence[str]) -> Tool:
    """Return which program this is, by its executable, or by the script when the executable is an interpreter.

    The command line alone is believed only when the executable cannot be read: a process chooses its own argv.
    """
    name = _program(exe or (cmdline[0] if cmdline else ""))
    if _INTERPRETER.match(name):
        return _by_script(cmdline)
    return next((tool for tool in TOOLS if any(fnmatchcase(name, pattern) for pattern in tool.exe)), UNKNOWN)


def _program(path: str) -> str:
    return basename(path.removesuffix(" (deleted)")).lower().removesuffix(".exe")


def _by_script(cmdline: Sequence[str]) -> Tool:
    words = {_program(word).removesuffix(".py") for word in cmdline[1:4]}
    return next((tool for tool in TOOLS if words & {*tool.script, *tool.exe}), UNKNOWN)


def is_ocdsup(cmdline: Sequence[str]) -> bool:
    """Tell whether this is a running ocdsup daemon: `ocdsup run …` or `python -m ocdsup run …`, nothing vaguer."""
    words = [_program(word) for word in cmdline[:4]]
    if words[1:3] == ["-m", "ocdsup"]:
        return True
    return "ocdsup" in words[: 2 if words and _INTERPRETER.match(words[0]) else 1]


def is_lending(cmdline: Sequence[str]) -> bool:
    """Tell whether this is `ocdsup lend …` with a command, or the guard behind it, which is a fork of it."""
    return is_ocdsup(cmdline) and "--" in cmdline and "lend" in cmdline[: cmdline.index("--")]


def commands(cmdline: Sequence[str]) -> tuple[str, ...]:
    """Return the Tcl commands of an OpenOCD command line: `-c X`, `-c X` as one word (west), `--command=X`."""
    found = []
    for option, value in pairwise((*cmdline, "")):
        if option in {"-c", "--command"}:
            found.append(value)
        elif option.startswith("-c"):
            found.append(option[2:].strip())
        elif option.startswith("--command="):
            found.append(option.removeprefix("--command="))
    return tuple(found)


def declared_ports(cmdline: Sequence[str]) -> dict[str, str]:
    """Return the ports an OpenOCD was told on its command line, as `{"gdb": "50000", "tcl": "disabled"}`.

    The last one counts. Old (`gdb_port`, up to 0.12) and new (`gdb port`, master) spellings.
    """
    return {name: value for command in commands(cmdline) for name, value in _PORT.findall(command)}


def gdb_port_of(tool: Tool, cmdline: Sequence[str]) -> int | None:
    """Return the GDB port of a tool other than OpenOCD: its option if given, else its default, None if it has none."""
    for word, value in pairwise(cmdline):
        if word in tool.gdb_options and value.isdecimal():
            return int(value)
    return tool.gdb_port


def is_one_shot(cmdline: Sequence[str]) -> bool:
    """Tell whether this OpenOCD was started to write flash and exit (`-c "program x.elf verify reset exit"`)."""
    return any(_ONE_SHOT.search(command) for command in commands(cmdline))


def respawn_key(cmdline: Sequence[str]) -> str:
    """Return the command line with its port numbers blanked: an IDE picks other ports for the same server each time."""
    return "\0".join(_PORT.sub(r"\1_port N", word) for word in cmdline)
