"""Between tenants: every table has its wall, and nothing of one is read or changed from behind another's.

Generated from the catalogue of the database, from the store's functions and from the table of routes, so that what is
new is tried too, or has to be said here.
"""

from __future__ import annotations

import collections.abc
import importlib
import inspect
import pkgutil
import types
import typing
from uuid import UUID

import psycopg
import pytest
import walls
from walls import NOW, furnish

import ddns.store
from ddns.store import tenancy

# What the desk may read without a wall: it holds nothing of a tenant, or is reached by the id of a zone, which only its
# own tenant learns (`zones` has a wall, and whoever writes locks there first).
WITHOUT = {
    "alembic_version": "the version of the schema",
    "lease_clock": "what time the database believes it is",
    "signing_policies": "how zones are signed, by name",
    "spent_nonces": "digests of nonces",
    "devices": "of no tenant; found by the digest of an identity alone",
    "device_identities": "digests that nobody can guess",
    "releases": "the seller's word goes from one tenant to another; found by a box's id",
    "requests": "digests of signed messages, and their answers",
    "refusals": "that a key was refused, when and by which code; not what was asked, nor from where",
    "delegations": "by a zone's id",
    "editions": "by a zone's id",
    "journal": "by a zone's id",
    "key_motions": "by a zone's id",
    "leases": "by a zone's id",
    "published_rrsets": "by a zone's id",
    "rrsets": "by a zone's id",
    "signing": "by a zone's id",
    "signing_keys": "by a zone's id; never its private half",
    "signing_orders": "by a zone's id",
    "tlsa_rules": "by a zone's id",
}
# Functions that see over the wall, and what each tells at most.
OVER = {
    "device_history": "kinds and days of a box's events, to who has its certificate",
    "home_of_device": "where a box is, to ddns.homes.crossing alone",
    "seller_of": "who let a box go, to ddns.homes.crossing alone, which tells him that it was taken",
    "tenant_of": "whose transaction a name's is; nothing is answered from it",
    "tenant_at": "whose people come by a server name",
    "every_tenant": "numbers, for chores",
    "invitation_secret": "a sealed secret, of its own tenant's invitations or to nobody's transaction",
    "label_alike": "whether a name looks like another",
    "labels_unfit": "whether names can be had",
    "due_deliveries": "ids, for the courier",
    "forget_notices": "a number",
    "remove_closed_home": "whether it went",
}


async def two(owner):
    """Return two furnished tenants, A and B."""
    registry = await walls.registry(owner)
    return await furnish(owner, registry, 1), await furnish(owner, registry, 2)


async def columns(conn, table):
    cursor = await conn.execute(
        """SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped
           AND has_column_privilege('ddns_web', attrelid, attname, 'SELECT') ORDER BY attnum""",
        [table],
    )
    return [row[0] for row in await cursor.fetchall()]


async def test_every_table_with_a_tenant_has_a_wall_for_each_command(owner):
    cursor = await owner.execute(
        """SELECT relname, relrowsecurity,
                  ARRAY(SELECT polcmd::text FROM pg_policy WHERE polrelid = pg_class.oid
                        AND polroles = ARRAY['ddns_web'::regrole::oid] ORDER BY 1)
           FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace
           AND EXISTS (SELECT FROM pg_attribute
                       WHERE attrelid = pg_class.oid AND attname = 'tenant' AND NOT attisdropped)"""
    )
    found = await cursor.fetchall()

    assert len(found) > 20
    assert [
        (table, wall, policies) for table, wall, policies in found if not wall or policies != ["a", "d", "r", "w"]
    ] == []


async def test_every_table_that_the_desk_reads_has_a_wall_or_a_reason_here(owner):
    cursor = await owner.execute(
        """SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace
           AND NOT relrowsecurity AND has_any_column_privilege('ddns_web', oid, 'SELECT')"""
    )

    assert {row[0] for row in await cursor.fetchall()} == set(WITHOUT)


