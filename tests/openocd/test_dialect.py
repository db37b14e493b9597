"""Versions and the names that changed between them."""

from __future__ import annotations

import pytest

from ocdsup.errors import BackendError
from ocdsup.openocd.dialect import NAMES, OLDEST, Family, Version, find_version, names, parse_version


@pytest.mark.parametrize(
    ("banner", "version", "family"),
    [
        ("Open On-Chip Debugger 0.12.0", Version(0, 12, 0), Family.V0_12),
        ("Open On-Chip Debugger 0.12.0+dev-01234-gabb (2026-08-22)", Version(0, 12, 0, "+dev-01234-gabb"), Family.MASTER),
        ("Open On-Chip Debugger 0.11.0", Version(0, 11, 0), Family.V0_11),
        ("xPack Open On-Chip Debugger 0.11.0+dev (2022-03-25-17:32)", Version(0, 11, 0, "+dev"), Family.V0_11),
        ("Open On-Chip Debugger v0.12.0-esp32-20240318 (2024)", Version(0, 12, 0, "-esp32-20240318"), Family.V0_12),
        ("Open On-Chip Debugger 0.10.0-rc1", Version(0, 10, 0, "-rc1"), Family.V0_10),
        ("Open On-Chip Debugger 0.10.0+dev-00809-g7ee618692", Version(0, 10, 0, "+dev-00809-g7ee618692"), Family.V0_10),
        ("Open On-Chip Debugger 0.13.0", Version(0, 13, 0), Family.MASTER),
        ("Open On-Chip Debugger 1.0.0", Version(1, 0, 0), Family.MASTER),
        ("warning\nOpen On-Chip Debugger 0.12.0\nLicensed under GNU GPL v2", Version(0, 12, 0), Family.V0_12),
    ],
)  # fmt: skip
def test_a_banner_tells_version_and_family(banner: str, version: Version, family: Family) -> None:
    assert parse_version(banner) == version
    assert version.family is family


@pytest.mark.parametrize("text", ["Open On-Chip Debugger 0.9.0", "Open On-Chip Debugger 0.8.0-dev-00381-gf91390f"])
def test_an_old_openocd_is_refused_but_can_be_named(text: str) -> None:
    with pytest.raises(BackendError, match=r"too old; install OpenOCD 0\.10"):
        parse_version(text)
    found = find_version(text)
    assert found is not None
    assert found.family < OLDEST


@pytest.mark.parametrize("text", ["", "GNU gdb 13", "Open On-Chip Debugger", "\0" * 100])
def test_what_is_no_openocd_is_refused_with_what_it_said(text: str) -> None:
    with pytest.raises(BackendError, match=r"set openocd\.binary"):
        parse_version(text)


def test_every_family_that_can_be_started_has_names() -> None:
    assert set(NAMES) == {family for family in Family if family >= OLDEST}
    assert names(Version(0, 10, 0)).speed == "adapter_khz"
    assert not names(Version(0, 10, 0)).announces_ports
    with pytest.raises(BackendError, match="too old"):
        names(Version(0, 9, 0))


def test_a_version_reads_as_openocd_prints_it() -> None:
    assert str(Version(0, 12, 0, "+dev")) == "0.12.0+dev"
    assert [str(family) for family in Family] == ["0.8", "0.9", "0.10", "0.11", "0.12", "master"]
