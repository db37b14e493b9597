"""Reads the log catalogue that ships with ocdsup through a child that imports yaml and ends.

The daemon lives for months; yaml, and what its parser leaves behind in the allocator's pools, would cost it 2.2 MB.
"""

from __future__ import annotations

import json
import subprocess
import sys
from functools import cache

from ocdsup.openocd.catalogue import BUILTIN, Catalogue, build_catalogue, load_builtin, parse_catalogue

TIMEOUT_S = 10.0
# -P: the directory the daemon was started in may hold a yaml.py of somebody else
_COMMAND = (sys.executable, "-P", "-m", "ocdsup.runtime.catalogue_file")


@cache
def load(command: tuple[str, ...] = _COMMAND) -> Catalogue:
    """Return the catalogue. Blocks some 50 ms; a PC that cannot start the child gets the same catalogue, with its memory."""
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=TIMEOUT_S, check=True)
        return build_catalogue(json.loads(done.stdout))
    except (OSError, subprocess.SubprocessError, ValueError):
        return load_builtin()


if __name__ == "__main__":
    json.dump(parse_catalogue(BUILTIN.read_bytes()), sys.stdout, separators=(",", ":"))
