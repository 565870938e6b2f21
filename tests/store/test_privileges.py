"""Each role may do its work and no more, in a real Postgres."""

from __future__ import annotations

import uuid

import psycopg
import pytest
from rows import n

from ddns.store import signing, zones
from ddns.zone.jobs import SealedKey

FORBIDDEN = [
    ("ddns_server", "SELECT sealed FROM signing_keys"),
    ("ddns_server", "SELECT * FROM signing_keys"),
    ("ddns_server", "UPDATE signing_keys SET sealed = ''"),
    ("ddns_server", "DELETE FROM signing_keys"),
    ("ddns_server", "UPDATE journal SET principal = 'somebody else'"),
    ("ddns_server", "DELETE FROM journal"),
    ("ddns_server", "TRUNCATE journal"),
    ("ddns_server", "UPDATE editions SET added = ''"),
    ("ddns_server", "DELETE FROM editions"),
    ("ddns_server", "DELETE FROM zones"),
    ("ddns_server", "UPDATE zones SET denial = 'none'"),
    ("ddns_server", "UPDATE zones SET parent = NULL"),
    ("ddns_server", "INSERT INTO invitations (zone, label, expires_at) VALUES (1, '', now())"),
    ("ddns_server", "UPDATE invitations SET expires_at = 'infinity'"),
    ("ddns_server", "UPDATE credentials SET public = ''"),
    ("ddns_server", "UPDATE grants SET subtree = ''"),
    ("ddns_server", "DELETE FROM grants"),
    ("ddns_server", "UPDATE credentials SET assurance = 'attested'"),
    ("ddns_server", "UPDATE homes SET state = 'active'"),
    ("ddns_server", "UPDATE zones SET keyset = 1"),
    ("ddns_server", "UPDATE signing SET wish = 'insecure'"),
    ("ddns_server", "UPDATE signing_keys SET ds = 'hidden'"),
    ("ddns_server", "UPDATE key_motions SET seen_at = now()"),
    ("ddns_server", "INSERT INTO signing_orders (zone, kind, principal, at) VALUES (1, 'insecure', '', now())"),
    ("ddns_server", "SELECT * FROM key_events"),
    ("ddns_server", "UPDATE signing_policies SET watch = 'none'"),
    ("ddns_server", "UPDATE tlsa_rules SET strict = false"),
    ("ddns_server", "SELECT * FROM signers"),
    ("ddns_server", "UPDATE signer_clock SET high = now()"),
    ("ddns_server", "UPDATE delegations SET hand = ''"),
    ("ddns_server", "UPDATE delegations SET state = 'away'"),
    ("ddns_server", "INSERT INTO delegations (zone, wish, state, changed_at) VALUES (1, 'away', 'away', now())"),
    ("ddns_server", "DELETE FROM delegations"),
    ("ddns_server", "DELETE FROM delegation_checks"),
    ("ddns_server", "UPDATE zones SET held = false"),
    ("ddns_server", "UPDATE zones SET presigned = true"),
    ("ddns_server", "ALTER TABLE journal DISABLE TRIGGER ALL"),
    ("ddns_server", "SET ROLE zone_signer"),
    ("ddns_server", "CREATE TABLE mine ()"),
    ("zone_signer", "SELECT secret FROM credentials"),
    ("zone_signer", f"SELECT commit_updates({', '.join(['NULL'] * 15)})"),
    ("ddns_admin", f"SELECT commit_updates({', '.join(['NULL'] * 15)})"),
    ("ddns_server", "UPDATE zones SET basis = 0"),
    ("zone_signer", "DELETE FROM journal"),
    ("zone_signer", "DELETE FROM zones"),
    ("zone_signer", "UPDATE editions SET added = ''"),
    ("zone_signer", "UPDATE tlsa_rolls SET seen_at = now()"),
    ("zone_signer", "UPDATE sightings SET answered_at = now()"),
    ("zone_signer", "UPDATE signing_policies SET watch = 'none'"),
    ("zone_signer", "UPDATE key_events SET why = ''"),
    ("zone_signer", "UPDATE signing_orders SET kind = 'insecure'"),
    ("zone_signer", "UPDATE zones SET parent = NULL"),
    ("zone_signer", "UPDATE delegations SET wish = 'away'"),
    ("zone_signer", "UPDATE delegations SET theirs = NULL"),
    ("zone_signer", "INSERT INTO delegations (zone, wish, changed_at) VALUES (1, 'away', now())"),
    ("zone_signer", "SELECT * FROM delegation_checks"),
    ("zone_signer", "DELETE FROM zones_gone"),
    ("zone_signer", "INSERT INTO grants (credential, zone, subtree) VALUES (1, 1, '')"),
    ("ddns_web", "SELECT secret FROM credentials"),
    ("ddns_web", "SELECT sealed FROM signing_keys"),
    ("ddns_web", "UPDATE credentials SET secret = ''"),
    ("ddns_web", "UPDATE credentials SET public = ''"),
    ("ddns_web", "DELETE FROM zones"),
    ("ddns_web", "DELETE FROM homes"),
    ("ddns_web", "UPDATE homes SET tenant = 2"),
    ("ddns_web", "UPDATE zones SET parent = NULL"),
    ("ddns_web", "DELETE FROM statements"),
    ("ddns_web", "DELETE FROM home_events"),
    ("ddns_web", "UPDATE home_events SET who = ''"),
    ("ddns_web", "DELETE FROM claims"),
    ("ddns_web", "DELETE FROM journal"),
    ("ddns_web", "UPDATE claims SET due_at = now()"),
    ("ddns_web", f"SELECT commit_updates({', '.join(['NULL'] * 15)})"),
    ("ddns_web", "SET ROLE ddns_admin"),
    ("ddns_web", "CREATE TABLE mine ()"),
    ("ddns_web", "SELECT message FROM refusals"),
    ("ddns_web", "SELECT source FROM refusals"),
    ("ddns_web", "SELECT zone, asked FROM refusals"),
    ("ddns_server", "SELECT tenant_of('')"),
    ("ddns_server", "UPDATE tenants SET state = 'active'"),
    ("ddns_server", "SELECT * FROM owner_keys"),
    ("ddns_admin", "SELECT invitation_secret('')"),
    ("ddns_admin", "UPDATE home_events SET who = ''"),
    ("ddns_admin", "DELETE FROM home_events"),
    ("ddns_admin", "SELECT sealed FROM signing_keys"),
    ("ddns_admin", "UPDATE signing_keys SET sealed = ''"),
    ("ddns_admin", "UPDATE signing_keys SET ds = 'hidden'"),
    ("ddns_admin", "UPDATE sightings SET answered_at = now()"),
    ("ddns_admin", "UPDATE signer_clock SET accepted = now()"),
    ("ddns_admin", "UPDATE delegations SET hand = ''"),
    ("ddns_admin", "UPDATE delegations SET copy = ''"),
    ("ddns_admin", "UPDATE delegation_checks SET rule = NULL"),
    ("ddns_admin", "DELETE FROM key_motions"),
    ("ddns_admin", "DELETE FROM key_events"),
    ("ddns_admin", "UPDATE journal SET principal = 'somebody else'"),
    ("ddns_admin", "DELETE FROM journal"),
    ("ddns_admin", "DELETE FROM editions"),
    ("ddns_admin", "SET ROLE zone_signer"),
]


