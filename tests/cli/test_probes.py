"""The list of probes says what each is, whose it is, who holds it and what is missing."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from ocdsup.cli.main import main
from ocdsup.cli.probes import text

NODE = {"path": "/dev/bus/usb/001/004", "mode": "0664", "owner": "root", "group": "root", "usable": False}
NODE |= {"missing": "no udev rule gives it to a group"}
FREE = {
    "vid_pid": "0483:374b",
    "serial": "066B",
    "location": "1-2.3",
    "model": "ST-LINK/V2-1",
    "bench": "nucleo",
    "nodes": [],
    "holders": [],
}
HELD = {
    "vid_pid": "0483:3748",
    "serial": None,
    "location": "1-4",
    "model": "ST-LINK/V2",
    "bench": None,
    "nodes": [NODE],
    "holders": [
        {"pid": 7, "name": "openocd", "what": "OpenOCD", "user": "bench", "since": "2026-01-01T10:00:00+00:00", "ours": None},
        {
            "pid": 8,
            "name": "openocd",
            "what": "OpenOCD",
            "user": "ocdsup",
            "since": "2026-01-01T10:00:00+00:00",
            "ours": "nucleo",
        },
    ],
}


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"orphaned": True, "parent": None, "gdb_connected": False, "state": "T"}, ", its parent is gone, no GDB, stopped"),
        ({"parent": "code", "gdb_port": 50000, "gdb_connected": True}, ", started by code, GDB port 50000, a GDB is attached"),
        ({"gdb_connected": None, "state": "D"}, ", stuck in the kernel"),
        ({"ours": "nucleo", "parent": "ocdsup", "gdb_connected": False, "state": "S"}, ", started by ocdsup"),
    ],
)
def test_a_holder_is_told_with_what_shows_whether_it_is_still_wanted(fields: dict[str, Any], told: str) -> None:
    holder = {"pid": 7, "name": "openocd", "what": "OpenOCD", "user": "bench", "since": "10:00", "ours": None}
    assert text({"probes": [FREE | {"holders": [holder | fields]}]}).endswith(f"since 10:00{told}")


def test_a_claim_of_nobody_who_can_be_seen_is_told() -> None:
    assert text({"probes": [FREE | {"claimed": True}]}).endswith("in use by a process that ocdsup cannot see")
    assert "in use" not in text({"probes": [HELD | {"claimed": True}]})


@pytest.mark.parametrize(
    ("answer", "lines"),
    [
        ({"probes": [], "unseen": []}, ["no debug probe is on USB"]),
        ({"probes": [FREE]}, ["0483:374b  066B  1-2.3  ST-LINK/V2-1, bench nucleo"]),
        (
            {"probes": [HELD], "unseen": ["2 processes of root cannot be looked at"]},
            [
                "0483:3748  no serial  1-4  ST-LINK/V2, no bench",
                "    /dev/bus/usb/001/004 is 0664 root:root, not open to ocdsup: no udev rule gives it to a group",
                "    held by PID 7 openocd (OpenOCD), user bench, since 2026-01-01T10:00:00+00:00",
                "    held by PID 8 openocd (the OpenOCD of bench nucleo), user ocdsup, since 2026-01-01T10:00:00+00:00",
                "not seen: 2 processes of root cannot be looked at",
            ],
        ),
    ],
)
def test_the_text_has_a_line_for_every_fact(answer: dict[str, Any], lines: list[str]) -> None:
    assert text(answer).split("\n") == lines


def test_json_is_the_daemons_answer(daemon: Callable[..., Any], capsys: pytest.CaptureFixture[str]) -> None:
    server = daemon(lambda request: [{"ok": True, "result": {"probes": [FREE]}}])
    assert main(["--socket", str(server.path), "probes", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"probes": [FREE]}
