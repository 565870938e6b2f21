"""What other people's servers show, written down by whoever watches, in a real Postgres; the servers are sockets."""

from __future__ import annotations

import asyncio
import re
import time
import uuid
from pathlib import Path
from typing import Any

import dns.flags
import dns.message
import dns.rcode
import pytest
from nameservers import Nameserver, Zonefile, refuses, serves, silent
from ports import free_port
from secondary import until

from ddns.dns import names
from ddns.dns.codes import Type
from ddns.dns.records import SignedRRset
from ddns.store import published, sightings, transfers, zones
from ddns.store.sightings import PARENT, SECONDARY, Sighting
from ddns.store.transfers import NewTarget
from ddns.watch import dsync
from ddns.watch import watcher as watching
from ddns.watch.limits import WatchLimits
from ddns.watch.watcher import Watcher

ORIGIN = "homes.example."
NS1, NS2, NS3 = "127.0.0.2", "127.0.0.3", "127.0.0.4"
DS = f"{ORIGIN} 3600 IN DS 4711 13 2 {'AB' * 32}"
OCTETS = b"\x12\x67\x0d\x02" + b"\xab" * 32


class World:
    """A registry's zone in the database, servers beside it on one port, and what watches."""

    def __init__(self, dsn_for: Any, admin: Any, owner: Any, conn: Any, **limits: Any) -> None:
        self.admin, self.owner, self.conn = admin, owner, conn
        self.port = free_port()
        self.dsn = dsn_for("ddns_server")
        self.now = float(int(time.time()))
        self.limits = WatchLimits(
            **{"timeout": 0.3, "port": self.port, "resolver": f"127.0.0.1:{self.port}", "private": True, **limits}
        )
        self.watcher = Watcher(self.dsn, self.limits, lambda: self.now)

    async def zone(
        self, origin: str = ORIGIN, serial: int = 42, parent: int | None = None, ns: tuple[str, ...] = (), **glue: str
    ) -> int:
        """Publish a zone with these NS names; *glue* are the addresses of hosts in it."""
        name = names.from_text(origin)
        zone = await zones.insert(self.admin, name, "nsec3", 13, parent)
        rrsets = [SignedRRset(name, Type.NS, 300, tuple(names.from_text(one) for one in ns) or (b"\x02ns" + name,), ())]
        for host, address in glue.items():
            rdata = bytes(map(int, address.split(".")))
            rrsets.append(SignedRRset(names.from_text(host, name), Type.A, 300, (rdata,), ()))
        async with self.admin.transaction():
            await published.fill(self.admin, zone, rrsets)
            await zones.advance(self.admin, [(zone, 1, 1, serial)])
        return zone

    async def key(
        self, zone: int, record: str, place: int, since: float | None = None, serial: int | None = None
    ) -> str:
        """Have a record of a key of *zone* move."""
        key = str(uuid.uuid4())
        await self.owner.execute(
            """INSERT INTO signing_keys (id, zone, algorithm, flags, tag, public, sealed)
               VALUES (%s, %s, 13, 257, (SELECT count(*) FROM signing_keys), '', '')""",
            [key, zone],
        )
        await self.owner.execute(
            """INSERT INTO key_motions (key, record, zone, since, place, serial, ttl)
               VALUES (%s, %s, %s, to_timestamp(%s), %s, %s, 60)""",
            [key, record, zone, self.now if since is None else since, place, serial],
        )
        return key

    async def target(self, zone: int, address: str, *, homes: bool = False) -> None:
        await transfers.put_targets(self.admin, [NewTarget(zone, homes, address, self.port, None)])

    async def policy(self, zone: int, **columns: Any) -> None:
        """Put *zone* under a policy of its own."""
        await self.owner.execute("INSERT INTO signing_policies (name) VALUES ('special') ON CONFLICT DO NOTHING")
        for column, value in columns.items():
            await self.owner.execute(f"UPDATE signing_policies SET {column} = %s WHERE name = 'special'", [value])
        await self.owner.execute("UPDATE zones SET policy = 'special' WHERE id = %s", [zone])

    async def look(self) -> float:
        return await self.watcher.look(self.conn)

    async def look_anew(self) -> float:
        """Look as if all that is waited for were due."""
        self.watcher._looked.clear()
        return await self.look()

    async def walk(self) -> None:
        """Look at all zones at rest as if they were due."""
        await self.look()
        self.watcher._walk_at = 0.0
        await self.look()
        while self.watcher._walked is not None:
            await self.look()

    async def listen(self) -> Any:
        """Return what counts, in the end, how often the signer was woken."""
        heard: list[Any] = []
        self.owner.add_notify_handler(heard.append)
        await self.owner.execute("LISTEN ddns_pending")

        async def count() -> int:
            await self.owner.execute("SELECT 1")
            return len(heard)

        return count

    async def said(self, zone: int, kind: str = SECONDARY) -> dict[str, Sighting]:
        """Return what is written down of the servers that count, by their addresses."""
        rows = (await sightings.read(self.conn, [zone])).get(zone, [])
        return {one.server.removesuffix(f":{self.port}"): one for one in rows if one.kind == kind}

    async def stepped(self, zone: int) -> bool:
        """Tell whether the signer was asked to look at *zone*, and take that back."""
        cursor = await self.owner.execute("SELECT step_at FROM signing WHERE zone = %s", [zone])
        found = (await cursor.fetchone())[0] is not None
        await self.owner.execute("UPDATE signing SET step_at = NULL WHERE zone = %s", [zone])
        return found

    def server(self, address: str, answer: Any) -> Nameserver:
        return Nameserver(address, self.port, answer)

    def resolver(self, *records: str, zones: tuple[str, ...] = ("example.",)) -> Nameserver:
        """What finds `example.`, with two servers of its own, and these *records*."""
        given = [
            "example. 300 IN NS a.nic.example. | b.nic.example.",
            f"a.nic.example. 300 IN A {NS1}",
            f"b.nic.example. 300 IN A {NS2}",
        ]
        return self.server("127.0.0.1", Zonefile(*zones, records=(*given, *records)))


