"""Commands find their database: by DSN, the embedded one that runs, or one for the time of the command."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import psycopg
import pytest

from ddns import database, schema
from ddns.database import DatabaseProblem, default_state, find_state, open_database, secrets_key
from ddns.postgres import FAST, OWNER, LocalPostgres, running


@pytest.fixture(autouse=True)
def quiet_environment(monkeypatch):
    for name in ("DDNS_DSN", "DDNS_STATE", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def state(scratch):
    folder = scratch / f"database{len(list(scratch.iterdir()))}"
    yield folder
    assert running(folder) is None


def count_zones(found):
    with psycopg.connect(found.dsn_for("ddns_admin")) as conn:
        return conn.execute("SELECT count(*), current_user FROM zones").fetchone()


def test_a_dsn_is_used_as_it_is(dsn, tmp_path, monkeypatch):
    with open_database(dsn, tmp_path) as found:
        assert (found.dsn_for("ddns_server"), found.embedded, found.owned) == (dsn, False, False)

    monkeypatch.setenv("DDNS_DSN", dsn)
    with open_database(None, tmp_path) as found:
        assert found.dsn_for("owner") == dsn


def test_a_command_does_not_change_the_schema_of_a_dsn_and_a_server_does(postgres, empty_database, tmp_path):
    dsn = postgres.dsn(OWNER, empty_database)
    with pytest.raises(DatabaseProblem, match="has no tables of ours yet"), open_database(dsn, tmp_path):
        pass

    with open_database(dsn, tmp_path, serve=True):
        pass

    schema.check(dsn)


def test_a_command_starts_the_embedded_one_and_stops_it(state):
    with open_database(None, state) as found:
        assert (found.embedded, found.owned, found.state) == (True, True, state)
        assert count_zones(found) == (0, "ddns_admin")

    assert running(state) is None
    with open_database(None, state) as found:
        assert count_zones(found) == (0, "ddns_admin")


def test_a_command_uses_the_one_that_a_server_runs(state):
    with open_database(None, state, serve=True) as server:
        with open_database(None, state) as found:
            assert (found.embedded, found.owned) == (True, False)
            assert count_zones(found) == (0, "ddns_admin")
        assert server.postgres.alive()


def test_a_command_that_started_it_stops_it_after_those_who_use_it_too(state):
    code = (
        "import sys, pathlib; from ddns.database import open_database\n"
        "with open_database(None, pathlib.Path(sys.argv[1])) as found:\n"
        "    print(found.owned, flush=True); input()\n"
    )
    with open_database(None, state) as first:
        other = subprocess.Popen(
            [sys.executable, "-c", code, state], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert other.stdout.readline() == "False\n"
        assert count_zones(first)
        # The other one ends a moment after we began to wait for it.
        released = threading.Timer(0.5, lambda: other.stdin.write("\n") and other.stdin.flush())
        released.start()

    assert other.wait(20) == 0
    assert not released.is_alive()
    other.communicate()


def test_commands_at_once_share_one(state):
    code = (
        "import sys, pathlib, psycopg; from ddns.database import open_database\n"
        "with open_database(None, pathlib.Path(sys.argv[1])) as found:\n"
        "    psycopg.connect(found.dsn_for('ddns_admin')).close()\n"
    )
    started = [subprocess.Popen([sys.executable, "-c", code, state], stderr=subprocess.PIPE) for _ in range(4)]

    assert [(process.communicate(timeout=90)[1], process.returncode) for process in started] == [(b"", 0)] * 4


def test_the_state_folder_is_named_by_hand_or_by_the_environment_or_stands_to_reason(monkeypatch, tmp_path):
    usual = Path("/var/lib/nameplate") if os.geteuid() == 0 else Path.home() / ".local" / "state" / "nameplate"
    assert default_state() == find_state(None) == usual
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert find_state(None) == tmp_path / "nameplate"
    monkeypatch.setenv("DDNS_STATE", str(tmp_path / "state"))
    assert find_state(None) == tmp_path / "state"
    assert find_state(tmp_path) == tmp_path


def test_the_secrets_key_is_made_once_and_closed_to_others(tmp_path):
    key = secrets_key(tmp_path / "new")

    path = tmp_path / "new" / "secrets.key"
    assert len(key) == 32
    assert secrets_key(tmp_path / "new") == key == path.read_bytes()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(path.parent.iterdir()) == [path]


def test_who_makes_the_secrets_key_first_wins(tmp_path, monkeypatch):
    """Two processes find none at once, and agree on one."""
    make, made = database._make_key, []

    def make_twice(path):
        make(path)
        made.append(path.read_bytes())
        make(path)

    monkeypatch.setattr(database, "_make_key", make_twice)

    assert [secrets_key(tmp_path)] == made
    assert [path.name for path in tmp_path.iterdir()] == ["secrets.key"]


@pytest.mark.parametrize(
    ("octets", "mode", "sentence"),
    [
        (b"k" * 32, 0o640, "is open to other users: chmod 600"),
        (b"k" * 31, 0o600, "holds 31 octets, not 32: restore it"),
    ],
)
def test_a_secrets_key_that_is_open_or_damaged_is_refused(tmp_path, octets, mode, sentence):
    path = tmp_path / "secrets.key"
    path.write_bytes(octets)
    path.chmod(mode)

    with pytest.raises(DatabaseProblem, match=sentence):
        secrets_key(tmp_path)


def test_an_embedded_one_with_a_newer_schema_is_refused_and_stopped(state):
    pg = LocalPostgres(state, FAST).start()
    schema.upgrade(pg.dsn(OWNER))
    with psycopg.connect(pg.dsn(OWNER)) as conn:
        conn.execute("UPDATE alembic_version SET version_num = '9999'")
    pg.stop()

    with pytest.raises(DatabaseProblem, match="update this program"), open_database(None, state):
        pass
