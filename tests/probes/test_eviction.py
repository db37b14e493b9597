"""Which holder may be ended, and by which steps."""

from collections.abc import Callable
from typing import Any

import pytest

from ocdsup.probes.eviction import (
    Decision,
    Done,
    Ending,
    How,
    Patience,
    Policy,
    Rules,
    Seen,
    Shutdown,
    Signals,
    advance,
    begin,
    judge,
    second_thoughts,
)
from ocdsup.probes.holders import Endpoint, Holder, Parent, ServerPorts

Make = Callable[..., Holder]
EVICT, LEAVE, CANNOT_TELL = Decision.EVICT, Decision.LEAVE, Decision.CANNOT_TELL
NOW = 1000.0
ORPHAN = {"orphaned": True, "parent": Parent(1, "systemd")}
FLASHING = {"cmdline": ("openocd", "-f", "b.cfg", "-c", "program demo.elf verify reset exit")}
IN_ITS_FILES = {"ports": ServerPorts((3333,)), "tcl_answers": None}
TELNET_ONLY = ServerPorts((3333,), Endpoint("127.0.0.1", 4444))
MAKE = ("/usr/bin/make", "flash")
LENDER = Parent(
    500, "python3", ("/usr/bin/python3", "/usr/bin/ocdsup", "lend", "nucleo", "--", "make"), parent=Parent(1, "init")
)
RECIPE = Parent(700, "sh", parent=Parent(600, "make", MAKE, parent=LENDER))
OCDSUP = Parent(700, "python3", ("/usr/bin/python3", "/usr/bin/ocdsup", "run"))


