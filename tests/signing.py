"""A small house for tests of the signer: zones in a real database, changed as servers change them, and checked."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Self

import dns.dnssec
import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdataset
import dns.rdatatype
import dns.rrset
import dns.zone

from ddns.dns import names
from ddns.dns.codes import Type
from ddns.dns.names import Name, from_text
from ddns.dns.records import RRset, SignedRRset, canonical, serial_next, soa_with_serial
from ddns.signing.client import SignerClient
from ddns.store import editions, journal, published, rrsets, zones
from ddns.store import signing as signing_rows
from ddns.store.pool import Connection, Pool
from ddns.zone.changes import ChangeSet, RRsetChange
from ddns.zone.edition import Edition
from ddns.zone.jobs import Node, SignedJob, SignJob
from zone_signer import keybook, leases
from zone_signer import plan as plans
from zone_signer.keyring import KeyRing
from zone_signer.lookup import Lookup
from zone_signer.policies import Policies
from zone_signer.policy import Policy
from zone_signer.records_of_keys import KeyRecords
from zone_signer.service import Service
from zone_signer.signer import Signer
from zone_signer.vault import Vault
from zone_signer.worker import Worker

NOW = 1_800_000_000
POLICY = Policy()
MASTER = bytes(range(32))
SOA = "@ 300 SOA ns host {serial} 3600 600 86400 60"
CHAIN = (Type.NSEC, Type.NSEC3)

Content = dict[Name, tuple[RRset, ...]]
Bare = dict[tuple[Name, int], tuple[int, tuple[bytes, ...], bool]]


def read(origin: str, *lines: str, serial: int = 1) -> Content:
    """Return the zone of *lines*, each `owner ttl type rdata`, with a SOA and an NS."""
    apex = dns.name.from_text(origin)
    found: dict[tuple[Name, int], tuple[int, list[bytes]]] = {}
    for line in (SOA.format(serial=serial), "@ 300 NS ns", *lines):
        owner, ttl, rdtype, text = line.split(maxsplit=3)
        kind = int(dns.rdatatype.from_text(rdtype))
        data = dns.rdata.from_text("IN", rdtype, text, origin=apex, relativize=False).to_wire()
        name = from_text(owner, from_text(origin))
        found.setdefault((name, kind), (int(ttl), []))[1].append(canonical(kind, data))
    out: Content = {}
    for (name, kind), (ttl_of, rdatas) in found.items():
        out[name] = (*out.get(name, ()), RRset.of(name, kind, ttl_of, rdatas))
    return out


def vault() -> Vault:
    return Vault(MASTER)


async def add(
    admin: Connection, origin: str, *lines: str, denial: str = "nsec3", algorithm: int = 13, parent: int | None = None
) -> int:
    """Add a zone that waits for the signer, as `ddns zone import` does."""
    content = read(origin, *lines)
    async with admin.transaction():
        zone = await zones.insert(admin, from_text(origin), denial, algorithm, parent)
        await rrsets.fill(admin, zone, [one for found in content.values() for one in found])
        changes = tuple(RRsetChange(one.name, one.type, None, one) for found in content.values() for one in found)
        await journal.append(admin, [journal.Entry(zone, 1, "admin", None, None, ChangeSet(changes))])
        await zones.advance(admin, [(zone, 1, 0, 0)])
        await signing_rows.mark_pending(admin, {zone: 0})
    return zone


class Update:
    """One update of one zone, in the transaction of *conn*: made, then committed signed or unsigned."""

    def __init__(self, conn: Connection, zone: zones.Zone, nodes: tuple[Node, ...], above: Content) -> None:
        self.conn = conn
        self.zone = zone
        self.nodes = nodes
        self._above = tuple((name, tuple(one.type for one in found)) for name, found in above.items())

    @classmethod
    async def make(cls, conn: Connection, zone_id: int, after: Content) -> Update:
        """Lock the zone and read what the update touches; *after* holds its names with all their records."""
        zone = (await zones.lock(conn, [zone_id]))[zone_id]
        wanted = {zone.origin, *after}
        above = {name for one in wanted for name in names.ancestors(one, zone.origin)} - wanted
        there = await rrsets.read_names(conn, [(zone_id, name) for name in wanted | above])
        before = {name: there.get((zone_id, name), ()) for name in wanted | above}
        nodes = tuple(Node(name, before[name], after.get(name, before[name])) for name in wanted)
        return cls(conn, zone, nodes, {name: before[name] for name in above})

    @property
    def job(self) -> SignJob:
        """What the server asks the signer."""
        serial = serial_next(self.zone.serial)
        nodes = tuple(
            Node(
                node.name,
                node.before,
                tuple(
                    RRset(one.name, one.type, one.ttl, (soa_with_serial(one.rdatas[0], serial),))
                    if one.type == Type.SOA and one.name == self.zone.origin
                    else one
                    for one in node.after
                ),
            )
            for node in self.nodes
        )
        zone = self.zone
        return SignJob(zone.id, zone.origin, zone.denial, zone.algorithm, nodes, self._above, keyset=zone.keyset)

    async def commit(self, signed: SignedJob | None) -> None:
        """Write the change; without *signed* it waits for the signer."""
        zone, conn = self.zone, self.conn
        before = {(node.name, one.type): one for node in self.nodes for one in node.before}
        after = {(node.name, one.type): one for node in self.nodes for one in node.after}
        change = ChangeSet(
            tuple(
                RRsetChange(*place, before.get(place), after.get(place))
                for place in before.keys() | after.keys()
                if before.get(place) != after.get(place)
            )
        )
        await rrsets.apply(conn, [(zone.id, change)])
        await journal.append(conn, [journal.Entry(zone.id, zone.head + 1, "test", None, None, change)])
        if signed is None:
            await signing_rows.mark_pending(conn, {zone.id: zone.head})
            await zones.advance(conn, [(zone.id, zone.head + 1, zone.edition, zone.serial)])
            return
        assert not signed.error, signed.error
        there = {
            (name, one.type): one
            for (_, name), found in (
                await published.read_names(conn, [(zone.id, node.name) for node in self.nodes])
            ).items()
            for one in found
        }
        told = {(one.name, one.type): one for one in signed.old}
        places = {(one.name, one.type) for one in signed.added} | set(signed.gone)
        for place in places:
            if place[1] in CHAIN:
                stands = (await published.read_names(conn, [(zone.id, place[0])])).get((zone.id, place[0]), ())
                assert told.get(place) == next((one for one in stands if one.type == place[1]), None)
        old = tuple(one for place, one in (there | told).items() if place in places)
        serial = serial_next(zone.serial)
        await published.publish(
            conn, [(zone.id, one) for one in signed.added], [(zone.id, *place) for place in signed.gone]
        )
        await editions.append(conn, [Edition(zone.id, zone.edition + 1, zone.serial, serial, old, signed.added)])
        await zones.advance(conn, [(zone.id, zone.head + 1, zone.edition + 1, serial)])


async def bare(conn: Connection, zone: int) -> Bare:
    """Return what is published, signatures only as being there or not, the SOA's serial as 0."""
    found = {}
    for one in await published.read_zone(conn, zone):
        rdatas = tuple(soa_with_serial(rdata, 0) for rdata in one.rdatas) if one.type == Type.SOA else one.rdatas
        found[one.name, one.type] = one.ttl, rdatas, bool(one.sigs)
    return found


