"""A worker's whole way of updates beside a signed zone, the short way or the careful one, for tests of the commit."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import craft
import dns.message
import signing

from ddns.answer.image import ZoneImage
from ddns.answer.table import Table
from ddns.auth import tsig
from ddns.auth.principal import Credential, Grant, Secret
from ddns.auth.sealing import Sealer
from ddns.dns import names
from ddns.dns.asker import Asker, Transport
from ddns.dns.codes import Type
from ddns.net.batches import UpdateLimits
from ddns.net.keyring import Keyring
from ddns.net.subscriber import Subscriber
from ddns.net.updates import Updates
from ddns.store import credentials, grants, journal, published, zones
from ddns.store.line import Line, Parameter, Statement
from ddns.store.lines import Lines
from ddns.store.pool import Connection, connect
from ddns.zone import edition
from ddns.zone.jobs import SignedJob, SignJob
from ddns.zone.limits import Limits

SEALER = Sealer(bytes(range(32)))
ALL, SOME, NOBODY = (names.from_text(f"{label}.keys.example.") for label in ("all", "some", "nobody"))
FOLLOWER = 7
OF_KEYS = (Type.DNSKEY, Type.CDS, Type.CDNSKEY)

CONTENT = (
    "a 300 A 192.0.2.1", "a 300 AAAA 2001:db8::1", "a 300 TXT one", "b.a 60 A 192.0.2.2", "*.w 300 A 192.0.2.3",
    "cut 300 NS ns.cut", "ns.cut 300 A 192.0.2.4", "alias 300 CNAME a", "gone 300 MX 10 a",
)  # fmt: skip


class CountingLine(Line):
    """A line that counts what runs over it."""

    ran = 0

    async def run(self, statement: Statement, parameters: Sequence[Parameter]) -> bytes | None:
        self.ran += 1
        return await super().run(statement, parameters)


class Interrupted:
    """A signer during whose work something else happens: *meanwhile*, once."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self.meanwhile: Callable[[], Awaitable[object]] | None = None
        self.asked = 0

    async def sign(self, jobs: Sequence[SignJob]) -> tuple[SignedJob, ...]:
        self.asked += 1
        done = await self.client.sign(jobs)
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile is not None:
            await meanwhile()
        return done


class Worker:
    """One worker's way of updates; *line*: the short way."""

    def __init__(self, dsn: str, signer: Any, line: Line | None) -> None:
        self.pool = signing.CountingPool(dsn, "ddns_server", 3)
        self.table = Table()
        self.subscriber = Subscriber(self.table, self.pool, 0)
        self.key_line = Line(dsn, "ddns_server")
        self.keyring = Keyring(self.key_line, SEALER, 1000, 1000)
        self.line = line
        self.now = float(signing.NOW)
        self.updates = Updates(
            pool=self.pool,
            table=self.table,
            subscriber=self.subscriber,
            signer=signer,
            keyring=self.keyring,
            identity=None,
            limits=Limits(records_per_rrset=3),
            bounds=UpdateLimits(),
            clock=lambda: self.now,
            lines=None if line is None else Lines([line]),
            follower=FOLLOWER,
            together=self._together,
        )
        self.gave_together: list[int] = []
        self._gave = 0

    async def open(self, *ids: int) -> None:
        await self.pool.open()
        await self.subscriber.resync()
        for zone in ids:
            await self.load(zone)

    async def load(self, zone: int) -> None:
        async with self.pool.connection() as conn:
            row = (await zones.get(conn, [zone]))[zone]
            self.table.install(ZoneImage(zone, row.origin, row.edition, await published.read_zone(conn, zone)))

    async def send(self, *messages: bytes) -> list[bytes]:
        """Hand over signed messages at once and return the replies in their order."""
        loop = asyncio.get_running_loop()
        waiting = []
        for wire in messages:
            replied = loop.create_future()
            self.updates.receive(wire, Asker(Transport.TCP, "192.0.2.1"), functools.partial(self._hear, replied))
            waiting.append(replied)
        async with asyncio.timeout(20):
            return list(await asyncio.gather(*waiting))

    def _hear(self, replied: asyncio.Future[bytes], octets: bytes) -> None:
        self._gave += 1
        replied.set_result(octets)

    @contextlib.contextmanager
    def _together(self) -> Iterator[None]:
        """Count the answers that are given meanwhile."""
        before = self._gave
        yield
        self.gave_together.append(self._gave - before)

    async def close(self) -> None:
        await self.updates.close()
        await self.subscriber.close()
        if self.line is not None:
            self.line.close()
        self.key_line.close()
        await self.pool.close()


