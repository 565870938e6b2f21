"""What servers answer with: RRsets with the RRSIGs that cover them, denial records among them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from psycopg import AsyncConnection

from ddns.dns import names
from ddns.dns.names import Name
from ddns.dns.records import SignedRRset
from ddns.store.copying import copy_in
from ddns.store.line import Line, Statement
from ddns.store.packing import bigints, copy_row, integers, octets, ragged
from ddns.store.pool import rows
from ddns.store.rrsets import STATEMENT_ROWS


def _rrsets(rows: Iterable[Sequence[Any]]) -> list[SignedRRset]:
    """Return *rows* of (owner, type, ttl, rdatas, sigs), ordered by owner, as values."""
    out = []
    last, name = None, b""
    for owner, rdtype, ttl, rdatas, sigs in rows:
        if owner != last:
            last, name = owner, names.from_order_key(owner)
        out.append(SignedRRset(name, rdtype, ttl, tuple(rdatas), tuple(sigs)))
    return out


async def read_names(
    conn: AsyncConnection[Any], wanted: Iterable[tuple[int, Name]]
) -> dict[tuple[int, Name], tuple[SignedRRset, ...]]:
    """Return the RRsets of each (zone, name), by type; a name that has none is not in the result."""
    keys = list(dict.fromkeys(wanted))
    if not keys:
        return {}
    cursor = await conn.execute(
        """
        SELECT wanted.place, shown.type, shown.ttl, shown.rdatas, shown.sigs
        FROM unnest(%(zones)s, %(owners)s) WITH ORDINALITY AS wanted (zone, owner, place)
        JOIN published_rrsets AS shown ON shown.zone = wanted.zone AND shown.owner = wanted.owner
        ORDER BY wanted.place, shown.type
        """,
        {"zones": bigints([key[0] for key in keys]), "owners": octets([names.order_key(key[1]) for key in keys])},
        prepare=True,
        binary=True,
    )
    found: dict[tuple[int, Name], list[SignedRRset]] = {}
    for place, rdtype, ttl, rdatas, sigs in await rows(cursor):
        key = keys[place - 1]
        found.setdefault(key, []).append(SignedRRset(key[1], rdtype, ttl, tuple(rdatas), tuple(sigs)))
    return {key: tuple(rrsets) for key, rrsets in found.items()}


async def read_zone(conn: AsyncConnection[Any], zone: int) -> list[SignedRRset]:
    """Return all RRsets of *zone* in canonical order; for a zone of unknown size see `read_page`."""
    return (await read_zones(conn, [zone])).get(zone, [])


async def read_zones(conn: AsyncConnection[Any], zones: Iterable[int]) -> dict[int, list[SignedRRset]]:
    """Return all RRsets of *zones*, each zone's in canonical order; a zone without any is not in the result."""
    cursor = await conn.execute(
        """
        SELECT shown.zone, shown.owner, shown.type, shown.ttl, shown.rdatas, shown.sigs
        FROM unnest(%(zones)s) AS wanted (zone)
        JOIN published_rrsets AS shown ON shown.zone = wanted.zone
        ORDER BY shown.zone, shown.owner, shown.type
        """,
        {"zones": bigints(sorted(set(zones)))},
        prepare=True,
        binary=True,
    )
    found: dict[int, list[Sequence[Any]]] = {}
    for row in await cursor.fetchall():
        found.setdefault(row[0], []).append(row[1:])
    return {zone: _rrsets(rows) for zone, rows in found.items()}


# One RRset as `ddns.answer.packed` has it.
PACKED = """
    int2send(octet_length(owner)::smallint) || owner || int4send(type) || int4send(ttl)
    || int4send(cardinality(rdatas)) || int4send(cardinality(sigs))
    || substring(array_send(rdatas) FROM 21) || substring(array_send(sigs) FROM 21)
"""
SMALL = 500  # ours: RRsets of a zone that is read, sent and kept as one string of octets


class Packed(msgspec.Struct, frozen=True, gc=False):
    """A zone as it is published: all its RRsets packed (see `ddns.answer.packed`), None where they are too many."""

    edition: int
    octets: bytes | None


READ_PACKED = Statement(
    b"read_packed",
    f"""
    SELECT zones.id, zones.edition, CASE WHEN content.rrsets <= {SMALL} THEN content.packed END
    FROM unnest($1) AS wanted (zone)
    JOIN zones ON zones.id = wanted.zone AND NOT zones.held
    CROSS JOIN LATERAL (
        SELECT count(*) AS rrsets, coalesce(string_agg(int4send(octet_length(rrset)) || rrset, ''), '') AS packed
        FROM (
            SELECT {PACKED} AS rrset FROM published_rrsets AS shown
            WHERE shown.zone = wanted.zone LIMIT {SMALL + 1}
        ) AS rrsets
    ) AS content
    """.encode(),  # noqa: S608 - constants
    ("bigint[]",),
)


async def read_packed(line: Line, zones: Iterable[int]) -> dict[int, Packed]:
    """Return those of *zones* that are served here, as they are at one moment. Raises as `Line.run`."""
    result = await line.ask(READ_PACKED, [bigints(list(zones))])
    cell, number = result.get_value, int.from_bytes
    return {
        number(cell(at, 0) or b"", "big"): Packed(number(cell(at, 1) or b"", "big"), cell(at, 2))
        for at in range(result.ntuples)
    }


