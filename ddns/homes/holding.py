"""Homes that are held, and homes that are given up: what leaves the DNS, and how it comes back.

A suspended home takes no updates and is served. One in quarantine, or closed, is served no more and is not delegated;
its records stay, so that what was taken away can be given back in one transaction.

Law: each function locks the home's zone and the registry's, in the order of their ids, and the caller commits. What
they return are the zones that wait for the signer. A home that has servers of its own cannot be taken out of the DNS
here before it is back: `Elsewhere`.
"""

from __future__ import annotations

from typing import Any

from psycopg import AsyncConnection

from ddns.dns.names import Name
from ddns.homes import keying
from ddns.homes.delegating import delegate_again, is_elsewhere, undelegate
from ddns.signing.publish import Signs
from ddns.store import homes, keys_of_homes, leases, notify, resting, zones
from ddns.store.zones import Zone

_OUT = (homes.QUARANTINED, homes.CLOSED)


class Elsewhere(Exception):
    """The home has servers of its own, or is on its way there or back."""


class NoHome(Exception):
    """The zone is no home, or is no more."""


async def _locked(conn: AsyncConnection[Any], zone: int) -> tuple[Zone, Zone, str]:
    """Lock a home's zone and its registry's; return both, and the home's state."""
    found = (await zones.get(conn, [zone])).get(zone)
    if found is None or found.parent is None:
        raise NoHome
    held = await zones.lock(conn, [zone, found.parent])
    stands = await homes.standing(conn, zone)
    if zone not in held or found.parent not in held or stands is None:
        raise NoHome
    return held[zone], held[found.parent], stands.state


async def hold(
    conn: AsyncConnection[Any], signer: Signs, zone: int, state: str, reason: str, who: str, now: int
) -> tuple[int, ...]:
    """Suspend a home, or put it into quarantine, for a *reason* that its owner reads. Raises `NoHome`, `Elsewhere`."""
    home, registry, was = await _locked(conn, zone)
    pending: tuple[int, ...] = ()
    if state == homes.QUARANTINED and was not in _OUT:
        pending = await _take_out(conn, signer, home, registry, who)
    elif state == homes.SUSPENDED and was in _OUT:
        pending = await _bring_back(conn, signer, home, registry)
    await homes.set_state(conn, zone, state, reason, now)
    await notify.keys(conn, None)
    return pending


async def release(conn: AsyncConnection[Any], signer: Signs, zone: int, now: int) -> tuple[int, ...]:
    """Have a home that is held, or closed, be as it was before. Raises `NoHome`."""
    home, registry, was = await _locked(conn, zone)
    pending = await _bring_back(conn, signer, home, registry) if was in _OUT else ()
    await homes.set_state(conn, zone, homes.ACTIVE, "", now)
    await leases.begin_anew(conn, zone)  # nobody could renew
    await notify.keys(conn, None)
    return pending


async def close(conn: AsyncConnection[Any], signer: Signs, zone: int, who: str, now: int) -> tuple[int, ...]:
    """Give a home up: its keys are revoked, and it leaves the DNS. Its records stay. Raises `NoHome`, `Elsewhere`."""
    home, _, was = await _locked(conn, zone)
    live = [one.id for one in await keys_of_homes.live(conn, zone)]
    swapped = await keying.swap(conn, signer, home, (), live, who)
    pending = swapped.outcome.pending
    if was not in _OUT:
        home, registry, _ = await _locked(conn, zone)
        pending += await _take_out(conn, signer, home, registry, who)
    await homes.set_state(conn, zone, homes.CLOSED, "", now)
    return pending


async def rest(conn: AsyncConnection[Any], zone: int, until: int) -> None:
    """Have nobody but its owner get the name of the home with *zone*, until *until* (seconds since 1970)."""
    home, registry, _ = await _locked(conn, zone)
    stands = await homes.standing(conn, zone)
    await resting.rest(conn, registry.id, home.origin, None if stands is None else stands.owner, until)


async def wake(conn: AsyncConnection[Any], registry: int, name: Name) -> None:
    """Have a name rest no more."""
    await resting.wake(conn, registry, [name])


async def _take_out(conn: AsyncConnection[Any], signer: Signs, home: Zone, registry: Zone, who: str) -> tuple[int, ...]:
    if await is_elsewhere(conn, home):
        raise Elsewhere
    pending = await undelegate(conn, signer, registry, home.id, home.origin, who)
    await homes.hide(conn, home.id, held=True)
    await notify.zones(conn, [(home.id, None)])
    return pending


async def _bring_back(conn: AsyncConnection[Any], signer: Signs, home: Zone, registry: Zone) -> tuple[int, ...]:
    pending = await delegate_again(conn, signer, registry, home)
    await homes.hide(conn, home.id, held=False)
    await notify.zones(conn, [(home.id, home.edition)])
    return pending
