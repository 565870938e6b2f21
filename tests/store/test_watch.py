"""What secondaries show is written down, in a real Postgres; the servers are sockets."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from nameservers import serves, silent
from watched import NS1, NS2, NS3, ORIGIN, World

from ddns.dns import names
from ddns.store import transfers
from ddns.store.sightings import Place
from ddns.supervisor import has_ipv6
from ddns.watch import lists
from ddns.watch.resolver import MOST_ADDRESSES, MOST_NAMES, Resolver
from ddns.watch.watcher import Watcher


@pytest.fixture
def world(dsn_for, admin, owner, conn):
    """A world with the usual limits."""
    return World(dsn_for, admin, owner, conn)


async def test_every_secondary_is_asked_for_the_serial_that_it_shows(world):
    """Those that the zone notifies and those that its NS records name, with the addresses of our own zones."""
    zone = await world.zone(ns=(f"ns2.{ORIGIN}",), ns2=NS2)
    await world.target(zone, NS1)
    await world.key(zone, "dnskey", zone, serial=42)

    async with world.server(NS1, serves(ORIGIN, 41)), world.server(NS2, serves(ORIGIN, 42)):
        await world.look()

    said = await world.said(zone)
    assert {name: one.serial for name, one in said.items()} == {NS1: 41, f"ns2.{ORIGIN} {NS2}": 42}
    assert all(one.asked == world.now and one.answered >= one.asked and not one.problem for one in said.values())


async def test_a_list_that_was_made_is_written_down_though_there_is_nobody_to_ask(world):
    """Else a zone without secondaries would look like one that nobody has looked at."""
    zone = await world.zone()
    await world.policy(zone, watch="targets")
    await world.key(zone, "dnskey", zone, serial=42)

    await world.look()

    cursor = await world.owner.execute(
        "SELECT server, wanted, extract(epoch FROM asked_at)::bigint FROM sightings WHERE zone = %s", [zone]
    )
    assert await cursor.fetchall() == [("", False, int(world.now))]
    assert await world.stepped(zone)


async def test_silence_is_written_down_beside_what_was_shown_before(world):
    zone = await world.zone()
    await world.policy(zone, watch="targets")
    await world.target(zone, NS1)
    await world.key(zone, "dnskey", zone, serial=43)
    server = world.server(NS1, serves(ORIGIN, 42))
    async with server:
        await world.look()
        first = (await world.said(zone))[NS1]

        server.answer = silent
        world.now += 1000
        await world.look_anew()

    after = (await world.said(zone))[NS1]
    assert (after.serial, after.answered, after.problem) == (42, first.answered, "does not answer")
    assert after.asked == world.now


async def test_who_is_no_longer_a_secondary_does_not_count(world):
    zone = await world.zone()
    await world.policy(zone, watch="targets")
    await world.target(zone, NS1)
    await world.target(zone, NS2)
    await world.key(zone, "dnskey", zone, serial=42)
    async with world.server(NS1, serves(ORIGIN, 42)), world.server(NS2, serves(ORIGIN, 42)):
        await world.look()
        gone = next(one.id for one in await transfers.targets(world.admin) if one.address == NS2)
        await transfers.remove_targets(world.admin, [gone])

        await world.look_anew()

    assert set(await world.said(zone)) == {NS1}


async def test_a_name_without_an_address_stands_in_the_way_and_is_named(world):
    zone = await world.zone(ns=("ns9.example.", "ns8.elsewhere."))
    await world.key(zone, "dnskey", zone, serial=42)

    async with world.resolver():
        await world.look()

    said = await world.said(zone)
    assert said["ns9.example."].problem == "has no address"
    assert said["ns8.elsewhere."].problem == (
        f"cannot be looked up: the resolver 127.0.0.1:{world.port} answers REFUSED"
    )


async def test_what_a_homes_owner_lists_is_asked_at_addresses_of_the_internet_alone(world):
    """Else a home could find out what listens in our own network; the registry's own servers may be there."""
    known = {name: (address,) for name, address in ((HERE, "10.0.0.53"), (THERE, "10.0.0.54"), (FAR, "9.9.9.9"))}
    place = Place(
        1, names.from_text(ORIGIN), 42, home=True, signed=True, watch="all", check="auto", parents=(),
        servers=(HERE, THERE, FAR), above=(HERE,),
    )  # fmt: skip
    asking = lists.Lists(Resolver((), 1.0, 1), replace(world.limits, private=False))

    listed = await asking.secondaries(place, known)

    assert {one.address for one in listed.servers} == {"10.0.0.53", "9.9.9.9"}
    assert listed.problems == (("ns2.example.", lists.NEAR),)


HERE, THERE, FAR = (names.from_text(f"ns{number}.example.") for number in (1, 2, 3))


async def test_a_crowd_of_servers_is_not_asked_but_stands_in_the_way(world, monkeypatch):
    """Whoever may write in a home may list any number: the worker that watches answers questions, too."""
    tried = []
    monkeypatch.setattr(lists, "_has_route", tried.append)
    hosts = [names.from_text(f"ns{number}.example.") for number in range(40)]
    known = {host: tuple(f"192.0.2.{last}" for last in range(1, 101)) for host in hosts}
    place = Place(
        1,
        names.from_text(ORIGIN),
        42,
        home=True,
        signed=True,
        watch="all",
        check="auto",
        parents=(),
        servers=tuple(hosts),
        above=tuple(hosts),
    )
    asking = lists.Lists(Resolver((), 1.0, 1), world.limits)

    listed = await asking.secondaries(place, known)

    assert len(tried) == MOST_NAMES * MOST_ADDRESSES
    assert len(asking.hosts(place)) == MOST_NAMES + 1
    assert len(listed.servers) <= lists.MOST_SERVERS
    assert (f"ns{MOST_NAMES}.example.", lists.TOO_MANY) in listed.problems
    assert ("ns0.example.", lists.TOO_MANY) in listed.problems