@pytest.fixture
def world(dsn_for, admin, owner, conn):
    """A world with the usual limits."""
    return World(dsn_for, admin, owner, conn)


def shows(*records: str, zone: str = "example.") -> Any:
    """Return what answers for a parent's zone with these records."""
    return Zonefile(zone, records=records, minimum=900)


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


# -- the parent


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


# -- who hears of it


async def test_the_signer_hears_what_is_news_and_nothing_else(world):
    zone = await world.zone()
    await world.policy(zone, watch="targets")
    await world.target(zone, NS1)
    await world.key(zone, "dnskey", zone, serial=43)
    listening = await world.listen()
    async with world.server(NS1, serves(ORIGIN, 42)) as server:
        await world.look()
        assert await world.stepped(zone)  # asked for the first time since it matters

        await world.look_anew()
        assert not await world.stepped(zone)

        server.answer = serves(ORIGIN, 43)
        await world.look_anew()
        assert await world.stepped(zone)

    assert await listening() == 2


async def test_a_zone_that_somebody_holds_is_told_of_later(world, connected):
    zone = await world.zone()
    await world.policy(zone, watch="targets")
    await world.key(zone, "dnskey", zone, serial=42)
    holder = await connected("zone_signer")
    async with holder.transaction():
        await holder.execute("SELECT FROM signing WHERE zone = %s FOR UPDATE", [zone])
        assert await world.look() == 0.0

    await world.look()

    assert await world.stepped(zone)


async def test_what_a_parent_shows_is_news_though_nothing_waits_for_it(world):
    zone = await world.zone()
    await world.policy(zone, watch="none", parent_servers=[f"{NS1}:{world.port}"])
    async with world.server(NS1, shows(DS)) as server:
        await world.walk()
        assert await world.stepped(zone)

        for _ in range(watching.PARENTS_EVERY):
            await world.walk()
        assert not await world.stepped(zone)

        server.answer = shows()
        for _ in range(watching.PARENTS_EVERY):
            await world.walk()
        assert await world.stepped(zone)

    assert server.names("DS") == [ORIGIN] * 3


async def test_zones_at_rest_are_looked_at_in_turn(world, monkeypatch):
    monkeypatch.setattr(watching, "AT_ONCE", 2)
    monkeypatch.setattr(sightings, "SCANNED", 4)
    found = [await world.zone(f"z{number}.example.") for number in range(7)]
    await world.zone("plain.example.")
    await world.owner.execute(
        "UPDATE zones SET denial = 'none' WHERE origin = %s", [names.order_key(names.from_text("plain.example."))]
    )
    await world.zone("home.z1.example.", parent=found[1])

    await world.walk()

    cursor = await world.owner.execute("SELECT DISTINCT zone FROM sightings WHERE kind = 'secondary' ORDER BY zone")
    assert [row[0] for row in await cursor.fetchall()] == found


