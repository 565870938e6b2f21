"""One published step of a zone: what left and what came, from serial to serial.

IXFR, the servers' patch, replication and the log are this one object. *removed* holds the RRsets as
they were published, signatures included; *added* as they are published now. An RRset that changed
stands in both. Every edition of a zone has the number of the one before it plus one; the first is 1,
with *from_serial* equal to *to_serial* and nothing removed.
"""

from __future__ import annotations

import msgspec

from ddns.dns.records import SignedRRset


class Edition(msgspec.Struct, frozen=True, array_like=True):
    """One published step; *zone* is the database's id of the zone, serials as in RFC 1982."""

    zone: int
    number: int
    from_serial: int
    to_serial: int
    removed: tuple[SignedRRset, ...]
    added: tuple[SignedRRset, ...]


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(tuple[SignedRRset, ...])


def pack(rrsets: tuple[SignedRRset, ...]) -> bytes:
    """Return the octets in which the database keeps one side of an edition."""
    return _ENCODER.encode(rrsets)


def unpack(octets: bytes) -> tuple[SignedRRset, ...]:
    """Read what `pack` wrote."""
    return _DECODER.decode(octets)
