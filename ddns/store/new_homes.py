"""Many new homes at once: their rows, in a few statements, as `zones`, `homes`, `signing` and `credentials` have them.

Law: the caller owns the transaction, and nobody has seen these homes before it ends.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from psycopg import AsyncConnection

from ddns.dns import names
from ddns.dns.names import Name
from ddns.dns.records import Rdata
from ddns.store.packing import bigints, integers, octets, texts


class Row(msgspec.Struct, frozen=True):
    """A home's zone at its first entry in the journal.

    *serial* is that of its first edition, 0 where it waits for the signer; *due* is when its first signature falls
    due, in seconds since 1970, 0: never.
    """

    origin: Name
    serial: int
    due: int


async def standing(conn: AsyncConnection[Any], origins: Iterable[Name]) -> dict[Name, int | None]:
    """Return which of *origins* are zones already, each with the id of the registry's zone that it is a home of."""
    wanted = list(origins)
    cursor = await conn.execute(
        """
        SELECT wanted.place, zones.parent
        FROM unnest(%(origins)s) WITH ORDINALITY AS wanted (origin, place)
        JOIN zones ON zones.origin = wanted.origin
        """,
        {"origins": octets([names.order_key(one) for one in wanted])},
        prepare=True,
        binary=True,
    )
    return {wanted[place - 1]: parent for place, parent in await cursor.fetchall()}


async def insert(
    conn: AsyncConnection[Any], rows: Sequence[Row], denial: str, algorithm: int, parent: int
) -> list[int]:
    """Add the zones of new homes in the zone *parent*; return their ids in the same order.

    Raises `psycopg.errors.UniqueViolation` (zone_twice) where one of them exists.
    """
    keys = [names.order_key(row.origin) for row in rows]
    cursor = await conn.execute(
        """
        WITH wanted AS (
            SELECT origin, serial, due FROM unnest(%(origins)s, %(serials)s, %(dues)s) AS new (origin, serial, due)
        ), made AS (
            INSERT INTO zones (origin, denial, algorithm, parent, head, edition, serial)
            SELECT origin, %(denial)s, %(algorithm)s, %(parent)s, 1, CASE serial WHEN 0 THEN 0 ELSE 1 END, serial
            FROM wanted
            RETURNING id, origin, edition
        ), signed AS (
            INSERT INTO signing (zone, signed_head, pending, resign_at)
            SELECT made.id, made.edition, made.edition = 0, to_timestamp(nullif(wanted.due, 0))
            FROM made JOIN wanted ON wanted.origin = made.origin
        ), owned AS (
            INSERT INTO homes (zone) SELECT id FROM made
        )
        SELECT origin, id FROM made
        """,
        {
            "origins": octets(keys),
            "serials": bigints([row.serial for row in rows]),
            "dues": bigints([row.due for row in rows]),
            "denial": denial,
            "algorithm": algorithm,
            "parent": parent,
        },
        prepare=True,
        binary=True,
    )
    made = dict(await cursor.fetchall())
    return [made[key] for key in keys]


async def enrol(conn: AsyncConnection[Any], keys: Sequence[tuple[int, Name, Rdata, int, int]], assurance: str) -> None:
    """Enrol the SIG(0) keys of homes, each for all of its home, given as (zone, name, KEY RDATA, algorithm, tag).

    Raises `psycopg.errors.UniqueViolation` (sig0_key_twice).
    """
    if not keys:
        return
    await conn.execute(
        """
        WITH made AS (
            INSERT INTO credentials (name, kind, algorithm, tag, public, home, assurance)
            SELECT name, 'sig0', algorithm, tag, public, home, %(assurance)s
            FROM unnest(%(homes)s, %(names)s, %(publics)s, %(algorithms)s, %(tags)s)
                 AS new (home, name, public, algorithm, tag)
            RETURNING id, home, name
        )
        INSERT INTO grants (credential, zone, subtree, rule) SELECT id, home, name, 'zone' FROM made
        """,
        {
            "homes": bigints([zone for zone, *_ in keys]),
            "names": octets([names.order_key(name) for _, name, *_ in keys]),
            "publics": octets([public for _, _, public, _, _ in keys]),
            "algorithms": texts(str(algorithm) for *_, algorithm, _ in keys),
            "tags": integers([tag for *_, tag in keys]),
            "assurance": assurance,
        },
        prepare=True,
    )


async def withdraw_invitations(conn: AsyncConnection[Any], homes: Iterable[Name]) -> None:
    """Remove the unspent invitations of *homes* with their credentials."""
    await conn.execute(
        "DELETE FROM invitations WHERE label = ANY (%(labels)s) AND spent_at IS NULL",
        {"labels": octets([names.order_key(home) for home in homes])},
        prepare=True,
    )
