"""The container files say what they should: no rights, paths that exist, a configuration that loads."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from ocdsup.cli.main import VERBS
from ocdsup.config.__main__ import read

ROOT = Path(__file__).parents[2]
DOCKER = ROOT / "docker"
COMPOSED = ("compose.yaml", "compose.simulated.yaml")


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile as (instruction, rest)."""
    text = (DOCKER / "Dockerfile").read_text(encoding="utf-8")
    return [(line.partition(" ")[0], line.partition(" ")[2]) for line in text.splitlines() if line and not line.startswith("#")]


def services() -> list[tuple[str, dict[str, Any]]]:
    """Every service of both compose files."""
    found = [yaml.safe_load((DOCKER / name).read_text(encoding="utf-8"))["services"] for name in COMPOSED]
    return [(name, service) for one in found for name, service in one.items()]


def test_what_is_copied_exists_and_is_sent_to_the_engine() -> None:
    sent = (DOCKER / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    copied = [path for word, rest in instructions() if word == "COPY" and "--from" not in rest for path in rest.split()[:-1]]
    assert copied
    assert [path for path in copied if not (ROOT / path).exists() or f"!{path}" not in sent] == []


def test_the_last_stage_runs_without_rights_and_says_whether_it_lives() -> None:
    words = instructions()
    last = words[max(at for at, (word, _) in enumerate(words) if word == "FROM") :]
    found = dict(last)
    assert found["USER"] == "ocdsup"
    assert json.loads(found["ENTRYPOINT"]) == ["ocdsup"]
    assert json.loads(found["CMD"])[0] in VERBS
    check = re.search(r"CMD (\[.*\])$", found["HEALTHCHECK"])
    assert check is not None
    assert json.loads(check[1]) == ["ocdsup", "status"]
    assert not [rest for word, rest in last if word == "RUN" and re.search(r"sudo|setcap|chmod [ug]?\+?s|0666", rest)]


def test_the_health_check_and_the_daemon_read_the_same_configuration() -> None:
    """`control:` may be in it: no other socket is named beside it, and each container names its file once."""
    set_in_image = dict(pair.split("=", 1) for word, rest in instructions() if word == "ENV" for pair in rest.split())
    assert set_in_image["OCDSUP_CONFIG"] == "/etc/ocdsup/ocdsup.yaml"
    assert "OCDSUP_SOCKET" not in set_in_image
    daemons = {name: service for name, service in services() if service.get("command", ["run"])[0] == "run"}
    assert daemons
    assert [name for name, service in daemons.items() if service.get("command", ["run"]) != ["run"]] == []
    simulated = yaml.safe_load((DOCKER / "compose.simulated.yaml").read_text(encoding="utf-8"))["services"]["ocdsup"]
    copied = [rest.split()[1] for word, rest in instructions() if word == "COPY" and rest.startswith("docker/")]
    assert [simulated["environment"]["OCDSUP_CONFIG"]] == copied


@pytest.mark.parametrize(("name", "service"), services())
def test_every_service_has_no_capability_and_nothing_to_write_to(name: str, service: dict[str, Any]) -> None:
    assert service["cap_drop"] == ["ALL"]
    assert service["read_only"] is True
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not {"privileged", "cap_add", "devices"} & set(service)
    assert service.get("command", ["run"])[0] in VERBS


def test_ports_are_published_on_loopback_only() -> None:
    published = [port for _, service in services() for port in service.get("ports", [])]
    assert published
    assert [port for port in published if not port.startswith("127.0.0.1:")] == []


def test_the_configuration_of_the_simulated_board_loads() -> None:
    (bench,) = read(str(DOCKER / "simulated.yaml")).config.benches
    assert bench.probe.server == "127.0.0.1:7184"
    assert bench.allow


def test_the_readme_explains_every_line_that_opens_something() -> None:
    text = (DOCKER / "README.md").read_text(encoding="utf-8")
    for word in ("network_mode: host", "pid: host", "c 189:*", "/run/udev", "group_add"):
        assert word in text
        assert word.partition(":")[0] in (DOCKER / "compose.yaml").read_text(encoding="utf-8")


def test_every_kind_of_device_that_is_allowed_is_there() -> None:
    """A rule of the control group makes no node: what it opens has to be a volume. 189 is USB (devices.txt of the kernel)."""
    (service,) = yaml.safe_load((DOCKER / "compose.yaml").read_text(encoding="utf-8"))["services"].values()
    nodes = {"189": "/dev/bus/usb"}
    rules = [re.fullmatch(r"c (\d+):\* rmw", rule) for rule in service["device_cgroup_rules"]]
    assert {f"{nodes[rule[1]]}:{nodes[rule[1]]}" for rule in rules if rule} <= set(service["volumes"])
    assert None not in rules
