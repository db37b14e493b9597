"""What the host did, remembered."""

from __future__ import annotations

from ocdsup.sim.journal import Journal


def test_events_carry_their_time_and_are_counted() -> None:
    journal = Journal(10.0)
    journal.note(10.5, "nrst-low")
    journal.count("command")
    assert journal.as_json() == {
        "counts": {"nrst-low": 1, "command": 1},
        "events": [{"t": 0.5, "event": "nrst-low"}],
    }


def test_only_the_last_thousand_events_are_kept() -> None:
    journal = Journal(0.0)
    for n in range(1500):
        journal.note(float(n), "x")
    assert (len(journal.events), journal.counts["x"], journal.events[0][0]) == (1000, 1500, 500.0)


def test_clear_forgets() -> None:
    journal = Journal(0.0)
    journal.note(1.0, "x")
    journal.clear()
    assert journal.as_json() == {"counts": {}, "events": []}
