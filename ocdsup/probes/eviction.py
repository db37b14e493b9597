"""May this holder be ended, and by which steps: policy and step machine. Pure; time is an argument.

Stale is an OpenOCD that is not ours, holds this bench's probe, and is orphaned, or wedged, or polls a dead target, or
has had no GDB client for the grace time. A live debug session is never ended under `stale-openocd`.

One that is stopped gets SIGTERM and SIGCONT, and SIGKILL only if it does not heed them. SIGKILL alone would be as sure and no
gentler to anybody, but it leaves the adapter, NRST and the board's breakpoints as they are; continued, OpenOCD 0.12 meets the
pending SIGTERM first, puts them in order and says `shutdown command invoked`. What it was stopped in the middle of goes on as
well, a flash write for example, and is then not cut off by SIGKILL (`second_thoughts`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum, StrEnum

from ocdsup.probes import tools
from ocdsup.probes.holders import Endpoint, Holder

SEEING = "CAP_DAC_READ_SEARCH and CAP_SYS_PTRACE (or the same user)"
IDLE_S = 7.0
"""Seconds after which an OpenOCD that waits for a GDB in vain is stale, and one that is at work is judged again."""
WORK_S = 120.0
"""Seconds for which one that nobody is connected to is believed to be at work, counted from when we first saw it unused.

Not from its start: a flash run that is long under way when its IDE dies needs its time all the same.
"""
AT_PROBE = "it is busy with the probe and answers nobody meanwhile: it may be writing flash"
AT_WORK = "it has opened no console: it may be carrying out what its configuration files say, a flash write too"
_SERVERS = 3
"""Ports of one that serves: GDB for its first target, from `init` on (openocd.c, handle_init_command), then Tcl and telnet.

