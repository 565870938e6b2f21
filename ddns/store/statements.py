"""Signed statements that were carried out, whole: evidence, memory of answers, and defence against replay."""

from __future__ import annotations

import msgspec
from psycopg import errors

from ddns.store.pool import Connection


class Kept(msgspec.Struct, frozen=True):
    """What was answered to a statement: *signer* is the thumbprint of its first key."""

    signer: bytes
    status: int
    answer: bytes


class Statement(msgspec.Struct, frozen=True):
    """A statement as it is kept: *digest* is the SHA-256 of its payload, times are seconds since 1970."""

    digest: bytes
    signer: bytes
    jti: str
    act: str
    octets: bytes
    at: int
    expires_at: int


async def find(conn: Connection, digest: bytes) -> Kept | None:
    """Return what was answered to the statement with this *digest*."""
    cursor = await conn.execute("SELECT signer, status, answer FROM statements WHERE digest = %s", [digest])
    row = await cursor.fetchone()
    return None if row is None else Kept(bytes(row[0]), row[1], bytes(row[2]))


async def begin(conn: Connection, tenant: int, statement: Statement) -> bool:
    """Keep *statement*, and tell whether it is new; its twin that is under way is waited for."""
    cursor = await conn.execute(
        """INSERT INTO statements (digest, tenant, signer, jti, act, octets, status, answer, at, expires_at)
           VALUES (%s, %s, %s, %s, %s, %s, 0, '', to_timestamp(%s), to_timestamp(%s)) ON CONFLICT DO NOTHING""",
        [
            statement.digest, tenant, statement.signer, statement.jti, statement.act, statement.octets, statement.at,
            statement.expires_at,
        ],
    )  # fmt: skip
    return cursor.rowcount == 1


async def end(conn: Connection, digest: bytes, status: int, answer: bytes) -> None:
    """Keep what was answered."""
    await conn.execute("UPDATE statements SET status = %s, answer = %s WHERE digest = %s", [status, answer, digest])


async def spend_nonce(conn: Connection, digest: bytes, ends: int) -> bool:
    """Note that the nonce with this *digest* is spent; False: it was before. *ends* in seconds since 1970."""
    try:
        async with conn.transaction():
            await conn.execute(
                "INSERT INTO spent_nonces (digest, expires_at) VALUES (%s, to_timestamp(%s))", [digest, ends]
            )
    except errors.UniqueViolation:
        return False
    return True


async def forget_nonces(conn: Connection, now: int, most: int) -> int:
    """Forget nonces that nobody takes any more; return how many."""
    cursor = await conn.execute(
        """DELETE FROM spent_nonces WHERE digest IN (
             SELECT digest FROM spent_nonces WHERE expires_at < to_timestamp(%s) LIMIT %s)""",
        [now, most],
    )
    return cursor.rowcount
