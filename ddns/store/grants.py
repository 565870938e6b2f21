"""Grants: the rules about which credential may write which types at which names, denials among them.

A denial without a credential binds every key of its zone, or of the homes below it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import itemgetter
from typing import Any

import msgspec
from psycopg import AsyncConnection

from ddns.auth.principal import Grant
from ddns.dns import names
from ddns.dns.names import Name
from ddns.store.packing import bigints, octets, texts
from ddns.store.pool import rows

# The columns that `from_row` reads.
COLUMNS = """grants.zone, grants.subtree, grants.types, grants.rule, grants.counts, grants.min_assurance, grants.denied,
       grants.homes, grants.id, grants.tenant, grants.addresses::text[]"""
KINDS = b"qnItIttzqqB"  # what they are to `ddns.store.unpacking`
_ID = 8


def from_row(row: Sequence[Any]) -> Grant:
    """Return the grant of a row of `COLUMNS`."""
    return _grant(names.from_order_key(row[1]), row)


def from_rows(unpacked: Sequence[Sequence[Any]]) -> tuple[Grant, ...]:
    """Return the grants of rows of `KINDS` in the order of their ids."""
    ordered = sorted(unpacked, key=itemgetter(_ID)) if len(unpacked) > 1 else unpacked
    return tuple([_grant(row[1], row) for row in ordered])


def _grant(name: Name, row: Sequence[Any]) -> Grant:
    zone, _, types, rule, counts, min_assurance, denied, homes, number, tenant, addresses = row
    return Grant(
        zone=zone,
        name=name,
        types=None if types is None else frozenset(types),
        rule=rule,
        most=()
        if counts is None
        else tuple((rdtype, most) for rdtype, most in zip(types, counts, strict=True) if most),
        min_assurance=min_assurance,
        denied=denied,
        homes=homes,
        id=number,
        tenant=tenant,
        addresses=() if addresses is None else tuple([_text(one) for one in addresses]),
    )


def _text(element: str | bytes) -> str:
    """Return an element of a text[], which the rows of `from_rows` have as it came."""
    return element if isinstance(element, str) else element.decode()


def binding(found: Iterable[Grant], home: Name) -> tuple[Grant, ...]:
    """Return the denials for everybody that were *found* for the zone *home*, as they stand there."""
    return tuple([there for one in found if (there := one.for_home(home)) is not None])


class Listed(msgspec.Struct, frozen=True):
    """A grant as people list it: the names of its key and its zone beside it; no key: a denial for everybody.

    *tenant* is the name of the one whose homes it binds, empty: of every one. *by_policy*: a policy wrote it, and
    writes it anew.
    """

    id: int
    credential: int | None
    key: Name | None
    origin: Name
    grant: Grant
    tenant: str = ""
    by_policy: bool = False


async def insert(conn: AsyncConnection[Any], credential: int | None, grant: Grant) -> bool:
    """Give *grant* to *credential* (an id; None: a denial for everybody); tell whether it was not there yet."""
    return await insert_all(conn, [(credential, grant)]) > 0


async def insert_all(conn: AsyncConnection[Any], granted: Sequence[tuple[int | None, Grant]], origin: str = "") -> int:
    """Give grants, as (credential's id, grant), whatever numbers they have; return how many were new.

    *origin* says what of a policy they are, empty: none.
    """
    if not granted:
        return 0
    cursor = await conn.execute(
        """
        INSERT INTO grants (credential, zone, subtree, types, rule, counts, min_assurance, denied, homes, tenant,
                            addresses, origin)
        SELECT credential, zone, subtree, nullif(types, '')::integer[], rule, nullif(counts, '')::integer[],
               nullif(min_assurance, ''), nullif(denied, ''), homes = 'homes', tenant, nullif(addresses, '')::cidr[],
               %(origin)s
        FROM unnest(%(credentials)s, %(zones)s, %(subtrees)s, %(types)s, %(rules)s, %(counts)s, %(assurances)s,
                    %(denied)s, %(homes)s, %(tenants)s, %(addresses)s)
             AS new (credential, zone, subtree, types, rule, counts, min_assurance, denied, homes, tenant, addresses)
        ON CONFLICT DO NOTHING
        """,
        {
            "credentials": bigints([credential for credential, _ in granted]),
            "zones": bigints([grant.zone for _, grant in granted]),
            "subtrees": octets([names.order_key(grant.name) for _, grant in granted]),
            "types": texts(_array(sorted(grant.types)) if grant.types is not None else "" for _, grant in granted),
            "rules": texts(grant.rule for _, grant in granted),
            "counts": texts(
                _array(grant.bound(rdtype) or 0 for rdtype in sorted(grant.types)) if grant.types and grant.most else ""
                for _, grant in granted
            ),
            "assurances": texts(grant.min_assurance or "" for _, grant in granted),
            "denied": texts(grant.denied or "" for _, grant in granted),
            "homes": texts("homes" if grant.homes else "" for _, grant in granted),
            "tenants": bigints([grant.tenant for _, grant in granted]),
            "addresses": texts(
                "{" + ",".join(grant.addresses) + "}" if grant.addresses else "" for _, grant in granted
            ),
            "origin": origin,
        },
        prepare=True,
    )
    return cursor.rowcount


def _array(numbers: Iterable[int]) -> str:
    return "{" + ",".join(map(str, numbers)) + "}"


_LISTED = f"""
SELECT {COLUMNS}, grants.credential, credentials.name, zones.origin, coalesce(tenants.name, ''),
       grants.origin <> ''
FROM grants
LEFT JOIN credentials ON credentials.id = grants.credential
LEFT JOIN tenants ON tenants.id = grants.tenant
JOIN zones ON zones.id = grants.zone
WHERE credentials.revoked_at IS NULL
"""  # noqa: S608 - constants


async def listing(conn: AsyncConnection[Any], zone: int | None = None) -> list[Listed]:
    """Return the grants of everybody and of live credentials by key and zone; *zone*: only those on that one."""
    cursor = await conn.execute(
        _LISTED
        + """
        AND (%(zone)s::bigint IS NULL OR grants.zone = %(zone)s)
        ORDER BY credentials.name NULLS FIRST, grants.credential, zones.origin, grants.subtree, grants.id
        """,
        {"zone": zone},
        binary=True,
    )
    return [_listed(row) for row in await cursor.fetchall()]


async def of_policy(conn: AsyncConnection[Any], tenant: int, zone: int) -> list[tuple[str, Grant]]:
    """Return the denials that the policy of *tenant* for *zone* is of, each with what of it, by name and number."""
    cursor = await conn.execute(
        f"""
        SELECT {COLUMNS}, grants.origin FROM grants
        WHERE zone = %(zone)s AND credential IS NULL AND tenant = %(tenant)s AND origin <> ''
        ORDER BY subtree, id
        """,  # noqa: S608 - a constant
        {"zone": zone, "tenant": tenant},
        binary=True,
    )
    return [(row[-1], from_row(row[:-1])) for row in await rows(cursor)]


async def get(conn: AsyncConnection[Any], number: int) -> Listed | None:
    """Return the grant of this id, unless its credential is revoked."""
    cursor = await conn.execute(_LISTED + "AND grants.id = %(grant)s", {"grant": number}, binary=True)
    row = await cursor.fetchone()
    return None if row is None else _listed(row)


def _listed(row: Sequence[Any]) -> Listed:
    grant = from_row(row[:-5])
    credential, key, origin, tenant, by_policy = row[-5:]
    called = None if key is None else names.from_order_key(key)
    return Listed(grant.id, credential, called, names.from_order_key(origin), grant, tenant, by_policy)


async def for_everybody(conn: AsyncConnection[Any], zones: Iterable[int]) -> dict[int, tuple[Grant, ...]]:
    """Return the denials that bind every key in each of *zones*: its own, and those of its registry for homes."""
    cursor = await conn.execute(
        f"""
        SELECT {COLUMNS}, NULL::bytea AS home, grants.zone AS bound
        FROM grants WHERE credential IS NULL AND NOT homes AND grants.zone = ANY (%(zones)s)
        UNION ALL
        SELECT {COLUMNS}, zones.origin, zones.id
        FROM zones JOIN grants ON grants.zone = zones.parent AND credential IS NULL AND homes
        WHERE zones.id = ANY (%(zones)s) AND (grants.tenant IS NULL OR grants.tenant = zones.tenant)
        ORDER BY id
        """,  # noqa: S608 - a constant
        {"zones": bigints(list(zones))},
        prepare=True,
        binary=True,
    )
    found: dict[int, tuple[Grant, ...]] = {}
    for row in await rows(cursor):
        *columns, home, bound = row
        rule = from_row(columns)
        there = (rule,) if home is None else binding((rule,), names.from_order_key(home))
        found[bound] = (*found.get(bound, ()), *there)
    return found


async def remove(conn: AsyncConnection[Any], grant: int) -> bool:
    """Take back the grant of this id; tell whether there was one."""
    cursor = await conn.execute("DELETE FROM grants WHERE id = %(grant)s", {"grant": grant}, prepare=True)
    return cursor.rowcount > 0
