"""Updates that arrive together share one commit: judge them in order, sign once, write once, then speak.

Law: nothing is answered before COMMIT (RFC 2136 §3.5). A refused update drops itself, never its
neighbours; what every update of a batch sees is what those before it left.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from psycopg import AsyncConnection, Rollback

from ddns.auth import grants, verdicts
from ddns.auth.principal import Credential, Grant, Principal
from ddns.dns import names
from ddns.dns.codes import Ede, Rcode, Type
from ddns.dns.names import Name
from ddns.dns.records import RRset, SignedRRset, soa_with_serial
from ddns.dns.refusal import Refusal
from ddns.homes import leases as leasing
from ddns.homes.enrol import enrol
from ddns.net.answers import Answer
from ddns.signing.client import SignerClient
from ddns.signing.publish import ZoneStep, publish
from ddns.store import credentials, journal, leases, published, requests, rrsets, zones
from ddns.store import grants as stored_grants
from ddns.store.zones import Zone
from ddns.zone import update as updates
from ddns.zone.changes import ChangeSet
from ddns.zone.edition import Edition
from ddns.zone.jobs import Node
from ddns.zone.lease import DEFAULT as DEFAULT_TERMS
from ddns.zone.lease import Leases, Terms
from ddns.zone.limits import Limits
from ddns.zone.srp import Registration
from ddns.zone.update import Update
from ddns.zone.view import View


class Verified(msgspec.Struct, frozen=True):
    """An update whose signature was good: *zone* is the id of the zone that it names, None for an enrolment.

    *digest* names the signed request, *expires* (seconds since 1970) says until when it could be sent again. A
    *registration* (RFC 9665) was signed with its own key; *credential* is then the policy that allows it.
    """

    update: Update
    credential: Credential
    zone: int | None
    digest: bytes
    expires: int
    registration: Registration | None = None


DONE = Answer(Rcode.NOERROR)


class Committed(msgspec.Struct, frozen=True):
    """The answers in the order of the batch; before they are given, *editions* are shown and *keys* looked up anew."""

    answers: tuple[Answer, ...]
    editions: tuple[Edition, ...] = ()
    keys: tuple[Name, ...] = ()


_Found = dict[tuple[int, Name], tuple[RRset, ...]]
_Shown = dict[tuple[int, Name], tuple[SignedRRset, ...]]


class ZoneWork:
    """One locked zone of a batch: its row, its view, what of it is published, and the journal entries that gather.

    *everybody* are the denials that bind every key there.
    """

    def __init__(
        self, zone: Zone, mentioned: Iterable[Name], found: _Found, shown: _Shown, everybody: tuple[Grant, ...]
    ) -> None:
        nodes = {name: found.get((zone.id, name), ()) for name in mentioned}
        if zone.edition:
            nodes[zone.origin] = tuple(_at_serial(one, zone.serial) for one in nodes[zone.origin])
        self.zone = zone
        self.view = View(nodes)
        self.entries: list[journal.Entry] = []
        self.everybody = everybody
        self.leases = Leases({})
        self.registered = 0
        self._shown = shown

    def step(self) -> ZoneStep:
        """Return what the batch does to this zone; changes that undo each other leave only a new serial."""
        view, origin = self.view, self.zone.origin
        mine = list(dict.fromkeys(one.name for one in view.changes().changes))
        between = {up for name in mine if name != origin for up in names.ancestors(name, origin)[:-1]}.difference(mine)
        return ZoneStep(
            self.zone,
            tuple(Node(name, view.was(name), view.get(name)) for name in mine),
            tuple((name, tuple(one.type for one in view.was(name))) for name in sorted(between)),
            view.get(origin),
            tuple(one for name in {*mine, origin} for one in self._shown.get((self.zone.id, name), ())),
            len(self.entries),
        )


def with_those_above(wanted: Iterable[tuple[int, Name, Iterable[Name]]]) -> dict[int, dict[Name, None]]:
    """Return, by zone, the names of *wanted*, those between them and the apex, and the apex.

    *wanted* is given as (zone, apex, names).
    """
    out: dict[int, dict[Name, None]] = {}
    for zone, origin, found in wanted:
        mine = out.setdefault(zone, {origin: None})
        for name in found:
            at = name
            while at not in mine and len(at) > len(origin):
                mine[at] = None
                at = names.parent(at)
    return out


async def _read_leases(
    conn: AsyncConnection[Any],
    batch: Sequence[Verified],
    locked: dict[int, Zone],
    mentioned: dict[int, dict[Name, None]],
    found: _Found,
    shown: _Shown,
) -> tuple[dict[int, Leases], dict[int, int]]:
    """Return the leases in those zones of the batch that have some, and how many records are registered there.

    What a registration had elsewhere in its zone goes or stays with it: those names are read into the other arguments.
    """
    leased = {zone for zone, row in locked.items() if row.leased}
    if not leased:
        return {}, {}
    hosts = [(one.zone, one.registration.host) for one in batch if one.registration is not None and one.zone in leased]
    registered: dict[int, int] = {}
    if hosts:
        registered = await leases.count_registered(conn, [zone for zone, _ in hosts])
        theirs = await leases.of_hosts(conn, hosts)
        more = with_those_above((zone, locked[zone].origin, (name,)) for zone, name in theirs)
        extra = [(zone, name) for zone, mine in more.items() for name in mine if name not in mentioned[zone]]
        found.update(await rrsets.read_names(conn, extra))
        shown.update(await published.read_names(conn, extra))
        for zone, name in extra:
            mentioned[zone][name] = None
    held = await leases.read_names(conn, [(zone, name) for zone in leased for name in mentioned[zone]])
    return {zone: Leases(places) for zone, places in held.items()}, registered


async def commit_updates(
    conn: AsyncConnection[Any],
    signer: SignerClient,
    batch: Sequence[Verified],
    limits: Limits,
    terms: Terms = DEFAULT_TERMS,
) -> Committed:
    """Judge and write *batch* in one transaction, and commit it. Outages raise, and then nothing was done.

    The database is asked once for everything and told once: two ways there and back, the commit included. Zones that
    have leases take a few more.
    """
    ids = sorted({one.zone for one in batch if one.zone is not None})
    mentioned = with_those_above((one.zone, one.update.zone, one.update.names) for one in batch if one.zone is not None)
    wanted = [(zone, name) for zone, mine in mentioned.items() for name in mine]
    async with conn.pipeline(), conn.transaction():
        # The lock goes first: what is read behind it shows what other workers committed before we got it.
        locked, known, live, everybody, found, shown = await asyncio.gather(
            zones.lock(conn, ids),
            requests.known(conn, [(one.digest, one.expires) for one in batch]),
            credentials.by_ids(conn, list({one.credential.id for one in batch}), zones=ids),
            stored_grants.for_everybody(conn, ids),
            rrsets.read_names(conn, wanted),
            published.read_names(conn, wanted),
        )
        held, registered = await _read_leases(conn, batch, locked, mentioned, found, shown)
        work = {
            zone: ZoneWork(locked[zone], mentioned[zone], found, shown, everybody.get(zone, ()))
            for zone in mentioned
            if zone in locked
        }
        for zone, item in work.items():
            item.leases = held.get(zone, item.leases)
            item.registered = registered.get(zone, 0)
        answers: list[Answer] = []
        fresh: dict[bytes, Verified] = {}
        said: dict[bytes, Answer] = {}
        for one in batch:
            if one.digest in known:
                answers.append(_repeated(known[one.digest]))
                continue
            answer = said.get(one.digest)
            if answer is None:
                answer = said[one.digest] = _judge(one, live.get(one.credential.id), work, limits, terms)
                fresh[one.digest] = one
            answers.append(answer)
        outcome = await publish(
            conn,
            signer,
            [item.step() for item in work.values() if item.entries],
            [entry for item in work.values() for entry in item.entries],
            [(digest, _stored(said[digest]), one.expires) for digest, one in fresh.items()],
        )
        changed = {zone: item.leases for zone, item in work.items() if item.leases}
        if changed:
            await leases.write(conn, changed)
    return Committed(tuple(answers), outcome.editions)


async def commit_enrolment(conn: AsyncConnection[Any], signer: SignerClient, one: Verified, now: int) -> Committed:
    """Spend an invitation in a transaction of its own, and commit it. Outages raise, and then nothing was done."""
    refused: Refusal | None = None
    async with conn.transaction() as transaction:
        known = await requests.known(conn, [(one.digest, one.expires)])
        if one.digest in known:
            return Committed((_repeated(known[one.digest]),))
        fault = updates.prescan(one.update)
        if fault is None:
            live = await credentials.by_ids(conn, [one.credential.id])
            done = verdicts.key_revoked(one.credential) if not live else await enrol(
                conn, signer, one.update, one.credential, one.digest, now
            )  # fmt: skip
        else:
            done = fault
        if not isinstance(done, Refusal):
            await requests.remember(conn, [(one.digest, requests.Stored(Rcode.NOERROR, 0, ""), one.expires)])
            return Committed((DONE,), done.editions, (done.home,))
        refused = done
        raise Rollback(transaction)
    assert refused is not None
    return Committed((Answer.of(refused),))


def _stored(answer: Answer) -> requests.Stored:
    """Return what a retransmission hears: the very same words."""
    return requests.Stored(answer.rcode, answer.ede, answer.extra_text, answer.lease)


def _repeated(stored: requests.Stored | None) -> Answer:
    """Return the answer to a request that was answered before, or may have been and is too old to tell."""
    if stored is not None:
        return Answer(stored.rcode, stored.ede, stored.text, lease=stored.lease)
    return Answer.of(
        Refusal(
            "request-too-old",
            Rcode.REFUSED,
            "The signature of this update ended long ago by the database's clock; sign it anew.",
            Ede.PROHIBITED,
        )
    )


def _at_serial(rrset: RRset, serial: int) -> RRset:
    """Return *rrset*, where it is a SOA with the serial that the world sees."""
    if rrset.type != Type.SOA:
        return rrset
    return RRset(rrset.name, rrset.type, rrset.ttl, (soa_with_serial(rrset.rdatas[0], serial),))


def _judge(one: Verified, live: Credential | None, work: dict[int, ZoneWork], limits: Limits, terms: Terms) -> Answer:
    """Do one update to its zone's view, or refuse it (RFC 2136 §3; permission before prerequisites, RFC 3007 §3)."""
    item = work.get(one.zone) if one.zone is not None else None
    if item is None:
        return Answer.of(verdicts.zone_removed(one.update.zone))
    if live is None:
        return Answer.of(verdicts.key_revoked(one.credential))
    zone, update = item.zone, one.update
    if zone.suspended:
        return Answer.of(verdicts.home_suspended(zone.origin))
    rules = grants.Rules(live, zone.id, zone.origin, is_home=zone.home, everybody=item.everybody)
    registration = one.registration
    refusal = (
        (leasing.may_register(live, zone) if registration is not None else None)
        or rules.refuse(update.targets(), (one.name for one in update.prerequisites))
        or updates.prerequisites(update, item.view)
        or updates.prescan(update)
    )
    if refusal is not None:
        return Answer.of(refusal)
    done = leasing.apply(
        update, registration, zone, item.view, item.leases, terms=terms, limits=limits,
        refuse=rules.refuse_outcome, registered=item.registered,
    )  # fmt: skip
    if isinstance(done, Refusal):
        return Answer.of(done)
    if done.changes:
        item.view.apply(done.changes)
        item.entries.append(_entry(one, live, zone, len(item.entries), done.changes))
    return Answer(Rcode.NOERROR, lease=done.option) if done.option else DONE


def _entry(one: Verified, live: Credential, zone: Zone, before: int, changes: ChangeSet) -> journal.Entry:
    seq = zone.head + before + 1
    who = Principal(live).label if one.registration is None else leasing.label(one.registration)
    return journal.Entry(zone.id, seq, who, live.id, one.digest, changes)
