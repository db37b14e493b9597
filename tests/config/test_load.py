"""A file becomes a `Config`, or one error with every problem at its place."""

import json
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ocdsup.config.load import load
from ocdsup.config.model import Backoff, Bench, Config, HolderPolicy, OpenOcd, Ports, Probe, Recovery
from ocdsup.core.policy import UnderReset
from ocdsup.errors import ConfigError, Problem

Faults = Callable[[str], tuple[Problem, ...]]
CONFIGS = Path(__file__).parents[2] / "configs"

MINIMAL = "version: 1\nbenches:\n  nucleo:\n    openocd: {config: [board/x.cfg]}\n"


def test_a_minimal_file_takes_every_default_of_the_contract() -> None:
    assert load(MINIMAL, "f") == Config(1, (Bench("nucleo", OpenOcd(("board/x.cfg",))),))


def test_a_full_file_is_read_to_the_letter() -> None:
    text = """\
    version: 1
    control: /tmp/x.sock
    http: 127.0.0.1:8333
    benches:
      nucleo:
        probe: {vid_pid: "0483:374B", serial: "066B", location: "1-2.3"}
        openocd: {binary: /opt/openocd, config: [a.cfg, b.cfg], search: [/s], commands: ["a; b"], adapter_speed_khz: 1000}
        ports: {gdb: 0, telnet: 0, tcl: 6666}
        bind: [192.168.1.5]
        allow: [192.168.1.0/24]
        recovery: {failures: 5, window: 1m, backoff: {first: 1s, factor: 3}, under_reset: never, usb_reset: false}
        holders: never
    """
    assert load(textwrap.dedent(text), "f") == Config(
        version=1,
        control="/tmp/x.sock",
        http="127.0.0.1:8333",
        benches=(
            Bench(
                "nucleo",
                OpenOcd(("a.cfg", "b.cfg"), "/opt/openocd", ("/s",), ("a; b",), 1000),
                Probe("0483:374b", "066B", "1-2.3"),
                Ports(0, 0, 6666),
                ("192.168.1.5",),
                ("192.168.1.0/24",),
                Recovery(5, 60.0, backoff=Backoff(1.0, 3.0), under_reset=UnderReset.NEVER, usb_reset=False),
                HolderPolicy.NEVER,
            ),
        ),
    )


@pytest.mark.parametrize("file", sorted(CONFIGS.glob("*.yaml")), ids=lambda file: file.name)
def test_every_shipped_configuration_loads_and_names_its_schema(file: Path) -> None:
    text = file.read_text()
    assert load(text, file.name).benches
    assert text.startswith("# yaml-language-server: $schema=ocdsup.schema.json\n")


BAD_LINES = [
    ("bench: {}", 2, 1, "unknown key 'bench'; did you mean 'benches'?"),
    ("http: 3", 3, 7, "3 is not text"),
    ("benches:", 0, 0, ""),
    ("  nucleo:", 0, 0, ""),
    ("    name: x", 6, 5, "unknown key 'name'"),
    ("    probe: {serial: 123456}", 7, 21, "123456 is not text; put it in quotes"),
    ("    openocd: {confg: [a]}", 8, 5, "'config' is missing"),
    ("    prots: {}", 9, 5, "did you mean 'ports'?"),
    ('    ports: {gdb: yes, telnet: 70000, tcl: "66"}', 10, 18, "'yes' is not a whole number"),
    ("    bind: []", 11, 11, "the list is empty"),
    ("    recovery:", 0, 0, ""),
    ("      window: 10", 13, 15, "10 has no unit; write 10s"),
    ("      grace: 1:30", 14, 14, "'1:30' is not a duration"),
    ("      under_reset: alway", 15, 20, "'alway' is not one of auto, always, never; did you mean 'always'?"),
    ("      usb_reset: no", 16, 18, "'no' is neither true nor false"),
    ("      backoff: 3", 17, 16, "3 is not a mapping"),
    ("      window: 2m", 18, 7, "key 'window' is already on line 13"),
    ("    monitor: {}", 19, 14, "a mapping is not one of full, safe, off"),
    ("  Foo: {openocd: {config: [a]}}", 20, 3, "'Foo' is not a bench name"),
    ("  bar: 3", 21, 3, "3 is not a mapping"),
    ("  baz:", 22, 3, "an empty value is not a mapping"),
    ("  far:", 0, 0, ""),
    ("    openocd: {config: [a]}", 0, 0, ""),
    ("    ports: {gdb: 5000, telnet: 5000}", 25, 32, "port 5000 is already used by benches.far.ports.gdb"),
    ("    bind: [0.0.0.0]", 26, 12, "reachable from other machines"),
]


