"""Asks an ST-LINK server which probes it has, without opening one.

The protocol of ST's stlink-server as OpenOCD 0.12 speaks it (src/jtag/drivers/stlink_usb.c), all numbers little endian:
06 version, 00 refresh, 01 count, 02 information. Blocking, for a thread; the time limit holds for the whole exchange.
"""

import socket
import struct
from time import monotonic

from ocdsup.errors import ProbeError
from ocdsup.probes.known import identify
from ocdsup.probes.probe import Probe
from ocdsup.probes.serials import serial_key

VERSION = bytes((6, 1, 0, 0))
REFRESH = bytes((0, 0))
COUNT = bytes((1,))
INFO = struct.Struct("<BBxxI")
DEVICE = struct.Struct("<II32sHHB")
"""Reply to 02: status, device id, serial, vendor, product, in use."""
INFO_SIZE = 41
OK = 1
MAX_PROBES = 32


def list_probes(server: str, timeout_s: float = 1.0) -> tuple[Probe, ...]:
    """Return the probes of the server at HOST:PORT, with what it says about their use.

    Raises ProbeError when there is no server, no answer within the limit (seconds), or an answer that makes no sense.
    """
    host, _, port = server.rpartition(":")
    address = (host.strip("[]"), int(port))
    try:
        with socket.create_connection(address, timeout_s) as link:
            return _list(_Link(link, monotonic() + timeout_s), server)
    except TimeoutError:
        why, hint = f"no answer within {timeout_s:g} s", "restart the ST-LINK server"
    except (OSError, EOFError) as error:
        why, hint = str(error), "start the ST-LINK server, or correct `probe.server`"
    except (struct.error, ValueError) as error:
        why, hint = f"its answer makes no sense ({error})", "is this the port of an ST-LINK server?"
    raise ProbeError(f"ask the ST-LINK server at {server}", why, hint)


class _Link:
    """One connection with a deadline."""

    def __init__(self, link: socket.socket, end: float) -> None:
        self._link, self._end = link, end

    def ask(self, request: bytes, size: int) -> bytes:
        """Send a request, return exactly `size` bytes of answer."""
        self._link.sendall(request)
        answer = b""
        while len(answer) < size:
            left = self._end - monotonic()
            if left <= 0:
                raise TimeoutError
            self._link.settimeout(left)
            more = self._link.recv(size - len(answer))
            if not more:
                raise EOFError("it closed the connection")
            answer += more
        return answer


def _list(link: _Link, server: str) -> tuple[Probe, ...]:
    link.ask(VERSION, 16)
    (status,) = struct.unpack("<I", link.ask(REFRESH, 4))
    _expect(status)
    (count,) = struct.unpack("<I", link.ask(COUNT, 4))
    if count > MAX_PROBES:
        raise ValueError(f"{count} probes")
    return tuple(_probe(link, index, server) for index in range(count))


def _probe(link: _Link, index: int, server: str) -> Probe:
    status, _, serial, vendor, product, used = DEVICE.unpack(link.ask(INFO.pack(2, index, INFO_SIZE), DEVICE.size))
    _expect(status)
    vid_pid = f"{vendor:04x}:{product:04x}"
    model = identify(vid_pid)
    if model is None:
        raise ValueError(f"{vid_pid} is no debug probe")
    text = serial.rstrip(b"\0").decode("latin-1")
    return Probe(vid_pid, serial_key(text), model, product=model.name, server=server, in_use=bool(used))


def _expect(status: int) -> None:
    if status != OK:
        raise ValueError(f"status {status:#x}")
