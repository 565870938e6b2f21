"""What operators do with homes and owners, each with a written reason: the machine decides, and it is carried out.

Law: nothing here is unseen. Each leaves a line in the history and a notice that the owner reads, the reason in both.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

import msgspec
from psycopg import AsyncConnection

from ddns.dns.names import Name
from ddns.dns.refusal import Refusal
from ddns.homes import carrying, knowing, ownership
from ddns.homes import ownership_guards as guard
from ddns.homes.carrying import Bearing, Outcome
from ddns.homes.ownership_facts import Asked, Waits, Who
from ddns.proof import jwk
from ddns.proof.jwk import PublicJwk
from ddns.signing.publish import Signs
from ddns.store import owners


class Operator(msgspec.Struct, frozen=True, kw_only=True):
    """Who acts, for which tenant, why and when: *now* in seconds since 1970; *new_id* makes ids."""

    name: str
    reason: str
    tenant: int
    now: int
    new_id: Callable[[], UUID]


async def with_home(
    conn: AsyncConnection[Any], signer: Signs, home: Name, event: str, operator: Operator, key: bytes = b""
) -> Outcome | Refusal:
    """Carry out *event* (suspend, quarantine, release-hold, approve-key, revoke-key) with *home*; the caller commits.

    *key* is the thumbprint of the key that it is about.
    """
    known = await knowing.about_home(conn, home, operator.now, event)
    if known is None:
        return guard.not_yours()
    asked = Asked(event=event, who=Who.OPERATOR, operator=operator.name, reason=operator.reason, key=key)
    decision = ownership.decide(known.facts, asked, operator.now)
    if isinstance(decision, Refusal):
        return decision
    bearing = Bearing(digest=None, new_id=operator.new_id, tenant=operator.tenant)
    return await carrying.carry_out(conn, signer, known, asked, decision, bearing, operator.now)


async def with_owner(
    conn: AsyncConnection[Any],
    signer: Signs,
    owner: UUID,
    event: str,
    operator: Operator,
    waits: Waits,
    key: PublicJwk | None = None,
) -> Outcome | Refusal:
    """Carry out *event* (recover, confirm-recovery, drop-recovery) with *owner*; *key* is the new key of a recovery."""
    known = await knowing.about_owner(conn, owner, waits)
    if known is None:
        return guard.not_yours()
    new = b"" if key is None else jwk.thumbprint(key)
    if key is not None:
        taken = await owners.by_thumbprint(conn, operator.tenant, new) is not None
        known = msgspec.structs.replace(known, facts=msgspec.structs.replace(known.facts, key_known=taken))
    asked = Asked(
        event=event, who=Who.OPERATOR, operator=operator.name, reason=operator.reason, key=new, owner=owner
    )  # fmt: skip
    decision = ownership.decide(known.facts, asked, operator.now)
    if isinstance(decision, Refusal):
        return decision
    bearing = Bearing(digest=None, new_id=operator.new_id, tenant=operator.tenant, new_owner_key=key)
    return await carrying.carry_out(conn, signer, known, asked, decision, bearing, operator.now)
