"""What people ask the database about many zones and their keys: which there are, what moves, how quick servers are.

Law: nothing is locked, and no private half is read. Whoever wants several answers of one moment asks in a snapshot.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from statistics import median_high

import msgspec

from ddns.dns import names
from ddns.dns.names import Name
from ddns.store.packing import bigints, texts
from zone_signer import leases
from zone_signer.leases import Lease
from zone_signer.phase import Record
from zone_signer.store import Conn, rows_of

REMEMBERED = 40  # sightings of a zone from which its pace is taken
SETTLE, PARENT = 60, 3600  # seconds that are assumed where nothing was ever seen


class Pace(msgspec.Struct, frozen=True):
    """How long, in seconds, servers took to show what a step published, and a parent elsewhere to do what it is asked.

    The middle one of what was seen of late.
    """

    settle: int = SETTLE
    parent: int = PARENT


@asynccontextmanager
async def snapshot(conn: Conn) -> AsyncIterator[None]:
    """Have all that is read meanwhile be of one moment; nothing is locked."""
    async with conn.transaction():
        await conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        yield


async def with_keys(conn: Conn, after: Name | None, limit: int) -> list[Lease]:
    """Return the next *limit* zones behind *after* that have, or had, keys, in the order of their names.

    Each zone is looked up by itself: a join would read the keys of all of them for each page (OFFSET 0 keeps it from
    one).
    """
    rows = await rows_of(
        conn,
        """SELECT id FROM zones
           WHERE origin > %(after)s AND EXISTS (SELECT FROM signing_keys WHERE signing_keys.zone = zones.id OFFSET 0)
           ORDER BY origin LIMIT %(limit)s""",
        {"after": b"" if after is None else names.order_key(after), "limit": limit},
    )
    return await leases.some(conn, [zone for (zone,) in rows])


# A zone without a registry here is always worth a look; homes only where something is to be done.
_BUSY = """
    SELECT id FROM zones WHERE parent IS NULL AND denial <> 'none'
    UNION (SELECT zone FROM signing JOIN zones ON zones.id = zone WHERE pending AND denial <> 'none'
           ORDER BY zone LIMIT %(limit)s)
    UNION (SELECT zone FROM signing JOIN zones ON zones.id = zone
           WHERE resign_at <= to_timestamp(%(now)s) AND denial <> 'none' ORDER BY resign_at LIMIT %(limit)s)
    UNION (SELECT zone FROM signing WHERE step_at <= to_timestamp(%(now)s) ORDER BY step_at LIMIT %(limit)s)
    UNION (SELECT zone FROM signing WHERE problem <> '' ORDER BY zone LIMIT %(limit)s)
    UNION SELECT zone FROM key_motions
    UNION SELECT zone FROM signing_orders
