"""Verifiers of evidence: whose signatures count, by which rules their tokens are appraised, and for how long."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from psycopg import AsyncConnection

from ddns.store.pool import rows

Conn = AsyncConnection[Any]


class Verifier(msgspec.Struct, frozen=True):
    """One verifier: *keys* as JWK in JSON, *anchors* as certificates in DER, *rules* as JSON.

    A result is good for *valid* seconds. *tenant* None: it counts for all. Times in seconds since 1970.
    """

    id: int
    tenant: int | None
    name: str
    keys: tuple[bytes, ...]
    anchors: tuple[bytes, ...]
    rules: bytes
    valid: int
    withdrawn_at: int | None = None
    why: str = ""


_COLUMNS = "id, tenant, name, keys, anchors, rules, valid, extract(epoch FROM withdrawn_at)::bigint, why"


async def insert(conn: Conn, one: Verifier) -> Verifier:
    """Keep a new verifier, and return it with its id. Raises `psycopg.errors.UniqueViolation` (verifier_twice)."""
    cursor = await conn.execute(
        f"""INSERT INTO verifiers (tenant, name, keys, anchors, rules, valid)
            VALUES (%(tenant)s, %(name)s, %(keys)s, %(anchors)s, %(rules)s, %(valid)s) RETURNING {_COLUMNS}""",  # noqa: S608 - constants
        msgspec.structs.asdict(one) | {"keys": list(one.keys), "anchors": list(one.anchors)},
        binary=True,
    )
    (row,) = await rows(cursor)
    return _verifier(row)


async def listing(conn: Conn, tenant: int) -> list[Verifier]:
    """Return the verifiers that count, or counted, for *tenant*: its own and those for all, the oldest first."""
    cursor = await conn.execute(
        f"SELECT {_COLUMNS} FROM verifiers WHERE tenant IS NULL OR tenant = %(tenant)s ORDER BY id",  # noqa: S608 - constants
        {"tenant": tenant},
        binary=True,
    )
    return [_verifier(row) for row in await rows(cursor)]


async def counting(conn: Conn) -> list[Verifier]:
    """Return the verifiers whose word counts for the tenant of the open transaction."""
    cursor = await conn.execute(
        f"""SELECT {_COLUMNS} FROM verifiers
            WHERE withdrawn_at IS NULL AND (tenant IS NULL OR tenant = ddns_tenant()) ORDER BY id""",  # noqa: S608 - constants
        binary=True,
    )
    return [_verifier(row) for row in await rows(cursor)]


async def withdraw(conn: Conn, ident: int, why: str, now: int) -> None:
    """Have the verifier count no more; what it said before stays."""
    await conn.execute(
        "UPDATE verifiers SET withdrawn_at = to_timestamp(%(now)s), why = %(why)s WHERE id = %(id)s",
        {"now": now, "why": why, "id": ident},
    )


def _verifier(row: Sequence[Any]) -> Verifier:
    ident, tenant, name, keys, anchors, rules, valid, withdrawn_at, why = row
    return Verifier(
        ident, tenant, name, tuple(map(bytes, keys)), tuple(map(bytes, anchors)), bytes(rules), valid, withdrawn_at, why
    )
