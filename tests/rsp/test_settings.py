"""Settings by `monitor`: what is said again to a new OpenOCD, in which order, and what its user hears was not."""

import pytest

from ocdsup.rsp.settings import commands, in_order, note, setting, unrepeated_text


def kept(*lines: str) -> tuple[list[str], list[str]]:
    """Return what is said again after these lines, and what is not."""
    settings: dict[str, str] = {}
    unrepeated: dict[str, str] = {}
    for line in lines:
        note(line, settings, unrepeated)
    return [text for _, text in in_order(settings)], list(unrepeated.values())


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("a  b\tc", [["a", "b", "c"]]),
        ('rtt setup 0 1 "SEGGER RTT"', [["rtt", "setup", "0", "1", "SEGGER RTT"]]),
        ("rtt setup 0 1 {SEGGER RTT}", [["rtt", "setup", "0", "1", "SEGGER RTT"]]),
        ("a b; c\nd", [["a", "b"], ["c"], ["d"]]),
        ("a {}", [["a", ""]]),
        (" ; ", []),
        ("a $b", None),
        ("a [b]", None),
        ('a "b$c"', None),
        ('a "b"c', None),
        ("a {b}c", None),
        ("a {*}{b c}", None),
        ("a b\\\nc", None),
        ("# a", None),
        ('a "b', None),
    ],
)
def test_constant_words_are_read_as_tcl_reads_them(line: str, words: list[list[str]] | None) -> None:
    """Quotes and braces around a word belong to its spelling; whatever is substituted makes the line none that is known."""
    found = commands(line)
    assert (None if found is None else [list(command.words) for command in found]) == words


@pytest.mark.parametrize(
    ("line", "key"),
    [
        ("arm semihosting enable", "arm semihosting"),
        ("arm  semihosting disable", "arm semihosting"),
        ("stm32f4x.cpu arm semihosting enable", "stm32f4x.cpu arm semihosting"),
        ("arm semihosting_fileio enable", "arm semihosting_fileio"),
        ("arm semihosting", None),
        ("cortex_m vector_catch hard_err", "cortex_m vector_catch"),
        ("stm32f4x.cpu cortex_m vector_catch all", "stm32f4x.cpu cortex_m vector_catch"),
        ("adapter speed 500", "adapter speed"),
        ("poll off", "poll"),
        ("rtt start", "rtt"),
        ("rtt stop", "rtt"),
        ("rtt polling_interval 10", "rtt polling_interval"),
        ('rtt setup 0x20000000 1024 "SEGGER RTT"', "rtt setup"),
        ("rtt server start 9090 0", "rtt server 9090"),
        ("rtt server stop 9090", None),
        ("gdb_breakpoint_override hard", "gdb_breakpoint_override"),
        ("reset halt", None),
        ("mdw 0x20000000", None),
    ],
)
def test_settings_are_told_from_actions(line: str, key: str | None) -> None:
    """A setting has a name under which the last value is kept; actions have none."""
    found = commands(line)
    assert found is not None
    assert [setting(command) for command in found] == [key]


def test_rtt_is_set_up_before_it_is_started() -> None:
    """In whatever order its user came to it; what was stopped is not started."""
    setup, server = 'rtt setup 0x20000000 1024 "SEGGER RTT"', "rtt server start 9090 0"
    assert kept("rtt start", server, "rtt polling_interval 10", setup)[0] == [
        setup,
        "rtt polling_interval 10",
        "rtt start",
        server,
    ]
    assert kept(setup, "rtt start", server, "rtt server stop 9090", "rtt stop")[0] == [setup, "rtt stop"]


def test_each_command_of_a_line_counts() -> None:
    """An action beside a setting is not said again."""
    assert kept("reset halt; arm semihosting enable") == (["arm semihosting enable"], [])


@pytest.mark.parametrize(
    "line",
    [
        "bp 0x08000234 2 hw",
        "wp 0x20000000 4 w",
        "stm32f4x.cpu configure -event halted {set h 1}",
        "set foo [expr 1]",
        "proc go {} {reset run}",
        "arm semihosting_cmdline $argv",
        "reset_config none",
    ],
)
def test_what_lasts_and_is_not_said_again_is_known(line: str) -> None:
    """Its user hears of it."""
    assert kept(line) == ([], [line])


def test_what_its_user_has_taken_back_is_not_mentioned() -> None:
    """A breakpoint that was removed is none."""
    assert kept("bp 0x10 2 hw", "bp 0x20 2 hw", "wp 0x30 4", "rbp 0x10")[1] == ["bp 0x20 2 hw", "wp 0x30 4"]
    assert kept("bp 0x10 2 hw", "wp 0x30 4", "rbp all")[1] == ["wp 0x30 4"]


@pytest.mark.parametrize("line", ["reset halt", "bp", "mdw 0 4", "targets", "flash write_image x", "echo {set a b}", "set foo"])
def test_actions_and_questions_leave_nothing_behind(line: str) -> None:
    """Nothing is said of them after a restart."""
    assert kept(line) == ([], [])


def test_the_line_about_what_was_not_said_is_one_line() -> None:
    """However much there is, and whatever is in it."""
    assert unrepeated_text([]) == ""
    text = unrepeated_text([f"set a{n} \x1b[31m\n{'x' * 99}" for n in range(9)])
    assert text.count("\n") == 1
    assert "\x1b" not in text
    assert "and 5 more" in text


def test_no_session_keeps_more_settings_than_a_person_makes() -> None:
    """A script that sets a thousand variables fills no memory."""
    assert len(kept(*(f"set a{n} 1" for n in range(1000)))[1]) == 32
