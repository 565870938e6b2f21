"""Requests that came with an Idempotency-Key, and what they were answered: a second one is answered the same."""

from __future__ import annotations

import msgspec

from ddns.store.pool import Connection


class Kept(msgspec.Struct, frozen=True):
    """What was answered to the request with this *digest*; *status* 0: it has not been yet."""

    digest: bytes
    status: int
    answer: bytes


async def begin(
    conn: Connection, tenant: int, token: str, key: str, digest: bytes, now: int, expires_at: int
) -> Kept | None:
    """Take the *key* of *token* for this request and return None, or return what there is under it.

    Whoever asks at the same time waits here until the first has committed, or has not.
    """
    await conn.execute(
        "DELETE FROM keyed_requests WHERE token = %s AND key = %s AND expires_at <= to_timestamp(%s)", [token, key, now]
    )
    cursor = await conn.execute(
        """INSERT INTO keyed_requests (tenant, token, key, digest, status, answer, expires_at)
           VALUES (%s, %s, %s, %s, 0, '', to_timestamp(%s)) ON CONFLICT DO NOTHING""",
        [tenant, token, key, digest, expires_at],
    )
    if cursor.rowcount:
        return None
    cursor = await conn.execute(
        "SELECT digest, status, answer FROM keyed_requests WHERE token = %s AND key = %s", [token, key]
    )
    row = await cursor.fetchone()
    return None if row is None else Kept(bytes(row[0]), row[1], bytes(row[2]))


async def end(conn: Connection, token: str, key: str, status: int, answer: bytes) -> None:
    """Keep what was answered."""
    await conn.execute(
        "UPDATE keyed_requests SET status = %s, answer = %s WHERE token = %s AND key = %s", [status, answer, token, key]
    )


async def forget(conn: Connection, now: int, most: int) -> int:
    """Forget those whose time is over; return how many."""
    cursor = await conn.execute(
        """DELETE FROM keyed_requests WHERE (token, key) IN (
             SELECT token, key FROM keyed_requests WHERE expires_at <= to_timestamp(%s) LIMIT %s)""",
        [now, most],
    )
    return cursor.rowcount
