"""A signed wish for a home is judged and carried out, in the caller's one transaction; by HTTPS all methods end here.

Law: what the method finds is known before any row is read that depends on the wish, and who has not proved it is told
nothing else. The home, its key, its owner and what is spent for it commit together, or nothing does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import Any
from uuid import UUID

import msgspec
from psycopg import AsyncConnection

from ddns.dns import names
from ddns.dns.codes import Ede, Rcode, Type
from ddns.dns.names import Name
from ddns.dns.refusal import Refusal
from ddns.dns.text import rdata_to_text
from ddns.homes import boxes, crossing, expecting, knowing, labels, making, naming, nonces, ownership, policies
from ddns.homes.allocation import falling
from ddns.homes.labels import Label
from ddns.homes.making import Evidence, Unmade, Wanted
from ddns.homes.methods import Method, Proved, Wish
from ddns.homes.ownership_effects import SpendRelease
from ddns.homes.ownership_facts import Asked, Facts, Who
from ddns.proof import b64, jwk, statements
from ddns.signing.publish import Signs
from ddns.store import expected as expected_boxes
from ddns.store import home_policies, owners, releases, rrsets, zones
from ddns.store.expected import Expected
from ddns.store.zones import Zone

UUID_OCTETS = 16
_SEED = 32  # octets from which a name falls that nobody was shown before
Dice = Callable[[int], bytes]


class Enrolled(msgspec.Struct, frozen=True):
    """A home that has just come to be: its full name, its registry's zone, and how sure the registry is of its key.

    *servers* are the registry's name servers, *published* is False where it waits for the signer.
    """

    home: Name
    shown: str
    registry: Name
    servers: tuple[str, ...]
    assurance: str
    published: bool


class Judged(msgspec.Struct, frozen=True):
    """A wish that may be carried out, as far as reading tells: what was *proved*, its home's registry and label.

    *expected* is what its tenant had said of the box, which comes for the first time.
    """

    wish: Wish
    proved: Proved
    registry: Zone
    least: str
    label: Label
    expected: Expected | None = None


class Ready(msgspec.Struct, frozen=True):
    """A wish whose home is ready to be made; a box that its seller has let go is taken by the *releases*."""

    judged: Judged
    wanted: Wanted
    releases: tuple[UUID, ...]


async def enrol(
    conn: AsyncConnection[Any], signer: Signs, method: Method, wish: Wish, tenant: int, now: int, dice: Dice
) -> Enrolled | Refusal:
    """Make the home that *wish* asks *tenant* for, by what *method* proves; the caller rolls back a refusal.

    *now* in seconds since 1970. Raises as `making.make` does where somebody was quicker.
    """
    judged = await judge(conn, method, wish, tenant, now, dice)
    if isinstance(judged, Refusal):
        return judged
    ready = await prepare(conn, judged, tenant, now, dice)
    if isinstance(ready, Refusal):
        return ready
    return (await carry_out(conn, signer, [ready], tenant, now))[0]


async def judge(
    conn: AsyncConnection[Any], method: Method, wish: Wish, tenant: int, now: int, dice: Dice
) -> Judged | Refusal:
    """Say whether *tenant* gives what *wish* asks for; it reads, and writes nothing."""
    proved = await method.prove(conn, wish, now)
    if isinstance(proved, Refusal):
        return proved
    registry = await _registry(conn, proved, wish)
    if isinstance(registry, Refusal):
        return registry
    policy = await home_policies.of(conn, tenant, registry.id)
    has_owner = bool(wish.owned_by) or proved.owner is not None
    expected = await expecting.about(conn, tenant, proved.device)
    first = expected if expected is not None and expected.came_at is None else None  # later it is somebody else's home
    if first is not None and first.owner is not None and proved.owner is None:
        proved, has_owner = msgspec.structs.replace(proved, owner=first.owner), True
    refusal = policies.admits(policy, proved.method, proved.assurance, has_owner=has_owner)
    refusal = refusal or expecting.refuse(policy, proved, expected)
    if refusal is not None:
        return refusal
    if first is not None and first.label and proved.label is None:
        label = await _expected_label(conn, first.label, wish, registry, tenant, now)
    else:
        label = await _label(conn, proved, wish, registry, tenant, now, dice)
    if isinstance(label, Refusal):
        return label
    return Judged(wish, proved, registry, policy.least, label, first)


async def prepare(conn: AsyncConnection[Any], judged: Judged, tenant: int, now: int, dice: Dice) -> Ready | Refusal:
    """Make the rows that the home needs of its owner and its box; the caller rolls back a refusal."""
    wish, proved, label = judged.wish, judged.proved, judged.label
    owner = await _owner(conn, proved, wish, tenant, now, dice)
    if isinstance(owner, Refusal):
        return owner
    box = await _box(conn, proved, now, dice)
    if isinstance(box, Refusal):
        return box
    facts = Facts() if box is None else await knowing.about_box(conn, box)
    facts = msgspec.structs.replace(facts, least=judged.least)
    decision = ownership.decide(facts, _asked(facts, proved, wish, owner, now), now)
    if isinstance(decision, Refusal):
        return decision
    if judged.expected is not None:
        await expected_boxes.came(conn, tenant, judged.expected.digest, judged.expected.vendor, now)
    wanted = Wanted(
        name=names.prepend(label.wire, judged.registry.origin),
        key=jwk.to_key_rdata(wish.gateway),
        assurance=proved.assurance,
        owner=owner,
        device=box,
        invitation=proved.spend.invitation,
        kind=wish.said.kind,
        shown=label.shown,
        skeleton=label.skeleton,
        who=f"owner:{jwk.kid(wish.owner)}" if wish.owner is not None else f"gateway:{jwk.kid(wish.gateway)}",
        statement=wish.signed.digest,
        evidence=Evidence(proved.method, proved.evidence, proved.until, proved.bond, proved.verifier)
        if proved.evidence
        else None,
    )
    return Ready(judged, wanted, tuple(one.id for one in decision.effects if isinstance(one, SpendRelease)))


async def carry_out(
    conn: AsyncConnection[Any], signer: Signs, ready: Sequence[Ready], tenant: int, now: int
) -> tuple[Enrolled | Refusal, ...]:
    """Make the homes of *tenant* that are ready, all in one registry's zone; tell of each, in their order.

    The caller rolls back all of it where one is refused. Raises as `making.make` does.
    """
    registry = ready[0].judged.registry
    made = await making.make(conn, signer, registry, [one.wanted for one in ready], now, tenant)
    for one in ready:
        for release in one.releases:
            await releases.spend(conn, release, now)
            await crossing.tell_seller(conn, release, tenant, now)
    servers = await servers_of(conn, registry)
    return tuple(
        done.refusal
        if isinstance(done, Unmade)
        else Enrolled(
            done.name, one.judged.label.shown, registry.origin, servers, one.wanted.assurance, not done.pending
        )
        for one, done in zip(ready, made.made, strict=True)
    )


def _asked(facts: Facts, proved: Proved, wish: Wish, owner: UUID | None, now: int) -> Asked:
    """Return what is asked of the machine: a box that its seller has let go is taken, all others are enrolled."""
    gateway = jwk.thumbprint(wish.gateway)
    secret = sha256(b64.decode(wish.said.secret)).digest() if wish.said.secret else None
    event, who = "enrol", Who.GATEWAY
    if facts.release is not None and now < facts.release.until:
        event, who = "take", Who.BEARER if facts.release.bearer is not None else Who.OWNER
    by = gateway if wish.owner is None else jwk.thumbprint(wish.owner)
    return Asked(event=event, who=who, by=by, key=gateway, owner=owner, assurance=proved.assurance, secret=secret)


async def _registry(conn: AsyncConnection[Any], proved: Proved, wish: Wish) -> Zone | Refusal:
    """Return the registry's zone that the wish is for, which has to be the one that was proved to be open to it."""
    origin = statements.registry_of(wish.said)
    if proved.zone is not None:
        registry = (await zones.get(conn, [proved.zone])).get(proved.zone)
    else:
        registry = await zones.find(conn, origin)
    if registry is None or registry.home or registry.origin != origin:
        return Refusal(
            "statement-not-for-us",
            Rcode.NOTAUTH,
            "The statement is for another registry, or another zone; put this registry's zone into aud.",
            Ede.NOT_AUTHORITATIVE,
        )
    return registry


