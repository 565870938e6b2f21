"""What is needed to judge an invitation that came by HTTPS: its sealed secret, and what it allows.

The process that asks may not read `credentials.secret`; a function of the database gives it the sealed octets of an
invitation that is not spent, and of no other credential.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any
from uuid import UUID

import msgspec
from psycopg import AsyncConnection

from ddns.auth.principal import Secret
from ddns.dns import names
from ddns.dns.names import Name
from ddns.store.packing import bigints


class Sealed(msgspec.Struct, frozen=True):
    """The sealed *secret* of an invitation, and the *tenant* that gave it."""

    tenant: int
    secret: bytes


class Allowed(msgspec.Struct, frozen=True):
    """What the invitation *id* allows: the home *home* in the registry's zone *zone*, and for whom if it says so."""

    id: int
    zone: int
    home: Name
    owner: UUID | None


async def sealed(conn: AsyncConnection[Any], key: Name) -> Sealed | None:
    """Return the secret of the unspent invitation called *key*, of whatever tenant where none has been entered."""
    cursor = await conn.execute(
        "SELECT tenant, sealed FROM invitation_secret(%(key)s)", {"key": names.order_key(key)}, binary=True
    )
    row = await cursor.fetchone()
    return None if row is None else Sealed(row[0], bytes(row[1]))


async def keys_of(
    conn: AsyncConnection[Any], invitations: Iterable[int], open_secret: Callable[[Name, bytes], Secret]
) -> dict[int, tuple[Name, Secret]]:
    """Return name and secret of the keys that spend *invitations* of the transaction's tenant, by the ids of these."""
    cursor = await conn.execute(
        """
        SELECT credentials.invitation, credentials.name, held.sealed
        FROM credentials CROSS JOIN LATERAL invitation_secret(credentials.name) AS held
        WHERE credentials.invitation = ANY (%(invitations)s) AND credentials.revoked_at IS NULL
        """,
        {"invitations": bigints(list(invitations))},
        binary=True,
    )
    found = {}
    for invitation, key, held in await cursor.fetchall():
        name = names.from_order_key(key)
        found[invitation] = name, open_secret(name, bytes(held))
    return found


async def allowed(conn: AsyncConnection[Any], key: Name, now: int) -> Allowed | None:
    """Return what the invitation called *key* allows at *now* (seconds since 1970); None if nothing, or no more."""
    cursor = await conn.execute(
        """
        SELECT invitations.id, invitations.zone, invitations.label, invitations.owner
        FROM credentials JOIN invitations ON invitations.id = credentials.invitation
        WHERE credentials.name = %(key)s AND credentials.revoked_at IS NULL
              AND invitations.spent_at IS NULL AND invitations.expires_at > to_timestamp(%(now)s)
        """,
        {"key": names.order_key(key), "now": now},
        binary=True,
    )
    row = await cursor.fetchone()
    return None if row is None else Allowed(row[0], row[1], names.from_order_key(row[2]), row[3])
