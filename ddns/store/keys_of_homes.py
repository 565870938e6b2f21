"""The keys of a home: those at its apex, its devices' own, and those that were minted for one purpose."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec
from psycopg import AsyncConnection

from ddns.dns import names
from ddns.dns.names import Name
from ddns.dns.records import Rdata


class HomeKey(msgspec.Struct, frozen=True):
    """A live key of a home; of a SIG(0) key *public* is its KEY RDATA, of a shared secret it is empty.

    *device* is the box that holds it, *expires_at* (seconds since 1970) when it ends; None: nobody knows, and never.
    """

    id: int
    name: Name
    kind: str
    algorithm: str
    tag: int
    public: Rdata
    assurance: str
    device: UUID | None
    expires_at: int | None
    note: str


async def live(conn: AsyncConnection[Any], home: int) -> list[HomeKey]:
    """Return the live keys of the home with the zone *home*, the oldest first; nobody's secrets."""
    cursor = await conn.execute(
        """
        SELECT id, name, kind, algorithm, tag, coalesce(public, ''), assurance, device,
               extract(epoch FROM expires_at)::bigint, note
        FROM credentials WHERE home = %(home)s AND revoked_at IS NULL ORDER BY id
        """,
        {"home": home},
        prepare=True,
        binary=True,
    )
    return [HomeKey(row[0], names.from_order_key(row[1]), *row[2:]) for row in await cursor.fetchall()]
