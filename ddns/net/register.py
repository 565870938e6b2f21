"""Which zones there are: read in canonical order while questions are answered already, then kept up by what changed.

Law: of a name behind the place that has been read so far nothing is said before it has been looked up by itself
(`is_settled`): a zone that is not known yet must not be answered for by the one above it.
"""

from __future__ import annotations

import asyncio
from typing import Any

from psycopg import AsyncConnection

from ddns.answer.table import Table
from ddns.dns import names
from ddns.dns.names import Name
from ddns.store import zones
from ddns.store.pool import Pool

PAGE = 2000  # zones learned in one turn
AHEAD = 5  # pages that are read before the worker is ready: most registries are known then
STALE = zones.REMOVALS_KEPT / 2  # seconds without a comparison after which all zones are read again
SETTLED = 4096  # names that are looked up by themselves while the zones are read; then they are again


class Register:
    """The zones that *table* knows of."""

    def __init__(self, table: Table, pool: Pool) -> None:
        self._table = table
        self._pool = pool
        self._mark: int | None = None
        self._compared = 0.0
        # The apex up to which all zones are known, b"" before the first; None: all of them are.
        self._read: Name | None = b""
        self._settled: set[Name] = set()
        table.is_complete = False

    @property
    def is_complete(self) -> bool:
        """Tell whether all zones are known."""
        return self._read is None

    def is_settled(self, name: Name) -> bool:
        """Tell whether all zones at or above *name* are known."""
        if self._read is None or name in self._settled:
            return True
        return bool(self._read) and names.order_key(name) <= names.order_key(self._read)

    async def settle(self, name: Name) -> None:
        """Learn of the zones at or above *name*. Outages raise."""
        async with self._pool.connection() as conn:
            self._table.known_all(await zones.at_or_above(conn, name))
        if len(self._settled) >= SETTLED:
            self._settled.clear()
        self._settled.add(name)

    async def update(self, conn: AsyncConnection[Any]) -> None:
        """Learn of the zones that came and went since the last time; the first time, of the first ones (see `rest`)."""
        now = asyncio.get_running_loop().time()
        if self._mark is None:
            self._mark = await zones.moment(conn)
            self._compared = now
            await self._read_some(conn, AHEAD)
            return
        if now - self._compared > STALE and self.is_complete:
            mark = await zones.moment(conn)
            await self._read_all(conn)
            self._mark = mark
            self._compared = now
            return
        mark = await zones.moment(conn)
        place = (0, 0)
        while True:
            came, place = await zones.came(conn, self._mark, place, PAGE)
            self._table.known_all(came)
            if len(came) < PAGE:
                break
        for zone in await zones.went(conn, self._mark):
            self._table.forget(zone)
        self._mark = mark  # all until then is known; where this breaks off, the next time begins where it did
        self._compared = now

    async def rest(self) -> None:
        """Learn of all zones that `update` did not get to, page by page."""
        while not self.is_complete:
            async with self._pool.connection() as conn:
                await self._read_some(conn, AHEAD)

    async def _read_all(self, conn: AsyncConnection[Any]) -> None:
        """Read all zones anew, because the database may have forgotten some that it removed."""
        before = self._table.zone_ids()
        last: Name | None = None
        while True:
            page = await zones.listed(conn, last, PAGE)
            self._table.known_all(page)
            before.difference_update(zone for _, zone in page)
            if len(page) < PAGE:
                break
            last = page[-1][0]
        for zone in before:
            self._table.forget(zone)

    async def _read_some(self, conn: AsyncConnection[Any], pages: int) -> None:
        for _ in range(pages):
            if self._read is None:
                return
            page = await zones.listed(conn, self._read or None, PAGE)
            self._table.known_all(page)
            if len(page) < PAGE:
                self._read = None
                self._table.is_complete = True
                self._settled.clear()
            else:
                self._read = page[-1][0]
