"""Read zones into the table: those that questions wait for, and some ahead of the questions.

Law: what is asked for while a statement is under way is the next one, so that a start under load costs a statement
for many zones and not one for each; what is left of its room is filled with zones ahead. Only where a whole one waits
is it asked beside those under way. Who asked last comes first, and who has waited for too long is given up: a resolver
has asked again by then, or has gone.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterable, Iterator
from contextlib import nullcontext
from itertools import islice
from typing import Any

from twisted.logger import Logger

from ddns.answer.image import ZoneImage
from ddns.answer.table import Table
from ddns.answer.window import Window
from ddns.dns.names import Name
from ddns.net.outbox import Together
from ddns.store import editions, published, zones
from ddns.store.line import Line
from ddns.store.lines import Lines
from ddns.store.pool import Pool

log = Logger(namespace="ddns.zones")

LOAD_AT_ONCE = 64  # zones read in one statement: of homes, what a socket's buffer holds, so that one turn reads it all
LINES = 3  # statements under way at most
PATIENCE = 1.5  # seconds for which a question waits for its zone; resolvers ask again after less
PAGE = 500  # RRsets of a larger zone that are read, and put in their place, in one turn
GIVEN_UP = 512  # zones for which the patience is found to be over in one turn
FOLLOW_AT_ONCE = 64  # editions of a zone read at once before the whole zone is read again instead
WHOLE = 512  # octets in memory that an RRset is taken for when it is decided whether a zone is held whole

# Hears whether the database could be asked; None: it was not, and who asked has waited for too long.
Waiter = Callable[[bool | None], None]
Spawn = Callable[[Coroutine[Any, Any, None]], None]


class Loader:
    """The zones on their way into *table*; *late* is called with zone and edition where one is behind when it comes.

    *clock* gives seconds that only grow. Answers that are given while *together* is entered may leave at its end.
    """

    def __init__(
        self,
        table: Table,
        pool: Pool,
        spawn: Spawn,
        late: Callable[[int, int], None],
        clock: Callable[[], float] = time.monotonic,
        together: Together = nullcontext,
    ) -> None:
        self._together = together
        self._table = table
        self._pool = pool
        self._lines = Lines([Line(pool.dsn, pool.role) for _ in range(LINES)])
        self._spawn = spawn
        self._late = late
        self._clock = clock
        self.waiting = 0  # how many wait
        self._waiters: dict[int, list[Waiter]] = {}
        self._wanted: dict[int, float] = {}  # zones to be read, and when they were last asked for, in that order
        self._ahead: Iterator[int] = iter(())
        self._warm: asyncio.Future[None] | None = None
        # Zones that are being read, and which edition of them has been heard of meanwhile.
        self._reading: dict[int, int] = {}
        self._under_way = 0  # statements
        self._larger: dict[int, Name] = {}
        self._loading_larger = False

    def want(self, zone: int, waiter: Waiter) -> None:
        """Have *zone* read, then call *waiter*."""
        self.waiting += 1
        waiters = self._waiters.get(zone)
        if waiters is None:
            self._waiters[zone] = [waiter]
        else:
            waiters.append(waiter)
        if zone not in self._reading:
            self._wanted.pop(zone, None)
            self._wanted[zone] = self._clock()
        self._run()

    async def read_ahead(self, zone_ids: Iterable[int]) -> None:
        """Read *zone_ids* where there is room for them, after those that somebody waits for."""
        self._ahead = iter(zone_ids)
        self._warm = asyncio.get_running_loop().create_future()
        self._run()
        await self._warm

    def note(self, zone: int, edition: int) -> None:
        """Hear that *edition* of *zone* has been published."""
        if zone in self._reading:
            self._reading[zone] = max(edition, self._reading[zone])

    def close(self) -> None:
        """End the connections."""
        self._lines.close()

    def _run(self) -> None:
        if self._is_next_due(self._under_way + 1):
            self._under_way += 1
            self._spawn(self._load())

    def _is_next_due(self, under_way: int) -> bool:
        """Tell whether a statement should be asked, which would be one of so many under way."""
        return under_way == 1 or (under_way <= LINES and len(self._wanted) >= LOAD_AT_ONCE)

    async def _load(self) -> None:
        try:
            while self._is_next_due(self._under_way) and (ids := self._next()):
                await self._load_some(ids)
        finally:
            self._under_way -= 1
            if not self._under_way:
                self._ahead = iter(())
                if self._warm is not None and not self._warm.done():
                    self._warm.set_result(None)

    def _next(self) -> list[int]:
        """Return the zones that are read next: those that are waited for, then some ahead, while there is room."""
        wanted = self._wanted
        too_old = self._clock() - PATIENCE
        for zone, asked in list(islice(wanted.items(), GIVEN_UP)):
            if asked > too_old:
                break
            del wanted[zone]
            self._tell(zone, None)
        ids = list(islice(reversed(wanted), LOAD_AT_ONCE))
        for zone in ids:
            del wanted[zone]
        table = self._table
        shelf = table.shelf
        if len(ids) < LOAD_AT_ONCE and shelf.octets < shelf.most * 3 // 4:  # else others would have to go for them
            for zone in self._ahead:
                if table.edition(zone) is None and zone not in self._reading and zone not in self._waiters:
                    ids.append(zone)
                    if len(ids) == LOAD_AT_ONCE:
                        break
        return ids

    async def _load_some(self, ids: list[int]) -> None:
        """Load *ids* and tell those who wait; what one of them brings to memory another may not push out before."""
        self._reading.update(dict.fromkeys(ids, 0))
        rest = dict.fromkeys(ids)
        try:
            found = await published.read_packed(self._lines.free(), ids)
            with self._together():
                for zone in ids:
                    self._place(zone, found.get(zone))
                    del rest[zone]
        except Exception:  # noqa: BLE001 - an outage: who waits gets SERVFAIL, the next question tries again
            log.failure("zones.load failed zones={n}", n=len(rest))
            self._ahead = iter(())
            for zone in rest:
                self._done(zone, found=False)
        if self._larger and not self._loading_larger:
            self._loading_larger = True
            self._spawn(self._load_larger())

    def _place(self, zone: int, row: published.Packed | None) -> None:
        """Put what was read of *zone* in its place, and tell those who wait; a larger one is read page by page."""
        table, origin = self._table, self._table.origin(zone)
        if row is None or origin is None:
            table.forget(zone)
        elif row.octets is None:
            self._larger[zone] = origin
            return
        elif row.edition < self._reading[zone]:
            self._again(zone)  # it was read just before somebody published the next edition
            return
        else:
            table.install(ZoneImage(zone, origin, row.edition, row.octets))
        self._done(zone, found=True)

    def _again(self, zone: int) -> None:
        del self._reading[zone]
        if zone in self._waiters:
            self._wanted[zone] = self._clock()

    def _done(self, zone: int, *, found: bool) -> None:
        self._reading.pop(zone, None)
        self._tell(zone, found)

    def _tell(self, zone: int, found: bool | None) -> None:
        for waiter in self._waiters.pop(zone, ()):
            self.waiting -= 1
            waiter(found)

    # -- zones that are read page by page

    async def _load_larger(self) -> None:
        try:
            while self._larger:
                zone, origin = self._larger.popitem()
                try:
                    await self._load_one(zone, origin)
                except Exception:  # noqa: BLE001 - as above
                    log.failure("zones.load failed zone={zone}", zone=zone)
                    self._done(zone, found=False)
                finally:
                    self._reading.pop(zone, None)
        finally:
            self._loading_larger = False

    async def _load_one(self, zone: int, origin: Name) -> None:
        """Look at a zone through a window at once; load it then, where its part of the memory holds it.

        Page by page, each in a turn of its own, and with what is published meanwhile.
        """
        async with self._pool.snapshot() as conn:
            row = (await zones.get(conn, [zone])).get(zone)
            if row is None or row.held:
                self._table.forget(zone)
                self._done(zone, found=True)
                return
            apex = (await published.read_names(conn, [(zone, origin)])).get((zone, origin), ())
            complete = row.denial != "none" and not row.presigned
            self._install(Window(zone, origin, row.edition, apex, complete=complete))
            heard = self._reading[zone]
            self._done(zone, found=True)
            most = self._table.shelf.room() // WHOLE
            if await published.count(conn, zone, most) > most:
                return
            self._reading[zone] = heard
            image = ZoneImage(zone, origin, row.edition, ())
            page = await published.read_page(conn, zone, None, PAGE)
            while page:
                image.load(page)
                page = await published.read_page(conn, zone, page[-1].name, PAGE)
        while (newest := max(self._reading[zone], self._table.edition(zone) or 0)) > image.edition:
            async with self._pool.connection() as conn:
                steps = await editions.since(conn, zone, image.edition, FOLLOW_AT_ONCE)
            if not steps or steps[0].number != image.edition + 1:
                raise LookupError(f"the editions of zone {zone} behind {image.edition} are not there up to {newest}")
            for step in steps:
                image.patch(step)
        self._install(image)
        self._done(zone, found=True)

    def _install(self, image: ZoneImage) -> None:
        if self._table.origin(image.zone_id) != image.origin:
            return  # it was removed while it was read
        self._table.install(image)
        heard = self._reading.get(image.zone_id, 0)
        if image.edition < heard:
            self._late(image.zone_id, heard)
