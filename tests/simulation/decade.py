"""Years in the life of a registry under a clock of their own: everything is real but the time and the parent's people.

Postgres, signers, vaults, the store that the watcher writes to, the tables that answer: the product's. Time goes from
one moment in which something happens to the next. At each, `holding` judges all that any cache may hold; where zones
were published, and now and then besides, `validators` are asked.
"""

from __future__ import annotations

import bisect
import random
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import departures
from above import Above
from denying import Denied, Denier
from elsewhere import Own
from examining import Examiner
from holding import Held
from house import REGISTRY, TOP, House
from serving import ADDRESS, Answers, Copy
from signing import NOW
from witnessing import looked, sighting

from ddns.delegate.limits import DelegationLimits
from ddns.delegate.visits import Visits
from ddns.dns.codes import Type
from ddns.dns.names import Name, from_text
from ddns.postgres import LocalPostgres
from ddns.store import delegations, editions, published, sightings, zones
from ddns.store import signing as signing_rows
from ddns.store.delegations import Delegation
from ddns.watch import reading
from ddns.zone.edition import Edition
from ddns.zone.hand import Bounds, State, Wish
from zone_signer import keys as public
from zone_signer.keyset import DELETE_CDS
from zone_signer.worker import Worker

DAY = 86400
HALF = 0.5  # at which part of those moments the home on its way is looked at, and not any zone
STRIDE = 3 * DAY  # the longest time in which nobody looks
STEPS = frozenset({Type.DNSKEY, Type.DS, Type.CDS})  # where one of them changes, or is signed anew, keys may have moved
BOUNDS = Bounds(look=6 * 3600)
SMITH = f"smith.{REGISTRY}"  # the home that has servers of its own, at times
ABOVE = 1_000_000_000  # what the parent's zone is called in tables


class Event(NamedTuple):
    """Something that happens *at* a time, in seconds since 1970: called with the decade, told as *what*."""

    at: int
    what: str
    do: Callable[[Decade], Awaitable[None]]


