"""Transfers: who may have which zone, whom to notify of its changes, and what each of them has.

Rows with *homes* are rules for the homes that a registry's zone delegates, each a zone of its own.
"""

from __future__ import annotations

import ipaddress
from collections.abc import AsyncGenerator, Iterable, Sequence
from typing import Any

import msgspec
from psycopg import AsyncConnection

from ddns.dns import names
from ddns.dns.names import Name
from ddns.dns.records import Rdata
from ddns.store.packing import bigints, integers, octets, texts
from ddns.store.zones import Zone

CHANNEL = "ddns_transfers"
SENDER_LOCK = 0x6E616D65706C6174  # ours: the advisory lock of the one process that sends NOTIFY
ROWS_AT_ONCE = 500  # fetched at once: what the reactor is kept with is a few milliseconds
MOST_SOURCES = 32  # whose last transfer is remembered, for each zone

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Row = tuple[bytes, int, int, list[Rdata], list[Rdata]]


class Right(msgspec.Struct, frozen=True):
    """Who may transfer the zone *zone*, or with *homes* its homes: whoever signs with *key*, or asks from *address*."""

    id: int
    zone: int
    origin: Name
    homes: bool
    key: Name | None
    address: Network | None


class Target(msgspec.Struct, frozen=True):
    """Whom to notify of the zone *zone*, or with *homes* of its homes; *key* signs what is sent."""

    id: int
    zone: int
    origin: Name
    homes: bool
    address: str
    port: int
    key: Name | None


class NewRight(msgspec.Struct, frozen=True):
    """A right that is to be: of *key* or of *address*."""

    zone: int
    homes: bool
    key: Name | None
    address: Network | None


class NewTarget(msgspec.Struct, frozen=True):
    """A target that is to be."""

    zone: int
    homes: bool
    address: str
    port: int
    key: Name | None


class Notified(msgspec.Struct, frozen=True):
    """How the last NOTIFY of a zone to *target* ended: *rcode* is None where nothing was answered.

    *at* is in seconds since 1970.
    """

    target: int
    zone: int
    serial: int
    rcode: int | None
    tries: int
    at: int


class Transferred(msgspec.Struct, frozen=True):
    """What *source* took last: *kind* is `axfr`, `ixfr` or `current` (it was up to date); *at* seconds since 1970."""

    zone: int
    source: str
    key: Name | None
    kind: str
    serial: int
    at: int


class Notice(msgspec.Struct, frozen=True):
    """A zone that a target is to be told of: *soa* is the SOA's RDATA.

    *told* is the serial that it was told last, None where it never was; *answered* tells whether it answered.
    """

    zone: int
    origin: Name
    serial: int
    ttl: int
    soa: Rdata
    target: int
    address: str
    port: int
    key: Name | None
    told: int | None
    answered: bool


def _name(key: bytes | None) -> Name | None:
    return None if key is None else names.from_order_key(key)


def _key(name: Name | None) -> bytes | None:
    return None if name is None else names.order_key(name)


# -- rights and targets


async def rights(conn: AsyncConnection[Any], zone: int | None = None) -> list[Right]:
    """Return the rights by zone, all or those on one zone."""
    cursor = await conn.execute(
        """
        SELECT rights.id, rights.zone, zones.origin, rights.homes, rights.key, rights.address
        FROM transfer_rights AS rights JOIN zones ON zones.id = rights.zone
        WHERE %(zone)s::bigint IS NULL OR rights.zone = %(zone)s
        ORDER BY zones.origin, rights.homes, rights.key, rights.address
        """,
        {"zone": zone},
        binary=True,
    )
    return [
        Right(row[0], row[1], names.from_order_key(row[2]), row[3], _name(row[4]), row[5])
        for row in await cursor.fetchall()
    ]


async def rights_on(conn: AsyncConnection[Any], zone: Zone) -> list[Right]:
    """Return what holds for *zone*: its own rights, and those on its registry's homes."""
    cursor = await conn.execute(
        """
        SELECT id, zone, homes, key, address FROM transfer_rights
        WHERE (zone = %(zone)s AND NOT homes) OR (zone = %(parent)s AND homes)
        """,
        {"zone": zone.id, "parent": zone.parent},
        prepare=True,
        binary=True,
    )
    return [Right(row[0], row[1], zone.origin, row[2], _name(row[3]), row[4]) for row in await cursor.fetchall()]


