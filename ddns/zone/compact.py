"""NSEC records of compact denial of existence (RFC 9824 §3), as signer and server both make them. Pure.

Law: a record stands at the name that was asked for, and what follows it is the next name that there can be: it speaks
of that name alone. Names that exist have theirs signed with the zone; those of all other names are signed when
somebody asks (`ddns.zone.jobs.ProofJob`), and both sides make the same octets here, so that none travel.
"""

from __future__ import annotations

from ddns.dns import names
from ddns.dns.codes import MAX_LABEL, MAX_NAME, Type
from ddns.dns.names import Name
from ddns.dns.records import Rdata

DENIAL = "compact"
LONGEST_ORIGIN = MAX_NAME - 2  # octets of a zone's name below which there is room for one more label
MOST_TTL = 86400  # seconds; a denial that is signed when it is asked for is no longer remembered by anybody

_LEAST = b"\x01\0"  # the label that sorts first (RFC 4471 §3.1.2)
# RRSIG, NSEC and NXNAME (RFC 9824 §3.1), as RFC 4034 §4.1.2 lays types out.
_NO_NAME = b"\0\x11" + bytes(5) + b"\x03" + bytes(10) + b"\x80"
# What a wildcard does not give to the names that it answers for (RFC 4592 §4.2 to §4.6), and no name in a zone has.
_NOT_GIVEN = (Type.NS, Type.SOA, Type.DNAME, Type.DS, Type.NXNAME)


def successor(name: Name, origin: Name) -> Name:
    """Return the first name behind *name*, in zone *origin*, in canonical order (RFC 4471 §3.1.2)."""
    return _LEAST + name if len(name) + len(_LEAST) <= MAX_NAME else behind(name, origin)


def behind(name: Name, origin: Name) -> Name:
    """Return the first name behind *name* and all that is below it: what follows a delegation (RFC 9824 §3.4)."""
    while name != origin:
        above = names.parent(name)
        label = name[1 : 1 + name[0]]
        if len(label) < MAX_LABEL and len(name) < MAX_NAME:
            return names.prepend(label + b"\0", above)
        greatest = label.rstrip(b"\xff")
        if greatest:
            last = greatest[-1] + 1
            if last == ord("A"):  # capitals are the same as small letters, which sort later
                last = ord("Z") + 1
            return names.prepend(greatest[:-1] + bytes((last,)), above)
        name = above
    return origin


def following(name: Name, origin: Name, *, cut: bool) -> Name:
    """Return the Next Domain Name of the record of *name*, which is a delegation where *cut*."""
    return behind(name, origin) if cut else successor(name, origin)


def may_be_compact(name: Name, nsec: Rdata) -> bool:
    """Tell whether *nsec*, which stands at *name*, is followed by the first name that there can be.

    So it is at the apex of a zone that denies in this way. In a chain of names that exist what follows is one of those,
    or the apex: so it may be there too, where the `successor` of *name* exists, and then the record of that name tells.
    """
    return nsec.startswith(_LEAST + name)


def absent(name: Name, origin: Name) -> Rdata:
    """Return the NSEC RDATA that says that *name*, in zone *origin*, does not exist (RFC 9824 §3.1)."""
    return successor(name, origin) + _NO_NAME


def expanded(name: Name, origin: Name, wildcard: Rdata) -> Rdata:
    """Return the NSEC RDATA of *name*, for which a wildcard answers that has *wildcard* for its own (RFC 9824 §3.3)."""
    return successor(name, origin) + _given(wildcard[names.skip(wildcard, 0) :])


def _given(bits: bytes) -> bytes:
    """Return type bit maps without the types that a wildcard keeps for itself; they are all in the first window."""
    if bits[:1] != b"\0":
        return bits
    end = 2 + bits[1]
    first = bytearray(bits[2:end])
    for rdtype in _NOT_GIVEN:
        at = rdtype >> 3
        if at < len(first):
            first[at] &= ~(0x80 >> (rdtype & 7)) & 0xFF
    left = first.rstrip(b"\0")
    return (bytes((0, len(left))) + left if left else b"") + bits[end:]
