"""Signed requests that were answered: a retransmission gets its answer again, a replay does nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from psycopg import AsyncConnection

from ddns.store.packing import bigints, integers, octets, texts
from ddns.store.pool import rows

SKEW = 900  # seconds that a worker's clock may be behind the database's before its good signatures are refused


class Stored(msgspec.Struct, frozen=True):
    """What was answered; *ede* and *text* make the extended error (RFC 8914), *lease* the option of RFC 9664."""

    rcode: int
    ede: int
    text: str
    lease: bytes = b""


async def known(conn: AsyncConnection[Any], asked: Iterable[tuple[bytes, int]]) -> dict[bytes, Stored | None]:
    """Return what was answered to those of *asked*, given as (digest, expiry), that were; ask while the zone is locked.

    None stands for a request whose answer may have been forgotten: by the database's clock, the one that `prune` goes
    by, its signature ended more than `SKEW` ago, however slow the clock is of the worker that took it for good.
    """
    wanted = dict(asked)
    cursor = await conn.execute(
        """
        SELECT asked.digest, requests.digest IS NOT NULL, rcode, ede, text, lease
        FROM unnest(%(digests)s, %(expires)s) AS asked (digest, expires)
        LEFT JOIN requests ON requests.expires_at = to_timestamp(asked.expires) AND requests.digest = asked.digest
        WHERE requests.digest IS NOT NULL
              OR asked.expires < extract(epoch FROM clock_timestamp()) - %(skew)s
        """,
        {"digests": octets(list(wanted)), "expires": bigints(list(wanted.values())), "skew": SKEW},
        prepare=True,
        binary=True,
    )
    return {row[0]: Stored(*row[2:]) if row[1] else None for row in await rows(cursor)}


async def remember(conn: AsyncConnection[Any], answered: Sequence[tuple[bytes, Stored, int]]) -> None:
    """Store answers, given as (digest, answer, when it expires in seconds since 1970); the first one stays."""
    if not answered:
        return
    await conn.execute(
        """
        INSERT INTO requests (digest, rcode, ede, text, lease, expires_at)
        SELECT digest, rcode, ede, text, lease, to_timestamp(expires)
        FROM unnest(%(digests)s, %(rcodes)s, %(edes)s, %(texts)s, %(leases)s, %(expires)s)
             AS answer (digest, rcode, ede, text, lease, expires)
        ON CONFLICT (expires_at, digest) DO NOTHING
        """,
        {
            "digests": octets([digest for digest, _, _ in answered]),
            "rcodes": integers([stored.rcode for _, stored, _ in answered]),
            "edes": integers([stored.ede for _, stored, _ in answered]),
            "texts": texts(stored.text for _, stored, _ in answered),
            "leases": octets([stored.lease for _, stored, _ in answered]),
            "expires": bigints([expires for _, _, expires in answered]),
        },
        prepare=True,
    )


async def prune(conn: AsyncConnection[Any]) -> int:
    """Forget what expired more than `SKEW` ago by the database's clock; return how many they were."""
    cursor = await conn.execute(
        "DELETE FROM requests WHERE expires_at < now() - %(skew)s * interval '1 second'", {"skew": SKEW}, prepare=True
    )
    return cursor.rowcount