async def test_servers_outside_of_our_zones_are_found_by_the_resolver(world):
    zone = await world.zone(ns=("ns9.example.",))
    await world.key(zone, "dnskey", zone, serial=42)

    async with world.resolver(f"ns9.example. 60 IN A {NS3}"), world.server(NS3, serves(ORIGIN, 42)):
        await world.look()

    assert (await world.said(zone))[f"ns9.example. {NS3}"].serial == 42


@pytest.mark.parametrize(
    ("watch", "asked"), [("all", {NS1, f"ns2.{ORIGIN} {NS2}"}), ("targets", {NS1}), ("none", set())]
)
async def test_the_policy_says_which_servers_are_watched(world, watch, asked):
    zone = await world.zone(ns=(f"ns2.{ORIGIN}",), ns2=NS2)
    await world.target(zone, NS1)
    await world.policy(zone, watch=watch)
    await world.key(zone, "dnskey", zone, serial=42)

    async with world.server(NS1, serves(ORIGIN, 42)), world.server(NS2, serves(ORIGIN, 42)):
        await world.look()

    assert set(await world.said(zone)) == asked


@pytest.mark.parametrize(
    "limits", [{"name": f"ns2.{ORIGIN}"}, {"ours": ((NS2, 5300),)}, {"ours": (("0.0.0.0", 5300),)}]
)
async def test_this_server_itself_is_not_asked(dsn_for, admin, owner, conn, limits):
    """By its name, by its addresses, or by all addresses of the machine where it listens on any."""
    world = World(dsn_for, admin, owner, conn, **limits)
    zone = await world.zone(ns=(f"ns2.{ORIGIN}",), ns2=NS2)
    await world.key(zone, "dnskey", zone, serial=42)

    async with world.server(NS2, serves(ORIGIN, 42)) as server:
        await world.look()

    assert await world.said(zone) == {}
    assert server.heard == []


async def test_homes_are_asked_for_at_the_secondaries_of_their_registry(world):
    registry = await world.zone()
    home = await world.zone(f"smith.{ORIGIN}", serial=7, parent=registry)
    await world.target(registry, NS1, homes=True)
    await world.target(registry, NS2)
    await world.policy(home, watch="targets")
    await world.key(home, "dnskey", home, serial=7)

    async with world.server(NS1, serves(f"smith.{ORIGIN}", 7)), world.server(NS2, serves(ORIGIN, 1)) as other:
        await world.look()

    assert {name: one.serial for name, one in (await world.said(home)).items()} == {NS1: 7}
    assert other.heard == []


async def test_the_ds_of_a_home_is_waited_for_at_the_secondaries_of_the_registry(world):
    registry = await world.zone()
    await world.policy(registry, watch="targets")
    home = await world.zone(f"smith.{ORIGIN}", serial=7, parent=registry)
    await world.target(registry, NS1)
    await world.key(home, "ds", registry, serial=42)

    async with world.server(NS1, serves(ORIGIN, 42)):
        await world.look()

    assert (await world.said(registry))[NS1].serial == 42
    assert await world.said(home) == {}
    assert await world.stepped(home)
    assert not await world.stepped(registry)


async def test_homes_at_rest_have_no_rows(world):
    registry = await world.zone()
    home = await world.zone(f"smith.{ORIGIN}", serial=7, parent=registry)
    await world.target(registry, NS1, homes=True)
    key = await world.key(home, "dnskey", home, serial=7)
    async with world.server(NS1, serves(f"smith.{ORIGIN}", 7)):
        await world.look()
        assert await world.said(home)

        await world.owner.execute("UPDATE key_motions SET seen_at = now() WHERE key = %s", [key])
        await world.look()

    cursor = await world.owner.execute("SELECT count(*) FROM sightings")
    assert await cursor.fetchone() == (0,)


async def test_an_address_without_a_route_is_left_out_where_the_host_has_another(world):
    """Many machines have no IPv6; the broadcast address stands for it here, to which nobody may connect."""
    zone = await world.zone(ns=("ns9.example.", "ns8.example."))
    await world.key(zone, "dnskey", zone, serial=42)
    records = (f"ns9.example. 60 IN A 255.255.255.255 | {NS3}", "ns8.example. 60 IN A 255.255.255.255")

    async with world.resolver(*records), world.server(NS3, serves(ORIGIN, 42)):
        await world.look()

    said = await world.said(zone)
    assert set(said) == {f"ns9.example. {NS3}", "ns8.example. 255.255.255.255"}
    assert said["ns8.example. 255.255.255.255"].problem.startswith("cannot be reached (")


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6 loopback address")
async def test_servers_are_asked_by_ipv6_too(world):
    zone = await world.zone()
    await world.policy(zone, watch="targets")
    await world.target(zone, "::1")
    await world.key(zone, "dnskey", zone, serial=42)

    for tcp in (False, True):
        world.watcher = Watcher(world.dsn, replace(world.limits, tcp=tcp), lambda: world.now)
        async with world.server("::1", serves(ORIGIN, 42)) as server:
            await world.look()

        assert (await world.said(zone))["[::1]"].serial == 42
        assert [by_tcp for _, _, by_tcp in server.heard] == [tcp]
