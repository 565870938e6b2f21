"""Signing policies in a real database: what the commands write, what the table would refuse, and who is woken."""

from __future__ import annotations

import random

import psycopg
import pytest
from lives import Life
from msgspec.structs import replace
from rows import n
from signing import add
from waiting import wait_for

from ddns.operator import policy_words, signing
from ddns.operator.fault import CannotDo
from ddns.store import policies, zones
from ddns.store.policies import DAY, FIELDS, OF_SIGNATURES, Policy
from zone_signer import waking
from zone_signer.keyring import KeyRing
from zone_signer.worker import Worker


@pytest.fixture
def life(admin, conn, connected, dsn_for):
    return Life(admin, wait_for(connected("zone_signer")), conn, dsn_for)


async def ask(conn, query, *values):
    return list(await (await conn.execute(query, values)).fetchall())


async def test_a_new_policy_is_as_the_table_makes_one(admin):
    await admin.execute("INSERT INTO signing_policies (name) VALUES ('bare')")

    assert {one.name: one for one in await policies.listing(admin)}["bare"] == Policy("bare")
    assert [(one.policy.name, one.zones) for one in await signing.listing(admin)][:2] == [("default", 0), ("home", 0)]


async def test_all_settings_are_written_and_read_again(admin):
    wanted = {
        "scheme": "ksk+zsk", "algorithm": 14, "csk_lifetime": "1d", "ksk_lifetime": "5w", "zsk_lifetime": "2d",
        "lifetime_jitter": 0.3, "backdate": "2h", "validity": "30d", "jitter": "1d", "refresh": "10d",
        "dnskey_ttl": "10m", "publish_safety": 1, "retire_safety": "2s", "ds_ttl": "5m", "parent_check": "manual",
        "parent_servers": ["192.0.2.1"], "cds": "always", "watch": "targets", "patience": "2d", "purge_after": "9d",
        "vault": "pkcs11:one",
    }  # fmt: skip
    assert set(wanted) == set(FIELDS)

    (done,) = await signing.put(admin, {"all": wanted})

    found = await signing.show(admin, "all")
    assert done.state == "added"
    assert set(done.changes) == set(FIELDS)
    assert found.policy == Policy("all", **policy_words.read_values(wanted))
    (again,) = await signing.put(admin, {"all": wanted})
    assert (again.state, again.changes) == ("unchanged", {})


async def test_a_change_leaves_all_else_as_it_is(admin):
    await signing.put(admin, {"one": {"zsk_lifetime": "30d", "cds": "never"}})

    (done,) = await signing.put(admin, {"one": {"zsk_lifetime": "60d"}})

    assert (done.state, done.changes) == ("changed", {"zsk_lifetime": ("30d", "60d")})
    assert (await signing.show(admin, "one")).policy == Policy("one", cds="never", zsk_lifetime=60 * DAY)


# A value that each CHECK of the table refuses. Whoever adds a CHECK adds a sentence.
REFUSED = {
    "signing_policy_with_odd_name": {"name": "Odd Name"},
    "policy_of_unknown_scheme": {"scheme": "zsk"},
    "policy_of_unknown_algorithm": {"algorithm": 5},
    "policy_with_odd_jitter": {"lifetime_jitter": 0.6},
    "policy_of_unknown_parent_check": {"parent_check": "never"},
    "policy_of_unknown_cds": {"cds": "no"},
    "policy_of_unknown_watch": {"watch": "no"},
    "policy_of_unknown_vault": {"vault": "drawer"},
    "policy_with_negative_time": {"patience": -1},
    "policy_that_refreshes_too_late": {"refresh": 3 * DAY - 1},
    "policy_with_lifetime_below_a_day": {"zsk_lifetime": DAY - 1},
}


