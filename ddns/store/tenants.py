"""Tenants: who runs homes here, in which of the registry's zones, and how many."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from psycopg import AsyncConnection

from ddns.dns import names
from ddns.dns.names import Name
from ddns.store.pool import rows

ACTIVE = "active"
SUSPENDED = "suspended"
DAY = 86400
_COUNTING = 0x6E706C71  # the class of our advisory locks: whoever has a tenant's counts what it has


class Tenant(msgspec.Struct, frozen=True):
    """A tenant; *host* is the server name by which its people come, empty: none of its own. Bounds: 0 is none.

    Its operators are told of a home with so many refusals, or complaints, within a week; 0: they are not.
    """

    id: int
    name: str
    state: str
    host: str
    homes_most: int
    invitations_most: int
    enrolments_a_day: int
    refusals_a_week: int
    complaints_a_week: int
    created_at: int

    @property
    def bounded(self) -> bool:
        """Tell whether anything has to be counted before the tenant may have more."""
        return bool(self.homes_most or self.invitations_most or self.enrolments_a_day)


class Counts(msgspec.Struct, frozen=True):
    """How many homes, open invitations, and homes made in the last day a tenant has."""

    homes: int
    invitations: int
    enrolments: int


_COLUMNS = """id, name, state, coalesce(host, ''), homes_most, invitations_most, enrolments_a_day,
       refusals_a_week, complaints_a_week, extract(epoch FROM created_at)::bigint"""


async def insert(conn: AsyncConnection[Any], name: str, host: str) -> Tenant:
    """Make a tenant. Raises `psycopg.errors.UniqueViolation` (tenant_twice, host_of_two_tenants)."""
    cursor = await conn.execute(
        f"INSERT INTO tenants (name, host) VALUES (%(name)s, nullif(%(host)s, '')) RETURNING {_COLUMNS}",  # noqa: S608
        {"name": name, "host": host},
        binary=True,
    )
    (row,) = await rows(cursor)
    return Tenant(*row)


async def named(conn: AsyncConnection[Any], name: str) -> Tenant | None:
    """Return the tenant of this name."""
    cursor = await conn.execute(
        f"SELECT {_COLUMNS} FROM tenants WHERE name = %(name)s",  # noqa: S608 - constants
        {"name": name},
        binary=True,
    )
    return next((Tenant(*row) for row in await rows(cursor)), None)


async def get(conn: AsyncConnection[Any], tenant: int) -> Tenant | None:
    """Return the tenant of this id."""
    cursor = await conn.execute(
        f"SELECT {_COLUMNS} FROM tenants WHERE id = %(tenant)s",  # noqa: S608 - constants
        {"tenant": tenant},
        binary=True,
    )
    return next((Tenant(*row) for row in await rows(cursor)), None)


async def listing(conn: AsyncConnection[Any]) -> list[Tenant]:
    """Return all tenants, the registry itself first."""
    cursor = await conn.execute(f"SELECT {_COLUMNS} FROM tenants ORDER BY id", binary=True)  # noqa: S608 - constants
    return [Tenant(*row) for row in await rows(cursor)]


async def set_state(conn: AsyncConnection[Any], tenant: int, state: str) -> None:
    """Make a tenant `active` or `suspended`."""
    await conn.execute("UPDATE tenants SET state = %(state)s WHERE id = %(tenant)s", {"tenant": tenant, "state": state})


async def set_host(conn: AsyncConnection[Any], tenant: int, host: str) -> None:
    """Give a tenant the server name *host*, empty: none. Raises `UniqueViolation` (host_of_two_tenants)."""
    await conn.execute(
        "UPDATE tenants SET host = nullif(%(host)s, '') WHERE id = %(tenant)s", {"tenant": tenant, "host": host}
    )


async def set_bounds(conn: AsyncConnection[Any], one: Tenant) -> None:
    """Write the bounds of *one*, and of what its operators are told."""
    await conn.execute(
        """
        UPDATE tenants SET homes_most = %(homes)s, invitations_most = %(invitations)s, enrolments_a_day = %(day)s,
               refusals_a_week = %(refusals)s, complaints_a_week = %(complaints)s
        WHERE id = %(tenant)s
        """,
        {
            "tenant": one.id,
            "homes": one.homes_most,
            "invitations": one.invitations_most,
            "day": one.enrolments_a_day,
            "refusals": one.refusals_a_week,
            "complaints": one.complaints_a_week,
        },
    )


async def allow(conn: AsyncConnection[Any], tenant: int, zone: int) -> bool:
    """Let a tenant have homes in the registry's *zone*; tell whether that is new."""
    cursor = await conn.execute(
        "INSERT INTO tenant_zones (tenant, zone) VALUES (%(tenant)s, %(zone)s) ON CONFLICT DO NOTHING",
        {"tenant": tenant, "zone": zone},
    )
    return cursor.rowcount > 0


