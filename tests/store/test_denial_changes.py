"""A signed zone that is told to deny otherwise: the same records in one edition, which no cache finds bogus."""

from __future__ import annotations

from ipaddress import ip_network

import pytest
from lives import DAY, Life
from waiting import wait_for

from ddns.operator import denial, transfers
from ddns.operator.fault import CannotDo
from ddns.store import zones


@pytest.fixture
def life(admin, conn, connected, dsn_for):
    return Life(admin, wait_for(connected("zone_signer")), conn, dsn_for)


async def settled(life, **more):
    zone = await life.zone("a.test.", "www 300 A 192.0.2.1", "deep.down 300 TXT there", "*.any 300 TXT all", **more)
    await life.settle()
    return zone


async def row(life, zone):
    return (await zones.get(life.admin, [zone.id]))[zone.id]


@pytest.mark.parametrize(
    "ways", [("compact", "nsec3"), ("nsec", "compact"), ("compact", "nsec", "nsec3")], ids="-".join
)
async def test_each_way_follows_each_other_in_one_edition(life, ways):
    zone = await settled(life)
    for way in ways:
        before = await row(life, zone)

        assert await denial.change(life.admin, zone.origin, way, "a person") == (zone.id, True)
        await life.sweep()

        after = await row(life, zone)
        assert (after.denial, after.edition, after.serial) == (way, before.edition + 1, before.serial + 1)
        assert not after.signed_pending
        life.now += DAY
    who = await (await life.admin.execute("SELECT principal FROM journal ORDER BY seq DESC LIMIT 1")).fetchone()
    assert who == ("a person",)
    assert life.failed == []


async def test_the_way_that_it_has_already_is_no_change(life):
    zone = await settled(life)
    before = await row(life, zone)

    assert await denial.change(life.admin, zone.origin, "nsec3", "a person") == (zone.id, False)

    assert await row(life, zone) == before


async def test_what_cannot_be_is_said_in_a_sentence_and_changes_nothing(life):
    zone = await settled(life)
    bare = await life.zone("bare.test.", denial="none")
    home = await life.zone("smith.a.test.", parent=zone.id)
    await life.sweep()
    await life.admin.execute("UPDATE zones SET held = true WHERE id = %s", (home.id,))

    for origin, sentence in ((bare.origin, "zone-signer secure bare\\.test"), (home.origin, "servers of its own")):
        with pytest.raises(CannotDo, match=sentence):
            await denial.change(life.admin, origin, "compact", "a person")
    await transfers.allow(life.admin, zone.origin, homes=False, key=None, prefix=ip_network("192.0.2.0/24"))
    with pytest.raises(CannotDo, match="has transfer rules"):
        await denial.change(life.admin, zone.origin, "compact", "a person")
    await life.order(zone, "roll")
    await life.sweep()
    with pytest.raises(CannotDo, match=r"keys of a\.test\. are just being changed"):
        await denial.change(life.admin, zone.origin, "nsec", "a person")

    assert [(await row(life, one)).denial for one in (zone, bare, home)] == ["nsec3", "none", "nsec3"]
