"""Telnet commands out of a byte stream: a plain NVT that says nothing first and refuses every option.

RFC 854 (commands), RFC 855 (subnegotiation), RFC 860 (timing mark). Refusing everything keeps each client in its line mode,
where it echoes and edits by itself; a server that asks first makes `nc` show junk and PuTTY change its mode.
"""

from enum import Enum, auto

SE, BREAK, INTERRUPT, ARE_YOU_THERE, ERASE_CHAR, ERASE_LINE, SB = 240, 243, 244, 246, 247, 248, 250
WILL, WONT, DO, DONT, IAC = 251, 252, 253, 254, 255
TIMING_MARK = 6
SUBNEGOTIATION_LIMIT = 512  # bytes after which an SB without SE is taken as over: no session goes deaf

AS_KEYS = {INTERRUPT: b"\x03", BREAK: b"\x03", ERASE_CHAR: b"\x08", ERASE_LINE: b"\x15", IAC: b"\xff"}
REFUSAL = {WILL: DONT, DO: WONT}


class _At(Enum):
    DATA = auto()
    COMMAND = auto()
    OPTION = auto()
    SUB = auto()
    SUB_COMMAND = auto()


class Options:
    """Strips telnet commands from what a client sends; `feed` may be called with any chunking."""

    def __init__(self) -> None:
        self._at = _At.DATA
        self._verb = 0
        self._sub_size = 0

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        """Return (plain data, reply to send).

        Editing commands come back as the keys they stand for: interrupt and break as ^C, erase character as backspace,
        erase line as ^U.
        """
        if self._at is _At.DATA and IAC not in data:
            return data, b""
        plain, reply = bytearray(), bytearray()
        for byte in data:
            self._byte(byte, plain, reply)
        return bytes(plain), bytes(reply)

    def _byte(self, byte: int, plain: bytearray, reply: bytearray) -> None:
        match self._at:
            case _At.DATA if byte == IAC:
                self._at = _At.COMMAND
            case _At.DATA:
                plain.append(byte)
            case _At.COMMAND:
                self._command(byte, plain, reply)
            case _At.OPTION:
                reply += self._answer(byte)
                self._at = _At.DATA
            case _At.SUB | _At.SUB_COMMAND:
                self._sub(byte)

    def _command(self, byte: int, plain: bytearray, reply: bytearray) -> None:
        self._at = _At.DATA
        if byte in {WILL, WONT, DO, DONT}:
            self._at, self._verb = _At.OPTION, byte
        elif byte == SB:
            self._at, self._sub_size = _At.SUB, 0
        elif byte == ARE_YOU_THERE:
            reply += b"\r\n[ocdsup is here]\r\n"
        else:
            plain += AS_KEYS.get(byte, b"")

    def _answer(self, option: int) -> bytes:
        """Refuse the option; a timing mark is agreed to, since inetutils telnet drops all output after ^C until it comes."""
        if option == TIMING_MARK and self._verb == DO:
            return bytes((IAC, WILL, TIMING_MARK))
        return bytes((IAC, REFUSAL[self._verb], option)) if self._verb in REFUSAL else b""

    def _sub(self, byte: int) -> None:
        self._sub_size += 1
        if self._sub_size > SUBNEGOTIATION_LIMIT or (self._at is _At.SUB_COMMAND and byte == SE):
            self._at = _At.DATA
        elif self._at is _At.SUB and byte == IAC:
            self._at = _At.SUB_COMMAND
        else:
            self._at = _At.SUB