class Decade(House):
    """The registry in a *database* of *postgres*'s, its servers and its parent; *seed* decides whatever is by chance.

    `events` is the script, by time; `told` what has happened, `wrong` what was found to be wrong.
    """

    def __init__(self, postgres: LocalPostgres, database: str, folder: Path, seed: int) -> None:
        super().__init__(postgres, database)
        self.seed = seed
        self.chance = random.Random(seed)
        self.folder = folder
        self.above = Above(TOP, REGISTRY, ABOVE, NOW)
        dsn = postgres.dsn("zone_signer", database)
        self.denier = Denier(dsn, lambda: self.ring, lambda: self.now, lambda: self.signers and not self.skew)
        self.denied = Denied(self.denier.signs)
        self.copies = [
            Copy("ns1", lambda *_: 0, primary=True, denier=self.denier),
            Copy("ns2", lambda _, at: 60 + at % 600, denier=self.denier),
            Copy("ns3", lambda _, at: 1800 + at % 7200, denier=self.denier),
        ]
        self.own = Own(SMITH, ADDRESS, random.Random(seed + 1))
        self.delegation = DelegationLimits(
            private=True, scan_every=2 * DAY, look=6 * 3600, resolver=f"{ADDRESS}:9", port=self.own.port,
            witness=self.copies[0].where.split()[1],
        )  # fmt: skip
        self.visits = Visits(postgres.dsn("ddns_server", database), self.delegation, lambda: self.now)
        self.restoring = False  # the database may be one of yesterday
        self.turning: Delegation | None = None  # the home with servers of its own, where it is not simply hosted
        self.examiner = Examiner(
            folder, self.above.anchor, self.copies, self.own, self.held, self.chance, self.denier.signs
        )
        self.parent_answers = True
        self.adopts: int | None = 3600  # seconds until the parent follows CDS; None: its people must be told
        self.events: list[Event] = []
        self.wrong: list[str] = []
        self.lenient = False  # what is wrong is only counted, for tests of who finds it
        self.told: list[str] = []
        self.ticks = self.publications = 0
        self.asking = 0.05  # at which part of the moments a validator is asked that are no steps
        self._stepped = False
        self._adopting: tuple[int, tuple[bytes, ...]] | None = None
        self._broken: set[Name] = set()  # zones of a restored database that some server shows as they were before

    @property
    def verdicts(self) -> list[tuple[tuple[str, str], int]]:
        """Return how often each validator said what, by judge and verdict."""
        return sorted(self.examiner.verdicts.items())

    @property
    def listening(self) -> list[Answers]:
        """Return all who answer."""
        return [*self.copies, *self.own.copies, *self.own.doors]

    # What people do

    async def save(self) -> None:
        """Keep the database as it is."""
        await self.copy(self.database, f"{self.database}_saved")

    async def restore(self) -> None:
        """Have the database as it was saved; our own server shows at once what is in it. Keys rest in it."""
        await self.copy(f"{self.database}_saved", self.database)
        for held in self.held.values():
            if held.id == ABOVE:
                continue
            row = (await zones.get(self.admin, [held.id]))[held.id]
            if row.held:
                continue
            whole = await published.read_zone(self.admin, held.id)
            self._hear(held, Edition(held.id, row.edition, row.serial, row.serial, (), ()), whole)
            self._broken.add(held.origin)

    async def raise_serials(self) -> None:
        """Have people raise each serial above what servers show, as the page on restoring says, and sign all anew."""
        plain = "plain." + REGISTRY  # nobody signs it, and nothing has changed there
        for held in self.held.values():
            if held.id != ABOVE and held.text != plain and not (held is self.own.held and self.own.withdrawn):
                newest = max(copy.serial(held.origin) for copy in self.copies)
                await self.update(held, "raised 60 TXT it", serial=newest + 1)
                await self.order(held, "resign")

    async def found(self, *homes: str) -> Held:
        """Have the parent delegate the registry's zone, which delegates these labels; return it."""
        top = Held(self.above.origin, None, ABOVE)
        self.held[top.origin] = top
        self._hear(top, self.above.publish(()))
        return await self.zone(
            REGISTRY, *(line for home in homes for line in (f"{home} 3600 NS ns.{home}", f"ns.{home} 300 A 127.0.0.1"))
        )

    def named_registry(self) -> Held:
        """Return the registry's zone."""
        return self.named(REGISTRY)

    def at(self, after: int, what: str, do: Callable[[Decade], Awaitable[None]]) -> None:
        """Have *do* happen so many seconds from now."""
        bisect.insort(self.events, Event(self.now + after, what, do), key=lambda event: event.at)

    async def close(self) -> None:
        await super().close()
        self.denier.close()

    def tell(self, what: str) -> None:
        """Keep what happened for whoever reads of a failure."""
        if what:
            self.told.append(f"{(self.now - self.start) / DAY:8.2f}  {what}")

    # How time passes

    async def run(self, until: int) -> None:
        """Let time pass until then."""
        while self.now < until:
            await self.tick()
            self.now = min(max(self.now + 1, await self._next()), until)
        await self.tick()

    async def tick(self) -> None:
        """Have everything happen that happens now."""
        self.ticks += 1
        self._serve()
        self._judge()
        while self.events and self.events[0].at <= self.now:
            event = self.events.pop(0)
            self.tell(event.what)
            await event.do(self)
        await self._follow()
        await self._witness()
        await self._visit()
        published = 0
        if self.signers:
            published = await self._sweep()
            if published:
                await self._witness()
                published += await self._sweep()
        published += await self._hear_all()
        if published:
            self._serve()
            self._judge()
        if self._stepped or self.chance.random() < self.asking:
            self._validate()
        self._stepped = False
        await departures.hear(self)

    async def _next(self) -> int:
        """Return when something happens next. Keys that wait for a server are woken by the witness."""
        times = [self.now + STRIDE, *(event.at for event in self.events[:1])]
        times += [at for copy in self.copies if (at := copy.next()) is not None]
        if self._adopting is not None:
            times.append(self._adopting[0])
        if self.own.held is not None:
            times.append(self.own.next())
        one, signs = self.turning, self.signers and not self.skew
        if one is not None:
            rests = (one.state, one.wish, one.waits) == (State.AWAY, Wish.AWAY, "")
            times += [at for at in (one.ask, one.step if signs and not rests else None) if at is not None]
        if signs:
            (found,) = await self.rows(
                """SELECT extract(epoch FROM min(at))::bigint FROM (
                       SELECT resign_at AS at FROM signing UNION ALL
                       SELECT step_at FROM signing WHERE zone <> %s AND NOT EXISTS
                           (SELECT FROM key_motions WHERE key_motions.zone = signing.zone AND seen_at IS NULL)
                       UNION ALL SELECT to_timestamp(0) FROM signing JOIN zones ON zones.id = zone
                           WHERE pending AND denial <> 'none'
                   ) AS due""",
                0 if one is None else one.zone,  # while it is not hosted its keys rest, whatever is due
            )
            times += [at for at in found if at is not None]
        return min(times)

    async def _sweep(self) -> int:
        """Have a signer that was just started do all there is to do; return how many editions it published."""
        if await self.keeper.look(self.signer):
            self.refused += 1
            return 0
        dsn = self.postgres.dsn("zone_signer", self.database)
        worker = Worker(dsn, self.ring, self.keeper, bounds=BOUNDS)
        done = await worker.sweep(self.signer)
        for zone, reason in done.failed:
            self._fail([f"{zone} could not be signed: {reason}"])
        return await self._hear_all()

    # What servers show

    async def _hear_all(self) -> int:
        """Have all servers hear of what was published since."""
        self._broken = {one for one in self._broken if not all(copy.is_at(self.held[one]) for copy in self.copies)}
        count = await self._hear_of_home()
        known = {held.id: held for held in self.held.values() if held.id != ABOVE}
        if self.own.held is not None and self.own.withdrawn:
            del known[self.own.held.id]
        found = await editions.since_all(self.admin, [(held.id, held.edition) for held in known.values()], 1000)
        for ident, some in found.items():
            for edition in some:
                count += 1
                held = known[ident]
                whole = None
                if held.origin in self._broken:
                    whole = await published.read_zone(self.admin, ident)
                self._hear(held, edition, whole)
        self.publications += count
        return count

    async def _hear_of_home(self) -> int:
        """Have all servers hear whether they are to serve the home that may have servers of its own."""
        held = self.own.held
        if held is None or not held.edition:
            return 0
        row = (await zones.get(self.admin, [held.id]))[held.id]
        if row.held == self.own.withdrawn:
            return 0
        self.own.withdrawn = row.held
        if row.held:
            for copy in self.copies:
                copy.withdraw(held.origin, self.now)
            self._serve()
        else:
            whole = await published.read_zone(self.admin, held.id)
            self._hear(held, Edition(held.id, row.edition, row.serial, row.serial, (), ()), whole)
        self._stepped = True
        return 1

    def _hear(self, held: Held, edition: Edition, whole: Sequence | None = None) -> None:
        held.edition, held.serial = edition.number, edition.to_serial
        self._stepped |= any(one.type in STEPS for one in (*edition.removed, *edition.added))
        for copy in self.copies:
            copy.publish(held.origin, edition, self.now, whole)
        self._serve()

    def _serve(self) -> None:
        """Have every server show what has arrived."""
        for copy in self.copies:
            for taken in copy.take(self.now):
                held = self.held[taken.origin]
                if taken.edition is None:
                    held.drop(copy.name, self.now)
                    continue
                before = list(held.shown.get(copy.name, {}).values()) if taken.whole else taken.edition.removed
                new = copy.name not in held.shown
                places = held.take(copy.name, before, taken.edition.added, self.now)
                for child in self.held.values():
                    if child.parent is held and (new or (child.origin, int(Type.DS)) in places):
                        child.delegated(copy.name, held.shown[copy.name], self.now)
        if self.own.held is not None:
            self.own.live(self.now)
            self.own.shows(self.now)

    async def _visit(self) -> None:
        """Have the home's own servers be asked, where that is due, as the watcher does."""
        if self.turning is not None and self.turning.ask is not None and self.turning.ask <= self.now:
            await self.visits.begin(self.server)
            await self.visits.settled()

    async def _follow(self) -> None:
        """Have the parent's people read CDS, and do what they say in their own time."""
        registry = self.held.get(from_text(REGISTRY))
        if registry is None or not registry.shown.get("ns1"):
            return
        cds = registry.shown["ns1"].get((registry.origin, int(Type.CDS)))
        if cds is not None and self.adopts is not None:
            wanted = () if cds.rdatas == (DELETE_CDS,) else cds.rdatas
            if wanted != self.above.ds and (self._adopting is None or self._adopting[1] != wanted):
                self._adopting = self.now + self.adopts, wanted
        if self._adopting is not None and self._adopting[0] <= self.now:
            wanted, self._adopting = self._adopting[1], None
            self.tell(f"the parent takes {len(wanted)} DS")
            self._hear(self.held[self.above.origin], self.above.publish(wanted))

    async def tell_parent(self) -> None:
        """Have a person give the parent the DS records that the registry wants, as `ddns zone ds` prints them."""
        registry = self.named(REGISTRY)
        keys = await signing_rows.named_by_the_parent(self.admin, registry.id)
        wanted = tuple(sorted(public.ds(registry.origin, key) for key in keys))
        if wanted != self.above.ds:
            self._adopting = self.now, wanted
            await self._follow()

    async def _witness(self) -> None:
        """Write down what the servers show to whoever asks them, as the watcher does."""
        waiting = await self.rows("SELECT DISTINCT zone, place FROM key_motions WHERE seen_at IS NULL")
        orders = await self.rows("SELECT DISTINCT zone FROM signing_orders")
        registry = self.named(REGISTRY)
        places = (
            {place or zone for zone, place in waiting} | {zone for zone, _ in waiting} | {zone for (zone,) in orders}
        )
        rows: list[sightings.Sighting] = []
        kinds: set[tuple[int, str]] = set()  # that were looked at
        if places:
            places.add(registry.id)
        for held in self.held.values():
            if held.id not in places:
                continue
            rows += looked(held, sightings.SECONDARY, self.copies[1:], self.now)
            kinds.add((held.id, sightings.SECONDARY))
        if places:
            for copy in self.copies[1:]:
                answer = copy.ask(registry.origin, "DS") if self.parent_answers else None
                said = None if answer is None else reading.ds(answer, registry.origin)
                rows.append(sighting(registry.id, sightings.PARENT, copy, self.now, said))
        turning = () if self.turning is None else await sightings.waiting(self.server)
        told: set[int] = set()
        for one in turning:
            if self.turning is not None and self.turning.zone in one.zones and (one.zone, one.kind) not in kinds:
                told |= one.zones
                place = next(held for held in self.held.values() if held.id == one.zone)
                rows += looked(place, one.kind, self.copies[1:], self.now)
        await sightings.put(self.server, rows, self.now)
        if told:
            await delegations.hint(self.server, told, self.now)
        if waiting:
            await sightings.step_soon(self.server, {zone for zone, _ in waiting}, self.now)

    # What is judged

    def _judge(self) -> None:
        self.denied.ask(self.held.values(), self.copies, self.now)
        away = [copy.name for copy in self.copies if copy.away]
        for held in self.held.values():
            self._fail(held.judge(self.now, away))

    def _fail(self, problems: Sequence[str]) -> None:
        self.wrong += problems
        if problems and not self.lenient:
            day = (self.now - self.start) / DAY
            told = "\n".join(self.told[-12:])
            said = "\n".join(problems[:8])
            raise AssertionError(f"seed {self.seed}, day {day:.3f} ({self.now}):\n{said}\nafter:\n{told}")

    def _validate(self) -> None:
        known = [one for one in self.held.values() if one.id != ABOVE and one.edition]
        held = self.chance.choice(known)
        if self.own.held is not None and self.turning is not None and self.chance.random() < HALF:
            held = self.own.held
        wrong = self.examiner.examine(held, self.chance.choice(tuple(self.examiner.judges)), self.now)
        self._fail([wrong] if wrong else [])
