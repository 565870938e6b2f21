"""Grants: which credential may write which types below which name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from psycopg import AsyncConnection

from ddns.auth.principal import Grant
from ddns.dns import names
from ddns.dns.names import Name
from ddns.store.packing import bigints, octets, texts


class Listed(msgspec.Struct, frozen=True):
    """A grant as people list it: the names of its key and its zone beside it."""

    id: int
    credential: int
    key: Name
    origin: Name
    grant: Grant


async def insert(conn: AsyncConnection[Any], credential: int, grant: Grant) -> bool:
    """Give *grant* to *credential* (an id); tell whether it did not have it yet."""
    return await insert_all(conn, [(credential, grant)]) > 0


async def insert_all(conn: AsyncConnection[Any], granted: Sequence[tuple[int, Grant]]) -> int:
    """Give grants, as (credential's id, grant); return how many were new."""
    if not granted:
        return 0
    cursor = await conn.execute(
        """
        INSERT INTO grants (credential, zone, subtree, types)
        SELECT credential, zone, subtree, nullif(types, '')::integer[]
        FROM unnest(%(credentials)s, %(zones)s, %(subtrees)s, %(types)s) AS new (credential, zone, subtree, types)
        ON CONFLICT DO NOTHING
        """,
        {
            "credentials": bigints([credential for credential, _ in granted]),
            "zones": bigints([grant.zone for _, grant in granted]),
            "subtrees": octets([names.order_key(grant.subtree) for _, grant in granted]),
            "types": texts(
                "" if grant.types is None else "{" + ",".join(map(str, sorted(grant.types))) + "}"
                for _, grant in granted
            ),
        },
        prepare=True,
    )
    return cursor.rowcount


async def listing(conn: AsyncConnection[Any], zone: int | None = None) -> list[Listed]:
    """Return the grants of live credentials by key and zone; *zone*: only those on that one."""
    cursor = await conn.execute(
        """
        SELECT grants.id, grants.credential, credentials.name, zones.origin, grants.zone, grants.subtree, grants.types
        FROM grants
        JOIN credentials ON credentials.id = grants.credential
        JOIN zones ON zones.id = grants.zone
        WHERE credentials.revoked_at IS NULL AND (%(zone)s::bigint IS NULL OR grants.zone = %(zone)s)
        ORDER BY credentials.name, grants.credential, zones.origin, grants.subtree, grants.id
        """,
        {"zone": zone},
        binary=True,
    )
    return [
        Listed(
            row[0],
            row[1],
            names.from_order_key(row[2]),
            names.from_order_key(row[3]),
            Grant(row[4], names.from_order_key(row[5]), None if row[6] is None else frozenset(row[6])),
        )
        for row in await cursor.fetchall()
    ]


async def remove(conn: AsyncConnection[Any], grant: int) -> bool:
    """Take back the grant of this id; tell whether there was one."""
    cursor = await conn.execute("DELETE FROM grants WHERE id = %(grant)s", {"grant": grant}, prepare=True)
    return cursor.rowcount > 0
