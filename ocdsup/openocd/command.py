"""The command line of one OpenOCD run, and the Tcl asked of it later. The only place that spells `reset_config`.

Order matters twice: what a configuration file may override is said again behind it (`bindto`, ports), and `reset_config`
merges per group, so that the last word wins (src/jtag/core.c, handle_reset_config_command; seen with 0.10 … master).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ocdsup.openocd.dialect import Names, Version, names
from ocdsup.openocd.tcl import parse_list, tcl_list, tcl_quote

RESETS = ("run", "halt", "init")
AFTER = ("leave", *RESETS, "hold", "resume")
DEFERRED = "examine deferred"  # the state of a target that nobody has examined yet, as it was told to (target.c, 0.10 … master)
UNDER_RESET = "reset_config srst_only srst_nogate connect_assert_srst"
# An empty gdb-attach body counts as unset and brings `halt` back (0.11+); with ours an attach leaves a running core alone.
# But OpenOCD refuses a GDB while it cannot probe the flash banks (gdb_server.c gdb_new_connection), and many drivers probe a
# halted core only (0.12: rp2040, lpc2000, sam4, xmc4xxx, fm4 ...). A process probes once: what it would do for the first GDB is
# done here before it, and where that fails on a running core, the core stands for the moment that it takes.
_PROBE = (
    "proc ocdsup_probe {t} {set good 1; set i 0; foreach b [flash list] {"  # the target of a bank is told from 0.12
    "if {![dict exists $b target] || [dict get $b target] eq $t} {if {[catch {capture [list flash probe $i]}]} {set good 0}}; "
    "incr i}; return $good}; "
    "proc ocdsup_attach {t} {global ocdsup_probed; "
    'if {[info exists ocdsup_probed($t)] || [$t curstate] ne "running"} {return}; set ocdsup_probed($t) 1; '
    "if {[ocdsup_probe $t]} {return}; $t arp_halt; $t arp_waitstate halted 1000; ocdsup_probe $t; "
    "set was [target current]; targets $t; resume; targets $was}; list"
)
_ATTACH = "foreach _t [target names] {$_t configure -event gdb-attach [list catch [list ocdsup_attach $_t]]}"
# A target file may give a target a port of its own (`-gdb-port 3334`), which would be in the way of our stable one.
_PRIVATE = "foreach _t [target names] {if {[string is integer -strict [$_t cget -gdb-port]]} {$_t configure -gdb-port 0}}; list"
# Who tells an OpenOCD to end means one of his own. The ports that he talks to refuse the plain word; in a procedure, in an
# `after`, or put together from pieces it is known only here. On a signal OpenOCD runs `shutdown` and ends whatever that does
# (0.11+, server.c server_loop; 0.10 only ends): a board's own, and what it has put on master's list, must be found there.
_REFUSAL = "ocdsup: this OpenOCD is supervised; `ocdsup stop` takes it down"
REFUSED = frozenset({_REFUSAL, "in procedure 'shutdown'"})  # what it prints when the command is refused
_NO_END = (
    "if {[llength [info commands ocd_bouncer]] || "  # 0.10, where each command is a procedure
    "![llength [info procs shutdown]] && !([info exists pre_shutdown_commands] && [llength $pre_shutdown_commands])} "
    "{catch {rename shutdown _ocdsup_end}; "
    f"proc shutdown {{args}} {{error {{{_REFUSAL}}}}}}}; list"
)
_SAFE_PATH = re.compile(r"[^{}\\\x00-\x1f]+")


@dataclass(frozen=True, slots=True)
class LaunchProfile:
    """How one run gets to the target.

    `speed_khz` overrides the adapter speed; `after` is the reset behind `init`: `leave` issues none. A start under reset
    must issue one: `init` alone keeps NRST low for ever (0.10 … master). Raises ValueError otherwise. `hold` halts a core that
    runs. `resume` lets a core run that is halted, from its reset vector: what left it halted was mostly a flash tool, and an
    OpenOCD that shuts down behind `program` leaves the registers of its flash loader in it (seen with 0.12).
    `halt` and `hold` are for the targets in `held` only, if any are named: the other ones run.
    """

    under_reset: bool = False
    speed_khz: int | None = None
    after: str = "leave"
    held: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.after not in AFTER:
            raise ValueError(f"after must be one of {', '.join(AFTER)}, not {self.after!r}")
        if self.under_reset and self.after not in RESETS:
            raise ValueError("a start under reset without a reset command leaves the board dead in reset")


@dataclass(frozen=True, slots=True)
class BackendSpec:
    """What the configuration says about one OpenOCD.

    `vid_pid` is `0483:374b` (hexadecimal), `stlink_server_port` selects ST's server on loopback instead of USB (0.12+),
    `gdb_clients` is how many GDB connections each target takes (0.11+),
    `debug` is OpenOCD's `-d` level or None for its default.
    """

    binary: str = "openocd"
    config: tuple[str, ...] = ()
    search: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()
    vid_pid: str | None = None
    serial: str | None = None
    location: str | None = None
    stlink_server_port: int | None = None
    adapter_speed_khz: int | None = None
    debug: int | None = None
    gdb_clients: int = 1


@dataclass(frozen=True, slots=True)
class Ports:
    """OpenOCD's own, private ports; 0 lets the kernel choose (0.11+: the log says which)."""

    gdb: int = 0
    telnet: int = 0
    tcl: int = 0


