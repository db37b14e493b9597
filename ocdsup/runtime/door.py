"""Who may connect: loopback always, others only from the networks of `allow`. Whoever reaches these ports has a shell here."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Sequence
from typing import Any

REMEMBERED = 64  # addresses that were turned away and told; a port scan must not fill the log

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Door(socket.socket):
    """A listening socket whose `accept` turns strangers away: for its caller the connection was aborted."""

    def __init__(self, listening: socket.socket, networks: Sequence[Network], turned_away: Callable[[str], None]) -> None:
        super().__init__(fileno=listening.detach())
        self.setblocking(False)
        self._networks = tuple(networks)
        self._turned_away = turned_away
        self._told: set[str] = set()

    def accept(self) -> tuple[socket.socket, Any]:
        """As socket.accept. Raises ConnectionAbortedError when it was a stranger, who is gone then."""
        sock, peer = super().accept()
        address = str(peer[0]).partition("%")[0]
        if self.admits(address):
            return sock, peer
        sock.close()
        if address not in self._told and len(self._told) < REMEMBERED:
            self._told.add(address)
            self._turned_away(address)
        raise ConnectionAbortedError(f"{address} is not in `allow`")

    def admits(self, address: str) -> bool:
        """Whether this address may connect."""
        one = ipaddress.ip_address(address)
        return one.is_loopback or any(one in network for network in self._networks)


def behind_doors(
    sockets: Sequence[socket.socket], allow: Sequence[str], turned_away: Callable[[str], None]
) -> list[socket.socket]:
    """The same listeners, each with a door; `allow` are networks as in the configuration."""
    networks = [ipaddress.ip_network(network) for network in allow]
    return [Door(sock, networks, turned_away) for sock in sockets]
