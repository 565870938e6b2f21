"""Keys roll in a real database, step by step; whatever any cache may hold, no validator finds a zone bogus.

Two signers take turns throughout, and every edition is judged by `lives.Life`.
"""

from __future__ import annotations

import pytest
from lives import DAY, Life
from signing import NOW
from waiting import wait_for

from ddns.dns.codes import Type
from zone_signer import keybook, leases, refresh, stepping, worker

ACTIVE = ("omnipresent", "omnipresent", "omnipresent", "active")
CSK = [("csk", 13, *ACTIVE)]
KSK = ("ksk", 13, "omnipresent", "none", "omnipresent", "active")
ZSK = ("zsk", 13, "omnipresent", "omnipresent", "none", "active")


@pytest.fixture
def life(admin, conn, connected, dsn_for):
    return Life(admin, wait_for(connected("zone_signer")), conn, dsn_for, signers=2)


async def at_rest(life, **more):
    """Return a zone with a parent elsewhere, whose keys rest."""
    zone = await life.zone("a.test.", "www 60 A 192.0.2.1", "x.y 300 TXT z", **more)
    await life.settle()
    return zone


async def with_home(life, *lines):
    """Return a registry's zone and a home of it, both at rest."""
    registry = await life.zone("homes.test.", "h 300 NS ns", *lines)
    home = await life.zone("h.homes.test.", "www 60 A 192.0.2.1", parent=registry.id)
    await life.settle()
    return registry, home


async def test_a_zone_asks_a_parent_elsewhere_for_its_ds_and_rests_when_it_has_one(life):
    zone = await life.zone("a.test.", "www 60 A 192.0.2.1")
    await life.sweep()
    assert zone.key(Type.CDS) is not None

    await life.settle()

    assert await life.keys(zone) == CSK
    assert zone.key(Type.CDS) is None
    assert await life.row(zone) == ("nsec3", 1, "secure", "", None, 1)


@pytest.mark.parametrize("denial", ["nsec3", "nsec"])
async def test_a_csk_is_followed_by_another_with_both_ds_at_the_parent_for_a_while(life, denial):
    zone = await at_rest(life, denial=denial)
    (old,) = await life.tags(zone)

    await life.order(zone, "roll")
    await life.settle()

    (new,) = await life.tags(zone)
    assert new != old
    assert await life.keys(zone) == CSK
    assert len(zone.ds) == 1
    moves = [one for one in await life.events(zone) if one[0] in ("dnskey", "zrrsig", "ds") and one[2] != "seen"]
    assert moves[-12:] == [
        ("dnskey", "hidden", "rumoured"),
        ("dnskey", "rumoured", "omnipresent"),
        ("ds", "hidden", "rumoured"),
        ("ds", "rumoured", "omnipresent"),
        ("zrrsig", "hidden", "rumoured"),
        ("zrrsig", "omnipresent", "unretentive"),
        ("ds", "omnipresent", "unretentive"),
        *moves[-5:],
    ]
    assert moves[-1] == ("dnskey", "unretentive", "hidden")


async def test_a_home_rolls_with_the_ds_in_its_registry_in_the_same_transaction(life):
    registry, home = await with_home(life)
    (old,) = home.ds
    before = registry.edition

    await life.order(home, "roll")
    await life.settle()

    assert await life.keys(home) == CSK
    (new,) = home.ds
    assert new != old
    assert registry.edition == before + 2  # both DS, and then the new one
    assert home.key(Type.CDS) is None


async def test_keys_for_two_tasks_are_rolled_one_by_one(life):
    zone = await life.zone("a.test.", "www 60 A 192.0.2.1")
    await life.policy(zone, scheme="ksk+zsk", zsk_lifetime=0)
    await life.settle()
    assert await life.keys(zone) == [KSK, ZSK]
    ksk, zsk = await life.tags(zone)

    await life.order(zone, "roll", role="zsk")
    await life.settle()
    assert await life.keys(zone) == [KSK, ZSK]
    assert (await life.tags(zone))[0] == ksk
    await life.order(zone, "roll", role="ksk")
    await life.settle()

    assert await life.keys(zone) == [KSK, ZSK]
    assert not {ksk, zsk} & set(await life.tags(zone))