Those two are opened by server_init (server.c), which main calls behind the whole command line (openocd.c, 0.12).
"""
STUCK_S = 2.0
"""Seconds in D state after which only a replug helps; a single sight of D may be an ordinary disk or USB wait."""


class Policy(StrEnum):
    """Which holders may be ended without asking (the values of `holders:` in the configuration)."""

    NEVER = "never"
    STALE_OPENOCD = "stale-openocd"
    OPENOCD = "openocd"
    ANY = "any"


class Decision(Enum):
    """What to do about one holder."""

    EVICT = "evict"
    LEAVE = "leave"
    CANNOT_TELL = "cannot-tell"


@dataclass(frozen=True, slots=True)
class Rules:
    """What a verdict depends on besides the holder.

    `bench` is the bench's name. `uids` None allows holders of every user the kernel lets us signal. `starting_s`: so long an
    OpenOCD that does not answer counts as still starting. `lends`: this bench has, or may still have, a loan. `flashing`: a
    flash operation of this bench runs. `force`: a person asked for it.
    """

    bench: str
    policy: Policy = Policy.STALE_OPENOCD
    own_pids: frozenset[int] = frozenset()
    uids: frozenset[int] | None = None
    grace_s: float = IDLE_S
    starting_s: float = 15.0
    lends: bool = True
    flashing: bool = False
    force: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """A decision with its reason in one sentence; `stale` None: could not be told.

    `again_at` (monotonic) is when waiting alone may change the verdict; `advice` is what hands must do.
    """

    decision: Decision
    reason: str
    stale: bool | None = None
    again_at: float | None = None
    advice: str = ""


def judge(holder: Holder, rules: Rules, now: float) -> Verdict:
    """Return whether this holder of the probe may be ended, and why."""
    protected = _protected(holder, rules, now)
    if protected:
        return protected
    stale = staleness(holder, rules, now)
    if rules.force:
        return replace(stale, decision=Decision.EVICT, reason=f"forced; {stale.reason}")
    if _loan(holder, rules):  # a promise of ours, whatever the policy
        return stale
    match rules.policy:
        case Policy.NEVER:
            return replace(stale, decision=Decision.LEAVE, reason=f"policy never; {stale.reason}", again_at=None)
        case Policy.STALE_OPENOCD:
            return stale
        case Policy.OPENOCD if holder.kind != tools.OPENOCD.kind:
            return Verdict(Decision.LEAVE, f"policy openocd, and this is {holder.title}", False)
        case Policy.ANY if holder.guest:
            return Verdict(Decision.LEAVE, f"a {holder.title} is ended only by force", False, None, _release(holder, rules))
        case Policy.OPENOCD | Policy.ANY:
            return replace(stale, decision=Decision.EVICT, reason=f"policy {rules.policy}; {stale.reason}", again_at=None)


def _protected(holder: Holder, rules: Rules, now: float) -> Verdict | None:
    """What no policy and no force overrides."""
    if holder.pid <= 1 or holder.descends_from(rules.own_pids):
        return Verdict(Decision.LEAVE, "it is ours", False)
    if rules.flashing:
        return Verdict(Decision.LEAVE, "a flash operation of this bench runs", None)
    if holder.exe is None:
        return Verdict(Decision.CANNOT_TELL, f"its executable cannot be read; needs {SEEING}")
    if rules.uids is not None and holder.uid not in rules.uids:
        return Verdict(Decision.LEAVE, f"it belongs to {holder.user or holder.uid}, whom we may not end", None)
    if holder.stuck_since is not None and now - holder.stuck_since >= STUCK_S:
        return Verdict(Decision.LEAVE, "it is stuck in the kernel, immune to every signal", None, None, "replug the probe")
    return None


def staleness(holder: Holder, rules: Rules, now: float) -> Verdict:
    """Return the verdict under `stale-openocd`, for a holder that is not protected."""
    return _occupied(holder, rules, now) or _neglected(holder, rules, now)


def second_thoughts(judged: Holder, seen: Holder, rules: Rules, now: float) -> str:
    """Return why a holder that was judged to be ended is left alone after all, as it is `seen` right before a step; or nothing.

    Only what can have come up since counts: a client, a flash operation of ours, work that goes on after it was stopped, or is
    measured once more before SIGKILL. That its consoles are closed is the shutdown it was asked for. Where force or the policy
    ends sessions too, nothing comes up.
    """
    if rules.flashing:
        return "a flash operation of this bench runs"
    if rules.force or rules.policy is not Policy.STALE_OPENOCD:
        return ""
    ports = judged.ports if _has_console(judged) or judged.ports.tcl else seen.ports
    now_is = replace(
        judged,
        gdb_connected=seen.gdb_connected,
        console_clients=seen.console_clients,
        half_closed=seen.half_closed,
        state=seen.state,
        ports=ports,
        works=judged.works if seen.works is None else seen.works,
    )
    verdict = _occupied(now_is, rules, now)
    if verdict:
        return verdict.reason
    return AT_WORK if seen.state not in "Tt" and _in_its_files(now_is, now) else ""


def _occupied(holder: Holder, rules: Rules, now: float) -> Verdict | None:
    """Somebody works with it, or it is none that this policy ends."""
    if holder.kind != tools.OPENOCD.kind:
        return Verdict(Decision.LEAVE, f"it is {holder.title}, not OpenOCD", False, None, _release(holder, rules))
    if holder.gdb_connected:
        return Verdict(Decision.LEAVE, "a GDB session is live", False, None, _release(holder, rules))
    if holder.console_clients:
        return Verdict(Decision.LEAVE, "a telnet or Tcl client is connected", False, None, _release(holder, rules))
    if holder.gdb_connected is None:
        return Verdict(Decision.CANNOT_TELL, "a client is connected to a port that may be its GDB port")
    if holder.same_namespace is False:
        return Verdict(Decision.CANNOT_TELL, "it runs in a container: its parent and its debugger cannot be seen from here")
    if loan := _loan(holder, rules):
        return Verdict(Decision.LEAVE, loan, False, None, _release(holder, rules))
    supervisor = next((one for one in holder.ancestry if tools.is_ocdsup(one.cmdline)), None)
    if supervisor is not None and not tools.is_lending(supervisor.cmdline):
        return Verdict(Decision.LEAVE, f"another ocdsup (PID {supervisor.pid}) supervises it", False)
    if _writes_flash(holder, now):
        return Verdict(Decision.LEAVE, "it is writing flash", False, now + rules.grace_s)
    if holder.works and (_idle(holder, now) < WORK_S or _is_waited_for(holder)):
        return Verdict(Decision.LEAVE, AT_PROBE, False, now + rules.grace_s, _release(holder, rules))
    return None


def _is_waited_for(holder: Holder) -> bool:
    """Whether a client may be there that has only closed its own direction; of an orphan they are gone with its starter."""
    return holder.half_closed > 0 and holder.orphaned is not True


def _loan(holder: Holder, rules: Rules) -> str:
    """Whether it borrows this probe, also from a daemon that has ended since. What is left of a borrower has no loan any more.

    The environment names the bench of the loan; where it cannot be read, or was scrubbed (`sudo`), only who lends is seen. It
    is inherited for days by what was started in a loan, a tmux or an IDE, so without a loan it says nothing.
    """
    lender = next((one for one in holder.ancestry if tools.is_lending(one.cmdline)), None)
    if holder.lease:
        mine = holder.lease == rules.bench and holder.orphaned is not True and (rules.lends or lender is not None)
        return "it borrows the probe (`ocdsup lend`)" if mine else ""
    return f"it borrows the probe (`ocdsup lend`, PID {lender.pid})" if lender else ""


def _writes_flash(holder: Holder, now: float) -> bool:
    """A `program …` run that answers on its Tcl port is done with it: OpenOCD has one thread."""
    over = holder.tcl_answers or (holder.orphaned and _idle(holder, now) >= WORK_S)
    return tools.is_one_shot(holder.cmdline) and not over


def _neglected(holder: Holder, rules: Rules, now: float) -> Verdict:
    """Nobody is connected: stale if the starter is gone, or it is broken, or has been unused for the grace time."""
    idle = _idle(holder, now)
    starting = holder.age_s < rules.starting_s
    signs = (
        (holder.orphaned and not _in_its_files(holder, now), "the program that started it is gone"),
        (holder.state in "Tt", "it is stopped and cannot answer"),
        (holder.tcl_answers is False and not starting, f"it is wedged: its {_console(holder)} port does not answer"),
        (holder.target_dead and not starting, "its target is dead and no GDB is connected"),
        (idle >= rules.grace_s and _serves(holder), f"no GDB has been connected for {idle:.0f} s"),
    )
    sign = next((text for true, text in signs if true), None)
    if sign:
        return Verdict(Decision.EVICT, f"stale: {sign}", True)
    if idle >= rules.grace_s and holder.tcl_answers is None:
        return Verdict(Decision.CANNOT_TELL, AT_WORK, None, now + rules.grace_s, _release(holder, rules))
    again = now + (rules.starting_s - holder.age_s if holder.tcl_answers is False else rules.grace_s - idle)
    return Verdict(Decision.LEAVE, "no GDB is connected, but not for long enough yet", False, again, _release(holder, rules))


def _idle(holder: Holder, now: float) -> float:
    return now - holder.idle_since if holder.idle_since is not None else 0.0


def _in_its_files(holder: Holder, now: float) -> bool:
    """Whether it may still be at what its files say. Nobody waits for an orphan's work, so that is believed for a time only."""
    over = holder.orphaned and _idle(holder, now) >= WORK_S
    return holder.tcl_answers is None and not _has_console(holder) and not over


