"""Leases: which records go away by themselves, and the clock that says when.

All times are the database's: a lease is written as "so many seconds from now", so that the clocks of
workers do not matter. `lease_clock` remembers when a worker was last able to take updates.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
from psycopg import AsyncConnection

from ddns.dns import names
from ddns.dns.names import Name
from ddns.dns.records import Rdata
from ddns.store.packing import bigints, integers, octets
from ddns.store.pool import rows
from ddns.zone.lease import Held, Leases, Place

DRIFT = 300  # seconds: a database whose clock differs more from the worker's is not believed
STEP = 2  # seconds that a clock may be set back without being noticed
EARLIEST = 1_735_689_600  # 2025-01-01: a clock that says less has not been set yet


class Tick(msgspec.Struct, frozen=True):
    """What the lease clock says: *sane*: the database's clock can be believed; *held* seconds until leases may end."""

    sane: bool
    held: int


class Listed(msgspec.Struct, frozen=True):
    """A lease as people list it; *ends_at* in seconds since 1970."""

    name: Name
    type: int
    rdata: Rdata
    seconds: int
    ends_at: int
    host: Name | None


def _host(key: bytes | None) -> Name | None:
    return None if key is None else names.from_order_key(key)


async def read_names(conn: AsyncConnection[Any], wanted: Iterable[tuple[int, Name]]) -> dict[int, dict[Place, Held]]:
    """Return the leases of the records at each (zone, name), by zone."""
    keys = list(dict.fromkeys(wanted))
    if not keys:
        return {}
    cursor = await conn.execute(
        """
        SELECT wanted.place, leases.type, leases.rdata, leases.seconds, leases.host
        FROM unnest(%(zones)s, %(owners)s) WITH ORDINALITY AS wanted (zone, owner, place)
        JOIN leases ON leases.zone = wanted.zone AND leases.owner = wanted.owner
        """,
        {"zones": bigints([key[0] for key in keys]), "owners": octets([names.order_key(key[1]) for key in keys])},
        prepare=True,
        binary=True,
    )
    found: dict[int, dict[Place, Held]] = {}
    for place, rdtype, rdata, seconds, host in await rows(cursor):
        zone, name = keys[place - 1]
        found.setdefault(zone, {})[name, rdtype, rdata] = Held(seconds, _host(host))
    return found


async def of_hosts(conn: AsyncConnection[Any], hosts: Iterable[tuple[int, Name]]) -> list[tuple[int, Name]]:
    """Return the (zone, name) at which records of the registrations of *hosts*, given as (zone, name), stand."""
    keys = list(dict.fromkeys(hosts))
    if not keys:
        return []
    cursor = await conn.execute(
        """
        SELECT DISTINCT leases.zone, leases.owner
        FROM unnest(%(zones)s, %(hosts)s) AS wanted (zone, host)
        JOIN leases ON leases.zone = wanted.zone AND leases.host = wanted.host
        """,
        {"zones": bigints([key[0] for key in keys]), "hosts": octets([names.order_key(key[1]) for key in keys])},
        prepare=True,
        binary=True,
    )
    return [(zone, names.from_order_key(owner)) for zone, owner in await rows(cursor)]


async def count_registered(conn: AsyncConnection[Any], zones: Iterable[int]) -> dict[int, int]:
    """Return how many records of registrations (RFC 9665) each of *zones* has; one without is not in the result."""
    cursor = await conn.execute(
        """
        SELECT zone, count(*) FROM leases WHERE zone = ANY (%(zones)s) AND host IS NOT NULL GROUP BY zone
        """,
        {"zones": bigints(sorted(set(zones)))},
        prepare=True,
        binary=True,
    )
    return dict(await rows(cursor))


