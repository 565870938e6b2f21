"""A zone's published RRsets as one string of octets, which the database makes and a zone in memory unpacks.

Law: of each RRset there are its size in 4 octets and then, in that size, the length of its owner's order key in 2
octets, the key, and in 4 octets each the type, the TTL, the number of records and the number of RRSIGs; then the
RDATA of the records and of the RRSIGs, each behind its length in 4 octets. Numbers are big-endian. RRsets stand in
any order. `ddns.store.published` has the expression that writes it. One string is what costs least to make, to send
and to keep: most zones of homes are never asked for more than one or two of their names.
"""

from __future__ import annotations

import struct
from typing import Any, NamedTuple

from ddns.answer.served import QUESTION_POINTER, Served
from ddns.dns.codes import CLASS_IN, Type
from ddns.dns.names import Name
from ddns.dns.records import SignedRRset

_OPENING = struct.Struct("!IH")  # size of what follows it, length of the owner's key
_FIXED = struct.Struct("!4I")  # type, TTL, records, RRSIGs
_RECORD = struct.Struct("!2sHHI")  # owner as a pointer to the question, type, class, TTL


class Content(NamedTuple):
    """At which offsets a zone's RRsets stand: of each owner, by its order key, and those of the types that chain.

    *cuts*, *dnames* and *starts* are the owners that have an NS, a DNAME and a SOA. NSEC3 RRsets are in *nsec3* alone.
    """

    owners: dict[bytes, list[int]]
    cuts: list[bytes]
    dnames: list[bytes]
    starts: list[bytes]
    nsec: list[bytes]
    nsec3: list[tuple[bytes, int]]


def content(packed: bytes) -> Content:
    """Return what stands where in *packed*."""
    found = Content({}, [], [], [], [], [])
    owners, opening = found.owners, _OPENING.unpack_from
    listed = {Type.NS: found.cuts, Type.DNAME: found.dnames, Type.SOA: found.starts, Type.NSEC: found.nsec}
    at, end = 0, len(packed)
    while at < end:
        size, length = opening(packed, at)
        place = at + 6 + length
        key = packed[at + 6 : place]
        rdtype = packed[place + 2] << 8 | packed[place + 3]
        if rdtype == Type.NSEC3:
            found.nsec3.append((key, at))
        elif key in owners:
            owners[key].append(at)
        else:
            owners[key] = [at]
        if rdtype in listed:
            listed[rdtype].append(key)
        at += 4 + size
    return found


class Nodes(dict[Name, tuple[Served, ...]]):
    """The RRsets of each name, read out of *packed* when somebody first looks: until then a list of offsets is there.

    Whoever looks by the methods of a mapping sees tuples.
    """

    __slots__ = ("_packed",)

    def __init__(self, packed: bytes) -> None:
        super().__init__()
        self._packed = packed

    def put(self, name: Name, places: list[int]) -> None:
        """Note at which offsets the RRsets of *name* stand."""
        _set(self, name, places)

    def _read(self, name: Name, places: list[int]) -> tuple[Served, ...]:
        packed = self._packed
        node = tuple([served(packed, at) for at in places])
        _set(self, name, node)
        return node

    def get(self, name: Name, default: Any = None) -> Any:
        """Return the RRsets of *name*."""
        node = _get(self, name, default)
        return self._read(name, node) if type(node) is list else node

    def __getitem__(self, name: Name) -> Any:
        """Return the RRsets of *name*."""
        node = _item(self, name)
        return self._read(name, node) if type(node) is list else node

    def values(self) -> Any:
        """Return the RRsets of every name."""
        self._read_all()
        return super().values()

    def items(self) -> Any:
        """Return the RRsets of every name, by name."""
        self._read_all()
        return super().items()

    def _read_all(self) -> None:
        for name in self:
            self[name]


_get: Any = dict.get
_item: Any = dict.__getitem__
_set: Any = dict.__setitem__


def owner(packed: bytes, at: int) -> bytes:
    """Return the order key of the owner of the RRset at offset *at*."""
    return packed[at + 6 : at + 6 + (packed[at + 4] << 8 | packed[at + 5])]


def served(packed: bytes, at: int) -> Served:
    """Return the RRset at offset *at* as it lies in memory."""
    at += 6 + (packed[at + 4] << 8 | packed[at + 5])
    kind, ttl, records, sigs = _FIXED.unpack_from(packed, at)
    at += _FIXED.size
    fixed = _RECORD.pack(QUESTION_POINTER, kind, CLASS_IN, ttl)
    parts: list[bytes] = []
    split = 0
    for number in range(records + sigs):
        if number == records:
            split = sum([len(part) for part in parts])
            fixed = _RECORD.pack(QUESTION_POINTER, Type.RRSIG, CLASS_IN, ttl)
        after = at + 4 + (packed[at + 2] << 8 | packed[at + 3])
        parts.append(fixed)
        parts.append(packed[at + 2 : after])  # RDLENGTH is the length's lower half
        at = after
    wire = b"".join(parts)
    return Served(kind, split if sigs else len(wire), sigs, wire)


def rrset(packed: bytes, at: int, name: Name) -> SignedRRset:
    """Return the RRset of *name* at offset *at* as a value."""
    at += 6 + (packed[at + 4] << 8 | packed[at + 5])
    kind, ttl, records, sigs = _FIXED.unpack_from(packed, at)
    at += _FIXED.size
    rdatas = []
    for _ in range(records + sigs):
        after = at + 4 + (packed[at + 2] << 8 | packed[at + 3])
        rdatas.append(packed[at + 4 : after])
        at = after
    return SignedRRset(name, kind, ttl, tuple(rdatas[:records]), tuple(rdatas[records:]))


def pack(rrset: SignedRRset, key: bytes) -> bytes:
    """Return *rrset*, whose owner has the order key *key*, as one piece of such a string; the expression's twin."""
    lists = (*rrset.rdatas, *rrset.sigs)
    body = b"".join(
        (
            len(key).to_bytes(2, "big"),
            key,
            _FIXED.pack(rrset.type, rrset.ttl, len(rrset.rdatas), len(rrset.sigs)),
            *[len(rdata).to_bytes(4, "big") + rdata for rdata in lists],
        )
    )
    return len(body).to_bytes(4, "big") + body
