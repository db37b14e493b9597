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
    # -P: the directory the daemon was started in may hold a yaml.py of somebody else
    return [sys.executable, "-P", "-m", "ocdsup.config", file]


def read(file: str) -> Checked:
    """Check and return the configuration in `file`. Raises ConfigError with every problem. Blocks up to TIMEOUT_S."""
    try:
        done = subprocess.run(_command(file), stdin=subprocess.DEVNULL, capture_output=True, timeout=TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        raise _too_slow(file) from None
    except OSError as error:
        raise _no_child(file, error) from error
    return exchange.decode(done.stdout, file)


async def read_again(file: str) -> Checked:
    """The same for a reload, without blocking the loop. Raises ConfigError."""
    try:
        child = await asyncio.create_subprocess_exec(
            *_command(file), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
    except OSError as error:
        raise _no_child(file, error) from error
    try:
        async with asyncio.timeout(TIMEOUT_S):
            answer, _ = await child.communicate()
    except TimeoutError:
        raise _too_slow(file) from None
    finally:
        await _end(child)
    return exchange.decode(answer, file)


async def _end(child: asyncio.subprocess.Process) -> None:
    if child.returncode is None:
        child.kill()
        await child.wait()


def _too_slow(file: str) -> ConfigError:
    return ConfigError(
        [Problem(file, 0, 0, "", f"reading it took more than {TIMEOUT_S:g} s", "is it a pipe, or on a dead mount?")],
        unread=True,
    )


def _no_child(file: str, error: OSError) -> ConfigError:
    return ConfigError(
        [Problem(file, 0, 0, "", f"the check could not be started: {error.strerror}", "end something and try again")],
        unread=True,
    )
