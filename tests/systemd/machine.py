"""A whole Debian 12 in QEMU, without KVM: real systemd as PID 1, an installed OpenOCD and GDB, and no network but loopback.

The file system is made once by mmdebstrap and kept outside the tree; every run works on a throw-away copy. The guest gets one
archive as its second disk, runs `start.sh` in it, and reports on its serial line. It is never booted on the host's own root.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import tarfile
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ocdsup-tests"
SUITE = "bookworm"
PACKAGES = (
    *("systemd", "systemd-sysv", "libpam-systemd", "dbus", "dbus-user-session", "udev", "linux-image-amd64", "kmod"),
    *("procps", "sudo", "python3", "python3-venv", "pipx", "openocd", "gdb-multiarch", "netcat-openbsd"),
)
USB_SERIAL = "QEMU0001"  # of the FT232 (0403:6001) that the machine has on its USB; the cloud kernel would have no USB at all
MARK = "ocdsup-check "  # begins every line of the report
# The unit that runs the archive. Its output is the serial line; the machine is off when it ends, however it ends.
UNIT = """\
[Unit]
Description=What this machine is for
After=multi-user.target
SuccessAction=poweroff-force
FailureAction=poweroff-force
[Service]
Type=oneshot
ExecStart=/bin/sh -c 'mkdir -p /payload && tar -xf /dev/vdb -C /payload && exec sh /payload/start.sh'
StandardOutput=tty
StandardError=tty
TTYPath=/dev/ttyS0
TimeoutStartSec=infinity
[Install]
WantedBy=multi-user.target
"""
SETUP = f"""\
set -eu
cat > "$1/etc/systemd/system/machine.service" <<'UNIT'
{UNIT}UNIT
ln -s ../machine.service -t "$1/etc/systemd/system/multi-user.target.wants" 2>/dev/null || {{
    mkdir -p "$1/etc/systemd/system/multi-user.target.wants"
    ln -s ../machine.service -t "$1/etc/systemd/system/multi-user.target.wants"
}}
ln -sf /dev/null "$1/etc/systemd/system/serial-getty@ttyS0.service"
# Only what finds the disk: an emulated processor unpacks every driver there is for a quarter of a minute.
sed -i s/^MODULES=.*/MODULES=list/ "$1/etc/initramfs-tools/initramfs.conf"
printf '%s\\n' virtio_pci virtio_blk ext4 >> "$1/etc/initramfs-tools/modules"
chroot "$1" update-initramfs -u
echo machine > "$1/etc/hostname"
echo '127.0.0.1 localhost machine' > "$1/etc/hosts"
echo '/dev/vda / ext4 defaults 0 0' > "$1/etc/fstab"
chroot "$1" useradd --create-home --shell /bin/bash newcomer
echo 'newcomer ALL=(ALL) NOPASSWD: ALL' > "$1/etc/sudoers.d/newcomer"
"""


def disk() -> Path:
    """The folder with `root.ext4`, `vmlinuz` and `initrd.img`; made once. Needs root."""
    made_from = f"{SUITE} {PACKAGES} {SETUP}"
    done = CACHE / f"machine-{hashlib.sha256(made_from.encode()).hexdigest()[:12]}"
    if not done.exists():
        half = CACHE / f"machine-{os.getpid()}"
        (half / "tmp").mkdir(parents=True)
        _make(half)
        half.rename(done)
    return done


def _make(folder: Path) -> None:
    root = folder / "root"
    setup = folder / "setup.sh"
    setup.write_text(SETUP, encoding="utf-8")
    command = ["mmdebstrap", "--quiet", "--mode=root", "--variant=minbase", f"--include={','.join(PACKAGES)}"]
    command += [f'--customize-hook=sh "{setup}" "$1"', SUITE, str(root)]
    subprocess.run(command, check=True, env={**os.environ, "TMPDIR": str(folder / "tmp")})
    for name in ("vmlinuz", "initrd.img"):
        shutil.copy(next((root / "boot").glob(f"{name}-*")), folder / name)
    image = folder / "root.ext4"
    subprocess.run(["truncate", "--size=4G", image], check=True)
    subprocess.run(["mke2fs", "-q", "-t", "ext4", "-d", root, image], check=True)
    mounted = [line for line in Path("/proc/self/mounts").read_text().splitlines() if f" {root}" in line]
    if mounted:
        raise RuntimeError(f"something is still mounted below {root}: {mounted}")
    shutil.rmtree(root)


def archive(where: Path, files: Mapping[str, Path]) -> None:
    """The guest's second disk: files and folders under their names."""
    with tarfile.open(where, "w") as packed:
        for name, path in files.items():
            packed.add(path, name)
    with where.open("ab") as stream:  # a disk has whole sectors
        stream.write(bytes(-where.stat().st_size % 4096))


class Machine:
    """One boot; `run` returns when the guest has switched itself off."""

    def __init__(self, folder: Path, payload: Path) -> None:
        self._log = folder / "serial.log"
        self._folder = folder
        made = disk()
        append = "root=/dev/vda rw console=ttyS0 quiet systemd.show_status=0 mitigations=off"
        self._argv = [
            *("qemu-system-x86_64", "-accel", "tcg,thread=multi", "-machine", "q35", "-smp", "2", "-m", "1536"),
            *("-nodefaults", "-no-reboot", "-display", "none", "-serial", "stdio", "-device", "virtio-rng-pci"),
            *(
                "-device",
                "qemu-xhci",
                "-chardev",
                "null,id=wire",
                "-device",
                f"usb-serial,chardev=wire,always-plugged=on,serial={USB_SERIAL}",
            ),
            *("-drive", f"file={made / 'root.ext4'},if=virtio,format=raw,snapshot=on"),
            *("-drive", f"file={payload},if=virtio,format=raw,readonly=on"),
            *("-kernel", str(made / "vmlinuz"), "-initrd", str(made / "initrd.img"), "-append", append),
        ]

    def run(self, limit_s: float) -> list[dict[str, Any]]:
        """Boot, and return the report. Raises AssertionError when the guest has not ended in time."""
        with self._log.open("wb") as log:
            process = subprocess.Popen(
                self._argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, "TMPDIR": str(self._folder)},
            )
        timer = threading.Timer(limit_s, process.kill)
        timer.start()
        try:
            process.wait()
        finally:
            timer.cancel()
            timer.join()
        assert process.returncode == 0, f"the machine ended with {process.returncode}\n{self.tail()}"
        return report(self._log.read_text(encoding="utf-8", errors="replace"))

    def tail(self, lines: int = 60) -> str:
        """The end of the serial log."""
        return "\n".join(self._log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])


def report(text: str) -> list[dict[str, Any]]:
    """The lines of a serial log that are the guest's report."""
    lines = (line.strip() for line in text.splitlines())
    return [json.loads(line.partition(MARK)[2]) for line in lines if MARK in line]
