"""Editions as the differences of IXFR (RFC 1995 §4): from each version to the next, only the records that differ.

An edition holds RRsets as they were and as they are, signatures included; of one that gained a record, only that
record and the new signatures travel.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from ddns.dns.codes import Type
from ddns.dns.names import Name
from ddns.dns.records import Rdata, RRset, SignedRRset, soa_serial
from ddns.zone.edition import Edition

_HEAD = 10  # octets of type, class, TTL and RDLENGTH of a record


class Step(msgspec.Struct, frozen=True):
    """From one version to the next: *old* and *new* are the SOAs, which *removed* and *added* are without."""

    old: RRset
    removed: tuple[RRset, ...]
    new: RRset
    added: tuple[RRset, ...]

    @property
    def size(self) -> int:
        """Return about how many octets it takes in messages, names uncompressed."""
        return sum(
            len(one.name) + _HEAD + len(rdata)
            for side in ((self.old,), self.removed, (self.new,), self.added)
            for one in side
            for rdata in one.rdatas
        )


def step(edition: Edition, origin: Name) -> Step | None:
    """Return what *edition* changes, or None where it has no SOAs of the serials that it leads from and to."""
    old = _soa(edition.removed, origin, edition.from_serial)
    new = _soa(edition.added, origin, edition.to_serial)
    if old is None or new is None:
        return None
    before, after = _by_place(edition.removed), _by_place(edition.added)
    return Step(old, _without(before, after, origin), new, _without(after, before, origin))


def follows(editions: Sequence[Edition], serial: int, number: int, to_serial: int) -> bool:
    """Tell whether *editions* lead without a gap from *serial* to edition *number*, which has *to_serial*."""
    if not editions or editions[-1].number != number or editions[-1].to_serial != to_serial:
        return False
    for at, one in enumerate(editions):
        if one.from_serial != serial or one.number != editions[0].number + at:
            return False
        serial = one.to_serial
    return True


def _soa(rrsets: Iterable[SignedRRset], origin: Name, serial: int) -> RRset | None:
    for one in rrsets:
        if one.type == Type.SOA and one.name == origin:
            return RRset(one.name, one.type, one.ttl, one.rdatas) if soa_serial(one.rdatas[0]) == serial else None
    return None


_Place = tuple[Name, int]
_Records = tuple[int, tuple[Rdata, ...]]  # TTL and RDATA


def _by_place(rrsets: Iterable[SignedRRset]) -> dict[_Place, SignedRRset]:
    return {(one.name, one.type): one for one in rrsets}


def _without(these: dict[_Place, SignedRRset], those: dict[_Place, SignedRRset], origin: Name) -> tuple[RRset, ...]:
    """Return the records of *these* that *those* have not, the zone's SOA left out."""
    out = []
    for place, one in these.items():
        other = those.get(place)
        same = other is not None and other.ttl == one.ttl
        kept = frozenset(other.rdatas) if other is not None and same else frozenset()
        sealed = frozenset(other.sigs) if other is not None and same else frozenset()
        if place != (origin, Type.SOA):
            rdatas = tuple(rdata for rdata in one.rdatas if rdata not in kept)
            if rdatas:
                out.append(RRset(one.name, one.type, one.ttl, rdatas))
        sigs = tuple(sig for sig in one.sigs if sig not in sealed)
        if sigs:
            out.append(RRset(one.name, Type.RRSIG, one.ttl, sigs))
    return tuple(out)
