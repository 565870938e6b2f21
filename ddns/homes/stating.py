"""What somebody has signed is judged and carried out: the facts are read, the machine decides, and it is done.

Law: the signatures were verified before (`ddns.proof.statements`), the transaction is that of the statement's tenant,
and the caller rolls a refusal back. Who has not proved that it is his is told the same whether it is there or not.
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
from ddns.dns.names import BadName
from ddns.dns.refusal import Refusal
from ddns.homes import adopting, boxes, carrying, crossing, knowing, nonces, ownership, vendor_keys
from ddns.homes import ownership_guards as guard
from ddns.homes.carrying import Bearing, Outcome
from ddns.homes.methods import Proved, Wish
from ddns.homes.methods.attested import AttestedMethod
from ddns.homes.ownership_facts import Asked, Box, Facts, Home, Who
from ddns.proof import jwk, nonce, statements
from ddns.proof.bad import BadProof, refusal_of
from ddns.proof.jwk import PublicJwk
from ddns.proof.jws import Signed
from ddns.proof.statements import AnyStatement
from ddns.signing.publish import Signs
from ddns.store import claims, home_people, home_policies, keys_of_homes, owners, zones
from ddns.store.home_people import Standing
from ddns.store.owners import Key
from ddns.store.zones import Zone

_ROLES = {"owner": Who.OWNER, "admin": Who.ADMIN, "recovery": Who.RECOVERY}
_GATEWAY_FIRST = frozenset({"replace"})  # acts whose asker signs after the gateway's new key
_OF_OWNERS = frozenset({"add-owner-key", "remove-owner-key", "recover", "object-recovery"})
_OF_HOMES = frozenset(
    {
        "adopt", "bind-owner", "replace", "announce-key", "approve-key", "revoke-key", "roll-key", "release", "object",
        "stolen", "found", "leave", "return", "device-key", "mint-key",
    }
)  # fmt: skip
ACTS = _OF_OWNERS | _OF_HOMES | {"claim"}


class Asking(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks, of whom, and when: *tenant* is the transaction's, *now* in seconds since 1970, *secret* the registry's.

    *new_id* makes ids; *source* is the network that the statement came from.
    """

    tenant: int
    now: int
    secret: bytes
    new_id: Callable[[], UUID]
    source: str
    sealer: Sealer
    dice: Callable[[int], bytes]


class Reader(msgspec.Struct, frozen=True):
    """What somebody may read: one home (its zone), or all that an owner has."""

    home: int | None = None
    owner: UUID | None = None


async def answer(
    conn: AsyncConnection[Any],
    signer: Signs,
    said: AnyStatement,
    signed: Signed,
    keys: tuple[PublicJwk, ...],
    asking: Asking,
) -> Outcome | Refusal:
    """Carry out what *said* asks for, one of `ACTS`, signed by *keys*."""
    registry = await zones.find(conn, statements.registry_of(said))
    if registry is None or registry.home:
        return not_for_us()
    if said.act == "claim":
        return await _claim(conn, said, signed, keys, registry, asking)
    if said.act in _OF_OWNERS:
        return await _of_owner(conn, signer, said, signed, keys, registry, asking)
    return await _of_home(conn, signer, said, signed, keys, registry, asking)


def not_for_us() -> Refusal:
    """Refuse a statement for another registry."""
    return Refusal(
        "statement-not-for-us",
        Rcode.NOTAUTH,
        "The statement is for another registry, or another zone; put this registry's zone into aud.",
        Ede.NOT_AUTHORITATIVE,
    )


async def _of_home(
    conn: AsyncConnection[Any],
    signer: Signs,
    said: AnyStatement,
    signed: Signed,
    keys: tuple[PublicJwk, ...],
    registry: Zone,
    asking: Asking,
) -> Outcome | Refusal:
    """Carry out what is about one home."""
    home, gateway = statements.home_of(said), _new_gateway(said, keys)
    proved = await _evidence(conn, said, signed, gateway, asking)
    if isinstance(proved, Refusal):
        return proved
    shown = None
    if proved is not None and proved.device is not None and said.act == "replace":
        shown = await boxes.known_or_new(conn, proved.device, asking.now, asking.new_id, proved.bond)
    known = None if home is None else await knowing.about_home(conn, home, asking.now, said.act, shown)
    by = jwk.thumbprint(keys[1] if said.act in _GATEWAY_FIRST else keys[0])
    who = Who.STRANGER if known is None else role_of(known.facts, by)
    if who is Who.STRANGER and await vendor_keys.speaks(conn, keys):
        return guard.vendor_has_no_say()
    if known is None or known.home is None or known.home.parent != registry.id:
        return guard.not_yours()
    owner, new_owner = known.facts.owner, None
    if isinstance(said, statements.Adopt) and await adopting.fits(conn, known.home.zone, said.code, asking.now):
        who = Who.BEARER  # who shows no such code is a stranger, and is told no more
    if isinstance(said, statements.BindOwner | statements.Adopt):
        first = keys[-1]
        theirs = await owners.by_thumbprint(conn, asking.tenant, jwk.thumbprint(first))
        if theirs is not None and theirs.role != "owner":
            return guard.not_yours()
        owner, new_owner = (asking.new_id(), first) if theirs is None else (theirs.owner, None)
    try:
        asked = _asked(said, who, by, gateway, owner)
    except BadName as error:
        return refusal_of(BadProof("field-wrong", f"The name in the statement is none: {error}."))
    if proved is not None:
        asked = msgspec.structs.replace(asked, assurance=proved.assurance)
    decision = ownership.decide(known.facts, asked, asking.now)
    if isinstance(decision, Refusal):
        return decision
    bearing = Bearing(
        digest=signed.digest, new_id=asking.new_id, tenant=asking.tenant, source=asking.source, proved=proved,
        rdata=b"" if gateway is None else jwk.to_key_rdata(gateway), new_owner_key=new_owner, sealer=asking.sealer,
        dice=asking.dice, days=said.days if isinstance(said, statements.MintKey) else 0,
    )  # fmt: skip
    return await carrying.carry_out(conn, signer, known, asked, decision, bearing, asking.now)