@pytest.mark.parametrize(("scheme", "keys"), [("csk", CSK), ("ksk+zsk", [KSK, ZSK])])
async def test_another_scheme_of_a_policy_is_reached_by_a_roll(life, scheme, keys):
    zone = await life.zone("a.test.", "www 60 A 192.0.2.1")
    await life.policy(zone, scheme="csk" if scheme == "ksk+zsk" else "ksk+zsk", zsk_lifetime=0)
    await life.settle()
    before = set(await life.tags(zone))

    await life.policy(zone, scheme=scheme, zsk_lifetime=0)
    await life.settle()

    assert await life.keys(zone) == keys
    assert not before & set(await life.tags(zone))


@pytest.mark.parametrize("scheme", ["csk", "ksk+zsk"])
async def test_another_algorithm_signs_all_before_its_key_is_published_and_its_key_before_its_ds(life, scheme):
    zone = await life.zone("a.test.", "www 60 A 192.0.2.1")
    await life.policy(zone, scheme=scheme, zsk_lifetime=0)
    await life.settle()

    await life.admin.execute("UPDATE zones SET algorithm = 15 WHERE id = %s", (zone.id,))
    await life.look(zone)
    await life.settle()

    assert [key[:2] for key in await life.keys(zone)] == [(role, 15) for role in scheme.split("+")]
    assert {one[2] for one in zone.ds} == {15}


async def test_the_algorithm_of_an_import_is_reached_although_nobody_looks_at_the_keys(life):
    """An operator sets the zone's algorithm and says that it is to be signed, no more."""
    zone = await at_rest(life)

    await life.admin.execute("UPDATE zones SET algorithm = 15 WHERE id = %s", (zone.id,))
    await life.admin.execute("UPDATE signing SET pending = true, signed_head = 1 WHERE zone = %s", (zone.id,))
    await life.settle(until=NOW + 30 * DAY)

    assert [key[:2] for key in await life.keys(zone)] == [("csk", 15)]


@pytest.mark.parametrize("here", [True, False])
async def test_a_zone_loses_its_signatures_when_no_cache_holds_its_ds_and_gets_them_back(life, here):
    zone = (await with_home(life))[1] if here else await at_rest(life)

    await life.order(zone, "insecure")
    await life.settle()

    assert zone.ds == ()
    assert zone.key(Type.DNSKEY) is None
    assert await life.keys(zone) == []
    assert (await life.row(zone))[0] == "none"
    await life.order(zone, "secure", denial="nsec")
    await life.settle()
    assert await life.keys(zone) == CSK
    assert (await life.row(zone))[0] == "nsec"
    assert len(zone.ds) == 1


async def test_a_zone_that_is_imported_to_be_signed_again_gets_keys_by_a_step(life):
    zone = await at_rest(life)
    await life.order(zone, "insecure")
    await life.settle()

    await life.admin.execute("UPDATE zones SET denial = 'nsec3' WHERE id = %s", (zone.id,))
    await life.admin.execute("UPDATE signing SET pending = true, signed_head = 1 WHERE zone = %s", (zone.id,))
    await life.settle()

    assert await life.keys(zone) == CSK
    assert len(zone.ds) == 1


async def test_a_key_that_others_know_leaves_at_once_though_a_roll_is_under_way(life):
    zone = await at_rest(life)
    old = set(await life.tags(zone))
    await life.order(zone, "roll")
    await life.sweep()
    old |= set(await life.tags(zone))
    assert len(old) == 2

    await life.order(zone, "emergency")
    await life.settle()

    assert await life.keys(zone) == CSK
    assert not old & set(await life.tags(zone))


async def test_a_lifetime_that_ends_rolls_a_key_without_anybody_asking(life):
    zone = await life.zone("a.test.", "www 60 A 192.0.2.1")
    await life.policy(zone, csk_lifetime=10 * DAY)
    await life.settle()
    old = await life.tags(zone)
    at = (await life.row(zone))[4]
    assert NOW + 8 * DAY < at < NOW + 10 * DAY

    life.now = at
    await life.settle()

    assert await life.keys(zone) == CSK
    assert await life.tags(zone) != old


async def test_a_roll_that_is_called_back_leaves_the_old_key(life):
    zone = await at_rest(life)
    old = await life.tags(zone)
    await life.order(zone, "roll")
    await life.sweep()

    await life.order(zone, "cancel")
    await life.settle()

    assert await life.tags(zone) == old
    assert await life.keys(zone) == CSK


async def test_nothing_steps_that_the_watcher_has_not_seen(life):
    zone = await at_rest(life)
    life.watching = False

    await life.order(zone, "roll")
    for _ in range(10):
        await life.sweep()
        life.now += DAY

    assert ("csk", 13, "rumoured", "hidden", "hidden", "published") in await life.keys(zone)
    (waits,) = await (await life.admin.execute("SELECT waits FROM key_motions")).fetchall()
    assert "the watcher has not looked at the zone's servers yet" in waits[0]


