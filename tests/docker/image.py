"""Builds an image as the Dockerfile says, with what Debian has instead of an engine: debootstrap, chroot, namespaces.

What stands in: `FROM debian:bookworm-slim` is debootstrap's minbase of bookworm; pip is given wheels that the pip outside
downloaded, as there is no engine's network. Everything else is run as it is written. Needs root.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ocdsup-tests"
SUITES = {"debian:bookworm-slim": "bookworm"}


def base(image: str) -> Path:
    """The root file system of a base image; made once and kept outside the tree."""
    suite = SUITES[image]
    done = CACHE / f"{suite}-minbase"
    if not done.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        half = CACHE / f"{suite}-{os.getpid()}"
        subprocess.run(["debootstrap", "--variant=minbase", suite, half], check=True, stdout=subprocess.DEVNULL)
        half.rename(done)
    return done


def wheels(folder: Path) -> None:
    """What the image's pip would fetch, for the Python of bookworm."""
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    versions = folder / "versions"
    versions.write_text("\n".join(re.findall(r"^[a-z0-9._-]+==[^ ;\\]+", lock, flags=re.MULTILINE)), encoding="utf-8")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--dest", str(folder), "--constraint", str(versions)]
    command += ["--only-binary=:all:", "--python-version", "3.11", f"{ROOT}[sim,usb]", "hatchling"]
    subprocess.run(command, check=True)


class Image:
    """One image and its stages."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stages: dict[str, Path] = {}
        self.root = folder
        self.user = "root"
        self.environment = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
        self.entrypoint: list[str] = []
        self.health: list[str] = []

    def build(self, dockerfile: Path) -> None:
        """Carry out every instruction. Raises ValueError for one that is not known here."""
        for line in dockerfile.read_text(encoding="utf-8").splitlines():
            if line and not line.startswith("#"):
                word, _, rest = line.partition(" ")
                self._instruction(word, rest)

    def _instruction(self, word: str, rest: str) -> None:
        match word:
            case "FROM":
                self._stage(*rest.split(" AS "))
            case "RUN":
                self.run_as_root(["sh", "-ec", rest])
            case "COPY":
                self._copy(rest.split())
            case "ENV":
                self.environment |= dict(pair.split("=", 1) for pair in rest.split())
            case "USER":
                self.user = rest
            case "ENTRYPOINT":
                self.entrypoint = json.loads(rest)
            case "HEALTHCHECK":
                self.health = json.loads(rest.partition(" CMD ")[2])
            case "WORKDIR" | "CMD" | "STOPSIGNAL":
                pass  # looked at by test_files
            case _:
                raise ValueError(f"unknown instruction {word}")

    def _stage(self, image: str, name: str = "last") -> None:
        self.root = self._folder / name
        self._stages[name] = self.root
        subprocess.run(["cp", "-a", "--reflink=auto", base(image), self.root], check=True)
        for file in ("/etc/resolv.conf", "/etc/hosts"):
            shutil.copy(file, f"{self.root}{file}")
        (self.root / "wheels").mkdir()
        wheels(self.root / "wheels") if name != "last" else None

    def _copy(self, words: list[str]) -> None:
        source = ROOT
        if words[0].startswith("--from="):
            source = self._stages[words.pop(0).partition("=")[2]]
        *files, where = words
        for file in files:
            target = Path(f"{self.root}{where}")
            origin = Path(f"{source}/{file.lstrip('/')}")
            if where.endswith("/"):
                target = target / origin.name
            target.parent.mkdir(parents=True, exist_ok=True)
            subprocess.run(["cp", "-a", "--no-preserve=ownership", "-T", origin, target], check=True)

    def run_as_root(self, argv: list[str]) -> None:
        """One RUN, in namespaces of its own that have the host's network."""
        # pip is the only thing that would need an index
        environment = self.environment | {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "/wheels", "DEBIAN_FRONTEND": "noninteractive"}
        mount = f'mount -t proc proc "{self.root}/proc" && exec chroot "{self.root}" "$@"'
        command = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-ec", mount, "sh", *argv]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{argv}: {done.stdout[-2000:]}{done.stderr[-4000:]}"
