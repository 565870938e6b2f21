"""Which names of a zone are its own, which are cuts, and which are hidden. Pure.

This is the law that full and incremental signing share. A *blocker* hides every name below itself: a cut, which is
a name other than the apex with NS (RFC 4035 §2.2), or a name with a DNAME (RFC 6672 §2.4). Hidden names are published
without signatures, as glue is, and no denial record speaks for them. A cut's only signed records are its DS and its
NSEC.
"""

from __future__ import annotations

from collections.abc import Collection
from collections.abc import Set as AbstractSet

from ddns.dns.codes import SIGNER_TYPES, Type
from ddns.dns.names import Name, parent
from ddns.dns.records import RRset

_AT_A_CUT = frozenset({int(Type.NS), int(Type.DS)})
_ONE_KEY = frozenset({int(Type.DNSKEY)})


def blocks(name: Name, types: Collection[int], origin: Name) -> bool:
    """Tell whether a name with records of *types* hides what is below it."""
    return (Type.NS in types and name != origin) or Type.DNAME in types


def is_cut(name: Name, types: Collection[int], origin: Name) -> bool:
    """Tell whether a name with records of *types* is delegated, if it is not hidden itself."""
    return Type.NS in types and name != origin


def hidden(name: Name, blockers: AbstractSet[Name], origin: Name) -> bool:
    """Tell whether one of *blockers* stands above *name*."""
    if not blockers:
        return False
    while len(name) > len(origin):
        name = parent(name)
        if name in blockers:
            return True
    return False


def is_signed(rdtype: int, *, cut: bool) -> bool:
    """Tell whether an RRset at a name that is not hidden is signed (RFC 4035 §2.2)."""
    return not cut or rdtype == Type.DS


def own(rrsets: tuple[RRset, ...]) -> tuple[RRset, ...]:
    """Return *rrsets* without what the signer makes itself, such as signatures that a zone file brought."""
    for rrset in rrsets:
        if rrset.type in SIGNER_TYPES:
            return tuple(one for one in rrsets if one.type not in SIGNER_TYPES)
    return rrsets


def chain_types(
    name: Name, types: Collection[int], origin: Name, denial: str, of_keys: AbstractSet[int] = _ONE_KEY
) -> frozenset[int]:
    """Return the types that the denial record of a name says exist (RFC 4035 §2.3, RFC 5155 §7.1, RFC 9824 §3.2).

    *name* is not hidden; *types* are those of its unsigned records, none for an empty non-terminal. *of_keys* are the
    types that the apex has because of the zone's keys (`records_of_keys`).
    """
    cut = is_cut(name, types, origin)
    found = {int(one) for one in types if not cut or one in _AT_A_CUT}
    if denial != "nsec3":
        found |= {Type.RRSIG, Type.NSEC}
    elif found and (not cut or Type.DS in found):
        found.add(Type.RRSIG)
    if name == origin:
        found |= of_keys
        if denial == "nsec3":
            found.add(Type.NSEC3PARAM)
    return frozenset(found)