async def write(conn: AsyncConnection[Any], changed: Mapping[int, Leases]) -> None:
    """Write what *changed*, by zone, into the open transaction that holds those zones locked."""
    await drop(conn, [(zone, place) for zone, leases in changed.items() for place in leases.dropped()])
    caps = [(zone, host, seconds) for zone, leases in changed.items() for host, seconds in leases.caps().items()]
    if caps:
        await conn.execute(
            """
            UPDATE leases SET seconds = least(leases.seconds, cap.seconds),
                ends_at = least(ends_at, now() + cap.seconds * interval '1 second')
            FROM unnest(%(zones)s, %(hosts)s, %(seconds)s) AS cap (zone, host, seconds)
            WHERE leases.zone = cap.zone AND leases.host = cap.host AND leases.type <> 25
            """,
            {
                "zones": bigints([cap[0] for cap in caps]),
                "hosts": octets([names.order_key(cap[1]) for cap in caps]),
                "seconds": bigints([cap[2] for cap in caps]),
            },
            prepare=True,
        )
    puts = [(zone, place, held) for zone, leases in changed.items() for place, held in leases.puts().items()]
    if not puts:
        return
    # A clock that went back must not make a lease shorter: it counts from the latest time that was seen.
    await conn.execute(
        """
        INSERT INTO leases (zone, owner, type, digest, rdata, seconds, ends_at, host)
        SELECT new.zone, new.owner, new.type, new.digest, new.rdata, new.seconds,
               greatest(now(), lease_clock.seen_at) + new.seconds * interval '1 second', new.host
        FROM lease_clock,
             unnest(%(zones)s, %(owners)s, %(types)s, %(digests)s, %(rdatas)s, %(seconds)s, %(hosts)s)
             AS new (zone, owner, type, digest, rdata, seconds, host)
        ON CONFLICT (zone, owner, type, digest) DO UPDATE
            SET seconds = excluded.seconds, ends_at = excluded.ends_at, host = excluded.host
        """,
        {
            "zones": bigints([zone for zone, _, _ in puts]),
            "owners": octets([names.order_key(place[0]) for _, place, _ in puts]),
            "types": integers([place[1] for _, place, _ in puts]),
            "digests": octets([_digest(place[2]) for _, place, _ in puts]),
            "rdatas": octets([place[2] for _, place, _ in puts]),
            "seconds": bigints([held.seconds for _, _, held in puts]),
            "hosts": octets([None if held.host is None else names.order_key(held.host) for _, _, held in puts]),
        },
        prepare=True,
    )


async def drop(conn: AsyncConnection[Any], gone: Sequence[tuple[int, Place]]) -> None:
    """Forget the leases of these records, given as (zone, place)."""
    if not gone:
        return
    await conn.execute(
        """
        DELETE FROM leases USING unnest(%(zones)s, %(owners)s, %(types)s, %(digests)s)
                                 AS gone (zone, owner, type, digest)
        WHERE leases.zone = gone.zone AND leases.owner = gone.owner AND leases.type = gone.type
              AND leases.digest = gone.digest
        """,
        {
            "zones": bigints([zone for zone, _ in gone]),
            "owners": octets([names.order_key(place[0]) for _, place in gone]),
            "types": integers([place[1] for _, place in gone]),
            "digests": octets([_digest(place[2]) for _, place in gone]),
        },
        prepare=True,
    )


async def drop_zones(conn: AsyncConnection[Any], zones: Iterable[int]) -> None:
    """Make all records of *zones* permanent."""
    await conn.execute(
        "DELETE FROM leases WHERE zone = ANY (%(zones)s)", {"zones": bigints(sorted(set(zones)))}, prepare=True
    )


async def begin_anew(conn: AsyncConnection[Any], zone: int) -> None:
    """Give every lease of *zone* the time that it was last granted again, counted from now."""
    await conn.execute(
        """
        UPDATE leases SET ends_at = greatest(ends_at, now() + seconds * interval '1 second') WHERE zone = %(zone)s
        """,
        {"zone": zone},
        prepare=True,
    )


