"""Where a message's signature record stands: a TSIG or a SIG(0) is the last record of all, once, or a fault.

One walk that decodes no names: it is the first thing that happens to an UPDATE.
"""

from __future__ import annotations

import struct

import msgspec

from ddns.dns import twin
from ddns.dns.codes import HEADER_SIZE, Rcode, Type
from ddns.dns.refusal import Refusal

_TSIG = int(Type.TSIG)
_SIG = int(Type.SIG)
_COUNTS = struct.Struct("!4H")
_POINTER = 0xC0
_LABEL = 0x40


class Trailer(msgspec.Struct, frozen=True, gc=False):
    """The signature record of *type* TSIG or SIG: it starts at *start* with its owner, its fields stand at *fixed*."""

    type: int
    start: int
    fixed: int


def find(wire: bytes) -> Trailer | Refusal | None:
    """Return where the signature record of *wire* is, None where there is none (RFC 8945 §5.1, RFC 2931 §3).

    A second one, one of each kind, or one that is not the last record is refused; so are counts that do not
    match the octets.
    """
    found = twin.find_trailer(wire)
    return _find(wire) if found is None else Trailer(*found)


def _find(wire: bytes) -> Trailer | Refusal | None:
    size = len(wire)
    if size < HEADER_SIZE:
        return _malformed("it is shorter than a header")
    zones, answers, authorities, additional = _COUNTS.unpack_from(wire, 4)
    at = HEADER_SIZE
    last = answers + authorities + additional - 1
    start = fixed = found = 0
    try:
        for index in range(-zones, last + 1):
            start = at
            length = wire[at]
            while length:
                if length >= _POINTER:
                    at += 1
                    break
                if length >= _LABEL:
                    return _malformed("a label has a reserved type")
                at += 1 + length
                length = wire[at]
            at += 1
            if index < 0:
                at += 4
                continue
            fixed = at
            if found:
                return _misplaced("it must be the last record, and the only one")
            if wire[at] == 0:
                low = wire[at + 1]
                if low == _TSIG or (low == _SIG and _covers_nothing(wire, at)):
                    found = low
            at += 10 + (wire[at + 8] << 8 | wire[at + 9])
    except IndexError:
        return _malformed("a record runs over its end")
    if at != size:
        return _malformed("its counts and its octets do not match")
    if not found:
        return None
    if not additional:
        return _misplaced("it must stand in the additional section")
    return Trailer(found, start, fixed)


def _covers_nothing(wire: bytes, fixed: int) -> bool:
    """Tell whether a SIG record is a SIG(0), which covers type 0; others are data (RFC 2535 §4.1.1)."""
    return wire[fixed + 8 : fixed + 10] >= b"\0\2" and wire[fixed + 10 : fixed + 12] == b"\0\0"


def _malformed(reason: str) -> Refusal:
    return Refusal("message-malformed", Rcode.FORMERR, f"The message is malformed: {reason}.")


def _misplaced(reason: str) -> Refusal:
    return Refusal("signature-misplaced", Rcode.FORMERR, f"The message's signature record is misplaced: {reason}.")
