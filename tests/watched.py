"""A database with zones that are watched, and what watches; the servers beside it are `nameservers`."""

from __future__ import annotations

import time
import uuid
from typing import Any

from nameservers import Nameserver, Zonefile
from ports import free_port

from ddns.dns import names
from ddns.dns.codes import Type
from ddns.dns.records import SignedRRset
from ddns.store import published, sightings, transfers, zones
from ddns.store.sightings import SECONDARY, Sighting
from ddns.store.transfers import NewTarget
from ddns.watch.limits import WatchLimits
from ddns.watch.watcher import Watcher

ORIGIN = "homes.example."
NS1, NS2, NS3 = "127.0.0.2", "127.0.0.3", "127.0.0.4"
DS = f"{ORIGIN} 3600 IN DS 4711 13 2 {'AB' * 32}"
OCTETS = b"\x12\x67\x0d\x02" + b"\xab" * 32


class World:
    """A registry's zone in the database, servers beside it on one port, and what watches."""

    def __init__(self, dsn_for: Any, admin: Any, owner: Any, conn: Any, **limits: Any) -> None:
        self.admin, self.owner, self.conn = admin, owner, conn
        self.port = free_port()
        self.dsn = dsn_for("ddns_server")
        self.now = float(int(time.time()))
        self.limits = WatchLimits(
            **{"timeout": 1.0, "port": self.port, "resolver": f"127.0.0.1:{self.port}", "private": True, **limits}
        )
        self.watcher = Watcher(self.dsn, self.limits, lambda: self.now)

    async def zone(
        self, origin: str = ORIGIN, serial: int = 42, parent: int | None = None, ns: tuple[str, ...] = (), **glue: str
    ) -> int:
        """Publish a zone with these NS names; *glue* are the addresses of hosts in it."""
        name = names.from_text(origin)
        zone = await zones.insert(self.admin, name, "nsec3", 13, parent)
        rrsets = [SignedRRset(name, Type.NS, 300, tuple(names.from_text(one) for one in ns) or (b"\x02ns" + name,), ())]
        for host, address in glue.items():
            rdata = bytes(map(int, address.split(".")))
            rrsets.append(SignedRRset(names.from_text(host, name), Type.A, 300, (rdata,), ()))
        async with self.admin.transaction():
            await published.fill(self.admin, zone, rrsets)
            await zones.advance(self.admin, [(zone, 1, 1, serial)])
        return zone

    async def key(
        self, zone: int, record: str, place: int, since: float | None = None, serial: int | None = None
    ) -> str:
        """Have a record of a key of *zone* move."""
        key = str(uuid.uuid4())
        await self.owner.execute(
            """INSERT INTO signing_keys (id, zone, algorithm, flags, tag, public, sealed)
               VALUES (%s, %s, 13, 257, (SELECT count(*) FROM signing_keys), '', '')""",
            [key, zone],
        )
        await self.owner.execute(
            """INSERT INTO key_motions (key, record, zone, since, place, serial, ttl)
               VALUES (%s, %s, %s, to_timestamp(%s), %s, %s, 60)""",
            [key, record, zone, self.now if since is None else since, place, serial],
        )
        return key

    async def target(self, zone: int, address: str, *, homes: bool = False) -> None:
        await transfers.put_targets(self.admin, [NewTarget(zone, homes, address, self.port, None)])

    async def policy(self, zone: int, **columns: Any) -> None:
        """Put *zone* under a policy of its own."""
        await self.owner.execute("INSERT INTO signing_policies (name) VALUES ('special') ON CONFLICT DO NOTHING")
        for column, value in columns.items():
            await self.owner.execute(f"UPDATE signing_policies SET {column} = %s WHERE name = 'special'", [value])
        await self.owner.execute("UPDATE zones SET policy = 'special' WHERE id = %s", [zone])

    async def look(self) -> float:
        return await self.watcher.look(self.conn)

    async def look_anew(self) -> float:
        """Look as if all that is waited for were due."""
        self.watcher._looked.clear()
        return await self.look()

    async def walk(self) -> None:
        """Look at all zones at rest as if they were due."""
        await self.look()
        self.watcher._walk_at = 0.0
        await self.look()
        while self.watcher._walked is not None:
            await self.look()

    async def listen(self) -> Any:
        """Return what counts, in the end, how often the signer was woken."""
        heard: list[Any] = []
        self.owner.add_notify_handler(heard.append)
        await self.owner.execute("LISTEN ddns_pending")

        async def count() -> int:
            await self.owner.execute("SELECT 1")
            return len(heard)

        return count

    async def said(self, zone: int, kind: str = SECONDARY) -> dict[str, Sighting]:
        """Return what is written down of the servers that count, by their addresses."""
        rows = (await sightings.read(self.conn, [zone])).get(zone, [])
        return {one.server.removesuffix(f":{self.port}"): one for one in rows if one.kind == kind}

    async def stepped(self, zone: int) -> bool:
        """Tell whether the signer was asked to look at *zone*, and take that back."""
        cursor = await self.owner.execute("SELECT step_at FROM signing WHERE zone = %s", [zone])
        found = (await cursor.fetchone())[0] is not None
        await self.owner.execute("UPDATE signing SET step_at = NULL WHERE zone = %s", [zone])
        return found

    def server(self, address: str, answer: Any) -> Nameserver:
        return Nameserver(address, self.port, answer)

    def resolver(self, *records: str, zones: tuple[str, ...] = ("example.",)) -> Nameserver:
        """What finds `example.`, with two servers of its own, and these *records*."""
        given = [
            "example. 300 IN NS a.nic.example. | b.nic.example.",
            f"a.nic.example. 300 IN A {NS1}",
            f"b.nic.example. 300 IN A {NS2}",
        ]
        return self.server("127.0.0.1", Zonefile(*zones, records=(*given, *records)))


def shows(*records: str, zone: str = "example.") -> Any:
    """Return what answers for a parent's zone with these records."""
    return Zonefile(zone, records=records, minimum=900)
