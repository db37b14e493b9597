"""The image, built without an engine, runs the simulated bench as its compose file says: healthy, reachable, gone."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.docker.image import ROOT, Image

pytestmark = [pytest.mark.system, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Image]:
    """The image, built once; its files are gone afterwards, the base stays in the cache."""
    folder = tmp_path_factory.mktemp("image")
    made = Image(folder)
    made.build(ROOT / "docker/Dockerfile")
    yield made
    shutil.rmtree(folder)


def test_the_image_holds_the_program_and_openocd_and_nothing_of_the_build(image: Image) -> None:
    assert (image.root / "opt/ocdsup/bin/ocdsup").exists()
    assert (image.root / "usr/bin/openocd").exists()
    assert not (image.root / "src").exists()
    assert image.user == "ocdsup"


def test_the_simulated_bench_of_the_compose_file_lives_and_ends(image: Image) -> None:
    """Both services with the rights that compose leaves them: each health check tells when, `allow` decides who may connect."""
    services = yaml.safe_load((ROOT / "docker/compose.simulated.yaml").read_text(encoding="utf-8"))["services"]
    commands = [" ".join(image.entrypoint + services[name]["command"]) for name in ("board", "ocdsup")]
    healths = [" ".join(words) for words in (services["board"]["healthcheck"]["test"][1:], image.health)]
    inside = Path(__file__).with_name("inside.sh")
    argv = [
        "unshare",
        "--mount",
        "--pid",
        "--net",
        "--fork",
        "--kill-child",
        "--mount-proc",
        "sh",
        str(inside),
        str(image.root),
    ]
    done = subprocess.run(
        argv, input="\n".join([*commands, *healths, ""]), capture_output=True, text=True, timeout=300, check=False
    )
    said = done.stdout.splitlines()
    assert done.returncode == 0, done.stdout + done.stderr
    assert "before: no no" in said
    assert {"board healthy", "daemon healthy"} <= set(said)
    assert "after: yes no" in said
    assert "172.17.0.2 b'+'" in said
    assert "203.0.113.5 cut" in said
    assert "CapBnd:\t0000000000000000" in said
    assert "ended with 0" in said
