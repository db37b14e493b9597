"""Command lines of real tools, to the letter, and what each of them wants."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

import pytest

from ocdsup.dropin.arguments import parse, spell
from ocdsup.dropin.commands import What
from ocdsup.dropin.plan import Plan, pinned, plan


def of(line: str) -> Plan:
    """The plan of a command line as a shell would split it."""
    parsed = parse(shlex.split(line))
    assert parsed.wrong == parsed.question == ""
    return plan(parsed.items)


@dataclass(frozen=True)
class Tool:
    """A tool's command line: its files, its ports, its steps."""

    name: str
    line: str
    files: tuple[str, ...]
    ports: dict[str, str]
    steps: tuple[tuple[What, str], ...] = ()
    once: bool = False
    flashes: bool = False


TOOLS = (
    Tool(
        "Cortex-Debug",
        "-f /ext/support/openocd-helpers.tcl -c 'gdb_port 50000' -c 'tcl_port 50001' -c 'telnet_port 50002' -s /work "
        "-f interface/stlink.cfg -f target/stm32f4x.cfg -c 'CDRTOSConfigure FreeRTOS' -c CDLiveWatchSetup",
        ("/ext/support/openocd-helpers.tcl", "interface/stlink.cfg", "target/stm32f4x.cfg"),
        {"gdb": "50000", "tcl": "50001", "telnet": "50002"},
        ((What.WORK, "CDRTOSConfigure FreeRTOS"), (What.WORK, "CDLiveWatchSetup")),
    ),
    Tool(
        "Eclipse Embedded CDT",
        "-c 'gdb_port 3333' -c 'telnet_port 4444' -c 'tcl_port 6666' -f board/stm32f4discovery.cfg "
        """-c 'echo "Started by GNU MCU Eclipse"'""",
        ("board/stm32f4discovery.cfg",),
        {"gdb": "3333", "tcl": "6666", "telnet": "4444"},
        ((What.ECHO, 'echo "Started by GNU MCU Eclipse"'),),
    ),
    Tool(
        "PlatformIO debug",
        "-s /pkg -c 'gdb_port pipe; tcl_port disabled; telnet_port disabled' -s /pkg/openocd/scripts -f interface/stlink.cfg "
        "-c 'transport select hla_swd' -f target/stm32f4x.cfg",
        ("interface/stlink.cfg", "target/stm32f4x.cfg"),
        {"gdb": "pipe", "tcl": "disabled", "telnet": "disabled"},
    ),
    Tool(
        "PlatformIO upload",
        "-d2 -s /pkg -f interface/stlink.cfg -c 'transport select hla_swd' -f target/stm32f4x.cfg -c 'adapter speed 4000' "
        "-c 'program {.pio/build/x/firmware.elf}  verify reset; shutdown;'",
        ("interface/stlink.cfg", "target/stm32f4x.cfg"),
        {},
        ((What.FILE_WORK, "program {.pio/build/x/firmware.elf}  verify reset"), (What.END, "shutdown")),
        once=True,
        flashes=True,
    ),
    Tool(
        "arduino-cli",
        "-s /scripts --file interface/cmsis-dap.cfg --file target/at91samdXX.cfg -c 'gdb_port pipe' -c 'telnet_port 0'",
        ("interface/cmsis-dap.cfg", "target/at91samdXX.cfg"),
        {"gdb": "pipe", "telnet": "0"},
    ),
    Tool(
        "west debugserver",
        "-s /board/support -c 'set _ZEPHYR_BOARD_SERIAL 066B' -f /board/support/openocd.cfg -c 'tcl_port 6333' "
        "-c 'telnet_port 4444' -c 'gdb_port 3333' '-c init' '-c targets' '-c halt'",
        ("/board/support/openocd.cfg",),
        {"gdb": "3333", "tcl": "6333", "telnet": "4444"},
        ((What.INIT, "init"), (What.WORK, "targets"), (What.WORK, "halt")),
    ),
    Tool(
        "west flash",
        "-s /board/support -f /board/support/openocd.cfg '-c init' '-c targets' -c 'reset init' "
        "-c 'flash write_image erase /b/zephyr.hex' -c 'reset halt' -c 'verify_image /b/zephyr.hex' -c 'reset run' -c shutdown",
        ("/board/support/openocd.cfg",),
        {},
        (
            (What.INIT, "init"),
            (What.WORK, "targets"),
            (What.WORK, "reset init"),
            (What.FILE_WORK, "flash write_image erase /b/zephyr.hex"),
            (What.WORK, "reset halt"),
            (What.FILE_WORK, "verify_image /b/zephyr.hex"),
            (What.WORK, "reset run"),
            (What.END, "shutdown"),
        ),
        once=True,
        flashes=True,
    ),
    Tool("idf.py openocd", "-f board/esp32c3-builtin.cfg", ("board/esp32c3-builtin.cfg",), {}),
    Tool(
        "ESP-IDF for VS Code",
        "-d2 -c 'adapter serial S1' -c 'adapter usb location 1-2' -f board/esp32s3-builtin.cfg",
        ("board/esp32s3-builtin.cfg",),
        {},
    ),
    Tool(
        "CLion",
        "-c 'tcl_port disabled' -s /scripts -c 'gdb_port 3333' -c 'telnet_port 4444' -f board/x.cfg "
        """-c 'program "/b/x.elf"' -c 'reset halt'""",
        ("board/x.cfg",),
        {"gdb": "3333", "tcl": "disabled", "telnet": "4444"},
        ((What.FILE_WORK, 'program "/b/x.elf"'), (What.WORK, "reset halt")),
        flashes=True,
    ),
    Tool(
        "VisualGDB",
        "-c 'gdb_port 2000' -c 'telnet_port 2001' -f interface/stlink.cfg -f target/stm32f4x.cfg -c init -c 'reset init' "
        "-c 'echo VisualGDB_OpenOCD_Ready'",
        ("interface/stlink.cfg", "target/stm32f4x.cfg"),
        {"gdb": "2000", "telnet": "2001"},
        ((What.INIT, "init"), (What.WORK, "reset init"), (What.ECHO, "echo VisualGDB_OpenOCD_Ready")),
    ),
    Tool(
        "labgrid",
        """--search /s --command 'adapter usb location "1-2"' --file interface/ftdi/x.cfg --file board/y.cfg --command init """
        "--command 'bootstrap /tmp/image' --command shutdown",
        ("interface/ftdi/x.cfg", "board/y.cfg"),
        {},
        ((What.INIT, "init"), (What.FILE_WORK, "bootstrap /tmp/image"), (What.END, "shutdown")),
        once=True,
        flashes=True,
    ),
    Tool(
        "Makefile",
        """-f board/x.cfg -c "program x.elf verify reset exit" """,
        ("board/x.cfg",),
        {},
        ((What.FILE_WORK, "program x.elf verify reset exit"),),
        once=True,
        flashes=True,
    ),
)


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.name)
def test_the_command_line_of_every_tool_means_what_the_tool_wants(tool: Tool) -> None:
    found = of(tool.line)
    assert found.files == tool.files
    assert dict(found.ports) == tool.ports
    assert tuple((one.what, one.text) for one in found.steps) == tool.steps
    assert (found.once, found.flashes) == (tool.once, tool.flashes)


