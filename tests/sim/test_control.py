"""Requests of the control socket."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ocdsup.sim.boards import BOARDS
from ocdsup.sim.control import answer
from ocdsup.sim.probe import Probe


@pytest.fixture(scope="module")
def probes() -> list[Probe]:
    return [Probe(serial, BOARDS["stm32f103"], 0.0) for serial in ("AAA", "BBB")]


def ask(probes: list[Probe], request: object) -> dict[str, Any]:
    line = request if isinstance(request, bytes) else json.dumps(request).encode()
    reply = answer(line, probes, 1.0)
    assert reply.endswith(b"\n")
    return dict(json.loads(reply))


def test_break_and_heal_by_serial(probes: list[Probe]) -> None:
    assert ask(probes, {"break": "flaky", "serial": "BBB", "percent": 5})["options"] == {"percent": 5, "seed": 1}
    assert ["flaky" in probe.faults for probe in probes] == [False, True]
    assert ask(probes, {"heal": None, "serial": "BBB"})["healed"] == ["flaky"]


def test_without_a_serial_the_first_probe_is_meant(probes: list[Probe]) -> None:
    assert ask(probes, {"break": "silent"})["ok"]
    assert ask(probes, {"heal": "silent"})["healed"] == ["silent"]


def test_status_shows_all_or_one(probes: list[Probe]) -> None:
    assert [probe["serial"] for probe in ask(probes, {"status": None})["probes"]] == ["AAA", "BBB"]
    assert [probe["serial"] for probe in ask(probes, {"status": None, "serial": "BBB"})["probes"]] == ["BBB"]


def test_the_log_can_be_cleared(probes: list[Probe]) -> None:
    ask(probes, {"press": "reset"})
    assert ask(probes, {"log": "clear"})["counts"]["button reset"] >= 1
    assert ask(probes, {"log": None})["counts"] == {}


def test_power_can_be_cycled(probes: list[Probe]) -> None:
    boots = probes[0].board.boots
    assert ask(probes, {"power": "cycle"}) == {"ok": True}
    assert probes[0].board.boots == boots + 1


@pytest.mark.parametrize(
    ("request_", "text"),
    [
        (b"nonsense", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        ([], "an object with one of: break, heal"),
        ({}, "an object with one of"),
        ({"break": "silent", "heal": None}, "an object with one of"),
        ({"break": "nothing"}, "there is no fault 'nothing'"),
        ({"break": "flaky", "often": 1}, "no option 'often'"),
        ({"heal": "nothing"}, "there is no fault 'nothing'"),
        ({"log": None, "serial": "CCC"}, "there are: AAA, BBB"),
        ({"press": "any"}, "can be pressed"),
    ],
)
def test_a_wrong_request_is_answered_with_its_reason(probes: list[Probe], request_: object, text: str) -> None:
    reply = ask(probes, request_)
    assert reply["ok"] is False
    assert text in reply["error"]


_KEYS = st.sampled_from(["break", "heal", "log", "status", "press", "serial", "percent", "x"])
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=4),
    max_leaves=6,
)


@settings(deadline=None)
@given(_JSON)
def test_any_json_gets_an_answer(probes: list[Probe], request_: object) -> None:
    assert isinstance(ask(probes, request_)["ok"], bool)
    ask(probes, {"heal": None})