async def test_tlsa_records_that_come_are_looked_for_and_settled_with_what_was_seen(world):
    """By whoever keeps their books; the signer has nothing to do with it."""
    zone = await world.zone()
    await world.policy(zone, watch="targets")
    await world.target(zone, NS1)
    await world.owner.execute(
        """INSERT INTO tlsa_rolls (zone, owner, rdata, phase, since, serial, ttl)
           VALUES (%s, 'owner', 'rdata', 'published', to_timestamp(%s), 42, 60)""",
        [zone, world.now],
    )
    settled = []

    async def settle(conn: Any, now: int, looked: Any) -> None:
        settled.append((conn, now, set(looked)))

    world.watcher = Watcher(world.dsn, world.limits, lambda: world.now, settle)
    async with world.server(NS1, serves(ORIGIN, 42)):
        await world.look()
        await world.look()

    assert (await world.said(zone))[NS1].serial == 42
    assert settled == [(world.conn, int(world.now), {zone}), (world.conn, int(world.now), set())]
    assert not await world.stepped(zone)


# -- bounds


async def test_no_more_questions_are_under_way_than_the_settings_allow(dsn_for, admin, owner, conn):
    world = World(dsn_for, admin, owner, conn, at_once=3, timeout=5.0)
    for number in range(12):
        zone = await world.zone(f"z{number}.example.")
        await world.policy(zone, watch="targets")
        await world.target(zone, NS1)
        await world.key(zone, "dnskey", zone, serial=42)

    async with world.server(NS1, refuses) as server:
        server.delay = 0.02
        await world.look()

    assert len(server.heard) == 12
    assert server.most == 3


async def test_a_dead_server_costs_a_few_waits_and_not_one_for_each_zone(dsn_for, admin, owner, conn):
    world = World(dsn_for, admin, owner, conn, at_once=1, timeout=0.05)
    found = []
    for number in range(8):
        found.append(await world.zone(f"z{number}.example."))
        await world.policy(found[-1], watch="targets")
        await world.target(found[-1], NS1)
        await world.key(found[-1], "dnskey", found[-1], serial=42)

    async with world.server(NS1, silent) as server:
        await world.look()

    assert len(server.heard) == 3
    assert {(await world.said(zone))[NS1].problem for zone in found} == {"does not answer"}


async def test_what_is_waited_for_long_is_looked_at_less_often(dsn_for, admin, owner, conn):
    world = World(dsn_for, admin, owner, conn, every=60.0, fast=5.0)
    zone = await world.zone()
    await world.policy(zone, watch="targets")
    key = await world.key(zone, "dnskey", zone, serial=42)

    for age, wait in ((0, 5.0), (40, 10.0), (4000, 60.0)):
        await world.owner.execute(
            "UPDATE key_motions SET since = to_timestamp(%s) WHERE key = %s", [world.now - age, key]
        )
        world.watcher._looked.clear()
        await world.owner.execute("UPDATE signing SET step_at = NULL")

        assert wait - 1.0 < await world.look() <= wait


async def test_something_new_is_looked_at_at_once(world):
    zone = await world.zone()
    await world.policy(zone, watch="targets")
    await world.target(zone, NS1)
    await world.key(zone, "dnskey", zone, serial=42)
    async with world.server(NS1, serves(ORIGIN, 42)) as server:
        await world.look()
        await world.look()
        assert len(server.heard) == 1

        world.now += 1
        await world.key(zone, "zrrsig", zone, serial=43)
        await world.look()
        assert len(server.heard) == 2


async def test_one_process_of_all_watches_and_another_takes_over(world):
    zone = await world.zone()
    await world.policy(zone, watch="targets")
    await world.target(zone, NS1)
    others = [Watcher(world.dsn, world.limits, time.time) for _ in range(3)]
    async with world.server(NS1, serves(ORIGIN, 42)) as server:
        for one in others:
            one.start()
        try:
            await world.key(zone, "dnskey", zone, serial=43)
            await world.owner.execute("SELECT pg_notify('ddns_watch', '')")
            first = await until(lambda: [one for one in others if one.counted])
            assert len(first) == 1
            await first[0].close()

            second = await until(lambda: [one for one in others if one.counted and one is not first[0]])
            assert len(second) == 1
        finally:
            for one in others:
                await one.close()
        assert len(server.heard) == sum(one.counted.total() for one in others)