async def test_every_check_of_the_table_is_told_beforehand(admin):
    checks = await ask(
        admin, "SELECT conname FROM pg_constraint WHERE conrelid = 'signing_policies'::regclass AND contype = 'c'"
    )
    assert {name for (name,) in checks} == set(REFUSED)

    for constraint, values in REFUSED.items():
        with pytest.raises(psycopg.errors.CheckViolation) as caught:
            await policies.insert(admin, replace(Policy("new"), **values))
        assert caught.value.diag.constraint_name == constraint
        name = values.get("name", "new")
        with pytest.raises(CannotDo):
            await signing.put(admin, {name: {key: value for key, value in values.items() if key != "name"}})


async def test_of_several_policies_all_are_changed_or_none(admin):
    with pytest.raises(CannotDo, match=r"The signing policy two cannot be so\. scheme: 'x' is not known"):
        await signing.put(admin, {"one": {"cds": "never"}, "two": {"scheme": "x"}})

    assert [one.name for one in await policies.listing(admin)] == ["default", "home"]


async def test_policies_are_bounded(admin, monkeypatch):
    monkeypatch.setattr(signing, "MOST_POLICIES", 3)
    await signing.put(admin, {"one": {}})

    with pytest.raises(CannotDo, match="at most 3 signing policies"):
        await signing.put(admin, {"two": {}})


async def test_a_policy_that_zones_have_is_not_removed(admin):
    await add(admin, "a.test.")
    await signing.put(admin, {"one": {}})
    await signing.use(admin, n("a.test."), "one")

    with pytest.raises(CannotDo, match=r"one is still that of a\.test\.; `ddns signing show one`"):
        await signing.remove(admin, "one")
    await signing.use(admin, n("a.test."), None)
    await signing.remove(admin, "one")
    for name in ("default", "home"):
        with pytest.raises(CannotDo, match="is what zones have that have no other"):
            await signing.remove(admin, name)
    with pytest.raises(CannotDo, match="There is no signing policy 'one'"):
        await signing.remove(admin, "one")


async def test_who_uses_another_policy_gets_another_keyset_and_is_looked_at(life, admin, owner):
    zone = await life.zone("a.test.", "www 60 A 192.0.2.1")
    await life.settle()
    ((before,),) = await ask(admin, "SELECT keyset FROM zones WHERE id = %s", zone.id)
    await signing.put(admin, {"pair": {"scheme": "ksk+zsk", "publish_safety": 0, "retire_safety": 0}})
    await owner.execute("LISTEN ddns_pending")

    done = await signing.use(admin, zone.origin, "pair")

    assert done == signing.Used("default", "pair", changed=True)
    rows = await ask(
        admin,
        "SELECT policy, keyset, extract(epoch FROM step_at)::bigint FROM zones JOIN signing ON zone = id WHERE id = %s",
        zone.id,
    )
    assert rows == [("pair", before + 1, 0)]
    assert [one.channel async for one in owner.notifies(timeout=5, stop_after=1)] == ["ddns_pending"]
    assert (await signing.use(admin, zone.origin, "pair")).changed is False
    assert await ask(admin, "SELECT keyset FROM zones WHERE id = %s", zone.id) == [(before + 1,)]
    await life.settle()
    assert [row[0] for row in await life.keys(zone)] == ["ksk", "zsk"]
    assert await signing.use(admin, zone.origin, None) == signing.Used("pair", "default", changed=True)
    await life.settle()
    assert [row[0] for row in await life.keys(zone)] == ["csk"]


async def test_a_zone_that_is_not_signed_takes_its_policy_for_later(life, admin):
    zone = await life.zone("a.test.", "www 60 A 192.0.2.1", denial="none")
    await signing.put(admin, {"one": {}})

    await signing.use(admin, n("a.test."), "one")

    assert await ask(admin, "SELECT policy, step_at FROM zones JOIN signing ON zone = id WHERE id = %s", zone.id) == [
        ("one", None)
    ]


