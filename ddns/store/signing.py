"""How far each zone is signed, and its signing keys as a server may see them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from psycopg import AsyncConnection

from ddns.store.packing import bigints, integers, octets, texts
from ddns.zone.jobs import SealedKey


async def mark_pending(conn: AsyncConnection[Any], zones: Mapping[int, int]) -> None:
    """Say that the records of *zones* are ahead of what is published.

    With each comes its head before the commit that is not signed: the journal up to there is published, unless the zone
    was pending already.
    """
    await conn.execute(
        """
        UPDATE signing SET pending = true, signed_head = behind.head
        FROM unnest(%(zones)s, %(heads)s) AS behind (zone, head)
        WHERE signing.zone = behind.zone AND NOT pending
        """,
        {"zones": bigints(list(zones)), "heads": bigints(list(zones.values()))},
        prepare=True,
    )


async def set_state(conn: AsyncConnection[Any], states: Sequence[tuple[int, int, int]]) -> None:
    """Say that zones are signed as of a head, given as (zone, head, when the first signature falls due).

    0 means that nothing falls due. A zone whose journal is ahead of that head stays pending.
    """
    if not states:
        return
    zones, heads, due = zip(*states, strict=True)
    await conn.execute(
        """
        UPDATE signing
        SET signed_head = state.head, resign_at = to_timestamp(nullif(state.due, 0)),
            pending = signing.pending AND zones.head > state.head
        FROM unnest(%(zones)s, %(heads)s, %(due)s) AS state (zone, head, due)
        JOIN zones ON zones.id = state.zone
        WHERE signing.zone = state.zone
        """,
        {"zones": bigints(zones), "heads": bigints(heads), "due": bigints(due)},
        prepare=True,
    )


async def keys_public(conn: AsyncConnection[Any], zone: int) -> list[tuple[int, int, int, bytes]]:
    """Return tag, algorithm, flags and DNSKEY RDATA of the keys of *zone*, the oldest first."""
    cursor = await conn.execute(
        "SELECT tag, algorithm, flags, public FROM signing_keys WHERE zone = %(zone)s ORDER BY created_at, tag",
        {"zone": zone},
        prepare=True,
        binary=True,
    )
    return [(tag, algorithm, flags, public) for tag, algorithm, flags, public in await cursor.fetchall()]


async def insert_keys(conn: AsyncConnection[Any], keys: Sequence[tuple[int, SealedKey]]) -> None:
    """Store new keys, given as (zone, key)."""
    if not keys:
        return
    await conn.execute(
        """
        INSERT INTO signing_keys (id, zone, algorithm, flags, tag, public, sealed)
        SELECT id::uuid, zone, algorithm, flags, tag, public, sealed
        FROM unnest(%(ids)s, %(zones)s, %(algorithms)s, %(flags)s, %(tags)s, %(publics)s, %(sealed)s)
             AS key (id, zone, algorithm, flags, tag, public, sealed)
        """,
        {
            "ids": texts(key.id for _, key in keys),
            "zones": bigints([zone for zone, _ in keys]),
            "algorithms": integers([key.algorithm for _, key in keys]),
            "flags": integers([key.flags for _, key in keys]),
            "tags": integers([key.tag for _, key in keys]),
            "publics": octets([key.public for _, key in keys]),
            "sealed": octets([key.sealed for _, key in keys]),
        },
        prepare=True,
    )


async def signer_connected(conn: AsyncConnection[Any]) -> bool:
    """Tell whether a signer is connected to this database: every user may see what connections call themselves."""
    cursor = await conn.execute(
        """
        SELECT EXISTS (
            SELECT FROM pg_stat_activity
            WHERE datname = current_database() AND application_name = 'nameplate zone_signer')
        """
    )
    row = await cursor.fetchone()
    return row is not None and bool(row[0])
