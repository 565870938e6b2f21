"""What people ask of the signer is done or refused in one step, with a sentence, and what is wrong is written down."""

from __future__ import annotations

import logging

import pytest
from lives import DAY, Life
from signing import MASTER, NOW
from waiting import wait_for

from ddns.dns.codes import Type
from zone_signer import stepping
from zone_signer.keyring import KeyRing
from zone_signer.vault import Vault
from zone_signer.worker import Worker

ACTIVE = ("omnipresent", "omnipresent", "omnipresent", "active")
SECONDARY = "ns2.test. 192.0.2.2:53"


@pytest.fixture
def life(admin, conn, connected, dsn_for):
    return Life(admin, wait_for(connected("zone_signer")), conn, dsn_for)


async def at_rest(life, **policy):
    zone = await life.zone("a.test.", "www 60 A 192.0.2.1")
    if policy:
        await life.policy(zone, **policy)
    await life.settle()
    return zone


async def orders_left(life):
    return (await (await life.admin.execute("SELECT count(*) FROM signing_orders")).fetchone())[0]


async def last_order(life, zone):
    rows = await life.admin.execute(
        "SELECT after, why FROM key_events WHERE zone = %s AND record = 'order' ORDER BY id DESC LIMIT 1", (zone.id,)
    )
    return await rows.fetchone()


@pytest.mark.parametrize(
    ("kind", "columns", "why"),
    [
        ("roll", {"role": "zsk"}, "the zone has no zsk; its keys are csk"),
        ("roll", {"tag": 7}, "no key in use has the tag 7; zone-signer keys shows them"),
        ("cancel", {}, "nothing rolls that could be called back"),
        ("ds-seen", {"tag": 7}, "the parent's servers are asked by themselves here; nobody need say it"),
        ("without", {"server": "x"}, "nothing waits for that"),
    ],
)
async def test_what_cannot_be_done_is_refused_once_with_a_sentence(life, kind, columns, why):
    zone = await at_rest(life)
    before = await life.tags(zone)

    await life.order(zone, kind, **columns)
    await life.sweep()

    assert await last_order(life, zone) == ("refused", why)
    assert await orders_left(life) == 0
    assert await life.tags(zone) == before


async def test_what_is_done_says_who_asked(life):
    zone = await at_rest(life)

    await life.order(zone, "roll")
    await life.sweep()

    assert await last_order(life, zone) == ("done", "a person said roll")
    assert await orders_left(life) == 0


async def test_a_parent_that_nobody_can_ask_is_believed_to_do_what_a_person_says(life):
    life.adopts = None
    zone = await life.zone("a.test.", "www 60 A 192.0.2.1")
    await life.policy(zone, parent_check="manual")
    await life.settle(until=NOW + DAY)
    (tag,) = await life.tags(zone)
    (waits,) = await (await life.admin.execute("SELECT waits FROM key_motions")).fetchone()
    assert f"then say: zone-signer ds-seen a.test. {tag}" in waits

    await life.order(zone, "ds-seen", tag=tag)
    await life.settle()

    assert await life.keys(zone) == [("csk", 13, *ACTIVE)]
    assert await orders_left(life) == 0


async def test_a_secondary_that_lags_holds_a_roll_up_until_somebody_does_without_it(life):
    zone = await at_rest(life)
    await life.server.execute(
        "INSERT INTO sightings (zone, kind, server, asked_at, answered_at, serial) "
        "VALUES (%s, 'secondary', %s, to_timestamp(%s), to_timestamp(%s), 1)",
        (zone.id, SECONDARY, life.now, life.now),
    )
    await life.order(zone, "roll")
    await life.settle(until=life.now + 3 * DAY)
    assert ("csk", 13, "rumoured", "hidden", "hidden", "published") in await life.keys(zone)
    (waits,) = await (await life.admin.execute("SELECT waits FROM key_motions")).fetchone()
    assert SECONDARY in waits
    assert f"--without '{SECONDARY}'" in waits

    await life.order(zone, "without", server=SECONDARY)
    await life.sweep()

    rows = await life.admin.execute("SELECT evidence FROM key_events WHERE after = 'seen' ORDER BY id DESC LIMIT 1")
    assert f"a person said without {SECONDARY}" in (await rows.fetchone())[0]
    assert await orders_left(life) == 0


