"""How OpenOCD reads what a client sends, byte by byte as its C does: the other side of the promise that the guard gives.

Source: gdb_server.c, gdb_get_packet_inner and fetch_packet; the same in 0.10, 0.11, 0.12 and master.
"""

ESCAPE, END, START, INTERRUPT = 0x7D, 0x23, 0x24, 0x03


def packets_read(stream: bytes) -> tuple[list[bytes], bytes]:
    """Return the packets that OpenOCD takes out of bytes, without acknowledgements, and what it still waits for the end of."""
    packets: list[bytes] = []
    at = 0
    while (start := stream.find(START, at)) >= 0:
        body, after = _fetched(stream, start + 1)
        if after is None:
            return packets, stream[start:]
        packets.append(body)
        at = after
    return packets, b""


def _fetched(stream: bytes, at: int) -> tuple[bytes, int | None]:
    """Return one packet and where the next may begin: behind two bytes of checksum, whatever these are."""
    body = bytearray()
    while at < len(stream):
        byte = stream[at]
        at += 1
        if byte == END:
            return bytes(body), at + 2 if at + 2 <= len(stream) else None
        if byte == ESCAPE:
            if at == len(stream):
                break
            byte = stream[at] ^ 0x20
            at += 1
        body.append(byte)
    return bytes(body), None


# The words by whose beginning alone OpenOCD knows a packet (gdb_server.c, and rtos.c for the last row), and single letters.
BEGINNINGS = (
    b"vCont", b"vRun", b"vFlashErase:", b"vFlashWrite:", b"vFlashDone",
    b"qRcmd,", b"qCRC:", b"qSupported", b"qXfer:memory-map:read::", b"qXfer:features:read:", b"qXfer:threads:read:",
    b"QStartNoAckMode",
    b"qThreadExtraInfo,", b"qSymbol", b"qfThreadInfo", b"qsThreadInfo", b"qAttached", b"qOffsets", b"qC",
)  # fmt: skip
LETTERS = b"THgGpPmMzZ?csDXk!RjJF"


def known_as(packet: bytes) -> bytes:
    """Return what OpenOCD takes a packet for; nothing for one that it does not know, and answers with an empty packet."""
    if packet[:1] in (b"v", b"q", b"Q"):
        return next((word for word in BEGINNINGS if packet.startswith(word)), b"")
    return packet[:1] if packet[:1] and packet[:1] in LETTERS else b""
