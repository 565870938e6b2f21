"""One step in the life of a zone's keys, carried out: one transaction, in which all of it happens or nothing.

Law: phases, motions, events, the number of the keyset, the edition, and for a home the DS in its registry's zone with
that zone's edition are one commit, under the locks of both rows, taken in the order of their ids. Nothing of a step is
in memory only: whoever comes next, this signer or another, reads the rows and goes on. Private halves are destroyed
behind the commit that took them out of use.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

import msgspec
from msgspec.structs import replace

from ddns.dns import names
from ddns.dns.codes import Type
from ddns.dns.records import Rdata, RRset
from ddns.store.notify import WATCH
from ddns.zone.changes import RRsetChange
from ddns.zone.jobs import SealedKey
from zone_signer import apex, clockkeeper, conveyance, keybook, keyrows, leases, publishing, renewal, rolls, store
from zone_signer import keys as public
from zone_signer.keybook import Book
from zone_signer.keyring import Kept, KeyRing, ZoneKeys
from zone_signer.keyrows import Event
from zone_signer.keyset import KeySet
from zone_signer.keyview import KeyView
from zone_signer.leases import Lease
from zone_signer.phase import SHOWN
from zone_signer.plan import BadZone
from zone_signer.portion import Portion
from zone_signer.publishing import Publication
from zone_signer.records_of_keys import UNSIGNED, KeyRecords
from zone_signer.settling import LOOK_MOST
from zone_signer.stage import NewKey, Step
from zone_signer.step_events import events_of
from zone_signer.store import Conn
from zone_signer.vault import VaultAway, VaultError

log = logging.getLogger("zone_signer")

MOST_STEPS = 16  # in one transaction, of which one is visible at most
LATE_EDITIONS = 200  # in which a TTL is looked for that is published no more
BIG = 2000  # RRsets, stored and published; smaller zones are compared as a whole


class Later(Exception):
    """A step that cannot be made yet; the message says why."""


class Stepped(msgspec.Struct, frozen=True):
    """What a step's transaction did: the editions that it *published*, and its *events*."""

    published: tuple[Publication, ...] = ()
    events: tuple[Event, ...] = ()


async def look(conn: Conn, zones: Sequence[Lease], ring: KeyRing, now: int) -> list[int]:
    """Return those of *zones*, which are locked, whose keys a step does something to; the others only wait.

    Of those it is written down what for, and when to look again.
    """
    # Whoever had these zones looked at may just have changed their policy.
    ring.policies.learn(await keybook.policies(conn))
    books = await keybook.read(conn, zones, ring.policies, now)
    doing: list[int] = []
    later: dict[int, int | None] = {}
    for zone in zones:
        book = books.get(zone.id)
        if book is None or zone.edition == 0:
            later[zone.id] = None  # whatever publishes it first says when
        elif not book.active and not (book.away and book.orders):
            later[zone.id] = now + LOOK_MOST
        else:
            waiting = _waiting(book, now)
            if waiting is None:
                doing.append(zone.id)
            else:
                later[zone.id] = waiting.wake
                await keyrows.write_waits(conn, waiting.waits)
    await keyrows.look_again(conn, later)
    return doing


def _waiting(book: Book, now: int) -> Step | None:
    """Return what the keys of a zone wait for; None where there is something to do, or to be told what is wrong."""
    if not book.is_readable:
        return None
    try:
        following = rolls.step(book.facts, book.keys, book.goal, book.orders, book.policy, now)
        return None if following.does() or _is_out_of_place(book) else following
    except Exception:
        log.exception("signer.bug zone=%s", book.facts.name)  # and `step` leaves the other zones alone
        return None


def _is_out_of_place(book: Book) -> bool:
    """Tell whether the zone, or its registry, publishes something else than its keys make of it."""
    if book.zone.denial == "none":
        return False
    keyset = book.keyset(book.zone.keyset, book.keys)
    shown = {rdtype: one.rdatas for rdtype, one in book.apex.items()}
    return not KeyRecords.of(keyset, book.keys).are_shown(shown) or _other_ds(book, keyset) is not None


def _other_ds(book: Book, keyset: KeySet) -> tuple[RRset | None, RRset | None] | None:
    """Return which DS RRset the registry has and which it ought to have; None where that is the same, or its own.

    A registry that is not signed gets none; one that it has from before must not be there, with a key that has gone,
    when it is signed again.
    """
    registry = book.registry
    if registry is None:
        return None
    servers, before = registry.there.get(Type.NS), registry.there.get(Type.DS)
    if servers is None or not (registry.signed or (before is not None and registry.bare)):
        return None  # not delegated: whoever does that brings the DS along
    after = None
    if keyset.ds:
        ttl = servers.ttl if before is None else before.ttl
        after = RRset.of(book.zone.origin, Type.DS, ttl, keyset.ds)
    return None if before == after else (before, after)


