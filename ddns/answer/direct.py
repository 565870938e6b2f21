"""Answers that are read straight out of a zone's packed octets, as the database sent them.

A home is asked for one or two of its RRsets, once by each resolver: unpacking its zone and remembering the answer would
cost more than looking through its two or three thousand octets each time. Law: only what stands at the name itself and
leads nowhere is found here; a zone that holds a delegation or a DNAME, an alias, and whatever is not there are left
to `ddns.answer.responder`, whose octets these are. As soon as an edition has changed the zone its octets are old,
and `ZoneImage.direct` is None.
"""

from __future__ import annotations

import struct

from ddns.answer.served import QUESTION_POINTER
from ddns.dns import names
from ddns.dns.codes import CLASS_IN, Type
from ddns.dns.names import Name

# Types whose RDATA is written as it is and asks for no additional records; native/direct.c has the same.
TYPES = frozenset({Type.A, Type.TXT, Type.KEY, Type.AAAA, Type.SSHFP, Type.DNSKEY, Type.TLSA, Type.CDS, Type.CDNSKEY})

_OPENING = struct.Struct("!IH")  # an RRset's size, the length of its owner's key
_FIXED = struct.Struct("!4I")  # type, TTL, records, RRSIGs
_RECORD = struct.Struct("!2sHHI")  # owner as a pointer to the question, type, class, TTL
_MOST = 0xFFFF  # records that a header can count


def find(packed: bytes, name: Name, origin: Name, rdtype: int, *, signed: bool) -> tuple[int, bytes] | None:
    """Return number and octets of the records that answer for *name* in the zone *origin*; None: look elsewhere."""
    key = names.order_key(name)
    apex = len(names.order_key(origin))
    at, end = 0, len(packed)
    found = -1
    ready = False
    while at < end:
        size, owner = _OPENING.unpack_from(packed, at)
        place = at + 6 + owner
        here = packed[place + 2] << 8 | packed[place + 3]
        if here == rdtype and packed[at + 6 : place] == key:
            found = place
        elif here == Type.SOA:
            ready |= owner == apex
        elif here == Type.DNAME or (here == Type.NS and owner != apex):
            return None
        at += 4 + size
    return _records(packed, found, signed=signed) if ready and found >= 0 else None


def _records(packed: bytes, at: int, *, signed: bool) -> tuple[int, bytes] | None:
    kind, ttl, records, sigs = _FIXED.unpack_from(packed, at)
    count = records + sigs if signed else records
    if count > _MOST:
        return None
    at += _FIXED.size
    fixed = _RECORD.pack(QUESTION_POINTER, kind, CLASS_IN, ttl)
    parts: list[bytes] = []
    for number in range(count):
        if number == records:
            fixed = _RECORD.pack(QUESTION_POINTER, Type.RRSIG, CLASS_IN, ttl)
        after = at + 4 + (packed[at + 2] << 8 | packed[at + 3])
        parts.append(fixed)
        parts.append(packed[at + 2 : after])  # RDLENGTH is the length's lower half
        at = after
    return count, b"".join(parts)
