"""Which probe a bench means."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocdsup.errors import ProbeError
from ocdsup.probes.known import identify
from ocdsup.probes.probe import Probe
from ocdsup.probes.selector import (
    Absent,
    Ambiguous,
    Found,
    ProbeSelector,
    match,
    openocd_serial,
    parse,
    pin,
)

RAW = "\xaa\xbc\x6e\x06\x50\x75\xff\x55\x17\x42\x19\x3f"
"""The example of OpenOCD 0.12's interface/stlink.cfg."""
HEX = "AABC6E065075FF551742193F"
CUT = "\x18"


def probe(vid_pid: str = "0483:374b", serial: str = "066B", location: str | None = "1-2.3", **fields: Any) -> Probe:
    model = identify(vid_pid)
    assert model
    return Probe(vid_pid, serial, model, location, **fields)


@pytest.mark.parametrize(
    ("text", "selector"),
    [
        ("", ProbeSelector()),
        ("0483:374B", ProbeSelector("0483:374b")),
        ("0483:374b:066BFF", ProbeSelector("0483:374b", "066BFF")),
        ("vid_pid=0483:374b,location=1-2.3", ProbeSelector("0483:374b", None, "1-2.3")),
        ("server=127.0.0.1:7184,serial=A", ProbeSelector(None, "A", None, "127.0.0.1:7184")),
    ],
)
def test_a_selector_is_read(text: str, selector: ProbeSelector) -> None:
    assert parse(text) == selector


@pytest.mark.parametrize("text", ["0483", "0483:374b-1", "serial=", "colour=red", "location=2.3", "server=10.0.0.1:1"])
def test_a_wrong_selector_says_which_part_is_wrong(text: str) -> None:
    with pytest.raises(ProbeError, match="cannot read the probe selector"):
        parse(text)


words = st.text("0123456789ABCDEF", min_size=1, max_size=24)


@given(
    st.builds(
        ProbeSelector,
        st.none() | st.just("0483:374b"),
        st.none() | words,
        st.none() | st.sampled_from(["1-2", "3-1.4.2"]),
        st.none() | st.just("127.0.0.1:7184"),
    )
)
def test_what_a_selector_prints_reads_back_the_same(selector: ProbeSelector) -> None:
    assert parse(str(selector)) == selector


def test_openocd_gets_the_digits_or_the_location() -> None:
    assert openocd_serial(probe("0483:3748", RAW)) == HEX
    assert openocd_serial(probe("0483:3748", CUT)) is None
    assert openocd_serial(probe(serial="")) is None
    assert pin(probe("0483:3748", CUT)) == ProbeSelector("0483:3748", None, "1-2.3")


TWO = (probe(serial="A", location="1-2"), probe(serial="B", location="1-3"))
CLONES = (probe(serial="A", location="1-2"), probe(serial="A", location="1-3"))


@pytest.mark.parametrize(
    ("selector", "probes", "place"),
    [
        (ProbeSelector(), TWO[:1], "1-2"),
        (ProbeSelector(serial="B"), TWO, "1-3"),
        (ProbeSelector(location="1-2"), CLONES, "1-2"),
        (ProbeSelector("0483:374B", "a"), TWO, "1-2"),
        (ProbeSelector(serial="a"), (probe(serial="A", location="1-2"), probe(serial="a", location="1-3")), "1-3"),
        (ProbeSelector(), (*TWO[:1], probe("0403:6010", "FT", "1-9")), "1-2"),
        (ProbeSelector(), (probe("0403:6010", "FT", "1-9"),), "1-9"),
        (ProbeSelector(), (*TWO[:1], probe(location=None, server="127.0.0.1:7184")), "1-2"),
        (ProbeSelector(server="127.0.0.1:7184"), (*TWO, probe(location=None, server="127.0.0.1:7184")), "127.0.0.1:7184"),
    ],
)
def test_the_probe_that_is_meant_is_found(selector: ProbeSelector, probes: tuple[Probe, ...], place: str) -> None:
    found = match(selector, probes)
    assert isinstance(found, Found)
    assert found.probe.place == place


@pytest.mark.parametrize("selector", [ProbeSelector(), ProbeSelector(serial="A"), ProbeSelector("0483:374b")])
def test_two_that_fit_are_refused_naming_both_paths(selector: ProbeSelector) -> None:
    refused = match(selector, CLONES)
    assert isinstance(refused, Ambiguous)
    assert "1-2 and 1-3" in refused.text
    assert "location" in refused.text


def test_an_absent_probe_says_what_is_there_instead() -> None:
    absent = match(ProbeSelector(serial="C"), TWO)
    assert isinstance(absent, Absent)
    assert "ST-LINK/V2-1 0483:374b A at 1-2" in absent.text
    assert match(ProbeSelector(), ()) == Absent("no debug probe is on USB")


def test_a_pinned_probe_finds_itself() -> None:
    for each in TWO:
        assert match(pin(each), TWO) == Found(each)
