"""A zone that is too large to be held: the parts of it that answers needed lately, and how to tell what is missing.

Law: what is not here is not known, and `Missing` says what to read; nothing is concluded from absence alone. That a
name does not exist is known because it was looked for and nothing has changed since, or because a record of the
signed chain that is here covers it (as in RFC 8198, but of our own zone). The apex is always here. An edition takes
out what it touched, so the size of the zone never matters.
"""

from __future__ import annotations

from base64 import b32hexdecode, b32hexencode
from collections import deque
from collections.abc import Iterable
from typing import cast

from ddns.answer import packed as packing
from ddns.answer.chain import Chain
from ddns.answer.denial import hash_name
from ddns.answer.image import (
    BARE_OCTETS,
    NAME_OCTETS,
    RRSET_OCTETS,
    Kind,
    Match,
    Node,
    Patch,
    Remembered,
    ZoneImage,
)
from ddns.answer.links import PASSING, Links, Missing, Wanted
from ddns.answer.served import HASHED_LABEL, Served, find, rdatas
from ddns.dns import names
from ddns.dns.codes import Type
from ddns.dns.names import Name
from ddns.dns.records import SignedRRset
from ddns.zone.edition import Edition

LEVELS = 4  # ours: names below the one that was found, which are looked for together; behind them all that remain

_NSEC3_FLAGS = HASHED_LABEL + 10 + 1  # where they stand in the record as it lies in memory (RFC 5155 §3.2)
_NSEC3_SALT = HASHED_LABEL + 10 + 4
_OPT_OUT = 1


