"""Keep the answer table true to the database: load zones when asked for, follow their editions.

A notification is a hint, the edition's number is the truth: numbers are compared at every connect and
periodically, of what is in memory and of no more. Law: the table changes only here, on the reactor's thread, in one
turn per edition.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import Any

from psycopg import AsyncConnection
from twisted.logger import Logger

from ddns.answer.image import ZoneImage
from ddns.answer.links import Wanted
from ddns.answer.table import Table
from ddns.answer.window import Window
from ddns.dns.names import Name
from ddns.net.register import Register
from ddns.store import editions, pieces, published, zones
from ddns.store.pool import Pool
from ddns.zone.edition import Edition

log = Logger(namespace="ddns.zones")

LOAD_AT_ONCE = 128  # zones read in one statement
PAGE = 500  # RRsets of a larger zone that are read, and put in their place, in one turn
MOST_WAITING = 2048  # questions that may wait for zones to be loaded, in all
FOLLOW_AT_ONCE = 64  # editions of a zone read at once before the whole zone is read again instead
WHOLE = 512  # octets in memory that an RRset is taken for when it is decided whether a zone is held whole
TRIES = 3  # times that a part of a zone is read again because the zone was changed meanwhile
COMPARE_AT_ONCE = 5000  # zones whose numbers are compared in one statement

Waiter = Callable[[bool], None]


class Subscriber:
    """The table's keeper; *pool* reads as `ddns_server`, *warm* bounds how many zones are loaded unasked."""

    def __init__(self, table: Table, pool: Pool, warm: int) -> None:
        self._table = table
        self._pool = pool
        self._warm = warm
        self.register = Register(table, pool)
        self._waiters: dict[int, list[Waiter]] = {}
        self._waiting = 0
        self._wanted: dict[int, None] = {}
        # Zones that are being read, and which edition of them has been heard of meanwhile.
        self._reading: dict[int, int] = {}
        # What is wanted of zones that are there through a window, and by whom; the zones of which some is being read.
        self._pieces: dict[int, list[tuple[Wanted, Waiter]]] = {}
        self._fetching: set[int] = set()
        self._lagging: dict[int, int] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._loading = False
        self._following = False
        self._learning = False
        self._lock = asyncio.Lock()

    # -- what others ask for

    def need(self, zone: int, waiter: Waiter, wanted: Wanted | None = None) -> bool:
        """Have *zone* loaded, then call *waiter* with whether it was. False: too many wait already.

        Of a zone that is there through a window, have what is *wanted* of it read.
        """
        if self._waiting >= MOST_WAITING:
            return False
        self._waiting += 1
        if wanted is not None:
            self._pieces.setdefault(zone, []).append((wanted, waiter))
            if zone not in self._fetching:
                self._fetching.add(zone)
                self.spawn(self._fetch(zone))
            return True
        self._waiters.setdefault(zone, []).append(waiter)
        if zone not in self._reading:
            self._wanted[zone] = None
        if not self._loading:
            self._loading = True
            self.spawn(self._load())
        return True

    def show(self, written: Iterable[Edition]) -> list[int]:
        """Put editions that this worker committed into the table; return the zones to catch up with first."""
        behind = []
        for one in written:
            self._note(one.zone, one.number)
            if not (self._table.has(one.zone) and self._patch(one)):
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
            self._note(zone, edition)
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
        if not self.register.is_complete and not self._learning:
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
        """Load zones that nobody asked for yet, in slices, until the bound is reached or there is no more room."""
        shelf = self._table.shelf
        wanted = [zone for zone in self._table.some_ids(self._warm) if self._table.edition(zone) is None]
        for at in range(0, len(wanted), LOAD_AT_ONCE):
            if shelf.octets > shelf.most * 3 // 4:
                return  # what is loaded beyond it would push out what somebody asked for
            await self._load_some(wanted[at : at + LOAD_AT_ONCE])

    async def close(self) -> None:
        """End what is under way."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Have *work* done; it ends with the subscriber."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _learn(self) -> None:
        """Learn of all zones; where the database goes away, the next comparison goes on."""
        try:
            await self.register.rest()
        except Exception:  # noqa: BLE001 - an outage
            log.failure("zones.learn failed")
        finally:
            self._learning = False

    # -- loading

    async def _load(self) -> None:
        try:
            while self._wanted:
                ids = list(self._wanted)[:LOAD_AT_ONCE]
                for zone in ids:
                    del self._wanted[zone]
                await self._load_some(ids)
        finally:
            self._loading = False

    async def _load_some(self, ids: Sequence[int]) -> None:
        """Load *ids* and tell those who wait; what one of them brings to memory another may not push out before."""
        ids = [zone for zone in ids if zone not in self._reading]
        self._reading.update(dict.fromkeys(ids, 0))
        rest = dict.fromkeys(ids)
        try:
            async with self._pool.connection() as conn:
                found = await published.read_packed(conn, ids)
                large = []
                for zone in ids:
                    row = found.get(zone)
                    if row is None:
                        self._table.forget(zone)
                    elif row.octets is None:
                        large.append((zone, row.origin))
                        continue
                    elif row.edition < self._reading[zone]:
                        self._wanted[zone] = None  # it was read just before somebody published the next edition
                        continue
                    else:
                        self._table.install(ZoneImage(zone, row.origin, row.edition, row.octets))
                    self._done(zone, rest, found=row is not None)
            for zone, origin in large:
                await self._load_large(zone, origin)
                self._done(zone, rest, found=True)
        except Exception:  # noqa: BLE001 - an outage: who waits gets SERVFAIL, the next question tries again
            log.failure("zones.load failed zones={n}", n=len(rest))
            for zone in list(rest):
                self._done(zone, rest, found=False)
        finally:
            for zone in ids:
                self._reading.pop(zone, None)
            if self._wanted and not self._loading:
                self._loading = True
                self.spawn(self._load())

    def _done(self, zone: int, rest: dict[int, None], *, found: bool) -> None:
        del rest[zone]
        self._reading.pop(zone, None)
        for waiter in self._waiters.pop(zone, ()):
            self._waiting -= 1
            waiter(found)

    async def _load_large(self, zone: int, origin: Name) -> None:
        """Load a zone page by page, each in a turn of its own, with what is published meanwhile.

        One that would take more than its part of the memory is looked at through a window.
        """
        async with self._pool.snapshot() as conn:
            row = (await zones.get(conn, [zone])).get(zone)
            if row is None:
                self._table.forget(zone)
                return
            most = self._table.shelf.room() // WHOLE
            if await published.count(conn, zone, most) > most:
                apex = (await published.read_names(conn, [(zone, origin)])).get((zone, origin), ())
                self._install(Window(zone, origin, row.edition, apex, complete=row.denial != "none"))
                return
            image = ZoneImage(zone, origin, row.edition, ())
            page = await published.read_page(conn, zone, None, PAGE)
            while page:
                image.load(page)
                page = await published.read_page(conn, zone, page[-1].name, PAGE)
        while self._reading.get(zone, 0) > image.edition:
            async with self._pool.connection() as conn:
                steps = await editions.since(conn, zone, image.edition, FOLLOW_AT_ONCE)
            if not steps or steps[0].number != image.edition + 1:
                raise LookupError(f"the editions of zone {zone} behind {image.edition} are not there any more")
            for step in steps:
                image.patch(step)
        self._install(image)

    def _install(self, image: ZoneImage) -> None:
        self._table.install(image)
        if image.edition < self._reading.get(image.zone_id, 0):
            self._lagging[image.zone_id] = self._reading[image.zone_id]
            self._catch_up_soon()

    async def _fetch(self, zone: int) -> None:
        """Read what is wanted of a zone that is there through a window, for all who wait, and tell them."""
        try:
            while asked := self._pieces.pop(zone, None):
                done = False
                try:
                    done = await self._fetch_some(zone, [wanted for wanted, _ in asked])
                except Exception:  # noqa: BLE001 - an outage, as in `_load_some`
                    log.failure("zones.fetch failed zone={zone}", zone=zone)
                for _, waiter in asked:
                    self._waiting -= 1
                    waiter(done)
        finally:
            self._fetching.discard(zone)

    async def _fetch_some(self, zone: int, asked: Sequence[Wanted]) -> bool:
        nodes = list(dict.fromkeys(name for wanted in asked for name in wanted.names))
        links = list(dict.fromkeys(link for wanted in asked for link in wanted.links))
        async with self._pool.connection() as conn:
            for _ in range(TRIES):
                window = self._table.image(zone)
                if not isinstance(window, Window):
                    return True  # it has gone, or is here as a whole: ask again
                hashing = window.hashing
                moments: list[int | None] = []
                found: list[tuple[bytes | None, bool]] = []
                chained: list[tuple[bytes | None, bool]] = []
                if nodes:
                    edition, found = await pieces.read_nodes(conn, zone, nodes)
                    moments.append(edition)
                if links:
                    edition, chained = await pieces.read_links(conn, zone, window.origin, hashing, links)
                    moments.append(edition)
                if None in moments:
                    self._table.forget(zone)
                    return True
                # What was read before an edition that has been shown since must not come back.
                still = self._table.image(zone) is window and window.hashing == hashing
                if still and all(moment is not None and moment >= window.edition for moment in moments):
                    for name, (packed, below) in zip(nodes, found, strict=True):
                        window.take_node(name, packed, below=below)
                    for link, (packed, _) in zip(links, chained, strict=True):
                        window.take_link(link, packed)
                    window.trim(self._table.shelf.room())
                    self._table.shelf.resize(window)
                    self._table.trim()
                    return True
        return False

    # -- following

    def _note(self, zone: int, edition: int) -> None:
        if zone in self._reading:
            self._reading[zone] = max(edition, self._reading[zone])

    def _patch(self, edition: Edition) -> bool:
        """Show *edition*; True also where the zone is not loaded, or has it already."""
        at = self._table.edition(edition.zone)
        if at is None or at >= edition.number:
            return True
        return self._table.patch(edition)

    async def _follow(self) -> None:
        try:
            while self._lagging:
                lagging = list(self._lagging)
                self._lagging.clear()
                async with self._lock, self._pool.connection() as conn:
                    for at in range(0, len(lagging), LOAD_AT_ONCE):
                        await self._bring(conn, lagging[at : at + LOAD_AT_ONCE])
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
            if len(steps) == FOLLOW_AT_ONCE or not all(self._patch(step) for step in steps):
                self._table.evict(zone)
            elif not steps:
                silent.append((zone, at))
        for zone, edition in await zones.changed(conn, silent) if silent else ():
            if edition is None:
                self._table.forget(zone)
            elif self._table.edition(zone) == dict(silent)[zone]:
                self._table.evict(zone)  # its history was pruned, or an import replaced it
