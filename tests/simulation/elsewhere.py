"""A home's own servers, and the people who run them: signed by dnspython, with a KSK and a ZSK, and not always there.

Whoever is led there by any cache of the world gets what they show. They do what their registry asks of them, some time
later.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

import dns.dnssec
import dns.message
import dns.name
import dns.rdata
import dns.rdatatype
import dns.rrset
import dns.zone
from above import rrsets_of
from cryptography.hazmat.primitives.asymmetric import ec
from dns.dnssectypes import Algorithm
from holding import Held, Place
from ports import free_port
from serving import Copy
from signing import rdata

from ddns.dns import ds as digests
from ddns.dns import names
from ddns.dns.asker import Transport
from ddns.dns.codes import Type
from ddns.dns.names import Name, from_text
from ddns.dns.records import Rdata, RRset, SignedRRset
from ddns.zone.child import Child
from ddns.zone.edition import Edition
from ddns.zone.hand import Continuity, State, Wish

ADDRESSES = ("127.0.0.2", "127.0.0.3")
IDENT = 2_000_000_000  # what their zone is called in their tables
TTL = 3600
VALID, RENEWED = 30 * 86400, 12 * 86400  # seconds: how long signatures last, and how much is left when new ones come
ZONE = """
@ 3600 SOA ns1 host {serial} 7200 3600 1209600 300
ns1 3600 A 127.0.0.2
ns2 3600 A 127.0.0.3
www 7200 A 198.51.100.{serial_octet}
*.any 300 TXT anything
"""


class Served(Copy):
    """One of their servers, *lag* seconds behind; it hands out its zone to whoever asks for it whole."""

    def __init__(self, name: str, address: str, port: int, lag: int) -> None:
        super().__init__(name, lambda *_: lag, primary=True)
        self.address, self.port = address, port
        self.content: dict[Place, SignedRRset] = {}
        self.version = 0

    def receive(self, now: int) -> None:
        """Show what has arrived by *now*."""
        for taken in self.take(now):
            assert taken.edition is not None
            for one in taken.edition.removed:
                self.content.pop((one.name, one.type), None)
            if taken.whole:
                self.content.clear()
            self.content.update({(one.name, one.type): one for one in taken.edition.added})
            self.version += 1

    def answer(self, wire: bytes, transport: Transport = Transport.UDP) -> bytes | None:
        if transport is Transport.TCP and not self.away:
            query = dns.message.from_wire(wire)
            if query.question[0].rdtype == dns.rdatatype.AXFR:
                return self._whole(query)
        return super().answer(wire, transport)

    def _whole(self, query: dns.message.Message) -> bytes:
        """Return the zone in one message, between two SOA (RFC 5936 §2.2)."""
        message = dns.message.make_response(query)
        message.flags |= dns.flags.AA
        found = sorted(self.content.values(), key=lambda one: one.type != Type.SOA)
        for one in found:
            owner = dns.name.from_wire(one.name, 0)[0]
            for rdtype, rdatas in ((one.type, one.rdatas), (Type.RRSIG, one.sigs)):
                if rdatas:
                    records = [rdata(rdtype, octets) for octets in rdatas]
                    message.answer.append(dns.rrset.from_rdata_list(owner, one.ttl, records))
        message.answer.append(message.answer[0])
        return message.to_wire(max_size=65535)


class Door:
    """What a resolver without a cache does for whoever asks one server only: it asks whoever is delegated to."""

    def __init__(self, home: Name, theirs: Served, address: str) -> None:
        self.name, self.address, self.port = f"{theirs.name} by referral", address, free_port()
        self.theirs = theirs
        self.ours: Copy | None = None
        self._home = dns.name.from_wire(home, 0)[0]

    def answer(self, wire: bytes, transport: Transport = Transport.UDP) -> bytes | None:
        question = dns.message.from_wire(wire).question[0]
        at_home = question.name.is_subdomain(self._home)
        above = question.name == self._home and question.rdtype == dns.rdatatype.DS
        server = self.theirs if at_home and not above else self.ours
        return None if server is None else server.answer(wire, transport)


class Own:
    """The servers of the home *origin*; `held` is the home, None where the script has none that leaves.

    *chance* says how long its people take. `ours` are the registry's keys that they publish, `apex` the NS they show.
    """

    def __init__(self, origin: str, address: str, chance: random.Random) -> None:
        self.origin: Name = from_text(origin)
        self.held: Held | None = None
        self.withdrawn = False  # our servers have been told to serve it no more
        self.names = tuple(sorted(from_text(f"{label}.{origin}") for label in ("ns1", "ns2")))
        port = free_port()
        lags = (0, 600)
        self.copies = [
            Served(f"own{place}", where, port, lag)
            for place, (where, lag) in enumerate(zip(ADDRESSES, lags, strict=True), 1)
        ]
        self.doors = [Door(self.origin, one, address) for one in self.copies]
        self.port = port
        self.apex: tuple[Name, ...] = self.names
        self.ours: tuple[Rdata, ...] = ()
        self.states: list[State] = []
        self.said: list[str] = []
        self._chance = chance
        self._doing: set[str] = set()
        self._made = 0
        self._ksks = [self._key(257)]
        self._zsk = self._key(256)
        self._serial = 0
        self._renew_at = 0
        self._published: tuple[SignedRRset, ...] = ()
        self._seen: dict[str, tuple[bool, int]] = {}

    # Their zone

    def _key(self, flags: int) -> tuple[ec.EllipticCurvePrivateKey, dns.rdata.Rdata]:
        self._made += 1
        private = ec.derive_private_key(0x6F776E00 + self._made, ec.SECP256R1())
        return private, dns.dnssec.make_dnskey(private.public_key(), Algorithm.ECDSAP256SHA256, flags=flags)

    @property
    def child(self) -> Child:
        """Return the delegation that they want."""
        glue = tuple(
            RRset.of(name, Type.A, TTL, [bytes(map(int, where.split(".")))])
            for name, where in zip(self.names, ADDRESSES, strict=True)
        )
        ds = tuple(sorted(digests.of(self.origin, key.to_wire()) for _, key in self._ksks))
        return Child(self.names, glue, ds)

    def publish(self, now: int) -> None:
        """Have their zone signed anew, with the keys and the NS that it is to show."""
        apex = dns.name.from_wire(self.origin, 0)[0]
        self._serial += 1
        text = ZONE.format(serial=self._serial, serial_octet=self._serial % 250)
        zone = dns.zone.from_text(text, apex, relativize=False, check_origin=False)
        ksks = [key.to_wire() for _, key in self._ksks]
        found = {
            Type.DNSKEY: [*ksks, self._zsk[1].to_wire(), *self.ours],
            Type.NS: self.apex,
            Type.CDS: self.child.ds,
            Type.CDNSKEY: ksks,
        }
        for rdtype, rdatas in found.items():
            zone.replace_rdataset(apex, dns.rdataset.from_rdata_list(TTL, [rdata(rdtype, one) for one in rdatas]))
        dns.dnssec.sign_zone(
            zone, keys=[*self._ksks, self._zsk], inception=now - 3600, expiration=now + VALID, add_dnskey=False
        )
        before, self._published = self._published, tuple(rrsets_of(zone))
        gone = tuple(one for one in before if one not in self._published)
        come = tuple(one for one in self._published if one not in before)
        edition = Edition(IDENT, self._serial, self._serial - 1 or 1, self._serial, gone, come)
        for copy in self.copies:
            copy.publish(self.origin, edition, now)
        self._renew_at = now + VALID - RENEWED

    def begin_anew(self, now: int) -> None:
        """Have them lose the key that signs their data, while nobody hears of it."""
        self._zsk = self._key(256)
        self.publish(now)

    def roll(self, now: int, *, over: bool = False) -> None:
        """Have them ask for another KSK by CDS beside the first, or, where that is *over*, for it alone."""
        self._ksks = self._ksks[1:] if over else [*self._ksks, self._key(257)]
        self.publish(now)

    def live(self, now: int) -> None:
        """Have their servers renew what must be, and show what has arrived."""
        if now >= self._renew_at:
            self.publish(now)
        for copy in self.copies:
            copy.receive(now)

    def next(self) -> int:
        """Return when something happens there next, in seconds since 1970."""
        times = [at for copy in self.copies if (at := copy.next()) is not None]
        return min([self._renew_at, *times])

    # Who sees it

    def shows(self, now: int) -> bool:
        """Have all who are led there see it, and nobody else; tell whether that is new to them."""
        held = self.held
        if held is None or held.parent is None:
            return False
        leads = (zone.cached(self.origin, Type.NS, now) for zone in (held.parent, held))
        led = any(set(one.rdatas) & set(self.names) for found in leads for one in found)
        news = False
        for copy in self.copies:
            visible = led and not copy.away and bool(copy.content)
            if self._seen.get(copy.name, (False, 0)) != (visible, copy.version if visible else 0):
                self._seen[copy.name] = visible, copy.version if visible else 0
                held.show(copy.name, copy.content if visible else {}, now)
                news = True
        return news

    def referred(self, copies: Sequence[Copy]) -> Iterator[Door]:
        """Return the doors by which those get to their servers who ask one of *copies*, which refer there."""
        held = self.held
        if held is None or held.parent is None:
            return
        for door in self.doors:
            for copy in copies:
                ns = held.parent.shown.get(copy.name, {}).get((self.origin, int(Type.NS)))
                refers = ns is not None and bool(set(ns.rdatas) & set(self.names)) and copy.name not in held.shown
                if refers and not copy.away and door.theirs.name in held.shown:
                    door.ours = copy
                    yield door
                    break

    # What they are asked to do

    def wanted(
        self, state: State, wish: Wish, continuity: Continuity, keys: tuple[Rdata, ...], servers: tuple[Name, ...]
    ) -> dict[str, tuple[bytes, ...]]:
        """Return what is to change of their zone; *keys* and *servers* are the registry's."""
        away = state is State.AWAY and wish is Wish.AWAY
        ours, apex = self.ours, self.apex
        if state.startswith(("leaving", "returning")) or (away and continuity is Continuity.STANDBY):
            ours = keys
        elif state is State.HOSTED or away:
            ours = ()
        if state is State.RETURNING_SERVERS and wish is Wish.HOST:
            apex = servers
        elif wish is Wish.AWAY:
            apex = self.names
        both = (("ours", self.ours, ours), ("apex", self.apex, apex))
        return {what: new for what, old, new in both if new != old and what not in self._doing}

    def begins(self, what: str) -> int:
        """Note that they have begun to do *what*; return how many seconds they take."""
        self._doing.add(what)
        return self._chance.choice((600, 3600, 6 * 3600))

    def does(self, what: str, value: tuple[bytes, ...], now: int) -> None:
        """Have them do it, where their servers run; else they are asked again."""
        self._doing.discard(what)
        if not any(copy.away for copy in self.copies):
            setattr(self, what, value)
            self.publish(now)

    def text(self) -> str:
        """Return the home's name."""
        return names.to_text(self.origin)
