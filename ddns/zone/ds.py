"""DS records: what a zone above says of a key below it."""

from __future__ import annotations

import hashlib
import struct

from ddns.dns.names import Name
from ddns.dns.records import Rdata

DIGEST_SHA256 = 2  # RFC 4509


def ds_rdata(origin: Name, dnskey: Rdata) -> Rdata:
    """Return the DS RDATA with SHA-256 for a DNSKEY's RDATA (RFC 4509)."""
    padded = dnskey + b"\0" * (len(dnskey) % 2)
    total = sum(struct.unpack(f"!{len(padded) // 2}H", padded))
    tag = (total + (total >> 16)) & 0xFFFF
    return struct.pack("!HBB", tag, dnskey[3], DIGEST_SHA256) + hashlib.sha256(origin + dnskey).digest()
