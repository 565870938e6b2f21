"""Tenants: who runs homes here, in which zones, how many; made, listed, suspended by the registry's operator."""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec
from psycopg import errors

from ddns.dns import names
from ddns.dns.names import Name
from ddns.operator import words
from ddns.operator.change import Conn
from ddns.operator.fault import CannotDo
from ddns.operator.zones import the_zone
from ddns.store import tenants
from ddns.store.tenancy import REGISTRY, entered
from ddns.store.tenants import Counts, Tenant

# What a tenant may have, and from how many refusals or complaints of a home in a week on its operators are told.
BOUNDS = {
    "homes": "homes_most",
    "invitations": "invitations_most",
    "enrolments-a-day": "enrolments_a_day",
    "refusals-a-week": "refusals_a_week",
    "complaints-a-week": "complaints_a_week",
}
MOST = 1_000_000_000  # of a bound
_NAME = re.compile(r"[a-z][a-z0-9-]{0,31}")


class Shown(msgspec.Struct, frozen=True):
    """A tenant as people look at it: its zones, each with how many homes it has there, and all that it has."""

    tenant: Tenant
    zones: tuple[tuple[Name, int], ...]
    counts: Counts


def read_tenant_name(text: str) -> str:
    """Return the name of a tenant. Raises `CannotDo`."""
    if not _NAME.fullmatch(text):
        raise CannotDo(f"{text!r} is no name of a tenant: write 1 to 32 of a-z, 0-9 and -, a letter first.")
    return text


def read_host(text: str) -> str:
    """Return a server name as TLS has it, without the final dot. Raises `CannotDo`."""
    return names.to_text(words.read_name(text, "server name")).rstrip(".") if text else ""


async def the_tenant(conn: Conn, name: str) -> Tenant:
    """Return the tenant of this name. Raises `CannotDo` where there is none."""
    found = await tenants.named(conn, read_tenant_name(name))
    if found is None:
        raise CannotDo(f"There is no tenant {name}; `ddns tenant list` shows those there are.")
    return found


async def add(conn: Conn, name: str, host: str = "") -> Tenant:
    """Make a tenant, whose people come by the server name *host*. Raises `CannotDo`."""
    wanted = read_tenant_name(name), read_host(host)
    try:
        async with conn.transaction():
            return await tenants.insert(conn, *wanted)
    except errors.UniqueViolation as error:
        if error.diag.constraint_name == "host_of_two_tenants":
            raise CannotDo(f"{host} is the server name of another tenant; choose another.") from None
        raise CannotDo(f"There is a tenant {name} already; choose another name.") from None


async def listing(conn: Conn) -> list[Tenant]:
    """Return all tenants, the registry itself first."""
    return await tenants.listing(conn)


async def show(conn: Conn, name: str, now: int) -> Shown:
    """Return what there is to say about a tenant at *now*, in seconds since 1970. Raises `CannotDo`."""
    found = await the_tenant(conn, name)
    async with conn.transaction(force_rollback=True):  # then the transaction is the tenant's again that it was
        places = await tenants.zones(conn, found.id)
        await entered(conn, found.id)  # where there are walls, what it has is behind its own
        there = await tenants.homes_by_zone(conn, found.id, [zone for zone, _ in places])
        counts = await tenants.counts(conn, found.id, now)
    return Shown(found, tuple((origin, there.get(zone, 0)) for zone, origin in places), counts)


async def set_suspended(conn: Conn, name: str, *, suspended: bool) -> bool:
    """Suspend a tenant, which then gets no new homes and invitations, or release it; tell whether that is a change.

    The homes that it has go on. Raises `CannotDo`.
    """
    async with conn.transaction():
        found = await the_tenant(conn, name)
        if found.id == REGISTRY:
            raise CannotDo("The registry's own tenant cannot be suspended; suspend single homes.")
        wanted = tenants.SUSPENDED if suspended else tenants.ACTIVE
        await tenants.set_state(conn, found.id, wanted)
    return found.state != wanted


async def allow(conn: Conn, name: str, zone: Name, *, allowed: bool = True) -> bool:
    """Let a tenant have homes in the registry's *zone*, or no more new ones; tell whether that is a change.

    Raises `CannotDo`.
    """
    async with conn.transaction():
        found = await the_tenant(conn, name)
        registry = await the_zone(conn, zone)
        if registry.parent is not None:
            raise CannotDo(f"{names.to_text(zone)} is a home; tenants have homes in the registry's zones.")
        if allowed:
            return await tenants.allow(conn, found.id, registry.id)
        return await tenants.disallow(conn, found.id, registry.id)


async def set_bounds(conn: Conn, name: str, bounds: Mapping[str, int], host: str | None = None) -> Tenant:
    """Set some of a tenant's *bounds*, by the words of `BOUNDS`, 0: none; and its *host*, unless that is None.

    Return the tenant as it is then. What it has already stays. Raises `CannotDo`.
    """
    for word, most in bounds.items():
        if word not in BOUNDS:
            raise CannotDo(f"A tenant has no bound {word!r}; there are {', '.join(BOUNDS)}.")
        if not 0 <= most <= MOST:
            raise CannotDo(f"{word}: a bound is 0, which is none, to {MOST}.")
    try:
        async with conn.transaction():
            found = await the_tenant(conn, name)
            changed = msgspec.structs.replace(found, **{BOUNDS[word]: most for word, most in bounds.items()})
            await tenants.set_bounds(conn, changed)
            if host is not None:
                changed = msgspec.structs.replace(changed, host=read_host(host))
                await tenants.set_host(conn, found.id, changed.host)
    except errors.UniqueViolation:
        raise CannotDo(f"{host} is the server name of another tenant; choose another.") from None
    return changed
