"""Reads a configuration file through a child that imports the validator and ends.

yaml and pydantic take about 6 MB and 0.1 s; the daemon lives for months and must not stand still during a reload.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys

from ocdsup.config import exchange
from ocdsup.config.exchange import Checked
from ocdsup.errors import ConfigError, Problem

TIMEOUT_S = 30.0


def _command(file: str) -> list[str]:
    return [sys.executable, "-m", "ocdsup.config", file]


def read(file: str) -> Checked:
    """Check and return the configuration in `file`. Raises ConfigError with every problem. Blocks up to TIMEOUT_S."""
    try:
        done = subprocess.run(_command(file), stdin=subprocess.DEVNULL, capture_output=True, timeout=TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        raise ConfigError([Problem(file, 0, 0, "", f"reading it took more than {TIMEOUT_S:g} s")]) from None
    return exchange.decode(done.stdout, file)


async def read_again(file: str) -> Checked:
    """The same for a reload, without blocking the loop. Raises ConfigError."""
    child = await asyncio.create_subprocess_exec(
        *_command(file), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    try:
        async with asyncio.timeout(TIMEOUT_S):
            answer, _ = await child.communicate()
    except TimeoutError:
        child.kill()
        await child.wait()
        raise ConfigError([Problem(file, 0, 0, "", f"reading it took more than {TIMEOUT_S:g} s")]) from None
    return exchange.decode(answer, file)