def test_all_problems_come_at_once_each_at_its_place_in_file_order(faults: Faults) -> None:
    found = faults("version: 1\n" + "\n".join(line for line, *_ in BAD_LINES))
    text = "\n".join(map(str, found))
    for _, line, column, sentence in BAD_LINES:
        if line:
            assert any(p.line == line and p.column == column and sentence in str(p) for p in found), (
                f"{line}: {sentence}\n{text}"
            )
    assert [(p.line, p.column) for p in found] == sorted((p.line, p.column) for p in found)
    assert len(found) == len({(p.path, p.text) for p in found}), text


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("benches: {a: {openocd: {config: [x]}}}", "`version` is missing; add the line `version: 1`"),
        ("version: 2\nports: 3", "version 2 is newer than this ocdsup"),
        ('version: "1"\nbenches: {}', "'1' is not a version of this file"),
        ("version: true", "true is not a version"),
        ("version: 1", "'benches' is missing"),
        ("version: 1\nbenches: {}", "`benches` is not a mapping of names to benches"),
        ("version: 1\nbenches: [{name: a}]", "`benches` is not a mapping of names to benches"),
        ("version: 1\nbenches: {'': {openocd: {config: [x]}}}", "'' is not a bench name"),
        ("version: 1\nbenches: {a: {openocd: }}", "an empty value is not a mapping"),
        ("version: 1\nbenches: {a: {openocd: {config: board.cfg}}}", "'board.cfg' is not a list"),
        ("version: 1\nbenches: {a: {openocd: {config: [1]}}}", "1 is not text"),
        ("version: 1\nbenches: {a: {openocd: {config: [x]}, recovery: {failures: 0}}}", "0 is too small; the least is 1"),
        ("version: 1\nbenches: {a: {openocd: {config: [x]}, recovery: {backoff: {factor: 1e400}}}}", "is too large"),
        ("- 1", "the file is not a mapping"),
    ],
)  # fmt: skip
def test_a_broken_file_says_what_is_wrong(faults: Faults, text: str, sentence: str) -> None:
    (problem,) = faults(text)
    assert sentence in str(problem)


def test_braces_in_the_users_text_are_not_a_template(faults: Faults) -> None:
    (problem,) = faults(MINIMAL + '    recovery: {window: "{fault} %s {0}"}')
    assert "'{fault} %s {0}' is not a duration" in problem.text


WORDS = ["version", "benches", "a", "openocd", "config", "ports", "gdb", "probe", "recovery", "backoff", "bind", "name", ""]
KEYS = st.sampled_from(WORDS)
LEAVES = st.none() | st.booleans() | st.integers(-5, 70000) | st.floats(allow_nan=False) | st.sampled_from(["x", "10s", "::1"])
TREES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=12
)


@settings(deadline=None)
@given(st.dictionaries(KEYS, TREES, max_size=5), TREES)
def test_any_tree_is_a_configuration_or_a_config_error(top: dict[str, object], bench: object) -> None:
    """JSON is YAML, so json.dumps writes the file; anything but ConfigError is a bug. Two equal benches share a probe."""
    with pytest.raises(ConfigError) as caught:
        load(json.dumps(top | {"version": 1, "benches": {"a": bench, "b": bench}}), "f")
    assert caught.value.problems