@pytest.mark.parametrize(("role", "statement"), FORBIDDEN)
async def test_a_role_is_refused_what_is_not_its_work(connected, role, statement):
    conn = await connected(role)

    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        await conn.execute(statement)


@pytest.mark.parametrize("role", ["ddns_server", "zone_signer", "ddns_admin"])
async def test_no_role_of_ours_rules_the_cluster(connected, role):
    conn = await connected(role)

    cursor = await conn.execute(
        """
        SELECT rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls FROM pg_roles
        WHERE rolname = current_user
        """
    )

    assert await cursor.fetchone() == (False,)


async def test_the_signer_alone_reads_the_private_half(conn, connected):
    zone = await zones.insert(conn, n("a."), "nsec3", 13)
    await signing.insert_keys(conn, [(zone, SealedKey(str(uuid.uuid4()), 13, 257, 9, b"public", b"sealed"))])

    signer = await connected("zone_signer")

    assert await (await signer.execute("SELECT sealed FROM signing_keys")).fetchall() == [(b"sealed",)]
    assert await signing.keys_public(conn, zone) == [(9, 13, 257, b"public")]


ALLOWED = [
    ("ddns_server", "SELECT watch, parent_servers FROM signing_policies"),
    ("ddns_server", "SELECT place, serial, seen_at FROM key_motions"),
    ("ddns_server", "UPDATE signing SET step_at = now()"),
    ("ddns_server", "SELECT role, stays, dnskey, zrrsig, ds, born_at, removed_at FROM signing_keys"),
    ("ddns_server", "INSERT INTO sightings (zone, kind, server, asked_at) SELECT id, 'parent', 's', now() FROM zones"),
    ("zone_signer", "UPDATE zones SET denial = 'none', keyset = keyset + 1"),
    ("zone_signer", "UPDATE signing SET step_at = NULL, wish = 'secure', problem = ''"),
    ("zone_signer", "UPDATE signing_keys SET stays = false, dnskey = 'hidden', sealed = NULL, state = 'removed'"),
    ("zone_signer", "DELETE FROM key_motions"),
    ("zone_signer", "INSERT INTO key_events (zone, at, record, before, after, why) VALUES (1, now(), '', '', '', '')"),
    ("zone_signer", "DELETE FROM signing_orders"),
    ("zone_signer", "SELECT ds FROM sightings"),
    ("zone_signer", "INSERT INTO signers (name, seen_at, masters) VALUES ('s', now(), '{}')"),
    ("zone_signer", "UPDATE signer_clock SET high = now()"),
    ("ddns_server", "UPDATE delegations SET wish = 'host', theirs = NULL, copy = NULL, cds_stamp = 1, ask_at = now()"),
    ("ddns_server", "INSERT INTO delegation_checks (zone, at, by, said) VALUES (1, now(), 'look', '')"),
    ("zone_signer", "UPDATE delegations SET state = 'away', hand = '', wanted = NULL, foreign_keys = '{}', waits = ''"),
    ("zone_signer", "UPDATE zones SET held = true, presigned = true"),
    ("ddns_admin", "UPDATE delegations SET wish = 'host', continuity = 'none', step_at = now()"),
    ("ddns_admin", "SELECT said FROM delegation_checks"),
    ("ddns_admin", "INSERT INTO signing_policies (name) VALUES ('mine')"),
    ("ddns_admin", "INSERT INTO signing_orders (zone, kind, principal, at) SELECT id, 'roll', '', now() FROM zones"),
    ("ddns_admin", "SELECT held FROM signers"),
    ("ddns_admin", "UPDATE zones SET policy = 'default'"),
]