async def test_no_role_of_ours_is_above_the_walls(owner):
    cursor = await owner.execute(
        "SELECT rolname FROM pg_roles WHERE rolname IN ('ddns_web', 'ddns_server', 'ddns_admin', 'zone_signer') "
        "AND (rolbypassrls OR rolsuper OR rolcreaterole)"
    )
    assert await cursor.fetchall() == []
    cursor = await owner.execute("SELECT count(*) FROM pg_auth_members WHERE member = 'ddns_web'::regrole")
    assert await cursor.fetchone() == (0,)


async def test_the_functions_that_see_over_the_wall_are_known_and_the_desks_alone(owner):
    cursor = await owner.execute(
        """SELECT proname, has_function_privilege('ddns_web', oid, 'EXECUTE'),
                  EXISTS (SELECT FROM aclexplode(proacl) WHERE grantee = 0)
           FROM pg_proc WHERE prosecdef AND pronamespace = 'public'::regnamespace
           AND prorettype <> 'trigger'::regtype"""
    )
    found = await cursor.fetchall()

    assert {name for name, *_ in found} == set(OVER)
    assert [name for name, desk, everybody in found if not desk or everybody] == []


@pytest.mark.parametrize("table", ["signing_keys.sealed", "credentials.secret"])
async def test_the_desk_reads_no_secret_of_a_key(owner, desk_conn, table):
    name, _, column = table.partition(".")

    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        await desk_conn.execute(f"SELECT {column} FROM {name}")


@pytest.mark.parametrize("table", ["statements", "home_events", "claims", "appraisals", "zones", "homes", "journal"])
async def test_the_desk_deletes_no_history(desk_conn, table):
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        await desk_conn.execute(f"DELETE FROM {table}")


@pytest.mark.parametrize("role", ["ddns_admin", "ddns_server", "zone_signer", "postgres"])
async def test_the_desk_becomes_nobody_else(dsn_for, role):
    """By a login of its own, as a service has it: no SET ROLE leads anywhere."""
    async with await psycopg.AsyncConnection.connect(dsn_for("owner"), autocommit=True) as conn:
        await conn.execute("SET SESSION AUTHORIZATION ddns_web")
        with pytest.raises(psycopg.Error):
            await conn.execute(f"SET ROLE {role}")


async def test_a_desk_without_a_tenant_sees_nothing(owner, desk_conn):
    await two(owner)
    # What the registry says for all has no tenant; there is nothing else of that kind here.
    await owner.execute("DELETE FROM idn_tables WHERE tenant IS NULL")

    seen = {}
    for table in await walls.walled(owner):
        shown = ", ".join(await columns(owner, table))
        seen[table] = await (await desk_conn.execute(f"SELECT {shown} FROM {table}")).fetchall()

    assert {table: rows for table, rows in seen.items() if rows} == {}
    assert len(seen) > 25


async def test_each_tenant_has_a_row_behind_every_wall_and_sees_its_own(owner, desk_conn):
    """Otherwise the other tests here would see nothing because nothing is there."""
    a, b = await two(owner)
    missing = []
    for one in (a, b):
        async with desk_conn.transaction():
            await tenancy.entered(desk_conn, one.tenant)
            for table in await walls.walled(owner):
                cursor = await desk_conn.execute(
                    f"SELECT count(*) FROM {table} WHERE {walls.whose(table)}", one.facts()
                )
                if not (await cursor.fetchone())[0]:
                    missing.append(table)

    assert missing == []


