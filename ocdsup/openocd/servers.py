"""Which GDB server of OpenOCD serves which target.

Each target has a server of its own, in the order in which they were made, but one with `-gdb-port disabled` (every mem_ap is)
has none, and a group (`target smp`) has one together: gdb_server.c gdb_target_add_one, 0.10 … master.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence


def served(targets: Sequence[str], ports: Sequence[int], names: Mapping[int, str], without: Collection[str]) -> dict[str, int]:
    """The port of every target that is served, in the order of the targets.

    `names` are the targets that OpenOCD named when it opened `ports`, `without` those that are meant to have no server. A port
    that nobody is named for belongs to the first target that is left. A target without a port is in a group with the last
    one before it that has one: of a group it is the first target that gets the server.
    """
    own = {name: port for port, name in names.items() if port in ports}
    nameless = [port for port in ports if port not in names]
    found: dict[str, int] = {}
    last: int | None = None
    for target in targets:
        if target in without and target not in own:
            continue
        if target in own:
            last = own[target]
        elif nameless:
            last = nameless.pop(0)
        if last is not None:
            found[target] = last
    return found


def places(targets: Mapping[str, int]) -> dict[str, int]:
    """Number the servers from 0 in the order of their targets: each gets that stable port, a group one together."""
    numbers: dict[int, int] = {}
    return {target: numbers.setdefault(port, len(numbers)) for target, port in targets.items()}
