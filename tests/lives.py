"""Zones in a real database whose keys live: signers with a clock of their own, a watcher, a parent, and all caches.

Every edition is judged: each signature with dnspython, which signatures each RRset has, that it is what signing all
anew would give, and whether any cache that holds anything published so far could find the zone bogus (`caches`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from caches import Caches
from signing import NOW, add, bare, keys_of, ought, validate, vault

from ddns.dns.codes import Type
from ddns.dns.names import Name, from_text
from ddns.dns.records import SignedRRset
from ddns.store import editions, zones
from ddns.store.pool import Connection
from ddns.zone.edition import Edition
from zone_signer import keys as public
from zone_signer import rrsig
from zone_signer.keyring import KeyRing
from zone_signer.keyset import APEX_TYPES, DELETE_CDS
from zone_signer.worker import Sweep, Worker

Key = tuple[str, int]
DAY = 86400
PARENT = "a.nic.test. 192.0.2.9:53"


class Zone:
    """A zone as it was published last, and the caches of all that was published of it before."""

    def __init__(self, ident: int, origin: Name, parent: int | None) -> None:
        self.id = ident
        self.origin = origin
        self.parent = parent
        self.shown: dict[tuple[Name, int], SignedRRset] = {}
        self.edition = 0
        self.ds: tuple[bytes, ...] = ()
        self.caches = Caches()
        self.kinds: set[frozenset[Key]] = set()  # which sets of keys have signed some RRset of it

    def key(self, rdtype: int) -> SignedRRset | None:
        return self.shown.get((self.origin, int(rdtype)))


class Life:
    """The house: *signers* take turns at *conn*, the signer's connection; *admin* and *server* are those of others."""

    def __init__(
        self,
        admin: Connection,
        conn: Connection,
        server: Connection,
        dsn_for: Callable[[str], str],
        signers: int = 1,
        adopts: int | None = 60,
    ) -> None:
        self.now = NOW
        self.admin, self.conn, self.server = admin, conn, server
        self.rings = [KeyRing(vault()) for _ in range(signers)]
        self.workers = [Worker(dsn_for("zone_signer"), ring, lambda: self.now) for ring in self.rings]
        self.zones: dict[int, Zone] = {}
        self.adopts = adopts  # seconds until the parent elsewhere follows CDS; None: never
        self.watching = True
        self.failed: list[tuple[str, str]] = []
        self.problems: list[str] = []
        self.editions = 0
        self._adopting: dict[int, tuple[int, tuple[bytes, ...]]] = {}
        self._turns = 0

    async def zone(self, origin: str, *lines: str, parent: int | None = None, **more) -> Zone:
        """Add a zone, which is signed with the next sweep."""
        ident = await add(self.admin, origin, *lines, parent=parent, **more)
        self.zones[ident] = found = Zone(ident, from_text(origin), parent)
        return found

    def know(self, ident: int, origin: Name, parent: int | None) -> None:
        """Take in a zone that somebody else has added."""
        self.zones[ident] = Zone(ident, origin, parent)

    async def policy(self, zone: Zone, **columns: object) -> None:
        """Give *zone* a policy of its own with *columns*, without safeties and jitter."""
        row = {"name": f"p{zone.id}", "publish_safety": 0, "retire_safety": 0, "lifetime_jitter": 0.0} | columns
        names, places = ", ".join(row), ", ".join(f"%({name})s" for name in row)
        sets = ", ".join(f"{name} = excluded.{name}" for name in row)
        await self.admin.execute(
            f"INSERT INTO signing_policies ({names}) VALUES ({places}) ON CONFLICT (name) DO UPDATE SET {sets}", row
        )
        await self.admin.execute("UPDATE zones SET policy = %s WHERE id = %s", (row["name"], zone.id))
        await self.look(zone)

    async def look(self, zone: Zone) -> None:
        """Have the signer look at a zone's keys."""
        await self.admin.execute(
            "UPDATE signing SET step_at = to_timestamp(%s) WHERE zone = %s AND EXISTS "
            "(SELECT FROM zones WHERE id = %s AND edition > 0)",
            (self.now, zone.id, zone.id),
        )

    async def order(self, zone: Zone, kind: str, **columns: object) -> None:
        """Ask for something."""
        row = {"zone": zone.id, "kind": kind, "principal": "a person"} | columns
        names, places = ", ".join(row), ", ".join(f"%({name})s" for name in row)
        await self.admin.execute(
            f"INSERT INTO signing_orders ({names}, at) VALUES ({places}, to_timestamp(%(now)s))",
            row | {"now": self.now},
        )

    # What happens

    async def sweep(self) -> Sweep:
        """Have the next signer do all that is to be done now, and judge what it published."""
        worker = self.workers[self._turns % len(self.workers)]
        self._turns += 1
        done = await worker.sweep(self.conn)
        self.failed += done.failed
        await self.judge()
        return done

    async def settle(self, most: int = 400, until: int | None = None) -> None:
        """Let time pass, from one moment in which something happens to the next, until nothing moves any more."""
        for _ in range(most):
            await self.sweep()
            if self.watching:
                await self.watch()
            await self.sweep()
            if not await self.moving() or (until is not None and self.now >= until):
                return
            self.now = max(self.now + 1, await self.wake())
        raise AssertionError(f"keys move for ever: {await self.moves()}")

    async def wake(self) -> int:
        """Return when something happens next."""
        rows = await (
            await self.admin.execute(
                "SELECT extract(epoch FROM min(least(step_at, resign_at)))::bigint FROM signing "
                "WHERE least(step_at, resign_at) > to_timestamp(%s)",
                (self.now,),
            )
        ).fetchone()
        times = [at for at, _ in self._adopting.values()] + ([rows[0]] if rows and rows[0] else [])
        return min(times, default=self.now + DAY)

    async def moving(self) -> bool:
        """Tell whether any key moves, or is on its way out."""
        row = await (
            await self.admin.execute(
                "SELECT EXISTS (SELECT FROM key_motions) OR EXISTS (SELECT FROM signing_keys WHERE state NOT IN "
                "('active', 'removed')) OR EXISTS (SELECT FROM signing_keys WHERE NOT stays AND state <> 'removed')"
            )
        ).fetchone()
        return bool(row and row[0])

    async def moves(self) -> list[tuple]:
        rows = await self.admin.execute(
            "SELECT signing_keys.zone, tag, role, stays, dnskey, zrrsig, ds, state, record, seen_at, waits "
            "FROM signing_keys LEFT JOIN key_motions ON key = id"
        )
        return list(await rows.fetchall())

    async def watch(self) -> None:
        """Look at the servers as the watcher does: nobody but ourselves serves these zones, and parents elsewhere."""
        rows = await self.admin.execute("SELECT DISTINCT place FROM key_motions WHERE place > 0")
        seen = [(place, "secondary", "", False, None) for (place,) in await rows.fetchall()]
        for zone in self.zones.values():
            if zone.parent is None and zone.edition:
                self._follow(zone)
                seen.append((zone.id, "parent", PARENT, True, list(zone.ds)))
        for ident, kind, name, wanted, ds in seen:
            await self.server.execute(
                """INSERT INTO sightings (zone, kind, server, wanted, asked_at, answered_at, ds, ds_ttl)
                   VALUES (%s, %s, %s, %s, to_timestamp(%s), to_timestamp(%s), %s, 300)
                   ON CONFLICT (zone, kind, server) DO UPDATE SET asked_at = excluded.asked_at,
                       answered_at = excluded.answered_at, ds = excluded.ds""",
                (ident, kind, name, wanted, self.now, self.now, ds),
            )
        await self.server.execute(
            "UPDATE signing SET step_at = to_timestamp(%s) FROM key_motions WHERE key_motions.zone = signing.zone "
            "AND key_motions.seen_at IS NULL",
            (self.now,),
        )

    def _follow(self, zone: Zone) -> None:
        """Have the parent elsewhere publish what CDS say, after its time."""
        cds = zone.key(Type.CDS)
        if cds is not None and self.adopts is not None:
            wanted = () if cds.rdatas == (DELETE_CDS,) else cds.rdatas
            if wanted != zone.ds and self._adopting.get(zone.id, (0, zone.ds))[1] != wanted:
                self._adopting[zone.id] = self.now + self.adopts, wanted
        at, wanted = self._adopting.get(zone.id, (self.now + 1, ()))
        if at <= self.now:
            del self._adopting[zone.id]
            zone.ds = wanted
            zone.caches.publish("ds", _named(wanted), self.now, 300)

    # What is judged

    async def judge(self) -> None:
        """Take every edition that was published since, and see what caches may make of it."""
        for zone in self.zones.values():
            for edition in await editions.since(self.admin, zone.id, zone.edition, 10_000):
                self._publish(zone, edition)
        self._look_at_caches()
        for zone in self.zones.values():
            row = (await zones.get(self.admin, [zone.id]))[zone.id]
            if zone.edition and not row.signed_pending:
                assert zone.edition == row.edition
                assert await bare(self.conn, zone.id) == await ought(self.conn, row, await keys_of(self.conn, zone.id))
        assert self.problems == []

    async def take(self, ident: int, number: int) -> None:
        """Take one edition, as if it was published just now."""
        zone = self.zones[ident]
        (edition,) = await editions.since(self.admin, ident, number - 1, 1)
        self._publish(zone, edition)
        self._look_at_caches()

    def _publish(self, zone: Zone, edition: Edition) -> None:
        for one in edition.removed:
            zone.shown.pop((one.name, one.type), None)
        for one in edition.added:
            zone.shown[one.name, one.type] = one
        zone.edition = edition.number
        self.editions += 1
        self._take(zone)

    def _look_at_caches(self) -> None:
        for zone in self.zones.values():
            if zone.parent is not None:
                self._delegated(zone, self.zones[zone.parent])
            if zone.edition:
                self.problems += [f"{self.now - NOW}: {zone.origin!r} {one}" for one in zone.caches.bogus(self.now)]

    def _take(self, zone: Zone) -> None:
        """Have caches take what the zone publishes: while it is signed anew by slices, signatures of several kinds."""
        dnskey = zone.key(Type.DNSKEY)
        now = int(self.now)
        keys: frozenset[Key] = frozenset()
        signers: frozenset[Key] = frozenset()
        kinds: set[frozenset[Key]] = {frozenset()}
        if dnskey is not None:
            validate(zone.origin, list(zone.shown.values()), now)
            keys = frozenset((str(public.tag(one)), one[3]) for one in dnskey.rdatas)
            signers = _makers(dnskey, now)
            kinds = {_makers(one, now) for one in zone.shown.values() if one.sigs and one.type not in APEX_TYPES}
        else:
            assert not any(one.sigs for one in zone.shown.values())
        zone.caches.publish("dnskey", (keys, signers), self.now, 3600 if dnskey is None else dnskey.ttl)
        greatest = max(one.ttl for one in zone.shown.values())
        for kind in zone.kinds - kinds:
            zone.caches.withdraw("data", self.now, repr(sorted(kind)))
        for kind in kinds:
            zone.caches.publish("data", kind, self.now, greatest, server=repr(sorted(kind)))
        zone.kinds = kinds

    def _delegated(self, zone: Zone, registry: Zone) -> None:
        found = registry.shown.get((zone.origin, int(Type.DS)))
        rdatas = () if found is None else found.rdatas
        if rdatas != zone.ds:
            zone.ds = rdatas
            zone.caches.publish("ds", _named(rdatas), self.now, 300 if found is None else found.ttl)

    # What people see

    async def keys(self, zone: Zone) -> list[tuple[str, int, str, str, str, str]]:
        """Return role, algorithm, phases and state of the keys of *zone* that are not removed."""
        rows = await self.admin.execute(
            "SELECT role, algorithm, dnskey, zrrsig, ds, state FROM signing_keys "
            "WHERE zone = %s AND state <> 'removed' ORDER BY role, created_at",
            (zone.id,),
        )
        return list(await rows.fetchall())

    async def tags(self, zone: Zone) -> list[int]:
        rows = await self.admin.execute(
            "SELECT tag FROM signing_keys WHERE zone = %s AND state <> 'removed' ORDER BY role, tag", (zone.id,)
        )
        return [tag for (tag,) in await rows.fetchall()]

    async def events(self, zone: Zone) -> list[tuple[str, str, str]]:
        """Return what happened to the keys of *zone*: record, before and after."""
        rows = await self.admin.execute(
            "SELECT record, before, after FROM key_events WHERE zone = %s ORDER BY id", (zone.id,)
        )
        return list(await rows.fetchall())

    async def row(self, zone: Zone) -> tuple:
        rows = await self.admin.execute(
            "SELECT denial, keyset, wish, problem, extract(epoch FROM step_at)::bigint, whole_serial "
            "FROM zones JOIN signing ON signing.zone = zones.id WHERE zones.id = %s",
            (zone.id,),
        )
        found = await rows.fetchone()
        assert found is not None
        return found


def _makers(one: SignedRRset, now: int) -> frozenset[Key]:
    """Return the keys that signed an RRset."""
    return frozenset((str(tag), kind) for kind, tag in (rrsig.read(sig, now).mark for sig in one.sigs))


def _named(ds: Sequence[bytes]) -> frozenset[Key]:
    return frozenset((str(int.from_bytes(one[:2], "big")), one[2]) for one in ds)
