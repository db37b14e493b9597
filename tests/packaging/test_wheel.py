"""The wheel and the archive of the sources hold everything, and what is installed from them works away from the tree."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from ocdsup import __version__

ROOT = Path(__file__).parents[2]
SHARED = ("systemd", "configs")


def shared() -> list[str]:
    """Every file of the folders that are shipped with the package."""
    return sorted(path.relative_to(ROOT).as_posix() for top in SHARED for path in (ROOT / top).rglob("*") if path.is_file())


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with both, built by the pinned back end without reaching for anything."""
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-d", str(folder)], cwd=ROOT, check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def wheel(built: Path) -> Path:
    return built / f"ocdsup-{__version__}-py3-none-any.whl"


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel unpacked by pip into an empty folder."""
    folder = tmp_path_factory.mktemp("site")
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-index",
        "--no-deps",
        "--target",
        str(folder),
        str(wheel),
    ]
    subprocess.run(command, check=True, capture_output=True, env={**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"})
    return folder


@pytest.fixture
def ocdsup(installed: Path, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """The installed program with its dependencies, in a folder that is not the tree's."""
    libraries = sysconfig.get_path("purelib")

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "PYTHONPATH": f"{installed}:{libraries}"}
        command = [str(installed / "bin" / words[0]), *words[1:]]
        return subprocess.run(
            [sys.executable, "-S", *command], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )

    return run


def test_every_shared_file_has_its_link_in_the_package() -> None:
    """Links of single files: hatchling follows a link to a folder once only, and the archive would lack one of both."""
    links = {path.relative_to(ROOT / "ocdsup/share").as_posix(): path for path in (ROOT / "ocdsup/share").rglob("*")}
    ours = sorted(name for name, path in links.items() if path.is_symlink())
    assert ours == shared(), "ln -s for each file of systemd/ and configs/ below ocdsup/share/"
    assert [name for name in ours if not links[name].samefile(ROOT / name)] == []


def test_the_wheel_holds_the_package_and_all_it_ships(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        for name in shared():
            assert archive.read(f"ocdsup/share/{name}") == (ROOT / name).read_bytes()
    assert {"ocdsup/share/ocdsup.bash", "ocdsup/share/ocdsup.1", "ocdsup/openocd/catalogue.yaml"} <= names
    assert {name.split("/")[0] for name in names} == {"ocdsup", f"ocdsup-{__version__}.dist-info"}
    assert not [name for name in names if "__pycache__" in name]


def test_a_wheel_from_the_archive_is_the_same(built: Path, wheel: Path, tmp_path: Path) -> None:
    """What a distribution builds from the archive."""
    with tarfile.open(built / f"ocdsup-{__version__}.tar.gz") as archive:
        archive.extractall(tmp_path, filter="data")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path / "dist")]
    subprocess.run(command, cwd=tmp_path / f"ocdsup-{__version__}", check=True, capture_output=True)
    with zipfile.ZipFile(wheel) as one, zipfile.ZipFile(tmp_path / "dist" / wheel.name) as two:
        assert one.namelist() == two.namelist()


def test_the_archive_holds_what_the_tests_and_the_image_are_made_from(built: Path) -> None:
    """`./dev test` and `docker build` in the unpacked archive: the lock, the script, and whatever the Dockerfile copies."""
    with tarfile.open(built / f"ocdsup-{__version__}.tar.gz") as archive:
        held = {name.partition("/")[2] for name in archive.getnames()}
        assert archive.getmember(f"ocdsup-{__version__}/dev").mode & 0o111
    copies = re.findall(r"^COPY (?!--from)(.*) \S+$", (ROOT / "docker/Dockerfile").read_text(encoding="utf-8"), re.MULTILINE)
    wanted = {path for line in copies for path in line.split()} | {"dev", "requirements.lock", "CHANGELOG.md"}
    assert {path for path in wanted if not any(f"{name}/".startswith(f"{path}/") for name in held)} == set()


def test_what_is_installed_runs_away_from_the_tree(ocdsup: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    """Program, data and configuration: the version, a schema, a configuration that checks."""
    assert json.loads(ocdsup("ocdsup", "--version", "--json").stdout)["ocdsup"] == __version__
    assert ocdsup("ocdsup", "schema").stdout == (ROOT / "configs/ocdsup.schema.json").read_text()
    assert ocdsup("ocdsup", "init", "a.yaml", "--simulated").returncode == 0
    assert ocdsup("ocdsup", "check", "-q", "a.yaml").returncode == 0


def test_what_is_installed_installs_the_service(
    ocdsup: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    done = ocdsup("ocdsup", "install", "--system", "--root", str(tmp_path / "root"))
    assert done.returncode == 0, done.stderr
    rules = tmp_path / "root/etc/udev/rules.d/60-ocdsup.rules"
    *lines, last = rules.read_bytes().splitlines(keepends=True)
    assert b"".join(lines) == (ROOT / "systemd/60-ocdsup.rules").read_bytes()
    assert last.startswith(b"# Written by `ocdsup install` (")


def installed_by(tool: str, package: Path, folder: Path) -> Path:
    """Install with the dependencies of the index, by pip, or by a tool that pip fetches first; the folder with the programs."""
    subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
    subprocess.run([folder / "venv/bin/pip", "install", "--quiet", package if tool == "pip" else tool], check=True)
    if tool == "pip":
        return folder / "venv/bin"
    homes = {
        "UV_TOOL_DIR": "tools",
        "UV_TOOL_BIN_DIR": "bin",
        "PIPX_HOME": "tools",
        "PIPX_BIN_DIR": "bin",
        "PIPX_MAN_DIR": "man",
    }
    environment = {**os.environ, **{name: str(folder / place) for name, place in homes.items()}}
    words = ["tool", "install"] if tool == "uv" else ["install"]
    command = [str(folder / "venv/bin" / tool), *words, str(package)]
    subprocess.run(command, check=True, env=environment, capture_output=True)
    return folder / "bin"


@pytest.mark.system
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("tool", "kind"), [("pip", "whl"), ("uv", "whl"), ("uv", "tar.gz"), ("pipx", "whl"), ("pipx", "tar.gz")]
)
def test_a_clean_environment_gets_all_it_needs(tool: str, kind: str, built: Path, tmp_path: Path) -> None:
    """Both programs, their version, what is shipped beside them; `run` imports all that it depends on."""
    (package,) = built.glob(f"*.{kind}")
    programs = installed_by(tool, package, tmp_path)
    versions = subprocess.run([programs / "ocdsup", "--version", "--json"], capture_output=True, text=True, check=True)
    assert json.loads(versions.stdout)["ocdsup"] == __version__
    assert (programs / "ocdsup-openocd").exists()
    (share,) = tmp_path.rglob("ocdsup/share")
    assert {"ocdsup.1", "ocdsup.bash", "configs", "systemd"} <= {path.name for path in share.iterdir()}
    assert [path for path in share.rglob("*") if not path.exists()] == [], "links that lead nowhere"
    (tmp_path / "a.yaml").write_text("version: 1\nbenches: {a: {ports: {gdb: many}}}\n")
    argv = [str(programs / "ocdsup"), "run", "-c", "a.yaml"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert "a.yaml:2:" in done.stderr
