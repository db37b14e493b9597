"""Monitor lines: `safe` cannot be talked into anything, settings are recognised, and only noise is dropped."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocdsup.rsp import monitor

# What the IDEs send (Cortex-Debug, Eclipse Embedded CDT, PlatformIO, Pico VS Code, ESP-IDF, plain users).
FROM_IDES = [
    "reset halt", "reset init", "reset run", "reset", "halt", "init", "arm semihosting enable", "gdb_sync", "sleep 200",
    "reg", "reg pc", "reg r0 0x1234", "mdw 0x20000000 4", "mdb 0", "adapter speed 1000", "poll off", "rtt start",
    "rtt setup 0x20000000 2048 SEGGER", "  reset   halt ", "targets", "version", "CDSWOConfigure 8000000 2000000 x.fifo",
    "step", "flash erase_sector 0 0 last", "cortex_m vector_catch all", "flash probe 0", "bp", "target current",
    "stm32f4x.cpu curstate", 'rtt setup 0x20000000 1024 "SEGGER RTT"', "rtt setup 0x20000000 1024 {SEGGER RTT}",
    "stm32f4x.cpu arm semihosting enable", "stm32f4x.cpu cortex_m vector_catch hard_err",
]  # fmt: skip
HOSTILE = [
    "exec id", "[exec id]", "reset [exec id]", "reset; exec id", "reset\nexec id", "reset halt\r exec id", "mdw $x", "mdw {1}",
    "mdw 0 ; exec id", "source /tmp/x", "open |sh", "eval exec id", "uplevel exec id", "proc reset {} {}", "rename halt x",
    "shutdown", "exit", "socket 1", "load_image /tmp/x", "dump_image /tmp/x 0 4", "program x.elf", "gdb_port 1", "re\\set", "",
    'reset "halt"', "flash write_image /etc/passwd", "add_script_search_dir /tmp", "echo hi", "rtt server start 9 0",
    "rtt sink 0 f", 'rtt setup 0 1 "a[exec id]"', 'rtt setup 0 1 "a" exec', 'rtt setup 0 1 "a"b', "rtt setup 0 1 {*}{exec id}",
    'rtt setup 0 1 "a;b"', "rtt setup 0 1 {a}; exec id", 'rtt "setup" 0 1 a', "shutdown arm semihosting enable",
    "shutdown curstate", "exec curstate", "source curstate", "sleep 600000",
    "reset\u00a0halt", "reset\u2003halt", "halt\u0085", "halt \u2460", "help \u00e9",
]  # fmt: skip


@pytest.mark.parametrize("line", FROM_IDES)
def test_safe_admits_what_ides_send(line: str) -> None:
    """The lines of real IDEs pass."""
    assert monitor.is_safe(line)


@pytest.mark.parametrize("line", HOSTILE)
def test_safe_refuses_what_could_do_harm(line: str) -> None:
    """Nothing that reaches files, programs, the process or the interpreter passes."""
    assert not monitor.is_safe(line)


@given(st.sampled_from(FROM_IDES), st.integers(0, 50), st.sampled_from('[];$\\{}"\n\r\x00'))
def test_one_active_character_anywhere_is_refused(line: str, at: int, active: str) -> None:
    """No line with a character that Tcl acts upon passes, wherever it stands."""
    at %= len(line) + 1
    assert not monitor.is_safe(line[:at] + active + line[at:])


@given(st.text(max_size=20), st.sampled_from(FROM_IDES), st.integers(0, 50))
def test_what_is_admitted_is_made_of_the_words_that_tcl_sees(junk: str, line: str, at: int) -> None:
    """Jim Tcl separates words by blanks and tabs on one line (jim.c JimParseSep), and by nothing else."""
    at %= len(line) + 1
    mixed = line[:at] + junk + line[at:]
    if monitor.is_safe(mixed):
        assert monitor.words(mixed) == " ".join(re.split("[ \t]+", mixed.strip(" \t")))


@pytest.mark.parametrize(
    ("line", "running"),
    [("reset run; sleep 10", True), ("reset halt; resume", True), ("resume; halt", False), ("echo {reset run}", None),
     ("reset run", True), ("reset", True), ("resume", True), ("reset halt", False), ("reset init", False), ("halt", False),
     ("step", False), ("mdw 0", None), ("", None)],
)  # fmt: skip
def test_what_a_line_does_to_the_core(line: str, running: bool | None) -> None:
    """Reset and resume let the core run, halts halt it, the rest leaves it."""
    assert monitor.leaves_running(line) is running


@pytest.mark.parametrize(("line", "rest"), [("ocdsup status", "status"), (" ocdsup", ""), ("ocdsupx", None), ("halt", None)])
def test_our_own_word_is_recognised(line: str, rest: str | None) -> None:
    """Only the whole word `ocdsup` is ours."""
    assert monitor.own(line) == rest


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("halted: PC: 0x08000236\n", ""),
        ("Info : halted: PC: 0x08000236\n", ""),
        ("accepting 'tcl' connection on tcp/0\n", ""),
        ("accepting 'gdb' connection on tcp/0\n", ""),
        ("dropped 'tcl' connection\n", ""),
        ("dropped 'gdb' connection\n", "dropped 'gdb' connection\n"),
        ("target stm32f4x.cpu was not halted when resume was requested\n", ""),
        ("Hello from firmware: accepting 'tcl' connection on tcp/0\n", None),
        ("semihosting: halted: PC: 0x1\n", None),
        ("halted: PC: 0x08000236\nreal message\n", "real message\n"),
        ("", ""),
        ("\n", "\n"),
        ("[stm32f4x.cpu] halted due to breakpoint\n", None),
    ],
)
def test_only_noise_is_dropped(text: str, left: str | None) -> None:
    """Noise lines go, every other line stays to the letter (None = unchanged)."""
    assert monitor.without_noise(text) == (text if left is None else left)


@pytest.mark.parametrize(
    "text", ["target not halted\n", "Warn : target not halted\n", "[stm32f4x.cpu] not halted\n", "[a.cpu] target not halted\n"]
)
def test_what_a_running_core_says_to_a_resume_is_noise_and_the_same_words_answer_a_command(text: str) -> None:
    assert monitor.without_noise(f"{text}kept\n") == "kept\n"
    assert monitor.without_noise(text, asked=True) == text
