"""What happened to homes, boxes and owners, in order. It is only added to, outlives them, and names no people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import msgspec
from psycopg import AsyncConnection

from ddns.dns import names
from ddns.dns.names import Name
from ddns.store.packing import bigints, octets, texts


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One event at *at*, in seconds since 1970: *who* did it, and how what it is about was *before* and is *after*.

    *zone* and *name* are those of a home, *statement* the SHA-256 of the payload that asked for it, *why* a reason
    that somebody wrote.
    """

    at: int
    event: str
    who: str
    before: str
    after: str
    zone: int | None = None
    name: Name | None = None
    device: UUID | None = None
    owner: UUID | None = None
    statement: bytes | None = None
    why: str = ""


async def append(conn: AsyncConnection[Any], events: Sequence[Event]) -> None:
    """Write down *events*, as the tenant's of the transaction."""
    if not events:
        return
    await conn.execute(
        """
        INSERT INTO home_events (zone, name, device, owner, at, event, who, before, after, statement, why)
        SELECT zone, name, nullif(device, '')::uuid, nullif(owner, '')::uuid, to_timestamp(at), event, who, before,
               after, statement, why
        FROM unnest(%(zones)s, %(names)s, %(devices)s, %(owners)s, %(at)s, %(events)s, %(who)s, %(before)s, %(after)s,
                    %(statements)s, %(why)s)
             WITH ORDINALITY
             AS new (zone, name, device, owner, at, event, who, before, after, statement, why, place)
        ORDER BY place
        """,
        {
            "zones": bigints([one.zone for one in events]),
            "names": octets([None if one.name is None else names.order_key(one.name) for one in events]),
            "devices": texts("" if one.device is None else str(one.device) for one in events),
            "owners": texts("" if one.owner is None else str(one.owner) for one in events),
            "at": bigints([one.at for one in events]),
            "events": texts(one.event for one in events),
            "who": texts(one.who for one in events),
            "before": texts(one.before for one in events),
            "after": texts(one.after for one in events),
            "statements": octets([one.statement for one in events]),
            "why": texts(one.why for one in events),
        },
        prepare=True,
    )
