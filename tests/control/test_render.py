"""The snapshot as text: everything a person needs, nothing a board can forge."""

from typing import Any

import pytest

from ocdsup.control.render import safe, span, status_text

TEXT = """\
nucleo: recovering for 3.2 s, OpenOCD is being restarted
  fault    target-poll-failing for 1 min 3 s: the board does not answer
           | Polling target stm32f4x.cpu failed\\x1b[31m, trying to reexamine
  doing    recovery: restart-under-reset
           next try in 0.4 s
  do       press NRST
           check BOOT0
  gdb      localhost:3333  stm32f4x.cpu, halted, 1 session
  ports    gdb 3333, telnet 4444
  probe    0483:374b, 066B, at 1-2.3, present
           held by PID 812 openocd of bench since 2026-01-01T10:00:00+00:00, stale
  openocd  0.12.0, PID 4711, up 3.1 s, 2 restarts, target 3.25 V
  last     recovered after 0.4 s from f at T: evict, restart
"""


def test_a_bench_in_trouble_says_what_and_what_to_do(snapshot: dict[str, Any]) -> None:
    assert status_text(snapshot) == TEXT


def test_a_bench_with_nothing_but_a_name_and_a_phase_is_shown() -> None:
    bare = {"name": "a", "phase": "starting", "fault": None, "backend": None, "probe": {"present": False}}
    assert status_text({"benches": [bare]}).startswith("a: starting for 0.0 s\n")


def test_a_loan_says_how_long_and_who_waits() -> None:
    loan = {"borrower": "cargo run", "since_s": 3.2, "left_s": 296.8, "waiting": ["a", "b\x1b"], "over": None}
    lent = {"name": "a", "phase": "lent", "summary": "lent to cargo run", "probe": {"present": True}, "loan": loan}
    assert status_text({"benches": [lent]}).split("\n")[1:4] == [
        "  loan     for 3.2 s, 4 min 56 s left",
        "           waiting: a",
        "           waiting: b\\x1b",
    ]
    loan.update(waiting=[], left_s=None, over="telnet takes it back")
    assert "for 3.2 s, told to give it back: telnet takes it back\n" in status_text({"benches": [lent]})


def test_what_is_wrong_with_no_bench_stands_below_them() -> None:
    assert status_text({"benches": [], "notes": ["a port\x1b"]}) == "no benches\n\nnote: a port\\x1b\n"


def test_no_benches_is_said() -> None:
    assert status_text({"benches": []}) == "no benches\n"


def test_foreign_text_cannot_forge_a_line(snapshot: dict[str, Any]) -> None:
    snapshot["benches"][0]["fault"]["evidence"] = ["x\nnucleo: ready\r\x9b2J" + "y" * 2000]
    text = status_text(snapshot)
    assert "\nnucleo: ready" not in text
    assert "\r" not in text
    assert max(map(len, text.splitlines())) < 500


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (59.9, "59.9 s"), (60, "1 min"), (250, "4 min 10 s"), (7500, "2 h 5 min"), (90000, "1 d 1 h")],
)
def test_spans_are_written_as_people_say_them(seconds: float, text: str) -> None:
    assert span(seconds) == text


def test_line_ends_of_our_own_texts_stay() -> None:
    assert safe("a\nb\x1b") == "a\nb\\x1b"


@pytest.mark.parametrize(
    ("present", "code", "shown"),
    [
        (True, None, "present"),
        (False, "probe-absent", "absent"),
        (False, "backend-missing", "not looked at"),
        (False, None, "not looked at"),
    ],
)
def test_a_probe_is_called_absent_only_when_it_was_missed(present: bool, code: str | None, shown: str) -> None:
    bench = {"name": "a", "phase": "failed", "fault": code and {"code": code, "text": ""}, "probe": {"present": present}}
    assert f"  probe    {shown}\n" in status_text({"benches": [bench]})
