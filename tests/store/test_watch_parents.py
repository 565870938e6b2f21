"""What the servers of a parent elsewhere show is written down, each one's word; the servers are sockets."""

from __future__ import annotations

import dns.flags
import dns.message
import dns.rcode
import pytest
from watched import DS, NS1, NS2, OCTETS, ORIGIN, World, shows

from ddns.store.sightings import PARENT


@pytest.fixture
def world(dsn_for, admin, owner, conn):
    """A world with the usual limits."""
    return World(dsn_for, admin, owner, conn)


async def test_every_server_of_the_parent_is_asked_for_the_ds(world):
    """One of them is behind."""
    zone = await world.zone()
    await world.policy(zone, watch="none")
    await world.key(zone, "ds", 0)

    async with world.resolver(), world.server(NS1, shows(DS)) as first, world.server(NS2, shows()):
        await world.look()

    said = await world.said(zone, PARENT)
    assert {name: (one.ds, one.ds_ttl) for name, one in said.items()} == {
        f"a.nic.example. {NS1}": ((OCTETS,), 3600),
        f"b.nic.example. {NS2}": ((), 300),
    }
    assert first.names("DS") == [ORIGIN]


async def test_a_question_to_a_parent_has_do_and_no_rd(world):
    zone = await world.zone()
    await world.policy(zone, watch="none", parent_servers=[f"{NS1}:{world.port}"])
    await world.key(zone, "ds", 0)
    queries = []

    def keep(query: dns.message.Message) -> dns.message.Message:
        queries.append(query)
        return shows(DS)(query)

    async with world.server(NS1, keep):
        await world.look()

    assert [(one.flags, one.edns, bool(one.ednsflags & dns.flags.DO)) for one in queries] == [(0, 0, True)]


async def test_a_truncated_answer_is_asked_for_again_by_tcp(world):
    zone = await world.zone()
    await world.policy(zone, watch="none", parent_servers=[f"{NS1}:{world.port}"])
    await world.key(zone, "ds", 0)
    many = DS + "".join(f" | {tag} 13 2 {'CD' * 32}" for tag in range(50))

    async with world.server(NS1, shows(many)) as server:
        await world.look()

    assert [tcp for _, _, tcp in server.heard] == [False, True]
    assert len((await world.said(zone, PARENT))[NS1].ds) == 51


async def test_the_parent_is_where_the_next_cut_is(world):
    """Empty names between do not lead astray, and the policy's servers are asked instead of those that are found."""
    zone = await world.zone("deep.in.the.example.")
    await world.policy(zone, watch="none")
    await world.key(zone, "ds", 0)
    async with world.resolver() as resolver, world.server(NS1, shows()), world.server(NS2, shows()):
        await world.look()

    assert resolver.names("SOA") == ["in.the.example."]
    assert resolver.names("NS") == ["example."]
    assert len(await world.said(zone, PARENT)) == 2


@pytest.mark.parametrize("parents", [["192.0.2.300"], ["nowhere"]])
async def test_a_policy_with_no_addresses_of_parents_is_told(world, parents):
    zone = await world.zone()
    await world.policy(zone, watch="none", parent_servers=parents)
    await world.key(zone, "ds", 0)

    await world.look()

    said = await world.said(zone, PARENT)
    assert "192.0.2.7:53" in said[parents[0]].problem


async def test_where_people_look_at_the_parent_nobody_else_does(world):
    zone = await world.zone()
    await world.policy(zone, watch="none", parent_check="manual")
    await world.key(zone, "ds", 0)

    async with world.resolver() as resolver:
        await world.look()

    assert resolver.heard == []
    assert await world.said(zone, PARENT) == {}


async def test_a_parent_that_cannot_be_found_is_a_sentence(world):
    zone = await world.zone()
    await world.policy(zone, watch="none")
    await world.key(zone, "ds", 0)

    await world.look()

    said = await world.said(zone, PARENT)
    assert [one.problem for one in said.values()] == [
        f"cannot be looked up: the resolver 127.0.0.1:{world.port} refuses the connection"
    ]


async def test_a_parent_that_is_served_here_is_asked_by_tcp(dsn_for, admin, owner, conn):
    """Our own rate limits must not make us blind to ourselves."""
    world = World(dsn_for, admin, owner, conn, ours=((NS1, 53),))
    zone = await world.zone()
    await world.policy(zone, watch="none", parent_servers=[f"{NS1}:{world.port}"])
    await world.key(zone, "ds", 0)

    async with world.server(NS1, shows(DS)) as server:
        await world.look()

    assert [tcp for _, _, tcp in server.heard] == [True]
