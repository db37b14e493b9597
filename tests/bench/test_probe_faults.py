"""A probe that fails, hangs or is pulled: what the status shows, and how it ends."""

from __future__ import annotations

import pytest

from tests.bench.rig import Rig, snapshot_in

BOTH = pytest.mark.parametrize("mode", ["hla", "dap"])


@BOTH
def test_a_pulled_probe_is_absent_and_taken_again_after_the_replug(rig: Rig) -> None:
    """The bench is blocked, not restarted again and again; the replug brings it back by itself."""
    sim = rig.sim()
    rig.run(one=rig.bench(sim))
    rig.ready()
    sim.control.break_("unplugged")
    seen = rig.until("be blocked", lambda bench: bench["phase"] == "blocked")
    assert seen["fault"]["code"] == "probe-absent"
    assert seen["probe"]["present"] is False
    assert "plug" in seen["advice"][0]
    launches = rig.launches()
    shown = snapshot_in(rig.telnet("ocdsup status --json"))["benches"][0]
    assert (shown["phase"], shown["fault"]["code"]) == ("blocked", "probe-absent")
    rig.until("look again", lambda bench: bench["next_try_s"] is not None)
    assert rig.launches() == launches
    sim.control.heal()
    after = rig.ready()
    assert after["fault"] is None
    assert after["probe"]["present"] is True
    assert rig.launches() == launches + 1
    assert after["targets"][0]["state"] == "running"


@BOTH
def test_a_probe_that_is_absent_at_the_start_blocks_and_costs_one_launch_at_most(rig: Rig) -> None:
    """Said within the first try; plugged in, the bench starts."""
    sim = rig.sim()
    sim.control.break_("unplugged")
    rig.run(one=rig.bench(sim))
    seen = rig.until("be blocked", lambda bench: bench["phase"] == "blocked")
    assert seen["fault"]["code"] == "probe-absent"
    assert rig.launches() <= 1
    sim.control.heal()
    assert rig.ready()["fault"] is None


@BOTH
def test_a_probe_with_usb_errors_is_recovered_when_they_end(rig: Rig) -> None:
    """Every transfer fails: polling failures, restarts that fail too, and a ready bench when the cable is good again."""
    sim = rig.sim()
    rig.run(one=rig.bench(sim))
    rig.ready()
    sim.control.break_("usb-error")
    seen = rig.until("back off", lambda bench: bench["phase"] in {"backoff", "blocked"})
    assert seen["fault"]["code"] in {"target-poll-failing", "target-not-answering", "probe-wedged"}
    assert seen["fault"]["evidence"]
    sim.control.heal()
    after = rig.ready()
    assert after["fault"] is None
    assert after["targets"][0]["state"] == "running"


@BOTH
def test_a_probe_that_hangs_blocks_openocd_which_only_sigkill_ends(rig: Rig) -> None:
    """Silence is told from work by the heartbeat; the bench says so and is ready when the probe answers again."""
    sim = rig.sim()
    rig.run(one=rig.bench(sim))
    before = rig.ready()
    sim.control.break_("hang")
    seen = rig.until("call it hung", lambda bench: bench["fault"] is not None)
    assert seen["fault"]["code"] == "backend-hung"
    rig.until("end the hung one", lambda bench: (bench["backend"] or {}).get("pid") != before["backend"]["pid"])
    sim.control.heal()
    after = rig.ready()
    assert after["fault"] is None
    assert rig.faults()[0] == "backend-hung"
    assert after["targets"][0]["state"] == "running"


def test_a_server_that_is_gone_is_an_absent_probe(rig: Rig) -> None:
    """Nobody listens at `probe.server`: blocked after one launch, with the address in the text."""
    sim = rig.sim()
    bench = rig.bench(sim)
    sim.program.end()
    rig.run(one=bench)
    rig.until("be blocked", lambda bench: bench["phase"] == "blocked")
    seen = rig.until("look itself", lambda bench: str(sim.port) in bench["fault"]["text"])
    assert seen["fault"]["code"] == "probe-absent"
    assert rig.launches() == 1
