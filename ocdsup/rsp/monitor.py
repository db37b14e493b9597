"""`monitor` lines: which may pass, what they do to the run state, and whose console noise is dropped.

OpenOCD evaluates a `monitor` line in its Tcl interpreter, where `exec` starts programs (gdb_server.c gdb_query_packet): who may
send any line has a shell as OpenOCD's user. `safe` therefore admits only plain words, read as Tcl would read them.
"""

import re

from .settings import commands

OWN_WORD = "ocdsup"

# Everything that makes Tcl do more than pass a word on: substitution, several commands, grouping, continuation.
_ACTIVE = re.compile(r'[\[\];$\\{}"\x00-\x08\x0a-\x1f\x7f]')
_NUMBER = r"(?:0[xX][0-9a-fA-F]+|[0-9]+)"
_OF = r"(?:[\w\-]+\.[\w.\-]+ )?"  # the name of a target; no command has a dot in its name

# A command is admitted when one of these matches the whole line, its words joined by one space.
_SAFE = re.compile(
    "|".join(
        (
            r"reset(?: (?:run|halt|init))?",
            rf"(?:soft_reset_halt|halt|wait_halt)(?: {_NUMBER})?",
            rf"(?:resume|step)(?: {_NUMBER})?",
            r"init",
            r"targets(?: [\w.\-]+)?",
            r"target (?:current|names|types)",
            r"[\w\-]+\.[\w.\-]+ curstate",  # a dot is in the names of targets and in no command's
            rf"reg(?: [\w]+(?: {_NUMBER}| force)?)?",
            rf"md[bhwd](?: phys)? {_NUMBER}(?: {_NUMBER})?",
            rf"(?:bp|wp)(?: {_NUMBER} {_NUMBER}(?: (?:hw|[rwa]))?)?|rbp (?:all|{_NUMBER})|rwp (?:all|{_NUMBER})",
            r"flash (?:banks|list|(?:probe|info|erase_check) \w+)",
            rf"flash (?:erase_sector|protect) \w+ {_NUMBER} (?:last|{_NUMBER})(?: (?:on|off))?",
            rf"flash erase_address(?: pad| unlock)? {_NUMBER} {_NUMBER}",
            rf"rtt (?:setup {_NUMBER} {_NUMBER}(?: [\w ]+)?|start|stop|channels|channellist|polling_interval(?: {_NUMBER})?)",
            rf"{_OF}arm semihosting(?: (?:enable|disable))?",
            rf"{_OF}arm semihosting_(?:fileio|resexit)(?: (?:enable|disable))?",
            rf"{_OF}(?:cortex_m|riscv) (?:vector_catch|maskisr|reset_config)(?: [\w]+)*",
            rf"adapter speed(?: {_NUMBER})?|adapter_khz(?: {_NUMBER})?|adapter name",
            r"poll(?: (?:on|off))?",
            r"gdb_sync|gdb sync",
            r"gdb_breakpoint_override(?: (?:hard|soft|disable))?|gdb breakpoint_override(?: (?:hard|soft|disable))?",
            r"sleep [0-9]{1,4}(?: busy)?",  # ms: OpenOCD serves nobody meanwhile
            r"version|help(?: [\w ]+)?|usage(?: [\w ]+)?|ms",
            r"CD(?:SWOConfigure|RTOSConfigure|LiveWatchSetup)(?: [\w.\-]+)*",
            r"verify_image_checksum|stm32\w* (?:options_read|lock|unlock|mass_erase) \w+",
        )
    )
)

# The name of RTT's control block has a blank in every firmware ("SEGGER RTT"), and is one word.
_RTT = re.compile(rf'[ \t]*rtt[ \t]+setup[ \t]+{_NUMBER}[ \t]+{_NUMBER}[ \t]+(?:"[\w .:\-]+"|\{{[\w .:\-]+\}})[ \t]*')

_REPEATS = re.compile(r"halt|reset(?: (?:run|halt|init))?")

