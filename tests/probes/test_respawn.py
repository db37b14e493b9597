"""Who respawns what we end is not fought with, and told."""

from collections.abc import Callable
from typing import Any

import pytest

from ocdsup.probes.eviction import Decision, Rules, judge
from ocdsup.probes.holders import Holder, Parent
from ocdsup.probes.respawn import ECHO_LIMIT, RespawnBreaker, echo, farewell, notice

Make = Callable[..., Holder]
LEAVE = Decision.LEAVE
NOW = 1000.0


def test_the_breaker_trips_when_one_command_line_was_ended_thrice_within_a_minute(holder: Make) -> None:
    """Other ports do not make it another command line: IDEs pick new ones each time."""
    breaker, respawned = RespawnBreaker(), holder()
    for at, port in ((0.0, 50000), (20.0, 50003), (59.0, 50006)):
        respawned = holder(pid=int(at) + 10, cmdline=("openocd", "-c", f"gdb_port {port}", "-f", "b.cfg"))
        assert not breaker.tripped(respawned, at)
        breaker = breaker.record(respawned, at)
    assert breaker.tripped(respawned, 59.5)
    assert not breaker.tripped(respawned, 60.0), "the first one has left the window"


@pytest.mark.parametrize("other", [{"cmdline": ("openocd", "-f", "other.cfg")}, {"uid": 1001}])
def test_the_breaker_keeps_command_lines_and_users_apart(holder: Make, other: dict[str, Any]) -> None:
    breaker = RespawnBreaker()
    for _ in range(3):
        breaker = breaker.record(holder(), 1.0)
    assert breaker.tripped(holder(), 2.0)
    assert not breaker.tripped(holder(**other), 2.0)


def test_a_tripped_breaker_overrules_force_and_names_the_respawner(holder: Make) -> None:
    breaker = RespawnBreaker(limit=1).record(holder(), NOW)
    verdict = judge(holder(), Rules("nucleo", force=True), NOW)
    checked = breaker.check(holder(), verdict, NOW + 1)
    assert checked.decision is LEAVE
    assert "PID 700 (code)" in checked.advice
    assert breaker.check(holder(), verdict, NOW + 61) is verdict


@pytest.mark.parametrize(
    ("parent", "named"),
    [
        (None, "something"),
        (Parent(700, "code", user="alice"), "PID 700 (code) of user alice"),
        (Parent(700, "sh", parent=Parent(600, "code")), "PID 700 (sh), from PID 600 (code)"),
        (Parent(700, "sh", parent=Parent(1, "init")), "PID 700 (sh)"),
    ],
)
def test_the_respawner_is_named_with_its_user_and_behind_a_shell_with_whose_shell_it_is(
    holder: Make, parent: Parent | None, named: str
) -> None:
    one = holder(parent=parent)
    verdict = RespawnBreaker(limit=1).record(one, NOW).check(one, judge(one, Rules("nucleo", force=True), NOW), NOW)
    assert verdict.advice == f"stop what respawns it: {named}"
    assert verdict.reason.startswith(f"{named} starts it again each time: ended 1 times")


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ("all is well", b"catch {echo {all is well}}"),
        ("a} ; shutdown ; {b", b"catch {echo {a ; shutdown ; b}}"),
        ("ends in \\", b"catch {echo {ends in }}"),
        ("$x [exit]", b"catch {echo {$x [exit]}}"),
    ],
)
def test_a_line_for_the_log_of_an_openocd_is_one_braced_word_whatever_it_holds(text: str, sent: bytes) -> None:
    assert echo(text) == sent


def test_a_line_for_the_log_is_short_and_without_control_bytes() -> None:
    sent = echo("\x1a\n\x1b[2J" + "x" * 1000)
    assert b"\x1a" not in sent
    assert b"\n" not in sent
    assert len(sent) <= ECHO_LIMIT + len(echo(""))


def test_both_words_name_the_bench_and_where_to_connect_and_fit() -> None:
    name, place = "n" * 32, "localhost:33333"
    for text in (farewell(name, place, "stale: the program that started it is gone"), notice(name, place)):
        assert place in text
        assert name in text
        assert len(text) <= ECHO_LIMIT
