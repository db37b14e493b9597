"""`./dev perf [NAME …]`: runs the benchmarks and prints one table. Ratios within one run; nothing here is a test."""

# ruff: noqa: T201  (the table is the result)

from __future__ import annotations

import compileall
import importlib
import os
import sys
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent.parent


def names() -> list[str]:
    """The benchmarks in the folder."""
    return sorted(path.stem.removeprefix("bench_") for path in HERE.glob("bench_*.py"))


def main(wanted: list[str]) -> int:
    """Run the benchmarks named, or all of them; the exit code is 1 when a goal is missed."""
    unknown = set(wanted) - set(names())
    if unknown:
        print(f"perf: no benchmark {', '.join(sorted(unknown))}; there are {', '.join(names())}", file=sys.stderr)
        return 2
    sys.path.insert(0, str(ROOT))
    compileall.compile_dir(ROOT / "ocdsup", quiet=1)  # as pip does when it installs a package, and the peers' were installed
    print(f"load {os.getloadavg()[0]:.1f}, {os.cpu_count()} CPUs; every value is a ratio or a count within this run")
    missed = 0
    for name in wanted or names():
        for row in importlib.import_module(f"tests.perf.bench_{name}").run():
            print(row, flush=True)
            missed += not row.met
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
