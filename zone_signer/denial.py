"""Records that prove what does not exist: NSEC (RFC 4034 §4) and NSEC3 (RFC 5155), one of each at a time. Pure.

In a compact zone (RFC 9824) every name that exists has an NSEC record that speaks of it alone: `ddns.zone.compact`.

NSEC3 is always SHA-1, no opt-out, no extra iterations, no salt (RFC 9276 §3.1). How records follow one
another is the business of `chain`.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache

from ddns.dns import names
from ddns.dns.codes import MAX_NAME, Type
from ddns.dns.names import Name
from ddns.dns.records import Rdata
from ddns.zone import compact

NSEC3PARAM = b"\x01\x00\x00\x00\x00"  # `1 0 0 -` (RFC 5155 §4.2)
_NSEC3_HEAD = b"\x01\x00\x00\x00\x00\x14"  # the same and the length of a SHA-1 hash (RFC 5155 §3.2)
_HASH = 20  # octets
_LABEL = 33  # octets of a hashed owner's first label, its length included

TYPES = {"nsec": Type.NSEC, "nsec3": Type.NSEC3, compact.DENIAL: Type.NSEC}
WITH_EMPTY = frozenset(
    {"nsec3", compact.DENIAL}
)  # where names without records have a record too, if there are names below


class NameTooLong(ValueError):
    """A zone whose name leaves no room for what its denial records need; the message says what to do."""


def hashed(name: Name, salt: bytes = b"", iterations: int = 0) -> bytes:
    """Return the hash of *name* (RFC 5155 §5)."""
    digest = hashlib.sha1(name + salt, usedforsecurity=False).digest()
    for _ in range(iterations):
        digest = hashlib.sha1(digest + salt, usedforsecurity=False).digest()
    return digest


# Two characters of base32hex (RFC 4648 §7), in lower case, for each ten bits: the library's own is twice as slow.
_PAIRS = [
    bytes((high, low)) for high in b"0123456789abcdefghijklmnopqrstuv" for low in b"0123456789abcdefghijklmnopqrstuv"
]
_PLACES = range(150, -1, -10)  # of the ten bits in a SHA-1 hash


def owner_of(digest: bytes, origin: Name) -> Name:
    """Return the owner name of the NSEC3 record for a hash (RFC 5155 §3: base32hex, no padding)."""
    number = int.from_bytes(digest)
    return b"\x20" + b"".join([_PAIRS[number >> place & 1023] for place in _PLACES]) + origin


def chain_owner(denial: str, name: Name, origin: Name) -> Name:
    """Return where the record that speaks for *name* stands. Raises `NameTooLong`."""
    if denial == compact.DENIAL and len(origin) > compact.LONGEST_ORIGIN:
        raise NameTooLong(f"{names.to_text(origin)} is too long a name for that; sign it with --denial nsec")
    if denial != "nsec3":
        return name
    if len(origin) + _LABEL > MAX_NAME:
        raise NameTooLong(f"{names.to_text(origin)} is too long a name for NSEC3; sign it with --denial nsec")
    return owner_of(hashed(name), origin)


@lru_cache(maxsize=4096)
def bitmap(types: frozenset[int]) -> bytes:
    """Return the type bit maps field (RFC 4034 §4.1.2)."""
    windows: dict[int, bytearray] = {}
    for rdtype in sorted(types):
        bits = windows.setdefault(rdtype >> 8, bytearray())
        at = (rdtype & 0xFF) >> 3
        bits.extend(bytes(at + 1 - len(bits)))
        bits[at] |= 0x80 >> (rdtype & 7)
    return b"".join(bytes((window, len(bits))) + bits for window, bits in windows.items())


def rdata_of(denial: str, following: Name, bits: bytes) -> Rdata:
    """Return the RDATA of a record whose successor in the chain stands at *following*."""
    if denial != "nsec3":
        return following + bits
    return _NSEC3_HEAD + int(following[1:_LABEL], 32).to_bytes(_HASH) + bits  # its digits are those of base32hex


def read(denial: str, rdata: Rdata, origin: Name) -> tuple[Name, bytes]:
    """Return where the successor of a published record stands, and its type bit maps."""
    if denial != "nsec3":
        end = names.skip(rdata, 0)
        return rdata[:end], rdata[end:]
    at = len(_NSEC3_HEAD)
    return owner_of(rdata[at : at + _HASH], origin), rdata[at + _HASH :]