class House:
    """A database of its own with a signer, the zone of `craft` signed, and one worker; a context manager."""

    def __init__(
        self, dsn_for: Callable[[str], str], folder: Path, *, short: bool = True, denial: str = "nsec3"
    ) -> None:
        folder.mkdir(exist_ok=True)
        self._dsn_for = dsn_for
        self._denial = denial
        self.running = signing.Running(dsn_for, folder)
        self.signer = Interrupted(self.running.client)
        self.line = CountingLine(dsn_for("ddns_server"), "ddns_server") if short else None
        self.worker = Worker(dsn_for("ddns_server"), self.signer, self.line)
        self.zone = 0
        self._others: list[Worker] = []

    async def __aenter__(self) -> Self:
        self.admin: Connection = await connect(self._dsn_for("owner"), "ddns_owner")
        await self.running.__aenter__()
        self.zone = await signing.add(self.admin, "smith.example.", *CONTENT, denial=self._denial)
        await self.running.worker.sweep(self.admin)
        for name, granted in (
            (ALL, [Grant(self.zone, craft.ORIGIN, rule="zone")]),
            (SOME, [Grant(self.zone, craft.name("a"), frozenset({1, 16}), most=((1, 2),))]),
            (NOBODY, []),
        ):
            sealed = SEALER.seal(name, Secret(b"s" * 32))
            await credentials.insert(self.admin, name, "tsig", "hmac-sha256", secret=sealed, grants=granted)
        await grants.insert(
            self.admin, None, Grant(self.zone, craft.name("secret"), rule="subdomain", denied="it is secret")
        )
        await self.worker.open(self.zone)
        return self

    async def __aexit__(self, *_: object) -> None:
        for one in (self.worker, *self._others):
            await one.close()
        await self.running.__aexit__()
        await self.admin.close()

    async def another(self) -> Worker:
        """Return a second worker on the same database, which takes the short way too."""
        dsn = self._dsn_for("ddns_server")
        worker = Worker(dsn, self.running.client, CountingLine(dsn, "ddns_server"))
        self._others.append(worker)
        await worker.open(self.zone)
        return worker

    def signed(self, *operations: bytes, key: bytes = ALL, needs: Sequence[bytes] = (), ident: int = 4711) -> bytes:
        """Return an update signed with *key*."""
        credential = Credential(0, key, "tsig", "hmac-sha256", secret=Secret(b"s" * 32))
        wire = craft.message(*operations, needs=needs, ident=ident)
        return tsig.sign_request(wire, credential, int(self.worker.now))[0]

    def signed_for(self, origin: bytes, record: bytes, ident: int) -> bytes:
        """Return an update that adds *record*, given without its owner, to the apex of the zone *origin*."""
        credential = Credential(0, ALL, "tsig", "hmac-sha256", secret=Secret(b"s" * 32))
        wire = craft.message(origin + record, origin=origin, ident=ident)
        return tsig.sign_request(wire, credential, int(self.worker.now))[0]

    async def send(self, *messages: bytes) -> list[dns.message.Message]:
        return [read(reply) for reply in await self.worker.send(*messages)]

    async def row(self) -> zones.Zone:
        return (await zones.get(self.admin, [self.zone]))[self.zone]

    async def rows(self) -> dict[str, Any]:
        """Return all that updates write, without keys; signatures, which are different each time, as their number."""

        async def ask(query: str) -> list[Any]:
            return list(await (await self.admin.execute(query, binary=True)).fetchall())

        return {
            "zones": await ask("SELECT id, head, edition, serial FROM zones ORDER BY id"),
            "signing": await ask("SELECT zone, signed_head, pending FROM signing ORDER BY zone"),
            "records": await ask("SELECT zone, owner, type, ttl, rdatas FROM rrsets ORDER BY zone, owner, type"),
            "shown": await ask(
                """SELECT zone, owner, type, ttl, CASE WHEN type IN (48, 59, 60) THEN '{}' ELSE rdatas END,
                          cardinality(sigs)
                   FROM published_rrsets ORDER BY zone, owner, type"""
            ),
            "journal": [
                (one.zone, one.seq, one.principal, one.credential, one.digest, set(one.change.changes))
                for one in await journal.since(self.admin, self.zone, 0, 10_000)
            ],
            "editions": [
                (*row[:4], _bare(row[4]), _bare(row[5]))
                for row in await ask(
                    "SELECT zone, number, from_serial, to_serial, removed, added FROM editions ORDER BY zone, number"
                )
            ],
            "requests": await ask("SELECT digest, rcode, ede, text, lease, expires_at FROM requests ORDER BY digest"),
            "leases": await ask(
                "SELECT zone, owner, type, rdata, seconds FROM leases ORDER BY zone, owner, type, rdata"
            ),
        }

    async def validate(self) -> int:
        """Check all signatures that are published; return how many there are."""
        return signing.validate(craft.ORIGIN, await published.read_zone(self.admin, self.zone), int(self.running.now))


def read(reply: bytes) -> dns.message.Message:
    return dns.message.from_wire(reply, keyring=lambda *_: False)


def _bare(packed: bytes) -> set[Any]:
    return {
        (one.name, one.type, one.ttl, () if one.type in OF_KEYS else one.rdatas, len(one.sigs))
        for one in edition.unpack(packed)
    }