@pytest.mark.parametrize(
    ("fields", "decision", "reason"),
    [
        (ORPHAN, EVICT, "the program that started it is gone"),
        ({"idle_since": NOW - 7}, EVICT, "no GDB has been connected for 7 s"),
        ({"idle_since": NOW - 6.9}, LEAVE, "not for long enough"),
        ({"idle_since": None}, LEAVE, "not for long enough"),
        ({"tcl_answers": False}, EVICT, "wedged"),
        ({"tcl_answers": False, "age_s": 3.0}, LEAVE, "not for long enough"),
        ({"tcl_answers": False, "age_s": 3.0, "idle_since": NOW - 9}, LEAVE, "not for long enough"),
        ({"state": "T", "age_s": 1.0}, EVICT, "stopped"),
        ({"target_dead": True}, EVICT, "target is dead"),
        ({"tcl_answers": False, "works": False, **ORPHAN}, EVICT, "gone"),
        ({"tcl_answers": False, "works": True, **ORPHAN}, LEAVE, "busy with the probe"),
        ({"tcl_answers": False, "works": True, "idle_since": NOW - 119}, LEAVE, "busy with the probe"),
        ({"tcl_answers": False, "works": True, "idle_since": NOW - 120}, EVICT, "wedged"),
        ({"tcl_answers": False, "works": True, "idle_since": NOW - 999, "half_closed": 1}, LEAVE, "busy with the probe"),
        ({"tcl_answers": False, "works": True, "idle_since": NOW - 120, "half_closed": 1, **ORPHAN}, EVICT, "gone"),
        ({"tcl_answers": False, "works": False, "half_closed": 1}, EVICT, "its Tcl port does not answer"),
        ({"tcl_answers": False, "ports": TELNET_ONLY}, EVICT, "its telnet port does not answer"),
        # somebody works with it
        ({**ORPHAN, "gdb_connected": True}, LEAVE, "a GDB session is live"),
        ({"gdb_connected": True, "tcl_answers": False}, LEAVE, "a GDB session is live"),
        ({"gdb_connected": True, "target_dead": True}, LEAVE, "a GDB session is live"),
        ({"gdb_connected": True, "state": "T"}, LEAVE, "a GDB session is live"),
        ({**ORPHAN, "console_clients": 1}, LEAVE, "telnet or Tcl client"),
        ({**FLASHING, "idle_since": NOW - 99}, LEAVE, "writing flash"),
        ({**FLASHING, **ORPHAN}, LEAVE, "writing flash"),
        ({**FLASHING, **ORPHAN, "age_s": 999.0, "idle_since": NOW - 119}, LEAVE, "writing flash"),
        ({**FLASHING, **ORPHAN, "idle_since": NOW - 120}, EVICT, "gone"),
        ({**IN_ITS_FILES, **ORPHAN, "age_s": 999.0, "idle_since": NOW}, LEAVE, "not for long enough"),
        ({**IN_ITS_FILES, **ORPHAN, "age_s": 999.0, "idle_since": NOW - 119}, CANNOT_TELL, "may be carrying out"),
        ({**IN_ITS_FILES, **ORPHAN, "idle_since": NOW - 120}, EVICT, "gone"),
        ({**IN_ITS_FILES, **ORPHAN, "state": "T", "idle_since": NOW}, EVICT, "stopped"),
        ({**FLASHING, "tcl_answers": True, "idle_since": NOW - 99}, EVICT, "no GDB"),
        ({"parent": OCDSUP, "idle_since": NOW - 99}, LEAVE, "another ocdsup"),
        ({"parent": Parent(800, "run.py", parent=OCDSUP), "idle_since": NOW - 99}, LEAVE, "another ocdsup (PID 700)"),
        # it was lent the probe
        ({"parent": RECIPE, "idle_since": NOW - 99}, LEAVE, "it borrows the probe (`ocdsup lend`, PID 500)"),
        ({"parent": RECIPE, "lease": "", "target_dead": True}, LEAVE, "it borrows the probe (`ocdsup lend`, PID 500)"),
        ({"lease": "nucleo", "idle_since": NOW - 99}, LEAVE, "it borrows the probe (`ocdsup lend`)"),
        ({"lease": "nucleo", "orphaned": None, "state": "T"}, LEAVE, "it borrows the probe (`ocdsup lend`)"),
        ({"lease": "nucleo", **ORPHAN}, EVICT, "gone"),
        ({"parent": RECIPE, "lease": "other", "idle_since": NOW - 99}, EVICT, "no GDB"),
        # not enough is known
        ({"idle_since": NOW - 99, "tcl_answers": None, "ports": ServerPorts((3333,))}, CANNOT_TELL, "may be carrying out"),
        ({"idle_since": NOW - 99, "tcl_answers": None, "ports": ServerPorts((), None, None, (1, 2, 3))}, EVICT, "no GDB"),
        ({"gdb_connected": None, **ORPHAN}, CANNOT_TELL, "may be its GDB port"),
        ({"same_namespace": False, "idle_since": NOW - 99}, CANNOT_TELL, "container"),
        ({"exe": None, **ORPHAN}, CANNOT_TELL, "CAP_SYS_PTRACE"),
        ({"orphaned": None}, LEAVE, "not for long enough"),
        # not OpenOCD
        ({"kind": "probe-rs", "title": "probe-rs", **ORPHAN}, LEAVE, "it is probe-rs, not OpenOCD"),
        # the kernel has it
        ({**ORPHAN, "state": "D", "stuck_since": NOW - 5}, LEAVE, "immune"),
        ({**ORPHAN, "state": "D", "stuck_since": NOW - 0.5}, EVICT, "gone"),
    ],
)
def test_the_default_policy_ends_only_stale_openocds(
    holder: Make, fields: dict[str, Any], decision: Decision, reason: str
) -> None:
    verdict = judge(holder(**fields), Rules("nucleo"), NOW)
    assert verdict.decision is decision
    assert reason in verdict.reason


@pytest.mark.parametrize(
    ("fields", "decision"),
    [
        ({"lease": "nucleo"}, EVICT),
        ({"lease": "nucleo", "parent": RECIPE}, LEAVE),
        ({"lease": "", "parent": RECIPE}, LEAVE),
    ],
)
def test_without_a_loan_only_who_lends_protects_and_not_the_mark_alone(
    holder: Make, fields: dict[str, Any], decision: Decision
) -> None:
    assert judge(holder(idle_since=NOW - 99, **fields), Rules("nucleo", lends=False), NOW).decision is decision


