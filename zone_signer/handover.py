"""One turn of a home to servers of its own, or back: one transaction, in which all of it happens or nothing.

Law: where the home is, its delegation and DS in its registry's zone, its DNSKEY and NS RRsets, whether anybody here
serves it, and both editions are one commit, under the locks of both zones and of its row, taken in the order of their
ids. Whoever comes next, this signer or another, reads the rows and goes on. What follows what is decided by
`ddns.zone.turn` alone; here is only done what it says.

Keys and turns never move together: a home sets out when its keys rest, and they rest until it is hosted again.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import msgspec
from msgspec.structs import replace

from ddns.dns import names
from ddns.dns.codes import Type
from ddns.dns.records import RRset
from ddns.store import delegations
from ddns.store.delegations import Delegation
from ddns.zone.changes import RRsetChange
from ddns.zone.hand import Bounds, Hand, Ours, Serves, Shown, Sights, State, Wish, published
from ddns.zone.turn import Turn, numbered, turn
from zone_signer import conveyance, handrows, keybook, keyrows, leases, publishing, seen, store
from zone_signer.handrows import Ttls, Written
from zone_signer.keybook import Book
from zone_signer.keyring import KeyRing
from zone_signer.keyrows import Event
from zone_signer.leases import Lease
from zone_signer.phase import MOVING
from zone_signer.policy import negative_ttl
from zone_signer.publishing import Publication
from zone_signer.seen import Seen
from zone_signer.stepping import LATE_EDITIONS, Later
from zone_signer.store import Conn

log = logging.getLogger("zone_signer")

UNKNOWN_TTL = 172_800  # seconds that anything of theirs may be in caches, where nobody ever saw the whole of their zone
REST = 3600  # seconds between two looks at a home that is away and stays so; news are told
DELEGATION_TTL = 3600  # seconds, where there is no delegation whose TTL could stay
_LEADS = frozenset(State) - {
    State.HOSTED, State.LEAVING_SERVERS, State.LEAVING_DRAIN, State.AWAY, State.DARK, State.BACK,
}  # fmt: skip  # where it matters how long caches hold what their servers had


class Turned(msgspec.Struct, frozen=True):
    """What a turn's transaction did: the editions that it *published*, and whether it brought the home elsewhere."""

    published: tuple[Publication, ...] = ()
    moved: bool = False


async def turn_home(conn: Conn, zone: int, ring: KeyRing, bounds: Bounds, now: int) -> Turned:
    """Do what is to be done to the delegation of the home *zone* now, in one transaction.

    Raises `stepping.Later`, what `signer.REFUSALS` lists, and `psycopg.errors.LockNotAvailable`.
    """
    async with conn.transaction():
        await conn.execute(f"SET LOCAL lock_timeout = {leases.BUSY_WAIT}")
        held = await leases.lock_with_registry(conn, zone)
        lease = held.get(zone)
        registry = None if lease is None or lease.parent is None else held.get(lease.parent)
        row = await delegations.lock(conn, zone)
        if lease is None or row is None or row.step is None or row.step > now:
            return Turned()
        if registry is None or lease.edition == 0 or registry.edition == 0:
            raise Later(f"{names.to_text(lease.origin)} is not published yet")
        ring.policies.learn(await keybook.policies(conn))
        book = (await keybook.read(conn, [lease], ring.policies, now)).get(zone)
        if book is None or book.registry is None:
            raise Later(f"nothing is known of the keys of {names.to_text(lease.origin)}")
        done = await _Course(conn, row, book, registry, ring, bounds, now).run()
    ring.forget(zone)
    if done.moved:
        log.info("home.turned zone=%s from=%s", names.to_text(lease.origin), row.state)
    return done


