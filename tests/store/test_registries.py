"""Registries are found by their homes, and no more of these is read for it than one for each."""

from __future__ import annotations

import pytest
import said
from waiting import wait_for

from ddns.dns.names import from_text
from ddns.operator import dsync
from ddns.store import children, delegations, homes, zones
from ddns.zone.hand import Continuity, Theirs, Wish

NOW = 1_800_000_000
CHILD = said.child(said.ds("a"))


@pytest.fixture
def home(owner):
    """Return the ids of a registry and of a home in it that leaves, whose servers are visited next in 900 seconds."""

    async def make():
        registry = await zones.insert(owner, said.REGISTRY, "nsec3", 13)
        made = await zones.insert(owner, said.HOME, "nsec3", 13, registry)
        await homes.insert(owner, made)
        await delegations.leave(owner, made, CHILD, Continuity.COPY, NOW, Theirs.of(said.servers(), None))
        await owner.execute("UPDATE delegations SET ask_at = to_timestamp(%s)", (NOW + 900,))
        return registry, made

    return wait_for(make())


async def due(conn, zone):
    return (await delegations.read(conn, [zone]))[zone].ask


@pytest.mark.parametrize(("now", "comes"), [(NOW, NOW + 60), (NOW + 59, NOW + 60), (NOW + 61, NOW + 61)])
async def test_a_visit_comes_earlier_but_not_at_once_behind_another(connected, home, now, comes):
    conn = await connected("ddns_server")

    assert await children.hasten(conn, [said.HOME, from_text("other.homes.test.")], now, 840) == 1
    assert await due(conn, home[1]) == comes


async def test_a_home_that_is_hosted_is_visited_by_nobody(connected, home):
    conn = await connected("ddns_server")
    await delegations.wish(conn, home[1], Wish.HOST, NOW)

    assert await children.hasten(conn, [said.HOME], NOW - 10, 840) == 0


async def test_the_registries_are_the_zones_that_have_homes(connected, home, owner):
    await zones.insert(owner, from_text("empty.test."), "nsec3", 13)

    assert [one.id for one in await children.registries(await connected("ddns_server"))] == [home[0]]


def test_dsync_records_are_as_the_rfc_has_them():
    target = from_text("ns1.homes.test.")

    assert dsync.records(target, 53, 2) == {
        b"\x00\x3b\x01\x00\x35" + target, b"\x00\x3e\x01\x00\x35" + target, b"\x00\xff\x02\x00\x35" + target,
    }  # fmt: skip
    assert len(dsync.records(target, 53, 0)) == 2
    assert not dsync.records(target, 0, 2)
