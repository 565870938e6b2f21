"""The facts of the machine of ownership, read under locks: what the home, its box and its owner are at this moment.

Locks are taken everywhere in one order: boxes by id, then the owner, then zones by id. What was known before the locks
is used to find what to lock, and for nothing else.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any
from uuid import UUID

import msgspec
from psycopg import AsyncConnection

from ddns.dns.names import Name
from ddns.homes.ownership_facts import Box, Claim, Facts, Home, KeyFact, OwnerKey, Recovery, Release, Waits
from ddns.proof import jwk
from ddns.proof.bad import BadProof
from ddns.store import (
    claims,
    devices,
    home_keys,
    home_people,
    home_policies,
    keys_of_homes,
    owners,
    pending_keys,
    recoveries,
    releases,
    zones,
)
from ddns.store.home_people import Standing
from ddns.store.keys_of_homes import HomeKey
from ddns.store.tenancy import entered
from ddns.store.zones import Zone

# Events that leave the registry's zone alone: others wait for that one, so it is not locked for them.
_IN_THE_HOME = frozenset(
    {
        "adopt", "announce-key", "approve-key", "bind-owner", "device-key", "found", "mint-key", "object", "release",
        "replace", "revoke-key", "roll-key", "stolen",
    }
)  # fmt: skip
_BOXES = {devices.FREE: Box.FREE, devices.OWNED: Box.OWNED, devices.STOLEN: Box.STOLEN}


class Known(msgspec.Struct, frozen=True):
    """The *facts*, and by what they are stored: the locked zones, and what stands behind thumbprints.

    *keys* maps thumbprints to ids of credentials, *pending* to KEY RDATA, *new_jwk* is the JSON of a recovery's key.
    """

    facts: Facts
    home: Standing | None = None
    zone: Zone | None = None
    keys: dict[bytes, int] = {}
    pending: dict[bytes, bytes] = {}
    new_jwk: bytes = b""


class Moved(Exception):
    """What was to be locked changed hands before it was; all begins again."""


async def about_home(
    conn: AsyncConnection[Any], home: Name, now: int, event: str = "", shown: UUID | None = None
) -> Known | None:
    """Return how things are with *home* and the box *shown*, all of it locked; None: this tenant has no such home.

    *shown* is the box that shows itself. Who says `stolen` or `found` may speak of a box that the home had last.
    """
    before = await home_people.called(conn, home)
    if before is None:
        return None
    for _ in range(3):
        known = await _locked(conn, before, now, event, shown)
        if known is not None:
            return known
        again = await home_people.called(conn, home)
        if again is None:
            return None
        before = again
    raise Moved


async def about_home_with(conn: AsyncConnection[Any], box: UUID, now: int) -> Known | None:
    """Return how things are with the home of this tenant that has *box*, all of it locked; None: none has it."""
    found = await home_people.with_device(conn, box)
    return None if found is None else await about_home(conn, found.name, now, shown=box)


async def about_keys(conn: AsyncConnection[Any], home: Name, now: int) -> Known | None:
    """Return how things are with the keys of *home*, whosever it is, locked; the transaction is its tenant's then.

    Of its box and its owner is known no more than that it has them. None: there is no such home.
    """
    before = await home_people.called(conn, home)
    if before is None:
        return None
    await entered(conn, before.tenant)
    locked = await zones.lock(conn, [before.zone])
    standing = await home_people.of_zone(conn, before.zone)
    if standing is None or standing.tenant != before.tenant:
        return None
    live = _at_apex(await keys_of_homes.live(conn, standing.zone), home, now)
    keys = tuple(KeyFact(key, one.device, one.assurance) for key, one in live.items())
    pending = {thumbprint_of(one.key): one.key for one in await pending_keys.of(conn, standing.zone, now)}
    facts = Facts(
        zone=standing.zone,
        name=home,
        home=_home(standing, keys),
        owner=standing.owner,
        device=standing.device,
        keys=keys,
        pending=tuple(pending),
    )
    ids = {key: one.id for key, one in live.items()}
    return Known(facts, standing, locked.get(standing.zone), ids, pending)


async def _locked(
    conn: AsyncConnection[Any], before: Standing, now: int, event: str, shown: UUID | None
) -> Known | None:
    """Lock what *before* names and return the facts; None: it names other things by now."""
    had = await _had(conn, before, event) if shown is None else None
    other = shown or had
    there = await _lock_boxes(conn, (before.device, other))
    if before.owner is not None:
        await owners.lock(conn, before.owner)
    above = () if event in _IN_THE_HOME else (before.parent,)
    locked = await zones.lock(conn, [before.zone, *above])
    standing = await home_people.of_zone(conn, before.zone)
    if standing is None or (standing.owner, standing.device) != (before.owner, before.device):
        return None
    concerned = other or standing.device
    at = await home_people.with_device(conn, concerned) if concerned is not None else None
    pending = {thumbprint_of(one.key): one.key for one in await pending_keys.of(conn, standing.zone, now)}
    every = [one for one in await keys_of_homes.live(conn, standing.zone) if _lasts(one, now)]
    by_thumbprint = _at_apex(every, standing.name, now)
    keys = tuple(KeyFact(key, one.device, one.assurance) for key, one in by_thumbprint.items())
    below = {thumbprint_of(one.public): one.id for one in every if one.kind == "sig0" and one.name != standing.name}
    policy = await home_policies.of(conn, standing.tenant, standing.parent)
    claim = await claims.open_on(conn, concerned) if concerned is not None else None
    own_claim = claim if concerned == standing.device else await _claim_on(conn, standing.device)
    people = await _about_owner(conn, standing.owner)
    facts = Facts(
        zone=standing.zone,
        name=standing.name,
        home=_home(standing, keys),
        owner=standing.owner,
        keys=keys,
        pending=tuple(pending),
        device=standing.device,
        home_box=_box(there, standing.device, own_claim),
        shown=other,
        box=_box(there, concerned, claim),
        box_zone=None if at is None else at.zone,
        claim=None if claim is None else await _claim(conn, claim, standing.owner),
        home_claim=None if own_claim is None else await _claim(conn, own_claim, standing.owner),
        release=await _release(conn, concerned),
        recovery=people.recovery,
        disputed=people.disputed,
        owner_keys=people.owner_keys,
        used=claim is not None and await home_keys.used_since(conn, standing.zone, claim.device, claim.filed_at),
        was_ours=had is not None or (concerned is not None and concerned == standing.device),
        minted=sum(one.kind == "tsig" for one in every),
        device_keys=tuple(below),
        closed_at=standing.closed_at,
        label_rests=await home_people.rests(conn, standing.parent, standing.name),
        least=policy.least,
        waits=waits_of(policy),
    )
    ids = below | {key: one.id for key, one in by_thumbprint.items()}
    return Known(facts, standing, locked.get(standing.zone), ids, pending)


def _at_apex(every: Iterable[HomeKey], home: Name, now: int) -> dict[bytes, HomeKey]:
    """Return those of a home's keys that stand at its apex, by their thumbprints."""
    return {
        thumbprint_of(one.public): one for one in every if one.kind == "sig0" and one.name == home and _lasts(one, now)
    }