async def is_ruled(conn: AsyncConnection[Any], zone: Zone) -> bool:
    """Tell whether there is any rule on *zone* or its homes, or on the homes of its registry."""
    cursor = await conn.execute(
        """
        SELECT EXISTS (SELECT FROM transfer_rights WHERE zone = %(zone)s OR (zone = %(parent)s AND homes))
            OR EXISTS (SELECT FROM transfer_targets WHERE zone = %(zone)s OR (zone = %(parent)s AND homes))
        """,
        {"zone": zone.id, "parent": zone.parent},
    )
    return bool((await cursor.fetchall())[0][0])


async def is_compact(conn: AsyncConnection[Any], zone: int, *, homes: bool) -> bool:
    """Tell whether *zone*, or with *homes* any of its homes, denies compactly and so cannot be transferred."""
    cursor = await conn.execute(
        """
        SELECT EXISTS (
            SELECT FROM zones WHERE denial = 'compact' AND (id = %(zone)s OR (%(homes)s AND parent = %(zone)s)))
        """,
        {"zone": zone, "homes": homes},
    )
    return bool((await cursor.fetchall())[0][0])


async def allow(conn: AsyncConnection[Any], new: Sequence[NewRight]) -> int:
    """Add rights; return how many of them are new."""
    if not new:
        return 0
    cursor = await conn.execute(
        """
        INSERT INTO transfer_rights (zone, homes, key, address)
        SELECT zone, homes <> 0, key, nullif(address, '')::cidr
        FROM unnest(%(zones)s, %(homes)s, %(keys)s, %(addresses)s) AS new (zone, homes, key, address)
        ON CONFLICT DO NOTHING
        """,
        {
            "zones": bigints([one.zone for one in new]),
            "homes": integers([int(one.homes) for one in new]),
            "keys": octets([_key(one.key) for one in new]),
            "addresses": texts("" if one.address is None else str(one.address) for one in new),
        },
    )
    return cursor.rowcount


async def remove_rights(conn: AsyncConnection[Any], ids: Sequence[int]) -> None:
    """Take back the rights of these ids."""
    await conn.execute("DELETE FROM transfer_rights WHERE id = ANY (%(ids)s)", {"ids": bigints(ids)})


async def targets(conn: AsyncConnection[Any], zone: int | None = None) -> list[Target]:
    """Return whom to notify, by zone, all or those of one zone."""
    cursor = await conn.execute(
        """
        SELECT targets.id, targets.zone, zones.origin, targets.homes, host(targets.address), targets.port, targets.key
        FROM transfer_targets AS targets JOIN zones ON zones.id = targets.zone
        WHERE %(zone)s::bigint IS NULL OR targets.zone = %(zone)s
        ORDER BY zones.origin, targets.homes, targets.address, targets.port
        """,
        {"zone": zone},
        binary=True,
    )
    return [
        Target(row[0], row[1], names.from_order_key(row[2]), row[3], row[4], row[5], _name(row[6]))
        for row in await cursor.fetchall()
    ]


async def put_targets(conn: AsyncConnection[Any], new: Sequence[NewTarget]) -> int:
    """Have targets notified, each address and port of a zone once; return how many of them that changes."""
    if not new:
        return 0
    cursor = await conn.execute(
        """
        INSERT INTO transfer_targets AS there (zone, homes, address, port, key)
        SELECT zone, homes <> 0, address::inet, port, key
        FROM unnest(%(zones)s, %(homes)s, %(addresses)s, %(ports)s, %(keys)s) AS new (zone, homes, address, port, key)
        ON CONFLICT (zone, homes, address, port) DO UPDATE SET key = excluded.key
        WHERE there.key IS DISTINCT FROM excluded.key
        """,
        {
            "zones": bigints([one.zone for one in new]),
            "homes": integers([int(one.homes) for one in new]),
            "addresses": texts(one.address for one in new),
            "ports": integers([one.port for one in new]),
            "keys": octets([_key(one.key) for one in new]),
        },
    )
    return cursor.rowcount


