"""The octets of an RRset that a signature covers (RFC 4034 §6). Pure.

The records' RDATA is canonical, sorted and free of duplicates by the law of `ddns.dns.records`, and names are
lower-case by the law of `ddns.dns.names`: what is left is to join them.
"""

from __future__ import annotations

import struct

from ddns.dns import names
from ddns.dns.codes import CLASS_IN
from ddns.dns.names import Name
from ddns.dns.records import Rdata

_FIXED = struct.Struct("!HHIH")


def wire(name: Name, rdtype: int, ttl: int, rdatas: tuple[Rdata, ...]) -> bytes:
    """Return the records of one RRset in canonical form and order, *ttl* being the original TTL (RFC 4034 §3.1.8.1)."""
    if len(rdatas) == 1:
        rdata = rdatas[0]
        return name + _FIXED.pack(rdtype, CLASS_IN, ttl, len(rdata)) + rdata
    return b"".join([name + _FIXED.pack(rdtype, CLASS_IN, ttl, len(rdata)) + rdata for rdata in rdatas])


def labels(name: Name) -> int:
    """Return the Labels field of signatures at *name*: neither the root nor `*` count (RFC 4034 §3.1.3)."""
    return names.count_labels(name) - names.is_wildcard(name)