async def step(conn: Conn, zone: int, ring: KeyRing, now: int) -> Stepped:
    """Do what is to be done to the keys of *zone* now, in one transaction.

    Raises `Later`, what `signer.REFUSALS` lists, and `psycopg.errors.LockNotAvailable`.
    """
    destroyed: list[tuple[bytes, SealedKey]] = []
    async with conn.transaction():
        await conn.execute(f"SET LOCAL lock_timeout = {leases.BUSY_WAIT}")
        held = await leases.lock_with_registry(conn, zone)
        lease = held.get(zone)
        if lease is None or lease.edition == 0:
            return Stepped()
        ring.policies.learn(await keybook.policies(conn))
        book = (await keybook.read(conn, [lease], ring.policies, now)).get(zone)
        if book is None:
            return Stepped()
        if not book.is_readable:
            if lease.denial == "none":
                raise BadZone(f"the SOA of {names.to_text(lease.origin)} cannot be read; import the zone anew")
            await publishing.mark_pending(conn, zone, lease.head)  # the next edition has another one
            return Stepped()
        if not book.active:
            await keyrows.look_again(conn, {zone: now + LOOK_MOST})
            return Stepped(events=await _refuse_all(conn, book, now))
        size = (await leases.sizes(conn, [zone], BIG)).get(zone, 0)
        if size < BIG:
            greatest = await store.greatest_ttl(conn, zone, LATE_EDITIONS)
            book = replace(book, facts=replace(book.facts, max_ttl=max(book.facts.max_ttl, greatest)))
        course = _Course(book, ring, now)
        await course.run()
        done = await course.write(conn, held, big=size >= BIG)
        destroyed = course.destroyed
    ring.forget(zone)
    for origin, sealed in destroyed:
        try:
            await asyncio.to_thread(ring.vault.destroy, origin, sealed)
        except VaultError as error:
            log.warning("key.not_destroyed zone=%s tag=%d reason=%s", names.to_text(origin), sealed.tag, error)
    for one in done.events:
        log.info(
            "key.stepped zone=%s tag=%s record=%s before=%s after=%s",
            names.to_text(lease.origin), one.key.tag if one.key else "-", one.record, one.before, one.after,
        )  # fmt: skip
    return done


async def _refuse_all(conn: Conn, book: Book, now: int) -> tuple[Event, ...]:
    """Refuse what was asked of a home whose keys rest, because they are not its alone."""
    if not book.away:
        return ()
    refused = [
        Event(None, "order", one.kind, "refused", book.away, f"{one.by or 'somebody'} said {one.kind}; order {one.id}")
        for one in book.orders
    ]
    await keyrows.append_events(conn, book.zone.id, refused, now)
    await keyrows.finish_orders(conn, [one.id for one in book.orders])
    return tuple(refused)


