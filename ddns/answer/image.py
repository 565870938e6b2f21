"""One zone's published data in memory, and step 3 of RFC 1034 §4.3.2: where a name leads in it.

Law: *nodes* has a key for every name that exists, empty non-terminals included (RFC 4592 §2.2.2);
*bends* has one for every name where the walk down from the apex must leave the zone's own data: a
cut (True) or a DNAME (False). NSEC3 records stand in the chain only: their owners do not exist for
those who ask (RFC 5155 §7.2.8). An `Edition` patches all of it in place.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum
from typing import Any

import msgspec

from ddns.answer.answer import Referral
from ddns.answer.chain import Chain
from ddns.answer.packed import Nodes
from ddns.answer.packed import content as contents
from ddns.answer.packed import rrset as unpack
from ddns.answer.served import HASHED_LABEL, Served, find, placed, rdatas, serve_hashed
from ddns.dns import names, twin
from ddns.dns.codes import Type
from ddns.dns.names import Name
from ddns.dns.records import SignedRRset
from ddns.zone.edition import Edition

Node = tuple[Served, ...]

_NS, _NSEC, _NSEC3, _NSEC3PARAM = int(Type.NS), int(Type.NSEC), int(Type.NSEC3), int(Type.NSEC3PARAM)
_SPECIAL = frozenset({_NS, int(Type.DNAME), _NSEC, _NSEC3, _NSEC3PARAM})  # more depends on these than their place
_BENDING = frozenset({_NS, int(Type.DNAME)})
_SHA1 = 1  # the only hash algorithm of NSEC3 (RFC 5155 §11)
# About how many octets the parts of a zone take in memory besides their octets on the wire.
BARE_OCTETS = 800  # a zone by itself, with its place among the others
NAME_OCTETS = 220  # a name with its place
RRSET_OCTETS = 220  # an RRset with its place, and its part of a name
MAX_ITERATIONS = 150  # ours: more is no proof to validators (RFC 9276 §3.2), and a question would cost more and more


class Kind(IntEnum):
    """What a name is in a zone."""

    EXACT = 0  # it exists; its node may be empty (an empty non-terminal)
    CUT = 1  # it is at or below a delegation: *owner* is the cut
    DNAME = 2  # it is below a DNAME: *owner* has it
    WILDCARD = 3  # it does not exist, but `*.owner` does, and *node* is that
    NOTHING = 4  # it does not exist: *owner* is its closest encloser


class Match(msgspec.Struct, frozen=True, gc=False):
    """Where a name leads: see `Kind`."""

    kind: Kind
    owner: Name
    node: Node


class Hashing(msgspec.Struct, frozen=True, gc=False):
    """The parameters that tell one NSEC3 chain of a zone from another (RFC 5155 §4)."""

    iterations: int
    salt: bytes


class Patch(msgspec.Struct, frozen=True, gc=False):
    """What an edition touched: the RRsets as (owner, type), and whether names now lead elsewhere (*bent*)."""

    touched: tuple[tuple[Name, int], ...]
    bent: bool


# One RRset in a proof: its owner's labels below the apex, where its wire goes on behind the owner, and the RRset.
Proof = tuple[bytes, int, Served]


class Remembered:
    """Pieces of answers of one edition; bounded by who fills them."""

    __slots__ = ("enclosers", "mark", "nodes", "nsec", "nsec3", "referrals", "soa", "soa_signed")

    def __init__(self) -> None:
        # What tells this edition from all others, and where it says no from: see `ddns.answer.below`.
        self.mark = object()
        self.nodes: dict[Name, Node] | None = None
        self.nsec: Chain[Name] | None = None
        self.nsec3: Chain[Served] | None = None
        # The SOA that a denial carries, without and with signatures: see `ddns.answer.render`.
        self.soa: tuple[int, list[bytes]] | None = None
        self.soa_signed: tuple[int, list[bytes]] | None = None
        # Closest enclosers: the nearest that has an NSEC3 record, and the proofs: see `ddns.answer.denial`.
        self.enclosers: dict[Name, tuple[Name, list[Proof]]] = {}
        # Referrals by cut and DO: of the question only the length of its name shows in them.
        self.referrals: dict[tuple[Name, bool], Referral] = {}


class ZoneImage:
    """The zone *origin* as it was published with edition number *edition*.

    *ready* tells that there is a SOA: before its first edition a zone is known but can say nothing. *octets* is about
    how much memory it takes, *counted* what of that `ddns.answer.shelf` knows, *used* is set whenever somebody looks
    for a name, and *whole* tells that all of the zone is here.

    Packed *rrsets* (see `ddns.answer.packed`) are unpacked when they are first asked for: the names when one of them
    is, the chains when something is to be denied. Until then those attributes are not set, and `__getattr__` sets them.
    *direct* are the same octets as long as no edition has changed the zone: see `ddns.answer.direct`.
    """

    __slots__ = (
        "_chained",
        "_children",
        "_others",
        "_packed",
        "bends",
        "counted",
        "direct",
        "edition",
        "hashing",
        "nodes",
        "nsec",
        "nsec3",
        "octets",
        "origin",
        "ready",
        "remembered",
        "used",
        "zone_id",
    )

    whole = True

    nodes: dict[Name, Node]
    bends: dict[Name, bool]
    nsec: Chain[Name] | None
    nsec3: Chain[Served] | None
    hashing: Hashing | None
    ready: bool
    remembered: Remembered
    _children: dict[Name, int]  # of names that have any: how many names stand directly below
    _others: dict[Hashing, Chain[Served]] | None  # NSEC3 chains that are not in use, as while the parameters change
    _packed: bytes
    _chained: tuple[list[bytes], list[tuple[bytes, int]]]

    def __init__(self, zone_id: int, origin: Name, edition: int, rrsets: Iterable[SignedRRset] | bytes) -> None:
        self.zone_id = zone_id
        self.origin = origin
        self.edition = edition
        self.octets = BARE_OCTETS
        self.counted = 0
        self.used = False
        self.direct: bytes | None = None
        if isinstance(rrsets, bytes):
            self._packed = self.direct = rrsets
            self.octets += len(rrsets)
            return
        self.nodes = {origin: ()}
        self.bends = {}
        self.nsec = None
        self.nsec3 = None
        self.hashing = None
        self._others = None
        self._children = {}
        self.load(rrsets)

    def __getattr__(self, name: str) -> Any:
        """Unpack what is asked for and was not needed before."""
        if name == "remembered":
            # What answers are made of, made when it is first needed and forgotten with the next edition.
            self.remembered = Remembered()
        elif name in ("nodes", "bends", "ready", "_chained"):
            self._unpack()
        elif name in ("nsec", "nsec3", "hashing", "_others"):
            self._unpack_chains()
        elif name == "_children":
            self._count_children()
        else:
            raise AttributeError(name)
        return getattr(self, name)

    def _unpack(self) -> None:
        packed, origin = self._packed, self.origin
        found = contents(packed)
        self._chained = found.nsec, found.nsec3
        apex = names.order_key(origin)
        above = len(apex)
        nodes = Nodes(packed)
        nodes[origin] = ()
        placed = {apex: origin}
        for key, places in found.owners.items():
            label = key[above:-2]
            if not label:
                name = origin
            elif b"\0" in label:
                name = names.from_order_key(key)
                up = names.parent(name)
                while up not in nodes:
                    nodes[up] = ()
                    up = names.parent(up)
            else:
                name = bytes((len(label),)) + label + origin
            placed[key] = name
            nodes.put(name, places)
        self.bends = {placed[key]: False for key in found.dnames}
        self.bends.update({placed[key]: True for key in found.cuts if key != apex})
        self.nodes = nodes
        self.ready = apex in found.starts
        self.octets += len(packed) + NAME_OCTETS * len(nodes)

    def _unpack_chains(self) -> None:
        nsec, nsec3 = self._chained
        self.nsec = Chain({key: names.from_order_key(key) for key in nsec}) if nsec else None
        self.nsec3 = self.hashing = self._others = None
        chains: dict[Hashing, dict[bytes, Served]] = {}
        for key, at in nsec3:
            for hashing, link, served in self._links(unpack(self._packed, at, names.from_order_key(key))):
                chains.setdefault(hashing, {})[link] = served
        self._hold(chains)
        self._choose_chain()

    def _count_children(self) -> None:
        children: dict[Name, int] = {}
        for name in self.nodes:
            if name != self.origin:
                above = names.parent(name)
                children[above] = children.get(above, 0) + 1
        self._children = children

    def load(self, rrsets: Iterable[SignedRRset]) -> None:
        """Put *rrsets* in, which are not here yet and of the same edition: a large zone is loaded piece by piece."""
        nsec: dict[bytes, Name] = {}
        chains: dict[Hashing, dict[bytes, Served]] = {}
        for rrset in rrsets:
            if rrset.type == Type.NSEC3:
                for hashing, key, served in self._links(rrset):
                    chains.setdefault(hashing, {})[key] = served
                continue
            self._put(rrset)
            if rrset.type == Type.NSEC:
                nsec[names.order_key(rrset.name)] = rrset.name
        if nsec:
            if self.nsec is None:
                self.nsec = Chain(nsec)
            else:
                for place, name in nsec.items():
                    self.nsec.put(place, name)
        if chains:
            self._hold(chains)
        self._choose_chain()
        self.ready = self.rrset(self.origin, Type.SOA) is not None

    # ---- finding -------------------------------------------------------------------------------

    def find(self, name: Name) -> Match:
        """Return where *name*, at or below the apex, leads (RFC 1034 §4.3.2 step 3, RFC 4592 §3.3.1).

        The topmost cut or DNAME on the way down from the apex decides; what lies below it is not seen.
        """
        nodes = self.nodes
        self.used = True
        if self.bends:
            bend = self._bend(name)
            if bend is not None:
                return bend
        node = nodes.get(name)
        if node is not None:
            return Match(Kind.EXACT, name, node)
        encloser = name[1 + name[0] :]
        while encloser not in nodes:
            encloser = encloser[1 + encloser[0] :]
        node = nodes.get(b"\x01*" + encloser)
        if node is not None:
            return Match(Kind.WILDCARD, encloser, node)
        return Match(Kind.NOTHING, encloser, ())

    def _bend(self, name: Name) -> Match | None:
        bends, apex = self.bends, len(self.origin)
        topmost = name if bends.get(name) else None
        above = name
        while len(above) > apex:
            above = above[1 + above[0] :]
            if above in bends:
                topmost = above
        if topmost is None:
            return None
        return Match(Kind.CUT if bends[topmost] else Kind.DNAME, topmost, self.nodes[topmost])

    def at(self, name: Name) -> Node | None:
        """Return the RRsets of *name*, None where it does not exist; whether a cut hides it does not matter."""
        return self.nodes.get(name)

    def rrset(self, name: Name, rdtype: int) -> Served | None:
        """Return the RRset that stands at *name*, wherever that is in the zone."""
        node = self.nodes.get(name)
        return None if node is None else find(node, rdtype)

    # ---- changing ------------------------------------------------------------------------------

    def patch(self, edition: Edition) -> Patch:
        """Apply *edition*, which must be the one after this image's."""
        self.direct = None
        replaced = twin.replace(Served, self.nodes, edition.removed, edition.added, _SPECIAL)
        if replaced is None:
            touched, bent = self._patch(edition)
        else:
            octets, touched = replaced
            self.octets += octets
            bent = False
        self.edition = edition.number
        try:  # noqa: SIM105 - for each update
            del self.remembered
        except AttributeError:
            pass
        return Patch(touched, bent)

    def _patch(self, edition: Edition) -> tuple[tuple[tuple[Name, int], ...], bool]:
        bent = False
        touched = [(rrset.name, rrset.type) for rrset in edition.added]
        added = frozenset(touched)
        for rrset in edition.removed:
            place = rrset.name, rrset.type
            if place in added:
                if rrset.type == _NSEC3:
                    self._unlink(rrset)  # an owner may stand in two chains while the parameters change
                continue
            touched.append(place)
            if rrset.type == _NSEC3:
                self._unlink(rrset)
            else:
                bent |= self._drop(rrset.name, rrset.type)
                if rrset.type == _NSEC and self.nsec is not None:
                    self.nsec.remove(names.order_key(rrset.name))
        for rrset in edition.added:
            if rrset.type == _NSEC3:
                self._link(rrset)
                continue
            bent |= self._put(rrset)
            if rrset.type == _NSEC:
                if self.nsec is None:
                    self.nsec = Chain()
                self.nsec.put(names.order_key(rrset.name), rrset.name)
        if (self.origin, _NSEC3PARAM) in touched:
            self._choose_chain()
        self.ready = self.rrset(self.origin, Type.SOA) is not None
        return tuple(touched), bent

    def _put(self, rrset: SignedRRset) -> bool:
        """Put one RRset in its place; tell whether names that existed now lead elsewhere."""
        name, rdtype = rrset.name, rrset.type
        node = self.nodes.get(name)
        if node is None:
            self._enter(name)
        self.nodes[name], octets, more = placed(node or (), rrset)
        self.octets += octets + more * RRSET_OCTETS
        bends_here = rdtype in _BENDING and (rdtype != _NS or name != self.origin)
        return bends_here and self._mark(name, existed=node is not None)

    def _drop(self, name: Name, rdtype: int) -> bool:
        node = self.nodes.get(name)
        if node is None:
            return False
        rest = tuple([other for other in node if other.type != rdtype])
        self.octets -= sum([len(other.wire) + RRSET_OCTETS for other in node if other.type == rdtype])
        self.nodes[name] = rest
        bent = rdtype in (Type.NS, Type.DNAME) and self._mark(name, existed=True)
        if not rest:
            self._leave(name)
        return bent

    def _mark(self, name: Name, *, existed: bool) -> bool:
        """Bring the bend at *name* to what stands there; tell whether that changed where names lead."""
        node = self.nodes[name]
        before = self.bends.get(name)
        if name != self.origin and find(node, Type.NS) is not None:
            self.bends[name] = True
        elif find(node, Type.DNAME) is not None:
            self.bends[name] = False
        else:
            self.bends.pop(name, None)
        return existed and before != self.bends.get(name)

    def _enter(self, name: Name) -> None:
        """Make *name* exist, and the empty non-terminals above it."""
        if not names.is_subdomain(name, self.origin):
            raise ValueError(f"{names.to_text(name)} is not in the zone {names.to_text(self.origin)}")
        nodes, children = self.nodes, self._children
        while name not in nodes:
            nodes[name] = ()
            name = names.parent(name)
            children[name] = children.get(name, 0) + 1

    def _leave(self, name: Name) -> None:
        """Make *name*, now empty, vanish with the empty non-terminals above it that nothing stands below."""
        nodes, children = self.nodes, self._children
        while name != self.origin and not nodes[name] and not children.get(name):
            del nodes[name]
            name = names.parent(name)
            left = children[name] - 1
            if left:
                children[name] = left
            else:
                del children[name]

    # ---- the NSEC3 chain -----------------------------------------------------------------------

    def _choose_chain(self) -> None:
        """Take the chain that the apex's NSEC3PARAM names for use (RFC 5155 §4.1.2)."""
        hashing = self._chosen()
        if hashing == self.hashing:
            return
        others = self._others or {}
        if self.hashing is not None and self.nsec3 is not None:
            others[self.hashing] = self.nsec3
        self.hashing = hashing
        self.nsec3 = None if hashing is None else others.pop(hashing, None) or Chain()
        self._others = others or None

    def _chosen(self) -> Hashing | None:
        param = self.rrset(self.origin, Type.NSEC3PARAM)
        for rdata in rdatas(param) if param is not None else ():
            if rdata[0] == _SHA1 and rdata[1] == 0 and rdata[2] << 8 | rdata[3] <= MAX_ITERATIONS:
                return Hashing(rdata[2] << 8 | rdata[3], rdata[5 : 5 + rdata[4]])
        return None

    def _hold(self, chains: dict[Hashing, dict[bytes, Served]]) -> None:
        for hashing, links in chains.items():
            chain = self._chain(hashing)
            if chain is None:
                self._others = {**(self._others or {}), hashing: Chain(links)}
            else:
                for key, served in links.items():
                    chain.put(key, served)
            self.octets += sum([len(served.wire) + RRSET_OCTETS for served in links.values()])

    def _links(self, rrset: SignedRRset) -> list[tuple[Hashing, bytes, Served]]:
        """Return an NSEC3 RRset's records as links of their chains; none where the owner is no hash."""
        name = rrset.name
        if name[0] != HASHED_LABEL - 1 or name[HASHED_LABEL:] != self.origin:
            return []
        try:
            key = int(name[1:HASHED_LABEL], 32).to_bytes(20, "big")
        except (ValueError, OverflowError):
            return []
        return [
            (
                Hashing(rdata[2] << 8 | rdata[3], rdata[5 : 5 + rdata[4]]),
                key,
                serve_hashed(name, rrset.ttl, rdata, rrset.sigs),
            )
            for rdata in rrset.rdatas
            if rdata[0] == _SHA1
        ]

    def _link(self, rrset: SignedRRset) -> None:
        for hashing, key, served in self._links(rrset):
            chain = self._chain(hashing)
            if chain is None:
                chain = Chain()
                self._others = {**(self._others or {}), hashing: chain}
            chain.put(key, served)
            self.octets += len(served.wire) + RRSET_OCTETS

    def _unlink(self, rrset: SignedRRset) -> None:
        for hashing, key, served in self._links(rrset):
            chain = self._chain(hashing)
            if chain is not None:
                chain.remove(key)
                self.octets -= len(served.wire) + RRSET_OCTETS
                if not chain and self._others is not None:
                    self._others.pop(hashing, None)

    def _chain(self, hashing: Hashing) -> Chain[Served] | None:
        if hashing == self.hashing:
            return self.nsec3
        return None if self._others is None else self._others.get(hashing)
