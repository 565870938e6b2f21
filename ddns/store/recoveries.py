"""Recoveries of owners' keys: begun, objected to, confirmed, and carried out when they are due."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import msgspec
from psycopg import AsyncConnection

Conn = AsyncConnection[Any]


class Recovery(msgspec.Struct, frozen=True):
    """A recovery that is not over: *state* open or objected; *jwk* the new key's JSON; *due_at* in seconds.

    *why* is what the operator wrote who began it.
    """

    id: UUID
    owner: UUID
    thumbprint: bytes
    jwk: bytes
    way: str
    due_at: int
    state: str
    begun_by: bytes
    operators: tuple[str, ...]
    why: str


_COLUMNS = """id, owner, thumbprint, jwk, way, extract(epoch FROM due_at)::bigint, state, begun_by, first_operator,
              second_operator, why"""


async def insert(
    conn: Conn, recovery: UUID, owner: UUID, thumbprint: bytes, jwk: bytes, way: str, begun_by: bytes, operator: str,
    why: str, now: int, due_at: int,
) -> None:  # fmt: skip
    """Begin a recovery, in the transaction's tenant. Raises `UniqueViolation` (owner_recovered_twice)."""
    await conn.execute(
        """INSERT INTO recoveries (id, owner, thumbprint, jwk, way, begun_by, first_operator, why, started_at, due_at)
           VALUES (%(id)s, %(owner)s, %(thumbprint)s, %(jwk)s, %(way)s, %(by)s, %(operator)s, %(why)s,
                   to_timestamp(%(now)s), to_timestamp(%(due)s))""",
        {
            "id": recovery, "owner": owner, "thumbprint": thumbprint, "jwk": jwk, "way": way, "by": begun_by,
            "operator": operator, "why": why, "now": now, "due": due_at,
        },
        prepare=True,
    )  # fmt: skip


async def not_over(conn: Conn, owner: UUID) -> list[Recovery]:
    """Return what is open or objected to of *owner*: an open one first, then the registry's, then the newest."""
    cursor = await conn.execute(
        f"""SELECT {_COLUMNS} FROM recoveries WHERE owner = %(owner)s AND state IN ('open', 'objected')
            ORDER BY state = 'open' DESC, way = 'registry' DESC, started_at DESC, id""",  # noqa: S608 - constants
        {"owner": owner},
        prepare=True,
    )
    return [_recovery(row) for row in await cursor.fetchall()]


async def set_state(conn: Conn, recovery: UUID, state: str) -> None:
    """Have a recovery be in *state*."""
    await conn.execute(
        "UPDATE recoveries SET state = %(state)s WHERE id = %(id)s", {"id": recovery, "state": state}, prepare=True
    )


async def confirm(conn: Conn, recovery: UUID, operator: str) -> None:
    """Note the second operator who speaks for a recovery."""
    await conn.execute(
        "UPDATE recoveries SET second_operator = %(operator)s WHERE id = %(id)s",
        {"id": recovery, "operator": operator},
        prepare=True,
    )


async def settle(conn: Conn, owner: UUID) -> None:
    """Have what was objected to of *owner* be disputed no more."""
    await conn.execute(
        "UPDATE recoveries SET state = 'settled' WHERE owner = %(owner)s AND state = 'objected'",
        {"owner": owner},
        prepare=True,
    )


async def due(conn: Conn, now: int, most: int) -> list[UUID]:
    """Return owners, of the transaction's tenant, who have a recovery that is due at *now* and may be carried out."""
    cursor = await conn.execute(
        """SELECT owner FROM recoveries WHERE tenant = ddns_tenant() AND due_at <= to_timestamp(%(now)s)
           AND (state = 'open' OR (state = 'objected' AND way = 'registry' AND second_operator <> ''))
           ORDER BY due_at LIMIT %(most)s""",
        {"now": now, "most": most},
        prepare=True,
    )
    return [row[0] for row in await cursor.fetchall()]


def _recovery(row: Sequence[Any]) -> Recovery:
    return Recovery(
        row[0], row[1], bytes(row[2]), bytes(row[3]), row[4], row[5], row[6], bytes(row[7]), (row[8], row[9]), row[10]
    )