async def remove_targets(conn: AsyncConnection[Any], ids: Sequence[int]) -> None:
    """Notify the targets of these ids no more."""
    await conn.execute("DELETE FROM transfer_targets WHERE id = ANY (%(ids)s)", {"ids": bigints(ids)})


async def tell(conn: AsyncConnection[Any]) -> None:
    """Tell the workers, when the transaction commits, that rights or targets have changed."""
    await conn.execute("SELECT pg_notify(%(channel)s, '')", {"channel": CHANNEL}, prepare=True)


# -- NOTIFY


async def has_targets(conn: AsyncConnection[Any]) -> bool:
    """Tell whether anybody at all is to be notified."""
    cursor = await conn.execute("SELECT EXISTS (SELECT FROM transfer_targets)")
    row = await cursor.fetchone()
    return row is not None and bool(row[0])


async def take_sending(conn: AsyncConnection[Any]) -> bool:
    """Become the one process that sends NOTIFY, until *conn* closes; False: another one is."""
    cursor = await conn.execute("SELECT pg_try_advisory_lock(%(lock)s)", {"lock": SENDER_LOCK})
    row = await cursor.fetchone()
    return row is not None and bool(row[0])


_OF = """
JOIN LATERAL (
    SELECT id, address, port, key FROM transfer_targets WHERE transfer_targets.zone = zones.id AND NOT homes
    UNION ALL
    SELECT id, address, port, key FROM transfer_targets WHERE transfer_targets.zone = zones.parent AND homes
) AS target ON true
"""


async def notices(conn: AsyncConnection[Any], zones: Iterable[int]) -> list[Notice]:
    """Return whom to tell of the published ones of *zones* (ids), those who have been told included."""
    cursor = await conn.execute(
        f"""
        SELECT zones.id, zones.origin, zones.serial, soa.ttl, soa.rdatas[1], target.id, host(target.address),
               target.port, target.key, notified.serial, notified.rcode IS NOT NULL
        FROM zones {_OF}
        JOIN published_rrsets AS soa ON soa.zone = zones.id AND soa.owner = zones.origin AND soa.type = 6
        LEFT JOIN notified ON notified.target = target.id AND notified.zone = zones.id
        WHERE zones.id = ANY (%(zones)s) AND zones.edition > 0 AND NOT zones.held
        """,  # noqa: S608 - a constant
        {"zones": bigints(list(zones))},
        prepare=True,
        binary=True,
    )
    return [
        Notice(
            row[0],
            names.from_order_key(row[1]),
            row[2],
            row[3],
            row[4],
            row[5],
            row[6],
            row[7],
            _name(row[8]),
            *row[9:],
        )
        for row in await cursor.fetchall()
    ]


async def untold(conn: AsyncConnection[Any], after: int, limit: int) -> list[int]:
    """Return the ids, above *after* and in order, of zones of which a target has not been told the newest serial."""
    cursor = await conn.execute(
        f"""
        SELECT DISTINCT zones.id FROM zones {_OF}
        LEFT JOIN notified ON notified.target = target.id AND notified.zone = zones.id
        WHERE zones.id > %(after)s AND zones.edition > 0 AND NOT zones.held
          AND (notified.serial IS DISTINCT FROM zones.serial OR notified.rcode IS NULL)
        ORDER BY zones.id LIMIT %(limit)s
        """,  # noqa: S608 - a constant
        {"after": after, "limit": limit},
        prepare=True,
        binary=True,
    )
    return [row[0] for row in await cursor.fetchall()]


async def note_notified(conn: AsyncConnection[Any], ended: Sequence[tuple[int, int, int, int | None, int]]) -> None:
    """Note how NOTIFYs ended, given as (target, zone, serial, RCODE or None, tries), each pair once."""
    rcodes = [-1 if one[3] is None else one[3] for one in ended]
    await conn.execute(
        """
        INSERT INTO notified (target, zone, serial, rcode, tries)
        SELECT target, zone, serial, nullif(rcode, -1), tries
        FROM unnest(%(targets)s, %(zones)s, %(serials)s, %(rcodes)s, %(tries)s)
             AS ended (target, zone, serial, rcode, tries)
        WHERE EXISTS (SELECT FROM transfer_targets WHERE id = target)
          AND EXISTS (SELECT FROM zones WHERE id = zone)
        ON CONFLICT (target, zone) DO UPDATE
        SET serial = excluded.serial, rcode = excluded.rcode, tries = excluded.tries, at = now()
        """,
        {
            "targets": bigints([one[0] for one in ended]),
            "zones": bigints([one[1] for one in ended]),
            "serials": bigints([one[2] for one in ended]),
            "rcodes": integers(rcodes),
            "tries": integers([one[4] for one in ended]),
        },
        prepare=True,
    )


