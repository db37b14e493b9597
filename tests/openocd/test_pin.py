"""A probe is told as data, and nothing in it becomes Tcl that does more than to select the probe."""

from __future__ import annotations

import pytest

from ocdsup.errors import ProtocolError
from ocdsup.openocd.command import BackendSpec, pins
from ocdsup.openocd.dialect import Version
from ocdsup.openocd.pin import Pin, heard, said
from ocdsup.openocd.tcl import parse_list

V12 = Version(0, 12, 0)


@pytest.mark.parametrize(
    "spec",
    [
        BackendSpec(),
        BackendSpec(vid_pid="0483:374b", serial="066B", location="1-2.3"),
        BackendSpec(stlink_server_port=7184, serial="x"),
        BackendSpec(serial=r"\x12\x34\x56\x78\x90\xab\xcd\xef\x12\x34\x56\x78"),
    ],
)
@pytest.mark.parametrize("version", [V12, Version(0, 10, 0)])
def test_what_is_said_is_heard_and_selects_the_same_probe(spec: BackendSpec, version: Version) -> None:
    assert heard(said(spec)).tcl(version) == pins(spec, version)


@pytest.mark.parametrize("serial", ["x]; exec id; [", "$::env(HOME)", 'x" ; exec id; "', "{", "}", "a b", "\\"])
def test_a_serial_is_one_word_whatever_is_in_it(serial: str) -> None:
    (script,) = heard({"serial": serial}).tcl(V12)
    attempt, refusal = script.removeprefix("if {[catch {").split("}]} {error ")
    assert parse_list(attempt) == ["adapter", "serial", serial]
    assert refusal.endswith('"}; list')


@pytest.mark.parametrize(
    "told",
    [
        None,
        ["exec id"],
        {"serial": "a\nexec id"},
        {"serial": "a\x00"},
        {"serial": "x" * 127},
        {"serial": ""},
        {"serial": 5},
        {"vid_pid": "0483:374b; exec id"},
        {"vid_pid": "0483:374"},
        {"location": "1-2\n"},
        {"location": "[exec id]"},
        {"server": "192.0.2.1:7184"},
        {"server": "127.0.0.1:0"},
        {"server": "127.0.0.1:70000"},
        {"server": 7184},
    ],
)
def test_anything_else_is_refused(told: object) -> None:
    with pytest.raises(ProtocolError, match="which probe is meant"):
        heard(told)


def test_other_fields_do_not_matter() -> None:
    assert heard({"serial": "a", "node": "1:4", "pins": ["exec id"]}) == Pin(serial="a")
