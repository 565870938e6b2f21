"""What `zone-signer plan` says is what happens: the same things to the same keys at the same seconds, in a real run."""

from __future__ import annotations

import pytest
from lives import DAY, Life
from waiting import wait_for

from zone_signer import keybook, leases, overview
from zone_signer.forecast import NEW
from zone_signer.outlook import end, outlook
from zone_signer.overview import snapshot
from zone_signer.policies import Policies

YEAR = 366 * DAY
# What each thing that is planned writes into `key_events`: record, and phase afterwards.
WRITES = {
    "make": ("key", "generated"),
    "publish": ("dnskey", "rumoured"),
    "ready": ("dnskey", "omnipresent"),
    "withdraw": ("dnskey", "unretentive"),
    "remove": ("dnskey", "hidden"),
    "sign with": ("zrrsig", "rumoured"),
    "signatures everywhere of": ("zrrsig", "omnipresent"),
    "stop to sign with": ("zrrsig", "unretentive"),
    "signatures nowhere of": ("zrrsig", "hidden"),
    "give the DS of": ("ds", "rumoured"),
    "DS everywhere of": ("ds", "omnipresent"),
    "take away the DS of": ("ds", "unretentive"),
    "DS nowhere of": ("ds", "hidden"),
}


@pytest.fixture
def life(admin, conn, connected, dsn_for):
    return Life(admin, wait_for(connected("zone_signer")), conn, dsn_for)


async def seen(life, zone):
    """Return what is known of a zone's keys, and how quick its servers were, as people's commands read it."""
    known = Policies()
    async with snapshot(life.admin):
        known.learn(await keybook.policies(life.admin))
        lease = await leases.find(life.admin, zone.origin)
        book = (await keybook.glance(life.admin, [lease], known, life.now))[zone.id]
        return book, (await overview.paces(life.admin, [lease]))[zone.id]


async def plan(life, zone, until=YEAR):
    book, pace = await seen(life, zone)
    return outlook(book, pace, life.now, life.now + until)


def foreseen(ahead):
    """Return when which record of which key changes; a key that is not made yet is called by its number."""
    tags = {key.id: key.tag for key in ahead.book.keys}
    made = 0
    out = []
    for one in ahead.planned:
        if one.action in {"sign", "renew"}:
            continue
        made += one.action == "make"
        key = f"{NEW}{made}" if one.action == "make" else tags.get(one.key, one.key)
        out.append((one.at, key, *WRITES[one.action]))
    return sorted(out, key=str)


async def happened(life, zone, before, known):
    """Return the same of what was written down behind the event *before*; tags but those *known* become numbers."""
    rows = await life.admin.execute(
        """SELECT extract(epoch FROM at)::bigint, tag, record, after FROM key_events
           WHERE zone = %s AND id > %s AND tag IS NOT NULL
             AND (record IN ('dnskey', 'zrrsig', 'ds') AND before <> after AND after <> 'seen'
                  OR record = 'key' AND after = 'generated')
           ORDER BY id""",
        (zone.id, before),
    )
    numbers = {}
    out = []
    for at, tag, record, after in await rows.fetchall():
        key = tag if tag in known else numbers.setdefault(tag, f"{NEW}{len(numbers) + 1}")
        out.append((at, key, record, after))
    return sorted(out, key=str)


async def last_event(life):
    return (await (await life.admin.execute("SELECT coalesce(max(id), 0) FROM key_events")).fetchone())[0]


async def compared(life, zone, until=None):
    """Plan, let it happen undisturbed, and return both."""
    ahead = await plan(life, zone, YEAR if until is None else until)
    before, known = await last_event(life), {key.tag for key in ahead.book.keys}
    last = life.now + (until or 0)
    await life.settle()
    while life.now <= last:
        life.now = max(life.now + 1, await life.wake())
        if life.now <= last:
            await life.settle()
    return ahead, foreseen(ahead), await happened(life, zone, before, known)


async def rolled_once(life, zone):
    """Have the zone rest, roll once and rest again, so that its pace is known."""
    await life.settle()
    await life.order(zone, "roll")
    await life.settle()
    life.now += DAY


@pytest.mark.parametrize(
    ("at_home", "policy", "order"),
    [
        (False, {"publish_safety": 7000, "retire_safety": 300}, {"kind": "roll"}),
        (False, {"scheme": "ksk+zsk", "zsk_lifetime": 0}, {"kind": "roll"}),
        (False, {"scheme": "ksk+zsk", "zsk_lifetime": 0}, {"kind": "roll", "role": "zsk"}),
        (False, {}, {"kind": "emergency"}),
        (False, {}, {"kind": "insecure"}),
        (True, {"publish_safety": 500}, {"kind": "roll"}),
        (True, {"scheme": "ksk+zsk", "zsk_lifetime": 0}, {"kind": "emergency"}),
        (True, {}, {"kind": "insecure"}),
    ],
)
async def test_what_is_asked_for_happens_when_the_plan_says(life, at_home, policy, order):
    registry = await life.zone("homes.test.", "h 300 NS ns") if at_home else None
    zone = await life.zone(
        "h.homes.test." if at_home else "a.test.", "www 60 A 192.0.2.1", parent=registry.id if registry else None
    )
    await life.policy(zone, **policy)
    await rolled_once(life, zone)
    await life.order(zone, **order)

    ahead, planned, done = await compared(life, zone)

    assert len(done) > 3
    assert planned == done
    assert {one.sure for one in ahead.planned} == ({True} if at_home or order.get("role") == "zsk" else {True, False})


