"""Webhooks: where programs of a tenant want to be told, and what is still on its way to them.

A delivery is claimed by moving the time at which it is due, in a transaction of its own, before it is sent: whoever is
killed with it leaves it to the next one. So each notice arrives at least once, under one id.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any
from uuid import UUID

import msgspec
from psycopg import AsyncConnection

ACTIVE = "active"
STOPPED = "stopped"  # it has failed for too long: nothing is sent until a test succeeds

Conn = AsyncConnection[Any]


class Webhook(msgspec.Struct, frozen=True):
    """One webhook; *secret* is sealed, *problem* is what was wrong the last time, empty when nothing was."""

    id: UUID
    url: str
    secret: bytes
    events: tuple[str, ...]
    state: str
    problem: str
    waiting: int = 0

    def __repr__(self) -> str:
        return f"Webhook({self.id})"


class Due(msgspec.Struct, frozen=True):
    """A delivery that is due."""

    tenant: int
    webhook: UUID
    notice: int


async def insert(conn: Conn, ident: UUID, tenant: int, url: str, secret: bytes, events: Sequence[str]) -> None:
    """Keep a new webhook of *tenant*; what happens from now on is sent to it."""
    await conn.execute(
        "INSERT INTO webhooks (id, tenant, url, secret, events) VALUES (%s, %s, %s, %s, %s)",
        [ident, tenant, url, secret, list(events)],
    )


async def count(conn: Conn, tenant: int) -> int:
    """Return how many webhooks *tenant* has."""
    cursor = await conn.execute("SELECT count(*) FROM webhooks WHERE tenant = %s", [tenant])
    row = await cursor.fetchone()
    return 0 if row is None else int(row[0])


async def listing(conn: Conn, tenant: int) -> list[Webhook]:
    """Return the webhooks of *tenant*, each with how many notices wait for it."""
    cursor = await conn.execute(
        """SELECT id, url, secret, events, state, problem,
                  (SELECT count(*) FROM deliveries WHERE webhook = webhooks.id AND delivered_at IS NULL)
           FROM webhooks WHERE tenant = %s ORDER BY url, id""",
        [tenant],
    )
    return [_webhook(row) for row in await cursor.fetchall()]


async def find(conn: Conn, tenant: int, ident: UUID) -> Webhook | None:
    """Return the webhook *ident* of *tenant*."""
    cursor = await conn.execute(
        "SELECT id, url, secret, events, state, problem, 0 FROM webhooks WHERE tenant = %s AND id = %s", [tenant, ident]
    )
    row = await cursor.fetchone()
    return None if row is None else _webhook(row)


async def change(conn: Conn, tenant: int, ident: UUID, events: Sequence[str], secret: bytes | None) -> None:
    """Have a webhook be told of *events*; *secret* is sealed, None: it keeps the one that it has."""
    await conn.execute(
        """UPDATE webhooks SET events = %(events)s, secret = coalesce(%(secret)s, secret)
           WHERE tenant = %(tenant)s AND id = %(id)s""",
        {"events": list(events), "secret": secret, "tenant": tenant, "id": ident},
    )


async def remove(conn: Conn, tenant: int, ident: UUID) -> bool:
    """Remove a webhook and what waits for it; tell whether there was one."""
    cursor = await conn.execute("DELETE FROM webhooks WHERE tenant = %s AND id = %s", [tenant, ident])
    return cursor.rowcount == 1


async def deliver(conn: Conn, notice: int, ident: UUID, now: int) -> None:
    """Have *notice* sent to the webhook *ident* too."""
    await conn.execute(
        "INSERT INTO deliveries (notice, webhook, due_at) VALUES (%s, %s, to_timestamp(%s))", [notice, ident, now]
    )


async def outcome(conn: Conn, notice: int, ident: UUID) -> tuple[bool, str] | None:
    """Tell whether *notice* has been delivered to the webhook, and what was wrong; None: there is no such delivery."""
    cursor = await conn.execute(
        "SELECT delivered_at IS NOT NULL, problem FROM deliveries WHERE notice = %s AND webhook = %s", [notice, ident]
    )
    row = await cursor.fetchone()
    return None if row is None else (row[0], row[1])


async def due(conn: Conn, now: int, busy: Collection[UUID], most: int) -> list[Due]:
    """Return the delivery of each webhook, of every tenant, that is due first, but for the *busy* ones."""
    cursor = await conn.execute(
        "SELECT tenant, webhook, notice FROM due_deliveries(to_timestamp(%s), %s, %s)", [now, list(busy), most]
    )
    return [Due(*row) for row in await cursor.fetchall()]


async def claim(conn: Conn, one: Due, now: int, until: int) -> int | None:
    """Take a delivery that is due, so that nobody else sends it before *until*; return which try it is, or None."""
    cursor = await conn.execute(
        """UPDATE deliveries SET due_at = to_timestamp(%(until)s), tries = least(tries + 1, 32767)
           WHERE notice = %(notice)s AND webhook = %(webhook)s AND delivered_at IS NULL
             AND due_at <= to_timestamp(%(now)s)
           RETURNING tries""",
        {"until": until, "notice": one.notice, "webhook": one.webhook, "now": now},
    )
    row = await cursor.fetchone()
    return None if row is None else int(row[0])


async def delivered(conn: Conn, one: Due, now: int) -> None:
    """Note that a delivery has arrived. A webhook that was stopped goes on, with what has waited."""
    await conn.execute(
        """UPDATE deliveries SET delivered_at = to_timestamp(%s), problem = '' WHERE notice = %s AND webhook = %s""",
        [now, one.notice, one.webhook],
    )
    await conn.execute(
        """UPDATE deliveries SET due_at = to_timestamp(%s)
           WHERE webhook = %s AND delivered_at IS NULL AND due_at = 'infinity'""",
        [now, one.webhook],
    )
    await conn.execute(
        "UPDATE webhooks SET state = 'active', problem = '' WHERE id = %s AND (state, problem) <> ('active', '')",
        [one.webhook],
    )


async def failed(conn: Conn, one: Due, due_at: int, problem: str) -> None:
    """Note what was wrong with a try, and that the next one is at *due_at*."""
    await conn.execute(
        """UPDATE deliveries SET due_at = to_timestamp(%s), problem = %s
           WHERE notice = %s AND webhook = %s AND delivered_at IS NULL""",
        [due_at, problem, one.notice, one.webhook],
    )
    await conn.execute("UPDATE webhooks SET problem = %s WHERE id = %s", [problem, one.webhook])


async def stop(conn: Conn, one: Due, problem: str) -> None:
    """Send nothing to the webhook any more; what waits for it goes on waiting."""
    await conn.execute(
        "UPDATE deliveries SET problem = %s WHERE notice = %s AND webhook = %s", [problem, one.notice, one.webhook]
    )
    await conn.execute(
        "UPDATE deliveries SET due_at = 'infinity' WHERE webhook = %s AND delivered_at IS NULL", [one.webhook]
    )
    await conn.execute("UPDATE webhooks SET state = 'stopped', problem = %s WHERE id = %s", [problem, one.webhook])


def _webhook(row: Any) -> Webhook:
    return Webhook(row[0], row[1], bytes(row[2]), tuple(row[3]), row[4], row[5], row[6])
