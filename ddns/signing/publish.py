"""Turn changes of locked zones into editions: signed by the signer, or at once where a zone is not signed.

Law: the caller holds the zones' heads locked (`store.zones.lock`) and commits; nothing here is seen by
anyone before. A signed zone whose signer is away, or which is behind already, is committed as it is and
marked: the signer's own loop publishes it. So is one whose keys move just now: a job names the keyset of the zone's
row, and the signer signs with no other.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import msgspec
from psycopg import AsyncConnection
from twisted.logger import Logger

from ddns.dns.codes import Type
from ddns.dns.names import Name
from ddns.dns.records import (
    RRset,
    SignedRRset,
    serial_newer,
    serial_next,
    soa_serial,
    soa_with_serial,
)
from ddns.signing.client import SignerAway
from ddns.store import batch, notify, signing
from ddns.store.journal import Entry
from ddns.store.requests import Stored
from ddns.store.zones import Zone
from ddns.zone.changes import ChangeSet, RRsetChange
from ddns.zone.edition import Edition
from ddns.zone.jobs import Job, Node, PlainJob, SealedKey, SignedJob, SignJob

log = Logger(namespace="ddns.signing")


class Signs(Protocol):
    """What signs jobs: a `SignerClient`, or nobody."""

    async def sign(self, jobs: Sequence[Job]) -> tuple[SignedJob, ...]:
        """Return the answers to *jobs*, in their order. Raises `SignerAway`."""


class _NoSigner:
    async def sign(self, jobs: Sequence[Job]) -> tuple[SignedJob, ...]:
        raise SignerAway(f"it did not sign {len(jobs)} zones just now")


NO_SIGNER: Signs = _NoSigner()


class Published(Protocol):
    """What is published of a zone at the names that a batch mentions."""

    def at(self, name: Name, rdtype: int) -> SignedRRset | None:
        """Return the RRset of *rdtype* at *name*, None where there is none."""

    def replaced_by(self, added: tuple[SignedRRset, ...]) -> tuple[SignedRRset, ...]:
        """Return the RRsets that *added* take the places of, where there are any."""


class ZoneStep(msgspec.Struct, frozen=True):
    """What one commit does to one locked zone.

    *nodes* are the names that changed, each with all its records; *above* the names between them and the
    apex with their types (see `SignJob`); *apex* all records of the apex as they are now, unless the apex is
    among *nodes*. *old* are the published RRsets of those names and of the apex. *accepted* counts
    the journal entries that this step stands for. *whole*: the zone is new. Who has *published* need not give *old*,
    and who knows what differs between the nodes' before and after gives it as *changes*. *plain*: data alone changes
    (see `ddns.zone.plain.step`), and then nobody needs *nodes*, *above* and *apex*.
    """

    zone: Zone
    nodes: tuple[Node, ...]
    above: tuple[tuple[Name, tuple[int, ...]], ...] = ()
    apex: tuple[RRset, ...] = ()
    old: tuple[SignedRRset, ...] = ()
    accepted: int = 1
    whole: bool = False
    published: Published | None = None
    changes: ChangeSet | None = None
    plain: tuple[int, tuple[RRset, ...]] | None = None


class Outcome(msgspec.Struct, frozen=True):
    """What was written: *editions* to be shown after the commit, *pending* zones that the signer must do."""

    editions: tuple[Edition, ...]
    pending: tuple[int, ...]
    ds: dict[int, tuple[bytes, ...]]


def changes_of(nodes: Sequence[Node]) -> ChangeSet:
    """Return what differs between the nodes' before and after."""
    found = []
    for node in nodes:
        before = {rrset.type: rrset for rrset in node.before}
        for rrset in node.after:
            old = before.pop(rrset.type, None)
            if old != rrset:
                found.append(RRsetChange(node.name, rrset.type, old, rrset))
        found.extend(RRsetChange(node.name, rdtype, old, None) for rdtype, old in before.items())
    return ChangeSet(tuple(found))


def next_serial(zone: Zone, soa: RRset) -> int:
    """Return the serial of the zone's next edition: one more, or what the SOA asks for where that is newer."""
    asked = soa_serial(soa.rdatas[0])
    if zone.edition == 0:
        return asked or 1
    return asked if serial_newer(asked, zone.serial) else serial_next(zone.serial)


def _numbered(step: ZoneStep) -> tuple[int, tuple[Node, ...]]:
    """Return the new serial, and the nodes with an apex whose SOA has it."""
    origin = step.zone.origin
    before = after = step.apex
    rest = []
    for node in step.nodes:
        if node.name == origin:
            before, after = node.before, node.after
        else:
            rest.append(node)
    for place, soa in enumerate(after):
        if soa.type == Type.SOA:
            serial = next_serial(step.zone, soa)
            numbered = RRset(origin, Type.SOA, soa.ttl, (soa_with_serial(soa.rdatas[0], serial),))
            rest.append(Node(origin, before, (*after[:place], numbered, *after[place + 1 :])))
            return serial, tuple(rest)
    raise LookupError("a zone has lost its SOA")


def _asked(step: ZoneStep) -> tuple[int, Job]:
    """Return the new serial, and what the signer is asked."""
    zone = step.zone
    if step.plain is not None:
        serial, rrsets = step.plain
        return serial, PlainJob(zone.id, zone.origin, rrsets, zone.keyset)
    serial, nodes = _numbered(step)
    job = SignJob(
        zone.id, zone.origin, zone.denial, zone.algorithm, nodes, step.above, whole=step.whole, keyset=zone.keyset
    )
    return serial, job


