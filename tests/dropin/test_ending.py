"""Whether a command line ends OpenOCD, told from its text and from the text of its files."""

from __future__ import annotations

import shlex

import pytest

from ocdsup.dropin.arguments import parse
from ocdsup.dropin.ending import FileText
from ocdsup.dropin.plan import Plan, plan

OPENOCDS_OWN = FileText("proc swj_newdap {} {shutdown}\nif {0} {shutdown}\nswj_newdap\n", proven=True)


def of(*argv: str, **files: str | None) -> Plan:
    """The plan of a command line; files are named without their `.cfg`, and `lib.cfg` is one of OpenOCD's own."""
    texts = {f"{name}.cfg": FileText(text) for name, text in files.items()} | {"lib.cfg": OPENOCDS_OWN}
    return plan(parse(argv).items, texts)


ENDS = [
    "init; shutdown",
    "shutdown error",
    'echo 5"; shutdown',
    "echo a{b; shutdown",
    "program x.elf verify exit",
    "after 100 shutdown",
    "after 100 {halt; shutdown}",
    "proc x {} {shutdown}; after 100 x",
]
MAY = [
    "if {1} {shutdown}",
    "eval {shutdown}",
    "proc x {} {shutdown}; x",
    "proc x {} {y}; proc y {} {shutdown}; x",
    "set t [shutdown]",
    "catch {shutdown}",
    "catch ::shutdown",
    "foreach t {1} {exit}",
    "if {1} {program x.elf verify}",
    "proc init_targets {} {shutdown}; init",
    "proc reset {mode} {shutdown}; reset run",
    "eval $what",
    "source $file",
    "source [file join a b]",
    "if {1} {source mine.cfg}",
    "echo {",
    "halt; $_TARGETNAME configure -event halted {shutdown}",
    "halt; $_TARGETNAME configure -event gdb-detach {quit; shutdown}; proc quit {} {shutdown}",
]
SERVES = [
    "init; reset halt",
    "echo shutdown",
    "echo {exit; shutdown}",
    'echo "shutdown now"',
    "proc x {} {shutdown}",
    "proc x {} {shutdown}; proc y {} {x}",
    "# shutdown",
    "program_is_not_a_word; reset-exit; mdw shutdown.elf",
    "catch -exit {halt}",
    "source lib.cfg",
    "if {1} {source [find lib.cfg]}",
    "$_TARGETNAME configure -rtos auto",
    "[format halt]",
]


def verdict(found: Plan) -> str:
    return "ends" if found.once else "may" if found.doubt or found.flashes else "serves"


@pytest.mark.parametrize(
    ("script", "expected"),
    [*((one, "ends") for one in ENDS), *((one, "may") for one in MAY), *((one, "serves") for one in SERVES)],
)
def test_the_end_is_certain_possible_or_ruled_out_by_the_text_of_a_command(script: str, expected: str) -> None:
    assert verdict(of("-f", "lib.cfg", "-c", script)) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("init\nflash write_image erase x.bin 0x08000000\nshutdown\n", "ends"),
        ("program x.elf verify reset exit", "ends"),
        ("source [find other.cfg]", "ends"),
        ("if {[info exists X]} {\n  shutdown\n}", "may"),
        ("init\nprogram x.elf", "may"),
        ("source $dir/x.cfg", "may"),
        ("source [find nowhere.cfg]", "may"),
        ("if {1} {source [find other.cfg]}", "may"),
        ("eval $what", "may"),
        ("[lindex $words 0] now", "may"),
        ("$what", "may"),
        ("proc x {\n", "may"),
        (
            "# shutdown\nproc flash_it {file} {\n  program $file\n  shutdown\n}\n$T configure -event reset-init {halt}",
            "serves",
        ),
        ("source [find lib.cfg]\ngdb_port 50000\nreset_config srst_only", "serves"),
        ("source [find mine.cfg]", "serves"),
    ],
)
def test_the_text_of_a_configuration_file_counts_as_if_it_were_a_command(text: str, expected: str) -> None:
    found = of("-f", "mine.cfg", mine=text, other="shutdown")
    assert verdict(found) == expected
    assert verdict(of("-c", "source [find mine.cfg]", mine=text, other="shutdown")) == expected


def test_a_procedure_of_a_file_is_known_to_the_command_behind_it() -> None:
    files = {"mine": "proc flash_it {} {program x.elf; shutdown}"}
    assert verdict(of("-f", "mine.cfg", "-c", "flash_it", **files)) == "may"
    assert verdict(of("-f", "mine.cfg", "-c", "init", **files)) == "serves"


@pytest.mark.parametrize(
    ("script", "parting"),
    [
        ("$_TARGETNAME configure -event gdb-detach {shutdown}", ""),
        ("[target current] configure -event gdb-end { reset run; resume; shutdown; }", "reset run; resume"),
        ("$_TARGETNAME configure -event gdb-detach {resume}", None),
        ("$_TARGETNAME configure -event gdb-attach {shutdown}", None),
        ("init", None),
    ],
)
def test_an_end_that_comes_when_gdb_goes_is_told_with_what_is_done_before(script: str, parting: str | None) -> None:
    assert of("-f", "lib.cfg", "-c", script).parting == parting
    assert of("-f", "mine.cfg", mine=script).parting == parting


@pytest.mark.parametrize("line", [["-f", "mine.cfg"], ["-c", "source mine.cfg"], ["-f", "outer.cfg"]])
def test_a_file_that_cannot_be_read_may_end_openocd(line: list[str]) -> None:
    assert verdict(of(*line, mine=None, outer="source [find mine.cfg]")) == "may"
    assert verdict(of(*line)) == "serves"  # one that is nowhere ends nothing


def test_a_file_that_sources_itself_is_read_once() -> None:
    assert verdict(of("-f", "mine.cfg", mine="source [find mine.cfg]\nsource [find other.cfg]", other="init")) == "serves"


def test_without_f_and_c_openocd_reads_its_default_file() -> None:
    assert of("-d2", openocd="init; shutdown").once
    assert not of("-c", "init", openocd="init; shutdown").once


def test_ports_serial_and_location_of_a_file_are_what_is_asked_for() -> None:
    found = of("-f", "mine.cfg", mine="gdb_port 50000\nadapter serial S1\nadapter usb location 1-2")
    assert (found.port("gdb"), found.serial, found.location) == ("50000", "S1", "1-2")


def test_a_serial_in_a_variable_is_the_one_that_was_set() -> None:
    line = shlex.split("-c 'set _ZEPHYR_BOARD_SERIAL S1' -c 'set MINE S2' -f mine.cfg")
    assert of(*line, mine="adapter serial $_ZEPHYR_BOARD_SERIAL").serial == "S1"
    assert of(*line, mine="adapter serial ${MINE}").serial == "S2"
    assert of(*line, mine="adapter serial $UNKNOWN").serial == "S1"


def test_a_file_that_only_sets_openocd_up_does_no_work() -> None:
    assert not of("-f", "mine.cfg", mine="source [find lib.cfg]\nadapter speed 100\nset X 1\necho hello").works
    assert of("-f", "mine.cfg", mine="source [find lib.cfg]\ninit").works
