"""Two signers roll one home's key, and are killed in the middle of every step and right behind it, again and again.

These are processes with the real clock, TTLs of a second and safeties of one. What they did must be what signers that
nobody disturbs do, each edition must validate, and no cache may ever hold what does not fit together.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time

import psycopg
import pytest
from lives import Life
from psycopg.conninfo import make_conninfo
from signing import MASTER, add, bare, keys_of, ought

from ddns.store import zones

LOCK = 4711
HELD = f"""
CREATE FUNCTION hold_the_signer() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared({LOCK}, current_setting('nameplate.signer')::integer);
    RETURN NULL;
END
$$;
CREATE TRIGGER held AFTER INSERT ON key_events FOR EACH STATEMENT EXECUTE FUNCTION hold_the_signer();
"""
SIGNERS = (1, 2)
PATIENCE = 60.0  # seconds until something that must happen counts as never


class Signers:
    """Programs `zone-signer run` on one database, each of which can be killed."""

    def __init__(self, dsn, folder):
        self._dsn, self._folder = dsn, folder
        self._running = {}
        key = folder / "signer.key"
        key.touch(mode=0o600)
        key.write_bytes(MASTER)

    def start(self, number):
        dsn = make_conninfo(self._dsn, options=f"-c nameplate.signer={number}")
        self._running[number] = subprocess.Popen(
            [sys.executable, "-m", "zone_signer.cli", *self.words(number)],
            env={**os.environ, "DDNS_DSN": dsn, "DDNS_STATE": str(self._folder)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def words(self, number):
        """Return how a signer is called."""
        return ["run", "--socket", str(self._folder / f"{number}.sock"), "--helpers", "1"]

    def kill(self, number):
        process = self._running.pop(number)
        process.send_signal(signal.SIGKILL)
        process.wait()

    def close(self):
        for number in list(self._running):
            self.kill(number)


@pytest.fixture
def signers(dsn_for, tmp_path):
    made = Signers(dsn_for("zone_signer"), tmp_path)
    yield made
    made.close()


def until(what):
    """Wait until *what* gives something, and return it."""
    end = time.monotonic() + PATIENCE
    while not (found := what()):
        if time.monotonic() > end:
            raise AssertionError("it never happens")
        time.sleep(0.02)
    return found


class House:
    """A registry's zone with homes, as it is seen from outside of the signers."""

    def __init__(self, owner):
        self.owner = owner

    def one(self, query, *values):
        row = self.owner.execute(query, values).fetchone()
        return None if row is None else row[0]

    def rests(self, home):
        return not self.one(
            "SELECT EXISTS (SELECT FROM signing_orders) OR EXISTS (SELECT FROM key_motions WHERE zone = %s) "
            "OR EXISTS (SELECT FROM signing_keys WHERE zone = %s AND state NOT IN ('active', 'removed'))",
            home,
            home,
        )

    def events(self, home):
        """Return what happened to each record of the old and the new key of each role: none waits for the others."""
        rows = self.owner.execute(
            "SELECT coalesce(role, ''), predecessor IS NULL, record, before, after FROM key_events "
            "LEFT JOIN signing_keys ON signing_keys.id = key WHERE key_events.zone = %s ORDER BY key_events.id",
            (home,),
        )
        found = {}
        for role, old, record, *event in rows.fetchall():
            found.setdefault((role, old, record), []).append(event)
        return found

    def waiting(self):
        """Return the number of a signer that is in the middle of a step, and its connection."""
        return self.owner.execute(
            "SELECT objid::integer, pid FROM pg_locks WHERE locktype = 'advisory' AND classid = %s AND NOT granted",
            (LOCK,),
        ).fetchone()

    def hold(self, number):
        self.owner.execute("SELECT pg_advisory_lock(%s, %s)", (LOCK, number))

    def release(self, number):
        self.owner.execute("SELECT pg_advisory_unlock(%s, %s)", (LOCK, number))

    def order(self, home, kind="roll"):
        self.owner.execute(
            "INSERT INTO signing_orders (zone, kind, principal, at) VALUES (%s, %s, 'a person', now())", (home, kind)
        )


async def brief(admin, scheme="csk"):
    """Add a registry's zone with two homes, TTLs of a second and a policy without patience; return the homes."""
    registry = await add(admin, "homes.test.", "one 1 NS ns", "two 1 NS ns")
    homes = [await add(admin, f"{label}.homes.test.", "www 1 A 192.0.2.1", parent=registry) for label in ("one", "two")]
    await admin.execute("UPDATE rrsets SET ttl = 1")
    await admin.execute(
        "INSERT INTO signing_policies (name, scheme, zsk_lifetime, dnskey_ttl, ds_ttl, publish_safety, retire_safety, "
        "watch) VALUES ('brief', %s, 0, 1, 1, 1, 1, 'none')",
        (scheme,),
    )
    await admin.execute("UPDATE zones SET policy = 'brief'")
    return registry, homes


@pytest.mark.parametrize("scheme", ["csk", "ksk+zsk"])
async def test_signers_that_are_killed_in_every_step_roll_a_key_as_undisturbed_ones_do(
    dsn, dsn_for, admin, connected, conn, signers, scheme
):
    registry, (one, two) = await brief(admin, scheme)
    with contextlib.ExitStack() as stack:
        house = House(stack.enter_context(psycopg.connect(dsn, autocommit=True)))
        for number in SIGNERS:
            signers.start(number)
        until(lambda: house.one("SELECT count(*) FROM zones WHERE edition > 0") == 3)
        until(lambda: house.rests(one) and house.rests(two))
        house.order(one)
        until(lambda: house.rests(one))
        undisturbed = house.events(one)
        house.owner.execute(HELD)
        for number in SIGNERS:
            house.hold(number)
        house.order(two)
        killed = 0
        while not house.rests(two):
            number, backend = until(house.waiting)
            before = house.events(two)
            signers.kill(number)
            house.release(number)  # its connection finds that nobody is there any more, and rolls back
            until(lambda gone=backend: not house.one("SELECT count(*) FROM pg_stat_activity WHERE pid = %s", gone))
            assert house.events(two) == before
            house.hold(number)
            signers.start(number)
            number, backend = until(house.waiting)
            house.release(number)
            until(lambda known=before: house.events(two) != known)
            signers.kill(number)
            until(lambda gone=backend: not house.one("SELECT count(*) FROM pg_stat_activity WHERE pid = %s", gone))
            house.hold(number)
            signers.start(number)
            killed += 2
            until(lambda: house.rests(two) or house.waiting())

        assert house.events(two) == undisturbed
        assert killed >= 10
    await judged(Life(admin, await connected("zone_signer"), conn, dsn_for), registry, (one, two))


async def judged(life, registry, homes):
    """Judge everything that was published, at the time when it was."""
    origins = {zone.id: zone.origin for zone in (await zones.get(life.admin, [registry, *homes])).values()}
    for ident, parent in ((registry, None), *((home, registry) for home in homes)):
        life.know(ident, origins[ident], parent)
    rows = await life.admin.execute(
        "SELECT zone, number, extract(epoch FROM at)::float8 FROM editions ORDER BY at, zone"
    )
    for zone, number, at in await rows.fetchall():
        life.now = at
        await life.take(zone, number)
    assert life.problems == []
    for ident in homes:
        row = (await zones.get(life.admin, [ident]))[ident]
        assert await bare(life.conn, ident) == await ought(life.conn, row, await keys_of(life.conn, ident), ttl=1)
