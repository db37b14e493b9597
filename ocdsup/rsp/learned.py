"""What a backend has said about itself and its target, and what of that lasts."""

from dataclasses import dataclass, field

from .guard import register_sizes
from .packets import Row, is_error, piece_of


@dataclass(slots=True)
class Learned:
    """What a backend has said about itself and its target: it outlives sessions, so that GDB can attach during an outage."""

    replies: dict[bytes, bytes] = field(default_factory=dict)  # request body -> reply body, see `_LASTING`
    description: dict[int, bytes] = field(default_factory=dict)  # offset -> piece of target.xml
    sizes: dict[int, int] = field(default_factory=dict)  # what the description says: register number -> digits of its value
    registers: int = 0  # digits of a `g` reply; 0: none was seen yet
    ends: dict[bytes, int] = field(default_factory=dict)  # a `qXfer` up to its annex -> bytes of the object that were seen

    def note(self, row: Row, body: bytes, reply: bytes) -> None:
        """Keep the reply of a request whose answer lasts as long as the target is the same."""
        if is_error(reply) or not lasting(row, body):
            return
        # GDB's own features vary from client to client; OpenOCD ignores them.
        key = b"qSupported" if row.name == "qSupported" else body
        if key in self.replies or sum(map(len, (*self.replies, *self.replies.values(), key, reply))) < _MOST_LEARNED:
            self.replies[key] = reply
        piece = piece_of(body)
        if piece is not None and body.startswith(_PIECES):
            subject, offset = piece
            self.ends[subject] = max(self.ends.get(subject, 0), offset + len(reply) - 1)
            if body.startswith(DESCRIPTION):
                self._describe(offset, reply)

    def reply(self, row: Row, body: bytes) -> bytes | None:
        """Return the reply that was given to this request before; None when there was none."""
        return self.replies.get(b"qSupported" if row.name == "qSupported" else body)

    def _describe(self, offset: int, reply: bytes) -> None:
        if offset == 0:
            self.description.clear()
        if offset != sum(map(len, self.description.values())):
            return  # no piece that follows: it would be put in a wrong place
        self.description[offset] = reply[1:]
        if reply[:1] == b"l":
            self.sizes = register_sizes(b"".join(self.description.values()))


DESCRIPTION = b"qXfer:features:read:target.xml:"
_PIECES = (DESCRIPTION, b"qXfer:memory-map:read::")
_MOST_LEARNED = 1 << 19  # bytes: some 20 times what a GDB asks; a client can ask for the same again and again in other words
_LASTING_XFER = (b"qXfer:features:", b"qXfer:memory-map:")


def lasting(row: Row, body: bytes) -> bool:
    """Tell whether the answer to a request stays the same as long as the configuration of the backend does."""
    if row.name == "qXfer":
        return body.startswith(_LASTING_XFER)
    return row.name in ("qSupported", "vCont?", "vMustReplyEmpty", "qTStatus", "qOffsets", "qAttached")
