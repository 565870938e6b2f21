"""A registry's update path with leases for tests: messages with the option, time that passes, registrations.

dnspython has no Update Lease option and no SIG(0): the option is written as octets, the signature is ours.
"""

from __future__ import annotations

import asyncio
import struct
import time

import craft
import dns.edns
import dns.message

from ddns.answer.image import ZoneImage
from ddns.answer.table import Table
from ddns.auth import keys, sig0, tsig
from ddns.auth.principal import Credential, Grant, Secret
from ddns.auth.sealing import Sealer
from ddns.dns import names, wire
from ddns.dns.asker import Asker, Transport
from ddns.dns.records import SignedRRset
from ddns.net.batches import UpdateLimits
from ddns.net.expiry import Expiry, ExpiryLimits
from ddns.net.keyring import Keyring
from ddns.net.subscriber import Subscriber
from ddns.net.updates import Updates
from ddns.operator import services
from ddns.signing.client import SignerClient
from ddns.store import credentials, homes, published, rrsets, zones
from ddns.store.line import Line
from ddns.store.pool import Pool
from ddns.zone.limits import Limits

SEALER = Sealer(bytes(range(32)))
KEY = names.from_text("k.example.")
SIGNS = Credential(0, KEY, "tsig", "hmac-sha256", secret=Secret(b"s" * 32))
LEASE = 2  # RFC 9664 §4
NETWORK = "192.0.2.0/24"


def lease(*seconds: int, payload: int = 1232) -> bytes:
    """Return an OPT record with the option in its short or long form."""
    return wire.opt(payload, do=False, options=((LEASE, struct.pack(f"!{len(seconds)}I", *seconds)),))


def granted(reply: dns.message.Message) -> tuple[int, ...] | None:
    """Return the lease that an answer grants, in the form in which it does."""
    for option in reply.options:
        if option.otype == LEASE:
            return struct.unpack(f"!{len(option.data) // 4}I", option.data)
    return None


class Server:
    """One worker's way of updates, beside others on the same database; *now* is its clock."""

    def __init__(self, dsn: str, folder, **bounds) -> None:
        self.pool = Pool(dsn, "ddns_server", 3)
        self.line = Line(dsn, "ddns_server")
        self.table = Table()
        self.subscriber = Subscriber(self.table, self.pool, 0)
        self.signer = SignerClient(folder / "no-signer.sock", 0.2)
        self.now = float(int(time.time()))
        self.updates = Updates(
            pool=self.pool,
            table=self.table,
            subscriber=self.subscriber,
            signer=self.signer,
            keyring=Keyring(self.line, SEALER, 1000, 1000),
            identity=None,
            limits=Limits(),
            bounds=UpdateLimits(**bounds),
            clock=lambda: self.now,
        )
        self.expiry = Expiry(self.pool, self.signer, self.subscriber, ExpiryLimits(), lambda: self.now)

    async def open(self, *ids: int) -> None:
        await self.pool.open()
        await self.subscriber.resync()
        async with self.pool.connection() as conn:
            # The database was made a while ago, and nobody has been there to take updates since.
            await conn.execute("UPDATE lease_clock SET seen_at = now(), expire_from = now()")
            for zone in ids:
                row = (await zones.get(conn, [zone]))[zone]
                self.table.install(ZoneImage(zone, row.origin, row.edition, await published.read_zone(conn, zone)))

    async def close(self) -> None:
        await self.updates.close()
        await self.subscriber.close()
        self.line.close()
        await self.pool.close()

    async def send(
        self,
        *messages: bytes,
        source: str = "192.0.2.1",
        transport: Transport = Transport.TCP,
        verified: bool = False,
    ) -> list[dns.message.Message]:
        """Hand over signed messages at once and return the replies in their order."""
        loop = asyncio.get_running_loop()
        waiting = []
        for octets in messages:
            replied = loop.create_future()
            self.updates.receive(octets, Asker(transport, source, verified), replied.set_result)
            waiting.append(replied)
        async with asyncio.timeout(20):
            replies = await asyncio.gather(*waiting)
        return [dns.message.from_wire(reply, keyring=lambda *_: False) for reply in replies]


