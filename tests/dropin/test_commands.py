"""What the Tcl of a `-c` is to a supervised bench."""

from __future__ import annotations

import pytest

from ocdsup.dropin.commands import What, ends, only_defines, split, statement, statements, words


@pytest.mark.parametrize(
    ("script", "parts"),
    [
        (
            "gdb_port pipe; tcl_port disabled; telnet_port disabled",
            ["gdb_port pipe", "tcl_port disabled", "telnet_port disabled"],
        ),
        ("program {a;b.elf} verify reset; shutdown;", ["program {a;b.elf} verify reset", "shutdown"]),
        ('echo "a; b"; init', ['echo "a; b"', "init"]),
        ("foreach t {a b} {puts $t; halt}\nresume", ["foreach t {a b} {puts $t; halt}", "resume"]),
        ("source [find a;b.cfg]; init", ["source [find a;b.cfg]", "init"]),
        (r"echo a\;b; init", [r"echo a\;b", "init"]),
        ("  init  ", ["init"]),
        ("", []),
        ("; ;", []),
    ],
)
def test_statements_end_at_semicolons_and_line_ends_outside_of_groups(script: str, parts: list[str]) -> None:
    assert split(script) == parts


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("program {my file.elf} verify", ("program", "my file.elf", "verify")),
        ('program "my \\"x\\" file.elf" verify', ("program", 'my "x" file.elf', "verify")),
        (r"program C:\\a\ b.elf", ("program", r"C:\a b.elf")),
        ("source [find target/stm32f4x.cfg]", ("source", "[find target/stm32f4x.cfg]")),
    ],
)
def test_words_lose_their_braces_and_quotes(text: str, parts: tuple[str, ...]) -> None:
    assert words(text) == parts


@pytest.mark.parametrize(
    ("text", "what", "key", "value"),
    [
        ("gdb_port 50000", What.PORT, "gdb", "50000"),
        ("gdb port 50000", What.PORT, "gdb", "50000"),
        ("telnet_port disabled", What.PORT, "telnet", "disabled"),
        ("tcl port 0", What.PORT, "tcl", "0"),
        ("gdb_port pipe", What.PORT, "gdb", "pipe"),
        ('echo "Started by GNU MCU Eclipse"', What.ECHO, "echo", "Started by GNU MCU Eclipse"),
        ("echo VisualGDB_OpenOCD_Ready", What.ECHO, "echo", "VisualGDB_OpenOCD_Ready"),
        ("echo [target names]", What.WORK, "", ""),
        ("adapter serial 066BFF", What.PROBE, "serial", "066BFF"),
        ("hla_serial 066BFF", What.PROBE, "serial", "066BFF"),
        ('adapter serial "066BFF"', What.PROBE, "serial", "066BFF"),
        ("set _ZEPHYR_BOARD_SERIAL 066BFF", What.PROBE, "serial", "066BFF"),
        ('adapter usb location "1-2"', What.PROBE, "location", "1-2"),
        ("source [find interface/stlink.cfg]", What.FILE, "", "interface/stlink.cfg"),
        ("transport select hla_swd", What.CONFIG, "", ""),
        ("adapter speed 4000", What.CONFIG, "", ""),
        ("adapter_khz 1000", What.CONFIG, "", ""),
        ("set CPUTAPID 0", What.CONFIG, "", ""),
        ("init", What.INIT, "", ""),
        ("reset init", What.WORK, "", ""),
        ("targets", What.WORK, "", ""),
        ("CDRTOSConfigure FreeRTOS", What.WORK, "", ""),
        ("$_TARGETNAME configure -rtos auto", What.WORK, "", ""),
        ('program "a.elf"', What.FILE_WORK, "", ""),
        ("flash write_image erase a.hex", What.FILE_WORK, "", ""),
        ("verify_image a.hex", What.FILE_WORK, "", ""),
        ("bootstrap x.img", What.FILE_WORK, "", ""),
        ("shutdown", What.END, "", ""),
        ("shutdown error", What.END, "", ""),
        ("exit", What.END, "", ""),
    ],
)
def test_every_statement_is_what_it_is(text: str, what: What, key: str, value: str) -> None:
    one = statement(text)
    assert (one.what, one.key, one.value) == (what, key, value)


@pytest.mark.parametrize(
    ("file", "harmless"),
    [
        (
            "# it's a comment {\nset USE_SWO 0\nproc A {x} {\n  # isn't\n  catch {tpiu init}; puts \"[info script]: $x\"\n}\n",
            True,
        ),
        ("", True),
        ("proc A {} {}\nA\n", False),
        ("adapter speed 100\n", False),
        ("set X [exec id]\n", False),
        ("source [find target/stm32f4x.cfg]\n", False),
        ("$_TARGETNAME configure -event reset-init {}\n", False),
    ],
)
def test_a_file_that_only_defines_commands_is_told_from_one_that_does_something(file: str, harmless: bool) -> None:
    assert only_defines(file) is harmless


@pytest.mark.parametrize(
    ("script", "over"),
    [
        ("program x.elf verify reset exit", True),
        ("program {exit} verify", False),
        ("program x.elf verify reset; shutdown;", True),
        ("exit", True),
        ("reset run", False),
    ],
)
def test_the_end_of_openocd_is_noticed(script: str, over: bool) -> None:
    assert any(ends(one) for one in statements(script)) is over
