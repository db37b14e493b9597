"""The stable listeners: one number on every address, honest about what is taken, and not to be overrun."""

import asyncio
import errno
import os
import resource
import socket
from collections.abc import Awaitable, Callable, Iterator

import pytest

from ocdsup.runtime import listeners
from ocdsup.runtime.listeners import Listener, PortTakenError, bind_all

Until = Callable[[Callable[[], object]], Awaitable[None]]
BOTH = ("127.0.0.1", "::1")


def close(sockets: list[socket.socket]) -> None:
    for sock in sockets:
        sock.close()


def open_fds() -> int:
    return len(os.listdir("/proc/self/fd"))


class Guests:
    """Accepts and keeps."""

    def __init__(self) -> None:
        self.sockets: list[socket.socket] = []

    def __call__(self, sock: socket.socket) -> None:
        self.sockets.append(sock)


@pytest.fixture
def guests() -> Iterator[Guests]:
    """Return a place for accepted connections, which are closed at the end."""
    kept = Guests()
    yield kept
    close(kept.sockets)


def without_ipv6(monkeypatch: pytest.MonkeyPatch, *, at: str, number: int) -> None:
    """Make this PC one without IPv6, in the socket call or in bind."""
    real = socket.socket

    class Socket(real):  # type: ignore[valid-type, misc]  # a subclass of what the module uses at this moment
        def __init__(self, family: int = -1, *rest: int, **options: object) -> None:
            if at == "socket" and family == socket.AF_INET6:
                raise OSError(number, os.strerror(number))
            super().__init__(family, *rest, **options)

        def bind(self, address: object) -> None:
            if at == "bind" and self.family == socket.AF_INET6:
                raise OSError(number, os.strerror(number))
            super().bind(address)

    monkeypatch.setattr(socket, "socket", Socket)


def test_both_families_get_the_same_free_number() -> None:
    """Port 0 finds one that is free everywhere."""
    sockets = bind_all(BOTH, 0)
    names = [sock.getsockname()[:2] for sock in sockets]
    close(sockets)
    assert [host for host, _ in names] == list(BOTH)
    assert names[0][1] == names[1][1] != 0


def test_a_port_can_be_taken_again_at_once() -> None:
    """A restart of the daemon does not wait for the kernel's TIME_WAIT."""
    sockets = bind_all(BOTH, 0)
    port = sockets[0].getsockname()[1]
    with socket.create_connection(("127.0.0.1", port)):
        accepted, _ = sockets[0].accept()
        accepted.close()  # the side that closes first keeps the port busy
    close(sockets)
    again = bind_all(BOTH, port)
    assert {sock.getsockname()[1] for sock in again} == {port}
    close(again)


@pytest.mark.parametrize("address", BOTH)
def test_a_port_that_is_taken_on_one_address_is_given_up_on_all(address: str) -> None:
    """The error names the address, and no socket stays open on the other."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family) as other:
        other.bind((address, 0))
        other.listen()
        port = other.getsockname()[1]
        before = open_fds()
        with pytest.raises(PortTakenError) as caught:
            bind_all(BOTH, port)
        assert (caught.value.address, caught.value.port, caught.value.errno) == (address, port, errno.EADDRINUSE)
        assert "in use" in str(caught.value)
        assert open_fds() == before


@pytest.mark.parametrize(
    ("at", "number"),
    [("socket", errno.EAFNOSUPPORT), ("bind", errno.EADDRNOTAVAIL)],
    ids=["kernel without IPv6", "IPv6 disabled by sysctl"],
)
def test_a_pc_without_ipv6_listens_on_what_it_has(monkeypatch: pytest.MonkeyPatch, at: str, number: int) -> None:
    """Both ways to lack a family leave the other one working."""
    without_ipv6(monkeypatch, at=at, number=number)
    sockets = bind_all(BOTH, 0)
    names = [sock.getsockname()[0] for sock in sockets]
    close(sockets)
    assert names == ["127.0.0.1"]


def test_a_pc_with_none_of_the_families_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing to listen on is an error."""
    without_ipv6(monkeypatch, at="socket", number=errno.EAFNOSUPPORT)
    with pytest.raises(PortTakenError, match="no such address"):
        bind_all(("::1",), 0)


def test_an_address_this_pc_does_not_have_is_not_passed_over() -> None:
    """A mistyped `bind` is an error that names it, though loopback would work (192.0.2.0/24 is nobody's, RFC 5737)."""
    before = open_fds()
    with pytest.raises(PortTakenError) as caught:
        bind_all(("127.0.0.1", "192.0.2.1"), 0)
    assert (caught.value.address, caught.value.errno) == ("192.0.2.1", errno.EADDRNOTAVAIL)
    assert open_fds() == before


