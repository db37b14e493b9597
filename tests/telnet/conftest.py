"""Bytes that a real OpenOCD 0.12.0 (dummy adapter) exchanged with a telnet client, and ways to cut bytes into pieces."""

import json
from pathlib import Path

import pytest

GOLDEN = Path(__file__).parent / "golden" / "openocd-0.12.0-console.json"


@pytest.fixture(scope="session")
def dialogue() -> list[tuple[bytes, bytes]]:
    """Return (what was sent, what came back) in order; the first is the greeting, sent for nothing."""
    return [(turn["send"].encode("latin-1"), turn["receive"].encode("latin-1")) for turn in json.loads(GOLDEN.read_text())]
