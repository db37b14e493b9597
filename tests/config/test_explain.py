"""The explained configuration shows every key and loads back as itself."""

from dataclasses import fields
from pathlib import Path

import pytest

from ocdsup.config.explain import explain
from ocdsup.config.load import load
from ocdsup.config.model import Bench, Recovery

CONFIGS = Path(__file__).parents[2] / "configs"
ODD = """
version: 1
http: "[::1]:0"
benches:
  a:
    openocd: {config: ["true", "a b.cfg", "3", "é\\"\\\\"], commands: ["proc x {} {\\n\\techo 1\\n}"], adapter_speed_khz: 240}
    probe: {serial: "0123", location: 1-2}
    recovery: {window: 90s, grace: 1h, backoff: {first: 1ms, factor: 1.5}, after_recovery: halt}
    monitor: off
"""


@pytest.mark.parametrize("text", [ODD, *(file.read_text() for file in CONFIGS.glob("*.yaml"))])
def test_the_text_loads_back_as_the_same_benches(text: str) -> None:
    config = load(text, "f")
    again = load(explain(config, "/run/x.sock"), "g")
    assert again.benches == config.benches
    assert again.http == config.http
    assert again.control == "/run/x.sock"


def test_every_key_is_shown_and_only_defaults_are_marked() -> None:
    text = explain(load(ODD, "f"), "/run/x.sock")
    for key in (*(entry.name for entry in fields(Bench) if entry.name != "name"), *(entry.name for entry in fields(Recovery))):
        assert f" {key}:" in text
    assert "window: 90s\n" in text
    assert "hang_timeout: 15s  # default\n" in text
    assert "control: /run/x.sock  # default\n" in text
    assert "monitor: off\n" in text
