"""From what /proc tells to who holds the probe."""

from dataclasses import replace
from typing import Any

import pytest

from ocdsup.probes.holders import Endpoint, Parent, Process, Socket, Unseen, describe, join

ANY = Endpoint("0.0.0.0", 0)


def listen(port: int, host: str = "127.0.0.1") -> Socket:
    return Socket(port, Endpoint(host, port), ANY, "LISTEN")


def client(port: int) -> Socket:
    return Socket(port + 100_000, Endpoint("127.0.0.1", port), Endpoint("127.0.0.1", 40000), "ESTABLISHED")


def process(*options: str, **fields: Any) -> Process:
    usual: dict[str, Any] = {
        "pid": 812,
        "start_ticks": 5000,
        "ppid": 700,
        "uid": 1000,
        "user": "alice",
        "state": "S",
        "comm": "openocd",
        "exe": "/opt/xpack/bin/openocd",
        "cmdline": ("openocd", *options),
        "started_at": 1_767_261_600.0,
        "age_s": 10.0,
        "service": False,
        "same_namespace": True,
    }
    return Process(**{**usual, **fields})


CODE = Parent(700, "code")
STANDARD = (listen(3333), listen(4444), listen(6666))


def test_default_ports_are_recognised() -> None:
    holder = describe(process(sockets=STANDARD), CODE)
    assert (holder.gdb_port, holder.tcl_port, holder.ports.unknown) == (3333, 6666, ())


@pytest.mark.parametrize(
    ("options", "ports", "gdb", "tcl", "unknown"),
    [
        (
            ("-c", "gdb_port 50000", "-c", "tcl_port 50001", "-c", "telnet_port 50002"),
            (50000, 50001, 50002),
            (50000,),
            50001,
            (),
        ),
        (("-c", "gdb port 5000; tcl port 5001"), (5000, 5001), (5000,), 5001, ()),
        (("-c", "gdb_port pipe; tcl_port disabled; telnet_port disabled"), (), (), None, ()),
        ((" -c", "x", "-c tcl_port 6333", "-c telnet_port 4444"), (3333, 6333, 4444), (3333,), 6333, ()),
        (("-c", "gdb_port 0", "-c", "tcl_port 0"), (39525, 41111), (), None, (39525, 41111)),
        (("-f", "board.cfg"), (3334, 3335), (3334, 3335), None, ()),
        (("-f", "board.cfg"), (9999,), (), None, (9999,)),
        (("--command=gdb_port 7000",), (7000, 6666), (7000,), 6666, ()),
    ],
)
def test_ports_of_an_openocd_are_told_by_its_command_line(
    options: tuple[str, ...], ports: tuple[int, ...], gdb: tuple[int, ...], tcl: int | None, unknown: tuple[int, ...]
) -> None:
    """Argv patterns of Cortex-Debug, master's spelling, PlatformIO, west, ephemeral, config file, long option."""
    holder = describe(process(*options, sockets=tuple(map(listen, ports))), CODE)
    assert (holder.ports.gdb, holder.tcl_port, holder.ports.unknown) == (gdb, tcl, unknown)


@pytest.mark.parametrize(
    ("sockets", "connected", "consoles"),
    [
        (STANDARD, False, 0),
        ((*STANDARD, client(3333)), True, 0),
        ((*STANDARD, client(4444), client(6666)), False, 2),
        ((listen(9999), client(9999)), None, 0),
        ((), False, 0),
    ],
)
def test_a_gdb_is_an_established_connection_on_the_gdb_port(
    sockets: tuple[Socket, ...], connected: bool | None, consoles: int
) -> None:
    holder = describe(process(sockets=sockets), CODE)
    assert (holder.gdb_connected, holder.console_clients) == (connected, consoles)


@pytest.mark.parametrize("port", [3333, 4444, 6666, 9999])
def test_a_client_that_has_closed_its_own_direction_is_counted_apart(port: int) -> None:
    """`nc -N` waits on; and of a GDB that is gone OpenOCD hears at its next turn."""
    half = replace(client(port), state="CLOSE_WAIT")
    holder = describe(process(sockets=(*STANDARD, listen(9999), half)), CODE)
    assert (holder.half_closed, holder.gdb_connected, holder.console_clients) == (1, False, 0)


@pytest.mark.parametrize(("parent", "connected"), [(CODE, True), (Parent(1, "systemd"), False)])
def test_a_gdb_on_the_pipe_lives_as_long_as_the_parent(parent: Parent, connected: bool) -> None:
    holder = describe(process("-c", "gdb_port pipe", ppid=parent.pid), parent)
    assert holder.gdb_connected is connected


@pytest.mark.parametrize(
    ("ppid", "parent", "service", "orphaned"),
    [
        (700, CODE, False, False),
        (1, Parent(1, "systemd"), False, True),
        (1, Parent(1, "systemd"), True, False),
        (1, Parent(1, "systemd"), None, None),
        (900, Parent(900, "systemd"), False, True),
        (900, Parent(900, "tini"), False, True),
        (1, None, False, True),
        (700, None, False, None),
        (0, None, False, None),
        # through the shell that waits for it
        (700, Parent(700, "sh", ppid=1, service=False, parent=Parent(1, "systemd")), False, True),
        (700, Parent(700, "sh", ppid=1, service=True, parent=Parent(1, "systemd")), False, False),
        (700, Parent(700, "sh", ppid=600, service=False, parent=Parent(600, "code")), False, False),
        (700, Parent(700, "bash", terminal=True, ppid=1, service=False, parent=Parent(1, "init")), False, False),
    ],
)
def test_an_orphan_hangs_under_a_reaper_that_did_not_start_it(
    ppid: int, parent: Parent | None, service: bool | None, orphaned: bool | None
) -> None:
    assert describe(process(ppid=ppid, service=service), parent).orphaned is orphaned


@pytest.mark.parametrize(
    ("host", "reached"),
    [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "127.0.0.1"), ("::", "::1"), ("::1", "::1"), ("192.168.1.5", None)],
)
def test_a_tcl_port_counts_only_where_loopback_reaches_it(host: str, reached: str | None) -> None:
    tcl = describe(process(sockets=(listen(6666, host),)), CODE).ports.tcl
    assert (tcl.host if tcl else None) == reached


def test_other_gdb_servers_have_their_own_ports() -> None:
    st_util = process(
        "-p", "4500", exe="/usr/bin/st-util", cmdline=("st-util", "-p", "4500"), sockets=(listen(4500), client(4500))
    )
    holder = describe(st_util, CODE)
    assert (holder.kind, holder.gdb_port, holder.gdb_connected) == ("st-util", 4500, True)


def test_a_holder_names_itself_for_people() -> None:
    text = str(describe(process(sockets=(*STANDARD, client(3333))), CODE))
    assert text == "PID 812 openocd (alice, from code, since 2026-01-01T10:00:00+00:00, GDB attached)"


def test_holders_come_oldest_first() -> None:
    newer, older = process(pid=5, start_ticks=900), process(pid=9, start_ticks=100)
    assert [holder.pid for holder in join([newer, older], {700: CODE})] == [9, 5]


def test_what_is_unseen_says_what_is_missing() -> None:
    assert str(Unseen("3 processes cannot be looked at", "CAP_SYS_PTRACE")).endswith("needs CAP_SYS_PTRACE")
