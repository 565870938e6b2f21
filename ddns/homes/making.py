"""New homes: the one place that writes them, however they come to be.

A home is its zone with its first records, its delegation, its key with a grant on all of it, and a line in its history.
Law: all of that is one transaction, the caller's, of one tenant; hundreds of homes of one registry go into the same
one. What is written depends on what was proved in two things only: the assurance of the key, and who is named.

Zones are made in the canonical order of their names and the registry's zone is locked last, because it is the one that
others wait for; so two who make the same homes wait for each other and do not stand in each other's way.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from enum import StrEnum
from itertools import groupby
from typing import Any
from uuid import UUID

import msgspec
from psycopg import AsyncConnection
from twisted.logger import Logger

from ddns.auth import keys as sig0_keys
from ddns.auth.principal import DEFAULT_ASSURANCE
from ddns.dns import names
from ddns.dns.codes import Type
from ddns.dns.names import Name
from ddns.dns.records import Rdata, RRset, SignedRRset
from ddns.dns.refusal import Refusal
from ddns.homes import labels, quotas
from ddns.homes.delegating import delegate, home_records
from ddns.signing.client import SignerAway
from ddns.signing.publish import Signs
from ddns.store import (
    home_events,
    journal,
    naming,
    new_homes,
    notify,
    outbox,
    published,
    resting,
    rrsets,
    signing,
    zones,
)
from ddns.store.home_events import Event
from ddns.store.tenancy import REGISTRY, entered
from ddns.store.zones import Zone
from ddns.zone.changes import ChangeSet, RRsetChange
from ddns.zone.edition import Edition
from ddns.zone.jobs import Node, SignedJob, SignJob

EVENT, NOTICE = "enrol", "home.enrolled"  # in a home's history, and to its owner and its tenant
WHOEVER = 0  # in place of an invitation: the home is made whoever is invited to it, and that invitation is withdrawn

log = Logger(namespace="ddns.homes")


class Evidence(msgspec.Struct, frozen=True):
    """By what a key has its assurance: the *method*, what was shown, who judged it, and until when that holds."""

    method: str
    shown: bytes
    until: int | None = None
    bond: int | None = None
    verifier: int | None = None


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """A home that somebody may have: its full *name*, and its gateway's KEY RDATA (empty: it has none yet).

    *owner* and *device* are ids of rows that are there. *invitation* is spent with it. *shown* is its label as people
    write it, *skeleton* what that looks like (`ddns.homes.labels`). *who* says so in the journal and in the home's
    history, with the *credential* and the *digest* of a signed update, or the payload's digest of a *statement*.
    *records* are all of its zone, where it begins with more than its first ones.
    """

    name: Name
    key: Rdata = b""
    assurance: str = DEFAULT_ASSURANCE
    owner: UUID | None = None
    device: UUID | None = None
    invitation: int | None = None
    kind: str = "gateway"
    shown: str = ""
    skeleton: str = ""
    who: str = "service"
    credential: int | None = None
    digest: bytes | None = None
    statement: bytes | None = None
    evidence: Evidence | None = None
    records: tuple[RRset, ...] = ()


class Why(StrEnum):
    """Why a home cannot be made."""

    TAKEN = "taken"
    RESTING = "resting"
    INVITED = "invited"
    OCCUPIED = "occupied"  # the registry's zone has records at its name, or below
    ENROLLED = "enrolled"  # its key is enrolled under its name already
    QUOTA = "quota"
    SPENT = "spent"  # the invitation
    ALIKE = "alike"  # people may take its name for another home's


class Unmade(msgspec.Struct, frozen=True):
    """A home that cannot be made. *refusal* is for those who must not learn which names there are."""

    name: Name
    why: Why
    refusal: Refusal


class Made(msgspec.Struct, frozen=True):
    """A home that has just come to be: its zone's and its key's ids; *pending*: it waits for the signer."""

    zone: int
    name: Name
    credential: int | None
    pending: bool


class Making(msgspec.Struct, frozen=True):
    """What became of what was wanted, in its order; the editions to be shown after the commit, and who waits."""

    made: tuple[Made | Unmade, ...]
    editions: tuple[Edition, ...] = ()
    pending: tuple[int, ...] = ()


class Draft(msgspec.Struct, frozen=True):
    """A home before it is written: all its records, and what it publishes; None: it waits for the signer."""

    wanted: Wanted
    records: tuple[RRset, ...]
    answer: SignedJob | None

    @property
    def name(self) -> Name:
        """Return the home's name."""
        return self.wanted.name


class Collided(Exception):
    """Homes that cannot be made, which was seen only when all was written: the transaction must be rolled back."""

    def __init__(self, homes: Iterable[Name], why: Why) -> None:
        super().__init__()
        self.homes = frozenset(homes)
        self.why = why


class NoRegistry(Exception):
    """The registry's zone has just been removed, or has lost its SOA or its name servers."""


async def apex_of(conn: AsyncConnection[Any], registry: Zone) -> dict[int, RRset]:
    """Return the records at the registry's apex by type. Raises `NoRegistry`."""
    found = await rrsets.read_names(conn, [(registry.id, registry.origin)])
    apex = {one.type: one for one in found.get((registry.id, registry.origin), ())}
    if Type.SOA not in apex or Type.NS not in apex:
        raise NoRegistry
    return apex


