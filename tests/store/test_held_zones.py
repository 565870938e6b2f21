"""A home that has servers of its own is served by nobody here: it is listed nowhere, refers, and takes no updates."""

from __future__ import annotations

import asyncio

import craft
import dns.rcode
import dns.update
import pytest
from test_updates import P256, Registry
from waiting import wait_for

from ddns.answer.table import Table
from ddns.auth import keys, sig0
from ddns.auth.principal import Grant
from ddns.dns import names
from ddns.dns.codes import Type
from ddns.dns.records import RRset, SignedRRset
from ddns.net.register import Register
from ddns.net.subscriber import Subscriber
from ddns.store import credentials, homes, published, rrsets, transfers, zones
from ddns.store.pool import Pool

REGISTRY, HOME = names.from_text("homes.test."), names.from_text("smith.homes.test.")
SERVER = names.from_text("ns1.homes.test.")
OWN_HOME = names.prepend(b"smith", craft.ORIGIN)
SOA = SERVER + SERVER + bytes((0, 0, 0, 1)) + bytes(16)


class House:
    """A registry with one home, and a table that follows both."""

    def __init__(self, owner, dsn_for) -> None:
        self.owner = owner
        self.pool = Pool(dsn_for("ddns_server"), "ddns_server", 2)
        self.table = Table()
        self.subscriber = Subscriber(self.table, self.pool, 0)
        self.registry = self.home = 0

    async def begin(self) -> House:
        self.registry = await zones.insert(self.owner, REGISTRY, "none", 13)
        self.home = await zones.insert(self.owner, HOME, "none", 13, self.registry)
        await homes.insert(self.owner, self.home)
        for zone, origin in ((self.registry, REGISTRY), (self.home, HOME)):
            apex = [RRset(origin, Type.SOA, 60, (SOA,)), RRset(origin, Type.NS, 60, (SERVER,))]
            await published.fill(
                self.owner, zone, [SignedRRset(one.name, one.type, one.ttl, one.rdatas) for one in apex]
            )
            await zones.advance(self.owner, [(zone, 1, 1, 1)])
        return self

    async def hold(self, held: bool) -> None:
        await self.owner.execute("UPDATE zones SET held = %s WHERE id = %s", (held, self.home))

    async def load(self, zone: int) -> bool:
        """Have a zone read as a question would, and tell whether it is in memory then."""
        read: asyncio.Future = asyncio.get_running_loop().create_future()
        self.subscriber.need(zone, read.set_result)
        assert await read
        return self.table.image(zone) is not None

    async def end(self) -> None:
        await self.subscriber.close()
        await self.pool.close()


@pytest.fixture
def house(owner, dsn_for):
    made = wait_for(House(owner, dsn_for).begin())
    yield made
    wait_for(made.end())


async def test_a_held_zone_is_left_out_where_zones_are_listed(house, conn):
    await house.hold(True)

    assert await zones.listed(conn, None, 10) == [(REGISTRY, house.registry)]
    assert await zones.at_or_above(conn, names.from_text("www.smith.homes.test.")) == [(REGISTRY, house.registry)]
    assert await zones.apexes(conn, [house.registry, house.home]) == [(REGISTRY, house.registry)]
    assert await zones.changed(conn, [(house.registry, 1), (house.home, 1)]) == [(house.home, None)]
    assert [zone.id for zone in await zones.listing(conn)] == [house.registry, house.home], "people see it"


async def test_it_goes_from_memory_when_others_are_told_and_comes_back(house):
    await house.subscriber.resync()
    assert await house.load(house.home)

    await house.hold(True)
    house.subscriber.heard([(house.home, None)])
    assert house.table.authority(HOME) == house.registry

    # An edition of it that is signed while it is held does not bring it back.
    await zones.advance(house.owner, [(house.home, 2, 2, 2)])
    house.subscriber.heard([(house.home, 2)])
    await asyncio.gather(*house.subscriber._tasks)
    assert not house.table.has(house.home)

    await house.hold(False)
    house.subscriber.heard([(house.home, 2)])
    await asyncio.gather(*house.subscriber._tasks)
    assert await house.load(house.home)
    assert house.table.edition(house.home) == 2


