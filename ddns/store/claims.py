"""Claims on boxes whose sellers are silent: filed, told of, and decided when they are due."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import msgspec
from psycopg import AsyncConnection

from ddns.dns import names
from ddns.dns.names import Name

Conn = AsyncConnection[Any]


class Claim(msgspec.Struct, frozen=True):
    """A claim by the owner *claimant* of *tenant* on the box *device*; times in seconds since 1970.

    *claimant_key* is the thumbprint of the key that claimed.
    """

    id: UUID
    tenant: int
    device: UUID
    claimant: UUID
    claimant_key: bytes
    filed_at: int
    due_at: int


class Running(msgspec.Struct, frozen=True):
    """An open claim on the box of *home*, whose *owner* may object; times in seconds since 1970."""

    id: UUID
    home: Name
    owner: UUID | None
    filed_at: int
    due_at: int


_COLUMNS = """id, tenant, device, claimant, claimant_key, extract(epoch FROM filed_at)::bigint,
              extract(epoch FROM due_at)::bigint"""


async def insert(
    conn: Conn, claim: UUID, device: UUID, claimant: UUID, key: bytes, statement: bytes, now: int, due_at: int
) -> None:
    """File a claim, of the tenant of the transaction. Raises `UniqueViolation` (device_claimed_twice)."""
    await conn.execute(
        """INSERT INTO claims (id, device, claimant, claimant_key, statement, filed_at, due_at)
           VALUES (%(id)s, %(device)s, %(claimant)s, %(key)s, %(statement)s, to_timestamp(%(now)s),
                   to_timestamp(%(due)s))""",
        {
            "id": claim, "device": device, "claimant": claimant, "key": key, "statement": statement, "now": now,
            "due": due_at,
        },
        prepare=True,
    )  # fmt: skip


async def close(conn: Conn, claim: UUID, state: str, now: int) -> None:
    """Have a claim be over."""
    await conn.execute(
        "UPDATE claims SET state = %(state)s, closed_at = to_timestamp(%(now)s) WHERE id = %(id)s AND state = 'open'",
        {"id": claim, "state": state, "now": now},
        prepare=True,
    )


async def open_on(conn: Conn, device: UUID) -> Claim | None:
    """Return the open claim on *device*, as far as the transaction's tenant has the claimant or the box."""
    cursor = await conn.execute(
        f"SELECT {_COLUMNS} FROM claims WHERE device = %(device)s AND state = 'open'",  # noqa: S608 - constants
        {"device": device},
        prepare=True,
    )
    row = await cursor.fetchone()
    return None if row is None else _claim(row)


async def count_open(conn: Conn, claimant: UUID) -> int:
    """Return how many claims of *claimant* are open."""
    cursor = await conn.execute(
        "SELECT count(*) FROM claims WHERE claimant = %(claimant)s AND state = 'open'",
        {"claimant": claimant},
        prepare=True,
    )
    row = await cursor.fetchone()
    assert row is not None
    return int(row[0])


async def objected_since(conn: Conn, claimant: UUID, device: UUID, since: int) -> bool:
    """Say whether a claim of *claimant* on *device* was objected to after *since*, in seconds since 1970."""
    cursor = await conn.execute(
        """SELECT 1 FROM claims WHERE claimant = %(claimant)s AND device = %(device)s AND state = 'objected'
           AND closed_at > to_timestamp(%(since)s) LIMIT 1""",
        {"claimant": claimant, "device": device, "since": since},
        prepare=True,
    )
    return await cursor.fetchone() is not None


async def to_decide(conn: Conn, now: int, most: int) -> list[UUID]:
    """Return boxes of the tenant's homes, none of them held, on which a claim is due at *now*, or that were used since.

    At most *most*, the longest due first.
    """
    cursor = await conn.execute(
        """SELECT claims.device FROM claims
           JOIN homes ON homes.device = claims.device AND homes.tenant = ddns_tenant() AND homes.state = 'active'
           WHERE claims.state = 'open' AND (claims.due_at <= to_timestamp(%(now)s) OR EXISTS (
               SELECT FROM credentials JOIN credential_uses ON credential_uses.credential = credentials.id
               WHERE credentials.home = homes.zone
                     AND (credentials.device = claims.device OR credentials.device IS NULL)
                     AND credential_uses.used_at > claims.filed_at))
           ORDER BY claims.due_at LIMIT %(most)s""",
        {"now": now, "most": most},
        prepare=True,
    )
    return [row[0] for row in await cursor.fetchall()]


async def half_over(conn: Conn, now: int, most: int) -> list[Running]:
    """Return open claims on boxes of the tenant's homes of which half of the waiting time is over, and not all of it.

    At most *most*, and none of which the box's owner was reminded and is not to be again at *now*.
    """
    cursor = await conn.execute(
        """SELECT claims.id, zones.origin, homes.owner, extract(epoch FROM claims.filed_at)::bigint,
                  extract(epoch FROM claims.due_at)::bigint
           FROM claims JOIN homes ON homes.device = claims.device AND homes.tenant = ddns_tenant()
           JOIN zones ON zones.id = homes.zone
           WHERE claims.state = 'open' AND claims.due_at > to_timestamp(%(now)s)
                 AND claims.filed_at + (claims.due_at - claims.filed_at) / 2 <= to_timestamp(%(now)s)
                 AND NOT EXISTS (SELECT FROM told WHERE told.tenant = homes.tenant AND told.what = 'claim'
                                 AND told.subject = claims.id::text AND told.until > to_timestamp(%(now)s))
           ORDER BY claims.due_at LIMIT %(most)s""",
        {"now": now, "most": most},
        prepare=True,
    )
    return [Running(row[0], names.from_order_key(row[1]), *row[2:]) for row in await cursor.fetchall()]


async def told_at(conn: Conn, owner: UUID | None, since: int) -> int | None:
    """Return when *owner* was told that a claim was filed, for the first time from *since* on; None: never."""
    cursor = await conn.execute(
        """SELECT extract(epoch FROM min(at))::bigint FROM outbox
           WHERE kind = 'claim.filed' AND owner IS NOT DISTINCT FROM %(owner)s AND at >= to_timestamp(%(since)s)""",
        {"owner": owner, "since": since},
        prepare=True,
    )
    row = await cursor.fetchone()
    assert row is not None
    return None if row[0] is None else int(row[0])


def _claim(row: Sequence[Any]) -> Claim:
    return Claim(row[0], row[1], row[2], row[3], bytes(row[4]), row[5], row[6])
