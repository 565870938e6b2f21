"""How zones stand apart from their records: what an update is judged by, and what shows whether that has changed.

Law: it is read before what it stands for. If a state still holds at the commit, so does all that was read after it.
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


class Standing(msgspec.Struct, frozen=True, gc=False):
    """A zone's row, the denials for everybody, and the *state* that stands for both.

    It says how the zone is signed, and counts what is not in the row: its rules, its home, leases, what waits to be
    signed. *registry* does so for the rules of the zone's parent, 0 where there is none.
    """

    zone: Zone
    everybody: tuple[Grant, ...]
    state: str
    registry: int

    @property
    def ready(self) -> bool:
        """Tell whether what is published of the zone is what is stored of it, signed, and nothing else counts."""
        zone = self.zone
        return zone.denial != "none" and zone.edition > 0 and not (zone.signed_pending or zone.leased)


async def read(conn: AsyncConnection[Any], ids: Iterable[int]) -> dict[int, Standing]:
    """Return how the zones *ids* stand; one that is no more is not in the result. *conn* is in a pipeline."""
    wanted = list(ids)
    states, found, everybody = await asyncio.gather(
        _states(conn, wanted), zones.get(conn, wanted), grants.for_everybody(conn, wanted)
    )
    return {
        zone: Standing(row, everybody.get(zone, ()), *states[zone]) for zone, row in found.items() if zone in states
    }


async def _states(conn: AsyncConnection[Any], ids: list[int]) -> dict[int, tuple[str, int]]:
    cursor = await conn.execute(
        """
        SELECT zones.id, concat_ws(' ', zones.denial, zones.algorithm, zones.parent, zones.basis),
               coalesce(registries.basis, 0)
        FROM zones
        LEFT JOIN zones AS registries ON registries.id = zones.parent
        WHERE zones.id = ANY (%(ids)s)
        """,
        {"ids": bigints(ids)},
        prepare=True,
        binary=True,
    )
    return {zone: (state, registry) for zone, state, registry in await rows(cursor)}