def argv(spec: BackendSpec, version: Version, profile: LaunchProfile, ports: Ports, token: str) -> list[str]:
    """The full command line; when `token` is echoed (see `parse_ready`), OpenOCD is in its main loop's reach.

    Raises ValueError for port 0 with OpenOCD 0.10, which never says what it got, and for text that Tcl cannot carry.
    """
    known = names(version)
    if not known.announces_ports and 0 in (ports.gdb, ports.telnet, ports.tcl):
        raise ValueError(f"OpenOCD {version} does not print its ports: give it fixed ones")
    line = [spec.binary]
    for directory in spec.search:
        line += ["-s", directory]
    if spec.debug is not None:
        line.append(f"-d{spec.debug}")
    listen = _listen(ports, known)
    line += _commands([listen])
    for path in spec.config:
        # OpenOCD itself builds the text `script {PATH}` (options.c): a brace in the path would be evaluated as Tcl.
        line += ["-f", path] if _SAFE_PATH.fullmatch(path) else ["-c", f"script {tcl_quote(path)}"]
    setup = [*_setup(spec, known, profile), listen, *([_PRIVATE] if known.announces_ports else []), _PROBE, _ATTACH]
    return line + _commands([*setup, *_clients(spec), *_go(profile, token)])


def _clients(spec: BackendSpec) -> list[str]:
    """More than one GDB per target, where the version knows that (target.c, `-gdb-max-connections`)."""
    if spec.gdb_clients == 1:
        return []
    return [f"foreach _t [target names] {{catch {{$_t configure -gdb-max-connections {spec.gdb_clients:d}}}}}"]


def _commands(scripts: Iterable[str]) -> list[str]:
    return [word for script in scripts for word in ("-c", script)]


def _listen(ports: Ports, known: Names) -> str:
    services = {"gdb": ports.gdb, "telnet": ports.telnet, "tcl": ports.tcl}
    return "; ".join(["bindto 127.0.0.1", *(_said(known, name, f"port {port:d}") for name, port in services.items())])


def _said(known: Names, group: str, words: str) -> str:
    """A command of a group as the family knows it. Builds of master from before the groups know only the old name."""
    old = f"{group}_{words}"
    return f"if {{[catch {{{group} {words}}}]}} {{{old}}}" if known.grouped else old


def _setup(spec: BackendSpec, known: Names, profile: LaunchProfile) -> list[str]:
    """Everything between the configuration files and `init`, in the order in which the last word must win."""
    speed = profile.speed_khz or spec.adapter_speed_khz
    return [
        *_probe(spec, known),
        *spec.commands,
        *([f"{known.speed} {speed:d}"] if speed else []),
        _said(known, "gdb", "report_data_abort enable"),
        *([_said(known, "gdb", "report_register_access_error enable")] if known.register_error else []),
        *([_REMEMBER, UNDER_RESET] if profile.under_reset else []),
    ]


