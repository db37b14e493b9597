"""Work is told from a hang by how often a silent process waits."""

from __future__ import annotations

import pytest

from ocdsup.runtime import procfs
from ocdsup.runtime.diligence import Diligence


@pytest.mark.parametrize(
    ("waits", "silent", "works"),
    [
        ([0, 7, 14, 21], [False, True, True, True], [False, False, False, True]),
        ([0, 0, 0, 1], [False, True, True, True], [False, False, False, False]),
        ([0, 100, 100, 100], [False, True, True, True], [False, False, False, True]),
        ([0, 100, 100, 100, 100], [False, True, True, True, True], [False, False, False, True, False]),
        ([0, 50, 100, 150], [False, False, False, True], [False, False, False, False]),
        ([0, None, 14, 21], [False, True, True, True], [False, False, False, True]),
    ],
    ids=["at work", "time-outs only", "not stuck yet", "stuck since", "answered", "unreadable once"],
)
def test_a_silent_openocd_works_if_it_waits_often_and_only_its_silence_counts(
    monkeypatch: pytest.MonkeyPatch, waits: list[int | None], silent: list[bool], works: list[bool]
) -> None:
    said = iter(waits)
    monkeypatch.setattr(procfs, "read_waits", lambda _pid: next(said))
    diligence = Diligence(1)
    assert [diligence.beat(0.2 * number, silent=one) for number, one in enumerate(silent)] == works
