"""What was said of a key's hardware, and until when that holds: what is over falls, and the home goes on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import msgspec
from psycopg import AsyncConnection

from ddns.dns import names
from ddns.dns.names import Name
from ddns.store.packing import bigints, texts
from ddns.store.pool import rows

Conn = AsyncConnection[Any]


class Over(msgspec.Struct, frozen=True):
    """An appraisal that is over: of the live key *name* of a home, by which *method* it came, and whose it is.

    *bonded* is what the bond of the box's maker gives, empty where there is none.
    """

    credential: int
    name: Name
    zone: int
    home: Name
    owner: UUID | None
    method: str
    bonded: str
    assurance: str


async def over(conn: Conn, now: int, most: int) -> list[Over]:
    """Return at most *most* appraisals of live keys that are over at *now*, in seconds since 1970, locked."""
    cursor = await conn.execute(
        """
        SELECT appraisals.credential, credentials.name, homes.zone, zones.origin, homes.owner, appraisals.method,
               coalesce((SELECT bonds.assurance FROM bonds WHERE bonds.id = appraisals.bond), ''),
               credentials.assurance
        FROM appraisals
        JOIN credentials ON credentials.id = appraisals.credential
        JOIN homes ON homes.zone = credentials.home
        JOIN zones ON zones.id = homes.zone
        WHERE appraisals.until <= to_timestamp(%(now)s) AND credentials.revoked_at IS NULL
        ORDER BY appraisals.until LIMIT %(most)s FOR UPDATE OF appraisals
        """,
        {"now": now, "most": most},
        binary=True,
    )
    return [
        Over(row[0], names.from_order_key(row[1]), row[2], names.from_order_key(row[3]), *row[4:])
        for row in await rows(cursor)
    ]


async def lower(conn: Conn, fallen: Sequence[tuple[Over, str]]) -> None:
    """Give keys the assurance that is left to them, and expect nothing more of their evidence."""
    given = {
        "ids": bigints([one.credential for one, _ in fallen]),
        "assurances": texts(assurance for _, assurance in fallen),
    }
    await conn.execute(
        """
        UPDATE credentials SET assurance = fallen.assurance
        FROM unnest(%(ids)s, %(assurances)s) AS fallen (id, assurance) WHERE credentials.id = fallen.id
        """,
        given,
    )
    await conn.execute(
        """
        UPDATE appraisals SET assurance = fallen.assurance, until = NULL
        FROM unnest(%(ids)s, %(assurances)s) AS fallen (id, assurance) WHERE appraisals.credential = fallen.id
        """,
        given,
    )


async def carry_over(conn: AsyncConnection[Any], old: int, new: int) -> None:
    """Have the credential *new* have its assurance by what *old* has it, and for as long."""
    await conn.execute(
        """INSERT INTO appraisals (credential, method, verifier, bond, evidence, assurance, at, until)
           SELECT %(new)s, method, verifier, bond, evidence, assurance, at, until FROM appraisals
           WHERE credential = %(old)s""",
        {"old": old, "new": new},
        prepare=True,
    )
