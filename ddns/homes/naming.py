"""The name of a home that is to be: the one that people choose, or one that the registry makes.

Law: whoever gets a name from here may still find it taken when the home is made, for only the database's constraint
decides. Then it asks again; nothing is kept for anybody.
"""

from __future__ import annotations

from typing import Any

from psycopg import AsyncConnection

from ddns.dns import names
from ddns.dns.codes import Ede, Rcode
from ddns.dns.names import BadName, Name
from ddns.dns.refusal import Refusal
from ddns.homes import labels
from ddns.homes.allocation import Dice, offers
from ddns.homes.labels import Label
from ddns.homes.making import Wanted, occupied
from ddns.homes.policies import label_rules
from ddns.store import home_policies, naming, new_homes
from ddns.store.zones import Zone


async def chosen(conn: AsyncConnection[Any], tenant: int, registry: Zone, text: str, now: int) -> Label | Refusal:
    """Return the label that people write as *text* for a home in the zone *registry*, unless it cannot be had at *now*.

    Why not is said only where that follows from public rules.
    """
    policy = await home_policies.of(conn, tenant, registry.id)
    if policy.labels == home_policies.ALLOCATED:
        return Refusal(
            "label-not-allowed",
            Rcode.REFUSED,
            "Names of homes are made by this registry; ask for one without saying which.",
            Ede.PROHIBITED,
        )
    return await given(conn, tenant, registry, text, now)


async def given(conn: AsyncConnection[Any], tenant: int, registry: Zone, text: str, now: int) -> Label | Refusal:
    """Return the label *text* that the registry gives a home, as `chosen` does, also where people choose none."""
    policy = await home_policies.of(conn, tenant, registry.id)
    label = labels.read(text, await label_rules(conn, tenant, policy), registry.origin)
    if isinstance(label, Refusal):
        return label
    return label if await _free(conn, registry, label, now) else labels.unavailable()


async def allocated(conn: AsyncConnection[Any], tenant: int, registry: Zone, now: int, dice: Dice) -> Label | Refusal:
    """Return a label for a home in the zone *registry* that asks for none: the first that is free, ever longer ones."""
    policy = await home_policies.of(conn, tenant, registry.id)
    if policy.labels == home_policies.CHOSEN:
        return Refusal(
            "label-not-allowed",
            Rcode.REFUSED,
            "Names of homes are chosen by people here; say which one the home is to have.",
            Ede.PROHIBITED,
        )
    for label in offers(policy.label_style, await label_rules(conn, tenant, policy), registry.origin, dice):
        if await _free(conn, registry, label, now):
            return label
    return labels.unavailable()


async def refuse(conn: AsyncConnection[Any], tenant: int, registry: Zone, home: Name) -> Refusal | None:
    """Refuse the name *home* where the policy does not give it, or where people may take it for another home's.

    Whether somebody has it is not asked.
    """
    policy = await home_policies.of(conn, tenant, registry.id)
    text = home[1 : 1 + home[0]].decode("latin-1")
    label = labels.read(text, await label_rules(conn, tenant, policy), registry.origin)
    if isinstance(label, Refusal):
        return label
    alike = await naming.alike(conn, registry.id, home, label.skeleton, plain=label.plain)
    return labels.unavailable() if alike else None


async def _free(conn: AsyncConnection[Any], registry: Zone, label: Label, now: int) -> bool:
    try:
        name = names.prepend(label.wire, registry.origin)
    except BadName:
        return False
    wanted = Wanted(name=name)
    if await new_homes.unfit(conn, registry.id, [wanted], now) or await occupied(conn, registry.id, [wanted]):
        return False
    return not await naming.alike(conn, registry.id, name, label.skeleton, plain=label.plain)
