"""Targets and the GDB servers that serve them."""

from __future__ import annotations

import pytest

from ocdsup.openocd.servers import places, served


@pytest.mark.parametrize(
    ("targets", "ports", "names", "without", "found"),
    [
        ("cpu", [1], {1: "cpu"}, "", {"cpu": 1}),
        ("cpu0 cpu1", [1, 2], {1: "cpu0", 2: "cpu1"}, "", {"cpu0": 1, "cpu1": 2}),
        ("cpu0 cpu1", [2, 1], {2: "cpu1", 1: "cpu0"}, "", {"cpu0": 1, "cpu1": 2}),
        ("ap2 cpu0 cpu1", [1, 2], {1: "cpu0", 2: "cpu1"}, "ap2", {"cpu0": 1, "cpu1": 2}),
        ("cpu0 cpu1", [1], {1: "cpu1"}, "cpu0", {"cpu1": 1}),
        ("cpu0 cpu1", [1], {1: "cpu0"}, "", {"cpu0": 1, "cpu1": 1}),
        ("a0 a1 m b0 b1", [1, 2], {1: "a0", 2: "b0"}, "m", {"a0": 1, "a1": 1, "b0": 2, "b1": 2}),
        ("cpu0 cpu1", [1, 2], {}, "", {"cpu0": 1, "cpu1": 2}),
        ("ap2 cpu0", [1], {}, "ap2", {"cpu0": 1}),
        ("cpu0 cpu1", [], {}, "", {}),
        ("cpu0", [1], {1: "somebody"}, "", {}),
    ],
    ids=[
        "one",
        "two",
        "the names count, not the order",
        "a mem_ap before them",
        "the first one disabled",
        "a group",
        "two groups and a mem_ap",
        "not named",
        "not named, behind a mem_ap",
        "no server",
        "another name",
    ],
)
def test_a_target_is_served_where_openocd_said_so(
    targets: str, ports: list[int], names: dict[int, str], without: str, found: dict[str, int]
) -> None:
    assert served(targets.split(), ports, names, without.split()) == found


def test_a_group_has_one_place() -> None:
    assert places({"a0": 7, "a1": 7, "b": 3}) == {"a0": 0, "a1": 0, "b": 1}
