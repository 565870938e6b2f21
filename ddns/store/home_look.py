"""What there is to say about one home: whose it is, its keys with how they came and were used last, and what waits."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec
from psycopg import AsyncConnection

from ddns.dns import names
from ddns.dns.names import Name
from ddns.store.pool import rows


class Home(msgspec.Struct, frozen=True):
    """A home: *label* as people read it, *tenant* the name of whose it is; times in seconds since 1970.

    *came* is who made it, as its history names him; empty: it was made before homes had one.
    """

    zone: int
    name: Name
    label: str
    tenant: str
    state: str
    reason: str
    kind: str
    owner: UUID | None
    device: UUID | None
    created_at: int
    came: str


class Key(msgspec.Struct, frozen=True):
    """A live key: *method* is by what evidence it has its assurance, empty: by none. *name* may be below the home's."""

    id: int
    name: Name
    kind: str
    algorithm: str
    tag: int
    public: bytes
    assurance: str
    method: str
    note: str
    created_at: int
    expires_at: int | None
    used_at: int | None
    used_from: str


async def home(conn: AsyncConnection[Any], name: Name) -> Home | None:
    """Return the home called *name*."""
    cursor = await conn.execute(
        """
        SELECT homes.zone, zones.origin, homes.label_shown, coalesce(tenants.name, ''), homes.state, homes.reason,
               homes.kind, homes.owner, homes.device, extract(epoch FROM homes.created_at)::bigint,
               coalesce((SELECT who FROM home_events WHERE home_events.zone = homes.zone AND event = 'enrol'
                         ORDER BY id LIMIT 1), '')
        FROM homes JOIN zones ON zones.id = homes.zone LEFT JOIN tenants ON tenants.id = homes.tenant
        WHERE zones.origin = %(name)s
        """,
        {"name": names.order_key(name)},
        binary=True,
    )
    return next((Home(row[0], names.from_order_key(row[1]), *row[2:]) for row in await rows(cursor)), None)


async def keys(conn: AsyncConnection[Any], zone: int) -> list[Key]:
    """Return the live keys of the home of *zone*, the oldest first; nobody's secrets."""
    cursor = await conn.execute(
        """
        SELECT credentials.id, credentials.name, credentials.kind, credentials.algorithm,
               coalesce(credentials.tag, 0)::bigint, coalesce(credentials.public, ''), credentials.assurance,
               coalesce(appraisals.method, ''), credentials.note,
               extract(epoch FROM credentials.created_at)::bigint, extract(epoch FROM credentials.expires_at)::bigint,
               extract(epoch FROM credential_uses.used_at)::bigint, coalesce(credential_uses.used_from::text, '')
        FROM credentials
        LEFT JOIN appraisals ON appraisals.credential = credentials.id
        LEFT JOIN credential_uses ON credential_uses.credential = credentials.id
        WHERE credentials.home = %(zone)s AND credentials.revoked_at IS NULL
        ORDER BY credentials.id
        """,
        {"zone": zone},
        binary=True,
    )
    return [Key(row[0], names.from_order_key(row[1]), *row[2:]) for row in await rows(cursor)]
