"""The public side of a signing key: DNSKEY, key tag, DS (RFC 4034 §2, §5, appendix B). Pure."""

from __future__ import annotations

import hashlib
import struct

from ddns.dns.codes import Algorithm
from ddns.dns.names import Name
from ddns.dns.records import Rdata

CSK_FLAGS = 257  # RFC 4034 §2.1.1: zone key and secure entry point, one key for both tasks
PROTOCOL = 3  # RFC 4034 §2.1.2
DIGEST_SHA256 = 2  # RFC 4509 §2.1
ALGORITHMS = frozenset({Algorithm.ECDSAP256SHA256, Algorithm.ED25519})  # what zones are signed with here (RFC 9904)


def dnskey(flags: int, algorithm: int, public: bytes) -> Rdata:
    """Return a DNSKEY's RDATA; *public* as RFC 6605 §4 or RFC 8080 §3 lays it out."""
    return struct.pack("!HBB", flags, PROTOCOL, algorithm) + public


def tag(rdata: Rdata) -> int:
    """Return the key tag of a DNSKEY (RFC 4034 appendix B; algorithm 1 is not used here)."""
    padded = rdata + b"\0" * (len(rdata) & 1)
    total: int = sum(struct.unpack(f"!{len(padded) // 2}H", padded))
    return (total + (total >> 16)) & 0xFFFF


def ds(owner: Name, rdata: Rdata) -> Rdata:
    """Return the DS with a SHA-256 digest for the DNSKEY *rdata* of zone *owner* (RFC 4509 §2.2)."""
    digest = hashlib.sha256(owner + rdata).digest()
    return struct.pack("!HBB", tag(rdata), rdata[3], DIGEST_SHA256) + digest