async def test_nothing_of_another_tenant_is_seen_changed_or_removed(owner, desk_conn):
    a, b = await two(owner)
    before = await walls.fingerprint(owner, a.facts())
    seen, done = [], []
    for table in await walls.walled(owner):
        shown = await columns(owner, table)
        for words in (
            f"SELECT {', '.join(shown)} FROM {table} WHERE {walls.whose(table)}",
            f"UPDATE {table} SET {shown[-1]} = {shown[-1]} WHERE {walls.whose(table)}",
            f"DELETE FROM {table} WHERE {walls.whose(table)}",
        ):
            try:
                async with desk_conn.transaction():
                    await tenancy.entered(desk_conn, b.tenant)
                    cursor = await desk_conn.execute(words, a.facts())
                    if cursor.rowcount:
                        (seen if words.startswith("SELECT") else done).append(words)
            except psycopg.errors.InsufficientPrivilege:
                pass

    assert (seen, done) == ([], [])
    assert await walls.fingerprint(owner, a.facts()) == before


async def test_no_row_is_made_in_another_tenants_name(owner, desk_conn):
    """Each table with a tenant: a copy of A's row, made by B, does not come to be."""
    a, b = await two(owner)
    made = []
    for table in await walls.walled(owner):
        cursor = await owner.execute(
            """SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped
               AND attidentity <> 'a' AND has_column_privilege('ddns_web', attrelid, attname, 'INSERT')""",
            [table],
        )
        given = [row[0] for row in await cursor.fetchall()]
        if "tenant" not in given:
            continue
        cursor = await owner.execute(f"SELECT {', '.join(given)} FROM {table} WHERE {walls.whose(table)}", a.facts())
        row = await cursor.fetchone()
        places = ", ".join(["%s"] * len(given))
        try:
            async with desk_conn.transaction():
                await tenancy.entered(desk_conn, b.tenant)
                await desk_conn.execute(f"INSERT INTO {table} ({', '.join(given)}) VALUES ({places})", row)
                made.append(table)
        except psycopg.errors.InsufficientPrivilege:
            pass

    assert made == []


@pytest.mark.parametrize(
    "words",
    [
        "UPDATE homes SET owner = %(owner)s WHERE zone = (SELECT zone FROM homes WHERE tenant = %(mine)s)",
        "UPDATE invitations SET owner = %(owner)s WHERE tenant = %(mine)s",
        """INSERT INTO owner_keys (tenant, owner, role, thumbprint, jwk, since)
           VALUES (%(mine)s, %(owner)s, 'owner', sha256('x'), 'x', now())""",
        """INSERT INTO recoveries (id, tenant, owner, thumbprint, jwk, way, started_at, due_at)
           VALUES (gen_random_uuid(), %(mine)s, %(owner)s, sha256('x'), 'x', 'admin', now(), now())""",
        "INSERT INTO homes (zone, tenant) VALUES (%(zone)s, %(mine)s)",
        """INSERT INTO tokens (id, tenant, digest, rights, owner, created_at, expires_at)
           VALUES ('x', %(mine)s, 'x', '{a}', %(owner)s, now(), now())""",
    ],
)
async def test_a_row_that_ties_two_tenants_together_cannot_be_for_any_role(owner, words):
    """The floor below the walls: composite keys, which hold for the tables' owner too."""
    a, b = await two(owner)

    with pytest.raises((psycopg.errors.IntegrityError, psycopg.errors.RaiseException)):
        await owner.execute(words, {**a.facts(), "mine": b.tenant})


# -- each function of the store, with what another tenant has in its hands ----------------------------------------


def functions():
    """Return every function of the store that takes a connection first, with what its parameters are annotated."""
    found = []
    for module in pkgutil.iter_modules(ddns.store.__path__):
        loaded = importlib.import_module(f"ddns.store.{module.name}")
        for name, function in inspect.getmembers(loaded, inspect.iscoroutinefunction):
            if function.__module__ != loaded.__name__ or name.startswith("_"):
                continue
            parameters = list(inspect.signature(function).parameters.values())
            if parameters and parameters[0].name == "conn":
                found.append((f"{module.name}.{name}", function))
    return found


