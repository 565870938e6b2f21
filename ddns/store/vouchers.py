"""Vouchers: the last one that each box brought here, the request that it answers, and what became of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from psycopg import AsyncConnection

from ddns.store.pool import rows

Conn = AsyncConnection[Any]
MOST_STATUS = 200  # characters


class Kept(msgspec.Struct, frozen=True):
    """A voucher as it was passed on: *idevid* is the SHA-256 of the box's certificate, *digest* that of the request.

    *media* is its type; *audit* is the log that the maker keeps of the box, empty where it gave none; *at* in seconds
    since 1970. *status* is what the box said of it: empty, `good`, or what was wrong.
    """

    idevid: bytes
    bond: int
    digest: bytes
    request: bytes
    voucher: bytes
    media: str
    audit: bytes
    at: int
    status: str = ""


_COLUMNS = "idevid, bond, digest, request, voucher, media, audit, extract(epoch FROM at)::bigint, status"


async def keep(conn: Conn, one: Kept) -> None:
    """Keep the voucher, as the tenant's of the transaction, in place of the one that the box had."""
    await conn.execute(
        """INSERT INTO vouchers (idevid, bond, digest, request, voucher, media, audit, at, status)
           VALUES (%(idevid)s, %(bond)s, %(digest)s, %(request)s, %(voucher)s, %(media)s, %(audit)s,
                   to_timestamp(%(at)s), %(status)s)
           ON CONFLICT ON CONSTRAINT voucher_twice DO UPDATE
           SET bond = EXCLUDED.bond, digest = EXCLUDED.digest, request = EXCLUDED.request,
               voucher = EXCLUDED.voucher, media = EXCLUDED.media, audit = EXCLUDED.audit, at = EXCLUDED.at,
               status = EXCLUDED.status""",
        msgspec.structs.asdict(one),
    )


async def of_box(conn: Conn, tenant: int, idevid: bytes) -> Kept | None:
    """Return the last voucher of the box with that certificate, of *tenant*."""
    cursor = await conn.execute(
        f"SELECT {_COLUMNS} FROM vouchers WHERE tenant = %(tenant)s AND idevid = %(idevid)s",  # noqa: S608 - constants
        {"tenant": tenant, "idevid": idevid},
        binary=True,
    )
    return next((_kept(row) for row in await rows(cursor)), None)


async def listing(conn: Conn, tenant: int, most: int) -> list[Kept]:
    """Return the last *most* vouchers of *tenant*, the newest first."""
    cursor = await conn.execute(
        f"SELECT {_COLUMNS} FROM vouchers WHERE tenant = %(tenant)s ORDER BY at DESC, idevid LIMIT %(most)s",  # noqa: S608 - constants
        {"tenant": tenant, "most": most},
        binary=True,
    )
    return [_kept(row) for row in await rows(cursor)]


async def report(conn: Conn, tenant: int, idevid: bytes, status: str) -> bool:
    """Note what a box says of its voucher; tell whether it has one."""
    cursor = await conn.execute(
        "UPDATE vouchers SET status = %(status)s WHERE tenant = %(tenant)s AND idevid = %(idevid)s",
        {"status": status[:MOST_STATUS], "tenant": tenant, "idevid": idevid},
    )
    return cursor.rowcount > 0


async def note_audit(conn: Conn, tenant: int, idevid: bytes, audit: bytes) -> None:
    """Keep what the maker's log says of a box by now."""
    await conn.execute(
        "UPDATE vouchers SET audit = %(audit)s WHERE tenant = %(tenant)s AND idevid = %(idevid)s",
        {"audit": audit, "tenant": tenant, "idevid": idevid},
    )


async def report_of_home(conn: Conn, tenant: int, home: bytes, status: str) -> None:
    """Note what the box of a *home* (the order key of its name) says of its enrolment."""
    await conn.execute(
        """UPDATE vouchers SET status = %(status)s
           FROM device_identities, homes, zones
           WHERE vouchers.tenant = %(tenant)s AND vouchers.idevid = device_identities.digest
             AND device_identities.kind = 'idevid' AND device_identities.device = homes.device
             AND homes.zone = zones.id AND zones.origin = %(home)s""",
        {"status": status[:MOST_STATUS], "tenant": tenant, "home": home},
    )


def _kept(row: Sequence[Any]) -> Kept:
    idevid, bond, digest, request, voucher, media, audit, at, status = row
    return Kept(bytes(idevid), bond, bytes(digest), bytes(request), bytes(voucher), media, bytes(audit), at, status)
