"""A target that stops answering, in every way the simulated board knows: what the status shows, and how it ends."""

from __future__ import annotations

import pytest

from tests.bench.rig import SERIAL, Rig

BOTH = pytest.mark.parametrize("mode", ["hla", "dap"])


@BOTH
def test_a_silent_target_is_a_polling_fault_with_advice_until_it_answers_again(rig: Rig) -> None:
    """No cure works, so the bench tries on at the back-off's pace; healed, it is ready with a verified core."""
    sim = rig.sim()
    rig.run(one=rig.bench(sim))
    rig.ready()
    sim.control.break_("silent")
    seen = rig.until("run out of cures", lambda bench: bench["phase"] == "backoff" and bench["next_try_s"] is not None)
    assert rig.faults()[0] == "target-poll-failing"
    assert seen["fault"]["code"] in {"target-poll-failing", "target-not-answering"}
    assert seen["fault"]["evidence"]
    assert "BOOT0" in " ".join(seen["advice"])
    sim.control.heal()
    after = rig.recovered()
    assert after["fault"] is None
    assert after["advice"] == []
    recovery = after["recoveries"][-1]
    assert recovery["fault"] == "target-poll-failing"
    assert "restart-under-reset" in recovery["rungs"]
    assert recovery["outcome"] == "recovered"
    assert after["targets"][0]["state"] == "running"
    assert sim.core() == "running"


@BOTH
def test_a_sleeping_target_is_woken_by_the_restart_under_reset(rig: Rig) -> None:
    """Only a low level on NRST wakes this core: the first rung does it, without anybody's hands."""
    sim = rig.sim()
    rig.run(one=rig.bench(sim))
    rig.ready()
    sim.control.break_("sleeping")
    after = rig.recovered()
    assert after["recoveries"][-1]["rungs"] == ["restart-under-reset"]
    assert after["targets"][0]["state"] == "running"
    assert after["counters"]["restarts"] == 1
    assert "nrst-low" in sim.events()


@BOTH
def test_a_firmware_that_took_the_pins_is_reached_under_reset(rig: Rig) -> None:
    """The next firmware boot is a good one: one restart under reset, and the board's core runs."""
    sim = rig.sim()
    rig.run(one=rig.bench(sim))
    rig.ready()
    sim.control.break_("locked", boots=0)
    after = rig.recovered()
    assert after["recoveries"][-1]["rungs"] == ["restart-under-reset"]
    assert after["recoveries"][-1]["fault"] == "target-poll-failing"
    assert after["fault"] is None
    assert sim.core() == "running"


@BOTH
def test_a_firmware_that_locks_at_every_boot_ends_held_at_its_reset_vector(rig: Rig) -> None:
    """Letting it run brings the fault back, so the last rung keeps the core halted and says what to flash."""
    sim = rig.sim()
    rig.run(one=rig.bench(sim))
    rig.ready()
    sim.control.break_("locked", after_ms=50)
    after = rig.until(
        "hold the core",
        lambda bench: (
            bench["phase"] == "ready" and bench["recoveries"] and bench["recoveries"][-1]["rungs"][-1:] == ["hold-halted"]
        ),
    )
    assert after["targets"][0]["state"] == "halted"
    assert sim.core() == "halted"
    assert "its core is kept halted" in after["advice"][0]
    assert "flash" in after["advice"][1]
    launches = rig.launches()
    # It is usable: the memory can be read, and nothing fails while it is held.
    assert "0x08000000: 20" in rig.tcl("mdw 0x08000000")
    assert rig.launches() == launches


@BOTH
def test_a_locked_board_without_nrst_backs_off_within_its_budget_and_names_the_wire(rig: Rig) -> None:
    """Nothing gets in, so the restarts stop at the intensity's limit and the advice is about NRST and BOOT0."""
    sim = rig.sim()
    rig.run(one=rig.bench(sim, recovery={"intensity": {"restarts": 6, "period": "10m"}}))
    rig.ready()
    sim.control.break_("nrst-unwired")
    sim.control.break_("locked", after_ms=50)
    seen = rig.until("wait for its budget", lambda bench: bench["phase"] == "backoff" and bench["next_try_s"] > 60)
    assert rig.launches() == 6
    advice = " ".join(seen["advice"])
    assert "NRST" in advice
    assert "BOOT0" in advice
    assert seen["fault"]["code"] == "target-not-answering"


@BOTH
def test_a_target_that_is_silent_from_the_start_is_named_and_taken_when_it_answers(rig: Rig) -> None:
    """OpenOCD exits at its start; the bench says why within the first tries and goes on trying."""
    sim = rig.sim()
    sim.control.break_("silent")
    rig.run(one=rig.bench(sim))
    seen = rig.until("see the fault", lambda bench: bench["fault"])
    assert seen["fault"]["code"] == "target-not-answering"
    assert "NRST" in " ".join(seen["advice"])
    sim.control.heal()
    after = rig.ready()
    assert after["fault"] is None
    assert after["targets"][0]["state"] == "running"


@BOTH
def test_a_flaky_cable_never_leaves_the_bench_stuck(rig: Rig) -> None:
    """A fifth of the commands fails: failures are counted, and when the cable is good the bench is ready."""
    sim = rig.sim()
    rig.run(one=rig.bench(sim))
    rig.ready()
    sim.control.break_("flaky", percent=20)
    rig.until("see failures", lambda bench: bench["counters"]["findings"].get("target-poll-failed", 0) >= 3)
    sim.control.heal()
    after = rig.ready()
    assert after["targets"][0]["state"] in {"running", "halted"}


@BOTH
def test_a_low_voltage_is_a_remark_on_a_bench_that_works(rig: Rig) -> None:
    """OpenOCD goes on at 0.9 V, so the bench is ready; the fault and the advice name the supply."""
    sim = rig.sim()
    sim.control.break_("low-voltage", volts=0.9)
    rig.run(one=rig.bench(sim))
    seen = rig.ready()
    assert seen["fault"]["code"] == "target-unpowered"
    assert seen["backend"]["voltage"] == pytest.approx(0.9, abs=0.05)
    assert "power" in " ".join(seen["advice"])
    assert rig.launches() == 1


@BOTH
def test_a_flash_that_cannot_be_written_is_a_remark_and_restarts_nothing(rig: Rig) -> None:
    """`flash-failed` is shown with its evidence; the OpenOCD that said so keeps running."""
    sim = rig.sim()
    rig.run(one=rig.bench(sim))
    before = rig.ready()
    sim.control.break_("flash-error")
    rig.telnet("halt", "flash erase_sector 0 1 1")
    seen = rig.until("see the remark", lambda bench: bench["fault"])
    assert seen["fault"]["code"] == "flash-failed"
    assert seen["phase"] == "ready"
    assert seen["backend"]["pid"] == before["backend"]["pid"]


def test_the_serial_of_the_configuration_reaches_the_probe(rig: Rig) -> None:
    """Of two probes on the PC, OpenOCD opens the one that is configured."""
    sim = rig.sim("0CD50B5100000000000000A1", SERIAL)
    rig.run(one=rig.bench(sim))
    rig.ready()
    opened = {probe["serial"]: probe["open"] for probe in sim.control.status()}
    assert opened == {"0CD50B5100000000000000A1": False, SERIAL: True}