async def test_a_home_that_is_suspended_keeps_its_keys_as_they_are(life):
    _, home = await with_home(life)
    await life.admin.execute("INSERT INTO homes (zone, state, reason) VALUES (%s, 'suspended', 'a test')", (home.id,))

    await life.order(home, "roll")
    await life.sweep()

    assert await life.keys(home) == CSK
    await life.admin.execute("UPDATE homes SET state = 'active'")
    life.now += 3600
    await life.settle()
    assert len(await life.events(home)) > 5


@pytest.mark.parametrize("denial", ["nsec3", "nsec"])
@pytest.mark.parametrize("what", ["roll", "algorithm", "scheme"])
async def test_a_big_zone_is_signed_by_slices_while_its_keys_roll(life, monkeypatch, denial, what):
    """Between two slices some RRsets have the signatures of the old key and some those of the new one."""
    zone = await life.zone("a.test.", *[f"h{number} 60 A 192.0.2.1" for number in range(20)], denial=denial)
    await life.policy(zone, scheme="ksk+zsk", zsk_lifetime=0)
    await life.settle()
    before = set(await life.tags(zone))
    for module in (worker, stepping):
        monkeypatch.setattr(module, "BIG", 10)
    for name, number in (("PAGE", 3), ("SLICE", 4), ("PAGES", 5), ("SLICES", 2)):
        monkeypatch.setattr(refresh, name, number)

    if what == "roll":
        await life.order(zone, "roll")
    elif what == "algorithm":
        await life.admin.execute("UPDATE zones SET algorithm = 15 WHERE id = %s", (zone.id,))
        await life.look(zone)
    else:
        await life.policy(zone, scheme="csk")
    await life.settle()

    assert all(key[-1] == "active" for key in await life.keys(zone))
    assert [key[0] for key in await life.keys(zone)] == (["csk"] if what == "scheme" else ["ksk", "zsk"])
    assert not before & set(await life.tags(zone))


async def test_a_removed_key_has_no_private_half_and_is_forgotten_in_the_end(life):
    zone = await at_rest(life)
    await life.order(zone, "roll")
    await life.settle()
    rows = await life.admin.execute("SELECT state, removed_at IS NOT NULL FROM signing_keys ORDER BY created_at")
    assert await rows.fetchall() == [("removed", True), ("active", False)]
    sealed = await life.conn.execute("SELECT sealed IS NULL FROM signing_keys WHERE state = 'removed'")
    assert await sealed.fetchall() == [(True,)]

    life.now += 91 * DAY
    await life.sweep()

    assert await (await life.admin.execute("SELECT count(*) FROM signing_keys")).fetchone() == (1,)


async def test_a_home_that_is_held_up_by_its_own_servers_does_not_stop_the_rolls_of_others(life, monkeypatch):
    monkeypatch.setattr(keybook, "MOST_MOVING", 1)
    registry, stuck = await with_home(life)
    other = await life.zone("i.homes.test.", "www 60 A 192.0.2.1", parent=registry.id)
    await life.settle()
    life.watching = False
    life.now += 2 * DAY
    await life.order(stuck, "roll")
    await life.sweep()
    assert len(await life.tags(stuck)) == 2

    await life.policy(other, csk_lifetime=DAY)
    await life.sweep()
    assert len(await life.tags(other)) == 1  # one home of the registry moves, and no more may

    life.now += 3 * DAY
    await life.sweep()
    assert len(await life.tags(other)) == 2
    assert len(await life.tags(stuck)) == 2


async def test_zones_that_nobody_looks_at_any_more_are_found_and_servers_are_not_waited_for(life):
    held, free = [await life.zone(f"{label}.test.", "www 60 A 192.0.2.1") for label in "ab"]
    await life.settle()
    await life.admin.execute("UPDATE signing_policies SET csk_lifetime = 400 * 86400 WHERE name = 'default'")
    await life.admin.execute("UPDATE signing SET step_at = NULL")

    async with life.server.transaction():
        await life.server.execute("SELECT FROM signing WHERE zone = %s FOR NO KEY UPDATE", (held.id,))
        assert await leases.wake_forgotten(life.conn, 0, None, life.now) == 1
        assert (await life.row(free))[4] == life.now
    assert await leases.wake_forgotten(life.conn, 0, None, life.now) == 1
    assert await leases.wake_forgotten(life.conn, 0, None, life.now) == 0