async def _label(
    conn: AsyncConnection[Any], proved: Proved, wish: Wish, registry: Zone, tenant: int, now: int, dice: Dice
) -> Label | Refusal:
    """Return the label of the home: the one that was promised, the one that was chosen, or one that is made here."""
    text = wish.said.label
    if proved.label is not None:
        first = names.labels(proved.label)[0]
        whole = names.to_text(proved.label)
        if text not in ("", whole, first.decode()):
            return Refusal(
                "label-not-allowed",
                Rcode.REFUSED,
                f"This invitation is for {whole}; leave the label out, or ask for another invitation.",
                Ede.PROHIBITED,
            )
        return Label(first, *labels.looks(proved.label))
    if not text:
        seed = proved.seed or dice(_SEED)
        return await naming.allocated(conn, tenant, registry, now, falling(seed))
    origin = names.to_text(registry.origin)
    return await naming.chosen(conn, tenant, registry, text.removesuffix(f".{origin}"), now)


async def _owner(
    conn: AsyncConnection[Any], proved: Proved, wish: Wish, tenant: int, now: int, dice: Dice
) -> UUID | Refusal | None:
    """Return the owner of the home that is to be, who is made where the key that signs is nobody's yet."""
    if wish.owner is None:
        return proved.owner
    thumbprint = jwk.thumbprint(wish.owner)
    found = await owners.by_thumbprint(conn, tenant, thumbprint)
    if (found is not None and found.role != "owner") or (
        proved.owner is not None and (found is None or found.owner != proved.owner)
    ):
        return Refusal(
            "not-yours",
            Rcode.REFUSED,
            "The key that signs as the owner's may not own this home; sign with the owner's own key.",
            Ede.PROHIBITED,
        )
    if found is not None:
        return found.owner
    owner = UUID(bytes=dice(UUID_OCTETS), version=4)
    await owners.insert(conn, owner, now)
    await owners.add_key(conn, owner, "owner", thumbprint, jwk.to_json(wish.owner), "", now)
    return owner