# Console lines of OpenOCD that nobody at a debugger can use: one per single step (HLA), our own connections to the private
# ports, and what it says when a resume is sent to a core that is running already (which a re-attach does on purpose).
_NOISE = re.compile(
    r"(?:Info : )?(?:"
    r"halted: PC: 0x[0-9a-fA-F]+"
    r"|accepting '(?:gdb|tcl|telnet)' connection on \S+"
    r"|dropped '(?:tcl|telnet)' connection(?: .*)?"
    r"|(?:Warn : )?(?:target|\[\S+\])? ?\S* ?was not halted when resume was requested"
    r")\s*"
)

# What a core says that is resumed while it runs (0.12 cortex_m.c and hla_target.c; master names the target). Only as noise of
# a resume: the same words answer a `monitor` command that needs a halted core.
_NOISE_UNASKED = re.compile(r"(?:Warn : |Error: )?(?:target|\[\S+\](?: target)?) not halted\s*")

# What OpenOCD prints when it cannot poll a target, right before it makes up a stop for GDB. Under HLA that stop carries the
# reason of the last true one (T05 after a breakpoint or step, seen with 0.12.0): only these words tell it from a hit.
_TARGET_LOST = re.compile(
    r"jtag status contains invalid mode value|Previous state query failed|Fail reading CTRL/STAT register|TCP error status"
    r"|failed to (?:send|receive) USB CMD|Invalid ACK|STICKY ERROR|Polling target \S+ failed|Examination failed"
)


def words(line: str) -> str:
    """Return a line with its words joined by single spaces, as Tcl separates them."""
    return " ".join(line.split())


def own(line: str) -> str | None:
    """Return what follows our own word in a `monitor` line; None when the line is OpenOCD's."""
    first, _, rest = words(line).partition(" ")
    return rest if first == OWN_WORD else None


def is_safe(line: str) -> bool:
    """Tell whether `safe` admits a line: no active Tcl character, and a command of the list with plain arguments.

    Only ASCII: to Python a no-break space separates words and `①` is a digit, to Tcl both are letters of a name.
    """
    plain = _ACTIVE.search(line) is None and _SAFE.fullmatch(words(line)) is not None
    return line.isascii() and (plain or _RTT.fullmatch(line) is not None)


def leaves_running(line: str) -> bool | None:
    """Tell whether a line lets the core run (True), halts it (False), or neither (None); the last of its commands counts."""
    states = [state for one in _each(line) if (state := _leaves(one)) is not None]
    return states[-1] if states else None


def _each(line: str) -> list[list[str]]:
    """Return the words of each command of a line; of one with words that are no constants, what stands between blanks."""
    found = commands(line)
    return [line.split()] if found is None else [list(command.words) for command in found]


def _leaves(command: list[str]) -> bool | None:
    match command:
        case ["reset"] | ["reset", "run"] | ["resume", *_]:
            return True
        case ["reset", "halt" | "init"] | ["halt" | "soft_reset_halt" | "init" | "step", *_]:
            return False
        case _:
            return None


def resets(line: str) -> bool:
    """Tell whether a line resets the board on the user's own wish."""
    return any(one[:1] in (["reset"], ["soft_reset_halt"]) for one in _each(line))


def repeats(line: str) -> bool:
    """Tell whether a line may be said twice with the effect of once."""
    return _REPEATS.fullmatch(words(line)) is not None


def tells_loss(text: str) -> bool:
    """Tell whether console text of OpenOCD says that the target does not answer."""
    return _TARGET_LOST.search(text) is not None


def tells_stray(text: str) -> bool:
    """Tell whether console text of OpenOCD says that it makes no step, because the core runs."""
    return "was not halted when step was requested" in text  # gdb_server.c, 0.11 to master


def without_noise(text: str, *, asked: bool = False) -> str:
    """Return console text without the lines that are noise; other lines stay as they are. `asked`: by a `monitor` command."""
    lines = text.splitlines(keepends=True)
    noise = (_NOISE,) if asked else (_NOISE, _NOISE_UNASKED)
    kept = [line for line in lines if not line.strip() or not any(one.fullmatch(line) for one in noise)]
    return text if len(kept) == len(lines) else "".join(kept)
