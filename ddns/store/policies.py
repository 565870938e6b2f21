"""Signing policies: how zones are signed and how their keys live, and which zone is signed by which.

A zone without a policy of its own has `home` where its registry is here, and `default` elsewhere. Signers read the rows
by themselves; whoever changes one says from where on zones are to be looked at, and they do so page by page.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from psycopg import AsyncConnection, sql

from ddns.dns import names
from ddns.dns.names import Name
from ddns.store.packing import bigints, texts
from ddns.store.pool import rows

DEFAULT = "default"
HOME = "home"
DAY = 86400

_EFFECTIVE = "coalesce(zones.policy, CASE WHEN zones.parent IS NULL THEN 'default' ELSE 'home' END)"


class Policy(msgspec.Struct, frozen=True):
    """A row of `signing_policies`; all times in seconds. What the fields mean is in docs/howto/signing-policies.md.

    *algorithm* None: each zone's own. A lifetime of 0: such a key is replaced when somebody asks.
    """

    name: str
    scheme: str = "csk"
    algorithm: int | None = None
    csk_lifetime: int = 0
    ksk_lifetime: int = 0
    zsk_lifetime: int = 90 * DAY
    lifetime_jitter: float = 0.1
    backdate: int = 3600
    validity: int = 14 * DAY
    jitter: int = 2 * DAY
    refresh: int = 302_400
    dnskey_ttl: int = 3600
    publish_safety: int = 3600
    retire_safety: int = 3600
    ds_ttl: int = DAY
    parent_check: str = "auto"
    parent_servers: tuple[str, ...] = ()
    cds: str = "rolls"
    watch: str = "all"
    patience: int = DAY
    purge_after: int = 90 * DAY
    vault: str = "sealed"


FIELDS = tuple(field for field in Policy.__struct_fields__ if field != "name")

# Of these a change is seen in the next signatures; any other is a matter of keys, which are looked at because of it.
OF_SIGNATURES = frozenset({"backdate", "validity", "jitter", "refresh"})


async def listing(conn: AsyncConnection[Any]) -> list[Policy]:
    """Return all policies, those that every database has first."""
    columns = sql.SQL(", ").join(map(sql.Identifier, Policy.__struct_fields__))
    query = sql.SQL("SELECT {} FROM signing_policies ORDER BY name <> 'default', name <> 'home', name").format(columns)
    return [_policy(row) for row in await rows(await conn.execute(query))]


def _policy(row: Sequence[Any]) -> Policy:
    found = dict(zip(Policy.__struct_fields__, row, strict=True))
    # A `real` has seven digits: what was written comes back.
    return Policy(
        **found
        | {
            "lifetime_jitter": float(f"{found['lifetime_jitter']:.6g}"),
            "parent_servers": tuple(found["parent_servers"]),
        }
    )


async def lock(conn: AsyncConnection[Any]) -> dict[str, Policy]:
    """Return all policies by name; nobody adds, changes or removes one until the transaction ends."""
    await conn.execute("LOCK TABLE signing_policies IN SHARE ROW EXCLUSIVE MODE")
    return {one.name: one for one in await listing(conn)}


async def insert(conn: AsyncConnection[Any], policy: Policy) -> None:
    """Add a policy. Raises `psycopg.errors.UniqueViolation` where there is one of its name."""
    fields = Policy.__struct_fields__
    query = sql.SQL("INSERT INTO signing_policies ({}) VALUES ({})").format(
        sql.SQL(", ").join(map(sql.Identifier, fields)), sql.SQL(", ").join(map(sql.Placeholder, fields))
    )
    await conn.execute(query, _values(policy, fields))


async def change(conn: AsyncConnection[Any], policy: Policy, fields: Sequence[str], *, wake: bool) -> None:
    """Give the policy of this name the values that *policy* has in *fields*.

    *wake*: signers look at the keys of all zones that it is for, some at a time, from the first one on.
    """
    sets: list[sql.Composable] = [
        sql.SQL("{} = {}").format(sql.Identifier(field), sql.Placeholder(field)) for field in fields
    ]
    if wake:
        sets.append(sql.SQL("woken = 0"))
    query = sql.SQL("UPDATE signing_policies SET {} WHERE name = {}").format(
        sql.SQL(", ").join(sets), sql.Placeholder("name")
    )
    await conn.execute(query, _values(policy, ("name", *fields)))


def _values(policy: Policy, fields: Sequence[str]) -> Mapping[str, object]:
    values = msgspec.structs.asdict(policy)
    return {field: list(value) if isinstance(value := values[field], tuple) else value for field in fields}


async def remove(conn: AsyncConnection[Any], name: str) -> None:
    """Remove the policy *name*. Raises `psycopg.errors.ForeignKeyViolation` (zone_under_no_policy)."""
    await conn.execute("DELETE FROM signing_policies WHERE name = %(name)s", {"name": name})


async def users(conn: AsyncConnection[Any]) -> dict[str, int]:
    """Return how many zones each policy is for. It reads the whole table of zones."""
    cursor = await conn.execute(
        f"SELECT {_EFFECTIVE}, count(*) FROM zones GROUP BY 1"  # noqa: S608 - a constant
    )
    return dict(await rows(cursor))


async def zones_of(conn: AsyncConnection[Any], name: str, limit: int) -> list[Name]:
    """Return the names of at most *limit* zones that the policy *name* is for, in canonical order."""
    cursor = await conn.execute(
        f"""SELECT origin FROM zones WHERE {_EFFECTIVE} = %(name)s ORDER BY origin LIMIT %(limit)s""",  # noqa: S608
        {"name": name, "limit": limit},
        binary=True,
    )
    return [names.from_order_key(origin) for (origin,) in await rows(cursor)]


async def of(conn: AsyncConnection[Any], zones: Sequence[int]) -> dict[int, str | None]:
    """Return what each of *zones* says of its policy: None where it has that of its kind."""
    cursor = await conn.execute(
        "SELECT id, policy FROM zones WHERE id = ANY (%(ids)s)", {"ids": bigints(zones)}, binary=True
    )
    return dict(await rows(cursor))


def effective(policy: str | None, *, is_home: bool) -> str:
    """Return the name of the policy that a zone has whose row says *policy*."""
    return policy or (HOME if is_home else DEFAULT)


async def use(conn: AsyncConnection[Any], wanted: Mapping[int, str | None]) -> None:
    """Have locked zones signed by other policies from now on, None: by that of their kind.

    The number of the keyset goes up in the same statement: what signers remember of the zone, its policy among that,
    holds for one number. Keys are looked at as soon as a signer comes to it.
    Raises `psycopg.errors.ForeignKeyViolation` (zone_under_no_policy).
    """
    await conn.execute(
        """
        WITH used AS (
            UPDATE zones SET policy = nullif(wanted.policy, ''), keyset = keyset + 1
            FROM unnest(%(zones)s, %(policies)s) AS wanted (zone, policy)
            WHERE zones.id = wanted.zone
            RETURNING zones.id, zones.edition, zones.denial
        )
        UPDATE signing SET step_at = to_timestamp(0) FROM used
        WHERE signing.zone = used.id AND used.edition > 0 AND used.denial <> 'none'
        """,
        {"zones": bigints(list(wanted)), "policies": texts(policy or "" for policy in wanted.values())},
    )
