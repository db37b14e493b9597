"""GDB's own tests: its source from the Debian package, DejaGnu's `runtest` on our boards, and the results of a run.

Nothing of the system is changed: apt is given lists and a cache of its own, so that it needs no root either.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
STATUS = re.compile(
    r"^(PASS|FAIL|KPASS|KFAIL|XPASS|XFAIL|UNRESOLVED|UNTESTED|UNSUPPORTED|DUPLICATE|PATH|ERROR): (.*)$", re.MULTILINE
)
APT_SOURCES = Path("/etc/apt")

LONGEST_S = 1800.0  # a run on an idle machine takes a few minutes

# Tests of what passes a remote connection, chosen for being steady on a busy machine and quick. Left out although they are
# about remote targets:
# - those that fail or wait out time limits without the front as well, because gdbserver's programs have no terminal of GDB's;
# - those of GDB/MI on the extended board, which fail there without the front as well;
# - those that compare speeds.
REMOTE = """
gdb.base/break commands condbreak consecutive display dump ena-dis-br ending-run finish hbreak hbreak2
gdb.base/kill-after-signal long_long longjmp memattr nextoverexit recurse remote restore return2 scope setvar
gdb.base/sigbpt siginfo signals step-test store structs2 until value-double-free
gdb.base/watch-cond watch-read watchpoint watchpoint-hw-hit-once
gdb.mi/mi-exit-code mi-nonstop mi-nonstop-exit mi-simplerun mi-var-cmd mi-watch
gdb.mi/mi-basics mi-break mi-break-qualified mi-catch-load mi-cli mi-cmd-user-context mi-console mi-detach mi-disassemble
gdb.mi/mi-dprintf mi-eval mi-ns-stale-regcache mi-nsmoribund mi-nsthrexec mi-pthreads mi-read-memory mi-reg-undefined
gdb.mi/mi-return mi-solib mi-stack mi-stepi mi-syn-frame mi-threads-interrupt mi-until mi-var-block mi-var-child
gdb.mi/mi-var-display mi-watch-nonstop
gdb.python/py-breakpoint py-connection py-connection-removed py-finish-breakpoint py-frame py-inferior py-infthread
gdb.python/py-recurse-unwind py-send-packet py-shared py-thrhandle
gdb.server/abspath attach-flag connect-stopped-target connect-with-no-symbol-file connect-without-multi-process
gdb.server/exit-multiple-threads ext-attach ext-restart ext-run ext-wrapper extended-remote-restart file-transfer
gdb.server/monitor-exit-quit no-thread-db non-existing-program reconnect-ctrl-c
gdb.server/run-without-local-binary server-connect server-exec-info server-mon
gdb.server/server-run solib-list stop-reply-no-thread stop-reply-no-thread-multi sysroot twice-connect wrapper
"""
EXTENDED = """
gdb.base/break commands ending-run finish kill-after-signal long_long nextoverexit recurse return2 scope
gdb.base/setvar step-test watch-cond
"""
# They kill gdbserver for good and want GDB's connection to end at once. A front that waits for another gdbserver, which is what
# it is for, ends it later: 12 of their 45 results then fail, most by time limits. With `--wait 0` all are the same.
ENDS = """
gdb.server/multi-ui-errors server-kill server-kill-python
"""


@dataclass(frozen=True)
class Slice:
    """Some of GDB's tests, as a table, on one of our boards, with these options of the front."""

    board: str
    table: str
    options: str = ""


SLICES = {
    "remote": Slice("ocdsup-remote", REMOTE),
    "extended": Slice("ocdsup-extended", EXTENDED),
    "ends": Slice("ocdsup-remote", ENDS, "--wait 0"),
}


class SuiteError(Exception):
    """The tests cannot be fetched or run; the text says why and what to do."""


def scripts(table: str) -> list[str]:
    """The `.exp` files of a table above."""
    found: list[str] = []
    for line in table.split("\n"):
        folder, _, names = line.partition("/")
        found += [f"{folder}/{name}.exp" for name in names.split()]
    return found


# ---- source ----


def cache() -> Path:
    """Where the source is kept from one run to the next."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "ocdsup" / "gdb-source"


def testsuite(folder: Path) -> Path:
    """The folder `gdb/testsuite` of the installed GDB's own source; fetched when it is missing. Raises SuiteError."""
    version = _run(["dpkg-query", "-W", "-f", "${source:Version}", "gdb"], folder.parent, "install gdb: `apt-get install gdb`")
    home = folder / version.replace(":", "_")
    if found := sorted(home.glob("tree/*/gdb/testsuite/lib/gdb.exp")):
        return found[0].parents[1]
    home.mkdir(parents=True, exist_ok=True)
    archive = _fetch(home, version)
    tree = home / "tree.new"
    shutil.rmtree(tree, ignore_errors=True)
    tree.mkdir()
    _run(["tar", "--extract", "--file", str(archive), "--directory", str(tree), "--wildcards", "*/gdb/testsuite/*"], home)
    shutil.rmtree(home / "tree", ignore_errors=True)
    tree.rename(home / "tree")
    return testsuite(folder)


