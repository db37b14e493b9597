"""What an installation writes and runs, decided without touching anything."""

import pytest

from ocdsup.cli import service_files
from ocdsup.cli.install import SHARE, SHIPPED
from ocdsup.config.load import load

UNIT = "[Service]\nExecStart=/usr/bin/ocdsup run -c /etc/ocdsup/ocdsup.yaml\nExecReload=/usr/bin/ocdsup reload\n"
SHARED = {name: (SHARE / name).read_text(encoding="utf-8") for name in SHIPPED}


@pytest.mark.parametrize(
    ("program", "written"),
    [
        (["/opt/pipx/bin/ocdsup"], "/opt/pipx/bin/ocdsup"),
        (["/opt/venv/bin/python", "-m", "ocdsup"], "/opt/venv/bin/python -m ocdsup"),
        (["/opt/my tools/ocdsup"], '"/opt/my tools/ocdsup"'),
        (["/opt/50%/o$c"], "/opt/50%%/o$$c"),
        (['/opt/a"b/ocdsup'], '"/opt/a\\"b/ocdsup"'),
    ],
)
def test_the_unit_starts_the_program_that_installs_it(program: list[str], written: str) -> None:
    """Quoted as systemd.service(5) reads command lines; % and $ are specifiers and variables there."""
    lines = service_files.with_program(UNIT, program).splitlines()
    assert lines[1:] == [f"ExecStart={written} run -c /etc/ocdsup/ocdsup.yaml", f"ExecReload={written} reload"]


def test_the_socket_unit_has_the_ports_of_the_configuration() -> None:
    binds = [("127.0.0.1", 3343), ("::1", 3343)]
    text = service_files.with_ports(SHARED["systemd/ocdsup.socket"], binds, "/run/x.sock")
    listened = [line.partition("=")[2] for line in text.splitlines() if line.startswith("ListenStream=")]
    assert listened == ["127.0.0.1:3343", "[::1]:3343", "/run/x.sock"]
    assert "SocketMode=0660" in text
    assert text.startswith("#")


@pytest.mark.parametrize(
    ("ports", "opened"),
    [
        ("{gdb: 3333, telnet: 4444}", [3333, 4444]),
        ("{gdb: 3333, telnet: 4444, targets: 3}", [3333, 3334, 3335, 4444]),
        ("{gdb: 0, telnet: 4444, targets: 2}", [4444]),
        ("{gdb: 3333, telnet: 4444, tcl: 6666}", [3333, 4444, 6666]),
        ("{gdb: 3333, telnet: 0}", [3333]),
    ],
)
def test_every_port_that_the_daemon_will_open_is_known_before(ports: str, opened: list[int]) -> None:
    """Those of further targets too; port 0 means any free one: nothing to open before its time."""
    config = load(f"version: 1\nbenches: {{a: {{openocd: {{config: [x]}}, ports: {ports}}}}}\n", "a.yaml")
    assert service_files.binds(config, ipv6=True) == [(host, port) for port in opened for host in ("127.0.0.1", "::1")]
    assert service_files.binds(config, ipv6=False) == [("127.0.0.1", port) for port in opened]


@pytest.mark.parametrize(
    ("program", "word"),
    [
        (["/usr/local/bin/ocdsup"], None),
        (["/opt/venv/bin/python", "-m", "ocdsup"], None),
        (["/home/me/.local/bin/ocdsup"], "/home/me/.local/bin/ocdsup"),
        (["/root/venv/bin/python", "-m", "ocdsup"], "/root/venv/bin/python"),
        (["/tmp/x/ocdsup"], "/tmp/x/ocdsup"),
    ],
)
def test_a_program_that_the_service_cannot_see_is_noticed(program: list[str], word: str | None) -> None:
    """ProtectHome=yes and PrivateTmp=yes of the unit."""
    assert service_files.hidden_from_service(program) == word


def test_configurations_are_the_only_files_that_are_kept() -> None:
    system = service_files.system(SHARED, ["/x"], "starter")
    user = service_files.user(SHARED, ["/x"], "starter", "/home/me/.config", "/home/me/.local/share")
    for plan in (system, user):
        assert [file.path.rpartition("/")[2] for file in plan.files if file.keep] == ["ocdsup.yaml"]
    assert all(file.path.startswith("/home/me/") for file in user.files)
    assert not any(command[0] == "sudo" for plan in (system, user) for command in plan.commands)


def test_the_next_steps_start_the_right_service() -> None:
    assert "systemctl --user enable --now ocdsup" in service_files.next_steps(for_system=False)
    assert "systemctl enable --now ocdsup.socket ocdsup" in service_files.next_steps(for_system=True)
