"""Sockets and files are looked for where system services and sessions keep them."""

import pytest

from ocdsup.config.paths import config_candidates, control_candidates, control_path


@pytest.mark.parametrize(
    ("uid", "runtime", "path"),
    [
        (0, "/run/user/0", "/run/ocdsup/control.sock"),
        (1000, "/run/user/1000/", "/run/user/1000/ocdsup/control.sock"),
        (998, None, "/run/ocdsup/control.sock"),
        (1000, "relative", "/run/ocdsup/control.sock"),
    ],
)
def test_the_socket_follows_the_user(uid: int, runtime: str | None, path: str) -> None:
    assert control_path(uid, runtime) == path


def test_a_client_looks_at_its_own_daemon_first_and_at_the_systems_next() -> None:
    assert control_candidates(1000, "/r") == ("/r/ocdsup/control.sock", "/run/ocdsup/control.sock")
    assert control_candidates(0, "/r") == ("/run/ocdsup/control.sock",)


@pytest.mark.parametrize(
    ("uid", "home", "xdg", "files"),
    [
        (0, "/root", None, ("/etc/ocdsup/ocdsup.yaml",)),
        (1000, "/home/a", None, ("/home/a/.config/ocdsup/ocdsup.yaml", "/etc/ocdsup/ocdsup.yaml")),
        (1000, "/home/a", "/x", ("/x/ocdsup/ocdsup.yaml", "/etc/ocdsup/ocdsup.yaml")),
        (1000, None, None, ("/etc/ocdsup/ocdsup.yaml",)),
    ],
)
def test_the_configuration_follows_the_user(uid: int, home: str | None, xdg: str | None, files: tuple[str, ...]) -> None:
    assert config_candidates(uid, home, xdg) == files
