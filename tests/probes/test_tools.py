"""Recognising the programs that open probes."""

import pytest

from ocdsup.probes.tools import TOOLS, is_lending, is_ocdsup, is_one_shot, recognise, respawn_key


@pytest.mark.parametrize(
    ("exe", "cmdline", "kind"),
    [
        ("/usr/bin/openocd", ("x",), "openocd"),
        ("/usr/bin/openocd (deleted)", ("openocd",), "openocd"),
        ("/nix/store/x/bin/.openocd-wrapped", ("openocd",), "openocd"),
        ("/usr/bin/st-util", ("openocd",), "st-util"),
        ("/usr/bin/python3.11", ("python3", "/usr/bin/pyocd", "gdbserver"), "pyocd"),
        ("/usr/bin/python3.11", ("python3", "-m", "pyocd", "gdbserver"), "pyocd"),
        ("/usr/bin/python3.11", ("python3", "demo.py"), "unknown"),
        ("/home/a/.cargo/bin/probe-rs", ("probe-rs", "gdb"), "probe-rs"),
        ("/opt/SEGGER/JLink/JLinkGDBServerCLExe", (), "jlink-gdbserver"),
        ("/opt/SEGGER/JLink/JLinkExe", (), "jlink"),
        ("/opt/st/ST-LINK_gdbserver", (), "st-link-gdbserver"),
        ("/opt/st/STM32_Programmer_CLI", (), "stm32cubeprogrammer"),
        ("/usr/bin/gdb-multiarch", (), "gdb"),
        ("/usr/bin/arm-none-eabi-gdb", (), "gdb"),
        ("/usr/bin/qemu-system-x86_64", (), "vm"),
        ("/usr/bin/cat", ("openocd",), "unknown"),
        (None, ("/usr/bin/openocd",), "openocd"),
        (None, (), "unknown"),
    ],
)
def test_a_program_is_recognised_by_its_executable(exe: str | None, cmdline: tuple[str, ...], kind: str) -> None:
    """The command line counts only for interpreters, and when the executable cannot be read."""
    assert recognise(exe, cmdline).kind == kind


def test_kinds_are_unique() -> None:
    assert len({tool.kind for tool in TOOLS}) == len(TOOLS)


@pytest.mark.parametrize(
    ("cmdline", "yes"),
    [
        (("openocd", "-f", "b.cfg", "-c", "program x.elf verify reset exit"), True),
        (("openocd", "-c", "init; reset halt; flash write_image erase x.bin 0x8000000; exit"), True),
        (("openocd", "-d1", "-c", "program {x.elf} 0x8000000 verify reset; shutdown;"), True),
        (("openocd", "-s", "/opt/program files/x", "-f", "flash.cfg"), False),
        (("openocd", "-c", "gdb_flash_program enable", "-c", "flash probe 0"), False),
    ],
)
def test_a_one_shot_run_that_writes_flash_is_recognised(cmdline: tuple[str, ...], yes: bool) -> None:
    assert is_one_shot(cmdline) is yes


@pytest.mark.parametrize(
    ("cmdline", "yes"),
    [
        (("/usr/bin/python3", "/usr/bin/ocdsup", "run"), True),
        (("ocdsup", "run"), True),
        (("python3", "-m", "ocdsup", "run"), True),
        (("/home/a/ocdsup/.venv/bin/python", "-m", "pytest"), False),
        (("vim", "ocdsup"), False),
        ((), False),
    ],
)
def test_another_ocdsup_is_recognised_by_how_it_is_started(cmdline: tuple[str, ...], yes: bool) -> None:
    assert is_ocdsup(cmdline) is yes


@pytest.mark.parametrize(
    ("cmdline", "yes"),
    [
        (("python3", "-m", "ocdsup", "lend", "one", "--for", "5m", "--", "make"), True),
        (("/usr/bin/python3", "/usr/bin/ocdsup", "--socket", "/s", "lend", "one", "--", "make"), True),
        (("ocdsup", "lend", "one"), False),
        (("ocdsup", "run", "--", "lend"), False),
        (("make", "lend", "--"), False),
    ],
)
def test_a_loan_is_recognised_by_the_command_line_of_its_guard(cmdline: tuple[str, ...], yes: bool) -> None:
    assert is_lending(cmdline) is yes


def test_a_respawned_server_has_the_same_key_on_other_ports() -> None:
    first, second = (("openocd", "-c", f"gdb_port {port}", "-f", "a.cfg") for port in (50000, 50003))
    assert respawn_key(first) == respawn_key(second) != respawn_key(("openocd", "-f", "a.cfg"))
