"""The journal of refusals: a ring of rows from which a decision can be explained and made again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from psycopg import AsyncConnection

from ddns.store.packing import bigints, integers, octets, texts

AT_ONCE = 500  # rows written in one statement


class Refused(msgspec.Struct, frozen=True):
    """One refused update: *at* in seconds since 1970, *source* a network such as `192.0.2.0/24`.

    *key*, *kind*, *algorithm* and *tag* are what the message says of its signer; *verified* says whether it was
    true, and *credential* (an id) which key is meant. *held* and *asked* are phrases. *message* is without its
    signature, None where it was too long (*size* octets) or a stranger's. *untold* counts those not written.
    """

    at: float
    code: str
    rcode: int
    text: str
    transport: str
    source: str
    zone: str | None = None
    key: str | None = None
    kind: str | None = None
    algorithm: str | None = None
    tag: int | None = None
    verified: bool = False
    credential: int | None = None
    held: tuple[str, ...] = ()
    asked: tuple[str, ...] = ()
    size: int = 0
    message: bytes | None = None
    digest: bytes | None = None
    untold: int = 0


class Listed(msgspec.Struct, frozen=True):
    """A row of the journal and its number."""

    id: int
    refused: Refused


async def append(conn: AsyncConnection[Any], new: Sequence[Refused]) -> None:
    """Write *new*, in their order.

    The commit is not waited for until it is on disk: losing the last second of this journal costs less than an
    fsync for it, which those whose updates are good would pay.
    """
    async with conn.transaction():
        await conn.execute("SET LOCAL synchronous_commit = off")
        for start in range(0, len(new), AT_ONCE):
            await _append(conn, new[start : start + AT_ONCE])


async def _append(conn: AsyncConnection[Any], new: Sequence[Refused]) -> None:
    await conn.execute(
        """
        INSERT INTO refusals (at, code, rcode, text, transport, source, zone, key, kind, algorithm, tag, verified,
                              credential, held, asked, size, message, digest, untold)
        SELECT to_timestamp(at / 1000.0), code, rcode, text, transport, source::cidr, nullif(zone, ''),
               nullif(key, ''), nullif(kind, ''), nullif(algorithm, ''), nullif(tag, -1), verified = 1,
               credential, held::text[], asked::text[], size, message, digest, untold
        FROM unnest(%(ats)s, %(codes)s, %(rcodes)s, %(texts)s, %(transports)s, %(sources)s, %(zones)s, %(keys)s,
                    %(kinds)s, %(algorithms)s, %(tags)s, %(verified)s, %(credentials)s, %(held)s, %(asked)s,
                    %(sizes)s, %(messages)s, %(digests)s, %(untold)s)
             WITH ORDINALITY AS new (at, code, rcode, text, transport, source, zone, key, kind, algorithm, tag,
                                     verified, credential, held, asked, size, message, digest, untold, place)
        ORDER BY place
        """,
        {
            "ats": bigints([int(one.at * 1000) for one in new]),
            "codes": texts(one.code for one in new),
            "rcodes": integers([one.rcode for one in new]),
            "texts": texts(one.text for one in new),
            "transports": texts(one.transport for one in new),
            "sources": texts(one.source for one in new),
            "zones": texts(one.zone or "" for one in new),
            "keys": texts(one.key or "" for one in new),
            "kinds": texts(one.kind or "" for one in new),
            "algorithms": texts(one.algorithm or "" for one in new),
            "tags": integers([-1 if one.tag is None else one.tag for one in new]),
            "verified": integers([int(one.verified) for one in new]),
            "credentials": bigints([one.credential for one in new]),
            "held": texts(_array(one.held) for one in new),
            "asked": texts(_array(one.asked) for one in new),
            "sizes": integers([one.size for one in new]),
            "messages": octets([one.message for one in new]),
            "digests": octets([one.digest for one in new]),
            "untold": integers([one.untold for one in new]),
        },
        prepare=True,
    )


async def prune(conn: AsyncConnection[Any], keep: int, before: int) -> int:
    """Delete all but the newest *keep*, and those from before *before* (seconds since 1970); return how many."""
    cursor = await conn.execute(
        """
        DELETE FROM refusals
        WHERE at < to_timestamp(%(before)s) OR id <= (SELECT max(id) FROM refusals) - %(keep)s
        """,
        {"before": before, "keep": keep},
        prepare=True,
    )
    return cursor.rowcount


_SELECT = """
SELECT id, extract(epoch FROM at)::double precision, code, rcode, text, transport, source::text, zone, key, kind,
       algorithm, tag, verified, credential, held, asked, size, message, digest, untold
FROM refusals
"""


async def latest(
    conn: AsyncConnection[Any],
    limit: int,
    *,
    zone: str | None = None,
    key: str | None = None,
    code: str | None = None,
    since: int | None = None,
) -> list[Listed]:
    """Return the newest *limit* that fit, the newest first; *zone* and *key* are names in presentation form.

    A *zone* means those below it too, so that a registry's zone shows what its homes were refused.
    """
    cursor = await conn.execute(
        _SELECT
        + """
        WHERE (%(zone)s::text IS NULL OR zone = %(zone)s OR right(zone, length(%(zone)s) + 1) = '.' || %(zone)s)
          AND (%(key)s::text IS NULL OR key = %(key)s)
          AND (%(code)s::text IS NULL OR code = %(code)s)
          AND (%(since)s::bigint IS NULL OR at >= to_timestamp(%(since)s))
        ORDER BY id DESC
        LIMIT %(limit)s
        """,
        {"zone": zone, "key": key, "code": code, "since": since, "limit": limit},
    )
    return [_listed(row) for row in await cursor.fetchall()]


async def get(conn: AsyncConnection[Any], number: int) -> Listed | None:
    """Return the refusal of this number, or None where it is none or has been dropped since."""
    cursor = await conn.execute(_SELECT + "WHERE id = %(number)s", {"number": number})
    row = await cursor.fetchone()
    return None if row is None else _listed(row)


async def oldest(conn: AsyncConnection[Any]) -> int | None:
    """Return the number of the oldest refusal that is kept, None where there is none."""
    cursor = await conn.execute("SELECT min(id) FROM refusals")
    row = await cursor.fetchone()
    return None if row is None else row[0]


def _listed(row: Sequence[Any]) -> Listed:
    number, *values = row
    values[13], values[14] = tuple(values[13]), tuple(values[14])
    return Listed(number, Refused(*values))


def _array(phrases: Iterable[str]) -> str:
    """Return *phrases* as the text of a `text[]`."""
    quoted = (one.replace("\\", "\\\\").replace('"', '\\"') for one in phrases)
    return "{" + ",".join(f'"{one}"' for one in quoted) + "}"
