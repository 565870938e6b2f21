"""What a home's turn waits for is seen at the registry's own servers: that they show it, or serve it no more."""

from __future__ import annotations

import dns.message
import pytest
from nameservers import refuses, rrset, serves, silent
from waiting import wait_for
from watched import NS1, NS2, World

from ddns.store import delegations, homes
from ddns.store.sightings import WITHDRAWN
from ddns.zone.child import Child
from ddns.zone.hand import Continuity

HOME = "smith.homes.example."


def refers(query):
    """Answer with a referral to the home's own servers."""
    reply = dns.message.make_response(query)
    reply.authority.append(rrset(f"{HOME} 300 IN NS ns.elsewhere.example."))
    return reply


@pytest.fixture
def world(dsn_for, admin, owner, conn):
    return World(dsn_for, admin, owner, conn)


class Turning:
    """A home that has turned just now, whose own NS name other people's servers."""

    def __init__(self, world, home):
        self.world, self.home = world, home

    @classmethod
    async def begin(cls, world, *, held, state="leaving-drain"):
        registry = await world.zone(ns=("ns2.homes.example.",), ns2=NS2)
        home = await world.zone(HOME, serial=7, parent=registry, ns=("ns.elsewhere.example.",))
        await homes.insert(world.owner, home)
        await world.target(registry, NS1, homes=True)
        await delegations.leave(world.conn, home, Child(), Continuity.NONE, int(world.now))
        await world.owner.execute(
            "UPDATE delegations SET state = %s, seen = false, since = to_timestamp(%s), step_at = NULL",
            (state, int(world.now)),
        )
        await world.owner.execute("UPDATE zones SET held = %s WHERE id = %s", (held, home))
        return cls(world, home)

    async def woken(self):
        """Tell whether the signer was asked to look at the home's turn, and take that back."""
        row = (await delegations.read(self.world.conn, [self.home]))[self.home]
        await self.world.owner.execute("UPDATE delegations SET step_at = NULL")
        return row.step is not None

    async def said(self, kind):
        """Return what is written down of the registry's two servers."""
        found = await self.world.said(self.home, kind)
        return {NS2 if name.endswith(NS2) else name: one for name, one in found.items()}


@pytest.fixture
def turning(world):
    return wait_for(Turning.begin(world, held=True))


async def test_who_serves_a_held_home_is_asked_whether_it_still_does(world, turning):
    """Who refers to others or knows nothing of it does not; who answers for it is named."""
    async with world.server(NS1, serves(HOME, 7)), world.server(NS2, refers):
        await world.look()

    said = await turning.said(WITHDRAWN)
    assert (said[NS2].problem, said[NS2].answered is not None) == ("", True)
    assert (said[NS1].problem, said[NS1].answered) == ("still serves the home; take its zone away there", None)
    assert await turning.woken()

    async with world.server(NS1, refuses), world.server(NS2, refers):
        await world.look_anew()
    assert (await turning.said(WITHDRAWN))[NS1].answered is not None


async def test_a_server_that_is_silent_has_said_nothing(world, turning):
    async with world.server(NS1, silent):
        await world.look()

    said = await turning.said(WITHDRAWN)
    assert {NS1, NS2} == set(said)
    assert all(one.answered is None and one.problem for one in said.values())
    assert not await turning.woken()


@pytest.mark.parametrize("state", ["leaving-servers", "returning-servers"])
async def test_it_is_the_registrys_servers_that_must_show_the_hosted_copy(world, state):
    turning = await Turning.begin(world, held=False, state=state)
    async with world.server(NS1, serves(HOME, 7)), world.server(NS2, serves(HOME, 6)):
        await world.look()

    said = await turning.said("secondary")
    assert {name: one.serial for name, one in said.items()} == {NS1: 7, NS2: 6}
    assert await turning.woken()
    assert await turning.said(WITHDRAWN) == {}


async def test_nobody_is_asked_about_a_home_that_waits_for_nothing(world, turning):
    await world.owner.execute("UPDATE delegations SET seen = true")
    async with world.server(NS1, serves(HOME, 7)) as asked:
        await world.look()

    assert asked.heard == []
    assert not await turning.woken()
