"""The schema is made, checked and taken back, and a database that cannot have it is refused in one sentence."""

from __future__ import annotations

import subprocess
import sys

import psycopg
import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from psycopg.conninfo import make_conninfo

from ddns import schema
from ddns.dns.names import from_text, order_key
from ddns.postgres import OWNER
from ddns.schema import SchemaProblem


@pytest.fixture
def empty(postgres, empty_database):
    return postgres.dsn(OWNER, empty_database)


def objects(dsn):
    with psycopg.connect(dsn) as conn:
        return conn.execute(
            """
            SELECT 'relation', relname, relkind::text, coalesce(relacl::text, '') FROM pg_class
            WHERE relnamespace = 'public'::regnamespace AND relname NOT LIKE 'alembic%'
            UNION ALL SELECT 'function', proname, '', coalesce(proacl::text, '') FROM pg_proc
            WHERE pronamespace = 'public'::regnamespace
            UNION ALL SELECT 'constraint', conname, pg_get_constraintdef(oid), '' FROM pg_constraint
            WHERE connamespace = 'public'::regnamespace AND conrelid <> 'alembic_version'::regclass
            ORDER BY 1, 2, 3, 4
            """
        ).fetchall()


def test_up_down_and_up_again_gives_the_same_schema(empty):
    schema.upgrade(empty)
    first = objects(empty)
    schema.downgrade(empty)
    between = objects(empty)
    schema.upgrade(empty)

    assert between == []
    assert objects(empty) == first
    assert len(first) > 50


def test_the_program_knows_the_newest_revision_and_there_is_one():
    config = Config()
    config.set_main_option("script_location", str(schema._migrations()))
    config.set_main_option("path_separator", "os")

    assert ScriptDirectory.from_config(config).get_heads() == [schema.HEAD]


def test_one_step_at_a_time_works_too(empty):
    schema.upgrade(empty, "0001")

    with pytest.raises(SchemaProblem, match=f"older schema 0001, and this program needs {schema.HEAD}"):
        schema.check(empty)
    schema.upgrade(empty)
    schema.check(empty)
    schema.downgrade(empty, "0001")
    schema.upgrade(empty)
    schema.check(empty)


def test_several_processes_may_upgrade_at_once(empty):
    code = "import sys; from ddns import schema; schema.upgrade(sys.argv[1])"
    running = [subprocess.Popen([sys.executable, "-c", code, empty], stderr=subprocess.PIPE) for _ in range(2)]

    assert [(process.wait(60), process.communicate()[1]) for process in running] == [(0, b"")] * 2
    schema.check(empty)


def test_a_check_of_what_is_up_to_date_does_without_alembic(dsn):
    code = "import sys; from ddns.schema import *; check(sys.argv[1]); upgrade(sys.argv[1]); print(*sys.modules)"

    done = subprocess.run([sys.executable, "-c", code, dsn], check=True, capture_output=True, text=True)

    assert not {"alembic", "sqlalchemy"} & set(done.stdout.split())


@pytest.mark.parametrize("role", schema.ROLES)
def test_every_role_may_check(dsn_for, role):
    schema.check(dsn_for(role))


def test_a_database_without_tables_is_refused(empty):
    with pytest.raises(SchemaProblem, match="has no tables of ours yet: start `ddns serve`"):
        schema.check(empty)


@pytest.mark.parametrize("how", [schema.check, schema.upgrade])
def test_a_newer_schema_is_refused(dsn, how):
    with psycopg.connect(dsn) as conn:
        conn.execute("UPDATE alembic_version SET version_num = '9999'")

    with pytest.raises(SchemaProblem, match=r"newer than this program's .*: update this program"):
        how(dsn)


@pytest.mark.parametrize("how", [schema.check, schema.upgrade])
def test_a_database_out_of_reach_is_said_in_one_sentence(how, tmp_path):
    with pytest.raises(SchemaProblem, match="out of reach") as caught:
        how(f"host={tmp_path} dbname=none")

    assert "\n" not in str(caught.value)


def test_a_dsn_that_does_not_parse_is_said_so():
    with pytest.raises(SchemaProblem, match="does not parse"):
        schema.check("host=localhost nonsense")


def test_a_database_in_another_encoding_is_refused(postgres):
    with psycopg.connect(postgres.dsn(OWNER, "postgres"), autocommit=True) as conn:
        conn.execute("CREATE DATABASE latin TEMPLATE template0 ENCODING LATIN1 LOCALE 'C'")
        try:
            with pytest.raises(SchemaProblem, match="has the encoding LATIN1"):
                schema.check(postgres.dsn(OWNER, "latin"))
        finally:
            conn.execute("DROP DATABASE latin")