def _serves(holder: Holder) -> bool:
    """Whether it waits for clients: the consoles are opened behind all of its configuration, unlike its GDB ports (0.12).

    With ports of any number only their count tells: GDB, telnet, Tcl.
    """
    return bool(holder.tcl_answers) or (holder.tcl_answers is None and _has_console(holder))


def _console(holder: Holder) -> str:
    return "telnet" if holder.ports.telnet is not None and holder.ports.tcl is None else "Tcl"


def _has_console(holder: Holder) -> bool:
    return holder.ports.telnet is not None or len(holder.ports.unknown) >= _SERVERS


def _release(holder: Holder, rules: Rules) -> str:
    return f"end the session of PID {holder.pid} ({holder.title}), or `ocdsup evict {rules.bench} --force`"


class How(StrEnum):
    """How an eviction came out."""

    SHUTDOWN = "shutdown"
    TERM = "term"
    KILL = "kill"
    GONE = "gone"
    REFUSED = "refused"
    LEFT = "left-alone"


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds each step of an eviction gets before the next one.

    SIGKILL leaves NRST and the board's breakpoints as they are (seen with 0.12), so OpenOCD gets a chance to clean up;
    one whose USB transfer hangs sits out any patience.
    """

    shutdown_s: float = 1.0
    term_s: float = 3.0
    kill_s: float = 2.0


@dataclass(frozen=True, slots=True)
class Shutdown:
    """Ask OpenOCD to end itself: `shutdown` over its Tcl port, with a last word for its log."""

    tcl: Endpoint


@dataclass(frozen=True, slots=True)
class Signals:
    """Send these signals, by their names without SIG, in this order."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Done:
    """The eviction is over."""

    how: How
    text: str


