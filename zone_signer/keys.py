"""The public side of a signing key: DNSKEY, key tag, DS (RFC 4034 §2, §5, appendix B). Pure."""

from __future__ import annotations

import hashlib
import struct

from ddns.dns.codes import Algorithm
from ddns.dns.names import Name
from ddns.dns.records import Rdata
from zone_signer.phase import Role

ZONE_KEY = 0x0100  # RFC 4034 §2.1.1
ENTRY_POINT = 0x0001  # RFC 4034 §2.1.1: what a DS may lead to
PROTOCOL = 3  # RFC 4034 §2.1.2
HEAD = 4  # octets of a DNSKEY before its public half (RFC 4034 §2.1)
DIGEST_SHA256 = 2  # RFC 4509 §2.1
RSA_BITS = 2048  # RFC 5702 §2.1 allows 512 to 4096; below 2048 they are too weak, above it answers too long
RSA_EXPONENT = 65537
ALGORITHMS = frozenset(Algorithm)  # what zones are signed with here: those that RFC 9904 lets validators check


def flags(role: Role) -> int:
    """Return the flags of a key of *role*: a zone key, and a secure entry point unless another key is that."""
    return ZONE_KEY if role is Role.ZSK else ZONE_KEY | ENTRY_POINT


def dnskey(flags: int, algorithm: int, public: bytes) -> Rdata:
    """Return a DNSKEY's RDATA; *public* as RFC 3110 §2, RFC 6605 §4 or RFC 8080 §3 lays it out."""
    return struct.pack("!HBB", flags, PROTOCOL, algorithm) + public


def rsa_public(exponent: bytes, modulus: bytes) -> bytes:
    """Return the public half of an RSA key; both numbers in big endian without leading zeros (RFC 3110 §2)."""
    assert 0 < len(exponent) <= 0xFF  # that of 65537 has three octets; a longer one would need a longer length
    return bytes([len(exponent)]) + exponent + modulus


def tag(rdata: Rdata) -> int:
    """Return the key tag of a DNSKEY (RFC 4034 appendix B; algorithm 1 is not used here)."""
    padded = rdata + b"\0" * (len(rdata) & 1)
    total: int = sum(struct.unpack(f"!{len(padded) // 2}H", padded))
    return (total + (total >> 16)) & 0xFFFF


def ds(owner: Name, rdata: Rdata) -> Rdata:
    """Return the DS with a SHA-256 digest for the DNSKEY *rdata* of zone *owner* (RFC 4509 §2.2)."""
    digest = hashlib.sha256(owner + rdata).digest()
    return struct.pack("!HBB", tag(rdata), rdata[3], DIGEST_SHA256) + digest