@pytest.mark.parametrize("in_memory", [True, False])
async def test_who_missed_the_notification_finds_out_with_the_next_comparison(house, in_memory):
    await house.subscriber.resync()
    if in_memory:
        assert await house.load(house.home)

    await house.hold(True)
    await house.subscriber.resync()
    assert not house.table.has(house.home)

    await house.hold(False)
    await house.subscriber.resync()
    assert house.table.has(house.home)

    await house.hold(True)
    await house.hold(False)
    await house.subscriber.resync()
    assert house.table.has(house.home), "it came back between two looks"


async def test_a_zone_that_is_held_while_a_question_waits_for_it_is_not_served(house):
    await house.subscriber.resync()
    await house.hold(True)

    assert not await house.load(house.home)
    assert not house.table.has(house.home)


async def test_a_larger_zone_is_not_read_page_by_page_either(house):
    many = [SignedRRset(bytes((4,)) + b"%04d" % i + HOME, 1, 60, (bytes(4),)) for i in range(600)]
    await house.owner.execute("DELETE FROM published_rrsets WHERE zone = %s", (house.home,))
    await published.fill(house.owner, house.home, many)
    await house.subscriber.resync()
    await house.hold(True)

    assert not await house.load(house.home)
    assert not house.table.has(house.home)


async def test_a_worker_that_starts_learns_of_all_but_held_zones(house):
    await house.hold(True)
    table = Table()
    register = Register(table, house.pool)

    async with house.pool.connection() as conn:
        await register.update(conn)

    assert table.zone_ids() == {house.registry}


async def test_nobody_is_notified_of_a_held_zone(house, conn, admin):
    await admin.execute(
        "INSERT INTO transfer_targets (zone, homes, address, port) VALUES (%s, true, '192.0.2.9', 53)",
        (house.registry,),
    )
    assert house.home in await transfers.untold(conn, 0, 10)

    await house.hold(True)

    assert house.home not in await transfers.untold(conn, 0, 10)
    assert await transfers.notices(conn, [house.home]) == []


# -- updates


@pytest.fixture
def registry(dsn_for, admin, tmp_path):
    made = wait_for(Registry(dsn_for, admin, tmp_path).begin())
    yield made
    wait_for(made.close())


@pytest.mark.parametrize("flag", ["held", "presigned"])
@pytest.mark.parametrize("known", [True, False])
async def test_an_update_by_the_homes_own_key_is_refused_with_a_sentence(registry, owner, flag, known):
    """Whether or not this worker has heard of it yet; who has no such key is told nothing about it."""
    zone = await zones.insert(owner, OWN_HOME, "none", 13, registry.zone)
    await homes.insert(owner, zone)
    await rrsets.fill(owner, zone, [RRset(OWN_HOME, Type.SOA, 60, (SOA,)), RRset(OWN_HOME, Type.NS, 60, (SERVER,))])
    await zones.advance(owner, [(zone, 1, 1, 1)])
    public = keys.key_rdata(P256)
    await credentials.insert(
        owner, OWN_HOME, "sig0", "13", tag=keys.key_tag(public), public=public, home=zone,
        grants=[Grant(zone, OWN_HOME, rule="zone")],
    )  # fmt: skip
    if known:
        await registry.subscriber.resync()
    await owner.execute(f"UPDATE zones SET {flag} = true WHERE id = %s", (zone,))

    wire = update(names.to_text(OWN_HOME))
    own, other = await registry.send(sig0.sign_request(wire, P256, OWN_HOME, int(registry.now)), registry.tsig(wire))

    assert own.rcode() == dns.rcode.REFUSED
    assert "has servers of its own" in text(own)
    assert "[home-away]" in text(own)
    assert other.rcode() in (dns.rcode.NOTAUTH, dns.rcode.REFUSED)
    assert "servers of its own" not in text(other)
    assert (await zones.get(owner, [zone]))[zone].head == 1


def update(home: str) -> bytes:
    asked = dns.update.UpdateMessage(home, id=7)
    asked.add("cam", 300, "A", "192.0.2.7")
    asked.use_edns()
    return asked.to_wire()


def text(reply) -> str:
    return " ".join(str(option) for option in reply.options)