async def make(
    conn: AsyncConnection[Any],
    signer: Signs,
    registry: Zone,
    wanted: Sequence[Wanted],
    now: int,
    tenant: int = REGISTRY,
) -> Making:
    """Make homes of *tenant* in the zone *registry*, in the open transaction; *now* in seconds since 1970.

    What cannot be made is left out and said. Raises `Collided` and `psycopg.errors.UniqueViolation` where somebody was
    quicker, and `NoRegistry`; then the caller rolls all of it back.
    """
    await entered(conn, tenant)
    unmade = await _unfit(conn, registry, wanted, now)
    rest = [one for one in wanted if one.name not in unmade]
    if not rest:
        return Making(tuple(unmade[one.name] for one in wanted))
    full = await quotas.room(conn, tenant, registry.id, now, homes=len(rest))
    if full is not None:
        unmade |= {one.name: Unmade(one.name, Why.QUOTA, full) for one in rest}
        return Making(tuple(unmade[one.name] for one in wanted))
    drafts = await sign(signer, registry, rest, await apex_of(conn, registry))
    written = await write(conn, signer, registry, drafts, now)
    made = {one.name: one for one in written.made}
    return msgspec.structs.replace(written, made=tuple(unmade.get(one.name) or made[one.name] for one in wanted))


async def _unfit(conn: AsyncConnection[Any], registry: Zone, wanted: Sequence[Wanted], now: int) -> dict[Name, Unmade]:
    why = {name: Why(word) for name, word in (await new_homes.unfit(conn, registry.id, wanted, now)).items()}
    why |= dict.fromkeys(await occupied(conn, registry.id, wanted), Why.OCCUPIED)
    return {name: Unmade(name, reason, labels.unavailable()) for name, reason in why.items()}


async def occupied(conn: AsyncConnection[Any], registry: int, wanted: Iterable[Wanted | Draft]) -> set[Name]:
    """Return the names of homes at or below which the registry's zone has records."""
    places = [(registry, one.name) for one in wanted]
    found = {name for _, name in await rrsets.read_names(conn, places)}
    return found | {name for _, name in await rrsets.has_descendants(conn, places)}


async def sign(signer: Signs, registry: Zone, wanted: Sequence[Wanted], apex: dict[int, RRset]) -> tuple[Draft, ...]:
    """Return homes as they are to be written, their zones signed in one go; nothing is touched."""
    records = [one.records or _first(one, apex) for one in wanted]
    if registry.denial == "none":
        answers: Sequence[SignedJob | None] = [SignedJob(0, tuple(map(_bare, one))) for one in records]
    else:
        answers = [None] * len(wanted)
        jobs = [
            SignJob(0, one.name, registry.denial, registry.algorithm, _nodes(mine), (), whole=True)
            for one, mine in zip(wanted, records, strict=True)
        ]
        with suppress(SignerAway):
            answers = await signer.sign(jobs)
    return tuple(map(Draft, wanted, records, answers))


async def write(conn: AsyncConnection[Any], signer: Signs, registry: Zone, drafts: Sequence[Draft], now: int) -> Making:
    """Write homes and delegate to them, in the open transaction of their tenant. Raises as `make` does.

    What is not free is found out by constraints, and by a look behind the registry's lock.
    """
    drafts = sorted(drafts, key=lambda one: names.order_key(one.name))
    answers = [_good(one) for one in drafts]
    ids = await new_homes.insert(
        conn,
        [_row(one, answer) for one, answer in zip(drafts, answers, strict=True)],
        registry.denial, registry.algorithm, registry.id, now,
    )  # fmt: skip
    shown = [(zone, answer) for zone, answer in zip(ids, answers, strict=True) if answer is not None]
    await signing.insert_keys(conn, [(zone, key) for zone, answer in shown for key in answer.keys])
    enrolled = await new_homes.enrol(
        conn, [_key(zone, one) for zone, one in zip(ids, drafts, strict=True) if one.wanted.key]
    )
    await new_homes.appraise(conn, _appraisals(ids, drafts, enrolled, now))
    await rrsets.fill_all(conn, ((zone, one) for zone, mine in zip(ids, drafts, strict=True) for one in mine.records))
    await published.fill_all(conn, ((zone, rrset) for zone, answer in shown for rrset in answer.added))
    await journal.append(conn, [_entry(zone, one) for zone, one in zip(ids, drafts, strict=True)])
    await home_events.append(conn, [_event(zone, one.wanted, now) for zone, one in zip(ids, drafts, strict=True)])
    await outbox.put_all(conn, NOTICE, [_notice(one.wanted, now) for one in drafts], now)
    await _take_labels(conn, registry, ids, drafts, now)

    parent = (await zones.lock(conn, [registry.id])).get(registry.id)
    if parent is None:
        raise NoRegistry
    below = await occupied(conn, registry.id, drafts)
    if below:
        raise Collided(below, Why.OCCUPIED)
    await _look_alike(conn, registry, drafts)
    children = [
        (one.name, _servers(one), () if answer is None else answer.ds)
        for one, answer in zip(drafts, answers, strict=True)
    ]
    delegated = await delegate(conn, signer, parent, children)
    await notify.zones(conn, [(zone, 1) for zone, _ in shown])
    await notify.keys_of(conn, [one.name for one in drafts if one.wanted.key])
    waiting = tuple(zone for zone, answer in zip(ids, answers, strict=True) if answer is None)
    if waiting:
        await notify.pending(conn)
    made = tuple(
        Made(zone, one.name, enrolled.get(zone), answer is None)
        for zone, one, answer in zip(ids, drafts, answers, strict=True)
    )
    editions = tuple(Edition(zone, 1, 0, 1, (), answer.added) for zone, answer in shown)
    return Making(made, (*editions, *delegated.editions), (*waiting, *delegated.pending))


