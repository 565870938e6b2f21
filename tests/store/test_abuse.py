"""Complaints about homes and refusals by rules, counted per home of a tenant, for people to look at."""

from __future__ import annotations

import pytest
from rows import n
from waiting import wait_for

from ddns.operator import abuse, tenants
from ddns.operator.fault import CannotDo
from ddns.store import credentials, homes, zones
from ddns.store.tenancy import entered

NOW = 1_800_000_000
DAY = 86_400
SMITH, JONES, DOE = (n(f"{label}.homes.example.") for label in ("smith", "jones", "doe"))


@pytest.fixture
def keys(admin):
    """Make homes with a key each, doe's of another tenant; return the keys' ids by home."""

    async def make():
        registry = await zones.insert(admin, n("homes.example."), "none", 13)
        isp = await tenants.add(admin, "isp")
        await tenants.allow(admin, "isp", n("homes.example."))
        made = {}
        for home, tenant in ((SMITH, 1), (JONES, 1), (DOE, isp.id)):
            async with admin.transaction():
                await entered(admin, tenant)
                zone = await zones.insert(admin, home, "none", 13, registry)
                await homes.insert(admin, zone)
                made[home] = await credentials.insert(admin, home, "sig0", "13", public=home, home=zone)
        return made

    return wait_for(make())


async def refused(owner, key, code, *, at=NOW - 60, untold=0, verified=True):
    await owner.execute(
        """
        INSERT INTO refusals (at, code, rcode, text, transport, source, verified, credential, held, asked, size, untold)
        VALUES (to_timestamp(%s), %s, 5, 'no', 'udp', '192.0.2.0/24', %s, %s, '{}', '{}', 1, %s)
        """,
        [at, code, verified, key, untold],
    )


async def test_a_complaint_is_kept_with_its_evidence_and_the_operators_are_told(admin, keys):
    await abuse.complain(admin, SMITH, "spam", " mail from it:\nhttps://x.example ", "operator:me", NOW)
    number = await abuse.complain(admin, SMITH, "phishing", "a bank's page", "operator:me", NOW + 1)

    found = await abuse.complaints(admin, SMITH)

    assert [(one.id == number, one.at, one.what, one.evidence, one.who) for one in found] == [
        (True, NOW + 1, "phishing", "a bank's page", "operator:me"),
        (False, NOW, "spam", "mail from it:\nhttps://x.example", "operator:me"),
    ]
    cursor = await admin.execute("SELECT kind, owner, tenant FROM outbox")
    assert await cursor.fetchall() == [("home.complaint", None, 1)] * 2
    assert await abuse.complaints(admin, JONES) == []


@pytest.mark.parametrize(
    ("home", "what", "evidence", "says"),
    [
        (SMITH, "noise", "x", "choose one of them"), (SMITH, "spam", " ", "needs its evidence"),
        (SMITH, "spam", "x" * 2001, "1 to 2000"), (SMITH, "spam", "\x1b[2J", "of text"),
        (n("none.homes.example."), "spam", "x", "is no home"), (n("homes.example."), "spam", "x", "is no home"),
    ],
)  # fmt: skip
async def test_what_is_no_complaint_is_refused(admin, keys, home, what, evidence, says):
    with pytest.raises(CannotDo, match=says):
        await abuse.complain(admin, home, what, evidence, "operator:me", NOW)

    cursor = await admin.execute("SELECT count(*) FROM complaints")
    assert await cursor.fetchall() == [(0,)]


async def test_signals_are_complaints_and_refusals_by_rules_of_the_tenants_own_homes(admin, owner, keys):
    await abuse.complain(admin, JONES, "attack", "a flood", "operator:me", NOW - DAY)
    await abuse.complain(admin, DOE, "spam", "mail", "operator:me", NOW - DAY)
    for code in ("denied-by-rule", "address-not-allowed"):
        await refused(owner, keys[SMITH], code, untold=2)
    await refused(owner, keys[SMITH], "name-in-use")  # nothing that it may not
    await refused(owner, keys[JONES], "denied-by-rule", verified=False)  # somebody said that it was its key
    await refused(owner, keys[JONES], "denied-by-rule", at=NOW - 8 * DAY)

    found = await abuse.signals(admin, 1, 7, NOW)

    assert [(one.name, one.complaints, one.refused, one.last_at) for one in found] == [
        (JONES, 1, 0, NOW - DAY),
        (SMITH, 0, 6, NOW - 60),
    ]
    assert [one.name for one in await abuse.signals(admin, 1, 7, NOW, most=1)] == [JONES]
    assert len(await abuse.signals(admin, 1, 30, NOW)) == 2
    isp = (await tenants.the_tenant(admin, "isp")).id
    assert [(one.name, one.complaints) for one in await abuse.signals(admin, isp, 7, NOW)] == [(DOE, 1)]


async def test_a_complaint_holds_nothing_by_itself(admin, keys):
    for _ in range(5):
        await abuse.complain(admin, SMITH, "spam", "mail", "operator:me", NOW)

    assert {one.state for one in await homes.listing(admin)} == {"active"}


async def test_the_desk_sees_complaints_of_its_tenant_alone(admin, desk_conn, keys):
    await abuse.complain(admin, SMITH, "spam", "mail", "operator:me", NOW)
    isp = (await tenants.the_tenant(admin, "isp")).id
    async with desk_conn.transaction():
        await entered(desk_conn, isp)
        assert await abuse.signals(desk_conn, 1, 7, NOW) == []
        with pytest.raises(CannotDo, match="is no home"):
            await abuse.complaints(desk_conn, SMITH)
        await abuse.complain(desk_conn, DOE, "spam", "mail", "token:x", NOW)
        assert len(await abuse.signals(desk_conn, isp, 7, NOW)) == 1
