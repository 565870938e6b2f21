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


@pytest.mark.parametrize("role", ["ddns_server", "zone_signer", "ddns_admin"])
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
        assert "GRANT ddns_server, zone_signer, ddns_admin TO stranger;" in cure
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