def test_a_free_port_is_looked_for_again_when_the_second_family_has_lost_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The number the first family got may be taken on the second."""
    real, calls = listeners._bind, []

    def unlucky(address: str, port: int) -> socket.socket | None:
        calls.append((address, port))
        if len(calls) == 2:
            raise PortTakenError(address, port, OSError(errno.EADDRINUSE, "Address already in use"))
        return real(address, port)

    monkeypatch.setattr(listeners, "_bind", unlucky)
    close(bind_all(BOTH, 0))
    assert [address for address, _ in calls] == [*BOTH, *BOTH]
    assert calls[2][1] == 0


async def test_a_listener_accepts_on_every_address_until_closed(guests: Guests, until: Until) -> None:
    """Both families lead to the same place; accepted connections outlive the listener."""
    listener = Listener(bind_all(BOTH, 0), guests)
    with socket.create_connection(("127.0.0.1", listener.port)) as four, socket.create_connection(("::1", listener.port)):
        await until(lambda: len(guests.sockets) == 2)
        listener.close()
        listener.close()
        four.send(b"x")
        await until(lambda: any(_has_byte(sock) for sock in guests.sockets))
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", listener.port))


def _has_byte(sock: socket.socket) -> bool:
    try:
        return bool(sock.recv(1, socket.MSG_DONTWAIT))
    except BlockingIOError:
        return False


async def test_a_unix_socket_is_listened_on_as_well(guests: Guests, until: Until, tmp_path: object) -> None:
    """The control socket uses the same listener; it has no port."""
    with socket.socket(socket.AF_UNIX) as server:
        path = f"{tmp_path}/control.sock"
        server.bind(path)
        server.listen()
        server.setblocking(False)
        listener = Listener([server], guests)
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(path)
            await until(lambda: guests.sockets)
        listener.close()
    assert listener.port == 0


async def test_three_hundred_silent_connects_are_all_accepted(guests: Guests, until: Until) -> None:
    """A burst beyond the backlog loses nobody who waits: the kernel tries those again that found no room."""
    listener = Listener(bind_all(("127.0.0.1",), 0), guests)
    clients: list[socket.socket] = []
    for burst in (listeners.BACKLOG + 36, 50, 50, 50, 50):
        for _ in range(burst):
            client = socket.socket()
            client.setblocking(False)
            client.connect_ex(("127.0.0.1", listener.port))
            clients.append(client)
        await until(lambda: len(guests.sockets) == len(clients))
    assert {guest.getpeername() for guest in guests.sockets} == {client.getsockname() for client in clients}
    assert len(clients) == 300
    listener.close()
    close(clients)


async def test_a_pc_out_of_descriptors_rests_and_recovers(
    guests: Guests, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A waiting connection does not keep the loop busy, and is served when there are descriptors again."""
    monkeypatch.setattr(listeners, "_PAUSE_S", 0.01)
    tried: list[int] = []
    listener = Listener(bind_all(("127.0.0.1",), 0), guests)
    rest = listener._rest

    def counted() -> None:
        tried.append(1)
        rest()

    monkeypatch.setattr(listener, "_rest", counted)
    client = socket.create_connection(("127.0.0.1", listener.port))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.dup(0)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))  # the next descriptor would be one too many
    try:
        await until(lambda: len(tried) >= 2)
        assert guests.sockets == []
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    await until(lambda: guests.sockets)
    client.close()
    listener.close()


@pytest.mark.parametrize("number", [errno.EPROTO, errno.ENETUNREACH, errno.ETIMEDOUT, errno.EPERM, errno.ECONNABORTED])
async def test_the_trouble_of_one_connection_is_not_the_listeners(
    guests: Guests, until: Until, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """Errors that accept(2) inherits from a connection leave the port open."""
    failed: list[int] = []
    bugs: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: bugs.append(context))
    real = socket.socket.accept

    def troubled(sock: socket.socket) -> object:
        if not failed:
            failed.append(1)
            raise OSError(number, os.strerror(number))
        return real(sock)

    monkeypatch.setattr(socket.socket, "accept", troubled)
    listener = Listener(bind_all(("127.0.0.1",), 0), guests)
    with socket.create_connection(("127.0.0.1", listener.port)):
        await until(lambda: guests.sockets)
    listener.close()
    assert failed
    assert bugs == []
