"""Runs inside GDB: does what each line of stdin says, as often as it says, and answers with the seconds it took."""

# ruff: noqa: T201  (its parent reads it)

import json
import os
import sys
from time import perf_counter

import gdb  # type: ignore[import-untyped]  # exists only inside GDB


def execute(text: str) -> None:
    """One command of a user, without its output."""
    gdb.execute(text, to_string=True)


def main() -> None:
    """Get ready as the parent says, obey."""
    for setting in ("pagination off", "confirm off", "height 0", "remotetimeout 30"):
        execute(f"set {setting}")
    for command in json.loads(os.environ["PERF_INIT"]):
        execute(command)
    commands = json.loads(os.environ["PERF_COMMANDS"])
    print("@ready", flush=True)
    for line in sys.stdin:
        name, count = line.split()
        began = perf_counter()
        for _ in range(int(count)):
            execute(commands[name])
        print(f"@{perf_counter() - began:.9f}", flush=True)


main()
