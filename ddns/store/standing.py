"""How zones stand apart from their records: what an update is judged by, and what shows whether that has changed.

Law: stamps are read before what they stand for. If a stamp still holds at the commit, so does all that was read
after it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

import msgspec
from psycopg import AsyncConnection

from ddns.auth.principal import Grant
from ddns.store import grants, zones
from ddns.store.packing import bigints
from ddns.store.pool import rows
from ddns.store.zones import Zone


class Standing(msgspec.Struct, frozen=True):
    """A zone's row, the denials for everybody, which the *stamp* stands for, and the *state*.

    That is how the zone is signed and how its home stands, in words: what else of the row an update is judged by.
    """

    zone: Zone
    everybody: tuple[Grant, ...]
    state: str
    stamp: str

    @property
    def ready(self) -> bool:
        """Tell whether what is published of the zone is what is stored of it, signed, and nothing else counts."""
        zone = self.zone
        return zone.denial != "none" and zone.edition > 0 and not (zone.signed_pending or zone.leased)


async def read(conn: AsyncConnection[Any], ids: Iterable[int]) -> dict[int, Standing]:
    """Return how the zones *ids* stand; one that is no more is not in the result. *conn* is in a pipeline."""
    wanted = list(ids)
    stamps, found, everybody = await asyncio.gather(
        _stamps(conn, wanted), zones.get(conn, wanted), grants.for_everybody(conn, wanted)
    )
    return {
        zone: Standing(row, everybody.get(zone, ()), *stamps[zone]) for zone, row in found.items() if zone in stamps
    }


async def _stamps(conn: AsyncConnection[Any], ids: list[int]) -> dict[int, tuple[str, str]]:
    cursor = await conn.execute(
        """
        SELECT zones.id, concat_ws(' ', zones.denial, zones.algorithm, homes.state), coalesce((
            SELECT string_agg(stamp, ',' ORDER BY id) FROM (
                SELECT id, xmin::text AS stamp FROM grants
                WHERE grants.credential IS NULL AND NOT grants.homes AND grants.zone = zones.id
                UNION ALL
                SELECT id, xmin::text FROM grants
                WHERE grants.credential IS NULL AND grants.homes AND grants.zone = zones.parent
            ) AS denials), '')
        FROM zones
        LEFT JOIN homes ON homes.zone = zones.id
        WHERE zones.id = ANY (%(ids)s)
        """,
        {"ids": bigints(ids)},
        prepare=True,
        binary=True,
    )
    return {zone: (state, stamp) for zone, state, stamp in await rows(cursor)}