def test_ports_that_are_not_named_are_openocds_own() -> None:
    assert [of("-f x.cfg -c 'gdb port 1'").port(service) for service in ("gdb", "telnet", "tcl")] == ["1", "4444", "6666"]


def test_the_probe_is_found_by_serial_and_location() -> None:
    found = of("-c 'adapter serial S1' -c 'adapter usb location 1-2' -f board/esp32s3-builtin.cfg")
    assert (found.serial, found.location) == ("S1", "1-2")


def test_what_is_left_to_the_bench_is_listed() -> None:
    assert of("-d2 -f a.cfg -c 'transport select hla_swd; adapter speed 4000' -c init").left_out == (
        "-d2",
        "transport select hla_swd",
        "adapter speed 4000",
    )


@pytest.mark.parametrize(
    ("line", "steps"),
    [
        ("-c 'set A 0x20000000' -c 'init; mdw $A'", ["set A 0x20000000", "init", "mdw $A"]),
        ("-c 'set A 1; set B $A; set C $B' -c 'mdw ${B}'", ["set A 1", "set B $A", "mdw ${B}"]),
        ("-c 'set ::A 1' -c 'proc f {} {global A; mdw $A}' -c f", ["set ::A 1", "proc f {} {global A; mdw $A}", "f"]),
        ("-c 'set a(x) 1' -c 'mdw $a(x)'", ["set a(x) 1", "mdw $a(x)"]),
        ("-c 'set c hal; ${c}t'", ["set c hal", "${c}t"]),
        ("-c 'set A 1' -c 'echo A'", ["echo A"]),
        ("-c 'set A 1' -c 'mdw $AB'", ["mdw $AB"]),
        ("-c 'mdw $A' -c 'set A 1'", ["mdw $A"]),
        ("-c 'set A 1' -c 'program $A verify'", ["program $A verify"]),
    ],
)
def test_a_variable_is_set_if_what_is_done_later_names_it(line: str, steps: list[str]) -> None:
    found = of(f"-f a.cfg {line}")
    assert [one.text for one in found.steps] == steps
    assert not set(found.left_out) & set(steps)


