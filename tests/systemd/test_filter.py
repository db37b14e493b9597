"""What the unit's system call filter lets pass and what it ends, call by call; the daemon itself is under it in `tests/usb`."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).with_name("filtered.py")
PREPARED = """
import array, ctypes, errno, fcntl, mmap, os, select, signal, socket, struct, time
def refused(number):
    try:
        fcntl.ioctl(null, number, bytes(64))
    except OSError as error:
        assert error.errno == errno.ENOTTY, error
    else:
        raise AssertionError("it did not fail")
libc = ctypes.CDLL(None, use_errno=True)
def raw(name, *arguments):
    if getattr(libc, name)(*arguments) < 0:
        raise OSError(ctypes.get_errno(), name)
null = os.open("/dev/null", os.O_RDWR)
"""


def filtered(code: str) -> subprocess.CompletedProcess[str]:
    """Run a piece of Python under the filter."""
    argv = [sys.executable, str(PROGRAM), sys.executable, "-I", "-c", PREPARED + code]
    return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=50)


NEEDED = {
    # devio.c of the kernel; /dev/null knows none of these, and says so: they came through
    "usbfs: reset, claim, submit, reap": "[refused(number) for number in (0x5514, 0x8004550F, 0x8038550A, 0x4008550D)]",
    "usbfs: memory for transfers": "mmap.mmap(-1, 4096, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)",
    "hidraw": "refused(0x80044801)",
    "libusb's events": "raw('eventfd', 0, 0); raw('timerfd_create', 1, 0); os.pipe2(0); select.poll().poll(0)",
    "hot-plug": "sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 15); sock.bind((0, 2)); sock.setsockopt(1, 8, 65536)",
    "pidfd": "fd = os.pidfd_open(os.getpid()); signal.pidfd_send_signal(fd, 0); select.select([fd], [], [], 0)",
    "capabilities given up": "raw('capset', struct.pack('Ii', 0x20080522, 0), bytes(24))",
    "death with the daemon": "raw('prctl', 1, 9, 0, 0, 0)",
    "a child on a pty": "import pty; pid, fd = pty.fork(); os._exit(0) if pid == 0 else os.waitpid(pid, 0)",
    "records in memory": "fd = os.memfd_create('x'); os.pwrite(fd, b'x', 0); os.ftruncate(fd, 0)",
    "a descriptor passed on": "a, b = socket.socketpair(); socket.send_fds(a, [b'x'], [null]); socket.recv_fds(b, 1, 1)",
    "unsent bytes": "sock = socket.socket(); fcntl.ioctl(sock, 0x5411, array.array('i', [0]))",
}


@pytest.mark.parametrize("code", NEEDED.values(), ids=list(NEEDED))
def test_what_the_daemon_and_openocd_need_comes_through(code: str) -> None:
    done = filtered(code)
    assert done.returncode == 0, signal.Signals(-done.returncode) if done.returncode < 0 else done.stderr


FORBIDDEN = {
    "another owner of a file": "os.chown('/tmp', -1, -1)",
    "another user": "os.setuid(os.getuid())",
    "another processor": "os.sched_setaffinity(0, {0})",
    "a mount": "raw('mount', None, None, None, 0, None)",
    "a module": "raw('delete_module', b'x', 0)",
    "raw packets": "socket.socket(17, socket.SOCK_RAW)",
    "memory that is written and run": "mmap.mmap(-1, 4096, prot=mmap.PROT_WRITE | mmap.PROT_EXEC)",
    "memory that is written, then run": "raw('mprotect', ctypes.c_void_p(id(raw) & ~4095), 1, 5)",
    "another's memory": "raw('ptrace', 16, 1, 0, 0)",
}


@pytest.mark.parametrize("code", FORBIDDEN.values(), ids=list(FORBIDDEN))
def test_what_nobody_needs_ends_the_process(code: str) -> None:
    """So that the test above, and those under the filter, could fail."""
    assert filtered(code).returncode == -signal.SIGSYS
