"""A first configuration loads, whatever is plugged in, and tells probes apart by what really differs."""

import pytest

from ocdsup.config.load import load
from ocdsup.config.starter import INTERFACES, Found, starter
from ocdsup.probes.known import TABLE


def found(kind: str = "st-link", serial: str = "066B", location: str = "1-2", vid_pid: str = "0483:374b") -> Found:
    return Found(kind, f"a {kind}", vid_pid, serial, location)


def test_without_a_probe_it_is_the_simulated_board() -> None:
    config = load(starter(()), "a.yaml")
    assert [(bench.name, bench.probe.server) for bench in config.benches] == [("simulated", "127.0.0.1:7184")]


def test_each_probe_becomes_a_bench_with_ports_of_its_own() -> None:
    probes = (found(serial="A1"), found(serial="A2", location="1-3"), found("cmsis-dap", "E6", "1-4", "2e8a:000c"))
    config = load(starter(probes, "target/stm32g0x.cfg"), "a.yaml")
    assert [bench.name for bench in config.benches] == ["st-link", "st-link-2", "cmsis-dap"]
    assert [bench.ports.gdb for bench in config.benches] == [3333, 3343, 3353]
    assert [bench.probe.serial for bench in config.benches] == ["A1", "A2", "E6"]
    assert config.benches[2].openocd.config == ("interface/cmsis-dap.cfg", "target/stm32g0x.cfg")
    assert config.benches[2].openocd.adapter_speed_khz == 1000


@pytest.mark.parametrize("serial", ["", "SAME"])
def test_probes_without_a_serial_of_their_own_are_told_apart_by_their_port(serial: str) -> None:
    """Clones share one serial or have none."""
    probes = (found(serial=serial, location="1-2.1"), found(serial=serial, location="1-2.2"))
    config = load(starter(probes), "a.yaml")
    assert [(bench.probe.serial, bench.probe.location) for bench in config.benches] == [(None, "1-2.1"), (None, "1-2.2")]


def test_a_probe_that_needs_a_persons_choice_is_named_and_left_out() -> None:
    text = starter((found("ftdi", vid_pid="0403:6010"),))
    assert [bench.name for bench in load(text, "a.yaml").benches] == ["simulated"]
    assert "# not here: a ftdi 0403:6010 at 1-2" in text


def test_every_kind_with_an_interface_is_a_kind_that_is_known() -> None:
    assert set(INTERFACES) <= {model.kind for _, model in TABLE}
