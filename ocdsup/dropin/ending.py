"""Does a command line end OpenOCD by itself? Told from the text alone, of `-c` and of the files it reads.

Three answers. It does: `shutdown`, `exit`, `program … exit` as a statement of its own. It does not: no such word stands where
it could be run. It may: the word stands in a branch, a loop, a procedure that is called, or the text is computed. Only OpenOCD
can decide the last, so the real one runs first, and the server comes only if it got to the end of the command line.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from ocdsup.dropin import tcl_text
from ocdsup.dropin.arguments import Item, Kind
from ocdsup.dropin.commands import Statement, What, ends, statements

DEPTH = 8  # files that source files
DEFAULT_FILE = (
    "openocd.cfg"  # what OpenOCD reads when neither -f nor -c is given (options.c, configuration.c parse_config_file)
)
_WORD = re.compile(r"[\w./:\\-]+")
_ENDS = frozenset({"shutdown", "exit"})
_FILE_WORK = re.compile(
    r"program|program_esp\w*|(?:write|verify|read)_(?:image|bank)|(?:load|fast_load|verify|test|dump)_image\w*|bootstrap|x?svf"
)
_SOURCED = re.compile(r"""(?<![\w-])(?:source|script)\s+(?:\[\s*find\s+)?["{]?([^\]\s"};]+)""")
_RUNS = frozenset({"if", "catch", "eval", "foreach", "for", "while", "uplevel", "after", "switch", "time", "try", "capture"})
_EVALUATES = frozenset({"eval", "uplevel", "subst", "source", "script"})
# Procedures that OpenOCD itself calls, when a configuration defines them (startup.tcl of src/helper, src/jtag, src/target).
_CALLED = frozenset(
    {
        "init_targets",
        "init_target_events",
        "init_board",
        "jtag_init",
        "init_reset",
        "ocd_process_reset",
        "ocd_process_reset_inner",
        "power_restore",
        "power_dropout",
        "srst_asserted",
        "srst_deasserted",
    }
)
_OF_TARGETS = re.compile(r"configure|cget|curstate|state|invoke-event|event\w*|arp_\w+|m[dw][bhwd]|\w*array\w*|\w+_memory")


@dataclass(frozen=True, slots=True)
class FileText:
    """A configuration file as it was found; `text` is None for one that cannot be read, or is no plain file.

    `proven`: it belongs to OpenOCD's own scripts, or the bench's own OpenOCD has read it and lives. Their procedures may end
    OpenOCD when something is badly wrong (target/swj-dp.tcl), so only what such a file does outright counts.
    """

    text: str | None
    proven: bool = False


def flat(items: Sequence[Item], files: Mapping[str, FileText]) -> list[Statement]:
    """Return all statements in the order in which OpenOCD meets them, those of sourced files in their place."""
    if not any(item.kind in {Kind.FILE, Kind.COMMAND} for item in items) and DEFAULT_FILE in files:
        items = [*items, Item(Kind.FILE, DEFAULT_FILE)]
    found = list[Statement]()
    for item in items:
        if item.kind is Kind.COMMAND:
            found += _with_files(statements(item.text), files, ())
        elif item.kind is Kind.FILE:
            found += _of_file(item.text, files, ())
    return found


def _with_files(some: Iterable[Statement], files: Mapping[str, FileText], within: tuple[str, ...]) -> Iterator[Statement]:
    for one in some:
        yield one
        if one.what is What.FILE:
            yield from _of_file(one.value, files, within)


def _of_file(name: str, files: Mapping[str, FileText], within: tuple[str, ...]) -> list[Statement]:
    file = files.get(name)
    if file is None or name in within:
        return []
    if file.text is None or len(within) > DEPTH:
        return [Statement(f"script {name}", ("script", name), What.DOUBT, origin=name)]
    inner = statements(file.text, name)
    if file.proven:
        return [one for one in inner if ends(one)]
    return list(_with_files(inner, files, (*within, name)))


def sourced(text: str) -> list[str]:
    """Return the names of all files that a text sources somewhere."""
    return _SOURCED.findall(_without_comments(text))


@dataclass(frozen=True, slots=True)
class Dangers:
    """Words that may end OpenOCD, and words that work on files: the commands, and the procedures that use them."""

    ends: frozenset[str] = _ENDS
    files: frozenset[str] = frozenset()

    def of(self, text: str) -> bool:
        """Whether one of them stands in a text."""
        return _mentions(text, self.ends) or self.files_of(text)

    def files_of(self, text: str) -> bool:
        """Whether a text works on files."""
        return any(_FILE_WORK.fullmatch(word) or word in self.files for word in _spoken(text))


def _spoken(text: str) -> Iterator[str]:
    return (word.removeprefix("::") for word in _WORD.findall(_without_comments(text)))


def _without_comments(text: str) -> str:
    return re.sub(r"(?m)^\s*#.*$", "", text)


def _mentions(text: str, names: frozenset[str]) -> bool:
    return not names.isdisjoint(_spoken(text))


def dangers(some: Sequence[Statement]) -> Dangers:
    """Return the dangerous words of a command line: a procedure is one if its body names one, however deep."""
    bodies = {one.words[1]: one.text.partition(one.words[1])[2] for one in some if _is_proc(one)}
    found = Dangers()
    while True:
        more = Dangers(
            found.ends | {name for name, body in bodies.items() if _mentions(body, found.ends)},
            found.files | {name for name, body in bodies.items() if found.files_of(body)},
        )
        if more == found:
            return found
        found = more


def _is_proc(one: Statement) -> bool:
    return one.words[:1] == ("proc",) and len(one.words) == 4


def doubtful(one: Statement, known: Dangers, files: Mapping[str, FileText]) -> bool:
    """Whether a statement may end OpenOCD, or work on files, out of sight, or cannot be read at all."""
    if one.what in {What.ECHO, What.END, What.FILE_WORK}:
        return False
    if one.what is What.PARTING:
        return known.of(one.value)
    if _is_proc(one):
        return one.words[1] in _CALLED and known.of(one.text)
    if not _is_closed(one.text):
        return True
    name = one.words[0]
    if one.what is What.FILE:
        return bool(one.origin) and files.get(one.value, FileText(None)).text is None
    if any(not files.get(file, FileText(None)).proven for file in sourced(one.text)):
        return True
    if name in _EVALUATES and any(mark in one.text for mark in "$["):
        return True
    return known.of(one.text) or bool(one.origin and _computed(one))


def _is_closed(text: str) -> bool:
    try:
        tcl_text.commands(text)
    except tcl_text.OpenGroupError:
        return False
    return True


def _computed(one: Statement) -> bool:
    """Whether the command itself is computed, other than a target's own by its name in a variable: `$_TARGETNAME configure`."""
    name = one.words[0]
    if not name.startswith(("$", "[", "{*}")):
        return False
    return not (name.startswith("$") and len(one.words) > 1 and _OF_TARGETS.fullmatch(one.words[1]))


def later(one: Statement, known: Dangers) -> bool:
    """Whether a statement has OpenOCD end itself a little later: `after 100 shutdown`."""
    return _mentions(one.text, frozenset({"after"})) and not _is_proc(one) and _mentions(one.text, known.ends)


def tells_end(script: str) -> bool:
    """Whether a command that a client sends would end OpenOCD, if all its branches are taken: on a port `exit` does not."""
    try:
        return any(map(_runs_end, tcl_text.commands(script)))
    except tcl_text.OpenGroupError:
        return False  # Jim refuses it too


def _runs_end(command: tcl_text.Command) -> bool:
    name, *others = (word.text for word in command.words)
    if name.removeprefix("::") == "shutdown":
        return True
    inner = [text for word in command.words if not word.literal for text in tcl_text.substituted(word.text)]
    return any(map(tells_end, [*inner, *(others if name in _RUNS else [])]))


def marked(some: Iterable[Statement], known: Dangers, files: Mapping[str, FileText]) -> list[Statement]:
    """Return the statements, those that are doubtful as such."""
    return [replace(one, what=What.DOUBT) if doubtful(one, known, files) else one for one in some]