@pytest.mark.parametrize(
    ("policy", "fields", "decision"),
    [
        (Policy.NEVER, ORPHAN, LEAVE),
        (Policy.OPENOCD, {"gdb_connected": True}, EVICT),
        (Policy.OPENOCD, {"kind": "pyocd"}, LEAVE),
        (Policy.OPENOCD, {"same_namespace": False}, EVICT),
        (Policy.ANY, {"kind": "pyocd", "gdb_connected": True}, EVICT),
        (Policy.ANY, {"kind": "vm", "guest": True}, LEAVE),
        *((policy, {"parent": RECIPE, "idle_since": NOW - 99}, LEAVE) for policy in Policy),
        *((policy, {"kind": "pyocd", "lease": "nucleo"}, LEAVE) for policy in Policy),
    ],
)
def test_other_policies_look_at_the_program_and_at_our_loans_alone(
    holder: Make, policy: Policy, fields: dict[str, Any], decision: Decision
) -> None:
    assert judge(holder(**fields), Rules("nucleo", policy=policy), NOW).decision is decision


@pytest.mark.parametrize("policy", Policy)
@pytest.mark.parametrize("fields", [{"gdb_connected": True}, {"kind": "vm", "guest": True}, {}])
def test_force_ends_any_foreign_holder_under_any_policy(holder: Make, policy: Policy, fields: dict[str, Any]) -> None:
    verdict = judge(holder(**fields), Rules("nucleo", policy=policy, force=True), NOW)
    assert verdict.decision is EVICT
    assert verdict.reason.startswith("forced; ")


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("policy", Policy)
@pytest.mark.parametrize(
    ("fields", "rules"),
    [
        ({}, {"own_pids": frozenset({812})}),
        ({"orphaned": False, "parent": Parent(700, "python3")}, {"own_pids": frozenset({700})}),
        ({"orphaned": False, "parent": RECIPE}, {"own_pids": frozenset({600})}),
        ({"pid": 1}, {}),
        ({}, {"flashing": True}),
        ({}, {"uids": frozenset({1001})}),
        ({"exe": None}, {}),
        ({"state": "D", "stuck_since": NOW - 5}, {}),
    ],
)
def test_neither_policy_nor_force_ends_ours_or_what_must_not_be_touched(
    holder: Make, policy: Policy, force: bool, fields: dict[str, Any], rules: dict[str, Any]
) -> None:
    verdict = judge(holder(**{**ORPHAN, **fields}), Rules("nucleo", policy=policy, force=force, **rules), NOW)
    assert verdict.decision is not EVICT


def test_an_orphan_adopted_by_a_daemon_that_is_pid_1_of_a_container_is_not_ours(holder: Make) -> None:
    orphan = holder(orphaned=True, parent=Parent(1, "ocdsup"))
    assert judge(orphan, Rules("nucleo", own_pids=frozenset({1})), NOW).decision is EVICT


def test_a_verdict_that_time_alone_may_change_says_when(holder: Make) -> None:
    verdict = judge(holder(idle_since=NOW - 2), Rules("nucleo", grace_s=7), NOW)
    assert verdict.again_at == NOW + 5
    assert judge(holder(idle_since=NOW - 2), Rules("nucleo", grace_s=7), NOW + 5).decision is EVICT


def test_a_holder_stuck_in_the_kernel_needs_hands(holder: Make) -> None:
    assert judge(holder(state="D", stuck_since=NOW - 5), Rules("nucleo"), NOW).advice == "replug the probe"


def test_a_left_holder_tells_how_to_get_the_probe(holder: Make) -> None:
    advice = judge(holder(gdb_connected=True), Rules("nucleo"), NOW).advice
    assert advice == "end the session of PID 812 (OpenOCD), or `ocdsup evict nucleo --force`"


@pytest.mark.parametrize(
    ("seen", "rules", "said"),
    [
        ({}, {}, ""),
        ({"gdb_connected": True}, {}, "a GDB session is live"),
        ({"gdb_connected": None}, {}, "a client is connected to a port that may be its GDB port"),
        ({"console_clients": 1}, {}, "a telnet or Tcl client is connected"),
        ({"gdb_connected": True}, {"force": True}, ""),
        ({"gdb_connected": True}, {"policy": Policy.ANY}, ""),
        ({}, {"force": True, "flashing": True}, "a flash operation of this bench runs"),
        ({"ports": ServerPorts()}, {}, ""),  # its consoles are closed: it does what it was asked for
    ],
)
def test_only_what_came_up_since_the_verdict_stays_the_hand(
    holder: Make, seen: dict[str, Any], rules: dict[str, Any], said: str
) -> None:
    assert second_thoughts(holder(**ORPHAN), holder(**ORPHAN, **seen), Rules("nucleo", **rules), NOW) == said


