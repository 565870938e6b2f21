"""The journal: every accepted change of a zone, append-only, also after the zone is gone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from psycopg import AsyncConnection

from ddns.store.packing import bigints, octets, texts
from ddns.zone.changes import ChangeSet


class Entry(msgspec.Struct, frozen=True):
    """One change: *seq* is the zone's head after it, *digest* that of the signed request where there was one.

    *at* is in seconds since 1970; the database's clock writes it.
    """

    zone: int
    seq: int
    principal: str
    credential: int | None
    digest: bytes | None
    change: ChangeSet
    at: int = 0


async def append(conn: AsyncConnection[Any], entries: Sequence[Entry]) -> None:
    """Write *entries* of any zones."""
    if not entries:
        return
    await conn.execute(
        """
        INSERT INTO journal (zone, seq, principal, credential, digest, change)
        SELECT zone, seq, principal, credential, digest, change
        FROM unnest(%(zones)s, %(seqs)s, %(principals)s, %(credentials)s, %(digests)s, %(changes)s)
             AS entry (zone, seq, principal, credential, digest, change)
        """,
        {
            "zones": bigints([entry.zone for entry in entries]),
            "seqs": bigints([entry.seq for entry in entries]),
            "principals": texts(entry.principal for entry in entries),
            "credentials": bigints([entry.credential for entry in entries]),
            "digests": octets([entry.digest for entry in entries]),
            "changes": octets([entry.change.pack() for entry in entries]),
        },
        prepare=True,
    )


async def since(conn: AsyncConnection[Any], zone: int, seq: int, limit: int) -> list[Entry]:
    """Return at most *limit* entries of *zone* behind *seq*, the oldest first."""
    cursor = await conn.execute(
        """
        SELECT zone, seq, principal, credential, digest, change, extract(epoch FROM at)::bigint
        FROM journal WHERE zone = %(zone)s AND seq > %(seq)s ORDER BY seq LIMIT %(limit)s
        """,
        {"zone": zone, "seq": seq, "limit": limit},
        prepare=True,
        binary=True,
    )
    return [
        Entry(zone_id, number, principal, credential, digest, ChangeSet.unpack(change), at)
        for zone_id, number, principal, credential, digest, change, at in await cursor.fetchall()
    ]


async def last_files(conn: AsyncConnection[Any], zones: Sequence[int]) -> dict[int, bytes]:
    """Return the digest of the file that each of *zones* was last brought to; one that never was is not in the result.

    Only what a command writes has a digest and no credential.
    """
    cursor = await conn.execute(
        """
        SELECT wanted.zone, file.digest
        FROM unnest(%(zones)s) AS wanted (zone)
        CROSS JOIN LATERAL (
            SELECT digest FROM journal
            WHERE journal.zone = wanted.zone AND credential IS NULL AND digest IS NOT NULL
            ORDER BY seq DESC LIMIT 1
        ) AS file
        """,
        {"zones": bigints(list(zones))},
        prepare=True,
        binary=True,
    )
    return dict(await cursor.fetchall())
