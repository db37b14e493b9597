"""The list of probes: which bench means which, and whose hands they are in."""

from __future__ import annotations

import pytest

from ocdsup.probes.holders import Holder, Parent, Process, Report, Unseen, describe
from ocdsup.probes.known import identify
from ocdsup.probes.probe import Node, Probe
from ocdsup.probes.selector import ProbeSelector
from ocdsup.runtime import inventory, procs, stlink_server, usb

SERVER = "127.0.0.1:7184"


def holding(pid: int, nodes: tuple[str, ...], *words: str) -> Holder:
    """An OpenOCD that has these open."""
    process = Process(pid, 1, 700, 1000, "S", "openocd", "/usr/bin/openocd", ("openocd", *words), 0.0, 9.0, nodes, user="bench")
    return describe(process, Parent(700, "code"))


def probe(serial: str, device: int = 4, server: str | None = None, in_use: bool | None = None) -> Probe:
    """An ST-LINK on USB, or behind a server."""
    model = identify("0483:374b", "STM32 STLink", [])
    assert model is not None
    node = Node(f"/dev/bus/usb/001/{device:03}", "usb", 0o660, "root", "plugdev", usable=True)
    if server is not None:
        return Probe("0483:374b", serial, model, server=server, in_use=in_use)
    return Probe("0483:374b", serial, model, location=f"1-{device}", bus=1, device=device, nodes=(node,))


@pytest.fixture
def pc(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two probes on USB, two behind a server, and who holds them."""
    behind = (probe("A", server=SERVER, in_use=True), probe("B", server=SERVER, in_use=True))
    holders = (
        holding(10, ("/dev/bus/usb/001/004",)),
        holding(11, (f"tcp:{SERVER}",), "-c", "adapter serial A"),
        holding(12, (f"tcp:{SERVER}",), "-c", "adapter serial B"),
    )
    report = Report(holders, (Unseen("1 process", "CAP_X"),), 0.0)
    monkeypatch.setattr(usb, "inventory", lambda also: (probe("S1", 4), probe("S2", 5)))
    monkeypatch.setattr(stlink_server, "list_probes", lambda _server: behind)
    monkeypatch.setattr(procs, "find_holders", lambda _what, ask: report)


@pytest.mark.usefixtures("pc")
def test_every_probe_has_its_bench_and_its_holders() -> None:
    wants = {
        "one": ProbeSelector(serial="S2"),
        "two": ProbeSelector(serial="B", server=SERVER),
        "three": ProbeSelector(serial="C"),
    }
    found = inventory.look(wants, {12: "two"})
    shown = [(p["serial"], p["bench"], [(h["pid"], h["ours"]) for h in p["holders"]]) for p in found["probes"]]
    assert shown == [("S1", None, [(10, None)]), ("S2", "one", []), ("A", None, [(11, None)]), ("B", "two", [(12, "two")])]
    assert found["unseen"] == ["1 process; needs CAP_X"]
    first = found["probes"][0]
    assert first["nodes"][0]["mode"] == "0660"
    assert (first["drivers"], first["claimed"]) == ([], False)
    (who,) = first["holders"]
    assert (who["parent"], who["orphaned"], who["gdb_connected"], who["state"]) == ("code", False, False, "S")
    assert (who["exe"], who["cmdline"]) == ("/usr/bin/openocd", ["openocd"])