async def count(conn: AsyncConnection[Any], zone: int, most: int) -> int:
    """Return how many RRsets *zone* has; of more than *most*, *most* and one."""
    cursor = await conn.execute(
        """
        SELECT count(*) FROM (
            SELECT FROM published_rrsets WHERE zone = %(zone)s LIMIT %(most)s::bigint + 1
        ) AS counted
        """,
        {"zone": zone, "most": most},
        prepare=True,
        binary=True,
    )
    row = await cursor.fetchone()
    return row[0] if row else 0


async def read_page(conn: AsyncConnection[Any], zone: int, after: Name | None, limit: int) -> list[SignedRRset]:
    """Return about *limit* RRsets of *zone* behind the name *after* in canonical order; None: from the start.

    The last name on a page is complete. An empty page is behind the last name.
    """
    cursor = await conn.execute(
        """
        SELECT owner, type, ttl, rdatas, sigs FROM (
            SELECT owner, type, ttl, rdatas, sigs FROM published_rrsets
            WHERE zone = %(zone)s AND owner >= %(first)s
            ORDER BY owner FETCH FIRST %(limit)s ROWS WITH TIES
        ) AS page ORDER BY owner, type
        """,
        # The least octets behind a key are the key and a zero octet.
        {"zone": zone, "first": b"" if after is None else names.order_key(after) + b"\0", "limit": limit},
        prepare=True,
        binary=True,
    )
    return _rrsets(await cursor.fetchall())


async def delete(conn: AsyncConnection[Any], gone: Sequence[tuple[int, Name, int]]) -> None:
    """Publish the RRsets of *gone*, given as (zone, name, type), no more."""
    for at in range(0, len(gone), STATEMENT_ROWS):
        part = gone[at : at + STATEMENT_ROWS]
        await conn.execute(
            """
            DELETE FROM published_rrsets USING unnest(%(zones)s, %(owners)s, %(types)s) AS gone (zone, owner, type)
            WHERE published_rrsets.zone = gone.zone AND published_rrsets.owner = gone.owner
              AND published_rrsets.type = gone.type
            """,
            {
                "zones": bigints([key[0] for key in part]),
                "owners": octets([names.order_key(key[1]) for key in part]),
                "types": integers([key[2] for key in part]),
            },
            prepare=True,
        )


async def publish(
    conn: AsyncConnection[Any], added: Sequence[tuple[int, SignedRRset]], gone: Iterable[tuple[int, Name, int]]
) -> None:
    """Publish *added*, given as (zone, RRset), in place of what is there; publish *gone*, (zone, name, type), no more.

    What is in both is published.
    """
    kept = {(zone, one.name, one.type): (zone, one) for zone, one in added}
    await delete(conn, [key for key in dict.fromkeys(gone) if key not in kept])
    written = list(kept.values())
    for at in range(0, len(written), STATEMENT_ROWS):
        rows = written[at : at + STATEMENT_ROWS]
        await conn.execute(
            """
            INSERT INTO published_rrsets (zone, owner, type, ttl, rdatas, sigs)
            SELECT zone, owner, type, ttl, rdatas::bytea[], sigs::bytea[]
            FROM unnest(%(zones)s, %(owners)s, %(types)s, %(ttls)s, %(rdatas)s, %(sigs)s)
                 AS new (zone, owner, type, ttl, rdatas, sigs)
            ON CONFLICT (zone, owner, type) DO UPDATE
            SET ttl = excluded.ttl, rdatas = excluded.rdatas, sigs = excluded.sigs
            """,
            {
                "zones": bigints([row[0] for row in rows]),
                "owners": octets([names.order_key(row[1].name) for row in rows]),
                "types": integers([row[1].type for row in rows]),
                "ttls": integers([row[1].ttl for row in rows]),
                "rdatas": ragged([row[1].rdatas for row in rows]),
                "sigs": ragged([row[1].sigs for row in rows]),
            },
            prepare=True,
        )


async def fill(conn: AsyncConnection[Any], zone: int, rrsets: Iterable[SignedRRset]) -> int:
    """Write *rrsets* into *zone*, where none of them is yet, by COPY; return how many they were."""
    return await fill_all(conn, ((zone, rrset) for rrset in rrsets))


async def fill_all(conn: AsyncConnection[Any], rrsets: Iterable[tuple[int, SignedRRset]]) -> int:
    """Write RRsets of any number of zones, given as (zone, RRset), as `fill` does."""
    key = names.order_key
    return await copy_in(
        conn,
        "COPY published_rrsets (zone, owner, type, ttl, rdatas, sigs) FROM STDIN (FORMAT binary)",
        (copy_row(zone, key(one.name), one.type, one.ttl, one.rdatas, one.sigs) for zone, one in rrsets),
    )


async def clear(conn: AsyncConnection[Any], zone: int) -> None:
    """Publish nothing of *zone*."""
    await conn.execute("DELETE FROM published_rrsets WHERE zone = %(zone)s", {"zone": zone}, prepare=True)
