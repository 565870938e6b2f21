"""Boxes that a tenant expects: an inventory by digests, which gives no right and names nobody's box to anybody."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import msgspec
from psycopg import AsyncConnection

from ddns.store.pool import rows

Conn = AsyncConnection[Any]


class Expected(msgspec.Struct, frozen=True):
    """One box, known by the *digest* of its serial number or UEID (*kind*); *vendor* is whose bond it has to come by.

    *label* and *owner* are those of the home that it becomes first; *came_at* is when it did. Times in seconds since
    1970; *vendor* empty: any.
    """

    digest: bytes
    kind: str
    vendor: str = ""
    label: str = ""
    owner: UUID | None = None
    note: str = ""
    added_at: int = 0
    came_at: int | None = None


_COLUMNS = """digest, kind, vendor, label, owner, note, extract(epoch FROM added_at)::bigint,
       extract(epoch FROM came_at)::bigint"""


async def put_all(conn: Conn, tenant: int, boxes: Sequence[Expected], now: int) -> tuple[int, int]:
    """Expect *boxes*, each there once; return how many are new, and of how many something else is said now."""
    cursor = await conn.execute(
        """
        INSERT INTO expected_devices AS held (tenant, digest, kind, vendor, label, owner, note, added_at)
        SELECT %(tenant)s, wanted.*, to_timestamp(%(now)s)
        FROM unnest(%(digests)s::bytea[], %(kinds)s::text[], %(vendors)s::text[], %(labels)s::text[],
                    %(owners)s::uuid[], %(notes)s::text[]) AS wanted
        ON CONFLICT ON CONSTRAINT box_expected_twice DO UPDATE
        SET label = EXCLUDED.label, owner = EXCLUDED.owner, note = EXCLUDED.note
        WHERE (held.label, held.owner, held.note) IS DISTINCT FROM (EXCLUDED.label, EXCLUDED.owner, EXCLUDED.note)
        RETURNING xmax = 0
        """,
        {
            "tenant": tenant, "now": now, "digests": [one.digest for one in boxes],
            "kinds": [one.kind for one in boxes], "vendors": [one.vendor for one in boxes],
            "labels": [one.label for one in boxes], "owners": [one.owner for one in boxes],
            "notes": [one.note for one in boxes],
        },
    )  # fmt: skip
    new = [row[0] for row in await cursor.fetchall()]
    return new.count(True), new.count(False)


async def find(conn: Conn, tenant: int, digest: bytes, vendor: str) -> Expected | None:
    """Return the box with this *digest* that *tenant* expects of this *vendor*, or else of any."""
    cursor = await conn.execute(
        f"""SELECT {_COLUMNS} FROM expected_devices
            WHERE tenant = %(tenant)s AND digest = %(digest)s AND vendor IN ('', %(vendor)s)
            ORDER BY vendor DESC LIMIT 1""",  # noqa: S608 - constants
        {"tenant": tenant, "digest": digest, "vendor": vendor},
        binary=True,
    )
    return next((_expected(row) for row in await rows(cursor)), None)


async def page(conn: Conn, tenant: int, digest: bytes, vendor: str, limit: int) -> list[Expected]:
    """Return the boxes that *tenant* expects, by their digests, behind the one of *digest* and *vendor*."""
    cursor = await conn.execute(
        f"""SELECT {_COLUMNS} FROM expected_devices
            WHERE tenant = %(tenant)s AND (digest, vendor) > (%(digest)s, %(vendor)s)
            ORDER BY digest, vendor LIMIT %(limit)s""",  # noqa: S608 - constants
        {"tenant": tenant, "digest": digest, "vendor": vendor, "limit": limit},
        binary=True,
    )
    return [_expected(row) for row in await rows(cursor)]


async def came(conn: Conn, tenant: int, digest: bytes, vendor: str, now: int) -> None:
    """Note that a box has become a home, unless it did before."""
    await conn.execute(
        """UPDATE expected_devices SET came_at = coalesce(came_at, to_timestamp(%(now)s))
           WHERE tenant = %(tenant)s AND digest = %(digest)s AND vendor = %(vendor)s""",
        {"tenant": tenant, "digest": digest, "vendor": vendor, "now": now},
    )


async def forget(conn: Conn, tenant: int, digest: bytes, vendor: str | None) -> int:
    """Expect a box no more, of whatever vendor where *vendor* is None; return how many rows that were."""
    cursor = await conn.execute(
        """DELETE FROM expected_devices WHERE tenant = %(tenant)s AND digest = %(digest)s
           AND vendor = coalesce(%(vendor)s, vendor)""",
        {"tenant": tenant, "digest": digest, "vendor": vendor},
    )
    return cursor.rowcount


async def owners(conn: Conn, tenant: int, wanted: Sequence[UUID]) -> set[UUID]:
    """Return those of *wanted* that are owners of homes of *tenant*, or may be."""
    cursor = await conn.execute(
        "SELECT id FROM owners WHERE tenant = %(tenant)s AND id = ANY (%(wanted)s)",
        {"tenant": tenant, "wanted": list(wanted)},
    )
    return {row[0] for row in await cursor.fetchall()}


def _expected(row: Sequence[Any]) -> Expected:
    digest, *rest = row
    return Expected(bytes(digest), *rest)
