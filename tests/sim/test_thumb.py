"""The little that is known of Thumb-2, against the architecture manual."""

from __future__ import annotations

import pytest

from ocdsup.sim.thumb import advance, begins_it, holds, it_state, size, with_it


@pytest.mark.parametrize(("it", "following"), [(0x08, 0x00), (0x04, 0x08), (0x0C, 0x18), (0x1E, 0x1C), (0xE1, 0xE2)])
def test_the_it_state_advances_as_the_manual_says(it: int, following: int) -> None:
    """ITAdvance of the architecture manual, by hand."""
    assert advance(it) == following


@pytest.mark.parametrize(
    ("condition", "flags", "holding"),
    [
        (0, 0x4, True), (1, 0x4, False), (2, 0x2, True), (3, 0x2, False), (4, 0x8, True), (5, 0x8, False),
        (6, 0x1, True), (7, 0x1, False), (8, 0x2, True), (8, 0x6, False), (9, 0x6, True), (10, 0x9, True),
        (10, 0x8, False), (11, 0x8, True), (12, 0x0, True), (12, 0x4, False), (13, 0x4, True), (14, 0x0, True),
    ],
)  # fmt: skip
def test_conditions_follow_the_flags(condition: int, flags: int, holding: bool) -> None:
    """Flags are N Z C V from the left."""
    assert holds(condition, flags << 28) is holding


@pytest.mark.parametrize(("code", "bytes_"), [(0xBF00, 2), (0xE7FE, 2), (0xE840, 4), (0xF000, 4), (0xF840, 4), (0xFFFF, 4)])
def test_three_prefixes_make_an_instruction_wide(code: int, bytes_: int) -> None:
    assert size(code.to_bytes(2, "little")) == bytes_


@pytest.mark.parametrize(("code", "is_it"), [(0xBF08, True), (0xBFE4, True), (0xBF00, False), (0xBF30, False), (0xBE08, False)])
def test_an_it_instruction_has_a_mask(code: int, is_it: bool) -> None:
    """With an empty mask the same opcode is a hint."""
    assert begins_it(code.to_bytes(2, "little")) is is_it


@pytest.mark.parametrize("it", range(0, 256, 7))
def test_the_it_state_survives_in_the_status_word(it: int) -> None:
    assert it_state(with_it(0xF1000003, it)) == it
    assert with_it(with_it(0xF1000003, it), 0) == 0xF1000003
