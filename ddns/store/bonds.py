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
    server at *masa_url*. *models* empty: all that the anchors issued for. *vendor_key* (a JWK) has signed *statement*
    at *said_at*, None: the bond was made by hand; *models_most* and *until_most* are what an operator accepted of it.
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
    vendor_key: bytes | None = None
    statement: bytes | None = None
    said_at: int | None = None
    models_most: tuple[str, ...] = ()
    until_most: int | None = None

    def holds(self, now: int) -> bool:
        """Tell whether the bond holds at *now*."""
        return self.withdrawn_at is None and (self.until is None or now < self.until)


_COLUMNS = """id, tenant, vendor, models, idevid_anchors, masa_keys, masa_url, masa_anchors, assurance,
       extract(epoch FROM since)::bigint, extract(epoch FROM until)::bigint,
       extract(epoch FROM withdrawn_at)::bigint, why, vendor_key, statement, extract(epoch FROM said_at)::bigint,
       models_most, extract(epoch FROM until_most)::bigint"""


async def insert(conn: Conn, bond: Bond) -> Bond:
    """Keep a new bond, and return it with its id."""
    cursor = await conn.execute(
        f"""INSERT INTO bonds (tenant, vendor, models, idevid_anchors, masa_keys, masa_url, masa_anchors, assurance,
                               since, until, vendor_key, statement, said_at, models_most, until_most)
            VALUES (%(tenant)s, %(vendor)s, %(models)s, %(anchors)s, %(masa_keys)s, %(masa_url)s, %(masa_anchors)s,
                    %(assurance)s, to_timestamp(%(since)s), to_timestamp(%(until)s), %(vendor_key)s, %(statement)s,
                    to_timestamp(%(said_at)s), %(models_most)s, to_timestamp(%(until_most)s))
            RETURNING {_COLUMNS}""",  # noqa: S608 - constants
        _values(bond),
        binary=True,
    )
    (row,) = await rows(cursor)
    return _bond(row)


async def change(conn: Conn, bond: Bond) -> None:
    """Have the bond of that id say what *bond* says, all but whose it is and since when."""
    await conn.execute(
        """UPDATE bonds SET models = %(models)s, idevid_anchors = %(anchors)s, masa_keys = %(masa_keys)s,
                  masa_url = %(masa_url)s, masa_anchors = %(masa_anchors)s, assurance = %(assurance)s,
                  until = to_timestamp(%(until)s), statement = %(statement)s, said_at = to_timestamp(%(said_at)s),
                  models_most = %(models_most)s, until_most = to_timestamp(%(until_most)s)
           WHERE id = %(id)s""",
        _values(bond),
    )


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


async def of_key(conn: Conn, tenant: int | None, vendor_key: bytes) -> list[Bond]:
    """Lock and return the bonds that *vendor_key* (a JWK) has signed for, the newest last.

    They are those of *tenant*, None: those for all.
    """
    cursor = await conn.execute(
        f"""SELECT {_COLUMNS} FROM bonds
            WHERE vendor_key = %(key)s AND tenant IS NOT DISTINCT FROM %(tenant)s ORDER BY id
            FOR NO KEY UPDATE""",  # noqa: S608 - constants
        {"key": vendor_key, "tenant": tenant},
        binary=True,
    )
    return [_bond(row) for row in await rows(cursor)]


async def withdraw(conn: Conn, ident: int, why: str, now: int) -> None:
    """Have the bond hold no more; what was enrolled by it stays."""
    await conn.execute(
        "UPDATE bonds SET withdrawn_at = to_timestamp(%(now)s), why = %(why)s WHERE id = %(id)s",
        {"now": now, "why": why, "id": ident},
    )


def _values(bond: Bond) -> dict[str, Any]:
    named = ("models", "anchors", "masa_keys", "masa_anchors", "models_most")
    return msgspec.structs.asdict(bond) | {one: list(getattr(bond, one)) for one in named}


def _bond(row: Sequence[Any]) -> Bond:
    return Bond(*map(_plain, row))


def _plain(cell: Any) -> Any:
    if isinstance(cell, list):
        return tuple(map(_plain, cell))
    return bytes(cell) if isinstance(cell, memoryview | bytearray) else cell