class Window(ZoneImage):
    """The zone *origin* in its edition *edition*, whose *apex* has these RRsets and of which nothing else is here yet.

    *complete* tells that its NSEC or NSEC3 chain is, as one is that our signer made.
    """

    __slots__ = ("_absent", "_complete", "_links_order", "_nodes_order")

    whole = False

    def __init__(
        self, zone_id: int, origin: Name, edition: int, apex: Iterable[SignedRRset], *, complete: bool = True
    ) -> None:
        self._complete = complete
        self._absent: dict[Name, None] = {}
        self._nodes_order: deque[Name] = deque()
        self._links_order: deque[bytes] = deque()
        super().__init__(zone_id, origin, edition, apex)

    # ---- finding -------------------------------------------------------------------------------

    def find(self, name: Name) -> Match:
        """Return where *name* leads, as `ZoneImage.find` does. Raises `Missing`."""
        origin, nodes = self.origin, self.nodes
        if name != origin and self.bends:
            return Match(Kind.DNAME, origin, nodes[origin])
        way = [name]
        while len(way[-1]) > len(origin):
            way.append(names.parent(way[-1]))
        encloser = way.pop()
        node = nodes[origin]
        while way:
            at = way.pop()
            below = self._at(at)
            if below is None:
                if at not in self._absent and not self._denies(at):
                    raise Missing(self.zone_id, self._wanted(at, encloser, way))
                return self._wildcard(at, encloser)
            if find(below, Type.NS) is not None:
                return Match(Kind.CUT, at, below)
            if way and find(below, Type.DNAME) is not None:
                return Match(Kind.DNAME, at, below)
            encloser, node = at, below
        return Match(Kind.EXACT, name, node)

    def _wildcard(self, name: Name, encloser: Name) -> Match:
        """Return where *name* leads, which does not exist and stands directly below *encloser*, which does."""
        wildcard = b"\x01*" + encloser
        node = self._at(wildcard)
        if node is not None:
            return Match(Kind.WILDCARD, encloser, node)
        if wildcard not in self._absent and not self._denies(wildcard):
            raise Missing(self.zone_id, self._wanted(name, encloser, ()))
        return Match(Kind.NOTHING, encloser, ())

    def at(self, name: Name) -> Node | None:
        """Return the RRsets of *name*, None where it does not exist. Raises `Missing`."""
        node = self._at(name)
        if node is None and name not in self._absent:
            raise Missing(self.zone_id, Wanted((name,)))
        return node

    def _at(self, name: Name) -> Node | None:
        return self.nodes.get(name)

    def _denies(self, name: Name) -> bool:
        """Tell whether a record of the chain proves that *name*, whose parent exists, does not."""
        if not self._complete:
            return False
        if self.hashing is not None and isinstance(self.nsec3, Links):
            digest = hash_name(name, self.hashing)
            link = self.nsec3.peek(digest)
            return link is not None and link[0] != digest and not link[1].wire[_NSEC3_FLAGS] & _OPT_OUT
        if isinstance(self.nsec, Links):
            key = names.order_key(name)
            before = self.nsec.peek(key)
            if before is None or before[0] == key:
                return False
            served = find(self.nodes.get(before[1], ()), Type.NSEC)
            # A name below it may be the next one: then it exists, and has no records.
            return served is not None and not names.order_key(_next_name(served)).startswith(key)
        return False

    def _wanted(self, at: Name, encloser: Name, rest: Iterable[Name]) -> Wanted:
        """Return what tells where a name leads whose way down is known as far as *encloser*: *at* and *rest* follow."""
        levels = [at, *reversed(list(rest))]
        if encloser == self.origin:
            levels = levels[:LEVELS]
        above = [encloser, *levels[:-1]]
        mentioned = [one for one in (*levels, *(b"\x01*" + one for one in above)) if self._at(one) is None]
        links: list[bytes] = []
        if self.hashing is not None and isinstance(self.nsec3, Links):
            for one in (at, encloser, b"\x01*" + encloser):
                digest = hash_name(one, self.hashing)
                if self.nsec3.peek(digest) is None:
                    links.append(digest)
        elif isinstance(self.nsec, Links):
            keys = [names.order_key(at), names.order_key(b"\x01*" + encloser)]
            links = [key for key in keys if self.nsec.peek(key) is None]
        return Wanted(tuple(mentioned), tuple(links))

    # ---- taking in -----------------------------------------------------------------------------

    def take_node(self, name: Name, packed: bytes | None, *, below: bool) -> None:
        """Take in what stands at *name*, packed; None: no RRsets, but the name exists where any is *below* it."""
        if name == self.origin:
            return
        if packed is None and not below:
            if len(self._absent) >= PASSING:
                self._absent.clear()
            self._absent[name] = None
            return
        node: Node = ()
        if packed is not None:
            places = [at for found in packing.content(packed).owners.values() for at in found]
            node = tuple([packing.served(packed, at) for at in places])
        if name in self.nodes:
            self._forget_node(name)
        else:
            self._nodes_order.append(name)
        self.nodes[name] = node
        self.octets += _size(node)

    def take_link(self, wanted: bytes, packed: bytes | None) -> None:
        """Take in the NSEC or NSEC3 RRset that is at or before *wanted*, packed; None: there is none."""
        if self.hashing is None:
            if isinstance(self.nsec, Links):
                self._take_plain(self.nsec, wanted, packed)
        elif isinstance(self.nsec3, Links):
            self._take_hashed(self.nsec3, wanted, packed)

    def _take_plain(self, chain: Links[Name], wanted: bytes, packed: bytes | None) -> None:
        if packed is None:
            chain.found(wanted, None)
            return
        key = packing.owner(packed, 0)
        owner = names.from_order_key(key)
        if chain.remove(key) is None:
            self._links_order.append(key)
            self.octets += RRSET_OCTETS
        chain.put(key, owner, names.order_key(_next_name(packing.served(packed, 0))))
        chain.found(wanted, (key, owner))

    def _take_hashed(self, chain: Links[Served], wanted: bytes, packed: bytes | None) -> None:
        if packed is None:
            chain.found(wanted, None)
            return
        rrset = packing.rrset(packed, 0, names.from_order_key(packing.owner(packed, 0)))
        for hashing, digest, served in self._links(rrset):
            if hashing != self.hashing:
                continue
            before = chain.remove(digest)
            if before is None:
                self._links_order.append(digest)
                self.octets += RRSET_OCTETS
            self.octets += len(served.wire) - (0 if before is None else len(before.wire))
            chain.put(digest, served, _next_hash(served))
            chain.found(wanted, (digest, served))

    def trim(self, room: int) -> None:
        """Let go of what came first until no more than *room* octets are taken."""
        while self.octets > room and (self._nodes_order or self._links_order):
            if len(self._nodes_order) >= len(self._links_order):
                self._forget_node(self._nodes_order.popleft())
            else:
                self._forget_link(self._links_order.popleft())

    def _tidy(self) -> None:
        """Take out of the orders what has gone, once that is most of them."""
        if len(self._nodes_order) > 2 * len(self.nodes) + PASSING:
            self._nodes_order = deque([name for name in dict.fromkeys(self._nodes_order) if name in self.nodes])
        chain = self.nsec if self.hashing is None else self.nsec3
        if isinstance(chain, Links) and len(self._links_order) > 2 * len(chain) + PASSING:
            self._links_order = deque([key for key in dict.fromkeys(self._links_order) if key in chain])

    def _forget_node(self, name: Name) -> None:
        if name != self.origin:
            node = self.nodes.pop(name, None)
            if node is not None:
                self.octets -= _size(node)

    def _forget_link(self, key: bytes) -> None:
        if self.hashing is None:
            if isinstance(self.nsec, Links) and self.nsec.remove(key) is not None:
                self.octets -= RRSET_OCTETS
        elif isinstance(self.nsec3, Links):
            before = self.nsec3.remove(key)
            if before is not None:
                self.octets -= RRSET_OCTETS + len(before.wire)

    # ---- changing ------------------------------------------------------------------------------

    def patch(self, edition: Edition) -> Patch:
        """Take out what *edition* touched; it must be the one after this window's."""
        origin = self.origin
        removed = {(rrset.name, rrset.type) for rrset in edition.removed}
        added = {(rrset.name, rrset.type) for rrset in edition.added}
        touched = removed | added
        bent = (
            any(
                rdtype in (Type.NS, Type.DNAME) and name != origin and not self._came(name, removed, added)
                for name, rdtype in removed ^ added
            )
            or (origin, Type.DNAME) in removed ^ added
        )
        for name, rdtype in touched:
            if rdtype == Type.NSEC3:
                if len(name) - len(origin) == HASHED_LABEL:
                    key = _digest(name)
                    if key is not None:
                        self._forget_link(key)
                continue
            if rdtype == Type.NSEC:
                self._forget_link(names.order_key(name))
            for one in (name, *names.ancestors(name, origin)) if name != origin else ():
                if one == name or not self.nodes.get(one):
                    self._forget_node(one)  # a name without records lives and dies with those below it
        for name, rdtype in removed - added:
            if name == origin and rdtype != Type.NSEC3:
                self._drop(name, rdtype)
        for rrset in edition.added:
            if rrset.name == origin and rrset.type != Type.NSEC3:
                self._put(rrset)
        self._tidy()
        self._absent.clear()
        for chain in (self.nsec, self.nsec3):
            if isinstance(chain, Links):
                chain.forget()
        if any(name == origin and rdtype in (Type.NSEC3PARAM, Type.NSEC) for name, rdtype in touched):
            self._choose_chain()
        self.edition = edition.number
        self.ready = self.rrset(origin, Type.SOA) is not None
        self.remembered = Remembered()
        return Patch(tuple(touched), bent)

    def _came(self, name: Name, removed: set[tuple[Name, int]], added: set[tuple[Name, int]]) -> bool:
        """Tell whether the chain says that *name* did not exist before this edition; then nothing led there."""
        if not self._complete:
            return False
        if self.hashing is not None:
            key = (hashed_owner(hash_name(name, self.hashing), self.origin), int(Type.NSEC3))
        else:
            key = (name, int(Type.NSEC))
        return key in added and key not in removed

    def _choose_chain(self) -> None:
        hashing = self._chosen()
        self._others = None
        self.hashing = hashing
        # What follows finds its way by `at_or_before` and `get` alone, which are the same.
        self.nsec3 = (
            cast("Chain[Served]", Links[Served](self.zone_id, complete=self._complete)) if hashing is not None else None
        )
        plain = hashing is None and (not self._complete or self.rrset(self.origin, Type.NSEC) is not None)
        self.nsec = cast("Chain[Name]", Links[Name](self.zone_id, complete=self._complete)) if plain else None
        self._links_order.clear()
        self.octets = BARE_OCTETS + sum(_size(node) for node in self.nodes.values())


def hashed_owner(digest: bytes, origin: Name) -> Name:
    """Return the owner of the NSEC3 record of the hash *digest* in the zone *origin* (RFC 5155 §3)."""
    return bytes((HASHED_LABEL - 1,)) + b32hexencode(digest).lower() + origin


def _digest(owner: Name) -> bytes | None:
    try:
        return b32hexdecode(owner[1:HASHED_LABEL], casefold=True)
    except ValueError:
        return None


def _next_hash(served: Served) -> bytes:
    start = _NSEC3_SALT + 1 + served.wire[_NSEC3_SALT]
    return served.wire[start + 1 : start + 1 + served.wire[start]]


def _next_name(served: Served) -> Name:
    return names.read(rdatas(served)[0], 0)[0]


def _size(node: Node) -> int:
    return NAME_OCTETS + sum([len(served.wire) + RRSET_OCTETS for served in node])
