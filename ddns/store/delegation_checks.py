"""The evidence: what homes' own servers said whenever a delegation was accepted or refused. Rows are never changed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from psycopg import AsyncConnection

from ddns.store.pool import rows
from ddns.zone.child import ServerSaid

_ENCODER = msgspec.msgpack.Encoder()
_SAID = msgspec.msgpack.Decoder(tuple[ServerSaid, ...])


class Check(msgspec.Struct, frozen=True):
    """A look at a home's own servers that mattered: *by* whom, what they *said*, and the *rule* that was broken.

    *rule* is None where it was accepted; *sentence* is for the home's owner. *at* in seconds since 1970.
    """

    zone: int
    at: int
    by: str
    rule: str | None
    sentence: str
    said: tuple[ServerSaid, ...]


async def append(conn: AsyncConnection[Any], checks: Sequence[Check]) -> None:
    """Write down looks at homes' own servers that mattered."""
    for one in checks:
        await conn.execute(
            """
            INSERT INTO delegation_checks (zone, at, by, rule, sentence, said)
            VALUES (%(zone)s, to_timestamp(%(at)s), %(by)s, %(rule)s, %(sentence)s, %(said)s)
            """,
            {
                "zone": one.zone,
                "at": one.at,
                "by": one.by,
                "rule": one.rule,
                "sentence": one.sentence,
                "said": _ENCODER.encode(one.said),
            },
            prepare=True,
        )


async def newest(conn: AsyncConnection[Any], zone: int, most: int) -> list[Check]:
    """Return the newest *most* looks at the own servers of a home, newest first."""
    cursor = await conn.execute(
        """
        SELECT zone, extract(epoch FROM at)::bigint, by, rule, sentence, said
        FROM delegation_checks WHERE zone = %(zone)s ORDER BY id DESC LIMIT %(most)s
        """,
        {"zone": zone, "most": most},
        binary=True,
    )
    return [
        Check(zone, at, by, rule, sentence, _SAID.decode(said))
        for zone, at, by, rule, sentence, said in await rows(cursor)
    ]
