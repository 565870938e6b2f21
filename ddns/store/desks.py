"""What a desk asks about tenants before it has entered one, and what keeps several desks out of each other's way.

These functions of the database answer every desk; nothing is answered to anybody from `tenant_of`.
"""

from __future__ import annotations

from ddns.store.pool import Connection

CHORES = 0x6E706368  # the class of our advisory locks: whoever does a chore; its number is the second half


async def works(conn: Connection) -> bool:
    """Tell whether the database answers."""
    cursor = await conn.execute("SELECT 1")
    return await cursor.fetchone() is not None


async def tenant_at(conn: Connection, server_name: str) -> int | None:
    """Return the tenant whose server name this is; None: nobody's of its own."""
    return await _one(conn, "SELECT tenant_at(%s)", server_name)


async def tenant_of(conn: Connection, name: bytes) -> int | None:
    """Return the tenant of the zone *name* (its order key); None: there is none."""
    return await _one(conn, "SELECT tenant_of(%s)", name)


async def tenant_called(conn: Connection, name: str) -> int | None:
    """Return the active tenant of this *name*, as far as the transaction's own tenant may know of it."""
    return await _one(conn, "SELECT id FROM tenants WHERE name = %s AND state = 'active'", name)


async def every_tenant(conn: Connection) -> list[int]:
    """Return all tenants."""
    cursor = await conn.execute("SELECT every_tenant()")
    return [row[0] for row in await cursor.fetchall()]


async def alone_with(conn: Connection, chore: int) -> bool:
    """Take the lock of the *chore* until the end of the transaction; False: another desk has it."""
    cursor = await conn.execute("SELECT pg_try_advisory_xact_lock(%s, %s)", [CHORES, chore])
    row = await cursor.fetchone()
    return row is not None and bool(row[0])


async def _one(conn: Connection, question: str, value: object) -> int | None:
    cursor = await conn.execute(question, [value])
    row = await cursor.fetchone()
    return None if row is None else row[0]
