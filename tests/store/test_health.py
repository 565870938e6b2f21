"""Alarms come from real rows: of every zone and signer of which something is wrong, and of no other."""

from __future__ import annotations

import pytest
from lives import DAY, Life
from signing import NOW
from waiting import wait_for

from ddns.dns.names import from_text
from zone_signer import health, heartbeat
from zone_signer import keys as public
from zone_signer.overview import snapshot

HOUR = 3600
SECONDARY = "ns2.test. 192.0.2.2:53"


@pytest.fixture
def life(admin, conn, connected, dsn_for):
    return Life(admin, wait_for(connected("zone_signer")), conn, dsn_for)


@pytest.fixture
def zone(life):
    """A zone with a parent elsewhere, at rest."""
    found = wait_for(life.zone("a.test.", "www 60 A 192.0.2.1"))
    wait_for(life.settle())
    return found


async def wrong(life, now=None, origin=None):
    """Return the alarms as code and sentence."""
    async with snapshot(life.admin):
        found = await health.report(life.admin, life.now if now is None else now, origin)
    return [(one.code, one.sentence) for one in found.alarms]


async def codes(life, now=None, origin=None):
    return [code for code, _ in await wrong(life, now, origin)]


async def sighted(life, zone, server=SECONDARY, kind="secondary", **columns):
    row = {"serial": None, "answered": None, "asked": life.now, "problem": "", "ds": None} | columns
    await life.server.execute(
        """INSERT INTO sightings (zone, kind, server, asked_at, answered_at, serial, problem, ds)
           VALUES (%(zone)s, %(kind)s, %(server)s, to_timestamp(%(asked)s), to_timestamp(%(answered)s), %(serial)s,
                   %(problem)s, %(ds)s)
           ON CONFLICT (zone, kind, server) DO UPDATE SET asked_at = excluded.asked_at, serial = excluded.serial,
               answered_at = excluded.answered_at, problem = excluded.problem, ds = excluded.ds""",
        {"zone": zone.id, "kind": kind, "server": server} | row,
    )


async def test_where_all_is_well_there_is_no_alarm(life, zone):
    await sighted(life, zone, serial=zone.edition, answered=life.now)
    await heartbeat.put(life.conn, "one", life.now, [b"m" * 8])

    assert await wrong(life) == []
    assert await wrong(life, origin=zone.origin) == []


async def test_of_a_zone_that_is_not_there_there_is_no_report(life):
    async with snapshot(life.admin):
        assert await health.report(life.admin, NOW, from_text("nowhere.test.")) is None


async def test_signatures_that_nobody_renews_are_an_alarm_long_before_they_end(life, zone):
    due = (await (await life.admin.execute("SELECT extract(epoch FROM resign_at)::bigint FROM signing")).fetchone())[0]

    assert await codes(life, due + DAY - 1) == []
    assert await codes(life, due + DAY) == ["signature-late"]
    assert await codes(life, due + 3 * DAY) == ["signature-expires"]


async def test_keys_that_nobody_looks_at_are_an_alarm(life, zone):
    await life.look(zone)

    assert await codes(life, life.now + HOUR - 1) == []
    assert await codes(life, life.now + HOUR) == ["step-late"]


async def test_a_zone_that_cannot_be_signed_says_why(life, zone):
    await life.conn.execute(
        "UPDATE signing SET problem = 'no token', problem_since = to_timestamp(%s) WHERE zone = %s", (NOW, zone.id)
    )

    assert await wrong(life) == [("signing-fails", "a.test. cannot be signed: no token")]


async def test_a_step_that_waits_longer_than_it_should_says_who_must_act(life, zone):
    await sighted(life, zone, serial=1, answered=life.now)
    await life.order(zone, "roll")
    await life.sweep()
    await sighted(life, zone, serial=1, answered=life.now, problem="")
    life.now += DAY + 1
    await life.watch()
    await life.sweep()

    ((_, sentence),) = [one for one in await wrong(life) if one[0] == "step-stuck"]

    assert f"whoever runs {SECONDARY}" in sentence
    assert f"zone-signer step a.test. --without '{SECONDARY}' --yes" in sentence
    life.now -= 2
    assert "step-stuck" not in await codes(life)