@pytest.mark.parametrize(("role", "statement"), ALLOWED)
async def test_a_role_may_do_its_work_with_keys(conn, connected, role, statement):
    await zones.insert(conn, n("a."), "nsec3", 13)

    await (await connected(role)).execute(statement)


async def test_what_runs_with_the_owners_rights_looks_at_no_temporary_table(conn, connected):
    """Who may call such a function could give itself the owner's rights by a table with a trigger, of the same name."""
    zone = await zones.insert(conn, n("a."), "none", 13)
    admin = await connected("ddns_admin")
    await admin.execute("CREATE TEMP TABLE zones AS SELECT * FROM zones")
    await admin.execute(
        """CREATE FUNCTION pg_temp.mine() RETURNS trigger LANGUAGE plpgsql AS $$
           BEGIN RAISE EXCEPTION 'run as %', current_user; END $$"""
    )
    await admin.execute(
        "CREATE TRIGGER mine BEFORE UPDATE ON pg_temp.zones FOR EACH ROW EXECUTE FUNCTION pg_temp.mine()"
    )

    await admin.execute("INSERT INTO grants (zone, subtree, rule, denied) VALUES (%s, ''::bytea, 'zone', 'no')", [zone])

    counted = await (await conn.execute("SELECT basis FROM zones WHERE id = %s", [zone])).fetchone()
    assert counted == (1,)


async def test_every_function_with_the_owners_rights_looks_at_temporary_tables_last(conn):
    paths = await conn.execute(
        "SELECT proname, proconfig FROM pg_proc WHERE prosecdef AND pronamespace = 'public'::regnamespace"
    )
    found = dict(await paths.fetchall())

    assert len(found) >= 4
    assert [
        name for name, settings in found.items() if not any(one.endswith(", pg_temp") for one in settings or ())
    ] == []
