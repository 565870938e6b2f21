"""What a tenant asks of its homes in one of the registry's zones; without a row, what the columns say by default."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from psycopg import AsyncConnection

from ddns.store.packing import bigints
from ddns.store.pool import rows

DAY = 86400
Span = tuple[int, int]  # of code points, the last one included
CHOSEN, ALLOCATED, BOTH = "chosen", "allocated", "both"


class HomePolicy(msgspec.Struct, frozen=True):
    """A policy; times are in seconds.

    *methods* are the ways to enrol, *least* is the least assurance that a new home's key needs; *expected_only*: boxes
    come by themselves only where they are expected. *labels* says who names a home; *rest* is how long a name rests
    after its home has gone. *lease_most* and *key_lease_most* bound leases (None: as the service does). A claim waits
    for *claim_wait*, and who was objected to may claim again after *claim_rest*; the other waits are those of
    recoveries, by a key and by the registry. A home has *names_most* names with records below its own and
    *records_most* records in all, 0: no bound; after *idle* without any use people are told, 0: they are not.
    """

    methods: tuple[str, ...] = ("invitation",)
    least: str = "token"
    owner_required: bool = False
    expected_only: bool = False
    labels: str = BOTH
    label_least: int = 1
    label_most: int = 63
    label_style: str = "words"
    reserved: tuple[str, ...] = ()
    idn: tuple[str, ...] = ("latin",)
    rest: int = 90 * DAY
    lease_most: int | None = None
    key_lease_most: int | None = None
    claim_wait: int = 30 * DAY
    recovery_wait: int = 3 * DAY
    registry_wait: int = 14 * DAY
    claim_rest: int = 365 * DAY
    names_most: int = 0
    records_most: int = 0
    idle: int = 365 * DAY


FIELDS = tuple(one.name for one in msgspec.structs.fields(HomePolicy))
_COLUMNS = ", ".join(FIELDS)


def _policy(row: Sequence[Any]) -> HomePolicy:
    values: list[Any] = [tuple(one) if isinstance(one, list) else one for one in row]
    return HomePolicy(*values)


async def longest_registry_wait(conn: AsyncConnection[Any], tenant: int) -> int:
    """Return the longest time, in seconds, that one of a tenant's policies has recoveries by the registry wait."""
    cursor = await conn.execute(
        "SELECT coalesce(max(registry_wait), %(usual)s) FROM home_policies WHERE tenant = %(tenant)s",
        {"tenant": tenant, "usual": HomePolicy().registry_wait},
    )
    row = await cursor.fetchone()
    assert row is not None
    return int(row[0])


async def of(conn: AsyncConnection[Any], tenant: int, zone: int) -> HomePolicy:
    """Return the policy of a tenant for its homes in the registry's *zone*."""
    cursor = await conn.execute(
        f"SELECT {_COLUMNS} FROM home_policies WHERE tenant = %(tenant)s AND zone = %(zone)s",  # noqa: S608 - constants
        {"tenant": tenant, "zone": zone},
        prepare=True,
        binary=True,
    )
    return next((_policy(row) for row in await rows(cursor)), HomePolicy())


async def lock(conn: AsyncConnection[Any], tenant: int, zone: int) -> None:
    """Have whoever else changes this policy by the API wait until the open transaction is over."""
    await conn.execute(
        "SELECT pg_advisory_xact_lock(hashtextextended(%(what)s::text, 0))",
        {"what": f"home policy {tenant} {zone}"},
    )


async def put(conn: AsyncConnection[Any], tenant: int, zone: int, policy: HomePolicy) -> None:
    """Write the policy of a tenant for a *zone* where it may have homes, else `ForeignKeyViolation` is raised."""
    places = ", ".join(f"%({one})s" for one in FIELDS)
    anew = ", ".join(f"{one} = excluded.{one}" for one in FIELDS)
    await conn.execute(
        f"""
        INSERT INTO home_policies (tenant, zone, {_COLUMNS}) VALUES (%(tenant)s, %(zone)s, {places})
        ON CONFLICT (tenant, zone) DO UPDATE SET {anew}
        """,  # noqa: S608 - constants
        {
            "tenant": tenant,
            "zone": zone,
            **{one: list(value) if isinstance(value := getattr(policy, one), tuple) else value for one in FIELDS},
        },
    )