def _go(profile: LaunchProfile, token: str) -> list[str]:
    # Without `catch` a reset that fails in a -c ends OpenOCD with exit code 1.
    match profile.after:
        case "leave":
            reset = []
        case "hold":
            reset = [f"{_held_only(profile.held)}; list" if profile.held else f"{_EACH % _HOLD}; list"]
        case "resume":
            reset = [
                f"set _h 0; {_EACH % 'if {[$_t curstate] eq {halted}} {set _h 1}'}; if {{$_h}} {{catch {{reset run}}}}; list"
            ]
        case "halt" if profile.held:
            reset = [f"catch {{reset halt}}; {_others_run(profile.held)}; list"]
        case mode:
            reset = [f"catch {{reset {mode}}}; list"]
    # Until then the board's files may end OpenOCD: when something is badly wrong (target/swj-dp.tcl), or by `program … exit`.
    return ["init", *reset, _NO_END, f'echo "{token} [join [target names]]"']  # master puts each name on a line


_EACH = "foreach _t [target names] {catch {$_t arp_poll}; %s}"
_HOLD = "if {[$_t curstate] ne {halted}} {catch {$_t arp_halt; $_t arp_waitstate halted 1000}}"


def _others_run(held: Sequence[str]) -> str:
    """Tcl that lets every target run that is not named."""
    free = f"[lsearch -exact {tcl_quote(tcl_list(held))} $_t] < 0 && [$_t curstate] eq {{halted}}"
    back = "targets $_c"
    return f"set _c [target current]; {_EACH % f'if {{{free}}} {{targets $_t; catch {{resume}}}}'}; {back}"


def _held_only(held: Sequence[str]) -> str:
    """Tcl that halts the named targets; another one that is halted was left so by a flash tool, as for `resume`."""
    names = tcl_quote(tcl_list(held))
    free = f"[lsearch -exact {names} $_t] < 0"
    look = _EACH % f"if {{{free} && [$_t curstate] eq {{halted}}}} {{set _h 1}}"
    hold = f"foreach _t {names} {{catch {{$_t arp_poll}}; {_HOLD}}}"
    return f"set _h 0; {look}; if {{$_h}} {{catch {{reset halt}}; {_others_run(held)}}} else {{{hold}}}"


def pins(spec: BackendSpec, version: Version) -> list[str]:
    """Tcl that selects the spec's probe and no other; to be run behind the configuration files and before `init`."""
    return _probe(spec, names(version))


def _first_of(attempts: Sequence[str], refusal: str | None) -> str:
    """Tcl that tries commands until one is accepted; none at all is an error that says `refusal`, or nothing."""
    script = f"error {tcl_quote(refusal)}" if refusal else "list"
    for attempt in reversed(attempts):
        script = f"if {{[catch {{{attempt}}}]}} {{{script}}}"
    return f"{script}; list"


def _probe(spec: BackendSpec, known: Names) -> list[str]:
    """Which probe. A serial that cannot be set is an error: OpenOCD would silently take the first probe it finds."""
    scripts: list[str] = []
    if spec.stlink_server_port is not None:
        backend = [f"{name} tcp {spec.stlink_server_port:d}" for name in _BACKENDS]
        scripts.append(_first_of(backend, "ocdsup: this adapter driver has no ST-LINK server backend"))
    if spec.vid_pid and spec.stlink_server_port is None:
        vid, pid = (int(part, 16) for part in spec.vid_pid.split(":"))
        scripts.append(_first_of([f"{name} 0x{vid:04x} 0x{pid:04x}" for name in known.vid_pid], None))
    if spec.serial:
        serial = tcl_quote(spec.serial)
        scripts.append(_first_of([f"{name} {serial}" for name in known.serial], _NO_SERIAL))
    if spec.location and spec.stlink_server_port is None:
        location = tcl_quote(spec.location)
        refusal = None if spec.serial else _NO_LOCATION
        scripts.append(_first_of([f"{name} {location}" for name in known.location], refusal))
    return scripts


