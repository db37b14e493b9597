"""Runs inside GDB: does what each line of stdin says, as often as it says, and answers with the seconds it took."""

# ruff: noqa: T201  (its parent reads it)

import os
import sys
from time import perf_counter

import gdb  # type: ignore[import-untyped]  # exists only inside GDB

SCRATCH = os.environ["PERF_SCRATCH"]


def execute(text: str) -> None:
    """One command of a user, without its output."""
    gdb.execute(text, to_string=True)


def main() -> None:
    """Attach, set one breakpoint as a person would, obey."""
    for setting in ("pagination off", "confirm off", "height 0", "remotetimeout 30"):
        execute(f"set {setting}")
    execute(f"target remote 127.0.0.1:{os.environ['PERF_PORT']}")
    execute("break never")
    execute("tbreak main")
    execute("continue")
    base = int(gdb.parse_and_eval("(unsigned long)&memory"))
    commands = {
        "step": "stepi",
        "dump": f"dump binary memory {SCRATCH}.out {base} {base + (1 << 20)}",
        "restore": f"restore {SCRATCH} binary {base}",
    }
    print("@ready", flush=True)
    for line in sys.stdin:
        name, count = line.split()
        began = perf_counter()
        for _ in range(int(count)):
            execute(commands[name])
        print(f"@{perf_counter() - began:.9f}", flush=True)


main()
