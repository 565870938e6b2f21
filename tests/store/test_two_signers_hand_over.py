"""Two signers lead one home away and back, and are killed in the middle of every turn and right behind it.

As `test_two_signers`, from which the signers and the trigger are that hold them: real processes with the real clock,
TTLs of a second. A turn is held behind all that it writes, before it commits.
"""

from __future__ import annotations

import contextlib
import time

import msgspec
import psycopg
import pytest
from delegating import THEIRS, key
from signing import bare, keys_of, ought
from test_two_signers import HELD, PATIENCE, SIGNERS, House, Signers, brief

from ddns.dns import ds as ds_records
from ddns.dns.codes import Type
from ddns.store import published, zones
from ddns.store.delegations import Taken
from ddns.zone import edition
from ddns.zone.child import Child
from ddns.zone.hand import Copy, State, Theirs
from zone_signer.phase import Role

TIMES = ["--safety", "1", "--dark-after", "3600", "--back-after", "1", "--look", "1"]
KEYS = frozenset((key("t", Role.KSK), key("z1")))
WAY = [
    State.HOSTED, State.LEAVING_KEYS, State.LEAVING_DS, State.LEAVING_SERVERS, State.LEAVING_DRAIN, State.AWAY,
    State.RETURNING_KEYS, State.RETURNING_DS, State.RETURNING_SERVERS, State.RETURNING_DRAIN, State.HOSTED,
]  # fmt: skip


class Brief(Signers):
    """Signers that wait for a second where others wait for an hour."""

    def words(self, number):
        return [*super().words(number), *TIMES]


@pytest.fixture
def signers(dsn_for, tmp_path):
    made = Brief(dsn_for("zone_signer"), tmp_path)
    yield made
    made.close()


class Home:
    """One home and the servers that it has of its own, which do what they are told at once."""

    def __init__(self, house, zone, origin):
        self.house, self.zone, self.origin = house, zone, origin
        self.child = Child(THEIRS, (), (ds_records.of(origin, key("t", Role.KSK)),))

    def state(self):
        return self.house.one("SELECT state FROM delegations WHERE zone = %s", self.zone)

    def wish(self):
        return self.house.one("SELECT wish FROM delegations WHERE zone = %s", self.zone)

    def leave(self):
        self.house.owner.execute(
            "INSERT INTO delegations (zone, wish, continuity, wanted, step_at, changed_at) "
            "VALUES (%s, 'away', 'copy', %s, now(), now())",
            (self.zone, msgspec.msgpack.encode(self.child)),
        )

    def come_back(self):
        self.house.owner.execute(
            "UPDATE delegations SET wish = 'host', copied = %s, copy = %s, step_at = now() WHERE zone = %s",
            (
                msgspec.msgpack.encode(Taken(Copy(1, KEYS, 1 << 40), 1, int(time.time()))),
                edition.pack(()),
                self.zone,
            ),
        )

    def look(self):
        """Have the watcher see the home's own servers as they ought to be now."""
        ours = self.house.owner.execute(
            "SELECT public FROM signing_keys WHERE zone = %s AND state <> 'removed'", (self.zone,)
        ).fetchall()
        apex = self.house.one(
            "SELECT rdatas FROM published_rrsets JOIN zones ON zones.id = zone AND origin = owner "
            "WHERE zones.id = (SELECT parent FROM zones WHERE id = %s) AND type = 2",
            self.zone,
        )
        servers = apex if self.state() == State.RETURNING_SERVERS else THEIRS
        theirs = Theirs(
            int(time.time()), None, KEYS | {one for (one,) in ours}, frozenset(servers), 1, 1, whole=True, silent=False
        )
        # Whoever holds the row is in the middle of a turn: the watcher's next look comes soon.
        self.house.owner.execute(
            "UPDATE delegations SET theirs = %s, step_at = least(step_at, now()) FROM "
            "(SELECT zone FROM delegations WHERE zone = %s FOR NO KEY UPDATE SKIP LOCKED) AS free "
            "WHERE delegations.zone = free.zone AND (state, wish) <> ('hosted', 'host')",
            (msgspec.msgpack.encode(theirs), self.zone),
        )

    def turns(self):
        rows = self.house.owner.execute(
            "SELECT before, after FROM key_events WHERE zone = %s AND record = 'delegation' ORDER BY id", (self.zone,)
        )
        return rows.fetchall()


