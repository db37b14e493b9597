"""Becomes a program under the unit's system call filter: `python filtered.py COMMAND …`. What is forbidden ends it (SIGSYS).

The rules are made as systemd makes them, by libseccomp, from the unit's own lines and from the sets of this machine's systemd.
Not in it: what is no filter (capabilities, namespaces, devices); a real boot is under all of it (`guest.py`).
"""

from __future__ import annotations

import ctypes
import os
import re
import subprocess
import sys
from pathlib import Path
from socket import AddressFamily

UNIT = Path(__file__).parents[2] / "systemd/ocdsup.service"
KILL, ALLOW = 0x80000000, 0x7FFF0000  # SCMP_ACT_KILL_PROCESS, SCMP_ACT_ALLOW (seccomp.h of libseccomp)
EQUAL, MASKED_EQUAL = 4, 7  # SCMP_CMP_EQ, SCMP_CMP_MASKED_EQ
PROT_WRITE, PROT_EXEC = 2, 4
AF_MAX = 46  # linux/socket.h


class Compare(ctypes.Structure):
    """`struct scmp_arg_cmp`: which argument, how, with what."""

    _fields_ = (("arg", ctypes.c_uint), ("op", ctypes.c_int), ("a", ctypes.c_uint64), ("b", ctypes.c_uint64))


def values(key: str) -> list[str]:
    """What the unit says for a key, in order."""
    return re.findall(rf"^{key}=(.*)$", UNIT.read_text(encoding="utf-8"), flags=re.MULTILINE)


def calls(name: str) -> set[str]:
    """A system call, or all of a set, with the sets in it."""
    if not name.startswith("@"):
        return {name}
    argv = ["systemd-analyze", "syscall-filter", name]
    said = subprocess.run(argv, capture_output=True, text=True, check=True).stdout.splitlines()[1:]
    members = [line.strip() for line in said if line.strip() and not line.strip().startswith("#")]
    return set().union(*map(calls, members))


def allowed() -> set[str]:
    """The list of the unit: the first line allows, one with `~` takes away, another gives back (systemd.exec(5))."""
    names = calls("@default")
    for line in values("SystemCallFilter"):
        words = set().union(*map(calls, line.removeprefix("~").split()))
        names = names - words if line.startswith("~") else names | words
    return names


def forbidden() -> list[tuple[str, Compare]]:
    """Calls that are allowed, but not so: sockets of other families, memory that can be written and run."""
    (families,) = values("RestrictAddressFamilies")
    assert values("MemoryDenyWriteExecute") == ["yes"]
    wrong = set(range(AF_MAX)) - {int(AddressFamily[name]) for name in families.split()}
    both = PROT_WRITE | PROT_EXEC
    return [
        *(("socket", Compare(0, EQUAL, family, 0)) for family in sorted(wrong)),
        ("mmap", Compare(2, MASKED_EQUAL, both, both)),
        ("mprotect", Compare(2, MASKED_EQUAL, PROT_EXEC, PROT_EXEC)),
    ]


class Filter:
    """A filter of libseccomp for this process and its children."""

    def __init__(self, otherwise: int) -> None:
        self._library = ctypes.CDLL("libseccomp.so.2", use_errno=True)
        self._library.seccomp_init.restype = ctypes.c_void_p
        self._context = ctypes.c_void_p(self._library.seccomp_init(ctypes.c_uint32(otherwise)))

    def add(self, action: int, name: str, *conditions: Compare) -> None:
        """A rule; a call that this machine does not have (another architecture's, a newer kernel's) is passed over."""
        number = self._library.seccomp_syscall_resolve_name(name.encode())
        if number < 0:
            return
        array = (Compare * len(conditions))(*conditions)
        count = ctypes.c_uint(len(conditions))
        self._check(self._library.seccomp_rule_add_array(self._context, ctypes.c_uint32(action), number, count, array))

    def load(self) -> None:
        """From here on it counts."""
        self._check(self._library.seccomp_load(self._context))

    def _check(self, result: int) -> None:
        if result < 0:
            raise OSError(-result, os.strerror(-result))


def main(command: list[str]) -> None:
    """Take both filters on and become the program."""
    conditions, names = Filter(ALLOW), Filter(KILL)
    for name, condition in forbidden():
        conditions.add(KILL, name, condition)
    for name in sorted(allowed()):
        names.add(ALLOW, name)
    conditions.load()
    names.load()
    os.execvp(command[0], command)


if __name__ == "__main__":
    main(sys.argv[1:])
