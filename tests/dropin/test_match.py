"""Which bench a command line means, and when none or several do."""

from __future__ import annotations

import pytest

from ocdsup.dropin.match import Candidate, Elsewhere, Meant, Named, Unclear, families, find, targets

F4 = frozenset({"interface/stlink.cfg", "target/stm32f4x.cfg"})
H7 = frozenset({"interface/stlink.cfg", "target/stm32h7x.cfg"})
RP = frozenset({"interface/cmsis-dap.cfg", "target/rp2040.cfg"})
ONE = Candidate("nucleo", "066B", "1-2", F4)
PICO = Candidate("pico", "E66", "1-3", RP)
TWIN = Candidate("twin", "0777", "1-4", F4)
BARE = Candidate("bare", None, None, F4)


@pytest.mark.parametrize(
    ("asked", "benches", "found"),
    [
        (Named(serial="066b"), [ONE, TWIN], Meant("nucleo", "serial 066b")),
        (Named(serial="0777", files=RP), [ONE, TWIN], Meant("twin", "serial 0777")),
        (Named(location="1-4"), [ONE, TWIN], Meant("twin", "location 1-4")),
        (Named(serial="zzz", files=F4), [ONE, TWIN], Elsewhere("no bench has the serial zzz")),
        (Named(serial="zzz", files=F4), [ONE, BARE], Elsewhere("no bench has the serial zzz", ("bare",))),
        (Named(serial="zzz", files=RP), [BARE], Elsewhere("no bench has the serial zzz")),
        (Named(files=RP), [ONE, PICO], Meant("pico", "the only bench with these files")),
        (Named(), [ONE], Meant("nucleo", "the only bench")),
        (Named(files=frozenset({"my.cfg"})), [ONE], Meant("nucleo", "the only bench")),
        (Named(files=frozenset({"interface/stlink-v2.cfg", "target/stm32f4x.cfg"})), [ONE], Meant("nucleo", "the only bench")),
        (Named(files=F4), [ONE, TWIN], Unclear(("nucleo", "twin"))),
        (Named(), [ONE, PICO], Unclear(("nucleo", "pico"))),
        (Named(files=RP), [ONE], Elsewhere("no bench has these files")),
        (Named(files=H7), [ONE], Elsewhere("no bench has these files", ("nucleo",))),
        (Named(), [], Elsewhere("no bench has these files")),
    ],
)  # fmt: skip
def test_the_bench_is_found_or_it_is_said_why_not(asked: Named, benches: list[Candidate], found: object) -> None:
    assert find(asked, benches) == found


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("interface/stlink.cfg", "stlink"),
        ("interface/stlink-v2-1.cfg", "stlink"),
        ("interface/stlink-dap.cfg", "stlink"),
        ("/usr/share/openocd/scripts/interface/cmsis-dap.cfg", "cmsis-dap"),
        ("interface/ftdi/olimex-arm-usb-ocd-h.cfg", "olimex-arm-usb-ocd-h"),
    ],
)
def test_the_files_of_one_kind_of_probe_are_one_family(name: str, family: str) -> None:
    assert families([name]) == {family}


def test_the_chip_is_the_name_of_the_target_file() -> None:
    assert targets(["board/x.cfg", "target/stm32f4x.cfg", "interface/stlink.cfg"]) == {"stm32f4x"}