async def notified(conn: AsyncConnection[Any], zone: int | None = None) -> list[Notified]:
    """Return how the last NOTIFY of each zone to each target ended."""
    cursor = await conn.execute(
        """
        SELECT target, zone, serial, rcode, tries, extract(epoch FROM at)::bigint FROM notified
        WHERE %(zone)s::bigint IS NULL OR zone = %(zone)s ORDER BY zone, target
        """,
        {"zone": zone},
        binary=True,
    )
    return [Notified(*row) for row in await cursor.fetchall()]


# -- transfers out


async def note_transferred(
    conn: AsyncConnection[Any], zone: int, source: str, key: Name | None, kind: str, serial: int
) -> None:
    """Note that *source* has *serial* of *zone* now; of each zone the last `MOST_SOURCES` sources are remembered."""
    given = {
        "zone": zone, "source": ipaddress.ip_address(source), "key": _key(key), "kind": kind, "serial": serial,
        "most": MOST_SOURCES,
    }  # fmt: skip
    async with conn.transaction():
        # What is lost in a crash here is only shown to people.
        await conn.execute("SET LOCAL synchronous_commit = off")
        await conn.execute(
            """
            INSERT INTO transferred (zone, source, key, kind, serial)
            SELECT id, %(source)s, %(key)s, %(kind)s, %(serial)s FROM zones WHERE id = %(zone)s
            ON CONFLICT (zone, source) DO UPDATE
            SET key = excluded.key, kind = excluded.kind, serial = excluded.serial, at = now()
            """,
            given,
            prepare=True,
        )
        await conn.execute(
            """
            DELETE FROM transferred WHERE zone = %(zone)s AND source IN (
                SELECT source FROM transferred WHERE zone = %(zone)s ORDER BY at DESC OFFSET %(most)s)
            """,
            given,
            prepare=True,
        )


async def transferred(conn: AsyncConnection[Any], zone: int | None = None) -> list[Transferred]:
    """Return who took what last, by zone and time."""
    cursor = await conn.execute(
        """
        SELECT zone, host(source), key, kind, serial, extract(epoch FROM at)::bigint FROM transferred
        WHERE %(zone)s::bigint IS NULL OR zone = %(zone)s ORDER BY zone, at
        """,
        {"zone": zone},
        binary=True,
    )
    return [Transferred(row[0], row[1], _name(row[2]), *row[3:]) for row in await cursor.fetchall()]


async def stream(conn: AsyncConnection[Any], zone: int) -> AsyncGenerator[list[Row]]:
    """Yield all that *zone* publishes as rows of (owner's order key, type, TTL, RDATAs, signatures), some at a time.

    The rows of one owner stand together. Needs a transaction of its own.
    """
    await conn.execute(
        """
        DECLARE transfer NO SCROLL CURSOR FOR
        SELECT owner, type, ttl, rdatas, sigs FROM published_rrsets WHERE zone = %(zone)s ORDER BY owner, type
        """,
        {"zone": zone},
    )
    # The end of the transaction closes it, however that comes.
    while rows := await (await conn.execute(f"FETCH FORWARD {ROWS_AT_ONCE} FROM transfer", binary=True)).fetchall():
        yield rows


async def least_size(conn: AsyncConnection[Any], zone: int, rows: int) -> int:
    """Return about how many octets the first *rows* RRsets of *zone* take on the wire, all if there are no more."""
    cursor = await conn.execute(
        """
        SELECT coalesce(sum(octets), 0)::bigint FROM (
            SELECT pg_column_size(rdatas) + pg_column_size(sigs) AS octets
            FROM published_rrsets WHERE zone = %(zone)s LIMIT %(rows)s) AS looked_at
        """,
        {"zone": zone, "rows": rows},
        prepare=True,
        binary=True,
    )
    row = await cursor.fetchone()
    return 0 if row is None else int(row[0])
