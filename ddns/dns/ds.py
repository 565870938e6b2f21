"""DS records and the keys that they name (RFC 4034 §5).

Law: which digest a DS has is its publisher's affair; what counts is the key that it leads to. Digests are SHA-256 and
SHA-384, no other (RFC 9904); a DS with another one leads nowhere.
"""

from __future__ import annotations

import hashlib
import struct

from ddns.dns.names import Name
from ddns.dns.records import Rdata

SHA256 = 2  # RFC 4509 §2.1
SHA384 = 4  # RFC 6605 §2
_DIGESTS = {SHA256: (hashlib.sha256, 32), SHA384: (hashlib.sha384, 48)}  # the number of octets of each
_HEAD = struct.Struct("!HBB")  # key tag, algorithm, digest type (RFC 4034 §5.1)
_ZONE_KEY, _REVOKED = 0x0100, 0x0080  # RFC 4034 §2.1.1, RFC 5011 §2.1
_PROTOCOL = 3  # RFC 4034 §2.1.2


def tag(dnskey: Rdata) -> int:
    """Return the key tag of a DNSKEY (RFC 4034 appendix B)."""
    padded = dnskey + b"\0" * (len(dnskey) & 1)
    total: int = sum(struct.unpack(f"!{len(padded) // 2}H", padded))
    return (total + (total >> 16)) & 0xFFFF


def algorithm(ds: Rdata) -> int:
    """Return the algorithm of the key that *ds* names."""
    return ds[2]


def of(origin: Name, dnskey: Rdata, digest: int = SHA256) -> Rdata:
    """Return the DS of zone *origin* that names *dnskey* (RFC 4034 §5.1.4)."""
    make, _ = _DIGESTS[digest]
    return _HEAD.pack(tag(dnskey), dnskey[3], digest) + make(origin + dnskey).digest()


def is_usable(ds: Rdata) -> bool:
    """Tell whether *ds* has a digest that is trusted here, as long as that digest is."""
    known = _DIGESTS.get(ds[3]) if len(ds) > _HEAD.size else None
    return known is not None and len(ds) == _HEAD.size + known[1]


def names_key(origin: Name, ds: Rdata, dnskey: Rdata) -> bool:
    """Tell whether *ds* of zone *origin* names *dnskey*."""
    return is_usable(ds) and len(dnskey) > _HEAD.size and of(origin, dnskey, ds[3]) == ds


def is_zone_key(dnskey: Rdata) -> bool:
    """Tell whether signatures by *dnskey* count for a zone: its flag is set, and it is not revoked."""
    if len(dnskey) <= _HEAD.size:
        return False
    flags, protocol, _ = _HEAD.unpack_from(dnskey)
    return bool(flags & _ZONE_KEY) and not flags & _REVOKED and protocol == _PROTOCOL