async def test_the_watch_outlives_its_connection(world):
    zone = await world.zone()
    await world.policy(zone, watch="targets")
    await world.target(zone, NS1)
    one = Watcher(world.dsn, world.limits, time.time)
    async with world.server(NS1, serves(ORIGIN, 42)) as server:
        one.start()
        try:
            await world.key(zone, "dnskey", zone, serial=43)
            await world.owner.execute("SELECT pg_notify('ddns_watch', '')")
            await until(lambda: server.heard)

            await world.owner.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND pid <> pg_backend_pid()"
            )
            await until(lambda: len(server.heard) > 1)
        finally:
            await one.close()


def page_statements() -> list[str]:
    page = Path(__file__).parents[2] / "docs" / "howto" / "see-who-is-behind.md"
    return re.findall(r"```sql\n(.*?)```", page.read_text(), re.DOTALL)


async def test_the_pages_statements_show_who_is_behind(world):
    zone = await world.zone()
    await world.target(zone, NS1)
    await world.target(zone, NS2)
    await world.policy(zone, watch="targets")
    await world.key(zone, "dnskey", zone, serial=42)
    async with world.server(NS1, serves(ORIGIN, 40)), world.server(NS2, refuses):
        await world.look()

    cursor = await world.owner.execute(page_statements()[0])
    assert [(row[0], row[2], row[3], row[5]) for row in await cursor.fetchall()] == [
        (ORIGIN, f"{NS1}:{world.port}", 2, ""),
        (ORIGIN, f"{NS2}:{world.port}", None, "answers REFUSED"),
    ]
    for statement in page_statements()[1:]:
        await world.owner.execute(statement)


# -- telling the parent


def generic(target: str, port: int) -> str:
    octets = Type.CDS.to_bytes(2, "big") + b"\x01" + port.to_bytes(2, "big") + names.from_text(target)
    return f"\\# {len(octets)} {octets.hex()}"


class Scanner(asyncio.DatagramProtocol):
    """Who listens for NOTIFY(CDS): what it answers, None for silence, and what it heard."""

    def __init__(self, *rcodes: dns.rcode.Rcode | None) -> None:
        self.rcodes = list(rcodes) or [dns.rcode.NOERROR]
        self.heard: list[dns.message.Message] = []

    async def listen(self, address: str = NS3) -> int:
        self.transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: self, local_addr=(address, 0)
        )
        return self.transport.get_extra_info("sockname")[1]

    def datagram_received(self, data: bytes, addr) -> None:
        message = dns.message.from_wire(data)
        self.heard.append(message)
        rcode = self.rcodes.pop(0) if len(self.rcodes) > 1 else self.rcodes[0]
        if rcode is not None:
            reply = dns.message.make_response(message)
            reply.set_rcode(rcode)
            self.transport.sendto(reply.to_wire(), addr)


class Child(World):
    """A zone that asks its parent for another DS, and a parent that publishes where it listens."""

    async def set_up(self, scanner: Scanner, at: str = "homes._dsync.example.") -> Nameserver:
        self.id = await self.zone()
        await self.policy(self.id, watch="targets", parent_check="manual")
        await self.key(self.id, "ds", 0)
        await self.ask(b"\x12\x67\x0d\x02" + b"\xab" * 32)
        port = await scanner.listen()
        return self.resolver(
            f"{at} 60 IN TYPE66 {generic('scanner.example.', port)}", f"scanner.example. 60 IN A {NS3}"
        )

    async def ask(self, cds: bytes) -> None:
        """Publish CDS in the next serial."""
        name = names.from_text(ORIGIN)
        async with self.admin.transaction():
            await published.publish(self.admin, [(self.id, SignedRRset(name, Type.CDS, 60, (cds,), ()))], [])
            row = (await zones.get(self.admin, [self.id]))[self.id]
            await zones.advance(self.admin, [(self.id, row.head + 1, row.edition + 1, row.serial + 1)])

    async def told(self) -> Sighting:
        """Return how telling the parent ended, as soon as it has."""

        async def there() -> Sighting | None:
            await self.look_anew()
            return next(iter((await self.said(self.id, sightings.DSYNC)).values()), None)

        return await until(there)

    def look_and(self, condition: Any) -> Any:
        async def looked() -> Any:
            await self.look_anew()
            return condition()

        return looked


