"""Bonds: which keys of a vendor may vouch for which models of boxes, with what assurance, and since when no more."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from psycopg import AsyncConnection

from ddns.store.pool import rows

Conn = AsyncConnection[Any]


class Bond(msgspec.Struct, frozen=True):
    """One bond; certificates in DER, times in seconds since 1970. *tenant* None: it holds for all.

    *anchors* issue the boxes' own certificates, *masa_keys* sign vouchers, *masa_anchors* issue the certificate of the
    server at *masa_url*. *models* empty: all that the anchors issued for.
    """

    id: int
    tenant: int | None
    vendor: str
    models: tuple[str, ...]
    anchors: tuple[bytes, ...]
    masa_keys: tuple[bytes, ...]
    masa_url: str
    masa_anchors: tuple[bytes, ...]
    assurance: str
    since: int
    until: int | None = None
    withdrawn_at: int | None = None
    why: str = ""

    def holds(self, now: int) -> bool:
        """Tell whether the bond holds at *now*."""
        return self.withdrawn_at is None and (self.until is None or now < self.until)


_COLUMNS = """id, tenant, vendor, models, idevid_anchors, masa_keys, masa_url, masa_anchors, assurance,
       extract(epoch FROM since)::bigint, extract(epoch FROM until)::bigint,
       extract(epoch FROM withdrawn_at)::bigint, why"""


async def insert(conn: Conn, bond: Bond) -> Bond:
    """Keep a new bond, and return it with its id."""
    cursor = await conn.execute(
        f"""INSERT INTO bonds (tenant, vendor, models, idevid_anchors, masa_keys, masa_url, masa_anchors, assurance,
                               since, until)
            VALUES (%(tenant)s, %(vendor)s, %(models)s, %(anchors)s, %(masa_keys)s, %(masa_url)s, %(masa_anchors)s,
                    %(assurance)s, to_timestamp(%(since)s), to_timestamp(%(until)s))
            RETURNING {_COLUMNS}""",  # noqa: S608 - constants
        msgspec.structs.asdict(bond) | {
            "models": list(bond.models), "anchors": list(bond.anchors), "masa_keys": list(bond.masa_keys),
            "masa_anchors": list(bond.masa_anchors),
        },
        binary=True,
    )  # fmt: skip
    (row,) = await rows(cursor)
    return _bond(row)


async def listing(conn: Conn, tenant: int) -> list[Bond]:
    """Return the bonds that hold, or held, for *tenant*: its own and those for all, the oldest first."""
    cursor = await conn.execute(
        f"SELECT {_COLUMNS} FROM bonds WHERE tenant IS NULL OR tenant = %(tenant)s ORDER BY id",  # noqa: S608 - constants
        {"tenant": tenant},
        binary=True,
    )
    return [_bond(row) for row in await rows(cursor)]


async def counting(conn: Conn) -> list[Bond]:
    """Return the bonds for the tenant of the open transaction, those that hold no more included."""
    cursor = await conn.execute(
        f"SELECT {_COLUMNS} FROM bonds WHERE tenant IS NULL OR tenant = ddns_tenant() ORDER BY id",  # noqa: S608 - constants
        binary=True,
    )
    return [_bond(row) for row in await rows(cursor)]


async def get(conn: Conn, ident: int) -> Bond | None:
    """Return the bond with that id."""
    cursor = await conn.execute(
        f"SELECT {_COLUMNS} FROM bonds WHERE id = %(id)s",  # noqa: S608 - constants
        {"id": ident},
        binary=True,
    )
    return next((_bond(row) for row in await rows(cursor)), None)


async def withdraw(conn: Conn, ident: int, why: str, now: int) -> None:
    """Have the bond hold no more; what was enrolled by it stays."""
    await conn.execute(
        "UPDATE bonds SET withdrawn_at = to_timestamp(%(now)s), why = %(why)s WHERE id = %(id)s",
        {"now": now, "why": why, "id": ident},
    )


def _bond(row: Sequence[Any]) -> Bond:
    ident, tenant, vendor, models, anchors, masa_keys, url, masa_anchors, *rest = row
    octets = (tuple(map(bytes, held)) for held in (anchors, masa_keys, masa_anchors))
    anchors, masa_keys, masa_anchors = octets
    return Bond(ident, tenant, vendor, tuple(models), anchors, masa_keys, url, masa_anchors, *rest)