async def test_another_algorithm_and_another_scheme_come_when_the_plan_says(life):
    zone = await life.zone("a.test.", "www 60 A 192.0.2.1")
    await life.policy(zone, zsk_lifetime=0)
    await rolled_once(life, zone)
    await life.admin.execute("UPDATE zones SET algorithm = 15 WHERE id = %s", (zone.id,))
    await life.policy(zone, scheme="ksk+zsk", zsk_lifetime=0)

    _, planned, done = await compared(life, zone)

    assert planned == done
    assert [key[0] for key in await life.keys(zone)] == ["ksk", "zsk"]


async def test_lifetimes_end_when_the_plan_says_and_nobody_else_need_act(life):
    zone = await life.zone("a.test.", "www 60 A 192.0.2.1")
    await life.policy(zone, scheme="ksk+zsk", zsk_lifetime=30 * DAY, lifetime_jitter=0.2)
    await rolled_once(life, zone)

    ahead, planned, done = await compared(life, zone, 100 * DAY)

    # The jitter of a key hangs on its id, which nobody knows before it is made: so what is promised of keys that are
    # there is exact, and of their successors' successors as near as the jitter is wide.
    known = {key.tag for key in ahead.book.keys}
    generation = [one for one in planned if one[1] in known or one[1] == f"{NEW}1"]
    exact = [one for one in generation if one[1] in known]
    assert exact
    assert [one for one in done if one[1] in known] == exact
    assert len(planned) >= len(done) - 9
    assert all(one.sure for one in ahead.planned)
    assert any("reaches its lifetime" in one.why for one in ahead.planned)


async def test_a_zone_at_rest_has_nothing_but_signatures_to_make(life):
    zone = await life.zone("a.test.", "www 60 A 192.0.2.1")
    await life.settle()

    ahead = await plan(life, zone)
    assert [one.action for one in ahead.planned] == ["renew"]
    assert ahead.waits == ()
    life.now = ahead.planned[0].at
    before = zone.edition
    await life.sweep()

    assert zone.edition == before + 1
    assert end(*await seen(life, zone), life.now) is None


async def test_a_lifetime_behind_the_plan_is_told_all_the_same(life):
    zone = await life.zone("a.test.", "www 60 A 192.0.2.1")
    await life.policy(zone, csk_lifetime=900 * DAY)
    await life.settle()

    ahead = await plan(life, zone, 400 * DAY)

    assert ahead.later is not None
    assert life.now + 890 * DAY < ahead.later < life.now + 900 * DAY
    assert (await plan(life, zone, 901 * DAY)).later is None


async def test_what_hangs_on_a_server_that_does_not_answer_is_not_promised(life):
    zone = await life.zone("a.test.", "www 60 A 192.0.2.1")
    await life.policy(zone, scheme="ksk+zsk", zsk_lifetime=0)
    await rolled_once(life, zone)
    await life.server.execute(
        """INSERT INTO sightings (zone, kind, server, asked_at, problem)
           VALUES (%s, 'secondary', 'ns2.test. 192.0.2.2:53', to_timestamp(%s), 'does not answer')""",
        (zone.id, life.now),
    )
    await life.order(zone, "roll", role="zsk")
    await life.sweep()
    life.now += 600

    ahead = await plan(life, zone)

    assert {one.sure for one in ahead.planned if one.action != "renew"} == {False}
    (wait,) = ahead.waits
    assert wait.what.endswith("; ns2.test. 192.0.2.2:53 does not answer")


async def test_the_pace_is_what_servers_and_the_parent_took_of_late(life):
    life.adopts = 1234
    zone = await life.zone("a.test.", "www 60 A 192.0.2.1")
    await life.policy(zone)
    await rolled_once(life, zone)

    _, pace = await seen(life, zone)

    assert pace == overview.Pace(0, 1234)


async def test_who_only_looks_locks_nothing_and_waits_for_nobody(life, connected):
    zone = await life.zone("a.test.", "www 60 A 192.0.2.1")
    await life.settle()
    signer = await connected("zone_signer")

    async with signer.transaction():
        await leases.lock(signer, [zone.id])
        await signer.execute("SELECT FROM signing WHERE zone = %s FOR UPDATE", (zone.id,))
        await life.admin.execute("SET lock_timeout = 1000")
        ahead = await plan(life, zone)

    assert [key.tag for key in ahead.book.keys] == await life.tags(zone)
    assert ahead.book.sealed == {}