class _Course:
    """The steps of one zone in one transaction, worked out and then written."""

    def __init__(self, book: Book, ring: KeyRing, now: int) -> None:
        self._start = self._book = book
        self._ring = ring
        self._now = now
        self._keys = book.keys
        self._made: dict[str, tuple[SealedKey, str | None]] = {}
        self._events: list[Event] = []
        self._done: list[int] = []
        self._resign = False
        self._visible: tuple[tuple[KeyView, ...], Step, tuple[KeyView, ...]] | None = None
        self.destroyed: list[tuple[bytes, SealedKey]] = []

    async def run(self) -> None:
        """Step until something is visible, or nothing is left to do now. Raises `VaultError`."""
        self._book = replace(self._book, facts=replace(self._book.facts, lost=await self._lost()))
        for _ in range(MOST_STEPS):
            following = self._next()
            if not following.does():
                return
            if following.make and self._start.zone.pending and self._was().zone:
                # Its record could not be published now, and a token keeps each key that was made in vain.
                raise Later(f"{self._start.facts.name} has changes that are not signed yet")
            made = await self._make(following.make)
            before = self._keys
            self._keys = rolls.advanced(before, following, self._book.facts, self._now, made)
            self._note(following, before, made)
            if following.visible():
                self._visible = before, following, made
                self._resign = following.resign
                return

    def _was(self) -> KeySet:
        return self._start.keyset(self._start.zone.keyset, self._start.keys)

    def _next(self) -> Step:
        book = self._book
        return rolls.step(book.facts, self._keys, book.goal, book.orders, book.policy, self._now)

    async def _lost(self) -> tuple[str, ...]:
        """Return the keys in use that no vault opens. Raises `VaultAway` where one may come back, and is waited for."""
        lost = []
        start = self._start
        given_up = not start.goal.secure or any(order.kind == "insecure" for order in start.orders)
        for key in self._keys:
            sealed = self._start.sealed.get(key.id)
            if not key.is_living or not (key.stays or key.dnskey in SHOWN or key.zrrsig in SHOWN):
                continue
            try:
                if sealed is None:
                    lost.append(key.id)
                else:
                    await asyncio.to_thread(self._ring.vault.open, self._start.zone.origin, sealed)
            except VaultError as error:
                if isinstance(error, VaultAway) and not given_up:
                    raise  # it is not lost: it signs again when its token or master key is back
                log.error("key.lost zone=%s reason=%s", self._start.facts.name, error)  # noqa: TRY400 - it says enough
                lost.append(key.id)
        return tuple(lost)

    async def _make(self, wanted: Sequence[NewKey]) -> tuple[KeyView, ...]:
        made: list[KeyView] = []
        origin = self._start.zone.origin
        for new in wanted:
            taken = _taken([*self._keys, *made], self._start)
            _, sealed = await asyncio.to_thread(
                self._ring.vault.make, origin, new.algorithm, new.role, taken, new.vault
            )
            sealed = replace(sealed, born=self._now)
            view = rolls.newborn(new, sealed.id, sealed.tag, sealed.public, self._book.facts, self._now)
            self._made[view.id] = sealed, new.replaces
            made.append(view)
            self._events.append(Event(view, "key", "", "generated", new.why))
        return tuple(made)

    def _note(self, one: Step, before: Sequence[KeyView], made: Sequence[KeyView]) -> None:
        """Keep what the step says beside the keys themselves: orders, wishes, denial, and the events."""
        were = {key.id: key for key in (*before, *made)}
        self._events += events_of(one, were)
        for ident in one.destroy:
            sealed = self._start.sealed.get(ident)
            if sealed is not None:
                self.destroyed.append((self._start.zone.origin, sealed))
        book = self._book
        refused = {refusal.order: refusal.sentence for refusal in one.refused}
        for order in book.orders:
            if order.id in one.done_orders:
                said = f"{order.by or 'somebody'} said {order.kind}"
                after = "refused" if order.id in refused else "done"
                evidence = f"{said}; order {order.id}"
                self._events.append(Event(None, "order", order.kind, after, refused.get(order.id, said), evidence))
        self._done += one.done_orders
        zone = book.zone if one.denial is None else replace(book.zone, denial=one.denial)
        wish = one.wish or book.wish
        if zone.denial == "none":
            wish = "secure"  # it is insecure now, and nothing is left to be wished for
        if (wish, zone.denial) != (book.wish, book.zone.denial):
            self._events.append(
                Event(None, "zone", f"{book.wish} {book.zone.denial}", f"{wish} {zone.denial}", "asked")
            )
        orders = tuple(order for order in book.orders if order.id not in one.done_orders)
        self._book = replace(book, zone=zone, wish=wish, orders=orders)

    async def write(self, conn: Conn, held: dict[int, Lease], *, big: bool) -> Stepped:
        """Publish and write all. Raises what `signer.REFUSALS` lists, and `Later`."""
        start, book, now = self._start, self._book, self._now
        was = self._was()
        keyset = book.keyset(start.zone.keyset, self._keys)
        shown = {rdtype: one.rdatas for rdtype, one in start.apex.items()}
        records = UNSIGNED if book.zone.denial == "none" else KeyRecords.of(keyset, self._keys)
        anew = self._resign or book.zone.denial != start.zone.denial or not was.zone
        is_signed = book.zone.denial != "none"
        moved = (is_signed or start.zone.denial != "none") and (
            anew or not (keyset.same_zone(was) and records.are_shown(shown))
        )
        # Where a key is lost the zone cannot be signed any more: on its way to insecurity only its DS moves.
        lost = set(book.facts.lost) & {*keyset.apex, *keyset.zone}
        blocked = bool(lost) and not book.goal.secure and is_signed
        if moved and not blocked and start.zone.pending and was.zone and is_signed and not self._resign:
            raise Later(f"{start.facts.name} has changes that are not signed yet")  # one thing at a time
        done: list[Publication] = []
        lease = book.zone
        if moved and not blocked:
            lease = replace(book.zone, keyset=start.zone.keyset + 1)
            done.append(await self._publish(conn, lease, keyset, records, big=big, anew=anew, was=was))
        parent_serial = book.facts.parent_serial
        other = _other_ds(book, keyset)
        if other is not None and book.registry is not None:
            delegated = await self._replace_ds(conn, held[book.registry.id], *other)
            parent_serial = delegated.to_serial
            done.append(delegated)
        own = next((one for one in done if one.zone.id == lease.id and one.changed), None)
        serial = start.zone.serial if own is None else own.to_serial
        if self._visible is not None:
            before, one, made = self._visible
            self._keys = rolls.advanced(before, one, book.facts, now, made, serial, parent_serial)
        if moved and not blocked and keyset.zone != was.zone:
            await keyrows.note_parts(conn, lease.id)
            self._book = replace(book, facts=replace(book.facts, whole=None))
        if done:
            await publishing.publish(conn, done, now)
        await keyrows.write_zone(conn, lease.id, keyset=lease.keyset, denial=lease.denial)
        await keyrows.write_wish(conn, lease.id, book.wish)
        if await keyrows.write_keys(conn, lease.id, start.keys, self._keys, self._made):
            await conn.execute("SELECT pg_notify(%s, '')", [WATCH])
        await keyrows.append_events(conn, lease.id, self._events, now)
        await keyrows.finish_orders(conn, self._done)
        await self._look_again(conn, lease, own, serial, parent_serial)
        await clockkeeper.note(conn, now)
        return Stepped(tuple(one for one in done if one.changed), tuple(self._events))

    async def _look_again(
        self, conn: Conn, lease: Lease, own: Publication | None, serial: int, parent_serial: int
    ) -> None:
        """Say when the next step is due: at once, where something is left to do."""
        facts = self._book.facts
        whole = facts.whole
        if whole is None and own is not None and own.ttls is not None:
            whole = self._now, serial
        facts = replace(facts, serial=serial, parent_serial=parent_serial, keyset=lease.keyset, whole=whole)
        self._book = replace(self._book, facts=facts)
        following = self._next()
        wake = self._now if following.does() else following.wake
        await keyrows.write_waits(conn, following.waits)
        await keyrows.look_again(conn, {lease.id: wake})
        await keyrows.write_problem(conn, lease.id, "", self._now)

    async def _publish(
        self, conn: Conn, lease: Lease, keyset: KeySet, records: KeyRecords, *, big: bool, anew: bool, was: KeySet
    ) -> Publication:
        policy = self._book.policy
        signing = () if lease.denial == "none" else tuple(dict.fromkeys((*keyset.apex, *keyset.zone)))
        sealed = [self._sealed(ident) for ident in signing]
        kept = Kept(tuple(sealed), records, policy.name, lease.keyset, 0)
        keys: ZoneKeys = await asyncio.to_thread(self._ring.opened, lease.origin, kept)
        if big and not anew:
            renewed = keyset.zone != was.zone
            return await apex.publish_keys(conn, lease, keys, policy.signatures, self._now, then_all=renewed)
        stored = (await store.stored(conn, [lease.id])).get(lease.id, {})
        published = (await store.published(conn, [lease.id]))[lease.id]
        made: Publication = await asyncio.to_thread(
            renewal.whole, lease, stored, published, keys, policy.signatures, self._now, anew=self._resign
        )
        return made

    def _sealed(self, ident: str) -> SealedKey:
        made = self._made.get(ident)
        if made is not None:
            return made[0]
        sealed = self._start.sealed.get(ident)
        if sealed is None:
            raise VaultError(
                f"a key of {self._start.facts.name} has lost its private half; zone-signer keys says which"
            )
        return sealed

    async def _replace_ds(self, conn: Conn, registry: Lease, before: RRset | None, after: RRset | None) -> Publication:
        """Put the DS of the zone into its registry's, and publish that, in one edition."""
        if registry.pending or registry.edition == 0:
            raise Later(f"{names.to_text(registry.origin)} has changes that are not signed yet")
        child = self._start.zone.origin
        if registry.denial == "none":
            changes = (RRsetChange(child, int(Type.DS), before, after),)
            return await conveyance.publish_registry(conn, registry, changes, self._ring, self._now)
        ahead = await publishing.replace_ds(conn, registry, child, before, after)
        made: Publication | None = None
        if registry.resign_at is not None:
            portion = Portion(ahead.head, frozenset((child,)))
            made = await renewal.partial(conn, ahead, portion, registry.resign_at, self._ring, self._now)
        if made is None:
            made = await renewal.compared(conn, ahead, self._ring, self._now)
        return made


def _taken(keys: Sequence[KeyView], book: Book) -> list[int]:
    """Return the tags that a new key must not have: those of all keys, removed or published for others too."""
    shown = book.apex.get(Type.DNSKEY)
    foreign: tuple[Rdata, ...] = () if shown is None else shown.rdatas
    return [*(key.tag for key in keys), *(public.tag(one) for one in foreign)]
