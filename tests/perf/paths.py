"""The ways from GDB to a server on a port: none, ours, the proxy everybody would write, and the peers that are installed."""

from __future__ import annotations

import shutil
import subprocess
import sys
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tests.perf.common import HERE, free_port, pause

SOCKET_PROXYD = "/lib/systemd/systemd-socket-proxyd"
HAPROXY = """\
global
    nbthread 1
defaults
    mode tcp
    timeout connect 5s
    timeout client 10m
    timeout server 10m
listen gdb
    bind 127.0.0.1:{port}
    server gdb 127.0.0.1:{upstream}
"""
DIRECT, OURS, PLAIN = "direct", "ocdsup front", "asyncio Protocol"
BENCH = "ocdsup, a bench's port"


@dataclass(frozen=True, slots=True)
class Way:
    """A port to connect to, and the process behind it; `talk` is the stdin and stdout of a bench's port."""

    port: int
    pid: int | None = None
    talk: tuple[IO[bytes], IO[bytes]] | None = None


class Ways:
    """Starts proxies. Use as a context manager: they end with it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stack = ExitStack()

    def __enter__(self) -> Ways:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._stack.close()

    def spawn(self, argv: list[str], *, quiet: bool = True) -> subprocess.Popen[bytes]:
        """A process that ends with the ways."""
        errors = subprocess.DEVNULL if quiet else None
        process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors)
        self._stack.callback(_end, process)
        return process

    def ours(self, upstream: int) -> Way:
        """`ocdsup front`, as everybody starts it."""
        process = self.spawn([sys.executable, "-m", "ocdsup", "front", f"127.0.0.1:{upstream}"], quiet=False)
        assert process.stdout is not None
        return Way(int(process.stdout.readline().split()[3]), process.pid)

    def bench(self, upstream: int, kind: str = "bench") -> Way:
        """The GDB port of a bench, in front of what stands for its OpenOCD; `kind` as in `gdb_port.py`."""
        process = self.spawn([sys.executable, str(HERE / "gdb_port.py"), kind, str(upstream)], quiet=False)
        assert process.stdin is not None
        assert process.stdout is not None
        return Way(int(process.stdout.readline()), process.pid, (process.stdin, process.stdout))

    def plain(self, upstream: int) -> Way:
        """A minimal asyncio proxy."""
        process = self.spawn([sys.executable, str(HERE / "plain_proxy.py"), str(upstream)], quiet=False)
        assert process.stdout is not None
        return Way(int(process.stdout.readline()), process.pid)

    def peers(self) -> dict[str, list[str]]:
        """What is installed of the proxies that people use: name and command line with {port} and {upstream}."""
        found = {}
        if shutil.which("socat"):
            listen = "TCP-LISTEN:{port},bind=127.0.0.1,fork,reuseaddr,nodelay"
            found["socat, nodelay"] = ["socat", listen, "TCP:127.0.0.1:{upstream},nodelay"]
        if shutil.which("haproxy"):
            found["haproxy"] = ["haproxy", "-q", "-f", str(self._folder / "haproxy-{port}.cfg")]
        if Path(SOCKET_PROXYD).exists() and shutil.which("systemd-socket-activate"):
            found["systemd-socket-proxyd"] = [
                *("systemd-socket-activate", "-l", "127.0.0.1:{port}", SOCKET_PROXYD, "127.0.0.1:{upstream}")
            ]
        return found

    def peer(self, name: str, upstream: int) -> Way:
        """One of them, listening."""
        port = free_port()
        (self._folder / f"haproxy-{port}.cfg").write_text(HAPROXY.format(port=port, upstream=upstream))
        process = self.spawn([word.format(port=port, upstream=upstream) for word in self.peers()[name]])
        while not _listens(port):
            pause(0.02)
            if process.poll() is not None:
                raise RuntimeError(f"{name} did not start")
        return Way(port, process.pid)


def _listens(port: int) -> bool:
    """Looked up, not tried: some of the servers here serve only one connection."""
    return any(line.split()[1].endswith(f":{port:04X}") and line.split()[3] == "0A" for line in _tcp())


def _tcp() -> list[str]:
    return Path("/proc/net/tcp").read_text().splitlines()[1:]


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            with suppress(OSError):
                stream.close()
    try:
        process.wait(timeout=5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
