"""Keep the answer table true to the database: load zones when asked for, follow their editions.

A notification is a hint, the edition's number is the truth: numbers are compared at every connect and
periodically. Law: the table changes only here, on the reactor's thread, in one turn per edition.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

from psycopg import AsyncConnection
from twisted.logger import Logger

from ddns.answer.image import ZoneImage
from ddns.answer.table import Table
from ddns.store import editions, published, zones
from ddns.store.pool import Pool
from ddns.zone.edition import Edition

log = Logger(namespace="ddns.zones")

LOAD_AT_ONCE = 256  # zones read in one statement
MOST_WAITING = 2048  # questions that may wait for zones to be loaded, in all
FOLLOW_AT_ONCE = 64  # editions read at once before the whole zone is read again instead

Waiter = Callable[[bool], None]


class Subscriber:
    """The table's keeper; *pool* reads as `ddns_server`, *warm* bounds how many zones are loaded unasked."""

    def __init__(self, table: Table, pool: Pool, warm: int) -> None:
        self._table = table
        self._pool = pool
        self._warm = warm
        self._waiters: dict[int, list[Waiter]] = {}
        self._waiting = 0
        self._wanted: dict[int, None] = {}
        self._lagging: dict[int, int] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._loading = False
        self._following = False
        self._lock = asyncio.Lock()

    # -- what others ask for

    def need(self, zone: int, waiter: Waiter) -> bool:
        """Have *zone* loaded, then call *waiter* with whether it was. False: too many wait already."""
        if self._waiting >= MOST_WAITING:
            return False
        self._waiting += 1
        self._waiters.setdefault(zone, []).append(waiter)
        self._wanted[zone] = None
        if not self._loading:
            self._loading = True
            self._spawn(self._load())
        return True

    def show(self, written: Iterable[Edition]) -> list[int]:
        """Put editions that this worker committed into the table; return the zones to catch up with first."""
        return [one.zone for one in written if not (self._table.has(one.zone) and self._patch(one))]

    async def catch_up(self, zone_ids: Iterable[int]) -> None:
        """Bring *zone_ids*, where they are loaded, to their newest edition."""
        async with self._lock, self._pool.connection() as conn:
            for zone in zone_ids:
                await self._follow_one(conn, zone)

    # -- what the feed tells

    def heard(self, tokens: list[tuple[int, int | None]]) -> None:
        """Take in (zone, edition) pairs of a notification; None: the zone is no more."""
        for zone, edition in tokens:
            if edition is None:
                self._table.forget(zone)
            elif not self._table.has(zone) or self._table.edition(zone) not in (None, edition):
                self._lagging[zone] = max(edition, self._lagging.get(zone, 0))
        if self._lagging and not self._following:
            self._following = True
            self._spawn(self._follow())

    async def resync(self) -> None:
        """Compare every zone's number with the database's: after a connect, and periodically."""
        async with self._lock, self._pool.connection() as conn:
            rows = await zones.numbers(conn)
            seen = set()
            for zone, origin, edition in rows:
                seen.add(zone)
                if not self._table.has(zone):
                    self._table.known(origin, zone)
                elif self._table.edition(zone) not in (None, edition):
                    await self._follow_one(conn, zone)
            for zone in self._table.zone_ids() - seen:
                self._table.forget(zone)

    async def warm_up(self) -> None:
        """Load zones that nobody asked for yet, in slices, until the bound is reached."""
        for zone in sorted(self._table.zone_ids())[: self._warm]:
            if self._table.edition(zone) is None:
                self._wanted[zone] = None
        if self._wanted and not self._loading:
            self._loading = True
            await self._load()

    async def close(self) -> None:
        """End what is under way."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # -- the work

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _patch(self, edition: Edition) -> bool:
        """Show *edition*; True also where the zone is not loaded, or has it already."""
        at = self._table.edition(edition.zone)
        if at is None or at >= edition.number:
            return True
        return self._table.patch(edition)

    async def _load(self) -> None:
        try:
            while self._wanted:
                ids = list(self._wanted)[:LOAD_AT_ONCE]
                for zone in ids:
                    del self._wanted[zone]
                done: set[int] = set()
                try:
                    done = await self._load_some(ids)
                except Exception:  # noqa: BLE001 - an outage: who waits gets SERVFAIL, the next question tries again
                    log.failure("zones.load failed zones={n}", n=len(ids))
                for zone in ids:
                    for waiter in self._waiters.pop(zone, ()):
                        self._waiting -= 1
                        waiter(zone in done)
        finally:
            self._loading = False

    async def _load_some(self, ids: list[int]) -> set[int]:
        async with self._lock, self._pool.snapshot() as conn:
            found = await zones.get(conn, ids)
            records = await published.read_zones(conn, [zone for zone in ids if zone in found])
        for zone in ids:
            row = found.get(zone)
            if row is None:
                self._table.forget(zone)
                continue
            self._table.install(ZoneImage(zone, row.origin, row.edition, records.get(zone, [])))
        return set(found)

    async def _follow(self) -> None:
        try:
            while self._lagging:
                lagging = list(self._lagging)
                self._lagging.clear()
                async with self._lock, self._pool.connection() as conn:
                    for zone in lagging:
                        await self._follow_one(conn, zone)
        except Exception:  # noqa: BLE001 - an outage: the feed compares again when it is over
            log.failure("zones.follow failed")
        finally:
            self._following = False

    async def _follow_one(self, conn: AsyncConnection[Any], zone: int) -> None:
        if not self._table.has(zone):
            row = (await zones.get(conn, [zone])).get(zone)
            if row is not None:
                self._table.known(row.origin, zone)
            return
        at = self._table.edition(zone)
        if at is None:
            return
        news = await editions.since(conn, zone, at, FOLLOW_AT_ONCE)
        for edition in news:
            if not self._patch(edition):
                self._table.evict(zone)
                break
        if len(news) == FOLLOW_AT_ONCE:
            self._table.evict(zone)
        elif not news:
            row = (await zones.get(conn, [zone])).get(zone)
            if row is None:
                self._table.forget(zone)
            elif row.edition != at and self._table.edition(zone) == at:
                self._table.evict(zone)  # its history was pruned, or an import replaced it
