"""Owners and their keys: a person is a row without a name, and the keys that speak for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import msgspec
from psycopg import AsyncConnection

from ddns.store.packing import octets

Conn = AsyncConnection[Any]


class Key(msgspec.Struct, frozen=True):
    """A key of an owner: *role* owner, admin or recovery; *jwk* its JSON; times in seconds since 1970."""

    owner: UUID
    role: str
    thumbprint: bytes
    jwk: bytes
    note: str
    since: int
    revoked_at: int | None = None


class Owner(msgspec.Struct, frozen=True):
    """An owner as people list it, with how many homes and live keys there are."""

    id: UUID
    tenant: int
    state: str
    created_at: int
    homes: int
    keys: int


_KEY = """owner, role, thumbprint, jwk, note, extract(epoch FROM since)::bigint,
          extract(epoch FROM revoked_at)::bigint"""


async def insert(conn: Conn, owner: UUID, now: int) -> None:
    """Make an owner, of the tenant of the transaction."""
    await conn.execute(
        "INSERT INTO owners (id, created_at) VALUES (%(id)s, to_timestamp(%(now)s))",
        {"id": owner, "now": now},
        prepare=True,
    )


async def lock(conn: Conn, owner: UUID) -> bool:
    """Lock an owner against everybody who changes his keys; False: there is none."""
    cursor = await conn.execute("SELECT 1 FROM owners WHERE id = %(id)s FOR NO KEY UPDATE", {"id": owner}, prepare=True)
    return await cursor.fetchone() is not None


async def by_thumbprint(conn: Conn, tenant: int, thumbprint: bytes) -> Key | None:
    """Return the live key of one of *tenant*'s owners that has this thumbprint."""
    cursor = await conn.execute(
        f"""SELECT {_KEY} FROM owner_keys
            WHERE tenant = %(tenant)s AND thumbprint = %(thumbprint)s AND revoked_at IS NULL""",  # noqa: S608
        {"tenant": tenant, "thumbprint": thumbprint},
        prepare=True,
    )
    row = await cursor.fetchone()
    return None if row is None else _key(row)


async def keys(conn: Conn, owner: UUID, *, live: bool = True) -> list[Key]:
    """Return the keys of *owner* in the order in which they came, the live ones or all."""
    cursor = await conn.execute(
        f"""SELECT {_KEY} FROM owner_keys
            WHERE owner = %(owner)s AND (revoked_at IS NULL OR NOT %(live)s) ORDER BY id""",  # noqa: S608
        {"owner": owner, "live": live},
        prepare=True,
    )
    return [_key(row) for row in await cursor.fetchall()]


async def add_key(conn: Conn, owner: UUID, role: str, thumbprint: bytes, jwk: bytes, note: str, now: int) -> None:
    """Give *owner* a key. Raises `psycopg.errors.UniqueViolation` (owner_key_twice)."""
    await conn.execute(
        """INSERT INTO owner_keys (owner, role, thumbprint, jwk, note, since)
           VALUES (%(owner)s, %(role)s, %(thumbprint)s, %(jwk)s, %(note)s, to_timestamp(%(now)s))""",
        {"owner": owner, "role": role, "thumbprint": thumbprint, "jwk": jwk, "note": note, "now": now},
        prepare=True,
    )


async def revoke_keys(conn: Conn, owner: UUID, thumbprints: Sequence[bytes], now: int) -> int:
    """Take keys away from *owner*; return how many of them were live."""
    cursor = await conn.execute(
        """UPDATE owner_keys SET revoked_at = to_timestamp(%(now)s)
           WHERE owner = %(owner)s AND thumbprint = ANY (%(thumbprints)s) AND revoked_at IS NULL""",
        {"owner": owner, "thumbprints": octets(thumbprints), "now": now},
        prepare=True,
    )
    return cursor.rowcount


async def get(conn: Conn, owner: UUID) -> Owner | None:
    """Return an owner."""
    found = await _read(conn, "owners.id = %(wanted)s", owner, 1)
    return found[0] if found else None


async def listing(conn: Conn, tenant: int, after: UUID, most: int) -> list[Owner]:
    """Return at most *most* owners of *tenant*, by their ids, behind the id *after*."""
    return await _read(conn, "owners.id > %(wanted)s AND owners.tenant = %(tenant)s", after, most, tenant)


async def _read(conn: Conn, where: str, wanted: UUID, most: int, tenant: int = 0) -> list[Owner]:
    cursor = await conn.execute(
        f"""
        SELECT owners.id, owners.tenant, owners.state, extract(epoch FROM owners.created_at)::bigint,
               (SELECT count(*) FROM homes WHERE homes.owner = owners.id),
               (SELECT count(*) FROM owner_keys WHERE owner_keys.owner = owners.id AND revoked_at IS NULL)
        FROM owners WHERE {where} ORDER BY owners.id LIMIT %(most)s
        """,  # noqa: S608 - constants
        {"wanted": wanted, "most": most, "tenant": tenant},
    )
    return [Owner(*row) for row in await cursor.fetchall()]


def _key(row: Sequence[Any]) -> Key:
    return Key(row[0], row[1], bytes(row[2]), bytes(row[3]), row[4], row[5], row[6])