def _lasts(key: HomeKey, now: int) -> bool:
    return key.expires_at is None or key.expires_at > now


async def _had(conn: AsyncConnection[Any], home: Standing, event: str) -> UUID | None:
    """Return the box that *event* speaks of where that need not be the one that the home has."""
    if event == "found":
        return await home_people.lost_box(conn, home.zone)
    if event == "stolen" and home.device is None:
        return await home_people.released_box(conn, home.zone)
    return None


async def about_owner(conn: AsyncConnection[Any], owner: UUID, waits: Waits) -> Known | None:
    """Return how things are with the keys of *owner*, who is locked; None: there is none."""
    if not await owners.lock(conn, owner):
        return None
    found = await recoveries.not_over(conn, owner)
    facts = await _about_owner(conn, owner)
    facts = msgspec.structs.replace(facts, waits=waits)
    return Known(facts, new_jwk=found[0].jwk if found else b"")


async def _about_owner(conn: AsyncConnection[Any], owner: UUID | None) -> Facts:
    if owner is None:
        return Facts()
    found = await recoveries.not_over(conn, owner)
    return Facts(
        owner=owner,
        owner_keys=tuple(OwnerKey(one.thumbprint, one.role) for one in await owners.keys(conn, owner)),
        recovery=None if not found else _recovery(found[0]),
        disputed=any(one.state == "objected" for one in found),
    )


async def about_box(conn: AsyncConnection[Any], box: UUID) -> Facts:
    """Return how things are with a box that shows itself where no home is; it is locked."""
    there = await _lock_boxes(conn, (box,))
    claim = await claims.open_on(conn, box)
    return Facts(shown=box, box=_box(there, box, claim), release=await _release(conn, box))


async def _lock_boxes(conn: AsyncConnection[Any], ids: Iterable[UUID | None]) -> dict[UUID, str]:
    wanted = sorted({one for one in ids if one is not None}, key=str)
    found = [await devices.lock(conn, one) for one in wanted]
    return {one.id: one.state for one in found if one is not None}


async def _claim_on(conn: AsyncConnection[Any], device: UUID | None) -> claims.Claim | None:
    return None if device is None else await claims.open_on(conn, device)


async def _claim(conn: AsyncConnection[Any], claim: claims.Claim, owner: UUID | None) -> Claim:
    told = await claims.told_at(conn, owner, claim.filed_at)
    return Claim(claim.id, claim.claimant, claim.claimant_key, claim.filed_at, claim.due_at, told, claim.tenant)


async def _release(conn: AsyncConnection[Any], device: UUID | None) -> Release | None:
    found = None if device is None else await releases.of(conn, device)
    return None if found is None else Release(found.id, found.until, found.bearer, found.receiver)


def _recovery(found: recoveries.Recovery) -> Recovery:
    operators = tuple(one for one in found.operators if one)
    return Recovery(found.id, found.way, found.thumbprint, found.due_at, found.state, found.begun_by, operators)


def _home(standing: Standing, keys: tuple[KeyFact, ...]) -> Home:
    if standing.state != "active":
        return Home(standing.state)
    return Home.ACTIVE if keys else Home.KEYLESS


def _box(there: dict[UUID, str], device: UUID | None, claim: claims.Claim | None) -> Box:
    if device is None or device not in there:
        return Box.UNKNOWN
    box = _BOXES[there[device]]
    return Box.CLAIMED if box is Box.OWNED and claim is not None and claim.device == device else box


def thumbprint_of(key: bytes) -> bytes:
    """Return the thumbprint of a KEY's RDATA; a key of an algorithm that owners do not see has one of its own."""
    try:
        return jwk.thumbprint(jwk.from_key_rdata(key))
    except BadProof:
        return hashlib.sha256(key).digest()


def waits_of(policy: home_policies.HomePolicy) -> Waits:
    """Return the times that a policy sets."""
    return Waits(policy.claim_wait, policy.recovery_wait, policy.registry_wait, policy.claim_rest, policy.rest)