async def _evidence(
    conn: AsyncConnection[Any], said: AnyStatement, signed: Signed, gateway: PublicJwk | None, asking: Asking
) -> Proved | Refusal | None:
    """Return what evidence of hardware shows of a gateway's new key, and spend the nonce that it answers."""
    if gateway is None or not isinstance(said, statements.Replace | statements.RollKey) or said.evidence is None:
        return None
    method, wish = AttestedMethod(asking.secret), Wish(signed, said, gateway, None)
    refusal = method.cheap(wish, asking.now)
    if refusal is not None:
        return refusal
    proved = await method.prove(conn, wish, asking.now)
    if isinstance(proved, Refusal):
        return proved
    if proved.spend.nonce is not None and (refusal := await nonces.spend(conn, proved.spend.nonce)) is not None:
        return refusal
    return proved


def _new_gateway(said: AnyStatement, keys: tuple[PublicJwk, ...]) -> PublicJwk | None:
    """Return the key that a gateway or a device is to have."""
    place = {"replace": 0, "announce-key": 0, "roll-key": 1, "device-key": 1}.get(said.act)
    return None if place is None else keys[place]


def _asked(said: AnyStatement, who: Who, by: bytes, gateway: PublicJwk | None, owner: UUID | None) -> Asked:
    """Return what is asked about a home. Raises `BadName`."""
    asked = Asked(event=said.act, who=who, by=by, owner=owner)
    change = msgspec.structs.replace
    match said:
        case statements.ApproveKey(key=key):
            return change(asked, key=statements.digest_of(key))
        case statements.RevokeKey(key=key, reason=reason):
            return change(asked, key=statements.digest_of(key), reason=reason)
        case statements.Release(until=until, bearer=bearer, receiver=receiver):
            return change(
                asked,
                until=until,
                bearer=None if bearer is None else statements.digest_of(bearer),
                receiver=None if receiver is None else statements.digest_of(receiver),
            )
        case statements.Replace(same_box=same_box):
            assert gateway is not None, "a new gateway signed"
            return change(asked, key=jwk.thumbprint(gateway), same_box=same_box)
        case statements.DeviceKey(name=name):
            assert gateway is not None, "a device signed"
            return change(asked, key=jwk.thumbprint(gateway), name=names.from_text(name))
        case statements.MintKey(name=name):
            return change(asked, name=names.from_text(name))
        case statements.Adopt():
            return change(asked, event="bind-owner")
        case _:
            return asked if gateway is None else change(asked, key=jwk.thumbprint(gateway))


def role_of(facts: Facts, key: bytes) -> Who:
    """Return as whom the key with the thumbprint *key* speaks about a home."""
    for one in facts.owner_keys:
        if one.key == key:
            return _ROLES[one.role]
    return Who.GATEWAY if key in (one.key for one in facts.keys) else Who.STRANGER


async def _of_owner(
    conn: AsyncConnection[Any],
    signer: Signs,
    said: AnyStatement,
    signed: Signed,
    keys: tuple[PublicJwk, ...],
    registry: Zone,
    asking: Asking,
) -> Outcome | Refusal:
    """Carry out what is about an owner's keys."""
    by = jwk.thumbprint(keys[0])
    mine = await owners.by_thumbprint(conn, asking.tenant, by)
    if mine is None:
        return guard.vendor_has_no_say() if await vendor_keys.speaks(conn, keys) else guard.not_yours()
    waits = knowing.waits_of(await home_policies.of(conn, asking.tenant, registry.id))
    known = await knowing.about_owner(conn, mine.owner, waits)
    if known is None:
        return guard.not_yours()
    new = keys[1] if len(keys) > 1 else None
    key = jwk.thumbprint(new) if new is not None else b""
    role, note = "", ""
    if isinstance(said, statements.RemoveOwnerKey):
        key = statements.digest_of(said.key)
    if isinstance(said, statements.AddOwnerKey):
        role, note = said.role, said.note
    if new is not None:
        taken = await owners.by_thumbprint(conn, asking.tenant, key) is not None
        known = msgspec.structs.replace(known, facts=msgspec.structs.replace(known.facts, key_known=taken))
    asked = Asked(event=said.act, who=role_of(known.facts, by), by=by, key=key, role=role, owner=mine.owner)
    decision = ownership.decide(known.facts, asked, asking.now)
    if isinstance(decision, Refusal):
        return decision
    bearing = Bearing(
        digest=signed.digest, new_id=asking.new_id, tenant=asking.tenant, source=asking.source, new_owner_key=new,
        note=note,
    )  # fmt: skip
    return await carrying.carry_out(conn, signer, known, asked, decision, bearing, asking.now)


