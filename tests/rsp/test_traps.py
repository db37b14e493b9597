"""Breakpoint opcodes: told from code, because only they are ever overwritten."""

import pytest

from ocdsup.rsp.traps import is_trap


@pytest.mark.parametrize(
    ("code", "trap"),
    [
        (b"\x11\xbe", True),
        (b"\x00\xbe", True),
        (b"\xc0\x46", False),
        (b"\x70\x00\x20\xe1", True),
        (b"\x73\x00\x10\x00", True),
        (b"\x02\x90", True),
        (b"\x11\xbe\x00\x00", False),
        (b"", False),
    ],
)
def test_a_breakpoint_opcode_is_known(code: bytes, trap: bool) -> None:
    """Thumb, ARM and RISC-V opcodes are told from code; only they are ever overwritten."""
    assert is_trap(code) is trap