class _Course:
    """One turn of one home in one transaction."""

    def __init__(
        self, conn: Conn, row: Delegation, book: Book, registry: Lease, ring: KeyRing, bounds: Bounds, now: int
    ) -> None:
        self._conn = conn
        self._row = row
        self._book = book
        self._home = book.zone
        self._registry = registry
        self._ring = ring
        self._bounds = bounds
        self._now = now

    async def run(self) -> Turned:
        """Take the turn that is due, if any, and write it down."""
        row, now = self._row, self._now
        hand = self._begun()
        ours, ttls = await self._ours(hand)
        following = self._turn(hand, ours, await self._sights(hand))
        after = following.hand
        moved = after.state is not hand.state or (after.state is not State.HOSTED and after.serial is None)
        done: list[Publication] = []
        serials = self._registry.serial, self._home.serial
        if moved or hand.state is not State.HOSTED:
            done, serials = await self._publish(following.shown, hand.state, after.state)
        after = numbered(after, *serials) if moved else after
        written = Written(
            after, handrows.is_seen(after), following.shown.foreign, ttls, following.waits, following.until,
            following.tell, self._step(following),
        )  # fmt: skip
        await handrows.write(self._conn, row, written, now)
        if after.state is not row.state:
            why = row.waits or "asked"
            event = Event(None, "delegation", str(row.state), str(after.state), why, following.tell)
            await keyrows.write_problem(self._conn, self._home.id, "", now)
            if after.state is State.HOSTED:
                await handrows.come_home(self._conn, self._home.id, now)
            await keyrows.append_events(self._conn, self._home.id, [event], now)
        return Turned(tuple(one for one in done if one.changed), after.state is not row.state)

    # -- what is known

    def _begun(self) -> Hand:
        """Return where the home is, with the delegation and the copy taken in that have come since."""
        row = self._row
        hand = row.hand
        if row.wanted is not None and hand.state is State.HOSTED:
            hand = Hand(their=row.wanted)
        elif row.wanted is not None and hand.state is State.AWAY:
            asked = self._now if row.theirs is None else min(self._now, row.theirs.asked)
            hand = replace(hand, their=row.wanted, since=asked, serial=None, home_serial=None, seen_at=None)
        if row.taken is not None and hand.state is State.AWAY:
            ttl = max(hand.their_ttl, row.taken.ttl)
            hand = replace(hand, copy=row.taken.copy, their_ttl=ttl)
        if hand.led and row.taken is None and hand.state in _LEADS:
            hand = replace(hand, their_ttl=max(hand.their_ttl, UNKNOWN_TTL))
        return hand

    async def _ours(self, hand: Hand) -> tuple[Ours, Ttls]:
        """Return what the registry has for the home, with the greatest TTLs since it set out."""
        conn, book, home, registry = self._conn, self._book, self._home, self._registry
        above = book.registry
        assert above is not None
        apex = {
            one.type: one
            for one in (await store.stored_at(conn, registry.id, [registry.origin])).get(registry.origin, ())
        }
        keyset = book.keyset(home.keyset, book.keys)
        signs = {*keyset.apex, *keyset.zone}
        signed = home.denial != "none" and above.signed and bool(keyset.ds)
        delegation, ds = above.there.get(Type.NS), above.there.get(Type.DS)
        ns = max(DELEGATION_TTL if delegation is None else delegation.ttl, 0)
        # Where there is no DS caches hold that instead (RFC 2308 section 5).
        absent = 0 if above.ttl is not None else negative_ttl(apex[Type.SOA])
        ttls = Ttls(
            keys=book.facts.dnskey_ttl,
            ns=await handrows.ns_ttl(conn, home.id, home.origin, LATE_EDITIONS),
            greatest=max(book.facts.max_ttl, await store.greatest_ttl(conn, home.id, LATE_EDITIONS)),
            delegation=ns,
            ds=max(ns if ds is None else ds.ttl, above.ttl or 0, absent),
        )
        if hand.state is not State.HOSTED:
            ttls = ttls.with_those(await handrows.ttls(conn, home.id))
        ours = Ours(
            origin=home.origin,
            servers=apex[Type.NS].rdatas,
            glue=(),
            keys=tuple(sorted(key.rdata for key in book.keys if key.id in signs)) if signed else (),
            ds=keyset.ds if signed else (),
            keys_ttl=ttls.keys,
            ns_ttl=ttls.ns,
            max_ttl=ttls.greatest,
            delegation_ttl=ttls.delegation,
            ds_ttl=ttls.ds,
            loaded=not home.pending,
        )
        return ours, ttls

    async def _sights(self, hand: Hand) -> Sights:
        """Return what was seen of our own servers since the home is where it is."""
        facts = self._book.facts
        if hand.serial is None or hand.home_serial is None:
            return Sights(None, None)
        registry = _at_serial(facts.parents, hand.serial, facts.parent_serial, hand.since)
        if not self._home.held:
            home = _at_serial(facts.secondaries, hand.home_serial, facts.serial, hand.since)
        elif self._book.policy.watch == "none":
            home = Seen(hand.since)
        else:
            home = _withdrawn(await handrows.withdrawn(self._conn, self._home.id), hand.since)
        return Sights(registry.at, home.at, tuple(dict.fromkeys((*registry.missing, *home.missing))))

    # -- what follows

    def _turn(self, hand: Hand, ours: Ours, sights: Sights) -> Turn:
        row = self._row
        theirs = row.theirs
        if theirs is not None and theirs.asked < hand.since:
            theirs = None
        following = turn(hand, ours, theirs, sights, row.wish, row.continuity, self._bounds, self._now)
        leaves = hand.state is State.HOSTED and following.hand.state is not State.HOSTED
        if leaves and not self._rests():
            waits = "a key of it is just being replaced; it leaves when that is over"
            return Turn(hand, published(hand, ours), waits, wake=self._now + self._bounds.look)
        return following

    def _rests(self) -> bool:
        """Tell whether no key of the home moves, and nobody has asked for that."""
        book = self._book
        living = [key for key in book.keys if key.is_living]
        still = all(key.stays and not any(phase in MOVING for phase in key.phases) for key in living)
        return still and not book.orders and book.wish == "secure"

    def _step(self, following: Turn) -> int | None:
        """Return when to look again."""
        hand, row = following.hand, self._row
        at_rest = hand.state is State.AWAY and row.wish is Wish.AWAY and handrows.is_seen(hand)
        if at_rest and not following.waits and following.wake is not None and following.wake > self._now:
            return self._now + REST
        return following.wake

    # -- what is done about it

    async def _publish(self, shown: Shown, before: State, after: State) -> tuple[list[Publication], tuple[int, int]]:
        """Bring both zones to what is *shown*; returns the editions, and the serials that show it."""
        conn, home, registry, book = self._conn, self._home, self._registry, self._book
        done: list[Publication] = []
        changes = await self._delegation(shown)
        if changes:
            if registry.pending:
                raise Later(f"{names.to_text(registry.origin)} has changes that are not signed yet")
            done.append(await conveyance.publish_registry(conn, registry, changes, self._ring, self._now))
        be = shown.serves is Serves.NOTHING, shown.serves is Serves.COPY
        was = home.held, home.presigned
        records = () if be[1] else await self._apex(shown, before, after)
        other_keys = set(shown.foreign) != set(book.foreign)
        if be[1] and not was[1]:
            lease = replace(home, keyset=home.keyset + 1)
            done.append(await conveyance.show_copy(conn, lease))
        elif not be[1] and (records or other_keys or be != was):
            lease = await publishing.change(conn, home, records) if records else home
            lease = replace(lease, keyset=home.keyset + 1)
            keyset = replace(book, foreign=shown.foreign).keyset(lease.keyset, book.keys)
            own = await conveyance.publish_home(conn, lease, book, keyset, self._ring, self._now, anew=was[1])
            done.append(own)
        else:
            lease = home
        await keyrows.write_zone(conn, home.id, keyset=lease.keyset, denial=home.denial)
        await publishing.publish(conn, done, self._now)
        serials = {one.zone.id: one.to_serial for one in done if one.changed}
        edition = home.edition + (home.id in serials)
        await handrows.serve(conn, home.id, edition, was, be)
        return done, (serials.get(registry.id, registry.serial), serials.get(home.id, home.serial))

    async def _delegation(self, shown: Shown) -> list[RRsetChange]:
        """Return what changes of the home's NS, DS and glue in its registry's zone."""
        above, origin = self._book.registry, self._home.origin
        assert above is not None
        servers, ds = above.there.get(Type.NS), above.there.get(Type.DS)
        ttl = DELEGATION_TTL if servers is None else servers.ttl
        wanted = {(origin, int(Type.NS)): RRset.of(origin, Type.NS, ttl, shown.servers)}
        if shown.ds and above.signed:
            wanted[origin, int(Type.DS)] = RRset.of(origin, Type.DS, ttl if ds is None else ds.ttl, shown.ds)
        wanted |= {(one.name, one.type): one for one in shown.glue}
        there = {(one.name, one.type): one for one in await handrows.glue(self._conn, self._registry.id, origin)}
        there |= {(origin, one.type): one for one in (servers, ds) if one is not None}
        return _changes(there, wanted)

    async def _apex(self, shown: Shown, before: State, after: State) -> list[RRsetChange]:
        """Return what changes of the NS at the home's apex, and of the addresses of those servers.

        A hosted home names its servers as it likes. Addresses are added where the home has none: whoever asks the
        hosted copy for them must not hear that there are none.
        """
        if before is after is State.HOSTED or not shown.apex:
            return []
        origin = self._home.origin
        below = [one for one in self._row.their.glue if one.name in shown.apex]
        stored = await store.stored_at(self._conn, self._home.id, {origin, *(one.name for one in below)})
        there = {(one.name, one.type): one for found in stored.values() for one in found}
        servers = there.get((origin, int(Type.NS)))
        ttl = DELEGATION_TTL if servers is None else servers.ttl
        wanted = {(origin, int(Type.NS)): RRset.of(origin, Type.NS, ttl, shown.apex)}
        wanted |= {
            (one.name, one.type): RRset(one.name, one.type, min(one.ttl, ttl), one.rdatas)
            for one in below
            if (one.name, one.type) not in there
        }
        return _changes({place: one for place, one in there.items() if place in wanted}, wanted)


