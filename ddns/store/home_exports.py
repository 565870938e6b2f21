"""What is written down about one home, to be read by its owner or to be taken along: events, keys, statements."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from psycopg import AsyncConnection

from ddns.dns import names
from ddns.dns.names import Name

Conn = AsyncConnection[Any]


class Happened(msgspec.Struct, frozen=True):
    """An event of a home, as it was written down; *at* in seconds since 1970, *statement* a SHA-256."""

    id: int
    at: int
    event: str
    who: str
    before: str
    after: str
    statement: bytes | None
    why: str


class Key(msgspec.Struct, frozen=True):
    """A key that may or might act for a home, by what everybody may know of it; times in seconds since 1970."""

    name: Name
    kind: str
    algorithm: str
    tag: int | None
    public: bytes | None
    assurance: str
    created_at: int
    expires_at: int | None
    revoked_at: int | None


class Said(msgspec.Struct, frozen=True):
    """A statement that was carried out: *octets* are it whole, signed."""

    digest: bytes
    act: str
    octets: bytes
    at: int


async def events(conn: Conn, zone: int, after: int, most: int) -> list[Happened]:
    """Return what happened to the home of *zone* after the event *after*, in order."""
    cursor = await conn.execute(
        """SELECT id, extract(epoch FROM at)::bigint, event, who, before, after, statement, why FROM home_events
           WHERE zone = %(zone)s AND id > %(after)s ORDER BY id LIMIT %(most)s""",
        {"zone": zone, "after": after, "most": most},
    )
    return [
        Happened(row[0], row[1], row[2], row[3], row[4], row[5], None if row[6] is None else bytes(row[6]), row[7])
        for row in await cursor.fetchall()
    ]


async def keys(conn: Conn, zone: int, most: int) -> list[Key]:
    """Return the last *most* keys of the home of *zone*, those that are no more among them, in order."""
    cursor = await conn.execute(
        """SELECT name, kind, algorithm, tag, public, assurance, extract(epoch FROM created_at)::bigint,
                  extract(epoch FROM expires_at)::bigint, extract(epoch FROM revoked_at)::bigint
           FROM credentials WHERE home = %(zone)s ORDER BY id DESC LIMIT %(most)s""",
        {"zone": zone, "most": most},
    )
    rows = reversed(await cursor.fetchall())
    return [
        Key(
            names.from_order_key(bytes(row[0])), row[1], row[2], row[3], None if row[4] is None else bytes(row[4]),
            row[5], row[6], row[7], row[8],
        )
        for row in rows
    ]  # fmt: skip


async def statements(conn: Conn, digests: Sequence[bytes]) -> list[Said]:
    """Return the statements with these *digests*, in the order in which they were carried out."""
    cursor = await conn.execute(
        """SELECT digest, act, octets, extract(epoch FROM at)::bigint FROM statements
           WHERE digest = ANY (%(digests)s) ORDER BY at, digest""",
        {"digests": list(digests)},
    )
    return [Said(bytes(row[0]), row[1], bytes(row[2]), row[3]) for row in await cursor.fetchall()]