def test_a_variable_that_nothing_needs_is_listed_as_left_out() -> None:
    assert of("-c 'set A 1; set B 2' -f a.cfg -c 'init; mdw $A'").left_out == ("set B 2",)


def test_nothing_behind_the_end_counts() -> None:
    assert [one.text for one in of("-c 'init; shutdown' -c halt").steps] == ["init", "shutdown"]


PINS = ["pin"]
QUIET = ["-c", "pin", "-c", "gdb_port disabled", "-c", "telnet_port disabled", "-c", "tcl_port disabled"]


@pytest.mark.parametrize(
    ("line", "before", "behind"),
    [
        ("-f a.cfg -c 'program x exit'", "-f a.cfg", "-c 'program x exit'"),
        ("-f a.cfg -c 'adapter speed 4; init; halt' -c exit", "-f a.cfg -c 'adapter speed 4'", "-c 'init; halt' -c exit"),
        ("-c '$x configure' -f a.cfg -c init -c exit", "-c '$x configure' -f a.cfg", "-c init -c exit"),
        ("-f a.cfg -c 'source [find b.cfg]' -c targets -c exit", "-f a.cfg -c 'source [find b.cfg]'", "-c targets -c exit"),
        ("-f a.cfg", "-f a.cfg", ""),
    ],
)
def test_the_pins_stand_behind_the_set_up_and_before_the_work(line: str, before: str, behind: str) -> None:
    argv = spell(pinned(parse(shlex.split(line)).items, PINS, once=False))
    assert argv == [*shlex.split(before), *QUIET, *shlex.split(behind)]


@pytest.mark.parametrize(
    ("line", "pins"),
    [
        ("-c 'echo hi' -c shutdown", False),
        ("-s folder -d2 -c version -c shutdown", False),
        ("-f a.cfg -c 'echo hi' -c shutdown", True),
        ("-c 'adapter driver dummy' -c shutdown", True),
        ("-c 'interface hla' -c shutdown", True),
        ("-c 'source [find a.cfg]' -c shutdown", True),
        ("-c 'if 1 {script a.cfg}' -c shutdown", True),
        ("-c '$do' -c shutdown", True),
        ("-c '{*}{adap ter}' -c shutdown", True),
        ("-c '[do]' -c shutdown", True),
        ("-d2", True),
    ],
)
def test_a_probe_is_selected_only_where_an_adapter_may_be_named(line: str, pins: bool) -> None:
    assert ("pin" in spell(pinned(parse(shlex.split(line)).items, PINS, once=False))) is pins


def test_a_server_that_flashes_first_is_ended_behind_it() -> None:
    items = parse(["-f", "a.cfg", "-c", "program x"]).items
    assert spell(pinned(items, [], once=True))[-4:] == ["-c", "program x", "-c", "shutdown"]
