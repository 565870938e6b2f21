"""One process of all looks at other people's servers: whoever holds the database's lock watches, another takes over.

What a step of a key roll waits for is looked at soon, then less and less often: after a quarter of the time that it has
taken already. Other zones are looked at now and then, for the alarms. Law: what is under way is bounded; a look that
fails is said and made again; a signer that must know hears of it, and decides by itself.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence

import msgspec
from psycopg import OperationalError
from twisted.logger import Logger

from ddns.dns import names
from ddns.ongoing import Ongoing
from ddns.store import delegations, notify, sightings
from ddns.store.ear import Ear
from ddns.store.lasting import Steady, lasting
from ddns.store.pool import Connection
from ddns.store.sightings import PARENT, SECONDARY, WITHDRAWN, Place, Sighting, Waiting
from ddns.watch.ask import is_away
from ddns.watch.limits import WatchLimits
from ddns.watch.lists import Lists, asks_parent
from ddns.watch.resolver import Resolver, configured
from ddns.watch.round import Round
from ddns.watch.telling import Telling

log = Logger(namespace="ddns.watch")

FOLLOW = 2.0  # seconds between two attempts to become the watcher
PAUSE = 0.2  # seconds between two rounds, at least
AT_ONCE = 200  # zones in one round
LONGEST_ROUND = 10.0  # seconds in which questions about homes are begun: a parent or a secondary may be waited for
SHARE = 4  # a place is looked at again after this part of the time that it has been waited for
PARENT_MOST = 600.0  # seconds: a parent's servers are other people's, and a person may be waiting
LONG = 86400.0  # seconds: who has waited so long must not take the turn of those who have begun to
LONG_MOST = 3600.0  # seconds until a server is asked again for which somebody has waited so long
PARENTS_EVERY = 4  # of so many walks over the zones at rest, one asks their parents too
REPORT = 300.0  # seconds between two lines of what was counted

# What else runs as long as this process is the one that watches.
Beside = Callable[[], Awaitable[None]]
# Called after each round with a connection, the time, and the zones whose secondaries were listed and asked in it.
Settle = Callable[[Connection, int, Collection[int]], Awaitable[None]]
_Look = tuple[int, str]  # a zone, and which of its servers


class _Looked(msgspec.Struct, frozen=True):
    """When a place was looked at, by the loop's clock, and since when it had been waited for then."""

    at: float
    since: int