"""


async def busy(conn: Conn, now: int, limit: int) -> tuple[list[Lease], int]:
    """Return up to *limit* zones that people look after, or of which something is to be done, and how many there are.

    Of homes at rest there are none among them.
    """
    rows = await rows_of(
        conn,
        f"""SELECT id, count(*) OVER () FROM zones WHERE id IN ({_BUSY}) ORDER BY parent NULLS FIRST, origin
            LIMIT %(limit)s""",  # noqa: S608 - our own words
        {"now": now, "limit": limit},
    )
    return await leases.some(conn, [zone for zone, _ in rows]), rows[0][1] if rows else 0


async def resting_homes(conn: Conn, now: int, until: int) -> tuple[int, int | None]:
    """Return how many homes at rest have their keys looked at between *now* and *until*, and when that begins."""
    rows = await rows_of(
        conn,
        """SELECT count(*), extract(epoch FROM min(step_at))::bigint FROM signing JOIN zones ON zones.id = zone
           WHERE step_at > to_timestamp(%(now)s) AND step_at <= to_timestamp(%(until)s) AND parent IS NOT NULL
             AND NOT EXISTS (SELECT FROM key_motions WHERE key_motions.zone = signing.zone)""",
        {"now": now, "until": until},
    )
    return rows[0][0], rows[0][1]


async def paces(conn: Conn, zones: Iterable[Lease]) -> dict[int, Pace]:
    """Return how quick the servers of each of *zones* were of late, by what happened to its keys."""
    wanted = {zone.id: zone for zone in zones}
    rows = await rows_of(
        conn,
        """SELECT asked.zone, seen.record, seen.took
           FROM unnest(%(zones)s) AS asked(zone) CROSS JOIN LATERAL (
               SELECT id, record, after,
                      extract(epoch FROM at - lag(at) OVER (PARTITION BY key, record ORDER BY id))::bigint AS took
               FROM (SELECT id, key, record, after, at FROM key_events
                     WHERE key_events.zone = asked.zone AND after IN ('seen', 'rumoured', 'unretentive')
                     ORDER BY id DESC LIMIT 2 * %(most)s) AS latest
               ORDER BY id DESC) AS seen
           WHERE seen.after = 'seen' AND seen.took >= 0""",
        {"zones": bigints(list(wanted)), "most": REMEMBERED},
    )
    own: dict[int, list[int]] = {}
    parents: dict[int, list[int]] = {}
    for zone, record, took in rows:
        at_parent = record == Record.DS and wanted[zone].parent is None
        (parents if at_parent else own).setdefault(zone, []).append(took)
    return {
        zone: Pace(
            median_high(own[zone]) if zone in own else SETTLE,
            median_high(parents[zone]) if zone in parents else PARENT,
        )
        for zone in wanted
    }


async def touched(conn: Conn, keys: Iterable[str]) -> Mapping[str, int]:
    """Return when something last happened to each of *keys* (ids), in seconds since 1970, where anything has."""
    rows = await rows_of(
        conn,
        """SELECT asked.key, extract(epoch FROM latest.at)::bigint
           FROM unnest(%(keys)s) AS asked(key) JOIN signing_keys ON signing_keys.id = asked.key::uuid
           CROSS JOIN LATERAL (
               SELECT at FROM key_events
               WHERE key_events.zone = signing_keys.zone AND key_events.key = signing_keys.id
               ORDER BY id DESC LIMIT 1) AS latest""",
        {"keys": texts(keys)},
    )
    return dict(rows)


async def homes_of(conn: Conn, zone: int) -> int:
    """Return how many homes have *zone* for their registry's."""
    rows = await rows_of(conn, "SELECT count(*) FROM zones WHERE parent = %(zone)s", {"zone": zone})
    count: int = rows[0][0]
    return count


async def signer_runs(conn: Conn, living: int) -> bool:
    """Tell whether a signer gave a sign of life in the last *living* seconds."""
    rows = await rows_of(
        conn,
        "SELECT EXISTS (SELECT FROM signers WHERE database_at > now() - make_interval(secs => %(living)s))",
        {"living": living},
    )
    return bool(rows[0][0])


async def published_at(conn: Conn, zones: Sequence[int]) -> dict[int, int]:
    """Return when each of *zones* was published last, in seconds since 1970; one that never was is left out."""
    rows = await rows_of(
        conn,
        """SELECT zones.id, extract(epoch FROM at)::bigint FROM zones
           JOIN editions ON editions.zone = zones.id AND editions.number = zones.edition
           WHERE zones.id = ANY(%(zones)s)""",
        {"zones": bigints(zones)},
    )
    return dict(rows)


async def outdated_since(conn: Conn, zone: int, serials: Iterable[int]) -> dict[int, int]:
    """Return since when each of *serials* of *zone* is no longer its newest, in seconds since 1970.

    Of one that no edition knows any more it is as long as the oldest that is kept.
    """
    wanted = sorted(set(serials))
    rows = await rows_of(
        conn,
        """SELECT asked.serial, extract(epoch FROM coalesce(
               (SELECT min(at) FROM editions WHERE zone = %(zone)s AND from_serial = asked.serial),
               (SELECT at FROM editions WHERE zone = %(zone)s ORDER BY number LIMIT 1)))::bigint
           FROM unnest(%(serials)s) AS asked(serial)""",
        {"zone": zone, "serials": bigints(wanted)},
    )
    return {serial: at for serial, at in rows if at is not None}
