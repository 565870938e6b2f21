"""Keep the answer table true to the database: have zones loaded when they are asked for, follow their editions.

A notification is a hint, the edition's number is the truth: numbers are compared at every connect and
periodically, of what is in memory and of no more. Law: the table changes only here and in `ddns.net.loader`, on the
reactor's thread, in one turn per edition.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable, Sequence
from contextlib import nullcontext
from typing import Any

from psycopg import AsyncConnection
from twisted.logger import Logger

from ddns.answer.links import Wanted
from ddns.answer.table import Table
from ddns.answer.window import Window
from ddns.dns.names import Name
from ddns.net.loader import FOLLOW_AT_ONCE, Loader, Waiter
from ddns.net.outbox import Together
from ddns.net.register import Register
from ddns.store import editions, pieces, zones
from ddns.store.line import Line
from ddns.store.pool import Pool
from ddns.zone.edition import Edition

log = Logger(namespace="ddns.zones")

MOST_WAITING = 8192  # questions that may wait for zones to be loaded, in all: about half a second's work
BRING_AT_ONCE = 128  # zones whose editions are read in one statement
TRIES = 3  # times that a part of a zone is read again because the zone was changed meanwhile
COMPARE_AT_ONCE = 5000  # zones whose numbers are compared in one statement


class Subscriber:
    """The table's keeper; *pool* reads as `ddns_server`, *warm* bounds how many zones are loaded unasked.

    Answers that are given while *together* is entered may leave at its end.
    """

    def __init__(self, table: Table, pool: Pool, warm: int, together: Together = nullcontext) -> None:
        self._table = table
        self._pool = pool
        self._warm = warm
        self.register = Register(table, pool)
        self._reading = Line(pool.dsn, pool.role)
        self._together = together
        self._loader = Loader(table, pool, self.spawn, self._late, together=together)
        self._waiting = 0  # besides those of the loader
        # What is wanted of zones that are there through a window, and by whom; the zones of which some is being read.
        self._pieces: dict[int, list[tuple[Wanted, Waiter]]] = {}
        self._fetching: set[int] = set()
        self._lagging: dict[int, int] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._following = False
        self._learning = False
        self._learned = asyncio.Event()
        self._lock = asyncio.Lock()

    # -- what others ask for

    def need(self, zone: int, waiter: Waiter, wanted: Wanted | None = None) -> bool:
        """Have *zone* loaded, then call *waiter* with whether it was. False: too many wait already.

        Of a zone that is there through a window, have what is *wanted* of it read.
        """
        if self._waiting + self._loader.waiting >= MOST_WAITING:
            return False
        if wanted is None:
            self._loader.want(zone, waiter)
            return True
        self._waiting += 1
        self._pieces.setdefault(zone, []).append((wanted, waiter))
        if zone not in self._fetching:
            self._fetching.add(zone)
            self.spawn(self._fetch(zone))
        return True

    def show(self, written: Iterable[Edition]) -> list[int]:
        """Put editions that this worker committed into the table; return the zones to catch up with first."""
        behind = []
        for one in written:
            self._loader.note(one.zone, one.number)
            if not (self._table.has(one.zone) and self._table.patch(one)):
                behind.append(one.zone)
        return behind

    async def catch_up(self, zone_ids: Iterable[int]) -> None:
        """Bring *zone_ids*, where they are loaded, to their newest edition."""
        async with self._lock, self._pool.connection() as conn:
            await self._bring(conn, list(zone_ids))

    # -- what the feed tells

    def heard(self, tokens: list[tuple[int, int | None]]) -> None:
        """Take in (zone, edition) pairs of a notification; None: the zone is no more."""
        for zone, edition in tokens:
            if edition is None:
                self._table.forget(zone)
                continue
            self._loader.note(zone, edition)
            if not self._table.has(zone) or self._table.edition(zone) not in (None, edition):
                self._lagging[zone] = max(edition, self._lagging.get(zone, 0))
        self._catch_up_soon()

    def _catch_up_soon(self) -> None:
        if self._lagging and not self._following:
            self._following = True
            self.spawn(self._follow())

    async def resync(self) -> None:
        """Compare with the database what is in memory and which zones there are: after a connect, and periodically."""
        async with self._lock, self._pool.connection() as conn:
            await self.register.update(conn)
            held = self._table.editions()
            for at in range(0, len(held), COMPARE_AT_ONCE):
                changed = await zones.changed(conn, held[at : at + COMPARE_AT_ONCE])
                for zone, edition in changed:
                    if edition is None:
                        self._table.forget(zone)
                await self._bring(conn, [zone for zone, edition in changed if edition is not None])
        if self.register.is_complete:
            self._learned.set()
        elif not self._learning:
            self._learning = True
            self.spawn(self._learn())

    def settle(self, name: Name, waiter: Waiter) -> bool:
        """Have the zones at or above *name* known, then call *waiter*: see `need`."""
        if self._waiting >= MOST_WAITING:
            return False
        self._waiting += 1
        self.spawn(self._settle(name, waiter))
        return True

    async def _settle(self, name: Name, waiter: Waiter) -> None:
        done = False
        try:
            await self.register.settle(name)
            done = True
        except Exception:  # noqa: BLE001 - an outage, as in `_load_some`
            log.failure("zones.settle failed")
        self._waiting -= 1
        waiter(done)

    async def warm_up(self) -> None:
        """Load zones that nobody asked for yet, as far as they are wanted and there is room; questions come first."""
        await self._learned.wait()
        await self._loader.read_ahead(self._table.some_ids(self._warm))

    async def close(self) -> None:
        """End what is under way."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._loader.close()
        self._reading.close()

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Have *work* done; it ends with the subscriber."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _learn(self) -> None:
        """Learn of all zones; where the database goes away, the next comparison goes on."""
        try:
            await self.register.rest()
            self._learned.set()
        except Exception:  # noqa: BLE001 - an outage
            log.failure("zones.learn failed")
        finally:
            self._learning = False

    # -- zones that are there through a window

    async def _fetch(self, zone: int) -> None:
        """Read what is wanted of a zone that is there through a window, for all who wait, and tell them."""
        try:
            while asked := self._pieces.pop(zone, None):
                done = False
                try:
                    done = await self._fetch_some(zone, [wanted for wanted, _ in asked])
                except Exception:  # noqa: BLE001 - an outage, as in `_load_some`
                    log.failure("zones.fetch failed zone={zone}", zone=zone)
                with self._together():
                    for _, waiter in asked:
                        self._waiting -= 1
                        waiter(done)
        finally:
            self._fetching.discard(zone)

    async def _fetch_some(self, zone: int, asked: Sequence[Wanted]) -> bool:
        nodes = list(dict.fromkeys(name for wanted in asked for name in wanted.names))
        links = list(dict.fromkeys(link for wanted in asked for link in wanted.links))
        if not nodes and not links:
            return True
        for _ in range(TRIES):
            window = self._table.image(zone)
            if not isinstance(window, Window):
                return True  # it has gone, or is here as a whole: ask again
            hashing = window.hashing
            found = await pieces.read(self._reading, zone, window.origin, hashing, nodes, links)
            if found.edition is None:
                self._table.forget(zone)
                return True
            # What was read before an edition that has been shown since must not come back.
            still = self._table.image(zone) is window and window.hashing == hashing
            if still and found.edition >= window.edition:
                for name, node in zip(nodes, found.nodes, strict=True):
                    window.take_node(name, node.packed, below=node.below)
                for link, packed in zip(links, found.links, strict=True):
                    window.take_link(link, packed)
                window.trim(self._table.shelf.room())
                self._table.shelf.resize(window)
                self._table.trim()
                return True
        return False

    # -- following

    def _late(self, zone: int, edition: int) -> None:
        """Catch up with *edition* of *zone*, which came to memory in an older one."""
        self._lagging[zone] = max(edition, self._lagging.get(zone, 0))
        self._catch_up_soon()

    async def _follow(self) -> None:
        try:
            while self._lagging:
                lagging = list(self._lagging)
                self._lagging.clear()
                async with self._lock, self._pool.connection() as conn:
                    for at in range(0, len(lagging), BRING_AT_ONCE):
                        await self._bring(conn, lagging[at : at + BRING_AT_ONCE])
        except Exception:  # noqa: BLE001 - an outage: the feed compares again when it is over
            log.failure("zones.follow failed")
        finally:
            self._following = False

    async def _bring(self, conn: AsyncConnection[Any], wanted: Sequence[int]) -> None:
        """Bring the zones *wanted* to their newest edition where they are in memory; learn of those not known yet."""
        unknown = [zone for zone in wanted if not self._table.has(zone)]
        if unknown:
            self._table.known_all(await zones.apexes(conn, unknown))
        held = [(zone, at) for zone in wanted if (at := self._table.edition(zone)) is not None]
        if not held:
            return
        news = await editions.since_all(conn, held, FOLLOW_AT_ONCE)
        silent = []
        for zone, at in held:
            steps = news.get(zone, [])
            if len(steps) == FOLLOW_AT_ONCE or not all(self._table.patch(step) for step in steps):
                self._table.evict(zone)
            elif not steps:
                silent.append((zone, at))
        for zone, edition in await zones.changed(conn, silent) if silent else ():
            if edition is None:
                self._table.forget(zone)
            elif self._table.edition(zone) == dict(silent)[zone]:
                self._table.evict(zone)  # its history was pruned, or an import replaced it
