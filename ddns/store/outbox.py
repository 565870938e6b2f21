"""Notices: what somebody must be told, kept in the transaction that did it, and read until they are old.

Law: a notice commits with what it tells of, or neither does. Who has a webhook for it gets a delivery in the same
transaction, by a trigger: whoever puts a notice knows nothing of webhooks. A notice names no key and no secret.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import msgspec
from psycopg import AsyncConnection

from ddns.store.packing import octets, texts

TEST = "webhook.test"  # the kind of notice that is sent to try a webhook, and to no other
MOST_BODY = 16 * 1024  # octets
KEPT = 400 * 86_400  # seconds for which a notice can be read: who looks once a year finds it

Conn = AsyncConnection[Any]


class Notice(msgspec.Struct, frozen=True):
    """One notice: *body* is JSON, *at* in seconds since 1970; *owner* None: it is the tenant's own affair."""

    id: int
    owner: UUID | None
    kind: str
    body: bytes
    at: int


async def put(conn: Conn, kind: str, owner: UUID | None, body: bytes, now: int) -> int:
    """Keep a notice for *owner* and for the tenant of the open transaction; return its id."""
    if len(body) > MOST_BODY:
        raise ValueError(f"the notice {kind} has {len(body)} octets; say less, or where to read it")
    cursor = await conn.execute(
        """INSERT INTO outbox (owner, kind, body, at) VALUES (%(owner)s, %(kind)s, %(body)s, to_timestamp(%(now)s))
           RETURNING id""",
        {"owner": owner, "kind": kind, "body": body, "now": now},
    )
    row = await cursor.fetchone()
    assert row is not None
    return int(row[0])


async def put_all(conn: Conn, kind: str, told: Sequence[tuple[UUID | None, bytes]], now: int) -> None:
    """Keep notices of one *kind*, given as (owner, body), for their owners and for the transaction's tenant."""
    await conn.execute(
        """INSERT INTO outbox (owner, kind, body, at)
           SELECT nullif(told.owner, '')::uuid, %(kind)s, told.body, to_timestamp(%(now)s)
           FROM unnest(%(owners)s, %(bodies)s) WITH ORDINALITY AS told (owner, body, place) ORDER BY place""",
        {
            "kind": kind,
            "owners": texts("" if owner is None else str(owner) for owner, _ in told),
            "bodies": octets([body for _, body in told]),
            "now": now,
        },
        prepare=True,
    )


async def read(conn: Conn, tenant: int, owner: UUID | None, after: int, most: int) -> list[Notice]:
    """Return notices of *tenant* after the id *after*, oldest first: of *owner* alone, or with None all of them."""
    cursor = await conn.execute(
        """SELECT id, owner, kind, body, extract(epoch FROM at)::bigint FROM outbox
           WHERE tenant = %(tenant)s AND id > %(after)s AND (%(owner)s::uuid IS NULL OR owner = %(owner)s)
           ORDER BY id LIMIT %(most)s""",
        {"tenant": tenant, "after": after, "owner": owner, "most": most},
    )
    return [_notice(row) for row in await cursor.fetchall()]


async def get(conn: Conn, notice: int) -> Notice | None:
    """Return the notice with that id."""
    cursor = await conn.execute(
        "SELECT id, owner, kind, body, extract(epoch FROM at)::bigint FROM outbox WHERE id = %(id)s", {"id": notice}
    )
    row = await cursor.fetchone()
    return None if row is None else _notice(row)


async def forget(conn: Conn, now: int, most: int) -> int:
    """Forget notices, of every tenant, that are older than `KEPT`, at most *most* of them; return how many."""
    cursor = await conn.execute(
        "SELECT forget_notices(to_timestamp(%(older)s), %(most)s)", {"older": now - KEPT, "most": most}
    )
    row = await cursor.fetchone()
    return 0 if row is None else int(row[0])


def _notice(row: Any) -> Notice:
    return Notice(row[0], row[1], row[2], bytes(row[3]), row[4])
