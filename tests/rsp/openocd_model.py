"""A small pure model of a board and of OpenOCD's GDB server with its traps (openocd 0.12 gdb_server.c, seen in runs)."""

from dataclasses import dataclass, field

from ocdsup.rsp.framing import Framer, Kind, Side, encode, unescape
from ocdsup.rsp.packets import Point, monitor_line, name, point_of, span_of, steps, text_packet

RAM, RAM_SIZE = 0x20000000, 64
RESET_PC = 0x08000400
BKPT = b"\x11\xbe"
FEATURES = b"PacketSize=4000;qXfer:memory-map:read+;qXfer:features:read+;qXfer:threads:read+;QStartNoAckMode+;vContSupported+"
_NAMES = {15: b"pc"}
_REGISTERS = (b'<reg name="%b" bitsize="32" regnum="%d"/>' % (_NAMES.get(n, b"r%d" % n), n) for n in range(17))
DESCRIPTION = b"<target>" + b"".join(_REGISTERS) + b"</target>"
MEMORY_MAP = b'<memory-map><memory type="flash" start="0x8000000" length="0x1000"></memory></memory-map>'
THREADS = b'l<?xml version="1.0"?>\n<threads>\n</threads>\n'


@dataclass
class Board:
    """What survives OpenOCD: memory, registers, comparators, run state."""

    ram: bytearray = field(default_factory=lambda: bytearray(range(RAM_SIZE)))
    registers: list[int] = field(default_factory=lambda: [0x100 + n for n in range(15)] + [0x08000100, 0x01000000])
    comparators: set[Point] = field(default_factory=set)
    running: bool = False
    flashed: bytes = b""

    def trap(self) -> None:
        """Run on to a breakpoint."""
        self.registers[15] += 2
        self.running = False

    def reset(self, *, halt: bool) -> None:
        """Pull NRST."""
        self.registers = [0] * 13 + [0x20000040, 0xFFFFFFFF, RESET_PC, 0x01000000]
        self.running = not halt


class CrashedError(Exception):
    """The process died."""


class DroppedError(Exception):
    """The process ended the connection."""