async def test_what_is_not_there_is_named(admin):
    await add(admin, "a.test.")

    for work in (signing.show(admin, "x"), signing.use(admin, n("a.test."), "x")):
        with pytest.raises(CannotDo, match="There is no signing policy 'x'; `ddns signing list` shows"):
            await work
    with pytest.raises(CannotDo, match=r"There is no zone b\.test\. here"):
        await signing.use(admin, n("b.test."), None)


async def registry(life, homes):
    """Return a registry with *homes* at rest, none of which is looked at by itself for years."""
    parent = await life.zone("homes.test.", *[f"h{number} 300 NS ns1.h{number}" for number in range(homes)])
    made = [
        await life.zone(f"h{number}.homes.test.", "www 60 A 192.0.2.1", parent=parent.id) for number in range(homes)
    ]
    await life.settle()
    life.now += DAY
    await life.settle()
    return made


async def due(life):
    """Return how many homes are to be looked at now."""
    ((count,),) = await ask(
        life.admin,
        "SELECT count(*) FROM signing JOIN zones ON id = zone WHERE parent IS NOT NULL AND step_at <= to_timestamp(%s)",
        life.now,
    )
    return count


async def test_a_changed_policy_has_all_its_zones_followed_page_by_page(life, admin, monkeypatch):
    homes = await registry(life, 7)
    assert await due(life) == 0
    monkeypatch.setattr(waking, "PAGE", 3)
    known = life.rings[0].policies

    (done,) = await signing.put(admin, {"home": {"algorithm": 15}})

    assert done.looks
    woken = []
    while await waking.wake(life.conn, known, life.now):
        ((at,),) = await ask(admin, "SELECT woken FROM signing_policies WHERE name = 'home'")
        woken.append((await due(life), at))
    assert woken == [(3, homes[2].id), (6, homes[5].id), (7, None)]
    assert known.named("home").algorithm == 15
    await life.settle()
    for home in homes:
        assert [(row[1], row[5]) for row in await life.keys(home)] == [(15, "active")]


async def test_zones_of_other_policies_are_passed_some_at_a_time(life, admin, monkeypatch):
    homes = await registry(life, 6)
    monkeypatch.setattr(waking, "PASSED", 2)
    await signing.put(admin, {"other": {}})
    await signing.use(admin, homes[3].origin, "other")
    await life.settle()
    await signing.put(admin, {"other": {"csk_lifetime": "100d"}})

    turns = 0
    while await waking.wake(life.conn, life.rings[0].policies, life.now):
        turns += 1

    assert turns == 4  # seven zones, two at a time
    assert await due(life) == 1


async def test_a_walk_that_is_killed_goes_on_with_another_signer(life, admin, dsn_for, monkeypatch):
    homes = await registry(life, 5)
    monkeypatch.setattr(waking, "PAGE", 2)
    await signing.put(admin, {"home": {"csk_lifetime": "100d", "lifetime_jitter": 0}})
    assert await waking.wake(life.conn, life.rings[0].policies, life.now)
    async with life.conn.transaction(force_rollback=True):  # as where it is killed behind a page, before its commit
        assert await waking.wake(life.conn, life.rings[0].policies, life.now)

    life.workers = [Worker(dsn_for("zone_signer"), KeyRing(life.rings[0].vault), lambda: life.now)]
    await life.sweep()

    rows = await ask(
        admin,
        "SELECT extract(epoch FROM step_at - to_timestamp(%s))::bigint / 86400 FROM signing WHERE zone = ANY(%s)",
        life.now, [home.id for home in homes],
    )  # fmt: skip
    assert all(90 < days < 99 for (days,) in rows)  # each is looked at before its key's hundred days are over
    assert await ask(admin, "SELECT count(*) FROM signing_policies WHERE woken IS NOT NULL") == [(0,)]


async def test_two_signers_do_not_walk_for_the_same_policy_at_once(life, admin, connected):
    await registry(life, 2)
    await signing.put(admin, {"home": {"csk_lifetime": "100d"}})
    other = await connected("zone_signer")

    async with life.conn.transaction():
        assert await waking.wake(life.conn, life.rings[0].policies, life.now)
        assert not await waking.wake(other, life.rings[0].policies, life.now)


