"""What a compact zone says of names that are not in it (RFC 9824 §3): RRsets that are signed when they are asked for.

Law: whether a name is there is judged here, from the edition in memory; the signer, who has the key, is only told what
to sign. What it signed is kept by the mark of that edition, so that it is given out neither after a change nor longer
than the signer said, and nobody who asks can grow what is kept past `Proofs`' bound.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

import msgspec

from ddns.answer.image import Node, ZoneImage
from ddns.answer.served import Served, find, published, rdatas, serve
from ddns.dns.codes import Type
from ddns.dns.names import Name
from ddns.dns.records import Rdata, soa_minimum
from ddns.zone import compact
from ddns.zone.jobs import Asked

MEMORY = 16 * 1024 * 1024  # ours: octets of signed denials that a worker keeps
_ENTRY = 500  # about how many octets one takes besides those of its name and its records

_NSEC = int(Type.NSEC)


class Need(msgspec.Struct, frozen=True, gc=False):
    """An RRset of type *rdtype* at *name*, which is not in a zone: that *wildcard* gives it or, empty, none.

    *source* is what stands at the wildcard: the RRset itself or, for an NSEC record, the wildcard's own. *mark* is that
    of the zone's edition in memory (`image.Remembered`), *ttl* that of its denials.
    """

    zone_id: int
    origin: Name
    edition: int
    mark: object
    ttl: int
    name: Name
    rdtype: int
    wildcard: Name = b""
    source: Served | None = None

    @property
    def key(self) -> tuple[object, Name, int]:
        """Return what tells this RRset from all others, of all zones and editions."""
        return self.mark, self.name, self.rdtype

    def asked(self) -> Asked:
        """Return what the signer is asked."""
        if self.source is None:
            return Asked(self.name)
        return Asked(self.name, published(self.wildcard, (self.source,), self.source.type))

    def made(self, sigs: tuple[Rdata, ...] = ()) -> Served:
        """Return the RRset with these signatures."""
        source = self.source
        if source is None:
            return serve(_NSEC, self.ttl, (compact.absent(self.name, self.origin),), sigs)
        records = rdatas(source)
        if self.rdtype == _NSEC:
            records = [compact.expanded(self.name, self.origin, records[0])]
        return serve(self.rdtype, source.ttl, records, sigs)


class NeedSigned(msgspec.Struct, frozen=True):
    """The answer waits for *needs* of one or several zones: have them signed, put them into `Proofs` and ask again."""

    needs: tuple[Need, ...]


class Proofs:
    """The RRsets that were signed because somebody asked, at most *memory* octets; *clock* gives seconds since 1970.

    What was used least lately goes first.
    """

    __slots__ = ("_clock", "_held", "_most", "octets")

    def __init__(self, clock: Callable[[], float], memory: int = MEMORY) -> None:
        self._clock = clock
        self._most = memory
        self._held: OrderedDict[tuple[object, Name, int], tuple[Served, int]] = OrderedDict()
        self.octets = 0

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._held)

    def get(self, need: Need) -> Served | None:
        """Return what is needed, where it is here and may still be given out."""
        key = need.key
        found = self._held.get(key)
        if found is None:
            return None
        if found[1] <= self._clock():
            self._drop(key)
            return None
        self._held.move_to_end(key)
        return found[0]

    def put(self, need: Need, served: Served, until: int) -> None:
        """Keep *served*, which is what is needed, and give it out before *until*, in seconds since 1970."""
        key = need.key
        if key in self._held:
            self._drop(key)
        self._held[key] = served, until
        self.octets += _size(key, served)
        while self.octets > self._most:
            self._drop(next(iter(self._held)))

    def _drop(self, key: tuple[object, Name, int]) -> None:
        self.octets -= _size(key, self._held.pop(key)[0])


def _size(key: tuple[object, Name, int], served: Served) -> int:
    return _ENTRY + len(key[1]) + len(served.wire)


def is_compact(image: ZoneImage) -> bool:
    """Tell whether a zone says in this way what it does not hold. Raises `Missing`."""
    if image.hashing is not None:
        return False
    name = image.origin
    node: Node | None = image.nodes.get(name)
    while node is not None:
        nsec = find(node, _NSEC)
        if nsec is None or not compact.may_be_compact(name, rdatas(nsec)[0]):
            return False
        name = compact.successor(name, image.origin)
        node = image.at(name)
    return True


def absent(image: ZoneImage, name: Name) -> Need:
    """Return the need for a record that says that *name* does not exist."""
    return _need(image, name, _NSEC)


def expanded(image: ZoneImage, name: Name, encloser: Name, served: Served) -> Need:
    """Return the need for an RRset that `*.encloser` has, at *name*."""
    return _need(image, name, served.type, b"\x01*" + encloser, served)


def _need(image: ZoneImage, name: Name, rdtype: int, wildcard: Name = b"", source: Served | None = None) -> Need:
    soa = find(image.at(image.origin) or (), Type.SOA)
    # RFC 9077 §3, and bounded: a signature ends.
    ttl = 0 if soa is None else min(soa.ttl, soa_minimum(rdatas(soa)[0]), compact.MOST_TTL)
    mark = image.remembered.mark
    return Need(image.zone_id, image.origin, image.edition, mark, ttl, name, rdtype, wildcard, source)
