"""Whether a home's name looks like another's: asked of every tenant's homes at once, and answered by yes or no."""

from __future__ import annotations

from typing import Any

from psycopg import AsyncConnection

from ddns.dns import names
from ddns.dns.names import Name


async def alike(conn: AsyncConnection[Any], registry: int, name: Name, skeleton: str, *, plain: bool) -> bool:
    """Tell whether a home in the *registry*'s zone has a name that people may take for *name*.

    *skeleton* stands for the label and all that look like it. Of two names in *plain* ASCII neither counts.
    """
    cursor = await conn.execute(
        "SELECT label_alike(%(zone)s, %(name)s, %(skeleton)s, %(plain)s)",
        {"zone": registry, "name": names.order_key(name), "skeleton": skeleton, "plain": plain},
        prepare=True,
    )
    row = await cursor.fetchone()
    return row is not None and bool(row[0])
