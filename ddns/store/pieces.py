"""Parts of a large zone as it is published: what stands at a few names, and a few links of its chain of denial."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from psycopg import AsyncConnection

from ddns.answer.image import Hashing
from ddns.answer.window import hashed_owner
from ddns.dns import names
from ddns.dns.codes import Type
from ddns.dns.names import Name
from ddns.store.packing import octets
from ddns.store.published import PACKED

# What is found, and the edition of the zone at that moment; None: the zone is no more.
Found = tuple[int | None, list[tuple[bytes | None, bool]]]

_NODES = f"""
SELECT (SELECT edition FROM zones WHERE id = %(zone)s), content.packed, content.packed IS NULL AND EXISTS (
    SELECT FROM published_rrsets AS below
    WHERE below.zone = %(zone)s AND below.owner > wanted.owner AND below.owner < wanted.beyond
      AND below.type <> {Type.NSEC3:d})
FROM unnest(%(owners)s, %(beyond)s) WITH ORDINALITY AS wanted (owner, beyond, place)
CROSS JOIN LATERAL (
    SELECT string_agg(int4send(octet_length(rrset)) || rrset, '') AS packed FROM (
        SELECT {PACKED} AS rrset FROM published_rrsets AS shown
        WHERE shown.zone = %(zone)s AND shown.owner = wanted.owner AND shown.type <> {Type.NSEC3:d}
    ) AS rrsets
) AS content
ORDER BY wanted.place
"""  # noqa: S608 - constants


def _links(condition: str) -> str:
    last = f"""
        SELECT int4send(octet_length(rrset)) || rrset AS packed FROM (
            SELECT {PACKED} AS rrset, owner FROM published_rrsets AS shown
            WHERE shown.zone = %(zone)s AND {condition}"""  # noqa: S608 - constants
    return f"""
SELECT (SELECT edition FROM zones WHERE id = %(zone)s), link.packed
FROM unnest(%(keys)s) WITH ORDINALITY AS wanted (key, place)
LEFT JOIN LATERAL (
    SELECT packed FROM (
        ({last} AND shown.owner <= wanted.key ORDER BY shown.owner DESC LIMIT 1) AS before)
        UNION ALL
        ({last} ORDER BY shown.owner DESC LIMIT 1) AS last)
    ) AS either LIMIT 1
) AS link ON true
ORDER BY wanted.place
"""  # noqa: S608 - constants


# Of two chains of one zone, as while its parameters change, only the records of the one that is in use count.
_NSEC3 = _links(
    f"""shown.type = {Type.NSEC3:d} AND EXISTS (
                SELECT FROM unnest(shown.rdatas) AS rdata
                WHERE substring(rdata FROM 1 FOR 1) = '\\x01'
                  AND substring(rdata FROM 3 FOR octet_length(%(chain)s)) = %(chain)s)"""  # noqa: S608 - constants
)
_NSEC = _links(f"shown.type = {Type.NSEC:d}")


async def read_nodes(conn: AsyncConnection[Any], zone: int, wanted: Sequence[Name]) -> Found:
    """Return for each name of *wanted* its RRsets, packed, None for none; and then whether any name is below it.

    NSEC3 records stand at no name.
    """
    keys = [names.order_key(name) for name in wanted]
    cursor = await conn.execute(
        _NODES,
        {"zone": zone, "owners": octets(keys), "beyond": octets([names.subtree_end(key) for key in keys])},
        prepare=True,
        binary=True,
    )
    rows = await cursor.fetchall()
    return (rows[0][0] if rows else None), [(row[1], row[2]) for row in rows]


async def read_links(
    conn: AsyncConnection[Any], zone: int, origin: Name, hashing: Hashing | None, wanted: Sequence[bytes]
) -> Found:
    """Return for each of *wanted* the RRset of the chain at or before it, packed, the last one where none is before.

    They are hashes of the NSEC3 chain *hashing* of the zone, whose apex is *origin*, or without it order keys of names.
    """
    if hashing is None:
        statement, values = _NSEC, {"zone": zone, "keys": octets(wanted)}
    else:
        chain = hashing.iterations.to_bytes(2, "big") + bytes((len(hashing.salt),)) + hashing.salt
        owners = [names.order_key(hashed_owner(digest, origin)) for digest in wanted]
        statement, values = _NSEC3, {"zone": zone, "keys": octets(owners), "chain": chain}
    cursor = await conn.execute(statement, values, prepare=True, binary=True)
    rows = await cursor.fetchall()
    return (rows[0][0] if rows else None), [(row[1], False) for row in rows]
