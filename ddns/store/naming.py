"""Whether a home's name looks like another's: asked of every tenant's homes at once, and answered by yes or no."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from psycopg import AsyncConnection

from ddns.dns import names
from ddns.dns.names import Name
from ddns.store.packing import bigints, octets, texts


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


async def alike_among(conn: AsyncConnection[Any], registry: int, wanted: Sequence[tuple[Name, str, bool]]) -> set[Name]:
    """Return which of *wanted*, as (name, skeleton, plain), people may take for homes in the *registry*'s zone."""
    cursor = await conn.execute(
        """
        SELECT place FROM unnest(%(names)s, %(skeletons)s, %(plain)s)
                          WITH ORDINALITY AS new (name, skeleton, plain, place)
        WHERE label_alike(%(zone)s, name, skeleton, plain = 1)
        """,
        {
            "zone": registry,
            "names": octets([names.order_key(name) for name, _, _ in wanted]),
            "skeletons": texts(skeleton for _, skeleton, _ in wanted),
            "plain": bigints([int(plain) for _, _, plain in wanted]),
        },
        prepare=True,
        binary=True,
    )
    return {wanted[place - 1][0] for (place,) in await cursor.fetchall()}