class OpenOcd:
    """One OpenOCD process with one GDB connection."""

    def __init__(self, board: Board, *, hla: bool = True) -> None:
        """Examine the board (which zeroes the comparators) and accept a connection (which clears all points)."""
        self.board = board
        board.comparators.clear()
        self.points: dict[Point, bytes] = {}
        self.dirty: dict[int, int] = {}
        self.late_write: tuple[int, bytes] | None = None
        self.image = b""
        self.has_image = False
        self.owes_stop = False
        # A core found halted: its registers are in no cache yet, and a resume takes the PC from the cache, read or not.
        self.unread = not board.running
        self.threads = THREADS[1:]
        self.reason = b"S05" if hla and not board.running else b"S00"
        self.log: list[bytes] = []  # every request body, in order
        self._framer = Framer(Side.CLIENT)
        self._out = bytearray()

    def feed(self, data: bytes) -> bytes:
        """Take what one read of the socket gave; return what is written. Half a packet would stall the real one."""
        for frame in self._framer.feed(data):
            match frame.kind:
                case Kind.PACKET:
                    if self._framer.verify:
                        self._out += b"+"
                    self.log.append(frame.body)
                    self._packet(unescape(frame.body))  # whatever packet it is (gdb_server.c fetch_packet)
                case Kind.INTERRUPT:
                    self._interrupt()
                case Kind.ACK | Kind.NACK:
                    pass
                case _:
                    raise DroppedError(frame)
        assert not self._framer.unfinished, "half a packet reached OpenOCD"
        written, self._out = bytes(self._out), bytearray()
        return written

    def halt(self, reason: bytes) -> bytes:
        """Let the core halt by itself; return what OpenOCD writes."""
        self.board.running = self.unread = False  # a halt that is seen to happen is followed by a look at the registers
        self.reason = b"S" + reason
        if not self.owes_stop:
            return b""
        self.owes_stop = False
        return encode(b"T" + reason)

    def reexamine(self) -> None:
        """Poll failed once and came back: the comparators are zero, the list of points is as before."""
        self.board.comparators.clear()

    def _interrupt(self) -> None:
        if self.board.running:
            self._out += self.halt(b"02")
        elif self.owes_stop:  # a stop that got lost ("The target is not running when halt was requested, stopping GDB.")
            self.owes_stop = False
            self._out += encode(b"T02")

    def _packet(self, body: bytes) -> None:
        if self.late_write is not None:
            at, data = self.late_write
            self.board.ram[at : at + len(data)] = data
            self.late_write = None
        reply = self._answer(body)
        if reply is not None:
            self._out += encode(reply)

    def _answer(self, body: bytes) -> bytes | None:  # noqa: C901, PLR0912 - a table of packets, read from top to bottom
        match name(body).name:
            case "qSupported":
                return FEATURES
            case "QStartNoAckMode":
                self._framer.verify = False
                return b"OK"
            case "!" | "H":
                return b"OK"
            case "?":
                return self.reason if not self.board.running else b"S00"
            case "g":
                self.unread = False
                return b"".join(self._register(n).to_bytes(4, "little").hex().encode() for n in range(17))
            case "p":
                return self._register(self._number(body)).to_bytes(4, "little").hex().encode()
            case "P":
                number = self._number(body.partition(b"=")[0])
                if len(body.partition(b"=")[2]) != 8:
                    raise DroppedError(body)
                self.dirty[number] = int.from_bytes(bytes.fromhex(body.partition(b"=")[2].decode()), "little")
                return b"OK"
            case "m":
                return self._read(body)
            case "M" | "X":
                return self._write(body)
            case "Z" | "z":
                return self._point(body)
            case "c" | "s" | "vCont":
                return self._resume(body)
            case "qRcmd":
                return self._monitor(monitor_line(body) or "")
            case "qXfer":
                return self._xfer(body)
            case "vFlashErase" | "vFlashWrite" | "vFlashDone":
                return self._flash(body)
            case "D":
                return b"OK"
            case "vCont?":
                return b"vCont;c;C;s;S"
            case _:
                return b""

    def _number(self, body: bytes) -> int:
        number = int(body[1:], 16)
        if number > 16:
            raise DroppedError(body)
        return number

    def _register(self, number: int) -> int:
        if self.board.running:
            return 0
        return self.dirty.get(number, self.board.registers[number])

    def _read(self, body: bytes) -> bytes:
        span = span_of(body)
        if span is None:
            raise DroppedError(body)
        at = span[0] - RAM
        if at >= 0 and at + span[1] <= RAM_SIZE:
            return self.board.ram[at : at + span[1]].hex().encode()
        return b"ff" * span[1] if span[0] >> 24 == 8 else b"E0E"

    def _write(self, body: bytes) -> bytes:
        span = span_of(body)
        if span is None:
            raise DroppedError(body)
        payload = body.partition(b":")[2]
        data = payload if body[:1] == b"X" else bytes.fromhex(payload.decode())
        at = span[0] - RAM
        if at < 0 or at + span[1] > RAM_SIZE:
            return b"E0E"
        if body[:1] == b"X" and len(data) >= 8:
            self.late_write = (at, data)
        else:
            self.board.ram[at : at + len(data)] = data
        return b"OK"

    def _point(self, body: bytes) -> bytes:
        point = point_of(body)
        if point is None or point.type > 4:
            raise DroppedError(body)
        if self.board.running and point.type != 1:
            return b"E0E"
        if body[:1] == b"Z":
            self._set(point)
        elif point in self.points:
            self._clear(point)
        return b"OK"

    def _set(self, point: Point) -> None:
        at = point.address - RAM
        if point in self.points:
            return
        self.points[point] = bytes(self.board.ram[at : at + 2]) if point.type == 0 else b""
        if point.type == 0:
            self.board.ram[at : at + 2] = BKPT
        else:
            self.board.comparators.add(point)

    def _clear(self, point: Point) -> None:
        under, at = self.points.pop(point), point.address - RAM
        if point.type == 0 and self.board.ram[at : at + 2] == BKPT:
            self.board.ram[at : at + 2] = under
        self.board.comparators.discard(point)

    def _resume(self, body: bytes) -> bytes | None:
        if body.startswith(b"vCont") and body[6:7] not in (b"c", b"s"):
            return b""
        self._flush()
        self.owes_stop = True
        if steps(body):
            if self.board.running:
                self._out += encode(text_packet("target cpu was not halted when step was requested\n"))
                return None
            self.board.registers[15] += 2
            self._out += encode(text_packet(f"halted: PC: 0x{self.board.registers[15]:08x}\n"))
            self._out += self.halt(b"05")
            return None
        if self.board.running:
            self._out += encode(text_packet("target cpu was not halted when resume was requested\n"))
        self.board.running = True
        return None

    def _flush(self) -> None:
        if self.board.running:
            return
        if self.unread:
            self.board.registers[15] = 0
        for number, value in self.dirty.items():
            self.board.registers[number] = value
        self.dirty.clear()

    def _monitor(self, line: str) -> bytes:
        match line.split():
            case ["halt"]:
                if self.board.running:
                    self._out += self.halt(b"02")
                return b"OK"
            case ["resume"] if not self.board.running:
                self._flush()
                self.owes_stop, self.board.running = False, True
                return b"OK"
            case ["reset", "halt"]:
                self.board.reset(halt=True)
                self.dirty.clear()
                self.unread = False
                return b"OK"
            case ["[target", "current]", "curstate"]:
                return (b"running" if self.board.running else b"halted").hex().encode()
            case ["crash"]:
                raise CrashedError
            case _:
                self._out += encode(text_packet(f"did {line}\n"))
                return b"OK"

    def _xfer(self, body: bytes) -> bytes:
        subject, _, where = body.rpartition(b":")
        text = {b"features": DESCRIPTION, b"memory-map": MEMORY_MAP, b"threads": self.threads}.get(subject.split(b":")[1])
        if text is None:
            return b"E00"
        offset, length = (int(number, 16) for number in where.split(b","))
        if offset > len(text) or length >= 1 << 31:
            raise CrashedError
        return (b"m" if offset + length < len(text) else b"l") + text[offset : offset + length]

    def _flash(self, body: bytes) -> bytes:
        if body == b"vFlashDone":
            if not self.has_image:
                raise CrashedError
            self.board.flashed, self.image, self.has_image = self.image, b"", False
        elif body.startswith(b"vFlashWrite"):
            self.has_image = True
            self.image += body.split(b":", 2)[2]
        return b"OK"