@pytest.fixture
def stranger(postgres, empty):
    """The DSN of a user without rights, who owns nothing."""
    with psycopg.connect(empty, autocommit=True) as conn:
        conn.execute("CREATE ROLE stranger LOGIN")
        yield make_conninfo(empty, user="stranger")
        conn.execute("DROP OWNED BY stranger")
        conn.execute("DROP ROLE stranger")


def test_a_user_who_may_not_make_tables_is_told_the_cure(stranger):
    with pytest.raises(SchemaProblem, match="run GRANT CREATE ON SCHEMA public TO stranger;"):
        schema.upgrade(stranger)


def test_the_cure_that_a_user_without_the_roles_is_told_works(stranger, empty):
    with psycopg.connect(empty, autocommit=True) as conn:
        conn.execute("GRANT CREATE ON SCHEMA public TO stranger")
        with pytest.raises(SchemaProblem, match="as a superuser, run") as caught:
            schema.upgrade(stranger)
        cure = str(caught.value).partition("as a superuser, run ")[2]
        assert "GRANT ddns_server, zone_signer, ddns_admin, ddns_web TO stranger;" in cure
        conn.execute(cure)

    schema.upgrade(stranger)
    schema.check(stranger)
    schema.downgrade(stranger)


def test_what_an_update_writes_is_checked_by_domains(dsn):
    """A CHECK of the table would be read and planned anew by each statement that writes there."""
    with psycopg.connect(dsn) as conn:
        checks = conn.execute(
            """
            SELECT conname FROM pg_constraint
            WHERE contype = 'c' AND conrelid::regclass::text
                  IN ('zones', 'rrsets', 'published_rrsets', 'journal', 'editions', 'requests')
            """
        ).fetchall()

        assert checks == []
        for statement, constraint in (
            ("UPDATE zones SET serial = 4294967296", "serial_beyond_32_bits"),
            ("UPDATE zones SET parent = id", "zone_that_is_its_own_parent"),
            (
                "INSERT INTO zones (origin, denial, algorithm, parent) VALUES ('', 'nsec', 13, lastval())",
                "zone_that_is_its_own_parent",
            ),
            ("INSERT INTO zones (origin, denial, algorithm) VALUES ('', 'nsec5', 13)", "zone_with_unknown_denial"),
            ("INSERT INTO zones (origin, denial, algorithm) VALUES ('', 'nsec', 5)", "zone_with_unknown_algorithm"),
            (
                "INSERT INTO journal (zone, seq, principal, change) VALUES (1, 0, '', '')",
                "journal_entry_before_the_first",
            ),
        ):
            conn.execute("SAVEPOINT before")
            conn.execute("INSERT INTO zones (origin, denial, algorithm) VALUES ('x', 'nsec', 13)")
            with pytest.raises(psycopg.errors.CheckViolation) as caught:
                conn.execute(statement)
            assert caught.value.diag.constraint_name == constraint
            conn.execute("ROLLBACK TO before")


def _make_key(conn, zone, **more):
    """Insert a key of *zone*; *more* are other columns."""
    row = {"algorithm": 13, "flags": 257, "tag": 1, "public": b"p", "sealed": b"s"} | more
    columns, places = ", ".join(row), ", ".join(f"%({name})s" for name in row)
    conn.execute(
        f"INSERT INTO signing_keys (id, zone, {columns}) VALUES (gen_random_uuid(), %(zone)s, {places})",
        row | {"zone": zone},
    )


def _make_zone(conn, origin, denial="nsec3", parent=None, algorithm=13):
    row = conn.execute(
        "INSERT INTO zones (origin, denial, algorithm, parent) VALUES (%s, %s, %s, %s) RETURNING id",
        (origin, denial, algorithm, parent),
    ).fetchone()
    conn.execute("INSERT INTO signing (zone) VALUES (%s)", row)
    return row[0]


