"""Homes in no use: no key of theirs was used, and nothing happened to them, for as long as their policies say."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec
from psycopg import AsyncConnection

from ddns.dns import names
from ddns.dns.names import Name
from ddns.store import told
from ddns.store.home_policies import HomePolicy

TOLD = "idle"
EVERY = 86_400  # seconds between two looks at all homes of a tenant


class Idle(msgspec.Struct, frozen=True):
    """A home in no use *since* then, in seconds since 1970, and for *idle* seconds told of no more."""

    zone: int
    home: Name
    owner: UUID | None
    since: int
    idle: int


async def idle(conn: AsyncConnection[Any], now: int, most: int) -> list[Idle]:
    """Return at most *most* active homes of the transaction's tenant in no use, of which nobody was told in that time.

    Where there are fewer, the next look is a day later.
    """
    cursor = await conn.execute(
        "SELECT FROM told WHERE tenant = ddns_tenant() AND what = 'look' AND subject = %(what)s "
        "AND until > to_timestamp(%(now)s)",
        {"what": TOLD, "now": now},
        prepare=True,
    )
    if await cursor.fetchone() is not None:
        return []
    cursor = await conn.execute(
        """
        SELECT homes.zone, zones.origin, homes.owner,
               extract(epoch FROM greatest(homes.created_at, homes.changed_at, used.at))::bigint, policy.idle
        FROM homes JOIN zones ON zones.id = homes.zone
        LEFT JOIN home_policies ON home_policies.zone = zones.parent AND home_policies.tenant = homes.tenant
        CROSS JOIN LATERAL (SELECT coalesce(home_policies.idle, %(usual)s) AS idle) AS policy
        LEFT JOIN LATERAL (
            SELECT max(credential_uses.used_at) AS at
            FROM credentials JOIN credential_uses ON credential_uses.credential = credentials.id
            WHERE credentials.home = homes.zone) AS used ON true
        WHERE homes.tenant = ddns_tenant() AND homes.state = 'active' AND policy.idle > 0
              AND greatest(homes.created_at, homes.changed_at, used.at) <= to_timestamp(%(now)s - policy.idle)
              AND NOT EXISTS (SELECT FROM told WHERE told.tenant = homes.tenant AND told.what = %(what)s
                              AND told.subject = homes.zone::text AND told.until > to_timestamp(%(now)s))
        ORDER BY homes.zone LIMIT %(most)s
        """,
        {"usual": HomePolicy().idle, "now": now, "what": TOLD, "most": most},
        prepare=True,
    )
    found = [Idle(row[0], names.from_order_key(row[1]), *row[2:]) for row in await cursor.fetchall()]
    if len(found) < most:
        await told.once(conn, "look", TOLD, now, now + EVERY)
    return found