async def disallow(conn: AsyncConnection[Any], tenant: int, zone: int) -> bool:
    """Let a tenant have no more homes in *zone*, whatever it has there stays; tell whether it might before."""
    cursor = await conn.execute(
        "DELETE FROM tenant_zones WHERE tenant = %(tenant)s AND zone = %(zone)s", {"tenant": tenant, "zone": zone}
    )
    return cursor.rowcount > 0


async def may_have_homes(conn: AsyncConnection[Any], tenant: int, zone: int) -> bool:
    """Tell whether a tenant may have homes in the registry's *zone*."""
    cursor = await conn.execute(
        "SELECT FROM tenant_zones WHERE tenant = %(tenant)s AND zone = %(zone)s",
        {"tenant": tenant, "zone": zone},
        prepare=True,
    )
    return await cursor.fetchone() is not None


async def zones(conn: AsyncConnection[Any], tenant: int) -> list[tuple[int, Name]]:
    """Return the registry's zones where a tenant may have homes, as (id, name) in canonical order."""
    cursor = await conn.execute(
        """
        SELECT zones.id, zones.origin FROM tenant_zones JOIN zones ON zones.id = tenant_zones.zone
        WHERE tenant_zones.tenant = %(tenant)s ORDER BY zones.origin
        """,
        {"tenant": tenant},
        binary=True,
    )
    return [(zone, names.from_order_key(origin)) for zone, origin in await rows(cursor)]


async def hold(conn: AsyncConnection[Any], tenant: int) -> None:
    """Let nobody else count what *tenant* has before the transaction ends."""
    await conn.execute(
        "SELECT pg_advisory_xact_lock(%(lock)s, %(tenant)s::integer)",
        {"lock": _COUNTING, "tenant": tenant},
        prepare=True,
    )


async def counts(conn: AsyncConnection[Any], tenant: int, now: int) -> Counts:
    """Return what a tenant has at *now*, in seconds since 1970; closed homes count no more."""
    cursor = await conn.execute(
        """
        SELECT (SELECT count(*) FROM homes WHERE tenant = %(tenant)s AND state <> 'closed'),
               (SELECT count(*) FROM invitations WHERE tenant = %(tenant)s AND spent_at IS NULL
                       AND expires_at > to_timestamp(%(now)s)),
               (SELECT count(*) FROM homes WHERE tenant = %(tenant)s AND created_at > to_timestamp(%(since)s))
        """,
        {"tenant": tenant, "now": now, "since": now - DAY},
        prepare=True,
        binary=True,
    )
    (row,) = await rows(cursor)
    return Counts(*row)


async def homes_by_zone(conn: AsyncConnection[Any], tenant: int, some: Sequence[int]) -> dict[int, int]:
    """Return how many homes a tenant has in each of *some* zones."""
    cursor = await conn.execute(
        """
        SELECT zones.parent, count(*) FROM homes JOIN zones ON zones.id = homes.zone
        WHERE homes.tenant = %(tenant)s AND zones.parent = ANY (%(zones)s) GROUP BY zones.parent
        """,
        {"tenant": tenant, "zones": list(some)},
        binary=True,
    )
    return dict(await rows(cursor))
