"""Signed statements that were carried out, whole: evidence, memory of answers, and defence against replay."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from psycopg import errors

from ddns.store.packing import bigints, integers, octets, texts
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


async def begin(conn: Connection, tenant: int, said: Sequence[Statement]) -> set[bytes]:
    """Keep what was *said* and return the digests of what is new; twins that are under way are waited for."""
    wanted = sorted(said, key=lambda one: one.digest)  # so that two who wait for each other's do it in one order
    cursor = await conn.execute(
        """
        INSERT INTO statements (digest, tenant, signer, jti, act, octets, status, answer, at, expires_at)
        SELECT digest, %(tenant)s, signer, jti, act, octets, 0, '', to_timestamp(at), to_timestamp(expires_at)
        FROM unnest(%(digests)s, %(signers)s, %(jtis)s, %(acts)s, %(octets)s, %(ats)s, %(ends)s)
             AS new (digest, signer, jti, act, octets, at, expires_at)
        ON CONFLICT DO NOTHING
        RETURNING digest
        """,
        {
            "tenant": tenant,
            "digests": octets([one.digest for one in wanted]),
            "signers": octets([one.signer for one in wanted]),
            "jtis": texts(one.jti for one in wanted),
            "acts": texts(one.act for one in wanted),
            "octets": octets([one.octets for one in wanted]),
            "ats": bigints([one.at for one in wanted]),
            "ends": bigints([one.expires_at for one in wanted]),
        },
        prepare=True,
        binary=True,
    )
    return {bytes(digest) for (digest,) in await cursor.fetchall()}


async def end(conn: Connection, answers: Sequence[tuple[bytes, int, bytes]]) -> None:
    """Keep what was answered: *answers* as (digest, status, octets)."""
    await conn.execute(
        """
        UPDATE statements SET status = new.status, answer = new.answer
        FROM unnest(%(digests)s, %(statuses)s, %(answers)s) AS new (digest, status, answer)
        WHERE statements.digest = new.digest
        """,
        {
            "digests": octets([digest for digest, _, _ in answers]),
            "statuses": integers([status for _, status, _ in answers]),
            "answers": octets([answer for _, _, answer in answers]),
        },
        prepare=True,
    )


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
