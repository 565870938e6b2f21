"""Move signing keys from master key to master key: which are under which, and page after page under the first.

Law: a page is a transaction, and a key is rewritten only as it was read. Stopped anywhere, it is begun again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import msgspec

from ddns.dns import names
from ddns.store.packing import octets
from ddns.zone.jobs import SealedKey
from zone_signer.store import Conn, rows_of
from zone_signer.vault import VaultError
from zone_signer.vaults import Vaults

AT_ONCE = 1000  # keys in one transaction
_NONE = "00000000-0000-0000-0000-000000000000"


class Resealed(msgspec.Struct, frozen=True):
    """How many keys were *moved*, and the sentences about those that could not be (*failed*)."""

    moved: int = 0
    failed: tuple[str, ...] = ()


async def any_sealed(conn: Conn) -> bytes | None:
    """Return any private key that is sealed; None where there is none yet."""
    rows = await rows_of(
        conn, "SELECT sealed FROM signing_keys WHERE vault = 'sealed' AND sealed IS NOT NULL LIMIT 1", {}
    )
    return bytes(rows[0][0]) if rows else None


async def counts(conn: Conn) -> Mapping[bytes, int]:
    """Return how many private keys are sealed under each master key."""
    rows = await rows_of(
        conn,
        """SELECT substring(sealed FROM 2 FOR 8), count(*) FROM signing_keys
           WHERE vault = 'sealed' AND sealed IS NOT NULL GROUP BY 1 ORDER BY 2 DESC, 1""",
        {},
    )
    return {bytes(master): count for master, count in rows}


async def reseal_all(conn: Conn, vaults: Vaults, at_once: int = AT_ONCE) -> Resealed:
    """Seal all keys under the first master key of *vaults*, *at_once* in a transaction; *conn* is in none.

    Keys that others have locked are passed over and looked at again, until a pass through all finds nothing to move.
    """
    moved = 0
    while True:
        done, failed = await _pass(conn, vaults, at_once)
        moved += done
        if not done:
            return Resealed(moved, failed)


async def _pass(conn: Conn, vaults: Vaults, at_once: int) -> tuple[int, tuple[str, ...]]:
    """Look at every key once; return how many were moved and why others were not."""
    after, moved = _NONE, 0
    failed: list[str] = []
    while True:
        async with conn.transaction():
            rows = await rows_of(
                conn,
                """SELECT zones.origin, signing_keys.id::text, signing_keys.algorithm, flags, tag, public, sealed, role
                   FROM signing_keys JOIN zones ON zones.id = signing_keys.zone
                   WHERE vault = 'sealed' AND substring(sealed FROM 2 FOR 8) <> %(master)s
                     AND signing_keys.id > %(after)s::uuid
                   ORDER BY signing_keys.id LIMIT %(at_once)s FOR UPDATE OF signing_keys SKIP LOCKED""",
                {"master": vaults.masters[0], "after": after, "at_once": at_once},
            )
            if not rows:
                return moved, tuple(failed)
            after = rows[-1][1]
            new = []
            for origin, *row in rows:
                try:
                    key = vaults.reseal(names.from_order_key(origin), SealedKey(*row))
                except VaultError as error:
                    failed.append(str(error))
                else:
                    new += [key] if key is not None else []
            await conn.execute(
                """UPDATE signing_keys SET sealed = moved.sealed
                   FROM unnest(%(ids)s::uuid[], %(sealed)s::bytea[]) AS moved(id, sealed)
                   WHERE signing_keys.id = moved.id""",
                {"ids": [key.id for key in new], "sealed": octets([key.sealed for key in new])},
            )
            moved += len(new)
        await asyncio.sleep(0)
