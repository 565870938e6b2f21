"""Signals of abuse by homes: complaints that an operator wrote down, and updates that a rule refused."""

from __future__ import annotations

from typing import Any

import msgspec
from psycopg import AsyncConnection

from ddns.dns import names
from ddns.dns.names import Name
from ddns.store.pool import rows

# The refusals that say that a home tries what it may not, and none that says that something is merely wrong.
TELLING = ("denied-by-rule", "address-not-allowed", "too-many-for-rule", "name-not-granted", "assurance-too-low")


class Signal(msgspec.Struct, frozen=True):
    """What there is about one home since some time: how many complaints, how many refused updates, and the last one."""

    zone: int
    name: Name
    state: str
    complaints: int
    refused: int
    last_at: int


class Complaint(msgspec.Struct, frozen=True):
    """What somebody said about a home, *who* wrote it down, and when (seconds since 1970)."""

    id: int
    at: int
    what: str
    evidence: str
    who: str


async def complain(conn: AsyncConnection[Any], zone: int, what: str, evidence: str, who: str, now: int) -> int:
    """Write down a complaint about the home of *zone*, as its tenant's; return its number."""
    cursor = await conn.execute(
        """
        INSERT INTO complaints (tenant, zone, at, what, evidence, who)
        SELECT tenant, zone, to_timestamp(%(now)s), %(what)s, %(evidence)s, %(who)s FROM homes WHERE zone = %(zone)s
        RETURNING id
        """,
        {"zone": zone, "now": now, "what": what, "evidence": evidence, "who": who},
    )
    row = await cursor.fetchone()
    assert row is not None
    return int(row[0])


async def complaints(conn: AsyncConnection[Any], zone: int, most: int) -> list[Complaint]:
    """Return the *most* newest complaints about the home of *zone*, the newest first."""
    cursor = await conn.execute(
        """
        SELECT id, extract(epoch FROM at)::bigint, what, evidence, who FROM complaints
        WHERE zone = %(zone)s ORDER BY at DESC, id DESC LIMIT %(most)s
        """,
        {"zone": zone, "most": most},
        binary=True,
    )
    return [Complaint(*row) for row in await rows(cursor)]


async def signals(conn: AsyncConnection[Any], tenant: int, since: int, most: int) -> list[Signal]:
    """Return the homes of a tenant about which there is something since *since*, those with the most first."""
    cursor = await conn.execute(
        """
        WITH told AS (
            SELECT zone, 1 AS complaints, 0 AS refused, at FROM complaints
            WHERE tenant = %(tenant)s AND at > to_timestamp(%(since)s)
            UNION ALL
            SELECT credentials.home, 0, 1 + refusals.untold, refusals.at
            FROM refusals JOIN credentials ON credentials.id = refusals.credential
            WHERE refusals.verified AND refusals.at > to_timestamp(%(since)s) AND refusals.code = ANY (%(codes)s)
        )
        SELECT homes.zone, zones.origin, homes.state, sum(told.complaints)::bigint, sum(told.refused)::bigint,
               extract(epoch FROM max(told.at))::bigint
        FROM told JOIN homes ON homes.zone = told.zone JOIN zones ON zones.id = homes.zone
        WHERE homes.tenant = %(tenant)s
        GROUP BY homes.zone, zones.origin
        ORDER BY sum(told.complaints) DESC, sum(told.refused) DESC, homes.zone LIMIT %(most)s
        """,
        {"tenant": tenant, "since": since, "most": most, "codes": list(TELLING)},
        binary=True,
    )
    return [Signal(row[0], names.from_order_key(row[1]), *row[2:]) for row in await rows(cursor)]