@pytest.mark.parametrize(("state", "said"), [("T", ""), ("S", "it has opened no console")])
def test_work_that_goes_on_after_a_stop_is_not_cut_off_by_the_next_step(holder: Make, state: str, said: str) -> None:
    """It was judged to be ended because it was stopped; SIGCONT came along with SIGTERM, and its files are not done."""
    seen = holder(**IN_ITS_FILES, state=state)
    thoughts = second_thoughts(holder(**IN_ITS_FILES, state="T"), seen, Rules("nucleo"), NOW)
    assert thoughts.startswith(said)
    assert bool(thoughts) is bool(said)


@pytest.mark.parametrize(("works", "said"), [(True, "busy with the probe"), (False, ""), (None, "")])
def test_one_that_was_idle_when_judged_and_is_at_work_before_the_last_step_is_left(
    holder: Make, works: bool | None, said: str
) -> None:
    """It heeds SIGTERM when its flash write is done; SIGKILL would cut that off."""
    thoughts = second_thoughts(holder(**ORPHAN), holder(**ORPHAN, works=works), Rules("nucleo"), NOW)
    assert said in thoughts
    assert bool(thoughts) is bool(said)


# Steps -------------------------------------------------------------------------------------------------------------

PATIENCE = Patience(shutdown_s=1, term_s=3, kill_s=2)


def _play(ending: Ending, *script: tuple[Seen, float]) -> list[object]:
    actions: list[object] = [ending.action]
    for seen, now in script:
        ending = advance(ending, seen, now)
        actions.append(ending.action)
    return actions


def test_the_full_ladder_is_shutdown_term_kill_and_then_a_plain_admission(holder: Make) -> None:
    script = [(Seen.TIME_UP, 1.0), (Seen.TIME_UP, 4.0), (Seen.TIME_UP, 6.0)]
    *steps, done = _play(begin(holder(), PATIENCE, 0.0), *script)
    assert steps == [Shutdown(holder().ports.tcl), Signals(("TERM",)), Signals(("KILL",))]  # type: ignore[arg-type]  # the fixture has a Tcl port
    assert isinstance(done, Done)
    assert done.how is How.REFUSED
    assert "replug" in done.text


@pytest.mark.parametrize(
    "fields",
    [
        {"ports": ServerPorts(gdb=(3333,))},
        {"tcl_answers": False},
        {"kind": "pyocd"},
        {"same_namespace": False},
    ],
)
def test_who_takes_no_commands_gets_term_at_once(holder: Make, fields: dict[str, Any]) -> None:
    assert begin(holder(**fields), PATIENCE, 0.0).action == Signals(("TERM",))


def test_a_stopped_holder_is_continued_so_that_it_can_obey(holder: Make) -> None:
    assert begin(holder(state="T"), PATIENCE, 0.0).action == Signals(("TERM", "CONT"))


@pytest.mark.parametrize(
    ("script", "how"),
    [
        ([(Seen.EXITED, 0.1)], How.SHUTDOWN),
        ([(Seen.FAILED, 0.1), (Seen.EXITED, 0.2)], How.TERM),
        ([(Seen.TIME_UP, 1.0), (Seen.RELEASED, 4.0)], How.TERM),
        ([(Seen.TIME_UP, 1.0), (Seen.TIME_UP, 4.0), (Seen.EXITED, 4.1)], How.KILL),
        ([(Seen.TIME_UP, 1.0), (Seen.REFUSED, 1.0)], How.REFUSED),
        ([(Seen.TIME_UP, 1.0), (Seen.IN_USE, 1.0)], How.LEFT),
    ],
)
def test_the_result_names_the_step_that_ended_it(holder: Make, script: list[tuple[Seen, float]], how: How) -> None:
    done = _play(begin(holder(), PATIENCE, 0.0), *script)[-1]
    assert isinstance(done, Done)
    assert done.how is how


def test_each_step_has_its_own_deadline_from_when_it_begins(holder: Make) -> None:
    ending = begin(holder(), PATIENCE, 10.0)
    assert ending.deadline == 11.0
    assert advance(ending, Seen.FAILED, 10.2).deadline == 13.2
