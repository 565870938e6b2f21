"""Reminders and signals on a real Postgres: told once in their time, to whom they concern, and nothing else happens."""

from __future__ import annotations

import json

import pytest
from people import DAY, NOW, REGISTRY, p256
from waiting import wait_for

from ddns.dns import names
from ddns.homes import crossing, telling
from ddns.operator import abuse, home_policy, tenants
from ddns.proof.statements import Claim, Object, Release
from ddns.store import credential_uses, keys_of_homes, told
from ddns.store.credential_uses import Use
from ddns.store.tenancy import entered

SMITH = "smith.homes.example."
GATEWAY, OWNER, BOX, BUYER, OTHER = (p256(number) for number in range(301, 306))


@pytest.fixture
def smith(village):
    return wait_for(village.home("smith", GATEWAY, OWNER, BOX))


async def look(village, what, *arguments, tenant=1, days=0.0):
    """Have a desk look, so many days after everything began."""
    async with village.desk.transaction():
        await entered(village.desk, tenant)
        return await what(village.desk, *arguments, NOW + int(days * DAY))


async def reminded(village, days):
    async with village.desk.transaction():
        await entered(village.desk, 1)
        return await telling.remind_of_claims(village.desk, NOW + int(days * DAY), 10)


async def said(village, kind, tenant=1):
    """Return the notices of a kind, as (whether somebody owns it, what it says)."""
    cursor = await village.admin.execute(
        "SELECT owner IS NOT NULL, convert_from(body, 'UTF8') FROM outbox WHERE kind = %s AND tenant = %s ORDER BY id",
        [kind, tenant],
    )
    return [(owned, json.loads(body)) for owned, body in await cursor.fetchall()]


async def test_the_owner_is_reminded_of_a_claim_twice_whoever_looks_how_often(village, smith):
    await village.say(Claim, BUYER, BOX, nonce=village.nonce())

    counts = [await reminded(village, days) for days in (1, 14.9, 15, 15, 26.9, 27, 28, 29.9, 30, 31)]

    assert counts == [0, 0, 1, 0, 0, 1, 0, 0, 0, 0]
    assert await said(village, "claim.reminder") == [
        (True, {"event": "claim", "at": NOW + days * DAY, "home": SMITH, "due": NOW + 30 * DAY}) for days in (15, 27)
    ]


async def test_a_desk_that_was_down_says_the_last_one_and_a_claim_that_is_over_is_not_told_of(village, smith):
    await village.say(Claim, BUYER, BOX, nonce=village.nonce())

    assert [await reminded(village, days) for days in (28, 29)] == [1, 0]
    await village.say(Object, OWNER, sub=SMITH)
    await village.admin.execute("DELETE FROM told")
    assert await reminded(village, 29) == 0


async def test_a_home_in_no_use_is_told_of_once_in_such_a_time_and_stays(village, smith):
    await home_policy.change(village.admin, 1, REGISTRY, {"idle": "90d"})
    await village.home("jones", OTHER)
    (key,) = [one.id for one in await keys_of_homes.live(village.admin, smith)]

    async def idle(days):
        async with village.desk.transaction():
            await entered(village.desk, 1)
            return await telling.tell_of_idle_homes(village.desk, NOW + int(days * DAY), 10)

    await village.admin.execute("UPDATE homes SET created_at = to_timestamp(%s)", [NOW])
    assert [await idle(days) for days in (1, 89.5)] == [0, 0]
    await credential_uses.write(village.admin, [Use(key, NOW + 50 * DAY, "192.0.2.0/24")])
    assert [await idle(days) for days in (91, 91.5, 100)] == [1, 0, 0]
    ((owned, body),) = await said(village, "home.idle")
    assert (owned, body["home"], body["since"]) == (False, "jones.homes.example.", NOW)
    assert [await idle(days) for days in (141, 190)] == [1, 1]
    assert [body["home"] for _, body in await said(village, "home.idle")] == [
        "jones.homes.example.", SMITH, "jones.homes.example."
    ]  # fmt: skip
    cursor = await village.admin.execute("SELECT DISTINCT state FROM homes")
    assert await cursor.fetchall() == [("active",)]


async def test_no_idle_notices_where_the_policy_wants_none(village, smith):
    await home_policy.change(village.admin, 1, REGISTRY, {"idle": "0"})
    async with village.desk.transaction():
        await entered(village.desk, 1)
        assert await telling.tell_of_idle_homes(village.desk, NOW + 4000 * DAY, 10) == 0


async def test_operators_are_told_of_a_home_over_a_threshold_and_nobody_holds_it(village, smith):
    async def signals(days):
        return await look(village, telling.tell_of_signals, 1, days=days)

    await abuse.complain(village.admin, names.from_text(SMITH), "spam", "a mail", "operator:me", NOW)
    assert await signals(0) == 0, "nobody wants to be told"
    await tenants.set_bounds(village.admin, "registry", {"complaints-a-week": 2})
    assert await signals(0) == 0
    await abuse.complain(village.admin, names.from_text(SMITH), "spam", "another", "operator:me", NOW + 60)

    assert [await signals(days) for days in (0.001, 0.1, 0.2, 6)] == [0, 1, 0, 0]

    assert await said(village, "home.signals") == [
        (False, {"at": NOW + int(0.1 * DAY), "home": SMITH, "refused": 0, "complaints": 2})
    ]
    cursor = await village.admin.execute("SELECT state FROM homes WHERE zone = %s", [smith])
    assert await cursor.fetchall() == [("active",)]


async def test_bounds_that_are_near_are_told_once_and_another_tenant_hears_nothing(village, smith):
    other = await village.tenant_called("isp")
    await tenants.set_bounds(village.admin, "registry", {"homes": 5})
    for label in ("b", "c"):
        await village.home(label, p256())

    async def quotas(days):
        return await look(village, telling.tell_of_quotas, 1, days=days)

    assert await quotas(0) == 0
    await village.home("d", p256())
    assert [await quotas(days) for days in (0.001, 0.1, 0.2)] == [0, 1, 0]
    await village.home("e", p256())
    assert [await quotas(days) for days in (0.3, 0.4)] == [1, 0]
    assert [(body["number"], body["percent"]) for kind in ("quota.near", "quota.reached") for _, body in
            await said(village, kind)] == [(4, 80), (5, 100)]  # fmt: skip
    assert await village.notices(other) == []
    async with village.desk.transaction():
        await entered(village.desk, 1)
        assert await told.forget(village.desk, NOW + 30 * DAY, 100) > 0


async def test_the_seller_hears_that_his_box_was_taken_across_tenants_and_not_by_whom(village, smith):
    other = await village.tenant_called("isp")
    assert (await village.say(Release, OWNER, sub=SMITH, until=NOW + DAY, receiver="A" * 43)).event == "release"
    cursor = await village.admin.execute("SELECT id FROM releases")
    ((release,),) = await cursor.fetchall()

    async with village.desk.transaction():
        await entered(village.desk, other)
        await crossing.tell_seller(village.desk, release, other, NOW + 60)

    assert await said(village, "box.taken") == [(True, {"event": "take", "at": NOW + 60, "home": SMITH})]
    assert await village.notices(other) == []