class Home:
    """The zone of `craft` as a home, not signed, written by one TSIG key, with *servers* before it."""

    def __init__(self, dsn: str, admin, folder) -> None:
        self.admin = admin
        self.server = Server(dsn, folder)
        self.zone = 0
        self._ident = 0

    async def begin(self, *lines: str, services_from: tuple[str, ...] = ()) -> Home:
        content = [rrset for node in craft.zone(*lines).values() for rrset in node]
        self.zone = await zones.insert(self.admin, craft.ORIGIN, "none", 13)
        async with self.admin.transaction():
            await homes.insert(self.admin, self.zone)
            await rrsets.fill(self.admin, self.zone, content)
            shown = [SignedRRset(one.name, one.type, one.ttl, one.rdatas) for one in content]
            await published.fill(self.admin, self.zone, shown)
            await zones.advance(self.admin, [(self.zone, 1, 1, 10)])
        await credentials.insert(
            self.admin, KEY, "tsig", "hmac-sha256", secret=SEALER.seal(KEY, SIGNS.secret),
            grants=[Grant(self.zone, craft.ORIGIN)],
        )  # fmt: skip
        if services_from:
            await services.allow(self.admin, craft.ORIGIN, services_from)
        await self.server.open(self.zone)
        return self

    def ident(self) -> int:
        self._ident += 1
        return self._ident

    def message(self, *operations: bytes, opt: bytes | None = None, needs=()) -> bytes:
        additional = [] if opt is None else [opt]
        return craft.message(*operations, additional=additional, ident=self.ident(), needs=needs)

    def sign(self, message: bytes) -> bytes:
        return tsig.sign_request(message, SIGNS, int(self.server.now))[0]

    def signed(self, *operations: bytes, opt: bytes | None = None) -> bytes:
        return self.sign(self.message(*operations, opt=opt))

    async def update(self, *operations: bytes, leased: tuple[int, ...] | None = None) -> dns.message.Message:
        opt = wire.opt(1232, do=False) if leased is None else lease(*leased)
        return (await self.server.send(self.signed(*operations, opt=opt)))[0]

    async def register(self, key, host: str, *operations: bytes, leased=(7200, 1209600), **how) -> dns.message.Message:
        """Send an SRP Update signed by *key* in the name of *host*; *how* is for `Server.send`."""
        return (await self.server.send(self.registration(key, host, *operations, leased=leased), **how))[0]

    def registration(self, key, host: str, *operations: bytes, leased=(7200, 1209600), flags=0) -> bytes:
        message = self.message(*operations, opt=lease(*leased) if leased else wire.opt(1232, do=False))
        return sig0.sign_request(message, key, craft.name(host), int(self.server.now), flags=flags)

    async def passes(self, seconds: int) -> int:
        """Let time pass for the leases, end what is over, and return how many records that were."""
        await self.admin.execute("RESET ROLE")
        await self.admin.execute(
            "UPDATE leases SET ends_at = ends_at - %(seconds)s * interval '1 second'", {"seconds": seconds}
        )
        return await self.server.expiry.look()

    async def content(self) -> set[str]:
        """Return the records of the zone as it is stored, without the SOA and NS."""
        return await _shown(await rrsets.read_zone(self.admin, self.zone))

    async def row(self) -> zones.Zone:
        return (await zones.get(self.admin, [self.zone]))[self.zone]

    async def is_published(self) -> bool:
        """Tell whether what is published is what is stored, but for the serial."""
        return await self.content() == await _shown(await published.read_zone(self.admin, self.zone))


async def _shown(found) -> set[str]:
    nodes: dict = {}
    for one in found:
        nodes[one.name] = (*nodes.get(one.name, ()), one)
    return {line for line in craft.show(nodes) if " SOA " not in line and " NS " not in line}


def host(name: str, key, *addresses: str, ttl: int = 120, flags: int = 0) -> list[bytes]:
    """Return a Host Description Instruction (RFC 9665 §3.3.1.3)."""
    there = [craft.add(name, ttl, "AAAA" if ":" in one else "A", one) for one in addresses]
    return [craft.delete(name), *there, craft.rr(name, "KEY", craft.IN, ttl, keys.key_rdata(key, flags))]


def service(instance: str, kind: str, target: str, *, port: int = 80, ttl: int = 120, subtypes=()) -> list[bytes]:
    """Return the Service Discovery and Service Description Instructions of one service."""
    full = f"{instance}.{kind}"
    out = [craft.add(kind, ttl, "PTR", full)]
    out += [craft.add(f"{subtype}._sub.{kind}", ttl, "PTR", full) for subtype in subtypes]
    return [
        *out,
        craft.delete(full),
        craft.add(full, ttl, "SRV", f"0 0 {port} {target}"),
        craft.add(full, ttl, "TXT", '"path=/"'),
    ]
