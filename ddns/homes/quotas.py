"""Whether a tenant may have more: suspended, or at one of its bounds, it may not.

Law: it is asked in the transaction that makes the home or the invitation. Where a tenant has bounds nobody else counts
what it has until that ends, so of two that would each fit not both come in.
"""

from __future__ import annotations

from typing import Any

from psycopg import AsyncConnection

from ddns.dns.codes import Ede, Rcode
from ddns.dns.refusal import Refusal
from ddns.store import tenants


async def room(
    conn: AsyncConnection[Any], tenant: int, zone: int, now: int, *, homes: int = 0, invitations: int = 0
) -> Refusal | None:
    """Refuse so many new *homes* and *invitations* of a tenant in the registry's *zone*, unless it may have them."""
    found = await tenants.get(conn, tenant)
    if found is None or not await tenants.may_have_homes(conn, tenant, zone):
        return Refusal(
            "zone-not-the-tenants",
            Rcode.REFUSED,
            "This zone is not one where the tenant may have homes; ask the registry to allow it.",
            Ede.PROHIBITED,
        )
    if found.state != tenants.ACTIVE:
        return Refusal(
            "tenant-suspended",
            Rcode.REFUSED,
            f"The tenant {found.name} is suspended, and takes no new homes; ask the registry.",
            Ede.PROHIBITED,
        )
    if not found.bounded:
        return None
    await tenants.hold(conn, tenant)
    there = await tenants.counts(conn, tenant, now)
    for what, most, number in (
        ("homes", found.homes_most, there.homes + homes if homes else 0),
        ("open invitations", found.invitations_most, there.invitations + invitations if invitations else 0),
        ("new homes a day", found.enrolments_a_day, there.enrolments + homes if homes else 0),
    ):
        if most and number > most:
            return Refusal(
                "quota-reached",
                Rcode.REFUSED,
                f"The tenant {found.name} may have {most} {what}, and this would make it {number}; ask the registry.",
                Ede.PROHIBITED,
            )
    return None