def _changes(there: dict[tuple[bytes, int], RRset], wanted: dict[tuple[bytes, int], RRset]) -> list[RRsetChange]:
    return [
        RRsetChange(*place, there.get(place), wanted.get(place))
        for place in sorted({*there, *wanted})
        if there.get(place) != wanted.get(place)
    ]


def _at_serial(sightings: Sequence[seen.Sighting], serial: int, newest: int, since: int) -> Seen:
    """Return whether all show *serial*; who is ahead of us, as after a restore, proves nothing."""
    ahead = seen.ahead(sightings, newest)
    if ahead:
        return Seen(None, tuple(f"{server} shows a serial that is ahead of ours" for server in ahead))
    return seen.at_serial(sightings, serial, since)


def _withdrawn(sightings: Sequence[seen.Sighting], since: int) -> Seen:
    """Return whether all who served the home were seen without it."""
    listed = max((one.asked for one in sightings if not one.server), default=None)
    if listed is None or listed < since:
        return Seen(None, ("the watcher has not looked at who still serves the home",))
    missing: list[str] = []
    latest = max(since, listed)
    for one in sightings:
        if one.server and (one.answered is None or one.answered < since):
            missing.append(f"{one.server} {one.problem or 'has not answered'}")
        elif one.answered is not None:
            latest = max(latest, one.answered)
    return Seen(None, tuple(missing)) if missing else Seen(latest)
