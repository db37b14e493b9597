"""A loan as the command line asks for it, and what the command behind `--` gets to know."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ocdsup.cli.lend import environment, granted, request
from ocdsup.cli.main import behind_verb, main
from ocdsup.errors import ControlError

PROBE = {"vid_pid": "0483:374b", "serial": "066B", "location": "1-2.3", "server": None, "node": "1:4"}


def test_the_command_is_told_which_probe_it_has() -> None:
    assert environment("nucleo", PROBE) == {
        "OCDSUP_LEASE": "nucleo",
        "OCDSUP_PROBE_SERIAL": "066B",
        "OCDSUP_PROBE_VID_PID": "0483:374b",
        "OCDSUP_PROBE_LOCATION": "1-2.3",
        "PROBE_RS_PROBE": "0483:374b:066B",
        "STLINK_SERIAL": "066B",
        "STLINK_DEVICE": "1:4",
    }


def test_a_probe_of_another_make_gets_no_variables_of_the_stlink_tools() -> None:
    named = environment("pico", {**PROBE, "vid_pid": "2e8a:000c", "serial": None})
    assert named["PROBE_RS_PROBE"] == "2e8a:000c"
    assert not {"STLINK_SERIAL", "STLINK_DEVICE", "OCDSUP_PROBE_SERIAL"} & set(named)


def test_a_serial_of_raw_bytes_is_no_text_for_an_environment() -> None:
    assert "OCDSUP_PROBE_SERIAL" not in environment("nucleo", {**PROBE, "serial": "\x01\x02"})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("serial", "066B]; exec id; ["),
        ("serial", "$(id)"),
        ("serial", "`id`"),
        ("serial", "a\nOCDSUP_LEASE=b"),
        ("vid_pid", "0483:374b; id"),
        ("location", "1-2 -x"),
        ("server", "127.0.0.1:7184 && id"),
        ("server", ["127.0.0.1:7184"]),
        ("node", "1:4;id"),
    ],
)
def test_what_could_be_a_command_never_gets_into_the_environment(field: str, value: object) -> None:
    """Scripts write `-c "adapter serial $OCDSUP_PROBE_SERIAL"`, and what the daemon says is only data."""
    named = environment("nucleo", {**PROBE, "server": "127.0.0.1:7184", field: value})
    assert not [text for text in named.values() if "id" in text or "\n" in text or "-x" in text or "[" in text]
    assert len(named) < 8


def test_the_server_of_a_simulated_probe_is_told() -> None:
    assert environment("sim", {"server": "127.0.0.1:7184"})["OCDSUP_PROBE_SERVER"] == "127.0.0.1:7184"


@pytest.mark.parametrize(
    ("command", "limit", "force", "args"),
    [
        ([], None, False, {"hold": True, "by": "ocdsup lend"}),
        (["st-flash", "write", "a b.bin"], 60.0, False, {"hold": True, "by": "st-flash write 'a b.bin'", "seconds": 60.0}),
        (["x", "a\nb"], None, True, {"hold": True, "by": "x 'a b'", "force": True}),
        (["x" * 300], None, False, {"hold": True, "by": "x" * 199 + "…"}),
    ],
)
def test_the_request_fits_the_verb_table(command: list[str], limit: float | None, force: bool, args: dict[str, object]) -> None:
    from ocdsup.control.verbs import check

    assert request(command, limit, force=force) == args
    check("lend", "nucleo", args)


def test_a_borrower_that_waits_is_told_its_place(capsys: pytest.CaptureFixture[str]) -> None:
    waiting = [{"step": "waiting", "place": place, "borrower": "cargo\x1b run"} for place in (2, 1)]
    assert granted(iter([*waiting, {"step": "granted", "probe": PROBE}]), "nucleo") == PROBE
    assert capsys.readouterr().err.split("\n") == [
        "ocdsup: nucleo is lent to cargo\\x1b run; 2 borrowers before this one",
        "ocdsup: nucleo is lent to cargo\\x1b run; 1 borrower before this one",
        "",
    ]


@pytest.mark.parametrize("news", [[], [{"step": "over", "why": "telnet takes it back"}]])
def test_a_loan_that_never_begins_is_an_error(news: list[dict[str, Any]]) -> None:
    with pytest.raises(ControlError, match="the loan was over before it began"):
        granted(iter(news), "nucleo")


def test_a_refusal_is_a_sentence_and_an_exit_code(daemon: Callable[..., Any], capsys: pytest.CaptureFixture[str]) -> None:
    error = {"code": "refused", "text": "cannot lend: a flash operation runs", "hint": "`--force`"}
    server = daemon(lambda request: [{"ok": False, "error": error}])
    assert main(["--socket", str(server.path), "lend", "nucleo", "--", "true"]) == 1
    assert "a flash operation runs" in capsys.readouterr().err
    assert server.asked[0]["args"]["by"] == "true"


@pytest.mark.parametrize(
    ("verb", "arguments", "ours", "behind"),
    [
        ("lend", ["lend", "a", "--for", "5m", "--", "cmd", "--", "-c"], ["lend", "a", "--for", "5m"], ["cmd", "--", "-c"]),
        ("lend", ["lend", "a"], ["lend", "a"], []),
        ("openocd", ["--socket", "s", "openocd", "-c", "init"], ["--socket", "s", "openocd"], ["-c", "init"]),
        ("status", ["status", "--", "x"], ["status", "--", "x"], []),
        (None, ["--help"], ["--help"], []),
    ],
)
def test_what_belongs_to_another_program_is_not_looked_at(
    verb: str | None, arguments: list[str], ours: list[str], behind: list[str]
) -> None:
    assert behind_verb(verb, arguments) == (ours, behind)