def test_keys_that_were_there_before_keys_had_lives_are_where_they_are_known_to_be(empty):
    schema.upgrade(empty, "0008")
    with psycopg.connect(empty) as conn:
        registry, plain = _make_zone(conn, b"r"), _make_zone(conn, b"p", "none")
        home = _make_zone(conn, b"h", parent=registry)
        for zone in (registry, plain, home):
            _make_key(conn, zone)

    schema.upgrade(empty)

    with psycopg.connect(empty) as conn:
        found = conn.execute("SELECT zone, role, stays, dnskey, zrrsig, ds, state FROM signing_keys").fetchall()
    phases = {zone: row for zone, *row in found}
    assert phases[home] == ["csk", True, "omnipresent", "omnipresent", "omnipresent", "active"]
    assert phases[registry] == ["csk", True, "omnipresent", "omnipresent", "rumoured", "active"]  # nobody has looked
    assert phases[plain] == ["csk", True, "hidden", "hidden", "hidden", "generated"]


def test_keys_at_rest_go_back_to_the_older_schema_and_come_again(empty):
    schema.upgrade(empty)
    with psycopg.connect(empty) as conn:
        zone = _make_zone(conn, b"z")
        _make_key(conn, zone)
        _make_key(conn, zone, tag=2, state="removed", sealed=None)
        conn.execute(
            "INSERT INTO key_motions (key, record, zone, since, place, ttl) "
            "SELECT id, 'ds', zone, now(), 0, 60 FROM signing_keys WHERE tag = 1"
        )

    schema.downgrade(empty, "0008")

    with psycopg.connect(empty) as conn:
        assert conn.execute("SELECT tag, state FROM signing_keys").fetchall() == [(1, "active")]
    schema.upgrade(empty)


@pytest.mark.parametrize(
    ("zone", "key", "reason"),
    [
        ({}, {"state": "published", "zrrsig": "hidden"}, "one key that never changes"),
        ({}, {"role": "ksk", "zrrsig": "none"}, "one key that never changes"),
        ({}, {"stays": False}, "one key that never changes"),
        ({}, {"vault": "pkcs11:hsm"}, "nor keys on a token"),
        ({"algorithm": 14}, {}, "neither algorithms 8 and 14"),
    ],
)
def test_keys_that_the_older_program_would_not_understand_keep_the_schema(empty, zone, key, reason):
    schema.upgrade(empty)
    with psycopg.connect(empty) as conn:
        _make_key(conn, _make_zone(conn, b"z", **zone), **key)

    with pytest.raises(SchemaProblem, match=reason):
        schema.downgrade(empty, "0008")

    schema.upgrade(empty)
    schema.check(empty)


@pytest.mark.parametrize(
    ("statement", "constraint"),
    [
        ("INSERT INTO signing_policies (name) VALUES ('Odd')", "signing_policy_with_odd_name"),
        ("INSERT INTO signing_policies (name, refresh) VALUES ('x', 259199)", "policy_that_refreshes_too_late"),
        ("INSERT INTO signing_policies (name, validity) VALUES ('x', 777599)", "policy_that_refreshes_too_late"),
        ("INSERT INTO signing_policies (name, zsk_lifetime) VALUES ('x', 86399)", "policy_with_lifetime_below_a_day"),
        ("INSERT INTO signing_policies (name, ds_ttl) VALUES ('x', -1)", "policy_with_negative_time"),
        ("UPDATE signing_keys SET sealed = NULL", "living_key_without_private_half"),
        ("UPDATE signing_keys SET role = 'zsk'", "signing_key_with_the_records_of_another_role"),
        ("UPDATE signing_keys SET ds = 'lost'", "signing_key_in_unknown_phase"),
        ("UPDATE signing_keys SET state = 'new'", "signing_key_in_unknown_state"),
    ],
)
def test_rows_of_keys_that_cannot_be_are_refused(dsn, statement, constraint):
    with psycopg.connect(dsn) as conn:
        _make_key(conn, _make_zone(conn, b"z"))

        with pytest.raises(psycopg.errors.CheckViolation) as caught:
            conn.execute(statement)

    assert caught.value.diag.constraint_name == constraint


@pytest.mark.parametrize(("before", "after"), [(None, 500), (400, 400), (600, 500)])
def test_an_order_has_the_signer_look_at_the_zone_and_wakes_it(dsn, before, after):
    with psycopg.connect(dsn, autocommit=True) as conn:
        zone = _make_zone(conn, b"z")
        conn.execute("UPDATE signing SET step_at = to_timestamp(%s)", [before])
        conn.execute("LISTEN ddns_pending")

        conn.execute(
            "INSERT INTO signing_orders (zone, kind, principal, at) VALUES (%s, 'roll', 'me', to_timestamp(500))",
            [zone],
        )

        assert [one.channel for one in conn.notifies(timeout=0, stop_after=1)] == ["ddns_pending"]
        assert conn.execute("SELECT extract(epoch FROM step_at)::bigint FROM signing").fetchone() == (after,)