def _unsigned(nodes: tuple[Node, ...], zone: int) -> SignedJob:
    changes = changes_of(nodes).changes
    added = tuple(
        SignedRRset(one.name, one.type, one.after.ttl, one.after.rdatas) for one in changes if one.after is not None
    )
    return SignedJob(zone, added, tuple((one.name, one.type) for one in changes if one.after is None))


def _edition(step: ZoneStep, serial: int, done: SignedJob) -> Edition:
    published = step.published
    if published is not None and not (done.gone or done.old or step.old):
        removed = published.replaced_by(done.added)
    else:
        removed = _removed(step, done)
    return Edition(step.zone.id, step.zone.edition + 1, step.zone.serial, serial, removed, done.added)


def _removed(step: ZoneStep, done: SignedJob) -> tuple[SignedRRset, ...]:
    old = {(one.name, one.type): one for one in (*step.old, *done.old)}
    removed = []
    for key in dict.fromkeys([*[(one.name, one.type) for one in done.added], *done.gone]):
        found = old.get(key)
        if found is None and step.published is not None:
            found = step.published.at(*key)
        if found is not None:
            removed.append(found)
    return tuple(removed)


class Written(msgspec.Struct, frozen=True):
    """What a commit writes of its *steps*: the *batch*, and what only new zones and those left to the signer need.

    *away*: the signer did not answer, so it was not what it was asked that it could not sign. *refused* are the zones
    that it answered for and did not sign, each with its sentence.
    """

    batch: batch.Batch
    pending: tuple[int, ...] = ()
    keys: tuple[tuple[int, SealedKey], ...] = ()
    signed: tuple[tuple[int, int, int], ...] = ()
    ds: dict[int, tuple[bytes, ...]] = {}
    away: bool = False
    refused: tuple[tuple[int, str], ...] = ()


async def sign(
    signer: Signs,
    steps: Sequence[ZoneStep],
    entries: Sequence[Entry] = (),
    answered: Sequence[tuple[bytes, Stored, int]] = (),
) -> Written:
    """Return what is to be written of *steps*: records, signatures, editions, heads. Nothing is touched.

    The journal's *entries* and what was *answered* (digest, answer, expiry) go along. A zone that the signer does not
    sign now is pending.
    """
    asked = [_asked(step) for step in steps]
    jobs = [
        job
        for step, (_, job) in zip(steps, asked, strict=True)
        if step.zone.denial != "none" and not step.zone.signed_pending
    ]
    answers: dict[int, SignedJob] = {}
    is_away = False
    if jobs:
        try:
            answers = {done.zone: done for done in await signer.sign(jobs)}
        except SignerAway as away:
            is_away = True
            log.warn("signer.away reason={reason} zones={zones}", reason=str(away), zones=len(jobs))

    written: list[Edition] = []
    advanced: list[tuple[int, int, int, int]] = []
    pending: list[int] = []
    keys: list[tuple[int, SealedKey]] = []
    ds: dict[int, tuple[bytes, ...]] = {}
    gone: list[tuple[int, Name, int]] = []
    signed: list[tuple[int, int, int]] = []
    refused: list[tuple[int, str]] = []
    for step, (serial, job) in zip(steps, asked, strict=True):
        zone = step.zone
        head = zone.head + step.accepted
        if zone.denial == "none" and isinstance(job, SignJob):
            done: SignedJob | None = _unsigned(job.nodes, zone.id)
        else:
            done = answers.get(zone.id)
        if done is not None and done.error:
            refused.append((zone.id, done.error))
            done = None
        if done is None:
            pending.append(zone.id)
            advanced.append((zone.id, head, zone.edition, zone.serial))
            continue
        written.append(_edition(step, serial, done))
        gone += [(zone.id, name, rdtype) for name, rdtype in done.gone]
        keys += [(zone.id, key) for key in done.keys]
        ds[zone.id] = done.ds
        if step.whole and done.resign_at:
            signed.append((zone.id, head, done.resign_at))
        advanced.append((zone.id, head, zone.edition + 1, serial))

    changes = [(step.zone.id, changes_of(step.nodes) if step.changes is None else step.changes) for step in steps]
    everything = batch.Batch(changes, gone, written, advanced, entries, answered)
    return Written(everything, tuple(pending), tuple(keys), tuple(signed), ds, is_away, tuple(refused))


async def publish(
    conn: AsyncConnection[Any],
    signer: Signs,
    steps: Sequence[ZoneStep],
    entries: Sequence[Entry] = (),
    answered: Sequence[tuple[bytes, Stored, int]] = (),
) -> Outcome:
    """Write *steps* into the open transaction of *conn*: records, signatures, editions, heads, one NOTIFY.

    The journal's *entries* and what was *answered* (digest, answer, expiry) go into the same statement. Outages of
    the database raise.
    """
    done = await sign(signer, steps, entries, answered)
    for zone, reason in done.refused:
        log.error("signer.failed zone={zone} reason={reason}", zone=zone, reason=reason)
    await batch.write(conn, done.batch)
    if done.keys:
        await signing.insert_keys(conn, done.keys)
    if done.signed:
        await signing.set_state(conn, done.signed)
    if done.pending:
        heads = {step.zone.id: step.zone.head for step in steps}
        await signing.mark_pending(conn, {zone: heads[zone] for zone in done.pending})
        await notify.pending(conn)
    return Outcome(tuple(done.batch.editions), done.pending, done.ds)
