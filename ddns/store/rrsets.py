"""The records of zones as clients wrote them, unsigned."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any

from psycopg import AsyncConnection, AsyncServerCursor

from ddns.dns import names
from ddns.dns.names import Name
from ddns.dns.records import RRset
from ddns.store.copying import copy_in
from ddns.store.packing import bigints, copy_row, integers, octets, ragged
from ddns.store.pool import rows
from ddns.zone.changes import ChangeSet

STREAM_ROWS = 5_000  # fetched at once
STATEMENT_ROWS = 10_000  # of one statement: bounds the memory of a parameter


def _rrsets(rows: Iterable[Sequence[Any]]) -> list[RRset]:
    """Return *rows* of (owner, type, ttl, rdatas), ordered by owner, as values."""
    out = []
    last, name = None, b""
    for owner, rdtype, ttl, rdatas in rows:
        if owner != last:
            last, name = owner, names.from_order_key(owner)
        out.append(RRset(name, rdtype, ttl, tuple(rdatas)))
    return out


async def read_names(
    conn: AsyncConnection[Any], wanted: Iterable[tuple[int, Name]]
) -> dict[tuple[int, Name], tuple[RRset, ...]]:
    """Return the RRsets of each (zone, name), by type; a name that has none is not in the result."""
    keys = list(dict.fromkeys(wanted))
    if not keys:
        return {}
    cursor = await conn.execute(
        """
        SELECT wanted.place, rrsets.type, rrsets.ttl, rrsets.rdatas
        FROM unnest(%(zones)s, %(owners)s) WITH ORDINALITY AS wanted (zone, owner, place)
        JOIN rrsets ON rrsets.zone = wanted.zone AND rrsets.owner = wanted.owner
        ORDER BY wanted.place, rrsets.type
        """,
        {"zones": bigints([key[0] for key in keys]), "owners": octets([names.order_key(key[1]) for key in keys])},
        prepare=True,
        binary=True,
    )
    found: dict[tuple[int, Name], list[RRset]] = {}
    for place, rdtype, ttl, rdatas in await rows(cursor):
        key = keys[place - 1]
        found.setdefault(key, []).append(RRset(key[1], rdtype, ttl, tuple(rdatas)))
    return {key: tuple(rrsets) for key, rrsets in found.items()}


async def read_zone(conn: AsyncConnection[Any], zone: int) -> list[RRset]:
    """Return all RRsets of *zone* in canonical order; for a zone of unknown size see `stream`."""
    cursor = await conn.execute(
        "SELECT owner, type, ttl, rdatas FROM rrsets WHERE zone = %(zone)s ORDER BY owner, type",
        {"zone": zone},
        prepare=True,
        binary=True,
    )
    return _rrsets(await cursor.fetchall())


async def stream(conn: AsyncConnection[Any], zone: int) -> AsyncIterator[RRset]:
    """Yield all RRsets of *zone* in canonical order, a few thousand in memory at a time. Needs a transaction."""
    async with AsyncServerCursor(conn, f"rrsets_of_{zone}") as cursor:
        await cursor.execute(
            "SELECT owner, type, ttl, rdatas FROM rrsets WHERE zone = %(zone)s ORDER BY owner, type",
            {"zone": zone},
            binary=True,
        )
        while rows := await cursor.fetchmany(STREAM_ROWS):
            for rrset in _rrsets(rows):
                yield rrset


async def has_descendants(conn: AsyncConnection[Any], wanted: Iterable[tuple[int, Name]]) -> set[tuple[int, Name]]:
    """Return which (zone, name) have records strictly below them."""
    keys = list(dict.fromkeys(wanted))
    if not keys:
        return set()
    owners = [names.order_key(key[1]) for key in keys]
    cursor = await conn.execute(
        """
        SELECT wanted.place
        FROM unnest(%(zones)s, %(owners)s, %(ends)s) WITH ORDINALITY AS wanted (zone, owner, subtree_end, place)
        WHERE EXISTS (
            SELECT FROM rrsets
            WHERE rrsets.zone = wanted.zone AND rrsets.owner > wanted.owner AND rrsets.owner < wanted.subtree_end)
        """,
        {
            "zones": bigints([key[0] for key in keys]),
            "owners": octets(owners),
            "ends": octets([names.subtree_end(owner) for owner in owners]),
        },
        prepare=True,
        binary=True,
    )
    return {keys[place - 1] for (place,) in await cursor.fetchall()}


async def delete(conn: AsyncConnection[Any], gone: Sequence[tuple[int, Name, int]]) -> None:
    """Remove the RRsets of *gone*, given as (zone, name, type)."""
    for at in range(0, len(gone), STATEMENT_ROWS):
        part = gone[at : at + STATEMENT_ROWS]
        await conn.execute(
            """
            DELETE FROM rrsets USING unnest(%(zones)s, %(owners)s, %(types)s) AS gone (zone, owner, type)
            WHERE rrsets.zone = gone.zone AND rrsets.owner = gone.owner AND rrsets.type = gone.type
            """,
            {
                "zones": bigints([key[0] for key in part]),
                "owners": octets([names.order_key(key[1]) for key in part]),
                "types": integers([key[2] for key in part]),
            },
            prepare=True,
        )


async def apply(conn: AsyncConnection[Any], changes: Iterable[tuple[int, ChangeSet]]) -> None:
    """Write what *changes* say, given as (zone, change set); of several that touch one RRset the last one holds."""
    after: dict[tuple[int, Name, int], RRset | None] = {}
    for zone, change_set in changes:
        for change in change_set.changes:
            after[zone, change.name, change.type] = change.after
    await delete(conn, [key for key, rrset in after.items() if rrset is None])
    written = [(key[0], rrset) for key, rrset in after.items() if rrset is not None]
    for at in range(0, len(written), STATEMENT_ROWS):
        rows = written[at : at + STATEMENT_ROWS]
        await conn.execute(
            """
            INSERT INTO rrsets (zone, owner, type, ttl, rdatas)
            SELECT zone, owner, type, ttl, rdatas::bytea[]
            FROM unnest(%(zones)s, %(owners)s, %(types)s, %(ttls)s, %(rdatas)s) AS new (zone, owner, type, ttl, rdatas)
            ON CONFLICT (zone, owner, type) DO UPDATE SET ttl = excluded.ttl, rdatas = excluded.rdatas
            """,
            {
                "zones": bigints([row[0] for row in rows]),
                "owners": octets([names.order_key(row[1].name) for row in rows]),
                "types": integers([row[1].type for row in rows]),
                "ttls": integers([row[1].ttl for row in rows]),
                "rdatas": ragged([row[1].rdatas for row in rows]),
            },
            prepare=True,
        )


async def fill(conn: AsyncConnection[Any], zone: int, rrsets: Iterable[RRset]) -> int:
    """Write *rrsets* into *zone*, where none of them is yet, by COPY; return how many they were."""
    return await fill_all(conn, ((zone, rrset) for rrset in rrsets))


async def fill_all(conn: AsyncConnection[Any], rrsets: Iterable[tuple[int, RRset]]) -> int:
    """Write RRsets of any number of zones, given as (zone, RRset), as `fill` does."""
    key = names.order_key
    return await copy_in(
        conn,
        "COPY rrsets (zone, owner, type, ttl, rdatas) FROM STDIN (FORMAT binary)",
        (copy_row(zone, key(one.name), one.type, one.ttl, one.rdatas) for zone, one in rrsets),
    )


async def clear(conn: AsyncConnection[Any], zone: int) -> None:
    """Remove all records of *zone*."""
    await conn.execute("DELETE FROM rrsets WHERE zone = %(zone)s", {"zone": zone}, prepare=True)