async def test_a_secondary_that_is_ahead_stops_all_steps(life):
    """So it is after a database was restored: what it shows is not what we know."""
    zone = await at_rest(life)
    await life.server.execute(
        "INSERT INTO sightings (zone, kind, server, asked_at, answered_at, serial) "
        "VALUES (%s, 'secondary', %s, to_timestamp(%s), to_timestamp(%s), 5000)",
        (zone.id, SECONDARY, life.now, life.now),
    )
    before = await life.row(zone)

    await life.order(zone, "roll")
    for _ in range(5):
        await life.sweep()
        life.now += DAY

    assert (await life.row(zone))[1] == before[1]
    assert ("csk", 13, "hidden", "hidden", "hidden", "generated") in await life.keys(zone)


async def test_a_key_that_no_vault_opens_is_a_problem_until_the_zone_is_insecure(life, dsn_for, caplog):
    registry = await life.zone("homes.test.", "h 300 NS ns")
    home = await life.zone("h.homes.test.", "www 60 A 192.0.2.1", parent=registry.id)
    await life.settle()
    elsewhere = Vault(bytes(range(1, 33)))
    async with life.admin.transaction():
        rows = await life.conn.execute("SELECT id::text, sealed FROM signing_keys WHERE zone = %s", (home.id,))
        ident, sealed = await rows.fetchone()
        await life.conn.execute(
            "UPDATE signing_keys SET sealed = %s WHERE id = %s::uuid",
            (sealed[:1] + elsewhere.master + sealed[9:], ident),
        )
    life.workers = [Worker(dsn_for("zone_signer"), KeyRing(life.rings[0].vault), lambda: life.now)]
    with caplog.at_level(logging.CRITICAL, logger="zone_signer"):
        await life.order(home, "roll")
        await life.sweep()
        (reason,) = {reason for _, reason in life.failed}
        assert "put back the right master key" in reason or "master key" in reason
        assert (await life.row(home))[3] == reason
        life.failed.clear()
        life.workers = [Worker(dsn_for("zone_signer"), KeyRing(life.rings[0].vault), lambda: life.now)]

        await life.order(home, "cancel")
        await life.order(home, "insecure")
        await life.settle()

    assert home.key(Type.DNSKEY) is None
    assert home.ds == ()
    assert (await life.row(home))[:1] == ("none",)


async def test_signatures_of_a_wrong_clock_are_made_anew_when_somebody_says_so(life):
    zone = await at_rest(life)
    right = life.now
    life.now += 100 * DAY
    await life.sweep()
    life.now = right
    await life.admin.execute("UPDATE signing SET pending = true, signed_head = 1 WHERE zone = %s", (zone.id,))
    await life.workers[0].sweep(life.conn)
    assert "the clock is" in (await life.row(zone))[3]

    await life.order(zone, "resign")
    life.workers[0]._resting.clear()
    await life.workers[0].sweep(life.conn)

    assert (await life.row(zone))[3] == ""
    await life.judge()


async def test_no_key_is_made_that_could_not_be_published_yet(life):
    """A token keeps each one that was made in vain, and the step is tried again every second."""
    made = []

    class Telling(Vault):
        def make(self, *words, **more):
            made.append(words)
            return super().make(*words, **more)

    zone = await at_rest(life)
    await life.order(zone, "roll")
    await life.admin.execute("UPDATE signing SET pending = true WHERE zone = %s", (zone.id,))
    ring = KeyRing(Telling(MASTER))

    with pytest.raises(stepping.Later, match=r"a\.test\. has changes that are not signed yet"):
        await stepping.step(life.conn, zone.id, ring, life.now)
    assert made == []

    await life.admin.execute("UPDATE signing SET pending = false WHERE zone = %s", (zone.id,))
    await stepping.step(life.conn, zone.id, ring, life.now)
    assert len(made) == 1
