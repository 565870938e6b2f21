"""When each key was used last, and from which network. A row of its own: updates are judged by the key's own row."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from psycopg import AsyncConnection

from ddns.store.packing import bigints, texts


class Use(msgspec.Struct, frozen=True):
    """The last use of a *credential* that is known: *at* in seconds since 1970, *source* the network it came from."""

    credential: int
    at: int
    source: str


async def write(conn: AsyncConnection[Any], uses: Sequence[Use]) -> None:
    """Keep *uses*, of each credential at most one; an older one changes nothing, nor one of a key that is no more."""
    ordered = sorted(uses, key=lambda one: one.credential)  # two workers must not wait for each other
    await conn.execute(
        """
        INSERT INTO credential_uses (credential, used_at, used_from)
        SELECT used.credential, to_timestamp(used.at), used.source::cidr
        FROM unnest(%(credentials)s, %(at)s, %(sources)s) AS used (credential, at, source)
        JOIN credentials ON credentials.id = used.credential
        ORDER BY used.credential
        ON CONFLICT (credential) DO UPDATE SET used_at = excluded.used_at, used_from = excluded.used_from
            WHERE credential_uses.used_at < excluded.used_at
        """,
        {
            "credentials": bigints([one.credential for one in ordered]),
            "at": bigints([one.at for one in ordered]),
            "sources": texts(one.source for one in ordered),
        },
        prepare=True,
    )


async def of(conn: AsyncConnection[Any], credentials: Iterable[int]) -> dict[int, Use]:
    """Return the last use of each of *credentials* that was ever used."""
    cursor = await conn.execute(
        """
        SELECT credential, extract(epoch FROM used_at)::bigint, used_from::text FROM credential_uses
        WHERE credential = ANY (%(ids)s)
        """,
        {"ids": bigints(list(credentials))},
        prepare=True,
    )
    return {row[0]: Use(*row) for row in await cursor.fetchall()}