async def reader(
    conn: AsyncConnection[Any], said: AnyStatement, keys: tuple[PublicJwk, ...], asking: Asking
) -> Reader | Refusal:
    """Return what the key that signed *said* may read: the home that it names, or all that its owner has."""
    by = jwk.thumbprint(keys[0])
    home = statements.home_of(said)
    if home is None:
        mine = await owners.by_thumbprint(conn, asking.tenant, by)
        if mine is None or mine.role == "recovery":
            return guard.not_yours()
        return Reader(owner=mine.owner)
    there = await home_people.called(conn, home)
    if there is None or by not in await _readers(conn, there, asking.now):
        return guard.not_yours()
    return Reader(home=there.zone)


async def _readers(conn: AsyncConnection[Any], home: Standing, now: int) -> set[bytes]:
    """Return the thumbprints of the keys that may read a home: its gateway's, its owner's, and administrators'."""
    people = [] if home.owner is None else await owners.keys(conn, home.owner)
    gateways = [
        knowing.thumbprint_of(one.public)
        for one in await keys_of_homes.live(conn, home.zone)
        if one.kind == "sig0" and one.name == home.name and (one.expires_at is None or one.expires_at > now)
    ]
    return {*gateways, *(one.thumbprint for one in people if one.role != "recovery")}


async def _claim(
    conn: AsyncConnection[Any],
    said: AnyStatement,
    signed: Signed,
    keys: tuple[PublicJwk, ...],
    registry: Zone,
    asking: Asking,
) -> Outcome | Refusal:
    """File a claim on a box that proves itself, wherever its home is; that home's owner is told."""
    refusal = await nonces.spend(conn, nonce.good(asking.secret, said.nonce, asking.now))
    if refusal is not None:
        return refusal
    box = await boxes.known(conn, boxes.shown_by(asking.secret, signed.signatures[1], keys[1]))
    if box is None:
        return guard.wrong_box(Facts())
    claimant = await _claimant(conn, keys[0], asking)
    if isinstance(claimant, Refusal):
        return claimant
    policy = await home_policies.of(conn, asking.tenant, registry.id)
    since = asking.now - policy.claim_rest
    mine = Facts(
        open_claims=await claims.count_open(conn, claimant),
        barred=await claims.objected_since(conn, claimant, box, since),
    )
    tenant = await crossing.tenant_with(conn, box)
    if tenant is None:
        return guard.wrong_box(await knowing.about_box(conn, box))
    async with crossing.into(conn, tenant, asking.tenant):
        known = await knowing.about_home_with(conn, box, asking.now)
    if known is None:
        return guard.wrong_box(Facts(box=Box.FREE))
    facts = msgspec.structs.replace(known.facts, open_claims=mine.open_claims, barred=mine.barred)
    known = msgspec.structs.replace(known, facts=facts)
    by = jwk.thumbprint(keys[0])
    asked = Asked(event="claim", who=Who.CLAIMANT, by=by, owner=claimant)
    decision = ownership.decide(facts, asked, asking.now)
    if isinstance(decision, Refusal):
        return decision
    assert decision.until is not None, "a claim waits"
    await claims.insert(conn, asking.new_id(), box, claimant, by, signed.digest, asking.now, decision.until)
    async with crossing.into(conn, tenant, asking.tenant):
        await carrying.note(conn, known, Asked(event="claim", who=Who.CLAIMANT), decision, signed.digest, asking.now)
    return Outcome("claim", Home.NONE, Box.CLAIMED, until=decision.until)


async def _claimant(conn: AsyncConnection[Any], key: PublicJwk, asking: Asking) -> UUID | Refusal:
    """Return the owner who claims, who is made where the key is nobody's yet."""
    found: Key | None = await owners.by_thumbprint(conn, asking.tenant, jwk.thumbprint(key))
    if found is not None:
        return found.owner if found.role == "owner" else guard.not_yours()
    owner = asking.new_id()
    await owners.insert(conn, owner, asking.now)
    await owners.add_key(conn, owner, "owner", jwk.thumbprint(key), jwk.to_json(key), "", asking.now)
    return owner
