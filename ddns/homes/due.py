"""What falls due with time alone: claims that are granted or were answered by use, recoveries, and homes that left.

Each function looks for one thing of the transaction's tenant, has the machine decide, and carries it out; it returns 1
where it did, so that one event is one transaction, and 0 where nothing was due. *now* in seconds since 1970.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

import msgspec
from psycopg import AsyncConnection

from ddns.dns.refusal import Refusal
from ddns.homes import carrying, knowing, ownership
from ddns.homes import ownership_guards as guard
from ddns.homes.carrying import Bearing
from ddns.homes.knowing import Known
from ddns.homes.ownership_facts import Asked, Waits, Who
from ddns.signing.publish import Signs
from ddns.store import claims, home_people, recoveries

LOOKED_AT = 20  # of what is due, until one can be carried out

NewId = Callable[[], UUID]


async def decide_claim(conn: AsyncConnection[Any], signer: Signs, tenant: int, now: int, new_id: NewId) -> int:
    """Grant the claim that nobody answered, or close the one whose box is in use: rows 12 and 13 of the machine."""
    for box in await claims.to_decide(conn, now, LOOKED_AT):
        known = await knowing.about_home_with(conn, box, now)
        if known is not None and known.facts.claim is not None:
            # It is the home's own box, which shows nothing: it is spoken of.
            facts = msgspec.structs.replace(known.facts, shown=None)
            known = msgspec.structs.replace(known, facts=facts)
            event = "use" if facts.used else "grant-claim"
            if await _happens(conn, signer, known, event, tenant, now, new_id):
                return 1
    return 0


async def finish_recovery(conn: AsyncConnection[Any], signer: Signs, tenant: int, now: int, new_id: NewId) -> int:
    """Give an owner the new key that nobody objected to: row 21."""
    for owner in await recoveries.due(conn, now, LOOKED_AT):
        known = await knowing.about_owner(conn, owner, Waits())
        if known is not None and await _happens(conn, signer, known, "finish-recovery", tenant, now, new_id):
            return 1
    return 0


async def sweep_home(conn: AsyncConnection[Any], signer: Signs, tenant: int, now: int, new_id: NewId) -> int:
    """Remove what a home that left 30 days ago had kept: row 23."""
    for home in await home_people.left_before(conn, now - guard.KEPT, LOOKED_AT):
        known = await knowing.about_home(conn, home, now)
        if known is not None and await _happens(conn, signer, known, "sweep", tenant, now, new_id):
            return 1
    return 0


async def _happens(
    conn: AsyncConnection[Any], signer: Signs, known: Known, event: str, tenant: int, now: int, new_id: NewId
) -> bool:
    asked = Asked(event=event, who=Who.CLOCK)
    decision = ownership.decide(known.facts, asked, now)
    if isinstance(decision, Refusal):
        return False
    bearing = Bearing(digest=None, new_id=new_id, tenant=tenant)
    return not isinstance(await carrying.carry_out(conn, signer, known, asked, decision, bearing, now), Refusal)
