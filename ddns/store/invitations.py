"""Invitations: each lets one home come to be, once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any
from uuid import UUID

import msgspec
from psycopg import AsyncConnection

from ddns.auth.principal import Secret
from ddns.dns import names
from ddns.dns.names import Name
from ddns.store.packing import bigints, octets


class Invitation(msgspec.Struct, frozen=True):
    """An invitation into the zone *zone* for the home *label*, its full name; times in seconds since 1970.

    *tenant* is whose it is, and *owner* who will own the home (None: who binds it to himself first).
    """

    id: int
    zone: int
    label: Name
    created_at: int
    expires_at: int
    spent_at: int | None = None
    home: int | None = None
    tenant: int = 1
    owner: UUID | None = None


_SELECT = """
SELECT id, zone, label, extract(epoch FROM created_at)::bigint, extract(epoch FROM expires_at)::bigint,
       extract(epoch FROM spent_at)::bigint, home, tenant, owner
FROM invitations
"""


def _invitation(row: Sequence[Any]) -> Invitation:
    return Invitation(row[0], row[1], names.from_order_key(row[2]), *row[3:])


async def insert(conn: AsyncConnection[Any], zone: int, label: Name, expires_at: int) -> int:
    """Store an invitation and return its id. Raises `psycopg.errors.UniqueViolation` (home_invited_twice)."""
    cursor = await conn.execute(
        """
        INSERT INTO invitations (zone, label, expires_at)
        VALUES (%(zone)s, %(label)s, to_timestamp(%(expires_at)s)) RETURNING id
        """,
        {"zone": zone, "label": names.order_key(label), "expires_at": expires_at},
        prepare=True,
    )
    row = await cursor.fetchone()
    assert row is not None
    return int(row[0])


async def lock_live(conn: AsyncConnection[Any], invitation: int, now: int) -> Invitation | None:
    """Lock an invitation that is neither spent nor expired at *now*; None where it is, or is no more."""
    cursor = await conn.execute(
        _SELECT
        + """
        WHERE id = %(invitation)s AND spent_at IS NULL AND expires_at > to_timestamp(%(now)s)
        FOR NO KEY UPDATE
        """,
        {"invitation": invitation, "now": now},
        prepare=True,
        binary=True,
    )
    row = await cursor.fetchone()
    return None if row is None else _invitation(row)


async def spend(conn: AsyncConnection[Any], invitation: int, home: int, now: int) -> None:
    """Spend a locked invitation for the *home* with this zone id.

    Its credential stays live until it expires, so that a retransmission of the request that spent it can be verified
    and gets its answer; it covers nothing any more.
    """
    await conn.execute(
        "UPDATE invitations SET spent_at = to_timestamp(%(now)s), home = %(home)s WHERE id = %(invitation)s",
        {"invitation": invitation, "home": home, "now": now},
        prepare=True,
    )


async def withdraw(conn: AsyncConnection[Any], label: Name) -> int:
    """Remove the unspent invitations of the home *label* with their credentials; return how many they were."""
    cursor = await conn.execute(
        "DELETE FROM invitations WHERE label = %(label)s AND spent_at IS NULL",
        {"label": names.order_key(label)},
        prepare=True,
    )
    return cursor.rowcount


async def listing(conn: AsyncConnection[Any]) -> list[Invitation]:
    """Return all invitations by home, the oldest first."""
    cursor = await conn.execute(_SELECT + "ORDER BY label, id", binary=True)
    return [_invitation(row) for row in await cursor.fetchall()]


async def withdraw_expired(conn: AsyncConnection[Any], label: Name, now: int) -> int:
    """Remove the invitations of the home *label* that were never spent and are over; return how many they were."""
    cursor = await conn.execute(
        """DELETE FROM invitations
           WHERE label = %(label)s AND spent_at IS NULL AND expires_at <= to_timestamp(%(now)s)""",
        {"label": names.order_key(label), "now": now},
        prepare=True,
    )
    return cursor.rowcount


async def open_for(conn: AsyncConnection[Any], homes: Iterable[Name], now: int) -> list[Invitation]:
    """Return the invitations of *homes* that are neither spent nor over at *now*."""
    cursor = await conn.execute(
        _SELECT + "WHERE label = ANY (%(labels)s) AND spent_at IS NULL AND expires_at > to_timestamp(%(now)s)",
        {"labels": octets([names.order_key(home) for home in homes]), "now": now},
        prepare=True,
        binary=True,
    )
    return [_invitation(row) for row in await cursor.fetchall()]


async def keys_of(
    conn: AsyncConnection[Any], invitations: Iterable[int], open_secret: Callable[[Name, bytes], Secret]
) -> dict[int, tuple[Name, Secret]]:
    """Return name and secret of the keys that spend *invitations*, by the ids of these."""
    cursor = await conn.execute(
        """
        SELECT invitation, name, secret FROM credentials
        WHERE invitation = ANY (%(invitations)s) AND revoked_at IS NULL AND secret IS NOT NULL
        """,
        {"invitations": bigints(list(invitations))},
        prepare=True,
        binary=True,
    )
    found = {}
    for invitation, key, sealed in await cursor.fetchall():
        name = names.from_order_key(key)
        found[invitation] = name, open_secret(name, sealed)
    return found


async def page(conn: AsyncConnection[Any], tenant: int, after: bytes, limit: int) -> list[Invitation]:
    """Return the tenant's invitations that are not spent, by home, behind the order key *after*."""
    cursor = await conn.execute(
        _SELECT
        + """
        WHERE spent_at IS NULL AND tenant = %(tenant)s AND label > %(after)s ORDER BY label LIMIT %(limit)s
        """,
        {"tenant": tenant, "after": after, "limit": limit},
        prepare=True,
        binary=True,
    )
    return [_invitation(row) for row in await cursor.fetchall()]
