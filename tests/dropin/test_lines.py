"""The lines that IDEs wait for are found by the very expressions they use."""

from __future__ import annotations

import re

from ocdsup.dropin import lines


def test_cortex_debug_sees_the_server_start() -> None:
    assert re.search(r"Info\s:[^\n]*Listening on port \d+ for gdb connection", lines.listening(50000, "gdb"), re.IGNORECASE)


def test_esp_idf_sees_the_server_start() -> None:
    assert re.search(r"Listening on port \d+ for gdb connections", lines.listening(3333, "gdb"))


def test_west_finds_the_version_in_the_fourth_word() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+", lines.banner("0.12.0").split()[3])


def test_no_line_that_is_no_error_looks_like_one() -> None:
    """ESP-IDF's extension takes any `Error:` for a failed start."""
    shown = [
        lines.banner("0.12.0"),
        lines.note("x"),
        lines.disabled("tcl"),
        lines.starting("cpu", 1),
        lines.listening(1, "tcl"),
    ]
    assert not any("Error:" in line for line in shown)
    assert all(line.startswith("Error: ") for line in (lines.error("x"), lines.taken("gdb", 1, "in use")))
