"""The signer's own loop: it signs what was committed without it, renews what falls due, and delegates to homes.

The queue is a query: zones that are pending or due, locked without waiting (FOR UPDATE SKIP LOCKED), so that any
number of signers may run. A notification wakes the loop early; a timer makes up for the ones that are lost.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

import msgspec
import psycopg

from ddns.dns import names
from ddns.store.ear import Ear
from ddns.store.pool import connect
from ddns.zone.hand import Bounds
from zone_signer import handover, keybook, keyrows, leases, publishing, refresh, renewal, stepping, store
from zone_signer import portion as portions
from zone_signer.clockkeeper import ClockRefused
from zone_signer.handover import Turned
from zone_signer.housekeeping import CHILDREN_AT_ONCE, Housekeeping
from zone_signer.keypolicy import KeyPolicy
from zone_signer.keyring import KeyRing
from zone_signer.leases import Lease
from zone_signer.policies import name_of
from zone_signer.publishing import MOST_EDITIONS, Publication
from zone_signer.refresh import Walk
from zone_signer.signer import REFUSALS
from zone_signer.stepping import Later, Stepped
from zone_signer.store import Conn

log = logging.getLogger("zone_signer")

ROLE = "zone_signer"
AT_ONCE = 100  # zones in one transaction
HOMES_AT_ONCE = 20  # turns of homes between two transactions' worth of signing
RECORDS_AT_ONCE = 20_000  # RRsets, stored and published, in one transaction; a bigger zone has one of its own
BIG = 2000  # RRsets, stored and published; smaller zones are compared as a whole, which is as quick
TIMER = 30.0  # seconds between two looks without a notification
RETRY = 60.0  # seconds until a zone that could not be signed is tried again
LATER = 1.0  # seconds until a step is tried again that something else came before
HELD = 1.0  # seconds until the clock is read again that was not believed
RECONNECT = (0.1, 5.0)  # seconds: first and longest wait for a database that is away


class Sweep(msgspec.Struct, frozen=True):
    """What a sweep did: zones *published*, zones that *failed* with the reason, DS RRsets placed."""

    published: int = 0
    failed: tuple[tuple[str, str], ...] = ()
    delegated: int = 0


class _Turn(NamedTuple):
    """What one transaction did; *idle*: there was nothing to do."""

    idle: bool = False
    done: Sequence[Publication] = ()
    refused: Sequence[tuple[Lease, str]] = ()


class Worker:
    """Signs with the keys of *ring* what *dsn*'s database asks for; *clock* gives seconds since 1970.

    Of each zone at most *editions* are kept. *bounds* are the times by which homes leave and return.
    """

    def __init__(
        self,
        dsn: str,
        ring: KeyRing,
        clock: Callable[[], float] = time.time,
        editions: int = MOST_EDITIONS,
        bounds: Bounds | None = None,
    ) -> None:
        self._house = Housekeeping(ring, clock, editions)
        self._bounds = bounds or Bounds()
        self._dsn = dsn
        self._ring = ring
        self._clock = clock
        self._resting: dict[int, float] = {}  # zones that failed, and until when they are left alone
        self._still: dict[int, float] = {}  # zones whose keys must wait for something, likewise
        self._at_once = AT_ONCE
        self._turned: set[int] = set()  # zones that are not done after their turn: all others come first
        self._walks: dict[int, Walk] = {}  # how far those have come that are being renewed

    async def run(self) -> None:
        """Work until cancelled; an outage of the database is waited for."""
        wait = RECONNECT[0]
        while True:
            try:
                async with await connect(self._dsn, ROLE) as conn:
                    wait = RECONNECT[0]
                    await self._listen(conn)
            except (OSError, psycopg.Error) as error:
                log.warning("signer.database_away reason=%s", " ".join(str(error).split()))
                await asyncio.sleep(wait)
                wait = min(wait * 2, RECONNECT[1])

    async def _listen(self, conn: Conn) -> None:
        async with await connect(self._dsn, ROLE) as listening:
            await listening.execute("LISTEN ddns_pending")
            ear = Ear(listening)
            while True:
                try:
                    await self.sweep(conn)
                    pause = await self._pause(conn)
                except ClockRefused:
                    pause = HELD
                await ear.wait(pause)

    async def _pause(self, conn: Conn) -> float:
        """Return for how long nothing is to be done, as far as anybody knows: keys may be due sooner than the timer."""
        soonest = await leases.soonest(conn, list(self._resting))
        return TIMER if soonest is None else min(TIMER, max(LATER, soonest - self._clock()))

    async def sweep(self, conn: Conn) -> Sweep:
        """Sign whatever is pending or due, until nothing is; place missing DS records; forget old editions.

        Raises `ClockRefused` where the clock is not believed: then nothing more is done.
        """
        published = delegated = 0
        failed: dict[int, tuple[str, str]] = {}
        new: list[int] = []
        self._ring.policies.learn(await keybook.policies(conn))
        while True:
            idle, done, refused = await self._step_and_turn(conn)
            for zone, reason in refused:
                failed[zone.id] = names.to_text(zone.origin), reason
                self._resting[zone.id] = time.monotonic() + RETRY
                log.error("zone.not_signed zone=%s reason=%s", names.to_text(zone.origin), reason)
                await keyrows.write_problem(conn, zone.id, reason, int(self._clock()))
            published += sum(one.changed for one in done)
            new += [
                one.zone.id for one in done if one.changed and one.zone.edition == 0 and one.zone.parent is not None
            ]
            if len(new) >= CHILDREN_AT_ONCE or (new and idle):
                delegated += await self._house.secure(conn, new)
                new.clear()
            elif idle and not await self._house.wake(conn):
                placed = await self._house.look_after(conn)
                if placed is None:
                    return Sweep(published, tuple(failed.values()), delegated)
                delegated += placed

    async def _step_and_turn(self, conn: Conn) -> _Turn:
        """Do one transaction's worth of zones, and the turns of homes to their own servers that are due."""
        idle, signed, not_signed = await self._step(conn)
        now = int(self._clock())
        done, refused = list(signed), list(not_signed)
        homes = await leases.turning(conn, now, HOMES_AT_ONCE, [*self._resting, *self._still])
        for home in homes:
            work = handover.turn_home(conn, home.id, self._ring, self._bounds, now)
            await self._move(home, work, done, refused)
        return _Turn(idle and not homes, done, refused)

    async def _step(self, conn: Conn) -> _Turn:
        """Do one transaction's worth of zones; where the database refuses it, do them one by one."""
        now, tick = int(self._clock()), time.monotonic()
        self._resting = {zone: until for zone, until in self._resting.items() if until > tick}
        self._still = {zone: until for zone, until in self._still.items() if until > tick}
        zones: list[Lease] = []
        moving: list[Lease] = []  # those whose keys a step does something to, each in a transaction of its own
        done: list[Publication] = []
        refused: list[tuple[Lease, str]] = []
        later = False
        try:
            async with conn.transaction():
                resting = list(self._resting)
                zones = await self._lease(conn, now, resting)
                if not zones:
                    self._at_once = AT_ONCE
                    return _Turn(idle=True)
                unsigned = [zone for zone in zones if zone.is_unsigned(now)]
                if unsigned:
                    zones, size = await self._portion(conn, unsigned)
                    big = size >= BIG and len(zones) == 1
                    later = big and not zones[0].pending
                    if not later:
                        done, refused, moving = await self._sign(conn, zones, now, big=big)
                else:
                    looked = set(await stepping.look(conn, zones, self._ring, now))
                    moving = [zone for zone in zones if zone.id in looked]
            if later:
                # A big zone's lock is given back, and taken for one slice at a time.
                done = await self._renew(conn, zones[0], now)
                if not done:
                    return await self._step(conn)
        except REFUSALS as error:
            done, refused, moving = [], [(zones[0], str(error))], []
        except psycopg.errors.LockNotAvailable:
            return _Turn(idle=True)  # whoever holds it tells us when they are done, or the timer does
        except Exception as error:
            if isinstance(error, psycopg.OperationalError | OSError) or not zones:
                raise
            if len(zones) > 1:
                self._at_once = 1
                return await self._step(conn)
            done, refused, moving = [], [(zones[0], _reason(zones[0], error))], []
        # What cannot be signed may be what a step mends: all signatures anew, or none any more.
        unsigned_still = [zone for zone, _ in refused if zone.steps(now)]
        for zone in (*moving, *unsigned_still):
            await self._move(zone, stepping.step(conn, zone.id, self._ring, now), done, refused)
        mended = {one.zone.id for one in done} & {zone.id for zone in unsigned_still}
        refused = [(zone, reason) for zone, reason in refused if zone.id not in mended]
        for one in done:
            if one.behind:
                self._turned.add(one.zone.id)
            if one.changed:
                log.info(
                    "zone.signed zone=%s edition=%d serial=%d signed=%d gone=%d",
                    names.to_text(one.zone.origin), one.zone.edition + 1, one.to_serial, len(one.added), len(one.gone),
                )  # fmt: skip
        return _Turn(done=done, refused=refused)

    async def _move(
        self,
        zone: Lease,
        work: Awaitable[Stepped | Turned],
        done: list[Publication],
        refused: list[tuple[Lease, str]],
    ) -> None:
        """Do *work*, which is to be done to the keys or the delegation of one zone, a transaction of its own."""
        try:
            done += (await work).published
        except (*REFUSALS, Later) as error:
            if isinstance(error, Later):
                log.info("key.later zone=%s reason=%s", names.to_text(zone.origin), error)
                self._still[zone.id] = time.monotonic() + LATER
            else:
                refused.append((zone, str(error)))
        except psycopg.errors.LockNotAvailable:
            self._still[zone.id] = time.monotonic() + LATER
        except Exception as error:
            if isinstance(error, psycopg.OperationalError):
                raise
            refused.append((zone, _reason(zone, error)))

    async def _lease(self, conn: Conn, now: int, resting: Sequence[int]) -> list[Lease]:
        if self._turned:
            zones = await leases.lease(conn, now, self._at_once, [*resting, *self._turned], list(self._still))
            if zones:
                return zones
            self._turned.clear()
        zones = await leases.lease(conn, now, self._at_once, resting, list(self._still))
        return zones or await leases.lease_busy(conn, resting)

    async def _sign(
        self, conn: Conn, zones: Sequence[Lease], now: int, *, big: bool
    ) -> tuple[list[Publication], list[tuple[Lease, str]], list[Lease]]:
        """Sign *zones*; returns what was done, what was refused, and those that need a key first."""
        refused: list[tuple[Lease, str]] = []
        keyless: list[Lease] = []
        if not all(self._ring.policies.knows(zone.policy) for zone in zones):
            self._ring.policies.learn(await keybook.policies(conn))
        done = await self._partial(conn, zones[0], now, refused) if big else []
        if not done and not refused:
            done, refused, keyless = await self._whole(conn, zones, now)
        if done:
            await publishing.publish(conn, done, now)
        return done, refused, keyless

    async def _renew(self, conn: Conn, zone: Lease, now: int) -> list[Publication]:
        """Renew what is due in a big zone, as much as one turn may; nothing where all others come first now."""
        turn = await refresh.refresh(conn, zone, self._ring, now, self._walks.pop(zone.id, None))
        if turn is None:
            return []
        if turn.walk is not None:
            self._walks[zone.id] = turn.walk
            self._turned.add(zone.id)
        return list(turn.done)

    @staticmethod
    async def _portion(conn: Conn, zones: Sequence[Lease]) -> tuple[list[Lease], int]:
        """Return the first of *zones* that together are not too many records, and how many those are."""
        sizes = await leases.sizes(conn, [zone.id for zone in zones], RECORDS_AT_ONCE)
        some: list[Lease] = []
        size = 0
        for zone in zones:
            own = sizes.get(zone.id, 0)
            if some and size + own > RECORDS_AT_ONCE:
                break
            some.append(zone)
            size += own
        return some, size

    async def _partial(self, conn: Conn, zone: Lease, now: int, refused: list[tuple[Lease, str]]) -> list[Publication]:
        """Sign only what the journal says has changed, a portion of it; what is due besides comes next."""
        done: Publication | None = None
        try:
            portion = await portions.following(conn, zone)
            if portion is None:
                return []
            if zone.edition == 0:
                done = await renewal.first(conn, zone, portion, self._ring, self._policy_of(zone), now)
            elif zone.resign_at is not None:
                done = await renewal.partial(conn, zone, portion, zone.resign_at, self._ring, now)
        except REFUSALS as error:
            refused.append((zone, str(error)))
            return []
        return [] if done is None else [done]

    def _policy_of(self, zone: Lease) -> KeyPolicy:
        return self._ring.policies.named(name_of(zone.policy, is_home=zone.parent is not None))

    async def _whole(
        self, conn: Conn, zones: Sequence[Lease], now: int
    ) -> tuple[list[Publication], list[tuple[Lease, str]], list[Lease]]:
        ids = [zone.id for zone in zones]
        records = await store.stored(conn, ids)
        published = await store.published(conn, ids)
        kept = await store.keys_kept(conn, ids, now)
        # Only a step makes keys for a zone that the world knows.
        keyless = [zone for zone in zones if zone.edition and zone.id not in kept]

        def sign(zone: Lease) -> Publication:
            policy, found = self._policy_of(zone), kept.get(zone.id)
            stored = records.get(zone.id, {})
            if found is None:
                return renewal.first_whole(zone, stored, self._ring, policy, now)
            keys = renewal.keys_of(zone, found, self._ring)
            return renewal.whole(zone, stored, published[zone.id], keys, policy.signatures, now)

        def work() -> tuple[list[Publication], list[tuple[Lease, str]]]:
            done: list[Publication] = []
            refused: list[tuple[Lease, str]] = []
            for zone in zones:
                if zone in keyless:
                    continue
                try:
                    done.append(sign(zone))
                except REFUSALS as error:
                    refused.append((zone, str(error)))
                except Exception as error:  # noqa: BLE001 - it is the problem of this zone, and told
                    refused.append((zone, _reason(zone, error)))
            return done, refused

        # In a thread, so that servers are answered while a big zone is signed.
        return *await asyncio.to_thread(work), keyless


def _reason(zone: Lease, error: Exception) -> str:
    """Return in words why *zone* was not done; what nobody has thought of goes into the log as well."""
    if isinstance(error, psycopg.Error):
        return f"the database refuses: {error}"
    log.error("signer.bug zone=%s", names.to_text(zone.origin), exc_info=error)
    return f"{type(error).__name__}, see the log"