async def _box(conn: AsyncConnection[Any], proved: Proved, now: int, dice: Dice) -> UUID | Refusal | None:
    """Return the box that was proved, which is known from now on, and spend the nonce that it answered."""
    if proved.spend.nonce is not None and (refusal := await nonces.spend(conn, proved.spend.nonce)) is not None:
        return refusal
    if proved.device is None:
        return None
    return await boxes.known_or_new(
        conn, proved.device, now, lambda: UUID(bytes=dice(UUID_OCTETS), version=4), proved.bond
    )


async def _expected_label(
    conn: AsyncConnection[Any], text: str, wish: Wish, registry: Zone, tenant: int, now: int
) -> Label | Refusal:
    """Return the label that the tenant keeps for the box."""
    label = await naming.given(conn, tenant, registry, text, now)
    asked = wish.said.label.removesuffix(f".{names.to_text(registry.origin)}")
    if not isinstance(label, Refusal) and asked not in ("", label.wire.decode(), label.shown):
        return Refusal(
            "label-not-allowed", Rcode.REFUSED,
            "The registry has a name for this box already; leave the label out.", Ede.PROHIBITED,
        )  # fmt: skip
    return label


async def servers_of(conn: AsyncConnection[Any], registry: Zone) -> tuple[str, ...]:
    """Return the names of the servers of *registry*, as its zone has them."""
    found = (await rrsets.read_names(conn, [(registry.id, registry.origin)])).get((registry.id, registry.origin), ())
    servers = next((one.rdatas for one in found if one.type == Type.NS), ())
    return tuple(rdata_to_text(Type.NS, one) for one in servers)
