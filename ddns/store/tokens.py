"""Tokens of the HTTPS API: who may ask for what, until when, from where. Of the secret there is a digest alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import msgspec

from ddns.store.pool import Connection

USED_EVERY = 60  # seconds between two notes that one token was used


class Token(msgspec.Struct, frozen=True):
    """A token; times in seconds since 1970. *home* and *owner* bind it to what that home or owner may read."""

    id: str
    tenant: int
    digest: bytes
    rights: tuple[str, ...]
    home: int | None
    owner: UUID | None
    note: str
    networks: tuple[str, ...]
    created_at: int
    expires_at: int
    revoked_at: int | None
    used_at: int | None
    used_from: str | None


_COLUMNS = """id, tenant, digest, rights, home, owner, note, networks::text[],
       extract(epoch FROM created_at)::bigint, extract(epoch FROM expires_at)::bigint,
       extract(epoch FROM revoked_at)::bigint, extract(epoch FROM used_at)::bigint, host(used_from)"""


def _token(row: Sequence[Any]) -> Token:
    ident, tenant, digest, rights, home, owner, note, networks, *times_and_source = row
    return Token(ident, tenant, bytes(digest), tuple(rights), home, owner, note, tuple(networks), *times_and_source)


async def find(conn: Connection, ident: str) -> Token | None:
    """Return the token *ident*, whatever has become of it."""
    cursor = await conn.execute(f"SELECT {_COLUMNS} FROM tokens WHERE id = %s", [ident])  # noqa: S608
    row = await cursor.fetchone()
    return None if row is None else _token(row)


async def insert(conn: Connection, token: Token) -> None:
    """Keep a new token."""
    await conn.execute(
        """INSERT INTO tokens (id, tenant, digest, rights, home, owner, note, networks, created_at, expires_at)
           VALUES (%s, %s, %s, %s, %s, %s, %s, %s::cidr[], to_timestamp(%s), to_timestamp(%s))""",
        [
            token.id, token.tenant, token.digest, list(token.rights), token.home, token.owner, token.note,
            list(token.networks), token.created_at, token.expires_at,
        ],
    )  # fmt: skip


async def listing(conn: Connection, tenant: int, after: str = "", most: int | None = None) -> list[Token]:
    """Return the tokens of *tenant* by id, those of operators alone: people's last a quarter of an hour."""
    cursor = await conn.execute(
        f"""SELECT {_COLUMNS} FROM tokens
            WHERE tenant = %s AND id > %s AND home IS NULL AND owner IS NULL ORDER BY id LIMIT %s""",  # noqa: S608
        [tenant, after, most],
    )
    return [_token(row) for row in await cursor.fetchall()]


async def revoke(conn: Connection, tenant: int, ident: str, now: int) -> bool:
    """Revoke the token *ident*; tell whether there was one that lived."""
    cursor = await conn.execute(
        "UPDATE tokens SET revoked_at = to_timestamp(%s) WHERE tenant = %s AND id = %s AND revoked_at IS NULL",
        [now, tenant, ident],
    )
    return cursor.rowcount == 1


async def used(conn: Connection, ident: str, source: str, now: int) -> None:
    """Note that the token was used, at most once in `USED_EVERY`."""
    await conn.execute(
        """UPDATE tokens SET used_at = to_timestamp(%(now)s), used_from = %(source)s::inet::cidr
           WHERE id = %(id)s AND (used_at IS NULL OR used_at < to_timestamp(%(now)s - %(every)s))""",
        {"now": now, "source": source, "id": ident, "every": USED_EVERY},
    )


async def forget(conn: Connection, now: int, most: int) -> int:
    """Forget tokens that have been over for a month; return how many."""
    cursor = await conn.execute(
        """DELETE FROM tokens WHERE id IN (
             SELECT id FROM tokens WHERE expires_at < to_timestamp(%s) - interval '30 days' LIMIT %s)""",
        [now, most],
    )
    return cursor.rowcount
