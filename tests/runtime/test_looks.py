"""A look at the world: the probe, who else has it, and whom we may end."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from ocdsup.core import events as ev
from ocdsup.core.effects import UsbCure
from ocdsup.errors import ProbeError
from ocdsup.probes.eviction import Policy
from ocdsup.probes.holders import Report, Unseen
from ocdsup.probes.known import identify
from ocdsup.probes.probe import Node, Probe
from ocdsup.probes.selector import Absent, Found, ProbeSelector
from ocdsup.runtime import looks as looks_module
from ocdsup.runtime import procs, stlink_server, usb, usb_reset
from ocdsup.runtime.looks import Home, Looks
from ocdsup.sim.probe import DEFAULT_SERIAL
from ocdsup.sim.server import SimServer, make_probe

HOME = Home("one", lambda: "localhost:3333")
OTHER = "0670FF111111111111111111"
# Opens the first probe of an ST-LINK server (or the one with the given number) and keeps it until its input ends.
HOLDER = """#!{python} -SE
import socket, struct, sys
link = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
def ask(request, size):
    link.sendall(request)
    return link.recv(size, socket.MSG_WAITALL)
ask(bytes((6, 1, 0, 0)), 16), ask(bytes(2), 4), ask(b"\\x01", 4)
device = ask(struct.pack("<BBxxI", 2, int(sys.argv[2]), 41), 45)[4:8]
assert ask(b"\\x03\\x00\\x00\\x00" + device, 8)[:4] == b"\\x01\\x00\\x00\\x00"
print("open", flush=True)
sys.stdin.read()
"""

CONNECTED = """
import socket, sys
link = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
print("open", flush=True)
sys.stdin.read()
"""


def look(sim: SimServer, serial: str | None = DEFAULT_SERIAL, own: frozenset[int] = frozenset(), **rest: object) -> Looks:
    policy = rest.get("policy", Policy.ANY)
    assert isinstance(policy, Policy)
    selector = ProbeSelector(None, serial, None, f"127.0.0.1:{sim.port}")
    return Looks(selector, policy, 0.0, lambda: own, lambda: bool(rest.get("flashing")), home=HOME)


@asynccontextmanager
async def holder(folder: Path, sim: SimServer, number: int = 0, *words: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Another tool that has a probe open."""
    program = folder / "tool"
    await asyncio.to_thread(program.write_text, HOLDER.format(python=sys.executable))
    program.chmod(0o755)
    child = await asyncio.create_subprocess_exec(
        str(program), str(sim.port), str(number), *words, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert child.stdout is not None
    async with asyncio.timeout(20):
        assert await child.stdout.readline() == b"open\n"
    try:
        yield child
    finally:
        if child.returncode is None:
            child.kill()
        await child.communicate()


async def test_a_probe_that_is_there_is_seen(sim: SimServer) -> None:
    seen = await look(sim).probe()
    assert (seen.presence, DEFAULT_SERIAL in seen.text) == (ev.Presence.PRESENT, True)


async def test_a_probe_that_was_unplugged_is_absent_and_the_text_says_where_it_was_looked_for(sim: SimServer) -> None:
    sim.probes[0].break_("unplugged", {}, sim.now())
    seen = await look(sim).probe()
    assert (seen.presence, str(sim.port) in seen.text) == (ev.Presence.ABSENT, True)


async def test_two_probes_that_fit_are_ambiguous(sim: SimServer) -> None:
    sim.probes.append(make_probe(OTHER))
    assert (await look(sim, None).probe()).presence is ev.Presence.AMBIGUOUS


async def test_a_probe_that_may_not_be_opened_is_denied_with_its_rights(
    monkeypatch: pytest.MonkeyPatch, sim: SimServer
) -> None:
    model = identify("0483:374b")
    assert model is not None
    node = Node("/dev/bus/usb/001/004", next(iter(model.nodes)), 0o664, "root", "plugdev")
    found = Found(Probe("0483:374b", "066B", model, nodes=(node,)))
    monkeypatch.setattr(usb, "find", lambda _selector: found)
    seen = await look(sim).probe()
    assert seen.presence is ev.Presence.DENIED
    assert (
        "may not open /dev/bus/usb/001/004, which is 0664 root:plugdev; this user has to be in the group plugdev" in seen.text
    )


async def test_nobody_holds_a_free_probe(sim: SimServer) -> None:
    assert (await look(sim).holders()).holders == ()


async def test_who_has_the_only_probe_in_use_is_its_holder(sim: SimServer, tmp_path: Path) -> None:
    async with holder(tmp_path, sim) as child:
        (seen,) = (await look(sim).holders()).holders
    assert (seen.pid, seen.evict) == (child.pid, True)


async def test_our_own_openocd_is_no_holder(sim: SimServer, tmp_path: Path) -> None:
    async with holder(tmp_path, sim) as child:
        assert (await look(sim, own=frozenset({child.pid})).holders()).holders == ()


@pytest.mark.parametrize("policy", [Policy.NEVER, Policy.STALE_OPENOCD, Policy.OPENOCD])
async def test_another_tool_is_seen_and_left_alone_with_the_reason(sim: SimServer, tmp_path: Path, policy: Policy) -> None:
    async with holder(tmp_path, sim) as child:
        looks = look(sim, policy=policy)
        (seen,) = (await looks.holders()).holders
        assert (seen.pid, seen.evict, bool(seen.why)) == (child.pid, False, True)
        refused = await looks.end(seen.pid, seen.start)
        assert (refused.ended, refused.how) == (False, "refused")
        assert child.returncode is None


async def test_a_person_who_insists_may_end_it(sim: SimServer, tmp_path: Path) -> None:
    async with holder(tmp_path, sim) as child:
        looks = look(sim, policy=Policy.NEVER)
        assert (await looks.holders()).forced is False
        report = await looks.holders(force=True)
        (seen,) = report.holders
        assert report.forced
        ended = await looks.end(seen.pid, seen.start)
        assert (seen.evict, ended.ended) == (True, True)
        assert await child.wait() != 0
    assert (await looks.holders()).holders == ()


async def test_a_user_who_is_not_on_the_list_is_safe_from_force_too(sim: SimServer, tmp_path: Path) -> None:
    async with holder(tmp_path, sim) as child:
        looks = Looks(look(sim).selector, Policy.ANY, 0.0, frozenset, lambda: False, frozenset({4711}), home=HOME)
        for force in (False, True):
            (seen,) = (await looks.holders(force=force)).holders
            assert (seen.evict, "whom we may not end" in seen.why) == (False, True)
            assert (await looks.end(seen.pid, seen.start)).ended is False
        assert child.returncode is None


async def test_a_flash_operation_that_begins_after_the_verdict_stays_the_hand(sim: SimServer, tmp_path: Path) -> None:
    flashing = [False]
    async with holder(tmp_path, sim) as child:
        looks = Looks(look(sim).selector, Policy.ANY, 0.0, frozenset, lambda: flashing[0], home=HOME)
        (seen,) = (await looks.holders()).holders
        assert seen.evict
        flashing[0] = True
        refused = await looks.end(seen.pid, seen.start)
        assert (refused.ended, "flash operation" in refused.text) == (False, True)
        assert child.returncode is None


async def test_what_the_sessions_do_is_asked_on_the_loop_also_in_the_middle_of_an_eviction(
    sim: SimServer, tmp_path: Path
) -> None:
    """Between two steps a thread looks at the holder; the sessions of this daemon change under the hands of a thread."""
    asked: list[threading.Thread] = []

    def flashing() -> bool:
        asked.append(threading.current_thread())
        return False

    async with holder(tmp_path, sim) as child:
        looks = Looks(look(sim).selector, Policy.ANY, 0.0, frozenset, flashing, home=HOME)
        (seen,) = (await looks.holders()).holders
        judged = len(asked)
        assert (await looks.end(seen.pid, seen.start)).ended
        await child.wait()
    assert len(asked) > judged + 1
    assert set(asked) == {threading.main_thread()}


async def test_nobody_is_ended_while_the_loop_does_not_get_to_say_what_runs(
    sim: SimServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(looks_module, "LOOP_S", 0.01)
    async with holder(tmp_path, sim) as child:
        looks = look(sim)
        (seen,) = (await looks.holders()).holders
        monkeypatch.setattr(looks, "_now", asyncio.Event().wait)
        left = await looks.end(seen.pid, seen.start)
        assert (left.ended, left.how, "flash operation" in left.text) == (False, "left-alone", True)
        assert child.returncode is None


async def test_a_process_that_was_not_judged_is_not_ended(sim: SimServer, tmp_path: Path) -> None:
    async with holder(tmp_path, sim) as child:
        looks = look(sim)
        (seen,) = (await looks.holders()).holders
        for pid, start in ((seen.pid, seen.start + 1), (1, seen.start)):
            assert (await looks.end(pid, start)).ended is False
        assert child.returncode is None


@pytest.mark.parametrize(("number", "serial", "seen"), [(0, DEFAULT_SERIAL, True), (1, DEFAULT_SERIAL, False)])
async def test_whoever_uses_another_probe_of_the_server_is_not_ours(
    sim: SimServer, tmp_path: Path, number: int, serial: str, seen: bool
) -> None:
    sim.probes.append(make_probe(OTHER))
    async with holder(tmp_path, sim, number):
        assert bool((await look(sim, serial).holders()).holders) is seen


async def test_when_two_probes_of_a_server_are_in_use_only_a_command_line_proves_which(sim: SimServer, tmp_path: Path) -> None:
    sim.probes.append(make_probe(OTHER))
    async with holder(tmp_path, sim, 0, f"--serial={DEFAULT_SERIAL}") as ours, holder(tmp_path, sim, 1):
        held = (await look(sim).holders()).holders
    assert [one.pid for one in held] == [ours.pid]


async def test_who_is_connected_for_another_probe_and_has_none_open_yet_is_not_ours(sim: SimServer, tmp_path: Path) -> None:
    """An OpenOCD in the middle of its start, for example, or one that was stopped there."""
    sim.probes.append(make_probe(OTHER))
    words = [sys.executable, "-c", CONNECTED, str(sim.port), f"--serial={OTHER}"]
    pipe = asyncio.subprocess.PIPE
    async with holder(tmp_path, sim) as ours:
        starting = await asyncio.create_subprocess_exec(*words, stdin=pipe, stdout=pipe)
        assert starting.stdout is not None
        assert await starting.stdout.readline() == b"open\n"
        held = (await look(sim).holders()).holders
        await starting.communicate(b"")
    assert [one.pid for one in held] == [ours.pid]


async def test_a_server_that_does_not_say_who_is_served_leaves_all_under_suspicion(
    sim: SimServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def silent(_server: str, _timeout_s: float) -> tuple[Probe, ...]:
        raise ProbeError("ask the ST-LINK server")

    monkeypatch.setattr(stlink_server, "list_probes", silent)
    async with holder(tmp_path, sim) as child:
        held = (await look(sim).holders()).holders
    assert [one.pid for one in held] == [child.pid]


async def test_a_probe_behind_a_server_has_no_usb_device_of_ours_to_reset(sim: SimServer) -> None:
    assert await look(sim).reset_usb() == ev.UsbWasReset(ok=False, text="the probe is not on USB")


async def test_the_found_probe_is_the_one_that_is_reset(sim: SimServer, monkeypatch: pytest.MonkeyPatch) -> None:
    model = identify("0483:374b")
    assert model is not None
    probe = Probe("0483:374b", "066B", model)
    asked: list[tuple[UsbCure, Probe]] = []

    def carry_out(cure: UsbCure, one: Probe) -> tuple[usb_reset.Outcome, str]:
        asked.append((cure, one))
        return usb_reset.Outcome(True, "done"), "001/009"

    monkeypatch.setattr(usb, "find", lambda _selector: Found(probe))
    monkeypatch.setattr(usb_reset, "carry_out", carry_out)
    looks = look(sim)
    for cure in UsbCure:
        assert await looks.reset_usb(cure) == ev.UsbWasReset(ok=True, text="done", identity="001/009")
    assert asked == [(cure, probe) for cure in UsbCure]


async def test_a_cure_that_sticks_is_told_and_its_end_is_waited_for(sim: SimServer, monkeypatch: pytest.MonkeyPatch) -> None:
    model = identify("0483:374b")
    assert model is not None
    probe = Probe("0483:374b", "066B", model, bus=1, device=4)
    waited: list[str] = []

    async def until_free(identity: str) -> None:
        waited.append(identity)

    stuck = usb_reset.Outcome(False, "stuck", wedged=True), ""
    monkeypatch.setattr(usb, "find", lambda _selector: Found(probe))
    monkeypatch.setattr(usb_reset, "carry_out", lambda *_: stuck)
    monkeypatch.setattr(usb_reset, "until_free", until_free)
    looks = look(sim)
    assert (await looks.reset_usb()).wedged
    assert not (await looks.usb_free()).wedged
    assert waited == [probe.identity]


async def test_a_probe_that_was_replugged_between_two_looks_is_first_absent_and_then_there(
    sim: SimServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Our OpenOCD has the device of before open, and that one is gone."""
    model = identify("0483:374b")
    assert model is not None
    before, after = (Found(Probe("0483:374b", "066B", model, bus=1, device=number)) for number in (4, 5))
    looks = look(sim)
    monkeypatch.setattr(usb, "find", lambda _selector: before)
    await looks.opening()
    assert await looks.after_change() == await looks.probe()
    monkeypatch.setattr(usb, "find", lambda _selector: after)
    seen = [one for _ in range(3) if (one := await looks.after_change())]
    assert [one.presence.value for one in seen] == ["absent", "present", "present"]
    assert "plugged in again" in seen[0].text
    await looks.opening()
    looks.closed()
    monkeypatch.setattr(usb, "find", lambda _selector: before)
    assert await looks.after_change() == await looks.probe(), "nothing of ours has the old one open"


async def test_an_adapter_that_was_never_seen_on_usb_is_not_missed_there(
    sim: SimServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """GPIO pins of the PC itself, or a probe that no table knows: OpenOCD drives it all the same."""
    monkeypatch.setattr(usb, "find", lambda _selector: Absent("no debug probe is on USB"))
    looks = look(sim)
    await looks.opening()
    assert await looks.after_change() is None


@pytest.mark.parametrize(
    ("vid_pid", "holds"), [("0483:374b", False), ("1d50:6018", True)], ids=["ST-LINK", "Black Magic Probe"]
)
async def test_a_terminal_on_the_virtual_serial_port_holds_only_a_probe_that_debugs_through_it(
    monkeypatch: pytest.MonkeyPatch, vid_pid: str, holds: bool
) -> None:
    """Everybody with a Nucleo has picocom on its ttyACM; it is in nobody's way."""
    model = identify(vid_pid)
    assert model is not None
    found = Found(Probe(vid_pid, "S", model, nodes=(Node("/dev/full", "tty"),)))
    monkeypatch.setattr(usb, "find", lambda _selector: found)
    code = "import sys; port = open('/dev/full'); print('open', flush=True); sys.stdin.read()"
    pipe = asyncio.subprocess.PIPE
    terminal = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stdin=pipe, stdout=pipe)
    assert terminal.stdout is not None
    await terminal.stdout.readline()
    looks = Looks(ProbeSelector(), Policy.STALE_OPENOCD, 0.0, frozenset, lambda: False, home=HOME)
    try:
        seen = (await looks.holders()).holders
    finally:
        await terminal.communicate(b"")
    assert (terminal.pid in {holder.pid for holder in seen}) is holds


@pytest.mark.parametrize(
    ("drivers", "unseen", "hidden"),
    [
        (("usbfs", ""), (Unseen("3 processes of alice cannot be looked at", "CAP_SYS_PTRACE"),), True),
        (("usbfs", ""), (), False),
        (("", "cdc_acm"), (Unseen("3 processes of alice cannot be looked at", "CAP_SYS_PTRACE"),), False),
    ],
    ids=["claimed, and not all is seen", "all is seen: it has just ended", "not claimed"],
)
async def test_a_claim_without_a_process_is_a_holder_that_cannot_be_seen(
    sim: SimServer, monkeypatch: pytest.MonkeyPatch, drivers: tuple[str, ...], unseen: tuple[Unseen, ...], hidden: bool
) -> None:
    model = identify("0483:374b")
    assert model is not None
    found = Found(Probe("0483:374b", "066B", model, drivers=drivers))
    monkeypatch.setattr(usb, "find", lambda _selector: found)
    monkeypatch.setattr(procs, "find_holders", lambda _wanted: Report((), unseen))
    looks = Looks(ProbeSelector(), Policy.ANY, 0.0, frozenset, lambda: False, home=HOME)
    seen = (await looks.holders(force=True)).holders
    assert bool(seen) is hidden
    for one in seen:
        assert (one.pid, one.evict, one.who) == (0, False, "a process that this user cannot see")
        assert "CAP_SYS_PTRACE" in one.why