@pytest.mark.parametrize(
    "statement", ["UPDATE key_events SET why = ''", "DELETE FROM key_events", "TRUNCATE key_events"]
)
def test_what_happened_to_keys_cannot_be_rewritten_even_by_the_owner(dsn, statement):
    with psycopg.connect(dsn) as conn, pytest.raises(psycopg.errors.InsufficientPrivilege, match="append-only"):
        conn.execute(statement)


def test_homes_that_were_there_before_tenants_are_the_registrys_and_say_why_they_are_held(empty):
    """No row of zones is rewritten for it: a column whose default is stable is added as it is."""
    schema.upgrade(empty, "0012")
    with psycopg.connect(empty) as conn:
        registry = _make_zone(conn, order_key(from_text("r.")))
        home = _make_zone(conn, order_key(from_text("h.r.")), parent=registry)
        conn.execute("INSERT INTO homes (zone, state) VALUES (%s, 'suspended')", [home])
        conn.execute("INSERT INTO invitations (zone, label, expires_at) VALUES (%s, 'x', now())", [registry])
        before = conn.execute("SELECT pg_relation_filenode('zones')").fetchone()

    schema.upgrade(empty)

    with psycopg.connect(empty) as conn:
        assert conn.execute("SELECT pg_relation_filenode('zones')").fetchone() == before
        assert conn.execute("SELECT tenant, state, reason FROM homes").fetchall() == [
            (1, "suspended", "by the operator")
        ]
        assert conn.execute("SELECT tenant FROM invitations").fetchall() == [(1,)]
        assert conn.execute("SELECT tenant, zone FROM tenant_zones").fetchall() == [(1, registry)]
    schema.downgrade(empty, "0012")
    schema.upgrade(empty)


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("INSERT INTO tenants (name) VALUES ('isp')", "neither tenants nor owners nor boxes"),
        ("INSERT INTO owners (id, created_at) VALUES (gen_random_uuid(), now())", "neither tenants nor owners"),
        ("UPDATE homes SET state = 'quarantined', reason = 'x'", "neither quarantined nor closed homes"),
        (
            "INSERT INTO credentials (name, kind, algorithm, secret, expires_at) VALUES ('k', 'tsig', 'h', 's', now())",
            "keys for ever that are to end",
        ),
    ],
)
def test_what_the_older_program_would_not_understand_of_people_keeps_the_schema(empty, statement, reason):
    schema.upgrade(empty)
    with psycopg.connect(empty) as conn:
        conn.execute(
            "INSERT INTO homes (zone) VALUES (%s)",
            [_make_zone(conn, order_key(from_text("h.r.")), parent=_make_zone(conn, order_key(from_text("r."))))],
        )
        conn.execute(statement)

    with pytest.raises(SchemaProblem, match=reason):
        schema.downgrade(empty, "0012")

    schema.upgrade(empty)
    schema.check(empty)


@pytest.mark.parametrize(
    ("statement", "constraint"),
    [
        ("UPDATE zones SET tenant = 2", "zone_keeps_its_tenant"),
        ("UPDATE homes SET tenant = 2", "home_keeps_its_tenant"),
        ("INSERT INTO homes (zone, tenant) SELECT max(id), 2 FROM zones", "home_of_another_tenants_zone"),
        ("UPDATE homes SET owner = gen_random_uuid()", "home_of_another_tenants_owner"),
        (
            "INSERT INTO invitations (zone, label, expires_at, tenant) SELECT min(id), 'y', now(), 2 FROM zones",
            "invitation_into_a_zone_of_others",
        ),
    ],
)
def test_things_of_two_tenants_cannot_be_tied_together(dsn, statement, constraint):
    with psycopg.connect(dsn) as conn:
        conn.execute("INSERT INTO tenants (id, name) VALUES (2, 'isp')")
        registry = _make_zone(conn, order_key(from_text("r.")))
        conn.execute(
            "INSERT INTO homes (zone) VALUES (%s)", [_make_zone(conn, order_key(from_text("h.r.")), parent=registry)]
        )
        _make_zone(conn, order_key(from_text("i.r.")), parent=registry)

        with pytest.raises(psycopg.errors.ForeignKeyViolation) as caught:
            conn.execute(statement)

    assert caught.value.diag.constraint_name == constraint
