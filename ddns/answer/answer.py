"""An answer as it is written: what follows the echoed question, and what the header says of it."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from functools import lru_cache

import msgspec

_COUNTS = struct.Struct("!HHH")
_SPOT = struct.Struct("!H")
_WRITTEN = 4096  # ours: bodies that are kept as they stand behind a question of another length


class Answer(msgspec.Struct, frozen=True, gc=False):
    """A written answer: *flags* are AA, TC and the RCODE; *body* holds that many records in its three sections.

    *whole* tells that nothing was left out for want of room.
    """

    flags: int
    answers: int
    authorities: int
    additionals: int
    body: bytes
    whole: bool = True

    def counts(self, *, edns: bool) -> bytes:
        """Return ANCOUNT, NSCOUNT and ARCOUNT for the header; *edns*: an OPT stands behind the body."""
        return _COUNTS.pack(self.answers, self.authorities, self.additionals + edns)


class Referral(msgspec.Struct, frozen=True, gc=False):
    """The referral *answer* to a question whose name has *size* octets.

    For a name of another size at or below the same delegation it differs in its compression pointers alone, which
    stand at *spots* in its body: see `written`.
    """

    answer: Answer
    size: int
    spots: bytes

    def behind(self, size: int) -> Answer:
        """Return the same referral for a question whose name has *size* octets."""
        if size == self.size:
            return self.answer
        known = self.answer
        body = written(known.body, self.spots, size - self.size)
        return Answer(known.flags, known.answers, known.authorities, known.additionals, body)


def pack_spots(spots: Iterable[int]) -> bytes:
    """Return offsets in octets, two octets each."""
    return b"".join([_SPOT.pack(spot) for spot in spots])


@lru_cache(maxsize=_WRITTEN)
def written(octets: bytes, spots: bytes, further: int) -> bytes:
    """Return *octets* with the compression pointers at *spots* leading *further* octets on (RFC 1035 §4.1.4)."""
    out = bytearray(octets)
    for (spot,) in _SPOT.iter_unpack(spots):
        out[spot : spot + 2] = _SPOT.pack((out[spot] << 8 | out[spot + 1]) + further)
    return bytes(out)