def value_for(function, parameter, a):
    """Return what of A's a parameter of this name and type takes; raises `KeyError` where that is not known."""
    kind = typing.get_type_hints(function)[parameter.name]
    options = [one for one in typing.get_args(kind) if one is not types.NoneType]
    if typing.get_origin(kind) in (types.UnionType, typing.Union) and options:
        kind = options[0]
    if typing.get_origin(kind) in (
        collections.abc.Sequence, collections.abc.Iterable, collections.abc.Collection, list, tuple, set, frozenset,
    ):  # fmt: skip
        (item, *_) = typing.get_args(kind)
        return [plain(parameter.name, item, a)]
    return plain(parameter.name, kind, a)


BY_NAME = {
    "tenant": "tenant", "zone": "zone", "home": "home", "origin": "home", "label": "home", "name": "home",
    "registry": "registry", "parent": "registry", "owner": "owner", "device": "device", "invitation": "invitation",
    "credential": "credential", "webhook": "webhook", "notice": "notice", "claim": "claim", "recovery": "recovery",
    "token": "token", "digest": "digest", "bond": "bond", "verifier": "verifier", "release": "release",
    "zones": "zone", "ids": "zone", "homes": "home", "names": "home", "wanted": "home",
    "claimant": "owner", "host": "name",
}  # fmt: skip
BY_TYPE = {int: NOW, str: "x", bytes: b"x" * 32, bool: True}


def plain(name, kind, a):
    field = BY_NAME.get(name)
    value = a.facts().get(field) if field else None
    if name == "ident":
        value = {UUID: a.webhook, str: a.token}.get(kind)
    if isinstance(value, kind if isinstance(kind, type) else object):
        return value
    if kind is UUID:
        return a.owner
    if kind is int and field is None and name in ("most", "limit", "after", "before", "tries", "delay"):
        return {"after": 0}.get(name, 100)
    return BY_TYPE[kind]


# Functions that B may ask about what is not its own, and why what they say is nobody's secret.
TELL = {
    "webhooks.due": "ids of every tenant's, for the courier, which enters each tenant to read more",
    "devices": "boxes are of no tenant, and found by digests of what identifies them",
    "releases": "the seller's word, found by a box's id",
}


async def own(conn, one):
    """Return what a tenant has, without what is of no tenant: a box, and the seller's word, which any may take up."""
    found = await walls.fingerprint(conn, one.facts())
    return {table: rows for table, rows in found.items() if table not in TELL}


def empty(found):
    return found is None or found is False or found == 0 or (hasattr(found, "__len__") and len(found) == 0)


async def test_no_function_of_the_store_reads_or_changes_what_another_tenant_has(owner, desk_conn):
    """Each is called in B's transaction with A's ids, names and digests, and what it does is committed."""
    a, b = await two(owner)
    before = await own(owner, a)
    called, told = 0, []
    for name, function in functions():
        parameters = list(inspect.signature(function).parameters.values())[1:]
        try:
            given = {one.name: value_for(function, one, a) for one in parameters}
        except (KeyError, TypeError):
            continue  # it takes values of our own making; the tables' walls hold for it all the same
        called += 1
        try:
            async with desk_conn.transaction():
                await tenancy.entered(desk_conn, b.tenant)
                found = await function(desk_conn, **given)
        except (psycopg.Error, ValueError, TypeError, AttributeError, LookupError, AssertionError):
            continue
        if not empty(found) and holds(found, a):
            told.append((name, found))

    assert await own(owner, a) == before
    assert [one for one in told if one[0] not in TELL and one[0].partition(".")[0] not in TELL] == []
    assert called > 60


def holds(found, a):
    """Tell whether what a function returned names something that is A's."""
    text = repr(found)
    return any(
        mark in text
        for mark in (
            str(a.owner),
            repr(a.owner),
            str(a.webhook),
            str(a.claim),
            str(a.recovery),
            a.token,
            repr(a.home)[2:-1],
        )
    )
