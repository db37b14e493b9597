"""The story's own logic: what is claimed was checked, and where it breaks off it says so. Played whole in tests/bench."""

from __future__ import annotations

import pytest

from ocdsup.demo import story as module
from ocdsup.demo.stage import Stage, StageError
from ocdsup.demo.story import Step, Story, check, firmware, play


class Logs:
    """A program's output."""

    def __init__(self, text: str) -> None:
        self._text = text

    def tail(self) -> str:
        return self._text


def told(monkeypatch: pytest.MonkeyPatch, stage: Stage, *steps: Step) -> tuple[bool, str]:
    lines: list[str] = []
    monkeypatch.setattr(Story, "steps", lambda _self: list(steps))
    return play(stage, lines.append), "\n".join(lines)


def fails(error: Exception) -> Step:
    def act() -> str:
        raise error

    return Step("the sky is green", act)


def test_what_is_false_is_an_error_that_shows_what_was_seen_instead() -> None:
    check(True, "see it", "anything")
    with pytest.raises(StageError, match="cannot see it: seen instead: a cloud"):
        check([], "see it", "a cloud")


def test_every_step_is_told_with_what_was_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    ok, text = told(monkeypatch, Stage(0, 0), Step("one", lambda: "seen one"), Step("two", lambda: "seen two"))
    assert ok
    assert [word in text for word in ("ok      one", "seen one", "ok      two", "seen two")] == [True] * 4


@pytest.mark.parametrize("error", [StageError("see it", "it did not happen"), OSError("gone"), KeyError("phase"), IndexError()])
def test_a_story_that_breaks_off_says_where_and_tells_no_further(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    stage = Stage(0, 0)
    stage.daemon = Logs("last words of the daemon")  # type: ignore[assignment]  # a program needs only a tail here
    ok, text = told(monkeypatch, stage, fails(error), Step("never", lambda: "never"))
    assert not ok
    assert "FAILED  the sky is green" in text
    assert "last words of the daemon" in text
    assert "never" not in text


def test_a_mistake_of_ours_is_not_told_as_a_story(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ZeroDivisionError):
        told(monkeypatch, Stage(0, 0), fails(ZeroDivisionError()))


def test_the_firmware_that_gdb_loads_is_shipped() -> None:
    assert firmware().read_bytes().startswith(b"\x7fELF")


def test_the_story_has_a_claim_for_every_step_and_no_two_are_the_same() -> None:
    claims = [step.claim for step in Story(Stage(0, 0)).steps()]
    assert len(set(claims)) == len(claims) >= 10


def test_failed_examinations_are_counted_from_the_snapshot() -> None:
    assert module._failures({"counters": {"findings": {"target-poll-failed": 3}}}) == 3
    assert module._failures({"counters": {"findings": {}}}) == 0
