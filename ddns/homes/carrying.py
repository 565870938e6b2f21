"""Decisions of the machine of ownership, carried out: effects become rows, records, a line of history and notices.

Law: this is the only file that turns effects into changes; the caller's one transaction holds all of them, or none.
The caller has read the facts in that transaction (`ddns.homes.knowing`), and has everything locked.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

import msgspec
from psycopg import AsyncConnection

from ddns.auth.sealing import Sealer
from ddns.dns import names
from ddns.dns.codes import Ede, Rcode
from ddns.dns.records import Rdata
from ddns.dns.refusal import Refusal
from ddns.homes import crossing, holding, keying
from ddns.homes import ownership_effects as do
from ddns.homes.keying import NewKey
from ddns.homes.knowing import Known
from ddns.homes.methods import Proved
from ddns.homes.minting import Minted, mint_acme
from ddns.homes.ownership import owner_after, owner_before
from ddns.homes.ownership_effects import Decision
from ddns.homes.ownership_facts import Asked, Box, Home, Who
from ddns.proof import b64, jwk
from ddns.proof.jwk import PublicJwk
from ddns.signing.publish import Signs
from ddns.store import (
    adoption_codes,
    appraisals,
    claims,
    devices,
    home_events,
    home_people,
    new_homes,
    outbox,
    owners,
    pending_keys,
    recoveries,
    releases,
)
from ddns.store.home_events import Event
from ddns.store.new_homes import Appraisal

_STATES = {Box.FREE: devices.FREE, Box.OWNED: devices.OWNED, Box.STOLEN: devices.STOLEN}


class Bearing(msgspec.Struct, frozen=True, kw_only=True):
    """What is carried along: the statement's *digest* (None: no statement asked), the transaction's *tenant*, and keys.

    *rdata* is the KEY of a gateway's or device's new key, *new_owner_key* a new key of an owner; *note* its owner's
    word for it; *new_id* makes ids.
    """

    digest: bytes | None
    new_id: Callable[[], UUID]
    tenant: int
    rdata: Rdata = b""
    new_owner_key: PublicJwk | None = None
    note: str = ""
    source: str = ""
    sealer: Sealer | None = None  # with *dice* (random octets) and *days*: to mint a key
    dice: Callable[[int], bytes] | None = None
    days: int = 0
    proved: Proved | None = None  # what evidence showed of the new key


class Outcome(msgspec.Struct, frozen=True):
    """What has happened: how home and box are now, the zones that wait for the signer, and until when is waited."""

    event: str
    home: Home
    box: Box
    pending: tuple[int, ...] = ()
    until: int | None = None
    minted: Minted | None = None


async def carry_out(
    conn: AsyncConnection[Any],
    signer: Signs,
    known: Known,
    asked: Asked,
    decision: Decision,
    bearing: Bearing,
    now: int,
) -> Outcome | Refusal:
    """Carry *decision* out, in the open transaction; the caller commits, or rolls back a refusal.

    *now* in seconds since 1970. Refused is what a home with servers of its own cannot have done here.
    """
    who = who_of(asked)
    try:
        pending = await _home(conn, signer, known, decision, bearing, who, now)
    except holding.Elsewhere:
        return Refusal(
            "not-in-this-state",
            Rcode.REFUSED,
            "The home has servers of its own; bring it back first (`ddns delegation return`), then ask again.",
            Ede.PROHIBITED,
        )
    await _boxes(conn, known, decision, bearing, now)
    await _owner(conn, known, asked, decision, bearing, now)
    minted = await _mint(conn, known, decision, bearing, now)
    await note(conn, known, asked, decision, bearing.digest, now)
    await _tell_claimant(conn, known, decision, bearing, now)
    return Outcome(decision.event, decision.home, decision.box, pending, decision.until, minted)


def who_of(asked: Asked) -> str:
    """Return how history and journal name who asked: by the key, never by a person's name but an operator's."""
    if asked.who is Who.OPERATOR:
        return f"operator:{asked.operator}"
    return f"{asked.who}:{b64.encode(asked.by)}" if asked.by else str(asked.who)


async def _home(
    conn: AsyncConnection[Any], signer: Signs, known: Known, decision: Decision, bearing: Bearing, who: str, now: int
) -> tuple[int, ...]:
    """Change the home: its state, its owner, and its keys with their records in one edition."""
    home = known.home
    if home is None:
        return ()
    pending: tuple[int, ...] = ()
    closing = any(isinstance(one, do.CloseHome) for one in decision.effects)
    put: list[NewKey] = []
    revoked: list[int] = []
    for one in decision.effects:
        match one:
            case do.PutKey(key, assurance, device):
                rdata = known.pending[key] if decision.event == "approve-key" else bearing.rdata
                put.append(NewKey(rdata, assurance, device))
            case do.RevokeKeys(keys) if not closing:
                revoked += [known.keys[key] for key in keys]
            case do.AddDeviceKey(_, name):
                put.append(NewKey(bearing.rdata, "token", name=name, note=bearing.note))
            case do.BindOwner(owner):
                await _make_owner(conn, owner, bearing, now)
                await home_people.bind_owner(conn, home.zone, owner, now)
            case do.SpendCode():
                await adoption_codes.drop(conn, home.zone)
            case do.KeepPending(_, until):
                await pending_keys.keep(conn, home.zone, bearing.rdata, now, until, bearing.source)
            case do.DropPending():
                await pending_keys.drop(conn, home.zone)
            case _:
                pass
    if put or revoked:
        assert known.zone is not None, "the home is locked"
        swapped = await keying.swap(conn, signer, known.zone, put, revoked, who)
        pending += swapped.outcome.pending
        await _appraise(conn, known, decision, bearing, swapped.put, now)
    for one in decision.effects:
        match one:
            case do.Hold(state, reason):
                pending += await holding.hold(conn, signer, home.zone, state, reason, who, now)
            case do.Unhold() | do.ReopenHome():
                pending += await holding.release(conn, signer, home.zone, now)
            case do.CloseHome():
                pending += await holding.close(conn, signer, home.zone, who, now)
            case do.RestLabel(until):
                await holding.rest(conn, home.zone, until)
            case do.WakeLabel():
                await holding.wake(conn, home.parent, home.name)
            case do.RemoveHome():
                await home_people.remove_closed(conn, home.zone, now)
            case _:
                pass
    return pending


async def _appraise(
    conn: AsyncConnection[Any], known: Known, decision: Decision, bearing: Bearing, put: tuple[int, ...], now: int
) -> None:
    """Keep by what the new key has its tier: fresh evidence, or what the key showed that it takes the place of."""
    found = bearing.proved
    if found is not None:
        row = Appraisal(
            put[0], found.method, found.assurance, found.evidence, now, found.until, found.bond, found.verifier
        )
        await new_homes.appraise(conn, [row])
    elif decision.event == "roll-key":
        (old,) = next(one for one in decision.effects if isinstance(one, do.RevokeKeys)).keys
        if known.facts.tier(old) == next(one for one in decision.effects if isinstance(one, do.PutKey)).assurance:
            await appraisals.carry_over(conn, known.keys[old], put[0])


async def _mint(
    conn: AsyncConnection[Any], known: Known, decision: Decision, bearing: Bearing, now: int
) -> Minted | None:
    """Make the shared secret that the decision asks for, if it does."""
    for one in decision.effects:
        if isinstance(one, do.MintKey):
            assert known.zone is not None, "the home is locked"
            assert bearing.sealer is not None, "the desk has one"
            assert bearing.dice is not None, "the desk has some"
            return await mint_acme(conn, bearing.sealer, known.zone, one.name, bearing.days, now, bearing.dice)
    return None


async def _make_owner(conn: AsyncConnection[Any], owner: UUID, bearing: Bearing, now: int) -> None:
    """Make the owner whose key signed, where nobody has that key yet."""
    key = bearing.new_owner_key
    if key is not None:
        await owners.insert(conn, owner, now)
        await owners.add_key(conn, owner, "owner", jwk.thumbprint(key), jwk.to_json(key), bearing.note, now)


async def _boxes(conn: AsyncConnection[Any], known: Known, decision: Decision, bearing: Bearing, now: int) -> None:
    """Change whose boxes are: the one that gives way first, for a home has one box."""
    digest = bearing.digest or b""
    for one in sorted(decision.effects, key=_turn):
        match one:
            case do.LetGoDevice(device, box):
                assert known.home is not None, "a home has it"
                await home_people.bind_device(conn, known.home.zone, None, now)
                await devices.set_state(conn, device, _STATES[box])
            case do.BindDevice(device):
                assert known.home is not None, "a home gets it"
                await home_people.bind_device(conn, known.home.zone, device, now)
                await devices.set_state(conn, device, devices.OWNED)
            case do.SetBox(device, box):
                await devices.set_state(conn, device, _STATES[box])
            case do.CloseClaim(claim, state):
                await claims.close(conn, claim, state, now)
            case do.OpenRelease(device, until, bearer, receiver):
                await releases.insert(conn, bearing.new_id(), device, digest, bearer, receiver, until)
            case do.SpendRelease(release):
                await releases.spend(conn, release, now)
                if decision.event == "replace":  # into a home that is there already
                    await crossing.tell_seller(conn, release, bearing.tenant, now)
            case _:
                pass


async def _owner(
    conn: AsyncConnection[Any], known: Known, asked: Asked, decision: Decision, bearing: Bearing, now: int
) -> None:
    """Change the keys of an owner, and what is waited for."""
    owner = known.facts.owner
    for one in decision.effects:
        match one:
            case do.AddOwnerKey(key, role):
                octets = known.new_jwk if bearing.new_owner_key is None else jwk.to_json(bearing.new_owner_key)
                assert owner is not None, "somebody gets it"
                await owners.add_key(conn, owner, role, key, octets, bearing.note, now)
            case do.RevokeOwnerKeys(keys):
                assert owner is not None, "somebody had them"
                await owners.revoke_keys(conn, owner, keys, now)
            case do.OpenRecovery(way, key, due_at, by, operator):
                assert owner is not None, "somebody is recovered"
                assert bearing.new_owner_key is not None, "there is a new key"
                octets = jwk.to_json(bearing.new_owner_key)
                await recoveries.insert(
                    conn, bearing.new_id(), owner, key, octets, way, by, operator, asked.reason, now, due_at
                )
            case do.CloseRecovery(recovery, state):
                await recoveries.set_state(conn, recovery, state)
            case do.ConfirmRecovery(recovery, operator):
                await recoveries.confirm(conn, recovery, operator)
            case do.SettleRecoveries():
                assert owner is not None, "somebody was disputed"
                await recoveries.settle(conn, owner)
            case _:
                pass


def _turn(effect: do.Effect) -> int:
    """Return when an effect on a box has its turn: its claim is closed while the home has it, and a home has one."""
    if isinstance(effect, do.CloseClaim):
        return 0
    return 2 if isinstance(effect, do.BindDevice) else 1


async def note(
    conn: AsyncConnection[Any], known: Known, asked: Asked, decision: Decision, digest: bytes | None, now: int
) -> None:
    """Write the one line of history that *decision* is, and the notices for the owner and the tenant's operators."""
    facts, home = known.facts, known.home
    if home is None:
        before, after = owner_before(facts), owner_after(facts, decision.effects)
    elif facts.home is not decision.home or facts.box is decision.box:
        before, after = str(facts.home), str(decision.home)
    else:
        before, after = str(facts.box), str(decision.box)
    event = Event(
        at=now, event=decision.event, who=who_of(asked), before=before, after=after,
        zone=None if home is None else home.zone, name=None if home is None else home.name,
        device=facts.shown or facts.device, owner=facts.owner or asked.owner, statement=digest, why=asked.reason,
    )  # fmt: skip
    await home_events.append(conn, [event])
    said: dict[str, object] = {"event": decision.event, "at": now}
    if home is not None:
        said["home"] = names.to_text(home.name)
    if asked.who is Who.OPERATOR and asked.reason:
        said["reason"] = asked.reason
    if decision.until is not None:
        said["due"] = decision.until
    for notice in decision.notices:
        if notice.to in ("owner", "operator"):
            owner = event.owner if notice.to == "owner" else None
            await outbox.put(conn, notice.kind, owner, msgspec.json.encode(said), now)


async def _tell_claimant(
    conn: AsyncConnection[Any], known: Known, decision: Decision, bearing: Bearing, now: int
) -> None:
    """Tell who claimed the box, as his tenant's; he learns neither whose it is nor in which home."""
    claim = known.facts.claim
    for notice in decision.notices:
        if notice.to == "claimant" and claim is not None:
            body = msgspec.json.encode({"event": decision.event, "at": now, "claim": str(claim.id)})
            async with crossing.into(conn, claim.tenant, bearing.tenant):
                await outbox.put(conn, notice.kind, claim.claimant, body, now)