Action = Shutdown | Signals | Done


class Seen(Enum):
    """What became of a step."""

    EXITED = "exited"
    RELEASED = "released"
    FAILED = "failed"
    TIME_UP = "time-up"
    REFUSED = "refused"
    IN_USE = "in-use"


@dataclass(frozen=True, slots=True)
class Ending:
    """An eviction under way: the step being waited for, until when, and the steps still to come."""

    holder: Holder
    current: How
    deadline: float
    action: Action
    to_come: tuple[tuple[How, float, Action], ...] = ()


def begin(holder: Holder, patience: Patience, now: float) -> Ending:
    """Return the first step of ending this holder; its `action` is to be carried out at once."""
    term = Signals(("TERM", "CONT") if holder.state in "Tt" else ("TERM",))
    steps: list[tuple[How, float, Action]] = [(How.TERM, patience.term_s, term)]
    steps.append((How.KILL, patience.kill_s, Signals(("KILL",))))
    if _polite(holder) and holder.ports.tcl:
        steps.insert(0, (How.SHUTDOWN, patience.shutdown_s, Shutdown(holder.ports.tcl)))
    return _next(holder, steps, now)


def _polite(holder: Holder) -> bool:
    answers = holder.tcl_answers is not False and holder.state not in "Tt"
    return holder.kind == tools.OPENOCD.kind and answers and holder.same_namespace is not False


def _next(holder: Holder, steps: Sequence[tuple[How, float, Action]], now: float) -> Ending:
    how, patience, action = steps[0]
    return Ending(holder, how, now + patience, action, tuple(steps[1:]))


def advance(ending: Ending, seen: Seen, now: float, text: str = "") -> Ending:
    """Return the eviction after a step came out as `seen`; its `action` is the next thing to do, or `Done`.

    `text` is the reason of a refusal (another process has the PID now, no right to signal, somebody uses it, …).
    """
    match seen:
        case Seen.EXITED:
            return _done(ending, ending.current, text or f"{ending.holder.name} ended by {_word(ending.current)}")
        case Seen.RELEASED:
            return _done(ending, ending.current, text or f"{ending.holder.name} has let go of the probe")
        case Seen.REFUSED:
            return _done(ending, How.REFUSED, text or "refused")
        case Seen.IN_USE:
            return _done(ending, How.LEFT, text)
        case Seen.FAILED | Seen.TIME_UP if ending.to_come:
            return _next(ending.holder, ending.to_come, now)
        case Seen.FAILED | Seen.TIME_UP:
            return _done(ending, How.REFUSED, "SIGKILL did not end it: it is stuck in the kernel; replug the probe")


def _done(ending: Ending, how: How, text: str) -> Ending:
    return replace(ending, action=Done(how, text), to_come=())


def _word(how: How) -> str:
    return "Tcl shutdown" if how is How.SHUTDOWN else f"SIG{how.value.upper()}"