@pytest.fixture
def child(dsn_for, admin, owner, conn):
    return Child(dsn_for, admin, owner, conn, timeout=5.0)


@pytest.mark.parametrize("at", ["homes._dsync.example.", "_dsync.example."])
async def test_a_parent_is_told_of_new_cds_records_where_it_listens(child, at):
    scanner = Scanner()
    async with await child.set_up(scanner, at):
        told = await child.told()

        assert told.problem == ""
        assert [str(one.question[0]) for one in scanner.heard] == ["homes.example. IN CDS"]
        assert (told.serial, told.problem) == (43, "")
        assert told.answered is not None
        assert told.server.startswith(f"dsync scanner.example. {NS3}:")

        for _ in range(3):
            await child.look_anew()
        assert len(scanner.heard) == 1
    scanner.transport.close()


async def test_other_cds_records_are_told_anew(child):
    scanner = Scanner()
    async with await child.set_up(scanner):
        await child.told()
        await child.ask(b"\x03\x2f\x0d\x02" + b"\xcd" * 32)

        await until(child.look_and(lambda: len(scanner.heard) == 2))
    scanner.transport.close()


async def test_nobody_is_told_before_all_secondaries_have_them(child):
    """RFC 9859 §4.2: the parent would look too early, and see the old ones."""
    scanner = Scanner()
    async with await child.set_up(scanner), child.server(NS1, serves(ORIGIN, 42)) as secondary:
        await child.target(child.id, NS1)
        for _ in range(3):
            await child.look_anew()
        assert scanner.heard == []

        secondary.answer = serves(ORIGIN, 43)
        assert (await child.told()).serial == 43
    scanner.transport.close()


async def test_what_is_not_answered_is_sent_again(dsn_for, admin, owner, conn):
    """RFC 1996 §3.6."""
    child = Child(dsn_for, admin, owner, conn)
    scanner = Scanner(None, None, dns.rcode.NOERROR)
    async with await child.set_up(scanner):
        assert (await child.told()).problem == ""
    assert len({one.id for one in scanner.heard}) == 1
    assert len(scanner.heard) >= 3
    scanner.transport.close()


async def test_a_listener_that_is_silent_is_left_in_peace(dsn_for, admin, owner, conn, monkeypatch):
    monkeypatch.setattr(dsync, "TRIES", 2)
    child = Child(dsn_for, admin, owner, conn)
    scanner = Scanner(None)
    async with await child.set_up(scanner):
        told = await child.told()
        assert (told.answered, told.problem) == (None, "does not answer")
        for _ in range(3):
            await child.look_anew()
    assert len(scanner.heard) == 2
    scanner.transport.close()


async def test_an_error_is_an_answer_and_is_written_down(child):
    scanner = Scanner(dns.rcode.REFUSED)
    async with await child.set_up(scanner):
        told = await child.told()
    assert (told.answered is not None, told.problem) == (True, "answers 5")
    assert len(scanner.heard) == 1
    scanner.transport.close()


async def test_addresses_that_are_not_the_internets_are_not_told(dsn_for, admin, owner, conn):
    """The record is a stranger's: it is not to lead into our own network."""
    child = Child(dsn_for, admin, owner, conn, private=False)
    scanner = Scanner()
    async with await child.set_up(scanner):
        told = await child.told()
    assert told.server == "dsync scanner.example."
    assert told.problem == "is not told: it has no address of the Internet (see [watch] private)"
    assert scanner.heard == []
    scanner.transport.close()


async def test_a_parent_that_listens_nowhere_is_remembered(child):
    scanner = Scanner()
    async with await child.set_up(scanner, at="elsewhere._dsync.example.") as resolver:
        told = await child.told()
        assert told.problem == "the parent publishes no DSYNC record for CDS"
        asked = resolver.names("TYPE66") + resolver.names("DSYNC")
        await child.look_anew()
        assert (
            resolver.names("TYPE66") + resolver.names("DSYNC") == asked == ["homes._dsync.example.", "_dsync.example."]
        )
    scanner.transport.close()