async def tick(conn: AsyncConnection[Any], now: float, *, gap: float, grace: float, longest: float) -> Tick:
    """Say that updates can be taken at this moment, and return whether leases may end; *now* is the worker's clock.

    Where nobody could for more than *gap* seconds, nothing ends for as long again: at least *grace*, at most *longest*
    seconds. A clock that was not set yet, or differs from the worker's, is not believed; after one that was set back
    nothing ends for *longest* seconds. Of all workers one writes it down every now and then; the others read.
    """
    cursor = await conn.execute(
        """
        SELECT extract(epoch FROM now())::float8, extract(epoch FROM now() - seen_at)::float8,
               extract(epoch FROM expire_from - now())::float8
        FROM lease_clock
        """,
        prepare=True,
        binary=True,
    )
    row = await cursor.fetchone()
    assert row is not None
    theirs, unseen, held = row
    if theirs < EARLIEST or abs(theirs - now) > DRIFT:
        return Tick(sane=False, held=0)
    if -STEP <= unseen < gap / 4:
        return Tick(sane=True, held=max(0, int(held)))
    cursor = await conn.execute(
        """
        WITH before AS (SELECT seen_at, expire_from FROM lease_clock FOR UPDATE)
        UPDATE lease_clock SET
            seen_at = now(),
            expire_from = CASE
                WHEN before.seen_at - now() > %(step)s * interval '1 second'
                    THEN now() + %(longest)s * interval '1 second'
                WHEN now() - before.seen_at > %(gap)s * interval '1 second'
                    THEN now() + least(greatest(now() - before.seen_at, %(grace)s * interval '1 second'),
                                       %(longest)s * interval '1 second')
                ELSE before.expire_from END
        FROM before
        RETURNING extract(epoch FROM lease_clock.expire_from - now())::float8
        """,
        {"step": STEP, "gap": gap, "grace": grace, "longest": longest},
        prepare=True,
        binary=True,
    )
    row = await cursor.fetchone()
    assert row is not None
    return Tick(sane=True, held=max(0, int(row[0])))


async def lock_due(conn: AsyncConnection[Any], most: int) -> list[int]:
    """Lock at most *most* zones in which a lease has ended, in the order of their ids, and return them.

    Zones that somebody else has locked are left for the next time, and so are homes that are suspended or have servers
    of their own: they cannot renew.
    """
    cursor = await conn.execute(
        """
        SELECT zones.id FROM zones
        WHERE zones.id IN (
            SELECT leases.zone FROM leases
            WHERE leases.ends_at <= now()
                  AND NOT EXISTS (SELECT FROM homes WHERE homes.zone = leases.zone AND homes.state <> 'active')
                  AND NOT EXISTS (SELECT FROM zones WHERE zones.id = leases.zone AND (held OR presigned))
            ORDER BY leases.ends_at LIMIT %(most)s)
        ORDER BY zones.id FOR NO KEY UPDATE SKIP LOCKED
        """,
        {"most": most},
        prepare=True,
        binary=True,
    )
    return [zone for (zone,) in await cursor.fetchall()]


async def due(conn: AsyncConnection[Any], zones: Sequence[int], most: int) -> list[tuple[int, Place]]:
    """Return at most *most* records of the locked *zones* whose lease has ended, those of one zone together."""
    cursor = await conn.execute(
        """
        SELECT zone, owner, type, rdata FROM leases
        WHERE zone = ANY (%(zones)s) AND ends_at <= now() ORDER BY zone, owner, type LIMIT %(most)s
        """,
        {"zones": bigints(list(zones)), "most": most},
        prepare=True,
        binary=True,
    )
    key = names.from_order_key
    return [(zone, (key(owner), rdtype, rdata)) for zone, owner, rdtype, rdata in await cursor.fetchall()]


async def listing(conn: AsyncConnection[Any], zone: int) -> list[Listed]:
    """Return the leases of *zone* in the order in which they end."""
    cursor = await conn.execute(
        """
        SELECT owner, type, rdata, seconds, extract(epoch FROM ends_at)::bigint, host
        FROM leases WHERE zone = %(zone)s ORDER BY ends_at, owner, type
        """,
        {"zone": zone},
        prepare=True,
        binary=True,
    )
    key = names.from_order_key
    return [
        Listed(key(owner), rdtype, rdata, seconds, ends_at, _host(host))
        for owner, rdtype, rdata, seconds, ends_at, host in await cursor.fetchall()
    ]


def _digest(rdata: Rdata) -> bytes:
    return hashlib.sha256(rdata).digest()
