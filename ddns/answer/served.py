"""One RRset as it lies in memory: the octets that an answer is made of.

Law: *wire* holds the records, then the RRSIGs that cover them, each as it stands in a message whose
question asks for the owner: the owner's place is taken by a pointer to the question (0xC00C). So the
answer to the plainest question is these octets as they are, shared and never copied. NSEC3 records
are never asked for by name; theirs begins with the hashed label instead, and their zone's apex is
to follow it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from operator import attrgetter

import msgspec

from ddns.dns import twin
from ddns.dns.codes import CLASS_IN, Type
from ddns.dns.names import Name
from ddns.dns.records import Rdata, RRset, SignedRRset

QUESTION_POINTER = b"\xc0\x0c"  # RFC 1035 §4.1.4: the question's name starts at offset 12
HASHED_LABEL = 33  # octets of an NSEC3 owner's first label with its length: SHA-1 in base32hex (RFC 5155 §3)

_FIXED = struct.Struct("!HHI")
_LENGTH = struct.Struct("!H")
_BY_TYPE = attrgetter("type")
_RDATA = 12  # octets of owner pointer, type, class, TTL and RDLENGTH


class Served(msgspec.Struct, frozen=True, gc=False):
    """An RRset of *type*: its signatures begin at *split* in *wire*, and there are *sigs* of them."""

    type: int
    split: int
    sigs: int
    wire: bytes

    @property
    def ttl(self) -> int:
        """Return the TTL in seconds."""
        start = 6 if self.wire[0] == 0xC0 else HASHED_LABEL + 4
        return int.from_bytes(self.wire[start : start + 4], "big")

    def count(self) -> int:
        """Return the number of records without signatures."""
        return len(rdatas(self))


def serve(rdtype: int, ttl: int, records: Iterable[Rdata], sigs: tuple[Rdata, ...] = ()) -> Served:
    """Return the RRset of *rdtype* with these RDATA and RRSIG RDATA as it lies in memory."""
    packed = twin.serve(rdtype, ttl, records, sigs)
    return _serve(rdtype, ttl, records, sigs) if packed is None else Served(rdtype, packed[0], len(sigs), packed[1])


def _serve(rdtype: int, ttl: int, records: Iterable[Rdata], sigs: tuple[Rdata, ...]) -> Served:
    fixed = QUESTION_POINTER + _FIXED.pack(rdtype, CLASS_IN, ttl)
    wire = b"".join([fixed + _LENGTH.pack(len(rdata)) + rdata for rdata in records])
    split = len(wire)
    if sigs:
        fixed = QUESTION_POINTER + _FIXED.pack(Type.RRSIG, CLASS_IN, ttl)
        wire += b"".join([fixed + _LENGTH.pack(len(rdata)) + rdata for rdata in sigs])
    return Served(rdtype, split, len(sigs), wire)


def serve_hashed(owner: Name, ttl: int, rdata: Rdata, sigs: tuple[Rdata, ...]) -> Served:
    """Return the NSEC3 record of *owner* as it lies in memory: under its hashed label."""
    plain = serve(Type.NSEC3, ttl, (rdata,), sigs)
    wire = owner[:HASHED_LABEL] + plain.wire[2:]
    return Served(Type.NSEC3, plain.split + HASHED_LABEL - 2, len(sigs), wire)


def rdatas(served: Served) -> list[Rdata]:
    """Return the RDATA of the records."""
    return _walk(served.wire, 0 if served.wire[0] == 0xC0 else HASHED_LABEL - 2, served.split)


def signatures(served: Served) -> tuple[Rdata, ...]:
    """Return the RDATA of the RRSIGs."""
    return tuple(_walk(served.wire, served.split, len(served.wire)))


def published(name: Name, node: tuple[Served, ...], rdtype: int) -> SignedRRset | None:
    """Return the RRset of *rdtype* among those of *node*, at *name*, as it is published; None where there is none."""
    return twin.published(SignedRRset, name, node, rdtype) or _published(name, node, rdtype)


def _published(name: Name, node: tuple[Served, ...], rdtype: int) -> SignedRRset | None:
    served = find(node, rdtype)
    if served is None:
        return None
    return SignedRRset(name, served.type, served.ttl, tuple(rdatas(served)), signatures(served))


def replaced(nodes: Mapping[Name, tuple[Served, ...]], added: tuple[SignedRRset, ...]) -> tuple[SignedRRset, ...]:
    """Return the RRsets as they are published that *added* take the places of, where there are any."""
    found = twin.replaced(SignedRRset, nodes, added)
    return _replaced(nodes, added) if found is None else found


def _replaced(nodes: Mapping[Name, tuple[Served, ...]], added: tuple[SignedRRset, ...]) -> tuple[SignedRRset, ...]:
    found = [_published(one.name, nodes.get(one.name, ()), one.type) for one in added]
    return tuple([one for one in found if one is not None])


def stored(name: Name, node: tuple[Served, ...], others: frozenset[int]) -> tuple[RRset, ...]:
    """Return the RRsets of *node*, those of *name*, by type and without signatures; *others* are types left out."""
    found = twin.stored(RRset, name, node, others)
    return _stored(name, node, others) if found is None else found


def _stored(name: Name, node: tuple[Served, ...], others: frozenset[int]) -> tuple[RRset, ...]:
    return tuple(
        [
            RRset(name, served.type, served.ttl, tuple(rdatas(served)))
            for served in sorted(node, key=_BY_TYPE)
            if served.type not in others
        ]
    )


def placed(node: tuple[Served, ...], rrset: SignedRRset) -> tuple[tuple[Served, ...], int, int]:
    """Return the RRsets of a name with *rrset* in its place, how many octets that is more, and how many RRsets."""
    return twin.placed(Served, node, rrset) or _placed(node, rrset)


def _placed(node: tuple[Served, ...], rrset: SignedRRset) -> tuple[tuple[Served, ...], int, int]:
    served = serve(rrset.type, rrset.ttl, rrset.rdatas, rrset.sigs)
    rest = tuple([other for other in node if other.type != rrset.type])
    octets = len(served.wire) - sum([len(other.wire) for other in node if other.type == rrset.type])
    return (*rest, served), octets, 1 - len(node) + len(rest)


def only_signatures(served: Served) -> Served:
    """Return the RRSIGs of *served* as an RRset of their own, for those who ask for them."""
    return Served(Type.RRSIG, len(served.wire) - served.split, 0, served.wire[served.split :])


def with_ttl(served: Served, ttl: int) -> Served:
    """Return *served* with another *ttl* on the records and their signatures."""
    return serve(served.type, ttl, rdatas(served), signatures(served))


def find(node: tuple[Served, ...], rdtype: int) -> Served | None:
    """Return the RRset of *rdtype* among those of one owner."""
    for served in node:
        if served.type == rdtype:
            return served
    return None


def _walk(wire: bytes, at: int, end: int) -> list[Rdata]:
    out = []
    while at < end:
        start = at + _RDATA
        at = start + (wire[start - 2] << 8 | wire[start - 1])
        out.append(wire[start:at])
    return out
