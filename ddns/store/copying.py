"""Rows that are brought in by COPY: some thousands at a time, and never all of them in memory."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import Any, LiteralString

from psycopg import AsyncConnection

from ddns.store.packing import COPY_HEAD, COPY_TAIL

AT_ONCE = 2_000  # rows that are written at once


async def copy_in(conn: AsyncConnection[Any], statement: LiteralString, rows: Iterable[bytes]) -> int:
    """Write *rows*, as `packing.copy_row` makes them, by the binary COPY *statement*; return how many they were."""
    count = 0
    source = iter(rows)
    async with conn.cursor() as cursor, cursor.copy(statement) as copy:
        await copy.write(COPY_HEAD)
        while some := list(islice(source, AT_ONCE)):
            count += len(some)
            await copy.write(b"".join(some))
        await copy.write(COPY_TAIL)
    return count
