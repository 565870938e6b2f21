"""What a zone publishes at its apex because of its keys, and whose signatures each RRset wants. Pure.

Law: the DNSKEY RRset, CDS and CDNSKEY are signed by the keys of the apex, all else by those of the zone; with one key
for both tasks these are the same. Full and incremental signing both ask here, so that they give the same zone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from ddns.dns.codes import Type
from ddns.dns.names import Name
from ddns.dns.records import Rdata, RRset
from zone_signer.keyset import APEX_TYPES, KeySet
from zone_signer.keyview import KeyView

Mark = tuple[int, int]  # algorithm and tag: what tells whose signature one is


class KeyRecords(msgspec.Struct, frozen=True):
    """The records at the apex, each sorted; *apex* and *zone* are the marks of the keys that sign."""

    dnskeys: tuple[Rdata, ...] = ()
    cds: tuple[Rdata, ...] = ()
    cdnskey: tuple[Rdata, ...] = ()
    apex: frozenset[Mark] = frozenset()
    zone: frozenset[Mark] = frozenset()

    @classmethod
    def of(cls, keyset: KeySet, keys: Iterable[KeyView]) -> KeyRecords:
        """Return what *keyset*, made of *keys*, publishes."""
        marks = {key.id: (key.algorithm, key.tag) for key in keys}
        return cls(
            keyset.dnskeys,
            keyset.cds,
            keyset.cdnskey,
            frozenset(marks[one] for one in keyset.apex),
            frozenset(marks[one] for one in keyset.zone),
        )

    @classmethod
    def of_one(cls, dnskey: Rdata, mark: Mark) -> KeyRecords:
        """Return what a zone publishes that has one key for both tasks, whose DS does not move."""
        return cls((dnskey,), apex=frozenset((mark,)), zone=frozenset((mark,)))

    def marks(self, rdtype: int) -> frozenset[Mark]:
        """Return whose signatures an RRset of type *rdtype* wants."""
        return self.apex if rdtype in APEX_TYPES else self.zone

    @property
    def types(self) -> frozenset[int]:
        """Return the types at the apex that are there because of keys; a zone that is not signed has none."""
        return frozenset(rdtype for rdtype, rdatas in self._rdatas() if rdatas)

    def rrsets(self, origin: Name, ttl: int) -> list[RRset]:
        """Return the RRsets at the apex of zone *origin*, with *ttl* in seconds."""
        return [RRset.of(origin, rdtype, ttl, rdatas) for rdtype, rdatas in self._rdatas() if rdatas]

    def are_shown(self, shown: Mapping[int, tuple[Rdata, ...]]) -> bool:
        """Tell whether these are the records of an apex that publishes *shown*, by type."""
        return all(tuple(sorted(shown.get(rdtype, ()))) == tuple(sorted(rdatas)) for rdtype, rdatas in self._rdatas())

    def _rdatas(self) -> tuple[tuple[int, tuple[Rdata, ...]], ...]:
        return (int(Type.DNSKEY), self.dnskeys), (int(Type.CDS), self.cds), (int(Type.CDNSKEY), self.cdnskey)


UNSIGNED = KeyRecords()