_NO_SERIAL = "ocdsup: this adapter driver cannot select a probe by serial"
_NO_LOCATION = "ocdsup: this adapter driver cannot select a probe by USB location"
# The HLA driver and the direct driver each have their own name for it, and only the selected driver's exists.
_BACKENDS = ("st-link backend", "hla_stlink_backend", "hla stlink_backend")

# `reset_config` without arguments tells the signals first; the modes are told only while SRST is among the signals.
_REMEMBER = (
    "set _ocdsup_signals [lindex [capture {reset_config}] 0]; reset_config srst_only; "
    "set _ocdsup_modes [lrange [capture {reset_config}] 1 end]; list"
)


def parse_ready(text: str, token: str) -> tuple[str, ...] | None:
    """The target names from the echoed readiness line, None for any other line."""
    head, _, rest = text.partition(" ")
    return tuple(parse_list(rest)) if head == token else None


# Asked over Tcl while OpenOCD runs --------------------------------------------------------------------------------


def restore_reset_config() -> str:
    """Tcl that puts the board's own reset_config back after a start under reset: under reset to get in, never to stay."""
    return "if {[info exists ::_ocdsup_signals]} {eval reset_config $::_ocdsup_signals $::_ocdsup_modes}; list"


# An OpenOCD that died in a step has left C_STEP in DHCSR. The next one finds the core halted and does not clear that bit (only
# cortex_m_clear_halt does, when it sees a core stop), so its first resume is a step: seen with 0.12 dap-direct. As the core is
# halted here, C_HALT|C_DEBUGEN (ARMv7-M ARM, C1.6.2) changes nothing else; the poll makes OpenOCD read the register again.
_FORGET_STEP = (
    "if {[$_t cget -type] eq {cortex_m} && [$_t curstate] eq {halted}} {catch {$_t mww 0xE000EDF0 0xA05F0003; $_t arp_poll}}"
)


# A poll is needed: under HLA `curstate` alone says `running` of a dead target for ever (seen with 0.12). A target whose
# examination is deferred until somebody asks for it (`-defer-examine`) cannot be polled, and nothing is wrong with it.
# A mem_ap has no core; its polls succeed and its state is `running` without a word to the board (mem_ap.c mem_ap_poll, 0.12).
# Nor has a target behind a TAP that is disabled, which OpenOCD leaves alone until something enables it (ICEPick, SJC).
_POLL = (
    f"set _c [expr {{[catch {{$_t arp_poll}}] && [$_t curstate] ne {{{DEFERRED}}}}}]; "
    "set _off 0; catch {set _off [expr {[using_jtag] && ![jtag tapisenabled [$_t cget -chain-position]]}]}; "
    "if {$_off || [$_t cget -type] eq {mem_ap}} {set _c 2}"
)


def verify_cores() -> str:
    """Tcl that polls every target now: a list of name, code and state, for `parse_cores`. The code is 0 if it answered."""
    each = f"{_POLL}; {_FORGET_STEP}; lappend _ocdsup_l $_t $_c [$_t curstate]"
    return f"set _ocdsup_l {{}}; foreach _t [target names] {{{each}}}; set _ocdsup_l"


def look_at_cores(examine: Sequence[str], token: str) -> str:
    """Tcl that prints what `verify_cores` answers, after an examination of the named targets, which resets nothing.

    It is repeated every few seconds beside somebody's debug session, so OpenOCD's log, which reaches that user's console, says
    nothing about it (see `core_states`), and the targets that are well are only polled, as OpenOCD does itself. `arp_examine`
    alone runs none of the events around it (startup.tcl does); one that fails leaves the target unexamined, and so OpenOCD 0.12
    neither polls it nor lets a GDB in. The first poll behind one that succeeds finds the reset that the core came out of
    (S_RESET_ST), the second one its state.
    """
    names = tcl_quote(tcl_list(examine))
    events = {name: f"catch {{$_t invoke-event examine-{name}}}" for name in ("start", "fail", "end")}
    well = f"{events['end']}; catch {{$_t arp_poll}}"
    each = f"{events['start']}; if {{[catch {{$_t arp_examine}}]}} {{{events['fail']}}} else {{{well}}}"
    poll = f"{_POLL}; lappend _ocdsup_l $_t $_c [$_t curstate]"
    script = f"foreach _t {names} {{{each}}}; foreach _t [target names] {{{poll}}}"
    quiet = "set _ocdsup_v 2; catch {set _ocdsup_v [lindex [capture {debug_level}] end]}; debug_level -3"
    told = f'puts "{token} $_ocdsup_l"'
    return f"catch {{set _ocdsup_l {{}}; {quiet}; catch {{{script}}}; debug_level $_ocdsup_v; {told}}}; list"