async def test_a_page_with_a_zone_that_somebody_holds_is_left_to_the_next_time(life, admin, conn):
    first, _ = await registry(life, 2)
    await signing.put(admin, {"home": {"csk_lifetime": "100d"}})

    async with conn.transaction():
        await zones.lock(conn, [first.id])
        done = await life.workers[0].sweep(life.conn)  # which ends, and fails nobody
        assert done.failed == ()
        assert await ask(admin, "SELECT woken FROM signing_policies WHERE name = 'home'") == [(0,)]
    await life.sweep()
    assert await ask(admin, "SELECT woken FROM signing_policies WHERE name = 'home'") == [(None,)]


async def test_what_is_only_about_signatures_wakes_nobody(life, admin):
    await registry(life, 1)

    (done,) = await signing.put(
        admin, {"home": dict.fromkeys(OF_SIGNATURES, "5h") | {"validity": "20d", "refresh": "5d"}}
    )

    assert done.state == "changed"
    assert not done.looks
    assert await ask(admin, "SELECT count(*) FROM signing_policies WHERE woken IS NOT NULL") == [(0,)]


async def test_signatures_follow_a_changed_policy_at_once(life, admin):
    zone = await life.zone("a.test.", "www 60 A 192.0.2.1")
    await life.settle()
    await signing.put(admin, {"default": {"validity": "40d", "jitter": "0", "refresh": "10d"}})

    await life.order(zone, "resign")
    await life.sweep()

    ((at,),) = await ask(admin, "SELECT extract(epoch FROM resign_at)::bigint FROM signing WHERE zone = %s", zone.id)
    assert at == life.now + 30 * DAY


async def test_a_zone_whose_policy_is_younger_than_the_last_look_gets_its_first_keys_by_it(life, admin):
    await life.zone("a.test.")
    await life.settle()
    zone = await life.zone("b.test.")
    await signing.put(admin, {"young": {"scheme": "ksk+zsk"}})
    await signing.use(admin, n("b.test."), "young")

    await life.workers[0]._step(life.conn)  # the first step of a sweep that has read the policies before

    assert [row[0] for row in await life.keys(zone)] == ["ksk", "zsk"]


@pytest.mark.parametrize("seed", range(3))
async def test_policies_that_change_all_the_time_make_no_zone_bogus_and_end_with_the_keys_of_the_last(
    life, admin, seed
):
    """`Life` judges every edition, and what any cache may hold beside it."""
    rng = random.Random(seed)
    zone = await life.zone("a.test.", "www 60 A 192.0.2.1")
    quick = {"publish_safety": 0, "retire_safety": 0, "zsk_lifetime": "never"}
    await signing.put(
        admin,
        {
            "one": quick,
            "pair": quick | {"scheme": "ksk+zsk"},
            "edwards": quick | {"algorithm": 15},
            "wide": quick | {"algorithm": 14, "scheme": "ksk+zsk"},
        },
    )
    await life.settle()
    names = ["one", "pair", "edwards", "wide"]

    for _ in range(6):
        if rng.random() < 0.7:
            await signing.use(admin, zone.origin, rng.choice(names))
        else:
            name = rng.choice(names)
            await signing.put(admin, {name: {"scheme": rng.choice(["csk", "ksk+zsk"])}})
        await life.settle(until=life.now + rng.choice([0, 100, 5000, 100_000]))
    await signing.put(admin, {"wide": {"scheme": "ksk+zsk"}})
    await signing.use(admin, zone.origin, "wide")
    await life.settle()

    assert [row[:2] for row in await life.keys(zone)] == [("ksk", 14), ("zsk", 14)]
    assert await ask(admin, "SELECT count(*) FROM signing_policies WHERE woken IS NOT NULL") == [(0,)]
