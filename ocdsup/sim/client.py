"""A small blocking client of the control socket: for the command line and for tests."""

from __future__ import annotations

import json
import os
import socket
import tempfile
from pathlib import Path
from typing import Any

TIMEOUT = 5.0  # seconds for one request


def control_path(port: int) -> Path:
    """Return the default place of the control socket of a simulator on `port`."""
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if runtime:
        return Path(runtime) / f"ocdsup-sim-{port}.sock"
    return Path(tempfile.gettempdir()) / f"ocdsup-sim-{os.getuid()}-{port}.sock"


class SimError(Exception):
    """The simulated probe refused a request; the text is its reason."""


class SimClient:
    """Talks to one running simulator: ``SimClient(path).break_("silent")``."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def ask(self, request: dict[str, object]) -> dict[str, Any]:
        """Send one request, return the reply; raises SimError, or OSError when nobody answers."""
        with socket.socket(socket.AF_UNIX) as link:
            link.settimeout(TIMEOUT)
            link.connect(str(self.path))
            link.sendall(json.dumps(request).encode() + b"\n")
            with link.makefile("rb") as lines:
                line = lines.readline()
        if not line:
            raise ConnectionError(f"the simulator at {self.path} hung up")
        reply: dict[str, Any] = json.loads(line)
        if not reply.pop("ok", False):
            raise SimError(str(reply.get("error", "no reason given")))
        return reply

    def break_(self, fault: str, serial: str | None = None, **options: float) -> dict[str, Any]:
        """Put a fault into force; options are written with underscores: ``after_ms=100``."""
        chosen: dict[str, object] = {name.replace("_", "-"): value for name, value in options.items()}
        return self.ask({"break": fault} | _serial(serial) | chosen)

    def heal(self, fault: str | None = None, serial: str | None = None) -> list[str]:
        """End one fault or all; return the names ended."""
        return list(self.ask({"heal": fault} | _serial(serial))["healed"])

    def log(self, serial: str | None = None, clear: bool = False) -> dict[str, Any]:
        """Return what the host did: `counts` and `events`; with `clear` forget it afterwards."""
        return self.ask({"log": "clear" if clear else None} | _serial(serial))

    def status(self) -> list[dict[str, Any]]:
        """Return the state of every probe and board."""
        return list(self.ask({"status": None})["probes"])

    def press_reset(self, serial: str | None = None) -> None:
        """Press the reset button of the board."""
        self.ask({"press": "reset"} | _serial(serial))

    def power_cycle(self, serial: str | None = None) -> None:
        """Take the board's supply away and back."""
        self.ask({"power": "cycle"} | _serial(serial))


def _serial(serial: str | None) -> dict[str, object]:
    return {} if serial is None else {"serial": serial}
