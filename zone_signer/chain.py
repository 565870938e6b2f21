"""Mend a chain of denial records where names come and go, without reading the rest of it. Pure.

A chain is a ring: each record names its successor, the last one the first. What must be read is the record at
each place in question and the one before it; the law is that a record which is dropped, and the place where one is
added, was asked about.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import pairwise

import msgspec

from ddns.dns import names
from ddns.dns.names import Name
from ddns.dns.records import SignedRRset
from zone_signer import denial as denials


class BrokenChain(ValueError):
    """Published denial records that do not fit together; the message is one sentence."""


class Link(msgspec.Struct, frozen=True):
    """A published denial record, where it and its successor stand, and its type bit maps."""

    owner: Name
    following: Name
    bits: bytes
    record: SignedRRset

    @classmethod
    def of(cls, denial: str, record: SignedRRset, origin: Name) -> Link:
        """Read a published record."""
        following, bits = denials.read(denial, record.rdatas[0], origin)
        return cls(record.name, following, bits, record)


class Place(msgspec.Struct, frozen=True):
    """What is published at one place of the chain, if anything, and the record before it (around the ring)."""

    here: Link | None
    before: Link


def mend(
    places: Mapping[Name, Place], wanted: Mapping[Name, bytes | None]
) -> tuple[dict[Name, tuple[Name, bytes]], list[Link]]:
    """Bring the chain to where each owner of *wanted* has a record with these type bit maps, or none.

    *places* tells what is published at each of them. Returns the records to be signed (owner to successor and bit
    maps), and the published ones that they replace or that are dropped.
    """
    gone = {owner for owner, bits in wanted.items() if bits is None and places[owner].here is not None}
    new = {owner for owner, bits in wanted.items() if bits is not None and places[owner].here is None}
    links = {link.owner: link for place in places.values() for link in (place.here, place.before) if link is not None}

    # A gap is what lies behind a record that stays, up to the next one that stays.
    gaps: dict[Name, list[Name]] = {}
    for owner in gone | new:
        before = places[owner].before.owner
        while before in gone:
            before = places[before].before.owner
        gaps.setdefault(before, []).extend([owner] if owner in new else [])

    made: dict[Name, tuple[Name, bytes]] = {}
    for owner, bits in wanted.items():
        here = places[owner].here
        if bits is not None and here is not None and here.bits != bits and owner not in gaps:
            made[owner] = here.following, bits
    for start, added in gaps.items():
        end = _follow(links, start, gone)
        ring = [start, *_around(start, added), end]
        for owner, following in pairwise(ring):
            bits = wanted.get(owner)
            made[owner] = following, links[owner].bits if bits is None else bits
    old = [links[owner] for owner in (*made, *gone) if owner in links and owner not in new]
    return made, old


def stand(
    places: Mapping[Name, Place], wanted: Mapping[Name, bytes | None], following: Callable[[Name], Name]
) -> tuple[dict[Name, tuple[Name, bytes]], list[Link]]:
    """Do what `mend` does for records of a compact zone, which are no chain: *following* says what follows an owner."""
    made: dict[Name, tuple[Name, bytes]] = {}
    old: list[Link] = []
    for owner, bits in wanted.items():
        here = places[owner].here
        if bits is not None:
            behind = following(owner)
            if here is not None and (here.following, here.bits) == (behind, bits):
                continue
            made[owner] = behind, bits
        if here is not None:
            old.append(here)
    return made, old


def _follow(links: Mapping[Name, Link], start: Name, gone: set[Name]) -> Name:
    following = links[start].following
    for _ in range(len(gone) + 1):
        if following not in gone:
            return following
        following = links[following].following
    raise BrokenChain(f"the denial records behind {names.to_text(start)} do not lead to one that stays")


def _around(start: Name, owners: Iterable[Name]) -> list[Name]:
    """Return *owners* in the order of the ring from *start* on."""
    first = names.order_key(start)
    keyed = [(names.order_key(owner), owner) for owner in owners]
    return [owner for _, _, owner in sorted((key < first, key, owner) for key, owner in keyed)]
