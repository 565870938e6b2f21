"""Homes by pages: each is found by an index that leads to it, so a page of a million costs what one of a thousand does.

Law: pages are in the order of labels as people read them, then of zones. What narrows a search down to few homes, such
as an owner, is looked up first; what leaves most of them, such as their beginning, is a range of that order.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec
from psycopg import AsyncConnection

from ddns.dns import names
from ddns.dns.names import Name
from ddns.store.pool import rows

MOST = 500  # homes of a page


class Wanted(msgspec.Struct, frozen=True):
    """What is looked for among the homes of a *tenant*: all of what is said.

    *text* begins the label as people read it. *owner* and *device* are ids, *serial* is the digest by which a box is
    known, *since* is in seconds since 1970.
    """

    tenant: int
    text: str = ""
    state: str = ""
    owner: UUID | None = None
    device: bytes | None = None
    since: int | None = None
    registry: int | None = None


class Found(msgspec.Struct, frozen=True):
    """A home of a page: *shown* is its label as people read it, *reason* why it is held.

    *created_at* is in seconds since 1970.
    """

    zone: int
    name: Name
    shown: str
    state: str
    reason: str
    kind: str
    owner: UUID | None
    device: UUID | None
    created_at: int


_COLUMNS = """homes.zone, zones.origin, homes.label_shown, homes.state, homes.reason, homes.kind, homes.owner,
       homes.device, extract(epoch FROM homes.created_at)::bigint"""

# Those that lead to few homes: from their index, and then in order.
_FEW = {
    "owner": "homes.owner = %(owner)s",
    "device": "homes.device IN (SELECT device FROM device_identities WHERE digest = %(device)s)",
    "held": "homes.state = %(state)s AND homes.state <> 'active'",
}


def query(wanted: Wanted) -> str:
    """Return the statement for a page of what is *wanted*."""
    few = [
        text
        for key, text in _FEW.items()
        if {"owner": wanted.owner, "device": wanted.device, "held": wanted.state not in ("", "active")}[key]
    ]
    narrow = ["homes.tenant = %(tenant)s"]
    if wanted.text:
        narrow.append('homes.label_shown COLLATE "C" >= %(text)s AND homes.label_shown COLLATE "C" < %(end)s')
    if wanted.state == "active":
        narrow.append("homes.state = 'active'")
    if wanted.since is not None:
        narrow.append("homes.created_at >= to_timestamp(%(since)s)")
    if wanted.registry is not None:
        narrow.append("zones.parent = %(registry)s")
    # Compared as rows, so that the index leads there: to a bound that is always there, even if nothing came before.
    narrow.append('(homes.tenant, homes.label_shown COLLATE "C", homes.zone) > (%(tenant)s, %(label)s, %(zone)s)')
    source = "homes"
    if few:
        source = f"(SELECT * FROM homes WHERE {' AND '.join(few)} OFFSET 0) AS homes"  # noqa: S608 - constants
    return f"""
        SELECT {_COLUMNS}
        FROM {source} JOIN zones ON zones.id = homes.zone
        WHERE {" AND ".join(narrow)}
        ORDER BY homes.tenant, homes.label_shown COLLATE "C", homes.zone LIMIT %(most)s
    """  # noqa: S608 - constants


def parameters(wanted: Wanted, after: tuple[str, int], most: int) -> dict[str, Any]:
    """Return what goes into `query`."""
    return {
        "tenant": wanted.tenant,
        "text": wanted.text,
        "end": wanted.text + "\U0010ffff",
        "state": wanted.state,
        "owner": wanted.owner,
        "device": wanted.device,
        "since": wanted.since,
        "registry": wanted.registry,
        "label": after[0],
        "zone": after[1],
        "most": most,
    }


async def page(
    conn: AsyncConnection[Any], wanted: Wanted, after: tuple[str, int] = ("", 0), most: int = MOST
) -> list[Found]:
    """Return *most* homes behind the label and zone *after*."""
    cursor = await conn.execute(query(wanted), parameters(wanted, after, most), binary=True)
    return [Found(row[0], names.from_order_key(row[1]), *row[2:]) for row in await rows(cursor)]