async def test_a_ds_of_no_key_is_an_alarm(life, zone):
    ours = list(zone.ds)
    strange = public.ds(zone.origin, public.dnskey(257, 13, bytes(64)))

    await sighted(life, zone, "a.nic.test. 192.0.2.9:53", "parent", answered=life.now, ds=[*ours, strange])

    assert await codes(life) == ["strange-ds"]


async def test_a_secondary_is_behind_when_it_was_seen_to_lack_an_old_edition(life, zone, owner):
    """However often the zone changes: what counts is how old the serial is that it shows."""
    await owner.execute("UPDATE editions SET at = to_timestamp(%s)", (life.now,))
    first = zone.edition
    for _ in range(2):
        life.now += 1800
        await life.order(zone, "resign")
        await life.sweep()
        await owner.execute("UPDATE editions SET at = to_timestamp(%s) WHERE number = %s", (life.now, zone.edition))
    outdated = life.now - 1800  # the serial of the first is old since the second
    await sighted(life, zone, serial=first, answered=outdated + HOUR - 1)
    assert await codes(life, life.now + DAY) == []

    await sighted(life, zone, serial=first, answered=outdated + HOUR)
    assert await codes(life, life.now + HOUR) == ["secondary-behind"]
    await sighted(life, zone, serial=first + 1, answered=outdated + HOUR)
    assert await codes(life, life.now + HOUR) == []


async def test_a_server_that_does_not_answer_is_missed_after_an_hour(life, zone):
    await sighted(life, zone, serial=zone.edition, answered=life.now - HOUR + 1, problem="does not answer")
    assert await codes(life) == []

    await sighted(life, zone, serial=zone.edition, answered=life.now - HOUR, problem="does not answer")
    assert await codes(life) == ["server-silent"]


async def test_signers_that_are_silent_held_or_lack_a_master_key_are_alarms(life, owner):
    await heartbeat.put(life.conn, "one", NOW, [b"m" * 8])
    await heartbeat.put(life.conn, "two", NOW, [b"m" * 8, b"n" * 8], "its clock is wrong")
    assert sorted(await codes(life)) == ["master-missing", "signer-held"]

    await owner.execute("UPDATE signers SET database_at = now() - interval '302 s' WHERE name = 'two'")

    assert sorted(await codes(life)) == ["signer-held", "signer-silent"]


async def test_homes_at_rest_are_not_even_looked_at(life):
    registry = await life.zone("homes.test.", "h 300 NS ns", "i 300 NS ns")
    homes = [await life.zone(f"{label}.homes.test.", parent=registry.id) for label in ("h", "i")]
    await life.settle()
    async with snapshot(life.admin):
        zones, more = await health._doubtful(life.admin, life.now)
    assert not {zone.id for zone in zones} & {home.id for home in homes}
    assert not more

    await life.order(homes[0], "roll")
    await life.sweep()
    life.now += HOUR - 1
    async with snapshot(life.admin):
        zones, _ = await health._doubtful(life.admin, life.now)
    assert not {zone.id for zone in zones} & {home.id for home in homes}
    life.now += 1
    async with snapshot(life.admin):
        zones, _ = await health._doubtful(life.admin, life.now)
    assert {zone.id for zone in zones} & {home.id for home in homes} == {homes[0].id}


async def test_zones_whose_servers_are_well_are_not_even_looked_at(life, zone):
    await sighted(life, zone, serial=zone.edition, answered=life.now)
    async with snapshot(life.admin):
        assert await health._doubtful(life.admin, life.now) == ([], False)

    await sighted(life, zone, "a.nic.test. 192.0.2.9:53", "parent", answered=life.now, ds=[b"\0"])

    async with snapshot(life.admin):
        zones, _ = await health._doubtful(life.admin, life.now)
    assert [one.id for one in zones] == [zone.id]


async def test_of_a_kind_of_trouble_that_very_many_zones_have_the_first_are_looked_at(life, monkeypatch):
    monkeypatch.setattr(health, "MOST", 2)
    for number in range(3):
        await life.zone(f"z{number}.test.")
    await life.sweep()
    await life.conn.execute("UPDATE signing SET problem = 'no token'")

    async with snapshot(life.admin):
        found = await health.report(life.admin, life.now)

    assert found.more
    assert len([one for one in found.alarms if one.code == "signing-fails"]) >= 2
