"""A service manager as far as the daemon needs one: hears it, keeps what it is given, gives it to the next process."""

from __future__ import annotations

import os
import socket
import struct
import sys
import threading
from pathlib import Path

# Fetches the kept descriptors over a socket, puts them where sd_listen_fds(3) looks, and becomes the daemon.
LAUNCH = """
import os, socket, sys
with socket.socket(socket.AF_UNIX) as sock:
    sock.connect(sys.argv[1])
    data, numbers, _, _ = socket.recv_fds(sock, 65536, 250)
high = [os.dup2(number, 600 + at) for at, number in enumerate(numbers)]
for at, number in enumerate(high):
    os.dup2(number, 3 + at, inheritable=True)
    os.close(number)
os.closerange(3 + len(high), 600)
if high:
    os.environ |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": str(len(high)), "LISTEN_FDNAMES": data.decode().strip()}
os.execv(sys.argv[2], sys.argv[2:])
"""


class Manager:
    """Listens in a thread of its own, as systemd does beside the services."""

    def __init__(self, folder: Path) -> None:
        self.told: list[str] = []
        self.store: dict[str, list[int]] = {}
        self._notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notify_address = str(folder / "notify.sock")
        self._notify.bind(self.notify_address)
        self._handing = socket.socket(socket.AF_UNIX)
        self._hand_address = str(folder / "hand.sock")
        self._handing.bind(self._hand_address)
        self._handing.listen()
        self._threads = [threading.Thread(target=work) for work in (self._hear, self._hand)]
        for thread in self._threads:
            thread.start()

    def argv(self, *daemon: str) -> list[str]:
        """The command that starts a daemon with everything that is kept."""
        return [sys.executable, "-c", LAUNCH, self._hand_address, sys.executable, *daemon]

    def _hear(self) -> None:
        while True:
            data, numbers, _, _ = socket.recv_fds(self._notify, 65536, 16)
            if data == b"stop":
                return
            lines = data.decode().split("\n")
            fields = dict(line.partition("=")[::2] for line in lines)
            self.told += lines
            if "FDSTORE" in fields:
                self._keep(fields["FDNAME"], numbers)
            elif "BARRIER" in fields:  # sd_notify_barrier(3): everything before it is done
                for number in numbers:
                    os.close(number)
            elif "FDSTOREREMOVE" in fields:
                for number in self.store.pop(fields["FDNAME"], []):
                    os.close(number)

    def _keep(self, name: str, numbers: list[int]) -> None:
        """systemd keeps one of several descriptors of the same thing."""
        held = self.store.setdefault(name, [])
        for number in numbers:
            if any(os.path.samestat(os.fstat(number), os.fstat(one)) for one in held):
                os.close(number)
            else:
                held.append(number)

    def _hand(self) -> None:
        while True:
            sock, _ = self._handing.accept()
            with sock:
                ucred = struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
                if ucred[0] == os.getpid():
                    return
                pairs = [(name, number) for name, held in self.store.items() for number in held]
                names = ":".join(name for name, _ in pairs)
                socket.send_fds(sock, [names.encode() or b" "], [number for _, number in pairs])

    def drop(self) -> None:
        """What `systemctl stop` does to the store."""
        for held in self.store.values():
            for number in held:
                os.close(number)
        self.store.clear()

    def close(self) -> None:
        """End both threads and let go of everything."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.sendto(b"stop", self.notify_address)
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(self._hand_address)
            for thread in self._threads:
                thread.join(10)
        self.drop()
        self._notify.close()
        self._handing.close()
