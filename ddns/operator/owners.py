"""Owners, as operators look after them: who there is, by which keys, and the registry's own way to a new key.

Nothing of this happens unseen: each step has a written reason, which the owner's keys read, and waits for objections.
"""

from __future__ import annotations

import uuid
from uuid import UUID

import msgspec

from ddns.dns.names import Name
from ddns.dns.refusal import Refusal
from ddns.homes import operating
from ddns.homes.carrying import Outcome
from ddns.homes.operating import Operator
from ddns.homes.ownership_facts import Waits
from ddns.operator.change import Conn
from ddns.operator.fault import CannotDo
from ddns.proof import jwk
from ddns.proof.bad import BadProof
from ddns.proof.jwk import PublicJwk
from ddns.signing.publish import NO_SIGNER
from ddns.store import home_people, home_policies, owners, recoveries
from ddns.store.owners import Key, Owner
from ddns.store.recoveries import Recovery
from ddns.store.tenancy import entered

FIRST = UUID(int=0)  # before every owner
MOST_KEY = jwk.MOST  # octets of a key in a file


class Shown(msgspec.Struct, frozen=True):
    """An owner: the live keys, the homes, and what is not over of recoveries, the one that is decided next first."""

    owner: Owner
    keys: tuple[Key, ...]
    homes: tuple[Name, ...]
    recoveries: tuple[Recovery, ...]


def read_id(text: str) -> UUID:
    """Return the owner's id in *text*. Raises `CannotDo`."""
    try:
        return UUID(text)
    except ValueError:
        raise CannotDo(f"{text!r} is no owner's id; `ddns owner list` shows those there are.") from None


def read_key(octets: bytes) -> PublicJwk:
    """Return the public key in a JWK file. Raises `CannotDo`."""
    try:
        return jwk.from_json(octets.strip())
    except BadProof as error:
        raise CannotDo(f"The file holds no key that an owner can have: {error.sentence}") from None


async def listing(conn: Conn, tenant: int, after: UUID = FIRST, most: int = 500) -> list[Owner]:
    """Return owners of *tenant* by their ids, at most *most*, behind the id *after*."""
    return await owners.listing(conn, tenant, after, most)


async def show(conn: Conn, tenant: int, owner: UUID) -> Shown:
    """Return what there is to say about an owner of *tenant*. Raises `CannotDo`."""
    found = await _owner(conn, tenant, owner)
    return Shown(
        found,
        tuple(await owners.keys(conn, owner)),
        tuple(await home_people.owned_by(conn, owner)),
        tuple(await recoveries.not_over(conn, owner)),
    )


async def keys(conn: Conn, tenant: int, owner: UUID) -> list[Key]:
    """Return all keys that an owner of *tenant* has or had, the oldest first. Raises `CannotDo`."""
    await _owner(conn, tenant, owner)
    return await owners.keys(conn, owner, live=False)


async def recover(
    conn: Conn, tenant: int, owner: UUID, key: PublicJwk, reason: str, principal: str, now: int
) -> Outcome:
    """Begin to give *owner* the new *key*, which takes the place of all others when it is due. Raises `CannotDo`."""
    return await _do(conn, tenant, owner, "recover", reason, principal, now, key)


async def confirm(conn: Conn, tenant: int, owner: UUID, reason: str, principal: str, now: int) -> Outcome:
    """Speak, as the second operator, for a recovery of the registry's that was objected to. Raises `CannotDo`."""
    return await _do(conn, tenant, owner, "confirm-recovery", reason, principal, now)


async def drop(conn: Conn, tenant: int, owner: UUID, reason: str, principal: str, now: int) -> Outcome:
    """End a recovery, or a dispute: the keys stay as they are. Raises `CannotDo`."""
    return await _do(conn, tenant, owner, "drop-recovery", reason, principal, now)


async def _do(
    conn: Conn, tenant: int, owner: UUID, event: str, reason: str, principal: str, now: int,
    key: PublicJwk | None = None,
) -> Outcome:  # fmt: skip
    async with conn.transaction():
        await _owner(conn, tenant, owner)
        await entered(conn, tenant)
        operator = Operator(
            name=principal.removeprefix("operator:"), reason=reason.strip(), tenant=tenant, now=now, new_id=uuid.uuid4
        )
        waits = Waits(registry=await home_policies.longest_registry_wait(conn, tenant))
        done = await operating.with_owner(conn, NO_SIGNER, owner, event, operator, waits, key)
        if isinstance(done, Refusal):
            raise CannotDo(done.text)
    return done


async def _owner(conn: Conn, tenant: int, owner: UUID) -> Owner:
    found = await owners.get(conn, owner)
    if found is None or found.tenant != tenant:
        raise CannotDo(f"There is no owner {owner}; `ddns owner list` shows those there are.")
    return found
