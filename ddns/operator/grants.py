"""Grants: which key may write which types at and below which name of a zone."""

from __future__ import annotations

from ddns.auth.principal import Grant
from ddns.dns import names
from ddns.dns.names import Name
from ddns.operator import keys
from ddns.operator.change import Conn
from ddns.operator.fault import CannotDo
from ddns.operator.zones import the_zone
from ddns.store import grants, notify


async def add(conn: Conn, key: Name, origin: Name, subtree: Name | None, types: frozenset[int] | None) -> bool:
    """Grant *key* the *types* (None: all) at and below *subtree* (None: the zone); tell whether that is new.

    Raises `CannotDo`.
    """
    zone = await the_zone(conn, origin)
    below = within(origin, subtree)
    async with conn.transaction():
        new = 0
        for one in await keys.named(conn, key):
            if one.invitation is not None:
                raise CannotDo(f"{names.to_text(key)} is an invitation: it allows one enrolment and nothing else.")
            new += await grants.insert(conn, one.id, Grant(zone.id, below, types))
        await notify.keys(conn, key)
    return new > 0


def within(origin: Name, subtree: Name | None) -> Name:
    """Return *subtree*, or the whole zone. Raises `CannotDo` where it is outside of the zone."""
    if subtree is None:
        return origin
    if not names.is_subdomain(subtree, origin):
        raise CannotDo(f"{names.to_text(subtree)} is outside the zone {names.to_text(origin)}; grant a name in it.")
    return subtree


async def remove(conn: Conn, key: Name, origin: Name, subtree: Name | None, types: frozenset[int] | None) -> int:
    """Take back the grants of *key* on a zone, only those on *subtree* and *types* where they are given.

    Return how many. Raises `CannotDo` where there is none.
    """
    zone = await the_zone(conn, origin)
    async with conn.transaction():
        found = [
            one.id
            for one in await grants.listing(conn, zone.id)
            if one.key == key and subtree in (None, one.grant.subtree) and types in (None, one.grant.types)
        ]
        for one in found:
            await grants.remove(conn, one)
        await notify.keys(conn, key)
    if not found:
        raise CannotDo(
            f"The key {names.to_text(key)} has no such grant on {names.to_text(origin)}; "
            "`ddns grant list` shows those there are."
        )
    return len(found)


async def listing(conn: Conn, origin: Name | None = None) -> list[grants.Listed]:
    """Return the grants by key and zone, all or those on one zone. Raises `CannotDo`."""
    return await grants.listing(conn, None if origin is None else (await the_zone(conn, origin)).id)
