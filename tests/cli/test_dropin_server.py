"""The drop-in that serves: it notices that its daemon, or its bench, has gone for good."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from ocdsup.cli import dropin_server
from ocdsup.cli.dropin_server import Server
from ocdsup.dropin.plan import Plan
from ocdsup.errors import ControlError


class Daemon:
    """In the place of a client of the control socket: `names` are the daemon's benches, None when there is no daemon."""

    names: list[str] | None = None

    def __init__(self, _path: str, *, for_ever: bool = False) -> None:
        if self.names is None:
            raise ControlError("not-running", "reach the daemon")

    def __enter__(self) -> Daemon:
        return self

    def __exit__(self, *_error: object) -> None:
        return

    def request(self, _verb: str, *_words: object) -> dict[str, Any]:
        return {"benches": [{"name": name} for name in self.names or ()]}

    def stream(self, _verb: str, _bench: str) -> Iterator[dict[str, Any]]:
        """The stream of an old daemon that ends."""
        yield {}
        raise ControlError("unknown-bench", "watch nucleo")


@pytest.mark.parametrize("benches", [None, [], ["other"]], ids=["no daemon", "no bench", "another bench"])
def test_a_server_whose_bench_does_not_come_back_ends(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], benches: list[str] | None
) -> None:
    monkeypatch.setattr(dropin_server, "RETURN_S", 0.1)
    monkeypatch.setattr(dropin_server, "PAUSE_S", 0.01)
    monkeypatch.setattr(dropin_server, "Client", Daemon)
    monkeypatch.setattr(Daemon, "names", ["nucleo"])
    server = Server(Daemon(""), "/socket", {"name": "nucleo"}, Plan(), [], "")  # type: ignore[arg-type]  # the fake
    monkeypatch.setattr(Daemon, "names", benches)
    ends = threading.Event()
    watch = threading.Thread(target=server._watch, args=(ends.set,))
    watch.start()
    watch.join(10)
    assert ends.is_set()
    assert "the daemon has gone; waiting for it" in capsys.readouterr().err