def _fetch(home: Path, version: str) -> Path:
    if found := sorted(home.glob("gdb_*.orig.tar.*z*")):
        return found[0]
    parts, lists, archives = home / "apt", home / "lists", home / "archives"
    for made in (parts, lists / "partial", archives / "partial"):
        made.mkdir(parents=True, exist_ok=True)
    _source_entries(parts)
    options = {
        "Dir::Etc::sourcelist": "/dev/null",
        "Dir::Etc::sourceparts": parts,
        "Dir::State::lists": lists,
        "Dir::Cache": archives,
    }
    apt = ["apt-get", "-qq", *(word for name, value in options.items() for word in ("-o", f"{name}={value}"))]
    advice = f"GDB's source comes from the Debian archive; without a network put gdb_*.orig.tar.* of gdb {version} into {home}"
    _run([*apt, "update"], home, advice)
    _run([*apt, "source", "--download-only", f"gdb={version}"], home, advice)
    return next(iter(sorted(home.glob("gdb_*.orig.tar.*z*"))))


def _source_entries(parts: Path) -> None:
    """Ask for sources wherever this machine gets its packages from."""
    more = [file for kind in ("list", "sources") for file in APT_SOURCES.glob(f"sources.list.d/*.{kind}")]
    for file in (APT_SOURCES / "sources.list", *more):
        if file.exists():
            text = re.sub(r"^Types:.*$", "Types: deb-src", file.read_text(), flags=re.MULTILINE)
            (parts / file.name).write_text(re.sub(r"^deb ", "deb-src ", text, flags=re.MULTILINE))


def _run(argv: list[str], folder: Path, advice: str = "") -> str:
    folder.mkdir(parents=True, exist_ok=True)
    try:
        done = subprocess.run(
            argv, cwd=folder, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=600, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SuiteError(f"cannot run {argv[0]}: {error}; {advice}") from error
    if done.returncode:
        raise SuiteError(f"`{' '.join(argv)}` failed: {done.stderr.strip()[-500:]}; {advice}")
    return done.stdout.strip()


# ---- runs ----


def run(suite: Path, folder: Path, part: Slice, *, front: bool, tests: list[str]) -> Counter[str]:
    """Run tests on a board, with or without the front; returns each result and how often it came. Raises SuiteError."""
    folder.mkdir(parents=True)
    environment = dict(os.environ, DEJAGNU=str(HERE / "site.exp"), LC_ALL="C", TERM="dumb")
    environment.pop("OCDSUP_FRONT", None)
    if front:
        environment["OCDSUP_FRONT"] = f"{sys.executable} -m ocdsup front {part.options}".rstrip()
    where = ["--srcdir", str(suite), "--objdir", str(folder), "--target_board", part.board]
    argv = ["runtest", "--tool", "gdb", *where, "GDB=gdb", *tests]
    with (folder / "runtest.out").open("wb") as out:
        try:
            subprocess.run(
                argv,
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                timeout=LONGEST_S,
                check=False,
            )
        except OSError as error:
            raise SuiteError(f"cannot run DejaGnu: {error}; `apt-get install dejagnu`") from error
    text = (folder / "gdb.sum").read_text(errors="replace").replace(str(folder), "FOLDER")
    return Counter(f"{status}: {name}" for status, name in STATUS.findall(text))


def summary(results: Counter[str]) -> str:
    """How many of each kind."""
    kinds = Counter[str]()
    for line, count in results.items():
        kinds[line.partition(":")[0]] += count
    return ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))


def differences(direct: Counter[str], through: Counter[str]) -> list[str]:
    """What came out otherwise: `-` without the front only, `+` with it only."""
    gone = [f"- {line}" for line in direct - through]
    new = [f"+ {line}" for line in through - direct]
    return sorted([*gone, *new], key=lambda line: line[2:])


def compare(name: str, folder: Path) -> tuple[Counter[str], list[str]]:
    """Run a slice both ways in a new folder; returns the results without the front, and what differs.

    A test with a difference is run again on its own, both ways: on a busy machine only what differs again is the front's doing.
    Raises SuiteError.
    """
    suite = testsuite(cache())
    part = SLICES[name]
    tests = scripts(part.table)
    if missing := [test for test in tests if not (suite / test).exists()]:
        raise SuiteError(f"this GDB's own tests have no {', '.join(missing)}")  # runtest passes over them without a word
    direct = run(suite, folder / "direct", part, front=False, tests=tests)
    through = run(suite, folder / "through", part, front=True, tests=tests)
    sys.stdout.write(f"{name}: {len(tests)} files; without the front {summary(direct)}; with it {summary(through)}\n")
    first = differences(direct, through)
    again = [test for test in tests if any(test in line for line in first)]
    if not again:
        return direct, first
    direct_again = run(suite, folder / "direct-again", part, front=False, tests=again)
    through_again = run(suite, folder / "through-again", part, front=True, tests=again)
    return direct, differences(direct_again, through_again)


def main() -> int:
    """Run every slice; 1 when something came out otherwise through the front."""
    differing: list[str] = []
    with tempfile.TemporaryDirectory(prefix="ocdsup-gdb-suite-") as folder:
        for name in SLICES:
            differing += compare(name, Path(folder) / name)[1]
    sys.stdout.write("\n".join([*differing, f"{len(differing)} results differ\n"]))
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