def until(what, home):
    """Wait until *what* gives something, and return it; all the time the watcher looks at *home*'s own servers."""
    end = time.monotonic() + PATIENCE
    while not (found := what()):
        if time.monotonic() > end:
            raise AssertionError(f"it never happens: {home.state()} {home.turns()}")
        home.look()
        time.sleep(0.05)
    return found


async def test_signers_that_are_killed_in_every_turn_lead_a_home_as_undisturbed_ones_do(dsn, admin, connected, signers):
    registry, ids = await brief(admin)
    rows = await zones.get(admin, [registry, *ids])
    with contextlib.ExitStack() as stack:
        house = House(stack.enter_context(psycopg.connect(dsn, autocommit=True)))
        for ident in ids:
            house.owner.execute("INSERT INTO homes (zone) VALUES (%s)", (ident,))
        one, two = (Home(house, ident, rows[ident].origin) for ident in ids)
        for number in SIGNERS:
            signers.start(number)
        until(lambda: house.one("SELECT count(*) FROM zones WHERE edition > 0") == 3, one)
        until(lambda: house.rests(one.zone) and house.rests(two.zone), one)

        one.leave()
        until(lambda: one.state() == State.AWAY, one)
        assert house.one("SELECT held FROM zones WHERE id = %s", one.zone)
        one.come_back()
        until(lambda: one.state() == State.HOSTED, one)
        undisturbed = one.turns()
        assert [undisturbed[0][0], *(after for _, after in undisturbed)] == [str(state) for state in WAY]

        house.owner.execute(HELD)
        for number in SIGNERS:
            house.hold(number)
        two.leave()
        killed = 0
        while len(two.turns()) < len(undisturbed):
            if (
                two.state() == State.AWAY
                and house.one("SELECT wish FROM delegations WHERE zone = %s", two.zone) == "away"
            ):
                two.come_back()
            number, backend = until(house.waiting, two)
            before = two.turns()
            shown = await show(admin, registry, two)
            signers.kill(number)
            house.release(number)
            until(lambda gone=backend: not house.one("SELECT count(*) FROM pg_stat_activity WHERE pid = %s", gone), two)
            assert two.turns() == before
            assert await show(admin, registry, two) == shown, "half a turn is none"
            house.hold(number)
            signers.start(number)
            number, backend = until(house.waiting, two)
            house.release(number)
            until(lambda known=before: two.turns() != known, two)
            signers.kill(number)
            until(lambda gone=backend: not house.one("SELECT count(*) FROM pg_stat_activity WHERE pid = %s", gone), two)
            house.hold(number)
            signers.start(number)
            killed += 2
        assert two.turns() == undisturbed
        assert killed >= len(undisturbed)
    conn = await connected("zone_signer")
    for home in (one, two):
        row = (await zones.get(admin, [home.zone]))[home.zone]
        assert not row.held
        assert await bare(conn, home.zone) == await ought(conn, row, await keys_of(conn, home.zone), ttl=1)


async def show(admin, registry, home):
    """Return what is published of a home, and by whom it is served."""
    row = (await zones.get(admin, [home.zone]))[home.zone]
    above = (await published.read_names(admin, [(registry, home.origin)])).get((registry, home.origin), ())
    apex = (await published.read_names(admin, [(home.zone, home.origin)])).get((home.zone, home.origin), ())
    kinds = {Type.NS, Type.DS, Type.DNSKEY}
    found = {(one.name, one.type): one.rdatas for one in (*above, *apex) if one.type in kinds}
    return row.held, row.edition, row.keyset, found
