"""Signed requests that were answered: a retransmission gets its answer again, a replay does nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from psycopg import AsyncConnection

from ddns.store.packing import bigints, integers, octets, texts
from ddns.store.pool import rows


class Stored(msgspec.Struct, frozen=True):
    """What was answered; *ede* and *text* make the extended error (RFC 8914)."""

    rcode: int
    ede: int
    text: str


async def known(conn: AsyncConnection[Any], digests: Iterable[bytes]) -> dict[bytes, Stored]:
    """Return what was answered to those of *digests* that were answered; ask while the zone is locked."""
    cursor = await conn.execute(
        "SELECT digest, rcode, ede, text FROM requests WHERE digest = ANY (%(digests)s)",
        {"digests": octets(list(digests))},
        prepare=True,
        binary=True,
    )
    return {row[0]: Stored(*row[1:]) for row in await rows(cursor)}


async def remember(conn: AsyncConnection[Any], answered: Sequence[tuple[bytes, Stored, int]]) -> None:
    """Store answers, given as (digest, answer, when it expires in seconds since 1970); the first one stays."""
    if not answered:
        return
    await conn.execute(
        """
        INSERT INTO requests (digest, rcode, ede, text, expires_at)
        SELECT digest, rcode, ede, text, to_timestamp(expires)
        FROM unnest(%(digests)s, %(rcodes)s, %(edes)s, %(texts)s, %(expires)s)
             AS answer (digest, rcode, ede, text, expires)
        ON CONFLICT (digest) DO NOTHING
        """,
        {
            "digests": octets([digest for digest, _, _ in answered]),
            "rcodes": integers([stored.rcode for _, stored, _ in answered]),
            "edes": integers([stored.ede for _, stored, _ in answered]),
            "texts": texts(stored.text for _, stored, _ in answered),
            "expires": bigints([expires for _, _, expires in answered]),
        },
        prepare=True,
    )


async def prune(conn: AsyncConnection[Any], now: int) -> int:
    """Forget what expired before *now*; return how many they were."""
    cursor = await conn.execute(
        "DELETE FROM requests WHERE expires_at < to_timestamp(%(now)s)", {"now": now}, prepare=True
    )
    return cursor.rowcount