async def keys_of(conn: Connection, zone: int) -> KeyRecords:
    """Return what the zone publishes because of its keys, as their rows and phases have it."""
    (lease,) = (await leases.lock(conn, [zone])).values()
    policies = Policies()
    policies.learn(await keybook.policies(conn))
    book = (await keybook.read(conn, [lease], policies, NOW))[zone]
    return KeyRecords.of(book.keyset(lease.keyset, book.keys), book.keys)


async def ought(conn: Connection, zone: zones.Zone, keys: KeyRecords, ttl: int = POLICY.dnskey_ttl) -> Bare:
    """Return what signing everything anew would publish, in the form of `bare`; *ttl* is that of the keys."""
    content: Content = {}
    for one in await rrsets.read_zone(conn, zone.id):
        content[one.name] = (*content.get(one.name, ()), one)
    wanted = plans.desired(zone.origin, zone.denial, content, keys, Policy(dnskey_ttl=ttl))
    return {
        place: (
            rrset.ttl,
            tuple(soa_with_serial(rdata, 0) for rdata in rrset.rdatas) if rrset.type == Type.SOA else rrset.rdatas,
            signed,
        )
        for place, (rrset, signed) in wanted.items()
    }


def rdata(rdtype: int, octets: bytes) -> dns.rdata.Rdata:
    return dns.rdata.from_wire(dns.rdataclass.IN, dns.rdatatype.RdataType.make(rdtype), octets, 0, len(octets))


