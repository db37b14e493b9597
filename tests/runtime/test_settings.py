"""OpenOCD is bound to exactly the probe that was found, and the core has the numbers of the configuration."""

from __future__ import annotations

import pytest

from ocdsup.config.model import Bench, OpenOcd, SecondClientPolicy
from ocdsup.config.model import Probe as ProbeConfig
from ocdsup.openocd.command import BackendSpec
from ocdsup.openocd.dialect import parse_version
from ocdsup.probes.known import identify
from ocdsup.probes.probe import Probe
from ocdsup.probes.selector import Absent, Ambiguous, Found
from ocdsup.runtime.settings import gdb_policy_of, pinned, spec_of, uids_of

NEW, OLD = parse_version("Open On-Chip Debugger 0.12.0"), parse_version("Open On-Chip Debugger 0.10.0")
RAW = "\xaa\xbc\x6e\x06\x50\x75\xff\x0a\x17\x42\x19\x3f"


def st_link(serial: str) -> Probe:
    model = identify("0483:374b")
    assert model is not None
    return Probe("0483:374b", serial, model, location="1-2.3", bus=1, device=4)


@pytest.mark.parametrize(
    ("serial", "old", "pins"),
    [
        ("066BFF55", False, ("066BFF55", None)),
        ("066BFF55", True, ("066BFF55", None)),
        (RAW, False, ("AABC6E065075FF0A1742193F", None)),
        (RAW, True, (None, "1-2.3")),
        (RAW[:5], False, (None, "1-2.3")),
        ("", False, (None, "1-2.3")),
    ],
    ids=["serial", "serial, 0.10", "raw serial", "raw serial, 0.10", "raw serial cut by Linux", "no serial"],
)
def test_what_the_configuration_leaves_open_is_filled_in_from_the_probe_that_is_there(
    serial: str, old: bool, pins: tuple[str | None, str | None]
) -> None:
    spec = pinned(BackendSpec(), Found(st_link(serial)), OLD if old else NEW)
    assert (spec.vid_pid, (spec.serial, spec.location)) == ("0483:374b", pins)


def test_what_the_configuration_says_is_kept() -> None:
    wanted = BackendSpec(vid_pid="0483:3748", serial="X", location="1-9")
    assert pinned(wanted, Found(st_link("066B")), NEW) == wanted


@pytest.mark.parametrize("found", [Absent("none"), Ambiguous((), "two")])
def test_nothing_is_made_up_for_a_probe_that_was_not_found(found: Absent | Ambiguous) -> None:
    assert pinned(BackendSpec(), found, NEW) == BackendSpec()


@pytest.mark.parametrize(
    ("users", "uids"),
    [((), None), (("root", "65534"), {0, 65534}), (("no-such-user",), set()), (("root", "no-such-user"), {0})],
)
def test_whose_processes_may_be_ended_is_told_by_names_and_numbers(users: tuple[str, ...], uids: set[int] | None) -> None:
    assert uids_of(Bench("a", OpenOcd(("x.cfg",)), holder_users=users)) == uids


@pytest.mark.parametrize(("policy", "clients"), [(SecondClientPolicy.REFUSE, 1), (SecondClientPolicy.SHARE, 4)])
def test_a_shared_target_takes_several_clients(policy: SecondClientPolicy, clients: int) -> None:
    bench = Bench("a", OpenOcd(("x.cfg",)), ProbeConfig(server="127.0.0.1:7184"), second_client=policy)
    assert (spec_of(bench).gdb_clients, spec_of(bench).stlink_server_port) == (clients, 7184)


@pytest.mark.parametrize(("policy", "kept"), [(SecondClientPolicy.REFUSE, True), (SecondClientPolicy.SHARE, False)])
def test_nothing_is_kept_for_a_debugger_that_shares_the_target(policy: SecondClientPolicy, kept: bool) -> None:
    assert gdb_policy_of(Bench("a", OpenOcd(("x.cfg",)), second_client=policy, cache=True)).cache is kept
