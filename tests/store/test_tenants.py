"""Tenants in a real Postgres: made, bounded, suspended; and what the desk may see and change of them."""

from __future__ import annotations

import asyncio

import psycopg
import pytest
from rows import n
from waiting import wait_for

from ddns.homes import quotas
from ddns.operator import tenants
from ddns.operator.fault import CannotDo
from ddns.store import homes, invitations, zones
from ddns.store.tenancy import entered

ZONE = n("homes.example.")
NOW = 1_800_000_000


@pytest.fixture
def registry(admin):
    """Make a registry without homes, and the tenant isp, who may have some there; return the zone's id and its."""

    async def make():
        zone = await zones.insert(admin, ZONE, "none", 13)
        isp = await tenants.add(admin, "isp", "Homes.ISP.example")
        await tenants.allow(admin, "isp", ZONE)
        return zone, isp.id

    return wait_for(make())


async def home(admin, tenant, registry, label):
    async with admin.transaction():
        await entered(admin, tenant)
        zone = await zones.insert(admin, n(f"{label}.homes.example."), "none", 13, registry)
        await homes.insert(admin, zone)
        await admin.execute("UPDATE homes SET created_at = to_timestamp(%s) WHERE zone = %s", [NOW - 60, zone])


async def test_a_tenant_is_made_shown_bounded_suspended_and_released(admin, registry):
    zone, isp = registry
    await home(admin, isp, zone, "doe")
    await tenants.set_bounds(admin, "isp", {"homes": 5, "enrolments-a-day": 2})

    found = await tenants.show(admin, "isp", NOW)

    assert (found.tenant.host, found.tenant.homes_most, found.tenant.enrolments_a_day) == ("homes.isp.example", 5, 2)
    assert (found.zones, found.counts.homes, found.counts.enrolments) == (((ZONE, 1),), 1, 1)
    assert [one.name for one in await tenants.listing(admin)] == ["registry", "isp"]
    assert await tenants.set_suspended(admin, "isp", suspended=True)
    assert not await tenants.set_suspended(admin, "isp", suspended=True)
    assert (await quotas.room(admin, isp, zone, NOW, homes=1)).code == "tenant-suspended"
    assert await tenants.set_suspended(admin, "isp", suspended=False)
    assert await quotas.room(admin, isp, zone, NOW, homes=1) is None


@pytest.mark.parametrize(
    ("act", "says"),
    [
        (lambda admin: tenants.add(admin, "isp"), "a tenant isp already"),
        (lambda admin: tenants.add(admin, "Isp"), "no name of a tenant"),
        (lambda admin: tenants.add(admin, "x" * 33), "no name of a tenant"),
        (lambda admin: tenants.add(admin, "b", "homes.isp.example."), "of another tenant"),
        (lambda admin: tenants.add(admin, "b", "a..b"), "no domain name"),
        (lambda admin: tenants.show(admin, "none", NOW), "no tenant none"),
        (lambda admin: tenants.set_suspended(admin, "registry", suspended=True), "cannot be suspended"),
        (lambda admin: tenants.set_bounds(admin, "isp", {"cars": 1}), "no bound 'cars'"),
        (lambda admin: tenants.set_bounds(admin, "isp", {"homes": -1}), "0, which is none"),
        (lambda admin: tenants.allow(admin, "isp", n("none.")), "none"),
    ],
)
async def test_what_cannot_be_is_refused_in_a_sentence(admin, registry, act, says):
    with pytest.raises(CannotDo, match=says):
        await act(admin)


async def test_a_bound_holds_for_what_is_there_and_what_is_to_be(admin, registry):
    zone, isp = registry
    await tenants.set_bounds(admin, "isp", {"homes": 2, "invitations": 1, "enrolments-a-day": 2})
    await home(admin, isp, zone, "a")

    async with admin.transaction():
        assert await quotas.room(admin, isp, zone, NOW, homes=1) is None
        assert (await quotas.room(admin, isp, zone, NOW, homes=2)).code == "quota-reached"
        assert await quotas.room(admin, isp, zone, NOW, invitations=1) is None
        await entered(admin, isp)
        await invitations.insert(admin, zone, n("b.homes.example."), NOW + 1)
        assert "may have 1 open invitations" in (await quotas.room(admin, isp, zone, NOW, invitations=1)).text
        assert await quotas.room(admin, isp, zone, NOW + 1, invitations=1) is None  # it is over
    await tenants.set_bounds(admin, "isp", {"homes": 0})
    async with admin.transaction():
        assert "new homes a day" in (await quotas.room(admin, isp, zone, NOW, homes=2)).text
        assert await quotas.room(admin, isp, zone, NOW + 86_400 - 60, homes=2) is None


async def test_a_zone_that_is_not_the_tenants_is_refused(admin, registry):
    zone, isp = registry

    assert await tenants.allow(admin, "isp", ZONE, allowed=False)

    assert not await tenants.allow(admin, "isp", ZONE, allowed=False)
    assert (await quotas.room(admin, isp, zone, NOW, homes=1)).code == "zone-not-the-tenants"
    assert await quotas.room(admin, 1, zone, NOW, homes=1) is None


async def test_two_that_would_each_fit_do_not_both_come_in(admin, connected, registry):
    """The second waits until the first has committed, and then counts its home, too."""
    zone, isp = registry
    await tenants.set_bounds(admin, "isp", {"homes": 1})
    other = await connected("ddns_server")

    async with admin.transaction():
        assert await quotas.room(admin, isp, zone, NOW, homes=1) is None
        waiting = asyncio.ensure_future(quotas.room(other, isp, zone, NOW, homes=1))
        await home(admin, isp, zone, "first")

    assert (await waiting).code == "quota-reached"


async def test_the_desk_sees_its_own_tenant_and_only_the_registry_changes_them(desk_conn, registry):
    _, isp = registry
    async with desk_conn.transaction():
        await entered(desk_conn, isp)
        assert [one.name for one in await tenants.listing(desk_conn)] == ["isp"]
        with pytest.raises(CannotDo, match="no tenant registry"):
            await tenants.show(desk_conn, "registry", NOW)
        await tenants.set_bounds(desk_conn, "isp", {"homes": 7})  # no row that it may change
        assert (await tenants.show(desk_conn, "isp", NOW)).tenant.homes_most == 0
        (seen,) = await (await desk_conn.execute("SELECT ddns_seen()")).fetchall()
        assert seen == (isp,)
    for statement in (
        "INSERT INTO tenants (name) VALUES ('more')",
        f"INSERT INTO tenant_zones (tenant, zone) SELECT {isp}, zone FROM tenant_zones",
    ):
        async with desk_conn.transaction(force_rollback=True):
            await entered(desk_conn, isp)
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                await desk_conn.execute(statement)

    async with desk_conn.transaction():
        await entered(desk_conn, 1)
        await tenants.add(desk_conn, "more")
        await tenants.allow(desk_conn, "more", ZONE)
        await tenants.set_bounds(desk_conn, "isp", {"homes": 7})
        assert [one.name for one in await tenants.listing(desk_conn)] == ["registry", "isp", "more"]
        assert (await tenants.show(desk_conn, "isp", NOW)).tenant.homes_most == 7
