"""A registry in a real database under a clock of its own: its signers, and what people ask of it."""

from __future__ import annotations

from collections.abc import Callable

import psycopg
from holding import Held
from msgspec.structs import replace
from signing import NOW, Update, add, read

from ddns.dns import names
from ddns.dns.names import Name, from_text
from ddns.dns.records import SignedRRset
from ddns.postgres import OWNER, LocalPostgres
from ddns.store import editions, published, rrsets, zones
from ddns.store import signing as signing_rows
from ddns.store.pool import Connection, Pool, connect
from ddns.zone.edition import Edition
from zone_signer.clock import Reading
from zone_signer.clockkeeper import Clockkeeper, Mark
from zone_signer.keyring import KeyRing
from zone_signer.signer import Signer
from zone_signer.vault import Vault
from zone_signer.vaults import Vaults

TOP, REGISTRY = "test.", "homes.test."
ROLES = ("ddns_admin", "ddns_server", "zone_signer")


class Keeper(Clockkeeper):
    """A signer's clock, compared with the *database*'s as the simulation has it."""

    database: Callable[[], float]

    async def read(self, conn: Connection) -> tuple[Reading, Mark]:
        reading, mark = await super().read(conn)
        return replace(reading, database=self.database()), mark


class House:
    """The registry in a *database* of *postgres*'s, which people may change and signers sign.

    `now` is the time, in seconds since 1970; `signers` tells whether any runs. `held` are its zones by their origins.
    """

    def __init__(self, postgres: LocalPostgres, database: str) -> None:
        self.now = self.start = NOW
        self.postgres, self.database = postgres, database
        self.masters = [Vault(bytes(range(32)))]
        self.ring = KeyRing(Vaults(self.masters))
        self.held: dict[Name, Held] = {}
        self.signers = True
        self.skew = 0  # seconds by which the signers' clock is wrong
        self.refused = 0  # how often their clock was not believed
        self.start_signers()
        self._conns: dict[str, Connection] = {}
        self._pool: Pool | None = None

    # Its database

    async def open(self) -> None:
        for role in ROLES:
            self._conns[role] = await connect(self.postgres.dsn(role, self.database), role)
        self._pool = Pool(self.postgres.dsn("zone_signer", self.database), "zone_signer", 1)
        await self._pool.open()

    async def close(self) -> None:
        for conn in self._conns.values():
            await conn.close()
        self._conns.clear()
        if self._pool is not None:
            await self._pool.close()

    def start_signers(self) -> None:
        """Have the signers start anew, with a clock that nobody has compared with anything yet."""
        self.keeper = Keeper(lambda: self.now + self.skew, lambda: self.now, lambda _: True)
        self.keeper.database = lambda: self.now

    @property
    def admin(self) -> Connection:
        return self._conns["ddns_admin"]

    @property
    def server(self) -> Connection:
        return self._conns["ddns_server"]

    @property
    def signer(self) -> Connection:
        return self._conns["zone_signer"]

    async def copy(self, source: str, target: str) -> None:
        """Make the database *target* what *source* is."""
        await self.close()
        with psycopg.connect(self.postgres.dsn(OWNER, "postgres"), autocommit=True) as conn:
            conn.execute(f"DROP DATABASE IF EXISTS {target} WITH (FORCE)")
            conn.execute(f"CREATE DATABASE {target} TEMPLATE {source} STRATEGY FILE_COPY")
        await self.open()

    async def rows(self, query: str, *values: object) -> list[tuple]:
        return list(await (await self.admin.execute(query.encode(), values or None)).fetchall())

    # What people do

    async def zone(self, origin: str, *lines: str, denial: str = "nsec3", algorithm: int = 13) -> Held:
        """Add the registry's zone, or a home that its zone delegates to already."""
        apex = from_text(origin)
        parent = self.held[from_text(TOP if origin == REGISTRY else REGISTRY)]
        content = ("ns 300 A 127.0.0.1", "www 300 A 192.0.2.1", "*.any 300 TXT anything", *lines)
        ident = await add(
            self.admin, origin, *content, denial=denial, algorithm=algorithm,
            parent=None if origin == REGISTRY else parent.id,
        )  # fmt: skip
        self.held[apex] = held = Held(apex, parent, ident, "insecure" if denial == "none" else "moving")
        if denial == "none":
            await self._publish_unsigned(ident)
        for name, shown in parent.shown.items():
            held.delegated(name, shown, self.now)
        return held

    async def _publish_unsigned(self, ident: int) -> None:
        """Publish a zone that nobody signs, as the command that adds it does."""
        found = tuple(
            SignedRRset(one.name, one.type, one.ttl, one.rdatas, ())
            for one in await rrsets.read_zone(self.admin, ident)
        )
        async with self.admin.transaction():
            await published.publish(self.admin, [(ident, one) for one in found], [])
            await editions.append(self.admin, [Edition(ident, 1, 1, 1, (), found)])
            await zones.advance(self.admin, [(ident, 1, 1, 1)])

    def named(self, origin: str) -> Held:
        return self.held[from_text(origin)]

    async def order(self, zone: Held, kind: str, **columns: object) -> None:
        """Ask the signer for something."""
        row = {"zone": zone.id, "kind": kind, "principal": "a person"} | columns
        names_of, places = ", ".join(row), ", ".join(f"%({name})s" for name in row)
        await self.admin.execute(
            f"INSERT INTO signing_orders ({names_of}, at) VALUES ({places}, to_timestamp(%(now)s))",
            row | {"now": self.now},
        )

    async def policy(self, zone: Held, **columns: object) -> None:
        """Give *zone* a policy of its own with *columns*, or change that."""
        row = {"name": f"p{zone.id}"} | columns
        names_of, places = ", ".join(row), ", ".join(f"%({name})s" for name in row)
        sets = ", ".join(f"{name} = excluded.{name}" for name in row)
        await self.admin.execute(
            f"INSERT INTO signing_policies ({names_of}) VALUES ({places}) ON CONFLICT (name) DO UPDATE SET {sets}", row
        )
        await self.admin.execute("UPDATE zones SET policy = %s WHERE id = %s", (row["name"], zone.id))
        await self.admin.execute(
            "UPDATE signing SET step_at = to_timestamp(%s) FROM zones "
            "WHERE zone = %s AND zones.id = zone AND edition > 0",
            (self.now, zone.id),
        )

    async def algorithm(self, zone: Held, algorithm: int) -> None:
        """Have a zone signed with another algorithm."""
        async with self.admin.transaction():
            row = (await zones.lock(self.admin, [zone.id]))[zone.id]
            await zones.set_denial(self.admin, zone.id, row.denial, algorithm)

    async def denial(self, zone: Held, denial: str) -> bool:
        """Have a zone deny what it has not another way; False where its keys move, and people are told to wait."""
        if await self.rows("SELECT FROM key_motions WHERE zone = %s", zone.id):
            return False
        async with self.admin.transaction():
            row = (await zones.lock(self.admin, [zone.id]))[zone.id]
            await zones.set_denial(self.admin, zone.id, denial, row.algorithm)
            await signing_rows.mark_pending(self.admin, {zone.id: row.head})
        return True

    async def update(self, zone: Held, *lines: str, serial: int | None = None) -> None:
        """Change records of a zone as a server does, signed by the signer; with *serial*, that is its next one."""
        assert self._pool is not None
        content = read(names.to_text(zone.origin), *lines)
        owners = {from_text(line.split()[0], zone.origin) for line in lines}
        async with self.server.transaction():
            step = await Update.make(self.server, zone.id, {name: content[name] for name in owners})
            if serial is not None:
                step.zone = replace(step.zone, serial=serial - 1)
            signed = None
            if self.signers:
                (signed,) = await Signer(self.ring, self._pool, self.keeper).sign([step.job])
            await step.commit(None if signed is None or signed.error else signed)

    async def resting(self) -> bool:
        """Tell whether no key moves, and none is on its way out."""
        return not await self.rows(
            "SELECT FROM key_motions UNION ALL SELECT FROM signing_keys "
            "WHERE state <> 'removed' AND (state <> 'active' OR NOT stays)"
        )
