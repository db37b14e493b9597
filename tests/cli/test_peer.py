"""Whose daemon is believed: root's, one's own, and another user's only where nobody else could have put a socket."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ocdsup.cli.client import Client
from ocdsup.cli.peer import check
from ocdsup.errors import ControlError

ROOT, CALLER, SERVICE, STRANGER = 0, 71000, 72000, 73000
Owners = dict[str, tuple[int, int]]
PLACE: Owners = {"/": (ROOT, 0o755), "/run": (ROOT, 0o755), "/run/ocdsup": (SERVICE, 0o750)}


def looked(folders: Owners) -> Callable[[str], os.stat_result]:
    """A PC with these folders: owner and mode of each."""

    def look(folder: str) -> os.stat_result:
        uid, mode = folders[folder]
        return os.stat_result((stat.S_IFDIR | mode if mode < 0o10000 else mode, 0, 0, 0, uid, 0, 0, 0, 0, 0))

    return look


def believed(more: Owners) -> bool:
    """Whether the caller takes the word of a daemon that runs as the service's user, on a PC with these folders."""
    try:
        check("/run/ocdsup/control.sock", SERVICE, CALLER, looked(PLACE | more))
    except ControlError:
        return False
    return True


@pytest.mark.parametrize("more", [{}, {"/run/ocdsup": (ROOT, 0o755)}, {"/run/ocdsup": (CALLER, 0o700)}])
def test_the_services_user_is_believed_in_a_place_that_is_the_services_alone(more: Owners) -> None:
    assert believed(more)


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"/run/ocdsup": (STRANGER, 0o750)}, "/run/ocdsup belongs to the user with id 73000"),
        ({"/run/ocdsup": (SERVICE, 0o777)}, "others than its owner may write to /run/ocdsup"),
        ({"/run/ocdsup": (SERVICE, 0o770)}, "others than its owner may write to /run/ocdsup"),
        ({"/run": (ROOT, 0o1777)}, "others than its owner may write to /run"),
        ({"/run": (STRANGER, 0o755)}, "/run belongs to the user with id 73000"),
        ({"/run/ocdsup": (STRANGER, stat.S_IFLNK | 0o777)}, "/run/ocdsup belongs to the user with id 73000"),
    ],
)
def test_another_users_daemon_is_not_believed_where_others_could_have_put_it(more: Owners, why: str) -> None:
    with pytest.raises(ControlError) as caught:
        check("/run/ocdsup/control.sock", SERVICE, CALLER, looked(PLACE | more))
    assert caught.value.code == "denied"
    assert f"it runs as the user with id {SERVICE}, and {why}" in str(caught.value)
    assert "`control:`" in caught.value.hint


def test_a_link_to_the_place_is_looked_at_and_so_is_what_it_leads_to(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    seen: list[str] = []

    def look(folder: str) -> os.stat_result:
        seen.append(folder)
        return os.stat_result((stat.S_IFDIR | 0o755, 0, 0, 0, ROOT, 0, 0, 0, 0, 0))

    check(f"{tmp_path}/link/s", SERVICE, CALLER, look)
    assert {f"{tmp_path}/link", f"{tmp_path}/real", str(tmp_path), "/"} <= set(seen)


def test_a_folder_that_cannot_be_looked_at_is_not_believed() -> None:
    with pytest.raises(ControlError, match="/nowhere/at/all cannot be looked at"):
        check("/nowhere/at/all/s", SERVICE, CALLER)


LISTEN = """
import os, socket, sys
sock = socket.socket(fileno=int(sys.argv[1]))
if os.getuid() == 0:
    os.setuid(65534)
sock.listen()
print("listening", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def strangers(tmp_path: Path) -> Iterator[Path]:
    """A socket on which a process of another user than root listens: SO_PEERCRED tells who called listen(2)."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(tmp_path / "s"))
        argv = [sys.executable, "-c", LISTEN, str(sock.fileno())]
        child = subprocess.Popen(argv, pass_fds=[sock.fileno()], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        with child:
            assert child.stdout is not None
            assert child.stdout.readline() == b"listening\n"
            yield tmp_path / "s"


def test_a_client_says_nothing_to_a_stranger(strangers: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: CALLER)  # whoever runs the tests is a stranger to this one
    with pytest.raises(ControlError, match="cannot trust the daemon") as caught:
        Client(str(strangers))
    assert caught.value.code == "denied"
