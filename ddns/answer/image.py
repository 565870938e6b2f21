"""One zone's published data in memory, and step 3 of RFC 1034 §4.3.2: where a name leads in it.

Law: *nodes* has a key for every name that exists, empty non-terminals included (RFC 4592 §2.2.2);
*bends* has one for every name where the walk down from the apex must leave the zone's own data: a
cut (True) or a DNAME (False). NSEC3 records stand in the chain only: their owners do not exist for
those who ask (RFC 5155 §7.2.8). An `Edition` patches all of it in place.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum

import msgspec

from ddns.answer.answer import Referral
from ddns.answer.chain import Chain
from ddns.answer.served import HASHED_LABEL, Served, find, rdatas, serve, serve_hashed
from ddns.dns import names
from ddns.dns.codes import Type
from ddns.dns.names import Name
from ddns.dns.records import SignedRRset
from ddns.zone.edition import Edition

Node = tuple[Served, ...]

_SHA1 = 1  # the only hash algorithm of NSEC3 (RFC 5155 §11)
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

    __slots__ = ("enclosers", "mark", "referrals", "soa", "soa_signed")

    def __init__(self) -> None:
        self.mark = object()  # tells this edition from all others: see `ddns.answer.below`
        # The SOA that a denial carries, without and with signatures: see `ddns.answer.render`.
        self.soa: tuple[int, list[bytes]] | None = None
        self.soa_signed: tuple[int, list[bytes]] | None = None
        # Closest enclosers: the nearest that has an NSEC3 record, and the proofs: see `ddns.answer.denial`.
        self.enclosers: dict[Name, tuple[Name, list[Proof]]] = {}
        # Referrals by cut and DO: of the question only the length of its name shows in them.
        self.referrals: dict[tuple[Name, bool], Referral] = {}


class ZoneImage:
    """The zone *origin* as it was published with edition number *edition*.

    *ready* tells that there is a SOA: before its first edition a zone is known but can say nothing.
    """

    __slots__ = (
        "_children",
        "_others",
        "bends",
        "edition",
        "hashing",
        "nodes",
        "nsec",
        "nsec3",
        "origin",
        "ready",
        "remembered",
        "zone_id",
    )

    def __init__(self, zone_id: int, origin: Name, edition: int, rrsets: Iterable[SignedRRset]) -> None:
        self.zone_id = zone_id
        self.origin = origin
        self.edition = edition
        self.nodes: dict[Name, Node] = {origin: ()}
        self.bends: dict[Name, bool] = {}
        self.nsec: Chain[Name] | None = None
        self.nsec3: Chain[Served] | None = None
        self.hashing: Hashing | None = None
        self._children: dict[Name, int] = {}  # of names that have any: how many names stand directly below
        # NSEC3 chains that are not in use, as while the parameters change.
        self._others: dict[Hashing, Chain[Served]] | None = None
        # What answers are made of, made when it is first needed and forgotten with the next edition.
        self.remembered = Remembered()
        self._load(rrsets)
        self.ready = self.rrset(origin, Type.SOA) is not None

    def _load(self, rrsets: Iterable[SignedRRset]) -> None:
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
            self.nsec = Chain(nsec)
        if chains:
            self._others = {hashing: Chain(content) for hashing, content in chains.items()}
        self._choose_chain()

    # ---- finding -------------------------------------------------------------------------------

    def find(self, name: Name) -> Match:
        """Return where *name*, at or below the apex, leads (RFC 1034 §4.3.2 step 3, RFC 4592 §3.3.1).

        The topmost cut or DNAME on the way down from the apex decides; what lies below it is not seen.
        """
        nodes = self.nodes
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

    def rrset(self, name: Name, rdtype: int) -> Served | None:
        """Return the RRset that stands at *name*, wherever that is in the zone."""
        node = self.nodes.get(name)
        return None if node is None else find(node, rdtype)

    # ---- changing ------------------------------------------------------------------------------

    def patch(self, edition: Edition) -> Patch:
        """Apply *edition*, which must be the one after this image's."""
        added = {(rrset.name, rrset.type) for rrset in edition.added}
        bent = False
        touched = [(rrset.name, rrset.type) for rrset in edition.added]
        for rrset in edition.removed:
            if (rrset.name, rrset.type) in added:
                if rrset.type == Type.NSEC3:
                    self._unlink(rrset)  # an owner may stand in two chains while the parameters change
                continue
            touched.append((rrset.name, rrset.type))
            if rrset.type == Type.NSEC3:
                self._unlink(rrset)
            else:
                bent |= self._drop(rrset.name, rrset.type)
                if rrset.type == Type.NSEC and self.nsec is not None:
                    self.nsec.remove(names.order_key(rrset.name))
        for rrset in edition.added:
            if rrset.type == Type.NSEC3:
                self._link(rrset)
                continue
            bent |= self._put(rrset)
            if rrset.type == Type.NSEC:
                if self.nsec is None:
                    self.nsec = Chain()
                self.nsec.put(names.order_key(rrset.name), rrset.name)
        if any(name == self.origin and rdtype == Type.NSEC3PARAM for name, rdtype in touched):
            self._choose_chain()
        self.edition = edition.number
        self.ready = self.rrset(self.origin, Type.SOA) is not None
        self.remembered = Remembered()
        return Patch(tuple(touched), bent)

    def _put(self, rrset: SignedRRset) -> bool:
        """Put one RRset in its place; tell whether names that existed now lead elsewhere."""
        name, rdtype = rrset.name, rrset.type
        served = serve(rdtype, rrset.ttl, rrset.rdatas, rrset.sigs)
        node = self.nodes.get(name)
        if node is None:
            self._enter(name)
            self.nodes[name] = (served,)
        else:
            self.nodes[name] = (*[other for other in node if other.type != rdtype], served)
        bends_here = (rdtype == Type.NS and name != self.origin) or rdtype == Type.DNAME
        return bends_here and self._mark(name, existed=node is not None)

    def _drop(self, name: Name, rdtype: int) -> bool:
        node = self.nodes.get(name)
        if node is None:
            return False
        rest = tuple([other for other in node if other.type != rdtype])
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
        hashing = None
        param = self.rrset(self.origin, Type.NSEC3PARAM)
        for rdata in rdatas(param) if param is not None else ():
            if rdata[0] == _SHA1 and rdata[1] == 0 and rdata[2] << 8 | rdata[3] <= MAX_ITERATIONS:
                hashing = Hashing(rdata[2] << 8 | rdata[3], rdata[5 : 5 + rdata[4]])
                break
        if hashing == self.hashing:
            return
        others = self._others or {}
        if self.hashing is not None and self.nsec3 is not None:
            others[self.hashing] = self.nsec3
        self.hashing = hashing
        self.nsec3 = None if hashing is None else others.pop(hashing, None) or Chain()
        self._others = others or None

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

    def _unlink(self, rrset: SignedRRset) -> None:
        for hashing, key, _ in self._links(rrset):
            chain = self._chain(hashing)
            if chain is not None:
                chain.remove(key)
                if not chain and self._others is not None:
                    self._others.pop(hashing, None)

    def _chain(self, hashing: Hashing) -> Chain[Served] | None:
        if hashing == self.hashing:
            return self.nsec3
        return None if self._others is None else self._others.get(hashing)