async def _look_alike(conn: AsyncConnection[Any], registry: Zone, drafts: Sequence[Draft]) -> None:
    """Raise `Collided` where names look like others: seen behind the lock, two who came at once see each other."""
    shown = [_shown(one.wanted) for one in drafts]
    found = await naming.alike_among(
        conn,
        registry.id,
        [(one.name, skeleton, text.isascii()) for one, (text, skeleton) in zip(drafts, shown, strict=True)],
    )
    if found:
        raise Collided(found, Why.ALIKE)


async def _take_labels(
    conn: AsyncConnection[Any], registry: Zone, ids: Sequence[int], drafts: Sequence[Draft], now: int
) -> None:
    """Spend the invitations that the homes come by, withdraw those that are passed over, and wake what rested."""
    invited = [(one.wanted.invitation, zone) for zone, one in zip(ids, drafts, strict=True) if one.wanted.invitation]
    if not await new_homes.spend_invitations(conn, invited, now):
        raise Collided((one.name for one in drafts if one.wanted.invitation), Why.SPENT)
    await new_homes.withdraw_invitations(conn, [one.name for one in drafts if one.wanted.invitation == WHOEVER])
    await resting.wake(conn, registry.id, [one.name for one in drafts if one.wanted.owner is not None])


def _good(draft: Draft) -> SignedJob | None:
    """Return what a home publishes; one that could not be signed waits for the signer, too."""
    answer = draft.answer
    if answer is not None and answer.error:
        log.error("signer.failed home={home!r} reason={reason}", home=draft.name, reason=answer.error)
        return None
    return answer


def _row(draft: Draft, answer: SignedJob | None) -> new_homes.Row:
    one = draft.wanted
    serial, due = (0, 0) if answer is None else (1, answer.resign_at)
    return new_homes.Row(one.name, serial, due, one.owner, one.device, one.kind, *_shown(one))


def _shown(one: Wanted) -> tuple[str, str]:
    """Return a home's label as people read it, and what that looks like."""
    return (one.shown, one.skeleton) if one.skeleton else labels.looks(one.name)


def _key(zone: int, draft: Draft) -> new_homes.Key:
    one = draft.wanted
    return new_homes.Key(zone, one.name, one.key, one.key[3], sig0_keys.key_tag(one.key), one.assurance, one.device)


def _appraisals(
    ids: Sequence[int], drafts: Sequence[Draft], enrolled: dict[int, int], now: int
) -> list[new_homes.Appraisal]:
    return [
        new_homes.Appraisal(
            enrolled[zone], by.method, one.wanted.assurance, by.shown, now, by.until, by.bond, by.verifier
        )
        for zone, one in zip(ids, drafts, strict=True)
        if (by := one.wanted.evidence) is not None and zone in enrolled
    ]


def _entry(zone: int, draft: Draft) -> journal.Entry:
    one = draft.wanted
    changes = ChangeSet(tuple([RRsetChange(rrset.name, rrset.type, None, rrset) for rrset in draft.records]))
    return journal.Entry(zone, 1, one.who, one.credential, one.digest, changes)


def _event(zone: int, one: Wanted, now: int) -> Event:
    return Event(
        at=now, event=EVENT, who=one.who, before="none", after="active" if one.key else "keyless", zone=zone,
        name=one.name, device=one.device, owner=one.owner, statement=one.statement,
    )  # fmt: skip


def _notice(one: Wanted, now: int) -> tuple[UUID | None, bytes]:
    said = {"event": EVENT, "at": now, "home": names.to_text(one.name)}
    return one.owner, msgspec.json.encode(said)


def _servers(draft: Draft) -> tuple[Rdata, ...]:
    return next(one.rdatas for one in draft.records if one.type == Type.NS and one.name == draft.name)


def _first(one: Wanted, apex: dict[int, RRset]) -> tuple[RRset, ...]:
    return tuple(sorted(home_records(one.name, apex, one.key or None), key=lambda rrset: rrset.type))


def _bare(one: RRset) -> SignedRRset:
    return SignedRRset(one.name, one.type, one.ttl, one.rdatas)


def _nodes(records: tuple[RRset, ...]) -> tuple[Node, ...]:
    return tuple(Node(name, (), tuple(mine)) for name, mine in groupby(records, key=lambda one: one.name))
