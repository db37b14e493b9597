"""`monitor ocdsup …`: who waits for which text."""

from __future__ import annotations

from dataclasses import replace

from ocdsup.rsp.outputs import News, Notice, Output
from ocdsup.rsp.own import Own
from ocdsup.rsp.packets import monitor_request, name
from ocdsup.rsp.wires import Ask


def ask(line: str, since: float = 1.0) -> Ask:
    body = monitor_request(line)
    return Ask(name(body), body, b"", since)


def test_only_the_text_that_is_waited_for_ends_the_wait() -> None:
    """One that comes late, or twice, is not taken for the answer to the next question."""
    own, out = Own(), list[Output]()
    assert own.takes(ask("ocdsup status"), out)
    assert out == [Notice(News.ASKED, "status", 1)]
    own = replace(own, since=None)  # given up
    assert own.takes(ask("ocdsup why", 7.0), out)
    assert (own.ends(1), own.since) == (False, 7.0)
    assert (own.ends(2), own.ends(2), own.since) == (True, False, None)


def test_a_line_for_the_server_is_not_taken() -> None:
    """Nor does it change who waits."""
    own, out = Own(), list[Output]()
    assert not own.takes(ask("reset halt"), out)
    assert (out, own.since, own.id) == ([], None, 0)
