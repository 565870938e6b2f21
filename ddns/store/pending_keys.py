"""Keys that said they belong to a home and that its owner has not approved: at most three of a home, for a time."""

from __future__ import annotations

from typing import Any

import msgspec
from psycopg import AsyncConnection

from ddns.auth import keys as sig0_keys
from ddns.dns.records import Rdata

MOST = 3  # of a home; the table has no more places


class Pending(msgspec.Struct, frozen=True):
    """A key that waits: KEY RDATA, its tag and algorithm; since and until when (seconds since 1970), and from where.

    *proof* says what it showed beside itself: `none`, or the evidence of its box.
    """

    key: Rdata
    tag: int
    algorithm: int
    seen_at: int
    until: int
    source: str
    proof: str


async def keep(
    conn: AsyncConnection[Any], zone: int, key: Rdata, now: int, until: int, source: str, proof: str = "none"
) -> bool:
    """Have *key* wait for the home with *zone*; tell whether it does: there may be no room.

    One that waits already goes on waiting, until *until* at least. *source* is the network that it was said from. The
    caller holds the home's zone locked, so nobody else takes the same place.
    """
    # A statement of its own: what one statement deletes still has its place for what the same one inserts.
    await conn.execute(
        "DELETE FROM pending_keys WHERE zone = %(zone)s AND until <= to_timestamp(%(now)s)",
        {"zone": zone, "now": now},
        prepare=True,
    )
    cursor = await conn.execute(
        """
        WITH again AS (
            UPDATE pending_keys SET until = greatest(until, to_timestamp(%(until)s))
            WHERE zone = %(zone)s AND sha256(key) = sha256(%(key)s) RETURNING 1
        ), free AS (
            SELECT min(place) AS place FROM generate_series(1, %(most)s) AS place
            WHERE NOT EXISTS (
                SELECT FROM pending_keys AS other
                WHERE other.zone = %(zone)s AND other.place = place.place)
        ), kept AS (
            INSERT INTO pending_keys (zone, place, key, tag, algorithm, seen_at, until, source, proof)
            SELECT %(zone)s, free.place, %(key)s, %(tag)s, %(algorithm)s, to_timestamp(%(now)s),
                   to_timestamp(%(until)s), %(source)s, %(proof)s
            FROM free WHERE free.place IS NOT NULL AND NOT EXISTS (SELECT FROM again)
            RETURNING 1
        )
        SELECT (SELECT count(*) FROM again) + (SELECT count(*) FROM kept)
        """,
        {
            "zone": zone,
            "key": key,
            "tag": sig0_keys.key_tag(key),
            "algorithm": key[3],
            "now": now,
            "until": until,
            "source": source,
            "proof": proof,
            "most": MOST,
        },
        prepare=True,
    )
    row = await cursor.fetchone()
    return row is not None and row[0] > 0


async def of(conn: AsyncConnection[Any], zone: int, now: int) -> list[Pending]:
    """Return the keys that wait for the home with *zone* at *now*, the oldest first."""
    cursor = await conn.execute(
        """
        SELECT key, tag, algorithm::integer, extract(epoch FROM seen_at)::bigint, extract(epoch FROM until)::bigint,
               source::text, proof
        FROM pending_keys WHERE zone = %(zone)s AND until > to_timestamp(%(now)s) ORDER BY seen_at, place
        """,
        {"zone": zone, "now": now},
        prepare=True,
    )
    return [Pending(*row) for row in await cursor.fetchall()]


async def drop(conn: AsyncConnection[Any], zone: int) -> int:
    """Have no key wait for the home with *zone* any more; return how many did."""
    cursor = await conn.execute("DELETE FROM pending_keys WHERE zone = %(zone)s", {"zone": zone}, prepare=True)
    return cursor.rowcount


async def forget(conn: AsyncConnection[Any], now: int, most: int) -> int:
    """Forget *most* keys that waited for nothing until *now*; return how many there were."""
    cursor = await conn.execute(
        """
        DELETE FROM pending_keys WHERE (zone, place) IN (
            SELECT zone, place FROM pending_keys WHERE until <= to_timestamp(%(now)s) ORDER BY until LIMIT %(most)s)
        """,
        {"now": now, "most": most},
        prepare=True,
    )
    return cursor.rowcount