def validate(origin: Name, shown: list[SignedRRset], now: int | None = NOW) -> int:
    """Check every signature of a zone with dnspython; return how many there are."""
    apex = dns.name.from_wire(origin, 0)[0]
    dnskey = next(one for one in shown if one.type == Type.DNSKEY and one.name == origin)
    keys = {apex: dns.rdataset.from_rdata_list(dnskey.ttl, [rdata(Type.DNSKEY, one) for one in dnskey.rdatas])}
    count = 0
    for one in shown:
        if not one.sigs:
            continue
        owner = dns.name.from_wire(one.name, 0)[0]
        rrset = dns.rrset.from_rdata_list(owner, one.ttl, [rdata(one.type, octets) for octets in one.rdatas])
        sigs = dns.rrset.from_rdata_list(owner, one.ttl, [rdata(Type.RRSIG, octets) for octets in one.sigs])
        dns.dnssec.validate(rrset, sigs, keys, now=now)
        count += len(one.sigs)
    return count


def text(shown: list[SignedRRset]) -> str:
    """Return a published zone as a master file, the SOA first."""
    lines = []
    for one in sorted(shown, key=lambda one: (one.type != Type.SOA, names.order_key(one.name), one.type)):
        owner = names.to_text(one.name)
        for rdtype, rdatas in ((one.type, one.rdatas), (Type.RRSIG, one.sigs)):
            kind = dns.rdatatype.to_text(dns.rdatatype.RdataType.make(rdtype))
            lines += [f"{owner} {one.ttl} IN {kind} {rdata(rdtype, octets).to_text()}" for octets in rdatas]
    return "\n".join(lines) + "\n"


class CountingPool(Pool):
    """A pool that counts how often it was needed."""

    lent = 0

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        self.lent += 1
        async with super().connection() as conn:
            yield conn


class Running:
    """A signer at a socket in *folder*, a client of it, and the loop beside; a context manager."""

    def __init__(self, dsn_for: Callable[[str], str], folder: Path, now: float = NOW) -> None:
        self.now = float(now)
        self.ring = KeyRing(vault())
        self.path = folder / "signer.sock"
        self.pool = CountingPool(dsn_for("zone_signer"), "zone_signer", 2)
        self.lookup = Lookup(dsn_for("zone_signer"), "zone_signer")
        self.service = Service(self.path, Signer(self.ring, self.pool, lambda: self.now, self.lookup))
        self.worker = Worker(dsn_for("zone_signer"), self.ring, lambda: self.now)
        self.client = SignerClient(self.path, 20.0)

    async def __aenter__(self) -> Self:
        await self.pool.open()
        await self.service.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.client.close()
        await self.service.close()
        self.lookup.close()
        await self.pool.close()

    async def update(self, conn: Connection, zone: int, after: Content) -> SignedJob:
        """Do one update as a server does it: signed by the service, committed with its signatures."""
        async with conn.transaction():
            step = await Update.make(conn, zone, after)
            (signed,) = await self.client.sign([step.job])
            await step.commit(signed)
        return signed
