"""A change of a zone as a value: which RRsets were, and which are.

Nobody mutates a zone; somebody applies a `ChangeSet`. An empty one means that nothing happened, and
the serial stays (RFC 2136 §3.6).
"""

from __future__ import annotations

import msgspec

from ddns.dns.names import Name
from ddns.dns.records import RRset


class RRsetChange(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One owner and type: *before* and *after* differ; None where there is no such RRset."""

    name: Name
    type: int
    before: RRset | None
    after: RRset | None


class ChangeSet(msgspec.Struct, frozen=True, array_like=True):
    """The changes of one accepted update (or one import) to the unsigned records of a zone."""

    changes: tuple[RRsetChange, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.changes)

    def pack(self) -> bytes:
        """Return the octets that the journal keeps."""
        return _ENCODER.encode(self)

    @classmethod
    def unpack(cls, octets: bytes) -> ChangeSet:
        """Read what `pack` wrote."""
        return _DECODER.decode(octets)


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(ChangeSet)