async def lease_bounds(conn: AsyncConnection[Any], homes: Iterable[int]) -> dict[int, tuple[int | None, int | None]]:
    """Return how long leases and leases of keys may be in those of *homes* (their zones) whose policy says so."""
    cursor = await conn.execute(
        """
        SELECT zones.id, home_policies.lease_most, home_policies.key_lease_most
        FROM zones JOIN home_policies ON home_policies.zone = zones.parent AND home_policies.tenant = zones.tenant
        WHERE zones.id = ANY (%(zones)s)
              AND (home_policies.lease_most IS NOT NULL OR home_policies.key_lease_most IS NOT NULL)
        """,
        {"zones": bigints(list(homes))},
        prepare=True,
        binary=True,
    )
    return {zone: (lease, key) for zone, lease, key in await rows(cursor)}


class Room(msgspec.Struct, frozen=True):
    """How much a home may hold, 0: no bound, and how much it holds: names below its own, and records.

    What the registry writes itself does not count: the SOA, NS and KEY at the apex.
    """

    names_most: int
    records_most: int
    names: int
    records: int


async def rooms(conn: AsyncConnection[Any], homes: Iterable[int]) -> dict[int, Room]:
    """Return how much room there is in those of *homes* (their zones) whose policy bounds it."""
    cursor = await conn.execute(
        """
        SELECT zones.id, home_policies.names_most, home_policies.records_most, there.names, there.records
        FROM zones JOIN homes ON homes.zone = zones.id
        JOIN home_policies ON home_policies.zone = zones.parent AND home_policies.tenant = zones.tenant
        CROSS JOIN LATERAL (
            SELECT count(DISTINCT owner) FILTER (WHERE owner <> zones.origin) AS names,
                   coalesce(sum(cardinality(rdatas)) FILTER (WHERE owner <> zones.origin OR type NOT IN (2, 6, 25)), 0)
                       ::bigint AS records
            FROM rrsets WHERE rrsets.zone = zones.id) AS there
        WHERE zones.id = ANY (%(zones)s) AND (home_policies.names_most > 0 OR home_policies.records_most > 0)
        """,
        {"zones": bigints(list(homes))},
        prepare=True,
        binary=True,
    )
    return {row[0]: Room(*row[1:]) for row in await rows(cursor)}


async def tables(conn: AsyncConnection[Any], tenant: int) -> dict[str, tuple[Span, ...]]:
    """Return the tables of letters that are everybody's or a tenant's own, by name, of two of a name its own."""
    cursor = await conn.execute(
        """
        SELECT name, array_agg(lower(span)::bigint ORDER BY span), array_agg(upper(span)::bigint - 1 ORDER BY span)
        FROM idn_tables, unnest(codepoints) AS span
        WHERE tenant IS NULL OR tenant = %(tenant)s GROUP BY name, tenant ORDER BY tenant NULLS FIRST
        """,
        {"tenant": tenant},
        binary=True,
    )
    return {name: tuple(zip(first, last, strict=True)) for name, first, last in await rows(cursor)}


async def put_table(conn: AsyncConnection[Any], tenant: int, name: str, spans: Sequence[Span]) -> None:
    """Write a table of letters of a tenant; one of that name gives way."""
    await remove_table(conn, tenant, name)
    await conn.execute(
        "INSERT INTO idn_tables (name, tenant, codepoints) VALUES (%(name)s, %(tenant)s, %(spans)s::int4multirange)",
        {"name": name, "tenant": tenant, "spans": "{" + ",".join(f"[{first},{last}]" for first, last in spans) + "}"},
    )


async def remove_table(conn: AsyncConnection[Any], tenant: int, name: str) -> bool:
    """Remove a table of letters of a tenant; tell whether there was one."""
    cursor = await conn.execute(
        "DELETE FROM idn_tables WHERE name = %(name)s AND tenant = %(tenant)s", {"name": name, "tenant": tenant}
    )
    return cursor.rowcount > 0


async def users_of_table(conn: AsyncConnection[Any], tenant: int, name: str) -> int:
    """Return how many policies of a tenant use the table *name*."""
    cursor = await conn.execute(
        "SELECT count(*) FROM home_policies WHERE tenant = %(tenant)s AND %(name)s = ANY (idn)",
        {"tenant": tenant, "name": name},
        binary=True,
    )
    ((count,),) = await rows(cursor)
    return int(count)
