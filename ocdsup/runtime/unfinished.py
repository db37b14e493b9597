"""What must not be cut off without a word: a write to flash memory leaves the board half written."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ocdsup.errors import ControlError

if TYPE_CHECKING:
    from ocdsup.runtime.bench import LiveBench


def spare_flash(bench: LiveBench, what: str, *, force: bool = False, hint: str = "or `--force`") -> None:
    """Refuse to do `what` to a bench that writes flash, unless somebody insists. Raises ControlError."""
    if bench.flashing and not force:
        why = f"{bench.name} writes flash, and ending it would leave the board half written"
        raise ControlError("refused", what, why, f"try again in a moment, {hint}")