def core_states(token: str) -> str:
    """Tcl that prints the states that OpenOCD's own polling found last: a line with the token and a list for `parse_cores`.

    Printed, and with nothing as its result: OpenOCD logs every result of the Tcl port that is not empty, and the log goes to
    each GDB whose core runs.
    """
    each = "foreach _t [target names] {lappend _ocdsup_l $_t 0 [$_t curstate]}"
    return f'catch {{set _ocdsup_l {{}}; {each}; puts "{token} $_ocdsup_l"}}; list'


def parse_states(text: str, token: str) -> tuple[Core, ...] | None:
    """The cores of a line printed by `core_states` or `look_at_cores`, None for any other line. Raises ProtocolError."""
    head, _, rest = text.partition(" ")
    return parse_cores(rest) if head == token else None


@dataclass(frozen=True, slots=True)
class Core:
    """One target as OpenOCD sees it now: `state` is unknown, running, halted, reset, debug-running or DEFERRED.

    Without a `core` (a mem_ap, or a disabled TAP) it says nothing about the board.
    """

    target: str
    answers: bool
    state: str
    core: bool = True


def parse_cores(text: str) -> tuple[Core, ...]:
    """Read the answer to `verify_cores`. Raises ProtocolError when it is no Tcl list."""
    words = parse_list(text)
    return tuple(Core(*_core(words[at : at + 3])) for at in range(0, len(words) - 2, 3))


def _core(words: list[str]) -> tuple[str, bool, str, bool]:
    return words[0], words[1] != "1", words[2], words[1] != "2"


def examine() -> str:
    """Tcl that examines every target again, the mildest cure: a running core keeps running. It fails when all of them do."""
    each = "if {[catch {$_t arp_examine allow-defer} _m]} {set _bad $_m} else {incr _good}"
    return f"set _good 0; set _bad {{}}; foreach _t [target names] {{{each}}}; if {{!$_good}} {{error $_bad}}"


def without_gdb() -> str:
    """Tcl for the targets that are meant to have no GDB server; a mem_ap is one by itself (0.12 mem_ap.c).

    Of the others that have none each is in a group with one that has (`target smp`): OpenOCD has one server for a group.
    """
    off = "[$_t cget -gdb-port] eq {disabled} || [$_t cget -gdb-max-connections] eq {0}"
    return f"set _ocdsup_l {{}}; foreach _t [target names] {{catch {{if {{{off}}} {{lappend _ocdsup_l $_t}}}}}}; set _ocdsup_l"


def halt(target: str) -> str:
    """Tcl that halts one target, and fails when it is not halted after 1 s."""
    name = tcl_quote(target)
    return f"{name} arp_halt; {name} arp_waitstate halted 1000"


def resume(target: str) -> str:
    """Tcl that lets one target run on from where it stands, leaving the current target of the console as it was."""
    back = "targets $_ocdsup_c; if {$_ocdsup_e} {error $_ocdsup_m}"
    select = tcl_list(["targets", target])
    return f"set _ocdsup_c [target current]; {select}; set _ocdsup_e [catch {{resume}} _ocdsup_m]; {back}"


def reset(mode: str) -> str:
    """Tcl for `reset run`, `reset halt` or `reset init`. Raises ValueError for another mode."""
    if mode not in RESETS:
        raise ValueError(f"no reset mode {mode!r}")
    return f"reset {mode}"


def notify() -> str:
    """Tcl that switches the notifications of this connection on (0.9 and newer): by master's name, else by the old one."""
    return "if {[catch {tcl notifications on}]} {tcl_notifications on}"