class Watcher:
    """The watch of one worker: *clock* gives seconds since 1970, *settle* uses what was seen, *beside* runs along."""

    def __init__(
        self,
        dsn: str,
        limits: WatchLimits,
        clock: Callable[[], float],
        settle: Settle | None = None,
        beside: Beside | None = None,
    ) -> None:
        self._dsn = dsn
        self._limits = limits
        self._clock = clock
        self._settle = settle
        self._beside = beside
        self._ongoing = Ongoing()
        self.counted: Counter[str] = Counter()
        self._forget()

    def _forget(self) -> None:
        limits = self._limits
        self._resolver = Resolver(configured(limits.resolver), limits.timeout, limits.at_once)
        self._lists = Lists(self._resolver, limits)
        self._telling = Telling(self._resolver, limits, self._clock)
        self._looked: dict[_Look, _Looked] = {}
        self._troubles: dict[tuple[int, str], str] = {}  # by zone (0: any) and server: how it does not answer
        self._hints: set[int] = set()  # zones that the signer is to look at
        self._homes: set[int] = set()  # that have rows
        self._walks = 0
        self._walk_at: float | None = None  # the first walk comes late: what is waited for goes before
        self._walked: int | None = None  # the last zone of the walk that is under way
        self._report_at = 0.0
        self._said = ""

    def start(self) -> None:
        """Begin to watch, in a task of the running loop."""
        use = lasting(
            self._dsn,
            "ddns_server",
            self._watch,
            lambda reason: log.warn("watch.database_away reason={reason}", reason=reason),
            lambda _: log.failure("watch.failed"),
        )
        self._ongoing.start(use)

    async def close(self) -> None:
        """Look no more."""
        await self._ongoing.end()

    # -- the connection: notifications, and the lock while it lives

    async def _watch(self, conn: Connection, steady: Steady) -> None:
        """Wait until this process is the one that watches; then watch until the connection breaks."""
        steady()
        ear = Ear(conn)
        while not await sightings.take_watching(conn):
            await ear.wait(FOLLOW)
        log.info("watch.watching")
        await conn.execute(f"LISTEN {notify.WATCH}")
        self._forget()
        await sightings.forget_homes(conn, ())
        beside = None if self._beside is None else asyncio.ensure_future(self._beside())
        try:
            while True:
                wait = await self.look(conn)
                await asyncio.sleep(PAUSE)
                await ear.wait(wait)
        finally:
            if beside is not None:
                beside.cancel()
                await asyncio.gather(beside, return_exceptions=True)
            await self._telling.close()
            self._report()

    # -- a round

    async def look(self, conn: Connection) -> float:
        """Look at what is due, and return for how many seconds nothing is."""
        if self._walk_at is None:
            self._walk_at = self._time() + self._limits.rest
            self._report_at = self._time() + REPORT
        waiting = {(one.zone, one.kind): one for one in await sightings.waiting(conn)}
        when = {look: self._due_at(look, one) for look, one in waiting.items()}
        due = sorted((look for look, at in when.items() if at <= self._time()), key=when.__getitem__)[:AT_ONCE]
        resting = await self._resting(conn) if len(due) < AT_ONCE else ()
        # Where a DS is waited for, the parent is told of CDS records that all secondaries have.
        beside = [(zone, SECONDARY) for zone, kind in due if kind != WITHDRAWN]
        looks = list(dict.fromkeys((*due, *resting, *beside)))
        said = await self._round(conn, looks, waiting)
        now = int(self._clock())
        if said or self._telling.has_ended():
            await sightings.put(conn, [*said, *self._telling.ended()], now)
        await self._hint(conn, now)
        await self._leave_homes(conn, waiting)
        await self._use(conn, now, {one.zone for one in said if one.kind == SECONDARY})
        if self._time() >= self._report_at:
            self._report()
        times = [self._due_at(look, one) for look, one in waiting.items()]
        times += [self._time()] if self._walked is not None or self._hints or len(due) == AT_ONCE else []
        times += [self._walk_at, self._time() + self._limits.every]
        return max(0.0, min(times) - self._time())

    async def _use(self, conn: Connection, now: int, looked: Collection[int]) -> None:
        """Have others use what was seen; that they fail must not end the watch."""
        if self._settle is None:
            return
        try:
            await self._settle(conn, now, looked)
        except OperationalError:
            raise
        except Exception:  # noqa: BLE001 - an outage, whatever its name, or a bug: it is tried again
            log.failure("watch.settling_failed")

    async def _resting(self, conn: Connection) -> Sequence[_Look]:
        """Return the next of the zones for which nobody waits, where a walk over them is due or under way."""
        if self._walked is None:
            if self._walk_at is None or self._time() < self._walk_at:
                return ()
            self._walk_at = self._time() + self._limits.rest
            self._walked = 0
            self._walks += 1
        ids, self._walked = await sightings.resting(conn, self._walked, AT_ONCE)
        kinds = (SECONDARY, PARENT) if self._walks % PARENTS_EVERY == 1 else (SECONDARY,)
        return [(zone, kind) for zone in ids for kind in kinds]

    async def _round(
        self, conn: Connection, looks: Collection[_Look], waiting: Mapping[_Look, Waiting]
    ) -> list[Sighting]:
        """Ask all servers of *looks*, and return what they said."""
        if not looks:
            return []
        ids = {zone for zone, _ in looks}
        places = await sightings.places(conn, ids)
        before = await sightings.read(conn, ids)
        hosts = {host for place in places.values() for host in self._lists.hosts(place)}
        known = await sightings.addresses(conn, hosts)
        begun = self._time()
        asking = Round(self._lists, self._limits, self._clock, self.counted, begun + LONGEST_ROUND)
        jobs: dict[_Look, Awaitable[list[Sighting] | None]] = {}
        for zone, kind in looks:
            place = places.get(zone)
            if place is None:
                continue
            if kind == SECONDARY:
                jobs[zone, kind] = asking.secondaries(place, known)
            elif kind == WITHDRAWN:
                jobs[zone, kind] = asking.withdrawn(place, known)
            elif asks_parent(place):
                jobs[zone, kind] = asking.parents(place)
        asked = dict(zip(jobs, await asyncio.gather(*jobs.values()), strict=True))
        found = {look: rows for look, rows in asked.items() if rows is not None}
        for look in looks:
            if look in found or look not in asked:
                one = waiting.get(look)
                self._looked[look] = _Looked(begun, one.since if one else 0)
        for look, rows in found.items():
            self._judge(places[look[0]], rows, before.get(look[0], ()), waiting.get(look))
        for (zone, kind), rows in found.items():
            if kind == SECONDARY:
                told = [one for one in before.get(zone, ()) if one.kind == sightings.DSYNC]
                self._telling.consider(places[zone], [*told, *rows], int(self._clock()))
            if places[zone].home:
                self._homes.add(zone)
        return [row for rows in found.values() for row in rows]

    def _judge(
        self, place: Place, rows: Sequence[Sighting], before: Sequence[Sighting], waiting: Waiting | None
    ) -> None:
        """Note for whom the answers in *rows* are news, and say who has begun or ceased to answer as they should."""
        known = {(one.kind, one.server): one for one in before}
        news = False
        for row in rows:
            if row.server == sightings.LIST:
                continue
            last = known.get((row.kind, row.server))
            news = news or _is_news(row, last, waiting)
            self._say(place, row)
        if news and waiting is not None:
            self._hints |= waiting.zones
        if news and rows[0].kind == PARENT:
            self._hints.add(place.id)  # what the parent shows may contradict what the signer believes
        if waiting is not None and all(row.server == sightings.LIST for row in rows):
            self._hints |= waiting.zones  # nobody is to be asked: that is what there is to know

    def _say(self, place: Place, row: Sighting) -> None:
        """Log once that a server does not answer as it should, and once that it does again.

        One that is away is said once for all zones, a wrong answer for each of them.
        """
        away, wrong = (0, row.server), (place.id, row.server)
        current = (away if is_away(row.problem) else wrong) if row.problem else None
        over = [key for key in (away, wrong) if key != current and key in self._troubles]
        for key in over:
            del self._troubles[key]
        if current is not None and self._troubles.get(current) != row.problem:
            self._troubles[current] = row.problem
            log.warn(
                "watch.no_answer from={server} kind={kind} zone={zone} problem={problem}",
                server=row.server, kind=row.kind, zone=names.to_text(place.origin), problem=row.problem,
            )  # fmt: skip
        elif current is None and over:
            log.info(
                "watch.answers_again from={server} zone={zone}", server=row.server, zone=names.to_text(place.origin)
            )

    async def _hint(self, conn: Connection, now: int) -> None:
        """Have the signer look at what may go on."""
        if not self._hints:
            return
        await delegations.hint(conn, self._hints, now)  # alone: who holds these rows wants those that come next
        async with conn.transaction():
            left = await sightings.step_soon(conn, self._hints, now)
            if len(left) < len(self._hints):
                await notify.pending(conn)
        self._hints = set(left)

    async def _leave_homes(self, conn: Connection, waiting: Mapping[_Look, Waiting]) -> None:
        """Forget what was seen of homes for which nobody waits any more."""
        watched = {zone for zone, _ in waiting}
        if self._homes - watched:
            self._homes &= watched
            await sightings.forget_homes(conn, watched)
        for look in [look for look in self._looked if look not in waiting]:
            del self._looked[look]

    # -- when

    def _due_at(self, look: _Look, waiting: Waiting) -> float:
        """Return when a place is looked at again: at once where something new waits for it."""
        looked = self._looked.get(look)
        if looked is None or waiting.since > looked.since:
            return 0.0
        most = max(PARENT_MOST, self._limits.every) if waiting.kind == PARENT else self._limits.every
        age = max(0.0, self._clock() - waiting.since)
        if age > LONG:
            most = max(LONG_MOST, most)
        return looked.at + min(max(age / SHARE, self._limits.fast), most)

    def _time(self) -> float:
        return asyncio.get_running_loop().time()

    def _report(self) -> None:
        """Log what was counted since the watch began, where there is anything new."""
        self._report_at = self._time() + REPORT
        line = " ".join(f"{word}={count}" for word, count in sorted(self.counted.items()))
        if line != self._said:
            self._said = line
            log.info("watch.counted {counted}", counted=line)


def _is_news(row: Sighting, last: Sighting | None, waiting: Waiting | None) -> bool:
    """Tell whether an answer says something that was not known, or says it for the first time since it matters."""
    if row.answered is None:
        return False
    if last is None or last.answered is None or (waiting is not None and last.answered < waiting.since):
        return True
    return (row.serial, row.ds) != (last.serial, last.ds)
