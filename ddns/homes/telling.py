"""What nobody asked for and people should know: claims that run, homes in no use, signs of abuse, bounds that are near.

Law: each is a notice and nothing more. No home is held, and no key taken away, because of a number or of silence. Each
is told once in its time, also where two desks look, or none did at the moment. *now* in seconds since 1970.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec
from psycopg import AsyncConnection

from ddns.dns import names
from ddns.homes import reminders
from ddns.homes.reminders import DAY, WEEK
from ddns.store import abuse, claims, home_uses, outbox, tenants, told

Conn = AsyncConnection[Any]

KINDS = frozenset({"claim.reminder", "home.idle", "home.signals", "quota.near", "quota.reached"})
LOOK_EVERY = 600  # seconds between two looks at what a tenant has in all
SIGNALS = 500  # homes with signals that one look goes through, those with the most first


async def remind_of_claims(conn: Conn, now: int, most: int) -> int:
    """Remind the owners of boxes on which claims are open, at most *most*; return how many."""
    count = 0
    for one in await claims.half_over(conn, now, most):
        until = reminders.claim_reminder(one.filed_at, one.due_at, now)
        if until is not None and await told.once(conn, "claim", str(one.id), now, until):
            said = {"event": "claim", "at": now, "home": names.to_text(one.home), "due": one.due_at}
            await _tell(conn, "claim.reminder", one.owner, said, now)
            count += 1
    return count


async def tell_of_idle_homes(conn: Conn, now: int, most: int) -> int:
    """Tell of homes that were in no use for as long as their policies say, at most *most*; return how many.

    All of a tenant's homes are looked at once a day, and one that stays so is told of again after as long a time.
    """
    found = await home_uses.idle(conn, now, most)
    for one in found:
        await told.once(conn, home_uses.TOLD, str(one.zone), now, now + one.idle)
        said = {"event": "idle", "at": now, "home": names.to_text(one.home), "since": one.since}
        await _tell(conn, "home.idle", one.owner, said, now)
    return len(found)


async def tell_of_signals(conn: Conn, tenant: int, now: int) -> int:
    """Tell a tenant's operators of homes with as many signs of abuse within a week as they want to know of."""
    found = await tenants.get(conn, tenant)
    if found is None or not (found.refusals_a_week or found.complaints_a_week):
        return 0
    if not await told.once(conn, "look", "signals", now, now + LOOK_EVERY):
        return 0
    count = 0
    for one in await abuse.signals(conn, tenant, now - WEEK, SIGNALS):
        over = reminders.is_over(one.refused, found.refusals_a_week) or reminders.is_over(
            one.complaints, found.complaints_a_week
        )
        if over and await told.once(conn, "signals", str(one.zone), now, now + WEEK):
            said = {"at": now, "home": names.to_text(one.name), "refused": one.refused, "complaints": one.complaints}
            await _tell(conn, "home.signals", None, said, now)
            count += 1
    return count


async def tell_of_quotas(conn: Conn, tenant: int, now: int) -> int:
    """Tell a tenant's operators which of its bounds are reached, or nearly, once a week each."""
    found = await tenants.get(conn, tenant)
    if found is None or not found.bounded or not await told.once(conn, "look", "quotas", now, now + LOOK_EVERY):
        return 0
    there = await tenants.counts(conn, tenant, now)
    count = 0
    for what, number, most in (
        ("homes", there.homes, found.homes_most),
        ("invitations", there.invitations, found.invitations_most),
        ("enrolments-a-day", there.enrolments, found.enrolments_a_day),
    ):
        level = reminders.quota_level(number, most)
        if level and await told.once(conn, f"quota {level}", what, now, now + (DAY if what.endswith("day") else WEEK)):
            said = {"at": now, "what": what, "number": number, "most": most, "percent": level}
            await _tell(conn, "quota.reached" if level == 100 else "quota.near", None, said, now)
            count += 1
    return count


async def _tell(conn: Conn, kind: str, owner: UUID | None, said: dict[str, object], now: int) -> None:
    await outbox.put(conn, kind, owner, msgspec.json.encode(said), now)
